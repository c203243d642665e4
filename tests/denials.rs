//! Refusals are kept: found by their id, listed, followed and counted, across restarts, and within
//! bounds that strangers cannot use up for others.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Fixture, Gateway, Message, PATIENCE, Upstream, request, until};

fn id(answer: &Message) -> String {
    answer
        .header("x-request-id")
        .expect("every answer has one")
        .to_owned()
}

fn list(gateway: &Gateway, more: &[&str]) -> Vec<Value> {
    let listed = gateway.json(&[&["denials", "list"], more].concat());
    listed.as_array().expect("a list").clone()
}

/// Whatever is asked for is there by the time the answer has been read, or in a moment.
fn listed(gateway: &Gateway, id: &str) -> Value {
    let mut found = None;
    until("a denial to be listed", PATIENCE, || {
        found = list(gateway, &[])
            .into_iter()
            .find(|denial| denial["request_id"] == id);
        found.is_some()
    });
    found.expect("just found")
}

#[test]
fn a_refusal_holds_what_is_needed_to_follow_it_and_no_secret() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let key = gateway.account("ci", &["reader"]);
    let token = gateway.token(&key);
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("User-Agent", "builder/1.0"),
    ];
    let refused = gateway.send(&request("POST /v1/items?token=hush", &headers, b""));
    assert_eq!(refused.status(), 403);
    assert_eq!(gateway.ask("GET /v1/items/7", Some(&token)).status(), 200);

    let denial = listed(&gateway, &id(&refused));
    for (field, value) in [
        ("decision", "deny"),
        ("reason", "permission_missing"),
        ("method", "POST"),
        ("path", "/v1/items"),
        ("route", "POST /v1/items"),
        ("account", "ci"),
        ("key", key.id.as_str()),
        ("source", "127.0.0.1"),
        ("user_agent", "builder/1.0"),
        ("needs", "items:write"),
    ] {
        assert_eq!(denial[field], value, "{field}: {denial}");
    }
    assert_eq!(denial["status"], 403);
    assert_eq!(denial["missing"], serde_json::json!(["items:write"]));
    let text = denial.to_string();
    assert!(!text.contains("hush") && !text.contains(&token), "{text}");
    // What was let through is not kept.
    assert_eq!(list(&gateway, &[]).len(), 1);
}

#[test]
fn a_list_is_narrowed_by_what_one_looks_for() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let (ci, cd) = (
        gateway.account("ci", &["reader"]),
        gateway.account("cd", &["reader"]),
    );
    let (ci, cd) = (gateway.token(&ci), gateway.token(&cd));
    gateway.ask("POST /v1/items", Some(&ci));
    gateway.ask("DELETE /v1/items/7", Some(&cd));
    gateway.ask("GET /nowhere", Some(&cd));
    gateway.ask("GET /v1/items/7", None);
    until("four refusals to be listed", PATIENCE, || {
        list(&gateway, &[]).len() == 4
    });

    let count = |more: &str| list(&gateway, &more.split(' ').collect::<Vec<_>>()).len();
    assert_eq!(count("--account ci"), 1);
    assert_eq!(count("--account cd"), 2);
    assert_eq!(count("--reason permission_missing"), 2);
    assert_eq!(count("--route DELETE"), 1);
    assert_eq!(count("--since 1h"), 4);
    assert_eq!(count("--since 2099-01-01T00:00:00Z"), 0);
    assert_eq!(count("--shadow"), 0);
    assert_eq!(count("--limit 3"), 3);
    let times: Vec<_> = list(&gateway, &[])
        .iter()
        .map(|denial| denial["at"].to_string())
        .collect();
    assert!(
        times.is_sorted_by(|one, other| one >= other),
        "newest first: {times:?}"
    );
    let table = gateway.cli(&["denials", "list"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("REQUEST ID") && table.contains("DELETE /v1/items/7"),
        "{table}"
    );
    let wrong = gateway.cli(&["denials", "list", "--reason", "permision_missing"]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said.contains("permission_missing"), "{said}");
}

#[test]
fn refusals_and_their_counts_outlive_a_kill() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream).start();
    let key = gateway.account("ci", &["reader"]);
    let token = gateway.token(&key);
    let first = gateway.ask("POST /v1/items", Some(&token));
    gateway.ask("POST /v1/items", Some(&token));
    // Written within a second; what is killed before that is lost, and that is all.
    until("the store to know", PATIENCE, || {
        let rows = rusqlite_count(&gateway, "SELECT count(*) FROM denials");
        rows == 2 && rusqlite_count(&gateway, "SELECT count(*) FROM denial_groups") == 1
    });
    gateway.crash();
    assert_eq!(listed(&gateway, &id(&first))["account"], "ci");
    let token = gateway.token(&key);
    gateway.ask("POST /v1/items", Some(&token));
    let mut top = Value::Null;
    until("three to be counted", PATIENCE, || {
        top = gateway.json(&["denials", "top"]);
        top[0]["count"] == 3
    });
    assert_eq!(
        (&top[0]["account"], &top[0]["permission"], &top[0]["route"]),
        (
            &"ci".into(),
            &"items:write".into(),
            &"POST /v1/items".into()
        )
    );
    // And without a server the store is asked.
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    assert_eq!(list(&gateway, &[]).len(), 3);
    assert_eq!(gateway.json(&["denials", "top"])[0]["count"], 3);
}

fn rusqlite_count(gateway: &Gateway, query: &str) -> i64 {
    let path = gateway.files().path("portcullis.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let store = rusqlite::Connection::open_with_flags(path, flags).unwrap();
    store.query_row(query, [], |row| row.get(0)).unwrap_or(0)
}

#[test]
fn a_flood_of_strangers_leaves_the_refusals_of_accounts_alone() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .settings("denials: { known: 50, strangers: 20, groups: 10, stored: 30 }")
        .start();
    let key = gateway.account("ci", &["reader"]);
    let refused = gateway.ask("POST /v1/items", Some(&gateway.token(&key)));
    assert_eq!(refused.status(), 403);
    listed(&gateway, &id(&refused));
    for number in 0..300 {
        let agent = format!("scanner/{number}");
        gateway.send(&request("GET /v1/items/7", &[("User-Agent", &agent)], b""));
    }
    let all = list(&gateway, &["--limit", "1000"]);
    assert!(all.len() <= 30, "{}", all.len());
    assert!(
        all.iter()
            .any(|denial| denial["request_id"] == id(&refused).as_str())
    );
    let top = gateway.json(&["denials", "top"]);
    let top = top.as_array().unwrap();
    assert!(
        top.len() <= 11 && top.iter().any(|group| group["account"] == "ci"),
        "{top:?}"
    );
}

#[test]
fn without_a_store_they_are_in_memory_alone() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream).store("none").start();
    let refused = gateway.ask("GET /v1/items/7", None);
    assert_eq!(listed(&gateway, &id(&refused))["path"], "/v1/items/7");
    gateway.crash();
    assert!(list(&gateway, &[]).is_empty());
}

#[test]
fn shadow_mode_shows_who_would_break() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).upstream("shadow: true").start();
    let key = gateway.account("ci", &["reader"]);
    let token = gateway.token(&key);
    assert_eq!(gateway.ask("POST /v1/items", Some(&token)).status(), 200);
    for _ in 0..3 {
        let headers = [("User-Agent", "old-cron/2")];
        assert_eq!(
            gateway
                .send(&request("GET /v1/items/7", &headers, b""))
                .status(),
            200
        );
    }
    let mut top = Value::Null;
    until("four to be counted", PATIENCE, || {
        top = gateway.json(&["denials", "top", "--shadow"]);
        top[0]["count"] == 3 && top[1]["count"] == 1
    });
    assert_eq!(top[0]["source"], "127.0.0.1");
    assert_eq!(top[0]["user_agent"], "old-cron/2");
    assert_eq!(top[0]["permission"], "items:read");
    assert_eq!(top[1]["account"], "ci");
    assert_eq!(top[1]["decision"], "shadow_deny");
    assert_eq!(list(&gateway, &["--shadow"]).len(), 4);
}

#[test]
fn who_follows_sees_refusals_as_they_come() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let mut tail = gateway
        .files()
        .command(&["denials", "tail", "-o", "jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let (say, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = say.send(line);
        }
    });
    // It begins where it begins; until then refusals are before its time.
    let mut line = None;
    until("the tail to show something", PATIENCE, || {
        gateway.ask("GET /v1/items/7", None);
        line = heard.try_recv().ok();
        line.is_some()
    });
    let denial: Value = serde_json::from_str(&line.unwrap()).unwrap();
    assert_eq!(denial["reason"], "credential_missing");
    // As the system ends it, like Ctrl-C; that one is ignored by all that a script puts behind it by `&`.
    kill_process(Pid::from_child(&tail), Signal::TERM).unwrap();
    let ended = tail.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}

#[test]
fn whoever_keeps_nothing_still_refuses() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).settings("denials: off").start();
    let refused = gateway.ask("GET /v1/items/7", None);
    assert_eq!(refused.status(), 401);
    assert_eq!(
        gateway.decision_of(&refused)["portcullis.reason"],
        "credential_missing"
    );
    assert!(list(&gateway, &[]).is_empty());
}
