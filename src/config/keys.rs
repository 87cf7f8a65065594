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

    pub(super) fn secret_key(&self, app_id: &str, app_secret: &SecretString) -> Result<[u8; KEY_BYTES], WrongSetting> {
        match given(&self.secret_key) {
            None => Ok(Secrets::key_from_app_secret(app_id, app_secret)),
            Some(text) => BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
                wrong("SECRET_KEY", "is not the base64 of 32 bytes", "the output of: openssl rand -base64 32")
            }),
        }
    }

    /// The key of the audit chain alone: checking it takes nothing else of Feishu.
    ///
    /// # Errors
    /// `SECRET_KEY` is wrong, or neither it nor what it would be derived from is there.
    pub fn chain_key(&self) -> Result<ChainKey, WrongSetting> {
        let needed = |setting: &Option<String>, name, example| match (given(setting), given(&self.secret_key)) {
            (Some(value), _) => Ok(value.to_owned()),
            (None, Some(_)) => Ok(String::new()),
            (None, None) => {
                let said =
                    "is missing: without SECRET_KEY the audit chain's key is derived from the app's id and secret";
                Err(wrong(name, said, example))
            }
        };
        let app_id = needed(&self.feishu_app_id, "FEISHU_APP_ID", "cli_a1b2c3d4e5f6")?;
        let app_secret =
            needed(&self.feishu_app_secret, "FEISHU_APP_SECRET", "the secret of the app's credentials page")?;
        Ok(Secrets::chain_key(&self.secret_key(&app_id, &app_secret.into())?))
    }
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
