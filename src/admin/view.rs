//! How things are shown. Every command's JSON comes from here, so the words are the same
//! everywhere.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::authority::{Eyes, Subject};
use super::desk::Desk;
use crate::audit::Actor;
use crate::directory::{Key, Resolver};
use crate::policy::{FileAccount, FileGrant, FileGroup};
use crate::store::{AccountRecord, GrantRecord, GroupRecord, Maker};
use crate::words::{AccountId, AccountName, Boundary, GroupName, RoleName, UnixTime};

/// Who is not named to those who do not see him.
const SOMEBODY_ELSE: &str = "an account that you do not see";

/// An account of the store.
pub(super) fn account(eyes: &Eyes<'_>, record: &AccountRecord) -> Value {
    let desk = eyes.desk;
    json!({
        "name": record.name,
        "id": record.id,
        "description": record.description,
        "enabled": record.enabled,
        "managed_by": "store",
        "grants": grants(eyes, &record.grants),
        "groups": groups_of(eyes, &record.id, &record.name),
        "allow_from": record.allow_from,
        "applied_as": record.applied_as,
        "owner": record.owner,
        "created_by": made_by(eyes, &record.created_by),
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "last_used_at": last_used(desk, &record.id, record.last_used_at),
    })
}

/// An account of a file.
pub(super) fn file_account(eyes: &Eyes<'_>, name: &AccountName, entry: &FileAccount) -> Value {
    let desk = eyes.desk;
    let row = desk.records().file_accounts.get(name);
    let row = row.filter(|row| row.gone_at.is_none());
    let id = entry.id.as_ref().or(row.map(|row| &row.id));
    let known = id.and_then(|id| desk.directory().account(id));
    // An id may stand for another account; then this one is refused everything.
    let known = known.filter(|known| known.name == *name);
    let used = row.and_then(|row| row.last_used_at);
    json!({
        "name": name,
        "id": id,
        "description": entry.description,
        "enabled": known.is_some_and(|known| known.enabled),
        // Whether a command has shut it off, whatever its file says.
        "overridden": row.is_some_and(|row| row.disabled),
        "managed_by": "file",
        "file": entry.place.to_string(),
        "grants": file_grants(eyes, &entry.grants),
        "groups": id.map(|id| groups_of(eyes, id, name)).unwrap_or_default(),
        "allow_from": entry.allow_from,
        "created_by": Value::Null,
        "created_at": row.map(|row| row.created_at),
        "updated_at": row.map(|row| row.updated_at),
        "last_used_at": id.and_then(|id| last_used(desk, id, used)),
    })
}

/// A group of the store.
pub(super) fn group(eyes: &Eyes<'_>, record: &GroupRecord) -> Value {
    let accounts = record
        .members
        .iter()
        .filter_map(|id| eyes.desk.records().accounts.get(id));
    let members = accounts.map(|account| &account.name);
    let seen = |name: &&AccountName| eyes.see(Subject::Account(name));
    let mut members: Vec<_> = members.filter(seen).collect();
    members.sort();
    json!({
        "name": record.name,
        "description": record.description,
        "managed_by": "store",
        "members": members,
        "grants": grants(eyes, &record.grants),
        "applied_as": record.applied_as,
        "owner": record.owner,
        "created_by": made_by(eyes, &record.created_by),
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    })
}

/// A group of a file.
pub(super) fn file_group(eyes: &Eyes<'_>, name: &GroupName, entry: &FileGroup) -> Value {
    let seen = |name: &&AccountName| eyes.see(Subject::Account(name));
    json!({
        "name": name,
        "description": entry.description,
        "managed_by": "file",
        "file": entry.place.to_string(),
        "members": entry.members.iter().filter(seen).collect::<Vec<_>>(),
        "grants": file_grants(eyes, &entry.grants),
    })
}

/// A key, without anything that would help to guess its secret.
pub(super) fn key(eyes: &Eyes<'_>, key: &Key) -> Value {
    let desk = eyes.desk;
    let record = desk.records().key(&key.id);
    let filed = desk.policy().accounts.get(&key.account.name);
    let filed = filed.and_then(|entry| entry.keys.iter().find(|filed| filed.id == key.id));
    let description = record.map(|record| &record.description);
    let only = record.map(|record| &record.limits.only);
    let allow_from = record.map(|record| &record.limits.allow_from);
    json!({
        "id": key.id,
        "account": key.account.name,
        "description": description.or(filed.map(|filed| &filed.description)).map_or("", String::as_str),
        "managed_by": if record.is_some() { "store" } else { "file" },
        "created_by": record.and_then(|record| made_by(eyes, &record.created_by)),
        "created_at": record.map(|record| record.created_at),
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at(),
        "last_used_from": key.last_used_from(),
        "only": only.or(filed.map(|filed| &filed.only)).and_then(Option::as_ref),
        "allow_from": allow_from.or(filed.map(|filed| &filed.allow_from)).map_or(&[][..], Vec::as_slice),
        "state": state(desk, key),
    })
}

/// Who made something, as far as that is known. Of an account that whoever asks does not see, that it
/// was one.
pub(super) fn made_by<'r>(eyes: &Eyes<'_>, maker: &'r Maker) -> Option<&'r str> {
    let said = maker.as_deref()?;
    let hidden = Actor::account_in(said).is_some_and(|name| !eyes.know(&name));
    Some(if hidden { SOMEBODY_ELSE } else { said })
}

/// `expired`, `expiring` within the time that `keys.warn_before` sets, or `active`.
fn state(desk: &Desk<'_>, key: &Key) -> &'static str {
    let soon = desk.now.plus(desk.service.keys.warn_before);
    match key.expires_at {
        Some(end) if end <= desk.now => "expired",
        Some(end) if end <= soon => "expiring",
        Some(_) | None => "active",
    }
}

fn grants(eyes: &Eyes<'_>, grants: &[GrantRecord]) -> Vec<Value> {
    let mut resolver = eyes.resolver();
    let show = |held: &GrantRecord| grant(&mut resolver, &held.role, &held.within, held.closed_at);
    grants.iter().map(show).collect()
}

fn file_grants(eyes: &Eyes<'_>, grants: &[FileGrant]) -> Vec<Value> {
    let mut resolver = eyes.resolver();
    let show = |held: &FileGrant| grant(&mut resolver, &held.role, &held.within, None);
    grants.iter().map(show).collect()
}

fn grant(
    resolver: &mut Resolver<'_>,
    role: &RoleName,
    within: &Boundary,
    closed_at: Option<UnixTime>,
) -> Value {
    let mut shown = Map::new();
    shown.insert("role".into(), json!(role));
    shown.insert("within".into(), json!(within));
    if let Err(closed) = resolver.worth(role, within, closed_at) {
        shown.insert("closed".into(), json!(closed.to_string()));
    }
    Value::Object(shown)
}

fn groups_of<'d>(eyes: &Eyes<'d>, id: &AccountId, name: &AccountName) -> BTreeSet<&'d GroupName> {
    let all = {
        let resolver = eyes.resolver();
        let stored = resolver.groups_of(id).into_iter();
        stored.chain(resolver.file_groups_of(name))
    };
    all.filter(|name| eyes.see(Subject::Group(name))).collect()
}

/// The latest use of any of its keys, or what is known from before.
fn last_used(desk: &Desk<'_>, id: &AccountId, before: Option<UnixTime>) -> Option<UnixTime> {
    let keys = desk
        .records()
        .keys_of(id)
        .filter_map(|key| desk.directory().key(&key.id));
    keys.filter_map(Key::last_used_at).chain(before).max()
}
