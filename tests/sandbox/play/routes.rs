//! What the page may ask for: its own HTML, what there is to see, and to act as somebody; `sends.rs` has what people
//! send.
//!
//! Every act goes the way it goes in the real world: a message is pushed to the bot as a sealed event, a press as a
//! callback that the client waits for. What went wrong comes back as `error` in words, with status 200, because it is
//! the bot's or the person's mistake and not the page's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::{HttpResponse, Responder, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::sandbox::{Press, PushKind, Tenant};
use crate::sends::{self, Upload};
use crate::{look, switches};

/// The page itself: one file, nothing loaded from elsewhere.
const PAGE: &str = include_str!("../page.html");

/// How long a question for news may wait for some.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the tenant is looked at while somebody waits; below what an eye notices.
const GLANCE: Duration = Duration::from_millis(80);

/// The furthest the clock may be moved in one go: a year.
const LATER_MINUTES_MAX: u64 = 366 * 24 * 60;

/// What the page's server remembers; all else is the tenant's.
pub struct Play {
    pub tenant: Tenant,
    bot_url: String,
    public_url: String,
    /// Tells one start of the playground from the next, so that a page forgets the walk of the last one.
    run: String,
    /// How many of the bot's messages each person has looked at.
    seen: Mutex<HashMap<String, usize>>,
    /// Whether every message is pushed twice.
    pub twice: AtomicBool,
    /// What people have uploaded and not sent yet.
    pub uploads: Mutex<Vec<Upload>>,
}

impl Play {
    pub fn new(tenant: Tenant, bot_url: &str, public_url: &str) -> Play {
        Play {
            run: tenant.now_ms().to_string(),
            tenant,
            bot_url: bot_url.to_owned(),
            public_url: public_url.to_owned(),
            seen: Mutex::default(),
            twice: AtomicBool::new(false),
            uploads: Mutex::default(),
        }
    }

    /// The bot's messages that nobody has looked at, by person. Whoever `looks` has seen theirs.
    fn unread(&self, looks: Option<&str>) -> HashMap<String, usize> {
        let written = self.tenant.with(|world| look::written_by_bot(world));
        // Counters stay right even where another request panicked while holding them.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((who, count)) = looks.and_then(|who| written.get_key_value(who)) {
            seen.insert(who.clone(), *count);
        }
        let missed = |(who, count): (String, usize)| {
            let missed = count.saturating_sub(seen.get(&who).copied().unwrap_or(0));
            (missed > 0).then_some((who, missed))
        };
        written.into_iter().filter_map(missed).collect()
    }
}

/// Every route of the playground.
pub fn all(app: &mut web::ServiceConfig) {
    app.route("/", web::get().to(page))
        .route("/play/world", web::get().to(world))
        .route("/play/state", web::get().to(state))
        .route("/play/inbox", web::get().to(inbox))
        .route("/play/connection", web::get().to(connection))
        .route("/play/here", web::post().to(here))
        .route("/play/press", web::post().to(press))
        .route("/play/fault", web::post().to(fault))
        .route("/play/later", web::post().to(later))
        .route("/play/seal", web::post().to(seal))
        .route("/play/consent", web::post().to(consent))
        .configure(sends::all);
}

pub fn wrong(zh: &str, en: &str) -> web::Json<Value> {
    web::Json(json!({"error": zh, "error_en": en}))
}

pub fn stranger() -> web::Json<Value> {
    wrong("公司里没有这个人", "nobody in the company has this open_id")
}

async fn page() -> impl Responder {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(PAGE)
}

async fn world(play: web::Data<Play>) -> impl Responder {
    let faults = switches::list(&play.tenant, &play.twice);
    web::Json(look::world(&play.tenant.company(), &play.run, &faults))
}

#[derive(Deserialize)]
struct News {
    r#as: Option<String>,
    /// The revision the page shows; the answer waits until there is another.
    since: Option<u64>,
    /// The newest log entry the page has.
    log: Option<u64>,
}

async fn state(play: web::Data<Play>, news: web::Query<News>) -> impl Responder {
    let began = Instant::now();
    let switched = || u64::from(play.twice.load(Ordering::Relaxed));
    let revision = loop {
        let revision = play.tenant.with(look::revision) ^ switched();
        if news.since != Some(revision) || began.elapsed() >= PATIENCE {
            break revision;
        }
        tokio::time::sleep(GLANCE).await;
    };
    let who = news.r#as.as_deref();
    let mut state = look::state(&play.tenant, who, news.log.unwrap_or(0));
    state["rev"] = revision.into();
    state["faults"] = switches::states(&play.tenant, &play.twice).into();
    state["unread"] = json!(play.unread(who));
    web::Json(state)
}

#[derive(Deserialize)]
struct Of {
    of: String,
}

/// Opening an inbox is reading what is in it.
async fn inbox(play: web::Data<Play>, of: web::Query<Of>) -> HttpResponse {
    let Some(person) = play.tenant.person_by_id(&of.of) else { return HttpResponse::NotFound().json(stranger().0) };
    let copies = look::inbox(&person.inbox());
    person.reads();
    HttpResponse::Ok().json(copies)
}

async fn connection(play: web::Data<Play>) -> impl Responder {
    web::Json(look::connection(&play.tenant, &play.bot_url, &play.public_url))
}

#[derive(Deserialize)]
struct Here {
    r#as: String,
}

/// From now on it is this person's browser that opens a consent page.
async fn here(play: web::Data<Play>, here: web::Json<Here>) -> impl Responder {
    let Some(person) = play.tenant.person_by_id(&here.r#as) else { return stranger() };
    play.tenant.set_browser(&person.name);
    web::Json(json!({}))
}

#[derive(Deserialize)]
struct Pressing {
    r#as: String,
    message_id: String,
    /// The callback value of the control.
    #[serde(default)]
    value: Map<String, Value>,
    option: Option<String>,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default)]
    form_value: Map<String, Value>,
}

impl Pressing {
    /// The control is found on the card as it is now, by its value: a client presses what it shows.
    fn press(&self) -> Press {
        let action = self.value.get("action").and_then(Value::as_str).unwrap_or_default().to_owned();
        let with = self.value.iter().filter(|(key, _)| *key != "action");
        Press {
            action,
            option: self.option.clone().or_else(|| self.options.first().cloned()),
            with: with.map(|(key, value)| (key.clone(), value.clone())).collect(),
            form: self.form_value.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

async fn press(play: web::Data<Play>, pressing: web::Json<Pressing>) -> impl Responder {
    let Some(person) = play.tenant.person_by_id(&pressing.r#as) else { return stranger() };
    play.tenant.set_browser(&person.name);
    let pressed = match person.presses(&pressing.message_id, pressing.press()).await {
        Ok(pressed) => pressed,
        Err(why) => return wrong(&why, &why),
    };
    match (pressed.status, pressed.toast) {
        (200, Some(toast)) => {
            web::Json(json!({"toast": {"type": toast.kind, "content": toast.content, "i18n": toast.i18n}}))
        }
        (200, None) => web::Json(json!({})),
        // The numbers are those that Feishu's client shows.
        (0, _) => wrong("200341：机器人没有在 3 秒内回答", "200341: the bot did not answer within 3 s"),
        (status, _) => {
            wrong(&format!("200671：机器人的回答是 HTTP {status}"), &format!("200671: the bot answered HTTP {status}"))
        }
    }
}

#[derive(Deserialize)]
struct Turn {
    id: String,
    on: bool,
}

async fn fault(play: web::Data<Play>, turn: web::Json<Turn>) -> impl Responder {
    match switches::turn(&play.tenant, &play.twice, &turn.id, turn.on) {
        Ok(()) => web::Json(json!({})),
        Err((zh, en)) => wrong(zh, en),
    }
}

#[derive(Deserialize)]
struct Later {
    minutes: u64,
}

async fn later(play: web::Data<Play>, later: web::Json<Later>) -> impl Responder {
    if later.minutes > LATER_MINUTES_MAX {
        return wrong("一次最多一年", "a year at most");
    }
    play.tenant.later(Duration::from_secs(later.minutes * 60)).await;
    web::Json(json!({}))
}

#[derive(Deserialize)]
struct Sealing {
    event_type: String,
    event: Value,
}

/// A push as the platform would send it, not sent: for programs that send it themselves.
async fn seal(play: web::Data<Play>, sealing: web::Json<Sealing>) -> impl Responder {
    let kind = if sealing.event_type == "card.action.trigger" { PushKind::Callback } else { PushKind::Event };
    let event = play.tenant.with(|world| world.event(kind, &sealing.event_type, sealing.event.clone()));
    let raw = play.tenant.seal(&event);
    let headers: Map<String, Value> = raw.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    web::Json(json!({"headers": headers, "path": raw.path, "body": String::from_utf8_lossy(&raw.body)}))
}

#[derive(Deserialize)]
struct Consenting {
    open_id: String,
    url: String,
}

/// A person agrees on a consent page: the address that their browser is sent to.
async fn consent(play: web::Data<Play>, consenting: web::Json<Consenting>) -> impl Responder {
    let Some(person) = play.tenant.person_by_id(&consenting.open_id) else { return stranger() };
    match play.tenant.consents(&consenting.url, &person.name) {
        Ok(location) => web::Json(json!({"location": location})),
        Err(why) => wrong(&why, &why),
    }
}
