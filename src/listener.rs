//! Sockets: bound once a core, accepted, admitted, TLS spoken.
//!
//! Each core has a listening socket of its own on the same port (`SO_REUSEPORT`), so the kernel
//! spreads connections and a connection never changes its core. The price of that is that a second
//! process may bind the same port unnoticed; a plain bind before the shared ones keeps it out.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::connection::line::Line;
use crate::connection::{self, Speaks};
use crate::gateway::{Connection, Gateway};
use crate::settings::{Listener, ListenerTls};
use crate::shutdown::Tasks;

/// Connections the kernel holds for a core that is busy. The usual `somaxconn`.
const BACKLOG: i32 = 4096;
/// Longest TLS handshake. As for a request's head: a client that needs longer is not coming.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Rest after a failed accept: long enough not to spin when descriptors have run out, short enough
/// to be there when they come back.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The sockets of one listener, one a core.
#[derive(Debug)]
pub struct Bound {
    /// Its settings.
    pub listener: Arc<Listener>,
    /// Its address, with the port it really has.
    pub address: SocketAddr,
    sockets: Vec<std::net::TcpListener>,
    tls: Option<Arc<ServerConfig>>,
}

impl Bound {
    /// Binds `cores` sockets.
    ///
    /// # Errors
    ///
    /// When the address is taken, by this or another process, or when certificate or key cannot be
    /// used.
    pub fn bind(listener: Arc<Listener>, cores: usize) -> io::Result<Self> {
        let tls = listener
            .tls
            .as_ref()
            .map(|tls| server_config(tls, listener.http2))
            .transpose()?
            .map(Arc::new);
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
            listener,
            address,
            sockets,
            tls,
        })
    }

    /// The socket of one core.
    pub fn take(&mut self) -> Option<(std::net::TcpListener, Option<Arc<ServerConfig>>)> {
        self.sockets.pop().map(|socket| (socket, self.tls.clone()))
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

fn server_config(tls: &ListenerTls, http2: bool) -> io::Result<ServerConfig> {
    let file = |path: &std::path::Path, error: rustls::pki_types::pem::Error| {
        io::Error::other(format!("cannot use `{}`: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(&tls.certificate, error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| file(&tls.key, error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            let (certificate, key) = (tls.certificate.display(), tls.key.display());
            io::Error::other(format!(
                "`{certificate}` and `{key}` do not go together: {error}"
            ))
        })?;
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(config)
}

/// Accepts connections on one core until no new work is wanted.
pub async fn accept(
    gateway: Rc<Gateway>,
    listener: Arc<Listener>,
    (socket, tls): (std::net::TcpListener, Option<Arc<ServerConfig>>),
    admission: Arc<Semaphore>,
    tasks: Tasks,
) {
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(address = %listener.address, %error, "cannot listen");
            return;
        }
    };
    let acceptor = tls.map(TlsAcceptor::from);
    while let Some((stream, peer)) = next(&socket, &tasks).await {
        // A connection more than allowed waits here, and those behind it in the backlog.
        let place = tasks
            .drain()
            .run_until_cancelled(Arc::clone(&admission).acquire_owned());
        let Some(Ok(place)) = place.await else {
            return;
        };
        let connection = Connection {
            listener: Arc::clone(&listener),
            peer: peer.ip(),
            stated: None,
            line: Line::new(tasks.drain().clone()),
        };
        let (gateway, acceptor) = (Rc::clone(&gateway), acceptor.clone());
        let beside = tasks.clone();
        tasks.spawn_local(async move {
            let _place = place;
            if stream.set_nodelay(true).is_err() {
                return;
            }
            match acceptor {
                None => {
                    let speaks = if connection.listener.http2 {
                        Speaks::Either
                    } else {
                        Speaks::Http1
                    };
                    connection::serve(gateway, connection, (stream, speaks), beside).await;
                }
                Some(acceptor) => {
                    let handshake = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
                    if let Ok(Ok(stream)) = handshake {
                        let speaks = match stream.get_ref().1.alpn_protocol() {
                            Some(b"h2") => Speaks::Http2,
                            Some(_) | None => Speaks::Http1,
                        };
                        connection::serve(gateway, connection, (stream, speaks), beside).await;
                    }
                }
            }
        });
    }
}

/// The next connection. Once no new work is wanted, those that wait in the backlog already, since
/// closing the socket would reset them, and then none.
async fn next(socket: &TcpListener, tasks: &Tasks) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = tasks.drain().cancelled() => return None,
        };
        match accepted {
            Ok(connection) => return Some(connection),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
