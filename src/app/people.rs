//! Who is who among the people of an audience, so that nobody gets it twice for being named twice.
//!
//! A person may stand in a named department, or be named by two kinds of id. Their own record tells: it names their
//! other ids and their departments, and what stands above those is known. Member lists are never walked. What cannot be
//! told is counted, and the preview says so.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::FutureExt;

use super::directory::ResolveError;
use super::{App, Trouble, look_ups, places};
use crate::domain::audience::{Around, Audience, Covered, PersonTarget};
use crate::domain::ids::OpenId;
use crate::feishu::error::{CallError, Class};
use crate::feishu::people::{PEOPLE_IDS_MAX, Person, PersonIdKind};

/// People who are looked up one by one; more of them are looked up fifty at a time.
const ALONE_MAX: usize = 20;

/// People who are looked up at all, a minute's calls.
const LOOKED_UP_MAX: usize = 40_000;

/// People who are looked up one by one because a call for fifty was objected to; a minute's calls. Those beyond are not
/// told about.
const APART_MAX: usize = 900;

/// Drops whoever is named twice. `questions_open` says that a department is still to be chosen: then it is kept where
/// each person is.
///
/// # Errors
/// When Feishu does not answer; what it refuses to tell is counted instead.
pub async fn sift(app: &App, audience: &mut Audience, questions_open: bool) -> Result<(), ResolveError> {
    sift_knowing(app, audience, HashMap::new(), questions_open).await
}

/// Finds out where each person of an audience is, where that is not known yet. Nobody is where nobody can tell.
///
/// # Errors
/// As [`sift`].
pub async fn locate(app: &App, audience: &mut Audience) -> Result<(), ResolveError> {
    if !audience.around.is_empty() || audience.people() == 0 || audience.people() > LOOKED_UP_MAX as u64 {
        return Ok(());
    }
    fn ids<Id: AsRef<str>>(people: &[PersonTarget<Id>]) -> Vec<&str> {
        people.iter().map(|person| person.id.as_ref()).collect()
    }
    let found = Found {
        open: records(app, PersonIdKind::Open, &ids(&audience.open_ids)).await?,
        union: records(app, PersonIdKind::Union, &ids(&audience.union_ids)).await?,
        user: records(app, PersonIdKind::User, &ids(&audience.user_ids)).await?,
    };
    name(&mut audience.open_ids, &found.open);
    name(&mut audience.union_ids, &found.union);
    name(&mut audience.user_ids, &found.user);
    audience.around = found.around(app, audience).await?;
    Ok(())
}

/// As [`sift`], with records that are at hand already, by open_id.
///
/// # Errors
/// As [`sift`].
pub async fn sift_knowing(
    app: &App,
    audience: &mut Audience,
    known: HashMap<String, Person>,
    questions_open: bool,
) -> Result<(), ResolveError> {
    let departments = !audience.departments.is_empty() || questions_open;
    let kinds = [audience.open_ids.len(), audience.union_ids.len(), audience.user_ids.len()];
    if !in_doubt(kinds, departments) {
        return Ok(());
    }
    if looked_up(kinds, departments) == 0 {
        audience.untold = audience.people();
        return Ok(());
    }
    let union: Vec<&str> = audience.union_ids.iter().map(|person| person.id.as_str()).collect();
    let union = records(app, PersonIdKind::Union, &union).await?;
    let user: Vec<&str> = audience.user_ids.iter().map(|person| person.id.as_str()).collect();
    let user = records(app, PersonIdKind::User, &user).await?;
    let mut open = known;
    for person in union.values().chain(user.values()) {
        open.extend(person.open_id.as_ref().map(|id| (id.to_string(), person.clone())));
    }
    if departments {
        let unknown = audience.open_ids.iter().map(|person| person.id.as_str());
        let unknown: Vec<&str> = unknown.filter(|id| !open.contains_key(*id)).collect();
        let rest = records(app, PersonIdKind::Open, &unknown).await?;
        open.extend(rest);
    }
    let found = Found { open, union, user };

    name(&mut audience.open_ids, &found.open);
    name(&mut audience.union_ids, &found.union);
    name(&mut audience.user_ids, &found.user);
    let mut named: HashSet<OpenId> = audience.open_ids.iter().map(|person| person.id.clone()).collect();
    drop_repeated(&mut audience.union_ids, &found.union, &mut named, &mut audience.covered);
    drop_repeated(&mut audience.user_ids, &found.user, &mut named, &mut audience.covered);

    if departments {
        audience.around = found.around(app, audience).await?;
        audience.leave_out_those_inside();
        if !questions_open {
            audience.around.clear();
        }
    } else {
        let union = audience.union_ids.iter().filter(|person| !found.union.contains_key(person.id.as_str())).count();
        let user = audience.user_ids.iter().filter(|person| !found.user.contains_key(person.id.as_str())).count();
        audience.untold = (union + user) as u64;
    }
    Ok(())
}

/// Whether somebody may be named twice among so many people with an open, a union and a user id.
fn in_doubt(kinds: [usize; 3], departments: bool) -> bool {
    let named = kinds.into_iter().filter(|people| *people > 0).count();
    named > 1 || (named == 1 && departments)
}

/// How many of so many people with an open, a union and a user id are looked up at most.
pub fn looked_up([open, union, user]: [usize; 3], departments: bool) -> usize {
    // That an open_id is named in another way as well, the other way tells.
    let people = union + user + if departments { open } else { 0 };
    if in_doubt([open, union, user], departments) && people <= LOOKED_UP_MAX { people } else { 0 }
}

/// The records of the people of an audience, by the ids that name them there.
struct Found {
    open: HashMap<String, Person>,
    union: HashMap<String, Person>,
    user: HashMap<String, Person>,
}

impl Found {
    /// Where everybody in the audience is.
    async fn around(&self, app: &App, audience: &Audience) -> Result<BTreeMap<String, Around>, ResolveError> {
        let open = audience.open_ids.iter().map(|person| (person.id.as_str(), &self.open));
        let union = audience.union_ids.iter().map(|person| (person.id.as_str(), &self.union));
        let user = audience.user_ids.iter().map(|person| (person.id.as_str(), &self.user));
        let people: Vec<(&str, Option<&Person>)> =
            open.chain(union).chain(user).map(|(id, found)| (id, found.get(id))).collect();
        let own = people.iter().filter_map(|(_, person)| *person).flat_map(|person| person.departments.iter().cloned());
        let places = places::around(app, &own.collect()).await?;
        // A custom id that could not be looked up may stand for any department.
        let anywhere = audience.departments.iter().any(|named| named.path.is_empty() && !named.id.is_open());
        let of = |person: Option<&Person>| {
            let mut around =
                Around { cut: anywhere || !person.is_some_and(|person| person.departments_known), ..Around::default() };
            for own in person.into_iter().flat_map(|person| &person.departments) {
                around.departments.insert(own.clone());
                match places.get(own) {
                    Some(place) => {
                        around.departments.extend(place.departments.iter().cloned());
                        around.cut |= place.cut;
                    }
                    None => around.cut = true,
                }
            }
            around
        };
        Ok(people.into_iter().map(|(id, person)| (id.to_owned(), of(person))).collect())
    }
}

fn drop_repeated<Id: AsRef<str>>(
    people: &mut Vec<PersonTarget<Id>>,
    found: &HashMap<String, Person>,
    named: &mut HashSet<OpenId>,
    covered: &mut Vec<Covered>,
) {
    people.retain(|target| {
        let open_id = found.get(target.id.as_ref()).and_then(|person| person.open_id.clone());
        let fresh = open_id.is_none_or(|open_id| named.insert(open_id));
        if !fresh {
            covered.push(Covered { named: target.shown(), inside: None });
        }
        fresh
    });
}

/// Gives people their names where the author gave none.
fn name<Id: AsRef<str>>(people: &mut [PersonTarget<Id>], found: &HashMap<String, Person>) {
    for target in people.iter_mut().filter(|target| target.name.is_none()) {
        target.name = found.get(target.id.as_ref()).map(|person| person.name.clone()).filter(|name| !name.is_empty());
    }
}

/// The records of people, by the id that was asked for.
///
/// # Errors
/// When Feishu does not answer; whoever it does not tell about is absent, and so is everybody where the app may not look.
pub async fn records(app: &App, kind: PersonIdKind, ids: &[&str]) -> Result<HashMap<String, Person>, ResolveError> {
    match must_see(app, kind, ids).await {
        Err(ResolveError::Trouble(Trouble::Feishu(error)))
            if !matches!(error.class(), Class::Retry { .. } | Class::Reauthenticate) =>
        {
            tracing::info!(%error, "people could not be looked up; the preview says so");
            Ok(HashMap::new())
        }
        records => records,
    }
}

/// The same, where it matters why nobody is told about.
///
/// # Errors
/// Also where the app may not look.
pub async fn must_see(app: &App, kind: PersonIdKind, ids: &[&str]) -> Result<HashMap<String, Person>, ResolveError> {
    if ids.len() <= ALONE_MAX {
        return Ok(alone(app, kind, ids).await?);
    }
    let found = look_ups::all(ids.chunks(PEOPLE_IDS_MAX).map(|some| fifty(app, kind, some).boxed())).await?;
    let mut records = HashMap::with_capacity(ids.len());
    let mut apart: Vec<&str> = Vec::new();
    for (asked, found) in ids.chunks(PEOPLE_IDS_MAX).zip(found) {
        let Some(found) = found else {
            apart.extend(asked);
            continue;
        };
        for person in found {
            let id = match kind {
                PersonIdKind::Open => person.open_id.as_ref().map(ToString::to_string),
                PersonIdKind::Union => person.union_id.as_ref().map(ToString::to_string),
                PersonIdKind::User => person.user_id.as_ref().map(ToString::to_string),
            };
            records.extend(id.map(|id| (id, person)));
        }
    }
    // One unknown id may hide the forty-nine beside it.
    apart.truncate(APART_MAX);
    records.extend(alone(app, kind, &apart).await?);
    Ok(records)
}

async fn alone(app: &App, kind: PersonIdKind, ids: &[&str]) -> Result<HashMap<String, Person>, CallError> {
    let found = look_ups::all(ids.iter().map(|id| one(app, kind, id).boxed())).await?;
    Ok(found.into_iter().flatten().collect())
}

async fn one(app: &App, kind: PersonIdKind, id: &str) -> Result<Option<(String, Person)>, CallError> {
    let person = look_ups::ask(app, || app.feishu.person(app.now(), kind, id)).await?;
    Ok(person.map(|person| (id.to_owned(), person)))
}

/// The people of one call; `None` where Feishu objects to one of the ids.
async fn fifty(app: &App, kind: PersonIdKind, ids: &[&str]) -> Result<Option<Vec<Person>>, CallError> {
    look_ups::ask(app, || app.feishu.people(app.now(), kind, ids)).await
}
