//! One meaning for a path, on real sockets: what is refused never reaches the upstream, and what
//! reaches it is, byte for byte, what was decided on.

use portcullis::request::Target;
use portcullis::words::ClassSet;

use crate::agreement::listed_paths;
use crate::harness::{Client, Fixture, Gateway, Message, Upstream, request};

/// Lets everything through that has one meaning.
const OPEN: &str = r"
upstream: items
routes:
  GET /: public
  GET /{rest...}: public
";

fn open(upstream: &Upstream, upstream_settings: &str) -> Gateway {
    let fixture = Fixture::new(upstream).policy("items.yaml", OPEN);
    if upstream_settings.is_empty() {
        return fixture.start();
    }
    fixture.upstream(upstream_settings).start()
}

fn get(gateway: &Gateway, target: &str) -> Message {
    gateway.send(&request(&format!("GET {target}"), &[], b""))
}

/// Asserts that the request was refused as ambiguous, for `class` if the gateway itself said so.
fn assert_refused(answer: &Message, target: &str, class: &str) {
    assert_eq!(answer.status(), 400, "`{target}`: {answer:?}");
    // Some bytes are refused by the HTTP library before anybody can say why.
    if answer.reason() != "request_malformed" {
        assert_eq!(answer.reason(), "path_ambiguous", "`{target}`: {answer:?}");
        assert!(
            answer.text().contains(class),
            "`{target}` is `{class}`: {answer:?}"
        );
    }
}

#[test]
fn a40_every_listed_path_fares_on_the_wire_as_it_is_listed() {
    let upstream = Upstream::start();
    let gateway = open(&upstream, "");
    for (fate, path) in listed_paths() {
        if fate == "not_a_path" {
            continue;
        }
        upstream.forget();
        let answer = get(&gateway, path);
        // What follows a `#` is cut off before anybody can see it, for us and the upstream alike.
        let (seen, _) = path.split_once('#').unwrap_or((path, ""));
        match Target::from_text(seen, ClassSet::EMPTY) {
            Err(_) => {
                assert_refused(&answer, path, fate);
                assert_eq!(
                    upstream.bytes(),
                    0,
                    "`{path}` was refused, and something was sent"
                );
            }
            Ok(target) => {
                assert_eq!(answer.status(), 200, "`{path}`: {answer:?}");
                let [forwarded] = &upstream.requests()[..] else {
                    panic!("`{path}` was answered with 200 and not forwarded once");
                };
                assert_eq!(
                    forwarded.target(),
                    target.path_and_query().as_str(),
                    "`{path}`"
                );
            }
        }
    }
}

#[test]
fn a27_a28_what_is_no_path_is_refused() {
    let upstream = Upstream::start();
    let gateway = open(&upstream, "");
    for target in [
        "*",
        "admin",
        "admin:443",
        "a/b",
        "?x",
        ".",
        "..",
        "../admin",
        "\\admin",
    ] {
        let answer = get(&gateway, target);
        assert_eq!(answer.status(), 400, "`{target}`: {answer:?}");
    }
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn a10_a12_bytes_that_no_path_holds_are_refused() {
    let upstream = Upstream::start();
    let gateway = open(&upstream, "");
    for byte in (0..=0x20).chain(0x7f..=0xff) {
        // A line feed ends the line, which is then one without a version; refused too.
        let bytes = [
            b"GET /v1/a",
            &[byte][..],
            b"b HTTP/1.1\r\nHost: gate.test\r\n\r\n",
        ]
        .concat();
        let answer = Client::connect(gateway.address()).send(&bytes).response();
        assert_eq!(answer.status(), 400, "{byte:#04x}: {answer:?}");
    }
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn a21_a_query_arrives_byte_for_byte() {
    let upstream = Upstream::start();
    let gateway = open(&upstream, "");
    let long = format!("/x?{}", "a%2fb+c&".repeat(1024));
    for target in [
        "/x?",
        "/x?a=1+2%20%2f&a=&&=?/",
        "/x?a;b\\c%zz//../",
        "/x?[a]={b}|^`",
        &long,
    ] {
        upstream.forget();
        assert_eq!(get(&gateway, target).status(), 200, "`{target}`");
        assert_eq!(upstream.requests()[0].target(), target);
    }
}

#[test]
fn a41_long_targets_are_served_and_longer_ones_refused() {
    let upstream = Upstream::start();
    let gateway = open(&upstream, "");
    let of_length = |length: usize| format!("/{}", "a".repeat(length - 1));
    for (length, status) in [
        (8_000, 200),
        (16 * 1024, 200),
        (16 * 1024 + 1, 414),
        (70_000, 414),
    ] {
        let answer = get(&gateway, &of_length(length));
        assert_eq!(answer.status(), status, "{length} bytes");
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a03_a04_a05_a08_a09_a_class_may_pass_where_the_upstream_allows_it() {
    let upstream = Upstream::start();
    let classes = "encoded_slash, encoded_percent, encoded_delimiter, semicolon, backslash, \
                   empty_segment, non_utf8";
    let gateway = open(&upstream, &format!("unsafe_allow: [{classes}]"));
    let passed = [
        ("/v1/items/a%2fb", "/v1/items/a%2Fb"),
        ("/100%25", "/100%25"),
        ("/a%3fb", "/a%3Fb"),
        ("/a;b=c/d", "/a;b=c/d"),
        ("/a\\b%5cc", "/a\\b%5Cc"),
        ("/v1//items", "/v1//items"),
        ("/caf%e9", "/caf%E9"),
    ];
    for (sent, forwarded) in passed {
        upstream.forget();
        assert_eq!(get(&gateway, sent).status(), 200, "`{sent}`");
        assert_eq!(upstream.requests()[0].target(), forwarded);
    }
    upstream.forget();
    for (target, class) in [
        ("/a/../b", "dot_segment"),
        ("/a/..;/b", "dot_segment"),
        ("/a/..%2fb", "dot_segment"),
        ("/a%00", "control"),
        ("/a%zz", "bad_escape"),
        ("/a|b", "raw_character"),
    ] {
        assert_refused(&get(&gateway, target), target, class);
    }
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn a15_an_escaped_path_is_judged_and_forwarded_as_what_it_spells() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let reader = gateway.token(&gateway.account("reader", &["reader"]));
    let answer = gateway.ask("GET /v1/%69tems/%37", Some(&reader));
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(upstream.wait_for(1)[0].target(), "/v1/items/7");

    let answer = gateway.ask("GET /%61dmin/x", Some(&reader));
    assert_eq!(
        (answer.status(), answer.reason().as_str()),
        (403, "permission_missing")
    );
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a20_the_query_takes_no_part_in_the_decision() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let reader = gateway.token(&gateway.account("reader", &["reader"]));
    for target in [
        "/admin/x?y=/public/z",
        "/admin/x?a=../../public/z",
        "/admin/x?",
    ] {
        let answer = gateway.ask(&format!("GET {target}"), Some(&reader));
        assert_eq!(answer.reason(), "permission_missing", "`{target}`");
    }
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn a07_a_trailing_slash_makes_another_path() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let writer = gateway.token(&gateway.account("writer", &["writer"]));
    assert_eq!(gateway.ask("POST /v1/items", Some(&writer)).status(), 200);
    upstream.forget();
    assert_eq!(
        gateway.ask("POST /v1/items/", Some(&writer)).reason(),
        "route_missing"
    );
    assert_eq!(gateway.ask("POST /v1/items/", None).status(), 401);
    assert_eq!(upstream.bytes(), 0);
}

/// A class that is allowed somewhere is let through the parser everywhere, and is judged after the
/// match.
#[test]
fn a_class_allowed_elsewhere_is_refused_here_and_says_so_to_a_known_caller_only() {
    let upstream = Upstream::start();
    let policy = r"
upstream: items
permissions: { items:read: See items }
roles: { reader: { description: Sees items, permissions: [items:read] } }
routes:
  GET /files/{path...}: { needs: items:read, unsafe_allow: [encoded_slash, semicolon] }
  GET /v1/items/{id}: items:read
";
    let gateway = Fixture::new(&upstream).policy("items.yaml", policy).start();
    let reader = gateway.token(&gateway.account("reader", &["reader"]));
    assert_eq!(gateway.ask("GET /files/a%2fb", Some(&reader)).status(), 200);
    assert_eq!(upstream.wait_for(1)[0].target(), "/files/a%2Fb");
    upstream.forget();
    let refused = gateway.ask("GET /v1/items/7;x", Some(&reader));
    assert_refused(&refused, "/v1/items/7;x", "semicolon");
    assert_eq!(gateway.ask("GET /v1/items/7;x", None).status(), 401);
    // Not a value of `{id}` even where it is allowed: that never spans a slash.
    let missed = gateway.ask("GET /v1/items/a%2fb", Some(&reader));
    assert_eq!(missed.reason(), "route_missing");
    // What nothing allows is refused before anybody is asked who he is.
    assert_eq!(gateway.ask("GET /files/a%5cb", None).status(), 400);
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn a26_the_verdict_is_the_same_with_and_without_tls_whatever_the_client_says() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).tls_listener().start();
    let reader = format!(
        "Bearer {}",
        gateway.token(&gateway.account("reader", &["reader"]))
    );
    for (line, status) in [
        ("GET /v1/items/7", 200),
        ("GET /admin/x", 403),
        ("GET /v1/%69tems/7", 200),
        ("GET /v1/items/../x", 400),
    ] {
        for proto in ["http", "https"] {
            let headers = [
                ("Authorization", reader.as_str()),
                ("X-Forwarded-Proto", proto),
            ];
            let bytes = request(line, &headers, b"");
            let clear = gateway.send(&bytes);
            let mut tls =
                Client::connect_tls(gateway.address_of("1"), gateway.files().certificate());
            let tls = tls.send(&bytes).response();
            assert_eq!(
                [clear.status(), tls.status()],
                [status; 2],
                "{line} with {proto}"
            );
        }
    }
}

#[test]
fn a40_an_escaped_colon_does_not_lead_around_the_stricter_route() {
    let upstream = Upstream::start();
    let policy = r"
upstream: items
permissions: { items:write: Make items, items:publish: Show items to the world }
roles:
  writer: { description: Makes items, permissions: [items:write] }
  publisher: { description: Shows items, include: [writer], permissions: [items:publish] }
routes:
  POST /v1/items/{id}: items:write
  POST /v1/items/{id}:publish: items:publish
";
    let gateway = Fixture::new(&upstream).policy("items.yaml", policy).start();
    let writer = gateway.token(&gateway.account("writer", &["writer"]));
    let publisher = gateway.token(&gateway.account("publisher", &["publisher"]));
    for line in ["POST /v1/items/7:publish", "POST /v1/items/7%3apublish"] {
        assert_eq!(
            gateway.ask(line, Some(&writer)).reason(),
            "permission_missing",
            "{line}"
        );
        assert_eq!(gateway.ask(line, Some(&publisher)).status(), 200, "{line}");
    }
    let forwarded = upstream.wait_for(2);
    assert_eq!(
        [forwarded[0].target(), forwarded[1].target()],
        ["/v1/items/7:publish", "/v1/items/7%3Apublish"]
    );
}
