//! What is acknowledged survives `kill -9` at any instant.
//!
//! Twice: the server itself is killed while operators change things and requests flow, and what it
//! acknowledged is asked for on the wire. And the test starts itself anew as a child that does
//! nothing but change a store in every way there is and say so, which dies inside a change far more
//! often (F27).

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use portcullis::admin::{Operation, control};
use portcullis::store::{Records, Sqlite, Store as _, StoreError, pepper_path};
use serde_json::{Value, json};

use crate::audit::agrees;
use crate::harness::long::{is_strict, passed, sized};
use crate::harness::{Client, Fixture, Gateway, Key, PATIENCE, Upstream, request};
use crate::store::{Apply as _, change, time};

/// Where the child finds its store; only the child has it.
const CHILD: &str = "PORTCULLIS_TEST_STORE";

/// Longest time that a store may take to open after a kill, where nothing else is at work.
const OPENS: Duration = Duration::from_secs(2);

/// How often the child is killed while it writes.
fn deaths() -> u64 {
    sized(60, 600)
}

/// How often the server is killed.
fn crashes() -> usize {
    sized(40, 400)
}

/// How often a first start is killed.
const BIRTHS: u64 = 20;

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
    for crash in 0..crashes() {
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
            std::thread::sleep(Duration::from_micros(chance(crash as u64) % 5000));
            gateway.crash();
            answered += requests.join().unwrap();
            operator.join().unwrap()
        });
        Wire::to(&gateway).holds(&learnt);
        facts.extend(learnt);
    }
    assert!(answered > crashes(), "hardly a request was under way");
    assert!(facts.len() > 3 * crashes(), "hardly anything was changed");
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

/// What there is, in a number: equal for equal records.
fn digest(records: &Records) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{records:?}").hash(&mut hasher);
    hasher.finish()
}

/// Numbers that look like chance and come back the same.
fn chance(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn opened(folder: &Path) -> Sqlite {
    let path = folder.join("p.db");
    Sqlite::open(&path, &pepper_path(&path), time(1)).unwrap().0
}

/// Law: after a kill the store is as the last change left it that was acknowledged, or as the one does
/// that was under way; and its trail is whole.
#[test]
fn whatever_change_a_kill_meets_the_store_is_before_it_or_after_it() {
    let folder = tempfile::tempdir().unwrap();
    drop(opened(folder.path()));
    let (mut said, mut slowest) = (0, Duration::ZERO);
    let mut kinds = std::collections::BTreeSet::new();
    for death in 0..deaths() {
        let before = digest(&opened(folder.path()).load().unwrap());
        let mut child = start_child(folder.path(), death);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.starts_with("will "));
        let mut heard: Vec<_> = first.into_iter().collect();
        // Another number of changes, and another moment within one, each time.
        let wanted = chance(death) % 40;
        heard.extend(lines.by_ref().map(Result::unwrap).take(wanted as usize * 3));
        std::thread::sleep(Duration::from_micros(chance(death + 1) % 5_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let (mut last, mut next) = (before, None);
        // What it said with its last breath was said.
        for line in heard.into_iter().chain(lines.map(Result::unwrap)) {
            let words: Vec<_> = line.split(' ').collect();
            match words.as_slice() {
                ["will", kind, digest, "."] => {
                    kinds.insert((*kind).to_owned());
                    next = Some(digest.parse::<u64>().unwrap());
                }
                ["done", "."] => {
                    last = next.take().expect("what is done was begun");
                    said += 1;
                }
                ["refused", "."] => next = None,
                // The line the kill cut short was not said.
                _ => {}
            }
        }
        let began = std::time::Instant::now();
        let store = opened(folder.path());
        slowest = slowest.max(began.elapsed());
        let found = digest(&store.load().unwrap());
        assert!(
            found == last || Some(found) == next,
            "death {death}: lost or half"
        );
        let head = store.audit_anchor(time(1)).unwrap().number;
        let checked = store.check_audit(Some(head.saturating_sub(500))).unwrap();
        assert_eq!(checked.fault, None, "death {death}");
    }
    assert!(said > deaths(), "the child said almost nothing: {said}");
    assert!(kinds.len() > 18, "few kinds of change: {kinds:?}");
    assert!(!is_strict() || slowest <= OPENS, "opens in {slowest:?}");
    passed(
        "F27",
        &format!(
            "{} kills in {} kinds of change, {said} acknowledged, none lost; opens in {slowest:?}",
            deaths() + crashes() as u64,
            kinds.len()
        ),
    );
}

#[test]
fn a_first_start_that_is_killed_leaves_a_store_that_opens() {
    let mut begun = 0;
    for birth in 0..BIRTHS {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start_child(folder.path(), 0);
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        // From its first file on, and not from when it was started: before that there is nothing to kill.
        let began = std::time::Instant::now();
        while files() == 0 && began.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(birth * birth * 100));
        child.kill().unwrap();
        child.wait().unwrap();
        begun += u64::from(files() > 0);
        let mut store = opened(folder.path());
        let change = change(&Records::default(), (0, 1, 1), time(2)).unwrap();
        // The child may have made it already.
        let made = store.apply(&change);
        assert!(made.is_ok() || matches!(made, Err(StoreError::Conflict(_))));
    }
    assert_eq!(begun, BIRTHS, "there was nothing to kill");
}

/// The child's side; nothing when it is run as a test among others.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let round = std::env::args().next_back().unwrap();
    let round: u64 = round.trim_start_matches("round=").parse().unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{line} .")
            .and_then(|()| out.flush())
            .unwrap();
    };
    let mut store = opened(&folder);
    let mut model = store.load().unwrap();
    for number in 0..100_000_u64 {
        let [kind, a, b, ..] = chance(round << 32 | number).to_be_bytes();
        let Some(change) = change(&model, (kind, a, b), time(1000 + round * 100_000 + number))
        else {
            continue;
        };
        let mut after = model.clone();
        after.apply(&change);
        let name = format!("{change:?}");
        let name: String = name
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        say(format!("will {name} {}", digest(&after)));
        match store.apply(&change) {
            Ok(()) => {
                model = after;
                say("done".to_owned());
            }
            Err(_) => say("refused".to_owned()),
        }
    }
}

fn start_child(folder: &Path, round: u64) -> Child {
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
