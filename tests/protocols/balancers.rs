//! HAProxy in front, which says by PROXY protocol who is there.

use std::process::Command;

use super::stage::said;
use crate::harness::{Fixture, Server, Upstream};

/// Somebody other than the balancer; every address of 127.0.0.0/8 is ours.
const CLIENT: &str = "127.0.0.7";

#[test]
fn the_source_is_what_haproxy_says_in_every_mode_it_has() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .listener("http2: true, proxy_protocol: [127.0.0.1/32]")
        .tls_listener()
        .start();
    let gate = gateway.address().to_string();
    for (mode, options) in [
        ("http", &["--http1.1"]),
        ("tcp", &["--http2-prior-knowledge"]),
    ] {
        let configuration = include_str!("haproxy.cfg")
            .replace("MODE", mode)
            .replace("GATE", &gate);
        let balancer = Server::haproxy(&configuration);
        for number in 0..3 {
            let mut curl = Command::new("curl");
            curl.args([
                "--silent",
                "--show-error",
                "--fail",
                "--max-time",
                "20",
                "--noproxy",
                "*",
            ])
            .args(["--interface", CLIENT])
            .args(options)
            .arg(format!("http://{}/public/{number}", balancer.address()));
            let (success, said) = said(&mut curl);
            assert!(success, "{mode}: {said}");
        }
        for request in upstream.requests() {
            assert_eq!(
                request.header("x-forwarded-for"),
                Some(CLIENT),
                "{mode}: {request:?}"
            );
        }
        assert_eq!(upstream.requests().len(), 3, "{mode}");
        upstream.forget();
    }
    // Whoever is to say so and does not is not let in.
    let mut direct = Command::new("curl");
    direct.args(["--silent", "--max-time", "20", "--noproxy", "*"]);
    let (success, said) = said(direct.arg(format!("http://{gate}/public/x")));
    assert!(!success, "{said}");
    assert_eq!(upstream.bytes(), 0);
}
