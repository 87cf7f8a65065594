//! What must hold when a story ends.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::Task;
use super::record::PushKind;
use super::tenant::Tenant;
use super::world::World;

impl Tenant {
    /// Everything that is wrong with what happened so far; empty is right.
    pub fn leftovers(&self) -> Vec<String> {
        self.with(|world| {
            world.settle();
            let mut wrong = world.violations.clone();
            wrong.extend(doubled(world));
            wrong.extend(unapproved(world));
            wrong.extend(unanswered(world));
            wrong.extend(armed(world));
            wrong
        })
    }

    /// Fails the story unless the platform's contract was kept.
    ///
    /// # Panics
    /// Lists everything of [`Tenant::leftovers`].
    #[track_caller]
    pub fn assert_clean(&self) {
        let wrong = self.leftovers();
        assert!(wrong.is_empty(), "the platform's contract was broken:\n- {}", wrong.join("\n- "));
    }
}

/// What was sent as a broadcast: without the copies that people asked to be shown beforehand, each by a call of its own to
/// nobody else, and no more of them than they pressed for.
fn broadcasts(world: &World) -> Vec<&Task> {
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    for press in world.pressed.iter().filter(|press| press.action == "preview" && press.welcomed) {
        *shown.entry(&press.person).or_default() += 1;
    }
    let mut tasks = vec![];
    for task in &world.tasks {
        let left = alone(task).and_then(|person| shown.get_mut(person)).filter(|left| **left > 0);
        match left {
            Some(left) => *left -= 1,
            None => tasks.push(task),
        }
    }
    tasks
}

/// Whom a call addresses that addresses one person by open_id and nobody else.
fn alone(task: &Task) -> Option<&str> {
    let others = ["department_ids", "user_ids", "union_ids"];
    let list = task.body.get("open_ids")?.as_array()?;
    let only = list.len() == 1 && others.iter().all(|key| task.body.get(key).is_none());
    list.first()?.as_str().filter(|_| only)
}

/// How often a person pressed `resend` and was not turned away.
fn resends(world: &World) -> usize {
    world.pressed.iter().filter(|press| press.action == "resend" && press.welcomed).count()
}

/// How many broadcasts somebody approved, each once however many pressed.
fn approved(world: &World) -> usize {
    let approvals = world.pressed.iter().filter(|press| press.action == "approve" && press.welcomed);
    approvals.map(|press| press.broadcast.as_str()).collect::<BTreeSet<_>>().len()
}

/// Nobody gets the same content twice, and no call is accepted twice, unless a person pressed `resend` for it or the
/// same content was approved again.
fn doubled(world: &World) -> Vec<String> {
    let mut wrong = vec![];
    let resends = resends(world);
    let mut bodies: BTreeMap<&str, usize> = BTreeMap::new();
    let mut copies: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let tasks = broadcasts(world);
    for task in &tasks {
        *bodies.entry(&task.fingerprint).or_default() += 1;
        for open_id in &task.recipients[..task.delivered] {
            *copies.entry((open_id, &task.content_hash)).or_default() += 1;
        }
    }
    let contents: BTreeSet<&str> = tasks.iter().map(|task| task.content_hash.as_str()).collect();
    // Every broadcast beyond one per content may have been the same words once more.
    let again = approved(world).saturating_sub(contents.len());
    let most = 1 + resends + again;
    for (_, times) in bodies.into_iter().filter(|(_, times)| *times > most) {
        wrong.push(format!("the same batch was accepted {times} times after {resends} resends"));
    }
    for ((open_id, _), times) in copies.into_iter().filter(|(_, times)| *times > most) {
        wrong.push(format!("{} got the same message {times} times", world.employee(open_id).name));
    }
    for (open_id, inbox) in &world.inboxes {
        let distinct: BTreeSet<&str> = inbox.iter().map(|copy| copy.bm_id.as_str()).collect();
        if distinct.len() < inbox.len() {
            wrong.push(format!("{} got one batch twice", world.employee(open_id).name));
        }
    }
    wrong
}

/// Nothing is sent that nobody approved.
fn unapproved(world: &World) -> Option<String> {
    let contents: BTreeSet<&str> = broadcasts(world).iter().map(|task| task.content_hash.as_str()).collect();
    let approvals = approved(world);
    (contents.len() > approvals).then(|| format!("{} contents were sent after {approvals} approvals", contents.len()))
}

/// Every event was answered 200 in the end, or its repeats are over.
fn unanswered(world: &World) -> Vec<String> {
    let owed = world.owed.iter().map(|owed| {
        format!("event {} ({}) is still owed: push {}", owed.event.event_type, owed.event.event_id, owed.attempt)
    });
    let given_up =
        world.pushes.iter().filter(|push| push.kind == PushKind::Event && push.attempt > 4 && push.status != 200);
    owed.chain(given_up.map(|push| format!("event {} was never taken", push.event_type))).collect()
}

/// A fault that never struck proves nothing.
fn armed(world: &World) -> Vec<String> {
    world.faults.iter().map(|fault| format!("a fault on {} never struck: {:?}", fault.endpoint, fault.effect)).collect()
}
