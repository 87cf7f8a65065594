//! Every decision and every call is a row of the audit chain, and whatever is done to it by hand is found.

mod verify;

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sqlx::Row;

use crate::approve::{press, proposal, three_approvers};
use crate::sandbox::{Fault, Press};
use crate::stage::{Stage, story, story_with};

/// The rows of one broadcast: (deed, actor), in order.
fn told<'a>(rows: &'a [Value], id: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["broadcast"] == id).collect()
}

fn deeds(rows: &[&Value]) -> Vec<String> {
    rows.iter().map(|row| row["deed"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Whether the chain and the ledger tell one story; looked at when a story ends.
pub async fn agrees_with_the_ledger(stage: &Stage) -> anyhow::Result<()> {
    let rows = stage.audit().await?;
    let mut all: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for row in &rows {
        all.entry(row["broadcast"].as_str().unwrap_or_default()).or_default().push(row);
    }
    for broadcast in stage.rows("select id, state, doc from broadcasts").await? {
        let (id, state): (String, String) = (broadcast.try_get("id")?, broadcast.try_get("state")?);
        // A story may have made it unreadable.
        let doc: Value = serde_json::from_str(broadcast.try_get("doc")?).unwrap_or_default();
        let rows = all.get(id.as_str()).with_context(|| format!("nothing is written down of {id}"))?;
        let times = |deed: &str| rows.iter().filter(|row| row["deed"] == deed).count();
        ensure!(times("proposed") == 1, "{id} was proposed {} times", times("proposed"));
        let needed = match state.as_str() {
            "needs-choice" | "pending" => None,
            "rejected" | "cancelled" | "expired" => Some(state.as_str()),
            _ => Some("approved"),
        };
        // Where the last call comes back unsent, taking it back has stopped it.
        let stopped = times("command-recalled") + times("recalled");
        let why = |deed: &str| times(deed) > 0 || (deed == "cancelled" && stopped > 0);
        ensure!(needed.is_none_or(why), "{id} is {state}, and nobody wrote down why");
        let approved_at = doc["approvals"].as_array().into_iter().flatten().filter_map(|by| by["at"].as_i64()).max();
        if needed == Some("approved") && state != "scheduled" && approved_at < doc["send_at"].as_i64() {
            ensure!(times("due") + times("went-on") > 0, "{id} is {state}, and nobody wrote down that its time came");
        }
        if doc["wave"]["over"] == true {
            ensure!(times("wave-arrived") + times("went-on") > 0, "{id}: nobody wrote down why the rest followed");
        }
    }
    for batch in stage.rows("select broadcast, seq, state, attempts, outcome from batches").await? {
        let (id, seq): (String, i64) = (batch.try_get("broadcast")?, batch.try_get("seq")?);
        let (state, attempts): (String, i64) = (batch.try_get("state")?, batch.try_get("attempts")?);
        let rows = all.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        let about = |deed: &str| rows.iter().filter(|row| row["deed"] == deed && row["detail"]["batch"] == seq).count();
        let ended = about("answered") + about("lost");
        let under_way = i64::from(state == "sending");
        ensure!(about("called") as i64 == attempts, "{id} {seq}: {attempts} calls, {} written down", about("called"));
        ensure!(ended as i64 == attempts - under_way, "{id} {seq}: {ended} ends of {attempts} calls");
        if state == "taken-as-sent" {
            ensure!(
                rows.iter().any(|row| row["deed"] == "settled"),
                "{id} {seq}: nobody wrote down who took it as sent"
            );
        }
        if state == "accepted" {
            let outcome: Value = serde_json::from_str(batch.try_get::<&str, _>("outcome")?)?;
            let receipt = &outcome["message_id"];
            let told = rows.iter().any(|row| row["detail"]["message_id"] == *receipt && row["detail"]["batch"] == seq);
            ensure!(told, "{id} {seq}: {receipt} is not written down");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_whole_life_of_a_broadcast_is_told_row_by_row() {
    story_with(&[("APPROVALS_REQUIRED", "2")], three_approvers(), async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 客服部 密码：hunter2secret").await?;
        let id = Stage::id_on(&card);
        let east =
            stage.tenant.with(|world| world.company.at("华东/客服部").expect("there").open_department_id.clone());
        let pick = Press::action("pick").option(&east);
        stage.person("王芳").presses(&card, pick).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        press(stage, "王芳", "preview").await?;
        press(stage, "赵磊", "approve").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        stage.tenant.fault(Fault::rate("batch_send", 1));
        press(stage, "何静", "approve").await?;
        stage.settle().await?;
        stage.ask("王芳", "/logout").await?;

        let rows = stage.audit().await?;
        let whole = told(&rows, &id);
        let [wang, zhao, he] = ["王芳", "赵磊", "何静"].map(|name| stage.person(name).open_id);
        let fingerprint = whole.last().context("rows")?["fingerprint"].clone();
        ensure!(fingerprint.as_str().is_some_and(|text| text.len() == 64), "{fingerprint}");
        let line = |row: &&Value| {
            let (deed, actor) = (row["deed"].as_str().unwrap_or_default(), row["actor"].as_str().unwrap_or_default());
            (deed.to_owned(), actor.to_owned(), row["version"].as_i64(), row["fingerprint"] == fingerprint)
        };
        let lines: Vec<_> = whole.iter().map(line).collect();
        let expect = [
            ("proposed", wang.as_str(), 1, false),
            ("picked", &wang, 2, false),
            ("accepted", &wang, 3, true),
            ("sample-asked", &wang, 3, true),
            ("approved", &zhao, 3, true),
            ("refused", &zhao, 3, true),
            ("sample-called", "", 3, true),
            ("sample-answered", "", 3, true),
            ("approved", &he, 4, true),
            ("called", "", 5, true),
            ("answered", "", 5, true),
            ("called", "", 5, true),
            ("answered", "", 5, true),
            ("ended", "", 6, true),
        ];
        let expect: Vec<_> = expect
            .map(|(deed, actor, version, settled)| (deed.to_owned(), actor.to_owned(), Some(version), settled))
            .to_vec();
        ensure!(lines == expect, "{lines:#?}");

        // The answers, with what Feishu's support asks for; and never what was said, or why.
        let [retried, accepted] = [10, 12].map(|place| &whole[place]["detail"]);
        ensure!(retried["outcome"] == "again" && retried["waiting"] == "rate-limit", "{retried}");
        ensure!(accepted["outcome"] == "accepted" && accepted["attempt"] == 2 && accepted["ids"] == 1, "{accepted}");
        ensure!(accepted["message_id"].as_str().is_some_and(|id| id.starts_with("bm-")), "{accepted}");
        ensure!(accepted["log_id"].is_string(), "{accepted}");
        ensure!(whole[1]["detail"]["department"] == json!(east), "{}", whole[1]);
        ensure!(whole[5]["detail"] == json!({ "action": "approve", "why": "twice" }), "{}", whole[5]);
        ensure!(whole[8]["detail"]["approvals"] == 2 && whole[8]["detail"]["to"] == "approved", "{}", whole[8]);
        ensure!(!rows.iter().any(|row| row.to_string().contains("hunter2")), "a content is in the audit");
        let others: Vec<&Value> = rows.iter().filter(|row| row["broadcast"].is_null()).collect();
        ensure!(deeds(&others) == ["begun", "logged-in", "logged-out"], "{others:?}");
        ensure!(rows.iter().enumerate().all(|(place, row)| row["seq"] == place as i64 + 1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_other_end_and_every_hold_is_told_too() {
    story(async |stage| {
        let ends = |rows: &[Value], id: &str| deeds(&told(rows, id));
        let rejected = Stage::id_on(&proposal(stage, "王芳", "不合适").await?);
        press(stage, "赵磊", Press::action("reject").field("reason", "机密的理由")).await?;
        let cancelled = Stage::id_on(&proposal(stage, "王芳", "算了").await?);
        stage.ask("王芳", &format!("/cancel {cancelled}")).await?;
        let expired = Stage::id_on(&proposal(stage, "王芳", "没人看").await?);
        stage.later(std::time::Duration::from_secs(25 * 3600)).await?;
        let doubtful = Stage::id_on(&proposal(stage, "王芳", "不清楚").await?);
        stage.tenant.fault(Fault::lost_answer("batch_send"));
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        press(stage, "王芳", "settle").await?;
        stage.settle().await?;
        let rows = stage.audit().await?;
        ensure!(ends(&rows, &rejected) == ["proposed", "rejected"], "{:?}", ends(&rows, &rejected));
        ensure!(told(&rows, &rejected)[1]["detail"]["reason"] == true);
        ensure!(!rows.iter().any(|row| row.to_string().contains("机密")), "a reason is in the audit");
        ensure!(ends(&rows, &cancelled) == ["proposed", "cancelled"], "{:?}", ends(&rows, &cancelled));
        ensure!(ends(&rows, &expired) == ["proposed", "expired"], "{:?}", ends(&rows, &expired));
        let doubt = ends(&rows, &doubtful);
        ensure!(doubt == ["proposed", "approved", "called", "answered", "ended", "settled"], "{doubt:?}");
        ensure!(told(&rows, &doubtful)[4]["detail"]["state"] == "in-doubt");
        ensure!(told(&rows, &doubtful)[5]["detail"]["to"] == "sent");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_press_that_was_refused_is_written_down_and_a_thousand_of_them_are_not() {
    story(async |stage| {
        let card = proposal(stage, "王芳", "只有审批人能批").await?;
        let id = Stage::id_on(&card);
        let refused = async |stage: &Stage| -> anyhow::Result<Vec<Value>> {
            let rows = stage.audit().await?.into_iter();
            Ok(rows.filter(|row| row["deed"] == "refused").collect())
        };
        let value =
            |action: &str, id: &str, version: i64| json!({ "action": action, "broadcast": id, "version": version });
        for _ in 0..30 {
            stage.person("林悦").presses_raw(&card, value("approve", &id, 1)).await;
        }
        let rows = refused(stage).await?;
        ensure!(rows.len() == 1, "{} rows of 30 presses", rows.len());
        ensure!(rows[0]["actor"] == json!(stage.person("林悦").open_id) && rows[0]["broadcast"] == json!(id));
        ensure!(rows[0]["detail"] == json!({ "action": "approve", "why": "approvers-only" }), "{}", rows[0]);
        for (value, why) in [
            (value("cancel", &id, 1), json!("author-only")),
            (value("approve", "ZZZZZZ", 1), json!("no-such-broadcast")),
            (value("sudo", &id, 1), json!("no-such-button")),
            (json!("tampered"), json!("no-such-button")),
        ] {
            stage.person("林悦").presses_raw(&card, value).await;
            let rows = refused(stage).await?;
            let last = rows.last().context("a row")?;
            ensure!(last["detail"]["why"] == why, "{last}");
        }
        ensure!(refused(stage).await?.len() == 4, "what makes no sense is told once");
        stage.person("赵磊").presses_raw(&card, value("approve", &id, 7)).await;
        ensure!(refused(stage).await?.last().context("a row")?["detail"]["why"] == "outdated");
        stage.later(std::time::Duration::from_secs(61)).await?;
        stage.person("林悦").presses_raw(&card, value("approve", &id, 1)).await;
        ensure!(refused(stage).await?.len() == 6, "a minute later it is news again");
        stage.person("陈晨").presses_raw(&card, value("approve", &id, 1)).await;
        ensure!(refused(stage).await?.len() == 6, "nothing is stored for strangers");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn status_tells_the_story() {
    story_with(&[], three_approvers(), async |stage| {
        let id = Stage::id_on(&proposal(stage, "王芳", "有来龙去脉的").await?);
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let said = stage.ask("王芳", &format!("/进度 {id}")).await?.text;
        let (_, story) = said.split_once("经过：\n").with_context(|| said.clone())?;
        let story: Vec<&str> = story.lines().map(|line| line.get(17..).unwrap_or_default()).collect();
        let zhao = stage.person("赵磊").open_id;
        let approved = format!("通过 1/1（{zhao}）");
        ensure!(story == ["提交，目标 1 个（发起人）", &approved, "结果：已发送"], "{said}");
        // A long one is told from its newest end.
        let long = Stage::id_on(&proposal(stage, "王芳", "改主意很多次").await?);
        for number in 0..20 {
            let row = format!(
                "insert into audit values ({}, {number}, '{long}', '', 'held', 1, '', '{{}}', '', '')",
                1000 + number
            );
            stage.sql(row).await?;
        }
        stage.whole_chain = false;
        let said = stage.ask("王芳", &format!("/进度 {long}")).await?.text;
        ensure!(said.matches("暂停").count() == 12 && said.contains("更早的见 audit export"), "{said}");
        Ok(())
    })
    .await;
}
