//! What time does to a broadcast, and what its author says after time has done it: deadlines, the moment to leave, and
//! holds.

use std::time::Duration;

use super::{Approval, Broadcast, Ending, Revised, Stale, State};
use crate::domain::hold::{AWAY_MAX, Hold, HoldCause, REFUSALS_MAX};
use crate::domain::ids::Timestamp;
use crate::domain::report::Report;
use crate::domain::schedule;

impl Broadcast {
    /// Until when it may be decided: its time to live, or as long after the time it is scheduled for as a late start is
    /// none that anybody has to be asked about.
    pub fn deadline(&self) -> Timestamp {
        self.send_at.map_or(self.expires_at, |at| self.expires_at.min(at.after(AWAY_MAX)))
    }

    /// Nothing more is to be decided: it leaves now, or at its time, which is not before it has rested for as long as the
    /// rules ask.
    pub(super) fn released(mut self, now: Timestamp) -> Self {
        if self.terms.cooling_off_ms > 0 && self.state == State::Pending {
            let rested = now.after(Duration::from_millis(self.terms.cooling_off_ms));
            self.send_at = Some(self.send_at.map_or(rested, |at| at.max(rested)));
        }
        match self.send_at.filter(|at| *at > now) {
            Some(at) => {
                self = self.moved(State::Scheduled);
                self.wake_at = Some(schedule::next_look(at, now));
                self
            }
            None => self.moved(State::Approved),
        }
    }

    /// The time for which it still waits; none once that has come.
    pub fn leaves_at(&self) -> Option<Timestamp> {
        self.send_at.filter(|_| self.state.is_undecided() || self.state == State::Scheduled)
    }

    /// Whether it waits for nothing but the rest that the rules ask for.
    pub fn is_resting(&self) -> bool {
        let rested = |approval: &Approval| approval.at.after(Duration::from_millis(self.terms.cooling_off_ms));
        self.state == State::Scheduled
            && self.terms.cooling_off_ms > 0
            && self.approvals.last().map(rested) == self.send_at
    }

    /// What time brings: a minute less to wait, or the moment to leave. Long after that moment its author is asked.
    /// `None` where it waits for nothing, or not yet.
    pub fn come(mut self, now: Timestamp) -> Option<Self> {
        let at = self.send_at.filter(|_| self.state == State::Scheduled && self.hold.is_none())?;
        if now < self.wake_at.unwrap_or(at) {
            None
        } else if now < at {
            self.wake_at = Some(schedule::next_look(at, now));
            self.revision += 1;
            Some(self)
        } else if now.since(at) > AWAY_MAX {
            self.on_hold(HoldCause::Late, now)
        } else {
            Some(self.moved(State::Approved))
        }
    }

    /// Lets it leave at another time, or without one as soon as it is approved. Whoever had approved did so for another
    /// time, and is asked again.
    ///
    /// # Errors
    /// `Decided` once it is approved; `Outdated`, `Expired` as for every press.
    pub fn reschedule(mut self, at: Option<Timestamp>, version: i64, now: Timestamp) -> Result<Self, Stale> {
        let state = if self.state.is_undecided() { self.state } else { State::Pending };
        self.undecided(state, version, now)?;
        self.send_at = at;
        if !self.approvals.is_empty() {
            // That the content was written anew is said on, whatever becomes of the time.
            let rewritten = self.revised.as_ref().filter(|before| !before.time_alone).map(|before| before.at);
            let at = rewritten.unwrap_or(now);
            self.revised = Some(Revised { at, void: self.void(), time_alone: rewritten.is_none() });
        }
        Ok(self.moved(state))
    }

    /// Ends a broadcast nobody decided in time.
    ///
    /// # Errors
    /// `Decided` when it is no longer open, `Outdated` when its time has not come.
    pub fn expire(mut self, now: Timestamp) -> Result<Self, Stale> {
        if !self.state.is_undecided() {
            return Err(Stale::Decided { state: self.state });
        }
        if now < self.deadline() {
            return Err(Stale::Outdated);
        }
        self.ending = Some(Ending::new(None, now));
        Ok(self.moved(State::Expired))
    }

    /// Puts a broadcast on hold that could still send something. `None` where there is nothing to hold: it has ended, was
    /// stopped or taken back and has only a call left that is on its way, or waits for its author already. Only that the
    /// database was restored is said of one on hold as well: whatever else it was held for may have been decided since.
    pub fn on_hold(mut self, cause: HoldCause, now: Timestamp) -> Option<Self> {
        let said = self.hold.is_some_and(|held| held.cause == cause || cause != HoldCause::Restored);
        if said || self.state.is_settled() || self.ending.is_some() {
            return None;
        }
        self.hold = Some(Hold { cause, since: now });
        self.wake_at = None;
        let state = self.state;
        Some(self.moved(state))
    }

    /// The author says that it is still to be sent.
    ///
    /// # Errors
    /// `NotOnHold` when it waits for nobody (any more), `Outdated` for an older card.
    pub fn go_on(mut self, version: i64, now: Timestamp) -> Result<Self, Stale> {
        if self.hold.is_none() {
            return Err(Stale::NotOnHold);
        }
        if self.version != version {
            return Err(Stale::Outdated);
        }
        if let (Some(HoldCause::FirstWave { .. } | HoldCause::TakenBack), Some(wave)) =
            (self.hold.map(|hold| hold.cause), &mut self.wave)
        {
            wave.over = true;
        }
        self.hold = None;
        match self.state {
            State::Scheduled => Ok(self.released(now)),
            state => Ok(self.moved(state)),
        }
    }

    /// The code for which batches were refused that are tried again when its author says go on: it holds the broadcast, or
    /// came so often meanwhile that it would. None where the broadcast was stopped: nothing of that leaves any more.
    pub fn refused_for(&self, report: &Report) -> Option<i64> {
        match self.hold.filter(|_| self.ending.is_none())?.cause {
            HoldCause::Refused { code } => Some(code),
            _ => report.refused_in_a_row.filter(|(_, times)| *times >= REFUSALS_MAX).map(|(code, _)| code),
        }
    }
}
