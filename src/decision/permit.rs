//! Proof that the rules let a request through, and all that forwarding needs to know of them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::utf8_percent_encode;

use super::rights::Satisfied;
use super::{Matched, Question};
use crate::policy::cors::Cors;
use crate::policy::shadow::NOWHERE;
use crate::policy::{Requirement, Route, RouteBoundary, Source};
use crate::request::Target;
use crate::words::{Boundary, Caller, PermissionId, UNRESERVED, UpstreamId};

/// Proof that the rules let a request through.
///
/// Only [`super::decide`] makes one and forwarding uses one up, so there is no way to an upstream
/// around the rules. It carries the target it was made for: the path decided on is the path
/// forwarded.
#[must_use]
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is what its routes say of one thing, and every combination of them is meant"
)]
pub struct Permit {
    target: Target,
    /// The path as it was sent, where only shadow lets it through.
    raw: Option<Box<PathAndQuery>>,
    route: Arc<Route>,
    identity: Option<Identity>,
    timeout: Option<Duration>,
    pass_authorization: bool,
    upgrades: bool,
    preflight: bool,
    body_bytes: Option<u64>,
    /// Where several routes count; else the route says it.
    trailers: Option<Box<[HeaderName]>>,
    bound_headers: Option<Box<HeaderMap>>,
    cors: Option<Arc<Cors>>,
    /// Those of its routes that have a rate; most have none.
    rated: Option<Box<[Arc<Route>]>>,
    in_shadow: bool,
}

/// What the upstream is told about the caller.
#[derive(Debug)]
pub struct Identity {
    /// Who calls.
    pub caller: Caller,
    /// The permissions the route needed, separated by spaces; empty for `any_account`.
    pub permissions: Option<HeaderValue>,
    /// The caller's boundaries, for a route that forwards them.
    pub boundary: Option<HeaderValue>,
}

impl Permit {
    /// Without an identity, since nobody was asked; in shadow a credential of the API behind stays
    /// what it was without us.
    pub(super) fn public(question: &Question<'_>, matched: &Matched) -> Self {
        let permit = Self::new(question, matched, None);
        Self {
            pass_authorization: permit.pass_authorization || matched.all_in_shadow(),
            ..permit
        }
    }

    /// Of a preflight: without an identity, a credential or a body.
    pub(super) fn preflight(question: &Question<'_>, matched: &Matched) -> Self {
        Self {
            pass_authorization: false,
            upgrades: false,
            preflight: true,
            body_bytes: Some(0),
            trailers: Some(Box::default()),
            ..Self::new(question, matched, None)
        }
    }

    /// Without an identity, since none was granted; foreign credentials go through, and so does a path
    /// that can be read two ways, as it was sent.
    pub(super) fn shadowed(
        question: &Question<'_>,
        matched: &Matched,
        raw: Option<&PathAndQuery>,
    ) -> Self {
        Self {
            pass_authorization: true,
            raw: raw.cloned().map(Box::new),
            ..Self::new(question, matched, None)
        }
    }

    pub(super) fn granted(
        question: &Question<'_>,
        matched: &Matched,
        caller: Caller,
        satisfied: Satisfied,
    ) -> Self {
        let permissions = permissions(question, satisfied);
        let forwards = |route: &&Arc<Route>| route.boundary == RouteBoundary::Forwarded;
        let boundary = matched.iter().any(|route| forwards(&route)).then(|| {
            let text = boundaries(matched.iter().filter(forwards), &caller);
            HeaderValue::from_str(&text).expect("made of names and percent-encoded values")
        });
        Self::new(
            question,
            matched,
            Some(Identity {
                caller,
                permissions,
                boundary,
            }),
        )
    }

    fn new(question: &Question<'_>, matched: &Matched, identity: Option<Identity>) -> Self {
        Self {
            target: question.target.clone(),
            raw: None,
            route: Arc::clone(&matched.primary),
            identity,
            // Where several routes must be satisfied, limits are the strictest.
            timeout: matched.iter().filter_map(|route| route.timeout).min(),
            pass_authorization: matched.iter().all(|route| route.pass_authorization),
            upgrades: matched.iter().all(|route| route.upgrade),
            preflight: false,
            body_bytes: matched.iter().filter_map(|route| route.body_bytes).min(),
            bound_headers: bound_headers(question.headers, matched),
            cors: matched.cors().cloned(),
            trailers: (!matched.also.is_empty()).then(|| common_trailers(matched)),
            rated: rated(matched),
            in_shadow: matched.all_in_shadow(),
        }
    }

    /// The target that was decided on.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Path and query that are forwarded: those that were decided on, or in shadow those that were
    /// sent.
    pub fn path_and_query(&self) -> &PathAndQuery {
        self.raw
            .as_deref()
            .unwrap_or_else(|| self.target.path_and_query())
    }

    /// Whether the path is forwarded as it was sent, though it can be read two ways.
    pub fn is_raw(&self) -> bool {
        self.raw.is_some()
    }

    /// The primary route, whose name stands in logs; nothing in shadow for a request without one.
    pub fn route(&self) -> Option<&Arc<Route>> {
        (self.route.id != NOWHERE).then_some(&self.route)
    }

    /// What it was decided by: the primary route, or what stands in for one that is missing.
    pub(crate) fn decided_by(&self) -> &Route {
        &self.route
    }

    /// Where it goes.
    pub fn upstream(&self) -> UpstreamId {
        self.route.upstream
    }

    /// What the upstream is told about the caller; nothing on public routes and in shadow.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Longest wait for the head of the response, if a route sets one.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether an `Authorization` that is not of our form is passed on.
    pub fn passes_authorization(&self) -> bool {
        self.pass_authorization
    }

    /// Whether it is for a preflight, which brings no credential and rests on none.
    pub fn is_preflight(&self) -> bool {
        self.preflight
    }

    /// Whether the client may ask for a WebSocket: where every route allows it.
    pub fn upgrades(&self) -> bool {
        self.upgrades
    }

    /// The request trailers that are passed on: those that every route names.
    pub fn trailers(&self) -> &[HeaderName] {
        self.trailers.as_deref().unwrap_or(&self.route.trailers)
    }

    /// Largest request body, in bytes, if a route sets a bound; the listener may have a smaller one.
    pub fn body_bytes(&self) -> Option<u64> {
        self.body_bytes
    }

    /// The headers that said a place to a boundary, if any did.
    pub fn bound_headers(&self) -> Option<&HeaderMap> {
        self.bound_headers.as_deref()
    }

    /// What becomes of preflights, if all routes say the same: whether a page may read the answer.
    pub fn cors(&self) -> Option<&Arc<Cors>> {
        self.cors.as_ref()
    }

    /// Those of its routes that may not be called as often as anybody likes.
    pub fn rated(&self) -> impl Iterator<Item = &Route> {
        self.rated.iter().flatten().map(|route| &**route)
    }

    /// Whether any of its routes is one of those.
    pub fn is_rated(&self) -> bool {
        self.rated.is_some()
    }

    /// Whether nothing that the policy decides is enforced where it goes.
    pub fn is_in_shadow(&self) -> bool {
        self.in_shadow
    }

    /// The header names that are passed on although they hold more than letters, digits and `-`.
    pub fn header_names(&self) -> &[HeaderName] {
        // All routes that count lead to one upstream, whose setting it is.
        &self.route.header_names
    }
}

fn bound_headers(headers: &HeaderMap, matched: &Matched) -> Option<Box<HeaderMap>> {
    let mut bound: Option<Box<HeaderMap>> = None;
    for route in matched.iter() {
        let RouteBoundary::Bound(sources) = &route.boundary else {
            continue;
        };
        for (_, source) in sources {
            if let Source::Header(name) = source
                && let Some(value) = headers.get(name)
            {
                bound
                    .get_or_insert_default()
                    .insert(name.clone(), value.clone());
            }
        }
    }
    bound
}

fn rated(matched: &Matched) -> Option<Box<[Arc<Route>]>> {
    if !matched.iter().any(|route| route.is_rated()) {
        return None;
    }
    let rated = matched.iter().filter(|route| route.is_rated());
    Some(rated.cloned().collect())
}

fn common_trailers(matched: &Matched) -> Box<[HeaderName]> {
    let named_by_all = |name: &&HeaderName| {
        matched
            .also
            .iter()
            .all(|route| route.trailers.contains(name))
    };
    let names = matched.primary.trailers.iter().filter(named_by_all);
    names.cloned().collect()
}

/// The permissions that satisfied the routes, for the upstream; nothing where none was needed.
fn permissions(question: &Question<'_>, mut satisfied: Satisfied) -> Option<HeaderValue> {
    satisfied.sort_unstable();
    satisfied.dedup();
    let mut text = String::with_capacity(64);
    for id in satisfied {
        let space = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{space}{}", question.policy.permission(id));
    }
    (!text.is_empty()).then(|| {
        HeaderValue::from_str(&text).expect("the names' invariant allows visible ASCII only")
    })
}

/// Longest `X-Portcullis-Boundary`, in bytes: it must fit beside everything else in a header
/// section of 16 KiB, which is what common upstreams read.
const BOUNDARY_BYTES_MAX: usize = 8 * 1024;

/// One entry per grant, never merged: `tenant=acme|globex;site=7, *`. Only grants that give all of
/// what each forwarding route needs count, so a caller that holds two needed permissions by two
/// grants is sent on with an empty list, which allows nothing. Entries only ever add rights, so those that do not fit are
/// left out rather than cut.
fn boundaries<'a>(routes: impl Iterator<Item = &'a Arc<Route>>, caller: &Caller) -> String {
    let routes: Vec<_> = routes.collect();
    let usable = |id: &PermissionId| caller.subset.as_ref().is_none_or(|set| set.contains(*id));
    let mut text = String::new();
    for holding in &caller.account.holdings {
        let gives = |id: &PermissionId| usable(id) && holding.permissions.contains(*id);
        let counts = routes.iter().all(|route| match &route.requirement {
            Requirement::Public | Requirement::AnyAccount => true,
            Requirement::All(needed) => needed.iter().all(gives),
            Requirement::Any(needed) => needed.iter().any(gives),
        });
        if !counts {
            continue;
        }
        let entry = entry(&holding.within);
        if entry == "*" {
            return entry;
        }
        if text.len() + entry.len() + 2 <= BOUNDARY_BYTES_MAX {
            let _ = write!(text, "{}{entry}", if text.is_empty() { "" } else { ", " });
        }
    }
    text
}

fn entry(within: &Boundary) -> String {
    if within.is_everywhere() {
        return "*".to_owned();
    }
    let dimension = |(name, values): (_, &std::collections::BTreeSet<String>)| {
        let values: Vec<_> = values
            .iter()
            .map(|value| utf8_percent_encode(value, UNRESERVED).to_string())
            .collect();
        format!("{name}={}", values.join("|"))
    };
    within.iter().map(dimension).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests;
