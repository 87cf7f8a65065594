//! What time does: a broadcast leaves, expires, or waits for its author; and its author gives it another time.

use feishu_broadcast::domain::broadcast::State;
use feishu_broadcast::domain::hold::{AWAY_MAX, HoldCause};
use feishu_broadcast::domain::ids::Timestamp;

use super::super::LEAVES;
use super::super::ledger::{Conflict, Tx};
use super::{cancel_planned, follow, update};

/// `app::reschedule::reschedule`, to the other one of two times: at once, and a moment that lies ahead.
pub(super) fn reschedule(tx: &mut Tx, version: i64, now: Timestamp) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    let at = if before.send_at.is_none() { Some(LEAVES) } else { None };
    if at.is_some_and(|at| at <= now) {
        return Ok(None);
    }
    let Ok(after) = before.clone().reschedule(at, version, now) else { return Ok(None) };
    update(tx, &after, &before)?;
    Ok(Some(()))
}

/// `app::tidy::come`.
pub(in super::super) fn come(tx: &mut Tx, now: Timestamp) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    let Some(after) = before.clone().come(now) else { return Ok(None) };
    update(tx, &after, &before)?;
    Ok(Some(()))
}

/// `app::tidy::first_wave`, for one of the broadcasts that `in_first_wave` finds.
pub(in super::super) fn first_wave(tx: &mut Tx, now: Timestamp) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    let gated = before.wave.and_then(|wave| wave.gate()).is_some();
    let found = gated && before.hold.is_none() && matches!(before.state, State::Approved | State::Sending);
    if !found || before.clone().hear_first_wave(&tx.sees.batches(), now).is_none() {
        return Ok(None);
    }
    follow(tx, &before, now)?;
    Ok(Some(()))
}

/// `app::tidy::expire`.
pub(in super::super) fn expire(tx: &mut Tx, now: Timestamp) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    let Ok(expired) = before.clone().expire(now) else { return Ok(None) };
    cancel_planned(tx)?;
    update(tx, &expired, &before)?;
    Ok(Some(()))
}

/// `app::life::hold`, for one of the broadcasts that `unsent` finds.
pub(in super::super) fn hold(tx: &mut Tx, cause: HoldCause, now: Timestamp) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    let undecided = before.state.is_undecided();
    let found = !undecided || cause == HoldCause::Restored;
    if !found || (!undecided && tx.sees.report().open == 0) {
        return Ok(None);
    }
    let on_time = before.send_at.is_some_and(|at| before.state == State::Scheduled && now <= at.after(AWAY_MAX));
    if on_time && cause == HoldCause::Downtime {
        return Ok(None);
    }
    let Some(held) = before.clone().on_hold(cause, now) else { return Ok(None) };
    update(tx, &held, &before)?;
    Ok(Some(()))
}
