//! Whoever reaches the bot without being Feishu holds up nobody who is: slow, many, large.
//!
//! A proxy in front keeps most of this away (`deploy/nginx.conf`); here is what the bot stands by itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Running;
use crate::sandbox::{Forge, RawPush};

/// How long an honest event may take beside all that. Source: Feishu waits 3 s.
const HONEST_MAX: Duration = Duration::from_secs(3);

/// Connections of the bot at most. Source: its two threads, of 256 each.
const CONNECTIONS_MAX: usize = 512;

/// Files that it has open besides: database, log, listeners, calls to Feishu.
const OTHER_FILES_MAX: usize = 100;

/// One flood at a time: they are many connections each, and a process may often have no more than 1,024 files open.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// One connection that has said so much and then falls silent.
fn slow(address: SocketAddr, said: &[u8]) -> anyhow::Result<TcpStream> {
    let mut wire = TcpStream::connect(address)?;
    wire.write_all(said)?;
    wire.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(wire)
}

/// Reads until the bot has hung up; what it said.
fn end_of(mut wire: TcpStream) -> anyhow::Result<String> {
    let mut said = vec![];
    match wire.read_to_end(&mut said) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => anyhow::bail!("it does not hang up: {error}"),
        _ => Ok(String::from_utf8_lossy(&said).into_owned()),
    }
}

/// Several honest events are answered in time.
async fn honest(running: &Running) {
    for number in 0..5 {
        let pushed = running.tenant.person("王芳").says(&format!("/whoami {number}")).await;
        assert_eq!(pushed.status, 200, "{}", running.output());
        assert!(pushed.elapsed < HONEST_MAX, "{:?}", pushed.elapsed);
    }
}

#[tokio::test]
async fn two_hundred_slow_connections_of_one_client_keep_no_honest_event_waiting() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let running = Running::start(&[]).await?;
    let head = "POST /feishu/event HTTP/1.1\r\nHost: bot\r\nContent-Length: 100000\r\n";
    let beginnings = [
        String::new(),
        head.to_owned(),
        format!("{head}\r\n{{\"encrypt\":\"{}", "x".repeat(2000)),
        // One that was polite first.
        format!("GET /healthz HTTP/1.1\r\nHost: bot\r\n\r\n{head}"),
    ];
    let began = Instant::now();
    let mut wires = vec![];
    for number in 0..200 {
        wires.push(slow(running.address, beginnings[number % beginnings.len()].as_bytes())?);
    }
    honest(&running).await;
    let ends = tokio::task::spawn_blocking(move || wires.into_iter().map(end_of).collect::<anyhow::Result<Vec<_>>>());
    for (number, end) in ends.await??.into_iter().enumerate() {
        let polite = number % beginnings.len() == 3;
        assert!(end.is_empty() || end.starts_with("HTTP/1.1 408 ") || polite, "{number}: {end}");
    }
    // What was said in part is waited for seconds, and not minutes.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    honest(&running).await;
    Ok(())
}

#[tokio::test]
async fn however_many_connections_there_are_the_bot_keeps_the_files_that_it_needs() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let running = Running::start(&[]).await?;
    let wires = (0..CONNECTIONS_MAX + 88).map(|_| slow(running.address, b"")).collect::<anyhow::Result<Vec<_>>>()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let files = std::fs::read_dir(format!("/proc/{}/fd", running.child.id()))?.count();
    assert!(files <= CONNECTIONS_MAX + OTHER_FILES_MAX, "{files} files are open");
    // Those who said nothing are hung up on, and what waited behind them is heard.
    let began = Instant::now();
    while running.tenant.person("王芳").says("/whoami").await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", running.output());
    }
    drop(wires);
    honest(&running).await;
    Ok(())
}

/// The most memory that the process has ever had, in MiB.
fn peak(running: &Running) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    Ok(peak.unwrap_or(0_u64) / 1024)
}

#[tokio::test]
async fn large_bodies_that_nobody_signed_fill_no_memory_and_hold_nobody_up() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let running = Running::start(&[]).await?;
    honest(&running).await;
    let before = peak(&running)?;
    assert!(before > 0, "nobody says how much memory it has");
    let head = "POST /feishu/event HTTP/1.1\r\nHost: bot\r\nContent-Length: 1048576\r\n\r\n";
    let mut wires = vec![];
    for _ in 0..200 {
        let wire = slow(running.address, head.as_bytes())?;
        wire.set_nonblocking(true)?;
        wires.push((wire, 0));
    }
    // All of it but the last byte, as fast as it is taken.
    let body = vec![b'x'; (1 << 20) - 1];
    let flood = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1800) {
            for (wire, sent) in &mut wires {
                while let Ok(count @ 1..) = wire.write(&body[*sent..]) {
                    *sent += count;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        wires
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    honest(&running).await;
    let wires = flood.await?;
    assert!(wires.iter().filter(|(_, sent)| *sent > 500_000).count() > 20, "a flood that is none");
    let grown = peak(&running)? - before;
    // Two hundred times a MiB, and the same once more for what is read ahead, would be 250 and more.
    assert!(grown < 160, "{grown} MiB more");
    drop(wires);
    honest(&running).await;
    Ok(())
}

/// Posts the same again and again on one connection; how often it was refused.
fn forge_for(address: SocketAddr, raw: &RawPush, long: Duration) -> anyhow::Result<usize> {
    let mut request = format!("POST /feishu/event HTTP/1.1\r\nHost: bot\r\nContent-Length: {}\r\n", raw.body.len());
    for (name, value) in &raw.headers {
        request += &format!("{name}: {value}\r\n");
    }
    let request = [(request + "\r\n").as_bytes(), &raw.body].concat();
    let mut wire = slow(address, b"")?;
    let (began, mut refused, mut answer) = (Instant::now(), 0, [0; 4096]);
    while began.elapsed() < long {
        wire.write_all(&request)?;
        let count = wire.read(&mut answer)?;
        anyhow::ensure!(answer[..count].starts_with(b"HTTP/1.1 401 "), "{}", String::from_utf8_lossy(&answer[..count]));
        refused += 1;
    }
    Ok(refused)
}

#[tokio::test]
async fn a_flood_of_forged_events_holds_up_no_honest_one() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let running = Running::start(&[]).await?;
    let event = running.tenant.person("王芳").text_event("/broadcast 销售部 伪造的通知");
    let mut forgers = vec![];
    for forge in [Forge::Signature, Forge::Unsigned, Forge::Token, Forge::Body] {
        for _ in 0..4 {
            let (raw, address) = (running.tenant.forge(&event, forge), running.address);
            forgers.push(tokio::task::spawn_blocking(move || forge_for(address, &raw, Duration::from_secs(2))));
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    honest(&running).await;
    let mut refused = 0;
    for forger in forgers {
        refused += forger.await??;
    }
    assert!(refused > 200, "a flood of {refused}");
    let metrics = running.scrape().await?;
    let line = format!("feishu_broadcast_events_total{{outcome=\"unauthorized\"}} {refused}");
    assert!(metrics.contains(&line), "not {line} in:\n{metrics}");
    Ok(())
}
