//! `batch_send`: one call, thousands of people, no way to take back a doubt.
//!
//! There is no idempotency key and no list of past batches. So the call is made once, never repeated after its bytes
//! may have left, and its failures are [`SendError`]s that know what is certain. Code 0 means accepted, not delivered;
//! the numbers come later and only ever as snapshots. Sources: the pages "Batch send messages" (older and newer),
//! "Query progress", "Query reads" and "Recall" of batch messages.

use serde_json::Value;

use super::client::{Ask, Feishu};
use super::codes::Call;
use super::error::{CallError, SendError};
use super::wire::{number, text, texts};
use crate::domain::batch::InvalidIds;
use crate::domain::ids::{BatchMessageId, Timestamp};

/// The receipt of an accepted batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub message_id: BatchMessageId,
    pub invalid: InvalidIds,
    pub log_id: Option<String>,
}

/// How far a batch is. `valid` 0 means "not started" or "nobody"; `success` may stay below `valid` for ever, since
/// `valid` counts people the bot cannot reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub valid: u64,
    pub success: u64,
    pub read: u64,
    /// How many copies were taken back; `None` while no recall was asked for.
    pub recalled: Option<u64>,
}

/// How many have read it, of how many it was pushed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadUsers {
    pub read: u64,
    pub total: u64,
}

impl Feishu {
    /// Sends a batch, once: even where the app's token is refused, since a call of its own has its own moment in the
    /// pace. `body` is the JSON of the request, made and measured by the caller; a timeout of 30 s.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::verdict`] says whether the batch may be sent again.
    pub async fn batch_send(&self, now: Timestamp, body: &str) -> Result<Accepted, SendError> {
        let answer = self.ask_as_app_once(now, &Ask::post_text(Call::BatchSend, body.to_owned())).await?;
        let invalid = invalid_ids(&answer.body);
        match text(&answer.body, "/data/message_id").and_then(BatchMessageId::new) {
            Some(message_id) => Ok(Accepted { message_id, invalid, log_id: answer.log_id }),
            None => Err(SendError::NoReceipt { invalid, log_id: answer.log_id }),
        }
    }

    /// Asks how far a batch is. Possible for 30 days; in the first minute Feishu may not know the id yet.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn batch_progress(&self, now: Timestamp, batch: &BatchMessageId) -> Result<Progress, CallError> {
        let answer = self.ask_as_app(now, &Ask::get(Call::BatchProgress).id(batch.as_str())).await?;
        let sent = answer.body.pointer("/data/batch_message_send_progress").filter(|sent| sent.is_object());
        let Some(sent) = sent else {
            return Err(answer.incomplete());
        };
        let count = |pointer: &str| number(sent, pointer).unwrap_or(0);
        let recall = answer.body.pointer("/data/batch_message_recall_progress");
        let recall = recall.filter(|recall| recall.get("recall").and_then(Value::as_bool) == Some(true));
        Ok(Progress {
            valid: count("/valid_user_ids_count"),
            success: count("/success_user_ids_count"),
            read: count("/read_user_ids_count"),
            recalled: recall.map(|recall| number(recall, "/recall_count").unwrap_or(0)),
        })
    }

    /// Asks Feishu to take a batch back: it begins with that, and `recalled` of [`Self::batch_progress`] counts. Asked
    /// twice it does no more than once.
    ///
    /// # Errors
    /// [`CallError`]; 230009 where the company's period for recalling is over, 230026 without the right to.
    pub async fn recall_batch(&self, now: Timestamp, batch: &BatchMessageId) -> Result<(), CallError> {
        self.ask_as_app(now, &Ask::delete(Call::RecallBatch).id(batch.as_str())).await.map(drop)
    }

    /// Asks how many have read a batch. Possible for 30 days. Feishu writes these numbers as texts.
    ///
    /// # Errors
    /// [`CallError`]; Feishu documents none that [`Self::batch_progress`] does not have as well.
    pub async fn read_user(&self, now: Timestamp, batch: &BatchMessageId) -> Result<ReadUsers, CallError> {
        let answer = self.ask_as_app(now, &Ask::get(Call::BatchReaders).id(batch.as_str())).await?;
        let count = |pointer: &str| number(&answer.body, pointer);
        match (count("/data/read_user/read_count"), count("/data/read_user/total_count")) {
            (Some(read), Some(total)) => Ok(ReadUsers { read, total }),
            _ => Err(answer.incomplete()),
        }
    }
}

/// The four lists; absent, null and empty are alike.
fn invalid_ids(body: &Value) -> InvalidIds {
    InvalidIds {
        departments: texts(body, "/data/invalid_department_ids"),
        open_ids: texts(body, "/data/invalid_open_ids"),
        user_ids: texts(body, "/data/invalid_user_ids"),
        union_ids: texts(body, "/data/invalid_union_ids"),
    }
}
