//! What everybody may do where, worked out without boundaries, extents and demands.

use std::collections::BTreeMap;

use crate::directory::State;
use crate::words::{Account, Boundary, Caller, PermissionId, PermissionSet};

/// Somebody at one of the places there are: each tenant and site that is named anywhere, and one of each
/// that is not.
const PLACES: [(&str, &str); 6] = [
    ("a", "x"),
    ("a", "elsewhere"),
    ("b", "x"),
    ("b", "elsewhere"),
    ("other", "x"),
    ("other", "elsewhere"),
];

/// What may be done at each place: a bit for each permission by its number. There are fewer than 64.
pub(super) type Rights = [u64; PLACES.len()];

fn covers(within: &Boundary, place: usize) -> bool {
    let (tenant, site) = PLACES[place];
    within.iter().all(|(dimension, values)| {
        let value = if dimension.as_str() == "tenant" {
            tenant
        } else {
            site
        };
        values.iter().any(|one| one == value)
    })
}

/// What an account may do with a key of this subset, at each place. Who is shut off may do nothing.
pub(super) fn held(account: &Account, subset: Option<&PermissionSet>) -> Rights {
    let mut rights = Rights::default();
    for holding in account.holdings.iter().filter(|_| account.enabled) {
        let usable = bits(&holding.permissions, [subset, None]);
        for (place, rights) in rights.iter_mut().enumerate() {
            *rights |= if covers(&holding.within, place) {
                usable
            } else {
                0
            };
        }
    }
    rights
}

/// Permissions, as far as every limit lets them be used.
fn bits(permissions: &PermissionSet, limits: [Option<&PermissionSet>; 2]) -> u64 {
    let mut usable = permissions.iter().filter(|id| {
        let mut limits = limits.iter().flatten();
        limits.all(|limit| limit.contains(*id))
    });
    usable
        .try_fold(0, |bits, id| Some(bits | 1_u64.checked_shl(id.0.into())?))
        .unwrap()
}

/// What somebody could give: all that a grant of his has there, as far as his credential may use it,
/// and anything if that includes giving anything.
pub(super) fn givable(state: &State, caller: &Caller, any: PermissionId) -> Rights {
    let key = caller.key.and_then(|id| state.directory.key(&id));
    let limits = [
        caller.subset.as_ref(),
        key.and_then(|key| key.subset.as_ref()),
    ];
    let mut rights = Rights::default();
    for holding in &*caller.account.holdings {
        let usable = bits(&holding.permissions, limits);
        let usable = if usable & (1 << any.0) == 0 {
            usable
        } else {
            u64::MAX
        };
        for (place, rights) in rights.iter_mut().enumerate() {
            *rights |= if covers(&holding.within, place) {
                usable
            } else {
                0
            };
        }
    }
    rights
}

/// Somebody who got what he could not have been given: who, what, where.
pub(super) fn escalated(
    state: &State,
    (before, after): (&BTreeMap<String, Rights>, &BTreeMap<String, Rights>),
    givable: &Rights,
) -> Option<String> {
    for (who, rights) in after {
        let had = before.get(who).copied().unwrap_or_default();
        for place in 0..PLACES.len() {
            let wrong = rights[place] & !had[place] & !givable[place];
            if wrong != 0 {
                let id = PermissionId(u16::try_from(wrong.trailing_zeros()).unwrap());
                let name = state.policy.permission(id);
                return Some(format!("{who} got {name} at {:?}", PLACES[place]));
            }
        }
    }
    None
}
