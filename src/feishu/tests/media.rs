//! Files that come and files that go.

use serde_json::json;

use super::stub::{NOW, Reply, Seen, signed_in, stub};
use crate::domain::ids::MessageId;
use crate::feishu::error::Nonsense;
use crate::feishu::media::{ResourceError, ResourceKind};
use crate::feishu::{CallError, Class};

/// No text in any encoding.
const BYTES: [u8; 6] = [0x89, b'P', b'N', b'G', 0xff, 0];

async fn fetch(
    bytes_max: usize,
    answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
) -> Result<Vec<u8>, ResourceError> {
    let stub = signed_in(answer);
    let message = MessageId::new("om_1").expect("an id");
    stub.feishu.message_resource(NOW, &message, "file_1", ResourceKind::File, bytes_max).await
}

#[tokio::test]
async fn a_file_is_fetched_from_its_message_byte_by_byte() {
    let stub = signed_in(|_, _| Reply::File("Content-Type: image/png\r\n", BYTES.to_vec()));
    let message = MessageId::new("om_1").expect("an id");
    for (kind, query) in [(ResourceKind::Image, "image"), (ResourceKind::File, "file")] {
        let read = stub.feishu.message_resource(NOW, &message, "a/b?c", kind, 6).await;
        assert_eq!(read.expect("a file"), BYTES);
        let target = format!("/open-apis/im/v1/messages/om_1/resources/a%2Fb%3Fc?type={query}");
        let seen = stub.seen(&target);
        assert_eq!(seen.len(), 1, "{target}");
        assert_eq!((seen[0].method.as_str(), seen[0].header("authorization")), ("GET", Some("Bearer t-1")));
    }
    let read = async move { stub.feishu.message_resource(NOW, &message, "file_1", ResourceKind::File, 6).await };
    assert_eq!(tokio::spawn(read).await.expect("no task panics").expect("a file"), BYTES);
    assert!(fetch(0, |_, _| Reply::File("", vec![])).await.expect("a file").is_empty());
}

#[tokio::test]
async fn a_file_that_is_too_large_is_given_up() {
    let announced = fetch(5, |_, _| Reply::File("", BYTES.to_vec())).await;
    assert!(matches!(announced, Err(ResourceError::TooLarge { bytes_max: 5 })), "{announced:?}");
    // Nobody says beforehand how much it is, and the rest never comes.
    let torn = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n";
    let streamed = fetch(5, move |_, _| Reply::Torn(torn)).await;
    assert!(matches!(streamed, Err(ResourceError::TooLarge { bytes_max: 5 })), "{streamed:?}");
    let broken = fetch(6, move |_, _| Reply::Torn(torn)).await;
    assert!(matches!(broken, Err(ResourceError::Call(CallError::Unanswered { .. }))), "{broken:?}");
}

#[tokio::test]
async fn the_refusal_of_a_file_is_json_whatever_it_calls_itself() {
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    let text = "Content-Type: text/plain\r\n";
    for (status, headers) in [(400, json), (400, text), (400, ""), (200, json)] {
        let answer = move |_: &Seen, _| Reply::Whole(status, headers, json!({"code": 234003, "msg": "no"}).to_string());
        let Err(ResourceError::Call(error)) = fetch(100, answer).await else { panic!("{status} {headers}") };
        assert_eq!((error.code(), error.class()), (Some(234003), Class::Permanent), "{status} {headers}");
    }
    for status in [400, 502] {
        let answer = move |_: &Seen, _| Reply::Whole(status, "Content-Type: text/html\r\n", "<html>".into());
        let Err(ResourceError::Call(error)) = fetch(100, answer).await else { panic!("{status}") };
        assert!(matches!(error, CallError::Unreadable { why: Nonsense::NotJson, .. }), "{error:?}");
    }
    let Err(ResourceError::Call(error)) = fetch(100, |_, _| Reply::code(404, 0)).await else { panic!("no file") };
    assert!(matches!(error, CallError::Unreadable { why: Nonsense::Incomplete, status: 404, .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_of_json_is_a_file() {
    let json = "Content-Type: application/json\r\n";
    let named = "Content-Type: application/json\r\nContent-Disposition: attachment; filename=\"a.json\"\r\n";
    for (headers, body) in [(json, r#"{"a":1}"#), (json, "[1]"), (json, "{"), (named, r#"{"code":5}"#)] {
        let read = fetch(10, move |_, _| Reply::File(headers, body.into())).await;
        assert_eq!(read.expect("a file"), body.as_bytes());
    }
    let read = fetch(6, move |_, _| Reply::File(json, r#"{"a":1}"#.into())).await;
    assert!(matches!(read, Err(ResourceError::TooLarge { bytes_max: 6 })), "{read:?}");
}

/// Hands out `t-1`, then `t-2`; refuses the first by `code`.
fn renewing(code: i64, good: fn() -> Reply) -> super::stub::Stub {
    stub(move |seen, nth| match (seen.is("/tenant_access_token/"), nth) {
        (true, 0) => Reply::token("t-1"),
        (true, _) => Reply::token("t-2"),
        (false, 0) => Reply::code(400, code),
        (false, _) => good(),
    })
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_files_too() {
    for code in [99991663, 234002] {
        let stub = renewing(code, || Reply::File("", BYTES.to_vec()));
        let message = MessageId::new("om_1").expect("an id");
        let read = stub.feishu.message_resource(NOW, &message, "file_1", ResourceKind::File, 100).await;
        assert_eq!(read.expect("a file"), BYTES);
        let seen = stub.seen("/resources/");
        assert_eq!((seen.len(), seen[1].header("authorization")), (2, Some("Bearer t-2")), "{code}");
    }
    let always = signed_in(|_, _| Reply::code(400, 99991663));
    let message = MessageId::new("om_1").expect("an id");
    let read = always.feishu.message_resource(NOW, &message, "file_1", ResourceKind::File, 100).await;
    assert!(matches!(read, Err(ResourceError::Call(CallError::Refused(_)))), "{read:?}");
    assert_eq!(always.seen("/resources/").len(), 2);
}

/// The parts of a form: name, filename, bytes.
fn parts(seen: &Seen) -> Vec<(String, Option<String>, Vec<u8>)> {
    let kind = seen.header("content-type").expect("a content type");
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a form");
    let split = format!("--{boundary}");
    let position = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).position(|window| window == part);
    let mut found = vec![];
    let mut rest = seen.bytes.as_slice();
    while let Some(at) = position(rest, split.as_bytes()) {
        rest = &rest[at + split.len()..];
        let Some(head_end) = position(rest, b"\r\n\r\n") else { break };
        let head = String::from_utf8(rest[..head_end].to_vec()).expect("a head is text");
        let end = position(rest, format!("\r\n{split}").as_bytes()).expect("an end");
        let value = |key: &str| {
            let words = head.split(';').map(str::trim);
            let found = words.filter_map(|word| word.strip_prefix(key)?.strip_prefix("=\"")?.strip_suffix('"'));
            found.map(str::to_owned).next()
        };
        found.push((value("name").expect("a name"), value("filename"), rest[head_end + 4..end].to_vec()));
    }
    found
}

fn field(name: &str, value: &str) -> (String, Option<String>, Vec<u8>) {
    (name.to_owned(), None, value.as_bytes().to_vec())
}

#[tokio::test]
async fn an_upload_is_a_form_and_is_made_anew_for_a_fresh_token() {
    let stub =
        renewing(99991663, || Reply::ok(json!({"code": 0, "data": {"image_key": "img_v3_1", "file_key": "f_1"}})));
    assert_eq!(stub.feishu.upload_image(NOW, BYTES.to_vec()).await.expect("a key"), "img_v3_1");
    assert_eq!(stub.feishu.upload_file(NOW, "无效 ID.csv", b"a,b\r\n".to_vec()).await.expect("a key"), "f_1");

    let images = stub.seen("/open-apis/im/v1/images");
    assert_eq!(images.len(), 2);
    for image in &images {
        assert_eq!((image.method.as_str(), image.target.as_str()), ("POST", "/open-apis/im/v1/images"));
        let file = ("image".to_owned(), Some("image".to_owned()), BYTES.to_vec());
        assert_eq!(parts(image), [field("image_type", "message"), file]);
    }
    assert_eq!(images[1].header("authorization"), Some("Bearer t-2"));

    let file = stub.seen("/open-apis/im/v1/files").pop().expect("an upload");
    let csv = ("file".to_owned(), Some("file".to_owned()), b"a,b\r\n".to_vec());
    assert_eq!(parts(&file), [field("file_type", "stream"), field("file_name", "无效 ID.csv"), csv]);
}

#[tokio::test]
async fn an_upload_without_a_key_is_no_success_and_a_refusal_says_why() {
    for data in [json!({}), json!({"image_key": ""}), json!(null)] {
        let stub = signed_in(move |_, _| Reply::ok(json!({"code": 0, "data": data})));
        let error = stub.feishu.upload_image(NOW, BYTES.to_vec()).await.expect_err("no key");
        assert!(matches!(error, CallError::Unreadable { why: Nonsense::Incomplete, .. }), "{error:?}");
    }
    for (code, class) in [
        (234006, Class::Permanent),
        (234011, Class::Permanent),
        (234039, Class::Permanent),
        (234007, Class::FixSetup),
        (232096, Class::Retry { after: None }),
    ] {
        let stub = signed_in(move |_, _| Reply::code(400, code));
        let error = stub.feishu.upload_image(NOW, BYTES.to_vec()).await.expect_err("refused");
        assert_eq!((error.code(), error.class()), (Some(code), class));
    }
}

#[tokio::test]
async fn whose_an_image_is_shows_before_its_body_does() {
    // The body stops short of what it promises: reading it to its end would be an error.
    let own = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 5000000\r\n\r\nPNG";
    let stub = signed_in(move |seen, _| match seen.target.rsplit('/').next() {
        Some("own") => Reply::Torn(own),
        Some("foreign") => Reply::code(400, 234008),
        Some("gone") => Reply::code(400, 234005),
        _ => Reply::code(400, 234042),
    });
    let owns = async |key: &str| stub.feishu.owns_image(NOW, key).await.map_err(|error| error.code());
    assert_eq!(owns("own").await, Ok(true));
    assert_eq!((owns("foreign").await, owns("gone").await), (Ok(false), Ok(false)));
    assert_eq!(owns("broken").await, Err(Some(234042)));
    assert_eq!(stub.seen("/images/own")[0].target, "/open-apis/im/v1/images/own");

    let asked = stub.seen("/images").len();
    for key in ["", ".", ".."] {
        assert_eq!(owns(key).await, Ok(false), "{key}");
    }
    assert_eq!(stub.seen("/images").len(), asked, "such a key would make another address");
}
