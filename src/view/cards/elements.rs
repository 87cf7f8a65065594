//! The smallest parts of a card: a text as an element, in both languages.

use serde_json::{Value, json};

use crate::view::Text;

pub(super) fn plain(text: &Text) -> Value {
    localized("plain_text", text)
}

pub(super) fn markdown(text: &Text) -> Value {
    localized("markdown", text)
}

pub(super) fn div(text: &Text) -> Value {
    json!({ "tag": "div", "text": plain(text) })
}

pub(super) fn note(text: &Text) -> Value {
    let mut words = plain(text);
    words["text_size"] = json!("notation");
    words["text_color"] = json!("grey");
    json!({ "tag": "div", "text": words })
}

/// Both languages where they differ; one where they are the same, to keep the card small.
fn localized(tag: &str, text: &Text) -> Value {
    if text.zh == text.en {
        json!({ "tag": tag, "content": text.zh })
    } else {
        json!({ "tag": tag, "content": text.zh, "i18n_content": { "zh_cn": text.zh, "en_us": text.en } })
    }
}

/// The same card with ids in place of mentions: a mention of somebody who has left refuses the whole card.
pub fn without_marks(card: &str) -> String {
    card.replace("<at id=", "").replace("></at>", "")
}
