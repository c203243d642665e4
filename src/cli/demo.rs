//! `portcullis demo`: the whole product on one machine, with nothing to set up.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Exit, Failure, init};
use crate::words::RoleName;

/// What the demo shows.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis demo
  portcullis demo --check
  portcullis demo --upstream http://127.0.0.1:3000 --policies policies/")]
pub(super) struct Demo {
    /// Make the calls itself, say how each went, and end
    #[arg(long)]
    check: bool,
    /// Your API, in place of the demo's own: scheme and authority only, or a Unix socket
    #[arg(long, value_name = "URL", value_parser = init::upstream, requires = "policies")]
    upstream: Option<String>,
    /// The policy folder for your API
    #[arg(long, value_name = "FOLDER", requires = "upstream")]
    policies: Option<PathBuf>,
    /// Role of the demo's account under your policy; its first role if left out
    #[arg(long, requires = "policies")]
    role: Option<RoleName>,
}

/// Shows everything, or checks it.
pub(super) fn run(demo: &Demo, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let _ = (
        demo.check,
        &demo.upstream,
        &demo.policies,
        &demo.role,
        context,
    );
    Err(Failure::server("there is nothing to show yet"))
}
