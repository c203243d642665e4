//! The real binary before an upstream, on ports that were free, and everything it prints.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Output, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use portcullis::admin::control;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::lines::Lines;
use super::{Client, Files, Fixture, Message, Process, Upstream, request};

/// A key of an account, with its secret.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Key {
    /// As `Authorization` has it: `Basic …`.
    pub(crate) fn basic(&self) -> String {
        format!(
            "Basic {}",
            BASE64.encode(format!("{}:{}", self.id, self.secret))
        )
    }

    /// As `X-Api-Key` has it.
    pub(crate) fn api_key(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }
}

/// A running gateway. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    files: Files,
    child: Child,
    addresses: BTreeMap<String, SocketAddr>,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
}

impl Gateway {
    /// Starts the gateway on `files` and waits until it is ready.
    pub(crate) fn start(files: Files) -> Self {
        Self::begin(files, Stdio::piped())
    }

    /// The same, and nobody keeps the decisions it logs: of millions of requests they would fill the
    /// memory.
    pub(crate) fn start_unheard(files: Files) -> Self {
        Self::begin(files, Stdio::null())
    }

    fn begin(files: Files, decisions: Stdio) -> Self {
        let mut child = files
            .command(&["serve"])
            .stdout(decisions)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = match child.stdout.take() {
            Some(stdout) => Lines::of(stdout),
            None => Lines::of(std::io::empty()),
        };
        let stderr = Lines::of(child.stderr.take().expect("it was piped"));
        let addresses = stderr.wait("the gateway to be ready", |lines| {
            let events: Vec<Event> = lines.iter().filter_map(|line| Event::read(line)).collect();
            let ready = events.iter().any(|event| event.message == "ready");
            ready.then(|| {
                events
                    .into_iter()
                    .filter_map(|event| event.listener)
                    .collect()
            })
        });
        Self {
            files,
            child,
            addresses,
            stdout,
            stderr,
        }
    }

    /// The first listener's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address_of("0")
    }

    /// The address of a listener by its position, or of `ops`.
    pub(crate) fn address_of(&self, listener: &str) -> SocketAddr {
        let address = self.addresses.get(listener).copied();
        address.unwrap_or_else(|| panic!("no listener `{listener}` in {:?}", self.addresses))
    }

    /// The files it runs on.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Runs a command of the binary beside the gateway.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        self.files.cli(arguments)
    }

    /// Runs a command that must succeed; what it printed as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["-o", "json"]].concat());
        let (stdout, stderr) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success(),
            "{arguments:?} ended with {}: {stderr}",
            output.status
        );
        serde_json::from_slice(stdout)
            .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON: {error}"))
    }

    /// Asks by the control socket, from this process: it goes on the moment it is answered, where a
    /// command would take its time to end as well.
    pub(crate) fn operate(&self, operation: &Value) -> Value {
        let read = serde_json::from_value(operation.clone())
            .unwrap_or_else(|error| panic!("{operation} is no operation: {error}"));
        let client = control::Client::connect(&self.files.path("control.sock"));
        let client = client.expect("it is ours").expect("it listens");
        // On a thread of its own: it waits, and whoever asks may be a task.
        let answer = std::thread::scope(|scope| {
            let call = scope.spawn(|| client.call(&read));
            call.join().expect("it does not panic")
        });
        answer.unwrap_or_else(|error| panic!("{operation} was answered by {error:?}"))
    }

    /// Makes an account that holds `roles` everywhere, and a key for it.
    pub(crate) fn account(&self, name: &str, roles: &[&str]) -> Key {
        let roles = roles.iter().flat_map(|role| ["--role", role]);
        let arguments: Vec<&str> = ["accounts", "create", name]
            .into_iter()
            .chain(roles)
            .collect();
        self.json(&arguments);
        self.key(name)
    }

    /// Makes another key for an account.
    pub(crate) fn key(&self, account: &str) -> Key {
        let made = self.json(&["keys", "create", account]);
        let text = |name: &str| {
            let value = made.get(name).and_then(Value::as_str);
            value
                .unwrap_or_else(|| panic!("no `{name}` in {made}"))
                .to_owned()
        };
        Key {
            id: text("id"),
            secret: text("secret"),
        }
    }

    /// Makes a token from a key, at the token endpoint.
    pub(crate) fn token(&self, key: &Key) -> String {
        self.token_of(key, "")
    }

    /// The same, with `more` of the form: `&lifetime=2`.
    pub(crate) fn token_of(&self, key: &Key, more: &str) -> String {
        let headers = [
            ("Authorization", key.basic()),
            (
                "Content-Type",
                "application/x-www-form-urlencoded".to_owned(),
            ),
        ];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let body = format!("grant_type=client_credentials{more}");
        let answer = self.send(&request("POST /oauth/token", &headers, body.as_bytes()));
        let token = answer.json()["access_token"].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("instead of a token came {answer:?}"))
    }

    /// Sends one request, `GET /path`, with or without a bearer token.
    pub(crate) fn ask(&self, line: &str, token: Option<&str>) -> Message {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|value| ("Authorization", value.as_str()))
            .collect();
        self.send(&request(line, &headers, b""))
    }

    /// Sends any bytes on a connection of their own; the first final response to them.
    pub(crate) fn send(&self, bytes: &[u8]) -> Message {
        let mut client = Client::connect(self.address());
        client.send(bytes);
        if bytes.starts_with(b"HEAD ") {
            client.response_to_head()
        } else {
            client.response()
        }
    }

    /// Asks the ops port.
    pub(crate) fn ops(&self, path: &str) -> Message {
        let bytes = request(&format!("GET {path}"), &[("Connection", "close")], b"");
        Client::connect(self.address_of("ops"))
            .send(bytes)
            .response()
    }

    /// The decisions logged so far, as soon as there are `count`.
    pub(crate) fn decisions(&self, count: usize) -> Vec<Value> {
        self.stdout.wait(&format!("{count} decisions"), |lines| {
            let parse = |line: &String| {
                serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("not a JSON line ({error}): {line}"))
            };
            (lines.len() >= count).then(|| lines.iter().map(parse).collect())
        })
    }

    /// The decisions logged after the first `before`, as soon as there are `count`.
    pub(crate) fn decisions_after(&self, before: usize, count: usize) -> Vec<Value> {
        let parse = |line: &String| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("not a JSON line ({error}): {line}"))
        };
        self.stdout
            .wait(&format!("{count} decisions more"), |lines| {
                let new = lines.get(before..).unwrap_or_default();
                (new.len() >= count).then(|| new.iter().map(parse).collect())
            })
    }

    /// The decision logged for the request that was answered so. Lines of different cores come in no
    /// order, so a line is found by its request, never by its place.
    pub(crate) fn decision_of(&self, answer: &Message) -> Value {
        let id = answer
            .header("x-request-id")
            .expect("every answer has one")
            .to_owned();
        let line = self.stdout.wait(&format!("the decision of {id}"), |lines| {
            lines.iter().find(|line| line.contains(&id)).cloned()
        });
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
    }

    /// The decisions of these requests, by id, as soon as all of them are logged.
    pub(crate) fn decisions_of(&self, ids: &HashSet<&str>) -> HashMap<String, Value> {
        let mut found = HashMap::new();
        let mut read = 0;
        self.stdout
            .wait(&format!("{} decisions", ids.len()), |lines| {
                for line in lines.iter().skip(read) {
                    let line: Value = serde_json::from_str(line)
                        .unwrap_or_else(|error| panic!("not a JSON line ({error}): {line}"));
                    let id = line["portcullis.request_id"].as_str().unwrap_or_default();
                    if ids.contains(id) {
                        found.insert(id.to_owned(), line);
                    }
                }
                read = lines.len();
                (found.len() == ids.len()).then_some(())
            });
        found
    }

    /// Waits for a diagnostic line that contains `text`, and returns it.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        self.stderr.wait(&format!("`{text}` in the log"), |lines| {
            lines.iter().find(|line| line.contains(text)).cloned()
        })
    }

    /// Everything it has printed so far, decisions and diagnostics, for tests that look for what
    /// must not be there.
    pub(crate) fn printed(&self) -> String {
        [self.stdout.all(), self.stderr.all()].concat().join("\n")
    }

    /// The process, as the system numbers it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The process, to be measured.
    pub(crate) fn process(&self) -> Process {
        Process::of(self.child.id())
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a running process has an id");
        kill_process(pid, signal).expect("the process is alive");
    }

    /// Waits until the process has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.stdout.wait_for_end();
        self.child.wait().expect("a child can be waited for")
    }

    /// Kills the process, at once and without a word, and starts it again on the same files.
    pub(crate) fn crash(&mut self) {
        self.kill();
        *self = Self::start(self.files.clone());
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Gateway {
    #[expect(clippy::print_stderr, reason = "the report of a failed test")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the gateway said:\n{}", self.printed());
        }
    }
}

/// One diagnostic line.
struct Event {
    message: String,
    listener: Option<(String, SocketAddr)>,
}

impl Event {
    /// Reads a JSON line; its fields may stand in an object `fields` or beside the message.
    fn read(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let field = |name: &str| {
            let field = line.get("fields").unwrap_or(&line).get(name)?;
            Some(
                field
                    .as_str()
                    .map_or_else(|| field.to_string(), str::to_owned),
            )
        };
        let message = field("message").or_else(|| field("event"))?;
        let address = field("address").and_then(|address| address.parse().ok());
        let listener = field("listener").zip(address);
        Some(Self { message, listener })
    }
}

#[test]
fn a_gateway_comes_and_goes_as_it_is_told() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream)
        .settings("drain: { delay: 0s }")
        .start();
    let key = gateway.account("reader", &["reader"]);
    assert_eq!(gateway.ask("GET /public/x", None).status(), 200);
    assert_eq!(gateway.decisions(1).len(), 1);
    gateway.crash();
    let token = gateway.token(&key);
    assert_eq!(gateway.ask("GET /v1/items/7", Some(&token)).status(), 200);
    assert_eq!(gateway.ops("/livez").status(), 200);
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    assert!(!gateway.printed().contains(&key.secret));
}
