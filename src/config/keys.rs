//! The keys, and beside each the one before it while it is being changed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::SecretString;

use super::{Settings, WrongSetting, given, required, wrong};
use crate::app::secrets::{KEY_BYTES, Secrets};
use crate::domain::audit::chain::ChainKey;
use crate::domain::keys::Rotating;

impl Settings {
    pub(super) fn app_secret(&self) -> Result<Rotating<SecretString>, WrongSetting> {
        const NAME: &str = "FEISHU_APP_SECRET";
        let secret = required(&self.feishu_app_secret, NAME, "the secret of the app's credentials page")?;
        rotating(NAME, &secret, "FEISHU_APP_SECRET_PREVIOUS", given(&self.feishu_app_secret_previous))
    }

    pub(super) fn encrypt_key(&self) -> Result<Option<Rotating<SecretString>>, WrongSetting> {
        let plaintext = match given(&self.feishu_allow_plaintext) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(wrong("FEISHU_ALLOW_PLAINTEXT", "is neither true nor false", "false")),
        };
        const PREVIOUS: &str = "FEISHU_ENCRYPT_KEY_PREVIOUS";
        match (given(&self.feishu_encrypt_key), given(&self.feishu_encrypt_key_previous)) {
            (Some(key), previous) => Ok(Some(rotating("FEISHU_ENCRYPT_KEY", key, PREVIOUS, previous)?)),
            // Where plain text comes in, a key of before would tell nobody from a forger.
            (None, Some(_)) if plaintext => {
                let said = "is set, and FEISHU_ENCRYPT_KEY is not: without that one nothing is encrypted";
                Err(wrong(PREVIOUS, said, ""))
            }
            (None, None) if plaintext => Ok(None),
            (None, _) => Err(wrong(
                "FEISHU_ENCRYPT_KEY",
                "is missing (set it in the console's encryption strategy, or allow plain text with FEISHU_ALLOW_PLAINTEXT=true)",
                "the key of the console's encryption strategy page",
            )),
        }
    }

    pub(super) fn verification_token(&self) -> Result<Rotating<SecretString>, WrongSetting> {
        const NAME: &str = "FEISHU_VERIFICATION_TOKEN";
        let token =
            required(&self.feishu_verification_token, NAME, "the token of the console's encryption strategy page")?;
        let previous = given(&self.feishu_verification_token_previous);
        rotating(NAME, &token, "FEISHU_VERIFICATION_TOKEN_PREVIOUS", previous)
    }

    /// Without a `SECRET_KEY` both generations are derived, each from its own app secret.
    pub(super) fn secret_key(
        &self,
        app_id: &str,
        app_secret: &Rotating<SecretString>,
    ) -> Result<Rotating<[u8; KEY_BYTES]>, WrongSetting> {
        const PREVIOUS: &str = "SECRET_KEY_PREVIOUS";
        let derived = |secret: &SecretString| Secrets::key_from_app_secret(app_id, secret);
        let (present, previous) = match (given(&self.secret_key), given(&self.secret_key_previous)) {
            (None, None) => return Ok(app_secret.map(derived)),
            (None, Some(_)) => {
                let said = "is set, and SECRET_KEY is not: without that one both are derived from the app's secrets";
                return Err(wrong(PREVIOUS, said, ""));
            }
            (Some(present), previous) => (present, previous),
        };
        let present = key_of(present).ok_or_else(|| {
            wrong("SECRET_KEY", "is not the base64 of 32 bytes", "the output of: openssl rand -base64 32")
        })?;
        let previous = match previous {
            None => None,
            Some(DERIVED) => Some(derived(app_secret.previous.as_ref().unwrap_or(&app_secret.present))),
            Some(text) => {
                let said = "is neither the base64 of 32 bytes nor the word derived";
                Some(key_of(text).ok_or_else(|| wrong(PREVIOUS, said, DERIVED))?)
            }
        };
        match previous == Some(present) {
            true => Err(unchanged(PREVIOUS, "SECRET_KEY")),
            false => Ok(Rotating { present, previous }),
        }
    }

    /// The keys of the audit chain alone: checking it takes nothing else of Feishu.
    ///
    /// # Errors
    /// A `SECRET_KEY` is wrong, or what it would be derived from is not there.
    pub fn chain_keys(&self) -> Result<Rotating<ChainKey>, WrongSetting> {
        let derived = given(&self.secret_key).is_none() || given(&self.secret_key_previous) == Some(DERIVED);
        let needed = |setting: &Option<String>, name, example| match given(setting) {
            None if derived => Err(wrong(
                name,
                "is missing: without SECRET_KEY the audit chain's key is derived from the app's id and secret",
                example,
            )),
            given => Ok(given.unwrap_or_default().to_owned()),
        };
        let app_id = needed(&self.feishu_app_id, "FEISHU_APP_ID", "cli_a1b2c3d4e5f6")?;
        let present = needed(&self.feishu_app_secret, "FEISHU_APP_SECRET", "the secret of the app's credentials page")?;
        let previous = given(&self.feishu_app_secret_previous);
        let app_secret = rotating("FEISHU_APP_SECRET", &present, "FEISHU_APP_SECRET_PREVIOUS", previous)?;
        Ok(self.secret_key(&app_id, &app_secret)?.map(Secrets::chain_key))
    }
}

/// Where a `SECRET_KEY` of before would stand: there was none.
const DERIVED: &str = "derived";

fn key_of(text: &str) -> Option<[u8; KEY_BYTES]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

/// A secret and the one before it, which is another one.
fn rotating(
    name: &'static str,
    present: &str,
    name_of_previous: &'static str,
    previous: Option<&str>,
) -> Result<Rotating<SecretString>, WrongSetting> {
    if previous == Some(present) {
        return Err(unchanged(name_of_previous, name));
    }
    Ok(Rotating { present: present.into(), previous: previous.map(SecretString::from) })
}

/// The previous value is the present one: nothing is being changed, or the new value is still to be put in.
fn unchanged(name_of_previous: &'static str, name: &'static str) -> WrongSetting {
    wrong(name_of_previous, format!("is the same as {name}; leave it empty where that is not being changed"), "")
}
