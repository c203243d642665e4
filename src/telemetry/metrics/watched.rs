//! Figures that somebody else keeps, read at every scrape.

use prometheus::proto::MetricType;

use super::Metrics;
use crate::forward::pool::Upstreams;
use crate::telemetry::event::{AuditFigures, CacheFigures};
use crate::telemetry::series::{Pulled, as_float};
use crate::telemetry::upstreams::UpstreamFigures;

impl Metrics {
    /// From now on every scrape asks `read` about the cache of verified tokens. To be called once.
    pub fn watch_token_cache(
        &self,
        read: impl Fn() -> CacheFigures + Clone + Send + Sync + 'static,
    ) {
        let figure = |name: &str, help: &str, kind, pick: fn(CacheFigures) -> u64| {
            let read = read.clone();
            self.pull(name, help, kind, move || pick(read()));
        };
        let counter = MetricType::COUNTER;
        figure(
            "portcullis_token_cache_hits_total",
            "Tokens found verified in memory.",
            counter,
            |c| c.hits,
        );
        figure(
            "portcullis_token_cache_misses_total",
            "Tokens that had to be verified.",
            counter,
            |c| c.misses,
        );
        figure(
            "portcullis_token_cache_evictions_total",
            "Verified tokens that made room for others.",
            counter,
            |c| c.evictions,
        );
        figure(
            "portcullis_token_cache_entries",
            "Verified tokens held.",
            MetricType::GAUGE,
            |c| c.entries,
        );
    }

    /// From now on every scrape asks how many credentials were wrong, and how many times a source had
    /// shown too many. To be called once.
    pub fn watch_sources(
        &self,
        failures: impl Fn() -> u64 + Send + Sync + 'static,
        throttlings: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.pull(
            "portcullis_source_failures_total",
            "Credentials that were wrong, and counted against their source.",
            MetricType::COUNTER,
            failures,
        );
        self.pull(
            "portcullis_source_throttlings_total",
            "Times a source had shown so many of them that nothing new of it was verified for a while.",
            MetricType::COUNTER,
            throttlings,
        );
    }

    /// From now on every scrape asks `read` how many log lines were dropped. To be called once.
    pub fn watch_log(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.pull(
            "portcullis_log_records_dropped_total",
            "Log lines dropped because whoever reads the log did not keep up.",
            MetricType::COUNTER,
            read,
        );
    }

    /// From now on every scrape asks `read` how many refusals were counted and not kept. To be called
    /// once.
    pub fn watch_denials(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.pull(
            "portcullis_denials_not_kept_total",
            "Refusals that came too fast to be kept; they are counted and logged all the same.",
            MetricType::COUNTER,
            read,
        );
    }

    /// From now on every scrape asks `read` how the audit trail goes on. To be called once.
    pub fn watch_audit(&self, read: impl Fn() -> AuditFigures + Clone + Send + Sync + 'static) {
        let figure = |name: &str, help: &str, kind, pick: fn(AuditFigures) -> u64| {
            let read = read.clone();
            self.pull(name, help, kind, move || pick(read()));
        };
        figure(
            "portcullis_audit_records_total",
            "Records written to the audit trail since the start.",
            MetricType::COUNTER,
            |it| it.records,
        );
        figure(
            "portcullis_audit_failures_total",
            "Records that could not be written; what they are about was not done.",
            MetricType::COUNTER,
            |it| it.failures,
        );
        figure(
            "portcullis_audit_head",
            "The number of the newest record of the audit trail.",
            MetricType::GAUGE,
            |it| it.head,
        );
        figure(
            "portcullis_audit_last_record_timestamp_seconds",
            "When the newest record was written.",
            MetricType::GAUGE,
            |it| it.head_at.as_secs(),
        );
        figure(
            "portcullis_audit_exported",
            "The newest record that `audit export --cursor` has handed on since the start; 0 if it was not asked to.",
            MetricType::GAUGE,
            |it| it.exported,
        );
    }

    /// From now on every scrape asks `read` how many writes to the store failed. To be called once.
    pub fn watch_store(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.pull(
            "portcullis_store_write_failures_total",
            "Changes and records that the store could not write. Requests go on meanwhile.",
            MetricType::COUNTER,
            read,
        );
    }

    /// From now on every scrape asks `upstreams` what they are at. To be called once.
    pub fn watch_upstreams(&self, upstreams: &Upstreams) {
        let registered = UpstreamFigures::new(upstreams.clone())
            .and_then(|figures| self.registry.register(Box::new(figures)));
        if let Err(error) = registered {
            tracing::error!(%error, "what upstreams are at cannot be shown");
        }
    }

    pub(super) fn pull(
        &self,
        name: &str,
        help: &str,
        kind: MetricType,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let registered = Pulled::new(name, help, kind, move || as_float(read()))
            .and_then(|pulled| self.registry.register(Box::new(pulled)));
        if let Err(error) = registered {
            tracing::error!(metric = name, %error, "the metric cannot be shown");
        }
    }
}
