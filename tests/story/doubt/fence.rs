//! Two senders of one batch: the one who was given up comes back while another is at it. Only the fence tells them apart.

use std::time::Duration;

use feishu_broadcast::app::dispatch;
use feishu_broadcast::store::StoreError;

use super::copies;
use crate::approve::{HOUR, press, proposal};
use crate::stage::{Stage, story};

/// What stands in the ledger.
async fn row(stage: &Stage) -> anyhow::Result<(String, i64, i64)> {
    use sqlx::Row;
    let rows = stage.rows("select state, fence, not_before from batches").await?;
    Ok((rows[0].try_get("state")?, rows[0].try_get("fence")?, rows[0].try_get("not_before")?))
}

#[tokio::test]
async fn whoever_was_given_up_sends_nothing_and_writes_nothing_while_another_is_at_it() {
    // Long enough to look whether the claim still holds, and so long that it would go back into the plan.
    for away in [HOUR / 20, HOUR / 5] {
        story(async |stage| {
            proposal(stage, "王芳", "两个发送者").await?;
            press(stage, "赵磊", "approve").await?;
            let gone = dispatch::next(&stage.bot.app).await?.expect("a batch");
            stage.later(away).await?;
            press(stage, "王芳", "resend").await?;
            let present = dispatch::next(&stage.bot.app).await?.expect("the same batch");
            let before = row(stage).await?;
            assert_eq!(before.0, "sending");
            let sent = dispatch::send(&stage.bot.app, gone).await;
            assert!(matches!(sent, Err(StoreError::Conflict)), "after {away:?}: {sent:?}");
            assert_eq!(row(stage).await?, before, "after {away:?}");
            assert!(stage.tenant.calls_to("batch_send").is_empty(), "after {away:?}");
            dispatch::send(&stage.bot.app, present).await?;
            stage.later(Duration::from_secs(60)).await?;
            assert_eq!((copies(stage, "陈晨"), stage.tenant.calls_to("batch_send").len()), (1, 1), "after {away:?}");
            Ok(())
        })
        .await;
    }
}
