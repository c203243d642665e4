//! Operations on keys.

mod ends;
mod list;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::json;

use super::authority::{Eyes, Subject};
use super::desk::{
    Answer, Desk, Found, check_description, check_networks, conflict, invalid, managed_by_file,
};
use super::{AdminError, ErrorKind, ImportedKey, view};
use crate::store::{Change, KeyLimits, KeyRecord, Pepper};
use crate::words::{AccountId, AccountName, KeyId, PermissionPattern, Secret, UnixTime};

use ends::{end_of, inherited, too_long};
pub(super) use list::{Wanted, list, used_since};
use list::{file_key, find, unknown};

/// Longest overlap of a rotation: longer, and nobody remembers that the old key is still alive.
const OVERLAP_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Most permissions that one key is limited to by name.
const LIMITS_MAX: usize = 1024;
/// Most keys of one account that are alive. People keep two or three; a script that makes one a
/// call stops here rather than at the end of the memory.
const KEYS_MAX: usize = 256;
/// Most keys of one account that are kept though they have ended; with one more the oldest is forgotten.
/// A key an hour is a quarter's worth twice over, and a script that makes and ends them all day stops here.
pub(super) const ENDED_KEYS_MAX: usize = 1024;

/// What a new key shall be.
pub(super) struct Plan {
    description: String,
    expires_at: Option<UnixTime>,
    limits: KeyLimits,
}

impl Plan {
    /// A plan; without names in `only` the key may use whatever its account may.
    pub(super) fn new(
        description: String,
        expires_at: Option<UnixTime>,
        only: Vec<PermissionPattern>,
        allow_from: Vec<IpNet>,
    ) -> Self {
        Self {
            description,
            expires_at,
            limits: KeyLimits {
                only: (!only.is_empty()).then_some(only),
                allow_from,
            },
        }
    }

    /// The plan with the end that it gets by the settings.
    fn checked(self, desk: &Desk<'_>) -> Result<Self, AdminError> {
        check_description(&self.description)?;
        check_limits(desk, &self.limits)?;
        let expires_at = end_of(desk, self.expires_at)?;
        Ok(Self { expires_at, ..self })
    }
}

/// Refuses limits that cannot be meant: permissions that the policy does not declare.
fn check_limits(desk: &Desk<'_>, limits: &KeyLimits) -> Result<(), AdminError> {
    check_networks(&limits.allow_from)?;
    let only = limits.only.as_deref().unwrap_or_default();
    if only.len() > LIMITS_MAX {
        return Err(invalid(format!(
            "these are {} permissions, and at most {LIMITS_MAX} are allowed: use `resource:*`",
            only.len()
        ))
        .at("only"));
    }
    desk.check_declared("only", only)
}

pub(super) fn create(desk: &mut Desk<'_>, account: &AccountName, plan: Plan) -> Answer {
    let id = holder(desk, account)?;
    let plan = plan.checked(desk)?;
    check_room(desk, &id, account, (None, 1))?;
    let (key, secret) = new_key(desk, id.clone(), plan)?;
    let made = key.id;
    change_and_forget(desk, &id, Change::CreateKey(key))?;
    handed_out(desk, made, &secret)
}

/// What is said of a secret that another key has.
fn shared_with(desk: &Desk<'_>, other: &KeyId) -> String {
    let whose = match desk.sees(Subject::Key(other)) {
        true => format!("key `{other}`"),
        false => "another key".to_owned(),
    };
    format!("{whose} has the same secret, and two keys must not share one")
}

/// Keys whose secrets are elsewhere already. All of them, or none.
pub(super) fn import(
    desk: &mut Desk<'_>,
    account: &AccountName,
    keys: &[ImportedKey],
    plan: &Plan,
) -> Answer {
    let holder = holder(desk, account)?;
    check_limits(desk, &plan.limits)?;
    let expires_at = end_of(desk, plan.expires_at)?;
    if keys.is_empty() {
        return Err(invalid("there is no digest to import"));
    }
    check_room(desk, &holder, account, (None, keys.len()))?;
    let pepper = Arc::clone(pepper(desk)?);
    let known: HashMap<[u8; 32], KeyId> = desk
        .records()
        .keys()
        .map(|key| (key.digest, key.id))
        .collect();
    let mut records: Vec<KeyRecord> = Vec::new();
    for (place, key) in keys.iter().enumerate() {
        let refuse =
            |what: String| invalid(format!("digest {} of {}: {what}", place + 1, keys.len()));
        check_description(&key.description)?;
        if key.digest.is_of_nothing() {
            return Err(refuse(
                "it is the digest of no bytes at all, not of a secret".to_owned(),
            ));
        }
        let digest = pepper.keyed(&key.digest);
        let twice = records.iter().any(|record| record.digest == digest);
        if let Some(other) = known.get(&digest) {
            return Err(conflict(refuse(shared_with(desk, other)).message));
        }
        if twice {
            return Err(refuse("it stands there twice".to_owned()));
        }
        records.push(KeyRecord {
            id: key.id.unwrap_or_else(KeyId::random),
            account: holder.clone(),
            description: key.description.clone(),
            digest,
            created_at: desk.now,
            updated_at: desk.now,
            expires_at,
            last_used_at: None,
            last_used_from: None,
            created_by: desk.maker(),
            limits: plan.limits.clone(),
        });
    }
    let ids: Vec<_> = records.iter().map(|record| record.id).collect();
    for id in &ids {
        // A file's key, or one that ended: its id keeps its one meaning.
        if desk.directory().key(id).is_some() || desk.records().file_key_ends.contains_key(id) {
            return Err(conflict(format!("there is a key `{id}` already, or was")));
        }
    }
    let changes = records.into_iter().map(Change::CreateKey);
    change_and_forget(desk, &holder, Change::Batch(changes.collect()))?;
    ids.iter().map(|id| show(desk, id)).collect()
}

/// One key, without its secret.
pub(super) fn show(desk: &Desk<'_>, id: &KeyId) -> Answer {
    Ok(view::key(&Eyes::of(desk), find(desk, id)?))
}

/// Another description, other limits.
pub(super) fn update(
    desk: &mut Desk<'_>,
    id: KeyId,
    description: Option<String>,
    (only, allow_from): (Option<Vec<PermissionPattern>>, Option<Vec<IpNet>>),
) -> Answer {
    if let Some(filed) = file_key(desk, &id) {
        return Err(managed_by_file("key", id.as_str(), &filed.place));
    }
    let record = desk.records().key(&id).ok_or_else(|| unknown(&id))?;
    description.as_deref().map_or(Ok(()), check_description)?;
    let before = record.limits.clone();
    let limits = (only.is_some() || allow_from.is_some()).then(|| KeyLimits {
        only: match only {
            Some(only) => (!only.is_empty()).then_some(only),
            None => before.only,
        },
        allow_from: allow_from.unwrap_or(before.allow_from),
    });
    limits
        .as_ref()
        .map_or(Ok(()), |limits| check_limits(desk, limits))?;
    let now = desk.now;
    desk.change(&Change::UpdateKey {
        id,
        description,
        limits,
        now,
    })?;
    show(desk, &id)
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

/// Refuses `more` keys where there would be more than there may be; `ending` is about to end and
/// does not count.
fn check_room(
    desk: &Desk<'_>,
    id: &AccountId,
    account: &AccountName,
    (ending, more): (Option<KeyId>, usize),
) -> Result<(), AdminError> {
    let alive = desk
        .records()
        .keys_of(id)
        .filter(|key| is_alive(key, desk.now) && Some(key.id) != ending)
        .count();
    if alive.saturating_add(more) > KEYS_MAX {
        return Err(conflict(format!(
            "account `{account}` has {alive} keys that are alive, and at most {KEYS_MAX} are \
             allowed: expire some"
        )));
    }
    Ok(())
}

/// Makes a change that gives an account one key more, and forgets the one that ended first where too many
/// are kept: once made and ended, a key is kept in memory, and anybody who may make one may make another.
fn change_and_forget(
    desk: &mut Desk<'_>,
    account: &AccountId,
    change: Change,
) -> Result<(), AdminError> {
    let keys = desk.records().keys_of(account);
    let ended = keys.filter(|key| !is_alive(key, desk.now));
    let mut ended: Vec<_> = ended.map(|key| (key.expires_at, key.id)).collect();
    ended.sort_unstable();
    let over = ended.len().saturating_sub(ENDED_KEYS_MAX - 1);
    let ids: Vec<_> = ended.into_iter().take(over).map(|(_, id)| id).collect();
    if ids.is_empty() {
        return desk.change(&change);
    }
    let forget = Change::ForgetKeys {
        ids,
        ends_stay: false,
    };
    desk.change(&Change::Batch(vec![change, forget]))
}

fn is_alive(key: &KeyRecord, now: UnixTime) -> bool {
    key.expires_at.is_none_or(|end| end > now)
}

fn new_key(
    desk: &Desk<'_>,
    account: AccountId,
    plan: Plan,
) -> Result<(KeyRecord, Secret), AdminError> {
    let secret = Secret::random();
    let key = KeyRecord {
        id: KeyId::random(),
        account,
        description: plan.description,
        digest: pepper(desk)?.keyed(&secret.digest()),
        created_at: desk.now,
        updated_at: desk.now,
        expires_at: plan.expires_at,
        last_used_at: None,
        last_used_from: None,
        created_by: desk.maker(),
        limits: plan.limits,
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

/// A second key for the same account with the same limits, and an end for the first. Unless told
/// otherwise the new one ends when the first was meant to: whoever holds a key for a while does not
/// get one for ever by replacing it.
pub(super) fn rotate(
    desk: &mut Desk<'_>,
    old: KeyId,
    overlap_seconds: u64,
    expires_at: Option<UnixTime>,
) -> Answer {
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
    let overlap_ends_at = desk.now.plus(overlap);
    let meant_to_end_at = record.expires_at;
    let old_ends_at = meant_to_end_at.map_or(overlap_ends_at, |end| end.min(overlap_ends_at));
    let account = record.account.clone();
    let (ends_at, shortened_from) = match expires_at {
        Some(wished) => (end_of(desk, Some(wished))?, None),
        None => inherited(desk, meant_to_end_at),
    };
    let plan = Plan {
        description: record.description.clone(),
        limits: record.limits.clone(),
        expires_at: ends_at,
    };
    let name = find(desk, &old)?.account.name.clone();
    let ending = (old_ends_at <= desk.now).then_some(old);
    check_room(desk, &account, &name, (ending, 1))?;
    let (new, secret) = new_key(desk, account.clone(), plan)?;
    let id = new.id;
    let rotation = Change::RotateKey {
        new,
        old,
        old_ends_at,
    };
    change_and_forget(desk, &account, rotation)?;
    let mut answer = handed_out(desk, id, &secret)?;
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("replaces".into(), json!(old));
        answer.insert("replaces_expires_at".into(), json!(old_ends_at));
        if let Some(end) = meant_to_end_at {
            answer.insert("replaces_was_to_end_at".into(), json!(end));
        }
        if shortened_from.is_some() {
            answer.insert("shortened_from".into(), json!(shortened_from));
        }
    }
    Ok(answer)
}

/// Sets the end of a key. Now is never refused, whatever else is; what is over stays over.
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
        desk.so_already()?;
        return show(desk, &id);
    }
    let born = desk.records().key(&id).map(|record| record.created_at);
    if let (Some(most), Some(born)) = (desk.service.keys.max_lifetime, born)
        && at > now
        && at > born.plus(most)
    {
        return Err(too_long(at, most, born.plus(most)));
    }
    let change = match file_key(desk, &id) {
        None => Change::ExpireKey { id, at, now },
        Some(filed) => {
            desk.must_store(&format!("key `{id}`"), Some(&filed.place))?;
            Change::EndFileKey { id, at }
        }
    };
    desk.change(&change)?;
    show(desk, &id)
}
