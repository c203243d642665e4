//! Asks an upstream one configured question, on behalf of somebody who cannot reach it: a kubelet
//! whose probes go to the pod's address, while the application listens on the loopback.
//!
//! One GET of one path on a connection of its own, no credential, and nothing of the answer but
//! whether there was a good one. So it opens no way around the gateway.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;

use crate::settings::{Upstream, UpstreamAddress};

/// Longest wait for an answer. A kubelet waits one second unless told otherwise; who waits longer
/// should hear that the upstream is slow rather than nothing.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// How many probes may be under way at once: anybody who reaches the ops port may ask, and each
/// costs the upstream a connection.
const PROBES_MAX: usize = 8;

/// The upstreams that may be asked.
#[derive(Debug)]
pub struct Probes {
    targets: BTreeMap<String, Target>,
    slots: Semaphore,
}

#[derive(Debug)]
struct Target {
    address: UpstreamAddress,
    authority: String,
    path: String,
}

/// Why a probe found an upstream wanting.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No such upstream, or it has no `probe`.
    #[error("no upstream of that name has a `probe` path")]
    Unknown,
    /// Too many probes at once, or no answer in time.
    #[error("no answer within {}", humantime::format_duration(PROBE_TIMEOUT))]
    Timeout,
    /// No connection.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// Something that is not HTTP.
    #[error("no HTTP answer")]
    Http(#[source] hyper::Error),
    /// The path cannot stand in a request.
    #[error("the `probe` path cannot be asked for")]
    Path(#[source] http::Error),
    /// An answer that says no.
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl Probes {
    /// Those of `upstreams` that have a path to ask for.
    pub fn new<'u>(upstreams: impl IntoIterator<Item = &'u Upstream>) -> Self {
        let target = |upstream: &Upstream| {
            let target = Target {
                address: upstream.address.clone(),
                authority: upstream.authority.clone(),
                path: upstream.probe.clone()?,
            };
            Some((upstream.name.to_string(), target))
        };
        Self {
            targets: upstreams.into_iter().filter_map(target).collect(),
            slots: Semaphore::new(PROBES_MAX),
        }
    }

    /// Asks the upstream of this name.
    ///
    /// # Errors
    ///
    /// If there is no such upstream, no answer in time, or one that is not 2xx or 3xx.
    pub async fn ask(&self, upstream: &str) -> Result<(), ProbeError> {
        let target = self.targets.get(upstream).ok_or(ProbeError::Unknown)?;
        let asked = async {
            // The semaphore is never closed, so the only way to fail is to wait too long.
            let _slot = self.slots.acquire().await;
            target.ask().await
        };
        let status = tokio::time::timeout(PROBE_TIMEOUT, asked)
            .await
            .map_err(|_| ProbeError::Timeout)??;
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        Err(ProbeError::Status(status))
    }
}

impl Target {
    async fn ask(&self) -> Result<StatusCode, ProbeError> {
        match &self.address {
            UpstreamAddress::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                self.converse(stream.map_err(ProbeError::Connect)?).await
            }
            UpstreamAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                self.converse(stream.map_err(ProbeError::Connect)?).await
            }
        }
    }

    async fn converse<S>(&self, stream: S) -> Result<StatusCode, ProbeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + fmt::Debug,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(ProbeError::Http)?;
        let request = Request::get(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::USER_AGENT, "portcullis-probe")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(ProbeError::Path)?;
        let answer = sender.send_request(request);
        tokio::pin!(connection, answer);
        tokio::select! {
            biased;
            response = &mut answer => Ok(response.map_err(ProbeError::Http)?.status()),
            ended = &mut connection => {
                // The connection may end in the same step in which it brings the answer.
                ended.map_err(ProbeError::Http)?;
                Ok(answer.await.map_err(ProbeError::Http)?.status())
            }
        }
    }
}
