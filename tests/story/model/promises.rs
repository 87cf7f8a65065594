//! What must be true, as people were promised it.

use std::rc::Rc;

use feishu_broadcast::domain::batch::{Batch, BatchState};
use feishu_broadcast::domain::broadcast::State;
use feishu_broadcast::domain::policy::{Action, Policy};

use super::ledger::Tx;
use super::search::By;
use super::shell::{self, Press};
use super::world::World;
use super::{Size, people};

/// What must be true everywhere.
///
/// # Errors
/// The promise that is broken.
pub(super) fn of_world(world: &World, policy: &Policy) -> Result<(), String> {
    adds_up(world)?;
    shows_its_doubt(world)?;
    presses_again(world, policy)
}

/// What must be true of every move.
///
/// # Errors
/// The promise that was broken.
pub(super) fn of_move(before: &World, after: &World, by: By, size: &Size) -> Result<(), String> {
    approvals(before, after)?;
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
    let late = decided && before.late && broadcast.state != State::Cancelled;
    promise(!late, "decided after the deadline")?;
    let blind = undecided && broadcast.state == State::Approved && before.ledger.broadcast.hold.is_some();
    promise(!blind, "approved although its author was to be asked first")?;
    let asked = usize::try_from(broadcast.required.max(1)).expect("a small number");
    let own = broadcast.required > 0 && by.contains(&&broadcast.author);
    let leaves = made(after) > made(before) || after.senders.len() > before.senders.len();
    promise(!leaves || (by.len() >= asked && !own), "sent without the approvals asked for")
}

fn made(world: &World) -> usize {
    world.truth.calls.iter().map(|calls| calls.made).sum()
}

/// One call, and one more each time a person sends again; none once it is over or was stopped.
fn calls(before: &World, after: &World, size: &Size) -> Result<(), String> {
    let few = after.truth.calls.iter().all(|calls| calls.arrived <= 1 + calls.resent);
    promise(few, "sent twice on the bot's own account")?;
    let taken = after.senders.len() > before.senders.len();
    promise(!taken || !before.truth.stopped, "taken although its author stopped it")?;
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
        promise(old.broadcast == new.broadcast && old.batches() == new.batches(), "what had ended has changed")?;
    }
    for (old, new) in old.rows.iter().zip(&new.rows) {
        // Of a broadcast on hold its author tries again what was certainly not sent.
        let again =
            old.batch.state == BatchState::Refused && new.batch.state == BatchState::Planned && by == By::Person;
        let kept = !is_final(&old.batch) || old.batch == new.batch || again;
        promise(kept, "the record of a batch that had ended has changed")?;
    }
    Ok(())
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
    promise(doubtful == (world.ledger.broadcast.state == State::InDoubt), "a doubt that the broadcast does not show")?;
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
    promise(!state.is_settled() || done == report.batches, "over, with batches that are not")?;
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
        State::Recalled => Err("recalled, which nobody can yet".to_owned()),
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
        let done = shell::press(&mut tx, policy, &press, world.now());
        if !matches!(done, Ok(None)) {
            return Err(format!("{} by {} again, or on an old card, decides", press.action.as_str(), press.person));
        }
    }
    Ok(())
}
