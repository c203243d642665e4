//! A store in one file: SQLite in WAL mode, synced at every commit.
//!
//! One process has it open; the lock beside the file sees to that. The file is made private, not
//! made private afterwards. A store is new or whole: schema, pepper fingerprint and the first
//! signing key are one transaction, so a death in the middle of the first start leaves a file that
//! the next start takes for new.

mod apply;
mod audit;
mod denials;
mod look;
mod rows;
mod upkeep;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use serde_json::json;
use subtle::ConstantTimeEq;

use super::lock::Lock;
use super::pepper::sync_folder_of;
use super::{Change, Pepper, PepperError, Records, SigningKeyRecord, Store, StoreError};
use crate::audit::{Anchor, Broken, ChainKey, Checked, Entry, Filter as AuditFilter, Row};
use crate::denials::{Batch, Filter, Group, Record};
use crate::directory::SigningKey;
use crate::settings;
use crate::words::{RequestId, UnixTime};

/// Every format there ever was, oldest first; the format of a file is how many it has been through.
const MIGRATIONS: [&str; 6] = [
    include_str!("migrations/001-begin.sql"),
    include_str!("migrations/002-denials.sql"),
    include_str!("migrations/003-keys.sql"),
    include_str!("migrations/004-audit.sql"),
    include_str!("migrations/005-owners.sql"),
    include_str!("migrations/006-tokens.sql"),
];

/// The format that brought the audit trail.
const AUDIT_FORMAT: usize = 4;

/// Marks the file as ours: `Prtc`.
const APPLICATION_ID: i32 = 0x5072_7463;

/// Where the write-ahead log is cut back to after a checkpoint, in bytes: some thousand changes.
const WAL_BYTES_MAX: i64 = 16 * 1024 * 1024;

/// A store in one file.
#[derive(Debug)]
pub struct Sqlite {
    // Dropped first: the lock must outlive the connection.
    connection: Connection,
    path: PathBuf,
    chain: ChainKey,
    _lock: Lock,
}

impl Sqlite {
    /// Opens the store at `path`, or makes it, with the pepper at `pepper`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when another process has it open, it belongs to somebody else, is of a newer
    /// format or no store of ours, or the pepper is not the one it was made with.
    pub fn open(path: &Path, pepper: &Path, now: UnixTime) -> Result<(Self, Pepper), StoreError> {
        let path = real_path(path)?;
        check_owner(&path)?;
        let lock = Lock::take(&path)?;
        create_private(&path)?;
        let connection = connect(&path).map_err(|error| failed(&path, error))?;
        let found = format(&connection, &path)?;
        let loaded = match found {
            0 => Pepper::load_or_create(pepper)?,
            _ => Pepper::load(pepper)?,
        };
        let mut store = Self {
            connection,
            path,
            chain: loaded.chain_key(),
            _lock: lock,
        };
        if found == 0 {
            store.begin(&loaded, now)?;
        } else {
            store.check_pepper(&loaded, pepper)?;
            store.migrate(found, now)?;
            store.prune(now)?;
        }
        Ok((store, loaded))
    }

    /// Makes a new store: all of it in one transaction.
    fn begin(&mut self, pepper: &Pepper, now: UnixTime) -> Result<(), StoreError> {
        let (key, private) = SigningKey::generate(now);
        let first = SigningKeyRecord {
            wrapped: pepper.wrap(&key.kid, &private),
            kid: key.kid,
            public: key.public,
            created_at: now,
            retired_at: None,
        };
        let (chain, made) = (self.chain.clone(), of_itself("store.create", now, 0));
        self.migrate_then(0, |transaction| {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.execute(
                "INSERT INTO meta (name, value) VALUES ('pepper', ?1)",
                [pepper.fingerprint()],
            )?;
            rows::insert_signing_key(transaction, &first)?;
            audit::begin(transaction, &chain)?;
            audit::append(transaction, &chain, &made).map(drop)
        })?;
        sync_folder_of(&self.path).map_err(|source| StoreError::File {
            what: "sync the folder of",
            path: self.path.clone(),
            source,
        })
    }

    fn migrate(&mut self, found: usize, now: UnixTime) -> Result<(), StoreError> {
        if found == MIGRATIONS.len() {
            return Ok(());
        }
        let (chain, migrated) = (self.chain.clone(), of_itself("store.migrate", now, found));
        self.migrate_then(found, |transaction| {
            if found < AUDIT_FORMAT {
                audit::begin(transaction, &chain)?;
            }
            audit::append(transaction, &chain, &migrated).map(drop)
        })
    }

    /// Keys that ended long ago go once a start, when nobody waits for a request or a change.
    fn prune(&mut self, now: UnixTime) -> Result<(), StoreError> {
        self.transact(|transaction, chain| {
            let keys = upkeep::prune_keys(transaction, now)?;
            if keys > 0 {
                let said = json!({ "ended_keys": keys });
                let entry = audit::entry_of("store.prune", now, "", said);
                audit::append(transaction, chain, &entry)?;
            }
            Ok(())
        })
    }

    fn transact<T>(
        &mut self,
        run: impl FnOnce(&Transaction<'_>, &ChainKey) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let (connection, chain) = (&mut self.connection, &self.chain);
        let run = || {
            let behavior = TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(behavior)?;
            let done = run(&transaction, chain)?;
            transaction.commit()?;
            Ok(done)
        };
        run().map_err(|error| failed(&self.path, error))
    }

    fn migrate_then(
        &mut self,
        found: usize,
        then: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let run = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for step in MIGRATIONS.iter().skip(found) {
                transaction.execute_batch(step)?;
            }
            let format = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
            transaction.pragma_update(None, "user_version", format)?;
            then(&transaction)?;
            transaction.commit()
        };
        run(&mut self.connection).map_err(|error| failed(&self.path, error))
    }

    fn check_pepper(&self, pepper: &Pepper, path: &Path) -> Result<(), StoreError> {
        let query = "SELECT value FROM meta WHERE name = 'pepper'";
        let known: Vec<u8> = self
            .connection
            .query_row(query, [], |row| row.get(0))
            .map_err(|error| failed(&self.path, error))?;
        if known.ct_eq(&pepper.fingerprint()).into() {
            return Ok(());
        }
        Err(PepperError::Different { path: path.into() }.into())
    }
}

impl Store for Sqlite {
    fn load(&self) -> Result<Records, StoreError> {
        rows::load(&self.connection).map_err(|error| failed(&self.path, error))
    }

    fn commit(
        &mut self,
        change: Option<&Change>,
        entries: &[Entry],
    ) -> Result<Option<u64>, StoreError> {
        if entries.is_empty() && change.is_some_and(|change| !change.is_bookkeeping()) {
            return Err(StoreError::Unrecorded);
        }
        let path = &self.path;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failed(path, error))?;
        if let Some(change) = change {
            apply::apply(&transaction, change).map_err(|refusal| match refusal {
                apply::Refusal::Rule(error) => error,
                apply::Refusal::Engine(error) => failed(path, error),
            })?;
        }
        let mut number = None;
        for entry in entries {
            let added = audit::append(&transaction, &self.chain, entry);
            number = Some(added.map_err(|error| failed(path, error))?);
        }
        transaction.commit().map_err(|error| failed(path, error))?;
        Ok(number)
    }

    fn audit(&self, filter: &AuditFilter, after: Option<u64>) -> Result<Vec<Row>, StoreError> {
        let found = match after {
            None => audit::list(&self.connection, filter),
            Some(after) => audit::follow(&self.connection, after, filter),
        };
        found.map_err(|error| failed(&self.path, error))
    }

    fn audit_anchor(&self, now: UnixTime) -> Result<Anchor, StoreError> {
        audit::anchor(&self.connection, &self.chain, now).map_err(|error| failed(&self.path, error))
    }

    fn check_anchor(&self, anchor: &Anchor) -> Result<Option<Broken>, StoreError> {
        audit::check_anchor(&self.connection, &self.chain, anchor)
            .map_err(|error| failed(&self.path, error))
    }

    fn check_audit(&self, after: Option<u64>) -> Result<Checked, StoreError> {
        audit::check(&self.connection, &self.chain, after)
            .map_err(|error| failed(&self.path, error))
    }

    fn cut_audit(
        &mut self,
        bounds: &settings::Audit,
        now: UnixTime,
        instance: &str,
    ) -> Result<u64, StoreError> {
        self.transact(|transaction, chain| audit::cut(transaction, chain, (bounds, now, instance)))
    }

    fn keep_denials(
        &mut self,
        batch: &Batch,
        bounds: &settings::Denials,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.transact(|transaction, _| denials::keep(transaction, batch, bounds, now))
    }

    fn denial(&self, id: &RequestId) -> Result<Option<Record>, StoreError> {
        denials::find(&self.connection, id).map_err(|error| failed(&self.path, error))
    }

    fn denials(&self, filter: &Filter) -> Result<Vec<Record>, StoreError> {
        denials::list(&self.connection, filter).map_err(|error| failed(&self.path, error))
    }

    fn denial_groups(&self) -> Result<Vec<Group>, StoreError> {
        denials::groups(&self.connection).map_err(|error| failed(&self.path, error))
    }

    fn describe(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }
}

/// The format of the file; 0 is a new one.
fn format(connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    let number = |pragma: &str| {
        let read = connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
        read.map_err(|error| failed(path, error))
    };
    let damaged = |what: &str| StoreError::Damaged {
        path: path.into(),
        what: what.into(),
    };
    let (format, mark) = (
        number("PRAGMA user_version")?,
        number("PRAGMA application_id")?,
    );
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if format == 0 && mark == 0 && tables == 0 {
        return Ok(0);
    }
    if mark != APPLICATION_ID {
        return Err(StoreError::another_program(path));
    }
    let found = u32::try_from(format).map_err(|_| damaged("its format is negative"))?;
    let steps = usize::try_from(found).unwrap_or(usize::MAX);
    if steps > MIGRATIONS.len() {
        let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
        return Err(StoreError::FormatTooNew {
            path: path.into(),
            found,
            known,
        });
    }
    Ok(steps)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // No `SQLITE_OPEN_CREATE`: the file is there, made with the mode it should have.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // In WAL mode anything less syncs at checkpoints only, and an acknowledged change could be lost
    // when the machine dies.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    Ok(connection)
}

/// `path`, absolute and without links, whether or not the file is there yet.
fn real_path(path: &Path) -> Result<PathBuf, StoreError> {
    let folder = folder_of(path);
    let failed = |source| StoreError::Folder {
        path: path.into(),
        folder: folder.into(),
        source,
    };
    if let Ok(real) = fs::canonicalize(path) {
        return Ok(real);
    }
    let real = fs::canonicalize(folder).map_err(failed)?;
    let name = path
        .file_name()
        .ok_or_else(|| failed(std::io::ErrorKind::IsADirectory.into()))?;
    Ok(real.join(name))
}

/// The folder of `path`.
fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new("."))
}

fn check_owner(path: &Path) -> Result<(), StoreError> {
    let me = rustix::process::geteuid();
    match fs::metadata(path) {
        Ok(stat) if stat.uid() != me.as_raw() && !me.is_root() => Err(StoreError::NotOwner {
            path: path.into(),
            owner: stat.uid(),
            me: me.as_raw(),
        }),
        // What cannot be looked at cannot be opened either, and that error says more.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn create_private(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(StoreError::File {
            what: "create",
            path: path.into(),
            source,
        }),
    }
}

/// The record of a new format.
fn of_itself(event: &'static str, now: UnixTime, found: usize) -> Entry {
    let said = json!({ "from_format": found, "format": MIGRATIONS.len() });
    audit::entry_of(event, now, "", said)
}

fn failed(path: &Path, error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{
        DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase, OutOfMemory,
        SystemIoFailure,
    };
    let code = error.sqlite_error_code();
    let unreadable = matches!(error, rusqlite::Error::FromSqlConversionFailure(..));
    if unreadable || matches!(code, Some(DatabaseCorrupt | NotADatabase)) {
        return StoreError::Damaged {
            path: path.into(),
            what: error.to_string(),
        };
    }
    let transient = matches!(
        code,
        Some(DatabaseBusy | DatabaseLocked | DiskFull | OutOfMemory | SystemIoFailure)
    );
    StoreError::Engine {
        transient,
        source: Box::new(error),
    }
}
