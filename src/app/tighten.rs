//! Holds what waits for its approvals to rules that have become stricter: whoever has a say in it now and was not asked
//! gets a card, and everybody sees what it takes. Rules that ask for less change nothing of what was asked for.
//!
//! Looked at once after every start and whenever the rules or the people on their lists have changed. A press may come
//! before that, and is held to the rules of its own moment: see [`super::press`].

use tracing::Instrument;

use super::news::tell_as;
use super::request::ask;
use super::{App, Step, about};
use crate::domain::audit::{Deed, Entry};
use crate::domain::broadcast::State;
use crate::domain::ids::{BroadcastId, OpenId};
use crate::domain::policy::Policy;
use crate::store::StoreError;
use crate::store::cards::CardRole;
use crate::view::policy as said;

/// Looks at everything that is pending, where the rules are new to it. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    let Some(policy) = app.rules.new_to_pending() else { return Ok(Step::Idle) };
    let mut worked = Step::Idle;
    for id in app.store.pending().await? {
        match hold_to(app, &policy, &id).instrument(about("tighten", &id)).await {
            Ok(true) => worked = Step::Worked,
            Ok(false) => {}
            // It cannot be approved either, and must not keep the others from being looked at.
            Err(StoreError::Unreadable(why)) => tracing::error!(broadcast = %id, why, "a broadcast cannot be read"),
            // All are looked at again, and nothing is done twice.
            Err(error) => return Err(error),
        }
    }
    app.rules.held_to(policy);
    if worked == Step::Worked {
        app.wake_all();
    }
    Ok(worked)
}

/// Whether anything had to be changed or anybody to be asked.
async fn hold_to(app: &App, policy: &Policy, id: &BroadcastId) -> Result<bool, StoreError> {
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let Some(before) = tx.broadcast(id).await? else { return Ok(false) };
    if before.state != State::Pending {
        return Ok(false);
    }
    let mut after = before.clone().tightened(policy);
    let missing = match after.required {
        0 => Vec::new(),
        _ => {
            let asked = tx.card_holders(id, CardRole::Approver).await?;
            let approvers = policy.approvers_of(&after.asked()).into_iter();
            approvers.filter(|approver| !asked.contains_key(approver)).cloned().collect::<Vec<OpenId>>()
        }
    };
    let stricter = after != before;
    // Who is on a list that was not read yet, nobody knows.
    let known = policy.lists().into_iter().all(|list| policy.rolls().of(list).is_some());
    let possible = known.then(|| policy.approvers_of(&after.asked()).len());
    if !stricter && missing.is_empty() {
        let required = usize::try_from(after.required).unwrap_or(usize::MAX);
        let Some(possible) = possible.filter(|possible| *possible < required) else { return Ok(false) };
        // Approvers have gone. Said once, and again when it has changed and still is so.
        tell_as(&mut tx, "too-few", &after, &said::too_few_left(&after, possible), now).await?;
        tx.commit().await?;
        return Ok(true);
    }
    after.revision += 1;
    tx.update_broadcast(&after, before.revision).await?;
    let entry = Entry::about(&after, Deed::Tightened, now)
        .with("required", after.required)
        .with("type_headcount", after.terms.type_headcount)
        .with("cooling_off_ms", after.terms.cooling_off_ms);
    tx.record(entry.with("asked", missing.len()));
    if !missing.is_empty() {
        let audience = tx.audience(id).await?;
        ask(app, &mut tx, &after, &audience, &missing, now).await?;
    }
    tx.want_cards(id, after.revision, now).await?;
    if stricter {
        tell_as(&mut tx, "tightened", &after, &said::tightened(&after, possible), now).await?;
    }
    tx.commit().await?;
    tracing::info!(required = after.required, asked = missing.len(), "a pending broadcast is held to new rules");
    Ok(true)
}
