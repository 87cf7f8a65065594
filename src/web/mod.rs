//! Floor 4: HTTP in. Nothing is decided here: requests are checked, handed on and answered.
//!
//! Two listeners: the public one for Feishu and browsers, and one of its own for [`measures`].

pub mod feishu;
pub mod health;
pub mod measures;
pub mod oauth;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{App as HttpApp, HttpResponse, HttpServer, web};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::app::App;

/// Threads that answer. Verifying and decrypting is all they do; two of them fill two cores.
const THREADS_MAX: usize = 2;

/// Connections of each thread; further ones wait until one ends, unread. A process may by default have 1024 files open,
/// and whoever holds connections must leave it some for its database and for Feishu. A proxy has one an event.
const CONNECTIONS_MAX: usize = 256;

/// Large bodies that are read at one time, and the size from which a body is large; an event of a few pages is not.
/// Beside these a connection costs what the library reads ahead, half a MiB at most: all of them together stay within the
/// 512 MiB that the files of `deploy/` allow.
const LARGE_BODIES_MAX: usize = 16;
pub const LARGE_BODY_BYTES: usize = 64 * 1024;

/// How long a client may take to send its headers.
const HEADERS_WAIT: Duration = Duration::from_secs(5);

/// How long the store may take to answer `/readyz`.
const READY_WAIT: Duration = Duration::from_secs(2);

/// How long running requests may finish when the server stops, in seconds. Feishu itself waits 3 s.
const SHUTDOWN_SECONDS: u64 = 5;

/// The right to read a large body, for so many at a time.
pub struct Large(Semaphore);

/// Serves the public routes on a listener that is already bound.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(app: Arc<App>, listener: TcpListener) -> std::io::Result<Server> {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX));
    let app = web::Data::from(app);
    let large = web::Data::new(Large(Semaphore::new(LARGE_BODIES_MAX)));
    let server = HttpServer::new(move || {
        HttpApp::new()
            .app_data(app.clone())
            .app_data(large.clone())
            .service(
                web::resource("/feishu/event")
                    .route(web::post().to(feishu::push))
                    .default_service(web::to(wrong_method)),
            )
            .service(
                web::resource("/feishu/card")
                    .route(web::post().to(feishu::push))
                    .default_service(web::to(wrong_method)),
            )
            .route("/oauth/start", web::get().to(oauth::start))
            .route("/oauth/callback", web::get().to(oauth::callback))
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz))
            .default_service(web::to(not_found))
    })
    .workers(threads)
    .max_connections(CONNECTIONS_MAX)
    .client_request_timeout(HEADERS_WAIT)
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

/// Stops a server after what it is answering.
pub async fn stop(handle: ServerHandle) {
    handle.stop(true).await;
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(json!({ "status": "alive" }))
}

/// Ready to take events: the store answers, holds our tables and takes writes. Feishu's own state does not matter for that.
async fn readyz(app: web::Data<App>) -> HttpResponse {
    let ping = tokio::time::timeout(READY_WAIT, app.store.ping()).await;
    if matches!(ping, Ok(Ok(()))) && app.store.takes_writes() {
        HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(json!({ "status": "ready" }))
    } else {
        HttpResponse::ServiceUnavailable()
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(json!({ "status": "not ready", "store": "does not answer or takes no writes" }))
    }
}

async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "error": "not found" }))
}

async fn wrong_method() -> HttpResponse {
    HttpResponse::MethodNotAllowed().insert_header(("Allow", "POST")).json(json!({ "error": "method not allowed" }))
}
