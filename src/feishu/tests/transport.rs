//! What can go wrong between us and Feishu, and what is then certain.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;

use super::stub::{NOW, Reply, Seen, Stub, client, signed_in, stub, stub_of};
use crate::domain::ids::MessageId;
use crate::feishu::error::Nonsense;
use crate::feishu::{CallError, Class, SendError, Verdict};

const BATCH: &str = "/open-apis/message/v4/batch_send/";
const AGAIN: Verdict = Verdict::RetryAfter(None);

async fn send(stub: &Stub) -> Result<String, SendError> {
    let accepted = stub.feishu.batch_send(NOW, r#"{"msg_type":"text"}"#).await;
    accepted.map(|accepted| accepted.message_id.to_string())
}

/// Sends a batch that fails; tells the verdict, and how often Feishu was asked.
async fn verdict(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> (Verdict, usize) {
    let stub = signed_in(answer);
    let error = send(&stub).await.expect_err("a failure");
    (error.verdict(), stub.seen(BATCH).len())
}

#[tokio::test]
async fn a_batch_is_sent_once_with_token_and_receipt() {
    let stub = signed_in(|_, _| {
        Reply::Whole(
            200,
            "X-Tt-Logid: log-1\r\n",
            json!({"code": 0, "msg": "ok", "data": {"message_id": "bm-1",
            "invalid_department_ids": ["od-x"], "invalid_open_ids": null, "invalid_user_ids": []}})
            .to_string(),
        )
    });
    let accepted = stub.feishu.batch_send(NOW, r#"{"msg_type":"text"}"#).await.expect("accepted");
    assert_eq!(accepted.message_id.as_str(), "bm-1");
    assert_eq!(accepted.invalid.departments, ["od-x"]);
    assert!(accepted.invalid.open_ids.is_empty() && accepted.invalid.user_ids.is_empty());
    assert!(accepted.invalid.union_ids.is_empty());
    assert_eq!(accepted.log_id.as_deref(), Some("log-1"));

    let seen = &stub.seen(BATCH)[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", BATCH));
    assert_eq!(seen.header("authorization"), Some("Bearer t-1"));
    assert_eq!(seen.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(seen.header("user-agent"), Some(concat!("feishu-broadcast/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(seen.header("x-request-id"), None);
    assert_eq!(seen.body, json!({"msg_type": "text"}));
}

#[tokio::test]
async fn a_refused_connection_means_that_nothing_was_sent() {
    // One connection for the token; then nobody listens.
    let stub = stub_of(1, |_, _| Reply::token("t-1"));
    stub.feishu.bot_info(NOW).await.expect_err("the door is shut by now");
    let error = send(&stub).await.expect_err("a failure");
    assert!(matches!(error, SendError::NotSent(CallError::NotSent { .. })), "{error:?}");
    assert_eq!(error.verdict(), AGAIN);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_means_that_nothing_was_sent() {
    let error = client("http://nowhere.invalid").batch_send(NOW, "{}").await.expect_err("a failure");
    assert!(matches!(error, SendError::NoToken(_)), "{error:?}");
    assert_eq!(error.verdict(), AGAIN);
}

#[tokio::test]
async fn tls_that_fails_means_that_nothing_was_sent() {
    let stub = stub(|_, _| Reply::HangUp);
    let origin = stub.feishu.settings.open_url.as_str().replace("http://", "https://");
    let error = client(&origin).bot_info(NOW).await.expect_err("a failure");
    let CallError::NoToken(error) = error else { panic!("no token: {error:?}") };
    assert!(matches!(*error, CallError::NotSent { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_never_comes_asks_a_person_and_is_not_repeated() {
    assert_eq!(verdict(|_, _| Reply::HangUp).await, (Verdict::AskHuman, 1));
}

#[tokio::test]
async fn a_kept_connection_that_dies_under_the_request_asks_a_person_and_is_not_repeated() {
    // There is one connection and no second: a replay would be refused, and so be told from an honest failure.
    let stub = stub_of(1, |seen, _| {
        if seen.is("/tenant_access_token/") {
            Reply::KeptAlive(json!({"code": 0, "tenant_access_token": "t-1", "expire": 7200}))
        } else {
            Reply::HangUp
        }
    });
    assert_eq!(send(&stub).await.expect_err("a failure").verdict(), Verdict::AskHuman);
    assert_eq!(stub.seen(BATCH).len(), 1);
}

#[tokio::test]
async fn html_ask_a_person_whatever_the_status() {
    for status in [200, 400, 403, 404, 500, 502, 504] {
        let answer = verdict(move |_, _| Reply::Whole(status, "Content-Type: text/html\r\n", "<html>Bad".into())).await;
        assert_eq!(answer, (Verdict::AskHuman, 1), "{status}");
    }
}

#[tokio::test]
async fn a_torn_answer_asks_a_person() {
    for torn in [
        "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"code\":0,\"data\":{\"message_id\":\"bm-1\"}}",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"code\":0",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cod\r\n",
        "HTTP/1.1 200",
        "SSH-2.0\r\n\r\n",
    ] {
        assert_eq!(verdict(move |_, _| Reply::Torn(torn)).await, (Verdict::AskHuman, 1), "{torn}");
    }
}

#[tokio::test]
async fn a_success_without_a_receipt_asks_a_person_and_keeps_the_invalid_ids() {
    for data in [json!(null), json!({}), json!({"message_id": ""}), json!({"message_id": null})] {
        let body = json!({"code": 0, "data": data});
        assert_eq!(verdict(move |_, _| Reply::ok(body.clone())).await, (Verdict::AskHuman, 1), "{data}");
    }
    let stub = signed_in(|_, _| Reply::ok(json!({"code": 0, "data": {"invalid_open_ids": ["ou_1"]}})));
    let Err(SendError::NoReceipt { invalid, .. }) = send(&stub).await else { panic!("no receipt") };
    assert_eq!(invalid.open_ids, ["ou_1"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let redirect = |_: &Seen, _| Reply::Whole(307, "Location: /elsewhere\r\n", String::new());
    let stub = signed_in(redirect);
    assert_eq!(send(&stub).await.expect_err("a failure").verdict(), Verdict::AskHuman);
    assert!(stub.seen("/elsewhere").is_empty());
}

#[tokio::test]
async fn a_documented_code_is_a_refusal_and_others_ask_a_person() {
    assert_eq!(verdict(|_, _| Reply::code(200, 11204)).await, (Verdict::Refused, 1));
    assert_eq!(verdict(|_, _| Reply::code(200, 10002)).await, (Verdict::AskHuman, 1));
    assert_eq!(verdict(|_, _| Reply::code(200, 424242)).await, (Verdict::AskHuman, 1));
    assert_eq!(verdict(|_, _| Reply::code(503, 11204)).await, (Verdict::AskHuman, 1));
    assert_eq!(verdict(|_, _| Reply::code(503, 99991663)).await, (Verdict::AskHuman, 1));
    assert_eq!(verdict(|_, _| Reply::code(200, 11232)).await, (AGAIN, 1));
}

#[tokio::test]
async fn a_stale_token_is_forgotten_and_the_next_batch_has_a_fresh_one() {
    for (status, code) in [(200, 99991663), (400, 99991663), (401, 99991671), (200, 99991665), (200, 20013)] {
        let stub = stub(move |seen, nth| match (seen.is("/tenant_access_token/"), nth) {
            (true, nth) => Reply::token(["t-1", "t-2"][nth]),
            (false, 0) => Reply::code(status, code),
            (false, _) => Reply::ok(json!({"code": 0, "data": {"message_id": "bm-1"}})),
        });
        assert_eq!(send(&stub).await.expect_err("refused").verdict(), AGAIN);
        assert_eq!(stub.seen(BATCH).len(), 1, "it has its own moment in the pace");
        assert_eq!(send(&stub).await.expect("accepted"), "bm-1");
        let bearers: Vec<_> =
            stub.seen(BATCH).iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
        assert_eq!(bearers, [Some("Bearer t-1".to_owned()), Some("Bearer t-2".to_owned())]);
        // The fresh one is kept.
        send(&stub).await.expect("accepted");
        assert_eq!(stub.seen("/tenant_access_token/").len(), 2);
    }
}

#[tokio::test]
async fn any_other_call_is_made_once_more_with_a_fresh_token_and_no_more_than_that() {
    let stub = stub(move |seen, nth| match (seen.is("/tenant_access_token/"), nth) {
        (true, nth) => Reply::token(["t-1", "t-2", "t-3"][nth]),
        (false, 0 | 2 | 3) => Reply::code(400, 99991663),
        (false, _) => {
            Reply::ok(json!({"code": 0, "bot": {"open_id": "ou_bot", "app_name": "x", "activate_status": 2}}))
        }
    });
    stub.feishu.bot_info(NOW).await.expect("an answer");
    stub.feishu.bot_info(NOW).await.expect_err("refused twice");
    assert_eq!(stub.seen("/bot/v3/info").len(), 4);
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_batch_unsent() {
    let stub = stub(|seen, nth| match (seen.is("/tenant_access_token/"), nth) {
        (true, 0) => Reply::token("t-1"),
        (true, _) => Reply::code(200, 10015),
        (false, _) => Reply::code(200, 99991663),
    });
    send(&stub).await.expect_err("a failure");
    let error = send(&stub).await.expect_err("a failure");
    assert_eq!((error.verdict(), error.code()), (Verdict::Refused, Some(10015)));
    // A wrong secret is not asked about again within the minute.
    send(&stub).await.expect_err("a failure");
    assert_eq!(stub.seen("/tenant_access_token/").len(), 2);
}

#[tokio::test]
async fn a_secret_that_is_being_changed_is_tried_after_the_present_one_and_only_where_that_is_wrong() {
    let signing_in = async |answer: fn(&str) -> Reply, previous: bool| {
        let mut stub = stub(move |seen, _| answer(seen.body["app_secret"].as_str().unwrap_or_default()));
        stub.feishu.settings.app_secret.previous = previous.then(|| "app-secret-0".into());
        let token = stub.feishu.fetch_tenant_token().await;
        let tried: Vec<_> =
            stub.seen("/tenant_access_token/").iter().map(|seen| seen.body["app_secret"].clone()).collect();
        (token.map(|fetched| fetched.token.expose_secret().to_owned()).map_err(|error| error.code()), tried)
    };
    let (present, both) = (vec![json!("app-secret-1")], vec![json!("app-secret-1"), json!("app-secret-0")]);
    let wrong: [fn(&str) -> Reply; 2] = [
        |secret| if secret.ends_with('0') { Reply::token("t-0") } else { Reply::code(200, 10014) },
        |secret| if secret.ends_with('0') { Reply::token("t-0") } else { Reply::code(200, 10015) },
    ];
    for wrong in wrong {
        assert_eq!(signing_in(wrong, true).await, (Ok("t-0".into()), both.clone()));
        assert!(matches!(signing_in(wrong, false).await, (Err(Some(10014 | 10015)), tried) if tried == present));
    }
    assert_eq!(signing_in(|_| Reply::token("t-1"), true).await, (Ok("t-1".into()), present.clone()));
    assert_eq!(signing_in(|_| Reply::code(200, 2200), true).await, (Err(Some(2200)), present.clone()));
    let neither = |secret: &str| Reply::code(200, if secret.ends_with('0') { 10014 } else { 10015 });
    assert_eq!(signing_in(neither, true).await, (Err(Some(10015)), both.clone()), "the refusal of the present one");
    // Nobody knows whether the previous one is right: that is no mistake in the settings.
    let lost = |secret: &str| if secret.ends_with('0') { Reply::HangUp } else { Reply::code(200, 10015) };
    assert_eq!(signing_in(lost, true).await, (Err(None), both));
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait() {
    for (headers, status, wait) in [
        ("x-ogw-ratelimit-limit: 50\r\nx-ogw-ratelimit-reset: 41\r\n", 429, Some(41)),
        ("X-Ogw-Ratelimit-Reset: 41\r\n", 400, Some(41)),
        ("x-ogw-ratelimit-reset: 86400\r\n", 429, Some(120)),
        ("x-ogw-ratelimit-reset: soon\r\n", 429, None),
        ("", 429, None),
    ] {
        let body = r#"{"code":99991400,"msg":"request trigger frequency limit"}"#;
        let answer = verdict(move |_, _| Reply::Whole(status, headers, body.into())).await;
        assert_eq!(answer, (Verdict::RetryAfter(wait.map(Duration::from_secs)), 1), "{headers}");
    }
    let plain = verdict(|_, _| Reply::Whole(429, "x-ogw-ratelimit-reset: 2\r\n", "slow down".into())).await;
    assert_eq!(plain, (Verdict::RetryAfter(Some(Duration::from_secs(2))), 1));
}

#[tokio::test]
async fn while_feishu_wants_a_pause_of_an_endpoint_nothing_is_sent_there() {
    let stub = signed_in(|seen, nth| match (seen.is(BATCH), nth) {
        (true, 0) => {
            let body = r#"{"code":99991400,"msg":"request trigger frequency limit"}"#;
            Reply::Whole(429, "x-ogw-ratelimit-reset: 41\r\n", body.into())
        }
        (true, _) => Reply::ok(json!({"code": 0, "data": {"message_id": "bm-1"}})),
        (false, _) => Reply::ok(json!({"code": 0, "data": {}})),
    });
    let at = async |seconds| stub.feishu.batch_send(NOW.after(Duration::from_secs(seconds)), "{}").await;
    assert_eq!(at(0).await.expect_err("throttled").verdict(), Verdict::RetryAfter(Some(Duration::from_secs(41))));
    let Verdict::RetryAfter(Some(left)) = at(40).await.expect_err("not yet").verdict() else { panic!("no wait") };
    assert!(left >= Duration::from_secs(1) && left < Duration::from_secs(41), "{left:?}");
    assert_eq!(stub.seen(BATCH).len(), 1, "it was asked before the pause was over");
    // The limit is that endpoint's alone.
    let message = MessageId::new("om_1").expect("an id");
    stub.feishu.patch_card(NOW, &message, "{}").await.expect("another endpoint is free");
    at(80).await.expect("the pause is over");
}

#[tokio::test]
async fn twenty_calls_at_once_fetch_one_token() {
    let stub = signed_in(|_, _| Reply::ok(json!({"code": 0, "bot": {"open_id": "ou_bot"}})));
    let calls = (0..20).map(|_| {
        let feishu = stub.feishu.clone();
        tokio::spawn(async move { feishu.bot_info(NOW).await })
    });
    for info in futures_util::future::join_all(calls).await {
        assert_eq!(info.expect("no task panics").expect("the bot").open_id.as_str(), "ou_bot");
    }
    assert_eq!(stub.seen("/tenant_access_token/").len(), 1);
    assert_eq!(stub.seen("/bot/v3/info").len(), 20);
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let stub = signed_in(|_, _| Reply::ok(json!({"code": 0, "x": "x".repeat(4 * 1024 * 1024)})));
    let error = stub.feishu.bot_info(NOW).await.expect_err("too large");
    assert!(matches!(error, CallError::Unreadable { why: Nonsense::TooLarge, .. }), "{error:?}");
}

#[tokio::test]
async fn missing_scopes_and_the_log_id_are_read_in_every_shape() {
    let body = json!({"code": 99991672, "msg": "Access denied", "error": {"log_id": "log-2", "permission_violations": [
        {"type": "action_privilege_required", "subject": "contact:contact.base:readonly"},
        {"scope": "im:message", "url": "https://example.com"}, {"subject": "im:message"}, {}, {"subject": ""}]}});
    let stub = signed_in(move |_, _| Reply::Whole(400, "", body.to_string()));
    let error = stub.feishu.bot_info(NOW).await.expect_err("refused");
    assert_eq!(error.scopes(), ["contact:contact.base:readonly", "im:message"]);
    assert_eq!((error.code(), error.status(), error.log_id()), (Some(99991672), Some(400), Some("log-2")));
    assert_eq!(error.class(), Class::FixSetup);
}

#[tokio::test]
async fn no_error_shows_a_secret_or_an_address() {
    let stub = stub_of(1, |_, _| Reply::token("t-secret"));
    let message = MessageId::new("om_hidden").expect("an id");
    let error = stub.feishu.reply_message(NOW, &message, "text", "{}", "u");
    let shown = format!("{0:?} {0}", error.await.expect_err("a failure"));
    let shown = format!("{shown} {:?}", stub.feishu);
    for secret in ["t-secret", "app-secret-1", "om_hidden"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
