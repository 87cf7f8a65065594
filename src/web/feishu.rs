//! The door for Feishu: bytes, verified event, inbox row, 200.
//!
//! Nothing slow happens before the answer: no call to Feishu, one commit at most. A 200 to an event means that it is on
//! disk. Refusals say nothing that would help a forger; the reason is in the log and in the metrics.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use super::{LARGE_BODY_BYTES, Large};
use crate::app::App;
use crate::app::{press, stranger};
use crate::feishu::envelope::{Distrust, Headers, Push, Refused};
use crate::feishu::event::{Event, EventKey, EventKind};
use crate::feishu::setup::PROBE;
use crate::store::inbox::{Arrival, Kind, Seen};
use crate::view::toast::Toast;
use crate::view::{self, text};

/// Bytes of a body. Source: interface "HTTP": 1 MiB.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long reading the body and storing it may take together: Feishu gives up after 3 s.
const ANSWER_WITHIN: Duration = Duration::from_millis(2500);

/// How an event ended at the door; the label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Challenge,
    Probe,
    Accepted,
    Repeated,
    Ignored,
    Stranger,
    Press,
    NotACallback,
    Unauthorized,
    TooLarge,
    NotStored,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Outcome::Challenge => "challenge",
            Outcome::Probe => "probe",
            Outcome::Accepted => "accepted",
            Outcome::Repeated => "repeated",
            Outcome::Ignored => "ignored",
            Outcome::Stranger => "stranger",
            Outcome::Press => "press",
            Outcome::NotACallback => "not_a_callback",
            Outcome::Unauthorized => "unauthorized",
            Outcome::TooLarge => "too_large",
            Outcome::NotStored => "not_stored",
        }
    }
}

/// Both routes, both kinds of push.
pub async fn push(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    large: web::Data<Large>,
) -> HttpResponse {
    let began = Instant::now();
    let (outcome, response) = answer(&request, payload, &app, &large).await;
    metrics::counter!("feishu_broadcast_events_total", "outcome" => outcome.label()).increment(1);
    metrics::histogram!("feishu_broadcast_acknowledge_seconds").record(began.elapsed().as_secs_f64());
    response
}

async fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    app: &web::Data<App>,
    large: &Large,
) -> (Outcome, HttpResponse) {
    let deadline = tokio::time::Instant::now() + ANSWER_WITHIN;
    let body = match read(payload, deadline, large).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let headers = Headers {
        timestamp: header("X-Lark-Request-Timestamp"),
        nonce: header("X-Lark-Request-Nonce"),
        signature: header("X-Lark-Signature"),
    };
    let now = app.now();
    let (event, body) = match app.door.enter(&headers, &body, now) {
        Ok(Push::Challenge(challenge)) => {
            tracing::info!("Feishu checked the request address");
            return (Outcome::Challenge, HttpResponse::Ok().json(json!({ "challenge": challenge })));
        }
        Ok(Push::OldCardCallback) => {
            tracing::warn!(
                "an old card callback arrived: remove card.action.trigger_v1 and the card URL from the console"
            );
            return (Outcome::Ignored, HttpResponse::Ok().json(json!({})));
        }
        Ok(Push::Event { event, body, under }) => {
            // Our own push at our own door tells nothing about the platform's.
            if event.event_type != PROBE {
                app.arrivals.note(under, now);
            }
            (*event, body)
        }
        Err(refused) => return refuse(&refused, &body),
    };
    match &event.kind {
        EventKind::CardAction(action) => {
            // Boxed: every event would carry the kilobytes of a press.
            let pressed = Box::pin(press::press(app, event.key.as_str(), action));
            let toast = match tokio::time::timeout_at(deadline, pressed).await {
                Ok(Ok(toast)) => toast,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a press could not be decided");
                    Toast::error(text::press_again())
                }
                Err(_) => Toast::error(text::press_again()),
            };
            (Outcome::Press, HttpResponse::Ok().json(toast.body()))
        }
        EventKind::Message(_)
        | EventKind::TokenRevoked { .. }
        | EventKind::MessageRecalled { .. }
        | EventKind::Menu { .. }
        | EventKind::Entered { .. } => take(app, event, body, deadline).await,
        // A card waits for an answer of its own kind, also where the press does not say who pressed.
        EventKind::Unknown if event.event_type == "card.action.trigger" => {
            tracing::warn!("a press without an operator changed nothing");
            (Outcome::Ignored, HttpResponse::Ok().json(json!({})))
        }
        EventKind::Unknown if event.event_type == PROBE => (Outcome::Probe, acknowledged()),
        EventKind::Unknown => {
            tracing::debug!(event_type = event.event_type, "an event of no use to us was acknowledged");
            (Outcome::Ignored, acknowledged())
        }
    }
}

/// Stores an event, or answers a stranger without storing anything.
async fn take(
    app: &web::Data<App>,
    event: Event,
    body: Vec<u8>,
    deadline: tokio::time::Instant,
) -> (Outcome, HttpResponse) {
    let mut key = event.key;
    let (kind, person) = match event.kind {
        EventKind::Message(message) => {
            if !message.sender_is_user {
                return (Outcome::Ignored, acknowledged());
            }
            if app.policy().roles(&message.sender).is_stranger() {
                stranger::answer(app, message);
                return (Outcome::Stranger, acknowledged());
            }
            (Kind::Message, message.sender.to_string())
        }
        EventKind::TokenRevoked { open_id, .. } => {
            (Kind::Revocation, open_id.map_or_else(String::new, |person| person.to_string()))
        }
        // In nobody's queue: it must not wait for the command that it takes back.
        EventKind::MessageRecalled { .. } => (Kind::Message, String::new()),
        EventKind::Menu { person, .. } => {
            if app.policy().roles(&person).is_stranger() {
                stranger::answer_person(app, person);
                return (Outcome::Stranger, acknowledged());
            }
            (Kind::Message, person.to_string())
        }
        EventKind::Entered { person } => {
            if app.policy().roles(&person).is_stranger() {
                return (Outcome::Ignored, acknowledged());
            }
            // Feishu says so each time; all of a day is one.
            key = EventKey::of_greeting(&person, &view::day(app.now(), &app.zone));
            (Kind::Message, person.to_string())
        }
        EventKind::CardAction(_) | EventKind::Unknown => {
            return (Outcome::Ignored, acknowledged());
        }
    };
    // JSON that was parsed is UTF-8.
    let Ok(body) = String::from_utf8(body) else { return (Outcome::Ignored, acknowledged()) };
    let arrival = Arrival { key: key.to_string(), kind, person, body, received_at: app.now() };
    match tokio::time::timeout_at(deadline, app.store.accept(arrival)).await {
        Ok(Ok(Seen::First)) => {
            app.wake.inbox.notify_one();
            (Outcome::Accepted, acknowledged())
        }
        Ok(Ok(Seen::Again)) => (Outcome::Repeated, acknowledged()),
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(%key, "an event could not be stored; Feishu will push it again");
            let refused = HttpResponse::ServiceUnavailable().json(json!({ "error": "try again later" }));
            (Outcome::NotStored, refused)
        }
    }
}

fn acknowledged() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "msg": "success" }))
}

fn refuse(refused: &Refused, body: &[u8]) -> (Outcome, HttpResponse) {
    let (outcome, status, error) = match refused {
        Refused::NotACallback => (Outcome::NotACallback, StatusCode::BAD_REQUEST, "not a callback"),
        Refused::Plaintext { old_card_callback } => {
            if *old_card_callback {
                tracing::warn!(
                    "an old card callback arrived: remove card.action.trigger_v1 and the card URL from the console"
                );
            }
            (Outcome::NotACallback, StatusCode::BAD_REQUEST, "not a callback")
        }
        Refused::Unauthorized(_) => (Outcome::Unauthorized, StatusCode::UNAUTHORIZED, "unauthorized"),
    };
    if may_be_the_key(refused, body) {
        tracing::warn!(
            reason = %refused,
            "a push was refused; if this is Feishu, FEISHU_ENCRYPT_KEY may differ from the console's Encrypt Key"
        );
    } else {
        tracing::warn!(reason = %refused, "a push was refused");
    }
    (outcome, HttpResponse::build(status).json(json!({ "error": error })))
}

/// Whether another Encrypt Key would explain it: the signature is wrong, or the body is sealed and does not open.
fn may_be_the_key(refused: &Refused, body: &[u8]) -> bool {
    match refused {
        Refused::Unauthorized(Distrust::Signature) => true,
        Refused::NotACallback => {
            serde_json::from_slice::<Value>(body).is_ok_and(|body| body.get("encrypt").is_some_and(Value::is_string))
        }
        Refused::Plaintext { .. } | Refused::Unauthorized(_) => false,
    }
}

/// Reads the raw body; only a few large ones at a time, or a flood of them would take all memory. The signature covers
/// these very bytes.
async fn read(
    mut payload: web::Payload,
    deadline: tokio::time::Instant,
    large: &Large,
) -> Result<web::Bytes, (Outcome, HttpResponse)> {
    let collect = async {
        let mut body = web::BytesMut::new();
        let mut permit = None;
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Outcome::NotACallback)?;
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(Outcome::TooLarge);
            }
            if body.len() + chunk.len() > LARGE_BODY_BYTES && permit.is_none() {
                // Never closed.
                permit = large.0.acquire().await.ok();
                // All at once: growing step by step takes twice as much.
                body.reserve(BODY_BYTES_MAX - body.len());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    match tokio::time::timeout_at(deadline, collect).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(Outcome::TooLarge)) => {
            let refused: Value = json!({ "error": "body too large" });
            Err((Outcome::TooLarge, HttpResponse::PayloadTooLarge().json(refused)))
        }
        Ok(Err(_)) => {
            Err((Outcome::NotACallback, HttpResponse::BadRequest().json(json!({ "error": "not a callback" }))))
        }
        Err(_) => Err((Outcome::NotACallback, HttpResponse::RequestTimeout().json(json!({ "error": "too slow" })))),
    }
}
