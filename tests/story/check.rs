//! One thing broken at a time, and the line that says so: `feishu-broadcast check`, and `/check` in a chat.

use std::future::{Ready, ready};

use actix_web::dev::ServerHandle;
use actix_web::{App, FromRequest, Handler, HttpRequest, HttpResponse, HttpServer, Responder, web};
use feishu_broadcast::app::check::{Site, look};
use feishu_broadcast::domain::check::{Database, Level, NEEDS};
use feishu_broadcast::domain::keys::Rotating;
use feishu_broadcast::feishu::envelope::Door;
use feishu_broadcast::store::{self, Engine};
use feishu_broadcast::view::check::{Console, Line, line};
use url::Url;

use crate::sandbox::{Company, Fault, Tenant, When, Wire};
use crate::stage::{Stage, story, story_with};

/// Scopes of the console's list that the simulated app begins without.
const MORE: [&str; 3] = ["im:message.group_msg", "contact:group:readonly", "auth:user_access_token:read"];

/// The console's list, done to the end.
fn set_up(stage: &Stage) -> Url {
    let public = format!("http://{}/", stage.bot.address());
    stage.tenant.allow_redirect(&format!("{public}oauth/callback"));
    stage.tenant.console(|app| app.tenant_scopes.extend(MORE.map(str::to_owned)));
    Url::parse(&public).expect("an address")
}

async fn looked_at(stage: &Stage, public_url: Option<&Url>, door: &Door) -> Vec<Line> {
    let app = &stage.bot.app;
    let policy = app.policy();
    let found = look(&Site {
        feishu: &app.feishu,
        door,
        arrivals: Some(&app.arrivals),
        secret_key_rotates: app.secrets.are_rotating(),
        clock: app.clock.as_ref(),
        policy: &policy,
        policy_file: false,
        policy_trouble: None,
        public_url,
        zone: &app.zone,
        database: app.store.look().await,
    })
    .await;
    let console = Console::of(app.feishu.open_url(), app.feishu.app_id());
    found.iter().map(|finding| line(finding, &console, &app.zone)).collect()
}

async fn lines(stage: &Stage, public_url: &Url) -> Vec<Line> {
    looked_at(stage, Some(public_url), &stage.bot.app.door).await
}

/// The lines that are neither fine nor beyond what can be told.
fn bad(lines: &[Line]) -> Vec<&Line> {
    lines.iter().filter(|line| line.level >= Level::Warning).collect()
}

/// There is one such line, and it says all of this in both languages together.
#[track_caller]
fn only(lines: &[Line], level: Level, subject: &str, words: &[&str]) {
    let found = bad(lines);
    assert_eq!(found.len(), 1, "{found:#?}");
    says(found[0], level, subject, words);
}

#[track_caller]
fn says(line: &Line, level: Level, subject: &str, words: &[&str]) {
    assert_eq!((line.level, line.subject.as_str()), (level, subject), "{line:#?}");
    let all = format!("{} {} {}", line.zh, line.en, line.page.as_deref().unwrap_or_default());
    for word in words {
        assert!(all.contains(word), "{word} is missing in {all}");
    }
    assert!(!line.zh.is_ascii() && line.en != line.zh, "{line:#?}");
}

#[tokio::test]
async fn where_everything_is_set_up_there_is_nothing_to_mend() {
    story(async |stage| {
        let public = set_up(stage);
        let lines = lines(stage, &public).await;
        assert!(bad(&lines).is_empty(), "{:#?}", bad(&lines));
        let fine: Vec<&str> =
            lines.iter().filter(|line| line.level == Level::Fine).map(|line| line.subject.as_str()).collect();
        let expected = [
            "credentials",
            "clock",
            "bot",
            "scopes",
            "contacts",
            "people",
            "redirect",
            "address",
            "address",
            "encryption",
            "store",
            "timezone",
            "policy",
        ];
        assert_eq!(fine, expected);
        assert_eq!(lines.last().map(|line| line.subject.as_str()), Some("sending"), "what cannot be told is said");
        assert!(stage.tenant.tasks().is_empty() && stage.bot.app.store.events_open().await? == 0, "nothing was sent");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn wrong_credentials_and_a_platform_that_is_not_there() {
    story(async |stage| {
        let public = set_up(stage);
        for (code, setting) in [(10_014, "FEISHU_APP_ID"), (10_015, "FEISHU_APP_SECRET")] {
            stage.tenant.fault(Fault::code("token", 200, code));
            let lines = lines(stage, &public).await;
            only(&lines, Level::Failure, "credentials", &[&code.to_string(), setting, "/app/cli_", "/baseinfo"]);
            assert!(lines.iter().any(|line| line.zh.contains("没有检查")), "what was not looked at is said");
        }
        stage.tenant.fault(Fault::wire("token", When::BeforeAccept, Wire::Html502));
        only(&lines(stage, &public).await, Level::Failure, "credentials", &["应答不是飞书的", "FEISHU_OPEN_URL"]);
        stage.tenant.shut().await;
        // A connection of before may be tried first, and even answered once: the look after that finds none.
        lines(stage, &public).await;
        let silent = lines(stage, &public).await;
        only(&silent, Level::Failure, "credentials", &["问不到飞书", "cannot be asked"]);
        stage.tenant.reopen();
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_off() {
    story(async |stage| {
        let public = set_up(stage);
        for (ahead_s, level, words) in [
            (-90, Level::Warning, ["快 1 分钟 30 秒", "ahead of Feishu's"]),
            (-660, Level::Warning, ["快 11 分钟", "leaves early"]),
            (700, Level::Failure, ["慢 11 分钟", "behind Feishu's"]),
        ] {
            // A date is of whole seconds.
            stage.tenant.switch(|switches| switches.clock_ahead_ms = ahead_s * 1000);
            only(&lines(stage, &public).await, level, "clock", &["NTP", words[0], words[1]]);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_bot_that_is_not_enabled_or_may_not_call_from_here() {
    story(async |stage| {
        let public = set_up(stage);
        for (status, words, page) in [
            (0, "还没有启用", Some("/version")),
            (1, "被企业停用", None),
            (3, "等待启用", None),
            (4, "升级", None),
            (5, "许可", None),
            (6, "套餐", None),
        ] {
            stage.tenant.console(|app| app.bot_status = status);
            let lines = lines(stage, &public).await;
            only(&lines, Level::Failure, "bot", &[words]);
            // What the tenant's admin does is done in another console.
            assert_eq!(bad(&lines)[0].page.as_deref().map(|at| &at[at.rfind('/').unwrap_or(0)..]), page, "{status}");
        }
        stage.tenant.console(|app| app.bot_status = 2);
        for (code, words, page) in
            [(99_991_401, "IP", Some("/safe")), (99_991_662, "启用", None), (11_205, "机器人", Some("/bot"))]
        {
            stage.tenant.fault(Fault::code("bot_info", 400, code));
            let lines = lines(stage, &public).await;
            only(&lines, Level::Failure, "bot", &[words, &code.to_string()]);
            assert_eq!(bad(&lines)[0].page.as_deref().map(|at| &at[at.rfind('/').unwrap_or(0)..]), page, "{code}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn each_scope_that_is_missing_says_what_does_not_work() {
    story(async |stage| {
        let public = set_up(stage);
        let essential = [
            ("im:message:send_as_bot", "不能回复"),
            ("im:message:send_multi_users", "群发给人"),
            ("im:message:send_multi_depts", "群发给部门"),
            ("im:message.p2p_msg:readonly", "单聊"),
        ];
        let useful = [
            ("im:message:readonly", "名单"),
            ("im:resource", "图片"),
            ("im:message.group_msg", "所回复"),
            ("contact:user.base:readonly", "姓名"),
            ("contact:user.department:readonly", "两次"),
            ("contact:user.employee:readonly", "两次"),
            ("contact:user.employee_id:readonly", "user:ID"),
            ("contact:user.id:readonly", "手机号"),
            ("contact:group:readonly", "用户组"),
            ("auth:user_access_token:read", "收回"),
        ];
        let of = |level: Level| move |(scope, words): (&'static str, &'static str)| (scope, words, level);
        for (scope, words, level) in essential.map(of(Level::Failure)).into_iter().chain(useful.map(of(Level::Warning)))
        {
            // That people may grant it is something else.
            stage.tenant.console(|app| {
                app.tenant_scopes.retain(|granted| granted != scope);
                app.user_scopes.insert(scope.into());
            });
            only(&lines(stage, &public).await, level, "scopes", &[scope, words, "缺少权限", "/auth"]);
            stage.tenant.console(|app| app.waiting_scopes = [scope.to_owned()].into());
            only(&lines(stage, &public).await, level, "scopes", &[scope, words, "未生效", "/version"]);
            stage.tenant.console(|app| {
                app.waiting_scopes.clear();
                app.tenant_scopes.insert(scope.into());
            });
        }
        // The larger one of groups does for the smaller.
        stage.tenant.console(|app| app.tenant_scopes.retain(|scope| !scope.starts_with("im:message.group")));
        let found = lines(stage, &public).await;
        assert_eq!(bad(&found).len(), 2, "{found:#?}");
        says(bad(&found)[0], Level::Warning, "scopes", &["im:message.group_at_msg:readonly", "群里"]);
        stage.tenant.console(|app| {
            app.tenant_scopes.insert("im:message.group_msg".into());
        });
        assert!(bad(&lines(stage, &public).await).is_empty());
        // Without the contacts' own nothing there can be read either.
        stage.tenant.console(|app| app.tenant_scopes.retain(|scope| !scope.starts_with("contact:department")));
        let lines = lines(stage, &public).await;
        let named = |scope: &str| lines.iter().any(|line| line.level == Level::Failure && line.zh.contains(scope));
        assert!(named("contact:department.base:readonly") && named("contact:department.organize:readonly"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_contact_range_that_is_not_everybody() {
    story(async |stage| {
        let public = set_up(stage);
        let sales = stage.tenant.company().at("销售部").expect("a department").open_department_id.clone();
        stage.tenant.console(|app| app.contact_range = Some(vec![sales]));
        let found = lines(stage, &public).await;
        let contacts = found.iter().find(|line| line.subject.as_str() == "contacts").expect("a line");
        says(contacts, Level::Warning, "contacts", &["1 个部门", "1 department", "通讯录权限范围", "/auth"]);
        stage.tenant.console(|app| app.contact_range = Some(vec![]));
        let found = lines(stage, &public).await;
        let contacts = found.iter().find(|line| line.subject.as_str() == "contacts").expect("a line");
        says(contacts, Level::Warning, "contacts", &["看不到任何部门", "全部成员"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_admin_whom_the_app_does_not_know() {
    let stranger = format!("ou_{:032x}", 7);
    let company = Company::small();
    let admins = format!("{},{stranger}", company.named("王芳").open_id);
    story_with(&[("BROADCAST_ADMINS", &admins)], company, async |stage| {
        let public = set_up(stage);
        only(&lines(stage, &public).await, Level::Warning, "people", &[&stranger, "/whoami"]);
        stage.tenant.fault(Fault::code("users.batch", 400, 99_992_361));
        only(&lines(stage, &public).await, Level::Warning, "people", &[&stranger]);
        // Whoever may not ask has learnt nothing about anybody.
        stage.tenant.fault(Fault::code("users.batch", 400, 99_992_361));
        stage.tenant.fault(Fault::code("users.get", 400, 99_991_672));
        only(&lines(stage, &public).await, Level::Warning, "people", &["99991672"]);
        Ok(())
    })
    .await;
    let alone = [("BROADCAST_ADMINS", stranger.as_str()), ("BROADCAST_APPROVERS", "")];
    story_with(&alone, Company::small(), async |stage| {
        let public = set_up(stage);
        only(&lines(stage, &public).await, Level::Failure, "people", &[&stranger, "不够", "Too few"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_look_by_the_running_bot_leaves_the_locks_on_its_database_alone() {
    story(async |stage| {
        if stage.bot.app.store.engine() == Engine::Postgres {
            return Ok(());
        }
        stage.ask("王芳", "/check").await?;
        // Another process that opens the file and closes it, as a nightly backup does, takes itself for the last one
        // where the locks are gone, and removes the log that the bot goes on writing to.
        let url = stage.database_url().trim_start_matches("sqlite://").to_owned();
        let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('select count(*) from inbox').fetchone(); c.close()";
        let outside = |script: &'static str| {
            let url = url.clone();
            tokio::task::spawn_blocking(move || std::process::Command::new("python3").args(["-c", script, &url]).output())
        };
        let looked = outside(script).await??;
        anyhow::ensure!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));
        assert!(std::path::Path::new(&format!("{url}-wal")).exists(), "the log is gone from under the bot");
        stage.ask("王芳", "/list").await?;
        let count = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('select count(*) from inbox where attempts > 0').fetchone()[0])";
        let seen = String::from_utf8(outside(count).await??.stdout)?;
        assert_eq!(seen.trim(), "2", "both commands are in the file that others see");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_consent_page_that_would_refuse() {
    story(async |stage| {
        let public = set_up(stage);
        stage.tenant.console(|app| app.redirect_uris.clear());
        let uri = format!("{public}oauth/callback");
        only(&lines(stage, &public).await, Level::Warning, "redirect", &[&uri, "一字不差", "/safe"]);
        stage.tenant.allow_redirect(&uri);
        stage.tenant.console(|app| app.user_scopes.retain(|scope| scope != "offline_access"));
        only(&lines(stage, &public).await, Level::Warning, "redirect", &["offline_access", "用户身份", "/auth"]);
        Ok(())
    })
    .await;
}

type Answer = fn() -> Ready<HttpResponse>;

/// Somebody else at the address.
async fn another<A>(answer: impl Handler<A, Output: Responder + 'static> + Send) -> (Url, ServerHandle)
where
    A: FromRequest + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = HttpServer::new(move || App::new().default_service(web::to(answer.clone())))
        .workers(1)
        .disable_signals()
        .listen(listener)
        .expect("it is bound")
        .run();
    let handle = server.handle();
    tokio::spawn(server);
    (Url::parse(&format!("http://{address}/")).expect("an address"), handle)
}

#[tokio::test]
async fn an_address_at_which_the_bot_does_not_answer() {
    story(async |stage| {
        set_up(stage);
        let answers: [(Answer, &str); 6] = [
            (|| ready(HttpResponse::Ok().body("<html>welcome</html>")), "不是这个机器人"),
            (
                || {
                    ready(
                        HttpResponse::MovedPermanently().insert_header(("Location", "https://other.example/")).finish(),
                    )
                },
                "重定向",
            ),
            (|| ready(HttpResponse::BadGateway().finish()), "应答 502"),
            (|| ready(HttpResponse::NotFound().finish()), "应答 404"),
            (|| ready(HttpResponse::TooManyRequests().finish()), "HTTP 429"),
            (|| ready(HttpResponse::Unauthorized().finish()), "应答 401"),
        ];
        for (answer, words) in answers {
            let (elsewhere, server) = another(answer).await;
            stage.tenant.allow_redirect(&format!("{elsewhere}oauth/callback"));
            let found = lines(stage, &elsewhere).await;
            assert_eq!(bad(&found).len(), 2, "both routes: {found:#?}");
            for (line, route) in bad(&found).into_iter().zip(["feishu/event", "feishu/card"]) {
                says(line, Level::Failure, "address", &[words, route]);
            }
            server.stop(true).await;
            let found = lines(stage, &elsewhere).await;
            says(bad(&found)[0], Level::Failure, "address", &["外网地址不通", "nobody answers", "从这台机器看"]);
        }
        let missing = looked_at(stage, None, &stage.bot.app.door).await;
        only(&missing, Level::Warning, "address", &["PUBLIC_URL", "/login"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_bot_that_runs_with_other_keys_than_this_program() {
    story(async |stage| {
        let public = set_up(stage);
        let door = |key: &str, token: &str| Door {
            app_id: stage.bot.app.feishu.app_id().to_owned(),
            encrypt_key: Some(Rotating::only(key.into())),
            verification_token: Rotating::only(token.into()),
        };
        let (key, token) = stage
            .tenant
            .with(|world| (world.app.encrypt_key.clone().unwrap_or_default(), world.app.verification_token.clone()));
        let found = looked_at(stage, Some(&public), &door("Zx81-key-of-elsewhere", &token)).await;
        says(bad(&found)[0], Level::Failure, "address", &["FEISHU_ENCRYPT_KEY", "400"]);
        let found = looked_at(stage, Some(&public), &door(&key, "Zx81-token-of-elsewhere")).await;
        says(bad(&found)[0], Level::Failure, "address", &["FEISHU_VERIFICATION_TOKEN", "401", "/event"]);
        for line in &found {
            assert!(!format!("{line:?}").contains("Zx81"), "a secret is on a line: {line:?}");
        }
        Ok(())
    })
    .await;
}

/// The one line about a previous value.
#[track_caller]
fn rotates(lines: &[Line], words: &[&str]) {
    only(lines, Level::Warning, "rotation", words);
}

#[tokio::test]
async fn while_a_key_is_changed_it_says_what_to_do_next_and_when_the_previous_one_can_go() {
    const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
    story(async |stage| {
        let key = stage.tenant.with(|world| world.app.encrypt_key.clone().unwrap_or_default());
        let changing = [("FEISHU_ENCRYPT_KEY", "key-of-this-year"), ("FEISHU_ENCRYPT_KEY_PREVIOUS", key.as_str())];
        stage.restart_with(&changing).await?;
        let public = set_up(stage);
        rotates(&lines(stage, &public).await, &["FEISHU_ENCRYPT_KEY_PREVIOUS", "还没有事件", "since the start"]);
        stage.ask("王芳", "/whoami").await?;
        rotates(&lines(stage, &public).await, &["还在用旧值", "保存新值", "save the new one", "/event"]);
        stage.tenant.console(|app| app.encrypt_key = Some("key-of-this-year".into()));
        stage.ask("王芳", "/whoami").await?;
        rotates(&lines(stage, &public).await, &["已经用新值", "小时", "pushed again"]);
        stage.later(9 * HOUR).await?;
        rotates(&lines(stage, &public).await, &["可以清空", "empty it and restart"]);
        let said = stage.ask("王芳", "/check").await?.text;
        assert!(said.contains("⚠️ 正在更换密钥") && said.contains("可以清空"), "{said}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_bot_that_was_not_restarted_with_the_previous_key_is_told() {
    story(async |stage| {
        let public = set_up(stage);
        let door = &stage.bot.app.door;
        let mut changing = door.clone();
        changing.encrypt_key.as_mut().expect("there is one").previous = Some("key-of-last-year".into());
        let found = looked_at(stage, Some(&public), &changing).await;
        let bad = bad(&found);
        assert_eq!(bad.len(), 3, "both routes and the key: {found:#?}");
        says(bad[0], Level::Failure, "rotation", &["/feishu/event", "不接受旧的", "Restart it"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_other_two_keys_are_told_of_as_well() {
    story(async |stage| {
        let old = stage.tenant.with(|world| world.app.app_secret.clone());
        let key = "c3RvcnktdGVsbGVycy1rZWVwLXRoZWlyLXNlY3JldHM=";
        let new = "Secret0fTheAppSinceThisMorning00";
        stage.restart_with(&[("SECRET_KEY", key), ("SECRET_KEY_PREVIOUS", "derived")]).await?;
        let public = set_up(stage);
        rotates(&lines(stage, &public).await, &["SECRET_KEY_PREVIOUS", "一小时", "audit verify"]);
        let changing = [("SECRET_KEY_PREVIOUS", ""), ("FEISHU_APP_SECRET", new), ("FEISHU_APP_SECRET_PREVIOUS", &old)];
        stage.restart_with(&changing).await?;
        let public = set_up(stage);
        rotates(&lines(stage, &public).await, &["飞书拒绝 FEISHU_APP_SECRET", "/baseinfo"]);
        stage.tenant.console(|app| app.app_secret = new.into());
        rotates(&lines(stage, &public).await, &["飞书已接受新值", "takes the present one"]);
        // The chain was begun under a key that is not given any more.
        stage.whole_chain = false;
        Ok(())
    })
    .await;
}

/// A proxy that reads JSON and writes it anew.
async fn meddler(to: Url) -> (Url, ServerHandle) {
    another(move |request: HttpRequest, body: web::Json<serde_json::Value>| {
        let url = to.join(request.path()).expect("a path");
        async move {
            let mut passed = reqwest::Client::new().post(url).header("Content-Type", "application/json");
            for (name, value) in request.headers().iter().filter(|(name, _)| name.as_str().starts_with("x-lark-")) {
                passed = passed.header(name.as_str(), value.as_bytes());
            }
            let answer = passed.body(body.to_string()).send().await.expect("the bot answers");
            let status = actix_web::http::StatusCode::from_u16(answer.status().as_u16()).expect("a status");
            HttpResponse::build(status).body(answer.bytes().await.expect("a body"))
        }
    })
    .await
}

#[tokio::test]
async fn a_proxy_that_rewrites_the_body() {
    story(async |stage| {
        let public = set_up(stage);
        let (proxy, server) = meddler(public).await;
        stage.tenant.allow_redirect(&format!("{proxy}oauth/callback"));
        let found = lines(stage, &proxy).await;
        assert_eq!(bad(&found).len(), 2, "both routes: {found:#?}");
        for line in bad(&found) {
            says(line, Level::Failure, "address", &["改写", "rewrites the body", "X-Lark-*", "nginx.conf"]);
        }
        server.stop(true).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_an_encrypt_key_it_is_said_and_works() {
    let plain = [("FEISHU_ENCRYPT_KEY", ""), ("FEISHU_ALLOW_PLAINTEXT", "true")];
    story_with(&plain, Company::small(), async |stage| {
        let public = set_up(stage);
        stage.tenant.console(|app| app.encrypt_key = None);
        only(&lines(stage, &public).await, Level::Warning, "encryption", &["FEISHU_ENCRYPT_KEY", "加密策略", "/event"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_database_of_another_version_and_one_that_cannot_be_opened() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let url = format!("sqlite://{}", data.path().join("bot.db").display());
    assert_eq!(store::look::look(&url).await, Database::New);
    let version = async |set: &str| -> anyhow::Result<Database> {
        use sqlx::Connection;
        let mut connection = sqlx::SqliteConnection::connect(&url).await?;
        sqlx::query(sqlx::AssertSqlSafe(set.to_owned())).execute(&mut connection).await?;
        connection.close().await?;
        Ok(store::look::look(&url).await)
    };
    crate::stage::open(&url).await?.close().await;
    assert!(matches!(store::look::look(&url).await, Database::Ready { version: 11.. }));
    let newest = "(select max(version) from _sqlx_migrations)";
    let newer = version(&format!("update _sqlx_migrations set version = 9000 where version = {newest}")).await?;
    assert!(matches!(newer, Database::Newer { found: 9000, .. }), "{newer:?}");
    let older = version("delete from _sqlx_migrations where version >= 9").await?;
    assert!(matches!(older, Database::Older { found: 8, .. }), "{older:?}");
    let nowhere = format!("sqlite://{}", data.path().join("no/such/bot.db").display());
    assert!(matches!(store::look::look(&nowhere).await, Database::Broken { .. }));
    std::fs::write(data.path().join("bot.db"), "no database at all, and longer than a header of one".repeat(40))?;
    assert!(matches!(store::look::look(&url).await, Database::Broken { .. }));
    Ok(())
}

#[tokio::test]
async fn in_a_chat_an_admin_gets_the_lines_and_an_approver_does_not() {
    story(async |stage| {
        set_up(stage);
        // Nobody listens there.
        stage.restart_with(&[("PUBLIC_URL", "https://127.0.0.1:9")]).await?;
        stage.tenant.allow_redirect("https://127.0.0.1:9/oauth/callback");
        let said = stage.ask("王芳", "/check").await?.text;
        assert!(said.starts_with("2 处会挡住群发"), "{said}");
        for words in
            ["❌ https://", "外网地址不通", "❔ 群发给人和部门", "✅ 正常：登录、时钟、机器人、权限、通讯录", "数据库"]
        {
            assert!(said.contains(words), "{words} is missing in {said}");
        }
        stage.tenant.console(|app| app.tenant_scopes.retain(|scope| scope != "im:message:send_multi_depts"));
        let said = stage.ask("王芳", "/检查").await?.text;
        assert!(said.contains("❌ 缺少权限 im:message:send_multi_depts") && said.contains("/auth"), "{said}");
        assert!(stage.ask("赵磊", "/check").await?.text.contains("只有管理员"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_program_prints_lines_or_json_and_ends_with_what_it_found() -> anyhow::Result<()> {
    let tenant = Tenant::open(Company::small());
    tenant.console(|app| app.tenant_scopes.extend(MORE.map(str::to_owned)));
    let data = tempfile::tempdir()?;
    let mut settings = tenant.settings();
    settings.push(("LISTEN_ADDR".into(), "127.0.0.1:0".into()));
    let run = async |args: &'static [&'static str], locale: &str| {
        let mut settings = settings.clone();
        settings.push(("LANG".into(), locale.into()));
        let here = data.path().to_owned();
        tokio::task::spawn_blocking(move || crate::program::run(&here, &settings, args)).await
    };
    let output = run(&["check"], "C.UTF-8").await?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success() && output.stderr.is_empty(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("fine       credentials 飞书接受"), "{said}");
    assert!(said.contains("warning    address") && said.contains("PUBLIC_URL"), "{said}");
    assert!(
        said.trim_end().ends_with("处无法从外面验证。") && !data.path().join("feishu-broadcast.db").exists(),
        "{said}"
    );
    let english = String::from_utf8(run(&["check"], "en_US.UTF-8").await?.stdout)?;
    assert!(english.contains("Feishu accepts the App ID") && !english.contains("飞书"), "{english}");

    tenant.console(|app| app.bot_status = 0);
    let output = run(&["check", "--json"], "en_US.UTF-8").await?;
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(json["well"], false);
    let lines = json["lines"].as_array().expect("lines");
    let bot = lines.iter().find(|line| line["subject"] == "bot").expect("a line");
    assert_eq!(bot["level"], "failure");
    assert!(bot["zh"].as_str().is_some_and(|zh| zh.contains("还没有启用")) && bot["page"].as_str().is_some(), "{bot}");
    tenant.assert_clean();
    tenant.close().await;
    let output = run(&["check"], "C.UTF-8").await?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.code() == Some(1) && said.contains("failure    credentials"), "{said}");
    assert!(said.contains("连不上") && said.contains("HTTPS_PROXY"), "{said}");
    Ok(())
}

#[test]
fn the_list_to_import_into_the_console_is_the_list_that_is_checked() {
    let page = include_str!("../../deploy/console.md");
    let json = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("the JSON to import");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let listed: std::collections::BTreeSet<&str> =
        json["scopes"]["tenant"].as_array().expect("scopes").iter().filter_map(|scope| scope.as_str()).collect();
    assert_eq!(listed, NEEDS.iter().map(|need| need.scope).collect());
}
