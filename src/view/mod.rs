//! Floor 1: everything the bot says. Pure: values in, sentences and cards out, always in both languages.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub mod advice;
pub mod answers;
mod batches;
pub mod cards;
pub mod check;
pub mod content;
pub mod hand;
pub mod help;
pub mod hold;
pub mod lint;
pub mod lists;
pub mod number;
pub mod page;
pub mod policy;
pub mod reach;
pub mod recall;
pub mod result;
pub mod samples;
pub mod schedule;
pub mod sheets;
pub mod story;
pub mod targets;
pub mod text;
pub mod toast;
pub mod trouble;

use crate::domain::ids::Timestamp;
pub use crate::domain::language::Language;
pub use number::{agree, count};

/// The same thing said in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    pub zh: String,
    pub en: String,
}

impl Text {
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }

    /// What is the same in every language: names, ids, what people wrote.
    pub fn same(text: String) -> Self {
        Self { en: text.clone(), zh: text }
    }

    /// Several texts, one below the other.
    pub fn lines(lines: &[Text]) -> Self {
        let join = |pick: fn(&Text) -> &str| lines.iter().map(pick).collect::<Vec<_>>().join("\n");
        Self { zh: join(|line| &line.zh), en: join(|line| &line.en) }
    }

    pub fn in_(&self, language: Language) -> &str {
        match language {
            Language::Zh => &self.zh,
            Language::En => &self.en,
        }
    }

    /// In one language, or in both, Chinese first, for somebody whose language is not known.
    pub fn said(&self, language: Option<Language>) -> String {
        match language {
            Some(language) => self.in_(language).to_owned(),
            None if self.zh == self.en => self.zh.clone(),
            None => format!("{}\n{}", self.zh, self.en),
        }
    }
}

/// How long something takes, in its largest whole units: `1 小时 30 分钟`, `45 秒`.
pub fn duration(long: Duration) -> Text {
    let (hours, minutes, seconds) = (long.as_secs() / 3600, long.as_secs() / 60 % 60, long.as_secs() % 60);
    let parts = [(hours, "小时", "hour"), (minutes, "分钟", "minute"), (seconds, "秒", "second")];
    let parts: Vec<_> = parts.into_iter().filter(|(number, ..)| *number > 0).collect();
    let zh = parts.iter().map(|(number, zh, _)| format!("{number} {zh}")).collect::<Vec<_>>().join(" ");
    let en = parts.iter().map(|(number, _, en)| count(*number, en)).collect::<Vec<_>>().join(" ");
    if parts.is_empty() { Text::new("不到 1 秒", "less than a second") } else { Text::new(zh, en) }
}

/// A moment as people read it, in the deployment's time zone: `2026-12-01 09:05`.
pub fn moment(moment: Timestamp, zone: &TimeZone) -> String {
    written(moment, zone, "%Y-%m-%d %H:%M")
}

/// A moment of the last weeks: `12-01 09:05`.
pub fn day_and_time(moment: Timestamp, zone: &TimeZone) -> String {
    written(moment, zone, "%m-%d %H:%M")
}

/// The day of a moment in the deployment's time zone: `2026-12-01`.
pub fn day(moment: Timestamp, zone: &TimeZone) -> String {
    written(moment, zone, "%Y-%m-%d")
}

/// A moment that is near, to the second: `09:05:30`.
pub fn time_of_day(moment: Timestamp, zone: &TimeZone) -> String {
    written(moment, zone, "%H:%M:%S")
}

fn written(moment: Timestamp, zone: &TimeZone, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(moment.0) {
        Ok(timestamp) => timestamp.to_zoned_datetime(zone.clone()).strftime(format).to_string(),
        // Beyond the calendar: nothing a person has to read.
        Err(_) => "—".to_owned(),
    }
}

/// What a Feishu error code means and what to click.
pub fn advice(code: i64) -> Text {
    match advice::advice(code) {
        Some(advice) => Text::new(advice.zh, advice.en),
        None => Text::new(
            format!("飞书返回了没有说明的错误码 {code}，请把日志号交给飞书技术支持。"),
            format!("Feishu answered with the undocumented code {code}; give the log id to Feishu's support."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_is_said_in_whole_units() {
        let said = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(said(600), Text::new("10 分钟", "10 minutes"));
        assert_eq!(said(5401), Text::new("1 小时 30 分钟 1 秒", "1 hour 30 minutes 1 second"));
        assert_eq!(said(0), Text::new("不到 1 秒", "less than a second"));
    }

    #[test]
    fn moments_are_read_in_the_zone_of_the_deployment() {
        let zone = TimeZone::get("Asia/Shanghai").expect("a zone of the database");
        let at = Timestamp(1_700_000_000_000);
        assert_eq!(moment(at, &zone), "2023-11-15 06:13");
        assert_eq!(time_of_day(at, &zone), "06:13:20");
        assert_eq!(moment(Timestamp(i64::MAX), &zone), "—");
    }
}
