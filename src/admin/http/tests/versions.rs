//! `If-Match` and pages, at every endpoint that has them.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::endpoint::{Answer, Verb};
use super::super::endpoints;
use super::table::{Named, body, line, nothing};
use super::{Desk, request};

/// Where what an endpoint changes is shown.
fn shown_at(path: &str, of: &Named) -> String {
    let mut parts = path.split('/').skip(1);
    let (list, _) = (parts.next().unwrap(), parts.next());
    let name = if list == "keys" { &of.key } else { &of.name };
    format!("GET /{list}/{name}")
}

/// Something of each kind, all of the same name, and an administrator.
fn things() -> (Desk, String, Named) {
    let desk = Desk::new();
    let root = desk.administrator();
    for made in [
        json!({ "operation": "accounts_create", "name": "ci", "grants": [{ "role": "reader" }] }),
        json!({ "operation": "groups_create", "name": "ci", "grants": [{ "role": "reader" }] }),
        json!({ "operation": "roles_create", "name": "ci", "permissions": ["devices:view"] }),
        json!({ "operation": "groups_add", "group": "ci", "account": "ci" }),
    ] {
        desk.world.done(made);
    }
    let key = desk.key_of("ci").split('.').next().unwrap().to_owned();
    let name = "ci".to_owned();
    let of = Named {
        name,
        key,
        ..nothing()
    };
    (desk, root, of)
}

#[test]
fn whatever_is_changed_by_an_old_version_stays_as_it_is_and_is_shown() {
    let mut rows = 0;
    for endpoint in endpoints::all().filter(|endpoint| endpoint.has_versions()) {
        let (desk, root, of) = things();
        let shown_at = shown_at(endpoint.path, &of);
        let (_, headers, before) = desk.ask(&shown_at, &root, None);
        let seen = headers["etag"].to_str().unwrap();
        let (line, body) = (line(endpoint, &of), body(endpoint, &of));
        let ask = |tags: &[&str]| {
            let mut headers = vec![("x-api-key", root.as_str())];
            headers.extend(tags.iter().map(|tag| ("if-match", *tag)));
            desk.send(request(&line, &headers, body.as_ref()))
        };
        let (status, _, stale) = ask(&["\"0000000000000000\""]);
        assert_eq!(status, 412, "{}: {stale}", endpoint.id);
        assert_eq!(stale["newer"], before, "{}", endpoint.id);
        assert_eq!(
            desk.ask(&shown_at, &root, None).2,
            before,
            "{}",
            endpoint.id
        );
        // One of several is enough, on a line of its own too.
        let (status, _, done) = ask(&["\"0000000000000000\", \"1\"", seen]);
        assert!(status.is_success(), "{}: {status} {done}", endpoint.id);
        rows += 1;
    }
    assert!(rows >= 18, "{rows}");
}

#[test]
fn the_document_tells_of_a_version_where_one_is_looked_at() {
    let document = super::super::document::text();
    let document: Value = serde_json::from_str(document).unwrap();
    for endpoint in endpoints::all() {
        let verb = endpoint.verb.http().as_str().to_ascii_lowercase();
        let told = &document["paths"][format!("/api/v1{}", endpoint.path)][verb.as_str()];
        let told = told["parameters"].as_array().into_iter().flatten();
        let mut names = told.map(|parameter| &parameter["name"]);
        assert_eq!(
            names.any(|name| name == "If-Match"),
            endpoint.has_versions(),
            "{}",
            endpoint.id
        );
    }
}

/// Whatever is listed by pages is the whole list, each entry once, however small the pages are.
#[test]
fn pages_are_the_whole_list_whatever_is_listed() {
    let desk = Desk::new();
    let root = desk.administrator();
    for number in 0..5 {
        let name = format!("n{number}");
        desk.account(&name, &json!([]));
        for made in [
            json!({ "operation": "groups_create", "name": name }),
            json!({ "operation": "roles_create", "name": name, "permissions": ["devices:view"] }),
        ] {
            desk.world.done(made);
        }
    }
    let mut lists = 0;
    for endpoint in endpoints::all() {
        let Answer::Pages(_, by) = endpoint.answer else {
            continue;
        };
        assert_eq!(endpoint.verb, Verb::Get);
        let path = endpoint.path;
        let (_, headers, whole) = desk.ask(&format!("GET {path}"), &root, None);
        assert!(headers.get("link").is_none());
        let names = |page: &Value| -> Vec<Value> {
            let page = page.as_array().unwrap();
            page.iter().map(|row| row[by].clone()).collect()
        };
        let whole = names(&whole);
        assert!(whole.len() >= 5, "{path}: {whole:?}");
        for limit in [1, 2, whole.len() - 1, whole.len()] {
            let (mut found, mut next) = (Vec::new(), Some(format!("{path}?limit={limit}")));
            while let Some(line) = next.take() {
                let (status, headers, page) = desk.ask(&format!("GET {line}"), &root, None);
                assert_eq!(status, StatusCode::OK, "{line}");
                found.extend(names(&page));
                assert!(found.len() <= whole.len(), "{path} by {limit}: {found:?}");
                next = headers.get("link").map(|link| {
                    let link = link.to_str().unwrap();
                    let path = link.split(['<', '>']).nth(1).unwrap();
                    path.strip_prefix("/api/v1").unwrap().to_owned()
                });
            }
            assert_eq!(found, whole, "{path} by {limit}");
        }
        lists += 1;
    }
    assert!(lists >= 4, "{lists}");
}

/// G15: of two who saw the same and change it at once, one has done it and the other is told.
#[test]
fn of_two_writers_at_once_one_is_first_and_the_other_is_told() {
    let (desk, root, _) = things();
    for _ in 0..20 {
        let (_, headers, _) = desk.ask("GET /accounts/ci", &root, None);
        let seen = headers["etag"].to_str().unwrap();
        let write = |who: &str| {
            let text = json!({ "description": format!("{who} after {seen}") });
            let headers = [("x-api-key", root.as_str()), ("if-match", seen)];
            let line = "PATCH /accounts/ci";
            let router = std::sync::Arc::clone(&desk.api).router();
            super::send_to(router, request(line, &headers, Some(&text)))
                .0
                .as_u16()
        };
        let mut done = std::thread::scope(|scope| {
            let others = scope.spawn(|| write("one"));
            [write("two"), others.join().unwrap()]
        });
        done.sort_unstable();
        assert_eq!(done, [200, 412]);
    }
}
