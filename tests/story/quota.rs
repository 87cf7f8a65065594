//! The platform lets one app send so many messages a day: what does not fit is not tried, waits for the next day, and says
//! so.

use std::time::Duration;

use feishu_broadcast::domain::quota::{Day, PER_DAY};

use crate::approve::{HOUR, press, proposal};
use crate::sandbox::{Company, Fault};
use crate::stage::{Stage, story, story_with};

fn copies(stage: &Stage, name: &str) -> usize {
    stage.person(name).inbox().len()
}

async fn left(stage: &Stage) -> anyhow::Result<u64> {
    let app = &stage.bot.app;
    Ok(app.store.quota_left(Day::of(app.now())).await?)
}

#[tokio::test]
async fn a_batch_is_booked_before_it_leaves_and_corrected_by_what_feishu_counts() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.propose("王芳", "/broadcast 销售部 记账").await?;
        assert_eq!(left(stage).await?, PER_DAY, "a proposal books nothing");
        press(stage, "赵磊", "approve").await?;
        feishu_broadcast::app::dispatch::step(&stage.bot.app).await?;
        assert_eq!(left(stage).await?, PER_DAY - 4, "as many as the department counts");
        stage.tenant.switch(|switches| switches.progress = vec![(3, 3, 0)]);
        stage.settle().await?;
        assert_eq!(left(stage).await?, PER_DAY - 3, "as many as Feishu counted");
        stage.tenant.fault(Fault::code("batch_send", 200, 11_246));
        stage.propose("王芳", "/broadcast 销售部 被拒").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(left(stage).await?, PER_DAY - 3, "what was refused costs nothing");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_into_the_day_says_so_before_and_waits_for_the_next() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        // All but three of today's were sent before.
        let app = std::sync::Arc::clone(&stage.bot.app);
        let mut tx = app.store.begin().await?;
        tx.use_up(Day::of(app.now())).await?;
        tx.commit().await?;
        stage.sql(format!("update quota set booked = {}", PER_DAY - 3)).await?;
        let card = stage.propose("王芳", "/broadcast 销售部 明天也行").await?;
        assert!(card.text.contains("还剩 3 条") && card.text.contains("至少 1 人要等到明天"), "{}", card.text);
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert!(stage.tenant.calls_to("batch_send").is_empty(), "Feishu was asked for what cannot be");
        let card = stage.card_of("王芳")?;
        assert!(
            card.text.contains("今天剩下的群发额度（每天 50 万条）不够了") && card.text.contains("北京时间 0 点"),
            "{}",
            card.text
        );
        // One that fits is not kept waiting by one that does not.
        proposal(stage, "林悦", "只有一个人").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, "陈晨"), 1);
        stage.later(24 * HOUR).await?;
        assert_eq!(copies(stage, "陈晨"), 2);
        assert!(stage.card_of("王芳")?.text.starts_with("已发送"), "{}", stage.card_of("王芳")?.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn when_feishu_says_that_the_day_is_used_up_nothing_more_is_tried_before_the_next() {
    story(async |stage| {
        stage.tenant.switch(|switches| switches.batch_quota = 0);
        for (author, words) in [("王芳", "第一条"), ("林悦", "第二条")] {
            proposal(stage, author, words).await?;
            press(stage, "赵磊", "approve").await?;
        }
        stage.settle().await?;
        stage.later(HOUR / 60).await?;
        assert_eq!(stage.tenant.calls_to("batch_send").len(), 1, "the second was not tried in vain");
        assert_eq!(left(stage).await?, 0);
        assert!(
            stage.card_of("王芳")?.text.contains("今天剩下的群发额度（每天 50 万条）不够了"),
            "{}",
            stage.card_of("王芳")?.text
        );
        stage.tenant.switch(|switches| switches.batch_quota = 500_000);
        stage.later(24 * HOUR).await?;
        assert_eq!(copies(stage, "陈晨"), 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn more_people_than_a_day_has_messages_are_refused_with_figures() {
    story_with(&[], Company::small(), async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.switch(|switches| switches.claims_headcount = Some(600_001));
        let answer = stage.ask("王芳", "/broadcast 销售部 太多人").await?;
        for words in ["600001", "500000", "今天还剩 500000", "没有保存"] {
            assert!(answer.text.contains(words), "{words} is missing in {}", answer.text);
        }
        assert!(stage.person("赵磊").last_card().is_none());
        stage.tenant.switch(|switches| switches.claims_headcount = None);
        stage.later(Duration::from_secs(1)).await
    })
    .await;
}
