//! People by id, by address and by department, as strictly as the platform's pages have them.

use super::*;

fn names(reply: &Value) -> Vec<&str> {
    let items = reply["data"]["items"].as_array().unwrap_or_else(|| panic!("{reply}"));
    items.iter().map(|item| item["name"].as_str().expect("a name")).collect()
}

fn ids(tenant: &Tenant, kind: &str, names: &[&str]) -> String {
    let id = |name: &&str| {
        let person = tenant.person(name).employee();
        let id = if kind == "union_id" { person.union_id } else { person.open_id };
        format!("&user_ids={id}")
    };
    names.iter().map(id).collect()
}

/// Only the people of the sales department may be read.
fn narrow(tenant: &Tenant) {
    let sales = tenant.company().at("销售部").expect("is there").open_department_id.clone();
    tenant.console(|app| app.contact_range = Some(vec![sales]));
}

#[tokio::test]
async fn a_batch_of_people_lacks_the_unknown_and_those_out_of_sight() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    let path = "/contact/v3/users/batch?user_id_type=union_id";
    let asked = format!("{path}{}&user_ids=on_nobody", ids(&tenant, "union_id", &["陈晨", "王芳"]));
    assert_eq!(names(&client.call("GET", &asked, Value::Null).await), ["王芳", "陈晨"]);
    narrow(&tenant);
    let seen = client.call("GET", &asked, Value::Null).await;
    assert_eq!(names(&seen), ["陈晨"]);
    assert_eq!(seen["data"]["items"][0]["department_ids"], json!(tenant.person("陈晨").employee().departments));

    tenant.switch(|switches| switches.unknown_people = UnknownPeople::Refused);
    let code = client.call("GET", &asked, Value::Null).await["code"].as_i64();
    assert!(matches!(code, Some(41_012 | 99_992_363 | 99_992_364)), "{code:?}");
    for wrong in ["", &"&user_ids=on_x".repeat(51)] {
        let reply = client.call("GET", &format!("{path}{wrong}"), Value::Null).await;
        assert_eq!(reply["code"], 40_001, "{wrong}");
    }
    tenant.console(|app| {
        app.tenant_scopes.remove("contact:contact.base:readonly");
        app.tenant_scopes.insert("contact:contact:readonly".into());
    });
    assert_eq!(client.call("GET", &asked, Value::Null).await["code"], 99_991_672, "this page takes one scope only");
    tenant.close().await;
}

#[tokio::test]
async fn a_person_shows_what_the_scopes_allow() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    let person = tenant.person("陈晨").employee();
    let path = format!("/contact/v3/users/{}?user_id_type=open_id", person.open_id);
    let user = client.call("GET", &path, Value::Null).await["data"]["user"].take();
    assert_eq!((&user["name"], &user["user_id"]), (&json!("陈晨"), &json!(person.user_id)));
    assert_eq!(user["department_ids"], json!(person.departments));
    assert_eq!(user["status"]["is_resigned"], false);

    let scopes = ["base", "department", "employee", "employee_id"];
    tenant.console(|app| {
        app.tenant_scopes.retain(|held| !scopes.iter().any(|scope| *held == format!("contact:user.{scope}:readonly")));
    });
    let bare = client.call("GET", &path, Value::Null).await["data"]["user"].take();
    assert_eq!(bare, json!({"open_id": person.open_id, "union_id": person.union_id, "mobile_visible": true}));
    let by_user_id = format!("/contact/v3/users/{}?user_id_type=user_id", person.user_id);
    assert_eq!(client.call("GET", &by_user_id, Value::Null).await["code"], 99_991_672);

    let nobody = client.call("GET", "/contact/v3/users/ou_nobody", Value::Null).await["code"].as_i64();
    assert!(matches!(nobody, Some(41_012 | 99_992_351)), "{nobody:?}");
    let odd = format!("/contact/v3/users/{}?user_id_type=email", person.open_id);
    assert_eq!(client.call("GET", &odd, Value::Null).await["code"], 40_001);
    let wang = format!("/contact/v3/users/{}", tenant.person("王芳").open_id);
    narrow(&tenant);
    assert_eq!(client.call("GET", &wang, Value::Null).await["code"], 41_050);
    tenant.close().await;
}

#[tokio::test]
async fn an_address_is_found_where_its_person_may_be_seen() {
    let tenant = Tenant::open(Company::small().change("马超", |person| person.resigned = true));
    let client = Client::of(&tenant).await;
    let [chen, wang, ma] = ["陈晨", "王芳", "马超"].map(|name| tenant.person(name).employee());
    let find = async |body: Value| client.call("POST", "/contact/v3/users/batch_get_id", body).await;
    narrow(&tenant);
    let mobile = format!("+86{}", ma.mobile);
    let reply = find(json!({"emails": [chen.email.to_uppercase(), wang.email], "mobiles": [mobile]})).await;
    let list = reply["data"]["user_list"].as_array().expect("a list");
    let found: Vec<Option<&str>> = list.iter().map(|entry| entry["user_id"].as_str()).collect();
    assert_eq!(found, [None, Some(chen.open_id.as_str()), None], "the mobiles come first");
    let reply = find(json!({"mobiles": [mobile], "include_resigned": true})).await;
    assert_eq!(reply["data"]["user_list"][0]["user_id"], ma.open_id.as_str());
    assert_eq!(reply["data"]["user_list"][0]["status"]["is_resigned"], true);
    for wrong in [json!({}), json!({"emails": vec!["x@x.example"; 51]}), json!({"mobiles": vec!["1"; 51]})] {
        assert_eq!(find(wrong).await["code"], 40_001);
    }
    tenant.close().await;
}

#[tokio::test]
async fn members_come_in_pages_and_ids_are_read_as_the_query_says() {
    let tenant = Tenant::open(Company::small().person("沈秘书", &[]));
    let client = Client::of(&tenant).await;
    let path = "/contact/v3/users/find_by_department?department_id=";
    let get = async |rest: &str| client.call("GET", &format!("{path}{rest}"), Value::Null).await;
    let first = get("0&page_size=1").await;
    assert_eq!((names(&first), &first["data"]["has_more"]), (vec!["许国强"], &json!(true)));
    let token = first["data"]["page_token"].as_str().expect("a token");
    let last = get(&format!("0&page_size=1&page_token={token}")).await;
    assert_eq!((names(&last), &last["data"]["has_more"]), (vec!["沈秘书"], &json!(false)));
    let root = &last["data"]["items"][0]["department_ids"];
    assert!(*root == json!([]) || *root == json!(["0"]), "{root}");
    assert_eq!(get("0&page_size=1&page_token=1").await["code"], 40_012);
    assert_eq!(get("0&page_size=51").await["code"], 40_011);

    let sales = tenant.company().at("销售部").expect("is there").clone();
    assert_eq!(names(&get(&sales.open_department_id).await), ["陈晨", "刘洋", "钱多多"]);
    assert_eq!(get(&sales.department_id).await["code"], 99_992_357, "a custom id is read as an open one");
    let custom = get(&format!("{}&department_id_type=department_id", sales.department_id)).await;
    assert_eq!(custom["data"]["items"][0]["department_ids"], json!([sales.department_id]));
    narrow(&tenant);
    assert_eq!(get("0").await["code"], 40_004);
    let market = tenant.company().at("市场部").expect("is there").open_department_id.clone();
    assert_eq!(get(&market).await["code"], 40_004);
    assert_eq!(client.call("GET", "/contact/v3/departments/0/children", Value::Null).await["code"], 40_004);
    tenant.close().await;
}

#[tokio::test]
async fn a_user_group_lists_people_or_departments_and_refuses_what_does_not_fit() {
    let tenant = Tenant::open(Company::small().user_group("发布组", &["王芳", "林悦"], &["销售部"]));
    let client = Client::of(&tenant).await;
    let company = tenant.company();
    let path = format!("/contact/v3/group/{}/member/simplelist", company.user_groups[0].id);
    let get = async |rest: &str| client.call("GET", &format!("{path}{rest}"), Value::Null).await;
    assert_eq!(get("").await["code"], 99_991_672, "without the scope");
    tenant.console(|app| {
        app.tenant_scopes.insert("contact:group:readonly".into());
    });
    let [wang, lin] = ["王芳", "林悦"].map(|name| company.named(name).clone());
    let member = |id: &str, kind: &str| json!({"member_id": id, "member_type": kind});
    let all = json!([member(&wang.open_id, "user"), member(&lin.open_id, "user")]);
    assert_eq!(get("").await["data"], json!({"memberlist": all, "has_more": false}));
    let first = get("?page_size=1&member_id_type=union_id").await["data"].take();
    assert_eq!(first["memberlist"], json!([member(&wang.union_id, "user")]));
    let token = first["page_token"].as_str().expect("a token");
    let last = get(&format!("?page_size=1&page_token={token}")).await["data"].take();
    assert_eq!(last, json!({"memberlist": [member(&lin.open_id, "user")], "has_more": false}));
    let sales = company.at("销售部").expect("is there");
    for (kind, id) in [("open_id", &sales.open_department_id), ("department_id", &sales.department_id)] {
        let found = get(&format!("?member_type=department&member_id_type={kind}")).await["data"]["memberlist"].take();
        assert_eq!(found, json!([member(id, "department")]));
    }
    for (rest, code) in [
        ("?page_size=101", 40_011),
        ("?page_token=1", 40_012),
        ("?member_type=chat", 41_074),
        ("?member_id_type=email", 41_071),
        ("?member_id_type=department_id", 41_072),
        ("?member_type=department&member_id_type=union_id", 41_072),
    ] {
        assert_eq!(get(rest).await["code"], code, "{rest}");
    }
    let nobody = client.call("GET", "/contact/v3/group/g0/member/simplelist", Value::Null).await;
    assert_eq!(nobody["code"], 42_002);
    narrow(&tenant);
    assert_eq!(get("").await["code"], 42_009);
    tenant.close().await;
}
