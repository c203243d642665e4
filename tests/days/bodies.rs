//! Bodies that are long in bytes or in time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{before, limited};
use crate::harness::http2::{Http2, message};
use crate::harness::load::{Caller, run};
use crate::harness::websocket::WebSocket;
use crate::harness::{Api, Gateway, Kind, Message, PATIENCE, request};

/// F07: how much memory the gateway took more, at most, while `size` bytes went up and as many down.
pub(super) fn through(gateway: &Gateway, api: &Api, size: u64) -> u64 {
    // What the first request of all leaves behind is not a matter of size.
    assert_eq!(gateway.ask("GET /public/bytes/1048576", None).status(), 200);
    let (address, process) = (gateway.address(), gateway.process());
    let before = process.resident();
    let moved = run(async move {
        let up = async move {
            let mut caller = Caller::connect(address).await.unwrap();
            let head = format!(
                "POST /public/upload HTTP/1.1\r\nHost: gate.test\r\nContent-Length: {size}\r\n\r\n"
            );
            caller.send(head.as_bytes()).await.unwrap();
            let piece = vec![0; 256 * 1024];
            let mut left = size;
            while left > 0 {
                let some = left.min(piece.len() as u64);
                let some = &piece[..some as usize];
                caller.socket().write_all(some).await.unwrap();
                left -= some.len() as u64;
            }
            assert_eq!(caller.answer().await.unwrap().text(), size.to_string());
        };
        let down = async move {
            let mut caller = Caller::connect(address).await.unwrap();
            let get = request(
                &format!("GET /public/bytes/{size}"),
                &[("Connection", "close")],
                b"",
            );
            caller.send(&get).await.unwrap();
            let mut piece = vec![0; 256 * 1024];
            let mut got = 0;
            loop {
                match caller.socket().read(&mut piece).await.unwrap() {
                    0 => break,
                    count => got += count as u64,
                }
            }
            assert!(
                (size..size + 1024).contains(&got),
                "{got} of {size} bytes came"
            );
        };
        let both = async { tokio::join!(up, down) };
        let mut both = std::pin::pin!(both);
        let mut most = 0;
        while timeout(Duration::from_millis(100), &mut both)
            .await
            .is_err()
        {
            most = most.max(process.resident());
        }
        most.max(process.resident())
    });
    assert_eq!(api.counts().received.load(Ordering::SeqCst), size);
    moved.saturating_sub(before)
}

#[test]
fn f07_what_goes_through_does_not_stay() {
    let api = Api::start();
    let gateway = before(&api).start();
    let grown = through(&gateway, &api, 512 << 20);
    assert!(grown < 16 << 20, "{grown} bytes more");
}

/// F07: a body that is declared too large is refused unread; one that turns out to be is cut off on
/// both sides.
#[test]
fn f07_more_than_is_allowed_does_not_arrive() {
    let api = Api::start();
    let gateway = limited(&api, "body_bytes: 1000").start();
    run(async {
        let ask = |framing: &str| {
            format!("POST /public/upload HTTP/1.1\r\nHost: gate.test\r\n{framing}\r\n\r\n")
        };
        let mut caller = Caller::connect(gateway.address()).await.unwrap();
        let declared = ask("Content-Length: 1001");
        let answer = caller.ask(declared.as_bytes()).await.unwrap();
        assert_eq!(
            (answer.status(), answer.reason().as_str()),
            (413, "body_too_large")
        );
        assert_eq!(api.counts().started.load(Ordering::SeqCst), 0);

        let mut caller = Caller::connect(gateway.address()).await.unwrap();
        let head = ask("Transfer-Encoding: chunked");
        caller.send(head.as_bytes()).await.unwrap();
        for _ in 0..3 {
            let chunk = [b"190\r\n", &[b'a'; 400][..], b"\r\n"].concat();
            let _ = caller.send(&chunk).await;
            sleep(Duration::from_millis(20)).await;
        }
        let answer = caller.answer().await.unwrap();
        assert_eq!(
            (answer.status(), answer.reason().as_str()),
            (413, "body_too_large")
        );
    });
    api.wait_for_open(0);
    assert_eq!(api.counts().finished.load(Ordering::SeqCst), 0);
}

/// F11: only silence ends a stream, and only when it lasts as long as it is allowed to; how long a
/// stream has lived ends none. Every other limit is over in each of the gaps.
#[test]
fn f11_a_stream_with_gaps_is_not_cut() {
    let api = Api::start();
    let every = "header_timeout: 200ms, keep_alive: 200ms, body_idle: 200ms, write_idle: 200ms";
    let gateway = limited(&api, every)
        .upstream("timeout: 1500ms, idle_timeout: 200ms, connect_timeout: 200ms")
        .start();
    streams(&gateway, Duration::from_secs(1));
}

/// Three silences in each kind of stream: events, by HTTP/1.1 and by HTTP/2, and a WebSocket whose
/// client says nothing either.
pub(super) fn streams(gateway: &Gateway, gap: Duration) {
    let address = gateway.address();
    let target = format!("/public/events/3/{}", gap.as_millis());
    let expected = "data: 3\n\ndata: 2\n\ndata: 1\n\n";
    let http1 = async {
        let mut caller = Caller::connect(address).await.unwrap();
        let get = request(&format!("GET {target}"), &[], b"");
        caller.send(&get).await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"0\r\n\r\n") {
            let part = timeout(gap * 2 + PATIENCE, caller.part()).await;
            let part = part.expect("the next event").unwrap();
            assert!(
                !part.is_empty(),
                "cut after {:?}",
                String::from_utf8_lossy(&got)
            );
            got.extend(part);
        }
        let answer = Message::parse(&got, Kind::Response, false).expect("a whole answer");
        assert_eq!(answer.text(), expected);
    };
    let http2 = async {
        let connection = Http2::connect(address).await.unwrap();
        let requests = connection.requests().patient(gap * 4 + PATIENCE);
        let reply = requests
            .ask(message(&format!("GET {target}")))
            .await
            .unwrap();
        assert_eq!(reply.text(), expected);
    };
    let socket = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut socket = WebSocket::open(stream, "/public/socket", &[])
            .await
            .unwrap();
        for _ in 0..3 {
            sleep(gap).await;
            assert_eq!(socket.ask("still there?").await.unwrap(), None);
        }
    };
    run(async { tokio::join!(http1, http2, socket) });
}
