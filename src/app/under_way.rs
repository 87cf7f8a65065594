//! The batches that this very process is sending. Whoever looks for batches without their sender leaves these alone: it
//! is at its call, or has the answer and waits for the store to take it, however long the lease is over.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::batch::Batch;
use crate::domain::ids::BroadcastId;

#[derive(Default)]
pub struct UnderWay(Mutex<HashSet<Call>>);

/// A batch that went back and was taken anew is another call: broadcast, batch, attempt.
type Call = (BroadcastId, i64, i64);

/// One of them, until it is dropped.
pub struct Sending<'a> {
    all: &'a UnderWay,
    call: Call,
}

impl UnderWay {
    pub fn begin(&self, batch: &Batch) -> Sending<'_> {
        let call = call(batch);
        self.lock().insert(call.clone());
        Sending { all: self, call }
    }

    pub fn has(&self, batch: &Batch) -> bool {
        self.lock().contains(&call(batch))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn call(batch: &Batch) -> Call {
    (batch.broadcast.clone(), batch.seq, batch.attempts)
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.call);
    }
}
