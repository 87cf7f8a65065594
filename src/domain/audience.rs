//! Whom a broadcast addresses: resolved targets, each person counted as well as the platform lets us.
//!
//! A department that lies inside another named department is dropped from the list, because two calls (or two
//! entries) that overlap would deliver twice. Ids that could not be verified stay in: the platform decides, and its
//! answer is reported.

use serde::{Deserialize, Serialize};

use super::ids::{DepartmentId, OpenId, UnionId, UserId};

/// A department as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepartmentTarget {
    pub id: DepartmentId,
    /// Names from the top department down to this one; empty when nothing is known but the id.
    pub path: Vec<String>,
    /// Ids of the departments above, nearest first, as far as they are visible.
    pub above: Vec<DepartmentId>,
    /// True when the chain upwards ends before the top because the app may not see further.
    pub cut: bool,
    /// People in the whole sub-tree as Feishu counts them, availability ignored. Absent without the scope for it.
    pub headcount: Option<u64>,
}

impl DepartmentTarget {
    /// A department of which only the id is known.
    pub fn unverified(id: DepartmentId) -> Self {
        Self { id, path: Vec::new(), above: Vec::new(), cut: false, headcount: None }
    }

    /// `华东 / 销售部`, with `… /` in front where the chain is cut; the bare id when no name is known.
    pub fn full_path(&self) -> String {
        if self.path.is_empty() {
            return self.id.to_string();
        }
        let path = self.path.join(" / ");
        if self.cut { format!("… / {path}") } else { path }
    }

    /// The last name of the path, or the id.
    pub fn name(&self) -> &str {
        self.path.last().map_or(self.id.as_str(), String::as_str)
    }
}

/// A person named one by one. `name` is what the author called them, when they had a name for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonTarget<Id> {
    pub id: Id,
    pub name: Option<String>,
}

/// A named department left out because it lies inside another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    pub department: String,
    pub inside: String,
}

/// Everyone a broadcast goes to, free of provable overlaps, in the order the author named them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    pub departments: Vec<DepartmentTarget>,
    pub open_ids: Vec<PersonTarget<OpenId>>,
    pub union_ids: Vec<PersonTarget<UnionId>>,
    pub user_ids: Vec<PersonTarget<UserId>>,
    pub covered: Vec<Covered>,
}

impl Audience {
    /// Puts departments and people together: equal ids collapse, departments inside others are dropped and listed in
    /// `covered`.
    pub fn new(
        departments: Vec<DepartmentTarget>,
        open_ids: Vec<PersonTarget<OpenId>>,
        union_ids: Vec<PersonTarget<UnionId>>,
        user_ids: Vec<PersonTarget<UserId>>,
    ) -> Self {
        let departments = distinct(departments, |department| department.id.clone());
        let mut kept = Vec::with_capacity(departments.len());
        let mut covered = Vec::new();
        for department in &departments {
            match departments.iter().find(|other| department.above.contains(&other.id)) {
                Some(other) => {
                    covered.push(Covered { department: department.full_path(), inside: other.full_path() });
                }
                None => kept.push(department.clone()),
            }
        }
        Self {
            departments: kept,
            open_ids: distinct(open_ids, |person| person.id.clone()),
            union_ids: distinct(union_ids, |person| person.id.clone()),
            user_ids: distinct(user_ids, |person| person.id.clone()),
            covered,
        }
    }

    /// People named one by one.
    pub fn people(&self) -> u64 {
        (self.open_ids.len() + self.union_ids.len() + self.user_ids.len()) as u64
    }

    /// How many people this reaches, as far as known.
    pub fn headcount(&self) -> Headcount {
        let known = self.departments.iter().filter_map(|department| department.headcount).fold(0, u64::saturating_add);
        let unknown = self.departments.iter().filter(|department| department.headcount.is_none()).count();
        Headcount { known: known.saturating_add(self.people()), departments_unknown: unknown as u64 }
    }

    /// The part of it whose ids are wanted.
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let mut part = self.clone();
        part.departments.retain(|department| wanted(department.id.as_str()));
        part.open_ids.retain(|person| wanted(person.id.as_str()));
        part.union_ids.retain(|person| wanted(person.id.as_str()));
        part.user_ids.retain(|person| wanted(person.id.as_str()));
        part
    }

    /// The name the author or the directory has for an id that came back as invalid.
    pub fn name_of(&self, id: &str) -> Option<String> {
        let department = self.departments.iter().find(|department| department.id.as_str() == id);
        let person = || {
            let open = self.open_ids.iter().find(|p| p.id.as_str() == id).and_then(|p| p.name.clone());
            let union = || self.union_ids.iter().find(|p| p.id.as_str() == id).and_then(|p| p.name.clone());
            let user = || self.user_ids.iter().find(|p| p.id.as_str() == id).and_then(|p| p.name.clone());
            open.or_else(union).or_else(user)
        };
        department.filter(|department| !department.path.is_empty()).map(DepartmentTarget::full_path).or_else(person)
    }

    /// Ids in all four lists.
    pub fn ids(&self) -> usize {
        self.departments.len() + self.open_ids.len() + self.union_ids.len() + self.user_ids.len()
    }

    /// Departments of which the directory told us nothing: the app cannot see them, or they do not exist.
    pub fn unverified(&self) -> impl Iterator<Item = &DepartmentTarget> {
        self.departments.iter().filter(|department| department.path.is_empty())
    }
}

/// Heads before sending. Departments count people in several departments more than once, hence "about".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headcount {
    pub known: u64,
    pub departments_unknown: u64,
}

fn distinct<T, K: Eq + std::hash::Hash>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = std::collections::HashSet::new();
    items.into_iter().filter(|item| seen.insert(key(item))).collect()
}

/// A name that several departments carry: the author picks one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What the author wrote.
    pub typed: String,
    /// At least two; never more than [`CANDIDATES_MAX`].
    pub candidates: Vec<DepartmentTarget>,
}

/// Namesakes a pick card offers; with more, the author is asked for a path instead. Source: contract "resolution
/// rules", at most 20 options.
pub const CANDIDATES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn department(id: &str, path: &[&str], above: &[&str], headcount: u64) -> DepartmentTarget {
        DepartmentTarget {
            id: DepartmentId::new(id).expect("a test id"),
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            above: above.iter().map(|id| DepartmentId::new(*id).expect("a test id")).collect(),
            cut: false,
            headcount: Some(headcount),
        }
    }

    #[test]
    fn a_department_inside_another_is_covered_by_it_whatever_the_order() {
        let parent = department("od-1", &["华东"], &[], 40);
        let child = department("od-2", &["华东", "销售部"], &["od-1"], 12);
        for order in [vec![parent.clone(), child.clone()], vec![child, parent]] {
            let audience = Audience::new(order, vec![], vec![], vec![]);
            assert_eq!(audience.departments.len(), 1);
            assert_eq!(audience.departments[0].id.as_str(), "od-1");
            assert_eq!(audience.headcount().known, 40);
            assert_eq!(audience.covered[0].department, "华东 / 销售部");
        }
    }

    #[test]
    fn the_same_department_twice_is_one() {
        let sales = department("od-2", &["销售部"], &[], 12);
        let audience = Audience::new(vec![sales.clone(), sales], vec![], vec![], vec![]);
        assert_eq!(audience.ids(), 1);
        assert!(audience.covered.is_empty());
    }

    #[test]
    fn an_unknown_headcount_is_said_and_not_guessed() {
        let id = DepartmentId::new("od-9").expect("a test id");
        let audience = Audience::new(vec![DepartmentTarget::unverified(id)], vec![], vec![], vec![]);
        assert_eq!(audience.headcount(), Headcount { known: 0, departments_unknown: 1 });
        assert_eq!(audience.unverified().count(), 1);
    }

    #[test]
    fn a_cut_chain_shows_that_it_is_cut() {
        let mut sales = department("od-2", &["华东", "销售部"], &["od-1"], 12);
        sales.cut = true;
        assert_eq!(sales.full_path(), "… / 华东 / 销售部");
    }
}
