//! Who is meant: people by their open_id, and lists of people that are kept in Feishu.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::ids::{DepartmentId, OpenId};

/// Before the id of a user group, which has no prefix of its own that could be relied on.
const GROUP: &str = "group:";

/// A list of people that is kept in Feishu.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listed {
    /// Everyone directly in a department, `od-…`; those in departments below it are not meant.
    Department(DepartmentId),
    /// Everyone in a user group, `group:g…`.
    Group(String),
}

impl Listed {
    /// Reads `od-…` or `group:…`.
    pub fn parse(text: &str) -> Option<Self> {
        // Any text that can be an id of one kind can be one of the other.
        let id = DepartmentId::new(text.strip_prefix(GROUP).unwrap_or(text))?;
        match text.strip_prefix(GROUP) {
            Some(group) => group
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
                .then(|| Self::Group(group.to_owned())),
            None => id.is_open().then_some(Self::Department(id)),
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listed::Department(id) => id.fmt(f),
            Listed::Group(id) => write!(f, "{GROUP}{id}"),
        }
    }
}

/// People as a setting or a rule names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    pub named: BTreeSet<OpenId>,
    pub listed: BTreeSet<Listed>,
}

impl People {
    /// Whether nobody is named and no list is.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.listed.is_empty()
    }

    /// Adds whoever a word of a setting or a rule stands for: `ou_…`, `od-…` or `group:…`. `false` for any other word.
    pub fn add(&mut self, word: &str) -> bool {
        if let Some(person) = OpenId::new(word).filter(|id| id.as_str().starts_with("ou_")) {
            self.named.insert(person);
            return true;
        }
        match Listed::parse(word) {
            Some(list) => {
                self.listed.insert(list);
                true
            }
            None => false,
        }
    }
}

impl From<BTreeSet<OpenId>> for People {
    fn from(named: BTreeSet<OpenId>) -> Self {
        Self { named, listed: BTreeSet::new() }
    }
}

/// The members of the lists, as Feishu told them last. A list that was never read has none: it gives nobody a right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rolls(BTreeMap<Listed, BTreeSet<OpenId>>);

impl Rolls {
    /// Puts the members of a list in the place of those known before; says whether anything changed.
    pub fn put(&mut self, list: Listed, members: BTreeSet<OpenId>) -> bool {
        self.0.get(&list) != Some(&members) && {
            self.0.insert(list, members);
            true
        }
    }

    /// The members of a list; `None` for one that was never read.
    pub fn of(&self, list: &Listed) -> Option<&BTreeSet<OpenId>> {
        self.0.get(list)
    }

    /// Whether these people include that one.
    pub fn include(&self, people: &People, person: &OpenId) -> bool {
        let listed = || people.listed.iter().filter_map(|list| self.of(list)).any(|roll| roll.contains(person));
        people.named.contains(person) || listed()
    }

    /// Everyone among these people, each once.
    pub fn all<'a>(&'a self, people: &'a People) -> BTreeSet<&'a OpenId> {
        let listed = people.listed.iter().filter_map(|list| self.of(list)).flatten();
        people.named.iter().chain(listed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_told_by_their_form() {
        let shown = |text| Listed::parse(text).map(|list| list.to_string());
        for text in ["od-4e6ac4d14bcd5071a37a39de902c7141", "group:g193821"] {
            assert_eq!(shown(text).as_deref(), Some(text));
        }
        for text in ["", "group:", "group:a b", "group:a/b", "ou_1", "D001", "oc_1", "od- 1"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_that_was_never_read_gives_nobody_a_right() {
        let person = OpenId::new("ou_1").expect("an id");
        let mut people = People::default();
        assert!(people.add("group:g1") && !people.add("张三") && !people.is_empty());
        let mut rolls = Rolls::default();
        assert!(!rolls.include(&people, &person) && rolls.all(&people).is_empty());
        let list = Listed::parse("group:g1").expect("a group");
        assert!(rolls.put(list.clone(), BTreeSet::from([person.clone()])));
        assert!(!rolls.put(list, BTreeSet::from([person.clone()])), "nothing new");
        assert!(rolls.include(&people, &person));
    }
}
