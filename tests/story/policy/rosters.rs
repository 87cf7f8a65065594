//! Admins, approvers and authors by a department or a user group in Feishu: read again and again, and kept meanwhile.

use std::time::Duration;

use serde_json::json;

use super::{Rules, department, id};
use crate::approve::{HOUR, actions, press, proposal};
use crate::sandbox::{Company, Fault, When, Wire};
use crate::stage::{Stage, story_with};

/// After this, every list has been read again.
const READ: Duration = Duration::from_secs(6 * 60);

/// 林悦 and 王芳 are the user group 发布组; 总经办 are 周明 and 赵磊.
fn company() -> Company {
    Company::small().user_group("发布组", &["王芳", "林悦"], &["销售部"])
}

fn group(company: &Company) -> String {
    format!("group:{}", company.user_groups[0].id)
}

async fn role(stage: &Stage, name: &str) -> anyhow::Result<String> {
    Ok(stage.ask(name, "/whoami").await?.text)
}

/// Strangers are answered behind the back of the stage, and once an hour.
async fn is_stranger(stage: &Stage, name: &str) -> anyhow::Result<bool> {
    let value = json!({ "action": "approve", "broadcast": "AAAAAA", "version": 1 });
    let pressed = stage.person(name).presses_raw("om_any", value).await;
    anyhow::ensure!(pressed.status == 200, "{}", pressed.status);
    Ok(pressed.says().contains("只为管理员和审批人"))
}

#[tokio::test]
async fn a_group_are_the_admins_and_a_department_the_approvers_while_they_are_on_the_list() {
    let company = company();
    let (admins, approvers) = (group(&company), department(&company, "总经办"));
    let settings = [("BROADCAST_ADMINS", admins.as_str()), ("BROADCAST_APPROVERS", approvers.as_str())];
    story_with(&settings, company, async |stage| {
        // The scope is missing: the group was never read, and nobody is an admin.
        assert!(is_stranger(stage, "王芳").await? && !is_stranger(stage, "赵磊").await?);
        stage.tenant.console(|app| {
            app.tenant_scopes.insert("contact:group:readonly".into());
        });
        stage.later(READ).await?;
        assert!(role(stage, "王芳").await?.contains("角色：管理员"));
        assert!(is_stranger(stage, "陈晨").await?, "the people of a department in a group are not in the group");
        assert!(role(stage, "周明").await?.contains("角色：审批人"));
        proposal(stage, "王芳", "名单在飞书").await?;
        assert_eq!(actions(stage, "周明"), ["approve", "preview", "reject"]);

        // 周明 leaves the department, 王芳 the group, and 陈晨 joins both.
        let office = stage.tenant.company().at("总经办").expect("is there").open_department_id.clone();
        stage.tenant.with(|world| {
            let [wang, zhou, chen] = ["王芳", "周明", "陈晨"].map(|name| world.company.named(name).open_id.clone());
            world.company.user_groups[0].members.retain(|member| *member != wang);
            world.company.user_groups[0].members.push(chen.clone());
            for person in &mut world.company.people {
                if person.open_id == zhou {
                    person.departments.clear();
                } else if person.open_id == chen {
                    person.departments.push(office.clone());
                }
            }
        });
        stage.later(READ).await?;
        assert!(is_stranger(stage, "王芳").await? && is_stranger(stage, "周明").await?);
        assert!(role(stage, "陈晨").await?.contains("角色：管理员、审批人"));
        let card = stage.card_of("周明")?;
        let pressed = stage.person("周明").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
        assert!(pressed.says().contains("只为管理员和审批人"), "{}", pressed.says());
        press(stage, "赵磊", "approve").await?;
        stage.later(HOUR).await?;
        assert_eq!(stage.tenant.tasks().len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn while_feishu_is_away_the_last_list_counts_also_after_a_restart() {
    let company = company();
    let admins = group(&company);
    story_with(&[("BROADCAST_ADMINS", &admins)], company, async |stage| {
        stage.tenant.console(|app| {
            app.tenant_scopes.insert("contact:group:readonly".into());
        });
        stage.later(READ).await?;
        assert!(!is_stranger(stage, "王芳").await?);
        let away = Fault::wire("groups.members", When::BeforeAccept, Wire::Html502).times(1000);
        stage.tenant.fault(away);
        stage.restart().await?;
        assert!(!is_stranger(stage, "王芳").await?, "locked out by a restart");
        stage.later(3 * READ).await?;
        assert!(!is_stranger(stage, "王芳").await? && is_stranger(stage, "陈晨").await?);
        let calls = stage.tenant.calls_to("groups.members").len();
        assert!(calls < 60, "{calls} calls: it is asked about again and again");
        stage.tenant.clear_faults();
        // A group that is no more has no members.
        stage.tenant.with(|world| world.company.user_groups.clear());
        stage.later(READ).await?;
        assert!(is_stranger(stage, "王芳").await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_rule_may_name_a_list_as_well_and_one_that_is_new_is_read_at_once() {
    let company = company();
    let rules = Rules::new("");
    let path = rules.path();
    story_with(&[("POLICY_FILE", &path)], company, async |stage| {
        stage.tenant.console(|app| {
            app.tenant_scopes.insert("contact:group:readonly".into());
        });
        let company = stage.tenant.company();
        let (luo, sales) = (id(&company, "罗敏"), department(&company, "销售部"));
        proposal(stage, "王芳", "还没有规则").await?;
        rules.write(&format!("[[author]]\nwho = [\"{}\"]\ndepartments = [\"{sales}\"]\n", group(&company)));
        stage.settle().await?;
        let answer = stage.ask("王芳", &format!("/broadcast {luo} 不行")).await?;
        assert!(answer.text.contains("规则（第 1 行）不允许你发给"), "{}", answer.text);
        let card = stage.propose("周明", &format!("/broadcast {luo} 可以")).await?;
        assert!(card.text.contains("待审批"), "who is on no list has no rule: {}", card.text);
        Ok(())
    })
    .await;
}
