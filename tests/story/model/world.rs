//! Everything there is at one moment: the ledger, the time, who is sending and who asks for what was sent, and what really
//! happened, which no ledger knows. And every move there is from here.

use std::rc::Rc;

use feishu_broadcast::domain::batch::{BatchState, DoubtCause, InvalidIds, Verdict, WaitCause};
use feishu_broadcast::domain::broadcast::State;
use feishu_broadcast::domain::hold::{AWAY_MAX, HoldCause};
use feishu_broadcast::domain::ids::{BatchMessageId, OpenId, Timestamp};
use feishu_broadcast::domain::policy::{Action, Policy};
use feishu_broadcast::domain::wave::PATIENCE;

use super::ledger::{Conflict, Ledger, Statement, Tx, commit};
use super::search::By;
use super::shell::{self, Claim, Delivery, Press, RecallClaim, Reply};
use super::{DEADLINE, LEAVES, Size, people};

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) ledger: Rc<Ledger>,
    /// Stands still but for the moments on which something hangs.
    pub(super) now: Timestamp,
    pub(super) senders: Vec<Sender>,
    /// Those who are about to ask for a batch back, or have asked and not written down what came of it.
    pub(super) askers: Vec<RecallClaim>,
    pub(super) truth: Truth,
}

/// A process that has claimed a batch.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) claim: Rc<Claim>,
    /// What came back; `None` before the call.
    pub(super) answer: Option<Answer>,
}

/// What comes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    Refused,
    /// Certainly unsent: another try.
    Unsent,
    Unknown,
}

impl Answer {
    const ALL: [Answer; 4] = [Answer::Accepted, Answer::Refused, Answer::Unsent, Answer::Unknown];

    /// Whether somebody may have got a message by it.
    fn may_have_arrived(self) -> bool {
        match self {
            Answer::Accepted | Answer::Unknown => true,
            Answer::Refused | Answer::Unsent => false,
        }
    }

    pub(super) fn verdict(self) -> Verdict {
        match self {
            Answer::Accepted => Verdict::Accepted {
                message_id: BatchMessageId::new("bm-1").expect("a plain id"),
                invalid: InvalidIds::default(),
            },
            Answer::Refused => Verdict::Refused { code: 11_203, scopes: Vec::new() },
            Answer::Unsent => Verdict::TryAgain { cause: WaitCause::Unreachable, wait: None },
            Answer::Unknown => Verdict::Unknown { cause: DoubtCause::NoAnswer },
        }
    }
}

/// What happened, seen from above.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    /// Who was told that their approval counts.
    pub(super) approved: Vec<OpenId>,
    /// When the author was told that it leaves; none: at once.
    pub(super) leaves: Option<Timestamp>,
    /// When the last one approved.
    pub(super) released: Timestamp,
    /// The author was told that it is stopped, and has not sent anything again since.
    pub(super) stopped: bool,
    /// Somebody was told that all of it is taken back, and its author has not sent anything again since.
    pub(super) taken_back: bool,
    pub(super) calls: Vec<Calls>,
    /// The last press that changed something: it may be delivered again at any time.
    pub(super) pressed: Option<Press>,
}

impl Truth {
    /// Until when it may be decided: long after the time to leave at nobody is asked about it any more.
    pub(super) fn deadline(&self) -> Timestamp {
        self.leaves.map_or(DEADLINE, |at| DEADLINE.min(at.after(AWAY_MAX)))
    }
}

/// The calls made for one batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calls {
    pub(super) made: usize,
    /// Those that may have brought somebody a message.
    pub(super) arrived: usize,
    /// How often a person sent it again.
    pub(super) resent: usize,
    /// Somebody was told that it is taken back.
    pub(super) wanted: bool,
    /// Feishu may have heard that it is to be taken back.
    pub(super) asked_back: bool,
}

/// A transaction somebody may begin here.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Press(Press),
    CancelByWord,
    Take,
    Record(Rc<Claim>, Answer),
    Expire,
    /// What is scheduled counts down, leaves, or asks.
    Come,
    Doubt(Vec<i64>),
    /// The bot was away for long, or wakes on another database.
    Hold(HoldCause),
    HearFirstWave,
    /// `/recall ID BATCH`.
    RecallByWord(i64),
    AskBack(i64),
    SettleRecall(RecallClaim, Reply),
    Hear(i64, Delivery),
}

/// What may happen next.
#[derive(Debug, Clone)]
pub(super) enum Move {
    Deed(Deed),
    /// Both have read; the second wrote before the first.
    AtOnce(Deed, Deed),
    /// Until something may be decided anew.
    TimePasses,
    Called {
        seq: i64,
        answer: Answer,
    },
    /// A sender is gone, having made its call or not.
    Dies {
        seq: i64,
        called: bool,
    },
    /// A sender finds that its batch is not its own any more.
    GivesUp {
        seq: i64,
    },
    /// Whoever asks for a batch back is gone, having made the call, or it is not theirs any more.
    AskerGoes {
        seq: i64,
        lost: bool,
    },
}

/// A transaction that has read what it needs, and knows what it will write.
struct Begun {
    deed: Deed,
    statements: Vec<Statement>,
    claim: Option<Rc<Claim>>,
    asker: Option<RecallClaim>,
}

impl World {
    /// Whether this sender is the one whose answer the ledger waits for.
    pub(super) fn is_awaited(&self, claim: &Claim) -> bool {
        let row = self.ledger.row(claim.batch.seq);
        row.fence == claim.fence && row.batch.state == BatchState::Sending
    }

    /// The moves, those of two at once included: both have read, one writes, then the other tries to.
    pub(super) fn moves(&self, policy: &Policy, size: &Size) -> Vec<(Move, World)> {
        let begun: Vec<Begun> =
            self.deeds(size).into_iter().filter_map(|deed| self.begin(deed, policy).ok().flatten()).collect();
        let mut moves = Vec::new();
        for one in &begun {
            let Ok(after) = self.finish(one) else { continue };
            // What is one statement reads nothing before it writes.
            for other in begun.iter().filter(|other| !matches!(other.deed, Deed::AskBack(_))) {
                if let Ok(both) = after.finish(other) {
                    moves.push((Move::AtOnce(other.deed.clone(), one.deed.clone()), both));
                }
            }
            moves.push((Move::Deed(one.deed.clone()), after));
        }
        moves.extend(self.outside(size));
        moves
    }

    /// Every transaction that could be tried. Most change nothing.
    fn deeds(&self, size: &Size) -> Vec<Deed> {
        let version = self.ledger.broadcast.version;
        let mut deeds = vec![Deed::CancelByWord, Deed::Expire];
        if size.at || size.rest {
            deeds.push(Deed::Come);
        }
        if size.wave {
            deeds.push(Deed::HearFirstWave);
        }
        if self.senders.len() < size.senders {
            deeds.push(Deed::Take);
        }
        for person in people() {
            for action in Action::ALL {
                let often = match action {
                    Action::Resend => self.truth.calls.iter().any(|calls| calls.resent >= size.resends),
                    Action::Confirm => {
                        size.refused > 0 && self.ledger.rows.iter().any(|row| row.batch.attempts > size.retries + 1)
                    }
                    Action::Schedule => !size.at,
                    // One of the approvers stands for the other.
                    Action::Recall => !size.recalls || *person == people()[2],
                    Action::Pick
                    | Action::Approve
                    | Action::Reject
                    | Action::Cancel
                    | Action::Settle
                    | Action::Refresh
                    | Action::Preview
                    | Action::Correct
                    | Action::Edit => false,
                };
                if !often {
                    deeds.push(Deed::Press(Press { person, action, version }));
                }
            }
        }
        for sender in &self.senders {
            deeds.extend(sender.answer.map(|answer| Deed::Record(Rc::clone(&sender.claim), answer)));
        }
        if size.holds {
            deeds.extend([HoldCause::Downtime, HoldCause::Restored].map(Deed::Hold));
        }
        let run_out: Vec<i64> = self.may_run_out(size).collect();
        deeds.extend(run_out.iter().map(|seq| Deed::Doubt(vec![*seq])));
        if run_out.len() > 1 {
            deeds.push(Deed::Doubt(run_out));
        }
        deeds.extend(self.of_what_was_sent(size));
        deeds
    }

    /// What may be done about batches that Feishu has accepted.
    fn of_what_was_sent(&self, size: &Size) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for (row, calls) in self.ledger.rows.iter().zip(&self.truth.calls) {
            let seq = row.batch.seq;
            if size.recalls {
                deeds.push(Deed::RecallByWord(seq));
            }
            if self.askers.len() < size.askers {
                deeds.push(Deed::AskBack(seq));
            }
            if row.batch.state != BatchState::Accepted || !(size.wave || size.recalls) {
                continue;
            }
            let under_way = row.batch.recall.as_ref().is_some_and(|recall| recall.is_under_way());
            let known = row.batch.progress;
            deeds.extend(Delivery::ALL.into_iter().filter_map(|delivery| {
                let possible = match delivery {
                    Delivery::Missing => size.wave && known.is_none(),
                    Delivery::Reached => known.is_none_or(|known| known.reached == 0),
                    Delivery::Gone => calls.asked_back,
                    Delivery::StandsStill | Delivery::Forgotten => under_way,
                };
                possible.then_some(Deed::Hear(seq, delivery))
            }));
        }
        let askers = self.askers.iter();
        deeds.extend(askers.flat_map(|claim| Reply::ALL.map(|reply| Deed::SettleRecall(*claim, reply))));
        deeds
    }

    /// Batches whose lease may run out now. A call takes as long as it likes; whoever has not begun it, and lives, begins
    /// it before the lease is over, except where whole machines stand still.
    fn may_run_out(&self, size: &Size) -> impl Iterator<Item = i64> {
        let sending = self.ledger.rows.iter().filter(|row| row.batch.state == BatchState::Sending);
        sending.map(|row| row.batch.seq).filter(move |seq| {
            size.standstill
                || !self.senders.iter().any(|sender| {
                    sender.claim.batch.seq == *seq && sender.answer.is_none() && self.is_awaited(&sender.claim)
                })
        })
    }

    fn begin(&self, deed: Deed, policy: &Policy) -> Result<Option<Begun>, Conflict> {
        let mut tx = Tx::begin(&self.ledger);
        let (mut claim, mut asker) = (None, None);
        let now = self.now;
        let done = match &deed {
            Deed::Press(press) => shell::press(&mut tx, policy, press, now)?,
            Deed::CancelByWord => shell::cancel(&mut tx, &self.ledger.broadcast.author, now)?,
            Deed::Take => {
                // Whatever waits has been waited for.
                claim = shell::take(&mut tx, Timestamp(i64::MAX / 2))?.map(Rc::new);
                tx.writes().then_some(())
            }
            Deed::Record(claim, answer) => shell::record(&mut tx, claim, answer.verdict(), now)?,
            Deed::Expire => shell::expire(&mut tx, now)?,
            Deed::Come => shell::come(&mut tx, now)?,
            Deed::Doubt(run_out) => shell::doubt(&mut tx, run_out, now)?,
            Deed::Hold(cause) => shell::hold(&mut tx, *cause, now)?,
            Deed::HearFirstWave => shell::first_wave(&mut tx, now)?,
            Deed::RecallByWord(seq) => shell::order(&mut tx, &self.ledger.broadcast.author, Some(*seq), None, now)?,
            Deed::AskBack(seq) => {
                asker = shell::ask_back(&mut tx, *seq)?;
                tx.writes().then_some(())
            }
            Deed::SettleRecall(claim, reply) => shell::settle_recall(&mut tx, *claim, *reply, now)?,
            Deed::Hear(seq, delivery) => shell::heard(&mut tx, *seq, *delivery, now)?,
        };
        Ok(done.map(|()| Begun { deed, statements: tx.statements(), claim, asker }))
    }

    fn finish(&self, begun: &Begun) -> Result<World, Conflict> {
        let mut after = self.clone();
        after.ledger = commit(&self.ledger, &begun.statements)?;
        after.truth.calls.resize(after.ledger.rows.len(), Calls::default());
        match &begun.deed {
            Deed::Press(press) => after.pressed(press, &self.ledger),
            Deed::CancelByWord => after.truth.stopped = true,
            Deed::Take => after.senders.extend(begun.claim.clone().map(|claim| Sender { claim, answer: None })),
            Deed::Record(claim, _) => after.leave(claim),
            Deed::RecallByWord(seq) => after.calls_of(*seq).wanted = true,
            Deed::AskBack(_) => after.askers.extend(begun.asker),
            Deed::SettleRecall(claim, reply) => {
                after.calls_of(claim.seq).asked_back |= *reply != Reply::Refused;
                after.askers.retain(|asker| (asker.seq, asker.tries) != (claim.seq, claim.tries));
            }
            Deed::Expire | Deed::Come | Deed::Doubt(_) | Deed::Hold(_) | Deed::HearFirstWave | Deed::Hear(..) => {}
        }
        Ok(after)
    }

    fn calls_of(&mut self, seq: i64) -> &mut Calls {
        let place = usize::try_from(seq - 1).expect("batches count from 1");
        &mut self.truth.calls[place]
    }

    fn pressed(&mut self, press: &Press, before: &Ledger) {
        self.truth.pressed = Some(*press);
        match press.action {
            Action::Approve => {
                self.truth.approved.push(press.person.clone());
                self.truth.released = self.now;
            }
            Action::Schedule => {
                self.truth.approved.clear();
                self.truth.leaves = self.truth.leaves.is_none().then_some(LEAVES);
            }
            Action::Cancel => self.truth.stopped = true,
            Action::Recall => {
                (self.truth.stopped, self.truth.taken_back) = (true, true);
                self.truth.calls.iter_mut().for_each(|calls| calls.wanted = true);
            }
            Action::Resend => {
                (self.truth.stopped, self.truth.taken_back) = (false, false);
                for (calls, row) in self.truth.calls.iter_mut().zip(&before.rows) {
                    calls.resent += usize::from(row.batch.state == BatchState::InDoubt);
                }
            }
            Action::Pick
            | Action::Reject
            | Action::Confirm
            | Action::Settle
            | Action::Refresh
            | Action::Preview
            | Action::Correct
            | Action::Edit => {}
        }
    }

    fn leave(&mut self, claim: &Claim) {
        self.senders.retain(|s| (s.claim.batch.seq, s.claim.fence) != (claim.batch.seq, claim.fence));
    }

    /// What is no transaction: time, calls, and senders that die or find that their claim is lost.
    fn outside(&self, size: &Size) -> Vec<(Move, World)> {
        let mut moves = Vec::new();
        if let Some(now) = self.moments().into_iter().flatten().filter(|moment| *moment > self.now).min() {
            moves.push((Move::TimePasses, World { now, ..self.clone() }));
        }
        for asker in &self.askers {
            let mut gone = self.clone();
            gone.askers.retain(|other| (other.seq, other.tries) != (asker.seq, asker.tries));
            gone.calls_of(asker.seq).asked_back = true;
            let lost = self.ledger.row(asker.seq).recall_tries != asker.tries;
            moves.push((Move::AskerGoes { seq: asker.seq, lost }, gone));
        }
        for (at, sender) in self.senders.iter().enumerate() {
            let seq = sender.claim.batch.seq;
            let mut gone = self.clone();
            gone.leave(&sender.claim);
            match sender.answer {
                None => {
                    for answer in Answer::ALL {
                        if answer != Answer::Unsent || sender.claim.batch.attempts <= size.retries {
                            moves.push((Move::Called { seq, answer }, self.called(at, answer)));
                        }
                    }
                    moves.push((Move::Dies { seq, called: false }, gone));
                }
                Some(_) if self.is_awaited(&sender.claim) => moves.push((Move::Dies { seq, called: true }, gone)),
                Some(_) => moves.push((Move::GivesUp { seq }, gone)),
            }
        }
        moves
    }

    /// The moments on which something hangs.
    fn moments(&self) -> [Option<Timestamp>; 5] {
        let broadcast = &self.ledger.broadcast;
        let undecided = broadcast.state.is_undecided();
        let scheduled = broadcast.state == State::Scheduled;
        let at = broadcast.send_at.filter(|_| undecided || scheduled);
        let settling = broadcast.wave.filter(|wave| !wave.over && broadcast.state == State::Sending);
        [
            undecided.then(|| self.truth.deadline()),
            broadcast.wake_at,
            at,
            // Later than that its author is asked.
            at.filter(|_| scheduled).map(|at| Timestamp(at.after(AWAY_MAX).0 + 1)),
            settling.and_then(|wave| wave.since).map(|since| since.after(PATIENCE)),
        ]
    }

    fn called(&self, at: usize, answer: Answer) -> World {
        let mut after = self.clone();
        let sender = &mut after.senders[at];
        sender.answer = Some(answer);
        let seq = sender.claim.batch.seq;
        let calls = after.calls_of(seq);
        calls.made += 1;
        calls.arrived += usize::from(answer.may_have_arrived());
        after
    }
}

impl Deed {
    fn by(&self) -> By {
        match self {
            Deed::Press(_) | Deed::CancelByWord | Deed::RecallByWord(_) => By::Person,
            Deed::Take
            | Deed::Record(..)
            | Deed::Expire
            | Deed::Come
            | Deed::Doubt(_)
            | Deed::HearFirstWave
            | Deed::AskBack(_)
            | Deed::SettleRecall(..)
            | Deed::Hear(..) => By::Machine,
            Deed::Hold(_) => By::Fault,
        }
    }
}

impl Move {
    pub(super) fn by(&self) -> By {
        match self {
            Move::Deed(deed) => deed.by(),
            // Whoever of the two the machine alone would not have been.
            Move::AtOnce(deed, other) => match (deed.by(), other.by()) {
                (By::Person, _) | (_, By::Person) => By::Person,
                (By::Fault, _) | (_, By::Fault) => By::Fault,
                (By::Machine, By::Machine) => By::Machine,
            },
            Move::TimePasses | Move::Called { .. } | Move::GivesUp { .. } | Move::AskerGoes { lost: true, .. } => {
                By::Machine
            }
            Move::Dies { .. } | Move::AskerGoes { lost: false, .. } => By::Fault,
        }
    }
}
