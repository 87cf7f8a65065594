//! The finer rules of a policy file, as values. Each knows where it stands, so that whoever it stops can be told.

use std::collections::BTreeSet;

use super::people::People;
use super::terms::Canary;
use crate::domain::command::Target;
use crate::domain::ids::DepartmentId;
use crate::domain::quiet::QuietHours;

/// Where a rule stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Its line in the policy file, from 1.
    pub line: usize,
    /// What the file calls it.
    pub name: Option<String>,
}

/// A way to name targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Departments by name, path or `od-…`, and everyone.
    Departments,
    /// People by mention, `ou_…` or `on_…`.
    People,
    /// E-mail addresses and telephone numbers.
    Addresses,
    /// Lists in files; each row must be of an allowed kind as well.
    Files,
    /// Custom ids of the company: `dept:ID` and `user:ID`.
    Custom,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Departments, Kind::People, Kind::Addresses, Kind::Files, Kind::Custom];

    pub fn of(target: &Target) -> Self {
        match target {
            Target::Name(_) | Target::Path(_) | Target::Everyone => Kind::Departments,
            Target::Department(id) if id.is_open() => Kind::Departments,
            Target::Department(_) | Target::UserId(_) => Kind::Custom,
            Target::OpenId(_) | Target::UnionId(_) | Target::Mention { .. } => Kind::People,
            Target::Email(_) | Target::Phone(_) => Kind::Addresses,
            Target::File => Kind::Files,
        }
    }

    /// The word for it in a policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Departments => "departments",
            Kind::People => "people",
            Kind::Addresses => "addresses",
            Kind::Files => "files",
            Kind::Custom => "custom",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What some admins may author. Of several rules, the first that names a person is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorRule {
    pub place: Place,
    pub who: Authors,
    /// Departments that may be addressed, with all below them; `None`: any.
    pub departments: Option<BTreeSet<DepartmentId>>,
    pub kinds: BTreeSet<Kind>,
    /// Broadcasts a day; `None`: any number.
    pub per_day: Option<u32>,
}

/// Whom a rule for authors is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authors {
    These(People),
    /// Every admin whom no rule above names.
    Others,
}

/// Further approvers, for broadcasts that stay inside of one of these departments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproverRule {
    pub place: Place,
    pub who: People,
    pub departments: BTreeSet<DepartmentId>,
}

/// What broadcasts of some size need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeRule {
    pub place: Place,
    /// People reached, at most; `None` for the last one, which has no end and counts where the headcount is not known.
    pub up_to: Option<u64>,
    /// Distinct approvers, never counting the author.
    pub approvals: u32,
    /// Whoever approves types the headcount.
    pub type_headcount: bool,
    /// Between the last approval and the first batch, in ms; 0 is none.
    pub cooling_off_ms: u64,
    pub canary: Option<Canary>,
}

/// All rules of a file. Empty is what the settings alone say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Who may address the whole company; nobody unless named.
    pub everyone: People,
    pub authors: Vec<AuthorRule>,
    pub approvers: Vec<ApproverRule>,
    /// From the smallest up; the last has no end.
    pub sizes: Vec<SizeRule>,
    pub quiet: Option<QuietHours>,
}

impl Rules {
    /// The rule for so many people; `None` is not known, and counts as the most. And the largest number that the rule
    /// before it covers.
    pub fn size(&self, heads: Option<u64>) -> Option<(&SizeRule, u64)> {
        let fits = |rule: &&SizeRule| rule.up_to.is_none_or(|most| heads.is_some_and(|heads| heads <= most));
        let at = self.sizes.iter().position(|rule| fits(&rule))?;
        let above = at.checked_sub(1).and_then(|before| self.sizes.get(before)).and_then(|rule| rule.up_to);
        Some((self.sizes.get(at)?, above.unwrap_or(0)))
    }
}
