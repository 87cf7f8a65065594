//! What a genuine body may hold: rubbish, old schemas, events of no use, and each kind on either route.

use serde_json::{Value, json};

use super::{
    PLAINTEXT, ROUTES, answers_to, assert_not_on_disk, cards_of, encrypt_key, event, genuine, post, sealed, signed,
    verification_token,
};
use crate::sandbox::{Company, Press, RawPush, seal};
use crate::stage::{story, story_with};

#[tokio::test]
async fn rubbish_is_no_callback_however_it_is_wrapped() {
    story(async |stage| {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        let rubbish: Vec<Vec<u8>> = vec![
            vec![],
            b" ".to_vec(),
            b"garbage".to_vec(),
            b"null".to_vec(),
            b"17".to_vec(),
            b"[]".to_vec(),
            b"{}".to_vec(),
            b"{\"a\":".to_vec(),
            br#"{"hello":"world"}"#.to_vec(),
            br#"{"schema":"2.0"}"#.to_vec(),
            br#"{"schema":"2.0","header":{},"event":{}}"#.to_vec(),
            br#"{"schema":"3.0","type":"something"}"#.to_vec(),
            br#"{"schema":2.0,"header":{}}"#.to_vec(),
            b"\xff\xfe{\"a\":1}".to_vec(),
            b"{\"a\":\"\xff\"}".to_vec(),
            b"{\"a\":\"\xed\xa0\x80\"}".to_vec(),
            nested(200),
            nested(100_000),
            [br#"{"event":"#.to_vec(), nested(100_000), b"}".to_vec()].concat(),
            b"\0\0\0\0".to_vec(),
        ];
        for route in ROUTES {
            for bytes in &rubbish {
                let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
                // As it is, as it is but signed, and sealed and signed rightly.
                let inside = signed(stage, sealed(stage, bytes));
                for (how, raw) in
                    [("bare", RawPush::of(bytes.clone())), ("signed", signed(stage, bytes.clone())), ("sealed", inside)]
                {
                    // Where the shape is right, the token is what is missed first.
                    let status = if how == "sealed" && shown.starts_with(r#"{"schema":"2.0""#) { 401 } else { 400 };
                    assert_eq!(post(stage, &raw, route).await.status, status, "{how} on {route}: {shown}");
                }
            }
            for wrong in ["", "AAAA", "not base64!", &seal::encrypt("another key", [7; 16], b"{}")] {
                let raw = signed(stage, json!({ "encrypt": wrong }).to_string().into_bytes());
                assert_eq!(post(stage, &raw, route).await.status, 400, "{wrong}");
            }
            for wrong in [json!(null), json!(1), json!(["x"]), json!({"a": 1})] {
                let raw = signed(stage, json!({ "encrypt": wrong }).to_string().into_bytes());
                assert_eq!(post(stage, &raw, route).await.status, 400, "{wrong}");
            }
        }
        assert!(stage.tenant.calls().is_empty());
        // Still alive.
        assert!(stage.ask("王芳", "/whoami").await?.text.contains(&stage.person("王芳").open_id));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_event_that_lacks_what_it_takes_is_acknowledged_and_forgotten() {
    story(async |stage| {
        let nobody = [json!(null), json!({}), json!([]), json!("x"), json!({"message": {"message_id": "om_odd"}})];
        for kind in
            ["im.message.receive_v1", "card.action.trigger", "auth.user_access_token.revoked_v4", "brand.new_v9"]
        {
            for inner in &nobody {
                let odd = event(stage, kind, inner.clone());
                for route in ROUTES {
                    let pushed = post(stage, &stage.tenant.seal(&odd), route).await;
                    assert_eq!(pushed.status, 200, "{kind} {inner}");
                    assert!(pushed.json().is_object(), "{}", pushed.body);
                }
            }
        }
        // Content that is nested deeper than any parser follows, or that is no JSON.
        for content in ["[".repeat(50_000), "no json".into(), r#"{"text":17}"#.into()] {
            let mut odd = stage.person("王芳").text_event("/help");
            odd.body["event"]["message"]["content"] = content.into();
            assert_eq!(stage.tenant.push(&odd).await.status, 200);
            stage.settle().await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn bodies_of_the_old_schema_are_answered_and_change_nothing() {
    story(async |stage| {
        let token = verification_token(stage);
        let app_id = stage.tenant.with(|world| world.app.app_id.clone());
        let ticket = |token: &str, app_id: &str| {
            json!({"ts": "1502199207.7171419", "uuid": "bc447199585340d1f3728d26b1c0297a", "token": token,
                "type": "event_callback", "event": {"type": "app_ticket", "app_id": app_id, "app_ticket": "ticket-1"}})
        };
        for route in ROUTES {
            for _ in 0..2 {
                assert_eq!(post(stage, &genuine(stage, &ticket(&token, &app_id)), route).await.status, 200);
            }
            assert_eq!(post(stage, &genuine(stage, &ticket("wrong", &app_id)), route).await.status, 401);
            assert_eq!(post(stage, &genuine(stage, &ticket(&token, "cli_other")), route).await.status, 401);
            let unsigned = RawPush::of(sealed(stage, ticket(&token, &app_id).to_string().as_bytes()));
            assert_eq!(post(stage, &unsigned, route).await.status, 401);
        }
        assert!(stage.tenant.calls().is_empty());
        assert_not_on_disk(stage, &["ticket-1"]).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_old_card_callback_decides_nothing() {
    // Never sealed, so it does not get past a key.
    story(async |stage| {
        assert_eq!(stage.tenant.legacy_press("赵磊").await.status, 400);
        Ok(())
    })
    .await;
    story_with(&PLAINTEXT, Company::small(), async |stage| {
        stage.tenant.console(|app| app.encrypt_key = None);
        let pushed = stage.tenant.legacy_press("赵磊").await;
        assert_eq!((pushed.status, pushed.json()), (200, json!({})));
        assert!(stage.tenant.calls().is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn events_of_no_use_are_acknowledged_and_not_kept() {
    story(async |stage| {
        let entered = stage.person("陈晨").opens_chat().await;
        assert_eq!(entered.status, 200);
        let menu = stage.tenant.push_event("application.bot.menu_v6", json!({"event_key": "unheard-of"})).await;
        assert_eq!(menu.status, 200);
        let unknown = stage.tenant.push_event("future.thing_v7", json!({"a": {"b": "kept-nowhere"}})).await;
        assert_eq!(unknown.status, 200);
        assert!(stage.tenant.calls().is_empty());
        assert_not_on_disk(stage, &["kept-nowhere", "unheard-of", &unknown.event_id]).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn presses_on_the_event_route_and_messages_on_the_card_route_work_too() {
    story(async |stage| {
        let target = stage.person("陈晨").open_id;
        let asked = stage.person("王芳").text_event(&format!("/broadcast {target} 走错门的消息"));
        let pushed = post(stage, &stage.tenant.seal(&asked), "/feishu/card").await;
        assert_eq!(pushed.status, 200);
        stage.settle().await?;
        let card = stage.card_of("王芳")?;
        assert_eq!(cards_of(stage, "王芳"), 1);

        let press = stage.person("王芳").press_event(&card.message_id, &Press::action("cancel"));
        let (press, _) = press.map_err(anyhow::Error::msg)?;
        let pushed = post(stage, &stage.tenant.seal(&press), "/feishu/event").await;
        assert_eq!(pushed.status, 200);
        assert_eq!(pushed.json()["toast"]["type"], "success", "{}", pushed.body);
        stage.settle().await?;
        assert!(stage.card_of("王芳")?.text.contains("已取消"), "{}", stage.card_of("王芳")?.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn other_methods_and_other_paths_are_refused_in_json_and_never_redirected() {
    story(async |stage| {
        let origin = format!("http://{}", stage.bot.address());
        for route in ROUTES {
            for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
                let method = reqwest::Method::from_bytes(method.as_bytes())?;
                let answer = stage.browser.request(method.clone(), format!("{origin}{route}")).send().await?;
                assert_eq!(answer.status(), 405, "{method} {route}");
                assert_eq!(answer.headers()["allow"], "POST");
                let said: Value = answer.json().await?;
                assert!(said["error"].is_string(), "{said}");
            }
        }
        let raw = stage.tenant.seal(&stage.person("王芳").text_event("/help"));
        for path in ["/", "/feishu", "/feishu/event/", "/feishu//event", "/FEISHU/EVENT", "/metrics", "/feishu/event/x"]
        {
            let pushed = post(stage, &raw, path).await;
            assert_eq!(pushed.status, 404, "{path}");
            assert!(pushed.json()["error"].is_string(), "{}", pushed.body);
        }
        // A query does not matter, and the content type is not looked at.
        let mut odd = raw.clone().header("Content-Type", "text/plain");
        odd.path = "/feishu/event?from=console".into();
        assert_eq!(stage.tenant.post(&odd).await.status, 200);
        let refused = stage.browser.post(format!("{origin}/feishu/event")).body("garbage").send().await?;
        assert_eq!(refused.status(), 400);
        assert_eq!(refused.headers()["content-type"], "application/json");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_the_bot_says_of_itself_is_never_taken_for_a_command() {
    story(async |stage| {
        let mut event = stage.person("王芳").text_event("/help");
        event.body["event"]["sender"]["sender_type"] = "bot".into();
        assert_eq!(stage.tenant.push(&event).await.status, 200);
        stage.settle().await?;
        assert_eq!(answers_to(stage, "王芳"), 0);
        assert!(stage.tenant.calls().is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_person_whose_message_lacks_the_kinds_of_sender_and_chat_is_answered() {
    story(async |stage| {
        let mut event = stage.person("王芳").text_event("/help");
        event.body["event"]["sender"].as_object_mut().expect("an object").remove("sender_type");
        event.body["event"]["message"].as_object_mut().expect("an object").remove("chat_type");
        assert_eq!(stage.tenant.push(&event).await.status, 200);
        stage.settle().await?;
        assert_eq!(answers_to(stage, "王芳"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_press_that_names_nobody_is_answered_with_an_empty_object() {
    story(async |stage| {
        stage.propose("王芳", &format!("/broadcast {} 谁按的", stage.person("陈晨").open_id)).await?;
        let card = stage.card_of("王芳")?;
        let press = stage.person("王芳").press_event(&card.message_id, &Press::action("cancel"));
        let (mut press, _) = press.map_err(anyhow::Error::msg)?;
        press.body["event"].as_object_mut().expect("an object").remove("operator");
        let pushed = post(stage, &stage.tenant.seal(&press), "/feishu/card").await;
        assert_eq!((pushed.status, pushed.body.trim()), (200, "{}"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn another_tenant_in_the_header_of_a_signed_event_is_acknowledged() {
    // The platform's contract would drop it; the bot knows people by open_id, which belongs to this one app, and so
    // works on it. What matters here: a genuine signature is never answered with an error.
    story(async |stage| {
        assert!(!encrypt_key(stage).is_empty());
        let event = stage.person("王芳").text_event("/whoami");
        let forged = stage.tenant.forge(&event, crate::sandbox::Forge::TenantKey);
        assert_eq!(stage.tenant.post(&forged).await.status, 200);
        Ok(())
    })
    .await;
}
