//! How far it came: the numbers add up, the reads are followed while they come in, and nobody is asked for ever.

use std::time::Duration;

use feishu_broadcast::app::progress;
use feishu_broadcast::store::broadcasts::Which;
use serde_json::Value;

use crate::approve::{HOUR, press, proposal};
use crate::sandbox::{ChatMessage, Company, Fault, When, Wire};
use crate::stage::{Stage, story, story_with};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn polls(stage: &Stage) -> usize {
    stage.tenant.calls_to("batch.progress").len() + read_users(stage)
}

fn read_users(stage: &Stage) -> usize {
    stage.tenant.calls_to("batch.read_user").len()
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

fn progresses(stage: &Stage) -> usize {
    polls(stage) - read_users(stage)
}

/// So many minutes pass, and the bot works in each of them.
async fn minutes(stage: &Stage, minutes: u32) -> anyhow::Result<()> {
    for _ in 0..minutes {
        stage.later(Duration::from_secs(60)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn once_everybody_has_it_only_reads_are_asked_for() {
    story(async |stage| {
        proposal(stage, "王芳", "送到了").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        minutes(stage, 10).await?;
        let (delivery, reads) = (progresses(stage), read_users(stage));
        assert!((1..=3).contains(&delivery) && reads > 5, "{delivery} about delivery, {reads} about reads");
        // What `read_user` writes as texts arrives as numbers, by the clock and by the button.
        stage.person("陈晨").reads();
        press(stage, "王芳", "refresh").await?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("已读 1 人"), "{}", card.text);
        passes(stage, DAY).await?;
        assert_eq!((progresses(stage), read_users(stage)), (delivery, reads + 1), "everybody has read it");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn who_is_out_of_reach_is_not_waited_for_longer_than_a_queue_can_be() {
    story_with(&[], Company::small().unavailable("马超"), async |stage| {
        stage.authorize("王芳").await?;
        stage.propose("王芳", "/broadcast 销售部 有人收不到").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        minutes(stage, 30).await?;
        assert_eq!(read_users(stage), 0, "the fourth may still be in the queue");
        minutes(stage, 30).await?;
        let delivery = progresses(stage);
        assert!(read_users(stage) > 0);
        passes(stage, DAY).await?;
        assert_eq!(progresses(stage), delivery, "asked about delivery that stands still");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn delivery_that_goes_on_after_all_is_counted_and_reads_never_become_fewer() {
    story(async |stage| {
        proposal(stage, "王芳", "两个问题").await?;
        // Asked about delivery, about reads, about delivery since more were pushed than it had said, about reads again.
        let script = vec![(2, 2, 0), (3, 3, 1), (3, 3, 2), (3, 3, 1)];
        stage.tenant.switch(|switches| switches.progress = script);
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        minutes(stage, 10).await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("送达 3 人，已读 2 人"), "{}", card.text);
        assert_eq!(progresses(stage), 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn reads_are_counted_where_they_cannot_be_asked_for_alone() {
    story(async |stage| {
        proposal(stage, "王芳", "没有这个接口").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        minutes(stage, 2).await?;
        stage.tenant.fault(Fault::code("batch.read_user", 400, 230_027).times(99));
        stage.person("陈晨").reads();
        minutes(stage, 2).await?;
        assert!(stage.tenant.calls_to("batch.read_user").len() > 1, "it was asked, and refused");
        stage.tenant.clear_faults();
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("已读 1 人"), "{}", card.text);
        Ok(())
    })
    .await;
}

/// One asks and waits; a press of 刷新 is asked and answered before. The older answer comes last.
#[tokio::test]
async fn an_answer_that_was_overtaken_takes_no_reads_back() {
    story(async |stage| {
        let app = &stage.bot.app;
        proposal(stage, "王芳", "谁先回答").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        minutes(stage, 2).await?;
        let read = async || -> anyhow::Result<u64> {
            let recent = app.store.recent(None, Which::All).await?;
            let batches = app.store.batches(&recent[0].id).await?;
            Ok(batches[0].progress.map_or(0, |progress| progress.read))
        };
        let slow = Wire::SlowBody(Duration::from_secs(5));
        stage.tenant.fault(Fault::wire("batch.read_user", When::AfterAccept, slow));
        press(stage, "王芳", "refresh").await?;
        let asked = read_users(stage);
        let overtaking = async {
            while read_users(stage) == asked {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stage.person("陈晨").reads();
            press(stage, "王芳", "refresh").await?;
            progress::step(app).await?;
            read().await
        };
        let (slow, overtaking) = tokio::join!(progress::step(app), overtaking);
        slow?;
        assert_eq!((overtaking?, read_users(stage) - asked), (1, 2));
        assert_eq!(read().await?, 1, "an older answer was written over a newer one");
        Ok(())
    })
    .await;
}
