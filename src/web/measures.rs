//! What is measured, what each number means, and the listener that shows them: one of its own, which never stands on a
//! public address.
//!
//! Names carry their units, and labels only words of ours: never a person, an id, a path or a message.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{App as HttpApp, HttpResponse, HttpServer, web};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::not_found;

/// How often what was measured is put into its buckets: until then each single value is kept, also when nobody reads.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Seconds that an event may wait for its 200; beyond the last bound Feishu pushes again. Source: contract "answering",
/// 3 s.
const ACKNOWLEDGE_BUCKETS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0];

/// Seconds of a transaction; one that waits for a lock gives up after a few.
const TRANSACTION_BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0];

/// Seconds that a call waits for the pace; a minute's worth of calls is the most that may be ahead of it.
const PACE_BUCKETS: [f64; 8] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// What measures, before it is installed.
///
/// # Errors
/// Never with the buckets as they are.
pub fn recorder() -> Result<PrometheusBuilder, BuildError> {
    let named = |name: &str| Matcher::Full(name.into());
    PrometheusBuilder::new()
        .set_buckets_for_metric(named("feishu_broadcast_acknowledge_seconds"), &ACKNOWLEDGE_BUCKETS)?
        .set_buckets_for_metric(named("feishu_broadcast_transaction_seconds"), &TRANSACTION_BUCKETS)?
        .set_buckets_for_metric(named("feishu_broadcast_pace_wait_seconds"), &PACE_BUCKETS)
}

/// Measures from here on.
///
/// # Errors
/// When something measures already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = recorder()?.install_recorder()?;
    describe();
    Ok(handle)
}

/// Says what each number means, in the `# HELP` lines.
pub fn describe() {
    at_the_door();
    on_the_way_out();
    what_waits();
    describe_gauge!(
        "feishu_broadcast_policy_refused",
        Unit::Count,
        "1 while the policy file is broken and the rules before it stay in force"
    );
    describe_counter!("feishu_broadcast_policy_changes_total", Unit::Count, "Changes of the policy file, by outcome");
    describe_counter!(
        "feishu_broadcast_lists_unread_total",
        Unit::Count,
        "Times that a list of people kept in Feishu could not be read; the last one counts on"
    );
    describe_counter!("feishu_broadcast_panics_total", Unit::Count, "Steps that panicked: a defect");
    describe_histogram!(
        "feishu_broadcast_transaction_seconds",
        Unit::Seconds,
        "From asking for a transaction that writes until it is on the disk, waiting for the connection and the work in \
         between included; events are stored on a way of their own, see acknowledge_seconds"
    );
}

fn at_the_door() {
    describe_counter!("feishu_broadcast_events_total", Unit::Count, "Pushes that arrived, by what became of them");
    describe_histogram!(
        "feishu_broadcast_acknowledge_seconds",
        Unit::Seconds,
        "From the head of a push until its answer is written; Feishu waits 3 s"
    );
    describe_counter!(
        "feishu_broadcast_rotating_keys_total",
        Unit::Count,
        "Uses of a key that has a previous value, by key and generation; once previous stands still, it can go"
    );
}

fn on_the_way_out() {
    describe_counter!("feishu_calls_total", Unit::Count, "Calls to Feishu, by call and outcome");
    describe_counter!(
        "feishu_broadcast_token_refreshes_total",
        Unit::Count,
        "Access tokens asked for, of the app and of users, by outcome; ended: the user has to authorize again"
    );
    describe_histogram!(
        "feishu_broadcast_pace_wait_seconds",
        Unit::Seconds,
        "How long a call waited until the platform's rates allowed it, by kind of call"
    );
    describe_counter!("feishu_broadcast_batches_total", Unit::Count, "Tries to send a batch, by outcome");
    describe_counter!("feishu_broadcast_recalls_total", Unit::Count, "Batches that were asked back, by outcome");
    describe_counter!("feishu_broadcast_broadcasts_total", Unit::Count, "Broadcasts that came to a state");
    describe_counter!("feishu_broadcast_answers_given_up_total", Unit::Count, "Answers that could not be delivered");
    describe_counter!(
        "feishu_broadcast_cards_given_up_total",
        Unit::Count,
        "Cards that could not be brought up to date"
    );
}

/// Read from the store every 15 s, by every replica: take the maximum, not the sum.
fn what_waits() {
    describe_gauge!(
        "feishu_broadcast_queue_events",
        Unit::Count,
        "Events acknowledged and not done yet; of the whole database, the same on every replica"
    );
    describe_gauge!(
        "feishu_broadcast_queue_age_seconds",
        Unit::Seconds,
        "How long the oldest event that is not done has waited; of the whole database, the same on every replica"
    );
    describe_gauge!(
        "feishu_broadcast_parked_events",
        Unit::Count,
        "Commands that wait for their author to authorize; of the whole database, the same on every replica"
    );
    describe_gauge!(
        "feishu_broadcast_outbox_items",
        Unit::Count,
        "Answers that have not left, and cards that show less than they should; of the whole database, the same on every \
         replica"
    );
    describe_gauge!(
        "feishu_broadcast_outbox_age_seconds",
        Unit::Seconds,
        "How late the oldest answer is, and how long a card has been due, counted anew from each try; of the whole \
         database, the same on every replica"
    );
    describe_gauge!(
        "feishu_broadcast_waiting_batches",
        Unit::Count,
        "Batches released and not sent yet that wait for no person; of the whole database, the same on every replica"
    );
    describe_gauge!(
        "feishu_broadcast_doubtful_batches",
        Unit::Count,
        "Batches whose outcome is not known and that nobody has decided about; of the whole database, the same on every \
         replica"
    );
    describe_gauge!(
        "feishu_broadcast_quota_left_messages",
        Unit::Count,
        "Messages left of Feishu's day, as booked; of the whole database, the same on every replica"
    );
}

/// Keeps what was measured small, until it is aborted.
pub async fn keep(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        metrics.run_upkeep();
    }
}

/// Serves `/metrics` on a listener of its own.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(metrics: PrometheusHandle, listener: TcpListener) -> std::io::Result<Server> {
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

async fn render(metrics: web::Data<PrometheusHandle>) -> HttpResponse {
    metrics.run_upkeep();
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")).body(metrics.render())
}

#[cfg(test)]
mod tests {
    use super::recorder;

    #[test]
    fn how_long_something_took_is_counted_in_buckets() {
        let recorder = recorder().expect("the buckets are right").build_recorder();
        let seconds = [0.0005, 0.02, 0.02, 2.0, 7.0];
        metrics::with_local_recorder(&recorder, || {
            for took in seconds {
                metrics::histogram!("feishu_broadcast_acknowledge_seconds").record(took);
                metrics::histogram!("feishu_broadcast_transaction_seconds").record(took);
                metrics::histogram!("feishu_broadcast_pace_wait_seconds").record(took);
            }
        });
        let said = recorder.handle().render();
        let buckets = [
            ("acknowledge", [("0.001", 1), ("0.01", 1), ("0.025", 3), ("3", 4), ("+Inf", 5)]),
            ("transaction", [("0.001", 1), ("0.01", 1), ("0.025", 3), ("5", 4), ("+Inf", 5)]),
            ("pace_wait", [("0.01", 1), ("0.05", 3), ("1", 3), ("5", 4), ("+Inf", 5)]),
        ];
        for (name, bounds) in buckets {
            for (bound, count) in bounds {
                let line = format!("feishu_broadcast_{name}_seconds_bucket{{le=\"{bound}\"}} {count}");
                assert!(said.contains(&line), "{line} is not in\n{said}");
            }
        }
    }
}
