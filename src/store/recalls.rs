//! Batches that somebody wants back: which one Feishu is to be asked about next, and what it said.

use sqlx::Row;

use super::{Store, StoreError, Tx, document, to_document};
use crate::domain::batch::Outcome;
use crate::domain::ids::{BatchMessageId, BroadcastId, Timestamp};
use crate::domain::recall::Recall;

/// The right to ask for one batch back. Asking twice does no harm, so nothing is lost with a claim.
#[derive(Debug, Clone)]
pub struct RecallClaim {
    pub broadcast: BroadcastId,
    pub seq: i64,
    pub message_id: BatchMessageId,
    /// When Feishu accepted it, where that was written down.
    pub accepted_at: Option<Timestamp>,
    /// Tries including this one, those of earlier recalls among them.
    pub tries: i64,
}

impl Store {
    /// Whether a batch is to be asked back now; a look, no claim.
    pub async fn has_recall(&self, now: Timestamp) -> Result<bool, StoreError> {
        let due = sqlx::query("select 1 from batches where recall_at is not null and recall_at <= $1 limit 1");
        Ok(due.bind(now.0).fetch_optional(&mut *self.reader().await?).await?.is_some())
    }

    /// Takes the batch that has waited longest. Nobody else takes it before `lease_until`.
    pub async fn claim_recall(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<RecallClaim>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "update batches set recall_at = $2, recall_tries = recall_tries + 1
             where (broadcast, seq) in (
                select broadcast, seq from batches where recall_at is not null and recall_at <= $1
                order by recall_at, seq limit 1)
               and recall_at <= $1
             returning broadcast, seq, outcome, recall_tries",
        )
        .bind(now.0)
        .bind(lease_until.0)
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let outcome: Outcome = document(row.try_get::<&str, _>("outcome")?)?;
        let claim = RecallClaim {
            broadcast: super::id(row.try_get("broadcast")?, |text| BroadcastId::parse(&text))?,
            seq: row.try_get("seq")?,
            message_id: outcome
                .message_id
                .ok_or_else(|| StoreError::Unreadable("an accepted batch without an id".into()))?,
            accepted_at: outcome.accepted_at,
            tries: row.try_get("recall_tries")?,
        };
        tx.commit().await?;
        Ok(Some(claim))
    }
}

impl Tx {
    /// Writes down that an accepted batch is wanted back; it is due at once.
    ///
    /// # Errors
    /// `Conflict` when the batch is not accepted.
    pub async fn want_recall(&mut self, broadcast: &BroadcastId, seq: i64, now: Timestamp) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update batches set recall = $3, recall_at = $4, recall_tries = recall_tries + 1
             where broadcast = $1 and seq = $2 and state = 'accepted'",
        )
        .bind(broadcast.as_str())
        .bind(seq)
        .bind(to_document(&Recall::wanted()))
        .bind(now.0)
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    /// Writes what Feishu said to a recall, or, with `again`, when it is asked once more. Says whether it still was this
    /// claim's; else nothing is written.
    pub async fn settle_recall(
        &mut self,
        claim: &RecallClaim,
        recall: &Recall,
        again: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let settled = sqlx::query(
            "update batches set recall = $4, recall_at = $5 where broadcast = $1 and seq = $2 and recall_tries = $3",
        )
        .bind(claim.broadcast.as_str())
        .bind(claim.seq)
        .bind(claim.tries)
        .bind(to_document(recall))
        .bind(again.map(|moment| moment.0))
        .execute(self.connection())
        .await?;
        Ok(settled.rows_affected() == 1)
    }

    /// Follows a recall that Feishu took in: delivery is asked for from `at` on as if the batch were new.
    pub async fn follow_recall(&mut self, claim: &RecallClaim, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "update batches set next_poll_at = $3, polls = 0, polls_same = 0 where broadcast = $1 and seq = $2",
        )
        .bind(claim.broadcast.as_str())
        .bind(claim.seq)
        .bind(at.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
