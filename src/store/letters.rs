//! Answers we owe somebody: written in the transaction that decided them, sent in order for each receiver.
//!
//! A receiver's letters stand in a queue, ordered by `due_at`, and only the head of a queue is ever claimed. What
//! happens to a head moves the queue: after a letter has left, the next one keeps its distance; when a head has to
//! wait, all behind it wait as long, so that a claim does not look at each of them in vain.

use std::time::Duration;

use sqlx::Row;

use super::{Store, StoreError, Tx};
use crate::domain::ids::{ChatId, MessageId, OpenId, Timestamp};

/// The least time between two letters to one receiver. Source: contract "rate limits": 5 a second to one user or chat.
const BETWEEN_LETTERS: Duration = Duration::from_millis(220);

/// How far ahead a letter's place may be: beyond it stands only what was written under a clock that was wrong, and what
/// is written now does not queue behind that.
const AHEAD_MAX: Duration = Duration::from_secs(3600);

/// How long a letter that has left matters to the next one; a little more than the distance, for clocks that disagree.
const JUST_SENT: Duration = Duration::from_secs(1);

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterOutcome {
    Sent,
    Later(Timestamp),
    /// The message it answers is gone: send it as a message of its own, which under the uuid of a failed reply it would
    /// not be.
    Unaddressed {
        uuid: String,
    },
    GivenUp,
}

impl Store {
    /// Whether a letter may be due; a look before a call is reserved, no claim.
    pub async fn has_letter(&self, now: Timestamp) -> Result<bool, StoreError> {
        let due = sqlx::query("select 1 from letters where state = 'new' and not_before <= $1 limit 1").bind(now.0);
        Ok(due.fetch_optional(&mut *self.reader().await?).await?.is_some())
    }

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
                select l.uuid from letters l
                where l.state = 'new' and l.not_before <= $1 and not exists (
                    select 1 from letters o
                    where o.receiver = l.receiver and o.state = 'new' and o.due_at <= l.due_at
                      and (o.due_at < l.due_at or o.uuid < l.uuid))
                order by l.not_before, l.due_at limit 1)
               and not_before <= $1
             returning uuid, receiver_kind, receiver, reply_to, msg_type, content, attempts, created_at, fence",
        )
        .bind(now.0)
        .bind(lease_until.0)
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

    /// Puts the content into a letter that only said what it would be.
    ///
    /// # Errors
    /// `Conflict` when the claim was lost.
    pub async fn fill_letter(&self, claim: &LetterClaim, content: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let filled = sqlx::query("update letters set content = $3 where uuid = $1 and fence = $2 and state = 'new'")
            .bind(&claim.uuid)
            .bind(claim.fence)
            .bind(content)
            .execute(tx.connection())
            .await?;
        if filled.rows_affected() != 1 {
            return Err(StoreError::Conflict);
        }
        tx.commit().await
    }

    /// Writes what became of a letter; nothing if the claim was lost.
    pub async fn settle_letter(
        &self,
        claim: &LetterClaim,
        outcome: LetterOutcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let settled = match outcome {
            LetterOutcome::Sent => tx.letter_left(claim, "sent", now).await?,
            LetterOutcome::GivenUp => tx.letter_left(claim, "given-up", now).await?,
            LetterOutcome::Later(moment) => tx.letter_waits(claim, moment).await?,
            LetterOutcome::Unaddressed { uuid } => {
                tx.letter_again(claim, &uuid).await? && tx.letter_left(claim, "given-up", now).await?
            }
        };
        if settled { tx.commit().await } else { Ok(()) }
    }

    /// Forgets letters that were written before `before` and have left.
    pub async fn prune_letters(&self, before: Timestamp) -> Result<(), StoreError> {
        self.prune(
            "delete from letters where uuid in (
                select uuid from letters where created_at < $1 and state <> 'new' order by created_at limit $2)",
            before,
        )
        .await?;
        Ok(())
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
                   from (select coalesce(max(places.due_at), 0) as due_at from (
                            select max(due_at) as due_at from letters
                            where receiver = $3 and state = 'new' and due_at <= $9
                            union all
                            select max(due_at) as due_at from letters
                            where receiver = $3 and state <> 'new' and due_at >= $10 and due_at <= $11) places) last) q
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
        .bind(now.after(AHEAD_MAX).0)
        .bind(now.0.saturating_sub(i64::try_from(JUST_SENT.as_millis()).expect("a short pause")))
        .bind(now.after(JUST_SENT).0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Takes a letter out of its queue for good. Its `due_at` becomes the moment it left, from which the next one, now
    /// or later in the queue, keeps its distance.
    async fn letter_left(&mut self, claim: &LetterClaim, state: &str, now: Timestamp) -> Result<bool, StoreError> {
        // What has been said is no longer needed: only the uuid stays, against saying it again.
        let left = sqlx::query(
            "update letters set state = $3, content = '', due_at = $4
             where uuid = $1 and fence = $2 and state = 'new' returning receiver",
        )
        .bind(&claim.uuid)
        .bind(claim.fence)
        .bind(state)
        .bind(now.0)
        .fetch_optional(self.connection())
        .await?;
        let Some(left) = left else { return Ok(false) };
        sqlx::query(
            "update letters set not_before = $2 where not_before < $2 and uuid = (
                select uuid from letters where receiver = $1 and state = 'new' order by due_at, uuid limit 1)",
        )
        .bind(left.try_get::<String, _>("receiver")?)
        .bind(now.after(BETWEEN_LETTERS).0)
        .execute(self.connection())
        .await?;
        Ok(true)
    }

    /// Postpones a letter, and with it all that stand behind it.
    async fn letter_waits(&mut self, claim: &LetterClaim, until: Timestamp) -> Result<bool, StoreError> {
        let head = sqlx::query(
            "update letters set not_before = $3 where uuid = $1 and fence = $2 and state = 'new' returning receiver",
        )
        .bind(&claim.uuid)
        .bind(claim.fence)
        .bind(until.0)
        .fetch_optional(self.connection())
        .await?;
        let Some(head) = head else { return Ok(false) };
        sqlx::query("update letters set not_before = $2 where receiver = $1 and state = 'new' and not_before < $2")
            .bind(head.try_get::<String, _>("receiver")?)
            .bind(until.0)
            .execute(self.connection())
            .await?;
        Ok(true)
    }

    /// Writes a letter once more under another uuid, in the same place of the queue, as an answer to nothing. The old
    /// one stays behind as the memory that it was written.
    async fn letter_again(&mut self, claim: &LetterClaim, uuid: &str) -> Result<bool, StoreError> {
        let again = sqlx::query(
            "insert into letters (uuid, receiver_kind, receiver, reply_to, msg_type, content, state, due_at, not_before, created_at)
             select $3, receiver_kind, receiver, null, msg_type, content, 'new', due_at, due_at, created_at
             from letters where uuid = $1 and fence = $2 and state = 'new'
             on conflict do nothing",
        )
        .bind(&claim.uuid)
        .bind(claim.fence)
        .bind(uuid)
        .execute(self.connection())
        .await?;
        Ok(again.rows_affected() == 1)
    }
}
