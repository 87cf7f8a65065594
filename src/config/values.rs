//! Values with a shape of their own: addresses, origins, durations.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use url::{Host, Url};

use super::{WrongSetting, wrong};

pub(super) fn address(name: &'static str, text: &str, example: &'static str) -> Result<SocketAddr, WrongSetting> {
    // A name such as localhost is fine too; the first address it stands for is taken.
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| wrong(name, format!("“{text}” is no address with a port"), example))
}

/// An origin: https, or http on this very machine; no path, query or credentials.
pub(super) fn origin(name: &'static str, text: &str, example: &'static str) -> Result<Url, WrongSetting> {
    // What stands before an @ may be a password.
    let shown = text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, host)| format!("…@{host}"));
    let url = Url::parse(text).map_err(|_| wrong(name, format!("“{shown}” is no URL"), example))?;
    let loopback = match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err(wrong(name, format!("“{shown}” is not https"), example));
    }
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(name, "is more than an origin (scheme, host and port)", example));
    }
    Ok(url)
}

/// `2s`, `15m`, `24h`, `7d`; at least one second.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}
