//! What was sent can be taken back: who may, what they agree to, what Feishu makes of it, and what goes out in its
//! place.

use std::time::Duration;

use feishu_broadcast::app::{dispatch, inbox, recall, worker};
use feishu_broadcast::domain::broadcast::State;
use feishu_broadcast::domain::ids::BroadcastId;
use feishu_broadcast::store::broadcasts::Which;
use serde_json::json;

use crate::approve::{HOUR, actions, press, proposal};
use crate::crash::death::{die, die_later_each_time, die_pressing};
use crate::policy::{ruled, sales_only};
use crate::sandbox::{ChatMessage, Company, Fault, Press};
use crate::stage::{Stage, story, story_with};

const SALES: [&str; 4] = ["陈晨", "刘洋", "马超", "钱多多"];

/// A broadcast of 王芳's to 销售部, sent to its four people; gives her card.
async fn sent(stage: &Stage, words: &str) -> anyhow::Result<ChatMessage> {
    stage.authorize("王芳").await?;
    stage.propose("王芳", &format!("/broadcast 销售部 {words}")).await?;
    press(stage, "赵磊", "approve").await?;
    stage.settle().await?;
    let card = stage.card_of("王芳")?;
    anyhow::ensure!(card.text.contains("送达 4 人"), "{}", card.text);
    Ok(card)
}

/// How many copies somebody still sees, and how many are gone.
fn copies(stage: &Stage, name: &str) -> (usize, usize) {
    let inbox = stage.person(name).inbox();
    let gone = inbox.iter().filter(|copy| copy.recalled).count();
    (inbox.len() - gone, gone)
}

fn deletes(stage: &Stage) -> usize {
    stage.tenant.calls_to("batch.delete").len()
}

fn told(stage: &Stage, words: &str) -> usize {
    let chat = stage.person("王芳").chat();
    chat.iter().filter(|message| message.msg_type == "text" && message.from_bot && message.text.contains(words)).count()
}

async fn state(stage: &Stage, card: &ChatMessage) -> anyhow::Result<State> {
    let id = BroadcastId::parse(&Stage::id_on(card)).expect("an id on the card");
    Ok(stage.bot.app.store.broadcast(&id).await?.expect("it was proposed").state)
}

#[tokio::test]
async fn the_author_takes_it_back_by_the_card_and_everybody_sees_how_far_it_came() {
    story(async |stage| {
        let card = sent(stage, "写错了时间").await?;
        stage.person("陈晨").reads();
        press(stage, "王芳", "refresh").await?;
        stage.settle().await?;
        let other = proposal(stage, "林悦", "不相干的").await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;

        let before = stage.person("王芳").sees(&card.message_id).expect("the card");
        let pressed = stage.person("王芳").presses(&before, "recall").await.map_err(anyhow::Error::msg)?;
        let asked = pressed.confirm.as_ref().expect("a dialog")["text"]["content"].as_str().expect("words").to_owned();
        for words in ["撤回 1 批", "已送达 4 人", "1 人读过", "读过就是读过", "企业管理员设置的撤回期限", "发出的"]
        {
            assert!(asked.contains(words), "{words} is missing in {asked}");
        }
        assert!(pressed.says().contains("正在撤回 1 批"), "{}", pressed.says());
        assert_eq!(deletes(stage), 0, "nothing is called while the press is answered");
        let again = stage.person("王芳").presses(&before, "recall").await.map_err(anyhow::Error::msg)?;
        assert_eq!(again.toast.expect("a toast").kind, "warning", "twice from one card is once");
        stage.settle().await?;

        for name in SALES {
            let expect = if name == "陈晨" { (1, 1) } else { (0, 1) };
            assert_eq!(copies(stage, name), expect, "{name}");
        }
        for name in ["王芳", "周明", "赵磊"] {
            let chat = stage.person(name).chat();
            let seen = chat.iter().find(|m| m.card.is_some() && m.text.contains("写错了时间")).expect("a card");
            assert!(seen.text.starts_with("已撤回") && seen.text.contains("已撤回 4 / 4"), "{name}: {}", seen.text);
            assert!(seen.content.to_string().contains(&format!("**撤回** <at id={}>", stage.person("王芳").open_id)));
            let offered: Vec<String> =
                stage.person(name).controls(seen).iter().map(|control| control.action().to_owned()).collect();
            let expect: &[&str] = if name == "王芳" { &["refresh", "correct"] } else { &[] };
            assert_eq!(offered, expect, "{name}");
        }
        assert_eq!((deletes(stage), told(stage, "已撤回 4 / 4")), (1, 1));
        assert_eq!((state(stage, &card).await?, state(stage, &other).await?), (State::Recalled, State::Sent));
        let status = stage.ask("王芳", &format!("/status {}", Stage::id_on(&card))).await?;
        for words in ["：已撤回", "已撤回 4 / 4", "撤回（发起人）", "撤回结束：4 / 4"] {
            assert!(status.text.contains(words), "{words} is missing in {}", status.text);
        }
        let batch = stage.tenant.tasks()[0].bm_id.clone();
        let polls = || {
            let calls = ["batch.progress", "batch.read_user"].map(|endpoint| stage.tenant.calls_to(endpoint));
            calls.iter().flatten().filter(|call| call.path.contains(&batch)).count()
        };
        let before = polls();
        stage.later(HOUR).await?;
        assert_eq!(polls(), before, "asked on");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn by_command_it_says_what_it_did_and_only_author_and_approvers_may() {
    story(async |stage| {
        let pending = proposal(stage, "林悦", "还没批").await?;
        let id = Stage::id_on(&pending);
        let refused = stage.ask("林悦", &format!("/recall {id}")).await?;
        assert!(
            refused.text.contains("还没有发出") && refused.text.contains(&format!("/cancel {id}")),
            "{}",
            refused.text
        );
        assert_eq!(state(stage, &pending).await?, State::Pending);

        let card = sent(stage, "撤回我").await?;
        let id = Stage::id_on(&card);
        for (who, why) in [("林悦", "只有发起人和审批人"), ("赵磊", "只有管理员")] {
            let answer = stage.ask(who, &format!("/recall {id}")).await?;
            assert!(answer.text.contains(why), "{who}: {}", answer.text);
        }
        let none = stage.ask("王芳", &format!("/recall {id} 2")).await?;
        assert!(none.text.contains("没有被飞书受理的第 2 批"), "{}", none.text);
        for (text, why) in [(format!("/recall {id} 甲"), "看懂"), (format!("/recall {id} 0"), "看懂")] {
            let answer = stage.ask("王芳", &text).await?;
            assert!(answer.text.contains(why), "{text}: {}", answer.text);
        }
        stage.settle().await?;
        assert_eq!((deletes(stage), copies(stage, "刘洋")), (0, (1, 0)));

        // 周明 is admin and approver, and the broadcast is not his.
        let answer = stage.ask("周明", &format!("／撤回 {}", id.to_lowercase())).await?;
        for words in ["正在撤回 1 批", "送达 4 人", "企业管理员设置的撤回期限", "读过就是读过"]
        {
            assert!(answer.text.contains(words), "{words}: {}", answer.text);
        }
        assert_eq!((deletes(stage), copies(stage, "刘洋")), (1, (0, 1)));
        assert_eq!((told(stage, "已撤回 4 / 4"), state(stage, &card).await?), (1, State::Recalled));
        let twice = stage.ask("王芳", &format!("/recall {id}")).await?;
        assert!(twice.text.contains("已经撤回") && deletes(stage) == 1, "{}", twice.text);
        // An approver who is nothing else has the button.
        let next = sent(stage, "再来一条").await?;
        press(stage, "赵磊", "recall").await?;
        stage.settle().await?;
        assert_eq!(state(stage, &next).await?, State::Recalled);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_feishu_refuses_is_said_in_words_and_may_be_tried_again() {
    story(async |stage| {
        let card = sent(stage, "拦不住").await?;
        stage.tenant.switch(|switches| switches.recall_code = Some(230_026));
        press(stage, "王芳", "recall").await?;
        stage.settle().await?;
        let seen = stage.card_of("王芳")?;
        assert!(seen.text.starts_with("已发送") && seen.text.contains("没能撤回第 1 批（230026）"), "{}", seen.text);
        assert_eq!((told(stage, "没能撤回"), deletes(stage)), (1, 1), "a plain no is not asked again");
        stage.tenant.switch(|switches| switches.recall_code = None);

        // Trouble that passes is sat out, whatever became of the call.
        stage.tenant.fault(Fault::code("batch.delete", 500, 2200));
        stage.tenant.fault(Fault::lost_answer("batch.delete"));
        stage.tenant.fault(Fault::rate("batch.delete", 1));
        press(stage, "王芳", "recall").await?;
        for _ in 0..4 {
            stage.later(Duration::from_secs(61)).await?;
        }
        let seen = stage.card_of("王芳")?;
        assert!(seen.text.contains("已撤回 4 / 4") && !seen.text.contains("230026"), "{}", seen.text);
        assert_eq!((state(stage, &card).await?, deletes(stage)), (State::Recalled, 5));

        let old = sent(stage, "昨天的").await?;
        stage.later(25 * HOUR).await?;
        press(stage, "王芳", "recall").await?;
        stage.settle().await?;
        let seen = stage.person("王芳").sees(&old.message_id).expect("the card");
        for words in ["230009", "已超过可撤回的期限", "企业管理员"] {
            assert!(seen.text.contains(words), "{words}: {}", seen.text);
        }
        assert_eq!((state(stage, &old).await?, copies(stage, "刘洋")), (State::Sent, (1, 1)));
        assert_eq!(actions(stage, "王芳"), ["recall", "refresh"], "once the period is longer it may be tried again");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn where_some_copies_stay_the_figures_say_so_and_asking_ends() {
    story(async |stage| {
        let card = sent(stage, "差一个").await?;
        stage.tenant.switch(|switches| switches.recall_at_most = Some(3));
        press(stage, "王芳", "recall").await?;
        stage.settle().await?;
        let seen = stage.card_of("王芳")?;
        assert!(seen.text.starts_with("撤回中") && seen.text.contains("已撤回 3 / 4"), "{}", seen.text);
        assert_eq!(told(stage, "已撤回"), 0, "it may still be counting");
        assert!(stage.ask("王芳", &format!("/recall {}", Stage::id_on(&card))).await?.text.contains("正在撤回"));
        for _ in 0..8 {
            stage.later(Duration::from_secs(61)).await?;
        }
        let seen = stage.card_of("王芳")?;
        assert!(seen.text.starts_with("已撤回") && seen.text.contains("有 1 份没有撤回"), "{}", seen.text);
        assert_eq!((told(stage, "已撤回 3 / 4"), deletes(stage)), (1, 1));
        stage.tenant.switch(|switches| switches.recall_at_most = None);
        press(stage, "王芳", "recall").await?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("已撤回 4 / 4"));
        assert_eq!(state(stage, &card).await?, State::Recalled);
        Ok(())
    })
    .await;
}

/// Feishu counts for thirty days; a recall that is under way by then, or begins later, ends all the same.
#[tokio::test]
async fn what_feishu_does_not_count_any_more_ends_and_says_so() {
    const MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);
    story(async |stage| {
        stage.tenant.switch(|switches| switches.recall_window_ms = 60 * 86_400_000);
        let (first, second) = (sent(stage, "快三十天了").await?, sent(stage, "更晚才想起来").await?);
        stage.bot.stop().await;
        // Less than it takes a count that stands still to be believed, and more than leases last.
        stage.tenant.later(MEMORY - HOUR - Duration::from_secs(240)).await;
        stage.restart().await?;
        stage.settle().await?;
        stage.tenant.switch(|switches| switches.recall_at_most = Some(3));
        let id = Stage::id_on(&first);
        assert!(stage.ask("王芳", &format!("/recall {id}")).await?.text.contains("正在撤回 1 批"));
        // It works all the while, and is asked for the last time while Feishu still knows it.
        for _ in 0..260 {
            stage.tenant.later(Duration::from_secs(1)).await;
            worker::work_once(&stage.bot.app).await?;
        }
        stage.later(Duration::from_secs(60)).await?;
        // Its card is too old to be pressed or changed.
        let seen = stage.ask("王芳", &format!("/status {id}")).await?;
        assert!(seen.text.contains("：已撤回"), "{}", seen.text);
        for words in ["最后撤回了多少不知道", "飞书不再提供数字", "至少 3 份"] {
            assert!(seen.text.contains(words), "{words}: {}", seen.text);
        }
        assert!(!seen.text.contains("飞书没有说明原因"), "{}", seen.text);
        let news = |id: &str| told(stage, &format!("群发 {id}：飞书已受理撤回，最后撤回了多少不知道"));
        assert_eq!((news(&id), state(stage, &first).await?), (1, State::Recalled));
        assert!(seen.text.contains("撤回结束：至少 3 / 4"), "{}", seen.text);

        // Where nothing of the recall was ever counted.
        let id = Stage::id_on(&second);
        stage.ask("王芳", &format!("/recall {id}")).await?;
        stage.later(HOUR / 12).await?;
        let seen = stage.ask("王芳", &format!("/status {id}")).await?;
        for words in ["：已撤回", "最后撤回了多少不知道", "至少 0 份"] {
            assert!(seen.text.contains(words), "{words}: {}", seen.text);
        }
        assert_eq!(news(&id), 1);
        Ok(())
    })
    .await;
}

/// A company with 500 people more, so that three batches are needed.
fn crowd() -> Company {
    (0..500).fold(Company::small(), |company, number| company.person(&format!("员工{number:03}"), &["工厂"]))
}

/// A broadcast to them, approved and not sent yet.
async fn approved(stage: &Stage) -> anyhow::Result<BroadcastId> {
    let ids: Vec<String> = (0..500).map(|n| stage.person(&format!("员工{n:03}")).open_id).collect();
    stage.propose("王芳", &format!("/broadcast {} 分三批的", ids.join(","))).await?;
    press(stage, "赵磊", "approve").await?;
    let newest = stage.bot.app.store.recent(None, Which::All).await?.into_iter().next();
    Ok(newest.expect("it was proposed").id)
}

fn crowds_copies(stage: &Stage) -> Vec<(usize, usize)> {
    [0, 199, 200, 399, 400, 499].map(|n| copies(stage, &format!("员工{n:03}"))).to_vec()
}

#[tokio::test]
async fn what_is_on_its_way_follows_and_the_rest_is_never_sent() {
    story_with(&[], crowd(), async |stage| {
        stage.tenant.switch(|switches| switches.unheard_of_ms = 0);
        let id = approved(stage).await?;
        let app = std::sync::Arc::clone(&stage.bot.app);
        dispatch::step(&app).await?;
        stage.tenant.later(Duration::from_secs(2)).await;
        let second = dispatch::next(&app).await?.expect("the second batch");
        stage.person("王芳").says(&format!("/recall {id}")).await;
        inbox::step(&app).await?;
        dispatch::send(&app, second).await?;
        stage.settle().await?;
        // The second batch is taken back before it is delivered: Feishu counts nobody, and says nothing else.
        for _ in 0..7 {
            stage.later(Duration::from_secs(61)).await?;
        }
        assert_eq!(crowds_copies(stage), [(0, 1), (0, 1), (0, 0), (0, 0), (0, 0), (0, 0)]);
        let seen = stage.card_of("王芳")?;
        assert!(seen.text.starts_with("已撤回") && seen.text.contains("已撤回 200 / 200"), "{}", seen.text);
        assert!(seen.text.contains("已取消 1") && seen.text.contains("没有发出 100"), "{}", seen.text);
        assert_eq!((deletes(stage), stage.tenant.tasks().len()), (2, 2));
        assert_eq!((told(stage, "已撤回 200 / 200"), told(stage, "部分发送")), (1, 0));
        assert_eq!(told(stage, "正在发出的 1 批，一经飞书受理就撤回"), 1);
        Ok(())
    })
    .await;
}

/// In the first moment Feishu does not know a batch by its id, and says so like of one that never was.
#[tokio::test]
async fn what_is_asked_back_at_once_is_asked_back_until_feishu_knows_it() {
    story_with(&[], crowd(), async |stage| {
        let id = approved(stage).await?;
        let app = std::sync::Arc::clone(&stage.bot.app);
        dispatch::step(&app).await?;
        stage.person("王芳").says(&format!("/recall {id}")).await;
        inbox::step(&app).await?;
        feishu_broadcast::app::recall::step(&app).await?;
        let asked = stage.tenant.calls_to("batch.delete");
        assert!(asked.len() == 1 && asked[0].response["code"] == 230_030, "{asked:?}");
        stage.settle().await?;
        for _ in 0..7 {
            stage.later(Duration::from_secs(61)).await?;
        }
        assert!(stage.card_of("王芳")?.text.starts_with("已撤回"), "{}", stage.card_of("王芳")?.text);
        assert!(crowds_copies(stage).iter().all(|(kept, _)| *kept == 0));
        Ok(())
    })
    .await;
}

/// For longer than Feishu's own unclear answers would be taken.
#[tokio::test]
async fn what_is_asked_back_through_an_outage_with_pages_comes_back_after_it() {
    story_with(&[], crowd(), async |stage| {
        approved(stage).await?;
        stage.settle().await?;
        stage.tenant.fault(Fault::body("batch.delete", 404, serde_json::json!({ "message": "no route" })).times(200));
        press(stage, "王芳", "recall").await?;
        for _ in 0..5 {
            stage.later(Duration::from_secs(61)).await?;
        }
        stage.tenant.clear_faults();
        for _ in 0..7 {
            stage.later(Duration::from_secs(61)).await?;
        }
        assert!(stage.card_of("王芳")?.text.starts_with("已撤回"), "{}", stage.card_of("王芳")?.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_nobody_knows_the_outcome_of_cannot_be_recalled_and_that_is_said() {
    story_with(&[], crowd(), async |stage| {
        let id = approved(stage).await?;
        stage.tenant.fault(Fault::lost_answer("batch_send").after(1));
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.starts_with("结果未知"));
        press(stage, "王芳", "recall").await?;
        stage.settle().await?;
        stage.later(Duration::from_secs(60)).await?;
        let seen = stage.card_of("王芳")?;
        assert!(seen.text.starts_with("已撤回") && seen.text.contains("已撤回 200 / 200"), "{}", seen.text);
        assert!(seen.text.contains("没有受理编号，无法撤回") && seen.text.contains("结果未知 200"), "{}", seen.text);
        assert_eq!(crowds_copies(stage), [(0, 1), (0, 1), (1, 0), (1, 0), (0, 0), (0, 0)]);
        assert_eq!(deletes(stage), 1);
        let offered = actions(stage, "王芳");
        assert!(!offered.iter().any(|action| ["resend", "settle"].contains(&action.as_str())), "{offered:?}");
        assert!(stage.ask("王芳", &format!("/recall {id}")).await?.text.contains("已经撤回"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_single_batch_is_taken_back_alone_and_later_all_of_it() {
    story_with(&[], crowd(), async |stage| {
        let id = approved(stage).await?;
        stage.settle().await?;
        stage.later(Duration::from_secs(30)).await?;
        assert!(stage.card_of("王芳")?.text.contains(&format!("/recall {id} 批次号")));
        // The number that one has to write stands beside what Feishu calls it.
        for batch in 1..=3 {
            assert!(stage.card_of("王芳")?.text.contains(&format!("第 {batch} 批 bm-")), "{batch}");
        }
        let answer = stage.ask("王芳", &format!("/recall {id} 2")).await?;
        assert!(answer.text.contains("正在撤回第 2 批"), "{}", answer.text);
        let none = stage.ask("王芳", &format!("/recall {id} 9")).await?;
        assert!(none.text.contains("没有被飞书受理的第 9 批"), "while another one is recalled: {}", none.text);
        assert!(stage.card_of("王芳")?.text.contains("全部撤回"), "what the button does, beside the one batch");
        stage.later(Duration::from_secs(60)).await?;
        assert_eq!(crowds_copies(stage), [(1, 0), (1, 0), (0, 1), (0, 1), (1, 0), (1, 0)]);
        let seen = stage.card_of("王芳")?;
        for words in ["已发送", "已撤回 200 / 200", "要求撤回的是第 2 批，其余 2 批没有撤回"] {
            assert!(seen.text.contains(words), "{words}: {}", seen.text);
        }
        assert_eq!((told(stage, "已撤回 200 / 200"), deletes(stage)), (1, 1));
        press(stage, "赵磊", "recall").await?;
        stage.later(Duration::from_secs(60)).await?;
        assert_eq!(crowds_copies(stage), [(0, 1); 6]);
        assert_eq!(deletes(stage), 3, "what is gone is not asked back again");
        let seen = stage.card_of("王芳")?;
        assert!(seen.text.starts_with("已撤回") && seen.text.contains("已撤回 500 / 500"), "{}", seen.text);
        // However many batches were asked back, `/status` tells the story of the broadcast.
        let status = stage.ask("王芳", &format!("/status {id}")).await?;
        assert!(status.text.contains("提交，目标 500 个") && !status.text.contains("要求撤回一批"), "{}", status.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_correction_reaches_the_same_people_once_and_asks_for_approval() {
    story(async |stage| {
        let card = sent(stage, "下午三点开会").await?;
        let correct = |words: &str| Press::action("correct").field("words", words);
        let early = json!({ "action": "correct", "broadcast": Stage::id_on(&card), "version": 1 });
        let early = stage.person("王芳").presses_raw(&card, early).await;
        assert!(early.says().contains("撤回完成之后"), "{}", early.says());
        press(stage, "王芳", "recall").await?;
        stage.settle().await?;
        let recalled = stage.card_of("王芳")?;
        for who in ["赵磊", "林悦", "陈晨"] {
            let value = json!({ "action": "correct", "broadcast": Stage::id_on(&card), "version": 4 });
            let pressed = stage.person(who).presses_raw(&recalled, value).await;
            assert_eq!(pressed.toast.expect("a toast").kind, "error", "{who}");
        }
        let blank = stage.person("王芳").presses(&recalled, correct(" \n ")).await.map_err(anyhow::Error::msg)?;
        assert!(blank.says().contains("还没写更正的内容"), "{}", blank.says());
        let pressed = stage.person("王芳").presses(&recalled, correct("四点开会")).await.map_err(anyhow::Error::msg)?;
        assert!(pressed.says().contains("已发起更正"), "{}", pressed.says());
        let twice = stage.person("王芳").presses(&recalled, correct("五点开会")).await.map_err(anyhow::Error::msg)?;
        assert!(twice.says().contains("更正已经发起过了"), "{}", twice.says());
        stage.settle().await?;
        for name in ["王芳", "赵磊"] {
            let next = stage.card_of(name)?;
            for words in ["待审批", "四点开会", "• 销售部（约 4 人）", &format!("已撤回的群发 {}", Stage::id_on(&card))]
            {
                assert!(next.text.contains(words), "{words}: {}", next.text);
            }
        }
        assert_eq!(copies(stage, "刘洋"), (0, 1), "nothing before somebody has approved it");
        press(stage, "赵磊", "reject").await?;
        stage.settle().await?;
        // Rejected: it may be proposed anew, and what looks like a gap is asked about first.
        let recalled = stage.person("王芳").sees(&card.message_id).expect("the card");
        stage.person("王芳").presses(&recalled, correct("{{几点}}开会")).await.map_err(anyhow::Error::msg)?;
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("⚠️"));
        press(stage, "王芳", "confirm").await?;
        stage.settle().await?;
        press(stage, "赵磊", "approve").await?;
        stage.settle().await?;
        for name in SALES {
            let inbox = stage.person(name).inbox();
            let kept: Vec<&str> = inbox.iter().filter(|copy| !copy.recalled).map(|copy| copy.text.as_str()).collect();
            assert_eq!(kept, ["{{几点}}开会"], "{name}");
        }
        assert_eq!(stage.tenant.tasks().len(), 2);
        Ok(())
    })
    .await;
}

/// Sends to 陈晨 alone, takes it back, and says how the author's correction was answered.
async fn corrected(stage: &Stage) -> anyhow::Result<String> {
    proposal(stage, "王芳", "三点开会").await?;
    press(stage, "赵磊", "approve").await?;
    stage.settle().await?;
    press(stage, "王芳", "recall").await?;
    stage.settle().await?;
    correct_again(stage).await
}

async fn correct_again(stage: &Stage) -> anyhow::Result<String> {
    let card = stage.card_of("王芳")?;
    let press = Press::action("correct").field("words", "四点开会");
    let pressed = stage.person("王芳").presses(&card, press).await.map_err(anyhow::Error::msg)?;
    stage.settle().await?;
    Ok(pressed.says().to_owned())
}

#[tokio::test]
async fn an_author_who_is_bound_to_departments_may_correct_what_went_to_people() {
    ruled(Company::small(), sales_only, async |stage, _| {
        let said = corrected(stage).await?;
        assert!(said.contains("已发起更正"), "{said}");
        assert!(stage.card_of("王芳")?.text.contains("待审批"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn rules_that_became_narrower_are_those_of_a_correction_too() {
    ruled(
        Company::small(),
        |_| String::new(),
        async |stage, rules| {
            proposal(stage, "王芳", "三点开会").await?;
            press(stage, "赵磊", "approve").await?;
            stage.settle().await?;
            press(stage, "王芳", "recall").await?;
            stage.settle().await?;
            // When it was proposed nobody asked where the people are.
            rules.write(&sales_only(&stage.tenant.company()));
            stage.settle().await?;
            let said = correct_again(stage).await?;
            assert!(said.contains("不允许你发给"), "{said}");
            Ok(())
        },
    )
    .await;
}

#[tokio::test]
async fn a_correction_is_one_of_the_days_broadcasts() {
    let once = |company: &Company| {
        format!("[[author]]\nname = \"一天一次\"\nwho = [\"{}\"]\nper_day = 1\n", company.named("王芳").open_id)
    };
    ruled(Company::small(), once, async |stage, _| {
        let said = corrected(stage).await?;
        assert!(said.contains("规则「一天一次」") && said.contains("每天最多发起 1 次"), "{said}");
        stage.later(24 * HOUR).await?;
        let said = correct_again(stage).await?;
        assert!(said.contains("已发起更正"), "{said}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn wherever_the_machine_dies_it_is_taken_back() {
    for pressing in [true, false] {
        story(async |stage| {
            die_later_each_time(stage, &format!("a recall, pressing {pressing}"), async |stage, moment| {
                let words = format!("第{moment}次");
                let card = proposal(stage, "王芳", &words).await?;
                press(stage, "赵磊", "approve").await?;
                stage.settle().await?;
                let finished = if pressing {
                    die_pressing(stage, moment, "王芳", &card, "recall").await?
                } else {
                    press(stage, "王芳", "recall").await?;
                    die(stage, moment, async |app| recall::step(&app).await.map(drop)).await?
                };
                stage.settle().await?;
                if actions(stage, "王芳").contains(&"recall".to_owned()) {
                    anyhow::ensure!(pressing, "moment {moment}: a recall was lost");
                    press(stage, "王芳", "recall").await?;
                }
                stage.later(2 * crate::stage::LEASES_OVER).await?;
                let seen = stage.person("王芳").sees(&card.message_id).expect("the card");
                anyhow::ensure!(seen.text.contains("已撤回 1 / 1"), "moment {moment}: {}", seen.text);
                let last = stage.person("陈晨").inbox().pop().expect("a copy");
                anyhow::ensure!(last.text == words && last.recalled, "moment {moment}: {last:?}");
                anyhow::ensure!(told(stage, &format!("{} 已撤回", Stage::id_on(&card))) == 1, "moment {moment}: told");
                Ok(finished)
            })
            .await
        })
        .await;
    }
}
