//! The two seals on a push: a signature around the raw bytes and AES inside them. Pure bytes in, bytes out.
//!
//! The signature is plain SHA-256 over `timestamp ‖ nonce ‖ encrypt_key ‖ raw_body`, hex; it is not an HMAC. The
//! content is AES-256-CBC with PKCS#7 under SHA-256 of the Encrypt Key, as base64 of `IV ‖ ciphertext`. CBC itself
//! proves nothing about where bytes come from, so a caller checks the signature before opening whatever is signed.
//! Source: "Encrypt Key encryption configuration case" of the event subscription guide, whose formulas the unit
//! tests hold against vectors that two official SDKs agree on.

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Bytes of one AES block, and so of the IV in front of the ciphertext.
pub const BLOCK_BYTES: usize = 16;

/// The text was not sealed with our key, or was not sealed at all. Deliberately without a reason: telling bad base64
/// from bad padding is what a padding oracle lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sealed with this Encrypt Key")]
pub struct NotSealed;

/// Whether `presented_hex` is the signature of these very bytes. Compared in constant time; upper-case hex is taken
/// too. `timestamp` and `nonce` are the header strings as received, `raw_body` is the body before any parsing.
pub fn signature_matches(
    timestamp: &str,
    nonce: &str,
    encrypt_key: &SecretString,
    raw_body: &[u8],
    presented_hex: &str,
) -> bool {
    let mut presented = [0_u8; 32];
    if hex::decode_to_slice(presented_hex, &mut presented).is_err() {
        return false;
    }
    let expected = signature(timestamp, nonce, encrypt_key, raw_body);
    expected.ct_eq(&presented).into()
}

/// The signature as Feishu writes it: lower-case hex. Needed where this program plays Feishu against itself.
pub fn sign(timestamp: &str, nonce: &str, encrypt_key: &SecretString, raw_body: &[u8]) -> String {
    hex::encode(signature(timestamp, nonce, encrypt_key, raw_body))
}

/// Opens the base64 text of an `encrypt` field.
///
/// # Errors
/// [`NotSealed`] for anything but canonical base64 of an IV and at least one whole block with right padding.
pub fn open(encrypt_key: &SecretString, sealed_base64: &str) -> Result<Vec<u8>, NotSealed> {
    let mut bytes = STANDARD.decode(sealed_base64).map_err(|_| NotSealed)?;
    if bytes.len() < 2 * BLOCK_BYTES || !bytes.len().is_multiple_of(BLOCK_BYTES) {
        return Err(NotSealed);
    }
    let (iv, blocks) = bytes.split_first_chunk_mut::<BLOCK_BYTES>().ok_or(NotSealed)?;
    let cipher = cbc::Decryptor::<aes::Aes256>::new(&aes_key(encrypt_key).into(), &(*iv).into());
    cipher.decrypt_padded::<Pkcs7>(blocks).map(<[u8]>::to_vec).map_err(|_| NotSealed)
}

/// Seals `plain` the way Feishu does. `iv` must be fresh random bytes; it is passed in because nothing here draws
/// random numbers.
pub fn seal(encrypt_key: &SecretString, iv: [u8; BLOCK_BYTES], plain: &[u8]) -> String {
    // PKCS#7 always adds at least one byte, a full block to a multiple of 16.
    let sealed_len = (plain.len() / BLOCK_BYTES + 1) * BLOCK_BYTES;
    let mut bytes = vec![0_u8; BLOCK_BYTES + sealed_len];
    let (front, blocks) = bytes.split_at_mut(BLOCK_BYTES);
    front.copy_from_slice(&iv);
    if let Some(room) = blocks.get_mut(..plain.len()) {
        room.copy_from_slice(plain);
    }
    cbc::Encryptor::<aes::Aes256>::new(&aes_key(encrypt_key).into(), &iv.into())
        .encrypt_padded::<Pkcs7>(blocks, plain.len())
        .expect("the buffer was made for exactly this much padding");
    STANDARD.encode(bytes)
}

/// Whether two secrets are the same text, in time that does not depend on where they differ.
pub fn same_secret(expected: &SecretString, presented: &str) -> bool {
    // Hashed first, so that unequal lengths take the same path as unequal letters.
    let expected = Sha256::digest(expected.expose_secret().as_bytes());
    let presented = Sha256::digest(presented.as_bytes());
    expected.as_slice().ct_eq(presented.as_slice()).into()
}

fn signature(timestamp: &str, nonce: &str, encrypt_key: &SecretString, raw_body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(timestamp.as_bytes());
    hash.update(nonce.as_bytes());
    hash.update(encrypt_key.expose_secret().as_bytes());
    hash.update(raw_body);
    hash.finalize().into()
}

fn aes_key(encrypt_key: &SecretString) -> [u8; 32] {
    Sha256::digest(encrypt_key.expose_secret().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One worked example: everything as it stood on the wire.
    struct Vector {
        key: &'static str,
        iv: &'static str,
        plain: &'static str,
        sealed: &'static str,
        timestamp: &'static str,
        nonce: &'static str,
        /// Between the colon and the base64: some senders write a space, and the signature covers it.
        gap: &'static str,
        signature: &'static str,
        wrong: &'static [&'static str],
    }

    const CHALLENGE: Vector = Vector {
        key: "kudryavka",
        iv: "000102030405060708090a0b0c0d0e0f",
        plain: r#"{"challenge":"ajls384kdjxxxx","token":"vt-0001","type":"url_verification"}"#,
        sealed: "AAECAwQFBgcICQoLDA0ODygxCRD00ikE2ev/uv2HP2eaFMOS88c+1AoPDd0/R78xILJuAWRrHjgwmnWvuOpg7Un90NxkwuRuWwc6pWdRpBLwmmb0HYuqWiwkGHVM3aRI",
        timestamp: "1700000000",
        nonce: "nonce-1",
        gap: "",
        signature: "7c576ff2c20c8094b00164b7f1146d48d15a863deaea85b92a0f9038fa049fde",
        wrong: &[
            // HMAC-SHA256 with the key, and SHA-256 over the decrypted text: two mistakes others made.
            "1232d4a3f33b730e8cd634b3f30c1478e21cb39749100f6dc891e5c14da2a487",
            "3455c3572fd606fce54ff2dbd8eb6cd55802266c929d9bf76514cdcf99d2ab70",
        ],
    };

    const MESSAGE: Vector = Vector {
        key: "Rk7-test-encrypt-key-0123456789",
        iv: "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        plain: r#"{"schema":"2.0","header":{"event_id":"ev-0001","event_type":"im.message.receive_v1","create_time":"1700000000123","token":"vt-0001","app_id":"cli_test0000000001","tenant_key":"tk-0001"},"event":{"sender":{"sender_id":{"union_id":"on_1","open_id":"ou_1"},"sender_type":"user","tenant_key":"tk-0001"},"message":{"message_id":"om_1","create_time":"1700000000100","update_time":"1700000000100","chat_id":"oc_1","chat_type":"p2p","message_type":"text","content":"{\"text\":\"/broadcast 销售部 你好\"}"}}}"#,
        sealed: "Dx4tPEtaaXiHlqW0w9Lh8NfpS3HYTsJjrf3SBt5qPlfJkykcQgT7InK70sgM1s6ThmsHVLde9NETKYrW451KSjsbvKlOIQvl/TvJl87pcPVsE4vETGggrdnkiIFCPh4a/4NAl7xCTT1LxZ2CUb4hD0bY+wFAegPw2MpqgbPudK7HlEXSlObCitMMKKQQoWRPFu+LbNVfmdQJ0ZTMdz6rZvd3Kls1l68PmM6hyNiCr9PsWXrY3zFMjqKf1XVsu9V1AKJZ1DY4azt5ec7e3ZzWudxkYq0jENs8k+TowKWcyMlV23ixph8Zm2INqdF/ZUl4TDAefUjrcfN6qbyhNSYvtIXnSwUs+U7S+/192UI5+uIGzY4kY35ZfrkjA5rxbQEkpunHquuHB1TAltdXX8YSDB5TEv83wXOXGDetr88ZF1nswS5lvJBjc6L/GwieZcbaFSz5gzsuaZBgn8YzxedlFdJ7P02cYWG3isaI88bGhZ9UKXy3U8/9o/at/2N4uPQF3l9s8YTphhLuiTuTQLs+z9yw8XnUjn2KVfKcTWSdQlgj4cVbzJxTBlqkcCLqh66JYfykI5I9u0wxLTTlavchr9klumt56RS1eoq7GCQMSmOZFIT9jbtk6YRXf49BsE+pWa/n49R4iGuVK+XW/Z2BPka1Nncj3xgwo51/+SQILLlaOjCzajSe2JWBOXHWggvx",
        timestamp: "1700000001",
        nonce: "5b1a8c9d-0000-4000-8000-000000000002",
        gap: " ",
        signature: "60703e72974ff5896e62b608a70e0831e1e5f7ee23567eeb73c70afbce422c42",
        wrong: &[
            // The same formula over a body written again without the space, and an HMAC.
            "6858e98fa2bfee5763304107433359d423438b6eca2d6e3876cc857b23c8f65a",
            "143626e454cc8e55b6b8b2bfa29c65e64fae263911fa65f72c06a9181440fe6f",
        ],
    };

    const PRESS: Vector = Vector {
        key: "密钥-key",
        iv: "ffffffffffffffffffffffffffffffff",
        plain: r#"{"schema":"2.0","header":{"event_id":"ev-0002","event_type":"card.action.trigger","create_time":"1700000002000000","token":"vt-0001","app_id":"cli_test0000000001","tenant_key":"tk-0001"},"event":{"operator":{"tenant_key":"tk-0001","open_id":"ou_1","union_id":"on_1"},"token":"c-0001","action":{"value":{"a":"approve","id":"b-1"},"tag":"button"},"host":"im_message","context":{"open_message_id":"om_2","open_chat_id":"oc_1"}},"x":""}"#,
        sealed: "/////////////////////1smBSEzbn43h4AA0oSBME5GSx6qy5hPbGn+81O/qFeOd0veWGOVcS6kXem5mS7b0b0sE3GF6Za0tEeSUMNfaETFCfTzxe3Fm0QTlQWYpxf9bCeFot8nPpQdKqULTzTXI/Fb9qVAqXM5WDFYFqvJ/51PZsXFCGt7TZqNL0Ui0SzIP0cABaCFa56RJR9KRzMt6WJdpUpc0P8fWcyHidCp9fzXoGf3q4LMCUJ25zn4557Lg1IBNpAdfdghNBktzUv6xhfmo44xbW6jzB1C+B4bI5KkdmdKmi1+h0EJsdCsyN5QdgHnkc6XoeG/5Y08Ug2N9wWxomC/J8wrJy81ekRqf6Wds6Y/aCAJ9vEcsP75b0Cf7mFZAshYJpbhjVhAcWOOvcUCtLmPHCtCAUSkk32iI80sB4UJZp0C8Rd2uYAIFXkAJRN9CFXWj3yShFsYYC4IKksAKj8PitjqhbHa4bfyMk9/5pUk4WitFH5+vaynwv8FsSiwyjuKsXsul29ckTkdxQwrER/g6Z6+cq2GDkp2vfWL1c/+WujHQRmBFN5FqUlFKMoUdHzhtPqQnEn1nX+QZ7+RYka7uD8dU/bfreDR8Ks=",
        timestamp: "1700000002",
        nonce: "n3",
        gap: " ",
        signature: "4feaa893f6a3d1e7d5a46e0ff42158800eafe7c5a0d6d4d3da1446e2282e0a33",
        wrong: &[],
    };

    fn check(vector: &Vector) {
        let key = SecretString::from(vector.key);
        let mut iv = [0_u8; 16];
        hex::decode_to_slice(vector.iv, &mut iv).expect("the vector's IV is hex");
        assert_eq!(open(&key, vector.sealed).as_deref(), Ok(vector.plain.as_bytes()));
        assert_eq!(seal(&key, iv, vector.plain.as_bytes()), vector.sealed);

        let body = format!(r#"{{"encrypt":{}"{}"}}"#, vector.gap, vector.sealed);
        let matches = |hex: &str| signature_matches(vector.timestamp, vector.nonce, &key, body.as_bytes(), hex);
        assert!(matches(vector.signature));
        assert!(matches(&vector.signature.to_uppercase()));
        assert_eq!(sign(vector.timestamp, vector.nonce, &key, body.as_bytes()), vector.signature);
        for wrong in vector.wrong {
            assert!(!matches(wrong), "{wrong}");
        }
        assert!(!signature_matches("1", vector.nonce, &key, body.as_bytes(), vector.signature));
        assert!(!signature_matches(vector.timestamp, "n", &key, body.as_bytes(), vector.signature));
    }

    #[test]
    fn an_encrypted_challenge() {
        check(&CHALLENGE);
    }

    #[test]
    fn a_chinese_message() {
        check(&MESSAGE);
    }

    #[test]
    fn a_press_under_a_chinese_key_that_fills_its_last_block() {
        check(&PRESS);
    }

    #[test]
    fn the_sample_of_the_platforms_own_page() {
        let sealed = "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=";
        assert_eq!(open(&"test key".into(), sealed).as_deref(), Ok(b"hello world".as_slice()));
    }

    #[test]
    fn what_is_not_sealed_is_refused_without_a_reason() {
        let zeros = |count: usize| STANDARD.encode(vec![0_u8; count]);
        for sealed in ["".to_owned(), "AAAA".to_owned(), zeros(16), zeros(17), zeros(32), "密".to_owned()] {
            assert_eq!(open(&"kudryavka".into(), &sealed), Err(NotSealed), "{sealed}");
        }
    }

    #[test]
    fn a_signature_of_the_wrong_length_or_alphabet_is_wrong() {
        for hex in ["", "7c", "zz", "7c576ff2c20c8094b00164b7f1146d48d15a863deaea85b92a0f9038fa049fde00", "签名"] {
            assert!(!signature_matches("1700000000", "nonce-1", &"kudryavka".into(), b"{}", hex), "{hex}");
        }
    }

    #[test]
    fn secrets_are_compared_whole() {
        let token = SecretString::from("vt-0001");
        assert!(same_secret(&token, "vt-0001"));
        for presented in ["", "vt-000", "vt-00011", "VT-0001"] {
            assert!(!same_secret(&token, presented), "{presented}");
        }
    }

    proptest! {
        #[test]
        fn opening_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
            let key = SecretString::from("any");
            let _ = open(&key, &STANDARD.encode(&bytes));
            let _ = open(&key, &text);
        }

        #[test]
        fn what_is_sealed_opens_again(plain in proptest::collection::vec(any::<u8>(), 0..200), iv in any::<[u8; 16]>()) {
            let key = SecretString::from("密钥");
            prop_assert_eq!(open(&key, &seal(&key, iv, &plain)), Ok(plain));
        }
    }
}
