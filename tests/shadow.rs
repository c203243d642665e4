//! Shadow: a route table is tried on the traffic there is, and nobody is turned away.
//!
//! What is refused goes on as it would have gone without a gateway, nothing of ours beside it; what
//! is enforced beside it stays closed; and all of it is told, logged and counted.

use serde_json::{Value, json};

use crate::harness::http2::{Http2, message};
use crate::harness::{Client, Fixture, Gateway, PATIENCE, Scripted, Upstream, request};

/// Notes: to be seen, to be changed, and a public corner.
const NOTES: &str = r"
upstream: items
permissions:
  notes:view: See notes
  notes:edit: Change notes
roles:
  reader: { description: Sees notes, permissions: [notes:view] }
routes:
  GET /notes/{note}: notes:view
  PUT /notes/{note}: notes:edit
  GET /about: public
";

const WHOLE: &str = "shadow: true\ndefault_upstream: items";

fn whole(upstream: &str) -> Fixture {
    Fixture::before(upstream)
        .policy("items.yaml", NOTES)
        .settings(WHOLE)
}

/// The request line of what the upstream was sent last.
fn last_line(upstream: &Upstream, count: usize) -> String {
    let requests = upstream.wait_for(count);
    let raw = &requests[count - 1].raw;
    let end = raw.windows(2).position(|two| two == b"\r\n").unwrap();
    String::from_utf8(raw[..end].to_vec()).unwrap()
}

/// The value of a series, as it is once something was counted there.
fn metric(gateway: &Gateway, series: &str) -> Option<f64> {
    let scrape = gateway.ops("/metrics");
    let line = scrape
        .text()
        .lines()
        .find(|line| line.starts_with(series))?
        .to_owned();
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn whatever_would_be_refused_goes_on_as_it_came() {
    let upstream = Upstream::start();
    let gateway = whole(&upstream.url()).start();
    let token = gateway.token(&gateway.account("ci", &[]));
    let ours = format!("Bearer {token}");
    let rows: &[(&str, Option<&str>, &str)] = &[
        ("GET /notes/7", None, "credential_missing"),
        ("GET /notes/7", Some(&ours), "permission_missing"),
        ("PATCH /notes/7?a=b", Some(&ours), "method_not_allowed"),
        ("GET /nowhere?x=%zz", Some(&ours), "route_missing"),
        ("DELETE /nowhere", None, "credential_missing"),
        // Two readers, one byte sequence: what is sent is what was sent.
        ("GET /notes/a%2fb", Some(&ours), "path_ambiguous"),
        ("GET /notes/../%61bout", None, "path_ambiguous"),
        ("GET /%2e%2e/%2E/x;y=1//z", None, "path_ambiguous"),
        ("GET /a\\b%5cc", None, "path_ambiguous"),
        ("GET /a%252e%3f%23/%ff%C0%af", None, "path_ambiguous"),
        ("GET //about", None, "path_ambiguous"),
    ];
    let mut client = Client::connect(gateway.address());
    for (number, (line, credential, reason)) in rows.iter().enumerate() {
        let headers: Vec<_> = credential
            .iter()
            .map(|value| ("Authorization", *value))
            .collect();
        client.send(request(line, &headers, b""));
        let answer = client.response();
        assert_eq!(answer.status(), 200, "{line}: {}", answer.text());
        assert_eq!(answer.header("connection"), None, "{line}: it goes on");
        assert_eq!(last_line(&upstream, number + 1), format!("{line} HTTP/1.1"));
        let logged = gateway.decision_of(&answer);
        assert_eq!(logged["portcullis.decision"], "shadow_deny", "{logged}");
        assert_eq!(logged["portcullis.reason"], *reason, "{logged}");
        let path = line.split_once(' ').unwrap().1.split('?').next().unwrap();
        assert_eq!(logged["url.path"], path, "{logged}");
        let account = credential.map(|_| "ci");
        assert_eq!(logged["portcullis.account.name"].as_str(), account);
    }
    for sent in upstream.requests() {
        assert_eq!(sent.header("x-portcullis-account"), None, "{sent:?}");
        assert_eq!(sent.header("authorization"), None, "a credential of ours");
    }
    let missing = "portcullis_shadow_denied_requests_total{reason=\"route_missing\",\
                   method=\"GET\",route=\"_none\",permission=\"\"}";
    assert_eq!(metric(&gateway, missing), Some(1.0));
    let permission = "portcullis_shadow_denied_requests_total{reason=\"permission_missing\",\
                      method=\"GET\",route=\"GET /notes/{note}\",permission=\"notes:view\"}";
    assert_eq!(metric(&gateway, permission), Some(1.0));
    for (class, count) in [("dot_segment", 2.0), ("empty_segment", 1.0)] {
        let series = format!("portcullis_path_refused_total{{class=\"{class}\"}}");
        assert_eq!(metric(&gateway, &series), Some(count), "{class}");
    }
    let denied = metric(&gateway, "portcullis_denied_requests_total{");
    assert_eq!(denied, None, "nobody was refused");
}

#[tokio::test]
async fn over_http2_it_goes_on_as_it_came_as_well() {
    let upstream = Upstream::start();
    let gateway = whole(&upstream.url()).listener("http2: true").start();
    let connection = Http2::connect(gateway.address()).await.unwrap();
    let rows = [
        "GET /notes/7",
        "GET /nowhere/%2e%2E/x?y=/../",
        "GET /notes/a%2fb;c//d",
        "GET //about",
    ];
    for (number, line) in rows.into_iter().enumerate() {
        let answer = connection.requests().ask(message(line)).await.unwrap();
        assert_eq!(answer.status, 200, "{line}: {}", answer.text());
        assert_eq!(last_line(&upstream, number + 1), format!("{line} HTTP/1.1"));
    }
    for line in ["GET /notes/%zz", "GET /notes/7?_method=DELETE"] {
        let answer = connection.requests().ask(message(line)).await.unwrap();
        assert_eq!(answer.status, 400, "{line}");
    }
}

#[test]
fn what_no_policy_decides_is_refused_in_shadow_too() {
    let upstream = Upstream::start();
    let gateway = whole(&upstream.url()).start();
    let rows = [
        ("GET /notes/%zz", "", 400),
        ("GET /notes/%00", "", 400),
        ("GET /notes/a|b", "", 400),
        ("GET /notes/7?_method=DELETE", "", 400),
        ("GET /notes/7", "Host: other\r\n", 400),
        ("GET /notes/7", "Expect: magic\r\n", 417),
        ("BREW /notes/7", "", 501),
    ];
    for (line, more, status) in rows {
        let head = format!("{line} HTTP/1.1\r\nHost: gate.test\r\n{more}\r\n");
        let answer = gateway.send(head.as_bytes());
        assert_eq!(answer.status(), status, "{line} {more}");
    }
    let token = gateway.token(&gateway.account("ci", &["reader"]));
    let token = format!("Authorization: Bearer {token}\r\n");
    let twice = format!("GET /notes/7 HTTP/1.1\r\nHost: gate.test\r\n{token}{token}\r\n");
    assert_eq!(
        gateway.send(twice.as_bytes()).reason(),
        "credential_repeated"
    );
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn foreign_credentials_go_through_and_nothing_that_could_be_taken_for_ours_does() {
    let upstream = Upstream::start();
    let gateway = whole(&upstream.url())
        .listener("basic: true, api_key: true")
        .start();
    let key = gateway.account("ci", &[]);
    let token = gateway.token(&key);
    let (basic, pair) = (key.basic(), key.api_key());
    let bearer = format!("Bearer {token}");
    let session = format!("session={token}");
    let rows: &[(&str, &str, bool)] = &[
        ("Authorization", "Basic YWxpY2U6c2VjcmV0", true),
        ("Authorization", "Digest username=\"alice\"", true),
        ("Authorization", "Bearer opaque-of-theirs", true),
        ("X-Api-Key", "theirs-and-no-other", true),
        ("Cookie", "session=theirs", true),
        ("Authorization", &bearer, false),
        ("Authorization", &basic, false),
        ("X-Api-Key", &pair, false),
        ("Cookie", &session, false),
        ("X-Portcullis-Account", "root", false),
        ("X_Portcullis_Account", "root", false),
        ("X-Portcullis-Permissions", "notes:edit", false),
        ("X-HTTP-Method-Override", "DELETE", false),
    ];
    let paths = ["GET /notes/7", "GET /nowhere", "GET /notes/a%2fb"];
    let mut count = 0;
    for line in paths {
        for (name, value, passes) in rows {
            let answer = gateway.send(&request(line, &[(name, value)], b""));
            assert_eq!(answer.status(), 200, "{line} {name}");
            count += 1;
            let sent = &upstream.wait_for(count)[count - 1];
            let expected = passes.then_some(*value);
            assert_eq!(sent.header(name), expected, "{line} {name}: {value}");
            let named_in_hop = [("Connection", "x-request-id"), (name, value)];
            gateway.send(&request(line, &named_in_hop, b""));
            count += 1;
            let sent = &upstream.wait_for(count)[count - 1];
            assert!(sent.header("x-request-id").is_some(), "{sent:?}");
        }
    }
    for sent in upstream.requests() {
        let ours = String::from_utf8_lossy(&sent.raw).to_ascii_lowercase();
        assert!(
            !ours.contains("x-portcullis") && !ours.contains("x_portcullis"),
            "{ours}"
        );
        assert!(!ours.contains(&key.id), "{ours}");
    }
    // On a public route nobody is asked, and what was between client and API stays there.
    let theirs = [("Authorization", "Basic YWxpY2U6c2VjcmV0")];
    gateway.send(&request("GET /about", &theirs, b""));
    let sent = &upstream.wait_for(count + 1)[count];
    assert_eq!(sent.header("authorization"), Some("Basic YWxpY2U6c2VjcmV0"));
}

/// The same server under a second name, where something is enforced.
#[test]
fn an_enforced_route_at_the_same_address_closes_the_raw_path() {
    const GUARD: &str =
        "upstream: guarded\nhosts: [guarded.test]\nroutes:\n  GET /secret: notes:edit\n";
    let upstream = Upstream::start();
    let port = upstream.address().port();
    let under = |url: &str| {
        whole(&upstream.url())
            .upstream_at("guarded", &format!("{url}, shadow: false"))
            .policy("guard.yaml", GUARD)
            .start()
    };
    for name in ["127.0.0.1", "localhost", "127.0.0.2", "api.invalid"] {
        let gateway = under(&format!("'http://{name}:{port}'"));
        let token = gateway.token(&gateway.account("ci", &[]));
        for line in [
            "GET /x/..%2fsecret",
            "GET //secret",
            "GET /x/../secret",
            "GET /notes/a%2fb",
        ] {
            assert_eq!(gateway.ask(line, None).status(), 400, "{name} {line}");
        }
        // Nor is another Host, method, case or slash a way around it.
        for line in ["GET /secret", "POST /secret", "GET /SECRET", "GET /secret/"] {
            assert_eq!(gateway.ask(line, None).status(), 401, "{name} {line}");
            let known = gateway.ask(line, Some(&token));
            assert_eq!(known.status(), 404, "{name} {line}");
        }
        let before = upstream.requests().len();
        assert_eq!(gateway.ask("GET /notes/7", None).status(), 200, "{name}");
        assert_eq!(gateway.ask("GET /elsewhere", None).status(), 200, "{name}");
        assert_eq!(upstream.requests().len(), before + 2);
        let findings = gateway.json(&["check"])["notes"].clone();
        let rules: Vec<_> = findings.as_array().unwrap().iter().collect();
        let found = |rule: &str| rules.iter().any(|finding| finding["rule"] == rule);
        assert!(found("enforced_beside_shadow"), "{findings}");
    }
    // Another server: what is enforced there is no matter of ours.
    let gateway = under(&format!("'http://127.0.0.1:{}'", port ^ 1));
    assert_eq!(gateway.ask("GET /x/..%2fsecret", None).status(), 200);
}

#[test]
fn what_a_browser_asks_before_goes_where_the_path_lives() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .policy("items.yaml", NOTES)
        .upstream("shadow: true")
        .start();
    let asks = [
        ("Origin", "https://app.test"),
        ("Access-Control-Request-Method", "PUT"),
    ];
    let answer = gateway.send(&request("OPTIONS /notes/7", &asks, b""));
    assert_eq!(answer.status(), 200);
    assert_eq!(last_line(&upstream, 1), "OPTIONS /notes/7 HTTP/1.1");
    // Without a default upstream nobody can say where the rest would go.
    let answer = gateway.send(&request("OPTIONS /nowhere", &asks, b""));
    assert_eq!(answer.status(), 401);
}

#[test]
fn a_stranger_may_open_a_websocket_that_nobody_listed() {
    let upstream = Scripted::start();
    let gateway = whole(&upstream.url()).start();
    let mut client = Client::connect(gateway.address());
    client.send(request(
        "GET /chat",
        &[
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ],
        b"",
    ));
    let mut connection = upstream.accept();
    connection.head();
    connection.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    );
    assert_eq!(client.response().status(), 101);
    connection.send("hello");
    assert_eq!(client.bytes(5), b"hello");
}

/// A client in the middle of an answer, and the upstream's end of it.
fn follow(gateway: &Gateway, upstream: &Scripted, token: Option<&str>) -> (Client, Client) {
    let mut client = Client::connect(gateway.address());
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|bearer| ("Authorization", bearer.as_str()))
        .collect();
    client.send(request("GET /notes/7", &headers, b""));
    let mut connection = upstream.accept();
    connection.head();
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.head();
    flows(&mut client, &mut connection);
    (client, connection)
}

fn flows(client: &mut Client, connection: &mut Client) {
    connection.send("1\r\nx\r\n");
    assert_eq!(client.bytes(6), b"1\r\nx\r\n");
}

#[test]
fn a_stream_goes_on_until_shadow_ends_and_then_by_its_own_right() {
    let upstream = Scripted::start();
    let gateway = whole(&upstream.url()).upstream("connections: 100").start();
    let account = |name: &str, roles: &[&str]| gateway.account(name, roles);
    let (poor, revoked) = (account("poor", &[]), account("revoked", &["reader"]));
    let (poor_token, token) = (gateway.token(&poor), gateway.token(&revoked));
    let (mut stranger, mut strangers) = follow(&gateway, &upstream, None);
    let (mut poor, mut poors) = follow(&gateway, &upstream, Some(&poor_token));
    let (mut known, mut knowns) = follow(&gateway, &upstream, Some(&token));
    // A key that is taken back ends nothing that is not enforced.
    gateway.json(&["keys", "expire", &revoked.id]);
    flows(&mut known, &mut knowns);
    flows(&mut stranger, &mut strangers);
    gateway.json(&["accounts", "grant", "poor", "--role", "reader"]);
    let enforced = format!("shadow: false\n{NOTES}");
    gateway.files().write("policies/items.yaml", &enforced);
    gateway.json(&["reload"]);
    assert!(stranger.ends_within(PATIENCE) && strangers.ends_within(PATIENCE));
    assert!(known.ends_within(PATIENCE) && knowns.ends_within(PATIENCE));
    // Who was let through by shadow alone may by now be let through for who he is.
    flows(&mut poor, &mut poors);
    poors.send("0\r\n\r\n");
    assert_eq!(poor.bytes(5), b"0\r\n\r\n");
    let lines = gateway.decisions(5);
    let of = |ended: &Value, reason: &str| {
        let fits = |line: &&Value| {
            line["portcullis.ended"] == *ended && line["portcullis.reason"] == reason
        };
        let found = lines.iter().find(fits);
        found.unwrap_or_else(|| panic!("no {reason}: {lines:#?}"))["portcullis.decision"].clone()
    };
    assert_eq!(of(&json!("revoked"), "credential_missing"), "deny");
    assert_eq!(of(&json!("revoked"), "key_expired"), "deny");
    assert_eq!(of(&Value::Null, "permission_missing"), "shadow_deny");
}

/// A stream that was let in by right, and went on only because its end was not enforced.
#[test]
fn what_comes_to_stand_against_a_stream_is_told_at_its_end() {
    let upstream = Scripted::start();
    let gateway = whole(&upstream.url()).start();
    let key = gateway.account("ci", &["reader"]);
    let token = gateway.token(&key);
    let (mut client, mut connection) = follow(&gateway, &upstream, Some(&token));
    gateway.json(&["keys", "expire", &key.id]);
    flows(&mut client, &mut connection);
    connection.send("0\r\n\r\n");
    assert_eq!(client.bytes(5), b"0\r\n\r\n");
    // The token's line is of another core perhaps, and comes when it comes.
    let lines = gateway.decisions(2);
    let line = lines.iter().find(|line| line["url.path"] == "/notes/7");
    let line = line.unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(line["portcullis.decision"], "shadow_deny", "{line}");
    assert_eq!(line["portcullis.reason"], "key_expired", "{line}");
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "each place that tells of it, one after the other"
)]
fn who_looks_is_told_that_something_is_not_enforced() {
    let upstream = Upstream::start();
    let gateway = whole(&upstream.url())
        .policy(
            "more.yaml",
            "upstream: items\nshadow: false\nroutes:\n  GET /firm: notes:view\n  GET /soft: { needs: notes:view, shadow: true }\n",
        )
        .start();
    gateway.account("ci", &[]);
    let said = gateway.wait_for_log("in shadow: what is refused here is forwarded all the same");
    for part in [
        "\"routes\":4",
        "\"of\":5",
        "\"upstreams\":\"items\"",
        "\"default_upstream\":\"items\"",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for setting in [
        "shadow",
        "default_upstream: items",
        "upstreams.items.shadow",
        "routes.shadow",
    ] {
        let series = format!("portcullis_unsafe_settings{{setting=\"{setting}\"}}");
        assert_eq!(metric(&gateway, &series), Some(1.0), "{setting}");
    }
    assert_eq!(metric(&gateway, "portcullis_routes_in_shadow"), Some(4.0));
    let status = gateway.json(&["status"]);
    assert_eq!(status["routes_in_shadow"], 4, "{status}");
    assert_eq!(status["upstreams_in_shadow"], json!(["items"]), "{status}");
    assert_eq!(status["default_upstream"], "items", "{status}");
    let routes = gateway.json(&["routes", "list"]);
    let firm = routes
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["shadow"] == false);
    assert_eq!(firm.count(), 1, "{routes}");
    let can_i = |line: &str| {
        let (method, path) = line.split_once(' ').unwrap();
        let output = gateway.cli(&["can-i", method, path, "--as", "ci"]);
        String::from_utf8(output.stdout).unwrap()
    };
    for (line, begins) in [
        ("DELETE /nowhere", "yes in shadow mode only: route_missing"),
        (
            "GET /notes/7",
            "yes in shadow mode only: permission_missing",
        ),
        ("GET /firm", "no: permission_missing"),
        ("GET /firm/", "no: route_missing"),
        // Something is enforced at this address.
        ("GET /notes/a%2fb", "no: path_ambiguous"),
    ] {
        assert!(can_i(line).starts_with(begins), "{line}: {}", can_i(line));
    }
    let explained = gateway.cli(&["explain", "DELETE", "/nowhere", "--as", "ci"]);
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(
        explained.contains("not enforced: it goes to `items` all the same"),
        "{explained}"
    );
    let check = gateway.json(&["check"]);
    let findings = check["notes"].as_array().unwrap();
    let note = findings.iter().find(|it| it["rule"] == "not_enforced");
    let message = note.unwrap_or_else(|| panic!("{check}"))["message"]
        .as_str()
        .unwrap();
    assert!(message.starts_with("4 of 5 routes in shadow"), "{message}");
}
