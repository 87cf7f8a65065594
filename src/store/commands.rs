//! Messages that were commands: which broadcast came of which, and which were taken back.

use sqlx::{AnyConnection, Row};

use super::{Store, StoreError, Tx};
use crate::domain::ids::{BroadcastId, MessageId};

/// A command whose work was ended because its message was recalled. Nothing came of it, and nothing will.
#[derive(Debug, Clone)]
pub struct TakenBack {
    /// The event, as it was pushed.
    pub body: String,
    /// Whether somebody had begun to work on it, and may have answered something.
    pub begun: bool,
}

impl Store {
    /// What is remembered with a key that was accepted, however long ago within the memory of the inbox: what was given to
    /// [`Tx::remember`], and nothing with an event that is done.
    pub async fn remembered(&self, key: &str) -> Result<Option<String>, StoreError> {
        remembered(&mut *self.reader().await?, key).await
    }

    /// The keys with this end of events that are not done, in order. Goes through all that are open, half a million a second:
    /// a recall is rare, and an index over random ids would cost every event more than this one.
    pub async fn open_keys(&self, end: &str) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "select key from inbox
             where state in ('new', 'taken', 'parked') and substr(key, length(key) - length($1) + 1) = $1",
        )
        .bind(end)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut keys: Vec<String> = rows.iter().map(|row| row.try_get("key")).collect::<Result<_, _>>()?;
        keys.sort();
        Ok(keys)
    }
}

impl Tx {
    /// As [`Store::remembered`].
    pub async fn remembered(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        remembered(self.connection(), key).await
    }

    /// Remembers of which command a broadcast came.
    pub async fn came_of(&mut self, command: &MessageId, broadcast: &BroadcastId) -> Result<(), StoreError> {
        sqlx::query("insert into commands (message_id, broadcast) values ($1, $2) on conflict do nothing")
            .bind(command.as_str())
            .bind(broadcast.as_str())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// The broadcast that came of a command, if one did.
    pub async fn broadcast_of(&mut self, command: &MessageId) -> Result<Option<BroadcastId>, StoreError> {
        let row = sqlx::query("select broadcast from commands where message_id = $1")
            .bind(command.as_str())
            .fetch_optional(self.connection())
            .await?;
        row.map(|row| super::id(row.try_get("broadcast")?, |text: String| BroadcastId::parse(&text))).transpose()
    }

    /// Ends the work on an event that is not done yet, also where it waits for an authorization or somebody is at it:
    /// the raised fence lets nothing of that come through. `None` where it is done, or was never seen.
    ///
    /// Whoever is just finishing it is waited for: what came of it is there afterwards.
    pub async fn take_back(&mut self, key: &str) -> Result<Option<TakenBack>, StoreError> {
        let row = sqlx::query(
            "update inbox set state = 'done', fence = fence + 1
             where key = $1 and state in ('new', 'taken', 'parked') returning body, attempts, failed",
        )
        .bind(key)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let taken = TakenBack {
            body: row.try_get("body")?,
            begun: row.try_get::<i64, _>("attempts")? + row.try_get::<i64, _>("failed")? > 0,
        };
        sqlx::query("update inbox set body = '' where key = $1").bind(key).execute(self.connection()).await?;
        Ok(Some(taken))
    }
}

async fn remembered(connection: &mut AnyConnection, key: &str) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("select body from inbox where key = $1").bind(key).fetch_optional(connection).await?;
    row.map(|row| Ok(row.try_get("body")?)).transpose()
}
