//! Who has handled a request, and what of that is believed.

use super::fixture;
use crate::harness::{Behaviour, Client, Upstream, request};

#[test]
fn b43_a_request_that_comes_back_goes_in_circles() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let send = |via: &str| gateway.send(&request("GET /x", &[("Via", via)], b""));
    assert_eq!(send("1.0 fred, 1.1 p.example.net").status(), 200);
    let seen = upstream.wait_for(1).remove(0);
    let hops = seen.all("via");
    assert_eq!(hops.len(), 2, "{seen:?}");
    assert_eq!(hops[0], "1.0 fred, 1.1 p.example.net");
    let own = hops[1]
        .strip_prefix("1.1 portcullis-")
        .expect("our own name");
    assert!(own.len() == 16 && own.bytes().all(|byte| byte.is_ascii_hexdigit()));

    upstream.forget();
    let circle = format!("1.1 fred, 1.1 portcullis-{own}");
    let many = vec!["1.1 a"; 30].join(", ");
    for via in [circle.as_str(), &many] {
        let answer = send(via);
        assert_eq!(
            (answer.status(), answer.reason().as_str()),
            (508, "loop_detected")
        );
    }
    assert_eq!(upstream.bytes(), 0);
}

/// C06: a stranger states nothing; whom the listener trusts knows how the client came to it.
#[test]
fn c06_the_scheme_is_our_own_or_that_of_a_trusted_peer() {
    let upstream = Upstream::start();
    let strange = fixture(&upstream).start();
    let trusted = fixture(&upstream)
        .listener("trusted_proxies: [127.0.0.1/32]")
        .start();
    for (gateway, chain, stated, expected) in [
        (&strange, "198.51.100.7", "https", "http"),
        (&trusted, "198.51.100.7", "https", "https"),
        (&trusted, "198.51.100.7", "gopher", "http"),
        // It speaks for nobody, so for itself.
        (&trusted, "", "https", "http"),
    ] {
        upstream.forget();
        let mut headers = vec![
            ("X-Forwarded-Proto", stated),
            ("X-Forwarded-Host", "evil.test"),
        ];
        if !chain.is_empty() {
            headers.push(("X-Forwarded-For", chain));
        }
        assert_eq!(
            gateway.send(&request("GET /x", &headers, b"")).status(),
            200
        );
        let seen = upstream.wait_for(1).remove(0);
        assert_eq!(
            seen.all("x-forwarded-proto"),
            [expected],
            "{chain} {stated}"
        );
        assert_eq!(seen.all("x-forwarded-host"), ["gate.test"]);
    }
}

/// B36: nobody is offered another protocol in plain text.
#[test]
fn b36_an_upgrade_nobody_allows_is_a_plain_request() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    for upgrade in ["h2c", "websocket", "websocket, h2c"] {
        upstream.forget();
        let headers = [
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", upgrade),
            ("HTTP2-Settings", "AAMAAABkAAQAoAAA"),
        ];
        let answer = gateway.send(&request("GET /x", &headers, b""));
        assert_eq!(answer.status(), 200, "{upgrade}");
        let seen = upstream.wait_for(1).remove(0);
        for name in ["connection", "upgrade", "http2-settings"] {
            assert_eq!(seen.header(name), None, "{upgrade}: {seen:?}");
        }
    }
}

/// F12: what may be asked twice is, and only where nothing was heard.
#[test]
fn f12_a_connection_the_upstream_left_is_tried_once_more() {
    let upstream = Upstream::start();
    upstream.behave(Behaviour::CloseReused);
    let gateway = fixture(&upstream).start();
    let mut client = Client::connect(gateway.address());
    for (line, body, expected) in [
        ("PUT /x", "", 200),
        ("POST /x", "", 502),
        ("PUT /x", "body", 502),
    ] {
        assert_eq!(
            client
                .send(request("GET /warm", &[], b""))
                .response()
                .status(),
            200
        );
        upstream.forget();
        let answer = client.send(request(line, &[], body.as_bytes())).response();
        assert_eq!(answer.status(), expected, "{line} {body}");
        let sent = if expected == 200 { 2 } else { 1 };
        assert_eq!(upstream.requests().len(), sent, "{line} {body}");
    }
}
