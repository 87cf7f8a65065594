//! App Secret and SECRET_KEY are changed, and nobody has to log in again.

use super::{MINUTE, is_authorized};
use crate::sandbox::Company;
use crate::stage::{Stage, story_with};

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
