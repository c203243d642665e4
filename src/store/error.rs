//! Why a store did not do it: whose fault, and whether trying again helps.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::PepperError;

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no such row.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What was looked for: `account`, `key`…
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// A rule of the store stands against it.
    #[error("{0}")]
    Conflict(String),
    /// There is no store to change.
    #[error(
        "this gateway has no store (`store: none`), so {what} cannot be changed by a command: \
         edit the policy files, and they are reloaded"
    )]
    FilesOnly {
        /// What was to be changed.
        what: String,
    },
    /// A change came without a record of it for the audit trail. A mistake in the program.
    #[error("nothing was changed: there is no audit record of it")]
    Unrecorded,
    /// Another process has it open.
    #[error(
        "store `{}` is in use by {holder}: if that is a gateway, its own settings file reaches it (`--config FILE`), \
         and `portcullis drain` ends it; another gateway needs another store", .path.display()
    )]
    Locked {
        /// The store's file.
        path: PathBuf,
        /// Who, as far as it said so.
        holder: String,
    },
    /// Its folder is not there, or not to be written in.
    #[error(
        "store `{}` cannot be in the folder `{}` ({source}): let that be a folder of the user that \
         serves, or name another place for the store", .path.display(), .folder.display()
    )]
    Folder {
        /// The store's file.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It belongs to somebody else.
    #[error(
        "store `{}` belongs to user id {owner}, this process runs as {me}: run the command as that \
         user", .path.display()
    )]
    NotOwner {
        /// The store's file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        me: u32,
    },
    /// It was written by a later version.
    #[error(
        "store `{}` was written by a newer gateway (format {found}, this one reads up to {known}): \
         run that version, or restore a backup", .path.display()
    )]
    FormatTooNew {
        /// The store's file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this version reads.
        known: u32,
    },
    /// It is not what it should be.
    #[error("store `{}` is damaged: {what}", .path.display())]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There was a store here, and the file is empty or not there.
    #[error(
        "store `{}` is empty or gone, and there was one here: nothing is begun in its place. Put it \
         back, or the last backup with `portcullis store restore FILE`; to begin anew, with no \
         account and no key, remove `{}`", .path.display(), .lock.display()
    )]
    Gone {
        /// The store's file.
        path: PathBuf,
        /// What remembers that there was one.
        lock: PathBuf,
    },
    /// Its last user died, and the log that holds what he had acknowledged is not there.
    #[error(
        "the log `{}` of store `{}` is gone, and its last user did not end by himself: changes that \
         were acknowledged may be missing, revoked keys among them. Put the log back, or the last \
         backup with `portcullis store restore FILE`; if some other program has opened the store since \
         (`sqlite3` merges the log), remove `{}`", .log.display(), .path.display(), .lock.display()
    )]
    LogGone {
        /// The store's file.
        path: PathBuf,
        /// The log.
        log: PathBuf,
        /// What remembers that there was one.
        lock: PathBuf,
    },
    /// It is a backup that was copied into place.
    #[error(
        "store `{}` is a backup: what was revoked since it was made would count again. Put it back \
         with `portcullis store restore FILE`, which says what that is", .path.display()
    )]
    ABackup {
        /// The store's file.
        path: PathBuf,
    },
    /// The disk has no room for a change.
    #[error(
        "there is no room for store `{}` on its disk: make some, then ask again", .path.display()
    )]
    Full {
        /// The store's file.
        path: PathBuf,
    },
    /// The disk did not keep what was written, so nothing is written any more.
    #[error(
        "store `{}` takes no changes since its disk did not keep what was written ({what}): see to \
         the disk, then start the gateway again, which shows what was kept", .path.display()
    )]
    Stopped {
        /// The store's file.
        path: PathBuf,
        /// What the engine said.
        what: String,
    },
    /// There is something already where a file should be made.
    #[error("`{}` is there already, and nothing is written over it: name another file", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The pepper is missing, unreadable, or another one.
    #[error(transparent)]
    Pepper(#[from] PepperError),
    /// A file could not be read or written.
    #[error("could not {what} `{}`: {source}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The engine refused.
    #[error("the store failed: {source}")]
    Engine {
        /// Whether trying again, unchanged, can help.
        transient: bool,
        /// Whether the change may be in the store all the same.
        in_doubt: bool,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// The store at `path` is not what was written.
    pub(super) fn damaged(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::Damaged {
            path: path.into(),
            what: format!("{what}; put the last backup back with `portcullis store restore FILE`"),
        }
    }

    /// There is no store at `path`.
    pub(super) fn none(path: &Path) -> Self {
        Self::NotFound {
            what: "store",
            name: path.display().to_string(),
        }
    }

    /// Says whether the store failed, rather than refused.
    pub const fn is_failure(&self) -> bool {
        match self {
            Self::Engine { .. }
            | Self::Full { .. }
            | Self::Damaged { .. }
            | Self::Stopped { .. } => true,
            Self::Locked { .. }
            | Self::Gone { .. }
            | Self::LogGone { .. }
            | Self::ABackup { .. }
            | Self::Exists { .. }
            | Self::NotFound { .. }
            | Self::Conflict(_)
            | Self::FilesOnly { .. }
            | Self::Unrecorded
            | Self::NotOwner { .. }
            | Self::FormatTooNew { .. }
            | Self::Pepper(_)
            | Self::Folder { .. }
            | Self::File { .. } => false,
        }
    }

    /// Says whether what failed may have been done all the same, so that what is in the store has to be
    /// looked at before anything else is done. What failed for lack of room, or before its end, was taken
    /// back.
    pub const fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Engine { in_doubt: true, .. })
    }

    /// Somebody else's database stands at `path`.
    pub(super) fn another_program(path: &Path) -> Self {
        Self::Damaged {
            path: path.into(),
            what: "it is a database of some other program".into(),
        }
    }

    /// Says whether it was the disk that failed, and not the program or somebody who meddles.
    pub const fn is_of_the_disk(&self) -> bool {
        if let Self::Engine { transient, .. } = self {
            return *transient;
        }
        self.is_failure()
    }

    /// Says whether trying again, unchanged, can help.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Locked { .. } | Self::Full { .. } => true,
            Self::Engine { transient, .. } => *transient,
            Self::NotFound { .. }
            | Self::Conflict(_)
            | Self::FilesOnly { .. }
            | Self::Unrecorded
            | Self::NotOwner { .. }
            | Self::FormatTooNew { .. }
            | Self::Damaged { .. }
            | Self::Gone { .. }
            | Self::LogGone { .. }
            | Self::ABackup { .. }
            | Self::Stopped { .. }
            | Self::Exists { .. }
            | Self::Pepper(_)
            | Self::Folder { .. }
            | Self::File { .. } => false,
        }
    }
}
