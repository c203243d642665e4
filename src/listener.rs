//! Sockets: bound once a core, accepted, admitted, TLS spoken.
//!
//! Each core has a listening socket of its own on the same port (`SO_REUSEPORT`), so the kernel
//! spreads connections and a connection never changes its core. The price of that is that a second
//! process may bind the same port unnoticed; a plain bind before the shared ones keeps it out.

pub mod aside;
mod certificate;
mod handshake;
mod proxy;
mod sources;
pub mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::server::TlsStream;

use crate::connection::line::Line;
use crate::connection::{self, Speaks};
use crate::forward::headers;
use crate::gateway::{Connection, Gateway};
use crate::pem::Unusable;
use crate::settings::Listener;
use crate::shutdown::Tasks;
use crate::source;
use crate::telemetry::doors::{Closed, Doors};
use handshake::Handshakes;
use sources::Sources;
use tls::Tls;

/// Connections the kernel holds for a core that is busy. The usual `somaxconn`.
const BACKLOG: i32 = 4096;
/// Rest after a failed accept: long enough not to spin when descriptors have run out, short enough
/// to be there when they come back.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How often it is said that accepting fails: descriptors that have run out stay out for a while.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// A listener, as all cores share it.
#[derive(Debug)]
pub struct Door {
    /// Its settings.
    pub listener: Arc<Listener>,
    tls: Option<Tls>,
    sources: Arc<Sources>,
}

/// The sockets of one listener, one a core.
#[derive(Debug)]
pub struct Bound {
    /// What the cores share of it.
    pub door: Arc<Door>,
    /// Its address, with the port it really has.
    pub address: SocketAddr,
    sockets: Vec<std::net::TcpListener>,
}

impl Door {
    /// What the cores share of a listener.
    ///
    /// # Errors
    ///
    /// When its certificate, key or roots cannot be used.
    pub fn open(listener: Arc<Listener>) -> Result<Arc<Self>, Unusable> {
        let tls = listener.tls.clone();
        let tls = tls
            .map(|files| Tls::open(files, listener.http2))
            .transpose()?;
        Ok(Arc::new(Self {
            sources: Sources::new(listener.limits.connections_per_source),
            tls,
            listener,
        }))
    }
}

impl Door {
    /// What a TLS handshake that begins now goes by, if it speaks TLS.
    pub fn tls_config(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.tls.as_ref().map(Tls::config)
    }
}

impl Bound {
    /// Binds `cores` sockets.
    ///
    /// # Errors
    ///
    /// When the address is taken, by this or another process.
    pub fn bind(door: Arc<Door>, cores: usize) -> io::Result<Self> {
        let listener = &door.listener;
        if listener.address.port() != 0 {
            // Fails if anybody has the port, those that would share it too.
            drop(socket(listener.address, Sharing::No)?);
        }
        let mut address = listener.address;
        let mut sockets = Vec::with_capacity(cores);
        for _ in 0..cores.max(1) {
            let socket = socket(address, Sharing::BetweenCores)?;
            address = socket.local_addr()?;
            sockets.push(socket);
        }
        Ok(Self {
            door,
            address,
            sockets,
        })
    }

    /// The socket of one core.
    pub fn take(&mut self) -> Option<std::net::TcpListener> {
        self.sockets.pop()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    No,
    BetweenCores,
}

fn socket(address: SocketAddr, sharing: Sharing) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if sharing == Sharing::BetweenCores {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts connections on one core until no new work is wanted.
pub async fn accept(
    gateway: Rc<Gateway>,
    door: Arc<Door>,
    socket: std::net::TcpListener,
    admission: Arc<Semaphore>,
    tasks: Tasks,
) {
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(address = %door.listener.address, %error, "cannot listen");
            return;
        }
    };
    let entry = Rc::new(Entry {
        handshakes: Handshakes::new(&door.listener.limits),
        gateway,
        door,
        tasks,
    });
    while let Some((stream, peer)) = entry.next(&socket).await {
        // A connection more than allowed waits here, and those behind it in the backlog.
        let place = entry
            .tasks
            .drain()
            .run_until_cancelled(Arc::clone(&admission).acquire_owned());
        let Some(Ok(place)) = place.await else {
            return;
        };
        let entered = Rc::clone(&entry);
        entry.tasks.spawn_local(async move {
            let _place = place;
            let _open = entered.doors().open();
            if let Err(cause) = entered.enter(stream, peer.ip().to_canonical()).await {
                entered.doors().closed(cause);
            }
        });
    }
}

/// Where the connections of one core come in.
struct Entry {
    gateway: Rc<Gateway>,
    door: Arc<Door>,
    handshakes: Handshakes,
    tasks: Tasks,
}

impl Entry {
    fn doors(&self) -> &Doors {
        self.gateway.recorder.metrics().doors()
    }

    /// Takes a connection in and serves it to its end; why not, if it is not let in.
    async fn enter(&self, mut stream: TcpStream, peer: IpAddr) -> Result<(), Closed> {
        let listener = &self.door.listener;
        if stream.set_nodelay(true).is_err() {
            // It is gone already.
            return Ok(());
        }
        let speaks_for_others = source::trusts(&listener.proxy_protocol, peer);
        let stated = if speaks_for_others {
            let header = timeout(
                listener.limits.proxy_header_timeout,
                proxy::read(&mut stream),
            );
            match self.unless_leaving(header).await {
                None => return Ok(()),
                Some(Ok(Ok(stated))) => stated,
                Some(Ok(Err(_)) | Err(_)) => return Err(Closed::ProxyHeader),
            }
        } else {
            None
        };
        // Who speaks for others is not counted, and those it speaks for are.
        let source = stated.or_else(|| (!speaks_for_others).then_some(peer));
        let source = source.filter(|address| !source::trusts(&listener.trusted_proxies, *address));
        let place = source.map(|address| self.door.sources.admit(address));
        if let Some(None) = place {
            return Err(Closed::Source);
        }
        let connection = Connection {
            listener: Arc::clone(listener),
            peer,
            stated,
            forwarded_for: headers::address(stated.unwrap_or(peer)),
            line: Line::new(self.tasks.drain().clone()),
        };
        match &self.door.tls {
            Some(tls) => {
                // Boxed, so that its room is free again when it is over.
                let stream = Box::pin(self.handshake(tls, stream)).await?;
                if let Some((stream, speaks)) = stream {
                    self.serve(connection, stream, speaks).await;
                }
                Ok(())
            }
            None => {
                let speaks = if listener.http2 {
                    Speaks::Either
                } else {
                    Speaks::Http1
                };
                self.serve(connection, stream, speaks).await;
                Ok(())
            }
        }
    }

    /// Speaks TLS; nothing when the gateway goes away meanwhile.
    async fn handshake(
        &self,
        tls: &Tls,
        stream: TcpStream,
    ) -> Result<Option<(Box<TlsStream<TcpStream>>, Speaks)>, Closed> {
        let shake = self.handshakes.shake(|| tls.config(), stream);
        match self.unless_leaving(shake).await {
            None => Ok(None),
            Some(Ok(stream)) => {
                let speaks = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Speaks::Http2,
                    Some(_) | None => Speaks::Http1,
                };
                Ok(Some((Box::new(stream), speaks)))
            }
            Some(Err(cause)) => Err(cause),
        }
    }

    async fn serve<S>(&self, connection: Connection, stream: S, speaks: Speaks)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let gateway = Rc::clone(&self.gateway);
        let tasks = self.tasks.clone();
        Box::pin(connection::serve(
            gateway,
            connection,
            (stream, speaks),
            tasks,
        ))
        .await;
    }

    /// What comes of `begin`, unless no new work is wanted and it takes longer than a moment.
    async fn unless_leaving<T>(&self, begin: impl Future<Output = T>) -> Option<T> {
        let leave = async {
            self.tasks.drain().cancelled().await;
            sleep(connection::FIRST_REQUEST_GRACE).await;
        };
        tokio::select! {
            biased;
            done = begin => Some(done),
            () = leave => None,
        }
    }

    /// The next connection. Once no new work is wanted, those that wait in the backlog already, since
    /// closing the socket would reset them, and then none.
    async fn next(&self, socket: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
        let mut complained: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = socket.accept() => accepted,
                () = self.tasks.drain().cancelled() => return None,
            };
            let error = match accepted {
                Ok(connection) => return Some(connection),
                Err(error) => error,
            };
            self.doors().accept_failed();
            if complained.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY) {
                complained = Some(Instant::now());
                tracing::warn!(%error, "cannot accept a connection");
            }
            sleep(ACCEPT_RETRY).await;
        }
    }
}
