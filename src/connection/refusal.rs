//! The answer to what the HTTP library refuses itself, so that it reads like every other refusal.
//!
//! The library's own is a bare status line. It is kept back, and what it could not parse is looked
//! at once more, for one thing only: which of our reasons says it best. That is no second parser;
//! whatever is said here, the connection ends with it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::line::encode;
use crate::reason::Reason;
use crate::settings::ListenerLimits;

/// Most bytes read and thrown away behind the last answer, so that the client comes to reading it:
/// closing a socket with unread bytes would take the answer back. What the buffers of two sockets
/// hold; who sends more does not listen.
const LINGER_BYTES: u64 = 8 * 1024 * 1024;
/// Longest time for that.
const LINGER: Duration = Duration::from_secs(1);

/// Why the HTTP library refused what it could not make a request of, if it did; `unread` is what it
/// stopped at.
pub(super) fn why(error: &hyper::Error, unread: &[u8], limits: &ListenerLimits) -> Option<Reason> {
    if error.is_parse_version_h2() {
        return Some(Reason::VersionUnknown);
    }
    let mut lines = unread.splitn(2, |byte| *byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let is_whole = lines.next().is_some();
    if error.is_parse_too_large() {
        let has_method = line.contains(&b' ');
        return Some(match is_whole {
            false if !has_method => Reason::RequestMalformed,
            true if line.len() <= limits.target_bytes => Reason::HeadersTooLarge,
            true | false => Reason::TargetTooLong,
        });
    }
    if !error.is_parse() {
        return None;
    }
    let version = line.trim_ascii_end().rsplit(|byte| *byte == b' ').next();
    Some(match version {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit()
                && minor.is_ascii_digit()
                && !matches!((major, minor), (b'1', b'0' | b'1')) =>
        {
            Reason::VersionUnknown
        }
        _ => Reason::RequestMalformed,
    })
}

/// Writes `answer`, on HTTP/1.1, and ends the connection.
pub(super) async fn send<S>(mut io: S, mut answer: Response<Bytes>, patience: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let length = answer.body().len();
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let mut bytes = Vec::with_capacity(1024);
    encode(answer.status(), answer.headers(), &mut bytes);
    bytes.extend_from_slice(answer.body());
    let tell = async {
        io.write_all(&bytes).await?;
        io.shutdown().await
    };
    // It is gone either way.
    if let Ok(Ok(())) = timeout(patience, tell).await {
        linger(io).await;
    }
}

/// Reads on for a moment on a connection that ends, so that what was said last is heard.
pub(super) async fn linger<S: AsyncRead + Unpin>(io: S) {
    let mut rest = io.take(LINGER_BYTES);
    let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}
