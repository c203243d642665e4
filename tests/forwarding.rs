//! What reaches the upstream, and what comes back: nothing a client says is taken for ours, nothing
//! of ours is shown that should not be, and bytes stream both ways.

mod bodies;
mod credentials;
mod identity;
mod messages;
mod preflights;

use crate::harness::{Fixture, Gateway, Upstream};

/// The standard policy, and public routes to send to.
const MORE: &str = r"
upstream: items
routes:
  POST,PUT /public/{rest...}: public
";

fn fixture(upstream: &Upstream) -> Fixture {
    Fixture::new(upstream).policy("more.yaml", MORE)
}

/// A bearer token of a fresh account that holds `roles` everywhere, as `Authorization` has it.
fn bearer(gateway: &Gateway, name: &str, roles: &[&str]) -> String {
    let key = gateway.account(name, roles);
    format!("Bearer {}", gateway.token(&key))
}
