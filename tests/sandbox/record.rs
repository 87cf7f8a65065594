//! What happened on the wire, kept for stories and for the playground's log; secrets are masked before they get here.

use serde::Serialize;
use serde_json::Value;

/// How many calls and pushes are remembered; older ones fall out, so that a playground may run for days.
pub const KEPT: usize = 50_000;

/// One request of the bot and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Counts from 1 and never repeats.
    pub number: u64,
    pub at_ms: i64,
    /// The route's name, such as `batch_send`; what [`super::Fault`] calls an endpoint. `unknown` for no route.
    pub endpoint: String,
    pub method: String,
    pub path: String,
    /// As sent, with secrets masked.
    pub query: String,
    /// `none`, `tenant`, `user`, or `other`.
    pub token: String,
    pub request: Value,
    /// 0 where the connection was dropped without an answer.
    pub status: u16,
    pub response: Value,
    pub elapsed_ms: u64,
    /// The fault that shaped this answer, in words.
    pub fault: Option<String>,
}

impl Call {
    /// The platform's `code` in the answer; `None` where the answer is no such JSON.
    pub fn code(&self) -> Option<i64> {
        self.response.get("code").and_then(Value::as_i64)
    }
}

/// What kind of request the platform made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PushKind {
    Event,
    Callback,
    Challenge,
    /// Made by a story itself, perhaps tampered with.
    Raw,
}

/// One request of the platform to the bot, and the answer.
#[derive(Clone, Debug, Serialize)]
pub struct Push {
    pub number: u64,
    pub at_ms: i64,
    pub kind: PushKind,
    pub event_id: String,
    pub event_type: String,
    /// 1 for the first delivery, up to 5.
    pub attempt: u32,
    /// The event in plain text, with the verification token masked.
    pub event: Value,
    /// 0 where no answer came.
    pub status: u16,
    pub answer: String,
    pub elapsed_ms: u64,
}

/// Keys whose values no log may carry.
const SECRET_KEYS: [&str; 10] = [
    "app_secret",
    "client_secret",
    "tenant_access_token",
    "app_access_token",
    "access_token",
    "refresh_token",
    "code",
    "code_verifier",
    "token",
    "encrypt",
];

/// The same JSON with every secret string replaced by `***`. The numeric `code` of an answer stays.
pub fn masked(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, field)| {
                let hide = SECRET_KEYS.contains(&key.as_str()) && field.is_string();
                (key.clone(), if hide { Value::from("***") } else { masked(field) })
            })
            .collect(),
        Value::Array(items) => items.iter().map(masked).collect(),
        other => other.clone(),
    }
}

/// A query string for the log.
pub fn masked_query(query: &[(String, String)]) -> String {
    let parts: Vec<String> = query
        .iter()
        .map(|(key, value)| format!("{key}={}", if SECRET_KEYS.contains(&key.as_str()) { "***" } else { value }))
        .collect();
    parts.join("&")
}

/// Keeps the newest [`KEPT`] of a log.
pub fn remember<T>(log: &mut Vec<T>, entry: T) {
    if log.len() >= KEPT {
        log.drain(..KEPT / 10);
    }
    log.push(entry);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_at_any_depth_and_result_codes_are_not() {
        let seen = masked(&json!({"code": 0, "data": [{"refresh_token": "r"}], "app_secret": "s"}));
        assert_eq!(seen, json!({"code": 0, "data": [{"refresh_token": "***"}], "app_secret": "***"}));
    }
}
