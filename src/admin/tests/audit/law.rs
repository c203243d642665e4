//! Whatever is asked for, in whatever order: each of it has its record.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::world::{POLICY, World};
use super::said;
use crate::admin::Operation;
use crate::admin::trail::Trail;

/// The operation three numbers stand for, over few names, so that many are refused.
fn operation((kind, a, b): (u8, u8, u8)) -> Value {
    let (name, group) = (format!("a{}", a % 4), format!("g{}", a % 2));
    let role = ["reader", "operator", "custom", "unknown"][usize::from(b) % 4];
    let within = match b % 3 {
        0 => json!({}),
        _ => json!({ "tenant": [format!("t{b}")] }),
    };
    match kind % 16 {
        0 | 1 => json!({ "operation": "accounts_create", "name": name }),
        2 => {
            json!({ "operation": "accounts_update", "name": name, "description": format!("d{b}") })
        }
        3 => json!({ "operation": "accounts_grant", "name": name, "role": role, "within": within }),
        4 => {
            json!({ "operation": "accounts_ungrant", "name": name, "role": role, "within": within })
        }
        5 => json!({ "operation": "accounts_disable", "name": name }),
        6 => json!({ "operation": "accounts_delete", "name": name }),
        7 => json!({ "operation": "keys_create", "account": name }),
        8 => json!({ "operation": "roles_create", "name": role, "permissions": ["devices:view"] }),
        9 => json!({ "operation": "roles_delete", "name": role }),
        10 => json!({ "operation": "groups_create", "name": group }),
        11 => json!({ "operation": "groups_add", "group": group, "account": name }),
        12 => json!({ "operation": "groups_remove", "group": group, "account": name }),
        13 => json!({ "operation": "groups_grant", "name": group, "role": role, "within": within }),
        14 => json!({ "operation": "tokens_issue", "account": name }),
        _ => json!({ "operation": "accounts_show", "name": name }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Law: there are as many records as operations that are recorded, each with the outcome its
    /// caller was told, in their order, and they prove; and one byte changed in any of them is found
    /// there.
    #[test]
    fn as_many_records_as_operations_and_each_is_guarded(
        steps in prop::collection::vec(any::<(u8, u8, u8)>(), 1..40),
        (at, byte) in (0..u64::from(u32::MAX), 0..u64::from(u32::MAX)),
    ) {
        let world = World::new(&[POLICY]);
        let begun = world.changes().len();
        let mut expected = Vec::new();
        for step in steps {
            let asked = operation(step);
            let parsed: Operation = serde_json::from_value(asked.clone()).unwrap();
            let answer = world.ask(asked);
            match parsed.trail() {
                Trail::Change(event) | Trail::Look(event) => expected.push(match answer {
                    Ok(_) => event.to_owned(),
                    Err(error) => format!("{event}!{}", json!(error.kind).as_str().unwrap()),
                }),
                Trail::Watch(_) | Trail::Nothing => {}
            }
        }
        let told: Vec<_> = world.changes()[begun..].iter().map(said).collect();
        prop_assert_eq!(told, expected);
        prop_assert_eq!(world.fault(&[]), None);

        let rows = world.anchor().number - 1;
        let victim = 1 + at % rows;
        world.tamper(&format!(
            "UPDATE audit SET record = substr(record, 1, {byte} % length(record)) || '~' || \
             substr(record, {byte} % length(record) + 2) WHERE number = {victim}"
        ));
        prop_assert_eq!(world.fault(&[]).unwrap().0, Some(victim));
    }
}
