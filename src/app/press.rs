//! A press on a card: decided from local state in one transaction, answered with a toast at once. The new state of
//! every copy follows after the answer.

mod choice;

use std::time::Duration;

use serde_json::Value;
use tracing::Instrument;

use super::news::tell_author;
use super::{App, about, audit, correct, dispatch, edit, errands, recall, reschedule};
use crate::domain::batch::BatchState;
use crate::domain::broadcast::{Broadcast, Stale, State};
use crate::domain::command::half_width;
use crate::domain::ids::{BroadcastId, DepartmentId, OpenId, Timestamp};
use crate::domain::policy::{Action, Deed};
use crate::domain::polls;
use crate::domain::report::Report;
use crate::feishu::event::CardAction;
use crate::store::inbox::{Arrival, Kind, Seen};
use crate::store::{StoreError, Tx};
use crate::view::toast::Toast;
use crate::view::{answers, cards, help, hold, moment, recall as taken_back, text};

/// How long after a press its cards may change. Source: contract "click": an update at least 300 ms after the answer,
/// or the client rolls it back.
pub(super) const AFTER_ANSWER: Duration = Duration::from_millis(700);

/// Times a press is decided anew because somebody else was faster.
const TRIES_MAX: usize = 5;

/// What a button says it is for. Nothing in it proves who pressed or what may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Press {
    action: Action,
    broadcast: BroadcastId,
    version: i64,
    department: Option<DepartmentId>,
    reason: Option<String>,
    /// What was chosen in a picker or a select.
    option: Option<String>,
    /// The headcount that was typed.
    headcount: Option<u64>,
    /// What is to be sent in place of what was recalled.
    words: Option<String>,
    /// A content that its author wrote anew.
    content: Option<String>,
}

impl Press {
    fn read(pressed: &CardAction) -> Option<Self> {
        let word = |key: &str| pressed.value.get(key).and_then(Value::as_str);
        let department = word("department").or(pressed.option.as_deref()).and_then(DepartmentId::new);
        let reason = pressed.form_value.get("reason").and_then(Value::as_str).or(pressed.input_value.as_deref());
        let words = pressed.form_value.get("words").and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            words,
            action: Action::parse(word("action")?)?,
            broadcast: BroadcastId::parse(word("broadcast")?)?,
            version: pressed.value.get("version").and_then(Value::as_i64)?,
            department,
            option: pressed.option.clone(),
            reason: reason
                .map(|reason| reason.trim().chars().take(cards::REASON_LETTERS_MAX).collect::<String>())
                .filter(|reason| !reason.is_empty()),
            headcount: pressed.form_value.get(cards::HEADCOUNT_FIELD).and_then(Value::as_str).and_then(number),
            content: pressed.form_value.get("content").and_then(Value::as_str).map(str::to_owned),
        })
    }
}

/// A number as people type it: `１,２００`, `1200 人`.
fn number(typed: &str) -> Option<u64> {
    let typed: String = typed.chars().map(half_width).filter(|c| !c.is_whitespace() && !",，".contains(*c)).collect();
    let digits = typed.strip_suffix('人').unwrap_or(&typed);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Decides one press. `key` is the event's: the same push again changes nothing.
///
/// # Errors
/// When the store does not answer: nothing has changed and the person may press again.
pub async fn press(app: &App, key: &str, pressed: &CardAction) -> Result<Toast, StoreError> {
    let person = &pressed.operator;
    if app.policy().roles(person).is_stranger() {
        return Ok(Toast::error(help::stranger(person)));
    }
    let Some(press) = Press::read(pressed) else {
        audit::refused(app, audit::refusal(app, person, None, "press", "no-such-button")).await?;
        return Ok(Toast::error(answers::unknown_button()));
    };
    let mut tries = 0;
    loop {
        tries += 1;
        match decide(app, key, person, &press).instrument(about("press", &press.broadcast)).await {
            Err(StoreError::Conflict) if tries < TRIES_MAX => {}
            decided => return decided,
        }
    }
}

async fn decide(app: &App, key: &str, person: &OpenId, press: &Press) -> Result<Toast, StoreError> {
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let arrival = Arrival {
        key: key.to_owned(),
        kind: Kind::Press,
        person: person.to_string(),
        body: String::new(),
        received_at: now,
    };
    if tx.remember(&arrival).await? == Seen::Again {
        return Ok(Toast::info(answers::pressed_already()));
    }
    let Some(broadcast) = tx.broadcast(&press.broadcast).await? else {
        drop(tx);
        audit::refused(app, audit::refusal(app, person, None, press.action.as_str(), "no-such-broadcast")).await?;
        return Ok(Toast::error(answers::no_such_broadcast(Some(&press.broadcast))));
    };
    let deed = Deed::Press { action: press.action, of: broadcast.asked() };
    if let Err(denied) = app.policy().may(person, &deed) {
        tracing::info!(broadcast = %broadcast.id, %person, action = press.action.as_str(), "a press was denied");
        drop(tx);
        audit::refused(app, audit::refusal(app, person, Some(&broadcast), press.action.as_str(), denied)).await?;
        return Ok(Toast::error(help::denied(&denied)));
    }
    let decided = act(app, &mut tx, key, &broadcast, person, press, now).await?;
    let (toast, refusal) = match decided {
        Ok(toast) => {
            let chosen = press.department.as_ref();
            (toast, audit::decided(app, &mut tx, &broadcast, person, press.action, chosen).await?)
        }
        Err(stale) => {
            let refusal = audit::refusal(app, person, Some(&broadcast), press.action.as_str(), &stale);
            refusal.iter().for_each(|refusal| refusal.record(&mut tx));
            // Nothing changes, but whoever pressed gets to see how things stand.
            tx.reshow_card(&broadcast.id, person, app.now().after(AFTER_ANSWER)).await?;
            (Toast::warning(text::stale(&stale)), refusal)
        }
    };
    tx.commit().await?;
    if let Some(refusal) = refusal {
        refusal.written(app);
    }
    tracing::info!(broadcast = %broadcast.id, %person, action = press.action.as_str(), "a press was decided");
    app.wake_all();
    Ok(toast)
}

async fn act(
    app: &App,
    tx: &mut Tx,
    key: &str,
    broadcast: &Broadcast,
    person: &OpenId,
    press: &Press,
    now: Timestamp,
) -> Result<Result<Toast, Stale>, StoreError> {
    let before = broadcast;
    let broadcast = before.clone();
    let moved = match press.action {
        Action::Pick => return choice::pick(app, tx, before, press, now).await,
        // Batch by batch, or with the rest cancelled, what it repairs may have been taken back since it was proposed.
        Action::Approve if recall::source_is_taken_back(tx, before).await? => Err(Stale::SourceRecalled),
        Action::Approve => {
            let broadcast = broadcast.judged_by(&app.policy());
            let typed = broadcast.typed_right(press.headcount);
            let approved = broadcast.approve(person, press.version, now);
            approved.and_then(|after| typed.map(|()| after))
        }
        Action::Reject => broadcast.reject(person, press.reason.clone(), press.version, now),
        Action::Schedule => {
            return reschedule::reschedule(app, tx, before, press.option.as_deref(), press.version, now).await;
        }
        Action::Cancel => {
            let report = Report::of(&tx.batches(&broadcast.id).await?);
            return Ok(match broadcast.cancel(person, &report, now) {
                Ok(_) if press.version != before.version => Err(Stale::Outdated),
                Ok(cancelled) => {
                    write_cancelled(app, tx, before, cancelled, now).await?;
                    Ok(Toast::success(answers::cancelled(&before.id, report.some_left())))
                }
                Err(stale) => Err(stale),
            });
        }
        Action::Resend if before.state != State::InDoubt => {
            return errands::ask_repair(tx, key, before, person, press.version, now).await;
        }
        Action::Resend => return decide_doubt(app, tx, before, press.version, BatchState::Planned).await,
        Action::Edit => return edit::edit(app, tx, before, press.content.as_deref(), press.version, now).await,
        Action::Preview => return errands::ask_sample(tx, key, before, person, press.version, now).await,
        Action::Settle => return decide_doubt(app, tx, before, press.version, BatchState::TakenAsSent).await,
        Action::Refresh => {
            let accepted = Report::of(&tx.batches(&before.id).await?).accepted_last;
            tx.poll_now(&before.id, now).await?;
            tx.reshow_card(&before.id, person, app.now().after(AFTER_ANSWER)).await?;
            let known = accepted.is_none_or(|at| polls::is_remembered(now.since(at)));
            return Ok(Ok(Toast::info(if known { answers::refreshing() } else { taken_back::forgotten() })));
        }
        Action::Confirm if before.hold.is_none() && before.unaccepted => {
            return choice::accept_findings(app, tx, before, press.version, now).await;
        }
        Action::Confirm => return go_on(app, tx, before, press.version).await,
        Action::Recall => {
            let moments = [now, app.now().after(AFTER_ANSWER)];
            let ordered = recall::order(app, tx, before, person, None, Some(press.version), moments).await?;
            return Ok(ordered.map(|ordered| Toast::success(taken_back::started(&ordered.said(None, &app.zone)))));
        }
        Action::Correct => {
            return correct::propose_anew(app, tx, before, press.words.as_deref(), press.version, now).await;
        }
    };
    let after = match moved {
        Ok(after) => after,
        Err(stale) => return Ok(Err(stale)),
    };
    tx.update_broadcast(&after, before.revision).await?;
    if after.state == State::Rejected {
        errands::give_back(tx, &after, now).await?;
        cancel_planned(tx, &after.id).await?;
        tell_author(tx, &after, &Report::default(), now).await?;
    }
    tx.want_cards(&after.id, after.revision, app.now().after(AFTER_ANSWER)).await?;
    let quiet = dispatch::quiet_until(app, now).map(|until| moment(until, &app.zone));
    Ok(Ok(Toast::success(answers::decided(press.action, &after, quiet.as_deref()))))
}

/// Writes a cancellation: batches that have not left are cancelled with it.
pub async fn write_cancelled(
    app: &App,
    tx: &mut Tx,
    before: &Broadcast,
    cancelled: Broadcast,
    now: Timestamp,
) -> Result<(), StoreError> {
    cancel_planned(tx, &before.id).await?;
    let after = if cancelled.state == State::Cancelled {
        cancelled
    } else {
        let report = Report::of(&tx.batches(&before.id).await?);
        let after = cancelled.follow(&report, now);
        // Where nothing has left, the answer to the cancelling says all there is to say.
        if after.state.is_settled() && after.state != State::Cancelled {
            tell_author(tx, &after, &report, now).await?;
        }
        after
    };
    tx.update_broadcast(&after, before.revision).await?;
    if after.state == State::Cancelled {
        errands::give_back(tx, &after, now).await?;
    }
    tx.want_cards(&after.id, after.revision, app.now().after(AFTER_ANSWER)).await
}

/// Takes every batch of a broadcast that has not left out of the ledger's way.
pub async fn cancel_planned(tx: &mut Tx, broadcast: &BroadcastId) -> Result<(), StoreError> {
    for mut batch in tx.batches(broadcast).await? {
        if batch.state == BatchState::Planned {
            batch.state = BatchState::Cancelled;
            tx.move_batch(&batch, BatchState::Planned).await?;
        }
    }
    Ok(())
}

/// A person decides about batches in doubt: send again, or take as sent.
async fn decide_doubt(
    app: &App,
    tx: &mut Tx,
    before: &Broadcast,
    version: i64,
    to: BatchState,
) -> Result<Result<Toast, Stale>, StoreError> {
    let batches = tx.batches(&before.id).await?;
    if let Err(stale) = before.doubt_is_open(version, &Report::of(&batches)) {
        return Ok(Err(stale));
    }
    if to == BatchState::Planned && recall::source_is_taken_back(tx, before).await? {
        return Ok(Err(Stale::SourceRecalled));
    }
    let now = app.now();
    for mut batch in batches {
        if batch.state == BatchState::InDoubt {
            batch.state = to;
            batch.not_before = now;
            tx.move_batch(&batch, BatchState::InDoubt).await?;
        }
    }
    let report = Report::of(&tx.batches(&before.id).await?);
    let mut after = before.clone();
    if to == BatchState::Planned {
        // Whoever sends again takes an earlier cancelling or recalling back.
        after.ending = None;
        after.recall = after.recall.filter(|order| !order.whole);
    }
    let after = after.follow(&report, now);
    tx.update_broadcast(&after, before.revision).await?;
    if after.state.is_settled() || (after.hold.is_some() && before.hold.is_none()) {
        tell_author(tx, &after, &report, now).await?;
    }
    tx.want_cards(&after.id, after.revision, app.now().after(AFTER_ANSWER)).await?;
    Ok(Ok(match (after.hold, to) {
        (Some(_), BatchState::Planned) => Toast::info(answers::sent_after_go_on()),
        _ => Toast::success(answers::doubt_decided(to == BatchState::Planned)),
    }))
}

/// The author says that a broadcast on hold is still to be sent. What was refused again and again, before it or while it
/// was on hold, is tried again with the rest: certainly unsent, or its dialog has said who may get it twice.
async fn go_on(app: &App, tx: &mut Tx, before: &Broadcast, version: i64) -> Result<Result<Toast, Stale>, StoreError> {
    let now = app.now();
    let mut after = match before.clone().go_on(version, now) {
        Ok(after) => after,
        Err(stale) => return Ok(Err(stale)),
    };
    let mut batches = tx.batches(&before.id).await?;
    if let Some(code) = before.refused_for(&Report::of(&batches)) {
        for batch in &mut batches {
            if batch.state == BatchState::Refused && batch.outcome.code == Some(code) {
                batch.state = BatchState::Planned;
                batch.not_before = now;
                batch.outcome.code = None;
                batch.outcome.scopes.clear();
                tx.move_batch(batch, BatchState::Refused).await?;
            }
        }
        let report = Report::of(&batches);
        after = after.follow(&report, now);
        if after.hold.is_some() {
            tell_author(tx, &after, &report, now).await?;
        }
    }
    tx.update_broadcast(&after, before.revision).await?;
    tx.want_cards(&after.id, after.revision, app.now().after(AFTER_ANSWER)).await?;
    Ok(Ok(match after.hold {
        Some(hold) => Toast::warning(hold::cause(hold.cause)),
        None => Toast::success(answers::going_on(after.state)),
    }))
}
