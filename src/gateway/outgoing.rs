//! The body of an answer, and the collecting of the few bodies we read ourselves.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::connection::line::Line;
use crate::forward::Reply;
use crate::forward::body::Download;
use crate::forward::tunnel::Tunnel;
use crate::reason::Reason;
use crate::record::Ticket;
use crate::settings::ListenerLimits;
use crate::telemetry::metrics::InFlight;

/// The body of an answer. Carries the request's ticket, so that the request is over, and recorded,
/// when its last byte was handed on or the client has gone.
#[derive(Debug)]
pub struct Outgoing {
    body: Kind,
    ticket: Option<(Ticket, InFlight)>,
}

#[derive(Debug)]
enum Kind {
    Full(Option<Bytes>),
    Streamed(Box<Download>),
    /// No body: the tunnel begins when the head of the answer is written.
    Tunnel(Box<Tunnel>),
}

impl Outgoing {
    /// A body we made ourselves.
    pub fn full(bytes: Bytes) -> Self {
        Self {
            body: Kind::Full((!bytes.is_empty()).then_some(bytes)),
            ticket: None,
        }
    }

    /// What came from an upstream.
    pub fn of(reply: Reply) -> Self {
        let body = match reply {
            Reply::Body(download) => Kind::Streamed(Box::new(download)),
            Reply::Tunnel(tunnel) => Kind::Tunnel(tunnel),
        };
        Self { body, ticket: None }
    }

    /// The same, which records its request when it is over; a tunnel is handed to `line`, and
    /// records it then.
    #[must_use]
    pub fn recorded(self, ticket: Ticket, in_flight: InFlight, line: &Line) -> Self {
        let Kind::Tunnel(tunnel) = self.body else {
            return Self {
                ticket: Some((ticket, in_flight)),
                ..self
            };
        };
        let leaving = line.drain().clone();
        line.hand_over(Box::new(move |client| {
            Box::pin(async move {
                let (mut ticket, _in_flight) = (ticket, in_flight);
                let _open = ticket.recorder().metrics().tunnel();
                let traffic = tunnel.run(client, &leaving, std::future::pending()).await;
                let verdict = ticket.verdict();
                (verdict.sent_bytes, verdict.tunnelled) = (traffic.down, Some(traffic.up));
            })
        }));
        Self::full(Bytes::new())
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = match &mut self.body {
            Kind::Full(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Kind::Streamed(download) => ready!(Pin::new(download.as_mut()).poll_frame(cx)),
            Kind::Tunnel(_) => None,
        };
        if let (Some(Ok(frame)), Some((ticket, _))) = (&frame, &mut self.ticket) {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let sent = &mut ticket.verdict().sent_bytes;
            *sent = sent.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Streamed(download) => download.is_end_stream(),
            Kind::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Kind::Full(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Kind::Streamed(download) => download.size_hint(),
            Kind::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}

/// Reads a whole body of at most `limit` bytes, each part of it within `body_idle`, and all of it
/// within that and `header_timeout`: it is as small as a head, and may take no longer by trickling.
///
/// # Errors
///
/// `body_too_large`, `request_timeout`, or `request_malformed` when it breaks off.
pub(super) async fn collect(
    body: Incoming,
    limit: usize,
    limits: &ListenerLimits,
) -> Result<Bytes, Reason> {
    let whole = limits.header_timeout.saturating_add(limits.body_idle);
    timeout(whole, parts(body, limit, limits.body_idle))
        .await
        .unwrap_or(Err(Reason::RequestTimeout))
}

async fn parts(mut body: Incoming, limit: usize, idle: Duration) -> Result<Bytes, Reason> {
    let mut collected = Vec::new();
    loop {
        let frame = timeout(idle, body.frame())
            .await
            .map_err(|_| Reason::RequestTimeout)?;
        let Some(frame) = frame else {
            return Ok(collected.into());
        };
        let frame = frame.map_err(|_| Reason::RequestMalformed)?;
        if let Some(data) = frame.data_ref() {
            if collected.len() + data.len() > limit {
                return Err(Reason::BodyTooLarge);
            }
            collected.extend_from_slice(data);
        }
    }
}
