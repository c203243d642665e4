//! What could be changed to turn a refusal: the roles there are, and who says what an account holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::Policy;
use crate::words::{AccountName, PermissionPattern, PermissionSet, Place, Rate, RoleName};

/// What could be changed.
#[derive(Clone, Debug)]
pub struct World {
    /// Every role that gives something.
    pub roles: BTreeMap<RoleName, KnownRole>,
    /// Who says what the account in question holds.
    pub managed: Managed,
    /// How many other accounts hold each role, or one that includes it.
    pub holders: BTreeMap<RoleName, usize>,
    /// Whether a command would let the account in again, if it is disabled.
    pub can_enable: bool,
    /// What each account may do on all routes together, if there is a bound.
    pub rate: Option<Rate>,
}

/// A role.
#[derive(Clone, Debug)]
pub struct KnownRole {
    /// Everything it gives.
    pub gives: PermissionSet,
    /// Its own permissions, as written.
    pub permissions: Vec<PermissionPattern>,
    /// The roles it includes.
    pub include: Vec<RoleName>,
    /// Whether anybody can be given it.
    pub api_access: bool,
    /// Where it is written; a custom role has no place.
    pub place: Option<Place>,
}

/// Who says what an account holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Managed {
    /// The store: a command changes it.
    #[default]
    Store,
    /// A policy file.
    File {
        /// Where the account is written.
        account: Place,
        /// Where the last of its grants is, if it has any.
        last_grant: Option<Place>,
    },
    /// Whoever asks: the account is only thought of.
    Hypothesis,
}

impl World {
    /// What the files of a policy say. An account they do not know is the store's.
    pub fn of_files(policy: &Policy, account: Option<&AccountName>) -> Self {
        let roles = policy.roles.iter().map(|(name, role)| {
            let known = KnownRole {
                gives: role.gives.clone(),
                permissions: role.permissions.clone(),
                include: role.include.clone(),
                api_access: role.api_access,
                place: Some(role.place.clone()),
            };
            (name.clone(), known)
        });
        Self {
            roles: roles.collect(),
            managed: Managed::of_files(policy, account),
            holders: BTreeMap::new(),
            can_enable: true,
            rate: None,
        }
    }

    /// Whether the account may be given `role`: files grant what files define, and some roles are
    /// there to be included only.
    pub(super) fn may_be_granted(&self, role: &KnownRole) -> bool {
        let by_whom = !matches!(self.managed, Managed::File { .. }) || role.place.is_some();
        role.api_access && by_whom
    }

    /// Counts who holds each role, of the `roles` that each account was granted.
    pub fn count_holders<'r>(&mut self, accounts: impl Iterator<Item = BTreeSet<&'r RoleName>>) {
        // The same few sets of roles are held by many.
        let mut sets: BTreeMap<BTreeSet<&RoleName>, usize> = BTreeMap::new();
        for roles in accounts {
            *sets.entry(roles).or_default() += 1;
        }
        let mut holders = BTreeMap::new();
        for (roles, count) in sets {
            let mut all = BTreeSet::new();
            roles
                .iter()
                .for_each(|role| self.add_with_included(role, &mut all));
            for role in all {
                *holders.entry(role).or_default() += count;
            }
        }
        self.holders = holders;
    }

    /// Says whether `role` is `other`, or includes it.
    pub(super) fn includes(&self, role: &RoleName, other: &RoleName) -> bool {
        let mut all = BTreeSet::new();
        self.add_with_included(role, &mut all);
        all.contains(other)
    }

    fn add_with_included(&self, role: &RoleName, all: &mut BTreeSet<RoleName>) {
        if all.insert(role.clone()) {
            let include = self.roles.get(role).map(|known| &known.include);
            for included in include.into_iter().flatten() {
                self.add_with_included(included, all);
            }
        }
    }
}

impl Managed {
    /// Who says what `account` holds, as far as files do.
    pub fn of_files(policy: &Policy, account: Option<&AccountName>) -> Self {
        let filed = account.and_then(|name| policy.accounts.get(name));
        filed.map_or(Self::Store, |entry| Self::File {
            account: entry.place.clone(),
            last_grant: entry.grants.last().map(|grant| grant.place.clone()),
        })
    }
}
