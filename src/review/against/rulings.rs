//! Two rulings on one call: whether more or less goes through, or with more or less beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::{ACCESS_CONTROL_MAX_AGE, VARY};

use super::Direction;
use crate::decision::Permit;
use crate::decision::preflight::Answer as Preflight;
use crate::policy::{Policy, Route};
use crate::review::{Answer, Ruling};
use crate::words::{ClassSet, PathClass};

/// The word for a ruling.
pub(super) fn word(ruling: &Ruling) -> String {
    match &ruling.answer {
        Answer::Through { shadowed: None, .. } => "allow".to_owned(),
        Answer::Through { .. } => "shadow".to_owned(),
        Answer::Answered(_) => "preflight answered".to_owned(),
        Answer::Refused(refusal) => refusal.reason.code().to_owned(),
    }
}

/// The classes that a path may show where these routes count; in shadow a path may go on as it was sent.
pub(super) fn allowed(policy: &Policy, routes: &[&Arc<Route>]) -> ClassSet {
    let all: ClassSet = PathClass::ALL.iter().copied().collect();
    let raw = |route: &&Arc<Route>| route.shadow && policy.shadow.takes_raw(route.upstream);
    if routes.iter().all(raw) {
        return all.iter().filter(|class| class.is_shadowable()).collect();
    }
    routes.iter().fold(all, |allowed, route| {
        allowed.intersection(route.unsafe_allow)
    })
}

/// How the second ruling differs from the first: which way, and in what besides. Both ways at once where
/// one thing was added and another taken away.
pub(super) fn compared(
    (old, before): (&Policy, &Ruling),
    (new, after): (&Policy, &Ruling),
) -> Vec<(Direction, Vec<String>)> {
    match (&before.answer, &after.answer) {
        (Answer::Refused(_), Answer::Refused(_)) => Vec::new(),
        (Answer::Refused(_), Answer::Through { .. } | Answer::Answered(_))
        | (Answer::Answered(_), Answer::Through { .. }) => vec![(Direction::Widened, Vec::new())],
        (Answer::Through { .. } | Answer::Answered(_), Answer::Refused(_))
        | (Answer::Through { .. }, Answer::Answered(_)) => vec![(Direction::Narrowed, Vec::new())],
        (Answer::Answered(before), Answer::Answered(after)) => {
            both_ways(&lines(before), &lines(after))
        }
        (Answer::Through { permit: before, .. }, Answer::Through { permit: after, .. }) => {
            let mut extras = (extras(old, before), extras(new, after));
            bodies((before, after), &mut extras);
            shares((before, after), &mut extras);
            boundaries((before, after), &mut extras);
            both_ways(&extras.0, &extras.1)
        }
    }
}

type Extras = BTreeSet<String>;

fn both_ways(before: &Extras, after: &Extras) -> Vec<(Direction, Vec<String>)> {
    let more = |one: &Extras, other: &Extras| one.difference(other).cloned().collect();
    [
        (Direction::Widened, more(after, before)),
        (Direction::Narrowed, more(before, after)),
    ]
    .into_iter()
    .filter(|(_, options): &(_, Vec<String>)| !options.is_empty())
    .collect()
}

/// What the answer to a preflight permits.
fn lines(answer: &Preflight) -> Extras {
    let told = answer.headers.iter();
    let told = told.filter(|(name, _)| **name != ACCESS_CONTROL_MAX_AGE && **name != VARY);
    told.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect()
}

/// What goes through besides a plain request.
fn extras(policy: &Policy, permit: &Permit) -> Extras {
    let route = permit.decided_by();
    let mut extras = Extras::from([format!("leads to `{}`", policy.upstream(permit.upstream()))]);
    if permit.passes_authorization() {
        extras.insert("a foreign Authorization passes".to_owned());
    }
    if permit.upgrades() {
        extras.insert("may become a WebSocket".to_owned());
    }
    if route.method_in_query {
        extras.insert("the query may ask for another method".to_owned());
    }
    let trailers = permit.trailers().iter();
    extras.extend(trailers.map(|name| format!("the trailer {name} passes")));
    let names = permit.header_names().iter();
    extras.extend(names.map(|name| format!("the header {name} passes")));
    extras
}

/// A larger body is more, whatever its size.
fn bodies((before, after): (&Permit, &Permit), extras: &mut (Extras, Extras)) {
    let size = |permit: &Permit| permit.body_bytes().unwrap_or(u64::MAX);
    let told = |permit: &Permit| match permit.body_bytes() {
        Some(bytes) => format!("a body of {bytes} bytes passes"),
        None => "a body as large as the listener's bound passes".to_owned(),
    };
    if size(after) > size(before) {
        extras.1.insert(told(after));
    }
    if size(before) > size(after) {
        extras.0.insert(told(before));
    }
}

/// Whether pages of other sites may read the answer; by another rule is taken for more.
fn shares((before, after): (&Permit, &Permit), extras: &mut (Extras, Extras)) {
    if before.cors() == after.cors() {
        return;
    }
    let told = || "pages of other sites may read the answer".to_owned();
    if after.cors().is_some() {
        extras.1.insert(told());
    } else {
        extras.0.insert(told());
    }
}

/// What the upstream is told that it may show. An entry within another one is not more.
fn boundaries((before, after): (&Permit, &Permit), extras: &mut (Extras, Extras)) {
    fn entries(permit: &Permit) -> Vec<&str> {
        let boundary = permit
            .identity()
            .and_then(|identity| identity.boundary.as_ref());
        let text = boundary.and_then(|value| value.to_str().ok());
        text.into_iter()
            .flat_map(|text| text.split(", "))
            .filter(|it| !it.is_empty())
            .collect()
    }
    let (old, new) = (entries(before), entries(after));
    let more = |entries: &[&str], others: &[&str]| -> Extras {
        let outside = entries
            .iter()
            .filter(|entry| !others.iter().any(|other| is_within(entry, other)));
        outside
            .map(|entry| format!("the upstream may show {entry}"))
            .collect()
    };
    extras.1.extend(more(&new, &old));
    extras.0.extend(more(&old, &new));
}

/// Says whether every place of `entry`, as `tenant=acme|globex;site=7`, is one of `other`.
fn is_within(entry: &str, other: &str) -> bool {
    other == "*"
        || other.split(';').all(|limit| {
            let Some((dimension, wide)) = limit.split_once('=') else {
                return false;
            };
            entry.split(';').any(|own| {
                own.split_once('=').is_some_and(|(own, narrow)| {
                    let listed = |value: &str| wide.split('|').any(|it| it == value);
                    own == dimension && narrow.split('|').all(listed)
                })
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_within_one_that_limits_no_more() {
        for (entry, other, expected) in [
            ("tenant=a", "*", true),
            ("*", "tenant=a", false),
            ("tenant=a", "tenant=a|b", true),
            ("tenant=a|b", "tenant=a", false),
            ("tenant=a;site=1", "tenant=a", true),
            ("tenant=a", "tenant=a;site=1", false),
        ] {
            assert_eq!(is_within(entry, other), expected, "{entry} in {other}");
        }
    }
}
