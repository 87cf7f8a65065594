//! Brings one copy of a broadcast's card up to date: sends it where there is none yet, patches it where there is one.
//!
//! The card is rendered from what the store holds at that moment, so updates that piled up become one, and an older
//! state never overwrites a newer one.

use std::time::Duration;

use super::letters::uuid;
use super::{App, LEASE, Step};
use crate::domain::batch::retry_wait;
use crate::domain::report::Report;
use crate::feishu::error::{CallError, Class};
use crate::feishu::messages::Receiver;
use crate::store::StoreError;
use crate::store::cards::{CardClaim, CardOutcome, CardRole, Draft};
use crate::view::cards::{Facts, Reader, card};

/// The least time between two updates of one card. Source: contract "updating without a click", one PATCH per 2 s at
/// most for progress; a decision should not wait that long.
const BETWEEN_UPDATES: Duration = Duration::from_millis(1200);

/// Tries without a success before a copy is left as it is.
const ATTEMPTS_MAX: i64 = 40;

/// Cards sent afresh because the old one could not be changed any more.
const GENERATIONS_MAX: i64 = 3;

/// Updates at most one card. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    let now = app.now();
    let Some(claim) = app.store.claim_card(now, now.after(LEASE)).await? else { return Ok(Step::Idle) };
    let Some(broadcast) = app.store.broadcast(&claim.broadcast).await? else {
        app.store.settle_card(&claim, &CardOutcome::GivenUp, now).await?;
        return Ok(Step::Worked);
    };
    let mut report = Report::of(&app.store.batches(&broadcast.id).await?);
    if report.in_doubt > 0 {
        report.doubtful = app.store.doubtful_ids(&broadcast.id).await?;
    }
    let reader = match claim.role {
        CardRole::Author => Reader::Author,
        CardRole::Approver => Reader::Approver,
    };
    let json = card(&Facts { broadcast: &broadcast, report: &report, zone: &app.zone }, reader).to_string();
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
    app.talk.next().await;
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
        Err(error) => failed(app, &claim, &error),
    };
    app.store.settle_card(&claim, &outcome, next).await?;
    Ok(Step::Worked)
}

fn failed(app: &App, claim: &CardClaim, error: &CallError) -> (CardOutcome, crate::domain::ids::Timestamp) {
    if claim.message_id.is_some() && error.message_is_gone() && claim.generation < GENERATIONS_MAX {
        return (CardOutcome::Afresh, app.now());
    }
    let after = match error.class() {
        Class::Retry { after } => after,
        Class::Unknown | Class::Reauthenticate | Class::FixSetup => None,
        Class::Permanent => {
            tracing::error!(%error, broadcast = %claim.broadcast, person = %claim.person, "a card was given up");
            metrics::counter!("feishu_broadcast_cards_given_up_total").increment(1);
            return (CardOutcome::GivenUp, app.now());
        }
    };
    if claim.attempts >= ATTEMPTS_MAX {
        tracing::error!(%error, broadcast = %claim.broadcast, person = %claim.person, "a card was given up");
        metrics::counter!("feishu_broadcast_cards_given_up_total").increment(1);
        return (CardOutcome::GivenUp, app.now());
    }
    tracing::warn!(%error, broadcast = %claim.broadcast, attempts = claim.attempts, "a card could not be shown yet");
    (CardOutcome::Later, app.now().after(retry_wait(claim.attempts, after, app.jitter())))
}
