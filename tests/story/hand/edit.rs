//! The author writes a pending text anew: the same broadcast, another version, and everybody is asked again.

use std::time::Duration;

use feishu_broadcast::domain::ids::BroadcastId;
use serde_json::json;

use super::{once, told};
use crate::approve::{HOUR, actions, press, proposal, three_approvers};
use crate::sandbox::{Company, Press};
use crate::stage::{Stage, story, story_with};

fn edit(content: &str) -> Press {
    Press::action("edit").field("content", content)
}

#[tokio::test]
async fn a_pending_text_is_changed_and_approval_asked_for_again() {
    let settings = [("APPROVALS_REQUIRED", "2"), ("APPROVAL_TTL", "2h")];
    story_with(&settings, three_approvers(), async |stage| {
        let id = Stage::id_on(&proposal(stage, "王芳", "周五三点开会").await?);
        assert_eq!(actions(stage, "王芳"), ["cancel", "preview", "schedule", "edit"]);
        assert!(!actions(stage, "赵磊").contains(&"edit".to_owned()), "only the author writes");
        let form = stage.card_of("王芳")?.content.to_string();
        assert!(form.contains(r#""default_value":"周五三点开会""#), "the form holds what is there: {form}");
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let old = stage.card_of("周明")?;
        stage.later(HOUR).await?;
        let pressed = press(stage, "王芳", edit(" 周五四点开会\n<at user_id=\"all\"></at> ")).await?;
        assert!(pressed.says().contains("重新审批"), "{}", pressed.says());
        // The approver's client is behind: what they see is no more.
        let late = json!({ "action": "approve", "broadcast": id, "version": 1 });
        let late = stage.person("周明").presses_raw(&old, late).await;
        assert!(late.says().contains("不是最新"), "{}", late.says());
        stage.restart().await?;
        stage.settle().await?;
        for name in ["王芳", "赵磊", "周明", "何静"] {
            let card = stage.card_of(name)?;
            assert!(card.text.contains("周五四点开会") && !card.text.contains("三点"), "{name}: {}", card.text);
            assert!(card.text.contains("这是新版本") && card.text.contains("还没有人通过"), "{name}: {}", card.text);
            let void = card.content.to_string();
            assert!(void.contains("**已作废**") && void.contains(&stage.person("赵磊").open_id), "{name}");
            assert_eq!(stage.person(name).chat().iter().filter(|said| said.card.is_some()).count(), 1, "one card each");
        }
        once(stage, "赵磊", &format!("群发 {id} 的内容改了，你之前的通过已作废"));
        assert!(told(stage, "周明", "已作废").is_empty(), "who had not approved hears nothing");

        // The same person may approve the new one, and there is all the time again.
        stage.later(HOUR + HOUR / 4).await?;
        assert!(stage.card_of("王芳")?.text.contains("待审批"));
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert!(!stage.card_of("赵磊")?.text.contains("**已作废**"));
        press(stage, "何静", "approve").await?;
        stage.settle().await?;
        let inbox = stage.person("陈晨").inbox();
        assert_eq!(inbox.len(), 1);
        let body = inbox[0].content.to_string();
        assert!(body.contains("周五四点开会") && !body.contains("<at"), "{body}");
        let late = json!({ "action": "edit", "broadcast": id, "version": 2 });
        let late = stage.person("王芳").presses_raw(&stage.card_of("王芳")?, late).await;
        assert!(late.says().contains("来晚了"), "{}", late.says());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_bad_edit_changes_nothing_and_says_why() {
    story(async |stage| {
        let card = proposal(stage, "王芳", "原来的内容").await?;
        let id = BroadcastId::parse(&Stage::id_on(&card)).expect("an id");
        let long = "长".repeat(1001);
        for (content, why) in [
            ("\u{200B}　 \n", "不能为空"),
            (long.as_str(), "内容有 1001 字，在卡片上最多 1000 字"),
            (" 原来的内容\n", "没有变化"),
        ] {
            let pressed = press(stage, "王芳", edit(content)).await?;
            assert!(pressed.says().contains(why), "{content:.20}: {}", pressed.says());
        }
        let without = json!({ "action": "edit", "broadcast": id.as_str(), "version": 1 });
        let pressed = stage.person("王芳").presses_raw(&card, without.clone()).await;
        assert!(pressed.says().contains("不能为空"), "{}", pressed.says());
        for (name, why) in [("林悦", "只有发起人"), ("赵磊", "只有发起人"), ("陈晨", "只为管理员和审批人")]
        {
            let pressed = stage.person(name).presses_raw(&card, without.clone()).await;
            assert!(pressed.says().contains(why), "{name}: {}", pressed.says());
        }
        stage.settle().await?;
        let kept = stage.bot.app.store.broadcast(&id).await?.expect("is stored");
        assert_eq!((kept.version, kept.content.plain().as_str()), (1, "原来的内容"));

        // What may not be meant is looked for again: nobody can approve before the author has said that it is.
        press(stage, "王芳", edit("亲爱的{{name}}，开会")).await?;
        stage.settle().await?;
        assert_eq!(actions(stage, "王芳"), ["confirm", "cancel", "preview"]);
        assert!(actions(stage, "赵磊").is_empty() && stage.card_of("赵磊")?.text.contains("{{name}}"));
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert!(stage.person("陈晨").inbox()[0].content.to_string().contains("{{name}}"));

        // Only text has a form; a long one says what to do instead.
        let to = stage.person("陈晨").open_id;
        stage.propose("王芳", &format!("/broadcast {to} {long}")).await?;
        assert!(!actions(stage, "王芳").contains(&"edit".to_owned()));
        assert!(
            stage.card_of("王芳")?.text.contains("请取消后重新发起")
                || stage.card_of("王芳")?.text.contains("要改请取消")
        );
        // The largest one that has it still fits on a card.
        stage.propose("王芳", &format!("/broadcast {to} {}", "\"".repeat(1000))).await?;
        assert!(actions(stage, "王芳").contains(&"edit".to_owned()));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_edits_or_an_edit_and_an_approval_at_one_moment_leave_one_of_both() {
    story_with(&[("APPROVALS_REQUIRED", "1")], Company::small(), async |stage| {
        for round in 0..4_u64 {
            let words = format!("第{round}轮");
            let id = BroadcastId::parse(&Stage::id_on(&proposal(stage, "王芳", &words).await?)).expect("an id");
            let before = stage.person("陈晨").inbox().len();
            let late = async {
                tokio::time::sleep(Duration::from_millis(round)).await;
                press(stage, "赵磊", "approve").await
            };
            let (edited, approved) = tokio::join!(press(stage, "王芳", edit(&format!("{words}改"))), late);
            let (edited, approved) = (edited?.says().contains("已改为新版本"), approved?.says().contains("开始发送"));
            assert!(edited != approved, "round {round}: edited {edited}, approved {approved}");
            stage.settle().await?;
            let inbox = stage.person("陈晨").inbox();
            assert_eq!(inbox.len() - before, usize::from(approved), "round {round}");
            if approved {
                assert!(!inbox[before].content.to_string().contains('改'), "approved was what was there before");
                continue;
            }
            let card = stage.card_of("王芳")?;
            let wang = stage.person("王芳");
            let (one, two) = (edit(&format!("{words}甲")), edit(&format!("{words}乙")));
            let (one, two) = tokio::join!(wang.presses(&card, one), wang.presses(&card, two));
            let says = [one, two].map(|pressed| pressed.expect("is pressed").says().to_owned());
            assert_eq!(says.iter().filter(|says| says.contains("已改为新版本")).count(), 1, "{says:?}");
            assert_eq!(says.iter().filter(|says| says.contains("不是最新")).count(), 1, "{says:?} on {}", card.text);
            stage.settle().await?;
            assert_eq!(stage.bot.app.store.broadcast(&id).await?.expect("is stored").version, 3);
            press(stage, "王芳", "cancel").await?;
            stage.settle().await?;
        }
        Ok(())
    })
    .await;
}
