//! Changes that nobody asks for by name: what a policy adopts, what files are overruled by, what was
//! used when.

use rusqlite::{OptionalExtension, params};

use super::apply::{Done, Tx, found, give_id, refuse_twice, run};
use super::rows::{insert_signing_key, millis};
use crate::store::{Adoption, Change, Holder, KeyUse, RETIRED_KEYS_KEPT, SigningKeyRecord};
use crate::words::{AccountId, KeyId, TokenId, UnixTime};

pub(super) fn end_file_key(tx: Tx<'_>, id: &KeyId, at: UnixTime) -> Done {
    let upsert = "INSERT INTO file_key_ends (id, ends_at) VALUES (?1, ?2) \
                  ON CONFLICT DO UPDATE SET ends_at = excluded.ends_at";
    run(tx, upsert, params![id.as_str(), millis(at)])?;
    Ok(())
}

pub(super) fn adopt(tx: Tx<'_>, adoption: &Adoption) -> Done {
    // First what is gone: a name whose id was changed in the file stands in both lists.
    for name in &adoption.gone {
        let row = params![name.as_str(), millis(adoption.now)];
        let update = "UPDATE file_accounts SET gone_at = ?2 WHERE name = ?1 RETURNING id";
        let id = tx
            .prepare(update)?
            .query_row(row, |row| row.get::<_, String>(0));
        let Some(id) = id.optional()? else {
            return found(0, "account", name.as_str());
        };
        run(tx, "DELETE FROM keys WHERE account = ?1", [&id])?;
        run(
            tx,
            "UPDATE ids SET dead_at = ?2 WHERE id = ?1",
            params![id, millis(adoption.now)],
        )?;
    }
    for (name, id) in &adoption.seen {
        give_id(tx, id)?;
        // The override stays: removing and adding a file must not let a disabled account in again.
        run(
            tx,
            "INSERT INTO file_accounts (name, id, disabled, created_at, updated_at) \
             VALUES (?1, ?2, 0, ?3, ?3) ON CONFLICT (name) DO UPDATE SET id = excluded.id, \
             created_at = excluded.created_at, updated_at = excluded.updated_at, \
             last_used_at = NULL, gone_at = NULL",
            params![name.as_str(), id.as_str(), millis(adoption.now)],
        )?;
    }
    for (holder, role) in &adoption.closed {
        let (update, whose) = match holder {
            Holder::Account(id) => (
                "account_grants SET closed_at = ?3 WHERE account",
                id.as_str(),
            ),
            Holder::Group(name) => (
                "group_grants SET closed_at = ?3 WHERE group_name",
                name.as_str(),
            ),
        };
        let update = format!("UPDATE {update} = ?1 AND role = ?2 AND closed_at IS NULL");
        run(
            tx,
            &update,
            params![whose, role.as_str(), millis(adoption.now)],
        )?;
    }
    Ok(())
}

pub(super) fn override_file_account(tx: Tx<'_>, change: &Change) -> Done {
    let Change::OverrideFileAccount {
        name,
        disabled,
        now,
    } = change
    else {
        return Ok(());
    };
    let update = "UPDATE file_accounts SET disabled = ?2, updated_at = ?3 \
                  WHERE name = ?1 AND gone_at IS NULL";
    let changed = run(tx, update, params![name.as_str(), disabled, millis(*now)])?;
    found(changed, "account", name.as_str())
}

pub(super) fn used(tx: Tx<'_>, keys: &[KeyUse], accounts: &[(AccountId, UnixTime)]) -> Done {
    // Rows that are gone by now are passed over: nobody asks when a dead key was last used.
    let later = "SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1";
    // The address belongs to the moment: both change, or neither.
    let mut key = tx.prepare(
        "UPDATE keys SET last_used_at = ?2, last_used_from = ?3 \
         WHERE id = ?1 AND coalesce(last_used_at, -1) < ?2",
    )?;
    let mut account = tx.prepare(&format!("UPDATE accounts {later}"))?;
    let mut file_account = tx.prepare(&format!("UPDATE file_accounts {later}"))?;
    for used in keys {
        let from = used.from.map(|from| from.to_string());
        key.execute(params![used.id.as_str(), millis(used.at), from])?;
    }
    for (id, time) in accounts {
        account.execute(params![id.as_str(), millis(*time)])?;
        file_account.execute(params![id.as_str(), millis(*time)])?;
    }
    Ok(())
}

/// Removes keys that have an end; one that has none is passed over, as is one that is gone.
pub(super) fn forget_keys(tx: Tx<'_>, ids: &[KeyId], ends_stay: bool) -> Done {
    let mut end = tx.prepare(
        "INSERT INTO file_key_ends (id, ends_at) SELECT id, expires_at FROM keys \
         WHERE id = ?1 AND expires_at IS NOT NULL ON CONFLICT DO NOTHING",
    )?;
    let mut forget = tx.prepare("DELETE FROM keys WHERE id = ?1 AND expires_at IS NOT NULL")?;
    for id in ids {
        if ends_stay {
            end.execute([id.as_str()])?;
        }
        forget.execute([id.as_str()])?;
    }
    Ok(())
}

pub(super) fn revoke(tx: Tx<'_>, tokens: &[(TokenId, UnixTime)], now: UnixTime) -> Done {
    run(
        tx,
        "DELETE FROM revoked_tokens WHERE ends_at <= ?1",
        [millis(now)],
    )?;
    let mut insert = tx.prepare(
        "INSERT INTO revoked_tokens (id, ends_at) VALUES (?1, ?2) \
         ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at",
    )?;
    for (id, ends_at) in tokens {
        insert.execute(params![id.as_str(), millis(*ends_at)])?;
    }
    Ok(())
}

pub(super) fn add_signing_key(tx: Tx<'_>, key: &SigningKeyRecord) -> Done {
    let retire = "UPDATE signing_keys SET retired_at = ?1 WHERE retired_at IS NULL";
    run(tx, retire, [millis(key.created_at)])?;
    let kept = i64::try_from(RETIRED_KEYS_KEPT.as_millis()).unwrap_or(i64::MAX);
    let before = [millis(key.created_at).saturating_sub(kept)];
    run(tx, "DELETE FROM signing_keys WHERE retired_at < ?1", before)?;
    refuse_twice(
        tx,
        "SELECT 1 FROM signing_keys WHERE kid = ?1",
        "signing key",
        &key.kid,
    )?;
    Ok(insert_signing_key(tx, key)?)
}

pub(super) fn replace_signing_keys(tx: Tx<'_>, key: &SigningKeyRecord) -> Done {
    run(tx, "DELETE FROM signing_keys", [])?;
    Ok(insert_signing_key(tx, key)?)
}
