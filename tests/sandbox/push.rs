//! Platform to bot: posting, waiting at most three seconds, judging the answer, and the ladder of repeats.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cards;
use super::events::{Event, Forge, RawPush, for_the_log};
use super::person::{Pressed, Toast};
use super::record::{Push, PushKind, remember};
use super::tenant::Tenant;
use super::world::{Owed, Pressing, World};

/// An event is pushed again this long after each failure, then never. Feishu, "event push".
pub const LADDER: [Duration; 4] =
    [Duration::from_secs(15), Duration::from_secs(300), Duration::from_secs(3600), Duration::from_secs(6 * 3600)];

/// The whole answer must be there by then, and the connection sooner.
pub const PATIENCE: Duration = Duration::from_secs(3);
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// What came back from the bot.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub event_id: String,
    /// 0 where no answer came in time.
    pub status: u16,
    pub body: String,
    pub elapsed: Duration,
    content_type: String,
    late: bool,
}

impl Pushed {
    /// Whether the platform counts this as delivered.
    pub fn accepted(&self) -> bool {
        self.status == 200
    }

    /// The answer as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// The client every tenant pushes with: no redirects, no reuse, no patience.
pub fn pusher() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_PATIENCE)
        .timeout(PATIENCE)
        .pool_max_idle_per_host(0)
        .no_proxy()
        .build()
        .expect("a plain client needs nothing from outside")
}

impl Tenant {
    /// Posts exactly these bytes and headers, once, and notes it. Nothing is judged and nothing repeated.
    pub async fn post(&self, raw: &RawPush) -> Pushed {
        let pushed = self.send(raw, "").await;
        self.note(&pushed, PushKind::Raw, "raw", 1, Value::Null);
        pushed
    }

    async fn send(&self, raw: &RawPush, event_id: &str) -> Pushed {
        let url = self.with(|world| format!("{}{}", world.bot_url, raw.path));
        let began = Instant::now();
        let mut request = self.pusher().post(url).body(raw.body.clone());
        for (name, value) in &raw.headers {
            request = request.header(name, value);
        }
        let mut pushed = Pushed {
            event_id: event_id.to_owned(),
            status: 0,
            body: String::new(),
            elapsed: Duration::ZERO,
            content_type: String::new(),
            late: false,
        };
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let kind = answer.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
                pushed.content_type = kind.to_owned();
                match answer.text().await {
                    Ok(body) => (pushed.status, pushed.body) = (status, body),
                    Err(error) => pushed.late = error.is_timeout(),
                }
            }
            Err(error) => pushed.late = error.is_timeout(),
        }
        pushed.elapsed = began.elapsed();
        pushed
    }

    fn note(&self, pushed: &Pushed, kind: PushKind, event_type: &str, attempt: u32, event: Value) {
        let elapsed_ms = u64::try_from(pushed.elapsed.as_millis()).unwrap_or(u64::MAX);
        self.with(|world| {
            let push = Push {
                number: world.next_number(),
                at_ms: world.now(),
                kind,
                event_id: pushed.event_id.clone(),
                event_type: event_type.to_owned(),
                attempt,
                event,
                status: pushed.status,
                answer: pushed.body.clone(),
                elapsed_ms,
            };
            remember(&mut world.pushes, push);
        });
    }

    /// Pushes an event for the first time. A failure is owed again, as the ladder says.
    pub async fn push(&self, event: &Event) -> Pushed {
        self.attempt(event, 1).await
    }

    async fn attempt(&self, event: &Event, attempt: u32) -> Pushed {
        let raw = self.with(|world| world.seal(event));
        let pushed = self.send(&raw, &event.event_id).await;
        self.note(&pushed, PushKind::Event, &event.event_type, attempt, for_the_log(event));
        self.with(|world| {
            if pushed.late {
                world.violation(format!("event {} was not answered within 3 s", event.event_type));
            }
            if (300..400).contains(&pushed.status) {
                world.violation(format!("event {} was answered with a redirect", event.event_type));
            }
            let wait = LADDER.get(attempt as usize - 1);
            if let (false, Some(wait)) = (pushed.accepted(), wait) {
                let wait_ms = i64::try_from(wait.as_millis()).expect("six hours fit");
                let due_ms = world.now() + wait_ms;
                world.owed.push(Owed { due_ms, attempt: attempt + 1, event: event.clone() });
            }
        });
        pushed
    }

    /// Pushes again whatever is due by `until_ms`, oldest first, moving the clock to each.
    pub(super) async fn push_due(&self, until_ms: i64) {
        loop {
            let owed = self.with(|world| {
                let next = (0..world.owed.len()).min_by_key(|at| world.owed[*at].due_ms)?;
                (world.owed[next].due_ms <= until_ms).then(|| world.owed.remove(next))
            });
            let Some(owed) = owed else { return };
            self.advance_to(owed.due_ms);
            self.attempt(&owed.event, owed.attempt).await;
        }
    }

    /// Asks the bot to prove that it owns its address, plain and sealed, as the console does when it is saved.
    ///
    /// # Errors
    /// Says what was wrong with the answer; the console would refuse to save the address.
    pub async fn verify_url(&self) -> Result<(), String> {
        for sealed in [true, false] {
            let raw =
                self.with(|world| world.challenge(r#"a "quoted" \ challenge"#, &world.app.verification_token, sealed));
            if !sealed && self.with(|world| world.app.encrypt_key.is_some()) {
                continue; // A plain challenge comes only to an app without a key.
            }
            let pushed = self.send(&raw, "").await;
            self.note(&pushed, PushKind::Challenge, "url_verification", 1, Value::Null);
            if pushed.status != 200 || pushed.json()["challenge"] != r#"a "quoted" \ challenge"# {
                return Err(format!("the challenge was answered {} {}", pushed.status, pushed.body));
            }
            if pushed.elapsed > Duration::from_secs(1) {
                return Err("the challenge took more than a second".into());
            }
        }
        Ok(())
    }

    /// Sends a callback, once: the person who pressed waits for it.
    pub async fn push_press(&self, event: &Event) -> Pressed {
        let message_id = event.body["event"]["context"]["open_message_id"].as_str().unwrap_or_default().to_owned();
        let raw = self.with(|world| {
            *world.open_presses.entry(message_id.clone()).or_default() += 1;
            world.seal(event)
        });
        let pushed = self.send(&raw, &event.event_id).await;
        self.note(&pushed, PushKind::Callback, &event.event_type, 1, for_the_log(event));
        self.with(|world| {
            if let Some(open) = world.open_presses.get_mut(&message_id) {
                *open = open.saturating_sub(1);
            }
            let pressed = judge_press(world, &pushed, &message_id);
            if pushed.accepted() {
                let value = &event.body["event"]["action"]["value"];
                let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                let welcomed = pressed.toast.as_ref().is_none_or(|t| !["error", "warning"].contains(&t.kind.as_str()));
                let person = event.body["event"]["operator"]["open_id"].as_str().unwrap_or_default().to_owned();
                world.pressed.push(Pressing {
                    person,
                    action: text("action"),
                    broadcast: text("broadcast"),
                    message_id: message_id.clone(),
                    welcomed,
                });
            }
            pressed
        })
    }
}

impl Tenant {
    /// A person withdraws the grant: tokens go, and the event says so.
    pub async fn withdraws_grant(&self, name: &str) -> Pushed {
        self.revoke_user_tokens(name);
        let open_id = self.person(name).open_id;
        let event = self.with(|world| {
            let mut inner = world.ids_of(&open_id);
            inner["revoke_token_type"] = "user_access_token refresh_token".into();
            inner["revoke_reason"] = "user revoke".into();
            world.event(PushKind::Event, "auth.user_access_token.revoked_v4", inner)
        });
        self.push(&event).await
    }

    /// Any event, pushed as the platform would.
    pub async fn push_event(&self, event_type: &str, inner: serde_json::Value) -> Pushed {
        let event = self.with(|world| world.event(PushKind::Event, event_type, inner));
        self.push(&event).await
    }

    /// An event as it goes over the wire, to be kept and replayed.
    pub fn seal(&self, event: &Event) -> RawPush {
        self.with(|world| world.seal(event))
    }

    /// An event as a forger would send it.
    pub fn forge(&self, event: &Event, forge: Forge) -> RawPush {
        self.with(|world| world.forge(event, forge))
    }

    /// The old card callback, which only an app with a stale console would get.
    pub async fn legacy_press(&self, name: &str) -> Pushed {
        let open_id = self.person(name).open_id;
        let body = json!({"open_id": open_id, "open_message_id": "om_old", "token": "c-old",
            "action": {"value": {"action": "approve"}, "tag": "button"}});
        self.post(&RawPush { path: "/feishu/card".into(), ..RawPush::of(body.to_string()) }).await
    }
}

/// Reads the answer to a callback as strictly as the client does; what it could not show is a violation.
fn judge_press(world: &mut World, pushed: &Pushed, message_id: &str) -> Pressed {
    let mut pressed = Pressed {
        status: pushed.status,
        body: pushed.body.clone(),
        elapsed: pushed.elapsed,
        toast: None,
        confirm: None,
    };
    if pushed.late {
        world.violation("a press was not answered within 3 s (200341)");
    }
    if pushed.status == 0 {
        return pressed;
    }
    if pushed.status != 200 {
        world.violation(format!("a press was answered {} (200671)", pushed.status));
        return pressed;
    }
    let answer = match serde_json::from_str::<Value>(&pushed.body) {
        Ok(Value::Object(answer)) if pushed.content_type.contains("application/json") => answer,
        _ => {
            world.violation(format!("a press was answered with no JSON object (200672): {}", pushed.body));
            return pressed;
        }
    };
    for (key, part) in &answer {
        match key.as_str() {
            "toast" => match read_toast(part) {
                Ok(toast) => pressed.toast = Some(toast),
                Err(what) => world.violation(format!("the toast of a press is malformed (200672): {what}")),
            },
            "card" => take_card(world, part, message_id),
            other => world.violation(format!("the answer to a press has an unknown part {other} (200672)")),
        }
    }
    pressed
}

fn read_toast(part: &Value) -> Result<Toast, String> {
    let fields = part.as_object().ok_or("no object")?;
    if let Some(other) = fields.keys().find(|key| !["type", "content", "i18n"].contains(&key.as_str())) {
        return Err(format!("unknown field {other}"));
    }
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("info");
    if !["info", "success", "error", "warning"].contains(&kind) {
        return Err(format!("unknown type {kind}"));
    }
    let content = fields.get("content").and_then(Value::as_str).ok_or("no content")?;
    let i18n = fields.get("i18n").cloned().unwrap_or_else(|| Value::Object(serde_json::Map::default()));
    let locales = i18n.as_object().ok_or("i18n is no object")?;
    if locales.values().any(|text| !text.is_string()) {
        return Err("i18n holds something else than texts".into());
    }
    Ok(Toast { kind: kind.into(), content: content.into(), i18n })
}

/// A card in the answer replaces the pressed one for everybody, if the client can draw it.
fn take_card(world: &mut World, part: &Value, message_id: &str) {
    let card = &part["data"];
    if part["type"] == "template" {
        return;
    }
    if part["type"] != "raw" || !card.is_object() {
        world.violation("the card in the answer to a press is no raw object (200673)");
        return;
    }
    if let Err(error) = cards::check(card) {
        world.violation(format!("the card in the answer to a press is refused (200673): {error}"));
        return;
    }
    let now = world.now();
    let Some(message) = world.message_mut(message_id) else { return };
    if cards::is_v2(&message.content) != cards::is_v2(card) {
        world.violation("the answer to a press changes the schema of the card (200830)");
        return;
    }
    message.content = card.clone();
    message.history.push(card.clone());
    message.updated_ms = now;
    message.edits += 1;
}
