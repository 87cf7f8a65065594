//! What a message holds: the JSON inside its `content`, pushed or fetched, to values of [`crate::domain::content`].
//!
//! `content` is JSON in a string, of a shape that hangs on the type of the message. Rich text arrives bare
//! (`{"title", "content"}`), but is sent with a locale around it (`{"zh_cn": {…}}`), by `batch_send` with `post` around
//! that; all three are read. Nothing is refused here: what nobody knows stays a node without a meaning. Sources:
//! "Content of received messages", "Content of sent messages", and the page of `batch_send`.

use serde_json::Value;

use super::wire::{list, text, text_or_empty};
use crate::domain::content::{Body, Mention, Node, Post};
use crate::domain::ids::{OpenId, UnionId, UserId};

/// The locale of rich text that names none, and the first of several.
pub const LOCALE: &str = "zh_cn";

/// What a text or a rich text says; of several locales the first. `None` for other types, and for a `content` that is
/// not JSON.
pub fn body(msg_type: &str, content: &str) -> Option<Body> {
    let content: Value = serde_json::from_str(content).ok()?;
    match msg_type {
        "text" => Some(Body::Text(text_or_empty(&content, "/text"))),
        "post" => {
            let first = locales(&content).into_iter().next().map(|(_, content)| post(content));
            Some(Body::Post(first.unwrap_or_default()))
        }
        _ => None,
    }
}

/// A rich text in each of its locales, [`LOCALE`] first; one that stands alone is in [`LOCALE`]. Empty where `content`
/// is none.
pub fn posts(content: &str) -> Vec<(String, Post)> {
    let content: Value = serde_json::from_str(content).unwrap_or_default();
    locales(&content).into_iter().map(|(locale, content)| (locale.to_owned(), post(content))).collect()
}

fn locales(content: &Value) -> Vec<(&str, &Value)> {
    let is_post = |value: &Value| value.get("content").is_some() || value.get("title").is_some();
    if is_post(content) {
        return vec![(LOCALE, content)];
    }
    if let Some(wrapped) = content.get("post") {
        // One wrapper is taken off and no second: nothing has two.
        return if is_post(wrapped) { vec![(LOCALE, wrapped)] } else { of_locales(wrapped, is_post) };
    }
    of_locales(content, is_post)
}

fn of_locales(content: &Value, is_post: impl Fn(&Value) -> bool) -> Vec<(&str, &Value)> {
    let named = content.as_object().into_iter().flatten().filter(|(_, value)| is_post(value));
    let mut locales: Vec<_> = named.map(|(locale, value)| (locale.as_str(), value)).collect();
    // A stable sort: the others keep their order.
    locales.sort_by_key(|(locale, _)| *locale != LOCALE);
    locales
}

fn post(content: &Value) -> Post {
    Post {
        title: text_or_empty(content, "/title"),
        paragraphs: list(content, "/content").iter().map(|nodes| list(nodes, "").iter().map(node).collect()).collect(),
    }
}

fn node(node: &Value) -> Node {
    let field = |pointer: &str| text_or_empty(node, pointer);
    match text(node, "/tag").unwrap_or_default() {
        "text" => Node::Text { text: field("/text") },
        "a" => Node::Link { text: field("/text"), href: field("/href") },
        "at" => Node::At { key: field("/user_id"), name: field("/user_name") },
        "img" => Node::Image { image_key: field("/image_key") },
        "media" => Node::Media { file_key: field("/file_key"), image_key: text(node, "/image_key").map(str::to_owned) },
        "emotion" => Node::Emotion { emoji_type: field("/emoji_type") },
        "hr" => Node::Rule,
        "code_block" => Node::Code { language: field("/language"), text: field("/text") },
        other => Node::Unknown { tag: other.to_owned() },
    }
}

/// Who a message mentions; a mention without a key is skipped.
pub(super) fn mentions(message: &Value) -> Vec<Mention> {
    list(message, "/mentions").iter().filter_map(mention).collect()
}

/// A pushed mention has an object of ids. A fetched one has a single id, and its kind beside it; that of a bot is its app
/// id, which is none of the three.
fn mention(mention: &Value) -> Option<Mention> {
    let single = text(mention, "/id");
    let kind = text(mention, "/id_type").or_else(|| single.filter(|id| id.starts_with("ou_")).and(Some("open_id")));
    let of = |wanted: &str| text(mention, &format!("/id/{wanted}")).or(single.filter(|_| kind == Some(wanted)));
    Some(Mention {
        key: text(mention, "/key")?.to_owned(),
        name: text_or_empty(mention, "/name"),
        open_id: of("open_id").and_then(OpenId::new),
        union_id: of("union_id").and_then(UnionId::new),
        user_id: of("user_id").and_then(UserId::new),
    })
}

#[cfg(test)]
#[path = "tests/content.rs"]
mod tests;
