//! A socket to an upstream, with TLS on it where the upstream speaks TLS.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::place::{Failure, Place, Target};
use super::tls::{Speaks, Tls};

/// Bytes both ways.
pub trait Io: AsyncRead + AsyncWrite + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + fmt::Debug> Io for T {}

/// An open connection on which nothing has been said, but for the handshake of TLS.
#[derive(Debug)]
pub enum Link {
    /// Clear.
    Tcp(TcpStream),
    /// Clear, within this host.
    Unix(UnixStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why there is no link.
#[derive(Debug)]
pub struct LinkError {
    /// What to count it as.
    pub failure: Failure,
    /// What the system or the TLS library says.
    pub source: io::Error,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl From<io::Error> for LinkError {
    fn from(source: io::Error) -> Self {
        Self {
            failure: Failure::Connect,
            source,
        }
    }
}

impl Link {
    /// Connects to `place`.
    ///
    /// # Errors
    ///
    /// What the system says, or why the other end is not believed.
    pub async fn to(place: &Place, tls: Option<&Tls>, speaks: Speaks) -> Result<Self, LinkError> {
        let socket = match place.target() {
            Target::Unix(path) => return Ok(Self::Unix(UnixStream::connect(path).await?)),
            Target::Tcp(address) => TcpStream::connect(address).await?,
        };
        socket.set_nodelay(true)?;
        let (Some(tls), Some(name)) = (tls, place.server_name()) else {
            return Ok(Self::Tcp(socket));
        };
        let handshake = tls.connect(socket, name.clone(), speaks).await;
        let stream = handshake.map_err(|source| LinkError {
            failure: Failure::Tls,
            source,
        })?;
        Ok(Self::Tls(Box::new(stream)))
    }
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
