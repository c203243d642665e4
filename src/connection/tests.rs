//! What the HTTP library does with the pieces here, over a pipe.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

use super::line::Rewound;
use super::watch::{Ending, Watch};
use super::watched::Watched;
use super::*;
use crate::settings::ListenerLimits;

/// A connection whose requests are answered by `answer`, until it ends; then its tunnel, if it has
/// one.
async fn served(io: DuplexStream, answer: impl Fn(&Line, &Request<Incoming>) -> StatusCode) {
    let limits = ListenerLimits::default();
    let line = Line::new(CancellationToken::new());
    let watch = Watch::new(&limits, line.clone(), None);
    let service = service_fn(|request: Request<Incoming>| {
        watch.begins(false);
        line.begins(request.version());
        let status = answer(&line, &request);
        line.answered(status);
        let body = Full::new(Bytes::new());
        let mut answer = Response::new(Ending::new(body, Rc::clone(&watch)));
        *answer.status_mut() = status;
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let io = TokioIo::new(Watched::new(io, Rc::clone(&watch)));
    let mut http = http1::builder(&limits).serve_connection(io, service);
    (&mut http).await.unwrap();
    if let Some(tunnel) = line.tunnel() {
        let parts = http.into_parts();
        let io = parts.io.into_inner().into_inner();
        tunnel(Box::new(Rewound::new(parts.read_buf, io))).await;
    }
}

/// What the client reads until the end when it sends `request` in one piece.
async fn exchange(
    request: &str,
    answer: impl Fn(&Line, &Request<Incoming>) -> StatusCode,
) -> String {
    let (mut client, io) = duplex(64 * 1024);
    let talk = async {
        client.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    };
    let (text, ()) = tokio::join!(talk, served(io, answer));
    text
}

#[tokio::test]
async fn a_tunnel_gets_the_socket_after_the_101_and_what_was_sent_ahead_of_it() {
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nahead";
    let text = exchange(request, |line, _| {
        line.hand_over(Box::new(|mut io| {
            Box::pin(async move {
                let mut ahead = [0; 5];
                io.read_exact(&mut ahead).await.unwrap();
                io.write_all(b"tunnel:").await.unwrap();
                io.write_all(&ahead).await.unwrap();
                io.shutdown().await.unwrap();
            })
        }));
        StatusCode::SWITCHING_PROTOCOLS
    });
    let text = text.await;
    assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    assert!(text.ends_with("\r\n\r\ntunnel:ahead"), "{text}");
}

#[tokio::test]
async fn interim_responses_stand_before_their_own_answer_even_when_requests_are_pipelined() {
    let request = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n\
                   GET /2 HTTP/1.1\r\nhost: a\r\n\r\n\
                   GET /3 HTTP/1.0\r\n\r\n";
    let text = exchange(request, |line, request| {
        let mut headers = HeaderMap::new();
        headers.insert("link", request.uri().path().parse().unwrap());
        line.informational(StatusCode::EARLY_HINTS, &headers);
        StatusCode::NO_CONTENT
    });
    let text = text.await;
    let starts: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("HTTP/") || line.starts_with("link"))
        .collect();
    let expected = [
        "HTTP/1.1 103 Early Hints",
        "link: /1",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 103 Early Hints",
        "link: /2",
        "HTTP/1.1 204 No Content",
        "HTTP/1.0 204 No Content",
    ];
    assert_eq!(starts, expected, "{text}");
}
