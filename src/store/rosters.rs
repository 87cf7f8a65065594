//! Lists of people that are kept in Feishu, as they were read last: for a start while Feishu is away.

use std::collections::BTreeSet;

use sqlx::Row;

use super::{Store, StoreError, Tx, document, to_document};
use crate::domain::ids::{OpenId, Timestamp};

impl Store {
    /// The members of a list as they were read last; `None` for one that never was.
    pub async fn roster(&self, list: &str) -> Result<Option<BTreeSet<OpenId>>, StoreError> {
        let row = sqlx::query("select members from rosters where list = $1")
            .bind(list)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.map(|row| document(row.try_get::<&str, _>("members")?)).transpose()
    }
}

impl Tx {
    /// Writes the members of a list, in the place of those before.
    pub async fn write_roster(
        &mut self,
        list: &str,
        members: &BTreeSet<OpenId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into rosters (list, members, read_at) values ($1, $2, $3)
             on conflict (list) do update set members = excluded.members, read_at = excluded.read_at",
        )
        .bind(list)
        .bind(to_document(members))
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
