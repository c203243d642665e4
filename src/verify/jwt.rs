//! Our own access tokens: signed JWTs of type `at+jwt` (RFC 9068), read as strictly as they are
//! made.
//!
//! The library computes the signature; all that stands around it is read here, because a general
//! JWT reader forgives what ours never contains. Header and claims are exactly the members we write,
//! each once and of its type: no `crit`, no `jwk`, no member we do not know, no array where a text
//! is due. The algorithm is a constant and the key is found by its id in our own table, so nothing a
//! stranger writes chooses either; until that has been done no signature is computed.
//!
//! Before the signature only what chooses the key is looked at. Everything after it is authentic, so
//! `token_expired` in a log is about a token that was really ours.
//!
//! Not here: whether account and key still exist; see [`super::Verifier`].

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use crate::credential::issuer_of;
use crate::directory::{SigningKey, SigningKeys};
use crate::reason::Reason;
use crate::words::{AccountId, AccountName, KeyId, Permission, TokenId, UnixTime};

/// How far in the future a token may have been made: replicas sign for each other, and their clocks
/// differ. There is no grace at the other end, because an end is a promise.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);

/// What a verified token says: who calls, and until when. Never what they may do.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Which token it is.
    pub(crate) id: TokenId,
    /// The account it was made for.
    pub(crate) account: AccountId,
    /// The key it was made from; none if an operator issued it.
    pub(crate) key: Option<KeyId>,
    /// When it was made.
    pub(crate) issued_at: UnixTime,
    /// The first moment it is not good any more.
    pub(crate) expires_at: UnixTime,
    /// The permissions it was narrowed to, by name: numbers belong to one policy.
    pub(crate) scope: Option<Box<[Permission]>>,
    /// The id of the key that signed it.
    pub(crate) signer: Box<str>,
    /// The public half of that key: an id may be given to another key, this may not.
    pub(crate) signer_public: [u8; 32],
    /// First bytes of the token's SHA-256, as `sha256sum` prints it.
    pub(crate) digest: [u8; 8],
}

impl Identity {
    /// Says whether `now` lies in the token's time: from its making, for which clocks may differ,
    /// to its end, which is not part of it.
    ///
    /// # Errors
    ///
    /// [`Reason::TokenExpired`] or [`Reason::TokenNotYetValid`].
    pub(crate) fn covers(&self, now: UnixTime) -> Result<(), Reason> {
        if now >= self.expires_at {
            return Err(Reason::TokenExpired);
        }
        if self.issued_at > now.plus(CLOCK_SKEW_MAX) {
            return Err(Reason::TokenNotYetValid);
        }
        Ok(())
    }

    /// The key that signed this, if it is still there and may have.
    pub(crate) fn signer<'k>(&self, keys: &'k SigningKeys) -> Option<&'k SigningKey> {
        keys.by_kid(&self.signer)
            .filter(|key| key.public == self.signer_public)
            .filter(|key| key.can_have_signed(self.issued_at, self.expires_at))
    }
}

/// Verifies a token: form, issuer, signing key, signature, claims, audience. Its time is left to
/// [`Identity::covers`], because it has to be asked again at each use.
///
/// # Errors
///
/// [`Reason::IssuerUntrusted`] when it names another issuer, [`Reason::SignatureWrong`] when a
/// signing key of ours did not sign it, [`Reason::AudienceWrong`] when it is for somebody else, and
/// [`Reason::TokenUnknown`] for everything else that is no access token of ours.
pub(super) fn verify(
    token: &str,
    issuer: &str,
    is_for: impl FnOnce(&str) -> bool,
    keys: &SigningKeys,
) -> Result<Identity, Reason> {
    if *issuer_of(token).ok_or(Reason::TokenUnknown)? != *issuer {
        return Err(Reason::IssuerUntrusted);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Reason::TokenUnknown)?;
    let (header, claims) = message.split_once('.').ok_or(Reason::TokenUnknown)?;
    let signer = signer(header, keys).ok_or(Reason::TokenUnknown)?;

    let holds = jsonwebtoken::crypto::verify(
        signature,
        message.as_bytes(),
        &signer.decoding,
        Algorithm::EdDSA,
    );
    if !matches!(holds, Ok(true)) {
        return Err(Reason::SignatureWrong);
    }

    let json = decode(claims).ok_or(Reason::TokenUnknown)?;
    let claims: Claims<'_> = serde_json::from_slice(&json).map_err(|_| Reason::TokenUnknown)?;
    if !is_for(&claims.aud) {
        return Err(Reason::AudienceWrong);
    }
    let digest: [u8; 32] = Sha256::digest(token).into();
    let (first, _) = digest.split_first_chunk().ok_or(Reason::TokenUnknown)?;
    let identity = claims.identity(signer, *first);
    identity
        .filter(|identity| identity.signer(keys).is_some())
        .ok_or(Reason::TokenUnknown)
}

/// The signing key a header names, if the header is one of ours.
fn signer<'k>(header: &str, keys: &'k SigningKeys) -> Option<&'k SigningKey> {
    let json = decode(header)?;
    let header: Header<'_> = serde_json::from_slice(&json).ok()?;
    let is_access_token = ["at+jwt", "application/at+jwt"]
        .iter()
        .any(|name| header.typ.eq_ignore_ascii_case(name));
    if header.alg != ALGORITHM || !is_access_token {
        return None;
    }
    keys.by_kid(&header.kid)
}

/// The one algorithm, as headers spell it; exact, because `none` has been spelled in many ways.
const ALGORITHM: &str = "EdDSA";

/// The JSON object in a part of a token. An array is refused: it would be read as the members of a
/// struct in their order.
fn decode(part: &str) -> Option<Vec<u8>> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    json.starts_with(b"{").then_some(json)
}

/// Every member, as we write it. One that is missing, repeated, unknown or of another type is
/// refused by the reader this derives; an unknown one before its value is looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
}

/// As [`Header`]; written by [`crate::oauth::mint`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims<'a> {
    #[serde(rename = "iss")]
    _issuer: String,
    sub: AccountId,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    exp: u64,
    iat: u64,
    #[serde(borrow)]
    jti: Cow<'a, str>,
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    #[serde(default, deserialize_with = "said")]
    scope: Option<String>,
}

/// A member that may be missing but not `null`, which would read as no limit.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

impl Claims<'_> {
    fn identity(self, signer: &SigningKey, digest: [u8; 8]) -> Option<Identity> {
        let key = self.client_id.parse::<KeyId>().ok();
        let id = self.jti.parse().ok()?;
        if key.is_none() && self.client_id.parse::<AccountName>().is_err() {
            return None;
        }
        let scope = match &self.scope {
            Some(names) => Some(scope(names)?),
            None => None,
        };
        Some(Identity {
            id,
            account: self.sub,
            key,
            issued_at: moment(self.iat)?,
            expires_at: moment(self.exp)?,
            scope,
            signer: signer.kid.as_str().into(),
            signer_public: signer.public,
            digest,
        })
    }
}

fn scope(names: &str) -> Option<Box<[Permission]>> {
    names.split(' ').map(|name| name.parse().ok()).collect()
}

/// A moment people can write; `u64::MAX` seconds would be brought down to one, and is refused.
fn moment(secs: u64) -> Option<UnixTime> {
    let moment = UnixTime::from_secs(secs);
    (moment.as_secs() == secs).then_some(moment)
}

#[cfg(test)]
mod tests;
