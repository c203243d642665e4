//! Operations on keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::desk::{Answer, Desk, Found, check_description, conflict, invalid, not_found};
use super::service::Used;
use super::{AdminError, ErrorKind, view};
use crate::directory::{Directory, Key};
use crate::policy::FileKey;
use crate::store::{Change, KeyLimits, KeyRecord, KeyUse, Pepper, Records};
use crate::words::{AccountId, AccountName, KeyId, Secret, UnixTime};

/// Longest overlap of a rotation: longer, and nobody remembers that the old key is still alive.
const OVERLAP_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Most keys of one account that are alive. People keep two or three; a script that makes one a
/// call stops here rather than at the end of the memory.
const KEYS_MAX: usize = 256;

pub(super) fn create(
    desk: &mut Desk<'_>,
    account: &AccountName,
    description: String,
    expires_at: Option<UnixTime>,
) -> Answer {
    let id = holder(desk, account)?;
    check_description(&description)?;
    if let Some(end) = expires_at.filter(|end| *end <= desk.now) {
        return Err(invalid(format!(
            "the key would end at {end}, which is over: name a later time"
        )));
    }
    check_room(desk, &id, account, None)?;
    let (key, secret) = new_key(desk, id, description, expires_at)?;
    let id = key.id;
    desk.change(&Change::CreateKey(key))?;
    handed_out(desk, id, &secret)
}

/// Whose keys the store may keep: its own accounts', and those of files that do not keep theirs.
fn holder(desk: &Desk<'_>, account: &AccountName) -> Result<AccountId, AdminError> {
    match desk.find(account)? {
        Found::Stored(record) => Ok(record.id.clone()),
        Found::Filed(entry) => {
            desk.must_store(
                &format!("the keys of account `{account}`"),
                Some(&entry.place),
            )?;
            let row = desk.records().file_accounts.get(account);
            let row = row.filter(|row| row.gone_at.is_none());
            row.map(|row| row.id.clone()).ok_or_else(|| {
                conflict(format!(
                    "account `{account}` cannot have keys: its name or id stands for another \
                     account too; see `portcullis status`"
                ))
            })
        }
    }
}

/// Refuses one more key where there are as many as there may be; `ending` is about to end and does
/// not count.
fn check_room(
    desk: &Desk<'_>,
    id: &AccountId,
    account: &AccountName,
    ending: Option<KeyId>,
) -> Result<(), AdminError> {
    let alive = desk
        .records()
        .keys_of(id)
        .filter(|key| is_alive(key, desk.now) && Some(key.id) != ending)
        .count();
    if alive >= KEYS_MAX {
        return Err(conflict(format!(
            "account `{account}` has {alive} keys that are alive, and at most {KEYS_MAX} are \
             allowed: expire some"
        )));
    }
    Ok(())
}

fn is_alive(key: &KeyRecord, now: UnixTime) -> bool {
    key.expires_at.is_none_or(|end| end > now)
}

fn new_key(
    desk: &Desk<'_>,
    account: AccountId,
    description: String,
    expires_at: Option<UnixTime>,
) -> Result<(KeyRecord, Secret), AdminError> {
    let secret = Secret::random();
    let key = KeyRecord {
        id: KeyId::random(),
        account,
        description,
        digest: pepper(desk)?.keyed(&secret.digest()),
        created_at: desk.now,
        updated_at: desk.now,
        expires_at,
        last_used_at: None,
        last_used_from: None,
        created_by: None,
        limits: KeyLimits::default(),
    };
    Ok((key, secret))
}

fn pepper<'d>(desk: &'d Desk<'_>) -> Result<&'d Arc<Pepper>, AdminError> {
    desk.service.pepper.as_ref().ok_or_else(|| {
        AdminError::new(
            ErrorKind::Unavailable,
            "there is no pepper to keep a key's digest with",
        )
    })
}

/// The one answer that holds a secret.
fn handed_out(desk: &Desk<'_>, id: KeyId, secret: &Secret) -> Answer {
    let key = find(desk, &id)?;
    Ok(json!({
        "id": id,
        "secret": secret.reveal(),
        "account": key.account.name,
        "created_at": desk.now,
        "expires_at": key.expires_at,
    }))
}

/// Every key, by account and then oldest first; those of one account if it is named.
pub(super) fn list(desk: &Desk<'_>, account: Option<&AccountName>) -> Answer {
    if let Some(account) = account {
        desk.find(account)?;
    }
    let mut keys: Vec<_> = desk
        .directory()
        .keys()
        .filter(|key| account.is_none_or(|account| key.account.name == *account))
        .collect();
    let age = |key: &Key| desk.records().key(&key.id).map(|record| record.created_at);
    keys.sort_by_cached_key(|key| (key.account.name.clone(), age(key), key.id));
    Ok(keys.into_iter().map(|key| view::key(desk, key)).collect())
}

/// A second key for the same account, and an end for the first. The new one ends when the first was
/// meant to: whoever holds a key for a while does not get one for ever by replacing it.
pub(super) fn rotate(desk: &mut Desk<'_>, old: KeyId, overlap_seconds: u64) -> Answer {
    if let Some(filed) = file_key(desk, &old) {
        return Err(conflict(format!(
            "key `{old}` is managed by file: replace it in {}",
            filed.place
        )));
    }
    let overlap = Duration::from_secs(overlap_seconds);
    if overlap > OVERLAP_MAX {
        return Err(invalid(format!(
            "an overlap of {} is too long: at most {} is allowed",
            humantime::format_duration(overlap),
            humantime::format_duration(OVERLAP_MAX)
        )));
    }
    let Some(record) = desk.records().key(&old) else {
        return Err(unknown(&old));
    };
    if let Some(end) = record.expires_at.filter(|end| *end <= desk.now) {
        return Err(conflict(format!(
            "key `{old}` ended at {end}: make a new one with `portcullis keys create`"
        )));
    }
    let ends_at = desk.now.plus(overlap);
    let meant_to_end_at = record.expires_at;
    let old_ends_at = meant_to_end_at.map_or(ends_at, |end| end.min(ends_at));
    let (account, description) = (record.account.clone(), record.description.clone());
    let name = find(desk, &old)?.account.name.clone();
    let ending = (old_ends_at <= desk.now).then_some(old);
    check_room(desk, &account, &name, ending)?;
    let (new, secret) = new_key(desk, account, description, meant_to_end_at)?;
    let id = new.id;
    desk.change(&Change::RotateKey {
        new,
        old,
        old_ends_at,
    })?;
    let mut answer = handed_out(desk, id, &secret)?;
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("replaces".into(), json!(old));
        answer.insert("replaces_expires_at".into(), json!(old_ends_at));
    }
    Ok(answer)
}

/// Sets the end of a key. Never refused, except that what is over stays over.
pub(super) fn expire(desk: &mut Desk<'_>, id: KeyId, at: Option<UnixTime>) -> Answer {
    let (at, now) = (at.unwrap_or(desk.now), desk.now);
    let over = find(desk, &id)?.expires_at.filter(|end| *end <= now);
    if let Some(end) = over {
        if at > now {
            return Err(conflict(format!(
                "key `{id}` ended at {end} and does not come back: make a new one with \
                 `portcullis keys create`"
            )));
        }
        return Ok(view::key(desk, find(desk, &id)?));
    }
    let change = match file_key(desk, &id) {
        None => Change::ExpireKey { id, at, now },
        Some(filed) => {
            desk.must_store(&format!("key `{id}`"), Some(&filed.place))?;
            Change::EndFileKey { id, at }
        }
    };
    desk.change(&change)?;
    Ok(view::key(desk, find(desk, &id)?))
}

fn find<'d>(desk: &'d Desk<'_>, id: &KeyId) -> Result<&'d Key, AdminError> {
    desk.directory().key(id).ok_or_else(|| unknown(id))
}

fn unknown(id: &KeyId) -> AdminError {
    not_found(format!(
        "there is no key `{id}`: `portcullis keys list` shows all"
    ))
}

/// The key of a file with this id, unless the store has one.
fn file_key<'d>(desk: &'d Desk<'_>, id: &KeyId) -> Option<&'d FileKey> {
    if desk.records().key(id).is_some() {
        return None;
    }
    let accounts = desk.policy().accounts.values();
    accounts
        .flat_map(|account| &account.keys)
        .find(|key| key.id == *id)
}

/// When keys and accounts were used, as far as `records` do not know it.
pub(super) fn used_since(directory: &Directory, records: &Records) -> Used {
    let mut keys = Vec::new();
    let mut accounts: BTreeMap<&AccountId, UnixTime> = BTreeMap::new();
    for key in directory.keys() {
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
                from: None,
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
