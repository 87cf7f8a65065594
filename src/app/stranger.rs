//! Someone without a role wrote to the bot, or chose from its menu: one polite line with their own open_id, at most once an hour.
//!
//! Nothing is looked up and nothing is stored for them, so the answer does not go through the store either: it is sent
//! from here, and if Feishu cannot be reached it is simply not sent. The uuid is the same for an hour's worth of
//! messages, so that another replica or a restart does not say it twice.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::App;
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::language::Language;
use crate::feishu::event::{ChatKind, MessageReceived};
use crate::feishu::messages::Receiver;
use crate::view;

/// How often one stranger is answered.
const ANSWER_EVERY: Duration = Duration::from_secs(3600);

/// Strangers remembered at a time; beyond that the oldest may be answered again early.
const STRANGERS_MAX: u64 = 10_000;

/// Strangers being answered at a time; whoever writes while there are as many is not answered, but may be at their next
/// message. A crowd must not take the pace, or the memory, from those the bot is for.
const UNDER_WAY_MAX: usize = 32;

/// Who has been answered when, and how many are being answered.
pub struct Strangers {
    told: Cache<OpenId, Timestamp>,
    under_way: Arc<Semaphore>,
}

impl Strangers {
    pub fn new() -> Self {
        Self {
            told: Cache::builder().max_capacity(STRANGERS_MAX).time_to_live(ANSWER_EVERY).build(),
            under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
        }
    }

    /// Whether this stranger may be answered now; remembers that they are.
    fn may_answer(&self, person: &OpenId, now: Timestamp) -> bool {
        let fresh = self.told.entry_by_ref(person).or_insert_with_if(|| now, |told| now.since(*told) >= ANSWER_EVERY);
        fresh.is_fresh()
    }
}

impl Default for Strangers {
    fn default() -> Self {
        Self::new()
    }
}

/// Answers a stranger who wrote nothing but chose from the menu, if it is time to, without making the caller wait.
pub fn answer_person(app: &Arc<App>, person: OpenId) {
    if !app.strangers.may_answer(&person, app.now()) {
        return;
    }
    let Ok(place) = Arc::clone(&app.strangers.under_way).try_acquire_owned() else {
        app.strangers.told.invalidate(&person);
        return;
    };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        // Held until the answer is out.
        let _place = place;
        say(&app, &person, &Receiver::Person(person.clone()), None).await;
    });
}

/// Answers a stranger if it is time to, without making the caller wait.
pub fn answer(app: &Arc<App>, message: MessageReceived) {
    if message.chat == ChatKind::OneToOne && !app.strangers.may_answer(&message.sender, app.now()) {
        return;
    }
    let Ok(place) = Arc::clone(&app.strangers.under_way).try_acquire_owned() else {
        if message.chat == ChatKind::OneToOne {
            app.strangers.told.invalidate(&message.sender);
        }
        return;
    };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        // Held until the answer is out.
        let _place = place;
        if message.chat == ChatKind::Group {
            let mentioned = match app.bot_open_id().await {
                Ok(bot) => message.mentions.iter().any(|mention| mention.open_id.as_ref() == Some(bot)),
                Err(_) => false,
            };
            if !mentioned || !app.strangers.may_answer(&message.sender, app.now()) {
                return;
            }
        }
        let chat = Receiver::Chat(message.chat_id.clone());
        say(&app, &message.sender, &chat, Language::of(&message.plain())).await;
    });
}

async fn say(app: &App, person: &OpenId, to: &Receiver, language: Option<Language>) {
    let text = view::help::stranger(person).said(language);
    let content = json!({ "text": text }).to_string();
    let uuid: String = hex::encode(Sha256::digest(format!("stranger {person}"))).chars().take(50).collect();
    app.talk.next(&app.store, || app.now()).await;
    if let Err(error) = app.feishu.send_message(app.now(), to, "text", &content, &uuid).await {
        tracing::debug!(%error, "a stranger could not be answered");
        app.strangers.told.invalidate(person);
    }
}
