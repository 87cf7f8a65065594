//! What no card has room for follows as messages and files of its own: every target, and the whole content.

use super::App;
use super::attachments::{Attachment, What};
use super::letters::{text_content, uuid};
use crate::domain::audience::Audience;
use crate::domain::broadcast::Broadcast;
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::language::Language;
use crate::domain::plan;
use crate::store::letters::{Letter, Receiver};
use crate::store::{StoreError, Tx};
use crate::view::{answers, cards, content as said, lists};

/// Targets and content that a card has no room for, for one of its readers in their language.
pub async fn send(
    app: &App,
    tx: &mut Tx,
    broadcast: &Broadcast,
    audience: &Audience,
    person: &OpenId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let asked_in = (*person == broadcast.author).then_some(broadcast.origin.language);
    let language = tx.language_of(person).await?.or(asked_in);
    if audience.ids() > TARGETS_AS_TEXT_MAX {
        let mut file = attached(What::Targets, broadcast, Receiver::Person(person.clone()));
        if let Some(language) = language {
            file.content = attachment(What::Targets, broadcast, language);
        }
        tx.post(&file, now).await?;
    } else if !cards::lists_every_target(broadcast, &app.zone) {
        let parts = parts_of(&lists::all_targets(audience).said(language));
        for (number, part) in parts.iter().enumerate() {
            let heading = answers::all_targets(&broadcast.id, number + 1, parts.len()).said(language);
            tx.post(&in_full("targets", &heading, broadcast, person, part, number), now).await?;
        }
    }
    let whole = broadcast.content.plain();
    if whole.chars().count() > cards::CONTENT_LETTERS_MAX {
        let parts = parts_of(&whole);
        for (number, part) in parts.iter().enumerate() {
            let heading = said::full(&broadcast.id, number + 1, parts.len()).said(language);
            tx.post(&in_full("content", &heading, broadcast, person, part, number), now).await?;
        }
    }
    Ok(())
}

/// Targets that follow as text where a card has no room for them; more of them follow as a file.
const TARGETS_AS_TEXT_MAX: usize = 200;

/// A file about a broadcast, for one person or chat.
pub fn attached(what: What, broadcast: &Broadcast, receiver: Receiver) -> Letter {
    let to = match &receiver {
        Receiver::Chat(chat) => chat.as_str().to_owned(),
        Receiver::Person(person) => person.as_str().to_owned(),
    };
    Letter {
        uuid: uuid(&["file", what.as_str(), broadcast.id.as_str(), &to, &broadcast.version.to_string()]),
        receiver,
        reply_to: None,
        msg_type: "file",
        content: attachment(what, broadcast, broadcast.origin.language),
    }
}

fn attachment(what: What, broadcast: &Broadcast, language: Language) -> String {
    let attachment = Attachment { what, broadcast: broadcast.id.clone(), language };
    serde_json::to_string(&attachment).expect("words and ids are always JSON")
}

/// Bytes of a part of a content on its way to a reader: the size of a text message, less its heading and its frame.
const PART_BYTES_MAX: usize = plan::TEXT_BODY_BYTES_MAX - 2048;

/// Cuts a content into as few parts as fit into a message each. What is one byte in the broadcast may be two here,
/// because the text of a message is JSON within JSON.
fn parts_of(whole: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut bytes = 0;
    for letter in whole.chars() {
        let cost = match letter {
            '"' | '\\' => 4,
            '\n' | '\t' => 3,
            other => other.len_utf8(),
        };
        if bytes + cost > PART_BYTES_MAX {
            parts.push(String::new());
            bytes = 0;
        }
        bytes += cost;
        parts.last_mut().expect("there is always a part").push(letter);
    }
    parts
}

/// What is too long for a card follows as messages, whole.
fn in_full(what: &str, heading: &str, broadcast: &Broadcast, person: &OpenId, part: &str, number: usize) -> Letter {
    let (version, number) = (broadcast.version.to_string(), number.to_string());
    Letter {
        uuid: uuid(&[what, broadcast.id.as_str(), person.as_str(), &version, &number]),
        receiver: Receiver::Person(person.clone()),
        reply_to: None,
        msg_type: "text",
        content: text_content(&format!("{heading}\n{part}")),
    }
}
