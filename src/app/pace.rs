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
use crate::feishu::batch::Accepted;
use crate::feishu::error::{CallError, SendError};
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
                self.leave(&now).await;
                in_time(store, &self.departures, &reserved, &now).await
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
        self.leave(&now).await;
        waited(self.ring, now().since(began));
    }

    /// All that a busy machine holds up is free at the same moment. How long these calls are on their way nobody asks.
    async fn leave(&self, now: impl Fn() -> Timestamp) {
        let (number, left) = self.departures.leave(now).await;
        self.departures.ended(number, left, left, false);
    }
}

/// Counts how long a call waited for its moment.
pub fn waited(ring: Ring, wait: Duration) {
    metrics::histogram!("feishu_broadcast_pace_wait_seconds", "calls" => ring.as_str()).record(wait.as_secs_f64());
}

/// How late a call may be before the shared pace is told: most of the 20 ms by which it keeps clear of a second, and where
/// one process alone takes from it, which keeps its own seconds, most of the 600 ms by which it keeps clear of a minute.
fn late_max(store: &Store) -> Duration {
    Duration::from_millis(match store.engine() {
        Engine::Postgres => 15,
        Engine::Sqlite => 500,
    })
}

/// How much of its lateness is kept from the shared pace: it stays within the 20 ms.
const UNTOLD: Duration = Duration::from_millis(10);

/// Words about one late call. Where each takes longer than the one before, the call leaves after the last one: a store that
/// grows slower all the time must not keep it for ever.
const TELLS_MAX: usize = 3;

/// How long after it was taken a batch may still be sent: well within [`super::LEASE`], after which it counts as without a
/// sender.
const STALE: Duration = Duration::from_secs(30);

/// Waits until a call of `batch_send` that was taken at `taken_at` may leave, and counts it. With a token in hand before
/// that: calls that wait for one together would arrive together. `None` where it may not leave any more and needs another
/// moment: it is late, and those that have to keep clear of it have theirs already or cannot be told; or it was frozen or
/// starved for so long that others may have found it without a sender, and a person decided.
///
/// # Errors
/// There is no token to be had: none can be made.
pub async fn depart(app: &App, taken_at: Timestamp, reserved: &Reserved) -> Result<Option<Departure>, CallError> {
    app.feishu.have_token(app.now()).await?;
    // Made ready early, so as not to be late; what lies further ahead than that comes from a clock that was set back.
    tokio::time::sleep(reserved.at.since(app.now()).min(LEAD_MAX)).await;
    let (number, left) = app.departures.leave(|| app.now()).await;
    let departure = Departure { number, left, reserved: *reserved };
    match in_time(&app.store, &app.departures, reserved, || app.now()).await {
        Ok(true) if app.now().since(taken_at) <= STALE => return Ok(Some(departure)),
        Ok(_) => tracing::debug!("a call was held up for so long that it needs another moment"),
        Err(error) => {
            tracing::warn!(%error, "the shared pace cannot be told how late a call is; it needs another moment")
        }
    }
    unused(app, &departure);
    Ok(None)
}

/// Says that a call that might have left did not.
fn unused(app: &App, departure: &Departure) {
    app.departures.ended(departure.number, departure.left, departure.left, false);
}

/// Says that a call has ended. Feishu's yes tells how long the way is; where nothing was sent, there was none, and where
/// nothing came back, it is not waited for longer than for one that is still open. Where it was late, what is returned
/// tells those that share the pace, beside whatever else is to be done.
pub fn ended<'a>(
    app: &'a App,
    departure: &Departure,
    answer: &Result<Accepted, SendError>,
) -> impl Future<Output = ()> + Send + use<'a> {
    let late = lateness(app, departure, answer);
    let reserved = departure.reserved;
    async move {
        if late <= late_max(&app.store) {
            return;
        }
        if let Err(error) = app.store.made_later(&reserved, reserved.at.after(late.saturating_sub(UNTOLD))).await {
            tracing::warn!(%error, "the shared pace cannot be told how late a call arrived");
        }
    }
}

/// How much later than its moment a call may have arrived.
fn lateness(app: &App, departure: &Departure, answer: &Result<Accepted, SendError>) -> Duration {
    let Departure { number, left, reserved } = *departure;
    let until = match answer {
        Err(SendError::NoToken(_) | SendError::NotSent(_)) => {
            unused(app, departure);
            return Duration::ZERO;
        }
        Err(SendError::Unanswered(_)) => app.now().min(left.after(LATE_MAX)),
        Ok(_) | Err(SendError::Answered(_) | SendError::NoReceipt { .. }) => app.now(),
    };
    let arrived = left.after(app.departures.ended(number, left, until, answer.is_ok()));
    arrived.since(reserved.at)
}

/// Whether a call that leaves now is where the shared pace believes it: at its moment, or those that have to keep clear of
/// it hear of it before they take theirs.
async fn in_time(
    store: &Store,
    departures: &Departures,
    reserved: &Reserved,
    now: impl Fn() -> Timestamp,
) -> Result<bool, StoreError> {
    let (mut told, mut telling) = (reserved.at, departures.telling());
    for _ in 0..TELLS_MAX {
        let began = now();
        let late = began.since(told);
        if late <= late_max(store) {
            break;
        }
        // Where it will be after that.
        told = told.after((late + telling).saturating_sub(UNTOLD));
        if !store.makes_later(reserved, told).await? {
            return Ok(false);
        }
        telling = now().since(began);
        departures.told(telling);
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
    /// When this process began to send, where another one may have sent before it.
    began: Option<Timestamp>,
    /// How many have left in all.
    count: u64,
    /// The last ones, oldest first.
    calls: VecDeque<Way>,
    fastest: Fastest,
    /// How long it takes lately to make a call ready: the mean, of which each new one is an eighth.
    lead: Duration,
    /// How long it took the last time to tell the shared pace of a late call.
    telling: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Way {
    left: Timestamp,
    ended: Option<Timestamp>,
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

    /// Ways that are enough to tell.
    const ENOUGH: u32 = 10;

    fn count(&mut self, way: Duration) {
        self.now = Some(self.now.map_or(way, |now| now.min(way)));
        self.counted += 1;
        if self.counted == Self::OF {
            *self = Self { now: None, before: self.now, counted: 0 };
        }
    }

    /// Zero as long as too few were seen: the first calls go over fresh connections, and say nothing about the others.
    fn get(&self) -> Duration {
        if self.before.is_none() && self.counted < Self::ENOUGH {
            return Duration::ZERO;
        }
        [self.now, self.before].into_iter().flatten().min().unwrap_or_default()
    }
}

impl Departures {
    /// Those of an endpoint that may be called so often in any second.
    pub fn new(per_second: i64) -> Self {
        Self(Mutex::new(Departed::new(usize::try_from(per_second).expect("a small number"))))
    }

    /// Waits until the next call may leave, and counts it.
    async fn leave(&self, now: impl Fn() -> Timestamp) -> (u64, Timestamp) {
        loop {
            let wait = {
                let mut departed = self.lock();
                let now = now();
                let wait = departed.wait(now);
                if wait.is_zero() {
                    return (departed.leave(now), now);
                }
                wait
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Says when this process began: for a second no batch leaves, since the calls of the one before it may have left late,
    /// which that one knew alone.
    pub fn begin(&self, now: Timestamp) {
        self.lock().began = Some(now);
    }

    /// Waits until that second is over. Before anything is taken: what is taken and has not left is in doubt after a crash.
    pub async fn begun(&self, now: Timestamp) {
        let began = self.lock().began;
        let wait = began.map_or(Duration::ZERO, |began| began.after(SECOND).since(now));
        // Longer than that it comes from a clock that has been set back.
        tokio::time::sleep(if wait > SECOND { Duration::ZERO } else { wait }).await;
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
    fn ended(&self, number: u64, left: Timestamp, now: Timestamp, was_there: bool) -> Duration {
        let mut departed = self.lock();
        departed.ended(number, now);
        let way = now.since(left);
        if was_there {
            departed.fastest.count(way);
        }
        departed.longer_than_others(way)
    }

    /// How long it took lately to tell the shared pace of a late call.
    fn telling(&self) -> Duration {
        self.lock().telling
    }

    fn told(&self, took: Duration) {
        self.lock().telling = took.min(LATE_MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Departed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Departed {
    fn new(per_second: usize) -> Self {
        Self {
            per_second,
            began: None,
            count: 0,
            calls: VecDeque::with_capacity(per_second),
            fastest: Fastest::default(),
            lead: Duration::ZERO,
            telling: Duration::ZERO,
        }
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let bound = self.calls.len().checked_sub(self.per_second).and_then(|place| self.calls.get(place));
        let bound = bound.map(|call| self.latest_arrival(call, now)).max(self.began);
        let wait = bound.map_or(Duration::ZERO, |bound| bound.after(SECOND).since(now));
        // Longer than a call can need, it comes from a clock that has been set back.
        if wait > SECOND + LATE_MAX { Duration::ZERO } else { wait }
    }

    fn latest_arrival(&self, call: &Way, now: Timestamp) -> Timestamp {
        let way = call.ended.unwrap_or(now).since(call.left);
        let late = self.longer_than_others(way);
        call.left.after(if call.ended.is_some() { late } else { late.min(LATE_MAX) })
    }

    fn longer_than_others(&self, way: Duration) -> Duration {
        way.saturating_sub(self.fastest.get())
    }

    fn leave(&mut self, now: Timestamp) -> u64 {
        while self.calls.len() >= self.per_second {
            self.calls.pop_front();
        }
        self.calls.push_back(Way { left: now, ended: None });
        self.count += 1;
        self.count
    }

    fn ended(&mut self, number: u64, now: Timestamp) {
        let back = usize::try_from(self.count - number).unwrap_or(usize::MAX);
        let place = self.calls.len().checked_sub(1).and_then(|last| last.checked_sub(back));
        if let Some(call) = place.and_then(|place| self.calls.get_mut(place)) {
            call.ended = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp(1_000_000 + ms)
    }

    /// Says that a call that left at zero was answered.
    fn answered(departures: &Departures, number: u64, ms: i64, was_there: bool) -> Duration {
        departures.ended(number, at(0), at(ms), was_there)
    }

    /// Fifty calls that leave together and are answered 10 ms later, but for the first, which takes `first_ms`.
    fn fifty(first_ms: i64) -> Departures {
        let departures = Departures::new(50);
        let calls: Vec<u64> = (0..50).map(|_| departures.lock().leave(at(0))).collect();
        for call in &calls[1..] {
            answered(&departures, *call, 10, true);
        }
        if first_ms < i64::MAX {
            answered(&departures, calls[0], first_ms, true);
        }
        departures
    }

    fn wait(departures: &Departures, ms: i64) -> Duration {
        departures.lock().wait(at(ms))
    }

    #[test]
    fn the_call_fifty_calls_later_leaves_a_second_after_the_latest_moment_of_arrival() {
        assert_eq!(wait(&fifty(10), 600), Duration::from_millis(405));
        assert_eq!(wait(&fifty(110), 600), Duration::from_millis(505), "a late answer may mean a late arrival");
        assert_eq!(wait(&fifty(10), 1005), Duration::ZERO);
    }

    #[test]
    fn a_call_that_was_long_on_its_way_counts_from_its_arrival() {
        assert_eq!(wait(&fifty(2510), 2510), Duration::from_millis(995));
        assert_eq!(wait(&fifty(2510), 3505), Duration::ZERO);
    }

    #[test]
    fn a_call_that_is_never_answered_holds_the_others_for_a_second_at_most() {
        assert_eq!(wait(&fifty(i64::MAX), 1004), Duration::from_millis(995));
        assert_eq!(wait(&fifty(i64::MAX), 2005), Duration::ZERO);
    }

    #[test]
    fn what_never_reached_feishu_says_nothing_about_the_way_there() {
        let departures = fifty(10);
        let refused = departures.lock().leave(at(1005));
        departures.ended(refused, at(1005), at(1005), false);
        assert_eq!(departures.lock().fastest.get(), Duration::from_millis(10));
        assert_eq!(wait(&departures, 1005), Duration::ZERO, "a call that has its answer for free slows no other");
    }

    #[test]
    fn one_whose_answer_comes_after_many_others_is_late_all_the_same() {
        let departures = fifty(10);
        for _ in 0..60 {
            departures.lock().leave(at(1005));
        }
        assert_eq!(answered(&departures, 1, 1500, true), Duration::from_millis(1490));
    }

    #[test]
    fn nothing_leaves_in_the_first_second_of_a_process() {
        let departures = Departures::new(50);
        departures.begin(at(0));
        assert_eq!(wait(&departures, 400), Duration::from_millis(605));
        assert_eq!(wait(&departures, 1005), Duration::ZERO);
    }

    #[tokio::test]
    async fn calls_whose_answers_nobody_asks_for_keep_a_second_and_no_more() {
        let pace = Pace::new(Ring::Talk);
        for ms in (0..45).map(|call| 20 * call) {
            pace.leave(|| at(ms)).await;
        }
        assert_eq!(wait(&pace.departures, 1000), Duration::from_millis(5));
        assert_eq!(wait(&pace.departures, 1005), Duration::ZERO);
    }

    #[test]
    fn the_first_calls_may_have_arrived_as_late_as_they_were_answered() {
        let departures = Departures::new(50);
        let first = departures.lock().leave(at(0));
        assert_eq!(answered(&departures, first, 40, true), Duration::from_millis(40));
    }

    #[test]
    fn a_way_that_was_short_once_is_forgotten() {
        let mut fastest = Fastest::default();
        fastest.count(Duration::from_millis(1));
        (0..2 * Fastest::OF).for_each(|_| fastest.count(Duration::from_millis(80)));
        assert_eq!(fastest.get(), Duration::from_millis(80));
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
        assert_eq!(wait(&fifty(10), -60_000), Duration::ZERO);
    }
}
