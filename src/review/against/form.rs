//! What a route says, in one spelling that two policies share: routes of equal form are answered alike,
//! so that only what differs is asked about.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::{Policy, Requirement, Route, RouteBoundary, Source};
use crate::words::{Account, Holding, PermissionId, RouteId};

/// The form of every route of a policy.
pub(super) struct Forms(HashMap<RouteId, Arc<str>>);

impl Forms {
    pub(super) fn of(policy: &Policy) -> Self {
        let routes = policy.routes.iter();
        Self(
            routes
                .map(|route| (route.id, form(policy, route).into()))
                .collect(),
        )
    }

    /// Those of the routes that count for one call, in their order: the first is the primary.
    pub(super) fn of_all(&self, routes: &[&Arc<Route>]) -> Vec<&str> {
        let forms = routes.iter().filter_map(|route| self.0.get(&route.id));
        forms.map(|form| &**form).collect()
    }
}

/// Everything a decision reads of a route, and everything it is forwarded with. Written so that a field
/// that is added to the route and forgotten here does not compile.
fn form(policy: &Policy, route: &Route) -> String {
    let Route {
        id: _,
        name: _,
        methods: _,
        template,
        loose,
        hosts: _,
        requirement,
        boundary,
        upstream,
        timeout: _, // how long the gateway waits changes nobody's rights
        shadow,
        unsafe_allow,
        pass_authorization,
        upgrade,
        trailers,
        body_bytes,
        rate: _, // nor how often, as long as it is allowed
        rate_per_account: _,
        header_names,
        method_in_query,
        cors,
        place: _,
    } = route;
    let names = |ids: &[PermissionId]| {
        let mut names: Vec<_> = ids
            .iter()
            .map(|id| policy.permission(*id).as_str())
            .collect();
        names.sort_unstable();
        names.join(",")
    };
    let needs = match requirement {
        Requirement::Public => "public".to_owned(),
        Requirement::AnyAccount => "any_account".to_owned(),
        Requirement::All(ids) => format!("all {}", names(ids)),
        Requirement::Any(ids) => format!("any {}", names(ids)),
    };
    let within = match boundary {
        RouteBoundary::Unlimited => "unlimited".to_owned(),
        RouteBoundary::Forwarded => "forwarded".to_owned(),
        RouteBoundary::Bound(sources) => {
            let source = |(dimension, source): &(_, Source)| {
                format!("{} {source:?}", policy.dimension(*dimension))
            };
            let mut sources: Vec<_> = sources.iter().map(source).collect();
            sources.sort();
            sources.join(",")
        }
    };
    let (shape, loose) = (
        template.shape(),
        loose.as_ref().map(|it| it.shape().to_owned()),
    );
    let upstream = policy.upstream(*upstream);
    format!(
        "{shape} {loose:?} {needs} {within} {upstream} {shadow} {unsafe_allow:?} {pass_authorization} {upgrade} {trailers:?} {body_bytes:?} {header_names:?} {method_in_query} {cors:?}"
    )
}

/// What an account holds, in the same sense.
pub(super) fn holdings(policy: &Policy, account: Option<&Account>) -> Option<Vec<String>> {
    let form = |holding: &Holding| {
        let names = holding
            .permissions
            .iter()
            .map(|id| policy.permission(id).as_str());
        format!(
            "{} within {}",
            names.collect::<Vec<_>>().join(","),
            holding.within
        )
    };
    let account = account?;
    let mut forms: Vec<_> = account.holdings.iter().map(form).collect();
    forms.push(format!("enabled {}", account.enabled));
    forms.sort();
    Some(forms)
}
