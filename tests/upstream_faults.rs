//! Bad days of the API behind: each has its own answer, nothing is sent twice that may not be, and
//! half an answer is never passed off as a whole one.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::harness::{
    Behaviour, Client, Fixture, Gateway, Kind, Message, PATIENCE, Scripted, Upstream, request,
};

/// Public routes for every method that is sent here; one of them will not wait long.
const OPEN: &str = r"
upstream: items
routes:
  GET,POST,PUT /{rest...}: public
  GET /slow/{rest...}: { needs: public, timeout: 100ms }
";

/// One core, so that every request finds the connection of the one before it.
fn fixture(upstream: &Upstream) -> Fixture {
    one_core(Fixture::new(upstream))
}

fn one_core(fixture: Fixture) -> Fixture {
    fixture.policy("items.yaml", OPEN).settings("threads: 1")
}

fn get(gateway: &Gateway, target: &str) -> Message {
    gateway.ask(&format!("GET {target}"), None)
}

/// Asserts that the gateway itself answered so, and that the client may go on.
fn assert_fault(answer: &Message, status: u16, reason: &str) {
    assert_eq!(answer.status(), status, "{answer:?}");
    assert_eq!(answer.reason(), reason, "{answer:?}");
    assert!(answer.header("proxy-status").is_some(), "{answer:?}");
    assert_eq!(answer.header("retry-after").is_some(), status == 503);
}

#[test]
fn every_bad_day_has_its_own_answer() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let mut client = Client::connect(gateway.address());
    let mut ask = |target: &str| {
        client
            .send(request(&format!("GET {target}"), &[], b""))
            .response()
    };

    upstream.once(Behaviour::Stall(Vec::new()));
    assert_fault(&ask("/slow/x"), 504, "upstream_timeout");
    upstream.once(Behaviour::Stall(b"HTTP/1.1 200 OK\r\nX-".to_vec()));
    assert_fault(&ask("/slow/x"), 504, "upstream_timeout");
    for half in ["", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 "] {
        upstream.once(Behaviour::Cut(half.as_bytes().to_vec()));
        assert_fault(&ask("/x"), 502, "upstream_reset");
    }
    for garbage in MALFORMED {
        upstream.once(Behaviour::Cut(garbage.as_bytes().to_vec()));
        assert_fault(&ask("/x"), 502, "upstream_malformed");
    }
    upstream.wait_for_open(0);
    upstream.refuse();
    assert_fault(&ask("/x"), 502, "upstream_unreachable");
    upstream.accept();
    assert_eq!(ask("/x").status(), 200);
}

/// B31: heads that no two readers agree on, and what is none.
const MALFORMED: [&str; 7] = [
    "SSH-2.0-OpenSSH_9.7\r\n\r\n",
    "HTTP/3.0 200 OK\r\n\r\n",
    "HTTP/1.1 20x OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "HTTP/1.1 200 OK\r\nX-Name : a\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
];

#[test]
fn an_upstream_that_has_all_it_may_have_is_overloaded() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).upstream("connections: 1").start();
    upstream.behave(Behaviour::Stall(Vec::new()));
    let mut first = Client::connect(gateway.address());
    first.send(request("GET /x", &[], b""));
    upstream.wait_for_heads(1);
    assert_fault(&get(&gateway, "/y"), 503, "upstream_overloaded");
    assert_eq!(upstream.connections(), 1);
    // The place is free as soon as its request is over.
    drop(first);
    upstream.wait_for_open(0);
    upstream.behave(Behaviour::json("{}"));
    for _ in 0..3 {
        assert_eq!(get(&gateway, "/z").status(), 200);
    }
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_connection_the_upstream_has_left_is_not_noticed_by_the_client() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    assert_eq!(get(&gateway, "/x").status(), 200);
    upstream.close_idle();
    upstream.wait_for_open(0);
    assert_eq!(get(&gateway, "/x").status(), 200);
    assert_eq!(upstream.connections(), 2);
}

/// The upstream reads the request on a connection it has used before, and closes it unanswered.
#[test]
fn only_what_may_be_sent_twice_is_sent_twice() {
    let upstream = Upstream::start();
    upstream.behave(Behaviour::CloseReused);
    let gateway = fixture(&upstream).start();
    assert_eq!(get(&gateway, "/warm").status(), 200);
    for (line, body) in [("GET /x", ""), ("HEAD /x", "")] {
        upstream.forget();
        let before = upstream.connections();
        assert_eq!(
            gateway.send(&request(line, &[], body.as_bytes())).status(),
            200
        );
        assert_eq!(upstream.requests().len(), 2, "{line}");
        assert_eq!(upstream.connections(), before + 1, "{line}");
    }
    for (line, body) in [
        ("POST /x", "body"),
        ("POST /x", ""),
        ("PUT /x", "body"),
        ("GET /x", "body"),
    ] {
        upstream.forget();
        let answer = gateway.send(&request(line, &[], body.as_bytes()));
        assert_fault(&answer, 502, "upstream_reset");
        assert_eq!(upstream.requests().len(), 1, "{line}");
        assert_eq!(get(&gateway, "/warm").status(), 200);
    }
}

#[test]
fn nothing_is_sent_three_times() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    assert_eq!(get(&gateway, "/warm").status(), 200);
    upstream.behave(Behaviour::Cut(Vec::new()));
    upstream.forget();
    assert_fault(&get(&gateway, "/x"), 502, "upstream_reset");
    assert_eq!((upstream.requests().len(), upstream.connections()), (2, 2));
    // On a fresh connection there is no reason to believe that another one would do better.
    upstream.forget();
    assert_fault(&get(&gateway, "/x"), 502, "upstream_reset");
    assert_eq!((upstream.requests().len(), upstream.connections()), (1, 3));
}

/// After a byte of the answer nothing is sent again, whatever the method.
#[test]
fn a_byte_of_an_answer_is_the_end_of_trying() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    for half in ["H", "HTTP/1.1 200 OK\r\n"] {
        assert_eq!(get(&gateway, "/warm").status(), 200);
        upstream.forget();
        upstream.once(Behaviour::Cut(half.as_bytes().to_vec()));
        assert_fault(&get(&gateway, "/x"), 502, "upstream_reset");
        assert_eq!(upstream.requests().len(), 1, "{half:?}");
    }
}

#[test]
fn half_a_body_is_a_broken_transfer_and_its_connection_is_not_used_again() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    for half in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    ] {
        upstream.once(Behaviour::Cut(half.as_bytes().to_vec()));
        let mut client = Client::connect(gateway.address());
        let got = client.send(request("GET /x", &[], b"")).rest();
        let text = String::from_utf8_lossy(&got);
        assert!(text.starts_with("HTTP/1.1 200"), "{half:?}: {text}");
        assert_eq!(
            Message::parse(&got, Kind::Response, true),
            None,
            "{half:?}: {text}"
        );
        assert_eq!(get(&gateway, "/y").status(), 200);
    }
}

/// An answer the client did not wait for must not be met by the next request.
#[test]
fn the_connection_of_an_answer_nobody_waits_for_is_not_used_again() {
    let upstream = Scripted::start();
    let gateway = one_core(Fixture::before(&upstream.url())).start();
    for (begun, rest) in [
        ("", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "evil"),
    ] {
        let mut client = Client::connect(gateway.address());
        client.send(request("GET /x", &[], b""));
        let mut left = upstream.accept();
        left.head();
        left.send(begun);
        if !begun.is_empty() {
            client.head();
        }
        drop(client);
        assert!(left.ends_within(PATIENCE));
        left.send(rest);
        let mut client = Client::connect(gateway.address());
        client.send(request("GET /y", &[], b""));
        let mut fresh = upstream.accept();
        fresh.head();
        fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood");
        assert_eq!(client.response().text(), "good");
    }
}

/// A late answer to a request that timed out belongs to nobody.
#[test]
fn a_late_answer_answers_nobody() {
    let upstream = Scripted::start();
    let gateway = one_core(Fixture::before(&upstream.url())).start();
    let mut client = Client::connect(gateway.address());
    client.send(request("GET /slow/x", &[], b""));
    let mut late = upstream.accept();
    late.head();
    assert_fault(&client.response(), 504, "upstream_timeout");
    late.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    assert!(late.ends_within(PATIENCE));
    client.send(request("GET /y", &[], b""));
    let mut fresh = upstream.accept();
    fresh.head();
    fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert_eq!(client.response().text(), "good");
}

#[test]
fn an_upstream_that_says_close_is_connected_to_anew() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    upstream.behave(Behaviour::Cut(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_vec(),
    ));
    let mut client = Client::connect(gateway.address());
    for count in 1..=3 {
        let answer = client.send(request("GET /x", &[], b"")).response();
        assert_eq!((answer.status(), answer.text()), (200, "ok"));
        assert_eq!(answer.header("connection"), None);
        assert_eq!(upstream.connections(), count);
    }
}

#[test]
fn an_upstream_on_a_socket_file_is_an_upstream() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("app.sock");
    let gateway = one_core(Fixture::before(&format!("'unix:{}'", path.display()))).start();
    assert_fault(&get(&gateway, "/x"), 502, "upstream_unreachable");
    let listener = UnixListener::bind(&path).expect("a new socket");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the gateway connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        let mut pending = Vec::new();
        let request = loop {
            if let Some(request) = Message::parse(&pending, Kind::Request, false) {
                break request;
            }
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).expect("a request comes");
            assert!(count > 0, "the gateway hung up");
            pending.extend(&buffer[..count]);
        };
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .expect("the gateway reads");
        request
    });
    let answer = get(&gateway, "/x?y");
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    let seen = server.join().expect("the server is content");
    assert_eq!(
        (seen.target(), seen.all("host")),
        ("/x?y", vec!["localhost"])
    );
}

/// Connecting has a limit of its own: a backlog that is full takes no one in and refuses no one.
#[test]
fn an_upstream_that_takes_no_connection_is_given_up() {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a free port");
    socket.listen(0).expect("it can listen");
    let address = socket
        .local_addr()
        .ok()
        .and_then(|a| a.as_socket())
        .expect("its address");
    let fillers: Vec<_> = (0..4)
        .map_while(|_| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok()
        })
        .collect();
    assert!(fillers.len() < 4, "the backlog has no end");
    let gateway = one_core(Fixture::before(&format!("http://{address}")))
        .upstream("connect_timeout: 100ms")
        .start();
    assert_fault(&get(&gateway, "/x"), 504, "upstream_timeout");
}
