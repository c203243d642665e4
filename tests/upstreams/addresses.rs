//! Several addresses of one upstream: the least busy is asked, a dead one is passed over, and one
//! that fails its checks is left alone.

use std::time::Duration;

use super::{assert_fault, before};
use crate::harness::{Behaviour, Client, Gateway, Scripted, Upstream, request, until};

fn both(one: &Upstream, other: &Upstream, more: &str) -> Gateway {
    before(&format!("['{}', '{}']", one.url(), other.url()))
        .upstream(more)
        .start()
}

#[test]
fn the_least_busy_address_is_asked() {
    let (one, other) = (Upstream::start(), Upstream::start());
    let gateway = both(&one, &other, "connect_timeout: 2s");
    // Equals take turns.
    for _ in 0..10 {
        assert_eq!(gateway.ask("GET /x", None).status(), 200);
    }
    assert_eq!((one.requests().len(), other.requests().len()), (5, 5));
    // All say the first one's name: they are servers that answer alike.
    let host = one.url().replace("http://", "");
    for upstream in [&one, &other] {
        assert_eq!(upstream.requests()[0].all("host"), [host.as_str()]);
        upstream.forget();
    }
    one.behave(Behaviour::Stall(Vec::new()));
    other.behave(Behaviour::Stall(Vec::new()));
    let _waiting: Vec<_> = (1..=6)
        .map(|count| {
            let mut client = Client::connect(gateway.address());
            client.send(request("GET /x", &[], b""));
            until("another request", Duration::from_secs(5), || {
                one.requests().len() + other.requests().len() == count
            });
            client
        })
        .collect();
    assert_eq!((one.requests().len(), other.requests().len()), (3, 3));
}

#[test]
fn a_dead_address_is_passed_over_without_a_failed_request_and_comes_back() {
    let (one, other) = (Upstream::start(), Upstream::start());
    let gateway = both(&one, &other, "connect_timeout: 2s");
    one.refuse();
    for _ in 0..12 {
        assert_eq!(gateway.ask("GET /x", None).status(), 200);
    }
    assert_eq!(other.requests().len(), 12);
    gateway.wait_for_log("an upstream's address is put aside");
    one.accept();
    until(
        "the address to be asked again",
        Duration::from_secs(10),
        || {
            assert_eq!(gateway.ask("GET /x", None).status(), 200);
            !one.requests().is_empty()
        },
    );
    gateway.wait_for_log("an upstream's address answers again");
}

/// An address that leaves every connection is asked less and less; what may be sent again goes to
/// the other one.
#[test]
fn f12_what_may_be_sent_again_goes_to_another_address() {
    let (one, other) = (Upstream::start(), Upstream::start());
    let gateway = both(&one, &other, "connect_timeout: 2s");
    for _ in 0..4 {
        assert_eq!(gateway.ask("GET /x", None).status(), 200);
    }
    // Both have a connection that rests; the first leaves at the next request on it.
    one.behave(Behaviour::Cut(Vec::new()));
    for _ in 0..2 {
        assert_eq!(gateway.ask("GET /x", None).status(), 200);
    }
}

/// Where no address is any good, any is better than none.
#[test]
fn when_all_are_put_aside_all_are_asked() {
    let (one, other) = (Upstream::start(), Upstream::start());
    let gateway = both(&one, &other, "connect_timeout: 2s");
    one.refuse();
    other.refuse();
    for _ in 0..8 {
        let answer = gateway.ask("GET /x", None);
        assert_fault(&answer, 502, "upstream_unreachable");
    }
    one.accept();
    assert_eq!(gateway.ask("GET /x", None).status(), 200);
}

/// F08: an address that takes nobody in costs half of the time for connecting, not all of it.
#[test]
fn an_address_that_takes_no_connection_does_not_use_up_the_time() {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a free port");
    socket.listen(0).expect("it can listen");
    let address = socket.local_addr().ok().and_then(|one| one.as_socket());
    let address = address.expect("its address");
    let _fillers: Vec<_> = (0..4)
        .map_while(|_| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok()
        })
        .collect();
    let good = Upstream::start();
    let gateway = before(&format!("['http://{address}', '{}']", good.url()))
        .upstream("connect_timeout: 600ms")
        .start();
    for _ in 0..4 {
        assert_eq!(gateway.ask("GET /x", None).status(), 200);
    }
}

#[test]
fn an_address_that_fails_its_checks_is_not_asked_until_it_passes() {
    let (one, other) = (Upstream::start(), Upstream::start());
    let sick = Behaviour::answer("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    one.behave(sick);
    let gateway = both(
        &one,
        &other,
        "health: { path: /up, interval: 100ms, timeout: 1s, failures: 2 }",
    );
    gateway.wait_for_log("an upstream's address fails its health checks");
    for _ in 0..6 {
        assert_eq!(gateway.ask("GET /x", None).status(), 200);
    }
    let asked = |upstream: &Upstream| {
        let requests = upstream.requests();
        requests.iter().filter(|one| one.target() == "/x").count()
    };
    assert_eq!((asked(&one), asked(&other)), (0, 6));
    let up = series(&gateway, "portcullis_upstream_address_usable");
    assert_eq!(up.len(), 2, "{up:?}");
    let value = |upstream: &Upstream| {
        let label = format!("address=\"{}\"", upstream.address());
        let line = up.iter().find(|line| line.contains(&label));
        line.and_then(|line| line.chars().last())
    };
    assert_eq!((value(&one), value(&other)), (Some('0'), Some('1')));

    one.behave(Behaviour::json("{}"));
    gateway.wait_for_log("an upstream's address passes its health checks again");
    for _ in 0..4 {
        assert_eq!(gateway.ask("GET /x", None).status(), 200);
    }
    assert!(asked(&one) > 0);
    let checks = one.requests();
    let check = checks.iter().find(|one| one.target() == "/up");
    let agent = check.and_then(|check| check.header("user-agent").map(str::to_owned));
    assert_eq!(agent.as_deref(), Some("portcullis-health"));
}

fn series(gateway: &Gateway, name: &str) -> Vec<String> {
    let metrics = gateway.ops("/metrics");
    let lines = metrics.text().lines();
    lines
        .filter(|line| line.starts_with(&format!("{name}{{")))
        .map(ToOwned::to_owned)
        .collect()
}

/// `localhost` may stand for an address of each family; the one nobody listens at is passed over.
#[test]
fn a_name_is_looked_up_and_all_its_addresses_are_tried() {
    let upstream = Upstream::start();
    let port = upstream.address().port();
    let gateway = before(&format!("http://localhost:{port}")).start();
    for _ in 0..4 {
        assert_eq!(gateway.ask("GET /x", None).status(), 200);
    }
    gateway.wait_for_log("an upstream's name stands for these addresses");
    let host = format!("localhost:{port}");
    assert_eq!(upstream.requests()[0].all("host"), [host.as_str()]);
}

#[test]
fn a_name_that_stands_for_nothing_is_unreachable_at_once() {
    let gateway = before("http://nowhere.invalid").start();
    assert_fault(&gateway.ask("GET /x", None), 502, "upstream_unreachable");
    let line = gateway.wait_for_log("cannot be looked up");
    assert!(line.contains("nowhere.invalid"), "{line}");
}

/// B32: what comes on a connection that rests is the answer to nothing.
#[test]
fn b32_bytes_on_a_connection_that_rests_answer_nobody() {
    let upstream = Scripted::start();
    let gateway = before(&upstream.url()).start();
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
    for (answer, later) in [
        (whole.to_owned(), evil),
        (format!("{whole}{evil}"), ""),
        ("HTTP/1.1 204 No Content\r\n\r\nevil".to_owned(), ""),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil".to_owned(),
            "",
        ),
    ] {
        let mut client = Client::connect(gateway.address());
        client.send(request("GET /x", &[], b""));
        let mut connection = upstream.accept();
        connection.head();
        connection.send(&answer);
        assert!(client.response().status() < 400);
        connection.send(later);
        assert_eq!(connection.rest(), b"", "{answer}");
        client.send(request("GET /y", &[], b""));
        let mut fresh = upstream.accept();
        fresh.head();
        fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmine");
        assert_eq!(client.response().text(), "mine", "{answer}");
    }
}
