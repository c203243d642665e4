//! The library `websockets` on both sides, and the gateway between them.

use std::process::Command;

use super::stage::{Front, Stage};
use crate::harness::{Fixture, Server, tool};

const POLICY: &str = "
upstream: items
permissions:
  talk:listen: Hold a conversation
roles:
  talker: { description: Holds conversations, permissions: [talk:listen] }
routes:
  GET /echo:
    needs: talk:listen
    upgrade: [websocket]
";

#[test]
fn a_websocket_through_the_gateway_is_as_good_as_one_without_it() {
    let server = Server::python(&["tests/protocols/websocket_server.py"]);
    let fixture = Fixture::before(&server.url()).policy("items.yaml", POLICY);
    let stage = Stage::of(fixture, &["talker"]);
    for front in [Front::Clear, Front::Tls] {
        let mut suite = Command::new(tool("venv/bin/python"));
        suite.arg("tests/protocols/websocket_suite.py");
        let said = stage.run(front, suite.env("DIRECT", server.address()));
        assert!(said.contains(" cases"), "{said}");
    }
}
