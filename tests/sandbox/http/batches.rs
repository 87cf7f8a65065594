//! `batch_send` and what follows it. Errors of `batch_send` come with HTTP 200.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::batch::Task;
use super::super::cards;
use super::super::faults::{AllInvalid, UnavailableMode};
use super::super::people::Employee;
use super::super::seal::sha256_hex;
use super::super::world::World;
use super::{Ask, Reply};

/// Ids per list. Source: batch_send, "request body".
const IDS_MAX: usize = 200;
const TEXT_BYTES_MAX: usize = 150 * 1024;
const RICH_BYTES_MAX: usize = 30 * 1024;
/// get_progress and its like answer for 30 days.
const MEMORY_MS: i64 = 30 * 86_400_000;
/// Days change at midnight in Beijing.
const BEIJING_MS: i64 = 8 * 3_600_000;
const DAY_MS: i64 = 86_400_000;

const LISTS: [&str; 4] = ["department_ids", "open_ids", "user_ids", "union_ids"];

/// A refusal: the code, and why. `strict` ones are the caller's own fault and a violation.
struct Refusal {
    code: i64,
    msg: String,
    strict: bool,
}

fn wrong(code: i64, msg: impl Into<String>) -> Refusal {
    Refusal { code, msg: msg.into(), strict: true }
}

fn denied(code: i64, msg: impl Into<String>) -> Refusal {
    Refusal { code, msg: msg.into(), strict: false }
}

/// `message/v4/batch_send/`
pub fn send(world: &mut World, ask: &Ask) -> Reply {
    match accept(world, ask) {
        Ok(reply) => reply,
        Err(refusal) => {
            if refusal.strict {
                world.violation(format!("batch_send: {} {}", refusal.code, refusal.msg));
            }
            Reply::json(200, json!({"code": refusal.code, "msg": refusal.msg}))
        }
    }
}

fn accept(world: &mut World, ask: &Ask) -> Result<Reply, Refusal> {
    let body = ask.json.as_object().ok_or_else(|| wrong(10_003, "the body is no JSON object"))?;
    let known = ["msg_type", "content", "card", "department_ids", "open_ids", "user_ids", "union_ids"];
    if let Some(stranger) = body.keys().find(|key| !known.contains(&key.as_str())) {
        world.violation(format!("batch_send knows no field {stranger}"));
    }
    let lists = LISTS.map(|key| ids(&ask.json, key));
    let [departments, open_ids, user_ids, union_ids] = lists;
    let (departments, open_ids, user_ids, union_ids) = (departments?, open_ids?, user_ids?, union_ids?);
    if departments.len() + open_ids.len() + user_ids.len() + union_ids.len() == 0 {
        return Err(wrong(10_003, "no receivers"));
    }
    if departments.iter().any(|id| id == "0") {
        return Err(wrong(10_003, "the root department is not allowed"));
    }
    permitted(world, !departments.is_empty(), open_ids.len() + user_ids.len() + union_ids.len() > 0)?;
    content(world, ask)?;
    let mut audience = Audience::default();
    for id in departments {
        match world.company.department_by_id(&id).filter(|_| !world.switches.batch_invalid.contains(&id)) {
            Some(department) => audience.people(world.company.members(&department.open_department_id)),
            None => audience.invalid[0].push(id),
        }
    }
    for (list, ids) in [(1, open_ids), (2, user_ids), (3, union_ids)] {
        for id in ids {
            let named = |p: &&Employee| !p.resigned && id == *[&p.open_id, &p.user_id, &p.union_id][list - 1];
            let person = world.company.people.iter().find(named);
            let reachable = |p: &&Employee| p.available || world.switches.unavailable == UnavailableMode::Silent;
            match person.filter(reachable).filter(|_| !world.switches.batch_invalid.contains(&id)) {
                Some(person) => audience.people(vec![person]),
                None => audience.invalid[list].push(id),
            }
        }
    }
    within_quota(world, audience.recipients.len())?;
    Ok(take_in(world, ask, audience))
}

/// Whom a call reaches: everybody once, however often named.
#[derive(Default)]
struct Audience {
    counted: BTreeSet<String>,
    recipients: Vec<String>,
    invalid: [Vec<String>; 4],
}

impl Audience {
    fn people(&mut self, people: Vec<&Employee>) {
        for person in people {
            if self.counted.insert(person.open_id.clone()) && person.available {
                self.recipients.push(person.open_id.clone());
            }
        }
    }
}

fn take_in(world: &mut World, ask: &Ask, audience: Audience) -> Reply {
    let [departments, open_ids, user_ids, union_ids] = audience.invalid;
    let nobody = audience.counted.is_empty();
    if nobody && world.switches.all_invalid == AllInvalid::Refused {
        return Reply::json(200, json!({"code": 10_003, "msg": "all receivers are invalid"}));
    }
    let bm_id = world.fresh_id("bm-");
    let mut data = json!({"invalid_department_ids": departments, "invalid_open_ids": open_ids,
        "invalid_user_ids": user_ids, "invalid_union_ids": union_ids});
    if nobody && world.switches.all_invalid == AllInvalid::NoMessageId {
        return Reply::json(200, json!({"code": 0, "msg": "ok", "data": data}));
    }
    data["message_id"] = bm_id.clone().into();
    // Lists may be absent, null or empty: all three mean the same.
    for key in ["invalid_department_ids", "invalid_open_ids", "invalid_user_ids", "invalid_union_ids"] {
        if data[key] == json!([]) && world.chance(3) {
            data[key] = Value::Null;
        }
    }
    let spoken = json!([ask.json["msg_type"], ask.json["content"], ask.json["card"]]);
    let now = world.now();
    world.enqueue(Task {
        bm_id,
        body: ask.json.clone(),
        fingerprint: sha256_hex(ask.json.to_string().as_bytes()),
        content_hash: sha256_hex(spoken.to_string().as_bytes()),
        accepted_ms: now,
        starts_ms: 0,
        ends_ms: 0,
        valid: audience.counted.len(),
        recipients: audience.recipients,
        delivered: 0,
        recalled_ms: None,
        recall_count: 0,
        polls: 0,
        invalid_department_ids: departments,
        invalid_open_ids: open_ids,
        invalid_user_ids: user_ids,
        invalid_union_ids: union_ids,
    });
    Reply::json(200, json!({"code": 0, "msg": "ok", "data": data}))
}

fn ids(body: &Value, key: &str) -> Result<Vec<String>, Refusal> {
    let Some(list) = body.get(key) else { return Ok(vec![]) };
    let strings = list.as_array().map(|list| list.iter().map(|id| id.as_str().map(str::to_owned)).collect());
    let Some(Some(ids)) = strings else {
        return Err(wrong(10_003, format!("{key} is no list of strings")));
    };
    let ids: Vec<String> = ids;
    if ids.len() > IDS_MAX {
        return Err(wrong(10_003, format!("{key} has {} ids, 200 are the most", ids.len())));
    }
    if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        return Err(wrong(10_003, format!("{key} names an id twice")));
    }
    Ok(ids)
}

fn permitted(world: &World, departments: bool, people: bool) -> Result<(), Refusal> {
    let app = &world.app;
    if !app.bot_ability {
        return Err(denied(11_205, "App do not have bot."));
    }
    if !app.tenant_scopes.contains("im:message") && !app.tenant_scopes.contains("im:message:send_as_bot") {
        return Err(denied(11_223, "Do not have im write permission."));
    }
    if departments && !app.tenant_scopes.contains("im:message:send_multi_depts") {
        return Err(denied(11_204, "Send department list permission denied."));
    }
    if people && !app.tenant_scopes.contains("im:message:send_multi_users") {
        return Err(denied(11_203, "Send employee ids permission denied."));
    }
    Ok(())
}

fn content(world: &World, ask: &Ask) -> Result<(), Refusal> {
    let (content, card) = (ask.json.get("content"), ask.json.get("card"));
    let msg_type = ask.text("msg_type");
    let part = match (msg_type, content, card) {
        ("interactive", None, Some(card)) => card,
        ("text" | "image" | "post" | "share_chat", Some(content), None) => content,
        ("text" | "image" | "post" | "share_chat" | "interactive", _, _) => {
            return Err(wrong(10_003, "exactly one of content and card, as the type wants it"));
        }
        _ => return Err(wrong(10_003, format!("unknown msg_type {msg_type:?}"))),
    };
    if !part.is_object() {
        return Err(wrong(10_003, "content and card are objects here, not strings"));
    }
    let (most, code) = if msg_type == "text" { (TEXT_BYTES_MAX, 10_003) } else { (RICH_BYTES_MAX, 19_036) };
    if ask.bytes.len() > most {
        return Err(wrong(code, format!("the body has {} bytes, {most} are the most", ask.bytes.len())));
    }
    let string = |key: &str| part.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    match msg_type {
        "text" => plain(string("text").ok_or_else(|| wrong(11_246, "text is missing"))?),
        "image" => match string("image_key") {
            Some(key) if world.images.contains_key(key) => Ok(()),
            _ => Err(wrong(11_227, "Image key not exist.")),
        },
        "share_chat" => {
            let chat = string("share_chat_id").ok_or_else(|| wrong(11_246, "share_chat_id is missing"))?;
            let inside = world.company.groups.iter().any(|group| group.chat_id == chat && group.bot_inside);
            if inside { Ok(()) } else { Err(denied(11_231, "Chat not found.")) }
        }
        "post" => rich(world, &part["post"]),
        _ if part["type"] == "template" => match part.pointer("/data/template_id").and_then(Value::as_str) {
            Some(_) => Ok(()),
            None => Err(wrong(11_246, "a template needs its template_id")),
        },
        _ => {
            cards::check(part).map_err(|error| wrong(11_246, error.to_string()))?;
            match cards::image_keys(part).iter().find(|key| !world.images.contains_key(*key)) {
                Some(key) => Err(wrong(11_246, format!("ErrCode: 200570; ErrMsg: image key {key} is not ours"))),
                None => Ok(()),
            }
        }
    }
}

/// Text here knows no markup; what looks like it would be read differently by different clients.
fn plain(text: &str) -> Result<(), Refusal> {
    if text.contains("<at ") {
        return Err(wrong(11_246, "a live <at> in the text"));
    }
    if text.contains("](http") {
        return Err(wrong(11_246, "a [label](url) in the text"));
    }
    Ok(())
}

fn rich(world: &World, post: &Value) -> Result<(), Refusal> {
    let locales = post.as_object().filter(|locales| !locales.is_empty());
    for (locale, body) in locales.ok_or_else(|| wrong(11_246, "post has no locale"))? {
        if !["zh_cn", "en_us", "ja_jp", "zh_hk", "zh_tw", "ko_kr", "fr_fr", "de_de", "es_es"].contains(&locale.as_str())
        {
            return Err(wrong(11_246, format!("unknown locale {locale}")));
        }
        let paragraphs = body["content"].as_array().ok_or_else(|| wrong(11_246, "content is no list of paragraphs"))?;
        for paragraph in paragraphs {
            let nodes = paragraph.as_array().ok_or_else(|| wrong(11_246, "a paragraph is a list of nodes"))?;
            for node in nodes {
                rich_node(world, node, nodes.len())?;
            }
        }
    }
    Ok(())
}

fn rich_node(world: &World, node: &Value, neighbours: usize) -> Result<(), Refusal> {
    if node.get("style").is_some() {
        return Err(wrong(11_246, "style is not known here"));
    }
    let has = |key: &str| node.get(key).is_some_and(Value::is_string);
    match node["tag"].as_str().unwrap_or_default() {
        "text" if has("text") => Ok(()),
        "a" if has("text") && node["href"].as_str().is_some_and(|href| href.contains("://")) => Ok(()),
        "at" if node["user_id"] == "all" => Err(denied(11_235, "This group is set to only admin can mention @All.")),
        "at" if has("user_id") => Ok(()),
        "img" if neighbours > 1 => Err(wrong(11_246, "an img stands alone in its paragraph")),
        "img" if node["image_key"].as_str().is_some_and(|key| world.images.contains_key(key)) => Ok(()),
        "img" => Err(wrong(11_227, "Image key not exist.")),
        other => Err(wrong(11_246, format!("a node {other:?} is not known here, or lacks something"))),
    }
}

fn within_quota(world: &World, more: usize) -> Result<(), Refusal> {
    let day = |at: i64| (at + BEIJING_MS).div_euclid(DAY_MS);
    let today = day(world.now());
    let used: usize =
        world.tasks.iter().filter(|task| day(task.accepted_ms) == today).map(|task| task.recipients.len()).sum();
    if used + more > world.switches.batch_quota {
        return Err(denied(11_247, "Internal send message trigger rate limit."));
    }
    Ok(())
}

/// A batch by the id in the path, from when it is known to when it is forgotten. Source: contract "following up",
/// 230030 right after sending.
fn remembered(world: &World, ask: &Ask) -> Result<usize, Reply> {
    if !ask.params[0].starts_with("bm-") {
        return Err(Reply::fail(400, 230_001, "not a batch message id"));
    }
    let known = |task: &Task| {
        task.bm_id == ask.params[0]
            && (world.switches.unheard_of_ms..MEMORY_MS).contains(&(world.now() - task.accepted_ms))
    };
    world.tasks.iter().position(known).ok_or_else(|| Reply::fail(400, 230_030, "the batch message was not found"))
}

fn bot_is_off(world: &World) -> Option<Reply> {
    (!world.app.bot_ability).then(|| Reply::fail(400, 230_006, "Bot ability is not activated."))
}

/// `get_progress`
pub fn progress(world: &mut World, ask: &Ask) -> Reply {
    if let Some(off) = bot_is_off(world) {
        return off;
    }
    let at = match remembered(world, ask) {
        Ok(at) => at,
        Err(reply) => return reply,
    };
    let (valid, success, read) = counts(world, at);
    let task = &world.tasks[at];
    Reply::ok(json!({
        "batch_message_send_progress": {"valid_user_ids_count": valid, "success_user_ids_count": success, "read_user_ids_count": read},
        "batch_message_recall_progress": {"recall": task.recalled_ms.is_some(), "recall_count": task.recall_count}}))
}

/// How far a batch is: valid, reached, read. The script of a story goes one step further with each question.
fn counts(world: &mut World, at: usize) -> (i64, i64, i64) {
    let now = world.now();
    let read = world.readers(&world.tasks[at].bm_id);
    let script = world.switches.progress.clone();
    let task = &mut world.tasks[at];
    task.polls += 1;
    if let Some(step) = script.get(task.polls - 1).or(script.last()) {
        return *step;
    }
    let valid = if now < task.starts_ms { 0 } else { task.valid };
    let count = |count: usize| i64::try_from(count).expect("a company fits");
    (count(valid), count(task.delivered), count(read))
}

/// `read_user`: the counts are strings, and the total is the number pushed.
pub fn read_user(world: &mut World, ask: &Ask) -> Reply {
    match remembered(world, ask) {
        Err(reply) => reply,
        Ok(at) => {
            let (_, pushed, read) = counts(world, at);
            Reply::ok(json!({"read_user": {"read_count": read.to_string(), "total_count": pushed.to_string()}}))
        }
    }
}

/// `delete`: an asynchronous recall; a second one is harmless.
pub fn delete(world: &mut World, ask: &Ask) -> Reply {
    if let Some(off) = bot_is_off(world) {
        return off;
    }
    let at = match remembered(world, ask) {
        Ok(at) => at,
        Err(reply) => return reply,
    };
    if let Some(code) = world.switches.recall_code {
        return Reply::fail(400, code, "recall refused");
    }
    let now = world.now();
    if now - world.tasks[at].accepted_ms > world.switches.recall_window_ms {
        return Reply::fail(400, 230_009, "This message has passed the recallable period.");
    }
    world.tasks[at].recalled_ms.get_or_insert(now);
    Reply::ok(json!({}))
}
