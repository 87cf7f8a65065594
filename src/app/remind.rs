//! A deadline comes near: whoever has not decided hears of it once, and so does the author.

use super::App;
use super::letters::{text_content, uuid};
use crate::domain::broadcast::Broadcast;
use crate::domain::ids::{BroadcastId, OpenId};
use crate::store::StoreError;
use crate::store::cards::CardRole;
use crate::store::letters::{Letter, Receiver};
use crate::view::{hand, moment};

/// Reminds of one broadcast, where that is still due: that it was done is written with the letters.
pub async fn remind(app: &App, id: &BroadcastId) -> Result<(), StoreError> {
    let now = app.now();
    let mut tx = app.store.begin().await?;
    let Some(broadcast) = tx.broadcast(id).await? else { return Ok(()) };
    if !tx.take_reminder(id, now).await? {
        return Ok(());
    }
    let until = moment(broadcast.deadline(), &app.zone);
    let policy = app.policy();
    let judged = broadcast.clone().judged_by(&policy);
    let missing = u64::from(judged.required).saturating_sub(judged.approvals.len() as u64);
    // On hold it waits for its author alone.
    let held = broadcast.hold.is_some();
    if !held {
        let said = hand::reminder(id, &broadcast.content.plain(), &until);
        for (person, card) in tx.card_holders(id, CardRole::Approver).await? {
            if broadcast.waits_for(&person) && policy.still_counts(&person, &broadcast.asked()) {
                let said = said.said(tx.language_of(&person).await?);
                let mut letter = letter(&broadcast, Receiver::Person(person.clone()), &person, &said);
                // A press on what it answers leads to the card, however much has been written since.
                letter.reply_to = card;
                tx.post(&letter, now).await?;
            }
        }
    }
    let to = match &broadcast.origin.chat_id {
        Some(chat) => Receiver::Chat(chat.clone()),
        None => Receiver::Person(broadcast.author.clone()),
    };
    let said = hand::about_to_expire(id, held, missing, &until);
    let said = said.in_(broadcast.origin.language);
    tx.post(&letter(&broadcast, to, &broadcast.author, said), now).await?;
    tx.commit().await?;
    tracing::info!(broadcast = %id, "a broadcast is about to expire");
    Ok(())
}

fn letter(broadcast: &Broadcast, receiver: Receiver, person: &OpenId, said: &str) -> Letter {
    let version = broadcast.version.to_string();
    Letter {
        uuid: uuid(&["reminder", broadcast.id.as_str(), person.as_str(), &version]),
        receiver,
        reply_to: None,
        msg_type: "text",
        content: text_content(said),
    }
}
