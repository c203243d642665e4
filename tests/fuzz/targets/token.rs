//! No token is believed but one of ours (D01 to D20). The input is a token as it stands, and, where it
//! has two lines, a header and claims that are signed with the right key.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::sign;
use portcullis::credential::Credential;
use portcullis::reason::Reason;
use portcullis::words::Caller;
use serde_json::Value;

use super::world::{ACCOUNT_ID, AUDIENCE, ISSUER, NOW, WORLD};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    raw(text.trim_end());
    if let Some((header, claims)) = text.trim_end().split_once('\n') {
        forged(header, claims);
    }
}

fn verify(token: &str) -> Result<Caller, Reason> {
    let world = &*WORLD;
    let said = world
        .verifier
        .verify(&Credential::Bearer(token), &world.state, (NOW, None));
    said.map(|caller| caller.expect("there is a credential"))
}

/// Nobody but the world has its signing key, so what was not signed here is not good.
fn raw(token: &str) {
    let parts: Vec<_> = token.split('.').collect();
    if let [header, claims, _] = parts[..] {
        let decoded = |part| URL_SAFE_NO_PAD.decode(part).ok();
        let texts = decoded(header).zip(decoded(claims));
        let signed = texts.and_then(|(header, claims)| {
            signed(
                std::str::from_utf8(&header).ok()?,
                std::str::from_utf8(&claims).ok()?,
            )
        });
        if signed.as_deref() == Some(token) {
            return;
        }
    }
    assert!(verify(token).is_err(), "`{token}` is believed");
}

fn signed(header: &str, claims: &str) -> Option<String> {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = &WORLD.signing.current()?.encoding();
    let signature = sign(message.as_bytes(), key, Algorithm::EdDSA).ok()?;
    Some(format!("{message}.{signature}"))
}

fn forged(header: &str, claims: &str) {
    let token = signed(header, claims).expect("there is a key");
    let said = verify(&token);
    let again = verify(&token);
    assert_eq!(
        said.as_ref().err(),
        again.as_ref().err(),
        "the cache disagrees"
    );
    let Ok(caller) = said else { return };
    assert_eq!(caller.account.id.as_str(), ACCOUNT_ID);
    assert!(Arc::ptr_eq(
        &caller.account,
        WORLD
            .state
            .directory
            .account(&caller.account.id)
            .expect("it is there")
    ));
    let [header, claims] = [header, claims].map(|text| {
        serde_json::from_str::<Value>(text).unwrap_or_else(|_| panic!("`{text}` is believed"))
    });
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(
        header.as_object().map(serde_json::Map::len),
        Some(3),
        "{header}"
    );
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], AUDIENCE);
    assert_eq!(claims["sub"], ACCOUNT_ID);
    assert!(claims["exp"].as_u64() > Some(NOW.as_secs()), "{claims}");
    assert!(
        claims["iat"].as_u64() <= Some(NOW.as_secs() + 5),
        "{claims}"
    );
    if claims.get("scope").is_some() {
        let subset = caller.subset.expect("a token that asks for less has less");
        assert!(subset.iter().count() <= 2);
    }
    for place in 0..token.len() {
        changed_by_one_bit(&token, place);
    }
}

fn changed_by_one_bit(token: &str, place: usize) {
    let mut other = token.as_bytes().to_vec();
    other[place] ^= 1;
    if let Ok(other) = std::str::from_utf8(&other) {
        assert!(
            verify(other).is_err(),
            "`{other}` is believed, of `{token}`"
        );
    }
}
