//! What may not be meant holds a broadcast: nobody is asked to approve it before its author has said that it is.

use std::time::Duration;

use serde_json::json;

use super::{on_the_books, replied, sent};
use crate::approve::{HOUR, actions, press};
use crate::sandbox::draft::Draft;
use crate::sandbox::{ChatMessage, Company, Press};
use crate::stage::{Stage, story, story_with};

/// What makes an author think again, and how it is shown: never whole.
const GRAVE: [(&str, &str); 6] = [
    ("亲爱的{{name}}，周五开会", "⚠️ 有没替换的占位内容「{{name}}」"),
    ("XX月XX日 停水", "⚠️ 有没替换的占位内容「XX月XX日」"),
    ("数据库密码：Tiger#2026x", "⚠️ 看起来包含密码或密钥（密码：Ti"),
    ("key AKIAIOSFODNN7EXAMPLE", "⚠️ 看起来包含密码或密钥（AKI"),
    ("身份证 11010519491231002X 请核对", "⚠️ 看起来包含身份证号或银行卡号（110"),
    ("卡号 6222 0212 3456 7890 128 请勿外传", "⚠️ 看起来包含身份证号或银行卡号"),
];

async fn proposal(stage: &Stage, words: &str) -> anyhow::Result<ChatMessage> {
    stage.propose("王芳", &format!("/broadcast {} {words}", stage.person("陈晨").open_id)).await
}

/// Held: the author sees why, nobody else sees anything, and nothing can be sent.
async fn is_held(stage: &Stage, card: &ChatMessage, why: &str) -> anyhow::Result<()> {
    assert!(card.text.contains(why) && card.text.contains("待发起人确认内容"), "{}", card.text);
    assert!(card.text.contains("没问题，提交审批"), "{}", card.text);
    assert_eq!(actions(stage, "王芳"), ["confirm", "cancel", "preview"]);
    for name in ["赵磊", "周明"] {
        assert!(stage.person(name).chat().is_empty(), "{name} was bothered");
    }
    let id = Stage::id_on(card);
    for (name, action) in [
        ("赵磊", "approve"),
        ("赵磊", "reject"),
        ("赵磊", "preview"),
        ("王芳", "approve"),
        ("林悦", "confirm"),
        ("赵磊", "confirm"),
    ] {
        let value = json!({ "action": action, "broadcast": id, "version": 1 });
        let pressed = stage.person(name).presses_raw(&card.message_id, value).await;
        let kind = pressed.toast.as_ref().map(|toast| toast.kind.as_str());
        assert!(matches!(kind, Some("warning" | "error")), "{name} {action}: {:?}", pressed.toast);
    }
    stage.settle().await?;
    assert!(stage.tenant.calls_to("batch_send").is_empty());
    Ok(())
}

#[tokio::test]
async fn nobody_is_asked_before_the_author_has_confirmed() {
    for (words, why) in GRAVE {
        story(async |stage| {
            let card = proposal(stage, words).await?;
            is_held(stage, &card, why).await?;
            for secret in ["Tiger#2026x", "49123100", "2345"] {
                let warning: String = card.text.lines().filter(|line| line.contains("⚠️")).collect();
                assert!(!warning.contains(secret), "{warning}");
            }
            let status = stage.ask("王芳", "/status").await?;
            assert!(status.text.contains("待发起人确认内容") && status.text.contains(why), "{}", status.text);
            assert!(!status.text.contains("部门"), "{}", status.text);

            let dialog = stage.person("王芳").presses(&card, "confirm").await.map_err(anyhow::Error::msg)?;
            assert!(dialog.says().contains("已提交审批"), "{}", dialog.says());
            let asked = dialog.confirm.expect("a dialog before").to_string();
            assert!(asked.contains("每位收件人都会看到"), "{asked}");
            stage.settle().await?;
            assert_eq!(actions(stage, "王芳"), ["cancel", "preview", "schedule", "edit"]);
            let approver = stage.card_of("赵磊")?;
            assert!(approver.text.contains(why) && approver.text.contains("待审批"), "{}", approver.text);
            let value = json!({ "action": "confirm", "broadcast": Stage::id_on(&card), "version": 2 });
            let twice = stage.person("王芳").presses_raw(&card.message_id, value).await;
            assert!(twice.says().contains("没有需要确认"), "{}", twice.says());

            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            assert_eq!(stage.person("陈晨").inbox().len(), 1);
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_old_card_confirms_nothing() {
    story(async |stage| {
        let card = proposal(stage, "亲爱的{{name}}").await?;
        let value = json!({ "action": "confirm", "broadcast": Stage::id_on(&card), "version": 0 });
        let pressed = stage.person("王芳").presses_raw(&card.message_id, value).await;
        assert!(pressed.says().contains("已不是最新"), "{}", pressed.says());
        stage.settle().await?;
        is_held(stage, &stage.card_of("王芳")?, "{{name}}").await
    })
    .await;
}

#[tokio::test]
async fn namesakes_and_findings_are_settled_in_either_order() {
    for confirm_first in [true, false] {
        story(async |stage| {
            stage.authorize("王芳").await?;
            let card = stage.propose("王芳", "/broadcast 客服部 亲爱的{{name}}").await?;
            assert!(card.text.contains("待选择部门") && card.text.contains("⚠️"), "{}", card.text);
            let mut offered = actions(stage, "王芳");
            offered.sort();
            assert_eq!(offered, ["cancel", "confirm", "pick", "preview"]);
            let east = stage
                .tenant
                .with(|world| world.company.at("华东/客服部").expect("it is there").open_department_id.clone());
            let pick = || Press::action("pick").option(&east);
            let (first, second, between, in_the_end) = match confirm_first {
                true => (Press::action("confirm"), pick(), "还要选择部门", "已选择"),
                false => (pick(), Press::action("confirm"), "还要确认标 ⚠️ 的内容", "已提交审批"),
            };
            let said = press(stage, "王芳", first).await?;
            assert!(said.says().contains(between), "{}", said.says());
            stage.settle().await?;
            assert!(stage.person("赵磊").last_card().is_none(), "asked too early");
            let word = if confirm_first { "待选择部门" } else { "待发起人确认内容" };
            assert!(stage.card_of("王芳")?.text.contains(word), "{}", stage.card_of("王芳")?.text);
            assert!(!actions(stage, "王芳").contains(&(if confirm_first { "confirm" } else { "pick" }).to_owned()));
            let said = press(stage, "王芳", second).await?;
            assert!(said.says().contains(in_the_end), "{}", said.says());
            stage.settle().await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            assert_eq!(stage.person("罗敏").inbox().len(), 1);
            assert!(stage.person("谢婷").inbox().is_empty());
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn without_approvals_the_author_confirms_twice_what_and_that() {
    story_with(&[("APPROVALS_REQUIRED", "0")], Company::small(), async |stage| {
        let card = proposal(stage, "亲爱的{{name}}").await?;
        assert!(card.text.contains("没问题，就这样发") && !card.text.contains("提交审批"), "{}", card.text);
        assert_eq!(actions(stage, "王芳"), ["confirm", "cancel", "preview"]);
        let said = press(stage, "王芳", "confirm").await?;
        assert!(said.says().contains("点「确认发送」就会发出"), "{}", said.says());
        stage.settle().await?;
        assert!(stage.tenant.calls_to("batch_send").is_empty(), "one press is not both");
        press(stage, "王芳", "approve").await?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_nobody_confirms_expires_and_what_is_cancelled_stays_so() {
    story(async |stage| {
        let card = proposal(stage, "亲爱的{{name}}").await?;
        stage.later(25 * HOUR).await?;
        let seen = stage.person("王芳").sees(&card.message_id).expect("the card");
        assert!(seen.text.contains("已过期"), "{}", seen.text);
        let value = json!({ "action": "confirm", "broadcast": Stage::id_on(&card), "version": 1 });
        let late = stage.person("王芳").presses_raw(&card.message_id, value).await;
        assert!(late.toast.is_some_and(|toast| toast.kind == "warning"), "too late");

        let card = proposal(stage, "亲爱的{{name}}").await?;
        press(stage, "王芳", "cancel").await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("已取消"));
        let value = json!({ "action": "confirm", "broadcast": Stage::id_on(&card), "version": 1 });
        let late = stage.person("王芳").presses_raw(&card.message_id, value).await;
        assert!(late.says().contains("来晚了"), "{}", late.says());
        stage.later(Duration::from_secs(60)).await?;
        assert!(stage.person("赵磊").chat().is_empty() && stage.tenant.calls_to("batch_send").is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_tells_what_was_found() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        let preview = stage.ask("王芳", &format!("/broadcast --dry-run {to} 亲爱的{{{{name}}}} **好**")).await?;
        assert!(preview.text.contains("⚠️ 有没替换的占位内容「{{name}}」"), "{}", preview.text);
        assert!(preview.text.contains("「**好**」的样式不会生效"), "{}", preview.text);
        assert!(stage.person("王芳").controls(&preview).is_empty());
        assert_eq!(on_the_books(stage).await?, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_only_worth_a_word_holds_nothing_up() {
    story(async |stage| {
        for (words, note) in [
            ("请 @所有人 **务必**参加", "「@所有人」在群发的文字里不会提醒任何人"),
            ("# 标题\n内容", "「# 标题」是 Markdown"),
            ("<b>停水</b>通知", "的样式不会生效"),
        ] {
            let card = proposal(stage, words).await?;
            assert!(card.text.contains(note) && card.text.contains("待审批"), "{}", card.text);
            assert!(!card.text.contains("⚠️"), "{}", card.text);
            assert!(stage.card_of("赵磊")?.text.contains(note));
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn ordinary_words_are_not_held() {
    story(async |stage| {
        for words in [
            "周五下午三点在 302 开会，会议号 123 456 789，入会密码：2468",
            "快递单号 SF1234567890123，订单 6222021234567890128 已发货",
            "【姓名】【部门】请填写在 [附件] 里，联系电话 13800138000",
            "价格 {含税}，详情 https://e.com/a?id=110105194912310021",
            "请修改密码：不少于 8 位，含字母和数字",
        ] {
            let card = proposal(stage, words).await?;
            assert!(card.text.contains("待审批") && !card.text.contains("⚠️"), "{words}:\n{}", card.text);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn words_are_looked_at_wherever_they_stand() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        let command = format!("/broadcast {to}");
        let card = json!({ "schema": "2.0", "body": { "elements": [{ "tag": "markdown", "content": "<at id=all></at> {{who}}" }] } });
        let post = json!({ "title": "致 {{who}}", "content": [[{ "tag": "text", "text": "好" }]] });
        for (draft, words) in [
            (Draft::post(post), vec!["⚠️ 有没替换的占位内容「{{who}}」"]),
            (Draft::card(card), vec!["「{{who}}」", "会提醒所有收件人，或被飞书拒绝"]),
        ] {
            let said = sent(stage, draft).await?;
            let shown = replied(stage, &said.message_id, &command).await?;
            for words in words {
                assert!(shown.text.contains(words) && shown.text.contains("待发起人确认内容"), "{}", shown.text);
            }
            assert!(!shown.content.to_string().contains("<at id=all>"), "{}", shown.content);
        }
        let shown = stage.ask("王芳", &format!("/broadcast --template ctp_1 --var to={{{{who}}}} {to}")).await?;
        assert!(shown.text.contains("⚠️ 有没替换的占位内容「{{who}}」"), "{}", shown.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_held_is_still_held_after_a_restart_and_a_long_silence() {
    story(async |stage| {
        proposal(stage, "亲爱的{{name}}").await?;
        stage.bot.stop().await;
        stage.tenant.later(Duration::from_secs(11 * 60)).await;
        stage.restart().await?;
        stage.settle().await?;
        assert!(stage.person("赵磊").last_card().is_none());
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        assert!(stage.card_of("赵磊")?.text.contains("待审批"));
        Ok(())
    })
    .await;
}
