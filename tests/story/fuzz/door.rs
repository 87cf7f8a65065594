//! The seal, the door and the events behind it. What the sandbox knows of seals is written without the bot's code, and
//! is asked for a second opinion on every input.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use feishu_broadcast::domain::ids::Timestamp;
use feishu_broadcast::domain::keys::Rotating;
use feishu_broadcast::domain::language::Language;
use feishu_broadcast::feishu::crypto;
use feishu_broadcast::feishu::envelope::{AHEAD_MAX, Door, Headers, OLD_MAX, Push};
use feishu_broadcast::feishu::event::{Event, EventKey, EventKind};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::mutate::{self, pick};
use super::{Read, fuzz, promise};
use crate::kill::Dice;
use crate::sandbox::seal;

const KEY: &str = "密钥-key";
const TOKEN: &str = "vt-0001";
const APP: &str = "cli_1";
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn header(event_type: &str) -> Value {
    json!({"event_id": "ev-1", "event_type": event_type, "create_time": "1700000000123", "token": TOKEN, "app_id": APP,
        "tenant_key": "tk-1"})
}

fn message(message_type: &str, content: &Value, mentions: &Value) -> Value {
    json!({"schema": "2.0", "header": header("im.message.receive_v1"), "event": {
        "sender": {"sender_id": {"open_id": "ou_1", "union_id": "on_1"}, "sender_type": "user", "tenant_key": "tk-1"},
        "message": {"message_id": "om_1", "chat_id": "oc_1", "chat_type": "p2p", "message_type": message_type,
            "create_time": "1700000000100", "parent_id": "om_0", "content": content.to_string(), "mentions": mentions}}})
}

/// One push of every kind that the bot knows.
fn pushes() -> &'static [Value] {
    static PUSHES: LazyLock<Vec<Value>> = LazyLock::new(all_pushes);
    &PUSHES
}

fn all_pushes() -> Vec<Value> {
    let mentions =
        json!([{"key": "@_user_1", "name": "张三", "id": {"open_id": "ou_2", "union_id": "on_2", "user_id": "u2"}}]);
    let post = json!({"title": "通知", "content": [[{"tag": "text", "text": "/群发 销售部 "}, {"tag": "at", "user_id": "@_user_1", "user_name": "张三"},
        {"tag": "a", "text": "这里", "href": "https://a.cn"}, {"tag": "img", "image_key": "img_1"}, {"tag": "emotion", "emoji_type": "OK"}],
        [{"tag": "hr"}, {"tag": "code_block", "language": "RUST", "text": "fn"}, {"tag": "media", "file_key": "f", "image_key": "i"}]]});
    vec![
        message("text", &json!({"text": "/broadcast @_user_1,销售部 周五三点"}), &mentions),
        message("post", &post, &mentions),
        message("post", &json!({"zh_cn": post}), &json!([])),
        message("image", &json!({"image_key": "img_1"}), &Value::Null),
        press(&json!({"action": "approve", "broadcast": "K7M2QX", "version": 1})),
        json!({"schema": "2.0", "header": header("im.message.recalled_v1"), "event": {"message_id": "om_1"}}),
        json!({"schema": "2.0", "header": header("auth.user_access_token.revoked_v4"),
            "event": {"open_id": "ou_1", "revoke_token_type": "user_access_token refresh_token "}}),
        json!({"uuid": "u-1", "ts": "1502199207.7171419", "token": TOKEN, "type": "event_callback",
            "event": {"type": "p2p_chat_create", "app_id": APP, "tenant_key": "tk-1"}}),
        json!({"challenge": "c-1", "token": TOKEN, "type": "url_verification"}),
        json!({"open_message_id": "om_1", "open_id": "ou_1", "token": "c-1", "action": {"value": {}, "tag": "button"}}),
    ]
}

/// A press with everything that a press may carry.
pub(super) fn press(value: &Value) -> Value {
    json!({"schema": "2.0", "header": header("card.action.trigger"), "event": {
        "operator": {"open_id": "ou_1", "union_id": "on_1", "tenant_key": "tk-1"}, "token": "c-1", "host": "im_message",
        "action": {"value": value, "tag": "button", "name": "b", "option": "od-1", "input_value": "理由",
            "form_value": {"reason": "不合适"}},
        "context": {"open_message_id": "om_2", "open_chat_id": "oc_1"}}})
}

fn spoilt(dice: &mut Dice) -> Vec<u8> {
    let (valid, other) = (pick(dice, pushes()), pick(dice, pushes()));
    match dice.throw(8) {
        0 => mutate::noise(dice),
        1 | 2 => mutate::bytes(dice, valid.to_string().as_bytes(), other.to_string().as_bytes()),
        _ => mutate::json(dice, &valid, &other).into_bytes(),
    }
}

#[test]
fn a_seal_opens_for_the_bot_what_it_opens_for_anybody() {
    fuzz("seal", 4000, 2_000_000, |dice| {
        let key = SecretString::from(if dice.throw(9) == 0 { "another" } else { KEY });
        let plain = if dice.throw(2) == 0 { mutate::noise(dice) } else { spoilt(dice) };
        let sealed = seal::encrypt(KEY, iv(dice), &plain);
        let text = match dice.throw(4) {
            0 => sealed.clone(),
            1 => {
                let bytes = STANDARD.decode(&sealed).expect("it was just encoded");
                STANDARD.encode(mutate::bytes(dice, &bytes, &plain))
            }
            2 => mutate::text(dice, &sealed, "=+/-_ \n"),
            _ => String::from_utf8_lossy(&mutate::bytes(dice, sealed.as_bytes(), b"===")).into_owned(),
        };
        let opened = crypto::open(&key, &text).ok();
        let second = seal::decrypt(if key_is_ours(&key) { KEY } else { "another" }, &text);
        promise(opened == second, || format!("{text}: {opened:?} and not {second:?}"))?;
        if text == sealed && key_is_ours(&key) {
            promise(opened.as_deref() == Some(plain.as_slice()), || format!("{sealed} does not open again"))?;
        }
        let (timestamp, nonce) = (mutate::text(dice, "1700000000", "9"), mutate::text(dice, "nonce-1", "x"));
        let right = seal::sign(&timestamp, &nonce, KEY, &plain);
        let presented =
            if dice.throw(2) == 0 { right.clone() } else { mutate::text(dice, &right, "0123456789abcdefABCDEF") };
        let ours = SecretString::from(KEY);
        let matches = crypto::signature_matches(&timestamp, &nonce, &ours, &plain, &presented);
        promise(matches == presented.eq_ignore_ascii_case(&right), || format!("{presented} for {right}: {matches}"))?;
        Ok(read(opened.is_some()))
    });
}

fn read(understood: bool) -> Read {
    if understood { Read::Understood } else { Read::Refused }
}

fn key_is_ours(key: &SecretString) -> bool {
    crypto::same_secret(key, KEY)
}

fn iv(dice: &mut Dice) -> [u8; 16] {
    std::array::from_fn(|_| u8::try_from(dice.throw(256)).expect("a byte"))
}

/// A push as it goes over the wire.
#[derive(Clone, PartialEq)]
struct Wire {
    timestamp: Option<String>,
    nonce: Option<String>,
    signature: Option<String>,
    body: Vec<u8>,
}

impl Wire {
    fn genuine(dice: &mut Dice, plain: &[u8]) -> Self {
        let body = json!({"encrypt": seal::encrypt(KEY, iv(dice), plain)}).to_string().into_bytes();
        let timestamp = (NOW.0 / 1000 - 5).to_string();
        let signature = seal::sign(&timestamp, "nonce-1", KEY, &body);
        Self { timestamp: Some(timestamp), nonce: Some("nonce-1".into()), signature: Some(signature), body }
    }

    fn headers(&self) -> Headers<'_> {
        Headers {
            timestamp: self.timestamp.as_deref(),
            nonce: self.nonce.as_deref(),
            signature: self.signature.as_deref(),
        }
    }

    /// Whether these headers are the platform's own over this very body.
    fn is_signed(&self) -> bool {
        let (Some(timestamp), Some(nonce), Some(signature)) = (&self.timestamp, &self.nonce, &self.signature) else {
            return false;
        };
        seal::sign(timestamp, nonce, KEY, &self.body).eq_ignore_ascii_case(signature)
    }
}

fn door(key: Option<&str>) -> Door {
    Door {
        app_id: APP.into(),
        verification_token: Rotating::only(TOKEN.into()),
        encrypt_key: key.map(|key| Rotating::only(key.into())),
    }
}

fn token_of(inner: &Value) -> Option<&str> {
    inner.pointer("/header/token").or_else(|| inner.get("token")).and_then(Value::as_str)
}

#[test]
fn nothing_forged_comes_through_the_door() {
    fuzz("envelope", 2000, 1_000_000, |dice| {
        let valid = pick(dice, pushes());
        let genuine = Wire::genuine(dice, valid.to_string().as_bytes());
        let let_in = door(Some(KEY)).enter(&genuine.headers(), &genuine.body, NOW);
        promise(let_in.is_ok(), || format!("{valid} is turned away: {let_in:?}"))?;

        // Something on the wire is changed, by somebody who has no key.
        let mut forged = genuine.clone();
        let change = |dice: &mut Dice, header: &mut Option<String>| {
            *header = header.take().filter(|_| dice.throw(4) > 0).map(|text| mutate::text(dice, &text, "0"));
        };
        match dice.throw(6) {
            0 => change(dice, &mut forged.timestamp),
            1 => change(dice, &mut forged.nonce),
            2 => change(dice, &mut forged.signature),
            3 => {
                let plain = spoilt(dice);
                forged.body = Wire::genuine(dice, &plain).body;
            }
            4 => {
                let sealed = json!({"encrypt": seal::encrypt(KEY, iv(dice), b"{}")});
                forged.body = mutate::json(dice, &sealed, &valid).into_bytes();
            }
            _ => forged.body = mutate::bytes(dice, &genuine.body, &genuine.body),
        }
        let let_in = door(Some(KEY)).enter(&forged.headers(), &forged.body, NOW);
        let unsigned_challenge = forged.signature.is_none() && matches!(let_in, Ok(Push::Challenge(_)));
        promise(let_in.is_err() || forged.is_signed() || unsigned_challenge, || {
            format!("forged and let in: {}", String::from_utf8_lossy(&forged.body))
        })?;
        let elsewhere = door(Some("another")).enter(&genuine.headers(), &genuine.body, NOW);
        promise(elsewhere.is_err(), || "opened with another key".to_owned())?;

        // Whatever has the platform's seal on it still needs the token and the app.
        let inner = spoilt(dice);
        let sealed = Wire::genuine(dice, &inner);
        let read = believed(&door(Some(KEY)), &sealed, &inner)?;
        believed(&door(None), &Wire { body: inner.clone(), ..sealed }, &inner)?;

        // Old is old, in whatever unit it is written.
        let offset = i64::try_from(dice.throw(400_000)).expect("small") - 200_000;
        let mut dated = genuine.clone();
        let seconds = NOW.0 / 1000 + offset;
        dated.timestamp = Some(if dice.throw(2) == 0 { seconds.to_string() } else { (seconds * 1000).to_string() });
        dated.signature = dated.timestamp.as_ref().map(|timestamp| seal::sign(timestamp, "nonce-1", KEY, &dated.body));
        let within =
            -i64::try_from(OLD_MAX.as_secs()).expect("a day")..=i64::try_from(AHEAD_MAX.as_secs()).expect("minutes");
        let let_in = door(Some(KEY)).enter(&dated.headers(), &dated.body, NOW);
        promise(let_in.is_ok() == within.contains(&offset), || format!("{offset} s off: {let_in:?}"))?;
        Ok(read)
    });
}

fn believed(door: &Door, wire: &Wire, inner: &[u8]) -> Result<Read, String> {
    let Ok(push) = door.enter(&wire.headers(), &wire.body, NOW) else { return Ok(Read::Refused) };
    let value: Value = serde_json::from_slice(inner).map_err(|_| "let in, and is no JSON".to_owned())?;
    let told = || format!("{push:?} of {value}");
    match &push {
        Push::OldCardCallback => {}
        Push::Challenge(_) => promise(token_of(&value) == Some(TOKEN), told)?,
        Push::Event { event, body, .. } => {
            promise(token_of(&value) == Some(TOKEN), told)?;
            promise(Event::parse(body).as_ref() == Ok(&**event), told)?;
            promise(body == inner, told)?;
        }
    }
    Ok(Read::Understood)
}

#[test]
fn an_event_is_read_or_refused() {
    fuzz("event", 4000, 3_000_000, |dice| {
        let body = spoilt(dice);
        let Ok(event) = Event::parse(&body) else { return Ok(Read::Refused) };
        let told = || format!("{event:?} of {}", String::from_utf8_lossy(&body));
        promise(Event::parse(&body).as_ref() == Ok(&event), told)?;
        promise(
            ["m:", "r:", "e:"].iter().any(|kind| event.key.as_str().len() > 2 && event.key.as_str().starts_with(kind)),
            told,
        )?;
        match &event.kind {
            EventKind::Message(message) => {
                let (id, sent) = (&message.message_id, message.created_at.map(|at| format!("{:013}:", at.0)));
                promise(event.key.as_str() == format!("m:{}{id}", sent.unwrap_or_default()), told)?;
                promise(EventKey::is_of_message(event.key.as_str(), id), told)?;
                let plain = message.plain();
                promise(!plain.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')), told)?;
                let _language = Language::of(&plain);
            }
            EventKind::CardAction(pressed) => {
                promise(!pressed.operator.as_str().chars().any(char::is_whitespace), told)?;
            }
            EventKind::TokenRevoked { access, refresh, .. } => promise(*access || *refresh, told)?,
            EventKind::MessageRecalled { message_id } => {
                promise(event.key.as_str() == format!("r:{message_id}"), told)?;
            }
            EventKind::Menu { .. } | EventKind::Entered { .. } | EventKind::Unknown => {}
        }
        Ok(Read::Understood)
    });
}
