//! Small things that a press asks for and that take a call: the content sent to whoever wants to see it, a look at ids
//! that were invalid. Whoever takes one has it for a while; one whose end nobody wrote down by then is found again, and
//! is known to have been begun.

use sqlx::Row;

use super::{Store, StoreError, Tx};
use crate::domain::ids::{BroadcastId, OpenId, Timestamp};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// The content, sent to one person by `batch_send`.
    Sample,
    /// A new broadcast to those of the invalid ids that are valid by now.
    Repair,
}

impl Errand {
    fn as_str(self) -> &'static str {
        match self {
            Errand::Sample => "sample",
            Errand::Repair => "repair",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Errand::Sample, Errand::Repair].into_iter().find(|errand| errand.as_str() == word)
    }
}

/// The right to do one errand.
#[derive(Debug, Clone)]
pub struct ErrandClaim {
    pub id: String,
    pub errand: Errand,
    pub broadcast: BroadcastId,
    pub person: OpenId,
    /// Tries including this one.
    pub attempts: i64,
    /// Somebody took it before and was never heard of again: it may have been done.
    pub abandoned: bool,
}

impl Store {
    /// Which errand is due, if any; a look, no claim.
    pub async fn due_errand(&self, now: Timestamp) -> Result<Option<Errand>, StoreError> {
        let due = sqlx::query("select errand from errands where state <> 'done' and not_before <= $1 limit 1")
            .bind(now.0)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        due.map(|row| errand(row.try_get("errand")?)).transpose()
    }

    /// Takes the oldest errand of a kind. Nobody else takes it before `lease_until`.
    pub async fn claim_errand(
        &self,
        errand: Errand,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<ErrandClaim>, StoreError> {
        let mut tx = self.begin().await?;
        for state in ["new", "taken"] {
            let row = sqlx::query(
                "update errands set state = 'taken', not_before = $4, attempts = attempts + 1
                 where id = (select id from errands where state = $1 and errand = $2 and not_before <= $3
                             order by created_at limit 1)
                   and state = $1 and not_before <= $3
                 returning id, broadcast, person, attempts",
            )
            .bind(state)
            .bind(errand.as_str())
            .bind(now.0)
            .bind(lease_until.0)
            .fetch_optional(tx.connection())
            .await?;
            let Some(row) = row else { continue };
            let claim = ErrandClaim {
                id: row.try_get("id")?,
                errand,
                broadcast: super::id(row.try_get("broadcast")?, |text| BroadcastId::parse(&text))?,
                person: super::id(row.try_get("person")?, OpenId::new)?,
                attempts: row.try_get("attempts")?,
                abandoned: state == "taken",
            };
            tx.commit().await?;
            return Ok(Some(claim));
        }
        Ok(None)
    }

    /// Says that an errand is still being done; whether it is still this claim's.
    pub async fn renew_errand(&self, claim: &ErrandClaim, lease_until: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let renewed =
            sqlx::query("update errands set not_before = $3 where id = $1 and attempts = $2 and state = 'taken'")
                .bind(&claim.id)
                .bind(claim.attempts)
                .bind(lease_until.0)
                .execute(tx.connection())
                .await?;
        tx.commit().await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Forgets errands that were asked for before `before`.
    pub async fn prune_errands(&self, before: Timestamp) -> Result<(), StoreError> {
        self.prune(
            "delete from errands where id in (
                select id from errands where created_at < $1 order by created_at limit $2)",
            before,
        )
        .await?;
        Ok(())
    }
}

impl Tx {
    /// How often this person has asked for such an errand on this broadcast.
    pub async fn errands(
        &mut self,
        errand: Errand,
        broadcast: &BroadcastId,
        person: &OpenId,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query("select count(*) as n from errands where errand = $1 and broadcast = $2 and person = $3")
            .bind(errand.as_str())
            .bind(broadcast.as_str())
            .bind(person.as_str())
            .fetch_one(self.connection())
            .await?;
        Ok(row.try_get("n")?)
    }

    /// Asks for an errand; the same `id` again is the same errand.
    pub async fn ask_errand(
        &mut self,
        id: &str,
        errand: Errand,
        broadcast: &BroadcastId,
        person: &OpenId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into errands (id, errand, broadcast, person, state, attempts, not_before, created_at)
             values ($1, $2, $3, $4, 'new', 0, $5, $5) on conflict do nothing",
        )
        .bind(id)
        .bind(errand.as_str())
        .bind(broadcast.as_str())
        .bind(person.as_str())
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Writes that an errand is over; or, with a moment, that nothing of it has been done and it may be tried then.
    /// Says whether it still was this claim's.
    pub async fn settle_errand(&mut self, claim: &ErrandClaim, again: Option<Timestamp>) -> Result<bool, StoreError> {
        let settled = sqlx::query(
            "update errands set state = $3, not_before = $4 where id = $1 and attempts = $2 and state = 'taken'",
        )
        .bind(&claim.id)
        .bind(claim.attempts)
        .bind(if again.is_some() { "new" } else { "done" })
        .bind(again.map_or(0, |moment| moment.0))
        .execute(self.connection())
        .await?;
        Ok(settled.rows_affected() == 1)
    }
}

fn errand(word: String) -> Result<Errand, StoreError> {
    Errand::parse(&word).ok_or(StoreError::Unreadable(word))
}
