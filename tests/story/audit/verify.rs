//! Somebody with the database in their hands, and without the key.

use anyhow::ensure;
use feishu_broadcast::app::clock::{Clock, SystemClock};
use feishu_broadcast::app::secrets::Secrets;
use feishu_broadcast::audit;
use feishu_broadcast::domain::audit::chain::ChainKey;
use feishu_broadcast::domain::audit::verify::Finding;
use feishu_broadcast::domain::audit::{Deed, Entry, Row as AuditRow};
use feishu_broadcast::domain::keys::Rotating;
use feishu_broadcast::store::audit::Reader;
use feishu_broadcast::store::{Engine, Store, StoreError};
use futures_util::future::join_all;
use sqlx::Row as _;

use crate::approve::{press, proposal};
use crate::stage::{Database, KEY, Stage, open, story};

/// Does something to the audit by hand, and says what `audit verify` makes of it; then puts everything back.
async fn after(stage: &Stage, statements: &[&str]) -> anyhow::Result<String> {
    for kept in ["audit", "audit_head"] {
        stage.sql(format!("create table kept_{kept} as select * from {kept}")).await?;
    }
    for statement in statements {
        stage.sql((*statement).to_owned()).await?;
    }
    let found = stage.chain().await?.to_string();
    for kept in ["audit", "audit_head"] {
        stage.sql(format!("delete from {kept}")).await?;
        stage.sql(format!("insert into {kept} select * from kept_{kept}")).await?;
        stage.sql(format!("drop table kept_{kept}")).await?;
    }
    ensure!(stage.chain().await?.is_whole(), "not put back");
    Ok(found)
}

/// A broadcast that was approved and sent: rows 1 begun, 2 proposed, 3 approved, 4 called, 5 answered, 6 ended.
async fn six_rows(stage: &Stage) -> anyhow::Result<()> {
    proposal(stage, "王芳", "有据可查的").await?;
    press(stage, "赵磊", "approve").await?;
    stage.settle().await?;
    let deeds: Vec<_> = stage.audit().await?.iter().map(|row| row["deed"].clone()).collect();
    ensure!(deeds == ["begun", "proposed", "approved", "called", "answered", "ended"], "{deeds:?}");
    Ok(())
}

#[tokio::test]
async fn the_first_row_that_was_changed_removed_or_inserted_is_named() {
    story(async |stage| {
        six_rows(stage).await?;
        let copy = "insert into audit select 7, at, broadcast, actor, deed, version, fingerprint, detail, key_id, mac
                    from audit where seq = 3";
        let shift =
            ["update audit set seq = seq + 100 where seq >= 4", "update audit set seq = seq - 99 where seq > 100"];
        let cases: [(&[&str], &str); 16] = [
            (&["update audit set actor = 'ou_somebody_else' where seq = 3"], "row 3 was changed"),
            (&["update audit set at = at - 1 where seq = 1"], "row 1 was changed"),
            (&["update audit set deed = 'rejected' where seq = 3"], "row 3 was changed"),
            (&["update audit set detail = '{}' where seq = 6"], "row 6 was changed"),
            (&["update audit set fingerprint = '' where seq >= 2"], "row 2 was changed"),
            (&["update audit set mac = 'ab' where seq = 4"], "row 4 was changed"),
            (&["delete from audit where seq = 3"], "row 3 was removed; the next row was written 20"),
            (&["delete from audit where seq in (2, 3)"], "rows 2 to 3 were removed; "),
            (&["delete from audit where seq = 6"], "row 6 was removed, at the end"),
            (&["delete from audit where seq >= 4"], "rows 4 to 6 were removed, at the end"),
            (&["delete from audit"], "rows 1 to 6 were removed; nothing is left"),
            (
                &[
                    "delete from audit where seq >= 4",
                    "update audit_head set seq = 3, mac = (select mac from audit where seq = 3)",
                ],
                "the head of the chain was changed or removed: rows after row 3",
            ),
            (&["delete from audit_head"], "the head of the chain was changed or removed: rows after row 6"),
            (&[copy], "row 7 was inserted"),
            (&[shift[0], shift[1], &copy.replacen('7', "4", 1)], "row 4 was inserted"),
            (
                &[
                    "update audit set seq = 99 where seq = 3",
                    "update audit set seq = 3 where seq = 4",
                    "update audit set seq = 4 where seq = 99",
                ],
                "row 3 was inserted, or moved there",
            ),
        ];
        for (statements, expect) in cases {
            let found = after(stage, statements).await?;
            ensure!(found.starts_with(expect), "{statements:?}: {found}");
        }
        let wipe = ["delete from audit", "update audit_head set seq = 0, mac = '', key_id = '', seal = ''"];
        let found = after(stage, &wipe).await?;
        ensure!(found.starts_with("the audit chain is empty"), "{found}");
        Ok(())
    })
    .await;
}

/// Hides rows from a bot that is running, and lets it write on.
async fn hidden(stage: &mut Stage, statements: &[&str], expect: &str) -> anyhow::Result<()> {
    six_rows(stage).await?;
    stage.whole_chain = false;
    for statement in statements {
        stage.sql((*statement).to_owned()).await?;
    }
    // The bot goes on all the same.
    proposal(stage, "王芳", "照常").await?;
    press(stage, "赵磊", "approve").await?;
    stage.settle().await?;
    ensure!(stage.person("陈晨").inbox().len() == 2, "the bot stands still");
    let found = stage.chain().await?.to_string();
    ensure!(found.starts_with(expect), "{statements:?}: {found}");
    stage.restart().await?;
    ensure!(stage.chain().await?.to_string() == found, "a restart mends nothing");
    Ok(())
}

const CUT: &str = "delete from audit where seq > 3";

#[tokio::test]
async fn rows_removed_at_the_end_are_missed_although_the_bot_wrote_on() {
    story(async |stage| hidden(stage, &[CUT], "rows 4 to 6 were removed; the next row was").await).await;
}

#[tokio::test]
async fn a_head_set_back_by_hand_is_not_made_good_by_the_next_row() {
    let set_back = "update audit_head set seq = 3, mac = (select mac from audit where seq = 3)";
    story(async |stage| hidden(stage, &[CUT, set_back], "row 4 says that the bot found the head").await).await;
}

#[tokio::test]
async fn a_head_under_a_made_up_key_is_not_made_good_by_the_next_row() {
    let set_back = "update audit_head set seq = 3, mac = (select mac from audit where seq = 3), key_id = '0badcafe'";
    story(async |stage| hidden(stage, &[CUT, set_back], "row 4 says that the bot found the head").await).await;
}

#[tokio::test]
async fn a_head_that_was_removed_is_not_made_good_by_the_next_row() {
    let removed = "delete from audit_head";
    story(async |stage| hidden(stage, &[CUT, removed], "row 4 says that the bot found the head").await).await;
}

#[tokio::test]
async fn a_row_put_at_the_end_neither_stops_the_bot_nor_goes_unnoticed() {
    let put = "insert into audit select 7, at, broadcast, actor, deed, version, fingerprint, detail, key_id, mac
               from audit where seq = 3";
    story(async |stage| hidden(stage, &[put], "row 7 was inserted").await).await;
}

#[tokio::test]
async fn another_secret_key_is_named_as_such() {
    story(async |stage| {
        six_rows(stage).await?;
        stage.restart_with(&[("SECRET_KEY", "c3RvcnktdGVsbGVycy1rZWVwLXRoZWlyLXNlY3JldHM=")]).await?;
        stage.whole_chain = false;
        let found = stage.chain().await?;
        let said = found.to_string();
        ensure!(matches!(found, Finding::OtherKey { rows: 6, first: 1, .. }), "{found:?}");
        ensure!(said.contains("were written under another SECRET_KEY") && !said.contains("was changed"), "{said}");
        let rows = stage.audit().await?;
        ensure!(rows[6]["deed"] == "key-changed" && rows[6]["detail"]["from"] == rows[0]["key_id"], "{}", rows[6]);
        proposal(stage, "王芳", "新的密钥").await?;
        ensure!(matches!(stage.chain().await?, Finding::OtherKey { rows: 6, own_rows: 2, .. }));
        // Under the new key whatever came before cannot be checked, but what came since can.
        stage.sql("update audit set actor = 'ou_somebody_else' where seq = 8".to_owned()).await?;
        ensure!(stage.chain().await?.to_string().starts_with("row 8 was changed"));
        Ok(())
    })
    .await;
}

const NEW: &str = "c3RvcnktdGVsbGVycy1rZWVwLXRoZWlyLXNlY3JldHM=";

/// Six rows under the key of before, and then the present one: 7 says so, 8 is a proposal.
async fn key_changed(stage: &mut Stage) -> anyhow::Result<()> {
    six_rows(stage).await?;
    stage.restart_with(&[("SECRET_KEY", NEW), ("SECRET_KEY_PREVIOUS", "derived")]).await?;
    proposal(stage, "王芳", "新的密钥").await?;
    let rows = stage.audit().await?;
    ensure!(rows[6]["deed"] == "key-changed" && rows[7]["deed"] == "proposed", "{rows:?}");
    ensure!(rows[6]["key_id"] != rows[5]["key_id"] && rows[7]["key_id"] == rows[6]["key_id"], "{rows:?}");
    Ok(())
}

/// The key that was derived from the app's secret.
fn derived(stage: &Stage) -> ChainKey {
    let (id, secret) = stage.tenant.with(|world| (world.app.app_id.clone(), world.app.app_secret.clone()));
    Secrets::chain_key(&Secrets::key_from_app_secret(&id, &secret.into()))
}

#[tokio::test]
async fn the_key_changes_and_the_chain_is_checked_from_end_to_end() {
    story(async |stage| {
        key_changed(stage).await?;
        let found = stage.chain().await?;
        ensure!(matches!(found, Finding::Whole { rows: 8, previous: 6, .. }), "{found:?}");
        stage.restart().await?;
        ensure!(stage.audit().await?.len() == 8, "it changed once");
        // Later on the old key is given to the check alone.
        stage.restart_with(&[("SECRET_KEY_PREVIOUS", "")]).await?;
        let found = stage.chain().await?;
        ensure!(matches!(found, Finding::OtherKey { rows: 6, own_rows: 2, .. }), "{found:?}");
        stage.restart_with(&[("SECRET_KEY_PREVIOUS", "derived")]).await?;
        ensure!(stage.audit().await?.len() == 8, "nothing to say of it");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_a_secret_key_the_app_secret_of_before_checks_what_it_signed() {
    story(async |stage| {
        six_rows(stage).await?;
        let old = stage.tenant.with(|world| world.app.app_secret.clone());
        stage.tenant.console(|app| app.app_secret = "Secret0fTheAppSinceThisMorning00".into());
        let changed =
            [("FEISHU_APP_SECRET", "Secret0fTheAppSinceThisMorning00"), ("FEISHU_APP_SECRET_PREVIOUS", old.as_str())];
        stage.restart_with(&changed).await?;
        ensure!(matches!(stage.chain().await?, Finding::Whole { rows: 7, previous: 6, .. }));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_is_told_of_the_new_key_follows_the_others_to_it_and_does_not_go_back() {
    story(async |stage| {
        six_rows(stage).await?;
        let old = derived(stage);
        stage.restart_with(&[("SECRET_KEY", NEW), ("SECRET_KEY_PREVIOUS", "derived")]).await?;
        let new = stage.chain_keys()?.present;
        // A file is one process's at a time.
        stage.bot.stop().await;
        let told = Store::open(stage.database_url(), Rotating { present: old, previous: Some(new) }).await?;
        for number in [2, 0] {
            append(&told, number).await?;
        }
        told.close().await;
        stage.restart().await?;
        let rows = stage.audit().await?;
        let changes = rows.iter().filter(|row| row["deed"] == "key-changed").count();
        ensure!(changes == 1 && rows.len() == 11, "{rows:?}");
        let found = stage.chain().await?;
        ensure!(matches!(found, Finding::Whole { rows: 11, previous: 6, .. }), "{found:?}");
        Ok(())
    })
    .await;
}

/// Somebody with the database and the old key writes one more row under it, of that number, and a head that fits.
async fn forge_one_more(stage: &Stage, seq: i64) -> anyhow::Result<()> {
    let old = derived(stage);
    let last = stage.rows(&format!("select mac from audit where seq = {}", seq - 1)).await?;
    let row = AuditRow::of(&Entry::alone(Deed::Approved, SystemClock.now()), seq, last[0].try_get("mac")?, &old);
    let head = old.head(seq, &row.mac);
    let put = "insert into audit (seq, at, broadcast, actor, deed, version, fingerprint, detail, key_id, mac)";
    let (at, mac, id, seal) = (row.at.0, &row.mac, old.id(), &head.seal);
    stage.sql(format!("{put} values ({seq}, {at}, '', '', 'approved', 0, '', '{{}}', '{id}', '{mac}')")).await?;
    stage.sql(format!("update audit_head set seq = {seq}, mac = '{mac}', key_id = '{id}', seal = '{seal}'")).await
}

/// Somebody with the database and the old key changes a row and signs all that follow under it; or writes one more.
async fn forge(stage: &Stage, changed: Option<i64>, upto: i64) -> anyhow::Result<()> {
    let old = derived(stage);
    let mut reader = Reader::open(stage.database_url()).await?;
    let rows = reader.page(0).await?.rows;
    drop(reader);
    let mut before = String::new();
    for mut row in rows.into_iter().filter(|row| row.seq <= upto) {
        if row.key_id == old.id() {
            if changed == Some(row.seq) {
                row.actor = "ou_somebody_else".into();
            }
            row.mac = old.link(&before, &row);
            let (seq, actor, mac) = (row.seq, &row.actor, &row.mac);
            stage.sql(format!("update audit set actor = '{actor}', mac = '{mac}' where seq = {seq}")).await?;
        }
        before = row.mac;
    }
    Ok(())
}

#[tokio::test]
async fn whoever_knows_the_old_key_cannot_change_what_was_written_under_it() {
    story(async |stage| {
        key_changed(stage).await?;
        stage.whole_chain = false;
        forge(stage, Some(3), 6).await?;
        let found = stage.chain().await?;
        ensure!(matches!(found, Finding::Rewritten { seq: 7, .. }), "{found:?}");
        ensure!(found.to_string().contains("somebody who knows the previous key"), "{found}");
        // The bot writes on, and a restart mends nothing.
        proposal(stage, "王芳", "照常").await?;
        stage.restart().await?;
        ensure!(matches!(stage.chain().await?, Finding::Rewritten { seq: 7, .. }));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whoever_knows_the_old_key_cannot_append_and_the_bot_does_not_take_it_up_again() {
    story(async |stage| {
        key_changed(stage).await?;
        stage.whole_chain = false;
        forge_one_more(stage, 9).await?;
        ensure!(matches!(stage.chain().await?, Finding::OldKey { seq: 9, .. }), "{:?}", stage.chain().await?);
        stage.restart().await?;
        proposal(stage, "王芳", "照常").await?;
        let rows = stage.audit().await?;
        ensure!(rows[9]["deed"] == "head-changed" && rows[9]["key_id"] == rows[7]["key_id"], "{}", rows[9]);
        ensure!(matches!(stage.chain().await?, Finding::OldKey { seq: 9, .. }));
        Ok(())
    })
    .await;
}

/// One that still starts with the old key as its present one, as in the first of the two rounds of a change.
#[tokio::test]
async fn nor_does_a_replica_that_has_followed_the_others_to_the_new_key() {
    story(async |stage| {
        key_changed(stage).await?;
        stage.whole_chain = false;
        let new = stage.chain_keys()?.present;
        stage.bot.stop().await;
        let keys = Rotating { present: derived(stage), previous: Some(new) };
        let told = Store::open(stage.database_url(), keys).await?;
        append(&told, 0).await?;
        forge_one_more(stage, 10).await?;
        append(&told, 0).await?;
        told.close().await;
        stage.restart().await?;
        let rows = stage.audit().await?;
        ensure!(rows[10]["deed"] == "head-changed" && rows[10]["key_id"] == rows[7]["key_id"], "{}", rows[10]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_chain_set_back_before_the_change_of_its_key_is_told_by_the_running_bot_and_by_an_anchor() {
    for restarts in [false, true] {
        story(async |stage| {
            key_changed(stage).await?;
            stage.whole_chain = false;
            let Finding::Whole { anchor, .. } = stage.chain().await? else { anyhow::bail!("not whole") };
            let sixth: String = stage.rows("select mac from audit where seq = 6").await?[0].try_get("mac")?;
            let head = derived(stage).head(6, &sixth);
            stage.sql("delete from audit where seq > 6".to_owned()).await?;
            let (mac, id, seal) = (&head.mac, &head.key_id, &head.seal);
            let heads = format!("update audit_head set seq = 6, mac = '{mac}', key_id = '{id}', seal = '{seal}'");
            stage.sql(heads).await?;
            if restarts {
                stage.restart().await?;
            }
            proposal(stage, "王芳", "照常").await?;
            let found = stage.chain().await?;
            match restarts {
                false => ensure!(matches!(found, Finding::HeadEarlier { seq: 7, .. }), "{found:?}"),
                true => {
                    ensure!(found.is_whole(), "what the chain alone cannot show: {found}");
                    let keys = stage.chain_keys()?;
                    let found = audit::verify(stage.database_url(), &keys, Some(anchor)).await?;
                    ensure!(matches!(found, Finding::Anchor { .. }), "{found:?}");
                }
            }
            Ok(())
        })
        .await;
    }
}

async fn append(store: &Store, number: usize) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    for part in 0..=number % 3 {
        tx.record(Entry::alone(Deed::Refused, SystemClock.now()).with("number", number).with("part", part));
    }
    tx.commit().await
}

fn key() -> Rotating<ChainKey> {
    Rotating::only(Secrets::chain_key(&KEY))
}

#[tokio::test]
async fn whoever_appends_at_one_moment_appends_without_a_gap() -> anyhow::Result<()> {
    const WRITERS: usize = 60;
    let data = tempfile::tempdir()?;
    let database = Database::new(data.path()).await?;
    let one = open(&database.url).await?;
    // SQLite belongs to one process; replicas share a server.
    let other = match one.engine() {
        Engine::Sqlite => one.clone(),
        Engine::Postgres => open(&database.url).await?,
    };
    let stores = [&one, &other];
    for done in join_all((0..WRITERS).map(|number| append(stores[number % 2], number))).await {
        done?;
    }
    // What is not committed leaves no row and no hole.
    let mut tx = one.begin().await?;
    tx.record(Entry::alone(Deed::Refused, SystemClock.now()));
    drop(tx);
    append(&other, 0).await?;
    let found = audit::verify(&database.url, &key(), None).await?;
    let rows = 1 + (0..WRITERS).map(|number| number % 3 + 1).sum::<usize>() + 1;
    ensure!(matches!(&found, Finding::Whole { rows: found, .. } if *found == rows as i64), "{found}");
    one.close().await;
    other.close().await;
    database.remove().await
}

#[tokio::test]
async fn a_database_put_back_as_a_whole_is_told_by_an_anchor() {
    story(async |stage| {
        if stage.bot.app.store.engine() == Engine::Postgres {
            println!("SKIPPED: copying the file is for SQLite");
            return Ok(());
        }
        stage.backup().await?;
        six_rows(stage).await?;
        let Finding::Whole { anchor, .. } = stage.chain().await? else { anyhow::bail!("not whole") };
        let key = stage.chain_keys()?;
        let url = stage.database_url();
        ensure!(audit::verify(url, &key, Some(anchor.clone())).await?.is_whole());
        let backup = url.replace("story.db", "backup.db");
        ensure!(audit::verify(&backup, &key, None).await?.is_whole(), "what the chain alone cannot show");
        let found = audit::verify(&backup, &key, Some(anchor.clone())).await?;
        ensure!(found.to_string().contains(&format!("ends before the anchor {anchor}")), "{found}");
        Ok(())
    })
    .await;
}
