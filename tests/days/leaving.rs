//! Going away under load, and from an upstream that does not answer.
//!
//! One process that goes is `lifecycle::leaving`; here are several, and many clients.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fleet::{Clients, Tally, replica, roll};
use crate::harness::{Api, Client, Fixture, request};

/// Nobody was let down.
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks for them"
)]
pub(super) fn judge(tally: Tally, clients: Clients, began: Instant) -> String {
    let failures = tally
        .failures
        .into_inner()
        .expect("nobody panicked with it");
    let counts = [tally.served, tally.by_http2, tally.echoes, tally.told];
    let [served, by_http2, echoes, told] = counts.map(|count| count.load(Ordering::SeqCst));
    let said = format!(
        "{served} served ({by_http2} by HTTP/2), {echoes} echoes, {told} farewells, \
         {} failed, in {} s",
        failures.len(),
        began.elapsed().as_secs()
    );
    println!("F15: {said}");
    assert!(
        failures.is_empty(),
        "{} failed: {failures:?}",
        failures.len()
    );
    assert!(clients.http2 == 0 || by_http2 > 0);
    assert!(clients.sockets == 0 || told > 0);
    said
}

/// F15, small.
#[test]
fn f15_a_rolling_restart_fails_no_request() {
    let api = Api::start();
    let clients = Clients {
        http1: 6,
        http2: 1,
        sockets: 2,
    };
    let began = Instant::now();
    let tally = roll(&replica(&api), clients, 1000, 1);
    judge(tally, clients, began);
}

/// F16: an upstream that hangs holds up nobody for longer than the drain may take, and who was cut
/// is named.
#[test]
fn f16_a_drain_ends_on_time_and_names_what_it_cut() {
    let api = Api::start();
    let mut gateway = Fixture::before(&api.url())
        .settings("drain: { delay: 0s, timeout: 1s }")
        .start();
    let mut cut: Vec<_> = (0..3)
        .map(|number| {
            let mut client = Client::connect(gateway.address());
            client.send(request(&format!("GET /public/hang/{number}"), &[], b""));
            client
        })
        .collect();
    let mut event = Client::connect(gateway.address());
    event.send(request("GET /public/events/9/3600000", &[], b""));
    event.head();
    api.wait_for_open(4);
    let began = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0));
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(5)).contains(&took),
        "{took:?}"
    );
    for client in &mut cut {
        assert!(client.rest().is_empty());
    }
    let printed = gateway.printed();
    assert!(printed.contains("the drain timed out"), "{printed}");
    for path in [
        "/public/hang/0",
        "/public/hang/2",
        "/public/events/9/3600000",
    ] {
        assert!(
            printed.contains(path),
            "nobody knows that {path} was cut:\n{printed}"
        );
    }
}
