//! From the targets of a command, or the rows of a file, to an audience in which nobody stands twice.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::FutureExt;

use super::directory::{self, Match, ResolveError};
use super::{App, Trouble, look_ups, people, places};
use crate::domain::audience::{Audience, DepartmentTarget, PersonTarget, Question};
use crate::domain::command::Target;
use crate::domain::ids::{DepartmentId, OpenId, UnionId, UserId};
use crate::domain::list::{RowFault, Unusable};
use crate::feishu::contacts::{BATCH_IDS_MAX, Department};
use crate::feishu::error::CallError;
use crate::feishu::people::{ADDRESSES_MAX, PEOPLE_IDS_MAX, Person};

/// Names of departments that are searched for one file: each is a search of its own, at a rate that Feishu does not
/// publish.
pub const NAMES_IN_FILE_MAX: usize = 100;

/// The app's contact range is not the whole company. Source: contract "tenant-token department calls", 40004.
const NOT_ALL_MEMBERS: i64 = 40_004;

/// Calls that an author waits for without a word: some seconds.
const CALLS_IN_SILENCE: usize = 40;

/// Calls that are answered in a minute, four at one time and about 400 ms each.
const CALLS_A_MINUTE: usize = 600;

/// One target, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    pub target: &'a Target,
    /// Its line in the file.
    pub line: Option<u32>,
    /// What the file calls them.
    pub name: Option<&'a String>,
}

impl<'a> From<&'a Target> for Wanted<'a> {
    fn from(target: &'a Target) -> Self {
        Self { target, line: None, name: None }
    }
}

/// A target that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// No department is called so; these come near.
    NotFound { typed: String, near: Vec<String> },
    /// More departments are called so than can be offered.
    TooMany { typed: String },
    /// Nobody has this e-mail address or telephone number, or the app may not see them.
    Nobody { typed: String },
    /// Everyone was meant, and the app sees only a part of the company.
    NotEveryone,
    /// A file names more departments than are searched for it.
    TooManyNames { names: usize },
}

/// What the targets of a command come to.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    pub audience: Audience,
    pub questions: Vec<Question>,
    /// Typed targets that lead nowhere: the command is refused.
    pub missing: Vec<Missing>,
    /// Rows of the file that lead nowhere: the rest goes on.
    pub unusable: Vec<Unusable>,
    /// Lines of the file that lead where an earlier one led.
    pub repeated: Vec<u32>,
}

/// The lists of an audience while they are filled.
#[derive(Default)]
struct Lists {
    departments: Vec<DepartmentTarget>,
    open_ids: Vec<PersonTarget<OpenId>>,
    union_ids: Vec<PersonTarget<UnionId>>,
    user_ids: Vec<PersonTarget<UserId>>,
}

impl Lists {
    /// Lines of the file whose id stands further up.
    fn repeated(&self) -> Vec<u32> {
        fn people<Id: AsRef<str>>(people: &[PersonTarget<Id>]) -> impl Iterator<Item = (&str, Option<u32>)> {
            people.iter().map(|person| (person.id.as_ref(), person.line))
        }
        fn again<'a>(ids: impl Iterator<Item = (&'a str, Option<u32>)>) -> impl Iterator<Item = u32> {
            let mut seen = HashSet::new();
            ids.filter_map(move |(id, line)| if seen.insert(id) { None } else { line })
        }
        let departments = self.departments.iter().map(|department| (department.id.as_str(), department.line));
        again(departments)
            .chain(again(people(&self.open_ids)))
            .chain(again(people(&self.union_ids)))
            .chain(again(people(&self.user_ids)))
            .collect()
    }
}

/// Resolves targets in the order they were typed. Whether everyone may be addressed has been decided before.
///
/// # Errors
/// `NoToken(NeedsLogin)` and `NeedsScopes` when names are to be searched and the author has to authorize first.
pub async fn resolve(app: &App, author: &OpenId, wanted: &[Wanted<'_>]) -> Result<Resolution, ResolveError> {
    let mut resolution = Resolution::default();
    let names = names_in_file(wanted);
    if names > NAMES_IN_FILE_MAX {
        resolution.missing.push(Missing::TooManyNames { names });
        return Ok(resolution);
    }
    let mut lists = Lists::default();
    let mut at_hand: HashMap<String, Person> = HashMap::new();
    let known = places::by_ids(app, &typed_departments(wanted)).await?;
    let addressed = addressed(app, wanted).await?;
    let mut searched: HashMap<&Target, Found> = HashMap::new();
    for wanted in wanted {
        let line = wanted.line;
        let name = || wanted.name.cloned();
        match wanted.target {
            target @ (Target::Name(_) | Target::Path(_)) => {
                if !searched.contains_key(target) {
                    searched.insert(target, search(app, author, wanted).await?);
                }
                if let Some(found) = searched.get(target) {
                    found.clone().settle(wanted, &mut lists, &mut resolution);
                }
            }
            Target::Department(id) => {
                let found = known.get(id).cloned().unwrap_or_else(|| DepartmentTarget::unverified(id.clone()));
                lists.departments.push(DepartmentTarget { line, ..found });
            }
            Target::OpenId(id) => lists.open_ids.push(PersonTarget { id: id.clone(), name: name(), line }),
            Target::UnionId(id) => lists.union_ids.push(PersonTarget { id: id.clone(), name: name(), line }),
            Target::UserId(id) => lists.user_ids.push(PersonTarget { id: id.clone(), name: name(), line }),
            Target::Mention { open_id, name } => {
                lists.open_ids.push(PersonTarget { id: open_id.clone(), name: Some(name.clone()), line });
            }
            Target::Email(typed) | Target::Phone(typed) => match addressed.get(typed) {
                Some(open_id) => {
                    let name = name().or_else(|| Some(typed.clone()));
                    lists.open_ids.push(PersonTarget { id: open_id.clone(), name, line });
                }
                None => lost(wanted, Missing::Nobody { typed: typed.clone() }, &mut resolution),
            },
            Target::Everyone => match everyone(app).await {
                Ok((departments, people)) => {
                    lists.departments.extend(departments);
                    for person in people {
                        let Some(id) = person.open_id.clone() else { continue };
                        let name = Some(person.name.clone()).filter(|name| !name.is_empty());
                        at_hand.insert(id.to_string(), person);
                        lists.open_ids.push(PersonTarget { id, name, line: None });
                    }
                }
                Err(ResolveError::Trouble(Trouble::Feishu(error))) if error.code() == Some(NOT_ALL_MEMBERS) => {
                    resolution.missing.push(Missing::NotEveryone);
                }
                Err(error) => return Err(error),
            },
            // A file's rows stand in its place, see `request`.
            Target::File => {}
        }
    }
    resolution.repeated = lists.repeated();
    let Lists { departments, open_ids, union_ids, user_ids } = lists;
    if !resolution.missing.is_empty() {
        return Ok(resolution);
    }
    resolution.audience = Audience::new(departments, open_ids, union_ids, user_ids);
    let questions_open = !resolution.questions.is_empty();
    people::sift_knowing(app, &mut resolution.audience, at_hand, questions_open).await?;
    Ok(resolution)
}

/// Everyone: the departments right below the root, since Feishu refuses the root itself, and the people who are
/// attached to the root.
async fn everyone(app: &App) -> Result<(Vec<DepartmentTarget>, Vec<Person>), ResolveError> {
    let top = look_ups::ask(app, || app.feishu.top_departments(app.now())).await?;
    // What stands above them is known, whatever the scopes.
    let top: Vec<Department> =
        top.into_iter().map(|department| Department { parent: None, parent_known: true, ..department }).collect();
    let departments = places::places(app, &top.iter().collect::<Vec<_>>()).await?;
    Ok((departments, look_ups::ask(app, || app.feishu.members_of_root(app.now())).await?))
}

fn names_in_file(wanted: &[Wanted<'_>]) -> usize {
    let rows = wanted.iter().filter(|wanted| wanted.line.is_some());
    rows.filter(|wanted| matches!(wanted.target, Target::Name(_) | Target::Path(_))).count()
}

/// About how many minutes it takes to look these targets up, where that is more than a moment.
pub fn minutes(wanted: &[Wanted<'_>]) -> Option<usize> {
    if names_in_file(wanted) > NAMES_IN_FILE_MAX {
        // Refused at once.
        return None;
    }
    let count = |kind: fn(&Target) -> bool| wanted.iter().filter(|wanted| kind(wanted.target)).count();
    let emails = count(|target| matches!(target, Target::Email(_)));
    let phones = count(|target| matches!(target, Target::Phone(_)));
    let departments = count(|target| matches!(target, Target::Department(_)));
    let names = count(|target| matches!(target, Target::Name(_) | Target::Path(_) | Target::Everyone));
    let open = emails + phones + count(|target| matches!(target, Target::OpenId(_) | Target::Mention { .. }));
    let (union, user) =
        (count(|target| matches!(target, Target::UnionId(_))), count(|target| matches!(target, Target::UserId(_))));
    let people = people::looked_up([open, union, user], departments + names > 0);
    let calls = emails.max(phones).div_ceil(ADDRESSES_MAX)
        + departments.div_ceil(BATCH_IDS_MAX)
        + people.div_ceil(PEOPLE_IDS_MAX)
        + names;
    (calls > CALLS_IN_SILENCE).then(|| calls.div_ceil(CALLS_A_MINUTE))
}

fn typed_departments(wanted: &[Wanted<'_>]) -> Vec<DepartmentId> {
    let id = |wanted: &Wanted<'_>| match wanted.target {
        Target::Department(id) => Some(id.clone()),
        _ => None,
    };
    wanted.iter().filter_map(id).collect()
}

/// Who answers to the e-mail addresses and telephone numbers among the targets.
async fn addressed(app: &App, wanted: &[Wanted<'_>]) -> Result<HashMap<String, OpenId>, ResolveError> {
    let (mut emails, mut mobiles) = (BTreeSet::new(), BTreeSet::new());
    for wanted in wanted {
        match wanted.target {
            Target::Email(email) => drop(emails.insert(email.clone())),
            Target::Phone(mobile) => drop(mobiles.insert(mobile.clone())),
            _ => {}
        }
    }
    let emails: Vec<String> = emails.into_iter().collect();
    let mobiles: Vec<String> = mobiles.into_iter().collect();
    let calls = emails.len().max(mobiles.len()).div_ceil(ADDRESSES_MAX);
    let some = |all: &'_ [String], call: usize| -> Vec<String> {
        all.iter().skip(call * ADDRESSES_MAX).take(ADDRESSES_MAX).cloned().collect()
    };
    let calls = (0..calls).map(|call| fifty(app, some(&emails, call), some(&mobiles, call)).boxed());
    let found = look_ups::all(calls).await?;
    Ok(found.into_iter().flatten().collect())
}

/// Who answers to some of them, at most [`ADDRESSES_MAX`] of each kind.
async fn fifty(app: &App, emails: Vec<String>, mobiles: Vec<String>) -> Result<Vec<(String, OpenId)>, CallError> {
    let found = look_ups::ask(app, || app.feishu.find_by_address(app.now(), &emails, &mobiles)).await?;
    let typed = emails.into_iter().zip(found.emails).chain(mobiles.into_iter().zip(found.mobiles));
    Ok(typed.filter_map(|(typed, found)| found.map(|open_id| (typed, open_id))).collect())
}

/// What a name or a path leads to.
#[derive(Clone)]
struct Found {
    typed: String,
    found: Match,
}

async fn search(app: &App, author: &OpenId, wanted: &Wanted<'_>) -> Result<Found, ResolveError> {
    let (typed, name, above) = match wanted.target {
        Target::Path(path) => {
            let (name, above) = path.split_last().map_or(("", &[][..]), |(name, above)| (name.as_str(), above));
            (path.join("/"), name, above)
        }
        Target::Name(name) => (name.clone(), name.as_str(), &[][..]),
        _ => (String::new(), "", &[][..]),
    };
    let mut found = directory::by_name(app, author, name, above).await?;
    if let Match::Missing(near) = &mut found
        && near.is_empty()
        && wanted.line.is_none()
    {
        *near = directory::nearly(app, author, name).await;
    }
    Ok(Found { found, typed })
}

impl Found {
    fn settle(self, wanted: &Wanted<'_>, lists: &mut Lists, resolution: &mut Resolution) {
        let typed = self.typed;
        match self.found {
            Match::One(department) => lists.departments.push(DepartmentTarget { line: wanted.line, ..department }),
            // Nobody is asked about a row of a file: it says which one is meant, or is left out.
            Match::Several(_) if wanted.line.is_some() => {
                lost(wanted, Missing::TooMany { typed }, resolution);
            }
            Match::Several(candidates) => {
                let question = Question { typed, candidates };
                if !resolution.questions.contains(&question) {
                    resolution.questions.push(question);
                }
            }
            Match::Missing(near) => lost(wanted, Missing::NotFound { typed, near }, resolution),
            Match::TooMany => lost(wanted, Missing::TooMany { typed }, resolution),
        }
    }
}

/// A target that leads nowhere: typed, it refuses the command; in a file, it is told with its line.
fn lost(wanted: &Wanted<'_>, missing: Missing, resolution: &mut Resolution) {
    let Some(line) = wanted.line else {
        resolution.missing.push(missing);
        return;
    };
    let (value, why) = match missing {
        Missing::NotEveryone | Missing::TooManyNames { .. } => return resolution.missing.push(missing),
        Missing::NotFound { typed, .. } => (typed, RowFault::NotFound),
        Missing::TooMany { typed } => (typed, RowFault::Namesakes),
        Missing::Nobody { typed } => (typed, RowFault::Nobody),
    };
    resolution.unusable.push(Unusable { line, value, why });
}
