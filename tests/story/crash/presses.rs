//! What a person decides and what time brings about is decided once, wherever the machine dies: in full, or not at all
//! and then when it is decided again.

use std::time::Duration;

use anyhow::ensure;
use feishu_broadcast::app::{authorize, dispatch, progress, tidy};
use url::Url;

use super::death::{die, die_later_each_time, die_pressing};
use crate::approve::{HOUR, actions, press, proposal};
use crate::policy::ruled;
use crate::sandbox::{ChatMessage, Company, Fault, Press, When, Wire};
use crate::schedule::written;
use crate::stage::{Stage, story};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

async fn dying(step: &str, life: impl AsyncFnMut(&mut Stage, usize) -> anyhow::Result<bool>) {
    story(async |stage| die_later_each_time(stage, step, life).await).await;
}

/// A press that dies and is made again where the button is still there, which it is not once the first has got through.
async fn pressed_until_it_counts(
    stage: &mut Stage,
    moment: usize,
    name: &str,
    card: &ChatMessage,
    action: impl Into<Press>,
) -> anyhow::Result<bool> {
    let action = action.into();
    let alive = die_pressing(stage, moment, name, card, action.clone()).await?;
    stage.settle().await?;
    if actions(stage, name).contains(&action.action) {
        ensure!(!alive, "what was pressed is not decided");
        press(stage, name, action).await?;
        stage.settle().await?;
    }
    Ok(alive)
}

/// How many copies somebody has of a message.
fn copies(stage: &Stage, name: &str, words: &str) -> usize {
    stage.person(name).inbox().iter().filter(|copy| copy.text == words).count()
}

/// How often the author was told about a broadcast, apart from its cards.
fn told(stage: &Stage, id: &str) -> usize {
    let chat = stage.person("王芳").chat();
    chat.iter().filter(|said| said.from_bot && said.msg_type == "text" && said.text.contains(id)).count()
}

fn everybody_sees(stage: &Stage, words: &str) -> anyhow::Result<()> {
    for name in ["王芳", "赵磊", "周明"] {
        let card = stage.card_of(name)?;
        ensure!(card.text.starts_with(words), "{name} sees {}", card.text);
    }
    Ok(())
}

#[tokio::test]
async fn while_an_approver_says_no() {
    dying("a rejection", async |stage, moment| {
        let words = format!("第{moment}次驳回");
        let id = Stage::id_on(&proposal(stage, "王芳", &words).await?);
        let card = stage.card_of("赵磊")?;
        let alive = pressed_until_it_counts(stage, moment, "赵磊", &card, "reject").await?;
        everybody_sees(stage, "已驳回")?;
        ensure!(
            (copies(stage, "陈晨", &words), told(stage, &id)) == (0, 1),
            "sent, or told {} times",
            told(stage, &id)
        );
        Ok(alive)
    })
    .await;
}

#[tokio::test]
async fn while_the_author_takes_a_proposal_back() {
    dying("a cancelling", async |stage, moment| {
        let words = format!("第{moment}次取消");
        let card = proposal(stage, "王芳", &words).await?;
        let alive = pressed_until_it_counts(stage, moment, "王芳", &card, "cancel").await?;
        everybody_sees(stage, "已取消")?;
        ensure!(copies(stage, "陈晨", &words) == 0, "sent all the same");
        Ok(alive)
    })
    .await;
}

#[tokio::test]
async fn while_the_author_chooses_another_time() {
    dying("another time", async |stage, moment| {
        let words = format!("第{moment}次改期");
        let card = proposal(stage, "王芳", &words).await?;
        let at = written(stage, 2 * HOUR);
        let later = Press::action("schedule").option(&format!("{at} +0800"));
        let alive = die_pressing(stage, moment, "王芳", &card, later.clone()).await?;
        stage.settle().await?;
        if !stage.card_of("赵磊")?.text.contains(&at) {
            ensure!(!alive, "the time was lost");
            press(stage, "王芳", later).await?;
            stage.settle().await?;
        }
        press(stage, "赵磊", "approve").await?;
        stage.later(2 * HOUR - FIVE_MINUTES).await?;
        ensure!(copies(stage, "陈晨", &words) == 0, "sent before its time");
        stage.later(2 * FIVE_MINUTES).await?;
        ensure!(copies(stage, "陈晨", &words) == 1, "{} copies", copies(stage, "陈晨", &words));
        Ok(alive)
    })
    .await;
}

#[tokio::test]
async fn while_the_author_takes_a_doubt_as_sent() {
    dying("a doubt taken as sent", async |stage, moment| {
        let words = format!("第{moment}次存疑");
        proposal(stage, "王芳", &words).await?;
        stage.tenant.fault(Fault::wire("batch_send", When::AfterAccept, Wire::Html502));
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        ensure!(card.text.starts_with("结果未知"), "no doubt: {}", card.text);
        let alive = pressed_until_it_counts(stage, moment, "王芳", &card, "settle").await?;
        stage.later(HOUR).await?;
        everybody_sees(stage, "已发送")?;
        ensure!(copies(stage, "陈晨", &words) == 1, "{} copies", copies(stage, "陈晨", &words));
        Ok(alive)
    })
    .await;
}

#[tokio::test]
async fn while_the_author_chooses_among_namesakes() {
    dying("a choice", async |stage, moment| {
        if moment < 2 {
            stage.authorize("王芳").await?;
        }
        let words = format!("第{moment}次选部门");
        let card = stage.propose("王芳", &format!("/broadcast 客服部 {words}")).await?;
        let chosen = stage.tenant.company().at("华东/客服部").expect("is there").open_department_id.clone();
        let choice = Press::action("pick").option(&chosen);
        let alive = pressed_until_it_counts(stage, moment, "王芳", &card, choice).await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        ensure!(copies(stage, "罗敏", &words) == 1, "{} copies", copies(stage, "罗敏", &words));
        Ok(alive)
    })
    .await;
}

#[tokio::test]
async fn while_the_time_of_a_broadcast_comes() {
    dying("its time comes", async |stage, moment| {
        let words = format!("第{moment}次到点");
        let (at, to) = (written(stage, HOUR), stage.person("陈晨").open_id);
        stage.propose("王芳", &format!("/broadcast --at \"{at}\" {to} {words}")).await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        stage.tenant.later(HOUR + Duration::from_secs(60)).await;
        feishu_broadcast::app::life::beat(&stage.bot.app).await?;
        let alive = die(stage, moment, async |app| tidy::step(&app).await.map(drop)).await?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        if card.text.starts_with("已暂停") {
            press(stage, "王芳", "confirm").await?;
        }
        stage.later(Duration::from_secs(60)).await?;
        everybody_sees(stage, "已发送")?;
        ensure!(copies(stage, "陈晨", &words) == 1, "{} copies", copies(stage, "陈晨", &words));
        Ok(alive)
    })
    .await;
}

#[tokio::test]
async fn while_the_first_wave_is_heard() {
    let canary = |_: &Company| "[[size]]\napprovals = 1\ncanary = { first = 1, invalid_max = \"25%\" }\n".to_owned();
    ruled(Company::small(), canary, async |stage, _| {
        die_later_each_time(stage, "a first wave", async |stage, moment| {
            let words = format!("第{moment}次分两批");
            let people = ["陈晨", "刘洋"];
            let ids = people.map(|name| stage.person(name).open_id).join(",");
            stage.propose("王芳", &format!("/broadcast {ids} {words}")).await?;
            press(stage, "赵磊", "approve").await?;
            dispatch::step(&stage.bot.app).await?;
            stage.tenant.later(Duration::from_secs(4)).await;
            let first = people.map(|name| copies(stage, name, &words));
            ensure!(first == [1, 0], "the first wave is {first:?}");
            let alive = die(stage, moment, async |app| progress::step(&app).await.map(drop)).await?;
            for _ in 0..5 {
                stage.later(Duration::from_secs(30)).await?;
            }
            let all = people.map(|name| copies(stage, name, &words));
            ensure!(all == [1, 1], "{all:?} copies: {}", stage.card_of("王芳")?.text);
            everybody_sees(stage, "已发送")?;
            Ok(alive)
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn while_an_authorization_comes_back() {
    dying("an authorization", async |stage, moment| {
        let words = format!("第{moment}次授权");
        let asked = stage.ask("王芳", &format!("/broadcast 销售部 {words}")).await?;
        let consent = stage.open_login(&asked).await?;
        let back = Url::parse(&stage.tenant.consents(&consent, "王芳").map_err(anyhow::Error::msg)?)?;
        let of = |name: &str| back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let (state, code) = (of("state").unwrap_or_default(), of("code"));
        let finish = async move |app: std::sync::Arc<feishu_broadcast::app::App>| {
            authorize::finish(&app, &state, code.as_deref()).await;
            Ok(())
        };
        let alive = die(stage, moment, finish).await?;
        stage.settle().await?;
        let newest = stage.card_of("王芳")?;
        if !newest.text.contains(&words) {
            // The code is used up, and the person presses the link of their card once more.
            ensure!(!alive, "the command was lost");
            stage.follow_login(&asked, "王芳").await?;
            stage.settle().await?;
        }
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        ensure!(copies(stage, "陈晨", &words) == 1, "{} copies", copies(stage, "陈晨", &words));
        stage.ask("王芳", "/logout").await?;
        Ok(alive)
    })
    .await;
}
