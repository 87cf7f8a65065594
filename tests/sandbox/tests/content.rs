//! Messages that are looked up, and the files in them.

use super::*;

impl Client {
    /// The status and the bytes of a download.
    pub(super) async fn bytes(&self, path: &str) -> (u16, Vec<u8>) {
        let url = format!("{}/open-apis{path}", self.tenant.open_url());
        let reply = self.http.get(url).bearer_auth(&self.token).send().await.expect("answers");
        (reply.status().as_u16(), reply.bytes().await.expect("a body").to_vec())
    }

    pub(super) async fn refusal(&self, path: &str) -> Option<i64> {
        let (status, body) = self.bytes(path).await;
        assert_eq!(status, 400, "{path}");
        serde_json::from_slice::<Value>(&body).expect("is JSON")["code"].as_i64()
    }

    async fn upload(&self, image: &[u8]) -> Value {
        let head = "--b\r\nContent-Disposition: form-data; name=\"image_type\"\r\n\r\nmessage\r\n\
            --b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n";
        let body = [head.as_bytes(), image, b"\r\n--b--\r\n"].concat();
        let request = self.http.post(format!("{}/open-apis/im/v1/images", self.tenant.open_url()));
        let request = request.bearer_auth(&self.token).header("Content-Type", "multipart/form-data; boundary=b");
        request.body(body).send().await.expect("answers").json().await.expect("is JSON")
    }
}

fn said(tenant: &Tenant, chat_id: &str) -> String {
    let content = json!({"text": "@群发助手 问 @陈晨"});
    let event = tenant.person("王芳").writes(chat_id, "text", &content, &["群发助手", "陈晨"], None);
    event.body["event"]["message"]["message_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_message_names_everybody_by_the_one_kind_that_was_asked_for() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    let (wang, chen) = (tenant.person("王芳").employee(), tenant.person("陈晨").employee());
    let message = said(&tenant, &tenant.person("王芳").chat_id());
    let get = async |rest: &str| client.call("GET", &format!("/im/v1/messages/{message}{rest}"), Value::Null).await;
    let seen = get("?user_id_type=union_id").await["data"]["items"][0].take();
    assert_eq!((&seen["sender"]["id"], &seen["sender"]["id_type"]), (&json!(wang.union_id), &json!("union_id")));
    assert_eq!(seen["body"]["content"], json!(r#"{"text":"@_user_1 问 @_user_2"}"#));
    let mentions: Vec<_> = (0..2).map(|at| (&seen["mentions"][at]["id"], &seen["mentions"][at]["id_type"])).collect();
    let app_id = json!(tenant.with(|world| world.app.app_id.clone()));
    assert_eq!(mentions, [(&app_id, &json!("app_id")), (&json!(chen.union_id), &json!("union_id"))]);
    assert_eq!(get("").await["data"]["items"][0]["sender"]["id"], json!(wang.open_id));

    assert_eq!(get("?user_id_type=email").await["code"], 230_001);
    let batch = client.call("GET", "/im/v1/messages/bm-1", Value::Null).await;
    assert_eq!((batch["code"].as_i64(), tenant.violations().len()), (Some(230_001), 2));

    tenant.with(|world| world.message_mut(&message).expect("is there").deleted = true);
    for _ in 0..8 {
        let reply = get("").await;
        let item = &reply["data"]["items"][0];
        let bare = item["deleted"] == true && item["body"] == json!({});
        assert!(reply["code"] == 230_110 || bare, "{reply}");
    }
    tenant.console(|app| app.bot_ability = false);
    assert_eq!(get("").await["code"], 230_006);
    tenant.close().await;
}

#[tokio::test]
async fn a_message_of_a_group_is_for_bots_inside_with_the_scope_for_groups() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    let message = said(&tenant, &tenant.group("项目群").chat_id);
    let path = format!("/im/v1/messages/{message}");
    tenant.console(|app| app.tenant_scopes.extend(["im:message".to_owned()]));
    assert_eq!(client.call("GET", &path, Value::Null).await["code"], 230_027);
    tenant.console(|app| app.tenant_scopes.extend(["im:message.group_msg".to_owned()]));
    assert_eq!(client.call("GET", &path, Value::Null).await["code"], 0);
    tenant.reorganise(|company| company.groups[0].bot_inside = false);
    assert_eq!(client.call("GET", &path, Value::Null).await["code"], 230_002);
    assert_eq!(client.refusal(&format!("{path}/resources/file_x?type=file")).await, Some(234_004));
    tenant.close().await;
}

#[tokio::test]
async fn a_file_comes_out_of_its_own_message_by_its_own_type() {
    let tenant = Tenant::open(Company::small());
    tenant.connect(&little_bot(&[]));
    let client = Client::of(&tenant).await;
    let wang = tenant.person("王芳");
    wang.sends_file("名单.csv", b"open_id\nou_1\n").await;
    let (message, key) = tenant.with(|world| {
        let message = world.messages.last().expect("was sent");
        (message.message_id.clone(), message.attachments.keys().next().expect("a file").clone())
    });
    let path = format!("/im/v1/messages/{message}/resources/{key}");
    assert_eq!(client.bytes(&format!("{path}?type=file")).await, (200, b"open_id\nou_1\n".to_vec()));
    assert_eq!(client.refusal(&format!("{path}?type=image")).await, Some(234_001));
    let other = said(&tenant, &wang.chat_id());
    assert_eq!(client.refusal(&format!("/im/v1/messages/{other}/resources/{key}?type=file")).await, Some(234_003));
    let card = client.card("王芳", &card(1)).await;
    assert_eq!(client.refusal(&format!("/im/v1/messages/{card}/resources/{key}?type=file")).await, Some(234_043));
    assert_eq!(tenant.violations(), [""; 0]);
    assert_eq!(client.refusal(&path).await, Some(234_001));
    assert_eq!(tenant.violations().len(), 1, "a type must be given");
    tenant.close().await;
}

fn gif(side: u16) -> Vec<u8> {
    [b"GIF89a".as_slice(), &side.to_le_bytes(), &1_u16.to_le_bytes()].concat()
}

fn png(side: u32) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".as_slice(), &1_u32.to_be_bytes(), &side.to_be_bytes()].concat()
}

#[tokio::test]
async fn an_image_is_taken_by_format_and_size_and_belongs_to_its_bot() {
    let tenant = Tenant::open(Company::small());
    let client = Client::of(&tenant).await;
    for (image, code) in [
        (gif(2_000), 0),
        (gif(2_001), 234_039),
        (png(12_000), 0),
        (png(12_001), 234_039),
        (b"\0\0\0\x18ftypheic".to_vec(), 0),
        (b"\0\0\0\x18ftypmp42".to_vec(), 234_011),
        (b"RIFF\0\0\0\0WAVE".to_vec(), 234_011),
        (b"no image".to_vec(), 234_011),
        (vec![], 234_010),
        ([png(1), vec![0; 10 << 20]].concat(), 234_006),
    ] {
        assert_eq!(client.upload(&image).await["code"], code, "{:?}", &image[..image.len().min(20)]);
    }
    let key = client.upload(&png(1)).await["data"]["image_key"].as_str().expect("a key").to_owned();
    tenant.console(|app| app.tenant_scopes.retain(|scope| !scope.contains("resource")));
    assert_eq!(client.bytes(&format!("/im/v1/images/{key}")).await, (200, png(1)), "no scope is asked for");
    assert_eq!(client.upload(&png(1)).await["code"], 230_027);
    let foreign = client.refusal("/im/v1/images/img_v3_foreign").await;
    assert!(matches!(foreign, Some(234_005 | 234_008)), "{foreign:?}");
    tenant.close().await;
}
