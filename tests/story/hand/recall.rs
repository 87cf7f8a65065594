//! A command that is taken back: what came of it and has not left is cancelled, whenever the recall arrives; what has
//! left stays, and its author is told so.

use std::time::Duration;

use anyhow::ensure;
use feishu_broadcast::app::inbox;
use feishu_broadcast::domain::ids::BroadcastId;
use feishu_broadcast::store::StoreError;
use feishu_broadcast::store::broadcasts::Which;
use serde_json::json;

use super::{once, told};
use crate::approve::{HOUR, actions, press, proposal};
use crate::sandbox::{Company, Fault, When, Wire};
use crate::stage::{Stage, story, story_with};

async fn recalled_by(stage: &Stage, message_id: &str, by: &str) -> anyhow::Result<()> {
    let body = json!({ "message_id": message_id, "chat_id": "oc_1", "recall_time": "1", "recall_type": by });
    ensure!(stage.tenant.push_event("im.message.recalled_v1", body).await.status == 200, "not acknowledged");
    Ok(())
}

async fn stored(stage: &Stage) -> anyhow::Result<usize> {
    Ok(stage.bot.app.store.recent(None, Which::All).await?.len())
}

#[tokio::test]
async fn a_recalled_command_cancels_what_is_pending_whoever_recalled_it() {
    story_with(&[("APPROVALS_REQUIRED", "2")], crate::approve::three_approvers(), async |stage| {
        for (words, by) in [("作者撤回", "message_owner"), ("群主撤回", "group_owner")] {
            proposal(stage, "王芳", words).await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            let asked = stage.card_of("何静")?;
            let said = stage.person("王芳").last_said().expect("the command");
            recalled_by(stage, &said.message_id, by).await?;
            stage.settle().await?;
            for name in ["王芳", "赵磊", "周明", "何静"] {
                let card = stage.card_of(name)?;
                assert!(
                    card.text.contains("已取消") && card.text.contains("命令消息被撤回了"),
                    "{name}: {}",
                    card.text
                );
                assert!(actions(stage, name).is_empty(), "{name}");
            }
            let id = Stage::id_on(&asked);
            once(stage, "王芳", &format!("所以群发 {id} 已取消，没有发送"));
            // Feishu says it again, the machine restarts, an approver's client is behind.
            recalled_by(stage, &said.message_id, by).await?;
            stage.restart().await?;
            recalled_by(stage, &said.message_id, "enterprise_manager").await?;
            let late = json!({ "action": "approve", "broadcast": id, "version": 1 });
            let late = stage.person("何静").presses_raw(&asked, late).await;
            assert!(late.says().contains("来晚了"), "{}", late.says());
            stage.later(HOUR).await?;
            once(stage, "王芳", &format!("所以群发 {id} 已取消，没有发送"));
        }
        assert!(stage.tenant.tasks().is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_recall_before_the_command_or_in_the_middle_of_it_wins() {
    story(async |stage| {
        let wang = stage.person("王芳");
        let to = stage.person("陈晨").open_id;
        // Before: the events came in the wrong order.
        let event = wang.text_event(&format!("/broadcast {to} 先撤后到"));
        let said = event.body["event"]["message"]["message_id"].as_str().expect("an id").to_owned();
        recalled_by(stage, &said, "message_owner").await?;
        stage.settle().await?;
        stage.tenant.push(&event).await;
        stage.tenant.push(&event.clone().with_event_id("ev-again")).await;
        stage.settle().await?;
        // Both at once, and nobody has looked yet.
        let event = wang.text_event(&format!("/broadcast {to} 同时到"));
        let said = event.body["event"]["message"]["message_id"].as_str().expect("an id").to_owned();
        stage.tenant.push(&event).await;
        recalled_by(stage, &said, "message_owner").await?;
        stage.settle().await?;
        assert_eq!(stored(stage).await?, 0);

        // In the middle: somebody is at it, and whatever they have found out comes to nothing.
        let event = wang.text_event(&format!("/broadcast {to} 正在办"));
        let said = event.body["event"]["message"]["message_id"].as_str().expect("an id").to_owned();
        stage.tenant.push(&event).await;
        let (store, now) = (&stage.bot.app.store, stage.bot.app.now());
        let claim = store.claim_event(now, now.after(HOUR)).await?.expect("the command");
        recalled_by(stage, &said, "message_owner").await?;
        stage.settle().await?;
        once(stage, "王芳", "命令已被撤回，没有执行");
        let mut tx = store.begin().await?;
        assert!(matches!(tx.finish_event(&claim).await, Err(StoreError::Conflict)), "the work comes through");
        drop(tx);

        // It is tried again later, and its author has been told so.
        stage.tenant.fault(Fault::wire("departments.batch", When::BeforeAccept, Wire::Html502).times(1000));
        let market = stage.tenant.with(|world| world.company.at("市场部").expect("there").open_department_id.clone());
        wang.says(&format!("/broadcast {market} 飞书没有答复")).await;
        stage.settle().await?;
        once(stage, "王芳", "我会继续尝试");
        wang.recalls(&wang.last_said().expect("the command")).await;
        stage.settle().await?;
        stage.tenant.clear_faults();
        stage.later(HOUR).await?;
        assert_eq!(told(stage, "王芳", "命令已被撤回，没有执行").len(), 2);
        assert_eq!(stored(stage).await?, 0);

        // It waits for a login, which comes too late for it.
        wang.says("/broadcast 销售部 等授权").await;
        stage.settle().await?;
        let login = stage.card_of("王芳")?;
        wang.recalls(&wang.last_said().expect("the command")).await;
        stage.settle().await?;
        assert_eq!(told(stage, "王芳", "命令已被撤回，没有执行").len(), 3);
        stage.follow_login(&login, "王芳").await?;
        stage.later(HOUR).await?;
        assert_eq!(stored(stage).await?, 0);
        assert!(told(stage, "王芳", "一小时内没有授权").is_empty());

        // Namesakes are still to be chosen among.
        stage.propose("王芳", "/broadcast 客服部 换班").await?;
        wang.recalls(&wang.last_said().expect("the command")).await;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("已取消") && actions(stage, "王芳").is_empty());
        assert!(stage.person("赵磊").last_card().is_none() && stage.tenant.tasks().is_empty());
        Ok(())
    })
    .await;
}

/// Whoever works on recalls is late: the next try of the command meets the recall first.
#[tokio::test]
async fn a_command_that_is_tried_again_finds_its_recall_and_says_so() {
    story(async |stage| {
        let wang = stage.person("王芳");
        stage.tenant.fault(Fault::wire("departments.batch", When::BeforeAccept, Wire::Html502).times(1000));
        let market = stage.tenant.with(|world| world.company.at("市场部").expect("there").open_department_id.clone());
        wang.says(&format!("/broadcast {market} 飞书没有答复")).await;
        stage.settle().await?;
        once(stage, "王芳", "我会继续尝试");
        wang.recalls(&wang.last_said().expect("the command")).await;
        stage.sql("update inbox set not_before = not_before + 1800000 where key like 'r:%'".into()).await?;
        stage.tenant.clear_faults();
        stage.later(Duration::from_secs(600)).await?;
        once(stage, "王芳", "命令已被撤回，没有执行");
        stage.later(HOUR).await?;
        once(stage, "王芳", "命令已被撤回，没有执行");
        assert_eq!(stored(stage).await?, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn once_it_has_begun_to_leave_the_author_is_told_what_a_recall_does_not_undo() {
    story_with(&[("APPROVALS_REQUIRED", "0")], Company::small(), async |stage| {
        let wang = stage.person("王芳");
        // Approved, and nothing has left: the machine is slower than its author.
        proposal(stage, "王芳", "还没走").await?;
        press(stage, "王芳", "approve").await?;
        wang.recalls(&wang.last_said().expect("the command")).await;
        while inbox::step(&stage.bot.app).await? == feishu_broadcast::app::Step::Worked {}
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("已取消") && stage.tenant.tasks().is_empty());

        // It has a time to leave, and that has not come.
        let (to, at) = (stage.person("陈晨").open_id, crate::schedule::written(stage, 3 * HOUR));
        stage.propose("王芳", &format!("/broadcast --at \"{at}\" {to} 以后再走")).await?;
        press(stage, "王芳", "approve").await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("已定时"));
        wang.recalls(&wang.last_said().expect("the command")).await;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("命令消息被撤回了"));
        assert!(stage.bot.app.store.recent(None, Which::Scheduled).await?.is_empty());

        // Half of it has left.
        let ids: Vec<String> = (0..201).map(|n| format!("ou_{n:032x}")).collect();
        let card = stage.propose("王芳", &format!("/broadcast {} 走了一半", ids.join(","))).await?;
        let id = Stage::id_on(&card);
        let half = Fault::on(
            "batch_send",
            crate::sandbox::Effect::Rate { throttle: crate::sandbox::faults::Throttle::Headers, reset_s: 600 },
        );
        stage.tenant.fault(half.after(1));
        press(stage, "王芳", "approve").await?;
        stage.settle().await?;
        wang.recalls(&wang.last_said().expect("the command")).await;
        stage.settle().await?;
        once(stage, "王芳", &format!("撤回命令消息不会撤回群发 {id}：共 2 批，已发出 1 批，1 批还没发完"));
        once(stage, "王芳", &format!("/cancel {id}\n撤回已发出的：/recall {id}"));
        assert!(stage.card_of("王芳")?.text.contains("发送中"), "nothing is undone by itself");
        stage.later(HOUR).await?;
        assert_eq!(stage.tenant.tasks().len(), 2);

        // All of it; and what ended unsent needs no word.
        proposal(stage, "王芳", "都走了").await?;
        press(stage, "王芳", "approve").await?;
        stage.settle().await?;
        let said = wang.last_said().expect("the command");
        wang.recalls(&said).await;
        recalled_by(stage, &said.message_id, "group_manager").await?;
        stage.settle().await?;
        once(stage, "王芳", "共 1 批，已发出 1 批。\n撤回已发出的：/recall");
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        proposal(stage, "王芳", "驳回的").await?;
        press(stage, "王芳", "reject").await?;
        wang.recalls(&wang.last_said().expect("the command")).await;
        stage.settle().await?;
        assert_eq!(told(stage, "王芳", "不会撤回群发").len(), 2);
        // Somebody else's words that never were a command.
        stage.tenant.person("陈晨").recalls("om_never_seen").await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_recall_and_an_approval_at_one_moment_leave_one_of_both() {
    story(async |stage| {
        let mut before = 0;
        for round in 0..6_u32 {
            let words = format!("同时{round}");
            let id = BroadcastId::parse(&Stage::id_on(&proposal(stage, "王芳", &words).await?)).expect("an id");
            let said = stage.person("王芳").last_said().expect("the command");
            let late = async {
                tokio::time::sleep(Duration::from_millis(u64::from(round))).await;
                stage.person("王芳").recalls(&said).await;
                inbox::step(&stage.bot.app).await
            };
            let (pressed, worked) = tokio::join!(press(stage, "赵磊", "approve"), late);
            let welcome = pressed?.says().contains("开始发送");
            worked?;
            stage.settle().await?;
            let arrived = stage.person("陈晨").inbox().len() - before;
            before += arrived;
            let ended = stage.bot.app.store.broadcast(&id).await?.expect("is stored");
            assert!(ended.state.is_settled(), "{:?}", ended.state);
            match ended.ending.is_some_and(|ending| ending.command_recalled) {
                true => assert_eq!(arrived, 0, "round {round}"),
                false => assert!(arrived == 1 && welcome, "round {round}: {arrived}"),
            }
            once(stage, "王芳", &format!("群发 {id}"));
        }
        Ok(())
    })
    .await;
}
