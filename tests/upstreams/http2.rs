//! HTTP/2 to the upstream: what it is told, what it may refuse, and that one request that goes wrong
//! is one request.

use std::time::Duration;

use super::peer::{
    Asked, CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, NO_ERROR, Peer, REFUSED_STREAM,
    RST_STREAM, SETTINGS, STREAMS, WINDOW, WINDOW_UPDATE,
};
use super::{assert_fault, before};
use crate::harness::{Client, Gateway, Kind, Message, Scripted, request};

/// Long enough for what must not happen to happen.
const A_WHILE: Duration = Duration::from_millis(100);

fn start(upstream: &Scripted) -> Gateway {
    start_with(upstream, "queue_timeout: 300ms")
}

fn start_with(upstream: &Scripted, more: &str) -> Gateway {
    before(&upstream.url())
        .upstream(&format!("http2: true, {more}"))
        .start()
}

fn ask(gateway: &Gateway, line: &str, body: &[u8]) -> Client {
    let mut client = Client::connect(gateway.address());
    client.send(request(line, &[], body));
    client
}

fn greeted(upstream: &Scripted) -> Peer {
    Peer::greet(upstream.accept(), &[])
}

#[test]
fn requests_are_streams_of_one_connection_and_say_where_they_are_going() {
    let upstream = Scripted::start();
    let gateway = start(&upstream);
    let mut first = Client::connect(gateway.address());
    let headers = [("TE", "trailers"), ("Connection", "TE"), ("X-One", "1")];
    first.send(request("GET /a?b", &headers, b""));
    let mut peer = greeted(&upstream);
    let asked = peer.asked();
    let authority = upstream.url().replace("http://", "");
    for (name, value) in [
        (":method", Some("GET")),
        (":scheme", Some("http")),
        (":authority", Some(authority.as_str())),
        (":path", Some("/a?b")),
        ("te", Some("trailers")),
        ("x-one", Some("1")),
        ("host", None),
        ("connection", None),
        ("transfer-encoding", None),
    ] {
        assert_eq!(asked.field(name), value, "{name}");
    }
    assert!(asked.ended);
    let mut second = Client::connect(gateway.address());
    second.send("POST /c HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    second.send("3\r\nabc\r\n0\r\n\r\n");
    let other = peer.asked();
    assert_eq!(
        (other.field("transfer-encoding"), other.ended),
        (None, false)
    );
    assert_eq!(body(&mut peer, &other), b"abc");
    peer.answer(other.stream, "two");
    assert_eq!(second.response().text(), "two");
    peer.answer(asked.stream, "one");
    assert_eq!(first.response().text(), "one");
    first.send(request("GET /d", &[], b""));
    let third = peer.asked();
    peer.answer(third.stream, "three");
    assert_eq!(first.response().text(), "three");
    assert!(!upstream.is_called_within(Duration::ZERO));
}

fn body(peer: &mut Peer, asked: &Asked) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let frame = peer.frame().expect("the body goes on");
        assert_eq!((frame.kind, frame.stream), (DATA, asked.stream));
        body.extend(&frame.payload);
        if frame.flags & END_STREAM != 0 {
            return body;
        }
    }
}

#[test]
fn the_client_may_be_asked_for_in_its_own_name() {
    let upstream = Scripted::start();
    let gateway = start_with(&upstream, "host: client");
    let mut client = ask(&gateway, "GET /a", b"");
    let mut peer = greeted(&upstream);
    let asked = peer.asked();
    assert_eq!(asked.field(":authority"), Some("gate.test"));
    peer.answer(asked.stream, "");
    assert_eq!(client.response().status(), 200);
}

/// B69: what the upstream says it did not look at is sent again, once, and nothing else.
#[test]
fn b69_refused_requests_are_sent_again_and_no_others() {
    let upstream = Scripted::start();
    let gateway = start(&upstream);
    let mut warm = ask(&gateway, "GET /warm", b"");
    let mut peer = greeted(&upstream);
    let asked = peer.asked();
    peer.answer(asked.stream, "");
    assert_eq!(warm.response().status(), 200);

    for line in ["GET /x", "POST /x"] {
        let mut client = ask(&gateway, line, b"");
        let refused = peer.asked();
        peer.reset(refused.stream, REFUSED_STREAM);
        let again = peer.asked();
        assert_eq!(again.field(":path"), refused.field(":path"));
        peer.answer(again.stream, "after all");
        assert_eq!(client.response().text(), "after all", "{line}");
    }
    // Not three times, and not what was sent with a body.
    let mut client = ask(&gateway, "GET /y", b"");
    for _ in 0..2 {
        let refused = peer.asked();
        peer.reset(refused.stream, REFUSED_STREAM);
    }
    assert_fault(&client.response(), 502, "upstream_reset");
    let mut client = ask(&gateway, "POST /y", b"body");
    let refused = peer.asked();
    assert_eq!(body(&mut peer, &refused), b"body");
    peer.reset(refused.stream, REFUSED_STREAM);
    assert_fault(&client.response(), 502, "upstream_reset");
    // Who resets in other words may have acted on it.
    for code in [CANCEL, NO_ERROR, 2] {
        let mut client = ask(&gateway, "GET /z", b"");
        let asked = peer.asked();
        peer.reset(asked.stream, code);
        assert_fault(&client.response(), 502, "upstream_reset");
    }
    assert!(peer.is_left_alone_for(A_WHILE));
}

#[test]
fn b69_after_a_goaway_what_was_left_out_goes_elsewhere_and_what_was_taken_does_not() {
    let upstream = Scripted::start();
    let gateway = start(&upstream);
    let mut taken = ask(&gateway, "GET /taken", b"");
    let mut peer = greeted(&upstream);
    let first = peer.asked();
    let mut left_out = ask(&gateway, "GET /left-out", b"");
    peer.asked();
    peer.go_away(first.stream, NO_ERROR);
    let mut fresh = greeted(&upstream);
    let again = fresh.asked();
    assert_eq!(again.field(":path"), Some("/left-out"));
    fresh.answer(again.stream, "elsewhere");
    assert_eq!(left_out.response().text(), "elsewhere");
    // What it was at goes on, and nothing new is asked of it.
    let mut new = ask(&gateway, "GET /new", b"");
    let asked = fresh.asked();
    fresh.answer(asked.stream, "new");
    assert_eq!(new.response().text(), "new");
    peer.answer(first.stream, "taken");
    assert_eq!(taken.response().text(), "taken");
    peer.ends();

    // What must not be done twice, and may have been done, is not done again.
    let mut taken = ask(&gateway, "POST /taken", b"");
    let asked = fresh.asked();
    fresh.go_away(asked.stream, NO_ERROR);
    drop(fresh);
    assert_fault(&taken.response(), 502, "upstream_reset");
    assert!(!upstream.is_called_within(A_WHILE));
}

#[test]
fn b69_no_more_streams_than_the_upstream_allows_none_included() {
    let upstream = Scripted::start();
    let gateway = start_with(&upstream, "queue_timeout: 5s");
    let mut first = ask(&gateway, "GET /1", b"");
    let mut peer = Peer::greet(upstream.accept(), &[(STREAMS, 0)]);
    // The upstream wants no requests now; that is no reason to connect to it again.
    assert!(!upstream.is_called_within(A_WHILE));
    peer.settings(&[(STREAMS, 1)]);
    let one = peer.asked();
    let mut second = ask(&gateway, "GET /2", b"");
    let mut other = Peer::greet(upstream.accept(), &[(STREAMS, 1)]);
    let two = other.asked();
    assert_eq!(two.field(":path"), Some("/2"));
    peer.answer(one.stream, "1");
    other.answer(two.stream, "2");
    assert_eq!(first.response().text(), "1");
    assert_eq!(second.response().text(), "2");
}

#[test]
fn b69_an_upstream_that_allows_no_stream_is_overloaded() {
    let upstream = Scripted::start();
    let gateway = start(&upstream);
    let mut client = ask(&gateway, "GET /1", b"");
    let _peer = Peer::greet(upstream.accept(), &[(STREAMS, 0)]);
    assert_fault(&client.response(), 503, "upstream_overloaded");
}

#[test]
fn who_finds_all_streams_taken_waits_for_one_and_keeps_his_turn() {
    let upstream = Scripted::start();
    let gateway = start_with(&upstream, "connections: 1, queue_timeout: 5s");
    let mut first = ask(&gateway, "GET /1", b"");
    let mut peer = Peer::greet(upstream.accept(), &[(STREAMS, 1)]);
    let mut asked = peer.asked();
    let mut others: Vec<_> = (2..5)
        .map(|number| {
            let client = ask(&gateway, &format!("GET /{number}"), b"");
            // One after the other, so that there is an order to keep.
            std::thread::sleep(Duration::from_millis(20));
            client
        })
        .collect();
    // Who leaves the line is not waited for.
    drop(others.remove(1));
    assert!(peer.is_left_alone_for(A_WHILE));
    peer.answer(asked.stream, "/1");
    assert_eq!(first.response().text(), "/1");
    for (client, path) in others.iter_mut().zip(["/2", "/4"]) {
        asked = peer.asked();
        assert_eq!(asked.field(":path"), Some(path));
        peer.answer(asked.stream, path);
        assert_eq!(client.response().text(), path);
    }
    assert!(!upstream.is_called_within(Duration::ZERO));
}

#[test]
fn a_request_that_is_given_up_is_reset_and_the_others_live_on() {
    let upstream = Scripted::start();
    let gateway = start(&upstream);
    let mut other = ask(&gateway, "GET /other", b"");
    let mut peer = greeted(&upstream);
    let living = peer.asked();

    // The client goes before the answer, within it, and within its own body.
    let gone = ask(&gateway, "GET /gone", b"");
    let asked = peer.asked();
    drop(gone);
    assert_reset(&mut peer, asked.stream);

    let mut gone = ask(&gateway, "GET /gone", b"");
    let asked = peer.asked();
    peer.send(HEADERS, END_HEADERS, asked.stream, &[0x88]);
    gone.head();
    drop(gone);
    assert_reset(&mut peer, asked.stream);

    let mut gone = Client::connect(gateway.address());
    gone.send("POST /gone HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 9\r\n\r\nabc");
    let asked = peer.asked();
    assert_eq!(peer.frame().expect("a part of the body").payload, b"abc");
    drop(gone);
    assert_reset(&mut peer, asked.stream);

    // The upstream is too slow.
    let mut late = ask(&gateway, "GET /slow/x", b"");
    let asked = peer.asked();
    assert_fault(&late.response(), 504, "upstream_timeout");
    assert_reset(&mut peer, asked.stream);

    peer.answer(living.stream, "alive");
    assert_eq!(other.response().text(), "alive");
    assert!(!upstream.is_called_within(Duration::ZERO));
}

fn assert_reset(peer: &mut Peer, stream: u32) {
    let frame = peer.frame().expect("the connection lives on");
    assert_eq!(
        (frame.kind, frame.stream),
        (RST_STREAM, stream),
        "{frame:?}"
    );
}

/// An answer that comes before the body has been sent ends the body too.
#[test]
fn an_upstream_that_answers_early_is_not_sent_the_rest() {
    let upstream = Scripted::start();
    let gateway = start(&upstream);
    let mut client = Client::connect(gateway.address());
    client.send("POST /x HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 9\r\n\r\nabc");
    let mut peer = greeted(&upstream);
    let asked = peer.asked();
    peer.frame().expect("a part of the body");
    peer.answer(asked.stream, "enough");
    assert_eq!(client.response().text(), "enough");
    assert_reset(&mut peer, asked.stream);
}

/// F09: a stream that is reset in the middle of an answer is not the end of the answer, whatever
/// the upstream calls it.
#[test]
fn f09_a_stream_that_is_reset_within_an_answer_is_a_broken_transfer() {
    let upstream = Scripted::start();
    let gateway = start(&upstream);
    let mut warm = ask(&gateway, "GET /warm", b"");
    let mut peer = greeted(&upstream);
    let asked = peer.asked();
    peer.answer(asked.stream, "");
    warm.response();
    for code in [NO_ERROR, CANCEL, 2] {
        let mut client = ask(&gateway, "GET /x", b"");
        let asked = peer.asked();
        peer.send(HEADERS, END_HEADERS, asked.stream, &[0x88]);
        peer.send(DATA, 0, asked.stream, b"half");
        client.head();
        peer.reset(asked.stream, code);
        let got = client.rest();
        let whole = [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            got.as_slice(),
        ]
        .concat();
        assert_eq!(Message::parse(&whole, Kind::Response, true), None, "{code}");
    }
}

/// The window of the connection is as large as those of all streams together, so that clients who
/// do not take their answers hold up nobody else.
#[test]
fn b68_streams_that_stand_still_leave_room_for_others() {
    let upstream = Scripted::start();
    let gateway = start(&upstream);
    let mut client = ask(&gateway, "GET /x", b"");
    let mut peer = greeted(&upstream);
    let (mut stream, mut connection) = (65_535, 65_535);
    let asked = loop {
        let frame = peer.any_frame().expect("the gateway greets");
        let number = |at: usize| {
            let bytes = frame.payload[at..at + 4].try_into().expect("four bytes");
            u32::from_be_bytes(bytes)
        };
        match frame.kind {
            SETTINGS => {
                for (at, pair) in frame.payload.chunks(6).enumerate() {
                    if u16::from_be_bytes([pair[0], pair[1]]) == WINDOW {
                        stream = number(at * 6 + 2);
                    }
                }
            }
            WINDOW_UPDATE if frame.stream == 0 => connection += number(0),
            HEADERS => break frame.stream,
            _ => {}
        }
    };
    assert_eq!((stream, connection), (64 * 1024, 100 * 64 * 1024));
    peer.answer(asked, "");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn an_upstream_that_does_not_speak_http2_is_not_sent_anything() {
    let upstream = Scripted::start();
    let gateway = start_with(&upstream, "connect_timeout: 2s");
    for words in ["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", ""] {
        let mut client = ask(&gateway, "POST /x", b"secret");
        let mut connection = upstream.accept();
        assert!(connection.head().starts_with("PRI * HTTP/2.0"));
        connection.send(words);
        if words.is_empty() {
            drop(connection);
        } else {
            let said = connection.rest();
            assert!(!said.windows(6).any(|six| six == b"secret"));
        }
        assert_fault(&client.response(), 502, "upstream_unreachable");
    }
    gateway.wait_for_log("an upstream's address fails");
}

#[test]
fn the_probe_of_the_ops_port_speaks_http2_as_well() {
    let upstream = Scripted::start();
    let gateway = start_with(&upstream, "probe: /up");
    std::thread::scope(|scope| {
        let answered = scope.spawn(|| gateway.ops("/probe/items"));
        let mut peer = greeted(&upstream);
        let asked = peer.asked();
        assert_eq!(asked.field(":path"), Some("/up"));
        assert_eq!(asked.field("user-agent"), Some("portcullis-probe"));
        peer.answer(asked.stream, "");
        let answer = answered.join().expect("an answer");
        assert_eq!((answer.status(), answer.text()), (200, "ok\n"));
    });
}
