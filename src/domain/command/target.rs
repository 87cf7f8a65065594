//! One word of TARGETS, told by its form: an id, an address, a number, a path, or else a name.
//!
//! Only the form is judged here; whether such a department or person exists, Feishu knows. A word that looks like an id
//! but cannot be one is refused rather than searched as a name, and so is the id of something nobody can write to.

use std::borrow::Cow;

use crate::domain::command::error::TargetFault;
use crate::domain::command::{Target, half_width};
use crate::domain::content::Mention;
use crate::domain::ids::{DepartmentId, OpenId, UnionId, UserId};

/// Characters in one target: longer than any path of names, shorter than a message pasted in the wrong place.
const TARGET_CHARS_MAX: usize = 200;

/// Digits of a telephone number. Source: E.164.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Reads one word that stands outside of a command, such as a cell of a list.
pub(in crate::domain) fn lone(text: String) -> Result<Target, TargetFault> {
    target(Item::Word { text, quoted: false })
}

/// What two targets have in common that are the same at sight.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::domain) enum Sight<'a> {
    Name(&'a str),
    Path(&'a [String]),
    Department(&'a DepartmentId),
    /// By id or by mention.
    OpenId(&'a OpenId),
    UnionId(&'a UnionId),
    UserId(&'a UserId),
    /// In small letters.
    Email(Cow<'a, str>),
    /// Without the `+86` of a Chinese mobile number.
    Phone(&'a str),
    Everyone,
    File,
}

impl<'a> Sight<'a> {
    pub(in crate::domain) fn of(target: &'a Target) -> Self {
        match target {
            Target::Name(name) => Sight::Name(name),
            Target::Path(parts) => Sight::Path(parts),
            Target::Department(id) => Sight::Department(id),
            Target::OpenId(id) | Target::Mention { open_id: id, .. } => Sight::OpenId(id),
            Target::UnionId(id) => Sight::UnionId(id),
            Target::UserId(id) => Sight::UserId(id),
            Target::Email(address) if address.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Sight::Email(Cow::Owned(address.to_ascii_lowercase()))
            }
            Target::Email(address) => Sight::Email(Cow::Borrowed(address)),
            Target::Phone(number) => {
                Sight::Phone(number.strip_prefix("+86").filter(|rest| is_mobile(rest)).unwrap_or(number))
            }
            Target::Everyone => Sight::Everyone,
            Target::File => Sight::File,
        }
    }
}

/// What stands between two separators.
pub(super) enum Item {
    Word { text: String, quoted: bool },
    Person(Box<Mention>),
    Everyone,
}

/// Reads one item.
pub(super) fn target(item: Item) -> Result<Target, TargetFault> {
    match item {
        Item::Everyone => Ok(Target::Everyone),
        Item::Person(mention) => person(*mention),
        Item::Word { text, .. } if text.chars().count() > TARGET_CHARS_MAX => Err(TargetFault::TooLong),
        // In quotes, 全员 and file are the names of departments.
        Item::Word { text, quoted: true } => {
            id(&text).or_else(|| address(&text).map(Ok)).unwrap_or_else(|| path(&text))
        }
        Item::Word { text, quoted: false } => word(&text),
    }
}

fn person(mention: Mention) -> Result<Target, TargetFault> {
    let Mention { name, open_id, union_id, user_id, .. } = mention;
    let open = open_id.map(|open_id| Target::Mention { open_id, name });
    open.or(union_id.map(Target::UnionId)).or(user_id.map(Target::UserId)).ok_or(TargetFault::NobodyKnown)
}

fn word(text: &str) -> Result<Target, TargetFault> {
    let plain: String = text.chars().map(half_width).flat_map(char::to_lowercase).collect();
    match plain.as_str() {
        "全员" | "所有人" | "@所有人" | "@全员" | "@all" | "@_all" => return Ok(Target::Everyone),
        "file" => return Ok(Target::File),
        _ => {}
    }
    if let Some(found) = id(text) {
        return found;
    }
    if let Some(found) = address(text) {
        return Ok(found);
    }
    if plain.starts_with('@') {
        return Err(TargetFault::NotAMention);
    }
    if plain.contains(';') {
        return Err(TargetFault::WrongSeparator);
    }
    if plain.contains(['"', '“', '”']) {
        return Err(TargetFault::StrayQuote);
    }
    path(text)
}

/// An id by its form, right or wrong; `None` if it looks like none.
fn id(text: &str) -> Option<Result<Target, TargetFault>> {
    let text: String = text.chars().map(half_width).collect();
    let (begin, rest) = split_prefix(&text)?;
    let opaque = !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    // The prefix is written small by Feishu; the rest is compared byte for byte.
    let whole = format!("{begin}{rest}");
    let made = match begin.as_str() {
        "oc_" | "om_" | "bm-" | "cli_" => return Some(Err(TargetFault::WrongKindOfId)),
        "od-" if opaque => DepartmentId::new(whole).map(Target::Department),
        "ou_" if opaque => OpenId::new(whole).map(Target::OpenId),
        "on_" if opaque => UnionId::new(whole).map(Target::UnionId),
        "dept:" if rest == "0" => return Some(Err(TargetFault::RootDepartment)),
        "dept:" if is_custom_id(rest) => match split_prefix(rest) {
            Some((inner, _)) if inner == "od-" => return id(rest),
            Some(_) => return Some(Err(TargetFault::WrongKindOfId)),
            None => DepartmentId::new(rest).map(Target::Department),
        },
        "user:" if is_custom_id(rest) => match split_prefix(rest) {
            Some((inner, _)) if inner == "ou_" || inner == "on_" => return id(rest),
            Some(_) => return Some(Err(TargetFault::WrongKindOfId)),
            None => UserId::new(rest).map(Target::UserId),
        },
        _ => None,
    };
    Some(made.ok_or(TargetFault::BadId))
}

/// The prefix of an id in small letters, and what follows it.
fn split_prefix(text: &str) -> Option<(String, &str)> {
    ["od-", "ou_", "on_", "oc_", "om_", "bm-", "cli_", "dept:", "user:"].into_iter().find_map(|prefix| {
        let begin = text.get(..prefix.len())?;
        begin.eq_ignore_ascii_case(prefix).then(|| (prefix.to_owned(), text.get(prefix.len()..).unwrap_or_default()))
    })
}

/// The form of a custom department id or a user id. Source: contract "identifiers".
fn is_custom_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= 64
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '@' | '.'))
}

/// An e-mail address or a telephone number. Plain digits count as one only as the eleven of a Chinese mobile number.
fn address(text: &str) -> Option<Target> {
    let plain: String = text.chars().map(half_width).collect();
    if let Some((local, domain)) = plain.split_once('@') {
        let fits = !local.is_empty()
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !plain.contains(['/', ';', ':', '"'])
            && !domain.contains('@')
            && !plain.chars().any(char::is_whitespace);
        return fits.then_some(Target::Email(plain));
    }
    let (plus, number) = plain.strip_prefix('+').map_or(("", plain.as_str()), |number| ("+", number));
    let allowed = number.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ' ' | '(' | ')'));
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let mobile = is_mobile(&digits);
    let abroad = !plus.is_empty() && PHONE_DIGITS.contains(&digits.len());
    (allowed && (mobile || abroad)).then(|| Target::Phone(format!("{plus}{digits}")))
}

/// The eleven digits of a Chinese mobile number.
fn is_mobile(digits: &str) -> bool {
    digits.len() == 11 && digits.starts_with('1')
}

/// A name or a path; no department's name contains a slash. Source: contract "identifiers".
fn path(text: &str) -> Result<Target, TargetFault> {
    let mut parts: Vec<String> = text.split(['/', '／']).map(|part| part.trim().to_owned()).collect();
    match parts.as_slice() {
        [_] => Ok(Target::Name(parts.remove(0))),
        parts_ if parts_.iter().any(String::is_empty) => Err(TargetFault::EmptyPathPart),
        _ => Ok(Target::Path(parts)),
    }
}
