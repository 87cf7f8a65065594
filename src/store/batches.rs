//! The ledger: every call of `batch_send`, written down before it is made.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{Store, StoreError, Tx, document, to_document};
use crate::domain::audience::{Audience, Label};
use crate::domain::batch::{Batch, BatchState, Outcome, WaitCause};
use crate::domain::broadcast::Broadcast;
use crate::domain::hold::AWAY_MAX;
use crate::domain::ids::{BroadcastId, Timestamp};
use crate::domain::plan::{Targets, digest, heads};
use crate::domain::report::Doubtful;

/// The right to make one call and to write what came of it.
#[derive(Debug, Clone)]
pub struct BatchClaim {
    pub batch: Batch,
    pub targets: Targets,
    /// What is known of its ids.
    pub labels: BTreeMap<String, Label>,
    pub taken_at: Timestamp,
    fence: i64,
}

fn read(row: &AnyRow) -> Result<Batch, StoreError> {
    let state: String = row.try_get("state")?;
    let broadcast: String = row.try_get("broadcast")?;
    Ok(Batch {
        broadcast: super::id(broadcast, |text| BroadcastId::parse(&text))?,
        seq: row.try_get("seq")?,
        state: BatchState::parse(&state).ok_or_else(|| StoreError::Unreadable(state.clone()))?,
        ids: usize::try_from(row.try_get::<i64, _>("ids")?).unwrap_or(0),
        heads: row.try_get::<i64, _>("heads")?.unsigned_abs(),
        attempts: row.try_get("attempts")?,
        not_before: Timestamp(row.try_get("not_before")?),
        outcome: document::<Outcome>(row.try_get::<&str, _>("outcome")?)?,
        progress: row.try_get::<Option<String>, _>("progress")?.map(|text| document(&text)).transpose()?,
        recall: row.try_get::<Option<String>, _>("recall")?.map(|text| document(&text)).transpose()?,
    })
}

/// The batch whose turn it is. None while nobody has said for a while that the bot is alive: see [`super::life`].
async fn next_row(connection: &mut AnyConnection, now: Timestamp) -> Result<Option<AnyRow>, StoreError> {
    let row = sqlx::query(
        "select b.broadcast, b.seq, b.state, b.ids, b.heads, b.attempts, b.not_before, b.outcome, b.progress, b.recall
         from broadcasts c join batches b on b.broadcast = c.id
         where c.state in ('approved', 'sending') and c.held = 0 and b.state = 'planned' and b.not_before <= $1
           and (c.gate is null or b.seq <= c.gate)
           and b.seq = (select min(p.seq) from batches p where p.broadcast = c.id and p.state = 'planned')
           and not exists (select 1 from batches d where d.broadcast = c.id and d.state = 'in-doubt')
           and exists (select 1 from life where alive_at > $2)
         order by c.created_at limit 1",
    )
    .bind(now.0)
    .bind(now.0.saturating_sub(i64::try_from(AWAY_MAX.as_millis()).expect("minutes")))
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

impl Store {
    pub async fn batches(&self, broadcast: &BroadcastId) -> Result<Vec<Batch>, StoreError> {
        let rows = sqlx::query(
            "select broadcast, seq, state, ids, heads, attempts, not_before, outcome, progress, recall
             from batches where broadcast = $1 order by seq",
        )
        .bind(broadcast.as_str())
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Of the broadcasts that are being sent those of which nothing has left, and what their next batch waits for: what
    /// [`Report::kept_back`] says of each, for all of them in one look that opens no batch but the next one.
    ///
    /// [`Report::kept_back`]: crate::domain::report::Report::kept_back
    pub async fn kept_back(&self) -> Result<BTreeMap<BroadcastId, WaitCause>, StoreError> {
        // Of all but the next one only the database reads the outcome. Within a string of its JSON every quote is escaped,
        // so that these words are the fields' own.
        let rows = sqlx::query(
            r#"select b.broadcast, b.outcome
               from broadcasts c join batches b on b.broadcast = c.id
               where c.state = 'sending' and b.state = 'planned'
                 and b.seq = (select min(p.seq) from batches p where p.broadcast = c.id and p.state = 'planned')
                 and not exists (select 1 from batches d where d.broadcast = c.id and (
                     d.state in ('sending', 'accepted', 'in-doubt', 'taken-as-sent')
                     or (d.state in ('planned', 'refused', 'cancelled')
                         and (d.outcome like '%"doubted":true%' or d.outcome like '%"doubt":"%'))))"#,
        )
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut kept_back = BTreeMap::new();
        for row in rows {
            let outcome: Outcome = match document(row.try_get::<&str, _>("outcome")?) {
                Ok(outcome) => outcome,
                Err(error) => {
                    // Another version wrote it; the others are listed all the same.
                    tracing::error!(%error, "a batch cannot be read");
                    continue;
                }
            };
            if let Some(cause) = outcome.waiting.filter(|cause| cause.is_by_the_clock()) {
                kept_back.insert(super::id(row.try_get("broadcast")?, |text| BroadcastId::parse(&text))?, cause);
            }
        }
        Ok(kept_back)
    }

    /// Broadcasts that hold a batch whose sender is gone: `sending`, with the lease run out.
    pub async fn abandoned(&self, now: Timestamp) -> Result<Vec<BroadcastId>, StoreError> {
        let rows =
            sqlx::query("select distinct broadcast from batches where state = 'sending' and not_before <= $1 limit 50")
                .bind(now.0)
                .fetch_all(&mut *self.reader().await?)
                .await?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get("broadcast")?;
                super::id(id, |text| BroadcastId::parse(&text))
            })
            .collect()
    }

    /// Who stands in a broadcast's batches in doubt: they may or may not have it. With a code, who stands in those that
    /// were refused for it after a call of unknown outcome, and so may get it twice as well.
    pub async fn doubtful(&self, broadcast: &BroadcastId, refused_for: Option<i64>) -> Result<Doubtful, StoreError> {
        let rows = sqlx::query(
            "select targets, labels, heads, outcome from batches where broadcast = $1 and state = $2 order by seq",
        )
        .bind(broadcast.as_str())
        .bind(if refused_for.is_some() { BatchState::Refused } else { BatchState::InDoubt }.as_str())
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut doubtful = Doubtful::default();
        for row in rows {
            let outcome: Outcome = document(row.try_get::<&str, _>("outcome")?)?;
            if refused_for.is_some() && !(outcome.doubted && outcome.code == refused_for) {
                continue;
            }
            let targets: Targets = document(row.try_get::<&str, _>("targets")?)?;
            let labels: BTreeMap<String, Label> = document(row.try_get::<&str, _>("labels")?)?;
            doubtful.add(&targets, &labels, row.try_get::<i64, _>("heads")?.unsigned_abs());
        }
        Ok(doubtful)
    }

    /// Whom the accepted batches of a broadcast name, and those that a person took as sent.
    pub async fn reached(&self, broadcast: &BroadcastId) -> Result<Vec<Targets>, StoreError> {
        let rows = sqlx::query(
            "select targets from batches where broadcast = $1 and state in ('accepted', 'taken-as-sent') order by seq",
        )
        .bind(broadcast.as_str())
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(|row| document(row.try_get::<&str, _>("targets")?)).collect()
    }

    /// Whether a batch waits to be sent now; a look before a call is reserved, no claim.
    pub async fn has_batch(&self, now: Timestamp) -> Result<bool, StoreError> {
        Ok(next_row(&mut *self.reader().await?, now).await?.is_some())
    }

    /// Says that the call of a batch is still under way; whether the claim still holds.
    pub async fn renew_batch(&self, claim: &BatchClaim, lease_until: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let renewed = sqlx::query(
            "update batches set not_before = $4 where broadcast = $1 and seq = $2 and fence = $3 and state = 'sending'",
        )
        .bind(claim.batch.broadcast.as_str())
        .bind(claim.batch.seq)
        .bind(claim.fence)
        .bind(lease_until.0)
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(renewed.rows_affected() == 1)
    }
}

impl Tx {
    pub async fn batches(&mut self, broadcast: &BroadcastId) -> Result<Vec<Batch>, StoreError> {
        let rows = sqlx::query(
            "select broadcast, seq, state, ids, heads, attempts, not_before, outcome, progress, recall
             from batches where broadcast = $1 order by seq",
        )
        .bind(broadcast.as_str())
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// One batch of a broadcast.
    pub async fn batch(&mut self, broadcast: &BroadcastId, seq: i64) -> Result<Option<Batch>, StoreError> {
        let row = sqlx::query(
            "select broadcast, seq, state, ids, heads, attempts, not_before, outcome, progress, recall
             from batches where broadcast = $1 and seq = $2",
        )
        .bind(broadcast.as_str())
        .bind(seq)
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The digests of a broadcast's batches, in order.
    pub async fn digests(&mut self, broadcast: &BroadcastId) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("select digest from batches where broadcast = $1 order by seq")
            .bind(broadcast.as_str())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(|row| Ok(row.try_get("digest")?)).collect()
    }

    /// Writes the plan of a broadcast for its audience, numbered from 1.
    pub async fn insert_batches(
        &mut self,
        broadcast: &Broadcast,
        audience: &Audience,
        plan: &[Targets],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let outcome = to_document(&Outcome::default());
        let known = audience.labels();
        for (place, targets) in plan.iter().enumerate() {
            // Of a bare id there is nothing to keep.
            let labels: BTreeMap<Cow<'_, str>, Label> = targets
                .keys()
                .filter_map(|key| known.of(&key).map(|label| (key, label)))
                .filter(|(_, label)| *label != Label { heads: Some(1), ..Label::default() })
                .collect();
            sqlx::query(
                "insert into batches (broadcast, seq, state, targets, ids, digest, not_before, outcome, heads, labels)
                 values ($1, $2, 'planned', $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(broadcast.id.as_str())
            .bind(i64::try_from(place + 1).expect("a plan has fewer batches than i64 can count"))
            .bind(to_document(targets))
            .bind(i64::try_from(targets.count()).expect("a batch has at most 800 ids"))
            .bind(digest(&broadcast.content, targets))
            .bind(now.0)
            .bind(&outcome)
            .bind(i64::try_from(heads(&known, targets)).unwrap_or(i64::MAX))
            .bind(to_document(&labels))
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }

    /// Takes back the plan of a broadcast of which nothing has left, to write another one.
    pub async fn drop_plan(&mut self, broadcast: &BroadcastId) -> Result<(), StoreError> {
        sqlx::query("delete from batches where broadcast = $1 and state = 'planned'")
            .bind(broadcast.as_str())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Takes the next batch of a broadcast that may leave: in the order of the plan, none before one that waits, and none while
    /// another one is in doubt.
    pub async fn claim_batch(
        &mut self,
        broadcast: &BroadcastId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<BatchClaim>, StoreError> {
        let row = sqlx::query(
            "update batches set state = 'sending', not_before = $2, fence = fence + 1, attempts = attempts + 1
             where broadcast = $3 and state = 'planned' and not_before <= $1
               and seq = (select min(seq) from batches where broadcast = $3 and state = 'planned')
               and exists (select 1 from broadcasts where id = $3 and state in ('approved', 'sending') and held = 0
                           and (gate is null or batches.seq <= gate))
               and not exists (select 1 from batches where broadcast = $3 and state = 'in-doubt')
             returning broadcast, seq, state, targets, labels, ids, heads, attempts, not_before, outcome, progress, recall, fence",
        )
        .bind(now.0)
        .bind(lease_until.0)
        .bind(broadcast.as_str())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref()
            .map(|row| {
                let targets = document(row.try_get::<&str, _>("targets")?)?;
                let labels = document(row.try_get::<&str, _>("labels")?)?;
                Ok(BatchClaim { batch: read(row)?, targets, labels, taken_at: now, fence: row.try_get("fence")? })
            })
            .transpose()
    }

    /// The broadcast whose batch is to be taken next; also where that batch cannot be read.
    pub async fn next_broadcast(&mut self, now: Timestamp) -> Result<Option<BroadcastId>, StoreError> {
        let Some(row) = next_row(self.connection(), now).await? else { return Ok(None) };
        super::id(row.try_get("broadcast")?, |text| BroadcastId::parse(&text)).map(Some)
    }

    /// The batch that [`Tx::claim_batch`] would take next; a look, no claim.
    pub async fn next_batch(&mut self, now: Timestamp) -> Result<Option<Batch>, StoreError> {
        next_row(self.connection(), now).await?.as_ref().map(read).transpose()
    }

    /// Writes what came of a call; returns whether the claim still held. Where it was lost the batch is in doubt by now,
    /// and a late answer must not hide that.
    pub async fn settle_batch(
        &mut self,
        claim: &BatchClaim,
        settled: &Batch,
        poll_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update batches set state = $4, not_before = $5, outcome = $6, next_poll_at = $7
             where broadcast = $1 and seq = $2 and fence = $3 and state = 'sending'",
        )
        .bind(settled.broadcast.as_str())
        .bind(settled.seq)
        .bind(claim.fence)
        .bind(settled.state.as_str())
        .bind(settled.not_before.0)
        .bind(to_document(&settled.outcome))
        .bind(poll_at.map(|moment| moment.0))
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether what came of this very call is written already.
    pub async fn has_settled(&mut self, claim: &BatchClaim) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "select 1 from batches where broadcast = $1 and seq = $2 and fence = $3 and state <> 'sending'",
        )
        .bind(claim.batch.broadcast.as_str())
        .bind(claim.batch.seq)
        .bind(claim.fence)
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }

    /// Moves a batch on that no call is running for: a person's decision, or an abandoned call. The fence is raised,
    /// so that a sender who comes back late writes nothing.
    ///
    /// # Errors
    /// `Conflict` when the batch is no longer in the state `from`.
    pub async fn move_batch(&mut self, batch: &Batch, from: BatchState) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update batches set state = $4, not_before = $5, outcome = $6, fence = fence + 1
             where broadcast = $1 and seq = $2 and state = $3",
        )
        .bind(batch.broadcast.as_str())
        .bind(batch.seq)
        .bind(from.as_str())
        .bind(batch.state.as_str())
        .bind(batch.not_before.0)
        .bind(to_document(&batch.outcome))
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }
}
