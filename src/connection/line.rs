//! What a request may ask of its connection beyond an answer: an interim response, and the socket
//! itself once the answer `101` is written.
//!
//! The HTTP library has no way to either that fits a connection which never leaves its core. An
//! interim response is written by the socket's wrapper, and only while the library has nothing
//! half-written; a tunnel is run by the connection, in its own task, after the library has let go.
//!
//! Not here: who may have a tunnel and what runs through it (see `forward`).

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// Most bytes of interim responses that wait to be written. A page's worth of links is a few; what
/// does not fit is left out, which an interim response may always be.
const INTERIM_BYTES_MAX: usize = 16 * 1024;

/// Both directions of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// What is done with a connection that HTTP has let go of.
pub type Tunnel = Box<dyn FnOnce(Box<dyn Stream>) -> Pin<Box<dyn Future<Output = ()>>>>;

/// The connection a request came in by, as the request may use it. Cheap to clone; never leaves its
/// core.
#[derive(Clone)]
pub struct Line(Rc<Inner>);

struct Inner {
    /// That of the request the service has now.
    version: Cell<Version>,
    /// Whether a request is with the service and has no answer yet.
    open: Cell<bool>,
    /// Whether the HTTP library has nothing half-written.
    clear: Cell<bool>,
    /// Interim responses that are still to be written.
    interim: RefCell<Vec<u8>>,
    tunnel: RefCell<Option<Tunnel>>,
    /// Whether the connection cannot carry another request behind this one.
    ends: Cell<bool>,
    drain: CancellationToken,
}

impl Line {
    /// The line of a connection on which nothing has happened yet. `drain` is heard when no new
    /// work is wanted.
    pub fn new(drain: CancellationToken) -> Self {
        Self(Rc::new(Inner {
            version: Cell::new(Version::HTTP_11),
            open: Cell::new(false),
            clear: Cell::new(true),
            interim: RefCell::default(),
            tunnel: RefCell::default(),
            ends: Cell::new(false),
            drain,
        }))
    }

    /// Sends an interim response before the answer. HTTP/1.1 only: HTTP/1.0 does not know them, and
    /// for HTTP/2 the library has no way. What cannot be written now without standing in the midst
    /// of something else is left out.
    pub fn informational(&self, status: StatusCode, headers: &HeaderMap) {
        let line = &*self.0;
        let may = line.open.get() && line.clear.get() && line.version.get() == Version::HTTP_11;
        if !may || !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let mut head = Vec::with_capacity(256);
        encode(status, headers, &mut head);
        let mut interim = line.interim.borrow_mut();
        if interim.len().saturating_add(head.len()) <= INTERIM_BYTES_MAX {
            interim.append(&mut head);
        }
    }

    /// After the answer `101` of this request is written, the socket, and what was read of it
    /// already, is handed to `tunnel`. With any other answer `tunnel` is dropped.
    pub fn hand_over(&self, tunnel: Tunnel) {
        *self.0.tunnel.borrow_mut() = Some(tunnel);
    }

    /// The connection cannot carry another request: of this one there is more to come that nobody
    /// reads. HTTP/1 only.
    pub fn ends(&self) {
        self.0.ends.set(true);
    }

    /// Whether the answer to this request is the last one.
    pub fn is_ending(&self) -> bool {
        self.0.ends.get()
    }

    /// Whether the connection speaks HTTP/1.
    pub fn is_http1(&self) -> bool {
        matches!(self.0.version.get(), Version::HTTP_10 | Version::HTTP_11)
    }

    /// Heard when no new work is wanted: a tunnel, which never ends by itself, should say goodbye.
    pub fn drain(&self) -> &CancellationToken {
        &self.0.drain
    }

    /// A request of this version goes to the service.
    pub(super) fn begins(&self, version: Version) {
        self.0.version.set(version);
        self.0.open.set(true);
        self.0.ends.set(false);
        self.0.tunnel.borrow_mut().take();
    }

    /// The request's answer has this status.
    pub(super) fn answered(&self, status: StatusCode) {
        self.0.open.set(false);
        if status != StatusCode::SWITCHING_PROTOCOLS {
            self.0.tunnel.borrow_mut().take();
        }
    }

    /// What is to be done with the connection now that HTTP has let go of it.
    pub(super) fn tunnel(&self) -> Option<Tunnel> {
        self.0.tunnel.borrow_mut().take()
    }

    /// The HTTP library has nothing left to write.
    pub(super) fn clear(&self) {
        self.0.clear.set(true);
    }

    /// The HTTP library is about to write: first what has to stand before it.
    pub(super) fn poll_write_interim<S: AsyncWrite + Unpin>(
        &self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut interim = self.0.interim.borrow_mut();
        while !interim.is_empty() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, &interim))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            interim.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    /// The HTTP library writes.
    pub(super) fn busy(&self) {
        self.0.clear.set(false);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("version", &self.0.version.get())
            .finish_non_exhaustive()
    }
}

/// The head of a response on HTTP/1.1, its blank line included.
pub(super) fn encode(status: StatusCode, headers: &HeaderMap, head: &mut Vec<u8>) {
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
}

/// A connection of which something was read already.
#[derive(Debug)]
pub struct Rewound<S> {
    ahead: Bytes,
    io: S,
    /// What reading on behind `ahead` gave; said when there is nothing before it any more.
    broken: Option<io::Error>,
}

impl<S> Rewound<S> {
    /// `io`, with `ahead` before what is still to be read of it.
    pub fn new(ahead: Bytes, io: S) -> Self {
        Self {
            ahead,
            io,
            broken: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let fits = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(self.ahead.get(..fits).unwrap_or_default());
        self.ahead.advance(fits);
        // With what is there already, since a reader that gets a head in two pieces takes twice the
        // room for it. An error is said once, and so kept; what else this says it will say again.
        if self.ahead.is_empty()
            && buffer.remaining() > 0
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.io).poll_read(cx, buffer)
        {
            self.broken = Some(error);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::AsyncReadExt;

    use super::*;

    fn written(line: &Line) -> String {
        let mut bytes = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(line.poll_write_interim(&mut bytes, &mut cx).is_ready());
        String::from_utf8(bytes).unwrap()
    }

    fn early_hints(line: &Line) {
        let mut headers = HeaderMap::new();
        headers.insert("link", "</a.css>".parse().unwrap());
        line.informational(StatusCode::EARLY_HINTS, &headers);
    }

    #[test]
    fn an_interim_response_is_written_between_answers_and_never_inside_one() {
        let line = Line::new(CancellationToken::new());
        early_hints(&line);
        assert_eq!(written(&line), "", "nobody asked yet");
        line.begins(Version::HTTP_11);
        early_hints(&line);
        let expected = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
        assert_eq!(written(&line), expected);
        line.busy();
        early_hints(&line);
        assert_eq!(written(&line), "", "an answer is half-written");
        line.clear();
        line.answered(StatusCode::OK);
        early_hints(&line);
        assert_eq!(written(&line), "", "the answer has begun");
        line.begins(Version::HTTP_10);
        early_hints(&line);
        assert_eq!(written(&line), "", "HTTP/1.0 knows none");
    }

    #[test]
    fn what_is_not_interim_is_never_written_and_too_much_is_left_out() {
        let line = Line::new(CancellationToken::new());
        line.begins(Version::HTTP_11);
        line.informational(StatusCode::OK, &HeaderMap::new());
        line.informational(StatusCode::SWITCHING_PROTOCOLS, &HeaderMap::new());
        assert_eq!(written(&line), "");
        for _ in 0..INTERIM_BYTES_MAX {
            early_hints(&line);
        }
        assert!(written(&line).len() <= INTERIM_BYTES_MAX);
    }

    #[test]
    fn a_tunnel_waits_for_its_own_answer_and_for_no_other() {
        let line = Line::new(CancellationToken::new());
        let tunnel = || -> Tunnel { Box::new(|_| Box::pin(async {})) };
        for (status, kept) in [(101, true), (200, false)] {
            line.begins(Version::HTTP_11);
            line.hand_over(tunnel());
            line.answered(StatusCode::from_u16(status).unwrap());
            assert_eq!(line.tunnel().is_some(), kept, "{status}");
        }
        line.hand_over(tunnel());
        line.begins(Version::HTTP_11);
        assert!(line.tunnel().is_none());
    }

    #[tokio::test]
    async fn an_error_behind_what_was_read_ahead_is_not_lost() {
        /// Says once that it was reset, and then that it has ended.
        struct Reset(bool);
        impl AsyncRead for Reset {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                _: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let was_said = std::mem::replace(&mut self.0, true).then_some(());
                Poll::Ready(was_said.ok_or_else(|| io::ErrorKind::ConnectionReset.into()))
            }
        }
        let mut stream = Rewound::new(Bytes::from_static(b"ab"), Reset(false));
        let mut read = Vec::new();
        let error = stream.read_to_end(&mut read).await.unwrap_err();
        assert_eq!(read, b"ab");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_was_read_ahead_comes_first() {
        let mut stream = Rewound::new(Bytes::from_static(b"ab"), &b"cd"[..]);
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "abcd");
    }
}
