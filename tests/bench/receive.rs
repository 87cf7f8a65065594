//! How fast the door is, with and without the store behind it.
//!
//! `cargo bench --bench receive [-- [ROUNDS] [door|growth]]` measures on SQLite, and on PostgreSQL where
//! `TEST_POSTGRES_URL` names one. Every server is a process of its own on core 0, the load on core 1; servers take
//! turns, and medians of all rounds are printed, as tables for the README. The events are messages that admins write in
//! a group without mentioning the bot: each is verified, opened, stored durably and only then answered; the work behind
//! the door is a claim and an end. What an answer costs is measured beside it, with `/whoami`.

#[path = "../sandbox/mod.rs"]
mod sandbox;

mod database;
mod load;
// This bench needs only a part of it.
#[allow(dead_code)]
mod servers;

use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use database::{Database, Engine};
use feishu_broadcast::app::clock::{Clock, SystemClock};
use sandbox::{Company, Tenant};
use serde_json::json;
use servers::{Kind, Server, cpu_seconds, pin_load};

/// Events before anything is measured: files grow, memory is taken, statements are prepared.
const WARM_UP: usize = 5_000;

/// Events of one flood, and of one steady load.
const FLOOD: usize = 10_000;
const STEADY: usize = 5_000;

/// Steady events a second.
const RATE: f64 = 500.0;

/// How long what a flood leaves behind is written back at most.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// What an event writes into SQLite's log: a page of the table and one of its index; and events until that begins anew.
const EVENT_BYTES: usize = 8192;
const DISK_SLOTS: usize = 512;

/// Commands that are answered, from so many people that no chat's limit of 5 a second is in the way.
const COMMANDS: usize = 500;
const ADMINS: usize = 20;

/// Broadcasts in a store with a past.
const BROADCASTS: usize = 10_000;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let kind = [Kind::Bare, Kind::Door].into_iter().find(|kind| words.iter().any(|word| word == kind.word()));
    if let Some(kind) = kind {
        return servers::serve(kind);
    }
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(5_usize).clamp(1, 100);
    let wants = |part: &str| {
        words.iter().any(|word| word == part)
            || !["door", "growth"].iter().any(|part| words.iter().any(|word| word == part))
    };
    println!(
        "{}",
        if pin_load() {
            "servers on core 0, load on core 1"
        } else {
            "NOT kept on one core each: no taskset, or no second core"
        }
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut engines = vec![("SQLite", Engine::Sqlite)];
    engines.extend(std::env::var("TEST_POSTGRES_URL").ok().map(|url| ("PostgreSQL", Engine::Postgres(url))));
    // A server process is waited for and loaded by plain threads; the runtime is for the tenant and the databases.
    let bench = runtime.block_on(async { Bench::new() });
    if wants("door") {
        let mut columns = vec![Column::new("bare".into())];
        for (name, _) in &engines {
            columns.push(Column::new(format!("door, {name}")));
            columns.push(Column::new(format!("bot, {name}")));
        }
        let mut waits = Vec::new();
        for round in 0..rounds {
            eprintln!("round {} of {rounds}, load average {}", round + 1, load_average());
            waits.extend(disk()?);
            columns[0].add(bench.measure(&runtime, Kind::Bare, None)?);
            for (at, (_, engine)) in engines.iter().enumerate() {
                for (after, kind) in [(1, Kind::Door), (2, Kind::Bot)] {
                    let database = runtime.block_on(Database::new(engine))?;
                    columns[2 * at + after].add(bench.measure(&runtime, kind, Some(&database))?);
                    runtime.block_on(database.remove())?;
                }
            }
        }
        for (at, (_, engine)) in engines.iter().enumerate() {
            columns[2 * at + 2].answered = Some(bench.commands(&runtime, engine)?);
        }
        print(&columns, Against::Bare);
        waits.sort();
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| load::at(&waits, share));
        println!("\nthe disk alone, all rounds: p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms");
    }
    if wants("growth") {
        for (name, engine) in &engines {
            growth(&bench, &runtime, name, engine, rounds.min(3))?;
        }
    }
    Ok(())
}

/// What nothing that is stored before it is answered can be faster than: the pages of one event, written in place and
/// waited for, [`RATE`] times a second at most, where the databases are. How long each wait took.
fn disk() -> anyhow::Result<Vec<Duration>> {
    let mut file = tempfile::tempfile()?;
    file.write_all(&[0; DISK_SLOTS * EVENT_BYTES])?;
    file.sync_all()?;
    let began = Instant::now();
    let mut waits = Vec::with_capacity(STEADY);
    for n in 0..STEADY {
        std::thread::sleep(Duration::from_secs_f64(n as f64 / RATE).saturating_sub(began.elapsed()));
        let from = Instant::now();
        file.seek(SeekFrom::Start((n % DISK_SLOTS * EVENT_BYTES) as u64))?;
        file.write_all(&[1; EVENT_BYTES])?;
        file.sync_data()?;
        waits.push(from.elapsed());
    }
    Ok(waits)
}

/// The same, with more and more in the store.
fn growth(
    bench: &Bench,
    runtime: &tokio::runtime::Runtime,
    name: &str,
    engine: &Engine,
    rounds: usize,
) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for (events, broadcasts) in [(0, 0), (100_000, BROADCASTS), (1_000_000, BROADCASTS)] {
        eprintln!("{name}: storing {events} events and {broadcasts} broadcasts");
        let database = runtime.block_on(async {
            let database = Database::new(engine).await?;
            database.seed_events(events).await?;
            database.seed_broadcasts(broadcasts).await?;
            anyhow::Ok(database)
        })?;
        all.push((database, Column::new(format!("bot, {name}, {events} events, {broadcasts} broadcasts"))));
    }
    for round in 0..rounds {
        eprintln!("round {} of {rounds}, load average {}", round + 1, load_average());
        for (database, column) in &mut all {
            let began = SystemClock.now();
            column.add(bench.measure(runtime, Kind::Bot, Some(database))?);
            runtime.block_on(database.forget_since(began))?;
        }
    }
    let mut columns = Vec::new();
    for (database, mut column) in all {
        column.queries = runtime.block_on(database.queries())?;
        runtime.block_on(database.remove())?;
        columns.push(column);
    }
    print(&columns, Against::First);
    Ok(())
}

/// What one server did in one round.
struct Measured {
    per_second: f64,
    /// CPU seconds per 10,000 events of the flood: until the last answer, and until all was worked on.
    cpu_answered: f64,
    cpu_worked: f64,
    /// The same for the steady load, all work included.
    cpu_steady: f64,
    p50: f64,
    p99: f64,
    p999: f64,
    idle_mib: f64,
    after_mib: f64,
    ready_ms: f64,
    /// How busy the load's own core was while flooding.
    load_busy: f64,
}

struct Bench {
    tenant: Tenant,
    settings: Vec<(String, String)>,
    requests: Vec<Vec<u8>>,
}

impl Bench {
    fn new() -> Self {
        let mut company = Company::empty("x");
        for number in 0..ADMINS {
            let name = format!("管理员{number}");
            company = company.person(&name, &[]).admin(&name);
        }
        let tenant = Tenant::open(company);
        tenant.switch(|switches| switches.rates = false);
        let mut settings = tenant.settings();
        settings.push(("PUBLIC_URL".into(), "https://bot.example.com".into()));
        let words = json!({ "text": "大家好，下午三点的会改到四点，地点不变，请互相转告" });
        let requests = (0..WARM_UP + FLOOD + STEADY)
            .map(|number| {
                let person = tenant.person(&format!("管理员{}", number % ADMINS)).open_id;
                tenant.with(|world| {
                    let event = world.message_event(&person, "oc_bench", "text", &words, &[], None);
                    load::request(&world.seal(&event))
                })
            })
            .collect();
        tenant.with(|world| world.messages.clear());
        Self { tenant, settings, requests }
    }

    fn measure(
        &self,
        runtime: &tokio::runtime::Runtime,
        kind: Kind,
        database: Option<&Database>,
    ) -> anyhow::Result<Measured> {
        let url = database.map_or("", |database| database.url.as_str());
        let server = Server::start(kind, &self.settings, url)?;
        let quiet = || match (kind, database) {
            (Kind::Bot, Some(database)) => runtime.block_on(database.quiet()),
            _ => Ok(()),
        };
        std::thread::sleep(Duration::from_millis(500));
        let idle_mib = server.memory_mib("VmRSS")?;
        let (warming, rest) = self.requests.split_at(WARM_UP);
        let (flooding, steady) = rest.split_at(FLOOD);
        load::flood(server.address, warming)?;
        quiet()?;
        let (before, load_before) = (server.cpu_seconds()?, cpu_seconds("self")?);
        let took = load::flood(server.address, flooding)?.as_secs_f64();
        let (answered, load_after) = (server.cpu_seconds()?, cpu_seconds("self")?);
        quiet()?;
        // What the flood left to be written back is not the steady load's.
        std::thread::sleep(SETTLED_AFTER);
        let worked = server.cpu_seconds()?;
        let latencies = load::steady(server.address, steady, RATE)?;
        quiet()?;
        let per = |cpu: f64, events: usize| cpu / events as f64 * 10_000.0;
        Ok(Measured {
            per_second: FLOOD as f64 / took,
            cpu_answered: per(answered - before, FLOOD),
            cpu_worked: per(worked - before, FLOOD),
            cpu_steady: per(server.cpu_seconds()? - worked, STEADY),
            p50: load::at(&latencies, 0.5),
            p99: load::at(&latencies, 0.99),
            p999: load::at(&latencies, 0.999),
            idle_mib,
            after_mib: server.memory_mib("VmRSS")?,
            ready_ms: server.ready.as_secs_f64() * 1000.0,
            load_busy: (load_after - load_before) / took,
        })
    }

    /// CPU seconds per 10,000 commands that are answered, calls to Feishu included.
    fn commands(&self, runtime: &tokio::runtime::Runtime, engine: &Engine) -> anyhow::Result<f64> {
        let database = runtime.block_on(Database::new(engine))?;
        let server = Server::start(Kind::Bot, &self.settings, &database.url)?;
        let requests: Vec<_> = (0..COMMANDS)
            .map(|number| {
                let person = self.tenant.person(&format!("管理员{}", number % ADMINS));
                load::request(&self.tenant.seal(&person.text_event("/whoami")))
            })
            .collect();
        let before = server.cpu_seconds()?;
        load::steady(server.address, &requests, RATE)?;
        runtime.block_on(database.quiet())?;
        let cpu = server.cpu_seconds()? - before;
        runtime.block_on(database.remove())?;
        Ok(cpu / COMMANDS as f64 * 10_000.0)
    }
}

struct Column {
    name: String,
    rounds: Vec<Measured>,
    answered: Option<f64>,
    queries: Vec<(&'static str, f64)>,
}

impl Column {
    fn new(name: String) -> Self {
        Self { name, rounds: Vec::new(), answered: None, queries: Vec::new() }
    }

    fn add(&mut self, measured: Measured) {
        self.rounds.push(measured);
    }

    fn median(&self, figure: fn(&Measured) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// What ratios are against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Against {
    Bare,
    First,
}

/// Which row has how many decimals, and whether its ratio says something.
type Row = (&'static str, fn(&Measured) -> f64, usize, bool);

const ROWS: [Row; 11] = [
    ("saturated, events/s", |m| m.per_second, 0, true),
    ("CPU s / 10,000, until answered", |m| m.cpu_answered, 2, true),
    ("CPU s / 10,000, until worked on", |m| m.cpu_worked, 2, true),
    ("500/s: p50 ms", |m| m.p50, 2, true),
    ("500/s: p99 ms", |m| m.p99, 2, true),
    ("500/s: p99.9 ms", |m| m.p999, 2, true),
    ("500/s: CPU s / 10,000", |m| m.cpu_steady, 2, true),
    ("resident MiB, idle", |m| m.idle_mib, 1, false),
    ("resident MiB, after", |m| m.after_mib, 1, false),
    ("start to ready, ms", |m| m.ready_ms, 0, false),
    ("load's core busy while saturating", |m| m.load_busy, 2, false),
];

fn print(columns: &[Column], against: Against) {
    let rounds = columns.first().map_or(0, |column| column.rounds.len());
    println!(
        "\nmedians of {rounds} rounds; in brackets the ratio to {}\n",
        match against {
            Against::Bare => "the bare server",
            Against::First => "the empty store",
        }
    );
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    println!("| figure | {} |", names.join(" | "));
    println!("|---{}|", "| ---: ".repeat(columns.len()));
    for (name, figure, decimals, is_compared) in ROWS {
        let first = columns[0].median(figure);
        let cell = |(place, column): (usize, &Column)| {
            let value = column.median(figure);
            let ratio = if place > 0 && is_compared { format!(" ({:.2})", value / first) } else { String::new() };
            format!("{value:.decimals$}{ratio}")
        };
        let cells: Vec<String> = columns.iter().enumerate().map(cell).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
    if columns.iter().any(|column| column.answered.is_some()) {
        let cells: Vec<String> =
            columns.iter().map(|column| column.answered.map_or(String::new(), |cpu| format!("{cpu:.1}"))).collect();
        println!("| /whoami: CPU s / 10,000, answers and calls included | {} |", cells.join(" | "));
    }
    for (place, (name, first)) in columns[0].queries.iter().enumerate() {
        let cell = |column: &Column| format!("{:.2} ({:.2})", column.queries[place].1, column.queries[place].1 / first);
        let cells: Vec<String> = columns.iter().map(cell).collect();
        println!("| {name}, ms | {} |", cells.join(" | "));
    }
}

fn load_average() -> String {
    let read = std::fs::read_to_string("/proc/loadavg").context("no load average");
    read.map_or_else(|_| "unknown".into(), |line| line.split(' ').take(1).collect())
}
