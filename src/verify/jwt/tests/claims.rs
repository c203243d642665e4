//! What a token says, each claim of its form or refused.

use super::*;

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
    claims_refused(&world, &claims, "no iss");
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
    claims_refused(&world, &claims, "no aud");
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
            claims_refused(&world, &claims, bad);
        }
        let claims = with(&claims(&world), &format!("{member},"), "");
        claims_refused(&world, &claims, member);
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
            claims_refused(&world, &claims, bad);
        }
    }
    for bad in ["null", "7", r#""""#, "[]"] {
        let claims = with(&claims(&world), r#""0123456789abcdefABCDEF""#, bad);
        claims_refused(&world, &claims, bad);
    }
    for member in [
        r#""sub":"sa_ci","#,
        r#""jti":"0123456789abcdefABCDEF","#,
        &format!(r#","client_id":{key}"#),
    ] {
        let claims = with(&claims(&world), member, "");
        claims_refused(&world, &claims, member);
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
        claims_refused(&world, &claims, scope);
    }
    let claims = with(&claims(&world), "{", r#"{"admin":true,"#);
    claims_refused(&world, &claims, "unknown");
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
