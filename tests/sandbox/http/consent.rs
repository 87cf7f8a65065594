//! The consent page on the accounts origin: what a person's browser sees before a code is made.

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use super::super::record::{Call, masked_query, remember};
use super::super::tenant::Tenant;
use super::super::world::{Consent, World};
use super::{Ask, Reply};

/// A code must be used within five minutes.
const CODE_LIFE_MS: i64 = 300_000;
const AUTHORIZE: &str = "/open-apis/authen/v1/authorize";

/// Everything the accounts origin answers to.
pub fn page(world: &mut World, ask: &Ask) -> Reply {
    match (ask.method.as_str(), ask.path.as_str()) {
        ("GET", AUTHORIZE) => match begin(world, &ask.query) {
            Ok(ticket) => consent_page(world, &ticket),
            Err(what) => Reply::html(400, &sheet("无法授权", &format!("<p class=\"bad\">{}</p>", escaped(&what)))),
        },
        ("GET", "/consent") => {
            let browser = world.browser.clone();
            let agrees = ask.query("answer") == Some("yes");
            let target = browser.and_then(|open_id| finish(world, ask.query("ticket")?, &open_id, agrees));
            match target {
                Some(url) => Reply::html(302, "").with("Location", url),
                None => Reply::html(400, &sheet("无法授权", "<p class=\"bad\">页面已失效，请重新打开授权链接。</p>")),
            }
        }
        _ => {
            world.violation(format!("{} {} is nothing of the accounts origin", ask.method, ask.path));
            Reply::html(404, &sheet("404", "<p>没有这个页面。</p>"))
        }
    }
}

/// Checks an authorize address and opens a page for it.
fn begin(world: &mut World, query: &[(String, String)]) -> Result<String, String> {
    let value = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    if value("client_id").as_deref() != Some(world.app.app_id.as_str()) {
        return Err("20048 client_id 不存在".into());
    }
    if value("response_type").as_deref() != Some("code") {
        return Err("20001 response_type 必须为 code".into());
    }
    let redirect_uri = value("redirect_uri").unwrap_or_default();
    if !world.app.redirect_uris.contains(&redirect_uri) {
        return Err(format!("20029 重定向 URL 不在应用的列表中：{redirect_uri}"));
    }
    let scopes: BTreeSet<String> = value("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if let Some(scope) = scopes.iter().find(|scope| !world.app.user_scopes.contains(*scope)) {
        return Err(format!("20027 应用未开通用户身份权限 {scope}"));
    }
    if scopes.len() > 50 {
        return Err("20001 scope 最多 50 个".into());
    }
    let challenge = value("code_challenge");
    let method = value("code_challenge_method").unwrap_or_else(|| "plain".into());
    if !["S256", "plain"].contains(&method.as_str()) {
        return Err(format!("20001 code_challenge_method {method}"));
    }
    if challenge.is_none() || method != "S256" {
        world.violation("an authorize link without an S256 challenge");
    }
    if value("state").is_none_or(|state| state.len() < 16) {
        world.violation("an authorize link whose state can be guessed");
    }
    let ticket = world.fresh_id("");
    world.consents.push(Consent {
        ticket: ticket.clone(),
        redirect_uri,
        state: value("state"),
        scopes,
        challenge: challenge.map(|challenge| (challenge, method)),
        code: None,
        code_expires_ms: 0,
        code_used: false,
        open_id: None,
    });
    Ok(ticket)
}

/// Where the browser goes after the person's answer; `None` for a page that is not there any more.
fn finish(world: &mut World, ticket: &str, open_id: &str, agrees: bool) -> Option<String> {
    let (code, now) = (format!("{}{}", world.fresh_id(""), world.fresh_id("")), world.now());
    let consent = world.consents.iter_mut().find(|c| c.ticket == ticket && c.code.is_none())?;
    let mut answer = Serializer::new(String::new());
    if agrees {
        consent.code = Some(code.clone());
        consent.code_expires_ms = now + CODE_LIFE_MS;
        consent.open_id = Some(open_id.to_owned());
        answer.append_pair("code", &code);
    } else {
        consent.code = Some(String::new());
        consent.code_used = true;
        answer.append_pair("error", "access_denied");
    }
    if let Some(state) = &consent.state {
        answer.append_pair("state", state);
    }
    let joint = if consent.redirect_uri.contains('?') { '&' } else { '?' };
    Some(format!("{}{joint}{}", consent.redirect_uri, answer.finish()))
}

/// The whole of [`Tenant::consents`]: opens the page, answers it, gives the redirect.
pub fn answered(tenant: &Tenant, authorize_url: &str, name: &str, agrees: bool) -> Result<String, String> {
    let url = Url::parse(authorize_url).map_err(|error| format!("{authorize_url}: {error}"))?;
    let open_id = tenant.person(name).open_id;
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    tenant.with(|world| {
        if url.origin().ascii_serialization() != world.accounts_origin || url.path() != AUTHORIZE {
            world.violation(format!("an authorize link to {}", url.origin().ascii_serialization()));
            return Err("this is not the consent page".into());
        }
        let begun = begin(world, &query);
        let call = Call {
            number: world.next_number(),
            at_ms: world.now(),
            endpoint: "authorize".into(),
            method: "GET".into(),
            path: AUTHORIZE.into(),
            query: masked_query(&query),
            token: "none".into(),
            request: Value::Null,
            status: if begun.is_ok() { 200 } else { 400 },
            response: Value::Null,
            elapsed_ms: 0,
            fault: None,
        };
        remember(&mut world.calls, call);
        finish(world, &begun?, &open_id, agrees).ok_or_else(|| "the page is gone".into())
    })
}

fn consent_page(world: &World, ticket: &str) -> Reply {
    let Some(open_id) = &world.browser else {
        return Reply::html(200, &sheet("请先登录", "<p>还没有人在这个浏览器里登录飞书。</p>"));
    };
    let consent = world.consents.iter().rfind(|consent| consent.ticket == ticket);
    let scopes: Vec<String> =
        consent.into_iter().flat_map(|c| &c.scopes).map(|s| format!("<li>{}</li>", escaped(s))).collect();
    let person = escaped(&world.employee(open_id).name);
    let body = format!(
        "<p>「{}」申请以 <b>{person}</b> 的身份获得以下权限：</p><ul>{}</ul>\
         <div class=\"row\"><a class=\"yes\" href=\"/consent?ticket={ticket}&amp;answer=yes\">授权</a>\
         <a class=\"no\" href=\"/consent?ticket={ticket}&amp;answer=no\">拒绝</a></div>",
        escaped(&world.company.bot_name),
        scopes.concat()
    );
    Reply::html(200, &sheet("授权确认", &body))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn sheet(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"zh-CN\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>{title}</title><style>\
         body{{font:16px/1.6 system-ui,sans-serif;background:#f2f3f5;color:#1f2329;display:grid;place-items:center;\
         min-height:100vh;margin:0}}main{{background:#fff;border-radius:12px;padding:28px 32px;max-width:440px;\
         box-shadow:0 6px 24px #1f232914;overflow-wrap:anywhere}}h1{{font-size:20px;margin:0 0 8px}}\
         li{{font:13px ui-monospace,monospace}}.row{{display:flex;gap:12px;margin-top:20px}}a{{flex:1;text-align:center;\
         padding:9px;border-radius:8px;text-decoration:none;border:1px solid #d0d3d6;color:inherit}}\
         .yes{{background:#3370ff;border-color:#3370ff;color:#fff}}.bad{{color:#d83931}}</style>\
         <main><h1>{title}</h1>{body}</main></html>"
    )
}
