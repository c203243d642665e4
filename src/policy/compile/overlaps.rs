//! Routes that match a request together: what cannot be satisfied is refused, and what deserves a
//! look is pointed at.

use std::collections::{BTreeSet, HashMap};

use super::names::Names;
use crate::policy::matcher::Entry;
use crate::policy::overlap::{PAIRS_MAX, Pair, Relation, pairs};
use crate::policy::template::Template;
use crate::policy::{Requirement, Route};
use crate::words::{Fault, Faults, Place, Spelling};

/// Most warnings about overlaps. A list that nobody reads to its end warns of nothing.
const WARNINGS_MAX: usize = 100;

/// Warnings, each once, in the order they came up.
#[derive(Default)]
pub(super) struct Warnings {
    seen: BTreeSet<Fault>,
    list: Vec<Fault>,
    left_out: usize,
}

impl Warnings {
    pub(super) fn push(&mut self, place: &Place, message: String) {
        let warning = Fault::new(place.clone(), message);
        if self.seen.contains(&warning) {
            return;
        }
        if self.list.len() == WARNINGS_MAX {
            self.left_out += 1;
            return;
        }
        self.seen.insert(warning.clone());
        self.list.push(warning);
    }

    pub(super) fn into_list(mut self) -> Vec<Fault> {
        self.list.sort();
        if let (Some(last), true) = (self.list.last(), self.left_out > 0) {
            let message = format!("and {} overlaps more", self.left_out);
            self.list.push(Fault::new(last.place.clone(), message));
        }
        self.list
    }
}

/// Who looks, and where what is found is written down.
pub(super) struct Look<'a> {
    pub(super) routes: &'a [Route],
    pub(super) names: &'a Names,
    pub(super) faults: &'a mut Faults,
    pub(super) warnings: &'a mut Warnings,
}

impl<'a> Look<'a> {
    /// Looks at a host's table. Pairs of one upstream that ignores case or slashes are left to
    /// [`Look::at_loose`], but for what they cannot share.
    pub(super) fn at_table(&mut self, entries: &[Entry]) {
        let pairs = pairs(entries);
        refuse_too_many(&pairs, self.routes.first(), self.faults);
        let mut behind = Behind::default();
        for pair in pairs {
            let (Some(a), Some(b)) = (
                self.route(entries, pair.first),
                self.route(entries, pair.second),
            ) else {
                continue;
            };
            if pair.relation == Relation::Crossing && a.upstream != b.upstream {
                let message = format!(
                    "`{}` and `{}` at {} can match one request, which must satisfy both, and lead to different upstreams: lead them to one",
                    b.name, a.name, a.place
                );
                self.faults.push(Fault::new(b.place.clone(), message));
            } else if a.loose.is_none() || a.upstream != b.upstream {
                self.at_pair(pair, (a, b), &mut behind);
            }
        }
        self.tell(entries, behind, Spelling::default());
    }

    /// Looks at the routes of an upstream in the one spelling of its paths.
    pub(super) fn at_loose(&mut self, spelling: Spelling, rows: &[(&Entry, &Template)]) {
        let entry = |(entry, loose): &(&Entry, &Template)| Entry {
            template: (*loose).clone(),
            ..(*entry).clone()
        };
        let entries: Vec<_> = rows.iter().map(entry).collect();
        let pairs = pairs(&entries);
        refuse_too_many(&pairs, self.routes.first(), self.faults);
        let mut behind = Behind::default();
        for pair in pairs {
            if let (Some(a), Some(b)) = (
                self.route(&entries, pair.first),
                self.route(&entries, pair.second),
            ) {
                self.at_pair(pair, (a, b), &mut behind);
            }
        }
        self.tell(&entries, behind, spelling);
    }

    fn route(&self, entries: &[Entry], position: usize) -> Option<&'a Route> {
        let id = entries.get(position)?.route;
        self.routes.get(usize::try_from(id.0).ok()?)
    }

    fn at_pair(&mut self, pair: Pair, (a, b): (&Route, &Route), behind: &mut Behind) {
        match pair.relation {
            Relation::Crossing | Relation::Same
                if a.requirement != b.requirement || a.boundary != b.boundary =>
            {
                let message = format!(
                    "a request that matches both `{}` ({}) and `{}` ({}) must satisfy both",
                    b.name,
                    self.names.asked(&b.requirement),
                    a.name,
                    self.names.asked(&a.requirement)
                );
                self.warnings.push(&b.place, message);
            }
            Relation::Inside if is_weaker(b, a) => {
                behind.entry(pair.second).or_default().push(pair.first);
            }
            Relation::Around if is_weaker(a, b) => {
                behind.entry(pair.first).or_default().push(pair.second);
            }
            Relation::Crossing
            | Relation::Inside
            | Relation::Around
            | Relation::Same
            | Relation::Disjoint => {}
        }
    }

    fn tell(&mut self, entries: &[Entry], behind: Behind, spelling: Spelling) {
        for (weak, strong) in sorted(behind) {
            let example = strong.first();
            let example = example.and_then(|position| self.route(entries, *position));
            if let (Some(weak), Some(example)) = (self.route(entries, weak), example) {
                let message = stands_behind(weak, strong.len(), example, self.names);
                self.warnings
                    .push(&weak.place, format!("{message}: {}", consequence(spelling)));
            }
        }
    }
}

/// Positions of weak entries, and for each those of the stronger ones it stands behind.
type Behind = HashMap<usize, Vec<usize>>;

fn sorted<K: Ord, V: Ord>(map: HashMap<K, V>) -> Vec<(K, V)> {
    let mut list: Vec<_> = map.into_iter().collect();
    list.sort();
    list
}

fn stands_behind(weak: &Route, count: usize, example: &Route, names: &Names) -> String {
    let routes = if count == 1 {
        "1 route that needs".to_owned()
    } else {
        format!("{count} routes that need")
    };
    format!(
        "`{}` is {} and stands behind {routes} more, such as `{}`",
        weak.name,
        names.asked(&weak.requirement),
        example.name
    )
}

/// What becomes of a path in a spelling that the stronger route does not match.
fn consequence(spelling: Spelling) -> &'static str {
    let Spelling {
        any_case,
        any_slash,
    } = spelling;
    match (any_slash, any_case) {
        (false, false) => {
            "another spelling of a path, with a slash at the end or in other case, falls to it"
        }
        (true, false) => "a path in other case falls to it, for case counts with its upstream",
        (false, true) => {
            "a path with a slash at the end falls to it, for the slash counts with its upstream"
        }
        (true, true) => "what its upstream takes for the same path in yet another way falls to it",
    }
}

/// Refuses routes that overlap so often that not every pair of them was looked at.
pub(super) fn refuse_too_many(pairs: &[Pair], first: Option<&Route>, faults: &mut Faults) {
    if let Some(route) = first.filter(|_| pairs.len() == PAIRS_MAX) {
        let message = format!(
            "{PAIRS_MAX} pairs of routes and more match a path in common, from this route on: nobody can tell what such a table asks for, write its paths more literally"
        );
        faults.push(Fault::new(route.place.clone(), message));
    }
}

/// A route for everybody, or for every account, behind one that asks for a permission.
fn is_weaker(weak: &Route, strong: &Route) -> bool {
    let is_listed = |it: &Requirement| matches!(it, Requirement::All(_) | Requirement::Any(_));
    !is_listed(&weak.requirement) && is_listed(&strong.requirement)
}
