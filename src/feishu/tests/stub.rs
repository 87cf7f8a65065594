//! A server for one test: answers each request as a closure says, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use url::Url;

use crate::domain::ids::Timestamp;
use crate::domain::keys::Rotating;
use crate::feishu::{Feishu, Settings};

pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query as written.
    pub target: String,
    pub headers: Vec<(String, String)>,
    /// Null where it is no JSON.
    pub body: Value,
    pub bytes: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn is(&self, part: &str) -> bool {
        self.target.contains(part)
    }
}

/// What the server does with a request.
pub enum Reply {
    /// Status, header lines, body; the connection is closed afterwards.
    Whole(u16, &'static str, String),
    /// Header lines and the bytes of a file, with status 200.
    File(&'static str, Vec<u8>),
    /// JSON, and the connection stays open.
    KeptAlive(Value),
    /// A part of an answer, then nothing more.
    Torn(&'static str),
    /// Reads the request and hangs up.
    HangUp,
}

impl Reply {
    pub fn ok(body: Value) -> Self {
        Self::Whole(200, "", body.to_string())
    }

    pub fn code(status: u16, code: i64) -> Self {
        Self::Whole(status, "", json!({"code": code, "msg": "no"}).to_string())
    }

    pub fn token(token: &str) -> Self {
        Self::ok(json!({"code": 0, "msg": "ok", "tenant_access_token": token, "expire": 7200}))
    }
}

/// The server, and the client that speaks to it.
pub struct Stub {
    pub feishu: Feishu,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    /// Requests whose target contains `part`, in order.
    pub fn seen(&self, part: &str) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no test panics while it holds this");
        seen.iter().filter(|seen| seen.is(part)).cloned().collect()
    }
}

/// Answers everything by `answer`; the number counts the requests with the same path from 0.
pub fn stub(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Stub {
    stub_of(usize::MAX, answer)
}

/// Hands out the token `t-1`, and answers all else by `answer`.
pub fn signed_in(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Stub {
    stub(move |seen, nth| if seen.is("/tenant_access_token/") { Reply::token("t-1") } else { answer(seen, nth) })
}

/// The same for so many connections, one after the other; then the door is shut.
pub fn stub_of(connections: usize, answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Stub {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("a bound address"));
    let (seen, answer) = (Arc::new(Mutex::new(vec![])), Arc::new(answer));
    let log = seen.clone();
    std::thread::spawn(move || {
        let limited = connections < usize::MAX;
        for stream in listener.incoming().take(connections).map_while(Result::ok) {
            let (log, answer) = (log.clone(), answer.clone());
            let serving = std::thread::spawn(move || serve(stream, &log, &*answer));
            if limited {
                let _ = serving.join();
            }
        }
    });
    Stub { feishu: client(&origin), seen }
}

pub fn client(origin: &str) -> Feishu {
    let url: Url = origin.parse().expect("an origin");
    let (app_id, app_secret) = ("cli_1".to_owned(), Rotating::only("app-secret-1".into()));
    Feishu::new(Settings { open_url: url.clone(), accounts_url: url, app_id, app_secret }).expect("a client")
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Seen>>, answer: &dyn Fn(&Seen, usize) -> Reply) {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = request(&mut reader) {
        let path = seen.target.split('?').next().unwrap_or_default().to_owned();
        let nth = {
            let mut log = log.lock().expect("no test panics while it holds this");
            log.push(seen.clone());
            log.iter().filter(|seen| seen.target.split('?').next() == Some(&path)).count() - 1
        };
        let (bytes, stay) = match answer(&seen, nth) {
            Reply::Whole(status, headers, body) => {
                (whole(status, &format!("Connection: close\r\n{headers}"), body.as_bytes()), false)
            }
            Reply::File(headers, bytes) => (whole(200, &format!("Connection: close\r\n{headers}"), &bytes), false),
            Reply::KeptAlive(body) => (whole(200, "", body.to_string().as_bytes()), true),
            Reply::Torn(text) => (text.as_bytes().to_vec(), false),
            Reply::HangUp => (vec![], false),
        };
        let _ = reader.get_mut().write_all(&bytes);
        if !stay {
            return;
        }
    }
}

fn whole(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let line = |reader: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line(reader)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = vec![];
    loop {
        let header = line(reader)?;
        match header.split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let mut seen = Seen { method, target, headers, body: Value::Null, bytes: vec![] };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    seen.bytes = vec![0; length];
    reader.read_exact(&mut seen.bytes).ok()?;
    seen.body = serde_json::from_slice(&seen.bytes).unwrap_or_default();
    Some(seen)
}
