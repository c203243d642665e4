//! `portcullis check`: proves settings and policy, and runs the policy's own tests.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Exit, Failure};

/// What to prove.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis check                  the settings, and the policy folder they name
  portcullis check policies/        a policy folder alone
  portcullis check -o json          the same for an editor")]
pub(super) struct Check {
    /// Policy folder, or a folder with a portcullis.yaml; what the settings name if left out
    folder: Option<PathBuf>,
}

/// Prints every fault, every warning and every test that failed.
pub(super) fn run(check: &Check, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let _ = (&check.folder, context.settings()?);
    Err(Failure::server("nothing can be checked yet"))
}
