//! What the HTTP parser itself refuses reads like every other refusal: a problem document with an
//! id, the status that says most, one line in the log, and nothing for the upstream.

use crate::harness::{Client, Fixture, PATIENCE, Upstream, request};

/// A request whose first line is this, with these header lines.
fn head(line: &str, headers: &str) -> Vec<u8> {
    format!("{line}\r\nHost: gate.test\r\n{headers}\r\n").into_bytes()
}

/// What is sent, and what it is answered.
fn refused() -> Vec<(Vec<u8>, u16, &'static str)> {
    let get = "GET /public/x HTTP/1.1";
    let many: String = (0..100).map(|n| format!("X-{n}: 1\r\n")).collect();
    let long = "a".repeat(33 * 1024);
    vec![
        (head("GET /public/x HTTP/2.0", ""), 505, "version_unknown"),
        (head("GET /public/x HTTP/1.2", ""), 505, "version_unknown"),
        (head("GET /public/x HTTP/3.0", ""), 505, "version_unknown"),
        (head("GET /public/x http/1.1", ""), 400, "request_malformed"),
        (
            head("GET /public/x HTTP/01.1", ""),
            400,
            "request_malformed",
        ),
        (
            head("GET  /public/x HTTP/1.1", ""),
            400,
            "request_malformed",
        ),
        (head(get, "X : 1\r\n"), 400, "request_malformed"),
        (head(get, "X: a\0b\r\n"), 400, "request_malformed"),
        (
            head(get, "Content-Length: +5\r\n"),
            400,
            "request_malformed",
        ),
        (head(get, &many), 431, "headers_too_large"),
        (
            head(get, &format!("X: {long}\r\n")),
            431,
            "headers_too_large",
        ),
        (
            head(get, &format!("{long}: 1\r\n")),
            431,
            "headers_too_large",
        ),
        (
            head(&format!("GET /{} HTTP/1.1", "a".repeat(70_000)), ""),
            414,
            "target_too_long",
        ),
        (
            head(&format!("{} / HTTP/1.1", "A".repeat(100_000)), ""),
            400,
            "request_malformed",
        ),
    ]
}

#[test]
fn a31_a41_b18_b22_what_cannot_be_parsed_is_refused_in_our_words() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let table = refused();
    for (bytes, status, reason) in &table {
        let shown = String::from_utf8_lossy(bytes)
            .chars()
            .take(60)
            .collect::<String>();
        let mut client = Client::connect(gateway.address());
        let answer = client.send(bytes).response();
        assert_eq!(
            (answer.status(), &*answer.reason()),
            (*status, *reason),
            "{shown}"
        );
        assert_eq!(answer.header("connection"), Some("close"), "{shown}");
        assert!(answer.header("proxy-status").is_some(), "{shown}");
        let line = gateway.decision_of(&answer);
        assert_eq!(line["portcullis.reason"], *reason, "{shown}");
        assert!(client.ends_within(PATIENCE), "{shown}");
    }
    assert_eq!(
        gateway.decisions(table.len()).len(),
        table.len(),
        "one line each"
    );
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn a_bad_request_behind_a_good_one_is_refused_in_its_turn() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let good = request("GET /public/x", &[], b"");
    let bytes = [&*good, &*good, b"GET / HTTP/9.9\r\n\r\n", &*good].concat();
    let mut client = Client::connect(gateway.address());
    client.send(bytes);
    assert_eq!(client.response().status(), 200);
    assert_eq!(client.response().status(), 200);
    let refused = client.response();
    assert_eq!(
        (refused.status(), &*refused.reason()),
        (505, "version_unknown")
    );
    assert!(client.ends_within(PATIENCE));
    assert_eq!(upstream.requests().len(), 2);
}

/// A18.
#[test]
fn a18_a_fragment_is_cut_off_for_both_and_counted() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let answer = gateway.send(&request("GET /public/x#/../admin", &[], b""));
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream.requests()[0].target(), "/public/x");
    let metrics = gateway.ops("/metrics");
    assert!(
        metrics
            .text()
            .contains("portcullis_target_fragments_cut_total 1\n")
    );
}

/// B24: closing the socket under what is still being sent would take the answer back.
#[test]
fn who_still_sends_what_is_refused_can_read_why() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).tls_listener().start();
    let body = vec![b'x'; 3 * 1024 * 1024];
    for _ in 0..5 {
        let bytes = request("POST /v1/items", &[("Connection", "close")], &body);
        let mut clear = Client::connect(gateway.address());
        let mut tls = Client::connect_tls(gateway.address_of("1"), gateway.files().certificate());
        for client in [&mut clear, &mut tls] {
            assert_eq!(client.send(&bytes).response().status(), 401);
        }
    }
    assert_eq!(upstream.bytes(), 0);
}
