//! An HTTP/1.1 connection to an upstream, and who reads it.
//!
//! It begins with whoever waits for an answer (see [`super::plain`]). With the first request that has a
//! body, and the first answer that is not of the plainest kind, it goes to the HTTP library, which
//! knows everything, and stays there. Of such an answer the library sees every byte, and believes to
//! have sent the request: what it writes of that is withheld.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::task::AbortHandle;

use super::RESPONSE_HEAD_BYTES_MAX;
use super::link::Link;
use super::place::Place;
use super::plain::Plain;
use crate::connection::line::Rewound;
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
    pub(super) place: Arc<Place>,
    reader: Reader,
}

/// Who reads what comes by a connection.
#[derive(Debug)]
enum Reader {
    /// Whoever waits for it: see [`super::plain`].
    Waiter(Box<Plain>),
    /// The HTTP library, in a task of its own.
    Library(Library),
    /// Nobody: it broke on its way from the one to the other.
    Nobody,
}

/// A connection that the HTTP library runs.
#[derive(Debug)]
pub(super) struct Library {
    sender: SendRequest<Upload>,
    notes: Rc<Notes>,
    task: AbortHandle,
}

impl Drop for Library {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    /// Speaks HTTP/1.1 on `link`.
    pub(super) fn open(link: Link, place: Arc<Place>) -> Self {
        let reader = Reader::Waiter(Box::new(Plain::new(link)));
        Self { place, reader }
    }

    /// The connection, if whoever waits for an answer reads it.
    pub(super) fn plain(&mut self) -> Option<&mut Plain> {
        match &mut self.reader {
            Reader::Waiter(plain) => Some(plain),
            Reader::Library(_) | Reader::Nobody => None,
        }
    }

    /// The connection in the hands of the library, where it stays from now on.
    ///
    /// # Errors
    ///
    /// What the library says.
    pub(super) async fn library(&mut self) -> io::Result<&mut Library> {
        self.reader = match std::mem::replace(&mut self.reader, Reader::Nobody) {
            Reader::Waiter(plain) => {
                let (link, ahead) = plain.take();
                Reader::Library(Library::open(link, ahead).await?)
            }
            reader @ (Reader::Library(_) | Reader::Nobody) => reader,
        };
        match &mut self.reader {
            Reader::Library(library) => Ok(library),
            Reader::Waiter(_) | Reader::Nobody => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether a byte has come since the last request.
    pub(super) fn has_heard(&self) -> bool {
        match &self.reader {
            Reader::Waiter(plain) => plain.has_heard(),
            Reader::Library(library) => library.notes.heard.get(),
            Reader::Nobody => false,
        }
    }

    /// Whether it is closed, as far as is known.
    pub(super) fn is_closed(&mut self) -> bool {
        match &mut self.reader {
            Reader::Waiter(plain) => !plain.is_ready(),
            Reader::Library(library) => library.sender.is_closed(),
            Reader::Nobody => true,
        }
    }

    /// Waits until the library has seen the end of the last request, if it has the connection; says
    /// whether another can follow.
    pub(super) async fn is_ready(&mut self) -> bool {
        match &mut self.reader {
            Reader::Waiter(plain) => plain.is_ready(),
            Reader::Library(library) => {
                !library.sender.is_closed() && library.sender.ready().await.is_ok()
            }
            Reader::Nobody => false,
        }
    }
}

impl Library {
    /// Has the library speak HTTP/1.1 on `link`, of which `ahead` was read already.
    async fn open(link: Link, ahead: Bytes) -> io::Result<Self> {
        match link {
            Link::Tcp(stream) => Self::over(Rewound::new(ahead, stream)).await,
            Link::Unix(stream) => Self::over(Rewound::new(ahead, stream)).await,
            Link::Tls(stream) => Self::over(Rewound::new(ahead, stream)).await,
        }
    }

    async fn over<T>(io: T) -> io::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let notes = Rc::new(Notes::default());
        let io = Sips {
            io: io.take(READ_BYTES_MAX),
            notes: Rc::clone(&notes),
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
            notes,
            task: task.abort_handle(),
        })
    }

    /// Sends a request. If `went_out` it was sent before, and its answer is about to be read.
    ///
    /// # Errors
    ///
    /// What the library says, with the request if not a byte of it was written.
    pub(super) async fn send(
        &mut self,
        request: Request<Upload>,
        went_out: bool,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        self.notes.heard.set(false);
        self.notes.writes.set(if went_out {
            Writes::Withheld
        } else {
            Writes::Pass
        });
        self.sender.try_send_request(request).await
    }
}

/// What the socket's wrapper and the connection's owner tell each other.
#[derive(Debug, Default)]
struct Notes {
    /// Whether a byte has come since the last request.
    heard: Cell<bool>,
    writes: Cell<Writes>,
    /// Whoever reads before it has written.
    reader: RefCell<Option<Waker>>,
}

/// What becomes of the bytes the library writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Writes {
    /// They go out.
    #[default]
    Pass,
    /// They went out before the library had the connection, and are withheld. Until they are written
    /// there is nothing to read: an answer ahead of its request would be none.
    Withheld,
    /// They were withheld, and the answer may be read.
    Done,
}

impl Notes {
    /// Whether what is written is withheld.
    fn withholds(&self) -> bool {
        self.writes.get() != Writes::Pass
    }

    /// Whether there is nothing to read yet; whoever asks is woken when there is.
    fn is_early(&self, cx: &Context<'_>) -> bool {
        let is_early = self.writes.get() == Writes::Withheld;
        if is_early {
            self.reader.replace(Some(cx.waker().clone()));
        }
        is_early
    }

    /// All is written.
    fn flushed(&self) {
        if self.writes.get() == Writes::Withheld {
            self.writes.set(Writes::Done);
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
    }
}

/// A socket that is read in small pieces, and notes that it was.
#[derive(Debug)]
struct Sips<T> {
    io: Take<T>,
    notes: Rc<Notes>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Sips<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.notes.is_early(cx) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        self.io.set_limit(READ_BYTES_MAX);
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.notes.heard.set(true);
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
        if self.notes.withholds() {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(self.io.get_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.notes.withholds() {
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        Pin::new(self.io.get_mut()).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.notes.flushed();
        Pin::new(self.io.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_shutdown(cx)
    }
}
