//! The whole company: only where the rules allow it, by its top departments and the people beside them, each once.

use serde_json::json;

use super::{approve, bodies, copies, nothing_proposed, refused};
use crate::sandbox::Company;
use crate::stage::{Stage, story, story_with};

/// Plays in the playground's company, where 王芳 may address everyone.
async fn allowed(play: impl AsyncFnOnce(&mut Stage) -> anyhow::Result<()>) {
    let company = Company::playground();
    let here = tempfile::tempdir().expect("a directory");
    let file = here.path().join("policy.toml");
    let rules = format!("[everyone]\nauthors = [\"{}\"]\n", company.named("王芳").open_id);
    std::fs::write(&file, rules).expect("ours");
    story_with(&[("POLICY_FILE", &file.display().to_string())], company, play).await;
}

/// Everyone whom the app may write to has so many copies, and nobody else has any.
fn everyone_has(stage: &Stage, wanted: usize) {
    let copies = copies(stage);
    for person in stage.tenant.company().people {
        let wanted = if person.available { wanted } else { 0 };
        assert_eq!(copies.get(&person.name).copied().unwrap_or(0), wanted, "{}", person.name);
    }
}

#[tokio::test]
async fn nobody_addresses_everyone_by_default() {
    story(async |stage| {
        let rule = format!("authors = [\"{}\"]", stage.person("王芳").open_id);
        for word in ["全员", "@all", "所有人", "@所有人", "a@example.com,@all"] {
            refused(stage, &format!("/broadcast {word} 放假"), &["全员", "POLICY_FILE", "[everyone]", &rule]).await?;
        }
        let post = json!({ "title": "", "content": [[
            { "tag": "text", "text": "/broadcast " }, { "tag": "at", "user_id": "@_all", "user_name": "所有人" },
            { "tag": "text", "text": " 放假" }]] });
        stage.person("王芳").says_post(post).await;
        stage.settle().await?;
        let answer = stage.person("王芳").chat().pop().expect("an answer");
        assert!(answer.text.contains("POLICY_FILE"), "{}", answer.text);
        nothing_proposed(stage).await?;
        assert!(stage.tenant.calls_to("departments.children").is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_admin_whom_the_rules_do_not_name_may_not_either() {
    allowed(async |stage| {
        let answer = stage.ask("林悦", "/broadcast 全员 放假").await?;
        assert!(answer.text.contains("POLICY_FILE"), "{}", answer.text);
        nothing_proposed(stage).await
    })
    .await;
}

#[tokio::test]
async fn everyone_is_the_top_departments_and_those_at_the_root_and_nobody_gets_it_twice() {
    allowed(async |stage| {
        let company = stage.tenant.company();
        let top: Vec<String> =
            company.departments.iter().filter(|d| d.parent == "0").map(|d| d.open_department_id.clone()).collect();
        let root = |body: &serde_json::Value| {
            let mut ids: Vec<String> = body["open_ids"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|id| id.as_str().unwrap_or_default().to_owned())
                .collect();
            ids.sort();
            ids
        };
        let mut at_root: Vec<String> = ["许国强", "沈秘书"].map(|name| stage.person(name).open_id).to_vec();
        at_root.sort();
        for (number, word) in ["全员", "@all"].into_iter().enumerate() {
            let card = stage.propose("王芳", &format!("/broadcast {word} 放假{number}")).await?;
            assert!(!card.text.contains("查不到") && !card.text.contains("… /"), "{}", card.text);
            assert!(card.text.contains("约 301 人"), "孙宁 is in two departments: {}", card.text);
            approve(stage).await?;
            let sent = bodies(stage);
            assert_eq!(sent.len(), number + 1);
            assert_eq!(sent[number]["department_ids"], json!(top));
            assert_eq!(root(&sent[number]), at_root);
            everyone_has(stage, number + 1);
        }
        // The records of those at the root came with the list.
        assert!(stage.tenant.calls_to("users.get").is_empty() && stage.tenant.calls_to("users.batch").is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whoever_is_named_beside_everyone_is_one_of_them() {
    allowed(async |stage| {
        stage.authorize("王芳").await?;
        let (chen, xu) = (stage.person("陈晨").employee(), stage.person("许国强").employee());
        let said = format!("/broadcast 销售部/大客户组,全员,研发中心,{},{} 放假", chen.union_id, xu.union_id);
        let card = stage.propose("王芳", &said).await?;
        for words in [
            "「销售部 / 大客户组」在「销售部」之内，已合并",
            "「@陈晨」在「销售部」之内，已合并",
            "「@许国强」用两种方式写了同一个人",
        ] {
            assert!(card.text.contains(words), "{words}:\n{}", card.text);
        }
        assert!(!card.text.contains("查不到"), "{}", card.text);
        approve(stage).await?;
        let sent = bodies(stage);
        assert!(sent.len() == 1 && sent[0].get("union_ids").is_none(), "{sent:?}");
        everyone_has(stage, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_the_whole_company_in_sight_everyone_is_refused_with_what_to_click() {
    allowed(async |stage| {
        let sales = super::department(stage, "销售部");
        stage.tenant.console(|app| app.contact_range = Some(vec![sales]));
        for said in ["/broadcast 全员 放假", "/broadcast --dry-run @all,ou_1 放假"] {
            let words = ["全员", "通讯录权限范围", "全部成员", "发布版本", "没有发起群发"];
            refused(stage, said, &words).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_the_scopes_for_names_and_places_everyone_is_still_everyone() {
    allowed(async |stage| {
        stage.tenant.console(|app| {
            for scope in [
                "contact:department.base:readonly",
                "contact:department.organize:readonly",
                "contact:user.department:readonly",
            ] {
                app.tenant_scopes.remove(scope);
            }
        });
        let card = stage.propose("王芳", "/broadcast 全员 放假").await?;
        assert!(card.text.contains("人数未知") && card.text.contains("有 2 人查不到"), "{}", card.text);
        approve(stage).await?;
        everyone_has(stage, 1);
        Ok(())
    })
    .await;
}
