//! How far it came: the numbers add up, the reads are followed while they come in, and nobody is asked for ever.

use std::time::Duration;

use serde_json::Value;

use crate::approve::{HOUR, press, proposal};
use crate::sandbox::{ChatMessage, Company};
use crate::stage::{Stage, story, story_with};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn polls(stage: &Stage) -> usize {
    stage.tenant.calls_to("batch.progress").len()
}

/// So much time passes, and the bot works at least every hour of it.
async fn passes(stage: &Stage, time: Duration) -> anyhow::Result<()> {
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(HOUR);
        stage.later(step).await?;
        left -= step;
    }
    Ok(())
}

fn chart_of(card: &ChatMessage) -> Option<Value> {
    let elements = card.content["body"]["elements"].as_array()?;
    elements.iter().find(|element| element["tag"] == "chart").cloned()
}

#[tokio::test]
async fn everybody_is_in_one_place_and_the_places_add_up() {
    let company = Company::small().unavailable("马超").person("甲", &["工厂"]);
    let company = company.change("甲", |person| person.resigned = true);
    story_with(&[], company, async |stage| {
        stage.authorize("王芳").await?;
        let gone = stage.person("甲").open_id;
        stage.propose("王芳", &format!("/broadcast 销售部,{gone} 加起来要对")).await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        let sum = "合计 5 人 = 送达 3 + 未送达（在途，或机器人够不到） 1 + 无效 1";
        assert!(card.text.contains(sum), "{}", card.text);
        assert!(
            card.text.contains("送达 3 人，已读 0 人") && card.text.contains("已读 ░░░░░░░░░░ 0%"),
            "{}",
            card.text
        );
        let status = stage.ask("王芳", &format!("/status {}", Stage::id_on(&card))).await?;
        assert!(status.text.contains(sum), "{}", status.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn reads_are_followed_over_days_and_drawn_within_the_size_of_a_card() {
    let company = (0..60).fold(Company::small(), |company, n| company.person(&format!("员工{n:02}"), &["工厂"]));
    story_with(&[], company, async |stage| {
        stage.authorize("王芳").await?;
        stage.propose("王芳", &format!("/broadcast 工厂 {}", "很长的通知。".repeat(240))).await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(chart_of(&stage.card_of("王芳")?), None, "there is nothing to draw yet");
        for n in 0..60 {
            stage.person(&format!("员工{n:02}")).reads();
            passes(stage, Duration::from_secs(if n < 30 { 120 } else { 3 * 3600 })).await?;
        }
        for name in ["王芳", "赵磊"] {
            let card = stage.card_of(name)?;
            assert!(card.text.contains("已读走势 ▁") && card.text.contains("已读 ██████████"), "{}", card.text);
            let chart = chart_of(&card).expect("a chart");
            let values = chart["chart_spec"]["data"]["values"].as_array().expect("points");
            let read: Vec<u64> = values.iter().filter_map(|point| point["n"].as_u64()).collect();
            assert!((5..=24).contains(&read.len()) && read.is_sorted() && read[0] < 10, "{read:?}");
            assert!(card.text.contains(&format!("已读 {} 人", read[read.len() - 1])), "{read:?}");
            assert!(card.content.to_string().len() < 24 * 1024);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn asking_ends_when_nothing_changes_and_for_good_after_thirty_days() {
    story(async |stage| {
        proposal(stage, "王芳", "没人再看").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        passes(stage, 6 * DAY).await?;
        let quiet = polls(stage);
        assert!((20..160).contains(&quiet), "{quiet} questions");
        passes(stage, 2 * DAY).await?;
        assert_eq!(polls(stage), quiet, "asked although nothing changes any more");
        // Whoever wants to know asks once more, and what that finds is followed again.
        let id = Stage::id_on(&stage.card_of("王芳")?);
        stage.ask("周明", &format!("/status {id}")).await?;
        assert_eq!(polls(stage), quiet + 1);
        stage.person("陈晨").reads();
        press(stage, "王芳", "refresh").await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("已读 1 人"));
        passes(stage, 23 * DAY).await?;
        let after = polls(stage);
        stage.ask("周明", &format!("/status {id}")).await?;
        passes(stage, DAY).await?;
        assert_eq!(polls(stage), after, "Feishu has forgotten it by now");
        Ok(())
    })
    .await;
}
