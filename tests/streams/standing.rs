//! A stream goes on for as long as what opened it holds, and no longer; and not through a silence.
//!
//! How soon one is cut is measured in `revocation`, among ten thousand.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::one_core;
use crate::harness::{Client, Fixture, Gateway, Key, PATIENCE, Scripted, request, until};

/// Streams for readers; a header says the tenant of some.
pub(super) const STREAMS: &str = r"
upstream: items
permissions: { streams:read: Follow streams }
dimensions: { tenant: Whose they are }
roles: { reader: { description: Follows, permissions: [streams:read] } }
routes:
  GET,POST /streams/{id}: streams:read
  GET /tenants/{id}: { needs: streams:read, within: { tenant: header.x-tenant } }
  GET /sockets/{id}: { needs: streams:read, upgrade: [websocket] }
  GET,HEAD /open/{id}: public
";

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                    Transfer-Encoding: chunked\r\n\r\n6\r\ndata:1\r\n";

fn start(upstream: &Scripted, more: &str) -> Gateway {
    one_core(Fixture::before(&upstream.url()))
        .policy("items.yaml", STREAMS)
        .upstream(&format!("connections: 100{more}"))
        .start()
}

/// A client in the middle of an answer, and the upstream's end of it.
fn follow(gateway: &Gateway, upstream: &Scripted, line: &str, token: &str) -> (Client, Client) {
    let mut client = Client::connect(gateway.address());
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("X-Tenant", "acme")];
    client.send(request(line, &headers, b""));
    let mut connection = upstream.accept();
    connection.head();
    connection.send(HEAD);
    client.head();
    assert_eq!(client.bytes(11), b"6\r\ndata:1\r\n");
    (client, connection)
}

fn flows(client: &mut Client, connection: &mut Client) {
    connection.send("1\r\nx\r\n");
    assert_eq!(client.bytes(6), b"1\r\nx\r\n");
}

#[test]
fn b38_a_stream_ends_with_the_key_that_opened_it_and_no_other_does() {
    let upstream = Scripted::start();
    let gateway = start(&upstream, "");
    let (revoked, kept) = (
        gateway.account("one", &["reader"]),
        gateway.account("two", &["reader"]),
    );
    let token = gateway.token(&revoked);
    let other = gateway.token(&kept);
    let (mut client, mut connection) = follow(&gateway, &upstream, "GET /streams/1", &token);
    let (mut tenant, mut theirs) = follow(&gateway, &upstream, "GET /tenants/1", &other);
    let (mut other, mut others) = follow(&gateway, &upstream, "GET /streams/2", &other);
    let (mut open, mut opened) = follow(&gateway, &upstream, "GET /open/1", "whatever");
    gateway.json(&["keys", "expire", &revoked.id]);
    assert!(client.ends_within(PATIENCE), "without the last chunk");
    assert!(connection.ends_within(PATIENCE));
    flows(&mut other, &mut others);
    flows(&mut open, &mut opened);
    flows(&mut tenant, &mut theirs);
    let line = gateway.decisions(3);
    let line = line
        .iter()
        .find(|line| line["url.path"] == "/streams/1")
        .unwrap();
    assert_eq!(line["portcullis.reason"], "key_expired", "{line}");
    assert_eq!(line["portcullis.ended"], "revoked", "{line}");
    assert_eq!(line["http.response.status_code"], 200, "{line}");
}

#[test]
fn b38_f17_a_preflight_under_way_is_not_held_to_what_it_never_brought() {
    let upstream = Scripted::start();
    let policy = format!("{STREAMS}  PUT /pages/{{id}}: {{ needs: streams:read, cors: pass }}\n");
    let gateway = one_core(Fixture::before(&upstream.url()))
        .policy("items.yaml", &policy)
        .start();
    let mut client = Client::connect(gateway.address());
    let headers = [
        ("Origin", "https://page.test"),
        ("Access-Control-Request-Method", "PUT"),
    ];
    client.send(request("OPTIONS /pages/1", &headers, b""));
    let mut connection = upstream.accept();
    connection.head();
    // A change of the directory: whoever is under way is judged again.
    gateway.account("other", &["reader"]);
    connection.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.response().status(), 204);
}

#[test]
fn b38_a_stream_ends_with_its_account_its_role_and_its_route() {
    let upstream = Scripted::start();
    let gateway = start(&upstream, "");
    let key = gateway.account("one", &["reader"]);
    let token = gateway.token(&key);
    let other = gateway.token(&gateway.account("two", &["reader"]));
    let (mut client, _connection) = follow(&gateway, &upstream, "GET /streams/1", &token);
    gateway.json(&["accounts", "disable", "one"]);
    assert!(client.ends_within(PATIENCE));

    let (mut client, mut connection) = follow(&gateway, &upstream, "GET /streams/1", &other);
    let (mut open, _opened) = follow(&gateway, &upstream, "GET /open/1", "whatever");
    // The permissions are numbered anew, and the stream goes on; the open route is gone.
    let more = STREAMS
        .replace("permissions: {", "permissions: { a:first: One more,")
        .replace("  GET,HEAD /open/{id}: public\n", "");
    gateway.files().write("policies/items.yaml", &more);
    assert!(open.ends_within(PATIENCE));
    flows(&mut client, &mut connection);
    let less = more.replace("permissions: [streams:read]", "permissions: [a:first]");
    gateway.files().write("policies/items.yaml", &less);
    assert!(client.ends_within(PATIENCE));
}

#[test]
fn b38_an_upload_and_a_question_end_too() {
    let upstream = Scripted::start();
    let gateway = start(&upstream, "");
    let key = gateway.account("one", &["reader"]);
    let bearer = format!("Bearer {}", gateway.token(&key));
    let head = "POST /streams/1 HTTP/1.1\r\nHost: gate.test\r\nAuthorization: BEARER\r\n\
                Content-Length: 100\r\n\r\nabc";
    let head = head.replace("BEARER", &bearer);
    let ask = request("GET /streams/1", &[("Authorization", &bearer)], b"");
    let mut waiting = Vec::new();
    for bytes in [head.into_bytes(), ask] {
        let mut client = Client::connect(gateway.address());
        client.send(bytes);
        let mut connection = upstream.accept();
        connection.head();
        waiting.push((client, connection));
    }
    gateway.json(&["keys", "expire", &key.id]);
    for (mut client, mut connection) in waiting {
        assert_eq!(client.response().status(), 401);
        let sent = connection.rest();
        assert!(sent == b"abc" || sent.is_empty(), "{sent:?}");
    }
}

/// Who waits in line has not reached the upstream, and never will.
#[test]
fn b38_who_stands_in_line_is_told_at_once_and_never_sent() {
    let upstream = Scripted::start();
    let gateway = one_core(Fixture::before(&upstream.url()))
        .policy("items.yaml", STREAMS)
        .upstream("connections: 1, queue_timeout: 10s")
        .start();
    let key = gateway.account("one", &["reader"]);
    let bearer = format!("Bearer {}", gateway.token(&key));
    let (mut first, mut connection) = follow(&gateway, &upstream, "GET /open/1", "");
    let asked = [
        request("GET /streams/1", &[("Authorization", &bearer)], b""),
        request("POST /streams/1", &[("Authorization", &bearer)], b"abc"),
        handshake(&bearer),
    ];
    let waiting = asked.map(|bytes| {
        let mut client = Client::connect(gateway.address());
        client.send(bytes);
        client
    });
    until("three to stand in line", PATIENCE, || {
        let metrics = gateway.ops("/metrics");
        metrics
            .text()
            .contains("portcullis_upstream_queue{upstream=\"items\"} 3")
    });
    gateway.json(&["keys", "expire", &key.id]);
    for mut client in waiting {
        let answer = client.response();
        assert_eq!(
            (answer.status(), answer.reason().as_str()),
            (401, "token_invalid")
        );
    }
    flows(&mut first, &mut connection);
    connection.send("0\r\n\r\n");
    assert_eq!(first.bytes(5), b"0\r\n\r\n");
    first.send(request("GET /open/2", &[], b""));
    assert!(connection.head().starts_with("GET /open/2 "));
    assert!(!upstream.is_called_within(Duration::ZERO));
}

/// A client and an upstream with a tunnel between them.
fn open_socket(gateway: &Gateway, upstream: &Scripted, key: &Key) -> (Client, Client) {
    let mut client = Client::connect(gateway.address());
    let bearer = format!("Bearer {}", gateway.token(key));
    client.send(handshake(&bearer));
    let mut connection = upstream.accept();
    let head = connection.head();
    assert!(!head.contains("authorization"), "{head}");
    connection.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    );
    assert_eq!(client.response().status(), 101);
    (client, connection)
}

fn handshake(bearer: &str) -> Vec<u8> {
    let headers = [
        ("Authorization", bearer),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    request("GET /sockets/1", &headers, b"")
}

/// A frame may be as long as its upstream likes, and whoever is cut waits for the end of none.
#[test]
fn b38_a_websocket_ends_inside_a_frame_that_is_not_all_here() {
    let upstream = Scripted::start();
    let gateway = start(&upstream, "");
    let key = gateway.account("one", &["reader"]);
    let (mut client, mut connection) = open_socket(&gateway, &upstream, &key);
    let frame = b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xffabc";
    connection.send(frame);
    assert_eq!(client.bytes(frame.len()), frame);
    gateway.json(&["keys", "expire", &key.id]);
    assert!(client.ends_within(PATIENCE));
    assert!(connection.ends_within(PATIENCE));
}

#[test]
fn b38_a_websocket_is_told_why() {
    let upstream = Scripted::start();
    let gateway = start(&upstream, "");
    let key = gateway.account("one", &["reader"]);
    let (mut client, mut connection) = open_socket(&gateway, &upstream, &key);
    client.send(b"\x81\x80abcd");
    assert_eq!(connection.bytes(6), b"\x81\x80abcd");
    gateway.json(&["keys", "expire", &key.id]);
    assert_eq!(client.bytes(4), b"\x88\x02\x03\xf0");
    // What it says now, it says to nobody.
    client.send(b"\x81\x80abcd\x88\x80abcd");
    assert_eq!(connection.rest(), b"");
    assert!(client.ends_within(PATIENCE));
    let lines = gateway.decisions(2);
    let line = lines.iter().find(|line| line["url.path"] == "/sockets/1");
    assert_eq!(line.unwrap()["portcullis.ended"], "revoked", "{lines:?}");
}

/// F11: an answer may take as long as it likes, and be silent for so long.
#[test]
fn f11_an_answer_ends_by_silence_and_not_by_time() {
    let upstream = Scripted::start();
    let gateway = start(&upstream, ", stream_idle: 400ms, timeout: 100ms");
    let (mut client, mut connection) = follow(&gateway, &upstream, "GET /open/1", "");
    for _ in 0..4 {
        // Time itself is what is tested.
        std::thread::sleep(Duration::from_millis(200));
        flows(&mut client, &mut connection);
    }
    assert!(client.ends_within(PATIENCE), "without the last chunk");
    assert!(connection.ends_within(PATIENCE));
}

/// F16: whoever is cut off has a line that says by what, among refusals too; whoever came to an end
/// has none of that.
#[test]
fn f16_the_log_says_what_ended_an_answer_before_its_end() {
    let upstream = Scripted::start();
    let mut gateway = one_core(Fixture::before(&upstream.url()))
        .policy("items.yaml", STREAMS)
        .upstream("connections: 100, stream_idle: 400ms")
        .settings("log: { decisions: denied }\ndrain: { delay: 0s, timeout: 300ms }")
        .start();
    let mut known = 0;
    let mut line_of = |gateway: &Gateway, path: &str| {
        let line = gateway.decisions_after(known, 1).remove(0);
        known += 1;
        assert_eq!(line["url.path"], path, "{line}");
        assert_eq!(line["severity"], "WARN", "{line}");
        line
    };

    let (mut client, mut connection) = follow(&gateway, &upstream, "GET /open/whole", "");
    connection.send("0\r\n\r\n");
    assert_eq!(client.bytes(5), b"0\r\n\r\n");
    drop(connection);
    let (client, mut connection) = follow(&gateway, &upstream, "GET /open/left", "");
    drop(client);
    assert!(connection.ends_within(PATIENCE));

    let (mut client, connection) = follow(&gateway, &upstream, "GET /open/broken", "");
    drop(connection);
    assert!(client.ends_within(PATIENCE));
    let line = line_of(&gateway, "/open/broken");
    assert_eq!(line["portcullis.ended"], "upstream_reset", "{line}");

    let (mut client, _connection) = follow(&gateway, &upstream, "GET /open/silent", "");
    assert!(client.ends_within(PATIENCE));
    let line = line_of(&gateway, "/open/silent");
    assert_eq!(line["portcullis.ended"], "silent", "{line}");
    assert_eq!(line["http.response.status_code"], 200, "{line}");

    let mut client = Client::connect(gateway.address());
    client.send(request("GET /open/hung", &[], b""));
    let mut connection = upstream.accept();
    connection.head();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0));
    let line = line_of(&gateway, "/open/hung");
    assert_eq!(line["portcullis.ended"], "draining", "{line}");
    assert_eq!(line["http.response.status_code"], Value::Null, "{line}");
}

/// Clients come and go: that is on record where everything is, and is no warning.
#[test]
fn a_client_that_left_is_told_from_one_that_got_everything() {
    let upstream = Scripted::start();
    let gateway = start(&upstream, "");
    let (mut client, mut connection) = follow(&gateway, &upstream, "GET /open/chunked", "");
    connection.send("0\r\n\r\n");
    assert_eq!(client.bytes(5), b"0\r\n\r\n");
    drop(connection);
    for (line, head, body) in [
        (
            "GET /open/sized",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
        ),
        (
            "HEAD /open/sized",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            "",
        ),
        ("HEAD /a%2fb", "", ""),
        ("GET /open/empty", "HTTP/1.1 204 No Content\r\n\r\n", ""),
    ] {
        let mut client = Client::connect(gateway.address());
        client.send(request(line, &[], b""));
        if !head.is_empty() {
            let mut connection = upstream.accept();
            connection.head();
            connection.send(head);
        }
        client.head();
        assert_eq!(client.bytes(body.len()), body.as_bytes(), "{line}");
    }
    let whole = gateway.decisions(5);
    assert!(
        whole.iter().all(|line| line["portcullis.ended"].is_null()),
        "{whole:?}"
    );

    let (client, mut connection) = follow(&gateway, &upstream, "GET /open/left", "");
    drop(client);
    assert!(connection.ends_within(PATIENCE));
    let line = gateway.decisions_after(5, 1).remove(0);
    assert_eq!(line["portcullis.ended"], "client_gone", "{line}");
    assert_eq!(line["severity"], "INFO", "{line}");
}
