//! What the bot tells of itself in numbers: what waits and for how long, what is in doubt, what is left of the day.
//!
//! Told with a recorder of the story's own, and by looking when the story says so.

use std::time::Duration;

use feishu_broadcast::app::gauges;
use feishu_broadcast::domain::quota::{Day, PER_DAY};
use feishu_broadcast::web::measures;
use metrics_exporter_prometheus::PrometheusRecorder;

use crate::approve::{press, proposal};
use crate::sandbox::{Fault, When, Wire};
use crate::stage::{Stage, story};

const MINUTE: Duration = Duration::from_secs(60);

/// Everything that was measured, as numbers by their lines.
struct Seen(String);

impl Seen {
    /// The number on this line; none where the line is missing.
    fn find(&self, line: &str) -> Option<f64> {
        self.0.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
    }

    #[track_caller]
    fn number(&self, line: &str) -> f64 {
        self.find(line).unwrap_or_else(|| panic!("{line} is missing in:\n{}", self.0))
    }

    #[track_caller]
    fn is(&self, line: &str, value: u32) {
        assert_eq!(self.number(line), f64::from(value), "{line} in:\n{}", self.0);
    }

    #[track_caller]
    fn is_about(&self, line: &str, expect: Duration) {
        let slack = Duration::from_secs(20);
        let age = Duration::from_secs_f64(self.number(line));
        assert!(age >= expect && age < expect + slack, "{line} is {age:?}, not {expect:?}, in:\n{}", self.0);
    }
}

const QUEUE: &str = "feishu_broadcast_queue_events";
const QUEUE_AGE: &str = "feishu_broadcast_queue_age_seconds";
const PARKED: &str = "feishu_broadcast_parked_events";
const LETTERS: &str = "feishu_broadcast_outbox_items{kind=\"letters\"}";
const LETTERS_AGE: &str = "feishu_broadcast_outbox_age_seconds{kind=\"letters\"}";
const CARDS: &str = "feishu_broadcast_outbox_items{kind=\"cards\"}";
const CARDS_AGE: &str = "feishu_broadcast_outbox_age_seconds{kind=\"cards\"}";
const BATCHES: &str = "feishu_broadcast_waiting_batches";
const DOUBTFUL: &str = "feishu_broadcast_doubtful_batches";
const QUOTA: &str = "feishu_broadcast_quota_left_messages";

/// Plays a story that may look at the numbers.
async fn watched(play: impl AsyncFnOnce(&mut Stage, &PrometheusRecorder) -> anyhow::Result<()>) {
    let recorder = measures::recorder().expect("the buckets are right").build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    measures::describe();
    story(async |stage| play(stage, &recorder).await).await;
}

/// Looks at what waits, and reads everything.
async fn look(stage: &Stage, recorder: &PrometheusRecorder) -> anyhow::Result<Seen> {
    gauges::step(&stage.bot.app).await?;
    Ok(Seen(recorder.handle().render()))
}

/// Nothing waits.
#[track_caller]
fn at_rest(seen: &Seen) {
    for line in [QUEUE, QUEUE_AGE, PARKED, LETTERS, LETTERS_AGE, CARDS, CARDS_AGE, BATCHES, DOUBTFUL] {
        seen.is(line, 0);
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_worked_on_is_counted_and_grows_old() {
    watched(async |stage, recorder| {
        stage.authorize("王芳").await?;
        at_rest(&look(stage, recorder).await?);
        stage.tenant.fault(Fault::wire("departments.search", When::BeforeAccept, Wire::Html502).times(3));
        let began = stage.bot.app.now();
        stage.person("王芳").says("/broadcast 大客户组 明天开会").await;
        let seen = look(stage, recorder).await?;
        seen.is(QUEUE, 1);
        seen.is_about(QUEUE_AGE, Duration::ZERO);
        // Tried once and put back: it still waits.
        stage.settle().await?;
        stage.tenant.later(2 * MINUTE).await;
        let seen = look(stage, recorder).await?;
        seen.is(QUEUE, 1);
        seen.is_about(QUEUE_AGE, stage.bot.app.now().since(began).saturating_sub(Duration::from_secs(5)));
        assert!(seen.number(QUEUE_AGE) >= 120.0);
        for _ in 0..5 {
            stage.later(MINUTE).await?;
        }
        at_rest(&look(stage, recorder).await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_that_waits_for_its_authors_login_does_not_count_as_a_queue_that_stands() {
    watched(async |stage, recorder| {
        let card = stage.ask("王芳", "/broadcast 销售部 明天开会").await?;
        stage.tenant.later(10 * MINUTE).await;
        let seen = look(stage, recorder).await?;
        seen.is(PARKED, 1);
        seen.is(QUEUE, 0);
        seen.is(QUEUE_AGE, 0);
        stage.follow_login(&card, "王芳").await?;
        stage.settle().await?;
        at_rest(&look(stage, recorder).await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_and_a_card_that_cannot_leave_are_counted() {
    watched(async |stage, recorder| {
        for endpoint in ["messages.reply", "messages.create"] {
            stage.tenant.fault(Fault::wire(endpoint, When::BeforeAccept, Wire::Html502).times(2));
        }
        let began = stage.bot.app.now();
        stage.person("王芳").says("/whoami").await;
        feishu_broadcast::app::inbox::step(&stage.bot.app).await?;
        // Tried twice, and still as old as it is.
        for wait in [4 * MINUTE, MINUTE] {
            feishu_broadcast::app::letters::step(&stage.bot.app).await?;
            stage.tenant.later(wait).await;
        }
        let seen = look(stage, recorder).await?;
        seen.is(LETTERS, 1);
        seen.is_about(LETTERS_AGE, stage.bot.app.now().since(began).saturating_sub(Duration::from_secs(5)));
        seen.is(QUEUE, 0);
        stage.later(10 * MINUTE).await?;

        let target = stage.person("陈晨").open_id;
        stage.person("王芳").says(&format!("/broadcast {target} 明天开会")).await;
        feishu_broadcast::app::inbox::step(&stage.bot.app).await?;
        stage.tenant.later(MINUTE).await;
        let seen = look(stage, recorder).await?;
        assert!(seen.number(CARDS) >= 2.0, "of its author and its approvers: {}", seen.0);
        seen.is_about(CARDS_AGE, MINUTE);
        stage.settle().await?;
        at_rest(&look(stage, recorder).await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_batch_in_doubt_is_counted_until_somebody_decides() {
    watched(async |stage, recorder| {
        stage.tenant.fault(Fault::lost_answer("batch_send"));
        proposal(stage, "王芳", "可能到了").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        for _ in 0..2 {
            let seen = look(stage, recorder).await?;
            seen.is(DOUBTFUL, 1);
            seen.is(BATCHES, 0);
            seen.is("feishu_broadcast_batches_total{outcome=\"in-doubt\"}", 1);
            stage.later(60 * MINUTE).await?;
        }
        press(stage, "王芳", "settle").await?;
        stage.settle().await?;
        at_rest(&look(stage, recorder).await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_left_of_the_day_and_the_batches_that_wait_for_the_next_are_told() {
    watched(async |stage, recorder| {
        let day = u32::try_from(PER_DAY)?;
        look(stage, recorder).await?.is(QUOTA, day);
        let app = std::sync::Arc::clone(&stage.bot.app);
        proposal(stage, "王芳", "一").await?;
        look(stage, recorder).await?.is(BATCHES, 0);
        press(stage, "赵磊", "approve").await?;
        look(stage, recorder).await?.is(BATCHES, 1);
        stage.settle().await?;
        let seen = look(stage, recorder).await?;
        seen.is(BATCHES, 0);
        seen.is(QUOTA, day - 1);
        let mut tx = app.store.begin().await?;
        tx.use_up(Day::of(app.now())).await?;
        tx.commit().await?;
        proposal(stage, "王芳", "二").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let seen = look(stage, recorder).await?;
        seen.is(BATCHES, 1);
        seen.is(QUOTA, 0);
        stage.later(24 * 60 * MINUTE).await?;
        at_rest(&look(stage, recorder).await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_gives_no_number_instead_of_an_old_one() {
    watched(async |stage, recorder| {
        at_rest(&look(stage, recorder).await?);
        stage.sql("alter table letters rename to hidden".into()).await?;
        assert!(gauges::step(&stage.bot.app).await.is_err());
        let seen = Seen(recorder.handle().render());
        for line in [QUEUE, QUEUE_AGE, LETTERS, CARDS, BATCHES, DOUBTFUL, QUOTA] {
            assert!(seen.number(line).is_nan(), "{line}: {}", seen.0);
        }
        stage.sql("alter table hidden rename to letters".into()).await?;
        at_rest(&look(stage, recorder).await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn tokens_waits_for_the_pace_and_transactions_are_measured() {
    let refreshed = |kind: &str, outcome: &str| {
        format!("feishu_broadcast_token_refreshes_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}")
    };
    watched(async |stage, recorder| {
        stage.authorize("王芳").await?;
        let seen = look(stage, recorder).await?;
        seen.is(&refreshed("app", "ok"), 1);
        assert_eq!(seen.find(&refreshed("user", "ok")), None, "handed out, not renewed");
        let transactions = seen.number("feishu_broadcast_transaction_seconds_count");
        assert!(seen.number("feishu_broadcast_pace_wait_seconds_count{calls=\"talk\"}") >= 1.0, "{}", seen.0);

        stage.later(112 * MINUTE).await?;
        stage.ask("王芳", "/departments 销售部").await?;
        proposal(stage, "王芳", "通知").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let seen = look(stage, recorder).await?;
        seen.is(&refreshed("user", "ok"), 1);
        assert!(seen.number(&refreshed("app", "ok")) >= 2.0, "{}", seen.0);
        assert!(seen.number("feishu_broadcast_pace_wait_seconds_count{calls=\"batches\"}") >= 1.0, "{}", seen.0);
        assert!(seen.number("feishu_broadcast_transaction_seconds_count") > transactions + 5.0, "{}", seen.0);

        stage.later(112 * MINUTE).await?;
        // Twice is one try: the first answer may have been lost.
        stage.tenant.fault(Fault::code("oauth.refresh", 500, 20_050).times(2));
        stage.person("王芳").says("/departments 总经办").await;
        stage.settle().await?;
        let seen = look(stage, recorder).await?;
        seen.is(&refreshed("user", "failed"), 1);
        for _ in 0..3 {
            stage.later(MINUTE).await?;
        }
        Ok(())
    })
    .await;
}
