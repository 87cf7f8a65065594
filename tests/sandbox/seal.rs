//! How the platform seals and signs what it pushes: AES-256-CBC under SHA-256 of the Encrypt Key, and a plain
//! SHA-256 over timestamp, nonce, key and raw body. Written from the platform's description, not from the bot.

use aes::Aes256;
use base64::{Engine, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::NoPadding};
use sha2::{Digest, Sha256};

/// SHA-256 of `bytes`, in lowercase hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Sixteen bytes nobody could have guessed.
pub fn random_iv() -> [u8; 16] {
    let mut iv = [0; 16];
    getrandom::fill(&mut iv).expect("the operating system hands out randomness");
    iv
}

/// Pads `plain` to the block size, as PKCS#7 does: always at least one byte.
fn pad(plain: &[u8]) -> Vec<u8> {
    let missing = 16 - plain.len() % 16;
    let mut padded = plain.to_vec();
    padded.resize(plain.len() + missing, u8::try_from(missing).expect("at most one block"));
    padded
}

/// The value of `encrypt`: base64 of IV and ciphertext. Feishu, "Encrypt Key".
pub fn encrypt(key: &str, iv: [u8; 16], plain: &[u8]) -> String {
    encrypt_padded(key, iv, &pad(plain))
}

/// Like [`encrypt`], but the caller has padded, rightly or wrongly. `padded` is a whole number of blocks.
pub fn encrypt_padded(key: &str, iv: [u8; 16], padded: &[u8]) -> String {
    let mut buffer = padded.to_vec();
    let length = buffer.len();
    let sealed = cbc::Encryptor::<Aes256>::new(&Sha256::digest(key.as_bytes()), &iv.into())
        .encrypt_padded::<NoPadding>(&mut buffer, length)
        .expect("whole blocks need no padding");
    STANDARD.encode([iv.as_slice(), sealed].concat())
}

/// Opens what [`encrypt`] made. `None` for anything that is not base64 of whole blocks with right padding.
pub fn decrypt(key: &str, sealed: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(sealed).ok()?;
    if bytes.len() < 32 || bytes.len() % 16 != 0 {
        return None;
    }
    let iv: [u8; 16] = bytes[..16].try_into().ok()?;
    let mut buffer = bytes[16..].to_vec();
    let plain = cbc::Decryptor::<Aes256>::new(&Sha256::digest(key.as_bytes()), &iv.into())
        .decrypt_padded::<NoPadding>(&mut buffer)
        .ok()?;
    let padding = usize::from(*plain.last()?);
    let end = plain.len().checked_sub(padding)?;
    let right = (1..=16).contains(&padding) && plain[end..].iter().all(|byte| usize::from(*byte) == padding);
    right.then(|| plain[..end].to_vec())
}

/// `X-Lark-Signature`: not an HMAC, the key is simply text in the middle.
pub fn sign(timestamp: &str, nonce: &str, key: &str, body: &[u8]) -> String {
    sha256_hex(&[timestamp.as_bytes(), nonce.as_bytes(), key.as_bytes(), body].concat())
}

/// HMAC-SHA256, which several projects took the signature for; only to forge with.
pub fn hmac_sha256_hex(key: &[u8], message: &[u8]) -> String {
    let mut block = [0_u8; 64];
    let short = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block[..short.len()].copy_from_slice(&short);
    let inner = Sha256::digest([block.map(|b| b ^ 0x36).as_slice(), message].concat());
    sha256_hex(&[block.map(|b| b ^ 0x5c).as_slice(), inner.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = r#"{"challenge":"ajls384kdjxxxx","token":"vt-0001","type":"url_verification"}"#;
    const SEALED: &str = "AAECAwQFBgcICQoLDA0ODygxCRD00ikE2ev/uv2HP2eaFMOS88c+1AoPDd0/R78xILJuAWRrHjgwmnWvuOpg7Un90NxkwuRuWwc6pWdRpBLwmmb0HYuqWiwkGHVM3aRI";

    #[test]
    fn the_challenge_of_the_documentation_seals_to_the_same_bytes() {
        let iv: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).expect("small"));
        assert_eq!(encrypt("kudryavka", iv, CHALLENGE.as_bytes()), SEALED);
        assert_eq!(decrypt("kudryavka", SEALED).as_deref(), Some(CHALLENGE.as_bytes()));
    }

    #[test]
    fn the_signature_is_a_plain_hash_and_never_an_hmac() {
        let body = format!(r#"{{"encrypt":"{SEALED}"}}"#);
        let signature = sign("1700000000", "nonce-1", "kudryavka", body.as_bytes());
        assert_eq!(signature, "7c576ff2c20c8094b00164b7f1146d48d15a863deaea85b92a0f9038fa049fde");
        let hmac = hmac_sha256_hex(b"kudryavka", format!("1700000000nonce-1{body}").as_bytes());
        assert_eq!(hmac, "1232d4a3f33b730e8cd634b3f30c1478e21cb39749100f6dc891e5c14da2a487");
    }

    #[test]
    fn a_block_aligned_text_under_a_chinese_key_gains_a_whole_block() {
        let plain = r#"{"schema":"2.0","header":{"event_id":"ev-0002","event_type":"card.action.trigger","create_time":"1700000002000000","token":"vt-0001","app_id":"cli_test0000000001","tenant_key":"tk-0001"},"event":{"operator":{"tenant_key":"tk-0001","open_id":"ou_1","union_id":"on_1"},"token":"c-0001","action":{"value":{"a":"approve","id":"b-1"},"tag":"button"},"host":"im_message","context":{"open_message_id":"om_2","open_chat_id":"oc_1"}},"x":""}"#;
        let sealed = encrypt("密钥-key", [0xff; 16], plain.as_bytes());
        let body = format!(r#"{{"encrypt": "{sealed}"}}"#);
        assert_eq!(body.len(), 635);
        let signature = sign("1700000002", "n3", "密钥-key", body.as_bytes());
        assert_eq!(signature, "4feaa893f6a3d1e7d5a46e0ff42158800eafe7c5a0d6d4d3da1446e2282e0a33");
        assert_eq!(decrypt("密钥-key", &sealed).as_deref(), Some(plain.as_bytes()));
    }

    #[test]
    fn the_sample_of_the_documentation_opens_and_rubbish_does_not() {
        assert_eq!(
            decrypt("test key", "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=").as_deref(),
            Some(b"hello world".as_slice())
        );
        for bytes in [0_usize, 3, 16, 17, 32] {
            assert_eq!(decrypt("test key", &STANDARD.encode(vec![0; bytes])), None);
        }
    }
}
