//! After a batch has changed: its broadcast follows, the cards are owed, and the author hears what they must know.

use super::errands::give_back;
use super::news::{tell, tell_author};
use crate::domain::audit::{Deed, Entry};
use crate::domain::broadcast::{Broadcast, State};
use crate::domain::ids::{BroadcastId, Timestamp};
use crate::domain::recall::Recalls;
use crate::domain::report::Report;
use crate::store::{StoreError, Tx};
use crate::view::recall;

/// Brings a broadcast in line with its batches, owes the cards, and tells the author when it ended or needs them.
pub async fn follow(tx: &mut Tx, id: &BroadcastId, now: Timestamp) -> Result<(), StoreError> {
    let Some(before) = tx.broadcast(id).await? else {
        return Err(StoreError::Unreadable("a batch without its broadcast".into()));
    };
    let batches = tx.batches(id).await?;
    let report = Report::of(&batches);
    let after = before.clone().follow(&report, now);
    let after = after.clone().hear_first_wave(&batches, now).unwrap_or(after);
    tx.update_broadcast(&after, before.revision).await?;
    tx.want_cards(id, after.revision, now).await?;
    let over = |broadcast: &Broadcast| broadcast.wave.is_some_and(|wave| wave.over);
    if over(&after) && !over(&before) {
        tx.record(Entry::about(&after, Deed::WaveArrived, now));
    }
    let back = before.is_being_recalled() && !after.is_being_recalled();
    // What is wanted back is spoken of once that has come to its end.
    let silent = after.is_wanted_back() && after.is_being_recalled() && after.state != State::InDoubt;
    if back {
        let ended = Entry::about(&after, Deed::RecallEnded, now).with("state", after.state);
        let Recalls { taken_back, of, uncounted, .. } = report.recalls;
        let ended = ended.with("taken_back", taken_back).with("of", of);
        tx.record(ended.with_some("uncounted", (uncounted > 0).then_some(uncounted)));
        tell(tx, &after, &recall::news(&after, &report), now).await?;
        tracing::info!(broadcast = %id, state = after.state.as_str(), "a recall came to its end");
    } else if let (Some(hold), None) = (after.hold, before.hold) {
        tx.record(Entry::about(&after, Deed::Held, now).with("cause", hold.cause));
        tell_author(tx, &after, &report, now).await?;
        tracing::warn!(broadcast = %id, cause = ?hold.cause, "a broadcast is on hold until its author says go on");
    } else if after.state != before.state && (after.state.is_settled() || after.state == State::InDoubt) && !silent {
        tx.record(Entry::about(&after, Deed::Ended, now).with("state", after.state));
        tell_author(tx, &after, &report, now).await?;
        metrics::counter!("feishu_broadcast_broadcasts_total", "state" => after.state.as_str()).increment(1);
        tracing::info!(broadcast = %id, state = after.state.as_str(), "a broadcast came to rest");
    }
    // Last: whoever changes one that this one belongs to takes them in this order.
    if after.state != before.state && matches!(after.state, State::Failed | State::Cancelled) {
        give_back(tx, &after, now).await?;
    }
    Ok(())
}
