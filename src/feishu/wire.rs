//! Reading JSON that others wrote: every field may be absent, null, of another type, or new.
//!
//! Looking fields up one by one is kinder than a struct per shape: one odd field costs that field and not the event.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::domain::ids::Timestamp;

/// The text at a JSON pointer, if there is a text.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The text at a JSON pointer, or the empty text.
pub(super) fn text_or_empty(value: &Value, pointer: &str) -> String {
    text(value, pointer).unwrap_or_default().to_owned()
}

/// The text at a JSON pointer as an id, if it can be one.
pub(super) fn id<T>(value: &Value, pointer: &str, new: impl FnOnce(String) -> Option<T>) -> Option<T> {
    text(value, pointer).and_then(|text| new(text.to_owned()))
}

/// A number, whether written as a number or as a text of digits: `read_user` writes texts, its neighbours numbers.
pub(super) fn number<T: FromStr + TryFrom<u64>>(value: &Value, pointer: &str) -> Option<T> {
    match value.pointer(pointer)? {
        Value::Number(number) => number.as_u64().and_then(|number| T::try_from(number).ok()),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The object at a JSON pointer, be it written as an object or as a text that holds one; else an empty object.
pub(super) fn object(value: &Value, pointer: &str) -> Map<String, Value> {
    match value.pointer(pointer) {
        Some(Value::Object(map)) => map.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | None => Map::new(),
    }
}

/// The items of the list at a JSON pointer; no list is an empty list.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts in the list at a JSON pointer; absent, null and empty lists are alike.
pub(super) fn texts(value: &Value, pointer: &str) -> Vec<String> {
    list(value, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A moment written in digits: 10 are seconds, 13 milliseconds, 16 microseconds. Feishu writes all three, sometimes
/// for the same field; anything else is `None` and never an error.
pub(super) fn moment(digits: &str) -> Option<Timestamp> {
    let digits = digits.trim();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = digits.parse().ok()?;
    match digits.len() {
        10 => Some(Timestamp(number * 1_000)),
        13 => Some(Timestamp(number)),
        16 => Some(Timestamp(number / 1_000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_takes_its_unit_from_its_digits() {
        assert_eq!(moment("1700000000"), Some(Timestamp(1_700_000_000_000)));
        assert_eq!(moment("1700000000123"), Some(Timestamp(1_700_000_000_123)));
        assert_eq!(moment("1700000000123456"), Some(Timestamp(1_700_000_000_123)));
        for odd in
            ["", "17", "-170000000", "17000000000", "1700000000.5", "１７００００００００", "99999999999999999999"]
        {
            assert_eq!(moment(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_number_may_be_written_as_text() {
        let value = json!({"a": 12, "b": "12", "c": "twelve", "d": -1, "e": null});
        assert_eq!(number::<u64>(&value, "/a"), Some(12));
        assert_eq!(number::<u64>(&value, "/b"), Some(12));
        for pointer in ["/c", "/d", "/e", "/f"] {
            assert_eq!(number::<u64>(&value, pointer), None, "{pointer}");
        }
    }

    #[test]
    fn an_object_may_be_written_as_text() {
        let value = json!({"a": {"x": 1}, "b": "{\"x\":1}", "c": "[1]", "d": "x", "e": 1});
        assert_eq!(object(&value, "/a"), object(&value, "/b"));
        for pointer in ["/c", "/d", "/e", "/f"] {
            assert!(object(&value, pointer).is_empty(), "{pointer}");
        }
    }
}
