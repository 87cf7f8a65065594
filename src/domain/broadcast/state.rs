//! The stations of a broadcast's life.

use serde::{Deserialize, Serialize};

/// Where a broadcast stands. The words are fixed by the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    NeedsChoice,
    Pending,
    Approved,
    Scheduled,
    Sending,
    Sent,
    PartlySent,
    Failed,
    InDoubt,
    Rejected,
    Cancelled,
    Expired,
    Recalled,
}

impl State {
    pub const ALL: [State; 13] = [
        State::NeedsChoice,
        State::Pending,
        State::Approved,
        State::Scheduled,
        State::Sending,
        State::Sent,
        State::PartlySent,
        State::Failed,
        State::InDoubt,
        State::Rejected,
        State::Cancelled,
        State::Expired,
        State::Recalled,
    ];

    /// The word in the store, on cards and in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            State::NeedsChoice => "needs-choice",
            State::Pending => "pending",
            State::Approved => "approved",
            State::Scheduled => "scheduled",
            State::Sending => "sending",
            State::Sent => "sent",
            State::PartlySent => "partly-sent",
            State::Failed => "failed",
            State::InDoubt => "in-doubt",
            State::Rejected => "rejected",
            State::Cancelled => "cancelled",
            State::Expired => "expired",
            State::Recalled => "recalled",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Still waiting for people: nothing has been decided.
    pub fn is_undecided(self) -> bool {
        matches!(self, State::NeedsChoice | State::Pending)
    }

    /// Nothing moves any more unless a person acts.
    pub fn is_settled(self) -> bool {
        !matches!(
            self,
            State::NeedsChoice | State::Pending | State::Approved | State::Scheduled | State::Sending | State::InDoubt
        )
    }
}
