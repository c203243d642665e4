//! The decision: whether one request may pass, and if not, for which one reason.
//!
//! Pure: the same question always has the same answer. The proxy, the command line and the policy
//! tests ask this one function, so what `can-i` says is what the gateway does. Nothing here waits,
//! reads a clock or writes a log.
//!
//! [`decide`] is also the only maker of a [`Permit`], and forwarding takes a permit by value:
//! there is no way around it to an upstream.
//!
//! Not here: who the caller is (`verify`), and rates, which depend on other requests.

mod denial;
mod permit;
pub mod place;
pub mod preflight;
pub mod rights;
mod shadow;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::uri::PathAndQuery;
use smallvec::SmallVec;

pub use denial::{Denial, Limited, Needs};
pub use permit::{Identity, Permit};
pub use preflight::{Preflight, preflight};

use crate::policy::cors::Cors;
use crate::policy::matcher::Lookup;
use crate::policy::{Policy, Requirement, Route, RouteBoundary};
use crate::reason::Reason;
use crate::request::Target;
use crate::words::{Caller, ClassSet, PathClass, PermissionId, RouteId};
use place::Malformed;
use rights::{Satisfied, Shortfall};

/// Everything a decision depends on.
#[derive(Debug)]
pub struct Question<'a> {
    /// The policy in force.
    pub policy: &'a Policy,
    /// Path and query, in their one meaning.
    pub target: &'a Target,
    /// Path and query as they were sent.
    pub sent: &'a PathAndQuery,
    /// The host that was asked for.
    pub host: Option<&'a str>,
    /// What the route table says of host, method and path.
    pub lookup: &'a Lookup,
    /// The request's headers; only those a boundary names are read.
    pub headers: &'a HeaderMap,
    /// Where the call comes from; `None` does not look at addresses (policy tests).
    pub source: Option<IpAddr>,
}

/// The answer.
#[derive(Debug)]
pub enum Outcome {
    /// Forward.
    Allowed(Permit),
    /// Refuse.
    Denied(Box<Denial>),
    /// Refused by the rules, forwarded all the same because everything in question is in shadow.
    Shadowed(Permit, Box<Denial>),
}

/// Says whether the decision looks at a caller at all: it does not where every matching route is
/// public, and then no credential is read either.
pub fn asks_for_caller(policy: &Policy, lookup: &Lookup) -> bool {
    !matched(policy, lookup).is_some_and(|matched| matched.all_public())
}

/// Says whether an `Authorization` that is not of our form may be meant for the API behind: where
/// every matching route passes it on, or shadow would forward the request without it.
pub fn foreign_may_pass(question: &Question<'_>) -> bool {
    let matched = matched(question.policy, question.lookup);
    let passes = |matched: &Matched| matched.iter().all(|route| route.pass_authorization);
    matched.as_ref().is_some_and(passes) || shadow::way(question, matched.as_ref()).is_some()
}

/// Says whether the request would go on if it were refused, because all that is in question is in
/// shadow.
pub fn goes_on_regardless(question: &Question<'_>) -> bool {
    let matched = matched(question.policy, question.lookup);
    shadow::way(question, matched.as_ref()).is_some()
}

/// The refusal of a request whose source is throttled, before anything else is asked.
pub fn throttled(question: &Question<'_>, wait: Duration) -> Box<Denial> {
    let denial = Denial::throttled(wait);
    Box::new(told(
        question,
        matched(question.policy, question.lookup).as_ref(),
        denial,
    ))
}

/// Decides.
///
/// `caller` is what verification found: a caller, nobody (no credential), or the reason why the
/// credential is not good. It is ignored where every matching route is public.
///
/// The order of the checks is a promise: a stranger gets 401 whatever else is true, so that neither
/// the route table nor the state of an account can be read from outside.
pub fn decide(question: &Question<'_>, caller: Result<Option<Caller>, Reason>) -> Outcome {
    if !question.policy.method_in_query_allowed && question.target.overrides_method() {
        return Outcome::Denied(override_refused());
    }
    let matched = matched(question.policy, question.lookup);
    if let Some(denial) = refused_at_once(question) {
        return match shadow::outcome(question, matched.as_ref(), denial) {
            Outcome::Shadowed(permit, mut denial) => {
                // Nobody is refused for who he is, but who would be is good to know.
                denial.caller = caller.ok().flatten();
                denial.route = permit.route().cloned();
                Outcome::Shadowed(permit, denial)
            }
            outcome @ (Outcome::Allowed(_) | Outcome::Denied(_)) => outcome,
        };
    }
    if let Some(public) = matched.as_ref().filter(|matched| matched.all_public()) {
        let Some(denial) = two_readings(question, public) else {
            return Outcome::Allowed(Permit::public(question, public));
        };
        let denial = Box::new(Denial {
            route: Some(Arc::clone(&public.primary)),
            cors: public.cors().cloned(),
            ..*denial
        });
        return shadow::outcome(question, matched.as_ref(), denial);
    }
    let denial = match known(question.source, caller) {
        Err(denial) => denial,
        Ok(caller) => match allowed(question, matched.as_ref(), &caller) {
            Ok((matched, satisfied)) => {
                return Outcome::Allowed(Permit::granted(question, matched, caller, satisfied));
            }
            Err(denial) => Box::new(Denial {
                caller: Some(caller),
                ..*denial
            }),
        },
    };
    let denial = Box::new(told(question, matched.as_ref(), *denial));
    shadow::outcome(question, matched.as_ref(), denial)
}

/// A refusal with what is told of the routes it is about.
fn told(question: &Question<'_>, matched: Option<&Matched>, denial: Denial) -> Denial {
    let route = matched.map(|matched| Arc::clone(&matched.primary));
    // A refusal is filed under the permission its route asks for, whatever came before it.
    let needs = denial.needs.clone().or_else(|| {
        route
            .as_ref()
            .and_then(|route| needs(question.policy, &route.requirement))
    });
    let cors = matched.and_then(|matched| matched.cors().cloned());
    Denial {
        route,
        cors,
        needs,
        ..denial
    }
}

/// Decides about a call to the gateway's own API, which is no route of a policy: the caller is known,
/// and holds `needed`, wherever that is. How far it reaches is decided there.
///
/// # Errors
///
/// The refusal.
pub fn admit(
    policy: &Policy,
    caller: Result<Option<Caller>, Reason>,
    source: IpAddr,
    needed: Option<PermissionId>,
) -> Result<Caller, Box<Denial>> {
    let caller = known(Some(source), caller)?;
    let requirement = match needed {
        Some(needed) => Requirement::All(vec![needed]),
        None => Requirement::AnyAccount,
    };
    let checked = rights::check(&caller, &requirement, &RouteBoundary::Forwarded, &[]);
    let missing = match checked {
        Ok(_) => return Ok(caller),
        Err(Shortfall::Permissions(missing)) => missing,
        Err(Shortfall::Place(_)) => Vec::new(),
    };
    let missing = missing.into_iter().map(|id| policy.permission(id).clone());
    Err(Box::new(Denial {
        needs: needs(policy, &requirement),
        missing: missing.collect(),
        caller: Some(caller),
        ..Denial::new(Reason::PermissionMissing)
    }))
}

/// A path of a class that nothing allows: refused whoever asks, and before anybody is asked.
fn refused_at_once(question: &Question<'_>) -> Option<Box<Denial>> {
    let allowed = question.policy.classes_allowed;
    let refused = question.target.classes().minus(allowed);
    if refused.is_empty() {
        return None;
    }
    let class = refused.iter().next()?;
    // As it would be told were it read without shadow: the first in the path, not in the table.
    let first = Target::parse(question.sent, allowed).err();
    Some(Box::new(
        first.unwrap_or(crate::request::Ambiguous { class }).into(),
    ))
}

/// The routes a request must satisfy, all of them.
#[derive(Debug)]
struct Matched {
    primary: Arc<Route>,
    also: SmallVec<[Arc<Route>; 2]>,
}

impl Matched {
    fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        std::iter::once(&self.primary).chain(&self.also)
    }

    fn all_public(&self) -> bool {
        self.iter()
            .all(|route| route.requirement == Requirement::Public)
    }

    fn all_in_shadow(&self) -> bool {
        self.iter().all(|route| route.shadow)
    }

    /// What all routes say of preflights, if they say the same.
    fn cors(&self) -> Option<&Arc<Cors>> {
        let cors = self.primary.cors.as_ref()?;
        let mut also = self.also.iter();
        also.all(|route| route.cors.as_ref() == Some(cors))
            .then_some(cors)
    }
}

fn matched(policy: &Policy, lookup: &Lookup) -> Option<Matched> {
    let Lookup::Found(found) = lookup else {
        return None;
    };
    let route = |id: &RouteId| Arc::clone(policy.route(*id));
    Some(Matched {
        primary: route(&found.primary),
        also: found.also.iter().map(route).collect(),
    })
}

/// A known caller: the credential is good, the account is enabled, the address allowed.
fn known(
    source: Option<IpAddr>,
    caller: Result<Option<Caller>, Reason>,
) -> Result<Caller, Box<Denial>> {
    let refuse = |reason| Box::new(Denial::new(reason));
    let caller = caller
        .map_err(refuse)?
        .ok_or_else(|| refuse(Reason::CredentialMissing))?;
    let refuse = |reason, caller| {
        Box::new(Denial {
            caller: Some(caller),
            ..Denial::new(reason)
        })
    };
    if !caller.account.enabled {
        return Err(refuse(Reason::AccountDisabled, caller));
    }
    if source.is_some_and(|source| !caller.admits(source)) {
        return Err(refuse(Reason::AddressNotAllowed, caller));
    }
    Ok(caller)
}

/// What a known caller may do: the routes it satisfied, and by which permissions.
fn allowed<'m>(
    question: &Question<'_>,
    matched: Option<&'m Matched>,
    caller: &Caller,
) -> Result<(&'m Matched, Satisfied), Box<Denial>> {
    let Some(matched) = matched else {
        return Err(Box::new(match question.lookup {
            Lookup::OtherMethods(allow) => Denial {
                allow: *allow,
                ..Denial::new(Reason::MethodNotAllowed)
            },
            Lookup::Found(_) | Lookup::Nothing => Denial::new(Reason::RouteMissing),
        }));
    };
    if let Some(denial) = two_readings(question, matched) {
        return Err(denial);
    }
    let mut by = Satisfied::new();
    for route in matched.iter() {
        by.extend(satisfied(question, route, caller)?);
    }
    Ok((matched, by))
}

fn satisfied(
    question: &Question<'_>,
    route: &Route,
    caller: &Caller,
) -> Result<Satisfied, Box<Denial>> {
    let bounds = place::read(route, question.target, question.headers)
        .map_err(|Malformed(hint)| Box::new(Denial::because(Reason::RequestMalformed, hint)))?;
    let checked = rights::check(caller, &route.requirement, &route.boundary, &bounds);
    let shortfall = match checked {
        Ok(satisfied) => return Ok(satisfied),
        Err(shortfall) => shortfall,
    };
    let policy = question.policy;
    let needs = needs(policy, &route.requirement);
    Err(Box::new(match shortfall {
        Shortfall::Permissions(missing) => Denial {
            needs,
            missing: missing
                .into_iter()
                .map(|id| policy.permission(id).clone())
                .collect(),
            // Not told to the caller, whose first question is the permission; told to whoever asks
            // what to grant, so that the answer is not wider than the request.
            boundary: bounds
                .into_iter()
                .flat_map(|bound| {
                    let dimension = policy.dimension(bound.dimension);
                    let values = bound.values.into_iter();
                    values.map(|value| (dimension.clone(), Some(value)))
                })
                .collect(),
            ..Denial::new(Reason::PermissionMissing)
        },
        Shortfall::Place(place) => Denial {
            needs,
            boundary: place
                .into_iter()
                .map(|(dimension, value)| (policy.dimension(dimension).clone(), value))
                .collect(),
            ..Denial::new(Reason::OutsideBoundary)
        },
    }))
}

/// What a requirement asks for, in names; `None` for those that ask for no permission.
pub fn needs(policy: &Policy, requirement: &Requirement) -> Option<Needs> {
    let names = |ids: &[PermissionId]| {
        ids.iter()
            .map(|id| policy.permission(*id).clone())
            .collect()
    };
    match requirement {
        Requirement::Public | Requirement::AnyAccount => None,
        Requirement::All(ids) => Some(Needs::All(names(ids))),
        Requirement::Any(ids) => Some(Needs::Any(names(ids))),
    }
}

/// What a second reader could read another way, and not every matching route allows.
fn two_readings(question: &Question<'_>, matched: &Matched) -> Option<Box<Denial>> {
    if let Some(class) = refused_class(question, matched) {
        return Some(Box::new(crate::request::Ambiguous { class }.into()));
    }
    let allowed = matched.iter().all(|route| route.method_in_query);
    (!allowed && question.target.overrides_method()).then(override_refused)
}

fn override_refused() -> Box<Denial> {
    Box::new(Denial::because(
        Reason::RequestMalformed,
        "`_method` in the query asks for another method than the one decided on",
    ))
}

/// The first class the path shows that neither the upstream nor every matching route allows.
fn refused_class(question: &Question<'_>, matched: &Matched) -> Option<PathClass> {
    let shown = question.target.classes();
    if shown.is_empty() {
        return None;
    }
    let all = ClassSet::from_iter(PathClass::ALL.iter().copied());
    let by_routes = matched.iter().fold(all, |allowed, route| {
        allowed.intersection(route.unsafe_allow)
    });
    shown.minus(by_routes).iter().next()
}

#[cfg(test)]
mod tests;
