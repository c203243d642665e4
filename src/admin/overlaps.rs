//! Pairs of routes that match a path in common: how they lie, what each asks, and a path that shows
//! it.

use serde_json::{Value, json};

use super::look;
use crate::policy::overlap::{Relation, shared};
use crate::policy::{Overlap, Policy};

/// Most pairs that are listed. More than a few hundred nobody reads, and an answer has to fit into
/// memory a few times over.
pub const OVERLAPS_LISTED_MAX: usize = 10_000;

/// What stands for a parameter in an example.
const VALUE: &str = "x";

/// The pairs of `policy`, those first of which neither is more specific; with `incomparable` no
/// others. At most [`OVERLAPS_LISTED_MAX`].
pub fn overlaps(policy: &Policy, incomparable: bool) -> Value {
    let of = |crossing: bool| {
        let pairs = policy.overlaps.iter();
        pairs.filter(move |overlap| (overlap.relation != Relation::Inside) == crossing)
    };
    let inside = of(false).filter(|_| !incomparable);
    let listed = of(true).chain(inside).take(OVERLAPS_LISTED_MAX);
    listed.map(|overlap| pair(policy, overlap)).collect()
}

fn pair(policy: &Policy, overlap: &Overlap) -> Value {
    let (first, second) = (policy.route(overlap.first), policy.route(overlap.second));
    let examples = shared(first.as_read(), second.as_read(), VALUE);
    json!({
        "relation": word(overlap.relation),
        "methods": overlap.methods.iter().collect::<Vec<_>>(),
        "example": examples.first(),
        "routes": [look::route(policy, first), look::route(policy, second)],
    })
}

/// How the first route of a pair lies to the second.
fn word(relation: Relation) -> &'static str {
    match relation {
        Relation::Crossing => "crossing",
        Relation::Same => "same",
        Relation::Inside | Relation::Around | Relation::Disjoint => "inside",
    }
}
