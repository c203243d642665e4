//! Another Host must not be a way around: where a host's own table asks for something, no other
//! table may lead to the same upstream and path for less.
//!
//! The upstream is sent its own Host unless it is told otherwise, so it cannot tell the two
//! requests apart; whoever wants it to, names it twice in the settings.

use super::overlaps::refuse_too_many;
use super::tables::share_a_host;
use crate::policy::Route;
use crate::policy::matcher::Entry;
use crate::policy::overlap::{Pair, Relation, pairs, relation};
use crate::policy::proof::asks;
use crate::policy::template::Template;
use crate::words::{Fault, Faults, Method, Rule};

/// Refuses every route that could be got around by naming another host.
pub(super) fn refuse_ways_around(routes: &[Route], faults: &mut Faults) {
    if routes.iter().all(|route| route.hosts.is_empty()) {
        return;
    }
    let entries: Vec<Entry> = routes.iter().map(entry).collect();
    let pairs = pairs(&entries);
    refuse_too_many(&pairs, routes.first(), faults);
    for pair in &pairs {
        let (Some(a), Some(b)) = (routes.get(pair.first), routes.get(pair.second)) else {
            continue;
        };
        for (guard, around) in [(a, b), (b, a)] {
            if is_way_around(guard, around) && !is_closed(guard, around, routes, &pairs) {
                let message = format!(
                    "`{}` is asked for less at {} on another host and leads to the same upstream: ask the same there, or name the upstream twice in the settings if it tells hosts apart",
                    guard.name, around.place
                );
                faults.push(Fault::of(
                    Rule::OtherHostWeaker,
                    guard.place.clone(),
                    message,
                ));
            }
        }
    }
}

fn entry(route: &Route) -> Entry {
    let head = route.methods.contains(Method::Get);
    Entry {
        route: route.id,
        methods: if head {
            route.methods.with(Method::Head)
        } else {
            route.methods
        },
        template: route.as_read().clone(),
    }
}

/// Says whether `around` stands in a table where `guard` does not, and asks for less.
fn is_way_around(guard: &Route, around: &Route) -> bool {
    let elsewhere = !guard.hosts.is_empty()
        && (around.hosts.is_empty() || around.hosts.iter().any(|host| !guard.hosts.contains(host)));
    elsewhere && guard.upstream == around.upstream && !asks::as_much(around, guard)
}

/// Says whether the guard has a stand-in wherever the way around leads: a route that covers its
/// paths, counts beside the way around, and asks as much.
fn is_closed(guard: &Route, around: &Route, routes: &[Route], pairs: &[Pair]) -> bool {
    let mut others = pairs.iter().filter_map(|pair| {
        let of_guard = |position: usize| {
            routes
                .get(position)
                .is_some_and(|route| route.id == guard.id)
        };
        let (other, covers) = if of_guard(pair.first) {
            (
                pair.second,
                matches!(pair.relation, Relation::Same | Relation::Inside),
            )
        } else if of_guard(pair.second) {
            (
                pair.first,
                matches!(pair.relation, Relation::Same | Relation::Around),
            )
        } else {
            return None;
        };
        routes.get(other).filter(|_| covers)
    });
    others.any(|other| {
        let stands_there = other.hosts.is_empty()
            || (!around.hosts.is_empty()
                && around
                    .hosts
                    .iter()
                    .all(|host| guard.hosts.contains(host) || other.hosts.contains(host)));
        stands_there
            && share_a_host(other, around)
            && guard.methods.minus(other.methods).is_empty()
            && asks::as_much(other, guard)
            && counts_beside(other.as_read(), around.as_read())
    })
}

/// Says whether `other` counts where `around` does: it does unless it is a proper superset.
fn counts_beside(other: &Template, around: &Template) -> bool {
    relation(other, around) != Relation::Around
}
