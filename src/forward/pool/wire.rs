//! An HTTP/1.1 connection to an upstream.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_util::io::InspectReader;

use super::RESPONSE_HEAD_BYTES_MAX;
use super::link::Link;
use super::place::Place;
use crate::forward::body::Upload;

/// Most fields of a response's head. Above what any API sends.
const RESPONSE_FIELDS_MAX: usize = 128;

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
        let mark = Rc::clone(&heard);
        let io = InspectReader::new(io, move |bytes: &[u8]| {
            if !bytes.is_empty() {
                mark.set(true);
            }
        });
        let mut builder = http1::Builder::new();
        builder
            .max_headers(RESPONSE_FIELDS_MAX)
            .max_header_size(RESPONSE_HEAD_BYTES_MAX);
        let handshake = builder.handshake(TokioIo::new(io)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
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
