//! One connection: which HTTP it speaks, its framing and limits, the end of it.
//!
//! The HTTP libraries do the framing; what they let through and a gateway may not is refused later,
//! request by request (see `head`). What they refuse themselves never becomes a request. Of HTTP/1 it
//! is answered, counted and logged here. Of HTTP/2 the library answers it, by a reset, a goodbye or a
//! bare 431; that is seen on its way out (see `refused`), counted once a connection, and said now and
//! then: a line for each would be a way to fill the disk, or to make every core wait for its reader.

mod frames;
mod http1;
mod http2;
pub mod line;
mod preface;
mod refusal;
mod refused;
mod streams;
mod unfinished;
mod watch;
mod watched;

use std::rc::Rc;
use std::time::Duration;

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};

use crate::gateway::{Connection, Gateway};
use crate::reason::Reason;
use crate::shutdown::Tasks;
use line::Line;
use preface::First;

/// How long a connection that has brought no request yet may still bring one when the gateway goes
/// away: who was let in just before the door closed is on his way, and to hang up on him is to fail
/// a request that was taken. A second is many round trips.
pub const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1 or HTTP/1.0.
    Http1,
    /// HTTP/2: so it was negotiated.
    Http2,
    /// What its first bytes say.
    Either,
}

/// Serves one connection until it ends, until the answers in progress when its drain is heard, or
/// until the client has kept us waiting for too long.
pub async fn serve<S>(
    gateway: Rc<Gateway>,
    connection: Connection,
    (io, speaks): (S, Speaks),
    tasks: Tasks,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let began = Instant::now();
    match speaks {
        // Boxed: a connection should have room for what it speaks, and not for the other.
        Speaks::Http1 => Box::pin(http1::serve(gateway, connection, io, None)).await,
        Speaks::Http2 => Box::pin(http2::serve(gateway, connection, (io, began), tasks)).await,
        Speaks::Either => Box::pin(either(gateway, connection, (io, began), tasks)).await,
    }
}

async fn either<S>(
    gateway: Rc<Gateway>,
    connection: Connection,
    (io, began): (S, Instant),
    tasks: Tasks,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let line = connection.line.clone();
    let limits = &connection.listener.limits;
    let first = tokio::select! {
        biased;
        first = preface::read(io, limits.header_timeout) => first,
        () = leave(&line, || false) => return,
    };
    match first {
        First::Http2(io) => http2::serve(gateway, connection, (io, began), tasks).await,
        First::Http1(io, first) => http1::serve(gateway, connection, io, Some(first)).await,
        First::Overdue(io) => {
            let reason = Reason::RequestTimeout;
            let answer = gateway.refused_unread(&connection, reason, Version::HTTP_11);
            refusal::send(io, answer, limits.write_idle).await;
        }
        // Who says nothing, or hangs up, is let go without a word, as everywhere.
        First::Nothing => {}
    }
}

/// Heard when the connection is to take no new work, and a moment later by one of no use so far.
async fn leave(line: &Line, is_used: impl Fn() -> bool) {
    line.drain().cancelled().await;
    if !is_used() {
        sleep(FIRST_REQUEST_GRACE).await;
    }
}

#[cfg(test)]
mod tests;
