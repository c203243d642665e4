//! Room on the disk that is kept for the day when there is none.
//!
//! A full disk takes no revocation, and a machine without room is a machine that is soon started again:
//! what holds in memory alone would open again then. So a file of random bytes lies beside the store,
//! and is cut, piece by piece, for changes that only take away. It is made again when there is plenty.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use super::file::folder_of;
use crate::store::lock::beside;

/// How much is kept, in bytes. A revocation writes some ten pages to the log: room for two dozen of them,
/// and for many more where the log begins anew meanwhile.
const KEPT_BYTES: usize = 1024 * 1024;
/// How much is given up at once, in bytes: others fill what is free, so that not all is free at once.
const PIECE_BYTES: u64 = 256 * 1024;
/// How much must be free for the room to be made again, in bytes: it must not be what fills the disk.
const FREE_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// Makes the ballast of the store at `store`, or makes it whole, where there is plenty of room.
///
/// # Errors
///
/// When it could not be written; what was written of it stays.
pub(super) fn keep(store: &Path) -> io::Result<()> {
    let path = beside(store, ".ballast");
    let kept = std::fs::symlink_metadata(&path).map_or(0, |stat| stat.len());
    let disk = rustix::fs::statvfs(folder_of(store))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if kept >= KEPT_BYTES as u64 || free < FREE_BYTES_MIN {
        return Ok(());
    }
    // Bytes that no file system packs into less.
    let mut bytes = vec![0; KEPT_BYTES];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("no random bytes"))?;
    let mut options = OpenOptions::new();
    let mut file = open(options.create(true).truncate(true), &path)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

/// Cuts a piece off it, and says whether there was one.
fn cut(store: &Path) -> bool {
    let cut = || -> io::Result<bool> {
        let file = open(&mut OpenOptions::new(), &beside(store, ".ballast"))?;
        let kept = file.metadata()?.len();
        file.set_len(kept.saturating_sub(PIECE_BYTES))?;
        // Some file systems free what was cut when that is on the disk, and not before.
        file.sync_all()?;
        Ok(kept > 0)
    };
    cut().unwrap_or(false)
}

/// The same, and says so.
pub(super) fn give_up(store: &Path) -> bool {
    let is_cut = cut(store);
    if is_cut {
        tracing::warn!("the disk is full: some of the room kept for revocations is given up");
    }
    is_cut
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    options
        .write(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_whole_and_given_up_piece_by_piece() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("p.db");
        let path = folder.path().join("p.db.ballast");
        let len = || std::fs::metadata(&path).unwrap().len();
        assert!(!cut(&store), "there is none yet");
        for _ in 0..2 {
            keep(&store).unwrap();
            assert_eq!(len(), KEPT_BYTES as u64);
        }
        let mut pieces = 0;
        while cut(&store) {
            pieces += 1;
            assert_eq!(len(), KEPT_BYTES as u64 - pieces * PIECE_BYTES);
        }
        assert_eq!((pieces, len()), (4, 0));
        keep(&store).unwrap();
        assert_eq!(len(), KEPT_BYTES as u64);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (store, other) = (folder.path().join("p.db"), folder.path().join("other"));
        std::fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join("p.db.ballast")).unwrap();
        assert!(keep(&store).is_err() && !cut(&store));
        assert_eq!(std::fs::read(&other).unwrap(), b"kept");
    }
}
