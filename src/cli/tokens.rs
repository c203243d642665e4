//! `portcullis tokens`: short-lived tokens, made and looked at by hand.
//!
//! A token is a secret: it is read from a file or stdin, never from the command line, where every
//! other process could see it.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use serde_json::Value;

use super::arguments::span;
use super::output::Format;
use super::table::View;
use super::transport::{Operation, Token};
use super::{Confirmed, Context, Exit, Failure};
use crate::words::{AccountName, Permission, TokenId, discreet};

/// What tokens look like.
const VIEW: View = View {
    plural: "tokens",
    name: "access_token",
    columns: &[("token", "access_token")],
};

/// What those look like that are known.
const LIST: View = View {
    plural: "tokens",
    name: "id",
    columns: &[
        ("id", "id"),
        ("account", "account"),
        ("for", "audience"),
        ("state", "state"),
        ("issued", "issued_at"),
        ("expires", "expires_at"),
        ("key", "key"),
        ("scope", "scope"),
    ],
};

/// What one looks like that was taken back.
const REVOKED: View = View {
    plural: "tokens",
    name: "id",
    columns: &[
        ("id", "id"),
        ("account", "account"),
        ("revoked", "revoked"),
        ("expires", "expires_at"),
    ],
};

/// What signing keys look like.
const KEYS: View = View {
    plural: "signing keys",
    name: "id",
    columns: &[
        ("id", "id"),
        ("signs", "signs"),
        ("created", "created_at"),
        ("retired", "retired_at"),
        ("verifies until", "verifies_until"),
    ],
};

/// Longest token read, in bytes: what fits into a header section is far below.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Tokens: what a request carries
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token without a key, to try something out
    #[command(before_help = "Examples:
  TOKEN=$(portcullis tokens issue ci)
  portcullis tokens issue ci --scope devices:view --lifetime 5m -o json")]
    Issue {
        /// The account it speaks for
        account: AccountName,
        /// Only permission it may use; repeat it for more. All the account holds if left out
        #[arg(long, value_name = "PERMISSION")]
        scope: Vec<Permission>,
        /// How long it lives; as the settings say if left out
        #[arg(long, value_name = "SPAN", value_parser = span)]
        lifetime: Option<Duration>,
    },
    /// List tokens that were used lately or taken back, and have not run out
    #[command(before_help = "Examples:
  portcullis tokens list
  portcullis tokens list ci -o json")]
    List {
        /// Only those of this account
        account: Option<AccountName>,
    },
    /// Take one token back: the next request with it is refused, and what it opened is cut
    #[command(before_help = "Examples:
  portcullis tokens revoke 3kTMd8Z0xV1bQyLw7nPsHc
  portcullis tokens inspect --token-file leaked.txt -o json   # tells its id")]
    Revoke {
        /// Its id, the `jti`: as `tokens list` and `tokens inspect` show it
        id: TokenId,
    },
    /// List the keys that tokens are signed with
    Keys,
    /// Sign with a new key from now on; what the old one signed works until it runs out
    #[command(before_help = "Examples:
  portcullis tokens rotate-key
  portcullis tokens rotate-key --end-tokens   # the old signing key has leaked")]
    RotateKey {
        /// End every token there is, and what they opened, at once; their keys work, and get new ones
        #[arg(long)]
        end_tokens: bool,
    },
    /// Say what a token is, and whether it works now
    #[command(before_help = "Examples:
  echo \"$TOKEN\" | portcullis tokens inspect
  portcullis tokens inspect --token-file token.txt")]
    Inspect {
        /// File that holds the token; stdin if left out
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Taken only to say that it is not, and never said again
        #[arg(hide = true)]
        token: Option<String>,
    },
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Issue {
            account,
            scope,
            lifetime,
        } => issue(account, scope, lifetime, context),
        Command::List { account } => {
            let answer = context.ask(Operation::TokensList { account })?;
            let rows = answer.get("tokens").cloned().unwrap_or_default();
            context.output.answer(&rows, &LIST)?;
            Ok(Exit::Ok)
        }
        Command::Revoke { id } => {
            let answer = context.ask(Operation::TokensRevoke { id })?;
            context.output.answer(&answer, &REVOKED)?;
            Ok(Exit::Ok)
        }
        Command::Keys => {
            let answer = context.ask(Operation::SigningKeysList {})?;
            let rows = answer.get("signing_keys").cloned().unwrap_or_default();
            context.output.answer(&rows, &KEYS)?;
            Ok(Exit::Ok)
        }
        Command::RotateKey { end_tokens } => {
            if end_tokens {
                let Confirmed = context
                    .confirm_if_asked("end every token there is; clients have to get new ones")?;
            }
            let answer = context.ask(Operation::SigningKeysRotate { end_tokens })?;
            context.output.answer(&answer, &KEYS)?;
            Ok(Exit::Ok)
        }
        Command::Inspect { token: Some(_), .. } => Err(Failure::usage(
            "a token is a secret, and every process can read a command line: pipe it to `portcullis \
             tokens inspect`, or name a file that holds it with `--token-file`; this one is best \
             not used any more",
        )),
        Command::Inspect { token_file, .. } => {
            let token = read_token(token_file, context)?;
            let answer = context.ask(Operation::TokensInspect {
                token: Token(token),
            })?;
            context.output.answer(&answer, &VIEW)?;
            let good = answer.get("good").and_then(Value::as_bool) == Some(true);
            Ok(if good { Exit::Ok } else { Exit::No })
        }
    }
}

fn issue(
    account: AccountName,
    scope: Vec<Permission>,
    lifetime: Option<Duration>,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    let answer = context.ask(Operation::TokensIssue {
        account,
        scope: (!scope.is_empty()).then_some(scope),
        lifetime_seconds: lifetime.map(|span| span.as_secs()),
    })?;
    let token = answer.get("access_token").and_then(Value::as_str);
    match token.filter(|_| context.output.format() == Format::Table) {
        // Alone on stdout, so that `TOKEN=$(…)` works without a parser.
        Some(token) => {
            context.output.data(format_args!("{token}\n"))?;
            if let Some(seconds) = answer.get("expires_in").and_then(Value::as_u64) {
                let span = humantime::format_duration(Duration::from_secs(seconds));
                context
                    .output
                    .remark(format_args!("the token works for {span}"))?;
            }
        }
        None => context.output.answer(&answer, &VIEW)?,
    }
    Ok(Exit::Ok)
}

fn read_token(file: Option<PathBuf>, context: &mut Context<'_>) -> Result<String, Failure> {
    let file = file.filter(|file| file.as_os_str() != "-");
    let mut text = String::new();
    let read = match &file {
        Some(file) => std::fs::File::open(file)
            .and_then(|opened| opened.take(TOKEN_BYTES_MAX).read_to_string(&mut text)),
        None => {
            if std::io::stdin().is_terminal() {
                context
                    .output
                    .remark("paste the token, then press Ctrl-D")?;
            }
            std::io::stdin()
                .lock()
                .take(TOKEN_BYTES_MAX)
                .read_to_string(&mut text)
        }
    };
    let from = file.map_or("stdin".to_owned(), |file| {
        // Who gives the token for its file is not to find it in a log of what went wrong.
        let name = discreet(file.as_os_str().as_encoded_bytes()).into_owned();
        format!("`{}`", String::from_utf8_lossy(&name))
    });
    read.map_err(|error| {
        Failure::usage(format_args!("cannot read the token from {from}: {error}"))
    })?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::usage(format_args!("{from} holds no token")));
    }
    Ok(token.to_owned())
}
