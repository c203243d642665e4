//! How an operation reaches the service: through the control socket of a running server, or in this
//! process when none runs.

use std::sync::Arc;

use serde_json::Value;

use super::{Exit, Failure};
use crate::admin::{self, Actor, AdminError, ErrorKind, control};
use crate::clock::Clock;
use crate::policy::Policy;
use crate::settings::Settings;

pub(super) use crate::admin::control::Session;
pub(super) use crate::admin::{Grant, ImportedKey, MatrixBy, Operation, Token};

/// Carries out `operation` where the settings say the state is.
///
/// # Errors
///
/// What the service says, or why it could not be reached.
pub(super) fn ask(settings: &Settings, operation: Operation) -> Result<Value, Failure> {
    control::ask(settings, operation).map_err(Failure::from)
}

/// Carries out `operation` on a policy alone: the accounts in its files, no server and no store.
///
/// # Errors
///
/// What the service says.
pub(super) fn ask_policy(policy: Policy, operation: Operation) -> Result<Value, Failure> {
    let service = admin::open_files(Arc::new(policy), Clock::System)?;
    Ok(service.execute(operation, &Actor::local())?)
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        let exit = match error.kind {
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Conflict | ErrorKind::Stale => Exit::Conflict,
            ErrorKind::Invalid => Exit::No,
            ErrorKind::NotPermitted => Exit::NotPermitted,
            ErrorKind::Unavailable => Exit::Server,
        };
        Self::new(exit, error.message)
    }
}
