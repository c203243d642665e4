//! The trail is read page by page, and followed; who reads it stands in it.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::world::{POLICY, START, World};
use super::some_accounts;

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
