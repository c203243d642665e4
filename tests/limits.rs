//! What a client may keep the gateway waiting for: a head, a body, the next request, the taking of
//! an answer. Who is slow and comes along is served; who stops is let go, and it is on record.

use std::io::Read;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Behaviour, Client, Fixture, Gateway, PATIENCE, Upstream, request};

const MORE: &str = r"
upstream: items
routes:
  POST /public/{rest...}: public
";

/// More than all buffers between an upstream and a client hold.
const LARGE: usize = 48 * 1024 * 1024;

/// A gateway whose listener has these limits.
fn start(upstream: &Upstream, limits: &str) -> Gateway {
    Fixture::new(upstream)
        .policy("more.yaml", MORE)
        .listener(&format!("limits: {{ {limits} }}"))
        .start()
}

/// The reasons of the first `count` decisions; an allowed one has none.
fn reasons(gateway: &Gateway, count: usize) -> Vec<String> {
    let lines = gateway.decisions(count);
    let reason =
        |line: &serde_json::Value| line["portcullis.reason"].as_str().unwrap_or("").to_owned();
    lines.iter().map(reason).collect()
}

fn denied(gateway: &Gateway) -> Vec<String> {
    let metrics = gateway.ops("/metrics");
    let lines = metrics.text().lines();
    lines
        .filter(|line| line.starts_with("portcullis_denied_requests_total{"))
        .map(ToOwned::to_owned)
        .collect()
}

/// Sends a byte every 50 ms until the peer hangs up or no byte is left; says how long it took.
fn trickle(client: &mut Client, bytes: &[u8]) -> Duration {
    let started = Instant::now();
    for byte in bytes {
        client.send([*byte]);
        if client.ends_within(Duration::from_millis(50)) || client.has_bytes() {
            break;
        }
    }
    started.elapsed()
}

#[test]
fn a_head_that_trickles_is_refused_and_recorded_once() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "header_timeout: 300ms");
    let slow = [
        b"GET /public/a HTTP/1.1\r\nHost: gate.test\r\nX: ".as_slice(),
        &[b'a'; 200],
    ]
    .concat();
    let mut fresh = Client::connect(gateway.address());
    assert!(trickle(&mut fresh, &slow) < Duration::from_secs(3));
    assert_eq!(fresh.response().status(), 408);
    assert!(fresh.ends_within(PATIENCE));
    assert_eq!(reasons(&gateway, 1), ["request_timeout"]);

    // The second head of a connection, begun while the first request is with its upstream.
    let get = request("GET /public/a", &[], b"");
    let mut used = Client::connect(gateway.address());
    assert_eq!(used.send(&get).response().status(), 200);
    used.send(&get).send(&slow[..20]);
    assert_eq!(used.response().status(), 200);
    let left = Instant::now();
    assert_eq!(used.response().status(), 408);
    assert!(used.ends_within(PATIENCE) && left.elapsed() < Duration::from_secs(3));

    assert_eq!(
        reasons(&gateway, 4)[1..],
        ["", "", "request_timeout"].map(str::to_owned)
    );
    let denied = denied(&gateway);
    assert!(
        denied.len() == 1 && denied[0].contains("request_timeout") && denied[0].ends_with(" 2"),
        "{denied:?}"
    );
}

#[test]
fn a_connection_may_rest_longer_than_a_head_may_take_and_no_longer_than_keep_alive() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "header_timeout: 200ms, keep_alive: 1500ms");
    let mut client = Client::connect(gateway.address());
    for body in [b"".as_slice(), b"some"] {
        let line = if body.is_empty() { "GET" } else { "POST" };
        let ask = request(&format!("{line} /public/a"), &[], body);
        assert_eq!(client.send(&ask).response().status(), 200);
        sleep(Duration::from_millis(700));
    }
    assert_eq!(
        client
            .send(request("GET /public/a", &[], b""))
            .response()
            .status(),
        200
    );
    let rest = Instant::now();
    assert!(client.ends_within(PATIENCE));
    let rest = rest.elapsed().as_millis();
    assert!((1000..6000).contains(&rest), "it rested for {rest} ms");

    // Who connects and says nothing is no request, and is not waited for as long.
    assert!(Client::connect(gateway.address()).ends_within(PATIENCE));
    gateway.ask("GET /public/last", None);
    assert_eq!(reasons(&gateway, 4), [""; 4]);
    assert_eq!(denied(&gateway), [""; 0]);
}

#[test]
fn who_takes_no_byte_of_an_answer_is_let_go_and_so_is_the_upstream() {
    let upstream = Upstream::start();
    upstream.behave(large());
    let gateway = start(&upstream, "write_idle: 300ms");
    let mut client = Client::connect(gateway.address());
    client.send(request("GET /public/a", &[], b""));
    upstream.wait_for(1);
    upstream.wait_for_open(0);
    let line = gateway.decisions(1).remove(0);
    assert_eq!(line["url.path"], "/public/a", "{line}");
    assert!(client.rest().len() < LARGE);
}

#[test]
fn a_token_request_that_trickles_is_refused() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "header_timeout: 300ms, body_idle: 300ms");
    let mut client = Client::connect(gateway.address());
    client.send(
        "POST /oauth/token HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 200\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n",
    );
    assert!(trickle(&mut client, &[b'a'; 199]) < Duration::from_secs(5));
    assert_eq!(client.response().status(), 408);
    assert_eq!(reasons(&gateway, 1), ["request_timeout"]);
}

#[test]
fn who_is_slow_and_comes_along_is_served() {
    let upstream = Upstream::start();
    // Made beforehand: a connection does not rest for as long as a busy machine needs to make it.
    let large = large();
    let gateway = start(
        &upstream,
        "header_timeout: 600ms, body_idle: 600ms, write_idle: 600ms, keep_alive: 600ms",
    );
    let mut client = Client::connect(gateway.address());
    client.send("POST /public/a HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 30\r\n\r\n");
    trickle(&mut client, &[b'a'; 30]);
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.wait_for(1)[0].body, [b'a'; 30]);

    upstream.behave(large);
    client.send(request("GET /public/a", &[], b""));
    client.head();
    let mut part = vec![0; 1024 * 1024];
    for _ in 0..LARGE / part.len() - 1 {
        client.socket().read_exact(&mut part).unwrap();
        sleep(Duration::from_millis(40));
    }
}

fn large() -> Behaviour {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
    Behaviour::answer([head.as_bytes(), &vec![b'a'; LARGE]].concat())
}
