//! The card that leads a person to the authorization page.

use serde_json::{Value, json};

use super::elements::{markdown, plain};
use crate::view::text;

/// The card that leads to the authorization page.
pub fn login(url: &str, continues: bool) -> Value {
    json!({
        "schema": "2.0",
        "config": { "update_multi": true, "enable_forward": false },
        "header": { "title": plain(&text::login_title()), "template": "blue" },
        "body": { "elements": [
            markdown(&text::login_why(continues)),
            {
                "tag": "button",
                "type": "primary_filled",
                "text": plain(&text::login_button()),
                "behaviors": [{ "type": "open_url", "default_url": url }],
            },
        ] },
    })
}
