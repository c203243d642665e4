//! What was let through and came to nothing is no refusal: the log and the lists say so, and its id
//! leads to the upstream's address, the cause and what to do. So does the id of a token that was not
//! given out.

use std::io::Write as _;
use std::net::TcpListener;

use serde_json::Value;

use crate::harness::{Behaviour, Fixture, Gateway, Message, PATIENCE, Upstream, request, until};

fn id(answer: &Message) -> String {
    answer
        .header("x-request-id")
        .expect("every answer has one")
        .to_owned()
}

/// What a person reads who asks about `answer`.
fn explained(gateway: &Gateway, answer: &Message) -> String {
    let told = gateway.cli(&["explain", &id(answer)]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    String::from_utf8(told.stdout).unwrap()
}

fn listed(gateway: &Gateway, more: &[&str]) -> Vec<Value> {
    let listed = gateway.json(&[&["denials", "list"], more].concat());
    listed.as_array().expect("a list").clone()
}

#[test]
fn a_failure_behind_the_decision_is_no_refusal_and_names_its_cause() {
    let gateway = Fixture::before("http://127.0.0.1:1").start();
    let failed = gateway.ask("GET /public/x", None);
    assert_eq!(failed.status(), 502);
    assert!(!failed.text().contains("127.0.0.1"), "{}", failed.text());

    let line = gateway.decision_of(&failed);
    for (field, value) in [
        ("event.name", "http.failed"),
        ("severity", "ERROR"),
        ("portcullis.decision", "allow"),
        ("portcullis.reason", "upstream_unreachable"),
        ("error.type", "upstream_unreachable"),
        ("portcullis.upstream_address", "127.0.0.1:1"),
        ("portcullis.cause", "connection refused"),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    let mut kept = Vec::new();
    until("the failure to be listed", PATIENCE, || {
        kept = listed(&gateway, &["--failed"]);
        !kept.is_empty()
    });
    for (field, value) in [
        ("decision", "allow"),
        ("upstream", "items"),
        ("upstream_address", "127.0.0.1:1"),
        ("cause", "connection refused"),
    ] {
        assert_eq!(kept[0][field], value, "{field}: {kept:?}");
    }
    assert!(listed(&gateway, &[]).is_empty());
    let top = gateway.json(&["denials", "top"]);
    assert!(top.as_array().unwrap().is_empty(), "{top}");

    let told = explained(&gateway, &failed);
    for part in [
        "was let through, and failed: 502 upstream_unreachable",
        "upstream `items` at 127.0.0.1:1, connection refused",
        "see that upstream `items` runs",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let table = gateway.cli(&["denials", "list", "--failed"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("CAUSE"), "{table}");
}

#[test]
fn every_failure_of_an_upstream_says_what_happened_where() {
    let upstream = Upstream::start();
    let open = "upstream: items\nroutes:\n  GET /{rest...}: { needs: public, timeout: 200ms }\n";
    let gateway = Fixture::new(&upstream).policy("items.yaml", open).start();
    for (behaviour, status, cause, then) in [
        (
            Behaviour::Stall(Vec::new()),
            504,
            "no answer within 200ms (`timeout`)",
            "give it longer: `timeout`",
        ),
        (
            Behaviour::Cut(Vec::new()),
            502,
            "connection closed before message completed",
            "see the log of upstream `items`",
        ),
        (
            Behaviour::Cut(b"SSH-2.0-OpenSSH_9.7\r\n\r\n".to_vec()),
            502,
            "invalid HTTP",
            "see the log of upstream `items`",
        ),
    ] {
        upstream.once(behaviour);
        let failed = gateway.ask("GET /x", None);
        assert_eq!(failed.status(), status);
        let told = explained(&gateway, &failed);
        for part in [cause, then, "upstream `items` at 127.0.0.1:"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

#[test]
fn an_upstream_that_is_not_believed_is_said_to_be() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut speaks_clear, _) = listener.accept().unwrap();
        speaks_clear
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    let gateway = Fixture::before(&url).start();
    let failed = gateway.ask("GET /public/x", None);
    assert_eq!(failed.status(), 502);
    let told = explained(&gateway, &failed);
    for part in ["TLS: ", "look at `tls` and `url` of upstream `items`"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_client_without_a_token_finds_out_by_the_id_and_whoever_operates_why() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let (ci, cd) = (
        gateway.account("ci", &["reader"]),
        gateway.account("cd", &["reader"]),
    );
    let ask = |pair: String, body: &str| {
        let basic = format!("Basic {}", base64(&pair));
        let headers = [
            ("Authorization", basic.as_str()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        gateway.send(&request("POST /oauth/token", &headers, body.as_bytes()))
    };
    let grant = "grant_type=client_credentials";
    let nobody = "pck_0000000000000000";
    let rows = [
        (
            format!("{}:{}", ci.id, cd.secret),
            grant.to_owned(),
            vec![ci.id.as_str(), "of account `ci`", "keys rotate"],
        ),
        (
            format!("{}:{}", ci.id, ci.secret),
            format!("{grant}&scope=items:write"),
            vec!["the scope names a permission", "account `ci`"],
        ),
        (
            format!("{nobody}:{}", cd.secret),
            grant.to_owned(),
            vec!["pck_…"],
        ),
        (
            format!("{}:{}", ci.id, ci.secret),
            "scope=items:read".to_owned(),
            vec!["grant_type is missing"],
        ),
    ];
    for (pair, body, parts) in rows {
        let refused = ask(pair, &body);
        assert_eq!(
            refused.json()["request_id"],
            id(&refused).as_str(),
            "{refused:?}"
        );
        assert!(!refused.text().contains("account `"), "{}", refused.text());
        let told = explained(&gateway, &refused);
        assert!(
            !told.contains("pcs_0") && !told.contains(&ci.secret),
            "{told}"
        );
        for part in parts {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
