//! An admin's authorization for department search: given in the browser, sealed in the store, refreshed by one process
//! at a time, deleted on logout or when Feishu revokes it.
//!
//! `/login` card --signed link--> `/oauth/start` --state, PKCE--> Feishu's consent page --code--> `/oauth/callback`
//! --exchange, user_info--> tokens sealed, and the commands that waited go on.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::patience::written;
use super::secrets::{Purpose, Secrets, Ticket, nonce};
use super::{App, Trouble, audit};
use crate::domain::audit::{Deed, Entry};
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::keys::Generation;
use crate::feishu::oauth::{OauthError, SCOPES, UserTokens};
use crate::store::authorizations::Authorization;
use crate::store::inbox::{Arrival, Kind, Seen};
use crate::store::letters::{Letter, Receiver};
use crate::store::{StoreError, Tx};
use crate::view::{Text, answers};

/// How long the button on a login card works, and how long a command waits for it.
pub const LOGIN_WAIT: Duration = Duration::from_secs(3600);

/// How long the consent page may take. Source: contract "user authorization", state lives 10 minutes.
const STATE_TTL: Duration = Duration::from_secs(600);

/// An access token is renewed when less than this is left. Source: contract "exchange and refresh".
const RENEW_BEFORE: Duration = Duration::from_secs(600);

/// How long one process may hold the right to refresh: the call's own limit and a retry, with room.
const REFRESH_LEASE: Duration = Duration::from_secs(45);

/// For how long a new pair of tokens is tried to be written: the old one is dead by then, and without this one its person
/// has to log in again. Somebody else may be faster where that outlasts the lease; the fence keeps the later one out.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// How long another process's refresh is waited for.
const REFRESH_WAIT: Duration = Duration::from_secs(10);

#[derive(Serialize, Deserialize)]
struct Tokens {
    access: String,
    refresh: Option<String>,
}

/// Why there is no user token to search with.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    #[error("this person has not authorized department search, or the authorization has ended")]
    NeedsLogin,
    #[error(transparent)]
    Trouble(#[from] Trouble),
    #[error("the authorization could not be renewed: {0}")]
    Oauth(#[source] OauthError),
}

impl From<StoreError> for NoToken {
    fn from(error: StoreError) -> Self {
        NoToken::Trouble(Trouble::Store(error))
    }
}

/// The link behind the button of a login card; `None` without `PUBLIC_URL`.
pub fn login_url(app: &App, person: &OpenId) -> Option<Url> {
    let ticket = Ticket {
        purpose: Purpose::Start,
        person: person.clone(),
        nonce: nonce(app.clock.as_ref()),
        expires_at: app.now().after(LOGIN_WAIT),
    };
    let mut url = app.public_url.as_ref()?.join("oauth/start").ok()?;
    url.query_pairs_mut().append_pair("state", &app.secrets.sign(&ticket));
    Some(url)
}

/// The address Feishu sends the browser back to.
pub fn redirect_uri(public_url: &Url) -> String {
    public_url.join("oauth/callback").map_or_else(|_| public_url.to_string(), |url| url.to_string())
}

/// Where `/oauth/start` sends the browser. `None` when the link is not ours or has run out.
pub fn start(app: &App, link: &str) -> Option<Url> {
    let (ticket, _) = app.secrets.verify(Purpose::Start, link, app.now())?;
    let state = Ticket {
        purpose: Purpose::Callback,
        nonce: nonce(app.clock.as_ref()),
        expires_at: app.now().after(STATE_TTL),
        ..ticket
    };
    let challenge = Secrets::pkce_challenge(&app.secrets.pkce_verifier(&state.nonce, Generation::Present));
    let redirect = redirect_uri(app.public_url.as_ref()?);
    Some(app.feishu.authorize_url(&redirect, &app.secrets.sign(&state), &challenge, &SCOPES))
}

/// How an authorization ended, for the page in the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Done; so many commands that waited go on.
    Authorized { waiting: u64 },
    /// The person pressed "refuse".
    Declined,
    /// The link is not ours, has run out or was used already.
    BadLink,
    /// Somebody else was logged in in that browser.
    WrongPerson,
    /// Feishu did not hand out a token; the code tells the operator why.
    Refused { code: Option<i64> },
    /// Feishu or the store did not answer; the same link may be tried again.
    TryAgain,
}

/// Finishes an authorization: exchanges the code, checks who gave it, seals the tokens, lets waiting commands go on.
pub async fn finish(app: &App, state: &str, code: Option<&str>) -> Ended {
    let Some((ticket, signer)) = app.secrets.verify(Purpose::Callback, state, app.now()) else {
        return Ended::BadLink;
    };
    let Some(code) = code else { return Ended::Declined };
    let Some(public_url) = app.public_url.as_ref() else { return Ended::BadLink };
    match claim_state(app, &ticket).await {
        Ok(Seen::First) => {}
        Ok(Seen::Again) => return Ended::BadLink,
        Err(error) => {
            tracing::warn!(%error, "an authorization could not be finished");
            return Ended::TryAgain;
        }
    }
    let verifier = app.secrets.pkce_verifier(&ticket.nonce, signer);
    let ended = exchange(app, &ticket, code, &verifier, public_url).await;
    if !matches!(ended, Ended::Authorized { .. })
        && let Err(error) = release_state(app, &ticket).await
    {
        tracing::warn!(%error, "a login link that authorized nobody stays used");
    }
    ended
}

/// Trades the code and keeps what comes of it, for whoever holds the link.
async fn exchange(app: &App, ticket: &Ticket, code: &str, verifier: &SecretString, public_url: &Url) -> Ended {
    let tokens = match app.feishu.exchange_code(code, &redirect_uri(public_url), verifier).await {
        Ok(tokens) => tokens,
        Err(error) => {
            tracing::warn!(%error, "Feishu did not exchange an authorization code");
            return Ended::Refused { code: error.code() };
        }
    };
    let granted = match app.feishu.user_info(&tokens.access).await {
        Ok(user) => user,
        Err(error) => {
            tracing::warn!(%error, "Feishu did not say who authorized");
            return Ended::Refused { code: error.code() };
        }
    };
    if granted.open_id != ticket.person {
        tracing::warn!(asked = %ticket.person, "somebody else authorized; the tokens were thrown away");
        let refusal = audit::refusal(app, &ticket.person, None, "login", "somebody-else");
        if let Err(error) = audit::refused(app, refusal).await {
            tracing::warn!(%error, "a refused authorization is missing in the audit chain");
        }
        return Ended::WrongPerson;
    }
    match keep(app, ticket, tokens).await {
        Ok(waiting) => {
            app.wake.inbox.notify_one();
            app.wake.letters.notify_one();
            Ended::Authorized { waiting }
        }
        Err(error) => {
            tracing::warn!(%error, "an authorization could not be stored");
            Ended::TryAgain
        }
    }
}

/// A login link authorizes once. It is taken before the code is traded, since a code that is traded twice may cost the
/// tokens it was traded for, and given back where nobody was authorized.
async fn claim_state(app: &App, ticket: &Ticket) -> Result<Seen, StoreError> {
    let mut tx = app.store.begin().await?;
    let seen = tx
        .remember(&Arrival {
            key: state_key(ticket),
            kind: Kind::Login,
            person: ticket.person.to_string(),
            body: String::new(),
            received_at: app.now(),
        })
        .await?;
    tx.commit().await?;
    Ok(seen)
}

/// The link works again: the wrong account was logged in, or Feishu did not answer.
async fn release_state(app: &App, ticket: &Ticket) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    tx.forget_login(&state_key(ticket)).await?;
    tx.commit().await
}

fn state_key(ticket: &Ticket) -> String {
    format!("o:{}", ticket.nonce)
}

async fn keep(app: &App, ticket: &Ticket, tokens: UserTokens) -> Result<u64, StoreError> {
    let now = app.now();
    let fresh = sealed(app, &ticket.person, tokens, now, 0);
    let mut tx = app.store.begin().await?;
    tx.authorize(&fresh).await?;
    tx.record(Entry::alone(Deed::LoggedIn, now).by(&ticket.person).with("scope", &fresh.scope));
    let waiting = tx.unpark_events(&ticket.person, now).await?;
    let news = Letter {
        uuid: super::letters::uuid(&["authorized", &ticket.nonce]),
        receiver: Receiver::Person(ticket.person.clone()),
        reply_to: None,
        msg_type: "text",
        content: super::letters::text_content(&answers::authorized(waiting).said(None)),
    };
    tx.post(&news, now).await?;
    tx.commit().await?;
    Ok(waiting)
}

fn sealed(app: &App, person: &OpenId, tokens: UserTokens, now: Timestamp, fence: i64) -> Authorization {
    let refresh_until = tokens.refresh.as_ref().and(tokens.refresh_expires_in).map(|life| now.after(life));
    let access_until = now.after(tokens.expires_in);
    let plain = Tokens {
        access: tokens.access.expose_secret().to_owned(),
        refresh: tokens.refresh.as_ref().map(|token| token.expose_secret().to_owned()),
    };
    Authorization {
        open_id: person.clone(),
        sealed: app.secrets.seal(person, &plain, app.clock.as_ref()),
        scope: tokens.scope,
        access_until,
        refresh_until,
        granted_at: now,
        fence,
    }
}

/// While `SECRET_KEY` is being changed: seals anew what is under the previous one, so that this can go. What another
/// replica is refreshing at the moment is left to the next time.
pub async fn seal_anew(app: &App) -> Result<(), StoreError> {
    if !app.secrets.are_rotating() {
        return Ok(());
    }
    for kept in app.store.authorizations().await? {
        if let Some(sealed) = app.secrets.seal_anew(&kept.open_id, &kept.sealed, app.clock.as_ref()) {
            app.store.seal_anew(&Authorization { sealed, ..kept }, app.now()).await?;
        }
    }
    Ok(())
}

/// Whether this authorization can be read with our key.
pub fn opens(app: &App, kept: &Authorization) -> bool {
    app.secrets.open::<Tokens>(&kept.open_id, &kept.sealed).is_some()
}

/// A user token of this person that is good for a while, refreshed if need be. `stale` is a token that Feishu has just
/// refused: it is not given out again.
///
/// # Errors
/// `NeedsLogin` when the person has to authorize (again); `Oauth` and `Trouble` when it may work later.
pub async fn user_token(app: &App, person: &OpenId, stale: Option<&SecretString>) -> Result<SecretString, NoToken> {
    let deadline = app.now().after(REFRESH_WAIT);
    loop {
        let Some(kept) = app.store.authorization(person).await? else { return Err(NoToken::NeedsLogin) };
        let Some(tokens) = app.secrets.open::<Tokens>(person, &kept.sealed) else {
            // The key may be the mistake, of this replica alone or for the moment: under the right one it opens again.
            tracing::warn!(%person, "an authorization does not open under this SECRET_KEY; was the setting changed?");
            return Err(NoToken::NeedsLogin);
        };
        let now = app.now();
        let refused = stale.is_some_and(|stale| stale.expose_secret() == tokens.access);
        if !refused && now.after(RENEW_BEFORE) < kept.access_until {
            return Ok(tokens.access.into());
        }
        let still_good = !refused && now < kept.access_until;
        let Some(refresh) = tokens.refresh.filter(|_| kept.refresh_until.is_none_or(|until| now < until)) else {
            if still_good {
                return Ok(tokens.access.into());
            }
            app.store.drop_authorization(person, kept.fence).await?;
            return Err(NoToken::NeedsLogin);
        };
        match app.store.lease_refresh(person, kept.fence, now, now.after(REFRESH_LEASE)).await? {
            Some(fence) => match renew(app, &kept, refresh.into(), fence).await {
                Ok(token) => return Ok(token),
                Err(NoToken::Oauth(_) | NoToken::Trouble(_)) if still_good => return Ok(tokens.access.into()),
                Err(error) => return Err(error),
            },
            None if still_good => return Ok(tokens.access.into()),
            None if app.now() >= deadline => return Err(NoToken::Trouble(Trouble::Store(StoreError::Conflict))),
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Refreshes under a lease. Feishu kills the old refresh token at once, so the new pair is written before it is used.
async fn renew(app: &App, kept: &Authorization, refresh: SecretString, fence: i64) -> Result<SecretString, NoToken> {
    let person = &kept.open_id;
    let mut answer = app.feishu.refresh(&refresh).await;
    if matches!(answer, Err(OauthError::Retry(_))) {
        // The answer may have been lost after the rotation. Trying once more tells: it works, or the token is used up.
        answer = app.feishu.refresh(&refresh).await;
    }
    let outcome = match &answer {
        Ok(_) => "ok",
        Err(OauthError::Reauthorize { .. } | OauthError::AlreadyUsed | OauthError::PersonGone { .. }) => "ended",
        Err(_) => "failed",
    };
    metrics::counter!("feishu_broadcast_token_refreshes_total", "kind" => "user", "outcome" => outcome).increment(1);
    match answer {
        Ok(tokens) => {
            let access = tokens.access.clone();
            let mut fresh = sealed(app, person, tokens, app.now(), fence);
            fresh.granted_at = kept.granted_at;
            written(app, "renewed tokens", WRITE_MAX, || app.store.store_refreshed(&fresh)).await?;
            Ok(access)
        }
        Err(error @ (OauthError::Reauthorize { .. } | OauthError::AlreadyUsed | OauthError::PersonGone { .. })) => {
            tracing::info!(%person, %error, "an authorization has ended");
            app.store.drop_authorization(person, fence).await?;
            Err(NoToken::NeedsLogin)
        }
        Err(error) => {
            app.store.return_lease(person, fence).await?;
            Err(NoToken::Oauth(error))
        }
    }
}

/// The revocation event: Feishu took back the tokens granted up to `at`. It may come late or again, when the person has
/// long authorized anew; without a moment it counts for all.
pub async fn revoked(tx: &mut Tx, person: &OpenId, at: Option<Timestamp>, now: Timestamp) -> Result<(), StoreError> {
    if tx.forget_authorization(person, at.unwrap_or(Timestamp(i64::MAX))).await? {
        tx.record(Entry::alone(Deed::Revoked, now).by(person));
    }
    Ok(())
}

/// What a failed renewal means to the person who asked.
pub fn explain(error: &OauthError) -> Text {
    answers::oauth_failed(error.code())
}
