//! Before anyone decides, author and approvers see what these people have received in the last seven days.

use std::time::Duration;

use feishu_broadcast::domain::batch::InvalidIds;
use feishu_broadcast::domain::ids::Timestamp;
use feishu_broadcast::domain::plan::Targets;

use crate::approve::{press, proposal};
use crate::sandbox::Company;
use crate::stage::{Stage, story_with};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn sent(stage: &Stage, to: &str, words: &str) -> anyhow::Result<()> {
    stage.propose("王芳", &format!("/broadcast {to} {words}")).await?;
    press(stage, "赵磊", "approve").await?;
    stage.settle().await
}

#[tokio::test]
async fn the_preview_says_how_much_these_people_have_received_lately() {
    story_with(&[("APPROVAL_TTL", "14d")], Company::small(), async |stage| {
        stage.authorize("王芳").await?;
        let open_id = |name: &str| stage.person(name).open_id;
        let (chen, liu, luo) = (open_id("陈晨"), open_id("刘洋"), open_id("罗敏"));
        // Nothing is known of these people yet, so nothing is said; nor are words that were not sent counted.
        let first = proposal(stage, "王芳", "没有发出").await?;
        assert!(!first.text.contains("近 7 天"), "{}", first.text);
        press(stage, "王芳", "cancel").await?;
        sent(stage, &format!("{chen},{liu}"), "一").await?;
        sent(stage, &format!("{chen},ou_{}", "0".repeat(32)), "二").await?;
        sent(stage, &chen, "三").await?;
        sent(stage, "销售部", "四").await?;
        let all = format!("{chen},{liu},{luo},ou_{}", "0".repeat(32));
        let seen = "近 7 天：其中至少 1 人已收到 3 条或更多；其中至少 2 人已收到过";
        let card = stage.propose("王芳", &format!("/broadcast {all} 还要一条")).await?;
        assert!(card.text.contains(seen), "{}", card.text);
        assert!(stage.card_of("赵磊")?.text.contains(seen), "approvers see it too");
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert!(!stage.card_of("王芳")?.text.contains("近 7 天"), "it was for the decision");

        // A department by itself, and one inside it by what is above; a namesake once it is chosen.
        let card = stage.propose("王芳", "/broadcast 销售部 部门").await?;
        assert!(card.text.contains("近 7 天：销售部：至少 1 次"), "{}", card.text);
        let card = stage.ask("王芳", "/broadcast --dry-run 销售部/大客户组 部门").await?;
        assert!(card.text.contains("近 7 天：销售部 / 大客户组：至少 1 次"), "{}", card.text);

        // A restart forgets nothing; a week does.
        stage.restart().await?;
        stage.later(6 * DAY).await?;
        assert!(proposal(stage, "王芳", "六天后").await?.text.contains("1 人已收到 3 条或更多"));
        stage.later(DAY + DAY / 2).await?;
        assert!(!proposal(stage, "王芳", "八天后").await?.text.contains("近 7 天"));
        Ok(())
    })
    .await;
}

/// However much was sent: what is read of it has an end, and it is the newest that counts.
#[tokio::test]
async fn of_what_was_sent_only_the_newest_is_read() {
    story_with(&[], Company::small(), async |stage| {
        let (chen, liu) = (stage.person("陈晨").open_id, stage.person("刘洋").open_id);
        for to in [&chen, &liu] {
            sent(stage, to, "一条").await?;
            stage.later(Duration::from_secs(1)).await?;
        }
        for (most, expect) in [(1, vec![&liu]), (2, vec![&liu, &chen])] {
            let mut seen = Vec::new();
            let look = |targets: &Targets, _: &InvalidIds| seen.extend(targets.keys().map(|key| key.into_owned()));
            stage.bot.app.store.each_accepted(Timestamp(0), most, look).await?;
            assert_eq!(seen.iter().collect::<Vec<_>>(), expect);
        }
        Ok(())
    })
    .await;
}
