//! What tells a store that is whole from one that merely opens.
//!
//! SQLite finds pages that make no sense; a bit that turned in a cell makes sense and is another end of
//! a key. So every row of every table that counts has a keyed hash, the hashes are added up, and what
//! the sum was is written, keyed again, in the transaction of each change. Adding up is what makes a
//! change cost as much as its rows and not as much as the store. Rows that turned, vanished, or were
//! put back from an older copy then show when the store is opened, before anything is served from it.
//!
//! Triggers that live in the connection, not in the file, see every row come and go: a statement that
//! is new is counted without knowing it. The key comes from the pepper.
//!
//! Not here: the audit trail, which has a chain of its own, and refusals, which are no promise. A file
//! that was put back whole to an older state is sealed as it was then: an anchor of the audit trail
//! shows that.

use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Tables that are not in the sum: those with a proof of their own, and those that promise nothing.
const APART: [&str; 5] = ["meta", "audit", "audit_ends", "denials", "denial_groups"];

/// Where the seal stands in `meta`.
const NAME: &str = "seal";

/// What seals are made with. It comes from the pepper and does not print itself.
#[derive(Clone)]
pub(in crate::store) struct SealKey(Hmac<Sha256>);

impl SealKey {
    pub(in crate::store) fn new(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(Hmac::new_from_slice(bytes.as_ref()).expect("HMAC takes any key length"))
    }

    /// A keyed hash of one row.
    fn row<'v>(&self, table: &str, values: impl Iterator<Item = ValueRef<'v>>) -> Sum {
        let mut mac = self.0.clone();
        mac.update(table.as_bytes());
        for value in values {
            let number;
            let (kind, bytes): (u8, &[u8]) = match value {
                ValueRef::Null => (0, &[]),
                ValueRef::Integer(integer) => {
                    number = integer.to_be_bytes();
                    (1, &number)
                }
                ValueRef::Real(real) => {
                    number = real.to_be_bytes();
                    (2, &number)
                }
                ValueRef::Text(text) => (3, text),
                ValueRef::Blob(blob) => (4, blob),
            };
            // Lengths keep what stands in one column out of the next.
            mac.update(&[kind]);
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        }
        Sum::of(mac.finalize().into_bytes().into())
    }

    /// The seal of a store whose rows add up to `sum`, after so many changes.
    fn seal(&self, revision: u64, sum: Sum) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(b"\0seal\0");
        mac.update(&revision.to_be_bytes());
        for part in sum.0 {
            mac.update(&part.to_be_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Hashes added up, each quarter for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum([u64; 4]);

impl Sum {
    fn of(hash: [u8; 32]) -> Self {
        let mut sum = Self::default();
        let (quarters, _) = hash.as_chunks::<8>();
        for (part, quarter) in sum.0.iter_mut().zip(quarters) {
            *part = u64::from_be_bytes(*quarter);
        }
        sum
    }

    fn add(&mut self, other: Self) {
        for (part, more) in self.0.iter_mut().zip(other.0) {
            *part = part.wrapping_add(more);
        }
    }

    fn take(&mut self, other: Self) {
        for (part, less) in self.0.iter_mut().zip(other.0) {
            *part = part.wrapping_sub(less);
        }
    }
}

/// What an open store knows of its own sum.
#[derive(Debug)]
pub(super) struct Seal {
    key: SealKey,
    /// What the rows add up to, as far as they are committed.
    sum: Sum,
    /// How many sealed changes there were.
    revision: u64,
    /// What the transaction that runs has changed so far.
    moved: Arc<Mutex<Sum>>,
    /// Whether it has to be added up anew: a transaction ended and nobody knows how.
    doubtful: bool,
}

impl Seal {
    /// Begins to watch what `connection` changes.
    pub(super) fn watch(connection: &Connection, key: SealKey) -> rusqlite::Result<Self> {
        let moved = Arc::default();
        count_by(connection, "portcullis_more", (&key, &moved, Sum::add))?;
        count_by(connection, "portcullis_less", (&key, &moved, Sum::take))?;
        let mut seal = Self {
            key,
            sum: Sum::default(),
            revision: 0,
            moved,
            doubtful: false,
        };
        seal.recount(connection)?;
        Ok(seal)
    }

    /// Adds everything up, after tables have changed.
    pub(super) fn recount(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for table in tables(connection)? {
            put_triggers(connection, &table)?;
        }
        self.sum = add_up(connection, &self.key)?;
        self.revision = written(connection)?.map_or(0, |(revision, _)| revision);
        self.doubtful = false;
        self.begin();
        Ok(())
    }

    /// What it is made with.
    pub(super) const fn key(&self) -> &SealKey {
        &self.key
    }

    /// Says whether the rows are those that were sealed.
    pub(super) fn holds(&self, connection: &Connection) -> rusqlite::Result<bool> {
        is_sealed(connection, &self.key, self.sum)
    }

    /// Before a transaction: nothing has moved yet.
    pub(super) fn before(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.doubtful {
            self.sum = add_up(connection, &self.key)?;
            self.revision = written(connection)?.map_or(0, |(revision, _)| revision);
            self.doubtful = false;
        }
        self.begin();
        Ok(())
    }

    fn begin(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Sum::default();
    }

    /// Before a commit: seals what has changed, if anything has. Returns what the seal will be when the
    /// commit has succeeded.
    pub(super) fn write(&self, tx: &Transaction<'_>) -> rusqlite::Result<Written> {
        let moved = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = Written {
            sum: self.sum,
            revision: self.revision,
        };
        if moved == Sum::default() {
            return Ok(written);
        }
        written.sum.add(moved);
        written.revision += 1;
        put(tx, &self.key, &written)?;
        Ok(written)
    }

    /// After a commit.
    pub(super) const fn committed(&mut self, written: &Written) {
        self.sum = written.sum;
        self.revision = written.revision;
    }

    /// Whether the file says that the last change is the last that succeeded.
    pub(super) fn stands(&self, connection: &Connection) -> bool {
        let written = written(connection).map(|found| found.map_or(0, |(revision, _)| revision));
        written.is_ok_and(|revision| revision == self.revision)
    }

    #[cfg(test)]
    pub(super) const fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// After a transaction of which nobody knows how it ended.
    pub(super) const fn doubt(&mut self) {
        self.doubtful = true;
    }
}

/// A seal on its way to the disk.
#[must_use]
pub(super) struct Written {
    sum: Sum,
    revision: u64,
}

/// Says whether the rows behind `connection`, which nobody watches, are those that were sealed.
pub(super) fn check(connection: &Connection, key: &SealKey) -> rusqlite::Result<bool> {
    is_sealed(connection, key, add_up(connection, key)?)
}

fn is_sealed(connection: &Connection, key: &SealKey, sum: Sum) -> rusqlite::Result<bool> {
    let Some((revision, seal)) = written(connection)? else {
        return Ok(false);
    };
    Ok(key.seal(revision, sum).ct_eq(&seal).into())
}

/// Seals the rows behind `tx`, whatever they are.
pub(super) fn put_anew(tx: &Transaction<'_>, key: &SealKey) -> rusqlite::Result<()> {
    let revision = written(tx)?.map_or(0, |(revision, _)| revision) + 1;
    let sum = add_up(tx, key)?;
    put(tx, key, &Written { sum, revision })
}

fn put(tx: &Transaction<'_>, key: &SealKey, seal: &Written) -> rusqlite::Result<()> {
    let mut value = seal.revision.to_be_bytes().to_vec();
    value.extend(key.seal(seal.revision, seal.sum));
    let upsert = "INSERT INTO meta (name, value) VALUES (?1, ?2) \
                  ON CONFLICT DO UPDATE SET value = excluded.value";
    tx.prepare(upsert)?.execute(params![NAME, value])?;
    Ok(())
}

/// The seal in the file, and how many changes there were before it.
pub(super) fn written(connection: &Connection) -> rusqlite::Result<Option<(u64, [u8; 32])>> {
    if !connection.table_exists(Some("main"), "meta")? {
        return Ok(None);
    }
    let query = "SELECT value FROM meta WHERE name = ?1";
    let value = connection.query_row(query, [NAME], |row| row.get::<_, Vec<u8>>(0));
    let value = value.optional()?.unwrap_or_default();
    let parts = value.split_first_chunk::<8>();
    Ok(parts.and_then(|(revision, seal)| {
        let seal = <[u8; 32]>::try_from(seal).ok()?;
        Some((u64::from_be_bytes(*revision), seal))
    }))
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
                 ORDER BY name";
    let mut statement = connection.prepare(query)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    let counts = |name: &String| !APART.contains(&name.as_str());
    Ok(names.into_iter().filter(counts).collect())
}

fn add_up(connection: &Connection, key: &SealKey) -> rusqlite::Result<Sum> {
    let mut sum = Sum::default();
    for table in tables(connection)? {
        // The name comes from the schema, which is ours.
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let values: Vec<_> = (0..columns)
                .map(|column| row.get_ref(column))
                .collect::<Result<_, _>>()?;
            sum.add(key.row(&table, values.into_iter()));
        }
    }
    Ok(sum)
}

type CountBy<'a> = (&'a SealKey, &'a Arc<Mutex<Sum>>, fn(&mut Sum, Sum));

fn count_by(
    connection: &Connection,
    name: &str,
    (key, moved, count): CountBy<'_>,
) -> rusqlite::Result<()> {
    let (key, moved) = (key.clone(), Arc::clone(moved));
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function(name, -1, flags, move |context: &Context<'_>| {
        let table = context.get_raw(0).as_str()?;
        let values = (1..context.len()).map(|place| context.get_raw(place));
        let row = key.row(table, values);
        count(
            &mut moved.lock().unwrap_or_else(PoisonError::into_inner),
            row,
        );
        Ok(rusqlite::types::Null)
    })
}

/// Triggers of this connection alone: none of them is in the file.
fn put_triggers(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    let mut columns = Vec::new();
    connection.pragma(None, "table_info", table, |row| {
        columns.push(row.get::<_, String>(1)?);
        Ok(())
    })?;
    let row = |which: &str, function: &str| {
        let columns = columns.iter().map(|name| format!(", {which}.\"{name}\""));
        format!(
            "SELECT {function}('{table}'{});",
            columns.collect::<String>()
        )
    };
    let (more, less) = (row("NEW", "portcullis_more"), row("OLD", "portcullis_less"));
    for (event, counted) in [
        ("INSERT", more.clone()),
        ("DELETE", less.clone()),
        ("UPDATE", format!("{less} {more}")),
    ] {
        connection.execute_batch(&format!(
            "DROP TRIGGER IF EXISTS temp.\"seal_{event}_{table}\"; \
             CREATE TEMP TRIGGER \"seal_{event}_{table}\" AFTER {event} ON main.\"{table}\" \
             BEGIN {counted} END;"
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SealKey {
        SealKey::new(&Zeroizing::new([7; 32]))
    }

    /// What a row is moved by to mean something else, with not a byte of it changed.
    #[test]
    fn a_row_is_another_one_in_another_table_and_with_its_columns_parted_otherwise() {
        let row = |table: &str, values: &[&str]| {
            let values = values.iter().map(|text| ValueRef::Text(text.as_bytes()));
            key().row(table, values)
        };
        let one = row("account_grants", &["ci", "reader"]);
        assert_eq!(one, row("account_grants", &["ci", "reader"]));
        for other in [
            row("group_grants", &["ci", "reader"]),
            row("account_grants", &["reader", "ci"]),
            row("account_grants", &["cir", "eader"]),
            row("account_grants", &["ci", "reader", ""]),
            row("account_grant", &["s", "ci", "reader"]),
        ] {
            assert_ne!(one, other);
        }
        let of = |value: ValueRef<'_>| key().row("keys", [value].into_iter());
        let number = 0x30_i64.to_be_bytes();
        let kinds = [
            of(ValueRef::Null),
            of(ValueRef::Text(b"")),
            of(ValueRef::Blob(b"")),
            of(ValueRef::Integer(0x30)),
            of(ValueRef::Blob(&number)),
        ];
        for (place, kind) in kinds.iter().enumerate() {
            assert!(!kinds[..place].contains(kind), "{place}");
        }
    }

    #[test]
    fn a_seal_is_of_its_sum_and_of_how_many_changes_there_were() {
        let (none, some) = (Sum::default(), key().row("keys", std::iter::empty()));
        let seals = [
            key().seal(1, none),
            key().seal(2, none),
            key().seal(1, some),
            SealKey::new(&Zeroizing::new([8; 32])).seal(1, none),
        ];
        for (place, seal) in seals.iter().enumerate() {
            assert!(!seals[..place].contains(seal), "{place}");
        }
    }

    #[test]
    fn what_was_added_can_be_taken_and_order_does_not_count() {
        let row = |text: &str| key().row("keys", [ValueRef::Text(text.as_bytes())].into_iter());
        let (mut one, mut other) = (Sum::default(), Sum::default());
        ["a", "b", "c"]
            .into_iter()
            .for_each(|text| one.add(row(text)));
        ["c", "a", "x", "b"]
            .into_iter()
            .for_each(|text| other.add(row(text)));
        assert_ne!(one, other);
        other.take(row("x"));
        assert_eq!(one, other);
    }
}
