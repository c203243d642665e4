//! Records and files in, a directory out: all of it, or what one change touches.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::resolve::Resolver;
use super::shards::Shards;
use super::{Directory, Key, LastUse, Revoked, SigningKeys, StoredDigest};
use crate::policy::{FileAccount, Policy};
use crate::store::{KeyRecord, Records};
use crate::words::{
    Account, AccountId, AccountName, AddressRules, KeyId, PermissionPattern, PermissionSet,
    TokenId, UnixTime,
};

/// From how many accounts on groups and names are turned around first: that costs about as much as to
/// look through all of them so often.
const INDEXED_FROM: usize = 64;

/// A directory, and what should be said about how it came out.
#[derive(Debug)]
pub struct Built {
    /// The directory.
    pub directory: Directory,
    /// Names that stand in both the files and the store, and accounts that cannot be used: one
    /// sentence each. A reload fails on them; a start goes on without what they speak of.
    pub conflicts: Vec<String>,
}

impl Directory {
    /// The directory of `records` and of the policy's own accounts. Keys keep the last use they had
    /// in `before`.
    pub fn build(
        policy: &Policy,
        records: &Records,
        signing: Arc<SigningKeys>,
        before: Option<&Self>,
    ) -> Built {
        let mut resolver = Resolver::new(policy, records);
        resolver.index();
        let accounts = records.accounts.len() + policy.accounts.len();
        let mut directory = Self {
            accounts: Shards::with_room(accounts),
            names: Shards::with_room(accounts),
            keys: Shards::with_room(records.keys_len()),
            signing,
            revoked: Revoked::of(records.revoked_tokens.keys().copied()),
        };
        let mut conflicts = resolver.twofold_names();
        for record in records.accounts.values() {
            directory.put(resolver.stored(record), Reach::ByName);
        }
        for (name, entry) in &policy.accounts {
            let (account, conflict) = resolver.filed(name, entry);
            let reach = if conflict.is_some() {
                Reach::ByIdOnly
            } else {
                Reach::ByName
            };
            conflicts.extend(conflict);
            let Some(account) = account else { continue };
            if let Some(other) = directory.account(&account.id) {
                conflicts.push(format!(
                    "{}: id `{}` of account `{name}` is also the id of account `{}`: choose another",
                    entry.place, account.id, other.name
                ));
                continue;
            }
            directory.put(account, reach);
        }
        for key in records.keys() {
            directory.put_stored_key(policy, key, before);
        }
        for (name, entry) in &policy.accounts {
            directory.put_filed_keys(&resolver, (name, entry), before);
        }
        Built {
            directory,
            conflicts,
        }
    }

    /// The directory of a policy's own accounts alone, for asking what a policy would do: `check`,
    /// `can-i` without a server. Accounts without an id get one for the occasion.
    pub fn of_files(policy: &Policy) -> Built {
        let records = Self::records_of_files(policy);
        Self::build(policy, &records, Arc::default(), None)
    }

    /// The records that make accounts of a policy's own: an id for each that has none.
    pub(crate) fn records_of_files(policy: &Policy) -> Records {
        let mut records = Records::default();
        for (name, entry) in &policy.accounts {
            let row = crate::store::FileAccountRecord {
                id: entry.id.clone().unwrap_or_else(AccountId::random),
                disabled: false,
                created_at: UnixTime::default(),
                updated_at: UnixTime::default(),
                last_used_at: None,
                gone_at: None,
            };
            records.file_accounts.insert(name.clone(), row);
        }
        records
    }

    /// This directory with the accounts `ids` and their keys worked out again. Costs what those
    /// accounts cost, however many others there are. Accounts of `ids` that are gone from the
    /// records must have been taken out with [`Directory::without`].
    #[must_use]
    pub fn with(&self, policy: &Policy, records: &Records, ids: &BTreeSet<AccountId>) -> Self {
        let mut resolver = Resolver::new(policy, records);
        if ids.len() > INDEXED_FROM {
            resolver.index();
        }
        let mut directory = self.clone();
        for id in ids {
            if let Some(record) = records.accounts.get(id) {
                directory.put(resolver.stored(record), Reach::ByName);
            } else if let Some((name, entry)) = resolver.file_account(id)
                && let (Some(account), conflict) = resolver.filed(name, entry)
            {
                let reach = if conflict.is_some() {
                    Reach::ByIdOnly
                } else {
                    Reach::ByName
                };
                directory.put(account, reach);
                directory.put_filed_keys(&resolver, (name, entry), Some(self));
            }
            for key in records.keys_of(id) {
                directory.put_stored_key(policy, key, Some(self));
            }
        }
        directory
    }

    /// This directory without an account and its keys.
    #[must_use]
    pub fn without(&self, id: &AccountId, keys: &BTreeSet<KeyId>) -> Self {
        let mut directory = self.clone();
        if let Some(account) = self.accounts.get(id) {
            let named = self.names.get(&account.name);
            if named.is_some_and(|named| named.id == *id) {
                directory.names.remove(&account.name);
            }
        }
        directory.accounts.remove(id);
        keys.iter().for_each(|key| directory.keys.remove(key));
        directory
    }

    /// This directory without some keys.
    #[must_use]
    pub(crate) fn without_keys<'k>(&self, keys: impl IntoIterator<Item = &'k KeyId>) -> Self {
        let mut directory = self.clone();
        keys.into_iter().for_each(|key| directory.keys.remove(key));
        directory
    }

    /// This directory with the tokens `revoked` taken back besides those that are, and without those
    /// that are `forgotten`. Costs what these cost, however many others there are.
    #[must_use]
    pub fn with_revoked(&self, revoked: &[TokenId], forgotten: &[TokenId]) -> Self {
        let mut tokens = Shards::clone(&self.revoked.tokens);
        forgotten.iter().for_each(|id| tokens.remove(id));
        revoked.iter().for_each(|id| tokens.insert(*id, ()));
        Self {
            revoked: Revoked {
                count: tokens.len(),
                tokens: Arc::new(tokens),
            },
            ..self.clone()
        }
    }

    /// This directory with other signing keys.
    #[must_use]
    pub fn with_signing(&self, signing: Arc<SigningKeys>) -> Self {
        Self {
            signing,
            ..self.clone()
        }
    }

    fn put(&mut self, account: Account, reach: Reach) {
        let account = Arc::new(account);
        if reach == Reach::ByName {
            self.names
                .insert(account.name.clone(), Arc::clone(&account));
        }
        self.accounts.insert(account.id.clone(), account);
    }

    fn put_stored_key(&mut self, policy: &Policy, record: &KeyRecord, before: Option<&Self>) {
        let used = (record.last_used_at, record.last_used_from);
        let last_used = last_used(record.id, used, before);
        let limits = &record.limits;
        // A key whose account is not there opens nothing, so it need not be known.
        if let Some(account) = self.accounts.get(&record.account) {
            let key = Key {
                id: record.id,
                account: Arc::clone(account),
                digest: StoredDigest::Keyed(record.digest),
                expires_at: record.expires_at,
                subset: limits.only.as_ref().map(|only| covered(policy, only)),
                addresses: addresses(&limits.allow_from),
                last_used,
            };
            self.keys.insert(record.id, key);
        }
    }

    fn put_filed_keys(
        &mut self,
        resolver: &Resolver<'_>,
        (name, entry): (&AccountName, &FileAccount),
        before: Option<&Self>,
    ) {
        let id = resolver.file_id(name, entry);
        // Where name or id stand for an account of the store or of another file, that account must
        // not get these keys.
        let stranger = id.is_none_or(|id| resolver.records.accounts.contains_key(id));
        let account = id.and_then(|id| self.accounts.get(id)).cloned();
        let Some(account) = account.filter(|account| !stranger && account.name == *name) else {
            return;
        };
        for key in &entry.keys {
            // The store's key of that id came first, and two meanings are none.
            if resolver.records.key(&key.id).is_some() {
                continue;
            }
            let ends = resolver.records.file_key_ends.get(&key.id);
            let expires_at = key.expires_at.into_iter().chain(ends.copied()).min();
            let key = Key {
                id: key.id,
                account: Arc::clone(&account),
                digest: StoredDigest::Plain(key.digest),
                expires_at,
                subset: key.only.as_ref().map(|only| covered(resolver.policy, only)),
                addresses: addresses(&key.allow_from),
                last_used: last_used(key.id, (None, None), before),
            };
            self.keys.insert(key.id, key);
        }
    }
}

/// Whether an account is found by its name. One whose name stands for another is not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    ByName,
    ByIdOnly,
}

fn last_used(
    id: KeyId,
    (at, from): (Option<UnixTime>, Option<IpAddr>),
    before: Option<&Directory>,
) -> Arc<LastUse> {
    match before.and_then(|before| before.key(&id)) {
        Some(known) => Arc::clone(&known.last_used),
        None => Arc::new(LastUse::new(at, from)),
    }
}

fn addresses(allow_from: &[IpNet]) -> Option<Arc<AddressRules>> {
    (!allow_from.is_empty()).then(|| Arc::new(AddressRules::new(allow_from.to_vec())))
}

/// The permissions that any of `patterns` covers. One that the policy does not declare (any more)
/// gives nothing, so a key limited to it opens nothing.
fn covered(policy: &Policy, patterns: &[PermissionPattern]) -> PermissionSet {
    let covered = policy.every_permission().filter(|(_, permission)| {
        let mut patterns = patterns.iter();
        patterns.any(|pattern| pattern.covers(permission))
    });
    covered.map(|(id, _)| id).collect()
}
