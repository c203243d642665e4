//! What becomes of a refusal: it is enforced, or the request goes on all the same.
//!
//! Shadow forgives what a policy decides (401, 403, 404, 405) and a path that can be read two ways,
//! never what is wrong with the message. Of several routes that count one that is enforced is enough.
//! Whether the request *could* go on does not depend on who asks: a stranger's path is looked at as
//! closely as a known caller's, or an ambiguous one would pass for want of a credential.

use std::sync::Arc;

use http::uri::PathAndQuery;
use smallvec::SmallVec;

use super::{Denial, Matched, Outcome, Permit, Question, matched, refused_class};
use crate::policy::Requirement;
use crate::policy::matcher::Lookup;
use crate::reason::Reason;
use crate::words::{MethodSet, PathClass, UpstreamId};

/// How a request goes on that is refused.
#[derive(Debug)]
pub(super) struct Way {
    /// Speaks for a request that has no route.
    stand_in: Option<Matched>,
    /// Why its path can be read two ways: it goes on as it was sent then.
    class: Option<PathClass>,
}

/// Enforces `denial`, or forwards the request that `matched` routes speak for.
pub(super) fn outcome(
    question: &Question<'_>,
    matched: Option<&Matched>,
    mut denial: Box<Denial>,
) -> Outcome {
    let forgives = denial.reason.is_shadowable() || denial.reason == Reason::PathAmbiguous;
    let way = forgives.then(|| way(question, matched)).flatten();
    let Some((way, found)) = way
        .as_ref()
        .and_then(|way| Some((way, way.routes(matched)?)))
    else {
        return Outcome::Denied(denial);
    };
    // Counted for a stranger too, whose refusal is another one.
    denial.class = denial.class.or(way.class);
    let raw: Option<&PathAndQuery> = way.class.map(|_| question.sent);
    Outcome::Shadowed(Permit::shadowed(question, found, raw), denial)
}

/// How the request would go on if it were refused; nothing where that would be enforced.
pub(super) fn way(question: &Question<'_>, matched: Option<&Matched>) -> Option<Way> {
    let stand_in = match matched {
        Some(matched) => {
            if !matched.all_in_shadow() {
                return None;
            }
            None
        }
        None => Some(stand_in(question)?),
    };
    let matched = matched.or(stand_in.as_ref())?;
    let allows_method = matched.iter().all(|route| route.method_in_query);
    if !allows_method && question.target.overrides_method() {
        return None;
    }
    let class = refused_class(question, matched);
    let shadow = &question.policy.shadow;
    // A class that is allowed is a second reading all the same, and that may be an enforced route's.
    let shows = !question.target.classes().is_empty();
    if shows && !shadow.takes_raw(matched.primary.upstream) {
        return None;
    }
    if (class.is_some() || stand_in.is_some()) && shadow.is_nearly_own(question.target.path()) {
        return None;
    }
    Some(Way { stand_in, class })
}

impl Way {
    fn routes<'a>(&'a self, matched: Option<&'a Matched>) -> Option<&'a Matched> {
        matched.or(self.stand_in.as_ref())
    }
}

/// What speaks for a request that no route names.
fn stand_in(question: &Question<'_>) -> Option<Matched> {
    let shadow = &question.policy.shadow;
    let upstream = match question.lookup {
        Lookup::Found(_) => None,
        Lookup::Nothing => shadow.default_upstream(),
        Lookup::OtherMethods(methods) => home(question, *methods),
    }?;
    let route = shadow.stand_in(upstream, question.target.path())?;
    Some(Matched {
        primary: Arc::clone(route),
        also: SmallVec::new(),
    })
}

/// Where a path lives that is answered by other methods: the upstream of their routes, if they have
/// one, else where all goes that no route names. Nowhere if one of them is enforced: not every
/// upstream looks at the method.
fn home(question: &Question<'_>, methods: MethodSet) -> Option<UpstreamId> {
    let policy = question.policy;
    let path = question.target.path();
    let mut home: Option<UpstreamId> = None;
    let mut is_one = true;
    for method in methods.iter() {
        let Ok(lookup) = policy.find(question.host, method, path) else {
            continue;
        };
        let Some(matched) = matched(policy, &lookup) else {
            continue;
        };
        for route in matched.iter() {
            if !route.shadow && route.requirement != Requirement::Public {
                return None;
            }
            is_one &= home.is_none_or(|home| home == route.upstream);
            home = Some(route.upstream);
        }
    }
    home.filter(|_| is_one)
        .or_else(|| policy.shadow.default_upstream())
}

#[cfg(test)]
mod tests;
