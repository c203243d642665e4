//! What a backup would bring back to life, and what it would take away: one set of records held against
//! another.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::store::{GrantRecord, KeyRecord, Records};
use crate::words::{AccountId, UnixTime};

/// What a restore would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    /// When the backup was made; not known of a file that is none of ours.
    pub taken_at: Option<UnixTime>,
    /// Its format.
    pub format: usize,
    /// How much it has of what.
    pub records: Value,
    /// Why it is not known what comes back, if it is not.
    pub not_compared: Option<String>,
    /// What is dead or smaller in the store that is in place.
    pub revives: Vec<Reviving>,
    /// What is in the store that is in place, and not in the backup.
    pub loses: Vec<Reviving>,
}

/// One thing that would come back, or go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reviving {
    /// `account`, `key`, `grant`, `member`, `role`.
    pub kind: &'static str,
    /// Its id; its name if it has none.
    pub id: String,
    /// The account or group it belongs to, by name.
    pub of: String,
    /// What became of it since.
    pub since: String,
}

fn one(kind: &'static str, id: &impl ToString, of: &str, since: impl Into<String>) -> Reviving {
    Reviving {
        kind,
        id: id.to_string(),
        of: of.to_owned(),
        since: since.into(),
    }
}

impl Plan {
    /// Of a store in place that cannot be read.
    pub(super) fn unknown(why: &str) -> Self {
        Self {
            not_compared: Some(why.to_owned()),
            ..Self::default()
        }
    }

    /// Says what the backup is.
    pub(super) fn describe(&mut self, taken_at: Option<UnixTime>, format: usize, records: Value) {
        self.taken_at = taken_at;
        self.format = format;
        self.records = records;
    }

    /// What `backup` would change where `present` is.
    pub(super) fn between(backup: &Records, present: &Records, now: UnixTime) -> Self {
        let mut plan = Self::default();
        plan.accounts(backup, present);
        plan.keys(backup, present, now);
        plan.groups(backup, present);
        plan.roles(backup, present);
        plan.revives.sort();
        plan.loses.sort();
        plan
    }

    fn accounts(&mut self, backup: &Records, present: &Records) {
        for (id, old) in &backup.accounts {
            let name = old.name.as_str();
            let Some(new) = present.accounts.get(id) else {
                self.revives.push(one("account", id, name, "deleted"));
                continue;
            };
            if old.enabled && !new.enabled {
                self.revives.push(one("account", id, name, "disabled"));
            }
            if old.allow_from != new.allow_from {
                self.revives
                    .push(one("account", id, name, "other addresses"));
            }
            self.grants(&old.grants, &new.grants, name);
        }
        for (id, new) in &present.accounts {
            if !backup.accounts.contains_key(id) {
                self.loses
                    .push(one("account", id, new.name.as_str(), "made"));
            }
        }
        for (name, old) in &backup.file_accounts {
            let new = present.file_accounts.get(name);
            if !old.disabled && new.is_some_and(|new| new.disabled) {
                let disabled = one("account", &old.id, name.as_str(), "disabled");
                self.revives.push(disabled);
            }
        }
    }

    fn grants(&mut self, old: &[GrantRecord], new: &[GrantRecord], of: &str) {
        let same = |a: &GrantRecord, b: &GrantRecord| a.role == b.role && a.within == b.within;
        for grant in old.iter().filter(|grant| grant.closed_at.is_none()) {
            let since = match new.iter().find(|new| same(grant, new)) {
                Some(new) if new.closed_at.is_none() => continue,
                Some(_) => "closed",
                None => "taken away",
            };
            let id = format!("{}, {}", grant.role, grant.within);
            self.revives.push(one("grant", &id, of, since));
        }
    }

    fn keys(&mut self, backup: &Records, present: &Records, now: UnixTime) {
        let is_alive = |key: &&KeyRecord| key.expires_at.is_none_or(|end| end > now);
        for old in backup.keys().filter(is_alive) {
            let since = match present.key(&old.id) {
                None => "deleted".to_owned(),
                Some(new) if !is_alive(&new) => "ended".to_owned(),
                Some(new) if ends_sooner(new, old) => "given an earlier end".to_owned(),
                Some(new) if new.limits != old.limits => "other limits".to_owned(),
                Some(_) => continue,
            };
            let of = owner(backup, &old.account);
            self.revives.push(one("key", &old.id, &of, since));
        }
        for new in present.keys().filter(is_alive) {
            if backup.key(&new.id).is_none() {
                let of = owner(present, &new.account);
                self.loses.push(one("key", &new.id, &of, "made"));
            }
        }
        for (id, end) in &present.file_key_ends {
            if backup.file_key_ends.get(id).is_none_or(|old| old > end) {
                self.revives.push(one("key", id, "a policy file", "ended"));
            }
        }
    }

    fn groups(&mut self, backup: &Records, present: &Records) {
        let nobody = BTreeSet::new();
        for (name, old) in &backup.groups {
            let new = present.groups.get(name);
            let of = format!("group {name}");
            let held = new.map_or(&[][..], |new| &new.grants);
            self.grants(&old.grants, held, &of);
            let members = new.map_or(&nobody, |new| &new.members);
            for member in old.members.difference(members) {
                let name = owner(backup, member);
                self.revives.push(one("member", &name, &of, "taken out"));
            }
        }
    }

    fn roles(&mut self, backup: &Records, present: &Records) {
        for (name, old) in &backup.roles {
            let since = match present.roles.get(name) {
                None => "deleted",
                Some(new)
                    if (&new.permissions, &new.include) != (&old.permissions, &old.include) =>
                {
                    "changed"
                }
                Some(_) => continue,
            };
            self.revives.push(one("role", name, "", since));
        }
    }
}

fn ends_sooner(new: &KeyRecord, old: &KeyRecord) -> bool {
    match (new.expires_at, old.expires_at) {
        (Some(new), Some(old)) => new < old,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// The name of an account, as far as the records know it.
fn owner(records: &Records, id: &AccountId) -> String {
    if let Some(account) = records.accounts.get(id) {
        return account.name.to_string();
    }
    let mut filed = records.file_accounts.iter();
    let filed = filed.find(|(_, row)| row.id == *id);
    filed.map_or_else(|| id.to_string(), |(name, _)| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AccountRecord, Adoption, GroupRecord, RoleRecord};
    use crate::store::{Change, Holder, KeyLimits};
    use crate::words::{Boundary, KeyId};

    const NOW: UnixTime = UnixTime::from_secs(1_795_302_000);
    const LATER: UnixTime = UnixTime::from_secs(1_795_902_000);

    fn grant() -> GrantRecord {
        GrantRecord {
            role: "reader".parse().unwrap(),
            within: Boundary::default(),
            closed_at: None,
        }
    }

    /// An account with a key and a grant, in a group that has one too, a role, and an account of a file
    /// with a key there.
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn records(key: KeyId) -> Records {
        let mut records = Records::default();
        let id: AccountId = "sa_ci".parse().unwrap();
        for change in [
            Change::CreateAccount(AccountRecord {
                id: id.clone(),
                name: "ci".parse().unwrap(),
                description: String::new(),
                enabled: true,
                allow_from: Vec::new(),
                grants: vec![grant()],
                created_at: NOW,
                updated_at: NOW,
                last_used_at: None,
                applied_as: None,
                owner: Boundary::default(),
                created_by: None,
            }),
            Change::CreateKey(KeyRecord {
                id: key,
                account: id.clone(),
                description: String::new(),
                digest: [7; 32],
                created_at: NOW,
                updated_at: NOW,
                expires_at: None,
                last_used_at: None,
                last_used_from: None,
                created_by: None,
                limits: KeyLimits::default(),
            }),
            Change::CreateGroup(GroupRecord {
                name: "crew".parse().unwrap(),
                description: String::new(),
                members: BTreeSet::from([id]),
                grants: vec![grant()],
                applied_as: None,
                created_by: None,
                owner: Boundary::default(),
                created_at: NOW,
                updated_at: NOW,
            }),
            Change::CreateRole(RoleRecord {
                name: "maker".parse().unwrap(),
                description: String::new(),
                permissions: vec!["items:read".parse().unwrap()],
                include: Vec::new(),
                api_access: true,
                created_by: None,
                applied_as: None,
                created_at: NOW,
                updated_at: NOW,
                owner: Boundary::default(),
            }),
            Change::Adopt(Adoption {
                seen: vec![("nightly".parse().unwrap(), "sa_nightly".parse().unwrap())],
                now: NOW,
                ..Adoption::default()
            }),
        ] {
            records.apply(&change);
        }
        records
    }

    /// Every way in which something was taken since, and what is said of its coming back.
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn taken(key: KeyId) -> Vec<(Change, &'static str)> {
        let id = || -> AccountId { "sa_ci".parse().unwrap() };
        let ungrant = |holder: Holder| Change::Ungrant {
            holder,
            role: "reader".parse().unwrap(),
            within: Boundary::default(),
            now: NOW,
        };
        let limits = |limits: KeyLimits| Change::UpdateKey {
            id: key,
            description: None,
            limits: Some(limits),
            now: NOW,
        };
        let crew = || "crew".parse().unwrap();
        vec![
            (
                Change::SetEnabled {
                    id: id(),
                    enabled: false,
                    now: NOW,
                },
                "account ci disabled",
            ),
            (
                Change::UpdateAccount {
                    id: id(),
                    description: None,
                    allow_from: Some(vec!["10.0.0.0/8".parse().unwrap()]),
                    applied_as: None,
                    now: NOW,
                },
                "account ci other addresses",
            ),
            (
                Change::OverrideFileAccount {
                    name: "nightly".parse().unwrap(),
                    disabled: true,
                    now: NOW,
                },
                "account nightly disabled",
            ),
            (ungrant(Holder::Account(id())), "grant ci taken away"),
            (
                ungrant(Holder::Group(crew())),
                "grant group crew taken away",
            ),
            (
                Change::Adopt(Adoption {
                    closed: vec![(Holder::Account(id()), "reader".parse().unwrap())],
                    now: NOW,
                    ..Adoption::default()
                }),
                "grant ci closed",
            ),
            (
                Change::ExpireKey {
                    id: key,
                    at: NOW,
                    now: NOW,
                },
                "key ci ended",
            ),
            (
                Change::ExpireKey {
                    id: key,
                    at: LATER,
                    now: NOW,
                },
                "key ci given an earlier end",
            ),
            (
                limits(KeyLimits {
                    only: Some(vec!["items:read".parse().unwrap()]),
                    allow_from: Vec::new(),
                }),
                "key ci other limits",
            ),
            (
                limits(KeyLimits {
                    only: None,
                    allow_from: vec!["10.0.0.0/8".parse().unwrap()],
                }),
                "key ci other limits",
            ),
            (
                Change::EndFileKey {
                    id: KeyId::random(),
                    at: NOW,
                },
                "key a policy file ended",
            ),
            (
                Change::RemoveMember {
                    group: crew(),
                    account: id(),
                    now: NOW,
                },
                "member group crew taken out",
            ),
            (
                Change::UpdateRole(RoleRecord {
                    permissions: Vec::new(),
                    ..records(key).roles.into_values().next().unwrap()
                }),
                "role  changed",
            ),
            (
                Change::DeleteRole("maker".parse().unwrap()),
                "role  deleted",
            ),
        ]
    }

    #[test]
    fn whatever_was_taken_since_the_backup_is_named_and_what_was_not_is_not() {
        let key = KeyId::random();
        let backup = records(key);
        let same = Plan::between(&backup, &backup, NOW);
        assert_eq!((same.revives, same.loses), (Vec::new(), Vec::new()));
        for (change, expected) in taken(key) {
            let mut present = backup.clone();
            present.apply(&change);
            let plan = Plan::between(&backup, &present, NOW);
            let told: Vec<_> = plan
                .revives
                .iter()
                .map(|one| format!("{} {} {}", one.kind, one.of, one.since))
                .collect();
            assert_eq!(told, [expected]);
            // Put back the other way round nothing comes to life.
            let back = Plan::between(&present, &backup, NOW).revives;
            let changed = |one: &Reviving| {
                matches!(&*one.since, "other addresses" | "other limits" | "changed")
            };
            assert!(back.iter().all(changed), "{expected}: {back:?}");
        }
    }
}
