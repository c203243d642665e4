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
