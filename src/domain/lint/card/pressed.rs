//! What people can press. In a broadcast that may open a page, and nothing else.
//!
//! Whoever presses a button without a link calls back, even if nothing is set on it: "all interactive components do,
//! except the checker" ("配置卡片交互"). A link with an empty `"value": {}` beside it is what Feishu's own builder
//! writes, and opens its page only.

use serde_json::Value;

use super::super::{CardFault, CardFaultKind, CardVersion};
use super::{Fields, Walk, as_list, child, fault, item, list, object, one_of, schema};

/// Characters on a button. Source: contract 4.2.
const LABEL_CHARS_MAX: usize = 100;

impl Walk {
    pub(super) fn button(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        if self.version == CardVersion::Two {
            one_of(fields, path, "type", schema::BUTTON_TYPES)?;
            let label = fields.get("text").and_then(|text| text.get("content")).and_then(Value::as_str);
            if let Some(label) = label.filter(|label| label.chars().count() > LABEL_CHARS_MAX) {
                let why = CardFaultKind::TooLong { most: LABEL_CHARS_MAX };
                return Err(fault(child(&child(path, "text"), "content"), why, label));
            }
        }
        submits(fields, path)?;
        let opens = self.behaviors(fields, path)?;
        let opens = self.links_of(fields, path)? || opens;
        calls_back_with_value(fields, path)?;
        if opens { Ok(()) } else { Err(fault(path, CardFaultKind::CallsBack, "button")) }
    }

    /// Several buttons behind one. Each must have a link of its own.
    pub(super) fn overflow(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        self.behaviors(fields, path)?;
        calls_back_with_value(fields, path)?;
        for (index, option) in list(fields, path, "options")?.iter().enumerate() {
            let path = item(&child(path, "options"), index);
            let option = object(option, &path)?;
            if let Some(text) = option.get("text") {
                self.text(text, &child(&path, "text"), schema::TEXT_TAGS)?;
            }
            let opens = self.links_of(option, &path)?;
            calls_back_with_value(option, &path)?;
            if !opens {
                return Err(fault(path, CardFaultKind::CallsBack, "overflow"));
            }
        }
        Ok(())
    }

    /// A box to tick. Without a callback the tick stays on the reader's own device.
    pub(super) fn checker(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        self.behaviors(fields, path)?;
        let Some(area) = fields.get("button_area") else { return Ok(()) };
        let path = child(path, "button_area");
        let Some(buttons) = object(area, &path)?.get("buttons") else { return Ok(()) };
        let path = child(&path, "buttons");
        for (index, button) in as_list(buttons, &path)?.iter().enumerate() {
            let path = item(&path, index);
            let button = object(button, &path)?;
            if let Some(text) = button.get("text") {
                self.text(text, &child(&path, "text"), schema::TEXT_TAGS)?;
            }
            self.icon(button, &path)?;
            self.button(button, &path)?;
        }
        Ok(())
    }

    /// `url` and `multi_url`. Returns whether either leads somewhere.
    fn links_of(&mut self, fields: &Fields, path: &str) -> Result<bool, CardFault> {
        let mut opens = false;
        if let Some(address) = fields.get("url") {
            opens |= self.address(address, &child(path, "url"))?;
        }
        if let Some(link) = fields.get("multi_url") {
            opens |= self.links(link, &child(path, "multi_url"))?;
        }
        Ok(opens)
    }
}

/// A button that belongs to a form, or that an old card says is a request.
fn submits(fields: &Fields, path: &str) -> Result<(), CardFault> {
    for key in ["form_action_type", "action_type"] {
        let kind = fields.get(key).and_then(Value::as_str).unwrap_or_default();
        if !matches!(kind, "" | "link") {
            return Err(fault(child(path, key), CardFaultKind::CallsBack, kind));
        }
    }
    Ok(())
}

fn calls_back_with_value(fields: &Fields, path: &str) -> Result<(), CardFault> {
    let value = fields.get("value").unwrap_or(&Value::Null);
    let empty = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    if empty { Ok(()) } else { Err(fault(child(path, "value"), CardFaultKind::CallsBack, "value")) }
}
