//! What is done to the trail behind the gateway's back is found, and what is cut off at its old end leaves
//! the rest proven.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use super::super::world::{POLICY, World, open};
use super::{said, some_accounts};
use crate::audit::Anchor;

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
            open(folder.path(), &[POLICY], (&clock, "store: sqlite:p.db")).unwrap(),
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
        include_str!("../../../store/migrations/001-begin.sql"),
        include_str!("../../../store/migrations/002-denials.sql"),
        include_str!("../../../store/migrations/003-keys.sql"),
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
    let service = open(folder.path(), &[POLICY], settings).unwrap();
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
