//! The pace of messages and cards: never faster than the platform allows for one app. Where replicas share the app they
//! take their moments from [`crate::store::pace`], as `batch_send` does everywhere.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::domain::ids::Timestamp;
use crate::store::pace::Ring;
use crate::store::{Engine, Store};

/// Calls a second. Source: "rate limits", tier 4, 50/s; a tenth is left for clocks that disagree.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(45).expect("not zero");

/// Calls a minute in the long run. Source: "rate limits", tier 4, 1000/min.
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(900).expect("not zero");

/// Calls that may come at once after a quiet time; with [`PER_MINUTE`] no minute ever sees more than 990.
const BURST: NonZeroU32 = NonZeroU32::new(90).expect("not zero");

/// Both buckets of one process.
pub struct Pace {
    second: DefaultDirectRateLimiter,
    minute: DefaultDirectRateLimiter,
}

impl Pace {
    pub fn new() -> Self {
        Self {
            second: RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(NonZeroU32::MIN)),
            minute: RateLimiter::direct(Quota::per_minute(PER_MINUTE).allow_burst(BURST)),
        }
    }

    /// Waits until one more call may be made, by this process and by all that share its store.
    pub async fn next(&self, store: &Store, now: impl Fn() -> Timestamp) {
        self.minute.until_ready().await;
        self.second.until_ready().await;
        if store.engine() == Engine::Postgres {
            let now = now();
            match store.reserve_call(Ring::Talk, now).await {
                Ok(at) => tokio::time::sleep(at.since(now)).await,
                Err(error) => tracing::warn!(%error, "the shared pace cannot be read; this replica keeps its own"),
            }
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}
