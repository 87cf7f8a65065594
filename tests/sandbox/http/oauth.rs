//! The token endpoint of user authorization, and `user_info`. Failures carry `error` and no `msg`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::world::{UserGrant, World};
use super::{Ask, Caller, Reply};

const ACCESS_LIFE_MS: i64 = 7_200_000;
const REFRESH_LIFE_MS: i64 = 7 * 86_400_000;
/// After this long a person must consent again.
const CONSENT_LIFE_MS: i64 = 365 * 86_400_000;

fn fail(code: i64, error: &str, description: &str) -> Reply {
    let status = match code {
        20_050 => 500,
        20_072 => 503,
        _ => 400,
    };
    Reply::json(status, json!({"code": code, "error": error, "error_description": description}))
}

/// `authen/v2/oauth/token`
pub fn token(world: &mut World, ask: &Ask) -> Reply {
    let (client_id, secret) = (ask.text("client_id"), ask.text("client_secret"));
    if ask.header("authorization").is_some() {
        world.violation("the token endpoint takes no Authorization header");
        return fail(20_070, "invalid_request", "multiple client authentications");
    }
    if client_id.is_empty() || secret.is_empty() || ask.text("grant_type").is_empty() {
        return fail(20_063, "invalid_request", "a parameter is missing");
    }
    if client_id != world.app.app_id {
        return fail(20_048, "invalid_client", "the app does not exist");
    }
    if secret != world.app.app_secret {
        return fail(20_002, "invalid_client", "the client secret is invalid");
    }
    if !world.app.enabled {
        return fail(20_069, "invalid_client", "the app is disabled");
    }
    match ask.text("grant_type") {
        "authorization_code" => exchange(world, ask),
        "refresh_token" => refresh(world, ask),
        _ => fail(20_036, "unsupported_grant_type", "grant_type"),
    }
}

fn exchange(world: &mut World, ask: &Ask) -> Reply {
    let now = world.now();
    let code = ask.text("code");
    let Some(consent) = world.consents.iter_mut().find(|c| c.code.as_deref() == Some(code)) else {
        return fail(20_003, "invalid_grant", "the code is unknown");
    };
    if consent.code_used {
        return fail(20_065, "invalid_grant", "the code has been used");
    }
    if consent.code_expires_ms <= now {
        return fail(20_004, "invalid_grant", "the code is expired");
    }
    if consent.redirect_uri != ask.text("redirect_uri") {
        return fail(20_071, "invalid_grant", "redirect_uri does not match");
    }
    if !consent
        .challenge
        .as_ref()
        .is_none_or(|(challenge, method)| proves(ask.text("code_verifier"), challenge, method))
    {
        return fail(20_049, "invalid_grant", "PKCE failed");
    }
    consent.code_used = true;
    let open_id = consent.open_id.clone().expect("a code is made for a person");
    let asked = consent.scopes.clone();
    if !world.employee(&open_id).available {
        return fail(20_010, "access_denied", "the user may not use the app");
    }
    let granted = world.granted_scopes.entry(open_id.clone()).or_default();
    let withheld = &world.switches.consent_withholds;
    granted.extend(asked.into_iter().filter(|scope| !withheld.contains(scope)));
    let scopes = granted.clone();
    issue(world, &open_id, scopes, now)
}

/// RFC 7636, both methods.
fn proves(verifier: &str, challenge: &str, method: &str) -> bool {
    let shaped = (43..=128).contains(&verifier.len())
        && verifier.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c));
    let derived = if method == "S256" { URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) } else { verifier.to_owned() };
    shaped && derived == challenge
}

fn refresh(world: &mut World, ask: &Ask) -> Reply {
    let now = world.now();
    if !world.app.refresh_allowed {
        return fail(20_074, "unauthorized_client", "the app may not refresh");
    }
    let given = ask.text("refresh_token");
    let Some(grant) = world.grants.iter_mut().find(|grant| grant.refresh_token.as_deref() == Some(given)) else {
        return fail(20_026, "invalid_grant", "the refresh token is invalid");
    };
    if grant.refresh_used {
        return fail(20_073, "invalid_grant", "the refresh token has been used");
    }
    if grant.revoked {
        return fail(20_064, "invalid_grant", "the refresh token is revoked");
    }
    if grant.refresh_expires_ms <= now || grant.consented_ms + CONSENT_LIFE_MS <= now {
        return fail(20_037, "invalid_grant", "the refresh token is expired");
    }
    grant.refresh_used = true;
    let (open_id, scopes, consented_ms) = (grant.open_id.clone(), grant.scopes.clone(), grant.consented_ms);
    if !world.employee(&open_id).available {
        return fail(20_010, "access_denied", "the user may not use the app");
    }
    issue(world, &open_id, scopes, consented_ms)
}

/// Makes a new pair; the old access token lives on until its own end.
fn issue(world: &mut World, open_id: &str, scopes: std::collections::BTreeSet<String>, consented_ms: i64) -> Reply {
    let now = world.now();
    let access_token = jwt(world);
    let refresh_token = scopes.contains("offline_access").then(|| jwt(world));
    let mut reply = json!({"code": 0, "access_token": access_token, "expires_in": ACCESS_LIFE_MS / 1_000,
        "token_type": "Bearer", "scope": scopes.iter().cloned().collect::<Vec<_>>().join(" ")});
    if let Some(token) = &refresh_token {
        reply["refresh_token"] = token.clone().into();
        reply["refresh_token_expires_in"] = (REFRESH_LIFE_MS / 1_000).into();
    }
    world.grants.push(UserGrant {
        open_id: open_id.to_owned(),
        access_token,
        access_expires_ms: now + ACCESS_LIFE_MS,
        refresh_token,
        refresh_expires_ms: now + REFRESH_LIFE_MS,
        refresh_used: false,
        revoked: false,
        scopes,
        consented_ms,
    });
    Reply::json(200, reply)
}

/// As long as the real ones, which callers are told to reserve 4 KB for.
fn jwt(world: &mut World) -> String {
    let unique = world.fresh_id("");
    format!("eyJhbGciOiJFUzI1NiJ9.{}.{}", unique.repeat(40), unique.chars().rev().collect::<String>())
}

/// `authen/v1/user_info`
pub fn user_info(world: &mut World, ask: &Ask) -> Reply {
    let Caller::User(open_id, scopes) = &ask.caller else {
        return Reply::json(200, json!({"code": 20_005, "msg": "invalid access token"}));
    };
    let tenant_key = world.app.tenant_key.clone();
    let person = world.employee(open_id);
    if person.resigned {
        return Reply::json(200, json!({"code": 20_021, "msg": "user resigned"}));
    }
    let mut data = json!({"name": person.name, "en_name": person.name, "avatar_url": "", "open_id": person.open_id,
        "union_id": person.union_id, "tenant_key": tenant_key});
    if scopes.contains("contact:user.employee_id:readonly") {
        data["user_id"] = person.user_id.clone().into();
    }
    Reply::ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pkce_of_the_rfc_proves_itself() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(proves(verifier, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "S256"));
        assert!(!proves(verifier, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "plain"));
        assert!(proves(verifier, verifier, "plain"));
    }
}
