//! The author gives a broadcast that is not approved yet another time to leave at, or none, in the transaction of the
//! press. Whoever had approved did so for another time: they are told, and asked again.

use super::edit::approvals_void;
use super::press::AFTER_ANSWER;
use super::{App, terms};
use crate::domain::broadcast::{Broadcast, Stale, State, remind_at};
use crate::domain::ids::Timestamp;
use crate::store::{StoreError, Tx};
use crate::view::schedule as said;
use crate::view::toast::Toast;

/// Puts the time that was picked in the place of the one before; without one it leaves as soon as it is approved.
pub async fn reschedule(
    app: &App,
    tx: &mut Tx,
    before: &Broadcast,
    picked: Option<&str>,
    version: i64,
    now: Timestamp,
) -> Result<Result<Toast, Stale>, StoreError> {
    let at = match picked.map(|typed| terms::moment(app, &app.policy(), typed)).transpose() {
        Ok(at) => at,
        Err(refused) => return Ok(Ok(Toast::warning(refused))),
    };
    let after = match before.clone().reschedule(at, version, now) {
        Ok(after) => after,
        Err(stale) => return Ok(Err(stale)),
    };
    if at == before.send_at {
        // Nobody is asked again about what they have been asked.
        return Ok(Ok(Toast::info(said::same_time())));
    }
    tx.update_broadcast(&after, before.revision).await?;
    if after.state == State::Pending {
        tx.remind(&after.id, Some(remind_at(now, after.deadline()))).await?;
    }
    approvals_void(tx, before, &after, &said::approval_void(&after.id, before.send_at, at, &app.zone), now).await?;
    tx.want_cards(&after.id, after.revision, app.now().after(AFTER_ANSWER)).await?;
    Ok(Ok(Toast::success(said::rescheduled(at, before.approvals.len(), &app.zone))))
}
