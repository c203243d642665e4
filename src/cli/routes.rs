//! `portcullis routes` and `portcullis permissions`: what the policy in force says.

use clap::Subcommand;

use super::arguments::{method, target};
use super::table::View;
use super::transport::Operation;
use super::{Context, Exit, Failure};
use crate::words::Method;

/// What routes look like.
const VIEW: View = View {
    plural: "routes",
    name: "name",
    columns: &[
        ("route", "name"),
        ("needs", "needs"),
        ("within", "within"),
        ("upstream", "upstream"),
        ("shadow", "shadow"),
    ],
};

/// What permissions look like.
const PERMISSIONS: View = View {
    plural: "permissions",
    name: "name",
    columns: &[("permission", "name"), ("description", "description")],
};

/// Routes: methods and paths, and what each one needs
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List all routes
    List,
    /// Say which route answers a request, and which others it must satisfy too
    #[command(before_help = "Examples:
  portcullis routes match GET /v1/tenants/acme/devices")]
    Match {
        /// Method of the request, such as GET
        #[arg(value_parser = method)]
        method: Method,
        /// Path, with the query if there is one
        #[arg(value_parser = target)]
        path: String,
        /// Host the request names
        #[arg(long)]
        host: Option<String>,
    },
}

/// Permissions: what the policy declares
#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum Permissions {
    /// List all permissions
    List,
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let operation = match command {
        Command::List => Operation::RoutesList {},
        Command::Match { method, path, host } => Operation::RoutesMatch {
            method,
            target: path,
            host,
        },
    };
    context.perform(operation, &VIEW)
}

/// Runs `portcullis permissions`.
pub(super) fn run_permissions(
    command: Permissions,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    let operation = match command {
        Permissions::List => Operation::PermissionsList {},
    };
    context.perform(operation, &PERMISSIONS)
}
