//! The gateway: finds the route, then judges rate, faults, token and scopes, in that order, before the room behind.

use serde_json::{Value, json};

use super::super::faults::{Effect, Throttle, When, Wire};
use super::super::seal::sha256_hex;
use super::super::world::World;
use super::rates::Tier;
use super::{Ask, Caller, Origin, Reply};
use super::{auth, batches, consent, contacts, departments, groups, messages, oauth, patches, uploads};

/// Which token a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    Tenant,
    User,
    Either,
}

/// One route.
pub struct Route {
    /// What faults and logs call it.
    pub name: &'static str,
    method: &'static str,
    /// `:x` stands for one segment.
    pattern: &'static str,
    takes: Takes,
    tier: Tier,
    /// Any one of these is enough; none are needed where it is empty.
    scopes: &'static [&'static str],
    handler: fn(&mut World, &Ask) -> Reply,
}

const NO_SCOPES: &[&str] = &[];
const CONTACT: &[&str] = &[
    "contact:contact.base:readonly",
    "contact:department.organize:readonly",
    "contact:contact:access_as_app",
    "contact:contact:readonly",
    "contact:contact:readonly_as_app",
];
const SEARCH: &[&str] = &[
    "contact:contact.base:readonly",
    "search:department:read",
    "contact:contact:access_as_app",
    "contact:contact:readonly_as_app",
];
const WRITE: &[&str] = &["im:message", "im:message:send_as_bot", "im:message:send"];
const UPDATE: &[&str] = &["im:message", "im:message:send_as_bot", "im:message:update"];
const READ: &[&str] = &["im:message", "im:message:readonly"];
const FETCH: &[&str] = &["im:message", "im:message:readonly", "im:message.history:readonly"];
const RECALL: &[&str] = &["im:message", "im:message:recall", "im:message:send_as_bot"];
const BATCH: &[&str] = &["im:message:send_multi_users", "im:message:send_multi_depts"];
const RESOURCE: &[&str] = &["im:resource", "im:resource:upload"];
const USERS: &[&str] = &[
    "contact:contact.base:readonly",
    "contact:contact:access_as_app",
    "contact:contact:readonly",
    "contact:contact:readonly_as_app",
];
const USERS_BATCH: &[&str] = &["contact:contact.base:readonly"];
const USER_ID: &[&str] = &["contact:user.id:readonly"];
const GROUP: &[&str] = &["contact:group:readonly"];
const PROFILE: &[&str] = &["contact:user.basic_profile:readonly"];

const fn route(
    name: &'static str,
    method: &'static str,
    pattern: &'static str,
    takes: Takes,
    tier: Tier,
    scopes: &'static [&'static str],
    handler: fn(&mut World, &Ask) -> Reply,
) -> Route {
    Route { name, method, pattern, takes, tier, scopes, handler }
}

/// Everything the Open API origin answers to. Fixed words stand before `:names`, so the first match is the right one.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route("token", "POST", "/open-apis/auth/v3/tenant_access_token/internal", Takes::Nothing, Tier::Unlisted, NO_SCOPES, auth::tenant_access_token),
    route("app_token", "POST", "/open-apis/auth/v3/app_access_token/internal", Takes::Nothing, Tier::Unlisted, NO_SCOPES, auth::app_access_token),
    route("oauth", "POST", "/open-apis/authen/v2/oauth/token", Takes::Nothing, Tier::Four, NO_SCOPES, oauth::token),
    route("user_info", "GET", "/open-apis/authen/v1/user_info", Takes::User, Tier::Special, NO_SCOPES, oauth::user_info),
    route("departments.search", "POST", "/open-apis/contact/v3/departments/search", Takes::User, Tier::Special, SEARCH, departments::search),
    route("departments.batch", "GET", "/open-apis/contact/v3/departments/batch", Takes::Either, Tier::Four, CONTACT, departments::batch),
    route("departments.parent", "GET", "/open-apis/contact/v3/departments/parent", Takes::Either, Tier::Special, CONTACT, departments::parent),
    route("departments.children", "GET", "/open-apis/contact/v3/departments/:id/children", Takes::Either, Tier::Four, CONTACT, departments::children),
    route("departments.get", "GET", "/open-apis/contact/v3/departments/:id", Takes::Either, Tier::Special, CONTACT, departments::get),
    route("users.find_by_department", "GET", "/open-apis/contact/v3/users/find_by_department", Takes::Either, Tier::Four, CONTACT, contacts::find_by_department),
    route("users.batch_get_id", "POST", "/open-apis/contact/v3/users/batch_get_id", Takes::Tenant, Tier::Four, USER_ID, contacts::batch_get_id),
    route("users.basic_batch", "POST", "/open-apis/contact/v3/users/basic_batch", Takes::Tenant, Tier::PerSecond(5), PROFILE, contacts::basic_batch),
    route("users.batch", "GET", "/open-apis/contact/v3/users/batch", Takes::Either, Tier::Four, USERS_BATCH, contacts::batch),
    route("users.get", "GET", "/open-apis/contact/v3/users/:id", Takes::Either, Tier::Four, USERS, contacts::user),
    route("groups.members", "GET", "/open-apis/contact/v3/group/:id/member/simplelist", Takes::Tenant, Tier::Four, GROUP, groups::members),
    route("scopes", "GET", "/open-apis/contact/v3/scopes", Takes::Tenant, Tier::Four, CONTACT, contacts::scopes),
    route("application.scopes", "GET", "/open-apis/application/v6/scopes", Takes::Tenant, Tier::Special, NO_SCOPES, auth::scopes),
    route("bot_info", "GET", "/open-apis/bot/v3/info", Takes::Tenant, Tier::Unlisted, NO_SCOPES, auth::bot_info),
    route("batch_send", "POST", "/open-apis/message/v4/batch_send/", Takes::Tenant, Tier::Four, NO_SCOPES, batches::send),
    route("batch.progress", "GET", "/open-apis/im/v1/batch_messages/:id/get_progress", Takes::Tenant, Tier::Four, BATCH, batches::progress),
    route("batch.read_user", "GET", "/open-apis/im/v1/batch_messages/:id/read_user", Takes::Tenant, Tier::Four, BATCH, batches::read_user),
    route("batch.delete", "DELETE", "/open-apis/im/v1/batch_messages/:id", Takes::Tenant, Tier::Four, BATCH, batches::delete),
    route("messages.create", "POST", "/open-apis/im/v1/messages", Takes::Tenant, Tier::Four, WRITE, messages::create),
    route("messages.reply", "POST", "/open-apis/im/v1/messages/:id/reply", Takes::Tenant, Tier::Four, WRITE, messages::reply),
    route("messages.patch", "PATCH", "/open-apis/im/v1/messages/:id", Takes::Tenant, Tier::Four, UPDATE, patches::patch),
    route("messages.edit", "PUT", "/open-apis/im/v1/messages/:id", Takes::Tenant, Tier::Four, UPDATE, patches::edit),
    route("messages.get", "GET", "/open-apis/im/v1/messages/:id", Takes::Tenant, Tier::Four, READ, messages::get),
    route("messages.delete", "DELETE", "/open-apis/im/v1/messages/:id", Takes::Tenant, Tier::Four, RECALL, patches::delete),
    route("messages.resource", "GET", "/open-apis/im/v1/messages/:id/resources/:key", Takes::Tenant, Tier::Four, FETCH, uploads::resource),
    route("card.update", "POST", "/open-apis/interactive/v1/card/update", Takes::Tenant, Tier::Four, UPDATE, patches::delayed_update),
    route("images.create", "POST", "/open-apis/im/v1/images", Takes::Tenant, Tier::Four, RESOURCE, uploads::image),
    route("images.get", "GET", "/open-apis/im/v1/images/:key", Takes::Tenant, Tier::Four, NO_SCOPES, uploads::get_image),
    route("files.create", "POST", "/open-apis/im/v1/files", Takes::Tenant, Tier::Four, RESOURCE, uploads::file),
    route("files.get", "GET", "/open-apis/im/v1/files/:key", Takes::Tenant, Tier::Four, NO_SCOPES, uploads::get_file),
];

/// Codes after which the same request cannot succeed either: a caller that repeats it unchanged has not listened.
const FOR_GOOD: [i64; 14] = [
    230_001, 230_017, 230_025, 230_034, 10_003, 11_101, 11_227, 11_248, 11_312, 19_036, 40_015, 48_001, 99_992_402,
    230_054,
];

/// A judged request.
pub struct Outcome {
    pub endpoint: String,
    pub reply: Reply,
    pub wire: Option<Wire>,
    pub fault: Option<String>,
    pub token: &'static str,
}

/// Answers one request, and notes what should not have been asked.
pub fn answer(world: &mut World, origin: Origin, ask: &mut Ask) -> Outcome {
    for name in ["x-request-id", "request-id"] {
        if ask.header(name).is_some() {
            world.violation(format!("{name} was sent to {}", ask.path));
        }
    }
    let token = kind_of(ask);
    let plain = |endpoint: &str, reply| Outcome { endpoint: endpoint.into(), reply, wire: None, fault: None, token };
    if origin == Origin::Accounts {
        return plain("authorize", consent::page(world, ask));
    }
    let Some(route) = find(ask) else {
        return plain("unknown", unknown(world, ask));
    };
    let endpoint = match (route.name, ask.text("grant_type")) {
        ("oauth", "refresh_token") => "oauth.refresh",
        ("oauth", _) => "oauth.exchange",
        (name, _) => name,
    };
    if route.takes != Takes::Nothing {
        look_for_secrets(world, ask);
    }
    let (reply, wire, fault) = judge(world, route, endpoint, ask);
    Outcome { endpoint: endpoint.into(), reply, wire, fault, token }
}

fn judge(world: &mut World, route: &Route, endpoint: &str, ask: &mut Ask) -> (Reply, Option<Wire>, Option<String>) {
    if let Some(reply) = too_fast(world, route, endpoint) {
        return (reply, None, None);
    }
    let effect = strike(world, endpoint);
    let fault = effect.as_ref().map(|effect| format!("{effect:?}"));
    match effect {
        Some(Effect::Transport(When::BeforeAccept, wire)) => (bad_gateway(), Some(wire), fault),
        Some(Effect::Rate { throttle, reset_s }) => {
            if throttle != Throttle::NoHeaders {
                let now = world.now();
                let until = now + i64::try_from(reset_s).unwrap_or(i64::MAX / 2_000) * 1_000;
                world.rates.throttled.insert(endpoint.to_owned(), (now + 200, until - 50));
            }
            (throttled(throttle, 50, i64::try_from(reset_s).unwrap_or(i64::MAX)), None, fault)
        }
        Some(Effect::Code { http, code, msg, body }) => {
            (body.map_or_else(|| Reply::fail(http, code, &msg), |body| Reply::json(http, body)), None, fault)
        }
        Some(Effect::CodeAfterAccept { http, code, msg }) => {
            admit(world, route, ask);
            (Reply::fail(http, code, &msg), None, fault)
        }
        Some(Effect::Transport(When::AfterAccept, wire)) => {
            let reply = admit(world, route, ask);
            (if wire == Wire::Html502 { bad_gateway() } else { reply }, Some(wire), fault)
        }
        None => (admit(world, route, ask), None, None),
    }
}

fn bad_gateway() -> Reply {
    Reply::html(502, "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>")
}

fn throttled(throttle: Throttle, limit: u32, reset_s: i64) -> Reply {
    let status = if throttle == Throttle::Http400 { 400 } else { 429 };
    let reply = Reply::json(status, json!({"code": 99_991_400, "msg": "request trigger frequency limit"}));
    if throttle == Throttle::NoHeaders {
        return reply;
    }
    reply.with("x-ogw-ratelimit-limit", limit).with("x-ogw-ratelimit-reset", reset_s)
}

fn too_fast(world: &mut World, route: &Route, endpoint: &str) -> Option<Reply> {
    let now = world.now();
    if let Some((from, until)) = world.rates.throttled.get(endpoint).copied()
        && (from..until).contains(&now)
    {
        world.violation(format!("{endpoint} was called {} ms before the promised reset", until - now));
    }
    let (limit, reset_s) = world.rates.hit(endpoint, route.tier, now)?;
    if !world.switches.rates {
        return None;
    }
    world.violation(format!("{endpoint} was called more than {limit} times in its window"));
    Some(throttled(Throttle::Headers, limit, reset_s))
}

/// Takes the fault that strikes this call, if one lies in wait.
fn strike(world: &mut World, endpoint: &str) -> Option<Effect> {
    let mut struck = None;
    for fault in world.faults.iter_mut().filter(|fault| fault.endpoint == endpoint) {
        if fault.skip > 0 {
            fault.skip -= 1;
            continue;
        }
        fault.times = fault.times.saturating_sub(1);
        struck = Some(fault.effect.clone());
        break;
    }
    world.faults.retain(|fault| fault.times > 0);
    struck
}

/// Token and scopes, then the room itself; refusals for good are remembered.
fn admit(world: &mut World, route: &Route, ask: &mut Ask) -> Reply {
    if matches!(route.method, "POST" | "PUT" | "PATCH") {
        let kind = ask.header("content-type").unwrap_or_default();
        // An official SDK leaves it out now and then, and is served.
        if !["", "application/json", "multipart/form-data"].contains(&kind.split(';').next().unwrap_or_default().trim())
        {
            world.violation(format!("{} was sent as {kind:?}", route.name));
        }
    }
    ask.caller = match auth::caller(world, route.takes, route.name, ask) {
        Ok(caller) => caller,
        Err(reply) => return reply,
    };
    if ask.caller != Caller::Nobody && !world.app.enabled {
        return Reply::fail(400, 99_991_662, "app not in use");
    }
    if let Some(reply) = out_of_scope(world, route, ask) {
        return reply;
    }
    let fingerprint = sha256_hex(format!("{} {} {:?} {}", route.name, ask.path, ask.query, ask.json).as_bytes());
    if ask.json.is_object()
        && let Some(code) = world.refused.get(&fingerprint)
    {
        let repeated = format!("{} was repeated unchanged after {code}", route.name);
        world.violation(repeated);
    }
    let reply = (route.handler)(world, ask);
    if let Some(code) = reply.json.get("code").and_then(Value::as_i64).filter(|code| FOR_GOOD.contains(code)) {
        world.refused.insert(fingerprint, code);
    }
    reply
}

fn out_of_scope(world: &mut World, route: &Route, ask: &Ask) -> Option<Reply> {
    if route.scopes.is_empty() {
        return None;
    }
    let reply = lacks_scope(world, &ask.caller, route.scopes)?;
    if ask.caller == Caller::App && route.pattern.contains("/im/v1/") {
        return Some(Reply::fail(400, 230_027, "Lack of necessary permissions"));
    }
    Some(reply)
}

/// The refusal of a caller who has none of these scopes.
pub fn lacks_scope(world: &mut World, caller: &Caller, scopes: &[&str]) -> Option<Reply> {
    let (held, code, status) = match caller {
        Caller::Nobody => return None,
        Caller::User(_, scopes) => (scopes, 99_991_679, 401),
        Caller::App => (&world.app.tenant_scopes, 99_991_672, 400),
    };
    if scopes.iter().any(|scope| held.contains(*scope)) {
        return None;
    }
    // Both shapes of the violations list are seen in the wild.
    let violations: Vec<Value> = if world.chance(2) {
        scopes.iter().map(|s| json!({"type": "action_privilege_required", "subject": s})).collect()
    } else {
        scopes.iter().map(|s| json!({"scope": s, "url": "https://open.feishu.cn/app"})).collect()
    };
    let msg = format!("Access denied. One of the following scopes is required: {scopes:?}");
    let error = json!({"log_id": "2026120100000000", "permission_violations": violations});
    Some(Reply::json(status, json!({"code": code, "msg": msg, "error": error})))
}

/// What kind of token the request carries, for the log.
fn kind_of(ask: &Ask) -> &'static str {
    match ask.header("authorization") {
        None => "none",
        Some(value) if value.starts_with("Bearer t-") => "tenant",
        Some(value) if value.starts_with("Bearer eyJ") || value.starts_with("Bearer u-") => "user",
        Some(_) => "other",
    }
}

/// No secret belongs into an address, a message or a card.
fn look_for_secrets(world: &mut World, ask: &Ask) {
    let query: Vec<&str> = ask.query.iter().map(|(_, value)| value.as_str()).collect();
    let body = String::from_utf8_lossy(&ask.bytes);
    let seen = format!("{} {} {body}", ask.path, query.join(" "));
    let app = &world.app;
    let mut secrets = vec![("the app secret", app.app_secret.clone())];
    secrets.push(("the verification token", app.verification_token.clone()));
    secrets.extend(app.encrypt_key.clone().map(|key| ("the encrypt key", key)));
    secrets.extend(world.tenant_tokens.iter().map(|token| ("a tenant token", token.token.clone())));
    for grant in &world.grants {
        secrets.push(("an access token", grant.access_token.clone()));
        secrets.extend(grant.refresh_token.clone().map(|token| ("a refresh token", token)));
    }
    if let Some((name, _)) = secrets.into_iter().find(|(_, secret)| seen.contains(secret.as_str())) {
        world.violation(format!("{name} was sent in a request to {}", ask.path));
    }
}

fn unknown(world: &mut World, ask: &Ask) -> Reply {
    if ask.path == "/open-apis/message/v4/batch_send" {
        world.violation("batch_send was called without its trailing slash");
    } else if ask.path.ends_with("/authen/v1/authorize") {
        world.violation("the consent page was opened on the Open API origin");
    } else if ask.path.ends_with("/sessions/logout") {
        world.violation("sessions/logout would log the person out of every client");
    } else {
        world.violation(format!("{} {} is no route of the platform", ask.method, ask.path));
    }
    let other_method = ROUTES.iter().any(|route| captures(route.pattern, &ask.path).is_some());
    if other_method {
        return Reply::fail(405, 99_991_301, "method not allowed");
    }
    Reply::fail(404, 99_991_201, "path not found")
}

fn find(ask: &mut Ask) -> Option<&'static Route> {
    ROUTES.iter().find(|route| {
        let found = if route.method == ask.method { captures(route.pattern, &ask.path) } else { None };
        found.map(|params| ask.params = params).is_some()
    })
}

/// The decoded values of a pattern's `:names` where the path fits it.
fn captures(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (wanted, given): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let mut params = vec![];
    for (wanted, given) in wanted.into_iter().zip(given) {
        match wanted.starts_with(':') {
            true if !given.is_empty() => params.push(decoded(given)),
            false if wanted == given => {}
            _ => return None,
        }
    }
    Some(params)
}

/// A path segment without its percent signs.
fn decoded(segment: &str) -> String {
    let mut bytes = vec![];
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_to_the_slash_and_decoded() {
        assert_eq!(captures("/a/:id/b", "/a/x%2Fy/b"), Some(vec!["x/y".into()]));
        assert_eq!(captures("/a/b/", "/a/b"), None);
        assert_eq!(captures("/a/:id", "/a/"), None);
    }
}
