//! Files of which no list comes: each is answered with its name, what is wrong and what to do, and nothing is proposed.

use super::lists::{answers, sends};
use super::nothing_proposed;
use crate::sandbox::Fault;
use crate::stage::{Stage, story};

/// A file that is refused in these words.
async fn refused(stage: &Stage, name: &str, bytes: &[u8], words: &[&str]) -> anyhow::Result<()> {
    let said = answers(stage, name, bytes, "/broadcast file 停电通知").await?;
    let [answer] = said.as_slice() else { anyhow::bail!("{name} was answered {} times", said.len()) };
    for words in [&format!("「{name}」"), "没有发起群发"].into_iter().chain(words.iter().copied()) {
        anyhow::ensure!(answer.text.contains(words), "{name} was answered without {words}:\n{}", answer.text);
    }
    nothing_proposed(stage).await
}

#[tokio::test]
async fn what_is_no_table_is_called_by_its_name_with_what_to_do() {
    story(async |stage| {
        let old_excel =
            [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".as_slice(), &[0; 500], b"W\0o\0r\0k\0b\0o\0o\0k\0"].concat();
        let files: [(&str, Vec<u8>, &[&str]); 9] = [
            ("空.csv", vec![], &["里面没有收件人", "可以这样写"]),
            ("空行.txt", b"\xef\xbb\xbf\r\n \r\n,,\r\n".to_vec(), &["里面没有收件人"]),
            ("只有表头.csv", "姓名,手机号\r\n".into(), &["里面没有收件人", "表头下面要有内容"]),
            ("合同.csv", b"%PDF-1.7 \n1 0 obj".to_vec(), &["PDF", "不能当作名单"]),
            ("旧.xlsx", old_excel, &["旧版 Excel", "另存为 .xlsx"]),
            ("坏.xlsx", b"PK\x03\x04 and nothing that follows".to_vec(), &["打不开", "另存为 .xlsx"]),
            ("数据.txt", b"{\"open_id\": \"ou_1\"}".to_vec(), &["JSON"]),
            ("工号.csv", "姓名,工号\n张三,001\n".into(), &["「姓名」「工号」", "没有我认识的表头", "手机号"]),
            ("引号.csv", "姓名,手机号\n\"张三,13800138000\n李四,13800138001\n".into(), &["第 2 行", "引号"]),
        ];
        for (name, bytes, words) in files {
            refused(stage, name, &bytes, words).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_list_without_any_usable_row_says_why_of_each() {
    story(async |stage| {
        let rows = "手机号\n12345\n13900000000\n";
        refused(
            stage,
            "没有人.csv",
            rows.as_bytes(),
            &["0 个收件人", "第 2 行：「12345」", "第 3 行：「13900000000」没有找到对应的人"],
        )
        .await?;
        assert!(stage.tenant.calls_to("users.batch").is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_list_that_is_too_long_or_too_large_is_refused_with_the_limit() {
    story(async |stage| {
        let rows: String = (0..100_001).map(|n| format!("ou_{n}\n")).collect();
        refused(stage, "太长.txt", rows.as_bytes(), &["100001 行", "最多 100000 行"]).await?;
        refused(stage, "太大.csv", &vec![b'a'; 21 << 20], &["超过 20 MB"]).await
    })
    .await;
}

#[tokio::test]
async fn more_names_of_departments_than_are_searched_are_refused_before_the_first_search() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let names = |count: usize| (0..count).map(|n| format!("部门{n}\n")).collect::<String>();
        refused(stage, "部门.txt", names(101).as_bytes(), &["101 个部门名称", "最多 100 个", "部门 ID"]).await?;
        assert!(stage.tenant.calls_to("departments.search").is_empty());
        let said = answers(stage, "部门.txt", names(100).as_bytes(), "/broadcast file 停电通知").await?;
        assert!(said[0].text.contains("100 行") && said[0].text.contains("大约需要 1 分钟"), "{}", said[0].text);
        assert!(said[1].text.contains("第 1 行：「部门0」没有找到"), "{}", said[1].text);
        assert!(said[1].text.contains("另有 90 行：第 11-100 行"), "{}", said[1].text);
        nothing_proposed(stage).await?;
        assert_eq!(stage.tenant.calls_to("departments.search").len(), 100, "nothing is offered instead of a row");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn file_means_the_file_that_is_replied_to_and_nothing_else() {
    story(async |stage| {
        let wang = stage.person("王芳");
        super::refused(stage, "/broadcast file 停电通知", &["没有回复任何文件", "没有发起群发", "回复"]).await?;
        for (msg_type, content) in [
            ("text", serde_json::json!({ "text": "13800138000" })),
            ("image", serde_json::json!({ "image_key": "img_v3_x" })),
        ] {
            let event = wang.writes(&wang.chat_id(), msg_type, &content, &[], None);
            let message = event.body["event"]["message"]["message_id"].as_str().expect("an id").to_owned();
            wang.replies(&message, "/broadcast file 停电通知").await;
            stage.settle().await?;
            let answer = wang.chat().pop().expect("an answer");
            assert!(answer.text.contains("不是文件") && answer.text.contains(msg_type), "{}", answer.text);
        }
        let file = sends(stage, "名单.csv", b"ou_1\n").await?;
        wang.recalls(&file).await;
        wang.replies(&file, "/broadcast file 停电通知").await;
        stage.settle().await?;
        let answer = wang.chat().pop().expect("an answer");
        assert!(answer.text.contains("已撤回或删除") && answer.text.contains("没有发起群发"), "{}", answer.text);
        // Of what to say nothing stands in the file.
        let said = answers(stage, "名单.csv", b"ou_1\n", "/群发 file").await?;
        assert!(said[0].text.contains("没有内容") && said[0].text.contains("/broadcast file "), "{}", said[0].text);
        nothing_proposed(stage).await
    })
    .await;
}

#[tokio::test]
async fn a_file_that_feishu_does_not_hand_out_is_named_with_what_to_do() {
    story(async |stage| {
        stage.tenant.console(|app| {
            app.tenant_scopes.remove("im:message:readonly");
        });
        let said = answers(stage, "名单.csv", b"ou_1\n", "/broadcast file 停电通知").await?;
        assert!(said[0].text.contains("取不到名单文件（飞书错误码 230027），没有发起群发"), "{}", said[0].text);
        stage.tenant.console(|app| {
            app.tenant_scopes.insert("im:message:readonly".into());
        });
        stage.tenant.fault(Fault::code("messages.resource", 400, 234_004));
        refused(stage, "名单.csv", b"ou_1\n", &["取不到名单文件「名单.csv」", "234004"]).await?;
        // What passes is tried again.
        stage.tenant.fault(Fault::code("messages.resource", 500, 2200));
        answers(stage, "名单.csv", b"ou_1\n", "/broadcast file 停电通知").await?;
        stage.later(std::time::Duration::from_secs(10)).await?;
        assert!(stage.card_of("王芳")?.text.contains("1 行可用"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_file_alone_is_answered_with_how_it_becomes_a_list() {
    story(async |stage| {
        sends(stage, "名单.csv", b"ou_1\n").await?;
        let answer = stage.person("王芳").chat().pop().expect("an answer");
        assert!(answer.text.contains("收到文件") && answer.text.contains("/broadcast file"), "{}", answer.text);
        Ok(())
    })
    .await;
}
