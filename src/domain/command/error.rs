//! What can be wrong with a command. The sentences for people are in `view::help`.

use std::fmt;

use crate::domain::command::{CommandName, OptionName};

/// Characters of what was understood that a mistake carries.
pub(crate) const UNDERSTOOD_CHARS_MAX: usize = 60;

/// Characters of the wrong place that a mistake carries.
pub(crate) const EXCERPT_CHARS_MAX: usize = 24;

/// A command that cannot be carried out, with the place where the reading stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    pub kind: CommandErrorKind,
    /// The command word, once it was understood.
    pub command: Option<CommandName>,
    /// The part that was understood, at most about 60 characters; may be empty.
    pub understood: String,
    /// The character where the wrong part begins, counted in the message as it is shown (mentions as names, the
    /// paragraphs of a rich text joined by line breaks). `None` where something is missing at the end.
    pub at: Option<usize>,
    /// The wrong part, shortened; empty where something is missing at the end.
    pub excerpt: String,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandErrorKind {
    /// No slash at the start: ordinary talk.
    NotACommand,
    Unknown {
        typed: String,
        suggestion: Option<CommandName>,
    },
    MissingTargets,
    /// No content, where neither a reply nor a template provides one. The parser cannot know and never says it:
    /// see [`CommandError::missing_content`].
    MissingContent,
    /// `销售部,,市场部` or `销售部, `: a separator with nothing on one side.
    EmptyTarget,
    /// `销售部, 市场部 内容`: two targets, or one and a content?
    BlankBesideSeparator {
        between: Box<Neighbours>,
    },
    /// `@张三 @李四 内容`: two targets, or one and a content?
    SeparatorMissing {
        between: Box<Neighbours>,
    },
    UnclosedQuote,
    /// `"销售部"市场部`: something goes on right after a closing quote.
    GluedToQuote,
    UnknownOption {
        typed: String,
        suggestion: Option<OptionName>,
    },
    OptionNeedsValue {
        option: OptionName,
    },
    RepeatedOption {
        option: OptionName,
    },
    /// `--template` together with `--card`.
    OptionsClash,
    /// An option that stands after the targets would be sent as content.
    OptionAfterTargets {
        option: OptionName,
    },
    BadVariable {
        typed: String,
        why: VariableFault,
    },
    BadBroadcastId {
        typed: String,
    },
    MissingKeyword,
    MissingId,
    BadTarget {
        typed: String,
        why: TargetFault,
    },
    TooManyTargets,
    BadListFilter {
        typed: String,
    },
    /// Something follows where the command ends.
    UnexpectedRest,
}

/// Two words of which it is not clear whether both are targets, as typed, shortened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbours {
    pub left: String,
    pub right: String,
}

/// What is wrong with a `--var`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableFault {
    /// No `=` in it.
    NoEquals,
    NoName,
    /// The same name was given before.
    Twice,
    WithoutTemplate,
}

/// What is wrong with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetFault {
    /// `@张三` typed by hand: it says who only when picked from Feishu's list.
    NotAMention,
    /// A mention without any id, such as somebody of another company.
    NobodyKnown,
    /// Begins like an id and goes on with what no id contains, or with nothing.
    BadId,
    /// The id of a chat, a message, a broadcast or an app.
    WrongKindOfId,
    /// `dept:0`: Feishu sends nothing to the root.
    RootDepartment,
    /// `华东//销售部`, `/销售部`.
    EmptyPathPart,
    /// `销售部;市场部`.
    WrongSeparator,
    /// A quote in the middle of a word: `销售部"一组`.
    StrayQuote,
    TooLong,
}

impl CommandError {
    /// The mistake of a broadcast without content. `understood` is what to show, e.g. the targets as typed.
    pub fn missing_content(understood: &str) -> Self {
        Self {
            kind: CommandErrorKind::MissingContent,
            command: Some(CommandName::Broadcast),
            understood: shorten(understood, UNDERSTOOD_CHARS_MAX),
            at: None,
            excerpt: String::new(),
        }
    }

    /// Whether this is ordinary talk rather than a mistake in a command.
    pub fn is_talk(&self) -> bool {
        self.kind == CommandErrorKind::NotACommand
    }
}

/// For logs: the kind of mistake and its place, nothing of what was said.
impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = format!("{:?}", self.kind);
        let kind = kind.split([' ', '(', '{']).next().unwrap_or_default();
        match self.at {
            Some(at) => write!(f, "not a valid command: {kind} at character {at}"),
            None => write!(f, "not a valid command: {kind}"),
        }
    }
}

impl std::error::Error for CommandError {}

/// The text on one line, at most `chars_max` characters, the last an ellipsis if it was cut.
pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    if text.chars().count() <= chars_max {
        return text;
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}
