//! Looks at ids that were invalid: which of them Feishu knows by now, and whom of those no other target has reached.

use std::collections::BTreeSet;

use super::invalid;
use crate::app::directory::ResolveError;
use crate::app::{App, Trouble, people, places, terms};
use crate::domain::audience::{Audience, Covered, DepartmentTarget};
use crate::domain::broadcast::Broadcast;
use crate::domain::ids::{DepartmentId, OpenId, UnionId, UserId};
use crate::domain::plan::Targets;
use crate::domain::policy::Terms;
use crate::domain::report::Report;
use crate::feishu::people::{Person, PersonIdKind};
use crate::view::Text;

/// What became of ids that were invalid.
pub struct Found {
    /// Those that are valid now, nobody twice, and none who was reached in another way.
    pub fresh: Audience,
    /// What `fresh` names, by key.
    pub taken: Vec<String>,
    /// How many were looked at.
    pub invalid: usize,
    /// Whether the broadcast reached anybody before.
    pub some_reached: bool,
    /// What a broadcast to `fresh` needs, or why its author may not propose it any more.
    pub terms: Result<Terms, Text>,
}

pub async fn look(app: &App, broadcast: &Broadcast) -> Result<Found, ResolveError> {
    let report = Report::of(&app.store.batches(&broadcast.id).await.map_err(Trouble::from)?);
    let invalid = invalid(&report, broadcast);
    let refused: BTreeSet<String> = report.invalid.keys().map(std::borrow::Cow::into_owned).collect();
    let batches = app.store.reached(&broadcast.id).await.map_err(Trouble::from)?;
    let reached: BTreeSet<String> = batches
        .iter()
        .flat_map(Targets::keys)
        .map(std::borrow::Cow::into_owned)
        .filter(|key| !refused.contains(key))
        .collect();
    let mut tx = app.store.begin().await.map_err(Trouble::from)?;
    let whole = tx.audience(&broadcast.id).await.map_err(Trouble::from)?;
    drop(tx);
    let mut fresh = valid(app, whole.only(|key| invalid.contains(key)), &reached, whole.departments).await?;
    let (policy, author) = (app.policy(), &broadcast.author);
    let terms = match fresh.ids() {
        0 => Ok(Terms::default()),
        _ => match terms::one_more(app, &policy, author).await.map_err(Trouble::from)? {
            Ok(()) => terms::of_draft(app, &policy, author, &mut fresh, &[]).await?,
            Err(refused) => Err(refused),
        },
    };
    fresh.around.clear();
    let people = fresh.named_people().map(|(_, id)| id.to_owned());
    let taken = fresh.departments.iter().map(|department| department.id.key().into_owned()).chain(people).collect();
    Ok(Found { fresh, taken, invalid: invalid.len(), some_reached: !reached.is_empty(), terms })
}

/// Those of the ids that Feishu knows and that are active: nobody twice, and nobody who was reached by another of the
/// targets.
async fn valid(
    app: &App,
    part: Audience,
    reached: &BTreeSet<String>,
    all: Vec<DepartmentTarget>,
) -> Result<Audience, ResolveError> {
    let wanted: Vec<DepartmentId> = part.departments.iter().map(|department| department.id.clone()).collect();
    let mut found = places::by_ids(app, &wanted).await?;
    let lined = |DepartmentTarget { id, line, .. }: &DepartmentTarget| {
        found.remove(id).map(|target| DepartmentTarget { line: *line, ..target })
    };
    let departments: Vec<DepartmentTarget> = part.departments.iter().filter_map(lined).collect();
    let mut people = part;
    let mut covered = Vec::new();
    for kind in [PersonIdKind::Open, PersonIdKind::Union, PersonIdKind::User] {
        let ids: Vec<String> = match kind {
            PersonIdKind::Open => people.open_ids.iter().map(|person| person.id.to_string()).collect(),
            PersonIdKind::Union => people.union_ids.iter().map(|person| person.id.to_string()).collect(),
            PersonIdKind::User => people.user_ids.iter().map(|person| person.id.to_string()).collect(),
        };
        let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
        let known = people::must_see(app, kind, &asked).await?;
        let reached_as = |person: &Person| {
            let ids = [person.open_id.as_ref().map(OpenId::as_str), person.union_id.as_ref().map(UnionId::as_str)];
            let ids = ids.into_iter().chain([person.user_id.as_ref().map(UserId::as_str)]).flatten();
            ids.into_iter().any(|id| reached.contains(id))
        };
        let gone: BTreeSet<&str> =
            asked.iter().filter(|id| known.get(**id).is_none_or(|person| !person.active)).copied().collect();
        let had: BTreeSet<&str> = asked.iter().filter(|id| known.get(**id).is_some_and(&reached_as)).copied().collect();
        covered.extend(had.iter().map(|id| Covered { named: (*id).to_owned(), inside: None }));
        let stays = |id: &str| !gone.contains(id) && !had.contains(id);
        match kind {
            PersonIdKind::Open => people.open_ids.retain(|person| stays(person.id.as_str())),
            PersonIdKind::Union => people.union_ids.retain(|person| stays(person.id.as_str())),
            PersonIdKind::User => people.user_ids.retain(|person| stays(person.id.as_str())),
        }
    }
    // Beside the departments that were reached, so that whoever lies in one of them is found.
    let before = all.into_iter().filter(|department| reached.contains(department.id.key().as_ref()));
    let departments = before.chain(departments).collect();
    let mut fresh = Audience::new(departments, people.open_ids, people.union_ids, people.user_ids);
    people::sift(app, &mut fresh, false).await?;
    fresh.departments.retain(|department| !reached.contains(department.id.key().as_ref()));
    fresh.covered.splice(0..0, covered);
    Ok(fresh)
}
