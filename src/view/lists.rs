//! What is too long for a card, as plain lines: it goes out as messages.

use super::{Text, text};
use crate::domain::audience::{Audience, PersonTarget};

/// Every target, one a line: departments with their full paths, headcounts and ids, then the people.
pub fn all_targets(audience: &Audience) -> Text {
    let departments = audience.departments.iter().map(|department| {
        let line = text::department(&department.full_path(), department.headcount);
        Text::new(format!("{} {}", line.zh, department.id), format!("{} {}", line.en, department.id))
    });
    let people = (audience.open_ids.iter().map(|person| line(person, person.id.as_str())))
        .chain(audience.union_ids.iter().map(|person| line(person, person.id.as_str())))
        .chain(audience.user_ids.iter().map(|person| line(person, person.id.as_str())));
    Text::lines(&departments.chain(people).collect::<Vec<_>>())
}

fn line<Id>(person: &PersonTarget<Id>, id: &str) -> Text {
    Text::same(match &person.name {
        Some(name) => format!("• @{name} {id}"),
        None => format!("• {id}"),
    })
}
