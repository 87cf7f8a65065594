//! Admins' authorizations for department search. What is stored is sealed before it comes here.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{Store, StoreError, Tx};
use crate::domain::ids::{OpenId, Timestamp};

/// One person's tokens, sealed, with what must be known without opening them.
#[derive(Debug, Clone)]
pub struct Authorization {
    pub open_id: OpenId,
    pub sealed: String,
    pub scope: String,
    pub access_until: Timestamp,
    pub refresh_until: Option<Timestamp>,
    pub granted_at: Timestamp,
    /// Raised with every change; a refresh writes only over what it read.
    pub fence: i64,
}

async fn read(connection: &mut AnyConnection, open_id: &OpenId) -> Result<Option<Authorization>, StoreError> {
    let row = sqlx::query(
        "select open_id, sealed, scope, access_until, refresh_until, granted_at, fence
         from authorizations where open_id = $1",
    )
    .bind(open_id.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(authorization).transpose()
}

fn authorization(row: &AnyRow) -> Result<Authorization, StoreError> {
    Ok(Authorization {
        open_id: super::id(row.try_get("open_id")?, OpenId::new)?,
        sealed: row.try_get("sealed")?,
        scope: row.try_get("scope")?,
        access_until: Timestamp(row.try_get("access_until")?),
        refresh_until: row.try_get::<Option<i64>, _>("refresh_until")?.map(Timestamp),
        granted_at: Timestamp(row.try_get("granted_at")?),
        fence: row.try_get("fence")?,
    })
}

impl Store {
    pub async fn authorization(&self, open_id: &OpenId) -> Result<Option<Authorization>, StoreError> {
        read(&mut *self.reader().await?, open_id).await
    }

    /// All of them: an admin or an approver each.
    pub async fn authorizations(&self) -> Result<Vec<Authorization>, StoreError> {
        let rows = sqlx::query(
            "select open_id, sealed, scope, access_until, refresh_until, granted_at, fence from authorizations",
        )
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(authorization).collect()
    }

    /// Replaces the seal around the same tokens, unless they have changed since they were read or somebody is at it.
    pub async fn seal_anew(&self, anew: &Authorization, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("update authorizations set sealed = $3 where open_id = $1 and fence = $2 and lease_until <= $4")
            .bind(anew.open_id.as_str())
            .bind(anew.fence)
            .bind(&anew.sealed)
            .bind(now.0)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// Takes the right to refresh this authorization until `lease_until`. `None` when somebody else is at it, or
    /// when it has changed since `fence` was read.
    pub async fn lease_refresh(
        &self,
        open_id: &OpenId,
        fence: i64,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "update authorizations set lease_until = $4, fence = fence + 1
             where open_id = $1 and fence = $2 and lease_until <= $3 returning fence",
        )
        .bind(open_id.as_str())
        .bind(fence)
        .bind(now.0)
        .bind(lease_until.0)
        .fetch_optional(tx.connection())
        .await?;
        let fence = row.map(|row| row.try_get("fence")).transpose()?;
        tx.commit().await?;
        Ok(fence)
    }

    /// Replaces the tokens after a refresh and gives the lease back. Not when the lease was lost or the person logged out
    /// meanwhile: returns whether it did.
    pub async fn store_refreshed(&self, fresh: &Authorization) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "update authorizations
             set sealed = $3, scope = $4, access_until = $5, refresh_until = $6, lease_until = 0, fence = fence + 1
             where open_id = $1 and fence = $2",
        )
        .bind(fresh.open_id.as_str())
        .bind(fresh.fence)
        .bind(&fresh.sealed)
        .bind(&fresh.scope)
        .bind(fresh.access_until.0)
        .bind(fresh.refresh_until.map(|moment| moment.0))
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives a lease back without a change, after a refresh that failed for the moment.
    pub async fn return_lease(&self, open_id: &OpenId, fence: i64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("update authorizations set lease_until = 0 where open_id = $1 and fence = $2")
            .bind(open_id.as_str())
            .bind(fence)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// Deletes an authorization that the platform no longer honours, unless it has been renewed since.
    pub async fn drop_authorization(&self, open_id: &OpenId, fence: i64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("delete from authorizations where open_id = $1 and fence = $2")
            .bind(open_id.as_str())
            .bind(fence)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}

impl Tx {
    pub async fn authorization(&mut self, open_id: &OpenId) -> Result<Option<Authorization>, StoreError> {
        read(self.connection(), open_id).await
    }

    /// Stores a new authorization, replacing an older one.
    pub async fn authorize(&mut self, fresh: &Authorization) -> Result<(), StoreError> {
        sqlx::query(
            "insert into authorizations (open_id, sealed, scope, access_until, refresh_until, granted_at, fence)
             values ($1, $2, $3, $4, $5, $6, 1)
             on conflict (open_id) do update set
                sealed = excluded.sealed, scope = excluded.scope, access_until = excluded.access_until,
                refresh_until = excluded.refresh_until, granted_at = excluded.granted_at,
                lease_until = 0, fence = authorizations.fence + 1",
        )
        .bind(fresh.open_id.as_str())
        .bind(&fresh.sealed)
        .bind(&fresh.scope)
        .bind(fresh.access_until.0)
        .bind(fresh.refresh_until.map(|moment| moment.0))
        .bind(fresh.granted_at.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Forgets an authorization that was granted at `until` or before. Returns whether there was one.
    pub async fn forget_authorization(&mut self, open_id: &OpenId, until: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query("delete from authorizations where open_id = $1 and granted_at <= $2")
            .bind(open_id.as_str())
            .bind(until.0)
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
