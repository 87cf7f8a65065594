//! Answers we owe somebody: written in the transaction that decided them, sent in order for each receiver.

use std::time::Duration;

use sqlx::Row;

use super::{Store, StoreError, Tx};
use crate::domain::ids::{ChatId, MessageId, OpenId, Timestamp};

/// The least time between two letters to one receiver. Source: contract "rate limits": 5 a second to one user or chat.
const BETWEEN_LETTERS: Duration = Duration::from_millis(220);

/// Letters that a claim looks at: a bound on what a flood costs.
const WINDOW: i64 = 64;

/// Where a letter goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    Chat(ChatId),
    Person(OpenId),
}

/// One message of ours, ready for the wire.
#[derive(Debug, Clone)]
pub struct Letter {
    /// At most 50 bytes; Feishu makes one message of all that carry the same one within an hour.
    pub uuid: String,
    pub receiver: Receiver,
    pub reply_to: Option<MessageId>,
    pub msg_type: &'static str,
    /// JSON in a string, as `im/v1/messages` wants it.
    pub content: String,
}

/// The right to send one letter.
#[derive(Debug, Clone)]
pub struct LetterClaim {
    pub uuid: String,
    pub receiver: Receiver,
    pub reply_to: Option<MessageId>,
    pub msg_type: String,
    pub content: String,
    /// Tries including this one.
    pub attempts: i64,
    pub created_at: Timestamp,
    fence: i64,
}

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterOutcome {
    Sent,
    Later(Timestamp),
    /// The message it answers is gone: send it as a message of its own.
    Unaddressed(Timestamp),
    GivenUp,
}

impl Store {
    /// Takes the oldest letter whose receiver has no older one waiting.
    pub async fn claim_letter(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<LetterClaim>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "update letters set not_before = $2, fence = fence + 1, attempts = attempts + 1
             where uuid = (
                select l.uuid from (
                    select uuid, receiver, due_at, not_before from letters
                    where state = 'new' and not_before <= $1 order by not_before, due_at limit $3) l
                where not exists (
                    select 1 from letters o
                    where o.receiver = l.receiver and o.due_at < l.due_at and o.state = 'new')
                order by l.not_before, l.due_at limit 1)
               and not_before <= $1
             returning uuid, receiver_kind, receiver, reply_to, msg_type, content, attempts, created_at, fence",
        )
        .bind(now.0)
        .bind(lease_until.0)
        .bind(WINDOW)
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let receiver: String = row.try_get("receiver")?;
        let claim = LetterClaim {
            uuid: row.try_get("uuid")?,
            receiver: if row.try_get::<String, _>("receiver_kind")? == "chat_id" {
                Receiver::Chat(super::id(receiver, ChatId::new)?)
            } else {
                Receiver::Person(super::id(receiver, OpenId::new)?)
            },
            reply_to: row
                .try_get::<Option<String>, _>("reply_to")?
                .map(|text| super::id(text, MessageId::new))
                .transpose()?,
            msg_type: row.try_get("msg_type")?,
            content: row.try_get("content")?,
            attempts: row.try_get("attempts")?,
            created_at: Timestamp(row.try_get("created_at")?),
            fence: row.try_get("fence")?,
        };
        tx.commit().await?;
        Ok(Some(claim))
    }

    /// Writes what became of a letter; nothing if the claim was lost.
    pub async fn settle_letter(&self, claim: &LetterClaim, outcome: LetterOutcome) -> Result<(), StoreError> {
        let (state, next, reply_to) = match outcome {
            LetterOutcome::Sent => ("sent", None, claim.reply_to.as_ref()),
            LetterOutcome::GivenUp => ("given-up", None, claim.reply_to.as_ref()),
            LetterOutcome::Later(moment) => ("new", Some(moment), claim.reply_to.as_ref()),
            LetterOutcome::Unaddressed(moment) => ("new", Some(moment), None),
        };
        let mut tx = self.begin().await?;
        // What has been said is no longer needed: only the uuid stays, against saying it again.
        sqlx::query(
            "update letters set state = $3, not_before = coalesce($4, not_before), reply_to = $5,
                                content = case when $3 = 'new' then content else '' end
             where uuid = $1 and fence = $2",
        )
        .bind(&claim.uuid)
        .bind(claim.fence)
        .bind(state)
        .bind(next.map(|moment| moment.0))
        .bind(reply_to.map(MessageId::as_str))
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    /// Forgets letters that were written before `before` and have left.
    pub async fn prune_letters(&self, before: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("delete from letters where created_at < $1 and state <> 'new'")
            .bind(before.0)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}

impl Tx {
    /// Owes somebody a letter; a second one under the same uuid is the same letter.
    pub async fn post(&mut self, letter: &Letter, now: Timestamp) -> Result<(), StoreError> {
        let (kind, receiver) = match &letter.receiver {
            Receiver::Chat(chat) => ("chat_id", chat.as_str()),
            Receiver::Person(person) => ("open_id", person.as_str()),
        };
        sqlx::query(
            "insert into letters (uuid, receiver_kind, receiver, reply_to, msg_type, content, state, due_at, not_before, created_at)
             select $1, $2, $3, $4, $5, $6, 'new', q.due_at, q.due_at, $7
             from (select case when last.due_at + $8 > $7 then last.due_at + $8 else $7 end as due_at
                   from (select coalesce(max(due_at), 0) as due_at from letters where receiver = $3) last) q
             where true
             on conflict do nothing",
        )
        .bind(&letter.uuid)
        .bind(kind)
        .bind(receiver)
        .bind(letter.reply_to.as_ref().map(MessageId::as_str))
        .bind(letter.msg_type)
        .bind(&letter.content)
        .bind(now.0)
        .bind(i64::try_from(BETWEEN_LETTERS.as_millis()).expect("a short pause"))
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
