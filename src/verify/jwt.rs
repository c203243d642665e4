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
use crate::words::{AccountId, AccountName, KeyId, Permission, UnixTime};

/// How far in the future a token may have been made: replicas sign for each other, and their clocks
/// differ. There is no grace at the other end, because an end is a promise.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);

/// What a verified token says: who calls, and until when. Never what they may do.
#[derive(Debug)]
pub(crate) struct Identity {
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

    /// The key that signed this, if it is still there.
    pub(crate) fn signer<'k>(&self, keys: &'k SigningKeys) -> Option<&'k SigningKey> {
        keys.by_kid(&self.signer)
            .filter(|key| key.public == self.signer_public)
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
    audience: &str,
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
    if claims.aud != audience {
        return Err(Reason::AudienceWrong);
    }
    let digest: [u8; 32] = Sha256::digest(token).into();
    let (first, _) = digest.split_first_chunk().ok_or(Reason::TokenUnknown)?;
    claims.identity(signer, *first).ok_or(Reason::TokenUnknown)
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
        if self.jti.is_empty() || (key.is_none() && self.client_id.parse::<AccountName>().is_err())
        {
            return None;
        }
        let scope = match &self.scope {
            Some(names) => Some(scope(names)?),
            None => None,
        };
        Some(Identity {
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
mod tests {
    use jsonwebtoken::EncodingKey;
    use jsonwebtoken::crypto::sign;

    use super::super::world::{START, World};
    use super::*;

    const ISSUER: &str = "https://gate.example.com";

    /// A token of these texts, signed with the world's key whatever the header says.
    fn forge(world: &World, header: &str, claims: &str) -> String {
        let key = &world.signing.current().unwrap().encoding;
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
            r#"{{"iss":"{ISSUER}","sub":"sa_ci","aud":"inventory","exp":1795302900,"iat":1795302000,"jti":"x","client_id":"{}"}}"#,
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
        check(
            &world,
            &forge(&world, &header, &claims(&world)),
            Reason::TokenUnknown,
            "no alg",
        );
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
            check(
                &world,
                &forge(&world, &header, &claims(&world)),
                Reason::TokenUnknown,
                extra,
            );
        }
        let array = header(&world).replace('{', "[").replace('}', "]");
        let array = array
            .replace(r#""typ":"#, "")
            .replace(r#""alg":"#, "")
            .replace(r#""kid":"#, "");
        check(
            &world,
            &forge(&world, &array, &claims(&world)),
            Reason::TokenUnknown,
            &array,
        );
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
            check(
                &world,
                &forge(&world, &header, &claims(&world)),
                Reason::TokenUnknown,
                twice,
            );
        }
        for twice in [
            r#""sub":"sa_far","#,
            r#""\u0073ub":"sa_ci","#,
            r#""exp":1,"#,
            r#""iss":"x","#,
            r#""scope":"devices:view","scope":"devices:edit","#,
        ] {
            let claims = with(&claims(&world), "{", &format!("{{{twice}"));
            check(
                &world,
                &forge(&world, &header(&world), &claims),
                Reason::TokenUnknown,
                twice,
            );
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
            check(
                &world,
                &forge(&world, &header, &claims(&world)),
                Reason::TokenUnknown,
                typ,
            );
        }
        let header = with(&header(&world), r#""typ":"at+jwt","#, "");
        check(
            &world,
            &forge(&world, &header, &claims(&world)),
            Reason::TokenUnknown,
            "no typ",
        );
    }

    #[test]
    fn d09_the_issuer_is_ours_byte_for_byte() {
        let world = World::new();
        let iss = format!(r#""{ISSUER}""#);
        for (other, reason) in [
            (r#""https://gate.example.com/""#, Reason::IssuerUntrusted),
            (r#""https://GATE.example.com""#, Reason::IssuerUntrusted),
            (r#""""#, Reason::IssuerUntrusted),
            (r#"["https://gate.example.com"]"#, Reason::TokenUnknown),
            ("null", Reason::TokenUnknown),
            ("7", Reason::TokenUnknown),
        ] {
            let claims = with(&claims(&world), &iss, other);
            check(
                &world,
                &forge(&world, &header(&world), &claims),
                reason,
                other,
            );
        }
        let claims = with(&claims(&world), &format!(r#""iss":{iss},"#), "");
        check(
            &world,
            &forge(&world, &header(&world), &claims),
            Reason::TokenUnknown,
            "no iss",
        );
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
            &retired.encoding,
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
            &retired.encoding,
            Algorithm::EdDSA,
        );
        assert!(world.bearer(&token, START).is_ok());
    }

    #[test]
    fn d11_the_audience_is_ours_alone() {
        let world = World::new();
        for (other, reason) in [
            (r#""inventor""#, Reason::AudienceWrong),
            (r#""inventory2""#, Reason::AudienceWrong),
            (r#""""#, Reason::AudienceWrong),
            (r#"["inventory"]"#, Reason::TokenUnknown),
            (r#"["other"]"#, Reason::TokenUnknown),
            ("1", Reason::TokenUnknown),
            ("null", Reason::TokenUnknown),
        ] {
            let claims = with(&claims(&world), r#""inventory""#, other);
            check(
                &world,
                &forge(&world, &header(&world), &claims),
                reason,
                other,
            );
        }
        let claims = with(&claims(&world), r#""aud":"inventory","#, "");
        check(
            &world,
            &forge(&world, &header(&world), &claims),
            Reason::TokenUnknown,
            "no aud",
        );
    }

    /// We write whole seconds, so a fraction is not ours either.
    #[test]
    fn d12_an_end_of_the_wrong_type_is_not_an_absent_one() {
        let world = World::new();
        for member in [r#""exp":1795302900"#, r#""iat":1795302000"#] {
            let name = member.split(':').next().unwrap();
            for bad in [
                r#""9999999999""#,
                "null",
                "true",
                "1e300",
                "-1",
                r#""NaN""#,
                "9223372036854775808",
                "18446744073709551616",
                "1795302900.5",
                "[1795302900]",
                "{}",
                "253402300800",
            ] {
                let claims = with(&claims(&world), member, &format!("{name}:{bad}"));
                check(
                    &world,
                    &forge(&world, &header(&world), &claims),
                    Reason::TokenUnknown,
                    bad,
                );
            }
            let claims = with(&claims(&world), &format!("{member},"), "");
            check(
                &world,
                &forge(&world, &header(&world), &claims),
                Reason::TokenUnknown,
                member,
            );
        }
    }

    #[test]
    fn d15_every_other_claim_is_there_and_has_its_form() {
        let world = World::new();
        let key = format!(r#""{}""#, world.key("ci"));
        let long = format!(r#""{}""#, "a".repeat(256));
        let strange = [
            "null",
            "7",
            r#""""#,
            "[]",
            r#""a\u0000b""#,
            r#""a b""#,
            &long,
        ];
        for bad in strange {
            for piece in [r#""sa_ci""#, &key] {
                let claims = with(&claims(&world), piece, bad);
                check(
                    &world,
                    &forge(&world, &header(&world), &claims),
                    Reason::TokenUnknown,
                    bad,
                );
            }
        }
        for bad in ["null", "7", r#""""#, "[]"] {
            let claims = with(&claims(&world), r#""x""#, bad);
            check(
                &world,
                &forge(&world, &header(&world), &claims),
                Reason::TokenUnknown,
                bad,
            );
        }
        for member in [
            r#""sub":"sa_ci","#,
            r#""jti":"x","#,
            &format!(r#","client_id":{key}"#),
        ] {
            let claims = with(&claims(&world), member, "");
            check(
                &world,
                &forge(&world, &header(&world), &claims),
                Reason::TokenUnknown,
                member,
            );
        }
    }

    #[test]
    fn d15_a_scope_is_names_and_there_is_no_claim_we_do_not_know() {
        let world = World::new();
        for scope in [
            "null",
            r#"["devices:view"]"#,
            r#""""#,
            r#"" ""#,
            r#""devices:*""#,
            "7",
        ] {
            let claims = with(&claims(&world), "{", &format!(r#"{{"scope":{scope},"#));
            check(
                &world,
                &forge(&world, &header(&world), &claims),
                Reason::TokenUnknown,
                scope,
            );
        }
        let claims = with(&claims(&world), "{", r#"{"admin":true,"#);
        check(
            &world,
            &forge(&world, &header(&world), &claims),
            Reason::TokenUnknown,
            "unknown",
        );
    }

    #[test]
    fn a_token_for_one_account_made_from_the_key_of_another_is_refused() {
        let world = World::new();
        let claims = with(&claims(&world), "sa_ci", "sa_far");
        check(
            &world,
            &forge(&world, &header(&world), &claims),
            Reason::KeyRevoked,
            "not its key",
        );
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
        check(
            &world,
            &forge(&world, &bad, &claims(&world)),
            Reason::TokenUnknown,
            "deep header",
        );
        let bad = with(&claims(&world), "{", &format!(r#"{{"x":{deep},"#));
        check(
            &world,
            &forge(&world, &header(&world), &bad),
            Reason::TokenUnknown,
            "deep claims",
        );
        let bad = with(&claims(&world), "1795302900", &"9".repeat(5_000));
        check(
            &world,
            &forge(&world, &header(&world), &bad),
            Reason::TokenUnknown,
            "digits",
        );
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
            check(
                &world,
                &forge(&world, &header, &claims(&world)),
                Reason::TokenUnknown,
                other,
            );
        }
        for bad in ["7", "null", "[]"] {
            let header = with(&header(&world), &format!(r#""{kid}""#), bad);
            check(
                &world,
                &forge(&world, &header, &claims(&world)),
                Reason::TokenUnknown,
                bad,
            );
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
}
