//! A repeat changes nothing, and what could not be stored comes again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use feishu_broadcast::app::tidy;
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use super::{answers_to, cards_of, talk};
use crate::sandbox::{Company, Event, Press};
use crate::stage::{Stage, story, story_with};

const HOUR: Duration = Duration::from_secs(3600);

/// A command that needs no authorization, from 王芳.
fn command(stage: &Stage) -> Event {
    let target = stage.person("陈晨").open_id;
    stage.person("王芳").text_event(&format!("/broadcast {target} 只此一次"))
}

/// Author and both approvers have one card each, and nobody has anything else.
#[track_caller]
fn assert_one_preview(stage: &Stage, when: &str) {
    for name in ["王芳", "周明", "赵磊"] {
        assert_eq!(cards_of(stage, name), 1, "cards of {name} {when}");
        assert_eq!(answers_to(stage, name), 1, "answers to {name} {when}");
    }
}

#[tokio::test]
async fn one_message_pushed_again_and_again_becomes_one_preview() {
    story(async |stage| {
        let event = command(stage);
        assert_eq!(stage.tenant.push(&event).await.status, 200);
        assert_eq!(stage.tenant.push(&event).await.status, 200, "before it was worked on");
        stage.settle().await?;
        assert_one_preview(stage, "after a repeat at once");

        let renamed = event.clone().with_event_id("another-event-id");
        for (when, event) in [("worked on already", &event), ("under a new event id", &renamed)] {
            assert_eq!(stage.tenant.push(event).await.status, 200);
            stage.settle().await?;
            assert_one_preview(stage, when);
        }

        stage.restart().await?;
        assert_eq!(stage.tenant.push(&event).await.status, 200);
        stage.settle().await?;
        assert_one_preview(stage, "after a restart");

        stage.later(6 * HOUR).await?;
        assert_eq!(stage.tenant.push(&renamed).await.status, 200);
        stage.settle().await?;
        assert_one_preview(stage, "six hours later");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn seven_days_later_a_message_is_still_remembered() {
    story(async |stage| {
        let event = command(stage);
        assert_eq!(stage.tenant.push(&event).await.status, 200);
        stage.later(7 * 24 * HOUR - Duration::from_secs(60)).await?;
        tidy::prune(&stage.bot.app).await?;
        let (cards, answers) = (cards_of(stage, "王芳"), answers_to(stage, "王芳"));
        for event in [&event, &event.clone().with_event_id("another-event-id")] {
            assert_eq!(stage.tenant.push(event).await.status, 200);
            stage.settle().await?;
        }
        assert_eq!((cards_of(stage, "王芳"), answers_to(stage, "王芳")), (cards, answers));
        assert_eq!(cards, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_pushes_of_one_message_in_flight_at_once_become_one_preview() {
    story(async |stage| {
        let event = command(stage);
        let other = event.clone().with_event_id("another-event-id");
        let (a, b, c, d) = tokio::join!(
            stage.tenant.push(&event),
            stage.tenant.push(&other),
            stage.tenant.push(&event),
            stage.tenant.push(&other)
        );
        assert_eq!([a.status, b.status, c.status, d.status], [200; 4]);
        stage.settle().await?;
        assert_one_preview(stage, "after four at once");
        Ok(())
    })
    .await;
}

/// The id is what a message is known by, whatever a push says of the time it was sent.
#[tokio::test]
async fn one_message_with_another_time_becomes_one_preview() {
    story(async |stage| {
        let said = |stage: &Stage| stage.person("周明").chat().into_iter().filter(|message| message.from_bot).count();
        let asked = stage.person("周明").text_event("/whoami");
        let event = command(stage);
        let later = |event: &Event, ms: i64| {
            let mut event = event.clone().with_event_id(&format!("ev-{ms}"));
            let at = &mut event.body["event"]["message"]["create_time"];
            let sent: i64 = at.as_str().and_then(|at| at.parse().ok()).expect("milliseconds");
            *at = json!((sent + ms).to_string());
            event
        };
        for event in [&event, &later(&event, 7), &asked, &later(&asked, 7)] {
            assert_eq!(stage.tenant.push(event).await.status, 200, "both before any is worked on");
        }
        stage.settle().await?;
        assert_eq!((cards_of(stage, "王芳"), said(stage)), (1, 2), "a preview, an approval and an answer");
        stage.restart().await?;
        for event in [&later(&event, -9), &later(&asked, -9)] {
            assert_eq!(stage.tenant.push(event).await.status, 200);
        }
        stage.settle().await?;
        assert_eq!((cards_of(stage, "王芳"), said(stage)), (1, 2), "after a restart");

        // Earlier versions remembered a message by its id alone.
        stage.sql("delete from inbox where key like 'm:%:%'".into()).await?;
        for event in [&event, &asked] {
            assert_eq!(stage.tenant.push(event).await.status, 200);
        }
        stage.settle().await?;
        assert_eq!((cards_of(stage, "王芳"), said(stage)), (1, 2), "after an upgrade");
        Ok(())
    })
    .await;
}

/// Every push of a message is taken back with it, and what became of its words under another id as well.
#[tokio::test]
async fn a_recall_takes_back_whatever_came_of_the_message() {
    story(async |stage| {
        let event = command(stage);
        let id = event.body["event"]["message"]["message_id"].as_str().context("an id")?.to_owned();
        let mut other = event.clone().with_event_id("ev-other");
        other.body["event"]["message"]["create_time"] = json!("1700000000000");
        for event in [&event, &other] {
            assert_eq!(stage.tenant.push(event).await.status, 200);
        }
        stage.person("王芳").recalls(&id).await;
        // Before anybody takes one of them.
        stage.sql("update inbox set not_before = not_before + 3000 where key like 'm:%'".into()).await?;
        stage.settle().await?;
        stage.later(Duration::from_secs(10)).await?;
        stage.settle().await?;
        assert_eq!((cards_of(stage, "王芳"), answers_to(stage, "王芳")), (0, 0));

        let event = command(stage);
        assert_eq!(stage.tenant.push(&event).await.status, 200);
        stage.settle().await?;
        assert_eq!(cards_of(stage, "王芳"), 1);
        let twin = event.clone().with_event_id("ev-twin").with_message_id("om_twin");
        assert_eq!(stage.tenant.push(&twin).await.status, 200);
        stage.sql("update inbox set not_before = not_before + 3000 where key like '%:om_twin'".into()).await?;
        stage.person("王芳").recalls("om_twin").await;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("已取消"), "{}", stage.card_of("王芳")?.text);
        Ok(())
    })
    .await;
}

/// What an earlier version had accepted and not worked on is worked on once.
#[tokio::test]
async fn a_message_accepted_before_an_upgrade_is_worked_on_after_it() {
    story(async |stage| {
        let event = command(stage);
        assert_eq!(stage.tenant.push(&event).await.status, 200);
        let said = event.body["event"]["message"]["message_id"].as_str().context("an id")?;
        stage.sql(format!("update inbox set key = 'm:{said}' where key like 'm:%:{said}'")).await?;
        assert_eq!(stage.tenant.push(&event).await.status, 200, "pushed again after it");
        stage.restart().await?;
        stage.settle().await?;
        assert_one_preview(stage, "after the upgrade");
        Ok(())
    })
    .await;
}

/// What one project saw after a reconnect: new ids, the same words of the same moment.
#[tokio::test]
async fn the_same_words_under_another_message_id_become_one_preview() {
    story(async |stage| {
        let event = command(stage);
        let reborn =
            |n: usize| event.clone().with_event_id(&format!("ev-{n}")).with_message_id(&format!("om_again_{n}"));
        for event in [&event, &reborn(1)] {
            assert_eq!(stage.tenant.push(event).await.status, 200, "both before any is worked on");
        }
        stage.settle().await?;
        assert_one_preview(stage, "after both at once");
        stage.restart().await?;
        stage.later(6 * HOUR).await?;
        assert_eq!(stage.tenant.push(&reborn(2)).await.status, 200);
        stage.settle().await?;
        assert_one_preview(stage, "six hours later");
        // Whichever of them is recalled.
        stage.person("王芳").recalls("om_again_1").await;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("已取消"), "{}", stage.card_of("王芳")?.text);
        // Recalled before anybody looked, it comes under no other id either.
        let early = command(stage);
        let twin = early.clone().with_event_id("ev-twin").with_message_id("om_twin");
        for event in [&early, &twin] {
            assert_eq!(stage.tenant.push(event).await.status, 200);
        }
        let said = early.body["event"]["message"]["message_id"].as_str().expect("an id");
        stage.person("王芳").recalls(said).await;
        stage.settle().await?;
        assert_eq!(cards_of(stage, "王芳"), 1);
        // Typed again is another command.
        assert_eq!(stage.tenant.push(&command(stage)).await.status, 200);
        stage.settle().await?;
        assert_eq!(cards_of(stage, "王芳"), 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_press_that_arrives_twice_is_decided_once() {
    story(async |stage| {
        assert_eq!(stage.tenant.push(&command(stage)).await.status, 200);
        stage.settle().await?;
        let card = stage.card_of("赵磊")?;
        let (press, _) = stage
            .person("赵磊")
            .press_event(&card.message_id, &Press::action("approve"))
            .map_err(anyhow::Error::msg)?;
        let (first, again) = tokio::join!(stage.tenant.push_press(&press), stage.tenant.push_press(&press));
        let mut kinds = [first.toast, again.toast].map(|toast| toast.map(|toast| toast.kind).unwrap_or_default());
        kinds.sort();
        assert_eq!(kinds, ["info", "success"]);
        stage.settle().await?;
        let late = stage.tenant.push_press(&press).await;
        assert_eq!(late.toast.map(|toast| toast.kind).as_deref(), Some("info"));
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

/// Somebody else with a hand on the bot's database.
async fn meddle(database: &Path) -> anyhow::Result<SqliteConnection> {
    Ok(SqliteConnection::connect(&format!("sqlite://{}", database.display())).await?)
}

async fn story_on_a_shaky_store(play: impl AsyncFnOnce(&mut Stage, &Path) -> anyhow::Result<()>) {
    let data = tempfile::tempdir().expect("a directory for the database");
    let database = data.path().join("shaky.db");
    let url = format!("sqlite://{}", database.display());
    story_with(&[("DATABASE_URL", &url)], Company::small(), async |stage| play(stage, &database).await).await;
}

#[tokio::test]
async fn while_the_store_fails_feishu_is_asked_to_come_again_down_its_whole_ladder() {
    story_on_a_shaky_store(async |stage, database| {
        let mut meddler = meddle(database).await?;
        sqlx::query("alter table inbox rename to gone").execute(&mut meddler).await?;
        let ready = stage.get("https://bot.example.com/readyz").await?;
        assert_eq!(ready.status(), 503);
        assert_eq!(stage.get("https://bot.example.com/healthz").await?.status(), 200);

        let event = command(stage);
        assert_eq!(stage.tenant.push(&event).await.status, 503);
        for wait in [15, 300, 3600] {
            stage.tenant.later(Duration::from_secs(wait)).await;
        }
        let statuses = |stage: &Stage| -> Vec<u16> {
            stage.tenant.pushes().iter().filter(|p| p.event_id == event.event_id).map(|p| p.status).collect()
        };
        assert_eq!(statuses(stage), [503; 4]);

        sqlx::query("alter table gone rename to inbox").execute(&mut meddler).await?;
        assert_eq!(stage.get("https://bot.example.com/readyz").await?.status(), 200);
        stage.tenant.later(6 * HOUR).await;
        assert_eq!(statuses(stage), [503, 503, 503, 503, 200]);
        stage.settle().await?;
        assert_one_preview(stage, "at the fifth push");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_store_that_hangs_is_not_waited_for_beyond_three_seconds() {
    story_on_a_shaky_store(async |stage, database| {
        let mut meddler = meddle(database).await?;
        sqlx::query("begin exclusive").execute(&mut meddler).await?;
        let event = command(stage);
        let pushed = stage.tenant.push(&event).await;
        assert_eq!(pushed.status, 503);
        assert!(pushed.elapsed < Duration::from_secs(3), "{:?}", pushed.elapsed);
        assert!(pushed.json()["error"].is_string(), "{}", pushed.body);
        sqlx::query("rollback").execute(&mut meddler).await?;
        // What hung may have been written after all: a repeat like any other.
        stage.tenant.later(Duration::from_secs(15)).await;
        stage.settle().await?;
        assert_one_preview(stage, "after the store came back");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_slow_body_and_a_store_that_hangs_together_take_no_longer_than_one() {
    story_on_a_shaky_store(async |stage, database| {
        let mut meddler = meddle(database).await?;
        sqlx::query("begin exclusive").execute(&mut meddler).await?;
        let raw = stage.tenant.seal(&command(stage));
        let mut head = format!("POST /feishu/event HTTP/1.1\r\nHost: bot\r\nContent-Length: {}\r\n", raw.body.len());
        for (name, value) in &raw.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let (first, last) = raw.body.split_at(raw.body.len() / 2);
        let began = Instant::now();
        let parts = vec![[head.as_bytes(), b"\r\n", first].concat(), last.to_vec()];
        let answer = talk(stage.bot.address(), parts).await?;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        sqlx::query("rollback").execute(&mut meddler).await?;
        assert_eq!(stage.tenant.post(&raw).await.status, 200);
        stage.settle().await?;
        assert_one_preview(stage, "after the store came back");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_press_while_the_store_fails_gets_a_toast_and_can_be_repeated() {
    story_on_a_shaky_store(async |stage, database| {
        assert_eq!(stage.tenant.push(&command(stage)).await.status, 200);
        stage.settle().await?;
        let card = stage.card_of("赵磊")?;
        let mut meddler = meddle(database).await?;
        sqlx::query("begin exclusive").execute(&mut meddler).await?;
        let pressed = stage.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
        assert_eq!(pressed.toast.map(|toast| toast.kind).as_deref(), Some("error"));
        assert!(pressed.elapsed < Duration::from_secs(3), "{:?}", pressed.elapsed);
        sqlx::query("rollback").execute(&mut meddler).await?;
        stage.settle().await?;
        assert!(stage.tenant.tasks().is_empty(), "a press that was answered with an error counted");
        let pressed = stage.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
        assert_eq!(pressed.toast.map(|toast| toast.kind).as_deref(), Some("success"));
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}
