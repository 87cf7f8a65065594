//! Somebody took a message back. Where it was a command, it is not worked on, or what came of it and has not left is
//! cancelled; what has left stays, and the author is told so.
//!
//! The recall may arrive before its command, while that is worked on, or afterwards. It is remembered under a key of its
//! own from the moment it was acknowledged ([`EventKey::of_recall`]): a command that comes later finds it there, one that
//! is under way loses its lease, and one that is done has left its trace.

use super::letters::{text_content, uuid};
use super::press::write_cancelled;
use super::{App, Trouble};
use crate::domain::audit::{Deed, Entry};
use crate::domain::broadcast::Broadcast;
use crate::domain::ids::{BroadcastId, MessageId, Timestamp};
use crate::domain::language::Language;
use crate::domain::report::Report;
use crate::feishu::event::{ChatKind, Event, EventKey, EventKind, MessageReceived};
use crate::store::commands::TakenBack;
use crate::store::inbox::{Arrival, Claim, Kind, Seen};
use crate::store::letters::{Letter, Receiver};
use crate::store::{StoreError, Tx};
use crate::view::{Text, hand};

/// Under which the very words of a command are remembered, with what became of them: a broadcast, or nothing any more. They
/// are somebody's, in one chat, at one millisecond. Source: contract "duplicates": the same typed message was seen again
/// under another message id.
pub fn words_of(message: &MessageReceived, became: &str, now: Timestamp) -> Option<Arrival> {
    let typed_at = message.created_at?.0.to_string();
    let parent = message.parent_id.as_ref().map_or("", |parent| parent.as_str());
    let words = [message.sender.as_str(), message.chat_id.as_str(), &typed_at, parent, &message.plain()];
    Some(Arrival {
        key: EventKey::of_words(&uuid(&words)).to_string(),
        kind: Kind::Message,
        person: message.sender.to_string(),
        body: became.to_owned(),
        received_at: now,
    })
}

/// The desk of a recall.
pub async fn desk(app: &App, claim: &Claim, message: &MessageId) -> Result<(), Trouble> {
    // What is stored after this is worked on after this, and finds the recall: see `before`.
    let mut open = app.store.open_keys(message.as_str()).await?;
    open.retain(|key| EventKey::is_of_message(key, message));
    let mut tx = app.store.begin().await?;
    let mut begun = None;
    for key in open {
        let Some(taken) = tx.take_back(&key).await? else { continue };
        tracing::info!(key, "a command was recalled before it was done");
        let Some(said) = said(&taken) else { continue };
        forget(&mut tx, &said, app.now()).await?;
        begun = begun.or(taken.begun.then_some(said));
    }
    undo(app, &mut tx, message, begun.as_ref()).await?;
    tx.finish_event(claim).await?;
    tx.commit().await?;
    app.wake_all();
    Ok(())
}

/// Whether the message of a command was taken back before this try; then its event ends here.
pub async fn before(app: &App, claim: &Claim, message: &MessageReceived) -> Result<bool, Trouble> {
    if app.store.remembered(EventKey::of_recall(&message.message_id).as_str()).await?.is_none() {
        return Ok(false);
    }
    tracing::info!(key = claim.key, "a command that had been recalled is not worked on");
    let mut tx = app.store.begin().await?;
    // First, as at the desk: two that meet wait for each other in one order.
    tx.hold_event(claim).await?;
    forget(&mut tx, message, app.now()).await?;
    let begun = (claim.attempts > 1 || claim.failed > 0).then_some(message);
    undo(app, &mut tx, &message.message_id, begun).await?;
    tx.finish_event(claim).await?;
    tx.commit().await?;
    app.wake_all();
    Ok(true)
}

/// What was taken back is not worked on under another id either. Where that has been done, what became of it is this
/// message's, too.
async fn forget(tx: &mut Tx, message: &MessageReceived, now: Timestamp) -> Result<(), StoreError> {
    let Some(words) = words_of(message, "", now) else { return Ok(()) };
    if tx.remember(&words).await? == Seen::Again
        && let Some(became) = tx.remembered(&words.key).await?
        && let Some(broadcast) = BroadcastId::parse(&became)
    {
        tx.came_of(&message.message_id, &broadcast).await?;
    }
    Ok(())
}

/// Stops what came of a message. Where that is nothing, the author of what was `begun` hears that nothing will.
async fn undo(app: &App, tx: &mut Tx, message: &MessageId, begun: Option<&MessageReceived>) -> Result<(), StoreError> {
    if let Some(id) = tx.broadcast_of(message).await?
        && let Some(before) = tx.broadcast(&id).await?
    {
        return stop(app, tx, before, message).await;
    }
    match begun.and_then(dropped) {
        Some(letter) => tx.post(&letter, app.now()).await,
        None => Ok(()),
    }
}

/// Cancels what has not begun to leave. Once it has, nothing is undone that nobody asked for.
async fn stop(app: &App, tx: &mut Tx, before: Broadcast, message: &MessageId) -> Result<(), StoreError> {
    let now = app.now();
    let report = Report::of(&tx.batches(&before.id).await?);
    let said = match before.clone().withdraw(now) {
        Ok(withdrawn) => {
            let entry = Entry::about(&withdrawn, Deed::CommandRecalled, now).with("from", before.state);
            tx.record(entry.with("to", withdrawn.state));
            write_cancelled(app, tx, &before, withdrawn, now).await?;
            tracing::info!(broadcast = %before.id, "a broadcast was cancelled: its command was recalled");
            hand::command_recalled(&before.id)
        }
        // It ended unsent: the recall changes nothing, and takes nothing back that anybody has.
        Err(_) if !report.some_left() && !report.can_be_stopped() => return Ok(()),
        Err(_) => {
            tx.record(Entry::about(&before, Deed::CommandRecalled, now).with("from", before.state));
            hand::recall_undoes_nothing(&before.id, before.state, &report)
        }
    };
    let letter = Letter {
        uuid: uuid(&["command-recalled", message.as_str()]),
        receiver: match &before.origin.chat_id {
            Some(chat) => Receiver::Chat(chat.clone()),
            None => Receiver::Person(before.author.clone()),
        },
        reply_to: None,
        msg_type: "text",
        content: text_content(said.in_(before.origin.language)),
    };
    tx.post(&letter, now).await
}

/// The word after which nothing more is heard of a command that was recalled in the middle: not into a group, where it may
/// not have been meant for the bot at all.
fn dropped(said: &MessageReceived) -> Option<Letter> {
    if said.chat == ChatKind::Group {
        return None;
    }
    let text: Text = hand::command_dropped();
    Some(Letter {
        uuid: uuid(&["command-recalled", said.message_id.as_str()]),
        receiver: Receiver::Chat(said.chat_id.clone()),
        reply_to: None,
        msg_type: "text",
        content: text_content(&text.said(Language::of(&said.plain()))),
    })
}

/// The message that was taken back.
fn said(taken: &TakenBack) -> Option<MessageReceived> {
    match Event::parse(taken.body.as_bytes()).ok()?.kind {
        EventKind::Message(said) => Some(said),
        _ => None,
    }
}
