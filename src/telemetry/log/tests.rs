//! What a reader of the log finds in it, and what a bad reader costs.

use serde_json::Value;

use super::*;
use crate::reason::Reason;
use crate::words::{Account, AddressRules, RequestId, RequestIds, UnixTime};

/// What was written, shared with the test.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn lines(&self) -> Vec<Value> {
        let bytes = lock(&self.0);
        let text = std::str::from_utf8(&bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// A reader that does not read until the test says so.
struct Stuck(mpsc::Receiver<()>, Sink);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn line(id: &RequestId) -> Line<'_> {
    Line {
        time: UnixTime::from_millis(1_795_302_000_007),
        event: Event::Access,
        decision: Decision::Allow,
        ended: None,
        request_id: id,
        client_request_id: None,
        method: b"GET",
        path: b"/v1/devices",
        scheme: "http",
        protocol: "1.1",
        upgraded: None,
        host: None,
        user_agent: None,
        client: None,
        status: Some(200),
        request_bytes: None,
        response_bytes: None,
        route: None,
        permission: None,
        missing: &[],
        class: None,
        hint: None,
        account: None,
        key: None,
        token: None,
        upstream: None,
        cause: None,
        authz: None,
        upstream_wait: None,
        total: Duration::from_micros(1_234),
    }
}

fn id() -> RequestId {
    RequestIds::new().next(UnixTime::from_secs(1))
}

fn account() -> Account {
    Account {
        id: "sa_1".parse().unwrap(),
        name: "ci".parse().unwrap(),
        enabled: true,
        addresses: AddressRules::default(),
        holdings: Box::default(),
        name_header: http::HeaderValue::from_static("ci"),
        id_header: http::HeaderValue::from_static("sa_1"),
    }
}

const GRACE: Duration = Duration::from_secs(10);

#[test]
fn a_line_answers_who_what_where_and_why() {
    let sink = Sink::default();
    let log = Log::start(sink.clone()).unwrap();
    let id = id();
    let account = account();
    log.handle().write(&Line {
        event: Event::Denied,
        decision: Decision::Deny(Reason::PermissionMissing),
        host: Some(b"api.example.com"),
        user_agent: Some(b"curl/8 \x1b[31m"),
        client: Some("192.0.2.7".parse().unwrap()),
        status: Some(403),
        request_bytes: Some(0),
        response_bytes: Some(512),
        route: Some("DELETE /v1/devices/{id}"),
        permission: Some("devices:edit"),
        missing: &["devices:edit"],
        account: Some(&account),
        token: Some(&[0xab, 0xcd, 0, 1, 2, 3, 4, 0xff]),
        upstream: Some("inventory"),
        authz: Some(Duration::from_nanos(2_900)),
        upstream_wait: Some(Duration::from_millis(12)),
        ..line(&id)
    });
    assert!(log.stop(GRACE));
    assert_eq!(
        sink.lines(),
        [serde_json::json!({
            "timestamp": "2026-11-21T23:00:00.007Z",
            "severity": "WARN",
            "event.name": "authz.denied",
            "http.request.method": "GET",
            "url.path": "/v1/devices",
            "url.scheme": "http",
            "http.route": "DELETE /v1/devices/{id}",
            "http.response.status_code": 403,
            "http.request.body.size": 0,
            "http.response.body.size": 512,
            "network.protocol.version": "1.1",
            "user_agent.original": "curl/8 \u{1b}[31m",
            "client.address": "192.0.2.7",
            "server.address": "api.example.com",
            "portcullis.decision": "deny",
            "error.type": "permission_missing",
            "portcullis.reason": "permission_missing",
            "portcullis.permission": "devices:edit",
            "portcullis.missing": ["devices:edit"],
            "portcullis.account.id": "sa_1",
            "portcullis.account.name": "ci",
            "portcullis.token_id": "abcd0001020304ff",
            "portcullis.request_id": id.as_str(),
            "portcullis.upstream": "inventory",
            "portcullis.authz_us": 2,
            "portcullis.upstream_ms": 12.0,
            "portcullis.total_ms": 1.234,
        })]
    );
}

#[test]
fn a_line_says_what_ended_an_answer_before_its_end() {
    let sink = Sink::default();
    let log = Log::start(sink.clone()).unwrap();
    let id = id();
    let rows = [
        (Ended::Draining, "draining", "WARN"),
        (Ended::Revoked, "revoked", "WARN"),
        (Ended::Silent, "silent", "WARN"),
        (Ended::ClientGone, "client_gone", "INFO"),
        (Ended::UpstreamReset, "upstream_reset", "WARN"),
    ];
    let handle = log.handle();
    for (ended, _, _) in rows {
        handle.write(&Line {
            ended: Some(ended),
            ..line(&id)
        });
    }
    assert!(log.stop(GRACE));
    for (line, (_, name, severity)) in sink.lines().iter().zip(rows) {
        assert_eq!(line["portcullis.ended"], name, "{line}");
        assert_eq!(line["severity"], severity, "{line}");
    }
    assert_eq!(sink.lines().len(), rows.len());
}

#[test]
fn nothing_is_lost_when_the_log_stops() {
    let sink = Sink::default();
    let log = Log::start(sink.clone()).unwrap();
    let handles: Vec<_> = (0..4).map(|_| log.handle()).collect();
    thread::scope(|scope| {
        for handle in &handles {
            scope.spawn(|| {
                let id = id();
                (0..2_000).for_each(|_| handle.write(&line(&id)));
            });
        }
    });
    let dropped = log.dropped();
    assert!(log.stop(GRACE));
    assert_eq!((sink.lines().len(), dropped()), (8_000, 0));
}

#[test]
fn a_line_does_not_rest_longer_than_the_interval() {
    let sink = Sink::default();
    let log = Log::start(sink.clone()).unwrap();
    log.handle().write(&line(&id()));
    let patience = std::time::Instant::now() + GRACE;
    while sink.lines().is_empty() {
        assert!(std::time::Instant::now() < patience);
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reader_who_stops_reading_costs_lines_and_no_request() {
    let sink = Sink::default();
    let (read, stuck) = mpsc::channel();
    let log = Log::start(Stuck(stuck, sink.clone())).unwrap();
    let handle = log.handle();
    let id = id();
    let long = vec![b'a'; 4096];
    let written = 10_000;
    for _ in 0..written {
        handle.write(&Line {
            path: &long,
            ..line(&id)
        });
    }
    let dropped = log.dropped();
    assert!(
        dropped() > 0,
        "{written} lines of more than 1 KiB are above the bound"
    );
    assert!(lock(&handle.buffer).bytes.len() < PENDING_BYTES_MAX + 8 * 1024);

    drop(read);
    assert!(log.stop(GRACE));
    assert_eq!(sink.lines().len() as u64 + dropped(), written);
}

#[test]
fn a_reader_who_never_comes_back_does_not_hold_up_the_end() {
    let (_never, stuck) = mpsc::channel();
    let log = Log::start(Stuck(stuck, Sink::default())).unwrap();
    log.handle().write(&line(&id()));
    assert!(!log.stop(Duration::from_millis(50)));
}
