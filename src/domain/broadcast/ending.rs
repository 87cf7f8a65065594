//! How a broadcast ended before it was sent, and the end of one whose content was taken back elsewhere.

use serde::{Deserialize, Serialize};

use super::{Broadcast, Stale, State};
use crate::domain::ids::{BroadcastId, OpenId, Timestamp};
use crate::domain::report::Report;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Nobody for an expiry, nor where a command was recalled.
    pub by: Option<OpenId>,
    pub reason: Option<String>,
    pub at: Timestamp,
    /// Cancelled because the message of its command was taken back.
    #[serde(default)]
    pub command_recalled: bool,
    /// Cancelled because this broadcast, whose content it was to bring to others, was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_recalled: Option<BroadcastId>,
}

impl Ending {
    /// Without a reason.
    pub(super) fn new(by: Option<&OpenId>, at: Timestamp) -> Self {
        Self { by: by.cloned(), reason: None, at, command_recalled: false, source_recalled: None }
    }
}

impl Broadcast {
    /// Whether it had all its approvals before an approver stopped it, while it waited for its time.
    pub fn was_stopped(&self) -> bool {
        self.state == State::Rejected && self.approvals.len() as u64 >= u64::from(self.required.max(1))
    }

    /// Stops what has not been sent of a repair, because `by` took back the broadcast whose content it brings to others.
    ///
    /// # Errors
    /// As [`Self::cancel`], whose rules for `report` and the open batches hold here as well.
    pub fn not_repaired_any_more(
        self,
        by: &OpenId,
        recalled: &BroadcastId,
        report: &Report,
        now: Timestamp,
    ) -> Result<Self, Stale> {
        let mut after = self.cancel(by, report, now)?;
        if let Some(ending) = &mut after.ending {
            ending.source_recalled = Some(recalled.clone());
        }
        Ok(after)
    }
}
