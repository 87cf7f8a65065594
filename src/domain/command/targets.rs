//! TARGETS: one word, or several joined by commas without blanks.
//!
//! The danger here is a list that is read shorter than it was meant. So a separator must have a target on either side
//! of it and no blank beside it, a closing quote ends a name, and two mentions in a row need a separator. Only beside
//! a mention, after which Feishu itself puts a blank, blanks around a separator are no riddle and are let pass.

use crate::domain::command::error::{EXCERPT_CHARS_MAX, Neighbours, shorten};
use crate::domain::command::line::Line;
use crate::domain::command::target::{Item, Sight, target};
use crate::domain::command::{CommandError, CommandErrorKind, Target, half_width, quotes};
use crate::domain::content::pieces::{Piece, is_unseen};

/// Targets in one command. A file is the way to name more.
pub const TARGETS_MAX: usize = 1000;

/// Reads the list; `line` stands right behind it afterwards.
pub(super) fn read(line: &mut Line<'_>) -> Result<Vec<Target>, CommandError> {
    line.skip_blanks();
    if line.ends_word(line.here()) {
        return Err(line.error(CommandErrorKind::MissingTargets, line.here(), line.end()));
    }
    let mut items: Vec<(Item, usize, usize)> = Vec::new();
    loop {
        let from = line.here();
        let item = item(line)?;
        items.push((item, from, line.here()));
        if items.len() > TARGETS_MAX {
            return Err(line.error(CommandErrorKind::TooManyTargets, from, line.here()));
        }
        if !goes_on(line, from, matches!(items.last(), Some((Item::Person(_) | Item::Everyone, ..))))? {
            break;
        }
    }
    let mut targets: Vec<Target> = Vec::with_capacity(items.len());
    for (item, from, to) in items {
        let target = target(item).map_err(|why| {
            let typed = shorten(&line.shown(from, to), EXCERPT_CHARS_MAX);
            line.error(CommandErrorKind::BadTarget { typed, why }, from, to)
        })?;
        if !targets.iter().any(|known| Sight::of(known) == Sight::of(&target)) {
            targets.push(target);
        }
    }
    Ok(targets)
}

/// What stands behind the item that began at `from`: `true` and past the separator, or `false` at the end of the list.
fn goes_on(line: &mut Line<'_>, from: usize, after_mention: bool) -> Result<bool, CommandError> {
    let end = line.here();
    let next = line.past_gap_on_line(end);
    let between = |right: usize| {
        let typed = |from, to| shorten(&line.shown(from, to), EXCERPT_CHARS_MAX);
        Box::new(Neighbours { left: typed(from, end), right: typed(right, item_end(line, right)) })
    };
    if !is_separator_at(line, next) {
        let mention_follows = is_mention_at(line, next);
        let glued = next == end && !line.ends_word(end);
        if glued || (after_mention && mention_follows) {
            let kind = CommandErrorKind::SeparatorMissing { between: between(next) };
            return Err(line.error(kind, next, item_end(line, next)));
        }
        return Ok(false);
    }
    let begin = line.past_gap_on_line(next + 1);
    if line.ends_word(begin) || is_separator_at(line, begin) {
        return Err(line.error(CommandErrorKind::EmptyTarget, next, begin + 1));
    }
    let blank_before = line.has_gap(end, next) && !after_mention;
    let blank_after = line.has_gap(next + 1, begin) && !is_mention_at(line, begin);
    if blank_before || blank_after {
        let kind = CommandErrorKind::BlankBesideSeparator { between: between(begin) };
        return Err(line.error(kind, next, item_end(line, begin)));
    }
    line.go(begin);
    Ok(true)
}

/// Reads one item; there is one, or a separator.
fn item(line: &mut Line<'_>) -> Result<Item, CommandError> {
    let from = line.here();
    if is_separator_at(line, from) {
        return Err(line.error(CommandErrorKind::EmptyTarget, from, from + 1));
    }
    match line.peek().cloned() {
        Some(Piece::At(mention)) => {
            line.go(from + 1);
            return Ok(Item::Person(mention));
        }
        Some(Piece::Everyone) => {
            line.go(from + 1);
            return Ok(Item::Everyone);
        }
        _ => {}
    }
    let mut text = String::new();
    let mut quoted = false;
    let mut part_begins = true;
    loop {
        let at = line.here();
        if line.ends_word(at) || is_separator_at(line, at) || is_mention_at(line, at) {
            break;
        }
        if part_begins && line.char_at(at).and_then(quotes::closes).is_some() {
            text.push_str(&quoted_name(line)?);
            quoted = true;
            part_begins = false;
            continue;
        }
        match line.piece(at) {
            Some(Piece::Char(c)) if is_unseen(*c) => {}
            Some(Piece::Char(c)) => {
                part_begins = half_width(*c) == '/';
                text.push(*c);
            }
            Some(Piece::Link(link)) => {
                let address = link.href.strip_prefix("mailto:").or_else(|| link.href.strip_prefix("tel:"));
                text.push_str(address.unwrap_or(&link.label));
                part_begins = false;
            }
            _ => {}
        }
        line.go(at + 1);
    }
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(line.error(CommandErrorKind::EmptyTarget, from, line.here()));
    }
    Ok(Item::Word { text, quoted })
}

/// The name in quotes; `line` stands at the opening one, and behind the closing one afterwards.
fn quoted_name(line: &mut Line<'_>) -> Result<String, CommandError> {
    let from = line.here();
    let close = quotes::closing(line)?;
    let mut next = close + 1;
    while line.char_at(next).is_some_and(is_unseen) {
        next += 1;
    }
    let path_goes_on = line.char_at(next).map(half_width) == Some('/');
    if !(line.ends_word(next) || is_separator_at(line, next) || path_goes_on) {
        return Err(line.error(CommandErrorKind::GluedToQuote, next, item_end(line, next)));
    }
    line.go(next);
    let name: String = line.shown(from + 1, close).chars().filter(|c| !is_unseen(*c)).collect();
    Ok(name.trim().to_owned())
}

fn is_separator_at(line: &Line<'_>, at: usize) -> bool {
    line.char_at(at).is_some_and(|c| matches!(c, ',' | '，' | '、' | '､'))
}

fn is_mention_at(line: &Line<'_>, at: usize) -> bool {
    !line.is_bot(at) && matches!(line.piece(at), Some(Piece::At(_) | Piece::Everyone))
}

/// Where the word at `at` ends, for showing it.
fn item_end(line: &Line<'_>, at: usize) -> usize {
    let ends = |at: &usize| line.ends_word(*at) || is_separator_at(line, *at);
    (at + 1..line.end()).find(ends).unwrap_or(line.end())
}
