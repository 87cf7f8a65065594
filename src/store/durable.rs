//! When a commit is on the disk.
//!
//! PostgreSQL waits for its disk within the commit, and lets commits share a wait. SQLite would wait in each commit by
//! itself, with its only writer standing still meanwhile. So it does not wait at all (`synchronous = normal`), and
//! whoever commits waits here instead: one synchronisation of the log covers every commit that was made before it
//! began, of events and of work alike, while the next ones are being written.
//!
//! The log is one row of frames, each checked by a sum over all before it: what follows a hole does not count, so a
//! commit that is on disk has everything before it on disk too. What a transaction has read is therefore as safe as
//! what it wrote. Source: SQLite "WAL file format", and `PRAGMA synchronous`: without FULL a commit may be lost with the
//! power, never torn.
//!
//! The same room keeps the log short, on a connection of its own: SQLite would write the log back within somebody's
//! commit, which is what its slowest commits are made of.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::{AnyConnection, AnyPool, Connection, Row};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::StoreError;

/// How often the log is written back, where there is something in it. Whoever waits for the disk waits behind it, and
/// oftener is not better: every 100 ms, with 500 events a second on a million stored ones, the slowest in a hundred took
/// 24 ms instead of 5, since what is written back lies scattered.
const WRITE_BACK_EVERY: Duration = Duration::from_secs(1);

/// Frames of the log (of 4 KiB, so 32 MiB) at which writers are made to wait until it is empty. Below, it is begun
/// anew whenever nobody happens to write at the end of writing back.
const FRAMES_MAX: i64 = 8 * 1024;

/// Commits that nobody waits for, until the log is forced to the disk all the same: whoever waits next waits for all of
/// them, which took 160 ms for what 10,000 events leave behind at once. So many are 2 to 3 MiB.
const UNAWAITED_MAX: usize = 256;

/// How often writing back is tried in a row, before it is left for later that the log is empty.
const TRIES_MAX: usize = 3;

/// Waits for the disk, for everybody who commits.
#[derive(Clone)]
pub(super) enum Durable {
    /// A commit that has returned is on disk.
    ByItself,
    Shared {
        waiting: mpsc::UnboundedSender<Wait>,
        /// How many commits nobody waited for.
        unawaited: Arc<AtomicUsize>,
    },
}

pub(super) enum Wait {
    Commit(oneshot::Sender<bool>),
    /// Nobody waits, but it should not become more.
    Nobody,
    /// Nothing is committed any more: close the log.
    End(oneshot::Sender<()>),
}

impl Durable {
    /// Takes care of the log of the SQLite database that `upkeep` is connected to; `write` is its writer.
    pub(super) async fn of_sqlite(mut upkeep: AnyConnection, write: AnyPool) -> Result<Self, sqlx::Error> {
        let row =
            sqlx::query("select file from pragma_database_list where name = 'main'").fetch_one(&mut upkeep).await?;
        let database: String = row.try_get("file")?;
        if database.is_empty() {
            // In memory: there is no disk to wait for.
            return Ok(Self::ByItself);
        }
        let (waiting, receiver) = mpsc::unbounded_channel();
        let log = Log { path: PathBuf::from(format!("{database}-wal")), file: None };
        let kept = Kept::start(upkeep, write);
        let runtime = Handle::current();
        // A thread of its own: whoever waits for the disk is woken by it, without a detour over another thread.
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || synchronise(log, receiver, kept, &runtime))
            .map_err(sqlx::Error::Io)?;
        Ok(Self::Shared { waiting, unawaited: Arc::default() })
    }

    /// Returns when everything that was committed before this call is on disk.
    ///
    /// # Errors
    /// `Unavailable`: it is not, or nobody knows.
    pub(super) async fn reached(&self) -> Result<(), StoreError> {
        let Self::Shared { waiting, .. } = self else { return Ok(()) };
        let (answer, reached) = oneshot::channel();
        waiting.send(Wait::Commit(answer)).map_err(|_| StoreError::Unavailable)?;
        if reached.await.unwrap_or(false) { Ok(()) } else { Err(StoreError::Unavailable) }
    }

    /// Says that something was committed which may be lost with the power.
    pub(super) fn unawaited(&self) {
        let Self::Shared { waiting, unawaited } = self else { return };
        if unawaited.fetch_add(1, Ordering::Relaxed) % UNAWAITED_MAX == UNAWAITED_MAX - 1 {
            let _closed = waiting.send(Wait::Nobody);
        }
    }

    /// Closes what keeps the log, after everything else is closed.
    pub(super) async fn close(&self) {
        let Self::Shared { waiting, .. } = self else { return };
        let (answer, ended) = oneshot::channel();
        if waiting.send(Wait::End(answer)).is_ok() {
            let _gone = ended.await;
        }
    }
}

/// The write-ahead log, as a file.
struct Log {
    path: PathBuf,
    file: Option<File>,
}

impl Log {
    /// Forces what stands in the log to the disk. Opening it is safe, unlike the database itself: SQLite keeps no lock
    /// on it that closing would break.
    fn synchronise(&mut self) -> std::io::Result<()> {
        let file = match self.file.take() {
            // Somebody who closes a database removes its log: then another one has taken its place.
            Some(file) if file.metadata()?.nlink() > 0 => file,
            Some(_) | None => File::open(&self.path)?,
        };
        file.sync_data()?;
        self.file = Some(file);
        Ok(())
    }
}

/// Serves everybody who waits, a synchronisation at a time, until the store is closed or gone.
fn synchronise(mut log: Log, mut waiting: mpsc::UnboundedReceiver<Wait>, kept: Kept, runtime: &Handle) {
    let mut all = Vec::new();
    let mut ending = Vec::new();
    let mut doubtful = false;
    while ending.is_empty() && waiting.blocking_recv_many(&mut all, usize::MAX) > 0 {
        let mut commits = Vec::with_capacity(all.len());
        let mut is_due = false;
        for wait in all.drain(..) {
            match wait {
                Wait::Commit(answer) => commits.push(answer),
                Wait::Nobody => is_due = true,
                Wait::End(answer) => ending.push(answer),
            }
        }
        if commits.is_empty() && !is_due {
            continue;
        }
        kept.written.store(true, Ordering::Relaxed);
        let done = if doubtful { runtime.block_on(kept.write_back_whole()) } else { log.synchronise() };
        if let Err(error) = &done {
            tracing::error!(%error, "what was written may not be on the disk");
        }
        doubtful = done.is_err();
        for answer in commits {
            let _gone = answer.send(!doubtful);
        }
    }
    drop(waiting);
    runtime.block_on(kept.end());
    for answer in ending {
        let _gone = answer.send(());
    }
}

/// What keeps the log short, as seen from outside.
struct Kept {
    write: AnyPool,
    /// Whether anything was committed since the log was last written back.
    written: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Kept {
    fn start(upkeep: AnyConnection, write: AnyPool) -> Self {
        let (stop, stopped) = oneshot::channel();
        // A log that a crash left behind counts as well.
        let written = Arc::new(AtomicBool::new(true));
        let task = tokio::spawn(keep_short(upkeep, write.clone(), Arc::clone(&written), stopped));
        Self { write, written, stop, task }
    }

    /// After a synchronisation that failed, another one that succeeds proves nothing: what could not be written may
    /// have been forgotten. Then the whole log goes into the database, which has a synchronisation of its own.
    async fn write_back_whole(&self) -> std::io::Result<()> {
        let mut connection = self.write.acquire().await.map_err(std::io::Error::other)?;
        let row = sqlx::query("pragma wal_checkpoint(truncate)").fetch_one(&mut *connection).await;
        let busy: i64 = row.and_then(|row| row.try_get("busy")).map_err(std::io::Error::other)?;
        if busy == 0 { Ok(()) } else { Err(std::io::Error::other("somebody is reading")) }
    }

    async fn end(self) {
        drop(self.stop);
        let _panicked = self.task.await;
    }
}

/// Writes the log back now and then, until `stopped`. SQLite begins it anew when all of it has been written back, and
/// never while this connection is open removes it.
async fn keep_short(
    mut upkeep: AnyConnection,
    write: AnyPool,
    written: Arc<AtomicBool>,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(WRITE_BACK_EVERY) => {}
            _ = &mut stopped => break,
        }
        if !written.swap(false, Ordering::Relaxed) {
            continue;
        }
        if let Err(error) = write_back(&mut upkeep, &write).await {
            tracing::warn!(%error, "the log could not be written back; it grows until it can");
        }
    }
    let _closing = upkeep.close().await;
}

async fn write_back(upkeep: &mut AnyConnection, write: &AnyPool) -> Result<(), sqlx::Error> {
    let mut frames = 0;
    for _ in 0..TRIES_MAX {
        let left;
        (frames, left) = checkpoint(upkeep).await?;
        // What came meanwhile is little, and written back the sooner.
        if left == 0 {
            return Ok(());
        }
    }
    if frames > FRAMES_MAX {
        // In the writer's own place nobody writes meanwhile, and only the rest is left to do.
        checkpoint(&mut *write.acquire().await?).await?;
    }
    Ok(())
}

/// Writes back what can be without making anybody wait; returns how many frames the log has and how many are left.
async fn checkpoint(connection: &mut AnyConnection) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query("pragma wal_checkpoint(passive)").fetch_one(connection).await?;
    let (frames, done): (i64, i64) = (row.try_get("log")?, row.try_get("checkpointed")?);
    Ok((frames, frames - done))
}
