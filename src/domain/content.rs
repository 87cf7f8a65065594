//! What a person wrote, and what of it may be broadcast.
//!
//! A [`Body`] is a received message: people stand in it as keys (`@_user_1`), links as `[label](url)`. A [`Content`] is
//! what `batch_send` will carry: keys are names, nothing in it can ping anyone, no styling, no control characters.
//! The only way from one to the other is [`Content::from_body`]. Images and media stay as nodes: they need the network
//! to be judged and copied, which is nobody's business on this floor.
//!
//! Source of the rules: contract "mentions", "content by message_type" and "content per type".

use serde::{Deserialize, Serialize};

use crate::domain::ids::{OpenId, UnionId, UserId};

mod outgoing;
pub mod pieces;

pub use outgoing::{Content, ContentKind, POST_LOCALE};

use pieces::{Link, Piece, is_blank};

/// What everyone is called where a message pings everyone.
pub const EVERYONE: &str = "所有人";

/// How a ruler line is written as text.
const RULE: &str = "————————";

/// A person (or bot) that a message mentions. `key` is the placeholder that stands in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// `@_user_1`, counted within one message.
    pub key: String,
    pub name: String,
    pub open_id: Option<OpenId>,
    pub union_id: Option<UnionId>,
    pub user_id: Option<UserId>,
}

impl Mention {
    /// The mention as a reader sees it: `@张三`.
    pub fn shown(&self) -> String {
        let name = self.name.trim().trim_start_matches('@');
        if name.is_empty() { "@同事".to_owned() } else { format!("@{name}") }
    }
}

/// A rich text: a title and paragraphs of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    pub title: String,
    pub paragraphs: Vec<Vec<Node>>,
}

impl Post {
    /// What was typed, where somebody typed into a rich text what is none, such as the JSON of a card: code counts as its
    /// text, a link as its label.
    pub fn typed(&self) -> String {
        let node_text = |node: &Node| match node {
            Node::Text { text } | Node::Code { text, .. } | Node::Link { text, .. } => text.clone(),
            Node::At { name, .. } => format!("@{name}"),
            Node::Image { .. } | Node::Media { .. } | Node::Emotion { .. } | Node::Rule | Node::Unknown { .. } => {
                String::new()
            }
        };
        let paragraph = |nodes: &Vec<Node>| nodes.iter().map(node_text).collect::<String>();
        self.paragraphs.iter().map(paragraph).collect::<Vec<_>>().join("\n")
    }
}

/// One piece of a paragraph. Styles are not kept: `batch_send` refuses them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tag", rename_all = "snake_case")]
pub enum Node {
    Text {
        text: String,
    },
    Link {
        text: String,
        href: String,
    },
    /// `key` is a [`Mention::key`] of the same message, or `@_all`.
    At {
        key: String,
        name: String,
    },
    Image {
        image_key: String,
    },
    Media {
        file_key: String,
        image_key: Option<String>,
    },
    Emotion {
        emoji_type: String,
    },
    Rule,
    Code {
        language: String,
        text: String,
    },
    /// A kind of node that this program does not know; `tag` is what Feishu calls it.
    Unknown {
        #[serde(rename = "kind")]
        tag: String,
    },
}

impl Node {
    /// Text without anything to see in it. Everything that is no text counts as something.
    fn is_blank(&self) -> bool {
        matches!(self, Node::Text { text } if text.chars().all(is_blank))
    }
}

/// Whether a paragraph shows nothing.
pub(crate) fn is_blank_paragraph(nodes: &[Node]) -> bool {
    nodes.iter().all(Node::is_blank)
}

/// What a person wrote, as it came: mentions still are keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Text(String),
    Post(Post),
}

/// Text as it is shown: `label (url)` for a link, the bare address where the label says nothing else.
pub(crate) fn link_as_text(link: &Link) -> String {
    let address = link.href.strip_prefix("mailto:").or_else(|| link.href.strip_prefix("tel:")).unwrap_or(&link.href);
    let label = link.label.trim();
    if label.is_empty() || label == address { address.to_owned() } else { format!("{label} ({address})") }
}

/// Line ends other than `\n`: the vertical tab is the soft one of office programs, the others come from terminals.
const LINE_ENDS: [char; 4] = ['\r', '\u{B}', '\u{C}', '\u{85}'];

/// Makes a text harmless: control characters other than line break and tab go, line ends become `\n`, and an `<at `
/// that Feishu could read as a ping gets an invisible U+200B after its `<`.
pub fn harmless(text: &str) -> String {
    let text: String = text.replace("\r\n", "\n").replace(LINE_ENDS, "\n");
    let kept: Vec<char> = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let mut out = String::with_capacity(text.len());
    for (i, c) in kept.iter().enumerate() {
        out.push(*c);
        if *c == '<' && opens_at_tag(kept.get(i + 1..).unwrap_or_default()) {
            out.push('\u{200B}');
        }
    }
    out
}

/// Whether what follows a `<` makes it the start of an at-tag.
fn opens_at_tag(rest: &[char]) -> bool {
    let [a, t, after @ ..] = rest else { return false };
    a.eq_ignore_ascii_case(&'a')
        && t.eq_ignore_ascii_case(&'t')
        && after.first().is_none_or(|c| c.is_whitespace() || matches!(c, '/' | '>'))
}

/// Writes pieces of a text the way they will be read.
fn clean(pieces: &[Piece]) -> String {
    harmless(&pieces.iter().map(shown_piece).collect::<String>())
}

fn shown_piece(piece: &Piece) -> String {
    match piece {
        Piece::Char(c) => c.to_string(),
        Piece::At(mention) => mention.shown(),
        Piece::Everyone => format!("@{EVERYONE}"),
        Piece::Link(link) => link_as_text(link),
        Piece::Thing => String::new(),
    }
}

/// Drops the mention of the bot at the start, with the blanks around it. A text that begins otherwise stays as it is.
fn without_address(found: Vec<(Piece, usize)>, bot: Option<&OpenId>) -> Vec<Piece> {
    let pieces: Vec<Piece> = found.into_iter().map(|(piece, _)| piece).collect();
    let address = pieces.iter().take_while(|piece| piece.is_blank() || piece.is(bot)).count();
    let addressed = pieces.iter().take(address).any(|piece| piece.is(bot));
    if addressed { pieces.into_iter().skip(address).collect() } else { pieces }
}

fn clean_post(post: &Post, mentions: &[Mention], bot: Option<&OpenId>) -> Post {
    let mut at_the_start = true;
    let mut paragraphs = Vec::with_capacity(post.paragraphs.len());
    for nodes in &post.paragraphs {
        let mut kept: Vec<Node> = Vec::with_capacity(nodes.len());
        let mut bot_gone = false;
        for node in nodes {
            if let Node::At { key, name } = node
                && at_the_start
                && Piece::from_at(key, name, mentions).is(bot)
            {
                kept.clear();
                bot_gone = true;
                continue;
            }
            let mut node = clean_node(node, mentions);
            if let Node::Text { text } = &mut node
                && at_the_start
                && bot_gone
            {
                *text = text.trim_start_matches(is_blank).to_owned();
            }
            at_the_start &= node.is_blank();
            if !matches!(&node, Node::Text { text } if text.is_empty()) {
                kept.push(node);
            }
        }
        paragraphs.push(kept);
    }
    Post { title: harmless(&post.title).replace('\n', " "), paragraphs }
}

fn clean_node(node: &Node, mentions: &[Mention]) -> Node {
    let text = match node {
        Node::Text { text } => harmless(text),
        Node::Link { text, href } => {
            let link = Link { label: harmless(text), href: harmless(href.trim()) };
            if link.is_web() {
                return Node::Link { text: link.label, href: link.href };
            }
            link_as_text(&link)
        }
        Node::At { key, name } => harmless(&shown_piece(&Piece::from_at(key, name, mentions))),
        Node::Emotion { emoji_type } => format!("[{}]", harmless(emoji_type)),
        Node::Rule => RULE.to_owned(),
        Node::Code { text, .. } => harmless(text),
        // It is named where it is refused.
        Node::Unknown { tag } => return Node::Unknown { tag: harmless(tag) },
        Node::Image { .. } | Node::Media { .. } => return node.clone(),
    };
    Node::Text { text }
}

#[cfg(test)]
mod tests;
