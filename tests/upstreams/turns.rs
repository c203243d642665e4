//! More requests than streams of HTTP/2: who waits hears of whatever becomes free, and of what never
//! came.

use super::peer::{Peer, STREAMS};
use super::{assert_fault, before};
use crate::harness::{Client, Gateway, PATIENCE, Scripted, request, until};

fn ask(gateway: &Gateway, path: &str) -> Client {
    let mut client = Client::connect(gateway.address());
    client.send(request(&format!("GET {path}"), &[], b""));
    client
}

fn wait_for_line(gateway: &Gateway, length: usize) {
    let line = format!("portcullis_upstream_queue{{upstream=\"items\"}} {length}\n");
    until("the line", PATIENCE, || {
        gateway.ops("/metrics").text().contains(&line)
    });
}

#[test]
fn a_stream_that_becomes_free_at_either_address_goes_to_who_waits() {
    let (one, other) = (Scripted::start(), Scripted::start());
    let gateway = before(&format!("['{}', '{}']", one.url(), other.url()))
        .upstream("http2: true, connections: 2, queue_timeout: 5s")
        .start();
    let paths: Vec<_> = (0..8).map(|number| format!("/{number}")).collect();
    let mut clients: Vec<_> = (paths.iter().take(4))
        .map(|path| ask(&gateway, path))
        .collect();
    // Which of them comes where is theirs. One address is busier than the other all the time.
    let greeting = [(one, 3), (other, 1)].map(|(upstream, streams)| {
        std::thread::spawn(move || {
            let mut peer = Peer::greet(upstream.accept(), &[(STREAMS, streams)]);
            let asked: Vec<_> = (0..streams).map(|_| peer.asked()).collect();
            (peer, asked)
        })
    });
    let mut busy = greeting.map(|greeted| greeted.join().expect("all are asked"));
    for (path, at) in paths.iter().skip(4).zip([0, 1, 0, 0]) {
        clients.push(ask(&gateway, path));
        wait_for_line(&gateway, 1);
        let (peer, asked) = &mut busy[at];
        let over = asked.remove(0);
        peer.answer(over.stream, "ok");
        asked.push(peer.asked());
        let number = paths
            .iter()
            .position(|path| over.field(":path") == Some(path));
        let client = &mut clients[number.expect("one of ours")];
        assert_eq!(client.response().text(), "ok");
    }
}

/// A hundred wait for a connection that is being opened, more stand in line behind them.
#[test]
fn who_stands_behind_an_opening_that_fails_tries_again() {
    const SHARED: usize = 101;
    let upstream = Scripted::start();
    let gateway = before(&upstream.url())
        .upstream("http2: true, queue_timeout: 5s, connect_timeout: 10s")
        .start();
    let mut clients: Vec<_> = (0..SHARED).map(|_| ask(&gateway, "/x")).collect();
    let connection = upstream.accept();
    until("all of them", PATIENCE, || {
        let line = format!("portcullis_requests_in_flight {SHARED}\n");
        gateway.ops("/metrics").text().contains(&line)
    });
    let mut behind = [ask(&gateway, "/x"), ask(&gateway, "/x")];
    wait_for_line(&gateway, 2);
    drop(connection);
    for client in &mut clients {
        assert_fault(&client.response(), 502, "upstream_unreachable");
    }
    let mut peer = Peer::greet(upstream.accept(), &[]);
    for client in &mut behind {
        let asked = peer.asked();
        peer.answer(asked.stream, "ok");
        assert_eq!(client.response().text(), "ok");
    }
}
