//! What was sent lately, read from the ledger itself: when Feishu took each batch, and whom it named.

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, document};
use crate::domain::batch::{Batch, BatchState, InvalidIds, Outcome};
use crate::domain::ids::Timestamp;
use crate::domain::plan::Targets;

impl Store {
    /// Shows `look` whom each batch named that Feishu took after `since`, and which of them it called invalid: the newest
    /// first, `most` at most, since a connection that reads is held for as long as it takes.
    pub async fn each_accepted(
        &self,
        since: Timestamp,
        most: i64,
        mut look: impl FnMut(&Targets, &InvalidIds),
    ) -> Result<(), StoreError> {
        let mut reader = self.reader().await?;
        let newest = "select targets, outcome from batches where accepted_at > $1 order by accepted_at desc limit $2";
        let mut rows = sqlx::query(newest).bind(since.0).bind(most).fetch(&mut *reader);
        while let Some(row) = rows.try_next().await? {
            // One that another version wrote must not hide the others.
            let read = |row: &AnyRow| -> Result<(Targets, Outcome), StoreError> {
                Ok((document(row.try_get::<&str, _>("targets")?)?, document(row.try_get::<&str, _>("outcome")?)?))
            };
            match read(&row) {
                Ok((targets, outcome)) => look(&targets, &outcome.invalid),
                Err(error) => tracing::error!(%error, "a batch cannot be read and is not counted"),
            }
        }
        Ok(())
    }
}

impl Tx {
    /// Remembers when Feishu took a batch; nothing of one that it did not take.
    pub async fn note_accepted(&mut self, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        if batch.state != BatchState::Accepted {
            return Ok(());
        }
        sqlx::query("update batches set accepted_at = $3 where broadcast = $1 and seq = $2")
            .bind(batch.broadcast.as_str())
            .bind(batch.seq)
            .bind(now.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
