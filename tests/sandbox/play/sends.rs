//! What people send: words, pictures, files, rich text, the card of a group, a forwarded card; and the bot's menu.
//!
//! As in a client, a picture or file is uploaded first, which gives its key, and the message has the key. The keys are
//! the sender's: the bot downloads what is behind them from the message, and from nowhere else.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use actix_web::http::header;
use actix_web::{HttpResponse, Responder, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::routes::{Play, stranger, wrong};
use crate::samples;
use crate::sandbox::http::pictures::look;
use crate::sandbox::{Company, Draft, Person, Pushed, cards};

/// Bytes of a picture in a message, as the platform's own limit for images.
const IMAGE_BYTES_MAX: usize = 10 << 20;

/// Bytes of a file in a message, as the platform's own limit for uploads.
const FILE_BYTES_MAX: usize = 30 << 20;

/// Room in a request for a file that is too large, so that it is refused in words.
const BODY_BYTES_MAX: usize = FILE_BYTES_MAX + (4 << 20);

/// Uploads that wait to be sent; older ones are forgotten.
const UPLOADS_MAX: usize = 60;

/// A picture or file that somebody is about to send.
pub struct Upload {
    key: String,
    /// open_id.
    owner: String,
    name: String,
    bytes: Vec<u8>,
}

type Answer = web::Json<Value>;

/// The routes of this file.
pub fn all(app: &mut web::ServiceConfig) {
    let upload = web::resource("/play/upload")
        .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
        .route(web::get().to(download))
        .route(web::post().to(upload));
    app.service(upload)
        .route("/play/say", web::post().to(say))
        .route("/play/send", web::post().to(send))
        .route("/play/sample", web::post().to(sample))
        .route("/play/menu", web::post().to(menu));
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

/// A file or picture that the bot uploaded or somebody sent. Only pictures are shown; anything else is for saving.
async fn download(play: web::Data<Play>, key: web::Query<Key>) -> HttpResponse {
    let key = &key.key;
    let found = play.tenant.with(|world| {
        let ours = world.images.get(key).or_else(|| world.files.get(key)).map(|upload| upload.bytes.clone());
        ours.or_else(|| {
            world.messages.iter().rev().find_map(|m| m.attachments.get(key)).map(|(_, bytes)| bytes.clone())
        })
    });
    let Some(bytes) = found else { return HttpResponse::NotFound().finish() };
    let kind = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'B', b'M', ..] => "image/bmp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => "application/octet-stream",
    };
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(bytes)
}

#[derive(Deserialize)]
struct Uploading {
    r#as: String,
    /// `image` or `file`.
    kind: String,
    name: String,
}

/// Takes the bytes of a picture or file, and gives their key.
async fn upload(play: web::Data<Play>, of: web::Query<Uploading>, bytes: web::Bytes) -> impl Responder {
    let Uploading { r#as: owner, kind, name } = of.into_inner();
    if play.tenant.person_by_id(&owner).is_none() {
        return stranger();
    }
    let image = kind == "image";
    let most = if image { IMAGE_BYTES_MAX } else { FILE_BYTES_MAX };
    if bytes.is_empty() {
        return wrong(&format!("“{name}”是空的，发不出去"), &format!("“{name}” is empty and cannot be sent"));
    }
    if bytes.len() > most {
        let (zh, en) = if image { ("图片", "a picture") } else { ("文件", "a file") };
        let most = most >> 20;
        return wrong(
            &format!("“{name}”太大：{zh}最大 {most} MB"),
            &format!("“{name}” is too large: {en} has at most {most} MB"),
        );
    }
    if image && look(&bytes).is_none() {
        return wrong(
            &format!("“{name}”不是飞书认识的图片，可以当文件发"),
            &format!("“{name}” is no picture that Feishu knows; send it as a file"),
        );
    }
    let key = play.tenant.with(|world| world.fresh_id(if image { "img_v3_" } else { "file_v3_" }));
    let mut uploads = play.uploads.lock().unwrap_or_else(PoisonError::into_inner);
    if uploads.len() >= UPLOADS_MAX {
        uploads.remove(0);
    }
    uploads.push(Upload { key: key.clone(), owner, name, bytes: bytes.to_vec() });
    web::Json(json!({"key": key}))
}

#[derive(Deserialize)]
struct Said {
    r#as: String,
    text: String,
    /// The message this is a reply to.
    reply_to: Option<String>,
}

async fn say(play: web::Data<Play>, said: web::Json<Said>) -> impl Responder {
    let Some(person) = play.tenant.person_by_id(&said.r#as) else { return stranger() };
    let company = play.tenant.company();
    let draft = Draft::text(&said.text).mentioning(&mentioned(&company, &said.text));
    deliver(&play, &person, draft, said.reply_to.as_deref()).await
}

#[derive(Deserialize)]
struct Sent {
    r#as: String,
    msg_type: String,
    content: Value,
    reply_to: Option<String>,
}

/// Sends what is no text.
async fn send(play: web::Data<Play>, sent: web::Json<Sent>) -> impl Responder {
    let Some(person) = play.tenant.person_by_id(&sent.r#as) else { return stranger() };
    match draft(&play, &person, &sent) {
        Ok(draft) => deliver(&play, &person, draft, sent.reply_to.as_deref()).await,
        Err(answer) => answer,
    }
}

/// What this becomes in the chat, as far as a client would let it be sent.
fn draft(play: &Play, person: &Person, sent: &Sent) -> Result<Draft, Answer> {
    let field = |name: &str| sent.content.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match sent.msg_type.as_str() {
        "image" => {
            let (key, upload) = take(play, person, &field("image_key"))?;
            Ok(Draft::image(&key, &upload.1))
        }
        "file" => {
            let (key, (name, bytes)) = take(play, person, &field("file_key"))?;
            Ok(Draft::file(&key, &name, &bytes))
        }
        "post" => rich(play, person, &sent.content),
        "share_chat" => {
            let chat_id = field("chat_id");
            let groups = play.tenant.company().groups;
            if groups.iter().any(|group| group.chat_id == chat_id && group.members.contains(&person.open_id)) {
                return Ok(Draft::chat(&chat_id));
            }
            Err(wrong("只能分享自己所在的群", "only groups that one is in can be shared"))
        }
        "interactive" if sent.content["type"] == "template" => Ok(Draft::card(sent.content.clone())),
        "interactive" => match cards::check(&sent.content) {
            Ok(()) => Ok(Draft::card(sent.content.clone())),
            Err(error) => Err(wrong(
                &format!("飞书里不会有这样的卡片：{error}"),
                &format!("there is no such card in Feishu: {error}"),
            )),
        },
        other => Err(wrong(&format!("演练场不会发 {other}"), &format!("the playground does not send {other}"))),
    }
}

/// A picture or file that this person uploaded; it leaves with the message.
fn take(play: &Play, person: &Person, key: &str) -> Result<(String, (String, Vec<u8>)), Answer> {
    let mut uploads = play.uploads.lock().unwrap_or_else(PoisonError::into_inner);
    match uploads.iter().position(|upload| upload.key == key && upload.owner == person.open_id) {
        Some(at) => {
            let upload = uploads.remove(at);
            Ok((upload.key, (upload.name, upload.bytes)))
        }
        None => Err(wrong("图片或文件还没有上传，请重新选择", "the picture or file was not uploaded; choose it again")),
    }
}

/// Rich text with the pictures in it, and people called by `@name`.
fn rich(play: &Play, person: &Person, post: &Value) -> Result<Draft, Answer> {
    let company = play.tenant.company();
    let (mut lines, mut attachments) = (vec![], BTreeMap::new());
    for line in post["content"].as_array().into_iter().flatten() {
        let mut nodes = vec![];
        for node in line.as_array().into_iter().flatten() {
            match (node["tag"].as_str(), node["image_key"].as_str()) {
                (Some("text"), _) => nodes.extend(called(&company, node)),
                // The same picture may stand in two places.
                (Some("img"), Some(key)) if !attachments.contains_key(key) => {
                    let (key, upload) = take(play, person, key)?;
                    attachments.insert(key, upload);
                    nodes.push(node.clone());
                }
                _ => nodes.push(node.clone()),
            }
        }
        lines.push(nodes);
    }
    let content = json!({"content": lines, "title": post["title"].as_str().unwrap_or_default()});
    let names: Vec<String> = mentioned(&company, &content.to_string()).into_iter().map(str::to_owned).collect();
    Ok(Draft { mentions: names, attachments, ..Draft::post(content) })
}

/// A text node, cut at each `@name`, which becomes a node of its own.
fn called(company: &Company, node: &Value) -> Vec<Value> {
    let mut rest = node["text"].as_str().unwrap_or_default();
    let mut nodes = vec![];
    let text = |text: &str| {
        let mut node = node.clone();
        node["text"] = text.into();
        node
    };
    for name in mentioned(company, rest) {
        let Some((before, after)) = rest.split_once(&format!("@{name}")) else { continue };
        nodes.extend((!before.is_empty()).then(|| text(before)));
        nodes.push(json!({"tag": "at", "user_id": format!("@{name}"), "user_name": name, "style": []}));
        rest = after;
    }
    nodes.extend((!rest.is_empty() || nodes.is_empty()).then(|| text(rest)));
    nodes
}

/// Whom a text calls by `@name`, in the order in which they stand there. Of two names the longer one is meant.
fn mentioned<'a>(company: &'a Company, text: &str) -> Vec<&'a str> {
    let names: Vec<&str> = company.people.iter().map(|p| p.name.as_str()).chain([company.bot_name.as_str()]).collect();
    let here = |after: &str| names.iter().copied().filter(|name| after.starts_with(name)).max_by_key(|name| name.len());
    text.split('@').skip(1).filter_map(here).collect()
}

#[derive(Deserialize)]
struct Sampled {
    r#as: String,
    /// `csv` or `xlsx`.
    id: String,
    /// The language of the names and headings: `zh` or `en`.
    lang: String,
}

/// Sends a list that lies ready.
async fn sample(play: web::Data<Play>, sampled: web::Json<Sampled>) -> impl Responder {
    let Some(person) = play.tenant.person_by_id(&sampled.r#as) else { return stranger() };
    let Some((name, bytes)) = samples::list(&play.tenant.company(), &sampled.id, sampled.lang == "en") else {
        return wrong("没有这个示例", "there is no such sample");
    };
    let key = play.tenant.with(|world| world.fresh_id("file_v3_"));
    deliver(&play, &person, Draft::file(&key, &name, &bytes), None).await
}

/// Puts a draft into the chat with the bot, and pushes its event.
async fn deliver(play: &Play, person: &Person, draft: Draft, reply_to: Option<&str>) -> Answer {
    play.tenant.set_browser(&person.name);
    let draft = match reply_to {
        Some(parent) => draft.replying(parent),
        None => draft,
    };
    let event = person.drafts(&person.chat_id(), draft);
    let pushed = play.tenant.push(&event).await;
    if play.twice.load(Ordering::Relaxed) {
        play.tenant.push(&event).await;
    }
    taken(&pushed)
}

#[derive(Deserialize)]
struct Chosen {
    r#as: String,
    event_key: String,
}

/// Chooses an item of the bot's menu.
async fn menu(play: web::Data<Play>, chosen: web::Json<Chosen>) -> impl Responder {
    let Some(person) = play.tenant.person_by_id(&chosen.r#as) else { return stranger() };
    play.tenant.set_browser(&person.name);
    taken(&person.chooses(&chosen.event_key).await)
}

/// Whether the bot took a push.
fn taken(pushed: &Pushed) -> Answer {
    if pushed.accepted() {
        return web::Json(json!({}));
    }
    let (zh, en) = match pushed.status {
        0 => ("没有回答".to_owned(), "no answer".to_owned()),
        status => (format!("HTTP {status}"), format!("HTTP {status}")),
    };
    wrong(
        &format!("机器人没有收下（{zh}），平台稍后会再推送"),
        &format!("the bot did not take it ({en}); the platform will push it again"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Tenant;

    #[test]
    fn people_are_called_in_their_order_and_by_their_whole_names() {
        let company = Company::small().person("王芳芳", &["市场部"]);
        let text = "@王芳芳，@王芳 和 @陈晨，a@b.com，再 @王芳";
        assert_eq!(mentioned(&company, text), ["王芳芳", "王芳", "陈晨", "王芳"]);
    }

    #[tokio::test]
    async fn rich_text_takes_its_pictures_along_and_calls_people() {
        let tenant = Tenant::open(Company::small());
        let play = Play::new(tenant.clone(), "", "");
        let (wang, chen) = (tenant.person("王芳"), tenant.person("陈晨"));
        let upload = |key: &str| Upload {
            key: key.into(),
            owner: wang.open_id.clone(),
            name: "图".into(),
            bytes: b"GIF89a".into(),
        };
        play.uploads.lock().expect("nobody panics here").extend([upload("img_1"), upload("img_2")]);
        let img = json!([{"tag": "img", "image_key": "img_1"}]);
        let text = json!([{"tag": "text", "text": "问 @陈晨。", "style": ["bold"]}]);
        let post = json!({"title": "通知", "content": [text, img, img]});
        let sent = |content: &Value| Sent {
            r#as: wang.open_id.clone(),
            msg_type: "post".into(),
            content: content.clone(),
            reply_to: None,
        };
        assert!(draft(&play, &chen, &sent(&post)).is_err(), "somebody else's picture");
        let made = draft(&play, &wang, &sent(&post)).unwrap_or_else(|answer| panic!("{}", answer.0));
        assert_eq!(made.attachments.keys().collect::<Vec<_>>(), ["img_1"]);
        assert_eq!(made.content["content"][0].as_array().map(Vec::len), Some(3));
        let event = wang.drafts(&wang.chat_id(), made);
        let content = event.body["event"]["message"]["content"].as_str().unwrap_or_default().to_owned();
        assert!(content.contains(r#""user_id":"@_user_1""#) && content.contains(r#""user_name":"陈晨""#), "{content}");
        assert!(draft(&play, &wang, &sent(&post)).is_err(), "the picture has left already");
        tenant.close().await;
    }

    #[tokio::test]
    async fn only_groups_that_one_is_in_are_shared_and_only_real_cards_forwarded() {
        let tenant = Tenant::open(Company::small());
        let play = Play::new(tenant.clone(), "", "");
        let try_as = |name: &str, msg_type: &str, content: Value| {
            let sent = Sent { r#as: String::new(), msg_type: msg_type.into(), content, reply_to: None };
            draft(&play, &tenant.person(name), &sent).is_ok()
        };
        let group = json!({"chat_id": tenant.group("项目群").chat_id});
        assert!(try_as("王芳", "share_chat", group.clone()) && !try_as("林悦", "share_chat", group));
        assert!(try_as("王芳", "interactive", json!({"elements": [{"tag": "hr"}]})));
        assert!(!try_as("王芳", "interactive", json!({"schema": "2.0", "body": {"elements": [{"tag": "note"}]}})));
        tenant.close().await;
    }
}
