//! A time to leave at: read by the clock of the deployment, shown to everybody who decides, kept to the minute, and
//! asked about where it was missed.

use std::time::Duration;

use crate::approve::{HOUR, actions, press, three_approvers};
use crate::sandbox::Press;
use crate::stage::{Stage, story, story_with};

const MINUTE: Duration = Duration::from_secs(60);

fn copies(stage: &Stage, name: &str) -> usize {
    stage.person(name).inbox().len()
}

/// A moment ahead, as an author writes it: seconds are cut, so that it is at most a minute earlier.
pub(crate) fn written(stage: &Stage, ahead: Duration) -> String {
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").expect("a zone of the database");
    let at = jiff::Timestamp::from_millisecond(stage.bot.app.now().after(ahead).0).expect("a moment");
    at.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Proposed for a time that far ahead; gives the time as it was written.
async fn scheduled(stage: &Stage, ahead: Duration, words: &str) -> anyhow::Result<String> {
    let at = written(stage, ahead);
    let to = stage.person("陈晨").open_id;
    stage.propose("王芳", &format!("/broadcast --at \"{at}\" {to} {words}")).await?;
    Ok(at)
}

#[tokio::test]
async fn it_leaves_at_its_time_and_not_before() {
    story(async |stage| {
        let at = scheduled(stage, 3 * HOUR, "三小时以后").await?;
        for name in ["王芳", "赵磊"] {
            let card = stage.card_of(name)?;
            assert!(card.text.contains(&format!("定时发送：{at} 周")), "{name}: {}", card.text);
            assert!(card.text.contains("Asia/Shanghai"), "{}", card.text);
        }
        assert!(press(stage, "赵磊", "approve").await?.says().contains("到时间自动发送"));
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.starts_with("已定时") && card.text.contains(&at), "{}", card.text);
        let id = Stage::id_on(&card);
        let listed = stage.ask("林悦", "/list scheduled").await?;
        assert!(listed.text.contains(&id) && listed.text.contains(&format!("定于 {at}")), "{}", listed.text);
        assert!(stage.ask("林悦", &format!("/status {id}")).await?.text.contains(&at));

        stage.later(2 * HOUR + 55 * MINUTE).await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("分钟开始发送"), "it counts down: {}", card.text);
        assert_eq!((copies(stage, "陈晨"), stage.tenant.calls_to("batch_send").len()), (0, 0));
        stage.later(6 * MINUTE).await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        assert!(stage.card_of("王芳")?.text.starts_with("已发送"));
        assert!(!stage.ask("林悦", "/list scheduled").await?.text.contains(&id));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn times_that_are_none_are_refused_with_the_reason() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        for (typed, why) in [
            ("很快", "没有看懂这个时间"),
            ("2020-01-01 09:05", "已经过去了"),
            ("2062-01-01 09:05", "最多提前一年"),
            ("2027-02-30 09:05", "没有看懂这个时间"),
        ] {
            let said = stage.ask("王芳", &format!("/broadcast --at \"{typed}\" {to} 开会")).await?;
            assert!(said.text.contains(why) && said.text.contains("没有发起群发"), "{typed}: {}", said.text);
        }
        let english = stage.ask("王芳", &format!("/broadcast --at soon {to} all hands at three")).await?;
        assert!(english.text.contains("That is no time I can read"), "{}", english.text);
        let crowded = format!("{} 10:30", written(stage, 48 * HOUR).split(' ').next().expect("a day"));
        stage.propose("王芳", &format!("/broadcast --at \"{crowded}\" {to} 开会")).await?;
        assert!(stage.card_of("王芳")?.text.contains("整点和半点飞书最忙"));
        let dry = stage.propose("王芳", &format!("/broadcast --at \"{crowded}\" --dry-run {to} 试试")).await?;
        assert!(dry.text.contains("试运行") && dry.text.contains(&crowded), "{}", dry.text);
        press(stage, "赵磊", "approve").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_clock_of_the_deployment_decides_what_is_skipped_and_what_comes_twice() {
    story_with(&[("TIMEZONE", "Europe/Berlin")], crate::sandbox::Company::small(), async |stage| {
        let to = stage.person("陈晨").open_id;
        let zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone of the database");
        let now = jiff::Timestamp::from_millisecond(stage.bot.app.now().0)?;
        // The next two changes of the clock, whenever this is run.
        for change in zone.following(now).take(2) {
            let shown = change.timestamp().to_zoned_datetime(zone.clone());
            let day = shown.strftime("%Y-%m-%d").to_string();
            let said = stage.ask("王芳", &format!("/broadcast --at \"{day} 02:30\" {to} 开会")).await?;
            let forward = shown.hour() == 3;
            let why = if forward { "这个时间不存在" } else { "会出现两次" };
            assert!(said.text.contains(why), "{day}: {}", said.text);
            if !forward {
                let second = format!("{day}T02:30+01:00");
                assert!(said.text.contains(&second), "{}", said.text);
                let card = stage.propose("王芳", &format!("/broadcast --at {second} {to} 第二次两点半")).await?;
                assert!(card.text.contains(&format!("{day} 02:30")), "{}", card.text);
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_time_chosen_on_the_card_is_another_question_to_the_approvers() {
    story(async |stage| {
        let at = scheduled(stage, 3 * HOUR, "换个时间").await?;
        let old = stage.card_of("赵磊")?;
        let later = written(stage, 5 * HOUR);
        let pressed = press(stage, "王芳", Press::action("schedule").option(&format!("{later} +0800"))).await?;
        assert!(pressed.says().contains(&later), "{}", pressed.says());
        let outdated = stage.person("赵磊").presses(&old, "approve").await.map_err(anyhow::Error::msg)?;
        assert!(outdated.says().contains("不是最新"), "{}", outdated.says());
        stage.settle().await?;
        let card = stage.card_of("赵磊")?;
        assert!(card.text.contains(&later) && !card.text.contains(&at), "{}", card.text);

        let past = press(stage, "王芳", Press::action("schedule").option("2020-01-01 09:05 +0800")).await?;
        assert!(past.says().contains("已经过去了"), "{}", past.says());
        assert!(stage.card_of("王芳")?.text.contains(&later));
        assert!(press(stage, "王芳", "schedule").await?.says().contains("已取消定时"));
        stage.settle().await?;
        assert!(!stage.card_of("赵磊")?.text.contains("定时"));
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}

/// What a person was told of an approval of theirs that does not count any more.
fn voided(stage: &Stage, name: &str) -> Vec<String> {
    let chat = stage.person(name).chat();
    let said = chat.iter().filter(|message| message.from_bot && message.msg_type == "text");
    said.filter(|message| message.text.contains("已作废")).map(|message| message.text.clone()).collect()
}

#[tokio::test]
async fn who_had_approved_another_time_hears_of_it_and_is_asked_again() {
    story_with(&[("APPROVALS_REQUIRED", "2")], three_approvers(), async |stage| {
        let at = scheduled(stage, 3 * HOUR, "改到晚上").await?;
        let id = Stage::id_on(&stage.card_of("王芳")?);
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert!(stage.card_of("赵磊")?.text.contains("1/2"), "{}", stage.card_of("赵磊")?.text);

        // The same time again is no other time.
        let same = press(stage, "王芳", Press::action("schedule").option(&format!("{at} +0800"))).await?;
        assert!(same.says().contains("时间没有变化"), "{}", same.says());
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("1/2"), "{}", stage.card_of("王芳")?.text);

        let later = written(stage, 5 * HOUR);
        let pressed = press(stage, "王芳", Press::action("schedule").option(&format!("{later} +0800"))).await?;
        assert!(
            pressed.says().contains(&later) && pressed.says().contains("之前 1 人的通过作废"),
            "{}",
            pressed.says()
        );
        stage.settle().await?;
        for name in ["王芳", "赵磊", "周明", "何静"] {
            let card = stage.card_of(name)?;
            assert!(card.text.contains("还没有人通过") && card.text.contains("发送时间在"), "{name}: {}", card.text);
            let void = card.content.to_string();
            assert!(void.contains("**已作废**") && void.contains(&stage.person("赵磊").open_id), "{name}");
        }
        assert!(actions(stage, "赵磊").contains(&"approve".to_owned()));
        let told = voided(stage, "赵磊");
        assert_eq!(told.len(), 1, "{told:?}");
        for words in [&format!("群发 {id} 的发送时间由 {at}"), &format!("改为 {later}"), "is void"] {
            assert!(told[0].contains(words), "{words}: {told:?}");
        }
        for name in ["周明", "何静", "王芳"] {
            assert!(voided(stage, name).is_empty(), "{name} had not approved");
        }
        // Without a time, and who has approved again is told again.
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert!(!stage.card_of("赵磊")?.content.to_string().contains("**已作废**"));
        press(stage, "王芳", "schedule").await?;
        stage.settle().await?;
        let told = voided(stage, "赵磊");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].contains(&later) && told[1].contains("改为 「通过后立即发送」"), "{told:?}");
        for name in ["赵磊", "何静"] {
            press(stage, name, "approve").await?;
            stage.settle().await?;
        }
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn until_its_time_it_can_be_stopped_by_author_and_approvers() {
    story(async |stage| {
        for who in ["王芳", "周明"] {
            scheduled(stage, HOUR, "先别发").await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            match who {
                "王芳" => press(stage, who, "cancel").await?,
                _ => press(stage, who, Press::action("reject").field("reason", "数字不对")).await?,
            };
            stage.later(2 * HOUR).await?;
            let card = stage.card_of("王芳")?;
            let word = if who == "王芳" { "已取消" } else { "已叫停" };
            assert!(card.text.starts_with(word), "{}", card.text);
        }
        assert!(stage.card_of("王芳")?.text.contains("数字不对"));
        assert!(stage.tenant.calls_to("batch_send").is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn nobody_decides_about_a_time_that_is_over() {
    story(async |stage| {
        scheduled(stage, HOUR, "没人批").await?;
        stage.later(HOUR + 11 * MINUTE).await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.starts_with("已过期"), "{}", card.text);
        assert!(stage.tenant.calls_to("batch_send").is_empty());
        Ok(())
    })
    .await;
}

/// Ten minutes late is a restart; more is another question.
#[tokio::test]
async fn what_was_missed_by_more_than_ten_minutes_asks_its_author() {
    story(async |stage| {
        for (away, sent) in [(HOUR + 5 * MINUTE, 1), (HOUR + 12 * MINUTE, 0)] {
            scheduled(stage, HOUR, "停机的时候到点").await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            let before = copies(stage, "陈晨");
            stage.bot.stop().await;
            stage.tenant.later(away).await;
            stage.restart().await?;
            stage.settle().await?;
            assert_eq!(copies(stage, "陈晨") - before, sent, "after {away:?}");
        }
        let card = stage.card_of("王芳")?;
        assert!(card.text.starts_with("已暂停"), "{}", card.text);
        assert_eq!(actions(stage, "王芳"), ["confirm", "cancel"]);
        assert!(press(stage, "王芳", "confirm").await?.says().contains("继续发送"));
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 2);
        Ok(())
    })
    .await;
}

/// An absence that is over before its time has delayed nothing.
#[tokio::test]
async fn an_absence_before_its_time_asks_nobody() {
    story(async |stage| {
        scheduled(stage, 3 * HOUR, "夜里停过").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        stage.bot.stop().await;
        stage.tenant.later(2 * HOUR).await;
        stage.restart().await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.starts_with("已定时"), "{}", stage.card_of("王芳")?.text);
        stage.later(HOUR + MINUTE).await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}
