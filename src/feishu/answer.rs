//! What came back, or did not: an answer with code 0, or a [`CallError`] that says what is certain.
//!
//! The `code` in the body decides, for many refusals come with HTTP 200; the status speaks only where there is no code.
//! Gateways answer in HTML or plain text, and an answer may end anywhere; nothing of that is ever taken for a
//! success. Source: "Response body structure" and "Rate limits" of the API call guide.

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
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let log_id = header(&headers, "x-tt-logid").or_else(|| header(&headers, "x-request-id"));
    let retry_after = header(&headers, "x-ogw-ratelimit-reset")
        .and_then(|seconds| seconds.trim().parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    let unreadable = |why: Nonsense| CallError::Unreadable { call, status, log_id: log_id.clone(), retry_after, why };

    let mut bytes = vec![];
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(call, error))? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(unreadable(Nonsense::TooLarge));
        }
        bytes.extend_from_slice(&chunk);
    }
    let body: Value = serde_json::from_slice(&bytes).map_err(|_| unreadable(Nonsense::NotJson))?;
    let code = body.get("code").and_then(Value::as_i64).ok_or_else(|| unreadable(Nonsense::NoCode))?;
    let in_body = || text(&body, "/error/log_id").or_else(|| text(&body, "/error/logid")).map(str::to_owned);
    let log_id = log_id.clone().or_else(in_body);
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

/// One line for a failed call: ids and numbers, never a body. What the machine mends alone is no warning.
pub(super) fn note(error: &CallError, elapsed: Duration) {
    let (call, code, status, log_id) = (error.call(), error.code(), error.status(), error.log_id());
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let cause = causes(error);
    match error.class() {
        Class::Reauthenticate => {
            tracing::debug!(path = call.path(), code, status, log_id, elapsed_ms, cause, "{error}");
        }
        Class::Retry { .. } | Class::FixSetup | Class::Permanent | Class::Unknown => {
            tracing::warn!(path = call.path(), code, status, log_id, elapsed_ms, cause, "{error}");
        }
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
