//! `preview`: whoever decides gets the very content by the very call first, and nobody else gets anything.

use std::time::Duration;

use feishu_broadcast::app::errands;
use feishu_broadcast::store::pace::Ring;
use serde_json::{Value, json};

use super::{approved, minutes, png, proposed, replied, sent};
use crate::approve::{actions, press};
use crate::crash::death::{die, die_later_each_time};
use crate::sandbox::draft::Draft;
use crate::sandbox::faults::AllInvalid;
use crate::sandbox::{ChatMessage, Company, Fault};
use crate::stage::{Stage, story, story_with};

/// A request without those it is for.
fn without_targets(body: &Value) -> Value {
    let mut content = body.clone();
    for list in ["open_ids", "department_ids", "user_ids", "union_ids"] {
        content.as_object_mut().expect("a request").remove(list);
    }
    content
}

fn copies(stage: &Stage, name: &str) -> usize {
    stage.person(name).inbox().len()
}

async fn text(stage: &Stage, words: &str) -> anyhow::Result<ChatMessage> {
    stage.propose("王芳", &format!("/broadcast {} {words}", stage.person("陈晨").open_id)).await
}

#[tokio::test]
async fn author_and_approver_get_what_the_recipients_will_get_and_nobody_else_does() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        let card = json!({ "elements": [{ "tag": "div", "text": { "tag": "lark_md", "content": "**好**" } }] });
        let post = json!({ "title": "题", "content": [[{ "tag": "text", "text": "好", "style": ["bold"] }], [{ "tag": "img", "image_key": "img_v3_a" }]] });
        let drafts = [
            Draft::text("周五 @陈晨 开会"),
            Draft::post(post).attaching("img_v3_a", "image", &png(5, 5, 5, 5)),
            Draft::image("img_v3_b", &png(6, 6, 6, 6)),
            Draft::chat(&stage.tenant.group("项目群").chat_id),
            Draft::card(card),
        ];
        for (n, draft) in drafts.into_iter().enumerate() {
            let said = sent(stage, draft).await?;
            replied(stage, &said.message_id, &format!("/broadcast {to}")).await?;
            for name in ["王芳", "赵磊"] {
                let before = stage.tenant.tasks().len();
                let pressed = press(stage, name, "preview").await?;
                assert!(pressed.says().contains("马上发给你"), "{}", pressed.says());
                stage.settle().await?;
                let tasks = stage.tenant.tasks();
                assert_eq!(tasks.len(), before + 1, "{name}");
                assert_eq!(tasks[before].body["open_ids"], json!([stage.person(name).open_id]));
            }
            for (name, so_many) in [("王芳", n + 1), ("赵磊", n + 1), ("周明", 0), ("林悦", 0), ("陈晨", n)] {
                assert_eq!(copies(stage, name), so_many, "{name}");
            }
            let tasks = stage.tenant.tasks();
            let body = approved(stage).await?;
            for sample in &tasks[tasks.len() - 2..] {
                assert_eq!(without_targets(&sample.body), without_targets(&body));
                assert_eq!(sample.body["content"].to_string(), body["content"].to_string(), "to the letter");
            }
            assert_eq!(copies(stage, "陈晨"), n + 1);
        }
        let template = stage.ask("王芳", &format!("/broadcast --template ctp_1 --var a=b {to}")).await?;
        assert!(template.card.is_some());
        press(stage, "王芳", "preview").await?;
        stage.settle().await?;
        let sample = stage.tenant.tasks().pop().expect("a sample");
        assert_eq!(without_targets(&sample.body), without_targets(&approved(stage).await?));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn who_does_not_decide_gets_nothing() {
    story(async |stage| {
        let card = text(stage, "保密").await?;
        let value = json!({ "action": "preview", "broadcast": Stage::id_on(&card), "version": 1 });
        for name in ["林悦", "陈晨", "马超"] {
            let pressed = stage.person(name).presses_raw(&card.message_id, value.clone()).await;
            assert!(pressed.toast.as_ref().is_some_and(|toast| toast.kind == "error"), "{name}: {:?}", pressed.toast);
        }
        stage.settle().await?;
        assert!(stage.tenant.calls_to("batch_send").is_empty());
        approved(stage).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_press_that_comes_late_or_from_an_old_card_sends_nothing() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 客服部 选一个").await?;
        let value = |version: i64| json!({ "action": "preview", "broadcast": Stage::id_on(&card), "version": version });
        let by = async |name: &str, version: i64| {
            stage.person(name).presses_raw(&card.message_id, value(version)).await.toast.expect("a toast")
        };
        assert_eq!(by("赵磊", 1).await.kind, "warning", "approvers are not asked yet");
        assert_eq!(by("王芳", 1).await.kind, "info", "the author may look");
        stage.settle().await?;
        assert_eq!((copies(stage, "王芳"), copies(stage, "赵磊")), (1, 0));
        let east =
            stage.tenant.with(|world| world.company.at("华东/客服部").expect("there").open_department_id.clone());
        press(stage, "王芳", crate::sandbox::Press::action("pick").option(&east)).await?;
        stage.settle().await?;
        assert!(by("王芳", 1).await.content.contains("已不是最新"));
        approved(stage).await?;
        for name in ["王芳", "赵磊"] {
            assert!(by(name, 2).await.content.contains("来晚了"), "{name}");
        }
        assert!(!actions(stage, "王芳").contains(&"preview".to_owned()));
        stage.settle().await?;
        assert_eq!(stage.tenant.tasks().len(), 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn five_for_each_person_and_no_more() {
    story(async |stage| {
        text(stage, "再看一次").await?;
        for _ in 0..5 {
            assert!(press(stage, "王芳", "preview").await?.says().contains("马上发给你"));
            stage.settle().await?;
        }
        let sixth = press(stage, "王芳", "preview").await?;
        assert!(sixth.says().contains("已经给你发过 5 次"), "{}", sixth.says());
        assert!(press(stage, "赵磊", "preview").await?.says().contains("马上发给你"), "everybody has five");
        stage.settle().await?;
        assert_eq!((copies(stage, "王芳"), copies(stage, "赵磊"), copies(stage, "陈晨")), (5, 1, 0));
        approved(stage).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn the_same_press_pushed_again_is_one_press() {
    story(async |stage| {
        let card = text(stage, "只按了一次").await?;
        let zhao = stage.person("王芳");
        let (event, _) = zhao.press_event(&card.message_id, &"preview".into()).map_err(anyhow::Error::msg)?;
        for _ in 0..3 {
            stage.tenant.push_press(&event).await;
        }
        stage.settle().await?;
        assert_eq!(copies(stage, "王芳"), 1);
        approved(stage).await.map(drop)
    })
    .await;
}

/// What 王芳 was told about a sample.
fn told(stage: &Stage) -> Vec<String> {
    let chat = stage.person("王芳").chat().into_iter();
    chat.filter(|message| message.from_bot && message.text.contains("样例")).map(|message| message.text).collect()
}

#[tokio::test]
async fn a_refusal_is_told_with_what_to_do() {
    story(async |stage| {
        text(stage, "会被拒的").await?;
        for (code, words) in [
            (11_203, "im:message:send_multi_users"),
            (11_246, "请检查内容"),
            (11_312, "请修改文字"),
            (11_231, "请先把机器人加入该群"),
        ] {
            stage.tenant.fault(Fault::code("batch_send", 200, code));
            press(stage, "王芳", "preview").await?;
            stage.settle().await?;
            let said = told(stage).pop().expect("told");
            for words in ["没有发出", &code.to_string(), words, "正式发送多半也会这样"] {
                assert!(said.contains(words), "{said}");
            }
        }
        assert_eq!(stage.tenant.calls_to("batch_send").len(), 4, "none was repeated");
        assert_eq!(copies(stage, "王芳"), 0);
        approved(stage).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn an_unknown_end_is_told_and_nothing_is_sent_again() {
    story(async |stage| {
        text(stage, "说不准").await?;
        for fault in [
            Fault::lost_answer("batch_send"),
            Fault::code("batch_send", 200, 10_002),
            Fault::code("batch_send", 500, 2200),
        ] {
            stage.tenant.fault(fault);
            press(stage, "王芳", "preview").await?;
            stage.later(Duration::from_secs(300)).await?;
            let said = told(stage).pop().expect("told");
            assert!(said.contains("可能已经发给你，也可能没有") && said.contains("再点一次"), "{said}");
        }
        assert_eq!(told(stage).len(), 3);
        assert_eq!((stage.tenant.calls_to("batch_send").len(), copies(stage, "王芳")), (3, 1));
        approved(stage).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn what_certainly_was_not_sent_is_tried_again() {
    story(async |stage| {
        text(stage, "慢慢来").await?;
        stage.tenant.fault(Fault::rate("batch_send", 2));
        press(stage, "王芳", "preview").await?;
        minutes(stage, 2).await?;
        assert_eq!((copies(stage, "王芳"), told(stage).len()), (1, 0));
        stage.tenant.revoke_app_tokens();
        press(stage, "王芳", "preview").await?;
        stage.settle().await?;
        assert_eq!((copies(stage, "王芳"), told(stage).len()), (2, 0));
        // Somewhere it ends, and says so.
        stage.tenant.fault(Fault::code("batch_send", 200, 11_232).times(100));
        press(stage, "王芳", "preview").await?;
        minutes(stage, 15).await?;
        stage.tenant.clear_faults();
        assert_eq!((copies(stage, "王芳"), told(stage).len()), (2, 1));
        assert!(told(stage)[0].contains("已试多次"), "{}", told(stage)[0]);
        approved(stage).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn who_is_out_of_the_bots_reach_is_told() {
    for mode in [AllInvalid::Accepted, AllInvalid::NoMessageId] {
        story(async |stage| {
            text(stage, "够不着").await?;
            let author = stage.person("王芳").open_id;
            stage.tenant.switch(|switches| {
                switches.all_invalid = mode;
                switches.batch_invalid.push(author);
            });
            press(stage, "王芳", "preview").await?;
            stage.settle().await?;
            assert!(told(stage)[0].contains("不在机器人的可用范围内"), "{:?}", told(stage));
            assert_eq!(copies(stage, "王芳"), 0);
            approved(stage).await.map(drop)
        })
        .await;
    }
}

#[tokio::test]
async fn a_sample_takes_its_turn_among_the_batches() {
    story(async |stage| {
        text(stage, "排队").await?;
        press(stage, "王芳", "preview").await?;
        let store = &stage.bot.app.store;
        let began = stage.tenant.now_ms();
        for _ in 0..feishu_broadcast::domain::pace::PER_SECOND {
            store.reserve_call(Ring::Batches, stage.bot.app.now()).await?;
        }
        stage.settle().await?;
        let [call] = stage.tenant.calls_to("batch_send").try_into().expect("one call");
        assert!(call.at_ms - began >= 1000, "it left {} ms after fifty others", call.at_ms - began);
        approved(stage).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn wherever_the_machine_dies_nothing_is_sent_twice_and_nobody_waits_in_vain() {
    story_with(&[], Company::small(), async |stage| {
        die_later_each_time(stage, "a sample", async |stage, moment| {
            let words = format!("第{moment}次断电");
            text(stage, &words).await?;
            press(stage, "王芳", "preview").await?;
            let before = (copies(stage, "王芳"), stage.tenant.calls_to("batch_send").len(), told(stage).len());
            let finished = die(stage, moment, async |app| errands::step(&app).await.map(drop)).await?;
            stage.settle().await?;
            stage.later(2 * crate::stage::LEASES_OVER).await?;
            let sent = copies(stage, "王芳") - before.0;
            let calls = stage.tenant.calls_to("batch_send").len() - before.1;
            let said = told(stage).len() - before.2;
            assert!(sent <= 1 && calls <= 1, "moment {moment}: {sent} copies by {calls} calls");
            assert!(sent == 1 || said == 1, "moment {moment}: neither sent nor told");
            assert!(said <= 1, "moment {moment}: told {said} times");
            // Nobody looks at it any more, and its card stays as it is.
            approved(stage).await?;
            Ok(finished)
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn a_sample_of_what_shows_an_image_shows_it() {
    story(async |stage| {
        proposed(stage, Draft::image("img_v3_x", &png(9, 9, 9, 9))).await?;
        press(stage, "赵磊", "preview").await?;
        stage.settle().await?;
        let inbox = stage.person("赵磊").inbox();
        assert_eq!(inbox[0].msg_type, "image");
        assert_eq!(inbox[0].content["image_key"], super::uploaded(stage)[0]);
        approved(stage).await.map(drop)
    })
    .await;
}
