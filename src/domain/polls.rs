//! When Feishu is asked next how far a batch has come, or that it is asked no more.
//!
//! Delivery takes seconds and is asked for at once; reads come in over hours and days, and the pauses grow with the age
//! of the batch. Feishu has a question for each: `get_progress` knows both, `read_user` the reads alone. Whoever wants
//! to know earlier presses a button: that is one question more, and what it finds decides whether others follow.

use std::time::Duration;

use super::batch::Progress;
use super::recall::SAME_MAX;

/// Pauses while delivery is under way, in seconds. Source: contract "following up".
pub const FAST: [u64; 5] = [2, 4, 8, 15, 30];

/// The pause after [`FAST`], and the shortest there is from then on. Source: the same.
pub const STEADY: Duration = Duration::from_secs(60);

/// How long a batch may stand in Feishu's queue: so long it is asked about every minute. Source: the same, 40 minutes.
const QUEUED_MAX: Duration = Duration::from_secs(40 * 60);

/// Later the pause is this part of the batch's age: what changes slowly is asked for rarely.
const PART_OF_AGE: u32 = 8;

/// The longest pause: a working day still sees two answers.
const SLOW_MAX: Duration = Duration::from_secs(6 * 3600);

/// How long nothing may change before nothing more is expected: a long weekend, from Friday evening to Tuesday.
const QUIET_MAX: Duration = Duration::from_secs(4 * 24 * 3600);

/// How long Feishu answers. Source: contract "following up", 30 days; less an hour for clocks that disagree.
const MEMORY: Duration = Duration::from_secs(30 * 24 * 3600 - 3600);

/// What is known of a batch after a question.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Questions so far; a recall begins to count anew.
    pub polls: i64,
    pub progress: Progress,
    /// Since Feishu accepted it.
    pub age: Duration,
    /// Since an answer last brought something new.
    pub quiet: Duration,
    pub recall: Recalling,
}

/// What there is to know of a recall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recalling {
    No,
    UnderWay,
    Over,
}

/// What Feishu is asked about an accepted batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `get_progress`: how many are valid, reached, have read it, and were taken back from.
    Progress,
    /// `read_user`: how many have read it.
    Reads,
}

/// What is asked next of a batch that is so old; `same` answers in a row have left its delivery as it was.
///
/// Delivery has settled once everybody is reached, or once nothing is queued any more and the counts stand still: people
/// out of the bot's reach are counted as valid for ever. From then on only reads are news. A recall is counted by
/// `get_progress` alone.
pub fn question(progress: Option<Progress>, same: i64, age: Duration, is_recalled: bool) -> Question {
    let Some(progress) = progress.filter(|progress| progress.valid > 0 && !is_recalled) else {
        return Question::Progress;
    };
    let stands_still = same >= SAME_MAX && age >= QUEUED_MAX;
    if progress.reached >= progress.valid || stands_still { Question::Reads } else { Question::Progress }
}

/// Whether Feishu still knows a batch of that age.
pub fn is_remembered(age: Duration) -> bool {
    age < MEMORY
}

/// How long to wait before the next question; `None` where nothing more is expected.
pub fn pause(asked: &Asked) -> Option<Duration> {
    let Asked { polls, progress, age, quiet, recall } = *asked;
    let fast = usize::try_from(polls.saturating_sub(1)).ok().and_then(|place| FAST.get(place));
    let fast = fast.map(|seconds| Duration::from_secs(*seconds));
    let everyone_read = progress.valid > 0 && progress.read >= progress.valid;
    let pause = match recall {
        Recalling::Over => return None,
        Recalling::UnderWay => fast.unwrap_or(STEADY),
        Recalling::No if everyone_read || quiet >= QUIET_MAX => return None,
        Recalling::No => {
            let delivered = progress.valid > 0 && progress.reached >= progress.valid;
            let slow = if !delivered && age < QUEUED_MAX { STEADY } else { age / PART_OF_AGE };
            fast.unwrap_or(slow.clamp(STEADY, SLOW_MAX))
        }
    };
    is_remembered(age + pause).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const GOING: Progress = Progress { valid: 10, reached: 5, read: 1 };
    const DELIVERED: Progress = Progress { valid: 10, reached: 10, read: 1 };

    fn after(polls: i64, progress: Progress, age: Duration, quiet: Duration) -> Option<Duration> {
        pause(&Asked { polls, progress, age, quiet, recall: Recalling::No })
    }

    #[test]
    fn the_pauses_grow_with_the_age_of_a_batch() {
        let fast: Vec<u64> = (1..=6).filter_map(|n| after(n, GOING, STEADY, STEADY)).map(|p| p.as_secs()).collect();
        assert_eq!(fast, [2, 4, 8, 15, 30, 60]);
        assert_eq!(after(9, GOING, HOUR / 2, HOUR / 2), Some(STEADY), "it may still be queued");
        assert_eq!(after(9, DELIVERED, HOUR / 60, HOUR), Some(STEADY));
        assert_eq!(after(9, DELIVERED, 2 * HOUR, HOUR), Some(HOUR / 4));
        assert_eq!(after(9, DELIVERED, 10 * DAY, DAY), Some(6 * HOUR));
    }

    #[test]
    fn delivery_is_asked_for_until_it_has_settled_and_then_only_reads() {
        let asked = |progress, same, age| question(progress, same, age, false);
        assert_eq!(asked(None, 9, HOUR), Question::Progress);
        assert_eq!(
            asked(Some(Progress { valid: 0, reached: 0, read: 0 }), 99, DAY),
            Question::Progress,
            "queued, or nobody"
        );
        assert_eq!(asked(Some(GOING), 4, HOUR), Question::Progress, "it moved a moment ago");
        assert_eq!(asked(Some(GOING), 9, HOUR / 2), Question::Progress, "it may still be queued");
        assert_eq!(asked(Some(GOING), 5, HOUR), Question::Reads, "the rest is out of reach");
        assert_eq!(asked(Some(DELIVERED), 0, STEADY), Question::Reads);
        assert_eq!(question(Some(DELIVERED), 9, HOUR, true), Question::Progress, "who counts a recall");
    }

    #[test]
    fn asking_comes_to_an_end() {
        assert_eq!(after(9, Progress { valid: 10, reached: 10, read: 10 }, HOUR, HOUR), None);
        assert_eq!(after(9, DELIVERED, 5 * DAY, 4 * DAY), None, "nothing changes any more");
        assert_eq!(after(9, DELIVERED, 30 * DAY - 5 * HOUR, HOUR), None, "Feishu forgets it");
        assert!(!is_remembered(30 * DAY) && is_remembered(29 * DAY));
    }

    #[test]
    fn a_month_of_reads_takes_few_questions() {
        let (mut age, mut polls) = (Duration::ZERO, 0);
        loop {
            polls += 1;
            let Some(pause) = after(polls, DELIVERED, age, HOUR) else { break };
            age += pause;
        }
        assert!((100..220).contains(&polls), "{polls}");
        assert!(age > 29 * DAY, "{age:?}");
    }

    #[test]
    fn a_recall_is_followed_closely_and_ends_the_questions() {
        let asked = |polls, recall| pause(&Asked { polls, progress: DELIVERED, age: 9 * DAY, quiet: 8 * DAY, recall });
        assert_eq!(asked(1, Recalling::UnderWay), Some(Duration::from_secs(2)));
        assert_eq!(asked(40, Recalling::UnderWay), Some(STEADY));
        assert_eq!(asked(1, Recalling::Over), None);
    }
}
