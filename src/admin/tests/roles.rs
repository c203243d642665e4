//! Roles: which can be given, and what becomes of those who hold one.

use serde_json::{Value, json};

use super::world::{POLICY, World};
use crate::admin::ErrorKind;

const INNER: &str = "
dimensions: { tenant: The customer, site: The place }
permissions: { devices:view: See, devices:edit: Change, tenants:view: See }
roles:
  parts: { permissions: [tenants:view], api_access: false }
  reader: { description: Reads, include: [parts], permissions: [devices:view] }
  operator: { description: Works, include: [reader], permissions: [\"devices:*\"] }
";

#[test]
fn only_a_role_with_api_access_can_be_given() {
    let world = World::new(&[INNER]);
    world.create("ci", "reader");
    world.done(json!({ "operation": "groups_create", "name": "g" }));
    for operation in ["accounts_grant", "groups_grant"] {
        let name = if operation.starts_with('a') {
            "ci"
        } else {
            "g"
        };
        let said = world.refused(json!({ "operation": operation, "name": name, "role": "parts" }));
        assert_eq!(said.0, ErrorKind::Invalid);
        assert!(said.1.contains("give one that includes it"), "{}", said.1);
    }
    let role = world.done(json!({
        "operation": "roles_create", "name": "inner", "permissions": ["devices:edit"],
        "include": ["parts"], "api_access": false,
    }));
    assert_eq!(role["api_access"], false);
    assert_eq!(role["gives"], json!(["devices:edit", "tenants:view"]));
    let given = json!({ "operation": "accounts_grant", "name": "ci", "role": "inner" });
    assert_eq!(world.refused(given.clone()).0, ErrorKind::Invalid);
    world.done(json!({ "operation": "roles_update", "name": "inner", "api_access": true }));
    world.done(given);
    // And back only when nobody holds it any more.
    let back = json!({ "operation": "roles_update", "name": "inner", "api_access": false });
    let said = world.refused(back);
    assert_eq!(said.0, ErrorKind::Conflict);
    assert!(said.1.contains("account `ci`"), "{}", said.1);
}

#[test]
fn a_grant_of_a_role_that_lost_its_api_access_gives_nothing_and_is_listed() {
    let world = World::new(&[POLICY]);
    world.create("ci", "reader");
    let closed = POLICY.replace("{ description: Reads,", "{ api_access: false,");
    world.reload(&[&closed]).unwrap();
    assert_eq!(world.holds("ci"), [""; 0]);
    let shown = world.done(json!({ "operation": "accounts_show", "name": "ci" }));
    let said = shown["grants"][0]["closed"].as_str().unwrap().to_owned();
    assert!(said.contains("api_access: false"), "{said}");
    world.reload(&[POLICY]).unwrap();
    assert_eq!(world.holds("ci"), ["reader tenant acme"]);
}

#[test]
fn a_role_in_use_goes_only_when_that_is_said_and_then_from_everybody_at_once() {
    let world = World::new(&[POLICY]);
    world.done(json!({
        "operation": "roles_create", "name": "mine", "permissions": ["devices:view"],
    }));
    world.done(json!({
        "operation": "roles_create", "name": "outer", "include": ["mine", "reader"],
    }));
    world.create("ci", "mine");
    world.create("cd", "outer");
    world
        .done(json!({ "operation": "groups_create", "name": "g", "grants": [{ "role": "mine" }] }));
    world.done(json!({ "operation": "groups_add", "group": "g", "account": "cd" }));
    let delete = |force: bool| {
        world.ask(json!({ "operation": "roles_delete", "name": "mine", "force": force }))
    };
    let error = delete(false).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    insta::assert_snapshot!(error.message, @"role `mine` is still held by account `ci`, group `g`, role `outer`, which includes it: take it away first, or say `--force` to take it from all of them");
    assert_eq!(world.holds("ci"), ["mine tenant acme"]);

    let gone = delete(true).unwrap();
    assert_eq!(gone["taken_from"].as_array().unwrap().len(), 3);
    let check = |world: &World| {
        assert_eq!(world.holds("ci"), [""; 0]);
        assert_eq!(world.holds("cd"), ["outer tenant acme"]);
        let outer = world.done(json!({ "operation": "roles_show", "name": "outer" }));
        assert_eq!(outer["include"], json!(["reader"]));
        let shown = world.done(json!({ "operation": "accounts_show", "name": "ci" }));
        assert_eq!(shown["grants"], json!([]));
    };
    check(&world);
    // A role of that name that comes later is another: nobody holds it.
    world.done(json!({
        "operation": "roles_create", "name": "mine", "permissions": ["devices:edit"],
    }));
    let world = world.reopen(&[POLICY]);
    check(&world);
    let said = world.refused(json!({ "operation": "roles_delete", "name": "reader" }));
    assert_eq!(said.0, ErrorKind::Conflict);
    let gone = world.done(json!({ "operation": "roles_delete", "name": "mine" }));
    assert_eq!(gone["taken_from"], Value::Array(Vec::new()));
}
