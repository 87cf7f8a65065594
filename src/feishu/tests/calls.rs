//! What the calls write and read.

use std::time::Duration;

use serde_json::{Value, json};

use super::stub::{NOW, Reply, Seen, signed_in};
use crate::domain::content::{Body, Node, Post};
use crate::domain::ids::{BatchMessageId, ChatId, DepartmentId, MessageId, OpenId};
use crate::feishu::batch::{Progress, ReadUsers};
use crate::feishu::contacts::{Department, IdKind};
use crate::feishu::error::Class;
use crate::feishu::messages::Receiver;

fn open_department(number: usize) -> DepartmentId {
    DepartmentId::new(format!("od-{number}")).expect("an id")
}

fn batch() -> BatchMessageId {
    BatchMessageId::new("bm-1").expect("an id")
}

#[tokio::test]
async fn the_bot_knows_itself() {
    let body = json!({"code": 0, "bot": {"activate_status": 2, "app_name": "广播", "open_id": "ou_bot"}});
    let stub = signed_in(move |_, _| Reply::ok(body.clone()));
    let info = stub.feishu.bot_info(NOW).await.expect("the bot");
    assert_eq!((info.open_id.as_str(), info.app_name.as_str(), info.activate_status), ("ou_bot", "广播", Some(2)));
    assert_eq!(stub.seen("/tenant_access_token/")[0].body, json!({"app_id": "cli_1", "app_secret": "app-secret-1"}));
    assert_eq!(stub.seen("/tenant_access_token/")[0].header("authorization"), None);
}

#[tokio::test]
async fn a_message_is_content_in_a_string_under_a_uuid() {
    let stub = signed_in(|_, _| Reply::ok(json!({"code": 0, "data": {"message_id": "om_1", "chat_id": "oc_1"}})));
    let content = r#"{"text":"你好"}"#;
    let chat = Receiver::Chat(ChatId::new("oc_1").expect("an id"));
    let person = Receiver::Person(OpenId::new("ou_1").expect("an id"));
    let parent = MessageId::new("om_0").expect("an id");
    for receiver in [chat, person] {
        let sent = stub.feishu.send_message(NOW, &receiver, "text", content, "u-1").await.expect("sent");
        assert_eq!((sent.message_id.as_str(), sent.chat_id), ("om_1", ChatId::new("oc_1")));
    }
    stub.feishu.reply_message(NOW, &parent, "text", content, "u-2").await.expect("sent");
    stub.feishu.patch_card(NOW, &parent, r#"{"schema":"2.0"}"#).await.expect("updated");

    let seen = stub.seen("/im/v1/messages");
    let told: Vec<_> = seen.iter().map(|seen| (seen.method.as_str(), seen.target.as_str())).collect();
    assert_eq!(
        told,
        [
            ("POST", "/open-apis/im/v1/messages?receive_id_type=chat_id"),
            ("POST", "/open-apis/im/v1/messages?receive_id_type=open_id"),
            ("POST", "/open-apis/im/v1/messages/om_0/reply"),
            ("PATCH", "/open-apis/im/v1/messages/om_0"),
        ]
    );
    assert_eq!(seen[0].body, json!({"receive_id": "oc_1", "msg_type": "text", "content": content, "uuid": "u-1"}));
    assert_eq!(seen[2].body, json!({"msg_type": "text", "content": content, "uuid": "u-2"}));
    assert_eq!(seen[3].body, json!({"content": r#"{"schema":"2.0"}"#}));
}

fn message() -> MessageId {
    MessageId::new("om_1").expect("an id")
}

#[tokio::test]
async fn a_message_is_looked_up_with_its_card_as_it_was_sent() {
    let post = json!({"title": "通知", "content": [[{"tag": "at", "user_id": "@_user_1", "user_name": "张三"}]]});
    let item = json!({"message_id": "om_1", "msg_type": "post", "deleted": false, "chat_id": "oc_1", "new_field": 1,
        "sender": {"id": "ou_1", "id_type": "open_id", "sender_type": "user"}, "body": {"content": post.to_string()},
        "mentions": [{"key": "@_user_1", "id": "ou_2", "id_type": "open_id", "name": "张三"}]});
    let stub =
        signed_in(move |_, _| Reply::ok(json!({"code": 0, "data": {"items": [{"message_id": "om_part"}, item]}})));
    let fetched = stub.feishu.get_message(NOW, &message()).await.expect("a message");
    assert_eq!((fetched.message_id.as_str(), fetched.msg_type.as_str()), ("om_1", "post"));
    assert_eq!((fetched.deleted, fetched.sender_is_this_app), (false, false));
    assert_eq!(fetched.chat_id, ChatId::new("oc_1"));
    assert_eq!((fetched.mentions.len(), fetched.mentions[0].open_id.clone()), (1, OpenId::new("ou_2")));
    assert_eq!(fetched.content, post.to_string());
    let at = Node::At { key: "@_user_1".into(), name: "张三".into() };
    let read = Post { title: "通知".into(), paragraphs: vec![vec![at]] };
    assert_eq!(fetched.body(), Some(Body::Post(read.clone())));
    assert_eq!(fetched.posts(), [("zh_cn".to_owned(), read)]);
    let seen = &stub.seen("/im/v1/messages")[0];
    let query = "user_id_type=open_id&card_msg_content_type=user_card_content";
    assert_eq!((seen.method.as_str(), seen.target.clone()), ("GET", format!("/open-apis/im/v1/messages/om_1?{query}")));
}

#[tokio::test]
async fn a_message_may_be_the_bots_own_or_gone_or_hardly_there() {
    let fetch = async |items: Value| {
        let stub = signed_in(move |_, _| Reply::ok(json!({"code": 0, "data": {"items": items}})));
        stub.feishu.get_message(NOW, &message()).await
    };
    let own =
        json!([{"msg_type": "interactive", "sender": {"id": "cli_1", "id_type": "app_id", "sender_type": "app"}}]);
    let own = fetch(own).await.expect("a message");
    assert_eq!((own.sender_is_this_app, own.message_id.as_str()), (true, "om_1"));
    assert_eq!((own.body(), own.posts()), (None, vec![]));
    let other = json!([{"sender": {"id": "cli_2", "id_type": "app_id", "sender_type": "app"}}]);
    assert!(!fetch(other).await.expect("a message").sender_is_this_app);

    let gone = fetch(json!([{"message_id": "om_1", "deleted": true, "msg_type": "text"}])).await.expect("a message");
    assert_eq!((gone.deleted, gone.content.as_str(), gone.body()), (true, "", None));
    for nothing in [json!([]), json!(null)] {
        fetch(nothing).await.expect_err("no message");
    }
    for code in [230110, 230050, 99992354] {
        let stub = signed_in(move |_, _| Reply::code(400, code));
        let error = stub.feishu.get_message(NOW, &message()).await.expect_err("gone");
        assert!(error.message_is_gone(), "{code}");
    }
}

#[tokio::test]
async fn a_batch_is_asked_back_by_its_id() {
    let stub = signed_in(|_, nth| match nth {
        0 => Reply::ok(json!({"code": 0, "data": {}})),
        _ => Reply::code(400, 230009),
    });
    stub.feishu.recall_batch(NOW, &batch()).await.expect("taken in");
    let error = stub.feishu.recall_batch(NOW, &batch()).await.expect_err("too old");
    assert_eq!((error.code(), error.class()), (Some(230009), Class::Permanent));
    let seen = &stub.seen("/batch_messages")[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("DELETE", "/open-apis/im/v1/batch_messages/bm-1"));
}

#[tokio::test]
async fn the_progress_of_a_batch_is_read_as_numbers_or_texts() {
    let stub = signed_in(|seen, nth| {
        let data = match (seen.is("/get_progress"), nth) {
            (true, 0) => json!({"batch_message_send_progress":
                {"valid_user_ids_count": 3, "success_user_ids_count": 2, "read_user_ids_count": 1},
                "batch_message_recall_progress": {"recall": false, "recall_count": 0}}),
            (true, 1) => {
                json!({"batch_message_send_progress": {}, "batch_message_recall_progress": {"recall": true, "recall_count": 2}})
            }
            (true, _) => json!({}),
            (false, 0) => json!({"read_user": {"read_count": "12", "total_count": "100"}}),
            (false, 1) => json!({"read_user": {"read_count": 12, "total_count": 100}}),
            (false, _) => json!({"read_user": {"read_count": "many"}}),
        };
        Reply::ok(json!({"code": 0, "data": data}))
    });
    let progress = async || stub.feishu.batch_progress(NOW, &batch()).await;
    assert_eq!(progress().await.expect("numbers"), Progress { valid: 3, success: 2, read: 1, recalled: None });
    assert_eq!(progress().await.expect("numbers"), Progress { valid: 0, success: 0, read: 0, recalled: Some(2) });
    progress().await.expect_err("nothing about the batch");
    let readers = async || stub.feishu.read_user(NOW, &batch()).await;
    assert_eq!(readers().await.expect("numbers"), ReadUsers { read: 12, total: 100 });
    assert_eq!(readers().await.expect("numbers"), ReadUsers { read: 12, total: 100 });
    readers().await.expect_err("no number");
    assert_eq!(stub.seen("/get_progress")[0].target, "/open-apis/im/v1/batch_messages/bm-1/get_progress");
    assert_eq!(stub.seen("/read_user")[0].target, "/open-apis/im/v1/batch_messages/bm-1/read_user");
}

fn page(items: Value, next: Option<&str>) -> Reply {
    Reply::ok(json!({"code": 0, "data": {"items": items, "has_more": next.is_some(), "page_token": next}}))
}

#[tokio::test]
async fn a_search_goes_to_the_last_page_as_the_person_who_asks() {
    let stub = signed_in(|_, nth| match nth {
        0 => page(
            json!([{"open_department_id": "od-1", "name": "销售部", "parent_department_id": "0", "member_count": 12,
                    "department_id": "sales", "status": {"is_deleted": false}, "new_field": {}},
                   {"open_department_id": "od-2", "status": {"is_deleted": true}}, {"name": "no id"}]),
            Some("p 2+"),
        ),
        _ => page(
            json!([{"open_department_id": "od-3", "parent_department_id": "od-1"},
            {"open_department_id": "od-1"}, {"open_department_id": "od-4"}]),
            None,
        ),
    });
    let query = format!("\u{3000} {}  ", "销".repeat(70));
    let found = stub.feishu.search_departments(NOW, &"eyJ-user".into(), &query).await.expect("found");
    let bare = |number: usize| Department {
        id: open_department(number),
        name: String::new(),
        parent: None,
        parent_known: false,
        member_count: None,
        custom_id: None,
    };
    let first = Department {
        name: "销售部".into(),
        parent_known: true,
        member_count: Some(12),
        custom_id: Some("sales".into()),
        ..bare(1)
    };
    let third = Department { parent: Some(open_department(1)), parent_known: true, ..bare(3) };
    assert_eq!(found.departments, [first, third, bare(4)]);
    assert!(!found.more);

    let seen = stub.seen("/departments/search");
    assert_eq!(seen.len(), 2);
    assert!(stub.seen("/tenant_access_token/").is_empty());
    assert_eq!(seen[0].header("authorization"), Some("Bearer eyJ-user"));
    assert_eq!(seen[0].body, json!({"query": "销".repeat(64)}));
    let query = "department_id_type=open_department_id&user_id_type=open_id&page_size=50";
    assert_eq!(seen[0].target, format!("/open-apis/contact/v3/departments/search?{query}"));
    assert!(seen[1].is("&page_token=p%202%2B"), "{}", seen[1].target);
}

#[tokio::test]
async fn an_empty_query_asks_nobody() {
    let stub = signed_in(|_, _| Reply::HangUp);
    let found = stub.feishu.search_departments(NOW, &"eyJ".into(), " \u{3000} ").await.expect("nothing");
    assert!(found.departments.is_empty() && !found.more);
    assert!(stub.seen("/").is_empty());
}

#[tokio::test]
async fn a_search_without_end_is_cut_and_says_so() {
    let endless = signed_in(|_, nth| {
        let next = format!("p{nth}");
        page(json!([{"open_department_id": format!("od-{nth}")}]), Some(&next))
    });
    let found = endless.feishu.search_departments(NOW, &"eyJ".into(), "部").await.expect("found");
    assert_eq!((found.departments.len(), found.more), (10, true));

    let stuck = signed_in(|_, _| page(json!([]), Some("same")));
    assert!(stuck.feishu.search_departments(NOW, &"eyJ".into(), "部").await.expect("found").more);
    assert_eq!(stuck.seen("/search").len(), 2);
}

#[tokio::test]
async fn a_page_token_that_expires_restarts_the_search_once() {
    let item = |id: &str| json!([{"open_department_id": id}]);
    let stub = signed_in(move |_, nth| match nth {
        0 | 2 => page(item("od-1"), Some("p2")),
        1 => Reply::code(400, 40012),
        _ => page(item("od-2"), None),
    });
    let found = stub.feishu.search_departments(NOW, &"eyJ".into(), "部").await.expect("found");
    assert_eq!(found.departments.len(), 2);

    let always =
        signed_in(
            move |seen, _| {
                if seen.is("page_token=") { Reply::code(400, 40012) } else { page(item("od-1"), Some("p2")) }
            },
        );
    let error = always.feishu.search_departments(NOW, &"eyJ".into(), "部").await.expect_err("never whole");
    assert_eq!((error.code(), always.seen("/search").len()), (Some(40012), 4));

    let refused = signed_in(|_, _| Reply::code(400, 48001));
    refused.feishu.search_departments(NOW, &"eyJ".into(), "部").await.expect_err("refused");
    assert_eq!(refused.seen("/search").len(), 1);
}

#[tokio::test]
async fn while_feishu_wants_a_pause_of_searches_nobody_searches() {
    let stub = signed_in(|_, nth| match nth {
        0 => {
            let body = r#"{"code":99991400,"msg":"request trigger frequency limit"}"#;
            Reply::Whole(429, "x-ogw-ratelimit-reset: 41\r\n", body.into())
        }
        _ => page(json!([]), None),
    });
    let after = |seconds| NOW.after(Duration::from_secs(seconds));
    let search = async |seconds, token: &str| stub.feishu.search_departments(after(seconds), &token.into(), "部").await;
    search(0, "eyJ-one").await.expect_err("throttled");
    let error = search(40, "eyJ-another").await.expect_err("not yet");
    let Class::Retry { after: Some(left) } = error.class() else { panic!("no wait: {error:?}") };
    assert!(left >= Duration::from_secs(1) && left < Duration::from_secs(41), "{left:?}");
    assert_eq!(stub.seen("/search").len(), 1, "the limit is the endpoint's, whoever asks");
    search(80, "eyJ-another").await.expect("the pause is over");
}

#[tokio::test]
async fn a_search_never_renews_the_apps_token_for_a_persons() {
    let stub = signed_in(|_, _| Reply::code(400, 99991668));
    stub.feishu.search_departments(NOW, &"eyJ".into(), "部").await.expect_err("refused");
    assert_eq!((stub.seen("/search").len(), stub.seen("/tenant_access_token/").len()), (1, 0));
}

/// Every id that a call to `departments/batch` names.
fn ids_in(seen: &Seen) -> Vec<String> {
    let pairs = seen.target.split(['?', '&']).filter_map(|pair| pair.strip_prefix("department_ids="));
    pairs.map(str::to_owned).collect()
}

#[tokio::test]
async fn departments_are_read_fifty_at_a_time() {
    let stub = signed_in(|seen, _| {
        let items: Vec<_> =
            ids_in(seen).iter().filter(|id| *id != "od-7").map(|id| json!({"open_department_id": id})).collect();
        page(json!(items), None)
    });
    let ids: Vec<_> = (0..120).map(open_department).collect();
    let read = stub.feishu.departments(NOW, &ids, IdKind::Open).await.expect("read");
    assert_eq!(read.len(), 119);
    let calls: Vec<_> = stub.seen("/departments/batch").iter().map(|seen| ids_in(seen).len()).collect();
    assert_eq!(calls, [50, 50, 20]);
    assert!(stub.seen("/departments/batch")[0].is("?department_id_type=open_department_id&"));
    assert!(stub.feishu.departments(NOW, &[], IdKind::Open).await.expect("nothing").is_empty());
}

#[tokio::test]
async fn custom_ids_come_back_in_open_ids() {
    let stub = signed_in(|seen, _| {
        let parent = if seen.is("department_id_type=department_id") { "hq" } else { "od-0" };
        page(json!([{"open_department_id": "od-1", "department_id": "sales@x", "parent_department_id": parent}]), None)
    });
    let custom = DepartmentId::new("sales@x").expect("an id");
    let read = stub.feishu.departments(NOW, &[custom], IdKind::Custom).await.expect("read");
    assert_eq!((read.len(), read[0].parent.clone()), (1, Some(open_department(0))));
    assert_eq!(read[0].custom_id.as_deref(), Some("sales@x"));
    let seen = stub.seen("/departments/batch");
    assert_eq!((ids_in(&seen[0]), ids_in(&seen[1])), (vec!["sales%40x".to_owned()], vec!["od-1".to_owned()]));
}
