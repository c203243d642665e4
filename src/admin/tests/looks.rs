//! Whoever looks waits for nobody, and nobody for him.

use serde_json::{Value, json};

use super::world::{POLICY, World};
use crate::admin::desk::Desk;
use crate::admin::trail::Asked;
use crate::admin::{Actor, ErrorKind, Operation, accounts};

fn names(shown: &Value) -> Vec<&str> {
    let shown = shown.as_array().unwrap().iter();
    shown.map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn a_look_sees_what_was_when_it_began_and_holds_up_no_change() {
    let world = World::new(&[POLICY]);
    world.create("ci", "reader");
    let operation = Operation::AccountsList {
        after: None,
        limit: None,
    };
    let asked = Asked::of(&operation, &Actor::local(), world.clock.now());
    let mut desk = Desk::to_look(&world.service, asked).unwrap();
    // Were the lock held, this would wait for ever.
    world.create("later", "reader");
    assert_eq!(names(&accounts::list(&desk, None, None)), ["ci"]);
    // Nothing can be changed from what may be old by now.
    assert!(desk.execute(json_operation("accounts_disable")).is_err());
    // To be recorded it takes the lock at last.
    assert!(desk.inner().unwrap().records.accounts.len() == 2);
    drop(desk);
    let all = world.done(json!({ "operation": "accounts_list" }));
    assert_eq!(names(&all), ["ci", "later"]);
}

fn json_operation(name: &str) -> Operation {
    serde_json::from_value(json!({ "operation": name, "name": "ci" })).unwrap()
}

#[test]
fn a_page_is_what_the_whole_list_has_there_whoever_looks() {
    let world = World::new(&[POLICY]);
    for number in 0..700 {
        let tenant = if number % 100 == 0 {
            "acme"
        } else {
            "umbrella"
        };
        world.done(json!({
            "operation": "accounts_create", "name": format!("a{:04}", number * 7919 % 10_000),
            "owner": { "tenant": [tenant] },
        }));
    }
    let whole = world.done(json!({ "operation": "accounts_list" }));
    let mut paged: Vec<Value> = Vec::new();
    loop {
        let after = paged.last().map(|row| row["name"].clone());
        let asked = json!({ "operation": "accounts_list", "after": after, "limit": 90 });
        let Value::Array(page) = world.done(asked) else {
            panic!("no list");
        };
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(Value::Array(paged), whole);
}

#[test]
fn a_matrix_is_no_larger_than_its_bounds_in_cells_and_in_bytes() {
    let world = World::new(&[POLICY]);
    world.create("ci", "reader");
    let matrix = |names: Vec<&str>| json!({ "operation": "routes_matrix", "accounts": names });
    let fits = world.done(matrix(vec!["ci"; 1000]));
    assert_eq!(fits["rows"].as_array().unwrap().len(), 1000);
    let columns = fits["columns"].as_array().unwrap().len();
    let (kind, said) = world.refused(matrix(vec!["ci"; 200_000 / columns + 1]));
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(said.contains("at most 200000 cells"), "{said}");
    // Few cells, each of which names a thousand places.
    let places: Vec<_> = (0..1000).map(|n| format!("{n:0>250}")).collect();
    world.done(json!({
        "operation": "accounts_create", "name": "wide",
        "grants": [{ "role": "reader", "within": { "tenant": places } }],
    }));
    let (kind, said) = world.refused(matrix(vec!["wide"; 40]));
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(said.contains("bytes of cells"), "{said}");
}
