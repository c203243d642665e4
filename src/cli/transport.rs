//! How an operation reaches the service: through the control socket of a running server, or in this
//! process when none runs.

use serde_json::Value;

use super::{Exit, Failure};
use crate::admin::{AdminError, ErrorKind, control};
use crate::settings::Settings;

pub(super) use crate::admin::{Grant, Operation, Token};

/// Carries out `operation` where the settings say the state is.
///
/// # Errors
///
/// What the service says, or why it could not be reached.
pub(super) fn ask(settings: &Settings, operation: Operation) -> Result<Value, Failure> {
    control::ask(settings, operation).map_err(Failure::from)
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        let exit = match error.kind {
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Conflict => Exit::Conflict,
            ErrorKind::Invalid => Exit::No,
            ErrorKind::NotPermitted => Exit::NotPermitted,
            ErrorKind::Unavailable => Exit::Server,
        };
        Self::new(exit, error.message)
    }
}
