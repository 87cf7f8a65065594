//! The store as somebody else sees it: whoever holds its locks, ends its connections, or reads what the bot owes.

use std::time::Duration;

use sqlx::{Connection, PgConnection, Row, SqliteConnection};

/// How the bot's connections are called on a server.
const BOT: &str = "bot";

/// The database of one day.
#[derive(Clone)]
pub(super) struct Memory {
    url: String,
    /// Whether it is on a PostgreSQL server, where the bot's connections are known by a name.
    on_server: bool,
}

impl Memory {
    pub(super) fn at(url: &str) -> Self {
        let on_server = url.starts_with("postgres");
        let joint = if url.contains('?') { '&' } else { '?' };
        let url = if on_server { format!("{url}{joint}application_name={BOT}") } else { url.to_owned() };
        Self { url, on_server }
    }

    /// For `DATABASE_URL`.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Somebody else writes for so long: whoever wants to write waits.
    pub(super) async fn hold(&self, how_long: Duration) -> anyhow::Result<()> {
        match self.other_postgres().await? {
            Some(mut other) => {
                let mut held = other.begin().await?;
                // Every event and every press writes here. One table only: with more we could be the one who is refused.
                sqlx::query("lock table inbox in exclusive mode").execute(&mut *held).await?;
                tokio::time::sleep(how_long).await;
                held.rollback().await?;
            }
            None => {
                let mut other = SqliteConnection::connect(&self.url).await?;
                sqlx::query("pragma busy_timeout = 10000").execute(&mut other).await?;
                sqlx::query("begin immediate").execute(&mut other).await?;
                tokio::time::sleep(how_long).await;
                sqlx::query("rollback").execute(&mut other).await?;
                other.close().await?;
            }
        }
        Ok(())
    }

    /// Every connection of the bot is ended by the server; the embedded store is held instead.
    pub(super) async fn end_connections(&self, held: Duration) -> anyhow::Result<()> {
        let Some(mut other) = self.other_postgres().await? else { return self.hold(held).await };
        let end = "select pg_terminate_backend(pid) from pg_stat_activity \
                   where application_name = $1 and datname = current_database()";
        sqlx::query(end).bind(BOT).execute(&mut other).await?;
        Ok(other.close().await?)
    }

    /// A connection of our own, which does not look like the bot's.
    async fn other_postgres(&self) -> anyhow::Result<Option<PgConnection>> {
        if !self.on_server {
            return Ok(None);
        }
        let url = self.url.replace(&format!("application_name={BOT}"), "application_name=storm");
        Ok(Some(PgConnection::connect(&url).await?))
    }

    /// Letters and cards that the bot still means to send.
    pub(super) async fn owed(&self) -> anyhow::Result<Vec<String>> {
        let letters = "select uuid as what, attempts from letters where state = 'new'";
        let cards = "select broadcast as what, attempts from cards where state = 'live' and shown < wanted";
        let mut owed = vec![];
        for (kind, statement) in [("letter", letters), ("card of", cards)] {
            for (what, attempts) in self.rows(statement).await? {
                owed.push(format!("{kind} {what} is not out after {attempts} tries"));
            }
        }
        Ok(owed)
    }

    /// Letters that were given up, and the state of the inbox, to tell what became of an answer.
    pub(super) async fn given_up(&self) -> anyhow::Result<Vec<String>> {
        let letters = "select coalesce(reply_to, receiver) as what, attempts from letters where state = 'given-up'";
        let events = "select key as what, attempts from inbox where state = 'given-up'";
        let mut given_up = vec![];
        for (kind, statement) in [("answer to", letters), ("event", events)] {
            for (what, attempts) in self.rows(statement).await? {
                given_up.push(format!("{kind} {what} was given up after {attempts} tries"));
            }
        }
        Ok(given_up)
    }

    async fn rows(&self, statement: &'static str) -> anyhow::Result<Vec<(String, i64)>> {
        let mut rows = vec![];
        match self.other_postgres().await? {
            Some(mut other) => {
                for row in sqlx::query(statement).fetch_all(&mut other).await? {
                    rows.push((row.try_get("what")?, row.try_get("attempts")?));
                }
            }
            None => {
                let mut other = SqliteConnection::connect(&self.url).await?;
                for row in sqlx::query(statement).fetch_all(&mut other).await? {
                    rows.push((row.try_get("what")?, row.try_get("attempts")?));
                }
                other.close().await?;
            }
        }
        Ok(rows)
    }
}
