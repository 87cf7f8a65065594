//! What is certainly unsent: tried again by the bot where that helps, explained where it does not.

use std::time::Duration;

use feishu_broadcast::app::dispatch;
use feishu_broadcast::domain::pace::{PER_MINUTE, PER_SECOND};
use feishu_broadcast::store::pace::Ring;
use serde_json::json;
use sqlx::Row;

use super::{approved, copies, told};
use crate::approve::{HOUR, actions, press, proposal};
use crate::sandbox::faults::Throttle;
use crate::sandbox::{Effect, Fault};
use crate::stage::{Stage, story, story_with};

/// The fault passes; the batch goes out once, and the card says meanwhile that it waits, and why.
async fn waited_out(fault: Fault, why: &str) {
    story(async |stage| {
        stage.tenant.fault(fault);
        proposal(stage, "王芳", "等一等").await?;
        press(stage, "赵磊", "approve").await?;
        for _ in 0..2 {
            stage.later(HOUR).await?;
        }
        assert_eq!((stage.tenant.tasks().len(), copies(stage, "陈晨")), (1, 1));
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("已发送") && !card.text.contains("等待中"), "{}", card.text);
        let waited = stage.tenant.with(|world| {
            let history = &world.message(&card.message_id).expect("the card").history;
            history.iter().any(|card| card.to_string().contains("等待中") && card.to_string().contains(why))
        });
        assert!(waited, "no card ever said that it waits because {why}");
        assert_eq!(told(stage, "结果未知"), 0);
        Ok(())
    })
    .await;
}

fn rate(throttle: Throttle, reset_s: u64) -> Fault {
    Fault::on("batch_send", Effect::Rate { throttle, reset_s })
}

#[tokio::test]
async fn a_rate_limit_is_obeyed_in_all_its_forms() {
    waited_out(rate(Throttle::Headers, 5), "飞书要求放慢").await;
    waited_out(rate(Throttle::Http400, 5), "飞书要求放慢").await;
    waited_out(rate(Throttle::NoHeaders, 1).times(3), "飞书要求放慢").await;
}

#[tokio::test]
async fn an_internal_throttle_is_waited_out() {
    waited_out(Fault::code("batch_send", 200, 11_232).times(3), "飞书要求放慢").await;
    waited_out(Fault::code("batch_send", 200, 11_233).times(3), "飞书要求放慢").await;
}

#[tokio::test]
async fn a_token_that_is_refused_again_and_again_is_not_called_a_rate_limit() {
    waited_out(Fault::code("batch_send", 200, 99_991_663).times(4), "凭证").await;
}

#[tokio::test]
async fn a_token_that_is_never_taken_is_final_in_the_end() {
    story(async |stage| {
        proposal(stage, "王芳", "不认凭证").await?;
        stage.tenant.fault(Fault::code("batch_send", 200, 99_991_663).times(7));
        press(stage, "赵磊", "approve").await?;
        for _ in 0..10 {
            stage.later(HOUR / 60).await?;
        }
        assert_eq!(stage.tenant.calls_to("batch_send").len(), 7, "it is tried seven times");
        assert!(stage.card_of("王芳")?.text.contains("99991663"), "{}", stage.card_of("王芳")?.text);
        assert_eq!(copies(stage, "陈晨"), 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_stale_token_is_renewed_and_the_batch_goes_out_once() {
    for code in [99_991_663, 99_991_665, 99_991_671] {
        story(async |stage| {
            proposal(stage, "王芳", "旧令牌").await?;
            stage.tenant.fault(Fault::code("batch_send", 400, code));
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            let [refused, sent] = stage.tenant.calls_to("batch_send").try_into().expect("two calls");
            assert!(sent.at_ms - refused.at_ms < 3000, "it waited {} ms", sent.at_ms - refused.at_ms);
            assert_eq!(copies(stage, "陈晨"), 1);
            let history = stage.tenant.with(|world| {
                let cards = world.messages.iter().flat_map(|message| &message.history);
                cards.map(ToString::to_string).collect::<String>()
            });
            assert!(!history.contains("等待中"), "a token that ended is nobody's affair");
            Ok(())
        })
        .await;
    }
    story(async |stage| {
        proposal(stage, "王芳", "旧令牌").await?;
        stage.tenant.revoke_app_tokens();
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_call_with_a_fresh_token_waits_for_its_turn_like_any_other() {
    story(async |stage| {
        proposal(stage, "王芳", "旧令牌").await?;
        let store = &stage.bot.app.store;
        let began = stage.tenant.now_ms();
        for _ in 1..PER_SECOND {
            store.reserve_call(Ring::Batches, stage.bot.app.now()).await?;
        }
        stage.tenant.fault(Fault::code("batch_send", 400, 99_991_663));
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let [refused, sent] = stage.tenant.calls_to("batch_send").try_into().expect("two calls");
        assert!(
            sent.at_ms - began >= 1000,
            "{} ms, the call before it {} ms",
            sent.at_ms - began,
            refused.at_ms - began
        );
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_full_minute_is_waited_out_and_the_card_says_so() {
    story(async |stage| {
        proposal(stage, "王芳", "排队").await?;
        for _ in 0..PER_MINUTE {
            stage.bot.app.store.reserve_call(Ring::Batches, stage.bot.app.now()).await?;
        }
        press(stage, "赵磊", "approve").await?;
        // The wait for the turn is given up, as when the bot is stopped; what it has said stays.
        let waited = tokio::time::timeout(Duration::from_secs(1), dispatch::turn(&stage.bot.app)).await;
        assert!(waited.is_err(), "a call beyond those of a minute has its turn at once");
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("等待中：按飞书的调用上限排队"), "{}", card.text);
        assert!(stage.tenant.calls_to("batch_send").is_empty());
        stage.later(HOUR / 30).await?;
        assert_eq!((stage.tenant.calls_to("batch_send").len(), copies(stage, "陈晨")), (1, 1));
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("已发送") && !card.text.contains("等待中"), "{}", card.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_token_that_cannot_be_had_for_the_moment_sends_nothing_and_loses_nothing() {
    story(async |stage| {
        proposal(stage, "王芳", "没有令牌").await?;
        stage.tenant.revoke_app_tokens();
        stage.tenant.fault(Fault::token(2200).times(6));
        press(stage, "赵磊", "approve").await?;
        stage.later(HOUR).await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        assert!(stage.card_of("王芳")?.text.contains("已发送"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_was_refused_is_tried_again_until_somebody_listens() {
    // An address on which nobody listens yet.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", nobody.local_addr().expect("it is bound"));
    drop(nobody);
    story(async |stage| {
        proposal(stage, "王芳", "连不上").await?;
        press(stage, "赵磊", "approve").await?;
        let feishu = stage.tenant.open_url().to_owned();
        stage.restart_with(&[("FEISHU_OPEN_URL", &address)]).await?;
        // Not even a token is to be had, for longer and more often than credentials that are refused are tried.
        for _ in 0..10 {
            stage.later(HOUR / 60).await?;
        }
        assert!(stage.tenant.tasks().is_empty());
        let outcome: String = stage.rows("select outcome from batches").await?[0].try_get("outcome")?;
        assert!(outcome.contains(r#""waiting":"unreachable""#), "{outcome}");
        stage.restart_with(&[("FEISHU_OPEN_URL", &feishu)]).await?;
        stage.later(HOUR).await?;
        assert_eq!((stage.tenant.tasks().len(), copies(stage, "陈晨")), (1, 1));
        assert!(stage.card_of("王芳")?.text.contains("已发送"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_long_wait_is_shown_with_its_end_and_can_be_cut_short() {
    story(async |stage| {
        stage.tenant.fault(rate(Throttle::Headers, 90));
        let card = approved(stage, "等很久").await?;
        assert!(card.text.contains("等待中：飞书要求放慢") && card.text.contains("再试"), "{}", card.text);
        let id = Stage::id_on(&card);
        let status = stage.ask("王芳", &format!("/status {id}")).await?;
        assert!(status.text.contains("等待中"), "{}", status.text);
        assert_eq!(actions(stage, "王芳"), ["cancel"]);
        let pressed = press(stage, "王芳", "cancel").await?;
        assert!(pressed.says().contains("已取消，没有发送"), "{}", pressed.says());
        stage.later(HOUR).await?;
        assert!(stage.tenant.tasks().is_empty());
        assert!(stage.card_of("王芳")?.text.contains("已取消"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_broadcast_that_waits_holds_up_no_other() {
    story(async |stage| {
        stage.tenant.fault(rate(Throttle::NoHeaders, 1).times(1));
        proposal(stage, "王芳", "先来的").await?;
        press(stage, "赵磊", "approve").await?;
        proposal(stage, "林悦", "后来的").await?;
        press(stage, "赵磊", "approve").await?;
        stage.later(Duration::from_secs(60)).await?;
        assert_eq!(copies(stage, "陈晨"), 2);
        Ok(())
    })
    .await;
}

/// The table of the user's own page of `batch_send`, with words that the card must have.
const REFUSALS: [(i64, &str); 14] = [
    (10_003, "参数有误"),
    (11_101, "不存在的 open_id"),
    (11_203, "im:message:send_multi_users"),
    (11_204, "im:message:send_multi_depts"),
    (11_205, "机器人能力"),
    (11_207, "管理后台启用"),
    (11_209, "FEISHU_APP_ID"),
    (11_210, "安装并启用"),
    (11_223, "im:message:send_as_bot"),
    (11_227, "不属于本机器人"),
    (11_231, "机器人不在群里"),
    (11_235, "@所有人"),
    (11_246, "检查内容"),
    (11_312, "内容审核"),
];

#[tokio::test]
async fn every_documented_refusal_says_what_to_do() {
    story(async |stage| {
        for (code, words) in REFUSALS {
            stage.tenant.fault(Fault::code("batch_send", 200, code));
            let card = approved(stage, &format!("错误 {code}")).await?;
            assert!(card.text.contains("发送失败"), "{code}: {}", card.text);
            assert!(card.text.contains(&code.to_string()) && card.text.contains(words), "{code}: {}", card.text);
            assert_eq!(told(stage, &format!("没有发出去。飞书拒绝（{code}）")), 1, "{code}");
            assert!(actions(stage, "王芳").is_empty(), "{code}");
        }
        stage.later(24 * HOUR).await?;
        assert_eq!(stage.tenant.calls_to("batch_send").len(), REFUSALS.len(), "a refusal was repeated");
        assert!(stage.tenant.tasks().is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_refused_batch_does_not_undo_the_ones_before_it() {
    let company = (0..250).fold(crate::sandbox::Company::small(), |company, number| {
        company.person(&format!("员工{number:03}"), &["工厂"])
    });
    story_with(&[], company, async |stage| {
        stage.tenant.fault(Fault::code("batch_send", 200, 11_204).after(1));
        let ids: Vec<String> = (0..250).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
        stage.propose("王芳", &format!("/broadcast {} 额度", ids.join(","))).await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("部分发送") && card.text.contains("飞书已受理 1，被拒 1"), "{}", card.text);
        assert!(card.text.contains("im:message:send_multi_depts"), "{}", card.text);
        assert_eq!((copies(stage, "员工000"), copies(stage, "员工249")), (1, 0));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn wrong_credentials_are_a_failure_with_the_setting_to_look_at() {
    for (code, words) in [(10_014, "FEISHU_APP_ID"), (10_015, "FEISHU_APP_SECRET")] {
        story(async |stage| {
            proposal(stage, "王芳", "密钥换了").await?;
            stage.tenant.revoke_app_tokens();
            stage.tenant.fault(Fault::token(code));
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            // Until the credentials are right again, the bot cannot say so either.
            stage.later(HOUR).await?;
            let card = stage.card_of("王芳")?;
            assert!(card.text.contains("发送失败") && card.text.contains(words), "{}", card.text);
            assert!(stage.tenant.tasks().is_empty());
            Ok(())
        })
        .await;
    }
}

/// A page of whatever stands between the bot and Feishu says nothing about the credentials, however often it comes.
#[tokio::test]
async fn an_outage_that_answers_with_a_page_is_outlived() {
    story(async |stage| {
        proposal(stage, "王芳", "网关页面").await?;
        stage.tenant.revoke_app_tokens();
        stage.tenant.fault(Fault::body("token", 404, json!({ "message": "no such route" })).times(200));
        press(stage, "赵磊", "approve").await?;
        for _ in 0..10 {
            stage.later(HOUR / 60).await?;
        }
        let outcome: String = stage.rows("select outcome from batches").await?[0].try_get("outcome")?;
        assert!(outcome.contains(r#""waiting":"unreachable""#), "{outcome}");
        stage.tenant.clear_faults();
        stage.later(HOUR / 20).await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}
