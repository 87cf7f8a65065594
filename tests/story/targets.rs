//! Whom a broadcast reaches: however people and departments are named, each of them once, and nobody else.

mod everyone;
mod faults;
mod large;
mod lists;
mod twice;

use std::collections::BTreeMap;

use feishu_broadcast::store::broadcasts::Which;
use serde_json::{Value, json};

use crate::sandbox::{ChatMessage, Company, Fault};
use crate::stage::{Stage, story, story_with};

fn department(stage: &Stage, path: &str) -> String {
    stage.tenant.company().at(path).expect("is there").open_department_id.clone()
}

/// 赵磊 approves what he sees, and it is sent.
async fn approve(stage: &Stage) -> anyhow::Result<()> {
    stage.person("赵磊").presses(&stage.card_of("赵磊")?, "approve").await.map_err(anyhow::Error::msg)?;
    stage.settle().await?;
    stage.tenant.work_until_quiet().await;
    Ok(())
}

/// The bodies of the calls of `batch_send`, oldest first, without what they say.
fn bodies(stage: &Stage) -> Vec<Value> {
    let lists = |mut body: Value| {
        let fields = body.as_object_mut().expect("a body is an object");
        fields.retain(|name, _| name.ends_with("_ids"));
        body
    };
    stage.tenant.tasks().into_iter().map(|task| lists(task.body)).collect()
}

/// How many copies everybody got.
fn copies(stage: &Stage) -> BTreeMap<String, usize> {
    stage.tenant.deliveries().into_iter().map(|(name, batches)| (name, batches.values().sum())).collect()
}

fn once(names: &[&str]) -> BTreeMap<String, usize> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

/// Calls that look people up.
fn look_ups(stage: &Stage) -> Vec<String> {
    let calls = stage.tenant.calls().into_iter().filter(|call| call.endpoint.starts_with("users."));
    calls.map(|call| call.endpoint).collect()
}

/// No broadcast came of it, not even one that waits.
async fn nothing_proposed(stage: &Stage) -> anyhow::Result<()> {
    anyhow::ensure!(stage.bot.app.store.recent(None, Which::All).await?.is_empty(), "there is a broadcast");
    anyhow::ensure!(stage.tenant.calls_to("batch_send").is_empty(), "something was sent");
    anyhow::ensure!(stage.person("赵磊").last_card().is_none(), "an approver was asked");
    Ok(())
}

/// Says something that is refused in these words.
async fn refused(stage: &Stage, said: &str, words: &[&str]) -> anyhow::Result<ChatMessage> {
    let answer = stage.ask("王芳", said).await?;
    for words in words {
        anyhow::ensure!(answer.text.contains(words), "{said} was answered without {words}:\n{}", answer.text);
    }
    nothing_proposed(stage).await?;
    Ok(answer)
}

/// People, one in each place and one more directly under the root.
fn company() -> Company {
    Company::small().department_with_id("销售部/大客户组", "key-accounts").person("何静", &[])
}

#[tokio::test]
async fn all_ways_to_name_somebody_stand_side_by_side_in_one_command() {
    story_with(&[], company(), async |stage| {
        stage.authorize("王芳").await?;
        let [liu, zhao, zhou, xu, he] =
            ["刘洋", "赵磊", "周明", "许国强", "何静"].map(|name| stage.person(name).employee());
        let south = department(stage, "华南/客服部");
        let said = format!(
            "/broadcast 市场部,华东/客服部，{south}、dept:key-accounts,@陈晨,{},{},user:{},{},{} 大家好",
            liu.open_id,
            zhao.union_id,
            zhou.user_id,
            xu.email.to_uppercase(),
            he.mobile,
        );
        stage.person("王芳").says_with(&said, &["陈晨"]).await;
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        for words in [
            "约 12 人",
            "• 市场部（约 2 人）",
            "• 华东 / 客服部（约 1 人）",
            "• 华南 / 客服部（约 1 人）",
            "• 销售部 / 大客户组（约 2 人）",
            "• @陈晨",
            "• @刘洋",
            "• @赵磊",
            "• @周明",
            &format!("• {}", xu.email.to_uppercase()),
            &format!("• {}", he.mobile),
        ] {
            assert!(card.text.contains(words), "{words} is missing on\n{}", card.text);
        }
        assert!(!card.text.contains("查不到") && !card.text.contains("已合并"), "{}", card.text);
        approve(stage).await?;
        let inside = department(stage, "销售部/大客户组");
        let expected = json!({
            "department_ids": [department(stage, "市场部"), department(stage, "华东/客服部"), south, inside],
            "open_ids": [stage.person("陈晨").open_id, liu.open_id, xu.open_id, he.open_id],
            "user_ids": [zhou.user_id],
            "union_ids": [zhao.union_id],
        });
        assert_eq!(bodies(stage), [expected]);
        let all = ["王芳", "林悦", "罗敏", "谢婷", "马超", "钱多多", "陈晨", "刘洋", "赵磊", "周明", "许国强", "何静"];
        assert_eq!(copies(stage), once(&all));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_address_that_nobody_has_refuses_the_command_and_every_such_one_is_named() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let chen = stage.person("陈晨").employee();
        let said = format!(
            "/broadcast 销售部,nobody@example.com,{},13900000000,+85212345678,{} 开会",
            chen.email, chen.mobile
        );
        let words = ["没有找到「nobody@example.com」、「13900000000」、「+85212345678」对应的人", "没有发起群发"];
        let answer = refused(stage, &said, &words).await?;
        assert!(!answer.text.contains(&chen.email) && !answer.text.contains(&chen.mobile), "{}", answer.text);

        // Those outside the contact range are nobody either: Feishu tells no difference.
        let market = department(stage, "市场部");
        stage.tenant.console(|app| app.contact_range = Some(vec![market]));
        refused(stage, &format!("/broadcast {} 开会", chen.email), &[&chen.email, "通讯录权限范围"]).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_missing_name_and_a_missing_address_are_told_together() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let words = ["没有找到「保安部」", "没有找到「nobody@example.com」", "没有发起群发"];
        refused(stage, "/broadcast 保安部,nobody@example.com 开会", &words).await?;
        assert_eq!(look_ups(stage), ["users.batch_get_id"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_the_permission_for_addresses_the_answer_names_it() {
    story(async |stage| {
        stage.tenant.console(|app| {
            app.tenant_scopes.remove("contact:user.id:readonly");
        });
        let email = stage.person("陈晨").employee().email;
        refused(stage, &format!("/broadcast {email} 开会"), &["contact:user.id:readonly"]).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_feishu_answers_with_trouble_is_tried_again() {
    story(async |stage| {
        stage.authorize("王芳").await?;
        let (chen, ma) = (stage.person("陈晨").employee(), stage.person("马超").employee());
        // One failure is nothing to speak of, several in a row put the command off.
        for (endpoint, times) in [("users.batch_get_id", 1), ("departments.batch", 1), ("users.get", 3)] {
            stage.tenant.fault(Fault::code(endpoint, 500, 2200).times(times));
        }
        let said =
            format!("/broadcast 销售部,{},{},{} 开会", chen.email, ma.union_id, department(stage, "华东/客服部"));
        stage.person("王芳").says(&said).await;
        stage.settle().await?;
        for _ in 0..6 {
            stage.later(std::time::Duration::from_secs(30)).await?;
        }
        assert!(stage.tenant.faults().is_empty(), "{:?}", stage.tenant.faults());
        let told = stage.person("王芳").chat().into_iter().filter(|message| message.text.contains("我会继续尝试"));
        assert_eq!((told.count(), stage.tenant.calls_to("users.batch_get_id").len()), (1, 3));
        let card = stage.card_of("王芳")?;
        assert!(card.text.contains("约 5 人") && !card.text.contains("查不到"), "{}", card.text);
        approve(stage).await?;
        assert_eq!(copies(stage), once(&["陈晨", "刘洋", "马超", "钱多多", "罗敏"]));
        Ok(())
    })
    .await;
}
