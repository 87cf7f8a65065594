//! The batches that this very process is sending. Whoever looks for batches without their sender leaves these alone: it
//! is at its call, or has the answer and waits for the store to take it, however long the lease is over.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::batch::Batch;
use crate::domain::ids::BroadcastId;

#[derive(Default)]
pub struct UnderWay(Mutex<HashSet<(BroadcastId, i64)>>);

/// One of them, until it is dropped.
pub struct Sending<'a> {
    all: &'a UnderWay,
    batch: (BroadcastId, i64),
}

impl UnderWay {
    pub fn begin(&self, batch: &Batch) -> Sending<'_> {
        let batch = (batch.broadcast.clone(), batch.seq);
        self.lock().insert(batch.clone());
        Sending { all: self, batch }
    }

    pub fn has(&self, batch: &Batch) -> bool {
        self.lock().contains(&(batch.broadcast.clone(), batch.seq))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(BroadcastId, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.batch);
    }
}
