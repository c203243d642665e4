//! HTTP/1.1 and HTTP/1.0: one request at a time.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;

use http::Version;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::leave;
use super::line::{Line, Rewound};
use super::refusal;
use super::watch::{Ending, Overdue, Watch};
use super::watched::Watched;
use crate::gateway::{Connection, Gateway};
use crate::reason::Reason;
use crate::settings::ListenerLimits;

/// Most bytes buffered for one connection, in and out: a header section at its limit and as much
/// again for what follows it.
const BUFFER_FACTOR: usize = 2;

/// How many fields the HTTP library takes of itself.
const LIBRARY_FIELDS: usize = 100;

/// Serves one connection until it ends, until the answer in progress when its drain is heard, or
/// until the client has kept us waiting for too long. `first` is when the first byte came, if somebody
/// has looked at it already.
pub(super) async fn serve<S>(
    gateway: Rc<Gateway>,
    connection: Connection,
    io: S,
    first: Option<Instant>,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let connection = Rc::new(connection);
    let (limits, line) = (&connection.listener.limits, connection.line.clone());
    let watch = Watch::new(limits, line.clone(), first);
    let handler = Rc::new(Handler {
        gateway: Rc::clone(&gateway),
        connection: Rc::clone(&connection),
        watch: Rc::clone(&watch),
    });
    let service = service_fn(move |request| {
        handler.begins(&request);
        let handler = Rc::clone(&handler);
        // The call stands inside, or there would be room for it twice while the connection lives.
        async move {
            let gateway = Rc::clone(&handler.gateway);
            let Ok(answer) = gateway.handle(&handler.connection, request).await;
            handler.connection.line.answered(answer.status());
            Ok::<_, Infallible>(answer.map(|body| Ending::new(body, Rc::clone(&handler.watch))))
        }
    });
    let io = TokioIo::new(Watched::new(io, Rc::clone(&watch)));
    let mut http = builder(limits).serve_connection(io, service);
    let mut leave = std::pin::pin!(leave(&line, || watch.is_used()));
    let mut draining = false;
    let overdue = loop {
        let overdue = tokio::select! {
            biased;
            ended = &mut http => break Err(ended),
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
            Overdue::Head | Overdue::Taking => break Ok(overdue),
        }
    };
    let parts = http.into_parts();
    let (io, unread) = (parts.io.into_inner().into_inner(), parts.read_buf);
    let reason = match overdue {
        Err(Ok(())) => return over(Rewound::new(unread, io), &line, &watch).await,
        Err(Err(error)) => refusal::why(&error, &unread, limits),
        // Nothing else is being written: while there is, a head is not overdue.
        Ok(Overdue::Head) => Some(Reason::RequestTimeout),
        // What becomes of the answer is on its request's record.
        Ok(Overdue::Taking | Overdue::Request) => None,
    };
    if let Some(reason) = reason {
        let answer = gateway.refused_unread(&connection, reason, Version::HTTP_11);
        if reason == Reason::RequestTimeout || watch.has_refused() {
            refusal::send(io, answer, limits.write_idle).await;
        }
    }
}

/// What the requests of a connection share.
struct Handler {
    gateway: Rc<Gateway>,
    connection: Rc<Connection>,
    watch: Rc<Watch>,
}

impl Handler {
    /// A request was read.
    fn begins(&self, request: &http::Request<Incoming>) {
        self.watch.begins(!request.body().is_end_stream());
        self.connection.line.begins(request.version());
        if self.watch.had_fragment() {
            self.gateway.recorder.metrics().doors().fragment_cut();
        }
    }
}

/// What is done with a connection that HTTP has let go of.
async fn over<S>(io: Rewound<S>, line: &Line, watch: &Watch)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    match line.tunnel() {
        Some(tunnel) => tunnel(Box::new(io)).await,
        // The client may still be sending what was refused.
        None if watch.had_body() => refusal::linger(io).await,
        None => {}
    }
}

/// Not `pipeline_flush`: with it hyper 1.12 keeps its own answer to what it cannot parse in the
/// buffer, and the client sees the connection end without a word.
pub(super) fn builder(limits: &ListenerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    if limits.header_count != LIBRARY_FIELDS {
        // Said, it costs an allocation for each head.
        builder.max_headers(limits.header_count);
    }
    builder
        // A timer for each request, and blind to writing: see `watch`.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(
            limits
                .header_bytes
                .saturating_mul(BUFFER_FACTOR)
                .max(64 * 1024),
        );
    builder
}
