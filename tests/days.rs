//! Bad days: clients that stall, crowd or vanish, upstreams that fail, signals and edits under load.
//! The rows F01 to F19 of our list of hostile input, and the floods that belong to them.
//!
//! Each is done twice. Small, on every run, where what is measured is compared with what was
//! measured a moment before on the same machine, generously. And at full size, on the release build
//! (`load`), which `tests/run` does in a step of its own, and with the figures we promise in the long
//! run.
//!
//! Not here: single requests on a bad day (`limits`, `upstream_faults`, `forwarding`, `lifecycle`).

mod bodies;
mod crowds;
mod fleet;
mod floods;
mod leaving;
mod load;
mod reloading;
mod slow;
mod upstreams;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::harness::load::Latencies;
use crate::harness::{Api, Fixture, long, request};

/// Every path is open: who may do what is not what days are bad by.
const OPEN: &str = "upstream: items\nroutes:\n  \
                    GET,POST,PUT /public/{rest...}: { needs: public, upgrade: [websocket] }\n";

/// What everything here comes from is one address, which may not have all the places there are.
const CROWD: &str = "connections_per_source: 100000";

/// A gateway to be before `api`, open to all, over HTTP/2 too.
fn before(api: &Api) -> Fixture {
    limited(api, "")
}

/// The same, whose listener has these limits.
fn limited(api: &Api, limits: &str) -> Fixture {
    let limits = format!(
        "http2: true, limits: {{ {CROWD}{}{limits} }}",
        if limits.is_empty() { "" } else { ", " }
    );
    Fixture::before(&api.url())
        .listener(&limits)
        .policy("items.yaml", OPEN)
        .settings("log: { decisions: denied }")
}

/// A request that is answered at once.
fn quick() -> Vec<u8> {
    request("GET /public/quick", &[], b"")
}

/// What others wait for their answers, without and beside a crowd.
#[derive(Debug, Default)]
struct Beside {
    quiet: Latencies,
    busy: Latencies,
}

impl Beside {
    /// Measures in turns, so that a machine that becomes slower meanwhile makes both slower. `crowd`
    /// is called once a round, and is done when it returns.
    async fn measure<C>(address: SocketAddr, rounds: usize, crowd: impl Fn() -> C) -> Self
    where
        C: Future<Output = ()> + Send + 'static,
    {
        const BATCH: usize = 100;
        let mut beside = Self::default();
        let quick = quick();
        for _ in 0..rounds {
            for _ in 0..3 {
                let quiet = Latencies::measure(address, &quick, BATCH).await;
                beside.quiet.add(&quiet);
            }
            let mut crowds = JoinSet::new();
            crowds.spawn(crowd());
            // One batch at least, however soon the crowd is done.
            loop {
                let busy = Latencies::measure(address, &quick, BATCH).await;
                beside.busy.add(&busy);
                if let Some(crowd) = crowds.try_join_next() {
                    crowd.expect("the crowd got what it had to");
                    break;
                }
            }
        }
        beside
    }

    /// How many requests it took.
    fn count(&self) -> usize {
        self.quiet.len() + self.busy.len()
    }

    /// What others felt, and whether it is what we promise: twice their usual wait at most, for
    /// `part` of them.
    fn figures(&self, part: f64) -> (String, bool) {
        let both = |part: f64| (self.quiet.quantile(part), self.busy.quantile(part));
        let ((quiet, busy), (quiet_tail, busy_tail)) = (both(0.5), both(0.99));
        let said = format!(
            "others wait {quiet:?} alone and {busy:?} beside it, p99 {quiet_tail:?} and {busy_tail:?}"
        );
        assert!(
            busy < quiet * 4 + Duration::from_millis(5),
            "nobody else is served: {said}"
        );
        let floor = Duration::from_millis(1);
        let (quiet, busy) = both(part);
        (said, busy < quiet.max(floor) * 2)
    }
}

/// Others must not feel it. A machine that does other things beside gives no figures that can be
/// compared closely, so only the long run asks for what we promise, and more than once if need be.
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks for them"
)]
fn judge(row: &str, part: f64, measure: impl Fn() -> Beside) -> String {
    const TRIES: usize = 3;
    for turn in 1.. {
        let (said, kept) = measure().figures(part);
        println!("{row}: {said}");
        if kept || !long::is_strict() {
            return said;
        }
        assert!(turn < TRIES, "{row}, {turn} times: {said}");
    }
    unreachable!("it ends by an assertion")
}
