//! Single messages and cards: what the bot says in its own name.
//!
//! Unlike `batch_send`, `content` is JSON in a string here, and every message carries a `uuid` under which Feishu
//! makes at most one within an hour; so these calls are safe to repeat. Sources: the pages "Send message", "Reply" and
//! "Update card" of `im/v1/messages`.

use reqwest::Method;
use serde_json::json;

use super::answer::Answer;
use super::client::{Ask, Feishu};
use super::codes::Call;
use super::error::CallError;
use super::wire::text;
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
}

fn sent(answer: Answer) -> Result<Sent, CallError> {
    match text(&answer.body, "/data/message_id").and_then(MessageId::new) {
        Some(message_id) => Ok(Sent { message_id, chat_id: text(&answer.body, "/data/chat_id").and_then(ChatId::new) }),
        None => Err(answer.incomplete()),
    }
}
