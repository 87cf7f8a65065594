//! Sends one batch: claim it, call, write what came of it.
//!
//! `sending` is in the ledger before the first byte leaves and the outcome after the answer. Only what is certainly
//! unsent is ever planned again; what nobody can know stays in doubt until a person decides.

use std::convert::Infallible;
use std::time::Duration;

use tracing::Instrument;

use super::errands::give_back;
use super::follow::follow;
use super::news::tell_author;
use super::press::cancel_planned;
use super::{App, LEASE, RENEW_EVERY, Step, about, audit, pace};
use crate::domain::audit::{Deed, Entry};
use crate::domain::batch::{Batch, BatchState, DoubtCause, Verdict, WaitCause};
use crate::domain::broadcast::{Broadcast, State};
use crate::domain::ids::Timestamp;
use crate::domain::plan;
use crate::domain::quota::Day;
use crate::domain::report::Report;
use crate::feishu::error::{self, Class, SendError};
use crate::store::batches::BatchClaim;
use crate::store::pace::Ring;
use crate::store::{StoreError, Tx};

/// How long after it was taken a batch is sent without looking whether it still is ours: well within [`LEASE`].
const STALE: Duration = Duration::from_secs(10);

/// A wait for the pace that is worth showing; shorter ones are over before anybody looks.
const SHOWN_FROM: Duration = Duration::from_secs(3);

/// The first question about delivery. Source: contract "following up", polling begins after 2 s.
const FIRST_POLL: Duration = Duration::from_secs(2);

/// Calls of one batch that may be refused for the app's own credentials, before that counts as final.
const CREDENTIALS_TRIES_MAX: i64 = 6;

/// The day's messages are used up; nothing was sent. Source: batch_send, "error codes".
const QUOTA_USED_UP: i64 = 11_247;

/// How long a day counts as just begun, in ms.
const JUST_BEGUN_MS: i64 = 600_000;

/// Tries to write an outcome when the store does not answer. After that the batch will be found in doubt.
const WRITES_MAX: u32 = 8;
const COLLISIONS_MAX: u32 = 2;

/// Sends at most one batch. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    if turn(app).await? == Turn::Nothing {
        return Ok(Step::Idle);
    }
    match take(app).await? {
        Some(claimed) => send(app, claimed).await.map(|()| Step::Worked),
        None => Ok(Step::Idle),
    }
}

/// Whether a call may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Nothing,
    Go,
}

/// Looks whether a batch waits, reserves a call at the pace that all replicas share, and waits until it may be made.
/// May be dropped at any point: at worst a call is left out.
pub async fn turn(app: &App) -> Result<Turn, StoreError> {
    if !app.store.has_batch(app.now()).await? {
        return Ok(Turn::Nothing);
    }
    let at = app.store.reserve_call(Ring::Batches, app.now()).await?;
    let wait = at.since(app.now());
    if wait >= SHOWN_FROM {
        show_waiting(app, at).await?;
    }
    pace::waited(Ring::Batches, wait);
    tokio::time::sleep(wait).await;
    Ok(Turn::Go)
}

/// A batch that is being sent, with the content it carries.
pub struct Claimed {
    claim: BatchClaim,
    broadcast: Broadcast,
}

/// Takes the next batch: from here on it is `sending`, and whoever dropped it would leave it in doubt.
pub async fn take(app: &App) -> Result<Option<Claimed>, StoreError> {
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let home = tx.home(&app.store).await?;
    if !tx.lives_at(&home).await? {
        // Another database than a moment ago: [`super::life`] asks the authors first.
        return Ok(None);
    }
    let Some(next) = tx.next_batch(now).await? else { return Ok(None) };
    let broadcast = match tx.broadcast(&next.broadcast).await {
        Ok(Some(broadcast)) => broadcast,
        Ok(None) => return Err(StoreError::Unreadable("a batch without its broadcast".into())),
        Err(StoreError::Unreadable(why)) => {
            tracing::error!(broadcast = %next.broadcast, why, "a broadcast cannot be read; it is held, the others go on");
            drop(tx);
            app.store.set_aside(&next.broadcast).await?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // Another process may have been here since the look.
    let Some(claim) = tx.claim_batch(&next.broadcast, now, now.after(LEASE)).await? else { return Ok(None) };
    if !is_what_was_approved(&broadcast, &claim, &tx.digests(&broadcast.id).await?) {
        // Gives the claim back: the one writing connection is needed for what follows.
        drop(tx);
        refuse_tampered(app, broadcast).await?;
        return Ok(None);
    }
    if let Some(until) = quiet_until(app, now) {
        drop(tx);
        wait(app, &next, now, WaitCause::QuietHours, until).await?;
        return Ok(None);
    }
    if !tx.book(&claim.batch, Day::of(now)).await? {
        drop(tx);
        // Today's messages do not suffice for this batch, nor for those behind it.
        wait(app, &next, now, WaitCause::Quota, Day::of(now).over()).await?;
        return Ok(None);
    }
    let started = broadcast.clone().follow(&Report::of(&tx.batches(&broadcast.id).await?), now);
    if started.hold.is_some() {
        // Refusals came in while it waited for something else: its author is told instead.
        drop(tx);
        let mut tx = app.store.begin().await?;
        follow(&mut tx, &broadcast.id, now).await?;
        tx.commit().await?;
        app.wake_all();
        return Ok(None);
    }
    tx.update_broadcast(&started, broadcast.revision).await?;
    audit::called(&mut tx, &started, &claim.batch, now);
    if started.state != broadcast.state {
        tx.want_cards(&started.id, started.revision, now).await?;
    }
    tx.commit().await?;
    Ok(Some(Claimed { claim, broadcast }))
}

/// Makes the one call of a batch and writes what came of it.
pub async fn send(app: &App, claimed: Claimed) -> Result<(), StoreError> {
    let about = about("dispatch", &claimed.broadcast.id);
    let sending = async {
        tokio::select! {
            sent = call(app, &claimed) => sent,
            never = keep(app, &claimed.claim) => match never {},
        }
    };
    sending.instrument(about).await
}

async fn call(app: &App, claimed: &Claimed) -> Result<(), StoreError> {
    let Claimed { claim, broadcast } = claimed;
    let body = plan::request_body(&broadcast.content, &claim.targets);
    let departure = app.departures.leave(|| app.now()).await;
    // Frozen or starved since it was taken: others may have found it without a sender, and its author decided.
    if app.now().since(claim.taken_at) > STALE && !app.store.renew_batch(claim, app.now().after(LEASE)).await? {
        tracing::warn!(broadcast = %broadcast.id, seq = claim.batch.seq, "a batch was lost before its call; nothing was sent");
        return Err(StoreError::Conflict);
    }
    let answer = app.feishu.batch_send(app.now(), &body).await;
    app.departures.answered(departure, app.now());
    let (verdict, log_id) = match answer {
        Ok(accepted) => {
            (Verdict::Accepted { message_id: accepted.message_id, invalid: accepted.invalid }, accepted.log_id)
        }
        Err(error) => {
            tracing::warn!(%error, broadcast = %broadcast.id, seq = claim.batch.seq, "a batch was not accepted");
            app.images.heed(error.code());
            (verdict_of(&error, claim), error.log_id().map(str::to_owned))
        }
    };
    let outcome = outcome_word(&verdict);
    metrics::counter!("feishu_broadcast_batches_total", "outcome" => outcome).increment(1);
    tracing::info!(broadcast = %broadcast.id, seq = claim.batch.seq, outcome, "a batch was tried");
    let receipt = match &verdict {
        Verdict::Accepted { message_id, .. } => Some(message_id.clone()),
        _ => None,
    };
    let mut settled = claim.batch.clone().settle(verdict, log_id, app.now(), app.jitter());
    settled.outcome.labels = settled
        .outcome
        .invalid
        .keys()
        .filter_map(|key| claim.labels.get(key.as_ref()).map(|label| (key.clone().into_owned(), label.clone())))
        .collect();
    if let Err(error) = write(app, claim, settled).await {
        // The receipt would otherwise be lost: the batch will be found in doubt, and this line decides it.
        tracing::error!(%error, broadcast = %broadcast.id, seq = claim.batch.seq, ?receipt, "an outcome is not written");
        return Err(error);
    }
    app.wake_all();
    Ok(())
}

/// Says every now and then that a call is under way, beside the call itself. Whatever becomes of that, the call goes on:
/// only its answer tells what happened.
async fn keep(app: &App, claim: &BatchClaim) -> Infallible {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        if let Err(error) = app.store.renew_batch(claim, app.now().after(LEASE)).await {
            tracing::warn!(%error, broadcast = %claim.batch.broadcast, "a lease could not be renewed");
        }
    }
}

/// Says on the cards that the platform's limit is being waited for.
async fn show_waiting(app: &App, until: Timestamp) -> Result<(), StoreError> {
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let Some(seen) = tx.next_batch(now).await? else { return Ok(()) };
    tx.broadcast(&seen.broadcast).await?;
    let Some(next) = tx.next_batch(now).await?.filter(|next| *next == seen) else { return Ok(()) };
    postpone(app, tx, next, WaitCause::Pace, until).await
}

/// When the quiet hours of the rules are over; none outside of them.
pub(super) fn quiet_until(app: &App, now: Timestamp) -> Option<Timestamp> {
    app.policy().quiet().map(|quiet| quiet.next_allowed(now, &app.zone)).filter(|until| *until > now)
}

/// A batch that may not leave yet, for a reason of our own. Nothing was asked of Feishu.
async fn wait(app: &App, seen: &Batch, now: Timestamp, cause: WaitCause, until: Timestamp) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    tx.broadcast(&seen.broadcast).await?;
    let Some(next) = tx.next_batch(now).await?.filter(|next| next == seen) else { return Ok(()) };
    tracing::info!(broadcast = %next.broadcast, seq = next.seq, heads = next.heads, ?cause, "a batch waits");
    postpone(app, tx, next, cause, until).await
}

/// Lets a batch wait that has not been taken, visibly.
async fn postpone(
    app: &App,
    mut tx: Tx,
    mut batch: Batch,
    cause: WaitCause,
    until: Timestamp,
) -> Result<(), StoreError> {
    batch.outcome.waiting = Some(cause);
    batch.not_before = until;
    tx.move_batch(&batch, BatchState::Planned).await?;
    follow(&mut tx, &batch.broadcast, app.now()).await?;
    tx.commit().await?;
    app.wake.cards.notify_one();
    Ok(())
}

/// An approval covers these very bytes; whatever else stands in the ledger does not leave. The batch must have its own
/// digest, and all digests together the fingerprint.
fn is_what_was_approved(broadcast: &Broadcast, claim: &BatchClaim, digests: &[String]) -> bool {
    let digest = plan::digest(&broadcast.content, &claim.targets);
    let place = usize::try_from(claim.batch.seq - 1).ok();
    place.and_then(|place| digests.get(place)) == Some(&digest)
        && plan::fingerprint_of(digests) == broadcast.fingerprint
}

async fn refuse_tampered(app: &App, broadcast: Broadcast) -> Result<(), StoreError> {
    tracing::error!(broadcast = %broadcast.id, "content or targets are not what was approved; nothing more is sent");
    let now = app.now();
    let mut tx = app.store.begin().await?;
    cancel_planned(&mut tx, &broadcast.id).await?;
    let report = Report::of(&tx.batches(&broadcast.id).await?);
    let mut ended = broadcast.clone();
    ended.state = if report.some_left() { State::PartlySent } else { State::Failed };
    ended.version += 1;
    ended.revision += 1;
    tx.update_broadcast(&ended, broadcast.revision).await?;
    tx.record(Entry::about(&ended, Deed::Tampered, now).with("state", ended.state));
    tx.want_cards(&ended.id, ended.revision, now).await?;
    tell_author(&mut tx, &ended, &report, now).await?;
    if ended.state == State::Failed {
        give_back(&mut tx, &ended, now).await?;
    }
    tx.commit().await?;
    app.wake_all();
    Ok(())
}

/// What a failed call says about the batch.
fn verdict_of(error: &SendError, claim: &BatchClaim) -> Verdict {
    let batch = &claim.batch;
    if error.code() == Some(QUOTA_USED_UP) {
        let (called, just) = (claim.taken_at, claim.taken_at.0.saturating_sub(JUST_BEGUN_MS));
        // Where the day has just begun by our clock, it may not have by Feishu's.
        let moment = if Day::of(Timestamp(just)) == Day::of(called) {
            Day::of(called).over()
        } else {
            called.after(Duration::from_millis(JUST_BEGUN_MS.unsigned_abs()))
        };
        return Verdict::NotBefore { cause: WaitCause::Quota, moment };
    }
    // No receipt, and every single id called invalid: there was nobody left to send to.
    if let SendError::NoReceipt { invalid, .. } = error
        && invalid.count() > 0
        && invalid.count() == batch.ids
    {
        return Verdict::NothingValid { invalid: invalid.clone() };
    }
    match error.verdict() {
        error::Verdict::RetryAfter(wait) => {
            let cause = match error {
                SendError::NotSent(_) => WaitCause::Unreachable,
                SendError::NoToken(_) => WaitCause::Credentials,
                SendError::Answered(refusal) if refusal.class() == Class::Reauthenticate => WaitCause::Credentials,
                SendError::Answered(_) | SendError::Unanswered(_) | SendError::NoReceipt { .. } => WaitCause::RateLimit,
            };
            // Credentials that are refused again and again are nothing that waiting mends.
            if cause == WaitCause::Credentials && batch.attempts >= CREDENTIALS_TRIES_MAX {
                return refused(error);
            }
            Verdict::TryAgain { cause, wait }
        }
        error::Verdict::Refused => refused(error),
        error::Verdict::AskHuman => Verdict::Unknown {
            cause: match error {
                SendError::Answered(_) | SendError::NoReceipt { .. } => DoubtCause::UnclearAnswer,
                SendError::NoToken(_) | SendError::NotSent(_) | SendError::Unanswered(_) => DoubtCause::NoAnswer,
            },
        },
    }
}

fn refused(error: &SendError) -> Verdict {
    Verdict::Refused { code: error.code().unwrap_or_default(), scopes: error.scopes().to_vec() }
}

fn outcome_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted { .. } => "accepted",
        Verdict::TryAgain { .. } | Verdict::NotBefore { .. } => "retry",
        Verdict::Refused { .. } | Verdict::NothingValid { .. } => "refused",
        Verdict::Unknown { .. } => "in-doubt",
    }
}

/// Writes an outcome, patiently: it is the only record of what happened.
async fn write(app: &App, claim: &BatchClaim, settled: Batch) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match write_once(app, claim, &settled).await {
            Ok(()) => return Ok(()),
            // A lost claim stays lost; two transactions that met need a second try at most.
            Err(StoreError::Conflict) if tries > COLLISIONS_MAX => return Err(StoreError::Conflict),
            Err(error) if tries < WRITES_MAX => {
                tracing::warn!(%error, tries, broadcast = %settled.broadcast, seq = settled.seq, "an outcome could not be written yet");
                tokio::time::sleep(Duration::from_millis(100 * u64::from(tries * tries))).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn write_once(app: &App, claim: &BatchClaim, settled: &Batch) -> Result<(), StoreError> {
    let now = app.now();
    let poll_at = (settled.state == BatchState::Accepted).then(|| now.after(FIRST_POLL));
    let mut tx = app.store.begin().await?;
    let broadcast = tx.broadcast(&settled.broadcast).await?;
    let stopped = broadcast.as_ref().is_some_and(|broadcast| broadcast.ending.is_some());
    let mut settled = settled.clone();
    if stopped && settled.state == BatchState::Planned {
        // Its author cancelled while it was on its way, and it came back unsent: it stays.
        settled.state = BatchState::Cancelled;
    }
    tx.settle_batch(claim, &settled, poll_at).await?;
    audit::answered(&mut tx, broadcast.as_ref(), &settled, now);
    if settled.state == BatchState::Accepted && broadcast.is_some_and(|broadcast| broadcast.is_wanted_back()) {
        // Asked back while it was on its way.
        tx.want_recall(&settled.broadcast, settled.seq, now).await?;
    }
    tx.note_accepted(&settled, now).await?;
    if matches!(settled.state, BatchState::Planned | BatchState::Refused | BatchState::Cancelled) {
        tx.rebook(&settled.broadcast, settled.seq, 0).await?;
    }
    if settled.outcome.waiting == Some(WaitCause::Quota) {
        // The day of the call, which may be over by now; and not a day that has just begun by our clock alone.
        let called = claim.taken_at;
        if Day::of(called) == Day::of(Timestamp(called.0.saturating_sub(JUST_BEGUN_MS))) {
            tx.use_up(Day::of(called)).await?;
        }
    }
    follow(&mut tx, &settled.broadcast, now).await?;
    tx.commit().await
}
