//! The series of every route, made when a policy is loaded and reached by position.
//!
//! A reload swaps the whole table. A route that stays keeps its counts, a route that is gone takes
//! its series along, so that a folder edited every minute does not grow them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, MetricFamily, MetricType};

use super::event::Target;
use super::series::{Bounds, ByStatus, Histogram, counter, family, label};
use crate::policy::Route;
use crate::words::Method;

/// Upper bounds in nanoseconds: those OpenTelemetry gives `http.server.request.duration`.
const BOUNDS: Bounds = &[
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

/// Tables of at most so many routes have a zero for each from the start, so that `increase()` sees
/// the first event; in larger ones it would make most of every scrape.
const ROUTES_AT_ZERO_MAX: usize = 2_000;

/// Requests and their durations, by route and method.
#[derive(Clone)]
pub(super) struct Routes {
    table: Arc<ArcSwap<Table>>,
    requests: Desc,
    durations: Desc,
}

struct Table {
    routes: Vec<(Arc<Route>, Arc<Series>)>,
    /// For requests that were decided by a policy which has been replaced meanwhile.
    by_name: HashMap<String, Arc<Series>>,
    none: Arc<Series>,
    token: Arc<Series>,
}

/// The series of one route, one entry per method it answers.
struct Series(Vec<(Option<Method>, ByStatus, Histogram)>);

impl Series {
    fn new(methods: impl IntoIterator<Item = Option<Method>>, zero: bool) -> Arc<Self> {
        let entry = |method| {
            let by_status = if zero {
                ByStatus::starting_at_zero()
            } else {
                ByStatus::default()
            };
            (method, by_status, Histogram::new(BOUNDS))
        };
        Arc::new(Self(methods.into_iter().map(entry).collect()))
    }

    /// One that takes whatever comes: every method we know, and one for those we do not.
    fn open() -> Arc<Self> {
        let known = Method::ALL.iter().copied().map(Some);
        Self::new(known.chain([None]), false)
    }

    fn of(route: &Route, zero: bool) -> Arc<Self> {
        let get = route.methods.contains(Method::Get) && !route.methods.contains(Method::Head);
        let head = get.then_some(Method::Head);
        Self::new(route.methods.iter().chain(head).map(Some), zero)
    }

    /// Counts, and says whether there was a place for it.
    fn finished(&self, method: Option<Method>, status: StatusCode, total: Duration) -> bool {
        let Some((_, by_status, durations)) = self.0.iter().find(|entry| entry.0 == method) else {
            return false;
        };
        by_status.add(status);
        durations.observe(total);
        true
    }
}

impl Routes {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let desc = |name: &str, help: &str, labels: &[&str]| {
            let labels = labels.iter().map(ToString::to_string).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        Ok(Self {
            table: Arc::new(ArcSwap::from_pointee(Table {
                routes: Vec::new(),
                by_name: HashMap::new(),
                none: Series::open(),
                token: Series::open(),
            })),
            requests: desc(
                "portcullis_http_requests_total",
                "Requests answered, by route, method and status.",
                &["route", "method", "code"],
            )?,
            durations: desc(
                "portcullis_http_request_duration_seconds",
                "From the request's first line to the end of the response.",
                &["route", "method"],
            )?,
        })
    }

    pub(super) fn finished(
        &self,
        target: Target<'_>,
        method: Option<Method>,
        status: StatusCode,
        total: Duration,
    ) {
        let table = self.table.load();
        let counted = match target {
            Target::None => false,
            Target::Token => table.token.finished(method, status, total),
            Target::Route(route) => table
                .series(route)
                .is_some_and(|series| series.finished(method, status, total)),
        };
        // Not lost: what has no series of its own any more is counted as having led nowhere.
        if !counted {
            table.none.finished(method, status, total);
        }
    }

    /// Makes the series of a policy's routes, and forgets those of the policy before.
    pub(super) fn replace(&self, routes: &[Arc<Route>]) {
        let old = self.table.load_full();
        let zero = routes.len() <= ROUTES_AT_ZERO_MAX;
        let mut by_name = HashMap::with_capacity(routes.len());
        let series = routes.iter().map(|route| {
            // Routes of two hosts may have one name; they share its series.
            let series: &mut Arc<Series> = by_name.entry(route.name.clone()).or_insert_with(|| {
                let kept = old.by_name.get(&route.name).cloned();
                kept.unwrap_or_else(|| Series::of(route, zero))
            });
            (Arc::clone(route), Arc::clone(series))
        });
        self.table.store(Arc::new(Table {
            routes: series.collect(),
            by_name,
            none: Arc::clone(&old.none),
            token: Arc::clone(&old.token),
        }));
    }

    /// Says whether `name` is the label of something that can still happen.
    pub(super) fn knows(&self, name: &str) -> bool {
        name.starts_with('_') || self.table.load().by_name.contains_key(name)
    }
}

impl Table {
    fn series(&self, route: &Arc<Route>) -> Option<&Series> {
        match self.routes.get(route.id.0 as usize) {
            Some((known, series)) if Arc::ptr_eq(known, route) => Some(series),
            Some(_) | None => self.by_name.get(&route.name).map(|series| &**series),
        }
    }

    /// Everything that has a series, with its label.
    fn all(&self) -> impl Iterator<Item = (&str, &Series)> {
        let own = [
            (Target::None.name(), &*self.none),
            (Target::Token.name(), &*self.token),
        ];
        let routes = self.by_name.iter();
        routes
            .map(|(name, series)| (name.as_str(), &**series))
            .chain(own)
    }
}

impl Collector for Routes {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.requests, &self.durations]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let table = self.table.load();
        let (mut requests, mut durations) = (Vec::new(), Vec::new());
        for (name, series) in table.all() {
            for (method, by_status, histogram) in &series.0 {
                let method = method.map_or("_OTHER", Method::as_str);
                for (status, count) in by_status.samples() {
                    let [method, route] = labels(method, name);
                    requests.push(counter(vec![label("code", &status), method, route], count));
                }
                durations.extend(histogram.sample(labels(method, name).into()));
            }
        }
        vec![
            family(&self.requests, MetricType::COUNTER, requests),
            family(&self.durations, MetricType::HISTOGRAM, durations),
        ]
    }
}

/// In the alphabetical order of their names, as the `prometheus` crate sorts its own.
fn labels(method: &str, route: &str) -> [LabelPair; 2] {
    [label("method", method), label("route", route)]
}
