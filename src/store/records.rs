//! What is in a store, as plain values.

use std::collections::{BTreeMap, BTreeSet};

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use smallvec::SmallVec;

use super::change::RETIRED_KEYS_KEPT;
use super::shared::SharedMap;
use super::touched::Touched;
use crate::words::{
    AccountId, AccountName, Boundary, GroupName, KeyId, PermissionPattern, RoleName, SetName,
    TokenId, UnixTime,
};

/// Who made something, in words, as far as that is known. Few make many things, so they share the
/// words.
pub type Maker = Option<Arc<str>>;

/// Everything in a store. A copy costs next to nothing: what there may be many of is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The accounts managed by commands.
    pub accounts: SharedMap<AccountId, AccountRecord>,
    /// The keys, of accounts managed by files too.
    pub(super) keys: SharedMap<KeyId, KeyRecord>,
    /// The same by account and sorted, so that a change to one account does not look at all keys. Most
    /// accounts have one, or two while one follows the other: a set each would take five times that.
    pub(super) keys_of: SharedMap<AccountId, SmallVec<[KeyId; 2]>>,
    /// The custom roles.
    pub roles: BTreeMap<RoleName, RoleRecord>,
    /// The groups managed by commands.
    pub groups: SharedMap<GroupName, GroupRecord>,
    /// What the store adds to the accounts managed by files.
    pub file_accounts: BTreeMap<AccountName, FileAccountRecord>,
    /// Keys written in files that end earlier than the file says.
    pub file_key_ends: BTreeMap<KeyId, UnixTime>,
    /// Ids of accounts that are gone. They never come back.
    pub dead_accounts: BTreeSet<AccountId>,
    /// Tokens that were taken back, and when they would have run out.
    pub revoked_tokens: BTreeMap<TokenId, UnixTime>,
    /// The signing keys, wrapped, oldest first.
    pub signing_keys: Vec<SigningKeyRecord>,
}

impl Records {
    /// The key with this id.
    pub fn key(&self, id: &KeyId) -> Option<&KeyRecord> {
        self.keys.get(id)
    }

    /// All keys, by id.
    pub fn keys(&self) -> impl Iterator<Item = &KeyRecord> {
        self.keys.values()
    }

    /// How many keys there are.
    pub fn keys_len(&self) -> usize {
        self.keys.len()
    }

    /// The keys of one account, by id.
    pub fn keys_of(&self, account: &AccountId) -> impl Iterator<Item = &KeyRecord> {
        let ids = self.keys_of.get(account).into_iter().flatten();
        ids.filter_map(|id| self.keys.get(id))
    }

    /// Takes tokens back, and forgets those that have run out by `now`.
    pub(super) fn revoke(&mut self, tokens: &[(TokenId, UnixTime)], now: UnixTime) -> Touched {
        let mut forgotten = Vec::new();
        self.revoked_tokens.retain(|id, end| {
            let stays = *end > now;
            if !stays {
                forgotten.push(*id);
            }
            stays
        });
        self.revoked_tokens.extend(tokens.iter().copied());
        Touched {
            revoked: tokens.iter().map(|(id, _)| *id).collect(),
            forgotten,
            ..Touched::default()
        }
    }

    /// Adds or replaces a key.
    pub fn put_key(&mut self, key: KeyRecord) {
        self.index(&key);
        self.keys.insert(key.id, key);
    }

    /// Puts `keys` in the place of all there are. A map that is made at once is half as large as one
    /// that grew key by key.
    pub(super) fn set_keys(&mut self, keys: SharedMap<KeyId, KeyRecord>) {
        self.keys_of = SharedMap::default();
        keys.values().for_each(|key| self.index(key));
        self.keys = keys;
    }

    fn index(&mut self, key: &KeyRecord) {
        let ids = self.keys_of.get_or_insert_with(&key.account, SmallVec::new);
        if let Err(place) = ids.binary_search(&key.id) {
            ids.insert(place, key.id);
        }
    }

    /// Removes a key.
    pub(super) fn remove_key(&mut self, id: &KeyId) {
        let Some(key) = self.keys.remove(id) else {
            return;
        };
        let Some(ids) = self.keys_of.get_mut(&key.account) else {
            return;
        };
        ids.retain(|known| known != id);
        if ids.is_empty() {
            self.keys_of.remove(&key.account);
        }
    }

    /// Removes an account's keys and says which they were.
    pub fn remove_keys_of(&mut self, account: &AccountId) -> BTreeSet<KeyId> {
        let ids = self.keys_of.remove(account).unwrap_or_default();
        for id in &ids {
            self.keys.remove(id);
        }
        ids.into_iter().collect()
    }
}

/// An account managed by commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// Who it is.
    pub id: AccountId,
    /// What it is called, for as long as it lives.
    pub name: AccountName,
    /// What it is for.
    pub description: String,
    /// Whether it may do anything at all.
    pub enabled: bool,
    /// Where it may call from; none means anywhere.
    pub allow_from: Vec<IpNet>,
    /// What it holds itself.
    pub grants: Vec<GrantRecord>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When somebody last changed it.
    pub updated_at: UnixTime,
    /// When it last made a request, as far as that was written back.
    pub last_used_at: Option<UnixTime>,
    /// The set of files it was applied from, if it was.
    pub applied_as: Option<SetName>,
    /// Where those who manage it have to hold the right to; set when it is made.
    pub owner: Boundary,
    /// Who made it, in words, as far as that is known; never changed.
    pub created_by: Maker,
}

/// A role given to an account or a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantRecord {
    /// The role.
    pub role: RoleName,
    /// Where it holds.
    pub within: Boundary,
    /// When its role vanished from the policy. A closed grant gives nothing, even if a role of that
    /// name returns, until it is given anew.
    pub closed_at: Option<UnixTime>,
}

/// A key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its public half.
    pub id: KeyId,
    /// Whose it is.
    pub account: AccountId,
    /// What it is for.
    pub description: String,
    /// `HMAC(pepper, SHA-256(secret))`.
    pub digest: [u8; 32],
    /// When it was made.
    pub created_at: UnixTime,
    /// When somebody last changed it.
    pub updated_at: UnixTime,
    /// From when on it is refused.
    pub expires_at: Option<UnixTime>,
    /// When it was last used, as far as that was written back.
    pub last_used_at: Option<UnixTime>,
    /// From where, if anybody knew.
    pub last_used_from: Option<IpAddr>,
    /// What it is limited to.
    pub limits: KeyLimits,
    /// Who made it, in words, as far as that is known; never changed.
    pub created_by: Maker,
}

/// What a key is limited to, within what its account may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// The only permissions it may use; `None` is no such limit.
    pub only: Option<Vec<PermissionPattern>>,
    /// The only addresses it may be used from, besides what its account says; none means any.
    pub allow_from: Vec<IpNet>,
}

impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("account", &self.account)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A custom role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRecord {
    /// What it is called.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// What it gives itself.
    pub permissions: Vec<PermissionPattern>,
    /// The roles it includes, built-in or custom.
    pub include: Vec<RoleName>,
    /// Whether accounts and groups can be given it.
    pub api_access: bool,
    /// The set of files it was applied from, if it was.
    pub applied_as: Option<SetName>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When somebody last changed it.
    pub updated_at: UnixTime,
    /// Where those who manage it have to hold the right to; set when it is made.
    pub owner: Boundary,
    /// Who made it, in words, as far as that is known; never changed.
    pub created_by: Maker,
}

/// A group managed by commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// What it is called.
    pub name: GroupName,
    /// What it is for.
    pub description: String,
    /// Who is in it.
    pub members: BTreeSet<AccountId>,
    /// What its members hold.
    pub grants: Vec<GrantRecord>,
    /// The set of files it was applied from, if it was.
    pub applied_as: Option<SetName>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When somebody last changed it.
    pub updated_at: UnixTime,
    /// Where those who manage it have to hold the right to; set when it is made.
    pub owner: Boundary,
    /// Who made it, in words, as far as that is known; never changed.
    pub created_by: Maker,
}

/// What the store adds to an account managed by file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAccountRecord {
    /// Who it is: the file's own id, or a random one given at first sight.
    pub id: AccountId,
    /// Whether it is shut off, whatever the file says.
    pub disabled: bool,
    /// When it was first seen.
    pub created_at: UnixTime,
    /// When its override was last changed, or when it was first seen.
    pub updated_at: UnixTime,
    /// When it last made a request, as far as that was written back.
    pub last_used_at: Option<UnixTime>,
    /// When it vanished from the files. A row with this set keeps the override and nothing else: an
    /// account of that name that is written again is a new one.
    pub gone_at: Option<UnixTime>,
}

/// A signing key, its private half wrapped by a key derived from the pepper.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// Its id in token headers.
    pub kid: String,
    /// The public half.
    pub public: [u8; 32],
    /// The private half, sealed.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created_at: UnixTime,
    /// Since when it signs nothing any more.
    pub retired_at: Option<UnixTime>,
}

impl SigningKeyRecord {
    /// Whether nothing it signed is good any more by `now`.
    pub(super) fn is_over(&self, now: UnixTime) -> bool {
        let retired = self.retired_at.map(|at| at.plus(RETIRED_KEYS_KEPT));
        retired.is_some_and(|end| end < now)
    }
}

impl std::fmt::Debug for SigningKeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeyRecord")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
