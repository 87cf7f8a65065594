//! Taking a broadcast back after it was sent, and saying the right thing in its place.

use super::{Broadcast, Ending, Stale, State};
use crate::domain::batch::{Batch, BatchState};
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::recall::{RecallOrder, is_open_to_recall};

impl Broadcast {
    /// Whether all of it was asked back, what is still on its way included.
    pub fn is_wanted_back(&self) -> bool {
        self.recall.as_ref().is_some_and(|order| order.whole)
    }

    /// Whether it was taken back, or is to be: nobody else is sent what it says.
    pub fn is_taken_back(&self) -> bool {
        self.state == State::Recalled || self.is_wanted_back()
    }

    /// Whether a recall has begun and not come to its end.
    pub fn is_being_recalled(&self) -> bool {
        self.recall.as_ref().is_some_and(|order| !order.over)
    }

    /// Takes it back: all of it, or the batch of that number alone. Returns the numbers of the batches that Feishu is to
    /// be asked about; the caller writes that down and cancels, for the whole, what has not left, in one transaction.
    /// What is on its way is asked back when it turns out to be accepted.
    ///
    /// # Errors
    /// `NotSentYet` before anything has left, `Decided` where it ended unsent, `Outdated` for an older card,
    /// `NoSuchBatch`, `RecalledAlready`, and `NothingToRecall` where no batch has an id.
    pub fn take_back(
        mut self,
        by: &OpenId,
        batch: Option<i64>,
        batches: &[Batch],
        version: i64,
        now: Timestamp,
    ) -> Result<(Self, Vec<i64>), Stale> {
        match self.state {
            State::NeedsChoice | State::Pending | State::Approved | State::Scheduled => return Err(Stale::NotSentYet),
            State::Rejected | State::Cancelled | State::Expired => return Err(Stale::Decided { state: self.state }),
            State::Sending | State::Sent | State::PartlySent | State::Failed | State::InDoubt | State::Recalled => {}
        }
        if self.version != version {
            return Err(Stale::Outdated);
        }
        let wanted = |row: &&Batch| batch.is_none_or(|seq| row.seq == seq);
        let open: Vec<i64> =
            batches.iter().filter(wanted).filter(|row| is_open_to_recall(row)).map(|row| row.seq).collect();
        let on_its_way = batch.is_none() && batches.iter().any(|row| row.state == BatchState::Sending);
        if open.is_empty() && (!on_its_way || (self.is_wanted_back() && self.is_being_recalled())) {
            let coming = |row: &Batch| self.is_wanted_back() && row.state == BatchState::Sending;
            let known = batches.iter().filter(wanted).any(|row| row.recall.is_some() || coming(row));
            return Err(match batch {
                _ if known => Stale::RecalledAlready,
                Some(_) => Stale::NoSuchBatch,
                None if self.is_being_recalled() => Stale::RecalledAlready,
                None => Stale::NothingToRecall,
            });
        }
        // Its last batches one by one are all of it as well.
        let stays = |row: &Batch| {
            let unsettled = matches!(row.state, BatchState::Planned | BatchState::Sending | BatchState::InDoubt);
            unsettled || (is_open_to_recall(row) && !open.contains(&row.seq))
        };
        let whole = batch.is_none() || self.is_wanted_back() || !batches.iter().any(stays);
        if whole {
            self.hold = None;
            self.ending.get_or_insert(Ending::new(Some(by), now));
        }
        self.recall = Some(RecallOrder { by: by.clone(), at: now, whole, over: false });
        let state = self.state;
        Ok((self.moved(state), open))
    }

    /// Whether its author may propose something to the same people in its place.
    ///
    /// # Errors
    /// `NotRecalled` before it was, `Corrected` where that was done, `Outdated` for an older card.
    pub fn may_be_corrected(&self, version: i64) -> Result<(), Stale> {
        if self.state != State::Recalled {
            return Err(Stale::NotRecalled);
        }
        if let Some(by) = &self.corrected {
            return Err(Stale::Corrected { by: by.clone() });
        }
        if self.version != version { Err(Stale::Outdated) } else { Ok(()) }
    }
}
