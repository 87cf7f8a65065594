//! What `SECRET_KEY` is for: sealing user tokens at rest, signing the links of the authorization and the audit chain.
//!
//! Each use has a key of its own, derived with HKDF-SHA256, so that a token of one use is worth nothing in another.
//! Sealing is XChaCha20-Poly1305 with a random 24-byte nonce; the person's open_id is bound in as associated data, so
//! that a row copied to another person does not open.
//!
//! While `SECRET_KEY` is being changed, what the previous one sealed or signed still counts; whatever is made is made
//! with the present one.

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
use crate::domain::keys::{Generation, Rotating};

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

/// The keys derived from `SECRET_KEY` and from the one before it. Never printed: there is no `Debug` that shows them.
pub struct Secrets(Rotating<Derived>);

/// The keys derived from one `SECRET_KEY`.
struct Derived {
    sealing: SecretBox<[u8; KEY_BYTES]>,
    signing: SecretBox<[u8; KEY_BYTES]>,
    pkce: SecretBox<[u8; KEY_BYTES]>,
}

impl Derived {
    fn of(key: &[u8; KEY_BYTES]) -> Self {
        let derive = |label: &[u8]| SecretBox::new(derived(key, label));
        Self {
            sealing: derive(b"feishu-broadcast user tokens v1"),
            signing: derive(b"feishu-broadcast login links v1"),
            pkce: derive(b"feishu-broadcast pkce v1"),
        }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.sealing.expose_secret().into())
    }

    /// What was sealed for this person with these keys.
    fn plain(&self, person: &OpenId, sealed: &str) -> Option<Vec<u8>> {
        let bytes = BASE64.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: person.as_str().as_bytes() };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).ok()
    }
}

impl Secrets {
    /// From the 32 bytes of `SECRET_KEY`, and of the one before it.
    pub fn new(key: &Rotating<[u8; KEY_BYTES]>) -> Self {
        Self(key.map(Derived::of))
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
        let plain = serde_json::to_vec(value).expect("our documents have string keys and finite numbers");
        self.enclose(person, &plain, clock)
    }

    /// Opens what [`Self::seal`] sealed for this person, with either key; `None` for anything else.
    pub fn open<T: DeserializeOwned>(&self, person: &OpenId, sealed: &str) -> Option<T> {
        let plain = self.0.each().find_map(|(_, keys)| keys.plain(person, sealed))?;
        serde_json::from_slice(&plain).ok()
    }

    /// Seals anew with the present key what only the previous one opens; `None` for anything else.
    pub fn seal_anew(&self, person: &OpenId, sealed: &str, clock: &dyn Clock) -> Option<String> {
        let plain = self.0.previous.as_ref()?.plain(person, sealed)?;
        Some(self.enclose(person, &plain, clock))
    }

    /// Whether `SECRET_KEY` is being changed.
    pub fn are_rotating(&self) -> bool {
        self.0.previous.is_some()
    }

    fn enclose(&self, person: &OpenId, plain: &[u8], clock: &dyn Clock) -> String {
        let mut nonce = [0; NONCE_BYTES];
        clock.random(&mut nonce);
        let payload = Payload { msg: plain, aad: person.as_str().as_bytes() };
        let sealed = self.0.present.cipher().encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("tokens are far below the cipher's limit");
        BASE64.encode([nonce.as_slice(), &sealed].concat())
    }

    /// Makes a signed link value: base64url of the ticket, a dot, base64url of its HMAC-SHA256.
    pub fn sign(&self, ticket: &Ticket) -> String {
        let body = BASE64.encode(serde_json::to_vec(ticket).expect("a ticket is plain JSON"));
        let tag = BASE64.encode(mac(&self.0.present.signing, body.as_bytes()).finalize().into_bytes());
        format!("{body}.{tag}")
    }

    /// Reads a signed link value, and says with which key it was signed: the PKCE verifier is of the same. `None` when it is
    /// not ours, was changed, is for something else or has run out.
    pub fn verify(&self, purpose: Purpose, signed: &str, now: Timestamp) -> Option<(Ticket, Generation)> {
        let (body, tag) = signed.split_once('.')?;
        let tag = BASE64.decode(tag).ok()?;
        let signer = self.0.find(|keys| mac(&keys.signing, body.as_bytes()).verify_slice(&tag).is_ok())?;
        let ticket: Ticket = serde_json::from_slice(&BASE64.decode(body).ok()?).ok()?;
        (ticket.purpose == purpose && now < ticket.expires_at).then_some((ticket, signer))
    }

    /// PKCE: the verifier that belongs to a nonce (43 characters), derived instead of stored, so that any replica can
    /// finish what another began.
    pub fn pkce_verifier(&self, nonce: &str, generation: Generation) -> SecretString {
        let keys = self.0.of(generation).unwrap_or(&self.0.present);
        BASE64.encode(mac(&keys.pkce, nonce.as_bytes()).finalize().into_bytes()).into()
    }

    /// PKCE: the S256 challenge of a verifier.
    pub fn pkce_challenge(verifier: &SecretString) -> String {
        BASE64.encode(Sha256::digest(verifier.expose_secret().as_bytes()))
    }
}

fn mac(key: &SecretBox<[u8; KEY_BYTES]>, message: &[u8]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key.expose_secret()).expect("HMAC takes any key");
    mac.update(message);
    mac
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

    fn secrets() -> Secrets {
        Secrets::new(&Rotating::only([7; KEY_BYTES]))
    }

    fn ticket(purpose: Purpose) -> Ticket {
        Ticket { purpose, person: person("ou_1"), nonce: "n".into(), expires_at: Timestamp(100) }
    }

    #[test]
    fn what_is_sealed_opens_only_for_the_same_person_and_key() {
        let secrets = secrets();
        let sealed = secrets.seal(&person("ou_1"), &"token", &SystemClock);
        assert!(!sealed.contains("token"));
        assert_eq!(secrets.open::<String>(&person("ou_1"), &sealed).as_deref(), Some("token"));
        assert_eq!(secrets.open::<String>(&person("ou_2"), &sealed), None);
        assert_eq!(Secrets::new(&Rotating::only([8; KEY_BYTES])).open::<String>(&person("ou_1"), &sealed), None);
        assert_eq!(secrets.open::<String>(&person("ou_1"), "AAAA"), None);
    }

    #[test]
    fn a_link_is_good_for_its_purpose_until_its_time() {
        let secrets = secrets();
        let signed = secrets.sign(&ticket(Purpose::Start));
        assert_eq!(
            secrets.verify(Purpose::Start, &signed, Timestamp(99)),
            Some((ticket(Purpose::Start), Generation::Present))
        );
        assert_eq!(secrets.verify(Purpose::Start, &signed, Timestamp(100)), None);
        assert_eq!(secrets.verify(Purpose::Callback, &signed, Timestamp(1)), None);
    }

    #[test]
    fn a_changed_link_is_refused() {
        let secrets = secrets();
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
    fn while_the_key_is_changed_what_the_previous_one_made_counts_and_the_present_one_makes() {
        let (old, new) = (secrets(), Secrets::new(&Rotating::only([8; KEY_BYTES])));
        let both = Secrets::new(&Rotating { present: [8; KEY_BYTES], previous: Some([7; KEY_BYTES]) });
        let person = person("ou_1");
        let opens = |secrets: &Secrets, sealed: &str| secrets.open::<String>(&person, sealed).is_some();
        let sealed = old.seal(&person, &"token", &SystemClock);
        assert!(opens(&both, &sealed) && !opens(&new, &sealed));
        let anew = both.seal_anew(&person, &sealed, &SystemClock).expect("only the previous one opens it");
        assert!(opens(&new, &anew) && !opens(&old, &anew));
        assert_eq!(both.seal_anew(&person, &anew, &SystemClock), None, "it is under the present one");
        assert!(opens(&new, &both.seal(&person, &"token", &SystemClock)));

        let verified = |secrets: &Secrets, signed: &str| secrets.verify(Purpose::Start, signed, Timestamp(1));
        let signed = old.sign(&ticket(Purpose::Start));
        assert_eq!(verified(&both, &signed), Some((ticket(Purpose::Start), Generation::Previous)));
        assert_eq!(verified(&new, &signed), None);
        assert_eq!(verified(&new, &both.sign(&ticket(Purpose::Start))).map(|(_, by)| by), Some(Generation::Present));
        let verifier = |secrets: &Secrets, by: Generation| secrets.pkce_verifier("n", by).expose_secret().to_owned();
        assert_eq!(verifier(&both, Generation::Previous), verifier(&old, Generation::Present));
        assert_eq!(verifier(&both, Generation::Present), verifier(&new, Generation::Present));
    }

    #[test]
    fn the_challenge_is_s256_of_a_verifier_of_legal_length() {
        // RFC 7636, appendix B.
        let verifier = SecretString::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(Secrets::pkce_challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_eq!(secrets().pkce_verifier("n", Generation::Present).expose_secret().len(), 43);
    }
}
