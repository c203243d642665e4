//! One writer: a lock that a second server and a command without a server need too.
//!
//! `flock` on a file of its own. The kernel lets it go when the holder dies, however it dies, so
//! there is no stale lock to clean up. The database file is locked as well, for one file may have
//! several names (a hard link, a bind mount of the file alone), each with a lock file beside it; that
//! descriptor is closed after SQLite's own, because closing it drops the locks SQLite has there.
//!
//! The lock file also remembers, from one holder to the next, that there is a store and whether its
//! last holder died with the write-ahead log in use: SQLite takes a log that is missing for one that
//! was merged, and an empty file for a new store. Neither is to be served as if nothing was lost.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::StoreError;

/// Longest text read from a lock file, in bytes: a process id of ten digits and a few words.
const CONTENT_BYTES_MAX: u64 = 64;

/// How often the lock is tried, and how long between: two seconds in all. A command without a server
/// holds it for milliseconds, and a server that starts just then has no reason to give up.
const TRIES: usize = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// What the lock file says besides who holds it.
const BEGUN: &str = "begun";
const LOG: &str = "log";

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// The lock file's place.
    path: PathBuf,
    /// The store itself, locked under whatever name.
    store: Option<File>,
    /// Whether there has been a store here.
    begun: bool,
    /// Whether its last holder died while changes stood in the log.
    log: bool,
}

impl Lock {
    /// Takes the lock of the store at `path`, which must be absolute and free of links, or two
    /// spellings of one store would have two locks.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let lock_path = beside(path, ".lock");
        let failed = |source| StoreError::File {
            what: "lock",
            path: lock_path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path);
        let mut file = file.map_err(|source| match (source.kind(), path.parent()) {
            // It is the folder that does not let anything be made in it.
            (ErrorKind::PermissionDenied, Some(folder)) if !lock_path.exists() => {
                StoreError::Folder {
                    path: path.into(),
                    folder: folder.into(),
                    source,
                }
            }
            _ => failed(source),
        })?;
        match try_for_a_while(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut file);
                return Err(StoreError::Locked {
                    path: path.into(),
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        hand_over(&file, path).map_err(failed)?;
        let before = content(&mut file);
        let says = |word: &str| before.lines().skip(1).any(|line| line == word);
        let mut lock = Self {
            begun: says(BEGUN),
            log: says(LOG),
            file,
            path: lock_path,
            store: None,
        };
        lock.write()?;
        Ok(lock)
    }

    /// Locks the file of the store as well, which may have other names.
    pub(super) fn hold(&mut self, store: &Path) -> Result<(), StoreError> {
        let failed = |source| StoreError::File {
            what: "open",
            path: store.into(),
            source,
        };
        let file = OpenOptions::new().read(true).write(true).open(store);
        let file = file.map_err(failed)?;
        match try_for_a_while(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    path: store.into(),
                    holder: "another process, which knows the file by another name".to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        self.store = Some(file);
        Ok(())
    }

    /// Refuses to take a file that lost its content for a new store, or one that lost its log for one
    /// that needs none.
    pub(super) fn expects(&self, store: &Path) -> Result<(), StoreError> {
        let is_empty = std::fs::metadata(store).map_or(true, |stat| stat.len() == 0);
        if self.begun && is_empty {
            return Err(StoreError::Gone {
                path: store.into(),
                lock: self.path.clone(),
            });
        }
        let log = beside(store, "-wal");
        if self.log && !log.exists() {
            return Err(StoreError::LogGone {
                path: store.into(),
                log,
                lock: self.path.clone(),
            });
        }
        Ok(())
    }

    /// The store is open and whole: from now on there is one, and what stands in its log counts.
    pub(super) fn begun(&mut self, store: &Path) -> Result<(), StoreError> {
        self.begun = true;
        // A name that is not on the disk yet may be gone after a power cut, with nothing lost by it.
        self.log = beside(store, "-wal").exists() && super::pepper::sync_folder_of(store).is_ok();
        self.write()
    }

    /// The log is merged, or will be before anybody else looks.
    pub(super) fn log_is_read(&mut self) -> Result<(), StoreError> {
        if !self.log {
            return Ok(());
        }
        self.log = false;
        self.write()?;
        self.file.sync_all().map_err(|source| self.failed(source))
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let mut text = format!("{}\n", std::process::id());
        let words = [(self.begun, BEGUN), (self.log, LOG)];
        for (_, word) in words.iter().filter(|(said, _)| *said) {
            text.push_str(word);
            text.push('\n');
        }
        let written = self
            .file
            .rewind()
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .and_then(|()| self.file.set_len(text.len() as u64));
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> StoreError {
        StoreError::File {
            what: "lock",
            path: self.path.clone(),
            source,
        }
    }
}

fn try_for_a_while(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => sleep(PAUSE),
            tried => return tried,
        }
    }
    file.try_lock()
}

/// When root makes the lock file of somebody's store, it is that somebody's, or his server could
/// never take it.
fn hand_over(file: &File, store: &Path) -> std::io::Result<()> {
    let Ok(owner) = std::fs::metadata(store) else {
        return Ok(());
    };
    if file.metadata()?.uid() == owner.uid() || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

fn holder(file: &mut File) -> String {
    let text = content(file);
    match text.lines().next().map(str::parse::<u32>) {
        Some(Ok(pid)) => format!("process {pid}"),
        Some(Err(_)) | None => "another process".to_owned(),
    }
}

/// What the lock file says; nothing if it cannot be read.
fn content(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(CONTENT_BYTES_MAX).read_to_string(&mut text));
    if read.is_err() {
        text.clear();
    }
    text
}

/// `path` with `ending` behind it.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_the_lock_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("p.db");
        let held = Lock::take(&store).unwrap();
        let next = std::thread::scope(|scope| {
            let next = scope.spawn(|| Lock::take(&store));
            sleep(PAUSE);
            drop(held);
            next.join().unwrap()
        });
        let held = next.unwrap();
        let error = Lock::take(&store).unwrap_err();
        let holder = format!("process {}", std::process::id());
        assert!(error.to_string().contains(&holder), "{error}");
        drop(held);
    }
}
