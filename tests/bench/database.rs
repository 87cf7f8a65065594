//! Databases to measure on: empty ones, and ones with a long past.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use feishu_broadcast::app::clock::{Clock, SystemClock};
use feishu_broadcast::app::secrets::{KEY_BYTES, Secrets};
use feishu_broadcast::domain::audience::{Audience, PersonTarget};
use feishu_broadcast::domain::broadcast::Broadcast;
use feishu_broadcast::domain::ids::{BROADCAST_ID_LETTERS, BroadcastId, ChatId, OpenId, Timestamp};
use feishu_broadcast::domain::keys::Rotating;
use feishu_broadcast::domain::plan;
use feishu_broadcast::store::broadcasts::Which;
use feishu_broadcast::store::cards::CardRole;
use feishu_broadcast::store::inbox::{Arrival, Kind};
use feishu_broadcast::store::letters::{Letter, Receiver};
use feishu_broadcast::store::{Store, StoreError};
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

/// A lease or a wait that no measurement outlasts.
const LATER: Duration = Duration::from_secs(3600);

/// Rows that each query is measured with.
const ROWS: usize = 40;

pub enum Engine {
    Sqlite,
    Postgres(String),
}

/// Opens a store without a bot.
pub async fn open(url: &str) -> Result<Store, StoreError> {
    Store::open(url, Rotating::only(Secrets::chain_key(&[7; KEY_BYTES]))).await
}

/// A database of its own; gone with this value, a PostgreSQL schema by [`Database::remove`].
pub struct Database {
    pub url: String,
    schema: Option<(String, String)>,
    _files: Option<tempfile::TempDir>,
}

impl Database {
    pub async fn new(engine: &Engine) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let database = match engine {
            Engine::Sqlite => {
                let files = tempfile::tempdir()?;
                let url = format!("sqlite://{}", files.path().join("bench.db").display());
                Self { url, schema: None, _files: Some(files) }
            }
            Engine::Postgres(server) => {
                let schema = format!("bench_{:08x}", u32::from_le_bytes(random()));
                let mut connection = AnyConnection::connect(server).await?;
                sqlx::query(AssertSqlSafe(format!("create schema {schema}"))).execute(&mut connection).await?;
                let joint = if server.contains('?') { '&' } else { '?' };
                let url = format!("{server}{joint}options[search_path]={schema}");
                Self { url, schema: Some((server.clone(), schema)), _files: None }
            }
        };
        // A server starts on a migrated store from here on.
        open(&database.url).await?.close().await;
        Ok(database)
    }

    pub async fn remove(self) -> anyhow::Result<()> {
        if let Some((server, schema)) = self.schema {
            let mut connection = AnyConnection::connect(&server).await?;
            sqlx::query(AssertSqlSafe(format!("drop schema {schema} cascade"))).execute(&mut connection).await?;
        }
        Ok(())
    }

    async fn run(&self, statement: &str) -> anyhow::Result<u64> {
        let mut connection = AnyConnection::connect(&self.url).await?;
        let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await?;
        connection.close().await?;
        Ok(done.rows_affected())
    }

    async fn count(&self, what: &str) -> anyhow::Result<i64> {
        let mut connection = AnyConnection::connect(&self.url).await?;
        let row = sqlx::query(AssertSqlSafe(format!("select count(*) as n from {what}"))).fetch_one(&mut connection);
        let count = row.await?.try_get("n")?;
        connection.close().await?;
        Ok(count)
    }

    /// Waits until every stored event has been worked on and every answer has left.
    pub async fn quiet(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        for open in ["inbox where state in ('new', 'taken', 'parked')", "letters where state = 'new'"] {
            while self.count(open).await? > 0 {
                ensure!(began.elapsed() < LATER, "not worked on after an hour: {open}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// Stores events that were worked on in the last week, under keys such as theirs, in one statement.
    pub async fn seed_events(&self, count: usize) -> anyhow::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let now = SystemClock.now().0;
        let (numbers, key) = match self.schema {
            None => (
                format!("with recursive n (i) as (select 1 union all select i + 1 from n where i < {count})"),
                "lower(hex(randomblob(16)))",
            ),
            Some(_) => (format!("with n (i) as (select generate_series(1, {count}))"), "md5(random()::text)"),
        };
        let week_ms = 7 * 24 * 3600 * 1000;
        let statement = format!(
            "insert into inbox (key, kind, person, body, state, attempts, not_before, received_at)
             {numbers} select 'm:' || at || ':om_' || {key}, 'message', 'ou_' || (i % 20), '', 'done', 1, at, at
             from (select i, {now} - {week_ms} + i * cast({week_ms} as bigint) / {count} - 1000 as at from n) e"
        );
        ensure!(usize::try_from(self.run(&statement).await?)? == count, "not every event was stored");
        // Something came of each, which is remembered under its id alone.
        let ends = "insert into inbox (key, kind, person, body, state, not_before, received_at)
                    select 'm:' || substr(key, 17), kind, person, '', 'done', not_before, received_at from inbox";
        ensure!(usize::try_from(self.run(ends).await?)? == count, "not every end was stored");
        self.settle().await
    }

    /// As the database's own upkeep would leave it.
    async fn settle(&self) -> anyhow::Result<()> {
        self.run(if self.schema.is_some() { "analyze" } else { "pragma wal_checkpoint(truncate)" }).await?;
        Ok(())
    }

    /// Stores broadcasts that were sent in the last months, with ledger and cards.
    pub async fn seed_broadcasts(&self, count: usize) -> anyhow::Result<()> {
        let store = open(&self.url).await?;
        let now = SystemClock.now();
        let mut tx = store.begin().await?;
        for number in 0..count {
            let at = Timestamp(now.0 - 600_000 * i64::try_from(count - number)?);
            let (broadcast, audience) = broadcast(&format!("ou_{}", number % 20), &[format!("ou_to_{number}")], at)?;
            match tx.insert_broadcast(&broadcast, &audience).await {
                // Of ten thousand ids drawn by lot two may be the same.
                Err(StoreError::Conflict) => continue,
                inserted => inserted?,
            }
            tx.insert_batches(&broadcast, &audience, &plan::batches(&audience), at).await?;
            for (person, role) in [(&broadcast.author, CardRole::Author), (&open_id(19)?, CardRole::Approver)] {
                tx.insert_card(&broadcast.id, person, role, broadcast.revision, at).await?;
            }
        }
        tx.commit().await?;
        store.close().await;
        self.run("update broadcasts set state = 'sent'").await?;
        self.run("update batches set state = 'accepted'").await?;
        self.run("update cards set shown = wanted").await?;
        self.settle().await
    }

    /// Forgets what a measurement stored.
    pub async fn forget_since(&self, moment: Timestamp) -> anyhow::Result<()> {
        self.run(&format!("delete from inbox where received_at >= {}", moment.0)).await?;
        self.settle().await
    }

    /// What the loops ask, each [`ROWS`] times with something to be found; the medians in ms, with the query's name.
    pub async fn queries(&self) -> anyhow::Result<Vec<(&'static str, f64)>> {
        if self.count("broadcasts").await? == 0 {
            self.seed_broadcasts(ROWS).await?;
        }
        let store = open(&self.url).await?;
        let began = SystemClock.now();
        self.prepare_work(&store).await?;
        let now = SystemClock.now();
        let lease = now.after(LATER);
        let author = open_id(7)?;
        let all = vec![
            ("claim_event", median_of(async || Ok(store.claim_event(now, lease).await?.is_some())).await?),
            ("claim_letter", median_of(async || Ok(store.claim_letter(now, lease).await?.is_some())).await?),
            ("claim_card", median_of(async || Ok(store.claim_card(now, lease).await?.is_some())).await?),
            ("next batch", median_of(async || Ok(store.has_batch(now).await?)).await?),
            ("recent list", median_of(async || Ok(!store.recent(None, Which::All).await?.is_empty())).await?),
            (
                "recent, of one author",
                median_of(async || Ok(!store.recent(Some(&author), Which::All).await?.is_empty())).await?,
            ),
        ];
        store.close().await;
        self.forget_since(began).await?;
        self.run("delete from letters").await?;
        self.run("update cards set shown = wanted").await?;
        self.run("update broadcasts set state = 'sent'").await?;
        self.run("update batches set state = 'accepted'").await?;
        Ok(all)
    }

    async fn prepare_work(&self, store: &Store) -> anyhow::Result<()> {
        let now = SystemClock.now();
        for number in 0..ROWS {
            let key = format!("m:work-{number}");
            let person = format!("ou_{number}");
            store.accept(Arrival { key, kind: Kind::Message, person, body: "{}".into(), received_at: now }).await?;
        }
        let mut tx = store.begin().await?;
        for number in 0..ROWS {
            let chat = ChatId::new(format!("oc_{number}")).context("a chat")?;
            let letter = Letter {
                uuid: format!("work-{number}"),
                receiver: Receiver::Chat(chat),
                reply_to: None,
                msg_type: "text",
                content: "{}".into(),
            };
            tx.post(&letter, now).await?;
        }
        tx.commit().await?;
        let newest = "(select id from broadcasts order by created_at desc limit 1)";
        self.run(&format!("update batches set state = 'planned' where broadcast = {newest}")).await?;
        self.run(&format!("update broadcasts set state = 'approved' where id = {newest}")).await?;
        let owed = format!(
            "update cards set shown = wanted - 1, not_before = 0 where broadcast in
                (select id from broadcasts order by created_at desc limit {ROWS}) and role = 'author'"
        );
        self.run(&owed).await?;
        Ok(())
    }
}

/// Asks [`ROWS`] times; each time something has to be found.
async fn median_of(mut finds: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<f64> {
    let mut took = Vec::new();
    for _ in 0..ROWS {
        let began = Instant::now();
        ensure!(finds().await?, "a query found nothing");
        took.push(began.elapsed());
    }
    took.sort();
    Ok(crate::load::at(&took, 0.5))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemClock.random(&mut bytes);
    bytes
}

fn open_id(number: usize) -> anyhow::Result<OpenId> {
    OpenId::new(format!("ou_{number}")).context("an open_id")
}

/// A broadcast that was approved at `at`, to these people.
pub fn broadcast(author: &str, to: &[String], at: Timestamp) -> anyhow::Result<(Broadcast, Audience)> {
    let people = to.iter().map(|id| Some(PersonTarget::new(OpenId::new(id.clone())?)));
    let people = people.collect::<Option<Vec<_>>>().context("open_ids")?;
    let audience = Audience::new(vec![], people, vec![], vec![]);
    let id = BroadcastId::from_random(random::<BROADCAST_ID_LETTERS>());
    let mut broadcast: Broadcast = serde_json::from_value(json!({
        "id": id.as_str(), "author": author,
        "origin": { "chat_id": null, "message_id": "om_bench", "language": "zh" },
        "content": { "text": "本周五下午三点在三楼大会议室开季度总结会，请准时参加。" },
        "audience": audience.outline(),
        "questions": [], "fingerprint": "", "required": 1, "state": "approved", "version": 2, "revision": 2,
        "created_at": at.0, "expires_at": at.0 + 86_400_000,
        "approvals": [{ "by": "ou_19", "at": at.0 }], "ending": null,
    }))?;
    broadcast.fingerprint = plan::fingerprint(&broadcast.content, &plan::batches(&audience));
    Ok((broadcast, audience))
}
