//! Questions about delivery: which batch is due, what the answer said, and the curve that the answers make.

use sqlx::Row;

use super::{Store, StoreError, Tx, document, to_document};
use crate::domain::batch::{Outcome, Progress};
use crate::domain::ids::{BatchMessageId, BroadcastId, Timestamp};
use crate::domain::reads::Point;
use crate::domain::recall::Recall;

/// The right to ask once how far a batch has come.
#[derive(Debug, Clone)]
pub struct PollClaim {
    pub broadcast: BroadcastId,
    pub seq: i64,
    pub message_id: BatchMessageId,
    /// When Feishu accepted it, where that was written down.
    pub accepted_at: Option<Timestamp>,
    pub progress: Option<Progress>,
    /// Whether a recall was asked for.
    pub is_recalled: bool,
    /// Polls so far, and how many of the last ones left its delivery as it was.
    pub polls: i64,
    pub polls_same: i64,
    /// When an answer last brought something new.
    pub changed_at: Option<Timestamp>,
}

impl Store {
    /// Whether the delivery of a batch should be asked for now; a look, no claim.
    pub async fn has_poll(&self, now: Timestamp) -> Result<bool, StoreError> {
        let due = sqlx::query("select 1 from batches where next_poll_at is not null and next_poll_at <= $1 limit 1");
        Ok(due.bind(now.0).fetch_optional(&mut *self.reader().await?).await?.is_some())
    }

    /// Takes one accepted batch whose delivery should be asked for, and puts its next poll at `next`.
    pub async fn claim_poll(&self, now: Timestamp, next: Timestamp) -> Result<Option<PollClaim>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "update batches set next_poll_at = $2, polls = polls + 1
             where (broadcast, seq) in (
                select broadcast, seq from batches where next_poll_at is not null and next_poll_at <= $1
                order by next_poll_at limit 1)
               and next_poll_at <= $1
             returning broadcast, seq, outcome, progress, recall, polls, polls_same, changed_at",
        )
        .bind(now.0)
        .bind(next.0)
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let outcome: Outcome = document(row.try_get::<&str, _>("outcome")?)?;
        let claim = PollClaim {
            broadcast: super::id(row.try_get("broadcast")?, |text| BroadcastId::parse(&text))?,
            seq: row.try_get("seq")?,
            message_id: outcome
                .message_id
                .ok_or_else(|| StoreError::Unreadable("an accepted batch without an id".into()))?,
            accepted_at: outcome.accepted_at,
            progress: row.try_get::<Option<String>, _>("progress")?.map(|text| document(&text)).transpose()?,
            is_recalled: row.try_get::<Option<&str>, _>("recall")?.is_some(),
            polls: row.try_get("polls")?,
            polls_same: row.try_get("polls_same")?,
            changed_at: row.try_get::<Option<i64>, _>("changed_at")?.map(Timestamp),
        };
        tx.commit().await?;
        Ok(Some(claim))
    }

    /// How many had read a broadcast at which moment, the oldest first.
    pub async fn reads(&self, broadcast: &BroadcastId) -> Result<Vec<Point>, StoreError> {
        let rows = sqlx::query(READS).bind(broadcast.as_str()).fetch_all(&mut *self.reader().await?).await?;
        rows.iter().map(point).collect()
    }
}

const READS: &str = "select at, reached, read_by from reads where broadcast = $1 order by at";

fn point(row: &sqlx::any::AnyRow) -> Result<Point, StoreError> {
    Ok(Point {
        at: Timestamp(row.try_get("at")?),
        reached: row.try_get::<i64, _>("reached")?.unsigned_abs(),
        read: row.try_get::<i64, _>("read_by")?.unsigned_abs(),
    })
}

impl Tx {
    /// Writes how far a batch has come and when to ask again; `None` ends the asking.
    pub async fn record_progress(
        &mut self,
        poll: &PollClaim,
        progress: Option<Progress>,
        recall: Option<&Recall>,
        next: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update batches set progress = coalesce($3, progress), polls_same = $4, next_poll_at = $5, changed_at = $6,
                    recall = coalesce($7, recall)
             where broadcast = $1 and seq = $2",
        )
        .bind(poll.broadcast.as_str())
        .bind(poll.seq)
        .bind(progress.map(|progress| to_document(&progress)))
        .bind(poll.polls_same)
        .bind(next.map(|moment| moment.0))
        .bind(poll.changed_at.map(|moment| moment.0))
        .bind(recall.map(to_document))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Asks for the delivery of a broadcast's accepted batches as soon as possible.
    pub async fn poll_now(&mut self, broadcast: &BroadcastId, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("update batches set next_poll_at = $2 where broadcast = $1 and state = 'accepted'")
            .bind(broadcast.as_str())
            .bind(now.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Puts another point behind the curve of a broadcast. `with` makes the curve that is kept.
    pub async fn add_point(
        &mut self,
        broadcast: &BroadcastId,
        latest: Point,
        with: impl FnOnce(Vec<Point>, Point) -> Vec<Point>,
    ) -> Result<(), StoreError> {
        let rows = sqlx::query(READS).bind(broadcast.as_str()).fetch_all(self.connection()).await?;
        let before = rows.iter().map(point).collect::<Result<Vec<Point>, _>>()?;
        let after = with(before.clone(), latest);
        for gone in before.iter().filter(|point| !after.contains(point)) {
            sqlx::query("delete from reads where broadcast = $1 and at = $2")
                .bind(broadcast.as_str())
                .bind(gone.at.0)
                .execute(self.connection())
                .await?;
        }
        for new in after.iter().filter(|point| !before.contains(point)) {
            sqlx::query("insert into reads (broadcast, at, reached, read_by) values ($1, $2, $3, $4)")
                .bind(broadcast.as_str())
                .bind(new.at.0)
                .bind(i64::try_from(new.reached).unwrap_or(i64::MAX))
                .bind(i64::try_from(new.read).unwrap_or(i64::MAX))
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }
}
