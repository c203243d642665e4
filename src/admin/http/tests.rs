//! The admin API without a socket: every endpoint in the table, whoever asks.

mod again;
mod foreign;
mod life;
mod looks;
mod matching;
mod reach;
mod refusals;
mod strict;
mod table;
mod versions;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use super::{Api, Records};
use crate::admin::tests::world::{FILED, POLICY, World};
use crate::settings::Settings;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::{AccountLabels, Metrics};

/// An answer: status, headers, body.
type Told = (StatusCode, http::HeaderMap, Value);

struct Desk {
    world: World,
    api: Arc<Api>,
    metrics: Arc<Metrics>,
    log: Mutex<Option<Log>>,
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
            log: Mutex::new(Some(log)),
            written,
        }
    }

    /// The lines that the log has by now. It is closed then.
    fn lines(&mut self) -> Vec<Value> {
        assert!(
            self.log
                .get_mut()
                .unwrap()
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
