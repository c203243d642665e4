//! The steps of a decision, in words.

use std::sync::Arc;

use super::remedy::roles_that_give;
use super::world::World;
use super::{Beaten, Hypothesis, Step};
use crate::decision::{Denial, Needs, Question, place};
use crate::policy::matcher::Lookup;
use crate::policy::{Policy, Requirement, Route, RouteBoundary, Source, host_as_tables_know_it};
use crate::reason::Reason;
use crate::request::Target;
use crate::words::{Account, Permission, PermissionId};

/// Most routes that are named although they do not count for a request.
const BEATEN_MAX: usize = 10;

/// The step a refusal fails at.
fn failed_at(denial: &Denial) -> &'static str {
    match denial.reason.status().as_u16() {
        400 => "path",
        401 => "caller",
        403 if denial.reason == Reason::AddressNotAllowed => "address",
        403 if denial.reason == Reason::OutsideBoundary => "boundary",
        403 => "permission",
        _ => "route",
    }
}

/// Tells the steps of a decision, up to the one that settled it.
pub(super) struct Teller<'a> {
    pub(super) question: &'a Question<'a>,
    pub(super) call: &'a Hypothesis<'a>,
    pub(super) world: &'a World,
    pub(super) denial: Option<&'a Denial>,
}

impl Teller<'_> {
    pub(super) fn steps(&self) -> Vec<Step> {
        let failed = self.denial.map(failed_at);
        let mut steps = Vec::new();
        let mut take = |name: &'static str, found: Option<String>| {
            if let Some(found) = found {
                // Without a route nobody gets far, whatever it is that refuses him first.
                let is_there = matches!(self.question.lookup, Lookup::Found(_));
                let passed = failed != Some(name) && (is_there || name != "route");
                steps.push(Step {
                    step: name,
                    passed,
                    found,
                });
            }
        };
        take("path", Some(self.path()));
        take("route", Some(self.route()));
        // A public route asks nobody anything; of a path with two meanings no more is known.
        if !self.is_public() && failed != Some("path") {
            take("caller", self.caller());
            if failed != Some("caller") {
                take("address", self.address());
            }
            if !matches!(failed, Some("route" | "caller" | "address")) {
                take("permission", Some(self.permission()));
            }
            if !matches!(failed, Some("route" | "caller" | "address" | "permission")) {
                take("boundary", self.boundary());
            }
        }
        if failed.is_none() {
            take("rate", self.rate());
        }
        steps
    }

    fn routes(&self) -> Vec<&Arc<Route>> {
        match self.question.lookup {
            Lookup::Found(found) => std::iter::once(&found.primary)
                .chain(&found.also)
                .map(|id| self.question.policy.route(*id))
                .collect(),
            Lookup::OtherMethods(_) | Lookup::Nothing => Vec::new(),
        }
    }

    fn is_public(&self) -> bool {
        let routes = self.routes();
        let public = |route: &&Arc<Route>| route.requirement == Requirement::Public;
        !routes.is_empty() && routes.iter().all(public)
    }

    fn path(&self) -> String {
        if let Some(denial) = self.denial.filter(|denial| failed_at(denial) == "path") {
            return sentence(self.question.policy, self.world, denial);
        }
        path_step(self.question.target, self.call.target)
    }

    fn route(&self) -> String {
        let policy = self.question.policy;
        match self.question.lookup {
            Lookup::Found(_) => {
                let routes = self.routes();
                let told = routes.iter().enumerate().map(|(place, route)| {
                    let (name, asks) = (&route.name, asks(policy, route));
                    match place {
                        0 => format!("`{name}` ({}) asks for {asks}", route.place),
                        _ => format!("`{name}` ({}) too, for {asks}", route.place),
                    }
                });
                told.collect::<Vec<_>>().join("; ")
            }
            Lookup::OtherMethods(methods) => {
                format!(
                    "the path is there for {methods}, not for {}",
                    self.call.method
                )
            }
            Lookup::Nothing => {
                let near = policy.near(self.call.host, self.question.target.path());
                near.map_or("no route matches".to_owned(), |near| {
                    format!(
                        "no route matches; but for {}, `{}` would",
                        near.by, near.route.name
                    )
                })
            }
        }
    }

    fn account(&self) -> Option<&Arc<Account>> {
        self.call.caller.as_ref().map(|caller| &caller.account)
    }

    fn caller(&self) -> Option<String> {
        let Some(account) = self.account() else {
            let denial = self.denial?;
            return Some(sentence(self.question.policy, self.world, denial));
        };
        let state = if account.enabled {
            "enabled"
        } else {
            "disabled"
        };
        Some(format!("`{}` is known and {state}", account.name))
    }

    fn address(&self) -> Option<String> {
        let networks = self.account()?.addresses.networks();
        let listed: Vec<_> = networks.iter().map(ToString::to_string).collect();
        match self.call.source {
            Some(source) if networks.is_empty() => Some(format!("{source}: any address may call")),
            Some(source) if self.account()?.addresses.admit(source) => {
                Some(format!("{source} is allowed"))
            }
            Some(source) => Some(format!("{source} is not in {}", listed.join(", "))),
            None if networks.is_empty() => None,
            None => Some(format!(
                "not looked at: it may call from {}",
                listed.join(", ")
            )),
        }
    }

    fn permission(&self) -> String {
        let policy = self.question.policy;
        if let Some(denial) = self
            .denial
            .filter(|denial| failed_at(denial) == "permission")
        {
            return sentence(policy, self.world, denial);
        }
        let Some(account) = self.account() else {
            return "none is needed".to_owned();
        };
        let routes = self.routes();
        let mut ids: Vec<PermissionId> = Vec::new();
        for route in &routes {
            if let Requirement::All(needed) | Requirement::Any(needed) = &route.requirement {
                ids.extend(
                    needed
                        .iter()
                        .filter(|id| !ids.contains(id))
                        .copied()
                        .collect::<Vec<_>>(),
                );
            }
        }
        granted(policy, &ids, account)
    }

    fn boundary(&self) -> Option<String> {
        let policy = self.question.policy;
        if let Some(denial) = self.denial.filter(|denial| failed_at(denial) == "boundary") {
            return Some(sentence(policy, self.world, denial));
        }
        let mut places = Vec::new();
        for route in self.routes() {
            let bounds = place::read(route, self.question.target, self.question.headers).ok()?;
            for bound in bounds {
                let dimension = policy.dimension(bound.dimension);
                let place = match bound.values.as_slice() {
                    [] => format!("no {dimension} is named"),
                    values => format!("{dimension} {}", values.join(", ")),
                };
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        (!places.is_empty()).then(|| places.join("; "))
    }

    /// What no question can settle beforehand: how often the routes may be called, and by whom.
    fn rate(&self) -> Option<String> {
        let told = self.routes().into_iter().flat_map(|route| {
            let all = route.rate.map(|rate| format!("{rate} by all together"));
            let each = route.rate_per_account;
            let each = each.map(|rate| format!("{rate} by each account"));
            all.into_iter().chain(each)
        });
        // Whoever is not known has no bound of his own.
        let own = self.world.rate.filter(|_| self.account().is_some());
        let own = own.map(|rate| format!("{rate} by each account on all routes together"));
        let told: Vec<_> = told.chain(own).collect();
        (!told.is_empty())
            .then(|| format!("called at most {}, and not counted here", told.join(", ")))
    }
}

/// The path in its one meaning, and what it shows that could be read in two ways.
pub(super) fn path_step(target: &Target, sent: &str) -> String {
    let path = target.path();
    let shown: Vec<_> = target.classes().iter().map(|class| class.code()).collect();
    let sent = sent.split(['?', '#']).next().unwrap_or_default();
    let mut told = format!("`{path}`");
    if sent != path {
        told += &format!(", written `{sent}`");
    }
    if !shown.is_empty() {
        told += &format!(", shows {}, which is allowed somewhere", shown.join(", "));
    }
    told
}

/// The routes that match the path and do not count, and why.
pub(super) fn beaten(question: &Question<'_>, call: &Hypothesis<'_>) -> Vec<Beaten> {
    let counts = |route: &Route| match question.lookup {
        Lookup::Found(found) => found.primary == route.id || found.also.contains(&route.id),
        Lookup::OtherMethods(_) | Lookup::Nothing => false,
    };
    let path = question.target.path();
    let host = call.host.and_then(host_as_tables_know_it);
    let routes = question.policy.routes.iter();
    let matching = routes.filter(|route| !counts(route) && route.template.matches(path));
    let beaten = matching.map(|route| {
        let why = if !route.answers_on(host.as_deref()) {
            format!("it answers on {}", route.hosts.join(", "))
        } else if !route.answers(call.method) {
            format!("it answers {}", route.methods)
        } else {
            "a more specific route takes the path".to_owned()
        };
        Beaten {
            route: route.name.clone(),
            file: route.place.to_string(),
            why,
        }
    });
    beaten.take(BEATEN_MAX).collect()
}

/// As the caller is told it, but for what whoever asks here may know besides.
pub(super) fn sentence(policy: &Policy, world: &World, denial: &Denial) -> String {
    if denial.reason == Reason::PermissionMissing {
        let roles = roles_that_give(policy, world, denial);
        let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
        let told = denial.sentence();
        return match roles.as_slice() {
            [] => format!("{told}, which no role gives"),
            [one] => format!("{told}; the role that gives it: {one}"),
            several => format!("{told}; roles that give it: {}", several.join(", ")),
        };
    }
    if let (Reason::AccountDisabled, Some(caller)) = (denial.reason, &denial.caller) {
        return format!("`{}` is disabled", caller.account.name);
    }
    if denial.reason != Reason::OutsideBoundary {
        return denial.sentence();
    }
    let (Some(caller), Some(Needs::All(needed) | Needs::Any(needed))) =
        (&denial.caller, &denial.needs)
    else {
        return denial.sentence();
    };
    let gives = |permissions: &crate::words::PermissionSet| {
        let mut ids = needed
            .iter()
            .filter_map(|name| policy.permission_id(name.as_str()));
        ids.any(|id| permissions.contains(id))
    };
    let held = caller.account.holdings.iter();
    let held = held.filter(|held| !held.limits.is_empty() && gives(&held.permissions));
    let held: Vec<_> = held.map(|held| held.within.to_string()).collect();
    let place = denial
        .boundary
        .iter()
        .map(|(dimension, value)| match value {
            Some(value) => value.clone(),
            None => format!("without a {dimension}"),
        });
    let place = place.collect::<Vec<_>>().join(", ");
    let place = if place.is_empty() {
        "everywhere".to_owned()
    } else {
        place
    };
    let needed: Vec<_> = needed.iter().map(Permission::as_str).collect();
    format!(
        "`{}` holds {} within {}, not {place}",
        caller.account.name,
        needed.join(" and "),
        held.join(" or "),
    )
}

/// Which grants of an account give permissions.
pub(super) fn granted(policy: &Policy, ids: &[PermissionId], account: &Account) -> String {
    let name = &account.name;
    if ids.is_empty() {
        return format!("`{name}` is a known account, and that is enough here");
    }
    let mut parts = Vec::new();
    for id in ids {
        let giving = account
            .holdings
            .iter()
            .filter(|held| held.permissions.contains(*id));
        let roles: Vec<_> = giving
            .map(|held| {
                let group = held.group.as_ref();
                let by = group.map_or(String::new(), |group| format!(" of group `{group}`"));
                match held.within.is_everywhere() {
                    true => format!("role `{}`{by}, everywhere", held.role),
                    false => format!("role `{}`{by} within {}", held.role, held.within),
                }
            })
            .collect();
        if !roles.is_empty() {
            parts.push(format!(
                "{} by {}",
                policy.permission(*id),
                roles.join(" and ")
            ));
        }
    }
    format!("`{name}` holds {}", parts.join("; "))
}

/// What a route asks for, in words.
pub fn asks(policy: &Policy, route: &Route) -> String {
    let names = |ids: &[PermissionId], between: &str| {
        let names: Vec<_> = ids
            .iter()
            .map(|id| policy.permission(*id).as_str())
            .collect();
        names.join(between)
    };
    let needs = match &route.requirement {
        Requirement::Public => return "nothing: it is public".to_owned(),
        Requirement::AnyAccount => return "any account".to_owned(),
        Requirement::All(ids) => names(ids, " and "),
        Requirement::Any(ids) => names(ids, " or "),
    };
    match &route.boundary {
        RouteBoundary::Unlimited => format!("{needs}, granted without a boundary"),
        RouteBoundary::Forwarded => format!("{needs}; the boundary goes to the upstream"),
        RouteBoundary::Bound(sources) => {
            let bound = sources.iter().map(|(dimension, source)| {
                let from = match source {
                    Source::Path(param) => route
                        .template
                        .params()
                        .get(*param)
                        .map_or_else(|| "path".to_owned(), |name| format!("path.{name}")),
                    Source::Query { name, .. } => format!("query.{name}"),
                    Source::Header(name) => format!("header.{name}"),
                };
                format!("{} = {from}", policy.dimension(*dimension))
            });
            format!("{needs} within {}", bound.collect::<Vec<_>>().join(", "))
        }
    }
}
