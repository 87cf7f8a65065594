//! The pace that all replicas share: a call takes its moment from here before it is made.

use sqlx::{AnyConnection, Row};

use super::{Store, StoreError};
use crate::domain::ids::Timestamp;
use crate::domain::pace::{Before, PER_MINUTE, PER_SECOND, next};

/// Calls that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// `batch_send`.
    Batches,
    /// Messages and cards, new and updated.
    Talk,
    /// Questions about delivery.
    Polls,
    /// Questions about departments and people.
    LookUps,
}

impl Ring {
    pub fn as_str(self) -> &'static str {
        match self {
            Ring::Batches => "batches",
            Ring::Talk => "talk",
            Ring::Polls => "polls",
            Ring::LookUps => "look-ups",
        }
    }

    /// Calls in any second. A lost second counts for batches; for the rest a tenth is left, because what lies between
    /// the moment and the arrival is not the same for all replicas.
    fn per_second(self) -> i64 {
        match self {
            Ring::Batches => PER_SECOND,
            Ring::Talk | Ring::Polls | Ring::LookUps => PER_SECOND * 9 / 10,
        }
    }
}

/// One call: which one it is, and when it may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    pub ring: Ring,
    call: i64,
    pub at: Timestamp,
}

impl Store {
    /// Reserves the next call. A reservation that is not used is lost.
    pub async fn reserve_call(&self, ring: Ring, now: Timestamp) -> Result<Reserved, StoreError> {
        let mut tx = self.begin().await?;
        // Whoever counts next waits for this transaction, on either database.
        let row = sqlx::query("update pace_count set calls = calls + 1 where ring = $1 returning calls")
            .bind(ring.as_str())
            .fetch_one(tx.connection())
            .await?;
        let call: i64 = row.try_get("calls")?;
        let slots = [call - 1, call - ring.per_second(), call - PER_MINUTE].map(|call| call.rem_euclid(PER_MINUTE));
        let rows = sqlx::query("select slot, call, made_at from pace where ring = $4 and slot in ($1, $2, $3)")
            .bind(slots[0])
            .bind(slots[1])
            .bind(slots[2])
            .bind(ring.as_str())
            .fetch_all(tx.connection())
            .await?;
        let mut before = Before::default();
        for row in rows {
            let made_at = Some(Timestamp(row.try_get("made_at")?));
            match call - row.try_get::<i64, _>("call")? {
                1 => before.last = made_at,
                ago if ago == ring.per_second() => before.second = made_at,
                PER_MINUTE => before.minute = made_at,
                // A slot that nobody has written for a round: nothing to wait for.
                _ => {}
            }
        }
        let at = next(&before, now);
        sqlx::query(
            "insert into pace (slot, call, made_at, ring) values ($1, $2, $3, $4)
             on conflict (ring, slot) do update set call = excluded.call, made_at = excluded.made_at",
        )
        .bind(call.rem_euclid(PER_MINUTE))
        .bind(call)
        .bind(at.0)
        .bind(ring.as_str())
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        if ring == Ring::Batches {
            self.life.witness(call);
        }
        Ok(Reserved { ring, call, at })
    }

    /// Says that a call will be made later than it might have been, so that the one a second's calls behind it keeps its
    /// distance from that moment. Returns whether it hears of it, and has not taken its own yet.
    pub async fn makes_later(&self, reserved: &Reserved, made_at: Timestamp) -> Result<bool, StoreError> {
        let Reserved { ring, call, .. } = *reserved;
        let mut tx = self.begin().await?;
        // Whoever counts next waits for this transaction, and reads what it leaves.
        let row = sqlx::query("update pace_count set calls = calls where ring = $1 returning calls")
            .bind(ring.as_str())
            .fetch_one(tx.connection())
            .await?;
        let is_heard = row.try_get::<i64, _>("calls")? < call + ring.per_second();
        // Where nobody hears of it, it is not made, and stands in nobody's way.
        if is_heard {
            move_to(tx.connection(), reserved, made_at).await?;
        }
        tx.commit().await?;
        Ok(is_heard)
    }

    /// Says that a call was made later than it might have been, to whoever takes a moment from here on.
    pub async fn made_later(&self, reserved: &Reserved, made_at: Timestamp) -> Result<(), StoreError> {
        move_to(&mut *self.writer().await?, reserved, made_at).await
    }
}

/// Never back: a call is where the latest word about it says.
async fn move_to(connection: &mut AnyConnection, reserved: &Reserved, made_at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("update pace set made_at = $4 where ring = $1 and slot = $2 and call = $3 and made_at < $4")
        .bind(reserved.ring.as_str())
        .bind(reserved.call.rem_euclid(PER_MINUTE))
        .bind(reserved.call)
        .bind(made_at.0)
        .execute(connection)
        .await?;
    Ok(())
}
