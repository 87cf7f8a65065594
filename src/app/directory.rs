//! From a name that an author typed to departments.
//!
//! Names are searched with the author's own user token and no other identity: an author finds exactly what they may
//! see. An answer is kept for a short time, per person, because visibility differs per person. Where what was found lies
//! in the tree is [`super::places`]' business.

use std::time::Duration;

use moka::future::Cache;

use super::authorize::{NoToken, user_token};
use super::places::places;
use super::{App, Trouble};
use crate::domain::audience::{CANDIDATES_MAX, DepartmentTarget};
use crate::domain::command::half_width;
use crate::domain::ids::OpenId;
use crate::feishu::contacts::{Department, Found};
use crate::feishu::error::{CallError, Class};

/// How long a search answer is reused: long enough for a correction of the same command.
const SEARCH_TTL: Duration = Duration::from_secs(60);

const SEARCHES_MAX: u64 = 500;

/// Near names offered when nothing matched.
const NEAR_MAX: usize = 5;

/// Letters that a search for near names keeps at least.
const NEAR_LETTERS_MIN: usize = 2;

/// Answers to searches, kept for a short time.
pub struct Directory {
    searches: Cache<(OpenId, String), Found>,
}

impl Directory {
    pub fn new() -> Self {
        Self { searches: Cache::builder().max_capacity(SEARCHES_MAX).time_to_live(SEARCH_TTL).build() }
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

/// Why targets could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error(transparent)]
    NoToken(#[from] NoToken),
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The authorization lacks a scope: it has to be given again.
    #[error("the authorization lacks {0:?}")]
    NeedsScopes(Vec<String>),
}

impl From<CallError> for ResolveError {
    fn from(error: CallError) -> Self {
        ResolveError::Trouble(Trouble::Feishu(error))
    }
}

/// What a name leads to.
#[derive(Debug, Clone)]
pub enum Match {
    One(DepartmentTarget),
    Several(Vec<DepartmentTarget>),
    /// Nothing of this name; these come near.
    Missing(Vec<String>),
    /// More than can be offered, or than was read.
    TooMany,
}

/// Finds the departments of exactly this name, below these ancestors if any were typed.
pub async fn by_name(app: &App, author: &OpenId, name: &str, above: &[String]) -> Result<Match, ResolveError> {
    let found = search(app, author, name).await?;
    let wanted = normal(name);
    let exact: Vec<&Department> = found.departments.iter().filter(|found| normal(&found.name) == wanted).collect();
    let mut candidates = Vec::with_capacity(exact.len());
    if exact.len() <= CANDIDATES_MAX || !above.is_empty() {
        for target in places(app, &exact).await? {
            if ends_with(&target.path, above) {
                candidates.push(target);
            }
        }
    }
    if exact.len() > CANDIDATES_MAX && above.is_empty() || candidates.len() > CANDIDATES_MAX {
        return Ok(Match::TooMany);
    }
    // With more results than were read, a namesake may be among those we have not seen.
    if found.more && candidates.len() <= 1 {
        return Ok(Match::TooMany);
    }
    Ok(match candidates.len() {
        0 => Match::Missing(near(&found, &wanted)),
        1 => Match::One(candidates.remove(0)),
        _ => Match::Several(candidates),
    })
}

/// Names to offer instead, nearest first: those that begin so, then those that contain it, then what is spelt alike.
fn near(found: &Found, wanted: &str) -> Vec<String> {
    let mut names: Vec<(u8, usize, &str)> = found
        .departments
        .iter()
        .filter(|department| !department.name.is_empty())
        .map(|department| {
            let name = normal(&department.name);
            let rank = if name.starts_with(wanted) { 0 } else { u8::from(!name.contains(wanted)) + 1 };
            (rank, strsim::levenshtein(&name, wanted), department.name.as_str())
        })
        .collect();
    names.sort();
    let mut seen: Vec<String> = Vec::new();
    for (_, _, name) in names {
        if seen.len() < NEAR_MAX && !seen.iter().any(|other| other == name) {
            seen.push(name.to_owned());
        }
    }
    seen
}

/// What is called nearly so, when nothing contains the name as it was typed: a slip is often in its end. A search that
/// fails here only leaves the names out.
pub async fn nearly(app: &App, author: &OpenId, name: &str) -> Vec<String> {
    let wanted = normal(name);
    let letters: Vec<char> = wanted.chars().collect();
    for kept in [letters.len().saturating_sub(1), letters.len() / 2] {
        if kept < NEAR_LETTERS_MIN {
            break;
        }
        let begin: String = letters[..kept].iter().collect();
        match search(app, author, &begin).await {
            Ok(found) if !found.departments.is_empty() => return near(&found, &wanted),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Vec::new()
}

/// Whether the names above a department end with what was typed before the last slash.
fn ends_with(path: &[String], above: &[String]) -> bool {
    let parents = &path[..path.len().saturating_sub(1)];
    parents.len() >= above.len()
        && parents[parents.len() - above.len()..].iter().zip(above).all(|(name, typed)| normal(name) == normal(typed))
}

/// Names are compared without case, without the difference of full and half width, without blanks around them.
fn normal(name: &str) -> String {
    name.trim().chars().map(half_width).flat_map(char::to_lowercase).collect::<String>().trim().to_owned()
}

/// Searches with the author's token; an answer is kept for [`SEARCH_TTL`].
pub async fn search(app: &App, author: &OpenId, name: &str) -> Result<Found, ResolveError> {
    let key = (author.clone(), normal(name));
    let mut token = user_token(app, author, None).await?;
    if let Some(found) = app.directory.searches.get(&key).await {
        return Ok(found);
    }
    app.look_ups.next(&app.store, || app.now()).await;
    let mut answer = app.feishu.search_departments(app.now(), &token, name).await;
    if let Err(error) = &answer
        && error.class() == Class::Reauthenticate
        && !error.wants_consent()
    {
        token = user_token(app, author, Some(&token)).await?;
        answer = app.feishu.search_departments(app.now(), &token, name).await;
    }
    match answer {
        // Without the scope for names the fields are absent: nothing could ever be found by name.
        Ok(found) if found.departments.iter().any(|department| department.name.is_empty()) => {
            Err(ResolveError::NeedsScopes(vec!["contact:department.base:readonly".into()]))
        }
        Ok(found) => {
            app.directory.searches.insert(key, found.clone()).await;
            Ok(found)
        }
        Err(error) if error.wants_consent() => Err(ResolveError::NeedsScopes(error.scopes().to_vec())),
        Err(error) if error.class() == Class::Reauthenticate => Err(NoToken::NeedsLogin.into()),
        Err(error) => Err(error.into()),
    }
}
