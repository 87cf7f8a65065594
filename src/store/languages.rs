//! The language that each person wrote in last.

use sqlx::Row;

use super::{Store, StoreError, Tx};
use crate::domain::ids::OpenId;
use crate::domain::language::Language;

const LOOK: &str = "select language from languages where person = $1";

fn read(row: Option<&sqlx::any::AnyRow>) -> Result<Option<Language>, StoreError> {
    let Some(row) = row else { return Ok(None) };
    let word: String = row.try_get("language")?;
    Language::parse(&word).map(Some).ok_or(StoreError::Unreadable(word))
}

impl Store {
    /// The language this person wrote in last; none of somebody who never wrote in one.
    pub async fn language_of(&self, person: &OpenId) -> Result<Option<Language>, StoreError> {
        let row = sqlx::query(LOOK).bind(person.as_str()).fetch_optional(&mut *self.reader().await?).await?;
        read(row.as_ref())
    }

    pub async fn remember_language(&self, person: &OpenId, language: Language) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "insert into languages (person, language) values ($1, $2)
             on conflict (person) do update set language = excluded.language",
        )
        .bind(person.as_str())
        .bind(language.as_str())
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }
}

impl Tx {
    /// The same as [`Store::language_of`], within a transaction.
    pub async fn language_of(&mut self, person: &OpenId) -> Result<Option<Language>, StoreError> {
        let row = sqlx::query(LOOK).bind(person.as_str()).fetch_optional(self.connection()).await?;
        read(row.as_ref())
    }
}
