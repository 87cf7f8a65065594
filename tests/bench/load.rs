//! The load: requests prepared in advance, written to sockets that stay open, answers read only as far as needed.
//!
//! One thread for each connection and nothing between it and the socket, so that the load costs less than what it
//! measures; how busy it was is measured too.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::sandbox::RawPush;

/// Connections of the flood. Feishu pushes over many.
const FLOOD_LANES: usize = 64;

/// Connections that share the steady load: each is free again long before its next event is due.
const STEADY_LANES: usize = 16;

/// Beyond this Feishu would have given up.
const PATIENCE: Duration = Duration::from_secs(3);

/// A whole HTTP request.
pub fn request(push: &RawPush) -> Vec<u8> {
    let mut head = format!("POST {} HTTP/1.1\r\nHost: bot.example.com\r\n", push.path);
    for (name, value) in &push.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", push.body.len()));
    [head.as_bytes(), &push.body].concat()
}

/// Sends every request as soon as a connection is free; returns how long that took, from the first request to the last
/// answer. The lanes tell it: they are through a good part of the flood before anybody else has a turn on their core.
pub fn flood(address: SocketAddr, requests: &[Vec<u8>]) -> anyhow::Result<Duration> {
    let next = AtomicUsize::new(0);
    let ready = Barrier::new(FLOOD_LANES);
    std::thread::scope(|scope| {
        let lane = || -> anyhow::Result<(Instant, Instant)> {
            let connected = Connection::open(address);
            ready.wait();
            let began = Instant::now();
            let mut connection = connected?;
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                connection.ask(request)?;
            }
            Ok((began, Instant::now()))
        };
        let lanes: Vec<_> = (0..FLOOD_LANES).map(|_| scope.spawn(lane)).collect();
        let mut times = Vec::with_capacity(FLOOD_LANES);
        for lane in lanes {
            times.push(lane.join().expect("a lane does not panic")?);
        }
        let began = times.iter().map(|(began, _)| *began).min().context("no lanes")?;
        let ended = times.iter().map(|(_, ended)| *ended).max().context("no lanes")?;
        Ok(ended - began)
    })
}

/// Sends the requests at `rate` a second. Latency counts from the moment each was due, so that waiting in line counts
/// too. Sorted.
pub fn steady(address: SocketAddr, requests: &[Vec<u8>], rate: f64) -> anyhow::Result<Vec<Duration>> {
    let began = Instant::now() + Duration::from_millis(50);
    let mut latencies = Vec::with_capacity(requests.len());
    std::thread::scope(|scope| {
        let lane = |lane: usize| -> anyhow::Result<Vec<Duration>> {
            let mut connection = Connection::open(address)?;
            let mut latencies = Vec::new();
            for (n, request) in requests.iter().enumerate().skip(lane).step_by(STEADY_LANES) {
                let due = began + Duration::from_secs_f64(n as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                connection.ask(request)?;
                latencies.push(due.elapsed());
            }
            Ok(latencies)
        };
        let lanes: Vec<_> = (0..STEADY_LANES).map(|number| scope.spawn(move || lane(number))).collect();
        for lane in lanes {
            latencies.extend(lane.join().expect("a lane does not panic")?);
        }
        anyhow::Ok(())
    })?;
    latencies.sort();
    Ok(latencies)
}

/// A value of sorted ones, in ms: 0.99 is the 99th percentile.
pub fn at(sorted: &[Duration], share: f64) -> f64 {
    let place = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted[place].as_secs_f64() * 1000.0
}

/// Whether `path` is answered with 200.
pub fn is_there(address: SocketAddr, path: &str) -> bool {
    let asked = Connection::open(address)
        .and_then(|mut connection| connection.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()));
    asked.is_ok()
}

struct Connection(TcpStream);

impl Connection {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Sends a request and waits for its 200.
    fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.0.write_all(request)?;
        let (mut answer, mut length) = ([0; 2048], 0);
        loop {
            let read = self.0.read(&mut answer[length..]).context("no answer within 3 s")?;
            ensure!(read > 0, "the server closed the connection");
            length += read;
            let said = &answer[..length];
            let Some(head) = said.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
            let head_text = std::str::from_utf8(&said[..head])?;
            ensure!(head_text.starts_with("HTTP/1.1 200"), "answered {head_text}");
            let body = head_text.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length >= head + 4 + body.context("no content-length")?.parse::<usize>()? {
                return Ok(());
            }
        }
    }
}
