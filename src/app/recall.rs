//! Takes back what was sent: writes down what somebody wants back, and asks Feishu for it, batch by batch.
//!
//! What is wanted is in the ledger before the first call. A delete that was made twice is one delete, so whoever dies on
//! the way leaves nothing behind that the next one could not simply do again. How far Feishu comes with it is asked by
//! [`super::progress`].

use std::time::Duration;

use jiff::tz::TimeZone;
use tracing::Instrument;

use super::follow::follow;
use super::press::cancel_planned;
use super::{App, LEASE, Step, about};
use crate::domain::audit::{Deed, Entry};
use crate::domain::batch::{BatchState, retry_wait};
use crate::domain::broadcast::{Broadcast, Stale};
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::recall::{Recall, RecallStage};
use crate::domain::report::Report;
use crate::feishu::error::{CallError, Class};
use crate::store::recalls::RecallClaim;
use crate::store::{StoreError, Tx};
use crate::view::recall::Begun;

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
}

impl Ordered {
    /// What there is to say of it.
    pub fn said<'a>(&'a self, batch: Option<u32>, zone: &'a TimeZone) -> Begun<'a> {
        let Ordered { report, batches, cancelled, on_their_way } = self;
        Begun { report, zone, batch, batches: *batches, cancelled: *cancelled, on_their_way: *on_their_way }
    }
}

/// Takes a broadcast back, or one batch of it. `version` is that of the card; none for a command, which speaks of the
/// broadcast as it is. Whether `by` may has been decided before. The copies of its card follow from `cards_from` on.
pub async fn order(
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
    let ordered = Ordered {
        report: Report::of(&batches),
        batches: wanted.len(),
        cancelled: if whole { count(BatchState::Planned) } else { 0 },
        on_their_way: if whole { count(BatchState::Sending) } else { 0 },
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
    tracing::info!(broadcast = %before.id, %by, batches = ordered.batches, whole, "a recall was asked for");
    Ok(Ok(ordered))
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
        Class::Unknown => (INSIST_ON_UNKNOWN, None),
        Class::Permanent if error.code() == Some(NOT_FOUND) && fresh => (INSIST, None),
        Class::Permanent | Class::FixSetup => (Duration::ZERO, None),
    };
    if tried < insist {
        return (RecallStage::Wanted, Some(now.after(retry_wait(claim.tries, asked, app.jitter()))));
    }
    (RecallStage::Refused { code: error.code(), scopes: error.scopes().to_vec() }, None)
}
