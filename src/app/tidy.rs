//! What time alone brings about: deadlines that pass, senders that are gone, memories that may fade.

use std::time::Duration;

use super::follow::follow;
use super::news::tell_author;
use super::press::cancel_planned;
use super::{App, Step, audit, authorize, errands, life, remind};
use crate::domain::audit::{Deed, Entry};
use crate::domain::batch::{BatchState, DoubtCause};
use crate::domain::ids::{BroadcastId, Timestamp};
use crate::domain::report::Report;
use crate::store::{Engine, StoreError};

/// How long seen keys are remembered. Source: contract "duplicates": at least 7 days, longer than the 24 h window.
const REMEMBER: Duration = Duration::from_secs(8 * 24 * 3600);

/// Does what is due. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    let now = app.now();
    let mut worked = Step::Idle;
    for id in app.store.overdue(now).await? {
        if looked_after(&id, expire(app, &id).await) {
            worked = Step::Worked;
        }
    }
    for id in app.store.to_remind(now).await? {
        if looked_after(&id, remind::remind(app, &id).await) {
            worked = Step::Worked;
        }
    }
    for id in app.store.abandoned(now).await? {
        if looked_after(&id, doubt(app, &id, now).await) {
            worked = Step::Worked;
        }
    }
    for id in app.store.woken(now).await? {
        if looked_after(&id, come(app, &id).await) {
            worked = Step::Worked;
        }
    }
    for id in app.store.in_first_wave().await? {
        match first_wave(app, &id).await {
            Ok(true) => worked = Step::Worked,
            Ok(false) => {}
            Err(error) => drop(looked_after(&id, Err(error))),
        }
    }
    if worked == Step::Worked {
        app.wake_all();
    }
    Ok(worked)
}

/// At the start, before anything is taken: was the bot away too long, or is this another database?
///
/// Then, for the only process on this store: whatever was taken has no holder any more. Work goes on at once
/// instead of when the leases end; a batch found in `sending` has no sender and is in doubt.
pub async fn begin(app: &App) -> Result<(), StoreError> {
    audit::anchor(&app.store.begin_chain(app.now()).await?);
    life::beat(app).await?;
    if app.store.engine() == Engine::Postgres {
        // Other replicas may be at work: only leases that have run out are anybody's.
        return Ok(());
    }
    app.store.free_leases(app.now()).await?;
    let end_of_time = Timestamp(i64::MAX);
    for id in app.store.abandoned(end_of_time).await? {
        looked_after(&id, doubt(app, &id, end_of_time).await);
    }
    Ok(())
}

/// Forgets what is old enough. Events and letters only; broadcasts stay, and so does every row of the audit chain.
pub async fn prune(app: &App) -> Result<(), StoreError> {
    let before = Timestamp(app.now().0.saturating_sub(i64::try_from(REMEMBER.as_millis()).unwrap_or(i64::MAX)));
    app.store.prune_events(before).await?;
    app.store.prune_errands(before).await?;
    audit::anchor(&app.store.begin_chain(app.now()).await?);
    authorize::seal_anew(app).await?;
    app.store.prune_letters(before).await
}

/// Whether something was done. One broadcast that cannot be read, or that somebody else is changing, holds up no other;
/// it is found again.
fn looked_after(id: &BroadcastId, done: Result<(), StoreError>) -> bool {
    match done {
        Ok(()) => true,
        Err(StoreError::Conflict) => false,
        Err(error) => {
            tracing::error!(broadcast = %id, %error, "a broadcast could not be looked after");
            false
        }
    }
}

async fn expire(app: &App, id: &BroadcastId) -> Result<(), StoreError> {
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let Some(before) = tx.broadcast(id).await? else { return Ok(()) };
    // Somebody may have decided since it was found.
    let Ok(expired) = before.clone().expire(now) else { return Ok(()) };
    cancel_planned(&mut tx, id).await?;
    tx.update_broadcast(&expired, before.revision).await?;
    tx.record(Entry::about(&expired, Deed::Expired, now));
    errands::give_back(&mut tx, &expired, now).await?;
    tx.want_cards(id, expired.revision, now).await?;
    tell_author(&mut tx, &expired, &Report::default(), now).await?;
    tx.commit().await?;
    tracing::info!(broadcast = %id, "a broadcast expired");
    Ok(())
}

/// A scheduled broadcast counts down, leaves, or asks its author whether it still should.
async fn come(app: &App, id: &BroadcastId) -> Result<(), StoreError> {
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let Some(before) = tx.broadcast(id).await? else { return Ok(()) };
    let Some(after) = before.clone().come(now) else { return Ok(()) };
    tx.update_broadcast(&after, before.revision).await?;
    tx.want_cards(id, after.revision, now).await?;
    if after.hold.is_some() {
        let report = Report::of(&tx.batches(id).await?);
        tell_author(&mut tx, &after, &report, now).await?;
    }
    match after.hold {
        Some(hold) => tx.record(Entry::about(&after, Deed::Held, now).with("cause", hold.cause)),
        None if after.state != before.state => tx.record(Entry::about(&after, Deed::Due, now)),
        None => {}
    }
    tx.commit().await?;
    if after.state != before.state || after.hold.is_some() {
        tracing::info!(broadcast = %id, state = after.state.as_str(), held = after.hold.is_some(), "the time of a broadcast has come");
    }
    Ok(())
}

/// What the first wave says is heard also where nothing else changes any more: nobody asks for its delivery, a person
/// settled what was in doubt, or it was on hold when the last number came in. Whether it said anything.
async fn first_wave(app: &App, id: &BroadcastId) -> Result<bool, StoreError> {
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let Some(before) = tx.broadcast(id).await? else { return Ok(false) };
    let batches = tx.batches(id).await?;
    if before.hear_first_wave(&batches, now).is_none() {
        return Ok(false);
    }
    follow(&mut tx, id, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Batches whose sender is gone may have left or not.
async fn doubt(app: &App, id: &BroadcastId, gone_by: Timestamp) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    let Some(broadcast) = tx.broadcast(id).await? else { return Ok(()) };
    let mut found = false;
    for mut batch in tx.batches(id).await? {
        if batch.state == BatchState::Sending && batch.not_before <= gone_by && !app.under_way.has(&batch) {
            found = true;
            batch.state = BatchState::InDoubt;
            batch.outcome.doubt = Some(DoubtCause::Stopped);
            tx.move_batch(&batch, BatchState::Sending).await?;
            let lost = Entry::about(&broadcast, Deed::Lost, app.now()).with("batch", batch.seq);
            tx.record(lost.with("attempt", batch.attempts));
        }
    }
    if !found {
        return Ok(());
    }
    follow(&mut tx, id, app.now()).await?;
    tx.commit().await?;
    tracing::warn!(broadcast = %id, "a batch was found without its sender and is in doubt");
    Ok(())
}
