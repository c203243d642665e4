//! What lasts longer than a question and its answer, and what is said around the two: trailers,
//! interim responses, tunnels, silence, and the end of all of them.

mod bodies;
mod calls;
mod hops;
mod interim;
mod standing;
mod trailers;
mod unread;
mod websocket;

use crate::harness::{Fixture, Gateway, Scripted, Upstream};

/// Public routes for every method that is sent here.
const OPEN: &str = r"
upstream: items
routes:
  GET,HEAD,POST,PUT /{rest...}: public
  POST /sums/{rest...}: { needs: public, trailers: [x-sum, x-other], body_bytes: 10 }
  GET,POST /ws/{rest...}: { needs: public, upgrade: [websocket] }
";

fn fixture(upstream: &Upstream) -> Fixture {
    one_core(Fixture::new(upstream))
}

fn before(upstream: &Scripted) -> Gateway {
    one_core(Fixture::before(&upstream.url())).start()
}

/// One core, so that every request finds the connection of the one before it.
fn one_core(fixture: Fixture) -> Fixture {
    fixture.policy("items.yaml", OPEN).settings("threads: 1")
}
