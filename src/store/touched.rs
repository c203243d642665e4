//! Whom a change concerns, as far as the records know it; what a file says besides is the directory's.

use std::collections::{BTreeMap, BTreeSet};

use crate::words::{AccountId, GroupName, KeyId, RoleName, TokenId};

/// Whom a change concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Accounts that are worth something else now, or whose keys are.
    pub accounts: BTreeSet<AccountId>,
    /// Accounts that are gone, with the keys that went with them.
    pub gone: BTreeMap<AccountId, BTreeSet<KeyId>>,
    /// Keys that are gone, of accounts that are there.
    pub keys: BTreeSet<KeyId>,
    /// Keys of files that end at another time.
    pub file_keys: BTreeSet<KeyId>,
    /// Roles that give something else: whoever holds them is touched, by a file too.
    pub roles: BTreeSet<RoleName>,
    /// Groups that have come or gone, besides their members: a file may have one of that name.
    pub groups: BTreeSet<GroupName>,
    /// Everybody: what was changed may stand behind any account.
    pub everybody: bool,
    /// Tokens that are taken back now.
    pub revoked: Vec<TokenId>,
    /// Tokens that were, and have run out.
    pub forgotten: Vec<TokenId>,
}

impl Touched {
    pub(super) fn one(id: &AccountId) -> Self {
        Self {
            accounts: BTreeSet::from([id.clone()]),
            ..Self::default()
        }
    }

    pub(super) fn everybody() -> Self {
        Self {
            everybody: true,
            ..Self::default()
        }
    }

    pub(super) fn role(name: &RoleName) -> Self {
        Self {
            roles: BTreeSet::from([name.clone()]),
            ..Self::default()
        }
    }

    pub(super) fn group(name: &GroupName, members: BTreeSet<AccountId>) -> Self {
        Self {
            accounts: members,
            groups: BTreeSet::from([name.clone()]),
            ..Self::default()
        }
    }

    pub(super) fn and(mut self, other: Self) -> Self {
        self.accounts.extend(other.accounts);
        self.gone.extend(other.gone);
        self.keys.extend(other.keys);
        self.file_keys.extend(other.file_keys);
        self.roles.extend(other.roles);
        self.groups.extend(other.groups);
        self.everybody |= other.everybody;
        self.revoked.extend(other.revoked);
        self.forgotten.extend(other.forgotten);
        self
    }
}
