//! `If-Match`: who has seen something old changes nothing, wherever a version can be said.

use std::time::Duration;

use http::HeaderValue;

use serde_json::{Value, json};

use super::super::endpoints;
use super::super::read::Asked;
use super::table::{body, nothing, values};
use super::{Desk, request};
use crate::admin::version::has_version;

fn id_of(key: &str) -> &str {
    key.split('.').next().unwrap()
}

/// Two have seen a key; what the first makes of it the second does not undo unseen.
#[test]
fn the_limits_of_a_key_are_not_overwritten_by_who_has_not_seen_them() {
    let desk = Desk::new();
    let root = desk.administrator();
    let key = desk.account("ci", &json!([{ "role": "reader" }]));
    let path = format!("/keys/{}", id_of(&key));
    let (_, headers, _) = desk.ask(&format!("GET {path}"), &root, None);
    let seen = headers["etag"].to_str().unwrap().to_owned();
    let ask = |line: &str, tag: &str, body: Value| {
        let headers = [("x-api-key", root.as_str()), ("if-match", tag)];
        desk.send(request(line, &headers, Some(&body)))
    };
    let update = format!("PATCH {path}");
    let narrow = json!({ "allow_from": ["10.0.0.0/8"] });
    let (status, headers, told) = ask(&update, &seen, narrow);
    assert_eq!(status, 200, "{told}");
    let now = headers["etag"].to_str().unwrap().to_owned();
    for (line, body) in [
        (update, json!({ "allow_from": [] })),
        (
            format!("POST {path}/rotate"),
            json!({ "overlap_seconds": 60 }),
        ),
        (format!("POST {path}/expire"), json!({})),
    ] {
        let (status, _, told) = ask(&line, &seen, body);
        assert_eq!(status, 412, "{line}: {told}");
        assert_eq!(told["newer"]["allow_from"], json!(["10.0.0.0/8"]));
        assert_eq!(told["newer"].get("secret"), None);
    }
    // Being used, and growing old, is no change.
    desk.world.clock.advance(Duration::from_secs(3600));
    assert_eq!(ask(&format!("POST {path}/expire"), &now, json!({})).0, 200);
}

#[test]
fn a_version_that_cannot_be_read_or_be_of_anything_is_refused_and_nothing_is_done() {
    let desk = Desk::new();
    let root = desk.administrator();
    let ask = |line: &str, tag: &[u8], body: &Value| {
        let headers = [("x-api-key", root.as_str())];
        let mut request = request(line, &headers, Some(body));
        let tag = HeaderValue::from_bytes(tag).unwrap();
        request.headers_mut().append("if-match", tag);
        let (status, _, told) = desk.send(request);
        (status.as_u16(), told)
    };
    let new = json!({ "name": "ci" });
    let (status, told) = ask("POST /accounts", b"\"0\"", &new);
    assert_eq!((status, &told["field"]), (400, &json!("If-Match")));
    assert_eq!(desk.ask("GET /accounts/ci", &root, None).0, 404);
    assert_eq!(ask("POST /accounts", b"*", &new).0, 201);
    let change = json!({ "description": "Other" });
    for tag in [&b"\xff"[..], b"", b"0", b"\"0", b"*, \"0\""] {
        let (status, told) = ask("PATCH /accounts/ci", tag, &change);
        assert_eq!(
            (status, &told["field"]),
            (400, &json!("If-Match")),
            "{tag:?}"
        );
    }
    assert_eq!(ask("PATCH /accounts/ci", b"W/\"0\"", &change).0, 412);
    let (_, _, shown) = desk.ask("GET /accounts/ci", &root, None);
    assert_eq!(shown["description"], "");
}

/// The table says of each endpoint whether it changes one thing; what it reads says so, too, and so does
/// the document.
#[test]
fn an_endpoint_takes_a_version_if_and_only_if_there_is_a_thing_to_have_it() {
    let document = super::super::document::document();
    for endpoint in endpoints::all() {
        let text = body(endpoint, &nothing()).map(|body| body.to_string().into());
        let known = |name: &str| endpoint.knows(name);
        let asked = Asked::new(
            values(endpoint, &nothing()),
            None,
            known,
            text.unwrap_or_default(),
        );
        let operation = (endpoint.reads)(&asked.unwrap()).unwrap();
        assert_eq!(
            endpoint.has_versions(),
            has_version(&operation),
            "{}",
            endpoint.id
        );
        let path = format!("/api/v1{}", endpoint.path);
        let verb = endpoint.verb.http().as_str().to_ascii_lowercase();
        let told = &document["paths"][&path][&verb];
        let parameters = told["parameters"].as_array();
        let is_told = parameters.is_some_and(|all| all.iter().any(|it| it["name"] == "If-Match"));
        let is_stale = told["responses"].get("412").is_some();
        assert_eq!(
            (is_told, is_stale),
            (endpoint.has_versions(), endpoint.has_versions()),
            "{}",
            endpoint.id
        );
    }
}
