//! What a change makes of records.
//!
//! The service keeps a copy of the store in memory and applies to it what the store has made
//! durable, so that nothing is read back on the way to the next state, and nothing can fail there.
//! The two must agree; the conformance suite applies random changes to both.

use std::collections::{BTreeMap, BTreeSet};

use super::touched::Touched;
use super::{
    AccountRecord, Adoption, Change, FileAccountRecord, GrantRecord, Holder, KeyRecord, KeyUse,
    Records, RoleRecord,
};
use crate::words::{AccountId, AccountName, GroupName, KeyId, UnixTime};

impl Records {
    /// Makes of the records what a store that has taken `change` holds. Only for changes a store has
    /// taken: what it would refuse is not refused here.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm a change, nothing between them"
    )]
    pub fn apply(&mut self, change: &Change) -> Touched {
        match change {
            Change::CreateAccount(account) => {
                let mut account = account.clone();
                tidy(&mut account.grants);
                let touched = Touched::one(&account.id);
                self.accounts.insert(account.id.clone(), account);
                touched
            }
            Change::UpdateAccount {
                id,
                description,
                allow_from,
                applied_as,
                now,
            } => self.change_account(id, |account| {
                if applied_as.is_some() {
                    account.applied_as.clone_from(applied_as);
                }
                if let Some(description) = description {
                    account.description.clone_from(description);
                }
                if let Some(allow_from) = allow_from {
                    account.allow_from.clone_from(allow_from);
                }
                account.updated_at = *now;
            }),
            Change::SetEnabled { id, enabled, now } => self.change_account(id, |account| {
                account.enabled = *enabled;
                account.updated_at = *now;
            }),
            Change::DeleteAccount { id, .. } => self.delete_account(id),
            Change::Grant {
                holder,
                role,
                within,
                now,
            } => self.change_grants(holder, *now, |grants| {
                grants.retain(|held| !(held.role == *role && held.within == *within));
                grants.push(GrantRecord {
                    role: role.clone(),
                    within: within.clone(),
                    closed_at: None,
                });
                tidy(grants);
            }),
            Change::Ungrant {
                holder,
                role,
                within,
                now,
            } => self.change_grants(holder, *now, |grants| {
                grants.retain(|held| !(held.role == *role && held.within == *within));
            }),
            Change::CreateKey(key) => self.create_key(key),
            Change::ExpireKey { id, at, now } => self.end_key(id, *at, *now),
            Change::UpdateKey { .. } => self.update_key(change),
            Change::RotateKey {
                new,
                old,
                old_ends_at,
            } => {
                self.end_key(old, *old_ends_at, new.created_at);
                self.create_key(new)
            }
            Change::CreateRole(role) => {
                self.roles.insert(role.name.clone(), role.clone());
                Touched::role(&role.name)
            }
            Change::UpdateRole(role) => {
                if let Some(known) = self.roles.get_mut(&role.name) {
                    let created_at = known.created_at;
                    let owner = known.owner.clone();
                    let created_by = known.created_by.clone();
                    *known = RoleRecord {
                        created_at,
                        owner,
                        created_by,
                        ..role.clone()
                    };
                }
                Touched::role(&role.name)
            }
            Change::DeleteRole(name) => {
                self.roles.remove(name);
                Touched::role(name)
            }
            Change::CreateGroup(group) => {
                let mut group = group.clone();
                tidy(&mut group.grants);
                let touched = Touched::group(&group.name, group.members.clone());
                self.groups.insert(group.name.clone(), group);
                touched
            }
            Change::UpdateGroup { .. } => self.update_group(change),
            Change::DeleteGroup(name) => self.delete_group(name),
            Change::AddMember {
                group,
                account,
                now,
            } => self.change_members(group, account, *now, |members| {
                members.insert(account.clone());
            }),
            Change::RemoveMember {
                group,
                account,
                now,
            } => self.change_members(group, account, *now, |members| {
                members.remove(account);
            }),
            Change::Adopt(adoption) => self.adopt(adoption),
            Change::OverrideFileAccount {
                name,
                disabled,
                now,
            } => self.override_file_account(name, *disabled, *now),
            Change::EndFileKey { id, at } => {
                self.file_key_ends.insert(*id, *at);
                Touched {
                    file_keys: BTreeSet::from([*id]),
                    ..Touched::default()
                }
            }
            Change::ForgetKeys { ids, ends_stay } => self.forget_keys(ids, *ends_stay),
            Change::Used { keys, accounts } => self.used(keys, accounts),
            Change::RevokeToken { id, ends_at, now } => self.revoke(&[(*id, *ends_at)], *now),
            Change::GiveBack { tokens, now } => self.revoke(tokens, *now),
            Change::ReplaceSigningKeys(key) => {
                self.signing_keys = vec![key.clone()];
                Touched::default()
            }
            Change::AddSigningKey(key) => {
                for known in &mut self.signing_keys {
                    known.retired_at = known.retired_at.or(Some(key.created_at));
                }
                self.signing_keys
                    .retain(|known| !known.is_over(key.created_at));
                self.signing_keys.push(key.clone());
                Touched::default()
            }
            Change::Batch(changes) => changes.iter().fold(Touched::default(), |all, change| {
                all.and(self.apply(change))
            }),
        }
    }

    fn change_account(
        &mut self,
        id: &AccountId,
        change: impl FnOnce(&mut AccountRecord),
    ) -> Touched {
        if let Some(account) = self.accounts.get_mut(id) {
            change(account);
        }
        Touched::one(id)
    }

    fn delete_account(&mut self, id: &AccountId) -> Touched {
        self.accounts.remove(id);
        let groups = self.groups.iter();
        let his = groups.filter(|(_, group)| group.members.contains(id));
        let his: Vec<_> = his.map(|(name, _)| name.clone()).collect();
        for name in &his {
            if let Some(group) = self.groups.get_mut(name) {
                group.members.remove(id);
            }
        }
        self.bury(id)
    }

    fn bury(&mut self, id: &AccountId) -> Touched {
        self.dead_accounts.insert(id.clone());
        let keys = self.remove_keys_of(id);
        Touched {
            gone: BTreeMap::from([(id.clone(), keys)]),
            ..Touched::default()
        }
    }

    fn change_grants(
        &mut self,
        holder: &Holder,
        now: UnixTime,
        change: impl FnOnce(&mut Vec<GrantRecord>),
    ) -> Touched {
        match holder {
            Holder::Account(id) => self.change_account(id, |account| {
                change(&mut account.grants);
                account.updated_at = now;
            }),
            Holder::Group(name) => {
                let Some(group) = self.groups.get_mut(name) else {
                    return Touched::default();
                };
                change(&mut group.grants);
                group.updated_at = now;
                Touched {
                    accounts: group.members.clone(),
                    ..Touched::default()
                }
            }
        }
    }

    fn create_key(&mut self, key: &KeyRecord) -> Touched {
        self.put_key(key.clone());
        Touched::one(&key.account)
    }

    fn end_key(&mut self, id: &KeyId, at: UnixTime, now: UnixTime) -> Touched {
        let Some(key) = self.keys.get_mut(id) else {
            return Touched::default();
        };
        key.expires_at = Some(at);
        key.updated_at = now;
        Touched::one(&key.account)
    }

    fn forget_keys(&mut self, ids: &[KeyId], ends_stay: bool) -> Touched {
        let mut touched = Touched::default();
        for id in ids {
            let Some(end) = self.key(id).and_then(|key| key.expires_at) else {
                continue;
            };
            if ends_stay {
                self.file_key_ends.entry(*id).or_insert(end);
            }
            self.remove_key(id);
            touched.keys.insert(*id);
        }
        touched
    }

    fn update_key(&mut self, change: &Change) -> Touched {
        let Change::UpdateKey {
            id,
            description,
            limits,
            now,
        } = change
        else {
            return Touched::default();
        };
        let Some(key) = self.keys.get_mut(id) else {
            return Touched::default();
        };
        if let Some(description) = description {
            key.description.clone_from(description);
        }
        if let Some(limits) = limits {
            key.limits.clone_from(limits);
        }
        key.updated_at = *now;
        Touched::one(&key.account)
    }

    fn update_group(&mut self, change: &Change) -> Touched {
        let Change::UpdateGroup {
            name,
            description,
            applied_as,
            now,
        } = change
        else {
            return Touched::default();
        };
        if let Some(group) = self.groups.get_mut(name) {
            if let Some(description) = description {
                group.description.clone_from(description);
            }
            if applied_as.is_some() {
                group.applied_as.clone_from(applied_as);
            }
            group.updated_at = *now;
        }
        // Neither is worth anything to a member.
        Touched::default()
    }

    fn delete_group(&mut self, name: &GroupName) -> Touched {
        let gone = self.groups.remove(name);
        let members = gone.map(|group| group.members).unwrap_or_default();
        Touched::group(name, members)
    }

    fn change_members(
        &mut self,
        group: &GroupName,
        account: &AccountId,
        now: UnixTime,
        change: impl FnOnce(&mut BTreeSet<AccountId>),
    ) -> Touched {
        if let Some(group) = self.groups.get_mut(group) {
            change(&mut group.members);
            group.updated_at = now;
        }
        Touched::one(account)
    }

    fn adopt(&mut self, adoption: &Adoption) -> Touched {
        for name in &adoption.gone {
            let Some(row) = self.file_accounts.get_mut(name) else {
                continue;
            };
            row.gone_at = Some(adoption.now);
            let id = row.id.clone();
            self.bury(&id);
        }
        for (name, id) in &adoption.seen {
            let before = self.file_accounts.get(name);
            let row = FileAccountRecord {
                id: id.clone(),
                // The override stays: removing and adding a file must not let a disabled account in.
                disabled: before.is_some_and(|row| row.disabled),
                created_at: adoption.now,
                updated_at: adoption.now,
                last_used_at: None,
                gone_at: None,
            };
            self.file_accounts.insert(name.clone(), row);
        }
        for (holder, role) in &adoption.closed {
            let grants = match holder {
                Holder::Account(id) => self.accounts.get_mut(id).map(|held| &mut held.grants),
                Holder::Group(name) => self.groups.get_mut(name).map(|held| &mut held.grants),
            };
            for grant in grants.into_iter().flatten() {
                if grant.role == *role {
                    grant.closed_at = grant.closed_at.or(Some(adoption.now));
                }
            }
        }
        Touched::everybody()
    }

    fn override_file_account(
        &mut self,
        name: &AccountName,
        disabled: bool,
        now: UnixTime,
    ) -> Touched {
        let Some(row) = self.file_accounts.get_mut(name) else {
            return Touched::default();
        };
        row.disabled = disabled;
        row.updated_at = now;
        Touched::one(&row.id)
    }

    fn used(&mut self, keys: &[KeyUse], accounts: &[(AccountId, UnixTime)]) -> Touched {
        let later = |known: &mut Option<UnixTime>, time: UnixTime| {
            *known = (*known).max(Some(time));
        };
        for used in keys {
            let key = self.keys.get_mut(&used.id);
            if let Some(key) = key.filter(|key| key.last_used_at < Some(used.at)) {
                key.last_used_at = Some(used.at);
                key.last_used_from = used.from;
            }
        }
        for (id, time) in accounts {
            if let Some(account) = self.accounts.get_mut(id) {
                later(&mut account.last_used_at, *time);
            }
        }
        // Few enough to look at one by one: people wrote them into files.
        let times: BTreeMap<_, _> = accounts.iter().map(|(id, time)| (id, *time)).collect();
        for row in self.file_accounts.values_mut() {
            if let Some(time) = times.get(&row.id) {
                later(&mut row.last_used_at, *time);
            }
        }
        Touched::default()
    }
}

/// As a store returns them: in order, each once.
fn tidy(grants: &mut Vec<GrantRecord>) {
    grants.sort();
    grants.dedup_by(|a, b| a.role == b.role && a.within == b.within);
}
