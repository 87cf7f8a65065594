//! Long lists: the smallest number of calls with nobody in two of them, and nothing that grows with the list but the
//! ledger and a file.

use std::collections::BTreeSet;
use std::time::Duration;

use feishu_broadcast::domain::ids::BroadcastId;
use serde_json::Value;

use super::lists::answers;
use super::{approve, bodies, copies, department};
use crate::sandbox::{Company, Fault};
use crate::stage::{Stage, story, story_with};

/// So many people, all at one place.
fn crowd(people: usize, place: &str) -> Company {
    (0..people).fold(Company::small(), |company, n| company.person(&format!("同事{n}"), &[place]))
}

/// Every id of the calls, and how many stand in each list of each call.
fn lists(bodies: &[Value], name: &str) -> (Vec<String>, Vec<usize>) {
    let of = |body: &Value| -> Vec<String> {
        body[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    (bodies.iter().flat_map(of).collect(), bodies.iter().map(|body| of(body).len()).collect())
}

async fn pages_through(stage: &Stage, ids: &[String]) -> anyhow::Result<()> {
    let said = answers(stage, "名单.txt", ids.join("\n").as_bytes(), "/broadcast file 停电通知").await?;
    anyhow::ensure!(said.iter().any(|message| message.card.is_some()), "{said:?}");
    let asked = stage.card_of("赵磊")?.text;
    anyhow::ensure!(asked.contains("一百人以上会收到"), "approvers read what they set off: {asked}");
    approve(stage).await
}

#[tokio::test]
async fn more_than_two_hundred_go_out_in_as_few_calls_as_there_are_two_hundreds() {
    story_with(&[], crowd(401, "工厂"), async |stage| {
        let ids: Vec<String> = (0..401).map(|n| stage.person(&format!("同事{n}")).open_id).collect();
        for (people, sizes) in [(200, vec![200]), (201, vec![200, 1]), (401, vec![200, 200, 1])] {
            let before = bodies(stage).len();
            pages_through(stage, &ids[..people]).await?;
            let sent = bodies(stage).split_off(before);
            assert_eq!(lists(&sent, "open_ids"), (ids[..people].to_vec(), sizes));
        }
        let all = copies(stage);
        assert!((0..401).all(|n| all[&format!("同事{n}")]
            == if n < 200 {
                3
            } else if n < 201 {
                2
            } else {
                1
            }));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn kinds_share_calls_and_nobody_stands_in_two_of_them() {
    story_with(&[], crowd(850, "工厂"), async |stage| {
        let people: Vec<_> = (0..850).map(|n| stage.person(&format!("同事{n}")).employee()).collect();
        // Kinds in turn, and the last hundred once more by another kind.
        let mut ids: Vec<String> = Vec::new();
        for (number, person) in people.iter().enumerate() {
            ids.push(match number {
                ..401 => person.open_id.clone(),
                401..600 => person.union_id.clone(),
                _ => format!("user:{}", person.user_id),
            });
        }
        ids.extend(people[750..].iter().map(|person| person.open_id.clone()));
        ids.push(department(stage, "市场部"));
        pages_through(stage, &ids).await?;
        let sent = bodies(stage);
        assert_eq!(lists(&sent, "open_ids").1, [200, 200, 101]);
        assert_eq!(lists(&sent, "union_ids").1, [199, 0, 0]);
        assert_eq!(lists(&sent, "user_ids").1, [150, 0, 0]);
        assert_eq!(lists(&sent, "department_ids").1, [1, 0, 0]);
        for name in ["open_ids", "union_ids", "user_ids"] {
            let (ids, _) = lists(&sent, name);
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{name}");
        }
        let all = copies(stage);
        assert!(all.len() == 852 && all.values().all(|copies| *copies == 1), "{} people", all.len());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_list_of_a_hundred_thousand_is_planned_whole_and_read_whole() {
    story(async |stage| {
        let rows: String = (0..100_000).map(|n| format!("ou_{n:032x}\r\n")).collect();
        let said =
            answers(stage, "全部.csv", format!("open_id\r\n{rows}").as_bytes(), "/broadcast file 停电通知").await?;
        let card = said.iter().find(|message| message.card.is_some()).expect("a card");
        assert!(card.content.to_string().len() < 24 * 1024);
        for words in ["约 100000 人", "名单 全部.csv：100000 行可用", "另有 99980 个目标"] {
            assert!(card.text.contains(words), "{words} is missing on\n{}", card.text);
        }
        let store = &stage.bot.app.store;
        let id = BroadcastId::parse(&Stage::id_on(card)).expect("an id");
        let broadcast = store.broadcast(&id).await?.expect("is there");
        let document = serde_json::to_string(&broadcast)?;
        assert!(document.len() < 64 * 1024, "{} bytes", document.len());
        let batches = store.batches(&id).await?;
        assert_eq!(batches.len(), 500);
        assert!(batches.iter().all(|batch| batch.ids == 200 && batch.heads == 200));

        // Whoever decides reads every id.
        for name in ["赵磊", "周明", "王芳"] {
            let chat = stage.person(name).chat();
            let file = chat.iter().rfind(|message| message.from_bot && message.msg_type == "file").expect("a file");
            let key = file.content["file_key"].as_str().expect("a key").to_owned();
            let upload = stage.tenant.with(|world| world.files[&key].clone());
            assert!(upload.name.contains(id.as_str()) && upload.name.ends_with(".csv"), "{}", upload.name);
            let text = String::from_utf8(upload.bytes)?;
            assert_eq!(text.lines().count(), 100_001);
            for line in [0, 56_789, 99_999] {
                let row = format!("open_id,ou_{line:032x},,{},1", line + 2);
                assert!(text.lines().any(|found| found == row), "{row}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_list_of_many_addresses_is_announced_once_before_it_is_looked_up() {
    story(async |stage| {
        let chen = stage.person("陈晨").employee();
        let mut rows: String = (0..2049).map(|n| format!("nobody{n}@example.com\n")).collect();
        rows.push_str(&chen.email);
        // Feishu fails in the middle of it, and it is begun anew.
        stage.tenant.fault(Fault::code("users.batch_get_id", 500, 2200).after(10).times(8));
        let mut said = answers(stage, "邮箱.txt", rows.as_bytes(), "/broadcast file 停电通知").await?;
        stage.later(Duration::from_secs(10)).await?;
        said.extend(std::iter::from_fn(|| stage.person("王芳").unread()));
        let announced: Vec<_> = said.iter().filter(|message| message.text.contains("大约需要")).collect();
        assert_eq!(announced.len(), 1, "{said:?}");
        assert!(announced[0].text.contains("2050 行") && announced[0].text.contains("1 分钟"), "{}", announced[0].text);
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("1 行可用，2049 行没有用上"), "{}", card.text);
        let told = said.iter().find(|message| message.text.contains("2049 行不能用")).expect("the rows");
        assert!(told.text.contains("另有 2039 行：第 11-2049 行"), "{}", told.text);
        approve(stage).await?;
        assert_eq!(copies(stage).len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn more_people_than_are_looked_up_are_sent_to_and_the_card_says_that_they_were_not() {
    story(async |stage| {
        let market = department(stage, "市场部");
        let rows: String = (0..40_001).map(|n| format!("ou_{n:032x}\n")).collect();
        let said = answers(stage, "多.txt", format!("{market}\n{rows}").as_bytes(), "/broadcast file 通知").await?;
        let card = said.iter().find(|message| message.card.is_some()).expect("a card");
        assert!(card.text.contains("有 40001 人查不到还在哪些目标里"), "{}", card.text);
        assert!(super::look_ups(stage).is_empty());
        Ok(())
    })
    .await;
}
