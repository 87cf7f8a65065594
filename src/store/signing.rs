//! What the audit chain is signed with, also while that key is being changed.
//!
//! A key that was left is never taken up again: whoever knows only the old one could else go on where the new one has
//! been in use. Which of the two is the newer one, the rows tell: the one that came later. That is the present one, or,
//! where replicas restart one by one, the previous one, to which others have gone on already.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{AnyConnection, Row as _};

use super::StoreError;
use crate::domain::audit::chain::{ChainKey, Head};
use crate::domain::keys::{Generation, Rotating};

/// The keys, and what this process has seen of them in the chain.
pub(super) struct Signing {
    pub keys: Rotating<ChainKey>,
    /// The chain was under the present key.
    under_present: AtomicBool,
    /// The chain went on from the present key to the previous one.
    previous_is_newer: AtomicBool,
}

/// What to do with a chain that ends under one of the keys.
pub(super) enum Turn<'a> {
    /// It goes on under this key, which is the one that it ends under.
    GoOn(&'a ChainKey),
    /// From here on it is under the present key.
    Change,
    /// It was under the newer key before, and ends under the older one: by hand.
    Back,
}

impl Signing {
    pub fn new(keys: Rotating<ChainKey>) -> Self {
        Self { keys, under_present: AtomicBool::new(false), previous_is_newer: AtomicBool::new(false) }
    }

    /// The key that came last, as far as this process has seen.
    pub fn newest(&self) -> &ChainKey {
        let newer = self.keys.previous.as_ref().filter(|_| self.previous_is_newer.load(Ordering::Relaxed));
        newer.unwrap_or(&self.keys.present)
    }

    /// Whether this is the name of one of the keys.
    pub fn knows(&self, key_id: &str) -> bool {
        self.keys.find(|key| key.id() == key_id).is_some()
    }

    /// How a chain goes on that ends with `head`; `None` where neither key has sealed that.
    pub async fn turn(&self, connection: &mut AnyConnection, head: &Head) -> Result<Option<Turn<'_>>, StoreError> {
        let previous = match (self.keys.find(|key| key.sealed(head)), &self.keys.previous) {
            (Some(Generation::Present), _) if self.previous_is_newer.load(Ordering::Relaxed) => {
                return Ok(Some(Turn::Back));
            }
            (Some(Generation::Present), _) => {
                self.under_present.store(true, Ordering::Relaxed);
                return Ok(Some(Turn::GoOn(&self.keys.present)));
            }
            (Some(Generation::Previous), Some(previous)) => previous,
            _ => return Ok(None),
        };
        if self.previous_is_newer.load(Ordering::Relaxed) {
            return Ok(Some(Turn::GoOn(previous)));
        }
        // Looks at every row; once in the life of a key.
        let first = async |key: &ChainKey, connection: &mut AnyConnection| -> Result<Option<i64>, StoreError> {
            let row = sqlx::query("select min(seq) as first from audit where key_id = $1")
                .bind(key.id())
                .fetch_one(connection)
                .await?;
            Ok(row.try_get("first")?)
        };
        let of_present = first(&self.keys.present, &mut *connection).await?;
        let of_previous = first(previous, connection).await?;
        Ok(Some(match of_present {
            None if self.under_present.load(Ordering::Relaxed) => Turn::Back,
            None => Turn::Change,
            Some(present) if of_previous.is_some_and(|previous| present < previous) => {
                self.previous_is_newer.store(true, Ordering::Relaxed);
                Turn::GoOn(previous)
            }
            Some(_) => Turn::Back,
        }))
    }
}
