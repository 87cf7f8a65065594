//! Tables for `content.rs`: every shape of a rich text, and of a mention.

use serde_json::json;

use super::*;

fn said(text: &str) -> Value {
    json!({"title": "", "content": [[{"tag": "text", "text": text}]]})
}

fn post_of(text: &str) -> Post {
    Post { title: String::new(), paragraphs: vec![vec![Node::Text { text: text.into() }]] }
}

#[track_caller]
fn check(content: &Value, expect: &[(&str, &str)]) {
    let expect: Vec<_> = expect.iter().map(|(locale, text)| ((*locale).to_owned(), post_of(text))).collect();
    assert_eq!(posts(&content.to_string()), expect, "{content}");
    let first = expect.into_iter().next().map(|(_, post)| post).unwrap_or_default();
    assert_eq!(body("post", &content.to_string()), Some(Body::Post(first)), "{content}");
}

#[test]
fn a_rich_text_is_read_bare_in_locales_and_in_its_wrapper() {
    check(&said("你好"), &[("zh_cn", "你好")]);
    check(&json!({"post": said("你好")}), &[("zh_cn", "你好")]);
    let both = json!({"en_us": said("hello"), "ja_jp": said("やあ"), "zh_cn": said("你好")});
    let expect = [("zh_cn", "你好"), ("en_us", "hello"), ("ja_jp", "やあ")];
    check(&both, &expect);
    check(&json!({"post": both}), &expect);
    check(&json!({"en_us": said("hello")}), &[("en_us", "hello")]);
}

#[test]
fn what_is_no_rich_text_has_no_locale() {
    for content in [json!({}), json!({"post": null}), json!({"zh_cn": "你好"}), json!([said("x")]), json!(7)] {
        check(&content, &[]);
    }
    assert!(posts("no json").is_empty());
}

#[test]
fn only_text_and_rich_text_are_words() {
    assert_eq!(body("text", r#"{"text":"你好"}"#), Some(Body::Text("你好".into())));
    assert_eq!(body("text", r#"{"text":7}"#), Some(Body::Text(String::new())));
    for (msg_type, content) in [("text", "no json"), ("post", ""), ("image", "{}"), ("interactive", "{}"), ("", "{}")] {
        assert_eq!(body(msg_type, content), None, "{msg_type} {content}");
    }
}

#[test]
fn a_mention_has_an_object_of_ids_or_one_id_and_its_kind() {
    let (key, name) = ("@_user_1".to_owned(), "张三".to_owned());
    let nobody = Mention { key, name, open_id: None, union_id: None, user_id: None };
    let open = Mention { open_id: OpenId::new("ou_1"), ..nobody.clone() };
    for (ids, expect) in [
        (json!({"id": {"open_id": "ou_1"}}), open.clone()),
        (
            json!({"id": {"open_id": "ou_1", "union_id": "on_1"}}),
            Mention { union_id: UnionId::new("on_1"), ..open.clone() },
        ),
        (json!({"id": "ou_1", "id_type": "open_id"}), open.clone()),
        (json!({"id": "ou_1"}), open),
        (json!({"id": "on_1", "id_type": "union_id"}), Mention { union_id: UnionId::new("on_1"), ..nobody.clone() }),
        (json!({"id": "u1", "id_type": "user_id"}), Mention { user_id: UserId::new("u1"), ..nobody.clone() }),
        // a bot
        (json!({"id": "cli_1", "id_type": "app_id"}), nobody.clone()),
        (json!({"id": "cli_1"}), nobody.clone()),
        (json!({}), nobody),
    ] {
        let mut written = json!({"key": "@_user_1", "name": "张三", "tenant_key": "tk"});
        for (name, value) in ids.as_object().expect("an object") {
            written[name] = value.clone();
        }
        assert_eq!(mentions(&json!({"mentions": [written, {"name": "without a key"}]})), [expect], "{ids}");
    }
    assert!(mentions(&json!({"mentions": null})).is_empty());
}
