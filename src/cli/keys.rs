//! `portcullis keys`: what an account calls with.
//!
//! A secret is printed once, on stdout, by the command that makes it; nothing can print it again.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::arguments::{When, span, when};
use super::table::View;
use super::transport::Operation;
use super::{Context, Exit, Failure};
use crate::words::{AccountName, KeyId};

/// What keys look like.
pub(super) const VIEW: View = View {
    plural: "keys",
    name: "id",
    columns: &[
        ("id", "id"),
        ("account", "account"),
        ("state", "state"),
        ("created", "created_at"),
        ("expires", "expires_at"),
        ("last used", "last_used_at"),
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
  portcullis keys create ci --description \"release runner\" --expires 2027-01-31T00:00:00Z")]
    Create(Create),
    /// List keys, all or those of one account
    List {
        /// Only the keys of this account
        account: Option<AccountName>,
    },
    /// Make a second key for the account, and let the first one end after an overlap
    #[command(before_help = "Examples:
  portcullis keys rotate pck_… --overlap 1h")]
    Rotate {
        /// The key to replace
        key: KeyId,
        /// How long both keys work
        #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = span)]
        overlap: Duration,
    },
    /// End a key: the next request with it, or with any token made from it, is refused
    #[command(before_help = "Examples:
  portcullis keys expire pck_…
  portcullis keys expire pck_… --at 2h")]
    Expire {
        /// The key
        key: KeyId,
        /// When, as a span from now or a timestamp; at once if left out
        #[arg(long, value_name = "SPAN|TIME", value_parser = when)]
        at: Option<When>,
    },
}

/// A new key.
#[derive(Args, Debug)]
pub(super) struct Create {
    /// The account it is for
    account: AccountName,
    /// Where it is used, so that its owner is found again
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// When it ends by itself, as a span from now or a timestamp; never if left out
    #[arg(long, value_name = "SPAN|TIME", value_parser = when)]
    expires: Option<When>,
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let now = context.output.now();
    let (operation, makes_secret) = match command {
        Command::Create(new) => {
            let operation = Operation::KeysCreate {
                account: new.account,
                description: new.description,
                expires_at: new.expires.map(|end| end.moment(now)),
            };
            (operation, true)
        }
        Command::List { account } => (Operation::KeysList { account }, false),
        Command::Rotate { key, overlap } => {
            let overlap_seconds = overlap.as_secs();
            let operation = Operation::KeysRotate {
                key,
                overlap_seconds,
            };
            (operation, true)
        }
        Command::Expire { key, at } => {
            let at = at.map(|end| end.moment(now));
            (Operation::KeysExpire { key, at }, false)
        }
    };
    let exit = context.perform(operation, &VIEW)?;
    if makes_secret {
        context
            .output
            .remark("the secret is shown this once and kept nowhere; store it now")?;
    }
    Ok(exit)
}
