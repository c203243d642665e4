//! The audit trail: one record for everything that is asked for, and nothing that happens to the trail
//! stays unseen.

mod law;
mod proof;
mod reading;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::world::{FILED, POLICY, START, World};
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
