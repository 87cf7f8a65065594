//! What its author says before anybody is asked: which of the namesakes is meant, and that what was found in the content
//! is. With the last of it the broadcast is pending, on the terms of that moment.

use super::{AFTER_ANSWER, Press};
use crate::app::{App, request};
use crate::domain::audience::Audience;
use crate::domain::broadcast::{Broadcast, Stale, State};
use crate::domain::ids::Timestamp;
use crate::store::{StoreError, Tx};
use crate::view::toast::Toast;
use crate::view::{Text, answers, policy};

/// The author chooses among namesakes; with the last choice the approvers are asked.
pub(super) async fn pick(
    app: &App,
    tx: &mut Tx,
    before: &Broadcast,
    press: &Press,
    now: Timestamp,
) -> Result<Result<Toast, Stale>, StoreError> {
    let Some(department) = &press.department else { return Ok(Err(Stale::NoSuchChoice)) };
    let audience = tx.audience(&before.id).await?;
    let (after, mut audience) = match before.clone().pick(audience, department, press.version, now) {
        Ok(picked) => picked,
        Err(stale) => return Ok(Err(stale)),
    };
    let after = match on_terms(app, after, &mut audience) {
        Ok(after) => after,
        Err(refused) => return Ok(Ok(Toast::error(refused))),
    };
    tx.update_broadcast(&after, before.revision).await?;
    tx.write_audience(&after.id, &audience).await?;
    if after.state == State::Pending {
        request::propose(app, tx, &after, &audience, now).await?;
    }
    tx.want_cards(&after.id, after.revision, app.now().after(AFTER_ANSWER)).await?;
    Ok(Ok(Toast::success(answers::decided(press.action, &after, None))))
}

/// What has become pending needs what the rules say now; what its author may not address is not even chosen.
fn on_terms(app: &App, after: Broadcast, audience: &mut Audience) -> Result<Broadcast, Text> {
    // What was pending before and has only been written anew keeps its terms, or gets stricter ones: where its people are
    // was told then.
    if after.revised.is_some() {
        return Ok(after.tightened(&app.policy()));
    }
    let terms = app.policy().terms(&after.author, audience);
    let terms = terms.map_err(|refusal| policy::refused(&refusal, &[]))?;
    if after.state != State::Pending {
        return Ok(after);
    }
    audience.around.clear();
    Ok(after.on_terms(terms, audience))
}

/// The author says that what was found in the content is meant.
pub(super) async fn accept_findings(
    app: &App,
    tx: &mut Tx,
    before: &Broadcast,
    version: i64,
    now: Timestamp,
) -> Result<Result<Toast, Stale>, StoreError> {
    let mut audience = tx.audience(&before.id).await?;
    let after = match before.clone().accept_findings(&audience, version, now) {
        Ok(after) => after,
        Err(stale) => return Ok(Err(stale)),
    };
    let after = match on_terms(app, after, &mut audience) {
        Ok(after) => after,
        Err(refused) => return Ok(Ok(Toast::error(refused))),
    };
    tx.update_broadcast(&after, before.revision).await?;
    if after.state == State::Pending {
        request::propose(app, tx, &after, &audience, now).await?;
    }
    tx.want_cards(&after.id, after.revision, app.now().after(AFTER_ANSWER)).await?;
    Ok(Ok(Toast::success(answers::findings_accepted(&after))))
}
