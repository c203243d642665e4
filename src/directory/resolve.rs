//! Works out what accounts are worth under a policy.
//!
//! The rule for everything unclear is the same: a grant gives what it says or nothing, never
//! something near it. A role that is unknown or has two meanings, a dimension the policy does not
//! declare, a grant that was closed: nothing, and [`Closed`] says why.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use http::HeaderValue;

use crate::policy::{FileAccount, FileGrant, Policy};
use crate::store::{AccountRecord, GrantRecord, Records, RoleRecord};
use crate::words::{
    Account, AccountId, AccountName, AddressRules, Boundary, DimensionName, GroupName, Holding,
    Limit, PermissionSet, Place, RoleName, UnixTime,
};

/// Why a grant gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its role vanished, and the grant has not been given anew since.
    Since(UnixTime),
    /// There is no such role.
    RoleUnknown,
    /// The role stands in the policy files and in the store.
    RoleTwice,
    /// The role is there to be included in others.
    RoleInner,
    /// The policy does not declare a dimension it is limited by.
    DimensionUnknown(DimensionName),
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Since(time) => write!(
                f,
                "its role vanished from the policy at {time}: grant it anew if it is still meant"
            ),
            Self::RoleUnknown => f.write_str("there is no such role"),
            Self::RoleTwice => {
                f.write_str("the role stands in the policy files and in the store: rename one")
            }
            Self::RoleInner => f.write_str(
                "the role cannot be given to anybody (`api_access: false`): give one that includes it",
            ),
            Self::DimensionUnknown(name) => {
                write!(f, "the policy declares no dimension `{name}`")
            }
        }
    }
}

/// Works grants out against one policy and one set of records.
pub(crate) struct Resolver<'a> {
    pub(super) policy: &'a Policy,
    pub(super) records: &'a Records,
    /// What roles turned out to give.
    roles: HashMap<RoleName, Result<PermissionSet, Closed>>,
    /// Groups by member, where all accounts are worked out; otherwise all groups are looked at.
    groups_of: Option<HashMap<&'a AccountId, Vec<&'a GroupName>>>,
    file_groups_of: Option<HashMap<&'a AccountName, Vec<&'a GroupName>>>,
    /// The names of the store's accounts, likewise.
    stored_names: Option<HashSet<&'a AccountName>>,
    /// The accounts of files by their ids, likewise.
    filed_by_id: Option<HashMap<&'a AccountId, (&'a AccountName, &'a FileAccount)>>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(policy: &'a Policy, records: &'a Records) -> Self {
        Self {
            policy,
            records,
            roles: HashMap::new(),
            groups_of: None,
            file_groups_of: None,
            stored_names: None,
            filed_by_id: None,
        }
    }

    /// Turns around what is asked of every account, where all of them are worked out.
    pub(super) fn index(&mut self) {
        self.index_groups();
        let names = self.records.accounts.values().map(|record| &record.name);
        self.stored_names = Some(names.collect());
        let mut by_id = HashMap::new();
        for (name, entry) in &self.policy.accounts {
            if let Some(id) = id_of(self.records, name, entry) {
                by_id.entry(id).or_insert((name, entry));
            }
        }
        self.filed_by_id = Some(by_id);
    }

    /// Turns around who is in which group, where that is asked of many.
    pub(crate) fn index_groups(&mut self) {
        let mut by_id: HashMap<_, Vec<_>> = HashMap::new();
        for (name, group) in &self.records.groups {
            for member in &group.members {
                by_id.entry(member).or_default().push(name);
            }
        }
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for (name, group) in &self.policy.groups {
            for member in &group.members {
                by_name.entry(member).or_default().push(name);
            }
        }
        (self.groups_of, self.file_groups_of) = (Some(by_id), Some(by_name));
    }

    /// Roles, groups and accounts that stand in the files and in the store.
    pub(super) fn twofold_names(&self) -> Vec<String> {
        let (policy, records) = (self.policy, self.records);
        let roles = policy
            .roles
            .iter()
            .filter(|(name, _)| records.roles.contains_key(*name));
        let groups = policy
            .groups
            .iter()
            .filter(|(name, _)| records.groups.contains_key(*name));
        roles
            .map(|(name, role)| both("role", name.as_str(), &role.place))
            .chain(groups.map(|(name, group)| both("group", name.as_str(), &group.place)))
            .collect()
    }

    /// An account of the store or of a file, worked out.
    pub(crate) fn account(&mut self, id: &AccountId, name: &AccountName) -> Option<Account> {
        let (policy, records) = (self.policy, self.records);
        match records.accounts.get(id) {
            Some(record) => Some(self.stored(record)),
            None => self.filed(name, policy.accounts.get(name)?).0,
        }
    }

    pub(super) fn stored(&mut self, record: &AccountRecord) -> Account {
        let own: Vec<_> = record
            .grants
            .iter()
            .filter_map(|grant| self.holding(grant))
            .collect();
        let holdings = self.with_groups(own, &record.id, &record.name);
        account(
            (&record.id, &record.name),
            record.enabled,
            &record.allow_from,
            holdings,
        )
    }

    /// An account of a file, `None` if it has no id, with the reason why it is refused everything.
    pub(super) fn filed(
        &mut self,
        name: &AccountName,
        entry: &FileAccount,
    ) -> (Option<Account>, Option<String>) {
        let Some(id) = self.file_id(name, entry).cloned() else {
            return (None, Some(self.without_id(name, entry)));
        };
        let conflict = self.conflict(name, &id, entry);
        let row = self.records.file_accounts.get(name);
        let enabled = conflict.is_none() && !row.is_some_and(|row| row.disabled);
        let own: Vec<_> = entry
            .grants
            .iter()
            .filter_map(|grant| self.filed_holding(grant))
            .collect();
        let holdings = self.with_groups(own, &id, name);
        // An id that means somebody else must not replace that account.
        let taken = self.records.accounts.contains_key(&id);
        let made = (!taken).then(|| account((&id, name), enabled, &entry.allow_from, holdings));
        (made, conflict)
    }

    fn without_id(&self, name: &AccountName, entry: &FileAccount) -> String {
        self.twofold_account(name, entry).unwrap_or_else(|| {
            format!(
                "{}: account `{name}` has no `id`, and without a store it needs one: add `id: {}`",
                entry.place,
                AccountId::random()
            )
        })
    }

    fn twofold_account(&self, name: &AccountName, entry: &FileAccount) -> Option<String> {
        let stored = match &self.stored_names {
            Some(names) => names.contains(name),
            None => {
                let mut accounts = self.records.accounts.values();
                accounts.any(|record| record.name == *name)
            }
        };
        stored.then(|| both("account", name.as_str(), &entry.place))
    }

    fn conflict(&self, name: &AccountName, id: &AccountId, entry: &FileAccount) -> Option<String> {
        if let Some(twofold) = self.twofold_account(name, entry) {
            return Some(twofold);
        }
        let place = &entry.place;
        let dead = self.records.dead_accounts.contains(id);
        let taken = self.records.accounts.contains_key(id);
        (dead || taken).then(|| {
            let whose = if dead {
                "an account that was deleted"
            } else {
                "another account"
            };
            format!("{place}: id `{id}` of account `{name}` belongs to {whose}: choose another")
        })
    }

    /// The id of an account of a file: its own, or the one the store has given it.
    pub(super) fn file_id<'s>(
        &'s self,
        name: &AccountName,
        entry: &'s FileAccount,
    ) -> Option<&'s AccountId> {
        id_of(self.records, name, entry)
    }

    pub(super) fn file_account(
        &self,
        id: &AccountId,
    ) -> Option<(&'a AccountName, &'a FileAccount)> {
        if let Some(by_id) = &self.filed_by_id {
            return by_id.get(id).copied();
        }
        let policy = self.policy;
        let mut accounts = policy.accounts.iter();
        accounts.find(|(name, entry)| self.file_id(name, entry) == Some(id))
    }

    fn with_groups(
        &mut self,
        mut holdings: Vec<Holding>,
        id: &AccountId,
        name: &AccountName,
    ) -> Vec<Holding> {
        let (policy, records) = (self.policy, self.records);
        for group in self.groups_of(id) {
            let grants = records
                .groups
                .get(group)
                .into_iter()
                .flat_map(|group| &group.grants);
            for grant in grants {
                holdings.extend(self.holding(grant).map(|held| by_group(held, group)));
            }
        }
        for group in self.file_groups_of(name) {
            // A group that stands twice gives what the store says, so that a file cannot change
            // it unnoticed.
            if records.groups.contains_key(group) {
                continue;
            }
            let grants = policy
                .groups
                .get(group)
                .into_iter()
                .flat_map(|group| &group.grants);
            for grant in grants {
                holdings.extend(self.filed_holding(grant).map(|held| by_group(held, group)));
            }
        }
        holdings
    }

    /// The groups of the store that an account is in.
    pub(crate) fn groups_of(&self, id: &AccountId) -> Vec<&'a GroupName> {
        match &self.groups_of {
            Some(index) => index.get(id).cloned().unwrap_or_default(),
            None => {
                let groups = self.records.groups.iter();
                let mine = groups.filter(|(_, group)| group.members.contains(id));
                mine.map(|(name, _)| name).collect()
            }
        }
    }

    /// The groups of files that an account is in.
    pub(crate) fn file_groups_of(&self, account: &AccountName) -> Vec<&'a GroupName> {
        match &self.file_groups_of {
            Some(index) => index.get(account).cloned().unwrap_or_default(),
            None => {
                let groups = self.policy.groups.iter();
                let mine = groups.filter(|(_, group)| group.members.contains(account));
                mine.map(|(name, _)| name).collect()
            }
        }
    }

    fn holding(&mut self, grant: &GrantRecord) -> Option<Holding> {
        self.worth(&grant.role, &grant.within, grant.closed_at).ok()
    }

    fn filed_holding(&mut self, grant: &FileGrant) -> Option<Holding> {
        self.worth(&grant.role, &grant.within, None).ok()
    }

    /// What a grant gives.
    ///
    /// # Errors
    ///
    /// Why it gives nothing.
    pub(crate) fn worth(
        &mut self,
        role: &RoleName,
        within: &Boundary,
        closed_at: Option<UnixTime>,
    ) -> Result<Holding, Closed> {
        if let Some(time) = closed_at {
            return Err(Closed::Since(time));
        }
        let permissions = self.role(role)?;
        if !self.may_be_given(role) {
            return Err(Closed::RoleInner);
        }
        let limit = |(dimension, values): (&DimensionName, &BTreeSet<String>)| {
            let values = values.iter().map(|value| value.as_str().into()).collect();
            self.policy
                .dimension_id(dimension.as_str())
                .map(|dimension| Limit { dimension, values })
                .ok_or_else(|| Closed::DimensionUnknown(dimension.clone()))
        };
        Ok(Holding {
            role: role.clone(),
            permissions,
            limits: within.iter().map(limit).collect::<Result<_, _>>()?,
            within: within.clone(),
            group: None,
        })
    }

    /// Says whether a role that there is can be given to an account or a group.
    pub(crate) fn may_be_given(&self, role: &RoleName) -> bool {
        let built_in = self.policy.roles.get(role).map(|role| role.api_access);
        let custom = self.records.roles.get(role).map(|role| role.api_access);
        built_in.or(custom).unwrap_or(true)
    }

    /// What a role gives.
    pub(crate) fn role(&mut self, name: &RoleName) -> Result<PermissionSet, Closed> {
        if let Some(known) = self.roles.get(name) {
            return known.clone();
        }
        let built_in = self.policy.roles.get(name);
        let given = match (built_in, self.records.roles.get(name)) {
            (None, None) => self.policy.own_role(name).ok_or(Closed::RoleUnknown),
            (Some(_), Some(_)) => Err(Closed::RoleTwice),
            (Some(role), None) => Ok(role.gives.clone()),
            (None, Some(custom)) => Ok(expand(self.policy, &self.records.roles, custom)),
        };
        self.roles.insert(name.clone(), given.clone());
        given
    }
}

/// The id of an account of a file: its own, or the one the store has given it.
pub(super) fn id_of<'a>(
    records: &'a Records,
    name: &AccountName,
    entry: &'a FileAccount,
) -> Option<&'a AccountId> {
    let row = records.file_accounts.get(name);
    let given = row.filter(|row| row.gone_at.is_none()).map(|row| &row.id);
    entry.id.as_ref().or(given)
}

fn both(what: &str, name: &str, place: &Place) -> String {
    format!(
        "{what} `{name}` stands in the store and in {place}: delete one, or rename the one in the \
         file"
    )
}

/// What a custom role gives: its own permissions and those of all roles it includes. What is unknown
/// to the policy gives nothing, and a circle ends where it began.
fn expand(
    policy: &Policy,
    customs: &BTreeMap<RoleName, RoleRecord>,
    role: &RoleRecord,
) -> PermissionSet {
    let mut given = PermissionSet::default();
    let mut seen = BTreeSet::from([&role.name]);
    let mut open = vec![role];
    while let Some(role) = open.pop() {
        for (id, permission) in policy.every_permission() {
            let mut patterns = role.permissions.iter();
            if patterns.any(|pattern| pattern.covers(permission)) {
                given.insert(id);
            }
        }
        for name in &role.include {
            match (policy.roles.get(name), customs.get(name)) {
                (Some(built_in), None) => given.extend(&built_in.gives),
                (None, Some(custom)) if seen.insert(name) => open.push(custom),
                // The gateway's own, or unknown.
                (None, None) => given.extend(&policy.own_role(name).unwrap_or_default()),
                // Twofold, or already counted.
                (None | Some(_), Some(_)) => {}
            }
        }
    }
    given
}

fn by_group(holding: Holding, group: &GroupName) -> Holding {
    Holding {
        group: Some(group.clone()),
        ..holding
    }
}

fn account(
    (id, name): (&AccountId, &AccountName),
    enabled: bool,
    allow_from: &[ipnet::IpNet],
    holdings: Vec<Holding>,
) -> Account {
    let header = |text: &str| {
        HeaderValue::from_str(text).expect("names and ids are visible ASCII by their own rule")
    };
    Account {
        id: id.clone(),
        name: name.clone(),
        enabled,
        addresses: AddressRules::new(allow_from.to_vec()),
        holdings: holdings.into_boxed_slice(),
        name_header: header(name.as_str()),
        id_header: header(id.as_str()),
    }
}
