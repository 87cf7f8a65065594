//! Departments: searched as a person, read as the app.
//!
//! The search takes a person's token and no other, and finds what that person may see; the app's own contact range
//! plays no part, and there is no fallback from one to the other. `department_id_type` is always sent, because a custom
//! id is otherwise read as an open one. Fields whose scope is missing are absent, not an error. Sources: the pages
//! "Search departments", "Get child departments" and "Get departments in batch" of contact v3.

use std::collections::HashSet;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::client::{Ask, Feishu};
use super::codes::Call;
use super::error::CallError;
use super::pages::By;
use super::wire::{id, list, number, text, text_or_empty};
use crate::domain::ids::{DepartmentId, Timestamp};

/// Characters of a query that are sent. The platform names no limit; no department has a longer name.
pub const QUERY_CHARS_MAX: usize = 64;

/// Pages of a search that are read: 500 departments are more than anybody can choose from.
pub const PAGES_MAX: usize = 10;

/// Pages of the top level that are read: 10,000 departments, with a call for each page.
pub const TOP_PAGES_MAX: usize = 200;

/// Ids in one batch call. Source: "Get departments in batch", `department_ids`.
pub const BATCH_IDS_MAX: usize = 50;

/// The root of the company, in both kinds of id.
pub(super) const ROOT: &str = "0";

/// The root may not be listed, since the contact range is not everybody. Source: "Get child departments".
pub const ROOT_OUT_OF_RANGE: i64 = 40_004;

/// One department, as far as our scopes let us see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Department {
    /// The open id (`od-…`).
    pub id: DepartmentId,
    /// Empty where the scope for names is missing.
    pub name: String,
    /// `None` right below the root, and where it is not known.
    pub parent: Option<DepartmentId>,
    /// Whether Feishu said what the parent is; false without the scope for the tree.
    pub parent_known: bool,
    /// People in the whole subtree. An estimate: it may count people the bot does not reach.
    pub member_count: Option<u64>,
    pub custom_id: Option<String>,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// In Feishu's order, which is not documented.
    pub departments: Vec<Department>,
    /// There is more than was read: the query should be narrower.
    pub more: bool,
}

/// How departments are named in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// `od-…`
    Open,
    /// A company's own ids.
    Custom,
}

impl IdKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open_department_id",
            Self::Custom => "department_id",
        }
    }
}

impl Feishu {
    /// Searches departments by name as the person whose token this is, page by page to the end or to [`PAGES_MAX`].
    /// The query is trimmed and cut to [`QUERY_CHARS_MAX`]; an empty one finds nothing and asks nobody.
    ///
    /// # Errors
    /// [`CallError`]; for [`super::Class::Reauthenticate`] refresh the person's token, or ask for consent anew where
    /// [`CallError::wants_consent`] says so.
    pub async fn search_departments(
        &self,
        now: Timestamp,
        user_token: &SecretString,
        query: &str,
    ) -> Result<Found, CallError> {
        let query: String = query.trim().chars().take(QUERY_CHARS_MAX).collect();
        if query.is_empty() {
            return Ok(Found::default());
        }
        let ask = Ask::post(Call::SearchDepartments, &json!({"query": query}))
            .with("department_id_type", IdKind::Open.as_str())
            .with("user_id_type", "open_id");
        let listed = self.list(By::Person(now, user_token), &ask, PAGES_MAX, department).await?;
        Ok(Found { departments: each_once(listed.items), more: listed.cut.is_some() })
    }

    /// The departments right below the root, all of them, read as the app.
    ///
    /// # Errors
    /// [`CallError`]. Code 40004 means that the app's contact range is not "all members": then nobody may list the root.
    /// A list without an end is an error as well, since half of a company is not the company.
    pub async fn top_departments(&self, now: Timestamp) -> Result<Vec<Department>, CallError> {
        let ask = Ask::get(Call::ChildDepartments)
            .id(ROOT)
            .with("department_id_type", IdKind::Open.as_str())
            .with("user_id_type", "open_id")
            .with("fetch_child", "false");
        let listed = self.list(By::App(now), &ask, TOP_PAGES_MAX, department).await?;
        listed.whole().map(each_once)
    }

    /// Reads departments by id as the app, [`BATCH_IDS_MAX`] to a call. Those that do not exist or lie outside the
    /// app's contact range are silently absent. Custom ids are looked up twice, so that what comes back, parents
    /// included, always speaks in open ids.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn departments(
        &self,
        now: Timestamp,
        ids: &[DepartmentId],
        kind: IdKind,
    ) -> Result<Vec<Department>, CallError> {
        let found = self.departments_of_kind(now, ids, kind).await?;
        match kind {
            IdKind::Open => Ok(found),
            IdKind::Custom => {
                let ids: Vec<DepartmentId> = found.into_iter().map(|department| department.id).collect();
                self.departments_of_kind(now, &ids, IdKind::Open).await
            }
        }
    }

    async fn departments_of_kind(
        &self,
        now: Timestamp,
        ids: &[DepartmentId],
        kind: IdKind,
    ) -> Result<Vec<Department>, CallError> {
        let mut departments = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(BATCH_IDS_MAX) {
            let mut ask =
                Ask::get(Call::Departments).with("department_id_type", kind.as_str()).with("user_id_type", "open_id");
            for id in chunk {
                ask = ask.with("department_ids", id.as_str());
            }
            let answer = self.ask_as_app(now, &ask).await?;
            departments.extend(list(&answer.body, "/data/items").iter().filter_map(department));
        }
        Ok(departments)
    }
}

/// The tree may change between two pages and show a department twice.
fn each_once(departments: Vec<Department>) -> Vec<Department> {
    let mut seen = HashSet::new();
    departments.into_iter().filter(|department| seen.insert(department.id.clone())).collect()
}

/// One item; `None` for a deleted department and for one without an open id.
fn department(item: &Value) -> Option<Department> {
    if item.pointer("/status/is_deleted").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let parent = text(item, "/parent_department_id").filter(|parent| !parent.is_empty());
    Some(Department {
        id: id(item, "/open_department_id", DepartmentId::new)?,
        name: text_or_empty(item, "/name"),
        parent: parent.filter(|parent| *parent != ROOT).and_then(DepartmentId::new),
        parent_known: parent.is_some(),
        member_count: number(item, "/member_count"),
        custom_id: text(item, "/department_id").filter(|id| !id.is_empty()).map(str::to_owned),
    })
}
