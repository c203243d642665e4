//! What operators change, and how: one service, whoever asks and from wherever.
//!
//! Commands reach it through the control socket of a running server, or open the store themselves
//! when none runs. Either way an [`Operation`] goes in and JSON or an [`AdminError`] comes out.
//!
//! Not here: what a change is worth to a request. That is the directory's; the service only sees to
//! it that a change is on disk first, in the directory second, and acknowledged last.

mod accounts;
mod apply;
mod ask;
mod audit;
mod authority;
mod beyond;
mod checks;
pub mod control;
mod denials;
mod desk;
mod given_back;
mod groups;
pub mod http;
mod keys;
mod look;
mod me;
mod open;
mod operation;
mod overlaps;
mod owed;
mod recording;
mod reload;
mod repeats;
mod roles;
mod service;
mod sorted;
mod store;
mod tokens;
mod trail;
mod unknown;
mod upkeep;
mod version;
mod view;
mod watches;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::store::StoreError;

pub use crate::audit::Actor;
pub use authority::{Page, Terms};
pub use given_back::GivenBack;
pub use look::{declared, routes};
pub use open::{
    OpenError, look, open_files, open_offline, open_server, own_endpoints, policy_context,
};
pub use operation::{Grant, HOST_ONLY, ImportedKey, MatrixBy, Operation, Token};
pub use overlaps::{OVERLAPS_LISTED_MAX, overlaps};
pub use service::{AtDoor, Host, ReplaceError, Service};
pub use store::{migrate, prepare_restore, store_status};
pub(crate) use version::version;

/// What kind of no it is. Commands make an exit code of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// It is not there.
    NotFound,
    /// It is there already, or something stands against it.
    Conflict,
    /// It is not any more what whoever asks took it for.
    Stale,
    /// It is not well formed, or names what does not exist.
    Invalid,
    /// Whoever asks may not.
    NotPermitted,
    /// It cannot be done now, or not by this process.
    Unavailable,
}

/// Why an operation was not carried out. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct AdminError {
    /// What kind of no.
    pub kind: ErrorKind,
    /// The sentence.
    pub message: String,
    /// The part of what was asked that is wrong, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the thing is now, if it is another than whoever asks took it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<Box<Value>>,
}

impl AdminError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            field: None,
            newer: None,
        }
    }

    /// The same, about this part of what was asked.
    #[must_use]
    pub fn at(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    /// The same, about a part of this part.
    #[must_use]
    pub fn below(mut self, part: &str) -> Self {
        self.field = Some(match self.field {
            None => part.to_owned(),
            Some(field) => format!("{part}.{field}"),
        });
        self
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for AdminError {
    fn from(error: &StoreError) -> Self {
        let kind = match error {
            StoreError::NotFound { .. } => ErrorKind::NotFound,
            StoreError::Conflict(_) | StoreError::Exists { .. } | StoreError::FilesOnly { .. } => {
                ErrorKind::Conflict
            }
            StoreError::Locked { .. }
            | StoreError::Unrecorded
            | StoreError::NotOwner { .. }
            | StoreError::FormatTooNew { .. }
            | StoreError::Damaged { .. }
            | StoreError::Gone { .. }
            | StoreError::LogGone { .. }
            | StoreError::ABackup { .. }
            | StoreError::Full { .. }
            | StoreError::Stopped { .. }
            | StoreError::Pepper(_)
            | StoreError::Folder { .. }
            | StoreError::File { .. }
            | StoreError::Engine { .. } => ErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests;
