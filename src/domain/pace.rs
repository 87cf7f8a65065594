//! When the next call may be made: the platform counts calls in any second and in any minute, and so do we.
//!
//! The times of the last [`PER_MINUTE`] calls decide exactly, so that nothing is wasted: a burst goes out at the pace
//! of the second, and a long row at the pace of the minute. Both windows are kept a little longer than the platform's,
//! because calls travel: two that leave a second apart may arrive a little closer.

use std::time::Duration;

use super::ids::Timestamp;

/// Calls in any second. Source: "rate limits", tier 4, 50/s.
pub const PER_SECOND: i64 = 50;

/// Calls in any minute. Source: "rate limits", tier 4, 1000/min.
pub const PER_MINUTE: i64 = 1000;

/// A second and 2 % of it.
const SECOND: Duration = Duration::from_millis(1020);

/// A minute and 1 % of it.
const MINUTE: Duration = Duration::from_millis(60_600);

/// How much later than the last call an older one may be: that was held up before it left (30 s at most, after which it
/// does not leave any more) or on its way. More comes from a clock that has been set back.
const LATE_MAX: Duration = Duration::from_secs(40);

/// The calls that bound the next one; `None` where so many were not made yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// The last call.
    pub last: Option<Timestamp>,
    /// The one [`PER_SECOND`] calls ago.
    pub second: Option<Timestamp>,
    /// The one [`PER_MINUTE`] calls ago.
    pub minute: Option<Timestamp>,
}

/// The earliest moment for the next call. Never before the last one, so that the order of calls is the order of times, but
/// for those that were held up.
///
/// A last call that lies further ahead than both windows allow was written under a clock that has been set back since,
/// and so was a call that is older than the last one and yet much later: what is from before that does not count.
pub fn next(before: &Before, now: Timestamp) -> Timestamp {
    if before.last.is_some_and(|last| last > now.after(MINUTE + MINUTE)) {
        return now;
    }
    let in_order = |call: &Timestamp| before.last.is_none_or(|last| *call <= last.after(LATE_MAX));
    let second = before.second.filter(in_order).map(|call| call.after(SECOND));
    let minute = before.minute.filter(in_order).map(|call| call.after(MINUTE));
    [before.last, second, minute].into_iter().flatten().fold(now, Timestamp::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes `calls` calls as fast as may be, each reserved when the one before it is made, and returns their times.
    fn row(calls: usize) -> Vec<Timestamp> {
        let mut times: Vec<Timestamp> = Vec::new();
        for n in 0..calls {
            let now = times.last().copied().unwrap_or(Timestamp(1_000_000));
            let back = |by: i64| n.checked_sub(usize::try_from(by).expect("small")).map(|place| times[place]);
            let before = Before { last: times.last().copied(), second: back(PER_SECOND), minute: back(PER_MINUTE) };
            times.push(next(&before, now));
        }
        times
    }

    fn most_within(times: &[Timestamp], window_ms: i64) -> usize {
        times
            .iter()
            .map(|from| times.iter().filter(|time| time.0 >= from.0 && time.0 < from.0 + window_ms).count())
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn no_second_and_no_minute_ever_sees_too_many() {
        let times = row(2600);
        assert!(most_within(&times, 1000) <= 50);
        assert!(most_within(&times, 60_000) <= 1000);
    }

    #[test]
    fn a_row_takes_at_most_three_percent_longer_than_the_limits_alone_require() {
        for (calls, least_ms) in [(50, 0), (51, 1000), (1000, 19_000), (1001, 60_000), (2500, 129_000)] {
            let times = row(calls);
            let took = times[calls - 1].0 - times[0].0;
            assert!(took >= least_ms && took as f64 <= least_ms as f64 * 1.03, "{calls}: {took} for {least_ms}");
        }
    }

    #[test]
    fn after_a_quiet_time_nothing_waits_and_a_clock_set_back_stops_nobody() {
        let now = Timestamp(1_000_000);
        let old = Some(Timestamp(1));
        assert_eq!(next(&Before { last: old, second: old, minute: old }, now), now);
        let ahead = Some(Timestamp(now.0 + 3_600_000));
        assert_eq!(next(&Before { last: ahead, second: ahead, minute: ahead }, now), now);
        // The call after that finds a last one of its own time among those that lie ahead.
        assert_eq!(next(&Before { last: Some(now), second: ahead, minute: ahead }, now), now);
    }

    #[test]
    fn a_call_that_left_later_than_those_behind_it_is_kept_clear_of() {
        let now = Timestamp(1_000_000);
        let late = Timestamp(now.0 + 400);
        assert_eq!(next(&Before { last: Some(now), second: Some(late), minute: None }, now), late.after(SECOND));
    }
}
