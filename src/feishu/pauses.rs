//! Endpoints that Feishu asked to leave alone for a while. The limit is the endpoint's and not the request's, so all that go
//! there wait, whoever asks.

use std::sync::Arc;

use moka::sync::Cache;

use super::codes::Call;
use super::error::{RETRY_AFTER_MAX, Refusal};
use crate::domain::ids::Timestamp;

/// The gateway's rate limit. Source: "Generic error codes"; how long to wait is in a header, for one API of one app.
const THROTTLED: i64 = 99_991_400;

/// What throttled calls have to wait for. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Pauses(Cache<Call, Arc<Pause>>);

#[derive(Debug)]
struct Pause {
    until: Timestamp,
    refusal: Refusal,
}

impl Default for Pauses {
    fn default() -> Self {
        Self(Cache::builder().build())
    }
}

impl Pauses {
    /// The refusal that still holds for an endpoint, with what is left to wait.
    pub fn left(&self, call: Call, now: Timestamp) -> Option<Refusal> {
        let pause = self.0.get(&call)?;
        let left = pause.until.since(now);
        // More than was ever asked for is left only where the clock has been set back.
        let holds = !left.is_zero() && left <= RETRY_AFTER_MAX;
        holds.then(|| Refusal { retry_after: Some(left), ..pause.refusal.clone() })
    }

    /// Takes note of a refusal, where it asks for a pause.
    pub fn heed(&self, refusal: &Refusal, now: Timestamp) {
        if refusal.code == THROTTLED
            && let Some(wait) = refusal.retry_after
        {
            let pause = Pause { until: now.after(wait), refusal: refusal.clone() };
            self.0.insert(refusal.call, Arc::new(pause));
        }
    }
}
