//! What operators are promised, on a store of their own and with a clock that stands still.

mod apply;
mod audit;
mod disk;
mod escalation;
mod filed;
mod keys;
mod last;
mod looks;
mod padded;
mod reach;
mod roles;
mod rules;
mod simulated;
mod tokens;
pub(super) mod world;

use std::time::Duration;

use serde_json::{Value, json};

use super::ErrorKind;
use crate::words::{KeyId, Secret};
use world::{FILED, POLICY, START, World};

#[test]
fn names_that_do_not_exist_are_refused_with_the_nearest_that_does() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let grant = |role: &str, within: Value| {
        world.refused(json!({
            "operation": "accounts_grant", "name": "ci", "role": role, "within": within,
        }))
    };
    insta::assert_snapshot!(grant("reeder", json!({})).1, @"there is no role `reeder`, did you mean `reader`?");
    insta::assert_snapshot!(grant("reader", json!({ "tenent": ["a"] })).1, @"the policy declares no dimension `tenent`, did you mean `tenant`?");
    insta::assert_snapshot!(grant("reader", json!({ "tenant": [] })).1, @"dimension `tenant` has 0 values in this boundary: give 1 to 1024");
    let shown = world.refused(json!({ "operation": "accounts_show", "name": "cy" }));
    assert_eq!(shown.0, ErrorKind::NotFound);
    insta::assert_snapshot!(shown.1, @"there is no account `cy`, did you mean `ci`?");
    let role = world.refused(json!({
        "operation": "roles_create", "name": "r", "permissions": ["devices:vew"],
    }));
    insta::assert_snapshot!(role.1, @"the policy declares no permission `devices:vew`, did you mean `devices:view`?");
    assert_eq!(
        world
            .refused(json!({ "operation": "accounts_create", "name": "ci" }))
            .0,
        ErrorKind::Conflict
    );
}

#[test]
fn an_account_of_a_file_is_read_only_but_can_be_shut_off_until_that_is_lifted() {
    let world = World::new(&[POLICY, FILED]);
    let key = world.key("nightly");
    assert!(world.is_alive(key));
    assert_eq!(world.holds("nightly"), ["reader tenant acme"]);
    let said = world.refused(json!({
        "operation": "accounts_grant", "name": "nightly", "role": "operator",
    }));
    assert_eq!(said.0, ErrorKind::Conflict);
    assert!(said.1.contains("policies/1.yaml:3:3"), "{}", said.1);

    let shown = world.done(json!({ "operation": "accounts_disable", "name": "nightly" }));
    assert_eq!(
        (&shown["enabled"], &shown["managed_by"]),
        (&json!(false), &json!("file"))
    );
    assert!(!world.is_alive(key));
    world.reload(&[POLICY, FILED]).unwrap();
    assert!(!world.is_alive(key), "a reload lifts nothing");
    let world = world.reopen(&[POLICY, FILED]);
    assert!(!world.is_alive(key), "a start lifts nothing");
    world.done(json!({ "operation": "accounts_enable", "name": "nightly" }));
    assert!(world.is_alive(key));
}

#[test]
fn an_account_that_vanishes_from_the_files_is_another_when_it_returns() {
    let world = World::new(&[POLICY, FILED]);
    let (before, key) = (world.account("nightly"), world.key("nightly"));
    world.done(json!({ "operation": "accounts_disable", "name": "nightly" }));
    world.reload(&[POLICY]).unwrap();
    assert!(
        world
            .service
            .handle()
            .snapshot()
            .directory
            .key(&key)
            .is_none()
    );
    world.reload(&[POLICY, FILED]).unwrap();
    let after = world.account("nightly");
    assert_ne!(before.id, after.id);
    assert!(!after.enabled, "the override stays");
    assert!(!world.is_alive(key));
    let same = world.reopen(&[POLICY, FILED]).account("nightly");
    assert_eq!(same.id, after.id);
}

#[test]
fn a_key_of_a_file_can_be_ended_and_stays_ended() {
    let (id, secret) = (KeyId::random(), Secret::random());
    let filed = format!(
        "accounts:\n  nightly:\n    keys: [{{ id: {id}, digest: \"{}\" }}]\n",
        secret.digest()
    );
    let world = World::new(&[POLICY, &filed]);
    assert!(world.is_alive(id));
    world.done(json!({ "operation": "keys_expire", "key": id }));
    assert!(!world.is_alive(id));
    world.reload(&[POLICY, &filed]).unwrap();
    assert!(!world.reopen(&[POLICY, &filed]).is_alive(id));
}

#[test]
fn a_name_in_files_and_store_fails_the_reload_and_shuts_the_files_account_off_at_a_start() {
    let world = World::new(&[POLICY]);
    let stored = world.create("nightly", "operator");
    let error = world.reload(&[POLICY, FILED]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`nightly` stands in the store and in policies/1.yaml"),
        "{error}"
    );
    assert_eq!(world.holds("nightly"), ["operator tenant acme"]);
    let world = world.reopen(&[POLICY, FILED]);
    let conflicts = |world: &World| {
        let status = world.done(json!({ "operation": "status" }));
        status["conflicts"].as_array().unwrap().len()
    };
    assert_eq!(conflicts(&world), 1);
    assert_eq!(world.account("nightly").id.as_str(), stored["id"]);
    assert_eq!(world.holds("nightly"), ["operator tenant acme"]);
    world.reload(&[POLICY]).unwrap();
    assert_eq!(conflicts(&world), 0);
    let world = world.reopen(&[POLICY, FILED]);
    world.done(json!({ "operation": "accounts_delete", "name": "nightly" }));
    world.reload(&[POLICY, FILED]).unwrap();
    assert_eq!(conflicts(&world), 0);
    assert_eq!(world.holds("nightly"), ["reader tenant acme"]);
}

#[test]
fn a_grant_whose_role_vanished_gives_nothing_until_it_is_given_anew() {
    let without = POLICY.replace("operator:", "worker:");
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    world.reload(&[&without]).unwrap();
    assert_eq!(world.holds("ci"), [""; 0]);
    world.clock.advance(Duration::from_secs(1));
    world.reload(&[POLICY]).unwrap();
    assert_eq!(
        world.holds("ci"),
        [""; 0],
        "the role is back and the grant is not"
    );
    let shown = world.done(json!({ "operation": "accounts_show", "name": "ci" }));
    insta::assert_snapshot!(shown["grants"][0]["closed"], @r#""its role vanished from the policy at 2026-11-21T23:00:00.000Z: grant it anew if it is still meant""#);
    let world = world.reopen(&[POLICY]);
    assert_eq!(world.holds("ci"), [""; 0]);
    world.done(json!({
        "operation": "accounts_grant", "name": "ci", "role": "operator",
        "within": { "tenant": ["acme"] },
    }));
    assert_eq!(world.holds("ci"), ["operator tenant acme"]);
}

#[test]
fn a_grant_limited_by_a_dimension_that_is_not_declared_gives_nothing() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    world
        .reload(&[&POLICY.replace("tenant: The customer,", "")])
        .unwrap();
    assert_eq!(world.holds("ci"), [""; 0]);
    let shown = world.done(json!({ "operation": "accounts_show", "name": "ci" }));
    assert_eq!(
        shown["grants"][0]["closed"],
        "the policy declares no dimension `tenant`"
    );
}

#[test]
fn a_custom_role_gives_what_it_says_and_changes_at_once() {
    let world = World::new(&[POLICY]);
    world.done(json!({
        "operation": "roles_create", "name": "custom", "permissions": ["devices:edit"],
        "include": ["reader"],
    }));
    world.create("ci", "custom");
    let gives = || {
        let account = world.account("ci");
        let policy = &world.service.handle().snapshot().policy;
        let set = account
            .holdings
            .first()
            .map(|held| held.permissions.clone())
            .unwrap_or_default();
        set.iter()
            .map(|id| policy.permission(id).to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(gives(), ["devices:edit", "devices:view", "tenants:view"]);
    world.done(json!({ "operation": "roles_update", "name": "custom", "include": [] }));
    assert_eq!(gives(), ["devices:edit"]);
    let circle = world.refused(json!({
        "operation": "roles_update", "name": "custom", "include": ["custom"],
    }));
    assert_eq!(circle.0, ErrorKind::Invalid);
    let held = world.refused(json!({ "operation": "roles_delete", "name": "custom" }));
    insta::assert_snapshot!(held.1, @"role `custom` is still held by account `ci`: take it away first, or say `--force` to take it from all of them");
    let built_in = world.refused(json!({ "operation": "roles_delete", "name": "reader" }));
    assert!(built_in.1.contains("managed by file"), "{}", built_in.1);
}

#[test]
fn a_groups_grants_are_its_members_and_say_where_they_come_from() {
    let world = World::new(&[
        POLICY,
        "groups:\n  all: { members: [ci], grants: [{ role: reader }] }",
    ]);
    world.create("ci", "operator");
    world.done(json!({
        "operation": "groups_create", "name": "night", "grants": [{ "role": "reader" }],
    }));
    let add = json!({ "operation": "groups_add", "group": "night", "account": "ci" });
    world.done(add.clone());
    let all = [
        "operator tenant acme",
        "reader everywhere by night",
        "reader everywhere by all",
    ];
    assert_eq!(world.holds("ci"), all);
    world.done(json!({ "operation": "groups_ungrant", "name": "night", "role": "reader" }));
    assert_eq!(world.holds("ci"), [all[0], all[2]]);
    world.done(json!({ "operation": "groups_grant", "name": "night", "role": "reader" }));
    world.done(json!({ "operation": "groups_remove", "group": "night", "account": "ci" }));
    assert_eq!(world.holds("ci"), [all[0], all[2]]);
    world.done(add);
    world.done(json!({ "operation": "groups_delete", "name": "night" }));
    assert_eq!(world.holds("ci"), [all[0], all[2]]);
    let filed = world.refused(json!({ "operation": "groups_delete", "name": "all" }));
    assert_eq!(filed.0, ErrorKind::Conflict);
}

#[test]
fn last_use_survives_changes_and_is_written_back() {
    let world = World::new(&[POLICY, FILED]);
    world.create("ci", "operator");
    let (key, filed) = (world.key("ci"), world.key("nightly"));
    let state = world.service.handle().snapshot();
    for key in [key, filed] {
        state.directory.key(&key).unwrap().touch(START, None);
    }
    world.done(json!({ "operation": "accounts_disable", "name": "ci" }));
    world.reload(&[POLICY, FILED]).unwrap();
    let shown = || world.done(json!({ "operation": "keys_list" }));
    assert_eq!(shown()[0]["last_used_at"], "2026-11-21T23:00:00.000Z");
    assert_eq!(world.service.flush_last_used().unwrap(), 2);
    assert_eq!(world.service.flush_last_used().unwrap(), 0);
    let world = world.reopen(&[POLICY, FILED]);
    for name in ["ci", "nightly"] {
        let shown = world.done(json!({ "operation": "accounts_show", "name": name }));
        assert_eq!(shown["last_used_at"], "2026-11-21T23:00:00.000Z", "{name}");
    }
    assert_eq!(world.service.flush_last_used().unwrap(), 0);
}

#[test]
fn without_a_store_a_change_is_refused_and_the_file_is_named() {
    let (id, secret) = (KeyId::random(), Secret::random());
    let filed = format!(
        "accounts:\n  nightly:\n    id: sa_nightly\n    keys: [{{ id: {id}, digest: \"{}\" }}]\n",
        secret.digest()
    );
    let world = World::with(&[POLICY, &filed], "store: none");
    assert!(world.is_alive(id));
    for (operation, file) in [
        (
            json!({ "operation": "keys_expire", "key": id }),
            "policies/1.yaml:4",
        ),
        (
            json!({ "operation": "accounts_disable", "name": "nightly" }),
            "policies/1.yaml:2",
        ),
        (
            json!({ "operation": "keys_create", "account": "nightly" }),
            "policies/1.yaml:2",
        ),
        (
            json!({ "operation": "accounts_create", "name": "ci" }),
            "the policy files",
        ),
        (
            json!({ "operation": "groups_create", "name": "g" }),
            "the policy files",
        ),
        (
            json!({ "operation": "roles_create", "name": "r" }),
            "the policy files",
        ),
    ] {
        let (kind, said) = world.refused(operation);
        assert_eq!(kind, ErrorKind::Conflict, "{said}");
        assert!(
            said.contains("store: none") && said.contains(file),
            "{said}"
        );
    }
    assert!(world.is_alive(id));
    let unnamed = world.reload(&[POLICY, FILED]).unwrap_err();
    assert!(unnamed.to_string().contains("has no `id`"), "{unnamed}");
}

#[test]
fn a_description_cannot_move_a_terminals_cursor_or_fill_the_store() {
    let world = World::new(&[POLICY]);
    for text in ["a\u{1b}[2J", "a\nb", &"x".repeat(1025)] {
        let said = world.refused(json!({
            "operation": "accounts_create", "name": "ci", "description": text,
        }));
        assert_eq!(said.0, ErrorKind::Invalid);
    }
}

/// E11, E12: nothing that opens a door is in any file but the pepper's.
#[test]
fn the_store_holds_no_secret_in_any_form_that_opens() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let made = world.done(json!({ "operation": "keys_create", "account": "ci" }));
    let secret = Secret::parse(made["secret"].as_str().unwrap()).unwrap();
    let digest = secret.digest();
    let private = {
        let state = world.service.handle().snapshot();
        let seed = state.directory.signing().current().unwrap();
        aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(seed.encoding().as_bytes()).unwrap()
    };
    let seed = aws_lc_rs::encoding::AsBigEndian::<aws_lc_rs::encoding::Curve25519SeedBin<'_>>::as_be_bytes(&private.seed().unwrap()).unwrap();
    let hex: String = digest.to_string();
    let pepper = std::fs::read(world.folder.path().join("p.db.pepper")).unwrap();
    let needles: [&[u8]; 5] = [
        secret.reveal().as_bytes(),
        digest.as_bytes(),
        hex.as_bytes(),
        seed.as_ref(),
        &pepper,
    ];
    let mut files = 0;
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("p.db.pepper") {
            continue;
        }
        files += 1;
        let bytes = std::fs::read(&path).unwrap();
        for needle in needles {
            assert!(
                !bytes.windows(needle.len()).any(|window| window == needle),
                "{path:?}"
            );
        }
    }
    assert!(files >= 4, "the database, its log, its index and the lock");
}

#[test]
fn questions_are_answered_from_the_state_in_force() {
    let routes = "
upstream: inventory
within: { tenant: path.tenant }
routes:
  GET /about: public
  GET /v1/{tenant}/devices: devices:view
  GET /v1/search: { needs: { any: [devices:view, devices:edit] }, within: { tenant: { query: t, separator: \",\" } } }
";
    let world = World::new(&[POLICY, routes]);
    world.create("ci", "reader");
    let all = world.done(json!({ "operation": "routes_list" }));
    let told = |route: &Value| {
        format!(
            "{} | {} | {}",
            route["name"], route["needs"], route["within"]
        )
    };
    let told: Vec<_> = all.as_array().unwrap().iter().map(told).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    "GET /about" | "public" | null
    "GET /v1/{tenant}/devices" | "devices:view" | {"tenant":"path.tenant"}
    "GET /v1/search" | {"any":["devices:edit","devices:view"]} | {"tenant":"query.t, separated by `,`"}
    "#);
    let met = json!({ "operation": "routes_match", "method": "GET", "target": "/v1/acme/devices" });
    assert_eq!(world.done(met)["route"]["needs"], "devices:view");
    let other = json!({ "operation": "routes_match", "method": "PUT", "target": "/about" });
    assert_eq!(world.refused(other).0, ErrorKind::NotFound);
    let permissions = world.done(json!({ "operation": "permissions_list" }));
    assert_eq!(permissions[0]["roles"], json!(["operator"]));
    let ask = |target: &str| {
        world.done(json!({
            "operation": "explain", "method": "GET", "target": target, "account": "ci",
        }))
    };
    assert_eq!(ask("/v1/acme/devices")["allowed"], true);
    assert_eq!(ask("/v1/umbrella/devices")["reason"], "outside_boundary");
    let issued = world.done(json!({
        "operation": "tokens_issue", "account": "ci", "scope": ["devices:view"],
    }));
    let inspect =
        |token: &Value| world.done(json!({ "operation": "tokens_inspect", "token": token }));
    let seen = inspect(&issued["access_token"]);
    assert_eq!(
        (&seen["good"], &seen["account"]),
        (&json!(true), &json!("ci"))
    );
    world.done(json!({ "operation": "accounts_disable", "name": "ci" }));
    assert_eq!(
        inspect(&issued["access_token"])["reason"],
        "account_disabled"
    );
    let status = world.done(json!({ "operation": "status" }));
    assert_eq!(
        (&status["accounts"], &status["routes"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(
        world.refused(json!({ "operation": "reload" })).0,
        ErrorKind::Unavailable
    );
}

#[test]
fn a_service_says_nothing_of_what_it_holds_when_printed() {
    let shown = format!("{:?}", World::new(&[POLICY]).service);
    assert!(
        !shown.contains("pepper") && !shown.contains("records"),
        "{shown}"
    );
}
