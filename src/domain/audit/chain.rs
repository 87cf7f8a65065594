//! How rows hang together: each MAC covers its row and the MAC before it, and the head, sealed by itself, says where the
//! chain ends.
//!
//! What a chain cannot show: that somebody who had the whole database put all of it back as it was at an earlier moment.
//! That shows only against an [`Anchor`] that was kept elsewhere.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

use super::Row;

/// Bytes of the key.
pub const KEY_BYTES: usize = 32;

/// Hex letters by which a key is told from another one; they tell nothing else about it.
const KEY_ID_LETTERS: usize = 8;

/// Hex letters of a MAC in an anchor: 64 bits, far more than anybody can hit by trying.
const ANCHOR_LETTERS: usize = 16;

/// The key of the chain. Never printed: there is no `Debug`.
pub struct ChainKey {
    key: SecretBox<[u8; KEY_BYTES]>,
    id: String,
}

/// Where the chain ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub seq: i64,
    pub mac: String,
    pub key_id: String,
    /// Empty before the chain has begun.
    pub seal: String,
}

impl ChainKey {
    pub fn new(key: Box<[u8; KEY_BYTES]>) -> Self {
        let mut made = Self { key: SecretBox::new(key), id: String::new() };
        made.id = made.tag("feishu-broadcast audit key id v1", |_| {}).chars().take(KEY_ID_LETTERS).collect();
        made
    }

    /// A short name of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The MAC of a row after the one whose MAC is `before`, in hex; the row's own `mac` does not count. Numbers have
    /// eight bytes and texts stand behind their length, so that no two rows are the same bytes.
    pub fn link(&self, before: &str, row: &Row) -> String {
        self.tag("feishu-broadcast audit row v1", |mac| {
            for number in [row.seq, row.at.0, row.version] {
                mac.update(&number.to_be_bytes());
            }
            for text in [before, &row.broadcast, &row.actor, &row.deed, &row.fingerprint, &row.detail, &row.key_id] {
                mac.update(&(text.len() as u64).to_be_bytes());
                mac.update(text.as_bytes());
            }
        })
    }

    /// The head of a chain that ends with this row.
    pub fn head(&self, seq: i64, mac: &str) -> Head {
        let seal = self.tag("feishu-broadcast audit head v1", |tag| {
            tag.update(&seq.to_be_bytes());
            tag.update(mac.as_bytes());
        });
        Head { seq, mac: mac.to_owned(), key_id: self.id.clone(), seal }
    }

    /// Whether this head was sealed with this key.
    pub fn sealed(&self, head: &Head) -> bool {
        self.head(head.seq, &head.mac) == *head
    }

    fn tag(&self, purpose: &str, message: impl FnOnce(&mut Hmac<Sha256>)) -> String {
        let key = self.key.expose_secret();
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes any key");
        mac.update(&(purpose.len() as u64).to_be_bytes());
        mac.update(purpose.as_bytes());
        message(&mut mac);
        hex::encode(mac.finalize().into_bytes())
    }
}

/// A row and the beginning of its MAC, written down elsewhere: `213:9f86d081884c7d65`. A database that was put back as a
/// whole does not know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub seq: i64,
    mac: String,
}

impl Anchor {
    pub fn of(seq: i64, mac: &str) -> Self {
        Self { seq, mac: mac.chars().take(ANCHOR_LETTERS).collect() }
    }

    /// Whether this is the row that was written down.
    pub fn holds(&self, row: &Row) -> bool {
        row.mac.starts_with(&self.mac)
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.mac)
    }
}

impl FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = |(seq, mac): (&str, &str)| {
            let seq = seq.trim().parse().ok().filter(|seq: &i64| *seq >= 1)?;
            let mac = mac.trim().to_ascii_lowercase();
            let enough = mac.len() >= ANCHOR_LETTERS && mac.chars().all(|c| c.is_ascii_hexdigit());
            enough.then_some(Self { seq, mac })
        };
        let anchor = text.split_once(':').and_then(read);
        anchor.ok_or_else(|| "is not a row and the beginning of its MAC, such as 213:9f86d081884c7d65".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Deed, Entry};
    use super::*;
    use crate::domain::ids::Timestamp;

    fn row() -> Row {
        let entry = Entry::alone(Deed::Refused, Timestamp(5)).with("why", "late");
        Row::of(&entry, 1, "", &ChainKey::new(Box::new([7; KEY_BYTES])))
    }

    #[test]
    fn whatever_of_a_row_is_changed_changes_its_mac() {
        let key = ChainKey::new(Box::new([7; KEY_BYTES]));
        let changes: [fn(&mut Row); 8] = [
            |row| row.seq += 1,
            |row| row.at = Timestamp(6),
            |row| row.broadcast = "K7M2QX".into(),
            |row| row.actor = "ou_1".into(),
            |row| row.deed = "approved".into(),
            |row| row.version = 1,
            |row| row.fingerprint = "f".into(),
            |row| row.detail = "{}".into(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = row();
            change(&mut changed);
            assert_ne!(key.link("", &changed), row().mac, "change {number}");
        }
        assert_eq!(key.link("", &row()), row().mac);
        assert_ne!(key.link("a", &row()), row().mac, "the row before counts");
        assert_ne!(ChainKey::new(Box::new([8; KEY_BYTES])).link("", &row()), row().mac, "and the key");
    }

    #[test]
    fn what_moves_from_one_text_to_the_next_is_another_row() {
        let key = ChainKey::new(Box::new([7; KEY_BYTES]));
        let (mut one, mut other) = (row(), row());
        (one.broadcast, one.actor) = ("ab".into(), "c".into());
        (other.broadcast, other.actor) = ("a".into(), "bc".into());
        assert_ne!(key.link("", &one), key.link("", &other));
    }

    #[test]
    fn a_head_is_sealed_with_its_key_and_no_other() {
        let (key, other) = (ChainKey::new(Box::new([7; KEY_BYTES])), ChainKey::new(Box::new([8; KEY_BYTES])));
        let head = key.head(3, "ab");
        assert!(key.sealed(&head) && !other.sealed(&head));
        assert!(!key.sealed(&Head { seq: 2, ..head.clone() }));
        assert!(!key.sealed(&Head { mac: "ac".into(), ..head }));
        assert_ne!(key.id(), other.id());
    }

    #[test]
    fn an_anchor_is_read_as_it_is_written() {
        let mac = "9f86d081884c7d659a2feaa0c55ad015";
        let anchor = Anchor::of(213, mac);
        assert_eq!(anchor.to_string(), "213:9f86d081884c7d65");
        assert_eq!("213:9F86d081884c7d65".parse(), Ok(anchor));
        for bad in ["", "213", "213:", "213:abc", "0:9f86d081884c7d65", "213:9f86d081884c7d6x"] {
            assert!(bad.parse::<Anchor>().is_err(), "{bad}");
        }
    }
}
