//! The body of a request on its way to the upstream: streamed, never collected.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::header::TRAILER;
use http::{HeaderName, HeaderValue, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::linger;
use super::streams::Guard;
use super::trailers::Trailers;
use crate::reason::Reason;

/// How far a request's body has come. Read by whoever waits for the answer to it.
#[derive(Debug)]
pub struct Progress {
    whole: Cell<bool>,
    starved: Cell<bool>,
    moved: Cell<Instant>,
    /// Bytes of it that were read, passed on or not.
    read: Cell<u64>,
    broke: Cell<Option<Reason>>,
    /// Why it may not go on any more.
    refused: Cell<Option<Reason>>,
    /// Whoever says whether it may go on, once the head of the answer has come: the answer's own
    /// body is not asked for while the client takes nothing.
    guard: RefCell<Option<Box<dyn Guard>>>,
    /// Whether nobody waits for the answer any more.
    abandoned: Cell<bool>,
    /// Whoever sends the body, where it can be abandoned.
    sender: RefCell<Option<Waker>>,
}

impl Progress {
    /// Of this body nothing has been read since then.
    pub fn of(body: &impl Body, since: std::time::Instant) -> Rc<Self> {
        Self::new(body.is_end_stream(), since.into())
    }

    fn new(whole: bool, since: Instant) -> Rc<Self> {
        Rc::new(Self {
            whole: Cell::new(whole),
            starved: Cell::new(false),
            moved: Cell::new(since),
            read: Cell::new(0),
            broke: Cell::new(None),
            refused: Cell::new(None),
            guard: RefCell::new(None),
            abandoned: Cell::new(false),
            sender: RefCell::new(None),
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

    /// How many bytes of it were read, passed on or not.
    pub fn read(&self) -> u64 {
        self.read.get()
    }

    /// Why it broke off, if it is the client's side that did.
    pub fn broke(&self) -> Option<Reason> {
        self.broke.get()
    }

    /// Why it was ended because it was not allowed any more.
    pub fn refused(&self) -> Option<Reason> {
        self.refused.get()
    }

    /// Has `guard` asked from now on whether the rest of it may be sent.
    pub fn hold_to(&self, guard: Box<dyn Guard>) {
        self.guard.replace(Some(guard));
        // Whoever sends it is silent perhaps, and takes a seat when asked.
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    fn check(&self, cx: &Context<'_>) -> Result<(), UploadError> {
        let guard = self.guard.borrow();
        let checked = guard.as_ref().map_or(Ok(()), |guard| guard.check(cx));
        checked.map_err(|reason| {
            self.refused.set(Some(reason));
            UploadError::Refused(reason)
        })
    }

    fn wake_by(&self, cx: &Context<'_>) {
        let mut sender = self.sender.borrow_mut();
        if sender.as_ref().is_none_or(|own| !own.will_wake(cx.waker())) {
            *sender = Some(cx.waker().clone());
        }
    }

    /// Somebody waits for the answer, perhaps not for the first time.
    pub(super) fn take_up(&self) {
        self.abandoned.set(false);
    }

    /// The answer is over or not wanted: what is left of the body is not sent. For connections that
    /// live on; others end, and the body with them.
    pub(super) fn abandon(&self) {
        if !self.whole.get() {
            self.abandoned.set(true);
            if let Some(sender) = self.sender.take() {
                sender.wake();
            }
        }
    }

    fn end(&self) {
        self.whole.set(true);
        self.starved.set(false);
    }
}

/// A request's body on its way to the upstream. Data frames pass as they come, trailers as far as
/// the route lists them.
#[derive(Debug)]
pub struct Upload {
    incoming: Option<Incoming>,
    progress: Rc<Progress>,
    bounds: Bounds,
}

/// What a request's body is held to.
#[derive(Debug)]
pub struct Bounds {
    /// Bytes that may still pass, if there is a bound.
    pub bytes: Option<u64>,
    /// The trailers that pass.
    pub trailers: Trailers,
    /// Whether it comes by HTTP/2, where a stream that was reset `NO_ERROR` looks like one that has
    /// ended.
    pub http2: bool,
}

/// Why an upload ended early.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The client's side failed.
    #[error("the client's body broke off")]
    Client(#[source] Option<hyper::Error>),
    /// The body is larger than allowed.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// Nobody waits for the answer any more.
    #[error("the answer is not waited for any more")]
    Abandoned,
    /// What it was allowed by is no more.
    #[error("the request is not allowed any more: {0}")]
    Refused(Reason),
}

impl Upload {
    /// The body of a request, which says to `progress` how far it has come.
    pub fn new(incoming: Incoming, bounds: Bounds, progress: Rc<Progress>) -> Self {
        Self {
            incoming: (!incoming.is_end_stream()).then_some(incoming),
            progress,
            bounds,
        }
    }

    /// A body without bytes, for a request that is sent again.
    pub fn empty() -> Self {
        Self {
            incoming: None,
            progress: Progress::new(true, Instant::now()),
            bounds: Bounds {
                bytes: None,
                trailers: Trailers::Stop,
                http2: false,
            },
        }
    }

    fn client_broke_off(&self, error: Option<hyper::Error>) -> UploadError {
        // Whatever is answered now, it will not be read.
        self.progress.broke.set(Some(Reason::RequestMalformed));
        UploadError::Client(error)
    }

    /// How far it has come.
    pub fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.progress)
    }

    /// Whether its stated length alone is more than may pass.
    pub fn is_too_large(&self) -> bool {
        let most = self.bounds.bytes;
        most.is_some_and(|most| self.size_hint().lower() > most)
    }

    /// Takes the body back, of which nothing was read.
    pub(super) fn take(&mut self) -> Option<Incoming> {
        self.incoming.take()
    }

    /// `Trailer` for the head it follows, if trailers may follow it.
    pub fn announcement(&self) -> Option<(HeaderName, HeaderValue)> {
        let may_follow = self.size_hint().exact().is_none();
        let names = self.bounds.trailers.announcement().filter(|_| may_follow)?;
        Some((TRAILER, names))
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
            let frame = Pin::new(&mut *incoming).poll_frame(cx);
            let ended = incoming.is_end_stream();
            self.progress.starved.set(frame.is_pending());
            if self.progress.abandoned.get() {
                return Poll::Ready(Some(Err(UploadError::Abandoned)));
            }
            self.progress.check(cx)?;
            if frame.is_pending() {
                self.progress.wake_by(cx);
            }
            let Some(frame) = ready!(frame) else {
                if self.bounds.http2 && !ended {
                    return Poll::Ready(Some(Err(self.client_broke_off(None))));
                }
                self.incoming = None;
                self.progress.end();
                return Poll::Ready(None);
            };
            self.progress.moved.set(Instant::now());
            let frame = frame.map_err(|error| self.client_broke_off(Some(error)))?;
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => match frame
                    .into_trailers()
                    .map(|names| self.bounds.trailers.admit(names))
                {
                    Ok(Some(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                    Ok(None) | Err(_) => continue,
                },
            };
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            let read = &self.progress.read;
            read.set(read.get().saturating_add(length));
            if let Some(left) = self.bounds.bytes.as_mut() {
                let Some(rest) = left.checked_sub(length) else {
                    self.progress.broke.set(Some(Reason::BodyTooLarge));
                    return Poll::Ready(Some(Err(UploadError::TooLarge)));
                };
                *left = rest;
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
        self.progress.guard.take();
        // A body of known length is dropped as soon as its last byte is out, without being asked
        // for the end it has already shown.
        if self.is_end_stream() {
            self.progress.end();
        } else if self.bounds.http2
            && self.progress.broke() != Some(Reason::RequestMalformed)
            && self.progress.refused().is_none()
            && let Some(incoming) = self.incoming.take()
        {
            linger::let_go(incoming, Version::HTTP_2);
        }
    }
}
