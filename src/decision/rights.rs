//! Whether what a caller holds gives what a route needs, where it needs it.
//!
//! Rights of different grants never mix: each needed permission at each place needs *one* grant
//! that gives it and holds there. Two grants that each do half of it do nothing.

use smallvec::SmallVec;

use super::place::{Bound, Place, combinations};
use crate::policy::{Requirement, RouteBoundary};
use crate::words::{Caller, Holding, PermissionId};

/// What is missing for one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// No grant gives these permissions anywhere; all of them, or (for `any`) one of them.
    Permissions(Vec<PermissionId>),
    /// Grants give the permission, and none holds at this place. Empty where the route is
    /// unlimited and only grants without a boundary count.
    Place(Vec<(crate::words::DimensionId, Option<String>)>),
}

/// Permissions that were needed and are held where they were needed.
pub type Satisfied = SmallVec<[PermissionId; 4]>;

/// Checks one route's requirement. Returns the permissions that satisfy it *at this place*: all that
/// were needed, or of an `any` those that hold here.
///
/// # Errors
///
/// [`Shortfall`]: missing permissions before missing places, so that the first thing a caller is
/// told is the first thing to ask for.
pub fn check(
    caller: &Caller,
    requirement: &Requirement,
    boundary: &RouteBoundary,
    bounds: &[Bound],
) -> Result<Satisfied, Shortfall> {
    let here = |permission: &PermissionId| at(caller, *permission, boundary, bounds);
    match requirement {
        Requirement::Public | Requirement::AnyAccount => Ok(Satisfied::new()),
        Requirement::All(needed) => {
            let missing: Vec<_> = needed
                .iter()
                .copied()
                .filter(|permission| !held(caller, *permission))
                .collect();
            if !missing.is_empty() {
                return Err(Shortfall::Permissions(missing));
            }
            needed.iter().try_for_each(here)?;
            Ok(Satisfied::from_slice(needed))
        }
        Requirement::Any(needed) => {
            let mut failed = None;
            let mut satisfied = Satisfied::new();
            for permission in needed
                .iter()
                .filter(|permission| held(caller, **permission))
            {
                match here(permission) {
                    Ok(()) => satisfied.push(*permission),
                    Err(shortfall) => failed = failed.or(Some(shortfall)),
                }
            }
            match failed {
                _ if !satisfied.is_empty() => Ok(satisfied),
                Some(shortfall) => Err(shortfall),
                None => Err(Shortfall::Permissions(needed.clone())),
            }
        }
    }
}

/// Whether the credential may use the permission and any grant gives it, wherever.
fn held(caller: &Caller, permission: PermissionId) -> bool {
    usable(caller, permission)
        && caller
            .account
            .holdings
            .iter()
            .any(|holding| holding.permissions.contains(permission))
}

fn usable(caller: &Caller, permission: PermissionId) -> bool {
    caller
        .subset
        .as_ref()
        .is_none_or(|subset| subset.contains(permission))
}

fn at(
    caller: &Caller,
    permission: PermissionId,
    boundary: &RouteBoundary,
    bounds: &[Bound],
) -> Result<(), Shortfall> {
    let mut giving = SmallVec::<[&Holding; 8]>::new();
    if usable(caller, permission) {
        let gives = |holding: &&Holding| holding.permissions.contains(permission);
        giving.extend(caller.account.holdings.iter().filter(gives));
    }
    if giving.iter().any(|holding| holding.limits.is_empty()) {
        return Ok(());
    }
    match boundary {
        RouteBoundary::Forwarded if !giving.is_empty() => Ok(()),
        RouteBoundary::Forwarded | RouteBoundary::Unlimited => Err(Shortfall::Place(Vec::new())),
        RouteBoundary::Bound(_) => {
            let places = combinations(bounds);
            let open = |place: &&Place<'_>| !giving.iter().any(|holding| holds_at(holding, place));
            match places.iter().find(open) {
                None => Ok(()),
                Some(place) => Err(Shortfall::Place(
                    place
                        .iter()
                        .map(|(d, value)| (*d, value.map(str::to_owned)))
                        .collect(),
                )),
            }
        }
    }
}

/// A grant holds where every dimension it limits is bound and the value is one it lists.
pub fn holds_at(holding: &Holding, place: &Place<'_>) -> bool {
    holding.limits.iter().all(|limit| {
        place
            .iter()
            .find(|(dimension, _)| *dimension == limit.dimension)
            .and_then(|(_, value)| *value)
            .is_some_and(|value| limit.admits(value))
    })
}

#[cfg(test)]
mod tests;
