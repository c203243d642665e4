//! Why a request that was let through has no answer: the reason, which its caller is told, and what
//! is known besides, which only whoever operates the gateway is.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::reason::Reason;
use crate::words::Cause;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub struct NoAnswer {
    /// The reason, as the caller is told it.
    pub reason: Reason,
    /// What is known besides.
    pub cause: Option<Arc<Cause>>,
}

impl From<Reason> for NoAnswer {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            cause: None,
        }
    }
}

impl NoAnswer {
    /// With what went wrong, and where, if it came to that.
    pub(super) fn because(
        reason: Reason,
        address: Option<&dyn std::fmt::Display>,
        what: impl Into<String>,
    ) -> Self {
        let address = address.map(ToString::to_string);
        Self {
            reason,
            cause: Some(Arc::new(Cause::new(address, what.into()))),
        }
    }
}

/// `30s`, as the settings have it.
pub(super) fn span(span: Duration) -> impl std::fmt::Display {
    humantime::format_duration(span)
}

/// What the system says, without its number.
pub(super) fn of_system(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => error.kind().to_string(),
        None => error.to_string(),
    }
}

/// What the library says, down to the bottom of it.
pub(super) fn of_library(error: &hyper::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        let text = match deeper.downcast_ref::<io::Error>() {
            Some(error) => of_system(error),
            None => deeper.to_string(),
        };
        // Some say what their source says.
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        source = deeper.source();
    }
    told
}
