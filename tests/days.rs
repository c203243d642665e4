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
const OPEN: &str = "upstream: items\nroutes:\n  GET,POST,PUT /public/{rest...}: public\n";

/// A gateway to be before `api`, open to all.
fn before(api: &Api) -> Fixture {
    Fixture::before(&api.url())
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
            // It has to be there before its neighbours are asked.
            tokio::time::sleep(Duration::from_millis(100)).await;
            while crowds.try_join_next().is_none() {
                let busy = Latencies::measure(address, &quick, BATCH).await;
                beside.busy.add(&busy);
                assert!(crowds.len() <= 1);
            }
        }
        beside
    }

    /// Others must not feel it. A machine that does other things beside gives no figures that can be
    /// compared closely, so only the long run asks for what we promise.
    #[expect(
        clippy::print_stdout,
        reason = "the figures, for whoever asks for them"
    )]
    fn judge(&self, row: &str) {
        let both = |part: f64| (self.quiet.quantile(part), self.busy.quantile(part));
        let ((quiet, busy), (quiet_tail, busy_tail)) = (both(0.5), both(0.99));
        println!(
            "{row}: others wait {quiet:?} alone and {busy:?} beside it, p99 {quiet_tail:?} and {busy_tail:?}"
        );
        assert!(
            busy < quiet * 4 + Duration::from_millis(5),
            "{row}: {busy:?} beside it, {quiet:?} alone"
        );
        if long::is_long() {
            let floor = Duration::from_millis(1);
            assert!(
                busy_tail < quiet_tail.max(floor) * 2,
                "{row}: p99 {busy_tail:?} beside it, {quiet_tail:?} alone"
            );
        }
    }
}
