//! What can be counted, as verbs: names, help, units and labels of every metric stand here and
//! nowhere else.
//!
//! Labels come from closed sets (reasons, methods, statuses), from names people gave (routes,
//! permissions, upstreams, accounts), and never from what a request brings; so strangers cannot
//! make series. Names people gave are bounded as well: a metric store is easily drowned.
//!
//! Not here: when to count. `record` does that, once per request.

mod watched;

use prometheus::proto::MetricType;
use prometheus::{
    Histogram, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use http::StatusCode;

use super::doors::Doors;
pub use super::event::{
    AccountLabels, AuditFigures, CacheFigures, Denied, DirectoryFigures, Finished, Outcome, Target,
    UpstreamError,
};
pub use super::handles::{InFlight, UpstreamMetrics};
use super::inventory::{Inventory, Policies};
use super::maker::{Maker, as_int};
use super::process::Process;
use super::routes::Routes;
use super::series::{AccountNames, Bounded, as_float};
use crate::policy::Policy;
use crate::policy::compile::ROUTES_IN_SHADOW;
use crate::policy::shadow::NotEnforced;
use crate::words::{Method, PathClass, UnixTime, UpstreamName};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds in seconds: from a cached decision to one that waited for its core.
const AUTHZ_BUCKETS: [f64; 11] = [
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 1e-2,
];

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    routes: Routes,
    account_names: AccountNames,
    in_flight: IntGauge,
    tunnels: IntGauge,
    denied: Bounded<6>,
    shadowed: Bounded<4>,
    authz: Histogram,
    token_requests: IntCounterVec,
    admin_requests: IntCounterVec,
    paths_refused: IntCounterVec,
    policies: Policies,
    inventory: Inventory,
    upstream_durations: HistogramVec,
    upstream_errors: IntCounterVec,
    unsafe_settings: IntGaugeVec,
    doors: Doors,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Panics
    ///
    /// Never: it would take a name that stands twice in this file, which its first test finds.
    pub fn new(accounts: AccountLabels) -> Self {
        Self::build(accounts).expect("the names in this file are valid, and no two are equal")
    }

    #[expect(clippy::too_many_lines, reason = "a table: a row for each metric")]
    fn build(accounts: AccountLabels) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Maker(&registry);
        let metrics = Self {
            routes: make.register(Routes::new()?)?,
            account_names: AccountNames::new(accounts),
            in_flight: make.gauge(
                "portcullis_requests_in_flight",
                "Requests not yet answered.",
            )?,
            tunnels: make.gauge("portcullis_tunnels_open", "WebSockets that are open.")?,
            denied: make.bounded(
                "portcullis_denied_requests_total",
                "Requests refused, by the reason that stands in the log.",
                ["reason", "code", "method", "route", "permission", "account"],
            )?,
            shadowed: make.bounded(
                "portcullis_shadow_denied_requests_total",
                "Requests forwarded in shadow that would have been refused.",
                ["reason", "method", "route", "permission"],
            )?,
            authz: make.histogram(
                "portcullis_authz_duration_seconds",
                "From the request's head to the decision.",
                &AUTHZ_BUCKETS,
            )?,
            token_requests: make.counters(
                "portcullis_token_requests_total",
                "Requests to the token endpoint; the outcome is `issued` or the OAuth error.",
                &["grant_type", "outcome"],
            )?,
            admin_requests: make.counters(
                "portcullis_admin_requests_total",
                "Requests to the admin API, by endpoint; the reason is empty where it was done.",
                &["endpoint", "code", "reason"],
            )?,
            paths_refused: make.counters(
                "portcullis_path_refused_total",
                "Paths that can be read two ways, by class.",
                &["class"],
            )?,
            policies: Policies::new(&make)?,
            inventory: Inventory::new(&make)?,
            upstream_durations: make.histograms(
                "portcullis_upstream_request_duration_seconds",
                "From a request sent to the head of the response.",
                &["upstream"],
            )?,
            upstream_errors: make.counters(
                "portcullis_upstream_errors_total",
                "Requests an upstream did not answer.",
                &["upstream", "kind"],
            )?,
            unsafe_settings: make.gauges(
                "portcullis_unsafe_settings",
                "Settings in force that weaken a promise.",
                &["setting"],
            )?,
            doors: Doors::new(&make)?,
            registry: registry.clone(),
        };
        metrics.start(&make)?;
        Ok(metrics)
    }

    /// Puts a zero where an absent series would read as "unknown", and adds what never changes.
    fn start(&self, make: &Maker<'_>) -> Result<(), prometheus::Error> {
        for class in PathClass::ALL {
            self.paths_refused.with_label_values(&[class.code()]);
        }
        let build_info = make.gauges(
            "portcullis_build_info",
            "What is running.",
            &["version", "revision"],
        )?;
        let revision = option_env!("PORTCULLIS_REVISION").unwrap_or("unknown");
        build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION"), revision])
            .set(1);
        let (denied, shadowed) = (self.denied.clone(), self.shadowed.clone());
        let names = self.account_names.clone();
        self.pull(
            "portcullis_metrics_series_capped_total",
            "Events counted under `_other` because a bound on series was reached.",
            MetricType::COUNTER,
            move || denied.capped() + shadowed.capped() + names.capped(),
        );
        self.registry.register(Box::new(Process::new()?))
    }

    /// Connections and certificates.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Counts a request as in flight until the guard is dropped.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts a tunnel as open until the guard is dropped.
    pub fn tunnel(&self) -> InFlight {
        self.tunnels.inc();
        InFlight(self.tunnels.clone())
    }

    /// A request is over.
    pub fn request_finished(&self, request: &Finished<'_>) {
        let Finished {
            target,
            method,
            status,
            total,
            authz,
            outcome,
        } = *request;
        self.routes.finished(target, method, status, total);
        if let Some(authz) = authz {
            self.authz.observe(authz.as_secs_f64());
        }
        match outcome {
            Outcome::Allowed => {}
            Outcome::Denied(denied) => self.denied.add([
                denied.reason.code(),
                denied.status.as_str(),
                method.map_or("_OTHER", Method::as_str),
                target.name(),
                denied.permission,
                self.account_names.label(denied.account),
            ]),
            Outcome::Shadowed(denied) => self.shadowed.add([
                denied.reason.code(),
                method.map_or("_OTHER", Method::as_str),
                target.name(),
                denied.permission,
            ]),
        }
    }

    /// The token endpoint answered. `grant_type` is what the client sent; `outcome` is `issued` or
    /// the OAuth error.
    pub fn token_request(&self, grant_type: Option<&str>, outcome: &'static str) {
        let grant_type = match grant_type {
            Some("client_credentials") => "client_credentials",
            Some(_) => "_other",
            None => "_none",
        };
        self.token_requests
            .with_label_values(&[grant_type, outcome])
            .inc();
    }

    /// The admin API answered, or somebody left before it did. `endpoint` is one of its own names, and
    /// empty where nobody stands for what was asked.
    pub fn admin_request(
        &self,
        endpoint: &'static str,
        code: Option<StatusCode>,
        reason: &'static str,
    ) {
        let code = code.as_ref().map_or("", StatusCode::as_str);
        self.admin_requests
            .with_label_values(&[endpoint, code, reason])
            .inc();
    }

    /// A path showed this class, whether it was then refused or put up with in shadow.
    pub fn path_refused(&self, class: PathClass) {
        self.paths_refused.with_label_values(&[class.code()]).inc();
    }

    /// A policy was put in force. The series of its routes are there when this returns.
    pub fn policy_loaded(&self, policy: &Policy, now: UnixTime) {
        self.routes.replace(&policy.routes);
        self.denied.retain("route", |name| self.routes.knows(name));
        self.shadowed
            .retain("route", |name| self.routes.knows(name));
        self.policies.reloads.with_label_values(&["success"]).inc();
        self.policies.last_successful.set(1);
        self.policies
            .last_success
            .set(as_float(now.as_millis()) / 1000.0);
        self.policies.info.reset();
        self.policies.info.with_label_values(&[&policy.hash]).set(1);
        self.policies.routes.set(as_int(policy.routes.len() as u64));
        let in_shadow = NotEnforced::of(policy).routes;
        self.policies.routes_in_shadow.set(as_int(in_shadow as u64));
        let classes = PathClass::ALL.iter();
        let classes = classes.map(|class| format!("routes.unsafe_allow: {}", class.code()));
        for setting in classes.chain([ROUTES_IN_SHADOW.to_owned()]) {
            if policy.weakened.contains(&setting) {
                self.unsafe_setting(&setting);
            } else {
                // Not there most of the time, and then there is nothing to take away.
                let _ = self.unsafe_settings.remove_label_values(&[&setting]);
            }
        }
    }

    /// A policy folder was refused; the policy before it stays in force.
    pub fn policy_refused(&self) {
        self.policies.reloads.with_label_values(&["failure"]).inc();
        self.policies.last_successful.set(0);
    }

    /// The store answered, or did not.
    pub fn store_is_up(&self, up: bool) {
        self.inventory.store_up.set(i64::from(up));
    }

    /// What the directory holds now.
    pub fn directory_loaded(&self, figures: &DirectoryFigures) {
        let accounts = [
            ("enabled", figures.accounts_enabled),
            ("disabled", figures.accounts_disabled),
        ];
        for (state, count) in accounts {
            self.inventory
                .accounts
                .with_label_values(&[state])
                .set(as_int(count));
        }
        for (state, count) in [
            ("active", figures.keys_active),
            ("expired", figures.keys_expired),
        ] {
            self.inventory
                .keys
                .with_label_values(&[state])
                .set(as_int(count));
        }
        self.inventory.expiring.set(as_int(figures.keys_expiring));
        let next = figures.next_expiry;
        self.inventory
            .next_expiry
            .set(next.map_or(f64::INFINITY, |time| as_float(time.as_secs())));
    }

    /// The series of an upstream, made at the first call.
    pub fn upstream(&self, name: &UpstreamName) -> UpstreamMetrics {
        let error = |kind: UpstreamError| {
            self.upstream_errors
                .with_label_values(&[name.as_str(), kind.code()])
        };
        UpstreamMetrics {
            duration: self.upstream_durations.with_label_values(&[name.as_str()]),
            errors: UpstreamError::ALL.map(error),
        }
    }

    /// A setting that weakens a promise is in force.
    pub fn unsafe_setting(&self, setting: &str) {
        self.unsafe_settings.with_label_values(&[setting]).set(1);
    }

    /// Everything, in Prometheus' text format (see [`CONTENT_TYPE`]).
    pub fn render(&self) -> String {
        let families = self.registry.gather();
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_else(|error| {
                tracing::error!(%error, "the metrics cannot be printed");
                String::new()
            })
    }
}

#[cfg(test)]
mod tests;
