//! Receiving: who gets in at the two POST routes, who does not, and what a repeat changes.

mod door;
mod repeats;
mod rotation;
mod shapes;
mod strangers;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::sandbox::{Event, PushKind, Pushed, RawPush, seal};
use crate::stage::Stage;

/// Both routes take everything, so that one address in the console also works.
const ROUTES: [&str; 2] = ["/feishu/event", "/feishu/card"];

/// The settings of a bot without an Encrypt Key.
const PLAINTEXT: [(&str, &str); 2] = [("FEISHU_ENCRYPT_KEY", ""), ("FEISHU_ALLOW_PLAINTEXT", "true")];

/// The app's Encrypt Key; empty where it has none.
fn encrypt_key(stage: &Stage) -> String {
    stage.tenant.with(|world| world.app.encrypt_key.clone().unwrap_or_default())
}

fn verification_token(stage: &Stage) -> String {
    stage.tenant.with(|world| world.app.verification_token.clone())
}

/// `{"encrypt": …}` around any bytes, unsigned.
fn sealed(stage: &Stage, plain: &[u8]) -> Vec<u8> {
    json!({ "encrypt": seal::encrypt(&encrypt_key(stage), seal::random_iv(), plain) }).to_string().into_bytes()
}

/// Any body with a right signature under this timestamp.
fn signed_at(stage: &Stage, body: Vec<u8>, timestamp: &str) -> RawPush {
    let signature = seal::sign(timestamp, "nonce-1", &encrypt_key(stage), &body);
    RawPush::of(body)
        .header("X-Lark-Request-Timestamp", timestamp)
        .header("X-Lark-Request-Nonce", "nonce-1")
        .header("X-Lark-Signature", &signature)
}

/// Any body with a right signature of this moment.
fn signed(stage: &Stage, body: Vec<u8>) -> RawPush {
    let seconds = stage.tenant.now_ms() / 1000;
    signed_at(stage, body, &seconds.to_string())
}

/// Any JSON, sealed and signed as Feishu would.
fn genuine(stage: &Stage, plain: &Value) -> RawPush {
    signed(stage, sealed(stage, plain.to_string().as_bytes()))
}

/// An event of any type, with a genuine header.
fn event(stage: &Stage, event_type: &str, inner: Value) -> Event {
    stage.tenant.with(|world| world.event(PushKind::Event, event_type, inner))
}

/// Posts to one of the routes, whatever the push was meant for.
async fn post(stage: &Stage, raw: &RawPush, route: &str) -> Pushed {
    stage.tenant.post(&RawPush { path: route.into(), ..raw.clone() }).await
}

/// The id under which Feishu knows the message of an event.
fn message_id(event: &Event) -> String {
    event.body["event"]["message"]["message_id"].as_str().expect("a message has an id").to_owned()
}

/// Nothing of these words is on the bot's disk.
async fn assert_not_on_disk(stage: &Stage, words: &[&str]) {
    let disk = stage.disk().await.expect("the store can be read");
    for word in words {
        let there = disk.windows(word.len()).any(|bytes| bytes == word.as_bytes());
        assert!(!there, "`{word}` is on the disk");
    }
}

/// The bot has neither stored the event nor spoken to Feishu.
async fn assert_untouched(stage: &Stage, event: &Event) {
    let open = stage.bot.app.store.events_open().await.expect("the store answers");
    assert_eq!(open, 0, "an event was stored");
    assert_not_on_disk(stage, &[&event.event_id, &message_id(event)]).await;
    let calls = stage.tenant.calls();
    assert!(calls.is_empty(), "the bot called {}", calls[0].path);
}

/// How many cards this person has from the bot.
fn cards_of(stage: &Stage, name: &str) -> usize {
    stage.person(name).chat().iter().filter(|message| message.from_bot && message.card.is_some()).count()
}

/// How many messages of any kind this person has from the bot.
fn answers_to(stage: &Stage, name: &str) -> usize {
    stage.person(name).chat().iter().filter(|message| message.from_bot).count()
}

/// Writes these parts to the bot, two seconds apart, and reads what comes back until it closes or falls silent.
async fn talk(address: SocketAddr, parts: Vec<Vec<u8>>) -> anyhow::Result<String> {
    tokio::task::spawn_blocking(move || {
        let mut wire = TcpStream::connect(address)?;
        wire.set_read_timeout(Some(Duration::from_secs(5)))?;
        wire.set_write_timeout(Some(Duration::from_secs(5)))?;
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                std::thread::sleep(Duration::from_secs(2));
            }
            // The bot may answer and hang up before all is written.
            let _hung_up = wire.write_all(part);
        }
        let mut answer = vec![];
        let mut part = [0; 4096];
        while let Ok(count @ 1..) = wire.read(&mut part) {
            answer.extend_from_slice(&part[..count]);
            if answer.ends_with(b"}") {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    })
    .await?
}
