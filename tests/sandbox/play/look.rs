//! What the page gets to see of the tenant, as JSON. Reads only; what it shows is made from the tenant each time.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use crate::sandbox;
use crate::sandbox::world::{Author, World};
use crate::sandbox::{Call, ChatMessage, Company, Delivered, Employee, Push, Tenant};

/// What a newcomer says first: in the walk of the page, and in the line this program prints.
pub const FIRST_COMMAND: &str = "/broadcast 销售部 明天下午三点全员会";

/// Who the newcomer is at first.
pub const FIRST_ADMIN: &str = "王芳";

/// Whom the playground's rules let address everyone.
pub const EVERYONES_ADMIN: &str = "周明";

/// Entries of the log in one answer; a page that was away for longer has missed the older ones.
const LOG_MAX: usize = 150;

/// Objections of the platform in one answer.
const VIOLATIONS_MAX: usize = 20;

/// The company: who is there, where they sit, and whom a newcomer should be first.
pub fn world(company: &Company, run: &str, faults: &Value) -> Value {
    let alive: Vec<_> = company.departments.iter().filter(|department| !department.deleted).collect();
    let paths: HashMap<&str, &str> = alive.iter().map(|d| (d.open_department_id.as_str(), d.path.as_str())).collect();
    let staff: Vec<&Employee> = company.people.iter().filter(|person| !person.resigned).collect();
    let people: Vec<Value> = staff
        .iter()
        .map(|person| {
            let departments: Vec<&String> =
                person.departments.iter().filter(|id| paths.contains_key(id.as_str())).collect();
            let named: Vec<&str> = departments.iter().map(|id| paths[id.as_str()]).collect();
            json!({"open_id": person.open_id, "name": person.name, "roles": roles(person), "departments": departments,
                "paths": named, "available": person.available})
        })
        .collect();
    let departments: Vec<Value> = alive
        .iter()
        .map(|department| {
            let id = &department.open_department_id;
            let members: Vec<&str> =
                staff.iter().filter(|p| p.departments.contains(id)).map(|p| p.open_id.as_str()).collect();
            json!({"id": id, "open_department_id": id, "name": department.name, "parent": department.parent,
                "path": department.path, "headcount": company.members(id).len(), "members": members})
        })
        .collect();
    let groups: Vec<Value> = company
        .groups
        .iter()
        .map(|group| json!({"chat_id": group.chat_id, "name": group.name, "members": group.members, "bot": group.bot_inside}))
        .collect();
    let menu: Vec<Value> =
        sandbox::menu().iter().map(|item| json!({"zh": item.zh, "en": item.en, "event_key": item.event_key})).collect();
    let first = |wanted: fn(&Employee) -> bool| staff.iter().find(|p| wanted(p)).map(|p| p.open_id.as_str());
    json!({
        "company": company.name,
        "people": people,
        "departments": departments,
        "groups": groups,
        "faults": faults,
        "menu": menu,
        "hint": {
            "run": run,
            "command": FIRST_COMMAND,
            "admin": first(|p| p.admin && !p.approver).or_else(|| first(|p| p.admin)),
            "approver": first(|p| p.approver && !p.admin).or_else(|| first(|p| p.approver)),
            "staff": first(|p| !p.admin && !p.approver && p.available && !p.departments.is_empty()),
        },
    })
}

fn roles(person: &Employee) -> Vec<&'static str> {
    let held = [(person.admin, "admin"), (person.approver, "approver")];
    held.into_iter().filter(|(held, _)| *held).map(|(_, role)| role).collect()
}

/// A number that differs whenever the page would look different. It fits into a JavaScript number.
pub fn revision(world: &mut World) -> u64 {
    world.settle();
    let mut hasher = DefaultHasher::new();
    // Every request and every message takes a number from the counter; the rest changes without one.
    world.counter.hash(&mut hasher);
    world.offset_ms.load(Ordering::SeqCst).hash(&mut hasher);
    world.violations.len().hash(&mut hasher);
    for message in &world.messages {
        (message.edits, message.deleted).hash(&mut hasher);
    }
    for copy in world.inboxes.values().flatten() {
        copy.recalled.hash(&mut hasher);
    }
    for fault in &world.faults {
        (&fault.endpoint, fault.skip, fault.times).hash(&mut hasher);
    }
    world.tenant_tokens.iter().for_each(|token| token.revoked.hash(&mut hasher));
    world.grants.iter().for_each(|grant| grant.revoked.hash(&mut hasher));
    hasher.finish() >> 12
}

/// Everything that moves, as seen by one person; without one the chat is empty. `log_after` is the newest log entry
/// the page has.
pub fn state(tenant: &Tenant, who: Option<&str>, log_after: u64) -> Value {
    let person = who.and_then(|open_id| tenant.person_by_id(open_id));
    let chat = person.map_or(vec![], |person| person.chat());
    let files = tenant.with(|world| {
        world.files.iter().map(|(key, upload)| (key.clone(), upload.name.clone())).collect::<HashMap<_, _>>()
    });
    let mentions = tenant.with(|world| {
        chat.iter()
            .map(|m| world.message(&m.message_id).map_or(Value::Null, |m| m.mentions.clone()))
            .collect::<Vec<_>>()
    });
    let (by_person, now_ms, violations) = tenant.with(|world| {
        let got: BTreeMap<String, usize> = world
            .inboxes
            .iter()
            .filter(|(_, inbox)| !inbox.is_empty())
            .map(|(who, inbox)| (who.clone(), inbox.len()))
            .collect();
        let newest = world.violations.len().saturating_sub(VIOLATIONS_MAX);
        (got, world.now(), world.violations[newest..].to_vec())
    });
    json!({
        "now_ms": now_ms,
        "chat": chat.iter().zip(&mentions).map(|(message, who)| chat_message(message, who, &files)).collect::<Vec<_>>(),
        "deliveries": {"total": by_person.values().sum::<usize>(), "people": by_person.len(), "by_person": by_person},
        "log": log(tenant, log_after),
        "violations": violations,
    })
}

fn chat_message(message: &ChatMessage, mentions: &Value, files: &HashMap<String, String>) -> Value {
    let mut content = message.content.clone();
    if let Some(text) = content.get("text").and_then(Value::as_str) {
        content["text"] = with_names(text, mentions).into();
    }
    let name = content.get("file_key").and_then(Value::as_str).and_then(|key| files.get(key));
    if let (Some(name), Some(fields)) = (name, content.as_object_mut()) {
        fields.entry("file_name").or_insert_with(|| name.as_str().into());
    }
    let mut shown = json!({"id": message.message_id, "from": if message.from_bot { "bot" } else { "me" },
        "msg_type": message.msg_type, "content": content, "at_ms": message.at_ms, "edits": message.edits,
        "recalled": message.deleted});
    if message.edits > 0 {
        shown["edited_ms"] = message.updated_ms.into();
    }
    if let Some(parent) = &message.parent_id {
        shown["reply_to"] = parent.as_str().into();
    }
    shown
}

/// A text as its reader sees it: names for the keys that stand for mentions.
fn with_names(text: &str, mentions: &Value) -> String {
    let known = mentions.as_array().into_iter().flatten();
    let mut known: Vec<(&str, &str)> =
        known.filter_map(|mention| Some((mention["key"].as_str()?, mention["name"].as_str()?))).collect();
    // The key of the tenth mention begins with the key of the first.
    known.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
    known.iter().fold(text.to_owned(), |text, (key, name)| text.replace(key, &format!("@{name}")))
}

/// How many messages the bot has written to each person; the page's red dots are the difference to what was seen.
pub fn written_by_bot(world: &World) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for message in world.messages.iter().filter(|message| message.author == Author::Bot) {
        if let Some(open_id) = world.p2p.get(&message.chat_id) {
            *counts.entry(open_id.clone()).or_default() += 1;
        }
    }
    counts
}

/// The newest entries after `number`, in the order in which they happened.
fn log(tenant: &Tenant, number: u64) -> Vec<Value> {
    let (calls, pushes) = tenant.log_since(number);
    let mut entries: Vec<(u64, Value)> = calls.iter().map(|call| (call.number, call_entry(call))).collect();
    entries.extend(pushes.iter().map(|push| (push.number, push_entry(push))));
    entries.sort_by_key(|(number, _)| *number);
    let older = entries.len().saturating_sub(LOG_MAX);
    entries.drain(..older);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn call_entry(call: &Call) -> Value {
    let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
    json!({"n": call.number, "at_ms": call.at_ms, "direction": "call", "title": format!("{} {}{query}", call.method, call.path),
        "status": call.status, "code": call.code(), "ms": call.elapsed_ms, "request": call.request,
        "response": call.response, "fault": call.fault})
}

fn push_entry(push: &Push) -> Value {
    let again = if push.attempt > 1 { format!(" · {}", push.attempt) } else { String::new() };
    let answer = serde_json::from_str::<Value>(&push.answer).unwrap_or_else(|_| push.answer.clone().into());
    json!({"n": push.number, "at_ms": push.at_ms, "direction": "event", "title": format!("{}{again}", push.event_type),
        "status": push.status, "code": Value::Null, "ms": push.elapsed_ms, "request": push.event, "response": answer})
}

/// One person's inbox.
pub fn inbox(copies: &[Delivered]) -> Vec<Value> {
    let seen = |copy: &Delivered| {
        json!({"bm": copy.bm_id, "msg_type": copy.msg_type, "content": copy.content, "at_ms": copy.at_ms,
            "read": copy.read_at_ms.is_some(), "recalled": copy.recalled})
    };
    copies.iter().map(seen).collect()
}

/// Where everything is and how to speak to it, for programs that meet the playground.
pub fn connection(tenant: &Tenant, bot_url: &str, public_url: &str) -> Value {
    tenant.with(|world| {
        let open_ids = |wanted: fn(&Employee) -> bool| -> Vec<&str> {
            world.company.people.iter().filter(|p| wanted(p)).map(|p| p.open_id.as_str()).collect()
        };
        let mut told: Map<String, Value> = Map::new();
        told.insert("tenant_url".into(), world.open_origin.as_str().into());
        told.insert("accounts_url".into(), world.accounts_origin.as_str().into());
        told.insert("bot_url".into(), bot_url.into());
        told.insert("public_url".into(), public_url.into());
        told.insert("app_id".into(), world.app.app_id.as_str().into());
        told.insert("app_secret".into(), world.app.app_secret.as_str().into());
        told.insert("encrypt_key".into(), world.app.encrypt_key.as_deref().into());
        told.insert("verification_token".into(), world.app.verification_token.as_str().into());
        told.insert("admins".into(), open_ids(|p| p.admin).into());
        told.insert("approvers".into(), open_ids(|p| p.approver).into());
        Value::Object(told)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_are_shown_by_name_and_the_tenth_is_not_taken_for_the_first() {
        let mentions = json!([{"key": "@_user_1", "name": "王芳"}, {"key": "@_user_10", "name": "赵磊"}]);
        assert_eq!(with_names("@_user_10 和 @_user_1 和 @_user_2", &mentions), "@赵磊 和 @王芳 和 @_user_2");
    }

    #[tokio::test]
    async fn the_revision_changes_with_what_people_see_and_stays_otherwise() {
        let tenant = Tenant::open(Company::small());
        let before = tenant.with(revision);
        assert_eq!(tenant.with(revision), before);
        tenant.person("王芳").text_event("/help");
        let said = tenant.with(revision);
        assert_ne!(said, before);
        assert!(said < 1 << 53, "JavaScript keeps every digit");
        tenant.close().await;
    }
}
