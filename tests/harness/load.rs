//! Clients that can be many: asynchronous, on connections that are kept, and how long they waited.

use std::future::Future;
use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::{Kind, Message, PATIENCE};

/// Runs `work` on threads of its own; two, as the gateway has most often.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be had");
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Runs all of them beside each other, until each has ended; none may panic.
pub(crate) async fn all<T, W>(works: impl IntoIterator<Item = W>) -> Vec<T>
where
    T: Send + 'static,
    W: Future<Output = T> + Send + 'static,
{
    let mut tasks: JoinSet<T> = works.into_iter().collect();
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(result) = tasks.join_next().await {
        results.push(result.expect("it says itself what went wrong"));
    }
    results
}

/// One connection with one request on it at a time.
#[derive(Debug)]
pub(crate) struct Caller {
    socket: TcpStream,
    pending: Vec<u8>,
}

impl Caller {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(address));
        let socket = connecting.await??;
        socket.set_nodelay(true)?;
        Ok(Self::of(socket))
    }

    /// Connects from another address of this host.
    pub(crate) async fn connect_from(source: Ipv4Addr, address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        Ok(Self::of(socket.connect(address).await?))
    }

    /// The client's end of a connection.
    pub(crate) fn of(socket: TcpStream) -> Self {
        Self {
            socket,
            pending: Vec::new(),
        }
    }

    /// Sends a request and waits for the answer to it.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Message> {
        self.send(request).await?;
        self.answer().await
    }

    /// Sends any bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes).await
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Result<Message> {
        let reading = async {
            loop {
                if let Some(message) = Message::parse(&self.pending, Kind::Response, false) {
                    self.pending.drain(..message.raw.len());
                    return Ok(message);
                }
                if self.socket.read_buf(&mut self.pending).await? == 0 {
                    return Err(Error::new(
                        ErrorKind::UnexpectedEof,
                        format!(
                            "it ended after {:?}",
                            String::from_utf8_lossy(&self.pending)
                        ),
                    ));
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await?
    }

    /// The next bytes as they come; none at the end.
    pub(crate) async fn part(&mut self) -> Result<Vec<u8>> {
        self.socket.read_buf(&mut self.pending).await?;
        Ok(std::mem::take(&mut self.pending))
    }

    /// Waits until the other end hangs up; what it sent until then.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self
            .socket
            .read_buf(&mut self.pending)
            .await
            .is_ok_and(|count| count > 0)
        {}
        std::mem::take(&mut self.pending)
    }

    /// The socket below.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }
}

/// How long each of many requests took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Sends `request` `count` times, one after the other on one connection; all must be served.
    pub(crate) async fn measure(address: SocketAddr, request: &[u8], count: usize) -> Self {
        let mut caller = Caller::connect(address).await.expect("somebody listens");
        let mut latencies = Self::default();
        for _ in 0..count {
            let began = Instant::now();
            let answer = caller.ask(request).await.expect("an answer");
            latencies.0.push(began.elapsed());
            assert_eq!(answer.status(), 200, "{answer:?}");
        }
        latencies
    }

    /// One more.
    pub(crate) fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those of another measurement as well.
    pub(crate) fn add(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }

    /// What `part` of them did not exceed: 0.5 is the median.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(clippy::cast_sign_loss, reason = "a part is not negative")]
        let place = (part * sorted.len() as f64) as usize;
        let place = place.min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().expect("something was measured")
    }
}
