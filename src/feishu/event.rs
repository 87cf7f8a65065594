//! Wire JSON to [`Event`]: what happened at Feishu, in the words of this program.
//!
//! Every field of an event is optional on the wire, unknown fields are skipped, and an event that lacks what its
//! reader needs is [`EventKind::Unknown`]: acknowledged and counted, never an error, since an error would only make
//! Feishu push it again. Parsing is pure and repeatable, so that a stored body can be read again after a restart.
//! Sources: "Event structure" of the subscription guide, and the pages of `im.message.receive_v1`,
//! `card.action.trigger`, `auth.user_access_token.revoked_v4`, `im.message.recalled_v1`, `application.bot.menu_v6` and
//! `im.chat.access_event.bot_p2p_chat_entered_v1`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::content;
use super::wire::{id, moment, object, text, text_or_empty};
use crate::domain::content::{Body, Content, Mention};
use crate::domain::ids::{ChatId, MessageId, OpenId, Timestamp};

/// The one name under which a push is remembered: a second push of the same key changes nothing.
///
/// `m:`, when it was sent and the message id for a message, because its event id may differ between pushes; `m:` and the
/// message id alone once something came of it, whatever a push says of the time; `r:` and the message id for its recall, by
/// which a command is found to have been taken back; `g:`, the day and the person for a look at the chat, which the door
/// keeps once a day; `w:` and a digest for the words that became a broadcast; `e:` and the event id for all else (`uuid` in
/// the old schema).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventKey(String);

impl EventKey {
    /// Under which the push of this message is remembered. With the time before the id, which is random: the memory's index
    /// grows at its end, and neither storing nor writing back goes all over it, however much it holds.
    pub fn of_message(message: &MessageId, sent_at: Option<Timestamp>) -> Self {
        match sent_at {
            // What the wire can say has 13 digits at most: see `moment`.
            Some(at) => Self(format!("m:{:013}:{message}", at.0)),
            None => Self::of_worked_on(message),
        }
    }

    /// Under which a message is remembered once something came of it.
    pub fn of_worked_on(message: &MessageId) -> Self {
        Self(format!("m:{message}"))
    }

    /// Whether `key` is one under which the push of this message is remembered.
    pub fn is_of_message(key: &str, message: &MessageId) -> bool {
        let Some(rest) = key.strip_prefix("m:") else { return false };
        rest == message.as_str() || rest.split_once(':').is_some_and(|(_, id)| id == message.as_str())
    }

    /// Under which the recall of this message is remembered.
    pub fn of_recall(message: &MessageId) -> Self {
        Self(format!("r:{message}"))
    }

    /// Under which a person's first look at the chat on a day is remembered.
    pub fn of_greeting(person: &OpenId, day: &str) -> Self {
        Self(format!("g:{day}:{person}"))
    }

    /// Under which the words of a command are remembered, whatever ids they come with.
    pub fn of_words(digest: &str) -> Self {
        Self(format!("w:{digest}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One push, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub key: EventKey,
    /// As Feishu names it, e.g. `im.message.receive_v1`.
    pub event_type: String,
    pub tenant_key: Option<String>,
    /// For display and order only; Feishu writes milliseconds here and microseconds there.
    pub created_at: Option<Timestamp>,
    pub kind: EventKind,
}

/// What we know how to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    Message(MessageReceived),
    CardAction(CardAction),
    /// Somebody's authorization ended. `open_id` may be hidden from us, then nobody can be told.
    TokenRevoked {
        open_id: Option<OpenId>,
        access: bool,
        refresh: bool,
    },
    /// Somebody took a message back: its author, or whoever may in a group. Feishu does not say who.
    MessageRecalled {
        message_id: MessageId,
    },
    /// Somebody chose an item of the bot's menu, by the key that the console gave it.
    Menu {
        person: OpenId,
        key: String,
    },
    /// Somebody opened the one-to-one chat with the bot, as they do many times a day.
    Entered {
        person: OpenId,
    },
    /// Another type, or one of ours without what it takes to work on it.
    Unknown,
}

/// A chat is with one person or with several. What Feishu does not name counts as one person's; a kind that nobody
/// knows counts as a group, where a mention is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    OneToOne,
    Group,
}

/// `im.message.receive_v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageReceived {
    pub message_id: MessageId,
    pub chat_id: ChatId,
    pub chat: ChatKind,
    pub sender: OpenId,
    /// False where the sender is stated to be something else, such as an app.
    pub sender_is_user: bool,
    pub tenant_key: Option<String>,
    pub created_at: Option<Timestamp>,
    /// The message this one answers.
    pub parent_id: Option<MessageId>,
    pub mentions: Vec<Mention>,
    pub said: MessageBody,
}

impl MessageReceived {
    /// The words of it, as far as it has any: enough to tell the language.
    pub fn plain(&self) -> String {
        match &self.said {
            MessageBody::Said(body) => Content::from_body(body, &self.mentions, None).plain(),
            MessageBody::Empty | MessageBody::Other { .. } => String::new(),
        }
    }
}

/// What the message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageBody {
    Said(Body),
    /// Recalled before it was delivered.
    Empty,
    /// Something a command cannot be written in: an image, a file, a card.
    Other {
        message_type: String,
    },
}

/// `card.action.trigger`: somebody pressed, chose or typed on a card of ours. Only `operator` says who; `value` is
/// what we once put on the card and proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardAction {
    pub operator: OpenId,
    pub open_message_id: Option<MessageId>,
    pub open_chat_id: Option<ChatId>,
    /// Empty where the wire has no object, nor a text that holds one.
    pub value: Map<String, Value>,
    pub tag: String,
    pub name: Option<String>,
    /// What was chosen in a select.
    pub option: Option<String>,
    /// What was typed in an input that stands alone.
    pub input_value: Option<String>,
    /// Every input of a form, by name.
    pub form_value: Map<String, Value>,
}

/// The bytes are no event of either schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a Feishu callback")]
pub struct NotACallback;

impl Event {
    /// Reads a decrypted body, at the door or again from the store.
    ///
    /// # Errors
    /// [`NotACallback`] for anything but an event of schema 2.0 or 1.0 with a type and an id. Who sent it is not
    /// checked here: that is [`super::envelope::Door::enter`].
    pub fn parse(body: &[u8]) -> Result<Self, NotACallback> {
        let body: Value = serde_json::from_slice(body).map_err(|_| NotACallback)?;
        Self::from_value(&body)
    }

    /// The same for a body that is JSON already.
    pub(super) fn from_value(body: &Value) -> Result<Self, NotACallback> {
        if text(body, "/schema") == Some("2.0") { Self::from_schema_2(body) } else { Self::from_schema_1(body) }
    }

    fn from_schema_2(body: &Value) -> Result<Self, NotACallback> {
        let event_type = text(body, "/header/event_type").filter(|name| !name.is_empty()).ok_or(NotACallback)?;
        let event_id = text(body, "/header/event_id").filter(|id| !id.is_empty()).ok_or(NotACallback)?;
        let event = body.get("event").unwrap_or(&Value::Null);
        let kind = match event_type {
            "im.message.receive_v1" => message(event).map(EventKind::Message),
            "card.action.trigger" => card_action(event).map(EventKind::CardAction),
            "auth.user_access_token.revoked_v4" => Some(token_revoked(event)),
            "im.message.recalled_v1" => {
                id(event, "/message_id", MessageId::new).map(|message_id| EventKind::MessageRecalled { message_id })
            }
            "application.bot.menu_v6" => id(event, "/operator/operator_id/open_id", OpenId::new)
                .map(|person| EventKind::Menu { person, key: text_or_empty(event, "/event_key") }),
            "im.chat.access_event.bot_p2p_chat_entered_v1" => {
                id(event, "/operator_id/open_id", OpenId::new).map(|person| EventKind::Entered { person })
            }
            _ => None,
        }
        .unwrap_or(EventKind::Unknown);
        let key = match &kind {
            EventKind::Message(message) => EventKey::of_message(&message.message_id, message.created_at),
            EventKind::MessageRecalled { message_id } => EventKey::of_recall(message_id),
            EventKind::CardAction(_)
            | EventKind::TokenRevoked { .. }
            | EventKind::Menu { .. }
            | EventKind::Entered { .. }
            | EventKind::Unknown => EventKey(format!("e:{event_id}")),
        };
        Ok(Self {
            key,
            event_type: event_type.to_owned(),
            tenant_key: text(body, "/header/tenant_key").map(str::to_owned),
            created_at: text(body, "/header/create_time").and_then(moment),
            kind,
        })
    }

    /// The old schema. None of its events concerns us, but each deserves its acknowledgement.
    fn from_schema_1(body: &Value) -> Result<Self, NotACallback> {
        if text(body, "/type") != Some("event_callback") {
            return Err(NotACallback);
        }
        let event_type = text(body, "/event/type").filter(|name| !name.is_empty()).ok_or(NotACallback)?;
        let uuid = text(body, "/uuid").filter(|id| !id.is_empty()).ok_or(NotACallback)?;
        // `ts` reads `1502199207.7171419`: seconds and a fraction.
        let seconds = text(body, "/ts").and_then(|ts| ts.split('.').next());
        Ok(Self {
            key: EventKey(format!("e:{uuid}")),
            event_type: event_type.to_owned(),
            tenant_key: text(body, "/event/tenant_key").map(str::to_owned),
            created_at: seconds.and_then(moment),
            kind: EventKind::Unknown,
        })
    }
}

fn message(event: &Value) -> Option<MessageReceived> {
    let message = event.get("message")?;
    Some(MessageReceived {
        message_id: id(message, "/message_id", MessageId::new)?,
        chat_id: id(message, "/chat_id", ChatId::new)?,
        chat: match stated(message, "/chat_type") {
            None | Some("p2p") => ChatKind::OneToOne,
            Some(_) => ChatKind::Group,
        },
        sender: id(event, "/sender/sender_id/open_id", OpenId::new)?,
        sender_is_user: stated(event, "/sender/sender_type").is_none_or(|kind| kind == "user"),
        tenant_key: text(event, "/sender/tenant_key").map(str::to_owned),
        created_at: text(message, "/create_time").and_then(moment),
        parent_id: id(message, "/parent_id", MessageId::new),
        mentions: content::mentions(message),
        said: said(message),
    })
}

/// A field that says something: these two are optional on the wire, and a person who gets no answer is worse off than
/// one whose message is read for what it most likely is. Who the sender is, the open_id says, and the roles hang on it.
fn stated<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    text(object, pointer).filter(|said| !said.is_empty())
}

/// The content is JSON in a string: parsed a second time, by [`content`].
fn said(message: &Value) -> MessageBody {
    let message_type = text_or_empty(message, "/message_type");
    let content = text(message, "/content").unwrap_or_default();
    if content.trim().is_empty() {
        return MessageBody::Empty;
    }
    match content::body(&message_type, content) {
        Some(body) => MessageBody::Said(body),
        None => MessageBody::Other { message_type },
    }
}

fn card_action(event: &Value) -> Option<CardAction> {
    Some(CardAction {
        operator: id(event, "/operator/open_id", OpenId::new)?,
        open_message_id: id(event, "/context/open_message_id", MessageId::new),
        open_chat_id: id(event, "/context/open_chat_id", ChatId::new),
        value: object(event, "/action/value"),
        tag: text_or_empty(event, "/action/tag"),
        name: text(event, "/action/name").map(str::to_owned),
        option: text(event, "/action/option").map(str::to_owned),
        input_value: text(event, "/action/input_value").map(str::to_owned),
        form_value: object(event, "/action/form_value"),
    })
}

/// `revoke_token_type` names one or both tokens, split by blanks; the documentation even shows a trailing one.
/// Names neither: then both are gone for us, since using a dead token costs more than a new sign-in.
fn token_revoked(event: &Value) -> EventKind {
    let named: Vec<&str> = text(event, "/revoke_token_type").unwrap_or_default().split_whitespace().collect();
    let access = named.contains(&"user_access_token");
    let refresh = named.contains(&"refresh_token");
    let neither = !access && !refresh;
    EventKind::TokenRevoked {
        open_id: id(event, "/open_id", OpenId::new),
        access: access || neither,
        refresh: refresh || neither,
    }
}

#[cfg(test)]
#[path = "tests/event.rs"]
mod tests;
