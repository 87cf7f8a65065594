//! Everything that batch send can carry, said in chat without writing a request: what arrives is what was meant, what
//! cannot be sent is refused before anyone is asked, and what may not be meant is held until its author says so.

mod confirm;
mod invalid;
mod kinds;
mod preview;
mod reading;
mod refused;
mod repair;
mod trouble;

use std::time::Duration;

use anyhow::{Context, ensure};
use feishu_broadcast::store::broadcasts::Which;
use serde_json::{Value, json};

use crate::approve::press;
use crate::sandbox::ChatMessage;
use crate::sandbox::draft::Draft;
use crate::stage::Stage;

/// The beginning of a PNG of so many pixels, followed by so many bytes of a kind: as much of a picture as anyone looks at.
pub(crate) fn png(width: u32, height: u32, fill: u8, bytes: usize) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(width.to_be_bytes());
    png.extend(height.to_be_bytes());
    png.extend([8, 6, 0, 0, 0]);
    png.resize(png.len() + bytes, fill);
    png
}

/// 王芳 sends something to the bot, and the bot has answered it.
pub(crate) async fn sent(stage: &Stage, draft: Draft) -> anyhow::Result<ChatMessage> {
    let wang = stage.person("王芳");
    let pushed = wang.sends(draft).await;
    ensure!(pushed.status == 200, "the bot answered {}", pushed.status);
    stage.settle().await?;
    while wang.unread().is_some() {}
    wang.last_said().context("it was just sent")
}

/// 王芳 answers a message with a command; gives what the bot says to that.
pub(crate) async fn replied(stage: &Stage, to: &str, command: &str) -> anyhow::Result<ChatMessage> {
    let wang = stage.person("王芳");
    while wang.unread().is_some() {}
    let pushed = wang.replies(to, command).await;
    ensure!(pushed.status == 200, "the bot answered {}", pushed.status);
    stage.settle().await?;
    wang.unread().with_context(|| format!("no answer to {command}"))
}

/// 王芳 sends something and answers it with `/broadcast` to 陈晨; gives her card.
pub(crate) async fn proposed(stage: &Stage, draft: Draft) -> anyhow::Result<ChatMessage> {
    let said = sent(stage, draft).await?;
    let answer = replied(stage, &said.message_id, &format!("/broadcast {}", stage.person("陈晨").open_id)).await?;
    ensure!(answer.card.is_some(), "no card, but: {}", answer.text);
    Ok(answer)
}

/// 赵磊 approves what waits for him; gives the one request that went out since, as it was recorded.
pub(crate) async fn approved(stage: &Stage) -> anyhow::Result<Value> {
    let before = stage.tenant.tasks().len();
    press(stage, "赵磊", "approve").await?;
    stage.settle().await?;
    let tasks = stage.tenant.tasks();
    let [task] = &tasks[before..] else { anyhow::bail!("{} requests went out", tasks.len() - before) };
    Ok(task.body.clone())
}

/// The request that is expected, to 陈晨 alone.
pub(crate) fn to_chen(stage: &Stage, mut content: Value) -> Value {
    content["open_ids"] = json!([stage.person("陈晨").open_id]);
    content
}

/// How many broadcasts are on the books.
pub(crate) async fn on_the_books(stage: &Stage) -> anyhow::Result<usize> {
    Ok(stage.bot.app.store.recent(None, Which::All).await?.len())
}

/// So many minutes pass, and the bot works in each of them.
pub(crate) async fn minutes(stage: &Stage, minutes: u32) -> anyhow::Result<()> {
    for _ in 0..minutes {
        stage.later(Duration::from_secs(60)).await?;
    }
    Ok(())
}

/// The keys of the images that the bot has uploaded, oldest first.
pub(crate) fn uploaded(stage: &Stage) -> Vec<String> {
    let calls = stage.tenant.calls_to("images.create").into_iter();
    calls.filter_map(|call| call.response["data"]["image_key"].as_str().map(str::to_owned)).collect()
}
