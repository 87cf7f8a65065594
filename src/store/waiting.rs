//! What waits in the store, for whoever watches the bot from outside: one statement, along indexes that hold only what
//! is open, so that it costs as much as there is waiting, whatever is remembered besides.

use sqlx::Row;

use super::{Store, StoreError};
use crate::domain::ids::Timestamp;

/// So many, and since when the oldest of them waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    pub count: i64,
    pub since: Option<Timestamp>,
}

/// Everything that waits at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Events that were acknowledged and are not done, since they were received.
    pub events: Queue,
    /// Commands that wait for their author's authorization, and for nothing of ours.
    pub parked: Queue,
    /// Letters that have not left, since the moment that was theirs.
    pub letters: Queue,
    /// Copies of cards that show less than they should, since they may be changed; one that is tried again, since its
    /// next try was due.
    pub cards: Queue,
    /// Batches that were released, wait for no person, and have not left.
    pub batches: Queue,
    /// Batches in doubt: a person decides.
    pub doubtful: Queue,
}

impl Store {
    /// Looks at every queue.
    pub async fn waiting(&self) -> Result<Waiting, StoreError> {
        // A condition names the states of its index in full, or the index would not be used.
        let rows = sqlx::query(
            "select 'events' as queue, count(*) as waiting, min(received_at) as since
             from inbox where state in ('new', 'taken', 'parked') and state <> 'parked'
             union all
             select 'parked', count(*), min(received_at) from inbox where state = 'parked'
             union all
             select 'letters', count(*), min(due_at) from letters where state = 'new'
             union all
             select 'cards', count(*), min(not_before) from cards where shown < wanted and state = 'live'
             union all
             select 'batches', count(*), min(b.not_before)
             from broadcasts c join batches b on b.broadcast = c.id
             where c.state in ('approved', 'sending') and c.held = 0 and b.state = 'planned'
               and (c.gate is null or b.seq <= c.gate)
               and not exists (select 1 from batches d where d.broadcast = c.id and d.state = 'in-doubt')
             union all
             select 'doubtful', count(*), min(not_before) from batches where state = 'in-doubt'",
        )
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut waiting = Waiting::default();
        for row in rows {
            let since: Option<i64> = row.try_get("since")?;
            let queue = Queue { count: row.try_get("waiting")?, since: since.map(Timestamp) };
            match row.try_get::<&str, _>("queue")? {
                "events" => waiting.events = queue,
                "parked" => waiting.parked = queue,
                "letters" => waiting.letters = queue,
                "cards" => waiting.cards = queue,
                "batches" => waiting.batches = queue,
                "doubtful" => waiting.doubtful = queue,
                other => return Err(StoreError::Unreadable(format!("`{other}` is no queue"))),
            }
        }
        Ok(waiting)
    }
}
