//! What went wrong with a call, and what that allows.
//!
//! [`CallError`] answers two questions: may the machine try again ([`CallError::class`]), and which code, log id and
//! scopes should a person see. `batch_send` has no idempotency key, so its failures get an answer of their own:
//! [`SendError::verdict`] says whether nothing was sent for certain. Only what proves that is `RetryAfter` or
//! `Refused`; everything else asks a person.
//!
//! Errors carry no token, no secret and no text of a message. Source of the rules: "Response body structure" of the
//! API call guide, and the error tables collected in [`super::codes`].

use std::sync::Arc;
use std::time::Duration;

use super::codes::{Call, class_of};
use crate::domain::batch::InvalidIds;

/// The longest wait a rate-limit header is believed to ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// What the machine may do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The same request again, after `after` or else after the caller's own backoff, for as long as the caller thinks it
    /// worth a try.
    Retry { after: Option<Duration> },
    /// The token is not good. The app's was already renewed and the call replayed once, but for `batch_send`, where
    /// it was only forgotten; a person's must be refreshed, or given anew where [`CallError::wants_consent`] says so.
    Reauthenticate,
    /// Somebody must click something in a console first: see [`crate::view::advice::advice`].
    FixSetup,
    /// This request will never succeed.
    Permanent,
    /// Nobody says what this means.
    Unknown,
}

/// Feishu understood the call and said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub call: Call,
    pub code: i64,
    /// HTTP status; 200 for many refusals.
    pub status: u16,
    /// What Feishu's support asks for.
    pub log_id: Option<String>,
    /// Free text that may change; for the operator's eyes only, and cut to [`MSG_CHARS_MAX`] characters.
    pub msg: String,
    /// The scopes that Feishu names as missing.
    pub scopes: Vec<String>,
    /// From the rate-limit header, at most [`RETRY_AFTER_MAX`].
    pub retry_after: Option<Duration>,
}

/// Characters of `msg` that are kept.
pub const MSG_CHARS_MAX: usize = 300;

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Name lookup, connecting or TLS failed: not one byte of the request left.
    #[error("Feishu could not be reached for {}", .call.label())]
    NotSent {
        call: Call,
        #[source]
        source: reqwest::Error,
    },
    /// The request may have arrived; no whole answer came back.
    #[error("no answer from Feishu to {}", .call.label())]
    Unanswered {
        call: Call,
        #[source]
        source: reqwest::Error,
    },
    /// An answer came that is not what the documentation promises.
    #[error("Feishu's answer to {} makes no sense (HTTP {status}): {why}", .call.label())]
    Unreadable { call: Call, status: u16, log_id: Option<String>, retry_after: Option<Duration>, why: Nonsense },
    #[error(
        "Feishu refused {} with code {} (HTTP {}, log id {})",
        .0.call.label(), .0.code, .0.status, .0.log_id.as_deref().unwrap_or("none")
    )]
    Refused(Box<Refusal>),
    /// The app's own access token could not be had, so the call was not made. Shared by all who waited for it.
    #[error("the bot could not sign in to Feishu")]
    NoToken(#[source] Arc<CallError>),
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    #[error("not JSON, or cut short")]
    NotJson,
    #[error("JSON without a code")]
    NoCode,
    #[error("success without what was asked for")]
    Incomplete,
    #[error("too large")]
    TooLarge,
}

impl Refusal {
    pub fn class(&self) -> Class {
        // A server error promises nothing about what happened before it, whatever code comes along.
        if self.call == Call::BatchSend && self.status >= 500 {
            return Class::Unknown;
        }
        let class = match class_of(self.call, self.code) {
            Class::Unknown if self.status == 429 && !self.call.table().unknown.contains(&self.code) => {
                Class::Retry { after: None }
            }
            Class::Permanent if self.code == 230099 => self.card_class(),
            class => class,
        };
        if let Class::Retry { after } = class { Class::Retry { after: self.retry_after.or(after) } } else { class }
    }

    /// A card is refused while a press on it is still being answered; the only sign of that is in the text.
    fn card_class(&self) -> Class {
        if self.msg.contains("card action is lock") {
            Class::Retry { after: Some(Duration::from_secs(1)) }
        } else {
            Class::Permanent
        }
    }

    /// The number behind `ErrCode:` in the text of a refused card. For diagnostics only.
    pub fn card_code(&self) -> Option<i64> {
        let (_, rest) = self.msg.split_once("ErrCode:")?;
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }
}

impl CallError {
    /// What the machine may do now.
    pub fn class(&self) -> Class {
        match self {
            Self::NotSent { .. } | Self::Unanswered { .. } => Class::Retry { after: None },
            Self::Unreadable { status: 500.. | 429, retry_after, .. } => Class::Retry { after: *retry_after },
            Self::Unreadable { .. } => Class::Unknown,
            Self::Refused(refusal) => refusal.class(),
            Self::NoToken(source) => source.class(),
        }
    }

    /// The call that failed; for a missing token the one that should have fetched it.
    pub fn call(&self) -> Call {
        match self {
            Self::NotSent { call, .. } | Self::Unanswered { call, .. } | Self::Unreadable { call, .. } => *call,
            Self::Refused(refusal) => refusal.call,
            Self::NoToken(source) => source.call(),
        }
    }

    /// Feishu's refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::NoToken(source) => source.refusal(),
            Self::NotSent { .. } | Self::Unanswered { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// Feishu's code, if it said one.
    pub fn code(&self) -> Option<i64> {
        self.refusal().map(|refusal| refusal.code)
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unreadable { status, .. } => Some(*status),
            Self::Refused(refusal) => Some(refusal.status),
            Self::NoToken(source) => source.status(),
            Self::NotSent { .. } | Self::Unanswered { .. } => None,
        }
    }

    pub fn log_id(&self) -> Option<&str> {
        match self {
            Self::Unreadable { log_id, .. } => log_id.as_deref(),
            Self::Refused(refusal) => refusal.log_id.as_deref(),
            Self::NoToken(source) => source.log_id(),
            Self::NotSent { .. } | Self::Unanswered { .. } => None,
        }
    }

    /// The scopes that Feishu names as missing; empty for other failures.
    pub fn scopes(&self) -> &[String] {
        self.refusal().map_or(&[], |refusal| &refusal.scopes)
    }

    /// Refreshing a person's token will not help: they must agree anew (a scope is missing, or the refresh is dead).
    pub fn wants_consent(&self) -> bool {
        matches!(self.code(), Some(99991679 | 99991669))
    }

    /// The message or card that was answered or updated is out of reach (recalled, deleted, too old): say it in a
    /// message of its own instead.
    pub fn message_is_gone(&self) -> bool {
        // The reply route names a message in its path, and a gateway may answer 404 for it without any JSON.
        let no_such_reply = matches!(self, Self::Unreadable { call: Call::ReplyMessage, status: 404, .. });
        no_such_reply || matches!(self.code(), Some(99992354 | 230011 | 230019 | 230031 | 230050 | 230110 | 230111))
    }

    /// Whether it may be this message that is not taken, by Feishu or by something in between that reads along, rather than
    /// everything that is said.
    pub fn may_be_about_this(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unreadable { status: 400 | 403 | 413 | 414, .. })
    }

    /// A message under the same uuid is being sent, or has been. Source: contract "uuid", which of both is not documented.
    pub fn was_said_before(&self) -> bool {
        matches!(self.code(), Some(230049 | 18121))
    }

    /// The name of this outcome in metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not_sent",
            Self::Unanswered { .. } => "unanswered",
            Self::Unreadable { .. } => "unreadable",
            Self::NoToken(_) => "no_token",
            Self::Refused(refusal) => match refusal.class() {
                Class::Retry { .. } => "refused_retry",
                Class::Reauthenticate => "refused_token",
                Class::FixSetup => "refused_setup",
                Class::Permanent => "refused_permanent",
                Class::Unknown => "refused_unknown",
            },
        }
    }
}

/// A `batch_send` without a receipt.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the bot could not sign in to Feishu; nothing was sent")]
    NoToken(#[source] Arc<CallError>),
    #[error("Feishu could not be reached; nothing was sent")]
    NotSent(#[source] CallError),
    #[error(
        "Feishu answered the batch with code {} (HTTP {}, log id {})",
        .0.code, .0.status, .0.log_id.as_deref().unwrap_or("none")
    )]
    Answered(Box<Refusal>),
    #[error("no usable answer came back; the batch may or may not have gone out")]
    Unanswered(#[source] CallError),
    /// Code 0, but no message id. Where `invalid` holds every id that was asked for, nothing can have been sent; that
    /// is for the caller to compare.
    #[error("Feishu accepted the batch without a receipt (log id {})", .log_id.as_deref().unwrap_or("none"))]
    NoReceipt { invalid: InvalidIds, log_id: Option<String> },
}

/// What may be done with a batch that has no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was sent, for certain, and the machine may try again: after this long, or after its own backoff.
    RetryAfter(Option<Duration>),
    /// Nothing was sent, for certain, and trying again is of no use.
    Refused,
    /// It may have been sent. Only a person decides.
    AskHuman,
}

impl From<CallError> for SendError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NoToken(source) => Self::NoToken(source),
            CallError::Refused(refusal) => Self::Answered(refusal),
            CallError::NotSent { .. } => Self::NotSent(error),
            CallError::Unreadable { .. } | CallError::Unanswered { .. } => Self::Unanswered(error),
        }
    }
}

impl SendError {
    /// Whether the batch may be sent again, and by whom.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::NoToken(error) => match error.class() {
                Class::Retry { after } => Verdict::RetryAfter(after),
                Class::Reauthenticate | Class::Unknown => Verdict::RetryAfter(None),
                // Only Feishu's own word is final, not the page of whatever stands in between.
                Class::FixSetup | Class::Permanent if error.refusal().is_none() => Verdict::RetryAfter(None),
                Class::FixSetup | Class::Permanent => Verdict::Refused,
            },
            Self::NotSent(_) => Verdict::RetryAfter(None),
            Self::Answered(refusal) => match refusal.class() {
                Class::Retry { after } => Verdict::RetryAfter(after),
                Class::Reauthenticate => Verdict::RetryAfter(None),
                Class::FixSetup | Class::Permanent => Verdict::Refused,
                Class::Unknown => Verdict::AskHuman,
            },
            // A gateway that says 429 has not let the request through, in whatever words.
            Self::Unanswered(CallError::Unreadable { status: 429, retry_after, .. }) => {
                Verdict::RetryAfter(*retry_after)
            }
            Self::Unanswered(_) | Self::NoReceipt { .. } => Verdict::AskHuman,
        }
    }

    /// Feishu's code, if it said one; [`crate::view::advice::advice`] has words for it.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::NoToken(source) => source.code(),
            Self::Answered(refusal) => Some(refusal.code),
            Self::NotSent(error) | Self::Unanswered(error) => error.code(),
            Self::NoReceipt { .. } => None,
        }
    }

    pub fn log_id(&self) -> Option<&str> {
        match self {
            Self::NoToken(source) => source.log_id(),
            Self::Answered(refusal) => refusal.log_id.as_deref(),
            Self::NotSent(error) | Self::Unanswered(error) => error.log_id(),
            Self::NoReceipt { log_id, .. } => log_id.as_deref(),
        }
    }

    /// The scopes that Feishu names as missing.
    pub fn scopes(&self) -> &[String] {
        match self {
            Self::NoToken(source) => source.scopes(),
            Self::Answered(refusal) => &refusal.scopes,
            Self::NotSent(error) | Self::Unanswered(error) => error.scopes(),
            Self::NoReceipt { .. } => &[],
        }
    }
}

#[cfg(test)]
#[path = "tests/error.rs"]
mod tests;
