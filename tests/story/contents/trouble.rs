//! Feishu has trouble while a content is fetched: it is tried again, the author hears of it, and in the end there is one
//! broadcast.

use serde_json::json;

use super::{approved, minutes, on_the_books, png, sent, to_chen, uploaded};
use crate::sandbox::draft::Draft;
use crate::sandbox::{Fault, When, Wire};
use crate::stage::{Stage, story};

/// 王芳 answers an image that she has sent.
async fn asks(stage: &Stage) -> anyhow::Result<()> {
    let said = sent(stage, Draft::image("img_v3_hers", &png(10, 10, 3, 300))).await?;
    let command = format!("/broadcast {}", stage.person("陈晨").open_id);
    assert_eq!(stage.person("王芳").replies(&said.message_id, &command).await.status, 200);
    Ok(())
}

/// 王芳 types a card with an image that the bot has uploaded before, and the trouble is there when she does.
async fn asks_for_a_card(stage: &Stage, trouble: impl Fn(&Stage)) -> anyhow::Result<()> {
    asks(stage).await?;
    stage.settle().await?;
    approved(stage).await?;
    let key = uploaded(stage).pop().expect("an upload");
    let card = json!({ "schema": "2.0", "body": { "elements": [
        { "tag": "img", "img_key": key, "alt": { "tag": "plain_text", "content": "" } }] } });
    trouble(stage);
    let command = format!("/broadcast --card {} {card}", stage.person("陈晨").open_id);
    assert_eq!(stage.person("王芳").says(&command).await.status, 200);
    Ok(())
}

/// Whatever `trouble` is, it passes, and there is one broadcast in the end.
async fn passes(endpoint: &str, trouble: impl Fn(&Stage)) {
    story(async |stage| {
        let before = usize::from(endpoint == "images.get");
        if before == 1 {
            asks_for_a_card(stage, trouble).await?;
        } else {
            trouble(stage);
            asks(stage).await?;
        }
        minutes(stage, 5).await?;
        assert_eq!(on_the_books(stage).await?, before + 1, "{endpoint}");
        let key = uploaded(stage).pop().expect("an upload");
        let body = approved(stage).await?;
        if before == 1 {
            assert_eq!(body["card"]["body"]["elements"][0]["img_key"], key);
        } else {
            assert_eq!(body, to_chen(stage, json!({ "msg_type": "image", "content": { "image_key": key } })));
        }
        assert_eq!(stage.person("陈晨").inbox().len(), before + 1, "{endpoint}");
        Ok(())
    })
    .await;
}

const ENDPOINTS: [&str; 4] = ["messages.get", "messages.resource", "images.create", "images.get"];

#[tokio::test]
async fn a_rate_limit() {
    for endpoint in ENDPOINTS {
        passes(endpoint, |stage| stage.tenant.fault(Fault::rate(endpoint, 2))).await;
    }
}

#[tokio::test]
async fn an_internal_error() {
    for endpoint in ENDPOINTS {
        passes(endpoint, |stage| stage.tenant.fault(Fault::code(endpoint, 500, 2200).times(3))).await;
    }
}

#[tokio::test]
async fn a_gateway_that_answers_for_feishu() {
    for endpoint in ENDPOINTS {
        passes(endpoint, |stage| stage.tenant.fault(Fault::wire(endpoint, When::BeforeAccept, Wire::Html502).times(2)))
            .await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off() {
    for endpoint in ENDPOINTS {
        passes(endpoint, |stage| stage.tenant.fault(Fault::lost_answer(endpoint))).await;
        passes(endpoint, |stage| stage.tenant.fault(Fault::wire(endpoint, When::AfterAccept, Wire::TruncatedBody)))
            .await;
    }
}

#[tokio::test]
async fn a_token_that_has_gone_stale() {
    for endpoint in ENDPOINTS {
        passes(endpoint, |stage| stage.tenant.revoke_app_tokens()).await;
    }
}

#[tokio::test]
async fn the_author_hears_once_that_it_takes_longer_and_in_the_end_that_it_was_given_up() {
    story(async |stage| {
        stage.tenant.fault(Fault::code("messages.resource", 500, 2200).times(1000));
        asks(stage).await?;
        minutes(stage, 2).await?;
        let told = |words: &str| {
            let chat = stage.person("王芳").chat();
            chat.iter().filter(|message| message.from_bot && message.text.contains(words)).count()
        };
        assert_eq!(told("命令已收到并保存，暂时办不了"), 1);
        assert_eq!((on_the_books(stage).await?, told("没有办成")), (0, 0));
        minutes(stage, 130).await?;
        assert_eq!((on_the_books(stage).await?, told("没有办成")), (0, 1));
        stage.tenant.clear_faults();
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_image_is_uploaded_once_though_the_command_is_begun_several_times() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        // The second image is not to be had at first; the first one is there by then.
        stage.tenant.fault(Fault::code("images.create", 500, 2200).after(1).times(2));
        let post = json!({ "title": "", "content": [[{ "tag": "text", "text": format!("/broadcast {to}") }],
            [{ "tag": "img", "image_key": "img_v3_a" }], [{ "tag": "img", "image_key": "img_v3_b" }],
            [{ "tag": "img", "image_key": "img_v3_a" }]] });
        let draft = Draft::post(post).attaching("img_v3_a", "image", &png(1, 1, 1, 1));
        stage.person("王芳").sends(draft.attaching("img_v3_b", "image", &png(1, 1, 2, 1))).await;
        minutes(stage, 2).await?;
        assert_eq!(on_the_books(stage).await?, 1);
        assert_eq!(stage.tenant.with(|world| world.images.len()), 2, "as many as there are pictures");
        let keys = uploaded(stage);
        let body = approved(stage).await?;
        let content = &body["content"]["post"]["zh_cn"]["content"];
        let shown: Vec<&str> = (0..3).filter_map(|n| content[n][0]["image_key"].as_str()).collect();
        assert_eq!(shown, [&keys[0], &keys[1], &keys[0]]);
        Ok(())
    })
    .await;
}
