//! The door: bytes and three headers in, a push we may believe out.
//!
//! The order of the checks matters and is fixed: signature over the raw bytes, then opening, then the token, then the
//! app. A URL challenge alone comes unsigned, even where an Encrypt Key is set, so an unsigned body is opened too, but
//! nothing except a challenge with the right token gets any further. What cannot be opened, is no JSON or has no known
//! shape is one and the same refusal, so that nobody learns from our answers how to forge. Absent means wrong.
//! Source: "Send notifications to developer's server" and "Receive and handle callbacks" of the subscription guide.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::crypto::{open, same_secret, signature_matches};
use super::event::{Event, NotACallback};
use super::wire::{moment, text};
use crate::domain::ids::Timestamp;

/// How old a push may be. Feishu pushes again for about seven hours and does not say whether it signs anew; what is
/// older than this has left the memory of seen events long before it could be played back.
pub const OLD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How far ahead of our clock a push may be.
pub const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// What a genuine push must agree with.
#[derive(Debug, Clone)]
pub struct Door {
    pub app_id: String,
    pub verification_token: SecretString,
    /// `None` only where the operator expressly allows plain text; then the token is all there is to check.
    pub encrypt_key: Option<SecretString>,
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
    Event { event: Box<Event>, body: Vec<u8> },
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
        let Some(key) = &self.encrypt_key else {
            return self.believe(outer, body.to_vec());
        };
        let Some(sealed) = text(&outer, "/encrypt").filter(|sealed| !sealed.is_empty()) else {
            return Err(Refused::Plaintext { old_card_callback: shape(&outer) == Some(Shape::OldCard) });
        };
        let signed = check_signature(headers, key, body, now)?;
        let plain = open(key, sealed).map_err(|_| Refused::NotACallback)?;
        let inner: Value = serde_json::from_slice(&plain).map_err(|_| Refused::NotACallback)?;
        match shape(&inner).ok_or(Refused::NotACallback)? {
            Shape::Challenge => {}
            Shape::Schema2 | Shape::Schema1 | Shape::OldCard => {
                if !signed {
                    return Err(Refused::Unauthorized(Distrust::Unsigned));
                }
            }
        }
        self.believe(inner, plain)
    }

    /// Token and app; from here on the body counts as opened.
    fn believe(&self, body: Value, plain: Vec<u8>) -> Result<Push, Refused> {
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
        self.check_token(token)?;
        if app_id.is_some_and(|app_id| app_id != Some(self.app_id.as_str())) {
            return Err(Refused::Unauthorized(Distrust::App));
        }
        Ok(Push::Event { event: Box::new(Event::from_value(&body)?), body: plain })
    }

    /// The token that every push carries, for a push of our own.
    pub(super) fn token(&self) -> &str {
        self.verification_token.expose_secret()
    }

    fn check_token(&self, presented: Option<&str>) -> Result<(), Refused> {
        if presented.is_some_and(|token| same_secret(&self.verification_token, token)) {
            Ok(())
        } else {
            Err(Refused::Unauthorized(Distrust::Token))
        }
    }
}

/// True if signed, false if there is no signature header at all.
fn check_signature(headers: &Headers<'_>, key: &SecretString, body: &[u8], now: Timestamp) -> Result<bool, Refused> {
    let Some(signature) = headers.signature else {
        return Ok(false);
    };
    let (Some(timestamp), Some(nonce)) = (headers.timestamp, headers.nonce) else {
        return Err(Refused::Unauthorized(Distrust::HalfSigned));
    };
    if !signature_matches(timestamp, nonce, key, body, signature) {
        return Err(Refused::Unauthorized(Distrust::Signature));
    }
    // The unit is not documented; a number we cannot date is not held against a push that is signed.
    if let Some(sent) = moment(timestamp)
        && (now.since(sent) > OLD_MAX || sent.since(now) > AHEAD_MAX)
    {
        return Err(Refused::Unauthorized(Distrust::Window));
    }
    Ok(true)
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
