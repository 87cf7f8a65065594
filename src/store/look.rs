//! A look at a database, beside a running bot or without one: without the lock of [`super::life`], without migrating
//! and without writing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, Connection, Row};

use super::{Engine, MIGRATOR, Store, StoreError, life};
use crate::domain::check::Database;

/// How long a database server may take to answer.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// A database that is not of this program's version, or not there.
#[derive(Debug)]
pub(super) enum Unfit {
    Missing(PathBuf),
    Empty,
    Newer { found: i64, known: i64 },
}

/// Opens the database at `url` for reading; says of which version it is. `at_rest`: nobody else works on it.
pub(super) async fn open(url: &str, at_rest: bool) -> Result<Result<(AnyConnection, i64), Unfit>, StoreError> {
    install_default_drivers();
    let engine = Engine::of(url);
    if let Some(path) = life::database_path(url).filter(|path| engine == Engine::Sqlite && !path.exists()) {
        return Ok(Err(Unfit::Missing(path)));
    }
    // Here nobody is there to try again: the database's own words say most.
    let connecting = AnyConnection::connect(&read_only(engine, url, at_rest)).await;
    let mut connection = connecting.map_err(StoreError::Database)?;
    let has_versions = match engine {
        Engine::Sqlite => "select 1 from sqlite_master where name = '_sqlx_migrations'",
        Engine::Postgres => "select 1 from pg_class where oid = to_regclass('_sqlx_migrations')",
    };
    let versions = sqlx::query(has_versions).fetch_optional(&mut connection).await.map_err(StoreError::Database)?;
    if versions.is_none() {
        return Ok(Err(Unfit::Empty));
    }
    let newest = sqlx::query("select coalesce(max(version), 0) as version from _sqlx_migrations");
    let newest = newest.fetch_one(&mut connection).await.map_err(StoreError::Database)?;
    let (found, known): (i64, i64) = (newest.try_get("version")?, known());
    Ok(match found {
        0 => Err(Unfit::Empty),
        found if found > known => Err(Unfit::Newer { found, known }),
        found => Ok((connection, found)),
    })
}

/// The newest version that this program knows.
fn known() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// How the database at `url` is, for a process that does not work on it: see [`Store::look`] for the one that does.
pub async fn look(url: &str) -> Database {
    let file = life::database_path(url).filter(|_| Engine::of(url) == Engine::Sqlite);
    if let Some(said) = file.as_deref().and_then(no_room) {
        return Database::Broken { said };
    }
    let found = match tokio::time::timeout(LOOK_MAX, open(url, file.as_deref().is_some_and(at_rest))).await {
        Ok(found) => found,
        Err(_) => return Database::Broken { said: format!("no answer within {} s", LOOK_MAX.as_secs()) },
    };
    match found {
        Ok(Ok((connection, found))) => {
            // It was only looked at; how the farewell goes does not matter.
            let _closed = connection.close().await;
            match known() {
                known if found < known => Database::Older { found, known },
                _ => Database::Ready { version: found },
            }
        }
        Ok(Err(Unfit::Missing(_) | Unfit::Empty)) => Database::New,
        Ok(Err(Unfit::Newer { found, known })) => Database::Newer { found, known },
        Err(error) => Database::Broken { said: error.to_string() },
    }
}

impl Store {
    /// The same for the process that works on it, by its own connection. It never opens the file a second time: closing
    /// that would give up the locks that SQLite holds on it for the whole process.
    pub async fn look(&self) -> Database {
        match self.version().await {
            Ok(_) if !self.takes_writes() => Database::Broken { said: "it takes no writes".into() },
            Ok(version) => Database::Ready { version },
            Err(error) => Database::Broken { said: error.to_string() },
        }
    }

    async fn version(&self) -> Result<i64, StoreError> {
        let newest = sqlx::query("select max(version) as version from _sqlx_migrations");
        Ok(newest.fetch_one(&mut *self.reader().await?).await?.try_get("version")?)
    }
}

/// Whether nobody works on this file, nor died over it: then it is read without the files that SQLite would lay beside it,
/// which would belong to whoever looks.
fn at_rest(file: &Path) -> bool {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    file.exists() && !Path::new(&log).exists()
}

/// Why the database's own files cannot be made beside it; SQLite needs some.
fn no_room(file: &Path) -> Option<String> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Some(format!("there is no directory {}", directory.display()));
    }
    let trial = directory.join(format!(".feishu-broadcast-check-{}", std::process::id()));
    let made = std::fs::File::options().write(true).create_new(true).open(&trial);
    match made.and_then(|_| std::fs::remove_file(&trial)) {
        Ok(()) => None,
        Err(error) => Some(format!("no file can be made in {}: {error}", directory.display())),
    }
}

/// The address of a database that is only to be read. On SQLite whatever it said about how to open it is replaced.
fn read_only(engine: Engine, url: &str, at_rest: bool) -> String {
    if engine == Engine::Postgres {
        return url.to_owned();
    }
    let (file, options) = url.split_once('?').unwrap_or((url, ""));
    let kept = options.split('&').filter(|option| !option.is_empty() && !option.starts_with("mode="));
    let options: Vec<&str> = kept.chain(["mode=ro"]).chain(at_rest.then_some("immutable=true")).collect();
    format!("{file}?{}", options.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_for_reading_whatever_the_address_says() {
        for (url, expect) in [
            ("sqlite://bot.db", "sqlite://bot.db?mode=ro"),
            ("sqlite:///var/bot.db?mode=rwc", "sqlite:///var/bot.db?mode=ro"),
            ("sqlite://bot.db?mode=rw&cache=shared", "sqlite://bot.db?cache=shared&mode=ro"),
        ] {
            assert_eq!(read_only(Engine::of(url), url, false), expect);
            assert_eq!(read_only(Engine::of(url), url, true), format!("{expect}&immutable=true"));
        }
    }
}
