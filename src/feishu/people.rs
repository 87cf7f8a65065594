//! People: found by address, read by id, listed at the root; all of it as the app.
//!
//! What lies outside the app's contact range, or does not exist, is absent and no error, in every shape in which Feishu
//! says so. Fields whose scope is missing are absent too: then nothing is known, and nothing is guessed. Sources: the
//! pages "Get user ids by e-mail or mobile", "Get one user", "Get users in batch" and "Get direct members of a
//! department" of contact v3.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::client::{Ask, Feishu, fits_path};
use super::codes::Call;
use super::contacts::ROOT;
use super::error::CallError;
use super::pages::By;
use super::wire::{id, list, text, text_or_empty};
use crate::domain::ids::{DepartmentId, OpenId, Timestamp, UnionId, UserId};

/// E-mails, and mobiles, in one call. Source: "Get user ids by e-mail or mobile", `emails` and `mobiles`.
pub const ADDRESSES_MAX: usize = 50;

/// Ids in one batch call. Source: "Get users in batch", `user_ids`.
pub const PEOPLE_IDS_MAX: usize = 50;

/// What stands where an id would, in the paths of other calls.
const ROUTES: [&str; 4] = ["batch", "batch_get_id", "basic_batch", "find_by_department"];

/// Pages of the people at the root that are read: 10,000 people, with a call for each page.
pub const ROOT_PAGES_MAX: usize = 200;

/// Who answers to which address, each list in the order of the question. `None` is nobody, or nobody the app may see:
/// Feishu tells no difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressed {
    pub emails: Vec<Option<OpenId>>,
    pub mobiles: Vec<Option<OpenId>>,
}

/// How people are named in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonIdKind {
    /// `ou_…`, within this app.
    Open,
    /// `on_…`, within one developer's apps.
    Union,
    /// A company's own ids; takes the scope `contact:user.employee_id:readonly`.
    User,
}

impl PersonIdKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open_id",
            Self::Union => "union_id",
            Self::User => "user_id",
        }
    }
}

/// One person, as far as our scopes let us see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub open_id: Option<OpenId>,
    pub union_id: Option<UnionId>,
    /// Only with the scope `contact:user.employee_id:readonly`.
    pub user_id: Option<UserId>,
    /// Empty where the scope for names is missing.
    pub name: String,
    /// The departments they are in directly, as open ids; the root is not among them.
    pub departments: Vec<DepartmentId>,
    /// Whether Feishu said where they are; false without the scope `contact:user.department:readonly`.
    pub departments_known: bool,
    /// False for those who resigned, left, have not joined yet or are frozen. True where nothing is said about it, which
    /// takes the scope `contact:user.employee:readonly`.
    pub active: bool,
}

impl Feishu {
    /// Finds people by e-mail (their own, not the company's mailbox) and by mobile, [`ADDRESSES_MAX`] of each to a call.
    /// Those who resigned are not found.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn find_by_address(
        &self,
        now: Timestamp,
        emails: &[String],
        mobiles: &[String],
    ) -> Result<Addressed, CallError> {
        let (mut by_email, mut by_mobile) = (HashMap::new(), HashMap::new());
        let (mut email_chunks, mut mobile_chunks) = (emails.chunks(ADDRESSES_MAX), mobiles.chunks(ADDRESSES_MAX));
        loop {
            let (emails, mobiles) = match (email_chunks.next(), mobile_chunks.next()) {
                (None, None) => break,
                (emails, mobiles) => (emails.unwrap_or_default(), mobiles.unwrap_or_default()),
            };
            let mut body = json!({"include_resigned": false});
            for (name, addresses) in [("emails", emails), ("mobiles", mobiles)] {
                if !addresses.is_empty() {
                    body[name] = json!(addresses);
                }
            }
            let ask = Ask::post(Call::FindByAddress, &body).with("user_id_type", PersonIdKind::Open.as_str());
            let answer = self.ask_as_app(now, &ask).await?;
            for found in list(&answer.body, "/data/user_list") {
                let Some(person) = id(found, "/user_id", OpenId::new) else { continue };
                // The order of the answer is not promised; each entry repeats what it was found by.
                if let Some(email) = text(found, "/email").filter(|email| !email.is_empty()) {
                    by_email.insert(email_key(email), person.clone());
                }
                if let Some(mobile) = text(found, "/mobile").filter(|mobile| !mobile.is_empty()) {
                    by_mobile.insert(mobile_key(mobile), person);
                }
            }
        }
        Ok(Addressed {
            emails: emails.iter().map(|email| by_email.get(&email_key(email)).cloned()).collect(),
            mobiles: mobiles.iter().map(|mobile| by_mobile.get(&mobile_key(mobile)).cloned()).collect(),
        })
    }

    /// Reads one person; `None` for one who does not exist, and for one outside the app's contact range.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn person(&self, now: Timestamp, kind: PersonIdKind, id: &str) -> Result<Option<Person>, CallError> {
        if !fits_path(id) || ROUTES.contains(&id) {
            return Ok(None);
        }
        let ask = of_people(Call::Person, kind).id(id);
        match self.ask_as_app(now, &ask).await {
            Ok(answer) => match answer.body.pointer("/data/user").filter(|user| user.is_object()) {
                Some(user) => Ok(Some(person(user))),
                None => Err(answer.incomplete()),
            },
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads at most [`PEOPLE_IDS_MAX`] people in one call. Those who do not exist or lie outside the app's contact range
    /// are absent. The page does not say whether one unknown id makes the others unreadable; where it does, the answer is
    /// `None`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn people(
        &self,
        now: Timestamp,
        kind: PersonIdKind,
        ids: &[&str],
    ) -> Result<Option<Vec<Person>>, CallError> {
        let mut ask = of_people(Call::People, kind);
        for id in ids {
            ask = ask.with("user_ids", id);
        }
        match self.ask_as_app(now, &ask).await {
            Ok(answer) => Ok(Some(list(&answer.body, "/data/items").iter().map(person).collect())),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The people attached to the root itself, each once; those who are not active are left out. Some may be in a
    /// department as well.
    ///
    /// # Errors
    /// As [`Feishu::top_departments`].
    pub async fn members_of_root(&self, now: Timestamp) -> Result<Vec<Person>, CallError> {
        let ask = of_people(Call::DepartmentMembers, PersonIdKind::Open).with("department_id", ROOT);
        let active = |user: &Value| Some(person(user)).filter(|person| person.active && person.open_id.is_some());
        let mut members = self.list(By::App(now), &ask, ROOT_PAGES_MAX, active).await?.whole()?;
        // People may move between two pages and come twice.
        members.sort_unstable_by(|one, other| one.open_id.cmp(&other.open_id));
        members.dedup_by(|one, other| one.open_id == other.open_id);
        Ok(members)
    }
}

fn of_people(call: Call, kind: PersonIdKind) -> Ask<'static> {
    Ask::get(call).with("user_id_type", kind.as_str()).with("department_id_type", "open_department_id")
}

fn is_absence(error: &CallError) -> bool {
    error.refusal().is_some_and(|refusal| refusal.call.says_absent(refusal.code))
}

fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// The digits, and a leading `+`. Numbers of mainland China may stand with their country's code or without.
fn mobile_key(mobile: &str) -> String {
    let digits: String = mobile.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    digits.strip_prefix("+86").unwrap_or(&digits).to_owned()
}

/// Somebody in a list who is still there.
pub(super) fn active_open_id(user: &Value) -> Option<OpenId> {
    let person = person(user);
    person.open_id.filter(|_| person.active)
}

fn person(user: &Value) -> Person {
    let departments = user.get("department_ids").and_then(Value::as_array);
    let is = |flag: &str| user.pointer(flag).and_then(Value::as_bool) == Some(true);
    let out =
        ["/status/is_resigned", "/status/is_exited", "/status/is_unjoin", "/status/is_frozen"].into_iter().any(is);
    let open = |id: &Value| id.as_str().filter(|id| *id != ROOT).and_then(DepartmentId::new);
    Person {
        open_id: id(user, "/open_id", OpenId::new),
        union_id: id(user, "/union_id", UnionId::new),
        user_id: id(user, "/user_id", UserId::new),
        name: text_or_empty(user, "/name"),
        departments: departments.into_iter().flatten().filter_map(open).collect(),
        departments_known: departments.is_some(),
        active: !out,
    }
}
