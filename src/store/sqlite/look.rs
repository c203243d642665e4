//! What stands in the way of a store, found out from outside: nothing is locked, made or written, so
//! this may be asked while a server has the store.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::Sqlite;
use super::file::{APPLICATION_ID, check_owner, failed, folder_of, known, real_path};
use crate::store::{Pepper, PepperError, StoreError};

/// What stands as itself in the name of a file as SQLite reads it.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-');

/// What the file says of itself. While a server has the store the log beside it may say more; what
/// stands here is never taken back.
struct Marks {
    format: u32,
    mark: i32,
    fingerprint: Option<Vec<u8>>,
}

impl Sqlite {
    /// Looks whether [`Sqlite::open`] would refuse the files.
    ///
    /// # Errors
    ///
    /// As [`Sqlite::open`], as far as can be told from outside; who has the store does not matter.
    pub fn look(path: &Path, pepper: &Path) -> Result<(), StoreError> {
        let path = &*real_path(path)?;
        check_owner(path)?;
        let folder = folder_of(path);
        writable(folder).map_err(|source| StoreError::Folder {
            path: path.into(),
            folder: folder.into(),
            source,
        })?;
        let is_new = match fs::metadata(path) {
            Ok(stat) => stat.len() == 0,
            Err(_) => true,
        };
        if is_new {
            return look_at_new_pepper(pepper);
        }
        let marks = marks(path)?;
        let pepper_path = pepper;
        let pepper = Pepper::load(pepper_path)?;
        let Some(marks) = marks else {
            return Ok(());
        };
        check_marks(path, &marks)?;
        if marks
            .fingerprint
            .is_some_and(|known| known != pepper.fingerprint())
        {
            let path = pepper_path.into();
            return Err(PepperError::Different { path }.into());
        }
        Ok(())
    }
}

/// A new store takes the pepper that is there, or makes one.
fn look_at_new_pepper(path: &Path) -> Result<(), StoreError> {
    match Pepper::load(path) {
        Ok(_) => Ok(()),
        Err(PepperError::Missing { .. }) => {
            let written = writable(folder_of(path));
            written.map_err(|source| {
                let what = "write";
                let path = path.into();
                PepperError::File { what, path, source }.into()
            })
        }
        Err(error) => Err(error.into()),
    }
}

fn check_marks(path: &Path, marks: &Marks) -> Result<(), StoreError> {
    // No mark: of a store that has just begun, all may still stand in the log beside it.
    if marks.mark != 0 && marks.mark != APPLICATION_ID {
        return Err(StoreError::another_program(path));
    }
    if marks.mark == APPLICATION_ID && marks.format > known() {
        return Err(StoreError::FormatTooNew {
            path: path.into(),
            found: marks.format,
            known: known(),
        });
    }
    Ok(())
}

/// The marks of the file, if it can be read right now: a server may be writing it.
fn marks(path: &Path) -> Result<Option<Marks>, StoreError> {
    let may = accessat(
        CWD,
        path,
        Access::READ_OK | Access::WRITE_OK,
        AtFlags::EACCESS,
    );
    may.map_err(|error| StoreError::File {
        what: "open",
        path: path.into(),
        source: error.into(),
    })?;
    let read = || -> rusqlite::Result<Marks> {
        // Immutable: SQLite takes no lock and makes no file beside it.
        let name = percent_encode(path.as_os_str().as_bytes(), PATH);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?;
        let mark = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let format = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let query = "SELECT value FROM meta WHERE name = 'pepper'";
        let fingerprint = connection.query_row(query, [], |row| row.get(0));
        Ok(Marks {
            format,
            mark,
            fingerprint: fingerprint.ok(),
        })
    };
    match read() {
        Ok(marks) => Ok(Some(marks)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(failed(path, error))
        }
        Err(_) => Ok(None),
    }
}

fn writable(folder: &Path) -> std::io::Result<()> {
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(CWD, folder, wanted, AtFlags::EACCESS)?)
}
