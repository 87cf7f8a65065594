//! Goes through a chain row by row, and names the first one that is not as it was written.

use std::fmt;

use super::chain::{Anchor, ChainKey, Head};
use super::{Deed, Row};
use crate::domain::ids::Timestamp;
use crate::domain::keys::{Generation, Rotating};

/// What was found. Only [`Finding::Whole`] is good news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Whole {
        rows: i64,
        first: Timestamp,
        last: Timestamp,
        anchor: Anchor,
        /// So many of them, the first ones, are under the previous key.
        previous: i64,
    },
    /// The bot has not yet written a row, or somebody has taken them all.
    Empty,
    /// Rows are missing in the middle.
    Removed {
        from: i64,
        to: i64,
        /// When the row after them was written.
        next: Timestamp,
    },
    /// Rows are missing at the end.
    Cut {
        from: i64,
        to: i64,
        /// When the row before them was written.
        last: Option<Timestamp>,
    },
    Changed {
        seq: i64,
        at: Timestamp,
    },
    Inserted {
        seq: i64,
        at: Timestamp,
    },
    /// The row that says where the chain ends is gone, or not as it was written.
    Head {
        last: Option<(i64, Timestamp)>,
    },
    /// The bot itself found the head changed, and wrote that down in this row.
    HeadEarlier {
        seq: i64,
        at: Timestamp,
    },
    /// The first row under the present key does not follow on the rows under the previous one.
    Rewritten {
        seq: i64,
        at: Timestamp,
    },
    /// A row under the previous key stands where the present one was in use already.
    OldKey {
        seq: i64,
        at: Timestamp,
    },
    /// Rows under another key: they cannot be checked with this one. All others are whole.
    OtherKey {
        rows: i64,
        first: i64,
        at: Timestamp,
        key_id: String,
        own: String,
        own_rows: i64,
    },
    /// The chain does not know the anchor: the database is older than it, or another one.
    Anchor {
        anchor: Anchor,
        known: bool,
    },
}

impl Finding {
    /// Whether all is well.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = |from: &i64, to: &i64| match from == to {
            true => format!("row {from} was"),
            false => format!("rows {from} to {to} were"),
        };
        match self {
            Self::Whole { rows, first, last, anchor, previous } => {
                let (first, last) = (time(*first), time(*last));
                write!(f, "the audit chain is whole: rows 1 to {rows}, from {first} to {last}; anchor {anchor}")?;
                match previous {
                    0 => Ok(()),
                    _ => write!(f, "; rows 1 to {previous} are under the previous SECRET_KEY"),
                }
            }
            Self::Empty => write!(
                f,
                "the audit chain is empty: the bot has not been started on this database since it keeps one, or every row was removed"
            ),
            Self::Removed { from, to, next } => {
                write!(f, "{} removed; the next row was written {}", rows(from, to), time(*next))
            }
            Self::Cut { from, to, last: Some(last) } => {
                write!(f, "{} removed, at the end; the last row left was written {}", rows(from, to), time(*last))
            }
            Self::Cut { from, to, last: None } => write!(f, "{} removed; nothing is left", rows(from, to)),
            Self::Changed { seq, at } => write!(
                f,
                "row {seq} was changed: it is not what was written there; it says that it was written {}",
                time(*at)
            ),
            Self::Inserted { seq, at } => {
                write!(
                    f,
                    "row {seq} was inserted, or moved there: the bot wrote another one at this place, or none; it says that it was written {}",
                    time(*at)
                )
            }
            Self::Head { last: Some((seq, at)) } => write!(
                f,
                "the head of the chain was changed or removed: rows after row {seq}, written {}, may have been removed",
                time(*at)
            ),
            Self::Head { last: None } => {
                write!(f, "the head of the chain was changed or removed, and no row is left: all of them may have been")
            }
            Self::HeadEarlier { seq, at } => write!(
                f,
                "row {seq} says that the bot found the head of the chain changed {}: rows may have been removed or inserted before it",
                time(*at)
            ),
            Self::Rewritten { seq, at } => write!(
                f,
                "row {seq}, the first under the present SECRET_KEY, does not follow on row {}: rows before it were written anew by somebody who knows the previous key, or row {seq} was changed; it says that it was written {}",
                seq - 1,
                time(*at)
            ),
            Self::OldKey { seq, at } => write!(
                f,
                "row {seq} is signed with the previous SECRET_KEY, and the present one was in use before it: somebody who knows the previous key wrote it, or the two settings stand the wrong way round; it says that it was written {}",
                time(*at)
            ),
            Self::OtherKey { rows, first, at, key_id, own, own_rows } => write!(
                f,
                "{rows} rows, the first of them row {first} of {}, were written under another SECRET_KEY (key {key_id}; this is key {own}) and cannot be checked with this one; the {own_rows} rows under this key are whole",
                time(*at)
            ),
            Self::Anchor { anchor, known: true } => {
                write!(f, "row {} is another one than that of the anchor {anchor}: this is another chain", anchor.seq)
            }
            Self::Anchor { anchor, known: false } => write!(
                f,
                "the chain ends before the anchor {anchor}: this database is older than the anchor, and rows up to {} are missing",
                anchor.seq
            ),
        }
    }
}

/// A moment in UTC, to the millisecond.
pub fn time(moment: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(moment.0).map_or_else(|_| format!("{} ms", moment.0), |time| time.to_string())
}

/// Checks rows in their order. Stops at the first finding.
pub struct Verifier<'a> {
    keys: &'a Rotating<ChainKey>,
    anchor: Option<Anchor>,
    first: Option<Timestamp>,
    last: Option<Row>,
    /// A row that is not right, until the next one tells in which way.
    suspect: Option<Row>,
    other: Option<(i64, Row)>,
    /// Rows so far under the previous key.
    previous: i64,
    /// Whether a row under the present key has come.
    present: bool,
}

impl<'a> Verifier<'a> {
    pub fn new(keys: &'a Rotating<ChainKey>, anchor: Option<Anchor>) -> Self {
        Self { keys, anchor, first: None, last: None, suspect: None, other: None, previous: 0, present: false }
    }

    /// The next row; `head` is the head as it was read together with it.
    ///
    /// # Errors
    /// The first thing that is not right.
    pub fn row(&mut self, row: Row, head: Option<&Head>) -> Result<(), Finding> {
        let before = self.last.as_ref().map_or("", |last| &last.mac);
        if let Some(suspect) = self.suspect.take() {
            let inserted = self.follows_by_right(before, &suspect, &row);
            let (seq, at) = (suspect.seq, suspect.at);
            return Err(if inserted { Finding::Inserted { seq, at } } else { Finding::Changed { seq, at } });
        }
        let (seq, at) = (row.seq, row.at);
        let next = self.last.as_ref().map_or(1, |last| last.seq + 1);
        // One that the head does not know was not written by whoever holds the key.
        if seq < next || head.is_some_and(|head| head.seq < seq && self.speaks_for(head, &row)) {
            return Err(Finding::Inserted { seq, at });
        }
        if seq > next {
            return Err(Finding::Removed { from: next, to: seq - 1, next: at });
        }
        match self.generation(&row.key_id) {
            None => self.other.get_or_insert_with(|| (0, row.clone())).0 += 1,
            Some(Generation::Present) if !self.follows(before, &row) && self.last_is_under_previous() => {
                return Err(Finding::Rewritten { seq, at });
            }
            Some(_) if !self.follows(before, &row) => {
                self.suspect = Some(row);
                return Ok(());
            }
            Some(Generation::Previous) if self.present => return Err(Finding::OldKey { seq, at }),
            Some(_) if self.says_head_was_changed(&row) => return Err(Finding::HeadEarlier { seq, at }),
            Some(Generation::Previous) => self.previous += 1,
            Some(Generation::Present) => self.present = true,
        }
        if let Some(anchor) = self.anchor.take_if(|anchor| anchor.seq == seq)
            && !anchor.holds(&row)
        {
            return Err(Finding::Anchor { anchor, known: true });
        }
        self.first.get_or_insert(at);
        self.last = Some(row);
        Ok(())
    }

    fn generation(&self, key_id: &str) -> Option<Generation> {
        self.keys.find(|key| key.id() == key_id)
    }

    /// Whether a row bears the MAC that it has after the one whose MAC is `before`, under the key that it names.
    fn follows(&self, before: &str, row: &Row) -> bool {
        let key = self.generation(&row.key_id).and_then(|generation| self.keys.of(generation));
        key.is_some_and(|key| key.link(before, row) == row.mac)
    }

    fn last_is_under_previous(&self) -> bool {
        self.last.as_ref().is_some_and(|last| self.generation(&last.key_id) == Some(Generation::Previous))
    }

    /// Whether this head may say that a row does not belong to the chain: whoever knows the previous key alone says
    /// nothing of rows under the present one.
    fn speaks_for(&self, head: &Head, row: &Row) -> bool {
        match self.keys.find(|key| key.sealed(head)) {
            Some(Generation::Present) => true,
            Some(Generation::Previous) => head.key_id == row.key_id,
            None => false,
        }
    }

    /// Whether `row` tells that `suspect` before it was put in: it follows the row before that one, or says itself that
    /// the head did not know it.
    fn follows_by_right(&self, before: &str, suspect: &Row, row: &Row) -> bool {
        let moved = Row { seq: suspect.seq, ..row.clone() };
        let noted = row.deed == Deed::HeadChanged.as_str() && self.follows(&suspect.mac, row);
        let known = row.detail().get("head").and_then(serde_json::Value::as_i64);
        self.follows(before, &moved) || (noted && known.is_some_and(|known| known < suspect.seq))
    }

    /// Nobody changes from a key to the same one: then it was the head's name of it that was changed.
    fn says_head_was_changed(&self, row: &Row) -> bool {
        let same = self.last.as_ref().is_some_and(|last| last.key_id == row.key_id);
        match Deed::parse(&row.deed) {
            Some(Deed::HeadChanged) => true,
            Some(Deed::KeyChanged) => same,
            Some(Deed::Begun) => self.last.is_some(),
            _ => false,
        }
    }

    /// No row follows. What there is to say in the end.
    pub fn end(mut self, head: Option<&Head>) -> Finding {
        if let Some(Row { seq, at, .. }) = self.suspect.take() {
            return Finding::Changed { seq, at };
        }
        let last = self.last.as_ref().map(|last| (last.seq, last.at));
        let Some(head) = head else { return Finding::Head { last } };
        match (last, head.seal.is_empty() && head.seq == 0) {
            (None, true) => return Finding::Empty,
            (Some(_), true) => return Finding::Head { last },
            (_, false) => {}
        }
        let same_key = |last: &Row| last.key_id == head.key_id;
        let fits = match self.keys.find(|key| key.sealed(head)) {
            Some(Generation::Present) => true,
            Some(Generation::Previous) => self.last.as_ref().is_none_or(same_key),
            // Under another key nobody can say more than that.
            None => self.generation(&head.key_id).is_none() && self.last.as_ref().is_some_and(same_key),
        };
        if !fits {
            return Finding::Head { last };
        }
        let ends = last.map_or(0, |(seq, _)| seq);
        if head.seq > ends {
            return Finding::Cut { from: ends + 1, to: head.seq, last: last.map(|(_, at)| at) };
        }
        let (Some(first), Some(row)) = (self.first, self.last) else { return Finding::Head { last } };
        if head.seq < ends || head.mac != row.mac {
            return Finding::Head { last };
        }
        if let Some(anchor) = self.anchor {
            return Finding::Anchor { anchor, known: false };
        }
        match self.other {
            Some((rows, Row { seq, at, key_id, .. })) => {
                let own = self.keys.each().map(|(_, key)| key.id()).collect::<Vec<_>>().join(", before it ");
                Finding::OtherKey { rows, first: seq, at, key_id, own, own_rows: ends - rows }
            }
            None => {
                let anchor = Anchor::of(row.seq, &row.mac);
                Finding::Whole { rows: row.seq, first, last: row.at, anchor, previous: self.previous }
            }
        }
    }
}

#[cfg(test)]
mod tests;
