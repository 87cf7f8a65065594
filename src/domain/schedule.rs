//! When a broadcast leaves: what people write for a moment, read by the clock of the deployment's time zone.
//!
//! Nothing is guessed: a time that has passed, that the clock skips or that it shows twice is refused, and the answer
//! says how to write what was meant.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{ToSpan, ZonedDateTime};

use super::ids::Timestamp;

/// How far ahead a broadcast may be scheduled. Ours: a year further is a slip of the finger.
pub const AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long before its time a scheduled broadcast counts down on its cards, minute by minute.
pub const COUNTDOWN: Duration = Duration::from_secs(600);

/// A minute of the countdown.
const MINUTE_MS: i64 = 60_000;

/// Why what was written is no moment to send at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoMoment {
    /// It is no date and time.
    Unreadable,
    /// The clock skips that time; `next` is when it goes on.
    Skipped {
        next: Timestamp,
    },
    /// The clock shows that time twice: both, with the difference to UTC, as they can be written.
    Twice {
        first: String,
        second: String,
    },
    Past {
        at: Timestamp,
    },
    /// Further ahead than [`AHEAD_MAX`].
    TooFar {
        at: Timestamp,
    },
}

/// Reads a moment: `2026-12-01 09:05`, without the year or the day where they are near, `今天`, `明天`, `后天`, `today`,
/// `tomorrow`; with a difference to UTC (`2026-12-01T09:05+08:00`, `2026-12-01 09:05 +0800`) it is that moment wherever
/// the deployment is. A time without a day is today's.
///
/// # Errors
/// Says what is wrong with it.
pub fn read(typed: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, NoMoment> {
    let today = clock(now, zone).ok_or(NoMoment::Unreadable)?;
    let at = match with_offset(typed) {
        Some(at) => at,
        None => on_the_clock(by_the_clock(typed, &today).ok_or(NoMoment::Unreadable)?, zone)?,
    };
    if at <= now {
        Err(NoMoment::Past { at })
    } else if at > now.after(AHEAD_MAX) {
        Err(NoMoment::TooFar { at })
    } else {
        Ok(at)
    }
}

/// Whether others will send at that very moment as well. Source: contract "rate limits": at :00 and :30 Feishu is busy.
pub fn is_crowded(at: Timestamp, zone: &TimeZone) -> bool {
    clock(at, zone).is_some_and(|at| at.minute() % 30 == 0)
}

/// When the cards of a broadcast that leaves at `at` should be looked at again: each minute of the countdown, and then.
pub fn next_look(at: Timestamp, now: Timestamp) -> Timestamp {
    let left = at.0.saturating_sub(now.0);
    let countdown = i64::try_from(COUNTDOWN.as_millis()).expect("minutes");
    if left > countdown {
        return Timestamp(at.0 - countdown);
    }
    // The last whole minute that is less than what is left.
    let minutes = left.saturating_sub(1).max(0) / MINUTE_MS;
    Timestamp(at.0 - minutes * MINUTE_MS)
}

fn clock(at: Timestamp, zone: &TimeZone) -> Option<ZonedDateTime> {
    Some(jiff::Timestamp::from_millisecond(at.0).ok()?.to_zoned_datetime(zone.clone()))
}

fn with_offset(typed: &str) -> Option<Timestamp> {
    let said = typed.trim();
    let picked = || jiff::Timestamp::strptime("%Y-%m-%d %H:%M %z", said).ok();
    let at = said.parse::<jiff::Timestamp>().ok().or_else(picked)?;
    Some(Timestamp(at.as_millisecond()))
}

/// A day and a time of day, as the clock on the wall shows them.
fn by_the_clock(typed: &str, today: &ZonedDateTime) -> Option<DateTime> {
    let letters: Vec<char> = typed.trim().chars().collect();
    // The T of `2026-12-01T09:05` stands between digits; that of a word does not.
    let parts = |at: usize| at > 0 && letters.get(at - 1).is_some_and(char::is_ascii_digit);
    let said: String =
        letters.iter().enumerate().map(|(at, c)| if *c == 'T' && parts(at) { ' ' } else { *c }).collect();
    let (day, hour) = match said.rsplit_once(char::is_whitespace) {
        Some((day, hour)) => (Some(day.trim()), hour),
        None => (None, said.as_str()),
    };
    let time = time_of_day(hour)?;
    let date = match day {
        None => today.date(),
        Some(day) => date(day, today, time)?,
    };
    Some(date.to_datetime(time))
}

fn date(day: &str, today: &ZonedDateTime, time: Time) -> Option<Date> {
    let near = match day.to_lowercase().as_str() {
        "今天" | "今日" | "today" => Some(0),
        "明天" | "明日" | "tomorrow" => Some(1),
        "后天" => Some(2),
        _ => None,
    };
    if let Some(days) = near {
        return today.date().checked_add(days.days()).ok();
    }
    let parts: Vec<&str> = day.split(['-', '/', '.', '年', '月', '日', '号']).filter(|part| !part.is_empty()).collect();
    let number = |text: &str| text.parse::<i16>().ok();
    let small = |text: &str| text.parse::<i8>().ok();
    match parts.as_slice() {
        [year, month, day] if year.len() == 4 => Date::new(number(year)?, small(month)?, small(day)?).ok(),
        [month, day] => {
            let of = |year: i16| Date::new(year, small(month)?, small(day)?).ok();
            let this_year = of(today.year())?;
            match this_year.to_datetime(time) > today.datetime() {
                true => Some(this_year),
                false => of(today.year() + 1),
            }
        }
        _ => None,
    }
}

/// `9:05`, `09:05`, `09:05:30`.
fn time_of_day(text: &str) -> Option<Time> {
    let parts: Vec<i8> = text.split([':', '：']).map(|part| part.parse().ok()).collect::<Option<_>>()?;
    match parts.as_slice() {
        [hour, minute] => Time::new(*hour, *minute, 0, 0).ok(),
        [hour, minute, second] => Time::new(*hour, *minute, *second, 0).ok(),
        _ => None,
    }
}

fn on_the_clock(at: DateTime, zone: &TimeZone) -> Result<Timestamp, NoMoment> {
    let moment = |offset: Offset| {
        let at = offset.to_timestamp(at).map_err(|_| NoMoment::Unreadable)?;
        Ok(Timestamp(at.as_millisecond()))
    };
    match zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } => moment(offset),
        // What the clock skips would, by the time before, lie just behind where it goes on: as far as it was ahead.
        AmbiguousOffset::Gap { before, .. } => {
            let jump = zone
                .following(
                    jiff::Timestamp::from_millisecond(moment(before)?.0 - DAY_MS).unwrap_or(jiff::Timestamp::MIN),
                )
                .next();
            let next = jump.map_or(moment(before)?, |jump| Timestamp(jump.timestamp().as_millisecond()));
            Err(NoMoment::Skipped { next })
        }
        AmbiguousOffset::Fold { before, after } => {
            let written = |offset: Offset| {
                let seconds = offset.seconds();
                let sign = if seconds < 0 { '-' } else { '+' };
                let minutes = seconds.abs() / 60;
                format!("{}{sign}{:02}:{:02}", at.strftime("%Y-%m-%dT%H:%M"), minutes / 60, minutes % 60)
            };
            Err(NoMoment::Twice { first: written(before), second: written(after) })
        }
    }
}

/// A gap is never longer, so a day before it there is none.
const DAY_MS: i64 = 24 * 3600 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("a zone of the database")
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().expect("a moment").as_millisecond())
    }

    /// In Shanghai, on Thursday 2026-11-26 at noon.
    fn check(typed: &str, expect: Result<&str, NoMoment>) {
        let now = at("2026-11-26T12:00:00+08:00");
        assert_eq!(read(typed, now, &zone("Asia/Shanghai")), expect.map(at), "{typed}");
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        for typed in ["2026-12-01 09:05", "2026/12/1 9:05", "2026年12月1日 09:05", "12-01 09:05", "12月1日 9:05:00"]
        {
            check(typed, Ok("2026-12-01T09:05:00+08:00"));
        }
        for typed in ["2026-12-01T09:05", "2026-12-01T09:05+08:00", "2026-12-01T01:05Z", "2026-12-01 09:05 +0800"] {
            check(typed, Ok("2026-12-01T09:05:00+08:00"));
        }
        check("18:30", Ok("2026-11-26T18:30:00+08:00"));
        check("今天 18:30", Ok("2026-11-26T18:30:00+08:00"));
        check("明天 9:05", Ok("2026-11-27T09:05:00+08:00"));
        check("tomorrow 9:05", Ok("2026-11-27T09:05:00+08:00"));
        check("today 12:01", Ok("2026-11-26T12:01:00+08:00"));
        check("后天 9:05", Ok("2026-11-28T09:05:00+08:00"));
        // Without a year it is the next day of that name.
        check("1-2 9:05", Ok("2027-01-02T09:05:00+08:00"));
        check("11-26 11:00", Ok("2027-11-26T11:00:00+08:00"));
    }

    #[test]
    fn what_is_no_moment_ahead_is_refused() {
        for typed in ["", "9", "明天", "25:00", "2026-13-01 09:05", "2026-02-30 09:05", "soon", "12-01", "1:2:3:4"] {
            check(typed, Err(NoMoment::Unreadable));
        }
        check("12:00", Err(NoMoment::Past { at: at("2026-11-26T12:00:00+08:00") }));
        check("2026-11-25 09:05", Err(NoMoment::Past { at: at("2026-11-25T09:05:00+08:00") }));
        check("2062-12-01 09:05", Err(NoMoment::TooFar { at: at("2062-12-01T09:05:00+08:00") }));
    }

    #[test]
    fn a_time_that_the_clock_skips_or_shows_twice_is_refused() {
        let read = |typed: &str| read(typed, at("2026-03-01T00:00:00Z"), &zone("Europe/Berlin"));
        assert_eq!(read("2026-03-29 02:30"), Err(NoMoment::Skipped { next: at("2026-03-29T03:00:00+02:00") }));
        let twice = NoMoment::Twice { first: "2026-10-25T02:30+02:00".into(), second: "2026-10-25T02:30+01:00".into() };
        assert_eq!(read("2026-10-25 02:30"), Err(twice));
        assert_eq!(read("2026-10-25T02:30+01:00"), Ok(at("2026-10-25T01:30:00Z")));
        assert_eq!(read("2026-10-25 03:30"), Ok(at("2026-10-25T02:30:00Z")));
    }

    #[test]
    fn full_and_half_hours_are_crowded() {
        let crowded = |text: &str, name: &str| is_crowded(at(text), &zone(name));
        assert!(crowded("2026-12-01T09:00:00+08:00", "Asia/Shanghai"));
        assert!(crowded("2026-12-01T09:30:59+08:00", "Asia/Shanghai"));
        assert!(!crowded("2026-12-01T09:05:00+08:00", "Asia/Shanghai"));
        // Three quarters behind, as in Kathmandu.
        assert!(!crowded("2026-12-01T09:00:00+08:00", "Asia/Kathmandu"));
    }

    #[test]
    fn the_countdown_looks_once_a_minute() {
        let (at, look) = (Timestamp(10_000_000), |now| next_look(Timestamp(10_000_000), Timestamp(now)).0);
        assert_eq!(look(0), 9_400_000);
        assert_eq!(look(9_400_000), 9_460_000);
        assert_eq!(look(9_459_999), 9_460_000);
        assert_eq!(look(9_460_000), 9_520_000);
        assert_eq!(look(9_940_000), at.0);
        assert_eq!(look(9_999_999), at.0);
        assert_eq!(look(10_000_001), at.0);
    }
}
