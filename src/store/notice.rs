//! How replicas wake each other: a notice on PostgreSQL, which says nothing but "look". Whoever misses one finds the
//! work by polling, so notices may be lost, merged and late.

use sqlx::Row;
use sqlx::postgres::PgListener;

use super::{Engine, Store, StoreError};

/// Hears the notices of all replicas, its own included.
pub struct Ear(PgListener);

impl Ear {
    /// Waits for the next notice. After a connection was lost and found again it returns at once: something may have
    /// been missed.
    pub async fn next(&mut self) -> Result<(), StoreError> {
        self.0.try_recv().await?;
        Ok(())
    }
}

/// Schemas of one database have nothing to tell each other.
const CHANNEL: &str = "feishu_broadcast_";

impl Store {
    /// Tells all replicas to look for work. Nothing on SQLite, which has one process.
    pub async fn tell_replicas(&self) -> Result<(), StoreError> {
        if self.engine == Engine::Postgres {
            let mut connection = self.reader().await?;
            sqlx::query("select cast(pg_notify($1 || current_schema(), '') as text)")
                .bind(CHANNEL)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    /// Listens for other replicas, on a connection of its own; none on SQLite.
    pub async fn listen(&self) -> Result<Option<Ear>, StoreError> {
        if self.engine == Engine::Sqlite {
            return Ok(None);
        }
        let row = sqlx::query("select cast(current_schema() as text) as schema")
            .fetch_one(&mut *self.reader().await?)
            .await?;
        let schema: String = row.try_get("schema")?;
        let mut listener = PgListener::connect(&self.url).await?;
        listener.listen(&format!("{CHANNEL}{schema}")).await?;
        Ok(Some(Ear(listener)))
    }
}
