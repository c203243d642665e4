//! A policy folder that changed becomes the policy in force, whole or not at all.
//!
//! Whatever asks for it (an edit, SIGHUP, an operator), one reload runs at a time. A folder with a
//! fault changes nothing: the last good policy stays in force, the log and a metric say so, and the
//! gateway stays ready.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::admin::{Actor, Service};
use crate::clock::Clock;
use crate::policy::Policy;
use crate::policy::reload::Watch;
use crate::policy::shadow::NotEnforced;
use crate::review;
use crate::settings::Settings;
use crate::telemetry::metrics::Metrics;
use crate::words::{AccountName, Fault, Faults, Level, UpstreamName};

/// Reloads the policy.
pub(super) struct Reloader {
    settings: Arc<Settings>,
    service: Arc<Service>,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// Why the folder as it is now was refused, if it was; held while a reload runs.
    refused: Mutex<Option<String>>,
}

impl Reloader {
    pub(super) fn new(
        settings: Arc<Settings>,
        service: Arc<Service>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        Self {
            settings,
            service,
            metrics,
            clock,
            refused: Mutex::new(None),
        }
    }

    /// The policy in force is counted as loaded.
    pub(super) fn in_force(&self) {
        let state = self.service.handle().snapshot();
        self.metrics.policy_loaded(&state.policy, self.clock.now());
        for setting in &state.policy.weakened {
            tracing::warn!(setting, "this setting weakens a promise");
        }
        say_what_is_not_enforced(&state.policy);
        let found = |level| state.policy.findings.count(level);
        let (warnings, notes) = (found(Level::Warning), found(Level::Note));
        tracing::info!(
            warnings,
            notes,
            "policy proven; `portcullis check` says what was found"
        );
    }

    /// Why the folder as it is now was refused, if it was.
    pub(super) fn refused(&self) -> Option<String> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the folder again, because `actor` asks for it, and puts it in force. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// What is wrong with the folder, one fault a line; the policy before it stays in force.
    pub(super) fn reload(&self, actor: &Actor) -> Result<Value, String> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.service.handle().snapshot().policy.hash.clone();
        match self.replace(actor) {
            Ok(()) => {
                *refused = None;
                self.in_force();
                let policy = &self.service.handle().snapshot().policy;
                let (hash, routes) = (&policy.hash, policy.routes.len());
                tracing::info!(hash, routes, "policy in force");
                self.warn_of_failed_tests();
                Ok(json!({ "policy": hash, "routes": routes, "changed": *hash != before }))
            }
            Err(faults) => {
                *refused = Some(faults.clone());
                self.metrics.policy_refused();
                self.service.policy_refused(actor, &faults);
                tracing::error!(faults, "policy refused; the one before it stays in force");
                Err(faults)
            }
        }
    }

    /// A policy's own tests are for `check`, before it is rolled out; one that fails all the same is
    /// said, and does not keep the policy out.
    fn warn_of_failed_tests(&self) {
        let state = self.service.handle().snapshot();
        let account = |name: &AccountName| state.directory.account_named(name.as_str()).cloned();
        for failure in review::run_tests(&state.policy, account) {
            let (place, happened) = (&failure.test.place, &failure.explanation.sentence);
            tracing::warn!(%place, happened, "a test of the policy in force does not hold");
        }
    }

    fn replace(&self, actor: &Actor) -> Result<(), String> {
        let policy = super::policy_in_force(&self.settings);
        let policy = policy.map_err(|faults| self.told(faults).to_string())?;
        self.service
            .replace_policy(Arc::new(policy), actor)
            .map_err(|error| error.to_string())
    }

    /// The same faults; of those that the settings as they stand in the file by now would mend, it is
    /// said that nobody reads them while the server runs.
    fn told(&self, faults: Faults) -> Faults {
        let file = &self.settings.file;
        let now = Settings::load(file).ok();
        let now = now.filter(|now| now.upstreams != self.settings.upstreams);
        let Some(now) = now else {
            return faults;
        };
        let left = super::policy_in_force(&now).err().unwrap_or_default();
        let mended = |fault: &Fault| left.iter().all(|other| other != fault);
        let mut told = Faults::default();
        for fault in faults.iter() {
            let mut fault = fault.clone();
            if mended(&fault) {
                fault.message += &format!(
                    "; `{}` has changed since the server was started, which is when settings are \
                     read: restart it, and this holds",
                    file.display()
                );
            }
            told.push(fault);
        }
        told
    }
}

/// A gateway that enforces less than its table says must not look like one that does not.
fn say_what_is_not_enforced(policy: &Policy) {
    let not_enforced = NotEnforced::of(policy);
    if not_enforced.is_nothing() {
        return;
    }
    let names = |names: &[UpstreamName]| {
        let names: Vec<_> = names.iter().map(UpstreamName::as_str).collect();
        names.join(", ")
    };
    let (routes, of) = (not_enforced.routes, policy.routes.len());
    let upstreams = names(&not_enforced.upstreams);
    let default_upstream = names(not_enforced.default_upstream.as_slice());
    tracing::warn!(
        routes,
        of,
        upstreams,
        default_upstream,
        "in shadow: what is refused here is forwarded all the same"
    );
}

/// Reloads whenever the folder has changed, or SIGHUP says so, until `stop`.
pub(super) async fn watch(
    reloader: Arc<Reloader>,
    mut watch: Watch,
    mut hang_up: Signal,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = watch.changed() => {}
            _ = hang_up.recv() => {}
        }
        let reloader = Arc::clone(&reloader);
        // Its outcome is logged and counted; here is nobody to be told.
        let _ = tokio::task::spawn_blocking(move || reloader.reload(&Actor::Gateway)).await;
    }
}
