//! Whom a broadcast addresses: resolved targets, each person counted as well as the platform lets us.
//!
//! A department that lies inside another named department is dropped from the list, because two calls (or two
//! entries) that overlap would deliver twice; so is a person who lies inside one, and the same person in a second kind
//! of id. Ids that could not be verified stay in: the platform decides, and its answer is reported.
//!
//! The whole [`Audience`] is written once and read when it changes; what a broadcast carries with it through its life
//! is the [`Outline`], which stays small however many people are named.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

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
    /// Its line in the author's file, the first one that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl DepartmentTarget {
    /// A department of which only the id is known.
    pub fn unverified(id: DepartmentId) -> Self {
        Self { id, path: Vec::new(), above: Vec::new(), cut: false, headcount: None, line: None }
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

/// A person named one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonTarget<Id> {
    pub id: Id,
    /// What the author called them, else their own name where it is known.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their line in the author's file, the first one that names them.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

// As `Option::default`, which would ask a default of the id as well.
fn none<T>() -> Option<T> {
    None
}

impl<Id: AsRef<str>> PersonTarget<Id> {
    /// Somebody of whom only the id is known.
    pub fn new(id: Id) -> Self {
        Self { id, name: None, line: None }
    }

    /// `@张三`; the address or number where the author gave one, the id where they gave nothing else.
    pub fn shown(&self) -> String {
        match &self.name {
            Some(name) if name.contains('@') || is_phone(name) => name.clone(),
            Some(name) => format!("@{name}"),
            None => self.id.as_ref().to_owned(),
        }
    }
}

/// Digits, perhaps behind a `+`.
fn is_phone(name: &str) -> bool {
    let digits = name.strip_prefix('+').unwrap_or(name);
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

/// A named target left out because another one contains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// A department with its path, or a person.
    #[serde(alias = "department")]
    pub named: String,
    /// The department that contains it; `None` where the same person was named in another way.
    pub inside: Option<String>,
}

/// Everyone a broadcast goes to, free of provable overlaps, in the order the author named them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    pub departments: Vec<DepartmentTarget>,
    pub open_ids: Vec<PersonTarget<OpenId>>,
    pub union_ids: Vec<PersonTarget<UnionId>>,
    pub user_ids: Vec<PersonTarget<UserId>>,
    pub covered: Vec<Covered>,
    /// People of whom nobody could tell whether another target contains them too.
    #[serde(default)]
    pub untold: u64,
    /// Where each person is, by the id that names them; kept while a department is still to be chosen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub around: BTreeMap<String, Around>,
}

/// What stands around a department or a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Around {
    /// The department itself, or a person's own ones, and all above, as far as the app sees them.
    pub departments: BTreeSet<DepartmentId>,
    /// Whether there may be more, because the app does not see all the way up.
    pub cut: bool,
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
        let departments = distinct(departments, |department| department.id.as_str());
        let named: HashMap<DepartmentId, String> =
            departments.iter().map(|department| (department.id.clone(), department.full_path())).collect();
        let mut kept = Vec::with_capacity(departments.len());
        let mut covered = Vec::new();
        for department in departments {
            match department.above.iter().find_map(|above| named.get(above)) {
                Some(other) => {
                    covered.push(Covered { named: department.full_path(), inside: Some(other.clone()) });
                }
                None => kept.push(department),
            }
        }
        Self {
            departments: kept,
            open_ids: distinct(open_ids, |person| person.id.as_str()),
            union_ids: distinct(union_ids, |person| person.id.as_str()),
            user_ids: distinct(user_ids, |person| person.id.as_str()),
            covered,
            ..Self::default()
        }
    }

    /// Adds a department to what has been named: those inside it, departments and people, are named no longer.
    pub fn with(self, department: DepartmentTarget) -> Self {
        let mut departments = self.departments;
        departments.push(department);
        let mut all = Self::new(departments, self.open_ids, self.union_ids, self.user_ids);
        all.covered.splice(0..0, self.covered);
        let mut all = Self { untold: self.untold, around: self.around, ..all };
        all.leave_out_those_inside();
        all
    }

    /// Drops the people of whom `around` tells that a named department contains them, and counts those of whom it does
    /// not tell all.
    pub fn leave_out_those_inside(&mut self) {
        if self.around.is_empty() {
            return;
        }
        let named: HashMap<&DepartmentId, String> =
            self.departments.iter().map(|department| (&department.id, department.full_path())).collect();
        let inside = |id: &str| {
            let around = self.around.get(id)?;
            around.departments.iter().find_map(|department| named.get(department)).cloned()
        };
        fn sift<Id: AsRef<str>>(
            people: Vec<PersonTarget<Id>>,
            inside: impl Fn(&str) -> Option<String>,
            covered: &mut Vec<Covered>,
        ) -> Vec<PersonTarget<Id>> {
            people
                .into_iter()
                .filter(|person| match inside(person.id.as_ref()) {
                    Some(department) => {
                        covered.push(Covered { named: person.shown(), inside: Some(department) });
                        false
                    }
                    None => true,
                })
                .collect()
        }
        let mut covered = Vec::new();
        self.open_ids = sift(std::mem::take(&mut self.open_ids), inside, &mut covered);
        self.union_ids = sift(std::mem::take(&mut self.union_ids), inside, &mut covered);
        self.user_ids = sift(std::mem::take(&mut self.user_ids), inside, &mut covered);
        self.covered.append(&mut covered);
        let untold = |id: &str| self.around.get(id).is_none_or(|around| around.cut);
        self.untold = self.named_people().filter(|(_, id)| untold(id)).count() as u64;
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

    /// The part of it whose ids are wanted; a department is asked about by its [`DepartmentId::key`].
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let mut part = self.clone();
        part.departments.retain(|department| wanted(&department.id.key()));
        part.open_ids.retain(|person| wanted(person.id.as_str()));
        part.union_ids.retain(|person| wanted(person.id.as_str()));
        part.user_ids.retain(|person| wanted(person.id.as_str()));
        part.covered.clear();
        part
    }

    /// Everyone named one by one, as the author called them, with their ids.
    pub fn named_people(&self) -> impl Iterator<Item = (String, &str)> {
        let open = self.open_ids.iter().map(|person| (person.shown(), person.id.as_str()));
        let union = self.union_ids.iter().map(|person| (person.shown(), person.id.as_str()));
        let user = self.user_ids.iter().map(|person| (person.shown(), person.id.as_str()));
        open.chain(union).chain(user)
    }

    /// What is known of each id beyond itself; a department is found under its [`DepartmentId::key`].
    pub fn labels(&self) -> Labels<'_> {
        let mut labels = HashMap::with_capacity(self.ids());
        labels.extend(self.departments.iter().map(|department| (department.id.key(), Known::Department(department))));
        fn people<Id: AsRef<str>>(people: &[PersonTarget<Id>]) -> impl Iterator<Item = (Cow<'_, str>, Known<'_>)> {
            people.iter().map(|person| {
                (Cow::Borrowed(person.id.as_ref()), Known::Person { name: &person.name, line: person.line })
            })
        }
        labels.extend(people(&self.open_ids));
        labels.extend(people(&self.union_ids));
        labels.extend(people(&self.user_ids));
        Labels(labels)
    }

    /// Ids in all four lists.
    pub fn ids(&self) -> usize {
        self.departments.len() + self.open_ids.len() + self.union_ids.len() + self.user_ids.len()
    }

    /// What a broadcast keeps of it.
    pub fn outline(&self) -> Outline {
        Outline {
            departments: self.departments.iter().take(OUTLINE_MAX).cloned().collect(),
            people: self.named_people().take(OUTLINE_MAX).map(|(shown, _)| shown).collect(),
            ids: self.ids(),
            departments_total: self.departments.len(),
            headcount: self.headcount(),
            covered: self.covered.iter().take(OUTLINE_MAX).cloned().collect(),
            covered_total: self.covered.len(),
            unverified: self
                .departments
                .iter()
                .filter(|department| department.path.is_empty())
                .take(OUTLINE_MAX)
                .map(|department| department.id.clone())
                .collect(),
            untold: self.untold,
            file: None,
        }
    }
}

/// What an audience knows of its ids. Of a hundred thousand people no name is copied.
pub struct Labels<'a>(HashMap<Cow<'a, str>, Known<'a>>);

enum Known<'a> {
    Department(&'a DepartmentTarget),
    Person { name: &'a Option<String>, line: Option<u32> },
}

impl Labels<'_> {
    /// The label of an id; none for an id that is not in the audience.
    pub fn of(&self, id: &str) -> Option<Label> {
        Some(match self.0.get(id)? {
            Known::Department(department) => Label {
                name: (!department.path.is_empty()).then(|| department.full_path()),
                line: department.line,
                heads: department.headcount,
            },
            Known::Person { name, line } => Label { name: (*name).clone(), line: *line, heads: Some(1) },
        })
    }

    /// People behind an id, where that is known.
    pub fn heads(&self, id: &str) -> Option<u64> {
        match self.0.get(id)? {
            Known::Department(department) => department.headcount,
            Known::Person { .. } => Some(1),
        }
    }
}

/// What is known of one id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// A department's path, a person's name, or what the author wrote for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its line in the author's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// People behind it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<u64>,
}

/// Entries of each list in an [`Outline`]: what a card shows of them at most.
pub const OUTLINE_MAX: usize = 20;

/// What cards and messages show of an audience. Documents from before there were outlines hold the whole audience.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outline {
    /// The first [`OUTLINE_MAX`].
    pub departments: Vec<DepartmentTarget>,
    /// The first [`OUTLINE_MAX`] of those named one by one, as the author called them.
    pub people: Vec<String>,
    /// Ids in all four lists.
    pub ids: usize,
    pub departments_total: usize,
    pub headcount: Headcount,
    /// The first [`OUTLINE_MAX`].
    pub covered: Vec<Covered>,
    pub covered_total: usize,
    /// Departments of which the directory told us nothing: the app cannot see them, or they do not exist. The first
    /// [`OUTLINE_MAX`].
    pub unverified: Vec<DepartmentId>,
    /// See [`Audience::untold`].
    pub untold: u64,
    /// The file from which the targets were read.
    #[serde(default)]
    pub file: Option<FileNote>,
}

/// What became of the rows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNote {
    /// As its sender named it.
    pub name: String,
    /// Rows that name a target, each target once.
    pub rows: usize,
    /// Rows whose target an earlier row names as well.
    pub repeated: usize,
    /// Rows that name none; they were told apart.
    pub left_out: usize,
}

/// Heads before sending. Departments count people in several departments more than once, hence "about".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headcount {
    pub known: u64,
    pub departments_unknown: u64,
}

/// Each once, the first of its kind.
fn distinct<T>(mut items: Vec<T>, key: impl Fn(&T) -> &str) -> Vec<T> {
    let mut seen = HashSet::with_capacity(items.len());
    let first: Vec<bool> = items.iter().map(|item| seen.insert(key(item))).collect();
    drop(seen);
    let mut first = first.into_iter();
    items.retain(|_| first.next().unwrap_or(true));
    items
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
            line: None,
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
            assert_eq!(audience.covered[0].named, "华东 / 销售部");
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
        assert_eq!(audience.outline().unverified.len(), 1);
    }

    #[test]
    fn a_cut_chain_shows_that_it_is_cut() {
        let mut sales = department("od-2", &["华东", "销售部"], &["od-1"], 12);
        sales.cut = true;
        assert_eq!(sales.full_path(), "… / 华东 / 销售部");
    }

    #[test]
    fn an_outline_stays_small_and_counts_all() {
        let person = |n: u32| PersonTarget::new(OpenId::new(format!("ou_{n}")).expect("a test id"));
        let audience = Audience::new(vec![], (0..1000).map(person).collect(), vec![], vec![]);
        let outline = audience.outline();
        assert_eq!((outline.people.len(), outline.ids, outline.headcount.known), (OUTLINE_MAX, 1000, 1000));
    }

    #[test]
    fn a_label_says_what_is_known_of_an_id() {
        let id = OpenId::new("ou_1").expect("a test id");
        let person = PersonTarget { id, name: Some("张三".into()), line: Some(7) };
        let audience = Audience::new(vec![department("od-1", &["华东"], &[], 40)], vec![person], vec![], vec![]);
        let labels = audience.labels();
        assert_eq!(labels.of("ou_1"), Some(Label { name: Some("张三".into()), line: Some(7), heads: Some(1) }));
        assert_eq!(labels.of("od-1"), Some(Label { name: Some("华东".into()), line: None, heads: Some(40) }));
        assert_eq!((labels.of("ou_2"), labels.heads("od-1")), (None, Some(40)));
    }
}
