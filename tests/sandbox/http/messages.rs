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
        return Reply::ok(shown(world, &found, true));
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
    Reply::ok(shown(world, &message, true))
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

/// A message as replies and GET show it. `whole` shows a card as it was sent, not simplified.
fn shown(world: &World, message: &Message, whole: bool) -> Value {
    let (id, kind) = match &message.author {
        Author::Bot => (&world.app.app_id, "app"),
        Author::Person(open_id) => (open_id, "user"),
    };
    let content = if message.msg_type == "interactive" && !whole {
        let title = message.content.pointer("/header/title/content").cloned().unwrap_or_default();
        json!({"title": title, "elements": [[{"tag": "text", "text": super::super::person::words(&message.content)}]]})
    } else {
        message.content.clone()
    };
    let mut shown = json!({"message_id": message.message_id, "msg_type": message.msg_type,
        "create_time": message.created_ms.to_string(), "update_time": message.updated_ms.to_string(),
        "deleted": message.deleted, "updated": message.edits > 0, "chat_id": message.chat_id,
        "sender": {"id": id, "id_type": if kind == "app" { "app_id" } else { "open_id" }, "sender_type": kind,
            "tenant_key": world.app.tenant_key},
        "body": {"content": content.to_string()}});
    if let Some(parent) = &message.parent_id {
        shown["parent_id"] = parent.clone().into();
        shown["root_id"] = parent.clone().into();
    }
    if message.mentions.as_array().is_some_and(|mentions| !mentions.is_empty()) {
        shown["mentions"] = message.mentions.clone();
    }
    shown
}

/// `messages/:id`
pub fn get(world: &mut World, ask: &Ask) -> Reply {
    let Some(message) = world.message(&ask.params[0]).cloned() else {
        return Reply::fail(400, 99_992_354, "message_id does not exist");
    };
    if message.deleted {
        return Reply::fail(400, 230_110, "The message has been deleted.");
    }
    let group = !world.p2p.contains_key(&message.chat_id);
    if group && !["im:message", "im:message.group_msg"].iter().any(|scope| world.app.tenant_scopes.contains(*scope)) {
        return Reply::fail(400, 230_027, "Lack of necessary permissions: im:message.group_msg");
    }
    let whole = ask.query("card_msg_content_type") == Some("user_card_content");
    Reply::ok(json!({"items": [shown(world, &message, whole)]}))
}
