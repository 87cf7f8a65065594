//! Presses nobody should be able to make, or make twice; and a ledger changed behind the bot's back.

use serde_json::{Value, json};
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, Connection};

use super::{HOUR, actions, press, proposal, three_approvers};
use crate::sandbox::{Company, Fault, Press, When, Wire};
use crate::stage::{Stage, story, story_with};

fn approve(id: &str, version: i64) -> Value {
    json!({ "action": "approve", "broadcast": id, "version": version })
}

/// Brings everything to rest and counts what went out.
async fn sent(stage: &Stage) -> anyhow::Result<usize> {
    stage.later(HOUR).await?;
    Ok(stage.tenant.tasks().len())
}

#[tokio::test]
async fn two_presses_at_once_are_one_dispatch() {
    story_with(&[], three_approvers(), async |stage| {
        proposal(stage, "王芳", "一次就好").await?;
        let cards =
            [("赵磊", stage.card_of("赵磊")?), ("周明", stage.card_of("周明")?), ("何静", stage.card_of("何静")?)];
        let mut presses = vec![];
        for (name, card) in &cards {
            for _ in 0..2 {
                let person = stage.person(name);
                presses.push(async move { person.presses(card, "approve").await });
            }
        }
        let toasts = futures_util::future::join_all(presses).await;
        let mut welcomed = 0;
        for pressed in toasts {
            let pressed = pressed.map_err(anyhow::Error::msg)?;
            assert_eq!(pressed.status, 200);
            match pressed.toast.as_ref().map(|toast| toast.kind.as_str()) {
                Some("success") => welcomed += 1,
                _ => assert!(pressed.says().contains("来晚了"), "{}", pressed.says()),
            }
        }
        assert_eq!(welcomed, 1, "one of them decided");
        assert_eq!(sent(stage).await?, 1);
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn approving_and_rejecting_at_once_is_one_or_the_other() {
    story(async |stage| {
        proposal(stage, "王芳", "二选一").await?;
        let (yes, no) = (stage.person("赵磊"), stage.person("周明"));
        let (card, other) = (stage.card_of("赵磊")?, stage.card_of("周明")?);
        let (yes, no) = tokio::join!(yes.presses(&card, "approve"), no.presses(&other, "reject"));
        let (yes, no) = (yes.map_err(anyhow::Error::msg)?, no.map_err(anyhow::Error::msg)?);
        let approved = yes.says().contains("已通过");
        assert_ne!(approved, no.says().contains("已驳回"), "{} / {}", yes.says(), no.says());
        assert_eq!(sent(stage).await?, usize::from(approved));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_same_push_again_changes_nothing() {
    story_with(&[("APPROVALS_REQUIRED", "2")], three_approvers(), async |stage| {
        proposal(stage, "王芳", "推两遍").await?;
        let card = stage.card_of("赵磊")?;
        let (event, _) = stage
            .person("赵磊")
            .press_event(&card.message_id, &Press::action("approve"))
            .map_err(anyhow::Error::msg)?;
        let first = stage.tenant.push_press(&event).await;
        assert!(first.says().contains("还需要 1 人"), "{}", first.says());
        let second = stage.tenant.push_press(&event).await;
        assert!(second.says().contains("已经收到过"), "{}", second.says());
        // The same bytes on the other route, and after a restart.
        stage.restart().await?;
        let third = stage.tenant.push_press(&event).await;
        assert!(third.says().contains("已经收到过"), "{}", third.says());
        assert_eq!(sent(stage).await?, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn values_that_were_tampered_with_do_nothing() {
    story(async |stage| {
        let card = proposal(stage, "王芳", "别动").await?;
        let id = Stage::id_on(&card);
        let other = Stage::id_on(&proposal(stage, "林悦", "另一条").await?);
        let seen = stage.person("赵磊").chat().into_iter().find(|m| m.text.contains("别动")).expect("the card");
        let values = [
            (json!("approve"), "不认识"),
            (json!({}), "不认识"),
            (json!(null), "不认识"),
            (json!([1, 2]), "不认识"),
            (json!({ "action": "approve" }), "不认识"),
            (json!({ "action": "approve", "broadcast": id }), "不认识"),
            (json!({ "action": "Approve", "broadcast": id, "version": 1 }), "不认识"),
            (json!({ "action": "delete", "broadcast": id, "version": 1 }), "不认识"),
            (json!({ "action": "approve", "broadcast": id, "version": "1" }), "不认识"),
            (json!({ "action": "approve", "broadcast": id, "version": 1.5 }), "不认识"),
            (json!({ "action": "approve", "broadcast": "'; drop table broadcasts; --", "version": 1 }), "不认识"),
            (json!({ "action": "approve", "broadcast": "AAAAAA", "version": 1 }), "没有编号"),
            (approve(&id, 0), "不是最新"),
            (approve(&id, 2), "不是最新"),
            (approve(&id, -1), "不是最新"),
            (approve(&id, i64::MAX), "不是最新"),
            (json!({ "action": "resend", "broadcast": id, "version": 1 }), "只有发起人"),
        ];
        for (value, why) in values {
            let pressed = stage.person("赵磊").presses_raw(&seen, value.clone()).await;
            assert_eq!(pressed.status, 200, "{value}");
            assert!(pressed.says().contains(why), "{value}: {}", pressed.says());
        }
        for action in ["resend", "settle"] {
            let value = json!({ "action": action, "broadcast": id, "version": 1 });
            let pressed = stage.person("王芳").presses_raw(&card, value).await;
            assert!(pressed.says().contains("没有结果未知的批次"), "{action}: {}", pressed.says());
        }
        for action in ["confirm", "recall", "pick"] {
            let value = json!({ "action": action, "broadcast": id, "version": 1 });
            let pressed = stage.person("王芳").presses_raw(&card, value).await;
            assert!(!pressed.says().is_empty(), "{action}");
        }
        assert_eq!(sent(stage).await?, 0);
        // A value that names another broadcast decides about that one, for one who may: what it says is what counts.
        stage.person("赵磊").presses_raw(&seen, approve(&other, 1)).await;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox()[0].text, "另一条");
        assert_eq!(stage.tenant.tasks().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_press_on_an_outdated_card_changes_nothing_and_brings_it_up_to_date() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 客服部 换班").await?;
        let id = Stage::id_on(&card);
        let chosen = stage.tenant.company().at("华东/客服部").expect("is there").open_department_id.clone();
        press(stage, "王芳", Press::action("pick").option(&chosen)).await?;
        stage.settle().await?;
        let edits = stage.card_of("王芳")?.edits;

        // The author's client shows the card of before the choice: its cancel is about something else.
        let old = json!({ "action": "cancel", "broadcast": id, "version": 1 });
        let pressed = stage.person("王芳").presses_raw(&card, old).await;
        assert!(pressed.says().contains("不是最新"), "{}", pressed.says());
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("待审批"), "{}", card.text);
        assert!(card.edits > edits, "the card was not brought up to date");

        let asked = stage.card_of("赵磊")?;
        let pressed = stage.person("赵磊").presses_raw(&asked, approve(&id, 1)).await;
        assert!(pressed.says().contains("不是最新"), "{}", pressed.says());
        stage.settle().await?;
        assert!(stage.card_of("赵磊")?.edits > asked.edits);
        assert_eq!(sent(stage).await?, 0);
        press(stage, "赵磊", "approve").await?;
        assert_eq!(sent(stage).await?, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_forwarded_card_decides_no_more_than_its_original() {
    story(async |stage| {
        let card = proposal(stage, "王芳", "转发").await?;
        let id = Stage::id_on(&card);
        // Into a group, where the press carries another message and another chat.
        let group = stage.tenant.group("项目群").chat_id;
        stage.person("周明").says_in_group(&group, "@群发助手 /whoami", &[]).await;
        stage.settle().await?;
        let elsewhere = stage.tenant.chat_messages(&group).pop().expect("a message in the group");
        for (who, why) in [("陈晨", "只为管理员"), ("王芳", "只有审批人")] {
            let pressed = stage.person(who).presses_raw(&elsewhere, approve(&id, 1)).await;
            assert!(pressed.says().contains(why), "{who}: {}", pressed.says());
        }
        let pressed = stage.person("周明").presses_raw("om_of_a_forwarded_copy", approve(&id, 1)).await;
        assert!(pressed.says().contains("已通过"), "{}", pressed.says());
        assert_eq!(sent(stage).await?, 1);
        let pressed = stage.person("赵磊").presses_raw(&elsewhere, approve(&id, 1)).await;
        assert!(pressed.says().contains("来晚了"), "{}", pressed.says());
        assert_eq!(sent(stage).await?, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_card_that_cannot_be_changed_any_more_is_sent_afresh() {
    story(async |stage| {
        proposal(stage, "王芳", "换一张").await?;
        let old = stage.card_of("王芳")?;
        stage.tenant.with(|world| {
            world.message_mut(&old.message_id).expect("the card").deleted = true;
        });
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let fresh = stage.card_of("王芳")?;
        assert_ne!(fresh.message_id, old.message_id);
        assert!(fresh.text.contains("已发送"), "{}", fresh.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn cards_that_feishu_refuses_for_the_moment_come_later() {
    story(async |stage| {
        stage.tenant.fault(Fault::wire("messages.create", When::AfterAccept, Wire::Drop));
        stage.tenant.fault(Fault::rate("messages.patch", 1));
        proposal(stage, "王芳", "慢慢来").await?;
        stage.later(HOUR / 60).await?;
        for name in ["王芳", "赵磊", "周明"] {
            let cards = stage.person(name).chat().into_iter().filter(|message| message.card.is_some()).count();
            assert_eq!(cards, 1, "{name} has {cards} cards");
        }
        press(stage, "赵磊", "approve").await?;
        stage.later(HOUR / 60).await?;
        for name in ["王芳", "赵磊", "周明"] {
            assert!(stage.card_of(name)?.text.contains("已发送"), "{name}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn who_lost_the_role_decides_no_more() {
    story_with(&[], three_approvers(), async |stage| {
        proposal(stage, "王芳", "角色变了").await?;
        let ids = |names: &[&str]| names.iter().map(|name| stage.person(name).open_id).collect::<Vec<_>>().join(",");
        let (admins, approvers) = (ids(&["林悦"]), ids(&["何静"]));
        let settings = [("BROADCAST_ADMINS", admins.as_str()), ("BROADCAST_APPROVERS", approvers.as_str())];
        let card = stage.card_of("赵磊")?;
        stage.restart_with(&settings).await?;
        let pressed = stage.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
        assert!(pressed.says().contains("只为管理员和审批人"), "{}", pressed.says());
        // Who has no role left is a stranger, also to what they asked for themselves.
        let own = stage.card_of("王芳")?;
        let pressed = stage.person("王芳").presses(&own, "cancel").await.map_err(anyhow::Error::msg)?;
        assert!(pressed.says().contains("只为管理员和审批人"), "{}", pressed.says());
        assert_eq!(sent(stage).await?, 0);
        stage.later(24 * HOUR).await?;
        assert!(stage.card_of("王芳")?.text.contains("已过期"));
        Ok(())
    })
    .await;
}

/// Changes the ledger through the file, as nobody should.
async fn behind_the_back(file: &std::path::Path, statement: &'static str) -> anyhow::Result<u64> {
    install_default_drivers();
    let mut connection = AnyConnection::connect(&format!("sqlite://{}", file.display())).await?;
    let done = sqlx::query(statement).execute(&mut connection).await?;
    connection.close().await?;
    Ok(done.rows_affected())
}

/// A story in which somebody changes the store between the approval and the sending.
async fn tampered(statement: &'static str) {
    let data = tempfile::tempdir().expect("a directory");
    let file = data.path().join("tampered.db");
    let url = format!("sqlite://{}", file.display());
    let mut company = Company::small();
    for number in 0..250 {
        company = company.person(&format!("员工{number:03}"), &["工厂"]);
    }
    story_with(&[("DATABASE_URL", &url)], company, async |stage| {
        let ids: Vec<String> = (0..250).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
        stage.propose("王芳", &format!("/broadcast {} 批准的内容", ids.join(","))).await?;
        press(stage, "赵磊", "approve").await?;
        assert!(behind_the_back(&file, statement).await? > 0, "nothing was changed");
        stage.settle().await?;
        assert!(stage.tenant.tasks().is_empty(), "something was sent that nobody approved");
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("发送失败"), "{}", card.text);
        let told = stage.person("王芳").chat().into_iter().rfind(|m| m.msg_type == "text").expect("the author is told");
        assert!(told.text.contains("没有发出去") && told.text.contains("批准的不一致"), "{}", told.text);
        assert!(!actions(stage, "赵磊").contains(&"approve".to_owned()));
        // Others are not held up by it.
        proposal(stage, "林悦", "没有问题的").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn targets_changed_after_the_approval_are_not_sent_to() {
    tampered(r#"update batches set targets = '{"department_ids":["od-someone-else"]}' where seq = 1"#).await;
}

#[tokio::test]
async fn a_batch_added_after_the_approval_is_not_sent() {
    tampered(
        "insert into batches (broadcast, seq, state, targets, ids, digest, not_before, outcome)
         select broadcast, 3, 'planned', '{\"open_ids\":[\"ou_stranger\"]}', 1, digest, 0, outcome from batches where seq = 1",
    )
    .await;
}

#[tokio::test]
async fn content_changed_after_the_approval_is_not_sent() {
    tampered("update broadcasts set doc = replace(doc, '批准的内容', '别的内容')").await;
}

#[tokio::test]
async fn a_later_batch_changed_under_way_does_not_leave() {
    let data = tempfile::tempdir().expect("a directory");
    let file = data.path().join("tampered.db");
    let url = format!("sqlite://{}", file.display());
    let mut company = Company::small();
    for number in 0..250 {
        company = company.person(&format!("员工{number:03}"), &["工厂"]);
    }
    story_with(&[("DATABASE_URL", &url)], company, async |stage| {
        let ids: Vec<String> = (0..250).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
        stage.propose("王芳", &format!("/broadcast {} 批准的内容", ids.join(","))).await?;
        press(stage, "赵磊", "approve").await?;
        feishu_broadcast::app::dispatch::step(&stage.bot.app).await?;
        let stranger = r#"update batches set targets = replace(targets, 'ou_', 'ou_f') where state = 'planned'"#;
        assert_eq!(behind_the_back(&file, stranger).await?, 1);
        stage.settle().await?;
        assert_eq!(stage.tenant.tasks().len(), 1);
        assert!(stage.card_of("王芳")?.text.contains("部分发送"), "{}", stage.card_of("王芳")?.text);
        Ok(())
    })
    .await;
}
