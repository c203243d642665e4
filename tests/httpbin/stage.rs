//! The gateway with the policies of httpbin, somebody who may do everything, and how the requests of
//! the table are sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use super::FOLDER;
use super::table::{Access, Row};
use crate::harness::{Client, Fixture, Gateway, Key, Message};

/// Sent with every request, unless the row has its own.
const USUAL: [(&str, &str); 4] = [
    ("User-Agent", "table/1"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "gzip, br"),
    ("X-Own", "kept, as  it is"),
];

/// What a client says that only a gateway may say; none of it arrives.
const CLAIMED: [(&str, &str); 6] = [
    ("X-Portcullis-Account", "admin"),
    ("X-Portcullis-Boundary", "tenant=acme"),
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Real-Ip", "192.0.2.1"),
    ("X-Request-Id", "mine"),
];

/// The name the gateway is called by.
pub(super) const GATE: &str = "gate.test";

/// A gateway with the policies of httpbin, and somebody who may do everything.
pub(super) struct Stage {
    pub(super) gateway: Gateway,
    pub(super) key: Key,
    pub(super) token: String,
    /// The id of the account.
    account: String,
}

impl Stage {
    pub(super) fn before(url: &str) -> Self {
        let fixture = Fixture::of_folder(FOLDER, "httpbin", url);
        Self::of(&fixture)
    }

    pub(super) fn of(fixture: &Fixture) -> Self {
        let gateway = fixture.clone().listener("api_key: true").start();
        let key = gateway.account("tester", &["tester"]);
        let token = gateway.token(&key);
        let account = gateway.json(&["accounts", "show", "tester"]);
        let account = account["id"].as_str().unwrap().to_owned();
        Self {
            gateway,
            key,
            token,
            account,
        }
    }

    /// The credential that goes with a row.
    fn credential(&self, row: &Row) -> (&'static str, String) {
        if row.brings_authorization() {
            ("X-Api-Key", self.key.api_key())
        } else {
            ("Authorization", format!("Bearer {}", self.token))
        }
    }

    /// Asks through the gateway, with a credential and claims.
    pub(super) fn ask(&self, row: &Row, method: &str) -> Message {
        let (name, value) = self.credential(row);
        let more = [&CLAIMED[..], &[(name, &value)]].concat();
        ask(self.gateway.address(), GATE, row, method, &more)
    }

    /// What the gateway adds to a request for which it answered with this id.
    pub(super) fn added(&self, row: &Row, id: &str) -> BTreeMap<String, Value> {
        let mut added = BTreeMap::from([
            ("X-Forwarded-For", "127.0.0.1"),
            ("X-Forwarded-Host", GATE),
            ("X-Forwarded-Proto", "http"),
            ("X-Request-Id", id),
        ]);
        if let Access::Needs(permission) = row.access {
            added.insert("X-Portcullis-Account", "tester");
            added.insert("X-Portcullis-Account-Id", &self.account);
            added.insert("X-Portcullis-Permissions", permission);
        }
        let owned = |(name, value): (&str, &str)| (name.to_owned(), Value::from(value));
        added.into_iter().map(owned).collect()
    }
}

/// Sends the request of a row, by this method, on a connection of its own.
pub(super) fn ask(
    address: SocketAddr,
    host: &str,
    row: &Row,
    method: &str,
    more: &[(&str, &str)],
) -> Message {
    let mut text = format!("{method} {} HTTP/1.1\r\nHost: {host}\r\n", row.target());
    let own = |name: &str| row.headers.iter().any(|(own, _)| *own == name);
    let usual = USUAL.iter().filter(|(name, _)| !own(name));
    for (name, value) in usual.chain(row.headers).chain(more) {
        text += &format!("{name}: {value}\r\n");
    }
    if !row.body.is_empty() {
        text += &format!("Content-Length: {}\r\n", row.body.len());
    }
    let mut client = Client::connect(address);
    client.send(text + "\r\n" + row.body);
    if method == "HEAD" {
        client.response_to_head()
    } else {
        client.response()
    }
}
