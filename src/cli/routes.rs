//! `portcullis routes` and `portcullis permissions`: what the policy in force says.

use clap::Subcommand;
use serde_json::Value;

use super::arguments::{method, target};
use super::output::Format;
use super::table::View;
use super::transport::Operation;
use super::{Context, Exit, Failure, import};
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
    columns: &[
        ("permission", "name"),
        ("roles", "roles"),
        ("description", "description"),
    ],
};

/// Routes: methods and paths, and what each one needs
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List all routes
    List,
    /// Write a policy file from the description of an API
    Import(import::Import),
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
    match command {
        Command::List => context.perform(Operation::RoutesList {}, &VIEW),
        Command::Import(arguments) => import::run(&arguments, context),
        Command::Match { method, path, host } => {
            let answer = context.ask(Operation::RoutesMatch {
                method,
                target: path,
                host,
            })?;
            if context.output.format() == Format::Table {
                context.output.answer(&met(&answer), &VIEW)?;
            } else {
                context.output.answer(&answer, &VIEW)?;
            }
            Ok(Exit::Ok)
        }
    }
}

/// The route that answers, and those that must be satisfied too, as one list.
fn met(answer: &Value) -> Value {
    let also = answer.get("also").and_then(Value::as_array);
    let routes = answer.get("route").into_iter();
    routes.chain(also.into_iter().flatten()).cloned().collect()
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
