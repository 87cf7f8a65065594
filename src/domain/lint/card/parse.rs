//! From what an admin pasted to a card: JSON with a place where it breaks, out of its wrapping.

use serde_json::{Map, Value};

use super::super::{CardFault, CardFaultKind, JsonType, TextPlace};
use super::{as_text, child, fault, found, object, required};

/// Quotes that look like `"` and are none. Chat programs and word processors put them in its place.
const SMART_QUOTES: [char; 6] = ['“', '”', '„', '‟', '＂', '″'];

/// Characters around the place where the JSON breaks.
const EXCERPT_CHARS: usize = 16;

/// What the text is.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// A card, out of its wrapping; not judged yet.
    Card(Value),
    /// Not a card but the id of one that was made in Feishu's builder.
    Template {
        id: String,
        /// `template_version_name`, e.g. `1.0.3`; the latest where it is absent.
        version: Option<String>,
        /// Values for the gaps of the template.
        variables: Map<String, Value>,
    },
}

/// Reads a card as people paste it: the card itself, `{"card": {…}}` or `{"msg_type": "interactive", "card": {…}}` from
/// another program, or `{"type": "template", "data": {…}}`.
///
/// # Errors
/// What is no JSON, with its place in the text, and what is JSON but neither a card nor a template.
pub fn parse(text: &str) -> Result<Parsed, CardFault> {
    let text = text.trim_start_matches('\u{FEFF}');
    if text.trim().is_empty() {
        return Err(fault("", CardFaultKind::Empty, ""));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| not_json(text, &error))?;
    match value {
        Value::Object(root) => unwrap(root),
        other => Err(fault("", CardFaultKind::NotACard, &found(&other))),
    }
}

fn unwrap(mut root: Map<String, Value>) -> Result<Parsed, CardFault> {
    let is_card = ["schema", "header", "body", "elements", "i18n_elements"].iter().any(|key| root.contains_key(*key));
    if is_card {
        return Ok(Parsed::Card(Value::Object(root)));
    }
    if let Some(kind) = root.get("msg_type")
        && kind != "interactive"
    {
        return Err(fault("msg_type", CardFaultKind::NotACard, &found(kind)));
    }
    if root.contains_key("card") {
        if let Some(stranger) = root.keys().find(|key| !["card", "msg_type"].contains(&key.as_str())) {
            return Err(fault(child("", stranger), CardFaultKind::BesideCard, stranger));
        }
        return match root.remove("card").unwrap_or_default() {
            Value::Object(card) if card.contains_key("card") => {
                Err(fault("card.card", CardFaultKind::NotACard, "card"))
            }
            Value::Object(card) => unwrap(card).map_err(|inner| within("card", inner)),
            other => Err(fault("card", CardFaultKind::WrongType { wanted: JsonType::Object }, &found(&other))),
        };
    }
    match root.get("type").map(|kind| as_text(kind, "type")).transpose()? {
        Some("template") => template(&root),
        Some(other) => Err(fault("type", CardFaultKind::NotACard, other)),
        None => Ok(Parsed::Card(Value::Object(root))),
    }
}

/// The same fault, seen from outside.
fn within(path: &str, inner: CardFault) -> CardFault {
    let path = if inner.path.is_empty() { path.to_owned() } else { format!("{path}.{}", inner.path) };
    CardFault { path, ..inner }
}

fn template(root: &Map<String, Value>) -> Result<Parsed, CardFault> {
    let data = root.get("data").ok_or_else(|| fault("data", CardFaultKind::Missing, ""))?;
    let data = object(data, "data")?;
    let id = required(data, "data", "template_id")?.trim().to_owned();
    let version = data.get("template_version_name").map(|v| as_text(v, "data.template_version_name")).transpose()?;
    let version = version.map(str::trim).filter(|version| !version.is_empty()).map(str::to_owned);
    let variables = match data.get("template_variable") {
        Some(variables) => object(variables, "data.template_variable")?.clone(),
        None => Map::new(),
    };
    Ok(Parsed::Template { id, version, variables })
}

/// What breaks the JSON, and where.
fn not_json(text: &str, error: &serde_json::Error) -> CardFault {
    let (line, bytes) = (error.line(), error.column());
    let row = text.split('\n').nth(line.saturating_sub(1)).unwrap_or_default();
    // The column counts bytes up to and including the one that is wrong, which may lie inside of a character. At the
    // end of the text no byte is wrong.
    let wrong = if error.is_eof() { 0 } else { 1 };
    let mut before = bytes.saturating_sub(wrong).min(row.len());
    while !row.is_char_boundary(before) {
        before -= 1;
    }
    let (read, rest) = row.split_at(before);
    let at = TextPlace { line, column: read.chars().count() + 1 };
    if let Some(at) = smart_quote(text, rest, at) {
        let row = text.split('\n').nth(at.line - 1).unwrap_or_default();
        let around: String = row.chars().skip(at.column - 1).take(EXCERPT_CHARS).collect();
        return fault("", CardFaultKind::SmartQuotes { at }, &around);
    }
    // serde_json says so in words only.
    if error.to_string().starts_with("recursion limit exceeded") {
        return fault("", CardFaultKind::TooDeep, "");
    }
    if error.is_eof() {
        return fault("", CardFaultKind::EndsEarly { at }, "");
    }
    fault("", CardFaultKind::NotJson { at }, &visible(rest))
}

/// The first quote that is none, if that is what broke the JSON: it stands at the broken place, or the text would be
/// JSON with straight quotes. Inside a proper text such quotes are fine and common.
fn smart_quote(text: &str, rest: &str, at: TextPlace) -> Option<TextPlace> {
    if rest.starts_with(SMART_QUOTES) {
        return Some(at);
    }
    if !text.contains(SMART_QUOTES) {
        return None;
    }
    let straight = text.replace(SMART_QUOTES, "\"");
    serde_json::from_str::<serde::de::IgnoredAny>(&straight).ok()?;
    let (n, row) = text.split('\n').enumerate().find(|(_, row)| row.contains(SMART_QUOTES))?;
    let column = row.chars().take_while(|c| !SMART_QUOTES.contains(c)).count() + 1;
    Some(TextPlace { line: n + 1, column })
}

/// What stands at the broken place. A character that nobody sees is named: it is what is wrong.
fn visible(rest: &str) -> String {
    match rest.chars().next() {
        Some(c) if !c.is_ascii() && (c.is_whitespace() || crate::domain::content::pieces::is_unseen(c)) => {
            format!("U+{:04X}", u32::from(c))
        }
        _ => rest.chars().take(EXCERPT_CHARS).collect(),
    }
}
