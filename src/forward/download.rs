//! The body of an answer on its way to the client: streamed, never collected.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::body::Progress;
use super::pool::{Lease, Measured};
use super::trailers::Trailers;
use super::upgrade::Driver;

/// The connection an answer comes by. Closed when dropped.
#[derive(Debug)]
pub(super) enum Source {
    /// One that may carry another request.
    Lent(Lease),
    /// One that was for this request alone.
    Single(#[expect(dead_code, reason = "held until the body has ended")] Driver),
}

/// How an upstream's body comes.
#[derive(Debug)]
pub(super) enum Inflow {
    /// Through the HTTP library.
    Library(Incoming),
    /// From the connection itself, with a length that was stated.
    Plain(Measured),
}

impl Inflow {
    /// Whether nothing more comes.
    fn is_over(&self) -> bool {
        match self {
            Self::Library(incoming) => incoming.is_end_stream(),
            Self::Plain(body) => body.left() == 0,
        }
    }

    /// How many bytes come.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Library(incoming) => incoming.size_hint(),
            Self::Plain(body) => SizeHint::with_exact(body.left()),
        }
    }
}

/// An upstream's body on its way to the client. Holds the connection it comes by, and gives it back
/// when the body has ended cleanly, and not otherwise.
#[derive(Debug)]
pub struct Download {
    incoming: Inflow,
    source: Option<Source>,
    flow: Flow,
}

/// What an answer's body is held to.
#[derive(Debug)]
pub(super) struct Flow {
    /// The trailers that pass.
    pub(super) trailers: Trailers,
    /// How far the request's body has come, which may go on beside it.
    pub(super) upload: Rc<Progress>,
    /// Longest silence inside it.
    pub(super) idle: Duration,
}

impl Download {
    /// The body of a response that came from `source`.
    pub(super) fn new(incoming: Inflow, source: Source, flow: Flow) -> Self {
        let mut download = Self {
            incoming,
            source: Some(source),
            flow,
        };
        if download.incoming.is_over() {
            download.ended();
        }
        download
    }

    /// Longest silence inside it.
    pub fn idle(&self) -> Duration {
        self.flow.idle
    }

    /// Whether the request's body moved lately: then there is no silence.
    pub fn is_fed(&self) -> bool {
        let upload = &self.flow.upload;
        !upload.is_whole() && upload.moved().elapsed() < self.flow.idle
    }

    /// Whether all of its bytes have come.
    pub fn is_over(&self) -> bool {
        self.incoming.is_over() || self.incoming.size_hint().exact() == Some(0)
    }

    fn ended(&mut self) {
        if let Some(Source::Lent(lease)) = self.source.take() {
            lease.give_back();
        }
    }

    /// Whether the body stopped before its end. With HTTP/2 an upstream may reset a stream in words
    /// that the HTTP library takes for its end; it may mean that after a whole answer only, to be
    /// spared the rest of a request.
    fn is_cut_short(&self) -> bool {
        let Some(Source::Lent(lease)) = &self.source else {
            return false;
        };
        let lacks = |left: u64| left > 0;
        let is_short = self.incoming.size_hint().exact().is_some_and(lacks);
        lease.is_http2() && !self.is_over() && (is_short || lease.was_sent_whole())
    }
}

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The connection ended, or what came by it was no body.
    #[error("the upstream's body broke off")]
    Upstream(#[source] hyper::Error),
    /// The same, of a connection that is read without the library.
    #[error("the upstream's body broke off")]
    Broken(#[source] io::Error),
    /// The upstream stopped before the end.
    #[error("the upstream stopped before the end of its body")]
    CutShort,
}

impl Download {
    /// The next part, as it comes.
    fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        match (&mut self.incoming, &mut self.source) {
            (Inflow::Library(incoming), _) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(DownloadError::Upstream)))
            }
            (Inflow::Plain(body), Some(Source::Lent(lease))) => {
                let part = ready!(lease.poll_part(cx, body)).transpose();
                let frame = part.map(|part| part.map(Frame::data));
                Poll::Ready(frame.map(|frame| frame.map_err(DownloadError::Broken)))
            }
            // Its connection was given back, so it is over.
            (Inflow::Plain(_), Some(Source::Single(_)) | None) => Poll::Ready(None),
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        loop {
            match ready!(self.poll_part(cx)) {
                Some(Ok(frame)) => {
                    if self.incoming.is_over() {
                        self.ended();
                    }
                    let frame = match frame.into_data() {
                        Ok(data) => Some(Frame::data(data)),
                        Err(frame) => {
                            let trailers = frame.into_trailers().unwrap_or_default();
                            self.flow.trailers.admit(trailers).map(Frame::trailers)
                        }
                    };
                    if let Some(frame) = frame {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.is_cut_short() => {
                    return Poll::Ready(Some(Err(DownloadError::CutShort)));
                }
                None => {
                    self.ended();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
