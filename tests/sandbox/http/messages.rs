//! Single messages: create, reply, get. `content` is a string here, the opposite of batch_send.

use serde_json::{Value, json};

use super::super::cards;
use super::super::faults::UuidMode;
use super::super::seal::sha256_hex;
use super::super::world::{Author, Message, World};
use super::{Ask, Reply};

pub const TEXT_BYTES_MAX: usize = 150 * 1024;
pub const RICH_BYTES_MAX: usize = 30 * 1024;
/// Requests with one uuid make one message within this long.
const UUID_MS: i64 = 3_600_000;

/// A refusal that the caller could have avoided: noted, and answered.
pub fn wrong(world: &mut World, endpoint: &str, code: i64, msg: &str) -> Reply {
    world.violation(format!("{endpoint}: {code} {msg}"));
    Reply::fail(400, code, msg)
}

/// `messages`
pub fn create(world: &mut World, ask: &Ask) -> Reply {
    let Some(kind) = ask.query("receive_id_type") else {
        return wrong(world, "messages.create", 99_992_402, "receive_id_type is required");
    };
    let id = ask.text("receive_id");
    if kind == "chat_id" {
        let known = world.p2p.contains_key(id) || world.company.groups.iter().any(|group| group.chat_id == id);
        if !known {
            return Reply::fail(400, 230_034, "The receive_id is invalid.");
        }
        if world.company.groups.iter().any(|group| group.chat_id == id && !group.bot_inside) {
            return Reply::fail(400, 230_002, "The bot can not be outside the group.");
        }
        return write(world, "messages.create", ask, id, None);
    }
    let person = world.company.people.iter().find(|p| match kind {
        "open_id" => p.open_id == id,
        "union_id" => p.union_id == id,
        "user_id" => p.user_id == id,
        "email" => p.email == id,
        _ => false,
    });
    let Some(person) = person.cloned() else {
        let code = if kind == "open_id" { 99_992_351 } else { 230_034 };
        return Reply::fail(400, code, "The receive_id is invalid.");
    };
    let chat_id = world.p2p_chat(&person.open_id);
    write(world, "messages.create", ask, &chat_id, None)
}

/// `messages/:id/reply`
pub fn reply(world: &mut World, ask: &Ask) -> Reply {
    let id = ask.params[0].clone();
    if id.starts_with("bm-") {
        return wrong(world, "messages.reply", 230_001, "batch messages take no reply");
    }
    match world.message(&id).map(|message| (message.chat_id.clone(), message.deleted)) {
        None => Reply::fail(400, 99_992_354, "message_id does not exist"),
        Some((_, true)) => Reply::fail(400, 230_011, "The message was withdrawn."),
        Some((chat_id, false)) => write(world, "messages.reply", ask, &chat_id, Some(id)),
    }
}

fn write(world: &mut World, endpoint: &str, ask: &Ask, chat_id: &str, parent_id: Option<String>) -> Reply {
    if !world.app.bot_ability {
        return Reply::fail(400, 230_006, "Bot ability is not activated.");
    }
    if let Some(open_id) = world.p2p.get(chat_id) {
        let person = world.employee(open_id);
        if person.resigned {
            return Reply::fail(400, 230_029, "User has resigned.");
        }
        if !person.available {
            return Reply::fail(400, 230_013, "Bot has NO availability to this user.");
        }
    }
    let content = match parse(world, endpoint, ask) {
        Ok(content) => content,
        Err(reply) => return reply,
    };
    let now = world.now();
    let uuid = ask.text("uuid");
    if uuid.chars().count() > 50 {
        return wrong(world, endpoint, 99_992_402, "uuid has at most 50 characters");
    }
    let key = (chat_id.to_owned(), uuid.to_owned());
    let said = sha256_hex(content.to_string().as_bytes());
    if !uuid.is_empty()
        && let Some((message_id, at, before)) = world.uuids.get(&key).cloned()
        && now - at < UUID_MS
    {
        if before != said {
            world.violation(format!("{endpoint}: a uuid came again with other content"));
        }
        if world.switches.uuid == UuidMode::Error230049 {
            return Reply::fail(400, 230_049, "The message is being sent.");
        }
        let found = world.message(&message_id).expect("a uuid leads to a message").clone();
        return Reply::ok(shown(world, &found, true, None));
    }
    if !world.rates.narrow(&format!("chat:{chat_id}"), now) && world.switches.rates {
        return wrong(world, endpoint, 230_020, "more than 5 messages a second to one chat");
    }
    let message = Message {
        message_id: world.fresh_id("om_"),
        chat_id: chat_id.to_owned(),
        author: Author::Bot,
        msg_type: ask.text("msg_type").to_owned(),
        newest_version: cards::version_of(&content),
        history: vec![content.clone()],
        content,
        mentions: json!([]),
        parent_id,
        created_ms: now,
        updated_ms: now,
        edits: 0,
        deleted: false,
        attachments: std::collections::BTreeMap::default(),
    };
    if !uuid.is_empty() {
        world.uuids.insert(key, (message.message_id.clone(), now, said));
    }
    world.messages.push(message.clone());
    Reply::ok(shown(world, &message, true, None))
}

/// Parses and judges `content` by `msg_type`.
pub fn parse(world: &mut World, endpoint: &str, ask: &Ask) -> Result<Value, Reply> {
    let msg_type = ask.text("msg_type");
    let Some(text) = ask.json.get("content").and_then(Value::as_str) else {
        return Err(wrong(world, endpoint, 99_992_402, "content is a string that holds JSON"));
    };
    let most = if msg_type == "text" { TEXT_BYTES_MAX } else { RICH_BYTES_MAX };
    if ask.bytes.len() > most {
        return Err(wrong(world, endpoint, 230_025, &format!("the body has {} bytes", ask.bytes.len())));
    }
    let Ok(content) = serde_json::from_str::<Value>(text) else {
        return Err(wrong(world, endpoint, 230_001, "content is no JSON"));
    };
    let has = |key: &str| content.get(key).is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    match msg_type {
        "text" if has("text") => {}
        "post" if content.as_object().is_some_and(|l| !l.is_empty() && l.values().all(|b| b["content"].is_array())) => {
        }
        "image" if has("image_key") => {
            if !world.images.contains_key(content["image_key"].as_str().unwrap_or_default()) {
                return Err(wrong(world, endpoint, 230_017, "the image is not this bot's"));
            }
        }
        "file" | "audio" | "media" if has("file_key") => {
            if !world.files.contains_key(content["file_key"].as_str().unwrap_or_default()) {
                return Err(wrong(world, endpoint, 230_017, "the file is not this bot's"));
            }
        }
        "share_chat" if has("chat_id") => {}
        "share_user" if has("user_id") => {}
        "interactive" => return card(world, endpoint, content),
        _ => return Err(wrong(world, endpoint, 230_001, &format!("{msg_type:?} with this content"))),
    }
    Ok(content)
}

/// Judges a card that is sent or patched.
pub fn card(world: &mut World, endpoint: &str, card: Value) -> Result<Value, Reply> {
    if card["type"] == "template" {
        return Ok(card);
    }
    if let Err(error) = cards::check(&card) {
        return Err(wrong(world, endpoint, 230_099, &error.to_string()));
    }
    if let Some(key) = cards::image_keys(&card).iter().find(|key| !world.images.contains_key(*key)) {
        let msg = format!("Failed to create card content, ext=ErrCode: 200570; ErrMsg: image key {key} is not ours");
        return Err(wrong(world, endpoint, 230_099, &msg));
    }
    Ok(card)
}

/// A person's id of a kind; of a bot, whatever the kind, its app id.
fn named(world: &World, open_id: &str, kind: &str) -> (String, String) {
    let person = world.company.by_open_id(open_id);
    match (person, kind) {
        (None, _) => (world.app.app_id.clone(), "app_id".into()),
        (Some(person), "union_id") => (person.union_id.clone(), kind.into()),
        (Some(person), "user_id") => (person.user_id.clone(), kind.into()),
        (Some(person), _) => (person.open_id.clone(), "open_id".into()),
    }
}

/// Mentions as GET shows them: one id each, where the event has an object of ids.
fn mentions(world: &World, message: &Message, kind: &str) -> Vec<Value> {
    let mut mentions = vec![];
    for mention in message.mentions.as_array().into_iter().flatten() {
        let (id, id_type) = named(world, mention["id"]["open_id"].as_str().unwrap_or_default(), kind);
        mentions.push(json!({"key": mention["key"], "id": id, "id_type": id_type, "name": mention["name"],
            "tenant_key": mention["tenant_key"]}));
    }
    mentions
}

/// A message as replies and GET show it. `whole` shows a card as it was sent, not simplified; people are named by
/// `kind`.
fn shown(world: &World, message: &Message, whole: bool, kind: Option<&str>) -> Value {
    let kind = kind.unwrap_or("open_id");
    let ((id, id_type), sender_type) = match &message.author {
        Author::Bot => ((world.app.app_id.clone(), "app_id".to_owned()), "app"),
        Author::Person(open_id) => (named(world, open_id, kind), "user"),
    };
    let content = if message.msg_type == "interactive" && !whole {
        cards::simplified(&message.content)
    } else {
        message.content.clone()
    };
    let mut shown = json!({"message_id": message.message_id, "msg_type": message.msg_type,
        "create_time": message.created_ms.to_string(), "update_time": message.updated_ms.to_string(),
        "deleted": message.deleted, "updated": message.edits > 0, "chat_id": message.chat_id,
        "sender": {"id": id, "id_type": id_type, "sender_type": sender_type, "tenant_key": world.app.tenant_key},
        "body": {"content": content.to_string()}});
    if let Some(parent) = &message.parent_id {
        shown["parent_id"] = parent.clone().into();
        shown["root_id"] = world.root_of(parent).into();
    }
    let mentions = mentions(world, message, kind);
    if !mentions.is_empty() {
        shown["mentions"] = mentions.into();
    }
    shown
}

/// `messages/:id`
pub fn get(world: &mut World, ask: &Ask) -> Reply {
    let kind = ask.query("user_id_type");
    if ask.params[0].starts_with("bm-") {
        return wrong(world, "messages.get", 230_001, "batch messages cannot be read");
    }
    if !matches!(kind, None | Some("open_id" | "union_id" | "user_id")) {
        return wrong(world, "messages.get", 230_001, "user_id_type is invalid");
    }
    if !matches!(ask.query("card_msg_content_type"), None | Some("user_card_content")) {
        return wrong(world, "messages.get", 230_001, "card_msg_content_type is invalid");
    }
    if !world.app.bot_ability {
        return Reply::fail(400, 230_006, "Bot ability is not activated.");
    }
    let Some(message) = world.message(&ask.params[0]).cloned() else {
        return Reply::fail(400, 99_992_354, "message_id does not exist");
    };
    match world.p2p.get(&message.chat_id) {
        Some(open_id) if !world.employee(open_id).available || world.employee(open_id).resigned => {
            return Reply::fail(400, 230_013, "Bot has NO availability to this user.");
        }
        Some(_) => {}
        None if !bot_is_in(world, &message.chat_id) => {
            return Reply::fail(400, 230_002, "The bot can not be outside the group.");
        }
        // `im:message` alone opens private chats only.
        None if !world.app.tenant_scopes.contains("im:message.group_msg") => {
            return Reply::fail(400, 230_027, "Lack of necessary permissions: im:message.group_msg");
        }
        None => {}
    }
    // A recalled message is there without its content, a deleted one is not there; stories know only one of the two.
    if message.deleted && world.chance(2) {
        return Reply::fail(400, 230_110, "The message has been deleted.");
    }
    let whole = ask.query("card_msg_content_type") == Some("user_card_content");
    let mut item = shown(world, &message, whole, kind);
    if message.deleted {
        item["body"] = json!({});
    }
    Reply::ok(json!({"items": [item]}))
}

/// Whether the bot is a member of this chat; of a private one it always is.
pub fn bot_is_in(world: &World, chat_id: &str) -> bool {
    world.p2p.contains_key(chat_id)
        || world.company.groups.iter().any(|group| group.chat_id == chat_id && group.bot_inside)
}
