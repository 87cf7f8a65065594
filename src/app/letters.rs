//! Sends one answer we owe somebody. Everything the bot says apart from cards leaves through here, under a uuid that
//! makes a repeat within the hour the same message.

use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::attachments::{self, NoFile};
use super::{App, LEASE, Step};
use crate::domain::batch::retry_wait;
use crate::domain::content::harmless;
use crate::domain::language::Language;
use crate::feishu::error::{CallError, Class};
use crate::feishu::event::MessageReceived;
use crate::feishu::messages;
use crate::store::StoreError;
use crate::store::letters::{Letter, LetterClaim, LetterOutcome, Receiver};
use crate::view::Text;

/// How long an answer is tried that is refused for a reason we do not know: the others to the same receiver wait
/// behind it, and it may be this answer alone that is not taken.
const WORTH_INSISTING: Duration = Duration::from_secs(3600);

/// How long it is tried where nothing can be said to anybody until a person mends the set-up, or what stands between us
/// and Feishu: as long as a broadcast waits to be decided.
const WORTH_WAITING: Duration = Duration::from_secs(24 * 3600);

/// Tries of such an answer at least, however old it is: it may have waited behind another one. Tries in quick succession
/// of whatever waits for a person to mend the set-up; after that they are [`SETUP_PAUSE`] apart.
pub(super) const OFTEN: i64 = 8;

/// How soon it is noticed that the set-up was mended.
const SETUP_PAUSE: Duration = Duration::from_secs(600);

/// Bytes of a `uuid`. Source: im/v1/messages, "uuid", at most 50 characters.
const UUID_LETTERS: usize = 50;

/// A uuid made of what the message is about, so that the same message always has the same one.
pub fn uuid(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    hex::encode(digest.finalize()).chars().take(UUID_LETTERS).collect()
}

/// The `content` of a text message. What people wrote may stand in it, so nothing in it becomes a mention.
pub fn text_content(text: &str) -> String {
    json!({ "text": harmless(text) }).to_string()
}

/// An answer to a message whose language is told from its words.
pub fn answer_both(message: &MessageReceived, purpose: &str, text: &Text) -> Letter {
    reply(message, purpose, text.said(Language::of(&message.plain())))
}

/// A reply to a message; `purpose` tells it from other replies to the same one.
pub fn reply(message: &MessageReceived, purpose: &str, text: String) -> Letter {
    Letter {
        uuid: uuid(&[purpose, message.message_id.as_str()]),
        receiver: Receiver::Chat(message.chat_id.clone()),
        reply_to: Some(message.message_id.clone()),
        msg_type: "text",
        content: text_content(&text),
    }
}

/// Sends at most one letter. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    if !app.store.has_letter(app.now()).await? {
        return Ok(Step::Idle);
    }
    // Before the claim: a lease is for the call, not for the wait.
    app.talk.next(&app.store, || app.now()).await;
    let now = app.now();
    let Some(letter) = app.store.claim_letter(now, now.after(LEASE)).await? else { return Ok(Step::Idle) };
    let sent = send(app, &letter).await?;
    let outcome = match sent {
        Ok(()) => LetterOutcome::Sent,
        // The answer to an earlier try was lost, and it arrived: under one uuid there is one message, for an hour. Tried for
        // longer it would be said again.
        Err(error) if letter.attempts >= OFTEN && error.was_said_before() => LetterOutcome::Sent,
        Err(error) if letter.reply_to.is_some() && error.message_is_gone() => {
            LetterOutcome::Unaddressed { uuid: uuid(&["unaddressed", &letter.uuid]) }
        }
        Err(error) => {
            let age = app.now().since(letter.created_at);
            let goes_on = match error.class() {
                Class::Retry { .. } | Class::Reauthenticate => true,
                Class::Unknown if error.may_be_about_this() => age < WORTH_INSISTING || letter.attempts < OFTEN,
                Class::FixSetup | Class::Unknown => age < WORTH_WAITING || letter.attempts < OFTEN,
                Class::Permanent => false,
            };
            if goes_on {
                tracing::warn!(%error, attempts = letter.attempts, "an answer could not be sent yet");
                LetterOutcome::Later(app.now().after(pause(&error, letter.attempts, app.jitter())))
            } else {
                tracing::error!(%error, attempts = letter.attempts, "an answer was given up");
                metrics::counter!("feishu_broadcast_answers_given_up_total").increment(1);
                LetterOutcome::GivenUp
            }
        }
    };
    app.store.settle_letter(&letter, outcome, app.now()).await?;
    Ok(Step::Worked)
}

/// How long something to be said waits after try number `attempts` that ended with `error`.
pub(super) fn pause(error: &CallError, attempts: i64, jitter: u8) -> Duration {
    match error.class() {
        Class::FixSetup if attempts >= OFTEN => SETUP_PAUSE,
        Class::Retry { after } => retry_wait(attempts, after, jitter),
        Class::FixSetup | Class::Reauthenticate | Class::Permanent | Class::Unknown => {
            retry_wait(attempts, None, jitter)
        }
    }
}

/// Says one letter; a file is made and uploaded first. One that Feishu will not take is told of instead: it must not
/// hold up what is to be said behind it.
async fn send(app: &App, letter: &LetterClaim) -> Result<Result<(), CallError>, StoreError> {
    if letter.msg_type != "file" || !attachments::is_to_be_made(&letter.content) {
        return Ok(say(app, letter, &letter.msg_type, &letter.content, &letter.uuid).await);
    }
    match attachments::upload(app, &letter.content).await {
        Ok(Some(file)) => {
            // Under one uuid there is one message: a second try must speak of the same file.
            app.store.fill_letter(letter, &file).await?;
            Ok(say(app, letter, "file", &file, &letter.uuid).await)
        }
        // Nothing is there any more that could be said.
        Ok(None) => Ok(Ok(())),
        Err(NoFile::Store(error @ StoreError::Unreadable(_))) => {
            tracing::error!(%error, "a file cannot be made any more; what it would hold is not said");
            Ok(Ok(()))
        }
        Err(NoFile::Store(error)) => Err(error),
        Err(NoFile::Feishu(error)) => match (error.class(), attachments::refused(&letter.content, &error)) {
            (Class::FixSetup | Class::Permanent | Class::Unknown, Some(said)) => {
                tracing::error!(%error, "a file could not be uploaded; its receiver is told so instead");
                Ok(say(app, letter, "text", &text_content(&said), &uuid(&["no-file", &letter.uuid])).await)
            }
            _ => Ok(Err(error)),
        },
    }
}

async fn say(app: &App, letter: &LetterClaim, msg_type: &str, content: &str, uuid: &str) -> Result<(), CallError> {
    let now = app.now();
    let sent = match &letter.reply_to {
        Some(message) => app.feishu.reply_message(now, message, msg_type, content, uuid).await,
        None => app.feishu.send_message(now, &receiver(letter), msg_type, content, uuid).await,
    };
    sent.map(drop)
}

fn receiver(letter: &LetterClaim) -> messages::Receiver {
    match &letter.receiver {
        Receiver::Chat(chat) => messages::Receiver::Chat(chat.clone()),
        Receiver::Person(person) => messages::Receiver::Person(person.clone()),
    }
}
