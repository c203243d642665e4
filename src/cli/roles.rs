//! `portcullis roles`: named sets of permissions.

use clap::{Args, Subcommand};

use super::arguments::Owner;
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
        ("api access", "api_access"),
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
    /// Delete a custom role that nobody holds, or take it from everybody first
    #[command(before_help = "Examples:
  portcullis roles delete reader
  portcullis roles delete reader --force --yes")]
    Delete(Delete),
}

/// One role.
#[derive(Args, Debug)]
pub(super) struct Name {
    /// The role
    name: RoleName,
}

/// A role that is not wanted any more.
#[derive(Args, Debug)]
pub(super) struct Delete {
    /// The role
    name: RoleName,
    /// Take it from every account, group and role that has it; all at once
    #[arg(long)]
    force: bool,
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
    /// Whether accounts and groups can be given it, or only roles include it
    #[arg(long, value_name = "true|false", action = clap::ArgAction::Set)]
    api_access: Option<bool>,
    #[command(flatten)]
    owner: Owner,
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
    #[arg(
        long = "permission",
        value_name = "PERMISSION",
        conflicts_with = "no_permissions"
    )]
    permissions: Option<Vec<PermissionPattern>>,
    /// Let it give none but those of the roles it includes
    #[arg(long)]
    no_permissions: bool,
    /// Role whose permissions it gives, in place of those it includes; repeat it for more
    #[arg(long, value_name = "ROLE", conflicts_with = "no_include")]
    include: Option<Vec<RoleName>>,
    /// Let it include no role
    #[arg(long)]
    no_include: bool,
    /// Whether accounts and groups can be given it, or only roles include it
    #[arg(long, value_name = "true|false", action = clap::ArgAction::Set)]
    api_access: Option<bool>,
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let operation = match command {
        Command::Create(new) => Operation::RolesCreate {
            name: new.name,
            description: new.description,
            permissions: new.permissions,
            include: new.include,
            api_access: new.api_access,
            owner: new.owner.boundary(),
        },
        Command::List => Operation::RolesList {},
        Command::Show(Name { name }) => Operation::RolesShow { name },
        Command::Update(change) => {
            let no_permissions = change.no_permissions.then(Vec::new);
            let permissions = change.permissions.or(no_permissions);
            let include = change.include.or(change.no_include.then(Vec::new));
            if change.description.is_none()
                && permissions.is_none()
                && include.is_none()
                && change.api_access.is_none()
            {
                return Err(Failure::usage(
                    "nothing to change: give `--description`, `--permission`, `--no-permissions`, \
                     `--include`, `--no-include` or `--api-access`",
                ));
            }
            Operation::RolesUpdate {
                name: change.name,
                description: change.description,
                permissions,
                include,
                api_access: change.api_access,
            }
        }
        Command::Delete(Delete { name, force }) => {
            let what = match force {
                true => format!("take role `{name}` from everybody who holds it, and delete it"),
                false => format!("delete role `{name}`, if nobody holds it"),
            };
            let Confirmed = context.confirm(&what)?;
            Operation::RolesDelete { name, force }
        }
    };
    context.perform(operation, &VIEW)
}
