//! More requests than connections: who waits, for how long, in which order, and on which core.

use std::time::{Duration, Instant};

use super::{assert_fault, before, with_cores};
use crate::harness::{Client, Gateway, Scripted, Upstream, request};

const A_WHILE: Duration = Duration::from_millis(100);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn ask(gateway: &Gateway, line: &str) -> Client {
    let mut client = Client::connect(gateway.address());
    client.send(request(line, &[], b""));
    // One after the other, so that there is an order to keep.
    std::thread::sleep(Duration::from_millis(30));
    client
}

fn line_of(connection: &mut Client) -> String {
    let head = connection.head();
    head.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn who_waits_is_served_in_turn_by_the_connection_that_becomes_free() {
    let upstream = Scripted::start();
    let gateway = before(&upstream.url())
        .upstream("connections: 1, queue_timeout: 10s")
        .start();
    let mut first = ask(&gateway, "GET /1");
    let mut connection = upstream.accept();
    connection.head();
    let mut waiting = [2, 3, 4].map(|number| ask(&gateway, &format!("GET /{number}")));
    connection.send(OK);
    assert_eq!(first.response().text(), "ok");
    for (client, number) in waiting.iter_mut().zip([2, 3, 4]) {
        assert_eq!(line_of(&mut connection), format!("GET /{number} HTTP/1.1"));
        connection.send(OK);
        assert_eq!(client.response().text(), "ok");
    }
    assert!(!upstream.is_called_within(Duration::ZERO));
}

#[test]
fn a_full_line_and_a_long_wait_are_answered_at_once_and_in_time() {
    let upstream = Scripted::start();
    let gateway = before(&upstream.url())
        .upstream("connections: 1, queue: 1, queue_timeout: 600ms")
        .start();
    let _busy = ask(&gateway, "GET /1");
    let mut connection = upstream.accept();
    connection.head();
    let started = Instant::now();
    let mut waits = ask(&gateway, "GET /2");
    let mut refused = ask(&gateway, "GET /3");
    let answer = refused.response();
    assert_fault(&answer, 503, "upstream_overloaded");
    assert!(answer.header("retry-after").is_some());
    assert!(started.elapsed() < Duration::from_millis(500));
    assert_fault(&waits.response(), 503, "upstream_overloaded");
    assert!(started.elapsed() >= Duration::from_millis(600));
    assert!(
        gateway
            .ops("/metrics")
            .text()
            .contains("portcullis_upstream_errors_total{kind=\"overloaded\",upstream=\"items\"} 2")
    );
}

#[test]
fn who_leaves_the_line_is_not_waited_for() {
    let upstream = Scripted::start();
    let gateway = before(&upstream.url())
        .upstream("connections: 1, queue: 2, queue_timeout: 10s")
        .start();
    let mut first = ask(&gateway, "GET /1");
    let mut connection = upstream.accept();
    connection.head();
    let gone = ask(&gateway, "GET /2");
    let mut third = ask(&gateway, "GET /3");
    drop(gone);
    std::thread::sleep(A_WHILE);
    // There is room in the line again.
    let mut fourth = ask(&gateway, "GET /4");
    for (client, line) in [
        (&mut first, "GET /3 HTTP/1.1"),
        (&mut third, "GET /4 HTTP/1.1"),
    ] {
        connection.send(OK);
        assert_eq!(client.response().text(), "ok");
        assert_eq!(line_of(&mut connection), line);
    }
    connection.send(OK);
    assert_eq!(fourth.response().text(), "ok");
}

/// Connections that rest in the pools of idle cores are given up for a core that wants them.
#[test]
fn a_connection_that_rests_on_another_core_is_in_nobodys_way() {
    let upstream = Upstream::start();
    let gateway = with_cores(4, &upstream.url())
        .upstream("connections: 1, queue_timeout: 5s")
        .start();
    // A new connection may meet any core; in forty of them all cores are met.
    let started = Instant::now();
    for _ in 0..40 {
        assert_eq!(gateway.ask("GET /x", None).status(), 200);
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(upstream.connections() > 1);
}

#[test]
fn cores_share_what_there_is_and_nobody_is_forgotten() {
    let upstream = Upstream::start();
    let gateway = with_cores(4, &upstream.url())
        .upstream("connections: 2, queue_timeout: 20s")
        .start();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = Client::connect(gateway.address());
                for _ in 0..50 {
                    let answer = client.send(request("GET /x", &[], b"")).response();
                    assert_eq!(answer.status(), 200, "{answer:?}");
                }
            });
        }
    });
}
