//! `portcullis serve`: the gateway itself.

use super::{Context, Exit, Failure};
use crate::app::{self, StartError};
use crate::clock::Clock;
use crate::telemetry::diagnostics::{self, Format, LEVEL_VARIABLE};
use crate::telemetry::log;

/// Runs the gateway until it is told to stop.
pub(super) fn run(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let level = std::env::var(LEVEL_VARIABLE).ok();
    diagnostics::init(Format::Auto, level.as_deref()).map_err(Failure::usage)?;
    let decisions = log::standard_output().map_err(Failure::server)?;
    let running = app::start(settings, Clock::System, decisions).map_err(failure)?;
    running.announce();
    running.wait().map_err(failure)?;
    Ok(Exit::Ok)
}

/// Bad files are a negative answer, as `check` has it; everything else is the machine's fault.
pub(super) fn failure(error: StartError) -> Failure {
    match error {
        StartError::Files(faults) => faults.into(),
        StartError::Store(error) => error.into(),
        error @ StartError::System { .. } => Failure::server(error),
    }
}
