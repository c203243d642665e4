//! Rows to records and back.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{
    AccountRecord, FileAccountRecord, GrantRecord, GroupRecord, KeyLimits, KeyRecord, Maker,
    Records, RoleRecord, SigningKeyRecord,
};
use crate::words::{AccountId, GroupName, RoleName, UnixTime};

const ACCOUNT: &str = "SELECT id, name, description, enabled, allow_from, created_at, updated_at, \
                       last_used_at, applied_as, owner, created_by FROM accounts";
const GROUP: &str =
    "SELECT name, description, created_at, updated_at, applied_as, owner, created_by FROM groups";

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Records> {
    let dead = "SELECT id FROM ids WHERE dead_at IS NOT NULL";
    let mut makers = Makers::default();
    let mut records = Records {
        accounts: all(connection, ACCOUNT, |row| {
            let account = account_row(row, &mut makers)?;
            Ok((account.id.clone(), account))
        })?,
        groups: all(connection, GROUP, |row| {
            Ok((parsed(row, 0)?, group_row(row, &mut makers)?))
        })?,
        roles: roles(connection, &mut makers)?,
        file_accounts: file_accounts(connection)?,
        file_key_ends: all(connection, "SELECT id, ends_at FROM file_key_ends", |row| {
            Ok((parsed(row, 0)?, time(row, 1)?))
        })?,
        dead_accounts: all(connection, dead, |row| parsed(row, 0))?,
        signing_keys: signing_keys(connection)?,
        revoked_tokens: all(
            connection,
            "SELECT id, ends_at FROM revoked_tokens",
            |row| Ok((parsed(row, 0)?, time(row, 1)?)),
        )?,
        ..Records::default()
    };
    add_grants(connection, &mut records)?;
    add_members(connection, &mut records)?;
    let query = "SELECT id, account, description, digest, created_at, updated_at, expires_at, \
                 last_used_at, last_used_from, may_use, allow_from, created_by FROM keys";
    let keys = all(connection, query, |row| {
        let mut key = key_row(row, &mut makers)?;
        // One text for an id, however many rows name it.
        if let Some(account) = records.accounts.get(&key.account) {
            key.account = account.id.clone();
        }
        Ok((key.id, key))
    })?;
    records.set_keys(keys);
    Ok(records)
}

/// The words for those who made something, each of them once.
#[derive(Default)]
struct Makers(BTreeSet<Arc<str>>);

impl Makers {
    fn of(&mut self, row: &Row<'_>, column: usize) -> rusqlite::Result<Maker> {
        let Some(said) = row.get_ref(column)?.as_str_or_null()? else {
            return Ok(None);
        };
        if let Some(known) = self.0.get(said) {
            return Ok(Some(Arc::clone(known)));
        }
        let new: Arc<str> = said.into();
        self.0.insert(Arc::clone(&new));
        Ok(Some(new))
    }
}

/// What accounts and groups hold.
fn add_grants(connection: &Connection, records: &mut Records) -> rusqlite::Result<()> {
    let mut roles = BTreeSet::new();
    let query = "SELECT account, role, within, closed_at FROM account_grants";
    each(connection, query, |row| {
        let (id, grant): (AccountId, _) = grant_row(row, &mut roles)?;
        if let Some(account) = records.accounts.get_mut(&id) {
            account.grants.reserve_exact(1);
            account.grants.push(grant);
        }
        Ok(())
    })?;
    let query = "SELECT group_name, role, within, closed_at FROM group_grants";
    each(connection, query, |row| {
        let (name, grant): (GroupName, _) = grant_row(row, &mut roles)?;
        if let Some(group) = records.groups.get_mut(&name) {
            group.grants.push(grant);
        }
        Ok(())
    })?;
    records
        .accounts
        .values_mut()
        .for_each(|account| account.grants.sort());
    records
        .groups
        .values_mut()
        .for_each(|group| group.grants.sort());
    Ok(())
}

/// Who is in the groups.
fn add_members(connection: &Connection, records: &mut Records) -> rusqlite::Result<()> {
    let members = all::<Vec<(GroupName, _)>, _>(
        connection,
        "SELECT group_name, account FROM group_members",
        |row| Ok((parsed(row, 0)?, parsed(row, 1)?)),
    )?;
    for (name, member) in members {
        if let Some(group) = records.groups.get_mut(&name) {
            group.members.insert(member);
        }
    }
    Ok(())
}

pub(super) fn insert_signing_key(
    connection: &Connection,
    key: &SigningKeyRecord,
) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO signing_keys (kid, public, wrapped, created_at, retired_at) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            key.kid,
            key.public,
            key.wrapped,
            millis(key.created_at),
            key.retired_at.map(millis)
        ],
    )?;
    Ok(())
}

fn roles(
    connection: &Connection,
    makers: &mut Makers,
) -> rusqlite::Result<BTreeMap<RoleName, RoleRecord>> {
    let query = "SELECT name, description, permissions, include, created_at, updated_at, \
                 api_access, applied_as, owner, created_by FROM roles";
    all(connection, query, |row| {
        let role = RoleRecord {
            name: parsed(row, 0)?,
            description: row.get(1)?,
            permissions: listed(row, 2)?,
            include: listed(row, 3)?,
            created_at: time(row, 4)?,
            updated_at: time(row, 5)?,
            api_access: row.get(6)?,
            applied_as: maybe(row, 7)?,
            owner: listed(row, 8)?,
            created_by: makers.of(row, 9)?,
        };
        Ok((role.name.clone(), role))
    })
}

fn file_accounts(
    connection: &Connection,
) -> rusqlite::Result<BTreeMap<crate::words::AccountName, FileAccountRecord>> {
    let query = "SELECT name, id, disabled, created_at, updated_at, last_used_at, gone_at \
                 FROM file_accounts";
    all(connection, query, |row| {
        let account = FileAccountRecord {
            id: parsed(row, 1)?,
            disabled: row.get(2)?,
            created_at: time(row, 3)?,
            updated_at: time(row, 4)?,
            last_used_at: maybe_time(row, 5)?,
            gone_at: maybe_time(row, 6)?,
        };
        Ok((parsed(row, 0)?, account))
    })
}

fn signing_keys(connection: &Connection) -> rusqlite::Result<Vec<SigningKeyRecord>> {
    let query = "SELECT kid, public, wrapped, created_at, retired_at FROM signing_keys \
                 ORDER BY created_at, kid";
    all(connection, query, |row| {
        Ok(SigningKeyRecord {
            kid: row.get(0)?,
            public: row.get(1)?,
            wrapped: row.get(2)?,
            created_at: time(row, 3)?,
            retired_at: maybe_time(row, 4)?,
        })
    })
}

fn account_row(row: &Row<'_>, makers: &mut Makers) -> rusqlite::Result<AccountRecord> {
    Ok(AccountRecord {
        id: parsed(row, 0)?,
        name: parsed(row, 1)?,
        description: row.get(2)?,
        enabled: row.get(3)?,
        allow_from: listed(row, 4)?,
        grants: Vec::new(),
        created_at: time(row, 5)?,
        updated_at: time(row, 6)?,
        last_used_at: maybe_time(row, 7)?,
        applied_as: maybe(row, 8)?,
        owner: listed(row, 9)?,
        created_by: makers.of(row, 10)?,
    })
}

fn group_row(row: &Row<'_>, makers: &mut Makers) -> rusqlite::Result<GroupRecord> {
    Ok(GroupRecord {
        name: parsed(row, 0)?,
        description: row.get(1)?,
        members: BTreeSet::new(),
        grants: Vec::new(),
        created_at: time(row, 2)?,
        updated_at: time(row, 3)?,
        applied_as: maybe(row, 4)?,
        owner: listed(row, 5)?,
        created_by: makers.of(row, 6)?,
    })
}

fn key_row(row: &Row<'_>, makers: &mut Makers) -> rusqlite::Result<KeyRecord> {
    Ok(KeyRecord {
        id: parsed(row, 0)?,
        account: parsed(row, 1)?,
        description: row.get(2)?,
        digest: row.get(3)?,
        created_at: time(row, 4)?,
        updated_at: time(row, 5)?,
        expires_at: maybe_time(row, 6)?,
        last_used_at: maybe_time(row, 7)?,
        last_used_from: maybe(row, 8)?,
        limits: KeyLimits {
            only: match row.get_ref(9)? {
                ValueRef::Null => None,
                ValueRef::Integer(_)
                | ValueRef::Real(_)
                | ValueRef::Text(_)
                | ValueRef::Blob(_) => Some(listed(row, 9)?),
            },
            allow_from: listed(row, 10)?,
        },
        created_by: makers.of(row, 11)?,
    })
}

/// Whose, and the grant. There are few roles and many grants, so those that are in `roles` are shared.
fn grant_row<H: FromStr>(
    row: &Row<'_>,
    roles: &mut BTreeSet<RoleName>,
) -> rusqlite::Result<(H, GrantRecord)>
where
    H::Err: std::error::Error + Send + Sync + 'static,
{
    let role = match roles.get(row.get_ref(1)?.as_str()?) {
        Some(known) => known.clone(),
        None => {
            let new: RoleName = parsed(row, 1)?;
            roles.insert(new.clone());
            new
        }
    };
    let grant = GrantRecord {
        role,
        within: listed(row, 2)?,
        closed_at: maybe_time(row, 3)?,
    };
    Ok((parsed(row, 0)?, grant))
}

fn each(
    connection: &Connection,
    query: &str,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        read(row)?;
    }
    Ok(())
}

fn all<C: FromIterator<T>, T>(
    connection: &Connection,
    query: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<C> {
    connection.prepare(query)?.query_map([], read)?.collect()
}

/// A name, an id: whatever has a rule of its own.
fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse()
        .map_err(|error: T::Err| unreadable(column, error))
}

/// The same, in a column that may be empty.
fn maybe<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: Option<String> = row.get(column)?;
    let read = text.map(|text| text.parse());
    read.transpose()
        .map_err(|error: T::Err| unreadable(column, error))
}

/// A list or a boundary.
fn listed<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixTime> {
    let ms: i64 = row.get(column)?;
    Ok(UnixTime::from_millis(u64::try_from(ms).unwrap_or(0)))
}

fn maybe_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<UnixTime>> {
    let ms: Option<i64> = row.get(column)?;
    Ok(ms.map(|ms| UnixTime::from_millis(u64::try_from(ms).unwrap_or(0))))
}

/// A moment as it stands in a column.
pub(super) fn millis(time: UnixTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A list or a boundary as it stands in a column: maps and sets are sorted, so equal values are
/// equal texts.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names, networks and strings always serialize")
}
