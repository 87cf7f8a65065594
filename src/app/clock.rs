//! The only place that asks what time it is or draws random bytes, so that stories can hold both still. How long something
//! took is measured where it happens.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::ids::Timestamp;

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Fills `bytes` with random bytes fit for keys.
    fn random(&self, bytes: &mut [u8]);
}

/// The machine's clock and the kernel's random bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A machine whose clock stands before 1970 gets 1970: nothing here depends on more than order.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the kernel gives random bytes");
    }
}
