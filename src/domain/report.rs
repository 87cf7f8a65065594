//! The numbers of a broadcast, added up from its batches.
//!
//! Three words, three numbers: accepted by Feishu is not delivered, and delivered is not read.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::audience::{Headcount, Label};
use super::batch::{Batch, BatchState, InvalidIds, WaitCause};
use super::ids::{BatchMessageId, DepartmentId, Timestamp};
use super::plan::Targets;
use super::recall::Recalls;
use super::tally::Tally;

/// What the batches of one broadcast come to at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub batches: usize,
    pub accepted: usize,
    pub refused: usize,
    pub in_doubt: usize,
    /// Who stands in batches in doubt, where the caller has looked that up.
    pub doubtful: Doubtful,
    pub taken_as_sent: usize,
    pub cancelled: usize,
    /// Of the refused and cancelled ones those whose earlier call came to an unknown end: they may have gone out.
    pub once_in_doubt: usize,
    /// Planned, to be sent again after a call that may have brought it already.
    pub to_be_repeated: usize,
    /// Planned and under way.
    pub open: usize,
    /// Of the open ones those that have left and are not answered yet.
    pub sending: usize,
    /// Of the open ones those that have not left.
    pub planned: usize,
    /// The code of the last batch that came to an end, if it was refused, and how many before it in a row were refused
    /// with the same one.
    pub refused_in_a_row: Option<(i64, usize)>,
    /// Ids named in all batches.
    pub ids: usize,
    /// Ids in accepted batches that Feishu did not call invalid.
    pub ids_accepted: usize,
    /// What Feishu calls the accepted ones, each with its number.
    pub message_ids: Vec<(i64, BatchMessageId)>,
    pub invalid: InvalidIds,
    /// What is known of the invalid ids.
    pub labels: BTreeMap<String, Label>,
    /// Distinct error codes of refused batches, in the order of the batches.
    pub codes: Vec<i64>,
    /// Permissions that Feishu named as missing.
    pub scopes: BTreeSet<String>,
    /// Feishu's trace ids of refused or doubtful calls.
    pub log_ids: Vec<String>,
    /// People delivered to and people who read, once Feishu has reported anything.
    pub reached: Option<u64>,
    pub read: Option<u64>,
    pub counted: u64,
    /// Where everybody is.
    pub tally: Tally,
    pub recalls: Recalls,
    /// When Feishu accepted the last batch.
    pub accepted_last: Option<Timestamp>,
    /// Why the next batch waits, and until when.
    pub waiting: Option<(WaitCause, Timestamp)>,
}

/// Whoever stands in batches in doubt: they may have got it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doubtful {
    /// The first ones, as their author knows them, at most [`DOUBTFUL_NAMED_MAX`].
    pub named: Vec<String>,
    pub ids: usize,
    pub headcount: Headcount,
}

/// Targets in doubt that are named before they are sent to again.
pub const DOUBTFUL_NAMED_MAX: usize = 5;

impl Doubtful {
    /// Adds a batch in doubt.
    pub fn add(&mut self, targets: &Targets, labels: &BTreeMap<String, Label>, heads: u64) {
        let name = |(key, id): (Cow<'_, str>, &str)| {
            labels.get(key.as_ref()).and_then(|label| label.name.clone()).unwrap_or_else(|| id.to_owned())
        };
        let left = DOUBTFUL_NAMED_MAX - self.named.len();
        self.named.extend(targets.keys().zip(targets.ids()).take(left).map(name));
        self.ids += targets.count();
        self.headcount.known = self.headcount.known.saturating_add(heads);
        let known = |id: &DepartmentId| labels.get(id.key().as_ref()).is_some_and(|label| label.heads.is_some());
        let unknown = targets.department_ids.iter().filter(|id| !known(id)).count();
        self.headcount.departments_unknown += unknown as u64;
    }
}

impl Report {
    /// Adds up batches in the order of their plan.
    pub fn of(batches: &[Batch]) -> Self {
        let mut report = Self { batches: batches.len(), ..Self::default() };
        for batch in batches {
            report.add(batch);
        }
        report
    }

    /// Whether anything can still be stopped: what waits, and what is on its way but may come back unsent.
    pub fn can_be_stopped(&self) -> bool {
        self.open > 0
    }

    /// What keeps all of it back, by the clock: nothing of it has left, although it may be sent.
    pub fn kept_back(&self) -> Option<WaitCause> {
        let (cause, _) = self.waiting.filter(|_| !self.some_left())?;
        cause.is_by_the_clock().then_some(cause)
    }

    /// Whether any batch has left, or may have.
    pub fn some_left(&self) -> bool {
        let doubtful = self.in_doubt + self.once_in_doubt + self.to_be_repeated;
        self.accepted + self.taken_as_sent + self.sending + doubtful > 0
    }

    fn add(&mut self, batch: &Batch) {
        self.ids += batch.ids;
        self.tally.add(batch);
        self.recalls.add(batch);
        self.accepted_last = self.accepted_last.max(batch.outcome.accepted_at);
        let invalid = &batch.outcome.invalid;
        self.invalid.departments.extend(invalid.departments.iter().cloned());
        self.invalid.open_ids.extend(invalid.open_ids.iter().cloned());
        self.invalid.user_ids.extend(invalid.user_ids.iter().cloned());
        self.invalid.union_ids.extend(invalid.union_ids.iter().cloned());
        self.labels.extend(batch.outcome.labels.iter().map(|(id, label)| (id.clone(), label.clone())));
        let once = batch.outcome.doubted || batch.outcome.doubt.is_some();
        if once && matches!(batch.state, BatchState::Refused | BatchState::Cancelled) {
            self.once_in_doubt += 1;
        }
        self.to_be_repeated += usize::from(once && batch.state == BatchState::Planned);
        match batch.state {
            BatchState::Accepted => {
                self.refused_in_a_row = None;
                self.accepted += 1;
                self.ids_accepted += batch.ids.saturating_sub(batch.outcome.invalid.count());
                self.message_ids.extend(batch.outcome.message_id.clone().map(|id| (batch.seq, id)));
            }
            BatchState::Refused => {
                self.refused += 1;
                self.refused_in_a_row = batch.outcome.code.map(|code| match self.refused_in_a_row {
                    Some((same, times)) if same == code => (code, times + 1),
                    _ => (code, 1),
                });
                self.scopes.extend(batch.outcome.scopes.iter().cloned());
                self.codes.extend(batch.outcome.code.filter(|code| !self.codes.contains(code)));
                self.log_ids.extend(batch.outcome.log_id.clone());
            }
            BatchState::InDoubt => {
                self.in_doubt += 1;
                self.log_ids.extend(batch.outcome.log_id.clone());
            }
            BatchState::TakenAsSent => self.taken_as_sent += 1,
            BatchState::Cancelled => self.cancelled += 1,
            BatchState::Planned | BatchState::Sending => {
                self.open += 1;
                self.sending += usize::from(batch.state == BatchState::Sending);
                self.planned += usize::from(batch.state == BatchState::Planned);
                if let (None, Some(cause)) = (self.waiting, batch.outcome.waiting) {
                    self.waiting = Some((cause, batch.not_before));
                }
            }
        }
        if let Some(progress) = batch.progress {
            self.reached = Some(self.reached.unwrap_or(0).saturating_add(progress.reached));
            self.read = Some(self.read.unwrap_or(0).saturating_add(progress.read));
            self.counted = self.counted.saturating_add(progress.valid);
        }
    }
}
