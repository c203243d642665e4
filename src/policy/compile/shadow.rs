//! What is in shadow as a whole, and what is enforced beside it.

use std::sync::Arc;

use super::Context;
use super::names::Names;
use crate::policy::shadow::{Enforced, NOWHERE, Shadow, Whole};
use crate::policy::template::Template;
use crate::policy::{Requirement, Route, RouteBoundary};
use crate::settings::{UpstreamAddress, UpstreamRules};
use crate::words::{Method, Place, UpstreamId};

/// The upstreams of the settings that are in shadow as a whole.
pub(super) fn compile(routes: &[Route], names: &Names, context: &Context) -> Shadow {
    let upstreams: Vec<(UpstreamId, UpstreamRules)> = (0..=u16::MAX)
        .map(UpstreamId)
        .zip(names.upstreams.iter().map(|name| names.rules(name)))
        .collect();
    let whole = upstreams.iter().filter(|(_, rules)| rules.shadow);
    let default = whole.clone().find(|(_, rules)| rules.is_default);
    let whole = whole.filter_map(|(upstream, rules)| {
        let shared = |other: UpstreamId| {
            let found = upstreams.iter().find(|(id, _)| *id == other);
            found.is_some_and(|(id, other)| {
                id == upstream || may_meet(&rules.addresses, &other.addresses)
            })
        };
        let enforced = routes
            .iter()
            .filter(|route| is_enforced(route) && shared(route.upstream));
        Some(Whole {
            upstream: *upstream,
            stand_in: Arc::new(stand_in(*upstream, rules)?),
            enforced: Enforced::new(enforced),
        })
    });
    let own = context.own_endpoints.iter().map(|(_, path)| path.clone());
    let mut own: Vec<_> = own.collect();
    own.dedup();
    let default = default.map(|(upstream, _)| *upstream);
    Shadow::new(whole.collect(), default, own)
}

/// Says whether a route can refuse anything.
fn is_enforced(route: &Route) -> bool {
    !route.shadow && route.requirement != Requirement::Public
}

fn may_meet(here: &[UpstreamAddress], there: &[UpstreamAddress]) -> bool {
    here.iter()
        .any(|address| there.iter().any(|other| address.may_be(other)))
}

/// What speaks for a request without a route: the rules of its upstream, and nothing of a route's own.
/// It stands in no table, so it answers nobody; a WebSocket is what it was without us.
fn stand_in(upstream: UpstreamId, rules: &UpstreamRules) -> Option<Route> {
    Some(Route {
        id: NOWHERE,
        name: String::new(),
        methods: Method::ALL.iter().copied().collect(),
        template: Template::parse("/{path...}").ok()?,
        loose: None,
        hosts: Vec::new(),
        requirement: Requirement::AnyAccount,
        boundary: RouteBoundary::Unlimited,
        upstream,
        timeout: None,
        shadow: true,
        unsafe_allow: rules.unsafe_allow,
        pass_authorization: true,
        upgrade: true,
        trailers: Vec::new(),
        body_bytes: None,
        rate: None,
        rate_per_account: None,
        header_names: Arc::clone(&rules.header_names),
        method_in_query: rules.method_in_query,
        cors: None,
        place: Place::whole("portcullis.yaml"),
    })
}
