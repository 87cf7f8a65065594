//! The pace of messages and cards: never faster than the platform allows for one app. `batch_send`, where a lost second
//! counts and all replicas share one limit, takes its moments from [`crate::store::pace`].

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

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

    /// Waits until one more call may be made.
    pub async fn next(&self) {
        self.minute.until_ready().await;
        self.second.until_ready().await;
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}
