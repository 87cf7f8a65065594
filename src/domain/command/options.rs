//! The options of `/broadcast`, which stand before the targets.
//!
//! Telephones turn `--` into one or two long dashes, so any of those begin an option. A single plain `-` does not, but
//! is answered with the option that was probably meant. Nothing that looks like an option is ever taken for a target.

use crate::domain::command::error::{EXCERPT_CHARS_MAX, VariableFault, shorten};
use crate::domain::command::line::Line;
use crate::domain::command::name::nearest_of;
use crate::domain::command::{BroadcastOptions, CommandError, CommandErrorKind, folded, half_width, quotes};
use crate::domain::content::pieces::{Piece, is_unseen};

/// The options there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OptionName {
    At,
    Template,
    Var,
    Card,
    DryRun,
}

impl OptionName {
    /// All options.
    pub const ALL: [OptionName; 5] =
        [OptionName::At, OptionName::Template, OptionName::Var, OptionName::Card, OptionName::DryRun];

    /// The word after the dashes.
    pub fn as_str(self) -> &'static str {
        match self {
            OptionName::At => "at",
            OptionName::Template => "template",
            OptionName::Var => "var",
            OptionName::Card => "card",
            OptionName::DryRun => "dry-run",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == word)
    }

    fn nearest(word: &str) -> Option<Self> {
        let begun = Self::ALL.into_iter().find(|name| word.starts_with(name.as_str()));
        begun.or_else(|| nearest_of(word, Self::ALL.into_iter().map(|name| (name, name.as_str()))))
    }
}

/// An option's word where it stands.
struct Typed {
    name: Option<OptionName>,
    word: String,
    /// Behind the word; at its `=` if there is one.
    end: usize,
    has_equals: bool,
}

/// Reads all options; `line` stands at the targets afterwards.
pub(super) fn read(line: &mut Line<'_>) -> Result<BroadcastOptions, CommandError> {
    let mut options = BroadcastOptions::default();
    let mut first_var = None;
    loop {
        line.skip_blanks();
        let from = line.here();
        let Some(typed) = option_at(line, from) else { break };
        let flag = matches!(typed.name, Some(OptionName::Card | OptionName::DryRun));
        let Some(name) = typed.name.filter(|_| !(flag && typed.has_equals)) else {
            let suggestion = typed.name.or_else(|| OptionName::nearest(&typed.word));
            let end = (typed.end..line.end()).find(|at| line.ends_word(*at)).unwrap_or(line.end());
            let typed = shorten(&line.shown(from, end), EXCERPT_CHARS_MAX);
            return Err(line.error(CommandErrorKind::UnknownOption { typed, suggestion }, from, end));
        };
        line.go(typed.end + usize::from(typed.has_equals));
        let repeated = |line: &Line<'_>| line.error(CommandErrorKind::RepeatedOption { option: name }, from, typed.end);
        match name {
            OptionName::Card => options.card = true,
            OptionName::DryRun => options.dry_run = true,
            OptionName::At if options.at.is_some() => return Err(repeated(line)),
            OptionName::At => options.at = Some(time(line, &typed)?),
            OptionName::Template if options.template.is_some() => return Err(repeated(line)),
            OptionName::Template => options.template = Some(value(line, &typed)?.chars().map(half_width).collect()),
            OptionName::Var => {
                first_var.get_or_insert((from, typed.end));
                let text = value(line, &typed)?;
                let variable = variable(&text, &options.vars).map_err(|why| {
                    let typed = shorten(&text, EXCERPT_CHARS_MAX);
                    line.error(CommandErrorKind::BadVariable { typed, why }, from, line.here())
                })?;
                options.vars.push(variable);
            }
        }
        if options.card && options.template.is_some() {
            return Err(line.error(CommandErrorKind::OptionsClash, from, line.here()));
        }
    }
    match first_var {
        Some((from, to)) if options.template.is_none() => {
            let kind = CommandErrorKind::BadVariable { typed: "--var".to_owned(), why: VariableFault::WithoutTemplate };
            Err(line.error(kind, from, to))
        }
        _ => Ok(options),
    }
}

/// A known option where `line` stands, and its end.
pub(super) fn known_at(line: &Line<'_>) -> Option<(OptionName, usize)> {
    let typed = option_at(line, line.here())?;
    typed.name.map(|name| (name, typed.end))
}

/// The word at `from`, if it begins like an option: with two dashes or a long one, or with one dash and a letter.
fn option_at(line: &Line<'_>, from: usize) -> Option<Typed> {
    let dashes: Vec<char> = (from..line.end()).map_while(|at| line.char_at(at).filter(|c| is_dash(*c))).collect();
    if dashes.is_empty() {
        return None;
    }
    let begin = from + dashes.len();
    let end = (begin..line.end())
        .find(|at| line.ends_word(*at) || line.char_at(*at).map(half_width) == Some('='))
        .unwrap_or(line.end());
    let word = folded(&line.shown(begin, end));
    let short = matches!(dashes.as_slice(), [dash] if half_width(*dash) == '-');
    let name = OptionName::parse(&word).filter(|_| !short);
    let has_equals = line.char_at(end).map(half_width) == Some('=');
    Some(Typed { name, word, end, has_equals })
}

/// The plain hyphen, also full-width, and the dashes that phones and word processors put in its place.
fn is_dash(c: char) -> bool {
    half_width(c) == '-' || matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2E3A}' | '\u{2E3B}')
}

/// The value of an option: the next word, or what stands in quotes.
fn value(line: &mut Line<'_>, typed: &Typed) -> Result<String, CommandError> {
    let name = typed.name.unwrap_or(OptionName::At);
    let missing = CommandErrorKind::OptionNeedsValue { option: name };
    if !typed.has_equals {
        line.go(line.past_gap_on_line(line.here()));
    }
    let from = line.here();
    if line.ends_word(from) || known_at(line).is_some() {
        return Err(line.error(missing, from, (from + EXCERPT_CHARS_MAX).min(line.end())));
    }
    let mut value = String::new();
    let mut after_equals = true;
    while !line.ends_word(line.here()) {
        let at = line.here();
        match line.char_at(at) {
            Some(open) if after_equals && quotes::closes(open).is_some() => {
                value.push_str(&quoted(line)?);
                break;
            }
            Some(c) if is_unseen(c) => {}
            Some(c) => {
                // A quote opens at the start or behind a `=`: `--var name="a b"`.
                after_equals = half_width(c) == '=';
                value.push(c);
            }
            None => value.push_str(&typed_text(line, at)),
        }
        line.go(at + 1);
    }
    let value = value.trim().to_owned();
    if value.is_empty() {
        return Err(line.error(missing, from, line.here()));
    }
    Ok(value)
}

/// What stands in quotes; `line` stands at the opening one, and behind the closing one afterwards.
fn quoted(line: &mut Line<'_>) -> Result<String, CommandError> {
    let from = line.here();
    let close = quotes::closing(line)?;
    if !line.ends_word(close + 1) {
        return Err(line.error(CommandErrorKind::GluedToQuote, close + 1, line.end()));
    }
    line.go(close + 1);
    Ok((from + 1..close).map(|at| typed_text(line, at)).collect())
}

/// What was typed there. Feishu makes links of addresses; in a value, the address is meant.
fn typed_text(line: &Line<'_>, at: usize) -> String {
    match line.piece(at) {
        Some(Piece::Link(link)) => link.href.strip_prefix("mailto:").unwrap_or(&link.href).to_owned(),
        _ => line.shown(at, at + 1),
    }
}

/// A time; `2026-12-01 09:05` is also understood without quotes, since no target looks like a time of day.
fn time(line: &mut Line<'_>, typed: &Typed) -> Result<String, CommandError> {
    let half = |text: String| text.chars().map(half_width).collect::<String>();
    let first = half(value(line, typed)?);
    let from = line.past_gap_on_line(line.here());
    let to = (from..line.end()).find(|at| line.ends_word(*at)).unwrap_or(line.end());
    let next = half(line.shown(from, to));
    if first.contains(':') || !is_time_of_day(&next) {
        return Ok(first);
    }
    line.go(to);
    Ok(format!("{first} {next}"))
}

/// `9:05`, `09:05`, `09:05:00`.
fn is_time_of_day(word: &str) -> bool {
    let parts: Vec<&str> = word.split(':').collect();
    let digits = |part: &&str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    (2..=3).contains(&parts.len()) && parts.iter().all(digits)
}

fn variable(text: &str, before: &[(String, String)]) -> Result<(String, String), VariableFault> {
    let (name, value) = text.split_once(['=', '＝']).ok_or(VariableFault::NoEquals)?;
    let name: String = name.trim().chars().map(half_width).collect();
    if name.is_empty() {
        Err(VariableFault::NoName)
    } else if before.iter().any(|(earlier, _)| *earlier == name) {
        Err(VariableFault::Twice)
    } else {
        Ok((name, value.trim().to_owned()))
    }
}
