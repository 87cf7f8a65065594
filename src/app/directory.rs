//! From what an author typed to departments and people.
//!
//! Names are searched with the author's own user token and no other identity: an author finds exactly what they may
//! see. Paths above what was found are read with the app's token; where the app may not look, the path is cut and says
//! so. Both answers are kept for a short time, the search per person, because visibility differs per person.

use std::collections::HashMap;
use std::time::Duration;

use moka::future::Cache;

use super::authorize::{NoToken, user_token};
use super::{App, Trouble};
use crate::domain::audience::{Audience, CANDIDATES_MAX, DepartmentTarget, PersonTarget, Question};
use crate::domain::command::{Target, half_width};
use crate::domain::ids::{DepartmentId, OpenId};
use crate::feishu::contacts::{Department, Found, IdKind};
use crate::feishu::error::{CallError, Class};

/// How long a search answer is reused: long enough for a correction of the same command.
const SEARCH_TTL: Duration = Duration::from_secs(60);

/// How long a department's place in the tree is reused. Source: contract "tenant-token department calls", 10 minutes.
const PLACE_TTL: Duration = Duration::from_secs(600);

const SEARCHES_MAX: u64 = 500;
const PLACES_MAX: u64 = 20_000;

/// Levels walked upwards. Source: contract "tenant-token department calls", at most 20 levels.
const LEVELS_MAX: usize = 20;

/// Near names offered when nothing matched.
const NEAR_MAX: usize = 5;

/// Ids that are looked up one by one when Feishu objects to them together.
const ALONE_MAX: usize = 50;

/// Letters that a search for near names keeps at least.
const NEAR_LETTERS_MIN: usize = 2;

/// What is kept for a short time.
pub struct Directory {
    searches: Cache<(OpenId, String), Found>,
    /// `None` for a department the app may not see.
    places: Cache<DepartmentId, Option<Department>>,
}

impl Directory {
    pub fn new() -> Self {
        Self {
            searches: Cache::builder().max_capacity(SEARCHES_MAX).time_to_live(SEARCH_TTL).build(),
            places: Cache::builder().max_capacity(PLACES_MAX).time_to_live(PLACE_TTL).build(),
        }
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

/// A name that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// Nothing is called so; these come near.
    NotFound { typed: String, near: Vec<String> },
    /// More departments are called so than can be offered.
    TooMany { typed: String },
}

/// What the targets of a command come to.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    pub audience: Audience,
    pub questions: Vec<Question>,
    pub missing: Vec<Missing>,
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

/// Resolves the targets of a command in the order they were typed.
///
/// # Errors
/// `NoToken(NeedsLogin)` and `NeedsScopes` when names are to be searched and the author has to authorize first.
pub async fn resolve(app: &App, author: &OpenId, targets: &[Target]) -> Result<Resolution, ResolveError> {
    let mut resolution = Resolution::default();
    let mut departments = Vec::new();
    let (mut open_ids, mut union_ids, mut user_ids) = (Vec::new(), Vec::new(), Vec::new());
    let typed: Vec<DepartmentId> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Department(id) => Some(id.clone()),
            _ => None,
        })
        .collect();
    let known = by_ids(app, &typed).await?;
    for target in targets {
        match target {
            Target::Name(name) => {
                settle(name, by_name(app, author, name, &[]).await?, &mut departments, &mut resolution);
            }
            Target::Path(path) => {
                let typed = path.join("/");
                let (above, name) = path.split_last().map_or((&[][..], ""), |(name, above)| (above, name.as_str()));
                settle(&typed, by_name(app, author, name, above).await?, &mut departments, &mut resolution);
            }
            Target::Department(id) => {
                let found = known.get(id).cloned();
                departments.push(found.unwrap_or_else(|| DepartmentTarget::unverified(id.clone())));
            }
            Target::OpenId(id) => open_ids.push(PersonTarget { id: id.clone(), name: None }),
            Target::Mention { open_id, name } => {
                open_ids.push(PersonTarget { id: open_id.clone(), name: Some(name.clone()) });
            }
            Target::UnionId(id) => union_ids.push(PersonTarget { id: id.clone(), name: None }),
            Target::UserId(id) => user_ids.push(PersonTarget { id: id.clone(), name: None }),
            // Refused before anything is resolved, see `request`.
            Target::Email(_) | Target::Phone(_) | Target::Everyone | Target::File => {}
        }
    }
    resolution.audience = Audience::new(departments, open_ids, union_ids, user_ids);
    Ok(resolution)
}

enum Match {
    One(DepartmentTarget),
    Several(Vec<DepartmentTarget>),
    Missing(Vec<String>),
    TooMany,
}

fn settle(typed: &str, found: Match, departments: &mut Vec<DepartmentTarget>, resolution: &mut Resolution) {
    let typed = typed.to_owned();
    match found {
        Match::One(department) => departments.push(department),
        Match::Several(candidates) => {
            let question = Question { typed, candidates };
            if !resolution.questions.contains(&question) {
                resolution.questions.push(question);
            }
        }
        Match::Missing(near) => resolution.missing.push(Missing::NotFound { typed, near }),
        Match::TooMany => resolution.missing.push(Missing::TooMany { typed }),
    }
}

/// Finds the departments of exactly this name, below these ancestors if any were typed.
async fn by_name(app: &App, author: &OpenId, name: &str, above: &[String]) -> Result<Match, ResolveError> {
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
        0 if found.departments.is_empty() => Match::Missing(nearly(app, author, &wanted).await),
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
async fn nearly(app: &App, author: &OpenId, wanted: &str) -> Vec<String> {
    let letters: Vec<char> = wanted.chars().collect();
    for kept in [letters.len().saturating_sub(1), letters.len() / 2] {
        if kept < NEAR_LETTERS_MIN {
            break;
        }
        let begin: String = letters[..kept].iter().collect();
        match search(app, author, &begin).await {
            Ok(found) if !found.departments.is_empty() => return near(&found, wanted),
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
    let mut answer = app.feishu.search_departments(&token, name).await;
    if let Err(error) = &answer
        && error.class() == Class::Reauthenticate
        && !error.wants_consent()
    {
        token = user_token(app, author, Some(&token)).await?;
        answer = app.feishu.search_departments(&token, name).await;
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

/// Departments given by their ids, in as few calls as there are kinds and fifties: named if the app may see them. What
/// is missing from the answer is taken as it was typed, and the result of the sending will tell.
async fn by_ids(app: &App, ids: &[DepartmentId]) -> Result<HashMap<DepartmentId, DepartmentTarget>, ResolveError> {
    let mut known = HashMap::new();
    let (open, custom): (Vec<_>, Vec<_>) = ids.iter().cloned().partition(DepartmentId::is_open);
    for (kind, ids) in [(IdKind::Open, open), (IdKind::Custom, custom)] {
        let found = look_up(app, &ids, kind).await?;
        let targets = places(app, &found.iter().collect::<Vec<_>>()).await?;
        for (department, target) in found.iter().zip(targets) {
            let typed = match (kind, &department.custom_id) {
                (IdKind::Custom, Some(custom)) => DepartmentId::new(custom.clone()),
                _ => Some(department.id.clone()),
            };
            known.extend(typed.map(|typed| (typed, target)));
        }
    }
    Ok(known)
}

/// One id that Feishu objects to must not hide the others: then each is asked for alone, as long as they are few.
async fn look_up(app: &App, ids: &[DepartmentId], kind: IdKind) -> Result<Vec<Department>, ResolveError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    match app.feishu.departments(app.now(), ids, kind).await {
        Ok(found) => return Ok(found),
        Err(error) if matches!(error.class(), Class::Retry { .. } | Class::Reauthenticate) => return Err(error.into()),
        Err(error) => tracing::info!(%error, "department ids could not be looked up together"),
    }
    let mut found = Vec::new();
    if ids.len() > 1 && ids.len() <= ALONE_MAX {
        for id in ids {
            match app.feishu.departments(app.now(), std::slice::from_ref(id), kind).await {
                Ok(one) => found.extend(one),
                Err(error) if matches!(error.class(), Class::Retry { .. } | Class::Reauthenticate) => {
                    return Err(error.into());
                }
                Err(error) => tracing::info!(%error, "a department id could not be looked up; it is taken as it is"),
            }
        }
    }
    Ok(found)
}

/// Departments with their full paths, one call a level for all of them together.
pub async fn places(app: &App, departments: &[&Department]) -> Result<Vec<DepartmentTarget>, ResolveError> {
    let mut above: HashMap<DepartmentId, Option<Department>> = HashMap::new();
    let mut wanted: Vec<DepartmentId> = departments.iter().filter_map(|department| department.parent.clone()).collect();
    for _ in 0..LEVELS_MAX {
        wanted.sort();
        wanted.dedup();
        wanted.retain(|id| !above.contains_key(id));
        if wanted.is_empty() {
            break;
        }
        let found = parents(app, &wanted).await?;
        wanted = found.values().flatten().filter_map(|department| department.parent.clone()).collect();
        above.extend(found);
    }
    Ok(departments.iter().map(|department| place(department, &above)).collect())
}

async fn parents(
    app: &App,
    wanted: &[DepartmentId],
) -> Result<HashMap<DepartmentId, Option<Department>>, ResolveError> {
    let mut known = HashMap::new();
    let mut unknown = Vec::new();
    for id in wanted {
        match app.directory.places.get(id).await {
            Some(place) => {
                known.insert(id.clone(), place);
            }
            None => unknown.push(id.clone()),
        }
    }
    if unknown.is_empty() {
        return Ok(known);
    }
    let found = match app.feishu.departments(app.now(), &unknown, IdKind::Open).await {
        Ok(found) => found,
        // A path is a help to the reader; without it the broadcast is no less right.
        Err(error) if !matches!(error.class(), Class::Retry { .. }) => {
            tracing::info!(%error, "the departments above could not be read; paths are cut");
            return Ok(unknown.into_iter().map(|id| (id, None)).chain(known).collect());
        }
        Err(error) => return Err(error.into()),
    };
    for id in unknown {
        let place = found.iter().find(|department| department.id == id).cloned();
        app.directory.places.insert(id.clone(), place.clone()).await;
        known.insert(id, place);
    }
    Ok(known)
}

fn place(department: &Department, above: &HashMap<DepartmentId, Option<Department>>) -> DepartmentTarget {
    let name = if department.name.is_empty() { department.id.to_string() } else { department.name.clone() };
    let mut path = vec![name];
    let mut ids: Vec<DepartmentId> = Vec::new();
    let mut cut = !department.parent_known;
    let mut next = department.parent.clone();
    while let Some(id) = next {
        // A tree that leads back to itself is Feishu's mistake, not a reason to go round for ever.
        if id == department.id || ids.contains(&id) || ids.len() >= LEVELS_MAX {
            cut = true;
            break;
        }
        ids.push(id.clone());
        match above.get(&id).and_then(Option::as_ref) {
            Some(parent) => {
                path.insert(0, if parent.name.is_empty() { parent.id.to_string() } else { parent.name.clone() });
                cut |= !parent.parent_known;
                next = parent.parent.clone();
            }
            None => {
                cut = true;
                next = None;
            }
        }
    }
    DepartmentTarget { id: department.id.clone(), path, above: ids, cut, headcount: department.member_count }
}
