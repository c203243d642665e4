//! `portcullis routes` and `portcullis permissions`: what the policy in force says.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::arguments::{method, target};
use super::output::Format;
use super::table::View;
use super::transport::Operation;
use super::{Context, Exit, Failure, check, export, import, matrix};
use crate::admin::{self, OVERLAPS_LISTED_MAX};
use crate::words::{Method, Permission};

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

/// What pairs of them look like.
const OVERLAPS: View = View {
    plural: "overlaps",
    name: "example",
    columns: &[
        ("relation", "relation"),
        ("methods", "methods"),
        ("route", "first"),
        ("needs", "first_needs"),
        ("other route", "second"),
        ("needs", "second_needs"),
        ("both match", "example"),
        ("where", "file"),
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

/// What holders of a permission look like.
const HOLDERS: View = View {
    plural: "accounts that hold it",
    name: "account",
    columns: &[
        ("account", "account"),
        ("enabled", "enabled"),
        ("role", "role"),
        ("within", "within"),
        ("group", "group"),
    ],
};

/// Routes: methods and paths, and what each one needs
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List all routes
    List {
        /// Those of this policy folder, and ask no server
        #[arg(long, value_name = "FOLDER")]
        policies: Option<PathBuf>,
    },
    /// Write a policy file from the description of an API
    Import(Box<import::Import>),
    /// Write the route table as an OpenAPI document
    Export(export::Export),
    /// Say which route answers a request, and which others it must satisfy too
    #[command(before_help = "Examples:
  portcullis routes match GET /v1/tenants/acme/devices
  portcullis routes match GET /v1/tenants --policies policies/")]
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
        /// Look at this policy folder, and ask no server
        #[arg(long, value_name = "FOLDER")]
        policies: Option<PathBuf>,
    },
    /// List pairs of routes that match a path in common, and what each of them asks
    #[command(before_help = "Examples:
  portcullis routes overlaps                           of the policy in force
  portcullis routes overlaps --incomparable            only where both must be satisfied
  portcullis routes overlaps --policies policies/      of a folder")]
    Overlaps {
        /// Only pairs of which neither is more specific
        #[arg(long)]
        incomparable: bool,
        /// Look at this policy folder, and ask no server
        #[arg(long, value_name = "FOLDER")]
        policies: Option<PathBuf>,
    },
    /// Show who may do what: accounts by permissions, or by routes
    #[command(before_help = "Examples:
  portcullis routes matrix
  portcullis routes matrix --csv > who-may-do-what.csv
  portcullis routes matrix --policies policies/          of the accounts in files
  portcullis routes matrix --by route --account ci --account nightly-export")]
    Matrix(matrix::Matrix),
}

/// Permissions: what the policy declares, and who holds it
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Permissions {
    /// List all permissions
    List,
    /// Say which accounts hold a permission: by which role, where, and through which group
    #[command(before_help = "Examples:
  portcullis permissions who devices:edit
  portcullis permissions who devices:edit -o name")]
    Who {
        /// The permission
        permission: Permission,
    },
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::List { policies } => {
            let answer = context.ask_of(policies.as_deref(), Operation::RoutesList {})?;
            context.output.answer(&answer, &VIEW)?;
            Ok(Exit::Ok)
        }
        Command::Import(arguments) => import::run(&arguments, context),
        Command::Matrix(asked) => matrix::run(asked, context),
        Command::Export(arguments) => export::run(&arguments, context),
        Command::Match {
            method,
            path,
            host,
            policies,
        } => {
            let target = path;
            let asked = Operation::RoutesMatch {
                method,
                target,
                host,
            };
            let answer = context.ask_of(policies.as_deref(), asked)?;
            if context.output.format() == Format::Table {
                context.output.answer(&met(&answer), &VIEW)?;
            } else {
                context.output.answer(&answer, &VIEW)?;
            }
            Ok(Exit::Ok)
        }
        Command::Overlaps {
            incomparable,
            policies,
        } => overlaps(incomparable, policies.as_deref(), context),
    }
}

/// Of the policy in force, or of a folder.
fn overlaps(
    incomparable: bool,
    folder: Option<&Path>,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    let answer = match folder {
        Some(folder) => {
            let policy = check::policy_in(Some(folder), context)??;
            admin::overlaps(&policy, incomparable)
        }
        None => context.ask(Operation::RoutesOverlaps { incomparable })?,
    };
    let listed = answer.as_array().map_or(0, Vec::len);
    let answer = match context.output.format() {
        Format::Table | Format::Name => side_by_side(&answer),
        Format::Json | Format::Yaml | Format::Jsonl | Format::Sarif => answer,
    };
    context.output.answer(&answer, &OVERLAPS)?;
    if listed == OVERLAPS_LISTED_MAX {
        let most = format_args!("these are the first {listed}: there may be more");
        context.output.remark(most)?;
    }
    Ok(Exit::Ok)
}

/// Each pair as one row.
fn side_by_side(pairs: &Value) -> Value {
    let row = |pair: &Value| {
        let of = |number: usize, field: &str| {
            let route = pair.get("routes").and_then(|routes| routes.get(number));
            route.and_then(|route| route.get(field)).cloned()
        };
        json!({
            "relation": pair.get("relation"),
            "methods": pair.get("methods"),
            "first": of(0, "name"), "first_needs": of(0, "needs"),
            "second": of(1, "name"), "second_needs": of(1, "needs"),
            "example": pair.get("example"),
            "file": of(1, "file"),
        })
    };
    pairs.as_array().into_iter().flatten().map(row).collect()
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
    match command {
        Permissions::List => context.perform(Operation::PermissionsList {}, &PERMISSIONS),
        Permissions::Who { permission } => {
            context.perform(Operation::PermissionsWho { permission }, &HOLDERS)
        }
    }
}
