//! `resend` after the end: those of the invalid ids that can be found by now get a proposal of their own, with the same
//! content, which asks for approval like any other.

mod recalled;

use feishu_broadcast::app::errands;
use feishu_broadcast::store::broadcasts::Which;
use serde_json::json;

use super::{minutes, on_the_books};
use crate::approve::{HOUR, actions, press};
use crate::crash::death::{die, die_later_each_time};
use crate::policy::ruled;
use crate::sandbox::{ChatMessage, Company, Fault, UnknownPeople};
use crate::stage::{Stage, story, story_with};

/// Three people who have left, and a department that is gone; whoever comes back is valid again.
fn company() -> Company {
    let gone =
        |company: Company, name: &str| company.person(name, &["工厂"]).change(name, |person| person.resigned = true);
    let company = ["甲", "乙", "丙"].into_iter().fold(Company::small(), gone);
    let mut company = company.person("丁", &["新部门"]);
    company.departments.iter_mut().filter(|department| department.path == "新部门").for_each(|d| d.deleted = true);
    company
}

fn comes_back(stage: &Stage, name: &str) {
    stage.tenant.reorganise(|company| {
        company.people.iter_mut().filter(|person| person.name == name).for_each(|person| person.resigned = false);
    });
}

fn department_comes_back(stage: &Stage) {
    stage.tenant.reorganise(|company| {
        company.departments.iter_mut().filter(|d| d.path == "新部门").for_each(|d| d.deleted = false);
    });
}

/// A broadcast to 陈晨 and to four ids of four kinds that are not valid, proposed, approved and ended.
async fn ended(stage: &Stage) -> anyhow::Result<ChatMessage> {
    let employee = |name: &str| stage.person(name).employee();
    let department = stage.tenant.with(|world| {
        world.company.departments.iter().find(|d| d.path == "新部门").expect("it was there").open_department_id.clone()
    });
    let command = format!(
        "/broadcast {},{},{},user:{},{department} 年会通知",
        employee("陈晨").open_id,
        employee("甲").open_id,
        employee("乙").union_id,
        employee("丙").user_id,
    );
    let card = stage.propose("王芳", &command).await?;
    press(stage, "赵磊", "approve").await?;
    stage.settle().await?;
    let card = stage.person("王芳").sees(&card.message_id).expect("the card");
    anyhow::ensure!(card.text.contains("部分发送") && card.text.contains("核对 4 个无效 ID 并补发"), "{}", card.text);
    Ok(card)
}

/// What 王芳 was told last.
fn told(stage: &Stage) -> String {
    let chat = stage.person("王芳").chat();
    let texts = chat.iter().rev().find(|message| message.from_bot && message.msg_type == "text");
    texts.map(|message| message.text.clone()).unwrap_or_default()
}

async fn resend(stage: &Stage, card: &ChatMessage) -> anyhow::Result<String> {
    let pressed = stage.person("王芳").presses(card, "resend").await.map_err(anyhow::Error::msg)?;
    let says = pressed.says().to_owned();
    stage.settle().await?;
    Ok(says)
}

fn copies(stage: &Stage, names: &[&str]) -> Vec<usize> {
    names.iter().map(|name| stage.person(name).inbox().len()).collect()
}

#[tokio::test]
async fn only_those_who_can_be_found_now_get_a_proposal_which_is_approved_anew() {
    story_with(&[], company(), async |stage| {
        let card = ended(stage).await?;
        let nobody = resend(stage, &card).await?;
        assert!(nobody.contains("正在核对 4 个无效 ID"), "{nobody}");
        assert!(told(stage).contains("4 个无效 ID 现在仍然查不到"), "{}", told(stage));
        assert_eq!(on_the_books(stage).await?, 1);

        comes_back(stage, "甲");
        comes_back(stage, "丙");
        resend(stage, &card).await?;
        let said = told(stage);
        assert!(said.contains("4 个无效 ID 里，现在能查到 2 个") && !said.contains("部门"), "{said}");
        let next = stage.card_of("王芳")?;
        assert_ne!(Stage::id_on(&next), Stage::id_on(&card));
        assert!(said.contains(&Stage::id_on(&next)), "{said}");
        for seen in [&next, &stage.card_of("赵磊")?] {
            for words in ["待审批", "年会通知", "约 2 人"] {
                assert!(seen.text.contains(words), "{}", seen.text);
            }
        }
        assert!(
            stage.person("王芳").sees(&card.message_id).expect("the card").text.contains("核对 2 个无效 ID 并补发")
        );
        assert_eq!(copies(stage, &["甲", "丙"]), [0, 0], "nothing before somebody has approved it");
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, &["陈晨", "甲", "乙", "丙", "丁"]), [1, 1, 0, 1, 0]);
        let tasks = stage.tenant.tasks();
        assert_eq!(tasks[0].content_hash, tasks[1].content_hash, "the same content");

        department_comes_back(stage);
        comes_back(stage, "乙");
        resend(stage, &card).await?;
        assert!(
            told(stage).contains("2 个无效 ID 里，现在能查到 2 个") && told(stage).contains("会再收到一次"),
            "{}",
            told(stage)
        );
        let last = stage.card_of("王芳")?;
        assert!(last.text.contains("• 新部门（约 1 人）") && !last.text.contains("无法核实"), "{}", last.text);
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, &["陈晨", "甲", "乙", "丙", "丁"]), [1, 1, 1, 1, 1]);
        let card = stage.person("王芳").sees(&card.message_id).expect("the card");
        assert!(!card.text.contains("并补发"), "nothing is left to offer: {}", card.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_rejected_or_cancelled_is_not_sent_and_may_be_asked_for_again() {
    story_with(&[], company(), async |stage| {
        let card = ended(stage).await?;
        comes_back(stage, "甲");
        resend(stage, &card).await?;
        press(stage, "赵磊", "reject").await?;
        stage.settle().await?;
        assert_eq!((on_the_books(stage).await?, copies(stage, &["甲"])), (2, vec![0]));
        let card = stage.person("王芳").sees(&card.message_id).expect("the card");
        assert!(card.text.contains("核对 4 个无效 ID 并补发"), "{}", card.text);
        resend(stage, &card).await?;
        press(stage, "王芳", "cancel").await?;
        stage.settle().await?;
        resend(stage, &stage.person("王芳").sees(&card.message_id).expect("the card")).await?;
        let next = stage.card_of("赵磊")?;
        assert!(next.text.contains(&format!("补发群发 {}", Stage::id_on(&card))), "{}", next.text);
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!((on_the_books(stage).await?, copies(stage, &["甲"])), (4, vec![1]));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn pressed_twice_it_proposes_nobody_twice() {
    story_with(&[], company(), async |stage| {
        let card = ended(stage).await?;
        comes_back(stage, "甲");
        department_comes_back(stage);
        // Before anything of it is done, and again from the card as it was then.
        for _ in 0..3 {
            let pressed = stage.person("王芳").presses(&card, "resend").await.map_err(anyhow::Error::msg)?;
            assert_eq!(pressed.toast.expect("a toast").kind, "info");
        }
        stage.settle().await?;
        assert_eq!(on_the_books(stage).await?, 2);
        let value = json!({ "action": "resend", "broadcast": Stage::id_on(&card), "version": stage.person("王芳").controls(&card)[0].value["version"] });
        stage.person("王芳").presses_raw(&card.message_id, value).await;
        stage.settle().await?;
        assert_eq!(on_the_books(stage).await?, 2);
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, &["甲", "丁"]), [1, 1]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_person_in_a_department_that_came_back_with_them_gets_it_once() {
    story_with(&[], company(), async |stage| {
        let card = ended(stage).await?;
        stage.tenant.reorganise(|company| {
            let new =
                company.departments.iter().find(|d| d.path == "新部门").expect("there").open_department_id.clone();
            company
                .people
                .iter_mut()
                .filter(|person| person.name == "甲")
                .for_each(|person| person.departments.push(new.clone()));
        });
        comes_back(stage, "甲");
        department_comes_back(stage);
        resend(stage, &card).await?;
        let next = stage.card_of("王芳")?;
        assert!(next.text.contains("已合并"), "{}", next.text);
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, &["甲", "丁"]), [1, 1]);
        Ok(())
    })
    .await;
}

/// Numbers of employees and of departments may be the same: what became of one says nothing of the other.
#[tokio::test]
async fn a_department_and_an_employee_of_one_number_are_told_apart() {
    let company = company().change("陈晨", |person| person.user_id = "575e205b".into());
    story_with(&[], company, async |stage| {
        stage.propose("王芳", "/broadcast dept:575e205b,user:575e205b 撞号").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("department_id：575e205b。部门不存在"), "{}", card.text);
        resend(stage, &card).await?;
        assert!(told(stage).contains("1 个无效 ID 现在仍然查不到"), "{}", told(stage));
        assert_eq!((on_the_books(stage).await?, copies(stage, &["陈晨"])), (1, vec![1]));
        Ok(())
    })
    .await;
}

/// Whoever lies in a department that was reached has it; in one whose call was refused they have not.
#[tokio::test]
async fn who_was_reached_by_another_target_is_not_sent_to_again() {
    story_with(&[], company(), async |stage| {
        let employee = |name: &str| stage.person(name).employee();
        let sales = stage.tenant.with(|world| world.company.at("销售部").expect("there").open_department_id.clone());
        let command = format!("/broadcast {sales},{},{} 年会", employee("甲").open_id, employee("乙").open_id);
        stage.propose("王芳", &command).await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        comes_back(stage, "甲");
        // Feishu takes some time to put somebody back: what counts is where they are when it is looked at.
        stage.tenant.reorganise(|company| {
            company.people.iter_mut().filter(|p| p.name == "甲").for_each(|p| p.departments = vec![sales.clone()]);
        });
        resend(stage, &card).await?;
        assert!(told(stage).contains("不需要补发"), "{}", told(stage));
        comes_back(stage, "乙");
        resend(stage, &card).await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, &["甲", "乙"]), [0, 1]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn it_is_the_authors_and_only_from_the_card_as_it_is() {
    story_with(&[], company(), async |stage| {
        let card = ended(stage).await?;
        comes_back(stage, "甲");
        let version = stage.person("王芳").controls(&card)[0].value["version"].as_i64().expect("a number");
        let value = |version: i64| json!({ "action": "resend", "broadcast": Stage::id_on(&card), "version": version });
        for name in ["林悦", "周明", "赵磊", "陈晨"] {
            let pressed = stage.person(name).presses_raw(&card.message_id, value(version)).await;
            assert_eq!(pressed.toast.expect("a toast").kind, "error", "{name}");
        }
        let pressed = stage.person("王芳").presses_raw(&card.message_id, value(version - 1)).await;
        assert!(pressed.says().contains("已不是最新"), "{}", pressed.says());
        stage.settle().await?;
        assert_eq!(on_the_books(stage).await?, 1);
        assert!(!actions(stage, "赵磊").contains(&"resend".to_owned()));

        let pending = crate::approve::proposal(stage, "王芳", "还没发").await?;
        let value = json!({ "action": "resend", "broadcast": Stage::id_on(&pending), "version": 1 });
        let pressed = stage.person("王芳").presses_raw(&pending.message_id, value).await;
        assert_eq!(pressed.toast.expect("a toast").kind, "warning");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn feishus_trouble_delays_it_and_in_the_end_is_told() {
    story_with(&[], company(), async |stage| {
        let card = ended(stage).await?;
        comes_back(stage, "甲");
        stage.tenant.fault(Fault::code("users.get", 500, 2200).times(2));
        resend(stage, &card).await?;
        minutes(stage, 2).await?;
        assert_eq!(on_the_books(stage).await?, 2);
        comes_back(stage, "乙");
        stage.tenant.fault(Fault::code("users.get", 500, 2200).times(100));
        resend(stage, &card).await?;
        minutes(stage, 15).await?;
        stage.tenant.clear_faults();
        assert!(told(stage).contains("没能核对") && told(stage).contains("再点一次"), "{}", told(stage));
        resend(stage, &card).await?;
        assert_eq!(on_the_books(stage).await?, 3);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn one_id_that_nobody_has_hides_none_of_the_others() {
    let mut company = company();
    for n in 0..25 {
        let name = format!("员工{n:02}");
        company = company.person(&name, &["工厂"]).change(&name, |person| person.resigned = true);
    }
    story_with(&[], company, async |stage| {
        stage.tenant.switch(|switches| switches.unknown_people = UnknownPeople::Refused);
        let mut ids: Vec<String> = (0..25).map(|n| stage.person(&format!("员工{n:02}")).open_id).collect();
        ids.extend([format!("ou_{}", "0".repeat(32)), stage.person("陈晨").open_id]);
        let card = stage.propose("王芳", &format!("/broadcast {} 都来", ids.join(","))).await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        for n in [3, 17] {
            comes_back(stage, &format!("员工{n:02}"));
        }
        resend(stage, &card).await?;
        assert!(told(stage).contains("26 个无效 ID 里，现在能查到 2 个"), "{}", told(stage));
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, &["员工03", "员工17", "员工04"]), [1, 1, 0]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn wherever_the_machine_dies_it_is_proposed_once() {
    story_with(&[], company(), async |stage| {
        die_later_each_time(stage, "a repair", async |stage, moment| {
            stage.tenant.reorganise(|company| {
                company
                    .people
                    .iter_mut()
                    .filter(|person| person.name == "甲")
                    .for_each(|person| person.resigned = true);
            });
            let card = ended(stage).await?;
            comes_back(stage, "甲");
            let newest = Stage::id_on(&card);
            stage.person("王芳").presses(&card, "resend").await.map_err(anyhow::Error::msg)?;
            let finished = die(stage, moment, async |app| errands::step(&app).await.map(drop)).await?;
            stage.settle().await?;
            stage.later(2 * crate::stage::LEASES_OVER).await?;
            let books = stage.bot.app.store.recent(None, Which::All).await?;
            assert_eq!(books[1].id.to_string(), newest, "moment {moment}");
            assert!(told(stage).contains("现在能查到 1 个"), "moment {moment}: {}", told(stage));
            press(stage, "赵磊", "reject").await?;
            stage.settle().await?;
            Ok(finished)
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn without_approvals_the_author_confirms_it_anew() {
    story_with(&[("APPROVALS_REQUIRED", "0")], company(), async |stage| {
        let to = format!("{},{}", stage.person("陈晨").open_id, stage.person("甲").open_id);
        let card = stage.propose("王芳", &format!("/broadcast {to} 年会")).await?;
        press(stage, "王芳", "approve").await?;
        stage.settle().await?;
        comes_back(stage, "甲");
        resend(stage, &card).await?;
        assert_eq!(copies(stage, &["甲"]), [0]);
        press(stage, "王芳", "approve").await?;
        stage.settle().await?;
        assert_eq!(copies(stage, &["陈晨", "甲"]), [1, 1]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_broadcast_without_invalid_ids_offers_nothing() {
    story(async |stage| {
        crate::approve::proposal(stage, "王芳", "都好").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(actions(stage, "王芳"), ["recall", "refresh"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_broadcast_to_repaired_ids_is_one_of_the_days() {
    let once = |company: &Company| {
        format!("[[author]]\nname = \"一天一次\"\nwho = [\"{}\"]\nper_day = 1\n", company.named("王芳").open_id)
    };
    ruled(company(), once, async |stage, _| {
        let card = ended(stage).await?;
        comes_back(stage, "甲");
        resend(stage, &card).await?;
        assert!(told(stage).contains("每天最多发起 1 次"), "{}", told(stage));
        assert_eq!(on_the_books(stage).await?, 1);
        stage.later(24 * HOUR).await?;
        resend(stage, &card).await?;
        assert_eq!(on_the_books(stage).await?, 2);
        Ok(())
    })
    .await;
}
