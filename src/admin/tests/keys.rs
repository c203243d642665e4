//! Keys: made, rotated, ended, forgotten.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{POLICY, START, World};
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
        "expiring"
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
fn a_key_that_ended_long_ago_goes_and_its_id_does_not_come_back() {
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
    assert_eq!(world.service.forget_ended_keys().unwrap(), 1);
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

#[test]
fn a_key_may_use_less_than_its_account_and_only_from_where_it_says() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let create = |only: Value, allow_from: Value| {
        world.ask(json!({
            "operation": "keys_create", "account": "ci", "only": only, "allow_from": allow_from,
        }))
    };
    let made = create(json!(["devices:view"]), json!(["10.0.0.0/8"])).unwrap();
    let id: KeyId = made["id"].as_str().unwrap().parse().unwrap();
    let state = world.service.handle().snapshot();
    let key = state.directory.key(&id).unwrap().clone();
    let may = |name: &str| {
        let id = state.policy.permission_id(name).unwrap();
        key.subset.as_ref().unwrap().contains(id)
    };
    assert_eq!([may("devices:view"), may("devices:edit")], [true, false]);
    let rules = key.addresses.unwrap();
    let admits = |source: &str| rules.admit(source.parse().unwrap());
    assert_eq!([admits("10.1.2.3"), admits("192.0.2.1")], [true, false]);

    let error = create(json!(["devices:vew"]), json!([])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        error.message.contains("did you mean `devices:view`"),
        "{error}"
    );

    // A rotation keeps both limits; an update replaces them, one at a time.
    let next = world.done(json!({ "operation": "keys_rotate", "key": id, "overlap_seconds": 0 }));
    let shown = |key: &Value| {
        let listed = world.done(json!({ "operation": "keys_list", "account": "ci" }));
        let listed = listed.as_array().unwrap().clone();
        listed.into_iter().find(|one| one["id"] == *key).unwrap()
    };
    let key = shown(&next["id"]);
    assert_eq!(key["only"], json!(["devices:view"]));
    assert_eq!(key["allow_from"], json!(["10.0.0.0/8"]));
    world.done(json!({ "operation": "keys_update", "key": next["id"], "only": [] }));
    let key = shown(&next["id"]);
    assert_eq!(key["only"], Value::Null);
    assert_eq!(key["allow_from"], json!(["10.0.0.0/8"]));
}

#[test]
fn a_permission_that_vanishes_leaves_a_key_that_was_limited_to_it_nothing() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let made = world.done(json!({
        "operation": "keys_create", "account": "ci", "only": ["tenants:view"],
    }));
    world
        .reload(&[&POLICY.replace("tenants:view", "sites:view")])
        .unwrap();
    let id: KeyId = made["id"].as_str().unwrap().parse().unwrap();
    let state = world.service.handle().snapshot();
    let subset = state.directory.key(&id).unwrap().subset.clone();
    assert!(subset.unwrap().is_empty());
}

#[test]
fn no_key_lives_longer_than_the_settings_say_and_ending_one_is_never_refused() {
    let world = World::with(&[POLICY], "store: sqlite:p.db\nkeys: { max_lifetime: 1d }");
    world.create("ci", "operator");
    let create = |end: Option<&str>| {
        world.ask(json!({ "operation": "keys_create", "account": "ci", "expires_at": end }))
    };
    let latest = "2026-11-22T23:00:00.000Z";
    let made = create(None).unwrap();
    assert_eq!(made["expires_at"], latest);
    assert_eq!(
        create(Some("2026-11-22T12:00:00Z")).unwrap()["expires_at"],
        "2026-11-22T12:00:00.000Z"
    );
    let error = create(Some("2026-11-23T00:00:00Z")).unwrap_err();
    insta::assert_snapshot!(error.message, @"the key would end at 2026-11-23T00:00:00.000Z, and `keys.max_lifetime` lets it live for 1day, until 2026-11-22T23:00:00.000Z");
    let expire = |at: Option<&str>| {
        world.ask(json!({ "operation": "keys_expire", "key": made["id"], "at": at }))
    };
    assert_eq!(
        expire(Some("2026-11-23T00:00:00Z")).unwrap_err().kind,
        ErrorKind::Invalid
    );
    // The next key lives as long as a new one may, when that is asked for.
    world.clock.advance(Duration::from_secs(60 * 60));
    let rotate = |end: &str| {
        world.ask(json!({
            "operation": "keys_rotate", "key": made["id"], "overlap_seconds": 60,
            "expires_at": end,
        }))
    };
    let next = rotate("2026-11-23T00:00:00Z").unwrap();
    assert_eq!(next["expires_at"], "2026-11-23T00:00:00.000Z");
    assert_eq!(
        rotate("2026-11-24T00:00:00Z").unwrap_err().kind,
        ErrorKind::Invalid
    );
    assert_eq!(expire(None).unwrap()["state"], "expired");
}

#[test]
fn a_rotation_shortens_an_end_that_the_settings_do_not_allow_any_more_and_says_so() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let made = |end: Option<&str>| {
        let made =
            world.done(json!({ "operation": "keys_create", "account": "ci", "expires_at": end }));
        made["id"].clone()
    };
    let (far, near, endless) = (
        made(Some("2030-01-01T00:00:00Z")),
        made(Some("2026-11-22T00:00:00Z")),
        made(None),
    );
    let world = world.reopen_with(&[POLICY], "store: sqlite:p.db\nkeys: { max_lifetime: 1d }");
    let rotate = |key: &Value| {
        let rotate = json!({ "operation": "keys_rotate", "key": key, "overlap_seconds": 3600 });
        let next = world.done(rotate);
        (
            next["expires_at"].clone(),
            next.get("shortened_from").cloned(),
        )
    };
    let latest = json!("2026-11-22T23:00:00.000Z");
    let end = json!("2030-01-01T00:00:00.000Z");
    assert_eq!(rotate(&far), (latest.clone(), Some(end)));
    assert_eq!(rotate(&near), (json!("2026-11-22T00:00:00.000Z"), None));
    assert_eq!(rotate(&endless), (latest, None));
}

#[test]
fn keys_that_end_soon_or_fell_silent_are_found() {
    let day = Duration::from_secs(24 * 60 * 60);
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let (silent, busy) = (world.key("ci"), world.key("ci"));
    let soon = world.done(json!({
        "operation": "keys_create", "account": "ci", "expires_at": "2027-02-20T00:00:00Z",
    }));
    let over = world.key("ci");
    world.done(json!({ "operation": "keys_expire", "key": over }));
    world.clock.advance(80 * day);
    let state = world.service.handle().snapshot();
    let used = state.directory.key(&busy).unwrap();
    used.touch(world.clock.now(), Some([192, 0, 2, 7].into()));
    world.service.flush_last_used().unwrap();
    let list = |field: &str, at: &str| {
        let listed = world.done(json!({ "operation": "keys_list", field: at }));
        let ids = listed.as_array().unwrap().iter();
        ids.map(|key| key["id"].clone()).collect::<Vec<_>>()
    };
    let unused = list("unused_since", "2026-12-01T00:00:00Z");
    assert_eq!(unused.len(), 2);
    assert!(unused.contains(&json!(silent)) && unused.contains(&soon["id"]));
    assert_eq!(
        list("unused_since", "2026-11-21T00:00:00Z"),
        [Value::Null; 0],
        "a key that was made since is not unused yet"
    );
    assert_eq!(
        list("ends_before", "2027-03-01T00:00:00Z"),
        [soon["id"].clone()]
    );
    let world = world.reopen(&[POLICY]);
    let listed = world.done(json!({ "operation": "keys_list" }));
    let of = |id: &Value| {
        let listed = listed.as_array().unwrap();
        listed.iter().find(|key| key["id"] == *id).unwrap().clone()
    };
    assert_eq!(of(&json!(busy))["last_used_from"], "192.0.2.7");
    assert_eq!(of(&soon["id"])["state"], "expiring");
    assert_eq!(of(&json!(silent))["state"], "active");
}

#[test]
fn pages_of_keys_and_accounts_are_the_whole_list_in_its_order() {
    let world = World::new(&[POLICY, super::world::FILED]);
    for name in ["cd", "ab", "zz"] {
        world.create(name, "reader");
        world.key(name);
        world.clock.advance(Duration::from_secs(1));
        world.key(name);
    }
    world.create("mm", "reader");
    for (operation, field) in [("keys_list", "id"), ("accounts_list", "name")] {
        let whole = world.done(json!({ "operation": operation }));
        let whole = whole.as_array().unwrap();
        for limit in [1, 2, 5] {
            let mut pages = Vec::new();
            let mut after = Value::Null;
            loop {
                let page = world.done(json!({
                    "operation": operation, "after": after, "limit": limit,
                }));
                let page = page.as_array().unwrap().clone();
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                after = last[field].clone();
                pages.extend(page);
            }
            assert_eq!(pages, *whole, "{operation} {limit}");
        }
    }
}

#[test]
fn keys_from_elsewhere_come_by_their_digests_all_of_them_or_none() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let secrets: Vec<_> = (0..3).map(|_| Secret::random()).collect();
    let id = KeyId::random();
    let key = |at: usize| json!({ "digest": secrets[at].digest().to_string() });
    let import = |keys: Value| {
        world.ask(json!({ "operation": "keys_import", "account": "ci", "keys": keys }))
    };
    let named = json!({ "id": id, "digest": secrets[0].digest().to_string() });
    let made = import(json!([named, key(1)])).unwrap();
    assert_eq!(
        (made.as_array().unwrap().len(), &made[0]["id"]),
        (2, &json!(id))
    );
    assert!(!made.to_string().contains("sha256"), "{made}");
    let state = world.service.handle().snapshot();
    let found = world
        .service
        .verifier()
        .key(&id, &secrets[0], &state, START);
    assert_eq!(found.unwrap().account.name.as_str(), "ci");

    let count = || {
        world
            .done(json!({ "operation": "keys_list" }))
            .as_array()
            .unwrap()
            .len()
    };
    let nothing = format!(
        "sha256:{}",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (keys, kind, said) in [
        (json!([key(2), key(2)]), ErrorKind::Invalid, "twice"),
        (
            json!([key(2), key(1)]),
            ErrorKind::Conflict,
            "has the same secret",
        ),
        (
            json!([{ "digest": nothing }]),
            ErrorKind::Invalid,
            "no bytes at all",
        ),
        (
            json!([{ "id": id, "digest": secrets[2].digest().to_string() }]),
            ErrorKind::Conflict,
            "already",
        ),
        (json!([]), ErrorKind::Invalid, "no digest"),
    ] {
        let error = import(keys).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(said), "{error}");
        assert_eq!(count(), 2);
    }
}

#[test]
fn keys_that_ended_long_ago_are_forgotten_while_it_runs_and_stay_ended() {
    let (filed, secret) = (KeyId::random(), Secret::random());
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let keys: Vec<_> = (0..3).map(|_| world.key("ci")).collect();
    let imported = world.done(json!({
        "operation": "keys_import", "account": "ci",
        "keys": [{ "digest": secret.digest().to_string(), "id": filed }],
    }));
    assert_eq!(imported[0]["id"], json!(filed));
    for key in [keys[0], filed] {
        world.done(json!({ "operation": "keys_expire", "key": key }));
    }
    let day = Duration::from_secs(24 * 60 * 60);
    world.clock.advance(day * 89);
    world.done(json!({ "operation": "keys_expire", "key": keys[1] }));
    assert_eq!(world.service.forget_ended_keys().unwrap(), 0);
    world.clock.advance(day * 2);
    assert_eq!(world.service.forget_ended_keys().unwrap(), 2);
    assert_eq!(world.service.forget_ended_keys().unwrap(), 0);
    let known = |world: &World| {
        let state = world.service.handle().snapshot();
        let inner = world.service.lock().unwrap();
        assert_eq!(*inner.records, inner.store.load().unwrap());
        [keys[0], filed, keys[1], keys[2]].map(|key| state.directory.key(&key).is_some())
    };
    assert_eq!(known(&world), [false, false, true, true]);
    // A file brings none back.
    let file = format!(
        "accounts:\n  back:\n    keys: [{{ id: {filed}, digest: \"{}\" }}]\n",
        secret.digest()
    );
    let world = world.reopen(&[POLICY, &file]);
    assert_eq!(known(&world), [false, true, true, true]);
    assert!(!world.is_alive(filed) && world.is_alive(keys[2]));
}

#[test]
fn an_account_keeps_so_many_ended_keys_and_no_more() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let id = world.account("ci").id.clone();
    let digests = |from: usize| {
        let keys =
            (from..from + 256).map(|n| json!({ "digest": format!("sha256:{:064x}", n + 1) }));
        keys.collect::<Vec<_>>()
    };
    let mut last = Value::Null;
    for turn in 0..6 {
        world.clock.advance(Duration::from_secs(1));
        last = world.done(json!({
            "operation": "keys_import", "account": "ci", "keys": digests(turn * 256),
        }));
        let (kept, most) = {
            let inner = world.service.lock().unwrap();
            let keys = inner.records.keys_of(&id);
            let now = world.clock.now();
            let ended = keys.filter(|key| key.expires_at.is_some_and(|end| end <= now));
            (ended.count(), super::super::keys::ENDED_KEYS_MAX)
        };
        assert!(kept <= most, "{kept}");
        let mut inner = world.service.lock().unwrap();
        let changes: Vec<_> = last
            .as_array()
            .unwrap()
            .iter()
            .map(|key| crate::store::Change::ExpireKey {
                id: key["id"].as_str().unwrap().parse().unwrap(),
                at: world.clock.now(),
                now: world.clock.now(),
            })
            .collect();
        let inner = &mut *inner;
        for change in changes {
            std::sync::Arc::make_mut(&mut inner.records).apply(&change);
        }
    }
    // The newest are those that are kept.
    let newest = last[0]["id"].as_str().unwrap();
    let shown = world.done(json!({ "operation": "keys_show", "key": newest }));
    assert_eq!(shown["id"], newest);
}
