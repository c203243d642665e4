//! The keys our own tokens are signed with.
//!
//! Ed25519 pairs. One signs; retired ones still verify what they signed, until the last of it has
//! run out. A key's id is taken from its public half, so the same key has the same id everywhere.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::settings::TOKEN_LIFETIME_MAX;
use crate::words::UnixTime;

/// Room for a token in bytes: most have no scope and fit.
const TOKEN_BYTES: usize = 512;

/// Characters of a key id: 96 bits, enough that no two keys ever share one.
const KID_LENGTH: usize = 16;

/// How much later than the retirement of its key a token may say it was made: it says so in whole seconds,
/// and a clock may have been set back meanwhile.
const RETIREMENT_SLACK: Duration = Duration::from_secs(60);

/// One signing key.
pub struct SigningKey {
    /// Its id in token headers.
    pub kid: String,
    /// The private half, ready to sign: reading it takes as long as signing with it.
    pub pair: Ed25519KeyPair,
    /// The public half, ready to verify.
    pub decoding: DecodingKey,
    /// The public half.
    pub public: [u8; 32],
    /// When it was made.
    pub created_at: UnixTime,
    /// Since when it signs nothing any more.
    pub retired_at: Option<UnixTime>,
}

/// Why bytes are not a signing key. It says nothing about the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not an Ed25519 private key in PKCS#8, PEM or DER: make one with `openssl genpkey -algorithm ed25519`"
)]
pub struct SigningKeyError;

impl SigningKey {
    /// A new key, and its private half as PKCS#8 for whoever keeps it.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no program survives.
    pub fn generate(now: UnixTime) -> (Self, Zeroizing<Vec<u8>>) {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .expect("the operating system gives random bytes");
        let private = Zeroizing::new(document.as_ref().to_vec());
        let key = Self::from_pkcs8(&private, now).expect("made in the form it is read in");
        (key, private)
    }

    /// The key in a PKCS#8 document, version 1 or 2.
    ///
    /// # Errors
    ///
    /// [`SigningKeyError`] when it is something else.
    pub fn from_pkcs8(private: &[u8], created_at: UnixTime) -> Result<Self, SigningKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(private).map_err(|_| SigningKeyError)?;
        let public = pair.public_key().as_ref();
        let public: [u8; 32] = public.try_into().map_err(|_| SigningKeyError)?;
        Ok(Self {
            kid: kid(&public),
            pair,
            decoding: DecodingKey::from_ed_der(&public),
            public,
            created_at,
            retired_at: None,
        })
    }

    /// The key in a file's bytes: PEM or DER.
    ///
    /// # Errors
    ///
    /// [`SigningKeyError`] when it is something else.
    pub fn from_file(bytes: &[u8], created_at: UnixTime) -> Result<Self, SigningKeyError> {
        if !bytes.starts_with(b"-----") {
            return Self::from_pkcs8(bytes, created_at);
        }
        let key = EncodingKey::from_ed_pem(bytes).map_err(|_| SigningKeyError)?;
        Self::from_pkcs8(key.as_bytes(), created_at)
    }

    /// An access token that says `claims`: a JWT of type `at+jwt`, signed with EdDSA.
    ///
    /// # Errors
    ///
    /// When the library does not sign.
    ///
    /// # Panics
    ///
    /// Never: what becomes a claim always becomes JSON.
    pub(crate) fn token(&self, claims: &impl Serialize) -> Result<String, Unspecified> {
        #[derive(Serialize)]
        struct Header<'a> {
            typ: &'a str,
            alg: &'a str,
            kid: &'a str,
        }
        let header = Header {
            typ: "at+jwt",
            alg: "EdDSA",
            kid: &self.kid,
        };
        let json = "texts and numbers always become JSON";
        let mut token = String::with_capacity(TOKEN_BYTES);
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&header).expect(json), &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims).expect(json), &mut token);
        let signature = self.pair.try_sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Says whether this key signed a token that was made and ends then, if it is what signed it: none of
    /// ours lives longer than [`TOKEN_LIFETIME_MAX`], and a key that has retired signs nothing any more. What
    /// else its signature stands below was made by somebody who has its private half.
    pub fn can_have_signed(&self, issued_at: UnixTime, expires_at: UnixTime) -> bool {
        let retired = self.retired_at.map(|at| at.plus(RETIREMENT_SLACK));
        expires_at <= issued_at.plus(TOKEN_LIFETIME_MAX)
            && retired.is_none_or(|retired| issued_at <= retired)
    }

    /// The private half as the JWT library takes it, for tokens of other forms than our own.
    ///
    /// # Panics
    ///
    /// Never: what was read can be written.
    pub fn encoding(&self) -> EncodingKey {
        let private = self.pair.to_pkcs8().expect("what was read can be written");
        EncodingKey::from_ed_der(private.as_ref())
    }
}

fn kid(public: &[u8; 32]) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(Sha256::digest(public));
    text.truncate(KID_LENGTH);
    text
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("created_at", &self.created_at)
            .field("retired_at", &self.retired_at)
            .finish_non_exhaustive()
    }
}

/// All signing keys, oldest first.
#[derive(Debug, Default)]
pub struct SigningKeys {
    keys: Vec<SigningKey>,
    /// How often all of them were replaced at once since the start: what a token opened before that ends.
    replaced: u64,
}

impl SigningKeys {
    /// These keys.
    pub fn new(mut keys: Vec<SigningKey>) -> Self {
        keys.sort_by_key(|key| key.created_at);
        Self { keys, replaced: 0 }
    }

    /// These keys in the place of `before`, all of them new or not.
    #[must_use]
    pub fn in_place_of(self, before: &Self, all_new: bool) -> Self {
        let replaced = before.replaced.wrapping_add(u64::from(all_new));
        Self { replaced, ..self }
    }

    /// How often all of them were replaced at once since the start.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// The key that signs: the newest that is not retired.
    pub fn current(&self) -> Option<&SigningKey> {
        self.keys.iter().rev().find(|key| key.retired_at.is_none())
    }

    /// The key with this id, retired ones too.
    pub fn by_kid(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// All keys, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter()
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, Header, Validation, decode, encode};

    use super::*;

    #[test]
    fn a_new_key_signs_what_it_verifies_and_reads_back_with_the_same_id() {
        let (key, private) = SigningKey::generate(UnixTime::from_secs(7));
        let claims = serde_json::json!({ "sub": "a", "exp": u32::MAX });
        let token = encode(&Header::new(Algorithm::EdDSA), &claims, &key.encoding()).unwrap();
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.validate_exp = false;
        let back = decode::<serde_json::Value>(&token, &key.decoding, &rules).unwrap();
        assert_eq!(back.claims, claims);
        let again = SigningKey::from_file(&private, key.created_at).unwrap();
        assert_eq!((&again.kid, again.public), (&key.kid, key.public));
        assert_eq!(key.kid.len(), KID_LENGTH);
    }

    #[test]
    fn a_key_as_openssl_writes_it_is_read() {
        let (key, _) = SigningKey::generate(UnixTime::default());
        let pair = Ed25519KeyPair::from_pkcs8(key.encoding().as_bytes()).unwrap();
        let body = base64::engine::general_purpose::STANDARD.encode(pair.to_pkcs8v1().unwrap());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let read = SigningKey::from_file(pem.as_bytes(), key.created_at).unwrap();
        assert_eq!(read.kid, key.kid);
        for bad in ["", "-----BEGIN", "junk"] {
            assert!(SigningKey::from_file(bad.as_bytes(), key.created_at).is_err());
        }
    }

    #[test]
    fn the_newest_key_that_is_not_retired_signs() {
        let at = |secs| SigningKey::generate(UnixTime::from_secs(secs)).0;
        let retired = SigningKey {
            retired_at: Some(UnixTime::from_secs(9)),
            ..at(8)
        };
        let kid = retired.kid.clone();
        let keys = SigningKeys::new(vec![retired, at(2), at(1)]);
        assert_eq!(keys.current().unwrap().created_at, UnixTime::from_secs(2));
        assert!(keys.by_kid(&kid).is_some() && keys.by_kid("x").is_none());
        assert!(SigningKeys::default().current().is_none());
    }

    #[test]
    fn a_signing_key_does_not_print_its_private_half() {
        let (key, private) = SigningKey::generate(UnixTime::default());
        let shown = format!("{key:?} {:?}", key.encoding());
        assert!(
            !shown.contains(&format!("{:?}", &private[16..20])),
            "{shown}"
        );
    }
}
