//! What the token cache does over time. The endpoint is a function here; `transport.rs` has a real one.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::codes::Call;
use super::super::error::{Nonsense, Refusal};
use super::*;

const START: Timestamp = Timestamp(1_700_000_000_000);

fn later(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

fn fetched(token: &str, seconds: u64) -> Result<Fetched, CallError> {
    Ok(Fetched { token: token.into(), expires_in: Some(Duration::from_secs(seconds)) })
}

fn refused(code: i64) -> Result<Fetched, CallError> {
    Err(CallError::Refused(Box::new(Refusal {
        call: Call::TenantToken,
        code,
        status: 200,
        log_id: None,
        msg: String::new(),
        scopes: vec![],
        retry_after: None,
    })))
}

fn garbled() -> Result<Fetched, CallError> {
    let why = Nonsense::NotJson;
    Err(CallError::Unreadable { call: Call::TenantToken, status: 502, log_id: None, retry_after: None, why })
}

async fn get(tokens: &TenantTokens, now: Timestamp, answer: Result<Fetched, CallError>) -> Result<String, Option<i64>> {
    let token = tokens.get(now, async || answer).await;
    token.map(|token| token.expose_secret().to_owned()).map_err(|error| error.code())
}

/// Asks where no fetch may happen.
async fn kept(tokens: &TenantTokens, now: Timestamp) -> String {
    let token = tokens.get(now, async || panic!("the token is known")).await;
    token.expect("a token").expose_secret().to_owned()
}

#[tokio::test]
async fn a_token_serves_until_ten_minutes_before_its_end() {
    let tokens = TenantTokens::default();
    assert_eq!(get(&tokens, START, fetched("t-1", 7200)).await.as_deref(), Ok("t-1"));
    assert_eq!(kept(&tokens, later(6600)).await, "t-1");
    assert_eq!(get(&tokens, later(6601), fetched("t-2", 7200)).await.as_deref(), Ok("t-2"));
    assert_eq!(kept(&tokens, later(6602)).await, "t-2");
}

#[tokio::test]
async fn the_old_token_serves_while_its_renewal_fails() {
    let tokens = TenantTokens::default();
    assert_eq!(get(&tokens, START, fetched("t-1", 1800)).await.as_deref(), Ok("t-1"));
    assert_eq!(get(&tokens, later(1300), garbled()).await.as_deref(), Ok("t-1"));
    // The next attempts come after 1, 2, 4 … seconds and not before.
    assert_eq!(kept(&tokens, later(1300)).await, "t-1");
    assert_eq!(get(&tokens, later(1301), garbled()).await.as_deref(), Ok("t-1"));
    assert_eq!(kept(&tokens, later(1302)).await, "t-1");
    assert_eq!(get(&tokens, later(1303), garbled()).await.as_deref(), Ok("t-1"));
    // Past its end nothing is left, and then each asker tries.
    assert_eq!(get(&tokens, later(1800), garbled()).await, Err(None));
    assert_eq!(get(&tokens, later(1800), fetched("t-2", 7200)).await.as_deref(), Ok("t-2"));
}

#[tokio::test]
async fn a_token_of_a_minute_or_of_unknown_life_is_used_and_not_kept() {
    let tokens = TenantTokens::default();
    let unknown = Ok(Fetched { token: "t-1".into(), expires_in: None });
    assert_eq!(get(&tokens, START, unknown).await.as_deref(), Ok("t-1"));
    assert_eq!(get(&tokens, START, fetched("t-2", 60)).await.as_deref(), Ok("t-2"));
    assert_eq!(get(&tokens, START, fetched("t-3", 61)).await.as_deref(), Ok("t-3"));
    // Due at once, as less than ten minutes are left, but good if the renewal fails.
    assert_eq!(get(&tokens, START, garbled()).await.as_deref(), Ok("t-3"));
}

#[tokio::test]
async fn a_wrong_secret_is_asked_about_once_a_minute() {
    for code in [10003, 10014, 10015] {
        let tokens = TenantTokens::default();
        assert_eq!(get(&tokens, START, refused(code)).await, Err(Some(code)));
        assert_eq!(get(&tokens, later(59), fetched("t-1", 7200)).await, Err(Some(code)));
        assert_eq!(get(&tokens, later(60), fetched("t-1", 7200)).await.as_deref(), Ok("t-1"));
    }
    let tokens = TenantTokens::default();
    assert_eq!(get(&tokens, START, refused(2200)).await, Err(Some(2200)));
    assert_eq!(get(&tokens, START, fetched("t-1", 7200)).await.as_deref(), Ok("t-1"));
}

#[tokio::test]
async fn a_pause_that_was_asked_for_is_kept_and_a_clock_set_back_does_not_prolong_it() {
    let throttled = || {
        let asked = Some(Duration::from_secs(41));
        refused(99991400).map_err(|error| match error {
            CallError::Refused(refusal) => CallError::Refused(Box::new(Refusal { retry_after: asked, ..*refusal })),
            other => other,
        })
    };
    let tokens = TenantTokens::default();
    assert_eq!(get(&tokens, START, throttled()).await, Err(Some(99991400)));
    assert_eq!(get(&tokens, later(40), fetched("t-1", 7200)).await, Err(Some(99991400)));
    assert_eq!(get(&tokens, later(42), fetched("t-1", 7200)).await.as_deref(), Ok("t-1"));

    let tokens = TenantTokens::default();
    assert_eq!(get(&tokens, later(600), throttled()).await, Err(Some(99991400)));
    assert_eq!(get(&tokens, START, fetched("t-1", 7200)).await.as_deref(), Ok("t-1"));
}

#[tokio::test]
async fn only_the_refused_token_is_forgotten() {
    let tokens = TenantTokens::default();
    tokens.forget(&"t-0".into()).await;
    assert_eq!(get(&tokens, START, fetched("t-1", 7200)).await.as_deref(), Ok("t-1"));
    tokens.forget(&"t-0".into()).await;
    assert_eq!(kept(&tokens, START).await, "t-1");
    tokens.forget(&"t-1".into()).await;
    assert_eq!(get(&tokens, START, fetched("t-2", 7200)).await.as_deref(), Ok("t-2"));
}

/// Lets twenty ask at once; the answer comes when all of them wait. Returns how many fetched, and what all received.
async fn twenty(answer: fn() -> Result<Fetched, CallError>) -> (usize, Vec<Result<String, Option<i64>>>) {
    let (tokens, fetches) = (TenantTokens::default(), Arc::new(AtomicUsize::new(0)));
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let (tokens, fetches) = (tokens.clone(), fetches.clone());
            tokio::spawn(async move {
                let token = tokens.get(START, async || {
                    fetches.fetch_add(1, Ordering::SeqCst);
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    answer()
                });
                token.await.map(|token| token.expose_secret().to_owned()).map_err(|error| error.code())
            })
        })
        .collect();
    let mut received = vec![];
    for task in asking {
        received.push(task.await.expect("no task panics"));
    }
    (fetches.load(Ordering::SeqCst), received)
}

#[tokio::test]
async fn twenty_who_ask_at_once_share_one_fetch_and_its_outcome() {
    assert_eq!(twenty(|| fetched("t-1", 7200)).await, (1, vec![Ok("t-1".into()); 20]));
    assert_eq!(twenty(|| fetched("t-1", 30)).await, (1, vec![Ok("t-1".into()); 20]));
    assert_eq!(twenty(|| refused(2200)).await, (1, vec![Err(Some(2200)); 20]));
    assert_eq!(twenty(garbled).await, (1, vec![Err(None); 20]));
}

#[tokio::test]
async fn no_token_is_ever_shown() {
    let tokens = TenantTokens::default();
    get(&tokens, START, fetched("t-very-secret", 7200)).await.expect("a token");
    assert!(!format!("{tokens:?}").contains("very-secret"));
}
