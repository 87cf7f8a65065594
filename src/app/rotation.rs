//! Keys that are being changed: what still comes in under the previous value, so that an operator knows when it can go.
//!
//! Only of keys that have a previous value, and of this process: replicas are added up by whoever reads the metrics.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::ids::Timestamp;
use crate::domain::keys::{Generation, Rotating};
use crate::feishu::envelope::{Door, Under};
use crate::feishu::secret::count_use;

/// No push yet.
const NEVER: i64 = i64::MIN;

/// When pushes last came in, by the keys of the door.
pub struct Arrivals {
    encrypt_key: Option<Last>,
    verification_token: Option<Last>,
}

/// The last moment of each generation, in ms.
struct Last(Rotating<AtomicI64>);

impl Arrivals {
    /// None have come yet.
    pub fn at(door: &Door) -> Self {
        Self {
            encrypt_key: door.encrypt_key.as_ref().and_then(Last::of),
            verification_token: Last::of(&door.verification_token),
        }
    }

    /// A push of the platform's came in at `now`.
    pub fn note(&self, under: Under, now: Timestamp) {
        if let (Some(last), Some(generation)) = (&self.encrypt_key, under.encrypt_key) {
            last.note("encrypt_key", generation, now);
        }
        if let Some(last) = &self.verification_token {
            last.note("verification_token", under.verification_token, now);
        }
    }
}

impl Last {
    fn of<T>(key: &Rotating<T>) -> Option<Self> {
        key.previous.is_some().then(|| Self(key.map(|_| AtomicI64::new(NEVER))))
    }

    fn note(&self, key: &'static str, generation: Generation, now: Timestamp) {
        count_use(key, generation);
        if let Some(last) = self.0.of(generation) {
            last.fetch_max(now.0, Ordering::Relaxed);
        }
    }
}
