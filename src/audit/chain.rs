//! How records are chained, and how the ends of the chain are sealed.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::words::UnixTime;

/// HMAC-SHA-256 of a record and of all before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first record of all is chained to.
    pub const ORIGIN: Self = Self([0; 32]);

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = AnchorError;

    fn from_str(text: &str) -> Result<Self, AnchorError> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let bytes: Vec<u8> = digits
            .unwrap_or_default()
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[high, low]| high << 4 | low)
            .collect();
        match <[u8; 32]>::try_from(bytes) {
            Ok(bytes) if text.len() == 64 => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(AnchorError(text.chars().take(80).collect())),
        }
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Where a chain begins and ends. What is before `base` was cut off when it was too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The last record that was cut off, and its hash; 0 if none ever was.
    pub base: (u64, Hash),
    /// The last record, and its hash.
    pub head: (u64, Hash),
}

impl Ends {
    /// Those of a chain without a record.
    pub const EMPTY: Self = Self {
        base: (0, Hash::ORIGIN),
        head: (0, Hash::ORIGIN),
    };
}

/// What chains are made with. It comes from the pepper and does not print itself.
#[derive(Clone)]
pub struct ChainKey(Zeroizing<[u8; 32]>);

impl ChainKey {
    /// The key of these bytes.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The hash of record `number`, which is `text`, behind a record with the hash `before`.
    pub fn link(&self, before: &Hash, number: u64, text: &str) -> Hash {
        let number = number.to_be_bytes();
        self.of(&[b"record\0", before.as_bytes(), &number, text.as_bytes()])
    }

    /// What shows that the ends are those we wrote.
    pub fn seal(&self, ends: &Ends) -> Hash {
        let (base, head) = (ends.base.0.to_be_bytes(), ends.head.0.to_be_bytes());
        let hashes = (ends.base.1.as_bytes(), ends.head.1.as_bytes());
        self.of(&[b"ends\0", &base, hashes.0, &head, hashes.1])
    }

    fn of(&self, parts: &[&[u8]]) -> Hash {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_ref()).expect("HMAC takes any key length");
        parts.iter().for_each(|part| mac.update(part));
        Hash(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(..)")
    }
}

/// One record of a chain, told to somebody who keeps it elsewhere: as text, `NUMBER HASH TIME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// The record.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
    /// When it was told.
    pub at: UnixTime,
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.number, self.hash, self.at)
    }
}

impl FromStr for Anchor {
    type Err = AnchorError;

    fn from_str(line: &str) -> Result<Self, AnchorError> {
        let strange = || AnchorError(line.chars().take(80).collect());
        let mut words = line.split_whitespace();
        let (Some(number), Some(hash), Some(at), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(strange());
        };
        Ok(Self {
            number: number.parse().map_err(|_| strange())?,
            hash: hash.parse().map_err(|_| strange())?,
            at: at.parse().map_err(|_| strange())?,
        })
    }
}

/// What is no anchor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no anchor: expected a number, 64 hexadecimal digits and a time, as `portcullis audit anchor` prints them"
)]
pub struct AnchorError(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ChainKey {
        ChainKey::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn a_hash_depends_on_key_place_text_and_all_before() {
        let hash = key(1).link(&Hash::ORIGIN, 1, "a");
        assert_eq!(hash, key(1).link(&Hash::ORIGIN, 1, "a"));
        for other in [
            key(2).link(&Hash::ORIGIN, 1, "a"),
            key(1).link(&hash, 1, "a"),
            key(1).link(&Hash::ORIGIN, 2, "a"),
            key(1).link(&Hash::ORIGIN, 1, "b"),
        ] {
            assert_ne!(hash, other);
        }
    }

    #[test]
    fn an_anchor_reads_back_and_what_is_none_is_said() {
        let anchor = Anchor {
            number: 12,
            hash: key(1).link(&Hash::ORIGIN, 12, "a"),
            at: UnixTime::from_secs(1_795_302_000),
        };
        assert_eq!(anchor.to_string().parse(), Ok(anchor));
        for text in ["", "12", "12 ab 2026-11-22T00:00:00Z", "é", "1 2 3 4"] {
            assert!(text.parse::<Anchor>().is_err(), "{text}");
        }
        let long = format!("1 {} 2026-11-22T00:00:00Z", "é".repeat(32));
        assert!(long.parse::<Anchor>().is_err());
    }
}
