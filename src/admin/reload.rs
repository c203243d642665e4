//! What a policy changes in the store when it is put in force.

use std::collections::BTreeSet;

use super::service::Role;
use crate::policy::{Policy, own};
use crate::store::{Adoption, GrantRecord, Holder, Records};
use crate::words::{AccountId, RoleName, UnixTime};

/// Works out what must be written before `policy` is in force.
///
/// An account that vanished from the files is gone as if it were deleted: its id is dead, its keys
/// are gone, and one of the same name that comes later is another. An offline command closes and
/// buries nothing: it may read a folder that is just being edited.
pub(super) fn plan(policy: &Policy, records: &Records, role: Role, now: UnixTime) -> Adoption {
    let mut plan = Adoption {
        now,
        ..Adoption::default()
    };
    let names: BTreeSet<_> = records
        .accounts
        .values()
        .map(|account| &account.name)
        .collect();
    let mut taken: BTreeSet<&AccountId> = records.accounts.keys().collect();
    taken.extend(&records.dead_accounts);
    taken.extend(records.file_accounts.values().map(|row| &row.id));
    for (name, entry) in &policy.accounts {
        let live = records
            .file_accounts
            .get(name)
            .filter(|row| row.gone_at.is_none());
        let unchanged = live.is_some_and(|row| entry.id.as_ref().is_none_or(|id| *id == row.id));
        let collides = entry.id.as_ref().is_some_and(|id| taken.contains(id));
        // A name or an id that stands for somebody else is said by the directory.
        if unchanged || collides || names.contains(name) {
            continue;
        }
        if live.is_some() {
            if role == Role::Offline {
                continue;
            }
            plan.gone.push(name.clone());
        }
        taken.extend(&entry.id);
        let id = entry.id.clone().unwrap_or_else(AccountId::random);
        plan.seen.push((name.clone(), id));
    }
    if role == Role::Server {
        let rows = records
            .file_accounts
            .iter()
            .filter(|(_, row)| row.gone_at.is_none());
        let gone = rows.filter(|(name, _)| !policy.accounts.contains_key(*name));
        plan.gone.extend(gone.map(|(name, _)| name.clone()));
        plan.closed = vanished(policy, records);
    }
    plan
}

/// Grants, not closed yet, of roles that nobody knows.
fn vanished(policy: &Policy, records: &Records) -> Vec<(Holder, RoleName)> {
    let unknown = |role: &RoleName| {
        let known = policy.roles.contains_key(role) || records.roles.contains_key(role);
        !known && own::role(role).is_none()
    };
    let of = |grants: &[GrantRecord], holder: Holder| {
        let open = grants.iter().filter(|grant| grant.closed_at.is_none());
        let roles: BTreeSet<_> = open
            .map(|grant| &grant.role)
            .filter(|role| unknown(role))
            .collect();
        let roles = roles.into_iter().cloned();
        roles.map(|role| (holder.clone(), role)).collect::<Vec<_>>()
    };
    let accounts = records.accounts.iter();
    let groups = records.groups.iter();
    accounts
        .flat_map(|(id, account)| of(&account.grants, Holder::Account(id.clone())))
        .chain(groups.flat_map(|(name, group)| of(&group.grants, Holder::Group(name.clone()))))
        .collect()
}
