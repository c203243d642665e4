//! A refusal leaves a line, a count and, where somebody may want to know of it in a year, a record; and
//! nobody can push the trail out by asking for refusals.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use serde_json::{Value, json};

use super::{Desk, Told, request};
use crate::admin::{Actor, Operation};

/// A request from `source`, as a trusted proxy says.
fn from(desk: &Desk, source: &str, line: &str, more: &[(&str, &str)]) -> Told {
    let headers = [&[("x-forwarded-for", source)], more].concat();
    desk.send(request(line, &headers, None))
}

/// A key of the same id with a secret that is another's.
fn wrong(key: &str, other: &str) -> String {
    let (id, _) = key.split_once('.').unwrap();
    let (_, secret) = other.split_once('.').unwrap();
    format!("{id}.{secret}")
}

/// A request and its credentials; the status, the reason, the endpoint and the account of its record.
type Case<'a> = (
    &'a str,
    Vec<(&'a str, &'a str)>,
    u16,
    &'a str,
    &'a str,
    Value,
);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_request_has_one_line_and_one_count_whatever_comes_of_it() {
    let mut desk = Desk::set("trusted_proxies: [0.0.0.0]");
    let root = desk.administrator();
    let reader = desk.account("reader", &json!([{ "role": "reader" }]));
    let bad = wrong(&root, &reader);
    let cases: Vec<Case<'_>> = vec![
        (
            "GET /accounts",
            vec![("x-api-key", &root)],
            200,
            "",
            "listAccounts",
            json!("root"),
        ),
        (
            "GET /accounts",
            vec![],
            401,
            "credential_missing",
            "listAccounts",
            Value::Null,
        ),
        (
            "GET /accounts",
            vec![("x-api-key", "x")],
            401,
            "credential_malformed",
            "listAccounts",
            Value::Null,
        ),
        (
            "GET /accounts",
            vec![("x-api-key", &bad)],
            401,
            "key_unknown",
            "listAccounts",
            Value::Null,
        ),
        (
            "GET /accounts",
            vec![("x-api-key", &reader)],
            403,
            "permission_missing",
            "listAccounts",
            json!("reader"),
        ),
        (
            "GET /accounts/x",
            vec![("x-api-key", &root)],
            404,
            "not_found",
            "showAccount",
            json!("root"),
        ),
        (
            "GET /accounts?a=b",
            vec![("x-api-key", &root)],
            400,
            "bad_request",
            "listAccounts",
            json!("root"),
        ),
        (
            "PUT /accounts",
            vec![("x-api-key", &root)],
            405,
            "method_not_allowed",
            "",
            Value::Null,
        ),
        (
            "GET /nothing",
            vec![("x-api-key", &root)],
            404,
            "not_found",
            "",
            Value::Null,
        ),
        (
            "GET /openapi.json",
            vec![],
            200,
            "",
            "document",
            Value::Null,
        ),
        (
            "POST /oauth/token",
            vec![],
            400,
            "request_malformed",
            "token",
            Value::Null,
        ),
    ];
    let mut expected = Vec::new();
    for (line, headers, status, reason, endpoint, account) in cases {
        let (answer, told, body) = from(&desk, "192.0.2.7", line, &headers);
        assert_eq!(answer.as_u16(), status, "{line}: {body}");
        let id = told["x-request-id"].to_str().unwrap().to_owned();
        expected.push((id, status, reason, endpoint, account, line));
    }
    let counted = desk.metrics.render();
    let lines = desk.lines();
    assert_eq!(lines.len(), expected.len());
    for (entry, (id, status, reason, endpoint, account, line)) in lines.iter().zip(expected) {
        assert_eq!(entry["portcullis.request_id"], id, "{line}");
        assert_eq!(
            entry["http.response.status_code"], status,
            "{line}: {entry}"
        );
        assert_eq!(entry["client.address"], "192.0.2.7", "{line}: {entry}");
        assert_eq!(entry["portcullis.account.name"], account, "{line}: {entry}");
        let told = entry["portcullis.reason"].as_str().unwrap_or_default();
        assert_eq!(told, reason, "{line}: {entry}");
        let series = format!(
            "portcullis_admin_requests_total{{code=\"{status}\",endpoint=\"{endpoint}\",reason=\"{reason}\"}} 1"
        );
        assert!(counted.contains(&series), "{series}");
    }
}

#[test]
fn a_known_caller_without_the_right_and_a_wrong_secret_of_a_known_key_are_recorded() {
    let desk = Desk::set("trusted_proxies: [0.0.0.0]");
    let root = desk.administrator();
    let reader = desk.account("reader", &json!([{ "role": "reader" }]));
    let (id, _) = root.split_once('.').unwrap();
    let bad = wrong(&root, &reader);
    let ask = |key: &str| from(&desk, "192.0.2.7", "GET /denials", &[("x-api-key", key)]).0;
    assert_eq!(ask(&reader), 403);
    assert_eq!(ask(&bad), 401);
    // Whoever shows nothing, or junk, is nobody's business.
    assert_eq!(ask(""), 401);
    assert_eq!(ask("x"), 401);
    let told = desk.trail(&["api.call", "key.guess"]);
    assert_eq!(told.len(), 2, "{told:?}");
    for (record, expected) in told.iter().zip([
        json!({
            "event.name": "audit.api.call", "event.outcome": "failure",
            "error.type": "permission_missing", "portcullis.actor.kind": "api",
            "portcullis.actor.account.name": "reader", "portcullis.object.name": "listDenials",
            "client.address": "192.0.2.7",
        }),
        json!({
            "event.name": "audit.key.guess", "event.outcome": "failure",
            "error.type": "key_unknown", "portcullis.actor.kind": "stranger",
            "portcullis.object.id": id, "portcullis.account.name": "root",
            "client.address": "192.0.2.7",
        }),
    ]) {
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&record[field], value, "{field}: {record}");
        }
        assert!(record["portcullis.request_id"].is_string());
    }
}

#[test]
fn a_thousand_looks_or_refusals_take_a_few_records_and_say_how_many_they_were() {
    let desk = Desk::set("trusted_proxies: [0.0.0.0], rate: 1000000/s");
    let root = desk.administrator();
    let reader = desk.account("reader", &json!([{ "role": "reader" }]));
    let bad = wrong(&root, &reader);
    let refused = json!({ "name": "root" });
    for number in 0..200 {
        // A look, a refused change, a refusal at the door, a change that changes nothing, a guess.
        let source = format!("192.0.2.{number}");
        assert_eq!(desk.ask("GET /keys", &root, None).0, 200);
        assert_eq!(desk.ask("POST /accounts", &root, Some(&refused)).0, 409);
        assert_eq!(desk.ask("GET /keys", &reader, None).0, 403);
        assert_eq!(
            from(&desk, &source, "GET /keys", &[("x-api-key", &bad)]).0,
            401
        );
    }
    let events = ["key.list", "account.create", "api.call", "key.guess"];
    let count = |record: &Value| record["portcullis.repeated"].as_u64().unwrap_or(1);
    let of = |records: &[Value], event: &str| {
        let named = records
            .iter()
            .filter(|it| it["event.name"] == format!("audit.{event}"));
        named.map(count).sum::<u64>()
    };
    let made = 2;
    let before = desk.trail(&events).len();
    // Twenty of each account, and of each of sixteen strangers two.
    assert!(before < 100, "{before}");
    desk.world.clock.advance(Duration::from_secs(599));
    assert_eq!(desk.world.service.tell_repeats().unwrap(), 0);
    desk.world.clock.advance(Duration::from_secs(1));
    assert!(desk.world.service.tell_repeats().unwrap() > 0);
    assert_eq!(desk.world.service.tell_repeats().unwrap(), 0);
    let records = desk.trail(&events);
    assert!(records.len() < before + 10, "{}", records.len());
    assert_eq!(of(&records, "key.list"), 200);
    assert_eq!(of(&records, "account.create"), 200 + made);
    assert_eq!(of(&records, "api.call"), 200);
    assert_eq!(of(&records, "key.guess"), 200);
    // The next window begins anew.
    assert_eq!(desk.ask("GET /keys", &root, None).0, 200);
    assert_eq!(desk.trail(&events).len(), records.len() + 1);
}

#[test]
fn an_account_asks_as_often_as_it_may_and_others_beside_it() {
    let desk = Desk::set("rate: 3/m");
    let root = desk.administrator();
    let reader = desk.account("reader", &json!([{ "role": "reader" }]));
    let ask = |key: &str| desk.ask("GET /accounts", key, None);
    for _ in 0..3 {
        assert_eq!(ask(&root).0, 200);
        assert_eq!(ask(&reader).0, 403, "what may not be done counts, too");
    }
    for key in [&root, &reader] {
        let (status, headers, told) = ask(key);
        assert_eq!(status, 429, "{told}");
        assert_eq!(told["reason"], "rate_limited");
        assert_eq!(headers["retry-after"], "20");
    }
    desk.world.clock.advance(Duration::from_secs(20));
    assert_eq!(ask(&root).0, 200);
}

#[test]
fn a_route_beside_the_table_answers_nobody() {
    let desk = Desk::new();
    let api = std::sync::Arc::clone(&desk.api);
    let beside = axum::Router::new().route("/api/v1/beside", axum::routing::get(async || "told"));
    let router = super::super::serve::guarded(beside, &api);
    let (status, _, told) = super::send_to(router, request("GET /beside", &[], None));
    assert_eq!(status, 500, "{told}");
    assert!(!told.to_string().contains("\"told\""));
}

#[test]
fn a_throttled_source_hears_so_before_it_hears_anything_else() {
    let desk = Desk::set("trusted_proxies: [0.0.0.0]");
    let root = desk.administrator();
    let ask = |source: &str, line: &str, more: &[(&str, &str)]| from(&desk, source, line, more).0;
    let limit = crate::settings::ListenerLimits::default().failures_per_source;
    for _ in 0..limit {
        assert_eq!(
            ask("192.0.2.1", "GET /accounts", &[("x-api-key", "x")]),
            401
        );
    }
    let foreign = |source: &str| {
        let headers = [("x-forwarded-for", source), ("x-api-key", "x")];
        let mut request = request("GET /accounts", &headers, None);
        let host = request.headers_mut();
        host.insert("host", "evil.example".parse().unwrap());
        desk.send(request).0
    };
    for (source, lines) in [("192.0.2.1", [429; 4]), ("192.0.2.2", [401, 200, 404, 405])] {
        let asked = [
            ask(source, "GET /accounts", &[]),
            ask(source, "GET /openapi.json", &[]),
            ask(source, "GET /nothing", &[]),
            ask(source, "PUT /accounts", &[]),
        ];
        assert_eq!(asked.map(|status| status.as_u16()), lines, "{source}");
    }
    assert_eq!((foreign("192.0.2.1"), foreign("192.0.2.2")).0, 429);
    assert_eq!(foreign("192.0.2.2"), 421);
    // Who is not in use is not known there, and is let in from elsewhere; then he is.
    assert_eq!(
        ask("192.0.2.1", "GET /accounts", &[("x-api-key", &root)]),
        429
    );
    assert_eq!(
        ask("192.0.2.2", "GET /accounts", &[("x-api-key", &root)]),
        200
    );
    assert_eq!(
        ask("192.0.2.1", "GET /accounts", &[("x-api-key", &root)]),
        200
    );
}

#[test]
fn wrong_secrets_at_the_token_endpoint_count_against_their_source_too() {
    let desk = Desk::set("trusted_proxies: [0.0.0.0]");
    let root = desk.administrator();
    let shown = wrong(&root, &desk.key_of("root"));
    let (id, secret) = shown.split_once('.').unwrap();
    let ask = |source: &str, line: &str| {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let headers = [
            ("x-forwarded-for", source),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let mut request = request(line, &headers, None);
        *request.body_mut() = axum::body::Body::from(form);
        desk.send(request).0.as_u16()
    };
    let limit = crate::settings::ListenerLimits::default().failures_per_source;
    for _ in 0..limit {
        assert_eq!(ask("192.0.2.1", "POST /oauth/token"), 401);
    }
    assert_eq!(ask("192.0.2.1", "POST /oauth/token"), 429);
    assert_eq!(ask("192.0.2.1", "GET /nothing"), 429);
    assert_eq!(ask("192.0.2.2", "POST /oauth/token"), 401);
}

/// A body that does something before it comes.
struct Slow<F>(F);

impl<F: FnMut() -> Option<String> + Unpin> http_body::Body for Slow<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready((self.0)().map(|piece| Ok(Frame::data(piece.into()))))
    }
}

/// What is taken back while a body is on its way is taken back when it has come.
#[test]
fn a_credential_is_judged_again_when_a_slow_body_has_come() {
    let elsewhere = json!(["198.51.100.0/24"]);
    let taken = |key: &str| {
        [
            ("the key", json!({ "operation": "keys_expire", "key": key })),
            (
                "the account",
                json!({ "operation": "accounts_disable", "name": "root" }),
            ),
            (
                "what the key may do",
                json!({ "operation": "keys_update", "key": key, "only": ["portcullis.accounts:view"] }),
            ),
            (
                "where the key is good",
                json!({ "operation": "keys_update", "key": key, "allow_from": elsewhere }),
            ),
            (
                "where the account is good",
                json!({ "operation": "accounts_update", "name": "root", "allow_from": elsewhere }),
            ),
        ]
    };
    for number in 0..taken("").len() {
        let desk = Desk::set("trusted_proxies: [0.0.0.0]");
        let root = desk.administrator();
        let [(what, take)] = &taken(root.split_once('.').unwrap().0)[number..=number] else {
            unreachable!("one of them");
        };
        let take: Operation = serde_json::from_value(take.clone()).unwrap();
        let (service, name) = (desk.world.service.clone(), format!("new{number}"));
        let mut whole = Some((take, json!({ "name": name }).to_string()));
        // It comes when what it rests on has gone: the body is asked for after the credential.
        let slow = Slow(move || {
            let (take, piece) = whole.take()?;
            service.execute(take, &Actor::local()).unwrap();
            Some(piece)
        });
        let headers = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-api-key", root.as_str()),
        ];
        let mut request = request("POST /accounts", &headers, Some(&json!({})));
        *request.body_mut() = axum::body::Body::new(slow);
        let (status, _, told) = desk.send(request);
        assert!(
            matches!(status.as_u16(), 401 | 403),
            "{what}: {status} {told}"
        );
        let made = desk
            .world
            .ask(json!({ "operation": "accounts_show", "name": name }));
        assert!(made.is_err(), "{what}");
    }
}
