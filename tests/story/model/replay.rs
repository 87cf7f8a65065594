//! The model is only worth what it shares with the program: ways through it, drawn by lot, are gone with the real bot
//! on a real store, and both must agree after every step. `WAYS_SEED=n` goes the same ways again.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use feishu_broadcast::app::{dispatch, inbox, life, recall, tidy};
use feishu_broadcast::domain::batch::{Batch, BatchState};
use feishu_broadcast::domain::broadcast::{Broadcast, State};
use feishu_broadcast::domain::hold::{AWAY_MAX, HoldCause};
use feishu_broadcast::domain::ids::{BroadcastId, Timestamp};
use feishu_broadcast::domain::policy::Action;
use feishu_broadcast::domain::recall::RecallStage;
use serde_json::json;

use super::search::Model;
use super::shell::{Press, Reply};
use super::world::{Answer, Deed, Move, World};
use super::{ONE, Play, Size, is_long};
use crate::kill::Dice;
use crate::sandbox::{Company, Fault};
use crate::stage::{LEASES_OVER, Stage, story_with};

const WAYS: usize = 16;
const WAYS_LONG: usize = 60;

/// Steps of one way; most end before.
const STEPS_MAX: usize = 24;

/// Minutes after which no recall is under way any more.
const RECALL_LOOKS: usize = 8;

/// How old a batch may be at its call; and the pause before each call, and how many of them the longest wait has.
const STALE_AFTER: Duration = Duration::from_secs(30);
const CALLED_AFTER: Duration = Duration::from_secs(2);
const PAUSES_MAX: usize = 40;

/// One more person than a batch names.
const CROWD: usize = 201;

/// Who plays whom: the author approves as well, where it is somebody else's.
const CAST: [(&str, &str); 3] = [("author", "周明"), ("ann", "赵磊"), ("ben", "何静")];

fn played_by(person: &str) -> &'static str {
    CAST.iter().find(|(part, _)| *part == person).expect("everybody has a part").1
}

fn company() -> Company {
    let company = Company::small().person("何静", &["总经办"]).approver("何静");
    (0..CROWD).fold(company, |company, number| company.person(&format!("员工{number:03}"), &["工厂"]))
}

#[tokio::test]
async fn the_program_goes_the_ways_of_the_model() {
    let size = Size { batches: 2, required: 2, required_today: 2, holds: true, recalls: true, ..ONE };
    let play = Play::new(size);
    story_with(&[("APPROVALS_REQUIRED", "2"), ("APPROVAL_TTL", "30m")], company(), async |stage| {
        // The model asks once for a batch, and is answered.
        stage.tenant.switch(|switches| switches.unheard_of_ms = 0);
        let mut dice = Dice::from("WAYS_SEED");
        let mut ends = BTreeMap::new();
        for number in 0..if is_long() { WAYS_LONG } else { WAYS } {
            let mut way = Way::begin(stage, number).await?;
            let end = way.go(&play, &mut dice).await.with_context(|| way.went.join("\n"))?;
            *ends.entry(end.as_str()).or_insert(0) += 1;
            way.end().await?;
        }
        println!("the ways ended in {ends:?}");
        Ok(())
    })
    .await;
}

/// One broadcast on its way.
struct Way<'a> {
    stage: &'a Stage,
    id: BroadcastId,
    card: String,
    /// What was taken, and when.
    taken: BTreeMap<i64, (dispatch::Claimed, Timestamp)>,
    went: Vec<String>,
}

impl<'a> Way<'a> {
    async fn begin(stage: &'a Stage, number: usize) -> anyhow::Result<Self> {
        let ids: Vec<String> = (0..CROWD).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
        let card = stage.propose(played_by("author"), &format!("/broadcast {} 第{number}条", ids.join(","))).await?;
        let id = BroadcastId::parse(&Stage::id_on(&card)).context("an id on the card")?;
        Ok(Self { stage, id, card: card.message_id, taken: BTreeMap::new(), went: vec![] })
    }

    async fn broadcast(&self) -> anyhow::Result<Broadcast> {
        self.stage.bot.app.store.broadcast(&self.id).await?.context("it was proposed")
    }

    async fn sending(&self) -> anyhow::Result<Vec<i64>> {
        let batches = self.stage.bot.app.store.batches(&self.id).await?.into_iter();
        Ok(batches.filter(|batch| batch.state == BatchState::Sending).map(|batch| batch.seq).collect())
    }

    /// Goes on until it is over; returns how it stands.
    async fn go(&mut self, play: &Play, dice: &mut Dice) -> anyhow::Result<State> {
        let mut world = play.first();
        for _ in 0..STEPS_MAX {
            let mut ways: Vec<_> = world
                .moves(&play.policy, &play.size)
                .into_iter()
                .filter(|(what, _)| can_be_gone(&world, what) && !self.is_too_late(what))
                .collect();
            // Most ways out of the way, else few would come to anything.
            if dice.throw(6) > 0 && !ways.iter().all(|(what, _)| gives_up(what)) {
                ways.retain(|(what, _)| !gives_up(what));
            }
            if ways.is_empty() {
                break;
            }
            let (what, next) = ways[dice.throw(ways.len())].clone();
            self.went.push(what.to_string());
            if let Move::Deed(Deed::AskBack(_)) = what {
                world = self.ask_back(play, &world, dice.throw(3) == 0).await?;
                self.agrees(&world).await?;
                continue;
            }
            self.step(&what).await?;
            world = next;
            // The program calls and records in one breath.
            if let Move::Called { .. } = what {
                let record = |(what, _): &(Move, World)| matches!(what, Move::Deed(Deed::Record(..)));
                let recorded = world.moves(&play.policy, &play.size).into_iter().find(record);
                world = recorded.context("what was called can be recorded")?.1;
            }
            self.agrees(&world).await?;
        }
        Ok(world.ledger.broadcast.state)
    }

    /// Whether it is a call with what was taken too long ago: whoever holds it puts it back.
    fn is_too_late(&self, what: &Move) -> bool {
        matches!(what, Move::Called { seq, answer } if *answer != Answer::Unsent && self.is_stale(*seq))
    }

    fn is_stale(&self, seq: i64) -> bool {
        let now = self.stage.bot.app.now();
        self.taken.get(&seq).is_some_and(|(_, at)| now.since(*at) + CALLED_AFTER > STALE_AFTER)
    }

    /// One batch is asked back; of several the program takes the one that has waited longest.
    async fn ask_back(&mut self, play: &Play, world: &World, refused: bool) -> anyhow::Result<World> {
        let app = &self.stage.bot.app;
        let reply = if refused { Reply::Refused } else { Reply::Taken };
        if refused {
            self.stage.tenant.fault(Fault::code("batch.delete", 200, 230_027));
        }
        let before = app.store.batches(&self.id).await?;
        recall::step(app).await?;
        let after = app.store.batches(&self.id).await?;
        let asked = before.iter().zip(&after).find(|(before, after)| before.recall != after.recall);
        let seq = asked.context("somebody was asked for a batch")?.1.seq;
        self.went.push(format!("of {seq}: {reply:?}"));
        let next = |world: &World, is: &dyn Fn(&Deed) -> bool| {
            let mut moves = world.moves(&play.policy, &play.size).into_iter();
            moves.find(|(what, _)| matches!(what, Move::Deed(deed) if is(deed))).map(|(_, world)| world)
        };
        let asked = next(world, &|deed| matches!(deed, Deed::AskBack(of) if *of == seq));
        let asked = asked.context("nobody waits for it in the model")?;
        let recorded = next(&asked, &|deed| matches!(deed, Deed::SettleRecall(_, said) if *said == reply));
        recorded.context("what was asked back can be recorded")
    }

    async fn step(&mut self, what: &Move) -> anyhow::Result<()> {
        let app = &self.stage.bot.app;
        match what {
            Move::Deed(Deed::Press(press)) => self.press(press).await?,
            Move::Deed(Deed::CancelByWord) => {
                self.stage.person(played_by("author")).says(&format!("/cancel {}", self.id)).await;
                inbox::step(app).await?;
            }
            Move::Deed(Deed::Take) => {
                let before = self.sending().await?;
                let taken = self.take().await?;
                let fresh = self.sending().await?.into_iter().find(|seq| !before.contains(seq));
                self.taken.insert(fresh.context("it is sending")?, (taken, app.now()));
            }
            Move::Called { seq, answer } => {
                // A pause that Feishu asked for would hold up this call as well.
                let is_stale = self.is_stale(*seq);
                self.passes(CALLED_AFTER).await?;
                match answer {
                    _ if is_stale => {}
                    Answer::Accepted => {}
                    Answer::Refused => self.stage.tenant.fault(Fault::code("batch_send", 200, 11_203)),
                    Answer::Unsent => self.stage.tenant.fault(Fault::rate("batch_send", 1)),
                    Answer::Unknown => self.stage.tenant.fault(Fault::lost_answer("batch_send")),
                }
                dispatch::send(app, self.taken.remove(seq).context("it was taken")?.0).await?;
            }
            Move::Dies { seq, .. } => drop(self.taken.remove(seq)),
            Move::TimePasses => self.passes(Duration::from_secs(31 * 60)).await?,
            Move::Deed(Deed::Doubt(_)) => {
                self.passes(LEASES_OVER).await?;
                tidy::step(app).await?;
            }
            Move::Deed(Deed::Hold(_)) => {
                self.stage.tenant.later(AWAY_MAX + Duration::from_secs(1)).await;
                life::beat(app).await?;
            }
            Move::Deed(Deed::Expire) => drop(tidy::step(app).await?),
            Move::Deed(Deed::RecallByWord(seq)) => {
                self.stage.person(played_by("author")).says(&format!("/recall {} {seq}", self.id)).await;
                inbox::step(app).await?;
            }
            Move::Deed(
                Deed::Record(..)
                | Deed::Come
                | Deed::HearFirstWave
                | Deed::AskBack(_)
                | Deed::SettleRecall(..)
                | Deed::Hear(..),
            )
            | Move::AtOnce(..)
            | Move::GivesUp { .. }
            | Move::AskerGoes { .. } => anyhow::bail!("{what} is no step of its own here"),
        }
        Ok(())
    }

    /// Takes the next batch, as soon as a pause that Feishu asked for is over.
    async fn take(&self) -> anyhow::Result<dispatch::Claimed> {
        for _ in 0..PAUSES_MAX {
            self.passes(CALLED_AFTER).await?;
            if let Some(taken) = dispatch::next(&self.stage.bot.app).await? {
                return Ok(taken);
            }
        }
        anyhow::bail!("there is no batch to take")
    }

    /// Time in which the bot lives and does nothing.
    async fn passes(&self, by: Duration) -> anyhow::Result<()> {
        let mut left = by;
        while !left.is_zero() {
            let step = left.min(AWAY_MAX / 2);
            self.stage.tenant.later(step).await;
            life::beat(&self.stage.bot.app).await?;
            left -= step;
        }
        Ok(())
    }

    async fn press(&self, press: &Press) -> anyhow::Result<()> {
        let version = self.broadcast().await?.version;
        let value = json!({"action": press.action.as_str(), "broadcast": self.id.as_str(), "version": version});
        let pressed = self.stage.person(played_by(press.person.as_str())).presses_raw(&self.card, value).await;
        ensure!(pressed.status == 200, "{}", pressed.says());
        Ok(())
    }

    /// What is in the store is what the model says.
    async fn agrees(&self, world: &World) -> anyhow::Result<()> {
        let real = self.broadcast().await?;
        let model = &world.ledger.broadcast;
        let who = |name: &str| self.stage.person(played_by(name)).open_id;
        let approved: Vec<String> = real.approvals.iter().map(|approval| approval.by.to_string()).collect();
        let should: Vec<String> = model.approvals.iter().map(|approval| who(approval.by.as_str())).collect();
        let ended = |broadcast: &Broadcast| broadcast.ending.as_ref().map(|ending| ending.by.is_some());
        ensure!(real.state == model.state, "{:?} in the store, {:?} in the model", real.state, model.state);
        ensure!(approved == should, "approved by {approved:?} in the store, {should:?} in the model");
        ensure!(ended(&real) == ended(model), "{:?} in the store, {:?} in the model", real.ending, model.ending);
        ensure!(
            real.hold.is_some() == model.hold.is_some(),
            "{:?} in the store, {:?} in the model",
            real.hold,
            model.hold
        );
        let batches = self.stage.bot.app.store.batches(&self.id).await?;
        let rows: Vec<_> = batches.iter().map(|batch| (batch.state, batch.attempts)).collect();
        let should: Vec<_> = world.ledger.rows.iter().map(|row| (row.batch.state, row.batch.attempts)).collect();
        ensure!(rows == should, "{rows:?} in the store, {should:?} in the model");
        let order = |broadcast: &Broadcast| broadcast.recall.as_ref().map(|order| (order.whole, order.over));
        ensure!(order(&real) == order(model), "{:?} in the store, {:?} in the model", real.recall, model.recall);
        let recalls: Vec<_> = batches.iter().map(back).collect();
        let should: Vec<_> = world.ledger.rows.iter().map(|row| back(&row.batch)).collect();
        ensure!(recalls == should, "{recalls:?} in the store, {should:?} in the model");
        Ok(())
    }

    /// Leaves nothing behind for the next one.
    async fn end(mut self) -> anyhow::Result<()> {
        let [author, ..] = super::people();
        self.taken.clear();
        self.passes(LEASES_OVER).await?;
        for action in [Action::Cancel, Action::Settle, Action::Settle] {
            self.press(&Press { person: author, action, version: 0 }).await?;
            self.stage.settle().await?;
        }
        // Five answers that bring nothing new, over five minutes, are the end of a recall.
        for _ in 0..RECALL_LOOKS {
            if !self.broadcast().await?.is_being_recalled() {
                break;
            }
            self.passes(Duration::from_secs(60)).await?;
            self.stage.settle().await?;
        }
        let last = self.broadcast().await?;
        ensure!(!last.is_being_recalled(), "{:?} in the end\n{}", last.recall, self.went.join("\n"));
        let state = last.state;
        ensure!(state.is_settled(), "{state:?} in the end\n{}", self.went.join("\n"));
        Ok(())
    }
}

/// How far the recall of a batch has come, but for moments.
fn back(batch: &Batch) -> Option<&'static str> {
    batch.recall.as_ref().map(|recall| match recall.stage {
        RecallStage::Wanted => "wanted",
        RecallStage::Asked { .. } => "asked",
        RecallStage::Over => "over",
        RecallStage::Refused { .. } => "refused",
    })
}

/// Whether it is a short cut to an end.
fn gives_up(what: &Move) -> bool {
    match what {
        Move::Deed(Deed::Press(press)) => matches!(press.action, Action::Cancel | Action::Reject),
        Move::Deed(Deed::CancelByWord | Deed::Expire) | Move::TimePasses => true,
        Move::Deed(
            Deed::Take
            | Deed::Doubt(_)
            | Deed::Hold(_)
            | Deed::Record(..)
            | Deed::Come
            | Deed::HearFirstWave
            | Deed::RecallByWord(_)
            | Deed::AskBack(_)
            | Deed::SettleRecall(..)
            | Deed::Hear(..),
        )
        | Move::AtOnce(..)
        | Move::Called { .. }
        | Move::Dies { .. }
        | Move::GivesUp { .. }
        | Move::AskerGoes { .. } => false,
    }
}

/// Whether the program can be led that way by hand: one thing at a time, and leases of all who are gone run out at once.
fn can_be_gone(world: &World, what: &Move) -> bool {
    match what {
        Move::AtOnce(..)
        | Move::GivesUp { .. }
        | Move::AskerGoes { .. }
        | Move::Deed(Deed::Record(..))
        | Move::Dies { called: true, .. } => false,
        // Its broadcast has no time to leave at and no first wave; what is delivered is for Feishu to say.
        Move::Deed(Deed::Come | Deed::HearFirstWave | Deed::SettleRecall(..) | Deed::Hear(..)) => false,
        // Only the file itself would tell of another database, not a step.
        Move::Deed(Deed::Hold(cause)) => *cause == HoldCause::Downtime,
        Move::Deed(Deed::Doubt(run_out)) => {
            let rows = world.ledger.rows.iter();
            run_out.len() == rows.filter(|row| row.batch.state == BatchState::Sending).count()
        }
        Move::Deed(
            Deed::Press(_) | Deed::CancelByWord | Deed::Take | Deed::Expire | Deed::RecallByWord(_) | Deed::AskBack(_),
        )
        | Move::TimePasses
        | Move::Called { .. }
        | Move::Dies { called: false, .. } => true,
    }
}
