//! Who changed what is on record: listed, followed, handed to a SIEM, and proven to be whole (G16, G17).
//! That nothing is changed where no record can be written (G18) is tried beside the service.

mod handed_on;
mod long_trail;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{Files, Fixture, Gateway, PATIENCE, Upstream, until};

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Runs `line`, which must end with `code`; what it printed.
fn ends(files: &Files, line: &str, code: i32) -> String {
    let output = files.cli(&words(line));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{line}: {told}");
    out(&output) + &told
}

fn list(gateway: &Gateway, more: &str) -> Vec<Value> {
    let listed = gateway.json(&[&["audit", "list"], &*words(more)].concat());
    listed.as_array().expect("a list").clone()
}

fn events(records: &[Value]) -> Vec<&str> {
    let event = |record| -> &str {
        let record: &Value = record;
        record["event.name"].as_str().expect("a name")
    };
    records.iter().map(event).collect()
}

fn lines(text: &str) -> Vec<Value> {
    let read = |line| serde_json::from_str(line).expect("one object a line");
    text.lines().map(read).collect()
}

fn numbers(records: &[Value]) -> Vec<u64> {
    let number = |record: &Value| record["event.sequence"].as_u64().expect("a number");
    records.iter().map(number).collect()
}

#[test]
fn who_changed_what_is_listed_with_user_process_and_what_came_of_it() {
    let gateway = Fixture::new(&Upstream::start()).start();
    let key = gateway.account("ci", &["reader"]);
    ends(gateway.files(), "accounts create ci", 6);
    let records = list(&gateway, "--account ci");
    assert_eq!(
        events(&records),
        [
            "audit.account.create",
            "audit.key.create",
            "audit.account.create"
        ],
        "newest first"
    );
    assert_eq!(records[0]["event.outcome"], "failure");
    assert_eq!(records[0]["error.type"], "conflict");
    assert_eq!(records[1]["portcullis.object.id"], key.id);
    let me = rustix::process::geteuid().as_raw().to_string();
    for record in &records {
        assert_eq!(record["portcullis.actor.kind"], "control_socket");
        assert_eq!(record["user.id"], me);
        assert!(record["process.pid"].is_u64(), "{record}");
        assert!(record["portcullis.request_id"].is_string(), "{record}");
        assert!(record["service.instance.id"].is_string(), "{record}");
    }
    assert_eq!(list(&gateway, "--event key.create").len(), 1);
    assert_eq!(
        list(&gateway, "--event key --until 2020-01-01T00:00:00Z").len(),
        0
    );
    assert_eq!(
        events(&list(&gateway, "--actor gateway --limit 1")),
        ["audit.gateway.start"]
    );
    let table = ends(gateway.files(), "audit list --limit 2 --event account", 0);
    assert!(
        table.contains("NUMBER") && table.contains("account ci"),
        "{table}"
    );
    assert!(table.contains("add `--before "), "{table}");
    // Whatever it is, the log says it too.
    gateway.wait_for_log("account.create");
    assert!(!gateway.printed().contains(&key.secret));
}

#[test]
fn an_export_goes_on_where_the_last_one_ended_and_loses_nothing() {
    let gateway = Fixture::new(&Upstream::start()).start();
    gateway.account("ci", &["reader"]);
    let cursor = gateway.files().path("siem.cursor");
    let export = format!("audit export --cursor {}", cursor.display());
    let first = lines(&ends(gateway.files(), &export, 0));
    assert_eq!(
        events(&first)[..2],
        ["audit.store.create", "audit.gateway.start"]
    );
    assert_eq!(
        numbers(&first),
        (1..=first.len() as u64).collect::<Vec<_>>()
    );
    ends(gateway.files(), "accounts disable ci", 0);
    let second = lines(&ends(gateway.files(), &export, 0));
    assert_eq!(numbers(&second)[0], first.len() as u64 + 1);
    assert!(events(&second).contains(&"audit.account.disable"));
    let after = format!(
        "audit export --after {} --event account.disable",
        first.len()
    );
    assert_eq!(lines(&ends(gateway.files(), &after, 0)).len(), 1);
    fs::write(&cursor, "x").unwrap();
    assert!(ends(gateway.files(), &export, 2).contains("is no cursor"));
}

/// How the trail goes on is seen from outside: how many records, how fresh, and how far somebody else has
/// it.
#[test]
fn the_metrics_say_how_far_the_trail_is_and_how_far_it_was_handed_on() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let figure = |name: &str| -> f64 {
        let metrics = gateway.ops("/metrics");
        let metrics = metrics.text();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
            .parse()
            .unwrap()
    };
    let head = figure("portcullis_audit_head");
    assert!(head >= 1.0, "the start is on record");
    let before = figure("portcullis_audit_records_total");
    gateway.json(&words("accounts create ci"));
    gateway.json(&words("accounts disable ci"));
    assert!((figure("portcullis_audit_records_total") - before - 2.0).abs() < 0.5);
    assert!((figure("portcullis_audit_head") - head - 2.0).abs() < 0.5);
    assert!(figure("portcullis_audit_last_record_timestamp_seconds") > 1.7e9);
    assert!(figure("portcullis_audit_failures_total") < 0.5);
    assert!(figure("portcullis_audit_exported") < 0.5);
    // A part of it is not it; what is behind the cursor is.
    let export = |more: &str| ends(gateway.files(), &format!("audit export {more}"), 0);
    let cursor = gateway.files().path("cursor").display().to_string();
    export(&format!("--event account --cursor {cursor}-of-accounts"));
    export(&format!("--event account --cursor {cursor}-of-accounts"));
    assert!(figure("portcullis_audit_exported") < 0.5);
    export(&format!("--cursor {cursor}"));
    export(&format!("--cursor {cursor}"));
    assert!(figure("portcullis_audit_exported") >= head + 2.0);
}

#[test]
fn who_follows_hears_of_a_change_when_it_is_made() {
    let gateway = Fixture::new(&Upstream::start()).start();
    let mut child = gateway
        .files()
        .command(&["audit", "tail", "--event", "account", "-o", "jsonl"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    until("the follower to be on record", PATIENCE, || {
        !list(&gateway, "--event audit.follow").is_empty()
    });
    ends(gateway.files(), "accounts create ci", 0);
    let mut told = String::new();
    let mut reader = BufReader::new(child.stdout.take().expect("it was piped"));
    reader.read_line(&mut told).unwrap();
    assert_eq!(lines(&told)[0]["portcullis.object.name"], "ci");
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("it runs"), Signal::TERM).unwrap();
    child.wait().unwrap();
    assert_eq!(list(&gateway, "--event audit.follow").len(), 1, "one look");
}

#[test]
fn what_was_tampered_with_is_named_and_an_anchor_knows_what_was_cut_off() {
    let gateway = Fixture::new(&Upstream::start()).start();
    gateway.account("ci", &["reader"]);
    let files = gateway.files().clone();
    ends(&files, "accounts create rogue", 0);
    let anchors = files.path("anchors.txt");
    fs::write(&anchors, out(&files.cli(&["audit", "anchor"]))).unwrap();
    let verify = format!("audit verify --anchor {} -o json", anchors.display());
    let told: Value = serde_json::from_str(&ends(&files, &verify, 0)).unwrap();
    assert_eq!(told["whole"], true);
    assert!(told["records"].as_u64() > Some(4), "{told}");
    drop(gateway);

    // No server runs now: the same commands read the store themselves.
    let listed: Value =
        serde_json::from_str(&ends(&files, "audit list --account rogue -o json", 0)).unwrap();
    let number = listed[0]["event.sequence"].as_u64().expect("a number");
    ends(&files, &verify, 0);
    let tamper = |sql: &str| {
        let connection = rusqlite::Connection::open(files.path("portcullis.db")).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    tamper(&format!("DELETE FROM audit WHERE number = {number}"));
    let output = files.cli(&words("audit verify -o json"));
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(told["whole"], false);
    assert_eq!(told["record"], number);
    assert_eq!(told["fault"], format!("record {number} is missing"));
    // Where nobody asks for the record that is gone, the rest is whole.
    ends(&files, &format!("audit verify --after {}", number + 1), 0);
    ends(&files, &format!("audit verify --after {number}"), 1);
    tamper("DELETE FROM audit; DELETE FROM audit_ends");
    assert!(ends(&files, &verify, 1).contains("fault"));
    fs::write(&anchors, "x").unwrap();
    assert!(ends(&files, &verify, 2).contains("anchors.txt:1: `x` is no anchor"));
}

#[test]
fn a_reload_is_on_record_whoever_asked_for_it_and_a_refused_one_too() {
    let gateway = Fixture::new(&Upstream::start()).start();
    let reloads = || list(&gateway, "--event policy.reload");
    ends(gateway.files(), "reload", 0);
    let by_command = reloads();
    assert_eq!(by_command.len(), 1, "{by_command:?}");
    assert_eq!(by_command[0]["portcullis.actor.kind"], "control_socket");
    assert!(by_command[0]["portcullis.after"]["policy"].is_string());
    gateway.files().write("policies/broken.yaml", "rotes: {}\n");
    until("the edit to be refused", PATIENCE, || reloads().len() > 1);
    let refused = &reloads()[0];
    assert_eq!(refused["portcullis.actor.kind"], "gateway");
    assert_eq!(refused["error.type"], "invalid");
    let said = refused["error.message"].as_str().unwrap();
    assert!(said.contains("broken.yaml:1"), "{said}");
}

#[test]
fn every_command_that_changes_something_leaves_one_record() {
    let gateway = Fixture::new(&Upstream::start()).start();
    let key = gateway.account("ci", &["reader"]);
    let end = |count: usize| list(&gateway, &format!("--limit {count}"));
    for (line, code, event) in [
        // What is refused comes first, while each of it has a record of its own.
        ("accounts delete nobody --yes", 5, "account.delete"),
        ("accounts update ci --description x", 0, "account.update"),
        (
            "accounts grant ci --role reader --within tenant=a",
            5,
            "account.grant",
        ),
        ("accounts disable ci", 0, "account.disable"),
        ("accounts enable ci", 0, "account.enable"),
        ("groups create night", 0, "group.create"),
        ("groups add night ci", 0, "group.add"),
        ("groups remove night ci", 0, "group.remove"),
        ("groups delete night --yes", 0, "group.delete"),
        (&format!("keys rotate {}", key.id), 0, "key.rotate"),
        (&format!("keys expire {}", key.id), 0, "key.expire"),
        ("accounts delete ci --yes", 0, "account.delete"),
    ] {
        let before = numbers(&end(1))[0];
        ends(gateway.files(), line, code);
        let records = end(2);
        // What was done, behind the list of before: the first lists have a record each, later ones are
        // counted together.
        let since = numbers(&records)[0] - before;
        assert!((1..=2).contains(&since), "{line}: {since} records");
        assert_eq!(events(&records)[0], format!("audit.{event}"), "{line}");
        let outcome = if code == 0 { "success" } else { "failure" };
        assert_eq!(records[0]["event.outcome"], outcome, "{line}");
    }
    ends(gateway.files(), "audit verify", 0);
}

#[test]
fn without_a_store_the_log_has_it_and_the_command_says_so() {
    let gateway = Fixture::new(&Upstream::start()).store("none").start();
    for line in ["audit list", "audit export", "audit verify", "audit anchor"] {
        let told = ends(gateway.files(), line, 6);
        assert!(
            told.contains("`store: none`") && told.contains("log"),
            "{told}"
        );
    }
    ends(gateway.files(), "reload", 0);
    assert!(
        gateway
            .wait_for_log("policy.reload")
            .contains("asked by an operator")
    );
}

/// Held by the tests that kill: what is in the store is on record, what is on record is in the store,
/// and the trail is whole.
pub(crate) fn agrees(ask: &mut dyn FnMut(Value) -> Value) {
    let mut keys = [BTreeSet::new(), BTreeSet::new()];
    let mut grants = std::collections::BTreeMap::<String, usize>::new();
    let mut after = 0;
    loop {
        let page = ask(json!({
            "operation": "audit_follow", "after": after, "filter": { "limit": 1000 },
        }));
        for record in page["records"].as_array().unwrap() {
            if record["event.outcome"] != "success" {
                continue;
            }
            let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
            match record["event.name"].as_str().unwrap() {
                "audit.key.create" => drop(keys[0].insert(text("portcullis.object.id"))),
                "audit.key.expire" => drop(keys[1].insert(text("portcullis.object.id"))),
                "audit.account.create" | "audit.account.grant" => {
                    let given = record["portcullis.after"]["grants"]
                        .as_array()
                        .unwrap()
                        .len();
                    *grants.entry(text("portcullis.object.name")).or_default() += given;
                }
                _ => {}
            }
        }
        after = page["next"].as_u64().unwrap();
        if page["more"] == false {
            break;
        }
    }
    let listed = ask(json!({ "operation": "keys_list" }));
    let ids = |wanted: &dyn Fn(&Value) -> bool| -> BTreeSet<String> {
        let keys = listed.as_array().unwrap().iter();
        let id = |key: &Value| key["id"].as_str().unwrap().to_owned();
        keys.filter(|key| wanted(key)).map(id).collect()
    };
    assert_eq!(ids(&|_| true), keys[0], "keys, and records of keys");
    assert_eq!(ids(&|key| !key["expires_at"].is_null()), keys[1]);
    for account in ask(json!({ "operation": "accounts_list" }))
        .as_array()
        .unwrap()
    {
        let name = account["name"].as_str().unwrap();
        let held = account["grants"].as_array().unwrap().len();
        assert_eq!(
            Some(&held),
            grants.get(name),
            "grants of {name}, and records of them"
        );
    }
    let mut after = Value::Null;
    loop {
        let page = ask(json!({ "operation": "audit_verify", "after": after }));
        assert_eq!(page["fault"], Value::Null);
        after = page["through"].clone();
        if page["done"] == true {
            break;
        }
    }
}
