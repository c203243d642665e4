//! An API nobody here wrote, behind the gateway: httpbin with `policies/httpbin`.
//!
//! Each request of the table goes to httpbin twice, straight and through the gateway, and the two
//! answers are compared. Then each is asked for by somebody who holds every permission but the one
//! that is needed, and must not arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use portcullis::policy::compile::{Context, compile};
use portcullis::policy::folder;
use portcullis::policy::matcher::Lookup;
use portcullis::words::Method;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::harness::{Fixture, Message, Upstream, tool};

mod server;
mod stage;
mod table;
mod uploads;

use server::Httpbin;
use stage::{GATE, Stage, ask};
use table::{Access, Answers, NONCE, Row, TABLE};

const FOLDER: &str = "policies/httpbin";

/// The methods a row is asked for by: where GET goes, HEAD goes too.
fn methods(row: &Row) -> Vec<&'static str> {
    match row.method() {
        "GET" => vec!["GET", "HEAD"],
        method => vec![method],
    }
}

/// What a client is owed of an answer: everything but what is of one hop or of the moment, and the
/// id that the gateway adds. Headers in the order of their names; those of one name in their own.
fn owed<'m>(answer: &'m Message, apart: &[&str]) -> (&'m str, Vec<(String, &'m str)>) {
    const APART: [&str; 4] = ["connection", "keep-alive", "date", "x-request-id"];
    let headers = answer.headers.iter();
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
        .filter(|(name, _)| !APART.contains(&name.as_str()) && !apart.contains(&name.as_str()))
        .collect();
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    (&answer.start, headers)
}

fn rows(answers: Answers) -> impl Iterator<Item = (&'static Row, &'static str)> {
    let rows = TABLE.iter().filter(move |row| row.answers == answers);
    rows.flat_map(|row| methods(row).into_iter().map(move |method| (row, method)))
}

#[test]
fn what_depends_on_no_header_is_the_same_byte_for_byte() {
    let httpbin = Httpbin::start();
    let host = httpbin.address().to_string();
    let stage = Stage::before(&httpbin.url());
    for (row, method) in rows(Answers::Same) {
        let direct = ask(httpbin.address(), &host, row, method, &[]);
        let gated = stage.ask(row, method);
        assert_eq!(owed(&gated, &[]), owed(&direct, &[]), "{method} {row:?}");
        assert!(gated.body == direct.body, "{method} {row:?}: {gated:?}");
        assert_eq!(gated.all("x-request-id").len(), 1, "{method} {row:?}");
    }
}

#[test]
fn what_says_back_the_headers_shows_what_a_gateway_changes_and_no_more() {
    let httpbin = Httpbin::start();
    let host = httpbin.address().to_string();
    let stage = Stage::before(&httpbin.url());
    for (row, method) in rows(Answers::Echo) {
        let direct = ask(httpbin.address(), &host, row, method, &[]);
        let gated = stage.ask(row, method);
        let longer = ["content-length"];
        assert_eq!(
            owed(&gated, &longer),
            owed(&direct, &longer),
            "{method} {row:?}"
        );
        let id = gated.header("x-request-id").unwrap();
        let mut expected = documents(&direct);
        for document in &mut expected {
            let headers = document["headers"].as_object_mut().unwrap();
            headers.extend(stage.added(row, id));
        }
        let mut answered = documents(&gated);
        for document in &mut answered {
            // Made at random for each process.
            let via = document["headers"].as_object_mut().unwrap().remove("Via");
            let via = via.unwrap().to_string();
            assert!(via.starts_with("\"1.1 portcullis-"), "{via}");
        }
        assert_eq!(answered, expected, "{method} {row:?}");
        assert_eq!(expected.is_empty(), method == "HEAD", "{method} {row:?}");
    }
}

/// The JSON documents of an answer, one after the other, without its content coding.
fn documents(answer: &Message) -> Vec<Value> {
    let body = match answer.header("content-encoding") {
        Some(coding) if !answer.body.is_empty() => {
            python("tests/httpbin/decode.py", &[coding], &answer.body)
        }
        Some(_) | None => answer.body.clone(),
    };
    let documents = serde_json::Deserializer::from_slice(&body).into_iter();
    documents.map(Result::unwrap).collect()
}

/// What a script prints, given this on its standard input.
fn python(script: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(tool("venv/bin/python"))
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed: {said}");
    output.stdout
}

/// Somebody who lacks just what is needed is told so, a stranger is asked who he is, and httpbin
/// hears of neither.
#[test]
fn without_the_permission_no_endpoint_is_reached() {
    let upstream = Upstream::start();
    let fixture = Fixture::of_folder(FOLDER, "httpbin", &upstream.url());
    let stage = Stage::of(&fixture.policy("lacking.yaml", &lacking()));
    let tokens: BTreeMap<&str, String> = permissions()
        .into_iter()
        .map(|permission| {
            let role = role_without(permission);
            let key = stage.gateway.account(&role, &[&role]);
            (permission, stage.gateway.token(&key))
        })
        .collect();

    let address = stage.gateway.address();
    let mut refused = 0;
    for row in TABLE {
        // Without the row's own Authorization, which is no credential of ours.
        let bare = Row {
            headers: &[],
            ..*row
        };
        for method in methods(row) {
            let stranger = ask(address, GATE, &bare, method, &[]);
            let (status, token) = match row.access {
                Access::Public => continue,
                Access::Needs(permission) => (403, &tokens[permission]),
                Access::Closed(_) => (404, &stage.token),
            };
            assert_eq!(stranger.status(), 401, "{method} {row:?}");
            let bearer = format!("Bearer {token}");
            let lacking = ask(address, GATE, &bare, method, &[("Authorization", &bearer)]);
            assert_eq!(lacking.status(), status, "{method} {row:?}");
            if let (403, "GET", Access::Needs(permission)) = (status, method, row.access) {
                assert_eq!(lacking.json()["missing"], serde_json::json!([permission]));
            }
            refused += 1;
        }
    }
    assert!(refused > 100, "{refused}");
    // The public ones alone have arrived, and nobody was named to them.
    let public = TABLE.iter().filter(|row| row.access == Access::Public);
    let expected: Vec<String> = public.flat_map(lines).collect();
    assert_eq!(arrived(&upstream), expected);
    for request in upstream.requests() {
        assert_eq!(request.header("x-portcullis-account"), None, "{request:?}");
    }
}

/// With the permission each arrives as it was sent, and without the credential.
#[test]
fn with_the_permission_every_endpoint_is_reached() {
    let upstream = Upstream::start();
    let stage = Stage::before(&upstream.url());
    let needing = TABLE
        .iter()
        .filter(|row| matches!(row.access, Access::Needs(_)));
    let mut expected = Vec::new();
    for row in needing {
        for method in methods(row) {
            assert_eq!(stage.ask(row, method).status(), 200, "{method} {row:?}");
        }
        expected.extend(lines(row));
    }
    assert_eq!(arrived(&upstream), expected);
    for request in upstream.requests() {
        let text = String::from_utf8_lossy(&request.raw).into_owned();
        assert!(!text.contains(&stage.token), "{text}");
        assert!(!text.contains(&stage.key.secret), "{text}");
    }
}

/// What httpbin answers besides, and the policy leaves out.
#[test]
fn methods_without_a_route_are_not_forwarded() {
    let upstream = Upstream::start();
    let stage = Stage::before(&upstream.url());
    for row in TABLE {
        for (method, status) in [("OPTIONS", 405), ("TRACE", 501)] {
            // Where no route lets it pass, an Authorization of its own is a second credential.
            let bare = Row {
                headers: &[],
                ..*row
            };
            let answer = stage.ask(&bare, method);
            let status = match row.access {
                Access::Closed(_) if method == "OPTIONS" => 404,
                Access::Closed(_) | Access::Needs(_) | Access::Public => status,
            };
            assert_eq!(answer.status(), status, "{method} {row:?}");
        }
    }
    assert_eq!(arrived(&upstream), [""; 0]);
}

/// The request lines of a row, as they have to arrive.
fn lines(row: &Row) -> Vec<String> {
    let line = |method| format!("{method} {}", row.target());
    methods(row).into_iter().map(line).collect()
}

fn arrived(upstream: &Upstream) -> Vec<String> {
    let line = |request: &Message| format!("{} {}", request.method(), request.target());
    upstream.requests().iter().map(line).collect()
}

/// The permissions the table speaks of.
fn permissions() -> BTreeSet<&'static str> {
    let needed = TABLE.iter().filter_map(|row| match row.access {
        Access::Needs(permission) => Some(permission),
        Access::Public | Access::Closed(_) => None,
    });
    needed.collect()
}

fn role_without(permission: &str) -> String {
    format!("without-{}", permission.replace(':', "-"))
}

/// A policy file with a role for each permission that holds all others.
fn lacking() -> String {
    let mut text = "roles:\n".to_owned();
    for permission in permissions() {
        let others: Vec<_> = permissions()
            .into_iter()
            .filter(|p| *p != permission)
            .collect();
        text += &format!(
            "  {}: {{ description: All but one, permissions: [{}] }}\n",
            role_without(permission),
            others.join(", ")
        );
    }
    text
}

#[test]
fn every_rule_of_httpbin_stands_in_the_table() {
    let lines: Vec<&str> = TABLE.iter().map(|row| row.line).collect();
    let uncovered = python(
        "tests/httpbin/uncovered.py",
        &[],
        lines.join("\n").as_bytes(),
    );
    let uncovered = String::from_utf8(uncovered).unwrap();
    assert!(
        uncovered.is_empty(),
        "httpbin has rules of which the table says nothing; add a row for each, and a route:\n{uncovered}"
    );
}

#[test]
fn every_route_of_the_policy_stands_in_the_table() {
    let files = folder::read(Path::new(FOLDER)).unwrap_or_else(|faults| panic!("{faults}"));
    let context = Context {
        upstreams: None,
        own_endpoints: Vec::new(),
        files_only: false,
    };
    let policy = compile(&files, &context).unwrap_or_else(|faults| panic!("{faults}"));
    let mut asked = BTreeSet::new();
    for row in TABLE {
        let method = Method::parse(row.method()).unwrap();
        let path = row.target().split('?').next().unwrap();
        match policy.find(None, method, path).ok().unwrap() {
            Lookup::Found(found) => {
                assert!(
                    !matches!(row.access, Access::Closed(_)),
                    "{row:?} has a route"
                );
                asked.insert((method, policy.route(found.primary).name.clone()));
            }
            Lookup::OtherMethods(_) | Lookup::Nothing => {
                assert!(
                    matches!(row.access, Access::Closed(_)),
                    "{row:?} has no route"
                );
            }
        }
    }
    for route in &policy.routes {
        for method in route.methods.iter() {
            assert!(
                asked.contains(&(method, route.name.clone())),
                "no row of the table asks for {method} of `{}`",
                route.name
            );
        }
    }
}

/// curl shows a key to the gateway and answers httpbin's own challenge, in one call.
#[test]
fn a_digest_challenge_of_the_upstream_is_answered_through_the_gateway() {
    let httpbin = Httpbin::start();
    let stage = Stage::before(&httpbin.url());
    let mut options = NamedTempFile::new().unwrap();
    let api_key = stage.key.api_key();
    write!(
        options,
        "header = \"X-Api-Key: {api_key}\"\ndigest\nsilent\n"
    )
    .unwrap();
    let rows = TABLE
        .iter()
        .filter(|row| row.answers == Answers::Excluded(NONCE));
    assert_eq!(rows.clone().count(), 3);
    for row in rows {
        let status = |password: &str| {
            let mut curl = Command::new("curl");
            curl.arg("--config").arg(options.path());
            curl.args([
                "--noproxy",
                "*",
                "--max-time",
                "20",
                "--output",
                "/dev/null",
            ]);
            curl.args(["--write-out", "%{http_code}", "--user", password]);
            let url = format!("http://{}{}", stage.gateway.address(), row.target());
            String::from_utf8(curl.arg(url).output().unwrap().stdout).unwrap()
        };
        assert_eq!(status("u:p"), "200", "{row:?}");
        assert_eq!(status("u:wrong"), "401", "{row:?}");
    }
}
