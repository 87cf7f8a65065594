//! What a person sends, before it is a message: put together by stories and by the page.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A message that nobody has yet. The keys in it are its sender's, which is never the bot.
#[derive(Clone, Debug)]
pub struct Draft {
    pub msg_type: String,
    /// The parsed content, as its event will have it; for `interactive` the card as its app sent it.
    pub content: Value,
    /// Names that stand in the content as `@name`, in that order; each becomes a key.
    pub mentions: Vec<String>,
    /// The message that this is a reply to.
    pub parent: Option<String>,
    /// Key in the content to name and bytes of what is behind it. A key without bytes is a file that is gone.
    pub attachments: BTreeMap<String, (String, Vec<u8>)>,
}

impl Draft {
    /// Anything.
    pub fn new(msg_type: &str, content: Value) -> Draft {
        Draft { msg_type: msg_type.into(), content, mentions: vec![], parent: None, attachments: BTreeMap::new() }
    }

    pub fn text(text: &str) -> Draft {
        Draft::new("text", json!({"text": text}))
    }

    /// Rich text: `{"title", "content": [[node, …], …]}`. What its `img` nodes show comes by [`Draft::attaching`].
    pub fn post(post: Value) -> Draft {
        Draft::new("post", post)
    }

    pub fn image(key: &str, bytes: &[u8]) -> Draft {
        Draft::new("image", json!({"image_key": key})).attaching(key, "image", bytes)
    }

    pub fn file(key: &str, name: &str, bytes: &[u8]) -> Draft {
        Draft::new("file", json!({"file_key": key, "file_name": name})).attaching(key, name, bytes)
    }

    /// The card of a group.
    pub fn chat(chat_id: &str) -> Draft {
        Draft::new("share_chat", json!({"chat_id": chat_id}))
    }

    /// A card of another app, forwarded.
    pub fn card(card: Value) -> Draft {
        Draft::new("interactive", card)
    }

    /// What is behind a key of the content.
    pub fn attaching(mut self, key: &str, name: &str, bytes: &[u8]) -> Draft {
        self.attachments.insert(key.into(), (name.into(), bytes.to_vec()));
        self
    }

    /// Makes mentions of names that stand in the content as `@name`.
    pub fn mentioning(mut self, names: &[&str]) -> Draft {
        self.mentions = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Makes it a reply.
    pub fn replying(mut self, to: impl AsRef<str>) -> Draft {
        self.parent = Some(to.as_ref().to_owned());
        self
    }
}
