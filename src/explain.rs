//! The same decision, told step by step, and what would turn it.
//!
//! Nothing is decided here: [`explain`] asks [`decision::decide`] the question the proxy would ask
//! and puts what came of it into words. If the words and the gateway ever disagree, the gateway is
//! right.

mod preflight;
mod remedy;
mod shadow;

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use serde::Serialize;

use crate::decision::{self, Denial, Needs, Outcome, Question};
use crate::policy::matcher::Lookup;
use crate::policy::{Policy, Requirement, Route, RouteBoundary, Source};
use crate::reason::Reason;
use crate::request::{Target, TargetError};
use crate::words::{Account, Caller, Evidence, Method, Permission};

/// A call that somebody thinks of.
#[derive(Clone, Debug)]
pub struct Hypothesis<'a> {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: &'a str,
    /// The host it asks for, if routes name hosts.
    pub host: Option<&'a str>,
    /// Headers that a boundary reads.
    pub headers: &'a HeaderMap,
    /// Who calls, or nobody.
    pub caller: Option<Caller>,
    /// Where the call comes from; without it addresses are not looked at.
    pub source: Option<IpAddr>,
}

/// What would happen, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Whether the call would be forwarded.
    pub allowed: bool,
    /// `allow`, `deny` or `shadow_deny`.
    pub decision: &'static str,
    /// The reason against it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The status a refusal has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// One sentence that says it all.
    pub sentence: String,
    /// The primary route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Every step of the decision, up to the one that settled it.
    pub steps: Vec<Step>,
    /// What would allow the call, one way a line; empty if it is allowed.
    pub remedies: Vec<String>,
}

/// One step of a decision.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What was looked at: `path`, `route`, `caller`, `address`, `permission`, `boundary`, `shadow`.
    pub step: &'static str,
    /// Whether it was passed.
    pub passed: bool,
    /// What was found.
    pub found: String,
}

/// Makes a caller of an account that is only thought of: it has shown nothing, and uses all it has.
pub fn supposed(account: Arc<Account>) -> Caller {
    Caller {
        account,
        key: None,
        evidence: Evidence::Hypothesis,
        subset: None,
    }
}

/// Says what would happen to a call, and why.
pub fn explain(policy: &Policy, call: &Hypothesis<'_>) -> Explanation {
    let target = match Target::from_text(call.target, policy.classes_read) {
        Ok(target) => target,
        Err(error) => return unreadable(&error),
    };
    let path = target.path().to_owned();
    let mut steps = vec![Step {
        step: "path",
        passed: true,
        found: format!("`{path}`"),
    }];
    let Ok(lookup) = policy.find(call.host, call.method, target.path()) else {
        let found = format!(
            "no route answers on host `{}`",
            call.host.unwrap_or_default()
        );
        steps.push(Step {
            step: "route",
            passed: false,
            found,
        });
        return refused(&Denial::new(Reason::HostUnknown), steps, Vec::new());
    };
    let sent = target.as_sent(call.target);
    let question = Question {
        policy,
        target: &target,
        sent: &sent,
        host: call.host,
        lookup: &lookup,
        headers: call.headers,
        source: call.source,
    };
    if call.method == Method::Options
        && let Some(preflight) = decision::preflight(&question, call.host)
    {
        return preflight::told(&preflight, steps);
    }
    let outcome = decision::decide(&question, Ok(call.caller.clone()));
    steps.push(route_step(policy, &lookup, call));
    match outcome {
        Outcome::Allowed(permit) => allowed(policy, permit.decided_by(), call, steps),
        Outcome::Denied(denial) => explained(policy, &denial, steps),
        Outcome::Shadowed(permit, denial) => {
            shadow::told(policy, &permit, explained(policy, &denial, steps))
        }
    }
}

fn allowed(
    policy: &Policy,
    route: &Route,
    call: &Hypothesis<'_>,
    mut steps: Vec<Step>,
) -> Explanation {
    steps.extend(passed_steps(policy, route, call));
    let sentence = match (&route.requirement, &call.caller) {
        (Requirement::Public, _) | (_, None) => "the route is public".to_owned(),
        (_, Some(caller)) => granted(policy, route, caller),
    };
    Explanation {
        allowed: true,
        decision: "allow",
        reason: None,
        status: None,
        sentence,
        route: Some(route.name.clone()),
        steps,
        remedies: Vec::new(),
    }
}

fn explained(policy: &Policy, denial: &Denial, mut steps: Vec<Step>) -> Explanation {
    if let Some(caller) = denial
        .caller
        .as_ref()
        .filter(|caller| caller.account.enabled)
    {
        let found = format!("`{}` is known and enabled", caller.account.name);
        steps.push(Step {
            step: "caller",
            passed: true,
            found,
        });
    }
    steps.extend(failed_step(denial));
    refused(denial, steps, remedy::remedies(policy, denial))
}

fn unreadable(error: &TargetError) -> Explanation {
    let denial = match error.class() {
        Some(class) => Denial::from(crate::request::Ambiguous { class }),
        None => Denial::because(Reason::RequestMalformed, "the target is no path"),
    };
    let steps = vec![Step {
        step: "path",
        passed: false,
        found: error.to_string(),
    }];
    refused(&denial, steps, Vec::new())
}

fn refused(denial: &Denial, steps: Vec<Step>, remedies: Vec<String>) -> Explanation {
    Explanation {
        allowed: false,
        decision: "deny",
        reason: Some(denial.reason.code()),
        status: Some(denial.reason.status().as_u16()),
        sentence: sentence(denial),
        route: denial.route.as_ref().map(|route| route.name.clone()),
        steps,
        remedies,
    }
}

/// As the caller is told it, but for a boundary, where whoever asks here may know what there is.
fn sentence(denial: &Denial) -> String {
    if denial.reason != Reason::OutsideBoundary {
        return denial.sentence();
    }
    let (Some(caller), Some(Needs::All(needed) | Needs::Any(needed))) =
        (&denial.caller, &denial.needs)
    else {
        return denial.sentence();
    };
    let needed: Vec<_> = needed.iter().map(Permission::as_str).collect();
    let held: Vec<_> = caller
        .account
        .holdings
        .iter()
        .filter(|holding| !holding.limits.is_empty())
        .map(|holding| holding.within.to_string())
        .collect();
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
    format!(
        "`{}` holds {} within {}, not {place}",
        caller.account.name,
        needed.join(" and "),
        held.join(" or "),
    )
}

fn route_step(policy: &Policy, lookup: &Lookup, call: &Hypothesis<'_>) -> Step {
    let (passed, found) = match lookup {
        Lookup::Found(found) => {
            let primary = policy.route(found.primary);
            let asks = asks(policy, primary);
            let mut text = format!("`{}` ({}) asks for {asks}", primary.name, primary.place);
            for id in &found.also {
                let route = policy.route(*id);
                let asks = self::asks(policy, route);
                text.push_str(&format!(
                    "; `{}` ({}) too, for {asks}",
                    route.name, route.place
                ));
            }
            (true, text)
        }
        Lookup::OtherMethods(methods) => (
            false,
            format!("the path is there for {methods}, not for {}", call.method),
        ),
        Lookup::Nothing => (false, "no route matches".to_owned()),
    };
    Step {
        step: "route",
        passed,
        found,
    }
}

/// What a route asks for, in words.
pub fn asks(policy: &Policy, route: &Route) -> String {
    let names = |ids: &[crate::words::PermissionId], between: &str| {
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

fn passed_steps(policy: &Policy, route: &Route, call: &Hypothesis<'_>) -> Vec<Step> {
    let Some(caller) = &call.caller else {
        return Vec::new();
    };
    if route.requirement == Requirement::Public {
        return Vec::new();
    }
    let step = |step, found| Step {
        step,
        passed: true,
        found,
    };
    let mut steps = vec![step(
        "caller",
        format!("`{}` is known and enabled", caller.account.name),
    )];
    if let Some(source) = call.source {
        steps.push(step("address", format!("{source} is allowed")));
    }
    steps.push(step("permission", granted(policy, route, caller)));
    steps
}

/// Which grants of the caller give what the route needs.
fn granted(policy: &Policy, route: &Route, caller: &Caller) -> String {
    let name = &caller.account.name;
    let (Requirement::All(ids) | Requirement::Any(ids)) = &route.requirement else {
        return format!("`{name}` is a known account, and that is enough here");
    };
    let mut parts = Vec::new();
    for id in ids {
        let giving = caller
            .account
            .holdings
            .iter()
            .filter(|h| h.permissions.contains(*id));
        let roles: Vec<_> = giving
            .map(|holding| format!("role `{}` within {}", holding.role, holding.within))
            .map(|text| text.replace(" within everywhere", ", everywhere"))
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

fn failed_step(denial: &Denial) -> Option<Step> {
    let step = match denial.reason.status().as_u16() {
        400 => "path",
        401 => "caller",
        403 if denial.reason == Reason::AddressNotAllowed => "address",
        403 if denial.reason == Reason::OutsideBoundary => "boundary",
        403 => "permission",
        // The route step has said it.
        _ => return None,
    };
    Some(Step {
        step,
        passed: false,
        found: sentence(denial),
    })
}
