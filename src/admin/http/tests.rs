//! The admin API without a socket: every endpoint in the table, whoever asks.

mod foreign;
mod refusals;
mod versions;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use super::endpoint::{Endpoint, Verb};
use super::read::Asked;
use super::{Api, Records, endpoints};
use crate::admin::tests::world::{FILED, POLICY, World};
use crate::admin::{HOST_ONLY, Operation};
use crate::settings::Settings;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::{AccountLabels, Metrics};
use crate::words::KeyId;

/// An answer: status, headers, body.
type Told = (StatusCode, http::HeaderMap, Value);

struct Desk {
    world: World,
    api: Arc<Api>,
    metrics: Arc<Metrics>,
    log: Option<Log>,
    written: Written,
}

/// What was written to the decision log.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Desk {
    fn new() -> Self {
        Self::with("", &[POLICY, FILED])
    }

    fn on(policy: &[&str]) -> Self {
        Self::with("", policy)
    }

    /// One whose admin API has these settings.
    fn set(admin: &str) -> Self {
        Self::with(admin, &[POLICY, FILED])
    }

    fn with(admin: &str, policy: &[&str]) -> Self {
        let world = World::new(policy);
        let settings = Settings::from_text(
            std::path::Path::new("portcullis.yaml"),
            &format!("upstreams: {{ a: {{ url: http://127.0.0.1:1 }} }}\nadmin: {{ {admin} }}\n"),
        );
        let settings = settings.unwrap();
        let admin = settings.admin.as_ref().unwrap();
        let service = Arc::clone(&world.service);
        let (metrics, written) = (
            Arc::new(Metrics::new(AccountLabels::Off)),
            Written::default(),
        );
        let log = Log::start(written.clone()).unwrap();
        let records = Records::new(log.handle(), Arc::clone(&metrics));
        let api = Api::new(admin, &settings, &service, records);
        Self {
            world,
            api,
            metrics,
            log: Some(log),
            written,
        }
    }

    /// The lines that the log has by now. It is closed then.
    fn lines(&mut self) -> Vec<Value> {
        assert!(
            self.log
                .take()
                .unwrap()
                .stop(std::time::Duration::from_secs(20))
        );
        let written = self.written.0.lock().unwrap();
        let lines = written.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// The records of the audit trail of these events, oldest first: event, outcome, actor.
    fn trail(&self, events: &[&str]) -> Vec<Value> {
        let asked = json!({ "operation": "audit_follow", "after": 0, "filter": { "limit": 1000 } });
        let mut records = self.world.done(asked)["records"]
            .as_array()
            .unwrap()
            .clone();
        let named = |record: &Value| {
            let name = record["event.name"].as_str().unwrap();
            events.contains(&name.strip_prefix("audit.").unwrap())
        };
        records.retain(named);
        records
    }

    /// An account with these grants, and what it shows.
    fn account(&self, name: &str, grants: &Value) -> String {
        self.world
            .done(json!({ "operation": "accounts_create", "name": name, "grants": grants }));
        self.key_of(name)
    }

    fn key_of(&self, name: &str) -> String {
        let key = self
            .world
            .done(json!({ "operation": "keys_create", "account": name }));
        let text = |field: &str| key[field].as_str().unwrap().to_owned();
        format!("{}.{}", text("id"), text("secret"))
    }

    fn administrator(&self) -> String {
        self.account("root", &json!([{ "role": "portcullis-admin" }]))
    }

    fn send(&self, request: Request<Body>) -> Told {
        send_to(Arc::clone(&self.api).router(), request)
    }

    fn ask(&self, line: &str, key: &str, body: Option<&Value>) -> Told {
        self.send(request(line, &[("x-api-key", key)], body))
    }
}

fn send_to(router: axum::Router, request: Request<Body>) -> Told {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let answer = TowerToHyperService::new(router)
            .call(request)
            .await
            .unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (parts.status, parts.headers, body)
    })
}

fn request(line: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Request<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let path = if path.starts_with("/oauth") {
        path.to_owned()
    } else {
        format!("/api/v1{path}")
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    request.body(body).unwrap()
}

/// The names of things that are asked about.
struct Named {
    name: String,
    key: String,
}

/// Things that are nobody's.
fn nothing() -> Named {
    Named {
        name: "nobody".to_owned(),
        key: KeyId::random().to_string(),
    }
}

const TOKEN: &str = "0000000000000000000000";
const REQUEST: &str = "019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70";

/// The parts of an endpoint's path that are values.
fn values(endpoint: &Endpoint, of: &Named) -> BTreeMap<String, String> {
    let value = |name: &str| match name {
        "account" | "group" | "role" => of.name.as_str(),
        "key" => of.key.as_str(),
        "token" => TOKEN,
        "permission" => "devices:view",
        "request" => REQUEST,
        other => panic!("say what stands for `{other}` in a path"),
    };
    let names = endpoint.parameters();
    names
        .map(|name| (name.to_owned(), value(name).to_owned()))
        .collect()
}

/// A body that an endpoint reads, about these things.
fn body(endpoint: &Endpoint, of: &Named) -> Option<Value> {
    endpoint.body?;
    let name = &of.name;
    Some(match endpoint.id {
        "createAccount" | "createGroup" => json!({ "name": name }),
        "createRole" => json!({ "name": name, "permissions": ["devices:view"] }),
        "updateAccount" | "updateKey" | "updateRole" => json!({ "description": "Other" }),
        "createKey" | "expireKey" | "verifyAuditTrail" => json!({}),
        "importKeys" => json!({ "keys": [{ "digest": format!("sha256:{}", "ab".repeat(32)) }] }),
        "rotateKey" => json!({ "overlap_seconds": 60 }),
        "grantToAccount" | "ungrantFromAccount" | "grantToGroup" | "ungrantFromGroup" => {
            json!({ "role": "reader" })
        }
        "applyAccounts" => json!({ "set": "team", "manifest": {}, "dry_run": true }),
        "issueToken" | "listAllowed" => json!({ "account": name }),
        "inspectToken" => json!({ "token": "e30.e30.e30" }),
        "matchRoute" => json!({ "method": "GET", "target": "/v1/x" }),
        "explain" => json!({ "method": "GET", "target": "/v1/x", "account": name }),
        other => panic!("say what is asked at `{other}`"),
    })
}

/// A request to an endpoint about these things.
fn line(endpoint: &Endpoint, of: &Named) -> String {
    let mut path = endpoint.path.to_owned();
    for (name, value) in values(endpoint, of) {
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    format!("{} {path}", endpoint.verb.http())
}

#[test]
fn every_operation_has_exactly_one_endpoint_or_says_why_it_has_none() {
    let mut endpoints_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for endpoint in endpoints::all() {
        let text = body(endpoint, &nothing()).map(|body| body.to_string().into());
        let values = values(endpoint, &nothing());
        let known = |name: &str| endpoint.knows(name);
        let asked = Asked::new(values, None, known, text.unwrap_or_default()).unwrap();
        let operation = (endpoint.reads)(&asked).unwrap_or_else(|problem| {
            panic!(
                "`{}` does not read what it asks for: {problem:?}",
                endpoint.id
            )
        });
        let known = endpoints_of.entry(operation.name()).or_default();
        known.push(endpoint.id);
    }
    for name in Operation::NAMES {
        let endpoints = endpoints_of.remove(name).unwrap_or_default();
        let reason = HOST_ONLY.iter().find(|(only, _)| only == name);
        assert_eq!(
            endpoints.len() + usize::from(reason.is_some()),
            1,
            "{name}: {endpoints:?}, {reason:?}"
        );
    }
    for (name, why) in HOST_ONLY {
        assert!(Operation::NAMES.contains(name) && why.len() > 20, "{name}");
    }
}

#[test]
fn every_endpoint_asks_every_caller_for_what_it_says_it_asks_for() {
    let desk = Desk::new();
    let viewer = desk.account("viewer", &json!([{ "role": "portcullis-viewer" }]));
    let reader = desk.account("reader", &json!([{ "role": "reader" }]));
    let root = desk.administrator();
    desk.account("off", &json!([{ "role": "portcullis-admin" }]));
    let off = desk.key_of("off");
    desk.world
        .done(json!({ "operation": "accounts_disable", "name": "off" }));
    let mut rows = 0;
    for endpoint in endpoints::all() {
        let everybody = endpoint.permission.is_none();
        let looks = endpoint
            .permission
            .is_none_or(|name| name.ends_with(":view"));
        for (who, key, expected) in [
            ("nobody", "", Some(401)),
            ("an unknown key", "pck_x.pcs_x", Some(401)),
            ("a disabled one", off.as_str(), Some(401)),
            (
                "one without a right",
                reader.as_str(),
                (!everybody).then_some(403),
            ),
            ("a viewer", viewer.as_str(), (!looks).then_some(403)),
            ("an administrator", root.as_str(), None),
        ] {
            // Here is no server that could do it.
            if expected.is_none() && endpoint.id == "reloadServer" {
                continue;
            }
            let of = nothing();
            let body = body(endpoint, &of);
            let (status, _, told) = desk.ask(&line(endpoint, &of), key, body.as_ref());
            let status = status.as_u16();
            match expected {
                Some(expected) => assert_eq!(status, expected, "{} as {who}: {told}", endpoint.id),
                None => assert!(
                    !matches!(status, 401 | 403 | 405 | 500..),
                    "{} as {who}: {status} {told}",
                    endpoint.id
                ),
            }
            rows += 1;
        }
    }
    assert!(rows >= endpoints::all().count() * 5);
}

#[test]
fn the_document_names_every_endpoint_once_and_its_permission_exists() {
    let mut seen = std::collections::BTreeSet::new();
    let document = super::document();
    for endpoint in endpoints::all() {
        assert!(seen.insert(endpoint.id), "{} stands twice", endpoint.id);
        let path = format!("/api/v1{}", endpoint.path);
        let verb = endpoint.verb.http().as_str().to_ascii_lowercase();
        let told = &document["paths"][&path][&verb];
        assert_eq!(told["operationId"], endpoint.id, "{path}");
        let own = crate::policy::own::permissions();
        assert!(
            endpoint
                .permission
                .is_none_or(|permission| own.iter().any(|(name, _)| name.as_str() == permission)),
            "{:?}",
            endpoint.permission
        );
        assert!(!(endpoint.verb == Verb::Get && endpoint.body.is_some()));
    }
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for piece in text.split("#/components/schemas/").skip(1) {
        let name = piece.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "`{name}` is not described");
    }
}

#[test]
fn the_document_is_the_one_that_is_published() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/admin-api.json");
    let now = super::document::text();
    if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == now,
        "`{}` is old: run this test with `PORTCULLIS_UPDATE=1`",
        path.display()
    );
}

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
fn what_nobody_can_read_is_refused_by_name_and_changes_nothing() {
    let desk = Desk::new();
    let root = desk.administrator();
    let post = |kind: &str, body: Vec<u8>| {
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/accounts")
            .header("host", "localhost")
            .header("x-api-key", &root)
            .header("content-type", kind)
            .body(Body::from(body));
        desk.send(request.unwrap())
    };
    for (body, field) in [
        (r#"{"name":"x","is_admin":true}"#, "is_admin"),
        (r#"{"name":"x","name":"y"}"#, "name"),
        (r#"{"name":7}"#, "name"),
        (
            r#"{"name":"x","grants":[{"role":"reader","within":{"planet":["a"]}}]}"#,
            "within",
        ),
        (r#"{"name":"x","grants":[{"role":"nothing"}]}"#, "role"),
        (r#"{"name":"x","description":"a\nb"}"#, "description"),
    ] {
        let (status, _, told) = post("application/json", body.into());
        assert_eq!(status, 400, "{body}: {told}");
        assert_eq!(told["field"], field, "{body}: {told}");
    }
    assert_eq!(post("text/plain", b"{}".to_vec()).0, 415);
    assert_eq!(post("application/json", vec![b' '; 2 * 1024 * 1024]).0, 413);
    assert_eq!(
        post("application/json", "[".repeat(100_000).into_bytes()).0,
        400
    );
    assert_eq!(desk.ask("GET /accounts/x", &root, None).0, 404);
}

#[test]
fn nothing_is_answered_to_another_name_or_another_page() {
    let desk = Desk::new();
    let root = desk.administrator();
    let headers = [
        ("x-api-key", root.as_str()),
        ("origin", "https://evil-console.example"),
    ];
    let (status, told, _) = desk.send(request("GET /accounts", &headers, None));
    assert_eq!(status, 200);
    assert!(
        told.keys()
            .all(|name| !name.as_str().starts_with("access-control"))
    );
    assert_eq!(told["cache-control"], "no-store");
    assert_eq!(told["x-content-type-options"], "nosniff");
    assert!(told.contains_key("x-request-id"));
    let mut foreign = request("GET /accounts", &headers, None);
    foreign
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    assert_eq!(desk.send(foreign).0, 421);
    let (status, told, _) = desk.ask("PUT /accounts", &root, None);
    assert_eq!(status, 405);
    assert_eq!(told["allow"], "GET, HEAD, POST");
    assert_eq!(desk.ask("GET /nothing", &root, None).0, 404);
}

#[test]
fn a_token_is_good_for_the_audience_it_was_made_for_and_no_other() {
    let desk = Desk::new();
    let root = desk.administrator();
    let (id, secret) = root.split_once('.').unwrap();
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let mut asked = request("POST /oauth/token", &[], None);
    asked.headers_mut().insert(
        "content-type",
        "application/x-www-form-urlencoded".parse().unwrap(),
    );
    *asked.body_mut() = Body::from(form);
    let (status, _, told) = desk.send(asked);
    assert_eq!(status, 200, "{told}");
    let bearer = |token: &str| {
        let value = format!("Bearer {token}");
        desk.send(request("GET /accounts", &[("authorization", &value)], None))
            .0
    };
    assert_eq!(bearer(told["access_token"].as_str().unwrap()), 200);
    let behind = desk
        .world
        .done(json!({ "operation": "tokens_issue", "account": "root" }));
    assert_eq!(bearer(behind["access_token"].as_str().unwrap()), 401);
}

#[test]
fn nobody_sees_or_changes_what_his_grant_does_not_cover() {
    let crew = "groups: { crew: { members: [deploy-bot], grants: [{ role: operator }] } }";
    let desk = Desk::on(&[POLICY, FILED, crew]);
    desk.administrator();
    desk.world.done(json!({
        "operation": "roles_create", "name": "desk",
        "permissions": ["portcullis.accounts:*", "devices:view"],
    }));
    let grants = json!([{ "role": "desk", "within": { "tenant": ["acme"] } }]);
    let manager = desk.account("manager", &grants);
    let within = |tenant: &str| json!([{ "role": "reader", "within": { "tenant": [tenant] } }]);
    desk.account("ours", &json!([]));
    desk.account("theirs", &within("globex"));
    // Owned everywhere: not the manager's.
    for name in ["ours", "theirs", "root", "nobody-at-all"] {
        for line in [
            format!("GET /accounts/{name}"),
            format!("POST /accounts/{name}/disable"),
            format!("DELETE /accounts/{name}"),
        ] {
            let (status, _, told) = desk.ask(&line, &manager, None);
            assert_eq!(status, 404, "{line}: {told}");
            assert_eq!(told["detail"], format!("there is no account `{name}`"));
        }
    }
    let (status, _, made) = desk.ask("POST /accounts", &manager, Some(&json!({ "name": "mine" })));
    assert_eq!(status, 201, "{made}");
    let (_, _, list) = desk.ask("GET /accounts", &manager, None);
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["mine"]);
    let give = |role: &str, within: Value| {
        let grant = json!({ "role": role, "within": within });
        desk.ask("POST /accounts/mine/grant", &manager, Some(&grant))
            .0
            .as_u16()
    };
    // `reader` gives more than he holds, and everywhere is more than acme.
    assert_eq!(give("reader", json!({ "tenant": ["acme"] })), 403);
    assert_eq!(give("desk", json!({})), 403);
    assert_eq!(give("desk", json!({ "tenant": ["acme", "globex"] })), 403);
    assert_eq!(give("portcullis-admin", json!({ "tenant": ["acme"] })), 403);
    assert_eq!(give("desk", json!({ "tenant": ["acme"] })), 200);
    let wide = json!({ "name": "wide", "owner": { "tenant": ["globex"] } });
    assert_eq!(desk.ask("POST /accounts", &manager, Some(&wide)).0, 403);
    // Files give a name of theirs what he does not hold, to whoever comes by it.
    let taken = json!({ "name": "deploy-bot" });
    assert_eq!(desk.ask("POST /accounts", &manager, Some(&taken)).0, 403);
}

#[test]
fn the_last_administrator_stays() {
    let desk = Desk::new();
    let root = desk.administrator();
    let demote = json!({ "role": "portcullis-admin" });
    for (line, body) in [
        ("POST /accounts/root/disable", None),
        ("DELETE /accounts/root", None),
        ("POST /accounts/root/ungrant", Some(&demote)),
    ] {
        let (status, _, told) = desk.ask(line, &root, body);
        assert_eq!(status, 409, "{line}: {told}");
    }
    let second = desk.account("second", &json!([{ "role": "portcullis-admin" }]));
    assert_eq!(desk.ask("POST /accounts/root/disable", &root, None).0, 200);
    assert_eq!(
        desk.ask("POST /accounts/second/disable", &second, None).0,
        409
    );
    // On the machine itself it may be done.
    desk.world
        .done(json!({ "operation": "accounts_disable", "name": "second" }));
}

#[test]
fn whoever_has_a_good_credential_is_told_who_he_is_and_what_he_may_use() {
    let desk = Desk::new();
    let reader = desk.account(
        "ci",
        &json!([{ "role": "reader", "within": { "tenant": ["acme"] } }]),
    );
    desk.world
        .done(json!({ "operation": "groups_create", "name": "night" }));
    desk.world
        .done(json!({ "operation": "groups_add", "group": "night", "account": "ci" }));
    let (status, _, told) = desk.ask("GET /me", &reader, None);
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["account"], "ci");
    assert_eq!(told["key"], reader.split_once('.').unwrap().0);
    assert_eq!(told["permissions"], json!(["devices:view", "tenants:view"]));
    assert_eq!(told["groups"], json!(["night"]));
    assert_eq!(told["grants"][0]["within"], json!({ "tenant": ["acme"] }));
    assert_eq!(told["token"], Value::Null);
    let on_the_machine = desk.world.done(json!({ "operation": "whoami" }));
    assert_eq!(on_the_machine["account"], Value::Null);
    assert_eq!(desk.ask("GET /me", "", None).0, 401);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn what_is_asked_again_with_its_key_is_answered_again_and_not_done_again() {
    let desk = Desk::new();
    let root = desk.administrator();
    desk.account("ci", &json!([]));
    let asked = |line: &str, key: &str, body: Option<&Value>, repeat: &str| {
        let headers = [("x-api-key", key), ("idempotency-key", repeat)];
        desk.send(request(line, &headers, body))
    };
    let new = json!({ "name": "a" });
    let (status, headers, made) = asked("POST /accounts", &root, Some(&new), "one");
    assert_eq!(status, 201, "{made}");
    assert!(!headers.contains_key("idempotent-replayed"));
    let (again, told, repeated) = asked("POST /accounts", &root, Some(&new), "one");
    assert_eq!((again, &repeated), (status, &made));
    assert_eq!(told["idempotent-replayed"], "true");
    assert_eq!(
        (&told["location"], &told["etag"]),
        (&headers["location"], &headers["etag"])
    );
    let other = json!({ "name": "b" });
    let (status, _, told) = asked("POST /accounts", &root, Some(&other), "one");
    assert_eq!(
        (status.as_u16(), &told["field"]),
        (422, &json!("idempotency-key"))
    );
    assert_eq!(
        asked("POST /accounts", &root, Some(&new), "").0,
        409,
        "without a key it is done"
    );
    // No second secret, and the first is told to whoever lost it, and to nobody else.
    let make = "POST /accounts/ci/keys";
    let keys = || {
        let listed = desk
            .world
            .done(json!({ "operation": "keys_list", "account": "ci" }));
        listed.as_array().unwrap().len()
    };
    let before = keys();
    let (_, _, key) = asked(make, &root, Some(&json!({})), "\"two\"");
    let (status, _, repeated) = asked(make, &root, Some(&json!({})), "two");
    assert_eq!((status.as_u16(), &repeated), (201, &key));
    assert_eq!(keys(), before + 1);
    let second = desk.account("second", &json!([{ "role": "portcullis-admin" }]));
    let (_, _, another) = asked(make, &second, Some(&json!({})), "two");
    assert_ne!(another["id"], key["id"]);
    // Each time it is told there is a record, and who lost the right to it is told nothing.
    let records = desk
        .world
        .done(json!({ "operation": "audit_list", "filter": { "event": "key.create" } }));
    let records = records["records"].as_array().unwrap().clone();
    let told = |record: &&Value| record.to_string().contains("once more");
    assert_eq!(records.iter().filter(told).count(), 1, "{records:?}");
    desk.world.done(
        json!({ "operation": "accounts_ungrant", "name": "second", "role": "portcullis-admin" }),
    );
    desk.world.done(
        json!({ "operation": "accounts_grant", "name": "second", "role": "portcullis-admin",
        "within": { "tenant": ["acme"] } }),
    );
    let (status, _, told) = asked(make, &second, Some(&json!({})), "two");
    assert_eq!(status.as_u16(), 404, "{told}");
    assert_eq!(told["secret"], Value::Null);
    // What was refused was not done.
    let missing = json!({ "role": "later" });
    assert_eq!(
        asked("POST /accounts/a/grant", &root, Some(&missing), "three").0,
        400
    );
    desk.world.done(
        json!({ "operation": "roles_create", "name": "later", "permissions": ["devices:view"] }),
    );
    assert_eq!(
        asked("POST /accounts/a/grant", &root, Some(&missing), "three").0,
        200
    );
    assert_eq!(
        asked("POST /accounts", &root, Some(&new), &"x".repeat(300)).0,
        400
    );
    // After its time it is a new request.
    desk.world
        .clock
        .advance(std::time::Duration::from_secs(3601));
    assert_eq!(asked("POST /accounts", &root, Some(&new), "one").0, 409);
}

#[test]
fn a_change_beyond_ones_own_rights_tells_which_keys_are_alive_and_who_made_them() {
    let desk = Desk::new();
    let root = desk.administrator();
    desk.account("ci", &json!([{ "role": "operator" }]));
    let change = json!({ "description": "Builds" });
    let (status, headers, told) = desk.ask("PATCH /accounts/ci", &root, Some(&change));
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["living_keys_total"], 1, "{told}");
    let made_by = told["living_keys"][0]["created_by"].as_str().unwrap();
    assert!(!made_by.is_empty());
    let (_, shown, body) = desk.ask("GET /accounts/ci", &root, None);
    assert_eq!(
        shown["etag"], headers["etag"],
        "it is of the answer, not of the account"
    );
    assert_eq!(body.get("living_keys"), None);
    assert_eq!(body["owner"], json!({}));
    let (_, _, key) = desk.ask("POST /accounts/ci/keys", &root, Some(&json!({})));
    let (_, _, key) = desk.ask(
        &format!("GET /keys/{}", key["id"].as_str().unwrap()),
        &root,
        None,
    );
    assert!(
        key["created_by"].as_str().unwrap().contains("root"),
        "{key}"
    );
    // Within his own rights he is told nothing of it.
    desk.world.done(json!({
        "operation": "roles_create", "name": "desk",
        "permissions": ["portcullis.accounts:*"],
    }));
    let manager = desk.account(
        "manager",
        &json!([{ "role": "desk", "within": { "tenant": ["acme"] } }]),
    );
    let (_, _, made) = desk.ask("POST /accounts", &manager, Some(&json!({ "name": "mine" })));
    assert_eq!(made["owner"], json!({ "tenant": ["acme"] }));
    let (_, _, told) = desk.ask("POST /accounts/mine/disable", &manager, None);
    assert_eq!(told.get("living_keys"), None, "{told}");
}
