//! Keeps the lists of people that are kept in Feishu: who is admin, approver or author because a department or a user
//! group says so.
//!
//! Each list is read again every few minutes. What was read last is kept, in memory and in the store: a restart while
//! Feishu is away locks nobody out, and a list that was never read gives nobody a right. A list that is no more has no
//! members; one that cannot be read just now keeps those it had.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{App, Step};
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::policy::Listed;
use crate::feishu::error::CallError;
use crate::store::StoreError;

/// How often a list is read. Source: none; somebody who leaves a list loses their rights within this time.
const READ_EVERY: Duration = Duration::from_secs(5 * 60);

/// When a list is read again that could not be read.
const READ_AGAIN: Duration = Duration::from_secs(30);

/// When each list is to be read next.
#[derive(Default)]
pub struct Rosters(Mutex<Vec<(Listed, Timestamp)>>);

impl Rosters {
    /// One of the lists whose time has come; one that is new has it at once.
    fn due(&self, lists: &BTreeSet<&Listed>, now: Timestamp) -> Option<Listed> {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        next.retain(|(list, _)| lists.contains(list));
        let waits = |list: &Listed| next.iter().any(|(other, at)| other == list && now < *at);
        lists.iter().find(|list| !waits(list)).map(|list| (*list).clone())
    }

    fn again(&self, list: Listed, at: Timestamp) {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        next.retain(|(other, _)| *other != list);
        next.push((list, at));
    }
}

/// At the start, before anybody is served: what was known last, and for lists of which nothing is, one look.
pub async fn begin(app: &App) -> Result<(), StoreError> {
    let policy = app.policy();
    for list in policy.lists() {
        if !remember(app, list).await? {
            read(app, list.clone()).await?;
        }
    }
    Ok(())
}

/// Reads one list that is due.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    let policy = app.policy();
    let Some(list) = app.rosters.due(&policy.lists(), app.now()) else { return Ok(Step::Idle) };
    if policy.rolls().of(&list).is_none() {
        remember(app, &list).await?;
    }
    read(app, list).await?;
    Ok(Step::Worked)
}

/// Takes what the store knows of a list; says whether it knows anything.
async fn remember(app: &App, list: &Listed) -> Result<bool, StoreError> {
    let Some(members) = app.store.roster(&list.to_string()).await? else { return Ok(false) };
    put(app, list, members);
    Ok(true)
}

async fn read(app: &App, list: Listed) -> Result<(), StoreError> {
    // Whatever becomes of it, it is not asked about again at once.
    app.rosters.again(list.clone(), app.now().after(READ_AGAIN));
    let members: BTreeSet<OpenId> = match members(app, &list).await {
        Ok(Some(members)) => members.into_iter().collect(),
        Ok(None) => {
            tracing::error!(%list, "there is no such department or user group; nobody has a right by it");
            BTreeSet::new()
        }
        Err(error) => {
            let known = app.policy().rolls().of(&list).is_some();
            tracing::warn!(%list, %error, known, "a list of people could not be read; whoever was on it last stays");
            metrics::counter!("feishu_broadcast_lists_unread_total").increment(1);
            return Ok(());
        }
    };
    let mut tx = app.store.begin().await?;
    tx.write_roster(&list.to_string(), &members, app.now()).await?;
    tx.commit().await?;
    if put(app, &list, members) {
        tracing::info!(%list, "the people on a list have changed");
    }
    app.rosters.again(list, app.now().after(READ_EVERY));
    Ok(())
}

async fn members(app: &App, list: &Listed) -> Result<Option<Vec<OpenId>>, CallError> {
    app.look_ups.next(&app.store, || app.now()).await;
    match list {
        Listed::Department(id) => app.feishu.members_of_department(app.now(), id).await,
        Listed::Group(id) => app.feishu.members_of_group(app.now(), id).await,
    }
}

/// Puts members into the rules in force; says whether anything changed.
fn put(app: &App, list: &Listed, members: BTreeSet<OpenId>) -> bool {
    let mut changed = false;
    app.rules.change(|policy| {
        let mut rolls = policy.rolls().clone();
        changed = rolls.put(list.clone(), members);
        policy.clone().with_rolls(rolls)
    });
    changed
}
