//! Everything the platform remembers. One value behind one lock; nothing in here waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::batch::Task;
use super::events::Event;
use super::faults::{Fault, Switches};
use super::http::rates::Rates;
use super::people::{Company, Employee, id_of};
use super::person::Delivered;
use super::record::{Call, Push};
use super::seal::sha256_hex;

/// The app as its console page describes it.
#[derive(Clone, Debug)]
pub struct App {
    pub app_id: String,
    pub app_secret: String,
    pub encrypt_key: Option<String>,
    pub verification_token: String,
    pub tenant_key: String,
    pub bot_open_id: String,
    pub redirect_uris: Vec<String>,
    /// Scopes of the app's own identity.
    pub tenant_scopes: BTreeSet<String>,
    /// Scopes of the same kind that nobody has agreed to yet.
    pub waiting_scopes: BTreeSet<String>,
    /// Scopes that people may grant.
    pub user_scopes: BTreeSet<String>,
    /// 2 is "enabled".
    pub bot_status: i64,
    pub bot_ability: bool,
    pub enabled: bool,
    pub refresh_allowed: bool,
    /// `open_department_id`s the app may read; `None` is everybody.
    pub contact_range: Option<Vec<String>>,
}

/// Scopes every story begins with: the console's checklist done in full.
const TENANT_SCOPES: [&str; 18] = [
    "im:message:send_as_bot",
    "im:message:send_multi_users",
    "im:message:send_multi_depts",
    "im:message.p2p_msg:readonly",
    "im:message.group_at_msg:readonly",
    "im:message:readonly",
    "im:message:update",
    "im:message:recall",
    "im:resource",
    "contact:contact.base:readonly",
    "contact:department.base:readonly",
    "contact:department.organize:readonly",
    "contact:user.base:readonly",
    "contact:user.id:readonly",
    "contact:user.basic_profile:readonly",
    "contact:user.department:readonly",
    "contact:user.employee:readonly",
    "contact:user.employee_id:readonly",
];
const USER_SCOPES: [&str; 4] = [
    "contact:contact.base:readonly",
    "contact:department.base:readonly",
    "contact:department.organize:readonly",
    "offline_access",
];

impl App {
    fn fresh() -> App {
        App {
            app_id: "cli_a1b2c3d4e5f60718".into(),
            app_secret: "Secret0fTheSimulatedApp0123456789".into(),
            encrypt_key: Some("simulated-encrypt-key-密钥".into()),
            verification_token: "vt-simulated-0123456789".into(),
            tenant_key: "2ca1d211f64f6438".into(),
            bot_open_id: id_of("ou_", "bot", "群发助手", 32),
            redirect_uris: vec![],
            waiting_scopes: BTreeSet::new(),
            tenant_scopes: TENANT_SCOPES.map(str::to_owned).into(),
            user_scopes: USER_SCOPES.map(str::to_owned).into(),
            bot_status: 2,
            bot_ability: true,
            enabled: true,
            refresh_allowed: true,
            contact_range: None,
        }
    }
}

/// Who wrote a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    Bot,
    Person(String),
}

/// One message in a chat.
#[derive(Clone, Debug)]
pub struct Message {
    pub message_id: String,
    pub chat_id: String,
    pub author: Author,
    pub msg_type: String,
    /// The parsed content: the card itself for `interactive`.
    pub content: Value,
    pub mentions: Value,
    pub parent_id: Option<String>,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub edits: u32,
    pub deleted: bool,
    /// The highest `version` any callback value of this card ever carried; guards against late PATCHes.
    pub newest_version: i64,
    /// Every card this message has been, oldest first.
    pub history: Vec<Value>,
    /// file_key to (name, bytes) of what a person attached.
    pub attachments: BTreeMap<String, (String, Vec<u8>)>,
}

/// One token of the app.
#[derive(Clone, Debug)]
pub struct TenantToken {
    pub token: String,
    pub expires_ms: i64,
    pub revoked: bool,
}

/// One access token of a person, and its refresh token.
#[derive(Clone, Debug)]
pub struct UserGrant {
    pub open_id: String,
    pub access_token: String,
    pub access_expires_ms: i64,
    pub refresh_token: Option<String>,
    pub refresh_expires_ms: i64,
    pub refresh_used: bool,
    pub revoked: bool,
    pub scopes: BTreeSet<String>,
    /// When the person consented; refreshing ends 365 days later.
    pub consented_ms: i64,
}

/// A consent page that was shown, and perhaps the code it led to.
#[derive(Clone, Debug)]
pub struct Consent {
    pub ticket: String,
    pub redirect_uri: String,
    pub state: Option<String>,
    pub scopes: BTreeSet<String>,
    pub challenge: Option<(String, String)>,
    pub code: Option<String>,
    pub code_expires_ms: i64,
    pub code_used: bool,
    pub open_id: Option<String>,
}

/// A press that the bot has answered.
#[derive(Clone, Debug)]
pub struct Pressing {
    /// open_id of whoever pressed.
    pub person: String,
    pub action: String,
    /// `broadcast` of the callback value.
    pub broadcast: String,
    pub message_id: String,
    /// The toast was no error and no warning.
    pub welcomed: bool,
}

/// An event that is owed to the bot again.
#[derive(Clone, Debug)]
pub struct Owed {
    pub due_ms: i64,
    pub attempt: u32,
    pub event: Event,
}

/// An image or file the app uploaded.
#[derive(Clone, Debug)]
pub struct Upload {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The platform's whole memory of one tenant and one app.
pub struct World {
    pub company: Company,
    pub app: App,
    pub switches: Switches,
    pub offset_ms: Arc<AtomicI64>,
    pub open_origin: String,
    pub accounts_origin: String,
    pub bot_url: String,
    /// p2p chats with the bot: chat_id to open_id.
    pub p2p: BTreeMap<String, String>,
    pub messages: Vec<Message>,
    pub uuids: HashMap<(String, String), (String, i64, String)>,
    pub tasks: Vec<Task>,
    pub inboxes: BTreeMap<String, Vec<Delivered>>,
    pub tenant_tokens: Vec<TenantToken>,
    pub grants: Vec<UserGrant>,
    pub granted_scopes: BTreeMap<String, BTreeSet<String>>,
    pub consents: Vec<Consent>,
    /// Whose browser opens a consent page.
    pub browser: Option<String>,
    pub images: BTreeMap<String, Upload>,
    pub files: BTreeMap<String, Upload>,
    pub pages: HashMap<String, (Vec<usize>, i64)>,
    pub card_tokens: HashMap<String, (String, i64, u32)>,
    pub rates: Rates,
    pub faults: Vec<Fault>,
    pub owed: Vec<Owed>,
    /// Presses that have not been answered yet, per message_id.
    pub open_presses: HashMap<String, u32>,
    /// Every press that was answered with 200.
    pub pressed: Vec<Pressing>,
    /// Per person: how many bot messages `next_message` has handed out.
    pub read_marks: HashMap<String, usize>,
    /// Requests that were refused for good: fingerprint to code.
    pub refused: HashMap<String, i64>,
    pub calls: Vec<Call>,
    pub pushes: Vec<Push>,
    pub violations: Vec<String>,
    pub counter: u64,
    chance: u64,
}

impl World {
    /// A tenant on its first morning. `seed` decides which optional fields pushes omit.
    pub fn new(company: Company, seed: u64) -> World {
        World {
            company,
            app: App::fresh(),
            switches: Switches::default(),
            offset_ms: Arc::default(),
            open_origin: String::new(),
            accounts_origin: String::new(),
            bot_url: String::new(),
            p2p: BTreeMap::new(),
            messages: vec![],
            uuids: HashMap::new(),
            tasks: vec![],
            inboxes: BTreeMap::new(),
            tenant_tokens: vec![],
            grants: vec![],
            granted_scopes: BTreeMap::new(),
            consents: vec![],
            browser: None,
            images: BTreeMap::new(),
            files: BTreeMap::new(),
            pages: HashMap::new(),
            card_tokens: HashMap::new(),
            rates: Rates::default(),
            faults: vec![],
            owed: vec![],
            open_presses: HashMap::new(),
            pressed: vec![],
            read_marks: HashMap::new(),
            refused: HashMap::new(),
            calls: vec![],
            pushes: vec![],
            violations: vec![],
            counter: 0,
            chance: seed | 1,
        }
    }

    /// The tenant's clock: the machine's, moved by what stories skipped.
    pub fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the machine's clock is past 1970");
        i64::try_from(since.as_millis()).expect("fits until the year 292 million")
            + self.offset_ms.load(Ordering::SeqCst)
    }

    /// A coin from the seed; true once in `sides`.
    pub fn chance(&mut self, sides: u64) -> bool {
        // xorshift64: enough to shuffle optional fields, and repeatable.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance.is_multiple_of(sides)
    }

    /// A new id in the platform's shape.
    pub fn fresh_id(&mut self, prefix: &str) -> String {
        self.counter += 1;
        let salt = self.app.app_secret.clone();
        format!("{prefix}{}", &sha256_hex(format!("{salt}/{prefix}/{}/{}", self.now(), self.counter).as_bytes())[..32])
    }

    /// The next number of a log entry.
    pub fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Something the platform's contract forbids has happened.
    pub fn violation(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    /// The chat of this person with the bot.
    pub fn p2p_chat(&mut self, open_id: &str) -> String {
        let chat_id = id_of("oc_", "p2p", open_id, 32);
        self.p2p.insert(chat_id.clone(), open_id.to_owned());
        chat_id
    }

    /// Everybody who sees a chat.
    pub fn members_of(&self, chat_id: &str) -> Vec<String> {
        match self.p2p.get(chat_id) {
            Some(open_id) => vec![open_id.clone()],
            None => self.company.groups.iter().find(|g| g.chat_id == chat_id).map_or(vec![], |g| g.members.clone()),
        }
    }

    /// A message by its id.
    pub fn message(&self, message_id: &str) -> Option<&Message> {
        self.messages.iter().rfind(|m| m.message_id == message_id)
    }

    /// A message by its id, to change.
    pub fn message_mut(&mut self, message_id: &str) -> Option<&mut Message> {
        self.messages.iter_mut().rfind(|m| m.message_id == message_id)
    }

    /// The top of the tree of replies in which this message stands.
    pub fn root_of(&self, message_id: &str) -> String {
        let mut root = message_id.to_owned();
        while let Some(parent) = self.message(&root).and_then(|message| message.parent_id.clone()) {
            root = parent;
        }
        root
    }

    /// A person by open_id, who must exist.
    pub fn employee(&self, open_id: &str) -> &Employee {
        self.company.by_open_id(open_id).expect("handles are only made for people of the company")
    }

    /// Whether the app may read this department with its own identity.
    pub fn in_range(&self, open_department_id: &str) -> bool {
        self.app
            .contact_range
            .as_ref()
            .is_none_or(|range| range.iter().any(|outer| self.company.within(open_department_id, outer)))
    }
}
