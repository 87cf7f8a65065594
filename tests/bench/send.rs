//! How close sending comes to the platform's own limits, and that it never exceeds them.
//!
//! `cargo bench --bench send [-- BATCHES]` stores approved broadcasts, lets the program send them to the simulated
//! tenant, whose rate checks are on, and compares what it took with what 50 calls a second and 1000 a minute require
//! of anybody. SQLite, and PostgreSQL where `TEST_POSTGRES_URL` names one: there by one replica, and by two. A run takes a
//! good minute per 1000 batches.

#[path = "../sandbox/mod.rs"]
mod sandbox;

// This bench needs only a part of each.
#[allow(dead_code)]
mod database;
#[allow(dead_code)]
mod load;
#[allow(dead_code)]
mod servers;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use database::{Database, Engine, broadcast, open};
use feishu_broadcast::app::clock::{Clock, SystemClock};
use feishu_broadcast::domain::ids::OpenId;
use feishu_broadcast::domain::plan::{self, Targets};
use feishu_broadcast::store::cards::CardRole;
use sandbox::{Company, Tenant};
use servers::{Kind, Server, pin_load};

/// Batches of one broadcast.
const BATCHES_EACH: usize = 100;

/// Ids of one batch: the most that a list may hold.
const IDS: usize = 200;

/// The platform's limits. Source: "rate limits", tier 4.
const LIMITS: [(&str, i64, usize); 2] = [("second", 1_000, 50), ("minute", 60_000, 1_000)];

fn main() -> anyhow::Result<()> {
    let batches: usize = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1_100);
    pin_load();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut engines = vec![("SQLite", Engine::Sqlite, 1)];
    if let Ok(url) = std::env::var("TEST_POSTGRES_URL") {
        engines.push(("PostgreSQL", Engine::Postgres(url.clone()), 1));
        engines.push(("PostgreSQL, two replicas", Engine::Postgres(url), 2));
    }
    println!("| store | batches | took s | the limits alone | longer by | most in a second | in a minute |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (name, engine, replicas) in &engines {
        let calls = runtime.block_on(send(engine, *replicas, batches))?;
        let took = (calls[calls.len() - 1] - calls[0]) as f64 / 1000.0;
        let least = least_ms(calls.len()) as f64 / 1000.0;
        let [second, minute] = LIMITS.map(|(_, window_ms, _)| most_within(&calls, window_ms));
        println!(
            "| {name} | {} | {took:.1} | {least:.1} | {:.1} % | {second} | {minute} |",
            calls.len(),
            (took / least - 1.0) * 100.0
        );
        for (window, window_ms, most) in LIMITS {
            ensure!(most_within(&calls, window_ms) <= most, "more than {most} calls arrived within a {window}");
        }
        // Of a few batches, starting up is most of it.
        ensure!(calls.len() < 1_000 || took <= 1.03 * least, "more than 3 % longer than the limits alone require");
    }
    Ok(())
}

/// Lets so many replicas send so many batches; the moments at which their calls arrived, in ms, in order.
async fn send(engine: &Engine, replicas: usize, batches: usize) -> anyhow::Result<Vec<i64>> {
    let mut company = Company::empty("x");
    for number in 0..IDS {
        company = company.person(&format!("同事{number}"), &[]);
    }
    let tenant = Tenant::open(company.admin("同事0").approver("同事1"));
    let database = Database::new(engine).await?;
    plan_all(&tenant, &database, batches).await?;
    let mut settings = tenant.settings();
    settings.push(("PUBLIC_URL".into(), "https://bot.example.com".into()));
    let start = |_| Server::start(Kind::Bot, &settings, &database.url);
    let servers = (0..replicas).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let began = Instant::now();
    while tenant.with(|world| world.tasks.len()) < batches {
        let patience = Duration::from_secs(120) + 2 * Duration::from_millis(least_ms(batches).unsigned_abs());
        ensure!(began.elapsed() < patience, "only {} batches were sent", tenant.with(|world| world.tasks.len()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut calls: Vec<i64> = tenant.tasks().iter().map(|task| task.accepted_ms).collect();
    calls.sort_unstable();
    ensure!(calls.len() == batches, "{} batches were sent, not {batches}", calls.len());
    let (sending, other): (Vec<_>, Vec<_>) =
        tenant.violations().into_iter().partition(|violation| violation.starts_with("batch_send"));
    ensure!(sending.is_empty(), "the tenant objects: {sending:?}");
    if let Some(first) = other.first() {
        eprintln!("beside sending, the tenant objects {} times: {first}", other.len());
    }
    drop(servers);
    database.remove().await?;
    tenant.close().await;
    Ok(calls)
}

/// Stores approved broadcasts with so many batches in all.
async fn plan_all(tenant: &Tenant, database: &Database, batches: usize) -> anyhow::Result<()> {
    let store = open(&database.url).await?;
    let people: Vec<String> = (0..IDS).map(|number| tenant.person(&format!("同事{number}")).open_id).collect();
    let open_ids = people.iter().map(OpenId::new).collect::<Option<Vec<_>>>().context("an open_id")?;
    let targets = Targets { open_ids, ..Targets::default() };
    let mut left = batches;
    while left > 0 {
        let some = left.min(BATCHES_EACH);
        let now = SystemClock.now();
        let author = &people[left / BATCHES_EACH % IDS];
        let (mut broadcast, audience) = broadcast(author, &people, now)?;
        // The same people in every batch: what is measured is the pace, not the audience.
        let batches = vec![targets.clone(); some];
        broadcast.fingerprint = plan::fingerprint(&broadcast.content, &batches);
        let mut tx = store.begin().await?;
        tx.insert_broadcast(&broadcast, &audience).await?;
        tx.insert_batches(&broadcast, &audience, &batches, now).await?;
        tx.insert_card(&broadcast.id, &broadcast.author, CardRole::Author, broadcast.revision, now).await?;
        tx.commit().await?;
        left -= some;
    }
    // The program finds a database that was at work a moment ago: else it would ask the authors first.
    let mut tx = store.begin().await?;
    let home = tx.home(&store).await?;
    tx.say_alive(&home, SystemClock.now()).await?;
    tx.commit().await?;
    store.settle_in();
    store.close().await;
    Ok(())
}

/// How long so many calls take at least, from the first to the last: each waits for the one 50 before it to be a second
/// old, and for the one 1000 before it to be a minute old.
fn least_ms(calls: usize) -> i64 {
    let mut moments: Vec<i64> = Vec::with_capacity(calls);
    for call in 0..calls {
        let after = |(_, window_ms, most): (&str, i64, usize)| {
            call.checked_sub(most).map_or(0, |before| moments[before] + window_ms)
        };
        moments.push(LIMITS.into_iter().map(after).max().unwrap_or(0));
    }
    moments.last().copied().unwrap_or(0)
}

/// The most calls that any window of this length saw.
fn most_within(calls: &[i64], window_ms: i64) -> usize {
    let until = |from: i64| calls.partition_point(|call| *call < from + window_ms);
    calls.iter().enumerate().map(|(place, from)| until(*from) - place).max().unwrap_or(0)
}
