//! The door's side of the inbox: an event is on the disk before anybody is told so.
//!
//! Acknowledging is group commit: events that arrive while others are on their way to the disk share the next statement
//! and the next wait for the disk, so that a burst costs a few of each instead of one an event.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::{AnyPool, AssertSqlSafe};
use tokio::sync::{Notify, mpsc, oneshot};

use super::durable::Durable;
use super::inbox::{Arrival, Seen};
use super::{Store, StoreError};

/// Events that share one commit at most.
const GROUP_MAX: usize = 256;

/// Events that may wait for a commit; beyond that the door answers 503 and Feishu pushes again.
const WAITING_MAX: usize = 4096;

/// How long a group may take: a server that has gone silent does not say so, and Feishu gives up after 3 s anyway.
const INSERT_MAX: Duration = Duration::from_secs(5);

/// How long work waits for its turn while events keep coming: they have to be answered within 3 s, work does not.
const WORK_WAITS_MAX: Duration = Duration::from_millis(20);

type Waiting = (Arrival, oneshot::Sender<Result<Seen, StoreError>>);

/// The queue in front of the table and the task that empties it.
#[derive(Clone)]
pub(super) struct Accepting {
    queue: mpsc::Sender<Waiting>,
    /// Events that are not in the table yet.
    waiting: Arc<AtomicUsize>,
    /// Told whenever that falls to none.
    none: Arc<Notify>,
    pool: AnyPool,
}

impl Accepting {
    pub(super) fn start(pool: AnyPool, durable: Durable) -> Self {
        let (queue, receiver) = mpsc::channel::<Waiting>(WAITING_MAX);
        let accepting = Self { queue, waiting: Arc::default(), none: Arc::default(), pool: pool.clone() };
        let (waiting, none) = (Arc::clone(&accepting.waiting), Arc::clone(&accepting.none));
        tokio::spawn(accept(receiver, pool, durable, waiting, none));
        accepting
    }

    /// Lets events that wait for the table have the next turn at the one connection that writes, for a while.
    pub(super) async fn goes_first(&self) {
        let none = self.none.notified();
        tokio::pin!(none);
        none.as_mut().enable();
        if self.waiting.load(Ordering::Acquire) > 0 {
            let _long = tokio::time::timeout(WORK_WAITS_MAX, none).await;
        }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

async fn accept(
    mut queue: mpsc::Receiver<Waiting>,
    pool: AnyPool,
    durable: Durable,
    waiting: Arc<AtomicUsize>,
    none: Arc<Notify>,
) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while queue.recv_many(&mut group, GROUP_MAX).await > 0 {
        // One order for all replicas: two that insert the same keys never wait for each other in a ring.
        group.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
        let stored = insert_group(&pool, &group).await;
        if waiting.fetch_sub(group.len(), Ordering::AcqRel) == group.len() {
            none.notify_waiters();
        }
        // The next group gathers meanwhile: it could not reach the disk any sooner, and the larger it is, the less an
        // event costs. Repeats wait too: the first push of the same may still be on its way there.
        let stored = match stored {
            Ok(new) => durable.reached().await.map(|()| new),
            Err(error) => Err(error),
        };
        match stored {
            Ok(new) => {
                for ((_, answer), at) in group.drain(..).zip(0..) {
                    let _gone = answer.send(Ok(if at < new { Seen::First } else { Seen::Again }));
                }
            }
            Err(error) => {
                tracing::warn!(%error, events = group.len(), "events could not be stored; Feishu will push them again");
                for (_, answer) in group.drain(..) {
                    let _gone = answer.send(Err(StoreError::Unavailable));
                }
            }
        }
    }
}

/// How many events one statement inserts: each number is a statement of its own, which the database keeps prepared.
const ROWS: [usize; 18] = [1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128, 192, GROUP_MAX];

/// The statements for [`ROWS`].
static INSERTS: LazyLock<[Arc<str>; ROWS.len()]> = LazyLock::new(|| ROWS.map(insert_statement));

fn insert_statement(rows: usize) -> Arc<str> {
    let row = |row: usize| {
        let [key, kind, person, body, received_at] = std::array::from_fn(|column| 5 * row + column + 1);
        format!("(${key}, ${kind}, ${person}, ${body}, 'new', ${received_at}, ${received_at})")
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!(
        "insert into inbox (key, kind, person, body, state, not_before, received_at) values {}
         on conflict do nothing",
        rows.join(", ")
    )
    .into()
}

/// Inserts a sorted group in one statement, which is a transaction by itself. Returns how many of them are new; which
/// ones would be a row of answer for each event, a tenth of what storing it costs.
async fn insert_group(pool: &AnyPool, group: &[Waiting]) -> Result<u64, StoreError> {
    let size = ROWS.iter().position(|rows| *rows >= group.len()).expect("a group has at most GROUP_MAX events");
    let mut insert = sqlx::query(AssertSqlSafe(Arc::clone(&INSERTS[size])));
    // A statement for more rows than there are repeats the last one, which is no news any more.
    let last = group.last().expect("a group has an event");
    for (arrival, _) in group.iter().chain(std::iter::repeat(last)).take(ROWS[size]) {
        insert = insert
            .bind(arrival.key.as_str())
            .bind(arrival.kind.as_str())
            .bind(arrival.person.as_str())
            .bind(arrival.body.as_str())
            .bind(arrival.received_at.0);
    }
    let mut connection = pool.acquire().await?;
    match tokio::time::timeout(INSERT_MAX, insert.execute(&mut *connection)).await {
        Ok(done) => Ok(done?.rows_affected()),
        Err(_) => {
            // Given back, it would be asked whether it is well, and never answer. Let go of, the next group gets another.
            drop(connection.detach());
            Err(StoreError::Unavailable)
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
        let Accepting { queue, waiting, .. } = &self.accepting;
        waiting.fetch_add(1, Ordering::AcqRel);
        if queue.try_send((arrival, answer)).is_err() {
            waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(StoreError::Unavailable);
        }
        stored.await.map_err(|_| StoreError::Unavailable)?
    }
}
