//! The app's own token, who a token belongs to, and what the bot is.

use serde_json::json;

use super::super::world::{TenantToken, World};
use super::gate::Takes;
use super::{Ask, Caller, Reply};

/// A token lives two hours, and a new one is made once less than half an hour is left.
const LIFE_MS: i64 = 7_200_000;
const OVERLAP_MS: i64 = 1_800_000;

/// How long after its end a token may still be tried, in ms: clocks and flights differ that much.
const GRACE_MS: i64 = 1_000;

/// `auth/v3/tenant_access_token/internal`: errors come with HTTP 200.
pub fn tenant_access_token(world: &mut World, ask: &Ask) -> Reply {
    let (app_id, secret) = (ask.text("app_id"), ask.text("app_secret"));
    if app_id.is_empty() || secret.is_empty() {
        return Reply::json(200, json!({"code": 10_003, "msg": "invalid param"}));
    }
    if app_id != world.app.app_id || !world.app.enabled {
        return Reply::json(200, json!({"code": 10_014, "msg": "app id not exists"}));
    }
    if secret != world.app.app_secret {
        return Reply::json(200, json!({"code": 10_015, "msg": "app secret invalid"}));
    }
    let now = world.now();
    let fresh =
        world.tenant_tokens.last().filter(|token| !token.revoked && token.expires_ms - now >= OVERLAP_MS).cloned();
    let token = fresh.unwrap_or_else(|| {
        let token = TenantToken { token: world.fresh_id("t-"), expires_ms: now + LIFE_MS, revoked: false };
        world.tenant_tokens.push(token.clone());
        token
    });
    let expire = world.switches.claims_expiry_s.unwrap_or((token.expires_ms - now) / 1_000);
    Reply::json(200, json!({"code": 0, "msg": "ok", "tenant_access_token": token.token, "expire": expire}))
}

/// `auth/v3/app_access_token/internal`: the same token under a second name.
pub fn app_access_token(world: &mut World, ask: &Ask) -> Reply {
    let mut reply = tenant_access_token(world, ask).json;
    if let Some(token) = reply.get("tenant_access_token").cloned() {
        reply["app_access_token"] = token;
    }
    Reply::json(200, reply)
}

/// `bot/v3/info`: the payload stands under `bot`.
pub fn bot_info(world: &mut World, _: &Ask) -> Reply {
    let bot = json!({"activate_status": world.app.bot_status, "app_name": world.company.bot_name, "avatar_url": "",
        "ip_white_list": [], "open_id": world.app.bot_open_id});
    Reply::json(200, json!({"code": 0, "msg": "ok", "bot": bot}))
}

/// `application/v6/scopes`: what the tenant granted, and what the app has asked for in vain so far.
pub fn scopes(world: &mut World, _: &Ask) -> Reply {
    let one = |kind: &'static str, status: i64| move |scope: &String| json!({"scope_name": scope, "scope_type": kind, "grant_status": status});
    let app = &world.app;
    let granted = app.tenant_scopes.iter().map(one("tenant", 1)).chain(app.user_scopes.iter().map(one("user", 1)));
    let scopes: Vec<_> = granted.chain(app.waiting_scopes.iter().map(one("tenant", 2))).collect();
    Reply::ok(json!({ "scopes": scopes }))
}

/// Whose token this is, or the refusal.
///
/// # Errors
/// The reply for a token that is missing, malformed, stale, revoked, or of the wrong kind.
pub fn caller(world: &mut World, takes: Takes, endpoint: &str, ask: &Ask) -> Result<Caller, Reply> {
    let header = ask.header("authorization");
    if takes == Takes::Nothing {
        return Ok(Caller::Nobody);
    }
    let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else {
        world.violation(format!("{endpoint} was called without a token"));
        return Err(Reply::fail(400, 99_991_661, "Missing access token for authorization"));
    };
    let now = world.now();
    if token.starts_with("t-") {
        if takes == Takes::User {
            world.violation(format!("{endpoint} takes no tenant token"));
            return Err(Reply::fail(400, 99_991_663, "Invalid access token for authorization"));
        }
        let known = world.tenant_tokens.iter().find(|known| known.token == token).cloned();
        let stale = known.as_ref().is_none_or(|known| known.revoked || known.expires_ms <= now);
        if known.is_some_and(|known| known.expires_ms + GRACE_MS < now) && world.switches.claims_expiry_s.is_none() {
            world.violation(format!("{endpoint} was called with a tenant token known to be expired"));
        }
        return if stale {
            Err(Reply::fail(400, 99_991_663, "Invalid access token for authorization"))
        } else {
            Ok(Caller::App)
        };
    }
    if token.starts_with("eyJ") || token.starts_with("u-") {
        if takes == Takes::Tenant {
            world.violation(format!("{endpoint} takes no user token"));
            return Err(Reply::fail(401, 99_991_668, "Invalid access token for authorization"));
        }
        return user(world, token, endpoint, now);
    }
    Err(Reply::fail(400, 99_991_671, "Invalid access token format: must start with t- or u-"))
}

fn user(world: &mut World, token: &str, endpoint: &str, now: i64) -> Result<Caller, Reply> {
    let grant = world.grants.iter().find(|grant| grant.access_token == token).cloned();
    let refuse = |code, msg| {
        // The older endpoint speaks its own code, with HTTP 200.
        if endpoint == "user_info" {
            return Err(Reply::json(200, json!({"code": 20_005, "msg": "invalid access token"})));
        }
        Err(Reply::fail(401, code, msg))
    };
    match grant {
        Some(grant) if !grant.revoked && grant.access_expires_ms > now => Ok(Caller::User(grant.open_id, grant.scopes)),
        Some(grant) if !grant.revoked => {
            if grant.access_expires_ms + GRACE_MS < now {
                world.violation(format!("{endpoint} was called with a user token known to be expired"));
            }
            refuse(99_991_677, "Authentication token expired")
        }
        _ => refuse(99_991_668, "Invalid access token for authorization"),
    }
}
