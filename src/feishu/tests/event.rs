//! Tables for `event.rs`: what Feishu writes, and what we read in it.

use serde_json::json;

use super::*;
use crate::domain::content::{Node, Post};

fn parse(event_type: &str, event: Value) -> Event {
    let body = json!({"schema": "2.0", "event": event, "unheard_of": [1],
        "header": {"event_id": "ev-1", "event_type": event_type, "create_time": "1700000000123456", "tenant_key": "tk"}});
    Event::parse(body.to_string().as_bytes()).expect("an event of schema 2.0")
}

fn message_with(kind: &str, content: &str) -> Value {
    json!({"sender": {"sender_id": {"open_id": "ou_1"}, "sender_type": "user"},
        "message": {"message_id": "om_1", "chat_id": "oc_1", "chat_type": "p2p", "message_type": kind, "content": content}})
}

fn received(event: Value) -> MessageReceived {
    match parse("im.message.receive_v1", event).kind {
        EventKind::Message(message) => message,
        other => panic!("expected a message, read {other:?}"),
    }
}

#[test]
fn a_message_is_known_by_its_message_id() {
    let event = parse("im.message.receive_v1", message_with("text", "{\"text\":\"hi\"}"));
    assert_eq!(event.key.as_str(), "m:om_1");
    assert_eq!(event.tenant_key.as_deref(), Some("tk"));
    assert_eq!(event.created_at, Some(Timestamp(1_700_000_000_123)));
}

#[test]
fn the_keys_of_messages_stand_in_the_order_of_their_times() {
    let (one, other) = (MessageId::new("om_1").expect("an id"), MessageId::new("om_2").expect("an id"));
    let at = |ms| EventKey::of_message(&one, Some(Timestamp(ms)));
    assert_eq!(at(1_700_000_000_100).as_str(), "m:1700000000100:om_1");
    assert_eq!(at(1).as_str(), "m:0000000000001:om_1");
    assert_eq!(EventKey::of_message(&one, None), EventKey::of_worked_on(&one));
    assert!(at(1) < at(999_999_999_999) && at(999_999_999_999) < at(1_700_000_000_100));
    for key in [at(1_700_000_000_100), at(1), EventKey::of_worked_on(&one)] {
        assert!(EventKey::is_of_message(key.as_str(), &one), "{key}");
        assert!(!EventKey::is_of_message(key.as_str(), &other), "{key}");
    }
    for key in [EventKey::of_recall(&one), EventKey::of_words("om_1"), EventKey("e:om_1".into())] {
        assert!(!EventKey::is_of_message(key.as_str(), &one), "{key}");
    }
}

#[test]
fn everything_else_is_known_by_its_event_id() {
    for name in ["card.action.trigger", "im.message.recalled_v1", "contact.scope.updated_v3", "never.heard.of_v9"] {
        assert_eq!(parse(name, json!({})).key.as_str(), "e:ev-1", "{name}");
    }
}

#[test]
fn a_full_message_is_read_in_full() {
    let message = received(json!({
        "sender": {"sender_id": {"union_id": "on_1", "user_id": "u1", "open_id": "ou_1"}, "sender_type": "user", "tenant_key": "tk"},
        "message": {"message_id": "om_2", "root_id": "om_1", "parent_id": "om_1", "create_time": "1700000000100",
            "chat_id": "oc_9", "chat_type": "topic_group", "message_type": "text", "content": "{\"text\":\"@_user_1 /群发 销售部\\n你好\"}",
            "mentions": [{"key": "@_user_1", "id": {"union_id": "on_b", "open_id": "ou_b"}, "name": "广播", "tenant_key": "tk"},
                         {"name": "without a key"}]}}));
    assert_eq!(message.chat, ChatKind::Group);
    assert!(message.sender_is_user);
    assert_eq!(message.parent_id, MessageId::new("om_1"));
    assert_eq!(message.created_at, Some(Timestamp(1_700_000_000_100)));
    assert_eq!(message.said, MessageBody::Said(Body::Text("@_user_1 /群发 销售部\n你好".into())));
    assert_eq!(message.mentions.len(), 1);
    assert_eq!(message.mentions[0].open_id, OpenId::new("ou_b"));
    assert_eq!(message.mentions[0].user_id, None);
}

#[test]
fn rich_text_keeps_every_node_even_those_nobody_knows() {
    let content = json!({"title": "通知", "content": [
        [{"tag": "text", "text": "看 ", "style": ["bold"]}, {"tag": "a", "text": "这里", "href": "https://example.com"},
         {"tag": "at", "user_id": "@_user_1", "user_name": "张三"}],
        [{"tag": "img", "image_key": "img_1"}], [{"tag": "media", "file_key": "f", "image_key": "i"}], [],
        [{"tag": "emotion", "emoji_type": "SMILE"}, {"tag": "hr"}, {"tag": "code_block", "language": "Rust", "text": "fn"}],
        [{"tag": "hologram", "x": 1}, {"no": "tag"}, 7]]});
    let said = received(message_with("post", &content.to_string())).said;
    let unknown = |tag: &str| Node::Unknown { tag: tag.into() };
    let expected = Post {
        title: "通知".into(),
        paragraphs: vec![
            vec![
                Node::Text { text: "看 ".into() },
                Node::Link { text: "这里".into(), href: "https://example.com".into() },
                Node::At { key: "@_user_1".into(), name: "张三".into() },
            ],
            vec![Node::Image { image_key: "img_1".into() }],
            vec![Node::Media { file_key: "f".into(), image_key: Some("i".into()) }],
            vec![],
            vec![
                Node::Emotion { emoji_type: "SMILE".into() },
                Node::Rule,
                Node::Code { language: "Rust".into(), text: "fn".into() },
            ],
            vec![unknown("hologram"), unknown(""), unknown("")],
        ],
    };
    assert_eq!(said, MessageBody::Said(Body::Post(expected)));
}

#[test]
fn what_is_not_text_is_named_and_an_empty_content_means_recalled() {
    let other = |name: &str| MessageBody::Other { message_type: name.into() };
    assert_eq!(received(message_with("image", "{\"image_key\":\"img_1\"}")).said, other("image"));
    assert_eq!(received(message_with("text", "no json")).said, other("text"));
    assert_eq!(received(message_with("", "{}")).said, other(""));
    assert_eq!(received(message_with("text", "")).said, MessageBody::Empty);
    assert_eq!(received(message_with("text", "{}")).said, MessageBody::Said(Body::Text(String::new())));
}

#[test]
fn an_unnamed_sender_kind_or_chat_kind_is_the_usual_one_and_an_unknown_one_is_not() {
    let read = |sender: Value, chat: Value| {
        let mut event = message_with("text", "{\"text\":\"hi\"}");
        event["sender"]["sender_type"] = sender;
        event["message"]["chat_type"] = chat;
        let message = received(event);
        (message.sender_is_user, message.chat)
    };
    assert_eq!(read(Value::Null, Value::Null), (true, ChatKind::OneToOne));
    assert_eq!(read(json!(""), json!("")), (true, ChatKind::OneToOne));
    assert_eq!(read(json!("app"), json!("group")), (false, ChatKind::Group));
    assert_eq!(read(json!("hologram"), json!("hologram")), (false, ChatKind::Group));
}

#[test]
fn rich_text_within_a_locale_is_read_too() {
    let content = json!({"zh_cn": {"title": "通知", "content": [[{"tag": "text", "text": "你好"}]]}});
    let said = received(message_with("post", &content.to_string())).said;
    let paragraphs = vec![vec![Node::Text { text: "你好".into() }]];
    assert_eq!(said, MessageBody::Said(Body::Post(Post { title: "通知".into(), paragraphs })));
}

#[test]
fn an_event_without_what_it_needs_is_unknown_and_not_an_error() {
    for pointer in ["/message/message_id", "/message/chat_id", "/sender/sender_id/open_id", "/message", "/sender"] {
        let mut event = message_with("text", "{}");
        *event.pointer_mut(pointer).expect(pointer) = Value::Null;
        let event = parse("im.message.receive_v1", event);
        assert_eq!(event.kind, EventKind::Unknown, "{pointer}");
        assert_eq!(event.key.as_str(), "e:ev-1", "{pointer}");
    }
    assert_eq!(parse("card.action.trigger", json!({"action": {}})).kind, EventKind::Unknown);
    assert_eq!(parse("im.message.recalled_v1", json!({"message_id": ""})).kind, EventKind::Unknown);
    assert_eq!(parse("im.message.recalled_v1", Value::Null).kind, EventKind::Unknown);
}

#[test]
fn a_press_is_read_with_its_value_as_object_or_as_text() {
    for value in [json!({"action": "approve", "version": 3}), json!("{\"action\":\"approve\",\"version\":3}")] {
        let event = json!({"operator": {"open_id": "ou_1"}, "token": "c-1", "host": "im_message",
            "action": {"value": value, "tag": "button", "name": "ok", "form_value": {"reason": "不行"}},
            "context": {"open_message_id": "om_2", "open_chat_id": "oc_1"}});
        let EventKind::CardAction(press) = parse("card.action.trigger", event).kind else { panic!("a press") };
        assert_eq!(press.value["action"], "approve");
        assert_eq!(press.value["version"], 3);
        assert_eq!(press.form_value["reason"], "不行");
        assert_eq!(press.open_message_id, MessageId::new("om_2"));
        assert_eq!((press.tag.as_str(), press.name.as_deref(), press.option), ("button", Some("ok"), None));
    }
}

#[test]
fn a_press_needs_nothing_but_its_operator() {
    let EventKind::CardAction(press) = parse("card.action.trigger", json!({"operator": {"open_id": "ou_1"}})).kind
    else {
        panic!("a press")
    };
    assert!(press.value.is_empty() && press.form_value.is_empty() && press.open_message_id.is_none());
}

#[test]
fn a_recall_is_remembered_by_its_message_and_the_menu_by_its_event() {
    let recalled = json!({"message_id": "om_1", "chat_id": "oc_1", "recall_type": "group_owner"});
    let event = parse("im.message.recalled_v1", recalled);
    let message_id = MessageId::new("om_1").expect("a test id");
    assert_eq!(event.key, EventKey::of_recall(&message_id));
    assert_eq!(event.kind, EventKind::MessageRecalled { message_id });

    let person = OpenId::new("ou_1").expect("a test id");
    let menu = json!({"operator": {"operator_name": "王芳", "operator_id": {"open_id": "ou_1"}}, "event_key": "help",
        "timestamp": 1_669_364_458});
    let event = parse("application.bot.menu_v6", menu);
    assert_eq!(event.key.as_str(), "e:ev-1");
    assert_eq!(event.kind, EventKind::Menu { person: person.clone(), key: "help".into() });
    let entered = json!({"chat_id": "oc_1", "operator_id": {"open_id": "ou_1"}, "last_message_id": "om_9"});
    let event = parse("im.chat.access_event.bot_p2p_chat_entered_v1", entered);
    assert_eq!(event.kind, EventKind::Entered { person });
    for nobody in ["application.bot.menu_v6", "im.chat.access_event.bot_p2p_chat_entered_v1"] {
        assert_eq!(parse(nobody, json!({"event_key": "help"})).kind, EventKind::Unknown, "{nobody}");
    }
}

#[test]
fn a_revocation_says_which_tokens() {
    for (written, access, refresh) in [
        ("user_access_token ", true, false),
        ("refresh_token", false, true),
        ("user_access_token refresh_token", true, true),
        ("", true, true),
    ] {
        let kind =
            parse("auth.user_access_token.revoked_v4", json!({"revoke_token_type": written, "open_id": "ou_1"})).kind;
        assert_eq!(kind, EventKind::TokenRevoked { open_id: OpenId::new("ou_1"), access, refresh }, "{written}");
    }
}

#[test]
fn the_old_schema_is_acknowledged_by_its_uuid() {
    let body = json!({"ts": "1502199207.7171419", "uuid": "u-1", "token": "vt", "type": "event_callback",
        "event": {"type": "app_ticket", "app_id": "cli_1", "tenant_key": "tk"}});
    let event = Event::parse(body.to_string().as_bytes()).expect("an old event");
    assert_eq!((event.key.as_str(), event.event_type.as_str()), ("e:u-1", "app_ticket"));
    assert_eq!((event.kind, event.created_at), (EventKind::Unknown, Some(Timestamp(1_502_199_207_000))));
}

#[test]
fn what_has_no_shape_is_no_callback() {
    for body in [
        "",
        "{",
        "7",
        "null",
        "[]",
        "{}",
        r#"{"schema":"2.0"}"#,
        r#"{"schema":"2.0","header":{"event_type":"x"}}"#,
        r#"{"schema":"2.0","header":{"event_id":"x"}}"#,
        r#"{"type":"event_callback","uuid":"u"}"#,
        r#"{"type":"event_callback","event":{"type":"x"}}"#,
        r#"{"type":"url_verification"}"#,
    ] {
        assert_eq!(Event::parse(body.as_bytes()), Err(NotACallback), "{body}");
    }
    assert_eq!(Event::parse(b"\xff\xfe{}"), Err(NotACallback));
}

proptest::proptest! {
    #[test]
    fn parsing_never_panics(body in "\\PC{0,200}") {
        let _ = Event::parse(body.as_bytes());
    }
}
