//! What a client may keep waiting: the time for a head, for the next request, for taking a byte.
//!
//! The socket is wrapped, and the wrapper notes when the client owes us something; the service and
//! its answers note where the request is. One timer a connection looks at the notes now and then:
//! nothing that begins after a look can be overdue before the shortest limit is over, so looking
//! again by then (or when what is owed now is due) misses nothing, and no request sets a timer.
//!
//! Not here: silence inside a request's body, which is seen where the body is read.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::line::Line;
use crate::settings::ListenerLimits;

/// What has lasted too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The next request: the client rests.
    Request,
    /// The rest of a head.
    Head,
    /// The taking of a byte.
    Taking,
}

/// Where the client's side of the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Between two requests, which may last until then.
    Resting(Instant),
    /// Inside a head, which has to be whole by then.
    Head(Instant),
    /// A request with a body is with the service. What arrives is its body, and with its last bytes
    /// perhaps the first of another head; those count as a rest until the next byte comes.
    Body,
    /// A request without a body is with the service.
    Waiting,
    /// The same, and bytes of the next head are here already. Their time runs from the answer's end.
    Ahead,
}

/// The notes on one connection.
#[derive(Debug)]
pub(super) struct Watch {
    head: Duration,
    rest: Duration,
    take: Duration,
    side: Cell<Side>,
    /// Whether a request has come.
    used: Cell<bool>,
    /// The last bytes that arrived.
    tail: Cell<[u8; 3]>,
    /// Until when the client has to take a byte, while it takes none and there are some.
    taking: Cell<Option<Instant>>,
}

impl Watch {
    /// Notes on a connection that begins now. Its first request has to come as soon as a head has
    /// to be whole: a connection is not for resting before it was of use.
    pub(super) fn new(limits: &ListenerLimits) -> Rc<Self> {
        Rc::new(Self {
            head: limits.header_timeout,
            rest: limits.keep_alive,
            take: limits.write_idle,
            side: Cell::new(Side::Resting(Instant::now() + limits.header_timeout)),
            used: Cell::new(false),
            tail: Cell::new([0; 3]),
            taking: Cell::new(None),
        })
    }

    /// A request was handed to the service.
    pub(super) fn begins(&self, has_body: bool) {
        self.used.set(true);
        self.side.set(match self.tail.get() {
            _ if has_body => Side::Body,
            // What arrived last ended a head: this one, or a later one that is handed over in time.
            [_, b'\n', b'\n'] | [b'\n', b'\r', b'\n'] => Side::Waiting,
            _ => Side::Ahead,
        });
    }

    /// Whether a request has come.
    pub(super) fn is_used(&self) -> bool {
        self.used.get()
    }

    /// The answer's last byte is with the HTTP library.
    fn ends(&self) {
        let side = match self.side.get() {
            Side::Ahead => Side::Head(Instant::now() + self.head),
            Side::Body | Side::Waiting => Side::Resting(Instant::now() + self.rest),
            side @ (Side::Resting(_) | Side::Head(_)) => side,
        };
        self.side.set(side);
    }

    /// Bytes arrived.
    fn arrived(&self, bytes: &[u8]) {
        let mut tail = self.tail.get();
        for byte in bytes.iter().skip(bytes.len().saturating_sub(tail.len())) {
            tail.rotate_left(1);
            tail[2] = *byte;
        }
        self.tail.set(tail);
        match self.side.get() {
            Side::Resting(_) => self.side.set(Side::Head(Instant::now() + self.head)),
            Side::Waiting => self.side.set(Side::Ahead),
            Side::Head(_) | Side::Body | Side::Ahead => {}
        }
    }

    /// A write was tried.
    fn taken<T>(&self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.taking.set(None);
        } else if self.taking.get().is_none() {
            self.taking.set(Some(Instant::now() + self.take));
        }
        poll
    }

    /// What the client owes, and until when. While it takes no bytes there is nothing else to ask of
    /// it: a head that comes meanwhile may wait in our buffers for as long.
    fn owed(&self) -> Option<(Instant, Overdue)> {
        if let Some(until) = self.taking.get() {
            return Some((until, Overdue::Taking));
        }
        match self.side.get() {
            Side::Resting(until) => Some((until, Overdue::Request)),
            Side::Head(until) => Some((until, Overdue::Head)),
            Side::Body | Side::Waiting | Side::Ahead => None,
        }
    }

    /// Waits until something is overdue.
    pub(super) async fn overdue(&self) -> Overdue {
        let shortest = self.head.min(self.rest).min(self.take);
        loop {
            let now = Instant::now();
            let mut look = now + shortest;
            if let Some((until, what)) = self.owed() {
                if until <= now {
                    return what;
                }
                look = look.min(until);
            }
            sleep_until(look).await;
        }
    }

    /// Gives a connection that was told to end as long as a head may take.
    pub(super) fn leaves(&self) {
        if let Side::Resting(_) = self.side.get() {
            self.side.set(Side::Resting(Instant::now() + self.head));
        }
    }
}

/// A socket that notes what goes through it.
#[derive(Debug)]
pub(super) struct Watched<S> {
    io: S,
    watch: Rc<Watch>,
    line: Line,
}

impl<S> Watched<S> {
    pub(super) fn new(io: S, watch: Rc<Watch>, line: Line) -> Self {
        Self { io, watch, line }
    }

    pub(super) fn into_inner(self) -> S {
        self.io
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Some(bytes @ [_, ..]) = buffer.filled().get(before..) {
            self.watch.arrived(bytes);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Writes what has to stand before what the HTTP library is about to write.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ahead = self.line.poll_write_interim(&mut self.io, cx);
        match ahead {
            Poll::Ready(_) => ahead,
            Poll::Pending => self.watch.taken(ahead),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_ahead(cx))?;
        self.line.busy();
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch.taken(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_ahead(cx))?;
        self.line.busy();
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
        self.watch.taken(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// The HTTP library flushes only when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ahead(cx))?;
        self.line.clear();
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch.taken(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch.taken(shut)
    }
}

/// The body of an answer, which notes its end.
#[derive(Debug)]
pub(super) struct Ending<B> {
    body: B,
    watch: Rc<Watch>,
}

impl<B> Ending<B> {
    pub(super) fn new(body: B, watch: Rc<Watch>) -> Self {
        Self { body, watch }
    }
}

impl<B> Drop for Ending<B> {
    fn drop(&mut self) {
        self.watch.ends();
    }
}

impl<B: Body + Unpin> Body for Ending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Rc<Watch> {
        Watch::new(&ListenerLimits {
            header_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            write_idle: Duration::from_secs(60),
            ..ListenerLimits::default()
        })
    }

    async fn overdue(watch: &Watch) -> (Overdue, u64) {
        let started = Instant::now();
        let what = watch.overdue().await;
        (what, started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrived_behind_a_request_begins_the_next_head() {
        const HEAD: &str = "GET / HTTP/1.1\r\n\r\n";
        for (parts, then, expected) in [
            ([HEAD, ""], "", (Overdue::Request, 75)),
            (["GET / HTTP/1.1\n\n", ""], "", (Overdue::Request, 75)),
            (["GET / HTTP/1.1\r\n", "\r\n"], "", (Overdue::Request, 75)),
            (["GET / HTTP/1.1\r\n\r", "\n"], "", (Overdue::Request, 75)),
            (["GET / HTTP/1.1\r\n\r\nG", ""], "", (Overdue::Head, 10)),
            ([HEAD, ""], "G", (Overdue::Head, 10)),
        ] {
            let watch = watch();
            for part in parts {
                watch.arrived(part.as_bytes());
            }
            watch.begins(false);
            if !then.is_empty() {
                watch.arrived(then.as_bytes());
            }
            watch.ends();
            assert_eq!(overdue(&watch).await, expected, "{parts:?} {then:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn limits_hold_to_the_second_whenever_they_begin() {
        let watch = watch();
        assert_eq!(overdue(&watch).await, (Overdue::Request, 10));
        watch.begins(true);
        let later = async {
            tokio::time::sleep(Duration::from_secs(33)).await;
            let _ = watch.taken::<()>(Poll::Pending);
            let _ = watch.taken::<()>(Poll::Pending);
            tokio::time::sleep(Duration::from_secs(59)).await;
            let _ = watch.taken(Poll::Ready(Ok(())));
            tokio::time::sleep(Duration::from_secs(1)).await;
            watch.ends();
            watch.arrived(b"GET");
            tokio::time::sleep(Duration::from_secs(9)).await;
            watch.arrived(b" ");
        };
        let (what, ()) = tokio::join!(overdue(&watch), later);
        assert_eq!(what, (Overdue::Head, 33 + 59 + 1 + 10));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_no_byte_owes_nothing_else_first() {
        let watch = watch();
        watch.arrived(b"GET");
        let _ = watch.taken::<()>(Poll::Pending);
        assert_eq!(overdue(&watch).await, (Overdue::Taking, 60));
    }
}
