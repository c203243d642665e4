//! The file itself: where it is, whose it is, how it is opened, and what its failures mean.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, ffi};
use subtle::ConstantTimeEq;

use super::MIGRATIONS;
use crate::store::lock::Lock;
use crate::store::{Pepper, PepperError, StoreError};

/// Marks the file as ours: `Prtc`.
pub(super) const APPLICATION_ID: i32 = 0x5072_7463;

/// Where the write-ahead log is cut back to after a checkpoint, in bytes: some thousand changes.
const WAL_BYTES_MAX: i64 = 16 * 1024 * 1024;

/// The newest format this version reads.
pub(super) fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The format of the file; 0 is a new one.
pub(super) fn format(connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    let number = |pragma: &str| {
        let read = connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
        read.map_err(|error| failed(path, error))
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
    let negative = |_| StoreError::damaged(path, "its format is negative");
    let found = u32::try_from(format).map_err(negative)?;
    if found > known() {
        return Err(StoreError::FormatTooNew {
            path: path.into(),
            found,
            known: known(),
        });
    }
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

/// A way in for whoever writes.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect_as_it_is(path)?;
    write_ahead(&connection)?;
    Ok(connection)
}

/// Has changes written to a log first. The file says so from then on, so it must be one of ours.
pub(super) fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")
}

/// A way in for whoever writes, once it is known what the file is: nothing of it is touched yet.
pub(super) fn connect_as_it_is(path: &Path) -> rusqlite::Result<Connection> {
    // No `SQLITE_OPEN_CREATE`: the file is there, made with the mode it should have.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Until the lock file says that no log is due, the log stays, however this connection ends.
    keep_log(&connection, true)?;
    // In WAL mode anything less syncs at checkpoints only, and an acknowledged change could be lost
    // when the machine dies.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    // What is only this connection's needs no place on a disk that may be full or read-only.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

fn keep_log(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    let config = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(config, keep).map(drop)
}

/// Notes that the log has been read, so that it may be merged into the file and go when the connection
/// ends. Where that cannot be noted it stays.
pub(super) fn log_is_read(
    connection: &Connection,
    path: &Path,
    lock: &mut Lock,
) -> Result<(), StoreError> {
    let noted = lock.log_is_read();
    let kept = keep_log(connection, noted.is_err());
    noted.and(kept.map_err(|error| failed(path, error)))
}

/// A second way in, beside the one that writes.
pub(super) fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// `path`, absolute and without links, whether or not the file is there yet.
pub(super) fn real_path(path: &Path) -> Result<PathBuf, StoreError> {
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
pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new("."))
}

pub(super) fn check_owner(path: &Path) -> Result<(), StoreError> {
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

pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
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

/// Refuses another pepper than the one the store was made with.
pub(super) fn check_pepper(
    connection: &Connection,
    path: &Path,
    (pepper, pepper_path): (&Pepper, &Path),
) -> Result<(), StoreError> {
    let query = "SELECT value FROM meta WHERE name = 'pepper'";
    let known = connection.query_row(query, [], |row| row.get::<_, Vec<u8>>(0));
    let known = known.optional().map_err(|error| failed(path, error))?;
    let Some(known) = known else {
        return Err(StoreError::damaged(
            path,
            "it does not say which pepper it was made with",
        ));
    };
    if known.ct_eq(&pepper.fingerprint()).into() {
        return Ok(());
    }
    let path = pepper_path.into();
    Err(PepperError::Different { path }.into())
}

/// Whether the disk did not keep what was written, as far as it says itself. What had been written
/// may be gone from memory then and not on the disk, so that writing it again proves nothing.
pub(super) fn is_disk_untrue(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(
        code,
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

pub(super) fn failed(path: &Path, error: rusqlite::Error) -> StoreError {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
        OutOfMemory, ReadOnly, SystemIoFailure,
    };
    let code = error.sqlite_error_code();
    // What we say is understood by every store of ours: where it is not, a name in its schema was changed.
    let unreadable = matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::SqlInputError { .. }
    );
    if unreadable || matches!(code, Some(DatabaseCorrupt | NotADatabase)) {
        return StoreError::damaged(path, error);
    }
    if code == Some(DiskFull) {
        return StoreError::Full { path: path.into() };
    }
    let transient = matches!(
        code,
        Some(CannotOpen | DatabaseBusy | DatabaseLocked | OutOfMemory | ReadOnly | SystemIoFailure)
    );
    StoreError::Engine {
        transient,
        in_doubt: false,
        source: Box::new(error),
    }
}
