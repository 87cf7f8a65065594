//! Single messages and cards: what the bot says in its own name, and what somebody else has said.
//!
//! Unlike `batch_send`, `content` is JSON in a string here, and every message carries a `uuid` under which Feishu
//! makes at most one within an hour; so these calls are safe to repeat. Sources: the pages "Send message", "Reply",
//! "Update card" and "Get message" of `im/v1/messages`.

use reqwest::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::client::{Ask, Feishu};
use super::codes::Call;
use super::content;
use super::error::CallError;
use super::wire::{id, list, text, text_or_empty};
use crate::domain::content::{Body, Mention, Post};
use crate::domain::ids::{ChatId, MessageId, OpenId, Timestamp};

/// Characters a `uuid` may have.
pub const UUID_CHARS_MAX: usize = 50;

/// To whom a message goes. A first message to a person opens the private chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    Chat(ChatId),
    Person(OpenId),
}

/// A message that exists now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub message_id: MessageId,
    /// Where it stands; Feishu normally says so.
    pub chat_id: Option<ChatId>,
}

/// A message that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedMessage {
    pub message_id: MessageId,
    /// As Feishu names it: `text`, `post`, `image`, `interactive` …
    pub msg_type: String,
    /// Recalled or deleted; `content` is empty then.
    pub deleted: bool,
    /// JSON as text; a card as it was once sent.
    pub content: String,
    /// A bot among them has none of the three ids.
    pub mentions: Vec<Mention>,
    /// The bot has said it itself, in a message of its own; batch messages cannot be looked up.
    pub sender_is_this_app: bool,
    pub chat_id: Option<ChatId>,
}

impl FetchedMessage {
    /// What a text or a rich text says, its first locale; `None` for other types.
    pub fn body(&self) -> Option<Body> {
        content::body(&self.msg_type, &self.content)
    }

    /// A rich text in each of its locales, Chinese first; empty for other types.
    pub fn posts(&self) -> Vec<(String, Post)> {
        if self.msg_type == "post" { content::posts(&self.content) } else { vec![] }
    }
}

impl Feishu {
    /// Sends a message. `content` is JSON as text; `uuid` has at most [`UUID_CHARS_MAX`] characters and changes with
    /// the content.
    ///
    /// # Errors
    /// [`CallError`]. After a retryable one the same call with the same `uuid` is safe for an hour.
    pub async fn send_message(
        &self,
        now: Timestamp,
        receiver: &Receiver,
        msg_type: &str,
        content: &str,
        uuid: &str,
    ) -> Result<Sent, CallError> {
        let (kind, id) = match receiver {
            Receiver::Chat(chat) => ("chat_id", chat.as_str()),
            Receiver::Person(person) => ("open_id", person.as_str()),
        };
        let body = json!({"receive_id": id, "msg_type": msg_type, "content": content, "uuid": uuid});
        let ask = Ask::post(Call::SendMessage, &body).with("receive_id_type", kind);
        sent(self.ask_as_app(now, &ask).await?)
    }

    /// Answers a message. Where that message is gone ([`CallError::message_is_gone`]), send one of its own instead,
    /// under another `uuid`.
    ///
    /// # Errors
    /// As [`Feishu::send_message`].
    pub async fn reply_message(
        &self,
        now: Timestamp,
        to: &MessageId,
        msg_type: &str,
        content: &str,
        uuid: &str,
    ) -> Result<Sent, CallError> {
        let body = json!({"msg_type": msg_type, "content": content, "uuid": uuid});
        sent(self.ask_as_app(now, &Ask::post(Call::ReplyMessage, &body).id(to.as_str())).await?)
    }

    /// Replaces a card of ours as a whole. Old and new card must both say `config.update_multi: true`.
    ///
    /// # Errors
    /// [`CallError`]; at most five a second per message, and never while a press on it is being answered.
    pub async fn patch_card(&self, now: Timestamp, card: &MessageId, card_json: &str) -> Result<(), CallError> {
        let ask = Ask { method: Method::PATCH, ..Ask::post(Call::PatchCard, &json!({"content": card_json})) };
        self.ask_as_app(now, &ask.id(card.as_str())).await.map(drop)
    }

    /// Looks a message up. The bot must be in its chat; in a group that takes the scope `im:message.group_msg` as well.
    ///
    /// # Errors
    /// [`CallError`]; one that was deleted is either an error ([`CallError::message_is_gone`]) or says so itself.
    pub async fn get_message(&self, now: Timestamp, message: &MessageId) -> Result<FetchedMessage, CallError> {
        let ask = Ask::get(Call::GetMessage)
            .id(message.as_str())
            .with("user_id_type", "open_id")
            .with("card_msg_content_type", "user_card_content");
        let answer = self.ask_as_app(now, &ask).await?;
        let items = list(&answer.body, "/data/items");
        // A bundle of forwarded messages brings its parts along.
        let asked = items.iter().find(|item| text(item, "/message_id") == Some(message.as_str()));
        match asked.or(items.first()) {
            Some(item) => Ok(self.fetched(item, message)),
            None => Err(answer.incomplete()),
        }
    }

    fn fetched(&self, item: &Value, asked: &MessageId) -> FetchedMessage {
        FetchedMessage {
            message_id: id(item, "/message_id", MessageId::new).unwrap_or_else(|| asked.clone()),
            msg_type: text_or_empty(item, "/msg_type"),
            deleted: item.get("deleted").and_then(Value::as_bool) == Some(true),
            content: text_or_empty(item, "/body/content"),
            mentions: content::mentions(item),
            sender_is_this_app: text(item, "/sender/id") == Some(self.settings.app_id.as_str()),
            chat_id: id(item, "/chat_id", ChatId::new),
        }
    }
}

fn sent(answer: Answer) -> Result<Sent, CallError> {
    match text(&answer.body, "/data/message_id").and_then(MessageId::new) {
        Some(message_id) => Ok(Sent { message_id, chat_id: text(&answer.body, "/data/chat_id").and_then(ChatId::new) }),
        None => Err(answer.incomplete()),
    }
}
