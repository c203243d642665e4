//! Upstream connections: one pool an upstream and core, last used first.
//!
//! Nothing here crosses cores, so nothing here locks. A connection goes back only when its response
//! has ended cleanly and its request was sent whole; whatever else happens to it, it is closed, so
//! that no request ever meets the rest of another one's answer.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::io::InspectReader;

use super::body::{Progress, Upload};
use crate::reason::Reason;
use crate::settings::{Upstream, UpstreamAddress};

/// Most bytes of a response's head, as for requests: larger ones are a fault of the upstream.
const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;

/// The connections of one core to one upstream.
#[derive(Debug)]
pub struct Pool {
    upstream: Arc<Upstream>,
    /// The upstream's own `Host`.
    host: HeaderValue,
    resting: RefCell<Vec<Resting>>,
    /// Connections of all cores together, open or being opened.
    open: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Resting {
    wire: Wire,
    slot: Slot,
    since: Instant,
}

/// A connection. Closed when dropped, whatever it is at: a body that nobody waits for any more, in
/// either direction, would otherwise keep it, and its place, for as long as the other end likes.
#[derive(Debug)]
struct Wire {
    sender: SendRequest<Upload>,
    task: AbortHandle,
    /// Whether a byte has come since the last request.
    heard: Rc<Cell<bool>>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A place among the connections an upstream may have; given up when dropped.
#[derive(Debug)]
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection lent to one request, or a stream of one.
#[derive(Debug)]
pub struct Lease {
    pool: Rc<Pool>,
    wire: Wire,
    slot: Slot,
    reused: bool,
    upload: Option<Rc<Progress>>,
}

impl Pool {
    /// A pool without connections. `open` is shared by the pools of all cores.
    ///
    /// # Panics
    ///
    /// Never: the settings check that an authority is visible ASCII.
    pub fn new(upstream: Arc<Upstream>, open: Arc<AtomicUsize>) -> Rc<Self> {
        Rc::new(Self {
            host: HeaderValue::from_str(&upstream.authority)
                .expect("the settings' authority is checked to be visible ASCII"),
            upstream,
            resting: RefCell::new(Vec::new()),
            open,
        })
    }

    /// The upstream's own `Host`.
    pub fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// The upstream it leads to.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// A connection that rested, or a new one.
    ///
    /// # Errors
    ///
    /// As [`Pool::connect`].
    pub async fn lease(self: &Rc<Self>) -> Result<Lease, Reason> {
        while let Some(resting) = self.pop() {
            let Resting { mut wire, slot, .. } = resting;
            // Its last request is over, so this waits for the connection's own task to notice, and
            // for nothing else.
            if !wire.sender.is_closed() && wire.sender.ready().await.is_ok() {
                let pool = Rc::clone(self);
                return Ok(Lease {
                    pool,
                    wire,
                    slot,
                    reused: true,
                    upload: None,
                });
            }
        }
        self.connect().await
    }

    fn pop(&self) -> Option<Resting> {
        let mut resting = self.resting.borrow_mut();
        let last = resting.pop()?;
        if last.since.elapsed() < self.upstream.idle_timeout {
            return Some(last);
        }
        // The last used is too old, so all are.
        resting.clear();
        None
    }

    /// Closes connections that rested too long. Called now and then by the core that owns the pool.
    pub fn sweep(&self) {
        let limit = self.upstream.idle_timeout;
        self.resting
            .borrow_mut()
            .retain(|one| one.since.elapsed() < limit && !one.wire.sender.is_closed());
    }

    /// A new connection.
    ///
    /// # Errors
    ///
    /// `upstream_overloaded` when the upstream has all the connections it may have,
    /// `upstream_unreachable` when it cannot be connected to, `upstream_timeout` when that takes
    /// too long.
    pub async fn connect(self: &Rc<Self>) -> Result<Lease, Reason> {
        let slot = self.slot().ok_or(Reason::UpstreamOverloaded)?;
        let wire = match self.reach().await? {
            Socket::Tcp(stream) => handshake(stream).await,
            Socket::Unix(stream) => handshake(stream).await,
        };
        let wire = wire.map_err(|error| self.unreachable(&error))?;
        let pool = Rc::clone(self);
        Ok(Lease {
            pool,
            wire,
            slot,
            reused: false,
            upload: None,
        })
    }

    /// A fresh HTTP/1.1 connection of which nothing has been read or written: for a request that
    /// may turn it into a tunnel. It counts as one of the upstream's connections while the
    /// [`Dialed`] lives.
    ///
    /// # Errors
    ///
    /// As [`Pool::connect`].
    pub async fn dial(self: &Rc<Self>) -> Result<Dialed, Reason> {
        let slot = self.slot().ok_or(Reason::UpstreamOverloaded)?;
        let dialed: io::Result<Box<dyn Io>> = match self.reach().await? {
            Socket::Tcp(stream) => Ok(Box::new(stream)),
            Socket::Unix(stream) => Ok(Box::new(stream)),
        };
        let io = dialed.map_err(|error| self.unreachable(&error))?;
        Ok(Dialed { io, _slot: slot })
    }

    /// Whether its requests go by HTTP/2.
    pub fn is_http2(&self) -> bool {
        false
    }

    fn slot(&self) -> Option<Slot> {
        let taken = self.open.fetch_add(1, Ordering::Relaxed);
        let slot = Slot(Arc::clone(&self.open));
        (taken < self.upstream.connections_max).then_some(slot)
    }

    /// Connects to the upstream, within its time.
    async fn reach(&self) -> Result<Socket, Reason> {
        let address = &self.upstream.address;
        match timeout(self.upstream.connect_timeout, Socket::to(address)).await {
            Ok(opened) => opened.map_err(|error| self.unreachable(&error)),
            Err(_) => Err(Reason::UpstreamTimeout),
        }
    }

    fn unreachable(&self, error: &io::Error) -> Reason {
        tracing::debug!(upstream = %self.upstream.name, %error, "cannot connect");
        Reason::UpstreamUnreachable
    }
}

/// Bytes both ways.
pub trait Io: AsyncRead + AsyncWrite + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + fmt::Debug> Io for T {}

/// A connection with nothing read or written yet.
#[derive(Debug)]
pub struct Dialed {
    /// Its bytes.
    pub io: Box<dyn Io>,
    /// Its place among the upstream's connections.
    _slot: Slot,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    async fn to(address: &UpstreamAddress) -> io::Result<Self> {
        match address {
            UpstreamAddress::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            UpstreamAddress::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await?)),
        }
    }
}

async fn handshake<T>(io: T) -> io::Result<Wire>
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
    let io = TokioIo::new(io);
    let mut builder = http1::Builder::new();
    builder
        .max_headers(128)
        .max_header_size(RESPONSE_HEAD_BYTES_MAX);
    let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
    let task = tokio::task::spawn_local(async move {
        // How it ends is told to whoever waits for a response on it.
        let _ = connection.await;
    });
    let task = task.abort_handle();
    Ok(Wire {
        sender,
        task,
        heard,
    })
}

impl Lease {
    /// Sends a request.
    ///
    /// # Errors
    ///
    /// What hyper says, with the request if not a byte of it was written.
    pub async fn send(
        &mut self,
        request: http::Request<Upload>,
        upload: Rc<Progress>,
    ) -> Result<
        http::Response<hyper::body::Incoming>,
        hyper::client::conn::TrySendError<http::Request<Upload>>,
    > {
        self.upload = Some(upload);
        self.wire.heard.set(false);
        self.wire.sender.try_send_request(request).await
    }

    /// Whether the connection has carried a request before.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Whether a byte of an answer has come.
    pub fn has_heard(&self) -> bool {
        self.wire.heard.get()
    }

    /// Whether the request goes by HTTP/2.
    pub fn is_http2(&self) -> bool {
        false
    }

    /// Lets the connection rest until the next request; closes it if its request was not sent whole.
    pub fn give_back(self) {
        let whole = self.upload.as_ref().is_some_and(|upload| upload.is_whole());
        if !whole || self.wire.sender.is_closed() {
            return;
        }
        let resting = Resting {
            wire: self.wire,
            slot: self.slot,
            since: Instant::now(),
        };
        self.pool.resting.borrow_mut().push(resting);
    }
}

/// How long between two sweeps of a core's pools.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
