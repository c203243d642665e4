//! `portcullis accounts`: who may call.

use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::arguments::{OneRole, Roles, network};
use super::table::View;
use super::transport::Operation;
use super::{Confirmed, Context, Exit, Failure};
use crate::words::AccountName;

/// What accounts look like.
pub(super) const VIEW: View = View {
    plural: "accounts",
    name: "name",
    columns: &[
        ("name", "name"),
        ("enabled", "enabled"),
        ("managed by", "managed_by"),
        ("grants", "grants"),
        ("groups", "groups"),
        ("last used", "last_used_at"),
        ("description", "description"),
    ],
};

/// Service accounts: the machines that call
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an account
    #[command(before_help = "Examples:
  portcullis accounts create ci --description \"Builds\" --role operator --within tenant=acme
  portcullis accounts create export --role api-access-only --allow-from 10.0.0.0/8")]
    Create(Create),
    /// List all accounts
    List(Page),
    /// Show one account with everything it holds
    Show(Name),
    /// Change the description, or the addresses it may call from; the name never changes
    #[command(before_help = "Examples:
  portcullis accounts update ci --description \"Builds and releases\"
  portcullis accounts update ci --allow-from 10.0.0.0/8 --allow-from 192.0.2.7
  portcullis accounts update ci --allow-from-anywhere")]
    Update(Update),
    /// Give an account a role, everywhere or within a boundary
    #[command(before_help = "Examples:
  portcullis accounts grant ci --role operator
  portcullis accounts grant ci --role operator --within tenant=acme,globex --within site=7")]
    Grant(ChangeGrant),
    /// Take a role from an account, at once; name the same boundary it was given within
    #[command(before_help = "Examples:
  portcullis accounts ungrant ci --role operator --within tenant=acme")]
    Ungrant(ChangeGrant),
    /// Refuse everything the account asks for, from the next request on
    Disable(Name),
    /// Let a disabled account call again
    Enable(Name),
    /// Delete an account and its keys, for ever
    Delete(Name),
}

/// One account.
#[derive(Args, Debug)]
pub(super) struct Name {
    /// The account
    name: AccountName,
}

/// Part of a list.
#[derive(Args, Debug)]
pub(super) struct Page {
    /// Only those that come after this account
    #[arg(long, value_name = "ACCOUNT")]
    after: Option<AccountName>,
    /// At most so many
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

/// A new account.
#[derive(Args, Debug)]
pub(super) struct Create {
    /// Its name, which never changes
    name: AccountName,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    #[command(flatten)]
    roles: Roles,
    /// Addresses it may call from; repeat it for more. Anywhere if left out
    #[arg(long, value_name = "CIDR", value_parser = network)]
    allow_from: Vec<IpNet>,
}

/// What may change about an account.
#[derive(Args, Debug)]
pub(super) struct Update {
    /// The account
    name: AccountName,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Addresses it may call from, in place of those it has; repeat it for more
    #[arg(long, value_name = "CIDR", value_parser = network, conflicts_with = "allow_from_anywhere")]
    allow_from: Vec<IpNet>,
    /// Let it call from any address
    #[arg(long)]
    allow_from_anywhere: bool,
}

/// A grant to give or to take.
#[derive(Args, Debug)]
pub(super) struct ChangeGrant {
    /// The account
    name: AccountName,
    #[command(flatten)]
    grant: OneRole,
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut everywhere = None;
    let operation = match command {
        Command::Create(new) => Operation::AccountsCreate {
            grants: new.roles.grants()?,
            name: new.name,
            description: new.description,
            allow_from: new.allow_from,
        },
        Command::List(Page { after, limit }) => Operation::AccountsList { after, limit },
        Command::Show(Name { name }) => Operation::AccountsShow { name },
        Command::Update(change) => update(change)?,
        Command::Grant(ChangeGrant { name, grant }) => {
            everywhere = grant.said_everywhere(format_args!("account `{name}`"));
            Operation::AccountsGrant {
                name,
                within: grant.within.boundary(),
                role: grant.role,
            }
        }
        Command::Ungrant(ChangeGrant { name, grant }) => Operation::AccountsUngrant {
            name,
            within: grant.within.boundary(),
            role: grant.role,
        },
        Command::Disable(Name { name }) => Operation::AccountsDisable { name },
        Command::Enable(Name { name }) => Operation::AccountsEnable { name },
        Command::Delete(Name { name }) => {
            let Confirmed = context.confirm(&format!(
                "delete account `{name}` with its keys and grants; they cannot be brought back"
            ))?;
            Operation::AccountsDelete { name }
        }
    };
    let exit = context.perform(operation, &VIEW)?;
    if let Some(said) = everywhere {
        context.output.remark(said)?;
    }
    Ok(exit)
}

fn update(change: Update) -> Result<Operation, Failure> {
    let addresses = change.allow_from_anywhere || !change.allow_from.is_empty();
    if change.description.is_none() && !addresses {
        return Err(Failure::usage(
            "nothing to change: give `--description`, `--allow-from` or `--allow-from-anywhere`",
        ));
    }
    Ok(Operation::AccountsUpdate {
        name: change.name,
        description: change.description,
        allow_from: addresses.then_some(change.allow_from),
    })
}
