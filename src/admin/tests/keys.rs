//! Keys: made, rotated, ended, forgotten.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{POLICY, World};
use crate::admin::ErrorKind;
use crate::words::{KeyId, Secret};

#[test]
fn a_new_key_opens_with_its_secret_and_is_shown_once() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let made = world.done(json!({
        "operation": "keys_create", "account": "ci", "description": "runner 7",
    }));
    let secret = Secret::parse(made["secret"].as_str().unwrap()).unwrap();
    let id: KeyId = made["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(made["account"], "ci");
    assert_eq!(made["created_at"], "2026-11-21T23:00:00.000Z");
    assert_eq!(made["expires_at"], Value::Null);
    let state = world.service.handle().snapshot();
    let crate::directory::StoredDigest::Keyed(kept) = state.directory.key(&id).unwrap().digest
    else {
        panic!("a store keeps keyed digests")
    };
    assert_eq!(
        kept,
        world.service.pepper().unwrap().keyed(&secret.digest())
    );
    let listed = world.done(json!({ "operation": "keys_list", "account": "ci" }));
    assert_eq!(listed[0]["description"], "runner 7");
    assert!(!listed.to_string().contains(secret.reveal()));
}

#[test]
fn what_is_taken_away_is_gone_from_the_next_snapshot_and_after_reopening() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    world.create("off", "reader");
    let (first, second, third) = (world.key("ci"), world.key("ci"), world.key("off"));
    assert!(world.is_alive(first) && world.is_alive(second) && world.is_alive(third));
    world.done(json!({ "operation": "keys_expire", "key": first }));
    assert!(!world.is_alive(first) && world.is_alive(second));
    world.done(json!({ "operation": "accounts_disable", "name": "off" }));
    assert!(!world.is_alive(third));
    let tenant = json!({ "tenant": ["acme"] });
    let taken = json!({
        "operation": "accounts_ungrant", "name": "ci", "role": "operator", "within": tenant,
    });
    assert_eq!(world.holds("ci"), ["operator tenant acme"]);
    world.done(taken.clone());
    assert_eq!(world.holds("ci"), [""; 0]);
    assert_eq!(world.refused(taken).0, ErrorKind::NotFound);

    let world = world.reopen(&[POLICY]);
    assert!(!world.is_alive(first) && world.is_alive(second) && !world.is_alive(third));
    assert_eq!(world.holds("ci"), [""; 0]);
    world.done(json!({ "operation": "accounts_enable", "name": "off" }));
    assert!(world.is_alive(third));
}

#[test]
fn a_deleted_account_does_not_come_back_with_its_name() {
    let world = World::new(&[POLICY]);
    let before = world.create("ci", "operator");
    let key = world.key("ci");
    world.done(json!({ "operation": "accounts_delete", "name": "ci" }));
    assert!(!world.is_alive(key));
    let state = world.service.handle().snapshot();
    assert!(state.directory.account_named("ci").is_none() && state.directory.key(&key).is_none());
    let after = world.create("ci", "reader");
    assert_ne!(before["id"], after["id"]);
    let world = world.reopen(&[POLICY]);
    assert!(!world.is_alive(key));
    assert_eq!(
        world
            .refused(json!({ "operation": "keys_expire", "key": key }))
            .0,
        ErrorKind::NotFound
    );
}

#[test]
fn what_is_over_stays_over_and_expiring_twice_is_no_error() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let key = world.key("ci");
    let expire =
        |at: Option<&str>| world.ask(json!({ "operation": "keys_expire", "key": key, "at": at }));
    assert_eq!(
        expire(Some("2026-11-22T00:00:00Z")).unwrap()["state"],
        "active"
    );
    assert_eq!(expire(None).unwrap()["state"], "expired");
    assert_eq!(expire(None).unwrap()["state"], "expired");
    let error = expire(Some("2027-01-01T00:00:00Z")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("does not come back"), "{error}");
}

#[test]
fn a_rotation_makes_a_second_key_and_ends_the_first_after_the_overlap() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let old = world.key("ci");
    let made = world.done(json!({ "operation": "keys_rotate", "key": old, "overlap_seconds": 60 }));
    let new: KeyId = made["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(made["replaces"], json!(old));
    assert_eq!(made["replaces_expires_at"], "2026-11-21T23:01:00.000Z");
    assert!(world.is_alive(old) && world.is_alive(new));
    world.clock.advance(Duration::from_secs(60));
    assert!(!world.is_alive(old) && world.is_alive(new));
    let again =
        world.refused(json!({ "operation": "keys_rotate", "key": old, "overlap_seconds": 0 }));
    assert_eq!(again.0, ErrorKind::Conflict);
}

#[test]
fn a_rotated_key_does_not_outlive_what_the_old_one_was_allowed() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    for (overlap, old_ends_at) in [
        (60, "2026-11-21T23:01:00.000Z"),
        (7200, "2026-11-22T00:00:00.000Z"),
    ] {
        let old = world.done(json!({
            "operation": "keys_create", "account": "ci", "expires_at": "2026-11-22T00:00:00Z",
        }));
        let made = world.done(json!({
            "operation": "keys_rotate", "key": old["id"], "overlap_seconds": overlap,
        }));
        assert_eq!(made["expires_at"], old["expires_at"]);
        assert_eq!(made["replaces_expires_at"], old_ends_at);
    }
}

#[test]
fn a_rotation_makes_no_more_keys_than_there_may_be() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let keys: Vec<KeyId> = (0..256).map(|_| world.key("ci")).collect();
    let rotate = |overlap: u64| {
        world.ask(json!({
            "operation": "keys_rotate", "key": keys[0], "overlap_seconds": overlap,
        }))
    };
    assert_eq!(rotate(60).unwrap_err().kind, ErrorKind::Conflict);
    // The old one makes room when it ends at once.
    assert!(rotate(0).is_ok());
}

#[test]
fn a_key_that_ended_long_ago_goes_at_a_start_and_its_id_does_not_come_back() {
    let day = Duration::from_secs(24 * 60 * 60);
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let (old, later, alive) = (world.key("ci"), world.key("ci"), world.key("ci"));
    world.done(json!({ "operation": "keys_expire", "key": old }));
    world.clock.advance(2 * day);
    world.done(json!({ "operation": "keys_expire", "key": later }));
    world.clock.advance(89 * day);
    let filed = format!(
        "accounts:\n  nightly:\n    keys: [{{ id: {old}, digest: \"{}\" }}]\n",
        Secret::random().digest()
    );
    let world = world.reopen(&[POLICY]);
    let listed = world.done(json!({ "operation": "keys_list", "account": "ci" }));
    let listed: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["id"])
        .collect();
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&&json!(later)) && listed.contains(&&json!(alive)));
    assert!(world.is_alive(alive));
    world.reload(&[POLICY, &filed]).unwrap();
    assert!(!world.is_alive(old));
}
