//! Keys that are being changed: what still comes in under the previous value, so that an operator knows when it can go.
//!
//! Only of keys that have a previous value, and of this process: replicas are added up by whoever reads the metrics.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::check::{Previous, Use};
use crate::domain::ids::Timestamp;
use crate::domain::keys::{Generation, Rotating};
use crate::feishu::envelope::{Door, Under};
use crate::feishu::secret::count_use;

/// No push yet.
const NEVER: i64 = i64::MIN;

/// When pushes last came in, by the keys of the door.
pub struct Arrivals {
    since: Timestamp,
    encrypt_key: Option<Last>,
    verification_token: Option<Last>,
}

/// The last moment of each generation, in ms.
struct Last(Rotating<AtomicI64>);

impl Arrivals {
    /// None have come yet, to a process that listens from `since` on.
    pub fn at(door: &Door, since: Timestamp) -> Self {
        Self {
            since,
            encrypt_key: door.encrypt_key.as_ref().and_then(Last::of),
            verification_token: Last::of(&door.verification_token),
        }
    }

    /// What the platform uses, of each key of the door that is being changed. Without arrivals nobody here knows.
    pub fn tell(arrivals: Option<&Self>, door: &Door, now: Timestamp) -> Vec<Previous> {
        let told = |setting: &'static str, last: fn(&Self) -> Option<&Last>| {
            let platform = arrivals.and_then(|arrivals| Some(last(arrivals)?.tell(arrivals.since, now)));
            Previous::Door { setting, platform }
        };
        let mut all = vec![];
        if door.encrypt_key.as_ref().is_some_and(|key| key.previous.is_some()) {
            all.push(told("FEISHU_ENCRYPT_KEY_PREVIOUS", |arrivals| arrivals.encrypt_key.as_ref()));
        }
        if door.verification_token.previous.is_some() {
            all.push(told("FEISHU_VERIFICATION_TOKEN_PREVIOUS", |arrivals| arrivals.verification_token.as_ref()));
        }
        all
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

    fn tell(&self, since: Timestamp, now: Timestamp) -> Use {
        let at = |generation: Generation| {
            let at = self.0.of(generation)?.load(Ordering::Relaxed);
            (at != NEVER).then_some(Timestamp(at))
        };
        Use::of(at(Generation::Present), at(Generation::Previous), since, now)
    }

    fn note(&self, key: &'static str, generation: Generation, now: Timestamp) {
        count_use(key, generation);
        if let Some(last) = self.0.of(generation) {
            last.fetch_max(now.0, Ordering::Relaxed);
        }
    }
}
