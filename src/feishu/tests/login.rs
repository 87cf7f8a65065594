//! Authorization by a person: the address, the exchange, the codes.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use url::Url;

use super::stub::{Reply, client, stub};
use crate::domain::keys::Rotating;
use crate::feishu::oauth::{OauthError, SCOPES};
use crate::feishu::{Feishu, Settings};

#[test]
fn the_consent_page_is_on_the_accounts_origin_with_s256() {
    let url = |text: &str| -> Url { text.parse().expect("an address") };
    let feishu = Feishu::new(Settings {
        open_url: url("http://127.0.0.1:1/open/"),
        accounts_url: url("http://127.0.0.1:1/accounts"),
        app_id: "cli_1".into(),
        app_secret: Rotating::only("s".into()),
    })
    .expect("a client");
    let page = feishu.authorize_url("https://bot.example/oauth/callback", "st+te", "ch", &SCOPES);
    assert_eq!(page.path(), "/accounts/open-apis/authen/v1/authorize");
    let query: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    let value = |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(value("client_id"), Some("cli_1"));
    assert_eq!(value("response_type"), Some("code"));
    assert_eq!(value("redirect_uri"), Some("https://bot.example/oauth/callback"));
    assert_eq!(value("scope"), Some(SCOPES.join(" ").as_str()));
    assert_eq!(value("state"), Some("st+te"));
    assert_eq!((value("code_challenge"), value("code_challenge_method")), (Some("ch"), Some("S256")));
    assert!(page.as_str().contains("readonly%20offline_access"), "{page}");
}

#[test]
fn an_origin_that_is_no_web_address_is_refused() {
    for (open, accounts) in [("data:x", "http://a"), ("http://a", "mailto:a@b"), ("ftp://a", "http://a")] {
        let url = |text: &str| -> Url { text.parse().expect("an address") };
        let settings = Settings {
            open_url: url(open),
            accounts_url: url(accounts),
            app_id: "a".into(),
            app_secret: Rotating::only("s".into()),
        };
        assert!(Feishu::new(settings).is_err(), "{open} {accounts}");
    }
}

#[tokio::test]
async fn a_code_becomes_tokens_and_a_refresh_token_new_ones() {
    let stub = stub(|_, nth| {
        let mut body =
            json!({"code": 0, "access_token": "eyJ-1", "expires_in": 7200, "token_type": "Bearer", "scope": "a b"});
        if nth == 0 {
            body["refresh_token"] = json!("r-1");
            body["refresh_token_expires_in"] = json!(604800);
        }
        Reply::ok(body)
    });
    let tokens = stub.feishu.exchange_code("co-1", "https://bot/cb", &"verifier".into()).await.expect("tokens");
    assert_eq!(tokens.access.expose_secret(), "eyJ-1");
    assert_eq!(tokens.expires_in, Duration::from_secs(7200));
    assert_eq!(tokens.refresh.as_ref().map(ExposeSecret::expose_secret), Some("r-1"));
    assert_eq!(tokens.refresh_expires_in, Some(Duration::from_secs(604_800)));
    assert_eq!(tokens.scope, "a b");
    assert!(!format!("{tokens:?}").contains("eyJ-1"));

    let tokens = stub.feishu.refresh(&"r-1".into()).await.expect("tokens");
    assert!(tokens.refresh.is_none() && tokens.refresh_expires_in.is_none());

    let seen = stub.seen("/authen/v2/oauth/token");
    assert_eq!(
        seen[0].body,
        json!({"grant_type": "authorization_code", "client_id": "cli_1", "client_secret": "app-secret-1",
            "code": "co-1", "redirect_uri": "https://bot/cb", "code_verifier": "verifier"})
    );
    assert_eq!(
        seen[1].body,
        json!({"grant_type": "refresh_token", "client_id": "cli_1", "client_secret": "app-secret-1", "refresh_token": "r-1"})
    );
    assert!(seen.iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn who_authorized_is_asked_with_their_token() {
    let stub = stub(|_, nth| match nth {
        0 => Reply::ok(json!({"code": 0, "data": {"open_id": "ou_1", "name": "林", "tenant_key": "tk"}})),
        1 => Reply::code(200, 20005),
        _ => Reply::ok(json!({"code": 0, "data": {}})),
    });
    let info = stub.feishu.user_info(&"eyJ-1".into()).await.expect("a person");
    assert_eq!((info.open_id.as_str(), info.name.as_str(), info.tenant_key.as_deref()), ("ou_1", "林", Some("tk")));
    assert_eq!(stub.seen("/user_info")[0].header("authorization"), Some("Bearer eyJ-1"));
    let error = stub.feishu.user_info(&"eyJ-1".into()).await.expect_err("stale");
    assert!(matches!(error, OauthError::Reauthorize { code: 20005 }), "{error:?}");
    let error = stub.feishu.user_info(&"eyJ-1".into()).await.expect_err("nobody");
    assert!(matches!(error, OauthError::Bug(_)), "{error:?}");
}

/// What a refresh says to an answer.
async fn refused(status: u16, body: String) -> OauthError {
    let stub = stub(move |_, _| Reply::Whole(status, "", body.clone()));
    stub.feishu.refresh(&"r-1".into()).await.expect_err("no tokens")
}

#[tokio::test]
async fn every_answer_to_a_refresh_says_what_to_do() {
    let code = async |status: u16, code: i64| {
        refused(status, json!({"code": code, "error": "x", "error_description": "y"}).to_string()).await
    };
    assert!(matches!(code(400, 20073).await, OauthError::AlreadyUsed));
    assert!(matches!(code(400, 20037).await, OauthError::Reauthorize { code: 20037 }));
    assert!(matches!(code(400, 20064).await, OauthError::Reauthorize { .. }));
    assert!(matches!(code(400, 20066).await, OauthError::PersonGone { .. }));
    assert!(matches!(code(400, 20010).await, OauthError::FixSetup { code: 20010 }));
    assert!(matches!(code(400, 20036).await, OauthError::Bug(_)));
    assert!(matches!(code(500, 20050).await, OauthError::Retry(_)));
    assert!(matches!(code(503, 20072).await, OauthError::Retry(_)));
    assert!(matches!(code(429, 99991400).await, OauthError::Retry(_)));
    assert!(matches!(code(400, 424242).await, OauthError::Bug(_)));
    assert!(matches!(code(500, 424242).await, OauthError::Retry(_)));
    assert!(matches!(refused(502, "<html>".into()).await, OauthError::Retry(_)));
    assert!(matches!(refused(200, r#"{"code":0}"#.into()).await, OauthError::Bug(_)));
    let nobody = client("http://127.0.0.1:1").refresh(&"r-1".into()).await.expect_err("no tokens");
    assert!(matches!(nobody, OauthError::Retry(_)), "{nobody:?}");
}
