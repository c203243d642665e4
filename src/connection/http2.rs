//! HTTP/2: many requests at a time, each a task of its own on the connection's core.
//!
//! The library speaks it; here are its limits, all of them set, the goodbye, and what the requests
//! of HTTP/2 have to look like before they are requests like any other.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;

use http::{Method, Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::leave;
use super::refused::Refused;
use super::streams::{Overdue, Starts, Streams};
use super::watched::Watched;
use crate::gateway::{Connection, Gateway, Outgoing};
use crate::head;
use crate::reason::Reason;
use crate::settings::ListenerLimits;
use crate::shutdown::Tasks;

/// Largest frame a client may send, in bytes: the protocol's least, and more than anybody needs.
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// What the library reads of a header list, as a multiple of what is allowed: what is between is
/// refused in our words, with a record, and not in the library's.
const HEADER_LIST_FACTOR: usize = 2;

/// Serves one connection until it ends, until its streams are over once its drain is heard, or until
/// the client has kept us waiting for too long.
pub(super) async fn serve<S>(
    gateway: Rc<Gateway>,
    connection: Connection,
    (io, began): (S, Instant),
    tasks: Tasks,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let connection = Rc::new(connection);
    let limits = &connection.listener.limits;
    let streams = Streams::new(limits, began);
    let io = TokioIo::new(Watched::new(io, Rc::clone(&streams)));
    let starts = Starts {
        tasks,
        streams: Rc::clone(&streams),
    };
    let handler = (
        Rc::clone(&gateway),
        Rc::clone(&connection),
        Rc::clone(&streams),
    );
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (gateway, connection, streams) = &handler;
        let stream = streams.begins();
        connection.line.begins(request.version());
        head::join_cookies(request.headers_mut(), &connection.listener.limits);
        let is_head = request.method() == Method::HEAD;
        let (gateway, connection) = (Rc::clone(gateway), Rc::clone(connection));
        // The call stands inside, or there would be room for it twice in every stream.
        async move {
            let Ok(mut answer) = gateway.handle(&connection, request).await;
            if is_head {
                answer = answer.map(Outgoing::without_our_words);
            }
            Ok::<_, Infallible>(answer.map(|body| stream.given(body)))
        }
    });
    let mut http = builder(starts, limits).serve_connection(io, service);
    let mut leave = std::pin::pin!(leave(&connection.line, || streams.is_used()));
    let mut draining = false;
    let ended = loop {
        let overdue = tokio::select! {
            biased;
            ended = &mut http => break ended,
            () = &mut leave, if !draining => {
                draining = true;
                Overdue::Request
            }
            overdue = streams.overdue() => {
                if overdue == Overdue::Request && streams.is_midway() {
                    // Nobody is there to be answered: a stream has not begun.
                    gateway.refused_unread(&connection, Reason::RequestTimeout, Version::HTTP_2);
                }
                overdue
            }
        };
        match overdue {
            // Requests that come at this moment are still answered.
            Overdue::Request | Overdue::Answer => {
                streams.leaves();
                Pin::new(&mut http).graceful_shutdown();
            }
            Overdue::End => break Ok(()),
        }
    };
    if let Some(refused) = streams.over(ended) {
        record(&gateway, &connection, refused);
    }
}

/// Puts on record what the library refused: counted once a connection, by the worst of it, and said
/// now and then.
fn record(gateway: &Gateway, connection: &Connection, refused: Refused) {
    let Some(cause) = refused.cause() else {
        gateway.refused_unread(connection, Reason::HeadersTooLarge, Version::HTTP_2);
        return;
    };
    let doors = gateway.recorder.metrics().doors();
    doors.closed(cause);
    if doors.is_due(cause, gateway.clock.now()) {
        let client = connection.client();
        tracing::info!(%client, cause = cause.code(), %refused, "HTTP/2 refused");
    }
}

fn builder(starts: Starts, limits: &ListenerLimits) -> http2::Builder<Starts> {
    let most = &limits.http2;
    let list = most.header_list_bytes.saturating_mul(HEADER_LIST_FACTOR);
    let mut builder = http2::Builder::new(starts);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(most.streams)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .initial_stream_window_size(most.stream_window_bytes)
        .initial_connection_window_size(most.connection_window_bytes)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_send_buf_size(most.stream_buffer_bytes)
        .max_pending_accept_reset_streams(most.early_resets)
        .max_local_error_reset_streams(most.stream_errors)
        .keep_alive_interval(most.ping_interval)
        .keep_alive_timeout(most.ping_timeout);
    builder
}
