//! One broadcast, from the request to the report.
//!
//! Values only: nothing here waits, reads a clock or talks to anyone. Callers pass `now`, receive the next value and
//! store it where the revision is still the one they read.
//!
//! needs-choice --pick--> pending --approve--> approved --first claim--> sending --+--> sent
//!      |                    |  |  \               ^  |                            +--> partly-sent
//!      |                    |  |   \--approve--> scheduled                        +--> failed
//!      |                    |  \--reject--> rejected <--reject                    +--> in-doubt --resend, settle--> …
//!      +---- cancel, expire +---------- cancel ------------+
//!
//! `edit` leads from pending back to pending, or to needs-choice: see [`late`].
//!
//! Needs-choice is also where its author must say that something in the content is meant.
//! What was sent can be taken back (`recall`): once all of it is back, or as much as comes, it is recalled.
//! On hold nothing of it leaves, whatever its state, until its author says go on: see [`super::hold`].
//!
//! Who may make a move is decided by [`super::policy::Policy::may`]; whether the move is still possible, here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::audience::{Audience, Outline, Question};
use super::content::Content;
use super::heard::Heard;
use super::hold::{Hold, HoldCause, REFUSALS_MAX};
use super::ids::{BroadcastId, ChatId, DepartmentId, MessageId, OpenId, Timestamp};
use super::language::Language;
use super::lint::Finding;
use super::policy::Terms;
use super::recall::RecallOrder;
use super::report::Report;
use super::wave::Wave;

mod ending;
mod late;
mod recall;
mod state;
mod terms;
mod time;

pub use ending::Ending;
pub use late::{Edit, Revised, remind_at};
pub use state::State;

/// Where the request came from, so that answers go back there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The one-to-one chat; none for a group, where news about a broadcast is not for everybody's eyes.
    pub chat_id: Option<ChatId>,
    pub message_id: MessageId,
    pub language: Language,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub by: OpenId,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broadcast {
    pub id: BroadcastId,
    pub author: OpenId,
    pub origin: Origin,
    pub content: Content,
    /// What is shown of the audience; the whole of it has a place of its own in the store.
    pub audience: Outline,
    /// Namesakes still to choose among; empty from `pending` on.
    pub questions: Vec<Question>,
    /// SHA-256 over the request bodies; what approvers approve. Empty while questions are open.
    pub fingerprint: String,
    /// Distinct approvers needed; with 0 the author confirms. Those of `terms`, or more where the rules have become
    /// stricter since.
    pub required: u32,
    /// What the rules asked for when it became pending.
    #[serde(default)]
    pub terms: Terms,
    pub state: State,
    /// Counts what a press decides about: state, content, targets. Travels in every button.
    pub version: i64,
    /// Counts every change, also of numbers; the store's compare-and-swap and the order of card updates.
    pub revision: i64,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub approvals: Vec<Approval>,
    pub ending: Option<Ending>,
    #[serde(default)]
    pub hold: Option<Hold>,
    /// What in the content may not be meant.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Some of the findings must be accepted by the author before anyone is asked, and have not been.
    #[serde(default)]
    pub unaccepted: bool,
    /// Invalid ids for which a broadcast of its own was proposed once they were valid, and which one. They are given back
    /// where that one ends unsent.
    #[serde(default)]
    pub repaired: BTreeMap<String, BroadcastId>,
    /// The broadcast whose content this one brings to those that it did not reach.
    #[serde(default)]
    pub repairs: Option<BroadcastId>,
    /// When it is to leave; none: as soon as it is approved.
    #[serde(default)]
    pub send_at: Option<Timestamp>,
    /// When time moves it next: the countdown before `send_at`, and `send_at` itself.
    #[serde(default)]
    pub wake_at: Option<Timestamp>,
    /// Its first wave, where only a few get it before the rest does.
    #[serde(default)]
    pub wave: Option<Wave>,
    /// Somebody wants it back.
    #[serde(default)]
    pub recall: Option<RecallOrder>,
    /// The broadcast that was proposed to the same people in its place. Given back where that one ends unsent.
    #[serde(default)]
    pub corrected: Option<BroadcastId>,
    /// The recalled broadcast in whose place this one goes to the same people.
    #[serde(default)]
    pub corrects: Option<BroadcastId>,
    /// Since its author wrote it anew, or gave it another time after somebody had approved.
    #[serde(default)]
    pub revised: Option<Revised>,
    /// What its people had received lately when it was proposed.
    #[serde(default)]
    pub heard: Heard,
}

/// Why a move is not possible (any more). None of these changes anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stale {
    /// The card shows an older version.
    Outdated,
    /// Someone decided already.
    Decided { state: State },
    /// This approver has approved already.
    Twice,
    /// Approvals were asked for, and the author's own never counts.
    OwnBroadcast,
    /// The deadline has passed.
    Expired,
    /// The choice offered is not one of the candidates.
    NoSuchChoice,
    /// Whoever approves has to type the headcount, and typed another number or none.
    WrongHeadcount { typed: Option<u64> },
    /// Nothing is left that could be stopped.
    NothingLeft,
    /// No batch is in doubt.
    NothingInDoubt,
    /// More batches may turn out to be in doubt: some are still on their way.
    StillUnderWay,
    /// It waits for its author's word first.
    OnHold,
    /// It is not on hold (any more).
    NotOnHold,
    /// Nothing has been sent that could be recalled.
    NotSentYet,
    /// Everything that can be recalled is being recalled, or has been.
    RecalledAlready,
    /// Nothing of it has an id by which it could be recalled.
    NothingToRecall,
    /// A batch of that number was not accepted, so it cannot be recalled.
    NoSuchBatch,
    /// What is to be corrected was not recalled.
    NotRecalled,
    /// What it brings to others was taken back.
    SourceRecalled,
    /// A correction was proposed already.
    Corrected { by: BroadcastId },
}

impl Broadcast {
    /// Checks that a press still speaks of what is on the table.
    fn undecided(&self, state: State, version: i64, now: Timestamp) -> Result<(), Stale> {
        if self.state.is_undecided() && self.deadline() <= now {
            return Err(Stale::Expired);
        }
        if self.state != state {
            return Err(if self.state.is_undecided() { Stale::Outdated } else { Stale::Decided { state: self.state } });
        }
        if self.version != version { Err(Stale::Outdated) } else { Ok(()) }
    }

    fn not_on_hold(&self) -> Result<(), Stale> {
        if self.hold.is_some() { Err(Stale::OnHold) } else { Ok(()) }
    }

    fn moved(mut self, state: State) -> Self {
        self.state = state;
        if state.is_settled() {
            self.hold = None;
        }
        if state != State::Scheduled {
            self.wake_at = None;
        }
        self.version += 1;
        self.revision += 1;
        self
    }

    /// Answers the question that offers `department`: the broadcast, and its `audience` with that department in it. When
    /// it was the last question, the broadcast is pending.
    ///
    /// # Errors
    /// `NoSuchChoice` for a department nobody offered; `Outdated`, `Expired`, `Decided` as for every press.
    pub fn pick(
        mut self,
        audience: Audience,
        department: &DepartmentId,
        version: i64,
        now: Timestamp,
    ) -> Result<(Self, Audience), Stale> {
        self.undecided(State::NeedsChoice, version, now)?;
        self.not_on_hold()?;
        let (place, chosen) = self
            .questions
            .iter()
            .enumerate()
            .find_map(|(place, question)| {
                question.candidates.iter().find(|candidate| candidate.id == *department).map(|found| (place, found))
            })
            .map(|(place, found)| (place, found.clone()))
            .ok_or(Stale::NoSuchChoice)?;
        self.questions.remove(place);
        let audience = audience.with(chosen);
        self.audience = Outline { file: self.audience.file, ..audience.outline() };
        Ok((self.ask_for_approval(&audience), audience))
    }

    /// The author says that what was found in the content is meant: the broadcast is pending, unless a department is
    /// still to be chosen.
    ///
    /// # Errors
    /// `NotOnHold` when nothing has to be accepted (any more); `Outdated`, `Expired`, `Decided` as for every press.
    pub fn accept_findings(mut self, audience: &Audience, version: i64, now: Timestamp) -> Result<Self, Stale> {
        if !self.unaccepted {
            return Err(Stale::NotOnHold);
        }
        self.undecided(State::NeedsChoice, version, now)?;
        self.unaccepted = false;
        Ok(self.ask_for_approval(audience))
    }

    /// Pending where nothing is left that its author must say first.
    fn ask_for_approval(mut self, audience: &Audience) -> Self {
        let state = if self.questions.is_empty() && !self.unaccepted { State::Pending } else { State::NeedsChoice };
        if state == State::Pending {
            self = self.planned(audience);
        }
        self.moved(state)
    }

    /// Counts one approval; with enough of them the broadcast may be sent. Whether `by` may approve at all has been
    /// decided before.
    ///
    /// # Errors
    /// `Twice` for the same approver again, `Expired` from the deadline on, `Decided` after the decision, `Outdated`
    /// for an older card, `OnHold` before the author has said that it is still to be sent.
    pub fn approve(mut self, by: &OpenId, version: i64, now: Timestamp) -> Result<Self, Stale> {
        self.undecided(State::Pending, version, now)?;
        self.not_on_hold()?;
        // The rules may have changed since it was proposed; what was asked for then still is.
        if self.required > 0 && *by == self.author {
            return Err(Stale::OwnBroadcast);
        }
        if self.approvals.iter().any(|approval| approval.by == *by) {
            return Err(Stale::Twice);
        }
        self.approvals.push(Approval { by: by.clone(), at: now });
        if self.approvals.len() as u64 >= u64::from(self.required.max(1)) {
            Ok(self.released(now))
        } else {
            self.revision += 1;
            Ok(self)
        }
    }

    /// Refuses the broadcast, with a reason if one was given; while it waits for its time also one that was approved.
    ///
    /// # Errors
    /// As [`Self::approve`], without `Twice`.
    pub fn reject(mut self, by: &OpenId, reason: Option<String>, version: i64, now: Timestamp) -> Result<Self, Stale> {
        let state = if self.state == State::Scheduled { State::Scheduled } else { State::Pending };
        self.undecided(state, version, now)?;
        self.ending = Some(Ending { reason, ..Ending::new(Some(by), now) });
        Ok(self.moved(State::Rejected))
    }

    /// Withdraws whatever has not been sent. `report` is the sum of its batches; the caller cancels the open ones in
    /// the same transaction when the state that comes back is not `cancelled`.
    ///
    /// # Errors
    /// `NothingLeft` when every batch has left already or the broadcast has ended.
    pub fn cancel(mut self, by: &OpenId, report: &Report, now: Timestamp) -> Result<Self, Stale> {
        let ending = Some(Ending::new(Some(by), now));
        match self.state {
            State::NeedsChoice | State::Pending | State::Approved | State::Scheduled => {
                self.ending = ending;
                Ok(self.moved(State::Cancelled))
            }
            State::Sending | State::InDoubt if report.can_be_stopped() => {
                self.ending = ending;
                self.hold = None;
                Ok(self.moved(State::Sending))
            }
            State::Sending | State::InDoubt => Err(Stale::NothingLeft),
            state => Err(Stale::Decided { state }),
        }
    }

    /// Whether a person may decide about batches in doubt: about all of them at once, so not before it is known which
    /// they are. Nothing new leaves meanwhile, and what is under way has an end.
    ///
    /// # Errors
    /// `NothingInDoubt` when there are none (any more), `Outdated` for an older card, `StillUnderWay`.
    pub fn doubt_is_open(&self, version: i64, report: &Report) -> Result<(), Stale> {
        if self.state != State::InDoubt {
            return Err(Stale::NothingInDoubt);
        }
        match (self.version == version, report.sending) {
            (false, _) => Err(Stale::Outdated),
            (true, 1..) => Err(Stale::StillUnderWay),
            (true, 0) => Ok(()),
        }
    }

    /// Whether somebody who decides may have the content sent to them, to see it as it will arrive. Before its author has
    /// chosen and confirmed, nobody else is asked, and so nobody else is shown anything.
    ///
    /// # Errors
    /// `Outdated`, `Expired`, `Decided` as for every press.
    pub fn may_be_seen(&self, by: &OpenId, version: i64, now: Timestamp) -> Result<(), Stale> {
        let shown = if *by == self.author { self.state } else { State::Pending };
        match self.state.is_undecided() {
            true => self.undecided(shown, version, now),
            false => Err(Stale::Decided { state: self.state }),
        }
    }

    /// Brings the state in line with the batches after one of them changed, and stops where the rest would be refused
    /// like those before it.
    pub fn follow(self, report: &Report, now: Timestamp) -> Self {
        let after = self.stand(report);
        match report.refused_in_a_row {
            Some((code, times)) if times >= REFUSALS_MAX && report.planned > 0 => {
                after.clone().on_hold(HoldCause::Refused { code }, now).unwrap_or(after)
            }
            _ => after,
        }
    }

    fn stand(mut self, report: &Report) -> Self {
        let state = standing(report, self.is_wanted_back());
        let mut ended = false;
        if let Some(order) = self.recall.as_mut().filter(|order| !order.over) {
            ended = report.recalls.under_way == 0 && (report.open == 0 || !order.whole);
            order.over = ended;
        }
        if state == self.state && !ended {
            self.revision += 1;
            return self;
        }
        self.moved(state)
    }
}

/// The state that batches come to once sending has begun. Of a broadcast that is `wanted_back` nobody has to decide what
/// to do about a doubt, unless nothing of it comes back.
fn standing(report: &Report, wanted_back: bool) -> State {
    let comes_back = wanted_back && report.recalls.under_way + report.recalls.over > 0;
    if report.in_doubt > 0 && !comes_back {
        return State::InDoubt;
    }
    if report.open > 0 {
        return State::Sending;
    }
    if report.recalls.came_back(report.accepted) {
        return State::Recalled;
    }
    let all_accepted = report.accepted + report.taken_as_sent == report.batches;
    if all_accepted && report.invalid.count() == 0 {
        return State::Sent;
    }
    if report.ids_accepted > 0 || report.taken_as_sent > 0 || report.once_in_doubt > 0 {
        return State::PartlySent;
    }
    if report.cancelled == report.batches { State::Cancelled } else { State::Failed }
}

#[cfg(test)]
mod tests {
    use super::super::audience::DepartmentTarget;
    use super::*;

    fn open_id(name: &str) -> OpenId {
        OpenId::new(name).expect("a test id")
    }

    fn candidate(id: &str) -> DepartmentTarget {
        let mut target = DepartmentTarget::unverified(DepartmentId::new(id).expect("a test id"));
        target.path = vec!["客服部".into()];
        target
    }

    fn pending(required: u32) -> Broadcast {
        Broadcast {
            id: BroadcastId::parse("K7M2QX").expect("a test id"),
            author: open_id("ou_author"),
            origin: Origin {
                chat_id: ChatId::new("oc_1"),
                message_id: MessageId::new("om_1").expect("a test id"),
                language: Language::Zh,
            },
            content: Content::Text("开会".into()),
            audience: Audience::new(vec![candidate("od-1")], vec![], vec![], vec![]).outline(),
            questions: vec![],
            fingerprint: "f".into(),
            required,
            terms: Terms::default(),
            state: State::Pending,
            version: 1,
            revision: 1,
            created_at: Timestamp(0),
            expires_at: Timestamp(1000),
            approvals: vec![],
            ending: None,
            hold: None,
            findings: vec![],
            unaccepted: false,
            repaired: BTreeMap::new(),
            repairs: None,
            send_at: None,
            wake_at: None,
            wave: None,
            recall: None,
            corrected: None,
            corrects: None,
            revised: None,
            heard: Heard::default(),
        }
    }

    #[test]
    fn what_must_be_accepted_holds_the_question_to_the_approvers() {
        let mut broadcast = pending(1);
        broadcast.state = State::NeedsChoice;
        broadcast.unaccepted = true;
        broadcast.questions =
            vec![Question { typed: "客服部".into(), candidates: vec![candidate("od-5"), candidate("od-6")] }];
        let chosen = DepartmentId::new("od-6").expect("a test id");
        let (picked, audience) = broadcast.pick(Audience::default(), &chosen, 1, Timestamp(1)).expect("picked");
        assert_eq!(picked.state, State::NeedsChoice);
        assert_eq!(picked.clone().accept_findings(&audience, 1, Timestamp(2)), Err(Stale::Outdated));
        let accepted = picked.accept_findings(&audience, 2, Timestamp(2)).expect("accepted");
        assert_eq!((accepted.state, accepted.fingerprint.len()), (State::Pending, 64));
        assert_eq!(accepted.accept_findings(&audience, 3, Timestamp(3)), Err(Stale::NotOnHold));
    }

    #[test]
    fn two_approvers_are_two_people_and_the_first_does_not_outdate_the_second() {
        let once = pending(2).approve(&open_id("ou_a"), 1, Timestamp(1)).expect("first approval");
        assert_eq!((once.state, once.version, once.revision), (State::Pending, 1, 2));
        assert_eq!(once.clone().approve(&open_id("ou_a"), 1, Timestamp(2)), Err(Stale::Twice));
        let twice = once.approve(&open_id("ou_b"), 1, Timestamp(2)).expect("second approval");
        assert_eq!(twice.state, State::Approved);
        assert_eq!(twice.approve(&open_id("ou_c"), 1, Timestamp(3)), Err(Stale::Decided { state: State::Approved }));
    }

    #[test]
    fn from_the_deadline_on_nobody_approves() {
        assert!(pending(1).approve(&open_id("ou_a"), 1, Timestamp(999)).is_ok());
        assert_eq!(pending(1).approve(&open_id("ou_a"), 1, Timestamp(1000)), Err(Stale::Expired));
        assert_eq!(pending(1).expire(Timestamp(999)), Err(Stale::Outdated));
        assert_eq!(pending(1).expire(Timestamp(1000)).expect("expired").state, State::Expired);
    }

    const MINUTE: i64 = 60_000;

    fn scheduled(at: i64) -> Broadcast {
        let mut broadcast = pending(1);
        (broadcast.send_at, broadcast.expires_at) = (Some(Timestamp(at)), Timestamp(100 * MINUTE));
        broadcast
    }

    #[test]
    fn what_is_scheduled_waits_for_its_time_once_it_is_approved() {
        let waits = scheduled(20 * MINUTE).approve(&open_id("ou_a"), 1, Timestamp(1)).expect("approved");
        assert_eq!((waits.state, waits.wake_at), (State::Scheduled, Some(Timestamp(10 * MINUTE))));
        assert_eq!(waits.clone().come(Timestamp(10 * MINUTE - 1)), None);
        let counting = waits.clone().come(Timestamp(10 * MINUTE)).expect("the countdown begins");
        assert_eq!(
            (counting.state, counting.version),
            (State::Scheduled, waits.version),
            "no button is outdated by it"
        );
        assert_eq!((counting.revision, counting.wake_at), (waits.revision + 1, Some(Timestamp(11 * MINUTE))));
        let leaves = counting.clone().come(Timestamp(20 * MINUTE)).expect("its time has come");
        assert_eq!((leaves.state, leaves.wake_at), (State::Approved, None));
        assert_eq!((counting.leaves_at(), leaves.leaves_at()), (Some(Timestamp(20 * MINUTE)), None), "it has come");
        // As late as a restart may take, and later.
        assert_eq!(counting.clone().come(Timestamp(30 * MINUTE)).expect("late").state, State::Approved);
        let late = counting.come(Timestamp(30 * MINUTE + 1)).expect("too late");
        assert_eq!((late.state, late.hold.map(|hold| hold.cause)), (State::Scheduled, Some(HoldCause::Late)));
        assert_eq!(late.clone().come(Timestamp(31 * MINUTE)), None, "its author was asked");
        let version = late.version;
        assert_eq!(late.go_on(version, Timestamp(32 * MINUTE)).expect("the author's word").state, State::Approved);
    }

    #[test]
    fn approval_ends_a_little_after_the_time_it_is_for() {
        let last = 20 * MINUTE + 10 * MINUTE;
        let approved = scheduled(20 * MINUTE).approve(&open_id("ou_a"), 1, Timestamp(last - 1)).expect("just in time");
        assert_eq!(approved.state, State::Approved);
        assert_eq!(scheduled(20 * MINUTE).approve(&open_id("ou_a"), 1, Timestamp(last)), Err(Stale::Expired));
        assert_eq!(scheduled(20 * MINUTE).expire(Timestamp(last)).expect("expired").state, State::Expired);
        assert_eq!(scheduled(200 * MINUTE).deadline(), Timestamp(100 * MINUTE), "and when its time to live is over");
    }

    #[test]
    fn another_time_asks_everybody_anew() {
        let mut broadcast = scheduled(20 * MINUTE);
        broadcast.required = 2;
        let once = broadcast.approve(&open_id("ou_a"), 1, Timestamp(1)).expect("the first of two");
        let moved = once.clone().reschedule(Some(Timestamp(50 * MINUTE)), 1, Timestamp(2)).expect("moved");
        assert_eq!((moved.version, moved.approvals.len(), moved.send_at), (2, 0, Some(Timestamp(50 * MINUTE))));
        assert_eq!(moved.clone().approve(&open_id("ou_b"), 1, Timestamp(3)), Err(Stale::Outdated));
        assert_eq!(moved.reschedule(None, 2, Timestamp(3)).expect("at once").send_at, None);
        let approved = scheduled(20 * MINUTE).approve(&open_id("ou_a"), 1, Timestamp(1)).expect("approved");
        let late = approved.clone().reschedule(None, 2, Timestamp(2));
        assert_eq!(late, Err(Stale::Decided { state: State::Scheduled }));
        let stopped = approved.reject(&open_id("ou_b"), None, 2, Timestamp(2)).expect("stopped");
        assert_eq!((stopped.state, stopped.was_stopped()), (State::Rejected, true));
        let rejected = pending(1).reject(&open_id("ou_b"), None, 1, Timestamp(2)).expect("rejected");
        assert!(!rejected.was_stopped(), "nobody had approved it");
    }

    #[test]
    fn an_old_card_decides_nothing() {
        assert_eq!(pending(1).approve(&open_id("ou_a"), 0, Timestamp(1)), Err(Stale::Outdated));
        assert_eq!(pending(1).reject(&open_id("ou_a"), None, 2, Timestamp(1)), Err(Stale::Outdated));
    }

    #[test]
    fn the_last_choice_makes_it_pending_with_a_fingerprint() {
        let mut broadcast = pending(1);
        broadcast.state = State::NeedsChoice;
        broadcast.fingerprint = String::new();
        broadcast.audience = Outline::default();
        broadcast.questions =
            vec![Question { typed: "客服部".into(), candidates: vec![candidate("od-5"), candidate("od-6")] }];
        let chosen = DepartmentId::new("od-6").expect("a test id");
        let stranger = DepartmentId::new("od-7").expect("a test id");
        let none = Audience::default();
        assert_eq!(broadcast.clone().pick(none.clone(), &stranger, 1, Timestamp(1)), Err(Stale::NoSuchChoice));
        let (picked, audience) = broadcast.pick(none, &chosen, 1, Timestamp(1)).expect("picked");
        assert_eq!(audience.departments[0].id, chosen);
        assert_eq!(picked.state, State::Pending);
        assert_eq!(picked.audience.departments[0].id, chosen);
        assert_eq!(picked.fingerprint.len(), 64);
    }

    #[test]
    fn what_the_batches_come_to() {
        let report = |accepted, refused, in_doubt, open, cancelled, invalid: usize| Report {
            batches: accepted + refused + in_doubt + open + cancelled,
            accepted,
            refused,
            in_doubt,
            open,
            cancelled,
            ids_accepted: (accepted * 2).saturating_sub(invalid),
            invalid: super::super::batch::InvalidIds {
                open_ids: vec!["ou_x".into(); invalid],
                ..super::super::batch::InvalidIds::default()
            },
            ..Report::default()
        };
        let stood = |report: &Report| standing(report, false);
        assert_eq!(stood(&report(2, 0, 0, 0, 0, 0)), State::Sent);
        assert_eq!(stood(&report(2, 0, 0, 0, 0, 1)), State::PartlySent);
        assert_eq!(stood(&report(1, 0, 0, 0, 0, 2)), State::Failed);
        assert_eq!(stood(&report(1, 1, 0, 0, 0, 0)), State::PartlySent);
        assert_eq!(stood(&report(0, 2, 0, 0, 0, 0)), State::Failed);
        assert_eq!(stood(&report(1, 0, 1, 1, 0, 0)), State::InDoubt);
        assert_eq!(stood(&report(1, 0, 0, 1, 0, 0)), State::Sending);
        assert_eq!(stood(&report(1, 0, 0, 0, 1, 0)), State::PartlySent);
        assert_eq!(stood(&report(0, 0, 0, 0, 2, 0)), State::Cancelled);
    }

    #[test]
    fn a_decided_broadcast_cannot_be_cancelled_and_a_sending_one_only_while_something_is_left() {
        let mut sending = pending(1);
        sending.state = State::Sending;
        let left = Report { open: 1, batches: 2, accepted: 1, ..Report::default() };
        let none = Report { open: 0, batches: 2, accepted: 2, ..Report::default() };
        let author = open_id("ou_author");
        assert!(sending.clone().cancel(&author, &left, Timestamp(1)).is_ok());
        assert_eq!(sending.clone().cancel(&author, &none, Timestamp(1)), Err(Stale::NothingLeft));
        sending.state = State::Sent;
        assert_eq!(sending.cancel(&author, &none, Timestamp(1)), Err(Stale::Decided { state: State::Sent }));
    }

    #[test]
    fn on_hold_nothing_is_decided_until_the_author_says_go_on() {
        let held = pending(1).on_hold(HoldCause::Restored, Timestamp(5)).expect("it could still be sent");
        assert_eq!((held.state, held.version), (State::Pending, 2));
        assert_eq!(held.clone().approve(&open_id("ou_a"), 2, Timestamp(6)), Err(Stale::OnHold));
        assert_eq!(held.clone().on_hold(HoldCause::Downtime, Timestamp(7)), None, "once is enough");
        let away = pending(1).on_hold(HoldCause::Downtime, Timestamp(5)).expect("held");
        let restored = away.on_hold(HoldCause::Restored, Timestamp(7)).expect("that is news");
        assert_eq!((restored.hold.map(|hold| hold.cause), restored.version), (Some(HoldCause::Restored), 3));
        assert!(held.clone().reject(&open_id("ou_a"), None, 2, Timestamp(6)).expect("rejected").hold.is_none());
        assert_eq!(held.clone().go_on(1, Timestamp(6)), Err(Stale::Outdated));
        let free = held.go_on(2, Timestamp(6)).expect("the author says so");
        assert_eq!((free.hold, free.version), (None, 3));
        assert_eq!(free.clone().go_on(3, Timestamp(6)), Err(Stale::NotOnHold));
        assert_eq!(free.approve(&open_id("ou_a"), 3, Timestamp(6)).expect("approved").state, State::Approved);
    }

    #[test]
    fn what_its_author_has_stopped_is_not_held_to_be_sent_after_all() {
        let mut sending = pending(1);
        sending.state = State::Sending;
        let under_way = Report { batches: 2, refused: 1, open: 1, sending: 1, ..Report::default() };
        let stopped =
            sending.clone().cancel(&open_id("ou_author"), &under_way, Timestamp(5)).expect("one may come back");
        for cause in [HoldCause::Downtime, HoldCause::Restored] {
            assert!(sending.clone().on_hold(cause, Timestamp(6)).is_some());
            assert_eq!(stopped.clone().on_hold(cause, Timestamp(6)), None);
        }
        // What was refused again and again is tried again; not where it was stopped, even if something holds it.
        let again = Report { refused_in_a_row: Some((11_203, 3)), ..Report::default() };
        let held = sending.on_hold(HoldCause::Downtime, Timestamp(6)).expect("held");
        assert_eq!(held.refused_for(&again), Some(11_203));
        assert_eq!(held.refused_for(&under_way), None, "not often enough");
        assert_eq!(Broadcast { hold: held.hold, ..stopped }.refused_for(&again), None);
    }

    #[test]
    fn three_refusals_of_one_kind_in_a_row_hold_the_rest() {
        let mut sending = pending(1);
        sending.state = State::Sending;
        let report = |times, planned| Report {
            batches: times + planned,
            refused: times,
            refused_in_a_row: Some((11_204, times)),
            open: planned,
            planned,
            ..Report::default()
        };
        assert_eq!(sending.clone().follow(&report(2, 5), Timestamp(1)).hold, None);
        let held = sending.clone().follow(&report(3, 5), Timestamp(1));
        assert_eq!(held.hold.map(|hold| hold.cause), Some(HoldCause::Refused { code: 11_204 }));
        let ended = sending.follow(&report(3, 0), Timestamp(1));
        assert_eq!((ended.state, ended.hold), (State::Failed, None), "with nothing left there is nothing to hold");
    }

    #[test]
    fn every_state_has_its_own_word() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
    }
}
