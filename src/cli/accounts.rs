//! `portcullis accounts`: who may call.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use serde_json::Value;

use super::arguments::{OneRole, Owner, Roles, network};
use super::lists::{self, Watch};
use super::output::Format;
use super::table::View;
use super::transport::Operation;
use super::{Confirmed, Context, Exit, Failure};
use crate::policy::folder;
use crate::policy::manifest::Manifest;
use crate::words::{AccountName, SetName};

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
    #[command(before_help = "Examples:
  portcullis accounts list
  portcullis accounts list --watch
  portcullis accounts list --after ci --limit 50 -o name")]
    List(Page),
    /// Bring accounts, groups and roles in line with files: all of it, or nothing
    #[command(before_help = "Examples:
  portcullis accounts apply -f team.yaml --dry-run
  portcullis accounts apply -f accounts/ --prune --yes
  portcullis accounts apply -f accounts/ --set billing

The files have `roles:`, `groups:` and `accounts:` as policy files do. `--dry-run` ends with 1 if there is
something to change. Keys, and whether an account is enabled, are left as they are.")]
    Apply(Apply),
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
    #[command(flatten)]
    watch: Watch,
}

/// Files to apply.
#[derive(Args, Debug)]
pub(super) struct Apply {
    /// File, or folder with `*.yaml` below it; repeat it for more
    #[arg(short, long = "file", value_name = "FILE|FOLDER", required = true)]
    files: Vec<PathBuf>,
    /// The name of these files together: what is applied belongs to it
    #[arg(long, value_name = "NAME", default_value = "default")]
    set: SetName,
    /// Delete what belongs to the set and is in its files no more; nothing else is ever deleted
    #[arg(long)]
    prune: bool,
    /// Only say what would be changed; ends with 1 if anything would
    #[arg(long)]
    dry_run: bool,
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
    #[command(flatten)]
    owner: Owner,
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
            owner: new.owner.boundary(),
        },
        Command::List(page) => return list(&page, context),
        Command::Show(Name { name }) => Operation::AccountsShow { name },
        Command::Apply(files) => return apply(&files, context),
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

fn list(
    Page {
        after,
        limit,
        watch,
    }: &Page,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    let operation = |limit| Operation::AccountsList {
        after: after.clone(),
        limit,
    };
    match watch.watch {
        true => lists::watch(|_| operation(*limit), &VIEW, context),
        false => lists::page(operation, *limit, &VIEW, context),
    }
}

/// What a set of files changes looks like.
const STEPS: View = View {
    plural: "changes",
    name: "name",
    columns: &[
        ("change", "change"),
        ("kind", "kind"),
        ("name", "name"),
        ("what", "what"),
    ],
};

fn apply(apply: &Apply, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut files = Vec::new();
    for path in &apply.files {
        files.extend(folder::read(path)?);
    }
    let operation = |dry_run, manifest| Operation::AccountsApply {
        set: apply.set.clone(),
        manifest,
        prune: apply.prune,
        dry_run,
    };
    let manifest = Manifest::read(&files)?;
    if apply.prune && !apply.dry_run {
        // What goes with its keys cannot be brought back, so it is counted first.
        let planned = context.ask(operation(true, manifest.clone()))?;
        let deleted = deletions(&planned);
        if !deleted.is_empty() {
            let Confirmed = context.confirm(&format!("delete for ever: {}", deleted.join(", ")))?;
        }
    }
    let answer = context.ask(operation(apply.dry_run, manifest))?;
    let steps = answer.get("changes").cloned().unwrap_or_default();
    let differs = steps.as_array().is_some_and(|steps| !steps.is_empty());
    match context.output.format() {
        Format::Table | Format::Name | Format::Jsonl => context.output.answer(&steps, &STEPS)?,
        Format::Json | Format::Yaml | Format::Sarif => context.output.answer(&answer, &STEPS)?,
    }
    Ok(match apply.dry_run && differs {
        true => Exit::No,
        false => Exit::Ok,
    })
}

/// What would be deleted, as words.
fn deletions(answer: &Value) -> Vec<String> {
    let steps = answer.get("changes").and_then(Value::as_array);
    let text = |step: &Value, field| step.get(field).and_then(Value::as_str).map(str::to_owned);
    let deleted = steps.into_iter().flatten();
    let deleted = deleted.filter(|step| text(step, "change").as_deref() == Some("delete"));
    deleted
        .filter_map(|step| Some(format!("{} `{}`", text(step, "kind")?, text(step, "name")?)))
        .collect()
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
