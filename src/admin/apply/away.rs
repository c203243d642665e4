//! What the files do not say any more: grants that go, and who belonged to the set and stands in it no
//! longer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Plan;
use crate::admin::desk::conflict;
use crate::admin::roles;
use crate::policy::manifest::Manifest;
use crate::store::{Change, GrantRecord, Holder};
use crate::words::SetName;

impl Plan<'_, '_> {
    pub(super) fn bring_in_line(
        &mut self,
        (holder, kind, name): &(Holder, &str, &str),
        before: &[GrantRecord],
        after: &[GrantRecord],
    ) {
        let now = self.desk.now;
        let same = |one: &GrantRecord, other: &GrantRecord| {
            one.role == other.role && one.within == other.within
        };
        // One that was closed is given anew: the files say that it is meant.
        for grant in after.iter().filter(|grant| !before.contains(grant)) {
            self.step(
                "grant",
                kind,
                name,
                &json!({ "role": grant.role, "within": grant.within }),
            );
            self.make(Change::Grant {
                holder: holder.clone(),
                role: grant.role.clone(),
                within: grant.within.clone(),
                now,
            });
        }
        for grant in before {
            if after.iter().any(|wanted| same(wanted, grant)) {
                continue;
            }
            self.step(
                "ungrant",
                kind,
                name,
                &json!({ "role": grant.role, "within": grant.within }),
            );
            self.make(Change::Ungrant {
                holder: holder.clone(),
                role: grant.role.clone(),
                within: grant.within.clone(),
                now,
            });
        }
    }

    /// Takes away what belongs to the set and is not wanted any more: who holds before what is held.
    pub(super) fn prune(&mut self, manifest: &Manifest) {
        let mine = |owner: Option<&SetName>| owner == Some(self.set);
        let records = self.desk.records();
        let wanted: BTreeSet<_> = manifest.groups.iter().map(|it| &it.name).collect();
        let groups = records.groups.values();
        let groups = groups.filter(|it| mine(it.applied_as.as_ref()) && !wanted.contains(&it.name));
        let groups: Vec<_> = groups.map(|it| it.name.clone()).collect();
        let wanted: BTreeSet<_> = manifest.accounts.iter().map(|it| &it.name).collect();
        let accounts = records.accounts.values();
        let accounts =
            accounts.filter(|it| mine(it.applied_as.as_ref()) && !wanted.contains(&it.name));
        let mut accounts: Vec<_> = accounts
            .map(|it| (it.name.clone(), it.id.clone()))
            .collect();
        accounts.sort();
        let wanted: BTreeSet<_> = manifest.roles.iter().map(|it| &it.name).collect();
        let roles = records.roles.values();
        let roles = roles.filter(|it| mine(it.applied_as.as_ref()) && !wanted.contains(&it.name));
        let roles: Vec<_> = roles.map(|it| it.name.clone()).collect();
        let now = self.desk.now;
        for name in groups {
            self.step("delete", "group", name.as_str(), &Value::Null);
            self.make(Change::DeleteGroup(name));
        }
        for (name, id) in accounts {
            self.step("delete", "account", name.as_str(), &Value::Null);
            self.make(Change::DeleteAccount { id, now });
        }
        for name in &roles {
            let holders = roles::holders(self.desk, name);
            let others: Vec<_> = holders
                .iter()
                .filter(|holder| !roles.iter().any(|role| holder.is_role(role)))
                .collect();
            if others.is_empty() {
                self.step("delete", "role", name.as_str(), &Value::Null);
                self.make(Change::DeleteRole(name.clone()));
            } else {
                let error = conflict(format!(
                    "role `{name}` is in no file any more, and is still held by {}: take it away \
                     first",
                    roles::listed(self.desk, &others)
                ));
                self.note(&format!("set `{}`", self.set), Err(error));
            }
        }
    }
}
