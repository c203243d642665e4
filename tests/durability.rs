//! What is acknowledged survives `kill -9` at any instant.
//!
//! The test starts itself anew as a child that changes a store and says so after each change, kills
//! it in the middle, and looks whether everything that was said is there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portcullis::admin::{Actor, Operation, Service, open_server};
use portcullis::clock::Clock;
use portcullis::policy::compile::{Context, SourceFile, compile};
use portcullis::settings::Settings;
use portcullis::words::KeyId;
use serde_json::{Value, json};

/// Where the child finds its store; only the child has it.
const CHILD: &str = "PORTCULLIS_TEST_STORE";
/// How often the child is killed while it writes.
const DEATHS: u64 = 50;
/// How often a first start is killed.
const BIRTHS: u64 = 20;

const POLICY: &str = "
dimensions: { tenant: The customer }
permissions: { devices:view: See }
roles: { reader: { description: Reads, permissions: [devices:view] } }
";

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
    };
    let policy = compile(&[source], &context).unwrap();
    let settings = Settings::load(&folder.join("portcullis.yaml")).unwrap();
    open_server(&settings, policy.into(), Clock::System).unwrap()
}

fn ask(service: &Service, operation: Value) -> Value {
    let operation: Operation = serde_json::from_value(operation).unwrap();
    service.execute(operation, &Actor::Offline).unwrap()
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
