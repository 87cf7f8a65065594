//! The app's own access token: fetched once for all who wait, renewed before it ends, forgotten when refused.
//!
//! Feishu hands out the same token again while it has 30 minutes or more to live and a new one after that; both stay
//! good until their own end. So a token is renewed when less than ten minutes are left, and while a renewal fails the
//! old one serves until its end. A refusal that only an operator can mend (wrong app id or secret) is remembered for a
//! minute, so that a mistake in the settings does not become a hammer; one that asks for a pause, for that pause. What
//! time it is comes from the caller; only how long a fetch took is measured here. Source: "Get tenant_access_token (custom app)".

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Entry;
use moka::future::Cache;
use moka::ops::compute::{CompResult, Op};
use secrecy::{ExposeSecret, SecretString};

use super::error::{CallError, Class, RETRY_AFTER_MAX};
use crate::domain::ids::Timestamp;

/// A token with less than this to live is renewed.
pub const RENEW_BEFORE: Duration = Duration::from_secs(10 * 60);

/// A token said to live no longer than this is used at once and not kept.
pub const KEEP_MIN: Duration = Duration::from_secs(60);

/// How long a refusal that needs an operator is remembered.
pub const SETUP_PAUSE: Duration = Duration::from_secs(60);

/// While the old token still serves, failed renewals are this far apart at most; the first waits a second.
pub const RENEW_PAUSE_MAX: Duration = Duration::from_secs(30);

/// What the token endpoint answered.
#[derive(Debug, Clone)]
pub struct Fetched {
    pub token: SecretString,
    /// `None` where the answer does not say.
    pub expires_in: Option<Duration>,
}

/// The one token of this app, shared by all clones.
#[derive(Debug, Clone)]
pub struct TenantTokens {
    cache: Cache<(), Arc<Slot>>,
}

/// All that is known after some number of attempts.
#[derive(Debug, Clone, Default)]
struct Slot {
    held: Option<Held>,
    /// Attempts so far. Whoever waited for an attempt sees by this number that it is over, and shares its outcome.
    attempts: u64,
    /// Failures since the last success.
    failures: u32,
    /// The outcome of the last attempt, if it failed.
    failure: Option<Arc<CallError>>,
    /// No attempt before this moment, where that can be helped.
    quiet_until: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Held {
    token: SecretString,
    expires_at: Timestamp,
    /// False for a token too short-lived to keep: it serves those who waited for it and nobody else.
    keep: bool,
}

/// What a slot says without asking Feishu.
enum Known {
    Good(SecretString),
    /// Still good, but due for renewal.
    Due(SecretString),
    Failed(Arc<CallError>),
    Nothing,
}

impl Default for TenantTokens {
    fn default() -> Self {
        // The key is `()`: there is never more than one entry, so no bound and no eviction.
        Self { cache: Cache::builder().build() }
    }
}

impl TenantTokens {
    /// A token that is good at `now`, from memory or by `fetch`. However many ask at once, one fetches.
    ///
    /// # Errors
    /// [`CallError::NoToken`], with the error of the attempt that failed; no request was made with a token.
    pub async fn get<F, Fut>(&self, now: Timestamp, fetch: F) -> Result<SecretString, CallError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Fetched, CallError>>,
    {
        let seen = self.cache.get(&()).await.unwrap_or_default();
        let old = match seen.known(now) {
            Known::Good(token) => return Ok(token),
            Known::Failed(failure) => return Err(CallError::NoToken(failure)),
            Known::Due(token) => Some(token),
            Known::Nothing => None,
        };
        let attempt = async |entry: Option<Entry<(), Arc<Slot>>>| {
            let slot = entry.map(Entry::into_value).unwrap_or_default();
            // Somebody else's attempt ended while we waited for our turn: its outcome is ours.
            if slot.attempts != seen.attempts && (slot.held.is_some() || slot.failure.is_some()) {
                return Op::Nop;
            }
            let started = Instant::now();
            let fetched = fetch().await;
            Op::Put(Arc::new(slot.after(fetched, now, started.elapsed())))
        };
        let outcome = match &old {
            // With a token in hand nobody needs to wait for the one who renews it.
            Some(_) => {
                let attempt = async |entry| Ok::<_, Infallible>(attempt(entry).await);
                match self.cache.entry(()).and_try_compute_if_nobody_else(attempt).await {
                    Ok(outcome) => outcome,
                    Err(never) => match never {},
                }
            }
            None => self.cache.entry(()).and_compute_with(attempt).await,
        };
        match outcome {
            CompResult::Inserted(entry) | CompResult::ReplacedWith(entry) | CompResult::Unchanged(entry) => {
                entry.into_value().outcome(now, old)
            }
            CompResult::StillNone(_) | CompResult::Removed(_) => {
                unreachable!("an attempt stores its outcome, and nothing here removes one")
            }
        }
    }

    /// Drops this very token after Feishu refused it. A newer one, which somebody else fetched meanwhile, stays.
    pub async fn forget(&self, refused: &SecretString) {
        self.cache
            .entry(())
            .and_compute_with(async |entry| {
                let Some(slot) = entry.map(Entry::into_value) else {
                    return Op::Nop;
                };
                match &slot.held {
                    Some(held) if held.token.expose_secret() == refused.expose_secret() => {
                        Op::Put(Arc::new(Slot { held: None, ..Slot::clone(&slot) }))
                    }
                    Some(_) | None => Op::Nop,
                }
            })
            .await;
    }
}

impl Slot {
    fn known(&self, now: Timestamp) -> Known {
        // Further ahead than any pause is a moment only where the clock has been set back.
        let quiet = self.quiet_until.is_some_and(|until| now < until && until.since(now) <= RETRY_AFTER_MAX);
        match (self.held_at(now), &self.failure) {
            (Some(held), _) if quiet || held.expires_at.since(now) >= RENEW_BEFORE => Known::Good(held.token.clone()),
            (Some(held), _) => Known::Due(held.token.clone()),
            (None, Some(failure)) if quiet && forbids_asking(failure) => Known::Failed(failure.clone()),
            (None, _) => Known::Nothing,
        }
    }

    /// The token, if it may still be used by anybody.
    fn held_at(&self, now: Timestamp) -> Option<&Held> {
        self.held.as_ref().filter(|held| held.keep && now < held.expires_at)
    }

    /// The slot after one more attempt that began at `now` and took so long.
    fn after(&self, fetched: Result<Fetched, CallError>, now: Timestamp, took: Duration) -> Self {
        let attempts = self.attempts + 1;
        match fetched {
            Ok(Fetched { token, expires_in }) => {
                let lives = expires_in.unwrap_or_default();
                let held = Held { token, expires_at: now.after(lives), keep: lives > KEEP_MIN };
                Self { held: Some(held), attempts, ..Self::default() }
            }
            Err(error) => {
                // From its end: one that hung is not asked again by whoever comes next.
                let pause = match error.class() {
                    Class::FixSetup => SETUP_PAUSE,
                    Class::Retry { after: Some(asked) } => asked,
                    // 1, 2, 4 … seconds.
                    Class::Retry { after: None } | Class::Reauthenticate | Class::Permanent | Class::Unknown => {
                        Duration::from_secs(1 << self.failures.min(5)).min(RENEW_PAUSE_MAX)
                    }
                };
                Self {
                    held: self.held_at(now).cloned(),
                    attempts,
                    failures: self.failures.saturating_add(1),
                    failure: Some(Arc::new(error)),
                    quiet_until: Some(now.after(took + pause)),
                }
            }
        }
    }

    /// What an attempt that is over gives to one who asked at `now`, perhaps with an old token in hand.
    fn outcome(&self, now: Timestamp, old: Option<SecretString>) -> Result<SecretString, CallError> {
        match (&self.failure, &self.held, old) {
            (None, Some(held), _) => Ok(held.token.clone()),
            (_, _, Some(old)) => Ok(old),
            (Some(failure), _, None) => match self.held_at(now) {
                Some(held) => Ok(held.token.clone()),
                None => Err(CallError::NoToken(failure.clone())),
            },
            (None, None, None) => unreachable!("an attempt ends with a token or with a failure"),
        }
    }
}

/// Whether Feishu should not be asked again before the pause is over, even by one who has no token: an operator has to
/// act first, or Feishu said so.
fn forbids_asking(failure: &CallError) -> bool {
    match failure.class() {
        Class::FixSetup | Class::Retry { after: Some(_) } => true,
        Class::Retry { after: None } | Class::Reauthenticate | Class::Permanent | Class::Unknown => false,
    }
}

#[cfg(test)]
#[path = "tests/token.rs"]
mod tests;
