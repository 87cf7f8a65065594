//! What the platform pushes, before it is sent: the events' JSON, sealed and signed, and what a forger makes of them.

use serde_json::{Map, Value, json};

use super::cards;
use super::draft::Draft;
use super::record::PushKind;
use super::seal;
use super::world::{Author, Message, World};

/// One event or callback, in plain text.
#[derive(Clone, Debug)]
pub struct Event {
    pub kind: PushKind,
    pub event_id: String,
    pub event_type: String,
    /// The whole JSON, header included.
    pub body: Value,
}

impl Event {
    /// The same event under a new `event_id`: how the platform repeats a message.
    pub fn with_event_id(mut self, event_id: &str) -> Event {
        self.event_id = event_id.into();
        self.body["header"]["event_id"] = event_id.into();
        self
    }

    /// The same words under another `message_id` as well: what one project saw after a reconnect.
    pub fn with_message_id(mut self, message_id: &str) -> Event {
        self.body["event"]["message"]["message_id"] = message_id.into();
        self
    }
}

/// A request ready to be posted, headers and all. Everything may be changed first.
#[derive(Clone, Debug)]
pub struct RawPush {
    /// `/feishu/event` or `/feishu/card`.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl RawPush {
    /// Any bytes, with the platform's content type and nothing else.
    pub fn of(body: impl Into<Vec<u8>>) -> RawPush {
        RawPush { path: "/feishu/event".into(), headers: vec![content_type()], body: body.into() }
    }

    /// Sets a header, replacing it where it is there.
    pub fn header(mut self, name: &str, value: &str) -> RawPush {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A header's value; empty where it is not there.
    pub fn get(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

fn content_type() -> (String, String) {
    ("Content-Type".into(), "application/json;charset=utf-8".into())
}

/// What a forger changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forge {
    /// One byte of the sealed text.
    Body,
    Timestamp,
    Nonce,
    Signature,
    /// Sealed and signed rightly, with another verification token inside.
    Token,
    AppId,
    TenantKey,
    /// Signed rightly, padded wrongly.
    Padding,
    /// Sealed, without the three headers.
    Unsigned,
    /// Signed by HMAC-SHA256, which the platform does not use.
    Hmac,
    /// Forty hex digits, as the old card callback's SHA-1 had.
    Sha1,
    /// The plain JSON, signed as if that were the body.
    PlainText,
    /// Signed long before the window.
    Ancient,
}

impl World {
    /// Wraps the inner part of an event into its envelope.
    pub fn event(&mut self, kind: PushKind, event_type: &str, inner: Value) -> Event {
        let event_id = self.fresh_id("");
        let micros = if kind == PushKind::Callback { "000" } else { "" };
        let header = json!({"event_id": event_id, "event_type": event_type, "create_time": format!("{}{micros}", self.now()),
            "token": self.app.verification_token, "app_id": self.app.app_id, "tenant_key": self.app.tenant_key});
        let mut body = json!({"schema": "2.0", "header": header, "event": inner});
        if self.chance(2) {
            body["future_field"] = json!({"nobody": "knows"});
        }
        Event { kind, event_id, event_type: event_type.into(), body }
    }

    /// The three ids of a person, `user_id` by chance.
    pub fn ids_of(&mut self, open_id: &str) -> Value {
        let with_user_id = self.chance(2);
        let person = self.employee(open_id);
        let mut ids = json!({"union_id": person.union_id, "open_id": person.open_id});
        if with_user_id {
            ids["user_id"] = person.user_id.clone().into();
        }
        ids
    }

    /// A person writes into a chat: [`World::put`] for what needs no more than this.
    pub fn message_event(
        &mut self,
        open_id: &str,
        chat_id: &str,
        msg_type: &str,
        content: &Value,
        mentions: &[&str],
        parent: Option<&str>,
    ) -> Event {
        let mut draft = Draft::new(msg_type, content.clone()).mentioning(mentions);
        draft.parent = parent.map(str::to_owned);
        self.put(open_id, chat_id, draft)
    }

    /// A person sends a draft into a chat: the message is there from now on, and this is its event.
    pub fn put(&mut self, open_id: &str, chat_id: &str, draft: Draft) -> Event {
        let Draft { msg_type, content, mentions, parent, attachments } = draft;
        let (text, list) = self.with_mentions(&content.to_string(), &mentions);
        let content: Value = serde_json::from_str(&text).expect("keys hold nothing that JSON would have to escape");
        // Nobody is pushed a card as it was sent; that comes by GET, to who asks for it.
        let told = if msg_type == "interactive" { cards::simplified(&content).to_string() } else { text };
        let message_id = self.fresh_id("om_");
        let now = self.now();
        self.messages.push(Message {
            message_id: message_id.clone(),
            chat_id: chat_id.into(),
            author: Author::Person(open_id.into()),
            msg_type: msg_type.clone(),
            content,
            mentions: list.clone(),
            parent_id: parent.clone(),
            created_ms: now,
            updated_ms: now,
            edits: 0,
            deleted: false,
            newest_version: 0,
            history: vec![],
            attachments,
        });
        let mut message = json!({"message_id": message_id, "create_time": now.to_string(), "update_time": now.to_string(),
            "chat_id": chat_id, "chat_type": if self.p2p.contains_key(chat_id) { "p2p" } else { "group" },
            "message_type": msg_type, "content": told});
        if let Some(parent) = parent {
            message["root_id"] = self.root_of(&parent).into();
            message["parent_id"] = parent.into();
        }
        if list.as_array().is_some_and(|l| !l.is_empty()) || self.chance(3) {
            message["mentions"] = list;
        }
        if self.chance(2) {
            message["user_agent"] = "Mozilla/5.0 Lark/7.40".into();
        }
        let sender =
            json!({"sender_id": self.ids_of(open_id), "sender_type": "user", "tenant_key": self.app.tenant_key});
        self.event(PushKind::Event, "im.message.receive_v1", json!({"sender": sender, "message": message}))
    }

    /// Replaces `@name` by `@_user_N`, and describes each.
    fn with_mentions(&mut self, text: &str, names: &[String]) -> (String, Value) {
        let mut text = text.to_owned();
        let mut list = vec![];
        for (index, name) in names.iter().enumerate() {
            let key = format!("@_user_{}", index + 1);
            text = text.replacen(&format!("@{name}"), &key, 1);
            let bot = *name == self.company.bot_name;
            let id = if bot {
                json!({"open_id": self.app.bot_open_id, "union_id": "on_b07"})
            } else {
                let open_id = self.company.named(name).open_id.clone();
                self.ids_of(&open_id)
            };
            let mut mention = json!({"key": key, "id": id, "name": name, "tenant_key": self.app.tenant_key});
            if self.chance(2) {
                mention["mentioned_type"] = if bot { "bot".into() } else { "user".into() };
            }
            list.push(mention);
        }
        (text, Value::Array(list))
    }

    /// `card.action.trigger` of a person on a message; `action` is the `action` object of the callback.
    pub fn press_event(&mut self, open_id: &str, message_id: &str, chat_id: &str, action: Value) -> Event {
        let mut operator = self.ids_of(open_id);
        operator["tenant_key"] = self.app.tenant_key.clone().into();
        let token = self.fresh_id("c-");
        self.card_tokens.insert(token.clone(), (message_id.to_owned(), self.now(), 0));
        let mut inner = json!({"operator": operator, "token": token, "action": action, "host": "im_message",
            "context": {"open_message_id": message_id, "open_chat_id": chat_id}});
        if self.chance(2) {
            inner["delivery_type"] = "url_preview".into();
        }
        self.event(PushKind::Callback, "card.action.trigger", inner)
    }

    /// Seals and signs an event as it goes over the wire now.
    pub fn seal(&self, event: &Event) -> RawPush {
        let plain = event.body.to_string();
        let path = if event.kind == PushKind::Callback { "/feishu/card" } else { "/feishu/event" };
        let raw = match &self.app.encrypt_key {
            Some(key) => {
                let sealed = seal::encrypt(key, seal::random_iv(), plain.as_bytes());
                self.signed(json!({"encrypt": sealed}).to_string())
            }
            None => RawPush::of(plain),
        };
        RawPush { path: path.into(), ..raw }
    }

    /// A body with the three headers over it.
    fn signed(&self, body: String) -> RawPush {
        let timestamp = (self.now() / 1000).to_string();
        let nonce = hex::encode(seal::random_iv());
        let key = self.app.encrypt_key.clone().unwrap_or_default();
        let signature = seal::sign(&timestamp, &nonce, &key, body.as_bytes());
        RawPush::of(body)
            .header("X-Lark-Request-Timestamp", &timestamp)
            .header("X-Lark-Request-Nonce", &nonce)
            .header("X-Lark-Signature", &signature)
            .header("User-Agent", "Go-http-client/1.1")
    }

    /// The URL challenge: never signed; sealed where there is a key and `sealed` asks for it.
    pub fn challenge(&self, challenge: &str, token: &str, sealed: bool) -> RawPush {
        let plain = json!({"challenge": challenge, "token": token, "type": "url_verification"}).to_string();
        match &self.app.encrypt_key {
            Some(key) if sealed => {
                RawPush::of(json!({"encrypt": seal::encrypt(key, seal::random_iv(), plain.as_bytes())}).to_string())
            }
            _ => RawPush::of(plain),
        }
    }

    /// The event as a forger would send it.
    pub fn forge(&self, event: &Event, forge: Forge) -> RawPush {
        let key = self.app.encrypt_key.clone().unwrap_or_default();
        let changed = |path: &str, value: &str| {
            let mut other = event.clone();
            other.body["header"][path] = value.into();
            self.seal(&other)
        };
        let mut raw = self.seal(event);
        let (timestamp, nonce) = (raw.get("X-Lark-Request-Timestamp"), raw.get("X-Lark-Request-Nonce"));
        match forge {
            Forge::Body => {
                let middle = raw.body.len() / 2;
                raw.body[middle] = if raw.body[middle] == b'A' { b'B' } else { b'A' };
                raw
            }
            Forge::Timestamp => raw.header("X-Lark-Request-Timestamp", &format!("{timestamp}1")),
            Forge::Nonce => raw.header("X-Lark-Request-Nonce", "another"),
            Forge::Signature => raw.header("X-Lark-Signature", &"0".repeat(64)),
            Forge::Token => changed("token", "vt-of-somebody-else"),
            Forge::AppId => changed("app_id", "cli_of_somebody_else"),
            Forge::TenantKey => changed("tenant_key", "tenant-of-somebody-else"),
            Forge::Padding => {
                let mut plain = event.body.to_string().into_bytes();
                plain.resize(plain.len().next_multiple_of(16) + 16, 0);
                let path = raw.path.clone();
                let sealed = seal::encrypt_padded(&key, seal::random_iv(), &plain);
                RawPush { path, ..self.signed(json!({"encrypt": sealed}).to_string()) }
            }
            Forge::Unsigned => {
                raw.headers.retain(|(name, _)| !name.starts_with("X-Lark"));
                raw
            }
            Forge::Hmac => {
                let message = [timestamp.as_bytes(), nonce.as_bytes(), &raw.body].concat();
                let signature = seal::hmac_sha256_hex(key.as_bytes(), &message);
                raw.header("X-Lark-Signature", &signature)
            }
            Forge::Sha1 => {
                let signature = seal::sha256_hex(&raw.body)[..40].to_owned();
                raw.header("X-Lark-Signature", &signature)
            }
            Forge::PlainText => RawPush { path: raw.path.clone(), ..self.signed(event.body.to_string()) },
            Forge::Ancient => {
                let timestamp = (self.now() / 1000 - 30 * 3600).to_string();
                let signature = seal::sign(&timestamp, &nonce, &key, &raw.body);
                raw.header("X-Lark-Request-Timestamp", &timestamp).header("X-Lark-Signature", &signature)
            }
        }
    }
}

/// An event for the log: the same JSON with the verification token masked.
pub fn for_the_log(event: &Event) -> Value {
    let mut seen = event.body.clone();
    if let Some(header) = seen.get_mut("header").and_then(Value::as_object_mut) {
        mask(header);
    }
    seen
}

fn mask(header: &mut Map<String, Value>) {
    header.insert("token".into(), "***".into());
}
