//! Routes together: one table for each host, and what may not stand beside what.
//!
//! Templates of one shape are one route where they ask the same, and a fault where they do not. A
//! GET route stands in the HEAD table too, unless a route of its own shape names HEAD. Routes that
//! must be satisfied together must lead to the same upstream.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Context;
use super::names::Names;
use super::overlaps::{Look, Seen};
use crate::policy::hosts::{HostTable, Tables};
use crate::policy::loose::LooseTable;
use crate::policy::matcher::{Entry, Table};
use crate::policy::template::Template;
use crate::policy::{Overlap, Route};
use crate::words::{Fault, Faults, Method, MethodSet, Place, Rule, UpstreamId};

/// Most entries of all tables together. A route without hosts stands in every host's table, so a
/// thousand hosts beside ten thousand such routes would be ten million entries.
const ENTRIES_MAX: usize = 200_000;

/// The tables, and every pair of routes that match a path in common.
pub(super) fn build(
    routes: &[Route],
    names: &Names,
    context: &Context,
    faults: &mut Faults,
) -> (Tables, Vec<Overlap>) {
    let mut seen = Seen::default();
    own_endpoints(routes, context, faults);
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
        let mut look = Look {
            routes,
            faults,
            seen: &mut seen,
        };
        look.at_table(&entries);
        let loose = loose(routes, names, &entries, &mut look);
        HostTable {
            table: Table::build(entries),
            loose,
        }
    };
    let named = hosts
        .iter()
        .map(|host| (Box::from(*host), table(Some(host))))
        .collect();
    let rest = (everywhere > 0 || hosts.is_empty()).then(|| table(None));
    (Tables::new(named, rest), seen.into_list())
}

/// The tables of the upstreams that ignore case or a slash at the end.
fn loose(
    routes: &[Route],
    names: &Names,
    entries: &[Entry],
    look: &mut Look<'_>,
) -> Vec<LooseTable> {
    let mut upstreams: BTreeMap<UpstreamId, Vec<(&Entry, &Template)>> = BTreeMap::new();
    for entry in entries {
        let route = usize::try_from(entry.route.0)
            .ok()
            .and_then(|place| routes.get(place));
        if let Some((route, loose)) = route.and_then(|route| Some((route, route.loose.as_ref()?))) {
            let rows = upstreams.entry(route.upstream).or_default();
            rows.push((entry, loose));
        }
    }
    let table = |(upstream, rows): (UpstreamId, Vec<(&Entry, &Template)>)| {
        let name = names.upstreams.get(usize::from(upstream.0))?;
        let spelling = names.rules(name).spelling;
        look.at_loose(spelling, &rows);
        Some(LooseTable::build(upstream, spelling, rows.into_iter()))
    };
    upstreams.into_iter().filter_map(table).collect()
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
                let fault = Fault::of(Rule::RoutesDiffer, second.place.clone(), message);
                faults.push(fault);
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
        && a.rate == b.rate
        && a.rate_per_account == b.rate_per_account
        && a.cors == b.cors
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

/// Our own endpoints win over a route that covers them (`proof` says so); one of the same shape could
/// never answer.
fn own_endpoints(routes: &[Route], context: &Context, faults: &mut Faults) {
    for (method, path) in &context.own_endpoints {
        let Ok(own) = Template::parse(path) else {
            continue;
        };
        let same = |route: &&Route| route.answers(*method) && route.template.shape() == own.shape();
        for route in routes.iter().filter(same) {
            let message = format!(
                "`{method} {path}` is an endpoint of the gateway itself: remove `{}`, which could never answer",
                route.name
            );
            let fault = Fault::of(Rule::OwnEndpointTaken, route.place.clone(), message);
            faults.push(fault);
        }
    }
}
