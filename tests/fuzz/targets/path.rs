//! A path has one meaning, however it is spelled (A40). The input is a target: path and query.

use http::uri::PathAndQuery;
use portcullis::request::Target;
use portcullis::words::{ClassSet, PathClass};

use crate::agreement::laws::{nothing_allowed, something_allowed};

pub(crate) fn run(data: &[u8]) {
    let sets = allowed_sets(data);
    if let Ok(text) = std::str::from_utf8(data) {
        as_typed(text, &sets);
    }
    if let Ok(raw) = PathAndQuery::try_from(data) {
        as_received(&raw, &sets);
    }
}

/// Nothing, everything, each class alone, and a few of them that depend on the input.
fn allowed_sets(data: &[u8]) -> Vec<ClassSet> {
    let each = PathClass::ALL.iter();
    let mut sets: Vec<_> = each.map(|class| ClassSet::EMPTY.with(*class)).collect();
    let sum = data
        .iter()
        .fold(7_u32, |sum, byte| sum.wrapping_mul(31) ^ u32::from(*byte));
    let some = PathClass::ALL.iter().enumerate();
    sets.push(
        some.filter(|(place, _)| sum >> place & 1 == 1)
            .map(|(_, class)| *class)
            .collect(),
    );
    sets.push(PathClass::ALL.iter().copied().collect());
    sets.push(ClassSet::EMPTY);
    sets
}

fn as_typed(text: &str, sets: &[ClassSet]) {
    if !text.starts_with('/') {
        for set in sets {
            assert!(Target::from_text(text, *set).is_err(), "`{text}`");
        }
        return;
    }
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let could_be_sent = query
        .bytes()
        .all(|byte| !byte.is_ascii_control() && !b" \"<>#".contains(&byte));
    if could_be_sent {
        nothing_allowed(text);
    } else {
        assert!(
            Target::from_text(text, ClassSet::EMPTY).is_err(),
            "`{text}`"
        );
    }
    for set in sets {
        something_allowed(text, *set);
    }
}

/// What comes in by the wire stands still too, and means what it would mean to a command.
fn as_received(raw: &PathAndQuery, sets: &[ClassSet]) {
    for allowed in sets {
        let Ok(target) = Target::parse(raw, *allowed) else {
            continue;
        };
        let forwarded = target.path_and_query();
        assert!(
            target.path().starts_with('/'),
            "`{raw}` leads to `{forwarded}`"
        );
        assert!(target.path().is_ascii(), "`{raw}` leads to `{forwarded}`");
        assert_eq!(target.query(), raw.query(), "`{raw}`");
        let again = Target::parse(forwarded, *allowed);
        let typed = Target::from_text(forwarded.as_str(), *allowed);
        for again in [again.ok(), typed.ok()] {
            // By their text: one that is empty means `/` and compares as nothing.
            let same = |again: &Target| {
                again.path_and_query().as_str() == forwarded.as_str()
                    && again.classes() == target.classes()
            };
            assert!(
                again.as_ref().is_some_and(same),
                "`{raw}` leads to {again:?}"
            );
        }
    }
}
