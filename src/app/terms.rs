//! What the rules say of one broadcast: whether its author may propose it, and what it needs.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::directory::ResolveError;
use super::{App, people, places};
use crate::domain::audience::{Audience, DepartmentTarget, Question};
use crate::domain::ids::{DepartmentId, OpenId, Timestamp};
use crate::domain::policy::{Kind, Policy, Refusal, Terms};
use crate::domain::schedule;
use crate::store::{Store, StoreError};
use crate::view::{Text, policy as said, schedule as said_of_time};

/// What the rules say before anything is looked up: the ways to name targets, and the day's number.
///
/// # Errors
/// What to tell the author.
pub async fn may_ask(
    app: &App,
    policy: &Policy,
    author: &OpenId,
    kinds: Vec<Kind>,
) -> Result<Result<(), Text>, StoreError> {
    if let Err(refusal) = policy.may_name(author, kinds) {
        return Ok(Err(said::refused(&refusal, &[])));
    }
    one_more(app, policy, author).await
}

/// What the rules say of one more broadcast today.
///
/// # Errors
/// What to tell the author.
pub async fn one_more(app: &App, policy: &Policy, author: &OpenId) -> Result<Result<(), Text>, StoreError> {
    if policy.author_rule(author).is_none_or(|rule| rule.per_day.is_none()) {
        return Ok(Ok(()));
    }
    let used = proposed_today(&app.store, author, app.now(), &app.zone).await?;
    Ok(policy.may_propose(author, used).map_err(|refusal| said::refused(&refusal, &[])))
}

/// The moment that an author wrote or picked to send at.
///
/// # Errors
/// What to tell them: it is no time ahead, or lies in the quiet hours.
pub fn moment(app: &App, policy: &Policy, typed: &str) -> Result<Timestamp, Text> {
    let at = schedule::read(typed, app.now(), &app.zone).map_err(|why| said_of_time::no_moment(&why, &app.zone))?;
    match policy.quiet().map(|quiet| quiet.next_allowed(at, &app.zone)) {
        Some(until) if until > at => Err(said_of_time::quiet(at, until, &app.zone)),
        _ => Ok(at),
    }
}

/// Broadcasts of this author today, by the deployment's calendar, that were or could still be sent.
pub async fn proposed_today(
    store: &Store,
    author: &OpenId,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<u64, StoreError> {
    store.proposed_since(author, midnight(now, zone)).await
}

/// When today began, by the deployment's calendar.
pub fn midnight(now: Timestamp, zone: &TimeZone) -> Timestamp {
    let today = jiff::Timestamp::from_millisecond(now.0).ok().and_then(|now| {
        let now = now.to_zoned_datetime(zone.clone());
        now.start_of_day().ok()
    });
    // Beyond the calendar there are no days, and everything counts.
    today.map_or(Timestamp(i64::MIN), |begin| Timestamp(begin.timestamp().as_millisecond()))
}

/// What a broadcast needs. While namesakes are open, one that the author may address stands for each of them: whichever
/// is chosen is asked about again.
///
/// # Errors
/// When Feishu does not answer; within, what to tell the author.
pub async fn of_draft(
    app: &App,
    policy: &Policy,
    author: &OpenId,
    audience: &mut Audience,
    questions: &[Question],
) -> Result<Result<Terms, Text>, ResolveError> {
    if policy.asks_where_people_are(author) {
        people::locate(app, audience).await?;
    }
    let fits = |candidate: &&DepartmentTarget| {
        let alone = Audience { departments: vec![(*candidate).clone()], ..Audience::default() };
        !matches!(policy.terms(author, &alone), Err(Refusal::Outside { .. }))
    };
    let mut assumed = audience.clone();
    for question in questions {
        let chosen = question.candidates.iter().find(fits).or(question.candidates.first());
        assumed = chosen.map_or(assumed.clone(), |chosen| assumed.with(chosen.clone()));
    }
    match policy.terms(author, &assumed) {
        Ok(terms) => Ok(Ok(terms)),
        Err(refusal) => Ok(Err(said::refused(&refusal, &bounds(app, &refusal).await))),
    }
}

/// The departments that a rule allows, as people know them.
async fn bounds(app: &App, refusal: &Refusal) -> Vec<DepartmentTarget> {
    match refusal {
        Refusal::Outside { allowed, .. } => named(app, allowed.iter().cloned().collect()).await,
        _ => Vec::new(),
    }
}

/// Departments by their ids, with their paths where Feishu tells them: an answer about rules does not hang on that.
pub async fn named(app: &App, ids: Vec<DepartmentId>) -> Vec<DepartmentTarget> {
    let mut known = places::by_ids(app, &ids).await.unwrap_or_else(|_| {
        tracing::info!("departments of a rule could not be looked up; they are shown by their ids");
        HashMap::new()
    });
    ids.into_iter().map(|id| known.remove(&id).unwrap_or_else(|| DepartmentTarget::unverified(id))).collect()
}
