//! What is left of a request's body that nobody wants.
//!
//! The answer does not wait for it. Over HTTP/1.1 the next request stands behind it: a rest that is
//! known to be small is read and thrown away while the answer goes out, and the connection carries
//! on. What is larger, says no length, or is sent only when it is asked for ends the connection, and
//! the answer says so: a client that is not told sends its next request where nobody reads it.
//!
//! Over HTTP/2 an answer may come before the request is whole, and a body that is let go of resets
//! its stream at once. That is as the standard has it (RFC 9113 §8.1), and yet many a client that is
//! still sending takes the reset for the end of everything, and never looks at the answer. So such a
//! body is kept for a moment: a client that reads its answer stops by itself, and then the stream
//! has ended as any other. No more of them are kept than the client may have streams open, since
//! each is one.

use std::future::pending;
use std::time::Duration;

use http::Version;
use http::header::EXPECT;
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::connection::line::Line;

/// How long the rest of a body is waited for: longer than most answers take to arrive, and short
/// enough for whoever waits for this one, or for the last stream before he leaves.
const MOMENT: Duration = Duration::from_secs(1);

/// Bytes of it that are read, and thrown away, so that a small body is whole. Over HTTP/2 what comes
/// beyond them waits in the stream's window.
const BYTES_MAX: usize = 64 * 1024;

/// Lets go of the body of the request with this head, which is answered without it. `line` is told
/// if the connection cannot carry another request.
pub fn pass_over(body: Incoming, head: &Parts, line: &Line) {
    if head.version == Version::HTTP_2 {
        let_go(body, head.version);
    } else if body.is_end_stream() {
        // There is none.
    } else if is_small(&body, head) {
        meanwhile(async move {
            // If it does not come, dropping it ends the connection.
            let _ = timeout(MOMENT, read(body)).await;
        });
    } else {
        line.ends();
    }
}

/// Whether a body ends within what is read of it. One that is waited for with a `100` is not asked
/// for.
fn is_small(body: &Incoming, head: &Parts) -> bool {
    let stated = body.size_hint().exact();
    stated.is_some_and(|bytes| usize::try_from(bytes).is_ok_and(|bytes| bytes <= BYTES_MAX))
        && !head.headers.contains_key(EXPECT)
}

/// Lets go of a request's body: over HTTP/2 when it has ended, or after a moment.
pub fn let_go(body: Incoming, version: Version) {
    if version == Version::HTTP_2 && !body.is_end_stream() {
        meanwhile(async move {
            // Either way it is dropped.
            let _ = timeout(MOMENT, keep(body)).await;
        });
    }
}

/// Does this while the answer goes out.
fn meanwhile(task: impl Future<Output = ()> + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the client's connection, which is waited for"
    )]
    tokio::task::spawn_local(task);
}

/// Waits for the end of a body.
async fn keep(body: Incoming) {
    if let Some(_rest) = read(body).await {
        pending::<()>().await;
    }
}

/// Reads a body as far as one is read: what is left of it, if it goes on.
async fn read(mut body: Incoming) -> Option<Incoming> {
    let mut read = 0_usize;
    while read <= BYTES_MAX {
        let frame = body.frame().await?.ok()?;
        read = read.saturating_add(frame.data_ref().map_or(0, bytes::Bytes::len));
    }
    Some(body)
}
