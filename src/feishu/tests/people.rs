//! People, and what hangs directly on the root.

use serde_json::{Value, json};

use super::stub::{NOW, Reply, Seen, Stub, signed_in};
use crate::domain::ids::{DepartmentId, MessageId, OpenId, UnionId, UserId};
use crate::feishu::error::Nonsense;
use crate::feishu::people::{Addressed, Person, PersonIdKind};
use crate::feishu::{CallError, Class};

fn open(id: &str) -> OpenId {
    OpenId::new(id).expect("an id")
}

fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().map_or(&[][..], Vec::as_slice).iter();
    texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn people_are_found_by_address_whatever_the_order_and_form_of_the_answer() {
    let stub = signed_in(|_, _| {
        Reply::ok(json!({"code": 0, "data": {"user_list": [
            {"mobile": "+8613800000002", "user_id": "ou_m2"}, {"mobile": "13800000001", "user_id": "ou_m1"},
            {"email": "Zhang.San@Example.com", "user_id": "ou_e1"}, {"email": "nobody@example.com"},
            {"email": "empty@example.com", "user_id": ""}, {"mobile": "+15550100", "user_id": "ou_m3"},
            {"user_id": "ou_lost"}, {"email": "", "mobile": "", "user_id": "ou_lost"}, 7]}}))
    });
    let emails = ["nobody@example.com", "zhang.san@example.com", "empty@example.com", "never@asked.example"];
    let mobiles = ["+86 138-0000-0001", "13800000002", "+1 555 0100", "15550100"];
    let (emails, mobiles) = (emails.map(str::to_owned), mobiles.map(str::to_owned));
    let found = stub.feishu.find_by_address(NOW, &emails, &mobiles).await.expect("an answer");
    let expect = Addressed {
        emails: vec![None, Some(open("ou_e1")), None, None],
        mobiles: vec![Some(open("ou_m1")), Some(open("ou_m2")), Some(open("ou_m3")), None],
    };
    assert_eq!(found, expect);
    let seen = &stub.seen("/users/batch_get_id")[0];
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.target, "/open-apis/contact/v3/users/batch_get_id?user_id_type=open_id");
    assert_eq!(seen.body, json!({"emails": emails, "mobiles": mobiles, "include_resigned": false}));
}

#[tokio::test]
async fn addresses_go_fifty_of_each_to_a_call() {
    let stub = signed_in(|seen, _| {
        let find = |key: &'static str| {
            let given = texts(&seen.body[format!("{key}s")]);
            given.into_iter().map(move |address| json!({key: address, "user_id": format!("ou_{address}")}))
        };
        let found: Vec<Value> = find("mobile").chain(find("email")).collect();
        Reply::ok(json!({"code": 0, "data": {"user_list": found}}))
    });
    let emails: Vec<String> = (0..120).map(|n| format!("p{n}@x.example")).collect();
    let mobiles: Vec<String> = (0..60).map(|n| format!("138{n:08}")).collect();
    let found = stub.feishu.find_by_address(NOW, &emails, &mobiles).await.expect("an answer");
    assert!(found.emails.iter().chain(&found.mobiles).all(Option::is_some));
    assert_eq!((found.emails.len(), found.mobiles.len()), (120, 60));
    assert_eq!(found.emails[119], OpenId::new("ou_p119@x.example"));
    let counts = |seen: &Seen| (texts(&seen.body["emails"]).len(), texts(&seen.body["mobiles"]).len());
    let calls = stub.seen("/users/batch_get_id");
    assert_eq!(calls.iter().map(counts).collect::<Vec<_>>(), [(50, 50), (50, 10), (20, 0)]);
    assert_eq!(calls[2].body.get("mobiles"), None, "an empty list is not sent");

    assert_eq!(stub.feishu.find_by_address(NOW, &[], &[]).await.expect("nothing"), Addressed::default());
    assert_eq!(stub.seen("/users/batch_get_id").len(), 3);
}

#[tokio::test]
async fn a_person_is_read_as_far_as_scopes_allow() {
    let stub = signed_in(|seen, _| {
        let user = if seen.is("/users/ou_1") {
            json!({"open_id": "ou_1", "union_id": "on_1", "user_id": "u1", "name": "张三",
                "department_ids": ["od-1", "0", "od-2", ""], "new_field": {},
                "status": {"is_frozen": false, "is_resigned": false, "is_exited": false, "is_unjoin": false, "is_activated": false}})
        } else {
            json!({"open_id": "ou_2", "union_id": "on_2"})
        };
        Reply::ok(json!({"code": 0, "data": {"user": user}}))
    });
    let department = |id: &str| DepartmentId::new(id).expect("an id");
    let full = Person {
        open_id: OpenId::new("ou_1"),
        union_id: UnionId::new("on_1"),
        user_id: UserId::new("u1"),
        name: "张三".into(),
        departments: vec![department("od-1"), department("od-2")],
        departments_known: true,
        active: true,
    };
    let bare = Person {
        open_id: OpenId::new("ou_2"),
        union_id: UnionId::new("on_2"),
        user_id: None,
        name: String::new(),
        departments: vec![],
        departments_known: false,
        active: true,
    };
    let read = async |kind, id| stub.feishu.person(NOW, kind, id).await.expect("an answer");
    assert_eq!(read(PersonIdKind::Open, "ou_1").await, Some(full));
    assert_eq!(read(PersonIdKind::Union, "on_2").await, Some(bare.clone()));
    assert_eq!(read(PersonIdKind::User, "张/三").await, Some(bare));
    let targets: Vec<_> = stub.seen("/users/").into_iter().map(|seen| seen.target).collect();
    let users = "/open-apis/contact/v3/users";
    assert_eq!(
        targets,
        [
            format!("{users}/ou_1?user_id_type=open_id&department_id_type=open_department_id"),
            format!("{users}/on_2?user_id_type=union_id&department_id_type=open_department_id"),
            format!("{users}/%E5%BC%A0%2F%E4%B8%89?user_id_type=user_id&department_id_type=open_department_id"),
        ]
    );
    assert_eq!(read(PersonIdKind::User, "..").await, None);
    assert_eq!(stub.seen("/users/").len(), 3, "dots would make another address");
}

#[tokio::test]
async fn who_does_not_exist_or_is_not_shown_is_nobody_and_other_refusals_stay() {
    let ask = async |answer: Reply| {
        let answer = std::sync::Mutex::new(Some(answer));
        let stub = signed_in(move |_, _| answer.lock().expect("one request").take().unwrap_or(Reply::HangUp));
        stub.feishu.person(NOW, PersonIdKind::Open, "ou_1").await
    };
    for code in [41012, 41050, 99992351, 99992359, 99992360, 99992363, 99992364, 99992381] {
        assert_eq!(ask(Reply::code(400, code)).await.expect("an answer"), None, "{code}");
    }
    for (code, class) in [
        (40001, Class::Permanent),
        (40003, Class::Retry { after: None }),
        (99991672, Class::FixSetup),
        (99992361, Class::FixSetup),
    ] {
        let error = ask(Reply::code(400, code)).await.expect_err("a refusal");
        assert_eq!((error.code(), error.class()), (Some(code), class));
    }
    for data in [json!({}), json!({"user": null}), json!({"user": "ou_1"})] {
        let error = ask(Reply::ok(json!({"code": 0, "data": data}))).await.expect_err("nobody in it");
        assert!(matches!(error, CallError::Unreadable { why: Nonsense::Incomplete, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_person_with_one_foot_out_is_not_active() {
    for (flag, active) in [
        ("is_resigned", false),
        ("is_exited", false),
        ("is_unjoin", false),
        ("is_frozen", false),
        ("is_activated", true),
        ("is_anything_new", true),
    ] {
        let body = json!({"code": 0, "data": {"user": {"open_id": "ou_1", "status": {flag: true}}}});
        let stub = signed_in(move |_, _| Reply::ok(body.clone()));
        let person = stub.feishu.person(NOW, PersonIdKind::Open, "ou_1").await.expect("an answer");
        assert_eq!(person.expect("a person").active, active, "{flag}");
    }
}

/// The ids that a call to `users/batch` names.
fn ids_in(seen: &Seen) -> Vec<String> {
    let pairs = seen.target.split(['?', '&']).filter_map(|pair| pair.strip_prefix("user_ids="));
    pairs.map(str::to_owned).collect()
}

fn people_of(ids: &[String]) -> Reply {
    let items: Vec<Value> = ids.iter().map(|id| json!({"open_id": format!("ou_{id}"), "union_id": id})).collect();
    Reply::ok(json!({"code": 0, "data": {"items": items}}))
}

fn open_ids(people: &[Person]) -> Vec<&str> {
    people.iter().map(|person| person.open_id.as_ref().expect("an id").as_str()).collect()
}

#[tokio::test]
async fn people_are_read_in_one_call_and_the_unknown_are_missing() {
    let stub = signed_in(|seen, _| people_of(&ids_in(seen).into_iter().filter(|id| *id != "on_7").collect::<Vec<_>>()));
    let ids: Vec<String> = (0..50).map(|n| format!("on_{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let people = stub.feishu.people(NOW, PersonIdKind::Union, &ids).await.expect("an answer").expect("people");
    assert_eq!((people.len(), open_ids(&people)[0], open_ids(&people)[48]), (49, "ou_on_0", "ou_on_49"));
    let seen = stub.seen("/users/batch");
    assert_eq!(seen.iter().map(|seen| ids_in(seen).len()).collect::<Vec<_>>(), [50]);
    let query = "?user_id_type=union_id&department_id_type=open_department_id&user_ids=on_0&user_ids=on_1&";
    assert!(seen[0].is(&format!("/open-apis/contact/v3/users/batch{query}")), "{}", seen[0].target);
}

#[tokio::test]
async fn an_objection_to_one_id_is_told_from_a_refusal() {
    let objects = signed_in(|_, _| Reply::code(400, 41050));
    assert_eq!(objects.feishu.people(NOW, PersonIdKind::User, &["0", "1"]).await.expect("an answer"), None);
    let refused = signed_in(|_, _| Reply::code(400, 40001));
    refused.feishu.people(NOW, PersonIdKind::User, &["0", "1"]).await.expect_err("a refusal of another kind");
    assert_eq!(refused.seen("/users/batch").len(), 1);
}

fn page(items: Value, next: Option<&str>) -> Reply {
    Reply::ok(json!({"code": 0, "data": {"items": items, "has_more": next.is_some(), "page_token": next}}))
}

async fn top(stub: &Stub) -> Result<Vec<String>, CallError> {
    let top = stub.feishu.top_departments(NOW).await?;
    Ok(top.into_iter().map(|department| department.id.to_string()).collect())
}

#[tokio::test]
async fn the_top_of_the_company_is_read_to_its_end() {
    let stub = signed_in(|_, nth| match nth {
        0 => page(json!([{"open_department_id": "od-1", "name": "销售部", "parent_department_id": "0"}]), Some("p2")),
        _ => page(json!([{"open_department_id": "od-2"}, {"open_department_id": "od-1"}]), None),
    });
    assert_eq!(top(&stub).await.expect("departments"), ["od-1", "od-2"]);
    let seen = stub.seen("/children");
    let query = "department_id_type=open_department_id&user_id_type=open_id&fetch_child=false&page_size=50";
    assert_eq!(seen[0].target, format!("/open-apis/contact/v3/departments/0/children?{query}"));
    assert_eq!(seen[1].target, format!("/open-apis/contact/v3/departments/0/children?{query}&page_token=p2"));
    assert_eq!(seen[0].header("authorization"), Some("Bearer t-1"));
}

#[tokio::test]
async fn half_a_company_is_not_the_company() {
    let narrow = signed_in(|_, _| Reply::code(403, 40004));
    let error = top(&narrow).await.expect_err("no authority");
    assert_eq!((error.code(), error.class()), (Some(40004), Class::FixSetup));

    let item = |n: usize| json!([{"open_department_id": format!("od-{n}"), "open_id": format!("ou_{n}")}]);
    let endless = signed_in(move |_, nth| page(item(nth), Some(&format!("p{nth}"))));
    let error = top(&endless).await.expect_err("no end");
    assert!(matches!(error, CallError::Unreadable { why: Nonsense::Incomplete, .. }), "{error:?}");
    assert_eq!(endless.seen("/children").len(), 200);

    let stuck = signed_in(move |_, nth| page(item(nth), Some("same")));
    stuck.feishu.members_of_root(NOW).await.expect_err("no end");
    assert_eq!(stuck.seen("/find_by_department").len(), 2);

    let expiring = signed_in(move |_, nth| match nth {
        1 => Reply::code(400, 40012),
        0 | 2 => page(item(1), Some("p2")),
        _ => page(item(2), None),
    });
    assert_eq!(top(&expiring).await.expect("departments"), ["od-1", "od-2"]);
}

#[tokio::test]
async fn the_people_at_the_root_are_those_who_are_still_there() {
    let stub = signed_in(|_, nth| match nth {
        0 => page(
            json!([{"open_id": "ou_2", "status": {"is_resigned": false}}, {"open_id": "ou_3", "status": {"is_frozen": true}},
                {"open_id": "ou_1"}, {"name": "without an id"}]),
            Some("p2"),
        ),
        _ => page(json!([{"open_id": "ou_2"}, {"open_id": "ou_4", "status": {"is_resigned": true}}]), None),
    });
    let members = stub.feishu.members_of_root(NOW).await.expect("people");
    let ids: Vec<Option<OpenId>> = members.into_iter().map(|person| person.open_id).collect();
    assert_eq!(ids, [Some(open("ou_1")), Some(open("ou_2"))]);
    let query = "user_id_type=open_id&department_id_type=open_department_id&department_id=0&page_size=50";
    let target = format!("/open-apis/contact/v3/users/find_by_department?{query}");
    assert_eq!(stub.seen("/find_by_department")[0].target, target);
}

#[tokio::test]
async fn every_look_up_may_be_made_from_a_task_of_its_own() {
    let stub = signed_in(|_, _| Reply::code(400, 40001));
    let feishu = stub.feishu.clone();
    let task = tokio::spawn(async move {
        let (emails, id) = (["x@x.example".to_owned()], open("ou_1"));
        feishu.find_by_address(NOW, &emails, &[]).await.expect_err("refused");
        feishu.person(NOW, PersonIdKind::Open, id.as_str()).await.expect_err("refused");
        feishu.people(NOW, PersonIdKind::Open, &["ou_1"]).await.expect_err("refused");
        feishu.top_departments(NOW).await.expect_err("refused");
        feishu.members_of_root(NOW).await.expect_err("refused");
        feishu.get_message(NOW, &MessageId::new("om_1").expect("an id")).await.expect_err("refused");
        feishu.upload_file(NOW, "x.csv", vec![1]).await.expect_err("refused");
        feishu.owns_image(NOW, "img_1").await.expect_err("refused");
    });
    task.await.expect("no task panics");
    assert_eq!(stub.seen("/open-apis/").len(), 9);
}

#[tokio::test]
async fn a_list_of_people_is_whole_or_no_list() {
    let sales = DepartmentId::new("od-1").expect("an id");
    let names = |ids: Option<Vec<OpenId>>| ids.map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>());
    let listed = |data: Value| Reply::ok(json!({"code": 0, "data": data}));
    let stub = signed_in(move |seen, nth| match (seen.target.contains("/group/"), nth) {
        (true, 0) => listed(json!({"memberlist": [{"member_id": "ou_1", "member_type": "user"}],
            "has_more": true, "page_token": "p2"})),
        (true, _) => listed(json!({"memberlist": [{"member_id": "od-2", "member_type": "department"},
            {"member_id": "ou_2", "member_type": "user"}], "has_more": false})),
        _ => page(json!([{"open_id": "ou_3"}, {"open_id": "ou_4", "status": {"is_resigned": true}}]), None),
    });
    let group = stub.feishu.members_of_group(NOW, "g1").await.expect("a group");
    assert_eq!(names(group), Some(vec!["ou_1".into(), "ou_2".into()]));
    let query = "member_id_type=open_id&member_type=user&page_size=50";
    let target = format!("/open-apis/contact/v3/group/g1/member/simplelist?{query}");
    assert_eq!(stub.seen("/simplelist")[0].target, target);
    let department = stub.feishu.members_of_department(NOW, &sales).await.expect("a department");
    assert_eq!(names(department), Some(vec!["ou_3".into()]));
    assert_eq!(stub.feishu.members_of_group(NOW, "..").await.expect("no path"), None);

    let gone = signed_in(|seen, _| Reply::code(400, if seen.target.contains("/group/") { 42002 } else { 40015 }));
    assert_eq!(gone.feishu.members_of_group(NOW, "g1").await.expect("none"), None);
    assert_eq!(gone.feishu.members_of_department(NOW, &sales).await.expect("none"), None);
    let hidden = signed_in(|_, _| Reply::code(403, 42009));
    let error = hidden.feishu.members_of_group(NOW, "g1").await.expect_err("no authority");
    assert_eq!(error.class(), Class::FixSetup);
    let item = |n: usize| {
        json!({"memberlist": [{"member_id": format!("ou_{n}"), "member_type": "user"}],
        "has_more": true, "page_token": format!("p{n}")})
    };
    let endless = signed_in(move |_, nth| listed(item(nth)));
    endless.feishu.members_of_group(NOW, "g1").await.expect_err("no end");
    assert_eq!(endless.seen("/simplelist").len(), 10);
}
