//! The people of a broadcast, each in one place, so that the numbers add up: reached, not reached, invalid, in doubt,
//! not sent.
//!
//! Feishu counts people once it has begun with a batch; until then the plan's own count stands for it. Feishu's count
//! includes people whom the bot cannot reach, and never says of whom it has given up.

use super::batch::{Batch, BatchState};

/// How many people are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub reached: u64,
    /// Counted by Feishu and not reached: on their way, or out of the bot's reach.
    pub not_reached: u64,
    /// Accepted and not counted by Feishu yet.
    pub uncounted: u64,
    /// Behind ids that Feishu called invalid.
    pub invalid: u64,
    pub in_doubt: u64,
    pub taken_as_sent: u64,
    /// In batches that were refused or cancelled.
    pub not_sent: u64,
    /// In batches that are still to go, or under way.
    pub to_go: u64,
    /// Whether departments of unknown size stand behind any of this.
    pub more: bool,
}

impl Tally {
    pub fn total(&self) -> u64 {
        let places = [
            self.reached,
            self.not_reached,
            self.uncounted,
            self.invalid,
            self.in_doubt,
            self.taken_as_sent,
            self.not_sent,
            self.to_go,
        ];
        places.into_iter().fold(0, u64::saturating_add)
    }

    pub(super) fn add(&mut self, batch: &Batch) {
        let place = match batch.state {
            BatchState::Accepted => return self.accepted(batch),
            BatchState::InDoubt => &mut self.in_doubt,
            BatchState::TakenAsSent => &mut self.taken_as_sent,
            BatchState::Refused | BatchState::Cancelled => &mut self.not_sent,
            BatchState::Planned | BatchState::Sending => &mut self.to_go,
        };
        *place = place.saturating_add(batch.heads);
    }

    fn accepted(&mut self, batch: &Batch) {
        let invalid = &batch.outcome.invalid;
        let people = (invalid.count() - invalid.departments.len()) as u64;
        let department = |key: &str| batch.outcome.labels.get(key).and_then(|label| label.heads);
        let keys: Vec<_> = invalid.keys().take(invalid.departments.len()).collect();
        let departments = keys.iter().filter_map(|key| department(key)).fold(0, u64::saturating_add);
        self.more |= keys.iter().any(|key| department(key).is_none());
        let gone = people.saturating_add(departments);
        self.invalid = self.invalid.saturating_add(gone);
        match batch.progress.filter(|progress| progress.valid > 0) {
            Some(progress) => {
                let reached = progress.reached.min(progress.valid);
                self.reached = self.reached.saturating_add(reached);
                self.not_reached = self.not_reached.saturating_add(progress.valid - reached);
            }
            None => self.uncounted = self.uncounted.saturating_add(batch.heads.saturating_sub(gone)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::audience::Label;
    use super::super::batch::{InvalidIds, Outcome, Progress};
    use super::super::ids::{BroadcastId, Timestamp};
    use super::*;

    fn batch(state: BatchState, heads: u64) -> Batch {
        Batch {
            broadcast: BroadcastId::parse("K7M2QX").expect("a test id"),
            seq: 1,
            state,
            ids: 1,
            heads,
            attempts: 1,
            not_before: Timestamp(0),
            outcome: Outcome::default(),
            progress: None,
            recall: None,
        }
    }

    #[test]
    fn everybody_is_in_one_place() {
        let mut counted = batch(BatchState::Accepted, 12);
        counted.progress = Some(Progress { valid: 9, reached: 7, read: 7 });
        counted.outcome.invalid = InvalidIds { open_ids: vec!["ou_x".into()], ..InvalidIds::default() };
        let mut fresh = batch(BatchState::Accepted, 50);
        fresh.outcome.invalid = InvalidIds { departments: vec!["od-x".into()], ..InvalidIds::default() };
        fresh.outcome.labels.insert("od-x".into(), Label { heads: Some(40), ..Label::default() });
        let mut tally = Tally::default();
        let doubt = batch(BatchState::InDoubt, 3);
        for batch in [counted, fresh, doubt, batch(BatchState::Cancelled, 5), batch(BatchState::Planned, 2)] {
            tally.add(&batch);
        }
        let expect = Tally {
            reached: 7,
            not_reached: 2,
            uncounted: 10,
            invalid: 41,
            in_doubt: 3,
            not_sent: 5,
            to_go: 2,
            ..Tally::default()
        };
        assert_eq!((tally, tally.total()), (expect, 70));
    }
}
