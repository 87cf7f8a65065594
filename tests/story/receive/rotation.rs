//! Encrypt Key and Verification Token are changed, and nobody notices.

use super::{encrypt_key, post, verification_token};
use crate::approve::{press, proposal};
use crate::sandbox::Forge;
use crate::stage::{Stage, story};

const NEW_KEY: &str = "encrypt-key-of-this-year";
const NEW_TOKEN: &str = "vt-of-this-year";

/// The bot knows the new values and the old ones; the console has the old ones still.
async fn bot_first(stage: &mut Stage) -> anyhow::Result<()> {
    let (key, token) = (encrypt_key(stage), verification_token(stage));
    let settings = [
        ("FEISHU_ENCRYPT_KEY", NEW_KEY),
        ("FEISHU_ENCRYPT_KEY_PREVIOUS", &key),
        ("FEISHU_VERIFICATION_TOKEN", NEW_TOKEN),
        ("FEISHU_VERIFICATION_TOKEN_PREVIOUS", &token),
    ];
    stage.restart_with(&settings).await
}

/// The new values are saved in the console, which asks at the address at once.
async fn console(stage: &Stage, key: Option<&str>, token: Option<&str>) -> anyhow::Result<()> {
    stage.tenant.console(|app| {
        app.encrypt_key = key.map(str::to_owned).or(app.encrypt_key.take());
        app.verification_token = token.map_or(app.verification_token.clone(), str::to_owned);
    });
    stage.tenant.verify_url().await.map_err(anyhow::Error::msg)
}

/// A command, a press and a challenge are answered at the first try.
async fn served(stage: &Stage) -> anyhow::Result<()> {
    stage.tenant.verify_url().await.map_err(anyhow::Error::msg)?;
    proposal(stage, "王芳", "照常").await?;
    press(stage, "赵磊", "approve").await?;
    stage.settle().await
}

#[tokio::test]
async fn keys_are_changed_one_by_one_without_a_gap() {
    story(async |stage| {
        served(stage).await?;
        bot_first(stage).await?;
        served(stage).await?;
        console(stage, Some(NEW_KEY), None).await?;
        served(stage).await?;
        console(stage, None, Some(NEW_TOKEN)).await?;
        served(stage).await?;
        stage.restart_with(&[("FEISHU_ENCRYPT_KEY_PREVIOUS", ""), ("FEISHU_VERIFICATION_TOKEN_PREVIOUS", "")]).await?;
        served(stage).await?;
        let refused = stage.tenant.pushes().iter().filter(|push| push.status != 200).count();
        assert_eq!(refused, 0, "a push was refused on the way");
        assert_eq!(stage.person("陈晨").inbox().len(), 5);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_forger_gains_nothing_by_two_keys_and_an_old_one_is_worth_nothing_once_it_is_gone() {
    story(async |stage| {
        let event = stage.person("王芳").text_event("/help");
        let under_old_ones = stage.tenant.seal(&event);
        bot_first(stage).await?;
        for forge in [Forge::Body, Forge::Nonce, Forge::Signature, Forge::Token, Forge::AppId, Forge::Unsigned] {
            let pushed = stage.tenant.post(&stage.tenant.forge(&event, forge)).await;
            assert_eq!(pushed.status, 401, "{forge:?}");
        }
        stage.restart_with(&[("FEISHU_ENCRYPT_KEY_PREVIOUS", "")]).await?;
        assert_eq!(post(stage, &under_old_ones, "/feishu/event").await.status, 401);
        stage.tenant.console(|app| app.encrypt_key = Some(NEW_KEY.into()));
        let old_token = stage.tenant.seal(&event);
        stage.restart_with(&[("FEISHU_VERIFICATION_TOKEN_PREVIOUS", "")]).await?;
        assert_eq!(post(stage, &old_token, "/feishu/event").await.status, 401);
        Ok(())
    })
    .await;
}
