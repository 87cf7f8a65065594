//! The command word: its names in two languages, found also where it is glued to what follows, or misspelt.
//!
//! Chinese is written without blanks, so `/群发销售部 内容` is understood like `/群发 销售部 内容`. That cannot misread one
//! command for another: no name begins with another name, only commands that take words are read so, and the ways
//! to go on that make another phrase of 群发 (`/群发消息`, `/群发给…`) are asked about instead.

use serde::{Deserialize, Serialize};

use crate::domain::command::error::{EXCERPT_CHARS_MAX, shorten};
use crate::domain::command::line::Line;
use crate::domain::command::{CommandError, CommandErrorKind, folded, half_width};

/// The commands there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandName {
    Broadcast,
    Status,
    List,
    Cancel,
    Recall,
    Departments,
    Login,
    Logout,
    WhoAmI,
    Check,
    Help,
}

/// Phrases that begin with 群发 and name no target.
const PHRASES: [&str; 6] = ["消息", "信息", "通知", "公告", "一下", "内容"];

impl CommandName {
    /// All commands, in the order of the help.
    pub const ALL: [CommandName; 11] = [
        CommandName::Broadcast,
        CommandName::Status,
        CommandName::List,
        CommandName::Cancel,
        CommandName::Recall,
        CommandName::Departments,
        CommandName::Login,
        CommandName::Logout,
        CommandName::WhoAmI,
        CommandName::Check,
        CommandName::Help,
    ];

    /// The English word, without the slash.
    pub fn english(self) -> &'static str {
        match self {
            CommandName::Broadcast => "broadcast",
            CommandName::Status => "status",
            CommandName::List => "list",
            CommandName::Cancel => "cancel",
            CommandName::Recall => "recall",
            CommandName::Departments => "departments",
            CommandName::Login => "login",
            CommandName::Logout => "logout",
            CommandName::WhoAmI => "whoami",
            CommandName::Check => "check",
            CommandName::Help => "help",
        }
    }

    /// The Chinese word, without the slash.
    pub fn chinese(self) -> &'static str {
        match self {
            CommandName::Broadcast => "群发",
            CommandName::Status => "进度",
            CommandName::List => "列表",
            CommandName::Cancel => "取消",
            CommandName::Recall => "撤回",
            CommandName::Departments => "部门",
            CommandName::Login => "登录",
            CommandName::Logout => "登出",
            CommandName::WhoAmI => "我是谁",
            CommandName::Check => "检查",
            CommandName::Help => "帮助",
        }
    }

    /// Reads one word, with or without its slash, in either language, any case and width.
    pub fn parse(word: &str) -> Option<Self> {
        let word = folded(word);
        let word = word.strip_prefix('/').unwrap_or(&word).trim();
        Self::ALL.into_iter().find(|name| word == name.english() || word == name.chinese())
    }

    /// The command that a misspelt word most likely means.
    pub fn nearest(word: &str) -> Option<Self> {
        let word = folded(word);
        let word = word.strip_prefix('/').unwrap_or(&word);
        let begun =
            Self::ALL.into_iter().find(|name| word.starts_with(name.chinese()) || word.starts_with(name.english()));
        begun.or_else(|| {
            let both = Self::ALL.into_iter().flat_map(|name| [(name, name.english()), (name, name.chinese())]);
            nearest_of(word, both)
        })
    }

    /// Whether words may follow.
    fn takes_words(self) -> bool {
        !matches!(self, CommandName::Login | CommandName::Logout | CommandName::WhoAmI | CommandName::Check)
    }
}

/// The candidate that differs least from `word`, if it differs little: by one letter in three, at least one.
pub(super) fn nearest_of<T>(word: &str, candidates: impl Iterator<Item = (T, &'static str)>) -> Option<T> {
    let typed = word.chars().count();
    candidates
        .filter_map(|(what, name)| {
            let letters = name.chars().count();
            let allowed = (letters / 3).max(1);
            // Far apart in length is far apart; this also bounds the work on a very long word.
            let differs = || strsim::damerau_levenshtein(word, name);
            let distance = (typed.abs_diff(letters) <= allowed).then(differs)?;
            // One of two characters may differ in Chinese; a single common letter is no likeness.
            (distance <= allowed && distance < letters.max(typed)).then_some((distance, what))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, what)| what)
}

/// Reads slash and command word; `line` stands behind it afterwards.
pub(super) fn read(line: &mut Line<'_>) -> Result<CommandName, CommandError> {
    let start = line.here();
    let slash = line.char_at(start).map(half_width);
    if slash != Some('/') {
        return Err(line.error(CommandErrorKind::NotACommand, start, line.end()));
    }
    line.go(line.past_gap_on_line(start + 1));
    let begin = line.here();
    let end = word_end(line, begin);
    let word = folded(&line.shown(begin, end));

    let (name, letters) = leading(&word).ok_or_else(|| {
        let typed = shorten(&word, EXCERPT_CHARS_MAX);
        line.error(CommandErrorKind::Unknown { typed, suggestion: CommandName::nearest(&word) }, start, end)
    })?;
    // Folding may drop unseen characters, so the letters are counted along the original.
    let mut at = begin;
    let mut seen = 0;
    while seen < letters && at < end {
        seen += folded(&line.shown(at, at + 1)).chars().count();
        at += 1;
    }
    line.go(at);
    if line.char_at(at).map(half_width) == Some(':') {
        line.go(at + 1);
    }
    line.command = Some(name);
    line.skip_blanks();
    Ok(name)
}

fn word_end(line: &Line<'_>, from: usize) -> usize {
    (from..line.end()).find(|at| line.char_at(*at).is_none_or(char::is_whitespace)).unwrap_or(line.end())
}

/// The command that a folded word is or begins with, and how many of its characters that takes.
fn leading(word: &str) -> Option<(CommandName, usize)> {
    CommandName::ALL.into_iter().find_map(|name| {
        let found = |alias: &str| {
            let rest = word.strip_prefix(alias)?;
            let goes_on = rest.is_empty() || (name.takes_words() && may_be_glued(name, alias, rest));
            goes_on.then(|| (name, alias.chars().count()))
        };
        found(name.english()).or_else(|| found(name.chinese()))
    })
}

/// Whether `rest` can be the beginning of the next word.
fn may_be_glued(name: CommandName, alias: &str, rest: &str) -> bool {
    let Some(next) = rest.chars().next() else { return true };
    if next == ':' {
        return true;
    }
    if alias.is_ascii() {
        return !next.is_ascii() || next == '"';
    }
    let phrase = rest.starts_with(['给', '送', '到', '向']) || PHRASES.contains(&rest);
    name != CommandName::Broadcast || !phrase
}
