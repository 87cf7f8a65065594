//! Who is at the database, and since when.
//!
//! Nothing tells a server that takes its time from one that is gone without a word: waiting for its answer has no end,
//! and neither has whoever waits. So it is known here how long the longest of them has been at it, for
//! [`crate::bot::Bot::hung`].

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection};

use super::{Store, StoreError};

#[derive(Clone, Default)]
pub(super) struct InUse(Arc<Mutex<Uses>>);

#[derive(Default)]
struct Uses {
    /// By number, so the first one is the oldest.
    began: BTreeMap<u64, Instant>,
    last: u64,
}

/// One who is at the database, until it is dropped.
pub(super) struct Use {
    of: InUse,
    number: u64,
}

impl InUse {
    pub(super) fn begin(&self) -> Use {
        let mut uses = self.lock();
        uses.last += 1;
        let number = uses.last;
        uses.began.insert(number, Instant::now());
        Use { of: self.clone(), number }
    }

    fn lock(&self) -> MutexGuard<'_, Uses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.of.lock().began.remove(&self.number);
    }
}

/// A connection for one statement.
pub(super) struct Held {
    connection: PoolConnection<Any>,
    _use: Use,
}

impl Held {
    /// Lets go of a connection that is not to be given back.
    pub(super) fn let_go(self) {
        drop(self.connection.detach());
    }
}

impl Deref for Held {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.connection
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

impl Store {
    /// How long the one has been at the database who has been at it longest: a statement, or a transaction from its
    /// beginning to its end.
    pub fn longest_use(&self) -> Duration {
        self.in_use.lock().began.first_key_value().map_or(Duration::ZERO, |(_, began)| began.elapsed())
    }

    /// A connection for one statement that writes and need not have reached the disk.
    pub(super) async fn writer(&self) -> Result<Held, StoreError> {
        let in_use = self.in_use.begin();
        self.let_events_go_first().await;
        Ok(Held { connection: self.write.acquire().await?, _use: in_use })
    }

    /// A connection for one statement that reads.
    pub(super) async fn reader(&self) -> Result<Held, StoreError> {
        let in_use = self.in_use.begin();
        Ok(Held { connection: self.read.acquire().await?, _use: in_use })
    }
}
