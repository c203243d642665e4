//! The handler that runs belongs to the permission that was checked (A46).
//!
//! The same API stands behind the gateway four times: in nginx, on Node, in Flask, and on the
//! server of the JDK. Each finds its handlers in its own way and says which one ran. The routes of
//! the gateway give each handler a permission of its own, so an answer of a handler whose
//! permission was not asked for is a way around it. The corpus is section A of `conformance`, with
//! the paths of the list and of the generator that `agreement` uses; methods, headers and forms of
//! the target are those by which requests have been taken for others.
//!
//! The gateway's log is the other half of every comparison.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use serde_json::Value;

use crate::agreement::{Random, listed_paths};
use crate::conformance;
use crate::harness::long::{passed, sized, skipped};
use crate::harness::{Client, Fixture, Gateway, Message, Server};

/// Generated paths, for each server and each caller.
const GENERATED: usize = 600;
/// The same in the long run.
const GENERATED_LONG: usize = 50_000;

const PERMISSIONS: &str = r"
permissions:
  admin:any: What weak callers may not
  items:read: See an item
  items:write: Make an item
  items:remove: Change or remove an item
  other:any: Everything else

roles:
  weak: { description: The rest, permissions: [other:any] }
  strong: { description: Everything, permissions: ['admin:*', 'items:*', 'other:*'] }
";

const ROUTES: &str = r"
routes:
  METHODS /public/: public
  METHODS /public/{rest...}: public
  METHODS /admin/: admin:any
  METHODS /admin/{rest...}: admin:any
  POST /v1/items: items:write
  GET,HEAD /v1/items/{id}: items:read
  PUT,DELETE /v1/items/{id}: items:remove
  METHODS /: other:any
  METHODS /{rest...}: other:any
";

const METHODS: &str = "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS";

/// What every listed and generated path is asked below, too.
const BELOW: [&str; 4] = ["", "/public", "/admin", "/v1/items"];

/// By which a request has been taken for another one; the server on Node believes the first five.
const CLAIMS: [(&str, &str); 12] = [
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-HTTP-Method", "DELETE"),
    ("X-Method-Override", "DELETE"),
    ("X-Original-URL", "/admin/x"),
    ("X-Rewrite-URL", "/admin/x"),
    ("X-Forwarded-Uri", "/admin/x"),
    ("X-Forwarded-Path", "/admin/x"),
    ("X-Forwarded-Prefix", "/admin"),
    ("X-Forwarded-Method", "DELETE"),
    ("X-Envoy-Original-Path", "/admin/x"),
    ("X_Original_URL", "/admin/x"),
    ("X-Original-Method", "DELETE"),
];

/// Paths on which they are tried.
const CLAIMED_PATHS: [&str; 4] = ["/public/x", "/v1/items", "/v1/items/7", "/x"];

/// Targets that are more than a path, and methods that are none of the usual.
const FORMS: [&str; 30] = [
    "GET http://HOST/admin/x",
    "GET http://HOST/public/../admin/x",
    "GET http://HOST",
    "GET http://HOST?x",
    "GET http://other.test/public/x",
    "GET http://user@HOST/public/x",
    "GET https://HOST/public/x",
    "GET ftp://HOST/public/x",
    "GET HOST:80",
    "GET *",
    "OPTIONS *",
    "OPTIONS /public/x",
    "OPTIONS /admin/x",
    "CONNECT HOST:80",
    "CONNECT /public/x",
    "TRACE /public/x",
    "TRACK /public/x",
    "get /admin/x",
    "DELETE /v1/items",
    "DELETE /v1/items/7",
    "DELETE /v1/items/7/",
    "PATCH /v1/items/7",
    "POST /v1/items?_method=DELETE",
    "POST /v1/items/7?_method=DELETE",
    "POST /v1/items/7?%5Fmethod=delete",
    "POST /v1/items/7?_METHOD=DELETE",
    "POST /public/x?a=b&_method=DELETE",
    "GET /public/x?/../../admin/x",
    "GET /ADMIN/x",
    "GET /admin",
];

/// One request of the corpus, without host, credential and number.
#[derive(Clone, Debug)]
struct Case {
    /// Method and target; `HOST` stands for the name of the server.
    line: String,
    /// Header lines.
    headers: Vec<String>,
    /// Says that every character of it is one byte.
    latin: bool,
    /// Says that it must be let through, if the caller may.
    plain: bool,
}

#[test]
fn a46_the_handler_that_runs_belongs_to_the_permission_that_was_checked() {
    let servers = start();
    let gateway = gateway(&servers);
    let weak = &*gateway.token(&gateway.account("weak", &["weak"]));
    let strong = &*gateway.token(&gateway.account("strong", &["strong"]));
    let cases = corpus();
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let runs: Vec<_> = servers
            .iter()
            .map(|(name, _)| {
                let (gateway, cases, tokens) = (&gateway, &cases, [weak, strong]);
                scope.spawn(move || ask_all(gateway.address(), name, cases, tokens))
            })
            .collect();
        let joined = runs.into_iter().map(|run| run.join());
        joined
            .flat_map(|run| run.unwrap_or_else(|_| panic!("see above")))
            .collect()
    });
    let ids = seen.iter().filter(|seen| seen.handler().is_some());
    let log = gateway.decisions_of(
        &ids.filter_map(|seen| seen.answer.header("x-request-id"))
            .collect(),
    );
    let faults: Vec<_> = seen.iter().filter_map(|seen| seen.fault(&log)).collect();
    assert!(
        faults.is_empty(),
        "{} of {} requests, among them:\n{}",
        faults.len(),
        seen.len(),
        faults
            .iter()
            .take(40)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    every_handler_ran(&servers, &seen);
    let names: Vec<_> = servers.iter().map(|(name, _)| *name).collect();
    passed(
        "A46",
        &format!(
            "{} requests before {}, no handler without its permission",
            seen.len(),
            names.join(", ")
        ),
    );
}

/// The servers by name; without a JDK, one less.
fn start() -> Vec<(&'static str, Server)> {
    let java = Server::java("tests/differential/Routes.java");
    let mut servers = vec![
        (
            "python",
            Server::gunicorn("tests/differential", &["routes:app"]),
        ),
        ("node", Server::node(&["tests/differential/routes.mjs"])),
        ("nginx", Server::nginx(include_str!("nginx.conf"), &[])),
    ];
    servers.extend(java.map(|server| ("java", server)));
    servers
}

fn gateway(servers: &[(&'static str, Server)]) -> Gateway {
    let url = |name: &str, server: &Server| match name {
        "nginx" => format!("unix:{}", server.socket("routes.sock")),
        _ => server.url(),
    };
    if servers.iter().all(|(name, _)| *name != "java") {
        skipped("A46 before Java (there is no JDK)");
    }
    let (_, first) = &servers[0];
    let mut fixture = Fixture::before(&url("python", first))
        .policy("items.yaml", PERMISSIONS)
        // The long run takes longer than a token usually lives.
        .settings("tokens: { lifetime: 24h }");
    for (name, server) in servers {
        fixture = fixture.upstream_at(name, &url(name, server));
        // Tokens are asked for at `gate.test`.
        let more = if *name == "python" { ", gate.test" } else { "" };
        let routes = ROUTES.replace("METHODS", METHODS);
        let policy = format!("upstream: {name}\nhosts: [{name}.test{more}]\n{routes}");
        fixture = fixture.policy(&format!("{name}.yaml"), &policy);
    }
    fixture.start()
}

impl Case {
    fn of(line: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            headers: Vec::new(),
            latin: false,
            plain: false,
        }
    }
}

fn corpus() -> Vec<Case> {
    let mut cases = listed();
    cases.extend(generated());
    for (name, value) in CLAIMS {
        for path in CLAIMED_PATHS {
            cases.push(Case {
                headers: vec![format!("{name}: {value}")],
                plain: true,
                ..Case::of(format!("POST {path}"))
            });
        }
    }
    for (line, headers) in conformance::requests('A') {
        cases.push(Case {
            headers,
            latin: true,
            ..Case::of(line.replace("gate.test", "HOST"))
        });
    }
    cases.extend(FORMS.map(Case::of));
    cases
}

/// The list for people, below every prefix.
fn listed() -> Vec<Case> {
    let mut cases = Vec::new();
    for (fate, path) in listed_paths() {
        // What is no path is none below another.
        let prefixes = if path.starts_with('/') {
            BELOW.len()
        } else {
            1
        };
        for below in BELOW.iter().take(prefixes) {
            cases.push(Case {
                // What Java and Flask make of a query that is none is their affair.
                plain: fate.starts_with('/') && !path.contains('?'),
                ..Case::of(format!("GET {below}{path}"))
            });
        }
    }
    cases
}

fn generated() -> Vec<Case> {
    let count = sized(GENERATED, GENERATED_LONG);
    let mut random = Random(46);
    let mut path = String::new();
    let methods: Vec<_> = METHODS.split(',').collect();
    let one = |_| {
        random.path(&mut path);
        let method = methods[random.below(methods.len())];
        let below = BELOW[random.below(BELOW.len())];
        Case::of(format!("{method} {below}{path}"))
    };
    (0..count).map(one).collect()
}

/// Sends every case twice, for a caller who may little and one who may all, over as few connections
/// as the gateway allows.
fn ask_all(gate: SocketAddr, server: &'static str, cases: &[Case], tokens: [&str; 2]) -> Vec<Seen> {
    let mut client = None;
    let mut seen = Vec::new();
    for case in cases {
        for (strong, token) in [(false, tokens[0]), (true, tokens[1])] {
            let number = seen.len();
            let line = case.line.replace("HOST", &format!("{server}.test"));
            let mut text = format!("{line} HTTP/1.1\r\nHost: {server}.test\r\n");
            text += &format!("Authorization: Bearer {token}\r\nX-Case: {server}-{number}\r\n");
            for header in &case.headers {
                text += &format!("{header}\r\n");
            }
            text += "\r\n";
            let bytes = if case.latin {
                text.chars().map(|c| c as u8).collect()
            } else {
                text.into_bytes()
            };
            let connection = client.get_or_insert_with(|| Client::connect(gate));
            connection.send(bytes);
            let answer = if line.starts_with("HEAD ") {
                connection.response_to_head()
            } else {
                connection.response()
            };
            if answer.header("connection") == Some("close") {
                client = None;
            }
            seen.push(Seen {
                server,
                number,
                line,
                strong,
                plain: case.plain,
                answer,
            });
        }
    }
    seen
}

/// A request and its answer.
struct Seen {
    server: &'static str,
    number: usize,
    line: String,
    strong: bool,
    plain: bool,
    answer: Message,
}

/// The lines of the log, by request.
type Log = HashMap<String, Value>;

impl Seen {
    /// What is wrong about it, in words.
    fn fault(&self, log: &Log) -> Option<String> {
        let wrong = self.wrong(log).err()?;
        let caller = if self.strong { "strong" } else { "weak" };
        let answer = &self.answer.start;
        Some(format!(
            "{} for {caller} at {}: {wrong} ({answer})",
            self.line, self.server
        ))
    }

    fn wrong(&self, log: &Log) -> Result<(), String> {
        let header = |name| self.answer.header(name).unwrap_or_default();
        let Some(handler) = self.handler() else {
            let ours = header("content-type") == "application/problem+json";
            return match self.answer.status() {
                // The server's own way to say that a slash is missing, or that this is no path of
                // an API.
                308 if !ours => Ok(()),
                400 if !ours && !self.plain => Ok(()),
                400.. if ours && !(self.plain && self.strong) => Ok(()),
                _ => Err("neither a handler nor the gateway answered as they should".to_owned()),
            };
        };
        let line = log.get(header("x-request-id")).ok_or("not in the log")?;
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        let checked = match line.get("portcullis.permission") {
            Some(permission) => permission.as_str().unwrap_or_default(),
            None if text("http.route").contains(" /public/") => "public",
            None => "",
        };
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        must(
            handler == checked,
            &format!("`{handler}` ran and `{checked}` was checked"),
        )?;
        let stated = if checked == "public" { "" } else { checked };
        must(
            header("x-permissions") == stated,
            "the server was told another permission",
        )?;
        let weak = ["public", "other:any"].contains(&handler);
        must(self.strong || weak, "the weak caller got too far")?;
        let saw = header("x-saw");
        let path = saw.split_once('?').map_or(saw, |(path, _)| path);
        must(path == text("url.path"), &format!("`{saw}` was forwarded"))?;
        let own = format!("{}-{}", self.server, self.number);
        must(
            header("x-case") == own,
            "this is the answer to another request",
        )
    }

    /// The handler that ran, if one did.
    fn handler(&self) -> Option<&str> {
        self.answer
            .header("x-handler")
            .filter(|name| !name.is_empty())
    }
}

/// A comparison with nothing to compare proves nothing.
fn every_handler_ran(servers: &[(&'static str, Server)], seen: &[Seen]) {
    let mut ran: BTreeMap<_, usize> = BTreeMap::new();
    for one in seen {
        if let Some(handler) = one.handler() {
            *ran.entry((one.server, handler)).or_default() += 1;
        }
    }
    for (server, _) in servers {
        for handler in [
            "public",
            "admin:any",
            "items:read",
            "items:write",
            "items:remove",
            "other:any",
        ] {
            assert!(
                ran.contains_key(&(*server, handler)),
                "{handler} at {server}: {ran:?}"
            );
        }
    }
}
