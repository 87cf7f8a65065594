//! What came back, or did not: an answer with code 0, or a [`CallError`] that says what is certain.
//!
//! The `code` in the body decides, for many refusals come with HTTP 200; the status speaks only where there is no code.
//! Gateways answer in HTML or plain text, and an answer may end anywhere; nothing of that is ever taken for a
//! success. Files come as they are, and the refusal of a file as JSON. Sources: "Response body structure" and "Rate
//! limits" of the API call guide, "Get resource files of a message".

use std::error::Error;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::codes::Call;
use super::error::{CallError, Class, MSG_CHARS_MAX, Nonsense, RETRY_AFTER_MAX, Refusal};
use super::wire::{list, text};

/// Bytes of an answer that are read. The largest we expect are 50 departments with all their fields.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An answer with code 0.
#[derive(Debug)]
pub(super) struct Answer {
    pub call: Call,
    pub status: u16,
    pub log_id: Option<String>,
    pub body: Value,
}

impl Answer {
    /// The error for an answer that lacks what it is for.
    pub fn incomplete(self) -> CallError {
        let Self { call, status, log_id, body: _ } = self;
        CallError::Unreadable { call, status, log_id, retry_after: None, why: Nonsense::Incomplete }
    }
}

/// Tells what failed before the request could leave from what may have arrived.
pub(super) fn transport(call: Call, error: reqwest::Error) -> CallError {
    // Addresses hold ids of people's messages; the path template is in the log already.
    let source = error.without_url();
    if source.is_connect() || source.is_builder() {
        CallError::NotSent { call, source }
    } else {
        CallError::Unanswered { call, source }
    }
}

/// Reads an answer and decides on its `code`; without one the answer makes no sense, and only its HTTP status says more.
pub(super) async fn read(call: Call, mut response: Response) -> Result<Answer, CallError> {
    let head = Head::of(call, &response);
    let mut bytes = vec![];
    if read_on(call, &mut response, &mut bytes, ANSWER_BYTES_MAX).await? {
        head.judge(&bytes)
    } else {
        Err(head.unreadable(Nonsense::TooLarge))
    }
}

/// A file that has begun to arrive.
#[derive(Debug)]
pub(super) struct File {
    call: Call,
    response: Response,
    /// What was read already, to tell it from a refusal.
    bytes: Vec<u8>,
}

/// Tells a file from a refusal, without reading more than that takes.
///
/// A refusal is JSON with a `code` other than 0. It has a status of its own as a rule; with a good one it still says
/// that it is JSON, and no file name. A file of JSON that happens to have a `code` comes with its name.
pub(super) async fn open(call: Call, mut response: Response) -> Result<File, CallError> {
    if !response.status().is_success() {
        // Whatever it is, it is not the file.
        return Err(read(call, response).await.map_or_else(|refusal| refusal, Answer::incomplete));
    }
    let says = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let is_json = says("content-type").is_some_and(|kind| kind.contains("application/json"));
    let mut bytes = vec![];
    if is_json && says("content-disposition").is_none() {
        let head = Head::of(call, &response);
        if read_on(call, &mut response, &mut bytes, ANSWER_BYTES_MAX).await?
            && let Err(refusal @ CallError::Refused(_)) = head.judge(&bytes)
        {
            return Err(refusal);
        }
    }
    Ok(File { call, response, bytes })
}

impl File {
    /// The whole file, or `None` as soon as it turns out to have more than `bytes_max`.
    pub async fn bytes(mut self, bytes_max: usize) -> Result<Option<Vec<u8>>, CallError> {
        let announced = self.response.content_length().and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > bytes_max) {
            return Ok(None);
        }
        let whole = read_on(self.call, &mut self.response, &mut self.bytes, bytes_max).await?;
        Ok(whole.then_some(self.bytes))
    }
}

/// Reads to the end of a body, or until `bytes` holds more than `bytes_max`; tells whether that was the end.
async fn read_on(
    call: Call,
    response: &mut Response,
    bytes: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<bool, CallError> {
    while bytes.len() <= bytes_max {
        match response.chunk().await.map_err(|error| transport(call, error))? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => return Ok(true),
        }
    }
    Ok(false)
}

/// What an answer says before its body.
struct Head {
    call: Call,
    status: u16,
    log_id: Option<String>,
    retry_after: Option<Duration>,
}

impl Head {
    fn of(call: Call, response: &Response) -> Self {
        let headers = response.headers();
        Self {
            call,
            status: response.status().as_u16(),
            log_id: header(headers, "x-tt-logid").or_else(|| header(headers, "x-request-id")),
            retry_after: header(headers, "x-ogw-ratelimit-reset")
                .and_then(|seconds| seconds.trim().parse().ok())
                .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
        }
    }

    fn unreadable(self, why: Nonsense) -> CallError {
        let Self { call, status, log_id, retry_after } = self;
        CallError::Unreadable { call, status, log_id, retry_after, why }
    }

    fn judge(self, bytes: &[u8]) -> Result<Answer, CallError> {
        let Ok(body) = serde_json::from_slice::<Value>(bytes) else {
            return Err(self.unreadable(Nonsense::NotJson));
        };
        let Some(code) = body.get("code").and_then(Value::as_i64) else {
            return Err(self.unreadable(Nonsense::NoCode));
        };
        let Self { call, status, log_id, retry_after } = self;
        let in_body = || text(&body, "/error/log_id").or_else(|| text(&body, "/error/logid")).map(str::to_owned);
        let log_id = log_id.or_else(in_body);
        if code == 0 {
            return Ok(Answer { call, status, log_id, body });
        }
        // The OAuth endpoint has no `msg` but an `error_description`.
        let msg = text(&body, "/msg").or_else(|| text(&body, "/error_description")).unwrap_or_default();
        Err(CallError::Refused(Box::new(Refusal {
            call,
            code,
            status,
            log_id,
            msg: msg.chars().take(MSG_CHARS_MAX).collect(),
            scopes: missing_scopes(&body),
            retry_after,
        })))
    }
}

/// The scopes that a refusal names. Two shapes are in use: `subject` in live answers, `scope` in the guide.
fn missing_scopes(body: &Value) -> Vec<String> {
    let mut scopes = vec![];
    for violation in list(body, "/error/permission_violations") {
        let named = text(violation, "/subject").or_else(|| text(violation, "/scope"));
        if let Some(scope) = named.filter(|scope| !scope.is_empty() && !scopes.iter().any(|known| known == scope)) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(HeaderValue::to_str)?.ok().filter(|value| !value.is_empty()).map(str::to_owned)
}

/// One line for a failed call: ids and numbers, never a body. What the machine mends alone is no warning, and neither is
/// a refusal that answers the question.
pub(super) fn note(error: &CallError, elapsed: Duration) {
    let (call, code, status, log_id) = (error.call(), error.code(), error.status(), error.log_id());
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let cause = causes(error);
    let quiet = error.class() == Class::Reauthenticate || code.is_some_and(|code| call.says_absent(code));
    if quiet {
        tracing::debug!(path = call.path(), code, status, log_id, elapsed_ms, cause, "{error}");
    } else {
        tracing::warn!(path = call.path(), code, status, log_id, elapsed_ms, cause, "{error}");
    }
}

/// What lies behind an error, from the outermost inwards; `None` where nothing does.
fn causes(error: &CallError) -> Option<String> {
    let mut causes = vec![];
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    (!causes.is_empty()).then(|| causes.join(": "))
}
