//! The pace of messages and cards, of questions about delivery, and of those about departments and people: never faster
//! than the platform allows for one app. Where replicas share the app they take their moments from
//! [`crate::store::pace`], as `batch_send` does everywhere. [`depart`] and [`Departures`] keep what lies between such a
//! moment and the arrival of a batch from undoing it.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::App;
use crate::domain::ids::Timestamp;
use crate::feishu::error::CallError;
use crate::store::pace::{Reserved, Ring};
use crate::store::{Engine, Store};

/// Calls a second. Source: "rate limits", tier 4, 50/s; a tenth is left for clocks that disagree.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(45).expect("not zero");

/// Calls a minute in the long run. Source: "rate limits", tier 4, 1000/min.
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(900).expect("not zero");

/// Calls that may come at once after a quiet time; with [`PER_MINUTE`] no minute ever sees more than 990.
const BURST: NonZeroU32 = NonZeroU32::new(90).expect("not zero");

/// Both buckets of one process, and what has left it.
pub struct Pace {
    ring: Ring,
    second: DefaultDirectRateLimiter,
    minute: DefaultDirectRateLimiter,
    departures: Departures,
}

impl Pace {
    pub fn new(ring: Ring) -> Self {
        Self {
            ring,
            second: RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(NonZeroU32::MIN)),
            minute: RateLimiter::direct(Quota::per_minute(PER_MINUTE).allow_burst(BURST)),
            departures: Departures::new(i64::from(PER_SECOND.get())),
        }
    }

    /// Waits until one more call may be made, by this process and by all that share its store.
    pub async fn next(&self, store: &Store, now: impl Fn() -> Timestamp) {
        let began = now();
        self.minute.until_ready().await;
        self.second.until_ready().await;
        let mut shared = None;
        if store.engine() == Engine::Postgres {
            match store.reserve_call(self.ring, now()).await {
                Ok(reserved) => {
                    tokio::time::sleep(reserved.at.since(now())).await;
                    let reserved = in_time(store, reserved, &now).await;
                    tokio::time::sleep(reserved.at.since(now())).await;
                    shared = Some(reserved);
                }
                Err(error) => tracing::warn!(%error, "the shared pace cannot be read; this replica keeps its own"),
            }
        }
        // All that a busy machine holds up is free at the same moment.
        self.departures.leave(&now).await;
        if let Some(reserved) = shared {
            tell_if_late(store, reserved, now());
        }
        waited(self.ring, now().since(began));
    }
}

/// Counts how long a call waited for its moment.
pub fn waited(ring: Ring, wait: Duration) {
    metrics::histogram!("feishu_broadcast_pace_wait_seconds", "calls" => ring.as_str()).record(wait.as_secs_f64());
}

/// How late a call may leave before other replicas hear of it: most of the 20 ms by which the shared pace keeps clear of a
/// second.
const LATE: Duration = Duration::from_millis(15);

/// How late a call may leave and still be told of in time: the one that has to keep clear of it is reserved a second
/// later.
const TELL_WITHIN: Duration = Duration::from_millis(800);

/// Waits until a call of `batch_send` may leave, and counts it. With a token in hand before that: calls that wait for one
/// together would arrive together.
///
/// # Errors
/// There is no token to be had: no call was counted, and none can be made.
pub async fn depart(app: &App, reserved: &Reserved) -> Result<Departure, CallError> {
    app.feishu.have_token(app.now()).await?;
    let reserved = in_time(&app.store, *reserved, || app.now()).await;
    // Made ready early, so as not to be late.
    tokio::time::sleep(reserved.at.since(app.now())).await;
    let departure = app.departures.leave(|| app.now()).await;
    tell_if_late(&app.store, reserved, app.now());
    Ok(departure)
}

/// The moment of a call, or another one where that is too long ago for other replicas to be told. Only where replicas share
/// the app; one process knows what has left it.
async fn in_time(store: &Store, reserved: Reserved, now: impl Fn() -> Timestamp) -> Reserved {
    let began = now();
    if store.engine() == Engine::Sqlite || began.since(reserved.at) <= TELL_WITHIN {
        return reserved;
    }
    match store.reserve_call(reserved.ring, began).await {
        Ok(another) => another,
        Err(error) => {
            tracing::warn!(%error, "the shared pace cannot be read; a call leaves late");
            reserved
        }
    }
}

/// Tells other replicas of a call that leaves late, beside the call itself.
fn tell_if_late(store: &Store, reserved: Reserved, now: Timestamp) {
    let late = now.since(reserved.at);
    if store.engine() == Engine::Sqlite || late <= LATE {
        return;
    }
    let (store, made_at) = (store.clone(), reserved.at.after(late - LATE));
    tokio::spawn(async move {
        if let Err(error) = store.made_later(&reserved, made_at).await {
            tracing::warn!(%error, "other replicas do not know how late a call left");
        }
    });
}

/// A second and what the platform's clock may differ in counting it.
const SECOND: Duration = Duration::from_millis(1005);

/// How long before its moment a batch is taken at most.
const LEAD_MAX: Duration = Duration::from_millis(100);

/// How much later than it left a call without an answer counts as arrived at most: one that is never answered must not
/// stop the others.
const LATE_MAX: Duration = Duration::from_secs(1);

/// The last calls that left this process. The pace says when a call may be made; a claim, a fresh connection or a busy
/// machine may still make it late, and then the one a second's calls behind it would come too soon after it. So a call
/// leaves a second after the latest moment at which that one can have arrived: its answer, where that is told, less the
/// shortest way there and back that was ever seen.
pub struct Departures(Mutex<Departed>);

struct Departed {
    /// Calls in any second.
    per_second: usize,
    /// How many have left in all.
    count: u64,
    /// The last ones, oldest first.
    calls: VecDeque<Way>,
    fastest: Option<Duration>,
    /// How long it takes lately to make a call ready: the mean, of which each new one is an eighth.
    lead: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Way {
    left: Timestamp,
    answered: Option<Timestamp>,
}

/// One call that has left: which one it is.
#[derive(Debug, Clone, Copy)]
pub struct Departure(u64);

impl Departures {
    /// Those of an endpoint that may be called so often in any second.
    pub fn new(per_second: i64) -> Self {
        Self(Mutex::new(Departed::new(usize::try_from(per_second).expect("a small number"))))
    }

    /// Waits until the next call may leave, and counts it.
    async fn leave(&self, now: impl Fn() -> Timestamp) -> Departure {
        loop {
            let wait = {
                let mut departed = self.lock();
                let now = now();
                let wait = departed.wait(now);
                if wait.is_zero() {
                    return departed.leave(now);
                }
                wait
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// How long before its moment a call is made ready, so that it leaves at it. What is late each time by as much would
    /// otherwise be told to the other replicas each time, and stretch everybody's second.
    pub fn lead(&self) -> Duration {
        self.lock().lead
    }

    /// Says how long it took to make a call ready.
    pub fn made_ready(&self, took: Duration) {
        let mut departed = self.lock();
        departed.lead = (departed.lead * 7 + took.min(LEAD_MAX)) / 8;
    }

    /// Says that a call was answered, whatever the answer.
    pub fn answered(&self, departure: Departure, now: Timestamp) {
        self.lock().answered(departure, now);
    }

    fn lock(&self) -> MutexGuard<'_, Departed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Departed {
    fn new(per_second: usize) -> Self {
        Self { per_second, count: 0, calls: VecDeque::with_capacity(per_second), fastest: None, lead: Duration::ZERO }
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let bound = self.calls.len().checked_sub(self.per_second).and_then(|place| self.calls.get(place));
        let wait = bound.map_or(Duration::ZERO, |call| self.latest_arrival(call, now).after(SECOND).since(now));
        // Longer than a call can need, it comes from a clock that has been set back.
        if wait > SECOND + LATE_MAX { Duration::ZERO } else { wait }
    }

    fn latest_arrival(&self, call: &Way, now: Timestamp) -> Timestamp {
        let way = call.answered.unwrap_or(now).since(call.left);
        let late = self.fastest.map_or(Duration::ZERO, |fastest| way.saturating_sub(fastest));
        call.left.after(if call.answered.is_some() { late } else { late.min(LATE_MAX) })
    }

    fn leave(&mut self, now: Timestamp) -> Departure {
        while self.calls.len() >= self.per_second {
            self.calls.pop_front();
        }
        self.calls.push_back(Way { left: now, answered: None });
        self.count += 1;
        Departure(self.count)
    }

    fn answered(&mut self, departure: Departure, now: Timestamp) {
        let back = usize::try_from(self.count - departure.0).unwrap_or(usize::MAX);
        let place = self.calls.len().checked_sub(1).and_then(|last| last.checked_sub(back));
        let Some(call) = place.and_then(|place| self.calls.get_mut(place)) else { return };
        call.answered = Some(now);
        let way = now.since(call.left);
        self.fastest = Some(self.fastest.map_or(way, |fastest| fastest.min(way)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp(1_000_000 + ms)
    }

    /// Fifty calls that leave together and are answered 10 ms later, but for the first, which takes `first_ms`.
    fn fifty(first_ms: i64) -> Departed {
        let mut departed = Departed::new(50);
        let calls: Vec<Departure> = (0..50).map(|_| departed.leave(at(0))).collect();
        for call in &calls[1..] {
            departed.answered(*call, at(10));
        }
        if first_ms < i64::MAX {
            departed.answered(calls[0], at(first_ms));
        }
        departed
    }

    #[test]
    fn the_call_fifty_calls_later_leaves_a_second_after_the_latest_moment_of_arrival() {
        assert_eq!(fifty(10).wait(at(600)), Duration::from_millis(405));
        assert_eq!(fifty(110).wait(at(600)), Duration::from_millis(505), "a late answer may mean a late arrival");
        assert_eq!(fifty(10).wait(at(1005)), Duration::ZERO);
    }

    #[test]
    fn a_call_that_was_long_on_its_way_counts_from_its_arrival() {
        assert_eq!(fifty(2510).wait(at(2510)), Duration::from_millis(995));
        assert_eq!(fifty(2510).wait(at(3505)), Duration::ZERO);
    }

    #[test]
    fn a_call_that_is_never_answered_holds_the_others_for_a_second_at_most() {
        assert_eq!(fifty(i64::MAX).wait(at(1004)), Duration::from_millis(995));
        assert_eq!(fifty(i64::MAX).wait(at(2005)), Duration::ZERO);
    }

    #[test]
    fn a_call_is_made_ready_as_early_as_that_takes_lately() {
        let departures = Departures::new(50);
        (0..50).for_each(|_| departures.made_ready(Duration::from_millis(40)));
        assert!((38..=40).contains(&departures.lead().as_millis()), "{:?}", departures.lead());
        departures.made_ready(Duration::from_secs(3600));
        assert!(departures.lead() < Duration::from_millis(50), "one that was held up counts for little");
    }

    #[test]
    fn a_clock_set_back_stops_nobody() {
        assert_eq!(fifty(10).wait(at(-60_000)), Duration::ZERO);
    }
}
