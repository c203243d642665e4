//! Bodies stream: no byte is added or lost, a slow reader slows the writer, and who hangs up is
//! not waited for.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::fixture;
use crate::harness::{Behaviour, Client, Fixture, Gateway, PATIENCE, Scripted, Upstream, request};

#[test]
fn bodies_of_every_framing_arrive_as_they_were_sent() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let mut client = Client::connect(gateway.address());
    let chunked = b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n";
    let cases: [(&str, &str, &[u8]); 6] = [
        ("POST", "Content-Length: 5\r\n", b"abcde"),
        ("POST", "Transfer-Encoding: chunked\r\n", chunked),
        ("PUT", "Content-Length: 5\r\n", b"abcde"),
        ("GET", "Content-Length: 5\r\n", b"abcde"),
        ("GET", "Transfer-Encoding: chunked\r\n", chunked),
        ("POST", "Content-Length: 0\r\n", b""),
    ];
    for (method, framing, body) in cases {
        upstream.forget();
        let head = format!("{method} /public/x HTTP/1.1\r\nHost: gate.test\r\n{framing}\r\n");
        let answer = client.send([head.as_bytes(), body].concat()).response();
        assert_eq!(answer.status(), 200, "{method} {framing}: {answer:?}");
        let seen = upstream.wait_for(1).remove(0);
        let sent = if body.is_empty() { "" } else { "abcde" };
        assert_eq!(seen.text(), sent, "{method} {framing}: {seen:?}");
        let (name, _) = framing.split_once(':').unwrap();
        assert_eq!(seen.all(name).len(), 1, "{method} {framing}: {seen:?}");
        let framings = seen.all("content-length").len() + seen.all("transfer-encoding").len();
        assert_eq!(framings, 1, "{method} {framing}: {seen:?}");
    }
    // Without a body there is no framing either.
    upstream.forget();
    assert_eq!(
        client
            .send(request("GET /public/x", &[], b""))
            .response()
            .status(),
        200
    );
    let seen = upstream.wait_for(1).remove(0);
    assert_eq!(
        seen.header("content-length")
            .or(seen.header("transfer-encoding")),
        None
    );
}

#[test]
fn answers_of_every_framing_come_back_as_they_were_sent() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                   3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n";
    let until_the_end = b"HTTP/1.1 200 OK\r\n\r\nabcde".to_vec();
    for behaviour in [
        Behaviour::answer(whole),
        Behaviour::answer(chunked),
        Behaviour::Cut(until_the_end),
    ] {
        upstream.behave(behaviour);
        let mut client = Client::connect(gateway.address());
        for _ in 0..2 {
            let answer = client.send(request("GET /public/x", &[], b"")).response();
            assert_eq!((answer.status(), answer.text()), (200, "abcde"));
            assert_eq!(answer.trailers, []);
        }
    }
    // Who speaks HTTP/1.0 gets no chunks.
    upstream.behave(Behaviour::answer(chunked));
    let mut client = Client::connect(gateway.address());
    let sent = client
        .send("GET /public/x HTTP/1.0\r\nHost: gate.test\r\n\r\n")
        .rest();
    let text = String::from_utf8_lossy(&sent);
    assert!(
        text.starts_with("HTTP/1.0 200") && text.ends_with("\r\n\r\nabcde"),
        "{text}"
    );
}

#[test]
fn b42_request_trailers_go_no_further() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let declared = "Trailer: X-Portcullis-Account, X-Auth-User, Authorization\r\n";
    for declared in [declared, ""] {
        upstream.forget();
        let message = format!(
            "POST /public/x HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n{declared}\r\n\
             5\r\nhello\r\n0\r\nX-Portcullis-Account: root\r\nX-Auth-User: root\r\n\
             Authorization: Bearer x\r\nContent-Length: 1\r\nHost: other\r\n\r\n"
        );
        assert_eq!(gateway.send(message.as_bytes()).status(), 200);
        let seen = upstream.wait_for(1).remove(0);
        assert_eq!((seen.text(), &seen.trailers[..]), ("hello", &[][..]));
        assert!(!format!("{seen:?}").contains("root"), "{seen:?}");
    }
}

/// Parts go through as they come; neither side waits for the whole.
#[test]
fn parts_go_through_one_by_one_both_ways() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    let mut client = Client::connect(gateway.address());
    client.send("POST /public/x HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("1\r\na\r\n");
    let mut connection = upstream.accept();
    connection.head();
    assert_eq!(connection.bytes(6), b"1\r\na\r\n");
    client.send("1\r\nb\r\n");
    assert_eq!(connection.bytes(6), b"1\r\nb\r\n");
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    assert_eq!(client.bytes(6), b"1\r\nc\r\n");
    // The upload goes on while the answer has begun.
    client.send("1\r\nd\r\n0\r\n\r\n");
    assert_eq!(connection.bytes(11), b"1\r\nd\r\n0\r\n\r\n");
    connection.send("1\r\ne\r\n0\r\n\r\n");
    assert_eq!(client.bytes(11), b"1\r\ne\r\n0\r\n\r\n");
}

/// More than the kernel's buffers on the way can hold: twice four for each socket's sending side,
/// twice six for each receiving one, in MiB, and a reserve.
const MUCH: usize = 64 << 20;
/// How much more memory the gateway may take meanwhile; its own buffers are far smaller.
const LITTLE: f64 = 16.0 * 1024.0 * 1024.0;
/// Who could not write for so long is being held back.
const STALLED: Duration = Duration::from_millis(500);

#[test]
fn a_slow_reader_slows_the_upstream_and_costs_no_memory() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    let before = resident(&gateway);
    let mut client = Client::connect(gateway.address());
    client.send(request("GET /public/x", &[], b""));
    let mut connection = upstream.accept();
    connection.head();
    connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n"));
    let written = write_until_stalled(connection.socket(), MUCH);
    assert!(written < MUCH, "all of it was taken from the upstream");
    assert!(resident(&gateway) < before + LITTLE);
    client.head();
    let rest = std::thread::spawn(move || write(connection.socket(), MUCH - written));
    assert_eq!(client.bytes(MUCH).len(), MUCH);
    rest.join().unwrap();
    assert!(resident(&gateway) < before + LITTLE);
}

#[test]
fn a_slow_upstream_slows_the_client_and_costs_no_memory() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    let before = resident(&gateway);
    let mut client = Client::connect(gateway.address());
    client.send(format!(
        "POST /public/x HTTP/1.1\r\nHost: gate.test\r\nContent-Length: {MUCH}\r\n\r\n"
    ));
    let written = write_until_stalled(client.socket(), MUCH);
    assert!(written < MUCH, "all of it was taken from the client");
    assert!(resident(&gateway) < before + LITTLE);
    let mut connection = upstream.accept();
    connection.head();
    let socket = client.socket().try_clone().unwrap();
    let rest = std::thread::spawn(move || write(&socket, MUCH - written));
    assert_eq!(connection.bytes(MUCH).len(), MUCH);
    rest.join().unwrap();
    connection.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.response().status(), 204);
}

#[test]
fn when_the_client_is_gone_the_upstream_is_let_go() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc".to_vec();
    for (begun, sent) in [
        (Vec::new(), request("GET /public/x", &[], b"")),
        (head.clone(), request("GET /public/x", &[], b"")),
        (Vec::new(), request("POST /public/x", &[], b"body")),
        (head, request("POST /public/x", &[], b"body")),
    ] {
        upstream.forget();
        upstream.behave(Behaviour::Stall(begun.clone()));
        let mut client = Client::connect(gateway.address());
        client.send(sent);
        upstream.wait_for(1);
        if !begun.is_empty() {
            client.head();
        }
        upstream.wait_for_open(1);
        let left = Instant::now();
        drop(client);
        upstream.wait_for_open(0);
        // At once; a second is what a busy machine is given.
        assert!(
            left.elapsed() < Duration::from_secs(1),
            "{:?}",
            left.elapsed()
        );
    }
}

/// B30: what the client broke off, the upstream must not take for whole.
#[test]
fn b11_b30_a_body_that_breaks_off_is_broken_off_for_the_upstream_too() {
    for (framing, part) in [
        ("Content-Length: 10", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\nzz\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhelloo\r\n"),
    ] {
        let upstream = Scripted::start();
        let gateway = before(&upstream);
        let mut client = Client::connect(gateway.address());
        client.send(format!(
            "POST /public/x HTTP/1.1\r\nHost: gate.test\r\n{framing}\r\n\r\n{part}"
        ));
        let mut connection = upstream.accept();
        connection.head();
        client.half_close();
        let sent = connection.rest();
        let sent = String::from_utf8_lossy(&sent);
        assert!(sent.contains("hello"), "{part:?}: {sent:?}");
        assert!(!sent.contains("0\r\n\r\n"), "{part:?}: {sent:?}");
        assert!(!upstream.is_called_within(Duration::from_millis(50)));
    }
}

/// The limit is for waiting, and an upload that moves makes nobody wait.
#[test]
fn a_long_upload_is_not_a_slow_upstream() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).upstream("timeout: 1s").start();
    let mut client = Client::connect(gateway.address());
    client.send("POST /public/x HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 4\r\n\r\n");
    for part in ["a", "b", "c", "d"] {
        // Nothing happens that could be waited for: time itself is what is tested.
        std::thread::sleep(Duration::from_millis(400));
        client.send(part);
    }
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.wait_for(1)[0].text(), "abcd");
}

/// B30: a body that stops coming is the client's fault, and its request is not completed.
#[test]
fn b30_a_body_that_stops_coming_is_not_waited_for() {
    for idle in ["100ms", "300ms"] {
        let upstream = Scripted::start();
        let more = "upstream: items\nroutes:\n  POST /public/{rest...}: public\n";
        let gateway = Fixture::before(&upstream.url())
            .policy("more.yaml", more)
            .listener(&format!("limits: {{ body_idle: {idle} }}"))
            .upstream("timeout: 200ms")
            .start();
        let mut client = Client::connect(gateway.address());
        client.send("POST /public/x HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 4\r\n\r\nab");
        let mut connection = upstream.accept();
        connection.head();
        let answer = client.response();
        assert_eq!(
            (answer.status(), answer.reason().as_str()),
            (408, "request_timeout")
        );
        assert_eq!(connection.rest(), b"ab");
        assert!(client.ends_within(PATIENCE));
    }
}

/// B29: an answer that comes early is passed on, and its connection is not used again.
#[test]
fn b29_an_upstream_may_answer_before_it_has_read_everything() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    let mut client = Client::connect(gateway.address());
    client.send(format!(
        "POST /public/x HTTP/1.1\r\nHost: gate.test\r\nContent-Length: {MUCH}\r\n\r\n"
    ));
    let mut connection = upstream.accept();
    connection.head();
    connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (413, "no"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(connection.rest(), b"");
    assert!(client.ends_within(PATIENCE));
}

fn before(upstream: &Scripted) -> Gateway {
    let more = "upstream: items\nroutes:\n  POST /public/{rest...}: public\n";
    Fixture::before(&upstream.url())
        .policy("more.yaml", more)
        .start()
}

/// Memory of the gateway, in bytes.
fn resident(gateway: &Gateway) -> f64 {
    let scrape = gateway.ops("/metrics");
    let value = scrape
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    let value = value.expect("it is measured");
    value.parse().expect("a number")
}

fn write_until_stalled(mut socket: &TcpStream, most: usize) -> usize {
    socket.set_write_timeout(Some(STALLED)).unwrap();
    let mut written = 0;
    while written < most {
        let piece = [b'x'; 64 * 1024];
        match socket.write(&piece[..piece.len().min(most - written)]) {
            Ok(count) => written += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break;
            }
            Err(error) => panic!("after {written} bytes: {error}"),
        }
    }
    socket.set_write_timeout(None).unwrap();
    written
}

fn write(mut socket: &TcpStream, count: usize) {
    let piece = [b'x'; 64 * 1024];
    let mut left = count;
    while left > 0 {
        let some = piece.len().min(left);
        socket.write_all(&piece[..some]).unwrap();
        left -= some;
    }
}
