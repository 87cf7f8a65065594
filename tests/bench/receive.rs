//! How fast the door is: signed, sealed events at a steady rate, each on disk before its answer.
//!
//! `cargo bench --bench receive [-- RATE SECONDS]` starts the release binary on an empty SQLite store, pushes RATE
//! events a second for SECONDS (500 and 20 by default) over 16 connections, and prints events a second, the latency
//! from the moment an event was due, CPU per 10,000 events, resident memory, and the time from start to ready. The
//! load runs in this process, on the same cores. Quote medians of several runs: machines are shared.

#[path = "../sandbox/mod.rs"]
mod sandbox;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sandbox::{Company, RawPush, Tenant};

/// Keep-alive connections that share the load.
const CONNECTIONS: usize = 16;

/// Clock ticks a second in `/proc/PID/stat`. Source: proc(5), `sysconf(_SC_CLK_TCK)`, 100 on Linux.
const TICKS: f64 = 100.0;

struct Bot(Child);

impl Drop for Bot {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let rate = numbers.first().copied().unwrap_or(500).clamp(1, 20_000);
    let seconds = numbers.get(1).copied().unwrap_or(20).clamp(1, 300);
    let tenant = Tenant::open(Company::small());
    tenant.switch(|switches| switches.rates = false);
    let data = tempfile::tempdir()?;
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    // A second start, on a migrated store, is what an operator restarts into.
    drop(start(&tenant, free, data.path()).await?);
    let (bot, ready) = start(&tenant, free, data.path()).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = memory_kib(&bot)?;

    let total = usize::try_from(rate * seconds)?;
    let people: Vec<_> = ["王芳", "林悦", "周明", "赵磊"].into_iter().map(|name| tenant.person(name)).collect();
    let pushes: Vec<RawPush> =
        (0..total).map(|n| tenant.seal(&people[n % people.len()].text_event("/whoami"))).collect();
    let pushes = Arc::new(pushes);
    let cpu_before = cpu_seconds(&bot)?;
    let began = Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..CONNECTIONS {
        let pushes = Arc::clone(&pushes);
        let url = format!("http://{free}/feishu/event");
        lanes.spawn(async move { run(lane, &pushes, &url, rate, began).await });
    }
    let mut latencies = Vec::with_capacity(total);
    while let Some(lane) = lanes.join_next().await {
        latencies.extend(lane??);
    }
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds(&bot)? - cpu_before;
    latencies.sort();
    let at = |share: f64| {
        let place = ((latencies.len() as f64 - 1.0) * share).round() as usize;
        latencies[place].as_secs_f64() * 1000.0
    };
    println!("events              {} at {:.0}/s", latencies.len(), latencies.len() as f64 / elapsed);
    println!("latency ms          p50 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}", at(0.5), at(0.99), at(0.999), at(1.0));
    println!("cpu s / 10,000      {:.2} (answers and their calls included)", cpu / latencies.len() as f64 * 10_000.0);
    println!("resident KiB        idle {idle}, after the load {}", memory_kib(&bot)?);
    println!("start to ready      {:.0} ms (migrated store)", ready.as_secs_f64() * 1000.0);
    Ok(())
}

/// Pushes every [`CONNECTIONS`]th event when it is due. Latency counts from then, so waiting in line counts too.
async fn run(lane: usize, pushes: &[RawPush], url: &str, rate: u64, began: Instant) -> anyhow::Result<Vec<Duration>> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(1).build()?;
    let mut latencies = Vec::new();
    for (n, push) in pushes.iter().enumerate().skip(lane).step_by(CONNECTIONS) {
        let due = Duration::from_secs_f64(n as f64 / rate as f64);
        tokio::time::sleep_until((began + due).into()).await;
        let mut request = client.post(url).body(push.body.clone());
        for (name, value) in &push.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await?;
        ensure!(answer.status() == 200, "event {n} was answered {}", answer.status());
        answer.bytes().await?;
        latencies.push(began.elapsed().saturating_sub(due));
    }
    Ok(latencies)
}

/// Starts the program and waits until it is ready.
async fn start(
    tenant: &Tenant,
    address: std::net::SocketAddr,
    data: &std::path::Path,
) -> anyhow::Result<(Bot, Duration)> {
    let began = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_feishu-broadcast"))
        .current_dir(data)
        .env_clear()
        .envs(tenant.settings())
        .env("PUBLIC_URL", "https://bot.example.com")
        .env("LISTEN_ADDR", address.to_string())
        .env("METRICS_ADDR", "")
        .env("RUST_LOG", "error")
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .context("the program does not start")?;
    let bot = Bot(child);
    let client = reqwest::Client::new();
    while client.get(format!("http://{address}/readyz")).send().await.is_err() {
        ensure!(began.elapsed() < Duration::from_secs(10), "not ready after 10 s");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok((bot, began.elapsed()))
}

fn memory_kib(bot: &Bot) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", bot.0.id()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

fn cpu_seconds(bot: &Bot) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", bot.0.id()))?;
    let after_name = stat.rsplit(')').next().context("no stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / TICKS)
}
