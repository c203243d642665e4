//! Clients that keep us waiting: with a head, with a body, with taking what they asked for; and
//! those that do not wait for it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Beside, before, judge, limited};
use crate::harness::http2::{Http2, message};
use crate::harness::load::{Caller, all, run};
use crate::harness::websocket::WebSocket;
use crate::harness::{Api, Gateway, PATIENCE, allow_descriptors, long, request};

/// Opens `count` connections that send a byte every `pause` and never end a head; asserts that each
/// is told off and let go when `limit` is over, give or take `slack`.
async fn heads(address: SocketAddr, count: usize, pause: Duration, limit: Duration) {
    let slack = Duration::from_secs(if long::is_strict() { 1 } else { 4 });
    let client = move || async move {
        let mut client = Caller::connect(address).await.expect("we listen");
        let _ = client.send(b"GET /public/x HTTP/1.1\r\nX: ").await;
        let began = Instant::now();
        loop {
            let _ = client.send(b"a").await;
            if let Ok(answer) = timeout(pause, client.answer()).await {
                return (began.elapsed(), answer.map(|answer| answer.status()));
            }
            assert!(began.elapsed() < limit + PATIENCE, "nobody hung up");
        }
    };
    for (took, answer) in all((0..count).map(|_| client())).await {
        // Where bytes of ours were under way the answer may have been lost to a reset.
        assert!(answer.is_ok_and(|status| status == 408) || count > 1);
        let early = limit - limit / 10;
        assert!((early..limit + slack).contains(&took), "after {took:?}");
    }
}

/// F01. Two thousand in the long run, with the limit everybody has.
pub(super) fn slow_heads(
    gateway: &Gateway,
    count: usize,
    limit: Duration,
    pause: Duration,
) -> String {
    let address = gateway.address();
    judge("F01", 0.99, || {
        run(Beside::measure(address, 3, move || {
            heads(address, count, pause, limit)
        }))
    })
}

#[test]
fn f01_heads_that_never_end_are_let_go_and_nobody_else_waits() {
    let api = Api::start();
    let gateway = limited(&api, "header_timeout: 1s").start();
    run(heads(
        gateway.address(),
        1,
        Duration::from_millis(100),
        Duration::from_secs(1),
    ));
    slow_heads(
        &gateway,
        200,
        Duration::from_secs(1),
        Duration::from_millis(200),
    );
}

/// F02: silence inside a body ends it, for the upstream too, however many bytes came before.
#[test]
fn f02_bodies_that_stop_are_let_go_on_both_sides() {
    let api = Api::start();
    let gateway = limited(&api, "body_idle: 500ms").start();
    run(async {
        let mut clients = JoinSet::new();
        for parts in 0..20 {
            let address = gateway.address();
            clients.spawn(async move {
                let mut client = Caller::connect(address).await.unwrap();
                let head =
                    "POST /public/upload HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 99\r\n\r\n";
                client.send(head.as_bytes()).await.unwrap();
                for _ in 0..parts {
                    sleep(Duration::from_millis(50)).await;
                    client.send(b"a").await.unwrap();
                }
                let answer = client.answer().await.unwrap();
                assert_eq!(
                    (answer.status(), answer.reason().as_str()),
                    (408, "request_timeout")
                );
                assert_eq!(client.rest().await, b"");
            });
        }
        while let Some(client) = clients.join_next().await {
            client.expect("it was let go");
        }
    });
    api.wait_for_open(0);
    assert_eq!(api.counts().finished.load(Ordering::SeqCst), 0);
}

/// Opens `count` connections that ask for an answer of 100 MiB and take a KiB a second of it, for
/// `span`; says how much memory each cost the gateway, in bytes.
pub(super) fn slow_readers(gateway: &Gateway, count: usize, span: Duration) -> u64 {
    const ANSWER: usize = 100 << 20;
    let (address, process) = (gateway.address(), gateway.process());
    let before = process.resident();
    let most = run(async move {
        let mut clients = JoinSet::new();
        for _ in 0..count {
            clients.spawn(async move {
                let mut client = narrow(address).await;
                let get = request(&format!("GET /public/bytes/{ANSWER}"), &[], b"");
                client.send(&get).await.unwrap();
                let mut part = [0; 1024];
                let began = Instant::now();
                while began.elapsed() < span {
                    sleep(Duration::from_secs(1)).await;
                    client.socket().read_exact(&mut part).await.unwrap();
                }
            });
        }
        let mut most = 0;
        while !clients.is_empty() {
            most = most.max(process.resident());
            sleep(Duration::from_millis(100)).await;
            while let Some(client) = clients.try_join_next() {
                client.expect("it was served as slowly as it wanted");
            }
        }
        most
    });
    most.saturating_sub(before) / count as u64
}

/// A connection whose kernel holds few bytes, so that what is not taken stays with the gateway.
async fn narrow(address: SocketAddr) -> Caller {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    Caller::of(socket.connect(address).await.expect("we listen"))
}

#[test]
fn f03_slow_readers_cost_their_buffers_and_no_more() {
    let api = Api::start();
    let gateway = before(&api).start();
    let each = slow_readers(&gateway, 100, Duration::from_secs(3));
    // What the process takes for the first of them is divided by few.
    assert!(each < 160 * 1024, "{each} bytes a reader");
    api.wait_for_open(0);
}

/// F10: wherever in the exchange it is, the upstream's work ends with the client's interest. `crowd`
/// clients ask and go; says how long the slowest kind took to be noticed.
pub(super) fn gone(gateway: &Gateway, api: &Api, crowd: usize) -> Duration {
    const LINES: [&str; 2] = ["GET /public/hang", "GET /public/events/9/3600000"];
    let upload = "POST /public/upload HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 99\r\n\r\nabc";
    let kinds = [
        request("GET /public/hang", &[], b""),
        request("GET /public/events/9/3600000", &[], b""),
        request("GET /public/bytes/1073741824", &[], b""),
        upload.as_bytes().to_vec(),
    ];
    let mut slowest = Duration::ZERO;
    for asked in kinds {
        slowest = slowest.max(run(async {
            let mut clients = Vec::new();
            for _ in 0..crowd {
                let mut client = Caller::connect(gateway.address()).await.unwrap();
                client.send(&asked).await.unwrap();
                clients.push(client);
            }
            tokio::task::block_in_place(|| api.wait_for_open(crowd));
            drop(clients);
            tokio::task::block_in_place(|| api.wait_for_open(0))
        }));
    }
    slowest
        .max(run(async {
            let mut sockets = Vec::new();
            for _ in 0..crowd {
                let stream = TcpStream::connect(gateway.address()).await.unwrap();
                sockets.push(
                    WebSocket::open(stream, "/public/socket", &[])
                        .await
                        .unwrap(),
                );
            }
            tokio::task::block_in_place(|| api.wait_for_open(crowd));
            drop(sockets);
            tokio::task::block_in_place(|| api.wait_for_open(0))
        }))
        .max(run(async {
            let mut connection = Http2::connect(gateway.address()).await.unwrap();
            // As many as one connection may have.
            let streams = crowd.min(90);
            let requests = connection.requests();
            let mut begun = Vec::new();
            for line in LINES.into_iter().cycle().take(streams) {
                begun.push(requests.begin(message(line)).await.unwrap());
            }
            tokio::task::block_in_place(|| api.wait_for_open(streams));
            // Half of them are taken back, and the others go with their connection.
            begun.truncate(streams / 2);
            let one_by_one = tokio::task::block_in_place(|| api.wait_for_open(streams / 2));
            connection.hang_up().await;
            one_by_one.max(tokio::task::block_in_place(|| api.wait_for_open(0)))
        }))
}

#[test]
fn f10_when_clients_are_gone_their_work_is_cancelled() {
    allow_descriptors(1024);
    let api = Api::start();
    let gateway = before(&api).start();
    let took = gone(&gateway, &api, 20);
    assert!(took < Duration::from_secs(1), "{took:?}");
}
