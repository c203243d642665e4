//! One connection: HTTP/1.1 framing, header limits, the end of it.
//!
//! The HTTP library does the framing; what it lets through and a gateway may not is refused later,
//! request by request (see `head`). What it refuses itself never becomes a request, and is counted
//! and logged here, once a connection, so that nothing is refused in silence.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::gateway::{Connection, Gateway};
use crate::settings::ListenerLimits;

/// Most bytes buffered for one connection, in and out: a header section at its limit and as much
/// again for what follows it.
const BUFFER_FACTOR: usize = 2;

/// How long a connection that has brought no request yet may still bring one when the gateway goes
/// away: who was let in just before the door closed is on his way, and to hang up on him is to fail
/// a request that was taken. A second is many round trips.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// Serves one connection until it ends, or until the answer in progress when `drain` is heard.
pub async fn serve<S>(gateway: Rc<Gateway>, connection: Connection, io: S, drain: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let builder = builder(&connection.listener.limits);
    let handler = Rc::clone(&gateway);
    let arrived = connection.clone();
    let begun = Rc::new(Cell::new(false));
    let first = Rc::clone(&begun);
    let service = service_fn(move |request| {
        first.set(true);
        Rc::clone(&handler).handle(arrived.clone(), request)
    });
    let http = builder.serve_connection(TokioIo::new(io), service);
    let mut http = std::pin::pin!(http);
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = drain.cancelled() => {
            let wait = if begun.get() { Duration::ZERO } else { FIRST_REQUEST_GRACE };
            match timeout(wait, http.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => {
                    http.as_mut().graceful_shutdown();
                    http.await
                }
            }
        }
    };
    if let Err(error) = ended
        && error.is_parse()
    {
        gateway.refused_by_parser(&connection, &error);
    }
}

/// Not `pipeline_flush`: with it hyper 1.12 keeps its own answer to what it cannot parse in the
/// buffer, and the client sees the connection end without a word.
fn builder(limits: &ListenerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.header_count)
        .max_header_size(limits.header_bytes)
        .max_buf_size(
            limits
                .header_bytes
                .saturating_mul(BUFFER_FACTOR)
                .max(64 * 1024),
        );
    builder
}
