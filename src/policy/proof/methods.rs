//! What becomes of a path by a method that its own routes do not name.
//!
//! Mostly nothing: 405, and that is as it should be. But a wider route may answer the method, and
//! then a `DELETE` asks for what the catch-all asks for, whatever `GET` of the same path needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Finding, Findings, asks, several};
use crate::policy::matcher::Lookup;
use crate::policy::overlap::covers;
use crate::policy::{Policy, Route};
use crate::words::{Level, Method, MethodSet, RouteId, Rule};

pub(super) fn prove(policy: &Policy, findings: &mut Findings) {
    let mut holes: BTreeMap<RouteId, Hole> = BTreeMap::new();
    let mut heads: BTreeSet<(RouteId, RouteId)> = BTreeSet::new();
    for host in policy.tables.hosts() {
        for own in by_shape(policy, host).into_values() {
            look(policy, host, &own, &mut holes);
            heads.extend(weaker_heads(&own));
        }
    }
    for (wide, hole) in holes {
        findings.push(hole.told(policy, policy.route(wide)));
    }
    for (head, get) in heads {
        let (head, get) = (policy.route(head), policy.route(get));
        let message = format!(
            "`{}` is {} and `{}` asks for {}: HEAD tells what GET would, ask the same",
            head.name,
            asks::asked(policy, head),
            get.name,
            asks::asked(policy, get),
        );
        let finding = Finding::new(Rule::HeadWeaker, &head.place, message);
        findings.push(finding.about(policy, std::iter::once(&**get)));
    }
}

/// What falls to one wide route.
#[derive(Default)]
struct Hole {
    level: Option<Level>,
    methods: MethodSet,
    strong: BTreeSet<RouteId>,
}

impl Hole {
    fn add(&mut self, level: Level, method: Method, strong: RouteId) {
        if self.level < Some(level) {
            // What weighs less is not told beside what weighs more.
            *self = Self::default();
            self.level = Some(level);
        }
        if self.level == Some(level) {
            self.methods = self.methods.with(method);
            self.strong.insert(strong);
        }
    }

    fn told(&self, policy: &Policy, wide: &Route) -> Finding {
        let strong: Vec<&Route> = self.strong.iter().map(|id| &**policy.route(*id)).collect();
        let example = strong.first().map_or_else(String::new, |route| {
            format!("`{}` ({})", route.name, asks::asked(policy, route))
        });
        let need = if strong.len() == 1 { "needs" } else { "need" };
        let message = format!(
            "`{}` is {} and answers {} on the paths of {} that {need} something else, such as {example}: give those paths a route of their own for it, or ask for as much here",
            wide.name,
            asks::asked(policy, wide),
            self.methods,
            several(strong.len(), "route"),
        );
        let finding = Finding::new(Rule::MethodFallsThrough, &wide.place, message);
        Finding {
            level: self.level.unwrap_or(finding.level),
            ..finding
        }
        .about(policy, strong.into_iter())
    }
}

/// The routes that answer on `host`, by the shape of their templates as their upstream reads them.
fn by_shape<'p>(policy: &'p Policy, host: Option<&str>) -> HashMap<&'p str, Vec<&'p Route>> {
    let mut shapes: HashMap<&str, Vec<&Route>> = HashMap::new();
    for route in &policy.routes {
        if route.answers_on(host) {
            shapes
                .entry(route.as_read().shape())
                .or_default()
                .push(route);
        }
    }
    shapes
}

/// Looks where every other method of a path goes. A shape is a path itself, which only those match
/// that match all of its paths.
fn look(policy: &Policy, host: Option<&str>, own: &[&Route], holes: &mut BTreeMap<RouteId, Hole>) {
    let answered = own
        .iter()
        .fold(MethodSet::EMPTY, |all, route| all.union(route.methods));
    let gets = answered.contains(Method::Get);
    let others = Method::ALL.iter().copied().filter(|method| {
        // A preflight needs no permission, and a catch-all for OPTIONS is how people say so.
        !answered.contains(*method)
            && *method != Method::Options
            && !(gets && *method == Method::Head)
    });
    let Some(first) = own.first() else { return };
    for method in others {
        let Ok(Lookup::Found(found)) = policy.find(host, method, first.template.shape()) else {
            continue;
        };
        let wide: Vec<&Route> = std::iter::once(&found.primary)
            .chain(&found.also)
            .map(|id| &**policy.route(*id))
            .filter(|wide| covers(wide.as_read(), first.as_read()))
            .collect();
        let Some(primary) = wide.first() else {
            continue;
        };
        for strong in own {
            if let Some(level) = weight(policy, method, (&wide, strong)) {
                holes
                    .entry(primary.id)
                    .or_default()
                    .add(level, method, strong.id);
            }
        }
    }
}

/// How much it weighs that a method of the path of `strong` is answered by `wide`, all of them
/// together; nothing if they ask for as much, or lead elsewhere.
fn weight(policy: &Policy, method: Method, (wide, strong): (&[&Route], &Route)) -> Option<Level> {
    let elsewhere = wide.iter().any(|route| route.upstream != strong.upstream);
    if elsewhere || wide.iter().any(|route| asks::as_much(route, strong)) {
        return None;
    }
    if wide
        .iter()
        .all(|route| !asks::is_listed(route) || (route.shadow && !strong.shadow))
    {
        return Some(Level::Warning);
    }
    // What is asked for reading is mostly less than what is asked for writing, and should be.
    if matches!(method, Method::Get | Method::Head) {
        return None;
    }
    let by_roles = |route: &&Route| asks::as_much_by_roles(policy, route, strong);
    (!wide.iter().any(by_roles)).then_some(Level::Note)
}

/// Routes of one shape where HEAD is asked for less than GET.
fn weaker_heads(own: &[&Route]) -> Vec<(RouteId, RouteId)> {
    let names = |method| {
        own.iter()
            .filter(move |route| route.methods.contains(method))
    };
    let mut found = Vec::new();
    for head in names(Method::Head) {
        let weaker = names(Method::Get).filter(|get| !asks::as_much(head, get));
        found.extend(weaker.map(|get| (head.id, get.id)));
    }
    found
}
