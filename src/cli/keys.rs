//! `portcullis keys`: what an account calls with.
//!
//! A secret is printed once, on stdout or into a file, by the command that makes it; nothing can
//! print it again. See `handover` for the forms.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::arguments::{Since, When, network, since, span, when};
use super::handover::{self, Into};
use super::lists::{self, Watch};
use super::table::View;
use super::transport::Operation;
use super::{Confirmed, Context, Exit, Failure, digests};
use crate::words::{AccountName, KeyId, PermissionPattern, SecretDigest};

/// What keys look like.
pub(super) const VIEW: View = View {
    plural: "keys",
    name: "id",
    columns: &[
        ("id", "id"),
        ("account", "account"),
        ("state", "state"),
        ("expires", "expires_at"),
        ("last used", "last_used_at"),
        ("from", "last_used_from"),
        ("created", "created_at"),
        ("only", "only"),
        ("description", "description"),
    ],
};

/// Keys: the id and secret an account gets tokens with
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key; its secret is printed once
    #[command(before_help = "Examples:
  portcullis keys create ci
  portcullis keys create ci --expires 90d -o json
  portcullis keys create ci -o env --secret-file ci.env
  portcullis keys create ci -o k8s-secret | kubectl apply -f -
  portcullis keys create ci --secret-file ci.secret
  portcullis keys create ci --only devices:view --allow-from 10.0.0.0/8
  portcullis keys create ci --description \"release runner\" --expires 2027-01-31T00:00:00Z")]
    Create(Create),
    /// List keys, all or those of one account
    #[command(before_help = "Examples:
  portcullis keys list
  portcullis keys list ci
  portcullis keys list --unused 90d
  portcullis keys list --expiring 14d -o name
  portcullis keys list ci --watch             see its use, and the old key fall silent")]
    List(List),
    /// Change where a key is used, or what it is limited to; what is given replaces what it has
    #[command(before_help = "Examples:
  portcullis keys update pck_… --only devices:view --allow-from 192.0.2.7
  portcullis keys update pck_… --all-permissions --allow-from-anywhere")]
    Update(Update),
    /// Make a second key for the account, and let the first one end after an overlap
    #[command(before_help = "Examples:
  portcullis keys rotate pck_… --overlap 1h
  portcullis keys rotate pck_… --expires 90d --secret-file ci.secret")]
    Rotate(Rotate),
    /// Take over keys made elsewhere, by the SHA-256 of their secrets: all of them, or none
    #[command(before_help = "Examples:
  printf %s \"$SECRET\" | sha256sum | portcullis keys import ci
  portcullis keys import ci --sha256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
  portcullis keys import ci digests.txt --expires 90d

Each line: `[pck_…] DIGEST [description]`; `#` begins a remark.")]
    Import(Import),
    /// End a key: the next request with it, or with any token made from it, is refused
    #[command(before_help = "Examples:
  portcullis keys expire pck_…
  portcullis keys expire pck_… --at 2h
  portcullis keys expire pck_… --yes          no question on a terminal; a script is never asked")]
    Expire {
        /// The key
        key: KeyId,
        /// When, as a span from now or a timestamp; at once if left out
        #[arg(long, value_name = "SPAN|TIME", value_parser = when)]
        at: Option<When>,
    },
}

impl Command {
    /// Says whether its answer holds a secret, which `-o env` and the like are for.
    pub(super) fn makes_secret(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Rotate(_))
    }
}

/// A new key.
#[derive(Args, Debug)]
pub(super) struct Create {
    /// The account it is for
    account: AccountName,
    /// Where it is used, so that its owner is found again
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    file: SecretFile,
}

/// What a new key may do, and for how long.
#[derive(Args, Debug)]
pub(super) struct Bounds {
    /// When it ends by itself, as a span from now or a timestamp; as late as the settings allow if
    /// left out
    #[arg(long, value_name = "SPAN|TIME", value_parser = when)]
    expires: Option<When>,
    /// Only permission it may use, within what its account may; repeat it for more
    #[arg(long, value_name = "PERMISSION")]
    only: Vec<PermissionPattern>,
    /// Addresses it may be used from, within those of its account; repeat it for more
    #[arg(long, value_name = "CIDR", value_parser = network)]
    allow_from: Vec<IpNet>,
}

/// Where a secret goes.
#[derive(Args, Debug)]
pub(super) struct SecretFile {
    /// Write the secret into a new file that only its owner can read, and not to stdout
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// Which keys are listed.
#[derive(Args, Debug)]
pub(super) struct List {
    /// Only the keys of this account
    account: Option<AccountName>,
    /// Only keys that still work and were not used for so long
    #[arg(long, value_name = "SPAN|TIME", value_parser = since)]
    unused: Option<Since>,
    /// Only keys that still work and end within so long
    #[arg(long, value_name = "SPAN|TIME", value_parser = when)]
    expiring: Option<When>,
    /// Only those that come after this key
    #[arg(long, value_name = "KEY")]
    after: Option<KeyId>,
    /// At most so many
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    #[command(flatten)]
    watch: Watch,
}

/// What may change about a key.
#[derive(Args, Debug)]
pub(super) struct Update {
    /// The key
    key: KeyId,
    /// Where it is used
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Only permission it may use, in place of those it has; repeat it for more
    #[arg(long, value_name = "PERMISSION", conflicts_with = "all_permissions")]
    only: Vec<PermissionPattern>,
    /// Let it use whatever its account may
    #[arg(long)]
    all_permissions: bool,
    /// Addresses it may be used from, in place of those it has; repeat it for more
    #[arg(long, value_name = "CIDR", value_parser = network, conflicts_with = "allow_from_anywhere")]
    allow_from: Vec<IpNet>,
    /// Let it be used from wherever its account may call
    #[arg(long)]
    allow_from_anywhere: bool,
}

/// A key that replaces another.
#[derive(Args, Debug)]
pub(super) struct Rotate {
    /// The key to replace
    key: KeyId,
    /// How long both keys work
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = span)]
    overlap: Duration,
    /// When the new key ends, as a span from now or a timestamp; when the old one was meant to if
    /// left out
    #[arg(long, value_name = "SPAN|TIME", value_parser = when)]
    expires: Option<When>,
    #[command(flatten)]
    file: SecretFile,
}

/// Keys from elsewhere.
#[derive(Args, Debug)]
pub(super) struct Import {
    /// The account they are for
    account: AccountName,
    /// File with a digest on each line; stdin if left out
    #[arg(value_name = "FILE", conflicts_with = "sha256")]
    file: Option<PathBuf>,
    /// A digest; repeat it for more
    #[arg(long, value_name = "DIGEST", value_parser = digests::digest)]
    sha256: Vec<SecretDigest>,
    #[command(flatten)]
    bounds: Bounds,
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let now = context.output.now();
    let operation = match command {
        Command::Create(new) => {
            let operation = Operation::KeysCreate {
                account: new.account.clone(),
                description: new.description,
                expires_at: new.bounds.expires.map(|end| end.moment(now)),
                only: new.bounds.only,
                allow_from: new.bounds.allow_from,
            };
            return handover::perform(operation, Into(new.file.secret_file), context);
        }
        Command::Rotate(Rotate {
            key,
            overlap,
            expires,
            file,
        }) => {
            let operation = Operation::KeysRotate {
                key,
                overlap_seconds: overlap.as_secs(),
                expires_at: expires.map(|end| end.moment(now)),
            };
            return handover::perform(operation, Into(file.secret_file), context);
        }
        Command::List(wanted) => return list(&wanted, context),
        Command::Update(change) => update(change)?,
        Command::Import(import) => Operation::KeysImport {
            account: import.account,
            keys: digests::read(import.sha256, import.file.as_deref(), context)?,
            expires_at: import.bounds.expires.map(|end| end.moment(now)),
            only: import.bounds.only,
            allow_from: import.bounds.allow_from,
        },
        Command::Expire { key, at } => {
            let at = at.map(|end| end.moment(now));
            if at.is_none() {
                let Confirmed = context.confirm_if_asked(&format!(
                    "end key `{key}` now: what still calls with it is refused at once"
                ))?;
            }
            Operation::KeysExpire { key, at }
        }
    };
    context.perform(operation, &VIEW)
}

fn list(wanted: &List, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let operation = |now, limit| Operation::KeysList {
        account: wanted.account.clone(),
        unused_since: wanted.unused.map(|since| since.moment(now)),
        ends_before: wanted.expiring.map(|end| end.moment(now)),
        after: wanted.after,
        limit,
    };
    if wanted.watch.watch {
        return lists::watch(|now| operation(now, wanted.limit), &VIEW, context);
    }
    let now = context.output.now();
    lists::page(|limit| operation(now, limit), wanted.limit, &VIEW, context)
}

fn update(change: Update) -> Result<Operation, Failure> {
    let only = change.all_permissions || !change.only.is_empty();
    let addresses = change.allow_from_anywhere || !change.allow_from.is_empty();
    if change.description.is_none() && !only && !addresses {
        return Err(Failure::usage(
            "nothing to change: give `--description`, `--only`, `--all-permissions`, \
             `--allow-from` or `--allow-from-anywhere`",
        ));
    }
    Ok(Operation::KeysUpdate {
        key: change.key,
        description: change.description,
        only: only.then_some(change.only),
        allow_from: addresses.then_some(change.allow_from),
    })
}
