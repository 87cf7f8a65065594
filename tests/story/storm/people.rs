//! What people do, whatever the weather: they propose, press, change their minds, repeat themselves.

use std::collections::BTreeSet;
use std::sync::Arc;

use feishu_broadcast::app::press;
use feishu_broadcast::domain::batch::BatchState;
use feishu_broadcast::domain::ids::BroadcastId;
use feishu_broadcast::feishu::event::{self, EventKind};
use serde_json::json;

use super::{APPROVERS, AUTHORS, Approved, Asked, BROADCASTS_MAX, CROWD, DEPARTMENTS, Day, PEOPLE, Said, crowd};
use crate::crash::death::die;
use crate::sandbox::world::Pressing;
use crate::sandbox::{ChatMessage, Press, Pressed};

/// What people type that is no broadcast.
const RUBBISH: [&str; 14] = [
    "/broadcast",
    "/broadcast 没有这个部门 你好",
    "/broadcast @@ x",
    "/brodcast 销售部 手滑",
    "/broadcast --at 昨天 销售部 x",
    "/broadcast od-00000000000000000000000000000000",
    "/status ZZZZZZ",
    "/status",
    "/cancel K7M2QX",
    "/list pending",
    "/whoami",
    "/help broadcast",
    "你好",
    "／群发",
];

impl Day<'_> {
    /// One of them proposes.
    pub(super) async fn proposes(&mut self) {
        if self.asked.len() >= BROADCASTS_MAX {
            return self.mistypes().await;
        }
        let author = AUTHORS[self.dice.throw(AUTHORS.len())];
        let words = format!("第{:02}条通知", self.asked.len());
        let (targets, may_get_it) = self.targets(author);
        let group = self.dice.throw(8) == 0 && author != "林悦";
        let command = format!("/broadcast {targets} {words}");
        self.asked.push(Asked { words, may_get_it });
        if group {
            let chat_id = self.tenant.group("项目群").chat_id;
            self.says(author, &chat_id, &format!("@群发助手 {command}"), &["群发助手"]).await;
        } else {
            let chat_id = self.tenant.person(author).chat_id();
            self.says(author, &chat_id, &command, &[]).await;
        }
    }

    /// Targets as typed, and everybody they may mean.
    fn targets(&mut self, author: &str) -> (String, BTreeSet<String>) {
        let company = self.tenant.company();
        let members = |path: &str| {
            let department = company.at(path).expect("a department of the company");
            company.members(&department.open_department_id).into_iter().map(|p| p.open_id.clone()).collect()
        };
        let id_of = |path: &str| company.at(path).expect("a department of the company").open_department_id.clone();
        match self.dice.throw(10) {
            0..=3 => {
                let first = self.dice.throw(PEOPLE.len());
                let count = 1 + self.dice.throw(4);
                let named = (0..count).map(|n| PEOPLE[(first + n) % PEOPLE.len()]);
                let mut ids: Vec<String> = named.map(|name| company.named(name).open_id.clone()).collect();
                let all = ids.iter().cloned().collect();
                if self.dice.throw(3) == 0 {
                    ids.push(format!("ou_{:032x}", self.dice.throw(1 << 30)));
                }
                (ids.join(","), all)
            }
            4..=5 => {
                let path = DEPARTMENTS[self.dice.throw(DEPARTMENTS.len())];
                let mut typed = id_of(path);
                if self.dice.throw(3) == 0 {
                    typed.push_str(&format!(",od-{:032x}", self.dice.throw(1 << 30)));
                }
                (typed, members(path))
            }
            6 if author == "王芳" => {
                let path = DEPARTMENTS[self.dice.throw(DEPARTMENTS.len())];
                (path.to_owned(), members(path))
            }
            7 if author == "王芳" => {
                let all: BTreeSet<String> = ["华东/客服部", "华南/客服部"].into_iter().flat_map(members).collect();
                ("客服部".to_owned(), all)
            }
            8 => {
                let mut all: BTreeSet<String> = members("销售部");
                all.insert(company.named("罗敏").open_id.clone());
                (format!("{},{}", id_of("销售部"), company.named("罗敏").open_id), all)
            }
            _ => {
                let count = [30, 210, CROWD][self.dice.throw(3)];
                let ids: Vec<String> = (0..count).map(|n| company.named(&crowd(n)).open_id.clone()).collect();
                (ids.join(","), ids.iter().cloned().collect())
            }
        }
    }

    /// Something that is no broadcast, from anybody whom the bot serves.
    pub(super) async fn mistypes(&mut self) {
        let person = [AUTHORS[0], AUTHORS[1], AUTHORS[2], "赵磊"][self.dice.throw(4)];
        let text = RUBBISH[self.dice.throw(RUBBISH.len())];
        let chat_id = self.tenant.person(person).chat_id();
        self.says(person, &chat_id, text, &[]).await;
    }

    async fn says(&mut self, name: &'static str, chat_id: &str, text: &str, mentions: &[&str]) {
        let person = self.tenant.person(name);
        let event = person.writes(chat_id, "text", &json!({ "text": text }), mentions, None);
        // What is not taken is pushed again by the platform.
        self.tenant.push(&event).await;
        self.said.push(Said { person: name, chat_id: chat_id.to_owned(), event });
    }

    /// The platform pushes an event once more, under another event_id.
    pub(super) async fn says_it_again(&mut self) {
        if self.said.is_empty() {
            return;
        }
        let at = self.dice.throw(self.said.len());
        let again = self.said[at].event.clone().with_event_id(&format!("again-{}", self.dice.throw(1 << 30)));
        self.tenant.push(&again).await;
    }

    /// The cards this person sees, the newest of each broadcast.
    pub(super) fn cards(&self, name: &str) -> Vec<ChatMessage> {
        let mut seen = BTreeSet::new();
        let chat = self.tenant.person(name).chat().into_iter().rev();
        chat.filter(|message| message.card.is_some() && !message.deleted)
            .filter(|card| id_on(card).is_none_or(|id| seen.insert(id)))
            .collect()
    }

    /// An approver presses something they are offered, perhaps twice.
    pub(super) async fn approver_presses(&mut self) {
        let name = APPROVERS[self.dice.throw(APPROVERS.len())];
        let offered: Vec<ChatMessage> =
            self.cards(name).into_iter().filter(|card| self.offers(name, card).contains(&"approve".into())).collect();
        if offered.is_empty() {
            return;
        }
        let card = &offered[self.dice.throw(offered.len())];
        if self.dice.throw(8) == 0 {
            return self.presses(name, card, "preview").await;
        }
        let action = if self.dice.throw(6) == 0 { "reject" } else { "approve" };
        let person = self.tenant.person(name);
        let Ok((event, _)) = person.press_event(&card.message_id, &Press::action(action)) else { return };
        let pressed = self.tenant.push_press(&event).await;
        self.note(name, card, action, &pressed);
        match self.dice.throw(6) {
            // The same press is delivered twice, or pressed twice.
            0 => drop(self.tenant.push_press(&event).await),
            1 => self.presses(name, card, action).await,
            _ => {}
        }
    }

    pub(super) fn offers(&self, name: &str, card: &ChatMessage) -> Vec<String> {
        let all: Vec<String> =
            self.tenant.person(name).controls(card).iter().map(|control| control.action().to_owned()).collect();
        let in_doubt = all.iter().any(|action| action == "settle");
        // Samples and broadcasts to repaired ids are messages beyond the plan, and a time to leave at outlasts the day; they
        // have stories of their own.
        let apart = ["preview", "schedule"];
        all.into_iter().filter(|action| !apart.contains(&action.as_str()) && (action != "resend" || in_doubt)).collect()
    }

    /// An author does one of the things their cards offer.
    pub(super) async fn author_decides(&mut self) {
        let name = AUTHORS[self.dice.throw(AUTHORS.len())];
        let mut choices = vec![];
        for card in self.cards(name) {
            let offered = self.offers(name, &card);
            for action in offered.iter().filter(|action| is_of_the_storm(action, &offered)).cloned() {
                // An author who cancels everything would leave no storm.
                let rare = ["cancel", "refresh", "preview"].contains(&action.as_str());
                if action == "reject" || (rare && self.dice.throw(4) > 0) {
                    continue;
                }
                choices.push((card.clone(), action));
            }
        }
        if choices.is_empty() {
            return;
        }
        let (card, action) = choices.swap_remove(self.dice.throw(choices.len()));
        if action == "cancel" && self.dice.throw(2) == 0 {
            let Some(id) = id_on(&card) else { return };
            let chat_id = self.tenant.person(name).chat_id();
            return self.says(name, &chat_id, &format!("/cancel {id}"), &[]).await;
        }
        self.presses(name, &card, &action).await;
    }

    /// Presses that may do nothing: by the wrong person, from an old card, of something else.
    pub(super) async fn meddles(&mut self) {
        let cards: Vec<ChatMessage> = AUTHORS.into_iter().flat_map(|name| self.cards(name)).collect();
        if cards.is_empty() {
            return;
        }
        let card = &cards[self.dice.throw(cards.len())];
        let Some(id) = id_on(card) else { return };
        let version = self.tenant.with(|world| world.message(&card.message_id).map_or(0, |m| m.newest_version));
        let (name, action, version) = match self.dice.throw(4) {
            0 => ("陈晨", "approve", version),
            1 => ("赵磊", "approve", version - 1),
            2 => ("赵磊", "resend", version),
            // From an old card, so that it changes nothing for its author either.
            _ => ("林悦", "recall", version - 1),
        };
        let value = json!({ "action": action, "broadcast": id, "version": version });
        let pressed = self.tenant.person(name).presses_raw(&card.message_id, value).await;
        self.note(name, card, action, &pressed);
    }

    pub(super) async fn presses(&mut self, name: &'static str, card: &ChatMessage, action: &str) {
        let mut press = Press::action(action);
        if action == "pick" {
            let controls = self.tenant.person(name).controls(card);
            let options = controls.into_iter().find(|c| c.action() == "pick").map(|c| c.options).unwrap_or_default();
            if options.is_empty() {
                return;
            }
            press = press.option(&options[self.dice.throw(options.len())]);
        }
        let doubtful = self.doubtful(card).await;
        let Ok(pressed) = self.tenant.person(name).presses(card, press).await else { return };
        if !self.note(name, card, action, &pressed) {
            return;
        }
        match action {
            "preview" => self.was_shown(name, card),
            "resend" => self.sent_again(doubtful),
            "settle" if pressed.toast.is_some_and(|toast| toast.kind == "success") => self.taken.extend(doubtful),
            _ => {}
        }
    }

    fn was_shown(&mut self, name: &str, card: &ChatMessage) {
        if let Some(id) = id_on(card) {
            *self.shown.entry((id, self.tenant.person(name).open_id)).or_default() += 1;
        }
    }

    fn sent_again(&mut self, batches: Vec<(String, i64)>) {
        for batch in batches {
            *self.resent.entry(batch).or_default() += 1;
        }
    }

    /// The batches in doubt of the broadcast on this card: what `resend` would send again.
    async fn doubtful(&self, card: &ChatMessage) -> Vec<(String, i64)> {
        let Some(id) = id_on(card).and_then(|id| BroadcastId::parse(&id)) else { return vec![] };
        let mut batches = self.stage.bot.app.store.batches(&id).await;
        for _ in 0..20 {
            if batches.is_ok() {
                break;
            }
            batches = self.stage.bot.app.store.batches(&id).await;
        }
        let batches = batches.expect("the store is read again");
        batches.iter().filter(|batch| batch.state == BatchState::InDoubt).map(|b| (id.to_string(), b.seq)).collect()
    }

    /// Keeps in mind what may have been decided. Returns false where the press was turned away for certain.
    fn note(&mut self, name: &'static str, card: &ChatMessage, action: &str, pressed: &Pressed) -> bool {
        let turned_away = pressed.toast.as_ref().is_some_and(|toast| {
            // Whoever is asked to press again does not know whether the first press counted.
            ["error", "warning"].contains(&toast.kind.as_str()) && !toast.content.contains("请再点一次")
        });
        if turned_away {
            return false;
        }
        let Some(id) = id_on(card) else { return false };
        let unsure = pressed.toast.as_ref().is_none_or(|toast| toast.kind == "error");
        if unsure {
            self.may_have_been(name, action, &id, &card.message_id);
        }
        if action == "approve" {
            self.approved.push(Approved { by: name, broadcast: id });
        }
        true
    }

    /// A press without an answer may count all the same, and the tenant is told so.
    fn may_have_been(&self, name: &str, action: &str, id: &str, message_id: &str) {
        let person = self.tenant.person(name).open_id;
        self.tenant.with(|world| {
            world.pressed.push(Pressing {
                person,
                action: action.into(),
                broadcast: id.into(),
                message_id: message_id.into(),
                welcomed: true,
            });
        });
    }

    /// The bot dies while it decides about a press.
    pub(super) async fn dies_deciding(&mut self) -> anyhow::Result<()> {
        let moment = self.dice.throw(40);
        let mut choices = vec![];
        for name in ["赵磊", "王芳", "林悦", "周明"] {
            for card in self.cards(name) {
                let offered = self.offers(name, &card);
                for action in offered.iter().filter(|action| is_of_the_storm(action, &offered)).cloned() {
                    if ["approve", "resend", "settle", "cancel", "confirm", "preview"].contains(&action.as_str()) {
                        choices.push((name, card.clone(), action));
                    }
                }
            }
        }
        if choices.is_empty() {
            return self.dies().await;
        }
        let (name, card, action) = choices.swap_remove(self.dice.throw(choices.len()));
        let Ok((event, _)) = self.tenant.person(name).press_event(&card.message_id, &Press::action(&action)) else {
            return Ok(());
        };
        let event = event::Event::parse(event.body.to_string().as_bytes())?;
        let EventKind::CardAction(pressed) = event.kind else { anyhow::bail!("no press") };
        let Some(id) = id_on(&card) else { return Ok(()) };
        self.may_have_been(name, &action, &id, &card.message_id);
        if action == "resend" {
            let doubtful = self.doubtful(&card).await;
            self.sent_again(doubtful);
        }
        if action == "approve" {
            self.approved.push(Approved { by: name, broadcast: id });
        }
        if action == "preview" {
            self.was_shown(name, &card);
        }
        let key = event.key.to_string();
        let died = die(self.stage, moment, async move |app: Arc<feishu_broadcast::app::App>| {
            press::press(&app, &key, &pressed).await.map(drop)
        })
        .await;
        self.died(died.is_ok()).await
    }

    /// Everybody presses what waits for them. Returns whether there was anything.
    pub(super) async fn everybody_decides(&mut self) -> anyhow::Result<bool> {
        let mut something = false;
        for name in ["赵磊", "周明", "王芳", "林悦"] {
            for card in self.cards(name) {
                let offered = self.offers(name, &card);
                let one_of = |wanted: &[&str]| offered.iter().any(|action| wanted.contains(&action.as_str()));
                let action = if one_of(&["confirm"]) {
                    "confirm"
                } else if one_of(&["pick"]) {
                    "pick"
                } else if one_of(&["settle"]) {
                    ["resend", "settle"][self.dice.throw(2)]
                } else if one_of(&["approve"]) {
                    ["approve", "approve", "approve", "reject"][self.dice.throw(4)]
                } else {
                    continue;
                };
                something = true;
                self.presses(name, &card, action).await;
            }
        }
        Ok(something)
    }
}

/// What is sent again to ids that were invalid is a broadcast of its own with the same words, and not told apart here.
fn is_of_the_storm(action: &str, offered: &[String]) -> bool {
    // What is taken back is told of in stories of its own; here everybody keeps what they got.
    let back = ["recall", "correct"].contains(&action);
    !back && (action != "resend" || offered.iter().any(|other| other == "settle"))
}

/// The id of the broadcast on a card: the word after `群发` in its title.
pub(super) fn id_on(card: &ChatMessage) -> Option<String> {
    let line = card.text.lines().find_map(|line| line.strip_prefix("群发 "))?;
    let id: String = line.chars().take(6).collect();
    BroadcastId::parse(&id).map(|id| id.to_string())
}
