//! The calls this program makes, over one HTTP client.
//!
//! One private path for all: attach the token, send, and let `answer` read what comes back. A refused app token is
//! renewed and the call made once more, but for `batch_send`: each of its calls has a moment of its own in the pace.
//!
//! Nothing else is ever repeated here. There are no redirects, and the HTTP library's own replays of refused streams
//! are off. What remains is that it moves a request to a fresh connection when the idle one it had picked turns out
//! closed before the request was handed over; not a byte was written then, and anything later is an error
//! (`hyper-util` returns the unsent request in exactly that case). Sources: "Request and response structure" of the
//! API call guide; the token rules in [`super::token`].

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::multipart::{self, Part};
use reqwest::{Method, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::{Host, Url};

use super::answer::{Answer, note, read, transport};
use super::codes::Call;
use super::error::{CallError, Class};
use super::pauses::Pauses;
use super::token::TenantTokens;
use super::wire::{number, text, text_or_empty};
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::keys::Rotating;

/// Time to connect, TLS included.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Time for a whole call. `batch_send` gets more of it, since giving up on it too early costs a person's decision, and
/// so do files: 30 MB in half a minute is what an ordinary line carries.
const fn time_max(call: Call) -> Duration {
    match call {
        Call::BatchSend | Call::MessageResource | Call::UploadImage | Call::UploadFile => Duration::from_secs(30),
        _ => Duration::from_secs(10),
    }
}

/// Time an idle connection is kept. Well below the minute after which gateways hang up by themselves, since a request
/// that meets such a hang-up is one whose fate nobody knows.
pub const IDLE_MAX: Duration = Duration::from_secs(20);

/// Where Feishu is, and who we are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Origin of the Open API, e.g. `https://open.feishu.cn`.
    pub open_url: Url,
    /// Origin of the page where people authorize, e.g. `https://accounts.feishu.cn`. Never derived from the other.
    pub accounts_url: Url,
    pub app_id: String,
    pub app_secret: Rotating<SecretString>,
}

/// The settings cannot make a client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("{0} is no web address")]
    NoWebAddress(&'static str),
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

/// Feishu, as one app speaks to it. Cheap to clone; clones share connections and the token.
#[derive(Debug, Clone)]
pub struct Feishu {
    pub(super) http: reqwest::Client,
    pub(super) settings: Settings,
    tokens: TenantTokens,
    pauses: Pauses,
}

/// Who the bot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotInfo {
    pub open_id: OpenId,
    pub app_name: String,
    /// 2 is enabled; anything else needs an admin. `None` where Feishu does not say.
    pub activate_status: Option<u64>,
}

/// One request, before it has a token.
#[derive(Debug, Clone)]
pub(super) struct Ask<'a> {
    pub call: Call,
    pub method: Method,
    /// What stands for the `:segments` of the call's path, in their order.
    pub ids: Vec<&'a str>,
    pub query: Vec<(&'static str, &'a str)>,
    pub body: Body<'a>,
}

/// What a request carries. Whole and in memory, so that it can be sent again with a fresh token.
#[derive(Debug, Clone)]
pub(super) enum Body<'a> {
    Nothing,
    Json(String),
    Form(Form<'a>),
}

/// A file and what is said about it. Copies share the bytes.
#[derive(Debug, Clone)]
pub(super) struct Form<'a> {
    pub fields: Vec<(&'static str, &'a str)>,
    /// The part that holds the file. Its filename in the form is this very name: one there must be, or the part does not
    /// count as a file, and what the file is called is a field of its own.
    pub part: &'static str,
    pub bytes: Bytes,
}

impl Form<'_> {
    fn multipart(&self) -> multipart::Form {
        let length = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let file = Part::stream_with_length(self.bytes.clone(), length).file_name(self.part);
        let form = self.fields.iter().fold(multipart::Form::new(), |form, (name, value)| {
            // The form outlives this request.
            form.text(*name, (*value).to_owned())
        });
        form.part(self.part, file)
    }
}

impl<'a> Ask<'a> {
    pub fn get(call: Call) -> Self {
        Self { call, method: Method::GET, ids: vec![], query: vec![], body: Body::Nothing }
    }

    pub fn delete(call: Call) -> Self {
        Self { method: Method::DELETE, ..Self::get(call) }
    }

    pub fn post(call: Call, body: &Value) -> Self {
        Self::post_text(call, body.to_string())
    }

    /// The same with JSON that is text already.
    pub fn post_text(call: Call, json: String) -> Self {
        Self { method: Method::POST, body: Body::Json(json), ..Self::get(call) }
    }

    pub fn upload(call: Call, form: Form<'a>) -> Self {
        Self { method: Method::POST, body: Body::Form(form), ..Self::get(call) }
    }

    /// The next `:segment`.
    pub fn id(mut self, id: &'a str) -> Self {
        self.ids.push(id);
        self
    }

    pub fn with(mut self, name: &'static str, value: &'a str) -> Self {
        self.query.push((name, value));
        self
    }
}

impl Feishu {
    /// Builds the client; nothing is sent yet.
    ///
    /// # Errors
    /// [`SetupError`] if an origin is no web address, or if the machine cannot do TLS.
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        for (name, url) in
            [("the Open API origin", &settings.open_url), ("the accounts origin", &settings.accounts_url)]
        {
            if !matches!(url.scheme(), "http" | "https") {
                return Err(SetupError::NoWebAddress(name));
            }
        }
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .user_agent(concat!("feishu-broadcast/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&settings.open_url) {
            // A proxy of the environment is for the way out, not for a tenant on this machine.
            http = http.no_proxy();
        }
        let http = http.build().map_err(SetupError::Client)?;
        Ok(Self { http, settings, tokens: TenantTokens::default(), pauses: Pauses::default() })
    }

    /// Origin of the Open API.
    pub fn open_url(&self) -> &Url {
        &self.settings.open_url
    }

    pub fn app_id(&self) -> &str {
        &self.settings.app_id
    }

    /// Who the bot is, and whether it is enabled.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn bot_info(&self, now: Timestamp) -> Result<BotInfo, CallError> {
        let answer = self.ask_as_app(now, &Ask::get(Call::BotInfo)).await?;
        let Some(open_id) = text(&answer.body, "/bot/open_id").and_then(OpenId::new) else {
            return Err(answer.incomplete());
        };
        Ok(BotInfo {
            open_id,
            app_name: text_or_empty(&answer.body, "/bot/app_name"),
            activate_status: number(&answer.body, "/bot/activate_status"),
        })
    }

    /// Makes a call in the app's name, once more with a fresh token if Feishu refuses the one in hand. While Feishu
    /// wants a pause of this endpoint, nothing is sent there, and the answer is the one that asked for it.
    pub(super) async fn ask_as_app(&self, now: Timestamp, ask: &Ask<'_>) -> Result<Answer, CallError> {
        self.read_as_app(now, ask, read).await
    }

    /// The same for an answer that may be a file: `read` makes of it what it is.
    pub(super) async fn read_as_app<T, Fut>(
        &self,
        now: Timestamp,
        ask: &Ask<'_>,
        read: impl Fn(Call, Response) -> Fut,
    ) -> Result<T, CallError>
    where
        Fut: Future<Output = Result<T, CallError>>,
    {
        match self.read_as_app_once(now, ask, &read).await {
            Err(CallError::Refused(refusal)) if refusal.class() == Class::Reauthenticate => {
                self.read_as_app_once(now, ask, &read).await
            }
            answer => answer,
        }
    }

    /// One call in the app's name and no other, for what must not leave unasked: a token that Feishu refuses is only
    /// forgotten, so that this process's next call has a fresh one.
    pub(super) async fn ask_as_app_once(&self, now: Timestamp, ask: &Ask<'_>) -> Result<Answer, CallError> {
        self.read_as_app_once(now, ask, read).await
    }

    async fn read_as_app_once<T, Fut>(
        &self,
        now: Timestamp,
        ask: &Ask<'_>,
        read: impl Fn(Call, Response) -> Fut,
    ) -> Result<T, CallError>
    where
        Fut: Future<Output = Result<T, CallError>>,
    {
        let started = Instant::now();
        let token = self.tenant_token(now).await?;
        let now = now.after(started.elapsed());
        let answer = self.unless_paused(now, ask.call, self.read_once(ask, Some(&token), read)).await;
        if let Err(CallError::Refused(refusal)) = &answer
            && refusal.class() == Class::Reauthenticate
        {
            self.tokens.forget(&token).await;
        }
        answer
    }

    /// Makes a call in a person's name, with their token. A pause is kept as with the app's calls.
    pub(super) async fn ask_as_person(
        &self,
        now: Timestamp,
        ask: &Ask<'_>,
        token: &SecretString,
    ) -> Result<Answer, CallError> {
        self.unless_paused(now, ask.call, self.ask(ask, Some(token))).await
    }

    /// The answer to a call, which is made only where Feishu wants no pause of its endpoint, and may ask for one.
    async fn unless_paused<T>(
        &self,
        now: Timestamp,
        call: Call,
        answer: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        if let Some(refusal) = self.pauses.left(call, now) {
            return Err(CallError::Refused(Box::new(refusal)));
        }
        let started = Instant::now();
        let answer = answer.await;
        if let Err(CallError::Refused(refusal)) = &answer {
            self.pauses.heed(refusal, now.after(started.elapsed()));
        }
        answer
    }

    /// Sees to it that the app has a token, so that a call that follows is on its way at once.
    ///
    /// # Errors
    /// [`CallError::NoToken`], with the error of the attempt that failed.
    pub async fn have_token(&self, now: Timestamp) -> Result<(), CallError> {
        self.tenant_token(now).await.map(|_token| ())
    }

    async fn tenant_token(&self, now: Timestamp) -> Result<SecretString, CallError> {
        let fetch = async || {
            let fetched = self.fetch_tenant_token().await;
            let outcome = if fetched.is_ok() { "ok" } else { "failed" };
            metrics::counter!("feishu_broadcast_token_refreshes_total", "kind" => "app", "outcome" => outcome)
                .increment(1);
            fetched
        };
        self.tokens.get(now, fetch).await
    }

    /// Makes a call exactly once, and notes a failure in log and metrics.
    pub(super) async fn ask(&self, ask: &Ask<'_>, token: Option<&SecretString>) -> Result<Answer, CallError> {
        self.read_once(ask, token, read).await
    }

    async fn read_once<T, Fut>(
        &self,
        ask: &Ask<'_>,
        token: Option<&SecretString>,
        read: impl Fn(Call, Response) -> Fut,
    ) -> Result<T, CallError>
    where
        Fut: Future<Output = Result<T, CallError>>,
    {
        let started = Instant::now();
        let answer = match self.send(ask, token).await {
            Ok(response) => read(ask.call, response).await,
            Err(error) => Err(error),
        };
        let outcome = answer.as_ref().map_or_else(CallError::outcome, |_| "ok");
        metrics::counter!("feishu_calls_total", "call" => ask.call.label(), "outcome" => outcome).increment(1);
        if let Err(error) = &answer {
            note(error, started.elapsed());
        }
        answer
    }

    pub(super) async fn send(&self, ask: &Ask<'_>, token: Option<&SecretString>) -> Result<Response, CallError> {
        let call = ask.call;
        let mut request = self
            .http
            .request(ask.method.clone(), address(&self.settings.open_url, call.path(), &ask.ids, &ask.query))
            .timeout(time_max(call));
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        request = match &ask.body {
            Body::Nothing => request,
            Body::Json(json) => request.header("Content-Type", "application/json; charset=utf-8").body(json.clone()),
            Body::Form(form) => request.multipart(form.multipart()),
        };
        request.send().await.map_err(|error| transport(call, error))
    }
}

/// The address of a call below `origin`, which may have a path of its own. Ids and values are percent-encoded.
pub(super) fn address(origin: &Url, path: &str, ids: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = origin.clone();
    url.set_query(None);
    url.set_fragment(None);
    {
        let mut segments = url.path_segments_mut().expect("Feishu::new takes web addresses only, and those have paths");
        segments.pop_if_empty();
        let mut ids = ids.iter().copied();
        for segment in path.split('/').skip(1) {
            segments.push(if segment.starts_with(':') { ids.next().unwrap_or_default() } else { segment });
        }
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
        // A form writes a blank as `+`; `%20` is read the same way everywhere. A real plus is `%2B` by now.
        let encoded = url.query().map(|query| query.replace('+', "%20"));
        url.set_query(encoded.as_deref());
    }
    url
}

/// Whether an id can stand in a path: an empty one and dots vanish from it, and another call would be made.
pub(super) fn fits_path(id: &str) -> bool {
    !matches!(id, "" | "." | "..")
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
