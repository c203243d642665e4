//! Whose worth a change may alter: those accounts are worked out again, and nobody else.

use std::collections::BTreeSet;

use super::State;
use super::resolve::id_of;
use crate::policy::Policy;
use crate::store::{Records, Touched};
use crate::words::{AccountId, RoleName};

/// The accounts that a change reaches which touched `touched` and made `records`; `None` where everybody
/// has to be worked out again.
pub(crate) fn reached(
    touched: &Touched,
    state: &State,
    records: &Records,
) -> Option<BTreeSet<AccountId>> {
    let (policy, directory) = (&state.policy, &state.directory);
    // What stands twice is worth something by what the other of the two says, and is told of as a conflict.
    let twofold = touched.roles.iter().any(|it| policy.roles.contains_key(it))
        || touched
            .groups
            .iter()
            .any(|it| policy.groups.contains_key(it));
    if touched.everybody || twofold {
        return None;
    }
    let mut reached = touched.accounts.clone();
    let keys = touched.file_keys.iter();
    let keys = keys.filter_map(|id| directory.key(id));
    reached.extend(keys.map(|key| key.account.id.clone()));
    if !touched.roles.is_empty() {
        let roles = including(records, &touched.roles);
        add_holders(&mut reached, (policy, records), &roles, |name| {
            Some(directory.account_named(name)?.id.clone())
        });
    }
    Some(reached)
}

/// `roles`, and those that include one of them, by however many steps.
fn including(records: &Records, roles: &BTreeSet<RoleName>) -> BTreeSet<RoleName> {
    let mut all = roles.clone();
    loop {
        let outer = records.roles.values().filter(|role| {
            let mut include = role.include.iter();
            !all.contains(&role.name) && include.any(|name| all.contains(name))
        });
        let outer: Vec<_> = outer.map(|role| role.name.clone()).collect();
        if outer.is_empty() {
            return all;
        }
        all.extend(outer);
    }
}

/// Adds whoever holds one of `roles`, himself or by a group; `id` knows accounts by name.
fn add_holders(
    holders: &mut BTreeSet<AccountId>,
    (policy, records): (&Policy, &Records),
    roles: &BTreeSet<RoleName>,
    id: impl Fn(&str) -> Option<AccountId>,
) {
    for (id, account) in &records.accounts {
        if account.grants.iter().any(|it| roles.contains(&it.role)) {
            holders.insert(id.clone());
        }
    }
    for group in records.groups.values() {
        if group.grants.iter().any(|it| roles.contains(&it.role)) {
            holders.extend(group.members.iter().cloned());
        }
    }
    for (name, entry) in &policy.accounts {
        if entry.grants.iter().any(|it| roles.contains(&it.role)) {
            holders.extend(id_of(records, name, entry).cloned());
        }
    }
    for group in policy.groups.values() {
        if group.grants.iter().any(|it| roles.contains(&it.role)) {
            let members = group.members.iter();
            holders.extend(members.filter_map(|name| id(name.as_str())));
        }
    }
}
