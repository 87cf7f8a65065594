//! A received text, read once into characters, mentions and links.
//!
//! Both the commands and the content are made from these pieces, so that a mention or a link means the same in either.

use crate::domain::content::Mention;
use crate::domain::ids::OpenId;

/// Characters of a link's address that are read at most; beyond that it is no link but text.
const HREF_CHARS_MAX: usize = 2048;

/// The key under which Feishu writes "everyone". It is not listed in `mentions`.
pub const EVERYONE_KEY: &str = "@_all";

/// `[label](href)` in a received text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub label: String,
    pub href: String,
}

impl Link {
    /// Whether a browser opens it: the only links a rich text may keep.
    pub fn is_web(&self) -> bool {
        ["https://", "http://"].iter().any(|scheme| {
            self.href.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
                && self.href.len() > scheme.len()
        })
    }
}

/// The smallest thing that a reader of commands looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Char(char),
    At(Box<Mention>),
    /// `@_all`.
    Everyone,
    Link(Box<Link>),
    /// Something in a rich text that is neither text nor person: an image, code, an emotion.
    Thing,
}

impl Piece {
    /// The piece for an at node of a rich text. A key that is not listed is taken at its word only if it is an open_id.
    pub fn from_at(key: &str, name: &str, mentions: &[Mention]) -> Self {
        if [EVERYONE_KEY, "all", "@all"].contains(&key) {
            return Piece::Everyone;
        }
        let listed = mentions.iter().find(|mention| mention.key == key).cloned();
        Piece::At(Box::new(listed.unwrap_or_else(|| Mention {
            key: key.to_owned(),
            name: name.to_owned(),
            open_id: OpenId::new(key).filter(|id| id.as_str().starts_with("ou_")),
            union_id: None,
            user_id: None,
        })))
    }

    /// Whether this is the mention of that person (or bot).
    pub fn is(&self, person: Option<&OpenId>) -> bool {
        matches!(self, Piece::At(mention) if person.is_some() && mention.open_id.as_ref() == person)
    }

    pub fn is_blank(&self) -> bool {
        matches!(self, Piece::Char(c) if is_blank(*c))
    }
}

/// White space of any width (U+3000 too), and characters that nobody sees.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_unseen(c)
}

/// Characters that come along when people copy text and that no name or command contains: zero-width spaces, marks of
/// writing direction, control characters. A zero-width joiner is none of them: it holds emoji together.
pub fn is_unseen(c: char) -> bool {
    let formats = matches!(c, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{00AD}');
    formats || (c.is_control() && !c.is_whitespace())
}

/// Reads a text into pieces, each with the number of the character where it begins.
pub fn of_text(text: &str, mentions: &[Mention]) -> Vec<(Piece, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let mut keys: Vec<(Vec<char>, Option<&Mention>)> =
        mentions.iter().filter(|mention| mention.key.len() > 1).map(|m| (m.key.chars().collect(), Some(m))).collect();
    keys.push((EVERYONE_KEY.chars().collect(), None));
    keys.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));

    let mut pieces = Vec::with_capacity(chars.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let rest = chars.get(at..).unwrap_or_default();
        let (piece, length) = if let Some((key, mention)) = keys.iter().find(|(key, _)| rest.starts_with(key)) {
            let mention = mention.filter(|mention| mention.key != EVERYONE_KEY);
            let piece = mention.map_or(Piece::Everyone, |m| Piece::At(Box::new(m.clone())));
            (piece, key.len())
        } else if let Some((link, length)) = link(rest) {
            (Piece::Link(Box::new(link)), length)
        } else {
            (Piece::Char(c), 1)
        };
        pieces.push((piece, at));
        at += length;
    }
    pieces
}

/// The link with which `chars` begins, and its length in characters.
///
/// A label holds no `[` and no line break, an address has a scheme and no blanks; its parentheses pair up. Anything
/// else in brackets is just text that people write, such as `[1](附件)`.
fn link(chars: &[char]) -> Option<(Link, usize)> {
    let after_open = chars.strip_prefix(&['['])?;
    let label_end = after_open.iter().position(|c| matches!(c, '[' | '\n')).unwrap_or(after_open.len());
    let label_chars = after_open.get(..label_end)?.windows(2).position(|pair| pair == [']', '('])?;
    let label: String = after_open.get(..label_chars)?.iter().collect();

    let mut depth = 1_usize;
    let mut href = String::new();
    for c in after_open.get(label_chars + 2..)?.iter().take(HREF_CHARS_MAX) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            c if c.is_whitespace() => return None,
            _ => {}
        }
        if depth == 0 {
            let length = 1 + label_chars + 2 + href.chars().count() + 1;
            return has_scheme(&href).then_some((Link { label, href }, length));
        }
        href.push(*c);
    }
    None
}

fn has_scheme(href: &str) -> bool {
    href.split_once(':').is_some_and(|(scheme, rest)| {
        !rest.is_empty()
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}
