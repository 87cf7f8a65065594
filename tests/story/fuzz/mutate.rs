//! Valid things, spoilt: bytes, texts and JSON, each in the ways in which the world spoils them.

use serde_json::{Map, Value, json};

use crate::kill::Dice;

/// Pieces that readers of text stumble over: widths, marks that nobody sees, directions, halves of pairs, long letters,
/// what ends a quote, and what this program itself gives a meaning.
const PIECES: [&str; 66] = [
    "\0",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\r\n",
    "\r",
    "\n",
    "\t",
    " ",
    "\u{3000}",
    "\u{a0}",
    "\u{2028}",
    "\u{200b}",
    "\u{200d}",
    "\u{200e}",
    "\u{200f}",
    "\u{202e}",
    "\u{202c}",
    "\u{2066}",
    "\u{2069}",
    "\u{feff}",
    "\u{ad}",
    "\u{fffd}",
    "\u{301}",
    "\u{1f468}\u{200d}\u{1f469}",
    "\u{10ffff}",
    "İ",
    "ß",
    "ﬁ",
    "Ａ",
    "ｚ",
    "０",
    "／",
    "，",
    "：",
    "＝",
    "－－",
    "——",
    "“",
    "”",
    "\"",
    "'",
    "「",
    "」",
    "‘",
    "[",
    "](http://",
    ")",
    "@_user_1",
    "@_user_2",
    "@_all",
    "@",
    "<at user_id=\"all\">",
    "</at>",
    "<",
    "--",
    "--at ",
    "--var ",
    "/",
    "\\",
    "\\u0000",
    "ou_",
    "od-",
    "dept:",
    "全员",
    "{}",
];

/// What JSON may hold where something else was expected. The texts are JSON, not yet parsed.
const ODD_JSON: [&str; 18] = [
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "1.5",
    "1e308",
    "1e999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "123456789012345678901234567890123456789012345678901234567890",
    "\"\"",
    "[]",
    "{}",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\u0000\"",
];

pub(super) fn pick<T: Clone>(dice: &mut Dice, from: &[T]) -> T {
    from[dice.throw(from.len())].clone()
}

/// Spoils bytes in a few places; `other` is where foreign pieces come from.
pub(super) fn bytes(dice: &mut Dice, valid: &[u8], other: &[u8]) -> Vec<u8> {
    let mut spoilt = valid.to_vec();
    for _ in 0..=dice.throw(4) {
        let at = dice.throw(spoilt.len() + 1);
        let to = (at + dice.throw(24)).min(spoilt.len());
        match dice.throw(8) {
            0 => spoilt.truncate(at),
            1 => drop(spoilt.drain(at..to)),
            2 => spoilt.insert(at, u8::try_from(dice.throw(256)).expect("a byte")),
            3 => drop(spoilt.splice(at..at, spoilt[at..to].to_vec())),
            4 => {
                let from = dice.throw(other.len() + 1);
                let until = (from + dice.throw(64)).min(other.len());
                spoilt.splice(at..to, other[from..until].iter().copied());
            }
            5 => drop(spoilt.splice(at..at, pick(dice, &PIECES).bytes())),
            _ => {
                if let Some(byte) = spoilt.get_mut(at) {
                    *byte ^= 1 << dice.throw(8);
                }
            }
        }
    }
    spoilt
}

/// Bytes that mean nothing.
pub(super) fn noise(dice: &mut Dice) -> Vec<u8> {
    (0..dice.throw(200)).map(|_| u8::try_from(dice.throw(256)).expect("a byte")).collect()
}

/// Spoils a text in a few places, by whole characters.
pub(super) fn text(dice: &mut Dice, valid: &str, other: &str) -> String {
    let mut spoilt: Vec<char> = valid.chars().collect();
    let other: Vec<char> = other.chars().collect();
    for _ in 0..=dice.throw(5) {
        let at = dice.throw(spoilt.len() + 1);
        let to = (at + dice.throw(12)).min(spoilt.len());
        match dice.throw(9) {
            0 => spoilt.truncate(at),
            1 => drop(spoilt.drain(at..to)),
            2 => drop(spoilt.splice(at..at, spoilt[at..to].to_vec())),
            3 => {
                let from = dice.throw(other.len() + 1);
                let until = (from + dice.throw(40)).min(other.len());
                spoilt.splice(at..to, other[from..until].iter().copied());
            }
            4 => {
                for c in &mut spoilt[at..to] {
                    *c = full_width(*c);
                }
            }
            5 => spoilt.extend(char::from_u32(u32::try_from(dice.throw(0x11_0000)).expect("small"))),
            _ => drop(spoilt.splice(at..at, pick(dice, &PIECES).chars())),
        }
    }
    if dice.throw(200) == 0 {
        // Few and long: a piece so often that anything quadratic would be felt.
        let piece = pick(dice, &PIECES);
        spoilt.extend(piece.repeat(1 + dice.throw(4000)).chars());
    }
    spoilt.into_iter().collect()
}

fn full_width(c: char) -> char {
    match c {
        '!'..='~' => char::from_u32(c as u32 + 0xfee0).unwrap_or(c),
        ' ' => '\u{3000}',
        _ => c,
    }
}

/// Spoils JSON by its structure, and sometimes its text afterwards.
pub(super) fn json(dice: &mut Dice, valid: &Value, other: &Value) -> String {
    let mut spoilt = valid.clone();
    for _ in 0..=dice.throw(3) {
        spoil(dice, &mut spoilt, other);
    }
    let mut written = spoilt.to_string();
    for _ in 0..dice.throw(3) {
        written = match dice.throw(4) {
            0 => twice(dice, &written),
            1 => odd_value(dice, &written),
            2 => text(dice, &written, &other.to_string()),
            _ => written,
        };
    }
    written
}

/// Changes one value somewhere inside.
fn spoil(dice: &mut Dice, value: &mut Value, other: &Value) {
    let deeper = dice.throw(5) > 0;
    match value {
        Value::Object(map) if deeper && !map.is_empty() => {
            let key = pick(dice, &map.keys().cloned().collect::<Vec<_>>());
            match dice.throw(8) {
                0 => drop(map.remove(&key)),
                1 => {
                    if let Some(moved) = map.remove(&key) {
                        map.insert(text(dice, &key, "open_id"), moved);
                    }
                }
                _ => spoil(dice, map.get_mut(&key).expect("it is one of its keys"), other),
            }
        }
        Value::Array(list) if deeper && !list.is_empty() => {
            let at = dice.throw(list.len());
            match dice.throw(6) {
                0 => drop(list.remove(at)),
                1 => list.insert(at, list[at].clone()),
                _ => spoil(dice, &mut list[at], other),
            }
        }
        Value::String(words) if dice.throw(4) > 0 => {
            // What is JSON within a text is spoilt by its own structure as well.
            *words = match serde_json::from_str::<Value>(words) {
                Ok(inner) if inner.is_object() && dice.throw(3) > 0 => json(dice, &inner, other),
                Ok(_) | Err(_) => text(dice, words, &other.to_string()),
            };
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            *value = strange(dice, value, other);
        }
    }
}

fn strange(dice: &mut Dice, value: &Value, other: &Value) -> Value {
    match dice.throw(9) {
        0 => Value::String(value.to_string()),
        1 => json!([value]),
        2 => deep(dice),
        3 => json!(pick(dice, &PIECES).repeat(1 + dice.throw(300))),
        4 => other.pointer("/event").or_else(|| other.pointer("/header")).unwrap_or(other).clone(),
        5 => Value::Object(Map::from_iter([(text(dice, "open_id", "value"), value.clone())])),
        _ => serde_json::from_str(pick(dice, &ODD_JSON)).unwrap_or(Value::Null),
    }
}

/// Lists in lists, around and beyond what a reader of JSON takes.
fn deep(dice: &mut Dice) -> Value {
    let mut value = json!("here");
    for _ in 0..dice.throw(200) {
        value = if dice.throw(2) == 0 { json!([value]) } else { json!({ "a": value }) };
    }
    value
}

/// A key that stands there twice.
fn twice(dice: &mut Dice, written: &str) -> String {
    let colons: Vec<usize> = written.match_indices("\":").map(|(at, _)| at).collect();
    if colons.is_empty() {
        return written.to_owned();
    }
    let colon = pick(dice, &colons);
    let Some(quote) = written[..colon].rfind('"') else { return written.to_owned() };
    let key = &written[quote..colon + 2];
    format!("{}{key}{},{}", &written[..quote], pick(dice, &ODD_JSON), &written[quote..])
}

/// A value that no writer of ours could have written, such as half a pair of surrogates.
fn odd_value(dice: &mut Dice, written: &str) -> String {
    let colons: Vec<usize> = written.match_indices("\":\"").map(|(at, _)| at + 2).collect();
    if colons.is_empty() {
        return written.to_owned();
    }
    let at = pick(dice, &colons);
    let end = written[at + 1..].find('"').map_or(written.len(), |end| at + end + 2);
    format!("{}{}{}", &written[..at], pick(dice, &ODD_JSON), &written[end..])
}
