//! What tests on real sockets need: an upstream that records what it is sent, a client that sends
//! any bytes at all, and the real binary before it, on free ports.
//!
//! Nothing here sleeps. Every wait is for an event and ends in a panic that says what was awaited,
//! after [`PATIENCE`].

#![expect(
    dead_code,
    reason = "a harness offers more than the tests of the day use"
)]

mod client;
mod fixture;
mod gateway;
mod lines;
mod message;
mod scripted;
mod tools;
mod upstream;

use std::time::Duration;

pub(crate) use client::{Client, raw, request};
pub(crate) use fixture::{Files, Fixture, ITEMS};
pub(crate) use gateway::{Gateway, Key};
pub(crate) use lines::Lines;
pub(crate) use message::{Kind, Message};
pub(crate) use scripted::Scripted;
pub(crate) use tools::{tool, tools};
pub(crate) use upstream::{Behaviour, Upstream};

/// Longest wait for anything. Generous: a slow machine must not fail a test, and a test that hangs
/// must not hang the suite.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
