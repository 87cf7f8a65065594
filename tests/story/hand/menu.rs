//! The bot's menu answers as the commands do, and whoever opens the chat is greeted once a day.

use super::{once, told};
use crate::approve::{HOUR, press, proposal};
use crate::sandbox::menu;
use crate::stage::{Stage, story};

/// What the bot writes after an item of the menu was chosen.
async fn chosen(stage: &Stage, name: &str, key: &str) -> anyhow::Result<String> {
    let person = stage.person(name);
    let before = person.chat().len();
    anyhow::ensure!(person.chooses(key).await.status == 200, "the menu was not acknowledged");
    stage.settle().await?;
    let said: Vec<String> = person.chat().into_iter().skip(before).map(|said| said.text).collect();
    anyhow::ensure!(said.len() <= 1, "more than one answer: {said:?}");
    Ok(said.into_iter().next().unwrap_or_default())
}

#[tokio::test]
async fn the_menu_answers_as_the_commands_do() {
    story(async |stage| {
        // Her language is known, his is not.
        stage.ask("王芳", "/帮助").await?;
        assert!(chosen(stage, "王芳", "status").await?.contains("还没有任何群发"));
        assert!(chosen(stage, "赵磊", "pending").await?.contains("没有在等的群发"));
        let theirs = Stage::id_on(&proposal(stage, "周明", "周明的事").await?);
        let mine = Stage::id_on(&proposal(stage, "王芳", "王芳的事").await?);
        let help = chosen(stage, "王芳", "help").await?;
        assert!(help.contains("/群发 销售部") && !help.contains("/broadcast Sales"), "in her language: {help}");
        let help = chosen(stage, "赵磊", " HELP ").await?;
        assert!(
            !help.contains("/群发") && help.contains("/列表") && help.contains("/list"),
            "in both languages: {help}"
        );
        let list = chosen(stage, "王芳", "list").await?;
        assert!(list.contains(&mine) && list.contains(&theirs), "{list}");
        let pending = chosen(stage, "王芳", "pending").await?;
        assert!(pending.contains(&mine) && !pending.contains(&theirs), "{pending}");
        let pending = chosen(stage, "周明", "pending").await?;
        let (own, others) = pending.split_once("等你审批的").expect("both lists");
        assert!(own.contains(&theirs) && !own.contains(&mine) && others.contains(&mine), "{pending}");
        assert!(chosen(stage, "王芳", "status").await?.contains(&mine));
        press(stage, "周明", "approve").await?;
        stage.settle().await?;
        assert!(!chosen(stage, "周明", "pending").await?.contains("等你审批的"), "it is decided");
        let unknown = chosen(stage, "赵磊", "unheard-of").await?;
        assert!(unknown.contains("不认识") && unknown.contains("/列表"), "{unknown}");
        assert!(chosen(stage, "赵磊", "").await?.contains("不认识"));

        // What the guide tells operators to enter is what the bot knows.
        let guide = menu();
        assert!(guide.len() >= 3, "{guide:?}");
        for item in guide {
            let said = chosen(stage, "赵磊", item.event_key).await?;
            assert!(!said.is_empty() && !said.contains("不认识"), "{item:?}: {said}");
        }

        // A stranger gets the one line, once an hour, however they ask.
        let line = chosen(stage, "陈晨", "list").await?;
        let before = stage.person("陈晨").chat().len();
        let mut waited = line;
        for _ in 0..100 {
            if !waited.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            waited = stage.person("陈晨").chat().get(before).map(|said| said.text.clone()).unwrap_or_default();
        }
        assert!(waited.contains(&stage.person("陈晨").open_id), "{waited}");
        let calls = stage.tenant.calls_to("messages.create").len();
        chosen(stage, "陈晨", "help").await?;
        stage.person("陈晨").says("/help").await;
        stage.settle().await?;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        once(stage, "陈晨", "只为管理员和审批人服务");
        assert_eq!(stage.tenant.calls_to("messages.create").len(), calls, "said again within the hour");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whoever_opens_the_chat_is_greeted_once_a_day() {
    story(async |stage| {
        stage.ask("王芳", "/帮助").await?;
        proposal(stage, "王芳", "等一等").await?;
        for _ in 0..3 {
            for name in ["王芳", "赵磊", "周明", "陈晨"] {
                assert_eq!(stage.person(name).opens_chat().await.status, 200);
            }
        }
        stage.settle().await?;
        stage.restart().await?;
        for name in ["王芳", "赵磊", "陈晨"] {
            stage.person(name).opens_chat().await;
        }
        stage.settle().await?;
        let hello = &told(stage, "王芳", "你好！")[0].text;
        assert!(
            hello.contains("\n/群发 销售部 ") && hello.contains("你有 1 条群发在等") && hello.contains("/help"),
            "{hello}"
        );
        assert!(!hello.contains("等你审批") && !hello.contains("Hello!"), "{hello}");
        let hello = &told(stage, "赵磊", "你好！")[0].text;
        assert!(hello.contains("1 条等你审批") && hello.contains("Hello!") && !hello.contains("/群发"), "{hello}");
        for name in ["王芳", "赵磊", "周明"] {
            once(stage, name, "你好！");
        }
        assert!(stage.person("陈晨").chat().is_empty(), "a stranger is told nothing unasked");

        // The day is the deployment's: it ends at midnight in TIMEZONE, not a day after the greeting.
        let day_ms = 24 * 3600 * 1000;
        let left = day_ms - (stage.bot.app.now().0 + 8 * 3600 * 1000) % day_ms;
        stage.later(std::time::Duration::from_millis(left.try_into()?)).await?;
        stage.person("王芳").opens_chat().await;
        stage.later(HOUR).await?;
        stage.person("王芳").opens_chat().await;
        stage.settle().await?;
        assert_eq!(told(stage, "王芳", "你好！").len(), 2);
        Ok(())
    })
    .await;
}
