//! Moves of a broadcast that was proposed and is not sent yet: its command is recalled, its author writes it anew, its
//! deadline comes near.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Broadcast, Ending, Stale, State};
use crate::domain::audience::Audience;
use crate::domain::content::Content;
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::lint::Finding;

/// What is left of what was to be approved before its author changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revised {
    pub at: Timestamp,
    /// Who had approved what is no more: none of it counts.
    pub void: Vec<OpenId>,
    /// The content is what it was: it is to leave at another time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub time_alone: bool,
}

/// A content in the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub content: Content,
    pub findings: Vec<Finding>,
    /// Whether one of them must be accepted by the author before anyone is asked.
    pub unaccepted: bool,
    /// How long approvers have from now on.
    pub ttl: Duration,
}

/// The longest time before the deadline at which people are reminded of it.
const REMINDER_MAX: Duration = Duration::from_secs(3600);

/// When those who have not decided are reminded, where they were asked at `asked`: an hour before the deadline, and a
/// quarter of the time there is where that is less.
pub fn remind_at(asked: Timestamp, expires: Timestamp) -> Timestamp {
    let before = (expires.since(asked) / 4).min(REMINDER_MAX);
    Timestamp(expires.0.saturating_sub(i64::try_from(before.as_millis()).expect("an hour at most")))
}

impl Broadcast {
    /// Withdraws a broadcast of which nothing has begun to leave, because its command was recalled. By whom, Feishu does
    /// not say.
    ///
    /// # Errors
    /// `Decided` once sending has begun, and for a broadcast that has ended.
    pub fn withdraw(mut self, now: Timestamp) -> Result<Self, Stale> {
        match self.state {
            State::NeedsChoice | State::Pending | State::Approved | State::Scheduled => {
                self.ending = Some(Ending { command_recalled: true, ..Ending::new(None, now) });
                Ok(self.moved(State::Cancelled))
            }
            state => Err(Stale::Decided { state }),
        }
    }

    /// The author writes it anew: what was approved is no more, so whoever approved it is asked again, with all the time
    /// there is. Pending again, unless something in the content must be accepted first.
    ///
    /// # Errors
    /// `Outdated`, `Expired`, `Decided` as for every press, `OnHold` before the author has said that it is still to be
    /// sent.
    pub fn edit(mut self, edit: Edit, audience: &Audience, version: i64, now: Timestamp) -> Result<Self, Stale> {
        self.may_be_edited(version, now)?;
        self.revised = Some(Revised { at: now, void: self.void(), time_alone: false });
        self.content = edit.content;
        self.findings = edit.findings;
        self.unaccepted = edit.unaccepted;
        self.expires_at = now.after(edit.ttl);
        self.fingerprint.clear();
        Ok(self.ask_for_approval(audience))
    }

    /// Nobody has approved it any more. Returns who had, now or before an earlier change.
    pub(super) fn void(&mut self) -> Vec<OpenId> {
        let mut void = self.revised.take().map_or_else(Vec::new, |before| before.void);
        void.extend(self.approvals.drain(..).map(|approval| approval.by));
        let mut seen = std::collections::BTreeSet::new();
        void.retain(|person| seen.insert(person.clone()));
        void
    }

    /// Whether its author may write it anew.
    ///
    /// # Errors
    /// As [`Self::edit`].
    pub fn may_be_edited(&self, version: i64, now: Timestamp) -> Result<(), Stale> {
        self.undecided(State::Pending, version, now)?;
        self.not_on_hold()
    }

    /// Whether it is this approver's word that is missing.
    pub fn waits_for(&self, approver: &OpenId) -> bool {
        self.state == State::Pending
            && self.hold.is_none()
            && self.required > 0
            && self.author != *approver
            && self.approvals.iter().all(|approval| approval.by != *approver)
    }

    /// Who approved what was there before its author changed it, and has not approved this.
    pub fn void_approvals(&self) -> impl Iterator<Item = &OpenId> {
        let void = self.revised.iter().flat_map(|revised| &revised.void);
        void.filter(|person| self.approvals.iter().all(|approval| approval.by != **person))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_reminded_an_hour_before_or_for_a_quarter_of_a_short_time() {
        let minutes = |asked, ttl: i64| {
            let expires = Timestamp(asked + ttl * 60_000);
            (expires.0 - remind_at(Timestamp(asked), expires).0) / 60_000
        };
        assert_eq!([24 * 60, 4 * 60, 120, 20, 0].map(|ttl| minutes(7, ttl)), [60, 60, 30, 5, 0]);
        assert_eq!(remind_at(Timestamp(9), Timestamp(5)), Timestamp(5), "what is over is not reminded of later");
    }
}
