//! Tables for `envelope.rs`: every way in, and every way to be turned away.

use serde_json::json;

use super::super::crypto::{seal, sign};
use super::*;

const KEY: &str = "kudryavka";
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn door() -> Door {
    Door {
        app_id: "cli_1".into(),
        verification_token: Rotating::only("vt-0001".into()),
        encrypt_key: Some(Rotating::only(KEY.into())),
    }
}

fn plain_door() -> Door {
    Door { encrypt_key: None, ..door() }
}

fn event() -> Value {
    json!({"schema": "2.0", "event": {}, "header": {"event_id": "ev-1", "event_type": "some.event_v1",
        "create_time": "1700000000000", "token": "vt-0001", "app_id": "cli_1", "tenant_key": "tk"}})
}

fn challenge() -> Value {
    json!({"challenge": "aj\"ls\\", "token": "vt-0001", "type": "url_verification"})
}

fn old_event() -> Value {
    json!({"ts": "1502199207.7", "uuid": "u-1", "token": "vt-0001", "type": "event_callback",
        "event": {"type": "app_ticket", "app_id": "cli_1"}})
}

fn old_card() -> Value {
    json!({"open_id": "ou_1", "open_message_id": "om_2", "token": "c-0001", "action": {"value": {}, "tag": "button"}})
}

fn sealed(inner: &Value) -> Vec<u8> {
    json!({"encrypt": seal(&KEY.into(), [7; 16], inner.to_string().as_bytes())}).to_string().into_bytes()
}

const OLD_KEY: &str = "kudryavka of last year";

/// Key and token are being changed.
fn changing_door() -> Door {
    let rotating = |present: &str, previous: &str| Rotating {
        present: present.into(),
        previous: Some(previous.to_owned().into()),
    };
    Door { encrypt_key: Some(rotating(KEY, OLD_KEY)), verification_token: rotating("vt-0001", "vt-0000"), ..door() }
}

/// Sealed with one key, signed with another one, or not at all, at a door that is being changed.
fn knock_changing(inner: &Value, sealed_with: &str, signed_with: Option<&str>) -> Result<Push, Refused> {
    let body = json!({"encrypt": seal(&sealed_with.into(), [7; 16], inner.to_string().as_bytes())}).to_string();
    let signature = signed_with.map(|key| sign("1700000000", "n", &key.into(), body.as_bytes()));
    let headers = Headers { timestamp: Some("1700000000"), nonce: Some("n"), signature: signature.as_deref() };
    changing_door().enter(&headers, body.as_bytes(), NOW)
}

/// Signs `body` as of `timestamp` and knocks.
fn knock_at(timestamp: &str, body: &[u8]) -> Result<Push, Refused> {
    let signature = sign(timestamp, "n", &KEY.into(), body);
    let headers = Headers { timestamp: Some(timestamp), nonce: Some("n"), signature: Some(&signature) };
    door().enter(&headers, body, NOW)
}

fn knock(inner: &Value) -> Result<Push, Refused> {
    knock_at("1700000000", &sealed(inner))
}

fn knock_unsigned(inner: &Value) -> Result<Push, Refused> {
    door().enter(&Headers::default(), &sealed(inner), NOW)
}

fn distrusted(why: Distrust) -> Result<Push, Refused> {
    Err(Refused::Unauthorized(why))
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    *body.pointer_mut(pointer).expect(pointer) = value;
    body
}

#[test]
fn a_signed_event_comes_in_with_its_opened_body() {
    let Ok(Push::Event { event: read, body, .. }) = knock(&event()) else { panic!("let in") };
    assert_eq!(read.key.as_str(), "e:ev-1");
    assert_eq!(Event::parse(&body).as_ref(), Ok(&*read));
}

#[test]
fn while_keys_are_changed_either_key_goes_with_either_token() {
    use Generation::{Present, Previous};
    for (key, encrypt_key) in [(KEY, Present), (OLD_KEY, Previous)] {
        for (token, verification_token) in [("vt-0001", Present), ("vt-0000", Previous)] {
            let event = with(event(), "/header/token", json!(token));
            let Ok(Push::Event { under, .. }) = knock_changing(&event, key, Some(key)) else { panic!("{key} {token}") };
            assert_eq!(under, Under { encrypt_key: Some(encrypt_key), verification_token });
            let asked = with(challenge(), "/token", json!(token));
            for signed in [None, Some(key)] {
                let answered = knock_changing(&asked, key, signed);
                assert_eq!(answered, Ok(Push::Challenge("aj\"ls\\".into())), "{key} {token}");
            }
        }
    }
}

#[test]
fn what_is_signed_with_one_key_and_sealed_with_the_other_stays_outside() {
    for (sealed_with, signed_with) in [(KEY, OLD_KEY), (OLD_KEY, KEY)] {
        for body in [event(), challenge()] {
            assert_eq!(knock_changing(&body, sealed_with, Some(signed_with)), Err(Refused::NotACallback), "{body}");
        }
    }
}

#[test]
fn a_door_that_is_being_changed_believes_no_third_key_no_third_token_and_nothing_unsigned() {
    for key in [KEY, OLD_KEY] {
        assert_eq!(knock_changing(&event(), key, Some("a third key")), distrusted(Distrust::Signature));
        assert_eq!(knock_changing(&event(), key, None), distrusted(Distrust::Unsigned));
        let third = with(event(), "/header/token", json!("vt-0002"));
        assert_eq!(knock_changing(&third, key, Some(key)), distrusted(Distrust::Token));
        let third = with(challenge(), "/token", json!("vt-0002"));
        assert_eq!(knock_changing(&third, key, None), distrusted(Distrust::Token));
    }
    assert_eq!(knock_changing(&event(), "a third key", Some("a third key")), distrusted(Distrust::Signature));
    assert_eq!(knock_changing(&challenge(), "a third key", None), Err(Refused::NotACallback));
    // Without the previous values they are worth nothing any more.
    let body = json!({"encrypt": seal(&OLD_KEY.into(), [7; 16], event().to_string().as_bytes())}).to_string();
    let signature = sign("1700000000", "n", &OLD_KEY.into(), body.as_bytes());
    let headers = Headers { timestamp: Some("1700000000"), nonce: Some("n"), signature: Some(&signature) };
    assert_eq!(door().enter(&headers, body.as_bytes(), NOW), distrusted(Distrust::Signature));
}

#[test]
fn a_challenge_comes_in_unsigned_signed_and_plain() {
    let expected = Ok(Push::Challenge("aj\"ls\\".into()));
    assert_eq!(knock_unsigned(&challenge()), expected);
    assert_eq!(knock(&challenge()), expected);
    assert_eq!(plain_door().enter(&Headers::default(), challenge().to_string().as_bytes(), NOW), expected);
}

#[test]
fn nothing_but_a_challenge_comes_in_unsigned() {
    for body in [event(), old_event(), old_card()] {
        assert_eq!(knock_unsigned(&body), distrusted(Distrust::Unsigned), "{body}");
    }
}

#[test]
fn a_wrong_or_missing_token_stays_outside() {
    for token in [json!("vt-0002"), json!(""), Value::Null, json!(1)] {
        let wrong = distrusted(Distrust::Token);
        assert_eq!(knock(&with(event(), "/header/token", token.clone())), wrong);
        assert_eq!(knock(&with(old_event(), "/token", token.clone())), wrong);
        assert_eq!(knock_unsigned(&with(challenge(), "/token", token.clone())), wrong);
        let plain = with(challenge(), "/token", token).to_string();
        assert_eq!(plain_door().enter(&Headers::default(), plain.as_bytes(), NOW), wrong);
    }
}

#[test]
fn another_apps_event_stays_outside() {
    for app_id in [json!("cli_2"), json!(""), Value::Null] {
        assert_eq!(knock(&with(event(), "/header/app_id", app_id.clone())), distrusted(Distrust::App), "{app_id}");
        assert_eq!(knock(&with(old_event(), "/event/app_id", app_id.clone())), distrusted(Distrust::App), "{app_id}");
    }
}

#[test]
fn an_old_event_need_not_name_its_app() {
    let mut body = old_event();
    body["event"] = json!({"type": "something_old"});
    let Ok(Push::Event { event, .. }) = knock(&body) else { panic!("let in") };
    assert_eq!((event.key.as_str(), event.event_type.as_str()), ("e:u-1", "something_old"));
}

#[test]
fn a_touched_byte_breaks_the_signature() {
    let body = sealed(&event());
    let signature = sign("1700000000", "n", &KEY.into(), &body);
    let good = Headers { timestamp: Some("1700000000"), nonce: Some("n"), signature: Some(&signature) };
    assert!(door().enter(&good, &body, NOW).is_ok());

    let touched = [&body[..], b" "].concat();
    assert_eq!(door().enter(&good, &touched, NOW), distrusted(Distrust::Signature));
    for headers in [
        Headers { timestamp: Some("1700000001"), ..good },
        Headers { nonce: Some("m"), ..good },
        Headers { signature: Some(""), ..good },
    ] {
        assert_eq!(door().enter(&headers, &body, NOW), distrusted(Distrust::Signature));
    }
    for headers in [Headers { timestamp: None, ..good }, Headers { nonce: None, ..good }] {
        assert_eq!(door().enter(&headers, &body, NOW), distrusted(Distrust::HalfSigned));
    }
}

#[test]
fn a_wrong_signature_keeps_even_a_challenge_outside() {
    let headers = Headers { timestamp: Some("1700000000"), nonce: Some("n"), signature: Some("00") };
    assert_eq!(door().enter(&headers, &sealed(&challenge()), NOW), distrusted(Distrust::Signature));
}

#[test]
fn the_window_is_a_day_back_and_ten_minutes_ahead() {
    let body = sealed(&event());
    for fine in ["1699913600", "1700000600", "1699913600000", "1700000600000000", "soon", "", "17000000"] {
        assert!(knock_at(fine, &body).is_ok(), "{fine}");
    }
    for late in ["1699913599", "1700000601", "1699913599999", "1700000600001000"] {
        assert_eq!(knock_at(late, &body), distrusted(Distrust::Window), "{late}");
    }
}

#[test]
fn plain_text_is_refused_where_a_key_is_set() {
    let mut cases = vec![(old_card(), true)];
    for body in [event(), challenge(), old_event(), json!({}), json!({"encrypt": ""}), json!({"encrypt": 1})] {
        cases.push((body, false));
    }
    for (body, old_card_callback) in cases {
        let answer = door().enter(&Headers::default(), body.to_string().as_bytes(), NOW);
        assert_eq!(answer, Err(Refused::Plaintext { old_card_callback }), "{body}");
    }
}

#[test]
fn plain_text_is_read_where_no_key_is_set() {
    let enter = |body: Value| plain_door().enter(&Headers::default(), body.to_string().as_bytes(), NOW);
    assert!(matches!(enter(event()), Ok(Push::Event { .. })));
    assert!(matches!(enter(old_event()), Ok(Push::Event { .. })));
    assert_eq!(enter(old_card()), Ok(Push::OldCardCallback));
    assert_eq!(enter(json!({"encrypt": "AAAA"})), Err(Refused::NotACallback));
}

#[test]
fn garbage_is_refused_in_one_way() {
    for body in ["", "{", "7", "null", "[]", "\"text\"", "<html>", "\u{0}"] {
        assert_eq!(door().enter(&Headers::default(), body.as_bytes(), NOW), Err(Refused::NotACallback), "{body}");
        assert_eq!(plain_door().enter(&Headers::default(), body.as_bytes(), NOW), Err(Refused::NotACallback), "{body}");
    }
    for inner in ["hello world", "7", "{}", "[]", "{\"type\":\"x\"}", "{\"schema\":\"3.0\"}"] {
        let body = json!({"encrypt": seal(&KEY.into(), [1; 16], inner.as_bytes())}).to_string();
        assert_eq!(door().enter(&Headers::default(), body.as_bytes(), NOW), Err(Refused::NotACallback), "{inner}");
        assert_eq!(knock_at("1700000000", body.as_bytes()), Err(Refused::NotACallback), "{inner}");
    }
    for sealed in ["AAAA", "no base64", "AAECAwQFBgcICQoLDA0ODw=="] {
        let body = json!({"encrypt": sealed}).to_string();
        assert_eq!(door().enter(&Headers::default(), body.as_bytes(), NOW), Err(Refused::NotACallback), "{sealed}");
    }
    assert_eq!(knock(&with(event(), "/header/event_id", Value::Null)), Err(Refused::NotACallback));
    assert_eq!(knock(&with(challenge(), "/challenge", json!(1))), Err(Refused::NotACallback));
}

proptest::proptest! {
    #[test]
    fn the_door_never_panics(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120)) {
        let _ = door().enter(&Headers::default(), &body, NOW);
        let _ = plain_door().enter(&Headers::default(), &body, NOW);
    }
}
