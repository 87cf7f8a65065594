//! Ids that Feishu calls invalid: each with what its author knows it by, why, and what to do; more than twenty as a file.

use std::time::Duration;

use anyhow::Context;
use feishu_broadcast::app::{dispatch, letters};

use super::{replied, sent};
use crate::approve::press;
use crate::crash::death::{die, die_later_each_time};
use crate::sandbox::draft::Draft;
use crate::sandbox::{Company, Fault};
use crate::stage::{Stage, story, story_with};

/// A list of people, as a file that 王芳 sends and answers; gives her card.
async fn from_file(stage: &Stage, csv: &str, words: &str) -> anyhow::Result<()> {
    let said = sent(stage, Draft::file("file_v3_list", "名单.csv", csv.as_bytes())).await?;
    let answer = replied(stage, &said.message_id, &format!("/broadcast file {words}")).await?;
    anyhow::ensure!(stage.card_of("王芳").is_ok(), "no card, but {}", answer.text);
    press(stage, "赵磊", "approve").await?;
    stage.settle().await
}

/// The files with invalid ids in 王芳's chat: name and bytes.
fn files(stage: &Stage) -> Vec<(String, Vec<u8>)> {
    let chat = stage.person("王芳").chat().into_iter().filter(|message| message.from_bot && message.msg_type == "file");
    let keys: Vec<String> =
        chat.map(|message| message.content["file_key"].as_str().expect("a key").to_owned()).collect();
    let file = |key: &String| stage.tenant.with(|world| world.files[key].clone());
    let of_invalid = |name: &str| name.contains("无效 ID") || name.contains("invalid ids");
    keys.iter().map(file).map(|upload| (upload.name, upload.bytes)).filter(|(name, _)| of_invalid(name)).collect()
}

/// So many people of whom nobody has heard, one a row, with what their author calls them.
fn nobody(rows: usize) -> String {
    let row = |n: usize| format!("ou_{n:031}x,某人{n}\n");
    (0..rows).map(row).collect()
}

fn good(stage: &Stage) -> String {
    format!("{},陈晨\n", stage.person("陈晨").open_id)
}

#[tokio::test]
async fn all_four_kinds_are_named_with_their_line_the_reason_and_what_to_do() {
    story(async |stage| {
        let csv = format!(
            "open_id,union_id,user_id,部门ID,姓名\n{},,,,陈晨\nou_bad0000000000000000000000000000,,,,老王\n,on_bad0000000000000000000000000000,,,老李\n,,e0000bad,,\n,,,od-bad00000000000000000000000000000,\n",
            stage.person("陈晨").open_id
        );
        from_file(stage, &csv, "四种").await?;
        let card = stage.card_of("王芳")?;
        let status = stage.ask("王芳", &format!("/status {}", Stage::id_on(&card))).await?;
        for seen in [&card, &status] {
            for words in [
                "部分发送",
                "无效 ID 共 4 个",
                "老王（ou_bad0000000000000000000000000000，第 3 行）。此人已离职、不在应用的可用范围内，或 open_id 属于别的应用。请核对",
                "老李（on_bad0000000000000000000000000000，第 4 行）",
                "e0000bad（第 5 行）。本企业没有这个 user_id",
                "od-bad00000000000000000000000000000（第 6 行）。部门不存在、已删除，或不在应用的可用范围内",
                "在开发者后台",
            ] {
                assert!(seen.text.contains(words), "{words} is missing in\n{}", seen.text);
            }
        }
        assert!(stage.card_of("赵磊")?.text.contains("老王"), "approvers see it too");
        assert!(files(stage).is_empty());
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn twenty_stand_on_the_card_and_one_more_comes_as_a_file_once() {
    story(async |stage| {
        let header = "open_id,姓名\n";
        from_file(stage, &format!("{header}{}{}", good(stage), nobody(20)), "二十个").await?;
        let card = stage.card_of("王芳")?;
        for n in 0..20 {
            assert!(card.text.contains(&format!("某人{n}（")), "{n} is missing in {}", card.text);
        }
        assert!(files(stage).is_empty());

        from_file(stage, &format!("{header}{}{}", good(stage), nobody(21)), "二十一个").await?;
        stage.later(Duration::from_secs(3600)).await?;
        let card = stage.card_of("王芳")?;
        assert!(
            card.text.contains("无效 ID 共 21 个") && card.text.contains("全部在发给发起人的 CSV 文件里"),
            "{}",
            card.text
        );
        let [(name, bytes)] = files(stage).try_into().expect("one file");
        assert_eq!(name, format!("群发 {} 的无效 ID.csv", Stage::id_on(&card)));
        let sheet = String::from_utf8(bytes)?;
        let mut rows = sheet.strip_prefix('\u{FEFF}').context("a BOM")?.lines();
        assert_eq!(rows.next(), Some("类型,ID,名称,文件行号,可能的原因与处理"));
        let rows: Vec<&str> = rows.collect();
        assert_eq!(rows.len(), 21);
        for (n, row) in rows.iter().enumerate() {
            let begin = format!("open_id,ou_{n:031}x,某人{n},{},此人已离职", n + 3);
            assert!(row.starts_with(&begin), "{row}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_cell_is_never_a_formula() {
    story(async |stage| {
        let names = ["=HYPERLINK(\"http://e.com\")", "+1+1", "-2", "@SUM(A1)", "\"a,b\"\"c\""];
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let row = |n: usize| {
            let name =
                names.get(n).map_or("某人".to_owned(), |name| if n == 4 { (*name).to_owned() } else { quoted(name) });
            format!("ou_{n:031}x,{name}\n")
        };
        let rows: String = (0..25).map(row).collect();
        from_file(stage, &format!("open_id,姓名\n{}{rows}", good(stage)), "公式").await?;
        let [(_, bytes)] = files(stage).try_into().expect("one file");
        let mut reader = csv::Reader::from_reader(&bytes[3..]);
        let cells: Vec<String> = reader.records().map(|row| row.expect("a row")[2].to_owned()).collect();
        assert_eq!(cells[..5], ["'=HYPERLINK(\"http://e.com\")", "'+1+1", "'-2", "'@SUM(A1)", "a,b\"c"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn who_writes_english_gets_it_in_english() {
    story(async |stage| {
        let csv = format!("open_id,name\n{}{}", good(stage), nobody(21));
        let said = sent(stage, Draft::file("file_v3_list", "list.csv", csv.as_bytes())).await?;
        replied(stage, &said.message_id, "/broadcast file please read").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let [(name, bytes)] = files(stage).try_into().expect("one file");
        assert!(name.ends_with("invalid ids.csv"), "{name}");
        let sheet = String::from_utf8(bytes)?;
        assert!(sheet.contains("kind,id,name,line,\"likely reason, and what to do\""), "{sheet}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_file_comes_once_though_feishu_has_trouble_with_it() {
    for fault in [
        Fault::code("files.create", 500, 2200).times(2),
        Fault::rate("files.create", 1),
        Fault::lost_answer("files.create"),
        Fault::lost_answer("messages.create"),
    ] {
        story(async |stage| {
            let csv = format!("open_id,姓名\n{}{}", good(stage), nobody(21));
            let said = sent(stage, Draft::file("file_v3_list", "名单.csv", csv.as_bytes())).await?;
            let command = format!("/broadcast {} 先说一句", stage.person("陈晨").open_id);
            stage.propose("王芳", &command).await?;
            press(stage, "赵磊", "reject").await?;
            stage.settle().await?;
            replied(stage, &said.message_id, "/broadcast file 正事").await?;
            // The cards are there already: the next message of its own is the file.
            stage.tenant.fault(fault.clone());
            press(stage, "赵磊", "approve").await?;
            stage.later(Duration::from_secs(600)).await?;
            let [(_, bytes)] = files(stage).try_into().expect("one file");
            assert_eq!(String::from_utf8(bytes)?.lines().count(), 22);
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_file_that_feishu_will_not_take_is_told_of_and_holds_nothing_up() {
    story(async |stage| {
        stage.tenant.console(|app| app.tenant_scopes.retain(|scope| scope != "im:resource"));
        from_file(stage, &format!("open_id,姓名\n{}{}", good(stage), nobody(21)), "没有权限").await?;
        let id = Stage::id_on(&stage.card_of("王芳")?);
        let said = stage.person("王芳").chat().into_iter().rfind(|message| message.text.contains("没有传上来"));
        let said = said.expect("told");
        for words in ["230027", "权限管理", &format!("/status {id}")] {
            assert!(said.text.contains(words), "{words} is missing in {}", said.text);
        }
        assert!(files(stage).is_empty());
        assert!(stage.ask("王芳", "/whoami").await?.text.contains("管理员"), "what is behind it goes on");
        stage.tenant.console(|app| {
            app.tenant_scopes.insert("im:resource".into());
        });
        stage.ask("王芳", &format!("/status {id}")).await?;
        stage.settle().await?;
        let [(_, bytes)] = files(stage).try_into().expect("one file");
        assert_eq!(String::from_utf8(bytes)?.lines().count(), 22);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn ids_of_several_calls_are_all_told() {
    let mut company = Company::small();
    for n in 0..230 {
        company = company.person(&format!("员工{n:03}"), &["工厂"]);
        if n % 10 == 0 {
            company = company.unavailable(&format!("员工{n:03}"));
        }
    }
    story_with(&[], company, async |stage| {
        let rows: String =
            (0..230).map(|n| format!("{},员工{n:03}\n", stage.person(&format!("员工{n:03}")).open_id)).collect();
        from_file(stage, &format!("open_id,姓名\n{rows}"), "两批").await?;
        assert_eq!(stage.tenant.tasks().len(), 2);
        let [(_, bytes)] = files(stage).try_into().expect("one file");
        let sheet = String::from_utf8(bytes)?;
        for n in (0..230).step_by(10) {
            assert!(sheet.contains(&format!(",员工{n:03},{},", n + 2)), "{n} is missing");
        }
        assert_eq!(sheet.lines().count(), 24);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn wherever_the_machine_dies_the_file_comes_once() {
    story(async |stage| {
        let csv = format!("open_id,姓名\n{}{}", good(stage), nobody(21));
        let said = sent(stage, Draft::file("file_v3_list", "名单.csv", csv.as_bytes())).await?;
        die_later_each_time(stage, "a file", async |stage, moment| {
            let before = files(stage).len();
            replied(stage, &said.message_id, &format!("/broadcast file 第{moment}次断电")).await?;
            press(stage, "赵磊", "approve").await?;
            dispatch::step(&stage.bot.app).await?;
            // The news goes first.
            letters::step(&stage.bot.app).await?;
            stage.tenant.later(Duration::from_secs(1)).await;
            let finished = die(stage, moment, async |app| letters::step(&app).await.map(drop)).await?;
            stage.settle().await?;
            stage.later(2 * crate::stage::LEASES_OVER).await?;
            assert_eq!(files(stage).len(), before + 1, "moment {moment}");
            Ok(finished)
        })
        .await
    })
    .await;
}
