//! The simulated tenant, tried from both sides: by a plain HTTP client, and as the pusher of a bot of three lines.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use super::http::{listen, origin_of};
use super::*;

mod contacts;
mod content;
mod sending;

/// What the little bot answers next; 200 and `{}` when the script is over.
type Script = Arc<Mutex<Vec<(u16, &'static str)>>>;

/// A bot that answers by a script, and keeps what it was sent.
fn little_bot(script: &[(u16, &'static str)]) -> String {
    let listener = listen();
    let origin = origin_of(&listener);
    let script: Script = Arc::new(Mutex::new(script.iter().rev().copied().collect()));
    let server = HttpServer::new(move || {
        App::new().app_data(web::Data::new(script.clone())).default_service(web::to(
            async |script: web::Data<Script>| {
                let (status, body) = script.lock().expect("nobody panics here").pop().unwrap_or((200, "{}"));
                let status = actix_web::http::StatusCode::from_u16(status).expect("a real status");
                HttpResponse::build(status).content_type("application/json").body(body)
            },
        ))
    });
    tokio::spawn(server.workers(1).disable_signals().listen(listener).expect("is bound").run());
    origin
}

/// The bot's half of the conversation, by hand.
struct Client {
    tenant: Tenant,
    http: reqwest::Client,
    token: String,
}

impl Client {
    async fn of(tenant: &Tenant) -> Client {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().expect("plain");
        let mut client = Client { tenant: tenant.clone(), http, token: String::new() };
        client.token = client.app_token().await["tenant_access_token"].as_str().expect("is given").into();
        client
    }

    async fn app_token(&self) -> Value {
        let (id, secret) = self.tenant.with(|world| (world.app.app_id.clone(), world.app.app_secret.clone()));
        let body = json!({"app_id": id, "app_secret": secret});
        let url = format!("{}/open-apis/auth/v3/tenant_access_token/internal", self.tenant.open_url());
        self.http.post(url).json(&body).send().await.expect("answers").json().await.expect("is JSON")
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> reqwest::Result<Value> {
        let url = format!("{}/open-apis{path}", self.tenant.open_url());
        let method = method.parse().expect("a method");
        let request = self.http.request(method, url).bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(body) };
        request.send().await?.json().await
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        self.send(method, path, &body).await.expect("answers with JSON")
    }

    async fn card(&self, name: &str, card: &Value) -> String {
        let body = json!({"receive_id": self.tenant.person(name).open_id, "msg_type": "interactive", "content": card.to_string()});
        let reply = self.call("POST", "/im/v1/messages?receive_id_type=open_id", body).await;
        reply["data"]["message_id"].as_str().unwrap_or_else(|| panic!("{reply}")).into()
    }
}

fn batch(tenant: &Tenant, path: &str) -> Value {
    let id = tenant.company().at(path).expect("is there").open_department_id.clone();
    json!({"msg_type": "text", "content": {"text": "明天开会"}, "department_ids": [id]})
}

fn card(version: i64) -> Value {
    let value = json!({"action": "approve", "broadcast": "K7M2QX", "version": version});
    json!({"schema": "2.0", "config": {"update_multi": true}, "body": {"elements": [{"tag": "button",
        "text": {"tag": "plain_text", "content": "通过"}, "behaviors": [{"type": "callback", "value": value}]}]}})
}

const BATCH: &str = "/message/v4/batch_send/";

#[tokio::test]
async fn a_lost_answer_is_an_accepted_batch_and_a_refused_one_is_not() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    let body = batch(&tenant, "销售部");
    for (when, wire) in [
        (When::AfterAccept, Wire::Drop),
        (When::AfterAccept, Wire::TruncatedBody),
        (When::AfterAccept, Wire::TruncatedJson),
        (When::AfterAccept, Wire::Html502),
        (When::AfterAccept, Wire::Timeout(Duration::from_secs(3))),
        (When::BeforeAccept, Wire::Drop),
        (When::BeforeAccept, Wire::Html502),
    ] {
        let before = tenant.tasks().len();
        tenant.fault(Fault::wire("batch_send", when, wire));
        assert!(client.send("POST", BATCH, &body).await.is_err(), "{wire:?} must be no answer");
        let accepted = usize::from(when == When::AfterAccept);
        assert_eq!(tenant.tasks().len() - before, accepted, "{when:?} {wire:?}");
    }
    tenant.fault(Fault::wire("batch_send", When::AfterAccept, Wire::SlowBody(Duration::from_millis(300))));
    assert_eq!(client.call("POST", BATCH, body).await["code"], 0);
    assert!(tenant.leftovers().iter().any(|what| what.contains("accepted 6 times")));
    tenant.close().await;
}

#[tokio::test]
async fn a_batch_reaches_everybody_below_once_and_names_what_is_invalid() {
    let tenant = Tenant::open(Company::small().unavailable("刘洋"));
    let client = Client::of(&tenant).await;
    let mut body = batch(&tenant, "销售部");
    body["open_ids"] = json!([tenant.person("马超").open_id, "ou_nobody"]);
    body["user_ids"] = json!(["nobody"]);
    let reply = client.call("POST", BATCH, body).await;
    assert_eq!(reply["data"]["invalid_open_ids"], json!(["ou_nobody"]));
    assert_eq!(reply["data"]["invalid_user_ids"], json!(["nobody"]));
    assert!(tenant.deliveries().is_empty(), "nothing arrives in the moment of the call");
    tenant.work_until_quiet().await;
    let reached: Vec<String> = tenant.deliveries().into_keys().collect();
    assert_eq!(reached.len(), 3, "{reached:?}");
    assert_eq!(tenant.person("马超").inbox()[0].text, "明天开会");
    let bm_id = reply["data"]["message_id"].as_str().expect("was accepted").to_owned();
    let progress = client.call("GET", &format!("/im/v1/batch_messages/{bm_id}/get_progress"), Value::Null).await;
    let counts = &progress["data"]["batch_message_send_progress"];
    assert_eq!((&counts["valid_user_ids_count"], &counts["success_user_ids_count"]), (&json!(4), &json!(3)));
    assert_eq!(tenant.violations(), [""; 0]);
    assert!(tenant.leftovers()[0].contains("after 0 approvals"));
    tenant.close().await;
}

#[tokio::test]
async fn what_batch_send_does_not_take_is_refused_and_noted() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    let good = batch(&tenant, "销售部");
    for (change, code) in [
        (json!({"content": "{\"text\":\"x\"}"}), 10_003),
        (json!({"card": {}}), 10_003),
        (json!({"department_ids": ["0"]}), 10_003),
        (json!({"department_ids": []}), 10_003),
        (json!({"open_ids": vec!["ou_x"; 201]}), 10_003),
        (json!({"msg_type": "file"}), 10_003),
        (json!({"content": {"text": "<at user_id=\"all\"></at>"}}), 11_246),
        (json!({"msg_type": "image", "content": {"image_key": "img_foreign"}}), 11_227),
    ] {
        let mut body = good.clone();
        change.as_object().expect("an object").iter().for_each(|(key, value)| body[key] = value.clone());
        let before = tenant.violations().len();
        assert_eq!(client.call("POST", BATCH, body).await["code"], code, "{change}");
        assert_eq!(tenant.violations().len(), before + 1, "{change}");
    }
    assert_eq!(client.call("POST", "/message/v4/batch_send", good).await["code"], 99_991_201);
    assert!(tenant.tasks().is_empty());
    tenant.close().await;
}

#[tokio::test]
async fn the_app_token_stays_the_same_until_half_an_hour_is_left() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    tenant.later(Duration::from_secs(5_000)).await;
    let again = client.app_token().await;
    assert_eq!(again["tenant_access_token"], client.token.as_str());
    assert!((2_100..=2_200).contains(&again["expire"].as_i64().expect("a number")));
    tenant.later(Duration::from_secs(600)).await;
    assert_ne!(client.app_token().await["tenant_access_token"], client.token.as_str());
    assert_eq!(client.call("GET", "/bot/v3/info", Value::Null).await["code"], 0, "both live on");
    tenant.revoke_app_tokens();
    assert_eq!(client.call("GET", "/bot/v3/info", Value::Null).await["code"], 99_991_663);
    assert_eq!(tenant.violations(), [""; 0]);
    tenant.later(Duration::from_secs(7_200)).await;
    client.call("GET", "/bot/v3/info", Value::Null).await;
    assert!(tenant.violations()[0].contains("known to be expired"));
    tenant.close().await;
}

#[tokio::test]
async fn a_person_authorizes_and_the_search_sees_what_that_person_sees() {
    let tenant = Tenant::open(Company::playground());
    let mut client = Client::of(&tenant).await;
    tenant.allow_redirect("https://bot.example/oauth/callback");
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let (id, secret) = tenant.with(|world| (world.app.app_id.clone(), world.app.app_secret.clone()));
    let link = format!(
        "{}/open-apis/authen/v1/authorize?client_id={id}&response_type=code&state=0123456789abcdef0123&\
         redirect_uri=https%3A%2F%2Fbot.example%2Foauth%2Fcallback&code_challenge_method=S256&\
         scope=contact:contact.base:readonly%20contact:department.base:readonly%20offline_access&\
         code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        tenant.accounts_url()
    );
    assert!(tenant.refuses(&link, "林悦").expect("a redirect").contains("error=access_denied"));
    tenant.set_browser("林悦");
    let page = client.http.get(&link).send().await.expect("answers").text().await.expect("is text");
    assert!(page.contains("林悦") && page.contains("answer=yes"), "{page}");
    let back = tenant.consents(&link, "林悦").expect("a redirect");
    let code = url::Url::parse(&back).expect("an address").query_pairs().next().expect("a code").1.into_owned();
    let exchange = json!({"grant_type": "authorization_code", "client_id": id, "client_secret": secret, "code": code,
        "redirect_uri": "https://bot.example/oauth/callback", "code_verifier": verifier});
    let url = format!("{}/open-apis/authen/v2/oauth/token", tenant.open_url());
    let ask = async |body: &Value| -> Value {
        client.http.post(&url).json(body).send().await.expect("answers").json().await.expect("is JSON")
    };
    let first = ask(&exchange).await;
    assert_eq!(ask(&exchange).await["code"], 20_065);
    let refresh = json!({"grant_type": "refresh_token", "client_id": id, "client_secret": secret,
        "refresh_token": first["refresh_token"]});
    let second = ask(&refresh).await;
    assert_eq!((second["code"].clone(), ask(&refresh).await["code"].clone()), (json!(0), json!(20_073)));
    let search = "/contact/v3/departments/search";
    assert_eq!(client.call("POST", search, json!({"query": "销售部"})).await["code"], 99_991_663);
    tenant.forgive("takes no tenant token");
    client.token = second["access_token"].as_str().expect("a token").into();
    assert_eq!(client.call("GET", "/authen/v1/user_info", Value::Null).await["data"]["name"], "林悦");
    let found = client.call("POST", search, json!({"query": "客服部"})).await;
    assert_eq!(found["data"]["items"].as_array().expect("a list").len(), 2);
    assert!(found["data"]["items"][0].get("parent_department_id").is_none(), "that scope was not granted");
    let hidden = client.call("POST", search, json!({"query": "战略"})).await;
    assert_eq!(hidden["data"], json!({"items": [], "has_more": false}));
    assert_eq!(tenant.violations(), [""; 0]);
    tenant.close().await;
}

#[tokio::test]
async fn an_event_is_pushed_again_by_the_ladder_until_it_is_taken() {
    let tenant = Tenant::open(Company::small());
    tenant.connect(&little_bot(&[(503, ""), (500, ""), (200, "{}")]));
    let pushed = tenant.person("王芳").says("/help").await;
    assert_eq!(pushed.status, 503);
    tenant.later(Duration::from_secs(14)).await;
    assert_eq!(tenant.pushes().len(), 1);
    tenant.later(Duration::from_secs(2)).await;
    assert_eq!(tenant.pushes().len(), 2);
    tenant.later(Duration::from_secs(24 * 3600)).await;
    let pushes = tenant.pushes();
    assert_eq!(pushes.iter().map(|push| push.status).collect::<Vec<_>>(), [503, 500, 200]);
    let gap = pushes[2].at_ms - pushes[1].at_ms;
    assert!((300_000..301_000).contains(&gap), "{gap} ms");
    tenant.assert_clean();
    tenant.close().await;
}

#[tokio::test]
async fn a_press_needs_its_button_and_its_answer_is_read_strictly() {
    let tenant = Tenant::open(Company::small());
    let toast = r#"{"toast":{"type":"success","content":"已通过","i18n":{"zh_cn":"已通过"}}}"#;
    tenant.connect(&little_bot(&[(200, toast), (200, r#"{"toast":{"type":"loud","content":"x"}}"#), (302, "")]));
    let client = Client::of(&tenant).await;
    let zhou = tenant.person("周明");
    let message = client.card("周明", &card(1)).await;
    assert!(zhou.presses(&message, "reject").await.is_err());
    assert!(tenant.person("王芳").presses(&message, "approve").await.is_err(), "not in her chat");
    assert_eq!(zhou.presses(&message, "approve").await.expect("is shown").says(), "已通过");
    assert_eq!(tenant.violations(), [""; 0]);
    zhou.presses(&message, "approve").await.expect("is shown");
    zhou.presses(&message, "approve").await.expect("is shown");
    assert_eq!(tenant.violations().len(), 2);
    tenant.close().await;
}

#[tokio::test]
async fn a_late_patch_and_one_before_the_answer_are_noted() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    let message = client.card("周明", &card(1)).await;
    let path = format!("/im/v1/messages/{message}");
    for (version, noted) in [(3, 0), (2, 1)] {
        let reply = client.call("PATCH", &path, json!({"content": card(version).to_string()})).await;
        assert_eq!((reply["code"].as_i64(), tenant.violations().len()), (Some(0), noted));
    }
    tenant.with(|world| world.open_presses.insert(message.clone(), 1));
    let reply = client.call("PATCH", &path, json!({"content": card(4).to_string()})).await;
    assert_eq!((reply["code"].as_i64(), tenant.violations().len()), (Some(230_099), 2));
    tenant.with(|world| world.open_presses.clear());
    let old = json!({"config": {"update_multi": true}, "elements": []});
    assert_eq!(client.call("PATCH", &path, json!({"content": old.to_string()})).await["code"], 230_099);
    assert_eq!(tenant.person("周明").chat()[0].edits, 2);
    tenant.close().await;
}

#[tokio::test]
async fn one_uuid_makes_one_message_for_an_hour() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    let body = json!({"receive_id": tenant.person("王芳").open_id, "msg_type": "text", "uuid": "u1",
        "content": "{\"text\":\"好\"}"});
    let create = "/im/v1/messages?receive_id_type=open_id";
    let first = client.call("POST", create, body.clone()).await;
    assert_eq!(client.call("POST", create, body.clone()).await["data"]["message_id"], first["data"]["message_id"]);
    tenant.switch(|switches| switches.uuid = UuidMode::Error230049);
    assert_eq!(client.call("POST", create, body.clone()).await["code"], 230_049);
    tenant.later(Duration::from_secs(3_601)).await;
    client.call("POST", create, body).await;
    assert_eq!(tenant.person("王芳").chat().len(), 2);
    assert_eq!(tenant.violations(), [""; 0]);
    tenant.close().await;
}

#[tokio::test]
async fn an_upload_without_a_filename_is_noted() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    let post = async |filename: &str| -> Value {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"image_type\"\r\n\r\nmessage\r\n\
             --b\r\nContent-Disposition: form-data; name=\"image\"{filename}\r\n\r\nGIF89a...\r\n--b--\r\n"
        );
        let request = client.http.post(format!("{}/open-apis/im/v1/images", tenant.open_url()));
        let request = request.bearer_auth(&client.token).header("Content-Type", "multipart/form-data; boundary=b");
        request.body(body).send().await.expect("answers").json().await.expect("is JSON")
    };
    let key = post("; filename=\"a.gif\"").await["data"]["image_key"].as_str().expect("was taken").to_owned();
    let bytes = tenant.with(|world| world.images[&key].bytes.clone());
    assert_eq!(bytes, b"GIF89a...");
    assert_eq!((post("").await["code"].as_i64(), tenant.violations().len()), (Some(0), 1));
    tenant.close().await;
}

#[tokio::test]
async fn rates_secrets_and_strange_headers_are_noted() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    tenant.fault(Fault::rate("scopes", 1));
    let path = "/contact/v3/scopes";
    assert_eq!(client.call("GET", path, Value::Null).await["code"], 99_991_400);
    tenant.later(Duration::from_millis(500)).await;
    assert_eq!(client.call("GET", path, Value::Null).await["code"], 0);
    assert!(tenant.violations()[0].contains("before the promised reset"));
    tenant.later(Duration::from_secs(1)).await;
    client.call("GET", &format!("{path}?leak={}", client.token), Value::Null).await;
    assert!(tenant.violations()[1].contains("a tenant token was sent"));
    client.call("GET", "/authen/v1/authorize", Value::Null).await;
    assert!(tenant.violations()[2].contains("consent page"));
    tenant.close().await;
}

#[tokio::test]
async fn a_message_event_is_sealed_so_that_only_the_key_opens_it() {
    let tenant = Tenant::open(Company::small());
    let event = tenant.person("王芳").writes(
        &tenant.group("项目群").chat_id,
        "text",
        &json!({"text": "@群发助手 /broadcast @陈晨 你好"}),
        &["群发助手", "陈晨"],
        None,
    );
    let raw = tenant.seal(&event);
    let key = tenant.with(|world| world.app.encrypt_key.clone()).expect("has one");
    let (timestamp, nonce) = (raw.get("X-Lark-Request-Timestamp"), raw.get("X-Lark-Request-Nonce"));
    assert_eq!(raw.get("x-lark-signature"), seal::sign(&timestamp, &nonce, &key, &raw.body));
    let sealed: Value = serde_json::from_slice(&raw.body).expect("is JSON");
    let plain = seal::decrypt(&key, sealed["encrypt"].as_str().expect("a string")).expect("opens");
    let seen: Value = serde_json::from_slice(&plain).expect("is JSON");
    let message = &seen["event"]["message"];
    assert_eq!(message["content"], r#"{"text":"@_user_1 /broadcast @_user_2 你好"}"#);
    assert_eq!((&message["chat_type"], &message["mentions"][1]["name"]), (&json!("group"), &json!("陈晨")));
    for forge in [Forge::Body, Forge::Nonce, Forge::Signature, Forge::Hmac, Forge::Sha1, Forge::Timestamp] {
        let forged = tenant.forge(&event, forge);
        let (timestamp, nonce) = (forged.get("X-Lark-Request-Timestamp"), forged.get("X-Lark-Request-Nonce"));
        assert_ne!(forged.get("X-Lark-Signature"), seal::sign(&timestamp, &nonce, &key, &forged.body), "{forge:?}");
    }
    tenant.close().await;
}
