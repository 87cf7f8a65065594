//! Does one errand: sends a content to whoever wants to see it, or proposes a broadcast to ids that were invalid and
//! are valid now. And takes the presses that ask for one.
//!
//! A sample that was begun and whose end nobody wrote down is never sent again: its person is told, and may press once
//! more. A look at invalid ids is written in one transaction with what follows from it, and is simply begun anew.

mod look;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;

use futures_util::FutureExt;
use tracing::Instrument;

use super::directory::ResolveError;
use super::letters::{text_content, uuid};
use super::patience::written;
use super::request::{again, propose};
use super::{App, LEASE, RENEW_EVERY, Step, Trouble, about, audit, pace, recall};
use crate::domain::audit::{Deed, Entry};
use crate::domain::batch::retry_wait;
use crate::domain::broadcast::{Broadcast, Stale, State};
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::plan::{self, Targets};
use crate::domain::report::Report;
use crate::feishu::batch::Accepted;
use crate::feishu::error::{Class, SendError, Verdict};
use crate::store::cards::CardRole;
use crate::store::errands::{Errand, ErrandClaim};
use crate::store::letters::{Letter, Receiver};
use crate::store::pace::{Reserved, Ring};
use crate::store::{StoreError, Tx};
use crate::view::toast::Toast;
use crate::view::{Text, samples as said, text};

/// Tries of an errand that certainly was not done.
const TRIES_MAX: i64 = 8;

/// Samples that one person may have of one broadcast: each is a call, and a message that is booked of no day's quota.
const SAMPLES_MAX: i64 = 5;

/// Whoever decides may see the content first, as it will arrive.
pub async fn ask_sample(
    tx: &mut Tx,
    key: &str,
    before: &Broadcast,
    person: &OpenId,
    version: i64,
    now: Timestamp,
) -> Result<Result<Toast, Stale>, StoreError> {
    if let Err(stale) = before.may_be_seen(person, version, now) {
        return Ok(Err(stale));
    }
    if tx.errands(Errand::Sample, &before.id, person).await? >= SAMPLES_MAX {
        return Ok(Ok(Toast::warning(said::enough(SAMPLES_MAX))));
    }
    tx.ask_errand(key, Errand::Sample, &before.id, person, now).await?;
    tx.record(Entry::about(before, Deed::SampleAsked, now).by(person));
    Ok(Ok(Toast::info(said::coming())))
}

/// The author wants to reach those whose ids were invalid, as far as they are valid by now.
pub async fn ask_repair(
    tx: &mut Tx,
    key: &str,
    before: &Broadcast,
    person: &OpenId,
    version: i64,
    now: Timestamp,
) -> Result<Result<Toast, Stale>, StoreError> {
    if !before.state.is_settled() {
        return Ok(Err(Stale::NothingInDoubt));
    }
    // What was taken back is not sent to anybody else.
    if before.is_taken_back() {
        return Ok(Err(Stale::Decided { state: State::Recalled }));
    }
    if recall::source_is_taken_back(tx, before).await? {
        return Ok(Err(Stale::SourceRecalled));
    }
    if version != before.version {
        return Ok(Err(Stale::Outdated));
    }
    let left = invalid(&Report::of(&tx.batches(&before.id).await?), before).len();
    if left == 0 {
        return Ok(Ok(Toast::info(said::nothing_to_repair())));
    }
    tx.ask_errand(key, Errand::Repair, &before.id, person, now).await?;
    tx.record(Entry::about(before, Deed::RepairAsked, now).by(person).with("ids", left));
    Ok(Ok(Toast::info(said::looking(left))))
}

/// The ids that were invalid and for which no other broadcast was proposed.
fn invalid(report: &Report, broadcast: &Broadcast) -> BTreeSet<String> {
    let left = report.invalid.keys().filter(|key| !broadcast.repaired.contains_key(key.as_ref()));
    left.map(std::borrow::Cow::into_owned).collect()
}

/// Gives back what a broadcast that was to repair or to correct another one was for, when it has ended unsent: it may be
/// tried again.
pub async fn give_back(tx: &mut Tx, ended: &Broadcast, now: Timestamp) -> Result<(), StoreError> {
    let Some(of) = ended.repairs.as_ref().or(ended.corrects.as_ref()) else { return Ok(()) };
    let Some(before) = tx.broadcast(of).await? else { return Ok(()) };
    let mut after = before.clone();
    after.repaired.retain(|_, by| *by != ended.id);
    after.corrected = after.corrected.filter(|by| *by != ended.id);
    after.revision += 1;
    tx.update_broadcast(&after, before.revision).await?;
    tx.want_cards(of, after.revision, now).await
}

/// Does at most one errand. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    match turn(app).await? {
        Some(turn) => take(app, turn).await,
        None => Ok(Step::Idle),
    }
}

/// An errand that may be taken. A sample has a call reserved, which is lost where it is not made; a repair makes none.
pub struct Turn {
    due: Errand,
    reserved: Option<Reserved>,
}

/// Looks whether an errand is due. A sample waits for its turn among the batches, before the claim: a lease is for the call,
/// not for the wait. May be dropped at any point: at worst a call is left out.
pub async fn turn(app: &App) -> Result<Option<Turn>, StoreError> {
    let Some(due) = app.store.due_errand(app.now()).await? else { return Ok(None) };
    if due == Errand::Repair {
        return Ok(Some(Turn { due, reserved: None }));
    }
    app.departures.begun(app.now()).await;
    let reserved = app.store.reserve_call(Ring::Batches, app.now()).await?;
    tokio::time::sleep(reserved.at.since(app.now())).await;
    Ok(Some(Turn { due, reserved: Some(reserved) }))
}

/// Takes an errand whose turn it is, and does it.
pub async fn take(app: &App, turn: Turn) -> Result<Step, StoreError> {
    let now = app.now();
    let Some(claim) = app.store.claim_errand(turn.due, now, now.after(LEASE)).await? else { return Ok(Step::Idle) };
    let about = about("errand", &claim.broadcast);
    run(app, claim, now, turn.reserved).instrument(about).await
}

async fn run(
    app: &App,
    claim: ErrandClaim,
    taken_at: Timestamp,
    reserved: Option<Reserved>,
) -> Result<Step, StoreError> {
    let broadcast = match app.store.broadcast(&claim.broadcast).await {
        Ok(Some(broadcast)) => broadcast,
        Ok(None) | Err(StoreError::Unreadable(_)) => {
            tracing::error!(broadcast = %claim.broadcast, "an errand for a broadcast that cannot be read was given up");
            finish(app, &claim, None, None).await?;
            return Ok(Step::Worked);
        }
        Err(error) => return Err(error),
    };
    match reserved {
        Some(_) if claim.abandoned => {
            finish(app, &claim, Some((&said::unknown(&broadcast.id), &broadcast)), None).await?;
        }
        Some(reserved) => tokio::select! {
            done = sample(app, &claim, &broadcast, taken_at, &reserved) => done?,
            // Whosever it is by now: only the answer tells what happened.
            never = keep(app, &claim).then(|()| pending::<Infallible>()) => match never {},
        },
        None => repair(app, &claim, &broadcast).await?,
    }
    app.wake_all();
    Ok(Step::Worked)
}

/// The very content, by the very call, to one person.
async fn sample(
    app: &App,
    claim: &ErrandClaim,
    broadcast: &Broadcast,
    taken_at: Timestamp,
    reserved: &Reserved,
) -> Result<(), StoreError> {
    let targets = Targets { open_ids: vec![claim.person.clone()], ..Targets::default() };
    let body = plan::request_body(&broadcast.content, &targets);
    audit::sample_called(app, broadcast, claim).await?;
    match pace::depart(app, taken_at, reserved).await {
        Ok(None) => put_back(app, claim, broadcast).await,
        Ok(Some(departure)) => {
            let answer = app.feishu.batch_send(app.now(), &body).await;
            let ended = pace::ended(app, &departure, &answer);
            tokio::join!(ended, sampled(app, claim, broadcast, answer)).1
        }
        Err(error) => sampled(app, claim, broadcast, Err(error.into())).await,
    }
}

/// Writes what came of a sample.
async fn sampled(
    app: &App,
    claim: &ErrandClaim,
    broadcast: &Broadcast,
    answer: Result<Accepted, SendError>,
) -> Result<(), StoreError> {
    let answered = audit::sample_answered(broadcast, claim, &answer, app.now());
    let (said, again) = match answer {
        Ok(accepted) if accepted.invalid.count() == 0 => (None, None),
        Ok(_) => (Some(said::you_are_out_of_reach(&broadcast.id)), None),
        Err(SendError::NoReceipt { invalid, .. }) if invalid.count() > 0 => {
            (Some(said::you_are_out_of_reach(&broadcast.id)), None)
        }
        Err(error) => {
            app.images.heed(error.code());
            tracing::warn!(%error, broadcast = %broadcast.id, "a sample was not accepted");
            match error.verdict() {
                Verdict::RetryAfter(after) if claim.attempts < TRIES_MAX => {
                    (None, Some(app.now().after(retry_wait(claim.attempts, after, app.jitter()))))
                }
                Verdict::RetryAfter(_) => (Some(said::not_possible(&broadcast.id)), None),
                Verdict::Refused => {
                    (Some(said::refused(&broadcast.id, error.code().unwrap_or_default(), error.scopes())), None)
                }
                Verdict::AskHuman => (Some(said::unknown(&broadcast.id)), None),
            }
        }
    };
    let mut tx = app.store.begin().await?;
    tx.record(answered);
    settle(&mut tx, claim, said.as_ref().map(|said| (said, broadcast)), again, app.now()).await?;
    tx.commit().await
}

/// Lets a sample whose moment has passed take another one. Patiently, since only this says that nothing was sent.
async fn put_back(app: &App, claim: &ErrandClaim, broadcast: &Broadcast) -> Result<(), StoreError> {
    let once = async || {
        let mut tx = app.store.begin().await?;
        if !settle(&mut tx, claim, None, Some(app.now()), app.now()).await? {
            return Ok(false);
        }
        tx.record(audit::sample_not_called(broadcast, claim, app.now()));
        tx.commit().await?;
        Ok(true)
    };
    written(app, "a sample that goes back", LEASE, once).await
}

/// A new broadcast to those of the invalid ids that Feishu knows by now. It asks for approval like any other.
async fn repair(app: &App, claim: &ErrandClaim, broadcast: &Broadcast) -> Result<(), StoreError> {
    if claim.attempts > TRIES_MAX {
        return finish(app, claim, Some((&said::cannot_look(&broadcast.id), broadcast)), None).await;
    }
    let looked = tokio::select! {
        looked = look::look(app, broadcast) => looked,
        () = keep(app, claim) => return Ok(()),
    };
    let found = match looked {
        Ok(found) => found,
        Err(ResolveError::Trouble(Trouble::Store(error))) => return Err(error),
        Err(ResolveError::Trouble(Trouble::Feishu(error))) if error.class() == Class::FixSetup => {
            let said = said::not_allowed_to_look(&broadcast.id, error.code().unwrap_or_default(), error.scopes());
            return finish(app, claim, Some((&said, broadcast)), None).await;
        }
        Err(error) => {
            tracing::warn!(%error, broadcast = %broadcast.id, "invalid ids could not be looked at yet");
            let again = app.now().after(retry_wait(claim.attempts, None, app.jitter()));
            return finish(app, claim, None, Some(again)).await;
        }
    };
    let (fresh, invalid) = (&found.fresh, found.invalid);
    if fresh.ids() == 0 && fresh.covered.is_empty() {
        let said = match invalid {
            0 => said::nothing_to_repair(),
            ids => said::none_repaired(&broadcast.id, ids),
        };
        return finish(app, claim, Some((&said, broadcast)), None).await;
    }
    let terms = match &found.terms {
        Ok(terms) => terms,
        Err(refused) => return finish(app, claim, Some((refused, broadcast)), None).await,
    };
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let Some(before) = tx.broadcast(&broadcast.id).await? else { return Ok(()) };
    if before.repaired != broadcast.repaired {
        // Another press was faster; this one looks at what is left.
        drop(tx);
        return finish(app, claim, None, Some(now)).await;
    }
    let said = if before.is_taken_back() {
        // Taken back while it was being looked for whom it could still be sent to.
        text::stale(&Stale::Decided { state: State::Recalled })
    } else if recall::source_is_taken_back(&mut tx, &before).await? {
        text::stale(&Stale::SourceRecalled)
    } else if fresh.ids() == 0 {
        said::all_covered(&broadcast.id, &fresh.covered)
    } else {
        let next = again(app, &before, &before.content, fresh, terms, now).tightened(&app.policy());
        let next = Broadcast { repairs: Some(before.id.clone()), ..next };
        let mut after = before.clone();
        after.repaired.extend(found.taken.iter().map(|key| (key.clone(), next.id.clone())));
        after.revision += 1;
        tx.update_broadcast(&after, before.revision).await?;
        tx.want_cards(&after.id, after.revision, now).await?;
        tx.insert_broadcast(&next, fresh).await?;
        audit::proposed(&mut tx, &next, now);
        tx.insert_card(&next.id, &next.author, CardRole::Author, next.revision, now).await?;
        propose(app, &mut tx, &next, fresh, now).await?;
        tracing::info!(broadcast = %next.id, of = %broadcast.id, ids = fresh.ids(), "a broadcast to repaired ids is proposed");
        // Those in a repaired department may have got it by another target of the broadcast before.
        let twice = !fresh.departments.is_empty() && found.some_reached;
        said::repaired(&broadcast.id, &next.id, fresh.ids(), invalid, twice)
    };
    if settle(&mut tx, claim, Some((&said, broadcast)), None, now).await? { tx.commit().await } else { Ok(()) }
}

/// Says every now and then that an errand is under way. Returns when it is somebody else's by now.
async fn keep(app: &App, claim: &ErrandClaim) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        match app.store.renew_errand(claim, app.now().after(LEASE)).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, broadcast = %claim.broadcast, "a lease could not be renewed"),
        }
    }
}

/// Ends an errand, or puts it off where nothing of it was done, and tells its person what there is to say.
async fn finish(
    app: &App,
    claim: &ErrandClaim,
    said: Option<(&Text, &Broadcast)>,
    again: Option<Timestamp>,
) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    if settle(&mut tx, claim, said, again, app.now()).await? { tx.commit().await } else { Ok(()) }
}

/// Says whether the errand still was this claim's; else nothing is written.
async fn settle(
    tx: &mut Tx,
    claim: &ErrandClaim,
    said: Option<(&Text, &Broadcast)>,
    again: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !tx.settle_errand(claim, again).await? {
        return Ok(false);
    }
    if let Some((said, broadcast)) = said {
        let letter = Letter {
            uuid: uuid(&["errand", &claim.id]),
            receiver: Receiver::Person(claim.person.clone()),
            reply_to: None,
            msg_type: "text",
            content: text_content(said.in_(broadcast.origin.language)),
        };
        tx.post(&letter, now).await?;
    }
    Ok(true)
}
