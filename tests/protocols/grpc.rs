//! gRPC's own client and server, and the gateway between them.

use std::process::Command;

use super::stage::{Front, Stage};
use crate::harness::{Fixture, Server, tool};

const POLICY: &str = "
upstream: items
permissions:
  echo:call: Call the echo
  other:call: Call something else
roles:
  caller: { description: Calls the echo, permissions: [echo:call] }
routes:
  POST /test.Echo/{method}: echo:call
  POST /test.Other/{method}: other:call
";

#[test]
fn grpc_calls_of_every_shape_pass_whole() {
    let server = Server::python(&["tests/protocols/grpc_server.py"]);
    let fixture = Fixture::before(&server.url())
        .upstream("http2: true")
        .policy("items.yaml", POLICY);
    let stage = Stage::of(fixture, &["caller"]);
    for front in [Front::Clear, Front::Tls] {
        let mut client = Command::new(tool("venv/bin/python"));
        stage.run(front, client.arg("tests/protocols/grpc_client.py"));
    }
}
