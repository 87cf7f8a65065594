//! Broadcasts: one document each, changed only by whoever read its newest revision.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{Store, StoreError, Tx, document, to_document};
use crate::domain::audience::Audience;
use crate::domain::broadcast::Broadcast;
use crate::domain::ids::{BroadcastId, OpenId, Timestamp};

/// Broadcasts a list shows at most.
pub const LIST_MAX: i64 = 20;

/// Which broadcasts a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    All,
    /// Those that wait for people: to be chosen, confirmed or approved.
    Undecided,
    Scheduled,
}

fn read(row: &AnyRow) -> Result<Broadcast, StoreError> {
    document(row.try_get::<&str, _>("doc")?)
}

fn ids(rows: &[AnyRow]) -> Result<Vec<BroadcastId>, StoreError> {
    rows.iter().map(|row| super::id(row.try_get::<String, _>("id")?, |text| BroadcastId::parse(&text))).collect()
}

async fn proposed_since(connection: &mut AnyConnection, author: &OpenId, from: Timestamp) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "select count(*) as proposed from broadcasts where author = $1 and created_at >= $2
         and state not in ('rejected', 'cancelled', 'expired', 'failed')",
    )
    .bind(author.as_str())
    .bind(from.0)
    .fetch_one(connection)
    .await?;
    Ok(u64::try_from(row.try_get::<i64, _>("proposed")?).unwrap_or(0))
}

impl Store {
    pub async fn broadcast(&self, id: &BroadcastId) -> Result<Option<Broadcast>, StoreError> {
        let row = sqlx::query("select doc from broadcasts where id = $1")
            .bind(id.as_str())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The newest broadcasts first, at most [`LIST_MAX`]; of one author or of all.
    pub async fn recent(&self, author: Option<&OpenId>, which: Which) -> Result<Vec<Broadcast>, StoreError> {
        // Each in the words of its index: one statement for all of them would read every row there is.
        let whose = if author.is_some() { "author = $1" } else { "$1 = ''" };
        let which = match which {
            Which::All => "1 = 1",
            Which::Undecided => "state in ('needs-choice', 'pending')",
            Which::Scheduled => "state = 'scheduled'",
        };
        let statement =
            format!("select doc from broadcasts where {whose} and {which} order by created_at desc limit $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(author.map_or("", OpenId::as_str))
            .bind(LIST_MAX)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        // One that another version wrote must not hide the others.
        let readable = rows.iter().filter_map(|row| match read(row) {
            Err(error) => {
                tracing::error!(%error, "a broadcast cannot be read and is left out of the list");
                None
            }
            read => Some(read),
        });
        readable.collect()
    }

    /// How many broadcasts of this author, proposed from then on, were sent or could still be.
    pub async fn proposed_since(&self, author: &OpenId, from: Timestamp) -> Result<u64, StoreError> {
        proposed_since(&mut *self.reader().await?, author, from).await
    }

    /// Undecided broadcasts whose deadline has passed, at most 50 at a time.
    pub async fn overdue(&self, now: Timestamp) -> Result<Vec<BroadcastId>, StoreError> {
        let rows = sqlx::query(
            "select id from broadcasts where state in ('needs-choice', 'pending') and expires_at <= $1
             order by expires_at limit 50",
        )
        .bind(now.0)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        ids(&rows)
    }

    /// Broadcasts of which only a first wave may leave so far, and that wait for no person.
    pub async fn in_first_wave(&self) -> Result<Vec<BroadcastId>, StoreError> {
        let rows = sqlx::query(
            "select id from broadcasts where state in ('approved', 'sending') and held = 0 and gate is not null
             order by created_at limit 50",
        )
        .fetch_all(&mut *self.reader().await?)
        .await?;
        ids(&rows)
    }

    /// All broadcasts that wait for approvals.
    pub async fn pending(&self) -> Result<Vec<BroadcastId>, StoreError> {
        // In the words and the order of the index on what is undecided.
        let rows = sqlx::query(
            "select id from broadcasts where state in ('needs-choice', 'pending') and state = 'pending'
             order by created_at",
        )
        .fetch_all(&mut *self.reader().await?)
        .await?;
        ids(&rows)
    }

    /// Broadcasts whose time to be looked at has come, at most 50 at a time.
    pub async fn woken(&self, now: Timestamp) -> Result<Vec<BroadcastId>, StoreError> {
        let rows = sqlx::query(
            "select id from broadcasts where wake_at is not null and wake_at <= $1 order by wake_at limit 50",
        )
        .bind(now.0)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        ids(&rows)
    }

    /// Pending broadcasts of whose deadline people should be reminded now, at most 50 at a time.
    pub async fn to_remind(&self, now: Timestamp) -> Result<Vec<BroadcastId>, StoreError> {
        let rows = sqlx::query(
            "select id from broadcasts where state = 'pending' and remind_at is not null and remind_at <= $1
               and expires_at > $1 order by remind_at limit 50",
        )
        .bind(now.0)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        ids(&rows)
    }
}

impl Tx {
    /// Takes a broadcast that cannot be read out of the way of the others; nothing of it leaves.
    pub async fn set_aside(&mut self, id: &BroadcastId) -> Result<(), StoreError> {
        sqlx::query("update broadcasts set held = 1 where id = $1")
            .bind(id.as_str())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// As [`Store::proposed_since`].
    pub async fn proposed_since(&mut self, author: &OpenId, from: Timestamp) -> Result<u64, StoreError> {
        proposed_since(self.connection(), author, from).await
    }

    /// Takes the reminder that is due for a pending broadcast; whether there was one.
    pub async fn take_reminder(&mut self, id: &BroadcastId, now: Timestamp) -> Result<bool, StoreError> {
        let taken = sqlx::query(
            "update broadcasts set remind_at = null
             where id = $1 and state = 'pending' and remind_at <= $2 and expires_at > $2",
        )
        .bind(id.as_str())
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Writes when people are reminded of the deadline of a broadcast.
    pub async fn remind(&mut self, id: &BroadcastId, remind_at: Option<Timestamp>) -> Result<(), StoreError> {
        sqlx::query("update broadcasts set remind_at = $2 where id = $1")
            .bind(id.as_str())
            .bind(remind_at.map(|moment| moment.0))
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Broadcasts of which something could still be sent: those that wait for nobody, and with `all` also those that
    /// wait for people, on hold or undecided.
    pub async fn unsent(&mut self, all: bool) -> Result<Vec<BroadcastId>, StoreError> {
        let rows = sqlx::query(
            "select id from broadcasts
             where state in ('needs-choice', 'pending', 'approved', 'scheduled', 'sending', 'in-doubt')
               and ($1 = 1 or (held = 0 and state not in ('needs-choice', 'pending')))
             order by created_at",
        )
        .bind(i64::from(all))
        .fetch_all(self.connection())
        .await?;
        ids(&rows)
    }

    /// Reads a broadcast to change it or anything that belongs to it. Whoever wants the same one waits: that no two
    /// transactions wait for each other, this comes before its batches and cards are touched.
    pub async fn broadcast(&mut self, id: &BroadcastId) -> Result<Option<Broadcast>, StoreError> {
        let row = sqlx::query("update broadcasts set revision = revision where id = $1 returning doc")
            .bind(id.as_str())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Writes a new broadcast with its audience.
    ///
    /// # Errors
    /// `Conflict` when the id is taken: draw another one.
    pub async fn insert_broadcast(&mut self, broadcast: &Broadcast, audience: &Audience) -> Result<(), StoreError> {
        let done = sqlx::query(
            "insert into broadcasts (id, author, state, revision, created_at, expires_at, doc, held, wake_at, gate)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing",
        )
        .bind(broadcast.id.as_str())
        .bind(broadcast.author.as_str())
        .bind(broadcast.state.as_str())
        .bind(broadcast.revision)
        .bind(broadcast.created_at.0)
        .bind(broadcast.deadline().0)
        .bind(to_document(broadcast))
        .bind(i64::from(broadcast.hold.is_some()))
        .bind(broadcast.wake_at.map(|moment| moment.0))
        .bind(broadcast.wave.and_then(|wave| wave.gate()))
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Conflict);
        }
        self.write_audience(&broadcast.id, audience).await
    }

    /// The whole audience of a broadcast: as it was asked for, or as it has become by choosing among namesakes.
    pub async fn audience(&mut self, id: &BroadcastId) -> Result<Audience, StoreError> {
        let row = sqlx::query("select doc from audiences where broadcast = $1")
            .bind(id.as_str())
            .fetch_optional(self.connection())
            .await?;
        if let Some(row) = row {
            return document(row.try_get::<&str, _>("doc")?);
        }
        // Before audiences had a place of their own they were a part of the broadcast.
        #[derive(serde::Deserialize)]
        struct Kept {
            audience: Audience,
        }
        let row = sqlx::query("select doc from broadcasts where id = $1")
            .bind(id.as_str())
            .fetch_optional(self.connection())
            .await?;
        let row = row.ok_or_else(|| StoreError::Unreadable("an audience without its broadcast".into()))?;
        Ok(document::<Kept>(row.try_get::<&str, _>("doc")?)?.audience)
    }

    /// Writes the whole audience of a broadcast.
    pub async fn write_audience(&mut self, id: &BroadcastId, audience: &Audience) -> Result<(), StoreError> {
        sqlx::query(
            "insert into audiences (broadcast, doc) values ($1, $2)
             on conflict (broadcast) do update set doc = excluded.doc",
        )
        .bind(id.as_str())
        .bind(to_document(audience))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Writes a changed broadcast where the store still holds revision `read`.
    ///
    /// # Errors
    /// `Conflict` when somebody changed it in between.
    pub async fn update_broadcast(&mut self, broadcast: &Broadcast, read: i64) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update broadcasts
             set state = $3, revision = $4, doc = $5, held = $6, expires_at = $7, wake_at = $8, gate = $9
             where id = $1 and revision = $2",
        )
        .bind(broadcast.id.as_str())
        .bind(read)
        .bind(broadcast.state.as_str())
        .bind(broadcast.revision)
        .bind(to_document(broadcast))
        .bind(i64::from(broadcast.hold.is_some()))
        .bind(broadcast.deadline().0)
        .bind(broadcast.wake_at.map(|moment| moment.0))
        .bind(broadcast.wave.and_then(|wave| wave.gate()))
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }
}
