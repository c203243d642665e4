//! The data plane: one thread a core, each with a runtime, sockets and upstream connections of its
//! own.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::clock::Clock;
use crate::credential::Issuers;
use crate::denials::Denials;
use crate::directory::Handle;
use crate::forward::pool::SWEEP_INTERVAL;
use crate::forward::streams::Streams;
use crate::forward::{Forwarder, Upstreams};
use crate::gateway::Gateway;
use crate::listener::{self, Bound};
use crate::oauth::revoke::Revocations;
use crate::record::Recorder;
use crate::settings::{Settings, Tokens};
use crate::shutdown::Tasks;
use crate::telemetry::log::LogHandle;
use crate::telemetry::metrics::Metrics;
use crate::throttle::{Rates, Throttle};
use crate::verify::Verifier;
use crate::words::{RequestIds, TokenId};

/// What the cores share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) settings: Arc<Settings>,
    pub(super) state: Arc<Handle>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) throttle: Arc<Throttle>,
    pub(super) rates: Arc<Rates>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) revocations: Revocations,
    pub(super) metadata: Option<Arc<Value>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) upstreams: Upstreams,
    pub(super) admission: Arc<Semaphore>,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) denials: Arc<Denials>,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
}

/// How many cores the process may use: what the settings say, else what the scheduler and the
/// quota allow, which is not what the machine has.
pub(super) fn count(settings: &Settings) -> usize {
    let allowed = || thread::available_parallelism().map_or(1, std::num::NonZero::get);
    settings.threads.unwrap_or_else(allowed).max(1)
}

/// Starts a core. It ends when the drain is over.
pub(super) fn start(
    shared: Shared,
    log: LogHandle,
    listeners: &mut [Bound],
    core: usize,
) -> io::Result<JoinHandle<()>> {
    let sockets: Vec<_> = listeners
        .iter_mut()
        .filter_map(|bound| bound.take().map(|socket| (Arc::clone(&bound.door), socket)))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name(format!("core-{core}"))
        .spawn(move || {
            let local = LocalSet::new();
            let tasks = shared.tasks.sibling();
            let grace = shared.settings.drain.timeout;
            // The root of a runtime is polled at every turn: here it has but a handle to look at.
            let home = local.spawn_local(async move {
                let gateway = gateway(&shared, log, &tasks);
                for (door, socket) in sockets {
                    let admission = Arc::clone(&shared.admission);
                    let accepting = Rc::clone(&gateway);
                    let accept =
                        listener::accept(accepting, door, socket, admission, tasks.clone());
                    tasks.spawn_local(accept);
                }
                let finished = async {
                    tasks.drain().cancelled().await;
                    tasks.finish(grace).await
                };
                let is_revoked = |id: &TokenId| gateway.state.snapshot().directory.is_revoked(id);
                let watched = gateway.streams.run(gateway.state.changes(), is_revoked);
                let finished = tokio::select! {
                    finished = finished => finished,
                    // What is under way while the gateway goes away is watched to its end, and so
                    // is what rests and is wanted elsewhere.
                    () = watched => true,
                    () = sweep(&gateway) => true,
                };
                if !finished {
                    tracing::warn!(core, "the drain timed out; what was left has been cut");
                }
            });
            if let Err(error) = local.block_on(&runtime, home) {
                std::panic::resume_unwind(error.into_panic());
            }
        })
}

/// Closes upstream connections that rested too long, or that other cores want. Ends never.
async fn sweep(gateway: &Gateway) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            () = gateway.forwarder.yield_to_others() => {}
            _ = interval.tick() => gateway.forwarder.sweep(),
        }
    }
}

fn gateway(shared: &Shared, log: LogHandle, tasks: &Tasks) -> Rc<Gateway> {
    let issuers = Issuers::new([shared.tokens.issuer.as_str()]);
    let (metrics, denials) = (Arc::clone(&shared.metrics), shared.denials.handle());
    let (decisions, stop) = (shared.settings.log.decisions, tasks.stop().clone());
    let upstreams = shared.settings.upstreams.values();
    let silence = upstreams.map(|upstream| upstream.stream_idle).min();
    Rc::new(Gateway {
        streams: Streams::new(silence.unwrap_or_default()),
        state: Arc::clone(&shared.state),
        verifier: Arc::clone(&shared.verifier),
        tokens: Arc::clone(&shared.tokens),
        token_turn: Semaphore::new(1),
        revocations: shared.revocations.clone(),
        metadata: shared.metadata.clone(),
        forwarder: Forwarder::new(&shared.upstreams, issuers.clone()),
        issuers,
        throttle: Arc::clone(&shared.throttle),
        rates: Arc::clone(&shared.rates),
        tells_rates: shared.settings.rates.headers,
        recorder: Rc::new(Recorder::new(metrics, log, denials, decisions, stop)),
        clock: shared.clock.clone(),
        ids: std::cell::RefCell::new(RequestIds::new()),
        draining: Arc::clone(&shared.draining),
    })
}
