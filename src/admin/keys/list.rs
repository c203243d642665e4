//! Which keys there are: listed page by page, those that are silent or end soon, and when they were
//! used.

use std::collections::BTreeMap;

use crate::admin::authority::{Eyes, Subject};
use crate::admin::desk::{Answer, Desk, not_found};
use crate::admin::service::Used;
use crate::admin::sorted::sorted;
use crate::admin::{AdminError, view};
use crate::directory::Key;
use crate::policy::FileKey;
use crate::store::{KeyUse, Records};
use crate::words::{Account, AccountId, AccountName, KeyId, UnixTime};

/// Which keys are asked for.
pub(in crate::admin) struct Wanted {
    /// Those that still open something and were not used since, and were there already.
    pub(in crate::admin) unused_since: Option<UnixTime>,
    /// Those that still open something and end before this.
    pub(in crate::admin) ends_before: Option<UnixTime>,
}

impl Wanted {
    fn admits(&self, desk: &Desk<'_>, key: &Key) -> bool {
        if self.unused_since.is_none() && self.ends_before.is_none() {
            return true;
        }
        let made = || desk.records().key(&key.id).map(|record| record.created_at);
        let unused = |since| {
            key.last_used_at()
                .or_else(made)
                .is_none_or(|used| used < since)
        };
        !key.is_expired(desk.now)
            && self.unused_since.is_none_or(unused)
            && self.ends_before.is_none_or(|end| key.is_expired(end))
    }
}

/// Every key, by account and then oldest first, or those of one account; at most `limit` of those
/// that come after `after`.
pub(in crate::admin) fn list(
    desk: &Desk<'_>,
    account: Option<&AccountName>,
    wanted: &Wanted,
    (after, limit): (Option<KeyId>, Option<usize>),
) -> Answer {
    if let Some(account) = account {
        desk.find(account)?;
    }
    let after = match after {
        Some(id) => Some(place(desk, find(desk, &id)?)),
        None => None,
    };
    let begin = after.as_ref().map(|(name, ..)| name.clone());
    let accounts: Vec<_> = desk
        .directory()
        .accounts()
        .filter(|one| account.is_none_or(|account| one.name == *account))
        .filter(|one| begin.as_ref().is_none_or(|begin| one.name >= *begin))
        .collect();
    // Each account is looked at with its keys, and a page needs no more accounts than it has lines,
    // unless some of them have nothing to show.
    let accounts = sorted(accounts, |one, other| one.name.cmp(&other.name));
    let eyes = Eyes::of_many(desk);
    let accounts = accounts.filter(|one| eyes.see(Subject::KeysOf(&one.name)));
    let most = limit.unwrap_or(usize::MAX);
    let mut shown = Vec::new();
    for account in accounts {
        let mut keys: Vec<_> = keys_of(desk, account)
            .filter(|key| wanted.admits(desk, key))
            .map(|key| (place(desk, key), key))
            .filter(|(place, _)| after.as_ref().is_none_or(|after| place > after))
            .collect();
        keys.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let room = most.saturating_sub(shown.len());
        shown.extend(
            keys.into_iter()
                .take(room)
                .map(|(_, key)| view::key(&eyes, key)),
        );
        if shown.len() >= most {
            break;
        }
    }
    Ok(shown.into())
}

/// Where a key stands in the list: by account, then by age; keys of files have none and come first.
fn place(desk: &Desk<'_>, key: &Key) -> (AccountName, Option<UnixTime>, KeyId) {
    let made = desk.records().key(&key.id).map(|record| record.created_at);
    (key.account.name.clone(), made, key.id)
}

/// The keys of an account, those in its file too.
fn keys_of<'d>(desk: &'d Desk<'_>, account: &'d Account) -> impl Iterator<Item = &'d Key> {
    let filed = desk.policy().accounts.get(&account.name);
    let filed = filed.into_iter().flat_map(|entry| &entry.keys);
    let stored = desk.records().keys_of(&account.id).map(|key| key.id);
    let stored: Vec<_> = stored.collect();
    let filed = filed.map(|key| key.id).filter({
        let stored = stored.clone();
        move |id| !stored.contains(id)
    });
    let keys = stored.into_iter().chain(filed);
    keys.filter_map(|id| desk.directory().key(&id))
        .filter(|key| key.account.id == account.id)
}

/// When `of` and their accounts were used, as far as `records` do not know it.
pub(in crate::admin) fn used_since(of: &[&Key], records: &Records) -> Used {
    let mut keys = Vec::new();
    let mut accounts: BTreeMap<&AccountId, UnixTime> = BTreeMap::new();
    for key in of {
        let Some(used) = key.last_used_at() else {
            continue;
        };
        let latest = accounts.entry(&key.account.id).or_insert(used);
        *latest = (*latest).max(used);
        if records
            .key(&key.id)
            .is_some_and(|known| known.last_used_at < Some(used))
        {
            keys.push(KeyUse {
                id: key.id,
                at: used,
                from: key.last_used_from(),
            });
        }
    }
    let rows = records.file_accounts.values();
    let filed: BTreeMap<_, _> = rows.map(|row| (&row.id, row.last_used_at)).collect();
    let known = |id: &AccountId| match records.accounts.get(id) {
        Some(account) => Some(account.last_used_at),
        None => filed.get(id).copied(),
    };
    let later = accounts.into_iter();
    let later = later.filter(|(id, used)| known(id).is_some_and(|known| known < Some(*used)));
    Used {
        keys,
        accounts: later.map(|(id, used)| (id.clone(), used)).collect(),
    }
}

pub(super) fn find<'d>(desk: &'d Desk<'_>, id: &KeyId) -> Result<&'d Key, AdminError> {
    desk.directory().key(id).ok_or_else(|| unknown(id))
}

pub(super) fn unknown(id: &KeyId) -> AdminError {
    not_found(format!(
        "there is no key `{id}`: `portcullis keys list` shows all"
    ))
}

/// The key of a file with this id, unless the store has one.
pub(super) fn file_key<'d>(desk: &'d Desk<'_>, id: &KeyId) -> Option<&'d FileKey> {
    if desk.records().key(id).is_some() {
        return None;
    }
    let accounts = desk.policy().accounts.values();
    accounts
        .flat_map(|account| &account.keys)
        .find(|key| key.id == *id)
}
