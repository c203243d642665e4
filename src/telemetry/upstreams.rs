//! What upstreams are at: connections, those who wait for one, and how their addresses do.
//!
//! Read from the upstreams themselves when scraped, so that requests count nothing for it. The
//! addresses of an upstream are bounded in number, and one that is gone has no series.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::series::{as_float, counter, family, gauge, label};
use crate::forward::pool::place::{Failure, Place};
use crate::forward::pool::{Shared, Upstreams};

/// One figure: its name, what it is, how it moves.
type Row = (&'static str, &'static str, MetricType);

const CONNECTIONS: Row = (
    "portcullis_upstream_connections",
    "Connections to an upstream, open or being opened.",
    MetricType::GAUGE,
);
const QUEUE: Row = (
    "portcullis_upstream_queue",
    "Requests that wait for a connection to an upstream.",
    MetricType::GAUGE,
);
const USABLE: Row = (
    "portcullis_upstream_address_usable",
    "Whether an upstream's address is asked; 0 while it is put aside or fails its health checks.",
    MetricType::GAUGE,
);
const IN_FLIGHT: Row = (
    "portcullis_upstream_address_in_flight",
    "Requests under way at an address of an upstream that has several.",
    MetricType::GAUGE,
);
const FAILURES: Row = (
    "portcullis_upstream_address_failures_total",
    "Connections to an upstream's address that failed, or ended before their first answer.",
    MetricType::COUNTER,
);

/// Asks the upstreams for each scrape.
pub(super) struct UpstreamFigures {
    upstreams: Upstreams,
    descs: Vec<(Row, Desc)>,
}

impl UpstreamFigures {
    pub(super) fn new(upstreams: Upstreams) -> Result<Self, prometheus::Error> {
        let desc = |row: Row| {
            let (name, help) = (row.0.to_owned(), row.1.to_owned());
            let desc = Desc::new(name, help, Vec::new(), HashMap::new())?;
            Ok::<_, prometheus::Error>((row, desc))
        };
        let rows = [CONNECTIONS, QUEUE, USABLE, IN_FLIGHT, FAILURES];
        Ok(Self {
            upstreams,
            descs: rows.into_iter().map(desc).collect::<Result<_, _>>()?,
        })
    }
}

impl Collector for UpstreamFigures {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().map(|(_, desc)| desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let all = self.upstreams.all();
        let samples: [Vec<Metric>; 5] = [
            all.iter().map(|one| of(one, one.slots.taken())).collect(),
            all.iter().map(|one| of(one, one.slots.waiting())).collect(),
            each(all, |_, place| usize::from(place.is_usable())),
            each(all, |shared, place| {
                if shared.places.are_several() {
                    place.in_flight()
                } else {
                    0
                }
            }),
            failures(all),
        ];
        let families = self.descs.iter().zip(samples);
        families
            .map(|((row, desc), samples)| family(desc, row.2, samples))
            .collect()
    }
}

fn of(shared: &Shared, figure: usize) -> Metric {
    let labels = vec![label("upstream", shared.upstream.name.as_str())];
    gauge(labels, as_float(figure as u64))
}

fn each(all: &[Arc<Shared>], figure: impl Fn(&Shared, &Place) -> usize + Copy) -> Vec<Metric> {
    let places = all.iter().flat_map(|shared| {
        let known = shared.places.known();
        let sample = |place: &Arc<Place>| {
            let value = as_float(figure(shared, place) as u64);
            gauge(labels(shared, place, None), value)
        };
        known.iter().map(sample).collect::<Vec<_>>()
    });
    places.collect()
}

fn failures(all: &[Arc<Shared>]) -> Vec<Metric> {
    let mut samples = Vec::new();
    for shared in all {
        for place in shared.places.known().iter() {
            for kind in Failure::ALL {
                let count = place.failed_so_far(kind);
                samples.push(counter(labels(shared, place, Some(kind)), count));
            }
        }
    }
    samples
}

/// In the order of their names, as Prometheus prints them.
fn labels(shared: &Shared, place: &Place, kind: Option<Failure>) -> Vec<LabelPair> {
    let address = label("address", &place.target().to_string());
    let kind = kind.map(|kind| label("kind", kind.code()));
    let upstream = label("upstream", shared.upstream.name.as_str());
    [Some(address), kind, Some(upstream)]
        .into_iter()
        .flatten()
        .collect()
}
