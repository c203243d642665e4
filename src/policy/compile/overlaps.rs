//! Routes that match a request together: what cannot be satisfied is refused, and every pair is
//! remembered, for `proof` to look at and for people to list.

use std::collections::BTreeMap;

use crate::policy::matcher::Entry;
use crate::policy::overlap::{PAIRS_MAX, Pair, Relation, pairs};
use crate::policy::template::Template;
use crate::policy::{Overlap, Route};
use crate::words::{Fault, Faults, MethodSet, RouteId, Rule, Spelling};

/// Pairs of routes, each once, from the tables of all hosts.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<(RouteId, RouteId, Spelling), (MethodSet, Relation)>);

impl Seen {
    /// Adds a pair of `entries`, the narrower one first.
    fn add(&mut self, (a, b): (RouteId, RouteId), pair: Pair, spelling: Spelling) {
        let (a, b, relation) = match pair.relation {
            Relation::Around => (b, a, Relation::Inside),
            Relation::Inside | Relation::Same | Relation::Crossing | Relation::Disjoint => {
                (a, b, pair.relation)
            }
        };
        let seen = self.0.entry((a, b, spelling));
        let (methods, _) = seen.or_insert((MethodSet::EMPTY, relation));
        *methods = methods.union(pair.methods);
    }

    /// In the order of the routes.
    pub(super) fn into_list(self) -> Vec<Overlap> {
        let overlap = |((first, second, spelling), (methods, relation))| Overlap {
            first,
            second,
            methods,
            relation,
            spelling,
        };
        self.0.into_iter().map(overlap).collect()
    }
}

/// Who looks, and where what is found is written down.
pub(super) struct Look<'a> {
    pub(super) routes: &'a [Route],
    pub(super) faults: &'a mut Faults,
    pub(super) seen: &'a mut Seen,
}

impl<'a> Look<'a> {
    /// Looks at a host's table. Pairs of one upstream that ignores case or slashes are left to
    /// [`Look::at_loose`], but for what they cannot share.
    pub(super) fn at_table(&mut self, entries: &[Entry]) {
        let pairs = pairs(entries);
        refuse_too_many(&pairs, self.routes.first(), self.faults);
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
                let fault = Fault::of(Rule::UpstreamsDiffer, b.place.clone(), message);
                self.faults.push(fault);
            } else if a.loose.is_none() || a.upstream != b.upstream {
                self.seen.add((a.id, b.id), pair, Spelling::default());
            }
        }
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
        for pair in pairs {
            if let (Some(a), Some(b)) = (
                self.route(&entries, pair.first),
                self.route(&entries, pair.second),
            ) {
                self.seen.add((a.id, b.id), pair, spelling);
            }
        }
    }

    fn route(&self, entries: &[Entry], position: usize) -> Option<&'a Route> {
        let id = entries.get(position)?.route;
        self.routes.get(usize::try_from(id.0).ok()?)
    }
}

/// Refuses routes that overlap so often that not every pair of them was looked at.
pub(super) fn refuse_too_many(pairs: &[Pair], first: Option<&Route>, faults: &mut Faults) {
    if let Some(route) = first.filter(|_| pairs.len() == PAIRS_MAX) {
        let message = format!(
            "{PAIRS_MAX} pairs of routes and more match a path in common, from this route on: nobody can tell what such a table asks for, write its paths more literally"
        );
        let fault = Fault::of(Rule::OverlapsUnbounded, route.place.clone(), message);
        faults.push(fault);
    }
}
