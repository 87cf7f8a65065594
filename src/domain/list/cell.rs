//! One cell: its text as it is meant, and the target it names.

use std::borrow::Cow;

use crate::domain::command::{EXCERPT_CHARS_MAX, Target, TargetFault, half_width, lone, shorten};
use crate::domain::content::pieces::is_unseen;
use crate::domain::list::{Column, RowFault};

/// Characters of a cell of which more are never looked at; more than any target, fewer than a page.
pub(super) const CELL_CHARS_MAX: usize = 1000;

/// A cell with something in it.
#[derive(Debug, Clone)]
pub(super) struct Cell<'a> {
    /// Its column, from 0.
    pub at: usize,
    /// Never blank.
    text: Cow<'a, str>,
    /// Why it is no text, such as a date.
    odd: Option<RowFault>,
}

impl<'a> Cell<'a> {
    /// The cell with this text, without the blanks around it and what nobody sees; `None` if nothing is left.
    pub fn new(at: usize, text: Cow<'a, str>) -> Option<Self> {
        let text = match text {
            Cow::Borrowed(text) => cleaned(text),
            Cow::Owned(text) => Cow::Owned(cleaned(&text).into_owned()),
        };
        (!text.is_empty()).then_some(Self { at, text, odd: None })
    }

    /// A cell that is there and no text; `text` is how it is shown.
    pub fn odd(at: usize, text: Cow<'a, str>, why: RowFault) -> Self {
        Self { at, text, odd: Some(why) }
    }

    /// The text, unless it is none.
    pub fn text(&self) -> Option<&str> {
        self.odd.is_none().then_some(&*self.text)
    }

    /// The text as it is shown in a mistake.
    pub fn shown(&self) -> String {
        excerpt(&self.text)
    }

    pub fn into_owned(self) -> Cell<'static> {
        Cell { at: self.at, text: Cow::Owned(self.text.into_owned()), odd: self.odd }
    }

    /// The target it names: in a column that is known, or by its form alone.
    pub fn target(&self, column: Option<Column>) -> Result<Target, RowFault> {
        if let Some(why) = self.odd {
            return Err(why);
        }
        let text = self.text.as_ref();
        if text.contains('\u{FFFD}') {
            return Err(RowFault::Garbled);
        }
        if text.contains(['\n', '\r', '\t', ',', '，', '、', '､', ';', '；']) {
            return Err(RowFault::Several);
        }
        let named = matches!(column, Some(Column::Department | Column::Email));
        if !named && is_rounded(text) {
            return Err(RowFault::Rounded);
        }
        let text = if named { text } else { without_fraction(text, column) };
        let read = match column {
            Some(Column::UserId) => lone(prefixed("user:", text)),
            Some(Column::DepartmentId) => lone(prefixed("dept:", text)),
            _ => lone(text.to_owned()),
        };
        match (read, column) {
            (Ok(Target::Everyone | Target::File | Target::Mention { .. }), _)
            | (Err(TargetFault::NotAMention | TargetFault::NobodyKnown), _) => Err(RowFault::OnlyInCommand),
            (Err(TargetFault::BadId | TargetFault::WrongKindOfId), Some(column)) => Err(RowFault::Not(column)),
            (Err(why), _) => Err(RowFault::Target(why)),
            (Ok(target), None) => Ok(target),
            (Ok(target), Some(column)) if fits(&target, column) => Ok(target),
            (Ok(_), Some(column)) => Err(RowFault::Not(column)),
        }
    }
}

/// What is shown of a text that may be long.
pub(super) fn excerpt(text: &str) -> String {
    let begin: String = text.chars().take(CELL_CHARS_MAX).collect();
    shorten(&begin, EXCERPT_CHARS_MAX)
}

fn fits(target: &Target, column: Column) -> bool {
    match column {
        Column::OpenId => matches!(target, Target::OpenId(_)),
        Column::UserId => matches!(target, Target::UserId(_)),
        Column::UnionId => matches!(target, Target::UnionId(_)),
        Column::Email => matches!(target, Target::Email(_)),
        Column::Mobile => matches!(target, Target::Phone(_)),
        Column::DepartmentId => matches!(target, Target::Department(_)),
        Column::Department => matches!(target, Target::Name(_) | Target::Path(_) | Target::Department(_)),
        Column::Name => false,
    }
}

/// The text with the prefix by which a command knows such an id, unless it has it already.
fn prefixed(prefix: &str, text: &str) -> String {
    let text: String = text.chars().map(half_width).collect();
    let has = text.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    if has { text } else { format!("{prefix}{text}") }
}

/// Without what nobody sees, the blanks around it, and what spreadsheets put around a number that is to stay a text:
/// `="13800138000"` and `'13800138000`.
fn cleaned(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !plain && text.chars().any(is_unseen) {
        let seen: String = text.chars().filter(|c| !is_unseen(*c)).collect();
        return Cow::Owned(bare(&seen).to_owned());
    }
    Cow::Borrowed(bare(text))
}

fn bare(text: &str) -> &str {
    let text = text.trim();
    let formula = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    let quoted = text.strip_prefix('\'').filter(|rest| !rest.ends_with('\''));
    formula.or(quoted).map_or(text, str::trim)
}

/// A number in the form in which a spreadsheet shows one that is too wide, digits dropped: `1.38001E+10`.
fn is_rounded(text: &str) -> bool {
    let Some((number, power)) = text.split_once("E+").or_else(|| text.split_once("e+")) else { return false };
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '.');
    digits(number) && digits(power)
}

/// A whole number that a program wrote as a fraction, `13800138000.0`. By its form alone only a mobile number is one.
fn without_fraction(text: &str, column: Option<Column>) -> &str {
    let whole = text.strip_suffix(".0").filter(|whole| !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit()));
    whole.filter(|whole| column.is_some() || whole.len() == 11).unwrap_or(text)
}
