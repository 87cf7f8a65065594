//! Asks Feishu how far one accepted batch has come, with growing pauses, until nothing more is expected.

use std::time::Duration;

use super::{App, Step, dispatch};
use crate::domain::batch::Progress;
use crate::feishu::error::Class;
use crate::store::StoreError;

/// Pauses while delivery is under way, in seconds. Source: contract "following up".
const FAST: [u64; 5] = [2, 4, 8, 15, 30];

/// The pause after [`FAST`], while numbers still change.
const STEADY: Duration = Duration::from_secs(60);

/// The pause once delivery has settled and only reads still come in.
const SLOW: Duration = Duration::from_secs(600);

/// Polls without a change after which delivery counts as settled. Source: contract "following up".
const SAME_MAX: i64 = 5;

/// Polls of one batch in all: the fast ones, an hour of steady ones and a day of slow ones.
const POLLS_MAX: i64 = 5 + 60 + 144;

/// Asks for at most one batch. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    if !app.store.has_poll(app.now()).await? {
        return Ok(Step::Idle);
    }
    app.polls.next(&app.store, || app.now()).await;
    let now = app.now();
    let Some(poll) = app.store.claim_poll(now, now.after(STEADY)).await? else { return Ok(Step::Idle) };
    let asked = app.feishu.batch_progress(app.now(), &poll.message_id).await;
    let now = app.now();
    let (progress, next) = match asked {
        Ok(answer) => {
            let progress = Progress { valid: answer.valid, reached: answer.success, read: answer.read };
            let changed = poll.progress != Some(progress);
            let same = if changed { 0 } else { poll.polls_same + 1 };
            (Some((progress, changed, same)), pause(poll.polls, same, progress))
        }
        Err(error) => {
            tracing::debug!(%error, broadcast = %poll.broadcast, "delivery could not be asked for");
            match error.class() {
                // A batch is not known in the first moments after it was accepted.
                Class::Permanent | Class::FixSetup if poll.polls > FAST.len() as i64 => (None, None),
                _ => (None, pause(poll.polls, 0, poll.progress.unwrap_or_default())),
            }
        }
    };
    let next = next.map(|pause| now.after(pause));
    let mut tx = app.store.begin().await?;
    let broadcast = tx.broadcast(&poll.broadcast).await?;
    let is_in_waves = broadcast.as_ref().and_then(|broadcast| broadcast.wave).is_some_and(|wave| !wave.over);
    match progress {
        Some((progress, changed, same)) => {
            tx.record_progress(&poll, Some(progress), same, next).await?;
            if progress.valid > 0 {
                tx.rebook(&poll.broadcast, poll.seq, progress.valid).await?;
            }
            if changed && let Some(before) = broadcast {
                let mut after = before.clone();
                after.revision += 1;
                tx.update_broadcast(&after, before.revision).await?;
                tx.want_cards(&after.id, after.revision, now).await?;
            }
        }
        None => tx.record_progress(&poll, None, poll.polls_same, next).await?,
    }
    if is_in_waves {
        // Also where no number has changed: patience may be over.
        dispatch::follow(&mut tx, &poll.broadcast, now).await?;
        app.wake.dispatch.notify_one();
    }
    tx.commit().await?;
    app.wake.cards.notify_one();
    Ok(Step::Worked)
}

/// When to ask again, or never.
fn pause(polls: i64, same: i64, progress: Progress) -> Option<Duration> {
    let everyone_read = progress.valid > 0 && progress.read >= progress.valid;
    if polls >= POLLS_MAX || everyone_read {
        return None;
    }
    let delivered = progress.valid > 0 && progress.reached >= progress.valid;
    let fast = usize::try_from(polls).ok().and_then(|polls| FAST.get(polls));
    match fast {
        Some(seconds) => Some(Duration::from_secs(*seconds)),
        None if delivered || same >= SAME_MAX => Some(SLOW),
        None => Some(STEADY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_and_come_to_an_end() {
        let going = Progress { valid: 10, reached: 5, read: 1 };
        let delivered = Progress { valid: 10, reached: 10, read: 1 };
        assert_eq!(pause(1, 0, going), Some(Duration::from_secs(4)));
        assert_eq!(pause(9, 0, going), Some(STEADY));
        assert_eq!(pause(9, SAME_MAX, going), Some(SLOW));
        assert_eq!(pause(9, 0, delivered), Some(SLOW));
        assert_eq!(pause(POLLS_MAX, 0, going), None);
        assert_eq!(pause(9, 0, Progress { valid: 10, reached: 10, read: 10 }), None);
    }
}
