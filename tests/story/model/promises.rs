//! What must be true, as people were promised it.

use std::rc::Rc;

use feishu_broadcast::domain::batch::{Batch, BatchState};
use feishu_broadcast::domain::broadcast::{Broadcast, State};
use feishu_broadcast::domain::hold::{AWAY_MAX, HoldCause};
use feishu_broadcast::domain::policy::{Action, Policy};
use feishu_broadcast::domain::recall::RecallStage;

use super::ledger::Tx;
use super::search::By;
use super::shell::{self, Press};
use super::world::World;
use super::{FIRST_WAVE, REST, Size, people};

/// What must be true everywhere.
///
/// # Errors
/// The promise that is broken.
pub(super) fn of_world(world: &World, policy: &Policy) -> Result<(), String> {
    adds_up(world)?;
    shows_its_doubt(world)?;
    comes_back(world)?;
    presses_again(world, policy)
}

/// What must be true of every move.
///
/// # Errors
/// The promise that was broken.
pub(super) fn of_move(before: &World, after: &World, by: By, size: &Size) -> Result<(), String> {
    approvals(before, after)?;
    times(before, after, by, size)?;
    waves(before, after, by, size)?;
    recalls(before, after)?;
    calls(before, after, size)?;
    ends(before, after, by)?;
    doubt(before, after, by)?;
    numbers(before, after)
}

fn promise(holds: bool, words: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words.to_owned()) }
}

/// Nothing is taken or called without the approvals asked for, in time, and an approval that counted goes on counting.
fn approvals(before: &World, after: &World) -> Result<(), String> {
    let broadcast = &after.ledger.broadcast;
    let by: Vec<_> = broadcast.approvals.iter().map(|approval| &approval.by).collect();
    promise(by.iter().copied().eq(&after.truth.approved), "an approval that was acknowledged does not count")?;
    let mut distinct = by.clone();
    distinct.sort();
    distinct.dedup();
    promise(distinct.len() == by.len(), "somebody's approval counts twice")?;
    let undecided = before.ledger.broadcast.state.is_undecided();
    let decided = undecided && !broadcast.state.is_undecided() && broadcast.state != State::Expired;
    let late = decided && before.now >= before.truth.deadline() && broadcast.state != State::Cancelled;
    promise(!late, "decided after the deadline")?;
    let released = matches!(broadcast.state, State::Approved | State::Scheduled);
    let blind = undecided && released && before.ledger.broadcast.hold.is_some();
    promise(!blind, "approved although its author was to be asked first")?;
    let asked = usize::try_from(broadcast.required.max(1)).expect("a small number");
    let own = broadcast.required > 0 && by.contains(&&broadcast.author);
    let leaves = made(after) > made(before) || after.senders.len() > before.senders.len();
    promise(!leaves || (by.len() >= asked && !own), "sent without the approvals asked for")
}

fn made(world: &World) -> usize {
    world.truth.calls.iter().map(|calls| calls.made).sum()
}

/// Nothing leaves before its time, nor before it has rested; and long after its time only on its author's word.
fn times(before: &World, after: &World, by: By, size: &Size) -> Result<(), String> {
    let truth = &after.truth;
    let rested = if size.rest { truth.released.after(REST) } else { truth.released };
    let leaves = truth.leaves.map_or(rested, |at| at.max(rested));
    let early = made(after) > made(before) || after.senders.len() > before.senders.len();
    promise(!early || after.now >= leaves, "sent before its time")?;
    let (old, new) = (&before.ledger.broadcast, &after.ledger.broadcast);
    let came = old.state == State::Scheduled && new.state == State::Approved;
    let late = after.now.since(leaves) > AWAY_MAX;
    promise(!came || !late || by == By::Person, "sent long after its time, and its author was not asked")
}

/// What is behind the first wave waits until that has arrived, or its author has seen that it has not and says go on.
fn waves(before: &World, after: &World, by: By, size: &Size) -> Result<(), String> {
    if !size.wave {
        return Ok(());
    }
    let over = |world: &World| world.ledger.broadcast.wave.is_some_and(|wave| wave.over);
    let arrived = after.ledger.rows.iter().take(FIRST_WAVE).all(|row| match row.batch.state {
        BatchState::Accepted => row.batch.recall.is_none() && row.batch.progress.is_some_and(|count| count.reached > 0),
        BatchState::TakenAsSent => true,
        BatchState::Planned
        | BatchState::Sending
        | BatchState::Refused
        | BatchState::InDoubt
        | BatchState::Cancelled => false,
    });
    let hold = before.ledger.broadcast.hold.map(|hold| hold.cause);
    let told = matches!(hold, Some(HoldCause::FirstWave { .. } | HoldCause::TakenBack)) && by == By::Person;
    promise(!over(after) || over(before) || arrived || told, "the first wave has not arrived, and nobody said go on")?;
    let behind = |world: &World| world.truth.calls.iter().skip(FIRST_WAVE).map(|calls| calls.made).sum::<usize>();
    let taken = after.senders.iter().skip(before.senders.len());
    let taken = taken.filter(|sender| usize::try_from(sender.claim.batch.seq).is_ok_and(|seq| seq > FIRST_WAVE));
    let leaves = behind(after) > behind(before) || taken.count() > 0;
    promise(!leaves || over(before), "sent before the first wave has arrived")
}

/// Only what was accepted, and what somebody wants back, is asked back, and is not sent again; Feishu is believed to work
/// on it only once it was asked.
fn recalls(before: &World, after: &World) -> Result<(), String> {
    for asker in after.askers.iter().skip(before.askers.len()) {
        let row = before.ledger.row(asker.seq);
        let place = usize::try_from(asker.seq - 1).expect("batches count from 1");
        promise(row.batch.outcome.message_id.is_some(), "asked back without an id")?;
        promise(before.truth.calls[place].wanted, "asked back although nobody wants it back")?;
    }
    for (row, calls) in after.ledger.rows.iter().zip(&after.truth.calls) {
        let leaves = matches!(row.batch.state, BatchState::Planned | BatchState::Sending);
        promise(row.batch.recall.is_none() || !leaves, "sent again after it was asked back")?;
        let works = row.batch.recall.as_ref().is_some_and(|recall| match recall.stage {
            RecallStage::Asked { .. } | RecallStage::Over => true,
            RecallStage::Wanted | RecallStage::Refused { .. } => recall.taken_back > 0,
        });
        promise(!works || calls.asked_back, "taken back, although Feishu was not asked")?;
    }
    Ok(())
}

/// What is to be taken back is asked back for as long as it takes; of the whole nothing stays behind, nothing is still to
/// be sent, and nothing is brought to others.
fn comes_back(world: &World) -> Result<(), String> {
    for row in &world.ledger.rows {
        let wanted = row.batch.recall.as_ref().is_some_and(|recall| recall.stage == RecallStage::Wanted);
        promise(wanted == row.recall_due, "wanted back, and Feishu is not asked")?;
    }
    if !world.truth.taken_back {
        return Ok(());
    }
    let left = |row: &super::ledger::Row| row.batch.state == BatchState::Accepted && row.batch.recall.is_none();
    promise(!world.ledger.rows.iter().any(left), "all of it is wanted back, and a batch of it stays")?;
    let planned = world.ledger.rows.iter().any(|row| row.batch.state == BatchState::Planned);
    promise(!planned, "to be sent although all of it is wanted back")?;
    // What repairs and corrections look at.
    promise(world.ledger.broadcast.is_taken_back(), "brought to others although all of it is wanted back")
}

/// One call, and one more each time a person sends again; none once it is over or was stopped.
fn calls(before: &World, after: &World, size: &Size) -> Result<(), String> {
    let few = after.truth.calls.iter().all(|calls| calls.arrived <= 1 + calls.resent);
    promise(few, "sent twice on the bot's own account")?;
    let taken = after.senders.len() > before.senders.len();
    promise(!taken || !before.truth.stopped, "taken although its author stopped it")?;
    let asks = after.ledger.broadcast.hold.is_some();
    promise(!asks || !after.truth.stopped, "its author is asked whether to send what was stopped")?;
    promise(!taken || before.ledger.broadcast.hold.is_none(), "taken although its author was to be asked first")?;
    // A machine that stood still from its claim to after the lease, with a person deciding in between, cannot know.
    let over = before.ledger.broadcast.state.is_settled() && !size.standstill;
    promise(!over || made(after) == made(before), "called after its end")
}

/// What has ended stays as it is, be it a broadcast or a batch.
fn ends(before: &World, after: &World, by: By) -> Result<(), String> {
    let (old, new) = (&before.ledger, &after.ledger);
    if Rc::ptr_eq(old, new) {
        return Ok(());
    }
    if old.broadcast.state.is_settled() {
        promise(has_ended_alike(&old.broadcast, &new.broadcast), "what had ended has changed")?;
        promise(old.rows.iter().map(sent).eq(new.rows.iter().map(sent)), "what had ended has changed")?;
    }
    for (old, new) in old.rows.iter().zip(&new.rows) {
        // Of a broadcast on hold its author tries again what was certainly not sent.
        let again =
            old.batch.state == BatchState::Refused && new.batch.state == BatchState::Planned && by == By::Person;
        let kept = !is_final(&old.batch) || sent(old) == sent(new) || again;
        promise(kept, "the record of a batch that had ended has changed")?;
    }
    Ok(())
}

/// A batch without what is learned of it once it was accepted.
fn sent(row: &super::ledger::Row) -> Batch {
    Batch { progress: None, recall: None, ..row.batch.clone() }
}

/// Whether what had ended stays so, but for what is taken back of it.
fn has_ended_alike(old: &Broadcast, new: &Broadcast) -> bool {
    if new.recall.is_none() {
        return *old == Broadcast { revision: old.revision, ..new.clone() };
    }
    let left = |state| matches!(state, State::Sent | State::PartlySent | State::Recalled);
    // While some of it comes back nobody is asked about a doubt; else somebody is.
    left(old.state) && (left(new.state) || new.state == State::InDoubt) && old.approvals == new.approvals
}

fn is_final(batch: &Batch) -> bool {
    match batch.state {
        BatchState::Accepted | BatchState::Refused | BatchState::TakenAsSent | BatchState::Cancelled => true,
        BatchState::Planned | BatchState::Sending | BatchState::InDoubt => false,
    }
}

/// A batch in doubt waits for a person.
fn doubt(before: &World, after: &World, by: By) -> Result<(), String> {
    for (old, new) in before.ledger.rows.iter().zip(&after.ledger.rows) {
        let moved = old.batch.state == BatchState::InDoubt && new.batch.state != BatchState::InDoubt;
        promise(!moved || by == By::Person, "a doubt was decided by the machine")?;
    }
    Ok(())
}

fn shows_its_doubt(world: &World) -> Result<(), String> {
    let rows = &world.ledger.rows;
    let doubtful = rows.iter().any(|row| row.batch.state == BatchState::InDoubt);
    let shown = world.ledger.broadcast.state == State::InDoubt;
    promise(doubtful || !shown, "in doubt about nothing")?;
    // Where some of it comes back with all of the rest, nobody has to decide about it.
    let back = rows.iter().filter_map(|row| row.batch.recall.as_ref());
    let comes_back = back.into_iter().any(|recall| !matches!(recall.stage, RecallStage::Refused { .. }));
    let moot = world.ledger.broadcast.is_wanted_back() && comes_back;
    promise(!doubtful || shown != moot, "a doubt that the broadcast does not show")?;
    let why = rows.iter().all(|row| row.batch.state != BatchState::InDoubt || row.batch.outcome.doubt.is_some());
    promise(why, "a doubt without its cause")
}

/// Whoever changes anything raises the revision, so that nobody overwrites it; a decision raises the version, so that
/// no older card decides about it.
fn numbers(before: &World, after: &World) -> Result<(), String> {
    let (old, new) = (&before.ledger, &after.ledger);
    if Rc::ptr_eq(old, new) {
        return Ok(());
    }
    let changed = old.broadcast != new.broadcast || old.batches() != new.batches();
    promise(!changed || new.broadcast.revision > old.broadcast.revision, "changed without a new revision")?;
    let decided = old.broadcast.state != new.broadcast.state;
    promise(!decided || new.broadcast.version > old.broadcast.version, "decided without a new version")
}

/// The state of the broadcast is the sum of its batches, and what is said of them is what happened.
fn adds_up(world: &World) -> Result<(), String> {
    let state = world.ledger.broadcast.state;
    if state == State::NeedsChoice {
        return promise(world.ledger.rows.is_empty(), "batches before their targets are known");
    }
    let report = world.ledger.report();
    let done = report.accepted + report.refused + report.taken_as_sent + report.cancelled;
    promise(done + report.open + report.in_doubt == report.batches, "batches are missing from the report")?;
    let moot = if world.ledger.broadcast.is_wanted_back() { report.in_doubt } else { 0 };
    promise(!state.is_settled() || done + moot == report.batches, "over, with batches that are not")?;
    promise(!state.is_settled() || world.ledger.broadcast.hold.is_none(), "over, and on hold")?;
    let truth = || world.ledger.rows.iter().zip(&world.truth.calls);
    let receipts = truth().all(|(row, calls)| {
        row.batch.state != BatchState::Accepted || (calls.arrived > 0 && row.batch.outcome.message_id.is_some())
    });
    promise(receipts, "accepted, with no call that was")?;
    let nothing_left = truth().all(|(_, calls)| calls.arrived == 0);
    // A call of unknown outcome may have arrived, whatever became of the batch after it.
    let known = truth().all(|(row, calls)| {
        calls.arrived == 0 || calls.resent == 0 || row.batch.outcome.doubted || row.batch.outcome.doubt.is_some()
    });
    promise(known, "a call that may have arrived is forgotten")?;
    match state {
        State::NeedsChoice | State::Pending | State::Approved | State::Scheduled => {
            promise(report.open == report.batches && nothing_left, "something left before it was begun")
        }
        State::Sending => promise(report.open > 0, "sending, with nothing to send"),
        State::InDoubt => promise(report.in_doubt > 0, "in doubt about nothing"),
        State::Sent => promise(report.accepted + report.taken_as_sent == report.batches, "sent, but not all of it"),
        State::PartlySent => promise(
            (1..report.batches).contains(&(report.accepted + report.taken_as_sent)) || report.once_in_doubt > 0,
            "partly sent, but all or nothing",
        ),
        State::Failed => promise(nothing_left && report.refused > 0, "failed, but something left"),
        State::Rejected | State::Cancelled | State::Expired => {
            promise(nothing_left && report.cancelled == report.batches, "ended, but something left")
        }
        State::Recalled => {
            let mut accepted = world.ledger.rows.iter().filter(|row| row.batch.state == BatchState::Accepted);
            let back = accepted.all(|row| row.batch.recall.as_ref().is_some_and(|recall| !recall.is_under_way()));
            let some = world.truth.calls.iter().any(|calls| calls.wanted && calls.asked_back);
            promise(back && some, "recalled, and some of it is not")
        }
    }
}

/// Feishu delivers a press again, or somebody presses a card that shows how things were: neither changes anything,
/// even where the memory of seen presses has faded.
fn presses_again(world: &World, policy: &Policy) -> Result<(), String> {
    let version = world.ledger.broadcast.version - 1;
    let outdated =
        people().iter().flat_map(|person| Action::ALL.into_iter().map(move |action| Press { person, action, version }));
    for press in world.truth.pressed.into_iter().chain(outdated) {
        let mut tx = Tx::begin(&world.ledger);
        let done = shell::press(&mut tx, policy, &press, world.now);
        if !matches!(done, Ok(None)) {
            return Err(format!("{} by {} again, or on an old card, decides", press.action.as_str(), press.person));
        }
    }
    Ok(())
}
