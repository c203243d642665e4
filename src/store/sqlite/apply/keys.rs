//! Rows of keys.

use rusqlite::params;

use super::{Done, Tx, exists, found, refuse_twice, run};
use crate::store::sqlite::rows::{json, millis};
use crate::store::{Change, KeyRecord};
use crate::words::{KeyId, UnixTime};

pub(super) fn create_key(tx: Tx<'_>, key: &KeyRecord) -> Done {
    let id = key.id.as_str();
    refuse_twice(tx, "SELECT 1 FROM keys WHERE id = ?1", "key", id)?;
    let live = "SELECT 1 FROM ids WHERE id = ?1 AND dead_at IS NULL";
    if !exists(tx, live, key.account.as_str())? {
        return found(0, "account", key.account.as_str());
    }
    run(
        tx,
        "INSERT INTO keys (id, account, description, digest, created_at, updated_at, expires_at, \
         last_used_at, last_used_from, may_use, allow_from, created_by) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            id,
            key.account.as_str(),
            key.description,
            key.digest,
            millis(key.created_at),
            millis(key.updated_at),
            key.expires_at.map(millis),
            key.last_used_at.map(millis),
            key.last_used_from.map(|from| from.to_string()),
            key.limits.only.as_ref().map(json),
            json(&key.limits.allow_from),
            key.created_by
        ],
    )?;
    Ok(())
}

pub(super) fn end_key(tx: Tx<'_>, id: &KeyId, at: UnixTime, now: UnixTime) -> Done {
    let update = "UPDATE keys SET expires_at = ?2, updated_at = ?3 WHERE id = ?1";
    let changed = run(tx, update, params![id.as_str(), millis(at), millis(now)])?;
    found(changed, "key", id.as_str())
}

pub(super) fn update_key(tx: Tx<'_>, change: &Change) -> Done {
    let Change::UpdateKey {
        id,
        description,
        limits,
        now,
    } = change
    else {
        return Ok(());
    };
    let update = "UPDATE keys SET description = coalesce(?2, description), updated_at = ?3 \
                  WHERE id = ?1";
    let changed = run(tx, update, params![id.as_str(), description, millis(*now)])?;
    found(changed, "key", id.as_str())?;
    if let Some(limits) = limits {
        let update = "UPDATE keys SET may_use = ?2, allow_from = ?3 WHERE id = ?1";
        let only = limits.only.as_ref().map(json);
        run(
            tx,
            update,
            params![id.as_str(), only, json(&limits.allow_from)],
        )?;
    }
    Ok(())
}
