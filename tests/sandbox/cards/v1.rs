//! Card JSON 1.0: unknown properties are shrugged at, but what holds the card together must be right.

use serde_json::Value;

use super::{BYTES_MAX, CardError};

/// Judges a card without a schema.
///
/// # Errors
/// The first thing the platform would refuse.
pub fn check(card: &Value) -> Result<(), CardError> {
    if card.to_string().len() > BYTES_MAX {
        return Err(CardError::at(11_310, "ROOT", "card is too large"));
    }
    if card.get("schema").is_some_and(|schema| schema != "1.0") {
        return Err(CardError::at(200_621, "schema", "unknown schema"));
    }
    if let Some(locales) = card.get("i18n_elements") {
        let locales = locales.as_object().ok_or_else(|| CardError::at(200_732, "i18n_elements", "not an object"))?;
        return locales.values().try_for_each(|elements| check_elements(elements, "i18n_elements"));
    }
    check_elements(card.get("elements").unwrap_or(&Value::Null), "elements")
}

fn check_elements(elements: &Value, path: &str) -> Result<(), CardError> {
    let elements = elements.as_array().ok_or_else(|| CardError::at(200_732, path, "elements is a list"))?;
    for (index, element) in elements.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match element.get("tag").and_then(Value::as_str).unwrap_or_default() {
            "" => return Err(CardError::at(200_621, &path, "an element needs a tag")),
            "button" | "select_static" | "overflow" | "date_picker" => {
                return Err(CardError::at(200_621, &path, "stands inside an action module only"));
            }
            "action" if !element.get("actions").is_some_and(Value::is_array) => {
                return Err(CardError::at(200_732, &path, "actions is a list"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_root_button_is_refused_and_an_unknown_property_is_not() {
        let button = json!({"tag": "button", "text": {"tag": "plain_text", "content": "x"}, "value": {}});
        assert!(check(&json!({"elements": [button.clone()]})).is_err());
        assert!(check(&json!({"future": 1, "elements": [{"tag": "action", "actions": [button]}]})).is_ok());
    }
}
