//! Names become departments: found as the author and nobody else, chosen by the author and nobody else.

use std::time::Duration;

use serde_json::json;

use super::{answers, proposed};
use crate::sandbox::faults::Throttle;
use crate::sandbox::{Company, Effect, Fault, Press};
use crate::stage::{Stage, story, story_with};

/// Branches with namesakes, and a department whose name is part of others.
fn branches() -> Company {
    Company::small()
        .person("高飞", &["华东/交付部"])
        .person("梁静", &["华南/交付部", "华南/交付部/一组"])
        .person("唐宁", &["华南/分公司/客服部"])
}

fn department(stage: &Stage, path: &str) -> String {
    stage.tenant.company().at(path).expect("is there").open_department_id.clone()
}

#[tokio::test]
async fn an_exact_name_is_taken_though_others_contain_it() {
    let company = Company::small().department("销售部支持组").department("华东/大销售部");
    story_with(&[], company, async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 销售部 开会").await?;
        assert!(card.text.contains("• 销售部（约 4 人）") && !card.text.contains("支持组"), "{}", card.text);
        assert_eq!(stage.card_of("赵磊")?.text.matches("• ").count(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn namesakes_are_chosen_by_the_author_from_full_paths() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 客服部 换班").await?;
        let wire = card.content.to_string();
        assert!(wire.contains("华东 / 客服部（约 1 人）") && wire.contains("华南 / 客服部（约 1 人）"), "{wire}");
        assert!(stage.person("赵磊").last_card().is_none(), "nobody is asked before the choice");
        for command in ["/list".to_owned(), format!("/status {}", Stage::id_on(&card))] {
            let said = stage.ask("王芳", &command).await?.text;
            assert!(said.contains("人数待定") && !said.contains("约 0 人"), "{said}");
        }
        let chosen = department(stage, "华南/客服部");
        let press = Press::action("pick").option(&chosen);
        let pressed = stage.person("王芳").presses(&card, press).await.map_err(anyhow::Error::msg)?;
        assert!(pressed.says().contains("已选择"), "{}", pressed.says());
        stage.settle().await?;
        let pending = stage.person("王芳").sees(&card).expect("the same card");
        assert!(
            pending.text.contains("待审批") && pending.text.contains("华南 / 客服部（约 1 人）"),
            "{}",
            pending.text
        );
        let asked = stage.card_of("赵磊")?;
        assert!(asked.text.contains("华南 / 客服部（约 1 人）") && asked.text.contains("换班"), "{}", asked.text);
        stage.person("赵磊").presses(&asked, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(stage.person("谢婷").inbox().len(), 1);
        assert!(stage.person("罗敏").inbox().is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_choice_may_stand_in_the_value_and_counts_once_and_only_from_the_author() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 客服部 换班").await?;
        let (chosen, other) = (department(stage, "华东/客服部"), department(stage, "华南/客服部"));
        let not_offered = department(stage, "销售部");
        let id = Stage::id_on(&card);
        let value = |department: &str, version: i64| {
            json!({ "action": "pick", "broadcast": id, "version": version, "department": department })
        };
        for (who, why) in [("陈晨", "只为管理员和审批人"), ("赵磊", "只有发起人"), ("林悦", "只有发起人")] {
            let pressed = stage.person(who).presses_raw(&card, value(&chosen, 1)).await;
            assert!(pressed.says().contains(why), "{who}: {}", pressed.says());
        }
        let wang = stage.person("王芳");
        for (department, why) in [(not_offered.as_str(), "没有这个选项"), ("0", "没有这个选项"), ("", "没有这个选项")] {
            let pressed = wang.presses_raw(&card, value(department, 1)).await;
            assert!(pressed.says().contains(why), "{}", pressed.says());
        }
        let early = wang.presses_raw(&card, json!({ "action": "approve", "broadcast": id, "version": 1 })).await;
        assert!(!early.says().contains("已通过"), "{}", early.says());
        let pressed = wang.presses_raw(&card, value(&chosen, 1)).await;
        assert!(pressed.says().contains("已选择"), "{}", pressed.says());
        let again = wang.presses_raw(&card, value(&other, 1)).await;
        assert!(again.says().contains("不是最新") || again.says().contains("来晚了"), "{}", again.says());
        stage.settle().await?;
        let card = wang.sees(&card).expect("the card");
        assert!(card.text.contains("华东 / 客服部") && !card.text.contains("华南"), "{}", card.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_names_with_namesakes_are_two_choices() {
    story_with(&[], branches(), async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 客服部、销售部、交付部 换班").await?;
        let first = Press::action("pick").option(&department(stage, "华南/交付部"));
        stage.person("王芳").presses(&card, first).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert!(stage.person("赵磊").last_card().is_none(), "one question is still open");
        let second = Press::action("pick").option(&department(stage, "华南/分公司/客服部"));
        stage.person("王芳").presses(&card, second).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        for (name, copies) in [("唐宁", 1), ("梁静", 1), ("陈晨", 1), ("高飞", 0), ("罗敏", 0), ("谢婷", 0)]
        {
            assert_eq!(stage.person(name).inbox().len(), copies, "{name}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_path_tells_namesakes_apart_without_a_question() {
    story_with(&[], branches(), async |stage| {
        stage.authorize("王芳").await?;
        for (typed, path) in [
            ("华东/客服部", "华东 / 客服部"),
            ("华南／分公司／客服部", "华南 / 分公司 / 客服部"),
            ("分公司/客服部", "华南 / 分公司 / 客服部"),
            ("\"华东/客服部\"", "华东 / 客服部"),
        ] {
            let card = stage.propose("王芳", &format!("/broadcast {typed} 换班 {typed}")).await?;
            assert!(card.text.contains(path) && card.text.contains("待审批"), "{typed}: {}", card.text);
        }
        let wrong = stage.ask("王芳", "/broadcast 华北/客服部 换班").await?;
        assert!(wrong.text.contains("没有找到「华北/客服部」") && wrong.text.contains("客服部"), "{}", wrong.text);
        assert_eq!(proposed(stage).await?, 4);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn one_name_that_is_not_found_refuses_the_whole_and_every_such_name_is_named() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let answer = stage.ask("王芳", "/broadcast 销售部、保安部、客服、不存在 开会").await?;
        for words in ["没有找到「保安部」", "没有找到「客服」。相近的有：客服部", "没有找到「不存在」", "没有发起群发"]
        {
            assert!(answer.text.contains(words), "{words} is missing in {}", answer.text);
        }
        assert!(!answer.text.contains("没有找到「销售部」"));
        assert_eq!(proposed(stage).await?, 0);
        // Also when other names have namesakes: no choice is offered for a command that cannot go on.
        answers(stage, "王芳", "/broadcast 客服部,不存在 开会", "没有找到「不存在」").await?;
        answers(stage, "王芳", "/departments 不存在", "没有找到").await
    })
    .await;
}

#[tokio::test]
async fn several_names_become_one_audience() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 市场部，总经办、华东/客服部 放假").await?;
        assert!(card.text.contains("约 5 人"), "{}", card.text);
        stage.person("周明").presses(&stage.card_of("周明")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(stage.tenant.tasks().len(), 1);
        for name in ["王芳", "林悦", "周明", "赵磊", "罗敏"] {
            assert_eq!(stage.person(name).inbox().len(), 1, "{name}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_page_of_a_search_is_read_before_a_name_counts_as_found() {
    story(async |stage| {
        stage.tenant.switch(|switches| switches.page_at_most = 1);
        stage.authorize("王芳").await?;
        let card = stage.propose("王芳", "/broadcast 客服部 换班").await?;
        assert!(card.text.contains("有 2 个部门叫「客服部」"), "{}", card.text);
        assert_eq!(stage.tenant.calls_to("departments.search").len(), 2);
        let shown = stage.ask("王芳", "/departments 部").await?;
        assert!(shown.text.contains("找到 4 个部门"), "{}", shown.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn more_namesakes_than_can_be_offered_are_asked_for_by_path() {
    let mut company = Company::small();
    for number in 0..25 {
        company = company.department(&format!("分公司{number}/门店"));
    }
    story_with(&[], company, async |stage| {
        stage.authorize("王芳").await?;
        answers(stage, "王芳", "/broadcast 门店 盘点", "叫「门店」的部门太多").await?;
        let card = stage.propose("王芳", "/broadcast 分公司7/门店 盘点").await?;
        assert!(card.text.contains("分公司7 / 门店"), "{}", card.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_admin_finds_only_what_they_may_see_whatever_another_has_found() {
    story_with(&[], Company::small().hide("华东", "林悦"), async |stage| {
        for name in ["王芳", "林悦"] {
            stage.authorize(name).await?;
        }
        let seen = stage.ask("王芳", "/departments 客服部").await?;
        assert!(seen.text.contains("华东 / 客服部") && seen.text.contains("华南 / 客服部"), "{}", seen.text);
        let seen = stage.ask("林悦", "/departments 客服部").await?;
        assert!(!seen.text.contains("华东") && seen.text.contains("华南 / 客服部"), "{}", seen.text);
        let missing = stage.ask("林悦", "/broadcast 华东/客服部 换班").await?;
        assert!(missing.text.contains("没有找到「华东/客服部」"), "{}", missing.text);
        let card = stage.propose("林悦", "/broadcast 客服部 换班").await?;
        assert!(card.text.contains("待审批") && card.text.contains("华南 / 客服部"), "{}", card.text);
        assert!(stage.tenant.calls_to("departments.search").iter().all(|call| call.token == "user"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn where_searches_are_throttled_every_admin_waits_and_nothing_is_lost() {
    story(async |stage| {
        for name in ["王芳", "林悦"] {
            stage.authorize(name).await?;
        }
        let slow = Effect::Rate { throttle: Throttle::Headers, reset_s: 40 };
        stage.tenant.fault(Fault::on("departments.search", slow));
        for (name, to) in [("王芳", "销售部"), ("林悦", "华南/客服部")] {
            let pushed = stage.person(name).says(&format!("/broadcast {to} 换班")).await;
            anyhow::ensure!(pushed.status == 200, "not acknowledged");
        }
        // The limit is that of the endpoint: the sandbox minds whoever asks before it is over.
        stage.settle().await?;
        assert_eq!(stage.tenant.calls_to("departments.search").len(), 1);
        stage.later(Duration::from_secs(60)).await?;
        for name in ["王芳", "林悦"] {
            let card = stage.card_of(name)?;
            assert!(card.text.contains("待审批"), "{name}: {}", card.text);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_id_that_the_app_cannot_see_goes_on_and_is_named_in_the_preview() {
    story(async |stage| {
        let (seen, unseen) = (department(stage, "销售部"), department(stage, "华东/客服部"));
        stage.tenant.console(|app| app.contact_range = Some(vec![seen.clone()]));
        let card = stage.propose("王芳", &format!("/broadcast {seen},{unseen} 通知")).await?;
        assert!(card.text.contains("• 销售部（约 4 人）"), "{}", card.text);
        assert!(card.text.contains("无法核实") && card.text.contains(&unseen), "{}", card.text);
        assert!(stage.tenant.calls_to("departments.search").is_empty(), "ids are not searched");
        stage.person("周明").presses(&stage.card_of("周明")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!((stage.person("罗敏").inbox().len(), stage.person("陈晨").inbox().len()), (1, 1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_custom_department_id_is_looked_up_as_one() {
    story_with(&[], Company::small().department_with_id("销售部", "sales-01"), async |stage| {
        let card = stage.propose("王芳", "/broadcast dept:sales-01 通知").await?;
        assert!(card.text.contains("• 销售部（约 4 人）"), "{}", card.text);
        stage.person("周明").presses(&stage.card_of("周明")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_person_picked_from_the_list_is_written_to_by_id() {
    story(async |stage| {
        stage.person("王芳").says_with("/broadcast @陈晨,@刘洋 请来一下", &["陈晨", "刘洋"]).await;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("@陈晨") && card.text.contains("约 2 人"), "{}", card.text);
        stage.person("周明").presses(&stage.card_of("周明")?, "approve").await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert_eq!((stage.person("陈晨").inbox().len(), stage.person("马超").inbox().len()), (1, 0));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_card_of_many_long_names_is_still_a_card() {
    let long = |name: &str| format!("{name}{}", "很长的名字".repeat(14));
    let mut company = Company::small();
    for number in 0..20 {
        for shop in ["门店", "仓库", "车队"] {
            company = company.department(&format!("{}/{}/{shop}", long("大区"), long(&format!("分公司{number}"))));
        }
    }
    story_with(&[], company, async |stage| {
        stage.authorize("王芳").await?;
        // Sixty choices; the tenant refuses a card over 30 KB.
        let card = stage.propose("王芳", &format!("/broadcast 门店,仓库,车队 {}", "\"盘点\"\n".repeat(400))).await?;
        let choices: Vec<String> =
            stage.person("王芳").controls(&card).into_iter().flat_map(|control| control.options).collect();
        assert!(!choices.is_empty());
        for shop in ["门店", "仓库", "车队"] {
            let path = format!("{}/{}/{shop}", long("大区"), long("分公司3"));
            let press = Press::action("pick").option(&department(stage, &path));
            stage.person("王芳").presses(&card, press).await.map_err(anyhow::Error::msg)?;
            stage.settle().await?;
        }
        assert!(stage.card_of("赵磊")?.text.contains("待审批"));

        // Twenty departments that lie inside another one.
        let region = department(stage, &long("大区"));
        let inside: Vec<String> =
            (0..20).map(|n| department(stage, &format!("{}/{}", long("大区"), long(&format!("分公司{n}"))))).collect();
        stage.propose("王芳", &format!("/broadcast {region},{} 通知", inside.join(","))).await?;
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("已合并"), "{}", card.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_slip_at_the_end_of_a_name_is_answered_with_what_is_called_nearly_so() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let answer = stage.ask("王芳", "/broadcast 销售步 你好").await?;
        assert!(answer.text.contains("没有找到「销售步」。相近的有：销售部"), "{}", answer.text);
        assert!(stage.person("赵磊").last_card().is_none());
        Ok(())
    })
    .await;
}
