//! What a card may look like, as the platform judges it when it is sent or patched.
//!
//! 2.0 refuses every property and tag it does not know; 1.0 shrugs. Sources: card JSON 2.0 structure and component
//! pages, release notes of its breaking changes.

pub mod controls;
pub mod schema;
pub mod v1;
pub mod v2;

use std::fmt;

use serde_json::{Value, json};

use super::view::words;

/// A card as text, escaped into `content`, with everything around it: 30 KB of request body.
pub const BYTES_MAX: usize = 30 * 1024;

/// Elements and components of a 2.0 card, texts included.
pub const ELEMENTS_MAX: usize = 200;

/// Why a card is refused, with the platform's sub-code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardError {
    pub code: u32,
    pub path: String,
    pub what: String,
}

impl CardError {
    /// An error at a place in the card.
    pub fn at(code: u32, path: &str, what: impl Into<String>) -> CardError {
        CardError { code, path: path.into(), what: what.into() }
    }
}

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CardError { code, path, what } = self;
        write!(f, "Failed to create card content, ext=ErrCode: {code}; ErrPath: {path}; ErrMsg: {what}; ErrorValue: ")
    }
}

/// Whether a card declares schema 2.0.
pub fn is_v2(card: &Value) -> bool {
    card.get("schema").and_then(Value::as_str) == Some("2.0")
}

/// Whether a card says `update_multi: true` itself; PATCH wants that of the old one and the new one.
pub fn says_update_multi(card: &Value) -> bool {
    card.pointer("/config/update_multi") == Some(&Value::Bool(true))
}

/// Judges a card.
///
/// # Errors
/// The first thing the platform would refuse.
pub fn check(card: &Value) -> Result<(), CardError> {
    let Some(fields) = card.as_object() else {
        return Err(CardError::at(200_621, "ROOT", "parse card json err, not an object"));
    };
    if fields.is_empty() {
        return Ok(()); // A blank card is legal.
    }
    if is_v2(card) { v2::check(card) } else { v1::check(card) }
}

/// Every image key in a card.
pub fn image_keys(card: &Value) -> Vec<String> {
    let mut keys = vec![];
    walk(card, &mut |fields| {
        keys.extend(fields.get("img_key").and_then(Value::as_str).filter(|key| !key.is_empty()).map(str::to_owned));
    });
    keys
}

/// A card as events and a plain GET show it: a paragraph of words and pictures for each element, and not one button.
pub fn simplified(card: &Value) -> Value {
    let elements = card.pointer("/body/elements").or_else(|| card.get("elements")).and_then(Value::as_array);
    let paragraph = |element: &Value| -> Value {
        let text = words(element);
        let texts = text.lines().map(|line| json!({"tag": "text", "text": line}));
        texts.chain(image_keys(element).into_iter().map(|key| json!({"tag": "img", "image_key": key}))).collect()
    };
    let title = card.pointer("/header/title/content").cloned().unwrap_or_default();
    json!({"title": title, "elements": elements.into_iter().flatten().map(paragraph).collect::<Vec<Value>>()})
}

/// Visits every object in a card, outermost first.
pub fn walk(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            visit(fields);
            fields.values().for_each(|field| walk(field, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

/// The highest `version` that a control of this card calls back with; 0 where none does.
pub fn version_of(card: &Value) -> i64 {
    let versions = controls::find(card).into_iter().filter_map(|control| control.value.get("version")?.as_i64());
    versions.max().unwrap_or(0)
}
