//! `audit verify` and `audit export`: go through the chain, beside a running bot or without one, and change nothing.
//!
//! Both read it a page at a time, however long it is.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::audit::Row;
use crate::domain::audit::chain::{Anchor, ChainKey};
use crate::domain::audit::verify::{Finding, Verifier, time};
use crate::domain::keys::Rotating;
use crate::store::StoreError;
use crate::store::audit::{NoChain, Reader};

/// Why the chain could not be gone through.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("DATABASE_URL: {0}")]
    NoChain(#[from] NoChain),
    #[error("DATABASE_URL: {0}")]
    Store(#[from] StoreError),
    #[error("the audit cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Checks the chain in the database at `url`.
///
/// # Errors
/// The chain cannot be read. That something in it is wrong is a finding, no error.
pub async fn verify(url: &str, keys: &Rotating<ChainKey>, anchor: Option<Anchor>) -> Result<Finding, AuditError> {
    let mut reader = Reader::open(url).await?;
    let mut verifier = Verifier::new(keys, anchor);
    let mut after = i64::MIN;
    loop {
        let page = reader.page(after).await?;
        for row in page.rows {
            after = row.seq;
            if let Err(finding) = verifier.row(row, page.head.as_ref()) {
                return Ok(finding);
            }
        }
        if !page.more {
            return Ok(verifier.end(page.head.as_ref()));
        }
    }
}

/// A row as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    seq: i64,
    /// RFC 3339, UTC.
    time: String,
    at: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    broadcast: &'a str,
    /// Absent: the bot itself.
    #[serde(skip_serializing_if = "str::is_empty")]
    actor: &'a str,
    deed: &'a str,
    version: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    fingerprint: &'a str,
    /// Exactly as the MAC covers it.
    detail: Box<RawValue>,
    key_id: &'a str,
    mac: &'a str,
}

impl<'a> Line<'a> {
    fn of(row: &'a Row) -> Result<Self, serde_json::Error> {
        // Only by hand does it become anything but one line of JSON; then it is a text.
        let one_line = Some(row.detail.clone()).filter(|detail| !detail.contains('\n'));
        let detail = match one_line.map(RawValue::from_string) {
            Some(Ok(detail)) => detail,
            Some(Err(_)) | None => serde_json::value::to_raw_value(&row.detail)?,
        };
        Ok(Self {
            seq: row.seq,
            time: time(row.at),
            at: row.at.0,
            broadcast: &row.broadcast,
            actor: &row.actor,
            deed: &row.deed,
            version: row.version,
            fingerprint: &row.fingerprint,
            detail,
            key_id: &row.key_id,
            mac: &row.mac,
        })
    }
}

/// Prints the chain in the database at `url`, a row a line. Whoever reads may stop reading.
///
/// # Errors
/// The chain cannot be read, or its lines cannot be written.
pub async fn export(url: &str, out: &mut impl Write) -> Result<(), AuditError> {
    let mut reader = Reader::open(url).await?;
    let mut out = BufWriter::new(out);
    let mut after = i64::MIN;
    loop {
        let page = reader.page(after).await?;
        for row in &page.rows {
            after = row.seq;
            match print(&mut out, row) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                printed => printed?,
            }
        }
        if !page.more {
            break;
        }
    }
    match out.flush() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        flushed => Ok(flushed?),
    }
}

fn print(out: &mut impl Write, row: &Row) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line::of(row)?)?;
    out.write_all(b"\n")
}
