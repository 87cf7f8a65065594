//! The door: challenges, forgeries, sizes and the window of time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    PLAINTEXT, ROUTES, assert_not_on_disk, assert_untouched, encrypt_key, event, genuine, message_id, post, sealed,
    signed, signed_at, talk, verification_token,
};
use crate::sandbox::{Company, Forge, RawPush};
use crate::stage::{Stage, story, story_with};

/// The limit of a body. Interface, "HTTP".
const MIB: usize = 1 << 20;

/// Challenges that a careless echo would spoil.
const CHALLENGES: [&str; 4] =
    ["ajls384kdjxxxx", r#"a "quoted" \ challenge \u0041"#, "中文 🙂 </script>", "line\nbreak\tand\u{1}control"];

#[tokio::test]
async fn the_challenge_is_echoed_letter_for_letter_within_a_second() {
    story(async |stage| {
        stage.tenant.verify_url().await.map_err(anyhow::Error::msg)?;
        let token = verification_token(stage);
        let mut took = vec![];
        for route in ROUTES {
            for challenge in CHALLENGES {
                let raw = stage.tenant.with(|world| world.challenge(challenge, &token, true));
                // A signature is not asked for, but a right one does no harm.
                for raw in [raw.clone(), signed(stage, raw.body)] {
                    let pushed = post(stage, &raw, route).await;
                    assert_eq!((pushed.status, pushed.json()), (200, json!({ "challenge": challenge })), "{route}");
                    took.push(pushed.elapsed);
                }
            }
        }
        // The median: a machine that stands still for a moment is not the bot.
        took.sort();
        assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
        assert!(stage.tenant.calls().is_empty(), "a challenge is answered without asking anyone");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_plain_challenge_is_echoed_by_a_bot_that_may_run_without_a_key() {
    story_with(&PLAINTEXT, Company::small(), async |stage| {
        stage.tenant.console(|app| app.encrypt_key = None);
        stage.tenant.verify_url().await.map_err(anyhow::Error::msg)?;
        for route in ROUTES {
            for challenge in CHALLENGES {
                let raw = stage.tenant.with(|world| world.challenge(challenge, &world.app.verification_token, false));
                let pushed = post(stage, &raw, route).await;
                assert_eq!((pushed.status, pushed.json()), (200, json!({ "challenge": challenge })), "{route}");
            }
            let wrong = stage.tenant.with(|world| world.challenge("echo-me", "wrong", false));
            let missing = RawPush::of(json!({"challenge": "echo-me", "type": "url_verification"}).to_string());
            for raw in [wrong, missing] {
                let pushed = post(stage, &raw, route).await;
                assert_eq!(pushed.status, 401);
                assert!(!pushed.body.contains("echo-me"), "{}", pushed.body);
            }
        }
        let answer = stage.ask("王芳", "/whoami").await?;
        assert!(answer.text.contains(&stage.person("王芳").open_id), "plain events work too: {}", answer.text);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_challenge_with_a_wrong_or_no_token_is_not_echoed() {
    story(async |stage| {
        let token = verification_token(stage);
        let wrong = [
            json!({"challenge": "echo-me", "token": "wrong", "type": "url_verification"}),
            json!({"challenge": "echo-me", "token": "", "type": "url_verification"}),
            json!({"challenge": "echo-me", "token": null, "type": "url_verification"}),
            json!({"challenge": "echo-me", "token": [token], "type": "url_verification"}),
            json!({"challenge": "echo-me", "token": format!("{token} "), "type": "url_verification"}),
            json!({"challenge": "echo-me", "type": "url_verification"}),
        ];
        for route in ROUTES {
            for plain in &wrong {
                let raw = RawPush::of(sealed(stage, plain.to_string().as_bytes()));
                let pushed = post(stage, &raw, route).await;
                assert_eq!(pushed.status, 401, "{plain}");
                assert!(!pushed.body.contains("echo-me"), "{}", pushed.body);
            }
            // In plain text although there is a key: no token makes it right.
            let plain = stage.tenant.with(|world| world.challenge("echo-me", &token, false));
            let pushed = post(stage, &plain, route).await;
            assert_eq!(pushed.status, 400);
            assert!(!pushed.body.contains("echo-me"), "{}", pushed.body);
            // With the right token but nothing to echo.
            let empty = json!({"token": token, "type": "url_verification"});
            assert_eq!(post(stage, &genuine(stage, &empty), route).await.status, 400);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whatever_a_forger_changes_is_refused_leaves_no_row_and_reaches_nobody() {
    let expected = [
        (Forge::Body, 401),
        (Forge::Timestamp, 401),
        (Forge::Nonce, 401),
        (Forge::Signature, 401),
        (Forge::Token, 401),
        (Forge::AppId, 401),
        (Forge::Padding, 400),
        (Forge::Unsigned, 401),
        (Forge::Hmac, 401),
        (Forge::Sha1, 401),
        (Forge::PlainText, 400),
        (Forge::Ancient, 401),
    ];
    story(async |stage| {
        for route in ROUTES {
            for (forge, status) in expected {
                let event = stage.person("王芳").text_event("/broadcast 销售部 伪造的通知");
                let pushed = post(stage, &stage.tenant.forge(&event, forge), route).await;
                assert_eq!(pushed.status, status, "{forge:?} on {route}");
                stage.settle().await?;
                assert_untouched(stage, &event).await;
            }
        }
        assert_not_on_disk(stage, &["伪造的通知"]).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_half_signed_push_is_refused_and_only_the_first_of_a_header_counts() {
    story(async |stage| {
        let event = stage.person("王芳").text_event("/help");
        let raw = stage.tenant.seal(&event);
        for missing in ["X-Lark-Request-Timestamp", "X-Lark-Request-Nonce", "X-Lark-Signature"] {
            let mut half = raw.clone();
            half.headers.retain(|(name, _)| name != missing);
            assert_eq!(post(stage, &half, "/feishu/event").await.status, 401, "without {missing}");
        }
        let mut late = raw.clone();
        late.headers.insert(0, ("X-Lark-Signature".into(), "0".repeat(64)));
        assert_eq!(post(stage, &late, "/feishu/event").await.status, 401, "a wrong signature before the right one");
        assert_untouched(stage, &event).await;
        let mut early = raw.clone();
        early.headers.push(("X-Lark-Signature".into(), "0".repeat(64)));
        let upper = raw.clone().header("X-Lark-Signature", &raw.get("X-Lark-Signature").to_uppercase());
        assert_eq!(post(stage, &early, "/feishu/event").await.status, 200);
        assert_eq!(post(stage, &upper, "/feishu/event").await.status, 200);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn refusals_of_one_status_are_all_alike_and_json() {
    story(async |stage| {
        let event = stage.person("王芳").text_event("/help");
        let key = encrypt_key(stage);
        let (mut said_400, mut said_401) = (BTreeSet::new(), BTreeSet::new());
        for forge in [
            Forge::Body,
            Forge::Timestamp,
            Forge::Signature,
            Forge::Token,
            Forge::AppId,
            Forge::Padding,
            Forge::Unsigned,
            Forge::PlainText,
            Forge::Ancient,
        ] {
            let pushed = stage.tenant.post(&stage.tenant.forge(&event, forge)).await;
            assert!(pushed.json().is_object(), "{}", pushed.body);
            assert!(!pushed.body.contains(&key) && !pushed.body.contains(&verification_token(stage)));
            if pushed.status == 400 { &mut said_400 } else { &mut said_401 }.insert(pushed.body);
        }
        for garbage in ["", "garbage", "[]", "{}", r#"{"encrypt":""}"#, r#"{"encrypt":"AAAA"}"#] {
            let pushed = stage.tenant.post(&signed(stage, garbage.into())).await;
            assert_eq!(pushed.status, 400, "{garbage}");
            said_400.insert(pushed.body);
        }
        assert_eq!((said_400.len(), said_401.len()), (1, 1), "{said_400:?} {said_401:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_push_may_be_a_day_old_or_ten_minutes_ahead_and_no_more() {
    story(async |stage| {
        let day = 24 * 3600;
        // Seconds from now; some slack, since the story itself takes time.
        for (seconds, status) in
            [(0, 200), (8 - day, 200), (-3 - day, 401), (-7 * day, 401), (590, 200), (620, 401), (365 * day, 401)]
        {
            for unit in ["", "000", "000000"] {
                let event = stage.person("王芳").text_event("/whoami");
                let timestamp = format!("{}{unit}", stage.tenant.now_ms() / 1000 + seconds);
                let body = sealed(stage, event.body.to_string().as_bytes());
                let pushed = stage.tenant.post(&signed_at(stage, body, &timestamp)).await;
                assert_eq!(pushed.status, status, "{seconds} s from now, written {timestamp}");
                if status != 200 {
                    assert_not_on_disk(stage, &[&message_id(&event)]).await;
                }
                stage.settle().await?;
            }
        }
        // What is no number of a known length cannot be dated, and is not held against a push that is signed.
        for timestamp in ["", "soon", "17", "17000000000", "-1700000000", "1700000000.5"] {
            let event = stage.person("王芳").text_event("/whoami");
            let body = sealed(stage, event.body.to_string().as_bytes());
            let pushed = stage.tenant.post(&signed_at(stage, body, timestamp)).await;
            assert_eq!(pushed.status, 200, "`{timestamp}`");
            stage.settle().await?;
        }
        Ok(())
    })
    .await;
}

/// Brings a genuine push to exactly this many bytes with blanks, which JSON allows, and signs that.
fn filled(stage: &Stage, bytes: usize) -> RawPush {
    let ticket = event(stage, "app.something_v1", json!({"much": "x".repeat(MIB / 2)}));
    let mut body = sealed(stage, ticket.body.to_string().as_bytes());
    assert!(body.len() < bytes);
    body.resize(bytes, b' ');
    signed(stage, body)
}

#[tokio::test]
async fn a_body_of_one_mebibyte_is_read_and_one_byte_more_is_too_large() {
    story(async |stage| {
        for route in ROUTES {
            for (bytes, status) in [(MIB, 200), (MIB + 1, 413)] {
                let raw = filled(stage, bytes);
                assert_eq!(post(stage, &raw, route).await.status, status, "{bytes} bytes");
                let (answered, body) = chunked(stage, route, &raw).await?;
                assert_eq!(answered, status, "{bytes} bytes in chunks: {body}");
                assert!(body.contains('{'), "{body}");
            }
            // Garbage of that size is no callback, but not too large either.
            let garbage = RawPush::of(vec![b'x'; MIB]);
            assert_eq!(post(stage, &garbage, route).await.status, 400);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_body_far_too_large_is_told_so_before_it_is_all_there() {
    story(async |stage| {
        let address = stage.bot.address();
        for head in ["Content-Length: 1073741824", "Transfer-Encoding: chunked"] {
            let head = format!("POST /feishu/event HTTP/1.1\r\nHost: bot\r\nConnection: close\r\n{head}\r\n\r\n");
            let chunk = [b"20000\r\n".as_slice(), &[b'x'; 0x20000], b"\r\n"].concat();
            let body = if head.contains("chunked") { chunk.repeat(10) } else { vec![b'x'; MIB + 70_000] };
            let began = Instant::now();
            let answer = talk(address, vec![[head.as_bytes(), &body].concat()]).await?;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{head}: {answer}");
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_waited_for() {
    story(async |stage| {
        let head = "POST /feishu/event HTTP/1.1\r\nHost: bot\r\nContent-Length: 100\r\n\r\n{\"encrypt\":";
        let began = Instant::now();
        let answer = talk(stage.bot.address(), vec![head.as_bytes().to_vec()]).await?;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        Ok(())
    })
    .await;
}

/// Posts without a Content-Length; returns status and body.
async fn chunked(stage: &Stage, route: &str, raw: &RawPush) -> anyhow::Result<(u16, String)> {
    let mut bytes =
        format!("POST {route} HTTP/1.1\r\nHost: bot\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n");
    for (name, value) in &raw.headers {
        bytes += &format!("{name}: {value}\r\n");
    }
    let mut bytes = (bytes + "\r\n").into_bytes();
    for chunk in raw.body.chunks(60_000) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend([chunk, b"\r\n"].concat());
    }
    bytes.extend(b"0\r\n\r\n");
    let answer = talk(stage.bot.address(), vec![bytes]).await?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}
