//! Routes that no request reaches, and those that say what another one says already.
//!
//! Of all routes that match a path the most specific ones count, all of them; so one that crosses
//! others is always reached. A route is out of reach only where more specific ones take every one of
//! its paths, which takes a `{x...}` (no finite number of literals is all that `{x}` can be), or
//! where its own template shows what is refused in a path.

use std::collections::{BTreeMap, HashMap};

use super::{Finding, Findings, Related};
use crate::policy::compile::Context;
use crate::policy::matcher::Lookup;
use crate::policy::segment::PARAM;
use crate::policy::template::{SEGMENTS_MAX, Template};
use crate::policy::{Policy, Route};
use crate::request::Target;
use crate::words::{ClassSet, Method, MethodSet, PathClass, Rule};

pub(super) fn prove(policy: &Policy, context: &Context, findings: &mut Findings) {
    own_endpoints(policy, context, findings);
    let deepest = policy.routes.iter().map(|route| depth(&route.template));
    let deepest = deepest.max().unwrap_or_default();
    for route in &policy.routes {
        if let Some(class) = refused_class(route) {
            let message = format!(
                "every path of `{}` shows `{class}`, which is refused: say `unsafe_allow: [{class}]` if its upstream reads it as it is meant, or remove the route",
                route.name
            );
            findings.push(Finding::new(Rule::RouteUnreachable, &route.place, message));
        } else if route.template.has_rest() {
            let taken = route.methods.minus(reached(policy, route, deepest));
            if !taken.is_empty() {
                findings.push(unreachable(route, taken));
            }
        }
    }
    repeated(policy, findings);
}

fn unreachable(route: &Route, taken: MethodSet) -> Finding {
    let by = if taken == route.methods {
        String::new()
    } else {
        format!(" by {taken}")
    };
    let message = format!(
        "no request reaches `{}`{by}: more specific routes take every path of it",
        route.name
    );
    Finding::new(Rule::RouteUnreachable, &route.place, message)
}

fn depth(template: &Template) -> usize {
    template.as_str().matches('/').count()
}

/// The methods by which some path of a template that ends in `{x...}` is still the route's own, on some
/// host. The paths tried are the widest of each depth: if not even these reach it, none does.
fn reached(policy: &Policy, route: &Route, deepest: usize) -> MethodSet {
    let shape = route.template.shape();
    let start = shape.rsplit_once('/').map_or("", |(start, _)| start);
    let own = depth(&route.template);
    let depths = (1..=(deepest + 2).saturating_sub(own)).rev(); // the deepest is nearly always free
    let mut reached = MethodSet::EMPTY;
    for depth in depths.take(SEGMENTS_MAX) {
        let path = (0..depth).fold(start.to_owned(), |path, _| format!("{path}/{PARAM}"));
        for path in [path.clone(), path + "/"] {
            for host in policy.tables.hosts().filter(|host| route.answers_on(*host)) {
                let answers = |method: &Method| {
                    let found = policy.find(host, *method, &path);
                    matches!(found, Ok(Lookup::Found(found))
                        if found.primary == route.id || found.also.contains(&route.id))
                };
                reached = reached.union(route.methods.iter().filter(answers).collect());
            }
            if route.methods.minus(reached).is_empty() {
                return reached;
            }
        }
    }
    reached
}

/// A class that every path of the route shows, and that is refused there.
fn refused_class(route: &Route) -> Option<PathClass> {
    let example = route
        .template
        .shape()
        .replace(|c: char| c.is_control(), "x");
    let all = ClassSet::from_iter(PathClass::ALL.iter().copied());
    match Target::from_text(&example, all) {
        Ok(target) => target.classes().minus(route.unsafe_allow).iter().next(),
        Err(error) => error.class(),
    }
}

/// Our own endpoints win over every route that covers them.
fn own_endpoints(policy: &Policy, context: &Context, findings: &mut Findings) {
    let mut taken: BTreeMap<(usize, &str), MethodSet> = BTreeMap::new();
    for (method, path) in &context.own_endpoints {
        for (number, route) in policy.routes.iter().enumerate() {
            if route.answers(*method) && route.template.matches(path) {
                let methods = taken.entry((number, path)).or_default();
                *methods = methods.with(*method);
            }
        }
    }
    for ((number, path), methods) in taken {
        let Some(route) = policy.routes.get(number) else {
            continue;
        };
        let methods = methods.to_string().replace(", ", ",");
        let message = format!(
            "`{methods} {path}` is an endpoint of the gateway itself, and wins over `{}`",
            route.name
        );
        findings.push(Finding::new(Rule::OwnEndpointWins, &route.place, message));
    }
}

/// Routes all of whose methods another one of their shape has named before, on the same hosts.
fn repeated(policy: &Policy, findings: &mut Findings) {
    let mut shapes: HashMap<(&str, &[String]), Vec<&Route>> = HashMap::new();
    for route in &policy.routes {
        let earlier = shapes
            .entry((route.template.shape(), &route.hosts))
            .or_default();
        let said = earlier
            .iter()
            .find(|it| route.methods.minus(it.methods).is_empty());
        if let Some(said) = said {
            let message = format!(
                "`{}` says once more what `{}` says: remove one",
                route.name, said.name
            );
            let related = Related {
                place: said.place.clone(),
                message: format!("`{}` stands here", said.name),
            };
            findings.push(Finding {
                related: vec![related],
                ..Finding::new(Rule::RouteRepeated, &route.place, message)
            });
        }
        earlier.push(route);
    }
}
