//! How often a request asks for memory, counted in the gateway as it runs: a budget that may only shrink.
//!
//! The gateway, one client and one upstream are in this process, and neither of the two asks for memory
//! while it counts. A binary of its own, because whatever runs beside it would be counted too.

use std::alloc::System;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use portcullis::words::{KeyId, Secret};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often an authorized request may ask for memory. Whoever needs fewer writes it down here; whoever
/// needs more has a reason that stands in the commit. A refusal is kept for those who look for it, by a
/// thread that puts many together, so how often it asks depends on the hour.
const BUDGET: f64 = 16.0;

/// What a request may differ by: buffers grow now and then, and a beat of the clock falls between two.
const SLACK: f64 = 0.2;

/// Requests that count, after as many that do not: connections, buffers and caches are made during those.
const REQUESTS: u32 = 1000;

/// Longest wait for the gateway to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of the upstream's answer.
const BODY_BYTES: usize = 1041;

/// Where the process that counts writes what it has counted.
const REPORT: &str = "PORTCULLIS_ALLOCATIONS_TO";

#[test]
fn a_request_asks_for_memory_no_more_often_than_its_budget_says() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let report = folder.path().join("report");
    // In another process, whose standard output nobody reads: the gateway logs to it.
    let output = Command::new(std::env::current_exe().expect("it runs"))
        .args(["--ignored", "--exact", "count"])
        .env(REPORT, &report)
        .stdout(Stdio::null())
        .output();
    let output = output.expect("it can be started once more");
    let said = String::from_utf8_lossy(&output.stderr);
    let report = fs::read_to_string(report).unwrap_or_default();
    assert!(!report.is_empty(), "nothing was counted: {said}");
    let count: u32 = report.parse().expect("a number");
    let each = f64::from(count) / f64::from(REQUESTS);
    assert!(each <= BUDGET + SLACK, "{each:.2} a request: see BUDGET");
    let less = BUDGET - 1.0 + SLACK;
    assert!(each >= less, "{each:.2} a request, so lower BUDGET");
}

#[test]
#[ignore = "the test above starts it"]
fn count() {
    let Some(report) = std::env::var_os(REPORT) else {
        return;
    };
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (key, secret) = (KeyId::random(), Secret::random());
    let (port, upstream) = (free_port(), upstream());
    prepare(folder.path(), (port, upstream), &key.to_string(), &secret);
    serve(folder.path());
    let mut client = Client::connect(port);
    let bearer = client.bearer(&key.to_string(), secret.reveal());
    let request = format!(
        "GET /repos/7 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: python-requests/2.34.2\r\n\
         Accept-Encoding: gzip, deflate, br\r\nAccept: */*\r\n{bearer}\r\n"
    );
    let mut send = || (0..REQUESTS).for_each(|_| client.ask(&request, "200"));
    send();
    let before = asked();
    send();
    fs::write(report, (asked() - before).to_string()).expect("the folder is there");
}

/// How often memory has been asked for, by all threads.
fn asked() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Settings, policy and a key to sign with.
fn prepare(folder: &Path, (port, upstream): (u16, u16), key: &str, secret: &Secret) {
    let settings = format!(
        "listeners: [{{ address: 127.0.0.1:{port} }}]\nadmin: off\nops: off\ncontrol: off\n\
         policies: policies\nstore: none\nthreads: 1\n\
         upstreams: {{ api: {{ url: \"http://127.0.0.1:{upstream}\" }} }}\n\
         tokens: {{ issuer: https://budget.example.com, audience: budget, signing_key: sign.pem }}\n"
    );
    let policy = format!(
        "upstream: api\n\
         permissions: {{ 'repos:view': See repositories }}\n\
         roles: {{ reader: {{ description: Reads, permissions: ['repos:view'] }} }}\n\
         accounts:\n  ci:\n    description: Builds\n    id: sa_ci\n    grants: [{{ role: reader }}]\n    \
         keys: [{{ id: {key}, digest: '{}' }}]\n\
         routes:\n  GET /repos/{{repo}}: repos:view\n",
        secret.digest()
    );
    let signing = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key pair");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("ours");
    fs::create_dir(folder.join("policies")).expect("the folder is ours");
    write("portcullis.yaml", &settings);
    write("policies/budget.yaml", &policy);
    write("sign.pem", &signing.serialize_pem());
    let secret = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.join("sign.pem"), secret).expect("the file is ours");
}

/// Runs the gateway until the process ends.
fn serve(folder: &Path) {
    let settings = folder.join("portcullis.yaml").into_os_string();
    let words = ["portcullis", "serve", "--config"].map(OsString::from);
    thread::spawn(|| portcullis::cli::run(words.into_iter().chain([settings])));
}

/// An upstream that answers everything alike, one connection after the other; its port.
fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + BODY_BYTES, b'x');
    let mut room = vec![0; 64 * 1024];
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.expect("a connection");
            // A head always comes whole here: it is written at once, and small.
            while socket.read(&mut room).is_ok_and(|read| read > 0) {
                socket.write_all(&answer).expect("the gateway listens");
            }
        }
    });
    port
}

/// One connection that stays open.
struct Client {
    socket: TcpStream,
    room: Vec<u8>,
}

impl Client {
    /// Connects as soon as somebody is there.
    fn connect(port: u16) -> Self {
        let began = std::time::Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(socket) => {
                    socket.set_nodelay(true).expect("a socket can be told");
                    let room = vec![0; 64 * 1024];
                    return Self { socket, room };
                }
                Err(error) => assert!(began.elapsed() < PATIENCE, "no gateway: {error}"),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A token as `Authorization` has it, the whole line.
    fn bearer(&mut self, key: &str, secret: &str) -> String {
        let body = format!("grant_type=client_credentials&client_id={key}&client_secret={secret}");
        let answer = self.exchange(&format!(
            "POST /oauth/token HTTP/1.1\r\nHost: api.example.com\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let answer = String::from_utf8_lossy(answer);
        let token = answer.split("\"access_token\":\"").nth(1);
        let token = token.and_then(|rest| rest.split('"').next());
        format!("Authorization: Bearer {}\r\n", token.expect(&answer))
    }

    /// Sends a request and reads all of its answer, which has this status.
    fn ask(&mut self, request: &str, status: &str) {
        let answer = self.exchange(request);
        assert!(
            answer.get(9..12) == Some(status.as_bytes()),
            "{status} was expected: {}",
            String::from_utf8_lossy(answer)
        );
    }

    fn exchange(&mut self, request: &str) -> &[u8] {
        self.socket.write_all(request.as_bytes()).expect("it reads");
        let mut read = 0;
        loop {
            let room = self.room.get_mut(read..).expect("it is never full");
            let more = self.socket.read(room).expect("an answer");
            assert!(more > 0, "the connection is over");
            read += more;
            let whole = end(self.room.get(..read).expect("it was read"));
            if whole.is_some_and(|end| read >= end) {
                return self.room.get(..read).expect("it was read");
            }
        }
    }
}

/// Where an answer ends, once its head is whole.
fn end(bytes: &[u8]) -> Option<usize> {
    const LENGTH: &[u8] = b"content-length: ";
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = bytes.get(..end)?;
    let mut lines = head.windows(LENGTH.len());
    let at = lines.position(|part| part.eq_ignore_ascii_case(LENGTH))?;
    let digits = head.get(at + LENGTH.len()..)?.iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    Some(end + digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}
