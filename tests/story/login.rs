//! An admin lets the bot search departments in their name: the card, the consent page, the way back, and the commands
//! that waited for it.

mod rotation;
mod tokens;

use std::time::Duration;

use anyhow::Context;
use feishu_broadcast::domain::ids::OpenId;
use feishu_broadcast::store::broadcasts::Which;
use url::Url;

use crate::sandbox::{ChatMessage, Fault};
use crate::stage::{PUBLIC_URL, Stage, link_of, story};

const COMMAND: &str = "/broadcast 销售部 明天开会";
const MINUTE: Duration = Duration::from_secs(60);

async fn proposed(stage: &Stage) -> anyhow::Result<usize> {
    Ok(stage.bot.app.store.recent(None, Which::All).await?.len())
}

async fn is_authorized(stage: &Stage, name: &str) -> anyhow::Result<bool> {
    let open_id = OpenId::new(stage.person(name).open_id).context("an open_id")?;
    Ok(stage.bot.app.store.authorization(&open_id).await?.is_some())
}

/// The value of a query parameter; empty where it is missing.
fn query(url: &str, name: &str) -> String {
    let url = Url::parse(url).expect("an address");
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Everything the bot wrote to this person that contains these words.
fn told(stage: &Stage, name: &str, words: &str) -> Vec<ChatMessage> {
    let chat = stage.person(name).chat();
    chat.into_iter().filter(|message| message.from_bot && message.text.contains(words)).collect()
}

#[tokio::test]
async fn the_card_leads_to_the_consent_page_with_everything_it_needs() {
    story(async |stage| {
        let card = stage.ask("王芳", "/login").await?;
        let link = link_of(&card).context("no link")?;
        assert!(link.starts_with(&format!("{PUBLIC_URL}/oauth/start?")), "{link}");
        let answer = stage.get(&link).await?;
        assert_eq!(answer.status(), 302);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
        let consent = answer.headers()["location"].to_str()?.to_owned();
        assert!(consent.starts_with(&format!("{}/open-apis/authen/v1/authorize?", stage.tenant.accounts_url())));
        assert_eq!(query(&consent, "client_id"), stage.tenant.with(|world| world.app.app_id.clone()));
        assert_eq!(query(&consent, "response_type"), "code");
        assert_eq!(query(&consent, "redirect_uri"), format!("{PUBLIC_URL}/oauth/callback"));
        assert_eq!(query(&consent, "code_challenge_method"), "S256");
        assert_eq!(query(&consent, "code_challenge").len(), 43);
        assert_ne!(query(&consent, "state"), query(&link, "state"), "each step has a state of its own");
        for scope in ["contact:contact.base:readonly", "contact:department.base:readonly", "offline_access"] {
            assert!(query(&consent, "scope").contains(scope), "{scope} is not asked for");
        }
        // Opened twice, the page is asked for under another state and another challenge.
        let again = stage.open_login(&card).await?;
        assert_ne!(query(&again, "state"), query(&consent, "state"));
        assert_ne!(query(&again, "code_challenge"), query(&consent, "code_challenge"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_link_goes_to_its_owner_alone_also_when_asked_for_in_a_group() {
    story(async |stage| {
        let group = stage.tenant.group("项目群").chat_id;
        stage.person("王芳").says_in_group(&group, "@群发助手 /login", &[]).await;
        stage.person("王芳").says_in_group(&group, &format!("@群发助手 {COMMAND}"), &[]).await;
        stage.settle().await?;
        assert!(
            stage.tenant.chat_messages(&group).iter().all(|message| !message.content.to_string().contains("oauth"))
        );
        let card = stage.card_of("王芳")?;
        stage.follow_login(&card, "王芳").await?;
        stage.settle().await?;
        assert_eq!(proposed(stage).await?, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn after_the_round_the_person_is_authorized_and_told_so() {
    story(async |stage| {
        assert!(stage.ask("王芳", "/我是谁").await?.text.contains("未授权"));
        let card = stage.ask("王芳", "/login").await?;
        let back = stage.tenant.consents(&stage.open_login(&card).await?, "王芳").map_err(anyhow::Error::msg)?;
        let page = stage.get(&back).await?;
        assert_eq!(page.status(), 200);
        assert!(page.headers()["content-type"].to_str()?.starts_with("text/html"));
        assert_eq!(page.headers()["cache-control"], "no-store");
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
        let policy = page.headers()["content-security-policy"].to_str()?.to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        let html = page.text().await?;
        assert!(html.contains("授权成功") && html.contains("lang=\"zh-CN\"") && !html.contains("<script"), "{html}");
        stage.settle().await?;
        assert_eq!(told(stage, "王芳", "已授权，可以按名称搜索部门了").len(), 1);
        assert!(stage.ask("王芳", "/我是谁").await?.text.contains("已授权"));
        assert!(stage.ask("林悦", "/我是谁").await?.text.contains("未授权"), "nobody else is");
        assert_eq!(stage.tenant.calls_to("user_info").len(), 1, "who authorized was checked");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_page_speaks_the_language_of_the_browser() {
    story(async |stage| {
        let url = format!("http://{}/oauth/start?state=x", stage.bot.address());
        for (accepted, words) in [
            ("en-US,en;q=0.9", "This link does not work"),
            ("fr-FR, en;q=0.5", "This link does not work"),
            ("zh-CN,zh;q=0.9,en;q=0.8", "链接无效"),
            ("ja", "链接无效"),
            ("", "链接无效"),
            ("\u{7f}é,,;", "链接无效"),
        ] {
            let answer = stage.browser.get(&url).header("accept-language", accepted.as_bytes()).send();
            let Ok(answer) = answer.await else { continue };
            assert_eq!(answer.status(), 400);
            assert!(answer.text().await?.contains(words), "{accepted}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_link_that_was_changed_misused_or_outlived_authorizes_nobody() {
    story(async |stage| {
        let card = stage.ask("王芳", "/login").await?;
        let link = link_of(&card).context("no link")?;
        let start_state = query(&link, "state");
        let consent = stage.open_login(&card).await?;
        let state = query(&consent, "state");
        let back = stage.tenant.consents(&consent, "王芳").map_err(anyhow::Error::msg)?;
        let code = query(&back, "code");
        let half = state.len() / 2;
        let swapped: String = state
            .chars()
            .enumerate()
            .map(|(n, c)| if n == half { if c == 'A' { 'B' } else { 'A' } } else { c })
            .collect();

        let callback = format!("{PUBLIC_URL}/oauth/callback");
        let bad = [
            callback.clone(),
            format!("{callback}?code={code}"),
            format!("{callback}?code={code}&state="),
            format!("{callback}?code={code}&state={swapped}"),
            format!("{callback}?code={code}&state={state}x"),
            format!("{callback}?code={code}&state={start_state}"),
            format!("{callback}?code=&state=%ff%fe"),
            format!("{PUBLIC_URL}/oauth/start"),
            format!("{PUBLIC_URL}/oauth/start?state={state}"),
            format!("{PUBLIC_URL}/oauth/start?state={}", "a".repeat(4000)),
        ];
        for url in bad {
            let answer = stage.get(&url).await?;
            assert_eq!(answer.status(), 400, "{url}");
            assert!(answer.text().await?.contains("链接无效"), "{url}");
        }
        assert!(stage.tenant.calls_to("oauth.exchange").is_empty(), "a bad link reached Feishu");

        // The state lives for ten minutes, the card's link for an hour.
        stage.later(11 * MINUTE).await?;
        assert_eq!(stage.get(&back).await?.status(), 400);
        assert_eq!(stage.get(&link).await?.status(), 302);
        stage.later(50 * MINUTE).await?;
        assert_eq!(stage.get(&link).await?.status(), 400);
        assert!(!is_authorized(stage, "王芳").await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_way_back_works_once() {
    story(async |stage| {
        let card = stage.ask("王芳", "/login").await?;
        let back = stage.tenant.consents(&stage.open_login(&card).await?, "王芳").map_err(anyhow::Error::msg)?;
        let (first, second) = tokio::join!(stage.get(&back), stage.get(&back));
        let mut statuses = [first?.status().as_u16(), second?.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "one of two wins");
        assert_eq!(stage.get(&back).await?.status(), 400);
        assert_eq!(stage.tenant.calls_to("oauth.exchange").len(), 1, "the code was traded once");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn who_refuses_is_told_how_to_come_back() {
    story(async |stage| {
        let card = stage.ask("王芳", "/login").await?;
        let consent = stage.open_login(&card).await?;
        let back = stage.tenant.refuses(&consent, "王芳").map_err(anyhow::Error::msg)?;
        assert!(back.contains("access_denied"));
        let page = stage.get(&back).await?.text().await?;
        assert!(page.contains("没有授权") && page.contains("/login"), "{page}");
        assert!(!is_authorized(stage, "王芳").await?);
        stage.follow_login(&card, "王芳").await?;
        assert!(is_authorized(stage, "王芳").await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn tokens_of_somebody_else_are_thrown_away() {
    story(async |stage| {
        let card = stage.ask("王芳", COMMAND).await?;
        let back = stage.tenant.consents(&stage.open_login(&card).await?, "林悦").map_err(anyhow::Error::msg)?;
        let answer = stage.get(&back).await?;
        assert_eq!(answer.status(), 403);
        assert!(answer.text().await?.contains("账号不一致"));
        stage.settle().await?;
        assert!(!is_authorized(stage, "王芳").await? && !is_authorized(stage, "林悦").await?);
        assert_eq!(proposed(stage).await?, 0, "the command still waits");
        stage.follow_login(&card, "王芳").await?;
        stage.settle().await?;
        assert_eq!(proposed(stage).await?, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_feishu_does_not_exchange_is_explained_on_the_page() {
    story(async |stage| {
        let card = stage.ask("王芳", "/login").await?;
        let back = stage.tenant.consents(&stage.open_login(&card).await?, "王芳").map_err(anyhow::Error::msg)?;
        stage.later(6 * MINUTE).await?;
        let page = stage.get(&back).await?.text().await?;
        assert!(page.contains("20004") && page.contains("/login"), "{page}");

        for fault in [Fault::lost_answer("oauth.exchange"), Fault::lost_answer("user_info")] {
            stage.tenant.fault(fault);
            let card = stage.ask("王芳", "/login").await?;
            let page = stage.follow_login(&card, "王芳").await?;
            assert!(page.contains("/login") && !page.contains("授权成功"), "{page}");
            assert!(!is_authorized(stage, "王芳").await?);
        }
        stage.authorize("王芳").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_that_needed_the_login_goes_on_by_itself() {
    story(async |stage| {
        let card = stage.ask("王芳", COMMAND).await?;
        assert!(card.text.contains("刚才的命令会自动继续"), "{}", card.text);
        assert!(stage.tenant.calls_to("departments.search").is_empty(), "searched without an authorization");
        assert_eq!(proposed(stage).await?, 0);
        let page = stage.follow_login(&card, "王芳").await?;
        assert!(page.contains("刚才的命令正在继续"), "{page}");
        stage.settle().await?;
        assert_eq!(proposed(stage).await?, 1, "exactly one proposal");
        assert!(stage.card_of("王芳")?.text.contains("约 4 人"));
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.later(120 * MINUTE).await?;
        assert_eq!(proposed(stage).await?, 1);
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        assert!(stage.tenant.calls_to("departments.search").iter().all(|call| call.token == "user"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_commands_that_waited_both_go_on_also_after_a_restart() {
    story(async |stage| {
        stage.ask("王芳", COMMAND).await?;
        let card = stage.ask("王芳", "/departments 客服部").await?;
        stage.ask("林悦", "/broadcast 市场部 另一个人的").await?;
        stage.restart().await?;
        stage.follow_login(&card, "王芳").await?;
        stage.settle().await?;
        assert_eq!(proposed(stage).await?, 1);
        assert_eq!(told(stage, "王芳", "「客服部」找到 2 个部门").len(), 1);
        let others = stage.card_of("林悦")?;
        stage.follow_login(&others, "林悦").await?;
        stage.settle().await?;
        assert_eq!(proposed(stage).await?, 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_nobody_logged_in_for_ends_with_words() {
    story(async |stage| {
        let card = stage.ask("王芳", COMMAND).await?;
        stage.later(59 * MINUTE).await?;
        assert!(told(stage, "王芳", "已作废").is_empty());
        stage.later(2 * MINUTE).await?;
        assert_eq!(told(stage, "王芳", "一小时内没有授权，刚才的命令已作废，没有发送任何内容").len(), 1);
        assert_eq!(stage.get(&link_of(&card).context("no link")?).await?.status(), 400);
        stage.authorize("王芳").await?;
        stage.later(120 * MINUTE).await?;
        assert_eq!(proposed(stage).await?, 0, "what was dropped stays dropped");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_consent_that_grants_too_little_is_asked_for_again() {
    for scope in ["contact:contact.base:readonly", "contact:department.base:readonly"] {
        story(async |stage| {
            stage.tenant.switch(|switches| switches.consent_withholds = vec![scope.into()]);
            let first = stage.ask("王芳", COMMAND).await?;
            stage.follow_login(&first, "王芳").await?;
            stage.settle().await?;
            assert_eq!(proposed(stage).await?, 0);
            let second = stage.card_of("王芳")?;
            assert_ne!(second.message_id, first.message_id, "no second card for {scope}");
            stage.tenant.switch(|switches| switches.consent_withholds.clear());
            stage.follow_login(&second, "王芳").await?;
            stage.settle().await?;
            assert_eq!(proposed(stage).await?, 1);
            assert!(stage.card_of("赵磊")?.text.contains("明天开会"));
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_consent_that_stays_too_narrow_is_not_asked_for_for_ever() {
    story(async |stage| {
        stage.tenant.switch(|switches| switches.consent_withholds = vec!["contact:contact.base:readonly".into()]);
        let card = stage.ask("王芳", COMMAND).await?;
        stage.follow_login(&card, "王芳").await?;
        stage.settle().await?;
        for _ in 0..5 {
            stage.later(61 * MINUTE).await?;
        }
        assert_eq!(told(stage, "王芳", "去授权").len(), 2);
        assert_eq!(told(stage, "王芳", "已作废").len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn logging_out_deletes_and_says_what_it_cannot_do() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let answer = stage.ask("王芳", "/logout").await?;
        assert!(
            answer.text.contains("已删除你的授权") && answer.text.contains("没有让应用收回令牌的接口"),
            "{}",
            answer.text
        );
        assert!(!is_authorized(stage, "王芳").await?);
        let searches = stage.tenant.calls_to("departments.search").len();
        let card = stage.ask("王芳", COMMAND).await?;
        assert!(card.text.contains("去授权"), "{}", card.text);
        assert_eq!(stage.tenant.calls_to("departments.search").len(), searches);
        stage.later(61 * MINUTE).await
    })
    .await;
}

#[tokio::test]
async fn a_grant_withdrawn_in_feishu_is_forgotten_here() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.authorize("林悦").await?;
        assert_eq!(stage.tenant.withdraws_grant("王芳").await.status, 200);
        stage.settle().await?;
        assert!(!is_authorized(stage, "王芳").await? && is_authorized(stage, "林悦").await?);
        Ok(())
    })
    .await;
}
