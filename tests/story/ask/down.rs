//! Feishu is down, slow or talks nonsense while a command is worked on: the author is told once, the command is kept,
//! and goes through later, once.

use std::time::Duration;

use feishu_broadcast::app::inbox;

use super::proposed;
use crate::sandbox::{Effect, Fault, When, Wire};
use crate::stage::{Stage, story};

const COMMAND: &str = "/broadcast 销售部 明天开会";
const MINUTE: Duration = Duration::from_secs(60);

fn told(stage: &Stage, words: &str) -> usize {
    let chat = stage.person("王芳").chat();
    chat.iter().filter(|message| message.from_bot && message.text.contains(words)).count()
}

/// The same fault three times in a row; then everything is well.
async fn trouble(fault: Fault) {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.fault(fault.times(3));
        assert_eq!(stage.person("王芳").says("/broadcast 大客户组 明天开会").await.status, 200);
        for _ in 0..5 {
            stage.later(MINUTE).await?;
        }
        assert_eq!(told(stage, "我会继续尝试"), 1, "told once, in words");
        assert_eq!(proposed(stage).await?, 1);
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(stage.person("马超").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_waited_out() {
    trouble(Fault::wire("departments.search", When::BeforeAccept, Wire::Drop)).await;
}

#[tokio::test]
async fn a_gateway_that_answers_in_html_is_waited_out() {
    trouble(Fault::wire("departments.search", When::BeforeAccept, Wire::Html502)).await;
}

#[tokio::test]
async fn an_answer_that_is_cut_is_waited_out() {
    trouble(Fault::wire("departments.search", When::AfterAccept, Wire::TruncatedJson)).await;
}

#[tokio::test]
async fn a_rate_limit_is_waited_out() {
    trouble(Fault::rate("departments.search", 3)).await;
}

#[tokio::test]
async fn an_internal_error_is_waited_out() {
    trouble(Fault::code("departments.search", 500, 48_002)).await;
}

#[tokio::test]
async fn paths_that_cannot_be_read_for_the_moment_are_waited_for() {
    trouble(Fault::wire("departments.batch", When::BeforeAccept, Wire::Html502)).await;
}

#[tokio::test]
async fn after_a_long_time_the_author_is_told_that_nothing_was_done() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.fault(Fault::wire("departments.search", When::BeforeAccept, Wire::Html502).times(1000));
        stage.person("王芳").says(COMMAND).await;
        for _ in 0..11 {
            stage.later(10 * MINUTE).await?;
        }
        assert_eq!(told(stage, "没有办成"), 0, "an outage of nearly two hours is waited out");
        for _ in 0..2 {
            stage.later(10 * MINUTE).await?;
        }
        stage.tenant.clear_faults();
        assert_eq!(told(stage, "没有办成，也没有发送任何内容"), 1);
        assert_eq!(proposed(stage).await?, 0);
        // What is over is over: nothing happens later, and a new command works.
        stage.later(60 * MINUTE).await?;
        assert_eq!(proposed(stage).await?, 0);
        stage.propose("王芳", COMMAND).await?;
        assert_eq!(proposed(stage).await?, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_whose_work_never_ends_is_given_up_with_the_reason() {
    for (cut_short, told_so) in [(11, 0), (12, 1)] {
        story(async |stage| {
            stage.authorize("王芳").await?;
            stage.person("王芳").says(COMMAND).await;
            stage.sql(format!("update inbox set attempts = {cut_short} where state = 'new'")).await?;
            stage.settle().await?;
            assert_eq!((told(stage, "一次也没有做完"), proposed(stage).await?), (told_so, 1 - told_so));
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_set_up_that_must_be_mended_is_said_at_once_with_what_to_click() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.fault(Fault::code("departments.search", 400, 99_991_672));
        let answer = stage.ask("王芳", COMMAND).await?;
        assert!(answer.text.contains("权限管理") && answer.text.contains("没有发送任何内容"), "{}", answer.text);
        stage.later(10 * MINUTE).await?;
        assert_eq!(proposed(stage).await?, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_name_that_cannot_be_searched_is_no_reason_to_keep_trying() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.fault(Fault::code("departments.search", 400, 48_001));
        let answer = stage.ask("王芳", COMMAND).await?;
        assert!(answer.text.contains("无法搜索"), "{}", answer.text);
        stage.later(10 * MINUTE).await?;
        assert_eq!(stage.tenant.calls_to("departments.search").len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_got_lost_is_said_again_and_read_once() {
    story(async |stage| {
        for effect in [
            Effect::Transport(When::AfterAccept, Wire::Drop),
            Effect::Transport(When::AfterAccept, Wire::Html502),
            Effect::Transport(When::BeforeAccept, Wire::Drop),
        ] {
            stage.tenant.fault(Fault::on("messages.reply", effect));
            let before = stage.person("王芳").chat().len();
            stage.person("王芳").says("/whoami").await;
            stage.later(MINUTE).await?;
            assert_eq!(stage.person("王芳").chat().len(), before + 2, "one question, one answer");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_taken_back_before_the_answer_is_answered_in_a_message_of_its_own() {
    story(async |stage| {
        let wang = stage.person("王芳");
        wang.says("/whoami").await;
        let said = wang.chat().pop().expect("was said");
        inbox::step(&stage.bot.app).await?;
        wang.recalls(&said).await;
        stage.settle().await?;
        let answer = wang.chat().pop().expect("an answer");
        assert!(
            answer.from_bot && answer.parent_id.is_none() && answer.text.contains(&wang.open_id),
            "{}",
            answer.text
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn commands_wait_in_the_store_while_the_apps_token_cannot_be_had() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.revoke_app_tokens();
        stage.tenant.fault(Fault::token(2200).times(3));
        stage.person("王芳").says(COMMAND).await;
        for _ in 0..4 {
            stage.later(MINUTE).await?;
        }
        assert_eq!(proposed(stage).await?, 1);
        assert!(stage.card_of("赵磊")?.text.contains("明天开会"));
        Ok(())
    })
    .await;
}
