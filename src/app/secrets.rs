//! What `SECRET_KEY` is for: sealing user tokens at rest, signing the links of the authorization and the audit chain.
//!
//! Each use has a key of its own, derived with HKDF-SHA256, so that a token of one use is worth nothing in another.
//! Sealing is XChaCha20-Poly1305 with a random 24-byte nonce; the person's open_id is bound in as associated data, so
//! that a row copied to another person does not open.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::clock::Clock;
use crate::domain::audit::chain::ChainKey;
use crate::domain::ids::{OpenId, Timestamp};

/// Bytes of `SECRET_KEY` and of every key derived from it.
pub const KEY_BYTES: usize = 32;

const NONCE_BYTES: usize = 24;

/// What a signed link may be used for. A link of one purpose is refused for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The button on the login card: `/oauth/start`.
    Start,
    /// OAuth `state`: from the consent page back to `/oauth/callback`.
    Callback,
}

/// What a signed link says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub purpose: Purpose,
    /// Whose authorization it is.
    pub person: OpenId,
    pub nonce: String,
    pub expires_at: Timestamp,
}

/// The keys derived from `SECRET_KEY`. Never printed: there is no `Debug` that shows them.
pub struct Secrets {
    sealing: SecretBox<[u8; KEY_BYTES]>,
    signing: SecretBox<[u8; KEY_BYTES]>,
    pkce: SecretBox<[u8; KEY_BYTES]>,
}

impl Secrets {
    /// From the 32 bytes of `SECRET_KEY`.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        let derive = |label: &[u8]| SecretBox::new(derived(key, label));
        Self {
            sealing: derive(b"feishu-broadcast user tokens v1"),
            signing: derive(b"feishu-broadcast login links v1"),
            pkce: derive(b"feishu-broadcast pkce v1"),
        }
    }

    /// The key to use when no `SECRET_KEY` is set. Whoever knows the app secret can act as the app anyway.
    pub fn key_from_app_secret(app_id: &str, app_secret: &SecretString) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        Hkdf::<Sha256>::new(Some(app_id.as_bytes()), app_secret.expose_secret().as_bytes())
            .expand(b"feishu-broadcast secret key v1", &mut key)
            .expect("32 bytes are a legal HKDF-SHA256 output");
        key
    }

    /// The key of the audit chain. It leaves this room: the store signs what it writes.
    pub fn chain_key(key: &[u8; KEY_BYTES]) -> ChainKey {
        ChainKey::new(derived(key, b"feishu-broadcast audit chain v1"))
    }

    /// Seals a value for one person.
    pub fn seal<T: Serialize>(&self, person: &OpenId, value: &T, clock: &dyn Clock) -> String {
        let mut nonce = [0; NONCE_BYTES];
        clock.random(&mut nonce);
        let plain = serde_json::to_vec(value).expect("our documents have string keys and finite numbers");
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: person.as_str().as_bytes() })
            .expect("tokens are far below the cipher's limit");
        BASE64.encode([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Self::seal`] sealed for this person; `None` for anything else.
    pub fn open<T: DeserializeOwned>(&self, person: &OpenId, sealed: &str) -> Option<T> {
        let bytes = BASE64.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: person.as_str().as_bytes() };
        let plain = self.cipher().decrypt(&XNonce::from(*nonce), payload).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// Makes a signed link value: base64url of the ticket, a dot, base64url of its HMAC-SHA256.
    pub fn sign(&self, ticket: &Ticket) -> String {
        let body = BASE64.encode(serde_json::to_vec(ticket).expect("a ticket is plain JSON"));
        let tag = BASE64.encode(self.mac(&self.signing, body.as_bytes()).finalize().into_bytes());
        format!("{body}.{tag}")
    }

    /// Reads a signed link value. `None` when it is not ours, was changed, is for something else or has run out.
    pub fn verify(&self, purpose: Purpose, signed: &str, now: Timestamp) -> Option<Ticket> {
        let (body, tag) = signed.split_once('.')?;
        let tag = BASE64.decode(tag).ok()?;
        self.mac(&self.signing, body.as_bytes()).verify_slice(&tag).ok()?;
        let ticket: Ticket = serde_json::from_slice(&BASE64.decode(body).ok()?).ok()?;
        (ticket.purpose == purpose && now < ticket.expires_at).then_some(ticket)
    }

    /// PKCE: the verifier that belongs to a nonce (43 characters), derived instead of stored, so that any replica can
    /// finish what another began.
    pub fn pkce_verifier(&self, nonce: &str) -> SecretString {
        BASE64.encode(self.mac(&self.pkce, nonce.as_bytes()).finalize().into_bytes()).into()
    }

    /// PKCE: the S256 challenge of a verifier.
    pub fn pkce_challenge(verifier: &SecretString) -> String {
        BASE64.encode(Sha256::digest(verifier.expose_secret().as_bytes()))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.sealing.expose_secret().into())
    }

    fn mac(&self, key: &SecretBox<[u8; KEY_BYTES]>, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key.expose_secret()).expect("HMAC takes any key");
        mac.update(message);
        mac
    }
}

/// A key for one use.
fn derived(key: &[u8; KEY_BYTES], label: &[u8]) -> Box<[u8; KEY_BYTES]> {
    let mut derived = Box::new([0; KEY_BYTES]);
    Hkdf::<Sha256>::new(None, key).expand(label, derived.as_mut()).expect("32 bytes are a legal HKDF-SHA256 output");
    derived
}

/// A nonce for a link: 16 random bytes, base64url.
pub fn nonce(clock: &dyn Clock) -> String {
    let mut bytes = [0; 16];
    clock.random(&mut bytes);
    BASE64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::clock::SystemClock;
    use super::*;

    fn person(name: &str) -> OpenId {
        OpenId::new(name).expect("a test id")
    }

    fn ticket(purpose: Purpose) -> Ticket {
        Ticket { purpose, person: person("ou_1"), nonce: "n".into(), expires_at: Timestamp(100) }
    }

    #[test]
    fn what_is_sealed_opens_only_for_the_same_person_and_key() {
        let secrets = Secrets::new(&[7; KEY_BYTES]);
        let sealed = secrets.seal(&person("ou_1"), &"token", &SystemClock);
        assert!(!sealed.contains("token"));
        assert_eq!(secrets.open::<String>(&person("ou_1"), &sealed).as_deref(), Some("token"));
        assert_eq!(secrets.open::<String>(&person("ou_2"), &sealed), None);
        assert_eq!(Secrets::new(&[8; KEY_BYTES]).open::<String>(&person("ou_1"), &sealed), None);
        assert_eq!(secrets.open::<String>(&person("ou_1"), "AAAA"), None);
    }

    #[test]
    fn a_link_is_good_for_its_purpose_until_its_time() {
        let secrets = Secrets::new(&[7; KEY_BYTES]);
        let signed = secrets.sign(&ticket(Purpose::Start));
        assert_eq!(secrets.verify(Purpose::Start, &signed, Timestamp(99)), Some(ticket(Purpose::Start)));
        assert_eq!(secrets.verify(Purpose::Start, &signed, Timestamp(100)), None);
        assert_eq!(secrets.verify(Purpose::Callback, &signed, Timestamp(1)), None);
    }

    #[test]
    fn a_changed_link_is_refused() {
        let secrets = Secrets::new(&[7; KEY_BYTES]);
        let signed = secrets.sign(&ticket(Purpose::Start));
        let mut other = ticket(Purpose::Start);
        other.person = person("ou_2");
        let forged = secrets.sign(&other).split_once('.').map(|(body, _)| body.to_owned()).expect("a dot");
        let tag = signed.split_once('.').expect("a dot").1;
        for bad in [format!("{forged}.{tag}"), "".into(), ".".into(), signed.replace('.', "")] {
            assert_eq!(secrets.verify(Purpose::Start, &bad, Timestamp(1)), None);
        }
    }

    #[test]
    fn the_challenge_is_s256_of_a_verifier_of_legal_length() {
        // RFC 7636, appendix B.
        let verifier = SecretString::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(Secrets::pkce_challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_eq!(Secrets::new(&[7; KEY_BYTES]).pkce_verifier("n").expose_secret().len(), 43);
    }
}
