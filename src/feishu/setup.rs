//! What the platform tells about the app itself, and what it would meet at our own door: for `check`.
//!
//! Sources: the pages "Query the authorization status of a tenant" (application v6) and "Obtain the contact scope"
//! (contact v3); the console's challenge as in [`super::envelope`].

use std::error::Error;
use std::time::{Duration, Instant};

use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, DATE};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use super::answer::read;
use super::client::{Ask, Feishu};
use super::codes::Call;
use super::crypto::{BLOCK_BYTES, seal, sign};
use super::envelope::Door;
use super::error::CallError;
use super::pages::By;
use super::secret::is_wrong_secret;
use super::wire::{list, number, text};
use crate::domain::check::{Knock, Scopes, Silence};
use crate::domain::ids::Timestamp;
use crate::domain::keys::Generation;

/// How long a knock at a public address, or at the consent page, may take. The platform gives up on a push after 3 s.
const KNOCK_MAX: Duration = Duration::from_secs(3);

/// Bytes of an answer to a knock that are read: ours has fewer than a hundred.
const KNOCK_BYTES_MAX: usize = 64 * 1024;

/// The type of the event that is pushed at our own door; the platform has none like it.
pub const PROBE: &str = "feishu-broadcast.check";

/// Pages of the contact range that are read: 2,000 entries.
const RANGE_PAGES_MAX: usize = 40;

/// What the app was granted of the contacts, not counting what lies below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContactRange {
    pub departments: usize,
    pub people: usize,
    pub groups: usize,
}

/// What the consent page says to a link of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentPage {
    /// It opens.
    Open,
    /// It sends on, to a login as a rule: what it thinks of the link shows only behind that.
    Elsewhere,
    /// 20029: the address to come back to is not in the app's list.
    RedirectNotListed,
    /// 20027: a scope is not enabled for people.
    ScopesNotEnabled,
    Refused(u16),
    Silent(Silence),
}

impl Feishu {
    /// Signs the app in. Returns the platform's time, as the answer is dated, and with which secret it was done.
    ///
    /// # Errors
    /// [`CallError`], where there is no answer at all.
    pub async fn sign_in(&self) -> Result<(Option<Timestamp>, Result<Generation, CallError>), CallError> {
        let secrets = &self.settings.app_secret;
        let (dated, signed_in) = self.sign_in_with(&secrets.present).await?;
        let signed_in = match (signed_in, &secrets.previous) {
            (Err(wrong), Some(previous)) if is_wrong_secret(&wrong) => {
                let (_, signed_in) = self.sign_in_with(previous).await?;
                signed_in.map(|()| Generation::Previous).map_err(|_| wrong)
            }
            (signed_in, _) => signed_in.map(|()| Generation::Present),
        };
        Ok((dated, signed_in))
    }

    async fn sign_in_with(
        &self,
        secret: &SecretString,
    ) -> Result<(Option<Timestamp>, Result<(), CallError>), CallError> {
        let response = self.send(&self.credentials(secret), None).await?;
        let dated = response.headers().get(DATE).and_then(|value| value.to_str().ok());
        let moment = dated.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let moment = moment.map(|moment| Timestamp(moment.timestamp().as_millisecond()));
        let signed_in = read(Call::TenantToken, response).await;
        Ok((moment, signed_in.map(drop)))
    }

    /// The scopes of the app's own identity, granted and waiting.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn granted_scopes(&self, now: Timestamp) -> Result<Scopes, CallError> {
        let answer = self.ask_as_app(now, &Ask::get(Call::GrantedScopes)).await?;
        let mut scopes = Scopes::default();
        for scope in list(&answer.body, "/data/scopes") {
            let Some(name) = text(scope, "/scope_name") else { continue };
            // People's own are told as well, under the same names; the page does not say so, and answers do.
            if text(scope, "/scope_type").is_some_and(|kind| kind != "tenant") {
                continue;
            }
            // 1 is granted, 2 is not.
            match number(scope, "/grant_status") {
                Some(1) => scopes.granted.push(name.to_owned()),
                _ => scopes.waiting.push(name.to_owned()),
            }
        }
        Ok(scopes)
    }

    /// What the app was granted of the contacts.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn contact_range(&self, now: Timestamp) -> Result<ContactRange, CallError> {
        let ask = Ask::get(Call::ContactRange)
            .with("user_id_type", "open_id")
            .with("department_id_type", "open_department_id");
        let ids = self.list(By::App(now), &ask, RANGE_PAGES_MAX, |id| id.as_str().map(str::to_owned)).await?.items;
        let begin_with = |kind: &str| ids.iter().filter(|id| id.starts_with(kind)).count();
        let (departments, people) = (begin_with("od-"), begin_with("ou_"));
        Ok(ContactRange { departments, people, groups: ids.len() - departments - people })
    }

    /// Opens the consent page as a browser would that is signed in nowhere; nobody is asked for anything.
    pub async fn consent_page(&self, link: Url) -> ConsentPage {
        let response = match self.http.get(link).timeout(KNOCK_MAX).send().await {
            Ok(response) => response,
            Err(error) => return ConsentPage::Silent(silence(&error)),
        };
        let status = response.status();
        // Where it sends on to may say what is wrong, just as the page itself.
        let next = response.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let next = next.to_owned();
        let page = body(response).await.unwrap_or_default();
        let says = |code: &str| stands_alone(&page, code) || stands_alone(&next, code);
        if says("20029") {
            ConsentPage::RedirectNotListed
        } else if says("20027") {
            ConsentPage::ScopesNotEnabled
        } else if status.is_redirection() {
            ConsentPage::Elsewhere
        } else if status.is_success() {
            ConsentPage::Open
        } else {
            ConsentPage::Refused(status.as_u16())
        }
    }

    /// Asks at one of our own addresses as the console does when it is saved: with a challenge, sealed where there is a
    /// key, which the right bot reads back.
    pub async fn knock(&self, door: &Door, url: Url, challenge: &str, iv: [u8; BLOCK_BYTES]) -> Knock {
        let asked = json!({"challenge": challenge, "token": door.token(), "type": "url_verification"}).to_string();
        let asked = match &door.encrypt_key {
            Some(key) => json!({"encrypt": seal(&key.present, iv, asked.as_bytes())}).to_string(),
            None => asked,
        };
        let began = Instant::now();
        let response = match self.at_the_door(url, asked).send().await {
            Ok(response) => response,
            Err(error) => return Knock::Silent(silence(&error)),
        };
        match response.status().as_u16() {
            200 => {}
            300..=399 => return Knock::Moved,
            401 => return Knock::Distrusted,
            status => return Knock::Status(status),
        }
        let said: Option<Value> = body(response).await.and_then(|said| serde_json::from_str(&said).ok());
        match said.as_ref().and_then(|said| text(said, "/challenge")) {
            Some(said) if said == challenge => Knock::Answered(began.elapsed()),
            _ => Knock::OtherAnswer,
        }
    }

    /// Pushes an event that nobody has use for, signed over bytes that a proxy which reads JSON would write anew. `None`
    /// where nothing is signed.
    pub async fn push_through(
        &self,
        door: &Door,
        url: Url,
        nonce: &str,
        iv: [u8; BLOCK_BYTES],
        now: Timestamp,
    ) -> Option<Knock> {
        let key = &door.encrypt_key.as_ref()?.present;
        let event = json!({"schema": "2.0", "event": {}, "header": {"event_id": nonce, "event_type": PROBE,
            "create_time": now.0.to_string(), "token": door.token(), "app_id": door.app_id, "tenant_key": ""}});
        // Blanks and an escaped slash say nothing in JSON; whoever reads and writes it leaves them out.
        let sealed = seal(key, iv, event.to_string().as_bytes());
        let pushed = format!("{{ \"encrypt\" :  \"{}\" }}", sealed.replace('/', "\\/"));
        let timestamp = (now.0 / 1000).to_string();
        let signature = sign(&timestamp, nonce, key, pushed.as_bytes());
        let request = self
            .at_the_door(url, pushed)
            .header("X-Lark-Request-Timestamp", timestamp)
            .header("X-Lark-Request-Nonce", nonce)
            .header("X-Lark-Signature", signature);
        let began = Instant::now();
        Some(match request.send().await {
            Err(error) => Knock::Silent(silence(&error)),
            Ok(response) => match response.status().as_u16() {
                200 => Knock::Answered(began.elapsed()),
                401 => Knock::Distrusted,
                300..=399 => Knock::Moved,
                status => Knock::Status(status),
            },
        })
    }

    fn at_the_door(&self, url: Url, body: String) -> reqwest::RequestBuilder {
        self.http.post(url).timeout(KNOCK_MAX).header(CONTENT_TYPE, "application/json").body(body)
    }
}

/// Whether a code stands in a text by itself, and not within a longer number, an id or a hash.
fn stands_alone(text: &str, code: &str) -> bool {
    text.match_indices(code).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + code.len()..].chars().next();
        [before, after].iter().all(|around| around.is_none_or(|c| !c.is_ascii_alphanumeric()))
    })
}

/// A body as text, as far as it is worth reading.
async fn body(mut response: Response) -> Option<String> {
    let mut bytes = vec![];
    while let Some(chunk) = response.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > KNOCK_BYTES_MAX {
            break;
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Why nobody answered. A certificate that is not trusted is told apart: its remedy is another one.
pub fn silence(error: &reqwest::Error) -> Silence {
    if !error.is_connect() {
        return Silence::NoAnswer;
    }
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if error.to_string().contains("certificate") {
            return Silence::Certificate;
        }
        cause = error.source();
    }
    Silence::NoConnection
}

impl CallError {
    /// Why there is no answer that means anything; `None` where Feishu said no in its own words.
    pub fn silence(&self) -> Option<Silence> {
        match self {
            Self::NotSent { source, .. } | Self::Unanswered { source, .. } => Some(silence(source)),
            Self::Unreadable { .. } => Some(Silence::Nonsense),
            Self::NoToken(source) => source.silence(),
            Self::Refused(_) => None,
        }
    }
}
