//! What a person said, as a [`Command`] or a mistake with a place in it.
//!
//! Pure: a message goes in, a value comes out; names are not looked up here. The parser is kind about form (full-width
//! characters, aliases, any quotes, the long dashes phones make of `--`) and strict about meaning: where a sentence
//! could be read as addressing fewer or other people than its author thinks, it is refused with what was understood
//! and an example, never guessed. Everything works on pieces ([`crate::domain::content::pieces`]), never on bytes.
//!
//! `/broadcast [options] TARGETS CONTENT` is read from left to right: [`name`] the command word, [`options`] what
//! begins with `--`, [`targets`] the list, and [`line`] cuts the content out of the message.

use serde::{Deserialize, Serialize};

use crate::domain::content::{Body, Content, Mention};
use crate::domain::ids::{BroadcastId, DepartmentId, OpenId, UnionId, UserId};

mod arguments;
mod error;
mod line;
mod name;
mod options;
mod quotes;
mod target;
mod targets;

pub use error::{CommandError, CommandErrorKind, Neighbours, TargetFault, VariableFault};
pub use name::CommandName;
pub use options::OptionName;
pub use targets::TARGETS_MAX;

pub(in crate::domain) use error::{EXCERPT_CHARS_MAX, shorten};
pub(in crate::domain) use target::{Sight, lone};

use line::Line;

/// One message to the bot. `mentions` belong to `body`; `bot` is the bot's own open_id where it is known.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    pub body: &'a Body,
    pub mentions: &'a [Mention],
    pub bot: Option<&'a OpenId>,
}

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Broadcast(BroadcastRequest),
    Status(Option<BroadcastId>),
    List(ListFilter),
    Cancel(BroadcastId),
    /// All of it, or the batch of that number, from 1.
    Recall(BroadcastId, Option<u32>),
    /// The keyword, never blank.
    Departments(String),
    Login,
    Logout,
    WhoAmI,
    Check,
    Help(Option<CommandName>),
}

impl Command {
    pub fn name(&self) -> CommandName {
        match self {
            Command::Broadcast(_) => CommandName::Broadcast,
            Command::Status(_) => CommandName::Status,
            Command::List(_) => CommandName::List,
            Command::Cancel(_) => CommandName::Cancel,
            Command::Recall(..) => CommandName::Recall,
            Command::Departments(_) => CommandName::Departments,
            Command::Login => CommandName::Login,
            Command::Logout => CommandName::Logout,
            Command::WhoAmI => CommandName::WhoAmI,
            Command::Check => CommandName::Check,
            Command::Help(_) => CommandName::Help,
        }
    }
}

/// A broadcast as asked for; nothing is looked up yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BroadcastRequest {
    /// At least one, at most [`TARGETS_MAX`], each once, in the order they were typed.
    pub targets: Vec<Target>,
    pub options: BroadcastOptions,
    /// `None` where nothing was written after the targets: the replied-to message, or a template, is the content.
    pub content: Option<Content>,
}

/// What stood before the targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BroadcastOptions {
    /// The time as typed, in plain ASCII where full-width characters were used; not checked here.
    pub at: Option<String>,
    /// Excludes `card` and any content.
    pub template: Option<String>,
    /// Names are unique and not empty. Only with a template.
    pub vars: Vec<(String, String)>,
    pub card: bool,
    pub dry_run: bool,
}

/// One word of TARGETS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A department's name.
    Name(String),
    /// Names from the top down, at least two.
    Path(Vec<String>),
    Department(DepartmentId),
    OpenId(OpenId),
    UnionId(UnionId),
    UserId(UserId),
    Mention {
        open_id: OpenId,
        name: String,
    },
    Email(String),
    /// Digits only, with a leading `+` where one was typed.
    Phone(String),
    /// The whole company.
    Everyone,
    /// The list in the replied-to file.
    File,
}

/// Which broadcasts to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListFilter {
    /// No filter was typed: the recent ones.
    #[default]
    Recent,
    Pending,
    Scheduled,
    All,
}

/// Reads a message as a command.
///
/// # Errors
/// What was understood, what is wrong and where. [`CommandErrorKind::NotACommand`] is ordinary talk.
pub fn parse(said: &Said<'_>) -> Result<Command, CommandError> {
    let mut line = Line::new(said);
    let name = name::read(&mut line)?;
    Ok(match name {
        CommandName::Broadcast => Command::Broadcast(broadcast(&mut line)?),
        CommandName::Status => Command::Status(arguments::broadcast_id(&mut line)?),
        CommandName::List => Command::List(arguments::list_filter(&mut line)?),
        CommandName::Cancel => Command::Cancel(arguments::needed_broadcast_id(&mut line)?),
        CommandName::Recall => {
            let (id, batch) = arguments::broadcast_and_batch(&mut line)?;
            Command::Recall(id, batch)
        }
        CommandName::Departments => Command::Departments(arguments::keyword(&mut line)?),
        CommandName::Login => arguments::nothing(&mut line).map(|()| Command::Login)?,
        CommandName::Logout => arguments::nothing(&mut line).map(|()| Command::Logout)?,
        CommandName::WhoAmI => arguments::nothing(&mut line).map(|()| Command::WhoAmI)?,
        CommandName::Check => arguments::nothing(&mut line).map(|()| Command::Check)?,
        CommandName::Help => Command::Help(arguments::topic(&mut line)?),
    })
}

fn broadcast(line: &mut Line<'_>) -> Result<BroadcastRequest, CommandError> {
    let options = options::read(line)?;
    let targets = targets::read(line)?;
    line.skip_to_content();
    if let Some((option, end)) = options::known_at(line) {
        return Err(line.error(CommandErrorKind::OptionAfterTargets { option }, line.here(), end));
    }
    let content = if options.card { line.rest_raw() } else { line.rest() };
    if options.template.is_some() && content.is_some() {
        return Err(line.error(CommandErrorKind::UnexpectedRest, line.here(), line.end()));
    }
    Ok(BroadcastRequest { targets, options, content })
}

/// Full-width ASCII (`／`, `Ａ`, `　`) as its plain twin; everything else unchanged.
pub fn half_width(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        '\u{3000}' => ' ',
        _ => c,
    }
}

/// A word as commands and options are compared: half-width, lower case, without unseen characters.
fn folded(word: &str) -> String {
    word.chars()
        .filter(|c| !crate::domain::content::pieces::is_unseen(*c))
        .map(half_width)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests;
