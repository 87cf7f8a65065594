//! Everything there is at one moment: the ledger, who is sending, whether the deadline has passed, and what really
//! happened, which no ledger knows. And every move there is from here.

use std::fmt;
use std::fmt::Write as _;
use std::rc::Rc;

use feishu_broadcast::domain::batch::{BatchState, DoubtCause, InvalidIds, Verdict, WaitCause};
use feishu_broadcast::domain::hold::HoldCause;
use feishu_broadcast::domain::ids::{BatchMessageId, OpenId, Timestamp};
use feishu_broadcast::domain::policy::{Action, Policy};

use super::ledger::{Conflict, Ledger, Statement, Tx, commit};
use super::search::By;
use super::shell::{self, Claim, Press};
use super::{DEADLINE, Size, people};

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) ledger: Rc<Ledger>,
    /// The time to decide is over.
    pub(super) late: bool,
    pub(super) senders: Vec<Sender>,
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
    /// The author was told that it is stopped, and has not sent anything again since.
    pub(super) stopped: bool,
    pub(super) calls: Vec<Calls>,
    /// The last press that changed something: it may be delivered again at any time.
    pub(super) pressed: Option<Press>,
}

/// The calls made for one batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calls {
    pub(super) made: usize,
    /// Those that may have brought somebody a message.
    pub(super) arrived: usize,
    /// How often a person sent it again.
    pub(super) resent: usize,
}

/// A transaction somebody may begin here.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Press(Press),
    CancelByWord,
    Take,
    Record(Rc<Claim>, Answer),
    Expire,
    Doubt(Vec<i64>),
    /// The bot was away for long, or wakes on another database.
    Hold(HoldCause),
}

/// What may happen next.
#[derive(Debug, Clone)]
pub(super) enum Move {
    Deed(Deed),
    /// Both have read; the second wrote before the first.
    AtOnce(Deed, Deed),
    Deadline,
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
}

/// A transaction that has read what it needs, and knows what it will write.
struct Begun {
    deed: Deed,
    statements: Vec<Statement>,
    claim: Option<Rc<Claim>>,
}

impl World {
    pub(super) fn now(&self) -> Timestamp {
        if self.late { DEADLINE } else { Timestamp(DEADLINE.0 - 1) }
    }

    /// Whether this sender is the one whose answer the ledger waits for.
    pub(super) fn is_awaited(&self, claim: &Claim) -> bool {
        let row = self.ledger.row(claim.batch.seq);
        row.fence == claim.fence && row.batch.state == BatchState::Sending
    }

    fn lost(&self, claim: &Claim) -> &'static str {
        if self.is_awaited(claim) { "" } else { " lost" }
    }

    /// The moves, those of two at once included: both have read, one writes, then the other tries to.
    pub(super) fn moves(&self, policy: &Policy, size: &Size) -> Vec<(Move, World)> {
        let begun: Vec<Begun> =
            self.deeds(size).into_iter().filter_map(|deed| self.begin(deed, policy).ok().flatten()).collect();
        let mut moves = Vec::new();
        for one in &begun {
            let Ok(after) = self.finish(one) else { continue };
            for other in &begun {
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
        if self.senders.len() < size.senders {
            deeds.push(Deed::Take);
        }
        for person in people() {
            for action in Action::ALL {
                let often = match action {
                    Action::Resend => self.truth.calls.iter().any(|calls| calls.resent >= size.resends),
                    Action::Confirm => self.ledger.rows.iter().any(|row| row.batch.attempts > size.retries + 1),
                    Action::Pick
                    | Action::Approve
                    | Action::Reject
                    | Action::Cancel
                    | Action::Recall
                    | Action::Settle
                    | Action::Refresh
                    | Action::Preview
                    | Action::Schedule
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
        let mut claim = None;
        let now = self.now();
        let done = match &deed {
            Deed::Press(press) => shell::press(&mut tx, policy, press, now)?,
            Deed::CancelByWord => shell::cancel(&mut tx, &self.ledger.broadcast.author, now)?,
            Deed::Take => {
                // Whatever waits has been waited for.
                claim = shell::take(&mut tx, Timestamp(i64::MAX / 2))?.map(Rc::new);
                claim.as_ref().map(|_| ())
            }
            Deed::Record(claim, answer) => shell::record(&mut tx, claim, answer.verdict(), now)?,
            Deed::Expire => shell::expire(&mut tx, now)?,
            Deed::Doubt(run_out) => shell::doubt(&mut tx, run_out, now)?,
            Deed::Hold(cause) => shell::hold(&mut tx, *cause, now)?,
        };
        Ok(done.map(|()| Begun { deed, statements: tx.statements(), claim }))
    }

    fn finish(&self, begun: &Begun) -> Result<World, Conflict> {
        let mut after = self.clone();
        after.ledger = commit(&self.ledger, &begun.statements)?;
        after.truth.calls.resize(after.ledger.rows.len(), Calls::default());
        match &begun.deed {
            Deed::Press(press) => after.pressed(press, &self.ledger),
            Deed::CancelByWord => after.truth.stopped = true,
            Deed::Take => {
                let claim = begun.claim.clone().expect("who takes has a claim");
                after.senders.push(Sender { claim, answer: None });
            }
            Deed::Record(claim, _) => after.leave(claim),
            Deed::Expire | Deed::Doubt(_) | Deed::Hold(_) => {}
        }
        Ok(after)
    }

    fn pressed(&mut self, press: &Press, before: &Ledger) {
        self.truth.pressed = Some(*press);
        match press.action {
            Action::Approve => self.truth.approved.push(press.person.clone()),
            Action::Cancel => self.truth.stopped = true,
            Action::Resend => {
                self.truth.stopped = false;
                for (calls, row) in self.truth.calls.iter_mut().zip(&before.rows) {
                    calls.resent += usize::from(row.batch.state == BatchState::InDoubt);
                }
            }
            Action::Pick
            | Action::Reject
            | Action::Confirm
            | Action::Recall
            | Action::Settle
            | Action::Refresh
            | Action::Preview
            | Action::Schedule
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
        if !self.late && self.ledger.broadcast.state.is_undecided() {
            moves.push((Move::Deadline, World { late: true, ..self.clone() }));
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

    fn called(&self, at: usize, answer: Answer) -> World {
        let mut after = self.clone();
        let sender = &mut after.senders[at];
        sender.answer = Some(answer);
        let place = usize::try_from(sender.claim.batch.seq - 1).expect("batches count from 1");
        let calls = &mut after.truth.calls[place];
        calls.made += 1;
        calls.arrived += usize::from(answer.may_have_arrived());
        after
    }

    /// Everything that matters for what comes next. Numbers that are only compared are left out, as are moments.
    pub(super) fn key(&self) -> String {
        let broadcast = &self.ledger.broadcast;
        let mut key = broadcast.state.as_str().to_owned();
        let mut say = |what: fmt::Arguments| key.write_fmt(what).expect("text takes text");
        if broadcast.state.is_undecided() {
            for approval in &broadcast.approvals {
                say(format_args!(" +{}", approval.by));
            }
        }
        if let Some(ending) = &broadcast.ending {
            say(format_args!(" ended:{}", ending.by.as_ref().map_or("-", OpenId::as_str)));
        }
        if let Some(hold) = &broadcast.hold {
            say(format_args!(" held:{:?}", hold.cause));
        }
        for (row, calls) in self.ledger.rows.iter().zip(&self.truth.calls) {
            let Calls { arrived, resent, made: _ } = calls;
            say(format_args!(" | {} {}x a{arrived} r{resent}", row.batch.state.as_str(), row.batch.attempts));
        }
        let mut senders: Vec<String> = self
            .senders
            .iter()
            .map(|sender| {
                let batch = &sender.claim.batch;
                match sender.answer {
                    None => format!(" / {} {}x claimed{}", batch.seq, batch.attempts, self.lost(&sender.claim)),
                    Some(answer) if self.is_awaited(&sender.claim) => format!(" / {} {answer:?}", batch.seq),
                    Some(_) => format!(" / {}{}", batch.seq, self.lost(&sender.claim)),
                }
            })
            .collect();
        senders.sort();
        say(format_args!("{}", senders.concat()));
        if self.truth.stopped {
            say(format_args!(" stopped"));
        }
        // An older one is refused whatever it says; whether it is, is checked everywhere.
        if let Some(press) = self.truth.pressed.as_ref().filter(|press| press.version == broadcast.version) {
            say(format_args!(" again:{}:{}", press.person, press.action.as_str()));
        }
        if self.late && broadcast.state.is_undecided() {
            say(format_args!(" late"));
        }
        key
    }
}

impl Deed {
    fn by(&self) -> By {
        match self {
            Deed::Press(_) | Deed::CancelByWord => By::Person,
            Deed::Take | Deed::Record(..) | Deed::Expire | Deed::Doubt(_) => By::Machine,
            Deed::Hold(_) => By::Fault,
        }
    }
}

impl Move {
    pub(super) fn by(&self) -> By {
        match self {
            Move::Deed(deed) | Move::AtOnce(deed, _) => deed.by(),
            Move::Deadline | Move::Called { .. } | Move::GivesUp { .. } => By::Machine,
            Move::Dies { .. } => By::Fault,
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Move::Deed(deed) => write!(f, "{deed}"),
            Move::AtOnce(deed, other) => write!(f, "{deed}, at once with {other}"),
            Move::Deadline => f.write_str("the deadline passes"),
            Move::Called { seq, answer } => write!(f, "batch {seq} is called: {answer:?}"),
            Move::Dies { seq, called: false } => write!(f, "the sender of {seq} dies before its call"),
            Move::Dies { seq, called: true } => write!(f, "the sender of {seq} dies before its record"),
            Move::GivesUp { seq } => write!(f, "the sender of {seq} has lost its claim"),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deed::Press(press) => write!(f, "{} presses {}", press.person, press.action.as_str()),
            Deed::CancelByWord => f.write_str("the author writes /cancel"),
            Deed::Take => f.write_str("a batch is taken"),
            Deed::Record(claim, answer) => write!(f, "of {} is recorded: {answer:?}", claim.batch.seq),
            Deed::Expire => f.write_str("nobody decided in time"),
            Deed::Hold(cause) => write!(f, "it is put on hold: {cause:?}"),
            Deed::Doubt(seqs) => write!(f, "the leases of {seqs:?} have run out"),
        }
    }
}
