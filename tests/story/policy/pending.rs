//! Rules that become stricter hold for what is pending: whoever is needed now is asked, and everybody sees what it takes.
//! Rules that become laxer change nothing of what was asked for.

use std::time::Duration;

use feishu_broadcast::app;
use feishu_broadcast::domain::broadcast::State;
use feishu_broadcast::domain::ids::BroadcastId;

use super::{id, ruled};
use crate::approve::{actions, press, proposal, three_approvers};
use crate::sandbox::{ChatMessage, Company, Fault, Press, When, Wire};
use crate::stage::{Stage, story_with};

const ALONE: &str = "[[size]]\napprovals = 0\n";
const STRICT: &str = "[[size]]\napprovals = 2\ntype_headcount = true\ncooling_off = \"10m\"\n";

async fn state(stage: &Stage, card: &ChatMessage) -> anyhow::Result<State> {
    let id = BroadcastId::parse(&Stage::id_on(card)).expect("an id on the card");
    Ok(stage.bot.app.store.broadcast(&id).await?.expect("it was proposed").state)
}

async fn deeds(stage: &Stage, card: &ChatMessage) -> anyhow::Result<usize> {
    let id = BroadcastId::parse(&Stage::id_on(card)).expect("an id on the card");
    Ok(stage.bot.app.store.story(&id, 50).await?.iter().filter(|row| row.deed == "tightened").count())
}

fn told(stage: &Stage, name: &str, words: &str) -> usize {
    let chat = stage.person(name).chat();
    chat.iter().filter(|message| message.from_bot && message.msg_type == "text" && message.text.contains(words)).count()
}

#[tokio::test]
async fn whoever_is_needed_now_gets_a_card_and_the_author_sees_what_it_takes() {
    ruled(
        three_approvers(),
        |_| ALONE.to_owned(),
        async |stage, rules| {
            let card = proposal(stage, "王芳", "规则变严").await?;
            assert!(stage.person("赵磊").last_card().is_none());
            rules.write(STRICT);
            stage.settle().await?;

            let own = stage.card_of("王芳")?;
            for words in ["需要 2 人通过", "2 人审批，并输入人数", "通过后等 10 分钟再发"] {
                assert!(own.text.contains(words), "{words}: {}", own.text);
            }
            assert_eq!(actions(stage, "王芳"), ["cancel", "preview", "schedule", "edit"]);
            let said = format!("群发 {} 还没有通过，而审批规则变严了", Stage::id_on(&card));
            assert_eq!((told(stage, "王芳", &said), deeds(stage, &card).await?), (1, 1));
            for name in ["赵磊", "周明", "何静"] {
                let asked = stage.card_of(name)?;
                assert!(asked.text.contains("待审批") && asked.text.contains("规则变严"), "{name}: {}", asked.text);
            }
            // Laxer again: what was asked for stays, and nobody is told anything.
            rules.write(ALONE);
            stage.settle().await?;
            assert!(stage.card_of("王芳")?.text.contains("需要 2 人通过"));
            let pressed = press(stage, "赵磊", Press::action("approve").field("headcount", "7")).await?;
            assert!(pressed.says().contains("7 不是卡片上的人数"), "{}", pressed.says());
            for name in ["赵磊", "何静"] {
                press(stage, name, Press::action("approve").field("headcount", "1")).await?;
                stage.settle().await?;
            }
            assert_eq!(state(stage, &card).await?, State::Scheduled);
            assert!(stage.card_of("王芳")?.text.contains("冷静期"), "{}", stage.card_of("王芳")?.text);
            assert_eq!(stage.person("陈晨").inbox().len(), 0);
            stage.later(Duration::from_secs(11 * 60)).await?;
            assert_eq!(stage.person("陈晨").inbox().len(), 1);
            assert_eq!((told(stage, "王芳", &said), deeds(stage, &card).await?), (1, 1));
            Ok(())
        },
    )
    .await;
}

/// The press comes before the bot has looked at what is pending: what is written down of the broadcast is older than the
/// rules, and its card has no input yet.
#[tokio::test]
async fn an_approval_is_held_to_the_rules_of_its_own_moment() {
    ruled(
        three_approvers(),
        |_| "[[size]]\napprovals = 1\n".to_owned(),
        async |stage, rules| {
            let card = proposal(stage, "王芳", "正在改规则").await?;
            rules.write("[[size]]\napprovals = 1\ntype_headcount = true\ncooling_off = \"10m\"\n");
            feishu_broadcast::app::rules::step(&stage.bot.app).await;
            let pressed = press(stage, "赵磊", "approve").await?;
            assert!(pressed.says().contains("要输入卡片上的人数"), "{}", pressed.says());
            stage.settle().await?;
            assert_eq!(state(stage, &card).await?, State::Pending);
            press(stage, "赵磊", Press::action("approve").field("headcount", "1")).await?;
            stage.settle().await?;
            assert_eq!((state(stage, &card).await?, stage.tenant.tasks().len()), (State::Scheduled, 0));
            stage.later(Duration::from_secs(11 * 60)).await?;
            assert_eq!(stage.person("陈晨").inbox().len(), 1);
            Ok(())
        },
    )
    .await;
}

/// A look-up takes its time; what comes of it is pending under the rules that are in force by then.
#[tokio::test]
async fn a_draft_is_held_to_rules_that_changed_while_its_people_were_looked_up() {
    ruled(
        three_approvers(),
        |_| ALONE.to_owned(),
        async |stage, rules| {
            stage.authorize("王芳").await?;
            let slow = Wire::SlowBody(Duration::from_secs(5));
            stage.tenant.fault(Fault::wire("departments.search", When::AfterAccept, slow));
            let meanwhile = async {
                while stage.tenant.calls_to("departments.search").is_empty() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                rules.write(STRICT);
                app::rules::step(&stage.bot.app).await;
                app::tighten::step(&stage.bot.app).await
            };
            let (card, looked) = tokio::join!(stage.propose("王芳", "/broadcast 销售部 边查边改"), meanwhile);
            assert_eq!(looked?, app::Step::Idle, "nothing was pending by then");
            assert!(card?.text.contains("需要 2 人通过"), "{}", stage.card_of("王芳")?.text);
            for name in ["赵磊", "周明", "何静"] {
                assert!(stage.card_of(name)?.text.contains("边查边改"), "{name} was not asked");
            }
            Ok(())
        },
    )
    .await;
}

#[tokio::test]
async fn an_approval_given_before_still_counts_and_the_missing_one_is_asked_for() {
    ruled(
        three_approvers(),
        |_| "[[size]]\napprovals = 2\n".to_owned(),
        async |stage, rules| {
            let card = proposal(stage, "王芳", "再加一位").await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            rules.write("[[size]]\napprovals = 3\n");
            stage.settle().await?;
            assert!(stage.card_of("王芳")?.text.contains("1/3 已通过"), "{}", stage.card_of("王芳")?.text);
            for name in ["周明", "何静"] {
                press(stage, name, "approve").await?;
                stage.settle().await?;
            }
            assert_eq!(state(stage, &card).await?, State::Sent);
            // More than there are besides its author: they hear that it cannot be approved.
            rules.write("[[size]]\napprovals = 2\n");
            stage.settle().await?;
            let card = proposal(stage, "周明", "谁来批").await?;
            rules.write("[[size]]\napprovals = 3\n");
            stage.settle().await?;
            let said = "除你之外只有 2 位审批人，所以它无法通过";
            assert_eq!((told(stage, "周明", said), deeds(stage, &card).await?), (1, 1));
            // Once for each change, also after a restart.
            stage.restart().await?;
            stage.settle().await?;
            assert_eq!((told(stage, "周明", said), deeds(stage, &card).await?), (1, 1));
            Ok(())
        },
    )
    .await;
}

/// Who becomes an approver while something waits has a say in it, and so a card; also where that was while the bot was
/// away, and where there is no policy file at all.
#[tokio::test]
async fn a_new_approver_gets_the_cards_of_what_waits() {
    let company = Company::small().person("何静", &["总经办"]);
    let everyone =
        |company: &Company, names: &[&str]| names.iter().map(|name| id(company, name)).collect::<Vec<_>>().join(",");
    let (two, three) = (everyone(&company, &["赵磊", "周明"]), everyone(&company, &["赵磊", "周明", "何静"]));
    story_with(&[("BROADCAST_APPROVERS", &two)], company, async |stage| {
        let card = proposal(stage, "王芳", "新来的审批人").await?;
        assert!(stage.person("何静").last_card().is_none());
        stage.restart_with(&[("BROADCAST_APPROVERS", &three), ("APPROVALS_REQUIRED", "2")]).await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("需要 2 人通过"), "{}", stage.card_of("王芳")?.text);
        for name in ["何静", "赵磊"] {
            press(stage, name, "approve").await?;
            stage.settle().await?;
        }
        assert_eq!(state(stage, &card).await?, State::Sent);
        Ok(())
    })
    .await;
}

/// Rules that are as strict as before, and fewer people to keep them: the author need not wait for the deadline.
#[tokio::test]
async fn an_author_hears_that_too_few_approvers_are_left() {
    let company = Company::small();
    let (own, others) = (id(&company, "王芳"), format!("{},{}", id(&company, "王芳"), id(&company, "赵磊")));
    story_with(&[("BROADCAST_APPROVERS", &others)], company, async |stage| {
        let card = proposal(stage, "王芳", "没有人能通过").await?;
        let said = format!("群发 {} 现在无法通过：需要 1 人审批，而除你之外只剩 0 位审批人", Stage::id_on(&card));
        assert_eq!(told(stage, "王芳", &said), 0);
        for _ in 0..2 {
            stage.restart_with(&[("BROADCAST_APPROVERS", &own)]).await?;
            stage.settle().await?;
        }
        assert_eq!((told(stage, "王芳", &said), state(stage, &card).await?), (1, State::Pending), "once");
        Ok(())
    })
    .await;
}
