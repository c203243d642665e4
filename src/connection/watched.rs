//! A socket that tells what goes through it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Who is told.
pub(super) trait Notes {
    /// Bytes arrived.
    ///
    /// # Errors
    ///
    /// When there were too many of a kind that moves nothing: the connection is not to go on.
    fn arrived(&self, bytes: &[u8]) -> io::Result<()>;

    /// A write was tried; the client took something, or it did not.
    fn tried(&self, taken: bool);

    /// These bytes went out.
    fn wrote(&self, _bytes: &[u8]) {}

    /// Writes what has to stand before what the HTTP library is about to write.
    fn poll_ahead<S: AsyncWrite + Unpin>(
        &self,
        _io: &mut S,
        _cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The HTTP library writes. Says whether what it writes goes out.
    fn writes(&self) -> bool {
        true
    }

    /// The HTTP library has nothing left to write.
    fn flushes(&self) {}

    /// The HTTP library ends the connection. Says whether it may.
    fn shuts(&self) -> bool {
        true
    }
}

/// Most bytes in several parts that are put together before they are written: a small answer, head and
/// body. To copy so few costs less than to have the system read a list of parts.
const JOINT_BYTES_MAX: usize = 4 * 1024;

/// Room for parts that are put together.
type Joint = SmallVec<[u8; JOINT_BYTES_MAX]>;

/// The parts as one, if they are small or there is only one.
fn joined<'b>(parts: &'b [IoSlice<'_>], joint: &'b mut Joint) -> Option<&'b [u8]> {
    if let [only] = parts {
        return Some(only);
    }
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    if length > JOINT_BYTES_MAX {
        return None;
    }
    for part in parts {
        joint.extend_from_slice(part);
    }
    Some(joint)
}

/// A socket that tells what goes through it.
#[derive(Debug)]
pub(super) struct Watched<S, N> {
    io: S,
    notes: Rc<N>,
}

impl<S, N> Watched<S, N> {
    pub(super) fn new(io: S, notes: Rc<N>) -> Self {
        Self { io, notes }
    }

    pub(super) fn into_inner(self) -> S {
        self.io
    }
}

impl<S, N: Notes> Watched<S, N> {
    fn tried<T>(&self, poll: Poll<T>) -> Poll<T> {
        self.notes.tried(poll.is_ready());
        poll
    }
}

impl<S: AsyncWrite + Unpin, N: Notes> Watched<S, N> {
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ahead = self.notes.poll_ahead(&mut self.io, cx);
        if ahead.is_pending() {
            self.notes.tried(false);
        }
        ahead
    }
}

impl<S: AsyncRead + Unpin, N: Notes> AsyncRead for Watched<S, N> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Some(bytes @ [_, ..]) = buffer.filled().get(before..) {
            self.notes.arrived(bytes)?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin, N: Notes> AsyncWrite for Watched<S, N> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_ahead(cx))?;
        if !self.notes.writes() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = &written {
            self.notes.wrote(bytes.get(..*length).unwrap_or_default());
        }
        self.tried(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_ahead(cx))?;
        if !self.notes.writes() {
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        let mut joint = Joint::new();
        let written = match joined(parts, &mut joint) {
            Some(whole) => Pin::new(&mut self.io).poll_write(cx, whole),
            None => Pin::new(&mut self.io).poll_write_vectored(cx, parts),
        };
        if let Poll::Ready(Ok(length)) = &written {
            let mut left = *length;
            for part in parts {
                let wrote = left.min(part.len());
                self.notes.wrote(part.get(..wrote).unwrap_or_default());
                left -= wrote;
            }
        }
        self.tried(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// The HTTP libraries flush only when they have nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ahead(cx))?;
        self.notes.flushes();
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.tried(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.notes.shuts() {
            return Poll::Ready(Ok(()));
        }
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.tried(shut)
    }
}
