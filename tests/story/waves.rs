//! What the rules do between an approval and the last batch: a rest, quiet hours, and a first wave that says whether the
//! rest may follow.

use std::time::Duration;

use feishu_broadcast::domain::batch::{DoubtCause, Outcome, WaitCause};
use feishu_broadcast::domain::ids::BroadcastId;
use feishu_broadcast::domain::report::Report;
use serde_json::Value;

use crate::approve::{HOUR, actions, press};
use crate::policy::{Rules, ruled};
use crate::sandbox::{Company, Fault, Press};
use crate::stage::{Stage, story_with};

const MINUTE: Duration = Duration::from_secs(60);

const NAMES: [&str; 4] = ["陈晨", "刘洋", "马超", "钱多多"];

const CANARY: &str = "[[size]]\napprovals = 1\ncanary = { first = 2, invalid_max = \"25%\" }\n";

fn copies(stage: &Stage) -> Vec<usize> {
    NAMES.iter().map(|name| stage.person(name).inbox().len()).collect()
}

/// The people of each call.
fn calls(stage: &Stage) -> Vec<Vec<String>> {
    let of = |body: &Value| -> Vec<String> {
        body["open_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    stage.tenant.tasks().iter().map(|task| of(&task.body)).collect()
}

async fn proposed(stage: &Stage, ids: &[String]) -> anyhow::Result<()> {
    stage.propose("王芳", &format!("/broadcast {} 分两批", ids.join(","))).await?;
    Ok(())
}

fn ids(stage: &Stage) -> Vec<String> {
    NAMES.iter().map(|name| stage.person(name).open_id).collect()
}

#[tokio::test]
async fn the_rest_follows_when_the_first_wave_has_arrived() {
    ruled(
        Company::small(),
        |_| CANARY.to_owned(),
        async |stage, _| {
            proposed(stage, &ids(stage)).await?;
            assert!(stage.card_of("赵磊")?.text.contains("先发给 2 人"), "{}", stage.card_of("赵磊")?.text);
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            stage.later(MINUTE).await?;
            assert_eq!(calls(stage), [ids(stage)[..2].to_vec(), ids(stage)[2..].to_vec()]);
            assert_eq!(copies(stage), [1; 4]);
            assert!(stage.card_of("王芳")?.text.starts_with("已发送"), "{}", stage.card_of("王芳")?.text);
            Ok(())
        },
    )
    .await;
}

#[tokio::test]
async fn the_rest_waits_where_the_first_wave_is_not_reached() {
    ruled(
        Company::small(),
        |_| CANARY.to_owned(),
        async |stage, _| {
            stage.tenant.switch(|switches| switches.progress = vec![(0, 0, 0), (2, 1, 0)]);
            proposed(stage, &ids(stage)).await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            stage.later(4 * MINUTE).await?;
            let card = stage.card_of("王芳")?;
            assert!(card.text.starts_with("发送中") && card.text.contains("先发给 2 人"), "{}", card.text);
            assert_eq!(copies(stage), [1, 1, 0, 0], "nobody else has it yet");

            stage.restart().await?;
            stage.later(3 * MINUTE).await?;
            let card = stage.card_of("王芳")?;
            assert!(
                card.text.starts_with("已暂停") && card.text.contains("先收到的 2 人里，判断时有 1 人"),
                "{}",
                card.text
            );
            assert_eq!(actions(stage, "王芳").first().map(String::as_str), Some("confirm"));
            stage.later(24 * HOUR).await?;
            assert_eq!(copies(stage), [1, 1, 0, 0]);
            press(stage, "王芳", "confirm").await?;
            stage.settle().await?;
            assert_eq!(copies(stage), [1; 4]);
            assert_eq!(calls(stage).len(), 2);
            Ok(())
        },
    )
    .await;
}

#[tokio::test]
async fn invalid_ids_in_the_first_wave_stop_the_rest_at_once() {
    ruled(
        Company::small(),
        |_| CANARY.to_owned(),
        async |stage, _| {
            let mut people = ids(stage);
            people.insert(0, "ou_00000000000000000000000000000bad".to_owned());
            proposed(stage, &people).await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            let card = stage.card_of("王芳")?;
            assert!(
                card.text.starts_with("已暂停") && card.text.contains("先收到的 2 人里，判断时有 1 人"),
                "{}",
                card.text
            );
            press(stage, "王芳", "cancel").await?;
            stage.settle().await?;
            assert!(stage.card_of("王芳")?.text.starts_with("部分发送"), "{}", stage.card_of("王芳")?.text);
            assert_eq!(copies(stage), [1, 0, 0, 0]);
            Ok(())
        },
    )
    .await;
}

/// Nobody asks for the delivery of a batch that was taken as sent.
#[tokio::test]
async fn the_rest_follows_where_the_first_wave_was_taken_as_sent() {
    ruled(
        Company::small(),
        |_| CANARY.to_owned(),
        async |stage, _| {
            stage.tenant.fault(Fault::lost_answer("batch_send"));
            proposed(stage, &ids(stage)).await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            assert_eq!(copies(stage), [1, 1, 0, 0]);
            press(stage, "王芳", "settle").await?;
            stage.later(MINUTE).await?;
            assert_eq!(copies(stage), [1; 4]);
            assert!(stage.card_of("王芳")?.text.starts_with("已发送"), "{}", stage.card_of("王芳")?.text);
            Ok(())
        },
    )
    .await;
}

#[tokio::test]
async fn the_rest_waits_where_the_first_wave_was_taken_back() {
    ruled(
        Company::small(),
        |_| CANARY.to_owned(),
        async |stage, _| {
            stage.tenant.switch(|switches| switches.progress = vec![(0, 0, 0), (2, 1, 0)]);
            proposed(stage, &ids(stage)).await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            let id = Stage::id_on(&stage.card_of("王芳")?);
            stage.person("王芳").says(&format!("/recall {id} 1")).await;
            stage.later(24 * HOUR).await?;
            let card = stage.card_of("王芳")?;
            assert!(card.text.starts_with("已暂停") && card.text.contains("已经要求撤回"), "{}", card.text);
            assert_eq!(calls(stage).len(), 1);
            press(stage, "王芳", "cancel").await?;
            stage.settle().await?;
            assert_eq!(calls(stage).len(), 1);
            Ok(())
        },
    )
    .await;
}

#[tokio::test]
async fn an_approved_broadcast_rests_and_can_be_stopped_meanwhile() {
    let rule = "[[size]]\napprovals = 1\ncooling_off = \"10m\"\n";
    ruled(
        Company::small(),
        |_| rule.to_owned(),
        async |stage, _| {
            for stopped_by in ["赵磊", "王芳", "nobody"] {
                proposed(stage, &ids(stage)[..1]).await?;
                assert!(
                    stage.card_of("赵磊")?.text.contains("通过后等 10 分钟再发"),
                    "{}",
                    stage.card_of("赵磊")?.text
                );
                assert!(press(stage, "赵磊", "approve").await?.says().contains("冷静期过后自动发送"));
                stage.later(8 * MINUTE).await?;
                for name in ["王芳", "赵磊"] {
                    let card = stage.card_of(name)?.text;
                    assert!(card.starts_with("冷静期") && card.contains("还有约 2 分钟"), "{name}: {card}");
                }
                assert_eq!(copies(stage)[0], 0);
                match stopped_by {
                    "赵磊" => {
                        assert!(stage.card_of("赵磊")?.text.contains("叫停理由"), "it is no rejection any more");
                        let id = Stage::id_on(&stage.card_of("赵磊")?);
                        let stop = Press::action("reject").field("reason", "写错了");
                        assert!(press(stage, "赵磊", stop).await?.says().contains("已叫停"));
                        stage.settle().await?;
                        let status = stage.ask("王芳", &format!("/status {id}")).await?.text;
                        assert!(status.contains("叫停，附理由") && !status.contains("驳回"), "{status}");
                        let told = stage.person("王芳").chat();
                        assert!(
                            told.iter().any(|said| said.text.contains("被叫停，没有发送。理由：写错了")),
                            "{told:?}"
                        );
                    }
                    "王芳" => press(stage, "王芳", "cancel").await.map(|_| ())?,
                    _ => {}
                }
                stage.later(3 * MINUTE).await?;
            }
            assert_eq!((copies(stage)[0], stage.tenant.tasks().len()), (1, 1));
            Ok(())
        },
    )
    .await;
}

/// A window around now, by the clock in Shanghai: so long before, so long after.
fn window(before: Duration, after: Duration) -> String {
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").expect("a zone of the database");
    let now = jiff::Timestamp::now();
    let at = |at: jiff::Timestamp| at.to_zoned_datetime(zone.clone()).strftime("%H:%M").to_string();
    format!("[quiet]\nfrom = \"{}\"\nto = \"{}\"\n", at(now - before), at(now + after))
}

#[tokio::test]
async fn nothing_leaves_in_quiet_hours() {
    let rules = Rules::new(&window(HOUR, 2 * HOUR));
    let path = rules.path();
    story_with(&[("POLICY_FILE", &path)], Company::small(), async |stage| {
        let to = ids(stage)[0].clone();
        let said = stage.ask("王芳", &format!("/broadcast --at \"{}\" {to} 开会", shanghai(HOUR))).await?;
        assert!(said.text.contains("免打扰时段") && said.text.contains("最早"), "{}", said.text);
        proposed(stage, &[to]).await?;
        let pressed = press(stage, "赵磊", "approve").await?;
        assert!(
            pressed.says().contains("现在是免打扰时段") && !pressed.says().contains("开始发送"),
            "{}",
            pressed.says()
        );
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("等待中：现在是免打扰时段"), "{}", card.text);
        // Nothing has left: whoever looks must not believe that it is on its way.
        let id = Stage::id_on(&card);
        for name in ["王芳", "赵磊"] {
            let card = stage.card_of(name)?;
            assert!(card.text.starts_with("等免打扰时段结束") && !card.text.contains("发送中"), "{}", card.text);
        }
        for (asked, word) in [("/list", " · 等免打扰时段结束 · "), (&format!("/status {id}"), "：等免打扰时段结束")]
        {
            let said = stage.ask("王芳", asked).await?.text;
            assert!(said.contains(word) && !said.contains("发送中"), "{asked}: {said}");
        }
        stage.later(HOUR).await?;
        assert_eq!((copies(stage)[0], stage.tenant.calls_to("batch_send").len()), (0, 0));
        let pressed = Press::action("schedule").option("x");
        assert!(stage.person("王芳").presses(&card, pressed).await.is_err(), "it is approved");
        stage.later(HOUR + MINUTE).await?;
        assert_eq!(copies(stage)[0], 1);
        Ok(())
    })
    .await;
}

/// What has begun to leave is being sent, also while the rest of it waits.
#[tokio::test]
async fn what_has_left_in_part_goes_on_after_the_quiet_hours() {
    let company = (0..250).fold(Company::small(), |company, n| company.person(&format!("员工{n:03}"), &["工厂"]));
    ruled(
        company,
        |_| String::new(),
        async |stage, rules| {
            let ids: Vec<String> = (0..250).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
            stage.propose("王芳", &format!("/broadcast {} 分两批", ids.join(","))).await?;
            press(stage, "赵磊", "approve").await?;
            feishu_broadcast::app::dispatch::step(&stage.bot.app).await?;
            rules.write(&window(HOUR, 2 * HOUR));
            stage.settle().await?;
            let card = stage.card_of("王芳")?;
            assert!(card.text.starts_with("发送中") && card.text.contains("继续发"), "{}", card.text);
            assert_eq!(stage.tenant.tasks().len(), 1);
            stage.later(2 * HOUR + MINUTE).await?;
            assert_eq!(stage.tenant.tasks().len(), 2);
            Ok(())
        },
    )
    .await;
}

/// Where a broadcast of many batches stands, a list says without opening what its batches have become.
#[tokio::test]
async fn a_list_opens_no_batch_but_the_next_one() {
    let company = (0..450).fold(Company::small(), |company, n| company.person(&format!("员工{n:03}"), &["工厂"]));
    ruled(
        company,
        |_| window(HOUR, 2 * HOUR),
        async |stage, _| {
            let ids: Vec<String> = (0..450).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
            let sent = stage.propose("王芳", &format!("/broadcast {} 分三批", ids.join(","))).await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            let store = &stage.bot.app.store;
            let id = BroadcastId::parse(&Stage::id_on(&sent)).expect("the card names it");
            // What became of the second and third batch, and whether anything of it may have left.
            let outcome = |code: Option<i64>, doubt: Option<DoubtCause>, doubted: bool| {
                serde_json::to_string(&Outcome { code, doubt, doubted, ..Outcome::default() }).expect("a document")
            };
            let (plain, refused) = (outcome(None, None, false), outcome(Some(11_203), None, false));
            let (doubtful, doubted) = (outcome(None, Some(DoubtCause::NoAnswer), false), outcome(None, None, true));
            for (state, outcome, kept_back) in [
                ("planned", &plain, true),
                ("planned", &doubtful, false),
                ("refused", &refused, true),
                ("refused", &doubted, false),
                ("cancelled", &doubtful, false),
                ("accepted", &plain, false),
                ("in-doubt", &doubtful, false),
                ("taken-as-sent", &plain, false),
                ("sending", &plain, false),
            ] {
                stage.sql(format!("update batches set state = '{state}', outcome = '{outcome}' where seq > 1")).await?;
                let listed = store.kept_back().await?;
                assert_eq!(listed.get(&id), kept_back.then_some(&WaitCause::QuietHours), "{state}: {listed:?}");
                let report = Report::of(&store.batches(&id).await?);
                assert_eq!(report.kept_back(), listed.get(&id).copied(), "{state}: as the card says");
            }
            // Of what Feishu took nothing is read: 500 of these hold the ids of 100,000 people.
            let unread = "update batches set state = 'accepted', outcome = 'x' where seq > 1";
            stage.sql(unread.to_owned()).await?;
            let list = stage.ask("王芳", "/list").await?.text;
            assert!(list.contains(" · 发送中 · "), "{list}");
            stage.sql(format!("update batches set state = 'planned', outcome = '{plain}' where seq > 1")).await
        },
    )
    .await;
}

/// A moment so far from now, as it is written in Shanghai.
fn shanghai(ahead: Duration) -> String {
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").expect("a zone of the database");
    (jiff::Timestamp::now() + ahead).to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M").to_string()
}
