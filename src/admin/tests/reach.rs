//! Whom a change touches: nobody else is worked out again, and nobody is left as he was.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::world::{POLICY, World};
use crate::words::{Account, KeyId, Secret};

type Accounts = BTreeMap<String, Arc<Account>>;

fn accounts(world: &World) -> Accounts {
    let state = world.service.handle().snapshot();
    let accounts = state.directory.accounts();
    accounts
        .map(|account| (account.name.to_string(), Arc::clone(account)))
        .collect()
}

/// What everybody is worth, and when keys end.
fn worth(world: &World) -> Vec<String> {
    let state = world.service.handle().snapshot();
    let accounts = accounts(world).into_values();
    let keys = state.directory.keys();
    let keys = keys.map(|key| format!("{} {:?} {:?}", key.id, key.expires_at, key.account));
    let mut worth: Vec<_> = accounts.map(|it| format!("{it:?}")).chain(keys).collect();
    worth.sort();
    worth
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_change_works_out_again_whom_it_touches_and_nobody_else() {
    let (id, secret) = (KeyId::random(), Secret::random());
    let filed = format!(
        "accounts:\n  filed:\n    keys: [{{ id: {id}, digest: \"{}\" }}]\n  beside: {{}}\ngroups:\n  readers: {{ members: [reads, filed], grants: [{{ role: reader }}] }}\n",
        secret.digest()
    );
    let world = World::new(&[POLICY, &filed]);
    let role = |verb: &str, name: &str, include: &[&str]| json!({ "operation": format!("roles_{verb}"), "name": name, "include": include });
    world.done(role("create", "inner", &[]));
    world.done(role("create", "middle", &["inner"]));
    world.done(role("create", "outer", &["middle"]));
    for (name, held) in [
        ("idle", "reader"),
        ("holds", "inner"),
        ("includes", "outer"),
        ("member", "reader"),
        ("reads", "operator"),
    ] {
        world.create(name, held);
        world.key(name);
    }
    let named = |operation: &str| json!({ "operation": operation, "name": "g" });
    let member =
        |operation: &str| json!({ "operation": operation, "group": "g", "account": "member" });
    let granted = json!({ "operation": "groups_grant", "name": "g", "role": "middle" });
    for (change, touched) in [
        (named("groups_create"), vec![]),
        (member("groups_add"), vec!["member"]),
        (granted, vec!["member"]),
        (role("create", "new", &["inner"]), vec![]),
        (
            role("update", "inner", &["reader"]),
            vec!["holds", "includes", "member"],
        ),
        (role("update", "outer", &[]), vec!["includes"]),
        (
            json!({ "operation": "keys_expire", "key": id }),
            vec!["filed"],
        ),
        (
            json!({ "operation": "roles_delete", "name": "new" }),
            vec![],
        ),
        (member("groups_remove"), vec!["member"]),
        (member("groups_add"), vec!["member"]),
        (named("groups_delete"), vec!["member"]),
        (
            json!({ "operation": "roles_delete", "name": "inner", "force": true }),
            vec!["holds", "includes", "member"],
        ),
    ] {
        let before = accounts(&world);
        world.done(change.clone());
        let after = accounts(&world);
        for (name, account) in &after {
            let same = Arc::ptr_eq(account, &before[name]);
            let may = touched.contains(&name.as_str());
            assert!(same || may, "{change}: {name} was worked out again");
        }
        let worked_out = worth(&world);
        let mut inner = world.service.lock().unwrap();
        world.service.rebuild(&mut inner);
        drop(inner);
        assert_eq!(worked_out, worth(&world), "{change}");
    }
    assert!(!world.is_alive(id));
}

#[test]
fn what_stands_twice_is_worked_out_for_everybody() {
    let twin = "groups:\n  g: { members: [ci], grants: [{ role: operator }] }\n";
    let world = World::new(&[POLICY]);
    world.create("ci", "reader");
    world.done(json!({ "operation": "groups_create", "name": "g" }));
    let world = world.reopen(&[POLICY, twin]);
    assert_eq!(world.holds("ci"), ["reader tenant acme"]);
    assert_eq!(world.service.conflicts().len(), 1);
    world.done(json!({ "operation": "groups_delete", "name": "g" }));
    let both = ["reader tenant acme", "operator everywhere by g"];
    assert_eq!(world.holds("ci"), both);
    assert_eq!(world.service.conflicts(), [""; 0]);
}
