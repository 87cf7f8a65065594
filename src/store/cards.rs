//! Copies of a broadcast's card. Each copy has one writer at a time and only ever moves forward: it is rendered from
//! the newest revision at the moment it is sent, so a newer card is never overwritten by an older one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, document, to_document};
use crate::domain::ids::{BroadcastId, MessageId, OpenId, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardRole {
    Author,
    Approver,
}

impl CardRole {
    fn as_str(self) -> &'static str {
        match self {
            CardRole::Author => "author",
            CardRole::Approver => "approver",
        }
    }
}

/// A card as it is sent for the first time. A repeat says the very same, or nobody knows which of both arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Draft {
    pub revision: i64,
    pub card: String,
}

/// The right to bring one copy up to date.
#[derive(Debug, Clone)]
pub struct CardClaim {
    pub broadcast: BroadcastId,
    pub person: OpenId,
    pub role: CardRole,
    /// The card in the chat; none before it was sent.
    pub message_id: Option<MessageId>,
    pub generation: i64,
    /// What was sent before, where nobody knows whether it arrived.
    pub draft: Option<Draft>,
    /// Feishu's code for refusing this card as it was.
    pub refused: Option<i64>,
    /// Tries including this one since the last success.
    pub attempts: i64,
    fence: i64,
}

/// What became of an attempt to bring a copy up to date.
#[derive(Debug, Clone)]
pub enum CardOutcome {
    /// It shows `revision` now.
    Shown { revision: i64, message_id: MessageId },
    /// It has to be tried again.
    Later,
    /// The card in the chat can no longer be changed: send a fresh one.
    Afresh,
    /// Feishu refuses it as it is: without mentions and content it may pass.
    Plainly { code: i64 },
    /// Nothing will mend it, until something changes.
    GivenUp,
}

impl Store {
    /// Whether a copy is owed an update; a look before a call is reserved, no claim.
    pub async fn has_card(&self, now: Timestamp) -> Result<bool, StoreError> {
        let due = "select 1 from cards where shown < wanted and state = 'live' and not_before <= $1 limit 1";
        Ok(sqlx::query(due).bind(now.0).fetch_optional(&mut *self.reader().await?).await?.is_some())
    }

    /// Takes the copy that has been owed an update longest.
    pub async fn claim_card(&self, now: Timestamp, lease_until: Timestamp) -> Result<Option<CardClaim>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "update cards set not_before = $2, fence = fence + 1, attempts = attempts + 1
             where (broadcast, person) in (
                select broadcast, person from cards where shown < wanted and state = 'live' and not_before <= $1
                order by not_before limit 1)
               and not_before <= $1
             returning broadcast, person, role, message_id, generation, draft, refused, attempts, fence",
        )
        .bind(now.0)
        .bind(lease_until.0)
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let broadcast: String = row.try_get("broadcast")?;
        let role: String = row.try_get("role")?;
        let claim = CardClaim {
            broadcast: super::id(broadcast, |text| BroadcastId::parse(&text))?,
            person: super::id(row.try_get("person")?, OpenId::new)?,
            role: if role == CardRole::Author.as_str() { CardRole::Author } else { CardRole::Approver },
            message_id: row
                .try_get::<Option<String>, _>("message_id")?
                .map(|text| super::id(text, MessageId::new))
                .transpose()?,
            generation: row.try_get("generation")?,
            draft: row.try_get::<Option<String>, _>("draft")?.map(|text| document(&text)).transpose()?,
            refused: row.try_get("refused")?,
            attempts: row.try_get("attempts")?,
            fence: row.try_get("fence")?,
        };
        tx.commit().await?;
        Ok(Some(claim))
    }

    /// Writes down a card that is about to be sent for the first time.
    ///
    /// # Errors
    /// `Conflict` when the claim was lost: somebody else sends it.
    pub async fn draft_card(&self, claim: &CardClaim, draft: &Draft) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query("update cards set draft = $4 where broadcast = $1 and person = $2 and fence = $3")
            .bind(claim.broadcast.as_str())
            .bind(claim.person.as_str())
            .bind(claim.fence)
            .bind(to_document(draft))
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    /// Writes what became of a copy; nothing if the claim was lost. `next` is when it may be changed again.
    pub async fn settle_card(
        &self,
        claim: &CardClaim,
        outcome: &CardOutcome,
        next: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let same = claim.message_id.as_ref().map(MessageId::as_str);
        let (shown, message_id, generation) = match outcome {
            CardOutcome::Shown { revision, message_id } => {
                (Some(*revision), Some(message_id.as_str()), claim.generation)
            }
            CardOutcome::Afresh => (None, None, claim.generation + 1),
            // What was refused and never shown is another card now, under another uuid.
            CardOutcome::Plainly { .. } if same.is_none() => (None, None, claim.generation + 1),
            CardOutcome::Plainly { .. } | CardOutcome::Later | CardOutcome::GivenUp => (None, same, claim.generation),
        };
        let keeps_draft = matches!(outcome, CardOutcome::Later | CardOutcome::GivenUp);
        let refused = match outcome {
            CardOutcome::Plainly { code } => Some(*code),
            _ => claim.refused,
        };
        let settled = sqlx::query(
            "update cards set shown = coalesce($4, shown), message_id = $5, generation = $6, refused = $7, state = $8,
                              attempts = $9, not_before = $10, draft = case when $11 = 1 then draft else null end
             where broadcast = $1 and person = $2 and fence = $3",
        )
        .bind(claim.broadcast.as_str())
        .bind(claim.person.as_str())
        .bind(claim.fence)
        .bind(shown)
        .bind(message_id)
        .bind(generation)
        .bind(refused)
        .bind(if matches!(outcome, CardOutcome::GivenUp) { "given-up" } else { "live" })
        .bind(if shown.is_some() { 0 } else { claim.attempts })
        .bind(next.0)
        .bind(i64::from(keeps_draft))
        .execute(tx.connection())
        .await?;
        if let (0, CardOutcome::Shown { message_id, .. }) = (settled.rows_affected(), outcome) {
            // Somebody else has shown it since or is just about to, perhaps a newer state before this older one: shown once
            // more, it is true whichever of the two was the last.
            sqlx::query(
                "update cards set shown = wanted - 1, fence = fence + 1
                 where broadcast = $1 and person = $2 and message_id = $3 and state = 'live'",
            )
            .bind(claim.broadcast.as_str())
            .bind(claim.person.as_str())
            .bind(message_id.as_str())
            .execute(tx.connection())
            .await?;
        }
        tx.commit().await
    }
}

impl Tx {
    /// Who has a card of this broadcast in that role, and the message that it is, once it was sent.
    pub async fn card_holders(
        &mut self,
        broadcast: &BroadcastId,
        role: CardRole,
    ) -> Result<BTreeMap<OpenId, Option<MessageId>>, StoreError> {
        let rows = sqlx::query("select person, message_id from cards where broadcast = $1 and role = $2")
            .bind(broadcast.as_str())
            .bind(role.as_str())
            .fetch_all(self.connection())
            .await?;
        let holder = |row: &AnyRow| {
            let message_id = row.try_get::<Option<String>, _>("message_id")?;
            let message_id = message_id.map(|text| super::id(text, MessageId::new)).transpose()?;
            Ok((super::id(row.try_get("person")?, OpenId::new)?, message_id))
        };
        rows.iter().map(holder).collect()
    }

    /// Owes `person` a card of this broadcast; no-op if they have one.
    pub async fn insert_card(
        &mut self,
        broadcast: &BroadcastId,
        person: &OpenId,
        role: CardRole,
        wanted: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into cards (broadcast, person, role, wanted, not_before, state)
             values ($1, $2, $3, $4, $5, 'live') on conflict do nothing",
        )
        .bind(broadcast.as_str())
        .bind(person.as_str())
        .bind(role.as_str())
        .bind(wanted)
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Wants every copy to show `revision`, not before `from`. A copy that was given up gets another chance.
    pub async fn want_cards(
        &mut self,
        broadcast: &BroadcastId,
        revision: i64,
        from: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update cards set wanted = case when wanted < $2 then $2 else wanted end,
                              attempts = case when state = 'live' then attempts else 0 end, state = 'live',
                              not_before = case when not_before < $3 then $3 else not_before end
             where broadcast = $1",
        )
        .bind(broadcast.as_str())
        .bind(revision)
        .bind(from.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Brings this person's copy up to date even though nothing changed: they pressed on an outdated card.
    pub async fn reshow_card(
        &mut self,
        broadcast: &BroadcastId,
        person: &OpenId,
        from: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update cards set shown = wanted - 1, not_before = case when not_before < $3 then $3 else not_before end
             where broadcast = $1 and person = $2 and shown >= wanted",
        )
        .bind(broadcast.as_str())
        .bind(person.as_str())
        .bind(from.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
