//! Tokens: sealed at rest, refreshed in time and once, never shown, never used for somebody else.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use feishu_broadcast::app::authorize::user_token;
use feishu_broadcast::domain::ids::OpenId;
use sqlx::{Connection, SqliteConnection};
use tracing_subscriber::EnvFilter;

use super::{COMMAND, MINUTE, is_authorized, proposed, told};
use crate::sandbox::{Fault, When, Wire};
use crate::stage::{Stage, story};

/// Everything the bot has logged in this test binary.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("feishu_broadcast=trace"))
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .init();
    log
});

/// Every user and app token the tenant has handed out, and the codes and secrets around them.
fn secrets(stage: &Stage) -> Vec<String> {
    stage.tenant.with(|world| {
        let grants = world.grants.iter();
        let users = grants.flat_map(|grant| [Some(grant.access_token.clone()), grant.refresh_token.clone()]).flatten();
        let codes = world.consents.iter().filter_map(|consent| consent.code.clone()).filter(|code| !code.is_empty());
        let app = world.tenant_tokens.iter().map(|token| token.token.clone());
        users
            .chain(codes)
            .chain(app)
            .chain([world.app.app_secret.clone()])
            .chain(world.app.encrypt_key.clone())
            .collect()
    })
}

fn refreshes(stage: &Stage) -> usize {
    stage.tenant.calls_to("oauth.refresh").len()
}

#[tokio::test]
async fn no_token_stands_on_the_disk_in_a_log_in_a_message_or_in_an_address() {
    LazyLock::force(&LOG);
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.propose("王芳", COMMAND).await?;
        stage.later(115 * MINUTE).await?;
        stage.ask("王芳", "/departments 市场部").await?;
        assert_eq!(refreshes(stage), 1);
        stage.revoke_and_login("王芳").await?;
        let disk = stage.disk().await?;
        let log = LOG.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(!log.is_empty(), "nothing was logged");
        let chats: String = ["王芳", "赵磊", "周明"]
            .iter()
            .flat_map(|name| stage.person(name).chat())
            .map(|message| message.content.to_string())
            .collect();
        let addresses: String =
            stage.tenant.calls().iter().map(|call| format!("{}?{}\n", call.path, call.query)).collect();
        let places = [
            ("the disk", &disk[..]),
            ("the log", &log),
            ("a chat", chats.as_bytes()),
            ("an address", addresses.as_bytes()),
        ];
        let secrets = secrets(stage);
        assert!(secrets.len() > 8);
        for secret in secrets {
            for (place, bytes) in places {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{}… stands in {place}", secret.chars().take(12).collect::<String>());
            }
        }
        Ok(())
    })
    .await;
}

impl Stage {
    /// Feishu takes the tokens back without a word; the next search asks for a new login, which is given.
    async fn revoke_and_login(&self, name: &str) -> anyhow::Result<()> {
        self.tenant.revoke_user_tokens(name);
        let card = self.ask(name, "/departments 总经办").await?;
        anyhow::ensure!(card.text.contains("去授权"), "{}", card.text);
        self.follow_login(&card, name).await?;
        self.settle().await
    }
}

#[tokio::test]
async fn a_token_is_refreshed_before_it_ends_and_the_new_pair_is_used() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.ask("王芳", "/departments 市场部").await?;
        assert_eq!(refreshes(stage), 0);
        for (round, name) in ["销售部", "总经办", "客服部"].into_iter().enumerate() {
            stage.later(112 * MINUTE).await?;
            let answer = stage.ask("王芳", &format!("/departments {name}")).await?;
            assert!(answer.text.contains(name) && answer.text.contains("找到"), "{}", answer.text);
            assert_eq!(refreshes(stage), round + 1);
        }
        // Days later as well: what counts is the refresh token.
        stage.later(Duration::from_secs(5 * 86_400)).await?;
        assert!(stage.ask("王芳", "/departments 华东").await?.text.contains("找到 1 个部门"));
        Ok(())
    })
    .await;
}

/// Feishu has killed the old pair by then.
#[tokio::test]
async fn a_new_pair_is_kept_until_the_store_takes_it() {
    story(async |stage| {
        let Some(file) = stage.database_url().strip_prefix("sqlite://") else { return Ok(()) };
        stage.authorize("王芳").await?;
        stage.later(112 * MINUTE).await?;
        let slow = Wire::SlowBody(Duration::from_secs(2));
        stage.tenant.fault(Fault::wire("oauth.refresh", When::AfterAccept, slow));
        let mut other = SqliteConnection::connect(&format!("sqlite://{file}")).await?;
        let busy = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sqlx::query("begin immediate").execute(&mut other).await?;
            tokio::time::sleep(Duration::from_secs(9)).await;
            sqlx::query("rollback").execute(&mut other).await
        };
        let (answer, busy) = tokio::join!(stage.ask("王芳", "/departments 市场部"), busy);
        busy?;
        assert!(answer?.text.contains("找到"), "without a new login");
        assert_eq!(refreshes(stage), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_token_that_feishu_refuses_is_refreshed_once_and_the_search_goes_on() {
    for code in [99_991_677, 99_991_668] {
        story(async |stage| {
            stage.authorize("王芳").await?;
            stage.tenant.fault(Fault::code("departments.search", 401, code));
            stage.propose("王芳", COMMAND).await?;
            assert_eq!((proposed(stage).await?, refreshes(stage)), (1, 1));
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_refresh_that_is_dead_leads_to_the_login_card_and_the_command_goes_on() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.revoke_user_tokens("王芳");
        let card = stage.ask("王芳", COMMAND).await?;
        assert!(card.text.contains("去授权"), "{}", card.text);
        assert!(!is_authorized(stage, "王芳").await?);
        stage.follow_login(&card, "王芳").await?;
        stage.settle().await?;
        assert_eq!(proposed(stage).await?, 1);
        // A week without use outlives the refresh token.
        stage.later(Duration::from_secs(8 * 86_400)).await?;
        let card = stage.ask("王芳", "/departments 市场部").await?;
        assert!(card.text.contains("去授权"), "{}", card.text);
        stage.follow_login(&card, "王芳").await?;
        stage.settle().await?;
        assert_eq!(told(stage, "王芳", "「市场部」找到 1 个部门").len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_is_tried_once_more_and_then_asked_for_anew() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.later(121 * MINUTE).await?;
        // Lost before it arrived: the second try works, and nobody notices.
        stage.tenant.fault(Fault::wire("oauth.refresh", When::BeforeAccept, Wire::Drop));
        assert!(stage.ask("王芳", "/departments 市场部").await?.text.contains("找到 1 个部门"));
        // Lost after the rotation: the session is gone.
        stage.later(121 * MINUTE).await?;
        stage.tenant.fault(Fault::lost_refresh_reply());
        let card = stage.ask("王芳", COMMAND).await?;
        assert!(card.text.contains("去授权"), "{}", card.text);
        stage.follow_login(&card, "王芳").await?;
        stage.settle().await?;
        assert_eq!(proposed(stage).await?, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_refresh_that_feishu_cannot_do_for_the_moment_is_waited_for() {
    for code in [20_050, 20_072] {
        story(async |stage| {
            stage.authorize("王芳").await?;
            stage.later(121 * MINUTE).await?;
            stage.tenant.fault(Fault::code("oauth.refresh", 500, code).times(4));
            stage.person("王芳").says(COMMAND).await;
            for _ in 0..3 {
                stage.later(MINUTE).await?;
            }
            assert_eq!(told(stage, "王芳", "我会继续尝试").len(), 1, "{code}");
            assert_eq!(proposed(stage).await?, 1, "{code}");
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_refresh_that_the_console_forbids_is_said_with_what_to_click() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.console(|app| app.refresh_allowed = false);
        stage.later(121 * MINUTE).await?;
        let answer = stage.ask("王芳", COMMAND).await?;
        assert!(answer.text.contains("刷新 user_access_token"), "{}", answer.text);
        assert_eq!(proposed(stage).await?, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn however_many_need_it_an_expired_token_is_refreshed_once() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.later(121 * MINUTE).await?;
        let (app, person) = (&stage.bot.app, OpenId::new(stage.person("王芳").open_id).expect("an open_id"));
        let all = futures_util::future::join_all((0..6).map(|_| user_token(app, &person, None))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        assert_eq!(refreshes(stage), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_offline_access_the_login_is_asked_for_again_after_two_hours() {
    story(async |stage| {
        stage.tenant.switch(|switches| switches.consent_withholds = vec!["offline_access".into()]);
        stage.authorize("王芳").await?;
        assert!(stage.ask("王芳", "/departments 市场部").await?.text.contains("找到"));
        assert!(stage.ask("王芳", "/我是谁").await?.text.contains("不会自动续期"));
        stage.later(121 * MINUTE).await?;
        assert!(stage.ask("王芳", "/我是谁").await?.text.contains("未授权"));
        let card = stage.ask("王芳", "/departments 市场部").await?;
        assert!(card.text.contains("去授权"), "{}", card.text);
        assert_eq!(refreshes(stage), 0);
        stage.later(61 * MINUTE).await
    })
    .await;
}

#[tokio::test]
async fn the_apps_own_token_is_fetched_once_for_all_who_wait() {
    story(async |stage| {
        let app = &stage.bot.app;
        let calls = (0..8).map(|_| app.feishu.bot_info(app.now()));
        let all = futures_util::future::join_all(calls).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(stage.tenant.calls_to("token").len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_apps_own_token_is_renewed_before_it_ends() {
    story(async |stage| {
        stage.ask("王芳", "/whoami").await?;
        stage.later(105 * MINUTE).await?;
        stage.ask("王芳", "/whoami").await?;
        assert_eq!(stage.tenant.calls_to("token").len(), 1);
        stage.later(7 * MINUTE).await?;
        // A renewal that fails is no reason not to answer: the old token is still good.
        stage.tenant.fault(Fault::token(2200));
        stage.ask("王芳", "/whoami").await?;
        stage.later(MINUTE).await?;
        stage.ask("王芳", "/whoami").await?;
        assert_eq!(stage.tenant.calls_to("token").len(), 3);
        stage.later(60 * MINUTE).await?;
        stage.ask("王芳", "/whoami").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_app_token_revoked_under_way_costs_one_more_call_and_nothing_else() {
    story(async |stage| {
        stage.ask("王芳", "/whoami").await?;
        stage.tenant.revoke_app_tokens();
        let before = stage.person("王芳").chat().len();
        stage.person("王芳").says("/whoami").await;
        stage.settle().await?;
        assert_eq!(stage.person("王芳").chat().len(), before + 2);
        let replies = stage.tenant.calls_to("messages.reply");
        assert_eq!(replies.iter().filter(|call| call.code() == Some(99_991_663)).count(), 1);
        assert_eq!(replies.len(), 3);
        assert_eq!(stage.tenant.calls_to("token").len(), 2);
        Ok(())
    })
    .await;
}
