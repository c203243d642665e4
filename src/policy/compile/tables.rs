//! Routes together: one table for each host, and what may not stand beside what.
//!
//! Templates of one shape are one route where they ask the same, and a fault where they do not. A
//! GET route stands in the HEAD table too, unless a route of its own shape names HEAD. Routes that
//! must be satisfied together must lead to the same upstream.

use std::collections::{BTreeSet, HashMap};

use super::Context;
use super::names::Names;
use crate::policy::hosts::Tables;
use crate::policy::matcher::{Entry, Table};
use crate::policy::overlap::{PAIRS_MAX, Pair, Relation, pairs};
use crate::policy::template::Template;
use crate::policy::{Requirement, Route};
use crate::words::{Fault, Faults, Method, MethodSet, Place};

/// Most entries of all tables together. A route without hosts stands in every host's table, so a
/// thousand hosts beside ten thousand such routes would be ten million entries.
const ENTRIES_MAX: usize = 200_000;
/// Most warnings about overlaps. A list that nobody reads to its end warns of nothing.
const WARNINGS_MAX: usize = 100;

/// The tables, and what should be looked at.
pub(super) fn build(
    routes: &[Route],
    names: &Names,
    context: &Context,
    faults: &mut Faults,
) -> (Tables, Vec<Fault>) {
    let mut warnings = Warnings::default();
    own_endpoints(routes, context, faults, &mut warnings);
    refuse_twins(routes, faults);
    let hosts: BTreeSet<&str> = routes
        .iter()
        .flat_map(|route| route.hosts.iter().map(String::as_str))
        .collect();
    let everywhere = routes.iter().filter(|route| route.hosts.is_empty()).count();
    if everywhere.saturating_mul(hosts.len() + 1) + routes.len() > ENTRIES_MAX {
        let message = format!(
            "{everywhere} routes without `hosts` join the tables of {} hosts, and {ENTRIES_MAX} entries are the most",
            hosts.len()
        );
        let place = routes
            .first()
            .map_or_else(|| Place::whole("policies"), |it| it.place.clone());
        faults.push(Fault::new(place, message));
        return (Tables::default(), Vec::new());
    }
    let mut table = |host: Option<&str>| {
        let joins = |route: &&Route| {
            route.hosts.is_empty() || host.is_some_and(|host| route.hosts.iter().any(|h| h == host))
        };
        let entries = entries(&routes.iter().filter(joins).collect::<Vec<_>>());
        look_at_overlaps(routes, &entries, names, faults, &mut warnings);
        Table::build(entries)
    };
    let named = hosts
        .iter()
        .map(|host| (Box::from(*host), table(Some(host))))
        .collect();
    let rest = (everywhere > 0 || hosts.is_empty()).then(|| table(None));
    (Tables::new(named, rest), warnings.into_list())
}

/// Warnings, each once, in the order they came up.
#[derive(Default)]
pub(super) struct Warnings {
    seen: BTreeSet<Fault>,
    list: Vec<Fault>,
    left_out: usize,
}

impl Warnings {
    fn push(&mut self, place: &Place, message: String) {
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

    fn into_list(mut self) -> Vec<Fault> {
        self.list.sort();
        if let (Some(last), true) = (self.list.last(), self.left_out > 0) {
            let message = format!("and {} overlaps more", self.left_out);
            self.list.push(Fault::new(last.place.clone(), message));
        }
        self.list
    }
}

/// Routes of one shape that share a host and a method, and do not ask the same.
fn refuse_twins(routes: &[Route], faults: &mut Faults) {
    for twins in by_shape(routes.iter()).into_values() {
        for (number, second) in twins.iter().enumerate() {
            let earlier = twins.iter().take(number);
            let differs = earlier.filter(|first| {
                share_a_host(first, second)
                    && !first.methods.intersection(second.methods).is_empty()
                    && !ask_the_same(first, second)
            });
            for first in differs {
                let message = format!(
                    "`{}` matches the same requests as `{}` at {} and differs from it: make them ask the same, or remove one",
                    second.name, first.name, first.place
                );
                faults.push(Fault::new(second.place.clone(), message));
            }
        }
    }
}

fn by_shape<'a>(routes: impl Iterator<Item = &'a Route>) -> HashMap<&'a str, Vec<&'a Route>> {
    let mut shapes: HashMap<&str, Vec<&Route>> = HashMap::new();
    for route in routes {
        shapes
            .entry(route.template.shape())
            .or_default()
            .push(route);
    }
    shapes
}

/// Says whether one table holds both.
pub(super) fn share_a_host(a: &Route, b: &Route) -> bool {
    a.hosts.is_empty() || b.hosts.is_empty() || a.hosts.iter().any(|host| b.hosts.contains(host))
}

/// Two routes of one shape that may be told as one. Path parameters are compared by their number,
/// which is the same place in both; their names may differ.
fn ask_the_same(a: &Route, b: &Route) -> bool {
    a.requirement == b.requirement
        && a.boundary == b.boundary
        && a.upstream == b.upstream
        && a.timeout == b.timeout
        && a.shadow == b.shadow
        && a.unsafe_allow == b.unsafe_allow
        && a.pass_authorization == b.pass_authorization
        && a.upgrade == b.upgrade
        && a.trailers == b.trailers
        && a.body_bytes == b.body_bytes
}

/// The entries of one table: of twins the first keeps what they share, and GET answers HEAD unless
/// a twin names HEAD.
fn entries(routes: &[&Route]) -> Vec<Entry> {
    let mut said: HashMap<&str, MethodSet> = HashMap::new();
    for route in routes {
        let all = said.entry(route.template.shape()).or_default();
        *all = all.union(route.methods);
    }
    let mut taken: HashMap<&str, MethodSet> = HashMap::new();
    let mut entries = Vec::new();
    for route in routes {
        let shape = route.template.shape();
        let taken = taken.entry(shape).or_default();
        let mut methods = route.methods.minus(*taken);
        let names_head = said
            .get(shape)
            .is_some_and(|all| all.contains(Method::Head));
        if methods.contains(Method::Get) && !names_head {
            methods = methods.with(Method::Head);
        }
        *taken = taken.union(methods);
        if !methods.is_empty() {
            entries.push(Entry {
                route: route.id,
                methods,
                template: route.template.clone(),
            });
        }
    }
    entries
}

/// Refuses what cannot be satisfied together, and points at what deserves a look.
fn look_at_overlaps(
    routes: &[Route],
    entries: &[Entry],
    names: &Names,
    faults: &mut Faults,
    warnings: &mut Warnings,
) {
    let route = |position: usize| {
        let id = entries.get(position)?.route;
        routes.get(usize::try_from(id.0).ok()?)
    };
    let mut behind: HashMap<usize, Vec<usize>> = HashMap::new();
    let pairs = pairs(entries);
    refuse_too_many(&pairs, routes.first(), faults);
    for Pair {
        first,
        second,
        relation,
        ..
    } in pairs
    {
        let (Some(a), Some(b)) = (route(first), route(second)) else {
            continue;
        };
        match relation {
            Relation::Crossing if a.upstream != b.upstream => {
                let message = format!(
                    "`{}` and `{}` at {} can match one request, which must satisfy both, and lead to different upstreams: lead them to one",
                    b.name, a.name, a.place
                );
                faults.push(Fault::new(b.place.clone(), message));
            }
            Relation::Crossing if a.requirement != b.requirement || a.boundary != b.boundary => {
                let message = format!(
                    "a request that matches both `{}` ({}) and `{}` ({}) must satisfy both",
                    b.name,
                    names.asked(&b.requirement),
                    a.name,
                    names.asked(&a.requirement)
                );
                warnings.push(&b.place, message);
            }
            Relation::Inside if is_weaker(b, a) => behind.entry(second).or_default().push(first),
            Relation::Around if is_weaker(a, b) => behind.entry(first).or_default().push(second),
            Relation::Crossing
            | Relation::Inside
            | Relation::Around
            | Relation::Same
            | Relation::Disjoint => {}
        }
    }
    for (weak, strong) in sorted(behind) {
        let example = strong.first().and_then(|position| route(*position));
        if let (Some(weak), Some(example)) = (route(weak), example) {
            warnings.push(
                &weak.place,
                stands_behind(weak, strong.len(), example, names),
            );
        }
    }
}

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
        "`{}` is {} and stands behind {routes} more, such as `{}`: another spelling of a path, with a slash at the end or in other case, falls to it",
        weak.name,
        names.asked(&weak.requirement),
        example.name
    )
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

/// Our own endpoints win over a route that covers them; one of the same shape could never answer.
fn own_endpoints(
    routes: &[Route],
    context: &Context,
    faults: &mut Faults,
    warnings: &mut Warnings,
) {
    for (method, path) in &context.own_endpoints {
        let Ok(own) = Template::parse(path) else {
            continue;
        };
        let answers = |route: &&Route| {
            route.methods.contains(*method)
                || (*method == Method::Head && route.methods.contains(Method::Get))
        };
        for route in routes.iter().filter(answers) {
            if route.template.shape() == own.shape() {
                let message = format!(
                    "`{method} {path}` is an endpoint of the gateway itself: remove `{}`, which could never answer",
                    route.name
                );
                faults.push(Fault::new(route.place.clone(), message));
            } else if route.template.matches(path) {
                let message = format!(
                    "`{method} {path}` is an endpoint of the gateway itself, and wins over `{}`",
                    route.name
                );
                warnings.push(&route.place, message);
            }
        }
    }
}
