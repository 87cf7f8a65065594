//! What the rules ask of a broadcast, and who has a say in it.

use super::{Approval, Broadcast, Stale, State};
use crate::domain::audience::{Audience, Headcount};
use crate::domain::batch::Batch;
use crate::domain::hold::HoldCause;
use crate::domain::ids::Timestamp;
use crate::domain::plan::{self, Targets};
use crate::domain::policy::{Asked, Policy, Terms, heads_of};
use crate::domain::wave::{self, Word};

impl Broadcast {
    /// What decides who has a say in it.
    pub fn asked(&self) -> Asked<'_> {
        Asked {
            author: &self.author,
            required: self.required,
            heads: heads_of(self.audience.headcount),
            inside: &self.terms.inside,
        }
    }

    /// The number that whoever approves has to type, where the rules want that: the people on the card, or the
    /// departments where nothing is known of any.
    pub fn number_to_type(&self) -> Option<u64> {
        let Headcount { known, departments_unknown } = self.audience.headcount;
        self.terms.type_headcount.then_some(if known > 0 { known } else { departments_unknown })
    }

    /// Whether the number that was typed beside an approval is the right one.
    ///
    /// # Errors
    /// `WrongHeadcount` for another number, or none, where the rules want one.
    pub fn typed_right(&self, typed: Option<u64>) -> Result<(), Stale> {
        match self.number_to_type() {
            Some(number) if typed != Some(number) => Err(Stale::WrongHeadcount { typed }),
            _ => Ok(()),
        }
    }

    /// The same, needing what the rules ask for. Only for one that has become pending by this very move.
    pub fn on_terms(self, terms: Terms, audience: &Audience) -> Self {
        Self { required: terms.approvals, terms, ..self }.planned(audience)
    }

    /// The same under the rules of now, where they have become stricter since. Only for one that is not approved yet.
    pub fn tightened(mut self, policy: &Policy) -> Self {
        self.terms = policy.tightened(&self.asked(), &self.terms);
        self.required = self.required.max(self.terms.approvals);
        self
    }

    /// The same, judged by the rules of now: stricter ones hold, and approvals of those who may no longer give one do
    /// not count.
    pub fn judged_by(mut self, policy: &Policy) -> Self {
        let given = std::mem::take(&mut self.approvals);
        let counts = |approval: &Approval| policy.still_counts(&approval.by, &self.asked());
        let approvals = given.into_iter().filter(counts).collect();
        Self { approvals, ..self.tightened(policy) }
    }

    /// The calls it consists of, in their order.
    pub fn batches(&self, audience: &Audience) -> Vec<Targets> {
        wave::plan(audience, self.terms.canary).0
    }

    /// The same, with the fingerprint of its calls: what approvers approve.
    pub fn planned(mut self, audience: &Audience) -> Self {
        let (batches, wave) = wave::plan(audience, self.terms.canary);
        self.fingerprint = plan::fingerprint(&self.content, &batches);
        self.wave = wave;
        self
    }

    /// What the first wave says, from all batches in their order. `None` where that changes nothing.
    pub fn hear_first_wave(mut self, batches: &[Batch], now: Timestamp) -> Option<Self> {
        let canary = self.terms.canary.filter(|_| self.state == State::Sending && self.hold.is_none())?;
        let wave = self.wave.as_mut().filter(|wave| !wave.over)?;
        match wave::word(wave, batches, canary, now) {
            Word::Wait => return None,
            Word::Settling if wave.since.is_some() => return None,
            Word::Settling => wave.since = Some(now),
            Word::Good => wave.over = true,
            Word::TakenBack => return self.on_hold(HoldCause::TakenBack, now),
            Word::Bad { bad, of } => return self.on_hold(HoldCause::FirstWave { bad, of }, now),
        }
        self.revision += 1;
        Some(self)
    }
}
