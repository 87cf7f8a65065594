//! What Feishu pushed: stored once, worked on until done, remembered for a week.
//!
//! Acknowledging is group commit: events that arrive while others are on their way to the disk share the next statement
//! and the next wait for the disk, so that a burst costs a few of each instead of one an event.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::{AnyPool, AssertSqlSafe, Row};
use tokio::sync::{Notify, mpsc, oneshot};

use super::durable::Durable;
use super::{Store, StoreError, Tx};
use crate::domain::ids::{OpenId, Timestamp};

/// Events that share one commit at most.
const GROUP_MAX: usize = 256;

/// Events that may wait for a commit; beyond that the door answers 503 and Feishu pushes again.
const WAITING_MAX: usize = 4096;

/// How long work waits for its turn while events keep coming: they have to be answered within 3 s, work does not.
const WORK_WAITS_MAX: Duration = Duration::from_millis(20);

/// What kind of work a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Message,
    Revocation,
    Press,
    Login,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Message => "message",
            Kind::Revocation => "revocation",
            Kind::Press => "press",
            Kind::Login => "login",
        }
    }
}

/// One verified event on its way to the disk.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub key: String,
    pub kind: Kind,
    pub person: String,
    pub body: String,
    pub received_at: Timestamp,
}

/// Whether an event was seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    First,
    Again,
}

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
            Ok(seen) => durable.reached().await.map(|()| seen),
            Err(error) => Err(error),
        };
        match stored {
            Ok(seen) => {
                for ((_, answer), seen) in group.drain(..).zip(seen) {
                    let _gone = answer.send(Ok(seen));
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
const ROWS: [usize; 13] = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, GROUP_MAX];

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
         on conflict do nothing returning key",
        rows.join(", ")
    )
    .into()
}

/// Inserts a sorted group in one statement, which is a transaction by itself.
async fn insert_group(pool: &AnyPool, group: &[Waiting]) -> Result<Vec<Seen>, StoreError> {
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
    let rows = insert.fetch_all(pool).await?;
    let mut new = rows.iter().map(|row| row.try_get("key")).collect::<Result<HashSet<&str>, _>>()?;
    // Within a group, too, the first one of a key is the first.
    Ok(group.iter().map(|(one, _)| if new.remove(one.key.as_str()) { Seen::First } else { Seen::Again }).collect())
}

/// One row taken for work. Only its holder may finish it, and only until the lease ends.
#[derive(Debug, Clone)]
pub struct Claim {
    pub key: String,
    pub person: String,
    pub body: String,
    /// Tries including this one.
    pub attempts: i64,
    pub received_at: Timestamp,
    /// True when the row waited for an authorization that did not come in time.
    pub waited_in_vain: bool,
    pub is_revocation: bool,
    fence: i64,
}

impl Store {
    /// Stores an event durably. When this returns `Ok`, the event is on disk.
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

    /// Takes the oldest event that may be worked on; a person's events one at a time.
    ///
    /// It walks from person to person along an index, so that it costs as much as there are people with open events,
    /// however many events one of them has. Nothing waits for the disk: a claim that is lost with the power was never
    /// made, and whatever came of it is lost with it or safe together with it.
    pub async fn claim_event(&self, now: Timestamp, lease_until: Timestamp) -> Result<Option<Claim>, StoreError> {
        // To the end: without a transaction around it, the statement commits with its last step.
        let rows = sqlx::query(
            "update inbox set state = 'taken', not_before = $2, fence = fence + 1, attempts = attempts + 1
             where key = (
                with recursive people (person) as (
                    select min(person) from inbox where state in ('new', 'taken', 'parked')
                    union all
                    select (select min(i.person) from inbox i
                            where i.state in ('new', 'taken', 'parked') and i.person > people.person)
                    from people where people.person is not null)
                select head.key from people join inbox head on head.key = (
                    select i.key from inbox i
                    where i.person = people.person and i.state in ('new', 'taken', 'parked') and i.not_before <= $1
                    order by i.not_before, i.received_at limit 1)
                where people.person is not null and not exists (
                    select 1 from inbox o where o.person = people.person and o.state = 'taken' and o.not_before > $1)
                order by head.not_before, head.received_at limit 1)
               and not_before <= $1
             returning key, kind, person, body, attempts, fence, received_at, parked_until",
        )
        .bind(now.0)
        .bind(lease_until.0)
        .fetch_all(&mut *self.writer().await?)
        .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Claim {
            key: row.try_get("key")?,
            person: row.try_get("person")?,
            body: row.try_get("body")?,
            attempts: row.try_get("attempts")?,
            received_at: Timestamp(row.try_get("received_at")?),
            waited_in_vain: row.try_get::<Option<i64>, _>("parked_until")?.is_some(),
            is_revocation: row.try_get::<String, _>("kind")? == Kind::Revocation.as_str(),
            fence: row.try_get("fence")?,
        }))
    }

    /// Says that an event is still being worked on; whether it is still this claim's.
    pub async fn renew_event(&self, claim: &Claim, lease_until: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let renewed = sqlx::query("update inbox set not_before = $3 where key = $1 and fence = $2 and state = 'taken'")
            .bind(&claim.key)
            .bind(claim.fence)
            .bind(lease_until.0)
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Puts an event back for later.
    pub async fn postpone_event(&self, claim: &Claim, until: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.postpone_event(claim, until).await?;
        tx.commit().await
    }

    /// Forgets events that were received before `before` and are done. Returns how many.
    pub async fn prune_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.prune(
            "delete from inbox where key in (
                select key from inbox where received_at < $1 and state in ('done', 'given-up')
                order by received_at limit $2)",
            before,
        )
        .await
    }

    /// Events not yet worked on, parked ones included.
    pub async fn events_open(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("select count(*) as n from inbox where state in ('new', 'taken', 'parked')")
            .fetch_one(&mut *self.reader().await?)
            .await?;
        Ok(row.try_get("n")?)
    }
}

impl Tx {
    /// Claims a key that is worked on within this very transaction: a card press, a used login link.
    pub async fn remember(&mut self, arrival: &Arrival) -> Result<Seen, StoreError> {
        let done = sqlx::query(
            "insert into inbox (key, kind, person, body, state, not_before, received_at)
             values ($1, $2, $3, $4, 'done', $5, $5) on conflict do nothing",
        )
        .bind(&arrival.key)
        .bind(arrival.kind.as_str())
        .bind(&arrival.person)
        .bind(&arrival.body)
        .bind(arrival.received_at.0)
        .execute(self.connection())
        .await?;
        Ok(if done.rows_affected() == 0 { Seen::Again } else { Seen::First })
    }

    /// Makes a used login link new again.
    pub async fn forget_login(&mut self, key: &str) -> Result<(), StoreError> {
        sqlx::query("delete from inbox where key = $1 and kind = 'login'").bind(key).execute(self.connection()).await?;
        Ok(())
    }

    /// Ends an event together with everything it led to.
    ///
    /// # Errors
    /// `Conflict` when the lease was lost: somebody else works on it, so nothing of this transaction may stay.
    pub async fn finish_event(&mut self, claim: &Claim) -> Result<(), StoreError> {
        self.leave(claim, "done").await
    }

    /// Ends an event that could not be worked on; its author is told in the same transaction.
    ///
    /// # Errors
    /// As [`Self::finish_event`].
    pub async fn give_up_event(&mut self, claim: &Claim) -> Result<(), StoreError> {
        self.leave(claim, "given-up").await
    }

    async fn leave(&mut self, claim: &Claim, state: &str) -> Result<(), StoreError> {
        let done =
            sqlx::query("update inbox set state = $3, body = '' where key = $1 and fence = $2 and state = 'taken'")
                .bind(&claim.key)
                .bind(claim.fence)
                .bind(state)
                .execute(self.connection())
                .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    /// Keeps others from this event until the transaction ends: whoever authorizes its person meanwhile waits, and
    /// then finds it parked. What is read after this is as new as what they wrote.
    ///
    /// # Errors
    /// As [`Self::finish_event`].
    pub async fn hold_event(&mut self, claim: &Claim) -> Result<(), StoreError> {
        let held = sqlx::query("update inbox set fence = fence where key = $1 and fence = $2 and state = 'taken'")
            .bind(&claim.key)
            .bind(claim.fence)
            .execute(self.connection())
            .await?;
        if held.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    /// Puts an event back for later.
    ///
    /// # Errors
    /// As [`Self::finish_event`].
    pub async fn postpone_event(&mut self, claim: &Claim, until: Timestamp) -> Result<(), StoreError> {
        self.put_back(claim, "new", until, None).await
    }

    /// Lets an event wait for its person's authorization, at most until `until`.
    ///
    /// # Errors
    /// As [`Self::finish_event`].
    pub async fn park_event(&mut self, claim: &Claim, until: Timestamp) -> Result<(), StoreError> {
        self.put_back(claim, "parked", until, Some(until)).await
    }

    async fn put_back(
        &mut self,
        claim: &Claim,
        state: &str,
        until: Timestamp,
        parked_until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update inbox set state = $3, not_before = $4, parked_until = $5
             where key = $1 and fence = $2 and state = 'taken'",
        )
        .bind(&claim.key)
        .bind(claim.fence)
        .bind(state)
        .bind(until.0)
        .bind(parked_until.map(|moment| moment.0))
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    /// Lets the events that waited for this person's authorization go on. Returns how many.
    pub async fn unpark_events(&mut self, person: &OpenId, now: Timestamp) -> Result<u64, StoreError> {
        // One that is just being parked is waited for: see `hold_event`.
        sqlx::query("update inbox set fence = fence where person = $1 and state = 'taken'")
            .bind(person.as_str())
            .execute(self.connection())
            .await?;
        let done = sqlx::query(
            "update inbox set state = 'new', not_before = $2, parked_until = null, attempts = 0
             where person = $1 and state = 'parked'",
        )
        .bind(person.as_str())
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected())
    }
}
