//! What all cores share of an upstream: its addresses, its places for connections, its TLS.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Pool;
use super::health;
use super::places::Places;
use super::resolve::{HostResolver, keep_resolved};
use super::slots::Slots;
use super::tls::Tls;
use crate::pem::Unusable;
use crate::settings::Upstream;
use crate::shutdown::Tasks;
use crate::words::UpstreamName;

/// One upstream, as all cores see it.
#[derive(Debug)]
pub struct Shared {
    /// Its settings.
    pub upstream: Arc<Upstream>,
    /// Its places for connections.
    pub slots: Arc<Slots>,
    /// Its addresses.
    pub places: Places,
    /// How it is spoken to in secret, if it is.
    pub tls: Option<Tls>,
}

impl Shared {
    /// What is shared of `upstream`.
    ///
    /// # Errors
    ///
    /// When its roots, certificate or key cannot be used.
    pub fn new(upstream: &Upstream) -> Result<Self, Unusable> {
        Ok(Self {
            slots: Slots::new(upstream.connections_max, upstream.queue_max),
            places: Places::new(upstream)?,
            tls: Tls::of(upstream)?,
            upstream: Arc::new(upstream.clone()),
        })
    }
}

/// All upstreams of the settings.
#[derive(Clone)]
pub struct Upstreams(Arc<[Arc<Shared>]>);

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|shared| &shared.upstream.name);
        f.debug_list().entries(names).finish()
    }
}

impl Upstreams {
    /// The upstreams of the settings.
    ///
    /// # Errors
    ///
    /// As [`Shared::new`].
    pub fn new(upstreams: &BTreeMap<UpstreamName, Upstream>) -> Result<Self, Unusable> {
        let shared = upstreams.values().map(Shared::new);
        let shared = shared.map(|shared| shared.map(Arc::new));
        Ok(Self(shared.collect::<Result<_, Unusable>>()?))
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<Shared>] {
        &self.0
    }

    /// The pools of one core; `nudge` is told when some of what rests in them is wanted elsewhere.
    pub fn pools(&self, nudge: &Arc<Notify>) -> Vec<Rc<Pool>> {
        let pool = |shared: &Arc<Shared>| Pool::new(Arc::clone(shared), Arc::clone(nudge));
        self.0.iter().map(pool).collect()
    }

    /// Looks after all of them until `stop`: what their names stand for, and their health.
    pub fn look_after(&self, tasks: &Tasks, stop: &CancellationToken) {
        for shared in self.0.iter() {
            if shared.places.has_names() {
                let (shared, stop) = (Arc::clone(shared), stop.clone());
                tasks.spawn(async move {
                    let work = keep_resolved(&shared.upstream, &shared.places, &HostResolver);
                    stop.run_until_cancelled(work).await;
                });
            }
            if shared.upstream.health.is_some() {
                let (shared, stop) = (Arc::clone(shared), stop.clone());
                tasks.spawn(async move {
                    stop.run_until_cancelled(health::keep_checked(&shared))
                        .await;
                });
            }
        }
    }
}
