//! A running bot: its pages, its metrics, its end, and what it remembers after the worst end.

use std::time::Duration;

use feishu_broadcast::app::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use sqlx::Connection;

use super::Running;
use crate::sandbox::{Fault, Forge, PushKind, RawPush, When, Wire};

/// How long the end may take, whatever is going on. A container is killed after ten seconds.
const END_MAX: Duration = Duration::from_secs(10);

/// The value of one line of the metrics; 0 where it is not there.
fn count(metrics: &str, line: &str) -> u64 {
    metrics
        .lines()
        .find_map(|found| found.strip_prefix(line)?.trim().parse::<f64>().ok())
        .map_or(0, |value| value as u64)
}

#[tokio::test]
async fn it_is_alive_and_ready_and_counts_on_a_port_of_its_own() -> anyhow::Result<()> {
    let running = Running::start(&[]).await?;
    for (path, status) in [("/healthz", "alive"), ("/readyz", "ready")] {
        let answer = running.get(path).await?;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.json::<Value>().await?["status"], status);
    }
    assert_eq!(running.get("/metrics").await?.status(), 404, "never on the public port");
    let metrics = running.browser.get(format!("http://{}/metrics", running.metrics)).send().await?;
    assert_eq!(metrics.status(), 200);
    assert!(metrics.headers()["content-type"].to_str()?.starts_with("text/plain"));
    let elsewhere = running.browser.get(format!("http://{}/healthz", running.metrics)).send().await?;
    assert_eq!(elsewhere.status(), 404);
    assert!(running.directory.path().join("feishu-broadcast.db").exists(), "the default database");
    Ok(())
}

#[tokio::test]
async fn whatever_arrives_at_the_door_is_counted() -> anyhow::Result<()> {
    let running = Running::start(&[]).await?;
    let tenant = &running.tenant;
    tenant.verify_url().await.map_err(anyhow::Error::msg)?;
    tenant.push_event("future.thing_v7", json!({})).await;
    tenant.push_event("future.thing_v8", json!({})).await;
    let event = tenant.person("王芳").text_event("/whoami");
    tenant.push(&event).await;
    tenant.push(&event).await;
    tenant.post(&tenant.forge(&event, Forge::Signature)).await;
    tenant.post(&RawPush::of("garbage")).await;
    tenant.post(&RawPush::of(vec![b' '; (1 << 20) + 1])).await;
    tenant.person("陈晨").says("hello").await;
    let metrics = running.scrape().await?;
    for (outcome, times) in [
        ("challenge", 1),
        ("ignored", 2),
        ("accepted", 1),
        ("repeated", 1),
        ("unauthorized", 1),
        ("not_a_callback", 1),
        ("too_large", 1),
        ("stranger", 1),
    ] {
        let line = format!("feishu_broadcast_events_total{{outcome=\"{outcome}\"}}");
        assert_eq!(count(&metrics, &line), times, "{outcome} in:\n{metrics}");
    }
    Ok(())
}

#[tokio::test]
async fn what_waits_is_told_from_the_start_and_every_number_says_what_it_is() -> anyhow::Result<()> {
    let running = Running::start(&[]).await?;
    running.tenant.person("王芳").says("/whoami").await;
    running.tenant.person("王芳").next_message().await.map_err(anyhow::Error::msg)?;
    let mut metrics = String::new();
    for _ in 0..100 {
        metrics = running.scrape().await?;
        // The last to be shown.
        if metrics.contains("feishu_broadcast_quota_left_messages 500000") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for name in [
        "queue_events",
        "queue_age_seconds",
        "parked_events",
        "outbox_items",
        "outbox_age_seconds",
        "waiting_batches",
        "doubtful_batches",
        "quota_left_messages",
        "token_refreshes_total",
        "pace_wait_seconds",
        "transaction_seconds",
        "acknowledge_seconds",
        "events_total",
    ] {
        assert!(metrics.contains(&format!("# TYPE feishu_broadcast_{name} ")), "{name} in:\n{metrics}");
    }
    let kinds = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in kinds {
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name} says nothing of itself in:\n{metrics}");
    }
    assert!(!metrics.contains("ou_") && !metrics.contains("cli_"), "nobody is named:\n{metrics}");
    Ok(())
}

#[tokio::test]
async fn while_a_key_is_changed_each_use_is_counted_by_generation() -> anyhow::Result<()> {
    // Told of the one to come, as replicas are that restart one by one.
    let running = Running::start(&[("FEISHU_ENCRYPT_KEY_PREVIOUS", "key-of-next-year")]).await?;
    let uses = async || -> anyhow::Result<[u64; 2]> {
        let metrics = running.scrape().await?;
        assert!(!metrics.contains("verification_token"), "that is not being changed:\n{metrics}");
        let of = |generation: &str| {
            let labels = format!("{{key=\"encrypt_key\",generation=\"{generation}\"}}");
            count(&metrics, &format!("feishu_broadcast_rotating_keys_total{labels}"))
        };
        Ok([of("present"), of("previous")])
    };
    running.tenant.verify_url().await.map_err(anyhow::Error::msg)?;
    assert_eq!(running.tenant.person("王芳").says("/whoami").await.status, 200);
    assert_eq!(uses().await?, [1, 0], "a challenge may be our own");
    running.tenant.console(|app| app.encrypt_key = Some("key-of-next-year".into()));
    for _ in 0..2 {
        assert_eq!(running.tenant.person("王芳").says("/whoami").await.status, 200);
    }
    assert_eq!(uses().await?, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn without_a_metrics_address_there_are_no_metrics() -> anyhow::Result<()> {
    let mut running = Running::start(&[("METRICS_ADDR", "")]).await?;
    assert!(running.scrape().await.is_err());
    assert_eq!(running.get("/metrics").await?.status(), 404);
    let (status, _) = running.signal("TERM").await?;
    assert_eq!(status.code(), Some(0), "{}", running.output());
    Ok(())
}

#[tokio::test]
async fn both_signals_end_it_with_success() -> anyhow::Result<()> {
    for signal in ["TERM", "INT"] {
        let mut running = Running::start(&[]).await?;
        running.tenant.person("王芳").says("/whoami").await;
        running.tenant.person("王芳").next_message().await.map_err(anyhow::Error::msg)?;
        let (status, took) = running.signal(signal).await?;
        assert_eq!(status.code(), Some(0), "{}", running.output());
        assert!(took < END_MAX, "{took:?}");
        running.tenant.assert_clean();
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_call_does_not_keep_it_from_ending() -> anyhow::Result<()> {
    let mut running = Running::start(&[]).await?;
    let slow = Wire::Timeout(Duration::from_secs(25));
    running.tenant.fault(Fault::wire("batch_send", When::BeforeAccept, slow));
    let tenant = running.tenant.clone();
    let target = tenant.person("陈晨").open_id;
    tenant.person("王芳").says(&format!("/broadcast {target} 慢吞吞的通知")).await;
    let card = tenant.person("赵磊").next_card().await.map_err(anyhow::Error::msg)?;
    tenant.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
    running.until("the batch is on its way", |tenant| !tenant.calls_to("batch_send").is_empty()).await?;
    // Somebody keeps a connection open, too.
    let idle = std::net::TcpStream::connect(running.address)?;
    let (status, took) = running.signal("TERM").await?;
    drop(idle);
    assert_eq!(status.code(), Some(0), "{}", running.output());
    assert!(took < END_MAX, "{took:?}");

    // Nobody knows what became of the batch, and the author is told so instead of it being sent again.
    running.start_again().await?;
    let in_doubt = |tenant: &crate::sandbox::Tenant| {
        tenant
            .person("王芳")
            .last_card()
            .is_some_and(|card| card.text.contains("结果未知") || card.text.contains("无法确认"))
    };
    running.until("the author is told of the doubt", in_doubt).await?;
    assert_eq!(tenant.calls_to("batch_send").len(), 1);
    Ok(())
}

/// The minute is used up, so that a sample would wait for most of the next one.
#[tokio::test]
async fn a_sample_that_waits_for_its_turn_does_not_keep_it_from_ending() -> anyhow::Result<()> {
    let mut running = Running::start(&[]).await?;
    let url = format!("sqlite://{}", running.directory.path().join("feishu-broadcast.db").display());
    sqlx::any::install_default_drivers();
    let mut ledger = sqlx::AnyConnection::connect(&url).await?;
    for statement in [
        format!(
            "with recursive calls(n) as (select 1 union all select n + 1 from calls where n < 1000)
             insert into pace (ring, slot, call, made_at) select 'batches', n % 1000, n, {} from calls",
            SystemClock.now().0
        ),
        "update pace_count set calls = 1000 where ring = 'batches'".into(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut ledger).await?;
    }
    let target = running.tenant.person("陈晨").open_id;
    let wang = running.tenant.person("王芳");
    wang.says(&format!("/broadcast {target} 先看一眼")).await;
    let card = wang.next_card().await.map_err(anyhow::Error::msg)?;
    wang.presses(&card, "preview").await.map_err(anyhow::Error::msg)?;
    let reserved = "select calls from pace_count where ring = 'batches' and calls > 1000";
    while sqlx::query(reserved).fetch_optional(&mut ledger).await?.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ledger.close().await?;
    let (status, took) = running.signal("TERM").await?;
    assert_eq!(status.code(), Some(0), "{}", running.output());
    assert!(took < Duration::from_secs(5) && !running.output().contains("work unfinished"), "{took:?}");
    assert!(running.tenant.calls_to("batch_send").is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_under_way_at_the_end_is_written_and_nothing_new_is_begun() -> anyhow::Result<()> {
    let mut running = Running::start(&[]).await?;
    let tenant = running.tenant.clone();
    let target = tenant.person("陈晨").open_id;
    let calls = |tenant: &crate::sandbox::Tenant| tenant.calls_to("batch_send").len();
    // One call that takes its time, and a batch that is to be tried again before that one is answered.
    tenant.fault(Fault::wire("batch_send", When::AfterAccept, Wire::SlowBody(Duration::from_secs(5))));
    tenant.fault(Fault::rate("batch_send", 1));
    for (number, words) in ["慢的一条", "被限流的一条"].iter().enumerate() {
        tenant.person("王芳").says(&format!("/broadcast {target} {words}")).await;
        let card = tenant.person("赵磊").next_card().await.map_err(anyhow::Error::msg)?;
        tenant.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
        running.until("the batch is on its way", |tenant| calls(tenant) == number + 1).await?;
    }
    let (status, took) = running.signal("TERM").await?;
    assert_eq!(status.code(), Some(0), "{}", running.output());
    assert!((Duration::from_secs(2)..END_MAX).contains(&took), "as long as the call takes: {took:?}");
    assert_eq!(calls(&tenant), 2, "something was begun after the signal");

    // The answer was written: nothing is in doubt. What had not left leaves now.
    running.start_again().await?;
    let sent = |tenant: &crate::sandbox::Tenant| {
        let chat = tenant.person("王芳").chat().into_iter();
        chat.filter(|message| message.card.is_some() && message.text.starts_with("已发送")).count() == 2
    };
    running.until("both are sent", sent).await?;
    running.until("both arrive", |tenant| tenant.person("陈晨").inbox().len() == 2).await?;
    assert_eq!(calls(&tenant), 3);
    Ok(())
}

#[tokio::test]
async fn a_command_acknowledged_a_moment_before_a_kill_is_worked_on_at_the_next_start() -> anyhow::Result<()> {
    let mut running = Running::start(&[]).await?;
    let tenant = running.tenant.clone();
    let target = tenant.person("陈晨").open_id;
    let mut events = vec![];
    for number in 0..3 {
        let event = tenant.person("王芳").text_event(&format!("/broadcast {target} 第 {number} 条"));
        let pushed = tenant.push(&event).await;
        running.kill_9()?;
        assert_eq!(pushed.status, 200);
        events.push(event);
        running.start_again().await?;
    }
    let cards = |tenant: &crate::sandbox::Tenant| {
        let chat = tenant.person("赵磊").chat();
        chat.iter().filter(|message| message.from_bot && message.card.is_some()).count()
    };
    running.until("all three are asked about", |tenant| cards(tenant) == 3).await?;
    for event in &events {
        assert_eq!(tenant.push(event).await.status, 200, "a repeat after all that");
    }
    tenant.person("王芳").says("/whoami").await;
    let told = |tenant: &crate::sandbox::Tenant| {
        tenant.person("王芳").chat().iter().any(|message| message.from_bot && message.text.contains("open_id"))
    };
    running.until("what came later is answered", told).await?;
    assert_eq!(cards(&tenant), 3);
    assert!(tenant.tasks().is_empty());
    let pushes = tenant.pushes();
    assert!(pushes.iter().filter(|push| push.kind == PushKind::Event).all(|push| push.status == 200));
    Ok(())
}
