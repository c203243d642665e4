//! WebSocket: a tunnel when both ends have agreed to one, and not a byte of it before.

use std::time::Duration;

use rustix::process::Signal;

use super::{before, one_core};
use crate::harness::{Client, Fixture, Gateway, PATIENCE, Scripted, request};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The only proper answer to [`KEY`].
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                      Sec-WebSocket-Protocol: chat\r\nX-Portcullis-Account: root\r\n\r\n";

const SHORT: Duration = Duration::from_millis(100);

fn handshake() -> Vec<u8> {
    handshake_with("GET /ws/x", &[])
}

/// A handshake with some headers replaced, or left out where they are empty.
fn handshake_with(line: &str, changed: &[(&str, &str)]) -> Vec<u8> {
    let mut headers = vec![
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Protocol", "chat"),
        ("Origin", "https://app.test"),
    ];
    headers.retain(|(name, _)| changed.iter().all(|(other, _)| name != other));
    headers.extend(changed.iter().filter(|(_, value)| !value.is_empty()));
    request(line, &headers, b"")
}

/// A client and an upstream with a tunnel between them.
fn open(gateway: &Gateway, upstream: &Scripted) -> (Client, Client) {
    let mut client = Client::connect(gateway.address());
    client.send(handshake());
    let mut connection = upstream.accept();
    connection.head();
    connection.send(AGREED);
    assert_eq!(client.response().status(), 101);
    (client, connection)
}

#[test]
fn b35_a_tunnel_begins_with_the_upstreams_agreement() {
    let upstream = Scripted::start();
    let gateway = Fixture::before(&upstream.url())
        .policy("items.yaml", super::OPEN)
        .tls_listener()
        .start();
    let tls = || Client::connect_tls(gateway.address_of("1"), gateway.files().certificate());
    let clear = || Client::connect(gateway.address());
    for mut client in [clear(), tls()] {
        // What comes behind the handshake may be meant for a tunnel, and there is none yet.
        client.send([handshake(), b"early".to_vec()].concat());
        let mut connection = upstream.accept();
        let head = connection.head();
        for part in [
            "GET /ws/x HTTP/1.1\r\n",
            "\r\nconnection: upgrade\r\n",
            "\r\nupgrade: websocket\r\n",
            &format!("\r\nsec-websocket-key: {KEY}\r\n"),
            "\r\norigin: https://app.test\r\n",
        ] {
            assert!(head.contains(part), "{part:?} in {head}");
        }
        assert!(
            !connection.ends_within(SHORT) && !connection.has_bytes(),
            "bytes before a 101"
        );
        connection.send([AGREED.as_bytes(), b"first"].concat());
        let answer = client.response();
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.header("connection"), Some("upgrade"));
        assert_eq!(answer.header("upgrade"), Some("websocket"));
        assert_eq!(answer.header("sec-websocket-protocol"), Some("chat"));
        assert_eq!(answer.header("x-portcullis-account"), None);
        assert_eq!(client.bytes(5), b"first");
        assert_eq!(connection.bytes(5), b"early");
        let much = vec![b'x'; 1_000_000];
        let sent = much.clone();
        let echo = std::thread::spawn(move || {
            assert_eq!(connection.bytes(sent.len()), sent);
            connection.send(&sent).half_close();
            connection
        });
        client.send(&much);
        assert_eq!(client.bytes(much.len()), much);
        assert!(client.ends_within(PATIENCE));
        drop(client);
        let mut connection = echo.join().unwrap();
        assert!(connection.ends_within(PATIENCE));
        let line = gateway.decision_of(&answer);
        for (field, expected) in [
            ("http.response.status_code", serde_json::json!(101)),
            ("network.protocol.name", serde_json::json!("websocket")),
            ("http.request.body.size", serde_json::json!(1_000_005)),
            ("http.response.body.size", serde_json::json!(1_000_005)),
        ] {
            assert_eq!(line[field], expected, "{line}");
        }
    }
}

/// B35: a request behind a handshake that was turned down is a request like any other.
#[test]
fn b35_what_follows_a_handshake_that_failed_is_judged_on_its_own() {
    let upstream = Scripted::start();
    let gateway = Fixture::before(&upstream.url())
        .policy("ws.yaml", super::OPEN)
        .start();
    let gateway_url = request("GET /admin/x", &[], b"");
    for status in ["200 OK", "403 Forbidden", "426 Upgrade Required"] {
        let mut client = Client::connect(gateway.address());
        client.send([handshake(), gateway_url.clone()].concat());
        let mut connection = upstream.accept();
        connection.head();
        connection.send(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno"));
        let answer = client.response();
        assert!(
            status.starts_with(&answer.status().to_string()),
            "{answer:?}"
        );
        assert_eq!(answer.text(), "no");
        assert_eq!(
            connection.rest(),
            b"",
            "the connection is for one handshake"
        );
        assert_eq!(client.response().status(), 401);
    }
}

#[test]
fn b34_an_upstream_that_agrees_to_something_else_is_malformed() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    for (from, to) in [
        (
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Sec-WebSocket-Accept", "X-Accept"),
        ("Connection: Upgrade", "Connection: keep-alive"),
    ] {
        let mut client = Client::connect(gateway.address());
        client.send(handshake());
        let mut connection = upstream.accept();
        connection.head();
        connection.send(AGREED.replace(from, to));
        let answer = client.response();
        assert_eq!(answer.reason(), "upstream_malformed", "{to}: {answer:?}");
        assert!(connection.ends_within(PATIENCE));
    }
}

#[test]
fn b37_a_handshake_is_what_the_standard_asks() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    for (line, changed, status) in [
        ("POST /ws/x", vec![], 400),
        ("GET /ws/x", vec![("Sec-WebSocket-Version", "12")], 426),
        ("GET /ws/x", vec![("Sec-WebSocket-Version", "")], 426),
        ("GET /ws/x", vec![("Sec-WebSocket-Key", "")], 400),
        ("GET /ws/x", vec![("Sec-WebSocket-Key", "c2hvcnQ=")], 400),
        ("GET /ws/x", vec![("Connection", "keep-alive")], 400),
    ] {
        let answer = gateway.send(&handshake_with(line, &changed));
        assert_eq!(answer.status(), status, "{line} {changed:?}");
        if status == 426 {
            assert_eq!(answer.reason(), "upgrade_refused");
            assert_eq!(answer.header("sec-websocket-version"), Some("13"));
            assert_eq!(answer.header("upgrade"), Some("websocket"));
        }
    }
    assert!(!upstream.is_called_within(SHORT));
    // HTTP/1.0 knows no upgrades, and another route allows none.
    let old = handshake();
    let old = String::from_utf8(old)
        .unwrap()
        .replace("HTTP/1.1", "HTTP/1.0");
    for bytes in [old.into_bytes(), handshake_with("GET /x", &[])] {
        let mut client = Client::connect(gateway.address());
        client.send(bytes);
        let mut connection = upstream.accept();
        let head = connection.head();
        assert!(!head.contains("upgrade"), "{head}");
        connection.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        assert_eq!(client.response().status(), 204);
    }
}

/// F15: a goodbye stands between two frames, whatever was on its way.
#[test]
fn f15_who_leaves_says_so_at_the_end_of_a_frame() {
    let upstream = Scripted::start();
    let mut gateway = one_core(Fixture::before(&upstream.url()))
        .settings("drain: { delay: 0s, timeout: 10s }")
        .start();
    let (mut client, mut connection) = open(&gateway, &upstream);
    connection.send(b"\x82\x05abc");
    assert_eq!(client.bytes(5), b"\x82\x05abc");
    gateway.signal(Signal::TERM);
    gateway.wait_for_log("drain");
    connection.send(b"de\x82\x01z");
    // The frame that was begun is whole, and no other one is cut; the news may come behind both.
    let mut seen = client.bytes(1);
    while !seen.ends_with(b"\x88\x02\x03\xe9") {
        seen.extend(client.bytes(1));
    }
    let whole: [&[u8]; 2] = [b"de\x88\x02\x03\xe9", b"de\x82\x01z\x88\x02\x03\xe9"];
    assert!(whole.contains(&seen.as_slice()), "{seen:?}");
    // The answer reaches the upstream, and then both are let go.
    client.send(b"\x88\x82\0\0\0\0\x03\xe9");
    assert_eq!(connection.rest(), b"\x88\x82\0\0\0\0\x03\xe9");
    assert!(client.ends_within(PATIENCE));
    assert!(gateway.wait().success());
}

/// F11: only silence ends a tunnel, and a tunnel that ended gives its place back.
#[test]
fn f11_a_tunnel_ends_by_silence_and_not_by_time() {
    let upstream = Scripted::start();
    let gateway = one_core(Fixture::before(&upstream.url()))
        .upstream("stream_idle: 400ms, timeout: 100ms, connections: 1")
        .start();
    let (mut client, mut connection) = open(&gateway, &upstream);
    for _ in 0..4 {
        // Time itself is what is tested.
        std::thread::sleep(Duration::from_millis(200));
        client.send("x");
        assert_eq!(connection.bytes(1), b"x");
    }
    assert_eq!(gateway.send(&handshake()).reason(), "upstream_overloaded");
    let open_now = |count| {
        let line = format!("\nportcullis_tunnels_open {count}\n");
        gateway.ops("/metrics").text().contains(&line)
    };
    assert!(open_now(1));
    assert_eq!(client.rest(), b"\x88\x02\x03\xe9");
    drop(client);
    assert!(connection.ends_within(PATIENCE));
    assert!(open_now(0));
    open(&gateway, &upstream);
}

/// F10: when either end is gone the other one is let go.
#[test]
fn f10_a_tunnel_has_two_ends_or_none() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    let (client, mut connection) = open(&gateway, &upstream);
    drop(client);
    assert!(connection.ends_within(Duration::from_secs(1)));
    let (mut client, connection) = open(&gateway, &upstream);
    drop(connection);
    assert!(client.ends_within(Duration::from_secs(1)));
}
