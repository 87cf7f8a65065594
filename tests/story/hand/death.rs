//! Every await of a recall, a reminder and an edit is a place to die at: afterwards it has happened once, or not at all
//! and happens then.

use std::time::Duration;

use anyhow::{Context, ensure};
use feishu_broadcast::app::{inbox, life, tidy};

use super::{once, told};
use crate::approve::{actions, press as presses, proposal};
use crate::crash::death::{die, die_later_each_time, die_pressing};
use crate::sandbox::{Company, Press};
use crate::stage::{Stage, story_with};

async fn dying(step: &str, life: impl AsyncFnMut(&mut Stage, usize) -> anyhow::Result<bool>) {
    let settings = [("APPROVAL_TTL", "2h")];
    story_with(&settings, Company::small(), async |stage| die_later_each_time(stage, step, life).await).await;
}

#[tokio::test]
async fn while_a_command_is_recalled() {
    dying("a command is recalled", async |stage, moment| {
        let id = Stage::id_on(&proposal(stage, "王芳", &format!("第{moment}次撤回")).await?);
        let wang = stage.person("王芳");
        wang.recalls(&wang.last_said().context("the command")?).await;
        let alive = die(stage, moment, async |app| inbox::step(&app).await.map(drop)).await?;
        stage.settle().await?;
        once(stage, "王芳", &format!("所以群发 {id} 已取消"));
        ensure!(stage.card_of("赵磊")?.text.contains("命令消息被撤回了"), "the approver's card is behind");
        Ok(alive)
    })
    .await;
}

#[tokio::test]
async fn while_people_are_reminded() {
    dying("people are reminded", async |stage, moment| {
        let id = Stage::id_on(&proposal(stage, "王芳", &format!("第{moment}次提醒")).await?);
        for _ in 0..19 {
            stage.tenant.later(Duration::from_secs(5 * 60)).await;
            life::beat(&stage.bot.app).await?;
        }
        let alive = die(stage, moment, async |app| tidy::step(&app).await.map(drop)).await?;
        stage.settle().await?;
        for (name, words) in [("赵磊", "还在等你审批"), ("周明", "还在等你审批"), ("王芳", "还差 1 人审批")]
        {
            once(stage, name, &format!("群发 {id} {words}"));
        }
        presses(stage, "王芳", "cancel").await?;
        stage.settle().await?;
        Ok(alive)
    })
    .await;
}

#[tokio::test]
async fn while_a_content_is_written_anew() {
    dying("a content is written anew", async |stage, moment| {
        let before = stage.person("陈晨").inbox().len();
        let words = format!("第{moment}版");
        let card = proposal(stage, "王芳", &words).await?;
        let edit = Press::action("edit").field("content", format!("{words}改"));
        let alive = die_pressing(stage, moment, "王芳", &card, edit).await?;
        stage.settle().await?;
        // Whichever of both is on the cards is what leaves, and it leaves once.
        let shown = stage.card_of("赵磊")?.text.contains(&format!("{words}改"));
        ensure!(shown || !alive, "the edit was lost");
        ensure!(stage.card_of("王芳")?.text.contains("这是新版本") == shown, "the cards differ");
        presses(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let inbox = stage.person("陈晨").inbox();
        ensure!(inbox.len() == before + 1, "{} copies", inbox.len() - before);
        ensure!(inbox[before].content.to_string().contains('改') == shown, "sent is what was not shown");
        ensure!(!actions(stage, "王芳").contains(&"edit".to_owned()), "it can still be changed");
        ensure!(told(stage, "赵磊", "已作废").is_empty(), "nobody had approved");
        Ok(alive)
    })
    .await;
}
