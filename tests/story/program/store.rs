//! A store that takes nothing for a while: it says so, events are pushed again, nothing is lost or doubled, and nobody has
//! to start anything anew.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection, SqliteConnection};

use super::{PATIENCE, Running, run, with};
use crate::sandbox::faults::Throttle;
use crate::sandbox::{Effect, Fault};
use crate::stage::Database;

impl Running {
    /// Waits until `/readyz` answers so.
    pub(super) async fn until_readyz(&self, status: u16) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.get("/readyz").await.is_ok_and(|answer| answer.status() == status) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("/readyz never said {status}: {}", self.output())
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("feishu-broadcast.db")
    }

    /// While the store takes nothing: told so, refused, and pushed again once it does.
    pub(super) async fn refuses_and_recovers(
        &mut self,
        mend: impl AsyncFnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.until_readyz(503).await?;
        let event = self.tenant.person("王芳").text_event("/whoami");
        let pushed = self.tenant.push(&event).await;
        ensure!(pushed.status == 503, "the event was answered {}", pushed.status);
        ensure!(self.get("/healthz").await?.status() == 200, "it is alive all the same");
        mend().await?;
        self.until_readyz(200).await?;
        for _ in 0..2 {
            let pushed = self.tenant.push(&event).await;
            ensure!(pushed.status == 200, "after all the event was answered {}", pushed.status);
        }
        let told = |tenant: &crate::sandbox::Tenant| answers(tenant) > 0;
        self.until("the command is answered", told).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        ensure!(answers(&self.tenant) == 1, "{} answers", answers(&self.tenant));
        Ok(())
    }
}

pub(super) fn answers(tenant: &crate::sandbox::Tenant) -> usize {
    let chat = tenant.person("王芳").chat();
    chat.iter().filter(|message| message.from_bot && message.text.contains("open_id")).count()
}

#[tokio::test]
async fn a_locked_file_is_said_and_waited_for() -> anyhow::Result<()> {
    let mut running = Running::start(&[]).await?;
    let mut other = SqliteConnection::connect(&format!("sqlite://{}", running.database().display())).await?;
    sqlx::query("begin exclusive").execute(&mut other).await?;
    running
        .refuses_and_recovers(async || {
            sqlx::query("rollback").execute(&mut other).await?;
            Ok(())
        })
        .await?;
    let output = running.output();
    ensure!(output.contains("takes no writes") && output.contains("takes writes again"), "{output}");
    Ok(())
}

#[tokio::test]
async fn a_database_server_that_goes_away_is_said_and_waited_for() -> anyhow::Result<()> {
    let Ok(server) = std::env::var("TEST_POSTGRES_URL") else {
        println!("SKIPPED: a database server needs TEST_POSTGRES_URL");
        return Ok(());
    };
    let data = tempfile::tempdir()?;
    let database = Database::new(data.path()).await?;
    // A database of its own, which can be closed to everybody.
    let name = format!("gone_{}", std::process::id());
    let mut admin = PgConnection::connect(&server).await?;
    let mut say = async |statement: String| sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut admin).await;
    say(format!("create database {name}")).await?;
    let (front, _) = server.rsplit_once('/').context("no database in the address")?;
    let mut running = Running::start(&[("DATABASE_URL", &format!("{front}/{name}"))]).await?;
    say(format!("alter database {name} allow_connections false")).await?;
    say(format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")).await?;
    running
        .refuses_and_recovers(async || {
            say(format!("alter database {name} allow_connections true")).await?;
            Ok(())
        })
        .await?;
    drop(running);
    say(format!("drop database {name} with (force)")).await?;
    database.remove().await
}

#[tokio::test]
async fn a_second_process_on_the_same_file_does_not_start_by_whatever_name() -> anyhow::Result<()> {
    let running = Running::start(&[]).await?;
    let elsewhere = tempfile::tempdir()?;
    let name = |name: &str| elsewhere.path().join(name);
    std::os::unix::fs::symlink(running.database(), name("symbolic.db"))?;
    for (named, wanted) in [
        (running.database(), "DATABASE_URL: another process"),
        (name("symbolic.db"), "DATABASE_URL: another process"),
        // Last: from here on the first one would not start again either.
        (name("hard.db"), "DATABASE_URL: the file has another name"),
    ] {
        if wanted.contains("another name") {
            std::fs::hard_link(running.database(), &named)?;
        }
        let url = format!("sqlite://{}", named.display());
        let settings = with(&running.settings, "LISTEN_ADDR", Some("127.0.0.1:0"));
        let settings = with(&with(&settings, "METRICS_ADDR", Some("")), "DATABASE_URL", Some(&url));
        let path = elsewhere.path().to_owned();
        let second = tokio::task::spawn_blocking(move || run(&path, &settings, &[])).await?;
        ensure!(second.status.code() == Some(1), "{:?}", second.status);
        let said = String::from_utf8(second.stderr)?;
        ensure!(said.lines().count() == 1 && said.starts_with(wanted), "{said}");
        ensure!(running.get("/readyz").await?.status() == 200, "the first one minds");
    }
    Ok(())
}

#[tokio::test]
async fn after_eleven_minutes_of_absence_the_program_asks_and_goes_on_when_told() -> anyhow::Result<()> {
    let mut running = Running::start(&[]).await?;
    let tenant = running.tenant.clone();
    let slow = Effect::Rate { throttle: Throttle::Headers, reset_s: 100 };
    tenant.fault(Fault::on("batch_send", slow).times(1000));
    let target = tenant.person("陈晨").open_id;
    tenant.person("王芳").says(&format!("/broadcast {target} 停机前批准的")).await;
    let card = tenant.person("赵磊").next_card().await.map_err(anyhow::Error::msg)?;
    tenant.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
    let waits = |tenant: &crate::sandbox::Tenant| {
        tenant.person("王芳").last_card().is_some_and(|card| card.text.contains("等待中"))
    };
    running.until("it waits for the limit", waits).await?;
    running.kill_9()?;
    let calls = tenant.calls_to("batch_send").len();
    tenant.clear_faults();
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", running.database().display())).await?;
    sqlx::query("update life set alive_at = alive_at - 660000").execute(&mut connection).await?;
    sqlx::query("update batches set not_before = not_before - 660000").execute(&mut connection).await?;
    connection.close().await?;
    running.start_again().await?;
    let held = |tenant: &crate::sandbox::Tenant| {
        tenant.person("王芳").last_card().is_some_and(|card| card.text.starts_with("已暂停"))
    };
    running.until("the author is asked", held).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(tenant.calls_to("batch_send").len() == calls, "sent without asking: {}", running.output());
    let card = tenant.person("王芳").last_card().context("no card")?;
    tenant.person("王芳").presses(&card, "confirm").await.map_err(anyhow::Error::msg)?;
    running.until("it is sent", |tenant| !tenant.person("陈晨").inbox().is_empty()).await?;
    ensure!(tenant.tasks().len() == 1);
    Ok(())
}
