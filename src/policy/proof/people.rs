//! Permissions, roles and accounts: what nobody holds, what nobody uses, what nobody needs, and routes
//! that nobody can call.
//!
//! Where a store may hold accounts and roles beside those of the files, what the files lack may be
//! there; then it is a note, and whether anybody can call a route is not asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Finding, Findings, several};
use crate::policy::compile::Context;
use crate::policy::{FileGrant, Policy, Requirement, Route, RouteBoundary, Source};
use crate::words::{DimensionId, Permission, PermissionId, PermissionSet, Place, RoleName, Rule};

pub(super) fn prove(
    policy: &Policy,
    context: &Context,
    places: &BTreeMap<&Permission, &Place>,
    findings: &mut Findings,
) {
    let weighed = |finding: Finding| {
        if context.files_only {
            finding
        } else {
            finding.note()
        }
    };
    permissions(policy, places, &weighed, findings);
    roles(policy, context, &weighed, findings);
    parameters(policy, findings);
    if context.files_only && !policy.accounts.is_empty() {
        callers(policy, findings);
    }
}

fn permissions(
    policy: &Policy,
    places: &BTreeMap<&Permission, &Place>,
    weighed: &impl Fn(Finding) -> Finding,
    findings: &mut Findings,
) {
    let mut needing: HashMap<PermissionId, Vec<&Route>> = HashMap::new();
    for route in &policy.routes {
        if let Requirement::All(ids) | Requirement::Any(ids) = &route.requirement {
            ids.iter()
                .for_each(|id| needing.entry(*id).or_default().push(route));
        }
    }
    for (name, _) in &policy.permissions {
        let (Some(id), Some(place)) = (policy.permission_id(name.as_str()), places.get(name))
        else {
            continue;
        };
        let Some(routes) = needing.get(&id) else {
            let message = format!("no route needs `{name}`: remove it, or say where it is needed");
            findings.push(Finding::new(Rule::PermissionUnneeded, place, message));
            continue;
        };
        if policy.roles.values().any(|role| role.gives.contains(id)) {
            continue;
        }
        let need = if routes.len() == 1 { "needs" } else { "need" };
        let message = format!(
            "no role gives `{name}`, which {} {need}: add it to a role",
            several(routes.len(), "route")
        );
        let finding = Finding::new(Rule::PermissionUnheld, place, message);
        findings.push(weighed(finding.about(policy, routes.iter().copied())));
    }
}

/// A role is used by a grant, or by a role that is used.
fn roles(
    policy: &Policy,
    context: &Context,
    weighed: &impl Fn(Finding) -> Finding,
    findings: &mut Findings,
) {
    if !context.files_only && policy.accounts.is_empty() && policy.groups.is_empty() {
        return; // all grants are in the store: nothing is known of any role
    }
    let grants = grants(policy);
    let mut open: Vec<&RoleName> = grants.map(|grant| &grant.role).collect();
    let mut used: BTreeSet<&RoleName> = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let (true, Some(role)) = (used.insert(name), policy.roles.get(name)) {
            open.extend(&role.include);
        }
    }
    for (name, role) in policy.roles.iter().filter(|(name, _)| !used.contains(name)) {
        let message = format!("no account and no group of the files has the role `{name}`");
        findings.push(weighed(Finding::new(
            Rule::RoleUnused,
            &role.place,
            message,
        )));
    }
}

fn grants(policy: &Policy) -> impl Iterator<Item = &FileGrant> {
    let of_accounts = policy.accounts.values().flat_map(|account| &account.grants);
    of_accounts.chain(policy.groups.values().flat_map(|group| &group.grants))
}

/// Routes with a parameter that says a dimension elsewhere, or has the name of one, and binds nothing.
fn parameters(policy: &Policy, findings: &mut Findings) {
    let mut says: BTreeMap<&str, BTreeSet<DimensionId>> = BTreeMap::new();
    for (name, _) in &policy.dimensions {
        if let Some(id) = policy.dimension_id(name.as_str()) {
            says.entry(name.as_str()).or_default().insert(id);
        }
    }
    for route in &policy.routes {
        if let RouteBoundary::Bound(sources) = &route.boundary {
            for (dimension, source) in sources {
                if let Source::Path(number) = source
                    && let Some(name) = route.template.params().get(*number)
                {
                    says.entry(name).or_default().insert(*dimension);
                }
            }
        }
    }
    for route in &policy.routes {
        // What is for everybody has no boundary, and who forwards it leaves it to the upstream.
        if !super::asks::is_listed(route) || route.boundary != RouteBoundary::Unlimited {
            continue;
        }
        let name = route
            .template
            .params()
            .iter()
            .find(|name| says.contains_key(name.as_str()));
        if let Some(name) = name {
            let message = format!(
                "`{}` does not bind `{{{name}}}`, so only grants without a boundary count: say `within` if it is the place, or `unlimited` where it is not",
                route.name
            );
            findings.push(Finding::new(Rule::ParameterUnbound, &route.place, message));
        }
    }
}

/// What one account of the files holds: permissions, and the dimensions each grant is limited to.
type Held<'p> = Vec<(&'p PermissionSet, BTreeSet<DimensionId>)>;

/// What a route asks for, as far as it matters here: permissions, whether all of them, and the
/// dimensions it binds.
type Asked = (Vec<PermissionId>, bool, Option<Vec<DimensionId>>);

/// Routes that no account of the files can satisfy, whatever it asks for.
fn callers(policy: &Policy, findings: &mut Findings) {
    let held: Vec<Held<'_>> = policy
        .accounts
        .iter()
        .map(|(name, account)| {
            let groups = policy.groups.values();
            let groups = groups.filter(|group| group.members.contains(name));
            let grants = account
                .grants
                .iter()
                .chain(groups.flat_map(|group| &group.grants));
            grants.filter_map(|grant| held(policy, grant)).collect()
        })
        .collect();
    let mut known: HashMap<Asked, bool> = HashMap::new();
    for route in &policy.routes {
        let (ids, all) = match &route.requirement {
            Requirement::Public | Requirement::AnyAccount => continue,
            Requirement::All(ids) => (ids, true),
            Requirement::Any(ids) => (ids, false),
        };
        let binds = match &route.boundary {
            RouteBoundary::Forwarded => None,
            RouteBoundary::Unlimited => Some(Vec::new()),
            RouteBoundary::Bound(sources) => Some(sources.iter().map(|it| it.0).collect()),
        };
        let able = known
            .entry((ids.clone(), all, binds.clone()))
            .or_insert_with(|| {
                held.iter().any(|held| {
                    let gives = |id: &PermissionId| gives(held, *id, binds.as_deref());
                    if all {
                        ids.iter().all(gives)
                    } else {
                        ids.iter().any(gives)
                    }
                })
            });
        if !*able {
            let message = format!(
                "no account can call `{}`: none holds {} where it is needed",
                route.name,
                super::asks::asked(policy, route)
            );
            findings.push(Finding::new(Rule::RouteUncallable, &route.place, message));
        }
    }
}

fn held<'p>(
    policy: &'p Policy,
    grant: &FileGrant,
) -> Option<(&'p PermissionSet, BTreeSet<DimensionId>)> {
    let role = policy.roles.get(&grant.role)?;
    let limits = grant.within.iter();
    let limits = limits.filter_map(|(name, _)| policy.dimension_id(name.as_str()));
    Some((&role.gives, limits.collect()))
}

/// Says whether some grant gives the permission at some place of a route that binds these dimensions;
/// `None` takes any grant.
fn gives(held: &Held<'_>, id: PermissionId, binds: Option<&[DimensionId]>) -> bool {
    held.iter().any(|(permissions, limits)| {
        permissions.contains(id)
            && binds.is_none_or(|binds| limits.iter().all(|limit| binds.contains(limit)))
    })
}
