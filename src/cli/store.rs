//! `portcullis store`: what is kept, copied, put back, and brought to a newer format.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::table::View;
use super::transport::Operation;
use super::{Context, Exit, Failure};
use crate::admin::control::Client;
use crate::admin::{self, Actor};
use crate::clock::Clock;
use crate::settings::Settings;
use crate::store::{Plan, Reviving};

/// What a store, a backup and a restore look like: one thing, a field a line.
const VIEW: View = View {
    plural: "stores",
    name: "store",
    columns: &[],
};

/// Most things told one by one before somebody is asked; `--dry-run -o json` tells all.
const TOLD_MAX: usize = 40;

/// The store: accounts, keys, grants and the audit trail, in one file
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say what the store holds and whether it is whole; exit code 1 if it is not
    #[command(before_help = "Examples:
  portcullis store status
  portcullis store status -o json | jq .last_backup")]
    Status,
    /// Copy the store to a new file while the gateway serves
    #[command(before_help = "Examples:
  portcullis store backup /var/backups/portcullis-$(date +%F).db
  portcullis store backup b.db --pepper-file /media/other/portcullis.pepper

The server writes the file, readable by its own user alone and never over another. The copy holds
digests and wrapped keys: it is of no use without the pepper, which is not in it. Keep both, apart
from each other.")]
    Backup(Backup),
    /// Put a backup in the place of the store, with the gateway stopped
    #[command(before_help = "Examples:
  portcullis drain; portcullis store restore b.db
  portcullis store restore b.db --dry-run -o json      what it would bring back to life
  portcullis store restore b.db --yes                  for scripts

Every token made before ends. Keys and accounts that ended since the backup count again, and are
told first. The store that was in place is kept beside it, and its audit trail goes on.")]
    Restore(Restore),
    /// Bring the store to this version's format, with the gateway stopped, and keep it as it was
    #[command(before_help = "Examples:
  portcullis store migrate

`portcullis serve` does the same at its start, without keeping what was. There is no way back to an
older format but the copy.")]
    Migrate,
}

/// Where the copy goes.
#[derive(Args, Debug)]
pub(super) struct Backup {
    /// The file to make
    file: PathBuf,
    /// Copy the pepper too, to this file: with both of them anybody is the gateway
    #[arg(long, value_name = "FILE")]
    pepper_file: Option<PathBuf>,
}

/// What is put back.
#[derive(Args, Debug)]
pub(super) struct Restore {
    /// The backup
    file: PathBuf,
    /// Say what it would do, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Status => status(context),
        Command::Backup(backup) => back_up(&backup, context),
        Command::Restore(restore) => self::restore(&restore, context),
        Command::Migrate => migrate(context),
    }
}

fn status(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let answer = of_store(&settings)?;
    context.output.answer(&answer, &VIEW)?;
    let is_whole = answer.get("fault").is_none_or(Value::is_null);
    Ok(if is_whole { Exit::Ok } else { Exit::No })
}

/// The store as the server sees it, or as it is found where none runs.
fn of_store(settings: &Settings) -> Result<Value, Failure> {
    if let Some(client) = Client::find(settings)? {
        return Ok(client.call(&Operation::StoreStatus {})?);
    }
    match admin::store_status(settings) {
        Ok(answer) => Ok(answer),
        // Whoever holds the store may be a server that was only starting, and answers by now.
        Err(error) => match Client::find(settings)? {
            Some(client) => Ok(client.call(&Operation::StoreStatus {})?),
            None => Err(error.into()),
        },
    }
}

fn back_up(wanted: &Backup, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    if Client::find(&settings)?.is_none() {
        must_be_of_this_format(&settings)?;
    }
    let operation = Operation::StoreBackup {
        file: absolute(&wanted.file)?,
        pepper: wanted.pepper_file.as_deref().map(absolute).transpose()?,
    };
    let answer = context.ask(operation)?;
    context.output.answer(&answer, &VIEW)?;
    context.output.remark(match &wanted.pepper_file {
        None => {
            "the pepper is not in it, and without the pepper it opens nothing: keep a copy of that \
                 too, somewhere else"
                .to_owned()
        }
        Some(pepper) => format!(
            "the pepper is in `{}`: whoever has both files is the gateway, so keep them apart",
            pepper.display()
        ),
    })?;
    Ok(Exit::Ok)
}

/// Without a server, the store would be migrated to be copied: not what a backup is made for.
fn must_be_of_this_format(settings: &Settings) -> Result<(), Failure> {
    let standing = admin::store_status(settings)?;
    let number = |name: &str| standing.get(name).and_then(Value::as_u64);
    let (found, newest) = (number("format"), number("newest_format"));
    if found == newest {
        return Ok(());
    }
    let found = found.unwrap_or_default();
    Err(Failure::new(
        Exit::Conflict,
        format_args!(
            "the store is of format {found}, and this version copies its own: `portcullis store \
             migrate` brings it there and keeps it as it is now"
        ),
    ))
}

/// The server may stand in another folder.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::usage(format_args!("`{}`: {error}", path.display())))
}

/// Refuses what is done to a store that nobody uses.
fn must_be_stopped(settings: &Settings, what: &str) -> Result<(), Failure> {
    match Client::find(settings)? {
        None => Ok(()),
        Some(_) => Err(Failure::server(format_args!(
            "a gateway serves from this store: stop it first (`portcullis drain`), then {what}"
        ))),
    }
}

fn restore(wanted: &Restore, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    must_be_stopped(&settings, "restore")?;
    let clock = Clock::System;
    let prepared = admin::prepare_restore(&settings, &wanted.file, clock.now())?;
    if wanted.dry_run {
        let plan = serde_json::to_value(prepared.plan())
            .map_err(|error| Failure::server(format_args!("no plan came: {error}")))?;
        context.output.answer(&plan, &VIEW)?;
        return Ok(Exit::Ok);
    }
    context.output.remark(told(prepared.plan()))?;
    let file = wanted.file.display();
    let confirmed = context.confirm(&format!(
        "put `{file}` in the place of the store, and end every token"
    ))?;
    let super::Confirmed = confirmed;
    let plan = prepared.plan().clone();
    let restored = prepared
        .carry_out(&Actor::local(), clock.now())
        .map_err(admin::AdminError::from)?;
    let answer = json!({
        "restored": wanted.file,
        "taken_at": plan.taken_at,
        "kept": restored.kept,
        "revived": plan.revives.len(),
        "lost": plan.loses.len(),
        "audit_record": restored.record,
    });
    context.output.answer(&answer, &VIEW)?;
    Ok(Exit::Ok)
}

/// What somebody should know before he says yes.
fn told(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match plan.taken_at {
        Some(at) => write!(text, "the backup is of {at}"),
        None => write!(
            text,
            "the file does not say when it was made: it may be no backup"
        ),
    };
    if let Some(why) = &plan.not_compared {
        let _ = write!(
            text,
            "\nwhat ended since is not known, because the store in place cannot be read ({why}): \
             EVERYTHING in the backup counts again, and the audit trail since is lost"
        );
    }
    list(&mut text, "counts again", &plan.revives);
    list(&mut text, "goes, being newer than the backup", &plan.loses);
    text
}

fn list(text: &mut String, what: &str, things: &[Reviving]) {
    for thing in things.iter().take(TOLD_MAX) {
        let of = match thing.of.as_str() {
            "" => String::new(),
            of => format!(" of {of}"),
        };
        let _ = write!(
            text,
            "\n{what}: {} {}{of} ({} since)",
            thing.kind, thing.id, thing.since
        );
    }
    if things.len() > TOLD_MAX {
        let more = things.len() - TOLD_MAX;
        let _ = write!(text, "\n{what}: {more} more, told by `--dry-run -o json`");
    }
}

fn migrate(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    must_be_stopped(&settings, "migrate")?;
    let mut said = Ok(());
    let output = &mut *context.output;
    let mut progress = |from: usize, to: usize| {
        if said.is_ok() {
            said = output.remark(format_args!("format {from} to {to}"));
        }
    };
    let answer = admin::migrate(&settings, Clock::System.now(), &mut progress)?;
    said?;
    context.output.answer(&answer, &VIEW)?;
    Ok(Exit::Ok)
}
