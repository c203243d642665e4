//! The three kinds of series the request path writes to, and their bounds.
//!
//! The `prometheus` crate registers, sorts and prints them. What it does not have is a way to count
//! without looking labels up: its vectors hash all label values and take a lock per event. So the
//! series of a route are made when its policy is loaded and reached by position, and what is
//! counted on demand ([`Bounded`]) has an upper bound on the number of series.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use http::StatusCode;
use prometheus::core::{Collector, Desc};
use prometheus::proto;

use super::event::AccountLabels;

/// Upper bounds of a histogram's buckets, in nanoseconds, ascending.
pub(super) type Bounds = &'static [u64];

/// Durations by bucket. Two atomic additions per observation.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: Bounds,
    /// One more than there are bounds; the last holds what is above all of them.
    counts: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_ns: AtomicU64::new(0),
        }
    }

    pub(super) fn observe(&self, elapsed: Duration) {
        let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let above = |bound: &u64| *bound >= ns;
        let place = self.bounds.iter().position(above);
        if let Some(count) = self.counts.get(place.unwrap_or(self.bounds.len())) {
            count.fetch_add(1, Relaxed);
        }
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// What is to be printed; nothing if nothing was observed.
    pub(super) fn sample(&self, labels: Vec<proto::LabelPair>) -> Option<proto::Metric> {
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            cumulative += count.load(Relaxed);
            let mut bucket = proto::Bucket::default();
            bucket.set_cumulative_count(cumulative);
            bucket.set_upper_bound(seconds(*bound));
            buckets.push(bucket);
        }
        cumulative += self.counts.last().map_or(0, |count| count.load(Relaxed));
        if cumulative == 0 {
            return None;
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_sample_count(cumulative);
        histogram.set_sample_sum(seconds(self.sum_ns.load(Relaxed)));
        histogram.set_bucket(buckets);
        let mut metric = proto::Metric::from_label(labels);
        metric.set_histogram(histogram);
        Some(metric)
    }
}

/// How many different statuses one route and method are counted under; an API that answers with
/// more than this many has the rest under `_other`.
const STATUSES_MAX: usize = 16;

/// Answers by status. Each slot packs the status above 54 bits of count, so the common case is one
/// load and one addition, without a lock and without a slot for each of the 900 possible statuses.
#[derive(Debug, Default)]
pub(super) struct ByStatus {
    slots: [AtomicU64; STATUSES_MAX],
    other: AtomicU64,
}

const COUNT_BITS: u32 = 54;

impl ByStatus {
    /// A counter whose `200` is there from the start, at zero, so that `increase()` sees the first.
    pub(super) fn starting_at_zero() -> Self {
        let counter = Self::default();
        if let Some(slot) = counter.slots.first() {
            slot.store(200 << COUNT_BITS, Relaxed);
        }
        counter
    }

    pub(super) fn add(&self, status: StatusCode) {
        let status = u64::from(status.as_u16());
        for slot in &self.slots {
            let found = match slot.load(Relaxed) {
                0 => match slot.compare_exchange(0, status << COUNT_BITS, Relaxed, Relaxed) {
                    Ok(_) => status,
                    Err(winner) => winner >> COUNT_BITS,
                },
                taken => taken >> COUNT_BITS,
            };
            if found == status {
                slot.fetch_add(1, Relaxed);
                return;
            }
        }
        self.other.fetch_add(1, Relaxed);
    }

    /// Each status seen with its count, in no order.
    pub(super) fn samples(&self) -> impl Iterator<Item = (String, u64)> {
        let seen = self.slots.iter().map(|slot| slot.load(Relaxed));
        let other = Some(self.other.load(Relaxed)).filter(|count| *count > 0);
        seen.filter(|packed| *packed != 0)
            .map(|packed| {
                let count = packed & ((1 << COUNT_BITS) - 1);
                ((packed >> COUNT_BITS).to_string(), count)
            })
            .chain(other.map(|count| ("_other".to_owned(), count)))
    }
}

/// A counter with labels whose series are made on demand, up to a bound. Beyond it the first labels,
/// whose values are closed sets, stay what they are and the open ones say `_other`.
#[derive(Clone)]
pub(super) struct Bounded<const LABELS: usize>(Arc<Shared<LABELS>>);

struct Shared<const LABELS: usize> {
    desc: Desc,
    names: [&'static str; LABELS],
    limit: usize,
    /// How many of the labels, from the left, have closed sets of values.
    closed: usize,
    seed: RandomState,
    /// By a seeded hash of the label values, so that a look-up owns nothing.
    series: RwLock<HashMap<u64, Series<LABELS>, RandomState>>,
    capped: AtomicU64,
}

struct Series<const LABELS: usize> {
    labels: [Box<str>; LABELS],
    count: AtomicU64,
}

impl<const LABELS: usize> Bounded<LABELS> {
    pub(super) fn new(
        name: &str,
        help: &str,
        names: [&'static str; LABELS],
        (limit, closed): (usize, usize),
    ) -> Result<Self, prometheus::Error> {
        let variable = names.iter().map(ToString::to_string).collect();
        Ok(Self(Arc::new(Shared {
            desc: Desc::new(name.to_owned(), help.to_owned(), variable, HashMap::new())?,
            names,
            limit,
            closed,
            seed: RandomState::default(),
            series: RwLock::default(),
            capped: AtomicU64::new(0),
        })))
    }

    pub(super) fn add(&self, labels: [&str; LABELS]) {
        if self.bump(&labels) {
            return;
        }
        let mut series = self
            .0
            .series
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut labels = labels;
        // Looked up again: somebody else may have made it between the two locks.
        if series.len() >= self.0.limit && !series.contains_key(&self.key(&labels)) {
            self.0.capped.fetch_add(1, Relaxed);
            labels
                .iter_mut()
                .skip(self.0.closed)
                .for_each(|label| *label = "_other");
        }
        let fresh = || Series {
            labels: labels.map(Box::from),
            count: AtomicU64::new(0),
        };
        let entry = series.entry(self.key(&labels)).or_insert_with(fresh);
        entry.count.fetch_add(1, Relaxed);
    }

    /// Counts in a series that is there already, and says whether it was.
    fn bump(&self, labels: &[&str; LABELS]) -> bool {
        let series = self.0.series.read().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = series.get(&self.key(labels)) else {
            return false;
        };
        found.count.fetch_add(1, Relaxed);
        true
    }

    fn key(&self, labels: &[&str; LABELS]) -> u64 {
        self.0.seed.hash_one(labels)
    }

    /// Forgets the series whose value of `label` is not one to `keep`: routes that are gone.
    pub(super) fn retain(&self, label: &str, keep: impl Fn(&str) -> bool) {
        let Some(place) = self.0.names.iter().position(|name| *name == label) else {
            return;
        };
        let mut series = self
            .0
            .series
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        series.retain(|_, one| one.labels.get(place).is_none_or(|value| keep(value)));
    }

    /// Events that were counted as `_other` because the bound was reached.
    pub(super) fn capped(&self) -> u64 {
        self.0.capped.load(Relaxed)
    }
}

impl<const LABELS: usize> Collector for Bounded<LABELS> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let series = self.0.series.read().unwrap_or_else(PoisonError::into_inner);
        let samples = series.values().map(|one| {
            let pairs = self.0.names.iter().zip(&one.labels);
            let labels = pairs.map(|(name, value)| label(name, value)).collect();
            counter(labels, one.count.load(Relaxed))
        });
        vec![family(
            &self.0.desc,
            proto::MetricType::COUNTER,
            samples.collect(),
        )]
    }
}

/// The accounts that are told apart in labels: the first so many that were refused something.
#[derive(Clone)]
pub(super) struct AccountNames(Arc<NamedAccounts>);

struct NamedAccounts {
    limit: usize,
    seen: Mutex<HashSet<Box<str>>>,
    capped: AtomicU64,
}

impl AccountNames {
    pub(super) fn new(labels: AccountLabels) -> Self {
        Self(Arc::new(NamedAccounts {
            limit: match labels {
                AccountLabels::Off => 0,
                AccountLabels::UpTo(limit) => limit,
            },
            seen: Mutex::default(),
            capped: AtomicU64::new(0),
        }))
    }

    pub(super) fn label<'n>(&self, name: Option<&'n str>) -> &'n str {
        let Some(name) = name.filter(|_| self.0.limit > 0) else {
            return "";
        };
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(name) {
            return name;
        }
        if seen.len() < self.0.limit {
            seen.insert(name.into());
            return name;
        }
        self.0.capped.fetch_add(1, Relaxed);
        "_other"
    }

    pub(super) fn capped(&self) -> u64 {
        self.0.capped.load(Relaxed)
    }
}

/// A figure somebody else keeps, read when it is asked for.
pub(super) struct Pulled<F> {
    desc: Desc,
    kind: proto::MetricType,
    read: F,
}

impl<F: Fn() -> f64 + Send + Sync> Pulled<F> {
    pub(super) fn new(
        name: &str,
        help: &str,
        kind: proto::MetricType,
        read: F,
    ) -> Result<Self, prometheus::Error> {
        let desc = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), HashMap::new())?;
        Ok(Self { desc, kind, read })
    }
}

impl<F: Fn() -> f64 + Send + Sync> Collector for Pulled<F> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let sample = single(self.kind, (self.read)());
        vec![family(&self.desc, self.kind, vec![sample])]
    }
}

/// A sample without labels.
pub(super) fn single(kind: proto::MetricType, value: f64) -> proto::Metric {
    let mut metric = proto::Metric::from_label(Vec::new());
    if kind == proto::MetricType::COUNTER {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        return gauge(Vec::new(), value);
    }
    metric
}

/// A counter's sample.
pub(super) fn counter(labels: Vec<proto::LabelPair>, count: u64) -> proto::Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(as_float(count));
    let mut metric = proto::Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

/// A gauge's sample.
pub(super) fn gauge(labels: Vec<proto::LabelPair>, value: f64) -> proto::Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(value);
    let mut metric = proto::Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

/// One label.
pub(super) fn label(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// All samples of one name.
pub(super) fn family(
    desc: &Desc,
    kind: proto::MetricType,
    samples: Vec<proto::Metric>,
) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(desc.fq_name.clone());
    family.set_help(desc.help.clone());
    family.set_field_type(kind);
    family.set_metric(samples);
    family
}

/// Nanoseconds in seconds, the base unit of every duration that is printed.
fn seconds(ns: u64) -> f64 {
    as_float(ns) / 1e9
}

/// A count as Prometheus has it; beyond 2⁵³ the last digits are lost, which no rate notices.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(super) fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_whose_bound_it_does_not_pass() {
        let histogram = Histogram::new(&[1_000, 1_000_000]);
        for ns in [0, 1_000, 1_001, 1_000_000, 1_000_001, u64::MAX / 2] {
            histogram.observe(Duration::from_nanos(ns));
        }
        let sample = histogram.sample(Vec::new()).unwrap();
        let buckets = sample.get_histogram().get_bucket();
        let counts: Vec<u64> = buckets.iter().map(|b| b.cumulative_count()).collect();
        assert_eq!(counts, [2, 4]);
        assert_eq!(sample.get_histogram().get_sample_count(), 6);
    }

    #[test]
    fn statuses_are_told_apart_up_to_the_bound_and_no_event_is_lost() {
        let counter = ByStatus::default();
        for status in (200..240).chain([200, 200]) {
            counter.add(StatusCode::from_u16(status).unwrap());
        }
        let samples: HashMap<String, u64> = counter.samples().collect();
        assert_eq!(samples.len(), STATUSES_MAX + 1);
        assert_eq!(samples["200"], 3);
        assert_eq!(samples.values().sum::<u64>(), 42);
    }

    #[test]
    fn many_threads_share_one_slot_per_status() {
        let counter = ByStatus::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| counter.add(StatusCode::NOT_FOUND)));
            }
        });
        let samples: Vec<_> = counter.samples().collect();
        assert_eq!(samples, [("404".to_owned(), 4000)]);
    }

    #[test]
    fn series_on_demand_stop_at_their_bound() {
        let counter = Bounded::new("x_total", "x", ["a", "b"], (3, 1)).unwrap();
        for n in 0..100 {
            counter.add(["same", &(n % 10).to_string()]);
        }
        let samples = counter.collect().remove(0).take_metric();
        assert_eq!(samples.len(), 4, "three, and one that says `_other`");
        assert!(samples.iter().all(|m| m.get_label()[0].value() == "same"));
        let total: f64 = samples.iter().map(|m| m.get_counter().get_value()).sum();
        assert!((total - 100.0).abs() < 0.5, "no event is lost: {total}");
        assert_eq!(counter.capped(), 70);
    }

    #[test]
    fn values_that_read_alike_run_together_stay_two_series() {
        let counter = Bounded::new("x_total", "x", ["a", "b"], (9, 0)).unwrap();
        counter.add(["ab", "c"]);
        counter.add(["a", "bc"]);
        assert_eq!(counter.collect().remove(0).take_metric().len(), 2);
    }
}
