//! What can be made to go wrong, by the endpoint's name (the names are those of [`super::http::gate::ROUTES`], and
//! `oauth.exchange`, `oauth.refresh` for the two halves of the token endpoint).

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

/// Whether the platform has taken the request in by the time the connection goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum When {
    BeforeAccept,
    AfterAccept,
}

/// How the wire fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Wire {
    /// The connection closes without a complete answer.
    Drop,
    /// Nothing is answered for this long, then the connection closes.
    Timeout(Duration),
    /// A gateway's HTML page with status 502.
    Html502,
    /// A complete HTTP answer whose JSON is cut in the middle.
    TruncatedJson,
    /// Half of the body, then the connection closes.
    TruncatedBody,
    /// The right answer, spread over this long.
    SlowBody(Duration),
}

/// How a throttled reply looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Throttle {
    Headers,
    NoHeaders,
    /// Old endpoints: HTTP 400 instead of 429, with both headers.
    Http400,
}

/// What one fault does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Effect {
    Transport(When, Wire),
    /// Throttled; the headers promise relief after this many seconds.
    Rate {
        throttle: Throttle,
        reset_s: u64,
    },
    /// Refused with this code before anything happened. `body` replaces the usual envelope where given.
    Code {
        http: u16,
        code: i64,
        msg: String,
        body: Option<Value>,
    },
    /// Accepted and done, but answered with this code.
    CodeAfterAccept {
        http: u16,
        code: i64,
        msg: String,
    },
}

/// A fault lying in wait on one endpoint. The first one that matches a call is used up by it.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    pub endpoint: String,
    /// Calls that pass before it strikes.
    pub skip: u32,
    /// Calls it strikes.
    pub times: u32,
    pub effect: Effect,
}

impl Fault {
    /// Any effect, once.
    pub fn on(endpoint: &str, effect: Effect) -> Fault {
        Fault { endpoint: endpoint.into(), skip: 0, times: 1, effect }
    }

    /// The wire fails, before or after the platform has taken the request in.
    pub fn wire(endpoint: &str, when: When, wire: Wire) -> Fault {
        Fault::on(endpoint, Effect::Transport(when, wire))
    }

    /// The request is accepted and worked on, and the answer never arrives.
    pub fn lost_answer(endpoint: &str) -> Fault {
        Fault::wire(endpoint, When::AfterAccept, Wire::Drop)
    }

    /// Throttled with both headers; relief after a second.
    pub fn rate(endpoint: &str, times: u32) -> Fault {
        Fault::on(endpoint, Effect::Rate { throttle: Throttle::Headers, reset_s: 1 }).times(times)
    }

    /// A platform code, HTTP status given, nothing done.
    pub fn code(endpoint: &str, http: u16, code: i64) -> Fault {
        Fault::on(endpoint, Effect::Code { http, code, msg: format!("simulated {code}"), body: None })
    }

    /// An error body as it stands: without `msg`, without `error`, or something else altogether.
    pub fn body(endpoint: &str, http: u16, body: Value) -> Fault {
        let code = body.get("code").and_then(Value::as_i64).unwrap_or(-1);
        Fault::on(endpoint, Effect::Code { http, code, msg: String::new(), body: Some(body) })
    }

    /// The session's new refresh token is made and never arrives.
    pub fn lost_refresh_reply() -> Fault {
        Fault::lost_answer("oauth.refresh")
    }

    /// The app's token endpoint refuses: 10014, 10015 or 2200, all with HTTP 200.
    pub fn token(code: i64) -> Fault {
        let msg = if code == 10014 { "app id not exists" } else { "app secret invalid" };
        Fault::body("token", 200, json!({"code": code, "msg": msg}))
    }

    /// Strikes this many calls.
    pub fn times(mut self, times: u32) -> Fault {
        self.times = times;
        self
    }

    /// Lets this many calls pass first.
    pub fn after(mut self, skip: u32) -> Fault {
        self.skip = skip;
        self
    }
}

/// What a repeated `uuid` gets within the hour. The platform documents only "at most one".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum UuidMode {
    #[default]
    SameMessage,
    Error230049,
}

/// What becomes of ids outside the availability in a batch. The platform does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum UnavailableMode {
    #[default]
    Listed,
    /// Only `success` stays below `valid`.
    Silent,
}

/// What `users/batch` does with ids that nobody has. The platform speaks only of people out of sight, who are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum UnknownPeople {
    #[default]
    Missing,
    /// One of them, and the whole list is refused.
    Refused,
}

/// What a batch gets whose ids are all invalid. The platform does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum AllInvalid {
    /// Code 0 with a message id and nobody in it.
    #[default]
    Accepted,
    /// Code 0 without a message id.
    NoMessageId,
    /// Code 10003.
    Refused,
}

/// Lasting switches, as opposed to faults that are used up.
#[derive(Clone, Debug)]
pub struct Switches {
    pub uuid: UuidMode,
    pub unavailable: UnavailableMode,
    pub all_invalid: AllInvalid,
    pub unknown_people: UnknownPeople,
    /// Ids that every batch calls invalid.
    pub batch_invalid: Vec<String>,
    /// Messages a day through batch_send, per recipient.
    pub batch_quota: usize,
    /// (valid, success, read) of successive get_progress and read_user calls; the last stays. Empty: the real numbers.
    pub progress: Vec<(i64, i64, i64)>,
    /// Delete answers this code (230009 too old, 230026 not allowed).
    pub recall_code: Option<i64>,
    /// At most this many copies of a batch come back.
    pub recall_at_most: Option<usize>,
    /// How long after it was accepted a batch may be recalled, in ms: the company's admin decides.
    pub recall_window_ms: i64,
    /// Ids per page of search and listings, below what was asked for.
    pub page_at_most: usize,
    /// Milliseconds from accepting a batch to its first delivery.
    pub queue_wait_ms: i64,
    /// Milliseconds after accepting a batch in which nobody knows its id.
    pub unheard_of_ms: i64,
    /// Refuse calls beyond a tier and note a violation. Off for load tests of something else.
    pub rates: bool,
    /// Every department says that it has so many members.
    pub claims_headcount: Option<u64>,
    /// A token reply says this many seconds, whatever is true.
    pub claims_expiry_s: Option<i64>,
    /// How far the platform's clock is ahead of the tenant's, in ms.
    pub clock_ahead_ms: i64,
    /// Scopes that consent never grants.
    pub consent_withholds: Vec<String>,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            uuid: UuidMode::default(),
            unavailable: UnavailableMode::default(),
            all_invalid: AllInvalid::default(),
            unknown_people: UnknownPeople::default(),
            batch_invalid: vec![],
            batch_quota: 500_000,
            progress: vec![],
            recall_code: None,
            recall_at_most: None,
            recall_window_ms: 86_400_000,
            page_at_most: 50,
            queue_wait_ms: 400,
            unheard_of_ms: 500,
            rates: true,
            claims_headcount: None,
            claims_expiry_s: None,
            clock_ahead_ms: 0,
            consent_withholds: vec![],
        }
    }
}
