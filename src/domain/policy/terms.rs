//! What one broadcast needs before and while it is sent, decided once from the rules and what is known of its audience.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rules::{AuthorRule, Authors, Kind, Place};
use super::{Asked, Policy};
use crate::domain::audience::{Audience, Headcount};
use crate::domain::ids::{DepartmentId, OpenId};

/// Targets that a refusal names.
const STRAYED_MAX: usize = 10;

/// A part of an audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    /// So many people.
    People(u64),
    /// So many of a hundred.
    Percent(u8),
}

impl Share {
    /// How many of `whole` that is, rounded up.
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Share::People(people) => people.min(whole),
            Share::Percent(percent) => whole.saturating_mul(u64::from(percent)).div_ceil(100).min(whole),
        }
    }

    /// Whether `part` of `whole` is more than this.
    pub fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        match self {
            Share::People(people) => part > people,
            Share::Percent(percent) => u128::from(part) * 100 > u128::from(whole) * u128::from(percent),
        }
    }
}

/// A first wave, and what it may show at most before the rest follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Who gets it first.
    pub first: Share,
    /// How many of the first may be invalid or out of reach.
    pub invalid_max: Share,
}

/// The size rule that applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Its line in the policy file.
    pub line: usize,
    /// It is for more people than this.
    pub above: u64,
    /// And for no more than this; `None`: no end.
    pub up_to: Option<u64>,
}

/// What a broadcast needs. Documents from before there were any have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// Distinct approvers, never counting the author; 0: the author decides.
    pub approvals: u32,
    /// Whoever approves types the headcount.
    pub type_headcount: bool,
    /// How long it rests between the last approval and the first batch, in ms; 0 is not at all.
    pub cooling_off_ms: u64,
    pub canary: Option<Canary>,
    /// The departments of which each holds the whole audience, as far as that is known: what tells who else may approve.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub inside: BTreeSet<DepartmentId>,
    /// The departments that bound its author when it was proposed; empty: none did.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub bounds: BTreeSet<DepartmentId>,
    /// The rule behind it, where the policy file has one.
    pub tier: Option<Tier>,
}

/// A target that a rule does not let its author address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strayed {
    /// A department with its path, or a person, as on cards.
    pub shown: String,
    /// Where it lies is known, and is elsewhere; if not, that is why it is refused.
    pub elsewhere: bool,
}

/// Why an author may not propose that, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Targets may not be named in this way.
    Kind { rule: Place, kind: Kind, allowed: BTreeSet<Kind> },
    /// Targets outside of the author's departments: the first few, and how many.
    Outside { rule: Place, strayed: Vec<Strayed>, total: usize, allowed: BTreeSet<DepartmentId> },
    /// The day's broadcasts are used up.
    PerDay { rule: Place, used: u64, most: u32 },
    /// It could never be approved.
    TooFewApprovers { required: u32, possible: usize, tier: Option<Tier> },
}

/// A headcount that can be relied on; none where a part of it is not known.
pub fn heads_of(headcount: Headcount) -> Option<u64> {
    (headcount.departments_unknown == 0).then_some(headcount.known)
}

impl Policy {
    /// The rule that says what this admin may author; none where the file says nothing about them, and then they may
    /// author everything.
    pub fn author_rule(&self, author: &OpenId) -> Option<&AuthorRule> {
        self.rules.authors.iter().find(|rule| match &rule.who {
            Authors::These(people) => self.rolls.include(people, author),
            Authors::Others => true,
        })
    }

    /// Whether targets of these kinds may be named by this author.
    ///
    /// # Errors
    /// `Kind` with the first that may not.
    pub fn may_name(&self, author: &OpenId, kinds: impl IntoIterator<Item = Kind>) -> Result<(), Refusal> {
        let Some(rule) = self.author_rule(author) else { return Ok(()) };
        match kinds.into_iter().find(|kind| !rule.kinds.contains(kind)) {
            Some(kind) => Err(Refusal::Kind { rule: rule.place.clone(), kind, allowed: rule.kinds.clone() }),
            None => Ok(()),
        }
    }

    /// Whether this author may propose one more today, having proposed `used`.
    ///
    /// # Errors
    /// `PerDay` where the day's are used up.
    pub fn may_propose(&self, author: &OpenId, used: u64) -> Result<(), Refusal> {
        match self.author_rule(author) {
            Some(AuthorRule { place, per_day: Some(most), .. }) if used >= u64::from(*most) => {
                Err(Refusal::PerDay { rule: place.clone(), used, most: *most })
            }
            _ => Ok(()),
        }
    }

    /// The departments that bind this author; none where they may address any.
    fn bounds(&self, author: &OpenId) -> Option<(&Place, &BTreeSet<DepartmentId>)> {
        // Whoever may address everyone may address any part of them.
        if self.may_address_everyone(author) {
            return None;
        }
        let rule = self.author_rule(author)?;
        rule.departments.as_ref().map(|departments| (&rule.place, departments))
    }

    /// Whether it must be known where the people of an audience are, before [`Policy::terms`] can tell.
    pub fn asks_where_people_are(&self, author: &OpenId) -> bool {
        self.bounds(author).is_some() || !self.rules.approvers.is_empty()
    }

    /// What a broadcast of `author` to this audience needs.
    ///
    /// # Errors
    /// `Outside` for targets that the author may not address, or of whom that cannot be told; `TooFewApprovers` where it
    /// could never be approved.
    pub fn terms(&self, author: &OpenId, audience: &Audience) -> Result<Terms, Refusal> {
        self.within(author, |allowed| strayed(audience, allowed))?;
        let inside = if self.rules.approvers.is_empty() { BTreeSet::new() } else { common(audience) };
        self.needs(author, audience, inside)
    }

    /// The same for an audience that was let pass on the terms `before` and is asked about again: where its people are was
    /// looked up then, and is not kept. It still counts where the author's bounds were no wider than they are now.
    ///
    /// # Errors
    /// As [`Policy::terms`].
    pub fn terms_again(&self, author: &OpenId, audience: &Audience, before: &Terms) -> Result<Terms, Refusal> {
        let as_narrow =
            self.bounds(author).is_some_and(|(_, now)| !before.bounds.is_empty() && before.bounds.is_subset(now));
        match as_narrow {
            true => self.within(author, |allowed| strayed_departments(audience, allowed))?,
            false => self.within(author, |allowed| strayed(audience, allowed))?,
        }
        self.needs(author, audience, before.inside.clone())
    }

    fn within<'a, S: Iterator<Item = Strayed>>(
        &'a self,
        author: &OpenId,
        strayed: impl FnOnce(&'a BTreeSet<DepartmentId>) -> S,
    ) -> Result<(), Refusal> {
        let Some((rule, allowed)) = self.bounds(author) else { return Ok(()) };
        let mut total = 0;
        let mut strayed = strayed(allowed).inspect(|_| total += 1);
        let first: Vec<Strayed> = strayed.by_ref().take(STRAYED_MAX).collect();
        strayed.for_each(drop);
        if total == 0 {
            return Ok(());
        }
        Err(Refusal::Outside { rule: rule.clone(), strayed: first, total, allowed: allowed.clone() })
    }

    /// The terms of a broadcast that waits for its approvals, by the rules of now: whatever these ask for beyond what was
    /// asked for, and nothing less. A first wave stays what it was: it is a part of the plan that is being approved.
    pub fn tightened(&self, asked: &Asked<'_>, before: &Terms) -> Terms {
        let now = self.of_size(asked.heads);
        let mut terms = before.clone();
        // Documents from before there were terms say only how many are required.
        if now.approvals > asked.required {
            terms.approvals = now.approvals;
        }
        terms.type_headcount |= now.type_headcount;
        terms.cooling_off_ms = terms.cooling_off_ms.max(now.cooling_off_ms);
        if terms != *before {
            terms.tier = now.tier;
        }
        terms
    }

    /// What so many people alone ask for.
    pub(super) fn of_size(&self, heads: Option<u64>) -> Terms {
        let mut terms = Terms { approvals: self.approvals_required, ..Terms::default() };
        if let Some((size, above)) = self.rules.size(heads) {
            terms.approvals = size.approvals;
            terms.type_headcount = size.type_headcount;
            terms.cooling_off_ms = size.cooling_off_ms;
            terms.canary = size.canary;
            terms.tier = Some(Tier { line: size.place.line, above, up_to: size.up_to });
        }
        terms
    }

    fn needs(&self, author: &OpenId, audience: &Audience, inside: BTreeSet<DepartmentId>) -> Result<Terms, Refusal> {
        let heads = heads_of(audience.headcount());
        let bounds = self.bounds(author).map(|(_, departments)| departments.clone()).unwrap_or_default();
        let terms = Terms { inside, bounds, ..self.of_size(heads) };
        let asked = Asked { author, required: terms.approvals, heads, inside: &terms.inside };
        let possible = self.approvers_of(&asked).len();
        if possible < usize::try_from(terms.approvals).unwrap_or(usize::MAX) {
            return Err(Refusal::TooFewApprovers { required: terms.approvals, possible, tier: terms.tier });
        }
        Ok(terms)
    }
}

/// The departments that do not lie, provably, inside of one of these.
fn strayed_departments<'a>(
    audience: &'a Audience,
    allowed: &'a BTreeSet<DepartmentId>,
) -> impl Iterator<Item = Strayed> + 'a {
    audience.departments.iter().filter_map(move |department| {
        let inside = allowed.contains(&department.id) || department.above.iter().any(|above| allowed.contains(above));
        let known = !department.path.is_empty() && !department.cut;
        (!inside).then(|| Strayed { shown: department.full_path(), elsewhere: known })
    })
}

/// The same of departments and people.
fn strayed<'a>(audience: &'a Audience, allowed: &'a BTreeSet<DepartmentId>) -> impl Iterator<Item = Strayed> + 'a {
    let people = audience.named_people().filter_map(move |(shown, id)| {
        let around = audience.around.get(id);
        let inside = around.is_some_and(|around| !around.departments.is_disjoint(allowed));
        (!inside).then(|| Strayed { shown, elsewhere: around.is_some_and(|around| !around.cut) })
    });
    strayed_departments(audience, allowed).chain(people)
}

/// The departments of which each holds the whole audience.
fn common(audience: &Audience) -> BTreeSet<DepartmentId> {
    let departments = audience
        .departments
        .iter()
        .map(|department| department.above.iter().chain([&department.id]).cloned().collect::<BTreeSet<DepartmentId>>());
    let people = audience.named_people().map(|(_, id)| match audience.around.get(id) {
        Some(around) => around.departments.clone(),
        None => BTreeSet::new(),
    });
    departments.chain(people).reduce(|all, next| &all & &next).unwrap_or_default()
}

#[cfg(test)]
mod tests;
