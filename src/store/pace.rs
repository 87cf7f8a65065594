//! The pace that all replicas share: every call of `batch_send` takes its moment from here before it is made.

use sqlx::Row;

use super::{Store, StoreError};
use crate::domain::ids::Timestamp;
use crate::domain::pace::{Before, PER_MINUTE, PER_SECOND, next};

impl Store {
    /// Reserves the next call and returns when it may be made. A reservation that is not used is lost.
    pub async fn reserve_call(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let mut tx = self.begin().await?;
        // Whoever counts next waits for this transaction, on either database.
        let row = sqlx::query("update pace_count set calls = calls + 1 where one = 1 returning calls")
            .fetch_one(tx.connection())
            .await?;
        let call: i64 = row.try_get("calls")?;
        let slots = [call - 1, call - PER_SECOND, call - PER_MINUTE].map(|call| call.rem_euclid(PER_MINUTE));
        let rows = sqlx::query("select slot, call, made_at from pace where slot in ($1, $2, $3)")
            .bind(slots[0])
            .bind(slots[1])
            .bind(slots[2])
            .fetch_all(tx.connection())
            .await?;
        let mut before = Before::default();
        for row in rows {
            let made_at = Some(Timestamp(row.try_get("made_at")?));
            match call - row.try_get::<i64, _>("call")? {
                1 => before.last = made_at,
                PER_SECOND => before.second = made_at,
                PER_MINUTE => before.minute = made_at,
                // A slot that nobody has written for a round: nothing to wait for.
                _ => {}
            }
        }
        let at = next(&before, now);
        sqlx::query(
            "insert into pace (slot, call, made_at) values ($1, $2, $3)
             on conflict (slot) do update set call = excluded.call, made_at = excluded.made_at",
        )
        .bind(call.rem_euclid(PER_MINUTE))
        .bind(call)
        .bind(at.0)
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(at)
    }
}
