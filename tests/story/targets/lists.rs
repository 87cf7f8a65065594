//! Targets from a file: whichever program wrote it, whatever it calls its columns, each person and department once, and
//! every row that names nobody told by its line.

use encoding_rs::GBK;
use rust_xlsxwriter::Workbook;
use serde_json::json;

use super::{approve, bodies, company, copies, department, once};
use crate::sandbox::{ChatMessage, Company};
use crate::stage::{Stage, story, story_with};

/// Sends a file and gives its message.
pub(super) async fn sends(stage: &Stage, name: &str, bytes: &[u8]) -> anyhow::Result<ChatMessage> {
    let wang = stage.person("王芳");
    wang.sends_file(name, bytes).await;
    stage.settle().await?;
    let sent = wang.chat().into_iter().rfind(|message| message.msg_type == "file" && !message.from_bot);
    Ok(sent.expect("the file in the chat"))
}

/// Sends a file, answers it with this command and gives what the bot said since, oldest first.
pub(super) async fn answers(
    stage: &Stage,
    name: &str,
    bytes: &[u8],
    command: &str,
) -> anyhow::Result<Vec<ChatMessage>> {
    let file = sends(stage, name, bytes).await?;
    let wang = stage.person("王芳");
    while wang.unread().is_some() {}
    wang.replies(&file, command).await;
    stage.settle().await?;
    Ok(std::iter::from_fn(|| wang.unread()).collect())
}

/// The card that comes of a list, and what was said beside it.
async fn card(stage: &Stage, name: &str, bytes: &[u8]) -> anyhow::Result<(ChatMessage, String)> {
    let said = answers(stage, name, bytes, "/broadcast file 停电通知").await?;
    let texts: Vec<String> = said.iter().filter(|m| m.card.is_none()).map(|m| m.text.clone()).collect();
    anyhow::ensure!(said.iter().any(|message| message.card.is_some()), "no card for {name}: {texts:?}");
    Ok((stage.card_of("王芳")?, texts.join("\n")))
}

/// A workbook with these rows on its first sheet.
fn workbook(rows: &[&[&str]]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet().set_name("名单").expect("a name");
    for (row, cells) in (0_u32..).zip(rows) {
        for (column, cell) in (0_u16..).zip(*cells) {
            sheet.write(row, column, *cell).expect("a cell");
        }
    }
    workbook.save_to_buffer().expect("a workbook")
}

#[tokio::test]
async fn a_list_is_read_whichever_program_wrote_it() {
    story(async |stage| {
        let (chen, liu) = (stage.person("陈晨").employee(), stage.person("刘洋").employee());
        let table = format!("姓名,手机号,备注\n陈晨,{},甲\n刘洋,{},乙\n", chen.mobile, liu.mobile);
        let crlf = table.replace('\n', "\r\n");
        let gbk = GBK.encode(&table).0.into_owned();
        assert!(std::str::from_utf8(&gbk).is_err());
        let sheet = workbook(&[&["姓名", "手机号"], &["陈晨", &chen.mobile], &["刘洋", &liu.mobile]]);
        let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(crlf.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let files: [(&str, Vec<u8>, &str); 10] = [
            ("名单.csv", table.clone().into_bytes(), "@陈晨"),
            ("bom.csv", format!("\u{feff}{crlf}").into_bytes(), "@陈晨"),
            ("crlf.CSV", crlf.clone().into_bytes(), "@陈晨"),
            ("gbk.csv", gbk, "@陈晨"),
            ("utf-16.txt", utf16, "@陈晨"),
            ("tab.txt", table.replace(',', "\t").into_bytes(), "@陈晨"),
            ("plain.txt", format!("{}\n{}", chen.mobile, liu.mobile).into_bytes(), &chen.mobile),
            ("plain.csv", format!("{}\r\n\r\n{}\r\n", chen.mobile, liu.mobile).into_bytes(), &chen.mobile),
            ("名单.xlsx", sheet.clone(), "@陈晨"),
            // The bytes tell, whatever the name says.
            ("名单.txt", sheet, "@陈晨"),
        ];
        let count = files.len();
        for (number, (name, bytes, shown)) in files.into_iter().enumerate() {
            let (card, said) = card(stage, name, &bytes).await?;
            for words in [&format!("名单 {name}：2 行可用"), &format!("• {shown}"), "约 2 人"] {
                assert!(card.text.contains(words), "{name}: {words} is missing on\n{}", card.text);
            }
            assert!(said.is_empty(), "{name}: {said}");
            approve(stage).await?;
            let sent = bodies(stage);
            assert_eq!((sent.len(), &sent[number]), (number + 1, &json!({ "open_ids": [chen.open_id, liu.open_id] })));
        }
        assert!(copies(stage).values().all(|copies| *copies == count));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_column_that_names_somebody_is_understood() {
    story_with(&[], company(), async |stage| {
        stage.authorize("王芳").await?;
        let [chen, liu, zhao, xu, he] =
            ["陈晨", "刘洋", "赵磊", "许国强", "何静"].map(|name| stage.person(name).employee());
        let market = department(stage, "市场部");
        let table = format!(
            "open_id,user_id,union_id,email,mobile,department,department_id\n\
             {},,,,,,\n,{},,,,,\n,,{},,,,\n,,,{},,,\n,,,,{},,\n,,,,,华东/客服部,\n,,,,,,{market}\n,,,,,,key-accounts\n",
            chen.open_id, liu.user_id, zhao.union_id, xu.email, he.mobile
        );
        let (card, said) = card(stage, "columns.csv", table.as_bytes()).await?;
        assert!(card.text.contains("8 行可用") && !card.text.contains("查不到"), "{}", card.text);
        assert!(card.text.contains("约 10 人") && said.is_empty(), "{said}\n{}", card.text);
        approve(stage).await?;
        let departments = [department(stage, "华东/客服部"), market, department(stage, "销售部/大客户组")];
        let body = json!({
            "department_ids": departments,
            "open_ids": [chen.open_id, xu.open_id, he.open_id],
            "user_ids": [liu.user_id],
            "union_ids": [zhao.union_id],
        });
        assert_eq!(bodies(stage), [body]);
        let all = ["陈晨", "刘洋", "赵磊", "许国强", "何静", "罗敏", "王芳", "林悦", "马超", "钱多多"];
        assert_eq!(copies(stage), once(&all));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn rows_that_name_the_same_collapse_whatever_their_form() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let (chen, market) = (stage.person("陈晨").employee(), department(stage, "市场部"));
        let rows = [
            chen.email.clone(),
            chen.mobile.clone(),
            chen.email.to_uppercase(),
            format!("+86 {}", chen.mobile),
            chen.open_id.clone(),
            chen.open_id.clone(),
            chen.union_id.clone(),
            format!("user:{}", chen.user_id),
            market.clone(),
            "市场部".to_owned(),
            format!("dept:{market}"),
        ];
        let (card, said) = card(stage, "again.txt", rows.join("\n").as_bytes()).await?;
        // Two of the nine are found to be a person who is named otherwise only once the person has been looked up.
        assert!(card.text.contains("4 行可用，7 行重复已合并") && said.is_empty(), "{said}\n{}", card.text);
        assert_eq!(card.text.matches("用两种方式写了同一个人").count(), 2, "{}", card.text);
        assert!(card.text.contains("约 3 人"), "{}", card.text);
        approve(stage).await?;
        assert_eq!(bodies(stage), [json!({ "department_ids": [market], "open_ids": [chen.open_id] })]);
        assert_eq!(copies(stage), once(&["陈晨", "王芳", "林悦"]));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_row_inside_a_department_of_the_same_list_is_dropped() {
    story(async |stage| {
        let (sales, ma) = (department(stage, "销售部"), stage.person("马超").employee());
        let table = format!("姓名,手机号,部门ID\n马超,{},\n,,{sales}\n", ma.mobile);
        let (card, _) = card(stage, "inside.csv", table.as_bytes()).await?;
        assert!(
            card.text.contains("「@马超」在「销售部」之内，已合并") && card.text.contains("约 4 人"),
            "{}",
            card.text
        );
        approve(stage).await?;
        assert_eq!(bodies(stage), [json!({ "department_ids": [sales] })]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn rows_that_name_nobody_are_told_by_their_lines_and_the_rest_goes_on() {
    let company = Company::small().department("华北/客服部");
    story_with(&[], company, async |stage| {
        stage.authorize("王芳").await?;
        let chen = stage.person("陈晨").employee();
        let table = format!(
            "姓名,手机号,邮箱,部门\n陈晨,{},,\n李四,12345,,\n王五,,nobody@example.com,\n,,,客服部\n,,,保安部\n\
             赵六,,,市场部\n,,,市场部\n,,,\"销售部;市场部\"\n陈晨,{},,\n",
            chen.mobile, chen.mobile
        );
        let (card, said) = card(stage, "有错.csv", table.as_bytes()).await?;
        assert!(
            card.text.contains("名单 有错.csv：2 行可用，1 行重复已合并，6 行没有用上（明细见消息）"),
            "{}",
            card.text
        );
        for words in [
            "文件「有错.csv」：2 个收件人（取自「邮箱」「手机号」「部门」）",
            "1 行与前面的重复，已合并",
            "6 行不能用，没有算进收件人",
            "第 3 行：「12345」不是手机号",
            "第 4 行：「nobody@example.com」没有找到对应的人",
            "第 5 行：「客服部」有多个同名部门",
            "第 6 行：「保安部」没有找到",
            "第 7 行：「赵六」没有可用的 ID、邮箱或手机号；不会改发给整个部门",
            "第 9 行：「销售部;市场部」一格里有多个收件人",
        ] {
            assert!(said.contains(words), "{words} is missing in\n{said}");
        }
        approve(stage).await?;
        let body = json!({ "department_ids": [department(stage, "市场部")], "open_ids": [chen.open_id] });
        assert_eq!(bodies(stage), [body]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn names_in_a_list_wait_for_the_login_and_go_on_by_themselves() {
    story(async |stage| {
        let said = answers(stage, "部门.txt", "市场部\n华南/客服部\n".as_bytes(), "/broadcast file 停电通知").await?;
        let login = said.into_iter().find(|message| message.text.contains("去授权")).expect("a login card");
        super::nothing_proposed(stage).await?;
        stage.follow_login(&login, "王芳").await?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("名单 部门.txt：2 行可用") && card.text.contains("约 3 人"), "{}", card.text);
        approve(stage).await?;
        assert_eq!(copies(stage), once(&["王芳", "林悦", "谢婷"]));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_list_and_other_targets_stand_side_by_side() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let (chen, luo) = (stage.person("陈晨").employee(), stage.person("罗敏").employee());
        let list = format!("{}\n{}\n", chen.email, luo.union_id);
        // The file is the content's reply only where it is no target.
        let command = format!("/broadcast 客服部,FILE,{} 换班", chen.open_id);
        answers(stage, "名单.txt", list.as_bytes(), &command).await?;
        let card = stage.card_of("王芳")?;
        let press = crate::sandbox::Press::action("pick").option(&department(stage, "华东/客服部"));
        stage.person("王芳").presses(&card, press).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        let card = stage.card_of("赵磊")?;
        assert!(card.text.contains("名单 名单.txt：2 行可用"), "{}", card.text);
        assert!(
            card.text.contains("「@罗敏」在「华东 / 客服部」之内") && card.text.contains("约 2 人"),
            "{}",
            card.text
        );
        approve(stage).await?;
        let body = json!({ "department_ids": [department(stage, "华东/客服部")], "open_ids": [chen.open_id] });
        assert_eq!(bodies(stage), [body]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_of_a_list_shows_the_same_and_keeps_nothing() {
    story(async |stage| {
        let chen = stage.person("陈晨").employee();
        let list = format!("手机号\n{}\n12345\n", chen.mobile);
        let said = answers(stage, "名单.txt", list.as_bytes(), "/broadcast --dry-run file 停电通知").await?;
        let card = said.iter().find(|message| message.card.is_some()).expect("a preview");
        assert!(card.text.contains("名单 名单.txt：1 行可用，1 行没有用上"), "{}", card.text);
        assert!(said.iter().any(|message| message.text.contains("第 3 行：「12345」")), "{said:?}");
        super::nothing_proposed(stage).await
    })
    .await;
}

#[tokio::test]
async fn in_a_group_only_the_author_reads_which_rows_were_left_out() {
    story(async |stage| {
        let (group, wang) = (stage.tenant.group("项目群").chat_id, stage.person("王芳"));
        let chen = stage.person("陈晨").employee();
        let content = json!({ "file_key": "file_v3_list", "file_name": "名单.csv" });
        let event = wang.writes(&group, "file", &content, &[], None);
        let file = event.body["event"]["message"]["message_id"].as_str().expect("an id").to_owned();
        let list = format!("姓名,手机号\n陈晨,{}\n李四,12345\n", chen.mobile);
        stage.tenant.with(|world| {
            let message = world.message_mut(&file).expect("was just written");
            message.attachments.insert("file_v3_list".into(), ("名单.csv".into(), list.into_bytes()));
        });
        let command = json!({ "text": "@群发助手 /broadcast file 停电通知" });
        let event = wang.writes(&group, "text", &command, &["群发助手"], Some(&file));
        let in_group = |stage: &Stage| -> Vec<ChatMessage> {
            stage.tenant.chat_messages(&group).into_iter().filter(|message| message.from_bot).collect()
        };
        stage.tenant.push(&event).await;
        stage.settle().await?;
        let refused = in_group(stage).pop().expect("an answer");
        assert!(refused.text.contains("im:message.group_msg"), "{}", refused.text);

        stage.tenant.console(|app| {
            app.tenant_scopes.insert("im:message.group_msg".into());
        });
        let event = wang.writes(&group, "text", &command, &["群发助手"], Some(&file));
        stage.tenant.push(&event).await;
        stage.settle().await?;
        let said = in_group(stage);
        assert!(said.len() == 2 && !said[1].text.contains("12345"), "{said:?}");
        assert!(wang.chat().iter().any(|message| message.from_bot && message.text.contains("第 3 行：「12345」")));
        approve(stage).await?;
        assert_eq!(bodies(stage), [json!({ "open_ids": [chen.open_id] })]);
        Ok(())
    })
    .await;
}
