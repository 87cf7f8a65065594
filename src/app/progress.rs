//! Asks Feishu how far one accepted batch has come, with growing pauses, until nothing more is expected: how many were
//! reached, how many read it, and, where it was asked back, how many copies are gone. Once delivery has settled only who
//! has read it is asked.

use std::time::Duration;

use tracing::Instrument;

use super::follow::follow;
use super::{App, Step, about};
use crate::domain::batch::{Batch, Progress};
use crate::domain::broadcast::Broadcast;
use crate::domain::ids::Timestamp;
use crate::domain::polls::{self, Asked, FAST, Question, Recalling, STEADY, question};
use crate::domain::reads::{self, Point};
use crate::domain::recall::Recall;
use crate::domain::report::Report;
use crate::feishu::batch::Progress as Answer;
use crate::feishu::error::{CallError, Class};
use crate::store::polls::PollClaim;
use crate::store::{StoreError, Tx};

/// Asks for at most one batch. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    if !app.store.has_poll(app.now()).await? {
        return Ok(Step::Idle);
    }
    app.polls.next(&app.store, || app.now()).await;
    let now = app.now();
    let Some(poll) = app.store.claim_poll(now, now.after(STEADY)).await? else { return Ok(Step::Idle) };
    let about = about("report", &poll.broadcast);
    ask(app, poll, now).instrument(about).await
}

async fn ask(app: &App, poll: PollClaim, now: Timestamp) -> Result<Step, StoreError> {
    // What Feishu has forgotten it is not asked about; what was asked for all the same ends here.
    let known = poll.accepted_at.is_none_or(|at| polls::is_remembered(now.since(at)));
    let asked = match known {
        true => Some(answer(app, &poll, now).await),
        false => None,
    };
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let Some(broadcast) = tx.broadcast(&poll.broadcast).await? else { return Ok(Step::Worked) };
    let Some(batch) = tx.batch(&poll.broadcast, poll.seq).await? else { return Ok(Step::Worked) };
    write(&mut tx, poll, &broadcast, batch, asked, now).await?;
    tx.commit().await?;
    app.wake.cards.notify_one();
    app.wake.letters.notify_one();
    Ok(Step::Worked)
}

/// Asks the question that is due.
async fn answer(app: &App, poll: &PollClaim, now: Timestamp) -> Result<Answer, CallError> {
    let age = poll.accepted_at.map_or(Duration::ZERO, |at| now.since(at));
    if let Some(before) = poll.progress
        && question(poll.progress, poll.polls_same, age, poll.is_recalled) == Question::Reads
    {
        match app.feishu.read_user(now, &poll.message_id).await {
            Ok(readers) if readers.total <= before.reached => {
                let Progress { valid, reached, .. } = before;
                return Ok(Answer { valid, success: reached, read: readers.read, recalled: None });
            }
            // More people were pushed to than were known to be: delivery went on after all.
            Ok(_) => {}
            Err(error) if matches!(error.class(), Class::Retry { .. } | Class::Reauthenticate) => return Err(error),
            // No such refusal is documented for this question alone, and the other one answers it as well.
            Err(error) => tracing::debug!(%error, broadcast = %poll.broadcast, "reads could not be asked for alone"),
        }
        app.polls.next(&app.store, || app.now()).await;
    }
    app.feishu.batch_progress(app.now(), &poll.message_id).await
}

/// Writes an answer, and what follows from it for the broadcast.
async fn write(
    tx: &mut Tx,
    mut poll: PollClaim,
    broadcast: &Broadcast,
    batch: Batch,
    asked: Option<Result<Answer, CallError>>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut recall = batch.recall.clone();
    // Somebody's refresh may have been answered since this was claimed.
    poll.progress = batch.progress;
    let (progress, goes_on) = match asked {
        Some(Ok(answer)) => {
            // Two answers are two snapshots in any order; nobody is reached less for that, or has read it less.
            let before = poll.progress.unwrap_or_default();
            let progress = Progress {
                valid: answer.valid.max(before.valid),
                reached: answer.success.max(before.reached),
                read: answer.read.max(before.read),
            };
            let gone = answer.recalled.unwrap_or(0);
            let new = poll.progress != Some(progress) || recall.as_ref().is_some_and(|recall| recall.taken_back < gone);
            let delivery = |progress: Progress| (progress.valid, progress.reached);
            let same = poll.progress.map(delivery) == Some(delivery(progress));
            poll.polls_same = if same { poll.polls_same + 1 } else { 0 };
            if new || poll.changed_at.is_none() {
                poll.changed_at = Some(now);
            }
            recall = recall.map(|recall| recall.counted(progress, poll.progress, gone, now));
            (Some(progress), true)
        }
        Some(Err(error)) => {
            tracing::debug!(%error, broadcast = %poll.broadcast, "delivery could not be asked for");
            recall = recall.map(|recall| recall.unless_too_long(now));
            // A batch is not known in the first moments after it was accepted.
            let final_word = matches!(error.class(), Class::Permanent | Class::FixSetup);
            (None, !final_word || poll.polls <= FAST.len() as i64)
        }
        None => (None, false),
    };
    let next = asking(&poll, broadcast, progress, recall.as_ref(), now).filter(|_| goes_on);
    if next.is_none() {
        // Also where Feishu will have forgotten it before the next question.
        recall = recall.map(Recall::ended);
    }
    let changed = progress.is_some_and(|progress| poll.progress != Some(progress));
    tx.record_progress(&poll, progress, recall.as_ref().filter(|_| recall != batch.recall), next).await?;
    if let Some(progress) = progress.filter(|progress| progress.valid > 0) {
        tx.rebook(&poll.broadcast, poll.seq, progress.valid).await?;
    }
    if changed {
        let report = Report::of(&tx.batches(&poll.broadcast).await?);
        if let (Some(reached), Some(read)) = (report.reached, report.read) {
            tx.add_point(&poll.broadcast, Point { at: now, reached, read }, reads::with).await?;
        }
    }
    if recall != batch.recall {
        // The last recall that comes to its end is the end of the broadcast's.
        follow(tx, &poll.broadcast, now).await?;
    } else if changed {
        let mut after = broadcast.clone();
        after.revision += 1;
        tx.update_broadcast(&after, broadcast.revision).await?;
        tx.want_cards(&after.id, after.revision, now).await?;
    }
    Ok(())
}

/// When to ask again, or never.
fn asking(
    poll: &PollClaim,
    broadcast: &Broadcast,
    progress: Option<Progress>,
    recall: Option<&Recall>,
    now: Timestamp,
) -> Option<Timestamp> {
    let accepted_at = poll.accepted_at.unwrap_or(broadcast.created_at);
    let asked = Asked {
        polls: poll.polls,
        progress: progress.or(poll.progress).unwrap_or_default(),
        age: now.since(accepted_at),
        quiet: now.since(poll.changed_at.unwrap_or(accepted_at)),
        recall: match recall {
            Some(recall) if recall.is_under_way() => Recalling::UnderWay,
            Some(recall) if recall.is_over() => Recalling::Over,
            _ => Recalling::No,
        },
    };
    polls::pause(&asked).map(|pause| now.after(pause))
}
