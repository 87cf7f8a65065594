//! Does one errand: sends a content to whoever wants to see it, or proposes a broadcast to ids that were invalid and
//! are valid now. And takes the presses that ask for one.
//!
//! A sample that was begun and whose end nobody wrote down is never sent again: its person is told, and may press once
//! more. A look at invalid ids is written in one transaction with what follows from it, and is simply begun anew.

use std::collections::BTreeSet;

use tracing::Instrument;

use super::directory::ResolveError;
use super::letters::{text_content, uuid};
use super::people;
use super::request::{again, propose};
use super::{App, LEASE, RENEW_EVERY, Step, Trouble, about, audit, pace, places, recall, terms};
use crate::domain::audience::{Audience, Covered, DepartmentTarget};
use crate::domain::audit::{Deed, Entry};
use crate::domain::batch::retry_wait;
use crate::domain::broadcast::{Broadcast, Stale, State};
use crate::domain::ids::{DepartmentId, OpenId, Timestamp, UnionId, UserId};
use crate::domain::plan::{self, Targets};
use crate::domain::policy::Terms;
use crate::domain::report::Report;
use crate::feishu::error::{Class, SendError, Verdict};
use crate::feishu::people::{Person, PersonIdKind};
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
    let Some(due) = app.store.due_errand(app.now()).await? else { return Ok(Step::Idle) };
    // A sample takes its turn among the batches. Before the claim: a lease is for the call, not for the wait.
    let reserved = match due {
        Errand::Sample => Some(app.store.reserve_call(Ring::Batches, app.now()).await?),
        Errand::Repair => None,
    };
    if let Some(reserved) = &reserved {
        tokio::time::sleep(reserved.at.since(app.now())).await;
    }
    let now = app.now();
    let Some(claim) = app.store.claim_errand(due, now, now.after(LEASE)).await? else { return Ok(Step::Idle) };
    let about = about("errand", &claim.broadcast);
    run(app, claim, reserved).instrument(about).await
}

/// A sample has a call reserved; a repair makes none.
async fn run(app: &App, claim: ErrandClaim, reserved: Option<Reserved>) -> Result<Step, StoreError> {
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
        Some(reserved) => sample(app, &claim, &broadcast, &reserved).await?,
        None => repair(app, &claim, &broadcast).await?,
    }
    app.wake_all();
    Ok(Step::Worked)
}

/// The very content, by the very call, to one person.
async fn sample(app: &App, claim: &ErrandClaim, broadcast: &Broadcast, reserved: &Reserved) -> Result<(), StoreError> {
    let targets = Targets { open_ids: vec![claim.person.clone()], ..Targets::default() };
    let body = plan::request_body(&broadcast.content, &targets);
    audit::sample_called(app, broadcast, claim).await?;
    let answer = match pace::depart(app, reserved).await {
        Ok(departure) => {
            let answer = app.feishu.batch_send(app.now(), &body).await;
            app.departures.answered(departure, app.now());
            answer
        }
        Err(error) => Err(error.into()),
    };
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

/// A new broadcast to those of the invalid ids that Feishu knows by now. It asks for approval like any other.
async fn repair(app: &App, claim: &ErrandClaim, broadcast: &Broadcast) -> Result<(), StoreError> {
    if claim.attempts > TRIES_MAX {
        return finish(app, claim, Some((&said::cannot_look(&broadcast.id), broadcast)), None).await;
    }
    let looked = tokio::select! {
        looked = look(app, broadcast) => looked,
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

/// Says every now and then that a look is under way. Returns when it is somebody else's by now.
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

/// What became of ids that were invalid.
struct Found {
    /// Those that are valid now, nobody twice, and none who was reached in another way.
    fresh: Audience,
    /// What `fresh` names, by key.
    taken: Vec<String>,
    /// How many were looked at.
    invalid: usize,
    /// Whether the broadcast reached anybody before.
    some_reached: bool,
    /// What a broadcast to `fresh` needs, or why its author may not propose it any more.
    terms: Result<Terms, Text>,
}

async fn look(app: &App, broadcast: &Broadcast) -> Result<Found, ResolveError> {
    let report = Report::of(&app.store.batches(&broadcast.id).await.map_err(Trouble::from)?);
    let invalid = invalid(&report, broadcast);
    let refused: BTreeSet<String> = report.invalid.keys().map(std::borrow::Cow::into_owned).collect();
    let batches = app.store.reached(&broadcast.id).await.map_err(Trouble::from)?;
    let reached: BTreeSet<String> = batches
        .iter()
        .flat_map(Targets::keys)
        .map(std::borrow::Cow::into_owned)
        .filter(|key| !refused.contains(key))
        .collect();
    let mut tx = app.store.begin().await.map_err(Trouble::from)?;
    let whole = tx.audience(&broadcast.id).await.map_err(Trouble::from)?;
    drop(tx);
    let mut fresh = valid(app, whole.only(|key| invalid.contains(key)), &reached, whole.departments).await?;
    let (policy, author) = (app.policy(), &broadcast.author);
    let terms = match fresh.ids() {
        0 => Ok(Terms::default()),
        _ => match terms::one_more(app, &policy, author).await.map_err(Trouble::from)? {
            Ok(()) => terms::of_draft(app, &policy, author, &mut fresh, &[]).await?,
            Err(refused) => Err(refused),
        },
    };
    fresh.around.clear();
    let people = fresh.named_people().map(|(_, id)| id.to_owned());
    let taken = fresh.departments.iter().map(|department| department.id.key().into_owned()).chain(people).collect();
    Ok(Found { fresh, taken, invalid: invalid.len(), some_reached: !reached.is_empty(), terms })
}

/// Those of the ids that Feishu knows and that are active: nobody twice, and nobody who was reached by another of the
/// targets.
async fn valid(
    app: &App,
    part: Audience,
    reached: &BTreeSet<String>,
    all: Vec<DepartmentTarget>,
) -> Result<Audience, ResolveError> {
    let wanted: Vec<DepartmentId> = part.departments.iter().map(|department| department.id.clone()).collect();
    let mut found = places::by_ids(app, &wanted).await?;
    let lined = |DepartmentTarget { id, line, .. }: &DepartmentTarget| {
        found.remove(id).map(|target| DepartmentTarget { line: *line, ..target })
    };
    let departments: Vec<DepartmentTarget> = part.departments.iter().filter_map(lined).collect();
    let mut people = part;
    let mut covered = Vec::new();
    for kind in [PersonIdKind::Open, PersonIdKind::Union, PersonIdKind::User] {
        let ids: Vec<String> = match kind {
            PersonIdKind::Open => people.open_ids.iter().map(|person| person.id.to_string()).collect(),
            PersonIdKind::Union => people.union_ids.iter().map(|person| person.id.to_string()).collect(),
            PersonIdKind::User => people.user_ids.iter().map(|person| person.id.to_string()).collect(),
        };
        let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
        let known = people::must_see(app, kind, &asked).await?;
        let reached_as = |person: &Person| {
            let ids = [person.open_id.as_ref().map(OpenId::as_str), person.union_id.as_ref().map(UnionId::as_str)];
            let ids = ids.into_iter().chain([person.user_id.as_ref().map(UserId::as_str)]).flatten();
            ids.into_iter().any(|id| reached.contains(id))
        };
        let gone: BTreeSet<&str> =
            asked.iter().filter(|id| known.get(**id).is_none_or(|person| !person.active)).copied().collect();
        let had: BTreeSet<&str> = asked.iter().filter(|id| known.get(**id).is_some_and(&reached_as)).copied().collect();
        covered.extend(had.iter().map(|id| Covered { named: (*id).to_owned(), inside: None }));
        let stays = |id: &str| !gone.contains(id) && !had.contains(id);
        match kind {
            PersonIdKind::Open => people.open_ids.retain(|person| stays(person.id.as_str())),
            PersonIdKind::Union => people.union_ids.retain(|person| stays(person.id.as_str())),
            PersonIdKind::User => people.user_ids.retain(|person| stays(person.id.as_str())),
        }
    }
    // Beside the departments that were reached, so that whoever lies in one of them is found.
    let before = all.into_iter().filter(|department| reached.contains(department.id.key().as_ref()));
    let departments = before.chain(departments).collect();
    let mut fresh = Audience::new(departments, people.open_ids, people.union_ids, people.user_ids);
    people::sift(app, &mut fresh, false).await?;
    fresh.departments.retain(|department| !reached.contains(department.id.key().as_ref()));
    fresh.covered.splice(0..0, covered);
    Ok(fresh)
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
