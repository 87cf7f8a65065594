//! What is too long for a card, as plain lines: it goes out as messages.

use super::{Text, text};
use crate::domain::audience::Audience;

mod file;

pub use file::{file_is_gone, is_no_file, no_file, not_to_be_had, taken, too_many_names, unreadable};

/// Every target, one a line: departments with their full paths, headcounts and ids, then the people.
pub fn all_targets(audience: &Audience) -> Text {
    let departments = audience.departments.iter().map(|department| {
        let line = text::department(&department.full_path(), department.headcount);
        Text::new(format!("{} {}", line.zh, department.id), format!("{} {}", line.en, department.id))
    });
    let people = audience.named_people().map(|(shown, id)| match shown == id {
        true => Text::same(format!("• {id}")),
        false => Text::same(format!("• {shown} {id}")),
    });
    Text::lines(&departments.chain(people).collect::<Vec<_>>())
}
