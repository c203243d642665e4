//! HTTP/1.1 or HTTP/2, told by the first bytes where nothing was negotiated.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::frames::PREFACE;
use super::line::Rewound;

/// What came first on a connection, and the connection as if nobody had looked.
#[derive(Debug)]
pub(super) enum First<S> {
    /// HTTP/2's preface.
    Http2(Rewound<S>),
    /// Something else, which began at that time. Whether it is good HTTP/1.1 is seen by who reads it.
    Http1(Rewound<S>, Instant),
    /// Less than it takes to tell, and no more in time.
    Overdue(S),
    /// Nothing.
    Nothing,
}

/// Reads until the first byte that differs from HTTP/2's preface, or the last one that does not. The
/// first byte may be waited for as long as `patience`, and as long again whatever follows it: that is
/// what a head may take.
pub(super) async fn read<S: AsyncRead + Unpin>(mut io: S, patience: Duration) -> First<S> {
    let mut seen = Vec::with_capacity(PREFACE.len());
    let Ok(Ok(1..)) = timeout(patience, more(&mut io, &mut seen)).await else {
        return First::Nothing;
    };
    let began = Instant::now();
    let until = began + patience;
    while seen.len() < PREFACE.len() && PREFACE.starts_with(&seen) {
        match timeout_at(until, more(&mut io, &mut seen)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0)) => break,
            Ok(Err(_)) => return First::Nothing,
            Err(_) => return First::Overdue(io),
        }
    }
    let is_http2 = seen == PREFACE;
    let io = Rewound::new(Bytes::from(seen), io);
    if is_http2 {
        First::Http2(io)
    } else {
        First::Http1(io, began)
    }
}

async fn more<S: AsyncRead + Unpin>(io: &mut S, seen: &mut Vec<u8>) -> io::Result<usize> {
    let left = PREFACE.len() - seen.len();
    io.take(left as u64).read_buf(seen).await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn the_preface_is_told_from_requests_and_nothing_is_lost() {
        for (sent, expected) in [
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore", true),
            ("PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", false),
            ("PRI * HTTP/2.0\r\n\r\n", false),
            ("POST / HTTP/1.1\r\n\r\n", false),
            ("PO", false),
        ] {
            let (is_http2, mut io) = match read(in_two(sent.as_bytes()), PATIENCE).await {
                First::Http2(io) => (true, io),
                First::Http1(io, _) => (false, io),
                First::Overdue(_) | First::Nothing => panic!("{sent:?} is something"),
            };
            assert_eq!(is_http2, expected, "{sent:?}");
            let mut text = String::new();
            io.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, sent);
        }
        assert!(matches!(read(&b""[..], PATIENCE).await, First::Nothing));
    }

    /// F01.
    #[tokio::test(start_paused = true)]
    async fn who_begins_and_stops_is_told_from_who_says_nothing() {
        for (sent, late, expected) in [("", 0, 10), ("P", 0, 10), ("PRI * HTTP/2.0\r\n", 9, 19)] {
            let (mut far, near) = duplex(64);
            let began = Instant::now();
            let says = async {
                tokio::time::sleep(Duration::from_secs(late)).await;
                far.write_all(sent.as_bytes()).await.unwrap();
            };
            let (first, ()) = tokio::join!(read(near, PATIENCE), says);
            assert_eq!(matches!(first, First::Overdue(_)), !sent.is_empty());
            assert_eq!(matches!(first, First::Nothing), sent.is_empty());
            assert_eq!(began.elapsed().as_secs(), expected, "{sent:?}");
        }
    }

    /// The bytes in two pieces.
    fn in_two(bytes: &[u8]) -> impl AsyncRead + Unpin + '_ {
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        first.chain(rest)
    }
}
