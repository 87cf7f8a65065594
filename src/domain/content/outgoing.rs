//! What will be broadcast, in the five types that `batch_send` takes, and its JSON on the wire.
//!
//! Source of the shapes: contract "content per type".

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::pieces::{self, Link, is_blank};
use super::{
    Body, Mention, Node, Post, RULE, clean, clean_post, harmless, is_blank_paragraph, link_as_text, without_address,
};
use crate::domain::ids::{ChatId, OpenId};
use crate::domain::lint::card;
use crate::domain::lint::{CardText, TextForm};

/// The language under which a rich text goes that states none. Clients show it to readers of every language.
pub const POST_LOCALE: &str = "zh_cn";

/// What will be broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Text(String),
    /// A rich text in each of its languages, at least one, by Feishu's names for them (`zh_cn`, `en_us`). Holds only
    /// `Text`, `Link`, `Image`, `Media` and `Unknown` nodes.
    Post(#[serde(deserialize_with = "locales")] BTreeMap<String, Post>),
    /// An image that the bot itself uploaded.
    Image {
        image_key: String,
    },
    /// The card of a group, which the bot must be in.
    ShareChat {
        chat_id: ChatId,
    },
    /// Card JSON, 1.0 or 2.0.
    Card(Value),
    /// A card template of the card tool, and what stands for its variables.
    Template {
        id: String,
        /// The newest one where none is named.
        version: Option<String>,
        variables: Map<String, Value>,
    },
}

/// The types of a content, as people call them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    Text,
    Post,
    Image,
    ShareChat,
    Card,
    Template,
}

impl Content {
    /// A rich text in one language.
    pub fn post(post: Post) -> Self {
        Content::Post(BTreeMap::from([(POST_LOCALE.to_owned(), post)]))
    }

    /// Makes a received message fit to be sent on.
    ///
    /// Only keys listed in `mentions` are placeholders, the longest first, since `@_user_1` begins `@_user_10`; `@_all`
    /// always is one, because Feishu does not list it. The mention of the `bot` with which a message begins is how one
    /// talks to a bot in a group, and goes; anywhere else it is part of what is said, and stays.
    pub fn from_body(body: &Body, mentions: &[Mention], bot: Option<&OpenId>) -> Self {
        match body {
            Body::Text(text) => Content::Text(clean(&without_address(pieces::of_text(text, mentions), bot))),
            Body::Post(post) => Content::post(clean_post(post, mentions, bot)),
        }
    }

    pub fn kind(&self) -> ContentKind {
        match self {
            Content::Text(_) => ContentKind::Text,
            Content::Post(_) => ContentKind::Post,
            Content::Image { .. } => ContentKind::Image,
            Content::ShareChat { .. } => ContentKind::ShareChat,
            Content::Card(_) => ContentKind::Card,
            Content::Template { .. } => ContentKind::Template,
        }
    }

    /// The whole content as plain text, for previews and chat lists; what is no text is named in brackets.
    pub fn plain(&self) -> String {
        match self {
            Content::Text(text) => text.clone(),
            Content::Post(locales) => {
                let several = locales.len() > 1;
                let one = |(locale, post): (&String, &Post)| match several {
                    true => format!("[{}]\n{}", language(locale), plain_post(post)),
                    false => plain_post(post),
                };
                // The language that most readers see comes first; the others keep their order.
                let (first, others): (Vec<_>, Vec<_>) = locales.iter().partition(|(locale, _)| *locale == POST_LOCALE);
                first.into_iter().chain(others).map(one).collect::<Vec<_>>().join("\n")
            }
            Content::Image { .. } => "[图片]".to_owned(),
            Content::ShareChat { chat_id } => format!("[群名片] {chat_id}"),
            Content::Card(card) => card_words(card),
            Content::Template { id, variables, .. } => {
                let variables = variables.iter().map(|(name, value)| match value {
                    Value::String(text) => format!("{name} = {text}"),
                    other => format!("{name} = {other}"),
                });
                harmless(&std::iter::once(format!("[卡片模板] {id}")).chain(variables).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    /// The words in it that people wrote, for a look at what they say.
    pub fn words(&self) -> String {
        match self {
            Content::Template { variables, .. } => {
                variables.values().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
            }
            Content::ShareChat { .. } | Content::Image { .. } => String::new(),
            other => other.plain(),
        }
    }

    /// Whether a reader would see nothing at all.
    pub fn is_blank(&self) -> bool {
        match self {
            Content::Text(text) => text.chars().all(is_blank),
            Content::Post(locales) => locales.values().all(|post| {
                post.title.chars().all(is_blank) && post.paragraphs.iter().all(|nodes| is_blank_paragraph(nodes))
            }),
            Content::Card(card) => card.as_object().is_none_or(Map::is_empty),
            Content::Image { .. } | Content::ShareChat { .. } | Content::Template { .. } => false,
        }
    }

    /// The keys of the images in it, to be replaced by those of the bot's own copies.
    pub fn images_mut(&mut self) -> Vec<&mut String> {
        match self {
            Content::Image { image_key } => vec![image_key],
            Content::Post(locales) => locales
                .values_mut()
                .flat_map(|post| post.paragraphs.iter_mut().flatten())
                .filter_map(|node| match node {
                    Node::Image { image_key } => Some(image_key),
                    _ => None,
                })
                .collect(),
            Content::Text(_) | Content::ShareChat { .. } | Content::Card(_) | Content::Template { .. } => vec![],
        }
    }

    /// The keys of the images that a preview can show, each once.
    pub fn images(&self) -> Vec<String> {
        let all: Vec<&String> = match self {
            Content::Image { image_key } => vec![image_key],
            Content::Post(locales) => locales
                .values()
                .flat_map(|post| post.paragraphs.iter().flatten())
                .filter_map(|node| match node {
                    Node::Image { image_key } => Some(image_key),
                    _ => None,
                })
                .collect(),
            Content::Text(_) | Content::ShareChat { .. } | Content::Card(_) | Content::Template { .. } => vec![],
        };
        let mut seen = HashSet::new();
        all.into_iter().filter(|key| seen.insert(*key)).cloned().collect()
    }

    /// The first thing in it that cannot be broadcast, by its tag in Feishu.
    pub fn unsupported(&self) -> Option<&str> {
        let Content::Post(locales) = self else { return None };
        locales.values().flat_map(|post| &post.paragraphs).flatten().find_map(|node| match node {
            Node::Media { .. } => Some("media"),
            Node::Unknown { tag } => Some(tag.as_str()),
            Node::Image { .. }
            | Node::Text { .. }
            | Node::Link { .. }
            | Node::At { .. }
            | Node::Emotion { .. }
            | Node::Rule
            | Node::Code { .. } => None,
        })
    }

    /// The body of `batch_send` without its targets: `msg_type`, and `content` or `card`.
    pub fn wire(&self) -> Value {
        match self {
            Content::Text(text) => json!({ "msg_type": "text", "content": { "text": text } }),
            Content::Post(locales) => {
                let locales: Map<String, Value> =
                    locales.iter().map(|(locale, post)| (locale.clone(), wire_post(post))).collect();
                json!({ "msg_type": "post", "content": { "post": locales } })
            }
            Content::Image { image_key } => json!({ "msg_type": "image", "content": { "image_key": image_key } }),
            Content::ShareChat { chat_id } => {
                json!({ "msg_type": "share_chat", "content": { "share_chat_id": chat_id.as_str() } })
            }
            Content::Card(card) => json!({ "msg_type": "interactive", "card": card }),
            Content::Template { id, version, variables } => {
                let mut data = json!({ "template_id": id, "template_variable": variables });
                if let Some(version) = version {
                    data["template_version_name"] = json!(version);
                }
                json!({ "msg_type": "interactive", "card": { "type": "template", "data": data } })
            }
        }
    }
}

/// A language of a rich text as its readers call it.
fn language(locale: &str) -> &str {
    match locale {
        "zh_cn" => "中文",
        "en_us" => "English",
        "ja_jp" => "日本語",
        other => other,
    }
}

/// Documents from before there were several languages hold the one rich text.
fn locales<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Post>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Kept {
        One { title: String, paragraphs: Vec<Vec<Node>> },
        Locales(BTreeMap<String, Post>),
    }
    Ok(match Kept::deserialize(from)? {
        Kept::One { title, paragraphs } => BTreeMap::from([(POST_LOCALE.to_owned(), Post { title, paragraphs })]),
        Kept::Locales(locales) => locales,
    })
}

/// An image stands alone in its paragraph. Source: contract "content per type".
fn wire_post(post: &Post) -> Value {
    let mut paragraphs: Vec<Vec<Value>> = Vec::with_capacity(post.paragraphs.len());
    for nodes in &post.paragraphs {
        let mut paragraph = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Some(wire) = wire_node(node) else { continue };
            if !matches!(node, Node::Image { .. }) {
                paragraph.push(wire);
                continue;
            }
            if !paragraph.is_empty() {
                paragraphs.push(std::mem::take(&mut paragraph));
            }
            paragraphs.push(vec![wire]);
        }
        // A blank line between paragraphs is meant; what is left behind an image is not.
        if !paragraph.is_empty() || nodes.is_empty() {
            paragraphs.push(paragraph);
        }
    }
    json!({ "title": post.title, "content": paragraphs })
}

/// Text, links and images are what `batch_send` is known to take; [`Content::unsupported`] names the rest before anyone
/// is asked.
fn wire_node(node: &Node) -> Option<Value> {
    match node {
        Node::Text { text } => Some(json!({ "tag": "text", "text": text })),
        Node::Link { text, href } => Some(json!({ "tag": "a", "text": text, "href": href })),
        Node::At { name, .. } => Some(json!({ "tag": "text", "text": format!("@{name}") })),
        Node::Image { image_key } => Some(json!({ "tag": "img", "image_key": image_key })),
        Node::Media { .. } | Node::Emotion { .. } | Node::Rule | Node::Code { .. } | Node::Unknown { .. } => None,
    }
}

fn plain_post(post: &Post) -> String {
    let title = Some(post.title.clone()).filter(|title| !title.is_empty());
    let paragraphs = post.paragraphs.iter().map(|nodes| nodes.iter().map(plain_node).collect::<String>());
    title.into_iter().chain(paragraphs).collect::<Vec<_>>().join("\n")
}

fn plain_node(node: &Node) -> String {
    match node {
        Node::Text { text } | Node::Code { text, .. } => text.clone(),
        Node::Link { text, href } => link_as_text(&Link { label: text.clone(), href: href.clone() }),
        Node::At { name, .. } => format!("@{name}"),
        Node::Image { .. } => "[图片]".to_owned(),
        Node::Media { .. } => "[视频]".to_owned(),
        Node::Emotion { emoji_type } => format!("[{emoji_type}]"),
        Node::Rule => RULE.to_owned(),
        Node::Unknown { tag } => format!("[{tag}]"),
    }
}

/// Everything that a reader of a card will read or follow, in reading order: translations after what they translate,
/// addresses behind an arrow. Nothing in it can ping anyone.
fn card_words(card: &Value) -> String {
    let texts = card::check(card).map(|facts| facts.texts).unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    let mut before = "";
    for said in texts.iter().filter(|said| !said.text.trim().is_empty()) {
        // The language that stands for all is often said once more as its own translation.
        if locale(said).is_none() || said.text != before {
            words.push(said_in_card(said));
        }
        if locale(said).is_none() {
            before = &said.text;
        }
    }
    if words.is_empty() { "[卡片]".to_owned() } else { harmless(&words.join("\n")) }
}

/// Whose language a translation is for: `…text.i18n_content.en_us`.
fn locale(said: &CardText) -> Option<&str> {
    let part = said.path.split('.').skip_while(|part| !part.starts_with("i18n")).nth(1)?;
    let locale = part.split('[').next().unwrap_or(part);
    (locale.len() == POST_LOCALE.len()).then_some(locale)
}

fn said_in_card(said: &CardText) -> String {
    let text = if said.form == TextForm::Address { format!("→ {}", said.text) } else { said.text.clone() };
    match locale(said) {
        Some(locale) => format!("[{locale}] {text}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_the_shape_of_batch_send() {
        let chat_id = ChatId::new("oc_1").expect("a test id");
        let variables = Map::from_iter([("name".to_owned(), json!("张三"))]);
        for (content, wire) in [
            (Content::Text("好".into()), r#"{"content":{"text":"好"},"msg_type":"text"}"#),
            (Content::Image { image_key: "img_1".into() }, r#"{"content":{"image_key":"img_1"},"msg_type":"image"}"#),
            (Content::ShareChat { chat_id }, r#"{"content":{"share_chat_id":"oc_1"},"msg_type":"share_chat"}"#),
            (Content::Card(json!({ "elements": [] })), r#"{"card":{"elements":[]},"msg_type":"interactive"}"#),
            (
                Content::Template { id: "AAq1".into(), version: None, variables },
                r#"{"card":{"data":{"template_id":"AAq1","template_variable":{"name":"张三"}},"type":"template"},"msg_type":"interactive"}"#,
            ),
        ] {
            assert_eq!(content.wire().to_string(), wire);
        }
    }

    #[test]
    fn a_rich_text_that_was_kept_in_one_language_is_still_read() {
        let old = r#"{"post":{"title":"题","paragraphs":[[{"tag":"text","text":"好"}]]}}"#;
        let content: Content = serde_json::from_str(old).expect("is read");
        assert_eq!(content.plain(), "题\n好");
        let new = serde_json::to_string(&content).expect("is written");
        assert_eq!(serde_json::from_str::<Content>(&new).expect("is read"), content);
    }

    #[test]
    fn an_image_stands_alone_and_every_language_is_kept() {
        let text = |text: &str| Node::Text { text: text.into() };
        let image = Node::Image { image_key: "img_1".into() };
        let zh = Post { title: "题".into(), paragraphs: vec![vec![text("前"), image, text("后")], vec![]] };
        let en = Post { title: "T".into(), paragraphs: vec![vec![text("a")]] };
        let content = Content::Post(BTreeMap::from([("zh_cn".into(), zh), ("en_us".into(), en)]));
        let wire = content.wire();
        assert_eq!(
            wire["content"]["post"]["zh_cn"]["content"].to_string(),
            r#"[[{"tag":"text","text":"前"}],[{"image_key":"img_1","tag":"img"}],[{"tag":"text","text":"后"}],[]]"#
        );
        assert_eq!(wire["content"]["post"]["en_us"]["title"], "T");
        assert_eq!(content.plain(), "[中文]\n题\n前[图片]后\n\n[English]\nT\na");
        assert_eq!(content.images(), ["img_1"]);
    }

    #[test]
    fn the_words_of_a_card_are_its_title_and_its_texts() {
        let card = json!({
            "schema": "2.0",
            "header": { "title": { "tag": "plain_text", "content": "放假通知" } },
            "body": { "elements": [
                { "tag": "markdown", "content": "一月一日", "i18n_content": { "en_us": "January 1st" } },
                { "tag": "column_set", "columns": [{ "tag": "column", "elements": [
                    { "tag": "button", "text": { "tag": "plain_text", "content": "详情" },
                      "behaviors": [{ "type": "open_url", "default_url": "https://example.com/a" }] } ] }] },
            ] },
        });
        assert_eq!(
            Content::Card(card).plain(),
            "放假通知\n一月一日\n[en_us] January 1st\n详情\n→ https://example.com/a"
        );
        assert_eq!(Content::Card(json!({ "elements": [] })).plain(), "[卡片]");
        let card = json!({
            "schema": "2.0",
            "body": { "elements": [
                { "tag": "markdown", "content": "<at id=all></at> 好", "i18n_content": { "zh_cn": "<at id=all></at> 好", "en_us": "Hi" } },
                { "tag": "table", "columns": [{ "name": "a", "display_name": "列", "data_type": "text" }], "rows": [{ "a": "格" }] },
                { "tag": "button", "text": { "tag": "plain_text", "content": "详情" },
                  "behaviors": [{ "type": "open_url", "default_url": "https://e.com" }] },
            ] },
        });
        assert_eq!(
            Content::Card(card).plain(),
            "<\u{200B}at id=all></at> 好\n[en_us] Hi\n列\n格\n详情\n→ https://e.com"
        );
    }
}
