//! What the caller presented: nothing, a bearer token, or a key.
//!
//! A credential stands in a header and nowhere else: what the query, a cookie or the body carry is
//! data. There is at most one, because of two somebody else might read the other one. A bearer
//! token is taken as it stands (it is verified elsewhere); a key is taken apart here, and its
//! checksums refuse junk before anything is looked up or hashed.
//!
//! Also here: what has the *form* of a credential of ours, so that it can be removed from every
//! request before it is forwarded, verified or not.
//!
//! Not here: whether a credential is any good; see [`crate::verify`].

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, general_purpose::URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::reason::Reason;
use crate::settings::Listener;
use crate::words::{KeyId, Secret};

/// Longest credential read, in bytes. A token of ours takes about 500 and a key 86; sixteen times
/// that is a mistake or an attack, and is refused before it is hashed.
pub const CREDENTIAL_BYTES_MAX: usize = 8 * 1024;

/// The header a key may stand in, where the listener accepts it.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The one credential of a request. `Debug` tells its kind and no more.
pub enum Credential<'h> {
    /// None.
    Absent,
    /// A bearer token: at most [`CREDENTIAL_BYTES_MAX`] bytes of the `b64token` of RFC 6750.
    Bearer(&'h str),
    /// A key and its secret. The id is of our form, checksum and all; so is the secret, unless the key
    /// was made elsewhere.
    Key {
        /// Which key.
        id: KeyId,
        /// What proves it.
        secret: Secret,
    },
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Bearer(_) => f.write_str("Bearer(..)"),
            Self::Key { id, .. } => write!(f, "Key({id}, ..)"),
        }
    }
}

/// Which credentials a listener reads besides bearer tokens; one it does not read is data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepts {
    /// `Authorization: Basic <key id:secret>`.
    pub basic: bool,
    /// `X-Api-Key: <key id>.<secret>`.
    pub api_key: bool,
}

impl Accepts {
    /// What `listener` reads.
    pub fn of(listener: &Listener) -> Self {
        Self {
            basic: listener.basic,
            api_key: listener.api_key,
        }
    }
}

/// What an `Authorization` that is not of our form means to a request.
#[derive(Clone, Copy, Debug)]
pub enum Foreign<'i> {
    /// It is a credential like any other, and a wrong one.
    Counts,
    /// It is meant for the API behind: it is not counted, and may be passed on. The issuers tell
    /// whose tokens are ours.
    MayPass(&'i Issuers),
}

/// The issuers whose tokens are credentials to us: our own, and those trusted.
#[derive(Clone, Debug, Default)]
pub struct Issuers(Box<[Box<str>]>);

impl Issuers {
    /// These issuers, compared byte for byte.
    pub fn new<'a>(issuers: impl IntoIterator<Item = &'a str>) -> Self {
        Self(issuers.into_iter().map(Box::from).collect())
    }

    /// Says whether `issuer` is one of them.
    pub fn contains(&self, issuer: &str) -> bool {
        self.0.iter().any(|known| **known == *issuer)
    }
}

/// Reads the one credential of a request.
///
/// # Errors
///
/// [`Reason::CredentialRepeated`] when there are two, whatever they are worth;
/// [`Reason::CredentialMalformed`] when the one there is has no form we read.
pub fn read<'h>(
    headers: &'h HeaderMap,
    accepts: Accepts,
    foreign: Foreign<'_>,
) -> Result<Credential<'h>, Reason> {
    let counts = |value: &&HeaderValue| match foreign {
        Foreign::Counts => true,
        Foreign::MayPass(issuers) => is_ours(value, issuers),
    };
    let authorization = only(headers.get_all(AUTHORIZATION).iter().filter(counts))?
        .filter(|value| accepts.basic || basic(value).is_none());
    let api_key = if accepts.api_key {
        only(headers.get_all(X_API_KEY).iter())?
    } else {
        None
    };
    match (authorization, api_key) {
        (None, None) => Ok(Credential::Absent),
        (Some(value), None) => from_authorization(value),
        (None, Some(value)) => from_api_key(value),
        (Some(_), Some(_)) => Err(Reason::CredentialRepeated),
    }
}

fn only<'h>(
    mut values: impl Iterator<Item = &'h HeaderValue>,
) -> Result<Option<&'h HeaderValue>, Reason> {
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Reason::CredentialRepeated),
    }
}

fn from_authorization(value: &HeaderValue) -> Result<Credential<'_>, Reason> {
    if let Some(encoded) = basic(value) {
        let pair = basic_pair(encoded).ok_or(Reason::CredentialMalformed)?;
        return key(&pair, ':');
    }
    let token = after_scheme(value, "bearer").and_then(|token| std::str::from_utf8(token).ok());
    match token {
        Some(token) if token.len() <= CREDENTIAL_BYTES_MAX && is_b64token(token) => {
            Ok(Credential::Bearer(token))
        }
        _ => Err(Reason::CredentialMalformed),
    }
}

fn from_api_key(value: &HeaderValue) -> Result<Credential<'static>, Reason> {
    let text = value.to_str().map_err(|_| Reason::CredentialMalformed)?;
    key(text, '.')
}

fn key(pair: &str, separator: char) -> Result<Credential<'static>, Reason> {
    let (id, secret) = pair
        .split_once(separator)
        .ok_or(Reason::CredentialMalformed)?;
    let id = id.parse().map_err(|_| Reason::CredentialMalformed)?;
    let secret = Secret::parse(secret).map_err(|_| Reason::CredentialMalformed)?;
    Ok(Credential::Key { id, secret })
}

/// What follows the scheme, if the value has that scheme and one or two spaces after it.
fn after_scheme<'h>(value: &'h HeaderValue, scheme: &str) -> Option<&'h [u8]> {
    let (name, rest) = value.as_bytes().split_at_checked(scheme.len())?;
    if !name.eq_ignore_ascii_case(scheme.as_bytes()) {
        return None;
    }
    let rest = rest.strip_prefix(b" ")?;
    Some(rest.strip_prefix(b" ").unwrap_or(rest))
}

/// The encoded half of a `Basic` value.
pub(crate) fn basic(value: &HeaderValue) -> Option<&[u8]> {
    after_scheme(value, "basic")
}

/// `user:password` of a `Basic` value, decoded; `None` if it is not base64, not UTF-8, too long,
/// or has no colon.
pub(crate) fn basic_pair(encoded: &[u8]) -> Option<Zeroizing<String>> {
    if encoded.len() > CREDENTIAL_BYTES_MAX {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    Some(Zeroizing::new(text)).filter(|text| text.contains(':'))
}

/// `b64token` of RFC 6750, section 2.1. Every request passes here, so it looks at all bytes rather
/// than stop at the first wrong one: the compiler then looks at sixteen at a time.
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let plain = |b: u8| b.is_ascii_alphanumeric() | matches!(b, b'-'..=b'/' | b'_' | b'~' | b'+');
    !body.is_empty() & body.bytes().fold(true, |all, b| all & plain(b))
}

/// Says whether a header value holds something of the form of a credential of ours, which then
/// must not reach an upstream: a key id or a secret (as a word of its own, however mangled behind
/// its prefix, or anywhere if its checksum holds), also inside the base64 of `Basic`, or a JWT
/// whose claims name one of `issuers`. It says nothing about whether the credential is any good.
///
/// It reads any value, so it may be asked of `Authorization`, `X-Api-Key`, or any other header.
pub fn is_ours(value: &HeaderValue, issuers: &Issuers) -> bool {
    let bytes = value.as_bytes();
    names_a_key(bytes)
        || names_an_issuer(bytes, issuers)
        || basic(value).is_some_and(|encoded| {
            let decoded = Zeroizing::new(ANY_BASE64.decode(encoded).unwrap_or_default());
            names_a_key(&decoded) || names_an_issuer(&decoded, issuers)
        })
}

/// Base64 as a careless reader takes it, so that nothing slips by for want of a padding character.
const ANY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A prefix alone is not enough inside a longer word: one foreign JWT in some thousands spells
/// `pck_` by chance.
fn names_a_key(bytes: &[u8]) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let mut before = None;
    let mut rest = bytes;
    while let Some((first, behind)) = rest.split_first() {
        if rest.starts_with(b"pck_") || rest.starts_with(b"pcs_") {
            let starts_a_word = !before.is_some_and(word);
            let text = |length| rest.get(..length).and_then(|b| std::str::from_utf8(b).ok());
            if starts_a_word
                || text(KEY_ID_BYTES).is_some_and(|id| id.parse::<KeyId>().is_ok())
                || text(SECRET_BYTES).is_some_and(|secret| Secret::parse(secret).is_ok())
            {
                return true;
            }
        }
        before = Some(*first);
        rest = behind;
    }
    false
}

/// Length of a key id as text.
const KEY_ID_BYTES: usize = 32;
/// Length of a secret as text.
const SECRET_BYTES: usize = 53;

fn names_an_issuer(bytes: &[u8], issuers: &Issuers) -> bool {
    let apart = |b: &u8| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    bytes
        .split(apart)
        .filter(|word| word.contains(&b'.'))
        .flat_map(|word| word.split(|b| *b == b'.'))
        .filter(|part| part.starts_with(b"e")) // `{` in base64
        .filter_map(issuer_in)
        .any(|issuer| issuers.contains(&issuer))
}

/// The issuer a JWT says it is from, unverified; `None` if this is no JWT or does not say.
pub(crate) fn issuer_of(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    match parts.next() {
        None => issuer_in(claims.as_bytes()),
        Some(_) => None,
    }
}

fn issuer_in(claims: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(borrow)]
        iss: Cow<'a, str>,
    }
    let json = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let peek: Peek<'_> = serde_json::from_slice(&json).ok()?;
    Some(peek.iss.into_owned())
}

#[cfg(test)]
mod tests;
