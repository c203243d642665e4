//! What is made over the admin API, listed, changed and removed.

use http::StatusCode;
use serde_json::json;

use super::{Desk, request};

#[test]
fn an_account_is_made_changed_by_its_version_and_removed() {
    let desk = Desk::new();
    let root = desk.administrator();
    let new = json!({ "name": "ci", "grants": [{ "role": "operator", "within": { "tenant": ["acme"] } }] });
    let (status, headers, made) = desk.ask("POST /accounts", &root, Some(&new));
    assert_eq!(status, 201, "{made}");
    assert_eq!(headers["location"], "/api/v1/accounts/ci");
    let (status, headers, shown) = desk.ask("GET /accounts/ci", &root, None);
    assert_eq!((status, &shown), (StatusCode::OK, &made));
    let seen = headers["etag"].to_str().unwrap().to_owned();
    let change = json!({ "description": "Builds" });
    let update = |tag: &str| {
        let headers = [("x-api-key", root.as_str()), ("if-match", tag)];
        desk.send(request("PATCH /accounts/ci", &headers, Some(&change)))
    };
    let (status, _, changed) = update(&seen);
    assert_eq!(
        (status.as_u16(), &changed["description"]),
        (200, &json!("Builds"))
    );
    let (status, _, stale) = update(&seen);
    assert_eq!(status, 412, "{stale}");
    assert_eq!(stale["newer"], desk.ask("GET /accounts/ci", &root, None).2);
    assert_eq!(update("*").0, 200);
    let (status, _, twice) = desk.ask("POST /accounts", &root, Some(&new));
    assert_eq!(status, 409, "{twice}");
    assert_eq!(desk.ask("DELETE /accounts/ci", &root, None).0, 200);
    assert_eq!(desk.ask("GET /accounts/ci", &root, None).0, 404);
}

#[test]
fn lists_come_in_pages() {
    let desk = Desk::new();
    let root = desk.administrator();
    for number in 0..7 {
        desk.account(&format!("a{number}"), &json!([]));
    }
    let mut names = Vec::new();
    let mut next = "/accounts?limit=3".to_owned();
    for _ in 0..10 {
        let (status, headers, page) = desk.ask(&format!("GET {next}"), &root, None);
        assert_eq!(status, 200);
        let page = page.as_array().unwrap();
        assert!(page.len() <= 3);
        names.extend(
            page.iter()
                .map(|row| row["name"].as_str().unwrap().to_owned()),
        );
        let Some(link) = headers.get("link") else {
            break;
        };
        let link = link.to_str().unwrap();
        let path = link.split(['<', '>']).nth(1).unwrap();
        next = path.strip_prefix("/api/v1").unwrap().to_owned();
    }
    assert_eq!(
        names,
        ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "nightly", "root"]
    );
    for bad in [
        "limit=0",
        "limit=-1",
        "limit=x",
        "cursor=!",
        "order=name",
        "limit=1&limit=2",
    ] {
        let (status, _, told) = desk.ask(&format!("GET /accounts?{bad}"), &root, None);
        assert_eq!(status, 400, "{bad}");
        assert!(told["field"].is_string(), "{bad}: {told}");
    }
    assert_eq!(
        desk.ask("GET /accounts?limit=1000000000", &root, None).0,
        200
    );
}

#[test]
fn who_made_a_thing_is_told_for_as_long_as_it_lives_and_nobody_changes_it() {
    let desk = Desk::new();
    let root = desk.administrator();
    let second = desk.account("second", &json!([{ "role": "portcullis-admin" }]));
    let text = json!({ "description": "Other" });
    let grant = json!({ "role": "reader" });
    for (list, thing, change) in [
        ("/accounts", "/accounts/ci", ("PATCH /accounts/ci", &text)),
        ("/roles", "/roles/ci", ("PATCH /roles/ci", &text)),
        ("/groups", "/groups/ci", ("POST /groups/ci/grant", &grant)),
    ] {
        let make = format!("POST {list}");
        let forged = json!({ "name": "ci", "created_by": "account second" });
        let (status, _, told) = desk.ask(&make, &root, Some(&forged));
        assert_eq!(
            (status.as_u16(), &told["field"]),
            (400, &json!("created_by"))
        );
        let (status, _, made) = desk.ask(&make, &root, Some(&json!({ "name": "ci" })));
        assert_eq!(status, 201, "{made}");
        assert_eq!(made["created_by"], "account root");
        let (line, body) = change;
        let (status, _, told) = desk.ask(line, &second, Some(&forged));
        assert_eq!(status, 400, "{told}");
        let (status, _, changed) = desk.ask(line, &second, Some(body));
        assert_eq!(status, 200, "{changed}");
        assert_eq!(changed["created_by"], "account root", "{line}");
        let shown = desk.ask(&format!("GET {thing}"), &second, None).2;
        for (field, value) in shown.as_object().unwrap() {
            assert_eq!(changed[field], *value, "{line}: {field}");
        }
        let listed = desk.ask(&format!("GET {list}"), &second, None).2;
        let mut listed = listed.as_array().unwrap().iter();
        assert!(listed.any(|row| *row == shown), "{list}");
        // Whoever makes it again makes another.
        assert_eq!(desk.ask(&format!("DELETE {thing}"), &root, None).0, 200);
        let (_, _, again) = desk.ask(&make, &second, Some(&json!({ "name": "ci" })));
        assert_eq!(again["created_by"], "account second");
    }
    let nightly = desk.ask("GET /accounts/nightly", &root, None).2;
    assert_eq!(nightly["created_by"], json!(null), "a file made it");
}

#[test]
fn what_files_make_is_made_by_whoever_applied_them_first() {
    let desk = Desk::new();
    let root = desk.administrator();
    let here = crate::admin::Actor::local().to_string();
    let all = |text: &str| {
        let place = "team.yaml:1:1";
        let manifest = json!({
            "roles": [{ "place": place, "name": "r", "description": text, "permissions": [],
                "include": [], "api_access": true }],
            "groups": [{ "place": place, "name": "g", "description": text, "members": [],
                "grants": [] }],
            "accounts": [{ "place": place, "name": "a", "description": text, "allow_from": [],
                "grants": [] }],
        });
        json!({ "set": "team", "manifest": manifest })
    };
    let mut first = all("First");
    first["operation"] = json!("accounts_apply");
    desk.world.done(first);
    let again = all("Second");
    let (status, _, told) = desk.ask("POST /apply", &root, Some(&again));
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["changes"].as_array().map(Vec::len), Some(3), "{told}");
    for line in ["GET /roles/r", "GET /groups/g", "GET /accounts/a"] {
        let (_, _, shown) = desk.ask(line, &root, None);
        assert_eq!(shown["description"], "Second", "{line}");
        assert_eq!(shown["created_by"], here, "{line}");
    }
}

/// G14.
#[test]
fn g14_a_page_is_no_longer_than_a_page_may_be() {
    let desk = Desk::new();
    let root = desk.administrator();
    let account = |number: usize| {
        json!({ "place": "a.yaml:1:1", "name": format!("a{number:04}"), "description": "",
            "allow_from": [], "grants": [] })
    };
    let accounts: Vec<_> = (0..1100).map(account).collect();
    let manifest = json!({ "accounts": accounts });
    desk.world
        .done(json!({ "operation": "accounts_apply", "set": "team", "manifest": manifest }));
    let ask = |query: &str| desk.ask(&format!("GET /accounts?{query}"), &root, None);
    for query in ["limit=1000000000", "limit=99999999999999999999999999"] {
        let (status, headers, page) = ask(query);
        assert_eq!(status, 200, "{query}");
        assert_eq!(page.as_array().map(Vec::len), Some(1000), "{query}");
        assert!(
            headers.contains_key("link"),
            "{query}: the rest is there too"
        );
    }
    // What looks like a pattern is text, and a long one is refused by name.
    let (_, _, found) = desk.ask("GET /denials?route=(a%2B)%2B%24", &root, None);
    assert_eq!(found, json!([]));
    for name in ["cursor", "limit"] {
        let (status, _, told) = ask(&format!("{name}={}", "a".repeat(60_000)));
        assert_eq!(
            (status.as_u16(), &told["field"]),
            (400, &json!(name)),
            "{told}"
        );
    }
}

/// G15.
#[test]
fn g15_of_writers_who_saw_the_same_version_one_changes_it() {
    const WRITERS: usize = 8;
    let desk = Desk::new();
    let root = desk.administrator();
    desk.account("ci", &json!([]));
    for turn in 0..5 {
        let (_, seen, _) = desk.ask("GET /accounts/ci", &root, None);
        let seen = seen["etag"].to_str().unwrap();
        let write = |number: usize| {
            let change = json!({ "description": format!("{turn}.{number}") });
            let headers = [("x-api-key", root.as_str()), ("if-match", seen)];
            let (status, _, told) =
                desk.send(request("PATCH /accounts/ci", &headers, Some(&change)));
            (status.as_u16(), told)
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|number| scope.spawn(move || write(number)))
                .collect();
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .collect()
        });
        let done: Vec<_> = answers
            .iter()
            .filter(|(status, _)| *status == 200)
            .collect();
        let stale = answers.iter().filter(|(status, _)| *status == 412).count();
        assert_eq!((done.len(), stale), (1, WRITERS - 1), "{answers:?}");
        let now = desk.ask("GET /accounts/ci", &root, None).2;
        assert_eq!(now["description"], done[0].1["description"]);
    }
}
