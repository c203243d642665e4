//! `portcullis groups`: accounts that share grants.

use clap::{Args, Subcommand};

use super::arguments::{OneRole, Owner, Roles};
use super::table::View;
use super::transport::Operation;
use super::{Confirmed, Context, Exit, Failure};
use crate::words::{AccountName, GroupName};

/// What groups look like.
const VIEW: View = View {
    plural: "groups",
    name: "name",
    columns: &[
        ("name", "name"),
        ("managed by", "managed_by"),
        ("members", "members"),
        ("grants", "grants"),
        ("description", "description"),
    ],
};

/// Groups: accounts that share grants
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a group
    #[command(before_help = "Examples:
  portcullis groups create exporters --role api-access-only --within tenant=acme")]
    Create(Create),
    /// List all groups
    List,
    /// Show one group with its members and grants
    Show(Name),
    /// Put an account into a group
    Add(Member),
    /// Take an account out of a group
    Remove(Member),
    /// Give a role to all members
    Grant(ChangeGrant),
    /// Take a role from all members, at once; name the same boundary it was given within
    Ungrant(ChangeGrant),
    /// Delete a group; its members lose what they held through it
    Delete(Name),
}

/// One group.
#[derive(Args, Debug)]
pub(super) struct Name {
    /// The group
    name: GroupName,
}

/// A new group.
#[derive(Args, Debug)]
pub(super) struct Create {
    /// Its name
    name: GroupName,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    #[command(flatten)]
    roles: Roles,
    #[command(flatten)]
    owner: Owner,
}

/// A group and one of its members.
#[derive(Args, Debug)]
pub(super) struct Member {
    /// The group
    group: GroupName,
    /// The account
    account: AccountName,
}

/// A grant to give or to take.
#[derive(Args, Debug)]
pub(super) struct ChangeGrant {
    /// The group
    name: GroupName,
    #[command(flatten)]
    grant: OneRole,
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut everywhere = None;
    let operation = match command {
        Command::Create(new) => Operation::GroupsCreate {
            grants: new.roles.grants()?,
            name: new.name,
            description: new.description,
            owner: new.owner.boundary(),
        },
        Command::List => Operation::GroupsList {},
        Command::Show(Name { name }) => Operation::GroupsShow { name },
        Command::Add(Member { group, account }) => Operation::GroupsAdd { group, account },
        Command::Remove(Member { group, account }) => Operation::GroupsRemove { group, account },
        Command::Grant(ChangeGrant { name, grant }) => {
            everywhere = grant.said_everywhere(format_args!("group `{name}`"));
            Operation::GroupsGrant {
                name,
                within: grant.within.boundary(),
                role: grant.role,
            }
        }
        Command::Ungrant(ChangeGrant { name, grant }) => Operation::GroupsUngrant {
            name,
            within: grant.within.boundary(),
            role: grant.role,
        },
        Command::Delete(Name { name }) => {
            let Confirmed = context.confirm(&format!(
                "delete group `{name}`; its members lose what they hold through it"
            ))?;
            Operation::GroupsDelete { name }
        }
    };
    let exit = context.perform(operation, &VIEW)?;
    if let Some(said) = everywhere {
        context.output.remark(said)?;
    }
    Ok(exit)
}
