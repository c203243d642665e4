//! One connection: HTTP/1.1 framing, header limits, the end of it.
//!
//! The HTTP library does the framing; what it lets through and a gateway may not is refused later,
//! request by request (see `head`). What it refuses itself never becomes a request, and is counted
//! and logged here, once a connection, so that nothing is refused in silence.

pub mod line;
mod watch;

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::gateway::{Connection, Gateway};
use crate::reason::Reason;
use crate::settings::ListenerLimits;
use line::Rewound;
use watch::{Ending, Overdue, Watch, Watched};

/// Most bytes buffered for one connection, in and out: a header section at its limit and as much
/// again for what follows it.
const BUFFER_FACTOR: usize = 2;

/// How long a connection that has brought no request yet may still bring one when the gateway goes
/// away: who was let in just before the door closed is on his way, and to hang up on him is to fail
/// a request that was taken. A second is many round trips.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);
/// The answer to a head that never became whole.
const HEAD_OVERDUE: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves one connection until it ends, until the answer in progress when the connection's drain is
/// heard, or until the client has kept us waiting for too long.
pub async fn serve<S>(gateway: Rc<Gateway>, connection: Connection, io: S)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let watch = Watch::new(&connection.listener.limits);
    let line = connection.line.clone();
    let handler = (Rc::clone(&gateway), connection.clone(), Rc::clone(&watch));
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (gateway, connection, watch) = &handler;
        watch.begins(!request.body().is_end_stream());
        connection.line.begins(request.version());
        let answer = Rc::clone(gateway).handle(connection.clone(), request);
        let (watch, line) = (Rc::clone(watch), connection.line.clone());
        async move {
            let Ok(answer) = answer.await;
            line.answered(answer.status());
            Ok::<_, Infallible>(answer.map(|body| Ending::new(body, watch)))
        }
    });
    let io = TokioIo::new(Watched::new(io, Rc::clone(&watch), line.clone()));
    let mut http = builder(&connection.listener.limits).serve_connection(io, service);
    let mut leave = std::pin::pin!(async {
        line.drain().cancelled().await;
        if !watch.is_used() {
            sleep(FIRST_REQUEST_GRACE).await;
        }
    });
    let mut draining = false;
    let reason = loop {
        let overdue = tokio::select! {
            biased;
            ended = &mut http => {
                if let (Ok(()), Some(tunnel)) = (&ended, line.tunnel()) {
                    let parts = http.into_parts();
                    let io = parts.io.into_inner().into_inner();
                    tunnel(Box::new(Rewound::new(parts.read_buf, io))).await;
                    break None;
                }
                break ended.err().as_ref().and_then(why);
            }
            () = &mut leave, if !draining => {
                draining = true;
                Overdue::Request
            }
            overdue = watch.overdue() => overdue,
        };
        match overdue {
            // A request that comes at this moment is still answered.
            Overdue::Request => {
                watch.leaves();
                Pin::new(&mut http).graceful_shutdown();
            }
            Overdue::Head => {
                farewell(http.into_parts().io.into_inner(), &connection).await;
                break Some(Reason::RequestTimeout);
            }
            // What becomes of the answer is on its request's record.
            Overdue::Taking => break None,
        }
    };
    if let Some(reason) = reason {
        gateway.refused_unread(&connection, reason);
    }
}

/// Tells a client whose head never became whole, in as few words as the HTTP library has for what
/// it cannot parse. Nothing else is being written: while there is, a head is not overdue.
async fn farewell<S: AsyncWrite + Unpin>(mut io: S, connection: &Connection) {
    let tell = async {
        io.write_all(HEAD_OVERDUE).await?;
        io.shutdown().await
    };
    // It is gone either way.
    let _ = timeout(connection.listener.limits.write_idle, tell).await;
}

/// Why the HTTP library refused what it could not make a request of, if it did.
fn why(error: &hyper::Error) -> Option<Reason> {
    match error {
        error if error.is_parse_too_large() => Some(Reason::HeadersTooLarge),
        error if error.is_parse() => Some(Reason::RequestMalformed),
        _ => None,
    }
}

/// Not `pipeline_flush`: with it hyper 1.12 keeps its own answer to what it cannot parse in the
/// buffer, and the client sees the connection end without a word.
fn builder(limits: &ListenerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // A timer for each request, and blind to writing: see `watch`.
        .header_read_timeout(None)
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

#[cfg(test)]
mod tests;
