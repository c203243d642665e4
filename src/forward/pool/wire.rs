//! An HTTP/1.1 connection to an upstream.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::task::AbortHandle;

use super::RESPONSE_HEAD_BYTES_MAX;
use super::link::Link;
use super::place::Place;
use crate::forward::body::Upload;

/// Most fields of a response's head. Above what any API sends.
const RESPONSE_FIELDS_MAX: usize = 128;

/// Most bytes of an answer that are read at a time. The HTTP library's buffers grow with what a read
/// brings, up to 400 KiB, and stay so for as long as a client is slow to take it. It makes room for
/// twice as much as a read that filled a power of two: with a byte less, 16 KiB are held for 16 KiB.
const READ_BYTES_MAX: u64 = 16 * 1024 - 1;

/// A connection. Closed when dropped, whatever it is at: a body that nobody waits for any more, in
/// either direction, would otherwise keep it, and its place, for as long as the other end likes.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) sender: SendRequest<Upload>,
    pub(super) place: Arc<Place>,
    /// Whether a byte has come since the last request.
    pub(super) heard: Rc<Cell<bool>>,
    task: AbortHandle,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    /// Speaks HTTP/1.1 on `link`.
    pub(super) async fn open(link: Link, place: Arc<Place>) -> io::Result<Self> {
        match link {
            Link::Tcp(stream) => Self::over(stream, place).await,
            Link::Unix(stream) => Self::over(stream, place).await,
            Link::Tls(stream) => Self::over(stream, place).await,
        }
    }

    async fn over<T>(io: T, place: Arc<Place>) -> io::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let heard = Rc::new(Cell::new(false));
        let io = Sips {
            io: io.take(READ_BYTES_MAX),
            heard: Rc::clone(&heard),
        };
        let mut builder = http1::Builder::new();
        builder
            .max_headers(RESPONSE_FIELDS_MAX)
            .max_header_size(RESPONSE_HEAD_BYTES_MAX);
        let handshake = builder.handshake(TokioIo::new(io)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends when its sender is dropped, by a request that is waited for or by the pool"
        )]
        let task = tokio::task::spawn_local(async move {
            // How it ends is told to whoever waits for a response on it.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            place,
            heard,
            task: task.abort_handle(),
        })
    }
}

/// A socket that is read in small pieces, and notes that it was.
#[derive(Debug)]
struct Sips<T> {
    io: Take<T>,
    heard: Rc<Cell<bool>>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Sips<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        self.io.set_limit(READ_BYTES_MAX);
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.heard.set(true);
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Sips<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.io.get_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.io.get_mut()).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_shutdown(cx)
    }
}
