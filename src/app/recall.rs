//! Takes back what was sent: writes down what somebody wants back, and asks Feishu for it, batch by batch.
//!
//! What is wanted is in the ledger before the first call. A delete that was made twice is one delete, so whoever dies on
//! the way leaves nothing behind that the next one could not simply do again. How far Feishu comes with it is asked by
//! [`super::progress`].

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;
use tracing::Instrument;

use super::follow::follow;
use super::news::tell;
use super::press::{cancel_planned, write_cancelled};
use super::{App, LEASE, Step, about};
use crate::domain::audit::{Deed, Entry};
use crate::domain::batch::{BatchState, retry_wait};
use crate::domain::broadcast::{Broadcast, Stale, State};
use crate::domain::ids::{BroadcastId, OpenId, Timestamp};
use crate::domain::recall::{Recall, RecallStage};
use crate::domain::report::Report;
use crate::feishu::error::{CallError, Class};
use crate::store::recalls::RecallClaim;
use crate::store::{StoreError, Tx};
use crate::view::recall::{self as said, Begun};

/// How long Feishu is asked for a batch that it neither gives back nor refuses.
const INSIST: Duration = Duration::from_secs(1800);

/// The same where nobody documents what it says.
const INSIST_ON_UNKNOWN: Duration = Duration::from_secs(120);

/// How long a batch may not be known yet after it was accepted. Source: contract "following up", inferred: 60 s.
const UNKNOWN_AT_FIRST: Duration = Duration::from_secs(60);

/// The id is not known: too fresh, too old, or wrong. Source: contract "following up".
const NOT_FOUND: i64 = 230_030;

/// The first question after a recall was taken in. Source: contract "following up", polling begins after 2 s.
const FIRST_POLL: Duration = Duration::from_secs(2);

/// What a recall set going.
pub struct Ordered {
    /// As it was before.
    pub report: Report,
    /// Batches that Feishu is asked about.
    pub batches: usize,
    /// Batches that were still to be sent and are not any more.
    pub cancelled: usize,
    /// Batches on their way, which follow when they turn out to be accepted.
    pub on_their_way: usize,
    pub repairs: Repairs,
}

/// Broadcasts that bring the content of one that is taken back to those whom it had not reached.
#[derive(Default)]
pub struct Repairs {
    /// Of these nothing leaves any more.
    pub stopped: Vec<BroadcastId>,
    /// Of these something has left, which this recall leaves where it is.
    pub sent: Vec<BroadcastId>,
}

impl Ordered {
    /// What there is to say of it.
    pub fn said<'a>(&'a self, batch: Option<u32>, zone: &'a TimeZone) -> Begun<'a> {
        let Ordered { report, batches, cancelled, on_their_way, repairs: Repairs { stopped, sent } } = self;
        let (batches, cancelled, on_their_way) = (*batches, *cancelled, *on_their_way);
        Begun { report, zone, batch, batches, cancelled, on_their_way, repairs_stopped: stopped, repairs_sent: sent }
    }
}

/// Takes a broadcast back, or one batch of it. `version` is that of the card; none for a command, which speaks of the
/// broadcast as it is. Whether `by` may has been decided before. The copies of its card follow from `cards_from` on.
pub async fn order(
    app: &App,
    tx: &mut Tx,
    before: &Broadcast,
    by: &OpenId,
    batch: Option<i64>,
    version: Option<i64>,
    [now, cards_from]: [Timestamp; 2],
) -> Result<Result<Ordered, Stale>, StoreError> {
    let batches = tx.batches(&before.id).await?;
    let version = version.unwrap_or(before.version);
    let (after, wanted) = match before.clone().take_back(by, batch, &batches, version, now) {
        Ok(taken) => taken,
        Err(stale) => return Ok(Err(stale)),
    };
    let count = |state: BatchState| batches.iter().filter(|row| row.state == state).count();
    let whole = after.is_wanted_back();
    let mut ordered = Ordered {
        report: Report::of(&batches),
        batches: wanted.len(),
        cancelled: if whole { count(BatchState::Planned) } else { 0 },
        on_their_way: if whole { count(BatchState::Sending) } else { 0 },
        repairs: Repairs::default(),
    };
    for seq in wanted {
        tx.want_recall(&before.id, seq, now).await?;
    }
    if whole {
        cancel_planned(tx, &before.id).await?;
    }
    let after = after.follow(&Report::of(&tx.batches(&before.id).await?), now);
    tx.update_broadcast(&after, before.revision).await?;
    tx.want_cards(&after.id, after.revision, cards_from).await?;
    if whole {
        // Last: each that ends unsent gives back to this one what it was for.
        ordered.repairs = stop_repairs(app, tx, &after, by, now).await?;
    }
    tracing::info!(broadcast = %before.id, %by, batches = ordered.batches, whole, "a recall was asked for");
    Ok(Ok(ordered))
}

/// Stops whatever is still to be sent of the repairs of a broadcast that is taken back, and of theirs: what was wrong for
/// some is not brought to others. A repair that has left keeps what it has sent, and is named. A correction says
/// something else, and stays.
async fn stop_repairs(
    app: &App,
    tx: &mut Tx,
    recalled: &Broadcast,
    by: &OpenId,
    now: Timestamp,
) -> Result<Repairs, StoreError> {
    let mut repairs = Repairs::default();
    let mut found: BTreeSet<BroadcastId> = recalled.repaired.values().cloned().collect();
    while let Some(id) = found.pop_first() {
        let before = match tx.broadcast(&id).await {
            Ok(Some(before)) => before,
            Ok(None) => continue,
            // It cannot be sent either, and must not keep the others from being taken back.
            Err(StoreError::Unreadable(why)) => {
                tracing::error!(broadcast = %id, why, "a repair cannot be read, and is not cancelled");
                continue;
            }
            Err(error) => return Err(error),
        };
        // A repair is proposed after what it repairs, so this comes to an end.
        found.extend(before.repaired.values().cloned());
        let report = Report::of(&tx.batches(&id).await?);
        if report.some_left() && before.state != State::Recalled {
            repairs.sent.push(id.clone());
        }
        let Ok(stopped) = before.clone().not_repaired_any_more(by, &recalled.id, &report, now) else { continue };
        write_cancelled(app, tx, &before, stopped, now).await?;
        let Some(after) = tx.broadcast(&id).await? else { continue };
        let entry = Entry::about(&after, Deed::Cancelled, now).by(by).with("from", before.state);
        tx.record(entry.with("to", after.state).with("recalled", &recalled.id));
        if after.state == State::Cancelled && *by != after.author {
            tell(tx, &after, &said::repair_stopped(&id, &recalled.id), now).await?;
        }
        tracing::info!(broadcast = %id, of = %recalled.id, "a repair of a recalled broadcast is not sent any more");
        repairs.stopped.push(id);
    }
    Ok(repairs)
}

/// Whether what a broadcast brings to others, or what that one brought, was taken back.
pub async fn source_is_taken_back(tx: &mut Tx, broadcast: &Broadcast) -> Result<bool, StoreError> {
    let mut of = broadcast.repairs.clone();
    while let Some(id) = of {
        let Some(source) = tx.broadcast(&id).await? else { return Ok(false) };
        if source.is_taken_back() {
            return Ok(true);
        }
        of = source.repairs;
    }
    Ok(false)
}

/// Asks for at most one batch back. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    if !app.store.has_recall(app.now()).await? {
        return Ok(Step::Idle);
    }
    // Before the claim: a lease is for the call, not for the wait.
    app.polls.next(&app.store, || app.now()).await;
    let now = app.now();
    let Some(claim) = app.store.claim_recall(now, now.after(LEASE)).await? else { return Ok(Step::Idle) };
    let about = about("recall", &claim.broadcast);
    ask_back(app, claim, now).instrument(about).await
}

async fn ask_back(app: &App, claim: RecallClaim, now: Timestamp) -> Result<Step, StoreError> {
    let answer = app.feishu.recall_batch(now, &claim.message_id).await;
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let Some(broadcast) = tx.broadcast(&claim.broadcast).await? else { return Ok(Step::Worked) };
    let (stage, again) = match &answer {
        Ok(()) => (RecallStage::Asked { at: now, same: 0 }, None),
        Err(error) => {
            tracing::warn!(%error, broadcast = %claim.broadcast, seq = claim.seq, "a batch was not recalled");
            refused(app, &claim, &broadcast, error, now)
        }
    };
    let known = tx.batch(&claim.broadcast, claim.seq).await?.and_then(|batch| batch.recall);
    let recall = Recall { stage, ..known.unwrap_or_else(Recall::wanted) };
    if !tx.settle_recall(&claim, &recall, again).await? {
        return Ok(Step::Worked);
    }
    if answer.is_ok() {
        tx.follow_recall(&claim, now.after(FIRST_POLL)).await?;
    }
    let outcome = match recall.stage {
        RecallStage::Wanted => "retry",
        RecallStage::Asked { .. } | RecallStage::Over => "accepted",
        RecallStage::Refused { .. } => "refused",
    };
    let error = answer.as_ref().err();
    let entry = Entry::about(&broadcast, Deed::RecallAnswered, now)
        .with("batch", claim.seq)
        .with("message_id", &claim.message_id)
        .with("outcome", outcome)
        .with_some("code", error.and_then(CallError::code))
        .with_some("log_id", error.and_then(CallError::log_id));
    tx.record(entry);
    metrics::counter!("feishu_broadcast_recalls_total", "outcome" => outcome).increment(1);
    tracing::info!(broadcast = %claim.broadcast, seq = claim.seq, outcome, "a recall was tried");
    follow(&mut tx, &claim.broadcast, now).await?;
    tx.commit().await?;
    app.wake_all();
    Ok(Step::Worked)
}

/// What a failure means: another try at that moment, or none.
fn refused(
    app: &App,
    claim: &RecallClaim,
    broadcast: &Broadcast,
    error: &CallError,
    now: Timestamp,
) -> (RecallStage, Option<Timestamp>) {
    let since = broadcast.recall.as_ref().map(|order| order.at).max(claim.accepted_at);
    let tried = since.map_or(INSIST, |since| now.since(since));
    let fresh = claim.accepted_at.is_some_and(|at| now.since(at) < UNKNOWN_AT_FIRST);
    let (insist, asked) = match error.class() {
        Class::Retry { after } => (INSIST, after),
        Class::Reauthenticate => (INSIST, None),
        // Not Feishu's word: it is as if nobody had answered.
        Class::Unknown if error.refusal().is_none() => (INSIST, None),
        Class::Unknown => (INSIST_ON_UNKNOWN, None),
        Class::Permanent if error.code() == Some(NOT_FOUND) && fresh => (INSIST, None),
        Class::Permanent | Class::FixSetup => (Duration::ZERO, None),
    };
    if tried < insist {
        return (RecallStage::Wanted, Some(now.after(retry_wait(claim.tries, asked, app.jitter()))));
    }
    (RecallStage::Refused { code: error.code(), scopes: error.scopes().to_vec() }, None)
}
