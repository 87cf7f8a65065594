//! What a person reads: messages as they stand now, batch messages, toasts.

use serde::Serialize;
use serde_json::Value;

use super::world::{Author, Message, World};

/// A message as it stands in a chat now.
#[derive(Clone, Debug, Serialize)]
pub struct ChatMessage {
    pub message_id: String,
    pub chat_id: String,
    /// Written by the bot, not by a person.
    pub from_bot: bool,
    /// Who wrote it, by name.
    pub author: String,
    pub msg_type: String,
    pub content: Value,
    /// The card as everybody sees it now.
    pub card: Option<Value>,
    /// All words in it, one per line; good enough to search in.
    pub text: String,
    pub at_ms: i64,
    pub updated_ms: i64,
    /// How often it was changed.
    pub edits: u32,
    pub deleted: bool,
    pub parent_id: Option<String>,
}

impl AsRef<str> for ChatMessage {
    fn as_ref(&self) -> &str {
        &self.message_id
    }
}

/// A batch message in somebody's inbox.
#[derive(Clone, Debug, Serialize)]
pub struct Delivered {
    /// `bm-…` of the call that sent it.
    pub bm_id: String,
    pub at_ms: i64,
    pub msg_type: String,
    /// `content`, or the card.
    pub content: Value,
    pub text: String,
    pub read_at_ms: Option<i64>,
    pub recalled: bool,
    /// When this person will read it of their own accord, if ever.
    #[serde(skip)]
    pub habit_ms: Option<i64>,
}

/// The toast that a press showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Toast {
    pub kind: String,
    pub content: String,
    /// Locale to text.
    pub i18n: Value,
}

/// Every word of a content or card, in reading order.
pub fn words(value: &Value) -> String {
    fn gather(value: &Value, words: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                // A header is read before the body, whatever the alphabet says.
                let first = fields.get_key_value("header");
                for (key, field) in first.into_iter().chain(fields.iter().filter(|(key, _)| *key != "header")) {
                    match field {
                        Value::String(text) if ["content", "text", "title", "display_name"].contains(&key.as_str()) => {
                            words.push(text.clone());
                        }
                        Value::String(_) => {}
                        Value::Array(rows) if key == "rows" => words.extend(
                            rows.iter().flat_map(|row| row.as_object().into_iter().flatten()).map(|(_, v)| cell(v)),
                        ),
                        _ if ["i18n_content", "value", "behaviors"].contains(&key.as_str()) => {}
                        other => gather(other, words),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, words)),
            _ => {}
        }
    }
    fn cell(value: &Value) -> String {
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }
    let mut found = vec![];
    gather(value, &mut found);
    found.join("\n")
}

pub(super) fn view(world: &World, message: &Message) -> ChatMessage {
    let author = match &message.author {
        Author::Bot => world.company.bot_name.clone(),
        Author::Person(open_id) => world.employee(open_id).name.clone(),
    };
    ChatMessage {
        message_id: message.message_id.clone(),
        chat_id: message.chat_id.clone(),
        from_bot: message.author == Author::Bot,
        author,
        msg_type: message.msg_type.clone(),
        content: message.content.clone(),
        card: (message.msg_type == "interactive").then(|| message.content.clone()),
        text: words(&message.content),
        at_ms: message.created_ms,
        updated_ms: message.updated_ms,
        edits: message.edits,
        deleted: message.deleted,
        parent_id: message.parent_id.clone(),
    }
}
