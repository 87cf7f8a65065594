//! The words after the short commands: ids, filters, keywords, topics.

use crate::domain::command::error::{EXCERPT_CHARS_MAX, shorten};
use crate::domain::command::line::Line;
use crate::domain::command::quotes::is_quote;
use crate::domain::command::{CommandError, CommandErrorKind, CommandName, ListFilter, folded, half_width};
use crate::domain::content::pieces::is_unseen;
use crate::domain::ids::BroadcastId;

/// Characters a keyword may have: longer than any department's path, shorter than a message.
const KEYWORD_CHARS_MAX: usize = 100;

/// Nothing may follow.
pub(super) fn nothing(line: &mut Line<'_>) -> Result<(), CommandError> {
    line.skip_blanks();
    if line.peek().is_none() { Ok(()) } else { Err(unexpected(line)) }
}

/// An id, or nothing.
pub(super) fn broadcast_id(line: &mut Line<'_>) -> Result<Option<BroadcastId>, CommandError> {
    let id = leading_id(line)?;
    if id.is_some() {
        nothing(line)?;
    }
    Ok(id)
}

/// An id, and the number of a batch of it where one follows.
pub(super) fn broadcast_and_batch(line: &mut Line<'_>) -> Result<(BroadcastId, Option<u32>), CommandError> {
    let id = leading_id(line)?.ok_or_else(|| line.error(CommandErrorKind::MissingId, line.end(), line.end()))?;
    line.skip_blanks();
    let from = line.here();
    let Some(word) = next_word(line) else { return Ok((id, None)) };
    let number: String = word.chars().map(half_width).filter(|c| !matches!(c, '#' | '第' | '批')).collect();
    let Some(number) = number.parse().ok().filter(|number| *number > 0) else {
        return Err(line.error(CommandErrorKind::UnexpectedRest, from, line.end()));
    };
    nothing(line)?;
    Ok((id, Some(number)))
}

fn leading_id(line: &mut Line<'_>) -> Result<Option<BroadcastId>, CommandError> {
    let from = line.here();
    let Some(word) = next_word(line) else { return Ok(None) };
    let id = BroadcastId::parse(&word).ok_or_else(|| {
        let typed = shorten(&word, EXCERPT_CHARS_MAX);
        line.error(CommandErrorKind::BadBroadcastId { typed }, from, line.here())
    })?;
    Ok(Some(id))
}

/// An id.
pub(super) fn needed_broadcast_id(line: &mut Line<'_>) -> Result<BroadcastId, CommandError> {
    broadcast_id(line)?.ok_or_else(|| line.error(CommandErrorKind::MissingId, line.end(), line.end()))
}

/// What `/list` shows.
pub(super) fn list_filter(line: &mut Line<'_>) -> Result<ListFilter, CommandError> {
    let from = line.here();
    let Some(word) = next_word(line) else { return Ok(ListFilter::Recent) };
    let filter = match folded(&word).as_str() {
        "pending" | "待审批" | "待审" => ListFilter::Pending,
        "scheduled" | "定时" | "已定时" => ListFilter::Scheduled,
        "all" | "全部" | "所有" => ListFilter::All,
        _ => {
            let typed = shorten(&word, EXCERPT_CHARS_MAX);
            return Err(line.error(CommandErrorKind::BadListFilter { typed }, from, line.here()));
        }
    };
    nothing(line)?;
    Ok(filter)
}

/// Everything that follows, as one keyword with single blanks.
pub(super) fn keyword(line: &mut Line<'_>) -> Result<String, CommandError> {
    let from = line.here();
    let mut words = Vec::new();
    while let Some(word) = next_word(line) {
        words.push(word);
        if words.iter().map(|word| word.chars().count() + 1).sum::<usize>() > KEYWORD_CHARS_MAX {
            return Err(line.error(CommandErrorKind::UnexpectedRest, from, line.end()));
        }
    }
    let keyword = words.join(" ");
    if keyword.is_empty() {
        return Err(line.error(CommandErrorKind::MissingKeyword, line.end(), line.end()));
    }
    Ok(keyword)
}

/// The command to explain.
pub(super) fn topic(line: &mut Line<'_>) -> Result<Option<CommandName>, CommandError> {
    let from = line.here();
    let Some(word) = next_word(line) else { return Ok(None) };
    let name = CommandName::parse(&word).ok_or_else(|| {
        let typed = shorten(&word, EXCERPT_CHARS_MAX);
        line.error(CommandErrorKind::Unknown { typed, suggestion: CommandName::nearest(&word) }, from, line.here())
    })?;
    nothing(line)?;
    Ok(Some(name))
}

fn unexpected(line: &Line<'_>) -> CommandError {
    line.error(CommandErrorKind::UnexpectedRest, line.here(), line.end())
}

/// The next word, without quotes around it; the mention of the bot is none. `line` stands behind it afterwards.
fn next_word(line: &mut Line<'_>) -> Option<String> {
    line.skip_blanks();
    let from = line.here();
    let to = (from..line.end()).find(|at| line.ends_word(*at)).unwrap_or(line.end());
    // A piece that ends words but is no gap, such as an image, is a word of its own.
    let to = if to == from { (from + 1).min(line.end()) } else { to };
    line.go(to);
    let word: String = line.shown(from, to).chars().filter(|c| !is_unseen(*c)).collect();
    (from < to).then(|| word.trim_matches(is_quote).to_owned()).filter(|word| !word.is_empty())
}
