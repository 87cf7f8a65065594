//! Files that the bot sends: what is too long for a card or a message. A letter only says which one is meant; the file
//! is made when the letter leaves, from what the store holds then.

use serde::{Deserialize, Serialize};

use super::App;
use crate::domain::ids::BroadcastId;
use crate::domain::language::Language;
use crate::domain::report::Report;
use crate::feishu::error::CallError;
use crate::store::StoreError;
use crate::view::{content, sheets};

/// A file that a letter stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub what: What,
    pub broadcast: BroadcastId,
    pub language: Language,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Every target.
    Targets,
    /// Every id that Feishu called invalid.
    Invalid,
}

impl What {
    pub fn as_str(self) -> &'static str {
        match self {
            What::Targets => "targets",
            What::Invalid => "invalid",
        }
    }
}

/// Why a file did not come about.
#[derive(Debug, thiserror::Error)]
pub enum NoFile {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Feishu(#[from] CallError),
}

/// Whether a letter only says which file is meant.
pub fn is_to_be_made(letter: &str) -> bool {
    serde_json::from_str::<Attachment>(letter).is_ok()
}

/// Makes the file a letter stands for and uploads it: the content of the message. `None` where nothing is there that it
/// could be made of.
pub async fn upload(app: &App, letter: &str) -> Result<Option<String>, NoFile> {
    let Ok(attachment) = serde_json::from_str::<Attachment>(letter) else { return Ok(None) };
    let Attachment { what, broadcast, language } = &attachment;
    let (name, bytes) = match what {
        What::Targets => {
            let audience = app.store.begin().await?.audience(broadcast).await?;
            (sheets::targets_name(broadcast), sheets::targets(&audience, *language))
        }
        What::Invalid => {
            let report = Report::of(&app.store.batches(broadcast).await?);
            (sheets::invalid_name(broadcast), sheets::invalid(&report, *language))
        }
    };
    let file_key = app.feishu.upload_file(app.now(), name.in_(*language), bytes).await?;
    Ok(Some(serde_json::json!({ "file_key": file_key }).to_string()))
}

/// What is said in place of a file that Feishu does not take; `None` where it answered without a code, and in the same
/// cases as above.
pub fn refused(letter: &str, error: &CallError) -> Option<String> {
    let attachment: Attachment = serde_json::from_str(letter).ok()?;
    let why = content::refusal(error.code()?, &error.scopes().iter().map(String::as_str).collect::<Vec<_>>());
    let said = match attachment.what {
        What::Targets => sheets::no_targets(&attachment.broadcast, &why),
        What::Invalid => sheets::no_invalid(&attachment.broadcast, &why),
    };
    Some(said.in_(attachment.language).to_owned())
}
