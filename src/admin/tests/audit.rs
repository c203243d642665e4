//! The audit trail: one record for everything that is asked for, and nothing that happens to the trail
//! stays unseen.

use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::world::{FILED, POLICY, START, World};
use crate::admin::trail::Trail;
use crate::admin::{Actor, ErrorKind, Operation};
use crate::audit::Anchor;
use crate::store::pepper_path;

impl World {
    fn records(&self) -> Vec<Value> {
        let asked = json!({ "operation": "audit_follow", "after": 0, "filter": { "limit": 1000 } });
        let answer = self.done(asked);
        answer["records"].as_array().unwrap().clone()
    }

    /// The records that are no looks at the trail itself.
    fn changes(&self) -> Vec<Value> {
        let mut records = self.records();
        records.retain(|record| !record["event.name"].as_str().unwrap().contains(".audit."));
        records
    }

    fn last(&self, event: &str) -> Value {
        let filter = json!({ "event": event, "limit": 1 });
        let answer = self.done(json!({ "operation": "audit_list", "filter": filter }));
        answer["records"][0].clone()
    }

    fn anchor(&self) -> Anchor {
        serde_json::from_value(self.done(json!({ "operation": "audit_anchor" }))).unwrap()
    }

    /// What is wrong with the trail: the first bad record and the sentence.
    fn fault(&self, anchors: &[Anchor]) -> Option<(Option<u64>, String)> {
        let asked = json!({ "operation": "audit_verify", "anchors": anchors });
        let fault = self.done(asked)["fault"].take();
        let message = fault["message"].as_str()?.to_owned();
        Some((fault["record"].as_u64(), message))
    }

    /// What somebody does who has the file and nothing else.
    fn tamper(&self, sql: &str) {
        let connection = Connection::open(self.folder.path().join("p.db")).unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

fn some_accounts(count: usize) -> World {
    let world = World::new(&[POLICY]);
    for number in 0..count {
        world.done(json!({ "operation": "accounts_create", "name": format!("a{number}") }));
    }
    world
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_operation_leaves_the_record_it_should_and_one_that_is_refused_too() {
    let world = World::new(&[POLICY, FILED]);
    world.done(json!({ "operation": "accounts_create", "name": "ci" }));
    let key = world.done(json!({ "operation": "keys_create", "account": "ci" }))["id"].clone();
    let cases = [
        (
            json!({ "operation": "accounts_grant", "name": "ci", "role": "reader" }),
            "account.grant",
        ),
        (
            json!({ "operation": "accounts_create", "name": "ci" }),
            "account.create!conflict",
        ),
        (
            json!({ "operation": "accounts_create", "name": "nightly" }),
            "account.create!conflict",
        ),
        (
            json!({ "operation": "accounts_delete", "name": "nobody" }),
            "account.delete!not_found",
        ),
        (
            json!({ "operation": "accounts_grant", "name": "ci", "role": "no" }),
            "account.grant!not_found",
        ),
        (
            json!({ "operation": "accounts_disable", "name": "nightly" }),
            "account.disable",
        ),
        (
            json!({ "operation": "keys_expire", "key": key }),
            "key.expire",
        ),
        // It was over already: nothing changes, and somebody asked.
        (
            json!({ "operation": "keys_expire", "key": key }),
            "key.expire",
        ),
        (json!({ "operation": "keys_list" }), "key.list"),
        (
            json!({ "operation": "tokens_inspect", "token": "x" }),
            "token.inspect",
        ),
        (
            json!({ "operation": "tokens_issue", "account": "nobody" }),
            "token.issue!not_found",
        ),
        (json!({ "operation": "denials_list" }), "denial.list"),
        (
            json!({ "operation": "reload" }),
            "policy.reload!unavailable",
        ),
        (json!({ "operation": "drain" }), "gateway.drain!unavailable"),
        (json!({ "operation": "accounts_list" }), ""),
        (json!({ "operation": "status" }), ""),
    ];
    for (operation, expected) in cases {
        let before = world.changes().len();
        drop(world.ask(operation.clone()));
        let new = world.changes().split_off(before);
        let told: Vec<_> = new.iter().map(said).collect();
        let expected: Vec<_> = [expected]
            .into_iter()
            .filter(|one| !one.is_empty())
            .collect();
        assert_eq!(told, expected, "{operation}");
    }
    assert_eq!(world.fault(&[]), None);
}

/// `event`, or `event!error`.
fn said(record: &Value) -> String {
    let event = record["event.name"].as_str().unwrap();
    let event = event.strip_prefix("audit.").unwrap();
    let outcome = record["event.outcome"].as_str().unwrap();
    match record["error.type"].as_str() {
        None => {
            assert_eq!(outcome, "success");
            event.to_owned()
        }
        Some(error) => {
            assert_eq!(outcome, "failure");
            format!("{event}!{error}")
        }
    }
}

/// What somebody at the control socket asks.
fn alice(world: &World, operation: Value) -> Value {
    let operation: Operation = serde_json::from_value(operation).unwrap();
    let actor = Actor::ControlSocket {
        uid: 1000,
        user: Some("alice".to_owned()),
        pid: Some(77),
    };
    world.service.execute(operation, &actor).unwrap()
}

#[test]
fn a_record_says_who_what_when_and_what_was_before_and_after() {
    let world = World::new(&[POLICY]);
    let ask = |operation| alice(&world, operation);
    ask(json!({ "operation": "accounts_create", "name": "ci",
        "grants": [{ "role": "reader" }] }));
    ask(
        json!({ "operation": "accounts_grant", "name": "ci", "role": "operator",
        "within": { "tenant": ["acme"] } }),
    );
    let record = world.last("account.grant");
    for (field, value) in [
        ("timestamp", json!(START)),
        ("event.name", json!("audit.account.grant")),
        ("event.outcome", json!("success")),
        ("portcullis.actor.kind", json!("control_socket")),
        ("user.id", json!("1000")),
        ("user.name", json!("alice")),
        ("process.pid", json!(77)),
        ("portcullis.object.kind", json!("account")),
        ("portcullis.object.name", json!("ci")),
        ("portcullis.account.name", json!("ci")),
        (
            "portcullis.asked",
            json!("account `ci`, role `operator`, tenant acme"),
        ),
        ("service.instance.id", json!(world.service.instance())),
        // Of the grants, the one that is new.
        ("portcullis.before", json!({ "grants": [] })),
        (
            "portcullis.after",
            json!({ "grants": [{ "role": "operator", "within": { "tenant": ["acme"] } }] }),
        ),
    ] {
        assert_eq!(record[field], value, "{field}: {record}");
    }
    assert!(record["portcullis.request_id"].is_string());
    assert_eq!(record["event.hash"].as_str().unwrap().len(), 64);
}

#[test]
fn what_becomes_of_keys_is_told_of_each() {
    let world = World::new(&[POLICY]);
    let ask = |operation| alice(&world, operation);
    ask(json!({ "operation": "accounts_create", "name": "ci" }));
    let key = ask(json!({ "operation": "keys_create", "account": "ci" }))["id"].clone();
    assert_eq!(world.last("key.create")["portcullis.after"]["id"], key);
    let new = ask(json!({ "operation": "keys_rotate", "key": key, "overlap_seconds": 60 }));
    let record = world.last("key.rotate");
    assert_eq!(record["portcullis.object.id"], key);
    assert_eq!(record["portcullis.account.name"], "ci");
    assert_eq!(record["portcullis.before"]["expires_at"], Value::Null);
    assert_eq!(record["portcullis.after"]["replaced_by"]["id"], new["id"]);
    ask(json!({ "operation": "accounts_delete", "name": "ci" }));
    let record = world.last("account.delete");
    assert_eq!(record["portcullis.before"]["name"], "ci");
    assert_eq!(
        record["portcullis.before"]["keys"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(record.get("portcullis.after"), None);
}

#[test]
fn what_calls_by_the_api_is_recorded_with_its_account_key_address_and_call() {
    let world = World::new(&[POLICY]);
    let request_id = "019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70";
    let actor = Actor::Api {
        account: "manager".parse().unwrap(),
        account_id: "sa_manager".parse().unwrap(),
        key: None,
        address: "192.0.2.7".parse().unwrap(),
        request_id: request_id.parse().unwrap(),
    };
    let operation = json!({ "operation": "accounts_create", "name": "ci" });
    let operation: Operation = serde_json::from_value(operation).unwrap();
    world.service.execute(operation.clone(), &actor).unwrap();
    world.service.execute(operation, &actor).unwrap_err();
    let filter = json!({ "actor": "manager" });
    let records =
        world.done(json!({ "operation": "audit_list", "filter": filter }))["records"].take();
    let told: Vec<_> = records.as_array().unwrap().iter().map(said).collect();
    assert_eq!(told, ["account.create!conflict", "account.create"]);
    assert_eq!(records[0]["client.address"], "192.0.2.7");
    assert_eq!(records[0]["portcullis.request_id"], request_id);
    assert_eq!(records[0]["portcullis.actor.account.id"], "sa_manager");
}

#[test]
fn no_record_holds_a_secret_a_digest_or_the_pepper() {
    let world = World::new(&[POLICY]);
    world.done(json!({ "operation": "accounts_create", "name": "ci" }));
    let mut forbidden = Vec::new();
    let mut hide = |bytes: &[u8]| {
        forbidden.push(
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        );
        forbidden.push(format!("{bytes:?}"));
        forbidden.push(format!("{bytes:?}").replace(' ', ""));
        forbidden.push(base64::Engine::encode(
            &base64::prelude::BASE64_STANDARD_NO_PAD,
            bytes,
        ));
    };
    let key = world.done(json!({ "operation": "keys_create", "account": "ci" }));
    let secret = key["secret"].as_str().unwrap().to_owned();
    let rotated = json!({ "operation": "keys_rotate", "key": key["id"], "overlap_seconds": 0 });
    let rotated = world.done(rotated)["secret"].as_str().unwrap().to_owned();
    let token = world.done(json!({ "operation": "tokens_issue", "account": "ci" }));
    let token = token["access_token"].as_str().unwrap().to_owned();
    world.done(json!({ "operation": "tokens_inspect", "token": token }));
    // People paste secrets where they do not belong.
    let pasted = format!("{secret} and {token}");
    world.done(json!({ "operation": "accounts_update", "name": "ci", "description": pasted }));
    let records = world.service.lock().unwrap().store.load().unwrap();
    records.keys().for_each(|key| hide(&key.digest));
    records
        .signing_keys
        .iter()
        .for_each(|key| hide(&key.wrapped));
    hide(&std::fs::read(pepper_path(&world.folder.path().join("p.db"))).unwrap());
    let body = |secret: &str| secret.trim_start_matches("pcs_").to_owned();
    let signature = token.rsplit('.').next().unwrap().to_owned();
    forbidden.extend([body(&secret), body(&rotated), signature]);
    let text = json!(world.records()).to_string();
    assert!(text.contains("pcs_\u{2026}"));
    for secret in forbidden {
        assert!(!text.contains(&secret), "{secret} stands in the trail");
    }
}

#[test]
fn who_follows_is_recorded_once_and_who_comes_again_later_again() {
    let world = World::new(&[POLICY]);
    let looks = || world.last("audit.follow")["event.sequence"].as_u64();
    let first = world.records().len();
    world.records();
    assert_eq!(
        world.records().len(),
        first + 1,
        "one look, seen by the second"
    );
    let before = looks();
    world.clock.advance(Duration::from_secs(61));
    world.records();
    assert!(looks() > before);
}

#[test]
fn a_list_is_narrowed_and_turned_page_by_page() {
    let world = some_accounts(5);
    world.done(json!({ "operation": "accounts_disable", "name": "a3" }));
    let list = |filter: Value| {
        let answer = world.done(json!({ "operation": "audit_list", "filter": filter }));
        let records = answer["records"].as_array().unwrap();
        let numbers: Vec<_> = records
            .iter()
            .map(|one| one["event.sequence"].as_u64().unwrap())
            .collect();
        (numbers, answer["next"].as_u64())
    };
    let (created, next) = list(json!({ "event": "account.create", "limit": 2 }));
    assert_eq!((created.as_slice(), next), (&[7, 6][..], Some(6)));
    let older = list(json!({ "event": "account.create", "limit": 5, "before": 6 }));
    assert_eq!(older, (vec![5, 4, 3], None));
    assert_eq!(list(json!({ "event": "account" })).0.len(), 6);
    assert_eq!(list(json!({ "event": "acc" })).0.len(), 0);
    assert_eq!(list(json!({ "account": "a3" })).0, [8, 6]);
    assert_eq!(list(json!({ "actor": "gateway" })).0, [2, 1]);
    assert_eq!(list(json!({ "until": START })).0.len(), 0);
    assert_eq!(list(json!({ "account": "a3", "since": START })).0.len(), 2);
}

#[test]
fn whatever_is_done_to_the_rows_is_found_at_the_first_bad_one() {
    let cases = [
        (
            "UPDATE audit SET record = replace(record, 'a1', 'zz') WHERE number = 4",
            Some(4),
        ),
        (
            "UPDATE audit SET hash = zeroblob(32) WHERE number = 4",
            Some(4),
        ),
        ("UPDATE audit SET account = 'zz' WHERE number = 4", Some(4)),
        ("UPDATE audit SET at = at + 1 WHERE number = 4", Some(4)),
        ("UPDATE audit SET event = 'x' WHERE number = 4", Some(4)),
        ("UPDATE audit SET actor = 'x' WHERE number = 4", Some(4)),
        ("UPDATE audit SET record = '{' WHERE number = 4", Some(4)),
        ("DELETE FROM audit WHERE number = 4", Some(4)),
        ("DELETE FROM audit WHERE number < 3", Some(1)),
        ("DELETE FROM audit WHERE number > 4", Some(5)),
        ("DELETE FROM audit", Some(1)),
        // Swapped, with and without their hashes.
        (
            "UPDATE audit SET number = -1 WHERE number = 4; UPDATE audit SET number = 4 WHERE number = 5; \
             UPDATE audit SET number = 5 WHERE number = -1",
            Some(4),
        ),
        (
            "UPDATE audit AS one SET record = (SELECT record FROM audit AS two WHERE two.number = 9 - \
             one.number) WHERE number IN (4, 5)",
            Some(4),
        ),
        (
            "DELETE FROM audit WHERE number = 4; UPDATE audit SET number = number - 1 WHERE number > 4",
            Some(4),
        ),
        (
            "INSERT INTO audit SELECT 99, at, event, actor, account, record, hash FROM audit WHERE number = 4",
            Some(99),
        ),
        (
            "INSERT INTO audit SELECT 0, at, event, actor, account, record, hash FROM audit WHERE number = 4",
            Some(0),
        ),
        ("UPDATE audit_ends SET head_number = 4", None),
        ("UPDATE audit_ends SET base_number = 4", None),
        ("DELETE FROM audit_ends", None),
    ];
    for (sql, first_bad) in cases {
        let world = some_accounts(4);
        assert_eq!(world.fault(&[]), None, "before");
        world.tamper(sql);
        let (record, message) = world
            .fault(&[])
            .unwrap_or_else(|| panic!("not found: {sql}"));
        assert_eq!(record, first_bad, "{sql}: {message}");
        // It stays found, whatever is recorded afterwards, and changes go on being made.
        world.done(json!({ "operation": "accounts_create", "name": "after" }));
        assert!(
            world.fault(&[]).is_some(),
            "hidden by what came after: {sql}"
        );
    }
}

#[test]
fn an_older_state_put_back_whole_is_found_by_an_anchor_alone() {
    let world = some_accounts(3);
    let old = world.folder.path().join("old");
    world.tamper(&format!("VACUUM INTO '{}'", old.display()));
    world.done(json!({ "operation": "accounts_create", "name": "hidden" }));
    let anchor = world.anchor();
    assert_eq!(world.fault(&[anchor]), None);
    let (clock, folder) = (world.clock.clone(), world.folder);
    drop(world.service);
    for end in ["p.db", "p.db-wal", "p.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(end));
    }
    std::fs::rename(old, folder.path().join("p.db")).unwrap();
    let world = World {
        service: std::sync::Arc::new(
            super::world::open(folder.path(), &[POLICY], (&clock, "store: sqlite:p.db")).unwrap(),
        ),
        folder,
        clock,
    };
    let (record, message) = world.fault(&[anchor]).unwrap();
    assert!(
        record.is_some() && message.contains("the anchor of"),
        "{message}"
    );
    // Until somebody has written as much again: then the hash is another one.
    while world.anchor().number <= anchor.number {
        drop(world.ask(json!({ "operation": "keys_list" })));
    }
    let (record, message) = world.fault(&[anchor]).unwrap();
    assert_eq!(record, Some(anchor.number), "{message}");
    assert!(message.contains("written anew"), "{message}");
}

#[test]
fn an_anchor_knows_of_an_end_that_was_cut_off() {
    let world = some_accounts(3);
    let head = world.anchor();
    let later = Anchor {
        number: head.number + 40,
        ..head
    };
    let (record, message) = world.fault(&[later]).unwrap();
    assert!(record > Some(head.number), "{message}");
    assert!(message.contains("its end was cut off"), "{message}");
    // The end that was cut off takes the ends of the chain with it, as somebody does who knows the form.
    assert_eq!(world.fault(&[head]), None);
}

#[test]
fn a_trail_that_was_tampered_with_is_not_cut_whatever_its_age() {
    let world = World::with(
        &[POLICY],
        "store: sqlite:p.db\naudit: { max_age: 1d, records: 10 }",
    );
    for number in 0..30 {
        world.done(json!({ "operation": "accounts_create", "name": format!("n{number}") }));
    }
    world.tamper("UPDATE audit_ends SET seal = zeroblob(32)");
    world.clock.advance(Duration::from_secs(9 * 24 * 60 * 60));
    assert_eq!(world.service.cut_audit().unwrap(), 0);
    assert!(world.records().len() > 30);
}

#[test]
fn what_is_too_old_or_too_much_is_cut_off_and_the_rest_stays_proven() {
    let bounds = "store: sqlite:p.db\naudit: { max_age: 30d, records: 10 }";
    let world = World::with(&[POLICY], bounds);
    world.done(json!({ "operation": "accounts_create", "name": "old" }));
    let anchor = world.anchor();
    world.clock.advance(Duration::from_secs(31 * 24 * 60 * 60));
    world.done(json!({ "operation": "accounts_create", "name": "young" }));
    assert!(world.service.cut_audit().unwrap() >= 4);
    let told: Vec<_> = world.changes().iter().map(said).collect();
    assert!(!told.contains(&"gateway.start".to_owned()), "{told:?}");
    assert!(told.contains(&"account.create".to_owned()), "{told:?}");
    assert_eq!(
        world.fault(&[anchor]),
        None,
        "what was cut for its age is no fault"
    );
    for number in 0..40 {
        world.done(json!({ "operation": "accounts_create", "name": format!("n{number}") }));
    }
    assert!(world.service.cut_audit().unwrap() > 30);
    assert_eq!(world.service.cut_audit().unwrap(), 0);
    assert!(world.records().len() <= 14);
    let cut = world.last("audit.cut");
    assert!(
        cut["portcullis.after"]["through"].as_u64() > Some(30),
        "{cut}"
    );
    assert_eq!(world.fault(&[]), None);
    // A cut that nobody made is a gap.
    let first = world.records()[0]["event.sequence"].clone();
    world.tamper(&format!("DELETE FROM audit WHERE number = {first}"));
    assert_eq!(world.fault(&[]).unwrap().0, first.as_u64());
}

#[test]
fn where_no_record_can_be_written_nothing_is_changed_and_nothing_shown() {
    let world = some_accounts(1);
    world.tamper(
        "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    );
    for operation in [
        json!({ "operation": "accounts_create", "name": "late" }),
        json!({ "operation": "accounts_disable", "name": "a0" }),
        json!({ "operation": "keys_create", "account": "a0" }),
        json!({ "operation": "tokens_issue", "account": "a0" }),
        json!({ "operation": "keys_list" }),
    ] {
        let (kind, message) = world.refused(operation.clone());
        assert_eq!(kind, ErrorKind::Unavailable, "{operation}: {message}");
        assert!(message.contains("disk full"), "{operation}: {message}");
    }
    let before = world.service.lock().unwrap().records.clone();
    assert_eq!((before.accounts.len(), before.keys().count()), (1, 0));
    assert!(before.accounts.values().all(|account| account.enabled));
    assert!(
        world
            .service
            .replace_policy(std::sync::Arc::default(), &Actor::Gateway)
            .is_err()
    );
    world.tamper("DROP TRIGGER full");
    let world = world.reopen(&[POLICY]);
    assert_eq!(
        world.service.lock().unwrap().records.accounts,
        before.accounts
    );
    assert_eq!(world.fault(&[]), None);
}

#[test]
fn a_store_of_before_the_trail_begins_one() {
    let World {
        folder,
        clock,
        service,
    } = some_accounts(0);
    drop(service);
    let path = folder.path().join("p.db");
    let new = Connection::open(&path).unwrap();
    // As a release without a trail made it.
    let old = Connection::open(folder.path().join("old.db")).unwrap();
    for step in [
        include_str!("../../store/migrations/001-begin.sql"),
        include_str!("../../store/migrations/002-denials.sql"),
        include_str!("../../store/migrations/003-keys.sql"),
    ] {
        old.execute_batch(step).unwrap();
    }
    let mark: i32 = new
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .unwrap();
    old.execute_batch(&format!(
        "PRAGMA application_id = {mark}; PRAGMA user_version = 3; ATTACH '{}' AS new; \
         INSERT INTO meta SELECT * FROM new.meta; \
         INSERT INTO signing_keys SELECT kid, public, wrapped, created_at, retired_at \
         FROM new.signing_keys",
        path.display()
    ))
    .unwrap();
    drop((old, new));
    for end in ["p.db-wal", "p.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(end));
    }
    std::fs::rename(folder.path().join("old.db"), path).unwrap();
    let settings = (&clock, "store: sqlite:p.db");
    let service = super::world::open(folder.path(), &[POLICY], settings).unwrap();
    let world = World {
        folder,
        clock,
        service: service.into(),
    };
    let told: Vec<_> = world.changes().iter().map(said).collect();
    assert_eq!(told, ["store.migrate", "gateway.start"]);
    let migrated = &world.changes()[0]["portcullis.after"];
    assert_eq!(migrated["from_format"], 3);
    assert_eq!(world.fault(&[]), None);
}

#[test]
fn a_policy_put_in_force_or_refused_is_recorded_with_who_asked_for_it() {
    let world = World::new(&[POLICY]);
    let before = world.service.handle().snapshot().policy.hash.clone();
    world.reload(&[POLICY, FILED]).unwrap();
    let record = world.last("policy.reload");
    let after = world.service.handle().snapshot().policy.hash.clone();
    assert_eq!(record["portcullis.before"]["policy"], before);
    assert_eq!(record["portcullis.after"]["policy"], after);
    assert_eq!(
        record["portcullis.after"]["accounts_seen"],
        json!(["nightly"])
    );
    assert_eq!(record["portcullis.actor.kind"], "gateway");
    world
        .service
        .policy_refused(&Actor::local(), "a.yaml:3:1: no");
    let record = world.last("policy.reload");
    assert_eq!(said(&record), "policy.reload!invalid");
    assert_eq!(record["error.message"], "a.yaml:3:1: no");
    assert_eq!(record["portcullis.actor.kind"], "local");
}

#[test]
fn without_a_store_there_is_no_trail_and_that_is_said() {
    let world = World::with(&[], "store: none");
    for operation in ["audit_list", "audit_follow", "audit_anchor", "audit_verify"] {
        let (kind, message) = world.refused(json!({ "operation": operation }));
        assert_eq!(kind, ErrorKind::Conflict);
        assert!(message.contains("its log"), "{message}");
    }
}

/// The operation three numbers stand for, over few names, so that many are refused.
fn operation((kind, a, b): (u8, u8, u8)) -> Value {
    let (name, group) = (format!("a{}", a % 4), format!("g{}", a % 2));
    let role = ["reader", "operator", "custom", "unknown"][usize::from(b) % 4];
    let within = match b % 3 {
        0 => json!({}),
        _ => json!({ "tenant": [format!("t{b}")] }),
    };
    match kind % 16 {
        0 | 1 => json!({ "operation": "accounts_create", "name": name }),
        2 => {
            json!({ "operation": "accounts_update", "name": name, "description": format!("d{b}") })
        }
        3 => json!({ "operation": "accounts_grant", "name": name, "role": role, "within": within }),
        4 => {
            json!({ "operation": "accounts_ungrant", "name": name, "role": role, "within": within })
        }
        5 => json!({ "operation": "accounts_disable", "name": name }),
        6 => json!({ "operation": "accounts_delete", "name": name }),
        7 => json!({ "operation": "keys_create", "account": name }),
        8 => json!({ "operation": "roles_create", "name": role, "permissions": ["devices:view"] }),
        9 => json!({ "operation": "roles_delete", "name": role }),
        10 => json!({ "operation": "groups_create", "name": group }),
        11 => json!({ "operation": "groups_add", "group": group, "account": name }),
        12 => json!({ "operation": "groups_remove", "group": group, "account": name }),
        13 => json!({ "operation": "groups_grant", "name": group, "role": role, "within": within }),
        14 => json!({ "operation": "tokens_issue", "account": name }),
        _ => json!({ "operation": "accounts_show", "name": name }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Law: there are as many records as operations that are recorded, each with the outcome its
    /// caller was told, in their order, and they prove; and one byte changed in any of them is found
    /// there.
    #[test]
    fn as_many_records_as_operations_and_each_is_guarded(
        steps in prop::collection::vec(any::<(u8, u8, u8)>(), 1..40),
        (at, byte) in (0..u64::from(u32::MAX), 0..u64::from(u32::MAX)),
    ) {
        let world = World::new(&[POLICY]);
        let begun = world.changes().len();
        let mut expected = Vec::new();
        for step in steps {
            let asked = operation(step);
            let parsed: Operation = serde_json::from_value(asked.clone()).unwrap();
            let answer = world.ask(asked);
            match parsed.trail() {
                Trail::Change(event) | Trail::Look(event) => expected.push(match answer {
                    Ok(_) => event.to_owned(),
                    Err(error) => format!("{event}!{}", json!(error.kind).as_str().unwrap()),
                }),
                Trail::Watch(_) | Trail::Nothing => {}
            }
        }
        let told: Vec<_> = world.changes()[begun..].iter().map(said).collect();
        prop_assert_eq!(told, expected);
        prop_assert_eq!(world.fault(&[]), None);

        let rows = world.anchor().number - 1;
        let victim = 1 + at % rows;
        world.tamper(&format!(
            "UPDATE audit SET record = substr(record, 1, {byte} % length(record)) || '~' || \
             substr(record, {byte} % length(record) + 2) WHERE number = {victim}"
        ));
        prop_assert_eq!(world.fault(&[]).unwrap().0, Some(victim));
    }
}
