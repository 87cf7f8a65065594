//! What people send, as its event tells of it and as it can be fetched.

use super::*;

/// The `message` of the newest event, and its content.
fn pushed(tenant: &Tenant) -> (Value, Value) {
    let message = tenant.pushes().last().expect("something was pushed").event["event"]["message"].clone();
    let content = serde_json::from_str(message["content"].as_str().expect("a string")).expect("is JSON");
    (message, content)
}

fn id(message: &Value) -> &str {
    message["message_id"].as_str().expect("every message has an id")
}

#[tokio::test]
async fn everything_a_person_sends_is_fetched_from_its_own_message() {
    let tenant = Tenant::open(Company::small());
    tenant.connect(&little_bot(&[]));
    let client = Client::of(&tenant).await;
    let wang = tenant.person("王芳");
    let get = async |key: &Value, message: &Value, kind: &str| {
        let key = key.as_str().expect("a key");
        client.bytes(&format!("/im/v1/messages/{}/resources/{key}?type={kind}", id(message))).await
    };

    wang.sends_image(b"\x89PNG").await;
    let (message, content) = pushed(&tenant);
    assert_eq!(message["message_type"], "image");
    assert_eq!(get(&content["image_key"], &message, "image").await, (200, b"\x89PNG".to_vec()));
    let own = client.bytes(&format!("/im/v1/images/{}", content["image_key"].as_str().expect("a key"))).await;
    assert_eq!(own.0, 400, "the key belongs to its sender");

    wang.sends_file("名单.xlsx", b"PK").await;
    let (message, content) = pushed(&tenant);
    assert_eq!((&message["message_type"], &content["file_name"]), (&json!("file"), &json!("名单.xlsx")));
    assert_eq!(get(&content["file_key"], &message, "file").await, (200, b"PK".to_vec()));

    let post = json!({"title": "通知", "content": [[{"tag": "img", "image_key": "img_v3_hers"}],
        [{"tag": "img", "image_key": "img_v3_gone"}], [{"tag": "text", "text": "找 @陈晨"}]]});
    wang.sends(Draft::post(post).attaching("img_v3_hers", "image", b"GIF89a").mentioning(&["陈晨"])).await;
    let (message, content) = pushed(&tenant);
    assert_eq!(content["content"][2][0]["text"], "找 @_user_1");
    assert_eq!(message["mentions"][0]["id"]["open_id"], json!(tenant.person("陈晨").open_id));
    assert_eq!(get(&json!("img_v3_hers"), &message, "image").await, (200, b"GIF89a".to_vec()));
    assert_eq!(get(&json!("img_v3_gone"), &message, "image").await.0, 400);

    let group = tenant.group("项目群").chat_id;
    wang.shares_chat(&group).await;
    let (message, content) = pushed(&tenant);
    assert_eq!((&message["message_type"], content), (&json!("share_chat"), json!({"chat_id": group})));
    assert_eq!(tenant.violations(), [""; 0]);
    tenant.close().await;
}

#[tokio::test]
async fn a_forwarded_card_is_pushed_in_words_and_comes_whole_to_who_asks_for_it() {
    let tenant = Tenant::open(Company::small());
    tenant.connect(&little_bot(&[]));
    let client = Client::of(&tenant).await;
    let wang = tenant.person("王芳");
    let old = json!({"header": {"title": {"tag": "plain_text", "content": "停电通知"}}, "elements": [
        {"tag": "div", "text": {"tag": "lark_md", "content": "周六\n八点"}}, {"tag": "img", "img_key": "img_v3_theirs"},
        {"tag": "action", "actions": [{"tag": "button", "text": {"tag": "plain_text", "content": "知道了"},
            "value": {"action": "approve"}}]}]});
    let mut new = card(1);
    new["header"] = json!({"title": {"tag": "plain_text", "content": "新卡片"}});
    for (card, words) in [(old, "停电通知"), (new, "新卡片")] {
        wang.sends_card(card.clone()).await;
        let (message, told) = pushed(&tenant);
        assert_eq!((&message["message_type"], &told["title"]), (&json!("interactive"), &json!(words)));
        assert!(told.get("body").is_none() && told.get("header").is_none(), "{told}");
        assert!(told["elements"].as_array().is_some_and(|lines| lines.iter().all(Value::is_array)), "{told}");
        let path = format!("/im/v1/messages/{}", id(&message));
        let plain = client.call("GET", &path, Value::Null).await;
        assert_eq!(plain["data"]["items"][0]["body"]["content"], json!(told.to_string()));
        let whole = client.call("GET", &format!("{path}?card_msg_content_type=user_card_content"), Value::Null).await;
        assert_eq!(whole["data"]["items"][0]["body"]["content"], json!(card.to_string()));
        let inside = client.refusal(&format!("{path}/resources/img_v3_theirs?type=image")).await;
        assert_eq!(inside, Some(234_043));
        assert!(wang.presses(id(&message), "approve").await.is_err(), "it calls its own app");
    }
    assert_eq!(tenant.violations(), [""; 0]);
    tenant.close().await;
}

#[tokio::test]
async fn a_reply_names_its_parent_and_the_top_of_the_tree() {
    let tenant = Tenant::open(Company::small());
    tenant.connect(&little_bot(&[]));
    let client = Client::of(&tenant).await;
    let wang = tenant.person("王芳");
    let post = json!({"title": "", "content": [[{"tag": "text", "text": "/help"}]]});
    wang.sends_file("名单.csv", b"x").await;
    let top = wang.last_said().expect("was sent");
    wang.replies(&top, "/broadcast file 你好").await;
    let (first, _) = pushed(&tenant);
    wang.replies_post(id(&first), post).await;
    let (second, _) = pushed(&tenant);
    let (top, parent) = (json!(top.message_id), &first["message_id"]);
    assert_eq!((&first["parent_id"], &first["root_id"]), (&top, &top));
    assert_eq!((&second["parent_id"], &second["root_id"]), (parent, &top));
    let fetched = client.call("GET", &format!("/im/v1/messages/{}", id(&second)), Value::Null).await;
    assert_eq!(fetched["data"]["items"][0]["root_id"], top);
    assert_eq!(tenant.chat_messages(&wang.chat_id()).len(), 3);
    tenant.close().await;
}
