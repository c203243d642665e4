//! HTTP/2 connections to an upstream: a few a core and address, each shared by many requests.
//!
//! A request is a stream of one of them. It is given no more streams at once than the upstream
//! allows, none included; who finds all of them taken stands in line. A request that is given up is
//! reset, alone: the connection and the other requests on it live on. Of an upstream that says
//! GOAWAY nothing new is asked; what it was at goes on.
//!
//! Not here: what a stream says; that is the HTTP library's. When to open a connection is the
//! pool's.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::link::Link;
use super::place::Place;
use super::slots::Slot;
use super::{Pool, RESPONSE_HEAD_BYTES_MAX};
use crate::forward::body::Upload;

/// Most streams of one connection. What RFC 9113 §6.5.2 asks servers to allow at least.
pub(super) const STREAMS_MAX: usize = 100;
/// Most connections of one core to one address. One is as good as ten until its streams run out.
const CONNECTIONS_MAX: usize = 8;
/// How much of an answer an upstream may send before its client has taken what came before.
const STREAM_WINDOW: u32 = 64 * 1024;
/// As much for all streams together: who does not take an answer must not hold up the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 100;
/// How much of a body may wait for an upstream that does not take it.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How long a connection with requests on it may be silent before it is asked whether it is alive.
const PING_AFTER: Duration = Duration::from_secs(20);
/// Longest wait for the answer to that.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// What the HTTP library believes an upstream allows before it has said so. No upstream says this.
const UNSAID: usize = usize::MAX - 1;

/// One connection.
#[derive(Debug)]
pub(super) struct Multiplex {
    sender: SendRequest<Upload>,
    pub(super) place: Arc<Place>,
    wire: Rc<Wire>,
    streams: Cell<usize>,
    /// When its last stream ended.
    since: Cell<Instant>,
    /// Its place among the upstream's connections.
    _slot: Slot,
}

/// What the bytes of a connection tell, and the way to end it.
#[derive(Debug, Default)]
struct Wire {
    cut: Cell<bool>,
    /// Whether the other end has closed it.
    ended: Cell<bool>,
    /// Streams the other end allows.
    allowed: Cell<usize>,
    /// Told when `allowed` is known, or never will be.
    settled: Notify,
    is_settled: Cell<bool>,
    /// Whoever reads.
    reader: RefCell<Option<Waker>>,
    /// Whoever looks after the connection.
    keeper: RefCell<Option<Waker>>,
}

impl Wire {
    fn settle(&self) {
        self.is_settled.set(true);
        self.settled.notify_waiters();
    }
}

impl Multiplex {
    /// Greets the upstream and waits for its greeting, so that nothing is sent to an upstream that
    /// does not speak HTTP/2, and nothing beyond what it allows.
    ///
    /// # Errors
    ///
    /// When it does not speak HTTP/2.
    pub(super) async fn open(
        pool: &Rc<Pool>,
        link: Link,
        place: Arc<Place>,
        slot: Slot,
    ) -> io::Result<Rc<Self>> {
        let wire = Rc::new(Wire::default());
        let io = TokioIo::new(Watched {
            io: link,
            wire: Rc::clone(&wire),
        });
        // Cuts the connection if this is given up half-way.
        let mut guard = Cut(Some(Rc::clone(&wire)));
        let (sender, mut connection) = builder().handshake(io).await.map_err(io::Error::other)?;
        let (keeper, pool) = (Rc::clone(&wire), Rc::downgrade(pool));
        let keep = poll_fn(move |cx| {
            keeper.keeper.replace(Some(cx.waker().clone()));
            let done = Pin::new(&mut connection).poll(cx);
            let allowed = connection.current_max_send_streams();
            let told = keeper.allowed.replace(allowed) != allowed;
            if done.is_ready() || allowed != UNSAID {
                keeper.settle();
            }
            if let Some(pool) = pool.upgrade().filter(|_| told || done.is_ready()) {
                pool.hand_on_streams();
            }
            done
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends when its sender is dropped, by a request that is waited for or by the pool"
        )]
        tokio::task::spawn_local(async move {
            if let Err(error) = keep.await {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream ended badly");
            }
        });
        while !wire.is_settled.get() {
            wire.settled.notified().await;
        }
        if sender.is_closed() {
            return Err(io::Error::other("it does not speak HTTP/2"));
        }
        guard.0.take();
        Ok(Rc::new(Self {
            sender,
            place,
            wire,
            streams: Cell::new(0),
            since: Cell::new(Instant::now()),
            _slot: slot,
        }))
    }

    /// Whether it takes no more requests.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.place.is_gone()
    }

    /// Whether it may be closed without anybody noticing who does not look after it.
    pub(super) fn is_idle(&self) -> bool {
        self.streams.get() == 0
    }

    /// How long it has been idle, if it is.
    pub(super) fn rest(&self) -> Option<Duration> {
        self.is_idle().then(|| self.since.get().elapsed())
    }

    fn has_room(&self) -> bool {
        self.streams.get() < self.wire.allowed.get().min(STREAMS_MAX)
    }
}

impl Drop for Multiplex {
    fn drop(&mut self) {
        cut(&self.wire);
    }
}

/// Ends the connection, whatever it is at.
fn cut(wire: &Wire) {
    wire.cut.set(true);
    if let Some(reader) = wire.reader.take() {
        reader.wake();
    }
}

/// Cuts a connection when dropped.
struct Cut(Option<Rc<Wire>>);

impl Drop for Cut {
    fn drop(&mut self) {
        if let Some(wire) = &self.0 {
            cut(wire);
        }
    }
}

fn builder() -> Builder<Local> {
    let mut builder = Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_max_send_streams(UNSAID)
        .max_header_list_size(u32::try_from(RESPONSE_HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Runs the tasks of a connection on the thread of its core.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the connection it works for"
        )]
        tokio::task::spawn_local(task);
    }
}

/// A stream of a connection, lent to one request.
#[derive(Debug)]
pub(super) struct Stream {
    pool: Rc<Pool>,
    connection: Rc<Multiplex>,
    counted: Cell<bool>,
}

impl Stream {
    /// Sends a request.
    pub(super) async fn send(
        &self,
        mut request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        self.pool.dress(&mut request);
        let mut sender = self.connection.sender.clone();
        sender.try_send_request(request).await
    }

    pub(super) fn place(&self) -> &Arc<Place> {
        &self.connection.place
    }

    /// Whether the upstream said that it did not look at the request which ended so.
    pub(super) fn was_refused(&self, error: &hyper::Error) -> bool {
        let source = std::error::Error::source(error);
        let Some(error) = source.and_then(|source| source.downcast_ref::<h2::Error>()) else {
            return false;
        };
        // A stream beyond the last that a GOAWAY names ends at once. One that it was at ends with
        // the connection, and with the same words.
        let left_out = error.is_go_away() && !self.connection.wire.ended.get();
        error.is_remote() && (left_out || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    }

    /// Gives the stream up without telling anybody.
    pub(super) fn put_back(self) {
        self.end();
    }

    fn end(&self) {
        if self.counted.replace(false) {
            let left = self.connection.streams.get().saturating_sub(1);
            self.connection.streams.set(left);
            if left == 0 {
                self.connection.since.set(Instant::now());
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.counted.get() {
            self.end();
            self.pool.hand_on_streams();
        }
    }
}

/// The connections of one core to one upstream.
#[derive(Debug, Default)]
pub(super) struct Multiplexes(RefCell<Vec<Rc<Multiplex>>>);

impl Multiplexes {
    pub(super) fn add(&self, connection: Rc<Multiplex>) {
        self.0.borrow_mut().push(connection);
    }

    /// Keeps those that `keep` says. What is at work elsewhere is closed when that is over.
    pub(super) fn retain(&self, mut keep: impl FnMut(&Multiplex) -> bool) {
        self.0.borrow_mut().retain(|one| keep(one));
    }

    /// Whether another one to `place` would be of use: there are few, and all that there are have
    /// their streams taken. One that allows none at all says that the upstream wants no more.
    pub(super) fn may_grow(&self, place: &Arc<Place>) -> bool {
        let connections = self.0.borrow();
        let same = |one: &&Rc<Multiplex>| Arc::ptr_eq(&one.place, place) && !one.is_closed();
        let there: Vec<_> = connections.iter().filter(same).collect();
        there.len() < CONNECTIONS_MAX && there.iter().all(|one| one.wire.allowed.get() > 0)
    }
}

impl Pool {
    /// A stream of a connection to `place` that has one left, or to another place if there can be no
    /// more connections to this one.
    pub(super) fn claim(self: &Rc<Self>, place: &Arc<Place>) -> Option<Stream> {
        self.multiplexes.retain(|one| !one.is_closed());
        let connections = self.multiplexes.0.borrow();
        let at_place = |one: &&Rc<Multiplex>| Arc::ptr_eq(&one.place, place);
        let with_room = || connections.iter().filter(|one| one.has_room());
        let found = with_room().filter(at_place);
        let found = found.min_by_key(|one| one.streams.get()).or_else(|| {
            let grows = self.multiplexes.may_grow(place);
            let elsewhere = with_room().filter(|_| !grows);
            elsewhere.min_by_key(|one| one.streams.get())
        });
        Some(self.take_stream(found?))
    }

    /// A stream to any place that is well and not among those tried, for who would have to wait
    /// otherwise.
    pub(super) fn claim_anywhere(self: &Rc<Self>, tried: &[Arc<Place>]) -> Option<Stream> {
        let connections = self.multiplexes.0.borrow();
        let usable = connections.iter().filter(|one| {
            one.has_room()
                && one.place.is_usable()
                && !tried.iter().any(|place| Arc::ptr_eq(place, &one.place))
        });
        let found = usable.min_by_key(|one| one.streams.get());
        found.map(|connection| self.take_stream(connection))
    }

    fn take_stream(self: &Rc<Self>, connection: &Rc<Multiplex>) -> Stream {
        connection.streams.set(connection.streams.get() + 1);
        Stream {
            pool: Rc::clone(self),
            connection: Rc::clone(connection),
            counted: Cell::new(true),
        }
    }

    /// Makes an HTTP/2 message of one that was made for HTTP/1.1.
    fn dress(&self, request: &mut Request<Upload>) {
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONNECTION);
        let host = headers.remove(HOST);
        if request.uri().authority().is_some() {
            // It has been dressed before.
            return;
        }
        let stated = host.filter(|host| host != self.host());
        let stated = stated.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let scheme = match self.shared.tls {
            Some(_) => Scheme::HTTPS,
            None => Scheme::HTTP,
        };
        let path = request.uri().path_and_query().cloned();
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme);
        parts.authority = Some(stated.unwrap_or_else(|| self.authority.clone()));
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

/// Bytes of a connection that can be cut from outside, and whose keeper learns that some came.
#[derive(Debug)]
struct Watched {
    io: Link,
    wire: Rc<Wire>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.wire.cut.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        match &read {
            Poll::Pending => {
                let mut reader = self.wire.reader.borrow_mut();
                if !reader.as_ref().is_some_and(|one| one.will_wake(cx.waker())) {
                    *reader = Some(cx.waker().clone());
                }
            }
            Poll::Ready(outcome) => {
                if outcome.is_err() || buffer.filled().len() == before {
                    self.wire.ended.set(true);
                }
                if let Some(keeper) = self.wire.keeper.take() {
                    keeper.wake();
                }
            }
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.wire.cut.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.wire.cut.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.cut.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
