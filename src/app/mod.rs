//! Wires the parts together once; owns the order of start and stop.
//!
//! Start: policy, store and directory first, then whatever answers, so that no request ever meets
//! an empty table. Stop: readiness falls first, the listeners stay a moment for balancers to notice,
//! then no new connection is taken, answers end their connections, and what is in flight may finish.
//!
//! Two planes. The data plane is one thread a core, each with a runtime of its own. The control
//! plane (ops port, control socket, reloads, signals, write-backs) is one small runtime that can
//! stand still without slowing a request down.

mod books;
mod cores;
mod denials;
mod descriptors;
mod files;
mod process;
mod reload;
mod revocations;
mod signals;

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Service};
use crate::clock::Clock;
use crate::forward::Upstreams;
use crate::listener::{Bound, Door, tls};
use crate::oauth;
use crate::pem::Unusable;
use crate::policy::reload::Watch;
use crate::policy::{Policy, compile, folder};
use crate::settings::Settings;
use crate::shutdown::Tasks;
use crate::telemetry::health::{Check, Health};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::ops::Ops;
use crate::telemetry::probe::Probes;
use crate::words::{Fault, Faults, Place};
use cores::Shared;
pub use files::usable as files_usable;
use process::Process;
use reload::Reloader;

/// How long the writer of the log may take for what is left.
const LOG_GRACE: Duration = Duration::from_secs(2);

/// A gateway that runs.
pub struct Running {
    settings: Arc<Settings>,
    service: Arc<Service>,
    upstreams: Upstreams,
    health: Arc<Health>,
    draining: Arc<AtomicBool>,
    addresses: Addresses,
    tasks: Tasks,
    cores: Vec<JoinHandle<()>>,
    admin: Option<JoinHandle<()>>,
    control: Runtime,
    log: Log,
    /// Heard when a signal or an operator asks for the end.
    asked_to_stop: CancellationToken,
    /// Heard by the control plane when the data plane has come home: while requests are served, keys
    /// can be expired.
    over: CancellationToken,
}

/// Where a gateway listens, with the ports it really has.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// Where requests are taken, in the order of the settings.
    pub listeners: Vec<SocketAddr>,
    /// Metrics and health.
    pub ops: Option<SocketAddr>,
    /// The admin API.
    pub admin: Option<SocketAddr>,
    /// The control socket.
    pub control: Option<PathBuf>,
}

/// Why a gateway does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The policy folder has faults, or the settings name files that nobody can use.
    #[error("{0}")]
    Files(Faults),
    /// The store, or who holds it.
    #[error("{0}")]
    Store(#[from] admin::OpenError),
    /// A socket, a thread.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

fn system(what: impl fmt::Display) -> impl FnOnce(io::Error) -> StartError {
    let what = what.to_string();
    move |source| StartError::System { what, source }
}

/// For a file that went between the look at it and its use.
fn unusable(settings: &Settings) -> impl Fn(Unusable) -> StartError {
    move |it| {
        let whole = || Place::whole(&*settings.file);
        StartError::Files(files::fault(settings, &it, whole).into())
    }
}

/// Reads and compiles the policy folder of the settings.
///
/// # Errors
///
/// Every fault in the folder. A folder without a single route is one: an empty table refuses
/// everything, and is what a mount that went wrong looks like.
pub fn policy_in_force(settings: &Settings) -> Result<Policy, Faults> {
    let files = folder::read(&settings.policies)?;
    let policy = compile::compile(&files, &admin::policy_context(settings))?;
    if policy.routes.is_empty() {
        let place = Place::whole(settings.policies.clone());
        return Err(Fault::new(place, "no file in the policy folder defines a route").into());
    }
    Ok(policy)
}

/// Starts a gateway. Decisions are logged to `decisions`.
///
/// # Errors
///
/// See [`StartError`]; nothing is left running then.
pub fn start(
    settings: Settings,
    clock: Clock,
    decisions: impl Write + Send + 'static,
) -> Result<Running, StartError> {
    let settings = Arc::new(settings);
    // Before the folder is read, so that no edit falls in between.
    let watch = Watch::new(&settings.policies);
    let policy = both(files::usable(&settings), policy_in_force(&settings));
    let policy = policy.map_err(StartError::Files)?;
    let service = admin::open_server(&settings, Arc::new(policy), clock.clone())?;
    let service = Arc::new(service);
    let cores = cores::count(&settings);
    let mut bound = bind(&settings, cores)?;
    let metrics = books::metrics(&settings, &service);
    let upstreams = Upstreams::new(&settings.upstreams).map_err(unusable(&settings))?;
    let log = Log::start(decisions).map_err(system("cannot start the log"))?;
    books::watch(&metrics, (&log, &service, &upstreams));
    let (throttle, rates) = books::limits(&settings, &metrics);
    let (revocations, given_back) = revocations::of(&settings.store);
    let shared = Shared {
        state: Arc::clone(service.handle()),
        verifier: Arc::clone(service.verifier()),
        throttle,
        rates,
        tokens: Arc::new(settings.tokens.clone()),
        revocations: revocations.clone(),
        metadata: oauth::metadata(&settings.tokens.issuer, revocations.can_keep()).map(Arc::new),
        metrics: Arc::clone(&metrics),
        upstreams,
        admission: Arc::new(Semaphore::new(descriptors::places(&settings))),
        draining: Arc::default(),
        denials: Arc::clone(service.denials()),
        clock: clock.clone(),
        tasks: Tasks::default(),
        settings: Arc::clone(&settings),
    };
    let mut running = Running {
        upstreams: shared.upstreams.clone(),
        addresses: Addresses {
            listeners: bound.iter().map(|bound| bound.address).collect(),
            ..Addresses::default()
        },
        health: Arc::default(),
        draining: Arc::clone(&shared.draining),
        tasks: shared.tasks.clone(),
        cores: Vec::with_capacity(cores),
        admin: None,
        control: control_runtime().map_err(system("cannot start the control plane"))?,
        asked_to_stop: CancellationToken::new(),
        over: CancellationToken::new(),
        settings,
        service,
        log,
    };
    let doors = bound.iter().map(|bound| Arc::clone(&bound.door));
    let doors = doors.chain(running.admin_api(&metrics)?).collect();
    running.certificates(doors, &metrics, &clock);
    running.control_plane(watch, &metrics, clock)?;
    running.keeps(given_back);
    running.begin(&shared, &mut bound, cores)?;
    Ok(running)
}

/// What was found, or all that is wrong with either.
fn both<T>(first: Result<(), Faults>, found: Result<T, Faults>) -> Result<T, Faults> {
    let mut faults = first.err().unwrap_or_default();
    match found {
        Ok(found) => faults.into_result(found),
        Err(more) => {
            faults.extend(more);
            Err(faults.into_result(()).err().unwrap_or_default())
        }
    }
}

fn bind(settings: &Settings, cores: usize) -> Result<Vec<Bound>, StartError> {
    let bind = |listener: &crate::settings::Listener| {
        let what = format!("cannot listen on {}", listener.address);
        let door = Door::open(Arc::new(listener.clone())).map_err(unusable(settings))?;
        Bound::bind(door, cores).map_err(system(what))
    };
    settings.listeners.iter().map(bind).collect()
}

fn control_runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
}

impl Running {
    /// Starts the cores; then it is ready.
    fn begin(
        &mut self,
        shared: &Shared,
        bound: &mut [Bound],
        cores: usize,
    ) -> Result<(), StartError> {
        for core in 0..cores {
            let handle = cores::start(shared.clone(), self.log.handle(), bound, core)
                .map_err(system(format_args!("cannot start core {core}")))?;
            self.cores.push(handle);
        }
        for check in Check::ALL {
            self.health.pass(check);
        }
        Ok(())
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What operators ask.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Starts everything that is not the data plane.
    fn control_plane(
        &mut self,
        watch: Watch,
        metrics: &Arc<Metrics>,
        clock: Clock,
    ) -> Result<(), StartError> {
        let (settings, service) = (Arc::clone(&self.settings), Arc::clone(&self.service));
        let reloader = Reloader::new(settings, service, Arc::clone(metrics), clock.clone());
        reloader.in_force();
        let reloader = Arc::new(reloader);
        let control = self.control.handle().clone();
        let _in_runtime = control.enter();
        if let Some(address) = self.settings.ops {
            self.addresses.ops = Some(self.ops(address, metrics)?);
        }
        self.service.attach(Arc::new(Process {
            reloader: Arc::clone(&reloader),
            asked_to_stop: self.asked_to_stop.clone(),
            status: self.status(),
        }));
        self.upstreams.each().look_after(&self.tasks, &self.over);
        // A limit on the size of files is an error to be told, not an end.
        let too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        drop(signal(too_large).map_err(system("cannot hear SIGXFSZ"))?);
        let hang_up = signal(SignalKind::hangup()).map_err(system("cannot hear SIGHUP"))?;
        let stop = self.over.clone();
        self.addresses.control =
            admin::control::serve(&self.settings, &self.service, &self.tasks, stop.clone())?;
        self.tasks
            .spawn(reload::watch(reloader, watch, hang_up, stop.clone()));
        let (service, metrics) = (Arc::clone(&self.service), Arc::clone(metrics));
        let life = self.settings.tokens.signing_key_life;
        self.tasks
            .spawn(denials::keep(Arc::clone(&service), stop.clone()));
        self.tasks
            .spawn(books::keep(service, metrics, (clock, life), stop));
        Ok(())
    }

    /// Keeps the certificates of the listeners as their files are.
    fn certificates(&self, doors: Vec<Arc<Door>>, metrics: &Arc<Metrics>, clock: &Clock) {
        let _in_runtime = self.control.enter();
        let stop = self.over.clone();
        let watch = tls::watch(doors, Arc::clone(metrics), clock.clone(), stop);
        self.tasks.spawn(watch);
    }

    /// Starts the admin API, on threads of its own, if there is to be one.
    fn admin_api(&mut self, metrics: &Arc<Metrics>) -> Result<Option<Arc<Door>>, StartError> {
        let Some(settings) = &self.settings.admin else {
            return Ok(None);
        };
        let what = format!("cannot listen on {} for the admin API", settings.address);
        let listener = Arc::new(admin::http::listener(settings));
        let door = Door::open(listener).map_err(unusable(&self.settings))?;
        let records = admin::http::Records::new(self.log.handle(), Arc::clone(metrics));
        let api = admin::http::Api::new(settings, &self.settings, &self.service, records);
        let (address, thread) =
            admin::http::start(api, Arc::clone(&door), self.over.clone()).map_err(system(what))?;
        self.addresses.admin = Some(address);
        self.admin = Some(thread);
        Ok(Some(door))
    }

    fn ops(&self, address: SocketAddr, metrics: &Arc<Metrics>) -> Result<SocketAddr, StartError> {
        let listen = || -> io::Result<_> {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok((
                listener.local_addr()?,
                tokio::net::TcpListener::from_std(listener)?,
            ))
        };
        let what = format!("cannot listen on {address} for metrics and health");
        let (address, listener) = listen().map_err(system(what))?;
        let ops = Ops {
            metrics: Arc::clone(metrics),
            health: Arc::clone(&self.health),
            probes: Arc::new(Probes::new(self.upstreams.each().all())),
        };
        // It answers to the end: readiness has to be seen falling, and the last scrape to be had.
        self.tasks
            .spawn(ops.serve(listener, self.tasks.stop().child_token()));
        Ok(address)
    }

    fn status(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "settings": self.settings.file,
            "policies": self.settings.policies,
            "listeners": self.addresses.listeners,
            "ops": self.addresses.ops,
            "admin": self.addresses.admin,
        })
    }

    /// Says on the diagnostics where it listens and that it is ready, one line each, so that
    /// whoever started it on port 0 learns the ports.
    pub fn announce(&self) {
        for setting in &self.settings.weakened {
            tracing::warn!(setting, "this setting weakens a promise");
        }
        for conflict in self.service.conflicts() {
            tracing::error!(conflict, "refused everything until this is settled");
        }
        for (place, address) in self.addresses.listeners.iter().enumerate() {
            tracing::info!(listener = place.to_string(), %address, "listening");
        }
        if let Some(address) = self.addresses.ops {
            tracing::info!(listener = "ops", %address, "listening");
        }
        if let Some(address) = self.addresses.admin {
            tracing::info!(listener = "admin", %address, "listening");
        }
        if let Some(path) = &self.addresses.control {
            tracing::info!(socket = %path.display(), "control socket");
        }
        tracing::info!(settings = %self.settings.file.display(), "ready");
    }

    /// Waits until a signal or an operator asks the gateway to stop, then drains it. A second signal
    /// ends the process at once.
    ///
    /// # Errors
    ///
    /// When the system gives no way to hear signals.
    pub fn wait(self) -> Result<(), StartError> {
        let asked = self.asked_to_stop.clone();
        let heard = self.control.block_on(signals::until_asked(asked));
        heard.map_err(system("cannot listen for signals"))?;
        self.stop();
        Ok(())
    }

    /// Drains the gateway and waits for what is in flight, as long as the settings allow.
    pub fn stop(self) {
        tracing::info!("draining");
        self.health.drain();
        self.draining.store(true, Ordering::Relaxed);
        let delay = self.settings.drain.delay;
        // Made inside the runtime: a timer made outside of it has no clock to go by.
        self.control
            .block_on(async { tokio::time::sleep(delay).await });
        self.tasks.drain().cancel();
        for core in self.cores {
            if core.join().is_err() {
                tracing::error!("a core ended by a panic");
            }
        }
        self.over.cancel();
        if self.admin.is_some_and(|admin| admin.join().is_err()) {
            tracing::error!("the admin API ended by a panic");
        }
        self.tasks.stop().cancel();
        self.control
            .block_on(self.tasks.finish(Duration::from_secs(1)));
        if let Err(error) = self.service.tell_every_repeat() {
            tracing::warn!(%error, "the audit trail was not told how often things were asked again");
        }
        if let Err(error) = self.service.flush_last_used() {
            tracing::warn!(%error, "the last use of keys was not written back");
        }
        if let Err(error) = self.service.save_denials() {
            tracing::warn!(%error, "the last refusals were not written to the store");
        }
        // What fails here is left as a death would leave it, and whole.
        let _ = self.service.close();
        if !self.log.stop(LOG_GRACE) {
            tracing::warn!("the end of the decision log was not written: nobody reads it");
        }
        self.control.shutdown_timeout(Duration::from_secs(1));
        tracing::info!("stopped");
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
