//! Heads on their way: what belongs to one hop stays on it, and the rest arrives as it was sent.

use std::collections::BTreeSet;

use super::{bearer, fixture};
use crate::harness::{Behaviour, Client, Fixture, Kind, Scripted, Upstream, request};

const HOP_BY_HOP: [(&str, &str); 7] = [
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Connection", "keep-alive"),
    ("Proxy-Authorization", "Basic dTpw"),
    ("TE", "trailers"),
    ("Trailer", "X-Checksum"),
    ("Upgrade", "h2c"),
    ("X-Foo", "listed"),
];

#[test]
fn b39_what_is_for_one_hop_stays_on_it_both_ways() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let theirs: String = HOP_BY_HOP
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    upstream.behave(Behaviour::answer(format!(
        "HTTP/1.1 200 OK\r\nConnection: X-Foo, keep-alive\r\n{theirs}X-Kept: yes\r\n\
         X-Portcullis-Account: root\r\nContent-Length: 2\r\n\r\nok"
    )));
    let mut headers = HOP_BY_HOP.to_vec();
    headers.push(("Connection", "X-Foo"));
    headers.push(("X-Kept", "yes"));
    let answer = gateway.send(&request("GET /public/x", &headers, b""));
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    let seen = upstream.wait_for(1).remove(0);
    for message in [&answer, &seen] {
        assert_eq!(message.header("x-kept"), Some("yes"));
        for (name, _) in HOP_BY_HOP {
            assert_eq!(message.header(name), None, "{name} in {message:?}");
        }
        assert_eq!(message.header("connection"), None, "{message:?}");
    }
    assert_eq!(answer.header("x-portcullis-account"), None);
}

#[test]
fn b39_to_close_and_to_stay_is_to_close() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let headers = [("Connection", "close"), ("Connection", "keep-alive")];
    let mut client = Client::connect(gateway.address());
    let answer = client
        .send(request("GET /public/x", &headers, b""))
        .response();
    assert_eq!(answer.status(), 200);
    assert_eq!(client.rest(), b"");
}

#[test]
fn b41_connection_names_no_header_that_is_for_all() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    for name in [
        "Host",
        "Authorization",
        "Content-Length",
        "Transfer-Encoding",
        "Cookie",
    ] {
        for listed in [name.to_owned(), format!("close, {}", name.to_lowercase())] {
            let headers = [("Connection", listed.as_str())];
            let answer = gateway.send(&request("GET /public/x", &headers, b""));
            assert_eq!(answer.reason(), "request_malformed", "{listed}: {answer:?}");
        }
    }
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn c21_the_request_id_is_ours_on_every_response() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let reader = bearer(&gateway, "reader", &["reader"]);
    upstream.behave(Behaviour::answer(
        "HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nX-Request-Id: twice\r\nContent-Length: 0\r\n\r\n",
    ));
    let mut seen = BTreeSet::new();
    let long = "x".repeat(1024);
    for claimed in ["theirs", "00000000-0000-0000-0000-000000000000", &long] {
        for line in [
            "GET /public/x",
            "GET /v1/items/7",
            "GET /admin/x",
            "GET /a%2fb",
            "GET /nowhere",
            "BREW /",
            "POST /oauth/token",
            "GET /oauth/token",
        ] {
            let headers = [
                ("X-Request-Id", claimed),
                ("Authorization", reader.as_str()),
            ];
            let answer = gateway.send(&request(line, &headers, b""));
            let ids = answer.all("x-request-id");
            assert_eq!(ids.len(), 1, "{line}: {answer:?}");
            assert!(ids[0].len() == 36 && ids[0] != claimed, "{line}: {ids:?}");
            assert!(seen.insert(ids[0].to_owned()), "{} was given twice", ids[0]);
            if !answer.reason().is_empty() {
                assert_eq!(answer.json()["request_id"], ids[0], "{line}");
            }
        }
    }
    for request in upstream.requests() {
        let ids = request.all("x-request-id");
        assert!(ids.len() == 1 && seen.contains(ids[0]), "{request:?}");
    }
}

#[test]
fn location_is_the_upstreams_word() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let location = "http://inside.internal:8080/v1/../x?y#z";
    upstream.behave(Behaviour::answer(format!(
        "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    )));
    let answer = gateway.ask("GET /public/x", None);
    assert_eq!(
        (answer.status(), answer.all("location")),
        (302, vec![location])
    );
}

#[test]
fn the_upstream_is_asked_by_its_own_name_or_by_the_clients() {
    let upstream = Upstream::start();
    let own = upstream.url().replace("http://", "");
    let as_upstream = fixture(&upstream).start();
    let as_client = fixture(&upstream).upstream("host: client").start();
    let plain = request("GET /public/x", &[], b"");
    // The host of an absolute target is the one that was decided on.
    let absolute =
        b"GET http://other.test:80/public/x HTTP/1.1\r\nHost: gate.test\r\n\r\n".to_vec();
    for (gateway, sent, host, stated) in [
        (&as_upstream, &plain, own.as_str(), "gate.test"),
        (&as_client, &plain, "gate.test", "gate.test"),
        (&as_upstream, &absolute, &own, "other.test:80"),
        (&as_client, &absolute, "other.test:80", "other.test:80"),
    ] {
        upstream.forget();
        assert_eq!(gateway.send(sent).status(), 200);
        let seen = upstream.wait_for(1).remove(0);
        assert_eq!(seen.target(), "/public/x");
        assert_eq!(seen.all("host"), [host]);
        assert_eq!(seen.all("x-forwarded-host"), [stated]);
    }
}

#[test]
fn a32_head_is_asked_as_head_and_answered_without_a_body() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let mut client = Client::connect(gateway.address());
    for _ in 0..2 {
        let answer = client
            .send(request("HEAD /public/x", &[], b""))
            .response_to_head();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.all("content-length"), ["11"]);
    }
    // Nothing of a body is in the way of the next answer; ours has none either.
    let refused = client
        .send(request("HEAD /v1/items/7", &[], b""))
        .response_to_head();
    assert_eq!(refused.status(), 401);
    let answer = client.send(request("GET /public/x", &[], b"")).response();
    assert_eq!(answer.text(), r#"{"ok":true}"#);
    let methods: Vec<_> = upstream
        .wait_for(3)
        .iter()
        .map(|m| m.method().to_owned())
        .collect();
    assert_eq!(methods, ["HEAD", "HEAD", "GET"]);
}

#[test]
fn answers_without_a_body_have_none() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let mut client = Client::connect(gateway.address());
    for head in [
        "204 No Content\r\n",
        "304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 11\r\n",
        "200 OK\r\nContent-Length: 0\r\n",
    ] {
        upstream.behave(Behaviour::answer(format!("HTTP/1.1 {head}\r\n")));
        let answer = client.send(request("GET /public/x", &[], b"")).response();
        assert!(head.starts_with(&answer.status().to_string()), "{answer:?}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("transfer-encoding"), None);
    }
    assert_eq!(upstream.connections(), 1);
}

/// B32: what an upstream says too much is never the answer to the next request.
#[test]
fn b32_bytes_behind_an_answer_answer_nobody() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).settings("threads: 1").start();
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for line in ["GET /public/x", "HEAD /public/x"] {
        for head in [
            "204 No Content\r\n",
            "304 Not Modified\r\n",
            "200 OK\r\nContent-Length: 0\r\n",
        ] {
            let bytes = format!("HTTP/1.1 {head}\r\n{evil}");
            upstream.once(Behaviour::Answer(std::sync::Arc::new(move |_| {
                bytes.clone().into_bytes()
            })));
            let first = gateway.send(&request(line, &[], b""));
            assert!(head.starts_with(&first.status().to_string()), "{first:?}");
            let second = gateway.ask("GET /public/x", None);
            assert_eq!(second.text(), r#"{"ok":true}"#, "{line} {head}");
        }
    }
}

#[test]
fn b26_who_is_refused_is_not_told_to_continue() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let reader = bearer(&gateway, "reader", &["reader"]);
    for (line, token, status) in [
        ("POST /v1/items", "", 401),
        ("POST /v1/items", reader.as_str(), 403),
        ("POST /nowhere", &reader, 404),
        ("POST /a%2fb", "", 400),
    ] {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: gate.test\r\nAuthorization: {token}\r\n\
             Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        );
        let head = if token.is_empty() {
            head.replace("Authorization: \r\n", "")
        } else {
            head
        };
        let mut client = Client::connect(gateway.address());
        let answer = client.send(head).any_response(Kind::Response);
        assert_eq!(answer.status(), status, "{line}: {answer:?}");
    }
    assert_eq!(upstream.bytes(), 0);
}

#[test]
fn an_expected_100_comes_when_the_upstream_has_been_asked() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let head = "POST /public/x HTTP/1.1\r\nHost: gate.test\r\nExpect: 100-continue\r\n\
                Content-Length: 5\r\n\r\n";
    let mut client = Client::connect(gateway.address());
    assert_eq!(client.send(head).any_response(Kind::Response).status(), 100);
    assert_eq!(
        client.send("hello").any_response(Kind::Response).status(),
        200
    );
    let seen = upstream.wait_for(1).remove(0);
    assert_eq!((seen.text(), seen.header("expect")), ("hello", None));
}

#[test]
fn b34_b36_nobody_changes_the_protocol() {
    let upstream = Scripted::start();
    let gateway = Fixture::before(&upstream.url()).start();
    let headers = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    let hidden = request("GET /admin/x", &[], b"");
    let mut client = Client::connect(gateway.address());
    client.send([request("GET /public/x", &headers, b""), hidden].concat());
    let mut connection = upstream.accept();
    let seen = connection.head();
    assert!(!seen.to_lowercase().contains("upgrade"), "{seen}");
    connection.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    );
    let answer = client.response();
    assert_eq!(
        (answer.status(), answer.reason().as_str()),
        (502, "upstream_malformed")
    );
    // Nothing was tunnelled; the second request is judged for itself.
    assert_eq!(connection.rest(), b"");
    assert_eq!(client.response().reason(), "credential_missing");
}
