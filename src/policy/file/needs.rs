//! What a route asks of a caller, as it is written: `public`, `any_account`, or permissions.

use super::{At, at, route, words};
use crate::words::{Fault, Faults, Permission, nearest};
use crate::yaml::shape::{Keys, Known, Rule, Shape};
use crate::yaml::{Node, Value, quoted};

/// What a route needs, as written.
#[derive(Clone, Debug)]
pub(crate) enum Needs {
    Public,
    AnyAccount,
    All(Vec<At<Permission>>),
    Any(Vec<At<Permission>>),
}

pub(super) const EXPECTED: &str = "`public`, `any_account`, a permission such as `devices:view`, `{ all: […] }` or `{ any: […] }`";

/// What stands at `needs`.
pub(super) const SHAPE: Shape =
    Shape::Either(&[WORD, Shape::Text(words::PERMISSION), Shape::Keys(&KEYS)]);

/// One of the words that ask for no permission.
pub(super) const WORD: Shape = Shape::Choice(|| OPEN.to_vec());
/// What may be needed besides permissions.
const OPEN: [&str; 2] = ["public", "any_account"];

/// Several permissions.
pub(super) const KEYS: Keys = Keys {
    what: "what is needed",
    known: &[
        Known::new(
            "all",
            Shape::filled_list(&Shape::Text(words::PERMISSION)),
            "Every one of these permissions.",
        ),
        Known::new(
            "any",
            Shape::filled_list(&Shape::Text(words::PERMISSION)),
            "One of these permissions, whichever.",
        ),
    ],
    later: &[],
    rules: &[Rule::OneOf(&["all", "any"])],
};

/// Reads what is needed.
pub(super) fn read(node: &Node, faults: &mut Faults) -> Option<Needs> {
    match &node.value {
        Value::Scalar(word) => word_needs(word, node, faults),
        Value::Mapping(_) => listed_needs(node, faults),
        Value::Nothing | Value::List(_) => node.expected(EXPECTED, faults),
    }
}

fn word_needs(word: &str, node: &Node, faults: &mut Faults) -> Option<Needs> {
    let message = match word {
        "public" => return Some(Needs::Public),
        "any_account" => return Some(Needs::AnyAccount),
        "review_public" => {
            "an import could not tell who may do this, a person must decide: write `public`, or the permission that is needed".to_owned()
        }
        word if word.contains(':') => {
            let permission = at(node, "a permission", faults)?;
            return Some(Needs::All(vec![permission]));
        }
        other => {
            let near = nearest(other, OPEN);
            format!("{} is not a requirement: expected {EXPECTED}{near}", quoted(other))
        }
    };
    faults.push(Fault::new(node.place.clone(), message));
    None
}

fn listed_needs(node: &Node, faults: &mut Faults) -> Option<Needs> {
    let entries = node.entries("what is needed", faults)?;
    let [(key, list)] = entries else {
        let message = if entries.iter().any(|(key, _)| route::KEYS.has(&key.text)) {
            "`all` or `any` stands beside options of the route: write `needs: { any: […] }`"
        } else {
            "expected `all` or `any`, and one only"
        };
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let make: fn(Vec<At<Permission>>) -> Needs = match key.text.as_str() {
        "all" => Needs::All,
        "any" => Needs::Any,
        other => {
            let message = format!("{} is not `all` or `any`", quoted(other));
            faults.push(Fault::new(key.place.clone(), message));
            return None;
        }
    };
    // An empty `all` would be open to every caller, and an empty `any` to none.
    let items = list.filled_list("permissions", faults)?;
    let permissions: Vec<_> = items
        .iter()
        .filter_map(|item| at(item, "a permission", faults))
        .collect();
    (permissions.len() == items.len()).then(|| make(permissions))
}
