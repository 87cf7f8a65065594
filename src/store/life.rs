//! Whether this database is the one that was at work a moment ago.
//!
//! A database that was put back from a backup, or a copy of one, believes unsent what has long arrived. Three things
//! tell: how long nobody was at work on it; where it lives (a copy is another file, a dump that was read in is another
//! table, a promoted standby another timeline); and on SQLite a witness, a small file beside the database that remembers how many calls were ever
//! reserved. A database that knows of fewer is older than what was sent with it.
//!
//! The witness hears of a call after the database, and of a database put back only once what it would send is on hold:
//! whoever dies in between is asked, or asked again, and nothing is missed.
//!
//! The witness is also the lock: a second process on the same file is turned away at its start.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyConnection, Row};

use super::{Engine, Store, StoreError, Tx};
use crate::domain::ids::Timestamp;

/// How long a start waits for another process to leave the file: one that drains takes less than ten seconds.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Letters of the count in the witness: the largest i64 has 19.
const COUNT_LETTERS: usize = 19;

/// What is known of the database's own life.
#[derive(Debug, Clone)]
pub(super) struct Life {
    /// Where an embedded database lives. A server is asked each time: its standby may take over while we run.
    file: Arc<str>,
    /// Whether a server tells its timeline; some hosted ones do not.
    tells_timeline: bool,
    /// The witness knows of calls that the database does not, or is not there although there were some.
    older: Arc<AtomicBool>,
    /// Calls that the database knew of at the start, until the witness has heard of them.
    at_start: Arc<Mutex<Option<i64>>>,
    witness: Option<Arc<Mutex<File>>>,
    /// The last write failed: the store takes nothing right now.
    failing: Arc<AtomicBool>,
}

/// When and where somebody was last at work on this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSeen {
    pub at: Timestamp,
    /// It was another database then: this one is a copy, or older than what was sent with it.
    pub elsewhere: bool,
}

impl Life {
    /// Takes the lock of an embedded database, before anything else touches the file.
    ///
    /// # Errors
    /// `InUse` when another process holds it, `SeveralNames` when the file is hard-linked.
    pub(super) async fn lock(engine: Engine, url: &str) -> Result<Option<File>, StoreError> {
        if let Some(file) = database_path(url).filter(|_| engine == Engine::Sqlite && url.contains("mode=rwc")) {
            // It has a place of its own only once it is there. Where it cannot be made, the database says it better.
            let _made = OpenOptions::new().create(true).append(true).open(file);
        }
        let Some(path) = witness_path(engine, url) else { return Ok(None) };
        if database_path(url).and_then(|file| std::fs::metadata(file).ok()).is_some_and(|file| file.nlink() > 1) {
            return Err(StoreError::SeveralNames);
        }
        let file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path) {
            Ok(file) => file,
            Err(error) => {
                // Where nothing can be written the database cannot be either, and says it better.
                tracing::debug!(%error, path = %path.display(), "no witness beside the database");
                return Ok(None);
            }
        };
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(%error, path = %path.display(), "this file system knows no locks; run one process only");
                    return Ok(Some(file));
                }
            }
        }
        Err(StoreError::InUse)
    }

    /// Hears the witness, once the database is migrated.
    pub(super) async fn find(
        engine: Engine,
        url: &str,
        witness: Option<File>,
        connection: &mut AnyConnection,
    ) -> Result<Self, StoreError> {
        let file = if engine == Engine::Sqlite { file_home(url) } else { String::new() };
        let tells_timeline = match engine {
            Engine::Sqlite => false,
            Engine::Postgres => match sqlx::query(TIMELINE).fetch_one(&mut *connection).await {
                Ok(_) => true,
                Err(error) if is_not_told(&error) => false,
                Err(error) => return Err(error.into()),
            },
        };
        let (mut older, mut at_start) = (false, None);
        if let Some(mut file) = witness.as_ref() {
            let row = sqlx::query("select calls from pace_count where ring = 'batches'").fetch_one(connection).await?;
            let calls: i64 = row.try_get("calls")?;
            let mut count = String::new();
            // What cannot be read counts as missing.
            let read = file.read_to_string(&mut count).ok().and_then(|_| count.trim().parse::<i64>().ok());
            older = read.unwrap_or(0) > calls || (read.is_none() && calls > 0);
            at_start = Some(calls);
        }
        Ok(Self {
            file: file.into(),
            tells_timeline,
            older: Arc::new(AtomicBool::new(older)),
            at_start: Arc::new(Mutex::new(at_start)),
            witness: witness.map(|file| Arc::new(Mutex::new(file))),
            failing: Arc::default(),
        })
    }

    /// Tells the witness of a call that was reserved. Not flushed to the disk: what it is there for does not take the
    /// machine's power away.
    pub(super) fn witness(&self, calls: i64) {
        let Some(witness) = &self.witness else { return };
        let mut file = witness.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| write!(file, "{calls:0COUNT_LETTERS$}"));
        if let Err(error) = written {
            tracing::warn!(%error, "the witness beside the database cannot be written");
        }
    }

    /// Gives the lock back, so that the next one need not wait until the last of us is gone.
    pub(super) fn leave(&self) {
        let Some(witness) = &self.witness else { return };
        if let Err(error) = witness.lock().unwrap_or_else(PoisonError::into_inner).unlock() {
            tracing::warn!(%error, "the lock beside the database cannot be given back");
        }
    }

    pub(super) fn report(&self, works: bool) {
        let failed = self.failing.swap(!works, Ordering::Relaxed);
        match (failed, works) {
            (false, false) => tracing::error!("the database takes no writes; events are refused until it does"),
            (true, true) => tracing::info!("the database takes writes again"),
            (false, true) | (true, false) => {}
        }
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

/// The file of an embedded database; none for one in memory.
pub(super) fn database_path(url: &str) -> Option<PathBuf> {
    let options: SqliteConnectOptions = url.parse().ok()?;
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    (!in_memory).then(|| options.get_filename().to_owned())
}

fn witness_path(engine: Engine, url: &str) -> Option<PathBuf> {
    if engine == Engine::Postgres {
        return None;
    }
    let path = database_path(url)?;
    // By whichever symbolic link it was named, as SQLite does with its log.
    let mut path = std::fs::canonicalize(&path).unwrap_or(path).into_os_string();
    path.push("-witness");
    Some(path.into())
}

/// A copy of a file is another inode; moving it within its file system keeps it. The device is left out: its number may
/// change whenever the machine starts.
fn file_home(url: &str) -> String {
    let inode = |path: &Path| std::fs::metadata(path).map(|meta| meta.ino()).ok();
    database_path(url).and_then(|path| inode(&path)).map_or_else(String::new, |inode| format!("inode {inode}"))
}

/// The database's number changes when a dump is read into a new one; the table's, also when it is read into the old one.
const DATABASE: &str =
    "select cast(oid as bigint) as database, cast(cast(cast('life' as regclass) as oid) as bigint) as life
     from pg_database where datname = current_database()";

/// The cluster's timeline changes when a standby is promoted or a backup is played forward: the new one may lack what
/// the old one had promised. Source: PostgreSQL, "backup control functions" and "timelines".
const TIMELINE: &str = "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline";

/// Whether a server will never answer a question, rather than not now. Source: PostgreSQL "error codes": 42501
/// insufficient_privilege, 42883 undefined_function, 0A000 feature_not_supported.
fn is_not_told(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["42501", "42883", "0A000"].contains(&&*code))
}

impl Store {
    /// Whether the last write went through.
    pub fn takes_writes(&self) -> bool {
        !self.life.is_failing()
    }

    /// Notes whether a write went through, for [`Store::takes_writes`].
    pub fn report(&self, works: bool) {
        self.life.report(works);
    }

    /// From here on this database is the one that is at work: whatever told that it was not has been dealt with.
    pub fn settle_in(&self) {
        if let Some(calls) = self.life.at_start.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.life.witness(calls);
            self.life.older.store(false, Ordering::Relaxed);
        }
    }
}

impl Tx {
    /// Where the database lives that this very transaction speaks to: another answer than the last time means another
    /// database, or an older one.
    pub async fn home(&mut self, store: &Store) -> Result<String, StoreError> {
        if store.engine == Engine::Sqlite {
            return Ok(store.life.file.to_string());
        }
        let row = sqlx::query(DATABASE).fetch_one(self.connection()).await?;
        let (database, life): (i64, i64) = (row.try_get("database")?, row.try_get("life")?);
        let timeline = match store.life.tells_timeline {
            true => sqlx::query(TIMELINE).fetch_one(self.connection()).await?.try_get("timeline")?,
            false => "unknown".to_owned(),
        };
        Ok(format!("database {database} timeline {timeline} table {life}"))
    }

    /// Reads when somebody was last at work, and whether that was at another place than `home`. Whoever else asks waits
    /// until this transaction ends.
    pub async fn last_seen(&mut self, store: &Store, home: &str) -> Result<LastSeen, StoreError> {
        let row = sqlx::query("update life set alive_at = alive_at where id = 1 returning alive_at, home")
            .fetch_one(self.connection())
            .await?;
        let then: String = row.try_get("home")?;
        // Nobody has lived in a new one; versions before this one did not name the table.
        let moved = !then.is_empty() && then != home && !home.starts_with(&format!("{then} table "));
        let elsewhere = moved || store.life.older.load(Ordering::Relaxed);
        Ok(LastSeen { at: Timestamp(row.try_get("alive_at")?), elsewhere })
    }

    /// Whether somebody was at work at this place last.
    pub async fn lives_at(&mut self, home: &str) -> Result<bool, StoreError> {
        let row =
            sqlx::query("select 1 from life where home = $1").bind(home).fetch_optional(self.connection()).await?;
        Ok(row.is_some())
    }

    /// Says that somebody is at work here, now.
    pub async fn say_alive(&mut self, home: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("update life set alive_at = $1, home = $2 where id = 1")
            .bind(now.0)
            .bind(home)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
