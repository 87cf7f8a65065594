//! What one employee sees and does: writing, reading, pressing, receiving.

use std::time::Duration;

use serde_json::{Value, json};

use super::cards::controls::{self, Control};
use super::draft::Draft;
use super::events::Event;
use super::people::Employee;
use super::push::Pushed;
use super::record::PushKind;
use super::tenant::Tenant;
use super::view::view;
pub use super::view::{ChatMessage, Delivered, Toast, words};
use super::world::Author;

/// One employee, ready to act.
#[derive(Clone)]
pub struct Person {
    pub(super) tenant: Tenant,
    pub name: String,
    pub open_id: String,
}

/// What came of a press.
#[derive(Clone, Debug)]
pub struct Pressed {
    /// 0 where no answer came in time.
    pub status: u16,
    pub body: String,
    pub elapsed: Duration,
    pub toast: Option<Toast>,
    /// The dialog that the client showed before, and that was agreed to.
    pub confirm: Option<Value>,
}

impl Pressed {
    /// The toast's words; empty where there was none.
    pub fn says(&self) -> &str {
        self.toast.as_ref().map_or("", |toast| &toast.content)
    }
}

/// Which control to press, and with what filled in.
#[derive(Clone, Debug, Default)]
pub struct Press {
    /// The `action` of the control's callback value.
    pub action: String,
    /// For a select: the value chosen.
    pub option: Option<String>,
    /// Further keys the callback value must have, where several controls share an action.
    pub with: Vec<(String, Value)>,
    /// What is typed into the inputs of the form the control stands in.
    pub form: Vec<(String, Value)>,
}

impl Press {
    /// A press of the control with this action.
    pub fn action(action: &str) -> Press {
        Press { action: action.into(), ..Press::default() }
    }

    /// Chooses an option of a select.
    pub fn option(mut self, option: &str) -> Press {
        self.option = Some(option.into());
        self
    }

    /// Only the control whose value has this key.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Press {
        self.with.push((key.into(), value.into()));
        self
    }

    /// Fills in an input.
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Press {
        self.form.push((name.into(), value.into()));
        self
    }
}

impl From<&str> for Press {
    fn from(action: &str) -> Press {
        Press::action(action)
    }
}

impl Person {
    /// Everything the company knows about them.
    pub fn employee(&self) -> Employee {
        self.tenant.with(|world| world.employee(&self.open_id).clone())
    }

    /// The chat with the bot.
    pub fn chat_id(&self) -> String {
        self.tenant.with(|world| world.p2p_chat(&self.open_id))
    }

    /// Writes to the bot.
    pub async fn says(&self, text: &str) -> Pushed {
        self.says_with(text, &[]).await
    }

    /// Writes to the bot; each of `mentions` stands in the text as `@name` and is a real mention.
    pub async fn says_with(&self, text: &str, mentions: &[&str]) -> Pushed {
        let event = self.writes(&self.chat_id(), "text", &json!({"text": text}), mentions, None);
        self.tenant.push(&event).await
    }

    /// Writes rich text to the bot: `{"title", "content": [[node, …], …]}`.
    pub async fn says_post(&self, post: Value) -> Pushed {
        self.sends(Draft::post(post)).await
    }

    /// Sends anything to the bot: files in rich text, replies that are no text, mentions in a reply.
    pub async fn sends(&self, draft: Draft) -> Pushed {
        let event = self.drafts(&self.chat_id(), draft);
        self.tenant.push(&event).await
    }

    /// Writes into a group. `@bot name` in the text becomes a mention of the bot, and `mentions` of others.
    ///
    /// The bot hears of it only where it is mentioned; `None` otherwise.
    pub async fn says_in_group(&self, chat_id: &str, text: &str, mentions: &[&str]) -> Option<Pushed> {
        let bot = self.tenant.with(|world| world.company.bot_name.clone());
        let called = text.contains(&format!("@{bot}"));
        let mut names: Vec<&str> = if called { vec![&bot] } else { vec![] };
        names.extend(mentions);
        let event = self.writes(chat_id, "text", &json!({"text": text}), &names, None);
        if called { Some(self.tenant.push(&event).await) } else { None }
    }

    /// Answers a message in the chat with the bot.
    pub async fn replies(&self, to: impl AsRef<str>, text: &str) -> Pushed {
        self.sends(Draft::text(text).replying(to)).await
    }

    /// Answers a message in the chat with the bot by rich text.
    pub async fn replies_post(&self, to: impl AsRef<str>, post: Value) -> Pushed {
        self.sends(Draft::post(post).replying(to)).await
    }

    /// Sends a file or an image (by its name's end) to the bot.
    pub async fn sends_file(&self, name: &str, bytes: &[u8]) -> Pushed {
        if [".png", ".jpg", ".gif"].iter().any(|end| name.ends_with(end)) {
            return self.sends_image(bytes).await;
        }
        let key = self.tenant.with(|world| world.fresh_id("file_v3_"));
        self.sends(Draft::file(&key, name, bytes)).await
    }

    /// Sends an image to the bot. Nothing looks at the bytes: the platform does so only when an app uploads some.
    pub async fn sends_image(&self, bytes: &[u8]) -> Pushed {
        let key = self.tenant.with(|world| world.fresh_id("img_v3_"));
        self.sends(Draft::image(&key, bytes)).await
    }

    /// Shares the card of a group with the bot.
    pub async fn shares_chat(&self, chat_id: &str) -> Pushed {
        self.sends(Draft::chat(chat_id)).await
    }

    /// Forwards the card of another app to the bot. Its event has no more than the card's words; the card itself comes
    /// by GET with `card_msg_content_type=user_card_content`, and its images are that app's, for nobody to download.
    pub async fn sends_card(&self, card: Value) -> Pushed {
        self.sends(Draft::card(card)).await
    }

    /// What this person wrote to the bot last, whatever it is: what a reply goes to.
    pub fn last_said(&self) -> Option<ChatMessage> {
        self.chat().into_iter().rfind(|message| !message.from_bot)
    }

    /// Puts a message into a chat and gives its event without pushing it: for duplicates, forgeries and storms.
    pub fn writes(
        &self,
        chat_id: &str,
        msg_type: &str,
        content: &Value,
        mentions: &[&str],
        parent: Option<&str>,
    ) -> Event {
        self.tenant.with(|world| world.message_event(&self.open_id, chat_id, msg_type, content, mentions, parent))
    }

    /// Puts a draft into a chat and gives its event without pushing it.
    pub fn drafts(&self, chat_id: &str, draft: Draft) -> Event {
        self.tenant.with(|world| world.put(&self.open_id, chat_id, draft))
    }

    /// The event of a text to the bot, not pushed yet.
    pub fn text_event(&self, text: &str) -> Event {
        self.writes(&self.chat_id(), "text", &json!({"text": text}), &[], None)
    }

    /// Takes a message back.
    pub async fn recalls(&self, message_id: impl AsRef<str>) -> Pushed {
        let event = self.tenant.with(|world| {
            let now = world.now().to_string();
            let chat_id = world.message_mut(message_id.as_ref()).map(|message| {
                message.deleted = true;
                message.chat_id.clone()
            });
            let inner = json!({"message_id": message_id.as_ref(), "chat_id": chat_id, "recall_time": now,
                "recall_type": "message_owner"});
            world.event(PushKind::Event, "im.message.recalled_v1", inner)
        });
        self.tenant.push(&event).await
    }

    /// The chat with the bot, oldest first, both sides, as it stands now.
    pub fn chat(&self) -> Vec<ChatMessage> {
        let chat_id = self.chat_id();
        self.tenant.chat_messages(&chat_id)
    }

    /// The newest card in the chat with the bot.
    pub fn last_card(&self) -> Option<ChatMessage> {
        self.chat().into_iter().rfind(|message| message.from_bot && message.card.is_some() && !message.deleted)
    }

    /// A message as it stands now.
    pub fn sees(&self, message_id: impl AsRef<str>) -> Option<ChatMessage> {
        self.tenant.with(|world| world.message(message_id.as_ref()).map(|message| view(world, message)))
    }

    /// The next message of the bot that this handle's person has not been given yet, without waiting.
    pub fn unread(&self) -> Option<ChatMessage> {
        let chat = self.chat();
        let bot: Vec<&ChatMessage> = chat.iter().filter(|message| message.from_bot).collect();
        self.tenant.with(|world| {
            let mark = world.read_marks.entry(self.open_id.clone()).or_default();
            let next = bot.get(*mark)?;
            *mark += 1;
            Some((*next).clone())
        })
    }

    /// The next message of the bot, waited for.
    ///
    /// # Errors
    /// Nothing came within five seconds.
    pub async fn next_message(&self) -> Result<ChatMessage, String> {
        for _ in 0..250 {
            if let Some(message) = self.unread() {
                return Ok(message);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("the bot wrote nothing to {} within 5 s", self.name))
    }

    /// The next card of the bot, waited for; other messages before it are passed over.
    ///
    /// # Errors
    /// None came within five seconds.
    pub async fn next_card(&self) -> Result<ChatMessage, String> {
        loop {
            let message = self.next_message().await?;
            if message.card.is_some() {
                return Ok(message);
            }
        }
    }

    /// Presses a control of a card, as this person sees it now, and agrees to its dialog.
    ///
    /// # Errors
    /// The card is not there, shows no such control, or the client would not let it be pressed like this.
    pub async fn presses(&self, card: impl AsRef<str>, press: impl Into<Press>) -> Result<Pressed, String> {
        let (event, confirm) = self.press_event(card.as_ref(), &press.into())?;
        let mut pressed = self.tenant.push_press(&event).await;
        pressed.confirm = confirm;
        Ok(pressed)
    }

    /// The callback of a press, and the dialog before it; not sent yet.
    ///
    /// # Errors
    /// Like [`Person::presses`].
    pub fn press_event(&self, message_id: &str, press: &Press) -> Result<(Event, Option<Value>), String> {
        self.tenant.with(|world| {
            let message = world.message(message_id).ok_or("there is no such message")?;
            if !world.members_of(&message.chat_id).contains(&self.open_id) {
                return Err(format!("{} is not in the chat of this card", self.name));
            }
            if message.deleted || message.msg_type != "interactive" {
                return Err("this is no card, or it was recalled".into());
            }
            if message.author != Author::Bot {
                return Err("a forwarded card calls the app that made it, not this bot".into());
            }
            let days = if super::cards::is_v2(&message.content) { 14 } else { 30 };
            if world.now() - message.created_ms > days * 86_400_000 {
                return Err("the card is too old to be pressed".into());
            }
            let chat_id = message.chat_id.clone();
            let (control, action) = controls::press(&message.content, press)?;
            Ok((world.press_event(&self.open_id, message_id, &chat_id, action), control.confirm))
        })
    }

    /// A press with any value, as a forwarded copy or a tampering client would send it.
    pub async fn presses_raw(&self, message_id: impl AsRef<str>, value: Value) -> Pressed {
        let event = self.tenant.with(|world| {
            let chat_id = world.message(message_id.as_ref()).map(|m| m.chat_id.clone()).unwrap_or_default();
            let action = json!({"value": value, "tag": "button"});
            world.press_event(&self.open_id, message_id.as_ref(), &chat_id, action)
        });
        self.tenant.push_press(&event).await
    }

    /// What a card lets this person press.
    pub fn controls(&self, card: impl AsRef<str>) -> Vec<Control> {
        self.sees(card).and_then(|message| message.card).map_or(vec![], |card| controls::find(&card))
    }

    /// The batch messages that have arrived, oldest first.
    pub fn inbox(&self) -> Vec<Delivered> {
        self.tenant.with(|world| {
            world.settle();
            world.inboxes.get(&self.open_id).cloned().unwrap_or_default()
        })
    }

    /// Reads everything in the inbox.
    pub fn reads(&self) {
        self.tenant.with(|world| {
            world.settle();
            let now = world.now();
            for message in world.inboxes.entry(self.open_id.clone()).or_default() {
                message.read_at_ms.get_or_insert(now);
            }
        });
    }

    /// Chooses an item of the bot's menu, of the type that pushes an event.
    pub async fn chooses(&self, event_key: &str) -> Pushed {
        let event = self.tenant.with(|world| {
            let mut operator = json!({"operator_id": world.ids_of(&self.open_id)});
            if world.chance(2) {
                operator["operator_name"] = self.name.clone().into();
            }
            let inner = json!({"operator": operator, "event_key": event_key, "timestamp": world.now() / 1000});
            world.event(PushKind::Event, "application.bot.menu_v6", inner)
        });
        self.tenant.push(&event).await
    }

    /// Opens the chat with the bot.
    pub async fn opens_chat(&self) -> Pushed {
        let event = self.tenant.with(|world| {
            let inner = json!({"chat_id": world.p2p_chat(&self.open_id), "operator_id": world.ids_of(&self.open_id)});
            world.event(PushKind::Event, "im.chat.access_event.bot_p2p_chat_entered_v1", inner)
        });
        self.tenant.push(&event).await
    }
}
