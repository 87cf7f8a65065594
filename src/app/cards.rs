//! Brings one copy of a broadcast's card up to date: sends it where there is none yet, patches it where there is one.
//!
//! The card is rendered from what the store holds at that moment, so updates that piled up become one, and an older
//! state never overwrites a newer one.

use std::time::Duration;

use tracing::Instrument;

use super::letters::{OFTEN, pause, text_content, uuid};
use super::{App, LEASE, Step, about};
use crate::domain::broadcast::Broadcast;
use crate::domain::content::Content;
use crate::domain::ids::Timestamp;
use crate::domain::quota::Day;
use crate::domain::report::Report;
use crate::feishu::error::{CallError, Class};
use crate::feishu::messages::Receiver;
use crate::store::StoreError;
use crate::store::cards::{CardClaim, CardOutcome, CardRole, Draft};
use crate::store::letters::{self, Letter};
use crate::view::cards::{Facts, Reader, card, without_marks};
use crate::view::{answers, text, trouble};

/// The least time between two updates of one card. Source: contract "updating without a click", one PATCH per 2 s at
/// most for progress; a decision should not wait that long.
const BETWEEN_UPDATES: Duration = Duration::from_millis(1200);

/// Tries without a success before a copy is left as it is: a minute apart at most, so about a day, and ten days where the
/// set-up has to be mended. The author hears of that long before.
const ATTEMPTS_MAX: i64 = 1440;

/// The same where the set-up has to be mended for a broadcast that is over: about a day as well, ten minutes apart.
const LATE_ATTEMPTS_MAX: i64 = 150;

/// Cards sent afresh because the old one could not be changed any more.
const GENERATIONS_MAX: i64 = 3;

/// Updates at most one card. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    if !app.store.has_card(app.now()).await? {
        return Ok(Step::Idle);
    }
    // Before the claim: a lease is for the call, not for the wait, and what is shown is what is true after it.
    app.talk.next(&app.store, || app.now()).await;
    let now = app.now();
    let Some(claim) = app.store.claim_card(now, now.after(LEASE)).await? else { return Ok(Step::Idle) };
    let about = about("card", &claim.broadcast);
    show(app, claim, now).instrument(about).await
}

async fn show(app: &App, claim: CardClaim, now: Timestamp) -> Result<Step, StoreError> {
    let (broadcast, report) = match read(app, &claim).await {
        Ok(Some(read)) => read,
        Ok(None) | Err(StoreError::Unreadable(_)) => {
            tracing::error!(broadcast = %claim.broadcast, "a card of a broadcast that cannot be read was given up");
            app.store.settle_card(&claim, &CardOutcome::GivenUp, now).await?;
            return Ok(Step::Worked);
        }
        Err(error) => return Err(error),
    };
    let reader = match claim.role {
        CardRole::Author => Reader::Author,
        CardRole::Approver => Reader::Approver,
    };
    let mut broadcast = broadcast;
    if let Some(code) = claim.refused {
        broadcast.content = Content::Text(text::content_hidden(code).said(None));
    }
    // What leaves on another day takes nothing of this one's.
    let today = Day::of(app.now());
    let quota_left = match broadcast.state.is_undecided() && broadcast.send_at.is_none_or(|at| Day::of(at) == today) {
        true => Some(app.store.quota_left(today).await?),
        false => None,
    };
    let reads = app.store.reads(&broadcast.id).await?;
    let facts = Facts { broadcast: &broadcast, report: &report, zone: &app.zone, now, quota_left, reads: &reads };
    let json = card(&facts, reader).to_string();
    let json = if claim.refused.is_some() { without_marks(&json) } else { json };
    let newest = Draft { revision: broadcast.revision, card: json };
    let draft = match (&claim.message_id, &claim.draft) {
        (Some(_), _) => newest,
        // It may be in the chat already: said again word by word, and brought up to date by the next update.
        (None, Some(sent)) => sent.clone(),
        (None, None) => {
            app.store.draft_card(&claim, &newest).await?;
            newest
        }
    };
    let shown = match &claim.message_id {
        Some(message) => app.feishu.patch_card(now, message, &draft.card).await.map(|()| message.clone()),
        None => {
            let id = uuid(&["card", broadcast.id.as_str(), claim.person.as_str(), &claim.generation.to_string()]);
            let to = Receiver::Person(claim.person.clone());
            app.feishu.send_message(now, &to, "interactive", &draft.card, &id).await.map(|sent| sent.message_id)
        }
    };
    let (outcome, next) = match shown {
        Ok(message_id) => {
            let shown = CardOutcome::Shown { revision: draft.revision, message_id };
            (shown, app.now().after(BETWEEN_UPDATES))
        }
        Err(error) => {
            let failed = failed(app, &claim, &broadcast, &error);
            // Where nothing gets through to Feishu, this would not either.
            let is_refused = error.may_be_about_this() && !matches!(error.class(), Class::Retry { .. });
            let is_stuck = is_refused && claim.attempts >= OFTEN && matches!(failed.0, CardOutcome::Later);
            if is_stuck || matches!(failed.0, CardOutcome::GivenUp) {
                say_stuck(app, &claim, &broadcast, &error).await?;
            }
            failed
        }
    };
    app.store.settle_card(&claim, &outcome, next).await?;
    Ok(Step::Worked)
}

/// What a card shows, and who may get it twice by what its author may press.
async fn read(app: &App, claim: &CardClaim) -> Result<Option<(Broadcast, Report)>, StoreError> {
    let Some(broadcast) = app.store.broadcast(&claim.broadcast).await? else { return Ok(None) };
    let mut report = Report::of(&app.store.batches(&broadcast.id).await?);
    let refused_for = broadcast.refused_for(&report).filter(|_| report.in_doubt == 0);
    if report.in_doubt > 0 || (refused_for.is_some() && report.once_in_doubt > 0) {
        report.doubtful = app.store.doubtful(&broadcast.id, refused_for).await?;
    }
    Ok(Some((broadcast, report)))
}

fn failed(app: &App, claim: &CardClaim, broadcast: &Broadcast, error: &CallError) -> (CardOutcome, Timestamp) {
    let now = app.now();
    if claim.message_id.is_some() && error.message_is_gone() && claim.generation < GENERATIONS_MAX {
        return (CardOutcome::Afresh, now);
    }
    let is_final = error.class() == Class::Permanent;
    if let Some(code) = error.code()
        && is_final
        && claim.refused.is_none()
        && REFUSED_FOR_CONTENT.contains(&code)
    {
        return (CardOutcome::Plainly { code }, now);
    }
    let is_late = broadcast.state.is_settled() && !matches!(error.class(), Class::Retry { .. });
    let attempts_max = if is_late { LATE_ATTEMPTS_MAX } else { ATTEMPTS_MAX };
    if is_final || claim.attempts >= attempts_max {
        tracing::error!(%error, broadcast = %claim.broadcast, person = %claim.person, "a card was given up");
        metrics::counter!("feishu_broadcast_cards_given_up_total").increment(1);
        return (CardOutcome::GivenUp, now);
    }
    tracing::warn!(%error, broadcast = %claim.broadcast, attempts = claim.attempts, "a card could not be shown yet");
    (CardOutcome::Later, now.after(pause(error, claim.attempts, app.jitter())))
}

/// The author hears once of a card that somebody does not get: nobody else would know why nothing happens.
async fn say_stuck(app: &App, claim: &CardClaim, broadcast: &Broadcast, error: &CallError) -> Result<(), StoreError> {
    if broadcast.state.is_settled() {
        return Ok(());
    }
    let why = error.code().map_or_else(trouble::feishu_silent, crate::view::advice);
    let said = answers::card_given_up(&broadcast.id, &claim.person, claim.role == CardRole::Author, &why);
    let mut tx = app.store.begin().await?;
    let letter = Letter {
        uuid: uuid(&["card-given-up", broadcast.id.as_str(), claim.person.as_str()]),
        receiver: letters::Receiver::Person(broadcast.author.clone()),
        reply_to: None,
        msg_type: "text",
        content: text_content(said.in_(broadcast.origin.language)),
    };
    tx.post(&letter, app.now()).await?;
    tx.commit().await?;
    app.wake.letters.notify_one();
    Ok(())
}

/// Codes with which Feishu refuses a card for what stands on it: audits, sizes, a mention of somebody who has left.
/// Source: contract "updating without a click" and "errors of create".
const REFUSED_FOR_CONTENT: [i64; 4] = [230_022, 230_025, 230_028, 230_099];
