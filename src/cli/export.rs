//! `portcullis routes export`: the route table as an OpenAPI document.

use std::path::PathBuf;

use clap::Args;

use super::output::Format;
use super::table::View;
use super::transport::Operation;
use super::{Context, Exit, Failure, check};
use crate::admin;
use crate::import;

const VIEW: View = View {
    plural: "documents",
    name: "openapi",
    columns: &[],
};

/// What to export.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis routes export > openapi.json                      of the policy in force
  portcullis routes export --policies policies/ -o yaml        of a folder")]
pub(super) struct Export {
    /// Describe this policy folder, and ask no server
    #[arg(long, value_name = "FOLDER")]
    policies: Option<PathBuf>,
    /// Title of the document
    #[arg(long, default_value = "Routes")]
    title: String,
}

/// Prints the document; JSON unless YAML is asked for.
pub(super) fn run(arguments: &Export, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let (routes, permissions) = match &arguments.policies {
        Some(folder) => {
            let policy = check::policy_in(Some(folder), context)??;
            (admin::routes(&policy), admin::declared(&policy))
        }
        None => (
            context.ask(Operation::RoutesList {})?,
            context.ask(Operation::PermissionsList {})?,
        ),
    };
    let export = import::export(&arguments.title, &routes, &permissions);
    match context.output.format() {
        Format::Table => context
            .output
            .data(format_args!("{:#}\n", export.document))?,
        Format::Json | Format::Yaml | Format::Jsonl | Format::Name | Format::Sarif => {
            context.output.answer(&export.document, &VIEW)?;
        }
    }
    for sentence in &export.left_out {
        context.output.remark(format_args!("left out {sentence}"))?;
    }
    Ok(Exit::Ok)
}
