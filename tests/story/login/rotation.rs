//! App Secret and SECRET_KEY are changed, and nobody has to log in again.

use feishu_broadcast::app::authorize;
use feishu_broadcast::domain::ids::OpenId;

use super::{MINUTE, is_authorized};
use crate::sandbox::Company;
use crate::stage::{Stage, story, story_with};

const KEY: &str = "b25lLWtleS1vZi0zMi1ieXRlcy1mb3ItdGhlLXN0b3I=";
const NEW_SECRET: &str = "Secret0fTheAppSinceThisMorning00";

/// The bot signs in anew, refreshes a user token and searches with it.
async fn served(stage: &Stage, name: &str) -> anyhow::Result<()> {
    stage.tenant.revoke_app_tokens();
    stage.later(121 * MINUTE).await?;
    let answer = stage.ask("王芳", &format!("/departments {name}")).await?.text;
    anyhow::ensure!(answer.contains("找到"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn the_app_secret_is_changed_before_or_after_the_restart() {
    story_with(&[("SECRET_KEY", KEY)], Company::small(), async |stage| {
        stage.authorize("王芳").await?;
        let old = stage.tenant.with(|world| world.app.app_secret.clone());
        stage.restart_with(&[("FEISHU_APP_SECRET", NEW_SECRET), ("FEISHU_APP_SECRET_PREVIOUS", &old)]).await?;
        let codes = |call: &str| stage.tenant.calls_to(call).iter().filter_map(|call| call.code()).collect::<Vec<_>>();
        let before = codes("token").len();
        served(stage, "市场部").await?;
        assert_eq!(codes("token")[before..], [10_015, 0], "the present one is tried, then the previous one");
        assert_eq!(codes("oauth.refresh"), [20_002, 0]);
        stage.tenant.console(|app| app.app_secret = NEW_SECRET.into());
        served(stage, "销售部").await?;
        assert_eq!(codes("token")[before..], [10_015, 0, 0], "the present one is taken at once");
        assert_eq!(codes("oauth.refresh"), [20_002, 0, 0]);
        stage.restart_with(&[("FEISHU_APP_SECRET_PREVIOUS", "")]).await?;
        served(stage, "客服部").await?;
        assert!(is_authorized(stage, "王芳").await?);
        Ok(())
    })
    .await;
}

/// Whether the kept authorization opens for the bot as it is now.
async fn opens(stage: &Stage) -> anyhow::Result<bool> {
    let person = OpenId::new(stage.person("王芳").open_id).expect("an open_id");
    let kept = stage.bot.app.store.authorization(&person).await?;
    Ok(kept.is_some_and(|kept| authorize::opens(&stage.bot.app, &kept)))
}

#[tokio::test]
async fn another_secret_key_costs_nobody_their_authorization() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.restart_with(&[("SECRET_KEY", KEY), ("SECRET_KEY_PREVIOUS", "derived")]).await?;
        assert!(opens(stage).await?);
        assert!(stage.ask("王芳", "/departments 市场部").await?.text.contains("找到"));
        // All of it is under the new one by now, without a refresh.
        stage.restart_with(&[("SECRET_KEY_PREVIOUS", "")]).await?;
        assert!(opens(stage).await?);
        assert!(stage.tenant.calls_to("oauth.refresh").is_empty());
        served(stage, "市场部").await?;
        stage.restart_with(&[("SECRET_KEY_PREVIOUS", "derived")]).await
    })
    .await;
}

#[tokio::test]
async fn without_a_secret_key_another_app_secret_costs_nobody_their_authorization() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let old = stage.tenant.with(|world| world.app.app_secret.clone());
        stage.tenant.console(|app| app.app_secret = NEW_SECRET.into());
        stage.restart_with(&[("FEISHU_APP_SECRET", NEW_SECRET), ("FEISHU_APP_SECRET_PREVIOUS", &old)]).await?;
        served(stage, "市场部").await
    })
    .await;
}

#[tokio::test]
async fn a_refresh_under_way_elsewhere_is_not_disturbed_by_a_new_key() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let person = OpenId::new(stage.person("王芳").open_id).expect("an open_id");
        stage.restart_with(&[("SECRET_KEY", KEY), ("SECRET_KEY_PREVIOUS", "derived")]).await?;
        let store = &stage.bot.app.store;
        let before = store.authorization(&person).await?.expect("kept");
        let now = stage.bot.app.now();
        store.lease_refresh(&person, before.fence, now, now.after(MINUTE)).await?.expect("nobody else is at it");
        // Read before the lease, and read during it.
        for read in [before, store.authorization(&person).await?.expect("kept")] {
            let stale = feishu_broadcast::store::authorizations::Authorization { sealed: "of before".into(), ..read };
            store.seal_anew(&stale, now).await?;
            assert!(opens(stage).await?, "a refresh under way elsewhere was written over");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_login_that_began_under_the_key_of_before_ends_under_the_new_one() {
    story(async |stage| {
        let card = stage.ask("王芳", "/login").await?;
        let consent = stage.open_login(&card).await?;
        let second = stage.ask("周明", "/login").await?;
        stage.restart_with(&[("SECRET_KEY", KEY), ("SECRET_KEY_PREVIOUS", "derived")]).await?;
        // The consent page was open already: its state, and the verifier that Feishu asks for, are of the key of before.
        let back = stage.tenant.consents(&consent, "王芳").map_err(anyhow::Error::msg)?;
        assert!(stage.get(&back).await?.text().await?.contains("授权成功"));
        // Or only the card was there.
        assert!(stage.follow_login(&second, "周明").await?.contains("授权成功"));
        stage.settle().await?;
        assert!(is_authorized(stage, "王芳").await? && is_authorized(stage, "周明").await?);
        Ok(())
    })
    .await;
}
