//! What the libraries that people use make of a revocation: a stream that is cut while they hold it, and
//! one beside it that is not (B38, E23).

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Fixture, Server, tool};

const POLICY: &str = "
upstream: items
permissions: { talk:listen: Hold a conversation }
roles: { talker: { description: Holds conversations, permissions: [talk:listen] } }
routes:
  GET /echo: { needs: talk:listen, upgrade: [websocket] }
  POST /test.Echo/{method}: talk:listen
";

/// Runs `script` with the tokens of two accounts before what `server` runs. It says `open` when it holds a
/// stream with each; then the key of one is ended. What it says of that.
fn sees(script: &str, server: &[&str], upstream: &str) -> Vec<String> {
    let server = Server::python(server);
    let gateway = Fixture::before(&server.url())
        .upstream(upstream)
        .listener("http2: true")
        .policy("items.yaml", POLICY)
        .start();
    let [leaked, kept] = ["leaked", "kept"].map(|name| gateway.account(name, &["talker"]));
    let mut client = Command::new(tool("venv/bin/python"))
        .arg(script)
        .env("GATE", gateway.address().to_string())
        .env("TOKEN", gateway.token(&leaked))
        .env("KEPT", gateway.token(&kept))
        .envs([("NO_PROXY", "*"), ("no_proxy", "*")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tools have Python");
    let mut said = BufReader::new(client.stdout.take().expect("it was piped")).lines();
    let mut line = || said.next().map(|line| line.expect("it is text"));
    assert_eq!(line().as_deref(), Some("open"));
    gateway.operate(&json!({ "operation": "keys_expire", "key": leaked.id }));
    let told = std::iter::from_fn(line).collect();
    assert!(client.wait().expect("it ends").success(), "{told:?}");
    told
}

#[test]
fn b38_websockets_hears_that_its_right_is_gone_and_talks_on_where_it_is_not() {
    let server = ["tests/protocols/websocket_server.py"];
    let said = sees("tests/protocols/revoked_websocket.py", &server, "");
    assert_eq!(said, ["closed 1008", "again 401", "the other goes on"]);
}

#[test]
fn b38_grpc_hears_that_its_right_is_gone_and_calls_on_where_it_is_not() {
    let server = ["tests/protocols/grpc_server.py"];
    let said = sees("tests/protocols/revoked_grpc.py", &server, "http2: true");
    assert_eq!(
        said,
        ["ended", "again UNAUTHENTICATED", "the other goes on"]
    );
}
