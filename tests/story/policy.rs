//! The rules of a company: who may author what, who approves, how many have to, and that a file which changes is
//! followed, one that breaks is not.

mod pending;
mod rosters;

use std::path::PathBuf;

use feishu_broadcast::store::broadcasts::Which;
use serde_json::json;

use crate::approve::{HOUR, actions, press, proposal, three_approvers};
use crate::sandbox::{ChatMessage, Company, Press};
use crate::stage::{Stage, story_with};

/// A policy file of one story.
pub(crate) struct Rules {
    here: tempfile::TempDir,
    file: PathBuf,
}

impl Rules {
    pub(crate) fn new(text: &str) -> Self {
        let here = tempfile::tempdir().expect("a directory");
        let file = here.path().join("policy.toml");
        let rules = Self { here, file };
        rules.write(text);
        rules
    }

    pub(crate) fn write(&self, text: &str) {
        // As careful operators do: the file is there whole or not at all.
        let fresh = self.here.path().join("policy.toml.new");
        std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &self.file)).expect("ours");
    }

    pub(crate) fn path(&self) -> String {
        self.file.display().to_string()
    }
}

/// Plays in a company whose policy file this is, made for that company.
pub(crate) async fn ruled(
    company: Company,
    text: impl FnOnce(&Company) -> String,
    play: impl AsyncFnOnce(&mut Stage, &Rules) -> anyhow::Result<()>,
) {
    let rules = Rules::new(&text(&company));
    let path = rules.path();
    story_with(&[("POLICY_FILE", &path)], company, async |stage| play(stage, &rules).await).await;
}

fn id(company: &Company, name: &str) -> String {
    company.named(name).open_id.clone()
}

fn department(company: &Company, path: &str) -> String {
    company.at(path).expect("is there").open_department_id.clone()
}

/// Answers of the bot to what 王芳 says, and nothing comes of it.
async fn refused(stage: &Stage, said: &str, words: &[&str]) -> anyhow::Result<()> {
    let before = stage.bot.app.store.recent(None, Which::All).await?.len();
    let answer = stage.ask("王芳", said).await?;
    for words in words {
        anyhow::ensure!(answer.text.contains(words), "{said} was answered without {words}:\n{}", answer.text);
    }
    anyhow::ensure!(stage.bot.app.store.recent(None, Which::All).await?.len() == before, "{said} was proposed");
    Ok(())
}

async fn proposed(stage: &Stage, said: &str) -> anyhow::Result<ChatMessage> {
    let card = stage.propose("王芳", said).await?;
    anyhow::ensure!(card.text.contains("待审批"), "{said}: {}", card.text);
    Ok(card)
}

/// 王芳 may address 销售部 and what lies below, by departments, people and files, and nobody else is bound.
pub(crate) fn sales_only(company: &Company) -> String {
    format!(
        "[[author]]\nname = \"只限销售\"\nwho = [\"{}\"]\ndepartments = [\"{}\"]\nkinds = [\"departments\", \"people\", \"files\"]\n",
        id(company, "王芳"),
        department(company, "销售部")
    )
}

#[tokio::test]
async fn an_author_addresses_the_departments_of_the_rule_and_no_others() {
    let company = Company::small().department_with_id("销售部/大客户组", "key-accounts");
    ruled(company, sales_only, async |stage, _| {
        stage.authorize("王芳").await?;
        let company = stage.tenant.company();
        let (sales, key_accounts) = (department(&company, "销售部"), department(&company, "销售部/大客户组"));
        let east = department(&company, "华东/客服部");
        let (chen, ma, luo, xu) =
            (id(&company, "陈晨"), id(&company, "马超"), id(&company, "罗敏"), id(&company, "许国强"));
        proposed(stage, "/broadcast 销售部 一").await?;
        proposed(stage, &format!("/broadcast {key_accounts},{chen} 二")).await?;
        proposed(stage, &format!("/broadcast {ma} 三")).await?;
        let only = format!("• 销售部 {sales}");
        let rule = ["没有发起群发：规则「只限销售」（第 1 行）", "只可以发给这些部门及其下级", &only];
        refused(stage, "/broadcast 市场部 四", &[&rule[..], &["• 市场部"]].concat()).await?;
        refused(stage, &format!("/broadcast 销售部,{east} 五"), &[&rule[..], &["• 华东 / 客服部"]].concat()).await?;
        refused(stage, &format!("/broadcast {luo},{ma} 六"), &[&rule[..], &["• @罗敏"]].concat()).await?;
        refused(stage, &format!("/broadcast {xu} 七"), &[&rule[..], &["• @许国强"]].concat()).await?;
        refused(stage, "/broadcast od-unknown 八", &["od-unknown（查不到属于哪个部门"]).await?;
        refused(stage, "/broadcast ou_unknown 九", &["ou_unknown（查不到属于哪个部门"]).await?;
        refused(stage, "/broadcast --dry-run 市场部 十", &["没有发起群发"]).await?;
        // Whom no rule names may address anybody.
        stage.authorize("林悦").await?;
        let card = stage.propose("林悦", "/broadcast 市场部 放假").await?;
        assert!(card.text.contains("待审批"), "{}", card.text);

        // The app is not shown people's departments: then nobody can tell, and the rule forbids it.
        stage.tenant.console(|app| {
            app.tenant_scopes.remove("contact:user.department:readonly");
        });
        refused(stage, &format!("/broadcast {ma} 十一"), &["查不到属于哪个部门，按规则不能发"]).await
    })
    .await;
}

#[tokio::test]
async fn targets_are_named_only_in_the_ways_of_the_rule_also_in_a_file() {
    ruled(Company::small(), sales_only, async |stage, _| {
        let (chen, liu) = (stage.person("陈晨").employee(), stage.person("刘洋").employee());
        let wanted = ["规则「只限销售」（第 1 行）不允许你这样写收件人", "你可以写：部门（名称、路径、od-…）、人"];
        refused(stage, &format!("/broadcast {} 一", chen.email), &wanted).await?;
        refused(stage, &format!("/broadcast {} 二", chen.mobile), &["邮箱和手机号"]).await?;
        refused(stage, &format!("/broadcast user:{} 三", chen.user_id), &["企业自定义 ID"]).await?;
        refused(stage, "/broadcast dept:D1 四", &["企业自定义 ID"]).await?;
        let wang = stage.person("王芳");
        let file = async |rows: String| {
            wang.sends_file("名单.csv", rows.as_bytes()).await;
            stage.settle().await?;
            while wang.unread().is_some() {}
            let list = wang.last_said().expect("the file").message_id;
            wang.replies(&list, "/broadcast file 你好").await;
            stage.settle().await?;
            Ok::<String, anyhow::Error>(wang.chat().pop().expect("an answer").text)
        };
        let said = file(format!("{}\n{}\n", chen.open_id, liu.email)).await?;
        assert!(said.contains("不允许你这样写收件人：邮箱和手机号"), "{said}");
        assert!(stage.bot.app.store.recent(None, Which::All).await?.is_empty());
        let said = file(format!("{}\n{}\n", chen.open_id, liu.open_id)).await?;
        assert!(said.contains("待审批"), "{said}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn among_namesakes_only_one_within_the_rule_can_be_chosen() {
    let rule = |company: &Company| {
        format!(
            "[[author]]\nwho = [\"{}\"]\ndepartments = [\"{}\"]\n",
            id(company, "王芳"),
            department(company, "华东")
        )
    };
    ruled(Company::small(), rule, async |stage, rules| {
        stage.authorize("王芳").await?;
        let company = stage.tenant.company();
        let (east, south) = (department(&company, "华东/客服部"), department(&company, "华南/客服部"));
        stage.propose("王芳", "/broadcast 客服部 换班").await?;
        let pressed = press(stage, "王芳", Press::action("pick").option(&south)).await?;
        assert!(
            pressed.says().contains("不允许你发给") && pressed.says().contains("华南 / 客服部"),
            "{}",
            pressed.says()
        );
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("待选择部门"));
        press(stage, "王芳", Press::action("pick").option(&east)).await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("待审批"), "{}", stage.card_of("王芳")?.text);
        // None of them: nothing is asked.
        rules.write(&sales_only(&company));
        stage.settle().await?;
        refused(stage, "/broadcast 客服部 换班", &["不允许你发给", "客服部", "只可以发给"]).await
    })
    .await;
}

#[tokio::test]
async fn approvals_go_by_size_and_the_largest_types_the_headcount() {
    let rules = |_: &Company| {
        "[[size]]\nup_to = 1\napprovals = 0\n\n[[size]]\nup_to = 2\napprovals = 1\n\n[[size]]\napprovals = 2\ntype_headcount = true\n".to_owned()
    };
    ruled(three_approvers(), rules, async |stage, _| {
        stage.authorize("王芳").await?;
        let company = stage.tenant.company();
        let (chen, liu, ma) = (id(&company, "陈晨"), id(&company, "刘洋"), id(&company, "马超"));
        // One: the author alone.
        let card = stage.propose("王芳", &format!("/broadcast {chen} 一个人")).await?;
        assert!(card.text.contains("规则（第 1 行，1 人以内）：发起人自己确认"), "{}", card.text);
        assert!(stage.person("赵磊").last_card().is_none());
        press(stage, "王芳", "approve").await?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 1);
        // Two: one approver.
        stage.propose("王芳", &format!("/broadcast {chen},{liu} 两个人")).await?;
        assert_eq!(actions(stage, "王芳"), ["cancel", "preview", "schedule", "edit"]);
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        assert_eq!(stage.person("陈晨").inbox().len(), 2);
        // More: two, each with the number.
        let card = stage.propose("王芳", &format!("/broadcast {chen},{liu},{ma} 三个人")).await?;
        assert!(card.text.contains("需要 2 人通过"), "{}", card.text);
        assert!(stage.card_of("赵磊")?.text.contains("超过 2 人，或人数未知）：2 人审批，并输入人数"));
        let before = stage.card_of("赵磊")?;
        for (typed, said) in [("4", "4 不是卡片上的人数"), ("三", "只写数字"), ("-3", "只写数字"), ("3.0", "只写数字")]
        {
            let pressed = press(stage, "赵磊", Press::action("approve").field("headcount", typed)).await?;
            assert!(pressed.says().contains(said), "{typed}: {}", pressed.says());
            assert_eq!(pressed.toast.map(|toast| toast.kind).as_deref(), Some("warning"));
        }
        let bare = json!({ "action": "approve", "broadcast": Stage::id_on(&before), "version": 1 });
        let pressed = stage.person("赵磊").presses_raw(&before, bare).await;
        assert!(pressed.says().contains("要输入卡片上的人数"), "{}", pressed.says());
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("还没有人通过"), "{}", stage.card_of("王芳")?.text);
        press(stage, "赵磊", Press::action("approve").field("headcount", "３ 人")).await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("1/2 已通过"));
        press(stage, "何静", Press::action("approve").field("headcount", "3")).await?;
        stage.settle().await?;
        assert_eq!(stage.person("马超").inbox().len(), 1);
        // An unknown headcount is the largest.
        stage.tenant.console(|app| {
            app.tenant_scopes.remove("contact:department.organize:readonly");
        });
        let card =
            stage.propose("王芳", &format!("/broadcast {} 不知道多少人", department(&company, "华东/客服部"))).await?;
        assert!(card.text.contains("人数未知") && card.text.contains("需要 2 人通过"), "{}", card.text);
        let pressed = press(stage, "赵磊", Press::action("approve").field("headcount", "2")).await?;
        assert!(pressed.says().contains("不是卡片上的人数"), "{}", pressed.says());
        press(stage, "赵磊", Press::action("approve").field("headcount", "1")).await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("1/2 已通过"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_at_once_on_two_approvals_are_two_and_one_person_twice_is_one() {
    let rules = |_: &Company| "[[size]]\napprovals = 2\n".to_owned();
    ruled(three_approvers(), rules, async |stage, _| {
        proposal(stage, "王芳", "同时").await?;
        let (zhao, he) = (stage.person("赵磊"), stage.person("何静"));
        let (of_zhao, of_he) = (stage.card_of("赵磊")?, stage.card_of("何静")?);
        let (first, second) = tokio::join!(zhao.presses(&of_zhao, "approve"), zhao.presses(&of_zhao, "approve"));
        let said = [first.map_err(anyhow::Error::msg)?, second.map_err(anyhow::Error::msg)?];
        let twice = said.iter().filter(|pressed| pressed.says().contains("你已经通过了")).count();
        assert_eq!(twice, 1, "{said:?}");
        stage.settle().await?;
        assert!(stage.tenant.tasks().is_empty());
        proposal(stage, "林悦", "另一条").await?;
        let (of_zhao, of_other) = (stage.card_of("赵磊")?, stage.card_of("何静")?);
        let (one, other) = tokio::join!(zhao.presses(&of_zhao, "approve"), he.presses(&of_other, "approve"));
        for pressed in [one, other] {
            assert!(pressed.map_err(anyhow::Error::msg)?.says().contains("已通过"));
        }
        he.presses(&of_he, "approve").await.map_err(anyhow::Error::msg)?;
        stage.later(HOUR).await?;
        assert_eq!(stage.tenant.tasks().len(), 2);
        assert_eq!(stage.person("陈晨").inbox().len(), 2);
        Ok(())
    })
    .await;
}

/// 何静, who is neither admin nor approver, approves what stays inside of 销售部.
fn sales_approver(company: &Company) -> String {
    format!(
        "[[approver]]\nwho = [\"{}\"]\ndepartments = [\"{}\"]\n",
        id(company, "何静"),
        department(company, "销售部")
    )
}

#[tokio::test]
async fn approvers_of_a_department_have_a_say_in_what_stays_inside_of_it() {
    let company = Company::small().person("何静", &["总经办"]);
    ruled(company, sales_approver, async |stage, rules| {
        stage.authorize("王芳").await?;
        let company = stage.tenant.company();
        let (sales, key, chen, luo) = (
            department(&company, "销售部"),
            department(&company, "销售部/大客户组"),
            id(&company, "陈晨"),
            id(&company, "罗敏"),
        );
        let whoami = stage.ask("何静", "/whoami").await?;
        assert!(
            whoami.text.contains("角色：审批人") && whoami.text.contains(&format!("• 销售部 {sales}")),
            "{}",
            whoami.text
        );
        // Across its border she is not asked, and what she presses does not count.
        let card = stage.propose("王芳", &format!("/broadcast {sales},{luo} 跨部门")).await?;
        assert!(stage.person("何静").last_card().is_none());
        for action in ["approve", "reject", "preview", "recall"] {
            let value = json!({ "action": action, "broadcast": Stage::id_on(&card), "version": 1 });
            let pressed = stage.person("何静").presses_raw(&card, value).await;
            assert!(pressed.says().contains("不包括这条群发的范围"), "{action}: {}", pressed.says());
        }
        for (number, to) in [key, format!("{sales},{chen}"), chen].into_iter().enumerate() {
            stage.propose("王芳", &format!("/broadcast {to} 本部门{number}")).await?;
            assert!(stage.card_of("赵磊")?.text.contains("本部门"), "the general approvers are asked as well");
            press(stage, "何静", "approve").await?;
            stage.settle().await?;
            assert_eq!(stage.tenant.tasks().len(), number + 1);
        }
        // Nobody approves their own, and the rule may go away.
        proposal(stage, "王芳", "规则没了").await?;
        let card = stage.card_of("何静")?;
        rules.write("");
        stage.settle().await?;
        let pressed = stage.person("何静").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
        assert!(pressed.says().contains("只为管理员和审批人"), "{}", pressed.says());
        stage.later(HOUR).await?;
        assert_eq!(stage.tenant.tasks().len(), 3);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_changed_file_is_followed_and_a_broken_one_is_not() {
    let company = Company::small().person("何静", &["总经办"]);
    let rules = |company: &Company| format!("{}[[size]]\napprovals = 2\n", sales_approver(company));
    ruled(company, rules, async |stage, rules| {
        let company = stage.tenant.company();
        let two = format!("{}[[size]]\napprovals = 2\n", sales_approver(&company));
        proposal(stage, "王芳", "改规则").await?;
        press(stage, "何静", "approve").await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("1/2 已通过"));

        // Broken: nothing changes, and admins can see it.
        rules.write("[[size]]\napprovals = 0\nup_to = 1\n");
        stage.settle().await?;
        let card = stage.ask("王芳", "/whoami").await?;
        assert!(card.text.contains("规则文件现在有误，仍按之前的规则：line 1: the last size"), "{}", card.text);
        assert!(card.text.contains("审批：任何人数：2 人审批"), "{}", card.text);
        rules.write("[[size]\n");
        stage.settle().await?;
        assert!(stage.ask("林悦", "/whoami").await?.text.contains("line 1: "));
        let refused = proposal(stage, "林悦", "照旧").await?;
        assert!(refused.text.contains("需要 2 人通过"), "{}", refused.text);

        // Fewer approvals by now: not for what was asked for before.
        let few = "[[size]]\nup_to = 1000\napprovals = 0\n\n[[size]]\napprovals = 1\n";
        rules.write(&format!("{}{few}", sales_approver(&company)));
        stage.settle().await?;
        let answer = stage.ask("王芳", "/whoami").await?;
        assert!(!answer.text.contains("有误") && answer.text.contains("1000 人以内：你自己确认"), "{}", answer.text);
        let own = stage.person("王芳").chat().into_iter().find(|m| m.card.is_some()).expect("her card");
        let value = json!({ "action": "approve", "broadcast": Stage::id_on(&own), "version": 1 });
        let pressed = stage.person("王芳").presses_raw(&own, value).await;
        assert!(pressed.says().contains("只有审批人"), "{}", pressed.says());

        // Who is no approver any more does not count, whatever they pressed before.
        rules.write("[[size]]\napprovals = 2\n");
        stage.settle().await?;
        let find = |name: &str| {
            let chat = stage.person(name).chat();
            chat.into_iter().find(|m| m.card.is_some() && m.text.contains("改规则")).expect("the card")
        };
        stage.person("赵磊").presses(&find("赵磊"), "approve").await.map_err(anyhow::Error::msg)?;
        stage.later(HOUR / 60).await?;
        assert!(stage.tenant.tasks().is_empty(), "one of two has left");
        assert!(find("王芳").text.contains("1/2 已通过"), "{}", find("王芳").text);
        rules.write(&two);
        stage.settle().await?;
        stage.person("周明").presses(&find("周明"), "approve").await.map_err(anyhow::Error::msg)?;
        stage.later(HOUR / 60).await?;
        assert_eq!(stage.tenant.tasks().len(), 1);

        // A stricter file counts at once.
        rules.write("[[size]]\napprovals = 0\n");
        stage.settle().await?;
        proposal(stage, "王芳", "自己来").await?;
        let own = stage.card_of("王芳")?;
        rules.write("[[size]]\napprovals = 1\n");
        stage.settle().await?;
        let value = json!({ "action": "approve", "broadcast": Stage::id_on(&own), "version": 1 });
        let pressed = stage.person("王芳").presses_raw(&own, value).await;
        assert!(pressed.says().contains("只有审批人"), "{}", pressed.says());
        // A file that is gone is no file without rules.
        std::fs::remove_file(rules.path())?;
        stage.settle().await?;
        assert!(stage.ask("王芳", "/whoami").await?.text.contains("it cannot be read"));
        assert!(proposal(stage, "王芳", "还在").await?.text.contains("需要 1 人通过"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_day_has_so_many_broadcasts_and_the_next_one_as_many_again() {
    let rules = |company: &Company| {
        format!(
            "[[author]]\nname = \"一天两次\"\nwho = [\"{}\"]\nper_day = 2\n\n[[author]]\nwho = [\"*\"]\nkinds = []\n",
            id(company, "王芳")
        )
    };
    ruled(Company::small(), rules, async |stage, _| {
        // Stories begin at any time of day: at nine in the morning of the next one, it is the same day for a while.
        let zone = jiff::tz::TimeZone::get("Asia/Shanghai")?;
        let now = jiff::Timestamp::from_millisecond(stage.bot.app.now().0)?.to_zoned_datetime(zone.clone());
        let nine = now.date().tomorrow()?.at(9, 0, 0, 0).to_zoned_datetime(zone)?.timestamp();
        let wait = u64::try_from(nine.as_millisecond() - stage.bot.app.now().0)?;
        stage.later(std::time::Duration::from_millis(wait)).await?;

        proposal(stage, "王芳", "第一").await?;
        proposal(stage, "王芳", "第二").await?;
        let to = stage.person("陈晨").open_id;
        let third = format!("/broadcast {to} 第三");
        let words = ["规则「一天两次」（第 1 行）：你每天最多发起 2 次群发，今天已经 2 次", "明天 0 点以后"];
        refused(stage, &third, &words).await?;
        assert!(stage.ask("王芳", "/whoami").await?.text.contains("每天最多 2 次，今天已用 2 次"));
        // What is taken back does not count.
        press(stage, "王芳", "cancel").await?;
        stage.settle().await?;
        proposed(stage, &third).await?;
        refused(stage, "/broadcast ou_1 第四", &words).await?;
        stage.later(14 * HOUR).await?;
        refused(stage, "/broadcast ou_1 还没到零点", &words).await?;
        stage.later(2 * HOUR).await?;
        proposed(stage, &format!("/broadcast {to} 过了零点")).await?;
        assert!(stage.ask("王芳", "/whoami").await?.text.contains("今天已用 1 次"));

        // The last rule is for all others.
        let answer = stage.ask("林悦", &format!("/broadcast {to} 不行")).await?;
        assert!(answer.text.contains("规则（第 6 行）不允许你发起群发"), "{}", answer.text);
        let help = stage.ask("林悦", "/help").await?;
        assert!(help.text.contains("可以发给：谁也不可以，按规则（第 6 行）"), "{}", help.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whoami_says_what_stands_between_an_approval_and_the_last_batch() {
    let rules = |_: &Company| {
        "[[size]]\nup_to = 50\napprovals = 1\n\n[[size]]\napprovals = 2\ntype_headcount = true\ncooling_off = \"10m\"\n\
         canary = { first = 2, invalid_max = \"25%\" }\n\n[[quiet]]\nfrom = \"22:00\"\nto = \"08:00\"\n\n\
         [[quiet]]\nfrom = \"00:00\"\nto = \"24:00\"\ndays = [\"sat\", \"sun\"]\n"
            .to_owned()
    };
    ruled(Company::small(), rules, async |stage, _| {
        let said = stage.ask("王芳", "/whoami").await?.text;
        for words in [
            "50 人以内：1 人审批；",
            "2 人审批，并输入人数，通过后等 10 分钟再发，其间可以叫停，先发一小部分",
            "免打扰时段（不发送）：每天 22:00–08:00；周六、日 00:00–24:00",
            "22:00–08:00 every day; 00:00–24:00 on Sat, Sun",
        ] {
            assert!(said.contains(words), "{words} is missing in {said}");
        }
        Ok(())
    })
    .await;
}
