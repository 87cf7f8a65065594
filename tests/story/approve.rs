//! Nothing is sent without the approvals asked for, of exactly what was approved: who may press what, when, and what
//! everybody sees of it.

mod guard;

use std::time::Duration;

use feishu_broadcast::store::broadcasts::Which;
use serde_json::json;

use crate::sandbox::{ChatMessage, Company, Press, Pressed};
use crate::stage::{Stage, story, story_with};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A company with a third approver, 何静, who is nothing else.
pub(crate) fn three_approvers() -> Company {
    Company::small().person("何静", &["总经办"]).approver("何静")
}

/// A broadcast to one person, proposed and waiting; gives the author's card.
pub(crate) async fn proposal(stage: &Stage, author: &str, words: &str) -> anyhow::Result<ChatMessage> {
    let to = stage.person("陈晨").open_id;
    stage.propose(author, &format!("/broadcast {to} {words}")).await
}

/// Presses a card as this person sees it now.
pub(crate) async fn press(stage: &Stage, name: &str, press: impl Into<Press>) -> anyhow::Result<Pressed> {
    let card = stage.card_of(name)?;
    let pressed = stage.person(name).presses(&card, press).await.map_err(anyhow::Error::msg)?;
    anyhow::ensure!(pressed.status == 200, "the press was answered {}", pressed.status);
    anyhow::ensure!(pressed.elapsed < Duration::from_secs(3), "the toast took {:?}", pressed.elapsed);
    anyhow::ensure!(!pressed.says().is_empty(), "no toast");
    Ok(pressed)
}

/// The actions a card offers this person.
pub(crate) fn actions(stage: &Stage, name: &str) -> Vec<String> {
    let card = stage.card_of(name).expect("a card");
    stage.person(name).controls(&card).iter().map(|control| control.action().to_owned()).collect()
}

fn news(stage: &Stage, name: &str, words: &str) -> usize {
    let chat = stage.person(name).chat();
    chat.iter().filter(|message| message.msg_type == "text" && message.from_bot && message.text.contains(words)).count()
}

#[tokio::test]
async fn author_and_approvers_see_the_same_before_anyone_decides() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 销售部,华东/客服部 第一行\n第二行 <b>").await?;
        let approver = stage.card_of("赵磊")?;
        for seen in [&card, &approver, &stage.card_of("周明")?] {
            for words in
                ["第一行\n第二行 <b>", "• 销售部（约 4 人）", "• 华东 / 客服部（约 1 人）", "约 5 人", "待审批"]
            {
                assert!(seen.text.contains(words), "{words} is missing in {}", seen.text);
            }
        }
        assert!((card.at_ms - approver.at_ms).abs() < 2000, "the cards go out together");
        assert!(approver.content.to_string().contains(&stage.person("王芳").open_id), "approvers see who asks");
        assert_eq!(actions(stage, "王芳"), ["cancel", "preview", "schedule", "edit"]);
        assert_eq!(actions(stage, "赵磊"), ["approve", "preview", "reject"]);
        assert!(stage.person("林悦").last_card().is_none(), "an admin who does not approve is not bothered");
        let id = Stage::id_on(&card);
        for control in stage.person("赵磊").controls(&approver) {
            let action = control.action().to_owned();
            assert_eq!(control.value, json!({ "action": action, "broadcast": id, "version": 1 }));
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn who_may_press_what() {
    story_with(&[], three_approvers(), async |stage| {
        // 周明 is admin and approver, and the author here.
        let card = proposal(stage, "周明", "自己的").await?;
        let id = Stage::id_on(&card);
        assert_eq!(
            actions(stage, "周明"),
            ["cancel", "preview", "schedule", "edit"],
            "the author is not asked to approve"
        );
        let denied = [
            ("陈晨", "approve", "只为管理员和审批人"),
            ("陈晨", "cancel", "只为管理员和审批人"),
            ("王芳", "approve", "只有审批人"),
            ("王芳", "reject", "只有审批人"),
            ("王芳", "cancel", "只有发起人"),
            ("周明", "approve", "要由别人审批"),
            ("周明", "reject", "要由别人审批"),
            ("赵磊", "cancel", "只有发起人"),
            ("赵磊", "pick", "只有发起人"),
            ("赵磊", "resend", "只有发起人"),
            ("赵磊", "settle", "只有发起人"),
            ("赵磊", "confirm", "只有发起人"),
            ("赵磊", "refresh", "只有管理员"),
            ("王芳", "recall", "只有发起人和审批人"),
        ];
        for (who, action, why) in denied {
            let value = json!({ "action": action, "broadcast": id, "version": 1 });
            let pressed = stage.person(who).presses_raw(&card, value).await;
            assert!(pressed.says().contains(why), "{who} {action}: {}", pressed.says());
            assert_eq!(pressed.toast.map(|toast| toast.kind).as_deref(), Some("error"), "{who} {action}");
        }
        stage.later(HOUR).await?;
        assert!(stage.card_of("周明")?.text.contains("还没有人通过"));
        assert!(stage.tenant.tasks().is_empty());

        let pressed = press(stage, "何静", "approve").await?;
        assert!(pressed.says().contains("已通过"), "{}", pressed.says());
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_approvals_are_two_people_and_everybody_sees_how_far_it_is() {
    story_with(&[("APPROVALS_REQUIRED", "2")], three_approvers(), async |stage| {
        proposal(stage, "王芳", "两个人看过").await?;
        let pressed = press(stage, "赵磊", "approve").await?;
        assert!(pressed.says().contains("还需要 1 人"), "{}", pressed.says());
        stage.settle().await?;
        for name in ["王芳", "赵磊", "周明", "何静"] {
            let card = stage.card_of(name)?;
            assert!(card.text.contains("1/2 已通过"), "{name}: {}", card.text);
            assert!(card.content.to_string().contains(&stage.person("赵磊").open_id));
        }
        let again = press(stage, "赵磊", "approve").await?;
        assert!(again.says().contains("你已经通过了"), "{}", again.says());
        stage.settle().await?;
        assert!(stage.tenant.tasks().is_empty());
        press(stage, "何静", "approve").await?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        for name in ["王芳", "赵磊", "周明", "何静"] {
            assert!(stage.card_of(name)?.text.contains("已发送"), "{name}");
        }
        assert!(!actions(stage, "周明").contains(&"approve".to_owned()));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn approvals_that_can_never_come_together_are_said_at_once() {
    story_with(&[("APPROVALS_REQUIRED", "2")], Company::small(), async |stage| {
        let to = stage.person("陈晨").open_id;
        let answer = stage.ask("周明", &format!("/broadcast {to} 自己的")).await?;
        assert!(answer.text.contains("需要 2 位审批人，但除你之外只有 1 位"), "{}", answer.text);
        assert!(stage.bot.app.store.recent(None, Which::All).await?.is_empty());
        proposal(stage, "王芳", "别人的").await?;
        press(stage, "周明", "approve").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_rejection_reaches_the_author_with_its_reason() {
    story(async |stage| {
        proposal(stage, "王芳", "不合适").await?;
        let reason = Press::action("reject").field("reason", " 时间写错了 <at id=all></at> ");
        let pressed = press(stage, "赵磊", reason).await?;
        assert!(pressed.says().contains("已驳回"), "{}", pressed.says());
        stage.settle().await?;
        for name in ["王芳", "赵磊", "周明"] {
            let card = stage.card_of(name)?;
            assert!(card.text.contains("已驳回") && card.text.contains("时间写错了"), "{name}: {}", card.text);
            assert!(card.content.to_string().contains(&stage.person("赵磊").open_id), "{name} sees who");
            assert!(actions(stage, name).is_empty(), "{name}");
        }
        assert_eq!(news(stage, "王芳", "被驳回，没有发送。理由：时间写错了"), 1);
        assert!(stage.tenant.tasks().is_empty());

        proposal(stage, "王芳", "再来一次").await?;
        press(stage, "周明", "reject").await?;
        stage.settle().await?;
        let id = Stage::id_on(&proposal(stage, "王芳", "第三次").await?);
        let long = json!({ "action": "reject", "broadcast": id, "version": 1 });
        // A reason without a form, as a client may send it, and of any length.
        stage.person("周明").presses_raw(&stage.card_of("周明")?, long).await;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("已驳回"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_author_takes_a_proposal_back() {
    story(async |stage| {
        proposal(stage, "王芳", "收回").await?;
        let asked = stage.card_of("赵磊")?;
        let pressed = press(stage, "王芳", "cancel").await?;
        assert!(pressed.says().contains("已取消，没有发送"), "{}", pressed.says());
        // The approver's client still shows the buttons.
        let late = stage.person("赵磊").presses(&asked, "approve").await.map_err(anyhow::Error::msg)?;
        assert!(late.says().contains("来晚了") && late.says().contains("已取消"), "{}", late.says());
        stage.later(HOUR).await?;
        assert!(stage.tenant.tasks().is_empty());
        assert!(actions(stage, "赵磊").is_empty() && actions(stage, "王芳").is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_nobody_decides_expires_and_the_author_is_told() {
    story_with(&[("APPROVAL_TTL", "2h")], Company::small(), async |stage| {
        let card = proposal(stage, "王芳", "没人看").await?;
        stage.later(HOUR).await?;
        assert!(stage.card_of("王芳")?.text.contains("待审批"));
        stage.later(HOUR).await?;
        assert_eq!(news(stage, "王芳", "在期限内没有通过，已作废，没有发送"), 1);
        for name in ["王芳", "赵磊", "周明"] {
            assert!(stage.card_of(name)?.text.contains("已过期") && actions(stage, name).is_empty(), "{name}");
        }
        let late = json!({ "action": "approve", "broadcast": Stage::id_on(&card), "version": 1 });
        let pressed = stage.person("赵磊").presses_raw(&stage.card_of("赵磊")?, late).await;
        assert!(pressed.says().contains("来晚了") && pressed.says().contains("已过期"), "{}", pressed.says());
        stage.later(HOUR).await?;
        assert!(stage.tenant.tasks().is_empty());
        assert_eq!(news(stage, "王芳", "已作废"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn from_the_deadline_on_a_press_decides_nothing_even_before_the_card_says_so() {
    story_with(&[("APPROVAL_TTL", "2h")], Company::small(), async |stage| {
        proposal(stage, "王芳", "差一点").await?;
        let card = stage.card_of("赵磊")?;
        // Time passes, but nothing is worked on.
        stage.tenant.later(2 * HOUR).await;
        let pressed = stage.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
        assert!(pressed.says().contains("已过期"), "{}", pressed.says());
        stage.settle().await?;
        assert!(stage.tenant.tasks().is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_choice_nobody_makes_expires_too() {
    story_with(&[("APPROVAL_TTL", "2h")], Company::small(), async |stage| {
        stage.authorize("王芳").await?;
        stage.propose("王芳", "/broadcast 客服部 换班").await?;
        stage.later(2 * HOUR).await?;
        assert!(stage.card_of("王芳")?.text.contains("已过期") && actions(stage, "王芳").is_empty());
        assert!(stage.person("赵磊").last_card().is_none());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn approvals_and_buttons_outlive_a_restart() {
    story_with(&[("APPROVALS_REQUIRED", "2")], three_approvers(), async |stage| {
        proposal(stage, "王芳", "重启也在").await?;
        let card = stage.card_of("周明")?;
        press(stage, "赵磊", "approve").await?;
        stage.restart().await?;
        let again =
            stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        assert!(again.says().contains("你已经通过了"), "{}", again.says());
        stage.person("周明").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
        stage.restart().await?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        assert!(stage.card_of("王芳")?.text.contains("已发送"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_approvers_the_author_alone_confirms() {
    story_with(&[("APPROVALS_REQUIRED", "0")], Company::small(), async |stage| {
        let card = proposal(stage, "王芳", "自己确认").await?;
        let id = Stage::id_on(&card);
        for name in ["林悦", "周明", "赵磊"] {
            let value = json!({ "action": "approve", "broadcast": id, "version": 1 });
            let pressed = stage.person(name).presses_raw(&card, value).await;
            assert!(pressed.says().contains("只有发起人"), "{name}: {}", pressed.says());
        }
        assert!(stage.tenant.tasks().is_empty());
        press(stage, "王芳", "approve").await?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}
