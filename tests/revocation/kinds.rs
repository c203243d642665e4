//! Every way a request can stay open, and how a client sees its end.

use std::net::SocketAddr;
use std::time::Instant;

use http::Request;

use crate::harness::load::Caller;
use crate::harness::{http2, request};

/// A way a request stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An answer that goes on.
    Events,
    /// A tunnel.
    Socket,
    /// A request whose body goes on.
    Upload,
    /// A question that nobody answers.
    Waiting,
    /// A call of gRPC, HTTP/2 on both sides.
    Grpc,
    /// An answer that goes on, over HTTP/2.
    Http2Events,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::Events,
        Self::Socket,
        Self::Upload,
        Self::Waiting,
        Self::Grpc,
        Self::Http2Events,
    ];

    /// Keeps a request open until it is ended from the other side; says when that was.
    pub(super) async fn hold(self, address: SocketAddr, token: String) -> Instant {
        let bearer = format!("Bearer {token}");
        match self {
            Self::Grpc => over_http2(address, "POST /grpc/events/1000000/100", &bearer).await,
            Self::Http2Events => over_http2(address, "GET /v1/events/1000000/100", &bearer).await,
            Self::Events | Self::Socket | Self::Upload | Self::Waiting => {
                let mut caller = Caller::connect(address).await.expect("it listens");
                caller.send(&self.head(&bearer)).await.expect("it is taken");
                if self == Self::Waiting {
                    // It has had no answer yet, so it gets one, and its connection goes on.
                    let answer = caller.answer().await.expect("it is told");
                    assert!([401, 403].contains(&answer.status()), "{answer:?}");
                } else {
                    caller.rest().await;
                }
            }
        }
        Instant::now()
    }

    fn head(self, bearer: &str) -> Vec<u8> {
        let authorization = ("Authorization", bearer);
        let line = match self {
            Self::Upload => {
                let head = request("POST /v1/upload", &[authorization], b"");
                let head = String::from_utf8(head).expect("a head is text");
                let head = head.replace("Content-Length: 0\r\n", "");
                let more = "\r\nContent-Length: 1000000\r\n\r\nabc";
                return (head.trim_end().to_owned() + more).into_bytes();
            }
            Self::Socket => {
                let headers = [
                    authorization,
                    ("Connection", "Upgrade"),
                    ("Upgrade", "websocket"),
                    ("Sec-WebSocket-Version", "13"),
                    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ];
                return request("GET /v1/socket", &headers, b"");
            }
            Self::Waiting => "GET /v1/hang",
            Self::Events | Self::Grpc | Self::Http2Events => "GET /v1/events/1000000/100",
        };
        request(line, &[authorization], b"")
    }
}

/// A request over HTTP/2, a call of gRPC if it is a POST.
pub(super) fn grpc(line: &str, bearer: &str) -> Request<()> {
    let mut message = http2::message(line);
    let headers = message.headers_mut();
    headers.insert("authorization", bearer.parse().expect("a header's value"));
    if line.starts_with("POST") {
        headers.insert("content-type", "application/grpc".parse().expect("a type"));
        headers.insert("te", "trailers".parse().expect("a word"));
    }
    message
}

async fn over_http2(address: SocketAddr, line: &str, bearer: &str) {
    let connection = http2::Http2::connect(address).await.expect("it listens");
    // How it ends is told elsewhere.
    let _ = connection
        .requests()
        .patient(super::streams::LONGER)
        .ask(grpc(line, bearer))
        .await;
}
