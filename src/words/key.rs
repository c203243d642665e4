//! Key ids and secrets: `pck_…` and `pcs_…`.
//!
//! Both are random base62 with six characters of CRC-32 behind them. The checksum lets secret
//! scanners tell a leak from a look-alike, and lets the gateway refuse junk without a look-up. The
//! forms never change: keys outlive releases.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

const ID_PREFIX: &str = "pck_";
const SECRET_PREFIX: &str = "pcs_";
/// 22 base62 characters are 131 bits.
const ID_RANDOM: usize = 22;
/// 43 base62 characters are 256 bits.
const SECRET_RANDOM: usize = 43;
/// 62⁶ is larger than 2³².
const CHECKSUM: usize = 6;
const ID_LENGTH: usize = ID_PREFIX.len() + ID_RANDOM + CHECKSUM;
const SECRET_LENGTH: usize = SECRET_PREFIX.len() + SECRET_RANDOM + CHECKSUM;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The public half of a key: `pck_`, 22 random base62 characters, 6 of checksum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_LENGTH]);

/// Why a text is not a key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a key id: expected `pck_`, 22 letters or digits and 6 of checksum")]
pub struct KeyIdError;

impl KeyId {
    /// A new key id.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no program survives.
    pub fn random() -> Self {
        let text = with_checksum(ID_PREFIX, ID_RANDOM);
        text.parse().expect("made by the rule it is checked by")
    }

    /// The id as text.
    ///
    /// # Panics
    ///
    /// Never: it is ASCII.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("parsed from ASCII letters and digits")
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let bytes: [u8; ID_LENGTH] = text.as_bytes().try_into().map_err(|_| KeyIdError)?;
        if checksum_holds(text, ID_PREFIX) {
            Ok(Self(bytes))
        } else {
            Err(KeyIdError)
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// The secret half of a key: `pcs_`, 43 random base62 characters, 6 of checksum; or, of a key that was
/// made elsewhere, whatever was its secret there. It has no `Display`, no `Serialize` and no `Clone`;
/// [`Secret::reveal`] is the one way out.
pub struct Secret(Zeroizing<String>);

/// Why a text is not a secret. It says nothing about the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not a key secret: expected `pcs_`, 43 letters or digits and 6 of checksum, or another key's of \
     at most {FOREIGN_SECRET_BYTES_MAX} bytes"
)]
pub struct SecretError;

/// Longest secret of a key made elsewhere, in bytes. Four times what anybody is known to hand out, and
/// few enough to hash for a stranger.
pub const FOREIGN_SECRET_BYTES_MAX: usize = 1024;

impl Secret {
    /// A new secret of 256 random bits.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no program survives.
    pub fn random() -> Self {
        Self(Zeroizing::new(with_checksum(SECRET_PREFIX, SECRET_RANDOM)))
    }

    /// Reads a secret as a caller sent it. What begins like one of ours is one of ours, checksum and
    /// all; anything else can only be that of a key made elsewhere, whose form nobody here knows.
    ///
    /// # Errors
    ///
    /// [`SecretError`] when the form or the checksum is wrong, or a foreign one is empty, too long or
    /// has control characters, which no header carries.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let good = if text.starts_with(SECRET_PREFIX) {
            text.len() == SECRET_LENGTH && checksum_holds(text, SECRET_PREFIX)
        } else {
            (1..=FOREIGN_SECRET_BYTES_MAX).contains(&text.len())
                && !text.chars().any(char::is_control)
        };
        if good {
            return Ok(Self(Zeroizing::new(text.to_owned())));
        }
        Err(SecretError)
    }

    /// SHA-256 of the secret's text.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The secret itself, for the one moment it is handed to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// SHA-256 of a secret: what policy files hold (`sha256:` and 64 hexadecimal digits), and what the
/// store's keyed digest is made from. Compares in constant time.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Says whether it is the digest of no bytes at all: what a pipe that broke makes.
    pub fn is_of_nothing(&self) -> bool {
        *self == Self(Sha256::digest([]).into())
    }

    /// The 32 bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretDigest {}

impl FromStr for SecretDigest {
    type Err = SecretDigestError;

    fn from_str(text: &str) -> Result<Self, SecretDigestError> {
        let hex = text.strip_prefix("sha256:").ok_or(SecretDigestError)?;
        let mut bytes = [0; 32];
        if hex.len() != 64 {
            return Err(SecretDigestError);
        }
        for (slot, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| SecretDigestError)?;
            if !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(SecretDigestError);
            }
            *slot = u8::from_str_radix(pair, 16).map_err(|_| SecretDigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for SecretDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Why a text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a digest: expected `sha256:` and 64 hexadecimal digits")]
pub struct SecretDigestError;

impl fmt::Display for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

/// `length` random base62 characters. Bytes from 248 up are thrown away, so that every character is
/// equally likely.
pub(crate) fn random_base62(length: usize) -> String {
    let mut text = String::with_capacity(length);
    let mut bytes = Zeroizing::new([0; 64]);
    while text.len() < length {
        getrandom::fill(bytes.as_mut()).expect("the operating system gives random bytes");
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let digits = fair.filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        text.extend(
            digits
                .take(length - text.len())
                .map(|digit| char::from(*digit)),
        );
    }
    text
}

fn with_checksum(prefix: &str, random: usize) -> String {
    let mut text = String::with_capacity(prefix.len() + random + CHECKSUM);
    text.push_str(prefix);
    text.push_str(&Zeroizing::new(random_base62(random)));
    let checksum = checksum(text.as_bytes());
    text.extend(checksum.iter().map(|digit| char::from(*digit)));
    text
}

/// CRC-32 of the prefix and the random part, as six base62 digits, most significant first.
fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(body);
    let mut digits = [b'0'; CHECKSUM];
    for slot in digits.iter_mut().rev() {
        if let Some(digit) = ALPHABET.get((rest % 62) as usize) {
            *slot = *digit;
        }
        rest /= 62;
    }
    digits
}

fn checksum_holds(text: &str, prefix: &str) -> bool {
    let Some((body, sum)) = text.as_bytes().split_last_chunk::<CHECKSUM>() else {
        return false;
    };
    body.starts_with(prefix.as_bytes())
        && body
            .iter()
            .skip(prefix.len())
            .all(u8::is_ascii_alphanumeric)
        && checksum(body) == *sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_its_length_is_fixed() {
        let id = KeyId::random();
        assert_eq!(id.as_str().len(), 32);
        assert_eq!(id.as_str().parse(), Ok(id));
        let secret = Secret::random();
        assert_eq!(secret.reveal().len(), 53);
        assert_eq!(
            Secret::parse(secret.reveal()).unwrap().digest(),
            secret.digest()
        );
    }

    /// E13: the checksum catches every changed character and every swap of neighbours.
    #[test]
    fn every_slip_of_the_pen_is_caught() {
        for _ in 0..20 {
            let secret = Secret::random();
            let good = secret.reveal().as_bytes();
            for place in 0..good.len() {
                for with in [b'0', b'a', b'Z', b'_', b'-'] {
                    let mut bad = good.to_vec();
                    bad[place] = with;
                    let same = bad == good;
                    let bad = String::from_utf8(bad).unwrap();
                    assert_eq!(is_ours(&bad), same, "{bad}");
                }
                if place > 0 && good[place] != good[place - 1] {
                    let mut bad = good.to_vec();
                    bad.swap(place, place - 1);
                    assert!(!is_ours(&String::from_utf8(bad).unwrap()));
                }
            }
        }
    }

    /// Whether it is read as a secret that was made here.
    fn is_ours(text: &str) -> bool {
        Secret::parse(text).is_ok() && text.starts_with(SECRET_PREFIX)
    }

    /// What begins like one of ours has its checksum; of other keys nobody here knows the form.
    #[test]
    fn a_secret_from_elsewhere_is_any_line_of_text() {
        let longest = "x".repeat(FOREIGN_SECRET_BYTES_MAX);
        for good in ["hunter2", "a:b.c+/=", "ключ", "pcs", "pck_1", &longest] {
            assert_eq!(Secret::parse(good).unwrap().reveal(), good);
        }
        let longer = format!("{longest}x");
        for bad in ["", "pcs_", "pcs_hunter2", "a\nb", "a\0", "\u{85}", &longer] {
            assert!(Secret::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_do_not_repeat_and_use_plain_characters() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..20_000 {
            let secret = Secret::random();
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            assert!(secret.reveal().bytes().all(plain));
            assert!(seen.insert(secret.reveal().to_owned()));
        }
    }

    #[test]
    fn a_secret_prints_nothing() {
        let secret = Secret::random();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:?}", secret.digest()), "SecretDigest(..)");
    }

    #[test]
    fn a_digest_reads_back() {
        let digest = Secret::random().digest();
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in [
            "",
            "sha256:",
            "sha1:00",
            &format!("sha256:{}", "g".repeat(64)),
            &"0".repeat(64),
        ] {
            assert!(bad.parse::<SecretDigest>().is_err(), "{bad}");
        }
    }
}
