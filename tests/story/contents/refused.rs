//! What cannot be sent is refused at once: a clear answer that names the item, no row, nobody asked, nothing sent.

use serde_json::{Value, json};

use super::{on_the_books, png, replied, sent, uploaded};
use crate::sandbox::draft::Draft;
use crate::stage::{Stage, story};

/// The bot has said these words and done nothing else.
async fn is_refused(stage: &Stage, answer: &str, words: &[&str]) -> anyhow::Result<()> {
    for words in words.iter().chain(&["没有发起群发"]) {
        assert!(answer.contains(words), "{words} is missing in\n{answer}");
    }
    assert!(!answer.contains("：没有发起群发"), "said twice: {answer}");
    assert_eq!(on_the_books(stage).await?, 0, "a row after {answer}");
    assert!(stage.tenant.calls_to("batch_send").is_empty());
    assert!(stage.person("赵磊").last_card().is_none(), "an approver was asked");
    Ok(())
}

/// 王芳 answers a message by `/broadcast [options] 陈晨`, which is refused in these words.
async fn refused(stage: &Stage, draft: Draft, option: &str, words: &[&str]) -> anyhow::Result<()> {
    let said = sent(stage, draft).await?;
    let command = format!("/broadcast {option} {}", stage.person("陈晨").open_id);
    let answer = replied(stage, &said.message_id, &command).await?;
    is_refused(stage, &answer.text, words).await
}

#[tokio::test]
async fn a_message_that_is_gone() {
    story(async |stage| {
        let wang = stage.person("王芳");
        let command = format!("/broadcast {}", stage.person("陈晨").open_id);
        // Feishu says so in two ways, and the tenant picks one.
        for draft in
            [Draft::text("收回"), Draft::text("还是收回"), Draft::image("img_v3_x", b"x"), Draft::text("又收回")]
        {
            let said = sent(stage, draft).await?;
            wang.recalls(&said.message_id).await;
            let answer = replied(stage, &said.message_id, &command).await?;
            is_refused(stage, &answer.text, &["被回复的消息已撤回或删除", "写在目标后面"]).await?;
        }
        let answer = replied(stage, "om_00000000000000000000000000000000", &command).await?;
        is_refused(stage, &answer.text, &["被回复的消息已撤回或删除"]).await
    })
    .await;
}

#[tokio::test]
async fn a_kind_of_message_that_cannot_be_broadcast_is_named() {
    story(async |stage| {
        let file =
            json!({ "file_key": "file_v3_x", "file_name": "通知.pdf", "duration": 3000, "image_key": "img_v3_x" });
        for (msg_type, content, words) in [
            ("audio", file.clone(), "语音（audio）"),
            ("media", file.clone(), "视频（media）"),
            ("sticker", file.clone(), "表情包（sticker）"),
            ("folder", file.clone(), "文件夹（folder）"),
            ("share_user", json!({ "user_id": "ou_1" }), "个人名片（share_user）"),
            ("location", json!({ "name": "公司", "longitude": "1", "latitude": "2" }), "位置（location）"),
            ("merge_forward", json!({ "content": "Merged and Forwarded Message" }), "合并转发的消息（merge_forward）"),
            ("vote", json!({ "topic": "去哪", "options": ["一", "二"] }), "投票（vote）"),
            ("share_calendar_event", json!({ "summary": "周会" }), "日程（share_calendar_event）"),
            ("hongbao", json!({ "text": "[红包]" }), "红包（hongbao）"),
            ("of_tomorrow", json!({}), "这种消息（of_tomorrow）"),
        ] {
            refused(stage, Draft::new(msg_type, content), "", &[words, "文字、富文本、图片、群名片、卡片"]).await?;
        }
        refused(stage, Draft::new("file", file), "", &["通知.pdf", "/broadcast file 内容"]).await
    })
    .await;
}

#[tokio::test]
async fn a_rich_text_with_something_in_it_that_batch_send_does_not_know() {
    story(async |stage| {
        let post = |node: Value| {
            Draft::post(json!({ "title": "通知", "content": [[{ "tag": "text", "text": "看" }], [node]] }))
        };
        let media = json!({ "tag": "media", "file_key": "file_v3_x", "image_key": "img_v3_x" });
        refused(stage, post(media.clone()), "", &["视频（media）", "请放链接"]).await?;
        refused(stage, post(json!({ "tag": "md", "text": "**好**" })), "", &["Markdown 段落（md）"]).await?;
        refused(stage, post(json!({ "tag": "<at user_id=\"all\">" })), "", &["一个部分"]).await?;
        let said = stage.person("王芳").chat().pop().expect("an answer");
        assert!(!said.content.to_string().contains("<at "), "{}", said.content);
        // Typed as a command, it is the same.
        let to = stage.person("陈晨").open_id;
        let typed = json!({ "title": "", "content": [[{ "tag": "text", "text": format!("/broadcast {to} 看视频") }], [media]] });
        stage.person("王芳").says_post(typed).await;
        stage.settle().await?;
        let answer = stage.person("王芳").chat().pop().expect("an answer");
        is_refused(stage, &answer.text, &["视频（media）"]).await
    })
    .await;
}

#[tokio::test]
async fn an_image_that_feishu_would_not_take_is_named_with_the_reason() {
    story(async |stage| {
        let too_large = png(100, 100, 5, 20 << 20);
        refused(stage, Draft::image("img_v3_a", &too_large), "", &["图片不能群发：超过 10 MB"]).await?;
        let pdf = Draft::image("img_v3_b", b"%PDF-1.7 not a picture at all");
        refused(stage, pdf, "", &["图片不能群发：不是飞书支持的图片格式", "JPG、PNG"]).await?;
        refused(stage, Draft::image("img_v3_c", &png(12_001, 10, 0, 9)), "", &["12001×10 像素", "12000×12000"]).await?;
        refused(stage, Draft::image("img_v3_d", b"GIF89a\xd1\x07\x0a\0..."), "", &["2001×10 像素", "2000×2000"])
            .await?;
        refused(stage, Draft::image("img_v3_e", b""), "", &["图片不能群发：是空的"]).await?;
        assert!(uploaded(stage).is_empty(), "nothing of it was uploaded");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_rich_text_names_the_image_that_is_missing() {
    story(async |stage| {
        let post = json!({ "title": "", "content": [[{ "tag": "img", "image_key": "img_v3_here" }],
            [{ "tag": "text", "text": "和" }], [{ "tag": "img", "image_key": "img_v3_gone" }]] });
        let draft = || Draft::post(post.clone()).attaching("img_v3_here", "image", &png(2, 2, 2, 2));
        refused(stage, draft(), "", &["第 2 张图片不能群发（飞书错误码 234003）", "请把原文件重新发给机器人"]).await?;
        let large = draft().attaching("img_v3_gone", "image", &png(2, 2, 2, 11 << 20));
        refused(stage, large, "", &["第 2 张图片不能群发：超过 10 MB"]).await?;
        for (code, words) in [(234_038, "禁止下载"), (234_040, "看不到原消息"), (234_042, "存储出错")] {
            stage.tenant.fault(crate::sandbox::Fault::code("messages.resource", 400, code));
            let draft = Draft::image("img_v3_x", &png(1, 1, 1, 1));
            refused(stage, draft, "", &["图片不能群发（飞书错误码", &code.to_string(), words]).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_message_that_the_bot_may_not_read_says_what_to_set_right() {
    story(async |stage| {
        for (code, words) in [(230_050, "机器人看不到被回复的消息"), (230_027, "权限管理"), (230_002, "加入该群")]
        {
            stage.tenant.fault(crate::sandbox::Fault::code("messages.get", 400, code));
            refused(stage, Draft::text("内容"), "", &[words]).await?;
        }
        stage.tenant.console(|app| app.tenant_scopes.retain(|scope| !scope.starts_with("im:resource")));
        let picture = Draft::image("img_v3_x", &png(1, 1, 1, 1));
        refused(stage, picture, "", &["图片不能群发（飞书错误码 230027）", "权限管理"]).await
    })
    .await;
}

fn v2(elements: Value) -> Value {
    json!({ "schema": "2.0", "body": { "elements": elements } })
}

#[tokio::test]
async fn a_card_that_feishu_would_refuse_is_refused_with_the_place() {
    story(async |stage| {
        let callback = json!({ "tag": "button", "text": { "tag": "plain_text", "content": "报名" },
            "behaviors": [{ "type": "callback", "value": { "a": 1 } }] });
        let theirs = json!({ "tag": "img", "img_key": "img_v3_theirs", "alt": { "tag": "plain_text", "content": "" } });
        let text = |text: &str| json!({ "tag": "markdown", "content": text });
        for (card, words) in [
            (v2(json!([callback])).to_string(), ["「body.elements[0].behaviors[0]」", "不支持回传交互"]),
            (
                json!({ "elements": [{ "tag": "action", "actions": [{ "tag": "button", "text": { "tag": "plain_text",
                "content": "好" }, "value": { "a": 1 } }] }] })
                .to_string(),
                ["「elements[0].actions[0]", "回传"],
            ),
            (v2(json!([text("看图"), theirs])).to_string(), ["「body.elements[1].img_key」", "img_v3_theirs"]),
            (
                v2(json!([text("一"), { "tag": "picture" }])).to_string(),
                ["「body.elements[1].tag」", "没有叫「picture」的组件"],
            ),
            (v2(json!([{ "tag": "hr", "colour": "red" }])).to_string(), ["「body.elements[0].colour」", "删掉它"]),
            (
                "{\"schema\": \"2.0\",\n \"body\": {\"elements\": [}}".to_owned(),
                ["第 2 行第 24 个字符不是合法的 JSON", "逗号"],
            ),
            ("{“schema”: “2.0”, “body”: {“elements”: []}}".to_owned(), ["第 1 行第 2 个字符是中文引号", "代码块"]),
            ("{\"schema\": \"2.0\", \"body\": {".to_owned(), ["中断", "没有复制完整"]),
            ("你好".to_owned(), ["不是合法的 JSON", "「你好」"]),
            ("[1, 2]".to_owned(), ["这不是卡片", "请粘贴卡片的 JSON"]),
            ("{}".to_owned(), ["没有任何能看到的内容", "请加上"]),
            (json!({ "open_ids": ["ou_1"], "card": v2(json!([])) }).to_string(), ["「open_ids」", "收件人写在命令里"]),
        ] {
            let to = stage.person("陈晨").open_id;
            let answer = stage.ask("王芳", &format!("/群发 --card {to} {card}")).await?;
            is_refused(stage, &answer.text, &words).await?;
            if let Ok(card) = serde_json::from_str::<Value>(&card)
                && card.get("card").is_none()
                && card.as_object().is_some_and(|fields| !fields.is_empty())
            {
                refused(stage, Draft::card(card), "", &words).await?;
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_card_of_31_kb_and_a_text_of_more_than_150() {
    story(async |stage| {
        let elements: Vec<Value> = (0..31).map(|_| json!({ "tag": "markdown", "content": "a".repeat(1000) })).collect();
        let card = v2(json!(elements));
        assert!(card.to_string().len() > 31 * 1024);
        refused(stage, Draft::card(card.clone()), "", &["内容太长：请求体", "飞书最多 30720 字节（30 KB）"]).await?;
        refused(stage, Draft::text(&card.to_string()), "--card", &["内容太长", "30720"]).await?;
        let vars = format!("--template ctp_1 --var text={}", "字".repeat(11_000));
        let answer = stage.ask("王芳", &format!("/broadcast {vars} {}", stage.person("陈晨").open_id)).await?;
        is_refused(stage, &answer.text, &["内容太长", "30720"]).await?;
        refused(stage, Draft::text(&"字".repeat(52_000)), "", &["内容太长", "153600 字节（150 KB）"]).await?;
        let post = json!({ "title": "", "content": [[{ "tag": "text", "text": "字".repeat(11_000) }]] });
        refused(stage, Draft::post(post), "", &["内容太长", "30720"]).await
    })
    .await;
}

#[tokio::test]
async fn options_that_do_not_fit_what_was_said() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        refused(stage, Draft::image("img_v3_x", &png(1, 1, 1, 1)), "--card", &["写了 --card", "图片（image）"]).await?;
        refused(stage, Draft::text("你好"), "--card", &["不是合法的 JSON", "「你好」"]).await?;
        refused(stage, Draft::text("{\"a\": }"), "--card", &["第 1 行第 7 个字符"]).await?;
        for (said, words) in [
            (format!("/broadcast --template ctp_1 {to} 内容"), "多出了「内容」"),
            (format!("/broadcast --template ctp_1 --card {to}"), "--card"),
            (format!("/broadcast --var a=1 {to} 内容"), "--var"),
            (format!("/broadcast --template ctp_1 --var 张三 {to}"), "张三"),
            (format!("/broadcast --card {to}"), "没有内容"),
        ] {
            let answer = stage.ask("王芳", &said).await?;
            assert!(answer.text.contains(words), "{said} was answered:\n{}", answer.text);
            assert_eq!(on_the_books(stage).await?, 0, "{said}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn nothing_to_see_is_nothing_to_send() {
    story(async |stage| {
        refused(stage, Draft::text("\u{200B} \n\u{3000}"), "", &["没有可以群发的内容"]).await?;
        let blank = json!({ "title": "", "content": [[{ "tag": "text", "text": " " }], []] });
        refused(stage, Draft::post(blank), "", &["没有可以群发的内容"]).await?;
        refused(stage, Draft::chat(""), "", &["没有可以群发的内容"]).await?;
        let card = v2(json!([{ "tag": "markdown", "content": " " }]));
        refused(stage, Draft::card(card), "", &["没有任何能看到的内容"]).await
    })
    .await;
}

#[tokio::test]
async fn the_bots_own_preview_is_no_content() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        let preview = stage.ask("王芳", &format!("/broadcast --dry-run {to} 试一试")).await?;
        // Without a button it is a card like any other; with buttons it would call back to the bot.
        let answer = replied(stage, &preview.message_id, &format!("/broadcast --dry-run {to}")).await?;
        assert!(answer.card.is_some(), "{}", answer.text);
        assert_eq!(on_the_books(stage).await?, 0);
        let preview = stage.ask("王芳", &format!("/broadcast {to} 真的")).await?;
        let answer = replied(stage, &preview.message_id, &format!("/broadcast {to}")).await?;
        assert!(answer.text.contains("回传") && answer.text.contains("没有发起群发"), "{}", answer.text);
        assert_eq!(on_the_books(stage).await?, 1);
        Ok(())
    })
    .await;
}
