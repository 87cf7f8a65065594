//! The five kinds of messages, each from the ways in which people ask for it, in the very request that was recorded.

use serde_json::{Value, json};

use super::{approved, png, proposed, replied, sent, to_chen, uploaded};
use crate::sandbox::ChatMessage;
use crate::sandbox::draft::Draft;
use crate::stage::{Stage, story};

/// Everybody who decides sees the same, and 陈晨 gets it once.
async fn goes_out(stage: &Stage, card: &ChatMessage, shown: &[&str], content: Value) -> anyhow::Result<()> {
    for seen in [card, &stage.card_of("赵磊")?, &stage.card_of("周明")?] {
        for words in shown {
            assert!(seen.text.contains(words), "{words} is missing in\n{}", seen.text);
        }
    }
    let before = stage.person("陈晨").inbox().len();
    assert_eq!(approved(stage).await?, to_chen(stage, content));
    assert_eq!(stage.person("陈晨").inbox().len(), before + 1);
    Ok(())
}

/// The images that a card shows.
fn images(card: &ChatMessage) -> Vec<String> {
    crate::sandbox::cards::image_keys(&card.content)
}

#[tokio::test]
async fn in_a_text_mentions_are_names_and_links_stay_links() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        let said = format!("/broadcast {to} 请找 @周明\n详见 [公告](https://e.com/a) 或 <at user_id=\"all\"></at>");
        assert_eq!(stage.person("王芳").says_with(&said, &["周明"]).await.status, 200);
        stage.settle().await?;
        let text = "请找 @周明\n详见 公告 (https://e.com/a) 或 <\u{200B}at user_id=\"all\"></at>";
        let content = json!({ "msg_type": "text", "content": { "text": text } });
        goes_out(stage, &stage.card_of("王芳")?, &["请找 @周明", "公告 (https://e.com/a)"], content).await
    })
    .await;
}

#[tokio::test]
async fn a_text_that_was_replied_to_is_sent_as_it_stands() {
    story(async |stage| {
        let said = Draft::text("@陈晨 明天\n\n　放假，见 [这里](https://e.com)").mentioning(&["陈晨"]);
        let card = proposed(stage, said).await?;
        let content =
            json!({ "msg_type": "text", "content": { "text": "@陈晨 明天\n\n　放假，见 这里 (https://e.com)" } });
        goes_out(stage, &card, &["@陈晨 明天", "**内容**"], content).await
    })
    .await;
}

/// A rich text with everything in it that people can put there.
fn rich(first: &str) -> Draft {
    let post = json!({ "title": "放假 <at user_id=\"all\"></at>", "content": [
        [{ "tag": "text", "text": first, "style": ["bold"] }],
        [{ "tag": "text", "text": "问 ", "style": ["italic"] }, { "tag": "at", "user_id": "@陈晨", "user_name": "陈晨", "style": [] },
         { "tag": "a", "text": "公告", "href": "https://e.com/a", "style": ["underline"] },
         { "tag": "a", "text": "写信", "href": "mailto:hr@e.com" }],
        [{ "tag": "text", "text": "图前" }, { "tag": "img", "image_key": "img_v3_hers", "width": 10, "height": 10 },
         { "tag": "text", "text": "图后" }, { "tag": "emotion", "emoji_type": "SMILE" }],
        [],
        [{ "tag": "hr" }],
        [{ "tag": "code_block", "language": "RUST", "text": "fn main() {}" }],
        [{ "tag": "img", "image_key": "img_v3_his" }],
    ] });
    Draft::post(post)
        .attaching("img_v3_hers", "image", &png(20, 10, 1, 30))
        .attaching("img_v3_his", "image", b"GIF89a\x10\0\x10\0...")
        .mentioning(&["陈晨"])
}

/// What becomes of it, without its first line.
fn rich_wire(first: Option<&str>, keys: &[String]) -> Value {
    let [hers, his] = keys else { panic!("two images were to be uploaded, not {keys:?}") };
    let mut paragraphs = vec![
        json!([{ "tag": "text", "text": "问 " }, { "tag": "text", "text": "@陈晨" },
               { "tag": "a", "text": "公告", "href": "https://e.com/a" }, { "tag": "text", "text": "写信 (hr@e.com)" }]),
        json!([{ "tag": "text", "text": "图前" }]),
        json!([{ "tag": "img", "image_key": hers }]),
        json!([{ "tag": "text", "text": "图后" }, { "tag": "text", "text": "[SMILE]" }]),
        json!([]),
        json!([{ "tag": "text", "text": "————————" }]),
        json!([{ "tag": "text", "text": "fn main() {}" }]),
        json!([{ "tag": "img", "image_key": his }]),
    ];
    if let Some(first) = first {
        paragraphs.insert(0, json!([{ "tag": "text", "text": first }]));
    }
    let post = json!({ "title": "放假 <\u{200B}at user_id=\"all\"></at>", "content": paragraphs });
    json!({ "msg_type": "post", "content": { "post": { "zh_cn": post } } })
}

#[tokio::test]
async fn a_rich_text_command_keeps_what_batch_send_takes_and_its_images_become_the_bots() {
    story(async |stage| {
        let command = format!("/broadcast {}", stage.person("陈晨").open_id);
        assert_eq!(stage.person("王芳").sends(rich(&command)).await.status, 200);
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        let keys = uploaded(stage);
        assert_eq!(images(&card), keys, "the author sees the images");
        assert_eq!(images(&stage.card_of("赵磊")?), keys, "and so do the approvers");
        goes_out(stage, &card, &["富文本", "问 @陈晨公告 (https://e.com/a)", "图前[图片]图后"], rich_wire(None, &keys))
            .await
    })
    .await;
}

#[tokio::test]
async fn a_rich_text_that_was_replied_to_is_sent_whole() {
    story(async |stage| {
        let card = proposed(stage, rich("第一行")).await?;
        let keys = uploaded(stage);
        goes_out(stage, &card, &["富文本", "第一行"], rich_wire(Some("第一行"), &keys)).await
    })
    .await;
}

#[tokio::test]
async fn a_rich_text_keeps_both_its_languages_and_one_image_is_uploaded_once() {
    story(async |stage| {
        let body = |title: &str, key: &str| {
            json!({ "title": title, "content": [[{ "tag": "text", "text": title, "style": ["bold"] }],
                [{ "tag": "img", "image_key": key }]] })
        };
        let both = json!({ "en_us": body("Holiday", "img_v3_en"), "zh_cn": body("放假", "img_v3_zh") });
        let same = png(8, 8, 3, 10);
        let draft = Draft::post(both).attaching("img_v3_zh", "image", &same).attaching("img_v3_en", "image", &same);
        // What another app has said: no event of a person has two languages.
        let wang = stage.person("王芳");
        let event = wang.drafts(&wang.chat_id(), draft);
        let said = event.body["event"]["message"]["message_id"].as_str().expect("an id").to_owned();
        let card = replied(stage, &said, &format!("/broadcast {}", stage.person("陈晨").open_id)).await?;
        let [key] = uploaded(stage).try_into().expect("the same bytes are uploaded once");
        let wire = |title: &str| {
            json!({ "title": title, "content": [[{ "tag": "text", "text": title }], [{ "tag": "img", "image_key": key }]] })
        };
        let content = json!({ "msg_type": "post", "content": { "post": { "zh_cn": wire("放假"), "en_us": wire("Holiday") } } });
        assert_eq!(images(&card), std::slice::from_ref(&key));
        goes_out(stage, &card, &["[中文]\n放假", "[English]\nHoliday"], content).await
    })
    .await;
}

#[tokio::test]
async fn an_image_that_was_replied_to_is_uploaded_as_the_bots_and_shown() {
    story(async |stage| {
        let card = proposed(stage, Draft::image("img_v3_hers", &png(640, 480, 7, 2000))).await?;
        let [key] = uploaded(stage).try_into().expect("one upload");
        assert_ne!(key, "img_v3_hers");
        for seen in [&card, &stage.card_of("赵磊")?] {
            assert_eq!(images(seen), std::slice::from_ref(&key));
        }
        let content = json!({ "msg_type": "image", "content": { "image_key": key } });
        goes_out(stage, &card, &["图片"], content.clone()).await?;
        // The same picture in another message: it is there already.
        let again = proposed(stage, Draft::image("img_v3_copy", &png(640, 480, 7, 2000))).await?;
        assert_eq!(uploaded(stage).len(), 1);
        goes_out(stage, &again, &["图片"], content).await
    })
    .await;
}

#[tokio::test]
async fn an_image_that_feishu_no_longer_knows_is_uploaded_again() {
    story(async |stage| {
        let picture = png(30, 30, 9, 100);
        proposed(stage, Draft::image("img_v3_one", &picture)).await?;
        stage.tenant.with(|world| world.images.clear());
        crate::approve::press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let failed = stage.card_of("王芳")?;
        assert!(failed.text.contains("发送失败") && failed.text.contains("11227"), "{}", failed.text);
        for provoked in ["Image key not exist", "is not ours"] {
            stage.tenant.forgive(provoked);
        }
        let card = proposed(stage, Draft::image("img_v3_two", &picture)).await?;
        let keys = uploaded(stage);
        assert_eq!(keys.len(), 2);
        goes_out(stage, &card, &["图片"], json!({ "msg_type": "image", "content": { "image_key": keys[1] } })).await
    })
    .await;
}

#[tokio::test]
async fn a_group_card_is_sent_under_the_name_that_batch_send_has_for_it() {
    story(async |stage| {
        let group = stage.tenant.group("项目群").chat_id;
        let card = proposed(stage, Draft::chat(&group)).await?;
        let content = json!({ "msg_type": "share_chat", "content": { "share_chat_id": group } });
        goes_out(stage, &card, &["群名片", &group, "点「发给我看看」核对是哪个群"], content).await
    })
    .await;
}

#[tokio::test]
async fn the_card_of_a_group_without_the_bot_fails_and_says_what_to_do() {
    story(async |stage| {
        let group = stage.tenant.group("项目群").chat_id;
        stage.tenant.reorganise(|company| company.groups[0].bot_inside = false);
        let card = proposed(stage, Draft::chat(&group)).await?;
        crate::approve::press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let result = stage.person("王芳").sees(&card.message_id).expect("the card");
        for words in ["发送失败", "11231", "请先把机器人加入该群"] {
            assert!(result.text.contains(words), "{}", result.text);
        }
        assert!(stage.person("陈晨").inbox().is_empty());
        Ok(())
    })
    .await;
}

/// A card of either schema, with what Feishu's tool writes that the bot must not touch.
fn card(schema: u8) -> Value {
    let button = json!({ "tag": "button", "type": "primary", "text": { "tag": "plain_text", "content": "打开" } });
    let link = "https://e.com/x?a=1&b=[2](3)";
    if schema == 1 {
        let mut button = button;
        button["url"] = json!(link);
        return json!({
            "config": { "wide_screen_mode": true },
            "header": { "template": "turquoise", "title": { "tag": "plain_text", "content": "📚晒挚爱好书" } },
            "elements": [
                { "tag": "div", "fields": [
                    { "is_short": true, "text": { "tag": "lark_md", "content": "**🗳工单来源：**\n报事报修" } }] },
                { "tag": "action", "actions": [button] },
                { "tag": "note", "elements": [{ "tag": "plain_text", "content": "行政部" }] },
            ],
        });
    }
    let mut button = button;
    button["behaviors"] = json!([{ "type": "open_url", "default_url": link }]);
    json!({
        "schema": "2.0",
        "config": { "update_multi": true, "width_mode": "fill" },
        "header": { "template": "blue", "title": { "tag": "plain_text", "content": "体检安排" } },
        "body": { "elements": [{ "tag": "markdown", "content": "**周五**上午 [详情](https://e.com)\t<font color='red'>空腹</font>" }, button] },
    })
}

/// The words that a preview shows of [`card`].
fn words(schema: u8) -> [&'static str; 2] {
    if schema == 1 {
        ["📚晒挚爱好书", "报事报修"]
    } else {
        ["体检安排", "**周五**上午 [详情](https://e.com)"]
    }
}

#[tokio::test]
async fn a_card_that_was_replied_to_is_sent_as_its_app_sent_it() {
    story(async |stage| {
        for schema in [1, 2] {
            let shown = proposed(stage, Draft::card(card(schema))).await?;
            let content = json!({ "msg_type": "interactive", "card": card(schema) });
            let [title, body] = words(schema);
            goes_out(stage, &shown, &["（卡片，这里只列出文字）", title, body, "版式和图片不在这里显示"], content)
                .await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn card_json_is_typed_or_pasted_in_any_of_its_wrappings() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        let wang = stage.person("王芳");
        for schema in [1, 2] {
            let pretty = serde_json::to_string_pretty(&card(schema))?;
            let wrapped = json!({ "msg_type": "interactive", "card": card(schema) }).to_string();
            for (n, pasted) in [pretty.clone(), wrapped].into_iter().enumerate() {
                let shown = stage.ask("王芳", &format!("/broadcast --card {to}\n{pasted}")).await?;
                let content = json!({ "msg_type": "interactive", "card": card(schema) });
                let [title, body] = words(schema);
                goes_out(stage, &shown, &[title, body], content)
                    .await
                    .map_err(|e| e.context(format!("{schema} {n}")))?;
            }
            // A block of code makes the message a rich text, and keeps the quotes straight.
            let post = json!({ "title": "", "content": [[{ "tag": "text", "text": format!("/broadcast --card {to}") }],
                [{ "tag": "code_block", "language": "JSON", "text": pretty }]] });
            wang.says_post(post).await;
            stage.settle().await?;
            let content = json!({ "msg_type": "interactive", "card": card(schema) });
            goes_out(stage, &stage.card_of("王芳")?, &words(schema), content).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn card_json_stands_in_the_message_that_is_replied_to() {
    story(async |stage| {
        let json = card(2).to_string();
        let code = json!({ "title": "", "content": [[{ "tag": "code_block", "language": "JSON", "text": json }]] });
        let command = format!("/broadcast --card {}", stage.person("陈晨").open_id);
        for draft in [Draft::text(&json), Draft::post(code), Draft::card(card(2))] {
            let said = sent(stage, draft).await?;
            let shown = replied(stage, &said.message_id, &command).await?;
            assert!(shown.card.is_some(), "{}", shown.text);
            let content = json!({ "msg_type": "interactive", "card": card(2) });
            goes_out(stage, &shown, &words(2), content).await?;
        }
        // Without the option, a text is a text, whatever it says.
        let said = sent(stage, Draft::text("{}")).await?;
        let shown = replied(stage, &said.message_id, &command.replace("--card ", "")).await?;
        goes_out(stage, &shown, &["{}"], json!({ "msg_type": "text", "content": { "text": "{}" } })).await
    })
    .await;
}

#[tokio::test]
async fn a_card_may_show_images_that_the_bot_has_uploaded() {
    story(async |stage| {
        proposed(stage, Draft::image("img_v3_hers", &png(4, 4, 2, 9))).await?;
        approved(stage).await?;
        let [key] = uploaded(stage).try_into().expect("one upload");
        let shows = json!({ "schema": "2.0", "body": { "elements": [
            { "tag": "img", "img_key": key, "alt": { "tag": "plain_text", "content": "图" } }] } });
        let to = stage.person("陈晨").open_id;
        let shown = stage.ask("王芳", &format!("/broadcast --card {to} {shows}")).await?;
        goes_out(stage, &shown, &[], json!({ "msg_type": "interactive", "card": shows })).await
    })
    .await;
}

#[tokio::test]
async fn a_template_goes_out_with_its_variables_however_they_are_quoted() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        let template = |variables: Value| {
            json!({ "msg_type": "interactive", "card": { "type": "template",
                "data": { "template_id": "ctp_AAq1", "template_variable": variables } } })
        };
        let ways = [
            ("", json!({})),
            (" --var name=张三", json!({ "name": "张三" })),
            (
                " --var name=\"张 三\" --var “when=下午 3:00” --var room＝A\u{3000}",
                json!({ "name": "张 三", "when": "下午 3:00", "room": "A" }),
            ),
            (" —var url=https://e.com/?a=b", json!({ "url": "https://e.com/?a=b" })),
        ];
        for (vars, variables) in ways {
            let shown = stage.ask("王芳", &format!("/broadcast --template ctp_AAq1{vars} {to}")).await?;
            assert!(shown.card.is_some(), "{vars}: {}", shown.text);
            let listed: Vec<String> = variables
                .as_object()
                .expect("some")
                .iter()
                .map(|(k, v)| format!("{k} = {}", v.as_str().expect("text")))
                .collect();
            let mut words: Vec<&str> = listed.iter().map(String::as_str).collect();
            words.extend(["卡片模板", "ctp_AAq1"]);
            goes_out(stage, &shown, &words, template(variables)).await?;
        }
        let pasted = json!({ "type": "template", "data": { "template_id": "ctp_AAq1", "template_version_name": "1.0.3",
            "template_variable": { "count": 3, "list": [{ "name": "一" }] } } });
        let shown = stage.ask("王芳", &format!("/broadcast --card {to} {pasted}")).await?;
        goes_out(stage, &shown, &["ctp_AAq1", "count = 3"], json!({ "msg_type": "interactive", "card": pasted })).await
    })
    .await;
}

#[tokio::test]
async fn a_reply_in_a_group_takes_the_message_from_there() {
    story(async |stage| {
        stage.tenant.console(|app| {
            app.tenant_scopes.insert("im:message.group_msg".into());
        });
        let group = stage.tenant.group("项目群").chat_id;
        let zhou = stage.person("周明");
        let theirs = zhou.drafts(&group, Draft::image("img_v3_his", &png(3, 3, 3, 3)));
        let said = theirs.body["event"]["message"]["message_id"].as_str().expect("an id").to_owned();
        let wang = stage.person("王芳");
        let command = format!("@群发助手 /broadcast {}", stage.person("陈晨").open_id);
        let event = wang.drafts(&group, Draft::text(&command).mentioning(&["群发助手"]).replying(&said));
        assert_eq!(stage.tenant.push(&event).await.status, 200);
        stage.settle().await?;
        let [key] = uploaded(stage).try_into().expect("one upload");
        let content = json!({ "msg_type": "image", "content": { "image_key": key } });
        goes_out(stage, &stage.card_of("王芳")?, &["图片"], content).await
    })
    .await;
}
