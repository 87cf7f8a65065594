//! The playground, `cargo run --example sandbox`: the real bot, a simulated company around it, and a page on which
//! you are anybody in that company.
//!
//! Nothing here decides anything. The bot is the library as it is; the company is the tenant that the stories use, and
//! both speak real HTTP on loopback ports. This program puts a page over the tenant: `play/routes.rs` what the page may
//! ask for, `play/sends.rs` what people send, `play/samples.rs` files ready to be sent, `play/look.rs` what the page gets
//! to see, `play/switches.rs` what people may break on purpose.
//!
//! `PLAYGROUND_ADDR` says where the page is served; without it that is [`USUAL_ADDR`], or any free port where another
//! program has that one. The line on standard output that begins with `playground: http` is for programs as well.

// The tenant's own files name each other by `super`, as they do in the stories.
#[path = "mod.rs"]
mod sandbox;

#[path = "play/look.rs"]
mod look;
#[path = "play/routes.rs"]
mod routes;
#[path = "play/samples.rs"]
mod samples;
#[path = "play/sends.rs"]
mod sends;
#[path = "play/switches.rs"]
mod switches;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use actix_web::{App, HttpServer, web};
use anyhow::Context;
use feishu_broadcast::app::authorize::login_url;
use feishu_broadcast::app::clock::{Clock, SystemClock};
use feishu_broadcast::bot::{Bot, Loops};
use feishu_broadcast::config::Cli;
use feishu_broadcast::domain::ids::{OpenId, Timestamp};

use routes::Play;
use sandbox::{Company, Tenant};

/// Where the page is, if nobody says otherwise.
const USUAL_ADDR: &str = "127.0.0.1:8089";

/// Seconds an open long poll may hold up the end; the page asks again by itself.
const FAREWELL_S: u64 = 1;

/// The bot while it runs.
struct Running {
    bot: Bot,
    /// Where the platform's pushes go, `http://127.0.0.1:PORT`; also the bot's `PUBLIC_URL`, since the browser is on
    /// this machine too.
    url: String,
    /// The embedded store; removed with the playground.
    _data: tempfile::TempDir,
}

impl Running {
    /// Lets the bot finish what it is doing, and leave.
    async fn stop(mut self) {
        self.bot.stop().await;
    }
}

/// The machine's clock, as far ahead as the tenant's.
struct TenantClock(Arc<AtomicI64>);

impl Clock for TenantClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::SeqCst))
    }

    fn random(&self, bytes: &mut [u8]) {
        SystemClock.random(bytes);
    }
}

/// Starts the real bot for this company, on a store of its own and a free port.
async fn start_bot(tenant: &Tenant) -> anyhow::Result<Running> {
    let data = tempfile::tempdir().context("no directory for the store")?;
    // The bot has to know its own address before it listens: PUBLIC_URL is part of its settings.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).context("no free port")?;
    let url = format!("http://{free}");
    let mut settings = tenant.settings();
    settings.push(("PUBLIC_URL".into(), url.clone()));
    settings.push(("LISTEN_ADDR".into(), free.to_string()));
    settings.push(("METRICS_ADDR".into(), String::new()));
    settings.push(("DATABASE_URL".into(), format!("sqlite://{}", data.path().join("playground.db").display())));
    // One admin may address everyone, as an operator would have written it.
    let rules = data.path().join("policy.toml");
    let author = tenant.person(look::EVERYONES_ADMIN).open_id;
    std::fs::write(&rules, format!("[everyone]\nauthors = [\"{author}\"]\n")).context("no file for the rules")?;
    settings.push(("POLICY_FILE".into(), rules.display().to_string()));
    // The environment here is that of somebody's desk, where another bot's settings may lie about.
    let cli = Cli::from_settings(settings)?;
    let clock = Arc::new(TenantClock(tenant.clock_offset()));
    let bot = Bot::start(cli.settings.check()?, clock, None, Loops::Running).await?;
    tenant.allow_redirect(&format!("{url}/oauth/callback"));
    // What stories begin without, to see it missed.
    let rest = ["im:message.group_msg", "contact:group:readonly", "auth:user_access_token:read"];
    tenant.console(|app| app.tenant_scopes.extend(rest.map(str::to_owned)));
    Ok(Running { bot, url, _data: data })
}

/// The first admin has authorized department search already, as an admin who has used the bot before; the others still
/// get the link. It is the same round as in a browser: link, consent page, and back.
async fn authorize(tenant: &Tenant, bot: &Running) -> anyhow::Result<()> {
    let admin = tenant.person(look::FIRST_ADMIN);
    let person = OpenId::new(admin.open_id.clone()).context("an employee without an open_id")?;
    let link = login_url(&bot.bot.app, &person).context("the bot has no public address")?;
    let browser = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
    let answer = browser.get(link).send().await?;
    let consent = answer.headers().get("location").and_then(|to| to.to_str().ok()).context("no consent page")?;
    let back = tenant.consents(consent, &admin.name).map_err(anyhow::Error::msg)?;
    browser.get(back).send().await?.error_for_status()?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    let page_url = format!("http://{}", listener.local_addr().context("the page's listener has no address")?);
    let tenant = Tenant::open(Company::playground());
    let bot = start_bot(&tenant).await.context("the bot did not start")?;
    tenant.connect(&bot.url);
    tenant.verify_url().await.map_err(anyhow::Error::msg).context("the bot does not answer for its address")?;
    authorize(&tenant, &bot).await.context("the first admin could not be authorized")?;
    let time = tenant.live();

    let play = web::Data::new(Play::new(tenant.clone(), &bot.url, &bot.url));
    let server = HttpServer::new(move || App::new().app_data(play.clone()).configure(routes::all))
        .workers(1)
        .shutdown_timeout(FAREWELL_S)
        .listen(listener)?
        .run();
    println!("playground: {page_url}  打开它，先发 / open it and say: {}", look::FIRST_COMMAND);
    server.await?;

    time.abort();
    bot.stop().await;
    tenant.close().await;
    Ok(())
}

/// The page's listener: exactly where `PLAYGROUND_ADDR` says, else the usual port, else any.
fn listen() -> anyhow::Result<TcpListener> {
    if let Ok(wanted) = std::env::var("PLAYGROUND_ADDR") {
        return TcpListener::bind(&wanted)
            .with_context(|| format!("PLAYGROUND_ADDR={wanted} cannot be listened on; for example: {USUAL_ADDR}"));
    }
    TcpListener::bind(USUAL_ADDR)
        .or_else(|_| TcpListener::bind("127.0.0.1:0"))
        .context("no loopback port can be listened on")
}
