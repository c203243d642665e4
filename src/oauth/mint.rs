//! Makes access tokens, and publishes the keys they are signed with.
//!
//! A token says who calls, for whom it is, and until when. It names permissions only where it was
//! asked to be narrower than its account; what an account may do is looked up when it is used.

use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::credential::CREDENTIAL_BYTES_MAX;
use crate::directory::{SigningKey, SigningKeys};
use crate::settings::Tokens;
use crate::words::{Account, KeyId, Permission, TokenId, UnixTime};

/// What a token is asked for.
#[derive(Clone, Copy, Debug)]
pub struct MintRequest<'a> {
    /// Which token it will be.
    pub id: TokenId,
    /// Who will call with it.
    pub account: &'a Account,
    /// The key it is made from; none if an operator issues it.
    pub key: Option<KeyId>,
    /// The only permissions it may use, whatever the account holds; none is no such limit.
    pub scope: Option<&'a [Permission]>,
    /// How long it is good.
    pub lifetime: Duration,
}

/// Why there is no token.
#[derive(Debug, Error)]
pub enum MintError {
    /// Nothing to sign with.
    #[error("there is no signing key: give the gateway a store, or set `tokens.signing_key`")]
    NoSigningKey,
    /// Nobody would read it.
    #[error(
        "the token would be {found} bytes long and at most {CREDENTIAL_BYTES_MAX} are read: ask for fewer permissions"
    )]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// The library refused.
    #[error("the token could not be signed")]
    Signing,
}

/// Every claim we write; read again by [`crate::verify`], which knows no others.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: u64,
    iat: u64,
    jti: &'a str,
    /// The key's id; where there is no key the account's name, which is not of a key id's form.
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// Makes one access token: a JWT of type `at+jwt`, signed with EdDSA.
///
/// # Errors
///
/// [`MintError`] when there is no key to sign with, or the scope makes the token longer than what
/// a request may carry.
pub fn mint(
    signer: Option<&SigningKey>,
    tokens: &Tokens,
    request: MintRequest<'_>,
    now: UnixTime,
) -> Result<String, MintError> {
    let signer = signer.ok_or(MintError::NoSigningKey)?;
    let scope = request.scope.map(joined);
    let claims = Claims {
        iss: &tokens.issuer,
        sub: request.account.id.as_str(),
        aud: &tokens.audience,
        exp: now.plus(request.lifetime).as_secs(),
        iat: now.as_secs(),
        jti: request.id.as_str(),
        client_id: request
            .key
            .as_ref()
            .map_or(request.account.name.as_str(), KeyId::as_str),
        scope: scope.as_deref(),
    };
    let token = signer
        .token(&claims)
        .map_err(|Unspecified| MintError::Signing)?;
    match token.len() {
        found if found > CREDENTIAL_BYTES_MAX => Err(MintError::TooLong { found }),
        _ => Ok(token),
    }
}

/// Permissions as OAuth writes them: names with a space between.
pub(super) fn joined(permissions: &[Permission]) -> String {
    let names: Vec<_> = permissions.iter().map(Permission::as_str).collect();
    names.join(" ")
}

/// Where the public halves of the signing keys are.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// How long readers may keep the key set. A new key signs at once, so who does not know the id in a token
/// asks again; this is how long an old one is thought to be there.
const JWKS_MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The answer to whoever asks for the key set.
///
/// # Panics
///
/// Never: texts always become JSON.
pub fn key_set(keys: &SigningKeys) -> Response<Bytes> {
    let body = serde_json::to_vec(&jwks(keys)).expect("texts always become JSON");
    let mut response = Response::new(Bytes::from(body));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/jwk-set+json");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, JWKS_MAX_AGE);
    response
}

/// The public halves of the signing keys as a JWK set (RFC 7517, RFC 8037), for
/// `/.well-known/jwks.json`. Retired keys stay in it as long as they verify.
pub fn jwks(keys: &SigningKeys) -> Value {
    let keys: Vec<_> = keys.iter().map(jwk).collect();
    json!({ "keys": keys })
}

fn jwk(key: &SigningKey) -> Value {
    json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "kid": key.kid,
        "x": URL_SAFE_NO_PAD.encode(key.public),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::world::{START, World};

    fn decoded(token: &str) -> (Value, Value) {
        let mut parts = token.split('.').map(|part| {
            let json = URL_SAFE_NO_PAD.decode(part).unwrap();
            serde_json::from_slice(&json).unwrap_or_default()
        });
        (parts.next().unwrap(), parts.next().unwrap())
    }

    #[test]
    fn a_token_says_who_for_whom_and_until_when_and_no_more() {
        let world = World::new();
        let (header, claims) = decoded(&world.token("ci", None));
        let kid = &world.signing.current().unwrap().kid;
        assert_eq!(
            header,
            json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": kid })
        );
        let expected = json!({
            "iss": "https://gate.example.com",
            "sub": "sa_ci",
            "aud": "inventory",
            "exp": 1_795_302_900,
            "iat": 1_795_302_000,
            "jti": claims["jti"],
            "client_id": world.key("ci"),
        });
        assert_eq!(claims, expected);
        assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
        let (_, narrowed) = decoded(&world.token("ci", Some(&["devices:edit", "devices:view"])));
        assert_eq!(narrowed["scope"], "devices:edit devices:view");
        let (_, issued) = decoded(&world.issued("ci"));
        assert_eq!(issued["client_id"], "ci");
    }

    #[test]
    fn a_token_nobody_would_read_is_not_made() {
        let world = World::new();
        let state = world.state();
        let scope: Vec<Permission> = (0..600)
            .map(|number| format!("resource-{number}:view").parse().unwrap())
            .collect();
        let request = |scope| MintRequest {
            id: TokenId::random(),
            account: state.directory.account_named("ci").unwrap(),
            key: None,
            scope: Some(scope),
            lifetime: world.tokens.lifetime,
        };
        let signer = world.signing.current();
        let made = |scope| mint(signer, &world.tokens, request(scope), START);
        assert!(made(&scope[..200]).is_ok());
        let error = made(&scope).unwrap_err().to_string();
        assert!(error.ends_with("ask for fewer permissions"), "{error}");
        let none = mint(None, &world.tokens, request(&scope), START).unwrap_err();
        assert!(matches!(none, MintError::NoSigningKey));
    }

    #[test]
    fn the_key_set_holds_the_public_halves_and_nothing_private() {
        let world = World::new();
        let set = jwks(&world.signing);
        let keys = set["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2, "the retired one too");
        for (jwk, key) in keys.iter().zip(world.signing.iter()) {
            let parsed: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).unwrap();
            let decoding = jsonwebtoken::DecodingKey::from_jwk(&parsed).unwrap();
            assert_eq!(decoding.try_get_as_bytes().unwrap(), key.public);
            assert_eq!(jwk["kid"], *key.kid);
            assert!(jwk.get("d").is_none());
        }
    }
}
