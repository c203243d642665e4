//! What a stranger may cost, and how often somebody we know may ask: throttled sources and rates.

mod flood;
mod rates;
mod sources;
mod strangers;

use crate::harness::{Client, Gateway, Message, request};

/// Sends one request that a trusted proxy says came from `source`.
fn from(gateway: &Gateway, source: &str, line: &str, more: &[(&str, &str)]) -> Message {
    let headers = [&[("X-Forwarded-For", source)], more].concat();
    gateway.send(&request(line, &headers, b""))
}

/// Asks for a token with `credential` as `Authorization`.
fn token(gateway: &Gateway, source: &str, credential: &str) -> Message {
    let headers = [
        ("X-Forwarded-For", source),
        ("Authorization", credential),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let body = b"grant_type=client_credentials";
    Client::connect(gateway.address())
        .send(request("POST /oauth/token", &headers, body))
        .response()
}

/// A status, and the reason of the answer.
fn said(answer: &Message) -> (u16, String) {
    (answer.status(), answer.reason())
}

/// The seconds in `Retry-After`.
fn wait(answer: &Message) -> u64 {
    let value = answer
        .header("retry-after")
        .expect("a 429 says when to come again");
    value.parse().expect("whole seconds")
}
