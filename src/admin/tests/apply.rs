//! Accounts, groups and roles applied from files.

use serde_json::{Value, json};

use super::world::{FILED, POLICY, World};
use crate::admin::ErrorKind;

fn role(name: &str, include: &[&str]) -> Value {
    json!({
        "place": format!("a.yaml:1:1"), "name": name, "description": "", "permissions": [],
        "include": include, "api_access": true,
    })
}

fn account(name: &str, roles: &[&str]) -> Value {
    let grants: Vec<_> = roles
        .iter()
        .map(|role| json!({ "place": "a.yaml:2:2", "role": role, "within": {} }))
        .collect();
    json!({
        "place": "a.yaml:2:1", "name": name, "description": "", "allow_from": [], "grants": grants,
    })
}

fn operation(manifest: &Value) -> Value {
    json!({ "operation": "accounts_apply", "set": "team", "manifest": manifest, "prune": true })
}

#[test]
fn a_grant_may_name_a_role_of_the_same_files_and_all_of_it_is_one_change() {
    let world = World::new(&[POLICY]);
    let manifest = json!({
        "roles": [role("outer", &["inner"]), role("inner", &["reader"])],
        "accounts": [account("ci", &["outer"])],
    });
    let done = world.done(operation(&manifest));
    assert_eq!(done["changes"].as_array().unwrap().len(), 3);
    assert_eq!(world.holds("ci"), ["outer everywhere"]);
    assert_eq!(world.done(operation(&manifest))["changes"], json!([]));
    let world = world.reopen(&[POLICY]);
    assert_eq!(world.done(operation(&manifest))["changes"], json!([]));
    let circle = json!({
        "roles": [role("outer", &["inner"]), role("inner", &["outer"])],
        "accounts": [account("ci", &["outer"])],
    });
    let said = world.refused(operation(&circle));
    assert_eq!(said.0, ErrorKind::Invalid);
    assert!(
        said.1
            .contains("a.yaml:1:1: role `outer` would include itself"),
        "{}",
        said.1
    );
    assert_eq!(world.holds("ci"), ["outer everywhere"]);
}

#[test]
fn what_files_of_the_policy_or_another_set_say_is_a_conflict() {
    let world = World::new(&[POLICY, FILED]);
    for manifest in [
        json!({ "roles": [role("reader", &[])] }),
        json!({ "accounts": [account("nightly", &[])] }),
    ] {
        let said = world.refused(operation(&manifest));
        assert_eq!(said.0, ErrorKind::Conflict);
        assert!(said.1.contains("managed by file"), "{}", said.1);
    }
}

#[test]
fn a_role_that_others_hold_is_not_pruned() {
    let world = World::new(&[POLICY]);
    world.done(operation(&json!({ "roles": [role("mine", &["reader"])] })));
    world.create("byhand", "mine");
    let said = world.refused(operation(&json!({ "accounts": [account("ci", &[])] })));
    assert_eq!(said.0, ErrorKind::Conflict);
    insta::assert_snapshot!(said.1, @"set `team`: role `mine` is in no file any more, and is still held by account `byhand`: take it away first");
    assert_eq!(
        world
            .done(json!({ "operation": "accounts_list" }))
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_closed_grant_is_given_anew_because_the_files_say_that_it_is_meant() {
    let world = World::new(&[POLICY]);
    let manifest = json!({ "accounts": [account("ci", &["reader"])] });
    world.done(operation(&manifest));
    world
        .reload(&["permissions: { devices:view: See }"])
        .unwrap();
    world.reload(&[POLICY]).unwrap();
    assert_eq!(world.holds("ci"), [""; 0]);
    let done = world.done(operation(&manifest));
    assert_eq!(done["changes"][0]["change"], "grant");
    assert_eq!(world.holds("ci"), ["reader everywhere"]);
}
