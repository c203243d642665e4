//! What is not enforced, and what is enforced beside it.

use super::{Finding, Findings, several};
use crate::policy::Policy;
use crate::policy::shadow::NotEnforced;
use crate::words::Rule;

pub(super) fn prove(policy: &Policy, findings: &mut Findings) {
    let not_enforced = NotEnforced::of(policy);
    let mut in_shadow = policy.routes.iter().filter(|route| route.shadow);
    if let Some(first) = in_shadow.next() {
        let to = not_enforced
            .default_upstream
            .map_or_else(String::new, |name| {
                format!(", and what no route names goes to `{name}`")
            });
        let message = format!(
            "{} of {} in shadow, this one first: what is refused there is forwarded all the same{to}; `shadow: false` enforces a route, or all of a file",
            not_enforced.routes,
            several(policy.routes.len(), "route"),
        );
        findings.push(Finding::new(Rule::NotEnforced, &first.place, message));
    }
    for upstream in policy.shadow.upstreams() {
        let beside = policy.shadow.enforced_beside(upstream);
        let Some(first) = beside.first().map(|id| policy.route(*id)) else {
            continue;
        };
        let message = format!(
            "`{}` and {} more are enforced where `{}` may be, which is in shadow as a whole: paths that can be read two ways are refused there",
            first.name,
            beside.len() - 1,
            policy.upstream(upstream),
        );
        let routes = beside.iter().map(|id| &**policy.route(*id));
        let finding = Finding::new(Rule::EnforcedBesideShadow, &first.place, message);
        findings.push(finding.about(policy, routes));
    }
}
