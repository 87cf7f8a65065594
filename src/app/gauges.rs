//! What waits, as numbers for whoever watches the bot. Only where they are read: one look at the store now and then.
//!
//! The store is one for all replicas, so each of them shows the same; whoever adds them up counts them twice.

use super::{App, Step};
use crate::domain::ids::Timestamp;
use crate::domain::quota::Day;
use crate::store::StoreError;
use crate::store::waiting::{Queue, Waiting};

/// Looks, and shows what it saw.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    let now = app.now();
    match look(app, now).await {
        Ok((waiting, left)) => {
            show(Some(&waiting), now);
            metrics::gauge!("feishu_broadcast_quota_left_messages").set(left as f64);
            Ok(Step::Idle)
        }
        Err(error) => {
            // What was true a while ago would be believed.
            show(None, now);
            metrics::gauge!("feishu_broadcast_quota_left_messages").set(f64::NAN);
            Err(error)
        }
    }
}

async fn look(app: &App, now: Timestamp) -> Result<(Waiting, u64), StoreError> {
    Ok((app.store.waiting().await?, app.store.quota_left(Day::of(now)).await?))
}

/// Shows what waits; where nobody knows, no number.
fn show(waiting: Option<&Waiting>, now: Timestamp) {
    let count = |queue: fn(&Waiting) -> Queue| waiting.map_or(f64::NAN, |waiting| queue(waiting).count as f64);
    // Clocks may disagree: what is from the future has waited for nothing yet.
    let age = |queue: fn(&Waiting) -> Queue| {
        let since = |waiting| queue(waiting).since.map_or(0.0, |since| now.since(since).as_secs_f64());
        waiting.map_or(f64::NAN, since)
    };
    metrics::gauge!("feishu_broadcast_queue_events").set(count(|waiting| waiting.events));
    metrics::gauge!("feishu_broadcast_queue_age_seconds").set(age(|waiting| waiting.events));
    metrics::gauge!("feishu_broadcast_parked_events").set(count(|waiting| waiting.parked));
    metrics::gauge!("feishu_broadcast_outbox_items", "kind" => "letters").set(count(|waiting| waiting.letters));
    metrics::gauge!("feishu_broadcast_outbox_items", "kind" => "cards").set(count(|waiting| waiting.cards));
    metrics::gauge!("feishu_broadcast_outbox_age_seconds", "kind" => "letters").set(age(|waiting| waiting.letters));
    metrics::gauge!("feishu_broadcast_outbox_age_seconds", "kind" => "cards").set(age(|waiting| waiting.cards));
    metrics::gauge!("feishu_broadcast_waiting_batches").set(count(|waiting| waiting.batches));
    metrics::gauge!("feishu_broadcast_doubtful_batches").set(count(|waiting| waiting.doubtful));
}
