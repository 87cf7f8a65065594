//! What people say to the bot, and what they are answered: every command, every mistake, every size.
//!
//! Bad input ends with an answer: no row, no card with buttons, nothing looked up that did not have to be.

mod down;
mod search;

use feishu_broadcast::store::broadcasts::Which;
use serde_json::json;

use crate::sandbox::{Company, Person};
use crate::stage::{Stage, story, story_with};

/// How many broadcasts the bot has on its books.
async fn proposed(stage: &Stage) -> anyhow::Result<usize> {
    Ok(stage.bot.app.store.recent(None, Which::All).await?.len())
}

/// Says something and expects words (any of them, separated by `|`) in the answer, and no broadcast.
async fn answers(stage: &Stage, name: &str, said: &str, wanted: &str) -> anyhow::Result<()> {
    let answer = stage.ask(name, said).await?;
    anyhow::ensure!(
        wanted.split('|').any(|words| answer.text.contains(words)),
        "{said} was answered:\n{}\nwithout {wanted}",
        answer.text
    );
    anyhow::ensure!(proposed(stage).await? == 0, "{said} made a broadcast");
    Ok(())
}

#[tokio::test]
async fn every_command_has_two_names_in_any_case_and_width() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let own_id = stage.person("王芳").open_id;
        let commands: [(&[&str], &str); 9] = [
            (&["/help", "/HELP", "／ｈｅｌｐ", "/帮助", "／帮助"], "/群发 销售部"),
            (&["/help broadcast", "/帮助 群发", "/help /群发"], "--dry-run"),
            (&["/whoami", "/WhoAmI", "／我是谁"], &own_id),
            (&["/status", "/STATUS", "／进度"], "还没有任何群发"),
            (&["/status k7m2qx", "/进度 K7M2QX"], "没有编号为 K7M2QX 的群发"),
            (
                &["/list", "/List all", "／列表", "/列表 pending", "/list scheduled"],
                "没有符合的群发|No broadcast to list",
            ),
            (&["/cancel K7M2QX", "/取消 k7m2qx", "／ＣＡＮＣＥＬ　Ｋ７Ｍ２ＱＸ"], "没有编号为 K7M2QX 的群发"),
            (&["/recall K7M2QX", "/撤回 K7M2QX", "／撤回 k7m2qx 2"], "没有编号为 K7M2QX 的群发"),
            (&["/departments 销售", "/部门 销售", "／Departments　销售"], "• 销售部（约 4 人）"),
        ];
        for (ways, wanted) in commands {
            for way in ways {
                answers(stage, "王芳", way, wanted).await?;
            }
        }
        for way in ["/login", "／登录"] {
            let card = stage.ask("王芳", way).await?;
            assert!(card.card.is_some() && card.text.contains("去授权"), "{way}: {}", card.text);
        }
        answers(stage, "王芳", "/登出", "已删除你的授权").await?;
        answers(stage, "王芳", "/LOGOUT", "没有授权过").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_broadcast_is_asked_for_in_either_language_and_width() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        for way in ["/broadcast 销售部 一", "/群发 销售部 二", "／ＢＲＯＡＤＣＡＳＴ　销售部　三", "/群发销售部 四"]
        {
            let card = stage.ask("王芳", way).await?;
            let content = way.chars().last().expect("not empty").to_string();
            assert!(card.card.is_some(), "{way}: {}", card.text);
            assert!(card.text.contains("约 4 人") && card.text.lines().any(|line| line == content), "{}", card.text);
        }
        assert_eq!(proposed(stage).await?, 4);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn in_a_group_the_bot_listens_only_where_it_is_mentioned() {
    story(async |stage| {
        let group = stage.tenant.group("项目群").chat_id;
        let wang = stage.person("王芳");
        let said_by_bot =
            |stage: &Stage| stage.tenant.chat_messages(&group).into_iter().filter(|message| message.from_bot).count();

        // An app that may read the whole group hears this as well.
        let talk = wang.writes(&group, "text", &json!({ "text": "/whoami" }), &[], None);
        let to_somebody = wang.writes(&group, "text", &json!({ "text": "@周明 /whoami" }), &["周明"], None);
        for event in [talk, to_somebody] {
            assert_eq!(stage.tenant.push(&event).await.status, 200);
        }
        stage.settle().await?;
        assert_eq!(said_by_bot(stage), 0);

        wang.says_in_group(&group, "@群发助手 /whoami", &[]).await;
        wang.says_in_group(&group, "/我是谁 @群发助手", &[]).await;
        let post = json!({ "title": "", "content": [[
            { "tag": "at", "user_id": "@群发助手", "user_name": "群发助手" }, { "tag": "text", "text": " /whoami" }]] });
        let event = wang.writes(&group, "post", &post, &["群发助手"], None);
        stage.tenant.push(&event).await;
        stage.settle().await?;
        let messages = stage.tenant.chat_messages(&group);
        let bot: Vec<_> = messages.iter().filter(|message| message.from_bot).collect();
        assert_eq!(bot.len(), 3);
        assert!(bot.iter().all(|message| message.text.contains(&wang.open_id) && message.parent_id.is_some()));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_broadcast_asked_for_in_a_group_is_previewed_in_private() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let group = stage.tenant.group("项目群").chat_id;
        stage.person("王芳").says_in_group(&group, "@群发助手 /broadcast 销售部 保密的事", &[]).await;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("保密的事"));
        let seen = stage.tenant.chat_messages(&group);
        let bot: Vec<_> = seen.iter().filter(|message| message.from_bot).collect();
        assert_eq!(bot.len(), 1);
        assert!(bot[0].text.contains(&Stage::id_on(&card)) && !bot[0].text.contains("保密"), "{}", bot[0].text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_understood_is_explained_with_an_example() {
    story(async |stage| {
        let mistakes = [
            ("你好", "/群发"),
            ("/brodcast 销售部 开会", "是不是想写「/broadcast」"),
            ("/stauts", "是不是想写「/status」|Did you mean 「/status」"),
            ("/完全不懂", "没有「完全不懂」这个命令"),
            ("/broadcast", "还没写发给谁"),
            ("/broadcast 销售部", "没有内容"),
            ("/broadcast --dry-run", "还没写发给谁"),
            ("/broadcast , 内容", "少了一个收件人"),
            ("/broadcast 销售部,,市场部 内容", "少了一个收件人"),
            ("/broadcast 销售部, 市场部 内容", "逗号旁边有空格"),
            ("/broadcast \"销售部 内容", "引号没有关上"),
            ("/broadcast “” 内容", "收件人|引号|发给谁"),
            ("/broadcast 华东//客服部 内容", "有一段是空的"),
            ("/broadcast @陈晨 内容", "手打的"),
            ("/broadcast ou_ 内容", "不是完整的 ID"),
            ("/broadcast oc_0123456789 内容", "不能群发给它"),
            ("/broadcast dept:0 内容", "根部门"),
            ("/broadcast --later 销售部 内容", "没有「--later」这个选项"),
            ("/broadcast 销售部 --dry-run 内容", "要写在收件人前面"),
            ("/broadcast --at 销售部", "--at|发给谁"),
            ("/status 销售部", "不是群发编号"),
            ("/list 昨天", "pending、scheduled 或 all"),
            ("/cancel", "还没写群发编号"),
            ("/recall", "还没写群发编号"),
            ("/departments", "还没写要找的部门"),
            ("/login 现在", "多出了「现在」"),
            ("/help 群法", "是不是想写「/群发」"),
        ];
        for (said, wanted) in mistakes {
            answers(stage, "王芳", said, wanted).await?;
            let answer = stage.person("王芳").chat().pop().expect("an answer");
            let example = answer.text.lines().any(|line| line.starts_with('/') || line.contains("：/"));
            assert!(example, "no example after {said}:\n{}", answer.text);
        }
        assert!(stage.tenant.calls_to("departments.search").is_empty(), "a mistake was looked up");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_image_or_a_file_is_answered_in_words() {
    story(async |stage| {
        let wang = stage.person("王芳");
        assert_eq!(wang.sends_file("名单.xlsx", b"x").await.status, 200);
        stage.settle().await?;
        let answer = wang.chat().pop().expect("an answer");
        assert!(answer.from_bot && answer.text.contains("/broadcast file"), "{}", answer.text);
        assert_eq!(wang.sends_image(b"x").await.status, 200);
        stage.settle().await?;
        let answer = wang.chat().pop().expect("an answer");
        assert!(answer.from_bot && answer.text.contains("只写收件人"), "{}", answer.text);
        wang.replies(&answer, "/broadcast 销售部").await;
        stage.settle().await?;
        let refused = wang.chat().pop().expect("an answer");
        assert!(refused.text.contains("我自己说的话"), "{}", refused.text);
        assert_eq!(proposed(stage).await?, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_shows_the_preview_and_keeps_nothing() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let preview = stage.ask("王芳", "/broadcast --dry-run 销售部,市场部 试一试").await?;
        assert!(preview.text.contains("试一试") && preview.text.contains("约 6 人"), "{}", preview.text);
        assert!(stage.person("王芳").controls(&preview).is_empty(), "a dry run has no buttons");
        let namesakes = stage.ask("王芳", "/broadcast --dry-run 客服部 试一试").await?;
        assert!(namesakes.text.contains("华东/客服部") && namesakes.text.contains("华南/客服部"), "{}", namesakes.text);
        assert_eq!(proposed(stage).await?, 0);
        assert!(stage.person("赵磊").last_card().is_none(), "an approver was bothered");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_approver_who_is_no_admin_may_look_and_nothing_else() {
    story(async |stage| {
        for said in
            ["/broadcast 销售部 内容", "/cancel K7M2QX", "/recall K7M2QX", "/departments 销售", "/login", "/logout"]
        {
            answers(stage, "赵磊", said, "只有管理员可以做").await?;
        }
        answers(stage, "赵磊", "/help", "/进度").await?;
        let help = stage.person("赵磊").chat().pop().expect("an answer");
        assert!(!help.text.contains("/群发") && !help.text.contains("/登录"), "{}", help.text);
        answers(stage, "赵磊", "/help 群发", "只有管理员可以做").await?;
        answers(stage, "赵磊", "/whoami", "审批人").await?;
        answers(stage, "赵磊", "/list", "没有符合的群发").await?;
        answers(stage, "赵磊", "/status", "还没有任何群发").await?;
        assert!(stage.tenant.calls_to("departments.search").is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn status_and_list_tell_where_broadcasts_stand() {
    story(async |stage| {
        let someone = stage.person("陈晨").open_id;
        let first = stage.propose("王芳", &format!("/broadcast {someone} 第一条")).await?;
        let second = stage.propose("林悦", &format!("/broadcast {someone} 第二条")).await?;
        let (first, second) = (Stage::id_on(&first), Stage::id_on(&second));
        assert_ne!(first, second);
        for id in [first.clone(), first.to_lowercase()] {
            let told = stage.ask("赵磊", &format!("/status {id}")).await?;
            assert!(told.text.contains(&first) && told.text.contains("审批 0/1"), "{}", told.text);
        }
        // Without an id: the own newest one, or the newest of all.
        assert!(stage.ask("王芳", "/status").await?.text.contains(&first));
        assert!(stage.ask("赵磊", "/status").await?.text.contains(&second));

        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        let pending = stage.ask("王芳", "/list pending").await?;
        assert!(pending.text.contains(&first) && !pending.text.contains(&second), "{}", pending.text);
        let all = stage.ask("赵磊", "/列表 all").await?;
        assert!(
            all.text.contains("第一条") && all.text.contains("第二条") && all.text.contains("已发送"),
            "{}",
            all.text
        );
        let told = stage.ask("林悦", &format!("/status {second}")).await?;
        assert!(told.text.contains("bm-") && told.text.contains("送达 1 人"), "{}", told.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn only_the_author_cancels_and_only_what_has_not_left() {
    story(async |stage| {
        let someone = stage.person("陈晨").open_id;
        let command = format!("/broadcast {someone} 先别发");
        let card = stage.propose("王芳", &command).await?;
        let id = Stage::id_on(&card);
        let denied = stage.ask("林悦", &format!("/cancel {id}")).await?;
        assert!(denied.text.contains("只有发起人可以做"), "{}", denied.text);
        let done = stage.ask("王芳", &format!("/取消 {}", id.to_lowercase())).await?;
        assert!(done.text.contains("已取消，没有发送"), "{}", done.text);
        let seen = stage.person("赵磊").last_card().expect("the approver's card");
        assert!(seen.text.contains("已取消") && stage.person("赵磊").controls(&seen).is_empty(), "{}", seen.text);
        let again = stage.ask("王芳", &format!("/cancel {id}")).await?;
        assert!(again.text.contains("来晚了"), "{}", again.text);

        let sent = stage.propose("王芳", &command).await?;
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        let late = stage.ask("王芳", &format!("/cancel {}", Stage::id_on(&sent))).await?;
        assert!(late.text.contains("来晚了"), "{}", late.text);
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

/// A body of batch_send in bytes, as it goes over the wire to one person.
fn frame(person: &Person, content: &serde_json::Value, msg_type: &str) -> usize {
    json!({ "msg_type": msg_type, "content": content, "open_ids": [person.open_id] }).to_string().len()
}

#[tokio::test]
async fn a_text_of_exactly_150_kb_goes_out_and_one_byte_more_is_refused() {
    story(async |stage| {
        let someone = stage.person("陈晨");
        let room = 150 * 1024 - frame(&someone, &json!({ "text": "" }), "text");
        let fits = "字".repeat(room / 3) + &"a".repeat(room % 3);
        let too_long = format!("/broadcast {} {fits}a", someone.open_id);
        answers(stage, "王芳", &too_long, "内容太长：请求体 153601 字节").await?;
        stage.propose("王芳", &format!("/broadcast {} {fits}", someone.open_id)).await?;

        // The approver has read every word of it before pressing.
        let read: String = stage.person("赵磊").chat().iter().map(|message| message.text.clone()).collect();
        assert!(read.matches('字').count() >= room / 3, "the approver sees {} letters", read.matches('字').count());
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(someone.inbox()[0].text, fits);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_long_text_of_quotes_and_line_breaks_reaches_the_approver_whole() {
    story(async |stage| {
        let someone = stage.person("陈晨");
        // Each of these takes two bytes in the request and up to four in the message to the approver.
        let text = format!("{}末", "\"\n".repeat(38_000));
        stage.propose("王芳", &format!("/broadcast {} {text}", someone.open_id)).await?;
        let chat = stage.person("赵磊").chat();
        let read: usize = chat.iter().filter(|m| m.msg_type == "text").map(|m| m.text.matches('"').count()).sum();
        assert_eq!(read, 38_000);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_rich_text_of_exactly_30_kb_goes_out_and_one_byte_more_is_refused() {
    story(async |stage| {
        let someone = stage.person("陈晨");
        let post = |words: &str| json!({ "title": "长", "content": [[{ "tag": "text", "text": words }]] });
        let room = 30 * 1024 - frame(&someone, &json!({ "post": { "zh_cn": post("") } }), "post");
        let said = |words: &str| {
            json!({ "title": "长", "content": [
                [{ "tag": "text", "text": format!("/broadcast {}", someone.open_id) }],
                [{ "tag": "text", "text": words }]] })
        };
        stage.person("王芳").says_post(said(&"b".repeat(room + 1))).await;
        stage.settle().await?;
        let answer = stage.person("王芳").chat().pop().expect("an answer");
        assert!(answer.text.contains("请求体 30721 字节"), "{}", answer.text);
        assert_eq!(proposed(stage).await?, 0);

        stage.person("王芳").says_post(said(&"b".repeat(room))).await;
        stage.settle().await?;
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(someone.inbox()[0].msg_type, "post");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_size_is_measured_with_the_departments_still_to_be_chosen() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let empty = json!({ "msg_type": "text", "content": { "text": "" } }).to_string().len();
        let text = "a".repeat(150 * 1024 - empty);
        answers(stage, "王芳", &format!("/broadcast 客服部 {text}"), "内容太长").await
    })
    .await;
}

#[tokio::test]
async fn what_an_author_writes_never_becomes_a_mention_or_markup_of_ours() {
    story_with(&[], Company::small().person("小*星*", &["市场部"]), async |stage| {
        let someone = stage.person("陈晨").open_id;
        let said = format!(
            "/broadcast {someone} <at id=all></at> <at user_id=\"all\">所有人</at> **粗** [点我](https://e.com)"
        );
        let card = stage.propose("王芳", &said).await?;
        let wire = card.content.to_string();
        assert!(!wire.contains("<at id=all>"), "{wire}");
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        let got = &stage.person("陈晨").inbox()[0].text;
        assert!(!got.contains("<at ") && !got.contains("](http"), "{got}");
        Ok(())
    })
    .await;
}

/// Words that tell no language are answered in the one that their writer used last; so is what the bot says by itself.
#[tokio::test]
async fn plain_words_come_in_the_language_that_a_person_wrote_last() {
    story(async |stage| {
        let both = stage.ask("赵磊", "/whoami").await?.text;
        assert!(both.contains("角色：") && both.contains("Roles:"), "nothing is known yet: {both}");
        stage.ask("赵磊", "/help me please").await?;
        let english = stage.ask("赵磊", "/whoami").await?.text;
        assert!(!english.contains("角色") && english.contains("Roles:"), "{english}");

        let to = stage.person("陈晨").open_id;
        stage.propose("王芳", &format!("/broadcast {to} {}", "很长的内容。".repeat(400))).await?;
        let told = |name: &str| {
            let chat = stage.person(name).chat();
            chat.into_iter().rev().find(|message| message.msg_type == "text").expect("the content in full").text
        };
        assert!(told("赵磊").starts_with("Full text"), "{:.60}", told("赵磊"));
        assert!(told("王芳").starts_with("群发"), "{:.60}", told("王芳"));
        assert!(told("周明").contains("的全文") && told("周明").contains("Full text"), "{:.90}", told("周明"));
        Ok(())
    })
    .await;
}
