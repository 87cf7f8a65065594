//! The calls that look something up or move a file, by the real client against the tenant: both were written from the
//! same pages, and here they have to agree.

use feishu_broadcast::domain::ids::{MessageId, OpenId, Timestamp, UnionId};
use feishu_broadcast::domain::keys::Rotating;
use feishu_broadcast::feishu::media::{ResourceError, ResourceKind};
use feishu_broadcast::feishu::people::PersonIdKind;
use feishu_broadcast::feishu::{Feishu, Settings};
use serde_json::json;

use crate::sandbox::{Company, Tenant, UnknownPeople};

fn client(tenant: &Tenant) -> anyhow::Result<Feishu> {
    let (app_id, app_secret) =
        tenant.with(|world| (world.app.app_id.clone(), Rotating::only(world.app.app_secret.clone().into())));
    let (open_url, accounts_url) = (tenant.open_url().parse()?, tenant.accounts_url().parse()?);
    Ok(Feishu::new(Settings { open_url, accounts_url, app_id, app_secret })?)
}

fn now(tenant: &Tenant) -> Timestamp {
    Timestamp(tenant.now_ms())
}

/// Puts a message into a person's chat with the bot.
fn writes(tenant: &Tenant, name: &str, msg_type: &str, content: &serde_json::Value, mentions: &[&str]) -> MessageId {
    let person = tenant.person(name);
    let event = person.writes(&person.chat_id(), msg_type, content, mentions, None);
    let id = event.body["event"]["message"]["message_id"].as_str().unwrap_or_default();
    MessageId::new(id).expect("the tenant gives ids")
}

/// The smallest PNG head that tells a size.
fn png(side: u32) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".as_slice(), &1_u32.to_be_bytes(), &side.to_be_bytes()].concat()
}

#[tokio::test]
async fn an_image_goes_from_somebodys_message_to_the_bots_own_key() -> anyhow::Result<()> {
    let tenant = Tenant::open(Company::small());
    let (feishu, now) = (client(&tenant)?, now(&tenant));
    let message = writes(&tenant, "王芳", "image", &json!({"image_key": "img_v3_hers"}), &[]);
    tenant.with(|world| {
        let sent = world.message_mut(message.as_str()).expect("was just written");
        sent.attachments.insert("img_v3_hers".into(), ("图.png".into(), png(9)));
    });
    assert!(!feishu.owns_image(now, "img_v3_hers").await?);
    // The token dies in between; nobody notices.
    tenant.revoke_app_tokens();
    let bytes = feishu.message_resource(now, &message, "img_v3_hers", ResourceKind::Image, 100).await?;
    assert_eq!(bytes, png(9));
    let small = feishu.message_resource(now, &message, "img_v3_hers", ResourceKind::Image, 10).await;
    assert!(matches!(small, Err(ResourceError::TooLarge { bytes_max: 10 })), "{small:?}");
    tenant.revoke_app_tokens();
    let key = feishu.upload_image(now, bytes).await?;
    assert!(feishu.owns_image(now, &key).await?);
    let refused = feishu.upload_image(now, png(12_001)).await.expect_err("too many pixels");
    assert_eq!(refused.code(), Some(234_039));
    let file = feishu.upload_file(now, "无效 ID.csv", b"id\r\n".to_vec()).await?;
    let (name, bytes) = tenant.with(|world| (world.files[&file].name.clone(), world.files[&file].bytes.clone()));
    assert_eq!((name.as_str(), bytes.as_slice()), ("无效 ID.csv", b"id\r\n".as_slice()));
    assert_eq!(tenant.violations(), [""; 0]);
    tenant.close().await;
    Ok(())
}

#[tokio::test]
async fn a_message_is_looked_up_with_words_and_people() -> anyhow::Result<()> {
    let tenant = Tenant::open(Company::small());
    let (feishu, now) = (client(&tenant)?, now(&tenant));
    let message = writes(&tenant, "王芳", "text", &json!({"text": "@群发助手 请看 @陈晨"}), &["群发助手", "陈晨"]);
    let fetched = feishu.get_message(now, &message).await?;
    assert_eq!((fetched.msg_type.as_str(), fetched.sender_is_this_app), ("text", false));
    let open_ids: Vec<Option<OpenId>> = fetched.mentions.iter().map(|mention| mention.open_id.clone()).collect();
    assert_eq!(open_ids, [None, OpenId::new(tenant.person("陈晨").open_id)]);
    let post = json!({"title": "通知", "content": [[{"tag": "text", "text": "你好"}]]});
    let message = writes(&tenant, "王芳", "post", &post, &[]);
    assert_eq!(feishu.get_message(now, &message).await?.posts()[0].1.title, "通知");
    assert_eq!(tenant.violations(), [""; 0]);
    tenant.close().await;
    Ok(())
}

#[tokio::test]
async fn people_are_found_however_they_are_named() -> anyhow::Result<()> {
    for unknown in [UnknownPeople::Missing, UnknownPeople::Refused] {
        let tenant = Tenant::open(Company::small().person("沈秘书", &[]));
        tenant.switch(|switches| {
            switches.unknown_people = unknown;
            switches.page_at_most = 1;
        });
        let (feishu, now) = (client(&tenant)?, now(&tenant));
        let chen = tenant.person("陈晨").employee();
        let open_id = OpenId::new(chen.open_id.clone());

        let emails = ["nobody@example.com".to_owned(), chen.email.to_uppercase()];
        let mobiles = [format!("+86{}", chen.mobile), chen.mobile.clone()];
        let found = feishu.find_by_address(now, &emails, &mobiles).await?;
        assert_eq!(found.emails, [None, open_id.clone()]);
        assert_eq!(found.mobiles, [open_id.clone(), open_id.clone()]);

        let union_id = UnionId::new(chen.union_id.clone()).expect("the tenant gives ids");
        let person = feishu.person(now, PersonIdKind::Union, union_id.as_str()).await?.expect("is shown");
        assert_eq!((person.open_id.clone(), person.name.as_str(), person.active), (open_id, "陈晨", true));
        assert_eq!(person.departments[0].as_str(), chen.departments[0]);
        let nobody = OpenId::new("ou_nobody").expect("an id");
        assert_eq!(feishu.person(now, PersonIdKind::Open, nobody.as_str()).await?, None);

        let ids = [chen.user_id.as_str(), "nobody", &tenant.person("许国强").employee().user_id.clone()];
        let people = match feishu.people(now, PersonIdKind::User, &ids).await? {
            Some(people) => people,
            // Where one unknown id makes the others unreadable.
            None => {
                let known = [ids[0], ids[2]];
                feishu.people(now, PersonIdKind::User, &known).await?.expect("both are known")
            }
        };
        let names: Vec<&str> = people.iter().map(|person| person.name.as_str()).collect();
        assert_eq!(names, ["陈晨", "许国强"]);
        assert!(people[1].departments.is_empty() && people[1].departments_known);

        let top: Vec<String> = feishu.top_departments(now).await?.into_iter().map(|found| found.name).collect();
        assert_eq!(top, ["市场部", "总经办", "销售部", "华东", "华南"]);
        assert_eq!(feishu.members_of_root(now).await?.len(), 2);

        tenant.console(|app| app.contact_range = Some(vec![chen.departments[0].clone()]));
        assert_eq!(feishu.top_departments(now).await.expect_err("not the whole company").code(), Some(40_004));
        assert_eq!(feishu.members_of_root(now).await.expect_err("not the whole company").code(), Some(40_004));
        let wang = OpenId::new(tenant.person("王芳").open_id).expect("the tenant gives ids");
        assert_eq!(feishu.person(now, PersonIdKind::Open, wang.as_str()).await?, None);
        assert_eq!(tenant.violations(), [""; 0]);
        tenant.close().await;
    }
    Ok(())
}
