//! What is measured: three servers, each a process of its own on a core of its own.
//!
//! `bare` is the same HTTP stack and the same door (signature, seal, token, event), and stores nothing. `door` is the
//! bot without its loops: everything up to the 200, nothing after it. `bot` is the program itself.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::{Context, ensure};
use feishu_broadcast::app::clock::{Clock, SystemClock};
use feishu_broadcast::bot::{Bot, Loops};
use feishu_broadcast::config::{Cli, Config};
use feishu_broadcast::feishu::envelope::{Door, Headers, Push};
use serde_json::json;

use crate::load;

/// Clock ticks a second in `/proc/PID/stat`. Source: proc(5), `sysconf(_SC_CLK_TCK)`, 100 on Linux.
const TICKS: f64 = 100.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bare,
    Door,
    Bot,
}

impl Kind {
    /// The word on the command line of a server process.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Bare => "serve-bare",
            Kind::Door => "serve-door",
            Kind::Bot => "serve",
        }
    }
}

/// A running server.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub ready: Duration,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Server {
    /// Starts a server on core 0 and waits until it is ready.
    pub fn start(kind: Kind, settings: &[(String, String)], database_url: &str) -> anyhow::Result<Self> {
        let free = || TcpListener::bind("127.0.0.1:0")?.local_addr();
        let (address, metrics) = (free()?, free()?);
        let program = match kind {
            Kind::Bot => PathBuf::from(env!("CARGO_BIN_EXE_feishu-broadcast")),
            Kind::Bare | Kind::Door => std::env::current_exe()?,
        };
        let mut command = Command::new(&program);
        if pin_load() {
            command = Command::new("taskset");
            command.args(["-c", "0"]).arg(&program);
        }
        let began = Instant::now();
        let child = command
            .arg(kind.word())
            // Away from any `.env`.
            .current_dir(std::env::temp_dir())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .env("DATABASE_URL", database_url)
            .env("LISTEN_ADDR", address.to_string())
            .env("METRICS_ADDR", metrics.to_string())
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .context("a server does not start")?;
        let mut server = Self { child, address, ready: Duration::ZERO };
        while !load::is_there(address, "/readyz") {
            ensure!(began.elapsed() < Duration::from_secs(20), "not ready after 20 s");
            ensure!(server.child.try_wait()?.is_none(), "the server ended");
            std::thread::sleep(Duration::from_millis(1));
        }
        server.ready = began.elapsed();
        Ok(server)
    }

    /// As [`memory_mib`].
    pub fn memory_mib(&self, what: &str) -> anyhow::Result<f64> {
        memory_mib(&self.child.id().to_string(), what)
    }

    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(&self.child.id().to_string())
    }
}

/// Resident memory of a process, `self` for this one: `VmRSS` now, `VmHWM` at its most. Source: proc(5).
pub fn memory_mib(process: &str, what: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with(what)).with_context(|| format!("no {what}"))?;
    let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib / 1024.0)
}

/// CPU seconds of a process, `self` for this one.
pub fn cpu_seconds(process: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name = stat.rsplit(')').next().context("no stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS)
}

static PINNED: OnceLock<bool> = OnceLock::new();

/// Keeps this process, the load, off the servers' core; returns whether there is a second core and a way to do it.
/// Before any other thread is started.
pub fn pin_load() -> bool {
    let pin = || {
        let me = std::process::id().to_string();
        let done =
            Command::new("taskset").args(["-apc", "1", &me]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
    };
    *PINNED.get_or_init(pin)
}

/// What a server process of this binary does until it is killed.
pub fn serve(kind: Kind) -> anyhow::Result<()> {
    let settings: Vec<(String, String)> = std::env::vars().filter(|(name, _)| name != "PATH").collect();
    let config = Cli::from_settings(settings.iter().map(|(name, value)| (name, value)))?.settings.check()?;
    // As the program's own.
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        if kind == Kind::Bare {
            return bare(config).await;
        }
        let metrics = feishu_broadcast::web::measures::install()?;
        let _bot = Bot::start(config, Arc::new(SystemClock), Some(metrics), Loops::ByHand).await?;
        std::future::pending().await
    })
}

async fn bare(config: Config) -> anyhow::Result<()> {
    let door = web::Data::new(Door {
        app_id: config.app_id,
        verification_token: config.verification_token,
        encrypt_key: config.encrypt_key,
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(door.clone())
            .service(web::resource("/feishu/event").route(web::post().to(enter)))
            .route("/readyz", web::get().to(HttpResponse::Ok))
    })
    .workers(std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2)))
    .bind(config.listen_addr)?
    .run();
    Ok(server.await?)
}

async fn enter(request: HttpRequest, body: web::Bytes, door: web::Data<Door>) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let headers = Headers {
        timestamp: header("X-Lark-Request-Timestamp"),
        nonce: header("X-Lark-Request-Nonce"),
        signature: header("X-Lark-Signature"),
    };
    match door.enter(&headers, &body, SystemClock.now()) {
        Ok(Push::Event { .. }) => HttpResponse::Ok().json(json!({ "msg": "success" })),
        Ok(Push::Challenge(_) | Push::OldCardCallback) | Err(_) => HttpResponse::BadRequest().finish(),
    }
}
