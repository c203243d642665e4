//! One writer: a lock that a second server and a command without a server need too.
//!
//! `flock` on a file of its own. The kernel lets it go when the holder dies, however it dies, so
//! there is no stale lock to clean up; and the database file itself is left alone, because SQLite
//! has locks of its own there that closing any other descriptor would drop.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::StoreError;

/// Longest text read from a lock file, in bytes: a process id is at most ten.
const HOLDER_BYTES_MAX: u64 = 64;

/// How often the lock is tried, and how long between: two seconds in all. A command without a server
/// holds it for milliseconds, and a server that starts just then has no reason to give up.
const TRIES: usize = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
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
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed)?;
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
        file.set_len(0)
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
            .map_err(failed)?;
        Ok(Self { _file: file })
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
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(HOLDER_BYTES_MAX).read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
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
