//! One credential, in one place, which no upstream ever sees.

use super::{bearer, fixture};
use crate::harness::{Behaviour, Client, Fixture, Gateway, Key, Message, Upstream, request};

fn get(gateway: &Gateway, target: &str, headers: &[(&str, &str)]) -> Message {
    gateway.send(&request(&format!("GET {target}"), headers, b""))
}

fn assert_clean(seen: &Message, key: &Key, token: &str) {
    let text = format!("{seen:?}");
    for secret in [&key.secret, &key.id, token, &key.basic()] {
        assert!(
            !text.contains(secret),
            "the upstream saw {secret} in {text}"
        );
    }
}

#[test]
fn c09_two_credentials_are_refused_whatever_they_are_worth() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream)
        .another_listener("basic: true, api_key: true")
        .start();
    let key = gateway.account("reader", &["reader"]);
    let token = format!("Bearer {}", gateway.token(&key));
    let (basic, api_key) = (key.basic(), key.api_key());
    let pairs = [
        [("Authorization", &token), ("Authorization", &token)],
        [("Authorization", &token), ("authorization", &basic)],
        [("Authorization", &token), ("X-Api-Key", &api_key)],
        [("X-Api-Key", &api_key), ("x-api-key", &api_key)],
        [("Authorization", &basic), ("X-Api-Key", &api_key)],
    ];
    for pair in pairs {
        let pair = pair.map(|(name, value)| (name, value.as_str()));
        let bytes = request("GET /v1/items/7", &pair, b"");
        let answer = Client::connect(gateway.address_of("1"))
            .send(&bytes)
            .response();
        assert_eq!(answer.status(), 400, "{pair:?}: {answer:?}");
        assert_eq!(answer.reason(), "credential_repeated");
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("invalid_request"), "{challenge}");
    }
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn c10_c11_the_scheme_is_bearer_in_any_case_and_nothing_else() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let reader = bearer(&gateway, "reader", &["reader"]);
    let token = reader.strip_prefix("Bearer ").unwrap();
    for scheme in ["bearer ", "BEARER ", "BeArEr  "] {
        let answer = get(
            &gateway,
            "/v1/items/7",
            &[("Authorization", &format!("{scheme}{token}"))],
        );
        assert_eq!(answer.status(), 200, "`{scheme}`: {answer:?}");
    }
    upstream.forget();
    let quoted = format!("Bearer \"{token}\"");
    let two = format!("Bearer {token}, Bearer {token}");
    let bad: [String; 9] = [
        format!("Bearer\t{token}"),
        format!("Bearer{token}"),
        format!("Bearer: {token}"),
        format!("Bearer,{token}"),
        format!("Bearer   {token}"),
        "Bearer".to_owned(),
        format!("Token {token}"),
        quoted,
        two,
    ];
    for value in bad {
        let answer = get(&gateway, "/v1/items/7", &[("Authorization", &value)]);
        assert_eq!(answer.status(), 401, "`{value}`: {answer:?}");
        assert_eq!(answer.reason(), "token_invalid", "`{value}`");
    }
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn c12_c13_a_token_in_query_cookie_or_form_is_no_credential() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let writer = bearer(&gateway, "writer", &["writer"]);
    let token = writer.strip_prefix("Bearer ").unwrap();
    let form = format!("access_token={token}");
    let cookie = format!("access_token={token}; session={token}");
    let form_type = ("Content-Type", "application/x-www-form-urlencoded");
    let answers = [
        get(&gateway, &format!("/v1/items/7?{form}"), &[]),
        get(&gateway, "/v1/items/7", &[("Cookie", &cookie)]),
        get(&gateway, "/v1/items/7", &[("Proxy-Authorization", &writer)]),
        gateway.send(&request("POST /v1/items", &[form_type], form.as_bytes())),
    ];
    for answer in answers {
        assert_eq!(answer.reason(), "credential_missing", "{answer:?}");
    }
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn c14_no_credential_of_ours_reaches_an_upstream() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream)
        .another_listener("basic: true, api_key: true")
        .start();
    let key = gateway.account("reader", &["reader"]);
    let token = gateway.token(&key);
    let (bearer, basic, api_key) = (format!("Bearer {token}"), key.basic(), key.api_key());
    for listener in ["0", "1"] {
        for target in ["/v1/items/7", "/public/x"] {
            for (name, value) in [
                ("Authorization", &bearer),
                ("Authorization", &basic),
                ("X-Api-Key", &api_key),
                ("X-Api-Key", &token),
            ] {
                upstream.forget();
                let bytes = request(&format!("GET {target}"), &[(name, value)], b"");
                let answer = Client::connect(gateway.address_of(listener))
                    .send(&bytes)
                    .response();
                let accepted =
                    target == "/public/x" || value == &bearer || listener == "1" && value != &token;
                let status = if accepted { 200 } else { 401 };
                assert_eq!(
                    answer.status(),
                    status,
                    "{listener} {target} {name}: {answer:?}"
                );
                for seen in upstream.requests() {
                    assert_clean(&seen, &key, &token);
                }
            }
        }
    }
}

/// Where the listener reads bearer tokens only, `Basic` and `X-Api-Key` are data.
#[test]
fn what_a_listener_does_not_accept_is_data() {
    let upstream = Upstream::start();
    let policy = r"
upstream: items
permissions: { items:read: See items }
roles: { reader: { description: Sees items, permissions: [items:read] } }
routes:
  GET /v1/items/{id}: items:read
  GET /passed/{id}: { needs: items:read, pass_authorization: foreign }
  GET /public/{id}: public
  GET /open/{id}: { needs: public, pass_authorization: foreign }
";
    let gateway = Fixture::new(&upstream)
        .policy("items.yaml", policy)
        .another_listener("basic: true, api_key: true")
        .start();
    let key = gateway.account("reader", &["reader"]);
    let token = gateway.token(&key);
    let bearer = format!("Bearer {token}");
    let on = |listener: &str, target: &str, headers: &[(&str, &str)]| {
        upstream.forget();
        let bytes = request(&format!("GET {target}"), headers, b"");
        let answer = Client::connect(gateway.address_of(listener))
            .send(&bytes)
            .response();
        (answer, upstream.requests().pop())
    };
    // Somebody else's key rides along as what it is.
    let both = [("Authorization", bearer.as_str()), ("X-Api-Key", "theirs")];
    let (answer, seen) = on("0", "/v1/items/7", &both);
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(seen.unwrap().all("x-api-key"), ["theirs"]);
    assert_eq!(
        on("1", "/v1/items/7", &both).0.reason(),
        "credential_repeated"
    );
    // A foreign `Authorization` is dropped, unless the route says that it may pass.
    let foreign = [("Authorization", "Basic dTpw")];
    for (target, passed) in [("/public/7", None), ("/open/7", Some("Basic dTpw"))] {
        let (answer, seen) = on("0", target, &foreign);
        assert_eq!(answer.status(), 200, "{target}: {answer:?}");
        assert_eq!(seen.unwrap().header("authorization"), passed, "{target}");
    }
    let ours = [("Authorization", bearer.as_str())];
    for target in ["/passed/7", "/open/7"] {
        let (answer, seen) = on("0", target, &ours);
        assert_eq!(answer.status(), 200, "{target}: {answer:?}");
        assert_clean(&seen.unwrap(), &key, &token);
    }
    // Beside a credential of ours the foreign one is not counted, and passes.
    let api_key = key.api_key();
    let beside = [("Authorization", "Basic dTpw"), ("X-Api-Key", &api_key)];
    let (answer, seen) = on("1", "/passed/7", &beside);
    assert_eq!(answer.status(), 200, "{answer:?}");
    let seen = seen.unwrap();
    assert_eq!(seen.all("authorization"), ["Basic dTpw"]);
    assert_clean(&seen, &key, &token);
}

#[test]
fn c15_a_challenge_says_what_to_bring_and_no_more() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let reader = bearer(&gateway, "reader", &["reader"]);
    let mut forged = reader.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    let challenge = |token: Option<&str>, target: &str| {
        let headers: Vec<_> = token
            .iter()
            .map(|token| ("Authorization", *token))
            .collect();
        let answer = get(&gateway, target, &headers);
        let challenge = answer.all("www-authenticate").join(" & ");
        (answer.status(), answer.reason(), challenge)
    };
    let realm = "Bearer realm=\"portcullis\"";
    let expect = |status: u16, reason: &str, error: &str| {
        (status, reason.to_owned(), format!("{realm}{error}"))
    };
    assert_eq!(
        challenge(None, "/v1/items/7"),
        expect(401, "credential_missing", "")
    );
    for token in ["Bearer x", "Bearer a.b.c", &forged, "Basic !"] {
        let error = ", error=\"invalid_token\"";
        let expected = if token.starts_with("Basic") {
            // The listener does not read it, so there is none.
            expect(401, "credential_missing", "")
        } else {
            expect(401, "token_invalid", error)
        };
        assert_eq!(challenge(Some(token), "/v1/items/7"), expected, "{token}");
    }
    assert_eq!(
        challenge(Some(&reader), "/admin/x"),
        expect(
            403,
            "permission_missing",
            ", error=\"insufficient_scope\", scope=\"admin:read\""
        )
    );
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn c16_an_upstreams_own_refusal_is_told_apart_from_ours() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    for status in [
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "502 Bad Gateway",
    ] {
        let theirs = format!(
            "HTTP/1.1 {status}\r\nWWW-Authenticate: Basic realm=\"theirs\"\r\n\
             WWW-Authenticate: Digest x=\"y\"\r\nContent-Length: 2\r\n\r\nno"
        );
        upstream.behave(Behaviour::answer(theirs));
        let answer = get(&gateway, "/public/x", &[]);
        assert!(answer.start.ends_with(status), "{answer:?}");
        let challenges = answer.all("www-authenticate");
        assert_eq!(challenges, ["Basic realm=\"theirs\"", "Digest x=\"y\""]);
        assert_eq!(answer.text(), "no");
        assert_eq!(answer.header("proxy-status"), None);
    }
    let ours = get(&gateway, "/v1/items/7", &[]);
    let status = ours.header("proxy-status").unwrap_or_default();
    assert_eq!(
        status,
        "portcullis; error=http_request_denied; details=\"credential_missing\""
    );
}
