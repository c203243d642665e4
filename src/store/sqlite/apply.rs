//! Changes, one transaction each. Whoever calls commits, or drops the transaction on a refusal.

mod grants;
mod keys;

use rusqlite::{Params, Transaction, params};

use super::rows::{json, millis};
use super::upkeep;
use crate::store::{AccountRecord, Change, GroupRecord, Holder, RoleRecord, StoreError};
use crate::words::{AccountId, GroupName, SetName, UnixTime};
use grants::{grant, insert_grant, ungrant};
use keys::{create_key, end_key, update_key};

/// Why a change was not made: a rule, or the engine.
pub(super) enum Refusal {
    Rule(StoreError),
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

pub(super) type Done = Result<(), Refusal>;
pub(super) type Tx<'t> = &'t Transaction<'t>;

#[expect(
    clippy::too_many_lines,
    reason = "one arm a change, nothing between them"
)]
pub(super) fn apply(tx: Tx<'_>, change: &Change) -> Done {
    match change {
        Change::CreateAccount(account) => create_account(tx, account),
        Change::UpdateAccount { .. } => update_account(tx, change),
        Change::SetEnabled { id, enabled, now } => set_enabled(tx, id, *enabled, *now),
        Change::DeleteAccount { id, now } => delete_account(tx, id, *now),
        Change::Grant {
            holder,
            role,
            within,
            now,
        } => {
            touch_holder(tx, holder, *now)?;
            grant(tx, holder, role, within)
        }
        Change::Ungrant {
            holder,
            role,
            within,
            now,
        } => {
            touch_holder(tx, holder, *now)?;
            ungrant(tx, holder, role, within)
        }
        Change::CreateKey(key) => create_key(tx, key),
        Change::ExpireKey { id, at, now } => end_key(tx, id, *at, *now),
        Change::UpdateKey { .. } => update_key(tx, change),
        Change::RotateKey {
            new,
            old,
            old_ends_at,
        } => {
            create_key(tx, new)?;
            end_key(tx, old, *old_ends_at, new.created_at)
        }
        Change::CreateRole(role) => create_role(tx, role),
        Change::UpdateRole(role) => update_role(tx, role),
        Change::DeleteRole(name) => delete_named(tx, "role", name.as_str()),
        Change::CreateGroup(group) => create_group(tx, group),
        Change::UpdateGroup { .. } => update_group(tx, change),
        Change::DeleteGroup(name) => delete_named(tx, "group", name.as_str()),
        Change::AddMember {
            group,
            account,
            now,
        } => add_member(tx, group, account, *now),
        Change::RemoveMember {
            group,
            account,
            now,
        } => remove_member(tx, group, account, *now),
        Change::Adopt(adoption) => upkeep::adopt(tx, adoption),
        Change::OverrideFileAccount { .. } => upkeep::override_file_account(tx, change),
        Change::EndFileKey { id, at } => upkeep::end_file_key(tx, id, *at),
        Change::ForgetKeys { ids, ends_stay } => upkeep::forget_keys(tx, ids, *ends_stay),
        Change::Used { keys, accounts } => upkeep::used(tx, keys, accounts),
        Change::RevokeToken { id, ends_at, now } => upkeep::revoke(tx, &[(*id, *ends_at)], *now),
        Change::GiveBack { tokens, now } => upkeep::revoke(tx, tokens, *now),
        Change::AddSigningKey(key) => upkeep::add_signing_key(tx, key),
        Change::ReplaceSigningKeys(key) => upkeep::replace_signing_keys(tx, key),
        Change::Batch(changes) => changes.iter().try_for_each(|change| apply(tx, change)),
    }
}

fn create_account(tx: Tx<'_>, account: &AccountRecord) -> Done {
    let name = account.name.as_str();
    refuse_twice(
        tx,
        "SELECT 1 FROM accounts WHERE name = ?1",
        "account",
        name,
    )?;
    give_id(tx, &account.id)?;
    run(
        tx,
        "INSERT INTO accounts (id, name, description, enabled, allow_from, created_at, updated_at, \
         last_used_at, applied_as, owner, created_by) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            account.id.as_str(),
            name,
            account.description,
            account.enabled,
            json(&account.allow_from),
            millis(account.created_at),
            millis(account.updated_at),
            account.last_used_at.map(millis),
            text(account.applied_as.as_ref()),
            json(&account.owner),
            account.created_by
        ],
    )?;
    let holder = Holder::Account(account.id.clone());
    account
        .grants
        .iter()
        .try_for_each(|held| insert_grant(tx, &holder, held))
}

fn update_account(tx: Tx<'_>, change: &Change) -> Done {
    let Change::UpdateAccount {
        id,
        description,
        allow_from,
        applied_as,
        now,
    } = change
    else {
        return Ok(());
    };
    let changed = run(
        tx,
        "UPDATE accounts SET description = coalesce(?2, description), \
         allow_from = coalesce(?3, allow_from), applied_as = coalesce(?5, applied_as), \
         updated_at = ?4 WHERE id = ?1",
        params![
            id.as_str(),
            description,
            allow_from.as_ref().map(json),
            millis(*now),
            text(applied_as.as_ref())
        ],
    )?;
    found(changed, "account", id.as_str())
}

fn set_enabled(tx: Tx<'_>, id: &AccountId, enabled: bool, now: UnixTime) -> Done {
    let update = "UPDATE accounts SET enabled = ?2, updated_at = ?3 WHERE id = ?1";
    let changed = run(tx, update, params![id.as_str(), enabled, millis(now)])?;
    found(changed, "account", id.as_str())
}

fn delete_account(tx: Tx<'_>, id: &AccountId, now: UnixTime) -> Done {
    let gone = run(tx, "DELETE FROM accounts WHERE id = ?1", [id.as_str()])?;
    found(gone, "account", id.as_str())?;
    bury(tx, id, now)
}

/// Takes an id out of use for ever, with all its keys.
fn bury(tx: Tx<'_>, id: &AccountId, now: UnixTime) -> Done {
    run(tx, "DELETE FROM keys WHERE account = ?1", [id.as_str()])?;
    run(
        tx,
        "UPDATE ids SET dead_at = ?2 WHERE id = ?1",
        params![id.as_str(), millis(now)],
    )?;
    Ok(())
}

pub(super) fn give_id(tx: Tx<'_>, id: &AccountId) -> Done {
    if exists(tx, "SELECT 1 FROM ids WHERE id = ?1", id.as_str())? {
        let said = format!("id `{id}` belongs to another account, or did: ids are not used twice");
        return Err(Refusal::Rule(StoreError::Conflict(said)));
    }
    run(tx, "INSERT INTO ids (id) VALUES (?1)", [id.as_str()])?;
    Ok(())
}

fn touch_holder(tx: Tx<'_>, holder: &Holder, now: UnixTime) -> Done {
    match holder {
        Holder::Account(id) => {
            let update = "UPDATE accounts SET updated_at = ?2 WHERE id = ?1";
            let changed = run(tx, update, params![id.as_str(), millis(now)])?;
            found(changed, "account", id.as_str())
        }
        Holder::Group(name) => touch_group(tx, name, now),
    }
}

fn touch_group(tx: Tx<'_>, name: &GroupName, now: UnixTime) -> Done {
    let update = "UPDATE groups SET updated_at = ?2 WHERE name = ?1";
    let changed = run(tx, update, params![name.as_str(), millis(now)])?;
    found(changed, "group", name.as_str())
}

fn create_role(tx: Tx<'_>, role: &RoleRecord) -> Done {
    let name = role.name.as_str();
    refuse_twice(tx, "SELECT 1 FROM roles WHERE name = ?1", "role", name)?;
    run(
        tx,
        "INSERT INTO roles (name, description, permissions, include, created_at, updated_at, \
         api_access, applied_as, owner, created_by) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            name,
            role.description,
            json(&role.permissions),
            json(&role.include),
            millis(role.created_at),
            millis(role.updated_at),
            role.api_access,
            text(role.applied_as.as_ref()),
            json(&role.owner),
            role.created_by
        ],
    )?;
    Ok(())
}

fn update_role(tx: Tx<'_>, role: &RoleRecord) -> Done {
    let changed = run(
        tx,
        "UPDATE roles SET description = ?2, permissions = ?3, include = ?4, updated_at = ?5, \
         api_access = ?6, applied_as = ?7 WHERE name = ?1",
        params![
            role.name.as_str(),
            role.description,
            json(&role.permissions),
            json(&role.include),
            millis(role.updated_at),
            role.api_access,
            text(role.applied_as.as_ref())
        ],
    )?;
    found(changed, "role", role.name.as_str())
}

fn create_group(tx: Tx<'_>, group: &GroupRecord) -> Done {
    let name = group.name.as_str();
    refuse_twice(tx, "SELECT 1 FROM groups WHERE name = ?1", "group", name)?;
    run(
        tx,
        "INSERT INTO groups (name, description, created_at, updated_at, applied_as, owner, \
         created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            name,
            group.description,
            millis(group.created_at),
            millis(group.updated_at),
            text(group.applied_as.as_ref()),
            json(&group.owner),
            group.created_by
        ],
    )?;
    let holder = Holder::Group(group.name.clone());
    group
        .grants
        .iter()
        .try_for_each(|held| insert_grant(tx, &holder, held))?;
    group
        .members
        .iter()
        .try_for_each(|member| insert_member(tx, &group.name, member))
}

fn update_group(tx: Tx<'_>, change: &Change) -> Done {
    let Change::UpdateGroup {
        name,
        description,
        applied_as,
        now,
    } = change
    else {
        return Ok(());
    };
    let update = "UPDATE groups SET description = coalesce(?2, description), \
                  applied_as = coalesce(?3, applied_as), updated_at = ?4 WHERE name = ?1";
    let set = text(applied_as.as_ref());
    let row = params![name.as_str(), description, set, millis(*now)];
    let changed = run(tx, update, row)?;
    found(changed, "group", name.as_str())
}

fn delete_named(tx: Tx<'_>, what: &'static str, name: &str) -> Done {
    let gone = run(tx, &format!("DELETE FROM {what}s WHERE name = ?1"), [name])?;
    found(gone, what, name)
}

fn add_member(tx: Tx<'_>, group: &GroupName, account: &AccountId, now: UnixTime) -> Done {
    touch_group(tx, group, now)?;
    insert_member(tx, group, account)
}

fn insert_member(tx: Tx<'_>, group: &GroupName, account: &AccountId) -> Done {
    if !exists(tx, "SELECT 1 FROM accounts WHERE id = ?1", account.as_str())? {
        return found(0, "account", account.as_str());
    }
    let insert = "INSERT OR IGNORE INTO group_members (group_name, account) VALUES (?1, ?2)";
    run(tx, insert, [group.as_str(), account.as_str()])?;
    Ok(())
}

fn remove_member(tx: Tx<'_>, group: &GroupName, account: &AccountId, now: UnixTime) -> Done {
    touch_group(tx, group, now)?;
    let delete = "DELETE FROM group_members WHERE group_name = ?1 AND account = ?2";
    let gone = run(tx, delete, [group.as_str(), account.as_str()])?;
    found(gone, "member", account.as_str())
}

/// A name as it stands in a column that may be empty.
fn text(name: Option<&SetName>) -> Option<&str> {
    name.map(SetName::as_str)
}

pub(super) fn run(tx: Tx<'_>, statement: &str, row: impl Params) -> Result<usize, Refusal> {
    Ok(tx.prepare(statement)?.execute(row)?)
}

fn exists(tx: Tx<'_>, query: &str, name: &str) -> Result<bool, Refusal> {
    Ok(tx.prepare(query)?.exists([name])?)
}

pub(super) fn refuse_twice(tx: Tx<'_>, query: &str, what: &str, name: &str) -> Done {
    if exists(tx, query, name)? {
        let said = format!("{what} `{name}` exists already");
        return Err(Refusal::Rule(StoreError::Conflict(said)));
    }
    Ok(())
}

pub(super) fn found(changed: usize, what: &'static str, name: &str) -> Done {
    if changed == 0 {
        let name = name.to_owned();
        return Err(Refusal::Rule(StoreError::NotFound { what, name }));
    }
    Ok(())
}
