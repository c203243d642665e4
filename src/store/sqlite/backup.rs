//! Copies of the store: made while it is used, proven before anybody is told of them, never written
//! over anything.
//!
//! A copy holds what the store held at one moment and nothing that was deleted before, for it is written
//! anew row by row. It says of itself that it is a copy, and no server opens one: keys and accounts that
//! ended since it was made would count again without a word. `restore` is the way back.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use super::file::{connect_to_read, failed, folder_of, format};
use super::reader::{Reader, counted, fault};
use super::seal::SealKey;
use crate::store::StoreError;
use crate::store::lock::beside;
use crate::store::pepper::sync_folder_of;
use crate::words::{UnixTime, random_base62};

/// Where it stands in `meta` that a file is a copy.
const NAME: &str = "backup";
/// Most copies of one format that are kept beside a store.
const KEPT_MAX: usize = 1000;

/// A copy that was made.
#[derive(Clone, Debug)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// The format of the store in it.
    pub format: usize,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// How much there is of what.
    pub records: Value,
}

pub(super) fn write(reader: &Reader, target: &Path, now: UnixTime) -> Result<Backup, StoreError> {
    let cannot = |source: io::Error| StoreError::File {
        what: "write the backup",
        path: target.into(),
        source,
    };
    if fs::symlink_metadata(target).is_ok() {
        return Err(StoreError::Exists {
            path: target.into(),
        });
    }
    let part = Part::create(target).map_err(cannot)?;
    let from = connect_to_read(&reader.path).map_err(|error| failed(&reader.path, error))?;
    copy(&from, &part.path).map_err(|error| not_copied(target, error))?;
    let marked = mark(&part.path, (reader, target, now));
    let (found, records) = marked?;
    let stat = part.sync().map_err(cannot)?;
    place(&part.path, target).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            let path = target.into();
            return StoreError::Exists { path };
        }
        cannot(error)
    })?;
    sync_folder_of(target).map_err(cannot)?;
    Ok(Backup {
        path: target.into(),
        format: found,
        size_bytes: stat.len(),
        records,
    })
}

/// Keeps the store as it is, with its format in the name of the copy, and says where.
pub(super) fn keep(
    connection: &Connection,
    path: &Path,
    found: usize,
) -> Result<PathBuf, StoreError> {
    let cannot = |target: &Path, source| StoreError::File {
        what: "keep the store as it was, in",
        path: target.into(),
        source,
    };
    for number in 1..=KEPT_MAX {
        let target = match number {
            1 => beside(path, &format!(".format-{found}")),
            _ => beside(path, &format!(".format-{found}.{number}")),
        };
        if fs::symlink_metadata(&target).is_ok() {
            continue;
        }
        let part = Part::create(&target).map_err(|error| cannot(&target, error))?;
        copy(connection, &part.path).map_err(|error| not_copied(&target, error))?;
        part.sync()
            .and_then(|_| place(&part.path, &target))
            .and_then(|()| sync_folder_of(&target))
            .map_err(|error| cannot(&target, error))?;
        return Ok(target);
    }
    Err(StoreError::Exists {
        path: beside(path, &format!(".format-{found}")),
    })
}

/// Says whether the file behind `connection` is a copy that was made by [`write()`].
pub(super) fn is_one(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(said(connection)?.is_some())
}

/// What a copy says of itself: when it was made, and of which store.
pub(super) fn said(connection: &Connection) -> rusqlite::Result<Option<Value>> {
    let query = "SELECT value FROM meta WHERE name = ?1";
    let said = connection.query_row(query, [NAME], |row| row.get::<_, Vec<u8>>(0));
    let said = said.optional()?;
    Ok(said.map(|said| serde_json::from_slice(&said).unwrap_or_default()))
}

/// Takes the mark of a copy off.
pub(super) fn unmark(connection: &Connection) -> rusqlite::Result<()> {
    let delete = "DELETE FROM meta WHERE name = ?1";
    connection.execute(delete, [NAME]).map(drop)
}

/// Writes into the copy that it is one, and proves it.
fn mark(
    part: &Path,
    (reader, target, now): (&Reader, &Path, UnixTime),
) -> Result<(usize, Value), StoreError> {
    let marked = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(part)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let said = json!({ "taken_at": now, "store": reader.path });
        let said = said.to_string().into_bytes();
        let insert = "INSERT INTO meta (name, value) VALUES (?1, ?2)";
        connection.execute(insert, params![NAME, said])?;
        Ok(connection)
    };
    let connection = marked().map_err(|error| not_copied(target, error))?;
    let found = format(&connection, target)?;
    proven(&connection, target, (&reader.key, found))?;
    let records = counted(&connection).map_err(|error| not_copied(target, error))?;
    Ok((found, records))
}

/// Refuses a file that is not whole.
pub(super) fn proven(
    connection: &Connection,
    path: &Path,
    (key, found): (&SealKey, usize),
) -> Result<(), StoreError> {
    match fault(connection, key, found) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(StoreError::Damaged {
            path: path.into(),
            what,
        }),
        Err(error) => Err(failed(path, error)),
    }
}

fn copy(from: &Connection, to: &Path) -> rusqlite::Result<()> {
    let to = to
        .to_str()
        .ok_or_else(|| rusqlite::Error::InvalidPath(to.into()))?;
    from.execute("VACUUM INTO ?1", [to]).map(drop)
}

/// The engine names no file in what it says.
fn not_copied(target: &Path, error: rusqlite::Error) -> StoreError {
    let told = failed(target, error);
    let StoreError::Engine {
        transient, source, ..
    } = &told
    else {
        return told;
    };
    StoreError::Engine {
        transient: *transient,
        in_doubt: false,
        source: format!("{source}, while it was copied to `{}`", target.display()).into(),
    }
}

/// A file on its way; it goes when it is dropped, unless it has got its name.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    /// Private from its first moment, beside the place it is for.
    fn create(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let name = format!(".{}.{}", name.to_string_lossy(), random_base62(8));
        let path = folder_of(target).join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self { path, file })
    }

    fn sync(&self) -> io::Result<fs::Metadata> {
        self.file.sync_all()?;
        self.file.metadata()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Either it has its name by now and none of these is there, or nobody wants it.
        for ending in ["", "-journal"] {
            let _ = fs::remove_file(beside(&self.path, ending));
        }
    }
}

/// Gives `part` its name, unless somebody has it.
fn place(part: &Path, target: &Path) -> io::Result<()> {
    match renameat_with(CWD, part, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // A file system that cannot; a second name is as good, and never takes another's place.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::hard_link(part, target),
        Err(error) => Err(error.into()),
    }
}
