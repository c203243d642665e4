//! HTTP/1.1 for the few: the ops port and the admin API, each on an address and threads of its own.
//!
//! Whoever may come there is not asked who he is before he has a connection, so connections have bounds:
//! in all, of one source, and in what each may keep waiting. Where all there may be are taken, whoever is
//! let in next takes the place of the oldest of nobody we know: a flood of strangers finds its own end
//! there, and whoever has shown a good credential keeps his.
//!
//! Not here: listeners for the APIs behind, which are many connections on many cores.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Door;
use super::sources::{Place, Sources};
use crate::source;
use crate::telemetry::doors::Closed;
use crate::telemetry::metrics::Metrics;

/// Longest TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Rest after the system had no descriptor for a connection: it will not have one at once.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How long what is under way may take to end when the gateway goes.
const GRACE: Duration = Duration::from_secs(5);

/// What its connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most connections at once.
    pub connections: usize,
    /// Most of one source.
    pub per_source: usize,
    /// Longest time a client may take for the head of a request, and between two requests.
    pub head: Duration,
    /// Longest time an answer may wait for a client that does not take it, from the first byte he
    /// does not take to the last: by bytes now and then he wins nothing.
    pub taking: Duration,
}

/// An address that is answered on.
#[derive(Debug)]
pub struct Aside {
    /// What it is, for the log.
    name: &'static str,
    bounds: Bounds,
    sources: Arc<Sources>,
    /// Peers that speak for many, and are not counted as one.
    trusted: Vec<IpNet>,
    door: Option<Arc<Door>>,
    metrics: Arc<Metrics>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// The socket's peer.
    pub peer: SocketAddr,
    known: Arc<AtomicBool>,
}

impl Client {
    /// Somebody at `peer` of whom nothing is known.
    pub fn new(peer: SocketAddr) -> Self {
        let known = Arc::default();
        Self { peer, known }
    }

    /// He has shown a good credential.
    pub fn is_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }
}

/// A connection that is open.
struct Open {
    client: Client,
    task: AbortHandle,
}

impl Aside {
    /// An address that speaks plain HTTP.
    pub fn plain(name: &'static str, bounds: Bounds, metrics: Arc<Metrics>) -> Self {
        Self {
            name,
            bounds,
            sources: Sources::new(bounds.per_source),
            trusted: Vec::new(),
            door: None,
            metrics,
        }
    }

    /// The same, that speaks as `door` does and believes whom `door` believes.
    pub fn behind(door: Arc<Door>, aside: Self) -> Self {
        Self {
            trusted: door.listener.trusted_proxies.clone(),
            door: Some(door),
            ..aside
        }
    }

    /// Answers on `listener` until `stop`, then lets what is under way end, if it does soon.
    pub async fn serve(self, listener: TcpListener, router: Router, stop: CancellationToken) {
        let aside = Arc::new(self);
        let mut connections = JoinSet::new();
        let mut open: VecDeque<Open> = VecDeque::new();
        loop {
            open.retain(|one| !one.task.is_finished());
            let has_room = open.len() < aside.bounds.connections;
            let may_accept = has_room || open.iter().any(Open::is_strange);
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                // What has ended is taken off the set, so that it does not grow.
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept(), if may_accept => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "{} cannot accept a connection", aside.name);
                    sleep(ACCEPT_REST).await;
                    continue;
                }
            };
            let Ok(place) = aside.admit(peer.ip().to_canonical()) else {
                aside.metrics.doors().closed(Closed::Source);
                continue;
            };
            if !has_room && let Some(oldest) = open.iter().position(Open::is_strange) {
                let oldest = open.remove(oldest);
                oldest.into_iter().for_each(|one| one.task.abort());
                aside.metrics.doors().closed(Closed::Crowded);
            }
            let client = Client::new(peer);
            let router = router.clone().layer(Extension(client.clone()));
            let serve = Arc::clone(&aside).connection(stream, router, (place, stop.clone()));
            let task = connections.spawn(serve);
            open.push_back(Open { client, task });
        }
        // Whoever takes none of his answer would keep the process from ending.
        let all_ended = async { while connections.join_next().await.is_some() {} };
        let _ = timeout(GRACE, all_ended).await;
        connections.shutdown().await;
    }

    /// A place for another connection of `peer`; none where it has all it may have. Who speaks for
    /// others is not counted.
    fn admit(&self, peer: IpAddr) -> Result<Option<Place>, ()> {
        if source::trusts(&self.trusted, peer) {
            return Ok(None);
        }
        self.sources.admit(peer).map(Some).ok_or(())
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        router: Router,
        (_place, stop): (Option<Place>, CancellationToken),
    ) {
        let tls = self.door.as_ref().and_then(|door| door.tls_config());
        let Some(config) = tls else {
            return self.answer(stream, router, stop).await;
        };
        let shake = TlsAcceptor::from(config).accept(stream);
        match timeout(HANDSHAKE_TIMEOUT, shake).await {
            Ok(Ok(stream)) => self.answer(stream, router, stop).await,
            Ok(Err(_)) | Err(_) => self.metrics.doors().closed(Closed::Handshake),
        }
    }

    /// Answers the requests of one connection.
    async fn answer<S>(&self, stream: S, router: Router, stop: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = Impatient::new(stream, self.bounds.taking);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.bounds.head)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to {} ended badly", self.name);
        }
    }
}

impl Open {
    fn is_strange(&self) -> bool {
        !self.client.known.load(Ordering::Relaxed)
    }
}

/// A socket whose client has to take what is written in time.
struct Impatient<S> {
    io: S,
    patience: Duration,
    /// Runs from the first byte that was not taken until nothing is left to be taken.
    overdue: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn new(io: S, patience: Duration) -> Self {
        let overdue = None;
        Self {
            io,
            patience,
            overdue,
        }
    }

    /// Whether a write that waits has waited for too long.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let patience = self.patience;
        let overdue = self
            .overdue
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        let over = overdue.as_mut().poll(cx);
        over.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write(cx, bytes) {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => self.wait(cx),
        }
    }

    /// The HTTP library flushes only when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Ready(flushed) => {
                self.overdue = None;
                Poll::Ready(flushed)
            }
            Poll::Pending => self.wait(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Ready(shut) => Poll::Ready(shut),
            Poll::Pending => self.wait(cx),
        }
    }
}

#[cfg(test)]
mod tests;
