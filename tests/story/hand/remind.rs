//! Shortly before the deadline, once: those who have not decided, and the author.

use std::time::Duration;

use super::{once, told};
use crate::approve::{HOUR, press, proposal, three_approvers};
use crate::sandbox::{Company, Press};
use crate::stage::{Stage, story_with};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn those_who_have_not_decided_are_reminded_once_before_the_deadline() {
    let settings = [("APPROVALS_REQUIRED", "2"), ("APPROVAL_TTL", "24h")];
    story_with(&settings, three_approvers(), async |stage| {
        let id = Stage::id_on(&proposal(stage, "王芳", "一小时前提醒").await?);
        press(stage, "赵磊", "approve").await?;
        stage.later(23 * HOUR - 5 * MINUTE).await?;
        assert!(told(stage, "周明", "提醒").is_empty(), "too early");
        stage.later(6 * MINUTE).await?;
        for name in ["周明", "何静"] {
            once(stage, name, &format!("提醒：群发 {id} 还在等你审批"));
            let said = &told(stage, name, "提醒")[0].text;
            assert!(said.contains("一小时前提醒") && said.contains("过期") && !said.contains("ou_"), "{said}");
            // It answers their card: a press on it leads there, and there stands who asks.
            assert_eq!(told(stage, name, "提醒")[0].parent_id, Some(stage.card_of(name)?.message_id));
        }
        once(stage, "王芳", &format!("群发 {id} 还差 1 人审批"));
        assert!(told(stage, "赵磊", "提醒").is_empty(), "who has decided is left alone");
        // Never twice, whatever happens.
        stage.restart().await?;
        stage.later(20 * MINUTE).await?;
        for name in ["周明", "何静"] {
            once(stage, name, "提醒");
        }
        once(stage, "王芳", "还差 1 人审批");
        stage.later(HOUR).await?;
        once(stage, "王芳", "已作废");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn nobody_is_reminded_of_what_is_decided_or_over() {
    story_with(&[("APPROVAL_TTL", "2h")], Company::small(), async |stage| {
        proposal(stage, "王芳", "已经决定").await?;
        press(stage, "赵磊", "approve").await?;
        proposal(stage, "王芳", "自己取消").await?;
        press(stage, "王芳", "cancel").await?;
        stage.later(2 * HOUR).await?;
        assert!(told(stage, "周明", "提醒").is_empty() && told(stage, "王芳", "还差").is_empty());
        // The bot slept over it all: what is over is over.
        proposal(stage, "王芳", "睡过头").await?;
        stage.tenant.later(2 * HOUR).await;
        stage.settle().await?;
        assert!(told(stage, "周明", "提醒").is_empty() && told(stage, "王芳", "还差").is_empty());
        once(stage, "王芳", "已作废");
        // A quarter of a short time is left.
        proposal(stage, "王芳", "两小时").await?;
        stage.later(89 * MINUTE).await?;
        assert!(told(stage, "周明", "提醒").is_empty());
        stage.later(2 * MINUTE).await?;
        once(stage, "周明", "提醒");
        Ok(())
    })
    .await;
    story_with(&[("APPROVAL_TTL", "2h"), ("APPROVALS_REQUIRED", "0")], Company::small(), async |stage| {
        proposal(stage, "王芳", "自己确认").await?;
        stage.later(95 * MINUTE).await?;
        once(stage, "王芳", "还没有确认");
        assert!(stage.person("赵磊").chat().is_empty(), "nobody else decides");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn another_time_to_leave_is_another_deadline_to_be_reminded_of() {
    story_with(&[], Company::small(), async |stage| {
        // To be decided until ten minutes after it would leave: a quarter of that is less than an hour.
        let at = crate::schedule::written(stage, HOUR);
        let to = stage.person("陈晨").open_id;
        stage.propose("王芳", &format!("/broadcast --at \"{at}\" {to} 一小时后")).await?;
        stage.later(45 * MINUTE).await?;
        assert!(told(stage, "赵磊", "提醒").is_empty());
        let later = format!("{} +0800", crate::schedule::written(stage, 3 * HOUR));
        press(stage, "王芳", Press::action("schedule").option(&later)).await?;
        stage.later(2 * HOUR).await?;
        assert!(told(stage, "赵磊", "提醒").is_empty(), "it is put off");
        stage.later(30 * MINUTE).await?;
        once(stage, "赵磊", "提醒");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_on_hold_is_its_authors_to_be_reminded_of() {
    if crate::hold::not_embedded() {
        return;
    }
    story_with(&[("APPROVAL_TTL", "2h")], Company::small(), async |stage| {
        let id = Stage::id_on(&proposal(stage, "王芳", "暂停着").await?);
        stage.backup().await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        stage.bot.stop().await;
        stage.overwrite()?;
        stage.restart().await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.starts_with("已暂停"));
        stage.later(95 * MINUTE).await?;
        once(stage, "王芳", &format!("群发 {id} 还在暂停"));
        assert!(told(stage, "赵磊", "提醒").is_empty() && told(stage, "王芳", "已提醒").is_empty());
        crate::hold::forgive_the_backup(stage);
        Ok(())
    })
    .await;
}
