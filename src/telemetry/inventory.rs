//! The figures that stand rather than flow: the policy in force, accounts, keys, the store.

use prometheus::{Gauge, IntCounterVec, IntGauge, IntGaugeVec};

use super::maker::Maker;

/// What is told about the policy in force.
pub(super) struct Policies {
    pub(super) reloads: IntCounterVec,
    pub(super) last_successful: IntGauge,
    pub(super) last_success: Gauge,
    pub(super) info: IntGaugeVec,
    pub(super) routes: IntGauge,
    pub(super) routes_in_shadow: IntGauge,
}

/// What is told about accounts, keys and where they rest.
pub(super) struct Inventory {
    pub(super) store_up: IntGauge,
    pub(super) accounts: IntGaugeVec,
    pub(super) keys: IntGaugeVec,
    pub(super) expiring: IntGauge,
    pub(super) next_expiry: Gauge,
}

impl Policies {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        let policies = Self {
            reloads: make.counters(
                "portcullis_config_reloads_total",
                "Attempts to load the policy folder.",
                &["result"],
            )?,
            last_successful: make.gauge(
                "portcullis_config_last_reload_successful",
                "Whether the last attempt to load the policy folder succeeded.",
            )?,
            last_success: make.register(Gauge::new(
                "portcullis_config_last_reload_success_timestamp_seconds",
                "When the policy in force was loaded.",
            )?)?,
            info: make.gauges(
                "portcullis_config_info",
                "The hash of the policy in force.",
                &["hash"],
            )?,
            routes: make.gauge("portcullis_routes", "Routes of the policy in force.")?,
            routes_in_shadow: make.gauge(
                "portcullis_routes_in_shadow",
                "Routes of the policy in force whose refusals are not enforced.",
            )?,
        };
        for result in ["success", "failure"] {
            policies.reloads.with_label_values(&[result]);
        }
        Ok(policies)
    }
}

impl Inventory {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        let inventory = Self {
            store_up: make.gauge(
                "portcullis_store_up",
                "Whether the store answered when last asked; 1 without a store.",
            )?,
            accounts: make.gauges("portcullis_accounts", "Accounts, by state.", &["state"])?,
            keys: make.gauges("portcullis_api_keys", "API keys, by state.", &["state"])?,
            expiring: make.gauge(
                "portcullis_api_keys_expiring",
                "Active API keys that run out within `keys.warn_before`.",
            )?,
            next_expiry: make.register(Gauge::new(
                "portcullis_api_key_next_expiry_timestamp_seconds",
                "When the next API key runs out; infinity if none will.",
            )?)?,
        };
        inventory.store_up.set(1);
        inventory.next_expiry.set(f64::INFINITY);
        Ok(inventory)
    }
}
