//! The same at full size, on the build that is shipped: a step of `tests/run` of its own, for which
//! it sets `PORTCULLIS_TEST_BINARY`, one test after the other so that none measures another one.
//!
//! The long run takes the sizes and the limits we promise; every other run takes what fits into a
//! minute or two.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::fleet::{Clients, replica, roll};
use super::{before, bodies, crowds, leaving, reloading, slow};
use crate::harness::load::{Caller, run};
use crate::harness::long::{passed, sized};
use crate::harness::{Api, allow_descriptors, request};

#[test]
#[ignore = "a step of `tests/run`"]
fn f01_two_thousand_slow_heads() {
    allow_descriptors(8192);
    let api = Api::start();
    let limit = Duration::from_secs(sized(2, 10));
    let limits = format!(
        "limits: {{ header_timeout: {}s, connections_per_source: 4000 }}",
        limit.as_secs()
    );
    let gateway = before(&api).listener(&limits).start();
    slow::slow_heads(&gateway, 2000, limit, limit / 2 - Duration::from_millis(10));
    passed("F01");
}

#[test]
#[ignore = "a step of `tests/run`"]
fn f03_five_hundred_slow_readers() {
    allow_descriptors(8192);
    let api = Api::start();
    let gateway = before(&api).start();
    let each = slow::slow_readers(&gateway, 500, Duration::from_secs(sized(5, 70)));
    say("F03", &format!("{each} bytes a reader"));
    assert!(each < 160 * 1024, "{each} bytes a reader");
    api.wait_for_open(0);
    passed("F03");
}

#[test]
#[ignore = "a step of `tests/run`"]
fn f04_ten_thousand_resting_connections() {
    let api = Api::start();
    let gateway = before(&api)
        .listener("limits: { connections_per_source: 11000 }")
        .settings("max_connections: 11000")
        .start();
    let count = sized(2000, 10_000);
    let grown = crowds::idle(&gateway, count);
    say("F04", &format!("{count} connections take {grown} bytes"));
    assert!(grown < count as u64 * (200 << 20) / 10_000, "{grown} bytes");
    passed("F04");
}

#[test]
#[ignore = "a step of `tests/run`"]
fn f07_gigabytes_up_and_down() {
    let api = Api::start();
    let gateway = before(&api).start();
    let began = Instant::now();
    let size = sized(1, 10) << 30;
    let grown = bodies::through(&gateway, &api, size);
    let took = began.elapsed();
    say(
        "F07",
        &format!("{size} bytes up and down in {took:?}: {grown} bytes more"),
    );
    assert!(grown < 16 << 20, "{grown} bytes more");
    passed("F07");
}

/// F11: five minutes with silences longer than any limit but the one for silence.
#[test]
#[ignore = "a step of `tests/run`"]
fn f11_streams_of_minutes() {
    let gap = Duration::from_millis(sized(1000, 100_000));
    let api = Api::start();
    let gateway = before(&api).start();
    let answer = run(async {
        let mut caller = Caller::connect(gateway.address()).await.unwrap();
        let get = format!("GET /public/events/3/{}", gap.as_millis());
        caller.send(&request(&get, &[], b"")).await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"0\r\n\r\n") {
            let part = timeout(gap * 2, caller.part()).await;
            got.extend(part.expect("the next event").unwrap());
        }
        String::from_utf8(got).unwrap()
    });
    assert!(answer.contains("data: 1\n\n"), "{answer}");
    passed("F11");
}

#[test]
#[ignore = "a step of `tests/run`"]
fn f15_a_fleet_rolls_on_and_on() {
    allow_descriptors(8192);
    let api = Api::start();
    let clients = Clients {
        http1: 24,
        http2: 0,
        sockets: 0,
    };
    let began = Instant::now();
    let tally = roll(&replica(&api), clients, sized(100_000, 1_000_000), 1);
    leaving::judge(tally, clients, began);
    passed("F15");
}

#[test]
#[ignore = "a step of `tests/run`"]
fn f17_reload_after_reload() {
    let apis = [Api::named("even"), Api::named("odd")];
    let gateway = reloading::start(&apis);
    reloading::reload(&gateway, sized(200, 1000), 16);
    passed("F17");
}

#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks for them"
)]
fn say(row: &str, figure: &str) {
    println!("{row}: {figure}");
}
