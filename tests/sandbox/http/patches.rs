//! What changes a message after it was sent: PATCH for cards, PUT for words, DELETE, and the click token.

use serde_json::{Value, json};

use super::super::cards;
use super::super::world::{Author, World};
use super::messages::{card, parse, wrong};
use super::{Ask, Reply};

/// A card can be updated for fourteen days.
const UPDATABLE_MS: i64 = 14 * 86_400_000;
const CLICK_TOKEN_MS: i64 = 1_800_000;
const CLICK_TOKEN_USES: u32 = 2;
const EDITS_MAX: u32 = 20;

/// `PATCH messages/:id`: the whole card anew, for everybody.
pub fn patch(world: &mut World, ask: &Ask) -> Reply {
    let id = ask.params[0].clone();
    if id.starts_with("bm-") {
        return wrong(world, "messages.patch", 230_001, "batch messages cannot be updated");
    }
    let Some(text) = ask.json.get("content").and_then(Value::as_str) else {
        return wrong(world, "messages.patch", 99_992_402, "content is a string that holds JSON");
    };
    if ask.bytes.len() > cards::BYTES_MAX {
        return wrong(world, "messages.patch", 230_025, "the card is over 30 KB");
    }
    let Ok(new) = serde_json::from_str::<Value>(text) else {
        return wrong(world, "messages.patch", 230_001, "content is no JSON");
    };
    let Some(message) = world.message(&id).cloned() else {
        return Reply::fail(400, 99_992_354, "message_id does not exist");
    };
    if message.author != Author::Bot || message.msg_type != "interactive" {
        return wrong(world, "messages.patch", 230_001, "only the bot's own cards can be updated");
    }
    if message.deleted {
        return Reply::fail(400, 230_011, "The message was withdrawn.");
    }
    let now = world.now();
    if now - message.created_ms > UPDATABLE_MS {
        return Reply::fail(400, 230_031, "The card is older than 14 days.");
    }
    if !cards::says_update_multi(&message.content) || !cards::says_update_multi(&new) {
        return wrong(world, "messages.patch", 230_001, "update_multi must be true in the old card and in the new one");
    }
    if cards::is_v2(&message.content) != cards::is_v2(&new) {
        return wrong(world, "messages.patch", 230_099, "ErrCode: 200830; ErrMsg: the schema of a card cannot change");
    }
    let new = match card(world, "messages.patch", new) {
        Ok(new) => new,
        Err(reply) => return reply,
    };
    if world.open_presses.get(&id).is_some_and(|open| *open > 0) {
        let msg = "Failed to create card content, ext=ErrCode: 11310; ErrMsg: card action is lock; ErrorValue: ";
        return wrong(world, "messages.patch", 230_099, msg);
    }
    if !world.rates.narrow(&format!("message:{id}"), now) && world.switches.rates {
        return wrong(world, "messages.patch", 230_020, "more than 5 updates a second of one message");
    }
    replace(world, &id, new, now);
    Reply::ok(json!({}))
}

/// Puts a card in the place of the old one; a card that is older than what was there already is a violation.
fn replace(world: &mut World, id: &str, new: Value, now: i64) {
    let version = cards::version_of(&new);
    let Some(message) = world.message_mut(id) else { return };
    let late = version > 0 && version < message.newest_version;
    let newest = message.newest_version;
    // A card without controls ends a version that had some: whatever brings those back was overtaken.
    let ended = version == 0 && cards::version_of(&message.content) > 0;
    message.newest_version = version.max(newest + i64::from(ended));
    message.content = new.clone();
    message.history.push(new);
    message.updated_ms = now;
    message.edits += 1;
    if late {
        world.violation(format!("version {version} of a card was patched over version {newest}"));
    }
}

/// `PUT messages/:id`: text and rich text only.
pub fn edit(world: &mut World, ask: &Ask) -> Reply {
    let id = ask.params[0].clone();
    if !["text", "post"].contains(&ask.text("msg_type")) {
        return wrong(world, "messages.edit", 230_001, "only text and post can be edited");
    }
    let content = match parse(world, "messages.edit", ask) {
        Ok(content) => content,
        Err(reply) => return reply,
    };
    let now = world.now();
    let Some(message) = world.message_mut(&id) else {
        return Reply::fail(400, 99_992_354, "message_id does not exist");
    };
    if message.author != Author::Bot {
        return Reply::fail(400, 230_071, "not the sender");
    }
    if message.deleted {
        return Reply::fail(400, 230_110, "The message has been deleted.");
    }
    if message.edits >= EDITS_MAX {
        return Reply::fail(400, 230_072, "the message was edited too often");
    }
    message.content = content;
    message.updated_ms = now;
    message.edits += 1;
    Reply::ok(json!({"message_id": id}))
}

/// `DELETE messages/:id`
pub fn delete(world: &mut World, ask: &Ask) -> Reply {
    if ask.params[0].starts_with("bm-") {
        return wrong(world, "messages.delete", 230_001, "batch messages are recalled elsewhere");
    }
    match world.message_mut(&ask.params[0]) {
        None => Reply::fail(400, 99_992_354, "message_id does not exist"),
        Some(message) if message.author != Author::Bot => Reply::fail(400, 230_026, "no right to recall"),
        Some(message) if message.deleted => Reply::fail(400, 230_110, "The message has been deleted."),
        Some(message) => {
            message.deleted = true;
            Reply::ok(json!({}))
        }
    }
}

/// `interactive/v1/card/update`: with the token of a click, twice within half an hour, after the answer.
pub fn delayed_update(world: &mut World, ask: &Ask) -> Reply {
    let now = world.now();
    let new = ask.json["card"].clone();
    if !new.is_object() {
        return Reply::json(200, json!({"code": 11_311, "msg": "the card is an object here"}));
    }
    let Some((message_id, made_ms, uses)) = world.card_tokens.get(ask.text("token")).cloned() else {
        return Reply::json(200, json!({"code": 300_020, "msg": "token format"}));
    };
    if now - made_ms > CLICK_TOKEN_MS {
        return Reply::json(200, json!({"code": 300_030, "msg": "token expired"}));
    }
    if uses >= CLICK_TOKEN_USES {
        return Reply::json(200, json!({"code": 300_040, "msg": "token used up"}));
    }
    if world.open_presses.get(&message_id).is_some_and(|open| *open > 0) {
        world.violation("card.update: a card was updated before its press was answered");
    }
    if let Err(reply) = card(world, "card.update", new.clone()) {
        return Reply::json(200, json!({"code": 11_311, "msg": reply.json["msg"]}));
    }
    if let Some(token) = world.card_tokens.get_mut(ask.text("token")) {
        token.2 += 1;
    }
    replace(world, &message_id, new, now);
    Reply::json(200, json!({"code": 0, "msg": "ok"}))
}
