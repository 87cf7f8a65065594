//! No batch is ever sent twice on the bot's own account: where nobody can know, a person decides; what is certainly
//! unsent is tried again; what is refused says what to click.

mod fence;
mod retry;

use std::time::Duration;

use feishu_broadcast::app::{dispatch, tidy};
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use crate::approve::{HOUR, actions, press, proposal};
use crate::sandbox::{ChatMessage, Company, Effect, Fault, When, Wire};
use crate::stage::{Stage, story, story_with};

/// Proposes to 陈晨 and approves; gives the author's card as it stands when everything is at rest.
pub(crate) async fn approved(stage: &Stage, words: &str) -> anyhow::Result<ChatMessage> {
    proposal(stage, "王芳", words).await?;
    press(stage, "赵磊", "approve").await?;
    stage.settle().await?;
    stage.card_of("王芳")
}

fn copies(stage: &Stage, name: &str) -> usize {
    stage.person(name).inbox().len()
}

fn told(stage: &Stage, words: &str) -> usize {
    let chat = stage.person("王芳").chat();
    chat.iter().filter(|message| message.msg_type == "text" && message.from_bot && message.text.contains(words)).count()
}

/// The fault leaves everybody in the dark: the author is told, and nothing happens however long nobody decides.
async fn in_doubt(fault: Fault, delivered: usize) {
    story(async |stage| {
        stage.tenant.fault(fault);
        let card = approved(stage, "可能到了").await?;
        assert!(card.text.contains("结果未知") && card.text.contains("可能已经送达，也可能没有"), "{}", card.text);
        assert_eq!(actions(stage, "王芳"), ["resend", "settle"]);
        assert!(actions(stage, "赵磊").is_empty(), "deciding is the author's");
        for name in ["王芳", "赵磊"] {
            let card = stage.card_of(name)?.text;
            assert!(card.starts_with("结果未知，等发起人决定"), "whoever reads it, it is the author's: {card}");
        }
        assert_eq!(told(stage, "有一批的结果未知"), 1);
        let calls = stage.tenant.calls_to("batch_send").len();
        for _ in 0..3 {
            stage.later(24 * HOUR).await?;
        }
        stage.restart().await?;
        stage.later(HOUR).await?;
        assert_eq!(stage.tenant.calls_to("batch_send").len(), calls, "sent again on its own account");
        assert_eq!(copies(stage, "陈晨"), delivered);
        assert_eq!(told(stage, "有一批的结果未知"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_lost_after_the_batch_was_taken() {
    in_doubt(Fault::lost_answer("batch_send"), 1).await;
}

#[tokio::test]
async fn a_connection_lost_before_the_batch_was_taken() {
    in_doubt(Fault::wire("batch_send", When::BeforeAccept, Wire::Drop), 0).await;
}

/// Longer than we wait.
#[tokio::test]
async fn an_answer_that_takes_too_long() {
    in_doubt(Fault::wire("batch_send", When::AfterAccept, Wire::Timeout(Duration::from_secs(33))), 1).await;
}

#[tokio::test]
async fn a_gateway_page_instead_of_an_answer() {
    in_doubt(Fault::wire("batch_send", When::AfterAccept, Wire::Html502), 1).await;
}

#[tokio::test]
async fn an_answer_that_is_cut() {
    in_doubt(Fault::wire("batch_send", When::AfterAccept, Wire::TruncatedJson), 1).await;
}

#[tokio::test]
async fn an_answer_whose_body_breaks_off() {
    in_doubt(Fault::wire("batch_send", When::AfterAccept, Wire::TruncatedBody), 1).await;
}

#[tokio::test]
async fn codes_that_say_neither_yes_nor_no() {
    for code in [10_002, 2200, 1500, 5000, 10_101, 424_242] {
        let effect = Effect::CodeAfterAccept { http: 200, code, msg: "internal".into() };
        in_doubt(Fault::on("batch_send", effect), 1).await;
    }
}

#[tokio::test]
async fn a_server_error_whatever_code_it_carries() {
    let effect = Effect::CodeAfterAccept { http: 500, code: 11_204, msg: "internal".into() };
    in_doubt(Fault::on("batch_send", effect), 1).await;
}

#[tokio::test]
async fn a_success_without_a_receipt() {
    for body in
        [json!({ "code": 0, "msg": "ok" }), json!({ "code": 0, "data": { "message_id": "" } }), json!({ "msg": "ok" })]
    {
        in_doubt(Fault::body("batch_send", 200, body), 0).await;
    }
}

#[tokio::test]
async fn taking_it_as_sent_ends_the_doubt() {
    story(async |stage| {
        stage.tenant.fault(Fault::lost_answer("batch_send"));
        approved(stage, "问过了").await?;
        for name in ["林悦", "周明", "赵磊"] {
            let id = Stage::id_on(&stage.card_of("王芳")?);
            for action in ["settle", "resend"] {
                let value = json!({ "action": action, "broadcast": id, "version": 4 });
                let pressed = stage.person(name).presses_raw(&stage.card_of("王芳")?, value).await;
                assert!(pressed.says().contains("只有发起人"), "{name} {action}: {}", pressed.says());
            }
        }
        let pressed = press(stage, "王芳", "settle").await?;
        assert!(pressed.says().contains("视为发送成功"), "{}", pressed.says());
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("已发送") && card.text.contains("视为已发 1"), "{}", card.text);
        assert_eq!(told(stage, "飞书已受理 0/1 批，视为已发 1，无效 ID 0 个"), 1, "the numbers of the message add up");
        assert!(actions(stage, "王芳").is_empty());
        stage.later(24 * HOUR).await?;
        assert_eq!(stage.tenant.calls_to("batch_send").len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn sending_again_asks_first_names_who_may_get_it_twice_and_sends_once() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.fault(Fault::lost_answer("batch_send"));
        stage.propose("王芳", "/broadcast 销售部,华东/客服部 再发一次").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        let doubtful =
            stage.person("王芳").press_event(&card.message_id, &"resend".into()).map_err(anyhow::Error::msg)?;
        let confirm = doubtful.1.expect("a dialog before it is sent again").to_string();
        for words in ["销售部", "华东 / 客服部", "可能收到两次", "约 5 人"] {
            assert!(confirm.contains(words), "{words} is missing in {confirm}");
        }
        // Pressed twice at once, it goes out once.
        let wang = stage.person("王芳");
        let (one, two) = tokio::join!(wang.presses(&card, "resend"), wang.presses(&card, "resend"));
        let says = [one.map_err(anyhow::Error::msg)?, two.map_err(anyhow::Error::msg)?].map(|p| p.says().to_owned());
        assert_eq!(says.iter().filter(|says| says.contains("正在重新发送")).count(), 1, "{says:?}");
        stage.later(HOUR).await?;
        assert_eq!(stage.tenant.tasks().len(), 2);
        assert_eq!(copies(stage, "陈晨"), 2, "the first had gone out after all");
        assert!(stage.card_of("王芳")?.text.contains("已发送"), "{}", stage.card_of("王芳")?.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_second_doubt_is_a_second_decision() {
    story(async |stage| {
        stage.tenant.fault(Fault::wire("batch_send", When::BeforeAccept, Wire::Html502).times(2));
        approved(stage, "又不知道").await?;
        let old = stage.card_of("王芳")?;
        let (event, _) =
            stage.person("王芳").press_event(&old.message_id, &"resend".into()).map_err(anyhow::Error::msg)?;
        assert!(stage.tenant.push_press(&event).await.says().contains("正在重新发送"));
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("结果未知"));
        assert_eq!(told(stage, "有一批的结果未知"), 2);
        // The same push again, and a press on the card of the first doubt, do not decide about the second.
        stage.tenant.push_press(&event).await;
        let stale = stage.person("王芳").presses_raw(&old, event.body["event"]["action"]["value"].clone()).await;
        assert!(stale.says().contains("不是最新"), "{}", stale.says());
        stage.settle().await?;
        assert_eq!(stage.tenant.calls_to("batch_send").len(), 2);
        press(stage, "王芳", "resend").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}

/// 450 people, named one by one: three batches.
fn crowd() -> Company {
    (0..450).fold(Company::small(), |company, number| company.person(&format!("员工{number:03}"), &["工厂"]))
}

async fn to_the_crowd(stage: &Stage) -> anyhow::Result<()> {
    let ids: Vec<String> = (0..450).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
    stage.propose("王芳", &format!("/broadcast {} 全厂通知", ids.join(","))).await?;
    press(stage, "赵磊", "approve").await?;
    stage.settle().await
}

fn reached(stage: &Stage) -> usize {
    (0..450).filter(|n| copies(stage, &format!("员工{n:03}")) == 1).count()
}

/// A decision is about every batch in doubt, so there is none before it is known which those are.
#[tokio::test]
async fn nobody_decides_about_a_doubt_while_other_batches_are_on_their_way() {
    story_with(&[], crowd(), async |stage| {
        let ids: Vec<String> = (0..450).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
        stage.propose("王芳", &format!("/broadcast {} 全厂通知", ids.join(","))).await?;
        press(stage, "赵磊", "approve").await?;
        let app = &stage.bot.app;
        let (one, other) = (dispatch::next(app).await?.expect("a batch"), dispatch::next(app).await?.expect("another"));
        stage.tenant.fault(Fault::wire("batch_send", When::BeforeAccept, Wire::Html502));
        dispatch::send(app, one).await?;
        let hangs = Wire::Timeout(Duration::from_secs(4));
        stage.tenant.fault(Fault::wire("batch_send", When::BeforeAccept, hangs));
        let meanwhile = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stage.settle().await?;
            let early = stage.card_of("王芳")?;
            assert!(early.text.starts_with("结果未知") && early.text.contains("还有批次正在发送"), "{}", early.text);
            assert_eq!(actions(stage, "王芳"), ["cancel"]);
            assert_eq!((told(stage, "都有结果后，请在卡片上决定"), told(stage, "有一批的结果未知")), (1, 1));
            let (event, _) =
                stage.person("王芳").press_event(&early.message_id, &"cancel".into()).map_err(anyhow::Error::msg)?;
            let mut value = event.body["event"]["action"]["value"].clone();
            for action in ["resend", "settle"] {
                value["action"] = action.into();
                let said = stage.person("王芳").presses_raw(&early, value.clone()).await.says().to_owned();
                assert!(said.contains("都有结果后再决定"), "{action}: {said}");
            }
            assert!(early.text.contains("结果未知 1"), "{}", early.text);
            anyhow::Ok(())
        };
        let (sent, seen) = tokio::join!(dispatch::send(app, other), meanwhile);
        sent?;
        seen?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("结果未知 2"), "{}", card.text);
        press(stage, "王芳", "resend").await?;
        stage.settle().await?;
        assert_eq!((reached(stage), stage.tenant.calls_to("batch_send").len()), (450, 5));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_doubt_pauses_what_comes_after_it_until_it_is_decided() {
    for (action, calls) in [("settle", 3), ("resend", 4)] {
        story_with(&[], crowd(), async |stage| {
            stage.tenant.fault(Fault::wire("batch_send", When::BeforeAccept, Wire::Html502).after(1));
            to_the_crowd(stage).await?;
            stage.later(24 * HOUR).await?;
            assert_eq!(stage.tenant.calls_to("batch_send").len(), 2);
            let card = stage.card_of("王芳")?;
            assert!(card.text.contains("飞书已受理 1，结果未知 1，待发 1"), "{}", card.text);
            let (_, confirm) =
                stage.person("王芳").press_event(&card.message_id, &"resend".into()).map_err(anyhow::Error::msg)?;
            assert!(confirm.expect("a dialog").to_string().contains("约 200 人"), "only this batch may get it twice");
            press(stage, "王芳", action).await?;
            stage.settle().await?;
            assert_eq!(stage.tenant.calls_to("batch_send").len(), calls);
            assert_eq!(reached(stage), if action == "settle" { 250 } else { 450 });
            assert!(stage.card_of("王芳")?.text.contains("已发送"), "{}", stage.card_of("王芳")?.text);
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn sending_again_while_it_is_on_hold_is_noted_and_waits_for_the_word_to_go_on() {
    story_with(&[], crowd(), async |stage| {
        stage.tenant.fault(Fault::wire("batch_send", When::BeforeAccept, Wire::Html502).after(1));
        to_the_crowd(stage).await?;
        stage.bot.stop().await;
        stage.tenant.later(Duration::from_secs(11 * 60)).await;
        stage.restart().await?;
        stage.settle().await?;
        let toast = press(stage, "王芳", "resend").await?.toast.expect("a toast");
        // No warning: those say that nothing was changed.
        assert!(toast.kind == "info" && toast.content.contains("已记下"), "{toast:?}");
        stage.later(HOUR).await?;
        assert_eq!(stage.tenant.calls_to("batch_send").len(), 2, "it was on hold");
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        assert_eq!((stage.tenant.calls_to("batch_send").len(), reached(stage)), (4, 450));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_has_not_left_can_be_cancelled_while_a_batch_is_in_doubt() {
    story_with(&[], crowd(), async |stage| {
        stage.tenant.fault(Fault::lost_answer("batch_send"));
        to_the_crowd(stage).await?;
        let pressed = press(stage, "王芳", "cancel").await?;
        assert!(!pressed.says().contains("没有发送"), "one batch may have left: {}", pressed.says());
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("结果未知 1，已取消 2"), "{}", card.text);
        press(stage, "王芳", "settle").await?;
        stage.later(24 * HOUR).await?;
        assert_eq!(stage.tenant.calls_to("batch_send").len(), 1);
        assert_eq!(reached(stage), 200);
        assert!(stage.card_of("王芳")?.text.contains("部分发送"), "{}", stage.card_of("王芳")?.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_cancel_stops_the_batches_that_have_not_left() {
    story_with(&[], crowd(), async |stage| {
        stage.tenant.fault(
            Fault::on("batch_send", Effect::Rate { throttle: crate::sandbox::faults::Throttle::Headers, reset_s: 100 })
                .after(1),
        );
        to_the_crowd(stage).await?;
        let id = Stage::id_on(&stage.card_of("王芳")?);
        stage.ask("王芳", &format!("/cancel {id}")).await?;
        assert_eq!(told(stage, "还没发出的部分已取消"), 1);
        stage.later(24 * HOUR).await?;
        assert_eq!(stage.tenant.tasks().len(), 1);
        assert_eq!(reached(stage), 200);
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("部分发送") && card.text.contains("已取消 2"), "{}", card.text);
        assert_eq!(told(stage, "飞书已受理 1/3 批，已取消 2，"), 1, "the numbers of the message add up");
        Ok(())
    })
    .await;
}

/// Cancels while a batch is on its way, which then meets this fault.
async fn cancelled_under_way(stage: &mut Stage, fault: Fault) -> anyhow::Result<()> {
    proposal(stage, "王芳", "在路上").await?;
    let id = Stage::id_on(&stage.card_of("王芳")?);
    press(stage, "赵磊", "approve").await?;
    stage.tenant.fault(fault);
    let sending = dispatch::step(&stage.bot.app);
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.person("王芳").says(&format!("/cancel {id}")).await;
        feishu_broadcast::app::inbox::step(&stage.bot.app).await
    };
    let (sent, cancelled) = tokio::join!(sending, cancelling);
    sent?;
    cancelled?;
    stage.settle().await
}

#[tokio::test]
async fn what_is_under_way_when_it_is_cancelled_may_arrive_and_nobody_says_otherwise() {
    story(async |stage| {
        let slow = Wire::SlowBody(Duration::from_secs(2));
        cancelled_under_way(stage, Fault::wire("batch_send", When::AfterAccept, slow)).await?;
        assert_eq!(told(stage, "已经发出的不受影响"), 1);
        assert_eq!(told(stage, "没有发送"), 0);
        assert_eq!(copies(stage, "陈晨"), 1);
        assert!(stage.card_of("王芳")?.text.contains("已发送"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_comes_back_unsent_after_it_was_cancelled_stays_unsent() {
    story(async |stage| {
        proposal(stage, "王芳", "在路上").await?;
        let id = Stage::id_on(&stage.card_of("王芳")?);
        press(stage, "赵磊", "approve").await?;
        stage.tenant.fault(Fault::rate("batch_send", 1));
        let taken = loop {
            if let Some(taken) = dispatch::next(&stage.bot.app).await? {
                break taken;
            }
            stage.tenant.later(Duration::from_secs(1)).await;
        };
        stage.person("王芳").says(&format!("/cancel {id}")).await;
        feishu_broadcast::app::inbox::step(&stage.bot.app).await?;
        dispatch::send(&stage.bot.app, taken).await?;
        stage.later(24 * HOUR).await?;
        assert_eq!(copies(stage, "陈晨"), 0);
        assert!(stage.tenant.tasks().is_empty());
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("已取消"), "{}", card.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_crash_between_request_and_answer_is_a_doubt() {
    story(async |stage| {
        proposal(stage, "王芳", "断电").await?;
        press(stage, "赵磊", "approve").await?;
        stage.tenant.fault(Fault::wire("batch_send", When::AfterAccept, Wire::SlowBody(Duration::from_secs(60))));
        let step = dispatch::step(&stage.bot.app);
        assert!(tokio::time::timeout(Duration::from_secs(1), step).await.is_err(), "the call was still open");
        stage.restart().await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("结果未知"), "{}", stage.card_of("王芳")?.text);
        assert_eq!(told(stage, "有一批的结果未知"), 1);
        stage.later(24 * HOUR).await?;
        assert_eq!((stage.tenant.tasks().len(), copies(stage, "陈晨")), (1, 1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_sender_that_vanished_without_a_restart_is_a_doubt_too() {
    story(async |stage| {
        proposal(stage, "王芳", "线程没了").await?;
        press(stage, "赵磊", "approve").await?;
        stage.tenant.fault(Fault::wire("batch_send", When::AfterAccept, Wire::SlowBody(Duration::from_secs(60))));
        let step = dispatch::step(&stage.bot.app);
        assert!(tokio::time::timeout(Duration::from_secs(1), step).await.is_err());
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("发送中"), "{}", stage.card_of("王芳")?.text);
        stage.later(HOUR / 20).await?;
        assert!(stage.card_of("王芳")?.text.contains("结果未知"));
        assert_eq!(stage.tenant.tasks().len(), 1);
        Ok(())
    })
    .await;
}

/// A process that stood still between taking a batch and its first byte.
#[tokio::test]
async fn a_sender_that_was_frozen_sends_nothing_and_gives_back_what_still_is_its_own() {
    story(async |stage| {
        for (frozen, is_its_own) in [(Duration::from_secs(30), true), (HOUR / 20, false)] {
            proposal(stage, "王芳", "站住了").await?;
            press(stage, "赵磊", "approve").await?;
            let before = stage.tenant.calls_to("batch_send").len();
            let taken = dispatch::next(&stage.bot.app).await?.expect("a batch");
            stage.later(frozen).await?;
            let sent = dispatch::send(&stage.bot.app, taken).await;
            assert_eq!(sent.is_ok(), is_its_own, "after {frozen:?}");
            assert_eq!(stage.tenant.calls_to("batch_send").len(), before, "after {frozen:?}");
            stage.settle().await?;
            let calls = stage.tenant.calls_to("batch_send").len() - before;
            assert_eq!(
                calls,
                usize::from(is_its_own),
                "after {frozen:?}: it takes another turn, or its author decides"
            );
        }
        press(stage, "王芳", "settle").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}

/// A store that took no writes for longer than a lease: whoever is at the call has its answer all the same.
#[tokio::test]
async fn a_batch_is_not_without_its_sender_while_that_one_waits_for_the_answer() {
    story(async |stage| {
        proposal(stage, "王芳", "等了很久的回答").await?;
        press(stage, "赵磊", "approve").await?;
        stage.tenant.fault(Fault::wire("batch_send", When::AfterAccept, Wire::SlowBody(Duration::from_secs(3))));
        let taken = dispatch::next(&stage.bot.app).await?.expect("a batch");
        let meanwhile = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stage.tenant.later(HOUR / 20).await;
            tidy::step(&stage.bot.app).await
        };
        let (sent, found) = tokio::join!(dispatch::send(&stage.bot.app, taken), meanwhile);
        sent?;
        found?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.starts_with("已发送"), "{}", card.text);
        assert_eq!((stage.tenant.calls_to("batch_send").len(), copies(stage, "陈晨")), (1, 1));
        Ok(())
    })
    .await;
}

/// It stood still together with everything that watches over it: nobody has noticed yet that it did.
#[tokio::test]
async fn a_sender_that_slept_for_hours_puts_its_batch_back_and_its_author_is_asked() {
    story(async |stage| {
        proposal(stage, "王芳", "睡着了").await?;
        press(stage, "赵磊", "approve").await?;
        let taken = dispatch::next(&stage.bot.app).await?.expect("a batch");
        stage.tenant.later(2 * HOUR).await;
        dispatch::send(&stage.bot.app, taken).await?;
        stage.settle().await?;
        assert!(stage.tenant.calls_to("batch_send").is_empty(), "it left hours late without asking");
        let card = stage.card_of("王芳")?;
        assert!(card.text.starts_with("已暂停"), "it has certainly not left, so there is no doubt: {}", card.text);
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}

/// Somebody works on the file by hand, for longer than a statement waits for it.
#[tokio::test]
async fn an_answer_is_kept_until_the_store_takes_it() {
    story(async |stage| {
        let Some(file) = stage.database_url().strip_prefix("sqlite://") else { return Ok(()) };
        proposal(stage, "王芳", "正忙着").await?;
        press(stage, "赵磊", "approve").await?;
        let taken = dispatch::next(&stage.bot.app).await?.expect("a batch");
        let mut other = SqliteConnection::connect(&format!("sqlite://{file}")).await?;
        sqlx::query("begin immediate").execute(&mut other).await?;
        let unlock = async {
            tokio::time::sleep(Duration::from_secs(8)).await;
            sqlx::query("rollback").execute(&mut other).await
        };
        let (sent, unlocked) = tokio::join!(dispatch::send(&stage.bot.app, taken), unlock);
        sent?;
        unlocked?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.starts_with("已发送"), "{}", stage.card_of("王芳")?.text);
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_call_that_may_have_arrived_is_told_of_whatever_becomes_of_its_batch() {
    for action in ["refused", "cancel"] {
        story(async |stage| {
            stage.tenant.fault(Fault::lost_answer("batch_send"));
            let id = Stage::id_on(&approved(stage, "也许到了").await?);
            if action == "refused" {
                stage.tenant.fault(Fault::code("batch_send", 200, 11_203));
            }
            press(stage, "王芳", "resend").await?;
            if action == "cancel" {
                stage.person("王芳").says(&format!("/cancel {id}")).await;
            }
            stage.settle().await?;
            let card = stage.card_of("王芳")?;
            assert!(
                card.text.contains("那一次可能已经送达") && card.text.contains("部分发送"),
                "{action}: {}",
                card.text
            );
            let untrue = format!("群发 {id} 已取消，没有发送");
            assert!(!stage.person("王芳").chat().iter().any(|message| message.text.contains(&untrue)), "{action}");
            assert_eq!(copies(stage, "陈晨"), 1);
            Ok(())
        })
        .await;
    }
}

/// What is taken and has not left is in doubt after a crash, though it cannot have left.
#[tokio::test]
async fn a_start_takes_nothing_before_it_may_send() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        stage.propose("王芳", &format!("/broadcast {to} 刚刚启动")).await?;
        press(stage, "赵磊", "approve").await?;
        let app = &stage.bot.app;
        app.departures.begin(app.now());
        let early = tokio::time::timeout(Duration::from_millis(500), dispatch::next(app)).await;
        assert!(early.is_err(), "it was taken within the second in which nothing may leave");
        assert!(stage.rows("select seq from batches where state <> 'planned'").await?.is_empty());
        stage.settle().await?;
        assert!(stage.person("陈晨").inbox().len() == 1, "it did not leave afterwards");
        Ok(())
    })
    .await;
}
