//! The form in which an author writes a pending text anew.

use serde_json::{Value, json};

use super::buttons::callback;
use super::elements::{note, plain};
use crate::domain::broadcast::{Broadcast, State};
use crate::domain::content::Content;
use crate::view::hand;

/// Letters that an input takes. Source: contract, "elements we need", input: at most 1,000.
pub const EDIT_LETTERS_MAX: usize = 1000;

/// The form, or why there is none; nothing where the content is no text.
pub(super) fn form(broadcast: &Broadcast) -> Vec<Value> {
    let Content::Text(content) = &broadcast.content else { return vec![] };
    if broadcast.state != State::Pending || broadcast.hold.is_some() {
        return vec![];
    }
    if content.chars().count() > EDIT_LETTERS_MAX {
        return vec![note(&hand::not_editable(EDIT_LETTERS_MAX))];
    }
    let form = json!({
        "tag": "form",
        "name": "edit_form",
        "elements": [
            note(&hand::edit_note(broadcast.required > 0)),
            { "tag": "input", "name": "content", "input_type": "multiline_text", "rows": 3, "auto_resize": true,
              "placeholder": plain(&hand::edit_placeholder()), "default_value": content, "required": true,
              "width": "fill", "max_length": EDIT_LETTERS_MAX },
            {
                "tag": "button",
                "name": "edit",
                "type": "default",
                "text": plain(&hand::edit_button(broadcast.required > 0)),
                "form_action_type": "submit",
                "behaviors": [callback(broadcast, "edit")],
            },
        ],
    });
    vec![form]
}
