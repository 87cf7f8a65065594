//! A person lets the bot search departments in their name: the consent page, the exchange, the refresh.
//!
//! The consent page lives on the accounts origin, the exchange on the Open API. Each refresh kills the refresh token it
//! used, so a lost answer may lose the session; who calls [`Feishu::refresh`] holds a lock and writes the new pair down
//! before using it. Lifetimes are what the answer says. Sources: "Obtain OAuth code", "Get user_access_token",
//! "Refresh user_access_token", "Get user information".

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::answer::Answer;
use super::client::{Ask, Feishu, address};
use super::codes::Call;
use super::error::{CallError, Class};
use super::wire::{number, text, text_or_empty};
use crate::domain::ids::OpenId;

/// What a person is asked to allow: finding departments with names and tree, and staying signed in.
pub const SCOPES: [&str; 4] = [
    "contact:contact.base:readonly",
    "contact:department.base:readonly",
    "contact:department.organize:readonly",
    "offline_access",
];

/// What an exchange or a refresh gives.
#[derive(Debug, Clone)]
pub struct UserTokens {
    pub access: SecretString,
    pub expires_in: Duration,
    /// Only where `offline_access` was enabled, asked for and granted.
    pub refresh: Option<SecretString>,
    pub refresh_expires_in: Option<Duration>,
    /// What was really granted, separated by blanks; may be less than was asked for.
    pub scope: String,
}

/// Who authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    pub open_id: OpenId,
    pub name: String,
    pub tenant_key: Option<String>,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum OauthError {
    /// The code, the refresh token or the access token is of no use any more: forget it and offer a fresh link.
    #[error("the person must authorize again (Feishu code {code})")]
    Reauthorize { code: i64 },
    /// Somebody used this refresh token before us: read the newest from the store. If it is the same, authorize again.
    #[error("the refresh token was used already")]
    AlreadyUsed,
    /// The account is gone, frozen or has left: delete its tokens.
    #[error("the person's account is of no use any more (Feishu code {code})")]
    PersonGone { code: i64 },
    /// An operator must click something: see [`crate::view::advice::advice`].
    #[error("the app's set-up does not allow this (Feishu code {code})")]
    FixSetup { code: i64 },
    /// Worth another try. A refresh whose answer was lost may be tried once more with the same token.
    #[error("Feishu did not answer properly")]
    Retry(#[source] CallError),
    /// Our request was wrong, or nobody documents what this means.
    #[error("Feishu did not accept the request")]
    Bug(#[source] CallError),
}

/// What a code of the login means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Reauthorize,
    AlreadyUsed,
    PersonGone,
    FixSetup,
    Retry,
    Bug,
}

/// Source: the error tables of the pages above.
pub const CODES: &[(i64, Meaning)] = &[
    (20001, Meaning::Bug),
    (20063, Meaning::Bug),
    (20036, Meaning::Bug),
    (20067, Meaning::Bug),
    (20068, Meaning::Bug),
    (20070, Meaning::Bug),
    (20003, Meaning::Reauthorize),
    (20004, Meaning::Reauthorize),
    (20005, Meaning::Reauthorize),
    (20026, Meaning::Reauthorize),
    (20037, Meaning::Reauthorize),
    (20049, Meaning::Reauthorize),
    (20064, Meaning::Reauthorize),
    (20065, Meaning::Reauthorize),
    (20073, Meaning::AlreadyUsed),
    (20008, Meaning::PersonGone),
    (20021, Meaning::PersonGone),
    (20022, Meaning::PersonGone),
    (20023, Meaning::PersonGone),
    (20066, Meaning::PersonGone),
    (20002, Meaning::FixSetup),
    (20009, Meaning::FixSetup),
    (20010, Meaning::FixSetup),
    (20024, Meaning::FixSetup),
    (20027, Meaning::FixSetup),
    (20048, Meaning::FixSetup),
    (20069, Meaning::FixSetup),
    (20071, Meaning::FixSetup),
    (20074, Meaning::FixSetup),
    (20050, Meaning::Retry),
    (20072, Meaning::Retry),
];

impl From<CallError> for OauthError {
    fn from(error: CallError) -> Self {
        let code = error.code().unwrap_or_default();
        let meaning = CODES.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning);
        let meaning = meaning.unwrap_or_else(|| match error.class() {
            Class::Retry { .. } => Meaning::Retry,
            Class::Reauthenticate => Meaning::Reauthorize,
            Class::FixSetup => Meaning::FixSetup,
            // A server error with a code nobody documents is still a server error.
            Class::Unknown if error.status().is_some_and(|status| status >= 500) => Meaning::Retry,
            Class::Permanent | Class::Unknown => Meaning::Bug,
        });
        match meaning {
            Meaning::Reauthorize => Self::Reauthorize { code },
            Meaning::AlreadyUsed => Self::AlreadyUsed,
            Meaning::PersonGone => Self::PersonGone { code },
            Meaning::FixSetup => Self::FixSetup { code },
            Meaning::Retry => Self::Retry(error),
            Meaning::Bug => Self::Bug(error),
        }
    }
}

impl OauthError {
    /// Feishu's code, if it said one; [`crate::view::advice::advice`] has words for it.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Reauthorize { code } | Self::PersonGone { code } | Self::FixSetup { code } => Some(*code),
            Self::AlreadyUsed => Some(20073),
            Self::Retry(error) | Self::Bug(error) => error.code(),
        }
    }
}

impl Feishu {
    /// The address of the consent page. `code_challenge` is the S256 of the verifier, base64url without padding;
    /// `redirect_uri` must be in the console's list, letter by letter.
    pub fn authorize_url(&self, redirect_uri: &str, state: &str, code_challenge: &str, scopes: &[&str]) -> Url {
        let query = [
            ("client_id", self.settings.app_id.as_str()),
            ("response_type", "code"),
            ("redirect_uri", redirect_uri),
            ("scope", &scopes.join(" ")),
            ("state", state),
            ("code_challenge", code_challenge),
            // The default is `plain`.
            ("code_challenge_method", "S256"),
        ];
        address(&self.settings.accounts_url, "/open-apis/authen/v1/authorize", &[], &query)
    }

    /// Trades the code of a redirect for tokens. A code works once, for five minutes.
    ///
    /// # Errors
    /// [`OauthError`].
    pub async fn exchange_code(
        &self,
        code: &str,
        redirect_uri: &str,
        code_verifier: &SecretString,
    ) -> Result<UserTokens, OauthError> {
        let grant = json!({"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
            "code_verifier": code_verifier.expose_secret()});
        self.user_tokens(grant).await
    }

    /// Trades a refresh token for a new pair; the old refresh token is dead from then on.
    ///
    /// # Errors
    /// [`OauthError`].
    pub async fn refresh(&self, refresh_token: &SecretString) -> Result<UserTokens, OauthError> {
        self.user_tokens(json!({"grant_type": "refresh_token", "refresh_token": refresh_token.expose_secret()})).await
    }

    /// Whose access token this is.
    ///
    /// # Errors
    /// [`OauthError`].
    pub async fn user_info(&self, access: &SecretString) -> Result<UserInfo, OauthError> {
        let answer = self.ask(&Ask::get(Call::UserInfo), Some(access)).await?;
        match text(&answer.body, "/data/open_id").and_then(OpenId::new) {
            Some(open_id) => Ok(UserInfo {
                open_id,
                name: text_or_empty(&answer.body, "/data/name"),
                tenant_key: text(&answer.body, "/data/tenant_key").map(str::to_owned),
            }),
            None => Err(OauthError::Bug(answer.incomplete())),
        }
    }

    async fn user_tokens(&self, mut grant: Value) -> Result<UserTokens, OauthError> {
        grant["client_id"] = json!(self.settings.app_id);
        let ask = |secret: &SecretString| {
            let mut grant = grant.clone();
            grant["client_secret"] = json!(secret.expose_secret());
            Ask::post(Call::OauthToken, &grant)
        };
        read_tokens(self.ask_with_secret(ask).await?)
    }
}

fn read_tokens(answer: Answer) -> Result<UserTokens, OauthError> {
    let secret = |pointer: &str| text(&answer.body, pointer).filter(|text| !text.is_empty()).map(SecretString::from);
    let seconds = |pointer: &str| number(&answer.body, pointer).map(Duration::from_secs);
    match (secret("/access_token"), seconds("/expires_in")) {
        (Some(access), Some(expires_in)) => Ok(UserTokens {
            access,
            expires_in,
            refresh: secret("/refresh_token"),
            refresh_expires_in: seconds("/refresh_token_expires_in"),
            scope: text_or_empty(&answer.body, "/scope"),
        }),
        _ => Err(OauthError::Bug(answer.incomplete())),
    }
}
