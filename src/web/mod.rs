//! Floor 4: HTTP in. Nothing is decided here: requests are checked, handed on and answered.
//!
//! Two listeners: the public one for Feishu and browsers, and one of its own for `/metrics`, which never stands on a
//! public address.

pub mod feishu;
pub mod health;
pub mod oauth;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{App as HttpApp, HttpResponse, HttpServer, web};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;

use crate::app::App;

/// Threads that answer. Verifying and decrypting is all they do; two of them fill two cores.
const THREADS_MAX: usize = 2;

/// How long a client may take to send its headers.
const HEADERS_WAIT: Duration = Duration::from_secs(5);

/// How long the store may take to answer `/readyz`.
const READY_WAIT: Duration = Duration::from_secs(2);

/// How long running requests may finish when the server stops, in seconds. Feishu itself waits 3 s.
const SHUTDOWN_SECONDS: u64 = 5;

/// How often what was measured is put into its buckets: until then each single value is kept, also when nobody reads.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Seconds that an event may wait for its 200; beyond the last bound Feishu pushes again. Source: contract "answering",
/// 3 s.
const ACKNOWLEDGE_BUCKETS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0];

/// Serves the public routes on a listener that is already bound.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(app: Arc<App>, listener: TcpListener) -> std::io::Result<Server> {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX));
    let app = web::Data::from(app);
    let server = HttpServer::new(move || {
        HttpApp::new()
            .app_data(app.clone())
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
    .client_request_timeout(HEADERS_WAIT)
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

/// What measures, before it is installed.
///
/// # Errors
/// Never with the buckets as they are.
pub fn measures() -> Result<PrometheusBuilder, BuildError> {
    let name = Matcher::Full("feishu_broadcast_acknowledge_seconds".into());
    PrometheusBuilder::new().set_buckets_for_metric(name, &ACKNOWLEDGE_BUCKETS)
}

/// Keeps what was measured small, until it is aborted.
pub async fn keep_measures(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        metrics.run_upkeep();
    }
}

/// Serves `/metrics` on a listener of its own.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_metrics(metrics: PrometheusHandle, listener: TcpListener) -> std::io::Result<Server> {
    let metrics = web::Data::new(metrics);
    let server = HttpServer::new(move || {
        HttpApp::new()
            .app_data(metrics.clone())
            .route("/metrics", web::get().to(render))
            .default_service(web::to(not_found))
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

/// Stops a server after what it is answering.
pub async fn stop(handle: ServerHandle) {
    handle.stop(true).await;
}

async fn render(metrics: web::Data<PrometheusHandle>) -> HttpResponse {
    metrics.run_upkeep();
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")).body(metrics.render())
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

#[cfg(test)]
mod tests {
    use super::measures;

    #[test]
    fn how_long_an_answer_took_is_counted_in_buckets() {
        let recorder = measures().expect("the buckets are right").build_recorder();
        let seconds = [0.0005, 0.02, 0.02, 2.0, 7.0];
        metrics::with_local_recorder(&recorder, || {
            seconds.iter().for_each(|took| metrics::histogram!("feishu_broadcast_acknowledge_seconds").record(*took));
        });
        let said = recorder.handle().render();
        for (bound, count) in [("0.001", 1), ("0.01", 1), ("0.025", 3), ("3", 4), ("+Inf", 5)] {
            let line = format!("feishu_broadcast_acknowledge_seconds_bucket{{le=\"{bound}\"}} {count}");
            assert!(said.contains(&line), "{line} is not in\n{said}");
        }
    }
}
