//! Credentials in, callers or reasons out; and what a change of state does to both.

use std::collections::BTreeSet;

use super::world::{START, World};
use super::*;
use crate::words::PermissionId;

fn later(secs: u64) -> UnixTime {
    START.plus(Duration::from_secs(secs))
}

/// Asks twice: what the cache says is what the verification said.
fn both(world: &World, token: &str, now: UnixTime) -> Result<Caller, Reason> {
    let cold = world.bearer(token, now);
    let warm = world.bearer(token, now);
    assert_eq!(cold.as_ref().err(), warm.as_ref().err());
    warm
}

#[test]
fn a_token_is_verified_once_and_names_its_account_and_key() {
    let world = World::new();
    let token = world.token("ci", None);
    for _ in 0..3 {
        let caller = world.bearer(&token, START).unwrap();
        assert_eq!(caller.account.name.as_str(), "ci");
        assert_eq!(caller.key, Some(world.key("ci")));
        assert_eq!(caller.subset, None);
        let sha256: [u8; 32] = Sha256::digest(&token).into();
        let evidence = Evidence::Token {
            digest: sha256[..8].try_into().unwrap(),
            expires_at: later(900),
            id: world.verifier.verified()[0].id,
        };
        assert_eq!(caller.evidence, evidence);
    }
    let verifier = &world.verifier;
    assert_eq!((verifier.cache_hits(), verifier.cache_misses()), (2, 1));
    assert_eq!(
        (verifier.cache_entries(), verifier.cache_evictions()),
        (1, 0)
    );
}

#[test]
fn no_credential_is_no_caller() {
    let world = World::new();
    let found = world
        .verifier
        .verify(&Credential::Absent, &world.state(), (START, None));
    assert!(found.unwrap().is_none());
}

/// What was taken back is refused at the next request, remembered or not.
#[test]
fn e21_e23_a_change_of_state_bites_cached_tokens_at_once() {
    type Change = fn(&mut World);
    let changes: [(&str, Change, Reason); 5] = [
        (
            "the key has run out",
            |w| w.end_key("ci", START),
            Reason::KeyExpired,
        ),
        (
            "the key is gone",
            |w| w.forget_keys("ci"),
            Reason::KeyRevoked,
        ),
        (
            "the account is gone",
            |w| w.forget_account("ci"),
            Reason::KeyRevoked,
        ),
        (
            "the signing key is gone",
            |w| w.signing = Arc::default(),
            Reason::TokenUnknown,
        ),
        (
            "another signing key took its id",
            |w| {
                let kid = w.signing.current().unwrap().kid.clone();
                let other = crate::directory::SigningKey::generate(START).0;
                let other = crate::directory::SigningKey { kid, ..other };
                w.signing = Arc::new(crate::directory::SigningKeys::new(vec![other]));
            },
            Reason::TokenUnknown,
        ),
    ];
    for (what, change, reason) in changes {
        let mut world = World::new();
        let token = world.token("ci", None);
        assert!(world.bearer(&token, START).is_ok());
        change(&mut world);
        assert_eq!(world.bearer(&token, START).unwrap_err(), reason, "{what}");
    }
}

#[test]
fn an_issued_token_lives_as_long_as_its_account() {
    let mut world = World::new();
    let token = world.issued("ci");
    let caller = both(&world, &token, START).unwrap();
    assert_eq!((caller.account.name.as_str(), caller.key), ("ci", None));
    world.forget_keys("ci");
    assert!(both(&world, &token, START).is_ok());
    world.forget_account("ci");
    assert_eq!(
        both(&world, &token, START).unwrap_err(),
        Reason::TokenRevoked
    );
}

/// An id that stood in one account's file and stands in another's now: what was made from it then is not
/// the other's.
#[test]
fn a_token_does_not_follow_its_key_to_another_account() {
    let mut world = World::new();
    let token = world.token("ci", None);
    assert!(world.bearer(&token, START).is_ok());
    let key = world.records.key(&world.key("ci")).unwrap().clone();
    world.forget_keys("ci");
    let account = "sa_far".parse().unwrap();
    world
        .records
        .put_key(crate::store::KeyRecord { account, ..key });
    assert_eq!(both(&world, &token, START).unwrap_err(), Reason::KeyRevoked);
}

/// The decision says that an account is switched off; here it is still a caller.
#[test]
fn a_disabled_account_is_left_to_the_decision() {
    let world = World::new();
    assert!(
        !both(&world, &world.token("off", None), START)
            .unwrap()
            .account
            .enabled
    );
}

#[test]
fn d13_the_ends_of_a_tokens_time_are_exact() {
    let world = World::new();
    let token = world.token("ci", None);
    let ms = Duration::from_millis(1);
    let rows = [
        (
            UnixTime::from_millis(START.as_millis() - 5_001),
            Some(Reason::TokenNotYetValid),
        ),
        (UnixTime::from_millis(START.as_millis() - 5_000), None),
        (START, None),
        (UnixTime::from_millis(later(900).as_millis() - 1), None),
        (later(900), Some(Reason::TokenExpired)),
        (later(900).plus(ms), Some(Reason::TokenExpired)),
    ];
    for (now, expected) in rows {
        assert_eq!(both(&world, &token, now).err(), expected, "{now}");
    }
    // And the other way round, now that it is remembered.
    for (now, expected) in rows.into_iter().rev() {
        assert_eq!(world.bearer(&token, now).err(), expected, "{now}");
    }
}

#[test]
fn e17_junk_takes_no_room() {
    let mut world = World::new();
    let good = world.token("ci", None);
    for number in 0..500 {
        let junk = format!("{good}{number}");
        assert!(world.bearer(&junk, START).is_err());
        assert!(world.bearer(&format!("junk{number}"), START).is_err());
    }
    assert!(world.bearer(&good, later(900)).is_err());
    assert_eq!(world.verifier.cache_entries(), 0);
    world.end_key("ci", START);
    assert!(world.bearer(&good, START).is_err());
    assert_eq!(
        world.verifier.cache_entries(),
        0,
        "what is refused is not remembered"
    );
}

#[test]
fn a_scope_narrows_under_the_policy_in_force() {
    let mut world = World::new();
    let subset = |world: &World, scope: &[&str]| {
        let caller = both(world, &world.token("ci", Some(scope)), START).unwrap();
        caller
            .subset
            .map(|set| set.iter().map(|id| id.0).collect::<Vec<_>>())
    };
    assert_eq!(
        subset(&world, &["devices:view", "tenants:view"]),
        Some(vec![1, 2])
    );
    assert_eq!(
        subset(&world, &["ghosts:view"]),
        Some(vec![]),
        "a limit to nothing"
    );

    // The number of a name changes with the policy, remembered or not.
    let token = world.token("ci", Some(&["tenants:view"]));
    assert!(
        world
            .bearer(&token, START)
            .unwrap()
            .subset
            .unwrap()
            .contains(PermissionId(2))
    );
    let policy = Arc::get_mut(&mut world.policy).unwrap();
    policy.permissions.remove(0);
    let after = world.bearer(&token, START).unwrap().subset.unwrap();
    assert_eq!(after.iter().collect::<Vec<_>>(), [PermissionId(1)]);
}

#[test]
fn a_keys_subset_and_a_tokens_scope_are_both_limits() {
    let world = World::new();
    let set = |ids: &[u16]| -> PermissionSet { ids.iter().copied().map(PermissionId).collect() };
    let names: Vec<Permission> = ["devices:view", "tenants:view"]
        .map(|name| name.parse().unwrap())
        .into();
    let both = |subset: Option<&PermissionSet>, scope| {
        narrowed(&world.policy, subset, scope)
            .map(|set| set.iter().map(|id| id.0).collect::<BTreeSet<_>>())
    };
    assert_eq!(both(None, None), None);
    assert_eq!(both(Some(&set(&[0, 1])), None), Some([0, 1].into()));
    assert_eq!(both(None, Some(&names)), Some([1, 2].into()));
    assert_eq!(both(Some(&set(&[0, 1])), Some(&names)), Some([1].into()));
    assert_eq!(both(Some(&set(&[0])), Some(&names)), Some([].into()));
}

#[test]
fn a_key_shown_directly_is_compared_with_its_own_digest() {
    let mut world = World::new();
    let ask = |world: &World, id: &str, secret: &str| {
        let credential = Credential::Key {
            id: world.key(id),
            secret: Secret::parse(world.keys[secret].1.reveal()).unwrap(),
        };
        let found = world
            .verifier
            .verify(&credential, &world.state(), (START, None));
        found.map(|caller| {
            let caller = caller.unwrap();
            assert_eq!(caller.evidence, Evidence::Key);
            caller.account.name.as_str().to_owned()
        })
    };
    assert_eq!(ask(&world, "ci", "ci"), Ok("ci".into()));
    assert_eq!(ask(&world, "ci", "far"), Err(Reason::KeyUnknown));
    world.end_key("ci", START);
    assert_eq!(ask(&world, "ci", "ci"), Err(Reason::KeyExpired));
    assert_eq!(
        ask(&world, "ci", "far"),
        Err(Reason::KeyUnknown),
        "says no more to a stranger"
    );
    world.forget_keys("ci");
    assert_eq!(ask(&world, "ci", "ci"), Err(Reason::KeyUnknown));
    // Another pepper, or none: the same secret is worth nothing.
    for pepper in [None, Some(Arc::new(Pepper::random()))] {
        let world = World {
            verifier: Verifier::new(&world.tokens, pepper),
            ..World::new()
        };
        assert_eq!(ask(&world, "far", "far"), Err(Reason::KeyUnknown));
    }
}

#[test]
fn a_plain_digest_from_a_file_needs_no_pepper() {
    let world = World::new();
    let state = world.state();
    let (id, secret) = &world.keys["ci"];
    let wrong = Secret::random();
    let plain = Key {
        digest: crate::directory::StoredDigest::Plain(secret.digest()),
        ..state.directory.key(id).unwrap().clone()
    };
    for pepper in [None, Some(Arc::clone(&world.pepper))] {
        let comparison = Comparison::new(pepper);
        let check = |key, secret| comparison.check(key, secret, START).map(|key| key.id);
        assert_eq!(check(Some(&plain), secret), Ok(*id));
        assert_eq!(check(Some(&plain), &wrong), Err(Reason::KeyUnknown));
        assert_eq!(check(None, secret), Err(Reason::KeyUnknown));
    }
}

#[test]
fn success_and_nothing_else_is_a_use_of_the_key() {
    let world = World::new();
    let state = world.state();
    let key = state.directory.key(&world.keys["ci"].0).unwrap();
    let ask = |token: &str, now| {
        let found = world
            .verifier
            .verify(&Credential::Bearer(token), &state, (now, None));
        (found.is_ok(), key.last_used_at())
    };
    let token = world.token("ci", None);
    assert_eq!(ask(&format!("{token}x"), START), (false, None));
    assert_eq!(ask(&token, later(900)), (false, None));
    assert_eq!(ask(&token, START), (true, Some(START)));
    assert_eq!(
        ask(&token, START.plus(Duration::from_millis(999))),
        (true, Some(START))
    );
    assert_eq!(ask(&token, later(1)), (true, Some(later(1))));
}

#[test]
fn a_verifier_prints_no_secret() {
    let shown = format!("{:?}", World::new().verifier);
    assert_eq!(
        shown,
        r#"Verifier { issuer: "https://gate.example.com", audience: "inventory", .. }"#
    );
}
