//! What Feishu pushed: stored once by [`super::accept`], worked on until done, remembered for a week.

use sqlx::{AnyConnection, Row};

use super::{Store, StoreError, Tx};
use crate::domain::ids::{OpenId, Timestamp};

/// What kind of work a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something that happened in a chat: written, recalled, chosen from the menu, opened.
    Message,
    Revocation,
    Press,
    Login,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
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

/// One row taken for work. Only its holder may finish it, and only until the lease ends.
#[derive(Debug, Clone)]
pub struct Claim {
    pub key: String,
    /// Under which its end is remembered as well, where the same may come under several keys: one of them ends with what
    /// came of it, and only one. Whoever reads the event knows.
    pub ends_as: Option<String>,
    pub person: String,
    pub body: String,
    /// Tries since the last one that came to an end, including this one.
    pub attempts: i64,
    /// When the first try failed that did, and how many have.
    pub failing_since: Option<Timestamp>,
    pub failed: i64,
    pub received_at: Timestamp,
    /// True when the row waited for an authorization that did not come in time.
    pub waited_in_vain: bool,
    fence: i64,
}

impl Store {
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
               and not_before <= $1 and state in ('new', 'taken', 'parked')
             returning key, person, body, attempts, failing_since, failed, fence, received_at, parked_until",
        )
        .bind(now.0)
        .bind(lease_until.0)
        .fetch_all(&mut *self.writer().await?)
        .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Claim {
            key: row.try_get("key")?,
            ends_as: None,
            person: row.try_get("person")?,
            body: row.try_get("body")?,
            attempts: row.try_get("attempts")?,
            failing_since: row.try_get::<Option<i64>, _>("failing_since")?.map(Timestamp),
            failed: row.try_get("failed")?,
            received_at: Timestamp(row.try_get("received_at")?),
            waited_in_vain: row.try_get::<Option<i64>, _>("parked_until")?.is_some(),
            fence: row.try_get("fence")?,
        }))
    }

    /// Ends an event that led to nothing. Nothing waits for the disk: where the end is lost with the power, the event is
    /// worked on again, as if it had come a moment later.
    ///
    /// # Errors
    /// As [`Tx::finish_event`].
    pub async fn drop_event(&self, claim: &Claim) -> Result<(), StoreError> {
        leave(&mut *self.writer().await?, claim, "done").await?;
        self.durable.unawaited();
        Ok(())
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

    /// Puts an event back whose try came to no end. That it was tried still counts.
    pub async fn begin_event_anew(&self, claim: &Claim, at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.begin_event_anew(claim, at).await?;
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
    /// Claims a key that is worked on within this very transaction: a card press, a used login link, the words of a command.
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
    /// `Conflict` when the lease was lost, or when it ended under another key: somebody else works on it or did, so nothing
    /// of this transaction may stay.
    pub async fn finish_event(&mut self, claim: &Claim) -> Result<(), StoreError> {
        self.end(claim, "done").await
    }

    /// Ends an event that could not be worked on; its author is told in the same transaction.
    ///
    /// # Errors
    /// As [`Self::finish_event`].
    pub async fn give_up_event(&mut self, claim: &Claim) -> Result<(), StoreError> {
        self.end(claim, "given-up").await
    }

    async fn end(&mut self, claim: &Claim, state: &str) -> Result<(), StoreError> {
        leave(self.connection(), claim, state).await?;
        let Some(key) = &claim.ends_as else { return Ok(()) };
        let end = Arrival {
            key: key.clone(),
            kind: Kind::Message,
            person: claim.person.clone(),
            body: String::new(),
            received_at: claim.received_at,
        };
        match self.remember(&end).await? {
            Seen::First => Ok(()),
            Seen::Again => Err(StoreError::Conflict),
        }
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

    /// As [`Store::begin_event_anew`].
    ///
    /// # Errors
    /// As [`Self::finish_event`].
    pub async fn begin_event_anew(&mut self, claim: &Claim, at: Timestamp) -> Result<(), StoreError> {
        self.put_back(claim, "new", at, None, None).await
    }

    /// Puts an event back for later, since a try at `now` failed.
    ///
    /// # Errors
    /// As [`Self::finish_event`].
    pub async fn postpone_event(&mut self, claim: &Claim, now: Timestamp, until: Timestamp) -> Result<(), StoreError> {
        self.put_back(claim, "new", until, None, Some(now)).await
    }

    /// Lets an event wait for its person's authorization, at most until `until`.
    ///
    /// # Errors
    /// As [`Self::finish_event`].
    pub async fn park_event(&mut self, claim: &Claim, until: Timestamp) -> Result<(), StoreError> {
        self.put_back(claim, "parked", until, Some(until), None).await
    }

    async fn put_back(
        &mut self,
        claim: &Claim,
        state: &str,
        until: Timestamp,
        parked_until: Option<Timestamp>,
        failed_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update inbox set state = $3, not_before = $4, parked_until = $5, attempts = case when $7 = 1 then 0 else attempts end,
                              failed = failed + $7, failing_since = coalesce(failing_since, $6)
             where key = $1 and fence = $2 and state = 'taken'",
        )
        .bind(&claim.key)
        .bind(claim.fence)
        .bind(state)
        .bind(until.0)
        .bind(parked_until.map(|moment| moment.0))
        .bind(failed_at.map(|moment| moment.0))
        .bind(i64::from(failed_at.is_some()))
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
            "update inbox set state = 'new', not_before = $2, parked_until = null, attempts = 0, failed = 0, failing_since = null
             where person = $1 and state = 'parked'",
        )
        .bind(person.as_str())
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected())
    }
}

async fn leave(connection: &mut AnyConnection, claim: &Claim, state: &str) -> Result<(), StoreError> {
    let done = sqlx::query("update inbox set state = $3, body = '' where key = $1 and fence = $2 and state = 'taken'")
        .bind(&claim.key)
        .bind(claim.fence)
        .bind(state)
        .execute(connection)
        .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}
