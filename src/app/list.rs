//! The list of targets in a file that an author replied to.

use std::collections::HashSet;

use serde_json::Value;

use super::asked::Request;
use super::audience::Wanted;
use super::content::NoContent;
use crate::domain::audience::FileNote;
use crate::domain::list::{self, BYTES_MAX, List, Unusable};
use crate::feishu::error::{CallError, Class};
use crate::feishu::media::{ResourceError, ResourceKind};
use crate::view::{Text, lists};

/// What was read from a file.
pub struct Listed {
    /// Its name, as its sender wrote it.
    pub name: String,
    pub list: List,
}

impl Listed {
    /// Leaves out the rows that were found to lead nowhere, and those that lead where an earlier one led.
    pub fn leave_out(&mut self, lost: &[Unusable], repeated: &[u32]) {
        let lines: HashSet<u32> = lost.iter().map(|row| row.line).chain(repeated.iter().copied()).collect();
        self.list.rows.retain(|row| !lines.contains(&row.line));
        self.list.repeated += repeated.len();
        self.list.unusable.extend(lost.iter().cloned());
        self.list.unusable.sort_by_key(|row| row.line);
    }

    /// Its rows as targets.
    pub fn wanted(&self) -> impl Iterator<Item = Wanted<'_>> {
        let rows = self.list.rows.iter();
        rows.map(|row| Wanted { target: &row.target, line: Some(row.line), name: row.name.as_ref() })
    }

    /// What is left to say once its rows have become targets.
    pub fn told(self) -> Told {
        let List { rows, unusable, repeated, .. } = &self.list;
        let note =
            FileNote { name: self.name.clone(), rows: rows.len(), repeated: *repeated, left_out: unusable.len() };
        Told { said: lists::taken(&self.name, &self.list), note }
    }
}

/// What became of a file; however long it was, this is short.
pub struct Told {
    /// For the card.
    pub note: FileNote,
    /// What was taken from it, and what was left out.
    pub said: Text,
}

/// Fetches and reads the file of the replied-to message.
///
/// # Errors
/// As for a content: refused in words, or trouble that may pass.
pub async fn read(request: &Request<'_>) -> Result<Listed, NoContent> {
    let app = request.app;
    let Some(parent) = &request.message.parent_id else { return Err(lists::no_file().into()) };
    let fetched = app.feishu.get_message(app.now(), parent).await.map_err(|error| not_had("", error))?;
    if fetched.deleted {
        return Err(lists::file_is_gone().into());
    }
    if fetched.msg_type != "file" {
        return Err(lists::is_no_file(&fetched.msg_type).into());
    }
    let content: Value = serde_json::from_str(&fetched.content).unwrap_or_default();
    let field = |name: &str| content.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = field("file_name");
    let got = app.feishu.message_resource(app.now(), parent, &field("file_key"), ResourceKind::File, BYTES_MAX).await;
    let bytes = match got {
        Ok(bytes) => bytes,
        Err(ResourceError::TooLarge { .. }) => {
            return Err(lists::unreadable(&name, &list::ListFault::TooLarge).into());
        }
        Err(ResourceError::Call(error)) => return Err(not_had(&name, error)),
    };
    // One at a time: a hostile table may take a few hundred megabytes for a moment.
    let _turn = app.tables.acquire().await;
    // A large table takes a moment of the processor; others must not wait for it.
    let file = name.clone();
    let parsed = tokio::task::spawn_blocking(move || list::read(&file, &bytes)).await;
    match parsed {
        Ok(Ok(list)) => Ok(Listed { name, list }),
        Ok(Err(fault)) => Err(lists::unreadable(&name, &fault).into()),
        Err(error) => {
            tracing::error!(%error, "a list could not be read");
            Err(lists::unreadable(&name, &list::ListFault::Damaged).into())
        }
    }
}

/// A refusal in words, or trouble that may pass.
fn not_had(name: &str, error: CallError) -> NoContent {
    if error.message_is_gone() {
        return lists::file_is_gone().into();
    }
    let passes = matches!(error.class(), Class::Retry { .. } | Class::Reauthenticate);
    match error.code().filter(|_| !passes) {
        Some(code) => {
            let scopes: Vec<&str> = error.scopes().iter().map(String::as_str).collect();
            lists::not_to_be_had(name, code, &scopes).into()
        }
        None => error.into(),
    }
}
