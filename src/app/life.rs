//! Says every moment that the bot is alive, and finds out that it was not.
//!
//! After a long silence, on a copy of the database or on one that is older than what was sent with it, whatever is
//! still to be sent is put on hold: its author is asked before anything leaves. This comes first at every start, and
//! nothing is claimed for sending while nobody has said for [`AWAY_MAX`] that the bot is alive, so that a machine
//! that was frozen and woken asks as well.

use std::time::Duration;

use super::App;
use super::news::tell_author;
use crate::domain::audit::{Deed, Entry};
use crate::domain::broadcast::State;
use crate::domain::hold::{AWAY_MAX, HoldCause};
use crate::domain::ids::{BroadcastId, Timestamp};
use crate::domain::report::Report;
use crate::store::{StoreError, Tx};

/// How long it may take: a database that has gone silent does not say that it has.
const BEAT_MAX: Duration = Duration::from_secs(10);

/// Says that the bot is alive. Safe to call from any replica at any time. Whether it could be said is what `/readyz`
/// answers: it is a write like any other.
pub async fn beat(app: &App) -> Result<(), StoreError> {
    let beaten = tokio::time::timeout(BEAT_MAX, say_alive(app)).await.unwrap_or(Err(StoreError::Unavailable));
    app.store.report(beaten.is_ok());
    beaten
}

async fn say_alive(app: &App) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    let home = tx.home(&app.store).await?;
    let last = tx.last_seen(&app.store, &home).await?;
    // Only now: whoever stood still before its turn must not tell the others that nobody has been there for long.
    let now = app.now();
    let cause = if last.elsewhere {
        Some(HoldCause::Restored)
    } else if last.at.after(AWAY_MAX) < now {
        Some(HoldCause::Downtime)
    } else {
        None
    };
    if let Some(cause) = cause {
        // Nobody was ever at work on a new one.
        if last.at != Timestamp(0) {
            tx.record(Entry::alone(Deed::Returned, now).with("cause", cause).with("last_seen", last.at));
        }
        // An old database also believes undecided what has long been decided.
        for id in tx.unsent(cause == HoldCause::Restored).await? {
            match hold(&mut tx, &id, cause, now).await {
                // It cannot be sent either, and must not keep the others from being asked about.
                Err(StoreError::Unreadable(why)) => tracing::error!(broadcast = %id, why, "a broadcast cannot be read"),
                held => held?,
            }
        }
    }
    tx.say_alive(&home, now).await?;
    tx.commit().await?;
    app.store.settle_in();
    if cause.is_some() {
        app.wake_all();
    }
    Ok(())
}

async fn hold(tx: &mut Tx, id: &BroadcastId, cause: HoldCause, now: Timestamp) -> Result<(), StoreError> {
    let Some(before) = tx.broadcast(id).await? else { return Ok(()) };
    let report = Report::of(&tx.batches(id).await?);
    // What is under way may come back unsent.
    if !before.state.is_undecided() && report.open == 0 {
        return Ok(());
    }
    // An absence that ended before its time, or a little after, has delayed nothing.
    let on_time = before.send_at.is_some_and(|at| before.state == State::Scheduled && now <= at.after(AWAY_MAX));
    if on_time && cause == HoldCause::Downtime {
        return Ok(());
    }
    let Some(held) = before.clone().on_hold(cause, now) else { return Ok(()) };
    tx.update_broadcast(&held, before.revision).await?;
    tx.record(Entry::about(&held, Deed::Held, now).with("cause", cause));
    tx.want_cards(id, held.revision, now).await?;
    tell_author(tx, &held, &report, now).await?;
    tracing::warn!(broadcast = %id, ?cause, "a broadcast is on hold until its author says go on");
    Ok(())
}
