//! Who is on a list that is kept in Feishu: the people directly in a department, and those in a user group. Read as the
//! app, and whole or not at all: half of a list is not the list.
//!
//! Sources: "Get direct members of a department" and "Query members of a user group" of contact v3. A user group may
//! hold departments as well; the people in these are not members here.

use serde_json::Value;

use super::client::{Ask, Feishu, fits_path};
use super::codes::Call;
use super::error::CallError;
use super::pages::By;
use super::people::PersonIdKind;
use super::wire::{id, text};
use crate::domain::ids::{DepartmentId, OpenId, Timestamp};

/// Pages of one list that are read, of 50 people each: a list of those who may use or approve is short.
pub const ROSTER_PAGES_MAX: usize = 10;

impl Feishu {
    /// The people directly in a department, those who have left it not among them; `None` where there is no such
    /// department.
    ///
    /// # Errors
    /// [`CallError`]. Code 40004 means that the department lies outside the app's contact range. More than
    /// [`ROSTER_PAGES_MAX`] pages are an error as well.
    pub async fn members_of_department(
        &self,
        now: Timestamp,
        department: &DepartmentId,
    ) -> Result<Option<Vec<OpenId>>, CallError> {
        let ask = Ask::get(Call::DepartmentMembers)
            .with("user_id_type", PersonIdKind::Open.as_str())
            .with("department_id_type", "open_department_id")
            .with("department_id", department.as_str());
        self.roster(now, &ask, super::people::active_open_id).await
    }

    /// The people in a user group; `None` where there is no such group. Takes the scope `contact:group:readonly`.
    ///
    /// # Errors
    /// [`CallError`]. Code 42009 means that the group lies outside the app's contact range. More than
    /// [`ROSTER_PAGES_MAX`] pages are an error as well.
    pub async fn members_of_group(&self, now: Timestamp, group: &str) -> Result<Option<Vec<OpenId>>, CallError> {
        if !fits_path(group) {
            return Ok(None);
        }
        let ask = Ask::get(Call::GroupMembers)
            .id(group)
            .with("member_id_type", PersonIdKind::Open.as_str())
            .with("member_type", "user");
        // What came of another type than was asked for is nobody.
        let member = |item: &Value| match text(item, "/member_type") {
            None | Some("user") => id(item, "/member_id", OpenId::new),
            Some(_) => None,
        };
        self.roster(now, &ask, member).await
    }

    async fn roster(
        &self,
        now: Timestamp,
        ask: &Ask<'_>,
        item: impl Fn(&Value) -> Option<OpenId>,
    ) -> Result<Option<Vec<OpenId>>, CallError> {
        match self.list(By::App(now), ask, ROSTER_PAGES_MAX, item).await {
            Ok(listed) => listed.whole().map(Some),
            Err(error) if error.refusal().is_some_and(|refusal| refusal.call.says_absent(refusal.code)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
