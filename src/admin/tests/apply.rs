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

fn group(name: &str, members: &[&str]) -> Value {
    json!({
        "place": "a.yaml:3:1", "name": name, "description": "", "members": members, "grants": [],
    })
}

/// What is done about one difference, and that it is none any more.
#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn every_difference_is_brought_in_line_and_said() {
    let whole = |accounts: Value, roles: Value, members: &[&str]| {
        json!({ "accounts": [accounts, account("cd", &[])], "roles": [roles],
            "groups": [group("crew", members)] })
    };
    let (ci, maker) = (account("ci", &["reader"]), role("maker", &["reader"]));
    let with = |one: &Value, field: &str, value: Value| {
        let mut other = one.clone();
        other[field] = value;
        other
    };
    let before = whole(ci.clone(), maker.clone(), &["ci"]);
    for (after, step, what) in [
        (
            whole(
                with(&ci, "allow_from", json!(["10.0.0.0/8"])),
                maker.clone(),
                &["ci"],
            ),
            "update account ci",
            json!({ "allow_from": ["10.0.0.0/8"] }),
        ),
        (
            whole(
                with(&ci, "description", json!("Other")),
                maker.clone(),
                &["ci"],
            ),
            "update account ci",
            json!({ "description": "Other" }),
        ),
        (
            whole(with(&ci, "grants", json!([])), maker.clone(), &["ci"]),
            "ungrant account ci",
            json!({ "role": "reader", "within": {} }),
        ),
        (
            whole(
                ci.clone(),
                with(&maker, "api_access", json!(false)),
                &["ci"],
            ),
            "update role maker",
            json!({ "api_access": false }),
        ),
        (
            whole(ci.clone(), with(&maker, "include", json!([])), &["ci"]),
            "update role maker",
            json!({ "include": [] }),
        ),
        (
            whole(ci.clone(), maker.clone(), &["ci", "cd"]),
            "add group crew",
            json!({ "account": "cd" }),
        ),
        (
            whole(ci.clone(), maker.clone(), &[]),
            "remove group crew",
            json!({ "account": "ci" }),
        ),
    ] {
        let world = World::new(&[POLICY]);
        world.done(operation(&before));
        let dry = json!({ "operation": "accounts_apply", "set": "team", "manifest": after, "dry_run": true });
        for asked in [dry, operation(&after)] {
            let changes = world.done(asked)["changes"].take();
            assert_eq!(changes.as_array().unwrap().len(), 1, "{step}: {changes}");
            let told = ["change", "kind", "name"].map(|field| changes[0][field].as_str().unwrap());
            assert_eq!(told.join(" "), step);
            assert_eq!(changes[0]["what"], what, "{step}");
        }
        assert_eq!(
            world.done(operation(&after))["changes"],
            json!([]),
            "{step}"
        );
        let world = world.reopen(&[POLICY]);
        assert_eq!(
            world.done(operation(&after))["changes"],
            json!([]),
            "{step}"
        );
    }
}

#[test]
fn what_another_set_has_is_left_to_it_and_what_nobody_has_is_taken_over() {
    let world = World::new(&[POLICY]);
    for manifest in [
        json!({ "accounts": [account("ci", &[])] }),
        json!({ "groups": [group("crew", &[])] }),
        json!({ "roles": [role("maker", &["reader"])] }),
    ] {
        let mut theirs = operation(&manifest);
        theirs["set"] = json!("others");
        theirs["prune"] = json!(false);
        world.done(theirs);
        let (kind, said) = world.refused(operation(&manifest));
        assert_eq!(kind, ErrorKind::Conflict, "{said}");
        assert!(said.contains("belongs to the set `others`"), "{said}");
    }
    world.done(json!({ "operation": "groups_create", "name": "hand" }));
    let manifest = json!({ "groups": [group("hand", &[])] });
    let changes = world.done(operation(&manifest))["changes"].take();
    assert_eq!(changes[0]["what"], json!({ "adopted": true }));
    let shown = world.done(json!({ "operation": "groups_show", "name": "hand" }));
    assert_eq!(shown["applied_as"], "team");
}
