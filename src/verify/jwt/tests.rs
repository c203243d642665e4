//! Tokens forged in every way there is a row for, signed with the right key where that is worse.

mod claims;

use std::time::Duration;

use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::sign;

use super::*;
use crate::verify::world::{START, World};

const ISSUER: &str = "https://gate.example.com";

/// A token of these texts, signed with the world's key whatever the header says.
fn forge(world: &World, header: &str, claims: &str) -> String {
    let key = &world.signing.current().unwrap().encoding();
    signed(header, claims, key, Algorithm::EdDSA)
}

fn signed(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn header(world: &World) -> String {
    let kid = &world.signing.current().unwrap().kid;
    format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{kid}"}}"#)
}

fn claims(world: &World) -> String {
    format!(
        r#"{{"iss":"{ISSUER}","sub":"sa_ci","aud":"inventory","exp":1795302900,"iat":1795302000,"jti":"0123456789abcdefABCDEF","client_id":"{}"}}"#,
        world.key("ci")
    )
}

/// Asked cold and warm, and neither remembered nor let in.
fn check(world: &World, token: &str, expected: Reason, what: &str) {
    for _ in 0..2 {
        let said = world
            .bearer(token, START)
            .map(|caller| caller.account.name.clone());
        assert_eq!(said, Err(expected), "{what}");
    }
    assert_eq!(world.verifier.cache_entries(), 0, "{what}");
}

/// Refused for its header, although the signature holds and the claims are good.
fn header_refused(world: &World, header: &str, what: &str) {
    let token = forge(world, header, &claims(world));
    check(world, &token, Reason::TokenUnknown, what);
}

/// Refused for its claims, although the signature holds and the header is good.
fn claims_refused(world: &World, claims: &str, what: &str) {
    let token = forge(world, &header(world), claims);
    check(world, &token, Reason::TokenUnknown, what);
}

/// Replaces a piece of the header or the claims, which must be there.
fn with(text: &str, piece: &str, other: &str) -> String {
    assert!(text.contains(piece), "{piece} in {text}");
    text.replacen(piece, other, 1)
}

#[test]
fn what_the_tests_forge_from_is_good() {
    let world = World::new();
    let token = forge(&world, &header(&world), &claims(&world));
    assert!(world.bearer(&token, START).is_ok());
}

#[test]
fn d01_d03_d04_one_algorithm_spelled_one_way() {
    let world = World::new();
    for alg in [
        r#""none""#,
        r#""None""#,
        r#""NONE""#,
        r#""nOnE""#,
        r#""""#,
        "1",
        r#"["EdDSA"]"#,
        "null",
        r#""HS256""#,
        r#""RS256""#,
        r#""ES256""#,
        r#""eddsa""#,
        r#""Ed25519""#,
        r#""EdDSA ""#,
    ] {
        let header = with(&header(&world), r#""EdDSA""#, alg);
        let token = forge(&world, &header, &claims(&world));
        check(&world, &token, Reason::TokenUnknown, alg);
        let unsigned = token.rsplit_once('.').unwrap().0;
        check(&world, &format!("{unsigned}."), Reason::TokenUnknown, alg);
    }
    let header = with(&header(&world), r#""alg":"EdDSA","#, "");
    header_refused(&world, &header, "no alg");
}

#[test]
fn d02_a_public_key_is_no_shared_secret() {
    let world = World::new();
    let public = world.signing.current().unwrap().public;
    for secret in [public.to_vec(), encode_bytes(&public).into_bytes()] {
        let secret = EncodingKey::from_secret(&secret);
        for alg in ["HS256", "EdDSA"] {
            let header = with(&header(&world), "EdDSA", alg);
            let token = signed(&header, &claims(&world), &secret, Algorithm::HS256);
            let reason = if alg == "HS256" {
                Reason::TokenUnknown
            } else {
                Reason::SignatureWrong
            };
            check(&world, &token, reason, alg);
        }
    }
}

fn encode_bytes(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn d05_d06_a_header_has_three_members_and_no_other() {
    let world = World::new();
    for extra in [
        r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#,
        r#""jku":"https://evil.example.com""#,
        r#""x5u":"https://evil.example.com""#,
        r#""x5c":["MIIB"]"#,
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":"b64""#,
        r#""b64":false"#,
        r#""zip":"DEF""#,
        r#""cty":"JWT""#,
    ] {
        let header = with(&header(&world), "{", &format!("{{{extra},"));
        header_refused(&world, &header, extra);
    }
    // The members' values in the order they are declared in: what a derived reader takes for them.
    let kid = &world.signing.current().unwrap().kid;
    let array = format!(r#"["EdDSA","at+jwt","{kid}"]"#);
    header_refused(&world, &array, &array);
}

#[test]
fn d07_a_member_stands_once() {
    let world = World::new();
    for twice in [
        r#""alg":"EdDSA","#,
        r#""\u0061lg":"EdDSA","#,
        r#""typ":"at+jwt","#,
    ] {
        let header = with(&header(&world), "{", &format!("{{{twice}"));
        header_refused(&world, &header, twice);
    }
    for twice in [
        r#""sub":"sa_far","#,
        r#""\u0073ub":"sa_ci","#,
        r#""exp":1,"#,
        r#""iss":"x","#,
        r#""scope":"devices:view","scope":"devices:edit","#,
    ] {
        let claims = with(&claims(&world), "{", &format!("{{{twice}"));
        claims_refused(&world, &claims, twice);
    }
}

#[test]
fn d08_an_access_token_says_that_it_is_one() {
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let world = World::new();
        let header = with(&header(&world), "at+jwt", typ);
        assert!(
            world
                .bearer(&forge(&world, &header, &claims(&world)), START)
                .is_ok(),
            "{typ}"
        );
    }
    let world = World::new();
    for typ in [
        "JWT",
        "",
        "portcullis-assertion+jwt",
        "at+jwt+x",
        "application/jwt",
    ] {
        let header = with(&header(&world), "at+jwt", typ);
        header_refused(&world, &header, typ);
    }
    let header = with(&header(&world), r#""typ":"at+jwt","#, "");
    header_refused(&world, &header, "no typ");
}

#[test]
fn d10_a_token_of_another_key_that_borrows_our_key_id_is_not_ours() {
    let (world, other) = (World::new(), World::new());
    let token = forge(&other, &header(&world), &claims(&world));
    check(&world, &token, Reason::SignatureWrong, "borrowed id");
    // Signed by a key we have, under the id of another one we have.
    let retired = world.signing.iter().next().unwrap();
    assert_ne!(retired.kid, world.signing.current().unwrap().kid);
    let token = signed(
        &header(&world),
        &claims(&world),
        &retired.encoding(),
        Algorithm::EdDSA,
    );
    check(&world, &token, Reason::SignatureWrong, "two of ours");
}

#[test]
fn a_retired_key_still_verifies_what_it_signed() {
    let world = World::new();
    let retired = world.signing.iter().next().unwrap();
    let header = with(
        &header(&world),
        &world.signing.current().unwrap().kid,
        &retired.kid,
    );
    let token = signed(
        &header,
        &claims(&world),
        &retired.encoding(),
        Algorithm::EdDSA,
    );
    assert!(world.bearer(&token, START).is_ok());
}

#[test]
fn what_a_signing_key_cannot_have_signed_is_not_believed_though_its_signature_holds() {
    let world = World::new();
    let good = claims(&world);
    let refused = |claims: &str, what: &str| claims_refused(&world, claims, what);
    // No token of ours lives longer than a day.
    refused(
        &with(&good, "1795302900", "1795388401"),
        "a second more than a day",
    );
    refused(&with(&good, "1795302900", "253402300799"), "for ever");
    let day = with(&good, "1795302900", "1795388400");
    let token = forge(&world, &header(&world), &day);
    assert!(world.bearer(&token, START).is_ok());

    // Whoever has a key that is retired makes no more tokens with it.
    let retired = world.signing.iter().next().unwrap();
    let kid = &world.signing.current().unwrap().kid;
    let header = with(&header(&world), kid, &retired.kid);
    let later = |secs: u64| {
        let claims = with(&good, "1795302000", &(1_795_302_000 + secs).to_string());
        let claims = with(&claims, "1795302900", &(1_795_302_900 + secs).to_string());
        let token = signed(&header, &claims, &retired.encoding(), Algorithm::EdDSA);
        let now = START.plus(Duration::from_secs(secs));
        world
            .bearer(&token, now)
            .map(|caller| caller.account.name.to_string())
    };
    assert!(later(60).is_ok(), "clocks may differ by so much");
    assert_eq!(later(61), Err(Reason::TokenUnknown));
    assert_eq!(later(86_400), Err(Reason::TokenUnknown));
}

#[test]
fn d16_a_token_is_three_parts_of_canonical_base64url() {
    let world = World::new();
    let good = forge(&world, &header(&world), &claims(&world));
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else {
        panic!("three parts")
    };
    for bad in [
        head.to_owned(),
        format!("{head}.{body}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}.{signature}.{signature}"),
        format!(".{body}.{signature}"),
        format!("{head}..{signature}"),
        format!("{head}=.{body}.{signature}"),
        format!("{head}.{body}=.{signature}"),
        "..".to_owned(),
        "opaque".to_owned(),
        encode(&format!(r#"{{"payload":"{body}","signatures":[]}}"#)),
    ] {
        check(&world, &bad, Reason::TokenUnknown, &bad);
    }
    let mut unused = signature.to_owned();
    let last = unused.pop().unwrap();
    unused.push(char::from(last as u8 + 1));
    for bad in [
        "",
        signature.split_at(80).0,
        &format!("{signature}="),
        &format!("{signature}A"),
        &unused,
    ] {
        check(
            &world,
            &format!("{head}.{body}.{bad}"),
            Reason::SignatureWrong,
            bad,
        );
    }
}

#[test]
fn d17_depth_and_size_stop_nothing() {
    let world = World::new();
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    let bad = with(&header(&world), "{", &format!(r#"{{"x":{deep},"#));
    header_refused(&world, &bad, "deep header");
    let bad = with(&claims(&world), "{", &format!(r#"{{"x":{deep},"#));
    claims_refused(&world, &bad, "deep claims");
    let bad = with(&claims(&world), "1795302900", &"9".repeat(5_000));
    claims_refused(&world, &bad, "digits");
}

#[test]
fn d24_a_key_id_is_looked_up_and_nothing_else() {
    let world = World::new();
    let kid = world.signing.current().unwrap().kid.clone();
    let long = "k".repeat(4_000);
    for other in [
        "../../etc/passwd",
        "' OR 1=1 --",
        "",
        "\\u0000",
        &long,
        kid.split_at(1).1,
    ] {
        let header = with(&header(&world), &kid, other);
        header_refused(&world, &header, other);
    }
    for bad in ["7", "null", "[]"] {
        let header = with(&header(&world), &format!(r#""{kid}""#), bad);
        header_refused(&world, &header, bad);
    }
}

/// Every changed character of a good token is refused: nothing in it is free.
#[test]
fn no_character_of_a_token_can_be_changed() {
    let world = World::new();
    let good = world.token("ci", Some(&["devices:view"]));
    for place in 0..good.len() {
        let mut bad = good.clone().into_bytes();
        bad[place] = if bad[place] == b'A' { b'B' } else { b'A' };
        let bad = String::from_utf8(bad).unwrap();
        assert!(world.bearer(&bad, START).is_err(), "character {place}");
    }
    assert_eq!(world.verifier.cache_entries(), 0);
    assert!(world.bearer(&good, START).is_ok());
}
