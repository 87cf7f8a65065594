//! The program itself: the built binary as a child process, with nothing in its environment but what a story gives it.

mod audit;
mod disk;
mod flood;
mod logs;
mod running;
mod secrets;
mod settings;
mod store;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::sandbox::{Company, Tenant};
use crate::stage::PUBLIC_URL;

/// How long the program may take to say that it will not start, or to be ready, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every setting of the interface, "The program".
const SETTINGS: [&str; 24] = [
    "FEISHU_APP_ID",
    "FEISHU_APP_SECRET",
    "FEISHU_APP_SECRET_PREVIOUS",
    "FEISHU_ENCRYPT_KEY",
    "FEISHU_ENCRYPT_KEY_PREVIOUS",
    "FEISHU_ALLOW_PLAINTEXT",
    "FEISHU_VERIFICATION_TOKEN",
    "FEISHU_VERIFICATION_TOKEN_PREVIOUS",
    "FEISHU_PLATFORM",
    "FEISHU_OPEN_URL",
    "FEISHU_ACCOUNTS_URL",
    "BROADCAST_ADMINS",
    "BROADCAST_APPROVERS",
    "APPROVALS_REQUIRED",
    "APPROVAL_TTL",
    "POLICY_FILE",
    "LISTEN_ADDR",
    "METRICS_ADDR",
    "PUBLIC_URL",
    "DATABASE_URL",
    "SECRET_KEY",
    "SECRET_KEY_PREVIOUS",
    "TIMEZONE",
    "LOG_FORMAT",
];

/// As little as starts a bot that talks to nobody.
fn enough() -> Vec<(String, String)> {
    [
        ("FEISHU_APP_ID", "cli_a1b2c3d4e5f6"),
        ("FEISHU_APP_SECRET", "app-secret-of-the-story"),
        ("FEISHU_ENCRYPT_KEY", "encrypt-key-of-the-story"),
        ("FEISHU_VERIFICATION_TOKEN", "verification-token-of-the-story"),
        ("FEISHU_OPEN_URL", "http://127.0.0.1:9"),
        ("BROADCAST_ADMINS", "ou_1"),
        ("BROADCAST_APPROVERS", "ou_2"),
        ("METRICS_ADDR", ""),
        ("LISTEN_ADDR", "127.0.0.1:0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The same settings with one replaced, or taken away.
fn with(settings: &[(String, String)], name: &str, value: Option<&str>) -> Vec<(String, String)> {
    let mut settings: Vec<_> = settings.iter().filter(|(other, _)| other != name).cloned().collect();
    settings.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    settings
}

fn command(directory: &Path, settings: &[(String, String)], args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feishu-broadcast"));
    command.current_dir(directory).env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.envs(settings.iter().map(|(name, value)| (name, value))).args(args);
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end, which must come soon.
pub(crate) fn run(directory: &Path, settings: &[(String, String)], args: &[&str]) -> Output {
    let (out, err) = (directory.join("stdout"), directory.join("stderr"));
    let file = |path: &Path| std::fs::File::create(path).expect("a file in our own directory");
    let mut command = command(directory, settings, args);
    let mut child = command.stdout(file(&out)).stderr(file(&err)).spawn().expect("the program was built");
    let status = ended(&mut child, PATIENCE).unwrap_or_else(|| {
        child.kill().expect("our own child");
        child.wait().expect("our own child")
    });
    let read = |path: &Path| std::fs::read(path).expect("a file in our own directory");
    Output { status, stdout: read(&out), stderr: read(&err) }
}

/// Waits for the child's end; `None` if it does not come in time.
fn ended(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            return Some(status);
        }
        if began.elapsed() > patience {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A loopback port for a bot, which may be dead for a while and come back. Below those that the system hands out to whoever
/// asks for any, each story's calls among them: 32768 and up. Source: Linux `ip_local_port_range`.
fn free_address() -> SocketAddr {
    static DRAWN: AtomicU16 = AtomicU16::new(0);
    // Two runs at once begin at different places.
    let first = u16::try_from(std::process::id() % 100).expect("two digits") * 100;
    let ports = std::iter::repeat_with(|| 20_000 + (first + DRAWN.fetch_add(1, Ordering::Relaxed)) % 10_000);
    let mut free = ports.take(10_000).filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    free.next().and_then(|listener| listener.local_addr().ok()).expect("a loopback port is free")
}

/// A running bot of flesh and blood: the binary, a database, a tenant and two ports.
pub(crate) struct Running {
    child: Child,
    pub(crate) tenant: Tenant,
    directory: tempfile::TempDir,
    settings: Vec<(String, String)>,
    address: SocketAddr,
    metrics: SocketAddr,
    browser: reqwest::Client,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ends the child of a story that failed; one that has ended already does not mind.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Running {
    /// Starts the bot for the small company and waits until it is ready.
    async fn start(more: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_in(Company::small(), more).await
    }

    /// Starts the bot for a company of its own.
    pub(crate) async fn start_in(company: Company, more: &[(&str, &str)]) -> anyhow::Result<Self> {
        let tenant = Tenant::open(company);
        tenant.allow_redirect(&format!("{PUBLIC_URL}/oauth/callback"));
        let (address, metrics) = (free_address(), free_address());
        let directory = tempfile::tempdir()?;
        let mut settings = tenant.settings();
        for (name, value) in
            [("PUBLIC_URL", PUBLIC_URL), ("LISTEN_ADDR", &address.to_string()), ("METRICS_ADDR", &metrics.to_string())]
        {
            settings.push((name.into(), value.into()));
        }
        for (name, value) in more {
            settings = with(&settings, name, Some(value));
        }
        tenant.connect(&format!("http://{address}"));
        let child = spawn(directory.path(), &settings)?;
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        let mut running = Self { child, tenant, directory, settings, address, metrics, browser };
        running.until_ready().await?;
        Ok(running)
    }

    /// A second replica on the same database, for the same tenant.
    pub(crate) async fn beside(&self) -> anyhow::Result<Self> {
        let (address, metrics) = (free_address(), free_address());
        let settings = with(&self.settings, "LISTEN_ADDR", Some(&address.to_string()));
        let settings = with(&settings, "METRICS_ADDR", Some(&metrics.to_string()));
        let directory = tempfile::tempdir()?;
        let child = spawn(directory.path(), &settings)?;
        let (tenant, browser) = (self.tenant.clone(), self.browser.clone());
        let mut second = Self { child, tenant, directory, settings, address, metrics, browser };
        second.until_ready().await?;
        Ok(second)
    }

    /// Takes the pushes from now on.
    pub(crate) fn listen(&self) {
        self.tenant.connect(&format!("http://{}", self.address));
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("the bot ended with {status}: {}", self.output());
            }
            if self.get("/readyz").await.is_ok_and(|answer| answer.status() == 200) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the bot is not ready: {}", self.output())
    }

    async fn get(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        Ok(self.browser.get(format!("http://{}{path}", self.address)).send().await?)
    }

    /// The metrics as text.
    async fn scrape(&self) -> anyhow::Result<String> {
        Ok(self.browser.get(format!("http://{}/metrics", self.metrics)).send().await?.text().await?)
    }

    /// Everything it has written so far, to either stream, by any of its lives.
    pub(crate) fn output(&self) -> String {
        let read = |name| std::fs::read(self.directory.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("stdout"), read("stderr")].concat()).into_owned()
    }

    /// The machine dies: no warning, no last words.
    pub(crate) fn kill_9(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The same bot on the same database and port again.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(self.directory.path(), &self.settings)?;
        self.until_ready().await
    }

    /// Sends a signal and waits for the end; returns the exit status and how long it took.
    async fn signal(&mut self, name: &str) -> anyhow::Result<(ExitStatus, Duration)> {
        let began = Instant::now();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status()?;
        anyhow::ensure!(sent.success(), "the signal was not sent");
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, began.elapsed()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the bot did not end within {PATIENCE:?} of SIG{name}: {}", self.output())
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, so: impl Fn(&Tenant) -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if so(&self.tenant) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(anyhow::anyhow!("{}", self.output())).with_context(|| format!("in vain waited until {what}"))
    }
}

fn spawn(directory: &Path, settings: &[(String, String)]) -> anyhow::Result<Child> {
    let file = |name: &str| std::fs::File::options().create(true).append(true).open(directory.join(name));
    let mut command = command(directory, settings, &["serve"]);
    Ok(command.stdout(file("stdout")?).stderr(file("stderr")?).spawn()?)
}
