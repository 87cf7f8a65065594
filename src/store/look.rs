//! A look at a database, beside a running bot or without one: without the lock of [`super::life`], without migrating
//! and without writing.

use std::path::PathBuf;

use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, Connection, Row};

use super::{Engine, MIGRATOR, StoreError, life};
use crate::domain::check::Database;

/// A database that is not of this program's version, or not there.
#[derive(Debug)]
pub(super) enum Unfit {
    Missing(PathBuf),
    Empty,
    Newer { found: i64, known: i64 },
}

/// Opens the database at `url` for reading; says of which version it is.
pub(super) async fn open(url: &str) -> Result<Result<(AnyConnection, i64), Unfit>, StoreError> {
    install_default_drivers();
    let engine = Engine::of(url);
    if let Some(path) = life::database_path(url).filter(|path| engine == Engine::Sqlite && !path.exists()) {
        return Ok(Err(Unfit::Missing(path)));
    }
    // Here nobody is there to try again: the database's own words say most.
    let connecting = AnyConnection::connect(&read_only(engine, url)).await;
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

/// How the database at `url` is.
pub async fn look(url: &str) -> Database {
    match open(url).await {
        Ok(Ok((connection, found))) => {
            // It was only looked at; how the farewell goes does not matter.
            let _closed = connection.close().await;
            if let Some(path) = life::database_path(url).filter(|_| Engine::of(url) == Engine::Sqlite)
                && let Err(error) = std::fs::OpenOptions::new().append(true).open(&path)
            {
                return Database::Broken { said: format!("{} cannot be written: {error}", path.display()) };
            }
            match known() {
                known if found < known => Database::Older { found, known },
                _ => Database::Ready { version: found },
            }
        }
        Ok(Err(Unfit::Missing(path))) => match path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            Some(directory) if !directory.is_dir() => {
                Database::Broken { said: format!("there is no directory {}", directory.display()) }
            }
            _ => Database::New,
        },
        Ok(Err(Unfit::Empty)) => Database::New,
        Ok(Err(Unfit::Newer { found, known })) => Database::Newer { found, known },
        Err(error) => Database::Broken { said: error.to_string() },
    }
}

/// The address of a database that is only to be read. On SQLite whatever it said about how to open it is replaced.
fn read_only(engine: Engine, url: &str) -> String {
    if engine == Engine::Postgres {
        return url.to_owned();
    }
    let (file, options) = url.split_once('?').unwrap_or((url, ""));
    let kept = options.split('&').filter(|option| !option.is_empty() && !option.starts_with("mode="));
    let options: Vec<&str> = kept.chain(["mode=ro"]).collect();
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
            assert_eq!(read_only(Engine::of(url), url), expect);
        }
    }
}
