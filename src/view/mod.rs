//! Floor 1: everything the bot says. Pure: values in, sentences and cards out, always in both languages.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub mod advice;
pub mod answers;
pub mod cards;
pub mod help;
pub mod lists;
pub mod page;
pub mod result;
pub mod text;
pub mod toast;

use crate::domain::ids::Timestamp;
pub use crate::domain::language::Language;

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

/// A moment as people read it, in the deployment's time zone: `2026-12-01 09:05`.
pub fn moment(moment: Timestamp, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(moment.0) {
        Ok(timestamp) => timestamp.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        // Beyond the calendar: nothing a person has to read.
        Err(_) => "—".to_owned(),
    }
}

/// What a Feishu error code means and what to click.
pub fn advice(code: i64) -> Text {
    match advice::advice(code) {
        Some(advice) => Text::new(advice.zh, advice.en),
        None => Text::new(
            format!("飞书返回了没有说明的错误码 {code}，请把日志号交给飞书技术支持"),
            format!("Feishu answered with the undocumented code {code}; give the log id to Feishu's support"),
        ),
    }
}
