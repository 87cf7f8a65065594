//! What the author of a broadcast is told on its way, where they asked for it: that it ended, needs them, or came back.

use super::attachments::What;
use super::in_full;
use super::letters::{text_content, uuid};
use crate::domain::broadcast::Broadcast;
use crate::domain::ids::Timestamp;
use crate::domain::report::Report;
use crate::store::letters::{Letter, Receiver};
use crate::store::{StoreError, Tx};
use crate::view::{Text, result};

/// Tells the author, where they asked, that their broadcast has ended or needs them. Cards are updated silently; this
/// is what makes a phone ring.
pub async fn tell_author(
    tx: &mut Tx,
    broadcast: &Broadcast,
    report: &Report,
    now: Timestamp,
) -> Result<(), StoreError> {
    tell(tx, broadcast, &result::news(broadcast, report), now).await?;
    if report.invalid.count() > result::INVALID_SHOWN_MAX && broadcast.state.is_settled() {
        tx.post(&in_full::attached(What::Invalid, broadcast, receiver_of_news(broadcast)), now).await?;
    }
    Ok(())
}

fn receiver_of_news(broadcast: &Broadcast) -> Receiver {
    match &broadcast.origin.chat_id {
        Some(chat) => Receiver::Chat(chat.clone()),
        None => Receiver::Person(broadcast.author.clone()),
    }
}

/// Says something to the author where they asked, once for each version of the broadcast.
pub async fn tell(tx: &mut Tx, broadcast: &Broadcast, said: &Text, now: Timestamp) -> Result<(), StoreError> {
    // A database that was put back counts versions anew.
    let held = broadcast.hold.map_or(String::new(), |hold| hold.since.0.to_string());
    let uuid = uuid(&["news", broadcast.id.as_str(), &broadcast.version.to_string(), "0", &held]);
    post(tx, uuid, broadcast, said, now).await
}

/// The same of something that leaves the version as it is: once for each revision. `what` tells it from other news.
pub async fn tell_as(
    tx: &mut Tx,
    what: &str,
    broadcast: &Broadcast,
    said: &Text,
    now: Timestamp,
) -> Result<(), StoreError> {
    let uuid = uuid(&[what, broadcast.id.as_str(), &broadcast.revision.to_string()]);
    post(tx, uuid, broadcast, said, now).await
}

async fn post(tx: &mut Tx, uuid: String, broadcast: &Broadcast, said: &Text, now: Timestamp) -> Result<(), StoreError> {
    let letter = Letter {
        uuid,
        receiver: receiver_of_news(broadcast),
        reply_to: broadcast.origin.chat_id.as_ref().map(|_| broadcast.origin.message_id.clone()),
        msg_type: "text",
        content: text_content(said.in_(broadcast.origin.language)),
    };
    tx.post(&letter, now).await
}
