//! The stage on which stories play: a tenant, the real bot on a database of its own, and a clock that both follow.
//!
//! The bot's loops do not run: [`Stage::settle`] cranks them until nothing is left to do, and lets the little time pass
//! that cards wait for. When a story ends, the stage looks for leftovers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use feishu_broadcast::app::clock::{Clock, SystemClock};
use feishu_broadcast::app::secrets::{KEY_BYTES, Secrets};
use feishu_broadcast::app::{Step, life, worker};
use feishu_broadcast::audit;
use feishu_broadcast::bot::{Bot, Loops};
use feishu_broadcast::config::Cli;
use feishu_broadcast::domain::audit::chain::ChainKey;
use feishu_broadcast::domain::audit::verify::Finding;
use feishu_broadcast::domain::ids::Timestamp;
use feishu_broadcast::domain::keys::Rotating;
use feishu_broadcast::store::{Engine, Store, StoreError};
use futures_util::FutureExt;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, PgConnection, Row};

use crate::sandbox::{ChatMessage, Company, Person, Tenant};

/// Where browsers would reach the bot. Nothing listens there: stories put the bot's own address in its place.
pub const PUBLIC_URL: &str = "https://bot.example.com";

/// How long until every lease of a replica that died has run out.
pub(crate) const LEASES_OVER: Duration = Duration::from_secs(100);

/// How often the bot says that it is alive while time passes: before it would count as away, leases included.
const BEAT: Duration = Duration::from_secs(8 * 60);

/// Cranks before a story is called endless.
const CRANKS_MAX: usize = 2000;

/// How much time passes before a story in which nothing is to be done is looked at once more: longer than any card
/// waits for.
const A_MOMENT: Duration = Duration::from_millis(6400);

/// The machine's clock, moved by the tenant.
struct TenantClock(Arc<AtomicI64>);

impl Clock for TenantClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::SeqCst))
    }

    fn random(&self, bytes: &mut [u8]) {
        SystemClock.random(bytes);
    }
}

pub struct Stage {
    pub tenant: Tenant,
    pub bot: Bot,
    pub browser: reqwest::Client,
    settings: Vec<(String, String)>,
    data: tempfile::TempDir,
    database: Database,
    /// Whether the audit chain must be whole at the end: not where the story lays hands on it, or on its key.
    pub whole_chain: bool,
}

/// The database of one story: a SQLite file, or a database on the server of `TEST_POSTGRES_URL`.
pub struct Database {
    pub url: String,
    on_server: Option<OnServer>,
}

struct OnServer {
    server: String,
    name: String,
}

impl Database {
    /// With every table in place. On a server it is a copy: what one story creates and drops is then no concern of the
    /// connections of the others, which would forget what they know of tables each time.
    pub async fn new(directory: &std::path::Path) -> anyhow::Result<Self> {
        match std::env::var("TEST_POSTGRES_URL") {
            Ok(server) => Self::on_server(server, MIGRATED.get_or_try_init(migrated).await?).await,
            Err(_) => Ok(Self { url: format!("sqlite://{}", directory.join("story.db").display()), on_server: None }),
        }
    }

    /// Without tables, on a server.
    pub async fn empty() -> anyhow::Result<Self> {
        Self::on_server(std::env::var("TEST_POSTGRES_URL")?, "template1").await
    }

    async fn on_server(server: String, template: &str) -> anyhow::Result<Self> {
        let mut bytes = [0; 8];
        SystemClock.random(&mut bytes);
        let name = format!("story_{}", hex::encode(bytes));
        on_server(&server, format!("create database {name} template {template}")).await?;
        Ok(Self { url: database_url(&server, &name)?, on_server: Some(OnServer { server, name }) })
    }

    /// Everything in it, as bytes to search in. Empty for SQLite, whose files the stage reads itself.
    pub async fn dump(&self) -> anyhow::Result<Vec<u8>> {
        if self.on_server.is_none() {
            return Ok(Vec::new());
        }
        let mut connection = PgConnection::connect(&self.url).await?;
        let mut all = Vec::new();
        for table in ["inbox", "broadcasts", "batches", "cards", "letters", "authorizations", "audit"] {
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!("select t::text as t from {table} t")));
            for row in rows.fetch_all(&mut connection).await? {
                all.extend(row.try_get::<String, _>("t")?.into_bytes());
            }
        }
        Ok(all)
    }

    pub async fn remove(&self) -> anyhow::Result<()> {
        let Some(OnServer { server, name }) = &self.on_server else { return Ok(()) };
        on_server(server, format!("drop database {name} with (force)")).await
    }
}

/// The name of the database that every story's is a copy of: made once by this process.
static MIGRATED: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();

async fn migrated() -> anyhow::Result<String> {
    let empty = Database::empty().await?;
    open(&empty.url).await?.close().await;
    Ok(empty.on_server.context("it is on a server")?.name)
}

async fn on_server(server: &str, statement: String) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(server).await?;
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The address of another database on the same server.
fn database_url(server: &str, name: &str) -> anyhow::Result<String> {
    let mut url = url::Url::parse(server)?;
    url.set_path(name);
    Ok(url.into())
}

/// The key of a store that no bot opens.
pub const KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];

/// Opens a store without a bot.
pub async fn open(url: &str) -> Result<Store, StoreError> {
    Store::open(url, Rotating::only(Secrets::chain_key(&KEY))).await
}

/// Plays a story in the small company. Approvers are 周明 and 赵磊; one approval is needed.
pub async fn story(play: impl AsyncFnOnce(&mut Stage) -> anyhow::Result<()>) {
    story_with(&[], Company::small(), play).await;
}

/// Plays a story with further settings, in a company of its own.
pub async fn story_with(
    settings: &[(&str, &str)],
    company: Company,
    play: impl AsyncFnOnce(&mut Stage) -> anyhow::Result<()>,
) {
    let mut stage = Stage::open(settings, company).await.expect("the stage opens");
    let told = AssertUnwindSafe(play(&mut stage)).catch_unwind().await;
    match told {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error:?}\n{}", stage.log()),
        Err(panic) => {
            eprintln!("{}", stage.log());
            std::panic::resume_unwind(panic);
        }
    }
    stage.settle().await.expect("everything comes to rest");
    stage.tenant.assert_clean();
    let open = stage.bot.app.store.events_open().await.expect("the store answers");
    assert_eq!(open, 0, "events were left lying about");
    if stage.whole_chain {
        let found = stage.chain().await.expect("the audit can be read beside the bot");
        assert!(found.is_whole(), "{found}");
        crate::audit::agrees_with_the_ledger(&stage).await.expect("the audit tells what happened");
    }
    stage.bot.stop().await;
    stage.tenant.close().await;
    stage.database.remove().await.expect("the story's database can be dropped");
}

impl Stage {
    async fn open(more: &[(&str, &str)], company: Company) -> anyhow::Result<Self> {
        let tenant = Tenant::open(company);
        tenant.allow_redirect(&format!("{PUBLIC_URL}/oauth/callback"));
        let data = tempfile::tempdir()?;
        let mut settings = tenant.settings();
        settings.push(("PUBLIC_URL".into(), PUBLIC_URL.into()));
        settings.push(("LISTEN_ADDR".into(), "127.0.0.1:0".into()));
        settings.push(("METRICS_ADDR".into(), String::new()));
        let database = Database::new(data.path()).await?;
        settings.push(("DATABASE_URL".into(), database.url.clone()));
        for (name, value) in more {
            settings.retain(|(other, _)| other != name);
            settings.push(((*name).to_owned(), (*value).to_owned()));
        }
        let bot = start(&settings, &tenant).await?;
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { tenant, bot, browser, settings, data, database, whole_chain: true })
    }

    pub fn person(&self, name: &str) -> Person {
        self.tenant.person(name)
    }

    /// The machine dies and comes back: everything in memory is gone, the disk is what it was.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        // Everything the old one had in hand was dropped before; its file is free once its connections are closed.
        self.bot.stop().await;
        self.bot = start(&self.settings, &self.tenant).await?;
        if self.bot.app.store.engine() == Engine::Postgres {
            // Another replica might still hold what the dead one held: it is anybody's once the leases have run out.
            self.tenant.later(LEASES_OVER).await;
        }
        Ok(())
    }

    /// Copies the database as a backup tool would, while the bot is running. SQLite only.
    pub async fn backup(&self) -> anyhow::Result<()> {
        let mut connection = sqlx::SqliteConnection::connect(&self.database.url).await?;
        let copy = self.data.path().join("backup.db");
        sqlx::query("vacuum into $1").bind(copy.display().to_string()).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Puts the backup back by writing it over the database.
    pub fn overwrite(&self) -> anyhow::Result<()> {
        self.forget_log()?;
        std::fs::write(self.file(), std::fs::read(self.data.path().join("backup.db"))?)?;
        Ok(())
    }

    /// Puts the backup in the place of the database, on a machine that has nothing else of it.
    pub fn replace(&self) -> anyhow::Result<()> {
        self.forget_log()?;
        std::fs::remove_file(self.data.path().join("story.db-witness"))?;
        std::fs::rename(self.data.path().join("backup.db"), self.file())?;
        Ok(())
    }

    fn file(&self) -> std::path::PathBuf {
        self.data.path().join("story.db")
    }

    fn forget_log(&self) -> anyhow::Result<()> {
        for end in ["-wal", "-shm"] {
            match std::fs::remove_file(self.data.path().join(format!("story.db{end}"))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Does something to the database behind the bot's back.
    pub async fn sql(&self, statement: String) -> anyhow::Result<()> {
        if self.database.on_server.is_some() {
            let mut connection = PgConnection::connect(&self.database.url).await?;
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
            return Ok(connection.close().await?);
        }
        let mut connection = sqlx::SqliteConnection::connect(&self.database.url).await?;
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// What `audit verify` finds, with the bot's own settings and beside it.
    pub async fn chain(&self) -> anyhow::Result<Finding> {
        Ok(audit::verify(self.database_url(), &self.chain_keys()?, None).await?)
    }

    /// The keys that the bot's settings come to.
    pub fn chain_keys(&self) -> anyhow::Result<Rotating<ChainKey>> {
        let cli = Cli::from_settings(self.settings.iter().map(|(name, value)| (name, value)))?;
        Ok(cli.settings.chain_keys()?)
    }

    pub fn database_url(&self) -> &str {
        let url = self.settings.iter().find(|(name, _)| name == "DATABASE_URL");
        url.map_or(&self.database.url, |(_, url)| url)
    }

    /// Every row of the audit chain, as `audit export` prints it.
    pub async fn audit(&self) -> anyhow::Result<Vec<Value>> {
        let mut lines = Vec::new();
        audit::export(self.database_url(), &mut lines).await?;
        let lines = String::from_utf8(lines)?;
        Ok(lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// Rows of a query, as text.
    pub async fn rows(&self, query: &str) -> anyhow::Result<Vec<AnyRow>> {
        let mut connection = AnyConnection::connect(self.database_url()).await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows)
    }

    /// A second bot on the same database, which takes the pushes from now on.
    pub async fn replica(&self) -> anyhow::Result<Bot> {
        start(&self.settings, &self.tenant).await
    }

    /// Like [`Stage::restart`], with some settings changed by the operator.
    pub async fn restart_with(&mut self, changed: &[(&str, &str)]) -> anyhow::Result<()> {
        for (name, value) in changed {
            self.settings.retain(|(other, _)| other != name);
            self.settings.push(((*name).to_owned(), (*value).to_owned()));
        }
        self.restart().await
    }

    /// Works until nothing is left to do now, nor in the few seconds that card updates wait for.
    pub async fn settle(&self) -> anyhow::Result<()> {
        let mut quiet = false;
        for _ in 0..CRANKS_MAX {
            if worker::work_once(&self.bot.app).await? == Step::Worked {
                quiet = false;
                continue;
            }
            if quiet {
                return Ok(());
            }
            quiet = true;
            self.tenant.later(A_MOMENT).await;
        }
        anyhow::bail!("the bot does not come to rest")
    }

    /// Lets time pass while the bot is alive but does nothing, then works.
    pub async fn later(&self, by: Duration) -> anyhow::Result<()> {
        let mut left = by;
        while !left.is_zero() {
            let step = left.min(BEAT);
            self.tenant.later(step).await;
            life::beat(&self.bot.app).await?;
            left -= step;
        }
        self.settle().await
    }

    /// Says something to the bot and reads the answer.
    pub async fn ask(&self, name: &str, text: &str) -> anyhow::Result<ChatMessage> {
        let person = self.person(name);
        // What was said before is not the answer.
        while person.unread().is_some() {}
        let pushed = person.says(text).await;
        ensure!(pushed.status == 200, "the bot answered {} to {text}", pushed.status);
        self.settle().await?;
        person.unread().with_context(|| format!("no answer to {text}"))
    }

    /// Gives the authorization as a person would: through the link on the card, the consent page and back.
    pub async fn authorize(&self, name: &str) -> anyhow::Result<()> {
        let card = self.ask(name, "/login").await?;
        let page = self.follow_login(&card, name).await?;
        ensure!(page.contains("授权成功"), "{page}");
        self.settle().await
    }

    /// Follows the link of a login card; returns the page at the end.
    pub async fn follow_login(&self, card: &ChatMessage, consents_as: &str) -> anyhow::Result<String> {
        let consent = self.open_login(card).await?;
        let back = self.tenant.consents(&consent, consents_as).map_err(anyhow::Error::msg)?;
        Ok(self.get(&back).await?.text().await?)
    }

    /// Presses the button of a login card; returns the address of the consent page.
    pub async fn open_login(&self, card: &ChatMessage) -> anyhow::Result<String> {
        let url = link_of(card).context("the card has no link")?;
        let answer = self.get(&url).await?;
        ensure!(answer.status() == 302, "the login link answered {}", answer.status());
        Ok(answer.headers()["location"].to_str()?.to_owned())
    }

    /// Opens a public address of the bot.
    pub async fn get(&self, url: &str) -> anyhow::Result<reqwest::Response> {
        let local = format!("http://{}", self.bot.address());
        Ok(self.browser.get(url.replace(PUBLIC_URL, &local)).send().await?)
    }

    /// Proposes a broadcast and returns the author's card.
    pub async fn propose(&self, author: &str, command: &str) -> anyhow::Result<ChatMessage> {
        let pushed = self.person(author).says(command).await;
        ensure!(pushed.status == 200, "the bot answered {}", pushed.status);
        self.settle().await?;
        self.card_of(author)
    }

    /// The newest card this person sees.
    pub fn card_of(&self, name: &str) -> anyhow::Result<ChatMessage> {
        self.person(name).last_card().with_context(|| format!("{name} sees no card"))
    }

    /// The id of the broadcast on a card.
    pub fn id_on(card: &ChatMessage) -> String {
        let text = card.content.to_string();
        let at = text.find("\"broadcast\":\"").expect("a card with a button names its broadcast");
        text.chars().skip(text[..at].chars().count() + 13).take(6).collect()
    }

    /// Bytes of everything in the bot's store, to look for what must not be there.
    pub async fn disk(&self) -> anyhow::Result<Vec<u8>> {
        let mut all = self.database.dump().await?;
        for entry in std::fs::read_dir(self.data.path()).expect("the directory is there").flatten() {
            all.extend(std::fs::read(entry.path()).unwrap_or_default());
        }
        Ok(all)
    }

    fn log(&self) -> String {
        let calls = self.tenant.calls();
        let lines: Vec<String> = calls
            .iter()
            .rev()
            .take(12)
            .rev()
            .map(|call| format!("{} {} -> {} {}", call.method, call.path, call.status, call.response))
            .collect();
        format!("the last calls:\n{}\nviolations: {:?}", lines.join("\n"), self.tenant.violations())
    }
}

async fn start(settings: &[(String, String)], tenant: &Tenant) -> anyhow::Result<Bot> {
    let cli = Cli::from_settings(settings.iter().map(|(name, value)| (name, value)))?;
    let clock = Arc::new(TenantClock(tenant.clock_offset()));
    let bot = Bot::start(cli.settings.check()?, clock, None, Loops::ByHand).await?;
    tenant.connect(&format!("http://{}", bot.address()));
    Ok(bot)
}

/// The address behind the button of a login card.
pub fn link_of(card: &ChatMessage) -> Option<String> {
    let text = card.content.to_string();
    let from = text.find("\"default_url\":\"")? + 15;
    let rest = text.get(from..)?;
    Some(rest.get(..rest.find('"')?)?.to_owned())
}
