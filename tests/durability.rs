//! What is acknowledged survives `kill -9` at any instant.
//!
//! Twice: the server itself is killed while operators change things and requests flow, and what it
//! acknowledged is asked for on the wire. And the test starts itself anew as a child that does
//! nothing but change a store and say so, which dies inside a change far more often.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use portcullis::admin::{Actor, Operation, Service, control, open_server};
use portcullis::clock::Clock;
use portcullis::policy::compile::{Context, SourceFile, compile};
use portcullis::settings::Settings;
use portcullis::words::KeyId;
use serde_json::{Value, json};

use crate::audit::agrees;
use crate::harness::{Client, Fixture, Gateway, Key, Upstream, request};

/// Where the child finds its store; only the child has it.
const CHILD: &str = "PORTCULLIS_TEST_STORE";
/// How often the child is killed while it writes.
const DEATHS: u64 = 50;
/// How often the server is killed.
const CRASHES: usize = 50;
/// How often a first start is killed.
const BIRTHS: u64 = 20;

const POLICY: &str = "
dimensions: { tenant: The customer }
permissions: { devices:view: See }
roles: { reader: { description: Reads, permissions: [devices:view] } }
";

/// What the server answers by.
const SERVED: &str = "
upstream: items
dimensions: { tenant: The customer }
permissions: { devices:view: See }
roles: { reader: { description: Reads, permissions: [devices:view] } }
routes:
  GET /v1/tenants/{tenant}/devices: { needs: devices:view, within: { tenant: path.tenant } }
";

#[test]
fn what_the_server_acknowledged_is_there_after_every_kill_of_it() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream)
        .policy("items.yaml", SERVED)
        .listener("api_key: true")
        .start();
    gateway.account("caller", &["reader"]);
    let caller = gateway.key("caller");
    let (mut facts, mut answered) = (Vec::new(), 0);
    for crash in 0..CRASHES {
        let socket = gateway.files().path("control.sock");
        let address = gateway.address();
        let learnt = std::thread::scope(|scope| {
            let (say, heard) = channel();
            let operator = scope.spawn(move || operate(&socket, crash, &say));
            let caller = &caller;
            let requests = scope.spawn(move || call_until_it_dies(address, caller));
            // Another number of changes, and another moment within one, each time.
            for _ in 0..3 + (crash * 7) % 23 {
                heard.recv().expect("the server acknowledges changes");
            }
            std::thread::sleep(Duration::from_micros((crash as u64 * 373) % 3000));
            gateway.crash();
            answered += requests.join().unwrap();
            operator.join().unwrap()
        });
        Wire::to(&gateway).holds(&learnt);
        facts.extend(learnt);
    }
    assert!(answered > CRASHES, "hardly a request was under way");
    assert!(facts.len() > 3 * CRASHES, "hardly anything was changed");
    let mut wire = Wire::to(&gateway);
    wire.holds(&facts);
    assert_eq!(wire.ask(&caller, "any"), 200);
    let socket = gateway.files().path("control.sock");
    agrees(&mut |operation| {
        let operation: Operation = serde_json::from_value(operation).unwrap();
        let client = control::Client::connect(&socket).unwrap().unwrap();
        client.call(&operation).unwrap()
    });
}

/// One thing the server acknowledged.
enum Fact {
    /// The key works at the tenant.
    Works(Key, String),
    /// The key is over.
    Over(Key),
}

/// Changes things through the control socket until the server dies, and returns what it
/// acknowledged; `say` hears of each.
fn operate(socket: &Path, round: usize, say: &Sender<()>) -> Vec<Fact> {
    let ask = |operation: Value| {
        let operation: Operation = serde_json::from_value(operation).unwrap();
        control::Client::connect(socket)
            .ok()??
            .call(&operation)
            .ok()
    };
    let name = format!("round-{round}");
    let account = json!({
        "operation": "accounts_create", "name": name,
        "grants": [{ "role": "reader", "within": { "tenant": ["own"] } }],
    });
    let mut facts = Vec::new();
    let mut change = || -> Option<()> {
        ask(account.clone())?;
        // Proves the grants, and lives on.
        let mut first: Option<Key> = None;
        for number in 0.. {
            let made = ask(json!({ "operation": "keys_create", "account": name }))?;
            let text = |field: &str| made[field].as_str().unwrap().to_owned();
            let (id, secret) = (text("id"), text("secret"));
            let key = Key { id, secret };
            let first = first.get_or_insert_with(|| key.clone());
            facts.push(Fact::Works(key.clone(), "own".to_owned()));
            let _ = say.send(());
            let tenant = format!("t{number}");
            ask(json!({
                "operation": "accounts_grant", "name": name, "role": "reader",
                "within": { "tenant": [tenant] },
            }))?;
            facts.push(Fact::Works(first.clone(), tenant));
            let _ = say.send(());
            if number % 2 == 1 {
                // While the end is not acknowledged, the key may live or not.
                facts.retain(|fact| !matches!(fact, Fact::Works(old, _) if old.id == key.id));
                ask(json!({ "operation": "keys_expire", "key": key.id }))?;
                facts.push(Fact::Over(key));
                let _ = say.send(());
            }
        }
        Some(())
    };
    let _ = change();
    facts
}

/// Sends requests, one connection each, until nobody answers; how many were answered.
fn call_until_it_dies(address: SocketAddr, key: &Key) -> usize {
    let headers = [
        ("X-Api-Key", key.api_key()),
        ("Connection", "close".to_owned()),
    ];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let bytes = request("GET /v1/tenants/any/devices", &headers, b"");
    let call = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&bytes)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let mut answered = 0;
    while let Ok(answer) = call() {
        let whole = b"HTTP/1.1 200 ";
        if !answer.starts_with(whole) {
            // The kill cut it short; nothing else may come.
            assert!(
                whole.starts_with(&answer),
                "{}",
                String::from_utf8_lossy(&answer)
            );
            break;
        }
        answered += 1;
    }
    answered
}

/// A connection to the gateway.
struct Wire(Client);

impl Wire {
    fn to(gateway: &Gateway) -> Self {
        Self(Client::connect(gateway.address()))
    }

    fn ask(&mut self, key: &Key, tenant: &str) -> u16 {
        let line = format!("GET /v1/tenants/{tenant}/devices");
        let headers = [("X-Api-Key", &*key.api_key())];
        self.0
            .send(request(&line, &headers, b""))
            .response()
            .status()
    }

    fn holds(&mut self, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::Works(key, tenant) => {
                    assert_eq!(self.ask(key, tenant), 200, "lost: {} at {tenant}", key.id);
                    // It works because of the grant, and of nothing else.
                    assert_eq!(self.ask(key, "other"), 403);
                }
                Fact::Over(key) => assert_eq!(self.ask(key, "own"), 401, "alive: {}", key.id),
            }
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_every_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for death in 0..DEATHS {
        let mut child = start_child(folder.path(), death);
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        // Another number of changes, and another moment within one, each time.
        let heard = said
            .by_ref()
            .map(Result::unwrap)
            .take(3 + (death as usize * 7) % 23);
        acknowledged.extend(heard.filter(|line| line.starts_with("done ")));
        std::thread::sleep(Duration::from_micros((death * 373) % 3000));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said with its last breath was said.
        acknowledged.extend(
            said.map(Result::unwrap)
                .filter(|line| line.starts_with("done ")),
        );
    }
    assert!(
        acknowledged.len() as u64 > DEATHS,
        "the child said almost nothing"
    );
    let service = open(folder.path());
    acknowledged.iter().for_each(|line| holds(&service, line));
    // A change and its record: both, or neither.
    agrees(&mut |operation| ask(&service, operation));
}

#[test]
fn a_first_start_that_is_killed_leaves_a_store_that_opens() {
    for birth in 0..BIRTHS {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start_child(folder.path(), 0);
        std::thread::sleep(Duration::from_millis(birth * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        let service = open(folder.path());
        let made = ask(
            &service,
            json!({ "operation": "accounts_create", "name": "after" }),
        );
        assert_eq!(made["enabled"], true);
    }
}

/// The child's side; nothing when it is run as a test among others.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let (folder, round) = (
        std::path::PathBuf::from(folder),
        std::env::args().next_back().unwrap(),
    );
    let service = open(&folder);
    let name = format!("round-{}", round.trim_start_matches("round="));
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\ndone {line}")
            .and_then(|()| out.flush())
            .unwrap();
    };
    ask(
        &service,
        json!({ "operation": "accounts_create", "name": name }),
    );
    for number in 0..200 {
        let made = ask(
            &service,
            json!({ "operation": "keys_create", "account": name }),
        );
        let key = made["id"].as_str().unwrap().to_owned();
        say(format!("key {key}"));
        ask(&service, json!({ "operation": "keys_expire", "key": key }));
        say(format!("expiry {key}"));
        let within = json!({ "tenant": [format!("t{number}")] });
        let grant = json!({
            "operation": "accounts_grant", "name": name, "role": "reader", "within": within,
        });
        ask(&service, grant);
        say(format!("grant {name} t{number}"));
    }
}

fn start_child(folder: &Path, round: u64) -> Child {
    let file = folder.join("portcullis.yaml");
    std::fs::write(&file, "store: sqlite:p.db\n").unwrap();
    let name = concat!(module_path!(), "::child_that_writes_until_it_is_killed");
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1", "--skip"])
        .arg(format!("round={round}"))
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn open(folder: &Path) -> Service {
    let text = POLICY.to_owned();
    let source = SourceFile {
        path: Path::new("a.yaml").into(),
        text,
    };
    let context = Context {
        upstreams: None,
        own_endpoints: Vec::new(),
        files_only: false,
    };
    let policy = compile(&[source], &context).unwrap();
    let settings = Settings::load(&folder.join("portcullis.yaml")).unwrap();
    open_server(&settings, policy.into(), Clock::System).unwrap()
}

fn ask(service: &Service, operation: Value) -> Value {
    let operation: Operation = serde_json::from_value(operation).unwrap();
    service.execute(operation, &Actor::local()).unwrap()
}

/// Checks one thing the child said.
fn holds(service: &Service, line: &str) {
    let state = service.handle().snapshot();
    let key = |text: &str| {
        let id: KeyId = text.parse().unwrap();
        state
            .directory
            .key(&id)
            .unwrap_or_else(|| panic!("lost: {line}"))
            .clone()
    };
    let words: Vec<_> = line.split(' ').collect();
    match words.as_slice() {
        ["done", "key", id] => drop(key(id)),
        ["done", "expiry", id] => assert!(key(id).is_expired(Clock::System.now()), "lost: {line}"),
        ["done", "grant", name, tenant] => {
            let account = state.directory.account_named(name).unwrap();
            let tenant = format!("tenant {tenant}");
            let held = account
                .holdings
                .iter()
                .any(|held| held.within.to_string() == tenant);
            assert!(held, "lost: {line}");
        }
        // The line the kill cut short was not said.
        _ => {}
    }
}
