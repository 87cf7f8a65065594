//! `[quiet]`, or `[[quiet]]` where there are several windows: when nothing may leave.

use std::fmt;

use jiff::civil::Weekday;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::{Wrong, wrong};
use crate::domain::quiet::{QuietHours, TimeOfDay, WINDOWS_MAX, Window};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    from: Spanned<String>,
    to: Spanned<String>,
    days: Option<Vec<Spanned<String>>>,
}

/// One table or several.
#[derive(Debug, Default)]
pub(super) struct Windows(Vec<Written>);

impl<'de> Deserialize<'de> for Windows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Windows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[quiet] or [[quiet]] with from and to")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Windows, A::Error> {
                Ok(Windows(vec![Written::deserialize(MapAccessDeserializer::new(map))?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Windows, A::Error> {
                Ok(Windows(Vec::deserialize(SeqAccessDeserializer::new(seq))?))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

impl Windows {
    /// The hours as a value; none where the file has no such rule.
    pub(super) fn hours(&self) -> Result<Option<QuietHours>, Wrong> {
        let Some(last) = self.0.last() else { return Ok(None) };
        if let Some(more) = self.0.get(WINDOWS_MAX) {
            return Err(wrong(&more.from, format!("there are more than {WINDOWS_MAX} windows")));
        }
        let windows = self.0.iter().map(window).collect::<Result<Vec<Window>, Wrong>>()?;
        QuietHours::new(windows).map(Some).map_err(|error| wrong(&last.from, error.to_string()))
    }
}

fn window(written: &Written) -> Result<Window, Wrong> {
    let days = match &written.days {
        None => DAYS.map(|(_, day)| day).to_vec(),
        Some(words) if words.is_empty() => {
            return Err(wrong(&written.from, "days is empty; leave it out where every day is meant"));
        }
        Some(words) => words.iter().map(day).collect::<Result<_, _>>()?,
    };
    Ok(Window { from: time(&written.from)?, to: time(&written.to)?, days })
}

fn time(text: &Spanned<String>) -> Result<TimeOfDay, Wrong> {
    let wrong = || wrong(text, format!("“{}” is no time of day such as 08:00", text.get_ref()));
    TimeOfDay::parse(text.get_ref()).ok_or_else(wrong)
}

fn day(word: &Spanned<String>) -> Result<Weekday, Wrong> {
    let known = || DAYS.map(|(name, _)| name).join(", ");
    let found = DAYS.iter().find(|(name, _)| *name == word.get_ref());
    found.map(|(_, day)| *day).ok_or_else(|| wrong(word, format!("“{}” is none of {}", word.get_ref(), known())))
}
