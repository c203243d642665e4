//! What a client may keep waiting: the time for a head, for the next request, for taking a byte.
//!
//! The socket is wrapped, and the wrapper notes when the client owes us something; the service and
//! its answers note where the request is. One timer a connection looks at the notes now and then:
//! nothing that begins after a look can be overdue before the shortest limit is over, so looking
//! again by then (or when what is owed now is due) misses nothing, and no request sets a timer.
//!
//! Not here: silence inside a request's body, which is seen where the body is read.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use tokio::io::AsyncWrite;
use tokio::time::{Instant, sleep_until};

use super::line::Line;
use super::watched::Notes;
use crate::settings::ListenerLimits;

/// While so many bytes of an answer are left that the socket did not take, its body is not asked for
/// more: half of what is read of an upstream at a time. The HTTP library's own bound is its buffer
/// for heads as well, and that is larger. As long as everything is taken this bounds nothing.
const UNSENT_BYTES_MAX: usize = 8 * 1024;

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
    /// Whether the last request had a body.
    bodied: Cell<bool>,
    /// The last bytes that arrived.
    tail: Cell<[u8; 3]>,
    /// Until when the client has to take a byte, while it takes none and there are some.
    taking: Cell<Option<Instant>>,
    /// Whether what the HTTP library writes belongs to an answer of ours. If not, it is its own
    /// answer to what it cannot parse, and does not go out: we have a better one.
    answers: Cell<bool>,
    refused: Cell<bool>,
    /// Whether the head that is arriving began with a request line that holds a `#`.
    fragment: Cell<bool>,
    /// When the first byte came, if somebody else has read it and it is still to be seen here.
    first: Cell<Option<Instant>>,
    /// Bytes of the answer that the HTTP library has and the socket has not; fewer by those of its
    /// head at most.
    unsent: Cell<usize>,
    /// Whoever asks for more of it before there is room.
    sender: RefCell<Option<Waker>>,
    line: Line,
}

impl Watch {
    /// Notes on a connection that begins now. Its first request has to come as soon as a head has
    /// to be whole: a connection is not for resting before it was of use. `first` is when its first
    /// byte came, if somebody has looked at it already.
    pub(super) fn new(limits: &ListenerLimits, line: Line, first: Option<Instant>) -> Rc<Self> {
        Rc::new(Self {
            head: limits.header_timeout,
            rest: limits.keep_alive,
            take: limits.write_idle,
            side: Cell::new(Side::Resting(Instant::now() + limits.header_timeout)),
            used: Cell::new(false),
            bodied: Cell::new(false),
            tail: Cell::new([0; 3]),
            taking: Cell::new(None),
            answers: Cell::new(false),
            refused: Cell::new(false),
            fragment: Cell::new(false),
            first: Cell::new(first),
            unsent: Cell::new(0),
            sender: RefCell::default(),
            line,
        })
    }

    /// A request was handed to the service.
    pub(super) fn begins(&self, has_body: bool) {
        self.used.set(true);
        self.bodied.set(has_body);
        self.answers.set(true);
        self.side.set(match self.tail.get() {
            _ if has_body => Side::Body,
            // What arrived last ended a head: this one, or a later one that is handed over in time.
            tail if ends_a_head(tail) => Side::Waiting,
            _ => Side::Ahead,
        });
    }

    /// Whether a request has come.
    pub(super) fn is_used(&self) -> bool {
        self.used.get()
    }

    /// Whether the last request had a body, which may not have been read to its end.
    pub(super) fn had_body(&self) -> bool {
        self.bodied.get()
    }

    /// Whether the target of the request that begins had a fragment, as far as its line came in one
    /// piece and not behind another request. Asked once.
    pub(super) fn had_fragment(&self) -> bool {
        self.fragment.take()
    }

    /// Whether the HTTP library refused what came, and its own answer was kept back.
    pub(super) fn has_refused(&self) -> bool {
        self.refused.get()
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

    /// Whether no more of the answer is to be handed over; whoever asks is woken when there is.
    fn is_full(&self, cx: &Context<'_>) -> bool {
        let full = self.taking.get().is_some() && self.unsent.get() >= UNSENT_BYTES_MAX;
        if full {
            self.sender.replace(Some(cx.waker().clone()));
        }
        full
    }

    /// So many bytes of the answer were handed to the HTTP library.
    fn gave(&self, bytes: usize) {
        self.unsent.set(self.unsent.get().saturating_add(bytes));
    }

    /// So many bytes at most are with the HTTP library.
    fn left(&self, bytes: usize) {
        self.unsent.set(bytes);
        if bytes < UNSENT_BYTES_MAX
            && let Some(sender) = self.sender.take()
        {
            sender.wake();
        }
    }

    /// Bytes arrived.
    fn saw(&self, bytes: &[u8]) {
        let mut tail = self.tail.get();
        for byte in bytes.iter().skip(bytes.len().saturating_sub(tail.len())) {
            tail.rotate_left(1);
            tail[2] = *byte;
        }
        self.tail.set(tail);
        match self.side.get() {
            Side::Resting(_) => {
                self.fragment.set(has_fragment(bytes));
                let first = self.first.take();
                if ends_a_head(tail) {
                    // All of it is here, so nothing of it can be late: no clock is asked. If it is
                    // less than it seems, blank lines say, the client still rests.
                    return;
                }
                let began = first.unwrap_or_else(Instant::now);
                self.side.set(Side::Head(began + self.head));
            }
            Side::Waiting => self.side.set(Side::Ahead),
            Side::Head(_) | Side::Body | Side::Ahead => {}
        }
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

impl Notes for Watch {
    fn arrived(&self, bytes: &[u8]) -> io::Result<()> {
        self.saw(bytes);
        Ok(())
    }

    fn tried(&self, taken: bool) {
        if taken {
            self.taking.set(None);
        } else if self.taking.get().is_none() {
            self.taking.set(Some(Instant::now() + self.take));
        }
    }

    fn wrote(&self, bytes: &[u8]) {
        self.left(self.unsent.get().saturating_sub(bytes.len()));
    }

    fn poll_ahead<S: AsyncWrite + Unpin>(
        &self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.poll_write_interim(io, cx)
    }

    fn writes(&self) -> bool {
        if !self.answers.get() {
            self.refused.set(true);
            return false;
        }
        self.line.busy();
        true
    }

    fn flushes(&self) {
        self.line.clear();
        self.left(0);
        if let Side::Resting(_) | Side::Head(_) = self.side.get() {
            self.answers.set(false);
        }
    }

    fn shuts(&self) -> bool {
        !self.refused.get()
    }
}

/// Whether these last bytes end a head.
fn ends_a_head(tail: [u8; 3]) -> bool {
    matches!(tail, [_, b'\n', b'\n'] | [b'\n', b'\r', b'\n'])
}

/// Whether the request line at the start of `bytes` holds a `#`. Mostly there is none at all, which
/// is seen fastest.
fn has_fragment(bytes: &[u8]) -> bool {
    bytes.contains(&b'#') && {
        let line = bytes
            .split(|byte| *byte == b'\n')
            .find(|line| line.len() > 1);
        line.is_some_and(|line| line.contains(&b'#'))
    }
}

/// The body of an answer, which notes its end, and waits for the client.
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
        if self.watch.is_full(cx) {
            return Poll::Pending;
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(part))) = &frame {
            let length = part.data_ref().map_or(0, Buf::remaining);
            self.watch.gave(length);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
