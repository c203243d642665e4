//! Upstreams that hang or break off, and what becomes of their neighbours.
//!
//! F08, F12 and F13 are `upstream_faults`; here is what takes more than one request.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Beside, before, judge};
use crate::harness::load::{Caller, run};
use crate::harness::{Api, Client, Fixture, Kind, Message, Scripted, request};

/// F09: a reset in the middle of a body must not look like its end, not even where the end is told
/// by the connection alone.
#[test]
fn f09_a_reset_in_the_middle_of_a_body_is_not_its_end() {
    let upstream = Scripted::start();
    let gateway = Fixture::before(&upstream.url()).start();
    for framing in [
        "Content-Length: 9",
        "Transfer-Encoding: chunked",
        "X: until the end",
    ] {
        let part = if framing.starts_with('T') {
            "3\r\nabc\r\n"
        } else {
            "abc"
        };
        let mut client = Client::connect(gateway.address());
        client.send(request("GET /public/x", &[], b""));
        let mut connection = upstream.accept();
        connection.head();
        connection.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{part}"));
        let mut got = client.head().into_bytes();
        got.extend(client.bytes(3));
        let socket = socket2::SockRef::from(connection.socket());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(connection);
        got.extend(client.rest());
        let whole = Message::parse(&got, Kind::Response, true);
        assert_eq!(whole, None, "{framing}");
    }
}

/// F14: an upstream that hangs keeps its own clients waiting, refuses more of them at once, and
/// nobody else notices.
#[test]
fn f14_an_upstream_that_hangs_slows_no_other() {
    const ROUTES: &str = "routes:\n  GET /public/{rest...}: public\n  \
                          GET /stuck/{rest...}: { needs: public, upstream: stuck }\n";
    const PLACES: usize = 50;
    let (api, stuck) = (Api::start(), Api::named("stuck"));
    let gateway = before(&api)
        .policy("items.yaml", &format!("upstream: items\n{ROUTES}"))
        .upstream_at(
            "stuck",
            &format!("{}, connections: {PLACES}, queue: 0", stuck.url()),
        )
        .start();
    let address = gateway.address();
    let mut waiting = Vec::new();
    run(async {
        for _ in 0..PLACES {
            let mut caller = Caller::connect(address).await.unwrap();
            caller
                .send(&request("GET /stuck/hang", &[], b""))
                .await
                .unwrap();
            waiting.push(caller);
        }
        tokio::task::block_in_place(|| stuck.wait_for_open(PLACES));
    });
    judge("F14", 0.99, || {
        run(Beside::measure(address, 3, move || refused(address)))
    });
    assert_eq!(stuck.counts().started.load(Ordering::SeqCst), PLACES);
}

/// Asks for what hangs already, from four sides; every one is told so at once.
async fn refused(address: SocketAddr) {
    let mut crowd = JoinSet::new();
    for _ in 0..4 {
        crowd.spawn(async move {
            let mut caller = Caller::connect(address).await.unwrap();
            for _ in 0..50 {
                let began = Instant::now();
                let ask = request("GET /stuck/hang", &[], b"");
                let answer = caller.ask(&ask).await.unwrap();
                assert_eq!(answer.status(), 503, "{answer:?}");
                assert!(began.elapsed() < Duration::from_secs(1), "not at once");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    while let Some(caller) = crowd.join_next().await {
        caller.expect("it was refused at once");
    }
}
