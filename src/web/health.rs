//! `feishu-broadcast healthcheck`: the program asks another one of itself whether it is ready.
//!
//! For an image that has neither a shell nor curl. One plain request to the listener of the same settings; no store, no
//! Feishu and no secret is needed for it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long to wait for a connection, and for each piece of the answer. `/readyz` waits 2 s for its store, and the image
/// gives the whole check 5 s.
const WAIT: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read at most: the first line is enough.
const ANSWER_BYTES_MAX: u64 = 256;

/// Why a bot is not well, in a line for whoever looks at the container.
#[derive(Debug, thiserror::Error)]
pub enum Unwell {
    #[error("nobody answers at {address}: {source}")]
    Silent { address: SocketAddr, source: std::io::Error },
    #[error("not ready: {0}")]
    NotReady(String),
}

/// Asks the bot that listens on `listen` whether it is ready to take events.
///
/// # Errors
/// [`Unwell`]: nobody listens, no answer within a few seconds, or one that is not 200.
pub fn ask(listen: SocketAddr) -> Result<(), Unwell> {
    let address = reachable(listen);
    let first = first_line(address).map_err(|source| Unwell::Silent { address, source })?;
    if first.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(Unwell::NotReady(first)) }
}

fn first_line(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

/// Where a listener is reached from its own machine: one on every address is also on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
