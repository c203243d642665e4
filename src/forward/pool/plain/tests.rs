//! What is read here is read as the library reads it, and everything else is left to the library.

use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime;

use super::*;

fn read(text: &str) -> (Option<Said>, BytesMut) {
    let mut read = BytesMut::from(text);
    (answer(&mut read), read)
}

#[test]
fn the_plainest_answer_is_read_and_what_follows_it_is_left() {
    let (said, rest) = read(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\nX-A: 1\r\nx-a: 2\r\n\r\nhellomore",
    );
    let Some(Said::Answer(response)) = said else {
        panic!("it is an answer: {said:?}");
    };
    assert_eq!(response.status(), 200);
    let values: Vec<_> = response.headers().get_all("x-a").iter().collect();
    assert_eq!(values, ["1", "2"]);
    assert_eq!(&response.body().ahead[..], b"hello");
    assert_eq!((response.body().left(), &rest[..]), (5, &b"more"[..]));
}

#[test]
fn a_head_that_is_not_whole_is_waited_for() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for end in 0..whole.len() {
        let (said, rest) = read(whole.get(..end).unwrap());
        assert!(said.is_none(), "{end}");
        assert_eq!(rest.len(), end);
    }
    assert!(matches!(read(whole).0, Some(Said::Answer(_))));
}

#[test]
fn whatever_could_be_read_two_ways_is_for_the_library_and_not_touched() {
    for head in [
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0, 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1234567890123456789\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, x-a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n x: folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\0b\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let (said, rest) = read(head);
        assert!(matches!(said, Some(Said::Other)), "{head:?}: {said:?}");
        assert_eq!(&rest[..], head.as_bytes());
    }
}

/// What the library makes of the same bytes; nothing if it takes them for no answer.
fn by_library(bytes: &[u8]) -> Option<(u16, HeaderMap, Bytes)> {
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(near)).await;
        let (mut sender, connection) = handshake.unwrap();
        let talk = async {
            let request = Request::new(Empty::<Bytes>::new());
            let (response, ()) = tokio::join!(sender.send_request(request), async {
                let _request = far.read(&mut [0; 4096]).await.unwrap();
                far.write_all(bytes).await.unwrap();
                far.shutdown().await.unwrap();
            });
            let (head, body) = response.ok()?.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            Some((head.status.as_u16(), head.headers, body))
        };
        tokio::join!(talk, connection).0
    })
}

/// Heads put together of pieces about which readers are known to differ.
fn heads() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 404 Not Found\r\n",
        "HTTP/1.1 200 ok\r\n",
        "HTTP/1.1 200 OK\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1  200 OK\r\n",
    ]);
    let field = prop::sample::select(vec![
        "Content-Length: 5\r\n",
        "content-length:5\r\n",
        "Content-Length:\t5 \r\n",
        "Content-Length: 05\r\n",
        "Content-Length: 6\r\n",
        "Content-Length: 5\n",
        "Content-Length: -5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: keep-alive\r\n",
        "Connection: close\r\n",
        "X-A: \u{e9}\r\n",
        "X-A:\r\n",
        "x-a: b \r\n",
        "X A: b\r\n",
        " X-A: b\r\n",
        ": b\r\n",
        "X-A: b\rc\r\n",
    ]);
    let end = prop::sample::select(vec!["\r\n", "\n"]);
    (line, prop::collection::vec(field, 0..5), end)
        .prop_map(|(line, fields, end)| format!("{line}{}{end}helloHTTP/1.1", fields.concat()))
}

proptest! {
    #[test]
    fn what_is_read_here_the_library_reads_the_same(head in heads()) {
        if let (Some(Said::Answer(response)), rest) = read(&head) {
            let library = by_library(head.as_bytes());
            let (head, body) = response.into_parts();
            prop_assert!(body.left == 0 && rest.len() <= 8);
            prop_assert_eq!(library, Some((head.status.as_u16(), head.headers, body.ahead)));
        }
    }
}
