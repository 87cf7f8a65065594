//! Taking back what was sent: what was asked for, and how far Feishu has come with it, batch by batch.
//!
//! wanted --delete taken--> asked --count stands still, or equals what was reached--> over
//!    \--documented error--> refused --asked for again--> wanted
//!
//! A repeated delete is harmless, so a call that may or may not have arrived is simply made again. Feishu never says
//! that it is done: it counts, and once the count does not move any more that is the end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::batch::{Batch, BatchState, Progress};
use super::ids::{OpenId, Timestamp};

/// That somebody wants a broadcast back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallOrder {
    pub by: OpenId,
    pub at: Timestamp,
    /// All of it, also what is on its way; else the batches that say so themselves.
    pub whole: bool,
    /// Nothing more is expected of it.
    pub over: bool,
}

/// How far the recall of one accepted batch has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    pub stage: RecallStage,
    /// Copies that are gone, as Feishu counts them.
    pub taken_back: u64,
    /// It is over because Feishu does not count any more: more may be gone than `taken_back`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecallStage {
    /// The call is still to be made, or its answer is not known.
    Wanted,
    /// Feishu took it in at that moment, and works on it.
    Asked {
        at: Timestamp,
        /// Answers in a row that brought nothing new about it.
        #[serde(default)]
        same: i64,
    },
    /// Nothing changes any more.
    Over,
    /// Feishu said no, or gave no clear answer often enough: then without a code.
    Refused {
        code: Option<i64>,
        #[serde(default)]
        scopes: Vec<String>,
    },
}

/// Answers in a row without a change after which nothing more is expected. Source: contract "following up".
pub const SAME_MAX: i64 = 5;

/// How long they have to span at least. Source: the same.
pub const SAME_FOR: Duration = Duration::from_secs(300);

/// How long Feishu is asked about a recall that it took in. Source: none; by far longer than one was seen to take.
const ASKED_MAX: Duration = Duration::from_secs(3600);

impl Recall {
    pub fn wanted() -> Self {
        Self { stage: RecallStage::Wanted, taken_back: 0, uncounted: false }
    }

    /// Whether something is still expected of it.
    pub fn is_under_way(&self) -> bool {
        matches!(self.stage, RecallStage::Wanted | RecallStage::Asked { .. })
    }

    /// What another answer of Feishu makes of it: how far the batch is, how far it was `before`, and how many copies are
    /// gone. Copies that stay are read on, which says nothing about the recall.
    ///
    /// All that was delivered is gone: that is believed once the next answer says the same, because what is delivered
    /// may still be growing.
    pub fn counted(mut self, progress: Progress, before: Option<Progress>, gone: u64, now: Timestamp) -> Self {
        let new = gone > self.taken_back || before.is_none_or(|before| before.reached != progress.reached);
        self.taken_back = self.taken_back.max(gone);
        if let RecallStage::Asked { at, same } = self.stage {
            let same = if new { 0 } else { same + 1 };
            let all = progress.reached > 0 && self.taken_back >= progress.reached && same > 0;
            let still = same >= SAME_MAX && now.since(at) >= SAME_FOR;
            self.stage = if all || still { RecallStage::Over } else { RecallStage::Asked { at, same } };
        }
        if self.takes_too_long(now) {
            self.stage = RecallStage::Over;
        }
        self
    }

    /// Nobody counts any more: what Feishu is at work on ends with what is known.
    pub fn ended(mut self) -> Self {
        if let RecallStage::Asked { .. } = self.stage {
            self.stage = RecallStage::Over;
            self.uncounted = true;
        }
        self
    }

    pub fn is_over(&self) -> bool {
        self.stage == RecallStage::Over
    }

    /// Gives up asking about a recall whose end nobody can be asked about any more.
    pub fn unless_too_long(self, now: Timestamp) -> Self {
        if self.takes_too_long(now) { self.ended() } else { self }
    }

    fn takes_too_long(&self, now: Timestamp) -> bool {
        matches!(self.stage, RecallStage::Asked { at, .. } if now.since(at) >= ASKED_MAX)
    }

    /// Whether asking again may bring more back.
    fn leaves_some(&self, reached: u64) -> bool {
        match self.stage {
            RecallStage::Wanted | RecallStage::Asked { .. } => false,
            RecallStage::Over => self.taken_back < reached,
            RecallStage::Refused { .. } => true,
        }
    }
}

/// Whether a batch can be recalled, or recalled once more: it has an id, and something of it may still be there.
pub fn is_open_to_recall(batch: &Batch) -> bool {
    let reached = batch.progress.map_or(0, |progress| progress.reached);
    batch.state == BatchState::Accepted && batch.recall.as_ref().is_none_or(|recall| recall.leaves_some(reached))
}

/// The recalls of a broadcast's batches, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recalls {
    /// Batches that were asked back.
    pub asked: usize,
    /// Their numbers, in the order of the plan.
    pub batches: Vec<i64>,
    /// Of these the ones of which something is still expected.
    pub under_way: usize,
    /// Of these the ones that are over, whatever came back.
    pub over: usize,
    /// Of those over the ones of which nobody knows how many copies are gone, beyond `taken_back`.
    pub uncounted: usize,
    /// Copies that are gone.
    pub taken_back: u64,
    /// Copies that were delivered in batches whose recall was not refused.
    pub of: u64,
    /// Refusals by code, with the batches they met, in the order of the plan.
    pub refused: BTreeMap<Option<i64>, Vec<i64>>,
    /// Permissions that Feishu named as missing.
    pub scopes: Vec<String>,
    /// Batches that can be asked back, or asked back once more.
    pub open_to: usize,
    /// Copies delivered in these, and how many of them were read.
    pub open_reached: u64,
    pub open_read: u64,
    /// People behind these as far as the plan knew, for as long as Feishu has not counted.
    pub open_heads: u64,
    /// When the first and the last of these were accepted.
    pub open_since: Option<(Timestamp, Timestamp)>,
}

impl Recalls {
    pub(super) fn add(&mut self, batch: &Batch) {
        let progress = batch.progress.unwrap_or_default();
        if is_open_to_recall(batch) {
            self.open_to += 1;
            self.open_reached = self.open_reached.saturating_add(progress.reached);
            self.open_read = self.open_read.saturating_add(progress.read);
            self.open_heads = self.open_heads.saturating_add(batch.heads);
            if let Some(at) = batch.outcome.accepted_at {
                let (first, last) = self.open_since.unwrap_or((at, at));
                self.open_since = Some((first.min(at), last.max(at)));
            }
        }
        let Some(recall) = &batch.recall else { return };
        self.asked += 1;
        self.batches.push(batch.seq);
        self.taken_back = self.taken_back.saturating_add(recall.taken_back);
        match &recall.stage {
            RecallStage::Refused { code, scopes } => {
                self.refused.entry(*code).or_default().push(batch.seq);
                let new = scopes.iter().filter(|scope| !self.scopes.contains(scope)).cloned().collect::<Vec<_>>();
                self.scopes.extend(new);
                return;
            }
            RecallStage::Over => {
                self.over += 1;
                let all = progress.reached > 0 && recall.taken_back >= progress.reached;
                self.uncounted += usize::from(recall.uncounted && !all);
            }
            RecallStage::Wanted | RecallStage::Asked { .. } => self.under_way += 1,
        }
        self.of = self.of.saturating_add(progress.reached.max(recall.taken_back));
    }

    /// Whether of so many accepted batches every one was asked back, none is under way, and at least one came back.
    pub fn came_back(&self, accepted: usize) -> bool {
        accepted > 0 && self.asked == accepted && self.under_way == 0 && self.over > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(same: i64) -> Recall {
        Recall { stage: RecallStage::Asked { at: Timestamp(0), same }, ..Recall::wanted() }
    }

    /// After so many answers that brought nothing new, another one.
    fn after(reached: u64, gone: u64, same: i64, seconds: i64) -> (bool, u64) {
        let progress = Progress { valid: 10, reached, read: 3 };
        let before = Progress { read: 2, ..progress };
        let recall = Recall { taken_back: if same < 0 { 0 } else { gone }, ..asked(same) };
        let recall = recall.counted(progress, Some(before), gone, Timestamp(seconds * 1000));
        (recall.is_under_way(), recall.taken_back)
    }

    #[test]
    fn it_is_over_when_all_is_gone_or_nothing_moves_any_more() {
        assert_eq!(after(10, 10, -1, 2), (true, 10), "more may still be on its way");
        assert_eq!(after(10, 10, 0, 6), (false, 10));
        assert_eq!(after(0, 0, 3, 60), (true, 0), "nothing was delivered yet");
        assert_eq!(after(10, 8, 3, 600), (true, 8));
        assert_eq!(after(10, 8, 4, 299), (true, 8), "five answers within a moment say little");
        assert_eq!(after(10, 8, 4, 300), (false, 8), "that the rest is read on is no news of it");
        assert_eq!(after(10, 8, -1, 3600), (false, 8), "nobody is asked for ever");
    }

    #[test]
    fn what_nobody_counts_any_more_is_over_and_not_known() {
        let (hour, half) = (Timestamp(3_600_000), Timestamp(1_800_000));
        assert!(asked(0).unless_too_long(half).is_under_way());
        let ended = asked(0).unless_too_long(hour);
        assert!(ended.is_over() && ended.uncounted);
        let progress = Progress { valid: 10, reached: 10, read: 3 };
        let counted = asked(0).counted(progress, None, 8, hour);
        assert!(counted.is_over() && !counted.uncounted, "that was counted to the end");
        assert!(!counted.ended().uncounted && Recall::wanted().ended().is_under_way());
    }

    #[test]
    fn a_count_never_falls() {
        let recall = Recall { taken_back: 7, ..asked(0) };
        assert_eq!(recall.counted(Progress { valid: 9, reached: 9, read: 0 }, None, 3, Timestamp(0)).taken_back, 7);
    }
}
