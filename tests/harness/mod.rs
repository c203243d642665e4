//! What tests on real sockets need: an upstream that records what it is sent, a client that sends
//! any bytes at all, and the real binary before it, on free ports.
//!
//! Every wait is for an event, or looks again and again where nobody tells, and ends in a panic that
//! says what was awaited, after [`PATIENCE`].

#![expect(
    dead_code,
    reason = "a harness offers more than the tests of the day use"
)]

mod api;
mod client;
mod fixture;
mod gateway;
pub(crate) mod http2;
mod lines;
pub(crate) mod load;
pub(crate) mod long;
mod message;
mod process;
mod scripted;
mod servers;
mod tools;
mod upstream;
pub(crate) mod websocket;

use std::time::{Duration, Instant};

pub(crate) use api::Api;
pub(crate) use client::{Client, raw, request};
pub(crate) use fixture::{Files, Fixture, ITEMS};
pub(crate) use gateway::{Gateway, Key};
pub(crate) use lines::Lines;
pub(crate) use message::{Kind, Message};
pub(crate) use process::{Process, allow_descriptors};
pub(crate) use scripted::Scripted;
pub(crate) use servers::Server;
pub(crate) use tools::{can_trace, has, tool, tools};
pub(crate) use upstream::{Behaviour, Upstream};

/// Longest wait for anything. Generous: a slow machine must not fail a test, and a test that hangs
/// must not hang the suite.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `done`, and says how long that took; panics after `patience`. For what nobody tells.
pub(crate) fn until(what: &str, patience: Duration, mut done: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < patience, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    started.elapsed()
}
