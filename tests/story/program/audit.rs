//! `audit verify` and `audit export`, run as an operator would: beside the bot, and on databases of every kind.

use std::path::Path;
use std::process::Output;

use anyhow::{Context, ensure};
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::{Connection, SqliteConnection};

use super::{Running, enough, run, with};
use crate::stage::open;

const KEY: &str = "c3RvcnktdGVsbGVycy1rZWVwLXRoZWlyLXNlY3JldHM=";

/// Runs the command where the bot's database is, with these settings and no other.
fn audit(directory: &Path, settings: &[(&str, &str)], args: &[&str]) -> Output {
    // Its output is a file of its own: the directory may be a running bot's.
    let own = tempfile::tempdir().expect("a directory of our own");
    let mut settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    if !settings.iter().any(|(name, _): &(String, String)| name == "DATABASE_URL") {
        let url = format!("sqlite://{}", directory.join("feishu-broadcast.db").display());
        settings = with(&settings, "DATABASE_URL", Some(&url));
    }
    run(own.path(), &settings, &[&["audit"], args].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn both_work_beside_a_running_bot_and_after_its_worst_end() -> anyhow::Result<()> {
    let mut running = Running::start(&[("SECRET_KEY", KEY)]).await?;
    let target = running.tenant.person("陈晨").open_id;
    running.tenant.person("王芳").says(&format!("/broadcast {target} 不该进审计的内容")).await;
    let card = running.tenant.person("赵磊").next_card().await.map_err(anyhow::Error::msg)?;
    running.tenant.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
    running
        .until("it is sent", |tenant| tenant.person("王芳").last_card().is_some_and(|c| c.text.starts_with("已发送")))
        .await?;
    let here = running.directory.path().to_owned();
    let verify = || audit(&here, &[("SECRET_KEY", KEY)], &["verify"]);
    let beside = verify();
    ensure!(beside.status.code() == Some(0), "{}", said(&beside));
    ensure!(said(&beside).starts_with("the audit chain is whole: rows 1 to 6"), "{}", said(&beside));

    let exported = audit(&here, &[], &["export"]);
    ensure!(exported.status.code() == Some(0) && exported.stderr.is_empty(), "{}", said(&exported));
    let lines: Vec<Value> = said(&exported).lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let deeds: Vec<&str> = lines.iter().filter_map(|line| line["deed"].as_str()).collect();
    ensure!(deeds == ["begun", "proposed", "approved", "called", "answered", "ended"], "{deeds:?}");
    ensure!(!said(&exported).contains("不该进审计"), "a content was exported");
    ensure!(running.get("/readyz").await?.status() == 200, "the bot minds");

    // Killed, with its log not yet written back; and an operator may look at what is left.
    running.kill_9()?;
    ensure!(verify().status.code() == Some(0), "{}", said(&verify()));
    running.start_again().await?;
    let (status, _) = running.signal("TERM").await?;
    ensure!(status.success(), "{}", running.output());
    ensure!(verify().status.code() == Some(0), "{}", said(&verify()));

    let mut connection =
        SqliteConnection::connect(&format!("sqlite://{}", here.join("feishu-broadcast.db").display())).await?;
    sqlx::query("update audit set actor = 'ou_1' where seq = 3").execute(&mut connection).await?;
    connection.close().await?;
    let changed = verify();
    ensure!(changed.status.code() == Some(1), "{}", said(&changed));
    ensure!(
        said(&changed).starts_with("row 3 was changed") && said(&changed).lines().count() == 1,
        "{}",
        said(&changed)
    );
    let other = audit(&here, &[("FEISHU_APP_ID", "cli_1"), ("FEISHU_APP_SECRET", "s")], &["verify"]);
    ensure!(other.status.code() == Some(1) && said(&other).contains("another SECRET_KEY"), "{}", said(&other));
    ensure!(running.output().contains("the audit chain ends here"), "no anchor in the log");
    Ok(())
}

#[tokio::test]
async fn a_missing_setting_is_one_line() -> anyhow::Result<()> {
    let here = tempfile::tempdir()?;
    for (settings, begins) in [
        (&[][..], "FEISHU_APP_ID: is missing: without SECRET_KEY"),
        (&[("FEISHU_APP_ID", "cli_1")][..], "FEISHU_APP_SECRET: is missing: without SECRET_KEY"),
        (&[("SECRET_KEY", "hunter2")][..], "SECRET_KEY: is not the base64"),
        (&[("SECRET_KEY", KEY), ("DATABASE_URL", "mysql://x")][..], "DATABASE_URL: begins with neither"),
    ] {
        let output = audit(here.path(), settings, &["verify"]);
        ensure!(output.status.code() == Some(2), "{settings:?}: {}", said(&output));
        ensure!(said(&output).starts_with(begins) && said(&output).lines().count() == 1, "{}", said(&output));
        ensure!(!said(&output).contains("hunter2"), "{}", said(&output));
    }
    let output = audit(here.path(), &[("SECRET_KEY", KEY)], &["verify", "--anchor", "213"]);
    ensure!(output.status.code() == Some(2) && said(&output).contains("213:9f86d081884c7d65"), "{}", said(&output));
    Ok(())
}

#[tokio::test]
async fn a_database_that_has_no_chain_is_told_from_one_that_was_changed() -> anyhow::Result<()> {
    let here = tempfile::tempdir()?;
    let file = here.path().join("feishu-broadcast.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let says = |begins: &str| {
        for what in ["verify", "export"] {
            let output = audit(here.path(), &[("SECRET_KEY", KEY)], &[what]);
            ensure!(output.status.code() == Some(1), "{begins}: {}", said(&output));
            ensure!(
                said(&output).starts_with(begins) && said(&output).lines().count() == 1,
                "{begins}: {}",
                said(&output)
            );
        }
        Ok(())
    };
    says("DATABASE_URL: there is no database at")?;
    ensure!(!file.exists(), "it was made by looking for it");
    SqliteConnection::connect(&url).await?.close().await?;
    says("DATABASE_URL: the database is empty")?;

    let older = here.path().join("migrations");
    std::fs::create_dir(&older)?;
    let all = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations"))?;
    for migration in all.collect::<Result<Vec<_>, _>>()? {
        let name = migration.file_name().into_string().ok().context("our own names")?;
        if name.as_str() < "0005" {
            std::fs::copy(migration.path(), older.join(name))?;
        }
    }
    let mut connection = SqliteConnection::connect(&url).await?;
    Migrator::new(older).await?.run(&mut connection).await?;
    connection.close().await?;
    says("DATABASE_URL: the database is of an older version (4")?;

    open(&url).await?.close().await;
    let empty = audit(here.path(), &[("SECRET_KEY", KEY)], &["verify"]);
    ensure!(empty.status.code() == Some(1) && said(&empty).starts_with("the audit chain is empty"), "{}", said(&empty));
    let mut connection = SqliteConnection::connect(&url).await?;
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'from the future', true, x'00', 0)",
    )
    .execute(&mut connection)
    .await?;
    connection.close().await?;
    says("DATABASE_URL: the database is of a newer version (9999)")?;
    Ok(())
}

#[tokio::test]
async fn a_key_derived_from_the_app_is_as_good_as_one_that_is_set() -> anyhow::Result<()> {
    let running = Running::start(&[]).await?;
    let names = ["FEISHU_APP_ID", "FEISHU_APP_SECRET"];
    let needed: Vec<_> = running.settings.iter().filter(|(name, _)| names.contains(&name.as_str())).collect();
    let needed: Vec<_> = needed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let output = audit(running.directory.path(), &needed, &["verify"]);
    ensure!(output.status.code() == Some(0), "{}", said(&output));
    ensure!(enough().len() > needed.len(), "the bot itself needs more");
    Ok(())
}
