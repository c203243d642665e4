//! Bodies on their way through: streamed, never collected, trailers dropped.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::pool::Lease;

/// How far a request's body has come. Read by whoever waits for the answer to it.
#[derive(Debug)]
pub struct Progress {
    whole: Cell<bool>,
    starved: Cell<bool>,
    moved: Cell<Instant>,
}

impl Progress {
    fn new(whole: bool) -> Rc<Self> {
        Rc::new(Self {
            whole: Cell::new(whole),
            starved: Cell::new(false),
            moved: Cell::new(Instant::now()),
        })
    }

    /// Whether all of it was handed to the upstream.
    pub fn is_whole(&self) -> bool {
        self.whole.get()
    }

    /// Whether the upstream would take more and the client has not sent it.
    pub fn is_starved(&self) -> bool {
        self.starved.get()
    }

    /// When the last part of it went on; before the first one, when it began.
    pub fn moved(&self) -> Instant {
        self.moved.get()
    }

    fn end(&self) {
        self.whole.set(true);
        self.starved.set(false);
    }
}

/// A request's body on its way to the upstream. Data frames pass as they come; trailers do not
/// pass, because an upstream may take them for headers nobody decided on.
#[derive(Debug)]
pub struct Upload {
    incoming: Option<Incoming>,
    progress: Rc<Progress>,
    /// Bytes that may still pass, if there is a bound.
    left: Option<u64>,
}

/// Why an upload ended early.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The client's side failed.
    #[error("the client's body broke off")]
    Client(#[source] hyper::Error),
    /// The body is larger than allowed.
    #[error("the body is larger than allowed")]
    TooLarge,
}

impl Upload {
    /// The body of a request of at most `limit` bytes, and how far it has come.
    pub fn new(incoming: Incoming, limit: Option<u64>) -> (Self, Rc<Progress>) {
        let empty = incoming.is_end_stream();
        let progress = Progress::new(empty);
        let incoming = (!empty).then_some(incoming);
        (
            Self {
                incoming,
                progress: Rc::clone(&progress),
                left: limit,
            },
            progress,
        )
    }

    /// A body without bytes, for a request that is sent again.
    pub fn empty() -> Self {
        Self {
            incoming: None,
            progress: Progress::new(true),
            left: None,
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        loop {
            let Some(incoming) = self.incoming.as_mut() else {
                return Poll::Ready(None);
            };
            let frame = Pin::new(incoming).poll_frame(cx);
            self.progress.starved.set(frame.is_pending());
            let Some(frame) = ready!(frame) else {
                self.incoming = None;
                self.progress.end();
                return Poll::Ready(None);
            };
            self.progress.moved.set(Instant::now());
            let frame = frame.map_err(UploadError::Client)?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if let Some(left) = self.left.as_mut() {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                *left = left.checked_sub(length).ok_or(UploadError::TooLarge)?;
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A body of known length is dropped as soon as its last byte is out, without being asked
        // for the end it has already shown.
        if self.is_end_stream() {
            self.progress.end();
        }
    }
}

/// An upstream's body on its way to the client. Holds the lease of the connection it comes by, and
/// gives it back when the body has ended cleanly, and not otherwise.
#[derive(Debug)]
pub struct Download {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl Download {
    /// The body of a response that came by `lease`.
    pub fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut download = Self {
            incoming,
            lease: Some(lease),
        };
        if download.incoming.is_end_stream() {
            download.ended();
        }
        download
    }

    fn ended(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
            match frame {
                Some(Ok(frame)) if frame.is_trailers() => {}
                Some(Ok(frame)) => {
                    if self.incoming.is_end_stream() {
                        self.ended();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.ended();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
