//! Signing keys by age, and tokens taken back.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{POLICY, World};
use crate::admin::ErrorKind;
use crate::words::TokenId;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn signing_keys(world: &World) -> Vec<Value> {
    let told = world.done(json!({ "operation": "signing_keys_list" }));
    told["signing_keys"].as_array().unwrap().clone()
}

#[test]
fn a_signing_key_is_replaced_when_it_is_old_and_forgotten_when_nothing_of_it_is_good() {
    let world = World::new(&[POLICY]);
    let keep = |world: &World| world.service.keep_signing_key(30 * DAY).unwrap();
    assert!(!keep(&world));
    world.clock.advance(30 * DAY - Duration::from_secs(1));
    assert!(!keep(&world));
    world.clock.advance(Duration::from_secs(1));
    assert!(keep(&world) && !keep(&world));
    let keys = signing_keys(&world);
    assert_eq!(keys.len(), 2);
    assert_eq!(
        [&keys[0], &keys[1]].map(|key| key["signs"] == true),
        [false, true]
    );
    let first = keys[0]["id"].clone();
    // Another one within the day: what the first signed may be good still.
    world.clock.advance(DAY);
    world.done(json!({ "operation": "signing_keys_rotate" }));
    assert_eq!(signing_keys(&world).len(), 3);
    world.clock.advance(DAY);
    world.done(json!({ "operation": "signing_keys_rotate" }));
    let keys = signing_keys(&world);
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| key["id"] != first), "{keys:?}");
    // As the store has it.
    let world = world.reopen(&[POLICY]);
    assert_eq!(signing_keys(&world), keys);
}

#[test]
fn a_token_that_was_taken_back_is_forgotten_when_it_would_have_run_out() {
    let world = World::new(&[POLICY]);
    let revoke = |world: &World, id: TokenId| {
        world.done(json!({ "operation": "tokens_revoke", "id": id }));
    };
    let revoked = |world: &World, id: TokenId| {
        let state = world.service.handle().snapshot();
        state.directory.is_revoked(&id)
    };
    let [one, two, three] = [(); 3].map(|()| TokenId::random());
    revoke(&world, one);
    assert!(revoked(&world, one) && !revoked(&world, two));
    world.clock.advance(DAY / 2);
    revoke(&world, two);
    let world = world.reopen(&[POLICY]);
    assert!(revoked(&world, one) && revoked(&world, two));
    // A change to somebody else, and one to everybody, forget nothing.
    world.create("ci", "operator");
    world.done(json!({ "operation": "groups_create", "name": "night" }));
    assert!(revoked(&world, one) && revoked(&world, two));
    world.clock.advance(DAY / 2);
    revoke(&world, three);
    assert_eq!(
        [one, two, three].map(|id| revoked(&world, id)),
        [false, true, true]
    );
    let world = world.reopen(&[POLICY]);
    assert_eq!(
        [one, two, three].map(|id| revoked(&world, id)),
        [false, true, true]
    );
    let listed = world.done(json!({ "operation": "tokens_list" }));
    assert_eq!(listed["total"], 2);
    let (kind, _) = world.refused(json!({ "operation": "tokens_list", "account": "nobody" }));
    assert_eq!(kind, ErrorKind::NotFound);
}

#[test]
fn without_a_store_there_is_nothing_to_rotate_and_nothing_to_take_back() {
    let world = World::with(&[], "store: none");
    for operation in [
        json!({ "operation": "signing_keys_rotate" }),
        json!({ "operation": "tokens_revoke", "id": TokenId::random() }),
    ] {
        assert_eq!(world.refused(operation).0, ErrorKind::Conflict);
    }
    assert!(!world.service.keep_signing_key(Duration::ZERO).unwrap());
}
