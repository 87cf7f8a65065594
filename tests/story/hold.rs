//! What was right to send yesterday may be wrong today: after a long silence, on a copy of the database or an older one,
//! the author is asked before anything leaves. And where one batch after the other is refused, the rest waits.

use std::time::Duration;

use feishu_broadcast::app::{dispatch, life};
use feishu_broadcast::store::Engine;

use crate::approve::{HOUR, actions, press, proposal};
use crate::sandbox::{Company, Fault};
use crate::stage::{Stage, story, story_with};

const MINUTE: Duration = Duration::from_secs(60);

/// Proposed and approved, and the machine does nothing more before it is looked at again.
async fn approved_not_sent(stage: &Stage, words: &str) -> anyhow::Result<()> {
    proposal(stage, "王芳", words).await?;
    press(stage, "赵磊", "approve").await?;
    Ok(())
}

/// Nothing runs for so long.
async fn away(stage: &mut Stage, by: Duration) -> anyhow::Result<()> {
    stage.bot.stop().await;
    stage.tenant.later(by).await;
    stage.restart().await
}

fn copies(stage: &Stage, name: &str) -> usize {
    stage.person(name).inbox().len()
}

fn told(stage: &Stage, words: &str) -> usize {
    let chat = stage.person("王芳").chat();
    chat.iter().filter(|message| message.msg_type == "text" && message.from_bot && message.text.contains(words)).count()
}

/// It waits, everybody sees that it does, and only its author may decide.
async fn is_on_hold(stage: &Stage, why: &str) -> anyhow::Result<()> {
    stage.later(2 * HOUR).await?;
    assert!(stage.tenant.calls_to("batch_send").is_empty(), "something left without asking");
    let card = stage.card_of("王芳")?;
    assert!(card.text.starts_with("已暂停") && card.text.contains(why), "{}", card.text);
    assert!(stage.card_of("周明")?.text.starts_with("已暂停"), "approvers see it too");
    assert_eq!(actions(stage, "王芳"), ["confirm", "cancel"]);
    assert_eq!(told(stage, "已暂停"), 1);
    for name in ["周明", "赵磊"] {
        assert!(!actions(stage, name).iter().any(|action| action == "approve" || action == "confirm"), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn ten_minutes_of_silence_and_the_author_is_asked() {
    story(async |stage| {
        approved_not_sent(stage, "停机之前批准的").await?;
        away(stage, 11 * MINUTE).await?;
        is_on_hold(stage, "停了 10 分钟以上").await?;
        let id = Stage::id_on(&stage.card_of("王芳")?);
        assert!(stage.ask("王芳", &format!("/status {id}")).await?.text.contains("已暂停"));
        let old = stage.card_of("王芳")?;
        assert!(press(stage, "王芳", "confirm").await?.says().contains("继续发送"));
        let twice = stage.person("王芳").presses(&old, "confirm").await.map_err(anyhow::Error::msg)?;
        assert!(twice.says().contains("没有需要确认"), "{}", twice.says());
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.starts_with("已发送"), "{}", stage.card_of("王芳")?.text);
        assert_eq!((copies(stage, "陈晨"), stage.tenant.tasks().len()), (1, 1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_on_hold_can_be_cancelled_and_never_leaves() {
    story(async |stage| {
        approved_not_sent(stage, "过时了").await?;
        away(stage, 11 * MINUTE).await?;
        stage.settle().await?;
        press(stage, "王芳", "cancel").await?;
        stage.later(24 * HOUR).await?;
        assert!(stage.card_of("王芳")?.text.starts_with("已取消"));
        assert!(stage.tenant.calls_to("batch_send").is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_was_stopped_is_not_asked_about_after_an_absence() {
    story(async |stage| {
        approved_not_sent(stage, "不发了").await?;
        drop(dispatch::next(&stage.bot.app).await?.expect("a batch"));
        let id = Stage::id_on(&stage.card_of("王芳")?);
        stage.ask("王芳", &format!("/cancel {id}")).await?;
        away(stage, 11 * MINUTE).await?;
        stage.settle().await?;
        assert_eq!(told(stage, "已暂停"), 0, "nothing of it could be sent any more");
        assert_eq!(actions(stage, "王芳"), ["resend", "settle"], "whether it left is the only question");
        press(stage, "王芳", "settle").await?;
        stage.settle().await
    })
    .await;
}

#[tokio::test]
async fn a_short_absence_asks_nobody() {
    story(async |stage| {
        approved_not_sent(stage, "重启一下").await?;
        away(stage, 8 * MINUTE).await?;
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        assert_eq!(told(stage, "已暂停"), 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_approval_goes_on_waiting_after_an_absence() {
    story(async |stage| {
        proposal(stage, "王芳", "还没批").await?;
        away(stage, 2 * HOUR).await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.starts_with("待审批"));
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_machine_that_was_frozen_and_woken_asks_before_it_sends() {
    story(async |stage| {
        approved_not_sent(stage, "休眠之前批准的").await?;
        // Nobody starts anything: the process slept with the machine, and its sender wakes first.
        stage.tenant.later(11 * MINUTE).await;
        for _ in 0..3 {
            dispatch::step(&stage.bot.app).await?;
        }
        assert!(stage.tenant.calls_to("batch_send").is_empty());
        life::beat(&stage.bot.app).await?;
        is_on_hold(stage, "停了 10 分钟以上").await
    })
    .await;
}

#[tokio::test]
async fn another_database_in_the_middle_of_work_sends_nothing_unasked() {
    story(async |stage| {
        approved_not_sent(stage, "换了一个库").await?;
        // As after a standby took over: the bot runs on, and the row tells of another place.
        stage.sql("update life set home = 'where the old one was'".into()).await?;
        for _ in 0..3 {
            dispatch::step(&stage.bot.app).await?;
        }
        assert!(stage.tenant.calls_to("batch_send").is_empty());
        life::beat(&stage.bot.app).await?;
        is_on_hold(stage, "恢复的备份或副本").await
    })
    .await;
}

/// The database is put back to what it was before the broadcast left.
async fn put_back(stage: &mut Stage, by: fn(&Stage) -> anyhow::Result<()>) -> anyhow::Result<()> {
    stage.backup().await?;
    stage.settle().await?;
    assert_eq!(copies(stage, "陈晨"), 1, "it left after the backup was made");
    stage.bot.stop().await;
    by(stage)?;
    stage.restart().await?;
    stage.later(HOUR).await
}

/// Only SQLite's file is the story's to put back.
pub(crate) fn not_embedded() -> bool {
    let server = std::env::var_os("TEST_POSTGRES_URL").is_some();
    if server {
        println!("SKIPPED: a backup of a file needs SQLite");
    }
    server
}

#[tokio::test]
async fn a_backup_put_back_a_moment_later_asks_whatever_it_believes_unsent() {
    if not_embedded() {
        return;
    }
    // Written over the file, or put in its place.
    for by in [Stage::overwrite as fn(&Stage) -> anyhow::Result<()>, Stage::replace] {
        story(async |stage| {
            approved_not_sent(stage, "已经发过了").await?;
            put_back(stage, by).await?;
            assert_eq!(stage.tenant.calls_to("batch_send").len(), 1, "sent again from a backup");
            let card = stage.card_of("王芳")?;
            assert!(card.text.starts_with("已暂停") && card.text.contains("恢复的备份或副本"), "{}", card.text);
            let (event, confirm) =
                stage.person("王芳").press_event(&card.message_id, &"confirm".into()).map_err(anyhow::Error::msg)?;
            assert!(confirm.expect("a dialog").to_string().contains("收到两次"));
            drop(event);
            press(stage, "王芳", "cancel").await?;
            stage.later(HOUR).await?;
            assert_eq!(copies(stage, "陈晨"), 1);
            forgive_the_backup(stage);
            Ok(())
        })
        .await;
    }
}

/// A database that was put back counts its cards' versions anew.
pub(crate) fn forgive_the_backup(stage: &Stage) {
    stage.tenant.forgive("of a card was patched over version");
}

#[tokio::test]
async fn a_backup_made_while_it_was_on_hold_asks_again_and_says_why() {
    if not_embedded() {
        return;
    }
    story(async |stage| {
        approved_not_sent(stage, "停机又恢复").await?;
        away(stage, 11 * MINUTE).await?;
        stage.settle().await?;
        stage.backup().await?;
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 1, "it left after the backup was made");
        stage.bot.stop().await;
        stage.overwrite()?;
        stage.restart().await?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.starts_with("已暂停") && card.text.contains("恢复的备份或副本"), "{}", card.text);
        assert_eq!(told(stage, "恢复的备份或副本"), 1);
        press(stage, "王芳", "cancel").await?;
        stage.later(HOUR).await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        forgive_the_backup(stage);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_that_believes_it_undecided_is_not_approved_a_second_time_unasked() {
    if not_embedded() {
        return;
    }
    story(async |stage| {
        proposal(stage, "王芳", "早就批过了").await?;
        stage.backup().await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        stage.bot.stop().await;
        stage.overwrite()?;
        stage.restart().await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("恢复的备份或副本"));
        let id = Stage::id_on(&stage.card_of("王芳")?);
        for version in 1..4 {
            let value = serde_json::json!({ "action": "approve", "broadcast": id, "version": version });
            let pressed = stage.person("周明").presses_raw("om_of_an_old_card", value).await;
            assert_eq!(pressed.status, 200);
        }
        stage.later(HOUR).await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        // Its author knows better, and then it is approved like any other.
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        assert!(actions(stage, "周明").iter().any(|action| action == "approve"));
        press(stage, "周明", "reject").await?;
        stage.later(HOUR).await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        forgive_the_backup(stage);
        Ok(())
    })
    .await;
}

fn crowd() -> Company {
    (0..950).fold(Company::small(), |company, number| company.person(&format!("员工{number:03}"), &["工厂"]))
}

/// `pg_restore --clean` a moment after `pg_dump`: the database is the same one, what stands in it is not.
#[tokio::test]
async fn a_dump_read_into_the_same_database_asks_whatever_it_believes_unsent() {
    story(async |stage| {
        if stage.bot.app.store.engine() == Engine::Sqlite {
            return Ok(());
        }
        approved_not_sent(stage, "已经发过的").await?;
        stage.bot.stop().await;
        for statement in
            ["create table read_in as select * from life", "drop table life", "alter table read_in rename to life"]
        {
            stage.sql(statement.to_owned()).await?;
        }
        stage.restart().await?;
        is_on_hold(stage, "恢复的备份或副本").await?;
        press(stage, "王芳", "cancel").await?;
        stage.settle().await?;
        assert!(stage.tenant.calls_to("batch_send").is_empty());
        Ok(())
    })
    .await;
}

/// As the version before wrote it.
#[tokio::test]
async fn an_upgrade_is_no_other_database() {
    story(async |stage| {
        if stage.bot.app.store.engine() == Engine::Sqlite {
            return Ok(());
        }
        approved_not_sent(stage, "升级前批准的").await?;
        stage.bot.stop().await;
        stage.sql("update life set home = substring(home from '^database [0-9]+ timeline [^ ]+')".to_owned()).await?;
        stage.restart().await?;
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn three_refusals_in_a_row_stop_it_and_going_on_leaves_nobody_out() {
    story_with(&[], crowd(), async |stage| {
        stage.tenant.fault(Fault::code("batch_send", 200, 11_203).times(3).after(1));
        let ids: Vec<String> = (0..950).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
        stage.propose("王芳", &format!("/broadcast {} 断路", ids.join(","))).await?;
        press(stage, "赵磊", "approve").await?;
        stage.later(2 * HOUR).await?;
        assert_eq!(stage.tenant.calls_to("batch_send").len(), 4, "one accepted, three refused, one not tried");
        let card = stage.card_of("王芳")?;
        for words in ["已暂停", "连续拒绝（11203）", "im:message:send_multi_users", "飞书已受理 1，被拒 3，待发 1"]
        {
            assert!(card.text.contains(words), "{words} is missing in {}", card.text);
        }
        // Why, and what to click, once: on hold it is said with what there is to decide.
        assert_eq!(card.text.matches("（11203）").count(), 1, "{}", card.text);
        assert!(card.text.contains("内容要改就取消") && !card.text.contains("。 "), "{}", card.text);
        assert_eq!(told(stage, "已暂停"), 1);
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.starts_with("已发送"), "{}", stage.card_of("王芳")?.text);
        for name in ["员工000", "员工199", "员工200", "员工799", "员工800", "员工949"] {
            assert_eq!(copies(stage, name), 1, "{name}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn going_on_says_first_who_may_get_it_twice() {
    story_with(&[], crowd(), async |stage| {
        stage.tenant.fault(Fault::lost_answer("batch_send"));
        let ids: Vec<String> = (0..800).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
        stage.propose("王芳", &format!("/broadcast {} 断路", ids.join(","))).await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        stage.tenant.fault(Fault::code("batch_send", 200, 11_203).times(3));
        press(stage, "王芳", "resend").await?;
        stage.later(HOUR).await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("被拒 3，待发 1"), "{}", card.text);
        let (_, confirm) =
            stage.person("王芳").press_event(&card.message_id, &"confirm".into()).map_err(anyhow::Error::msg)?;
        let confirm = confirm.expect("a dialog").to_string();
        for words in ["可能收到两次", "等 200 个目标", &ids[0]] {
            assert!(confirm.contains(words), "{words} is missing in {confirm}");
        }
        assert!(!confirm.contains("确定没有发出"), "{confirm}");
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        assert_eq!(["员工000", "员工200", "员工799"].map(|name| copies(stage, name)), [2, 1, 1]);
        Ok(())
    })
    .await;
}
