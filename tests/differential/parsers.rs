//! What the gateway sends on is read by others as the gateway meant it (B46).
//!
//! Requests of [`super::heads`] go in; what comes out is kept byte for byte and read again by three
//! parsers that share no line with the gateway's: nginx, Node, and h11. For every request they, the
//! gateway's log and the plainest reading there is must agree on method, target, header fields and
//! body, and on how many requests stand in the bytes of a connection. What is sent on in part only,
//! because its client was wrong or gone, must be a whole request to nobody.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::heads::Heads;
use super::readings::{Reading, Recorded, Recorder};
use crate::harness::long::{passed, sized};
use crate::harness::{Fixture, Gateway, ITEMS, Kind, Message, PATIENCE, Server, tool};

/// Requests of one round, each followed by two more.
const CASES: usize = 10_000;
/// The same in the long run, and how many rounds: a million requests.
const CASES_LONG: usize = 50_000;
const ROUNDS_LONG: u64 = 20;

/// Clients at a time. Most of what they do is wait.
const CLIENTS: u64 = 8;
const CLIENTS_LONG: u64 = 64;

/// How long a client waits for a gateway that waits for the client.
const SILENCE: Duration = Duration::from_millis(150);

/// Requests that are sent to a parser before it has answered: more than one, so that it has to find
/// where each ends.
const PIPELINED: usize = 32;

#[test]
fn b46_three_parsers_read_what_is_sent_on_as_it_was_meant() {
    let (rounds, cases) = sized((1, CASES), (ROUNDS_LONG, CASES_LONG));
    for round in 0..rounds {
        let (recorded, log) = send(round, cases);
        let requests = recorded.iter().map(|one| one.requests.len()).sum::<usize>();
        assert!(
            requests > cases,
            "only {requests} of {} requests got through",
            3 * cases
        );
        let mut faults: Vec<String> = recorded.iter().flat_map(|one| in_log(one, &log)).collect();
        faults.extend(h11(&recorded));
        faults.extend(node(&recorded));
        faults.extend(nginx(&recorded));
        assert!(
            faults.is_empty(),
            "round {round}: {} faults in {requests} requests, among them:\n{}",
            faults.len(),
            faults
                .iter()
                .take(20)
                .cloned()
                .collect::<Vec<_>>()
                .join("\n")
        );
    }
    passed("B46", &format!("{rounds} rounds, no two readings"));
}

/// Lets a gateway have all requests of a round; what it sent on, and what it logged about that.
fn send(round: u64, cases: usize) -> (Vec<Recorded>, HashMap<String, Value>) {
    let upstream = Recorder::start();
    let methods = "GET,HEAD,POST,PUT,DELETE,OPTIONS";
    let policy = ITEMS
        .replace("GET /public/", &format!("{methods} /public/"))
        .replace(
            "GET /v1/items/{id}",
            "GET,HEAD,POST,PUT,OPTIONS /v1/items/{id}",
        );
    let gateway = Fixture::before(&format!("http://{}", upstream.address()))
        .policy("items.yaml", &policy)
        .listener("limits: { header_timeout: 100ms, body_idle: 100ms }")
        .start();
    let token = gateway.token(&gateway.account("owner", &["owner"]));
    let clients = sized(CLIENTS, CLIENTS_LONG);
    std::thread::scope(|scope| {
        for client in 0..clients {
            let mut heads = Heads::new(round * clients + client, &token);
            let address = gateway.address();
            scope.spawn(move || {
                for _ in 0..cases / clients as usize {
                    converse(address, &heads.next());
                }
            });
        }
    });
    let recorded = upstream.recorded();
    let log = log_of(&gateway, &recorded);
    (recorded, log)
}

/// Sends bytes and reads until the gateway has had enough, or has nothing to say.
fn converse(gate: SocketAddr, bytes: &[u8]) {
    let mut socket = TcpStream::connect_timeout(&gate, PATIENCE).expect("the gateway listens");
    socket
        .set_read_timeout(Some(SILENCE))
        .expect("a socket has options");
    // It may have hung up already: that is an answer, too.
    let _ = socket.write_all(bytes);
    let mut buffer = [0; 4096];
    while let Ok(1..) = socket.read(&mut buffer) {}
}

fn log_of(gateway: &Gateway, recorded: &[Recorded]) -> HashMap<String, Value> {
    let requests = recorded.iter().flat_map(|one| &one.requests);
    let mut ids = HashSet::new();
    for (request, _) in requests {
        let id = request.header("x-request-id");
        assert!(ids.insert(id), "{id} was sent on twice: {request:?}");
    }
    gateway.decisions_of(&ids)
}

/// What differs between the bytes and the log.
fn in_log(recorded: &Recorded, log: &HashMap<String, Value>) -> Vec<String> {
    let wrong = |request: &Reading| {
        let line = &log[request.header("x-request-id")];
        let path = request.target.split('?').next();
        let same = line["portcullis.decision"] == "allow"
            && line["http.request.method"].as_str() == Some(&request.method)
            && line["url.path"].as_str() == path
            && line["http.request.body.size"]
                .as_u64()
                .is_none_or(|size| size == request.body.chars().count() as u64);
        (!same).then(|| format!("{request:?}\nis in the log as {line}"))
    };
    recorded
        .requests
        .iter()
        .filter_map(|(request, _)| wrong(request))
        .collect()
}

/// What h11 reads otherwise.
fn h11(recorded: &[Recorded]) -> Vec<String> {
    let mut child = Command::new(tool("venv/bin/python"))
        .arg("tests/differential/read_h11.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut input = child.stdin.take().expect("it was piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            for one in recorded {
                let length = u32::try_from(one.bytes.len()).expect("not that long");
                let _ = input.write_all(&length.to_be_bytes());
                let _ = input.write_all(&one.bytes);
            }
        });
        child.wait_with_output().expect("Python ends")
    });
    let lines: Vec<_> = output.stdout.split(|byte| *byte == b'\n').collect();
    let mut faults = Vec::new();
    for (one, line) in recorded.iter().zip(lines) {
        let (readings, error): (Vec<Reading>, Option<String>) =
            serde_json::from_slice(line).expect("a line of JSON for each connection");
        let readings: Vec<_> = readings.into_iter().map(Reading::sorted).collect();
        faults.extend(compare("h11", one, readings, |reading| reading));
        let whole: usize = one.requests.iter().map(|(_, length)| length).sum();
        if let Some(error) = error.filter(|_| whole == one.bytes.len()) {
            faults.push(format!("h11 at the end of a connection: {error}"));
        }
    }
    faults
}

/// What Node reads otherwise.
fn node(recorded: &[Recorded]) -> Vec<String> {
    let server = Server::node(&["tests/differential/read_node.mjs"]);
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let mut faults = Vec::new();
    for one in recorded {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("Node listens");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket has options");
        let (answers, fault) = replay("Node", socket, one);
        let reading = |answer: &Message| {
            let reading: Option<Reading> = serde_json::from_str(answer.header("x-reading")?).ok();
            reading.map(Reading::sorted)
        };
        faults.extend(compare(
            "Node",
            one,
            answers.iter().filter_map(reading).collect(),
            |one| one,
        ));
        faults.extend(fault);
    }
    faults
}

/// What nginx reads otherwise, by what it sends on in turn.
fn nginx(recorded: &[Recorded]) -> Vec<String> {
    let backend = Recorder::start();
    let address = backend.address().to_string();
    let server = Server::nginx(include_str!("nginx_reads.conf"), &[("BACKEND", &address)]);
    let mut faults = Vec::new();
    for one in recorded {
        let socket = UnixStream::connect(server.socket("read.sock")).expect("nginx listens");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket has options");
        faults.extend(replay("nginx", socket, one).1);
    }
    let found = backend.recorded().into_iter().flat_map(|one| one.requests);
    let mut found: HashMap<String, Reading> = found
        .map(|(reading, _)| (reading.header("x-request-id").to_owned(), reading))
        .collect();
    for one in recorded {
        let ids = one
            .requests
            .iter()
            .map(|(request, _)| request.header("x-request-id"));
        let readings = ids
            .filter_map(|id| found.remove(id))
            .map(Reading::without_framing);
        faults.extend(compare(
            "nginx",
            one,
            readings.collect(),
            Reading::without_framing,
        ));
    }
    let more = found
        .into_values()
        .map(|reading| format!("nginx found more: {reading:?}"));
    faults.extend(more);
    faults
}

/// What differs between the plain readings of a connection, seen through `as_seen`, and those of a
/// parser.
fn compare(
    who: &str,
    recorded: &Recorded,
    readings: Vec<Reading>,
    as_seen: fn(Reading) -> Reading,
) -> Vec<String> {
    let mut faults = Vec::new();
    if readings.len() != recorded.requests.len() {
        let (theirs, ours) = (readings.len(), recorded.requests.len());
        faults.push(format!(
            "{who} finds {theirs} requests on a connection of {ours}"
        ));
    }
    for ((ours, _), theirs) in recorded.requests.iter().zip(readings) {
        let ours = as_seen(ours.clone());
        if ours != theirs {
            faults.push(format!("{ours:?}\nis to {who} {theirs:?}"));
        }
    }
    faults
}

/// Sends the whole requests of a connection again; the answers, and why there are no more.
fn replay(
    who: &str,
    mut socket: impl Read + Write,
    recorded: &Recorded,
) -> (Vec<Message>, Option<String>) {
    let mut answers = Vec::new();
    let mut pending = Vec::new();
    let mut rest = recorded.bytes.as_slice();
    for batch in recorded.requests.chunks(PIPELINED) {
        let length = batch.iter().map(|(_, length)| length).sum();
        let (bytes, after) = rest.split_at(length);
        rest = after;
        let _ = socket.write_all(bytes);
        for (request, _) in batch {
            let Some(answer) = answer(&mut socket, &mut pending) else {
                return (answers, Some(format!("{who} does not answer {request:?}")));
            };
            if answer.status() != 204 {
                return (
                    answers,
                    Some(format!("{who} answers {request:?} with {answer:?}")),
                );
            }
            answers.push(answer);
        }
    }
    (answers, None)
}

/// The next answer, if one comes.
fn answer(socket: &mut impl Read, pending: &mut Vec<u8>) -> Option<Message> {
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(message) = Message::parse(pending, Kind::Response, false) {
            pending.drain(..message.raw.len());
            return Some(message);
        }
        let count = socket.read(&mut buffer).ok().filter(|count| *count > 0)?;
        pending.extend(buffer.iter().take(count));
    }
}
