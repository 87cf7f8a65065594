//! Where departments lie in the tree: their paths, and what stands above them.
//!
//! Read with the app's token; where the app may not look, a path is cut and says so. Answers are kept for a short time.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::FutureExt;
use moka::future::Cache;

use super::directory::ResolveError;
use super::{App, look_ups};
use crate::domain::audience::{Around, DepartmentTarget};
use crate::domain::ids::DepartmentId;
use crate::feishu::contacts::{BATCH_IDS_MAX, Department, IdKind};
use crate::feishu::error::Class;

/// How long a department's place in the tree is reused. Source: contract "tenant-token department calls", 10 minutes.
const PLACE_TTL: Duration = Duration::from_secs(600);

const PLACES_MAX: u64 = 20_000;

/// Levels walked upwards. Source: contract "tenant-token department calls", at most 20 levels.
const LEVELS_MAX: usize = 20;

/// What is kept for a short time; `None` for a department the app may not see.
pub struct Places(Cache<DepartmentId, Option<Department>>);

impl Places {
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(PLACES_MAX).time_to_live(PLACE_TTL).build())
    }
}

impl Default for Places {
    fn default() -> Self {
        Self::new()
    }
}

/// What stands around each of these departments.
pub async fn around(
    app: &App,
    departments: &BTreeSet<DepartmentId>,
) -> Result<HashMap<DepartmentId, Around>, ResolveError> {
    let mut known: HashMap<DepartmentId, Option<Department>> = HashMap::new();
    let mut wanted: Vec<DepartmentId> = departments.iter().cloned().collect();
    for _ in 0..=LEVELS_MAX {
        wanted.retain(|id| !known.contains_key(id));
        if wanted.is_empty() {
            break;
        }
        let found = parents(app, &wanted).await?;
        wanted = found.values().flatten().filter_map(|department| department.parent.clone()).collect();
        wanted.sort();
        wanted.dedup();
        known.extend(found);
    }
    let of = |id: &DepartmentId| {
        let mut around = Around::default();
        let mut next = Some(id.clone());
        while let Some(id) = next {
            let found = known.get(&id).and_then(Option::as_ref);
            next = found.and_then(|department| department.parent.clone());
            around.cut |= !found.is_some_and(|department| department.parent_known);
            // A tree that leads back to itself is Feishu's mistake, not a reason to go round for ever.
            if !around.departments.insert(id) {
                break;
            }
        }
        around
    };
    Ok(departments.iter().map(|id| (id.clone(), of(id))).collect())
}

/// Departments given by their ids, in as few calls as there are kinds and fifties: named if the app may see them. What
/// is missing from the answer is taken as it was typed, and the result of the sending will tell.
pub async fn by_ids(app: &App, ids: &[DepartmentId]) -> Result<HashMap<DepartmentId, DepartmentTarget>, ResolveError> {
    let mut known = HashMap::new();
    let (open, custom): (Vec<_>, Vec<_>) = ids.iter().cloned().partition(DepartmentId::is_open);
    for (kind, ids) in [(IdKind::Open, open), (IdKind::Custom, custom)] {
        let found = look_ups::all(ids.chunks(BATCH_IDS_MAX).map(|some| look_up(app, some, kind).boxed())).await?;
        let found: Vec<Department> = found.into_iter().flatten().collect();
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

/// At most [`BATCH_IDS_MAX`] departments. One id that Feishu objects to must not hide the others: then each is asked for
/// alone.
async fn look_up(app: &App, ids: &[DepartmentId], kind: IdKind) -> Result<Vec<Department>, ResolveError> {
    match look_ups::ask(app, || app.feishu.departments(app.now(), ids, kind)).await {
        Ok(found) => return Ok(found),
        Err(error) if matches!(error.class(), Class::Retry { .. } | Class::Reauthenticate) => return Err(error.into()),
        Err(error) => tracing::info!(%error, "department ids could not be looked up together"),
    }
    let mut found = Vec::new();
    if ids.len() > 1 {
        for id in ids {
            match look_ups::ask(app, || app.feishu.departments(app.now(), std::slice::from_ref(id), kind)).await {
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
        match app.places.0.get(id).await {
            Some(place) => {
                known.insert(id.clone(), place);
            }
            None => unknown.push(id.clone()),
        }
    }
    if unknown.is_empty() {
        return Ok(known);
    }
    let found = look_ups::all(unknown.chunks(BATCH_IDS_MAX).map(|some| read_parents(app, some).boxed())).await?;
    for (some, found) in unknown.chunks(BATCH_IDS_MAX).zip(found) {
        let read = found.is_some();
        let mut found: HashMap<DepartmentId, Department> =
            found.into_iter().flatten().map(|department| (department.id.clone(), department)).collect();
        for id in some {
            let place = found.remove(id);
            if read {
                app.places.0.insert(id.clone(), place.clone()).await;
            }
            known.insert(id.clone(), place);
        }
    }
    Ok(known)
}

/// At most [`BATCH_IDS_MAX`] departments; `None` where Feishu refuses to tell.
async fn read_parents(app: &App, ids: &[DepartmentId]) -> Result<Option<Vec<Department>>, ResolveError> {
    match look_ups::ask(app, || app.feishu.departments(app.now(), ids, IdKind::Open)).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.class(), Class::Retry { .. }) => Err(error.into()),
        // A path is a help to the reader; without it the broadcast is no less right.
        Err(error) => {
            tracing::info!(%error, "the departments above could not be read; paths are cut");
            Ok(None)
        }
    }
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
    DepartmentTarget {
        id: department.id.clone(),
        path,
        above: ids,
        cut,
        headcount: department.member_count,
        line: None,
    }
}
