//! Asks an upstream one configured question, on behalf of somebody who cannot reach it: a kubelet
//! whose probes go to the pod's address, while the application listens on the loopback.
//!
//! One GET of one path on a connection of its own, to the address a request would go to, no credential, and nothing of the answer but
//! whether there was a good one. So it opens no way around the gateway.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Semaphore;

use crate::forward::pool::Shared;
use crate::forward::pool::ask::{AskError, ask};

/// Longest wait for an answer. A kubelet waits one second unless told otherwise; who waits longer
/// should hear that the upstream is slow rather than nothing.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// How many probes may be under way at once: anybody who reaches the ops port may ask, and each
/// costs the upstream a connection.
const PROBES_MAX: usize = 8;

/// How a probe names itself to the upstream.
const AGENT: &str = "portcullis-probe";

/// The upstreams that may be asked.
#[derive(Debug)]
pub struct Probes {
    targets: BTreeMap<String, (Arc<Shared>, String)>,
    slots: Semaphore,
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
    /// Its name stands for nothing.
    #[error("no connection")]
    Nowhere,
    /// No connection, or something that is not HTTP. What it was is not for those who may ask here.
    #[error("{}", match .0 { AskError::Connect(_) => "no connection", AskError::Http(_) | AskError::Path(_) => "no HTTP answer" })]
    Ask(#[source] AskError),
    /// An answer that says no.
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl Probes {
    /// Those of `upstreams` that have a path to ask for.
    pub fn new(upstreams: &[Arc<Shared>]) -> Self {
        let target = |shared: &Arc<Shared>| {
            let path = shared.upstream.probe.clone()?;
            Some((shared.upstream.name.to_string(), (Arc::clone(shared), path)))
        };
        Self {
            targets: upstreams.iter().filter_map(target).collect(),
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
            let (shared, path) = target;
            shared.places.looked_up().await;
            let place = shared.places.choose(&[]).ok_or(ProbeError::Nowhere)?;
            let status = ask(shared, &place, path, AGENT).await;
            status.map_err(ProbeError::Ask)
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
