//! The door's side of the inbox: an event is on the disk before anybody is told so.
//!
//! Acknowledging is group commit: events that arrive while others are on their way to the disk share the next statement
//! and the next wait for the disk, so that a burst costs a few of each instead of one an event. Where many gather, they
//! are in the table by the time the disk is free.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::{AnyPool, AssertSqlSafe};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::durable::Durable;
use super::inbox::{Arrival, Seen};
use super::{Engine, Store, StoreError};

/// Events that share one commit at most.
const GROUP_MAX: usize = 256;

/// How many events are worth a statement while those before them are on their way to the disk. Fewer wait and gather: they
/// could not reach it any sooner. With 32 a core takes 8 % more events than when all wait, with 16 no more.
const AHEAD_MIN: usize = 32;

/// Events that may wait for a commit; beyond that the door answers 503 and Feishu pushes again.
const WAITING_MAX: usize = 4096;

/// How long a group may take: a server that has gone silent does not say so, and Feishu gives up after 3 s anyway.
const INSERT_MAX: Duration = Duration::from_secs(5);

/// How long work waits for its turn while events keep coming: they have to be answered within 3 s, work does not.
const WORK_WAITS_MAX: Duration = Duration::from_millis(20);

type Answer = oneshot::Sender<Result<Seen, StoreError>>;
type Waiting = (Arrival, Answer);

/// The events that are not in the table yet.
#[derive(Clone, Default)]
struct Left {
    count: Arc<AtomicUsize>,
    /// Told whenever that falls to none.
    none: Arc<Notify>,
}

impl Left {
    fn are_stored(&self, events: usize) {
        if self.count.fetch_sub(events, Ordering::AcqRel) == events {
            self.none.notify_waiters();
        }
    }
}

/// The queue in front of the table and the task that empties it.
#[derive(Clone)]
pub(super) struct Accepting {
    queue: mpsc::Sender<Waiting>,
    left: Left,
    pool: AnyPool,
}

impl Accepting {
    pub(super) fn start(engine: Engine, pool: AnyPool, durable: Durable) -> Self {
        let (queue, receiver) = mpsc::channel::<Waiting>(WAITING_MAX);
        let inserts = Inserts { pool: pool.clone(), statements: ROWS.map(|rows| insert_statement(engine, rows)) };
        let left = Left::default();
        tokio::spawn(accept(receiver, inserts, durable, left.clone()));
        Self { queue, left, pool }
    }

    /// Lets events that wait for the table have the next turn at the one connection that writes, for a while.
    pub(super) async fn goes_first(&self) {
        let none = self.left.none.notified();
        tokio::pin!(none);
        none.as_mut().enable();
        if self.left.count.load(Ordering::Acquire) > 0 {
            let _long = tokio::time::timeout(WORK_WAITS_MAX, none).await;
        }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

async fn accept(mut queue: mpsc::Receiver<Waiting>, inserts: Inserts, durable: Durable, left: Left) {
    let mut group = Vec::new();
    // One group at a time is on its way to the disk.
    let disk = Arc::new(Semaphore::new(1));
    while gather(&mut queue, &mut group, &disk).await {
        // One order for all replicas: two that insert the same keys never wait for each other in a ring.
        group.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
        let (arrivals, answers): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        // Whatever happens to one group, the next one is stored.
        let stored = AssertUnwindSafe(inserts.insert(arrivals)).catch_unwind().await;
        let stored = stored.unwrap_or(Err(StoreError::Unavailable));
        left.are_stored(answers.len());
        let Ok(turn) = Arc::clone(&disk).acquire_owned().await else { return };
        let durable = durable.clone();
        tokio::spawn(async move {
            answer(answers, stored, &durable).await;
            drop(turn);
        });
    }
}

/// The next group: one event at least, and more while the disk is busy. False when there will be none any more.
async fn gather(queue: &mut mpsc::Receiver<Waiting>, group: &mut Vec<Waiting>, disk: &Semaphore) -> bool {
    let mut more = queue.recv_many(group, GROUP_MAX).await;
    while more > 0 && group.len() < AHEAD_MIN {
        let room = GROUP_MAX - group.len();
        more = tokio::select! {
            biased;
            _free = disk.acquire() => break,
            more = queue.recv_many(group, room) => more,
        };
    }
    !group.is_empty()
}

/// Tells everybody of a group, as soon as it is on the disk. Repeats wait too: the first push of the same may still be on
/// its way there.
async fn answer(group: Vec<Answer>, stored: Result<u64, StoreError>, durable: &Durable) {
    let stored = match stored {
        Ok(new) => durable.reached().await.map(|()| new),
        Err(error) => Err(error),
    };
    match stored {
        Ok(new) => {
            for (answer, at) in group.into_iter().zip(0..) {
                let _gone = answer.send(Ok(if at < new { Seen::First } else { Seen::Again }));
            }
        }
        Err(error) => {
            tracing::warn!(%error, events = group.len(), "events could not be stored; Feishu will push them again");
            for answer in group {
                let _gone = answer.send(Err(StoreError::Unavailable));
            }
        }
    }
}

/// How many events one statement inserts: each number is a statement of its own, which the database keeps prepared.
const ROWS: [usize; 18] = [1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128, 192, GROUP_MAX];

/// A statement for so many events. SQLite looks up the name of every parameter that has one, which for a whole group is a
/// twentieth of what storing it costs.
fn insert_statement(engine: Engine, rows: usize) -> Arc<str> {
    let row = |row: usize| match engine {
        Engine::Sqlite => "(?, ?, ?, ?, 'new', ?, ?)".to_owned(),
        Engine::Postgres => {
            let [key, kind, person, body, not_before, received_at] = std::array::from_fn(|column| 6 * row + column + 1);
            format!("(${key}, ${kind}, ${person}, ${body}, 'new', ${not_before}, ${received_at})")
        }
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!(
        "insert into inbox (key, kind, person, body, state, not_before, received_at) values {}
         on conflict do nothing",
        rows.join(", ")
    )
    .into()
}

struct Inserts {
    pool: AnyPool,
    /// For [`ROWS`].
    statements: [Arc<str>; ROWS.len()],
}

impl Inserts {
    /// Inserts a sorted group in one statement, which is a transaction by itself. Returns how many of them are new;
    /// which ones would be a row of answer for each event, a tenth of what storing it costs.
    async fn insert(&self, mut group: Vec<Arrival>) -> Result<u64, StoreError> {
        let size = ROWS.iter().position(|rows| *rows >= group.len()).expect("a group has at most GROUP_MAX events");
        // A statement for more rows than there are repeats the last one, which is no news any more.
        let last = group.last().expect("a group has an event").clone();
        group.resize(ROWS[size], last);
        let mut insert = sqlx::query(AssertSqlSafe(Arc::clone(&self.statements[size])));
        for Arrival { key, kind, person, body, received_at } in group {
            let (kind, at) = (kind.as_str(), received_at.0);
            insert = insert.bind(key).bind(kind).bind(person).bind(body).bind(at).bind(at);
        }
        let mut connection = self.pool.acquire().await?;
        match tokio::time::timeout(INSERT_MAX, insert.execute(&mut *connection)).await {
            Ok(done) => Ok(done?.rows_affected()),
            Err(_) => {
                // Given back, it would be asked whether it is well, and never answer. Let go of, the next group gets
                // another.
                drop(connection.detach());
                Err(StoreError::Unavailable)
            }
        }
    }
}

impl Store {
    /// Stores an event durably. When this returns `Ok`, the event is on disk. Of those that shared a commit it is known
    /// how many were new and not which: the answers `First` are as many as there are new events, and may be swapped.
    ///
    /// # Errors
    /// Any error means: not stored, or not known to be.
    pub async fn accept(&self, arrival: Arrival) -> Result<Seen, StoreError> {
        let (answer, stored) = oneshot::channel();
        let Accepting { queue, left, .. } = &self.accepting;
        left.count.fetch_add(1, Ordering::AcqRel);
        if queue.try_send((arrival, answer)).is_err() {
            left.count.fetch_sub(1, Ordering::AcqRel);
            return Err(StoreError::Unavailable);
        }
        stored.await.map_err(|_| StoreError::Unavailable)?
    }
}
