//! The first wave: a few of an audience get it before the rest does, and what becomes of it at theirs decides whether
//! the rest follows by itself or its author is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::audience::{Audience, DepartmentTarget};
use super::batch::{Batch, BatchState};
use super::ids::Timestamp;
use super::plan::{self, Targets};
use super::policy::{Canary, heads_of};

/// How long the first wave is waited for while not everybody in it is reached. Source: contract "following up":
/// delivery counts as settled after 5 minutes without a change.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A broadcast that goes out in two waves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// Batches of the first wave: those with which the plan begins, at least one and never all.
    pub batches: usize,
    /// People in it, as far as known.
    pub people: u64,
    /// The rest may follow.
    #[serde(default)]
    pub over: bool,
    /// Since when all of the first wave has an outcome.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

impl Wave {
    /// The last batch that may leave; none where all of them may.
    pub fn gate(&self) -> Option<i64> {
        (!self.over).then(|| i64::try_from(self.batches).unwrap_or(i64::MAX))
    }
}

/// Puts an audience into batches: the first wave, where there is to be one, and the rest.
///
/// The first wave takes people who are named one by one, in their order; where there are none, the smallest
/// departments. A department cannot be sent to in part, so it may be larger than was asked for, and an audience of one
/// department has no first wave.
pub fn plan(audience: &Audience, canary: Option<Canary>) -> (Vec<Targets>, Option<Wave>) {
    let Some(first) = canary.and_then(|canary| first_wave(audience, canary)) else {
        return (plan::batches(audience), None);
    };
    let ahead = audience.only(|key| first.contains(key));
    let mut batches = plan::batches(&ahead);
    let wave = Wave { batches: batches.len(), people: ahead.headcount().known, over: false, since: None };
    batches.extend(plan::batches(&audience.only(|key| !first.contains(key))));
    (batches, Some(wave))
}

/// The keys of those who get it first.
fn first_wave(audience: &Audience, canary: Canary) -> Option<BTreeSet<String>> {
    let heads = audience.headcount();
    // Of an audience whose size is not known, the share of what is known.
    let wanted = canary.first.of(heads_of(heads).unwrap_or(heads.known)).max(1);
    let mut departments: Vec<&DepartmentTarget> = audience.departments.iter().collect();
    departments.sort_by_key(|department| department.headcount.unwrap_or(u64::MAX));
    let people = audience.named_people().map(|(_, id)| (id.to_owned(), 1));
    let departments =
        departments.iter().map(|found| (found.id.key().into_owned(), found.headcount.unwrap_or(u64::MAX)));
    let mut first = BTreeSet::new();
    let mut reached: u64 = 0;
    for (key, heads) in people.chain(departments) {
        // Somebody must be left for the second one.
        if reached >= wanted || first.len() + 1 >= audience.ids() {
            break;
        }
        reached = reached.saturating_add(heads);
        first.insert(key);
    }
    (!first.is_empty()).then_some(first)
}

/// What the first wave says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Not all of it has an outcome yet.
    Wait,
    /// All of it has one, and not everybody is known to be reached.
    Settling,
    Good,
    /// So many of so many were invalid or not reached.
    Bad {
        bad: u64,
        of: u64,
    },
    /// Some of it was taken back.
    TakenBack,
}

/// Reads the outcome of the first wave from its batches.
pub fn word(wave: &Wave, batches: &[Batch], canary: Canary, now: Timestamp) -> Word {
    let (mut bad, mut of, mut missing) = (0_u64, 0_u64, 0_u64);
    let mut is_known = true;
    for batch in batches.iter().take(wave.batches) {
        let ids = batch.ids as u64;
        match batch.state {
            BatchState::Planned | BatchState::Sending | BatchState::InDoubt => return Word::Wait,
            BatchState::Refused | BatchState::Cancelled => {
                bad += ids;
                of += ids;
            }
            BatchState::TakenAsSent => of += ids,
            BatchState::Accepted if batch.recall.is_some() => return Word::TakenBack,
            BatchState::Accepted => {
                let invalid = batch.outcome.invalid.count() as u64;
                bad += invalid;
                match batch.progress.filter(|progress| progress.valid > 0) {
                    Some(progress) => {
                        of += progress.valid + invalid;
                        missing += progress.valid.saturating_sub(progress.reached);
                    }
                    None => {
                        of += ids;
                        is_known &= invalid == ids;
                    }
                }
            }
        }
    }
    if canary.invalid_max.is_exceeded_by(bad, of) {
        return Word::Bad { bad, of };
    }
    if is_known && missing == 0 {
        return Word::Good;
    }
    if wave.since.is_none_or(|since| now.since(since) < PATIENCE) {
        return Word::Settling;
    }
    // Of whom nothing is known after all that time, nobody is known to have it.
    let bad = if is_known { bad + missing } else { of };
    if canary.invalid_max.is_exceeded_by(bad, of) { Word::Bad { bad, of } } else { Word::Good }
}

#[cfg(test)]
mod tests {
    use super::super::audience::PersonTarget;
    use super::super::batch::{InvalidIds, Outcome, Progress};
    use super::super::ids::{BroadcastId, DepartmentId, OpenId};
    use super::super::policy::Share;
    use super::super::recall::Recall;
    use super::*;

    fn audience(departments: &[Option<u64>], people: usize) -> Audience {
        let departments = departments.iter().enumerate().map(|(n, heads)| {
            let mut found = DepartmentTarget::unverified(DepartmentId::new(format!("od-{n}")).expect("a test id"));
            found.headcount = *heads;
            found
        });
        let people = (0..people).map(|n| PersonTarget::new(OpenId::new(format!("ou_{n:04}")).expect("a test id")));
        Audience::new(departments.collect(), people.collect(), vec![], vec![])
    }

    fn canary(first: Share) -> Canary {
        Canary { first, invalid_max: Share::Percent(5) }
    }

    /// Ids in the first wave, its batches, and ids in the rest.
    fn split(departments: &[Option<u64>], people: usize, first: Share) -> Option<(usize, usize, usize)> {
        let whole = audience(departments, people);
        let (batches, wave) = plan(&whole, Some(canary(first)));
        assert_eq!(batches.iter().map(Targets::count).sum::<usize>(), whole.ids(), "nobody is lost");
        let mut ids: Vec<&str> = batches.iter().flat_map(Targets::ids).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), whole.ids(), "nobody stands in it twice");
        let wave = wave?;
        let ahead = batches.iter().take(wave.batches).map(Targets::count).sum::<usize>();
        Some((ahead, wave.batches, whole.ids() - ahead))
    }

    #[test]
    fn a_part_goes_first_and_somebody_is_always_left() {
        assert_eq!(split(&[], 1000, Share::People(20)), Some((20, 1, 980)));
        assert_eq!(split(&[], 1000, Share::Percent(30)), Some((300, 2, 700)));
        assert_eq!(split(&[], 5, Share::People(20)), Some((4, 1, 1)));
        assert_eq!(split(&[], 1, Share::People(20)), None);
        assert_eq!(split(&[Some(500)], 0, Share::People(20)), None, "a department cannot be sent to in part");
        // The smallest departments, unknown ones last.
        assert_eq!(split(&[Some(500), None, Some(7), Some(30)], 0, Share::People(20)), Some((2, 1, 2)));
        assert_eq!(split(&[Some(500), Some(3)], 50, Share::People(20)), Some((20, 1, 32)));
    }

    #[test]
    fn without_a_canary_the_plan_is_the_smallest() {
        let whole = audience(&[Some(3)], 401);
        assert_eq!(plan(&whole, None), (plan::batches(&whole), None));
    }

    fn accepted(ids: usize, invalid: usize, progress: Option<(u64, u64)>) -> Batch {
        let invalid = InvalidIds { open_ids: vec!["ou_x".into(); invalid], ..InvalidIds::default() };
        Batch {
            broadcast: BroadcastId::parse("K7M2QX").expect("a test id"),
            seq: 1,
            state: BatchState::Accepted,
            ids,
            heads: ids as u64,
            attempts: 1,
            not_before: Timestamp(0),
            outcome: Outcome { invalid, ..Outcome::default() },
            progress: progress.map(|(valid, reached)| Progress { valid, reached, read: 0 }),
            recall: None,
        }
    }

    #[test]
    fn the_first_wave_says_whether_the_rest_may_follow() {
        let wave = Wave { batches: 1, people: 100, over: false, since: Some(Timestamp(0)) };
        let says = |batch: &Batch, minutes: i64| {
            word(&wave, &[batch.clone(), accepted(9, 9, None)], canary(Share::People(20)), Timestamp(minutes * 60_000))
        };
        let mut under_way = accepted(100, 0, None);
        under_way.state = BatchState::Sending;
        assert_eq!(says(&under_way, 60), Word::Wait);
        assert_eq!(says(&accepted(100, 0, None), 4), Word::Settling);
        assert_eq!(says(&accepted(100, 0, Some((100, 100))), 0), Word::Good);
        assert_eq!(says(&accepted(100, 5, Some((95, 95))), 0), Word::Good);
        assert_eq!(says(&accepted(100, 6, Some((94, 94))), 0), Word::Bad { bad: 6, of: 100 });
        assert_eq!(says(&accepted(100, 3, Some((97, 94))), 4), Word::Settling, "they may still be reached");
        assert_eq!(says(&accepted(100, 3, Some((97, 94))), 5), Word::Bad { bad: 6, of: 100 });
        assert_eq!(says(&accepted(100, 3, Some((97, 95))), 5), Word::Good);
        assert_eq!(says(&accepted(100, 0, None), 5), Word::Bad { bad: 100, of: 100 }, "nothing is known of them");
        let mut back = accepted(100, 0, Some((100, 100)));
        back.recall = Some(Recall::wanted());
        assert_eq!(says(&back, 0), Word::TakenBack, "what was taken back says nothing good of the rest");
        let mut refused = accepted(100, 0, None);
        refused.state = BatchState::Refused;
        assert_eq!(says(&refused, 0), Word::Bad { bad: 100, of: 100 });
        let gate = |over| Wave { over, ..wave }.gate();
        assert_eq!((gate(false), gate(true)), (Some(1), None));
    }
}
