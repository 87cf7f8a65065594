//! One memory. Everything that must outlive the process goes through here, in short transactions that never wait for
//! the network.
//!
//! SQLite is the embedded default: write-ahead log, on the disk before anything is acknowledged ([`durable`]), one
//! connection that writes and a few that read, so that writers queue in the process instead of colliding in the file.
//! PostgreSQL is for several replicas: the same statements, the same claims, a few connections that do both.
//!
//! A claim repeats its condition outside its sub-select: where two processes meet on one row, the second one finds the
//! condition gone and takes nothing.
//! The statements are plain SQL; `sqlx::Any` carries them to either.

mod accept;
pub mod audit;
pub mod authorizations;
pub mod batches;
pub mod broadcasts;
pub mod cards;
pub mod commands;
mod durable;
pub mod errands;
pub mod heard;
mod in_use;
pub mod inbox;
pub mod languages;
pub mod letters;
pub mod life;
pub mod look;
pub mod notice;
pub mod pace;
pub mod polls;
pub mod quota;
pub mod recalls;
pub mod rosters;
mod signing;
pub mod waiting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::any::{Any, AnyPoolOptions, install_default_drivers};
use sqlx::{AnyConnection, AnyPool, Connection, Row, Transaction};

use crate::domain::audit::Entry;
use crate::domain::audit::chain::ChainKey;
use crate::domain::ids::Timestamp;
use crate::domain::keys::Rotating;
use durable::Durable;
use in_use::{InUse, Use};
use signing::Signing;

/// Connections that only read, on SQLite. A bot with a few admins rarely has two queries at once.
const READERS_MAX: u32 = 2;

/// Connections of one replica to PostgreSQL. Its default allows 100 in all, and there are a few replicas.
const CONNECTIONS_MAX: u32 = 12;

/// How long a statement waits for another process that writes to the same file.
/// Shorter than the time in which an event must be answered.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// How long a caller waits for a connection before the store counts as unreachable.
const ACQUIRE_WAIT: Duration = Duration::from_secs(5);

/// How long the database may take to say what time it is: half of it is how wrong that may be.
const CLOCK_ASKED_MAX: Duration = Duration::from_secs(2);

/// Rows that are forgotten in one transaction, and the pause before the next: others write in between.
const PRUNED_AT_ONCE: i64 = 1000;
const PRUNE_PAUSE: Duration = Duration::from_millis(20);

/// How the tables came to be.
static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations");

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database does not answer: {0}")]
    Database(#[source] sqlx::Error),
    #[error("the database could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("the database holds something this version cannot read: {0}")]
    Unreadable(String),
    /// The queue in front of the database is full, or its commit failed.
    #[error("the database could not store it")]
    Unavailable,
    /// SQLite belongs to one process.
    #[error("another process is using this database; stop it first, or give this one a DATABASE_URL of its own")]
    InUse,
    /// The log and the lock lie beside the name, so that two names make two of each. Source: SQLite "how to corrupt", 2.5.
    #[error(
        "the file has another name, a hard link, by which a second process could damage it; remove it (find / -samefile FILE)"
    )]
    SeveralNames,
    /// Somebody else changed the row first: read again and decide again.
    #[error("somebody else was faster")]
    Conflict,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        if code.is_some_and(|code| is_collision(&code)) { Self::Conflict } else { Self::Database(error) }
    }
}

/// Whether two transactions met, of which the database let the other one live. Source: PostgreSQL "error codes", 40001
/// serialization_failure and 40P01 deadlock_detected; SQLite "result codes", SQLITE_BUSY, whose extended forms keep 5 in
/// their last byte.
fn is_collision(code: &str) -> bool {
    // A SQLSTATE has five characters, a SQLite code never more than four.
    let is_busy = code.len() < 5 && code.parse::<u32>().is_ok_and(|code| code & 0xff == 5);
    is_busy || ["40001", "40P01"].contains(&code)
}

/// Which database it is. The statements are the same; how connections are kept is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Embedded; this process is the only one on it.
    Sqlite,
    /// Shared with other replicas.
    Postgres,
}

impl Engine {
    fn of(url: &str) -> Self {
        if url.starts_with("sqlite:") { Self::Sqlite } else { Self::Postgres }
    }

    /// How a transaction that writes begins. SQLite takes the write lock at once, since a reader that turns into a
    /// writer may be refused without waiting.
    fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "begin immediate",
            Self::Postgres => "begin",
        }
    }
}

/// How far the database's clock is ahead of this machine's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ahead {
    pub ms: i64,
    /// How wrong that may be: half of what asking took.
    pub give_or_take_ms: i64,
}

/// The database, opened and migrated.
#[derive(Clone)]
pub struct Store {
    engine: Engine,
    /// Where it is; holds the password of a server, so it is printed nowhere.
    url: Arc<str>,
    write: AnyPool,
    read: AnyPool,
    durable: Durable,
    /// The queue in front of the inbox table: many events, one commit.
    accepting: accept::Accepting,
    life: life::Life,
    in_use: InUse,
    chain: Arc<Signing>,
}

/// A transaction that writes. Dropped without [`Tx::commit`] it leaves nothing behind.
pub struct Tx {
    /// When it was asked for.
    began: Instant,
    inner: Transaction<'static, Any>,
    durable: Durable,
    _use: Use,
    chain: Arc<Signing>,
    /// What will be written into the audit chain.
    entries: Vec<Entry>,
}

impl Store {
    /// Opens the database at `url` (`sqlite://path` or `postgres://…`), creates the file if it is missing and migrates it.
    /// Its audit chain goes on under `chain`.
    ///
    /// # Errors
    /// `Database` when the file cannot be opened or written, `Migration` when its schema is newer or damaged, `InUse`
    /// when another process works on it, `SeveralNames` when the file is hard-linked.
    pub async fn open(url: &str, chain: Rotating<ChainKey>) -> Result<Self, StoreError> {
        install_default_drivers();
        let engine = Engine::of(url);
        let url = with_create(engine, url);
        let lock = life::Life::lock(engine, &url).await?;
        // Alone first: a pool would try again and again, and in the end say nothing but that it timed out.
        // Busy is no collision here: whoever starts the program reads the database's own words.
        let mut first = AnyConnection::connect(&url).await.map_err(StoreError::Database)?;
        prepare(engine, &mut first).await.map_err(StoreError::Database)?;
        MIGRATOR.run(&mut first).await?;
        let life = life::Life::find(engine, &url, lock, &mut first).await?;
        let pool = |max: u32| {
            AnyPoolOptions::new()
                .max_connections(max)
                .acquire_timeout(ACQUIRE_WAIT)
                // A file does not go away between two statements; a server may.
                .test_before_acquire(engine == Engine::Postgres)
                .after_connect(move |connection, _| Box::pin(prepare(engine, connection)))
                // SQLite ends a transaction by itself when the disk is full; the library believes it open, and such a
                // connection would never be of use again.
                .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        };
        let (write, read, accept, durable) = match engine {
            Engine::Sqlite => {
                let write = pool(1).connect(&url).await?;
                let durable = Durable::of_sqlite(first, write.clone()).await?;
                (write.clone(), pool(READERS_MAX).connect_lazy(&url)?, write, durable)
            }
            Engine::Postgres => {
                first.close().await?;
                let both = pool(CONNECTIONS_MAX - 1).connect(&url).await?;
                // What is to be acknowledged never queues behind work.
                (both.clone(), both, pool(1).connect_lazy(&url)?, Durable::ByItself)
            }
        };
        let accepting = accept::Accepting::start(engine, accept, durable.clone());
        Ok(Self {
            engine,
            url: url.into(),
            write,
            read,
            durable,
            accepting,
            life,
            in_use: InUse::default(),
            chain: Arc::new(Signing::new(chain)),
        })
    }

    /// Which database this is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// How far the database's clock is ahead of `now`: replicas live by the clock they share. Not at all on SQLite.
    ///
    /// # Errors
    /// `Unavailable` where the question took more than [`CLOCK_ASKED_MAX`]: who stood still meanwhile knows nothing.
    pub async fn clock_ahead(&self, now: impl Fn() -> Timestamp) -> Result<Ahead, StoreError> {
        if self.engine == Engine::Sqlite {
            return Ok(Ahead::default());
        }
        let mut connection = self.reader().await?;
        let before = now();
        let asked = sqlx::query("select cast(extract(epoch from clock_timestamp()) * 1000 as bigint) as now");
        let Ok(row) = tokio::time::timeout(CLOCK_ASKED_MAX, asked.fetch_one(&mut *connection)).await else {
            // Given back, it would be asked whether it is well, and never answer.
            connection.let_go();
            return Err(StoreError::Unavailable);
        };
        let row = row?;
        let after = now();
        if after.since(before) > CLOCK_ASKED_MAX {
            return Err(StoreError::Unavailable);
        }
        let database: i64 = row.try_get("now")?;
        let give_or_take_ms = (after.0 - before.0) / 2;
        Ok(Ahead { ms: database - before.0 - give_or_take_ms, give_or_take_ms })
    }

    /// Whether the store answers and holds our tables.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1 from inbox where key = ''").fetch_optional(&self.read).await?;
        Ok(())
    }

    /// Begins a transaction that writes. Keep it short: on SQLite everyone else waits.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let (began, in_use) = (Instant::now(), self.in_use.begin());
        self.let_events_go_first().await;
        let inner = self.write.begin_with(self.engine.begin()).await?;
        let (durable, chain) = (self.durable.clone(), Arc::clone(&self.chain));
        Ok(Tx { began, inner, durable, _use: in_use, chain, entries: Vec::new() })
    }

    /// Ends every lease on events, letters, cards, errands, recalls and authorizations, for a start after a crash. Only where no other
    /// process works on this store. Batches keep theirs: what became of one in the middle of its call nobody knows.
    pub async fn free_leases(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let mut freed = 0;
        for statement in [
            "update inbox set not_before = $1 where state = 'taken' and not_before > $1",
            // A lease and a pause before the next try look the same here; one try too early does no harm.
            "update letters set not_before = $1 where state = 'new' and not_before > $1",
            "update cards set not_before = $1 where state = 'live' and shown < wanted and not_before > $1",
            "update authorizations set lease_until = $1 where lease_until > $1",
            "update errands set not_before = $1 where state = 'taken' and not_before > $1",
            "update batches set recall_at = $1 where recall_at is not null and recall_at > $1",
        ] {
            freed += sqlx::query(statement).bind(now.0).execute(tx.connection()).await?.rows_affected();
        }
        // Mostly there is nothing to wait for the disk for, and somebody waits for this start.
        if freed > 0 { tx.commit().await } else { Ok(()) }
    }

    /// Deletes by a statement that takes a moment and how many at most, a few at a time. Returns how many in all.
    async fn prune(&self, statement: &'static str, before: Timestamp) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let mut tx = self.begin().await?;
            let gone = sqlx::query(statement).bind(before.0).bind(PRUNED_AT_ONCE).execute(tx.connection()).await?;
            tx.commit().await?;
            all += gone.rows_affected();
            if gone.rows_affected() < PRUNED_AT_ONCE.unsigned_abs() {
                return Ok(all);
            }
            tokio::time::sleep(PRUNE_PAUSE).await;
        }
    }

    /// Closes every connection, after what is running has finished.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
        self.accepting.close().await;
        self.durable.close().await;
        self.life.leave();
    }

    /// On SQLite events and work share the connection that writes.
    async fn let_events_go_first(&self) {
        if self.engine == Engine::Sqlite {
            self.accepting.goes_first().await;
        }
    }
}

impl Tx {
    /// Makes everything in this transaction durable, and what was to be written down of it with it.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        if let Some(at) = self.entries.last().map(|entry| entry.at) {
            audit::append(&mut self.inner, &self.chain, &self.entries, at).await?;
        }
        self.inner.commit().await?;
        self.durable.reached().await?;
        metrics::histogram!("feishu_broadcast_transaction_seconds").record(self.began.elapsed().as_secs_f64());
        Ok(())
    }

    fn connection(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }
}

/// Makes a fresh connection as durable and as patient as all of ours are.
async fn prepare(engine: Engine, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    if engine == Engine::Postgres {
        // A replica that is cut off in the middle must not keep the others waiting for its locks.
        sqlx::query("set idle_in_transaction_session_timeout = '15s'").execute(&mut *connection).await?;
        // Whatever the server's default: a commit that has returned is on its disk. A stronger setting stays.
        sqlx::query(
            "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'",
        )
        .execute(&mut *connection)
        .await?;
        return Ok(());
    }
    // Neither waits for the disk nor writes the log back within a commit: `durable` does both, for all commits together.
    for pragma in [
        "pragma journal_mode = wal",
        "pragma synchronous = normal",
        "pragma wal_autocheckpoint = 0",
        "pragma temp_store = memory",
    ] {
        sqlx::query(pragma).execute(&mut *connection).await?;
    }
    let busy = format!("pragma busy_timeout = {}", BUSY_WAIT.as_millis());
    sqlx::query(sqlx::AssertSqlSafe(busy)).execute(&mut *connection).await?;
    Ok(())
}

/// SQLite creates the file only when asked to.
fn with_create(engine: Engine, url: &str) -> String {
    if engine == Engine::Postgres {
        return url.to_owned();
    }
    match url.split_once('?') {
        Some((_, options)) if options.contains("mode=") => url.to_owned(),
        Some(_) => format!("{url}&mode=rwc"),
        None => format!("{url}?mode=rwc"),
    }
}

/// Reads a document column.
fn document<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Unreadable(error.to_string()))
}

/// Writes a document column.
fn to_document<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our documents have string keys and finite numbers")
}

/// Reads an id column.
fn id<T>(text: String, make: impl Fn(String) -> Option<T>) -> Result<T, StoreError> {
    make(text.clone()).ok_or(StoreError::Unreadable(format!("`{text}` is no id")))
}

#[cfg(test)]
mod tests {
    use super::is_collision;

    #[test]
    fn a_collision_is_told_from_a_failure() {
        for code in ["40001", "40P01", "5", "261", "517"] {
            assert!(is_collision(code), "{code}");
        }
        for code in ["", "1", "6", "13", "2067", "23505", "57P01", "00005", "40002"] {
            assert!(!is_collision(code), "{code}");
        }
    }
}
