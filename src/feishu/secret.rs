//! The calls that prove who the app is: with its secret, and while that is being changed, with the one before it.
//!
//! The present secret goes first each time, so that a console which takes it from now on is noticed at the next call.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::answer::Answer;
use super::client::{Ask, Feishu};
use super::codes::Call;
use super::error::CallError;
use super::token::Fetched;
use super::wire::{number, text};
use crate::domain::keys::Generation;

/// Another secret than the app's. Sources: "Generic error codes", where 10014 is observed as well as 10015; the error
/// table of "Get user_access_token".
const WRONG_SECRET: [i64; 3] = [10_014, 10_015, 20_002];

impl Feishu {
    /// Makes a call with the app's secret, and once more with the one before it where Feishu says that it is the wrong
    /// one: then nothing was done.
    ///
    /// # Errors
    /// [`CallError`]: of the present secret where neither is the right one.
    pub(super) async fn ask_with_secret(
        &self,
        ask: impl Fn(&SecretString) -> Ask<'static>,
    ) -> Result<Answer, CallError> {
        let secrets = &self.settings.app_secret;
        let first = self.ask(&ask(&secrets.present), None).await;
        let Some(previous) = &secrets.previous else { return first };
        let (answer, generation) = match first {
            Err(wrong) if is_wrong_secret(&wrong) => match self.ask(&ask(previous), None).await {
                Err(error) if is_wrong_secret(&error) => return Err(wrong),
                second => (second?, Generation::Previous),
            },
            first => (first?, Generation::Present),
        };
        if generation == Generation::Previous {
            tracing::warn!("Feishu refuses FEISHU_APP_SECRET and takes FEISHU_APP_SECRET_PREVIOUS");
        }
        count_use("app_secret", generation);
        Ok(answer)
    }

    /// Whether the app's secret is being changed.
    pub fn secret_rotates(&self) -> bool {
        self.settings.app_secret.previous.is_some()
    }

    /// The app's sign-in.
    pub(super) fn credentials(&self, secret: &SecretString) -> Ask<'static> {
        let credentials = json!({ "app_id": self.settings.app_id, "app_secret": secret.expose_secret() });
        Ask::post(Call::TenantToken, &credentials)
    }

    pub(super) async fn fetch_tenant_token(&self) -> Result<Fetched, CallError> {
        let answer = self.ask_with_secret(|secret| self.credentials(secret)).await?;
        match text(&answer.body, "/tenant_access_token").filter(|token| !token.is_empty()) {
            Some(token) => Ok(Fetched {
                token: token.into(),
                expires_in: number(&answer.body, "/expire").map(Duration::from_secs),
            }),
            None => Err(answer.incomplete()),
        }
    }
}

/// Whether another secret might do.
pub(super) fn is_wrong_secret(error: &CallError) -> bool {
    error.code().is_some_and(|code| WRONG_SECRET.contains(&code))
}

/// Counts one use of a key that has a previous value.
pub fn count_use(key: &'static str, generation: Generation) {
    metrics::counter!("feishu_broadcast_rotating_keys_total", "key" => key, "generation" => generation.as_str())
        .increment(1);
}
