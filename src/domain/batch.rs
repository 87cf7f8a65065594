//! One call of `batch_send` in the ledger.
//!
//! planned --claim--> sending --+--> accepted
//!    ^                         +--> refused    (documented error: certainly not sent)
//!    |                         +--> in-doubt   (nobody can know: only a person moves it on)
//!    +---- certainly not sent, worth another try
//!
//! `sending` is written before the call, the outcome after it. Whoever finds `sending` without its owner knows only
//! that the call may have happened: in doubt.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::audience::Label;
use super::ids::{BatchMessageId, BroadcastId, Timestamp, department_key};
use super::recall::Recall;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchState {
    Planned,
    Sending,
    Accepted,
    Refused,
    InDoubt,
    /// A person took a batch in doubt as sent.
    TakenAsSent,
    /// Cancelled before it left.
    Cancelled,
}

impl BatchState {
    pub const ALL: [BatchState; 7] = [
        BatchState::Planned,
        BatchState::Sending,
        BatchState::Accepted,
        BatchState::Refused,
        BatchState::InDoubt,
        BatchState::TakenAsSent,
        BatchState::Cancelled,
    ];

    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            BatchState::Planned => "planned",
            BatchState::Sending => "sending",
            BatchState::Accepted => "accepted",
            BatchState::Refused => "refused",
            BatchState::InDoubt => "in-doubt",
            BatchState::TakenAsSent => "taken-as-sent",
            BatchState::Cancelled => "cancelled",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// Ids Feishu did not accept, as its four lists give them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidIds {
    pub departments: Vec<String>,
    pub open_ids: Vec<String>,
    pub user_ids: Vec<String>,
    pub union_ids: Vec<String>,
}

impl InvalidIds {
    /// The ids of all four lists, a department under its [`super::ids::DepartmentId::key`].
    pub fn keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let people = [&self.open_ids, &self.user_ids, &self.union_ids];
        let departments = self.departments.iter().map(|id| department_key(id));
        departments.chain(people.into_iter().flatten().map(|id| Cow::Borrowed(id.as_str())))
    }

    pub fn count(&self) -> usize {
        self.departments.len() + self.open_ids.len() + self.user_ids.len() + self.union_ids.len()
    }
}

/// Why a batch that is certainly unsent has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitCause {
    /// Feishu asked for a pause.
    RateLimit,
    /// We keep to Feishu's limit of calls ourselves.
    Pace,
    /// Feishu could not be reached: nothing was written.
    Unreachable,
    /// The app's own credentials were not accepted for the moment.
    Credentials,
    /// The day's messages are used up.
    Quota,
    /// The rules let nothing leave at this time of day.
    QuietHours,
}

impl WaitCause {
    /// Whether it is the clock that lets nothing leave, so that there is no next try to speak of.
    pub fn is_by_the_clock(self) -> bool {
        matches!(self, WaitCause::Quota | WaitCause::QuietHours)
    }
}

/// Why the outcome of a call is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DoubtCause {
    /// No answer, or only part of one.
    NoAnswer,
    /// An answer that says neither yes nor no.
    UnclearAnswer,
    /// The bot stopped between the call and its record.
    Stopped,
}

/// What one call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accepted {
        message_id: BatchMessageId,
        invalid: InvalidIds,
    },
    /// Certainly not sent; may be tried again. `wait` is what Feishu asked for.
    TryAgain {
        cause: WaitCause,
        wait: Option<Duration>,
    },
    /// Certainly not sent, and not worth a try before that moment.
    NotBefore {
        cause: WaitCause,
        moment: Timestamp,
    },
    /// Certainly not sent; a documented error that repeating will not mend.
    Refused {
        code: i64,
        /// The permissions that Feishu named as missing.
        scopes: Vec<String>,
    },
    /// Certainly not sent: every id of the call was called invalid.
    NothingValid {
        invalid: InvalidIds,
    },
    Unknown {
        cause: DoubtCause,
    },
}

/// Delivery as Feishu reports it. All three only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// People the task counted; includes some whom the bot cannot reach, and is 0 until the task starts.
    pub valid: u64,
    pub reached: u64,
    pub read: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub broadcast: BroadcastId,
    /// Position in the plan, from 1.
    pub seq: i64,
    pub state: BatchState,
    /// Ids in its four lists.
    pub ids: usize,
    /// People behind them, as far as known.
    pub heads: u64,
    /// How often it was taken for a call so far.
    pub attempts: i64,
    pub not_before: Timestamp,
    pub outcome: Outcome,
    pub progress: Option<Progress>,
    /// That it was asked back, and what came of it.
    pub recall: Option<Recall>,
}

/// What is known of a batch beyond its state; kept as one document in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub message_id: Option<BatchMessageId>,
    /// When Feishu accepted it; unknown for what was accepted before this was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
    #[serde(default)]
    pub invalid: InvalidIds,
    /// What is known of the invalid ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Label>,
    /// Feishu's error code, for a refusal.
    pub code: Option<i64>,
    /// The permissions that were missing, for a refusal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Feishu's trace id of the last call, for its support.
    pub log_id: Option<String>,
    pub waiting: Option<WaitCause>,
    pub doubt: Option<DoubtCause>,
    /// A call of it came to an unknown end before the last one: it may have gone out then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubted: bool,
    /// How many of its last calls in a row failed for the app's own credentials.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub turned_away: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Longest pause between two tries of a batch that is certainly unsent.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);

/// The pause before try number `attempts` + 1: what Feishu asked for, else 1 s doubling to [`RETRY_WAIT_MAX`];
/// `jitter` in 0..=255 adds up to a quarter, so that many batches do not come back at one moment.
pub fn retry_wait(attempts: i64, asked: Option<Duration>, jitter: u8) -> Duration {
    let doubling = Duration::from_secs(1 << attempts.saturating_sub(1).clamp(0, 6));
    let base = asked.unwrap_or(doubling.min(RETRY_WAIT_MAX));
    base + base.mul_f64(f64::from(jitter) / 255.0 / 4.0)
}

impl Batch {
    /// Writes a verdict into a batch that is being sent.
    pub fn settle(mut self, verdict: Verdict, log_id: Option<String>, now: Timestamp, jitter: u8) -> Self {
        self.outcome.log_id = log_id.or(self.outcome.log_id);
        self.outcome.waiting = None;
        self.outcome.doubted |= self.outcome.doubt.is_some();
        self.outcome.doubt = None;
        let turned_away = std::mem::take(&mut self.outcome.turned_away);
        self.state = match verdict {
            Verdict::Accepted { message_id, invalid } => {
                self.outcome.message_id = Some(message_id);
                self.outcome.accepted_at = Some(now);
                self.outcome.invalid = invalid;
                BatchState::Accepted
            }
            Verdict::TryAgain { cause, wait } => {
                // Nobody sees a wait that is none.
                self.outcome.waiting = (wait != Some(Duration::ZERO)).then_some(cause);
                self.outcome.turned_away = match cause {
                    WaitCause::Credentials => turned_away + 1,
                    // No call was made.
                    WaitCause::Pace => turned_away,
                    _ => 0,
                };
                self.not_before = now.after(retry_wait(self.attempts, wait, jitter));
                BatchState::Planned
            }
            Verdict::NotBefore { cause, moment } => {
                self.outcome.waiting = Some(cause);
                self.not_before = moment;
                BatchState::Planned
            }
            Verdict::Refused { code, scopes } => {
                self.outcome.code = Some(code);
                self.outcome.scopes = scopes;
                BatchState::Refused
            }
            Verdict::NothingValid { invalid } => {
                self.outcome.invalid = invalid;
                BatchState::Refused
            }
            Verdict::Unknown { cause } => {
                self.outcome.doubt = Some(cause);
                BatchState::InDoubt
            }
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sending() -> Batch {
        Batch {
            broadcast: BroadcastId::parse("K7M2QX").expect("a test id"),
            seq: 1,
            state: BatchState::Sending,
            ids: 1,
            heads: 1,
            attempts: 1,
            not_before: Timestamp(0),
            outcome: Outcome::default(),
            progress: None,
            recall: None,
        }
    }

    #[test]
    fn an_unknown_outcome_is_never_planned_again() {
        let batch = sending().settle(Verdict::Unknown { cause: DoubtCause::NoAnswer }, None, Timestamp(5), 0);
        assert_eq!(batch.state, BatchState::InDoubt);
    }

    #[test]
    fn what_was_once_unknown_stays_known_as_such() {
        let mut batch = sending().settle(Verdict::Unknown { cause: DoubtCause::NoAnswer }, None, Timestamp(5), 0);
        batch.state = BatchState::Sending;
        let refused = batch.settle(Verdict::Refused { code: 11_203, scopes: vec![] }, None, Timestamp(9), 0);
        assert_eq!((refused.state, refused.outcome.doubted), (BatchState::Refused, true));
    }

    #[test]
    fn a_refused_connection_waits_and_is_planned_again() {
        let verdict = Verdict::TryAgain { cause: WaitCause::Unreachable, wait: None };
        let batch = sending().settle(verdict, None, Timestamp(5), 0);
        assert_eq!((batch.state, batch.not_before), (BatchState::Planned, Timestamp(1005)));
    }

    #[test]
    fn only_failures_of_the_credentials_in_a_row_are_counted() {
        let again = |batch: Batch, cause| batch.settle(Verdict::TryAgain { cause, wait: None }, None, Timestamp(5), 0);
        let twice = again(again(sending(), WaitCause::Credentials), WaitCause::Credentials);
        assert_eq!(twice.outcome.turned_away, 2);
        assert_eq!(again(twice.clone(), WaitCause::Unreachable).outcome.turned_away, 0);
        let refused = twice.settle(Verdict::Refused { code: 10_014, scopes: vec![] }, None, Timestamp(5), 0);
        assert_eq!(refused.outcome.turned_away, 0, "told to go on, it is tried as often again");
    }

    #[test]
    fn the_pause_doubles_to_a_minute_and_feishu_is_obeyed() {
        let seconds = |attempts| retry_wait(attempts, None, 0).as_secs();
        assert_eq!([1, 2, 3, 7, 70].map(seconds), [1, 2, 4, 60, 60]);
        assert_eq!(retry_wait(1, Some(Duration::from_secs(41)), 0).as_secs(), 41);
        assert!(retry_wait(1, Some(Duration::from_secs(40)), 255) <= Duration::from_secs(50));
    }

    #[test]
    fn every_state_has_its_own_word() {
        for state in BatchState::ALL {
            assert_eq!(BatchState::parse(state.as_str()), Some(state));
        }
    }
}
