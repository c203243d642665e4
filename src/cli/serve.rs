//! `portcullis serve`: the gateway itself.

use super::{Context, Exit, Failure};

/// Runs the gateway until it is told to stop.
pub(super) fn run(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let _settings = context.settings()?;
    Err(Failure::server("not yet"))
}
