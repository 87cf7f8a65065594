//! Every await of every step is a place to die at.
//!
//! A step is polled k times and dropped, for k = 0, 1, 2 … until it finishes: once right after the poll, when nothing of
//! what it asked for has left yet, and once when it is woken, when all of it has happened and the step does not know.
//! Then the machine comes back on the same database and goes on. Whatever was true of the disk at that moment, the same
//! promises hold: nobody gets it twice unless a person decided so, nobody is left out without a word, every command is
//! answered, every card ends as it should.

pub(crate) mod death;
mod presses;

use std::time::Duration;

use anyhow::{Context, ensure};
use feishu_broadcast::app::{cards, dispatch, inbox, letters, life, progress, tidy};
use feishu_broadcast::domain::hold::AWAY_MAX;
use feishu_broadcast::domain::ids::BroadcastId;
use feishu_broadcast::store::broadcasts::Which;
use serde_json::json;

use death::{die, die_each, die_later_each_time, die_pressing};

use crate::sandbox::ChatMessage;
use crate::sandbox::world::Pressing;
use crate::stage::{LEASES_OVER, Stage, story};

/// Where in the life of a broadcast the machine dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The command is worked on.
    Command,
    /// The first card is sent, and before it is tried again somebody approves.
    FirstCard,
    /// A press is decided.
    Approval,
    /// The batch is taken, sent, and its outcome written.
    Dispatch,
    /// The author is told that it is done.
    News,
    /// A card is brought up to date.
    LaterCard,
    /// Delivery is asked for.
    Progress,
    /// A batch without its sender is found while the bot runs.
    Abandoned,
    /// A batch without its sender is found at the start.
    Start,
    /// The author decides to send again.
    Resend,
    /// The bot was away too long and puts what is still to be sent on hold.
    Silence,
    /// The author says that it is still to be sent.
    GoOn,
    /// The deadline has passed.
    Expiry,
}

async fn dying_at(place: Place) {
    story(async |stage| {
        let step = format!("{place:?}");
        match place {
            // A call that is cut while it is written: there even moments are moments of their own.
            Place::Dispatch => {
                die_each(stage, &step, [1, 3], async |stage, moment| life(stage, place, moment).await).await
            }
            _ => die_later_each_time(stage, &step, async |stage, moment| life(stage, place, moment).await).await,
        }
    })
    .await;
}

/// One broadcast from command to report, with one death on the way. Returns whether the step got through alive.
async fn life(stage: &mut Stage, place: Place, moment: usize) -> anyhow::Result<bool> {
    let words = format!("第{moment}次断电");
    let before = stage.person("陈晨").inbox().len();
    let mut alive = None;
    let to = stage.person("陈晨").open_id;
    let pushed = stage.person("王芳").says(&format!("/broadcast {to} {words}")).await;
    ensure!(pushed.status == 200, "not acknowledged");
    if place == Place::Command {
        alive = Some(die(stage, moment, async |app| inbox::step(&app).await.map(drop)).await?);
    }
    while inbox::step(&stage.bot.app).await? == feishu_broadcast::app::Step::Worked {}
    let newest =
        stage.bot.app.store.recent(None, Which::All).await?.into_iter().next().context("nothing was proposed")?;
    ensure!(newest.content.plain() == words, "the command was lost");
    let id = newest.id;
    if place == Place::FirstCard {
        alive = Some(die(stage, moment, async |app| cards::step(&app).await.map(drop)).await?);
        approve(stage, &id).await?;
    }
    stage.settle().await?;
    if place == Place::Expiry {
        stage.tenant.later(Duration::from_secs(24 * 3600)).await;
        alive = Some(die(stage, moment, async |app| tidy::step(&app).await.map(drop)).await?);
        stage.settle().await?;
        ensure!(stage.person("陈晨").inbox().len() == before, "sent although nobody approved");
        over(stage, &id, &words, "已过期")?;
        return alive.context("nobody died");
    }
    if place == Place::Approval {
        let card = card_of(stage, "赵磊", &words)?;
        // The tenant does not see a press that goes to the desk directly; it was made all the same.
        let person = stage.person("赵磊").open_id;
        stage.tenant.with(|world| {
            world.pressed.push(Pressing {
                person,
                action: "approve".into(),
                broadcast: id.to_string(),
                message_id: card.message_id.clone(),
                welcomed: true,
            });
        });
        alive = Some(die_pressing(stage, moment, "赵磊", &card, "approve").await?);
    }
    // Nobody saw an answer to the press that died, so it is pressed again.
    approve(stage, &id).await?;
    if place == Place::Dispatch {
        alive = Some(die(stage, moment, async |app| dispatch::step(&app).await.map(drop)).await?);
    }
    if matches!(place, Place::Abandoned | Place::Start | Place::Resend) {
        // Taken, and the sender is gone before the call.
        ensure!(dispatch::next(&stage.bot.app).await?.is_some(), "there was no batch to take");
    }
    if place == Place::Abandoned {
        stage.tenant.later(LEASES_OVER).await;
        alive = Some(die(stage, moment, async |app| tidy::step(&app).await.map(drop)).await?);
    }
    if place == Place::Start {
        alive = Some(die(stage, moment, async |app| tidy::begin(&app).await).await?);
    }
    if matches!(place, Place::Silence | Place::GoOn) {
        stage.tenant.later(2 * AWAY_MAX).await;
    }
    if place == Place::Silence {
        alive = Some(die(stage, moment, async |app| life::beat(&app).await).await?);
    }
    if matches!(place, Place::Silence | Place::GoOn) {
        stage.settle().await?;
        ensure!(stage.person("陈晨").inbox().len() == before, "sent after all that time without asking");
        go_on(stage, place, moment, &words, &mut alive).await?;
    }
    if matches!(place, Place::News | Place::LaterCard | Place::Progress) {
        dispatch::step(&stage.bot.app).await?;
        stage.tenant.later(Duration::from_secs(4)).await;
        alive = Some(match place {
            Place::News => die(stage, moment, async |app| letters::step(&app).await.map(drop)).await?,
            Place::LaterCard => die(stage, moment, async |app| cards::step(&app).await.map(drop)).await?,
            _ => die(stage, moment, async |app| progress::step(&app).await.map(drop)).await?,
        });
    }
    if place == Place::Resend {
        stage.tenant.later(LEASES_OVER).await;
    }
    stage.settle().await?;
    let resent = decide(stage, place, moment, &words, &mut alive).await?;
    stage.settle().await?;

    let copies = stage.person("陈晨").inbox().len() - before;
    ensure!(copies <= 1 + usize::from(resent == Some(true)), "{copies} copies, resent: {resent:?}");
    ensure!(copies >= 1 || resent == Some(false), "lost without a word");
    over(stage, &id, &words, "已发送")?;
    stage.person("陈晨").reads();
    alive.context("nobody died")
}

/// The author says that it is still to be sent, and again where the first press died.
async fn go_on(
    stage: &mut Stage,
    place: Place,
    moment: usize,
    words: &str,
    alive: &mut Option<bool>,
) -> anyhow::Result<()> {
    let card = card_of(stage, "王芳", words)?;
    ensure!(card.text.starts_with("已暂停"), "not on hold: {}", card.text);
    if place == Place::GoOn {
        *alive = Some(die_pressing(stage, moment, "王芳", &card, "confirm").await?);
        stage.settle().await?;
    }
    let card = card_of(stage, "王芳", words)?;
    if card.text.starts_with("已暂停") {
        let pressed = stage.person("王芳").presses(&card, "confirm").await.map_err(anyhow::Error::msg)?;
        ensure!(pressed.status == 200, "the press was answered {}", pressed.status);
    }
    Ok(())
}

/// What the author does about a doubt, if there is one: every other time it is sent again, else it is taken as sent.
async fn decide(
    stage: &mut Stage,
    place: Place,
    moment: usize,
    words: &str,
    alive: &mut Option<bool>,
) -> anyhow::Result<Option<bool>> {
    let card = card_of(stage, "王芳", words)?;
    if !card.text.contains("结果未知") {
        ensure!(place != Place::Resend, "no doubt: {}", card.text);
        return Ok(None);
    }
    if place == Place::Resend {
        *alive = Some(die_pressing(stage, moment, "王芳", &card, "resend").await?);
        stage.settle().await?;
        if !card_of(stage, "王芳", words)?.text.contains("结果未知") {
            return Ok(Some(true));
        }
    }
    let action = if (moment / 2).is_multiple_of(2) { "resend" } else { "settle" };
    let card = card_of(stage, "王芳", words)?;
    let pressed = stage.person("王芳").presses(&card, action).await.map_err(anyhow::Error::msg)?;
    ensure!(pressed.status == 200, "the press was answered {}", pressed.status);
    Ok(Some(action == "resend"))
}

/// The approver presses, from the card they were shown or a forwarded one; a second press is turned away.
async fn approve(stage: &Stage, id: &BroadcastId) -> anyhow::Result<()> {
    let value = json!({ "action": "approve", "broadcast": id.as_str(), "version": 1 });
    let pressed = stage.person("赵磊").presses_raw("om_of_a_forwarded_copy", value).await;
    ensure!(pressed.status == 200, "the press was answered {}", pressed.status);
    Ok(())
}

fn card_of(stage: &Stage, name: &str, words: &str) -> anyhow::Result<ChatMessage> {
    let chat = stage.person(name).chat();
    let mut cards = chat.into_iter().filter(|message| message.card.is_some() && message.text.contains(words));
    let card = cards.next().with_context(|| format!("{name} has no card"))?;
    ensure!(cards.next().is_none(), "{name} has two cards");
    Ok(card)
}

/// The broadcast has ended, everybody sees it, and the author was told once.
fn over(stage: &Stage, id: &BroadcastId, words: &str, word: &str) -> anyhow::Result<()> {
    for name in ["王芳", "周明", "赵磊"] {
        let card = card_of(stage, name, words)?;
        ensure!(card.text.contains(word), "{name} sees {}", card.text);
        let offered = stage.person(name).controls(&card);
        let after = ["refresh", "recall"];
        ensure!(offered.iter().all(|control| after.contains(&control.action())), "{name} may still press: {offered:?}");
    }
    let chat = stage.person("王芳").chat();
    let told: Vec<&str> = chat
        .iter()
        .filter(|message| message.from_bot && message.msg_type == "text" && message.text.contains(id.as_str()))
        .map(|message| message.text.as_str())
        .collect();
    let ends = told.iter().filter(|text| !text.contains("结果未知") && !text.contains("已暂停")).count();
    ensure!(ends == 1, "told about the end {ends} times: {told:?}");
    ensure!(told.len() <= 3, "told too often: {told:?}");
    Ok(())
}

#[tokio::test]
async fn while_a_command_is_worked_on() {
    dying_at(Place::Command).await;
}

#[tokio::test]
async fn while_the_first_card_is_sent_and_somebody_approves_before_it_is_tried_again() {
    dying_at(Place::FirstCard).await;
}

#[tokio::test]
async fn while_a_press_is_decided() {
    dying_at(Place::Approval).await;
}

#[tokio::test]
async fn while_a_batch_is_sent() {
    dying_at(Place::Dispatch).await;
}

#[tokio::test]
async fn while_the_author_is_told() {
    dying_at(Place::News).await;
}

#[tokio::test]
async fn while_a_card_is_brought_up_to_date() {
    dying_at(Place::LaterCard).await;
}

#[tokio::test]
async fn while_delivery_is_asked_for() {
    dying_at(Place::Progress).await;
}

#[tokio::test]
async fn while_a_batch_is_found_without_its_sender() {
    dying_at(Place::Abandoned).await;
}

#[tokio::test]
async fn while_the_bot_starts_after_a_crash() {
    dying_at(Place::Start).await;
}

#[tokio::test]
async fn while_the_author_decides_about_a_doubt() {
    dying_at(Place::Resend).await;
}

#[tokio::test]
async fn while_the_bot_finds_that_it_was_away() {
    dying_at(Place::Silence).await;
}

#[tokio::test]
async fn while_the_author_says_go_on() {
    dying_at(Place::GoOn).await;
}

#[tokio::test]
async fn while_a_deadline_passes() {
    dying_at(Place::Expiry).await;
}
