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
use super::{Context, Exit, Failure};
use crate::words::{AccountName, Permission};

/// What tokens look like.
const VIEW: View = View {
    plural: "tokens",
    name: "access_token",
    columns: &[("token", "access_token")],
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
    /// Say what a token is, and whether it works now
    #[command(before_help = "Examples:
  echo \"$TOKEN\" | portcullis tokens inspect
  portcullis tokens inspect --token-file token.txt")]
    Inspect {
        /// File that holds the token; stdin if left out
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
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
        Command::Inspect { token_file } => {
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
    let from = file.map_or("stdin".to_owned(), |file| format!("`{}`", file.display()));
    read.map_err(|error| {
        Failure::usage(format_args!("cannot read the token from {from}: {error}"))
    })?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::usage(format_args!("{from} holds no token")));
    }
    Ok(token.to_owned())
}
