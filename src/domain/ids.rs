//! The ids that travel through the house.
//!
//! Feishu's ids are opaque strings, compared byte for byte; the only thing we read in them is the prefix that tells
//! their kind (`od-`, `ou_`, `on_`). A `String` from outside becomes one of these types in the first function that
//! sees it. `BroadcastId` is ours: short enough to be typed by a person.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes an id may have at most. Source: contract "identifiers": opaque strings, at most 128 bytes are stored.
pub const ID_BYTES_MAX: usize = 128;

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes any text that can be an id: not empty, at most [`ID_BYTES_MAX`] bytes, no blanks or control
            /// characters. Anything else is `None`.
            pub fn new(text: impl Into<String>) -> Option<Self> {
                let text = text.into();
                let fits = !text.is_empty()
                    && text.len() <= ID_BYTES_MAX
                    && !text.chars().any(|c| c.is_whitespace() || c.is_control());
                fits.then_some(Self(text))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

opaque_id!(
    /// A user within this one app, `ou_…`. Every right in this program hangs on it.
    OpenId
);
opaque_id!(
    /// A user within one developer's apps, `on_…`.
    UnionId
);
opaque_id!(
    /// A user within one tenant; a free-form short string.
    UserId
);
opaque_id!(
    /// A department: an `open_department_id` (`od-…`) or a custom department id. Only the prefix tells them apart.
    DepartmentId
);
opaque_id!(
    /// A chat, `oc_…`; one-to-one chats have one too.
    ChatId
);
opaque_id!(
    /// A single message or card, `om_…`.
    MessageId
);
opaque_id!(
    /// A batch message, `bm-…`: the receipt of one accepted `batch_send`.
    BatchMessageId
);
opaque_id!(
    /// One push of an event. Differs between pushes of the same message, which is why messages go by [`MessageId`].
    EventId
);

/// By what a department is known among ids of all kinds: the numbers of departments and of employees may be the same.
pub fn department_key(id: &str) -> Cow<'_, str> {
    if id.starts_with("od-") { Cow::Borrowed(id) } else { Cow::Owned(format!("dept:{id}")) }
}

impl DepartmentId {
    /// See [`department_key`].
    pub fn key(&self) -> Cow<'_, str> {
        department_key(self.as_str())
    }

    /// Whether this is an `open_department_id`; a custom id never begins so.
    pub fn is_open(&self) -> bool {
        self.0.starts_with("od-")
    }
}

/// The letters of a broadcast id: no `0 O 1 I L U`, which people confuse or which make words.
const ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Letters in a broadcast id: 30^6 is 729 million, enough that a typing error rarely meets another broadcast.
pub const BROADCAST_ID_LETTERS: usize = 6;

/// The short name of a broadcast, e.g. `K7M2QX`. Typed by people, so case does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BroadcastId(String);

impl BroadcastId {
    /// Makes an id from random bytes. Bytes are taken modulo the alphabet; the slight bias does not matter for a name.
    pub fn from_random(bytes: [u8; BROADCAST_ID_LETTERS]) -> Self {
        Self(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect())
    }

    /// Reads what a person typed: any case, full-width letters and a leading `#` allowed.
    pub fn parse(typed: &str) -> Option<Self> {
        let id: String = typed
            .trim()
            .trim_start_matches(['#', '＃'])
            .chars()
            .map(|c| crate::domain::command::half_width(c).to_ascii_uppercase())
            .collect();
        let known = id.len() == BROADCAST_ID_LETTERS && id.bytes().all(|byte| ALPHABET.contains(&byte));
        known.then_some(Self(id))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for BroadcastId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or(text)
    }
}

impl From<BroadcastId> for String {
    fn from(id: BroadcastId) -> String {
        id.0
    }
}

/// A moment, as milliseconds since 1970-01-01 UTC: what Feishu writes and what the store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `wait` after this one; saturates at the end of time.
    pub fn after(self, wait: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Timestamp) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_id_is_read_as_people_type_it() {
        for typed in ["K7M2QX", "k7m2qx", " #k7M2qx ", "Ｋ７Ｍ２ＱＸ"] {
            assert_eq!(BroadcastId::parse(typed).expect(typed).as_str(), "K7M2QX");
        }
    }

    #[test]
    fn what_is_no_broadcast_id_is_refused() {
        for typed in ["", "K7M2Q", "K7M2QXX", "K7M2Q0", "K7M2Q!", "销售部销售部"] {
            assert_eq!(BroadcastId::parse(typed), None, "{typed}");
        }
    }

    #[test]
    fn ids_with_blanks_or_without_end_are_refused() {
        assert!(OpenId::new("").is_none());
        assert!(OpenId::new("ou_1 2").is_none());
        assert!(OpenId::new("x".repeat(129)).is_none());
        assert!(OpenId::new("ou_1").is_some());
    }
}
