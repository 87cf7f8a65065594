//! What the rules ask of a broadcast, and who has a say in it.

use super::{Broadcast, Stale};
use crate::domain::audience::Headcount;
use crate::domain::policy::{Asked, Terms, heads_of};

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
    pub fn on_terms(self, terms: Terms) -> Self {
        Self { required: terms.approvals, terms, ..self }
    }
}
