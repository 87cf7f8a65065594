//! Quotes, of which keyboards and phones mix the kinds: any kind closes its like.

use crate::domain::command::line::Line;
use crate::domain::command::{CommandError, CommandErrorKind};

/// The quotes that close what `open` opened; `None` if it opens nothing.
pub(super) fn closes(open: char) -> Option<&'static [char]> {
    match open {
        '"' | '“' | '”' | '„' | '＂' => Some(&['"', '“', '”', '＂']),
        '\'' | '‘' | '’' | '＇' => Some(&['\'', '‘', '’', '＇']),
        '「' => Some(&['」']),
        '『' => Some(&['』']),
        _ => None,
    }
}

/// Any quote, opening or closing.
pub(super) fn is_quote(c: char) -> bool {
    closes(c).is_some() || matches!(c, '」' | '』')
}

/// Where the quote that opens where `line` stands is closed, on the same line.
pub(super) fn closing(line: &Line<'_>) -> Result<usize, CommandError> {
    let from = line.here();
    let closing = line.char_at(from).and_then(closes).unwrap_or_default();
    (from + 1..line.end())
        .take_while(|at| line.char_at(*at) != Some('\n'))
        .find(|at| line.char_at(*at).is_some_and(|c| closing.contains(&c)))
        .ok_or_else(|| line.error(CommandErrorKind::UnclosedQuote, from, line.end()))
}
