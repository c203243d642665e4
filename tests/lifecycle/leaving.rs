//! Going away: readiness first, then the door, then what is in flight, and only then the process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::process::Signal;

use super::until;
use crate::harness::{Client, Fixture, Kind, Message, PATIENCE, Scripted, Upstream, request};

#[test]
fn who_goes_says_so_first_and_finishes_what_he_began() {
    let upstream = Scripted::start();
    let mut gateway = Fixture::before(&upstream.url())
        .settings("drain: { delay: 1500ms }")
        .start();
    let address = gateway.address();
    let get = request("GET /public/x", &[], b"");
    let mut slow = Client::connect(address);
    slow.send(&get);
    let mut behind = upstream.accept();
    behind.head();
    let mut idle = Client::connect(address);

    assert_eq!(gateway.ops("/readyz").status(), 200);
    gateway.signal(Signal::TERM);
    until("readiness to fall", || {
        gateway.ops("/readyz").status() == 503
    });
    assert_eq!(gateway.ops("/livez").status(), 200);

    // Balancers may not have noticed yet: whoever still comes is served, and told to go.
    let mut late = Client::connect(address);
    let refused = late.send(request("GET /v1/items/7", &[], b"")).response();
    assert_eq!(refused.reason(), "credential_missing");
    assert_eq!(refused.all("connection"), ["close"]);
    assert!(late.ends_within(PATIENCE));

    // Who has rested so far is let go with the door, and who waits for an answer gets it.
    assert!(idle.ends_within(PATIENCE));
    until("the door to close", || TcpStream::connect(address).is_err());
    behind.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndo");
    assert!(slow.head().contains("connection: close"));
    behind.send("ne");
    assert_eq!(slow.rest(), b"done");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(gateway.printed().contains("stopped"));
}

/// Who was let in before the door closed has not come in vain.
#[test]
fn who_was_let_in_last_is_served() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream)
        .settings("drain: { delay: 0s }")
        .start();
    let address = gateway.address();
    let mut served = Client::connect(address);
    let get = request("GET /public/x", &[], b"");
    assert_eq!(served.send(&get).response().status(), 200);
    let mut last = Client::connect(address);
    gateway.signal(Signal::TERM);
    until("the door to close", || TcpStream::connect(address).is_err());
    let answer = last.send(&get).response();
    assert_eq!(
        (answer.status(), answer.header("connection")),
        (200, Some("close"))
    );
    assert!(served.ends_within(PATIENCE) && last.ends_within(PATIENCE));
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_drain_has_an_end() {
    let upstream = Scripted::start();
    let mut gateway = Fixture::before(&upstream.url())
        .settings("drain: { delay: 0s, timeout: 200ms }")
        .start();
    let mut slow = Client::connect(gateway.address());
    slow.send(request("GET /public/x", &[], b""));
    let mut behind = upstream.accept();
    behind.head();
    gateway.signal(Signal::TERM);
    assert!(slow.rest().is_empty());
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(gateway.printed().contains("the drain timed out"));
    assert!(behind.ends_within(PATIENCE));
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let upstream = Scripted::start();
    let mut gateway = Fixture::before(&upstream.url())
        .settings("drain: { delay: 1h, timeout: 1h }")
        .start();
    let mut slow = Client::connect(gateway.address());
    slow.send(request("GET /public/x", &[], b""));
    let mut behind = upstream.accept();
    behind.head();
    gateway.signal(Signal::TERM);
    gateway.wait_for_log("draining");
    gateway.signal(Signal::TERM);
    gateway.wait();
    assert!(slow.rest().is_empty());
}

#[test]
fn the_command_drains_as_the_signal_does() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream)
        .settings("drain: { delay: 0s }")
        .start();
    gateway.json(&["drain"]);
    assert_eq!(gateway.wait().code(), Some(0));
}

/// Requests that keep coming while the gateway goes: each that was taken is answered.
#[test]
fn no_request_that_was_taken_fails_under_load() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream)
        .settings("drain: { delay: 300ms }")
        .start();
    let address = gateway.address();
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| call_until_closed(address, &answered)))
            .collect();
        until("requests to flow", || answered.load(Ordering::Relaxed) > 50);
        gateway.signal(Signal::TERM);
        for caller in callers {
            caller.join().expect("no caller was let down");
        }
    });
    assert_eq!(gateway.wait().code(), Some(0));
}

/// Calls on connections that are kept as long as the gateway keeps them, until nobody listens.
fn call_until_closed(address: SocketAddr, answered: &AtomicUsize) {
    while let Ok(mut socket) = TcpStream::connect(address) {
        socket.set_read_timeout(Some(PATIENCE)).expect("an option");
        while let Some(answer) = call(&mut socket) {
            assert_eq!(answer.status(), 200, "{answer:?}");
            answered.fetch_add(1, Ordering::Relaxed);
            if answer.header("connection") == Some("close") {
                break;
            }
        }
    }
}

/// One answer, or nothing where the gateway never read the request: it has closed its door since,
/// and the kernel had let the caller in by itself.
fn call(socket: &mut TcpStream) -> Option<Message> {
    let get = request("GET /public/x", &[], b"");
    let mut pending = Vec::new();
    let mut ended = socket.write_all(&get).is_err();
    while !ended {
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer) {
            Ok(0) => panic!("{pending:?} came, and then a clean end"),
            Err(_) => ended = true,
            Ok(count) => pending.extend(&buffer[..count]),
        }
        if let Some(answer) = Message::parse(&pending, Kind::Response, ended) {
            return Some(answer);
        }
    }
    assert!(pending.is_empty(), "half an answer: {pending:?}");
    let address = socket.peer_addr().ok()?;
    let since = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(
            since.elapsed() < PATIENCE,
            "let down, and the door was open"
        );
    }
    None
}
