//! What a record of the trail says of a change that is padded, and how far a search of it goes.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::world::{POLICY, World};
use crate::admin::desk::Desk;
use crate::admin::trail::Asked;
use crate::admin::{Actor, ErrorKind, Operation};
use crate::store::Change;

fn last(world: &World, event: &str) -> Value {
    let filter = json!({ "event": event, "limit": 1 });
    let answer = world.done(json!({ "operation": "audit_list", "filter": filter }));
    answer["records"][0].clone()
}

/// Whoever pads a change hides nothing by it, and one whose record could not say what it was is not made.
#[test]
fn a_change_that_is_padded_is_told_with_every_role_and_one_that_cannot_be_told_is_not_made() {
    let world = World::new(&[POLICY]);
    let values: Vec<_> = (0..300).map(|number| format!("{number:0>256}")).collect();
    world.done(json!({
        "operation": "accounts_create", "name": "x",
        "grants": [
            { "role": "portcullis-admin" },
            { "role": "reader", "within": { "tenant": values } },
        ],
    }));
    let record = last(&world, "account.create");
    let after = &record["portcullis.after"];
    assert_eq!(after["name"], "x");
    let roles: Vec<_> = after["grants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["role"])
        .collect();
    assert_eq!(roles, ["portcullis-admin", "reader"]);
    assert_eq!(after["grants"][1]["within"]["tenant"]["count"], 300);
    assert!(record["portcullis.left_out_bytes"].as_u64().unwrap() > 76_000);

    let id = world.account("x").id.clone();
    let update = Operation::AccountsUpdate {
        name: "x".parse().unwrap(),
        description: None,
        allow_from: None,
    };
    let asked = Asked::of(&update, &Actor::local(), world.clock.now());
    let mut desk = Desk::new(&world.service, world.service.lock().unwrap(), asked);
    let refused = desk.change(&Change::UpdateAccount {
        id: id.clone(),
        description: Some("x".repeat(70_000)),
        allow_from: None,
        applied_as: None,
        now: world.clock.now(),
    });
    drop(desk);
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid);
    assert!(refused.message.contains("in several steps"), "{refused}");
    let inner = world.service.lock().unwrap();
    assert_eq!(inner.records.accounts.get(&id).unwrap().description, "");
}

/// A look at the trail takes no lock, and looks at so much of it and no more: who asks for what is hardly
/// there asks again, and finds it.
#[test]
fn a_search_in_a_long_trail_holds_nobody_up_and_goes_on_where_it_ended() {
    let world = World::new(&[POLICY]);
    world.done(json!({ "operation": "accounts_create", "name": "a0" }));
    let rows = |from: u64, count: u64, event: &str| {
        let connection = Connection::open(world.folder.path().join("p.db")).unwrap();
        let sql = format!(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) \
             INSERT INTO audit SELECT {from} + i, {}, '{event}', 'ci-admin', 'a0', '{{}}', zeroblob(32) FROM n",
            world.clock.now().as_millis()
        );
        connection.execute_batch(&sql).unwrap();
    };
    rows(100, 1, "account.delete");
    rows(1000, 110_000, "key.list");
    for (filter, found) in [
        (json!({ "actor": "ci-admin", "event": "account.delete" }), 1),
        (json!({ "account": "a0", "event": "account.delete" }), 1),
        (json!({ "event": "account.delete" }), 1),
        (json!({ "event": "account.none" }), 0),
        (json!({ "until": world.clock.now() }), 0),
    ] {
        let (mut asked, mut numbers) = (0, Vec::new());
        let mut filter_now = filter.clone();
        loop {
            let operation: Operation =
                serde_json::from_value(json!({ "operation": "audit_list", "filter": filter_now }))
                    .unwrap();
            let told = Asked::of(&operation, &Actor::local(), world.clock.now());
            let mut desk = Desk::to_look(&world.service, told).unwrap();
            // Somebody takes a key back meanwhile.
            let held = world.service.lock().unwrap();
            let answer = desk.execute(operation).unwrap();
            drop(held);
            asked += 1;
            let records = answer["records"].as_array().unwrap().clone();
            numbers.extend(records);
            let Some(next) = answer["next"].as_u64() else {
                break;
            };
            filter_now["before"] = next.into();
        }
        assert_eq!(numbers.len(), found, "{filter}");
        assert!(asked <= 4, "{filter}: {asked}");
        let is_one_condition = filter.as_object().unwrap().len() == 1;
        assert_eq!(asked == 1, is_one_condition, "{filter}: {asked}");
    }
    let follow = json!({ "operation": "audit_follow", "after": 0,
        "filter": { "actor": "ci-admin", "event": "account.none" } });
    let answer = world.done(follow);
    assert_eq!(
        (&answer["more"], &answer["records"]),
        (&json!(true), &json!([]))
    );
    assert!(answer["next"].as_u64().unwrap() > 50_000);
}
