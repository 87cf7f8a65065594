//! What is wrong, or worth a second look, in a content before anyone is asked to approve it.
//!
//! A [`CardFault`] is final: Feishu would refuse the card, or its buttons would lead nowhere. A [`Finding`] is a
//! guess about words: it never refuses anything, and at most asks the author to say that it is meant.
//!
//! Judged from values alone: whether an image belongs to the bot, or how long a request is, is somebody else's
//! question. The sentences for people are in `view::lint`.

use serde::{Deserialize, Serialize};

use super::content::Content;

pub mod card;
pub mod words;

/// Characters of what was found that a fault or a finding carries.
const FOUND_CHARS_MAX: usize = 40;

/// Which of Feishu's two card languages a card is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardVersion {
    /// `elements` at the top; no `schema`, or `"1.0"`.
    One,
    /// `"schema": "2.0"` and `body.elements`.
    Two,
}

/// What must be known of a card that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardFacts {
    pub version: CardVersion,
    /// The first title, in Chinese where there are several languages.
    pub title: Option<String>,
    /// Every image key with the place where it stands. Keys of other apps must be replaced before sending.
    pub image_keys: Vec<(String, String)>,
    /// Everything a person will read or follow, in reading order.
    pub texts: Vec<CardText>,
}

/// One text of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardText {
    /// The place of the text in the card.
    pub path: String,
    pub text: String,
    pub form: TextForm,
}

/// What becomes of a text on the way to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextForm {
    /// Arrives as it was typed.
    Plain,
    /// Feishu turns its marks into bold, links, mentions and so on.
    Markdown,
    /// The address of a link.
    Address,
}

/// A card that cannot be sent, and the first place that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardFault {
    /// The place in the card, e.g. `body.elements[3].columns[0].elements[1].tag`; empty for the card as a whole.
    pub path: String,
    pub why: CardFaultKind,
    /// What stands there, shortened; empty where something is missing.
    pub found: String,
}

/// A place in a text, both counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPlace {
    pub line: usize,
    pub column: usize,
}

/// Why a card cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardFaultKind {
    /// The text stops making sense as JSON here.
    NotJson {
        at: TextPlace,
    },
    /// The text ends in the middle of the JSON: most often a bracket or a quote is missing.
    EndsEarly {
        at: TextPlace,
    },
    /// `“` or `”` where JSON wants `"`: chat programs and word processors put them there.
    SmartQuotes {
        at: TextPlace,
    },
    /// JSON, but no card: a number, a list, a message of another type.
    NotACard,
    /// Nothing in it that anyone would see.
    Empty,
    /// Something beside the wrapped card that this program would have to ignore, such as recipients.
    BesideCard,
    /// `schema` is neither `"1.0"` nor `"2.0"`.
    UnknownSchema,
    /// `body` without `"schema": "2.0"`.
    SchemaMissing,
    /// `elements` (1.0) and `body` (2.0) in one card.
    BothVersions,
    /// A 2.0 card whose `elements` stand outside of `body`.
    NeedsBody,
    /// A property that must be there.
    Missing,
    WrongType {
        wanted: JsonType,
    },
    /// 2.0 refuses the whole card for one property that it does not know.
    UnknownProperty,
    UnknownTag,
    /// `action` and `note` exist in 1.0 only.
    OldTag,
    /// A 1.0 button at the root, which must stand inside `{"tag": "action"}`.
    OutsideAction,
    /// A table inside of something, a column outside of a `column_set`, something else inside of one.
    Misplaced,
    /// Containers inside containers, or JSON inside JSON, beyond what is read.
    TooDeep,
    TooMany {
        what: Counted,
        most: usize,
    },
    /// Not a letter followed by letters, digits and underscores, 20 at most.
    BadElementId,
    RepeatedElementId,
    /// `update_multi: false`, which 2.0 does not have.
    NotShared,
    /// A row of a table has a key that no column has.
    NoSuchColumn,
    /// A value that is none of those that Feishu lists.
    BadValue {
        allowed: &'static [&'static str],
    },
    /// A text longer than its place takes, in characters.
    TooLong {
        most: usize,
    },
    /// An address that is not http or https.
    BadLink,
    /// A file that only counts if the bot uploaded it, which it cannot.
    NeedsOwnFile,
    /// Pressing it would call back. Source: FAQ of cards, "cards sent in batches do not support callbacks".
    CallsBack,
}

/// What a place in a card must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    Object,
    List,
    Text,
}

/// What Feishu counts in a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    Elements,
    Tables,
    HeaderTags,
    Columns,
}

/// Something in the words that may not be meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// What was found, shortened; secrets and numbers of people are masked.
    pub excerpt: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// `{{name}}`, `${name}`, `XX月XX日`: a gap of a template that nobody filled.
    Placeholder,
    /// A password, a key or a token.
    Credential,
    /// The number of an identity card or a bank card.
    IdNumber,
    /// A card mentions everyone who gets it.
    EveryoneMention,
    /// A plain text says so, where it mentions nobody.
    EveryoneInText,
    /// A card mentions somebody: everyone who gets it sees the name, and the person may be notified.
    PersonMention,
    /// `<b>`, `**bold**`, `~~x~~` in a plain text: they arrive as typed.
    StyleDropped,
    /// Headings, code fences, tables or images of Markdown in a plain text: they arrive as typed.
    MarkdownInText,
}

/// What a finding asks of the author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Shown in the preview; nothing has to be done.
    Note,
    /// Approvers are not asked before the author has confirmed that it is meant.
    MustConfirm,
}

/// How much a kind of finding weighs.
pub fn severity(kind: FindingKind) -> Severity {
    match kind {
        FindingKind::Placeholder | FindingKind::Credential | FindingKind::IdNumber | FindingKind::EveryoneMention => {
            Severity::MustConfirm
        }
        FindingKind::EveryoneInText
        | FindingKind::PersonMention
        | FindingKind::StyleDropped
        | FindingKind::MarkdownInText => Severity::Note,
    }
}

/// On one line, at most [`FOUND_CHARS_MAX`] characters, the last an ellipsis if it was cut.
fn shortened(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .filter(|c| !c.is_control() || c.is_whitespace())
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .take(FOUND_CHARS_MAX + 1)
        .collect();
    if shown.chars().count() > FOUND_CHARS_MAX {
        shown = shown.chars().take(FOUND_CHARS_MAX - 1).collect();
        shown.push('…');
    }
    shown
}
/// What in a content may not be meant.
pub fn of(content: &Content) -> Vec<Finding> {
    match content {
        Content::Card(card) => match card::check(card) {
            Ok(facts) => words::findings_in_card(&facts),
            Err(_) => Vec::new(),
        },
        other => words::findings(&other.words()),
    }
}

/// Whether the author must say first that something in the content is meant.
pub fn must_be_confirmed(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| severity(finding.kind) == Severity::MustConfirm)
}
