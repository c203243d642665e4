//! Which templates match a path in common, and which of two matches less.
//!
//! # Why trying one shape on another is exact
//!
//! Put into template *a*, for each `{x}`, one character that no literal holds: the shape of *a*. If
//! *b* matches everything that *a* does, it matches this too. And if it matches this, it matches
//! everything *a* does: the strange character can only have been taken by a parameter of *b*, and
//! that parameter takes any other value of `{x}` as well. `{x...}` of *a* is one character too, so
//! `{y...}` of *b*, if it has one, takes it only by beginning no later, and then takes any other
//! rest; without one, *b* cannot match all of *a*. No enumeration and no automaton is needed, and
//! comparing two templates costs as much as matching one path.

use std::ops::ControlFlow;

use super::matcher::Entry;
use super::segment::Segment;
use super::template::Template;
use super::trie::Trie;
use crate::words::MethodSet;

/// Most pairs that are looked for: a table where a thousand routes each cross a thousand others is
/// not one that anybody can read, and the list would fill the memory.
pub const PAIRS_MAX: usize = 1_000_000;

/// Most paths that [`shared`] gives: one for each way in which literals can overlap.
pub const SHARED_MAX: usize = 16;

/// How the paths of one template lie to those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// No path matches both.
    Disjoint,
    /// They match exactly the same paths.
    Same,
    /// The first is more specific: its paths are a proper subset.
    Inside,
    /// The second is more specific.
    Around,
    /// Some paths match both, some only the first, some only the second.
    Crossing,
}

/// Two entries with a method and a path in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The position of the one that comes first in the list.
    pub first: usize,
    /// The position of the other.
    pub second: usize,
    /// The methods they share.
    pub methods: MethodSet,
    /// How the first lies to the second; never [`Relation::Disjoint`].
    pub relation: Relation,
}

/// How the paths of `a` lie to those of `b`.
pub fn relation(a: &Template, b: &Template) -> Relation {
    match (covers(b, a), covers(a, b)) {
        (true, true) => Relation::Same,
        (true, false) => Relation::Inside,
        (false, true) => Relation::Around,
        (false, false) if meet(a, b) => Relation::Crossing,
        (false, false) => Relation::Disjoint,
    }
}

/// Every pair of entries that have a method and a path in common, by their positions in `entries`.
///
/// The work grows with the number of such pairs, not with the square of the number of entries. Of
/// more than [`PAIRS_MAX`] pairs no more than these are returned: who gets so many has to refuse the
/// entries, since what the others would show is not known.
pub fn pairs(entries: &[Entry]) -> Vec<Pair> {
    let mut trie = Trie::default();
    for (number, entry) in (0..).zip(entries) {
        trie.insert(&entry.template, entry.methods, number);
    }
    let mut pairs = Vec::new();
    for (first, entry) in entries.iter().enumerate() {
        let _ = trie.meeting(&entry.template, entry.methods, &mut |methods, number| {
            let second = number as usize;
            if pairs.len() == PAIRS_MAX {
                return ControlFlow::Break(());
            }
            if let Some(other) = entries.get(second)
                && first < second
            {
                pairs.push(Pair {
                    first,
                    second,
                    methods,
                    relation: relation(&entry.template, &other.template),
                });
            }
            ControlFlow::Continue(())
        });
    }
    pairs.sort_unstable_by_key(|pair| (pair.first, pair.second));
    pairs
}

/// Says whether `wide` matches every path that `narrow` does.
pub(super) fn covers(wide: &Template, narrow: &Template) -> bool {
    (wide.has_rest() || !narrow.has_rest()) && wide.matches(narrow.shape())
}

/// Says whether some path matches both. Exact, since whether a segment matches does not depend on
/// the other segments.
fn meet(a: &Template, b: &Template) -> bool {
    let mut ours = a.segments().iter();
    let mut theirs = b.segments().iter();
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return true,
            (Some(Segment::Rest), Some(other)) => return is_text(other, theirs.as_slice()),
            (Some(other), Some(Segment::Rest)) => return is_text(other, ours.as_slice()),
            (Some(one), Some(two)) if one.meets(two) => {}
            (Some(_), Some(_) | None) | (None, Some(_)) => return false,
        }
    }
}

/// A path that matches `template`, with `value` for each parameter.
pub fn example(template: &Template, value: &str) -> String {
    let segments = template.segments().iter();
    segments.fold(String::new(), |path, segment| {
        format!("{path}/{}", segment.filled(value))
    })
}

/// Paths that match both templates, if any does, with `value` for what both leave open; the first is
/// the plainest. There are several where literals of the two can overlap, at most [`SHARED_MAX`].
pub fn shared(a: &Template, b: &Template, value: &str) -> Vec<String> {
    let mut ours = a.segments().iter();
    let mut theirs = b.segments().iter();
    let mut paths = vec![String::new()];
    loop {
        let pieces = match (ours.next(), theirs.next()) {
            (None, None) => break,
            (Some(Segment::Rest), Some(Segment::Rest)) => vec![value.to_owned()],
            (Some(Segment::Rest), Some(other)) => vec![rest(other, theirs.by_ref(), value)],
            (Some(other), Some(Segment::Rest)) => vec![rest(other, ours.by_ref(), value)],
            (Some(one), Some(two)) => one.shared(two, value),
            (Some(_), None) | (None, Some(_)) => Vec::new(),
        };
        let longer = |path: &String| -> Vec<String> {
            pieces
                .iter()
                .map(|piece| format!("{path}/{piece}"))
                .collect()
        };
        paths = paths.iter().flat_map(longer).take(SHARED_MAX).collect();
    }
    paths.retain(|path| a.matches(path) && b.matches(path));
    paths
}

/// A text for `{x...}` that matches `segment` and what follows it.
fn rest<'s>(segment: &Segment, after: impl Iterator<Item = &'s Segment>, value: &str) -> String {
    after.fold(segment.filled(value), |path, segment| {
        format!("{path}/{}", segment.filled(value))
    })
}

/// Says whether `segment` and what follows it can be at least one character.
fn is_text(segment: &Segment, after: &[Segment]) -> bool {
    !after.is_empty() || !matches!(segment, Segment::Literal(text) if text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Method, RouteId};

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn a_relation_is_seen_from_both_sides() {
        let rows = [
            ("/a/{x}", "/a/{y}", Relation::Same, Relation::Same),
            ("/a/b", "/a/{x}", Relation::Inside, Relation::Around),
            ("/a/{x}", "/a/{x...}", Relation::Inside, Relation::Around),
            (
                "/a/{x}/{y...}",
                "/a/{x...}",
                Relation::Inside,
                Relation::Around,
            ),
            (
                "/a/b/{y...}",
                "/a/{x}",
                Relation::Disjoint,
                Relation::Disjoint,
            ),
            (
                "/a/{y...}",
                "/{x}/b",
                Relation::Crossing,
                Relation::Crossing,
            ),
            ("/a/", "/a/{x...}", Relation::Disjoint, Relation::Disjoint),
            ("/a/", "/{x...}", Relation::Inside, Relation::Around),
            ("/a/{x}", "/{x}/b", Relation::Crossing, Relation::Crossing),
            ("/a{x}", "/{x}b", Relation::Crossing, Relation::Crossing),
            ("/a{x}b", "/{x}b", Relation::Inside, Relation::Around),
            ("/{b}...{h}", "/{bh}", Relation::Inside, Relation::Around),
            ("/a{x}", "/b{x}", Relation::Disjoint, Relation::Disjoint),
            ("/{x}%20", "/{x}0", Relation::Disjoint, Relation::Disjoint),
            ("/{x}%2F{y}", "/{x}", Relation::Disjoint, Relation::Disjoint),
            ("/{x}%2F{y}", "/{x...}", Relation::Inside, Relation::Around),
            (
                "/{x}%2Fb",
                "/a%2F{y}",
                Relation::Crossing,
                Relation::Crossing,
            ),
        ];
        for (a, b, forth, back) in rows {
            assert_eq!(relation(&template(a), &template(b)), forth, "{a} to {b}");
            assert_eq!(relation(&template(b), &template(a)), back, "{b} to {a}");
        }
    }

    #[test]
    fn a_pair_shares_a_method_and_a_path() {
        let entry = |(methods, text): (&[Method], &str)| Entry {
            route: RouteId(0),
            methods: methods.iter().copied().collect(),
            template: template(text),
        };
        let entries = [
            (&[Method::Get, Method::Head][..], "/a/{x}"),
            (&[Method::Post], "/a/b"),
            (&[Method::Get, Method::Post], "/{x}/b"),
            (&[Method::Head], "/c/d"),
        ]
        .map(entry);
        let pair = |first, second, method, relation| Pair {
            first,
            second,
            methods: MethodSet::of(method),
            relation,
        };
        let expected = [
            pair(0, 2, Method::Get, Relation::Crossing),
            pair(1, 2, Method::Post, Relation::Inside),
        ];
        assert_eq!(pairs(&entries), expected);
    }
}
