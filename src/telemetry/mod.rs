//! Metrics, logs, and the ops port.
//!
//! Everything here is written to and never asked: nothing below this module may read a counter to
//! decide something. What the request path calls ([`metrics`], [`log`]) costs a few atomic
//! additions and a copy into a buffer; it never waits, and never grows with what strangers send.
//!
//! Not here: what is worth telling. That is the business of `record`.

pub mod diagnostics;
pub mod doors;
mod event;
mod handles;
pub mod health;
mod inventory;
mod json;
mod line;
pub mod log;
mod maker;
pub mod metrics;
pub mod ops;
pub mod probe;
mod process;
mod routes;
mod series;
mod upstreams;
