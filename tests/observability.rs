//! What operators see: metrics that Prometheus reads and strangers cannot blow up, a log line for every
//! decision, health, and a log nobody reads.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Client, Files, Fixture, Gateway, PATIENCE, Upstream, request};

/// The samples of a scrape, by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
            (name.to_owned(), value.parse().expect("a value is a number"))
        })
        .collect()
}

/// What happened meanwhile: series of `metric` that grew, by how much.
fn grown(
    metric: &str,
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
) -> Vec<(String, f64)> {
    let of_metric = after
        .iter()
        .filter(|(name, _)| name.starts_with(&format!("{metric}{{")));
    of_metric
        .map(|(name, value)| (name.clone(), value - before.get(name).unwrap_or(&0.0)))
        .filter(|(_, growth)| *growth > 0.0)
        .collect()
}

fn scrape(gateway: &Gateway) -> BTreeMap<String, f64> {
    samples(gateway.ops("/metrics").text())
}

/// A request is recorded after its answer was sent, so a scrape may come a moment too soon.
fn scrape_until(gateway: &Gateway, count: f64) -> BTreeMap<String, f64> {
    let until = Instant::now() + PATIENCE;
    loop {
        let after = scrape(gateway);
        let requests = after
            .iter()
            .filter(|(name, _)| name.starts_with("portcullis_http_requests_total{"));
        let sum: f64 = requests.map(|(_, value)| value).sum();
        if sum >= count {
            return after;
        }
        assert!(
            Instant::now() < until,
            "{sum} of {count} requests were counted"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_scrape_is_what_prometheus_reads() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    gateway.ask("GET /public/a", None);
    gateway.ask("GET /v1/items/7", None);
    gateway.ask("GET /a%2fb", None);
    scrape_until(&gateway, 3.0);
    let text = gateway.ops("/metrics").text().to_owned();

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs: `tests/run` installs it");
    let mut stdin = promtool.stdin.take().expect("it was piped");
    stdin.write_all(text.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn every_refusal_is_counted_once_and_logged_once_with_one_reason() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let cases = [
        (
            "GET /v1/items/7",
            "credential_missing",
            "GET /v1/items/{id}",
        ),
        ("GET /nowhere", "credential_missing", "_none"),
        ("GET /v1/items/../7", "path_ambiguous", "_none"),
        ("GET /v1/items/a%2fb", "path_ambiguous", "_none"),
        ("BREW /v1/items/7", "method_unknown", "_none"),
    ];
    let mut before = scrape(&gateway);
    for (number, (line, reason, route)) in cases.into_iter().enumerate() {
        let answer = gateway.ask(line, None);
        let after = scrape_until(&gateway, (number + 1) as f64);
        let denied = grown("portcullis_denied_requests_total", &before, &after);
        assert_eq!(denied.len(), 1, "{line}: {denied:?}");
        let (series, growth) = &denied[0];
        assert!((growth - 1.0).abs() < 0.1, "{line}: {denied:?}");
        for label in [
            format!("reason=\"{reason}\""),
            format!("code=\"{}\"", answer.status()),
            format!("route=\"{route}\""),
        ] {
            assert!(
                series.contains(&label),
                "{line}: {label} is not in {series}"
            );
        }
        before = after;
        let logged = gateway.decision_of(&answer);
        assert_eq!(logged["portcullis.reason"], reason, "{logged}");
        assert_eq!(logged["portcullis.decision"], "deny", "{logged}");
        assert_eq!(
            logged["http.response.status_code"],
            answer.status(),
            "{logged}"
        );
        assert_eq!(
            logged["portcullis.request_id"].as_str(),
            answer.header("x-request-id"),
            "{logged}"
        );
    }
    assert_eq!(gateway.decisions(cases.len()).len(), cases.len());
}

#[test]
fn a_missing_permission_names_account_permission_and_route() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let token = gateway.token(&gateway.account("ci", &["reader"]));
    let answer = gateway.ask("DELETE /v1/items/7", Some(&token));
    assert_eq!(answer.status(), 403);

    let after = scrape_until(&gateway, 2.0);
    let series = "portcullis_denied_requests_total{reason=\"permission_missing\",code=\"403\",\
                  method=\"DELETE\",route=\"DELETE /v1/items/{id}\",permission=\"items:delete\",\
                  account=\"ci\"}";
    assert_eq!(after.get(series), Some(&1.0), "{after:#?}");
    let logged = gateway.decision_of(&answer);
    assert_eq!(logged["portcullis.account.name"], "ci", "{logged}");
    assert_eq!(logged["portcullis.missing"][0], "items:delete", "{logged}");
    assert_eq!(logged["http.route"], "DELETE /v1/items/{id}", "{logged}");
}

/// What the rules would refuse goes through in shadow, without a word about who called, and is told
/// apart in the log and in the metrics.
#[test]
fn what_only_shadow_lets_through_is_logged_and_counted_as_that() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).upstream("shadow: true").start();
    let token = gateway.token(&gateway.account("ci", &[]));
    let before = scrape_until(&gateway, 1.0);
    let rows = [
        (None, "credential_missing", None),
        (Some(token.as_str()), "permission_missing", Some("ci")),
    ];
    for (token, reason, account) in rows {
        let answer = gateway.ask("GET /v1/items/7", token);
        assert_eq!(answer.status(), 200, "{reason}");
        let logged = gateway.decision_of(&answer);
        assert_eq!(logged["portcullis.decision"], "shadow_deny", "{logged}");
        assert_eq!(logged["portcullis.reason"], reason, "{logged}");
        assert_eq!(logged["http.response.status_code"], 200, "{logged}");
        assert_eq!(
            logged["portcullis.account.name"].as_str(),
            account,
            "{logged}"
        );
    }
    for request in upstream.wait_for(2) {
        assert_eq!(request.header("x-portcullis-account"), None, "{request:?}");
    }
    let after = scrape_until(&gateway, 3.0);
    let shadowed = grown("portcullis_shadow_denied_requests_total", &before, &after);
    assert_eq!(shadowed.len(), 2, "{shadowed:?}");
    let denied = grown("portcullis_denied_requests_total", &before, &after);
    assert_eq!(denied, [], "what went through is no refusal");
}

/// Sizes are of bodies, without their framing; what nobody read has none.
#[test]
fn the_log_says_how_much_of_a_body_was_read() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let token = gateway.token(&gateway.account("ci", &["owner"]));
    let token_line = gateway.decisions(1).remove(0);
    let size = &token_line["http.request.body.size"];
    assert!(size.as_u64().is_some_and(|size| size > 0), "{token_line}");
    let (known, stranger) = (format!("Authorization: Bearer {token}\r\n"), String::new());
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let rows = [
        ("POST", &known, "Content-Length: 7\r\n\r\nabcdefg", Some(7)),
        ("POST", &known, chunked, Some(7)),
        ("POST", &known, "\r\n", Some(0)),
        ("POST", &stranger, "Content-Length: 7\r\n\r\nabcdefg", None),
    ];
    for (method, credential, rest, size) in rows {
        let head = format!("{method} /v1/items HTTP/1.1\r\nHost: gate.test\r\n{credential}{rest}");
        let answer = gateway.send(head.as_bytes());
        let logged = gateway.decision_of(&answer);
        assert_eq!(logged["http.request.body.size"].as_u64(), size, "{logged}");
    }
}

#[test]
fn strangers_make_no_series() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let send = |number: usize| {
        let method = ["GET", "POST", "BREW", "DELETE"][number % 4];
        let line = format!("{method} /path-{number}/{number}%20x?n={number}");
        let agent = format!("agent-{number}");
        let token = format!("Bearer token-{number}.x.y");
        let headers = [("Authorization", token.as_str()), ("User-Agent", &agent)];
        gateway.send(&request(&line, &headers, b""));
    };
    (0..4).for_each(send);
    let before = scrape_until(&gateway, 4.0).len();
    (4..400).for_each(send);
    let after = scrape_until(&gateway, 400.0).len();
    assert_eq!(
        after, before,
        "four hundred strangers are as many series as four"
    );
}

#[test]
fn whatever_was_sent_is_one_line_of_the_log() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let mut bytes = b"GET /public/".to_vec();
    bytes.extend(std::iter::repeat_n(b'a', 9000));
    bytes.extend(b" HTTP/1.1\r\nHost: gate.test\r\nUser-Agent: \"}\t\xe2\x80\xa8\xff\x85 \xc2\x9b31m\r\n\r\n");
    assert_eq!(gateway.send(&bytes).status(), 200);

    let logged = gateway.decisions(1).remove(0);
    let path = logged["url.path"].as_str().unwrap();
    assert!(
        path.starts_with("/public/aaa") && path.ends_with("a…(+7984 bytes)"),
        "{path}"
    );
    assert_eq!(
        logged["user_agent.original"],
        "\"}\t\u{2028}\\xff\\x85 \u{9b}31m"
    );
    let printed = gateway.printed();
    let raw = printed
        .lines()
        .find(|line| line.contains("/public/aaa"))
        .unwrap();
    assert!(
        !raw.chars().any(|c| c.is_control() || c == '\u{2028}'),
        "{raw}"
    );
}

#[test]
fn health_says_when_requests_are_welcome() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(gateway.ops(path).status(), 200, "{path}");
    }
    let verbose = gateway.ops("/readyz?verbose");
    assert!(
        verbose.text().contains("[+]policy ok\n"),
        "{}",
        verbose.text()
    );
    // On the proxy port these paths belong to the upstream.
    assert_eq!(
        gateway.ask("GET /readyz", None).reason(),
        "credential_missing"
    );
    assert_eq!(gateway.ops("/v1/items/7").status(), 404);
}

/// A gateway whose log nobody reads; its settings have fixed ports, because nobody reads those either.
fn start_unread(fixture: &Fixture) -> (Files, Child, [SocketAddr; 2]) {
    let free = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener
            .local_addr()
            .expect("a bound socket has an address")
    };
    let (listener, ops) = (free(), free());
    let files = fixture.write();
    let text = std::fs::read_to_string(files.config()).unwrap();
    let text = text
        .replace(
            "ops: { address: 127.0.0.1:0 }",
            &format!("ops: {{ address: {ops} }}"),
        )
        .replace("address: 127.0.0.1:0", &format!("address: {listener}"));
    files.write("portcullis.yaml", &text);
    let child = files
        .command(&["serve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let child = child.expect("the binary runs");
    let until = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(listener).is_err() {
        assert!(Instant::now() < until, "the gateway does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    (files, child, [listener, ops])
}

#[test]
fn a_log_that_nobody_reads_costs_lines_and_no_request() {
    let upstream = Upstream::start();
    let fixture = Fixture::new(&upstream).settings("threads: 1");
    let (_files, mut child, [listener, ops]) = start_unread(&fixture);
    // Some 6 KiB a line: a bound of 4 MiB is reached after seven hundred.
    let agent = "\u{80}".repeat(1024);
    let ask = request("GET /v1/items/7", &[("User-Agent", &agent)], b"");
    let mut client = Client::connect(listener);
    for _ in 0..1500 {
        assert_eq!(client.send(&ask).response().status(), 401);
    }
    let scraped = Client::connect(ops)
        .send(request("GET /metrics", &[("Connection", "close")], b""))
        .response();
    child.kill().expect("it runs");
    child.wait().expect("it was killed");
    let dropped = samples(scraped.text())["portcullis_log_records_dropped_total"];
    assert!(dropped > 0.0, "nothing was dropped: {dropped}");
}
