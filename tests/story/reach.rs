//! What people get to see when Feishu does not let them, and what is not for everybody's eyes.

use std::time::Duration;

use serde_json::json;

use crate::sandbox::{Company, Fault, UuidMode};
use crate::stage::{Stage, story, story_with};

#[tokio::test]
async fn the_author_hears_of_an_approver_whom_no_card_reaches() {
    let company = Company::small().unavailable("周明").unavailable("赵磊");
    story_with(&[], company, async |stage| {
        stage.authorize("王芳").await?;
        stage.propose("王芳", "/broadcast 销售部 没人批").await?;
        // Somebody may be mending it, so it is tried for a few minutes.
        for _ in 0..8 {
            stage.later(Duration::from_secs(61)).await?;
        }
        let told: Vec<_> =
            stage.person("王芳").chat().into_iter().filter(|message| message.text.contains("审批卡片送不到")).collect();
        assert_eq!(told.len(), 2);
        for name in ["周明", "赵磊"] {
            assert!(told.iter().any(|message| message.text.contains(&stage.person(name).open_id)), "{name}");
        }
        // Hours later somebody mends it. Nobody has to do anything else, and nobody is told again.
        for _ in 0..5 {
            stage.later(Duration::from_secs(3600)).await?;
        }
        stage.tenant.with(|world| world.company.people.iter_mut().for_each(|person| person.available = true));
        stage.later(Duration::from_secs(601)).await?;
        for name in ["周明", "赵磊"] {
            assert!(stage.card_of(name)?.text.contains("没人批"), "{name}");
        }
        let chat = stage.person("王芳").chat();
        assert_eq!(chat.iter().filter(|message| message.text.contains("审批卡片送不到")).count(), 2);
        Ok(())
    })
    .await;
}

/// Whoever is out of reach costs a day of tries for a broadcast that is over, not tries for ever.
#[tokio::test]
async fn a_card_of_a_broadcast_that_is_over_is_left_after_a_day() {
    story_with(&[], Company::small().unavailable("周明"), async |stage| {
        stage.authorize("王芳").await?;
        stage.propose("王芳", "/broadcast 销售部 已经发了").await?;
        let card = stage.card_of("赵磊")?;
        stage.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
        let tried = |stage: &Stage| {
            let to = stage.person("周明").open_id;
            let calls = stage.tenant.calls_to("messages.create");
            calls.iter().filter(|call| call.request.to_string().contains(&to)).count()
        };
        let ten_minutes = Duration::from_secs(601);
        for _ in 0..100 {
            stage.later(ten_minutes).await?;
        }
        let for_most_of_a_day = tried(stage);
        for _ in 0..70 {
            stage.later(ten_minutes).await?;
        }
        let for_a_day = tried(stage);
        for _ in 0..10 {
            stage.later(ten_minutes).await?;
        }
        assert!(for_most_of_a_day > 90 && for_a_day > for_most_of_a_day, "{for_most_of_a_day}, {for_a_day}");
        assert_eq!(tried(stage), for_a_day);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_content_that_feishu_lets_no_card_show_leaves_a_card_that_can_be_decided() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.fault(Fault::code("messages.create", 400, 230_028).times(3));
        stage.propose("王芳", "/broadcast 销售部 请打 13800000000").await?;
        let card = stage.card_of("赵磊")?;
        assert!(card.text.contains("没能显示") && card.text.contains("230028"), "{}", card.text);
        assert!(!card.content.to_string().contains("<at id="), "no mention that could refuse it again");
        stage.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox()[0].text, "请打 13800000000");
        Ok(())
    })
    .await;
}

/// An outage first, and then a content that is refused: the plain card goes out next, and nobody is told that none does.
#[tokio::test]
async fn a_card_that_comes_in_the_end_is_not_called_lost() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.fault(Fault::code("messages.create", 500, 2200).times(40));
        stage.tenant.fault(Fault::code("messages.create", 400, 230_028));
        stage.person("王芳").says("/broadcast 销售部 请打 13800000000").await;
        for _ in 0..25 {
            stage.later(Duration::from_secs(62)).await?;
        }
        let (mut whole, mut plain) = (0, 0);
        for name in ["王芳", "赵磊", "周明"] {
            let text = stage.card_of(name)?.text;
            whole += usize::from(text.contains("13800000000"));
            plain += usize::from(text.contains("没能显示"));
        }
        assert_eq!((whole, plain), (2, 1));
        let chat = stage.person("王芳").chat();
        assert!(!chat.iter().any(|message| message.text.contains("送不到") || message.text.contains("无法显示")));
        Ok(())
    })
    .await;
}

/// Something in between lets no card through, whatever stands on it.
#[tokio::test]
async fn the_author_hears_of_cards_that_a_filter_keeps_back() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.person("王芳").says("/whoami").await;
        stage.settle().await?;
        stage.tenant.fault(Fault::body("messages.create", 403, json!({ "message": "blocked" })).times(27));
        stage.person("王芳").says("/broadcast 销售部 被拦下的卡片").await;
        for _ in 0..30 {
            stage.later(Duration::from_secs(62)).await?;
        }
        let chat = stage.person("王芳").chat();
        assert!(chat.iter().any(|message| message.text.contains("送不到")), "the author hears of it");
        assert!(stage.card_of("赵磊")?.text.contains("被拦下的卡片"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn cards_come_back_after_an_outage_of_hours() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.fault(Fault::code("messages.create", 500, 2200).times(150));
        stage.person("王芳").says("/broadcast 销售部 停电之后").await;
        for _ in 0..90 {
            stage.later(Duration::from_secs(62)).await?;
        }
        stage.tenant.clear_faults();
        stage.later(Duration::from_secs(120)).await?;
        assert!(stage.card_of("赵磊")?.text.contains("停电之后"));
        assert!(stage.card_of("王芳")?.text.contains("停电之后"));
        Ok(())
    })
    .await;
}

/// What a repeated uuid gets is not documented: the first message again, which all other stories assume, or an error.
#[tokio::test]
async fn an_answer_whose_arrival_went_unheard_is_said_once_whatever_a_repeat_gets() {
    story(async |stage| {
        stage.tenant.switch(|switches| switches.uuid = UuidMode::Error230049);
        stage.tenant.fault(Fault::lost_answer("messages.reply"));
        stage.person("王芳").says("/whoami").await;
        for _ in 0..40 {
            stage.later(Duration::from_secs(4 * 60)).await?;
        }
        let chat = stage.person("王芳").chat();
        assert_eq!(chat.iter().filter(|message| message.from_bot && message.text.contains("open_id")).count(), 1);
        // Nothing waits behind it.
        stage.ask("王芳", "/help").await?;
        Ok(())
    })
    .await;
}

/// What stands between us and Feishu answers for it, with a page that says that there is nothing.
#[tokio::test]
async fn no_word_is_lost_to_a_page_in_feishus_place() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        stage.tenant.revoke_app_tokens();
        stage.tenant.fault(Fault::body("token", 404, json!({ "message": "no such route" })).times(5000));
        for text in ["/broadcast 销售部 网关换了", "/whoami"] {
            stage.person("王芳").says(text).await;
        }
        for _ in 0..30 {
            stage.later(Duration::from_secs(8 * 60)).await?;
        }
        stage.tenant.clear_faults();
        stage.later(Duration::from_secs(600)).await?;
        for name in ["王芳", "赵磊", "周明"] {
            assert!(stage.card_of(name)?.text.contains("网关换了"), "{name}");
        }
        let chat = stage.person("王芳").chat();
        assert!(chat.iter().any(|message| message.from_bot && message.text.contains("open_id")), "{chat:?}");
        assert!(!chat.iter().any(|message| message.text.contains("送不到") || message.text.contains("无法显示")));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn approvers_read_every_target_also_when_there_are_many() {
    let mut company = Company::small();
    for number in 0..60 {
        company = company.person(&format!("员工{number:02}"), &["工厂"]);
    }
    story_with(&[], company, async |stage| {
        let ids: Vec<String> = (0..60).map(|n| stage.person(&format!("员工{n:02}")).open_id).collect();
        stage.propose("王芳", &format!("/broadcast {} 停电通知", ids.join(","))).await?;
        let list = stage.person("赵磊").chat().into_iter().find(|message| message.text.contains("全部目标"));
        let list = list.expect("the whole list");
        assert!(ids.iter().all(|id| list.text.contains(id)), "{}", list.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn in_a_group_nobody_reads_what_others_are_about_to_send() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let group = stage.tenant.group("项目群").chat_id;
        stage.person("王芳").says_in_group(&group, "@群发助手 /broadcast 销售部 保密的事", &[]).await;
        stage.settle().await?;
        for command in ["/list", "/status"] {
            stage.person("周明").says_in_group(&group, &format!("@群发助手 {command}"), &[]).await;
            stage.settle().await?;
        }
        let card = stage.card_of("赵磊")?;
        let reject = crate::sandbox::Press::action("reject").field("reason", "换个说法");
        stage.person("赵磊").presses(&card, reject).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        let in_group: Vec<_> = stage.tenant.chat_messages(&group).into_iter().filter(|m| m.from_bot).collect();
        assert!(!in_group.is_empty());
        for words in ["保密的事", "换个说法", "待审批"] {
            assert!(in_group.iter().all(|message| !message.text.contains(words)), "the group read `{words}`");
        }
        let privately = stage.person("周明").chat();
        assert!(privately.iter().any(|message| message.text.contains("保密的事")), "/list was answered in private");
        assert!(stage.person("王芳").chat().iter().any(|message| message.text.contains("换个说法")));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_people_write_never_becomes_a_mention_of_the_bots() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let everyone = "<at user_id=\"all\"></at>";
        let answer = stage.ask("王芳", &format!("/departments {everyone}")).await?;
        assert!(!answer.content.to_string().contains("<at "), "{}", answer.content);
        stage.propose("王芳", "/broadcast 销售部 开会").await?;
        let reject = crate::sandbox::Press::action("reject").field("reason", json!(everyone));
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, reject).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        for message in stage.person("王芳").chat().iter().filter(|m| m.from_bot && m.msg_type == "text") {
            assert!(!message.content.to_string().contains("<at "), "{}", message.content);
        }
        Ok(())
    })
    .await;
}
