//! What is written down of every decision and every call: who, when, what, on which fingerprint, with which answer.
//!
//! No content, no token and no reason is in it: whoever reads the audit learns what was done, not what was said.
//! The rows form a chain ([`chain`]), and [`verify`] finds whatever was changed in it by hand.

use serde::Serialize;
use serde_json::{Map, Value};

use super::broadcast::{Broadcast, State};
use super::ids::{BroadcastId, OpenId, Timestamp};
use super::plan::{self, Targets};
use super::policy::Action;

pub mod chain;
pub mod verify;

macro_rules! deeds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What was done. The words are fixed: they stand in the chain.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Deed {
            $($(#[$doc])* $name,)*
        }

        impl Deed {
            pub const ALL: &'static [Deed] = &[$(Deed::$name,)*];

            /// The word in the store and in an export.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Deed::$name => $word,)*
                }
            }
        }
    };
}

deeds! {
    /// The chain begins here.
    Begun = "begun",
    /// From here on another `SECRET_KEY` is in use.
    KeyChanged = "key-changed",
    /// The bot found the head of the chain changed by hand.
    HeadChanged = "head-changed",
    /// The bot was away too long, or works on another or an older database than before.
    Returned = "returned",
    Proposed = "proposed",
    Picked = "picked",
    /// The author accepted what was found in the content.
    Accepted = "accepted",
    Approved = "approved",
    Rejected = "rejected",
    Cancelled = "cancelled",
    Expired = "expired",
    Held = "held",
    /// Its author gave it another time, or none.
    Rescheduled = "rescheduled",
    /// The rules have become stricter, or others decide by now, while it waited for its approvals.
    Tightened = "tightened",
    /// The time it was scheduled for has come.
    Due = "due",
    /// It arrived at those who got it first: the rest follows.
    WaveArrived = "wave-arrived",
    WentOn = "went-on",
    /// Batches in doubt are sent again.
    Resent = "resent",
    /// Batches in doubt count as sent.
    Settled = "settled",
    /// Whoever was invalid is to be looked at again.
    RepairAsked = "repair-asked",
    SampleAsked = "sample-asked",
    Recalled = "recalled",
    /// Feishu was asked for a batch back.
    RecallAnswered = "recall-answered",
    /// Nothing more comes back of it.
    RecallEnded = "recall-ended",
    /// Another content was proposed to the same people after a recall.
    Corrected = "corrected",
    /// Its author wrote the content anew.
    Edited = "edited",
    /// The message of its command was taken back; by whom, Feishu does not say.
    CommandRecalled = "command-recalled",
    /// A call of `batch_send` begins.
    Called = "called",
    /// What came of that call.
    Answered = "answered",
    /// A call was found without its sender: whether it was made nobody knows.
    Lost = "lost",
    SampleCalled = "sample-called",
    SampleAnswered = "sample-answered",
    /// Something in it is not what was approved: nothing more of it is sent.
    Tampered = "tampered",
    /// A broadcast came to rest, or needs a decision about what is in doubt.
    Ended = "ended",
    /// A press or a command that was not allowed, came too late, or makes no sense.
    Refused = "refused",
    LoggedIn = "logged-in",
    LoggedOut = "logged-out",
    /// Feishu took an authorization back.
    Revoked = "revoked",
}

impl Deed {
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|deed| deed.as_str() == word)
    }

    /// What a press or a command was that did something to `before`; `None` where it decides nothing.
    pub fn of(action: Action, before: &Broadcast) -> Option<Self> {
        match action {
            Action::Pick => Some(Deed::Picked),
            Action::Approve => Some(Deed::Approved),
            Action::Reject => Some(Deed::Rejected),
            Action::Cancel => Some(Deed::Cancelled),
            Action::Confirm if before.hold.is_none() && before.unaccepted => Some(Deed::Accepted),
            Action::Confirm => Some(Deed::WentOn),
            Action::Resend if before.state == State::InDoubt => Some(Deed::Resent),
            Action::Settle => Some(Deed::Settled),
            Action::Recall => Some(Deed::Recalled),
            Action::Correct => Some(Deed::Corrected),
            Action::Schedule => Some(Deed::Rescheduled),
            Action::Edit => Some(Deed::Edited),
            // What they ask for, if anything, is written down where it is.
            Action::Resend | Action::Preview | Action::Refresh => None,
        }
    }
}

/// Something to be written down; the store gives it its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub at: Timestamp,
    pub broadcast: Option<BroadcastId>,
    /// `None`: the bot itself.
    pub actor: Option<OpenId>,
    pub deed: Deed,
    pub version: i64,
    pub fingerprint: String,
    pub detail: Map<String, Value>,
}

impl Entry {
    /// About a broadcast as it stands after the deed.
    pub fn about(broadcast: &Broadcast, deed: Deed, at: Timestamp) -> Self {
        let entry = Self {
            broadcast: Some(broadcast.id.clone()),
            version: broadcast.version,
            fingerprint: broadcast.fingerprint.clone(),
            ..Self::alone(deed, at)
        };
        // Before the targets are settled there is no fingerprint yet, but the content is what it is.
        match broadcast.fingerprint.is_empty() {
            true => entry.with("content", plan::digest(&broadcast.content, &Targets::default())),
            false => entry,
        }
    }

    /// About no broadcast.
    pub fn alone(deed: Deed, at: Timestamp) -> Self {
        Self { at, broadcast: None, actor: None, deed, version: 0, fingerprint: String::new(), detail: Map::new() }
    }

    /// Who did it.
    pub fn by(self, actor: &OpenId) -> Self {
        Self { actor: Some(actor.clone()), ..self }
    }

    /// With something more that is known of it. Never a content, a reason, or a token.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("words, numbers and our own enums are always JSON");
        self.detail.insert(name.to_owned(), value);
        self
    }

    /// The same, where it is known.
    pub fn with_some(self, name: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

/// A row as it stands in the chain. Texts are kept as they are, whatever they say: what cannot be read can still be
/// checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub seq: i64,
    pub at: Timestamp,
    pub broadcast: String,
    pub actor: String,
    pub deed: String,
    pub version: i64,
    pub fingerprint: String,
    pub detail: String,
    pub key_id: String,
    pub mac: String,
}

impl Row {
    /// Gives an entry its place after the row whose MAC is `before`.
    pub fn of(entry: &Entry, seq: i64, before: &str, key: &chain::ChainKey) -> Self {
        let mut row = Self {
            seq,
            at: entry.at,
            broadcast: entry.broadcast.as_ref().map_or_else(String::new, BroadcastId::to_string),
            actor: entry.actor.as_ref().map_or_else(String::new, OpenId::to_string),
            deed: entry.deed.as_str().to_owned(),
            version: entry.version,
            fingerprint: entry.fingerprint.clone(),
            detail: Value::Object(entry.detail.clone()).to_string(),
            key_id: key.id().to_owned(),
            mac: String::new(),
        };
        row.mac = key.link(before, &row);
        row
    }

    /// What else is known, where it can be read.
    pub fn detail(&self) -> Map<String, Value> {
        serde_json::from_str(&self.detail).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deed_has_its_own_word() {
        for deed in Deed::ALL {
            assert_eq!(Deed::parse(deed.as_str()), Some(*deed));
        }
        assert_eq!(Deed::parse("Begun"), None);
    }
}
