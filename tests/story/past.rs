//! A store with a long past answers as fast as an empty one: whatever is asked of a table that grows is found by an index,
//! or by one that holds only what is at hand.

use std::fs;

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use crate::stage::{Stage, story};

/// Tables that stay small, whatever happens: a row for each admin, list, person's language, second, day or recent press.
const SMALL: [&str; 5] = ["authorizations", "errands", "life", "sqlite_master", "pragma_database_list"];

/// Statements that read a growing table without such an index, and why that is fine.
const FINE: [(&str, &str); 2] = [
    ("select seq, mac from audit order by seq desc limit 1", "ends at the first row"),
    ("select count(*) as known from broadcasts", "asked once, where there is no chain yet"),
];

/// Names that statements give to rows of their own.
const OWN: [&str; 3] = ["people", "places", "last"];

/// Statements in a source: texts, raw ones too, that begin like one and stand for themselves.
fn statements(source: &str) -> Vec<String> {
    let mut rest = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = vec![];
    while let Some(at) = rest.find('"') {
        let end = if rest[..at].ends_with("r#") { "\"#" } else { "\"" };
        let Some((text, after)) = rest[at + 1..].split_once(end) else { break };
        let words = text.replace('\\', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        if is_a_statement(&words) && !words.contains('{') {
            found.push(words);
        }
        rest = after;
    }
    found
}

fn is_a_statement(text: &str) -> bool {
    ["select ", "with ", "update ", "delete ", "insert "].iter().any(|verb| text.starts_with(verb))
}

struct Plans {
    connection: SqliteConnection,
    /// Indices on a part of a table.
    partial: Vec<String>,
}

impl Plans {
    async fn of(stage: &Stage) -> anyhow::Result<Self> {
        let mut connection = SqliteConnection::connect(stage.database_url()).await?;
        let rows = sqlx::query("select name, sql from sqlite_master where type = 'index' and sql is not null")
            .fetch_all(&mut connection)
            .await?;
        let mut partial = vec![];
        for row in rows {
            if row.try_get::<String, _>("sql")?.split_whitespace().any(|word| word == "where") {
                partial.push(row.try_get("name")?);
            }
        }
        Ok(Self { connection, partial })
    }

    /// Steps of a statement that go through a whole table; none where the statement is not SQLite's.
    async fn scans(&mut self, statement: &str) -> Vec<String> {
        let explained = sqlx::query(AssertSqlSafe(format!("explain query plan {statement}")));
        let Ok(rows) = explained.fetch_all(&mut self.connection).await else { return vec![] };
        let steps = rows.iter().filter_map(|row| row.try_get::<String, _>("detail").ok());
        steps.filter(|step| self.is_a_scan(step)).collect()
    }

    fn is_a_scan(&self, step: &str) -> bool {
        let words: Vec<&str> = step.split(' ').collect();
        if words.contains(&"AUTOMATIC") {
            return true;
        }
        let ["SCAN", table, rest @ ..] = words.as_slice() else { return false };
        // Not a table: rows that the statement makes itself.
        if *table == "CONSTANT" || table.starts_with('(') || OWN.contains(table) || SMALL.contains(table) {
            return false;
        }
        let by = rest.iter().position(|word| *word == "INDEX").and_then(|at| rest.get(at + 1));
        !by.is_some_and(|index| self.partial.iter().any(|name| name == index))
    }
}

#[tokio::test]
async fn nothing_that_is_asked_goes_through_a_table_that_grows() {
    story(async |stage| {
        if stage.bot.app.store.engine() == feishu_broadcast::store::Engine::Postgres {
            return Ok(());
        }
        let mut plans = Plans::of(stage).await?;
        let bad = "select id from broadcasts where state = 'pending' order by id";
        assert!(!plans.scans(bad).await.is_empty(), "a scan is not told from a search");
        assert!(plans.scans("select doc from broadcasts where id = $1").await.is_empty());
        let (mut asked, mut wrong) = (0, vec![]);
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store"))? {
            let path = entry?.path();
            if path.extension().is_none_or(|kind| kind != "rs") {
                continue;
            }
            let source = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            for statement in statements(&source) {
                asked += 1;
                if FINE.iter().any(|(fine, _)| *fine == statement) {
                    continue;
                }
                for step in plans.scans(&statement).await {
                    wrong.push(format!("{}: {statement}: {step}", path.display()));
                }
            }
        }
        assert!(asked > 100, "{asked} statements are no store");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
    .await;
}
