//! What was taken back is not brought to those whom it had missed: a repair ends with what it repairs.

use feishu_broadcast::domain::audit::Deed;
use feishu_broadcast::domain::broadcast::State;
use feishu_broadcast::domain::ids::BroadcastId;
use serde_json::json;

use super::{comes_back, company, copies, ended, resend, told};
use crate::approve::{HOUR, press};
use crate::sandbox::{ChatMessage, Fault, Press};
use crate::schedule::written;
use crate::stage::{Stage, story_with};

/// The broadcast of [`ended`], and a proposal of the same to 甲; gives both cards of 王芳's.
async fn repaired(stage: &Stage) -> anyhow::Result<(ChatMessage, ChatMessage)> {
    let card = ended(stage).await?;
    comes_back(stage, "甲");
    resend(stage, &card).await?;
    Ok((card, stage.card_of("王芳")?))
}

/// A card of 王芳's as it is now.
fn now(stage: &Stage, card: &ChatMessage) -> ChatMessage {
    stage.person("王芳").sees(&card.message_id).expect("the card")
}

async fn state(stage: &Stage, card: &ChatMessage) -> anyhow::Result<State> {
    let id = BroadcastId::parse(&Stage::id_on(card)).expect("an id on the card");
    Ok(stage.bot.app.store.broadcast(&id).await?.expect("it was proposed").state)
}

#[tokio::test]
async fn a_repair_that_waits_for_approval_ends_with_what_it_repairs() {
    story_with(&[], company(), async |stage| {
        let (card, repair) = repaired(stage).await?;
        let (id, next) = (Stage::id_on(&card), Stage::id_on(&repair));
        let asked = stage.card_of("赵磊")?;
        let answer = stage.ask("周明", &format!("/recall {id}")).await?;
        assert!(answer.text.contains(&format!("补发 {next} 没发出的部分已取消")), "{}", answer.text);

        let ended = now(stage, &repair);
        assert!(ended.text.starts_with("已取消"), "{}", ended.text);
        for words in [format!("它补发的群发 {id} 被"), "没有发送".to_owned()] {
            assert!(ended.text.contains(&words), "{words}: {}", ended.text);
        }
        let told_why = format!("补发 {next} 已取消，没有发送：它补发的群发 {id} 被撤回了");
        assert!(stage.person("王芳").chat().iter().any(|m| m.text.contains(&told_why)), "its author hears of it");
        let late = stage.person("赵磊").presses(&asked, "approve").await;
        assert!(
            late.is_err() || late.is_ok_and(|pressed| pressed.says().contains("来晚了")),
            "it can still be approved"
        );
        stage.later(2 * HOUR).await?;
        assert_eq!((copies(stage, &["甲"]), state(stage, &repair).await?), (vec![0], State::Cancelled));
        let first = now(stage, &card);
        assert!(first.text.starts_with("已撤回") && !first.text.contains("不在这次撤回之内"), "{}", first.text);
        let status = stage.ask("王芳", &format!("/status {next}")).await?;
        assert!(status.text.contains(&format!("取消：它补发的群发 {id} 被撤回")), "{}", status.text);
        let rows = stage.bot.app.store.story(&BroadcastId::parse(&next).expect("an id"), 20).await?;
        let cancelled: Vec<_> = rows.iter().filter(|row| row.deed == Deed::Cancelled.as_str()).collect();
        assert_eq!(cancelled.len(), 1, "{rows:?}");
        assert_eq!(cancelled[0].actor, stage.person("周明").open_id);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_last_batch_taken_back_alone_is_all_of_it() {
    story_with(&[], company(), async |stage| {
        let (card, repair) = repaired(stage).await?;
        let (id, next) = (Stage::id_on(&card), Stage::id_on(&repair));
        let answer = stage.ask("周明", &format!("/recall {id} 1")).await?;
        assert!(answer.text.contains(&format!("补发 {next} 没发出的部分已取消")), "{}", answer.text);
        stage.later(2 * HOUR).await?;
        assert_eq!((copies(stage, &["甲"]), state(stage, &repair).await?), (vec![0], State::Cancelled));
        assert!(now(stage, &card).text.starts_with("已撤回"), "{}", now(stage, &card).text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_repair_that_is_approved_and_waits_for_its_time_ends_as_well() {
    story_with(&[], company(), async |stage| {
        let (card, repair) = repaired(stage).await?;
        let at = format!("{} +0800", written(stage, 3 * HOUR));
        press(stage, "王芳", Press::action("schedule").option(&at)).await?;
        stage.settle().await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(state(stage, &repair).await?, State::Scheduled);
        let pressed = stage.person("王芳").presses(&now(stage, &card), "recall").await.map_err(anyhow::Error::msg)?;
        let dialog = pressed.confirm.as_ref().expect("a dialog").to_string();
        assert!(dialog.contains("还没发出的补发会一起取消"), "{dialog}");
        assert!(pressed.says().contains(&format!("补发 {}", Stage::id_on(&repair))), "{}", pressed.says());
        stage.later(4 * HOUR).await?;
        assert_eq!((copies(stage, &["甲"]), state(stage, &repair).await?), (vec![0], State::Cancelled));
        assert!(!told(stage).contains("已取消，没有发送"), "whoever did it knows it");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_repair_that_was_sent_is_named_and_neither_repaired_nor_sent_again() {
    story_with(&[], company(), async |stage| {
        let card = ended(stage).await?;
        comes_back(stage, "甲");
        comes_back(stage, "乙");
        resend(stage, &card).await?;
        // 乙 leaves once more before it is sent, and comes back: a repair of the repair.
        let left = |resigned: bool| {
            stage.tenant.reorganise(|company| {
                company.people.iter_mut().filter(|p| p.name == "乙").for_each(|person| person.resigned = resigned);
            });
        };
        left(true);
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let second = stage.card_of("王芳")?;
        assert!(second.text.contains("部分发送"), "{}", second.text);
        left(false);
        resend(stage, &second).await?;
        let third = stage.card_of("王芳")?;
        assert_ne!(Stage::id_on(&third), Stage::id_on(&second));

        let answer = stage.ask("王芳", &format!("/recall {}", Stage::id_on(&card))).await?;
        let (second_id, third_id) = (Stage::id_on(&second), Stage::id_on(&third));
        let sent = format!("补发 {second_id} 已经发出，不在这次撤回之内；要撤回它：/recall {second_id}");
        for words in [&format!("补发 {third_id} 没发出的部分已取消"), &sent] {
            assert!(answer.text.contains(words), "{words}: {}", answer.text);
        }
        stage.settle().await?;
        assert!(now(stage, &card).text.contains(&sent), "{}", now(stage, &card).text);
        assert_eq!((copies(stage, &["甲", "乙"]), state(stage, &third).await?), (vec![1, 0], State::Cancelled));
        let again = resend(stage, &now(stage, &second)).await?;
        assert!(again.contains("它补发的群发已被撤回"), "{again}");
        stage.later(HOUR).await?;
        assert_eq!(copies(stage, &["甲", "乙"]), [1, 0]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_repair_in_doubt_is_not_sent_again_once_its_source_is_taken_back() {
    story_with(&[], company(), async |stage| {
        let (card, repair) = repaired(stage).await?;
        stage.tenant.fault(Fault::code("batch_send", 500, 2200));
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(state(stage, &repair).await?, State::InDoubt);
        let answer = stage.ask("王芳", &format!("/recall {}", Stage::id_on(&card))).await?;
        assert!(answer.text.contains("已经发出，不在这次撤回之内"), "{}", answer.text);
        let again = resend(stage, &now(stage, &repair)).await?;
        assert!(again.contains("它补发的群发已被撤回"), "{again}");
        assert_eq!((copies(stage, &["甲"]), state(stage, &repair).await?), (vec![0], State::InDoubt));
        stage.person("王芳").presses(&now(stage, &repair), "settle").await.map_err(anyhow::Error::msg)?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_approval_looks_once_more_at_what_it_would_repair() {
    story_with(&[], company(), async |stage| {
        let (card, repair) = repaired(stage).await?;
        let asked = stage.card_of("赵磊")?;
        // Taken back by whatever way: here by none that would have stopped the repair as well.
        let id = BroadcastId::parse(&Stage::id_on(&card)).expect("an id on the card");
        let mut tx = stage.bot.app.store.begin().await?;
        let before = tx.broadcast(&id).await?.expect("it was sent");
        let mut after = serde_json::to_value(&before)?;
        after["state"] = serde_json::to_value(State::Recalled)?;
        after["revision"] = json!(before.revision + 1);
        tx.update_broadcast(&serde_json::from_value(after)?, before.revision).await?;
        tx.commit().await?;
        let pressed = stage.person("赵磊").presses(&asked, "approve").await.map_err(anyhow::Error::msg)?;
        assert!(pressed.says().contains("它补发的群发已被撤回"), "{}", pressed.says());
        stage.later(HOUR).await?;
        assert_eq!((copies(stage, &["甲"]), state(stage, &repair).await?), (vec![0], State::Pending));
        press(stage, "赵磊", "reject").await?;
        Ok(())
    })
    .await;
}
