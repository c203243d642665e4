//! Trailers pass where somebody allowed them, and never as what they are not.

use super::{before, fixture};
use crate::harness::{Behaviour, Client, Scripted, Upstream, request};

/// B42: every name a merging reader could take for a header, and one that a route lists.
const HOSTILE: &str = "Authorization: Basic dTpw\r\nContent-Length: 5\r\nHost: evil\r\n\
                       X-Portcullis-Account: root\r\nX_Portcullis_Account: root\r\n\
                       X-Forwarded-For: 10.0.0.1\r\nCookie: a=b\r\nX-Stray: 1\r\n";

fn upload(path: &str, announced: &str, trailers: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n{announced}\r\n\
         3\r\nabc\r\n0\r\n{trailers}\r\n"
    )
    .into_bytes()
}

#[test]
fn b42_request_trailers_stop_here_but_for_those_a_route_lists() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let announced = "Trailer: Authorization, X-Portcullis-Account, X-Stray, X-Sum\r\n";
    for announced in ["", announced] {
        for (path, expected) in [("/x", vec![]), ("/sums/x", vec![("x-sum", "7")])] {
            upstream.forget();
            let sent = upload(path, announced, &format!("{HOSTILE}X-Sum: 7\r\n"));
            assert_eq!(gateway.send(&sent).status(), 200);
            let seen = upstream.wait_for(1).remove(0);
            assert_eq!(seen.text(), "abc");
            let passed: Vec<_> = seen
                .trailers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(passed, expected, "{path} {announced}");
            let listed = (path != "/x").then_some("x-other, x-sum");
            assert_eq!(seen.header("trailer"), listed, "{seen:?}");
        }
    }
}

#[test]
fn an_answers_trailers_pass_to_a_client_that_takes_them() {
    let upstream = Upstream::start();
    upstream.behave(Behaviour::answer(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Sum, X-Portcullis-Account, Set-Cookie\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\
         X-Portcullis-Account: root\r\nSet-Cookie: a=b\r\nX-Unannounced: 1\r\n\r\n",
    ));
    let gateway = fixture(&upstream).start();
    let mut client = Client::connect(gateway.address());
    for (headers, expected) in [
        (vec![("TE", "trailers"), ("Connection", "TE")], Some("7")),
        (vec![("TE", "gzip;q=0.5, trailers")], Some("7")),
        (vec![], None),
    ] {
        let answer = client.send(request("GET /x", &headers, b"")).response();
        assert_eq!(answer.text(), "abc");
        let sum = answer.trailers.iter().find(|(name, _)| name == "x-sum");
        assert_eq!(
            sum.map(|(_, value)| value.as_str()),
            expected,
            "{headers:?}"
        );
        assert_eq!(
            answer.trailers.len(),
            usize::from(expected.is_some()),
            "{answer:?}"
        );
        assert_eq!(answer.header("trailer"), expected.map(|_| "x-sum"));
    }
}

/// F07: the limit of a route holds beside that of the listener.
#[test]
fn f07_a_body_over_the_limit_is_refused_or_broken_off() {
    let upstream = Scripted::start();
    let gateway = before(&upstream);
    let stated = request("POST /sums/x", &[], b"12345678901");
    let answer = gateway.send(&stated);
    assert_eq!(
        (answer.status(), answer.reason().as_str()),
        (413, "body_too_large")
    );
    assert!(!upstream.is_called_within(std::time::Duration::from_millis(50)));

    let mut client = Client::connect(gateway.address());
    client.send(
        "POST /sums/x HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nabcde\r\n",
    );
    let mut connection = upstream.accept();
    connection.head();
    client.send("6\r\nfghijk\r\n0\r\n\r\n");
    let answer = client.response();
    assert_eq!(
        (answer.status(), answer.reason().as_str()),
        (413, "body_too_large")
    );
    let sent = String::from_utf8_lossy(&connection.rest()).into_owned();
    assert!(
        sent.contains("abcde") && !sent.contains("0\r\n\r\n"),
        "{sent:?}"
    );
}
