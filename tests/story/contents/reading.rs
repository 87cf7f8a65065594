//! Cards as their readers get them: small enough whatever is on them, and the same in both languages.

use serde_json::{Value, json};

use super::{png, proposed};
use crate::approve::press;
use crate::sandbox::ChatMessage;
use crate::sandbox::draft::Draft;
use crate::stage::{Stage, story};

/// Bytes of a card in a request. Source: contract "facts that decide the version": our own cap.
const CARD_BYTES_MAX: usize = 24 * 1024;

fn bytes(card: &ChatMessage) -> usize {
    Value::String(card.content.to_string()).to_string().len()
}

fn all_fit(stage: &Stage) -> anyhow::Result<()> {
    for name in ["王芳", "赵磊", "周明"] {
        let card = stage.card_of(name)?;
        assert!(bytes(&card) <= CARD_BYTES_MAX, "{name}'s card has {} bytes", bytes(&card));
    }
    Ok(())
}

/// Everything that can be found, as often and as long as can be.
fn suspicious() -> String {
    let gap = |n: usize| format!("{{{{字段{n}{}}}}}", "很长".repeat(15));
    let id =
        ["11010519491231002X", "440524188001010014", "6222021234567890128", "110105194912310038", "11010519491231002X"];
    let mut text: String = (0..20).map(gap).collect();
    for (n, number) in id.iter().enumerate() {
        text.push_str(&format!("\n密码：{}secret{n}Ab9 证件 {number} 。", "\\\"".repeat(3)));
        text.push_str(&format!(
            "\n@所有人 **{}{n}** <b>{}</b>\n# 标题{n}{}\n",
            "粗".repeat(40),
            "\"\\".repeat(30),
            "题".repeat(40)
        ));
    }
    text + &"\"\\\n".repeat(800)
}

#[tokio::test]
async fn the_longest_findings_leave_cards_that_can_be_sent() {
    story(async |stage| {
        let mut targets: Vec<String> = (0..60).map(|n| format!("ou_{n:032}")).collect();
        targets.extend((0..30).map(|n| format!("od-{n:032}")));
        targets.push(stage.person("陈晨").open_id);
        let command = format!("/broadcast {} {}", targets.join(","), suspicious());
        let card = stage.propose("王芳", &command).await?;
        assert!(card.text.contains("待发起人确认内容") && card.text.matches("⚠️").count() > 3, "{}", card.text);
        assert!(bytes(&card) <= CARD_BYTES_MAX, "{} bytes", bytes(&card));
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        all_fit(stage)?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        all_fit(stage)?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("无效 ID 共 90 个"), "{}", card.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_rich_text_of_many_images_shows_the_first_ones() {
    story(async |stage| {
        let keys: Vec<String> = (0..12).map(|n| format!("img_v3_{n}")).collect();
        let nodes: Vec<Value> = keys.iter().map(|key| json!([{ "tag": "img", "image_key": key }])).collect();
        let mut draft = Draft::post(json!({ "title": "图集", "content": nodes }));
        for (n, key) in (0_u8..).zip(&keys) {
            draft = draft.attaching(key, "image", &png(4, 4, n, 50));
        }
        let card = proposed(stage, draft).await?;
        assert_eq!(crate::sandbox::cards::image_keys(&card.content).len(), 4);
        assert!(card.text.contains("另有 8 张"), "{}", card.text);
        all_fit(stage)?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_long_card_and_a_long_template_are_read_in_full() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        let elements: Vec<Value> =
            (0..40).map(|n| json!({ "tag": "markdown", "content": format!("第{n}段{}", "话".repeat(120)) })).collect();
        let card = json!({ "schema": "2.0", "body": { "elements": elements } });
        stage.ask("王芳", &format!("/broadcast --card {to} {card}")).await?;
        all_fit(stage)?;
        let whole: String = stage.person("赵磊").chat().iter().map(|message| message.text.clone()).collect();
        assert!(whole.contains("第39段"), "the approver reads it to its end");
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let words = "字".repeat(2000);
        stage.ask("王芳", &format!("/broadcast --template ctp_1 --var a={words} {to}")).await?;
        all_fit(stage)?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_the_bot_cannot_read_as_a_command_it_says_how_to_broadcast() {
    story(async |stage| {
        for (draft, words) in [
            (Draft::image("img_v3_x", &png(1, 1, 1, 1)), "请「回复」这条消息，只写收件人，例如：/broadcast 销售部"),
            (Draft::chat("oc_1"), "请「回复」这条消息，只写收件人"),
            (Draft::card(json!({ "elements": [] })), "请「回复」这条消息，只写收件人"),
            (Draft::file("file_v3_x", "名单.csv", b"x"), "请「回复」它并写上内容，例如：/broadcast file"),
            (Draft::new("audio", json!({ "file_key": "file_v3_a" })), "例如：/broadcast"),
        ] {
            stage.person("王芳").sends(draft).await;
            stage.settle().await?;
            let answer = stage.person("王芳").chat().pop().expect("an answer");
            assert!(answer.from_bot && answer.text.contains(words), "{}", answer.text);
        }
        Ok(())
    })
    .await;
}
