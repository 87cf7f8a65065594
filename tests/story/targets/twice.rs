//! Nobody gets it twice for being named twice, and what cannot be told is said.

use serde_json::json;

use super::{approve, bodies, copies, department, look_ups, once};
use crate::sandbox::{ChatMessage, Company, Press, UnknownPeople};
use crate::stage::{Stage, story, story_with};

/// Proposes in 王芳's name and gives her card; mentions are real ones.
async fn propose(stage: &Stage, said: &str, mentions: &[&str]) -> anyhow::Result<ChatMessage> {
    stage.person("王芳").says_with(said, mentions).await;
    stage.settle().await?;
    stage.card_of("王芳")
}

/// The ways to name one person, and how the card calls them then.
fn ways(stage: &Stage, name: &str) -> [(String, String); 6] {
    let person = stage.person(name).employee();
    [
        (person.open_id, format!("@{name}")),
        (person.union_id, format!("@{name}")),
        (format!("user:{}", person.user_id), format!("@{name}")),
        (format!("@{name}"), format!("@{name}")),
        (person.email.clone(), person.email),
        (person.mobile.clone(), person.mobile),
    ]
}

#[tokio::test]
async fn whoever_is_inside_a_named_department_is_dropped_however_they_are_named() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let sales = department(stage, "销售部");
        let mut sent = 0;
        // Directly in it, and in a department below it.
        for name in ["陈晨", "马超"] {
            for (way, shown) in ways(stage, name) {
                let card = propose(stage, &format!("/broadcast 销售部,{way} 开会{sent}"), &[name]).await?;
                let merged = format!("「{shown}」在「销售部」之内，已合并，不会重复收到");
                assert!(card.text.contains(&merged) && card.text.contains("约 4 人"), "{way}:\n{}", card.text);
                assert!(!card.text.contains("查不到"), "{way}:\n{}", card.text);
                approve(stage).await?;
                sent += 1;
                assert_eq!(bodies(stage).last(), Some(&json!({ "department_ids": [sales] })), "{way}");
            }
        }
        let all = copies(stage);
        assert_eq!(all.len(), 4, "{all:?}");
        assert!(all.values().all(|copies| *copies == sent), "{all:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn somebody_named_by_two_kinds_of_ids_is_sent_to_once() {
    story(async |stage| {
        let [open, union, user, mention, email, mobile] = ways(stage, "陈晨").map(|(way, _)| way);
        let person = stage.person("陈晨").employee();
        let by_open = json!({ "open_ids": [person.open_id] });
        let by_union = json!({ "union_ids": [person.union_id] });
        let cases = [
            (vec![&open, &union], &by_open, 1),
            (vec![&union, &open], &by_open, 1),
            (vec![&open, &user], &by_open, 1),
            (vec![&mention, &user], &by_open, 1),
            (vec![&union, &user], &by_union, 2),
            (vec![&email, &union], &by_open, 1),
            (vec![&user, &union, &open], &by_open, 2),
            // Found to be the same by their addresses alone.
            (vec![&mobile, &email, &open, &mention], &by_open, 0),
        ];
        for (number, (named, body, asked)) in cases.into_iter().enumerate() {
            let before = stage.tenant.calls_to("users.get").len();
            let named: Vec<&str> = named.into_iter().map(String::as_str).collect();
            let card = propose(stage, &format!("/broadcast {} 开会{number}", named.join(",")), &["陈晨"]).await?;
            assert!(card.text.contains("约 1 人") && !card.text.contains("查不到"), "{named:?}:\n{}", card.text);
            assert_eq!(card.text.contains("用两种方式写了同一个人，已合并"), asked > 0, "{named:?}:\n{}", card.text);
            assert_eq!(stage.tenant.calls_to("users.get").len() - before, asked, "{named:?}");
            approve(stage).await?;
            assert_eq!(bodies(stage).last(), Some(body), "{named:?}");
            assert_eq!(copies(stage)["陈晨"], number + 1);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn nobody_is_looked_up_where_nobody_can_be_named_twice() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let (chen, liu) = (stage.person("陈晨").employee(), stage.person("刘洋").employee());
        for (number, targets) in [
            format!("{},{}", chen.open_id, liu.open_id),
            format!("{},{}", chen.union_id, liu.union_id),
            format!("user:{},user:{}", chen.user_id, liu.user_id),
            "销售部,市场部".to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            propose(stage, &format!("/broadcast {targets} 开会{number}"), &[]).await?;
            approve(stage).await?;
        }
        assert_eq!(look_ups(stage), [""; 0]);
        assert_eq!(copies(stage)["陈晨"], 4);
        Ok(())
    })
    .await;
}

/// One person whose place cannot be told stays, and the card says so.
async fn untold(stage: &Stage, targets: &str, stays: serde_json::Value) -> anyhow::Result<()> {
    let card = propose(stage, &format!("/broadcast {targets} 开会"), &[]).await?;
    assert!(card.text.contains("有 1 人查不到还在哪些目标里"), "{}", card.text);
    approve(stage).await?;
    assert_eq!(bodies(stage).last(), Some(&stays));
    Ok(())
}

#[tokio::test]
async fn whose_departments_are_not_told_stays_and_is_counted() {
    story(async |stage| {
        stage.tenant.console(|app| {
            app.tenant_scopes.remove("contact:user.department:readonly");
        });
        let (sales, chen) = (department(stage, "销售部"), stage.person("陈晨").employee());
        let stays = json!({ "department_ids": [sales], "open_ids": [chen.open_id] });
        untold(stage, &format!("{sales},{}", chen.open_id), stays).await
    })
    .await;
}

#[tokio::test]
async fn whoever_is_outside_the_contact_range_stays_and_is_counted() {
    story(async |stage| {
        let (sales, chen) = (department(stage, "销售部"), stage.person("陈晨").employee());
        let market = department(stage, "市场部");
        stage.tenant.console(|app| app.contact_range = Some(vec![market]));
        let stays = json!({ "department_ids": [sales], "union_ids": [chen.union_id] });
        untold(stage, &format!("{sales},{}", chen.union_id), stays).await
    })
    .await;
}

#[tokio::test]
async fn whose_way_up_is_cut_stays_and_is_counted_unless_what_is_seen_decides() {
    story(async |stage| {
        let (sales, inside) = (department(stage, "销售部"), department(stage, "销售部/大客户组"));
        let ma = stage.person("马超").employee();
        stage.tenant.console(|app| app.contact_range = Some(vec![inside.clone()]));
        let stays = json!({ "department_ids": [department(stage, "总经办")], "open_ids": [ma.open_id] });
        untold(stage, &format!("{},{}", department(stage, "总经办"), ma.open_id), stays).await?;
        // The parent is out of sight, and its id is known all the same.
        for named in [inside, sales] {
            let card = propose(stage, &format!("/broadcast {named},{} 开会", ma.open_id), &[]).await?;
            assert!(card.text.contains("「@马超」在") && card.text.contains("之内，已合并"), "{}", card.text);
            assert!(!card.text.contains("查不到"), "{}", card.text);
            approve(stage).await?;
            assert_eq!(bodies(stage).last(), Some(&json!({ "department_ids": [named] })));
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_id_that_may_not_be_looked_up_stays_and_is_counted() {
    story(async |stage| {
        stage.tenant.console(|app| {
            app.tenant_scopes.remove("contact:user.employee_id:readonly");
        });
        let chen = stage.person("陈晨").employee();
        let stays = json!({ "open_ids": [chen.open_id], "user_ids": [chen.user_id] });
        untold(stage, &format!("{},user:{}", chen.open_id, chen.user_id), stays).await?;
        let nobody = json!({ "open_ids": [chen.open_id], "union_ids": ["on_nobody"] });
        untold(stage, &format!("{},on_nobody", chen.open_id), nobody).await
    })
    .await;
}

#[tokio::test]
async fn a_custom_department_id_that_nobody_knows_might_hold_anybody() {
    story(async |stage| {
        let chen = stage.person("陈晨").employee();
        let stays = json!({ "department_ids": ["unknown-1"], "open_ids": [chen.open_id] });
        untold(stage, &format!("dept:unknown-1,{}", chen.open_id), stays).await?;
        // An open id tells by itself that nobody is in it.
        let card = propose(stage, &format!("/broadcast od-unknown,{} 开会", chen.open_id), &[]).await?;
        assert!(card.text.contains("无法核实") && !card.text.contains("查不到"), "{}", card.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn many_people_are_looked_up_fifty_at_a_time() {
    for unknown in [UnknownPeople::Missing, UnknownPeople::Refused] {
        let mut company = Company::small();
        for number in 0..60 {
            let at = if number % 3 == 0 { "工厂/车间" } else { "仓库" };
            company = company.person(&format!("员工{number:02}"), &[at]);
        }
        story_with(&[], company, async |stage| {
            stage.tenant.switch(|switches| switches.unknown_people = unknown);
            let ids: Vec<String> = (0..60).map(|n| stage.person(&format!("员工{n:02}")).open_id).collect();
            let factory = department(stage, "工厂");
            let card = propose(stage, &format!("/broadcast {factory},{},ou_nobody 停电", ids.join(",")), &[]).await?;
            assert!(card.text.contains("有 1 人查不到") && card.text.contains("约 61 人"), "{}", card.text);
            if unknown == UnknownPeople::Missing {
                assert_eq!(look_ups(stage), ["users.batch"; 2]);
            }
            approve(stage).await?;
            let all = copies(stage);
            assert!(all.len() == 60 && all.values().all(|copies| *copies == 1), "{all:?}");
            let open_ids = bodies(stage)[0]["open_ids"].as_array().map(Vec::len);
            assert_eq!(open_ids, Some(41));
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn choosing_among_namesakes_drops_whoever_is_inside_the_chosen_one() {
    let company = Company::small().person("唐宁", &["华东/客服部/夜班"]);
    story_with(&[], company, async |stage| {
        stage.authorize("王芳").await?;
        let [luo, xie, tang] = ["罗敏", "谢婷", "唐宁"].map(|name| stage.person(name).employee());
        let said = format!("/broadcast 客服部,{},{},user:{},ou_nobody 换班", luo.open_id, xie.union_id, tang.user_id);
        let card = propose(stage, &said, &[]).await?;
        assert!(!card.text.contains("已合并"), "{}", card.text);
        let chosen = department(stage, "华东/客服部");
        let press = Press::action("pick").option(&chosen);
        stage.person("王芳").presses(&card, press).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        for card in [stage.card_of("王芳")?, stage.card_of("赵磊")?] {
            for name in ["罗敏", "唐宁"] {
                let merged = format!("「@{name}」在「华东 / 客服部」之内，已合并");
                assert!(card.text.contains(&merged), "{}", card.text);
            }
            assert!(card.text.contains("• @谢婷") && card.text.contains("有 1 人查不到"), "{}", card.text);
            assert!(card.text.contains("约 4 人"), "{}", card.text);
        }
        approve(stage).await?;
        let body = json!({ "department_ids": [chosen], "open_ids": ["ou_nobody"], "union_ids": [xie.union_id] });
        assert_eq!(bodies(stage), [body]);
        assert_eq!(copies(stage), once(&["罗敏", "唐宁", "谢婷"]));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_could_not_be_told_before_a_choice_may_be_told_by_it() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let (luo, east) = (stage.person("罗敏").employee(), department(stage, "华东/客服部"));
        // Of 罗敏 the app sees her own department and nothing above it.
        stage.tenant.console(|app| app.contact_range = Some(vec![east.clone()]));
        let card = propose(stage, &format!("/broadcast 客服部,{} 换班", luo.open_id), &[]).await?;
        assert!(card.text.contains("有 1 人查不到"), "{}", card.text);
        let press = Press::action("pick").option(&east);
        stage.person("王芳").presses(&card, press).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        let card = stage.card_of("赵磊")?;
        assert!(card.text.contains("「@罗敏」在") && !card.text.contains("查不到"), "{}", card.text);
        approve(stage).await?;
        assert_eq!(bodies(stage), [json!({ "department_ids": [east] })]);
        Ok(())
    })
    .await;
}
