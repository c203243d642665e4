//! Upstreams that are more than one process with plain HTTP/1.1: TLS, HTTP/2, several addresses, and
//! more requests than connections.

mod addresses;
mod http2;
mod peer;
mod queue;
mod tls;
mod turns;

use crate::harness::{Fixture, Message};

/// Public routes for every method that is sent here.
const OPEN: &str = r"
upstream: items
routes:
  GET,HEAD,POST,PUT,DELETE /{rest...}: public
  GET /slow/{rest...}: { needs: public, timeout: 300ms }
";

/// Before the upstream at `url`, with one core, so that every request finds the connection of the
/// one before it.
fn before(url: &str) -> Fixture {
    with_cores(1, url)
}

fn with_cores(cores: usize, url: &str) -> Fixture {
    Fixture::before(url)
        .policy("items.yaml", OPEN)
        .settings(&format!("threads: {cores}"))
}

fn assert_fault(answer: &Message, status: u16, reason: &str) {
    assert_eq!(
        (answer.status(), answer.reason().as_str()),
        (status, reason),
        "{answer:?}"
    );
}
