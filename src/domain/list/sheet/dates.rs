//! Which numbers are dates: only their style tells.

use std::collections::HashMap;
use std::io::Read;

use jiff::ToSpan;
use jiff::civil::date;

use crate::domain::list::ListFault;
use crate::domain::list::sheet::xml::{Node, Xml, attributes};

/// The last day that a sheet can show, 9999-12-31; a larger number is no date, whatever its style.
const DAY_MAX: f64 = 2_958_465.0;

/// Formats of a workbook's own; Excel takes a few hundred.
const FORMATS_MAX: usize = 10_000;

/// Days from 1900 to 1904, as sheets count them.
const DAYS_UNTIL_1904: f64 = 1462.0;

/// The styles of a workbook, as far as they matter here.
#[derive(Default)]
pub(super) struct Dates {
    /// By the number of the style: whether it shows a date or a time.
    styles: Vec<bool>,
    since_1904: bool,
}

impl Dates {
    pub fn read(mut xml: Xml<impl Read>, since_1904: bool) -> Result<Self, ListFault> {
        let mut formats: HashMap<u32, bool> = HashMap::new();
        let mut styles = vec![];
        let mut within = false;
        loop {
            match xml.next()? {
                Node::Start(tag) => match tag.local_name().as_ref() {
                    "numFmt" => {
                        let (mut id, mut is_date) = (None, false);
                        attributes(&tag, |name, value| match name {
                            "numFmtId" => id = value.parse().ok(),
                            "formatCode" => is_date = is_date_format(&value),
                            _ => {}
                        })?;
                        formats.extend(id.filter(|_| formats.len() < FORMATS_MAX).map(|id| (id, is_date)));
                    }
                    "cellXfs" => within = true,
                    "xf" if within => {
                        let mut format = 0;
                        attributes(&tag, |name, value| {
                            if name == "numFmtId" {
                                format = value.parse().unwrap_or(0);
                            }
                        })?;
                        styles.push(formats.get(&format).copied().unwrap_or_else(|| is_built_in_date(format)));
                    }
                    _ => {}
                },
                Node::End(tag) if tag.local_name().as_ref() == "cellXfs" => within = false,
                Node::EndOfFile => return Ok(Self { styles, since_1904 }),
                _ => {}
            }
        }
    }

    /// The day that a number in this style shows, if it shows one.
    pub fn shown(&self, number: f64, style: usize) -> Option<String> {
        let is_date = self.styles.get(style).copied().unwrap_or(false) && (0.0..=DAY_MAX).contains(&number);
        let days = number + if self.since_1904 { DAYS_UNTIL_1904 } else { 0.0 };
        let day = || {
            date(1899, 12, 30)
                .checked_add((days as i64).days())
                .map_or_else(|_| days.to_string(), |day| day.to_string())
        };
        is_date.then(day)
    }
}

/// Formats that have a number and no code. Source: ECMA-376 part 1, 18.8.30, with those of Chinese, Japanese and
/// Korean editions.
fn is_built_in_date(format: u32) -> bool {
    matches!(format, 14..=22 | 27..=36 | 45..=47 | 50..=58)
}

/// Whether a format names days, months, years, hours or seconds outside of quotes, brackets and escapes. `E` is the
/// power of ten, or the year of an era, which never stands alone.
fn is_date_format(code: &str) -> bool {
    let mut letters = code.chars();
    while let Some(c) = letters.next() {
        match c {
            '"' => drop(letters.by_ref().find(|c| *c == '"')),
            '[' => {
                // `[h]` is a time, `[Red]` and `[$-804]` are none.
                let inner: String = letters.by_ref().take_while(|c| *c != ']').collect();
                if !inner.is_empty() && inner.chars().all(|c| matches!(c, 'h' | 'H' | 'm' | 'M' | 's' | 'S')) {
                    return true;
                }
            }
            '\\' | '_' | '*' => drop(letters.next()),
            'd' | 'D' | 'm' | 'M' | 'y' | 'Y' | 'h' | 'H' | 's' | 'S' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_names_days_or_hours_shows_a_date() {
        for code in ["yyyy-mm-dd", "yyyy\"年\"m\"月\"", "[$-804]d", "h:mm", "[h]:mm", "[mm]:ss", "0.0\\ d"] {
            assert!(is_date_format(code), "{code}");
        }
        for code in ["General", "0", "#,##0.00", "0.00E+00", "@", "\"days\" 0", "[Red]0", "\\d0", "0_d", "[$USD]0", ""]
        {
            assert!(!is_date_format(code), "{code}");
        }
    }
}
