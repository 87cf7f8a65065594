//! Secrets stay where they are, however much is logged.

use std::time::Duration;

use super::Running;
use crate::sandbox::{Fault, Forge};
use crate::stage::{PUBLIC_URL, link_of};

const SECRET_KEY: &str = "c3RvcnktdGVsbGVycy1rZWVwLXRoZWlyLXNlY3JldHM=";

/// All keys are being changed.
const PREVIOUS: [(&str, &str); 4] = [
    ("FEISHU_APP_SECRET_PREVIOUS", "app-secret-of-last-year"),
    ("FEISHU_ENCRYPT_KEY_PREVIOUS", "encrypt-key-of-last-year"),
    ("FEISHU_VERIFICATION_TOKEN_PREVIOUS", "verification-token-of-last-year"),
    ("SECRET_KEY_PREVIOUS", "b25lLWtleS1vZi0zMi1ieXRlcy1mb3ItdGhlLXN0b3I="),
];

/// Plays a whole day with every level of the log on, and looks through all that was written.
async fn nothing_leaks(format: &str) -> anyhow::Result<()> {
    let mut more = vec![("RUST_LOG", "trace"), ("LOG_FORMAT", format), ("SECRET_KEY", SECRET_KEY)];
    more.extend(PREVIOUS);
    let mut running = Running::start(&more).await?;
    let tenant = running.tenant.clone();
    let wang = tenant.person("王芳");
    // The first token is refused, the next is fetched.
    tenant.fault(Fault::token(2200));
    tenant.verify_url().await.map_err(anyhow::Error::msg)?;
    wang.says("/login").await;
    let card = loop {
        let card = wang.next_card().await;
        if let Ok(card) = card {
            break card;
        }
    };
    let link = link_of(&card).expect("a login card has a link").replace(PUBLIC_URL, "");
    let answer = running.get(&link).await?;
    let consent = answer.headers()["location"].to_str()?.to_owned();
    let back = tenant.consents(&consent, "王芳").map_err(anyhow::Error::msg)?;
    assert_eq!(running.get(&back.replace(PUBLIC_URL, "")).await?.status(), 200);
    wang.says("/broadcast 销售部 不该进日志的通知").await;
    let card = tenant.person("赵磊").next_card().await.map_err(anyhow::Error::msg)?;
    tenant.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
    running.until("it is sent", |tenant| !tenant.tasks().is_empty()).await?;
    // A stale token is replaced on the way.
    tenant.revoke_app_tokens();
    wang.says("/departments 客服部").await;
    running.until("departments are looked up", |tenant| tenant.calls_to("departments.search").len() > 1).await?;
    let event = wang.text_event("/help");
    for forge in [Forge::Body, Forge::Signature, Forge::Token, Forge::Unsigned, Forge::PlainText, Forge::Padding] {
        tenant.post(&tenant.forge(&event, forge)).await;
    }
    tenant.person("陈晨").says("hello").await;
    let metrics = running.scrape().await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.signal("TERM").await?;

    let said = format!("{}\n{metrics}", running.output());
    assert!(said.contains("TRACE"), "the level reached the log");
    let mut secrets = vec![("SECRET_KEY".to_owned(), SECRET_KEY.to_owned())];
    secrets.extend(PREVIOUS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    tenant.with(|world| {
        secrets.push(("FEISHU_APP_SECRET".into(), world.app.app_secret.clone()));
        secrets.push(("FEISHU_ENCRYPT_KEY".into(), world.app.encrypt_key.clone().unwrap_or_default()));
        secrets.push(("FEISHU_VERIFICATION_TOKEN".into(), world.app.verification_token.clone()));
        secrets.extend(world.tenant_tokens.iter().map(|token| ("an app token".into(), token.token.clone())));
        for grant in &world.grants {
            secrets.push(("an access token".into(), grant.access_token.clone()));
            secrets.extend(grant.refresh_token.iter().map(|token| ("a refresh token".into(), token.clone())));
        }
        secrets.extend(world.consents.iter().filter_map(|c| c.code.clone()).map(|code| ("a code".into(), code)));
    });
    assert!(secrets.len() > 7, "{secrets:?}");
    for (name, secret) in &secrets {
        let line = said.lines().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "{name} is in the log: {line:?}");
    }
    for private in ["不该进日志的通知", "客服部"] {
        let line = said.lines().find(|line| line.contains(private));
        assert!(line.is_none(), "what people wrote is in the log: {line:?}");
    }
    Ok(())
}

#[tokio::test]
async fn no_secret_is_ever_written_in_a_log_for_people() -> anyhow::Result<()> {
    nothing_leaks("pretty").await
}

#[tokio::test]
async fn no_secret_is_ever_written_in_a_log_for_machines() -> anyhow::Result<()> {
    nothing_leaks("json").await
}
