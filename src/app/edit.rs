//! The author writes a pending text anew, on its card: the same broadcast in a new version, looked at and planned as if it
//! had just been proposed, in the transaction of the press.

use super::App;
use super::letters::{text_content, uuid};
use super::press::AFTER_ANSWER;
use crate::domain::broadcast::{Broadcast, Edit, Stale, State, remind_at};
use crate::domain::content::{Content, harmless};
use crate::domain::ids::Timestamp;
use crate::domain::{lint, plan};
use crate::store::letters::{Letter, Receiver};
use crate::store::{StoreError, Tx};
use crate::view::cards::EDIT_LETTERS_MAX;
use crate::view::toast::Toast;
use crate::view::{Text, content as said, hand};

/// Puts `typed` in the place of the content.
pub async fn edit(
    app: &App,
    tx: &mut Tx,
    before: &Broadcast,
    typed: Option<&str>,
    version: i64,
    now: Timestamp,
) -> Result<Result<Toast, Stale>, StoreError> {
    if let Err(stale) = before.may_be_edited(version, now) {
        return Ok(Err(stale));
    }
    let content = match replacement(before, typed.unwrap_or_default()) {
        Ok(content) => content,
        Err(toast) => return Ok(Ok(toast)),
    };
    let audience = tx.audience(&before.id).await?;
    let plan = before.batches(&audience);
    if let Err(too_long) = plan::measure(&content, &plan) {
        return Ok(Ok(Toast::error(said::too_long(too_long))));
    }
    let findings = lint::of(&content);
    let unaccepted = lint::must_be_confirmed(&findings);
    let edit = Edit { content, findings, unaccepted, ttl: app.policy().approval_ttl() };
    let after = match before.clone().edit(edit, &audience, version, now) {
        Ok(after) => after,
        Err(stale) => return Ok(Err(stale)),
    };
    tx.update_broadcast(&after, before.revision).await?;
    tx.drop_plan(&after.id).await?;
    let remind = (after.state == State::Pending).then(|| remind_at(now, after.deadline()));
    tx.remind(&after.id, remind).await?;
    if after.state == State::Pending {
        tx.insert_batches(&after, &audience, &plan, now).await?;
    }
    approvals_void(tx, before, &after, &hand::approval_void(&after.id), now).await?;
    tx.want_cards(&after.id, after.revision, app.now().after(AFTER_ANSWER)).await?;
    Ok(Ok(Toast::success(hand::edited(after.state, after.required > 0))))
}

/// Tells whoever had approved `before` that what they approved is no more.
pub async fn approvals_void(
    tx: &mut Tx,
    before: &Broadcast,
    after: &Broadcast,
    said: &Text,
    now: Timestamp,
) -> Result<(), StoreError> {
    for approval in &before.approvals {
        let (person, version) = (approval.by.as_str(), after.version.to_string());
        let letter = Letter {
            uuid: uuid(&["approval-void", after.id.as_str(), person, &version]),
            receiver: Receiver::Person(approval.by.clone()),
            reply_to: None,
            msg_type: "text",
            content: text_content(&said.said(tx.language_of(&approval.by).await?)),
        };
        tx.post(&letter, now).await?;
    }
    Ok(())
}

/// The new content, made as harmless as any that is typed; or why it is none.
fn replacement(before: &Broadcast, typed: &str) -> Result<Content, Toast> {
    let Content::Text(old) = &before.content else { return Err(Toast::warning(hand::only_text_is_edited())) };
    let text = harmless(typed);
    let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{200B}').to_owned();
    let letters = text.chars().count();
    match letters {
        0 => Err(Toast::error(hand::edit_empty())),
        _ if letters > EDIT_LETTERS_MAX => Err(Toast::error(hand::edit_too_long(letters, EDIT_LETTERS_MAX))),
        _ if text == *old => Err(Toast::info(hand::edit_same())),
        _ => Ok(Content::Text(text)),
    }
}
