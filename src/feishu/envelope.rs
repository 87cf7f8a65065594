//! The door: bytes and three headers in, a push we may believe out.
//!
//! The order of the checks matters and is fixed: signature over the raw bytes, then opening, then the token, then the
//! app. A URL challenge alone comes unsigned, even where an Encrypt Key is set, so an unsigned body is opened too, but
//! nothing except a challenge with the right token gets any further. What cannot be opened, is no JSON or has no known
//! shape is one and the same refusal, so that nobody learns from our answers how to forge. Absent means wrong.
//! While a key is being changed its previous value does as well as the present one. Either key goes with either token,
//! since they are changed one by one; but what is signed with one key is opened with that very key and no other.
//! Source: "Send notifications to developer's server" and "Receive and handle callbacks" of the subscription guide.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::crypto::{open, same_secret, signature_matches};
use super::event::{Event, NotACallback};
use super::wire::{moment, text};
use crate::domain::ids::Timestamp;
use crate::domain::keys::{Generation, Rotating};

/// How old a push may be. Feishu pushes again for about seven hours and does not say whether it signs anew; what is
/// older than this has left the memory of seen events long before it could be played back.
pub const OLD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How far ahead of our clock a push may be.
pub const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// What a genuine push must agree with.
#[derive(Debug, Clone)]
pub struct Door {
    pub app_id: String,
    pub verification_token: Rotating<SecretString>,
    /// `None` only where the operator expressly allows plain text; then the token is all there is to check.
    pub encrypt_key: Option<Rotating<SecretString>>,
}

/// Under which of their values a push was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Under {
    /// `None` where nothing is encrypted.
    pub encrypt_key: Option<Generation>,
    pub verification_token: Generation,
}

/// The three headers, each the first of its name as received.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `X-Lark-Request-Timestamp`
    pub timestamp: Option<&'a str>,
    /// `X-Lark-Request-Nonce`
    pub nonce: Option<&'a str>,
    /// `X-Lark-Signature`
    pub signature: Option<&'a str>,
}

/// A push that is genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// The console asks whether we are who we say: answer `{"challenge": this}` within a second.
    Challenge(String),
    /// Store `body` under `event.key`, then answer 200. `body` is the opened JSON, which [`Event::parse`] reads again.
    Event { event: Box<Event>, body: Vec<u8>, under: Under },
    /// A press sent the old way: answer 200 `{}`, do nothing, and tell the operator to remove the old card callback.
    OldCardCallback,
}

/// Why a push was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// 400
    #[error("not a Feishu callback")]
    NotACallback,
    /// 400: an Encrypt Key is set, so nothing comes in plain text.
    #[error("plain text although an Encrypt Key is set")]
    Plaintext {
        /// The body has the shape of the old card callback, which is never encrypted: worth a line to the operator.
        old_card_callback: bool,
    },
    /// 401. The reason is for our log and metric alone.
    #[error("not from Feishu: {0}")]
    Unauthorized(Distrust),
}

/// What was wrong with a push that looked like one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    #[error("no signature")]
    Unsigned,
    #[error("a signature without timestamp or nonce")]
    HalfSigned,
    #[error("wrong signature")]
    Signature,
    #[error("too old or too far ahead")]
    Window,
    #[error("wrong Verification Token")]
    Token,
    #[error("another app's event")]
    App,
}

impl Refused {
    /// A short name for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotACallback => "not_a_callback",
            Self::Plaintext { .. } => "plaintext",
            Self::Unauthorized(Distrust::Unsigned) => "unsigned",
            Self::Unauthorized(Distrust::HalfSigned) => "half_signed",
            Self::Unauthorized(Distrust::Signature) => "signature",
            Self::Unauthorized(Distrust::Window) => "window",
            Self::Unauthorized(Distrust::Token) => "token",
            Self::Unauthorized(Distrust::App) => "app",
        }
    }
}

impl From<NotACallback> for Refused {
    fn from(_: NotACallback) -> Self {
        Self::NotACallback
    }
}

/// The known shapes of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Challenge,
    Schema2,
    Schema1,
    OldCard,
}

impl Door {
    /// Lets a push in, or says why not. Touches neither network nor store; `now` is the moment of receipt.
    ///
    /// # Errors
    /// [`Refused`]; nothing of it beyond the status belongs into the answer.
    pub fn enter(&self, headers: &Headers<'_>, body: &[u8], now: Timestamp) -> Result<Push, Refused> {
        let outer: Value = serde_json::from_slice(body).map_err(|_| Refused::NotACallback)?;
        if !outer.is_object() {
            return Err(Refused::NotACallback);
        }
        let Some(keys) = &self.encrypt_key else {
            return self.believe(outer, body.to_vec(), None);
        };
        let Some(sealed) = text(&outer, "/encrypt").filter(|sealed| !sealed.is_empty()) else {
            return Err(Refused::Plaintext { old_card_callback: shape(&outer) == Some(Shape::OldCard) });
        };
        let signer = check_signature(headers, keys, body, now)?;
        // What is signed with one key opens with that one alone.
        let mut may_open = keys.each().filter(|(generation, _)| signer.is_none_or(|signer| signer == *generation));
        let opened = may_open.find_map(|(generation, key)| Some((generation, opened(key, sealed)?)));
        let (generation, (shape, inner, plain)) = opened.ok_or(Refused::NotACallback)?;
        match shape {
            Shape::Challenge => {}
            Shape::Schema2 | Shape::Schema1 | Shape::OldCard => {
                if signer.is_none() {
                    return Err(Refused::Unauthorized(Distrust::Unsigned));
                }
            }
        }
        self.believe(inner, plain, Some(generation))
    }

    /// Token and app; from here on the body counts as opened.
    fn believe(&self, body: Value, plain: Vec<u8>, encrypt_key: Option<Generation>) -> Result<Push, Refused> {
        let (token, app_id) = match shape(&body).ok_or(Refused::NotACallback)? {
            Shape::OldCard => return Ok(Push::OldCardCallback),
            Shape::Challenge => {
                self.check_token(text(&body, "/token"))?;
                let challenge = text(&body, "/challenge").ok_or(Refused::NotACallback)?;
                return Ok(Push::Challenge(challenge.to_owned()));
            }
            Shape::Schema2 => (text(&body, "/header/token"), Some(text(&body, "/header/app_id"))),
            // The old schema does not always name the app.
            Shape::Schema1 => (text(&body, "/token"), body.pointer("/event/app_id").map(Value::as_str)),
        };
        let verification_token = self.check_token(token)?;
        if app_id.is_some_and(|app_id| app_id != Some(self.app_id.as_str())) {
            return Err(Refused::Unauthorized(Distrust::App));
        }
        let under = Under { encrypt_key, verification_token };
        Ok(Push::Event { event: Box::new(Event::from_value(&body)?), body: plain, under })
    }

    /// The door as it was before its keys were changed; `None` where none is being changed.
    pub fn previous(&self) -> Option<Self> {
        let before =
            |key: &Rotating<SecretString>| Rotating::only(key.previous.as_ref().unwrap_or(&key.present).clone());
        let key_changes = self.encrypt_key.as_ref().is_some_and(|key| key.previous.is_some());
        (key_changes || self.verification_token.previous.is_some()).then(|| Self {
            app_id: self.app_id.clone(),
            verification_token: before(&self.verification_token),
            encrypt_key: self.encrypt_key.as_ref().map(before),
        })
    }

    /// The token that every push carries, for a push of our own.
    pub(super) fn token(&self) -> &str {
        self.verification_token.present.expose_secret()
    }

    fn check_token(&self, presented: Option<&str>) -> Result<Generation, Refused> {
        let known = presented.and_then(|token| self.verification_token.find(|expected| same_secret(expected, token)));
        known.ok_or(Refused::Unauthorized(Distrust::Token))
    }
}

/// With which of the keys it is signed; `None` if there is no signature header at all.
fn check_signature(
    headers: &Headers<'_>,
    keys: &Rotating<SecretString>,
    body: &[u8],
    now: Timestamp,
) -> Result<Option<Generation>, Refused> {
    let Some(signature) = headers.signature else {
        return Ok(None);
    };
    let (Some(timestamp), Some(nonce)) = (headers.timestamp, headers.nonce) else {
        return Err(Refused::Unauthorized(Distrust::HalfSigned));
    };
    let signer = keys.find(|key| signature_matches(timestamp, nonce, key, body, signature));
    let signer = signer.ok_or(Refused::Unauthorized(Distrust::Signature))?;
    // The unit is not documented; a number we cannot date is not held against a push that is signed.
    if let Some(sent) = moment(timestamp)
        && (now.since(sent) > OLD_MAX || sent.since(now) > AHEAD_MAX)
    {
        return Err(Refused::Unauthorized(Distrust::Window));
    }
    Ok(Some(signer))
}

/// The JSON of a known shape that was sealed with this key, and its bytes.
fn opened(key: &SecretString, sealed: &str) -> Option<(Shape, Value, Vec<u8>)> {
    let plain = open(key, sealed).ok()?;
    let inner: Value = serde_json::from_slice(&plain).ok()?;
    Some((shape(&inner)?, inner, plain))
}

fn shape(body: &Value) -> Option<Shape> {
    if text(body, "/schema") == Some("2.0") {
        return Some(Shape::Schema2);
    }
    match text(body, "/type") {
        Some("url_verification") => Some(Shape::Challenge),
        Some("event_callback") => Some(Shape::Schema1),
        _ if body.get("open_message_id").is_some() && body.get("action").is_some() => Some(Shape::OldCard),
        _ => None,
    }
}

#[cfg(test)]
#[path = "tests/envelope.rs"]
mod tests;
