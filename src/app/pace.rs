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
use crate::store::{Engine, Store, StoreError};

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
        while store.engine() == Engine::Postgres {
            let kept = async {
                let reserved = store.reserve_call(self.ring, now()).await?;
                tokio::time::sleep(reserved.at.since(now())).await;
                // All that a busy machine holds up is free at the same moment.
                self.departures.leave(&now).await;
                in_time(store, &reserved, &now).await
            };
            match kept.await {
                Ok(true) => return waited(self.ring, now().since(began)),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "the shared pace cannot be read; this replica keeps its own");
                    break;
                }
            }
        }
        self.departures.leave(&now).await;
        waited(self.ring, now().since(began));
    }
}

/// Counts how long a call waited for its moment.
pub fn waited(ring: Ring, wait: Duration) {
    metrics::histogram!("feishu_broadcast_pace_wait_seconds", "calls" => ring.as_str()).record(wait.as_secs_f64());
}

/// How late a call may leave before the shared pace is told: most of the 20 ms by which it keeps clear of a second, and
/// where one process alone takes from it, which keeps its own seconds, most of the 600 ms by which it keeps clear of a
/// minute.
fn late_max(store: &Store) -> Duration {
    Duration::from_millis(match store.engine() {
        Engine::Postgres => 15,
        Engine::Sqlite => 500,
    })
}

/// How much later than others a call may be on its way before the shared pace is told, where other replicas take from it.
const LONG_ON_ITS_WAY: Duration = Duration::from_millis(50);

/// Words about one late call: where each takes longer than the one before, the last one counts.
const TELLS_MAX: usize = 3;

/// Waits until a call of `batch_send` may leave, and counts it. With a token in hand before that: calls that wait for one
/// together would arrive together. `None` where it may not leave any more, because calls that have to keep clear of it have
/// their moments already: it needs another one.
///
/// # Errors
/// There is no token to be had, or the pace cannot be told: none can be made.
pub async fn depart(app: &App, reserved: &Reserved) -> Result<Option<Departure>, CallError> {
    app.feishu.have_token(app.now()).await?;
    // Made ready early, so as not to be late; what lies further ahead than that comes from a clock that was set back.
    tokio::time::sleep(reserved.at.since(app.now()).min(LEAD_MAX)).await;
    let number = app.departures.leave(|| app.now()).await;
    let departure = Departure { number, left: app.now(), reserved: *reserved };
    match in_time(&app.store, reserved, || app.now()).await {
        Ok(true) => return Ok(Some(departure)),
        Ok(false) => tracing::debug!("a call was held up for so long that it needs another moment"),
        Err(error) => {
            tracing::warn!(%error, "the shared pace cannot be told how late a call is; it needs another moment")
        }
    }
    app.departures.answered(&departure, app.now(), false);
    Ok(None)
}

/// Says that a call was answered, and whether by Feishu's yes, which tells how long the way is.
pub fn answered(app: &App, departure: &Departure, is_yes: bool) {
    let late = app.departures.answered(departure, app.now(), is_yes);
    if app.store.engine() == Engine::Sqlite || late <= LONG_ON_ITS_WAY {
        return;
    }
    let (store, Departure { reserved, left, .. }) = (app.store.clone(), *departure);
    // Whether the others still hear of it in time or not: it has arrived.
    tokio::spawn(async move {
        if let Err(error) = store.made_later(&reserved, left.after(late)).await {
            tracing::warn!(%error, "other replicas do not know how late a call arrived");
        }
    });
}

/// Whether a call that leaves now is where the shared pace believes it: at its moment, or those that have to keep clear of
/// it hear of it before they take theirs.
async fn in_time(store: &Store, reserved: &Reserved, now: impl Fn() -> Timestamp) -> Result<bool, StoreError> {
    let mut told = reserved.at;
    // Telling takes time as well: the second word says where it will be after that.
    for _ in 0..TELLS_MAX {
        let late = now().since(told);
        if late <= late_max(store) {
            return Ok(true);
        }
        let began = now();
        told = if told == reserved.at { began } else { began.after(late) };
        if !store.made_later(reserved, told).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A second and what the platform's clock may differ in counting it.
const SECOND: Duration = Duration::from_millis(1005);

/// How long before its moment a batch is taken at most.
pub const LEAD_MAX: Duration = Duration::from_millis(100);

/// How much later than it left a call without an answer counts as arrived at most: one that is never answered must not
/// stop the others.
const LATE_MAX: Duration = Duration::from_secs(1);

/// The last calls that left this process. The pace says when a call may be made; a claim, a fresh connection or a busy
/// machine may still make it late, and then the one a second's calls behind it would come too soon after it. So a call
/// leaves a second after the latest moment at which that one can have arrived: its answer, where that is told, less the
/// shortest way there and back that was seen lately.
pub struct Departures(Mutex<Departed>);

struct Departed {
    /// Calls in any second.
    per_second: usize,
    /// How many have left in all.
    count: u64,
    /// The last ones, oldest first.
    calls: VecDeque<Way>,
    fastest: Fastest,
    /// How long it takes lately to make a call ready: the mean, of which each new one is an eighth.
    lead: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Way {
    left: Timestamp,
    answered: Option<Timestamp>,
}

/// One call that has left.
#[derive(Debug, Clone, Copy)]
pub struct Departure {
    /// Which one it is, from one.
    number: u64,
    left: Timestamp,
    reserved: Reserved,
}

/// The shortest way there and back among the last few hundred.
#[derive(Debug, Default)]
struct Fastest {
    /// Of the ways that are being counted, and of those before them.
    now: Option<Duration>,
    before: Option<Duration>,
    counted: u32,
}

impl Fastest {
    /// Ways that are counted together: the shortest of them is forgotten after twice as many.
    const OF: u32 = 250;

    fn count(&mut self, way: Duration) {
        self.now = Some(self.now.map_or(way, |now| now.min(way)));
        self.counted += 1;
        if self.counted == Self::OF {
            *self = Self { now: None, before: self.now, counted: 0 };
        }
    }

    fn get(&self) -> Option<Duration> {
        [self.now, self.before].into_iter().flatten().min()
    }
}

impl Departures {
    /// Those of an endpoint that may be called so often in any second.
    pub fn new(per_second: i64) -> Self {
        Self(Mutex::new(Departed::new(usize::try_from(per_second).expect("a small number"))))
    }

    /// Waits until the next call may leave, and counts it.
    async fn leave(&self, now: impl Fn() -> Timestamp) -> u64 {
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

    /// Says that a call has ended, and whether by an answer of Feishu's, since nothing else is known to have been there
    /// and back. Returns how much longer it may have been on its way than others.
    fn answered(&self, departure: &Departure, now: Timestamp, was_there: bool) -> Duration {
        self.lock().answered(departure.number, now, was_there)
    }

    fn lock(&self) -> MutexGuard<'_, Departed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Departed {
    fn new(per_second: usize) -> Self {
        Self {
            per_second,
            count: 0,
            calls: VecDeque::with_capacity(per_second),
            fastest: Fastest::default(),
            lead: Duration::ZERO,
        }
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let bound = self.calls.len().checked_sub(self.per_second).and_then(|place| self.calls.get(place));
        let wait = bound.map_or(Duration::ZERO, |call| self.latest_arrival(call, now).after(SECOND).since(now));
        // Longer than a call can need, it comes from a clock that has been set back.
        if wait > SECOND + LATE_MAX { Duration::ZERO } else { wait }
    }

    fn latest_arrival(&self, call: &Way, now: Timestamp) -> Timestamp {
        let way = call.answered.unwrap_or(now).since(call.left);
        let late = self.longer_than_others(way);
        call.left.after(if call.answered.is_some() { late } else { late.min(LATE_MAX) })
    }

    fn longer_than_others(&self, way: Duration) -> Duration {
        self.fastest.get().map_or(Duration::ZERO, |fastest| way.saturating_sub(fastest))
    }

    fn leave(&mut self, now: Timestamp) -> u64 {
        while self.calls.len() >= self.per_second {
            self.calls.pop_front();
        }
        self.calls.push_back(Way { left: now, answered: None });
        self.count += 1;
        self.count
    }

    fn answered(&mut self, number: u64, now: Timestamp, was_there: bool) -> Duration {
        let back = usize::try_from(self.count - number).unwrap_or(usize::MAX);
        let place = self.calls.len().checked_sub(1).and_then(|last| last.checked_sub(back));
        let Some(call) = place.and_then(|place| self.calls.get_mut(place)) else { return Duration::ZERO };
        call.answered = Some(now);
        let way = now.since(call.left);
        if was_there {
            self.fastest.count(way);
        }
        self.longer_than_others(way)
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
        let calls: Vec<u64> = (0..50).map(|_| departed.leave(at(0))).collect();
        for call in &calls[1..] {
            departed.answered(*call, at(10), true);
        }
        if first_ms < i64::MAX {
            departed.answered(calls[0], at(first_ms), true);
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
    fn what_never_reached_feishu_says_nothing_about_the_way_there() {
        let mut departed = fifty(10);
        let refused = departed.leave(at(1005));
        departed.answered(refused, at(1005), false);
        assert_eq!(
            departed.wait(at(1005)),
            Duration::ZERO,
            "a call that has an answer for free does not slow the others"
        );
        assert_eq!(departed.fastest.get(), Some(Duration::from_millis(10)));
    }

    #[test]
    fn a_way_that_was_short_once_is_forgotten() {
        let mut fastest = Fastest::default();
        fastest.count(Duration::from_millis(1));
        (0..2 * Fastest::OF).for_each(|_| fastest.count(Duration::from_millis(80)));
        assert_eq!(fastest.get(), Some(Duration::from_millis(80)));
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
