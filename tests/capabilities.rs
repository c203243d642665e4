//! What the product can do, one module a capability. All of them are one binary, so that the suite
//! links once.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "in a test, stopping is the report"
)]

// What the route table promises, said a second time; the unit tests have it too.
#[path = "../src/policy/oracle.rs"]
mod oracle;

mod admin_api;
mod agreement;
mod audit;
mod cli;
mod clients;
mod compare;
mod conformance;
mod connection_doors;
mod connection_http2;
mod connection_refusals;
mod days;
mod denials;
mod deploy;
mod differential;
mod durability;
mod explain;
mod failed;
mod forwarding;
mod fuzz;
mod github;
mod harness;
mod httpbin;
mod import;
mod importers;
mod life;
mod lifecycle;
mod limits;
mod observability;
mod policies;
mod proof;
mod protocols;
mod readme;
mod reference;
mod remote;
mod revocation;
mod scenarios;
mod schema;
mod secrets;
mod shadow;
mod store;
mod streams;
mod supply;
mod target;
mod threats;
mod throttle;
mod tidy;
mod tokens;
mod upstream_faults;
mod upstreams;
