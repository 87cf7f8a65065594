//! The audit chain in the database: rows are only ever appended, at the end of the transaction that did what they tell.
//!
//! The head is locked last of all and until the commit, so that transactions queue at it in no particular order and
//! never wait for each other in a ring. Before it is moved on its seal is looked at: a head that was changed by hand
//! would otherwise be made good by the next row. What was found then stands in the chain for good.
//!
//! Verification and export read on a connection of their own, without the lock of [`super::life`], without migrating and
//! without writing: beside a running bot.

use std::path::PathBuf;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row as _};

use super::look::{self, Unfit};
use super::signing::{Signing, Turn};
use super::{Engine, Store, StoreError, Tx};
use crate::domain::audit::chain::{ChainKey, Head};
use crate::domain::audit::{Deed, Entry, Row};
use crate::domain::ids::{BroadcastId, Timestamp};

/// Rows that are read at a time: about half a megabyte.
const PAGE: i64 = 1000;

/// The migration that made the table.
const SINCE: i64 = 5;

/// What does not belong to the story of a broadcast: its calls, of which there may be hundreds and which its report adds
/// up, and what changed nothing.
const BESIDE: [Deed; 5] = [Deed::Called, Deed::Answered, Deed::RecallAnswered, Deed::SampleCalled, Deed::Refused];

const COLUMNS: &str = "seq, at, broadcast, actor, deed, version, fingerprint, detail, key_id, mac";

impl Tx {
    /// Has something written down when this transaction is committed, and only then.
    pub fn record(&mut self, entry: Entry) {
        self.entries.push(entry);
    }
}

impl Store {
    /// Begins the chain, or says in it that another key is in use from here on, where that is so.
    pub async fn begin_chain(&self, now: Timestamp) -> Result<Head, StoreError> {
        let mut tx = self.begin().await?;
        let head = append(&mut tx.inner, &self.chain, &[], now).await?;
        tx.commit().await?;
        Ok(head)
    }

    /// The newest rows that tell the story of a broadcast, at most `max`, oldest first. Calls and refusals are left out.
    pub async fn story(&self, broadcast: &BroadcastId, max: usize) -> Result<Vec<Row>, StoreError> {
        let statement = format!(
            "select {COLUMNS} from audit where broadcast = $1 and deed not in ($2, $3, $4, $5, $6)
             order by seq desc limit $7"
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(broadcast.as_str());
        for deed in BESIDE {
            query = query.bind(deed.as_str());
        }
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = query.bind(max).fetch_all(&mut *self.reader().await?).await?;
        rows.iter().rev().map(read).collect()
    }
}

fn read(row: &AnyRow) -> Result<Row, StoreError> {
    Ok(Row {
        seq: row.try_get("seq")?,
        at: Timestamp(row.try_get("at")?),
        broadcast: row.try_get("broadcast")?,
        actor: row.try_get("actor")?,
        deed: row.try_get("deed")?,
        version: row.try_get("version")?,
        fingerprint: row.try_get("fingerprint")?,
        detail: row.try_get("detail")?,
        key_id: row.try_get("key_id")?,
        mac: row.try_get("mac")?,
    })
}

fn read_head(row: &AnyRow) -> Result<Head, StoreError> {
    Ok(Head {
        seq: row.try_get("seq")?,
        mac: row.try_get("mac")?,
        key_id: row.try_get("key_id")?,
        seal: row.try_get("seal")?,
    })
}

/// Appends entries under the lock of the head, and before them whatever has to be said of the head itself. Returns the
/// new head.
pub(super) async fn append(
    connection: &mut AnyConnection,
    signing: &Signing,
    entries: &[Entry],
    now: Timestamp,
) -> Result<Head, StoreError> {
    let found = sqlx::query(
        "update audit_head set seq = seq where id = 1
         returning seq, mac, key_id, seal, (select coalesce(max(seq), 0) from audit) as last",
    )
    .fetch_optional(&mut *connection)
    .await?;
    let head = found.as_ref().map(read_head).transpose()?;
    // Read before the lock was waited for, and so of the past; but never ahead of the head, unless by hand.
    let last: i64 = found.as_ref().map(|row| row.try_get("last")).transpose()?.unwrap_or(i64::MAX);
    let present = &signing.keys.present;
    // A row that the head does not know was put in by hand.
    let turn = match head.as_ref().filter(|head| last <= head.seq) {
        Some(head) => signing.turn(connection, head).await?,
        None => None,
    };
    let (key, before, note) = match (head, turn) {
        (Some(head), Some(Turn::GoOn(key))) => (key, head, None),
        (Some(head), Some(Turn::Change)) => {
            tracing::info!(row = head.seq, "from here on the audit chain is signed with the present SECRET_KEY");
            let note = Entry::alone(Deed::KeyChanged, now).with("from", head.key_id.as_str());
            (present, head, Some(note))
        }
        (Some(head), None) if head.seal.is_empty() && head.seq == 0 && last == 0 => {
            let row = sqlx::query("select count(*) as known from broadcasts").fetch_one(&mut *connection).await?;
            let known: i64 = row.try_get("known")?;
            (present, present.head(0, ""), Some(Entry::alone(Deed::Begun, now).with("broadcasts", known)))
        }
        (Some(head), None) if last <= head.seq && !head.seal.is_empty() && !signing.knows(&head.key_id) => {
            tracing::warn!(
                row = head.seq,
                "the audit chain was signed with another SECRET_KEY so far; from here on it is signed with this one"
            );
            let note = Entry::alone(Deed::KeyChanged, now).with("from", head.key_id.as_str());
            (present, head, Some(note))
        }
        (head, _) => {
            tracing::error!("the head of the audit chain was changed by hand; audit verify tells more");
            let said = head.map_or(0, |head| head.seq);
            let note = Entry::alone(Deed::HeadChanged, now).with("head", said);
            let newest = signing.newest();
            (newest, end(connection, newest).await?, Some(note))
        }
    };
    let nothing_new = note.is_none() && entries.is_empty();
    let mut head = before;
    for entry in note.iter().chain(entries) {
        let row = Row::of(entry, head.seq.saturating_add(1), &head.mac, key);
        insert(connection, &row).await?;
        head = key.head(row.seq, &row.mac);
    }
    if nothing_new {
        return Ok(head);
    }
    sqlx::query(
        "insert into audit_head (id, seq, mac, key_id, seal) values (1, $1, $2, $3, $4)
         on conflict (id) do update set
            seq = excluded.seq, mac = excluded.mac, key_id = excluded.key_id, seal = excluded.seal",
    )
    .bind(head.seq)
    .bind(&head.mac)
    .bind(&head.key_id)
    .bind(&head.seal)
    .execute(connection)
    .await?;
    Ok(head)
}

/// Where the rows themselves end, whatever the head says.
async fn end(connection: &mut AnyConnection, key: &ChainKey) -> Result<Head, StoreError> {
    let row = sqlx::query("select seq, mac from audit order by seq desc limit 1").fetch_optional(connection).await?;
    Ok(match row {
        Some(row) => key.head(row.try_get("seq")?, row.try_get::<&str, _>("mac")?),
        None => key.head(0, ""),
    })
}

async fn insert(connection: &mut AnyConnection, row: &Row) -> Result<(), StoreError> {
    sqlx::query(
        "insert into audit (seq, at, broadcast, actor, deed, version, fingerprint, detail, key_id, mac)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(row.seq)
    .bind(row.at.0)
    .bind(&row.broadcast)
    .bind(&row.actor)
    .bind(&row.deed)
    .bind(row.version)
    .bind(&row.fingerprint)
    .bind(&row.detail)
    .bind(&row.key_id)
    .bind(&row.mac)
    .execute(connection)
    .await?;
    Ok(())
}

/// Why a chain cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum NoChain {
    #[error("there is no database at {}", .0.display())]
    Missing(PathBuf),
    #[error("the database is empty: the bot has never been started on it")]
    Empty,
    #[error(
        "the database is of an older version ({found}; the audit chain came with {SINCE}): start the bot on it once, which brings it up to date"
    )]
    Older { found: i64 },
    #[error(
        "the database is of a newer version ({found}) than this program knows ({known}): use the program that runs on it"
    )]
    Newer { found: i64, known: i64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Rows of the chain in their order, and the head as it was at the same moment.
#[derive(Debug)]
pub struct Page {
    pub head: Option<Head>,
    pub rows: Vec<Row>,
    /// Whether more may follow.
    pub more: bool,
}

/// Reads a chain, page by page, and changes nothing.
pub struct Reader {
    connection: AnyConnection,
    engine: Engine,
}

impl Reader {
    /// Opens the database at `url` for reading.
    ///
    /// # Errors
    /// What is wrong with it: not there, never used, of another version, or not to be reached.
    pub async fn open(url: &str) -> Result<Self, NoChain> {
        match look::open(url, false).await? {
            Ok((_, found)) if found < SINCE => Err(NoChain::Older { found }),
            Ok((connection, _)) => Ok(Self { connection, engine: Engine::of(url) }),
            Err(Unfit::Missing(path)) => Err(NoChain::Missing(path)),
            Err(Unfit::Empty) => Err(NoChain::Empty),
            Err(Unfit::Newer { found, known }) => Err(NoChain::Newer { found, known }),
        }
    }

    /// The rows after row `after`.
    pub async fn page(&mut self, after: i64) -> Result<Page, StoreError> {
        let begin = match self.engine {
            Engine::Sqlite => "begin",
            // Head and rows are of one moment.
            Engine::Postgres => "begin isolation level repeatable read read only",
        };
        let mut tx = self.connection.begin_with(begin).await?;
        let head =
            sqlx::query("select seq, mac, key_id, seal from audit_head where id = 1").fetch_optional(&mut *tx).await?;
        let statement = format!("select {COLUMNS} from audit where seq > $1 order by seq limit $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(after).bind(PAGE).fetch_all(&mut *tx).await?;
        tx.rollback().await?;
        let more = i64::try_from(rows.len()).is_ok_and(|rows| rows == PAGE);
        let head = head.as_ref().map(read_head).transpose()?;
        Ok(Page { head, rows: rows.iter().map(read).collect::<Result<_, _>>()?, more })
    }
}
