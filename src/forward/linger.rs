//! What is left of a request's body that nobody wants, over HTTP/2.
//!
//! There an answer may come before the request is whole, and a body that is let go of resets its
//! stream at once. That is as the standard has it (RFC 9113 §8.1), and yet many a client that is
//! still sending takes the reset for the end of everything, and never looks at the answer. So such a
//! body is kept for a moment: a client that reads its answer stops by itself, and then the stream
//! has ended as any other.
//!
//! No more of them are kept than the client may have streams open, since each is one.

use std::time::Duration;

use http::Version;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

/// How long the rest of a body is kept: longer than most answers take to arrive, and short enough
/// for whoever waits for the last stream before he leaves.
const MOMENT: Duration = Duration::from_secs(1);

/// Bytes of it that are read, and thrown away, so that a small body is whole. What comes beyond them
/// waits in the stream's window.
const BYTES_MAX: usize = 64 * 1024;

/// Lets go of a request's body: over HTTP/2 when it has ended, or after a moment.
pub fn let_go(body: Incoming, version: Version) {
    if version == Version::HTTP_2 && !body.is_end_stream() {
        tokio::task::spawn_local(async move {
            // Either way it is dropped.
            let _ = timeout(MOMENT, end(body)).await;
        });
    }
}

/// Waits for the end of a body.
async fn end(mut body: Incoming) {
    let mut read = 0_usize;
    while read < BYTES_MAX {
        let Some(Ok(frame)) = body.frame().await else {
            return;
        };
        read = read.saturating_add(frame.data_ref().map_or(0, bytes::Bytes::len));
    }
    std::future::pending::<()>().await;
}
