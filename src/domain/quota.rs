//! The day's quota of `batch_send`: how much of it a batch takes, and when the next day begins.
//!
//! The platform counts messages, that is people, and refuses a call that does not fit (11247). So headcounts are
//! booked before a call is made and corrected by what delivery reports; what does not fit waits for the next day.

use std::time::Duration;

use super::ids::Timestamp;

/// Messages a day of one app through `batch_send`. Source: batch_send, "notes": 500,000 in all.
pub const PER_DAY: u64 = 500_000;

/// Where the platform's day begins. Source: none; the contract ("limits and semantics") assumes midnight in Beijing,
/// which has no daylight saving, and the cards say so.
const BEIJING_AHEAD: Duration = Duration::from_secs(8 * 3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long after midnight sending goes on: two clocks never agree to the second, and a refusal costs the whole day.
const AFTER_MIDNIGHT: Duration = Duration::from_secs(60);

/// A day of the platform, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i64);

impl Day {
    pub fn of(now: Timestamp) -> Self {
        Self(now.after(BEIJING_AHEAD).0.div_euclid(millis(DAY)))
    }

    /// When what waits for the next day may be tried.
    pub fn over(self) -> Timestamp {
        let midnight = (self.0 + 1).saturating_mul(millis(DAY)).saturating_sub(millis(BEIJING_AHEAD));
        Timestamp(midnight).after(AFTER_MIDNIGHT)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("a few hours")
}

/// What a call of so many people takes of a day: all of it at most, or it could never be made.
pub fn cost(heads: u64) -> u64 {
    heads.min(PER_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-25 00:00 in Beijing.
    const MIDNIGHT: i64 = 20_782 * 86_400_000 - 8 * 3_600_000;

    #[test]
    fn the_day_changes_at_midnight_in_beijing() {
        let today = Day::of(Timestamp(MIDNIGHT));
        assert_eq!(Day::of(Timestamp(MIDNIGHT - 1)), Day(today.0 - 1));
        assert_eq!(Day::of(Timestamp(MIDNIGHT + 86_399_999)), today);
        assert_eq!(today.over(), Timestamp(MIDNIGHT + 86_400_000 + 60_000));
        assert_eq!(Day(today.0 - 1).over(), Timestamp(MIDNIGHT + 60_000));
    }

    #[test]
    fn one_call_never_takes_more_than_a_day() {
        assert_eq!([0, 1, PER_DAY, PER_DAY + 1].map(cost), [0, 1, PER_DAY, PER_DAY]);
    }
}
