//! Interim responses: handed on as they come, and not for ever.

use super::before;
use crate::harness::{Client, Kind, Scripted, request};

const HINT: &str =
    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Portcullis-Account: root\r\n\r\n";

#[test]
fn b33_interim_responses_come_before_the_answer_and_as_they_come() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    let mut client = Client::connect(gateway.address());
    client.send(request("GET /x", &[], b""));
    let mut connection = upstream.accept();
    connection.head();
    // Each is there before the next one is sent.
    for status in ["103 Early Hints", "102 Processing"] {
        connection.send(format!(
            "HTTP/1.1 {status}\r\nLink: </a.css>\r\nX-Portcullis-A: b\r\n\r\n"
        ));
        let hint = client.any_response(Kind::Response);
        assert!(status.starts_with(&hint.status().to_string()), "{hint:?}");
        assert_eq!(hint.header("link"), Some("</a.css>"));
        assert_eq!(hint.header("x-portcullis-a"), None);
    }
    connection.send(format!(
        "HTTP/1.1 100 Continue\r\n\r\n{HINT}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    ));
    assert_eq!(client.any_response(Kind::Response).status(), 103);
    assert_eq!(client.any_response(Kind::Response).text(), "ok");
    // The next answer on the same connections is its own.
    client.send(request("GET /y", &[], b""));
    connection.head();
    connection.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.any_response(Kind::Response).status(), 204);
}

#[test]
fn b33_an_upstream_that_never_comes_to_the_point_is_malformed() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    for (count, status) in [(16, 200), (17, 502), (1000, 502)] {
        let mut client = Client::connect(gateway.address());
        client.send(request("GET /x", &[], b""));
        let mut connection = upstream.accept();
        connection.head();
        connection.send(HINT.repeat(count));
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        let answer = client.response();
        assert_eq!(answer.status(), status, "{count}");
        if status == 502 {
            assert_eq!(answer.reason(), "upstream_malformed");
        }
    }
}

#[test]
fn b33_http_1_0_knows_no_interim_response() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    let mut client = Client::connect(gateway.address());
    client.send("GET /x HTTP/1.0\r\nHost: gate.test\r\n\r\n");
    let mut connection = upstream.accept();
    connection.head();
    connection.send(format!(
        "{HINT}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    ));
    assert_eq!(client.any_response(Kind::Response).text(), "ok");
}
