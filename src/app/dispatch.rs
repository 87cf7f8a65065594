//! Sends one batch: claim it, call, write what came of it.
//!
//! `sending` is in the ledger before the first byte leaves and the outcome after the answer. Only what is certainly
//! unsent is ever planned again; what nobody can know stays in doubt until a person decides.

mod verdict;

use std::convert::Infallible;
use std::time::Duration;

use tracing::Instrument;

use super::errands::give_back;
use super::follow::follow;
use super::news::{tell_as, tell_author};
use super::patience::written;
use super::press::cancel_planned;
use super::{App, LEASE, RENEW_EVERY, Step, about, audit, pace};
use crate::domain::audit::{Deed, Entry};
use crate::domain::batch::{Batch, BatchState, Verdict, WaitCause};
use crate::domain::broadcast::{Broadcast, State};
use crate::domain::ids::{BroadcastId, Timestamp};
use crate::domain::plan;
use crate::domain::quota::Day;
use crate::domain::report::Report;
use crate::feishu::batch::Accepted;
use crate::feishu::error::SendError;
use crate::store::batches::BatchClaim;
use crate::store::pace::{Reserved, Ring};
use crate::store::{StoreError, Tx};
use crate::view::hold;

/// A wait for the pace that is worth showing; shorter ones are over before anybody looks.
const SHOWN_FROM: Duration = Duration::from_secs(3);

/// The first question about delivery. Source: contract "following up", polling begins after 2 s.
const FIRST_POLL: Duration = Duration::from_secs(2);

/// How long a day counts as just begun, in ms.
const JUST_BEGUN_MS: i64 = 600_000;

/// For how long an outcome is tried to be written. After that the batch is in doubt.
const WRITE_MAX: Duration = Duration::from_secs(600);

/// Sends at most one batch. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    match next(app).await? {
        Some(claimed) => send(app, claimed).await.map(|()| Step::Worked),
        None => Ok(Step::Idle),
    }
}

/// Waits for its turn and takes the next batch, if there is one.
pub async fn next(app: &App) -> Result<Option<Claimed>, StoreError> {
    match turn(app).await? {
        Turn::Go(reserved) => take(app, reserved).await,
        Turn::Nothing => Ok(None),
    }
}

/// Whether a call may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Nothing,
    /// One, which is lost where it is not made.
    Go(Reserved),
}

/// Looks whether a batch waits, reserves a call at the pace that all replicas share, and waits until it has to be made ready.
/// May be dropped at any point: at worst a call is left out.
pub async fn turn(app: &App) -> Result<Turn, StoreError> {
    if !app.store.has_batch(app.now()).await? {
        return Ok(Turn::Nothing);
    }
    app.departures.begun(app.now()).await;
    let reserved = app.store.reserve_call(Ring::Batches, app.now()).await?;
    let wait = reserved.at.since(app.now());
    if wait >= SHOWN_FROM {
        // Until it is taken, which is a little before the moment of its call.
        show_waiting(app, app.now().after(wait.saturating_sub(pace::LEAD_MAX))).await?;
    }
    pace::waited(Ring::Batches, wait);
    tokio::time::sleep(reserved.at.since(app.now()).saturating_sub(app.departures.lead())).await;
    Ok(Turn::Go(reserved))
}

/// A batch that is being sent, with the content it carries and the call it may make.
pub struct Claimed {
    claim: BatchClaim,
    broadcast: Broadcast,
    reserved: Reserved,
}

/// Takes the next batch: from here on it is `sending`, and whoever dropped it would leave it in doubt.
pub async fn take(app: &App, reserved: Reserved) -> Result<Option<Claimed>, StoreError> {
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let home = tx.home(&app.store).await?;
    if !tx.lives_at(&home).await? {
        // Another database than a moment ago: [`super::life`] asks the authors first.
        return Ok(None);
    }
    let Some(id) = tx.next_broadcast(now).await? else { return Ok(None) };
    match take_of(app, tx, &id, now).await {
        Ok(taken) => Ok(taken.map(|(claim, broadcast)| Claimed { claim, broadcast, reserved })),
        Err(StoreError::Unreadable(why)) => {
            tracing::error!(broadcast = %id, why, "a broadcast cannot be read; it is held, the others go on");
            set_aside(app, &id, now).await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Nothing of it leaves any more. Its author is told, where anything of it can still be read.
async fn set_aside(app: &App, id: &BroadcastId, now: Timestamp) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    tx.set_aside(id).await?;
    if let Ok(Some(broadcast)) = tx.broadcast(id).await {
        tell_as(&mut tx, "unreadable", &broadcast, &hold::unreadable(id), now).await?;
    }
    tx.commit().await?;
    app.wake.letters.notify_one();
    Ok(())
}

/// Takes the next batch of the broadcast whose turn it is. Drops the transaction before it begins another one: there is
/// one connection that writes.
async fn take_of(
    app: &App,
    mut tx: Tx,
    id: &BroadcastId,
    now: Timestamp,
) -> Result<Option<(BatchClaim, Broadcast)>, StoreError> {
    let broadcast =
        tx.broadcast(id).await?.ok_or_else(|| StoreError::Unreadable("a batch without its broadcast".into()))?;
    // Another process may have been here since the look.
    let Some(claim) = tx.claim_batch(id, now, now.after(LEASE)).await? else { return Ok(None) };
    if !is_what_was_approved(&broadcast, &claim, &tx.digests(&broadcast.id).await?) {
        // Gives the claim back: the one writing connection is needed for what follows.
        drop(tx);
        refuse_tampered(app, broadcast).await?;
        return Ok(None);
    }
    if let Some(until) = quiet_until(app, now) {
        drop(tx);
        wait(app, id, now, WaitCause::QuietHours, until).await?;
        return Ok(None);
    }
    if !tx.book(&claim.batch, Day::of(now)).await? {
        drop(tx);
        // Today's messages do not suffice for this batch, nor for those behind it.
        wait(app, id, now, WaitCause::Quota, Day::of(now).over()).await?;
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
    Ok(Some((claim, broadcast)))
}

/// Makes the one call of a batch and writes what came of it.
pub async fn send(app: &App, claimed: Claimed) -> Result<(), StoreError> {
    let about = about("dispatch", &claimed.broadcast.id);
    let _under_way = app.under_way.begin(&claimed.claim.batch);
    let sending = async {
        tokio::select! {
            sent = call(app, &claimed) => sent,
            never = keep(app, &claimed.claim) => match never {},
        }
    };
    sending.instrument(about).await
}

async fn call(app: &App, claimed: &Claimed) -> Result<(), StoreError> {
    let Claimed { claim, broadcast, reserved } = claimed;
    app.departures.made_ready(app.now().since(claim.taken_at));
    match pace::depart(app, claim.taken_at, reserved).await {
        Ok(None) => put_back(app, claim).await,
        Ok(Some(departure)) => {
            let body = plan::request_body(&broadcast.content, &claim.targets);
            let answer = app.feishu.batch_send(app.now(), &body).await;
            let ended = pace::ended(app, &departure, &answer);
            tokio::join!(ended, settle(app, claimed, answer)).1
        }
        Err(error) => settle(app, claimed, Err(error.into())).await,
    }
}

/// Writes what came of a call.
async fn settle(app: &App, claimed: &Claimed, answer: Result<Accepted, SendError>) -> Result<(), StoreError> {
    let Claimed { claim, broadcast, .. } = claimed;
    let (verdict, log_id) = match answer {
        Ok(accepted) => {
            (Verdict::Accepted { message_id: accepted.message_id, invalid: accepted.invalid }, accepted.log_id)
        }
        Err(error) => {
            tracing::warn!(%error, broadcast = %broadcast.id, seq = claim.batch.seq, "a batch was not accepted");
            app.images.heed(error.code());
            (verdict::of(&error, claim), error.log_id().map(str::to_owned))
        }
    };
    let outcome = outcome_word(&verdict);
    metrics::counter!("feishu_broadcast_batches_total", "outcome" => outcome).increment(1);
    let receipt = match &verdict {
        Verdict::Accepted { message_id, .. } => Some(message_id.as_str()),
        _ => None,
    };
    // Before it is written: should that be lost, the batch will be found in doubt, and this line decides it.
    tracing::info!(broadcast = %broadcast.id, seq = claim.batch.seq, outcome, receipt, "a batch was tried");
    let mut settled = claim.batch.clone().settle(verdict, log_id, app.now(), app.jitter());
    settled.outcome.labels = settled
        .outcome
        .invalid
        .keys()
        .filter_map(|key| claim.labels.get(key.as_ref()).map(|label| (key.clone().into_owned(), label.clone())))
        .collect();
    write(app, claim, settled).await?;
    app.wake_all();
    Ok(())
}

/// Back into the plan with a batch whose call should not be made any more: its moment in the pace has passed, or it was
/// taken so long ago that somebody may have found it without a sender. The store or the token took very long, or the
/// machine was suspended with all that watches over it, or woke from a snapshot of itself. It takes another turn at once,
/// unless it is not ours any more.
async fn put_back(app: &App, claim: &BatchClaim) -> Result<(), StoreError> {
    let Batch { broadcast, seq, .. } = &claim.batch;
    tracing::warn!(%broadcast, seq, "a batch was held up before its call; it goes back unsent");
    let later = Verdict::TryAgain { cause: WaitCause::Pace, wait: Some(Duration::ZERO) };
    write(app, claim, claim.batch.clone().settle(later, None, app.now(), 0)).await?;
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
    let Some(id) = tx.next_broadcast(now).await? else { return Ok(()) };
    drop(tx);
    match wait(app, &id, now, WaitCause::Pace, until).await {
        // [`take`] sets it aside.
        Err(StoreError::Unreadable(_)) => Ok(()),
        done => done,
    }
}

/// When the quiet hours of the rules are over; none outside of them.
pub(super) fn quiet_until(app: &App, now: Timestamp) -> Option<Timestamp> {
    app.policy().quiet().map(|quiet| quiet.next_allowed(now, &app.zone)).filter(|until| *until > now)
}

/// Lets the next batch of a broadcast wait for a reason of our own, visibly. Nothing was asked of Feishu.
async fn wait(
    app: &App,
    id: &BroadcastId,
    now: Timestamp,
    cause: WaitCause,
    until: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    tx.broadcast(id).await?;
    if tx.next_broadcast(now).await?.as_ref() != Some(id) {
        return Ok(());
    }
    let Some(mut next) = tx.next_batch(now).await? else { return Ok(()) };
    tracing::info!(broadcast = %id, seq = next.seq, heads = next.heads, ?cause, "a batch waits");
    next.outcome.waiting = Some(cause);
    next.not_before = until;
    tx.move_batch(&next, BatchState::Planned).await?;
    follow(&mut tx, id, app.now()).await?;
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
    written(app, "an outcome", WRITE_MAX, || write_once(app, claim, &settled)).await
}

/// Whether the outcome is written; not where the claim was lost.
async fn write_once(app: &App, claim: &BatchClaim, settled: &Batch) -> Result<bool, StoreError> {
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
    if !tx.settle_batch(claim, &settled, poll_at).await? {
        // Written a moment ago, where the commit went through and only its answer was lost.
        return tx.has_settled(claim).await;
    }
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
    tx.commit().await?;
    Ok(true)
}
