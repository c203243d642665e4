//! E15 to E17: wrong credentials cost their source, and nobody else.

use super::{from, said, token, wait};
use crate::harness::{Fixture, Gateway, ITEMS, Key, Upstream, http2, load, request};

const BAD: &str = "192.0.2.1";
const GOOD: &str = "192.0.2.2";

/// Three wrong credentials in an hour, so that nothing runs out of the bucket while a test runs.
const LIMITS: &str = "trusted_proxies: [127.0.0.1], basic: true, http2: true, \
                      limits: { failures_per_source: 3, failures_window: 1h }";

fn start(upstream: &Upstream) -> Gateway {
    Fixture::new(upstream).listener(LIMITS).start()
}

/// The key, with a secret of its form that is not its own.
fn wrong(gateway: &Gateway, key: &Key) -> Key {
    Key {
        secret: gateway.key("other").secret,
        ..key.clone()
    }
}

/// Makes `source` a throttled one.
fn fail(gateway: &Gateway, source: &str, credential: &str) {
    for _ in 0..3 {
        let answer = from(
            gateway,
            source,
            "GET /v1/items/7",
            &[("Authorization", credential)],
        );
        assert_eq!(said(&answer), (401, "token_invalid".to_owned()));
    }
}

#[test]
fn e15_a_key_tried_by_a_stranger_serves_its_owner_and_the_stranger_waits() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    gateway.account("other", &[]);
    let key = gateway.account("owner", &["reader"]);
    let bad = wrong(&gateway, &key).basic();
    fail(&gateway, BAD, &bad);
    let line = "GET /v1/items/7";
    let answer = from(&gateway, BAD, line, &[("Authorization", &bad)]);
    assert_eq!(said(&answer), (429, "source_throttled".to_owned()));
    assert!((1..=1200).contains(&wait(&answer)), "{answer:?}");
    assert!(answer.header("www-authenticate").is_none());
    // The owner is elsewhere and has never been here before: nothing was held against the key.
    let good = [("Authorization", key.basic())];
    let good = good.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(from(&gateway, GOOD, line, &good).status(), 200);
    // And by now it is in use, so it is let in beside the stranger, too.
    assert_eq!(from(&gateway, BAD, line, &good).status(), 200);
    let entry = gateway.decision_of(&answer);
    assert_eq!(entry["portcullis.reason"], "source_throttled", "{entry}");
    assert_eq!(entry["client.address"], BAD, "{entry}");
    gateway.wait_for_log("too many failed credentials");
    let metrics = gateway.ops("/metrics");
    let metrics = metrics.text();
    assert!(
        metrics.contains("portcullis_source_failures_total 3"),
        "{metrics}"
    );
    assert!(
        metrics.contains("portcullis_source_throttlings_total 1"),
        "{metrics}"
    );
}

#[test]
fn e15_a_throttled_source_gets_429_for_all_that_was_not_verified_before() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    gateway.account("other", &[]);
    let (used, unused) = (
        gateway.account("used", &["reader"]),
        gateway.account("unused", &["reader"]),
    );
    let cached = gateway.token(&used);
    assert_eq!(gateway.ask("GET /v1/items/7", Some(&cached)).status(), 200);
    let fresh = gateway.token(&used);
    fail(&gateway, BAD, "Bearer junk");
    let before = upstream.requests().len();
    let throttled = (429, "source_throttled".to_owned());
    for credential in [
        "Bearer junk",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Basic !",
        &format!("Bearer {fresh}"),
        &unused.basic(),
        &wrong(&gateway, &used).basic(),
    ] {
        for line in ["GET /v1/items/7", "GET /public/page", "GET /nowhere"] {
            let answer = from(&gateway, BAD, line, &[("Authorization", credential)]);
            assert_eq!(said(&answer), throttled, "{line} {credential}");
        }
    }
    for line in ["GET /v1/items/7", "GET /public/page"] {
        assert_eq!(said(&from(&gateway, BAD, line, &[])), throttled, "{line}");
        assert_ne!(from(&gateway, GOOD, line, &[]).status(), 429, "{line}");
    }
    // What is no request ends its connection as ever.
    assert_eq!(from(&gateway, BAD, "GET /v1/../x", &[]).status(), 400);
    let served = upstream.requests().len() - before;
    assert_eq!(served, 1, "the public page, for the other source");
    let cached = format!("Bearer {cached}");
    for (line, status) in [
        ("GET /v1/items/7", 200),
        ("GET /public/page", 200),
        ("GET /admin/x", 403),
    ] {
        let answer = from(&gateway, BAD, line, &[("Authorization", &cached)]);
        assert_eq!(answer.status(), status, "{line}");
    }
}

#[test]
fn e15_the_token_endpoint_counts_and_is_counted() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    gateway.account("other", &[]);
    let (used, unused) = (
        gateway.account("used", &["reader"]),
        gateway.account("unused", &["reader"]),
    );
    gateway.token(&used);
    let bad = wrong(&gateway, &used).basic();
    for _ in 0..3 {
        assert_eq!(token(&gateway, BAD, &bad).status(), 401);
    }
    for credential in [&bad, &unused.basic(), "Basic !"] {
        let answer = token(&gateway, BAD, credential);
        assert_eq!(answer.status(), 429, "{credential}");
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(wait(&answer) >= 1);
    }
    let answer = from(&gateway, BAD, "GET /v1/items/7", &[("Authorization", &bad)]);
    assert_eq!(answer.status(), 429, "what was tried there counts here");
    assert_eq!(token(&gateway, GOOD, &unused.basic()).status(), 200);
    // Whose key is in use gets a token there, and may use it.
    let answer = token(&gateway, BAD, &used.basic());
    let made = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
    let answer = from(
        &gateway,
        BAD,
        "GET /v1/items/7",
        &[("Authorization", &made)],
    );
    assert_eq!(answer.status(), 200);
}

#[test]
fn e15_a_throttled_source_hears_so_before_it_hears_anything_else() {
    let upstream = Upstream::start();
    let policy = format!("hosts: [gate.test]\n{ITEMS}");
    let gateway = Fixture::new(&upstream)
        .policy("items.yaml", &policy)
        .listener(LIMITS)
        .start();
    gateway.account("reader", &["reader"]);
    let ask = |source: &str, host: &str, line: &str, more: &[(&str, &str)]| {
        let headers = [&[("X-Forwarded-For", source)], more].concat();
        let bytes = String::from_utf8(request(line, &headers, b"")).unwrap();
        let bytes = bytes.replacen("Host: gate.test", &format!("Host: {host}"), 1);
        gateway.send(bytes.as_bytes()).status()
    };
    let keys = "GET /.well-known/jwks.json";
    let junk = [("Authorization", "Bearer junk")];
    assert_eq!(ask(BAD, "gate.test", keys, &[]), 200);
    assert_eq!(ask(BAD, "other.test", "GET /v1/items/7", &[]), 421);
    for _ in 0..3 {
        assert_eq!(ask(BAD, "gate.test", "GET /v1/items/7", &junk), 401);
    }
    assert_eq!(ask(BAD, "gate.test", keys, &[]), 429);
    assert_eq!(ask(BAD, "other.test", "GET /v1/items/7", &[]), 429);
    assert_eq!(ask(GOOD, "gate.test", keys, &[]), 200);
    assert_eq!(ask(GOOD, "other.test", "GET /v1/items/7", &[]), 421);
}

#[test]
fn the_right_secret_of_a_key_that_has_ended_is_held_against_nobody_at_either_door() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let key = gateway.account("owner", &["reader"]);
    gateway.cli(&["keys", "expire", &key.id]);
    let basic = [("Authorization", key.basic())];
    let basic = basic
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    for _ in 0..4 {
        let answer = from(&gateway, BAD, "GET /v1/items/7", &basic);
        assert_eq!(said(&answer), (401, "token_invalid".to_owned()));
        assert_eq!(token(&gateway, BAD, &key.basic()).status(), 401);
    }
    let metrics = gateway.ops("/metrics");
    let failures = "portcullis_source_failures_total 0";
    assert!(metrics.text().contains(failures), "{}", metrics.text());
}

#[test]
fn what_is_kept_of_a_refused_token_has_the_status_that_was_sent() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let key = gateway.account("owner", &["reader"]);
    gateway.json(&["keys", "update", &key.id, "--allow-from", "198.51.100.0/24"]);
    let answer = token(&gateway, BAD, &key.basic());
    assert_eq!(answer.status(), 401);
    let id = answer.header("x-request-id").unwrap().to_owned();
    let kept = gateway.json(&["denials", "list"]);
    let kept = kept["denials"].as_array().or(kept.as_array()).unwrap();
    let kept = kept
        .iter()
        .find(|one| one["request_id"] == *id || one["id"] == *id);
    let kept = kept.expect("the refusal is kept");
    assert_eq!(
        (&kept["status"], &kept["reason"]),
        (&401.into(), &"address_not_allowed".into())
    );
    let counted = gateway.ops("/metrics");
    let counted = counted.text();
    let mut lines = counted
        .lines()
        .filter(|line| line.contains("reason=\"address_not_allowed\""));
    assert!(lines.all(|line| line.contains("code=\"401\"")), "{counted}");
}

/// E16.
#[test]
fn e16_a_64_is_one_source_and_http2_counts_as_well() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    for host in 1..=3 {
        let source = format!("2001:db8::{host}");
        fail_once(&gateway, &source);
    }
    for (source, status) in [
        ("2001:db8::ffff:9", 429),
        ("[2001:db8:0:0:7::1]:99", 429),
        ("2001:db8:0:1::1", 401),
    ] {
        assert_eq!(
            from(&gateway, source, "GET /v1/items/7", &[]).status(),
            status,
            "{source}"
        );
    }
    let answers = load::run(async {
        let connection = http2::Http2::connect(gateway.address()).await.unwrap();
        let mut message = http2::message("GET /v1/items/7");
        let source = "2001:db8::5".parse().unwrap();
        message.headers_mut().insert("x-forwarded-for", source);
        let reply = connection.requests().ask(message).await.unwrap();
        reply.status
    });
    assert_eq!(answers, 429);
}

fn fail_once(gateway: &Gateway, source: &str) {
    let answer = from(
        gateway,
        source,
        "GET /v1/items/7",
        &[("Authorization", "Bearer junk")],
    );
    assert_eq!(answer.status(), 401);
}

/// A client cannot put its failures on somebody else where nobody trusts it to say who it is.
#[test]
fn c07_a_stranger_cannot_say_whose_failures_they_are() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .listener("limits: { failures_per_source: 3, failures_window: 1h }")
        .another_listener("limits: { failures_per_source: 4, failures_window: 1h }")
        .start();
    for _ in 0..3 {
        fail_once(&gateway, "198.51.100.7");
    }
    assert_eq!(
        from(&gateway, "198.51.100.8", "GET /v1/items/7", &[]).status(),
        429
    );
    // A listener with limits of its own counts for itself.
    let mut client = crate::harness::Client::connect(gateway.address_of("1"));
    client.send(request("GET /v1/items/7", &[], b""));
    assert_eq!(client.response().status(), 401);
}

#[test]
fn a_client_whose_token_ran_out_or_whose_key_is_gone_is_no_guesser() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let key = gateway.account("once", &["reader"]);
    let token = format!("Bearer {}", gateway.token(&key));
    let ask = || {
        from(
            &gateway,
            BAD,
            "GET /v1/items/7",
            &[("Authorization", &token)],
        )
    };
    assert_eq!(ask().status(), 200);
    gateway.json(&["keys", "expire", &key.id]);
    for _ in 0..10 {
        assert_eq!(ask().status(), 401);
    }
}

#[test]
fn shadow_throttles_nobody() {
    let upstream = Upstream::start();
    let policy = ITEMS.replace(
        "GET /v1/items/{id}: items:read",
        "GET /v1/items/{id}: { needs: items:read, shadow: true }",
    );
    let gateway = Fixture::new(&upstream)
        .policy("items.yaml", &policy)
        .listener(LIMITS)
        .start();
    let ask = |line| from(&gateway, BAD, line, &[("Authorization", "Bearer junk")]).status();
    for _ in 0..10 {
        assert_eq!(ask("GET /v1/items/7"), 200);
    }
    // What it let through is not held against the source where something is enforced.
    for _ in 0..3 {
        assert_eq!(ask("GET /admin/x"), 401);
    }
    assert_eq!(ask("GET /admin/x"), 429);
    assert_eq!(
        ask("GET /v1/items/7"),
        200,
        "and it goes on letting through"
    );
}
