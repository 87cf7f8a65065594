//! Something right in the place of what was recalled: a broadcast to the same people, which asks for approval like any
//! other. Nobody is looked up anew, so the press alone decides it.

use super::press::AFTER_ANSWER;
use super::request::{again, propose};
use super::{App, audit, terms};
use crate::domain::broadcast::{Broadcast, Stale, State};
use crate::domain::content::{Body, Content};
use crate::domain::ids::Timestamp;
use crate::domain::{lint, plan};
use crate::store::cards::CardRole;
use crate::store::{StoreError, Tx};
use crate::view::toast::Toast;
use crate::view::{content as said, policy as said_of_rules, recall};

/// The author says what should have been sent.
pub async fn propose_anew(
    app: &App,
    tx: &mut Tx,
    before: &Broadcast,
    words: Option<&str>,
    version: i64,
    now: Timestamp,
) -> Result<Result<Toast, Stale>, StoreError> {
    if let Err(stale) = before.may_be_corrected(version) {
        return Ok(Err(stale));
    }
    let Some(words) = words.map(str::trim).filter(|words| !words.is_empty()) else {
        return Ok(Ok(Toast::error(recall::nothing_written())));
    };
    let content = Content::from_body(&Body::Text(words.to_owned()), &[], None);
    let audience = tx.audience(&before.id).await?;
    if let Err(too_long) = plan::measure(&content, &plan::batches(&audience)) {
        return Ok(Ok(Toast::error(said::too_long(too_long))));
    }
    let policy = app.policy();
    let used = tx.proposed_since(&before.author, terms::midnight(now, &app.zone)).await?;
    let terms = policy.may_propose(&before.author, used);
    let terms = match terms.and_then(|()| policy.terms_again(&before.author, &audience, &before.terms)) {
        Ok(terms) => terms,
        Err(refusal) => return Ok(Ok(Toast::error(said_of_rules::refused(&refusal, &[])))),
    };
    let found = lint::of(&content);
    let unaccepted = lint::must_be_confirmed(&found);
    let mut next = again(app, before, &content, &audience, &terms, now);
    next.findings = found;
    next.corrects = Some(before.id.clone());
    if unaccepted {
        next.unaccepted = true;
        next.state = State::NeedsChoice;
        next.fingerprint = String::new();
        next.wave = None;
    }
    let mut after = before.clone();
    after.corrected = Some(next.id.clone());
    after.revision += 1;
    tx.update_broadcast(&after, before.revision).await?;
    tx.want_cards(&after.id, after.revision, app.now().after(AFTER_ANSWER)).await?;
    tx.insert_broadcast(&next, &audience).await?;
    tx.insert_card(&next.id, &next.author, CardRole::Author, next.revision, now).await?;
    audit::proposed(tx, &next, now);
    if next.state == State::Pending {
        propose(app, tx, &next, &audience, now).await?;
    }
    tracing::info!(broadcast = %next.id, of = %before.id, "a correction is proposed");
    Ok(Ok(Toast::success(recall::corrected(&next.id))))
}
