//! Quiet hours: when nothing may leave, by the clock on the wall of the deployment.
//!
//! A window begins at a time of day on certain weekdays and ends at another, on the next day where that is earlier.
//! Both are times of a calendar, made moments only in a time zone: where clocks are put forward or back, a window begins
//! and ends when people's clocks say so. A time that the clocks skip is the moment after the gap; one that comes twice is
//! the first of the two.

use std::fmt;

use jiff::Timestamp as Moment;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use super::ids::Timestamp;

/// Windows of one deployment: nights, weekends, and some more.
pub const WINDOWS_MAX: usize = 16;

const MINUTES_A_DAY: u16 = 24 * 60;

/// A time of day in whole minutes, from `00:00` to `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Reads `8:00`, `08:00` or `24:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let (hours, minutes) = text.split_once(':')?;
        let digits = |text: &str, most: usize| {
            let fits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            fits.then(|| text.parse::<u16>().ok()).flatten()
        };
        let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2).filter(|_| minutes.len() == 2)?);
        let all = hours * 60 + minutes;
        (minutes < 60 && all <= MINUTES_A_DAY).then_some(Self(all))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// One window that comes again every week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub from: TimeOfDay,
    /// On the next day where it is not after `from`.
    pub to: TimeOfDay,
    /// The weekdays on which it begins.
    pub days: Vec<Weekday>,
}

impl Window {
    /// Its length in minutes.
    fn minutes(&self) -> u16 {
        let (from, to) = (self.from.0, self.to.0);
        if to > from { to - from } else { MINUTES_A_DAY - from + to }
    }

    /// When the window that begins on this day begins and ends; none where none does.
    fn on(&self, day: Date, zone: &TimeZone) -> Option<(Moment, Moment)> {
        if !self.days.contains(&day.weekday()) {
            return None;
        }
        let ends = if self.to.0 > self.from.0 { day } else { day.tomorrow().ok()? };
        let (from, to) = (moment(day, self.from, zone)?, moment(ends, self.to, zone)?);
        (from < to).then_some((from, to))
    }
}

fn moment(day: Date, time: TimeOfDay, zone: &TimeZone) -> Option<Moment> {
    let (day, minutes) = if time.0 == MINUTES_A_DAY { (day.tomorrow().ok()?, 0) } else { (day, time.0) };
    let number = |n: u16| i8::try_from(n).ok();
    let time = Time::new(number(minutes / 60)?, number(minutes % 60)?, 0, 0).ok()?;
    Some(zone.to_ambiguous_zoned_datetime(day.to_datetime(time)).compatible().ok()?.timestamp())
}

/// All windows of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours(Vec<Window>);

/// Windows that leave no minute of a week in which anything could be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the quiet hours leave no minute of the week in which anything could be sent")]
pub struct NeverAllowed;

impl QuietHours {
    /// Puts windows together, at most [`WINDOWS_MAX`].
    ///
    /// # Errors
    /// [`NeverAllowed`] where together they cover the whole week.
    pub fn new(windows: Vec<Window>) -> Result<Self, NeverAllowed> {
        let week = usize::from(MINUTES_A_DAY) * 7;
        let mut quiet = vec![false; week];
        for window in windows.iter().take(WINDOWS_MAX) {
            for day in &window.days {
                let day = usize::try_from(day.to_monday_zero_offset()).unwrap_or_default();
                let begin = day * usize::from(MINUTES_A_DAY) + usize::from(window.from.0);
                (begin..begin + usize::from(window.minutes())).for_each(|minute| quiet[minute % week] = true);
            }
        }
        if quiet.contains(&false) { Ok(Self(windows)) } else { Err(NeverAllowed) }
    }

    pub fn windows(&self) -> &[Window] {
        &self.0
    }

    /// The first moment from `now` on at which something may be sent: `now` itself outside of quiet hours, else the end
    /// of the window, and of those that follow it without a pause.
    pub fn next_allowed(&self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        let Ok(begin) = Moment::from_millisecond(now.0) else { return now };
        let mut at = begin;
        // Each turn ends one window; a week has at most seven of each.
        for _ in 0..=7 * WINDOWS_MAX {
            match self.end_of_window(at, zone) {
                Some(end) => at = end,
                None => break,
            }
        }
        if at == begin { now } else { Timestamp(at.as_millisecond()) }
    }

    /// When the window ends in which this moment lies; the latest of several.
    fn end_of_window(&self, at: Moment, zone: &TimeZone) -> Option<Moment> {
        let today = at.to_zoned_datetime(zone.clone()).date();
        let days = [today.yesterday().ok(), Some(today)];
        let windows = days.into_iter().flatten().flat_map(|day| self.0.iter().filter_map(move |w| w.on(day, zone)));
        windows.filter(|(from, to)| *from <= at && at < *to).map(|(_, to)| to).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Weekday; 7] = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];

    fn window(from: &str, to: &str, days: &[Weekday]) -> Window {
        let time = |text| TimeOfDay::parse(text).expect("a time");
        Window { from: time(from), to: time(to), days: days.to_vec() }
    }

    /// What `next_allowed` gives for a local time, as a local time with its offset.
    #[track_caller]
    fn check(windows: &[Window], zone: &str, now: &str, expect: &str) {
        let zone = TimeZone::get(zone).expect("a zone");
        let quiet = QuietHours::new(windows.to_vec()).expect("something is allowed");
        let at: Moment = now.parse().expect("a moment");
        let next = quiet.next_allowed(Timestamp(at.as_millisecond()), &zone);
        let expect: Moment = expect.parse().expect("a moment");
        let shown = |at: Moment| at.to_zoned_datetime(zone.clone()).strftime("%F %T %:z").to_string();
        let next = Moment::from_millisecond(next.0).expect("a moment");
        assert_eq!(shown(next), shown(expect), "from {}", shown(at));
        let again = quiet.next_allowed(Timestamp(next.as_millisecond()), &zone);
        assert_eq!(again.0, next.as_millisecond(), "what is allowed is allowed");
    }

    #[test]
    fn a_night_ends_in_the_morning_whichever_side_of_midnight_it_is() {
        let night = [window("22:00", "08:00", &ALL)];
        check(&night, "Asia/Shanghai", "2026-12-01T21:59:59+08:00", "2026-12-01T21:59:59+08:00");
        check(&night, "Asia/Shanghai", "2026-12-01T22:00:00+08:00", "2026-12-02T08:00:00+08:00");
        check(&night, "Asia/Shanghai", "2026-12-02T07:59:59+08:00", "2026-12-02T08:00:00+08:00");
        check(&night, "Asia/Shanghai", "2026-12-02T08:00:00+08:00", "2026-12-02T08:00:00+08:00");
        check(&[window("12:00", "13:30", &ALL)], "UTC", "2026-12-01T12:10:00Z", "2026-12-01T13:30:00Z");
    }

    #[test]
    fn outside_of_quiet_hours_not_even_milliseconds_change() {
        let quiet = QuietHours::new(vec![window("22:00", "08:00", &ALL)]).expect("fine");
        let now = Timestamp(1_764_561_600_123);
        assert_eq!(quiet.next_allowed(now, &TimeZone::UTC), Timestamp(1_764_576_000_000));
        let noon = Timestamp(1_764_590_400_123);
        assert_eq!(quiet.next_allowed(noon, &TimeZone::UTC), noon);
    }

    #[test]
    fn days_are_those_on_which_it_begins_and_weekends_join_the_nights() {
        let (workdays, weekend) = ALL.split_at(5);
        let windows = [window("20:00", "08:00", workdays), window("00:00", "24:00", weekend)];
        // 2026-12-04 is a Friday: the night leads into Saturday, Sunday, and Monday from midnight on is allowed.
        check(&windows, "Asia/Shanghai", "2026-12-04T20:30:00+08:00", "2026-12-07T00:00:00+08:00");
        check(&windows, "Asia/Shanghai", "2026-12-06T12:00:00+08:00", "2026-12-07T00:00:00+08:00");
        check(&windows, "Asia/Shanghai", "2026-12-07T03:00:00+08:00", "2026-12-07T03:00:00+08:00");
    }

    #[test]
    fn where_the_clocks_change_the_wall_clock_counts() {
        let night = [window("22:00", "08:00", &ALL)];
        // Spring forward in Berlin on 2026-03-29 at 02:00, back on 2026-10-25 at 03:00.
        check(&night, "Europe/Berlin", "2026-03-28T22:30:00+01:00", "2026-03-29T08:00:00+02:00");
        check(&night, "Europe/Berlin", "2026-10-24T22:30:00+02:00", "2026-10-25T08:00:00+01:00");
        // Ends at a time that does not exist: the moment after the gap. One that comes twice: the first.
        let short = [window("01:00", "02:30", &ALL)];
        check(&short, "Europe/Berlin", "2026-03-29T01:10:00+01:00", "2026-03-29T03:30:00+02:00");
        check(&short, "Europe/Berlin", "2026-10-25T01:10:00+02:00", "2026-10-25T02:30:00+02:00");
        check(&short, "Europe/Berlin", "2026-10-25T02:40:00+01:00", "2026-10-25T02:40:00+01:00");
    }

    #[test]
    fn windows_that_forbid_the_whole_week_are_none() {
        assert_eq!(QuietHours::new(vec![window("00:00", "24:00", &ALL)]), Err(NeverAllowed));
        assert_eq!(QuietHours::new(vec![window("08:00", "08:00", &ALL)]), Err(NeverAllowed));
        let halves = vec![window("00:00", "12:00", &ALL), window("12:00", "24:00", &ALL)];
        assert_eq!(QuietHours::new(halves), Err(NeverAllowed));
        assert!(QuietHours::new(vec![window("00:00", "23:59", &ALL)]).is_ok());
    }

    #[test]
    fn times_of_day_are_hours_and_minutes() {
        let time = |text| TimeOfDay::parse(text).map(|time| time.to_string());
        assert_eq!(time("8:00").as_deref(), Some("08:00"));
        assert_eq!(time("24:00").as_deref(), Some("24:00"));
        for wrong in ["24:01", "8", "8:0", "8:60", "-1:00", "+8:00", "25:00", "08:00:00", "", "八:00"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }
}
