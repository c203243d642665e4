//! `portcullis roles`: named sets of permissions.

use clap::{Args, Subcommand};

use super::table::View;
use super::transport::Operation;
use super::{Confirmed, Context, Exit, Failure};
use crate::words::{PermissionPattern, RoleName};

/// What roles look like.
const VIEW: View = View {
    plural: "roles",
    name: "name",
    columns: &[
        ("name", "name"),
        ("managed by", "managed_by"),
        ("permissions", "permissions"),
        ("includes", "include"),
        ("description", "description"),
    ],
};

/// Roles: those of the policy files, and custom ones
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a custom role
    #[command(before_help = "Examples:
  portcullis roles create reader --permission devices:view --permission tenants:view
  portcullis roles create support --include reader --permission 'reports:*'")]
    Create(Create),
    /// List all roles
    List,
    /// Show one role with everything it gives
    Show(Name),
    /// Change a custom role; what is given replaces what the role has
    #[command(before_help = "Examples:
  portcullis roles update reader --description \"Read access for partners\"
  portcullis roles update reader --permission devices:view")]
    Update(Update),
    /// Delete a custom role; grants of it give nothing from then on
    Delete(Name),
}

/// One role.
#[derive(Args, Debug)]
pub(super) struct Name {
    /// The role
    name: RoleName,
}

/// A new role.
#[derive(Args, Debug)]
pub(super) struct Create {
    /// Its name
    name: RoleName,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Permission it gives, such as `devices:view` or `devices:*`; repeat it for more
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<PermissionPattern>,
    /// Role whose permissions it gives, too; repeat it for more
    #[arg(long, value_name = "ROLE")]
    include: Vec<RoleName>,
}

/// What may change about a role.
#[derive(Args, Debug)]
pub(super) struct Update {
    /// The role
    name: RoleName,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Permission it gives, in place of those it has; repeat it for more
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Option<Vec<PermissionPattern>>,
    /// Role whose permissions it gives, in place of those it includes; repeat it for more
    #[arg(long, value_name = "ROLE")]
    include: Option<Vec<RoleName>>,
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let operation = match command {
        Command::Create(new) => Operation::RolesCreate {
            name: new.name,
            description: new.description,
            permissions: new.permissions,
            include: new.include,
        },
        Command::List => Operation::RolesList {},
        Command::Show(Name { name }) => Operation::RolesShow { name },
        Command::Update(change) => {
            if change.description.is_none()
                && change.permissions.is_none()
                && change.include.is_none()
            {
                return Err(Failure::usage(
                    "nothing to change: give `--description`, `--permission` or `--include`",
                ));
            }
            Operation::RolesUpdate {
                name: change.name,
                description: change.description,
                permissions: change.permissions,
                include: change.include,
            }
        }
        Command::Delete(Name { name }) => {
            let Confirmed = context.confirm(&format!(
                "delete role `{name}`; every grant of it gives nothing from then on"
            ))?;
            Operation::RolesDelete { name }
        }
    };
    context.perform(operation, &VIEW)
}
