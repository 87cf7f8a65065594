//! The bot's menu, and the word with which somebody is greeted who opens the chat: both answered by a message to the
//! person, since neither comes with a message of theirs.

use super::commands::{newest, standing};
use super::letters::{text_content, uuid};
use super::{App, Trouble};
use crate::domain::broadcast::Broadcast;
use crate::domain::command::CommandName;
use crate::domain::ids::OpenId;
use crate::domain::policy::{Action, Deed};
use crate::store::StoreError;
use crate::store::broadcasts::Which;
use crate::store::inbox::Claim;
use crate::store::letters::{Letter, Receiver};
use crate::view::{Text, answers, hand, help, story};

/// What a menu item asks for. The keys are those that README has the console given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Help,
    List,
    Pending,
    Status,
}

impl Item {
    fn of(key: &str) -> Option<Self> {
        match key.trim().to_ascii_lowercase().as_str() {
            "help" => Some(Item::Help),
            "list" => Some(Item::List),
            "pending" => Some(Item::Pending),
            "status" => Some(Item::Status),
            _ => None,
        }
    }

    /// The command of which it is a part, and whose right it takes.
    fn command(self) -> CommandName {
        match self {
            Item::Help => CommandName::Help,
            Item::List | Item::Pending => CommandName::List,
            Item::Status => CommandName::Status,
        }
    }
}

/// The desk of the menu: answers as the command would.
pub async fn desk(app: &App, claim: &Claim, person: &OpenId, key: &str) -> Result<(), Trouble> {
    let roles = app.policy().roles(person);
    let item = Item::of(key);
    let allowed = app.policy().may(person, &Deed::Command(item.map_or(CommandName::Help, Item::command)));
    if allowed.is_err() {
        // A role was taken away after the event had been accepted.
        return Ok(app.store.drop_event(claim).await?);
    }
    let said = match item {
        Some(Item::Help) => help::help(roles, None),
        Some(Item::List) => {
            let recent = app.store.recent(None, Which::All).await?;
            hand::list(&recent, &app.store.kept_back().await?, &app.zone)
        }
        Some(Item::Pending) => {
            let Waiting { own, awaiting } = waiting(app, person).await?;
            let lines = |broadcasts: &[Broadcast]| -> Vec<Text> {
                broadcasts.iter().map(|broadcast| answers::list_line(broadcast, None, &app.zone)).collect()
            };
            hand::pending(&lines(&own), &lines(&awaiting))
        }
        Some(Item::Status) => match newest(app, person).await? {
            Some(broadcast) => {
                let rows = app.store.story(&broadcast.id, story::LINES_MAX + 1).await?;
                let mut tx = app.store.begin().await?;
                let said = standing(app, &mut tx, person, &broadcast, &rows, &claim.key).await?;
                tx.commit().await?;
                said
            }
            None => answers::no_such_broadcast(None),
        },
        None => Text::lines(&[hand::unknown_item(), help::help(roles, None)]),
    };
    say(app, claim, person, &said).await
}

/// Greets somebody who opened the chat. That it is the first time today, the door has seen to.
pub async fn greet(app: &App, claim: &Claim, person: &OpenId) -> Result<(), Trouble> {
    let roles = app.policy().roles(person);
    if roles.is_stranger() {
        return Ok(app.store.drop_event(claim).await?);
    }
    let waiting = waiting(app, person).await?;
    say(app, claim, person, &hand::greeting(roles, waiting.own.len(), waiting.awaiting.len())).await
}

/// In the language that the person wrote in last, else in both.
async fn say(app: &App, claim: &Claim, person: &OpenId, text: &Text) -> Result<(), Trouble> {
    let language = app.store.language_of(person).await?;
    let letter = Letter {
        uuid: uuid(&["unasked", &claim.key]),
        receiver: Receiver::Person(person.clone()),
        reply_to: None,
        msg_type: "text",
        content: text_content(&text.said(language)),
    };
    let mut tx = app.store.begin().await?;
    tx.post(&letter, app.now()).await?;
    tx.finish_event(claim).await?;
    tx.commit().await?;
    app.wake_all();
    Ok(())
}

/// What waits on account of a person, newest first, at most as many as a list shows.
struct Waiting {
    /// Asked for by them, and not decided.
    own: Vec<Broadcast>,
    /// Theirs to decide.
    awaiting: Vec<Broadcast>,
}

async fn waiting(app: &App, person: &OpenId) -> Result<Waiting, StoreError> {
    let own = app.store.recent(Some(person), Which::Undecided).await?;
    let mut awaiting = match app.policy().roles(person).approver {
        true => app.store.recent(None, Which::Undecided).await?,
        false => vec![],
    };
    let policy = app.policy();
    let decides = |broadcast: &Broadcast| {
        policy.may(person, &Deed::Press { action: Action::Approve, of: broadcast.asked() }).is_ok()
    };
    awaiting.retain(|broadcast| broadcast.waits_for(person) && decides(broadcast));
    Ok(Waiting { own, awaiting })
}
