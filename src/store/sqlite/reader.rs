//! A look at the store from beside the connection that writes: what it holds and whether it is whole.
//!
//! It has a connection of its own, so that a look at a million records holds up no change.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value, json};

use super::file::{check_owner, check_pepper, connect_as_it_is, connect_to_read, failed};
use super::file::{folder_of, format, log_is_read, real_path};
use super::seal::{self, SealKey};
use super::{Backup, MIGRATIONS, SEAL_FORMAT, Sqlite, audit, backup, denials, restore};
use crate::audit::{Anchor, Broken, ChainKey, Checked, Filter, Page};
use crate::denials::Record;
use crate::store::lock::{Lock, beside};
use crate::store::{Pepper, StoreError};
use crate::words::{RequestId, UnixTime};

/// What is wrong with a store whose seal does not fit.
pub(super) const UNSEALED: &str =
    "its rows are not those that were written (the seal does not fit)";

/// What is counted of a store.
const COUNTED: [(&str, &str); 9] = [
    ("accounts", "accounts"),
    ("file_accounts", "file_accounts"),
    ("keys", "keys"),
    ("groups", "groups"),
    ("roles", "roles"),
    ("signing_keys", "signing_keys"),
    ("revoked_tokens", "revoked_tokens"),
    ("denials", "denials"),
    ("audit", "audit_records"),
];

/// Looks at a store that another connection writes, and copies it.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) path: PathBuf,
    pub(super) chain: ChainKey,
    pub(super) key: SealKey,
}

impl Reader {
    pub(super) fn new(path: &Path, chain: &ChainKey, key: &SealKey) -> Self {
        Self {
            path: path.into(),
            chain: chain.clone(),
            key: key.clone(),
        }
    }

    /// What the store holds, and whether it is whole: every page and every row is looked at.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; of a store that can be looked at and is not whole it is said in the answer.
    pub fn status(&self) -> Result<Value, StoreError> {
        let connection = connect_to_read(&self.path).map_err(|error| failed(&self.path, error))?;
        self.standing(&connection)
    }

    /// Copies the store to a new file at `target`, which nobody else can read. The store goes on
    /// meanwhile; the copy is as the store was at one moment.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if there is anything at `target`; otherwise what kept the copy from being
    /// made whole. Nothing is at `target` then.
    pub fn back_up(&self, target: &Path, now: UnixTime) -> Result<Backup, StoreError> {
        backup::write(self, target, now)
    }

    /// Some of the audit records that `filter` admits, as [`crate::store::Store::audit`] finds them.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn audit(&self, filter: &Filter, after: Option<u64>) -> Result<Page, StoreError> {
        self.at_one_moment(|connection| match after {
            None => audit::list(connection, filter),
            Some(after) => audit::follow(connection, after, filter),
        })
    }

    /// The last audit record.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn audit_anchor(&self, now: UnixTime) -> Result<Anchor, StoreError> {
        self.at_one_moment(|connection| audit::anchor(connection, &self.chain, now))
    }

    /// What is wrong with the audit trail as `anchor` knows it, if anything is.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn check_anchor(&self, anchor: &Anchor) -> Result<Option<Broken>, StoreError> {
        self.at_one_moment(|connection| audit::check_anchor(connection, &self.chain, anchor))
    }

    /// Proves a page of the audit trail behind record `after`, or from its beginning.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn check_audit(&self, after: Option<u64>) -> Result<Checked, StoreError> {
        self.at_one_moment(|connection| audit::check(connection, &self.chain, after))
    }

    /// The refusal of one request.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn denial(&self, id: &RequestId) -> Result<Option<Record>, StoreError> {
        self.at_one_moment(|connection| denials::find(connection, id))
    }

    /// The refusals that `filter` admits, newest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn denials(&self, filter: &crate::denials::Filter) -> Result<Vec<Record>, StoreError> {
        self.at_one_moment(|connection| denials::list(connection, filter))
    }

    /// What `look` sees of the store as the last change has left it, however many follow meanwhile.
    fn at_one_moment<T>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let looked = connect_to_read(&self.path).and_then(|connection| {
            let moment = connection.unchecked_transaction()?;
            look(&moment)
        });
        looked.map_err(|error| failed(&self.path, error))
    }

    pub(super) fn standing(&self, connection: &Connection) -> Result<Value, StoreError> {
        let found = format(connection, &self.path)?;
        let standing = self.read(connection, found);
        let mut standing = standing.map_err(|error| failed(&self.path, error))?;
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |stat| stat.len());
        let free = rustix::fs::statvfs(folder_of(&self.path));
        let mut put = |name: &str, value: Value| drop(standing.insert(name.to_owned(), value));
        put("size_bytes", json!(bytes(&self.path)));
        put("log_bytes", json!(bytes(&beside(&self.path, "-wal"))));
        let free = free.map(|free| free.f_bavail.saturating_mul(free.f_frsize));
        put("free_bytes", json!(free.ok()));
        Ok(standing.into())
    }

    fn read(&self, connection: &Connection, found: usize) -> rusqlite::Result<Map<String, Value>> {
        let revision = seal::written(connection)?.map(|(revision, _)| revision);
        let head = match connection.table_exists(Some("main"), "audit_ends")? {
            true => Some(audit::anchor(connection, &self.chain, UnixTime::default())?),
            false => None,
        };
        let standing = json!({
            "store": self.path,
            "format": found,
            "newest_format": MIGRATIONS.len(),
            "revision": revision,
            "records": counted(connection)?,
            "last_backup": last_backup(connection)?,
            "audit_head": head.map(|head| format!("{} {}", head.number, head.hash)),
            "fault": fault(connection, &self.key, found)?,
        });
        Ok(match standing {
            Value::Object(fields) => fields,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        })
    }
}

impl Sqlite {
    /// What the store at `path` holds, whatever its format, and whether it is whole. The lock is held
    /// meanwhile; nothing is migrated.
    ///
    /// # Errors
    ///
    /// As for [`Sqlite::open`]; [`StoreError::NotFound`] where there is no store.
    pub fn status(path: &Path, pepper: &Path) -> Result<Value, StoreError> {
        let (reader, connection, _lock) = Self::beside(path, pepper)?;
        reader.standing(&connection)
    }

    /// The store as its one user who changes nothing; its lock is held as long as the last part lives.
    fn beside(path: &Path, pepper: &Path) -> Result<(Reader, Connection, Lock), StoreError> {
        let path = real_path(path)?;
        if !path.exists() {
            return Err(StoreError::none(&path));
        }
        check_owner(&path)?;
        let mut lock = Lock::take(&path)?;
        restore::finish(&path, &mut lock)?;
        lock.expects(&path)?;
        lock.hold(&path)?;
        let connection = connect_as_it_is(&path).map_err(|error| failed(&path, error))?;
        let found = format(&connection, &path)?;
        if found == 0 {
            return Err(StoreError::none(&path));
        }
        log_is_read(&connection, &path, &mut lock)?;
        let loaded = Pepper::load(pepper)?;
        check_pepper(&connection, &path, (&loaded, pepper))?;
        let reader = Reader::new(&path, &loaded.chain_key(), &loaded.seal_key());
        Ok((reader, connection, lock))
    }
}

/// What is wrong with what stands in the file, if anything is.
pub(super) fn fault(
    connection: &Connection,
    key: &SealKey,
    found: usize,
) -> rusqlite::Result<Option<String>> {
    let engine: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if engine != "ok" {
        return Ok(Some(engine));
    }
    let stray = connection
        .prepare("PRAGMA foreign_key_check")?
        .query_row([], |row| row.get::<_, String>(0))
        .optional()?;
    if let Some(table) = stray {
        return Ok(Some(format!("a row of `{table}` belongs to nothing")));
    }
    let sealed = found < SEAL_FORMAT || seal::check(connection, key)?;
    Ok((!sealed).then(|| UNSEALED.to_owned()))
}

/// How much there is of what.
pub(super) fn counted(connection: &Connection) -> rusqlite::Result<Value> {
    let mut counts = Map::new();
    for (table, name) in COUNTED {
        if connection.table_exists(Some("main"), table)? {
            let query = format!("SELECT count(*) FROM {table}");
            let count: i64 = connection.query_row(&query, [], |row| row.get(0))?;
            counts.insert(name.to_owned(), count.into());
        }
    }
    Ok(counts.into())
}

/// The last backup that the trail knows of.
fn last_backup(connection: &Connection) -> rusqlite::Result<Option<Value>> {
    if !connection.table_exists(Some("main"), "audit")? {
        return Ok(None);
    }
    let query = "SELECT record FROM audit WHERE event = 'store.backup' ORDER BY number DESC";
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let record: Value = serde_json::from_str(row.get_ref(0)?.as_str()?).unwrap_or_default();
        let text = |name: &str| record.get(name).cloned();
        if text("event.outcome") == Some(json!("success")) {
            return Ok(Some(json!({
                "at": text("timestamp"),
                "file": text("portcullis.object.name"),
            })));
        }
    }
    Ok(None)
}
