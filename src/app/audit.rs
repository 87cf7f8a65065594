//! What the steps have written down: each in the transaction that does it.
//!
//! A press that was refused is written down as well, in a transaction of its own, but the same one of the same person only
//! once a minute: whoever hammers a button does not fill the disk.

use std::time::Duration;

use moka::sync::Cache;
use serde::Serialize;

use super::App;
use crate::domain::audit::chain::{Anchor, Head};
use crate::domain::audit::{Deed, Entry};
use crate::domain::batch::{Batch, BatchState};
use crate::domain::broadcast::Broadcast;
use crate::domain::ids::{DepartmentId, OpenId, Timestamp};
use crate::domain::policy::Action;
use crate::feishu::batch::Accepted;
use crate::feishu::error::{SendError, Verdict};
use crate::store::errands::ErrandClaim;
use crate::store::{StoreError, Tx};

/// How often one and the same refusal is written down.
const REFUSED_EVERY: Duration = Duration::from_secs(60);

/// Refusals remembered at a time; beyond that the oldest may be written down again early.
const REFUSALS_MAX: u64 = 10_000;

/// Which refusals were written down when.
pub struct Refusals(Cache<String, Timestamp>);

impl Refusals {
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(REFUSALS_MAX).time_to_live(REFUSED_EVERY).build())
    }
}

impl Default for Refusals {
    fn default() -> Self {
        Self::new()
    }
}

/// A refusal that is to be written down.
pub struct Refusal {
    key: String,
    entry: Entry,
}

/// What was tried, and why nothing came of it; `None` where the same was written down a moment ago.
pub fn refusal(
    app: &App,
    person: &OpenId,
    broadcast: Option<&Broadcast>,
    action: &str,
    why: impl Serialize,
) -> Option<Refusal> {
    let now = app.now();
    let entry = match broadcast {
        Some(broadcast) => Entry::about(broadcast, Deed::Refused, now),
        None => Entry::alone(Deed::Refused, now),
    };
    let entry = entry.by(person).with("action", action).with("why", why);
    let id = broadcast.map_or("", |broadcast| broadcast.id.as_str());
    let key = format!("{person} {id} {:?}", entry.detail);
    let told = app.refusals.0.get(&key);
    told.is_none_or(|told| now.since(told) >= REFUSED_EVERY).then_some(Refusal { key, entry })
}

/// Writes a refusal down, where nothing else is to be written.
pub async fn refused(app: &App, refusal: Option<Refusal>) -> Result<(), StoreError> {
    let Some(refusal) = refusal else { return Ok(()) };
    let mut tx = app.store.begin().await?;
    tx.record(refusal.entry.clone());
    tx.commit().await?;
    refusal.written(app);
    Ok(())
}

impl Refusal {
    /// Has it written down by a transaction of the caller's.
    pub fn record(&self, tx: &mut Tx) {
        tx.record(self.entry.clone());
    }

    /// It is on the disk: the next one like it can wait.
    pub fn written(self, app: &App) {
        app.refusals.0.insert(self.key, self.entry.at);
    }
}

/// A press or a command on `before` that was possible. Where it changed nothing all the same, it is a refusal.
pub async fn decided(
    app: &App,
    tx: &mut Tx,
    before: &Broadcast,
    person: &OpenId,
    action: Action,
    chosen: Option<&DepartmentId>,
) -> Result<Option<Refusal>, StoreError> {
    let Some(deed) = Deed::of(action, before) else { return Ok(None) };
    let Some(after) = tx.broadcast(&before.id).await? else { return Ok(None) };
    if after.revision == before.revision {
        let refusal = refusal(app, person, Some(before), action.as_str(), "nothing-changed");
        refusal.iter().for_each(|refusal| refusal.record(tx));
        return Ok(refusal);
    }
    let entry = Entry::about(&after, deed, app.now()).by(person).with("from", before.state).with("to", after.state);
    let entry = match deed {
        Deed::Picked => entry.with_some("department", chosen),
        Deed::Approved => entry.with("approvals", after.approvals.len()).with("required", after.required),
        Deed::Rescheduled => entry.with("send_at", after.send_at),
        // Whether one was given, not what it says.
        Deed::Rejected => entry.with("reason", after.ending.as_ref().is_some_and(|ending| ending.reason.is_some())),
        _ => entry,
    };
    tx.record(entry.with_some("held", after.hold.map(|hold| hold.cause)));
    Ok(None)
}

/// A broadcast was proposed, by its author or for those whom another one did not reach.
pub fn proposed(tx: &mut Tx, broadcast: &Broadcast, now: Timestamp) {
    let entry = Entry::about(broadcast, Deed::Proposed, now).by(&broadcast.author);
    let entry = entry
        .with("state", broadcast.state)
        .with("ids", broadcast.audience.ids)
        .with("heads", broadcast.audience.headcount.known)
        .with("required", broadcast.required)
        .with_some("send_at", broadcast.send_at)
        .with_some("repairs", broadcast.repairs.as_ref())
        .with_some("corrects", broadcast.corrects.as_ref());
    tx.record(entry);
}

/// A call begins.
pub fn called(tx: &mut Tx, broadcast: &Broadcast, batch: &Batch, now: Timestamp) {
    let entry = Entry::about(broadcast, Deed::Called, now);
    tx.record(entry.with("batch", batch.seq).with("attempt", batch.attempts).with("ids", batch.ids));
}

/// What came of it.
pub fn answered(tx: &mut Tx, broadcast: Option<&Broadcast>, batch: &Batch, now: Timestamp) {
    let Some(broadcast) = broadcast else { return };
    let outcome = match batch.state {
        // Certainly not sent, and to be tried again.
        BatchState::Planned => "again",
        state => state.as_str(),
    };
    let known = &batch.outcome;
    let invalid = known.invalid.count();
    let entry = Entry::about(broadcast, Deed::Answered, now)
        .with("batch", batch.seq)
        .with("attempt", batch.attempts)
        .with("outcome", outcome)
        .with("ids", batch.ids)
        .with_some("invalid", (invalid > 0).then_some(invalid))
        .with_some("message_id", known.message_id.as_ref())
        .with_some("code", known.code)
        .with_some("log_id", known.log_id.as_ref())
        .with_some("waiting", known.waiting)
        .with_some("doubt", known.doubt);
    tx.record(entry);
}

/// A sample is about to be sent to whoever wants to see it.
pub async fn sample_called(app: &App, broadcast: &Broadcast, claim: &ErrandClaim) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    tx.record(Entry::about(broadcast, Deed::SampleCalled, app.now()).with("for", &claim.person));
    tx.commit().await
}

/// That the call was not made after all: it is tried again.
pub fn sample_not_called(broadcast: &Broadcast, claim: &ErrandClaim, now: Timestamp) -> Entry {
    Entry::about(broadcast, Deed::SampleAnswered, now).with("for", &claim.person).with("outcome", "again")
}

/// What came of it.
pub fn sample_answered(
    broadcast: &Broadcast,
    claim: &ErrandClaim,
    answer: &Result<Accepted, SendError>,
    now: Timestamp,
) -> Entry {
    let entry = Entry::about(broadcast, Deed::SampleAnswered, now).with("for", &claim.person);
    match answer {
        Ok(accepted) => entry
            .with("outcome", "accepted")
            .with("message_id", &accepted.message_id)
            .with("invalid", accepted.invalid.count())
            .with_some("log_id", accepted.log_id.as_ref()),
        Err(error) => {
            let outcome = match error.verdict() {
                Verdict::RetryAfter(_) => "again",
                Verdict::Refused => "refused",
                Verdict::AskHuman => "in-doubt",
            };
            entry.with("outcome", outcome).with_some("code", error.code()).with_some("log_id", error.log_id())
        }
    }
}

/// Says in the log where the chain ends: a database that is put back later does not know this row.
pub fn anchor(head: &Head) {
    let anchor = Anchor::of(head.seq, &head.mac);
    tracing::info!(%anchor, "the audit chain ends here; audit verify --anchor compares");
}
