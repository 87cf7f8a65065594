//! Somebody without a role: one polite line, and nothing else of them anywhere.

use std::time::Duration;

use feishu_broadcast::app::stranger;
use feishu_broadcast::feishu::event::{Event, EventKind};
use serde_json::json;

use super::{answers_to, assert_not_on_disk};
use crate::sandbox::{ChatMessage, Company};
use crate::stage::{Stage, story, story_with};

/// Waits until another stranger, who wrote later, has their line: whatever was going to be said before is said.
async fn until_said(stage: &Stage, canary: &str) -> anyhow::Result<()> {
    assert_eq!(stage.person(canary).says("hello").await.status, 200);
    stage.person(canary).next_message().await.map_err(anyhow::Error::msg)?;
    Ok(())
}

/// What the bot wrote into a group.
fn in_group(stage: &Stage, chat_id: &str) -> Vec<ChatMessage> {
    stage.tenant.chat_messages(chat_id).into_iter().filter(|message| message.from_bot).collect()
}

#[tokio::test]
async fn a_stranger_gets_one_line_an_hour_with_their_open_id_and_leaves_no_trace() {
    story(async |stage| {
        let chen = stage.person("陈晨");
        let pushed = chen.says("/broadcast 销售部 绝密的话").await;
        assert_eq!(pushed.status, 200);
        assert!(pushed.elapsed < Duration::from_secs(3));
        let line = chen.next_message().await.map_err(anyhow::Error::msg)?;
        assert!(line.text.contains(&chen.open_id), "{}", line.text);
        assert!(!line.text.contains('\n'), "one line: {}", line.text);

        for again in ["/help", "/whoami", "/departments 绝密", "在吗"] {
            assert_eq!(chen.says(again).await.status, 200);
        }
        stage.later(Duration::from_secs(58 * 60)).await?;
        assert_eq!(chen.says("/status").await.status, 200);
        until_said(stage, "刘洋").await?;
        assert_eq!(answers_to(stage, "陈晨"), 1, "within the hour");

        stage.later(Duration::from_secs(3 * 60)).await?;
        assert_eq!(chen.says("hello").await.status, 200);
        let line = chen.next_message().await.map_err(anyhow::Error::msg)?;
        assert!(line.text.contains(&chen.open_id), "{}", line.text);
        assert_eq!(answers_to(stage, "陈晨"), 2, "after the hour");

        let looked_up: Vec<String> = stage.tenant.calls().into_iter().map(|call| call.endpoint).collect();
        assert!(looked_up.iter().all(|call| ["token", "messages.create"].contains(&call.as_str())), "{looked_up:?}");
        assert_not_on_disk(stage, &["绝密", &chen.open_id, &chen.chat_id(), &pushed.event_id]).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_stranger_who_cannot_be_answered_still_leaves_the_event_acknowledged() {
    story(async |stage| {
        stage.tenant.fault(crate::sandbox::Fault::code("messages.create", 400, 230_013));
        assert_eq!(stage.person("陈晨").says("hello").await.status, 200);
        // The fault strikes the first answer, whoever it is for.
        for _ in 0..250 {
            if !stage.tenant.calls_to("messages.create").is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        until_said(stage, "刘洋").await?;
        assert_eq!(answers_to(stage, "陈晨"), 0);
        assert_not_on_disk(stage, &[&stage.person("陈晨").open_id]).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn in_a_group_a_stranger_is_answered_only_when_the_bot_is_mentioned() {
    story(async |stage| {
        let group = stage.tenant.group("项目群").chat_id;
        let bot = stage.tenant.with(|world| world.company.bot_name.clone());
        let chen = stage.person("陈晨");
        // With the scope for every group message, the bot hears what is not meant for it.
        for (text, mentions) in [("大家好", vec![]), ("@王芳 你好", vec!["王芳"]), ("@_all 开会", vec![])] {
            let event = chen.writes(&group, "text", &json!({"text": text}), &mentions, None);
            assert_eq!(stage.tenant.push(&event).await.status, 200);
        }
        until_said(stage, "刘洋").await?;
        assert!(in_group(stage, &group).is_empty(), "nobody asked the bot");

        let pushed = chen.says_in_group(&group, &format!("@{bot} /help"), &[]).await.expect("the bot is mentioned");
        assert_eq!(pushed.status, 200);
        for _ in 0..250 {
            if !in_group(stage, &group).is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let said = in_group(stage, &group);
        assert_eq!(said.len(), 1);
        assert!(said[0].text.contains(&chen.open_id), "{}", said[0].text);

        chen.says_in_group(&group, &format!("@{bot} /help"), &[]).await.expect("the bot is mentioned");
        assert_eq!(chen.says("/help").await.status, 200);
        until_said(stage, "马超").await?;
        assert_eq!(in_group(stage, &group).len(), 1, "once an hour, wherever they ask");
        assert_eq!(answers_to(stage, "陈晨"), 0, "once an hour, wherever they ask");
        assert_not_on_disk(stage, &[&chen.open_id]).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn in_a_group_an_admin_is_heard_only_when_the_bot_is_mentioned() {
    story(async |stage| {
        let group = stage.tenant.group("项目群").chat_id;
        let bot = stage.tenant.with(|world| world.company.bot_name.clone());
        for text in ["/whoami", "@_all /whoami"] {
            let event = stage.person("王芳").writes(&group, "text", &json!({"text": text}), &[], None);
            assert_eq!(stage.tenant.push(&event).await.status, 200);
        }
        stage.settle().await?;
        assert!(in_group(stage, &group).is_empty());
        stage.person("王芳").says_in_group(&group, &format!("@{bot} /whoami"), &[]).await.expect("mentioned");
        stage.settle().await?;
        assert_eq!(in_group(stage, &group).len(), 1);
        Ok(())
    })
    .await;
}

/// Who the bot is has to be asked once, and a group hears nothing from it before.
#[tokio::test]
async fn in_a_group_a_command_waits_until_the_bot_knows_its_name() {
    // An app token refused, renewed and refused again; a scope that nobody has granted yet.
    for code in [99_991_663, 99_991_672] {
        story(async |stage| {
            let group = stage.tenant.group("项目群").chat_id;
            let bot = stage.tenant.with(|world| world.company.bot_name.clone());
            stage.tenant.fault(crate::sandbox::Fault::code("bot_info", 400, code).times(4));
            stage.person("王芳").says_in_group(&group, &format!("@{bot} /whoami"), &[]).await.expect("mentioned");
            for _ in 0..10 {
                stage.later(Duration::from_secs(60)).await?;
            }
            assert_eq!(in_group(stage, &group).len(), 1, "{code}: a command was lost without a word");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_crowd_of_strangers_is_answered_a_few_at_a_time() {
    let names: Vec<String> = (0..40).map(|number| format!("路人{number:02}")).collect();
    let company = names.iter().fold(Company::small(), |company, name| company.person(name, &["工厂"]));
    story_with(&[], company, async |stage| {
        let answered = || names.iter().filter(|name| answers_to(stage, name) > 0).count();
        for name in &names {
            let event = stage.person(name).text_event("hello").body.to_string();
            let EventKind::Message(message) = Event::parse(event.as_bytes())?.kind else { anyhow::bail!("no message") };
            stranger::answer(&stage.bot.app, message);
        }
        for _ in 0..250 {
            if answered() >= 32 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        until_said(stage, "刘洋").await?;
        assert_eq!(answered(), 32, "the others are passed over");
        let left = names.iter().find(|name| answers_to(stage, name) == 0).expect("eight are left");
        assert_eq!(stage.person(left).says("hello").await.status, 200);
        stage.person(left).next_message().await.map_err(anyhow::Error::msg)?;
        Ok(())
    })
    .await;
}
