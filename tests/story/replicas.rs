//! Two replicas on one PostgreSQL: they share the work, the pace and the promises, and either may die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use feishu_broadcast::app::clock::{Clock, SystemClock};
use feishu_broadcast::app::{authorize, dispatch};
use feishu_broadcast::bot::{Bot, Loops};
use feishu_broadcast::config::Cli;
use feishu_broadcast::domain::ids::{OpenId, Timestamp};
use feishu_broadcast::store::Engine;
use feishu_broadcast::store::pace::{Reserved, Ring};
use futures_util::future::join_all;
use serde_json::json;
use sqlx::{Connection, PgConnection, Row};

use crate::approve::press;
use crate::kill::two_minutes_pass;
use crate::program::Running;
use crate::sandbox::{Company, Fault, Tenant, When, Wire};
use crate::stage::{Database, Stage, open, story};

/// Broadcasts approved at once.
const BROADCASTS: usize = 36;

const AUTHORS: [&str; 3] = ["王芳", "林悦", "周明"];

/// How long the survivor may take for what is left.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says so where there is no PostgreSQL: SQLite belongs to one process.
fn no_postgres() -> bool {
    let missing = std::env::var_os("TEST_POSTGRES_URL").is_none();
    if missing {
        println!("SKIPPED: replicas need TEST_POSTGRES_URL");
    }
    missing
}

/// What the authors see of their broadcasts: (words, text of the card), its state in the first line.
fn cards(tenant: &Tenant) -> Vec<(String, String)> {
    let chat = AUTHORS.into_iter().flat_map(|author| tenant.person(author).chat());
    chat.filter(|message| message.card.is_some())
        .filter_map(|message| {
            // An approver has a card too, that of somebody else's broadcast.
            let own = !message.text.contains("申请人");
            let words = message.text.lines().find(|line| own && line.ends_with("号通知"))?.to_owned();
            Some((words, message.text))
        })
        .collect()
}

fn standing(tenant: &Tenant, word: &str) -> usize {
    cards(tenant).iter().filter(|(_, text)| text.starts_with(word)).count()
}

/// The most calls of one endpoint in any second.
fn most_in_a_second(tenant: &Tenant, endpoint: &str) -> usize {
    let times: Vec<i64> = tenant.calls_to(endpoint).iter().map(|call| call.at_ms).collect();
    times.iter().map(|from| times.iter().filter(|at| (*from..from + 1000).contains(*at)).count()).max().unwrap_or(0)
}

#[tokio::test]
async fn either_takes_the_work_and_one_of_them_dies_while_sending() -> anyhow::Result<()> {
    if no_postgres() {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let database = Database::new(data.path()).await?;
    let mut one = Running::start_in(Company::small(), &[("DATABASE_URL", &database.url)]).await?;
    let other = one.beside().await?;
    let tenant = one.tenant.clone();
    let to = tenant.person("陈晨").open_id;
    for number in 0..BROADCASTS {
        if number.is_multiple_of(2) {
            one.listen()
        } else {
            other.listen()
        }
        let author = AUTHORS[number % AUTHORS.len()];
        let pushed = tenant.person(author).says(&format!("/broadcast {to} {number:02}号通知")).await;
        ensure!(pushed.status == 200, "{}", pushed.status);
    }
    until(&tenant, &other, "everything is proposed", |tenant| standing(tenant, "待审批") == BROADCASTS).await?;

    // The first answers take their time, so that calls of either are open when one replica dies.
    let slow = Wire::SlowBody(Duration::from_secs(3));
    tenant.fault(Fault::wire("batch_send", When::AfterAccept, slow).times(12));
    let ids: Vec<String> = cards(&tenant).iter().filter_map(|(_, text)| id_in(text)).collect();
    ensure!(ids.len() == BROADCASTS);
    for (number, id) in ids.iter().enumerate() {
        if number.is_multiple_of(2) {
            one.listen()
        } else {
            other.listen()
        }
        let value = json!({ "action": "approve", "broadcast": id, "version": 1 });
        let pressed = tenant.person("赵磊").presses_raw("om_of_a_forwarded_copy", value).await;
        ensure!(pressed.status == 200, "{}", pressed.status);
    }
    until(&tenant, &other, "sending has begun", |tenant| tenant.calls_to("batch_send").len() > 10).await?;
    one.kill_9()?;
    other.listen();
    // The survivor does what is free, and leaves alone what the dead one may have sent.
    let (mut last, mut quiet) = (0, Instant::now());
    let began = Instant::now();
    while quiet.elapsed() < Duration::from_secs(5) {
        ensure!(began.elapsed() < PATIENCE, "no rest: {}", other.output());
        let calls = tenant.calls_to("batch_send").len();
        if calls != last {
            (last, quiet) = (calls, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    two_minutes_pass(&database.url).await?;
    let rest = |tenant: &Tenant| standing(tenant, "已发送") + standing(tenant, "结果未知") == BROADCASTS;
    until(&tenant, &other, "the leases of the dead one are over", rest).await?;

    let unsure: Vec<String> =
        cards(&tenant).into_iter().filter(|(_, text)| text.starts_with("结果未知")).map(|c| c.0).collect();
    let inbox = tenant.person("陈晨").inbox();
    for (words, _) in cards(&tenant) {
        let copies = inbox.iter().filter(|message| message.text == words).count();
        ensure!(copies == 1 || (copies == 0 && unsure.contains(&words)), "{words}: {copies} copies");
    }
    for author in AUTHORS.map(|name| tenant.person(name)) {
        let chat = author.chat().into_iter();
        for message in chat.filter(|m| m.card.is_some() && m.text.starts_with("结果未知") && !m.text.contains("申请人"))
        {
            let pressed = author.presses(&message, "settle").await.map_err(anyhow::Error::msg)?;
            ensure!(pressed.status == 200);
        }
    }
    until(&tenant, &other, "every doubt is settled", |tenant| standing(tenant, "已发送") == BROADCASTS).await?;
    println!("{} of {BROADCASTS} in doubt, {} calls", unsure.len(), tenant.calls_to("batch_send").len());
    ensure!(tenant.calls_to("batch_send").len() <= BROADCASTS, "something was sent again");
    a_start_takes_nobodys_work_away(&tenant, &mut one, &other, &to).await?;
    for endpoint in ["batch_send", "messages.create", "messages.patch", "messages.reply"] {
        let most = most_in_a_second(&tenant, endpoint);
        ensure!(most <= 50, "{most} calls of {endpoint} in a second");
    }
    tenant.forgive("more than 5 messages a second to one chat");
    tenant.forgive("card action is lock");
    ensure!(tenant.violations().is_empty(), "{:?}", tenant.violations());
    tenant.close().await;
    drop((one, other));
    database.remove().await
}

/// A replica that comes while another one's call is open leaves that call alone.
async fn a_start_takes_nobodys_work_away(
    tenant: &Tenant,
    comes: &mut Running,
    sends: &Running,
    to: &str,
) -> anyhow::Result<()> {
    let calls = tenant.calls_to("batch_send").len();
    tenant.person(AUTHORS[0]).says(&format!("/broadcast {to} 99号通知")).await;
    until(tenant, sends, "one more is proposed", |tenant| standing(tenant, "待审批") == 1).await?;
    tenant.fault(Fault::wire("batch_send", When::AfterAccept, Wire::SlowBody(Duration::from_secs(6))));
    let last = cards(tenant).into_iter().find(|(_, text)| text.starts_with("待审批")).context("a card")?.1;
    let value = json!({ "action": "approve", "broadcast": id_in(&last).context("an id")?, "version": 1 });
    tenant.person("赵磊").presses_raw("om_of_a_forwarded_copy", value).await;
    until(tenant, sends, "its call is open", |tenant| tenant.calls_to("batch_send").len() == calls + 1).await?;
    comes.start_again().await?;
    ensure!(standing(tenant, "已发送") == BROADCASTS, "the call was over before the other one was there");
    sends.listen();
    until(tenant, sends, "it is sent", |tenant| standing(tenant, "已发送") == BROADCASTS + 1).await
}

/// A clock that is wrong by so many ms.
struct Wrong(i64);

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0)
    }

    fn random(&self, bytes: &mut [u8]) {
        SystemClock.random(bytes);
    }
}

#[tokio::test]
async fn a_machine_whose_clock_is_wrong_lives_by_the_databases() -> anyhow::Result<()> {
    if no_postgres() {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let database = Database::new(data.path()).await?;
    let tenant = Tenant::open(Company::small());
    let mut settings = tenant.settings();
    for (name, value) in [("DATABASE_URL", &*database.url), ("LISTEN_ADDR", "127.0.0.1:0"), ("METRICS_ADDR", "")] {
        settings.push((name.into(), value.into()));
    }
    for wrong_ms in [-1_200_000, 1_200_000] {
        let config = Cli::from_settings(settings.iter().map(|(name, value)| (name, value)))?.settings.check()?;
        let mut bot = Bot::start(config, Arc::new(Wrong(wrong_ms)), None, Loops::Running).await?;
        let off = bot.app.now().0 - SystemClock.now().0;
        bot.stop().await;
        ensure!(off.abs() < 1_000, "wrong by {wrong_ms} ms, and off by {off} ms from the clock all others live by");
    }
    tenant.close().await;
    database.remove().await
}

/// A server that takes a statement and never answers: to whoever waits it looks like one that is only slow.
#[tokio::test]
async fn a_database_that_has_fallen_silent_is_noticed() {
    if no_postgres() {
        return;
    }
    story(async |stage| {
        let patience = Duration::from_secs(2);
        let notices = tokio::time::timeout(2 * patience, stage.bot.hung(patience)).await.is_ok();
        ensure!(!notices, "nobody waits");
        let mut silent = PgConnection::connect(stage.database_url()).await?;
        sqlx::raw_sql("begin; lock table letters in access exclusive mode").execute(&mut silent).await?;
        for writes in [false, true] {
            let now = stage.bot.app.now();
            let waits = async {
                match writes {
                    false => drop(stage.bot.app.store.has_letter(now).await),
                    true => drop(stage.bot.app.store.prune_letters(now).await),
                }
            };
            tokio::select! {
                () = waits => ensure!(false, "it was answered"),
                noticed = tokio::time::timeout(3 * patience, stage.bot.hung(patience)) => noticed?,
            }
        }
        sqlx::raw_sql("rollback").execute(&mut silent).await?;
        ensure!(stage.bot.app.store.longest_use() == Duration::ZERO, "nobody waits any more");
        Ok(())
    })
    .await;
}

/// The id on a card: the word after `群发`.
fn id_in(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("群发 "))?;
    Some(line.chars().take(6).collect())
}

async fn until(tenant: &Tenant, witness: &Running, what: &str, so: impl Fn(&Tenant) -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !so(tenant) {
        let tail = || {
            let mut states: BTreeMap<String, usize> = BTreeMap::new();
            for (_, text) in cards(tenant) {
                *states.entry(text.lines().take(1).collect()).or_default() += 1;
            }
            format!("in vain waited until {what}: {states:?}\n{}", witness.output())
        };
        ensure!(began.elapsed() < PATIENCE, "{}", tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn all_of_them_keep_one_pace() -> anyhow::Result<()> {
    if no_postgres() {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let database = Database::new(data.path()).await?;
    let stores = [open(&database.url).await?, open(&database.url).await?];
    let reserved = join_all((0..240).map(|n| stores[n % 2].reserve_call(Ring::Batches, SystemClock.now()))).await;
    let reserved: Vec<Reserved> = reserved.into_iter().collect::<Result<_, _>>()?;
    let mut times: Vec<Timestamp> = reserved.iter().map(|reserved| reserved.at).collect();
    times.sort();
    let most = times.iter().map(|from| times.iter().filter(|at| (from.0..from.0 + 1000).contains(&at.0)).count()).max();
    ensure!(most == Some(50), "{most:?} calls in a second");
    for store in stores {
        store.close().await;
    }
    database.remove().await
}

#[tokio::test]
async fn a_call_that_leaves_late_keeps_those_of_the_others_at_a_distance() -> anyhow::Result<()> {
    if no_postgres() {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let database = Database::new(data.path()).await?;
    let (one, other) = (open(&database.url).await?, open(&database.url).await?);
    let now = SystemClock.now();
    let first = one.reserve_call(Ring::Batches, now).await?;
    for _ in 1..50 {
        other.reserve_call(Ring::Batches, now).await?;
    }
    let late = first.at.after(Duration::from_millis(400));
    ensure!(one.makes_later(&first, late).await?, "it is heard");
    let next = other.reserve_call(Ring::Batches, now.after(Duration::from_millis(900))).await?;
    ensure!(!one.makes_later(&first, late).await?, "the one fifty calls behind it has its moment");
    ensure!(next.at >= late.after(Duration::from_secs(1)), "{} ms after the late one", next.at.since(late).as_millis());
    for store in [one, other] {
        store.close().await;
    }
    database.remove().await
}

/// The calls of `batch_send` that were counted, and their moments.
async fn moments(stage: &Stage) -> anyhow::Result<Vec<(i64, i64)>> {
    let rows = stage.rows("select call, made_at from pace where ring = 'batches' order by call").await?;
    rows.iter().map(|row| Ok((row.try_get("call")?, row.try_get("made_at")?))).collect()
}

/// The same by a batch, whose sender is held up between its moment and its call, for however long. One process alone knows
/// what left it in the last second, and not what left it in the last minute.
#[tokio::test]
async fn a_batch_that_leaves_late_keeps_those_behind_it_at_a_distance() {
    for held_up in [400_u64, 5000] {
        story(async |stage| {
            if held_up < 500 && stage.bot.app.store.engine() == Engine::Sqlite {
                return Ok(());
            }
            let to = stage.person("陈晨").open_id;
            stage.propose("王芳", &format!("/broadcast {to} 来晚了")).await?;
            press(stage, "赵磊", "approve").await?;
            let app = &stage.bot.app;
            let taken = dispatch::next(app).await?.context("there is a batch")?;
            let [(call, at)] = moments(stage).await?.try_into().expect("one call");
            stage.tenant.later(Duration::from_millis(held_up)).await;
            let open = Wire::SlowBody(Duration::from_secs(3));
            stage.tenant.fault(Fault::wire("batch_send", When::AfterAccept, open));
            let meanwhile = async {
                while stage.tenant.calls_to("batch_send").is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                moments(stage).await
            };
            let (sent, seen) = tokio::join!(dispatch::send(app, taken), meanwhile);
            sent?;
            let [(same, told)] = seen?.try_into().expect("one call");
            ensure!(same == call && told >= at + i64::try_from(held_up)? - 10, "nobody was told: {at} and {told}");
            Ok(())
        })
        .await;
    }
}

/// One that was answered late may have arrived late.
#[tokio::test]
async fn a_batch_whose_answer_is_late_keeps_those_behind_it_at_a_distance() {
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        stage.propose("王芳", &format!("/broadcast {to} 路上慢了")).await?;
        press(stage, "赵磊", "approve").await?;
        stage.tenant.fault(Fault::wire("batch_send", When::AfterAccept, Wire::SlowBody(Duration::from_millis(800))));
        let taken = dispatch::next(&stage.bot.app).await?.context("there is a batch")?;
        let [(call, at)] = moments(stage).await?.try_into().expect("one call");
        dispatch::send(&stage.bot.app, taken).await?;
        stage.settle().await?;
        let began = Instant::now();
        while moments(stage).await?[0] < (call, at + 700) {
            ensure!(began.elapsed() < PATIENCE, "nobody was told");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_is_late_for_those_behind_it_takes_another_moment() {
    if no_postgres() {
        return;
    }
    story(async |stage| {
        let to = stage.person("陈晨").open_id;
        stage.propose("王芳", &format!("/broadcast {to} 来得太晚")).await?;
        press(stage, "赵磊", "approve").await?;
        let app = &stage.bot.app;
        let taken = dispatch::next(app).await?.context("there is a batch")?;
        let (call, _) = moments(stage).await?[0];
        let other = stage.replica().await?;
        for _ in 0..50 {
            other.app.store.reserve_call(Ring::Batches, other.app.now()).await?;
        }
        stage.tenant.later(Duration::from_millis(400)).await;
        dispatch::send(app, taken).await?;
        ensure!(stage.tenant.calls_to("batch_send").is_empty(), "it left too close to the one fifty calls behind it");
        stage.settle().await?;
        ensure!(stage.person("陈晨").inbox().len() == 1, "it did not leave at another moment");
        let (last, _) = *moments(stage).await?.last().context("moments")?;
        ensure!(last == call + 51, "{last} after {call}");
        let card = stage.card_of("王芳")?;
        ensure!(card.text.contains("已发送"), "{}", card.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_word_from_one_of_them_wakes_the_others() -> anyhow::Result<()> {
    if no_postgres() {
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let database = Database::new(data.path()).await?;
    let (one, other) = (open(&database.url).await?, open(&database.url).await?);
    // Another company's bot in a schema of its own on the same database.
    let mut admin = PgConnection::connect(&database.url).await?;
    sqlx::query("create schema stranger").execute(&mut admin).await?;
    let elsewhere = open(&format!("{}?options[search_path]=stranger", database.url)).await?;
    let mut ear = other.listen().await?.context("PostgreSQL has notices")?;
    let mut heard = async || tokio::time::timeout(Duration::from_millis(500), ear.next()).await;
    one.tell_replicas().await?;
    heard().await.context("one speaks and the other does not hear")??;
    elsewhere.tell_replicas().await?;
    ensure!(heard().await.is_err(), "a bot of another schema is none of ours");
    for store in [one, other, elsewhere] {
        store.close().await;
    }
    admin.close().await?;
    database.remove().await
}

#[tokio::test]
async fn all_of_them_may_bring_the_store_up_to_date_at_once() -> anyhow::Result<()> {
    if no_postgres() {
        return Ok(());
    }
    let database = Database::empty().await?;
    for store in join_all((0..5).map(|_| open(&database.url))).await {
        let store = store.context("one of five could not open the store")?;
        store.ping().await?;
        store.close().await;
    }
    database.remove().await
}

#[tokio::test]
async fn one_of_them_refreshes_a_token_for_all() {
    if no_postgres() {
        return;
    }
    story(async |stage| {
        stage.authorize("王芳").await?;
        let mut second = stage.replica().await?;
        let wang = OpenId::new(stage.person("王芳").open_id).context("an open_id")?;
        for round in 1..=3 {
            stage.tenant.later(Duration::from_secs(2 * 3600)).await;
            let (one, other) = tokio::join!(
                authorize::user_token(&stage.bot.app, &wang, None),
                authorize::user_token(&second.app, &wang, None),
            );
            ensure!(one.is_ok() && other.is_ok(), "round {round}");
            let refreshed = stage.tenant.calls_to("oauth.refresh").len();
            ensure!(refreshed == round, "{refreshed} refreshes in {round} rounds");
        }
        second.stop().await;
        Ok(())
    })
    .await;
}
