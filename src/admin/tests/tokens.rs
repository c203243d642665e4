//! Signing keys by age, and tokens taken back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{POLICY, World};
use crate::admin::given_back::REVOKED_BY_CLIENTS_MAX;
use crate::admin::{Actor, ErrorKind, GivenBack, Operation};
use crate::credential::Credential;
use crate::oauth::{MintRequest, mint};
use crate::reason::Reason;
use crate::settings::Tokens;
use crate::verify::Verifier;
use crate::words::{RequestIds, TokenId};

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
fn after_a_leak_one_signing_key_is_left_and_no_token_of_another() {
    let world = World::new(&[POLICY]);
    world.done(json!({ "operation": "accounts_create", "name": "ci" }));
    let issue = || {
        let told = world.done(json!({ "operation": "tokens_issue", "account": "ci" }));
        told["access_token"].as_str().unwrap().to_owned()
    };
    let is_good = |token: &str| {
        let told = world.done(json!({ "operation": "tokens_inspect", "token": token }));
        told["good"] == true
    };
    let before = issue();
    world.done(json!({ "operation": "signing_keys_rotate" }));
    let between = issue();
    assert!(is_good(&before) && is_good(&between));
    let told = world.done(json!({ "operation": "signing_keys_rotate", "end_tokens": true }));
    assert_eq!(told["tokens_ended"], true);
    assert!(!is_good(&before) && !is_good(&between));
    let keys = signing_keys(&world);
    assert_eq!((keys.len(), &keys[0]["id"]), (1, &told["id"]));
    assert!(is_good(&issue()));
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

/// Tokens for the APIs behind and tokens for the admin API are listed together, each with whom it is for,
/// and either can be looked at and taken back.
#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn tokens_of_the_admin_api_are_listed_inspected_and_taken_back_too() {
    let settings = "store: sqlite:p.db\nadmin: { address: 127.0.0.1:0, audience: desk }";
    let world = World::with(&[POLICY], settings);
    world.create("ci", "operator");
    let service = &world.service;
    let state = service.handle().snapshot();
    let made = |audience: &str| {
        let id = TokenId::random();
        let tokens = Tokens {
            audience: audience.to_owned(),
            ..Tokens::default()
        };
        let request = MintRequest {
            id,
            account: state.directory.account_named("ci").unwrap(),
            key: None,
            scope: None,
            lifetime: Duration::from_secs(60),
        };
        let signer = state.directory.signing().current();
        (
            id,
            mint(signer, &tokens, request, world.clock.now()).unwrap(),
        )
    };
    let (behind, desk) = (made("portcullis"), made("desk"));
    let (_, elsewhere) = made("another");
    let use_at = |verifier: &Verifier, token: &str| {
        let state = service.handle().snapshot();
        let shown = Credential::Bearer(token);
        verifier
            .verify(&shown, &state, (world.clock.now(), None))
            .map(|_| ())
    };
    let admin = service.admin_verifier().unwrap();
    assert_eq!(use_at(service.verifier(), &behind.1), Ok(()));
    assert_eq!(use_at(admin, &desk.1), Ok(()));
    assert_eq!(use_at(admin, &behind.1), Err(Reason::AudienceWrong));
    assert_eq!(
        use_at(service.verifier(), &desk.1),
        Err(Reason::AudienceWrong)
    );
    let rows = || {
        let listed = world.done(json!({ "operation": "tokens_list", "account": "ci" }));
        let rows = listed["tokens"].as_array().unwrap().clone();
        let told = |row: &Value| {
            (
                row["audience"].clone(),
                row["id"].clone(),
                row["state"].clone(),
            )
        };
        let mut rows: Vec<_> = rows.iter().map(told).collect();
        rows.sort_by_key(|(audience, ..)| audience.to_string());
        rows
    };
    let row = |audience: &str, id: TokenId, state: &str| (json!(audience), json!(id), json!(state));
    assert_eq!(
        rows(),
        [
            row("desk", desk.0, "good"),
            row("portcullis", behind.0, "good")
        ]
    );
    let inspect = |token: &str| {
        let told = world.done(json!({ "operation": "tokens_inspect", "token": token }));
        (told["audience"].clone(), told["reason"].clone())
    };
    assert_eq!(inspect(&desk.1), (json!("desk"), Value::Null));
    assert_eq!(inspect(&behind.1), (json!("portcullis"), Value::Null));
    assert_eq!(inspect(&elsewhere), (Value::Null, json!("audience_wrong")));

    world.done(json!({ "operation": "tokens_revoke", "id": desk.0 }));
    assert_eq!(use_at(admin, &desk.1), Err(Reason::TokenRevoked));
    assert_eq!(use_at(service.verifier(), &behind.1), Ok(()));
    assert_eq!(
        rows(),
        [
            row("desk", desk.0, "token_revoked"),
            row("portcullis", behind.0, "good")
        ]
    );
}

fn client(world: &World, name: &str) -> Actor {
    Actor::Client {
        account: name.parse().unwrap(),
        account_id: world.account(name).id.clone(),
        key: None,
        address: [192, 0, 2, 1].into(),
        request_id: RequestIds::new().next(world.clock.now()),
    }
}

/// Gives back so many tokens that end a day from now.
fn give_back(world: &World, by: &Actor, count: usize) -> (Vec<TokenId>, usize) {
    let one = |_| GivenBack {
        id: TokenId::random(),
        ends_at: world.clock.now().plus(DAY),
        by: by.clone(),
    };
    let given: Vec<_> = (0..count).map(one).collect();
    let answers = world.service.take_back(&given).unwrap();
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    (given.iter().map(|given| given.id).collect(), refused)
}

/// What clients give back themselves leaves room for an operator.
#[test]
fn a_client_that_gives_back_tokens_without_end_is_stopped_before_an_operator_is() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let client = client(&world, "ci");
    let end = world.clock.now().plus(DAY);
    let many = (2..REVOKED_BY_CLIENTS_MAX).map(|_| (TokenId::random(), end));
    let mut inner = world.service.lock().unwrap();
    Arc::make_mut(&mut inner.records).revoked_tokens = many.collect();
    drop(inner);
    assert_eq!(give_back(&world, &client, 5).1, 3);
    assert_eq!(give_back(&world, &client, 1).1, 1);
    world.done(json!({ "operation": "tokens_revoke", "id": TokenId::random() }));
    let listed = world.done(json!({ "operation": "audit_list", "filter": { "event": "token" } }));
    let refused = &listed["records"][1];
    assert_eq!(refused["error.type"], "conflict");
    assert_eq!(
        (
            &refused["portcullis.actor.kind"],
            &refused["client.address"]
        ),
        (&json!("client"), &json!("192.0.2.1"))
    );
}

/// Nobody needs a right to give back what is his, so nobody can fill the trail by it: beyond a bound one
/// record tells of many. Each is taken back all the same, on disk and in force when it is told.
#[test]
fn however_many_tokens_a_client_gives_back_a_few_records_tell_of_them_and_all_are_refused() {
    let world = World::new(&[POLICY]);
    world.create("ci", "operator");
    let client = client(&world, "ci");
    let changes = world.service.handle().changes();
    let mut given = Vec::new();
    for _ in 0..40 {
        let before = changes.has_changed().unwrap();
        let (ids, refused) = give_back(&world, &client, 25);
        assert_eq!((refused, before), (0, !given.is_empty()));
        let state = world.service.handle().snapshot();
        assert!(ids.iter().all(|id| state.directory.is_revoked(id)));
        given.extend(ids);
    }
    let records = |world: &World| {
        let filter = json!({ "account": "ci", "event": "token.revoke", "limit": 1000 });
        let listed = world.done(json!({ "operation": "audit_list", "filter": filter }));
        listed["records"].as_array().unwrap().clone()
    };
    let alone = records(&world);
    assert!(alone.len() <= 25, "{}", alone.len());
    let after = json!({ "revoked": true, "expires_at": world.clock.now().plus(DAY) });
    assert_eq!(alone[0]["portcullis.after"], after);
    world.clock.advance(Duration::from_secs(600));
    world.service.tell_repeats().unwrap();
    let told = records(&world);
    assert_eq!(told.len(), alone.len() + 1);
    let again = told[0]["portcullis.repeated"].as_u64().unwrap();
    assert_eq!(alone.len() as u64 + again, 1000);
    assert_eq!(told[0]["portcullis.object.id"], json!(given.last()));
    // Once more is nothing to tell.
    let again = GivenBack {
        id: given[0],
        ends_at: world.clock.now().plus(DAY),
        by: client,
    };
    assert_eq!(world.service.take_back(&[again]).unwrap(), [Ok(())]);
    let world = world.reopen(&[POLICY]);
    let state = world.service.handle().snapshot();
    assert!(given.iter().all(|id| state.directory.is_revoked(id)));
    assert_eq!(
        world.done(json!({ "operation": "audit_verify" }))["fault"],
        Value::Null
    );
}

/// What an operator hands out is never one of many: whoever reads the trail can tell which token it was,
/// and take it back.
#[test]
fn each_token_that_is_issued_and_each_backup_has_a_record_of_its_own_however_much_was_asked_before()
{
    let world = World::new(&[POLICY]);
    world.create("noise", "reader");
    world.create("chief", "operator");
    let operator = Actor::peer(0, None);
    let ask = |operation: Value| {
        let operation: Operation = serde_json::from_value(operation).unwrap();
        world.service.execute(operation, &operator).unwrap()
    };
    for _ in 0..30 {
        ask(json!({ "operation": "keys_list" }));
    }
    let issue = |account: &str, hours: u64, scope: Option<&str>| {
        let scope: Option<Vec<_>> = scope.map(|scope| vec![scope]);
        ask(json!({
            "operation": "tokens_issue", "account": account, "scope": scope,
            "lifetime_seconds": hours * 60 * 60,
        }))
    };
    let issued = [
        issue("noise", 1, None),
        issue("chief", 24, Some("devices:view")),
        issue("noise", 1, None),
    ];
    let filter = json!({ "event": "token.issue" });
    let listed = world.done(json!({ "operation": "audit_list", "filter": filter }));
    let records = listed["records"].as_array().unwrap();
    assert_eq!(records.len(), 3, "{records:?}");
    for (record, issued) in records.iter().rev().zip(&issued) {
        assert_eq!(record["portcullis.object.id"], issued["id"]);
        assert_eq!(record["portcullis.account.name"], issued["account"]);
        let after = &record["portcullis.after"];
        assert_eq!(after["scope"], issued["scope"]);
        let end = world.clock.now();
        let end = end.plus(Duration::from_secs(issued["expires_in"].as_u64().unwrap()));
        assert_eq!(after["expires_at"], json!(end));
        assert!(!record.to_string().contains("eyJ"));
    }
    for name in ["one.db", "two.db"] {
        let file = world.folder.path().join(name);
        let made = ask(json!({ "operation": "store_backup", "file": file }));
        let filter = json!({ "event": "store.backup", "limit": 1 });
        let listed = world.done(json!({ "operation": "audit_list", "filter": filter }));
        let record = &listed["records"][0];
        assert_eq!(record["portcullis.object.name"], json!(file));
        assert_eq!(record["portcullis.after"]["size_bytes"], made["size_bytes"]);
    }
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
