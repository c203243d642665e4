//! HTTP/1.1 or HTTP/2, told by the first bytes where nothing was negotiated.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::frames::PREFACE;
use super::line::Rewound;

/// Whether the client begins with HTTP/2's preface, and the connection as if nobody had looked. At
/// the first byte that differs it is HTTP/1.1; whether it is good HTTP/1.1 is seen by who reads it.
///
/// # Errors
///
/// What reading gives.
pub(super) async fn read<S: AsyncRead + Unpin>(mut io: S) -> io::Result<(bool, Rewound<S>)> {
    let mut seen = Vec::with_capacity(PREFACE.len());
    while seen.len() < PREFACE.len() && PREFACE.starts_with(&seen) {
        let left = PREFACE.len() - seen.len();
        if (&mut io).take(left as u64).read_buf(&mut seen).await? == 0 {
            break;
        }
    }
    let is_http2 = seen == PREFACE;
    Ok((is_http2, Rewound::new(Bytes::from(seen), io)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_preface_is_told_from_requests_and_nothing_is_lost() {
        for (sent, expected) in [
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore", true),
            ("PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", false),
            ("PRI * HTTP/2.0\r\n\r\n", false),
            ("POST / HTTP/1.1\r\n\r\n", false),
            ("G", false),
            ("", false),
        ] {
            let pieces = in_two(sent.as_bytes());
            let (is_http2, mut io) = read(pieces).await.unwrap();
            assert_eq!(is_http2, expected, "{sent:?}");
            let mut text = String::new();
            io.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, sent);
        }
    }

    /// The bytes in two pieces.
    fn in_two(bytes: &[u8]) -> impl AsyncRead + Unpin + '_ {
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        first.chain(rest)
    }
}
