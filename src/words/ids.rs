//! Identities: of accounts, of requests, and of rows in compiled tables.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{NameError, UnixTime, random_base62};

/// A route of one compiled policy: its position in the policy's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

/// An upstream of the settings: its position in the list of upstreams by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub u16);

/// Who an account *is*, however often its name is given away again: 1 to 64 bytes of
/// `[A-Za-z0-9._-]`. Ids we make are `sa_` and 22 random base62 characters (131 bits).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// A new id nobody has had before.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no program survives.
    pub fn random() -> Self {
        Self(format!("sa_{}", random_base62(22)).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |b| matches!(b, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            return Ok(Self(text.into()));
        }
        Err(NameError::new(
            text,
            "an account id",
            "1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_`, `-`",
        ))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// The id of one request, on the response, in the log line and in the record of a denial: a UUID of
/// version 7 (RFC 9562), so ids sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; 36]);

impl RequestId {
    /// The id as text.
    ///
    /// # Panics
    ///
    /// Never: it is made of hexadecimal digits and hyphens.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of hexadecimal digits and hyphens")
    }
}

/// As [`RequestId::as_str`] gives it, or as the `instance` of a problem document has it, with
/// `urn:uuid:` before it.
impl FromStr for RequestId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bare = text.strip_prefix("urn:uuid:").unwrap_or(text);
        let fits = |(place, byte): (usize, u8)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'7',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        };
        match <[u8; 36]>::try_from(bare.as_bytes()) {
            Ok(bytes) if bytes.into_iter().enumerate().all(fits) => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(NameError::new(
                text,
                "a request id",
                "one such as `019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70`, from `X-Request-Id` or \
                 `request_id` of the answer",
            )),
        }
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes request ids, one maker a core. Seeded by the operating system, then a `SplitMix64` walk: ids
/// must not repeat, but they guard nothing, so a system call each would be wasted.
#[derive(Debug)]
pub struct RequestIds(u64);

impl RequestIds {
    /// A maker with a seed of its own.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no program survives.
    pub fn new() -> Self {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).expect("the operating system gives random bytes");
        Self(u64::from_ne_bytes(seed))
    }

    /// The next id.
    pub fn next(&mut self, now: UnixTime) -> RequestId {
        let high = now.as_millis() << 16 | 0x7000 | (self.step() & 0x0fff);
        let low = self.step() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
        let mut text = [b'-'; 36];
        let (high, low) = (digits(high), digits(low));
        let (first, rest) = high.split_at(8);
        let (second, third) = rest.split_at(4);
        let (fourth, fifth) = low.split_at(4);
        for (place, part) in [
            (0, first),
            (9, second),
            (14, third),
            (19, fourth),
            (24, fifth),
        ] {
            if let Some(room) = text.get_mut(place..place + part.len()) {
                room.copy_from_slice(part);
            }
        }
        RequestId(text)
    }

    fn step(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A number in hexadecimal.
fn digits(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (pair, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
    text
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// Which token: its `jti`, 22 random base62 characters (131 bits). Not a secret: it opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; TOKEN_ID_LENGTH]);

/// Characters of a token's id: no two tokens share one.
const TOKEN_ID_LENGTH: usize = 22;

impl TokenId {
    /// An id nobody has had before.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no program survives.
    pub fn random() -> Self {
        let text = random_base62(TOKEN_ID_LENGTH);
        text.parse().expect("made in the form it is read in")
    }

    /// The id as text.
    ///
    /// # Panics
    ///
    /// Never: it is letters and digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("letters and digits")
    }
}

impl FromStr for TokenId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let id = <[u8; TOKEN_ID_LENGTH]>::try_from(text.as_bytes()).ok();
        let id = id.filter(|id| id.iter().all(u8::is_ascii_alphanumeric));
        id.map(Self).ok_or_else(|| {
            NameError::new(
                text,
                "a token's id",
                "22 letters and digits, the `jti` that `tokens list` and `tokens inspect` show",
            )
        })
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for TokenId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TokenId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_uuid_of_version_7_and_sorts_by_time() {
        let mut ids = RequestIds::new();
        let first = ids.next(UnixTime::from_millis(1_795_302_000_000));
        let later = ids.next(UnixTime::from_millis(1_795_302_000_001));
        let text = first.as_str();
        assert_eq!(
            text.split('-').map(str::len).collect::<Vec<_>>(),
            [8, 4, 4, 4, 12]
        );
        assert_eq!(text.as_bytes()[14], b'7');
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert!(text < later.as_str());
    }

    #[test]
    fn a_request_id_reads_back_from_everywhere_it_is_shown() {
        let id = RequestIds::new().next(UnixTime::from_secs(1));
        assert_eq!(id.as_str().parse(), Ok(id));
        assert_eq!(format!("urn:uuid:{id}").parse(), Ok(id));
        for wrong in ["", "GET", "019aab5f-2c1e-4d53-9f0a-5b1c6e2d4f70"] {
            assert!(wrong.parse::<RequestId>().is_err(), "{wrong}");
        }
        let near = id.as_str().replace('-', "_");
        assert!(near.parse::<RequestId>().is_err());
    }

    #[test]
    fn ids_do_not_repeat() {
        let mut ids = RequestIds::new();
        let seen: std::collections::HashSet<_> = (0..100_000)
            .map(|_| ids.next(UnixTime::from_secs(1)))
            .collect();
        assert_eq!(seen.len(), 100_000);
    }
}
