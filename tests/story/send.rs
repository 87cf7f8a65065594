//! The main job: proposed, approved, sent once to everyone, reported back.

use serde_json::json;

use crate::sandbox::{Company, Press};
use crate::stage::{Stage, story, story_with};

const COMMAND: &str = "/broadcast 销售部 明天下午三点全员会";

/// Everyone in 销售部 of the small company, sub-departments included.
const SALES: [&str; 4] = ["陈晨", "刘洋", "马超", "钱多多"];

#[tokio::test]
async fn everyone_in_the_department_gets_it_once_after_somebody_else_approved() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", COMMAND).await?;
        assert!(card.text.contains("销售部") && card.text.contains("约 4 人"), "{}", card.text);
        assert!(card.text.contains("明天下午三点全员会"));
        assert!(stage.tenant.tasks().is_empty(), "sent before anyone approved");

        let asked = stage.card_of("赵磊")?;
        assert!(asked.content.to_string().contains(&stage.person("王芳").open_id), "approvers see who asks");
        assert!(asked.text.contains("明天下午三点全员会") && asked.text.contains("约 4 人"));
        let pressed = stage.person("赵磊").presses(&asked, "approve").await.map_err(anyhow::Error::msg)?;
        assert_eq!(pressed.status, 200);
        assert!(pressed.says().contains("已通过"), "{}", pressed.says());
        stage.settle().await?;

        for name in SALES {
            let inbox = stage.person(name).inbox();
            assert_eq!(inbox.len(), 1, "{name}");
            assert_eq!(inbox[0].text, "明天下午三点全员会");
        }
        assert!(stage.person("许国强").inbox().is_empty());

        let result = stage.card_of("王芳")?;
        assert_eq!(result.message_id, card.message_id, "the same card, brought up to date");
        assert!(result.text.contains("已发送") && result.text.contains("bm-"), "{}", result.text);
        assert!(result.text.contains("送达 4 人"), "{}", result.text);
        let asked = stage.person("赵磊").sees(&asked.message_id).expect("the approver's card");
        assert!(asked.text.contains("已发送") && !asked.text.contains("驳回理由"), "{}", asked.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn reads_are_counted_apart_from_deliveries() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", COMMAND).await?;
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        stage.person("陈晨").reads();
        let before = stage.card_of("王芳")?;
        let pressed = stage.person("王芳").presses(&before, "refresh").await.map_err(anyhow::Error::msg)?;
        assert_eq!(pressed.status, 200);
        stage.settle().await?;
        let after = stage.person("王芳").sees(&card.message_id).expect("the card");
        assert!(after.text.contains("已读 1 人"), "{}", after.text);
        let id = Stage::id_on(&after);
        let status = stage.ask("周明", &format!("/status {id}")).await?;
        assert!(status.text.contains("送达 4 人，已读 1 人"), "{}", status.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_invalid_id_of_each_kind_is_named_and_the_rest_goes_out() {
    story(async |stage| {
        let good = stage.person("陈晨").open_id;
        let bad = [
            "od-00000000000000000000000000000bad",
            "ou_00000000000000000000000000000bad",
            "on_00000000000000000000000000000bad",
            "e0000bad",
        ];
        let command = format!("/broadcast {good},{},{},{},user:{} 请看邮件", bad[0], bad[1], bad[2], bad[3]);
        let card = stage.propose("王芳", &command).await?;
        assert!(card.text.contains("无法核实") && card.text.contains(bad[0]), "{}", card.text);
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        let result = stage.person("王芳").sees(&card.message_id).expect("the card");
        assert!(result.text.contains("部分发送") && result.text.contains("无效 ID 共 4 个"), "{}", result.text);
        for id in bad {
            assert!(result.text.contains(id), "{id} is missing in {}", result.text);
        }
        assert_eq!(stage.tenant.tasks().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_department_inside_another_is_sent_once_and_the_preview_says_so() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 销售部、大客户组 季度目标").await?;
        assert!(card.text.contains("在「销售部」之内"), "{}", card.text);
        stage.person("周明").presses(&stage.card_of("周明")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(stage.person("马超").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn more_than_two_hundred_ids_become_several_batches_and_nobody_is_in_two() {
    let mut company = Company::small();
    for number in 0..430 {
        company = company.person(&format!("员工{number:03}"), &["工厂"]);
    }
    story_with(&[], company, async |stage| {
        let ids: Vec<String> = (0..430).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
        stage.propose("王芳", &format!("/broadcast {} 停电通知", ids.join(","))).await?;
        stage.person("周明").presses(&stage.card_of("周明")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(stage.tenant.tasks().len(), 3);
        for number in 0..430 {
            assert_eq!(stage.person(&format!("员工{number:03}")).inbox().len(), 1);
        }
        let result = stage.card_of("王芳")?;
        assert!(result.text.contains("共 3，飞书已受理 3"), "{}", result.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_rich_text_command_is_broadcast_as_rich_text_without_its_first_line() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let post = json!({ "title": "放假通知", "content": [
            [{ "tag": "text", "text": "/broadcast 销售部" }],
            [{ "tag": "text", "text": "国庆放假七天，详见" }, { "tag": "a", "text": "公告", "href": "https://example.com/a" }],
            [{ "tag": "text", "text": "祝好" }],
        ] });
        assert_eq!(stage.person("王芳").says_post(post).await.status, 200);
        stage.settle().await?;
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        let inbox = stage.person("刘洋").inbox();
        assert_eq!(inbox[0].msg_type, "post");
        let wire = inbox[0].content.to_string();
        assert!(wire.contains("放假通知") && wire.contains("https://example.com/a") && wire.contains("祝好"), "{wire}");
        assert!(!wire.contains("/broadcast"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_content_too_long_for_the_card_reaches_the_approver_in_full() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let long = "很长的通知。".repeat(800);
        stage.propose("王芳", &format!("/broadcast 销售部 {long}")).await?;
        let messages = stage.person("赵磊").chat();
        assert!(messages.iter().any(|message| message.text.contains(&long)), "the full text is missing");
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox()[0].text, long.trim());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_author_confirms_alone_where_no_approvals_are_asked_for() {
    story_with(&[("APPROVALS_REQUIRED", "0")], Company::small(), async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", COMMAND).await?;
        assert!(stage.tenant.tasks().is_empty());
        assert!(stage.person("赵磊").last_card().is_none(), "nobody else is asked");
        stage.person("王芳").presses(&card, Press::action("approve")).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_documented_error_fails_the_broadcast_and_says_what_to_click() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.fault(crate::sandbox::Fault::code("batch_send", 200, 11_204));
        let card = stage.propose("王芳", COMMAND).await?;
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        let result = stage.person("王芳").sees(&card.message_id).expect("the card");
        assert!(result.text.contains("发送失败") && result.text.contains("11204"), "{}", result.text);
        assert!(result.text.contains("im:message:send_multi_depts"), "{}", result.text);
        let news = stage.person("王芳").chat().into_iter().rev().find(|message| message.msg_type == "text");
        assert!(news.expect("the author is told").text.contains("没有发出去"));
        assert!(stage.person("陈晨").inbox().is_empty());
        Ok(())
    })
    .await;
}
