//! Bot to platform: two real origins, one door. Whatever comes in is judged and answered under the lock; only the
//! wire's misbehaviour waits outside of it.

pub mod auth;
pub mod batches;
pub mod consent;
pub mod contacts;
pub mod departments;
pub mod gate;
pub mod groups;
pub mod messages;
pub mod oauth;
pub mod patches;
pub mod pictures;
pub mod rates;
pub mod uploads;
pub mod wire;

use std::net::TcpListener;
use std::time::{Duration, Instant, UNIX_EPOCH};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::Date;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use super::record::{Call, masked, masked_query, remember};
use super::tenant::Tenant;

/// Bodies beyond this are cut off by the server, in bytes; the platform's own limits are far below.
const BODY_MAX: usize = 64 << 20;

/// Which of the two origins was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Open,
    Accounts,
}

/// Who asks, once the token was judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Caller {
    #[default]
    Nobody,
    App,
    /// A person's open_id, and the scopes of the token.
    User(String, std::collections::BTreeSet<String>),
}

/// One request.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    pub method: String,
    /// As sent.
    pub path: String,
    /// Decoded values of the route's `:names`, in order.
    pub params: Vec<String>,
    pub query: Vec<(String, String)>,
    /// Lowercase names.
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
    /// The body as JSON; null where it is none.
    pub json: Value,
    pub caller: Caller,
}

impl Ask {
    /// The first value of a query key.
    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A header by its lowercase name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A string field of the JSON body; empty where there is none.
    pub fn text(&self, key: &str) -> &str {
        self.json.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
    /// The body for the log; null where it is no JSON.
    pub json: Value,
}

impl Reply {
    /// Any JSON with any status.
    pub fn json(status: u16, json: Value) -> Reply {
        let content_type = "application/json; charset=utf-8".to_owned();
        Reply { status, content_type, headers: vec![], bytes: json.to_string().into_bytes(), json }
    }

    /// The usual success.
    pub fn ok(data: Value) -> Reply {
        Reply::json(200, json!({"code": 0, "msg": "success", "data": data}))
    }

    /// The usual failure.
    pub fn fail(status: u16, code: i64, msg: &str) -> Reply {
        let log = json!({"log_id": format!("2026120100000000{code}")});
        Reply::json(status, json!({"code": code, "msg": msg, "error": log}))
    }

    /// A page for a browser.
    pub fn html(status: u16, page: &str) -> Reply {
        Reply {
            status,
            content_type: "text/html; charset=utf-8".into(),
            headers: vec![],
            bytes: page.as_bytes().to_vec(),
            json: Value::Null,
        }
    }

    /// Adds a header.
    pub fn with(mut self, name: &str, value: impl ToString) -> Reply {
        self.headers.push((name.into(), value.to_string()));
        self
    }
}

/// A listener on a free loopback port.
pub fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a loopback port is free")
}

/// `http://127.0.0.1:PORT`
pub fn origin_of(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().expect("the listener is bound"))
}

struct Door {
    tenant: Tenant,
    origin: Origin,
}

/// Serves one origin until its handle is stopped.
pub fn serve(listener: TcpListener, tenant: Tenant, origin: Origin) -> ServerHandle {
    let door = web::Data::new(Door { tenant, origin });
    let server = HttpServer::new(move || {
        App::new().app_data(door.clone()).app_data(web::PayloadConfig::new(BODY_MAX)).default_service(web::to(answer))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)
    .expect("a bound listener can be listened on")
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    handle
}

fn read(request: &HttpRequest, bytes: &web::Bytes) -> Ask {
    let headers = request.headers().iter();
    Ask {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        query: url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        bytes: bytes.to_vec(),
        json: serde_json::from_slice(bytes).unwrap_or_default(),
        ..Ask::default()
    }
}

async fn answer(request: HttpRequest, bytes: web::Bytes, door: web::Data<Door>) -> HttpResponse {
    let began = Instant::now();
    let mut ask = read(&request, &bytes);
    let (outcome, now) = door.tenant.with(|world| {
        world.settle();
        let outcome = gate::answer(world, door.origin, &mut ask);
        let dropped = outcome.wire.is_some_and(wire::leaves_no_answer);
        let body = if ask.json.is_null() && !ask.bytes.is_empty() {
            json!({"bytes": ask.bytes.len()})
        } else {
            masked(&ask.json)
        };
        let call = Call {
            number: world.next_number(),
            at_ms: world.now(),
            endpoint: outcome.endpoint.clone(),
            method: ask.method.clone(),
            path: ask.path.clone(),
            query: masked_query(&ask.query),
            token: outcome.token.to_owned(),
            request: body,
            status: if dropped { 0 } else { outcome.reply.status },
            response: masked(&outcome.reply.json),
            elapsed_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            fault: outcome.fault.clone(),
        };
        remember(&mut world.calls, call);
        (outcome, world.now() + world.switches.clock_ahead_ms)
    });
    let reply = &outcome.reply;
    let status = StatusCode::from_u16(reply.status).expect("the simulator answers with real statuses");
    let mut response = HttpResponse::build(status);
    response.insert_header(("Content-Type", reply.content_type.clone()));
    let date = UNIX_EPOCH + Duration::from_millis(now.unsigned_abs());
    response.insert_header(Date(date.into()));
    response.insert_header(("X-Tt-Logid", format!("20261201{:024}", began.elapsed().as_nanos())));
    for (name, value) in &reply.headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    match outcome.wire {
        Some(fault) => wire::misbehave(fault, response, reply.bytes.clone()).await,
        None => response.body(reply.bytes.clone()),
    }
}
