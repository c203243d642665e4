//! Makes metrics and registers them, with the bounds that are not the business of a name.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::series::Bounded;

/// Upper bounds in seconds, from an answer out of memory on this machine to the longest wait.
const UPSTREAM_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// How many series of refused requests are told apart; the rest are counted under `_other`. A
/// Prometheus server of ordinary size takes ten times as many from one target.
const DENIED_SERIES_MAX: usize = 10_000;

/// Makes metrics and registers them.
pub(super) struct Maker<'r>(pub(super) &'r Registry);

impl Maker<'_> {
    pub(super) fn register<C: Collector + Clone + 'static>(
        &self,
        metric: C,
    ) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.into());
        self.register(Histogram::with_opts(options)?)
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(UPSTREAM_BUCKETS.into());
        self.register(HistogramVec::new(options, labels)?)
    }

    /// The last three labels, at most, are names people gave; what comes before is a closed set.
    pub(super) fn bounded<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Result<Bounded<N>, prometheus::Error> {
        let closed = labels.iter().take_while(|label| **label != "route").count();
        self.register(Bounded::new(
            name,
            help,
            labels,
            (DENIED_SERIES_MAX, closed),
        )?)
    }
}

/// A count as the gauges of the `prometheus` crate have it.
pub(super) fn as_int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
