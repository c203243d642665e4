//! Bodies that are not what they said they would be, and bodies nobody wants.

use super::{before, fixture};
use crate::harness::{Client, PATIENCE, Scripted, Upstream, request};

/// B11, B12: what cannot be read as chunks is the client's fault, and is never whole for anybody.
#[test]
fn b11_a_body_that_is_no_body_is_answered_and_given_up() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    let long = format!("5;{}\r\n", "x".repeat(20 * 1024));
    for bad in [
        "0x5\r\n",
        "+5\r\n",
        "zz\r\n",
        "\r\n",
        &long,
        "3\r\nabcd\r\n",
    ] {
        let mut client = Client::connect(gateway.address());
        client.send(
            "POST /x HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        );
        let mut connection = upstream.accept();
        connection.head();
        assert!(connection.bytes(10).starts_with(b"5\r\nhello\r\n"));
        client.send(bad);
        let answer = client.response();
        let short: String = bad.chars().take(9).collect();
        assert_eq!(
            answer.reason(),
            "request_malformed",
            "{short:?}: {answer:?}"
        );
        assert!(client.ends_within(PATIENCE), "{short:?}");
        let sent = connection.rest();
        assert!(!sent.ends_with(b"0\r\n\r\n"), "{short:?}: {sent:?}");
    }
}

/// B24: what a refused request brings is never taken for another one.
#[test]
fn b24_the_body_of_a_refused_request_is_no_request() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let hidden = request("GET /hidden", &[], b"");
    for size in [0, 5, 64 * 1024, 10 * 1024 * 1024] {
        let body = [hidden.clone(), vec![b'x'; size], hidden.clone()].concat();
        let head = format!(
            "POST /a%2fb HTTP/1.1\r\nHost: gate.test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut client = Client::connect(gateway.address());
        client.send([head.into_bytes(), body, request("GET /next", &[], b"")].concat());
        let answers = client.rest();
        let answers = String::from_utf8_lossy(&answers);
        assert!(
            answers.matches("HTTP/1.1 ").count() <= 1,
            "{size}: {answers}"
        );
    }
    assert_eq!(upstream.bytes(), 0);
}

/// Whoever is refused need not send a body to hear so, and may send the next request behind it.
#[test]
fn a_refusal_does_not_wait_for_the_body_of_its_request() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let mut client = Client::connect(gateway.address());
    client.send(b"POST /sums/x HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 11\r\n\r\n");
    let refusal = client.response();
    assert_eq!(refusal.status(), 413);
    assert_eq!(refusal.header("connection"), None);
    client.send([b"hello world".to_vec(), request("GET /a%2fb", &[], b"")].concat());
    assert_eq!(client.response().status(), 400);
}
