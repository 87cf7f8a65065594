//! The transactions of `app::press`, `app::dispatch`, `app::tidy`, `app::life`, `app::recall`, `app::progress` and of `/cancel`
//! and `/recall`, each as its statements: the same moves of the same values in the same order, without cards and letters.
//! What a rule in `domain` allows or refuses is asked of that rule itself, and so is the policy.

mod back;
mod time;

use feishu_broadcast::domain::audience::{Audience, DepartmentTarget};
use feishu_broadcast::domain::batch::{Batch, BatchState, DoubtCause, Verdict};
use feishu_broadcast::domain::broadcast::{Broadcast, State};
use feishu_broadcast::domain::ids::{OpenId, Timestamp};
use feishu_broadcast::domain::plan;
use feishu_broadcast::domain::policy::{Action, Deed, Policy};

use super::ledger::{Conflict, Ledger, Statement, Tx};

pub(super) use back::{Delivery, RecallClaim, Reply, ask_back, heard, order, settle_recall};
pub(super) use time::{come, expire, first_wave, hold};

/// How long a sender answers for its batch, in ms; any number will do, since leases run out by a move of their own.
const LEASE_MS: i64 = 45_000;

/// A press as it arrives: the version is that of the card.
#[derive(Debug, Clone, Copy)]
pub(super) struct Press {
    pub(super) person: &'static OpenId,
    pub(super) action: Action,
    pub(super) version: i64,
}

/// A batch on its way: what its sender knows, and nobody else.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) batch: Batch,
    pub(super) fence: i64,
}

/// `app::press::decide`. `None`: the toast says why not, and nothing changes.
pub(super) fn press(tx: &mut Tx, policy: &Policy, press: &Press, now: Timestamp) -> Result<Option<()>, Conflict> {
    let deed = Deed::Press { action: press.action, of: tx.sees.broadcast.asked() };
    if policy.may(press.person, &deed).is_err() {
        return Ok(None);
    }
    let before = tx.sees.broadcast.clone();
    let broadcast = before.clone();
    let moved = match press.action {
        Action::Pick => return pick(tx, press.version, now),
        Action::Approve => {
            let broadcast = broadcast.judged_by(policy);
            broadcast.approve(press.person, press.version, now)
        }
        Action::Reject => broadcast.reject(press.person, None, press.version, now),
        Action::Cancel if press.version != before.version => return Ok(None),
        Action::Cancel => return cancel(tx, press.person, now),
        Action::Resend => return decide_doubt(tx, press.version, BatchState::Planned, now),
        Action::Settle => return decide_doubt(tx, press.version, BatchState::TakenAsSent, now),
        Action::Confirm => return go_on(tx, press.version, now),
        Action::Recall => return order(tx, press.person, None, Some(press.version), now),
        Action::Schedule => return time::reschedule(tx, press.version, now),
        // They change no stage; an edit is told in `hand`: here a press carries no content, and so changes nothing.
        Action::Refresh | Action::Preview | Action::Correct | Action::Edit => return Ok(None),
    };
    let Ok(after) = moved else { return Ok(None) };
    update(tx, &after, &before)?;
    if after.state == State::Rejected {
        cancel_planned(tx)?;
    }
    Ok(Some(()))
}

/// `app::press::pick`, of an audience that holds nothing but what is chosen.
fn pick(tx: &mut Tx, version: i64, now: Timestamp) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    let picked = before.clone().pick(Audience::default(), &offered(&before), version, now);
    let Ok((after, audience)) = picked else { return Ok(None) };
    update(tx, &after, &before)?;
    if after.state == State::Pending {
        tx.run(Statement::InsertBatches { count: plan::batches(&audience).len() })?;
    }
    Ok(Some(()))
}

/// The department that the card offers first.
fn offered(broadcast: &Broadcast) -> feishu_broadcast::domain::ids::DepartmentId {
    let candidates = broadcast.questions.first().map(|question| question.candidates.as_slice()).unwrap_or_default();
    let elsewhere = || DepartmentTarget::unverified(super::department("od-elsewhere"));
    candidates.first().cloned().unwrap_or_else(elsewhere).id
}

/// `/cancel ID`, and the press once its version was found to be right.
pub(super) fn cancel(tx: &mut Tx, person: &OpenId, now: Timestamp) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    let Ok(cancelled) = before.clone().cancel(person, &tx.sees.report(), now) else { return Ok(None) };
    cancel_planned(tx)?;
    let after = if cancelled.state == State::Cancelled { cancelled } else { cancelled.follow(&tx.sees.report(), now) };
    update(tx, &after, &before)?;
    Ok(Some(()))
}

fn cancel_planned(tx: &mut Tx) -> Result<(), Conflict> {
    for mut batch in tx.sees.batches() {
        if batch.state == BatchState::Planned {
            batch.state = BatchState::Cancelled;
            tx.run(Statement::MoveBatch { batch, from: BatchState::Planned })?;
        }
    }
    Ok(())
}

fn decide_doubt(tx: &mut Tx, version: i64, to: BatchState, now: Timestamp) -> Result<Option<()>, Conflict> {
    if tx.sees.broadcast.doubt_is_open(version, &tx.sees.report()).is_err() {
        return Ok(None);
    }
    let before = tx.sees.broadcast.clone();
    for mut batch in tx.sees.batches() {
        if batch.state == BatchState::InDoubt {
            batch.state = to;
            batch.not_before = now;
            tx.run(Statement::MoveBatch { batch, from: BatchState::InDoubt })?;
        }
    }
    let mut after = before.clone();
    // Whoever sends again takes an earlier cancelling or recalling back; whoever settles does not.
    if to == BatchState::Planned {
        after.ending = None;
        after.recall = after.recall.filter(|order| !order.whole);
    }
    let after = after.follow(&tx.sees.report(), now);
    update(tx, &after, &before)?;
    Ok(Some(()))
}

fn go_on(tx: &mut Tx, version: i64, now: Timestamp) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    let Ok(mut after) = before.clone().go_on(version, now) else { return Ok(None) };
    if let Some(code) = before.refused_for(&tx.sees.report()) {
        for mut batch in tx.sees.batches() {
            if batch.state == BatchState::Refused && batch.outcome.code == Some(code) {
                batch.state = BatchState::Planned;
                batch.not_before = now;
                batch.outcome.code = None;
                batch.outcome.scopes.clear();
                tx.run(Statement::MoveBatch { batch, from: BatchState::Refused })?;
            }
        }
        after = after.follow(&tx.sees.report(), now);
    }
    update(tx, &after, &before)?;
    Ok(Some(()))
}

/// `app::dispatch::take`. Where refusals came in while it waited, nothing is claimed, and its author is asked instead.
pub(super) fn take(tx: &mut Tx, now: Timestamp) -> Result<Option<Claim>, Conflict> {
    let Some(seq) = tx.sees.next_batch(now) else { return Ok(None) };
    let before = tx.sees.broadcast.clone();
    let mut taken = Tx::begin(&tx.sees);
    taken.run(Statement::ClaimBatch { seq, now, lease_until: Timestamp(now.0 + LEASE_MS) })?;
    let started = before.clone().follow(&taken.sees.report(), now);
    if started.hold.is_some() {
        follow(tx, &before, now)?;
        return Ok(None);
    }
    update(&mut taken, &started, &before)?;
    *tx = taken;
    let row = tx.sees.row(seq);
    Ok(Some(Claim { batch: row.batch.clone(), fence: row.fence }))
}

/// `app::dispatch::send`, after the call: the verdict settles the batch, and `write_once` records it.
pub(super) fn record(tx: &mut Tx, claim: &Claim, verdict: Verdict, now: Timestamp) -> Result<Option<()>, Conflict> {
    let mut settled = claim.batch.clone().settle(verdict, None, now, 0);
    let before = tx.sees.broadcast.clone();
    if before.ending.is_some() && settled.state == BatchState::Planned {
        settled.state = BatchState::Cancelled;
    }
    let accepted = settled.state == BatchState::Accepted;
    tx.run(Statement::SettleBatch { batch: settled, fence: claim.fence })?;
    if accepted && before.is_wanted_back() {
        tx.run(Statement::WantRecall { seq: claim.batch.seq })?;
    }
    follow(tx, &before, now)?;
    Ok(Some(()))
}

/// `app::tidy::doubt`, for the batches whose leases have run out.
pub(super) fn doubt(tx: &mut Tx, run_out: &[i64], now: Timestamp) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    for mut batch in tx.sees.batches() {
        if batch.state == BatchState::Sending && run_out.contains(&batch.seq) {
            batch.state = BatchState::InDoubt;
            batch.outcome.doubt = Some(DoubtCause::Stopped);
            tx.run(Statement::MoveBatch { batch, from: BatchState::Sending })?;
        }
    }
    follow(tx, &before, now)?;
    Ok(Some(()))
}

/// `app::follow::follow`.
fn follow(tx: &mut Tx, before: &Broadcast, now: Timestamp) -> Result<(), Conflict> {
    let after = before.clone().follow(&tx.sees.report(), now);
    let after = after.clone().hear_first_wave(&tx.sees.batches(), now).unwrap_or(after);
    update(tx, &after, before)
}

fn update(tx: &mut Tx, after: &Broadcast, before: &Broadcast) -> Result<(), Conflict> {
    tx.run(Statement::UpdateBroadcast { after: Box::new(after.clone()), read: before.revision })
}

/// What there is in the ledger to begin with.
pub(super) fn ledger(broadcast: Broadcast, batches: usize) -> Ledger {
    let mut ledger = Ledger { broadcast, rows: Vec::new() };
    if ledger.broadcast.state != State::NeedsChoice {
        ledger.insert_batches(batches);
    }
    ledger
}
