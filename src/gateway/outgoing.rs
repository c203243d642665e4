//! The body of an answer, and the collecting of the few bodies we read ourselves.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::standing::Standing;
use crate::connection::line::Line;
use crate::decision::Denial;
use crate::forward::Reply;
use crate::forward::download::{Download, DownloadError};
use crate::forward::tunnel::Tunnel;
use crate::reason::Reason;
use crate::record::{Received, Ticket, Verdict};
use crate::settings::ListenerLimits;
use crate::telemetry::log::Ended;
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
    Streamed(Box<Flowing>),
    /// No body: the tunnel begins when the head of the answer is written.
    Tunnel(Box<(Tunnel, Standing)>),
}

/// A body that comes from an upstream, part by part.
#[derive(Debug)]
struct Flowing {
    download: Download,
    standing: Standing,
    /// The beat at which waiting for the next part began, while it is waited for.
    since: Option<u64>,
}

/// Why an answer ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The upstream broke it off.
    #[error("the upstream broke the answer off")]
    Upstream(#[source] DownloadError),
    /// The upstream fell silent.
    #[error("the upstream fell silent inside the answer")]
    Silent,
    /// What it was allowed by is no more.
    #[error("the request is not allowed any more: {0}")]
    Refused(Reason),
}

impl Broken {
    fn ended(&self) -> Ended {
        match self {
            Self::Upstream(_) => Ended::UpstreamReset,
            Self::Silent => Ended::Silent,
            Self::Refused(_) => Ended::Revoked,
        }
    }
}

impl Flowing {
    fn poll(
        &mut self,
        mut verdict: Option<&mut Verdict>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        // A client that takes less than there is never finds it waiting, so this is asked first.
        if let Some(verdict) = verdict.as_deref_mut() {
            if let Err(denial) = self.standing.look(verdict) {
                return Poll::Ready(Some(Err(refused(verdict, denial))));
            }
            self.standing.note(verdict);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.download).poll_frame(cx) {
            self.since = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Broken::Upstream)));
        }
        if let Some(verdict) = verdict {
            if let Err(denial) = self.standing.check(verdict, cx) {
                return Poll::Ready(Some(Err(refused(verdict, denial))));
            }
            self.standing.note(verdict);
        }
        let now = self.standing.ticks();
        let since = *self.since.get_or_insert(now);
        if since != now && now - since >= self.standing.beats(self.download.idle()) {
            if !self.download.is_fed() {
                return Poll::Ready(Some(Err(Broken::Silent)));
            }
            self.since = Some(now);
        }
        Poll::Pending
    }
}

fn refused(verdict: &mut Verdict, denial: Box<Denial>) -> Broken {
    let reason = denial.reason;
    verdict.cut(denial);
    Broken::Refused(reason)
}

impl Kind {
    /// Whether nothing more comes that the client would miss.
    fn is_over(&self) -> bool {
        match self {
            // What we say ourselves is all here.
            Self::Full(_) => true,
            Self::Streamed(flowing) => flowing.download.is_over(),
            Self::Tunnel(_) => false,
        }
    }
}

impl Outgoing {
    /// A body we made ourselves.
    pub fn full(bytes: Bytes) -> Self {
        Self {
            body: Kind::Full((!bytes.is_empty()).then_some(bytes)),
            ticket: None,
        }
    }

    /// The answer to HEAD over HTTP/2, whose library would send our own words after all. What came
    /// from an upstream has no body by itself.
    #[must_use]
    pub fn without_our_words(self) -> Self {
        match self.body {
            Kind::Full(_) => Self {
                body: Kind::Full(None),
                ..self
            },
            Kind::Streamed(_) | Kind::Tunnel(_) => self,
        }
    }

    /// What came from an upstream, for as long as `standing` lets it.
    pub(super) fn of(reply: Reply, standing: Standing) -> Self {
        let body = match reply {
            Reply::Body(download) => Kind::Streamed(Box::new(Flowing {
                download,
                standing,
                since: None,
            })),
            Reply::Tunnel(tunnel) => Kind::Tunnel(Box::new((*tunnel, standing))),
        };
        Self { body, ticket: None }
    }

    /// The same, which records its request when it is over; a tunnel is handed to `line`, and
    /// records it then.
    #[must_use]
    pub fn recorded(self, mut ticket: Ticket, in_flight: InFlight, line: &Line) -> Self {
        // Nobody asks for the body of an answer to HEAD, or for more than there is.
        if ticket.verdict().method == Method::HEAD || self.body.is_over() {
            ticket.verdict().ended = None;
        }
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
                let (tunnel, standing) = *tunnel;
                let (verdict, mut denial) = (ticket.verdict(), None);
                let refused = poll_fn(|cx| match standing.check(verdict, cx) {
                    Ok(()) => Poll::Pending,
                    Err(why) => {
                        denial = Some(why);
                        Poll::Ready(())
                    }
                });
                let traffic = tunnel.run(client, &leaving, refused).await;
                verdict.sent_bytes = traffic.down;
                verdict.received = Received::Tunnelled(traffic.up);
                verdict.ended = traffic.ended;
                standing.note(verdict);
                if let Some(denial) = denial {
                    verdict.cut(denial);
                }
            })
        }));
        Self::full(Bytes::new())
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let mut verdict = this.ticket.as_mut().map(|(ticket, _)| ticket.verdict());
        let frame = match &mut this.body {
            Kind::Full(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Kind::Streamed(flowing) => ready!(flowing.poll(verdict.as_deref_mut(), cx)),
            Kind::Tunnel(_) => None,
        };
        let Some(verdict) = verdict else {
            return Poll::Ready(frame);
        };
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let sent = &mut verdict.sent_bytes;
                *sent = sent.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
                if this.body.is_over() {
                    // The library does not ask for an end that it has been shown.
                    verdict.ended = None;
                }
            }
            Some(Err(broken)) => verdict.ended = Some(broken.ended()),
            None => verdict.ended = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Streamed(flowing) => flowing.download.is_end_stream(),
            Kind::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Kind::Full(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Kind::Streamed(flowing) => flowing.download.size_hint(),
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
