//! The texts of a workbook, which its cells refer to by number.

use std::io::Read;

use crate::domain::list::ListFault;
use crate::domain::list::cell::CELL_CHARS_MAX;
use crate::domain::list::sheet::xml::{Node, Xml};

/// Texts of one workbook: far more than a list of 100,000 rows has, and what a workbook of nothing but empty texts may
/// take at most.
const STRINGS_MAX: usize = 4_000_000;

/// All texts in one, so that a hundred thousand short ones take little more than their letters.
#[derive(Default)]
pub(super) struct Strings {
    text: String,
    /// Where each text ends.
    ends: Vec<usize>,
}

impl Strings {
    pub fn read(mut xml: Xml<impl Read>) -> Result<Self, ListFault> {
        let mut strings = Self::default();
        let mut rich = Rich::default();
        loop {
            let node = xml.next()?;
            match &node {
                Node::Start(tag) if tag.local_name().as_ref() == "si" => rich.clear(),
                Node::End(tag) if tag.local_name().as_ref() == "si" => {
                    strings.text.push_str(&unescaped(&rich.text));
                    strings.ends.push(strings.text.len());
                    if strings.ends.len() > STRINGS_MAX {
                        return Err(ListFault::UnpacksTooLarge);
                    }
                }
                Node::EndOfFile => return Ok(strings),
                node => rich.take(node),
            }
        }
    }

    pub fn get(&self, number: usize) -> Option<&str> {
        let from = number.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(from..*self.ends.get(number)?)
    }
}

/// A text that may be written in runs of different looks. What tells how it is pronounced does not belong to it.
#[derive(Default)]
pub(super) struct Rich {
    pub text: String,
    phonetic: bool,
    within: bool,
}

impl Rich {
    pub fn clear(&mut self) {
        self.text.clear();
        (self.phonetic, self.within) = (false, false);
    }

    pub fn take(&mut self, node: &Node<'_>) {
        match node {
            Node::Start(tag) => match tag.local_name().as_ref() {
                "rPh" => self.phonetic = true,
                "t" => self.within = !self.phonetic,
                _ => {}
            },
            Node::End(tag) => match tag.local_name().as_ref() {
                "rPh" => self.phonetic = false,
                "t" => self.within = false,
                _ => {}
            },
            Node::Text(text) if self.within => push(&mut self.text, text),
            Node::Text(_) | Node::Other | Node::EndOfFile => {}
        }
    }
}

/// Adds to a text until it is longer than anyone looks at.
pub(super) fn push(text: &mut String, more: &str) {
    let room = (CELL_CHARS_MAX * 4).saturating_sub(text.len());
    if more.len() <= room {
        text.push_str(more);
    } else {
        text.extend(more.chars().take(room / 4));
    }
}

/// Without the escapes `_xHHHH_` by which a workbook writes what XML cannot hold, and what looks like one.
pub(super) fn unescaped(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains("_x") {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("_x") {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let letter = escape.get(2..6).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let letter = letter.filter(|_| escape.get(6..7) == Some("_")).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let (letter, length) = letter.and_then(char::from_u32).map_or(('_', 1), |letter| (letter, 7));
        out.push(letter);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out.into()
}
