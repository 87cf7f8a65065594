//! What a world is told apart by, and how its moves are called where a promise was broken.

use std::fmt;
use std::fmt::Write as _;

use feishu_broadcast::domain::batch::Batch;
use feishu_broadcast::domain::broadcast::State;
use feishu_broadcast::domain::recall::{Recall, RecallStage};
use feishu_broadcast::domain::wave::PATIENCE;

use super::shell::Claim;
use super::world::{Calls, Deed, Move, World};

impl World {
    /// Everything that matters for what comes next. Numbers that are only compared are left out, and so are moments of
    /// which nothing hangs any more.
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
            say(format_args!(" ended:{}", if ending.by.is_some() { "somebody" } else { "-" }));
        }
        if let Some(hold) = &broadcast.hold {
            say(format_args!(" held:{:?}", hold.cause));
        }
        if let Some(order) = &broadcast.recall {
            say(format_args!(
                " back:{}{}",
                if order.whole { "all" } else { "some" },
                if order.over { "/over" } else { "" }
            ));
        }
        say(format_args!("{}", self.time()));
        for (row, calls) in self.ledger.rows.iter().zip(&self.truth.calls) {
            let Calls { arrived, resent, wanted, asked_back, made: _ } = calls;
            say(format_args!(" | {} {}x a{arrived} r{resent}", row.batch.state.as_str(), row.batch.attempts));
            say(format_args!("{}{}", if *wanted { " wanted" } else { "" }, if *asked_back { " asked" } else { "" }));
            say(format_args!("{}{}", delivered(&row.batch), if row.recall_due { " due" } else { "" }));
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
        senders.extend(self.askers.iter().map(|asker| {
            let is_lost = self.ledger.row(asker.seq).recall_tries != asker.tries;
            format!(" / asks for {}{}", asker.seq, if is_lost { " lost" } else { "" })
        }));
        senders.sort();
        say(format_args!("{}", senders.concat()));
        if self.truth.stopped {
            say(format_args!(" stopped"));
        }
        if self.truth.taken_back {
            say(format_args!(" taken-back"));
        }
        // An older one is refused whatever it says; whether it is, is checked everywhere.
        if let Some(press) = self.truth.pressed.as_ref().filter(|press| press.version == broadcast.version) {
            say(format_args!(" again:{}:{}", press.person, press.action.as_str()));
        }
        key
    }

    /// How far away the moments are on which something hangs.
    fn time(&self) -> String {
        let broadcast = &self.ledger.broadcast;
        let mut time = String::new();
        let mut left = |what: &str, moment: i64| {
            time.write_fmt(format_args!(" {what}{:+}", moment - self.now.0)).expect("text takes text");
        };
        if broadcast.state.is_undecided() {
            left("deadline", broadcast.deadline().0.max(self.now.0));
        }
        if broadcast.state.is_undecided() || broadcast.state == State::Scheduled {
            broadcast.send_at.iter().for_each(|at| left("leaves", at.0));
        }
        broadcast.wake_at.iter().for_each(|at| left("wakes", at.0));
        if let Some(wave) = broadcast.wave {
            if wave.over {
                time.push_str(" all");
            } else if let Some(since) = wave.since {
                left("settles", since.after(PATIENCE).0.max(self.now.0));
            }
        }
        time
    }

    fn lost(&self, claim: &Claim) -> &'static str {
        if self.is_awaited(claim) { "" } else { " lost" }
    }
}

/// What Feishu said of a batch that it accepted, and of its recall.
fn delivered(batch: &Batch) -> String {
    let reached = batch.progress.map_or_else(String::new, |progress| format!(" reached{}", progress.reached));
    let Some(Recall { stage, taken_back, .. }) = &batch.recall else { return reached };
    let stage = match stage {
        RecallStage::Wanted => "wanted".to_owned(),
        RecallStage::Asked { same, .. } => format!("asked{same}"),
        RecallStage::Over => "over".to_owned(),
        RecallStage::Refused { .. } => "refused".to_owned(),
    };
    format!("{reached} back:{stage}-{taken_back}")
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Move::Deed(deed) => write!(f, "{deed}"),
            Move::AtOnce(deed, other) => write!(f, "{deed}, at once with {other}"),
            Move::TimePasses => f.write_str("time passes"),
            Move::Called { seq, answer } => write!(f, "batch {seq} is called: {answer:?}"),
            Move::Dies { seq, called: false } => write!(f, "the sender of {seq} dies before its call"),
            Move::Dies { seq, called: true } => write!(f, "the sender of {seq} dies before its record"),
            Move::GivesUp { seq } => write!(f, "the sender of {seq} has lost its claim"),
            Move::AskerGoes { seq, lost: true } => write!(f, "another one asks for {seq}"),
            Move::AskerGoes { seq, lost: false } => write!(f, "who asks for {seq} is gone"),
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
            Deed::Come => f.write_str("its time is looked at"),
            Deed::HearFirstWave => f.write_str("the first wave is heard"),
            Deed::RecallByWord(seq) => write!(f, "the author writes /recall of {seq}"),
            Deed::AskBack(seq) => write!(f, "somebody is to ask for {seq}"),
            Deed::SettleRecall(claim, reply) => write!(f, "{} is asked back: {reply:?}", claim.seq),
            Deed::Hear(seq, delivery) => write!(f, "of {seq} is heard: {delivery:?}"),
            Deed::Hold(cause) => write!(f, "it is put on hold: {cause:?}"),
            Deed::Doubt(seqs) => write!(f, "the leases of {seqs:?} have run out"),
        }
    }
}
