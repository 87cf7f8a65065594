//! The queues in the store: nobody's flood and nobody's silence keeps anyone else waiting.
//!
//! Told mostly on the store itself, with moments made up for the purpose, since hours and floods are what it is about.

use std::time::Duration;

use anyhow::Context;
use feishu_broadcast::app::asked::Request;
use feishu_broadcast::app::authorize::{self, NoToken};
use feishu_broadcast::app::{App, LEASE, commands, directory, tidy};
use feishu_broadcast::domain::broadcast::State;
use feishu_broadcast::domain::ids::{MessageId, OpenId, Timestamp};
use feishu_broadcast::feishu::event::{Event, EventKind};
use feishu_broadcast::store::broadcasts::Which;
use feishu_broadcast::store::cards::CardOutcome;
use feishu_broadcast::store::inbox::{Arrival, Kind, Seen};
use feishu_broadcast::store::letters::{Letter, LetterOutcome, Receiver};
use feishu_broadcast::store::{Engine, Store, StoreError};

use crate::approve::{press, proposal};
use crate::sandbox::Company;
use crate::stage::{Database, open, story, story_with};

const START: Timestamp = Timestamp(1_800_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

/// Plays with a store of its own.
async fn with_store(play: impl AsyncFnOnce(&Store, &str) -> anyhow::Result<()>) {
    let data = tempfile::tempdir().expect("a directory for the database");
    let database = Database::new(data.path()).await.expect("a database");
    let store = open(&database.url).await.expect("the store opens");
    play(&store, &database.url).await.expect("the story ends well");
    store.close().await;
    database.remove().await.expect("the story's database can be dropped");
}

fn letter(to: &str, number: usize) -> Letter {
    Letter {
        uuid: format!("{to}-{number:04}"),
        receiver: Receiver::Person(OpenId::new(format!("ou_{to}")).expect("an open_id")),
        reply_to: None,
        msg_type: "text",
        content: "{}".into(),
    }
}

async fn post(store: &Store, letters: impl IntoIterator<Item = Letter>, now: Timestamp) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    for letter in letters {
        tx.post(&letter, now).await?;
    }
    tx.commit().await
}

/// The uuid of the letter that is claimed at this moment.
async fn claimed(store: &Store, now: Timestamp) -> Result<Option<String>, StoreError> {
    Ok(store.claim_letter(now, now.after(LEASE)).await?.map(|letter| letter.uuid))
}

#[tokio::test]
async fn a_hundred_answers_behind_one_that_cannot_be_sent_keep_nobody_else_waiting() {
    with_store(async |store, _| {
        post(store, (0..100).map(|number| letter("blocked", number)), START).await?;
        let head = store.claim_letter(START, START.after(LEASE)).await?.expect("the first letter");
        let meanwhile = START.after(LEASE / 2);
        post(store, [letter("other", 0)], meanwhile).await?;
        assert_eq!(claimed(store, meanwhile).await?.as_deref(), Some("other-0000"), "while it is being sent");
        let again_at = START.after(10 * MINUTE);
        store.settle_letter(&head, LetterOutcome::Later(again_at), meanwhile).await?;
        post(store, [letter("third", 0)], START.after(LEASE + LEASE / 4)).await?;
        assert_eq!(
            claimed(store, START.after(LEASE + LEASE / 4)).await?.as_deref(),
            Some("third-0000"),
            "while it waits"
        );
        assert_eq!(claimed(store, START.after(LEASE + LEASE / 4)).await?, None, "nobody overtakes in one queue");
        // The other two were never settled: they are free again as well.
        let mut free = vec![];
        while let Some(uuid) = claimed(store, again_at).await? {
            free.push(uuid);
        }
        free.sort();
        assert_eq!(free, ["blocked-0000", "other-0000", "third-0000"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn answers_that_had_to_wait_still_leave_five_a_second_and_in_order() {
    with_store(async |store, _| {
        post(store, (0..3).map(|number| letter("ou", number)), START).await?;
        let mut now = START.after(MINUTE);
        for number in 0..3 {
            let head = store.claim_letter(now, now.after(LEASE)).await?.expect("a letter");
            assert_eq!(head.uuid, letter("ou", number).uuid);
            store.settle_letter(&head, LetterOutcome::Sent, now).await?;
            assert_eq!(claimed(store, now.after(Duration::from_millis(219))).await?, None, "too soon after {number}");
            now = now.after(Duration::from_millis(220));
        }
        // One that is written just after the last one left keeps its distance, too.
        post(store, [letter("ou", 3)], Timestamp(now.0 - 200)).await?;
        assert_eq!(claimed(store, Timestamp(now.0 - 1)).await?, None);
        assert_eq!(claimed(store, now).await?.as_deref(), Some("ou-0003"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_stood_a_day_ahead_silences_nobody() {
    with_store(async |store, _| {
        let tomorrow = START.after(1440 * MINUTE);
        post(store, [letter("sent", 0), letter("waiting", 0)], tomorrow).await?;
        let sent = store.claim_letter(tomorrow, tomorrow.after(LEASE)).await?.expect("a letter");
        store.settle_letter(&sent, LetterOutcome::Sent, tomorrow).await?;
        post(store, [letter("sent", 1), letter("waiting", 1)], START).await?;
        let mut now = vec![claimed(store, START).await?, claimed(store, START).await?];
        now.sort();
        assert_eq!(now, [Some("sent-0001".into()), Some("waiting-0001".into())]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_whose_question_is_gone_leaves_under_another_uuid_and_in_its_place() {
    with_store(async |store, _| {
        let mut reply = letter("ou", 0);
        reply.reply_to = MessageId::new("om_gone".to_owned());
        assert!(reply.reply_to.is_some());
        post(store, [reply.clone(), letter("ou", 1)], START).await?;
        let now = START.after(MINUTE);
        let head = store.claim_letter(now, now.after(LEASE)).await?.expect("the reply");
        store.settle_letter(&head, LetterOutcome::Unaddressed { uuid: "another".into() }, now).await?;
        post(store, [reply], now).await?;
        let now = now.after(MINUTE);
        let again = store.claim_letter(now, now.after(LEASE)).await?.expect("the same once more");
        assert_eq!((again.uuid.as_str(), again.reply_to.as_ref(), again.content.as_str()), ("another", None, "{}"));
        store.settle_letter(&again, LetterOutcome::Sent, now).await?;
        assert_eq!(claimed(store, now.after(MINUTE)).await?.as_deref(), Some("ou-0001"));
        Ok(())
    })
    .await;
}

fn arrival(person: &str, number: i64) -> Arrival {
    Arrival {
        key: format!("m:{person}-{number:05}"),
        kind: Kind::Message,
        person: person.into(),
        body: "{}".into(),
        received_at: Timestamp(START.0 + number),
    }
}

#[tokio::test]
async fn a_person_with_many_commands_does_not_hide_the_others() {
    with_store(async |store, _| {
        for number in 0..200 {
            store.accept(arrival("many", number)).await?;
        }
        store.accept(arrival("few", 1000)).await?;
        let now = START.after(MINUTE);
        let mut keys = vec![];
        while let Some(claim) = store.claim_event(now, now.after(LEASE)).await? {
            keys.push(claim.key);
        }
        assert_eq!(keys, ["m:many-00000", "m:few-01000"], "each one's oldest, and one at a time");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_long_memory_is_forgotten_in_small_steps_and_nothing_else_with_it() {
    with_store(async |store, _| {
        let mut tx = store.begin().await?;
        for number in 0..2100 {
            tx.remember(&arrival("old", number)).await?;
        }
        tx.remember(&arrival("new", 9000)).await?;
        tx.commit().await?;
        store.accept(arrival("open", 0)).await?;
        assert_eq!(store.prune_events(Timestamp(START.0 + 9000)).await?, 2100);
        assert_eq!(store.prune_events(Timestamp(START.0 + 9001)).await?, 1);
        assert_eq!(store.events_open().await?, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_replicas_that_insert_the_same_keys_do_not_wait_for_each_other_in_a_ring() {
    with_store(async |store, url| {
        if store.engine() == Engine::Sqlite {
            // Belongs to one process.
            return Ok(());
        }
        let other = open(url).await?;
        for round in 0..20 {
            let forwards = (0..100).map(|number| store.accept(arrival("ring", round * 100 + number)));
            let backwards = (0..100).rev().map(|number| other.accept(arrival("ring", round * 100 + number)));
            let (one, two) = tokio::join!(
                futures_util::future::try_join_all(forwards),
                futures_util::future::try_join_all(backwards)
            );
            one?;
            two?;
        }
        other.close().await;
        assert_eq!(store.events_open().await?, 2000);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn of_the_same_event_ten_times_at_once_one_is_the_first() {
    with_store(async |store, _| {
        // Fifty-five events are none of the sizes that statements are kept for.
        let pushes = (0..55).map(|number| store.accept(arrival("twice", number / 10)));
        let seen = futures_util::future::try_join_all(pushes).await?;
        assert_eq!(seen.iter().filter(|seen| **seen == Seen::First).count(), 6);
        assert_eq!(store.accept(arrival("twice", 0)).await?, Seen::Again);
        assert_eq!(store.events_open().await?, 6);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_on_the_disk_is_not_acknowledged_and_the_next_one_is() {
    with_store(async |store, url| {
        let Some(file) = url.strip_prefix("sqlite://") else { return Ok(()) };
        // The log of changes is out of reach: whether it gets to the disk nobody can tell.
        std::fs::remove_file(format!("{file}-wal"))?;
        let lost = store.accept(arrival("ou", 0)).await;
        assert!(matches!(lost, Err(StoreError::Unavailable)), "{lost:?}");
        assert_eq!(store.accept(arrival("ou", 1)).await?, Seen::First);
        // What counts as stored stands in the database itself now, whatever becomes of the log.
        let copy = format!("{file}.copy");
        std::fs::copy(file, &copy)?;
        let mut copy = <sqlx::SqliteConnection as sqlx::Connection>::connect(&format!("sqlite://{copy}")).await?;
        let stored: (i64,) = sqlx::query_as("select count(*) from inbox").fetch_one(&mut copy).await?;
        assert_eq!(stored.0, 2);
        Ok(())
    })
    .await;
}

/// What work commits, a batch that is about to leave above all, is on the disk before anybody acts on it.
#[tokio::test]
async fn what_work_writes_is_not_done_before_it_is_on_the_disk() {
    with_store(async |store, url| {
        let Some(file) = url.strip_prefix("sqlite://") else { return Ok(()) };
        std::fs::remove_file(format!("{file}-wal"))?;
        let lost = post(store, [letter("someone", 0)], START).await;
        assert!(matches!(lost, Err(StoreError::Unavailable)), "{lost:?}");
        post(store, [letter("someone", 1)], START).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_wait_for_its_disk_is_told_to() {
    with_store(async |_, url| {
        if !url.starts_with("postgres") {
            return Ok(());
        }
        let mut server = <sqlx::PgConnection as sqlx::Connection>::connect(url).await?;
        sqlx::raw_sql(
            "do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$;
             create table seen (setting text);
             create function note() returns trigger language plpgsql as $$ begin
                 insert into seen select current_setting('synchronous_commit'); return null; end $$;
             create trigger note after insert on letters for each statement execute function note();",
        )
        .execute(&mut server)
        .await?;
        let store = open(url).await?;
        post(&store, [letter("someone", 0)], START).await?;
        store.close().await;
        let seen: Vec<(String,)> = sqlx::query_as("select setting from seen").fetch_all(&mut server).await?;
        assert_eq!(seen, [("on".to_owned(),)]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_log_of_changes_does_not_grow_for_ever() {
    with_store(async |store, url| {
        let Some(file) = url.strip_prefix("sqlite://") else { return Ok(()) };
        let mut bytes = vec![];
        for round in 0..4 {
            let events = (0..500).map(|number| store.accept(arrival("long", round * 500 + number)));
            futures_util::future::try_join_all(events).await?;
            bytes.push(std::fs::metadata(format!("{file}-wal"))?.len());
            tokio::time::sleep(Duration::from_millis(1500)).await;
        }
        assert!(bytes[3] < 2 * bytes[0], "{bytes:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_busy_with_another_is_a_collision_not_a_failure() {
    with_store(async |store, url| {
        if store.engine() == Engine::Postgres {
            return Ok(());
        }
        let mut other = <sqlx::SqliteConnection as sqlx::Connection>::connect(url).await?;
        sqlx::query("begin immediate").execute(&mut other).await?;
        let met = store.begin().await.err();
        assert!(matches!(met, Some(StoreError::Conflict)), "{met:?}");
        sqlx::query("rollback").execute(&mut other).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_broadcast_that_cannot_be_read_holds_up_no_other() {
    let data = tempfile::tempdir().expect("a directory for the database");
    let database = data.path().join("broken.db");
    let url = format!("sqlite://{}", database.display());
    story_with(&[("DATABASE_URL", &url)], Company::small(), async |stage| {
        let to = stage.person("陈晨").open_id;
        stage.propose("王芳", &format!("/broadcast {to} 先来的")).await?;
        stage.propose("王芳", &format!("/broadcast {to} 后来的")).await?;
        let store = &stage.bot.app.store;
        let both = store.recent(None, Which::All).await?;
        let [sound, broken] = &both[..] else { anyhow::bail!("not two") };
        let mut other = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await?;
        let doc: (String,) = sqlx::query_as("select doc from broadcasts where id = $1")
            .bind(broken.id.as_str())
            .fetch_one(&mut other)
            .await?;
        let write = "update broadcasts set doc = $2 where id = $1";
        sqlx::query(write).bind(broken.id.as_str()).bind("{}").execute(&mut other).await?;
        stage.tenant.later(25 * 60 * MINUTE).await;
        tidy::step(&stage.bot.app).await?;
        let sound = store.broadcast(&sound.id).await?.context("it is gone")?;
        assert_eq!(sound.state, State::Expired);
        sqlx::query(write).bind(broken.id.as_str()).bind(&doc.0).execute(&mut other).await?;
        Ok(())
    })
    .await;
}

async fn revoked(app: &App, person: &OpenId, at: Timestamp) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    authorize::revoked(&mut tx, person, Some(at), app.now()).await?;
    tx.commit().await
}

#[tokio::test]
async fn a_late_word_of_an_old_revocation_leaves_the_new_authorization_alone() {
    story(async |stage| {
        let wang = OpenId::new(stage.person("王芳").open_id).context("an open_id")?;
        let app = &stage.bot.app;
        let before = app.now();
        stage.later(MINUTE).await?;
        stage.authorize("王芳").await?;
        revoked(app, &wang, before).await?;
        assert!(app.store.authorization(&wang).await?.is_some());
        revoked(app, &wang, app.now()).await?;
        assert!(app.store.authorization(&wang).await?.is_none());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_wrong_secret_key_costs_nobody_their_authorization() {
    story(async |stage| {
        // What is written under another key cannot be checked with this one.
        stage.whole_chain = false;
        stage.authorize("王芳").await?;
        stage.restart_with(&[("SECRET_KEY", "c3RvcnktdGVsbGVycy1rZWVwLXRoZWlyLXNlY3JldHM=")]).await?;
        assert!(stage.ask("王芳", "/whoami").await?.text.contains("未授权"));
        assert!(stage.ask("王芳", "/departments 销售部").await?.text.contains("去授权"));
        stage.later(61 * MINUTE).await?;
        stage.restart_with(&[("SECRET_KEY", "")]).await?;
        assert!(stage.ask("王芳", "/departments 销售部").await?.text.contains("找到"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_link_that_authorized_nobody_can_be_used_again() {
    story(async |stage| {
        let card = stage.ask("王芳", "/login").await?;
        let consent = stage.open_login(&card).await?;
        for (name, status) in [("林悦", 403), ("王芳", 200), ("王芳", 400)] {
            let back = stage.tenant.consents(&consent, name).map_err(anyhow::Error::msg)?;
            assert_eq!(stage.get(&back).await?.status(), status, "{name}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_authorization_that_comes_while_the_command_is_being_parked_is_not_missed() {
    story(async |stage| {
        let card = stage.ask("王芳", "/login").await?;
        let consent = stage.open_login(&card).await?;
        let back = stage.tenant.consents(&consent, "王芳").map_err(anyhow::Error::msg)?;
        assert_eq!(stage.person("王芳").says("/departments 销售部").await.status, 200);
        let app = &stage.bot.app;
        let claim = app.store.claim_event(app.now(), app.now().after(LEASE)).await?.context("no event")?;
        let EventKind::Message(message) = Event::parse(claim.body.as_bytes())?.kind else {
            anyhow::bail!("no message")
        };
        // The desk has found nothing; the person comes back from the consent page only now.
        assert_eq!(stage.get(&back).await?.status(), 200);
        let request = Request { app, claim: &claim, message: &message, language: None };
        let missing = directory::ResolveError::NoToken(NoToken::NeedsLogin);
        commands::unresolved(&request, missing).await?;
        stage.settle().await?;
        let answered = stage.person("王芳").chat().iter().any(|said| said.from_bot && said.text.contains("找到"));
        assert!(answered, "the command waits for an authorization that is there");
        Ok(())
    })
    .await;
}

/// A replica that stood still in the middle of an update, while another one showed what came after it.
#[tokio::test]
async fn a_card_whose_older_update_may_have_come_last_is_shown_once_more() {
    story(async |stage| {
        proposal(stage, "王芳", "谁在后").await?;
        press(stage, "赵磊", "approve").await?;
        let app = &stage.bot.app;
        stage.tenant.later(MINUTE).await;
        let late = app.store.claim_card(app.now(), app.now().after(LEASE)).await?.context("a card is owed")?;
        stage.settle().await?;
        stage.tenant.later(MINUTE).await;
        stage.settle().await?;
        let message_id = late.message_id.clone().context("it was in the chat")?;
        let shown = || stage.tenant.with(|world| world.message(message_id.as_str()).expect("the card").history.len());
        let before = shown();
        let older = CardOutcome::Shown { revision: 1, message_id: message_id.clone() };
        app.store.settle_card(&late, &older, app.now()).await?;
        stage.settle().await?;
        assert_eq!(shown(), before + 1);
        Ok(())
    })
    .await;
}
