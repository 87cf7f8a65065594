//! The program is killed, again and again, at moments nobody chose, while colleagues go on as if nothing happened: fifty
//! broadcasts are proposed, approved and, where an outcome is unknown, decided about. In the end every person is
//! counted: nobody has more copies than people decided, and nobody has none without the author knowing.
//!
//! `KILL_SEED=n` plays the same people and the same pauses again; the moments themselves are the machine's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use feishu_broadcast::app::clock::{Clock, SystemClock};
use sqlx::{Connection, PgConnection, Row};

use crate::program::Running;
use crate::sandbox::{ChatMessage, Company, Fault, Tenant, When, Wire};
use crate::stage::Database;

const BROADCASTS: usize = 50;
const KILLS: usize = 12;
const KILLS_LONG: usize = 110;

/// How long everything may take to come to rest after the last kill.
const CALM_MAX: Duration = Duration::from_secs(90);

const AUTHORS: [&str; 3] = ["王芳", "林悦", "周明"];
const PEOPLE: [&str; 6] = ["陈晨", "刘洋", "马超", "钱多多", "罗敏", "谢婷"];

/// More people than one call can name.
const CROWD: usize = 230;

/// Chance from a seed: splitmix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// The seed in the environment, or a new one; said aloud, so that a failure can be played again.
    pub(crate) fn from(variable: &str) -> Self {
        let mut bytes = [0; 4];
        SystemClock.random(&mut bytes);
        let seed = std::env::var(variable).ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or(u64::from(u32::from_le_bytes(bytes)));
        println!("{variable}={seed}");
        Self(seed)
    }

    /// A number from 0 up to and without `sides`.
    pub(crate) fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).expect("smaller than a usize")
    }

    /// A pause of so many milliseconds.
    fn pause(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from + self.throw(to - from)) as u64)
    }
}

/// What one broadcast was to be, and what its author decided.
struct Asked {
    author: &'static str,
    words: String,
    receivers: Vec<String>,
    resends: usize,
}

impl Asked {
    fn card(&self, tenant: &Tenant) -> Option<ChatMessage> {
        let chat = tenant.person(self.author).chat();
        chat.into_iter().find(|message| message.card.is_some() && message.text.contains(&self.words))
    }

    fn is_over(&self, tenant: &Tenant) -> bool {
        self.card(tenant).is_some_and(|card| card.text.starts_with("已发送"))
    }
}

/// The colleagues: they propose, approve and decide, and try again where nobody answered.
struct Colleagues {
    tenant: Tenant,
    dice: Dice,
    asked: Vec<Asked>,
}

impl Colleagues {
    async fn propose(&mut self) {
        let number = self.asked.len();
        let author = AUTHORS[self.dice.throw(AUTHORS.len())];
        let receivers: Vec<String> = if number % 10 == 7 {
            (0..CROWD).map(|n| format!("员工{n:03}")).collect()
        } else {
            let first = self.dice.throw(PEOPLE.len());
            let count = 1 + self.dice.throw(3);
            (0..count).map(|n| PEOPLE[(first + n) % PEOPLE.len()].to_owned()).collect()
        };
        let ids: Vec<String> = receivers.iter().map(|name| self.tenant.person(name).open_id).collect();
        let words = format!("第{number:02}条通知");
        if self.dice.throw(2) == 0 {
            // An answer that takes its time gives a kill something to cut.
            let slow = Wire::SlowBody(self.dice.pause(50, 600));
            self.tenant.fault(Fault::wire("batch_send", When::AfterAccept, slow));
        }
        self.tenant.person(author).says(&format!("/broadcast {} {words}", ids.join(","))).await;
        self.asked.push(Asked { author, words, receivers, resends: 0 });
    }

    /// What was not answered with 200 is pushed again, sooner than the platform would.
    async fn push_again(&mut self) {
        for owed in self.tenant.with(|world| std::mem::take(&mut world.owed)) {
            self.tenant.push(&owed.event).await;
        }
    }

    /// The approver presses what can be pressed.
    async fn approve(&mut self) {
        let zhao = self.tenant.person("赵磊");
        for card in zhao.chat() {
            let offered = card.card.is_some() && zhao.controls(&card).iter().any(|c| c.action() == "approve");
            if offered && self.dice.throw(3) > 0 {
                // A press without an answer is made again, as long as the card offers it.
                let _answer = zhao.presses(&card, "approve").await;
            }
        }
    }

    /// Authors decide about what is in doubt.
    async fn decide(&mut self) {
        for at in 0..self.asked.len() {
            let Some(card) = self.asked[at].card(&self.tenant) else { continue };
            if !card.text.contains("结果未知") || self.dice.throw(3) == 0 {
                continue;
            }
            let resend = self.dice.throw(2) == 0;
            let author = self.tenant.person(self.asked[at].author);
            let pressed = author.presses(&card, if resend { "resend" } else { "settle" }).await;
            // Turned away for certain: it decided nothing. Without an answer it may have.
            let refused = pressed.is_err()
                || pressed.is_ok_and(|p| p.toast.is_some_and(|toast| toast.kind == "error" || toast.kind == "warning"));
            if !refused {
                self.asked[at].resends += usize::from(resend);
            }
        }
    }
}

/// What the ledger calls taken as sent, by its author's word: the contents of these batches and whom they are for.
async fn taken_as_sent(url: &str) -> anyhow::Result<Vec<(String, String)>> {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await?;
    let statement = "select c.doc as doc, b.targets as targets from batches b join broadcasts c on c.id = b.broadcast
                     where b.state = 'taken-as-sent'";
    let rows = sqlx::query(statement).fetch_all(&mut connection).await?;
    connection.close().await?;
    rows.iter().map(|row| Ok((row.try_get("doc")?, row.try_get("targets")?))).collect()
}

/// Everybody is counted.
fn count(tenant: &Tenant, asked: &[Asked], taken: &[(String, String)]) -> anyhow::Result<()> {
    let mut copies: BTreeMap<(String, String), usize> = BTreeMap::new();
    let (mut doubled, mut lost, mut silent, mut unsure) = (vec![], vec![], vec![], 0);
    for name in PEOPLE.map(str::to_owned).into_iter().chain((0..CROWD).map(|n| format!("员工{n:03}"))) {
        for message in tenant.person(&name).inbox() {
            *copies.entry((name.clone(), message.text)).or_default() += 1;
        }
    }
    for one in asked {
        let taken: Vec<&str> =
            taken.iter().filter(|(doc, _)| doc.contains(&one.words)).map(|(_, targets)| targets.as_str()).collect();
        unsure += one.resends + taken.len();
        for name in &one.receivers {
            let got = copies.remove(&(name.clone(), one.words.clone())).unwrap_or(0);
            if got > 1 + one.resends {
                doubled.push(format!("{name}: {} {got} times, {} resends", one.words, one.resends));
            }
            let open_id = tenant.person(name).open_id;
            if got == 0 && !taken.iter().any(|targets| targets.contains(&open_id)) {
                lost.push(format!("{name}: {}", one.words));
            }
        }
        let author = tenant.person(one.author);
        let cards = author.chat().iter().filter(|m| m.card.is_some() && m.text.contains(&one.words)).count();
        let id: String = one
            .card(tenant)
            .map_or(String::new(), |card| card.text.chars().skip_while(|c| *c != ' ').skip(1).take(6).collect());
        let told = author
            .chat()
            .iter()
            .filter(|m| m.msg_type == "text" && m.text.contains(&format!("群发 {id} 已发送")))
            .count();
        if (cards, told) != (1, 1) {
            silent.push(format!("{} {id}: {cards} cards, told {told} times", one.words));
        }
    }
    println!("{} broadcasts, {unsure} decided by people, doubled {doubled:?}, lost {lost:?}", asked.len());
    ensure!(doubled.is_empty(), "doubled: {doubled:?}");
    ensure!(lost.is_empty(), "lost without a word: {lost:?}");
    ensure!(copies.is_empty(), "nobody asked for {copies:?}");
    ensure!(silent.is_empty(), "not everybody knows: {silent:?}");
    Ok(())
}

/// Two minutes pass while nothing runs: whatever the dead one held is free.
pub(crate) async fn two_minutes_pass(url: &str) -> anyhow::Result<()> {
    if !url.starts_with("postgres") {
        return Ok(());
    }
    let mut connection = PgConnection::connect(url).await?;
    for (table, which) in [
        ("inbox", "state = 'taken'"),
        ("letters", "state = 'new'"),
        ("cards", "shown < wanted"),
        ("batches", "state = 'sending'"),
    ] {
        let statement = format!("update {table} set not_before = not_before - 130000 where {which}");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

/// Waits until somebody is at a call, with an answer that takes its time; not for ever, where there is nothing to send.
async fn a_call_is_under_way(tenant: &Tenant) {
    tenant.fault(Fault::wire("batch_send", When::AfterAccept, Wire::SlowBody(Duration::from_millis(600))));
    let before = tenant.calls_to("batch_send").len();
    let began = Instant::now();
    while tenant.calls_to("batch_send").len() == before && began.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a batch was left without its sender. Of an embedded database a copy is asked: whoever opens what a dead one left
/// behind puts it in order, which is for the program to do.
async fn is_sending(url: &str) -> anyhow::Result<bool> {
    sqlx::any::install_default_drivers();
    let copy = tempfile::tempdir()?;
    let mut asked = url.to_owned();
    if let Some(file) = url.strip_prefix("sqlite://") {
        let name = copy.path().join("copy.db");
        std::fs::copy(file, &name)?;
        std::fs::copy(format!("{file}-wal"), copy.path().join("copy.db-wal"))?;
        asked = format!("sqlite://{}", name.display());
    }
    let mut connection = sqlx::AnyConnection::connect(&asked).await?;
    let row =
        sqlx::query("select 1 from batches where state = 'sending' limit 1").fetch_optional(&mut connection).await?;
    connection.close().await?;
    Ok(row.is_some())
}

#[tokio::test]
async fn nobody_gets_it_twice_and_nobody_is_left_out_however_often_the_program_is_killed() -> anyhow::Result<()> {
    let mut dice = Dice::from("KILL_SEED");
    let kills = if std::env::var_os("LONG").is_some() { KILLS_LONG } else { KILLS };
    let data = tempfile::tempdir()?;
    let database = Database::new(data.path()).await?;
    let company = (0..CROWD).fold(Company::small(), |company, n| company.person(&format!("员工{n:03}"), &["工厂"]));
    let mut running = Running::start_in(company, &[("DATABASE_URL", &database.url)]).await?;
    // Fifty broadcasts within seconds are more cards than one chat takes, and the waits are not what is asked here.
    running.tenant.switch(|switches| switches.rates = false);
    let killed = Arc::new(AtomicUsize::new(0));
    let mut colleagues = Colleagues { tenant: running.tenant.clone(), dice: Dice(dice.0 ^ 1), asked: vec![] };

    let (url, done) = (database.url.clone(), Arc::clone(&killed));
    let killer = async {
        let mut cut = 0;
        for number in 0..kills {
            if number % 2 == 0 {
                tokio::time::sleep(dice.pause(5, 900)).await;
            } else {
                // Nothing leaves in the first second of a start: some have to die later, with an answer on its way.
                a_call_is_under_way(&running.tenant).await;
                tokio::time::sleep(dice.pause(0, 300)).await;
            }
            running.kill_9()?;
            cut += usize::from(is_sending(&url).await?);
            if dice.throw(2) == 0 {
                two_minutes_pass(&url).await?;
            }
            running.start_again().await?;
            done.fetch_add(1, Ordering::SeqCst);
        }
        // One last time, so that what the dead ones held is free.
        running.kill_9()?;
        two_minutes_pass(&url).await?;
        running.start_again().await?;
        done.fetch_add(1, Ordering::SeqCst);
        println!("{cut} of {kills} kills in the middle of a call");
        ensure!(cut > 0, "no call was ever cut off, and nothing is proved");
        anyhow::Ok(())
    };
    let life = async {
        let mut calm = None;
        loop {
            let killed = killed.load(Ordering::SeqCst);
            if killed > kills {
                let since = *calm.get_or_insert_with(Instant::now);
                let open: Vec<&str> = colleagues
                    .asked
                    .iter()
                    .filter(|one| !one.is_over(&colleagues.tenant))
                    .map(|one| one.words.as_str())
                    .collect();
                if colleagues.asked.len() == BROADCASTS && open.is_empty() {
                    return anyhow::Ok(());
                }
                ensure!(since.elapsed() < CALM_MAX, "does not come to rest: {open:?}");
            }
            if colleagues.asked.len() < BROADCASTS.min(BROADCASTS * (killed + 1) / kills) {
                colleagues.propose().await;
            }
            colleagues.push_again().await;
            colleagues.approve().await;
            colleagues.decide().await;
            let pause = colleagues.dice.pause(10, 120);
            tokio::time::sleep(pause).await;
        }
    };
    let (killer, life) = tokio::join!(killer, life);
    killer?;
    let taken = taken_as_sent(&database.url).await?;
    let told = life.and_then(|()| count(&colleagues.tenant, &colleagues.asked, &taken));
    told.with_context(|| {
        running.output().chars().rev().take(4000).collect::<String>().chars().rev().collect::<String>()
    })?;
    // A press that waits for its answer while the program starts keeps its card from being updated.
    colleagues.tenant.forgive("card action is lock");
    let violations = colleagues.tenant.violations();
    ensure!(violations.is_empty(), "{violations:?}");
    colleagues.tenant.close().await;
    drop(running);
    database.remove().await
}
