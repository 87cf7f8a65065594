//! A database that another version of the program wrote: what it holds goes on, and what cannot be read holds up nothing.

use anyhow::Context;
use feishu_broadcast::domain::ids::BroadcastId;
use serde_json::json;

use crate::approve::{press, proposal};
use crate::sandbox::{ChatMessage, Press};
use crate::stage::{Stage, story};

fn id_of(card: &ChatMessage) -> anyhow::Result<BroadcastId> {
    BroadcastId::parse(&Stage::id_on(card)).context("an id on the card")
}

async fn write(stage: &Stage, id: &BroadcastId, doc: &str) -> anyhow::Result<()> {
    stage.sql(format!("update broadcasts set doc = '{}' where id = '{id}'", doc.replace('\'', "''"))).await
}

/// Puts a broadcast back into the form it had when its document held the whole audience.
async fn as_it_was_kept(stage: &Stage, id: &BroadcastId) -> anyhow::Result<()> {
    let mut tx = stage.bot.app.store.begin().await?;
    let broadcast = tx.broadcast(id).await?.context("it was proposed")?;
    let audience = tx.audience(id).await?;
    drop(tx);
    let mut doc = serde_json::to_value(&broadcast)?;
    doc["audience"] = serde_json::to_value(&audience)?;
    doc["audience"]["covered"] = json!([{ "department": "总经办", "inside": "市场部" }]);
    for newer in ["findings", "unaccepted", "repaired", "repairs", "terms", "recall", "corrected", "corrects"] {
        doc.as_object_mut().context("a document")?.remove(newer);
    }
    write(stage, id, &doc.to_string()).await?;
    stage.sql(format!("delete from audiences where broadcast = '{id}'")).await
}

#[tokio::test]
async fn a_broadcast_whose_document_held_its_whole_audience_goes_on() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 客服部,市场部 早先写下的").await?;
        as_it_was_kept(stage, &id_of(&card)?).await?;
        stage.restart().await?;
        let east =
            stage.tenant.with(|world| world.company.at("华东/客服部").expect("there").open_department_id.clone());
        let pick = Press::action("pick").option(&east);
        stage.person("王芳").presses(&card, pick).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let copies = ["罗敏", "林悦", "谢婷"].map(|name| stage.person(name).inbox().len());
        assert_eq!(copies, [1, 1, 0]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_broadcast_that_cannot_be_read_holds_up_no_other() {
    story(async |stage| {
        let of_another_version = proposal(stage, "王芳", "批次读不出来").await?;
        press(stage, "赵磊", "approve").await?;
        stage
            .sql(format!("update batches set outcome = '[]' where broadcast = '{}'", id_of(&of_another_version)?))
            .await?;
        let broken = proposal(stage, "王芳", "读不出来").await?;
        press(stage, "赵磊", "approve").await?;
        write(stage, &id_of(&broken)?, "{}").await?;
        let sound = proposal(stage, "林悦", "照常发送").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let told = stage.person("王芳").chat().into_iter().filter(|message| message.text.contains("停住了"));
        assert_eq!(told.count(), 1, "the one that can be read but for its batches");
        let said: Vec<String> = stage.person("陈晨").inbox().into_iter().map(|copy| copy.text).collect();
        assert_eq!(said, ["照常发送"]);
        let list = stage.ask("林悦", "/list").await?;
        assert!(
            list.text.contains(&Stage::id_on(&sound)) && !list.text.contains(&Stage::id_on(&broken)),
            "{}",
            list.text
        );
        Ok(())
    })
    .await;
}
