//! Accounts, keys and groups of policy files: what a command may do to them, and what becomes of names
//! that stand in two places.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{FILED, POLICY, START, World};
use crate::admin::ErrorKind;
use crate::words::{KeyId, Secret};

/// A key of `nightly` as its file has it, with what more is said of it there.
fn filed(id: KeyId, more: &str) -> String {
    let digest = Secret::random().digest();
    format!("accounts:\n  nightly:\n    keys: [{{ id: {id}, digest: \"{digest}\"{more} }}]\n")
}

#[test]
fn a_key_of_a_file_ends_when_its_file_says_or_sooner_and_never_later() {
    let hour = Duration::from_secs(60 * 60);
    let at = |hours: u32| json!(START.plus(hour * hours));
    // What a command says, and when the key ends, which the file has end after four hours.
    for (said, ends) in [(2, 2), (9, 4)] {
        let id = KeyId::random();
        let text = filed(id, &format!(", expires_at: {}", START.plus(hour * 4)));
        let world = World::new(&[POLICY, &text]);
        let shown = world.done(json!({ "operation": "keys_expire", "key": id, "at": at(said) }));
        assert_eq!(shown["expires_at"], at(ends), "{said}");
        let world = world.reopen(&[POLICY, &text]);
        world.clock.advance(hour * ends - Duration::from_secs(1));
        assert!(world.is_alive(id), "{said}");
        world.clock.advance(Duration::from_secs(1));
        assert!(!world.is_alive(id), "{said}");
    }
}

#[test]
fn a_key_of_a_file_is_limited_and_replaced_in_its_file_alone() {
    let id = KeyId::random();
    let world = World::new(&[POLICY, &filed(id, "")]);
    for operation in [
        json!({ "operation": "keys_rotate", "key": id, "overlap_seconds": 0 }),
        json!({ "operation": "keys_update", "key": id, "only": ["devices:view"] }),
    ] {
        let (kind, said) = world.refused(operation);
        assert_eq!(kind, ErrorKind::Conflict, "{said}");
        assert!(
            said.contains("managed by file") && said.contains("policies/1.yaml:3:12"),
            "{said}"
        );
    }
    assert!(world.is_alive(id));
}

#[test]
fn a_key_is_not_imported_under_the_id_of_one_that_ended() {
    let (id, day) = (KeyId::random(), Duration::from_secs(24 * 60 * 60));
    let text = filed(id, "");
    let world = World::new(&[POLICY, &text]);
    world.create("ci", "operator");
    world.done(json!({ "operation": "keys_expire", "key": id }));
    // It is out of its file, so nothing but its end is known of it any more.
    world.reload(&[POLICY]).unwrap();
    world.clock.advance(day);
    let digest = Secret::random().digest();
    let (kind, said) = world.refused(json!({
        "operation": "keys_import", "account": "ci", "keys": [{ "id": id, "digest": digest }],
    }));
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(said.contains("already, or was"), "{said}");
}

#[test]
fn a_group_that_stands_in_the_store_and_in_a_file_gives_what_the_store_says() {
    let file = "groups:\n  crew: { members: [ci], grants: [{ role: operator }] }";
    let world = World::new(&[POLICY]);
    world.create("ci", "reader");
    world.done(json!({
        "operation": "groups_create", "name": "crew", "grants": [{ "role": "reader" }],
    }));
    assert!(world.reload(&[POLICY, file]).is_err());
    // A start goes on, and the file's group gives nothing to its members.
    let world = world.reopen(&[POLICY, file]);
    assert_eq!(world.holds("ci"), ["reader tenant acme"]);
    world.done(json!({ "operation": "groups_add", "group": "crew", "account": "ci" }));
    assert_eq!(
        world.holds("ci"),
        ["reader tenant acme", "reader everywhere by crew"]
    );
    // Once the store's is gone the file's is the only one, and so says what it says at once.
    world.done(json!({ "operation": "groups_delete", "name": "crew" }));
    assert_eq!(
        world.holds("ci"),
        ["reader tenant acme", "operator everywhere by crew"]
    );
}

#[test]
fn an_account_of_a_file_is_put_into_no_group_of_the_store() {
    let world = World::new(&[POLICY, FILED]);
    world.done(json!({
        "operation": "groups_create", "name": "crew", "grants": [{ "role": "operator" }],
    }));
    let (kind, said) = world.refused(json!({
        "operation": "groups_add", "group": "crew", "account": "nightly",
    }));
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(said.contains("managed by file"), "{said}");
    assert_eq!(world.holds("nightly"), ["reader tenant acme"]);
}

#[test]
fn an_account_of_a_file_that_is_refused_for_its_name_is_not_said_to_be_enabled() {
    let stored = World::new(&[POLICY]);
    stored.create("other", "reader");
    let id = stored.account("other").id.to_string();
    let twin = format!("accounts:\n  nightly: {{ id: {id} }}\n");
    let world = stored.reopen(&[POLICY, &twin]);
    let (kind, said) = world.refused(json!({ "operation": "accounts_enable", "name": "nightly" }));
    assert!(
        matches!(kind, ErrorKind::Conflict | ErrorKind::NotFound),
        "{said}"
    );
    let shown = world.done(json!({ "operation": "accounts_show", "name": "nightly" }));
    assert_eq!(shown["enabled"], Value::Bool(false));
}

/// A command that opens the store itself may meet a policy folder that is just being edited: it closes
/// no grant and buries no account for what it does not find there.
#[test]
fn a_command_without_a_server_takes_nothing_for_what_the_files_do_not_say() {
    let world = World::new(&[POLICY, FILED]);
    world.create("ci", "operator");
    let nightly = world.account("nightly").id.clone();
    let (clock, folder) = (world.clock.clone(), world.folder);
    drop(world.service);
    let settings = crate::settings::Settings::load(&folder.path().join("portcullis.yaml")).unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    std::fs::write(
        folder.path().join("policies/0.yaml"),
        "permissions: { devices:view: See }\n",
    )
    .unwrap();
    let service = crate::admin::open_offline(&settings, clock.clone()).unwrap();
    drop(service);
    let service = super::world::open(
        folder.path(),
        &[POLICY, FILED],
        (&clock, "store: sqlite:p.db"),
    );
    let world = World {
        service: std::sync::Arc::new(service.unwrap()),
        folder,
        clock,
    };
    assert_eq!(world.holds("ci"), ["operator tenant acme"]);
    assert_eq!(world.account("nightly").id, nightly);
}
