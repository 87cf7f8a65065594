//! How much the people of an audience have received lately, as far as the ledger of this bot tells.
//!
//! A person counts by the very id that names them, a department by itself and those above it: who was reached through
//! another id or another department is not known, so every number here is the least that is true.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::audience::{Audience, DepartmentTarget};
use super::batch::InvalidIds;
use super::plan::Targets;

/// How far back is counted: a week.
pub const LATELY: Duration = Duration::from_secs(7 * 24 * 3600);

/// From so many on, one more may be too many for a week: the number that tells the reader to think again.
pub const MANY: u32 = 3;

/// Departments of which the numbers are kept, the busiest first: what a card shows at most.
const DEPARTMENTS_MAX: usize = 20;

/// What an audience has received within [`LATELY`]. All empty where nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// People named one by one who received any, and who received [`MANY`] or more.
    pub some: u64,
    pub many: u64,
    /// Broadcasts to a department or to one above it, by its [`super::ids::DepartmentId::key`].
    pub departments: BTreeMap<String, u64>,
}

/// Counts while the ledger is read.
pub struct Tally<'a> {
    people: HashMap<&'a str, u32>,
    /// Which of `departments` a department contains, itself included.
    within: HashMap<String, Vec<usize>>,
    departments: Vec<(String, u64)>,
}

impl<'a> Tally<'a> {
    /// Nothing counted yet, for an audience and the departments that may still be chosen for it.
    pub fn of(audience: &'a Audience, choices: impl Iterator<Item = &'a DepartmentTarget>) -> Self {
        let people = audience.open_ids.iter().map(|person| person.id.as_str());
        let people = people.chain(audience.union_ids.iter().map(|person| person.id.as_str()));
        let people = people.chain(audience.user_ids.iter().map(|person| person.id.as_str()));
        let people = people.map(|id| (id, 0)).collect();
        let (mut within, mut departments) = (HashMap::<String, Vec<usize>>::new(), Vec::new());
        for (place, department) in audience.departments.iter().chain(choices).enumerate() {
            for id in std::iter::once(&department.id).chain(&department.above) {
                within.entry(id.key().into_owned()).or_default().push(place);
            }
            departments.push((department.id.key().into_owned(), 0));
        }
        Self { people, within, departments }
    }

    /// Counts one batch that Feishu took.
    pub fn add(&mut self, targets: &Targets, invalid: &InvalidIds) {
        let invalid: BTreeSet<_> = invalid.keys().collect();
        let mut reached: BTreeSet<usize> = BTreeSet::new();
        for key in targets.keys().filter(|key| !invalid.contains(key)) {
            if let Some(times) = self.people.get_mut(key.as_ref()) {
                *times += 1;
            }
            reached.extend(self.within.get(key.as_ref()).into_iter().flatten().copied());
        }
        for place in reached {
            self.departments[place].1 += 1;
        }
    }

    /// What it came to.
    pub fn sum(self) -> Heard {
        let at_least = |least: u32| self.people.values().filter(|times| **times >= least).count() as u64;
        let (some, many) = (at_least(1), at_least(MANY));
        let mut departments: Vec<_> = self.departments.into_iter().filter(|(_, times)| *times > 0).collect();
        departments.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        departments.truncate(DEPARTMENTS_MAX);
        Heard { some, many, departments: departments.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::audience::PersonTarget;
    use super::super::ids::{DepartmentId, OpenId};
    use super::*;

    fn department(id: &str) -> DepartmentId {
        DepartmentId::new(id).expect("a test id")
    }

    fn sent(departments: &[&str], people: &[&str]) -> Targets {
        Targets {
            department_ids: departments.iter().map(|id| department(id)).collect(),
            open_ids: people.iter().map(|id| OpenId::new(*id).expect("a test id")).collect(),
            ..Targets::default()
        }
    }

    #[test]
    fn people_count_by_their_id_and_departments_with_those_above() {
        let people = ["ou_a", "ou_b", "ou_c"].map(|id| PersonTarget::new(OpenId::new(id).expect("a test id")));
        let sales = DepartmentTarget {
            above: vec![department("od-east")],
            ..DepartmentTarget::unverified(department("sales"))
        };
        let choice = DepartmentTarget::unverified(department("od-west"));
        let audience = Audience::new(vec![sales], people.to_vec(), vec![], vec![]);
        let mut tally = Tally::of(&audience, std::iter::once(&choice));
        for _ in 0..MANY {
            tally.add(&sent(&["od-east"], &["ou_a", "ou_z"]), &InvalidIds::default());
        }
        // Both of one chain in one call are one message; the invalid did not get it.
        tally.add(
            &sent(&["od-east", "sales"], &["ou_b", "ou_c"]),
            &InvalidIds { open_ids: vec!["ou_c".into()], ..InvalidIds::default() },
        );
        tally.add(
            &sent(&["sales", "od-west"], &[]),
            &InvalidIds { departments: vec!["od-west".into()], ..InvalidIds::default() },
        );
        let heard = tally.sum();
        assert_eq!((heard.some, heard.many), (2, 1));
        assert_eq!(heard.departments, BTreeMap::from([("dept:sales".to_owned(), 5)]));
    }

    #[test]
    fn nothing_known_is_nothing_to_say() {
        let audience = Audience::new(vec![DepartmentTarget::unverified(department("od-1"))], vec![], vec![], vec![]);
        let mut tally = Tally::of(&audience, std::iter::empty());
        tally.add(&sent(&["od-2"], &["ou_a"]), &InvalidIds::default());
        assert_eq!(tally.sum(), Heard::default());
    }
}
