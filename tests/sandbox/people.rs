//! Who works here: departments in a tree, people in departments, groups with the bot in them.
//!
//! A company is built once, by names; every id is derived from the name alone, so that a story may write ids down.

use std::collections::BTreeSet;

use serde::Serialize;

use super::seal::sha256_hex;

/// One department.
#[derive(Clone, Debug, Serialize)]
pub struct Department {
    pub name: String,
    /// Names from the top level down, joined by `/`.
    pub path: String,
    /// `od-` and 32 hex digits.
    pub open_department_id: String,
    /// The custom id, unique among departments that still exist.
    pub department_id: String,
    /// `open_department_id` of the parent; `0` under the root.
    pub parent: String,
    pub deleted: bool,
}

/// One person.
#[derive(Clone, Debug, Serialize)]
pub struct Employee {
    pub name: String,
    pub open_id: String,
    pub union_id: String,
    pub user_id: String,
    pub email: String,
    pub mobile: String,
    /// `open_department_id`s; empty for somebody directly under the root.
    pub departments: Vec<String>,
    /// Inside the app's availability: may use the bot and be written to by it.
    pub available: bool,
    pub admin: bool,
    pub approver: bool,
    pub resigned: bool,
    /// `open_department_id`s that this person may not see in the organisation chart; each hides its sub-tree.
    pub hidden: BTreeSet<String>,
}

/// A group chat.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    pub name: String,
    pub chat_id: String,
    /// open_ids.
    pub members: Vec<String>,
    pub bot_inside: bool,
}

/// A user group of the admin console: a list of people and departments, no chat.
#[derive(Clone, Debug, Serialize)]
pub struct UserGroup {
    pub name: String,
    /// `g` and digits.
    pub id: String,
    /// open_ids.
    pub members: Vec<String>,
    /// `open_department_id`s.
    pub departments: Vec<String>,
}

/// Everybody, and how they hang together.
#[derive(Clone, Debug, Serialize)]
pub struct Company {
    pub name: String,
    pub bot_name: String,
    pub departments: Vec<Department>,
    pub people: Vec<Employee>,
    pub groups: Vec<Group>,
    pub user_groups: Vec<UserGroup>,
}

/// An id in the platform's shape, always the same for the same kind and name.
pub fn id_of(prefix: &str, kind: &str, name: &str, digits: usize) -> String {
    format!("{prefix}{}", &sha256_hex(format!("{kind}/{name}").as_bytes())[..digits])
}

impl Company {
    /// A company without anybody.
    pub fn empty(name: &str) -> Company {
        Company {
            name: name.into(),
            bot_name: "群发助手".into(),
            departments: vec![],
            people: vec![],
            groups: vec![],
            user_groups: vec![],
        }
    }

    /// Adds a department by its path (`华东/客服部`); missing parents are added too.
    pub fn department(mut self, path: &str) -> Company {
        self.add_department(path);
        self
    }

    /// Like [`Company::department`], with a custom department id.
    pub fn department_with_id(mut self, path: &str, department_id: &str) -> Company {
        let open_id = self.add_department(path);
        let department = self.departments.iter_mut().find(|d| d.open_department_id == open_id);
        department.expect("was just added").department_id = department_id.into();
        self
    }

    /// Adds a department in place and gives its `open_department_id`; the one that exists already where it does.
    pub fn add_department(&mut self, path: &str) -> String {
        if let Some(found) = self.departments.iter().find(|d| d.path == path && !d.deleted) {
            return found.open_department_id.clone();
        }
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (self.add_department(parent), name),
            None => ("0".to_owned(), path),
        };
        // A department that comes back under an old name is a new department: its od- id is never reused.
        let again = self.departments.iter().filter(|d| d.path == path).count();
        let open_department_id = id_of("od-", "department", &format!("{path}#{again}"), 32);
        self.departments.push(Department {
            name: name.into(),
            path: path.into(),
            open_department_id: open_department_id.clone(),
            department_id: id_of("d", "custom", path, 12),
            parent,
            deleted: false,
        });
        open_department_id
    }

    /// Adds a person to departments named by path; an empty list means directly under the root.
    pub fn person(mut self, name: &str, departments: &[&str]) -> Company {
        let departments = departments.iter().map(|path| self.add_department(path)).collect();
        assert!(!self.people.iter().any(|p| p.name == name), "two people named {name}");
        let number = self.people.len();
        self.people.push(Employee {
            name: name.into(),
            open_id: id_of("ou_", "person", name, 32),
            union_id: id_of("on_", "union", name, 32),
            user_id: id_of("", "user", name, 8),
            email: format!("{}@example.com", id_of("p", "mail", name, 6)),
            mobile: format!("138{number:08}"),
            departments,
            available: true,
            admin: false,
            approver: false,
            resigned: false,
            hidden: BTreeSet::new(),
        });
        self
    }

    /// Makes a person an admin of the bot.
    pub fn admin(self, name: &str) -> Company {
        self.change(name, |person| person.admin = true)
    }

    /// Makes a person an approver of the bot.
    pub fn approver(self, name: &str) -> Company {
        self.change(name, |person| person.approver = true)
    }

    /// Puts a person outside the app's availability.
    pub fn unavailable(self, name: &str) -> Company {
        self.change(name, |person| person.available = false)
    }

    /// Hides a department and all below it from a person's organisation chart.
    pub fn hide(mut self, path: &str, from: &str) -> Company {
        let hidden = self.add_department(path);
        self.change(from, |person| {
            person.hidden.insert(hidden);
        })
    }

    /// Adds a group with the bot inside.
    pub fn group(mut self, name: &str, members: &[&str]) -> Company {
        let members = members.iter().map(|name| self.named(name).open_id.clone()).collect();
        self.groups.push(Group {
            name: name.into(),
            chat_id: id_of("oc_", "group", name, 32),
            members,
            bot_inside: true,
        });
        self
    }

    /// Adds a group in which the bot is not.
    pub fn group_without_bot(mut self, name: &str, members: &[&str]) -> Company {
        self = self.group(name, members);
        self.groups.last_mut().expect("was just added").bot_inside = false;
        self
    }

    /// Adds a user group of people and departments.
    pub fn user_group(mut self, name: &str, members: &[&str], departments: &[&str]) -> Company {
        let members = members.iter().map(|name| self.named(name).open_id.clone()).collect();
        let departments = departments.iter().map(|path| self.add_department(path)).collect();
        self.user_groups.push(UserGroup {
            name: name.into(),
            id: id_of("g", "user group", name, 6),
            members,
            departments,
        });
        self
    }

    /// Changes one person, who must exist.
    pub fn change(mut self, name: &str, change: impl FnOnce(&mut Employee)) -> Company {
        change(self.people.iter_mut().find(|p| p.name == name).unwrap_or_else(|| panic!("nobody is named {name}")));
        self
    }

    /// The person of this name, who must exist.
    pub fn named(&self, name: &str) -> &Employee {
        self.people.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("nobody is named {name}"))
    }

    /// The person of this open_id.
    pub fn by_open_id(&self, open_id: &str) -> Option<&Employee> {
        self.people.iter().find(|p| p.open_id == open_id)
    }

    /// The living department at this path.
    pub fn at(&self, path: &str) -> Option<&Department> {
        self.departments.iter().find(|d| d.path == path && !d.deleted)
    }

    /// A living department by open or custom id.
    pub fn department_by_id(&self, id: &str) -> Option<&Department> {
        self.departments.iter().find(|d| !d.deleted && (d.open_department_id == id || d.department_id == id))
    }

    /// From this department up to the top level, itself first. A tree has no cycles by construction.
    pub fn upward(&self, open_department_id: &str) -> Vec<&Department> {
        let mut chain = vec![];
        let mut at = open_department_id.to_owned();
        while let Some(department) = self.departments.iter().find(|d| d.open_department_id == at) {
            at.clone_from(&department.parent);
            chain.push(department);
        }
        chain
    }

    /// Whether `inner` is `outer` or lies below it.
    pub fn within(&self, inner: &str, outer: &str) -> bool {
        outer == "0" || self.upward(inner).iter().any(|d| d.open_department_id == outer)
    }

    /// Everybody in a department and below it who has not left, each once.
    pub fn members(&self, open_department_id: &str) -> Vec<&Employee> {
        let inside: BTreeSet<&str> = self
            .departments
            .iter()
            .filter(|d| !d.deleted && self.within(&d.open_department_id, open_department_id))
            .map(|d| d.open_department_id.as_str())
            .collect();
        let belongs = |p: &&Employee| !p.resigned && p.departments.iter().any(|id| inside.contains(id.as_str()));
        self.people.iter().filter(belongs).collect()
    }

    /// Whether the organisation chart shows `open_department_id` to this person.
    pub fn visible_to(&self, open_department_id: &str, person: &Employee) -> bool {
        !person.hidden.iter().any(|hidden| self.within(open_department_id, hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_in_a_department_and_below_it_is_counted_once() {
        let company = Company::empty("x").person("甲", &["销售部", "销售部/一组"]).person("乙", &["销售部/一组"]);
        let sales = company.at("销售部").expect("was added").open_department_id.clone();
        assert_eq!(company.members(&sales).len(), 2);
        assert!(sales.starts_with("od-") && sales.len() == 35);
    }

    #[test]
    fn hiding_a_department_hides_what_is_below_it() {
        let company = Company::empty("x").person("甲", &["A"]).department("B/C").hide("B", "甲");
        let below = &company.at("B/C").expect("was added").open_department_id;
        assert!(!company.visible_to(below, company.named("甲")));
    }
}
