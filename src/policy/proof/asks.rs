//! Which of two routes asks for more, going by what they say alone: permissions are taken to be held
//! one without the other, since any role may give any of them.

use crate::policy::template::Template;
use crate::policy::{Policy, Requirement, Route, RouteBoundary, Source};
use crate::words::PermissionId;

/// What a route asks for, for people: `` `public` ``, `` `any_account` ``, or permissions.
pub fn asked(policy: &Policy, route: &Route) -> String {
    let listed = |ids: &[PermissionId], between: &str| {
        let names = ids.iter().map(|id| format!("`{}`", policy.permission(*id)));
        names.collect::<Vec<_>>().join(between)
    };
    let needs = match &route.requirement {
        Requirement::Public => "`public`".to_owned(),
        Requirement::AnyAccount => "`any_account`".to_owned(),
        Requirement::All(ids) => listed(ids, " and "),
        Requirement::Any(ids) => listed(ids, " or "),
    };
    if route.shadow {
        return format!("{needs}, in shadow");
    }
    needs
}

/// What a route binds, for people: `tenant`, `unlimited`, `forwarded`.
pub fn bound(policy: &Policy, route: &Route) -> String {
    match &route.boundary {
        RouteBoundary::Unlimited => "unlimited".to_owned(),
        RouteBoundary::Forwarded => "forwarded".to_owned(),
        RouteBoundary::Bound(sources) => {
            let text = |(dimension, source): &(_, Source)| {
                let from = match source {
                    Source::Path(number) => {
                        let name = route.template.params().get(*number);
                        format!("path.{}", name.map_or("?", String::as_str))
                    }
                    Source::Query { name, .. } => format!("query.{name}"),
                    Source::Header(name) => format!("header.{name}"),
                };
                format!("{} from {from}", policy.dimension(*dimension))
            };
            sources.iter().map(text).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Says whether whoever `a` lets through may pass `b` as well.
pub(crate) fn as_much(a: &Route, b: &Route) -> bool {
    (!a.shadow || b.shadow)
        && needs_as_much(&a.requirement, &b.requirement)
        && reaches_no_further(a, b)
}

/// Says whether a route asks for permissions, rather than for nothing or for any account.
pub(crate) fn is_listed(route: &Route) -> bool {
    matches!(route.requirement, Requirement::All(_) | Requirement::Any(_))
}

/// Says whether every built-in role that satisfies what `a` needs satisfies what `b` needs. Then
/// nobody can do the one without the other, unless a custom role is made for it.
pub(crate) fn as_much_by_roles(policy: &Policy, a: &Route, b: &Route) -> bool {
    if (a.shadow && !b.shadow) || !reaches_no_further(a, b) {
        return false;
    }
    let implied = |given: PermissionId, other: PermissionId| {
        let giving = policy
            .roles
            .values()
            .filter(|role| role.gives.contains(given));
        let mut giving = giving.peekable();
        // Where no role gives it, nothing is known of who might.
        giving.peek().is_some() && giving.all(|role| role.gives.contains(other))
    };
    match (&a.requirement, &b.requirement) {
        (Requirement::Public | Requirement::AnyAccount, _) => false,
        (_, Requirement::Public | Requirement::AnyAccount) => true,
        (Requirement::All(mine), Requirement::All(theirs)) => theirs
            .iter()
            .all(|other| mine.iter().any(|given| implied(*given, *other))),
        (Requirement::All(mine), Requirement::Any(theirs)) => theirs
            .iter()
            .any(|other| mine.iter().any(|given| implied(*given, *other))),
        (Requirement::Any(mine), Requirement::All(theirs)) => mine
            .iter()
            .all(|given| theirs.iter().all(|other| implied(*given, *other))),
        (Requirement::Any(mine), Requirement::Any(theirs)) => mine
            .iter()
            .all(|given| theirs.iter().any(|other| implied(*given, *other))),
    }
}

fn needs_as_much(a: &Requirement, b: &Requirement) -> bool {
    match (a, b) {
        (_, Requirement::Public) => true,
        (Requirement::Public, _) => false,
        (_, Requirement::AnyAccount) => true,
        (Requirement::AnyAccount, _) => false,
        (Requirement::All(mine), Requirement::All(theirs)) => {
            theirs.iter().all(|permission| mine.contains(permission))
        }
        (Requirement::All(mine), Requirement::Any(theirs)) => {
            theirs.iter().any(|permission| mine.contains(permission))
        }
        (Requirement::Any(mine), Requirement::All(theirs)) => mine
            .iter()
            .all(|permission| theirs.iter().all(|other| other == permission)),
        (Requirement::Any(mine), Requirement::Any(theirs)) => {
            mine.iter().all(|permission| theirs.contains(permission))
        }
    }
}

/// `unlimited` takes only grants that hold everywhere; `forwarded` takes any grant. Two that bind
/// are compared by what they bind and from where.
fn reaches_no_further(a: &Route, b: &Route) -> bool {
    if !is_listed(b) {
        return true;
    }
    match (&a.boundary, &b.boundary) {
        (RouteBoundary::Unlimited, _) | (_, RouteBoundary::Forwarded) => true,
        (RouteBoundary::Forwarded | RouteBoundary::Bound(_), RouteBoundary::Unlimited)
        | (RouteBoundary::Forwarded, RouteBoundary::Bound(_)) => false,
        (RouteBoundary::Bound(mine), RouteBoundary::Bound(theirs)) => {
            mine.len() == theirs.len()
                && mine.iter().zip(theirs).all(|(mine, theirs)| {
                    mine.0 == theirs.0 && same_source(&a.template, &mine.1, &b.template, &theirs.1)
                })
        }
    }
}

/// Path parameters are the same source if they are the same segment.
fn same_source(a: &Template, mine: &Source, b: &Template, theirs: &Source) -> bool {
    match (mine, theirs) {
        (Source::Path(mine), Source::Path(theirs)) => a.segment_of(*mine) == b.segment_of(*theirs),
        (Source::Path(_) | Source::Query { .. } | Source::Header(_), theirs) => mine == theirs,
    }
}
