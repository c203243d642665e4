//! The admin API from outside: the real binary, asked over HTTP by those who manage it from elsewhere.

mod described;
mod floods;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Client, Fixture, Gateway, Key, Message, Upstream, request};

const READ: &str = "GET /v1/items/7";
const PROBLEM: &str = "application/problem+json";

/// A gateway with an admin API, and an administrator's key for it.
struct Admin {
    gateway: Gateway,
    root: Key,
    _upstream: Upstream,
}

impl Admin {
    fn start() -> Self {
        Self::with(|fixture| fixture)
    }

    /// With more settings.
    fn with(more: impl FnOnce(Fixture) -> Fixture) -> Self {
        let upstream = Upstream::start();
        let fixture = Fixture::new(&upstream).admin(", hosts: [gate.test]");
        let gateway = more(fixture).start();
        let root = gateway.account("root", &["portcullis-admin"]);
        Self {
            gateway,
            root,
            _upstream: upstream,
        }
    }

    fn client(&self) -> Client {
        Client::connect(self.gateway.address_of("admin"))
    }

    /// Asks as `key`, with more headers; the path is below `/api/v1`.
    fn send(&self, line: &str, key: &Key, more: &[(&str, &str)], body: Option<&Value>) -> Message {
        self.client().send(bytes(line, key, more, body)).response()
    }

    /// Asks as an administrator.
    fn ask(&self, line: &str, body: Option<&Value>) -> Message {
        self.send(line, &self.root, &[], body)
    }

    /// Asks as an administrator, who must be answered with this status.
    fn done(&self, line: &str, body: Option<&Value>, status: u16) -> Value {
        let answer = self.ask(line, body);
        assert_eq!(answer.status(), status, "{line}: {answer:?}");
        answer.json()
    }

    /// What the API behind answers to a token.
    fn behind(&self, token: &str) -> u16 {
        self.gateway.ask(READ, Some(token)).status()
    }
}

fn bytes(line: &str, key: &Key, more: &[(&str, &str)], body: Option<&Value>) -> Vec<u8> {
    let (method, path) = line.split_once(' ').unwrap();
    let key = key.api_key();
    let mut headers = vec![("X-Api-Key", key.as_str())];
    headers.extend(more);
    if body.is_some() && !more.iter().any(|(name, _)| *name == "Content-Type") {
        headers.push(("Content-Type", "application/json"));
    }
    let body = body.map(ToString::to_string).unwrap_or_default();
    request(
        &format!("{method} /api/v1{path}"),
        &headers,
        body.as_bytes(),
    )
}

fn key_of(made: &Value) -> Key {
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Key {
        id: text("id"),
        secret: text("secret"),
    }
}

#[test]
fn an_integration_lives_and_ends_over_the_admin_api() {
    let admin = Admin::start();
    let new = json!({ "name": "ci", "description": "Builds", "grants": [{ "role": "reader" }] });
    let made = admin.ask("POST /accounts", Some(&new));
    assert_eq!(made.status(), 201);
    assert_eq!(made.header("location"), Some("/api/v1/accounts/ci"));
    let first = key_of(&admin.done("POST /accounts/ci/keys", Some(&json!({})), 201));
    let token = admin.gateway.token(&first);
    assert_eq!(admin.behind(&token), 200);
    // What he is, and what he may, he asks himself.
    let me = admin.send("GET /me", &first, &[], None).json();
    assert_eq!(
        (&me["account"], &me["key"]),
        (&json!("ci"), &json!(first.id))
    );
    assert_eq!(me["permissions"], json!(["items:read"]));
    assert_eq!(admin.send("GET /accounts", &first, &[], None).status(), 403);
    let grant = json!({ "role": "reader" });
    admin.done("POST /accounts/ci/ungrant", Some(&grant), 200);
    assert_eq!(admin.behind(&token), 403);
    admin.done("POST /accounts/ci/grant", Some(&grant), 200);
    assert_eq!(admin.behind(&token), 200);
    admin.done("POST /accounts/ci/disable", None, 200);
    assert_eq!(admin.behind(&token), 401);
    admin.done("POST /accounts/ci/enable", None, 200);
    let rotate = json!({ "overlap_seconds": 3600 });
    let line = format!("POST /keys/{}/rotate", first.id);
    let second = key_of(&admin.done(&line, Some(&rotate), 200));
    let other = admin.gateway.token(&second);
    assert_eq!([admin.behind(&token), admin.behind(&other)], [200, 200]);
    let line = format!("POST /keys/{}/expire", first.id);
    assert_eq!(admin.done(&line, Some(&json!({})), 200)["state"], "expired");
    assert_eq!([admin.behind(&token), admin.behind(&other)], [401, 200]);
    let tokens = admin.done("GET /tokens?account=ci", None, 200);
    let states: BTreeSet<_> = tokens["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token["state"].as_str().unwrap().to_owned())
        .collect();
    assert!(states.contains("good") && states.len() == 2, "{tokens}");
    admin.done("DELETE /accounts/ci", None, 200);
    assert_eq!(admin.behind(&other), 401);
    assert_eq!(admin.ask("GET /accounts/ci", None).status(), 404);
    let trail = admin.done("GET /audit?account=ci&event=key", None, 200);
    let events: Vec<_> = trail["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["event.name"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        ["audit.key.create", "audit.key.rotate", "audit.key.expire"]
            .iter()
            .all(|event| events.contains(&(*event).to_owned())),
        "{events:?}"
    );
}

#[test]
fn pages_show_each_account_once_whatever_changes_between_them() {
    let admin = Admin::start();
    let make = |name: &str| admin.done("POST /accounts", Some(&json!({ "name": name })), 201);
    for number in 0..25 {
        make(&format!("a{number:02}"));
    }
    let mut seen = Vec::new();
    let mut next = Some("/accounts?limit=10".to_owned());
    while let Some(path) = next.take() {
        let page = admin.ask(&format!("GET {path}"), None);
        let entries = page.json();
        let names = entries.as_array().unwrap().iter();
        seen.extend(names.map(|entry| entry["name"].as_str().unwrap().to_owned()));
        let link = page
            .header("link")
            .map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
        next = link.map(|link| link.strip_prefix("/api/v1").unwrap().to_owned());
        if seen.len() == 10 {
            // One that was shown goes, the one the next page begins after too, one that was not
            // shown; and there are new ones before and behind.
            for gone in ["a03", "a09", "a15"] {
                admin.done(&format!("DELETE /accounts/{gone}"), None, 200);
            }
            make("a000");
            make("a999");
        }
    }
    let mut expected: Vec<_> = (0..25).map(|number| format!("a{number:02}")).collect();
    expected.retain(|name| name != "a15");
    expected.extend(["a999".to_owned(), "root".to_owned()]);
    assert_eq!(seen, expected);
    for (path, field) in [
        ("/accounts?limit=0", "limit"),
        ("/accounts?cursor=eA", "cursor"),
        ("/accounts?order=name", "order"),
        ("/keys?ends_before=soon", "ends_before"),
        ("/audit?before=x", "before"),
    ] {
        let refused = admin.ask(&format!("GET {path}"), None);
        assert_eq!(refused.status(), 400, "{path}");
        assert_eq!(refused.json()["field"], field, "{path}");
    }
}

#[test]
fn lists_show_what_is_asked_for() {
    let admin = Admin::start();
    let ci = admin.gateway.account("ci", &["reader"]);
    let soon = json!({ "expires_at": "2999-01-01T00:00:00Z" });
    let ends = key_of(&admin.done("POST /accounts/ci/keys", Some(&soon), 201));
    let ids = |path: &str| -> Vec<String> {
        let listed = admin.done(&format!("GET {path}"), None, 200);
        let listed = listed.as_array().unwrap().iter();
        listed
            .map(|key| key["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids("/keys").len(), 3);
    assert_eq!(ids("/keys?account=ci").len(), 2);
    assert_eq!(
        ids("/keys?account=ci&ends_before=3000-01-01T00:00:00Z"),
        std::slice::from_ref(&ends.id)
    );
    assert_eq!(
        ids("/keys?account=ci&ends_before=2998-01-01T00:00:00Z"),
        [""; 0]
    );
    let shown = admin.done(&format!("GET /keys/{}", ends.id), None, 200);
    assert_eq!(shown["account"], "ci");
    assert!(
        shown["created_by"].as_str().unwrap().contains("root"),
        "{shown}"
    );
    // A refusal is found by who met it.
    let token = admin.gateway.token(&ci);
    assert_eq!(
        admin.gateway.ask("POST /v1/items", Some(&token)).status(),
        403
    );
    let denials = admin.done("GET /denials?account=ci", None, 200);
    assert_eq!(denials.as_array().map(Vec::len), Some(1), "{denials}");
    assert_eq!(
        admin.done("GET /denials?account=root", None, 200),
        json!([])
    );
    let allowed = admin.done("POST /allowed", Some(&json!({ "account": "ci" })), 200);
    assert!(
        allowed.to_string().contains("GET /v1/items/{id}"),
        "{allowed}"
    );
}

#[test]
fn whoever_changes_what_another_has_changed_is_shown_what_it_is_now() {
    let admin = Admin::start();
    for (make, thing, change) in [
        (
            "POST /accounts",
            "/accounts/x",
            json!({ "description": "One" }),
        ),
        ("POST /roles", "/roles/x", json!({ "description": "One" })),
    ] {
        let new = json!({ "name": "x" });
        admin.done(make, Some(&new), 201);
        let shown = admin.ask(&format!("GET {thing}"), None);
        let tag = shown.header("etag").unwrap().to_owned();
        let line = format!("PATCH {thing}");
        let patch = |tag: &str, change: &Value| {
            admin.send(&line, &admin.root, &[("If-Match", tag)], Some(change))
        };
        assert_eq!(patch(&tag, &change).status(), 200);
        let stale = patch(&tag, &json!({ "description": "Two" }));
        assert_eq!(
            (stale.status(), stale.header("content-type")),
            (412, Some(PROBLEM))
        );
        let now = admin.ask(&format!("GET {thing}"), None);
        assert_eq!(stale.json()["newer"], now.json());
        assert_eq!(now.json()["description"], "One");
        // With what he was shown he may try again.
        let newer = now.header("etag").unwrap();
        assert_eq!(patch(newer, &json!({ "description": "Two" })).status(), 200);
    }
    let other = admin.send(
        "POST /groups",
        &admin.root,
        &[("If-Match", "\"0\"")],
        Some(&json!({ "name": "g" })),
    );
    assert_eq!(other.status(), 400, "what is made has no version yet");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn bad_input_is_refused_by_name_and_every_refusal_is_a_problem() {
    let admin = Admin::start();
    admin.done("POST /accounts", Some(&json!({ "name": "ci" })), 201);
    let made = json!({ "name": "ci" });
    for (line, body, status, said) in [
        (
            "POST /accounts",
            json!({ "name": "x", "is_admin": true }),
            400,
            "is_admin",
        ),
        ("POST /accounts", json!({ "name": "X Y" }), 400, "name"),
        (
            "POST /accounts",
            json!({ "name": "x", "grants": [{ "role": "nothing" }] }),
            400,
            "nothing",
        ),
        ("POST /accounts", made, 409, "`ci` exists already"),
        (
            "POST /accounts/ci/keys",
            json!({ "only": ["items:raed"] }),
            400,
            "did you mean `items:read`",
        ),
        (
            "POST /accounts/nobody/keys",
            json!({}),
            404,
            "there is no account `nobody`",
        ),
        (
            "POST /keys/pck_x/expire",
            json!({}),
            404,
            "there is no such key",
        ),
        (
            "POST /accounts/ci/ungrant",
            json!({ "role": "reader" }),
            400,
            "does not hold",
        ),
        ("POST /tokens/inspect", json!({ "token": 7 }), 400, "token"),
    ] {
        let refused = admin.ask(line, Some(&body));
        let told = refused.json();
        assert_eq!(refused.status(), status, "{line} {body}: {told}");
        assert_eq!(
            refused.header("content-type"),
            Some(PROBLEM),
            "{line} {body}"
        );
        assert!(told.to_string().contains(said), "{line} {body}: {told}");
        assert_eq!(told["status"], status);
        assert_eq!(told["request_id"].as_str(), refused.header("x-request-id"));
    }
    let address = admin.gateway.address_of("admin");
    let nobody = Key {
        id: "pck_x".to_owned(),
        secret: "pcs_x".to_owned(),
    };
    let long = json!({ "name": "x", "description": "x".repeat(2 * 1024 * 1024) });
    for (bytes, status) in [
        (bytes("GET /accounts", &nobody, &[], None), 401),
        (bytes("GET /nothing", &admin.root, &[], None), 404),
        (bytes("PUT /accounts", &admin.root, &[], None), 405),
        (bytes("POST /accounts", &admin.root, &[], Some(&long)), 413),
        (
            bytes(
                "POST /accounts",
                &admin.root,
                &[("Content-Type", "text/plain")],
                Some(&json!({})),
            ),
            415,
        ),
        (
            b"GET /api/v1/me HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_vec(),
            421,
        ),
    ] {
        let refused = Client::connect(address).send(bytes).response();
        assert_eq!(refused.status(), status);
        assert_eq!(refused.header("content-type"), Some(PROBLEM), "{status}");
    }
    // Nothing of it was half done.
    assert_eq!(
        admin
            .done("GET /accounts", None, 200)
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

#[test]
fn a_token_is_good_at_one_door_only() {
    let admin = Admin::start();
    let root = &admin.root;
    admin
        .gateway
        .json(&["accounts", "grant", "root", "--role", "reader"]);
    let headers = [
        ("Authorization", root.basic()),
        (
            "Content-Type",
            "application/x-www-form-urlencoded".to_owned(),
        ),
    ];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let asked = request(
        "POST /oauth/token",
        &headers,
        b"grant_type=client_credentials",
    );
    let here = admin.client().send(asked).response().json();
    let here = here["access_token"].as_str().unwrap();
    let behind = admin.gateway.token(root);
    let at_the_admin_api = |token: &str| {
        let value = format!("Bearer {token}");
        let asked = request("GET /api/v1/accounts", &[("Authorization", &value)], b"");
        admin.client().send(asked).response().status()
    };
    assert_eq!(
        [at_the_admin_api(here), at_the_admin_api(&behind)],
        [200, 401]
    );
    assert_eq!([admin.behind(&behind), admin.behind(here)], [200, 401]);
}

#[test]
fn without_a_word_about_it_there_is_no_admin_api() {
    let upstream = Upstream::start();
    let files = Fixture::new(&upstream).write();
    let settings = std::fs::read_to_string(files.path("portcullis.yaml")).unwrap();
    files.write("portcullis.yaml", &settings.replace("admin: off\n", ""));
    let gateway = Gateway::start(files);
    let status = gateway.json(&["status"]);
    assert_eq!(status["admin"], Value::Null, "{status}");
    assert!(!gateway.printed().contains("\"listener\":\"admin\""));
    // Nor is it behind the door of the APIs.
    let root = gateway.account("root", &["portcullis-admin"]);
    let token = gateway.token(&root);
    let status = |line: &str| gateway.ask(line, Some(&token)).status();
    assert_eq!(status("GET /api/v1/accounts"), status("GET /nothing"));
    assert_eq!(status("GET /nothing"), 404);
}

#[test]
fn whoever_lost_an_answer_asks_again_and_nothing_is_done_twice() {
    let admin = Admin::start();
    admin.done("POST /accounts", Some(&json!({ "name": "ci" })), 201);
    let repeat = [(
        "Idempotency-Key",
        "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"",
    )];
    let line = "POST /accounts/ci/keys";
    // Who goes away before he is answered.
    admin
        .client()
        .send(bytes(line, &admin.root, &repeat, Some(&json!({}))));
    let ask = || admin.send(line, &admin.root, &repeat, Some(&json!({})));
    let mut first = ask();
    while first.status() == 409 {
        first = ask();
    }
    let again = ask();
    assert_eq!((first.status(), again.status()), (201, 201));
    assert_eq!(first.json(), again.json());
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        admin
            .done("GET /keys?account=ci", None, 200)
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let key = key_of(&again.json());
    assert_eq!(admin.send("GET /me", &key, &[], None).status(), 200);
    let other = admin.send(
        line,
        &admin.root,
        &repeat,
        Some(&json!({ "description": "x" })),
    );
    assert_eq!(
        (other.status(), other.header("content-type")),
        (422, Some(PROBLEM))
    );
    assert!(!admin.gateway.printed().contains(&key.secret));
}
