//! The day's messages, booked batch by batch before they are sent.

use sqlx::Row;

use super::{Store, StoreError, Tx};
use crate::domain::batch::Batch;
use crate::domain::ids::BroadcastId;
use crate::domain::quota::{Day, PER_DAY, cost};

fn stored(heads: u64) -> i64 {
    i64::try_from(heads).unwrap_or(i64::MAX)
}

impl Store {
    /// Messages that are left of a day.
    pub async fn quota_left(&self, day: Day) -> Result<u64, StoreError> {
        let row = sqlx::query("select booked from quota where day = $1")
            .bind(day.0)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        let booked: i64 = row.map(|row| row.try_get("booked")).transpose()?.unwrap_or(0);
        Ok(PER_DAY.saturating_sub(booked.unsigned_abs()))
    }
}

impl Tx {
    /// Books a batch on a day; whether it fits. On an empty day every batch does.
    pub async fn book(&mut self, batch: &Batch, day: Day) -> Result<bool, StoreError> {
        sqlx::query("insert into quota (day, booked) values ($1, 0) on conflict do nothing")
            .bind(day.0)
            .execute(self.connection())
            .await?;
        let heads = cost(batch.heads);
        let fits = sqlx::query("update quota set booked = booked + $2 where day = $1 and booked + $2 <= $3")
            .bind(day.0)
            .bind(stored(heads))
            .bind(stored(PER_DAY))
            .execute(self.connection())
            .await?;
        if fits.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("update batches set booked = $3, booked_on = $4 where broadcast = $1 and seq = $2")
            .bind(batch.broadcast.as_str())
            .bind(batch.seq)
            .bind(stored(heads))
            .bind(day.0)
            .execute(self.connection())
            .await?;
        Ok(true)
    }

    /// Books what a batch really came to on the day it was sent: nothing where it certainly was not, and as many as
    /// Feishu counted once it has.
    pub async fn rebook(&mut self, broadcast: &BroadcastId, seq: i64, heads: u64) -> Result<(), StoreError> {
        let row = sqlx::query("select booked, booked_on from batches where broadcast = $1 and seq = $2")
            .bind(broadcast.as_str())
            .bind(seq)
            .fetch_one(self.connection())
            .await?;
        let Some(day) = row.try_get::<Option<i64>, _>("booked_on")? else { return Ok(()) };
        let (before, after) = (row.try_get::<i64, _>("booked")?, stored(cost(heads)));
        if before == after {
            return Ok(());
        }
        sqlx::query("update quota set booked = case when booked + $2 < 0 then 0 else booked + $2 end where day = $1")
            .bind(day)
            .bind(after - before)
            .execute(self.connection())
            .await?;
        sqlx::query("update batches set booked = $3 where broadcast = $1 and seq = $2")
            .bind(broadcast.as_str())
            .bind(seq)
            .bind(after)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Feishu says that the day is used up, whatever we counted: other programs may send as the same app.
    pub async fn use_up(&mut self, day: Day) -> Result<(), StoreError> {
        sqlx::query(
            "insert into quota (day, booked) values ($1, $2) on conflict (day) do update set booked = excluded.booked",
        )
        .bind(day.0)
        .bind(stored(PER_DAY))
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
