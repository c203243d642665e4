//! `portcullis denials`: refusals that happened, one by one, as they come, or counted.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::arguments::{Since, since};
use super::output::Format;
use super::table::View;
use super::transport::Operation;
use super::{Context, Exit, Failure};
use crate::admin::control::Client;
use crate::denials::Filter;
use crate::reason::Reason;
use crate::words::{AccountName, nearest};

/// How often a server is asked what is new. Soon enough to look like at once.
const ASK_INTERVAL: Duration = Duration::from_millis(300);
/// Most that is shown at once while following: somebody reads it.
const FOLLOW_MAX: usize = 1000;

/// What refusals look like.
const VIEW: View = View {
    plural: "denials",
    name: "request_id",
    columns: &[
        ("at", "at"),
        ("decision", "decision"),
        ("reason", "reason"),
        ("who", "who"),
        ("request", "request"),
        ("missing", "missing"),
        ("request id", "request_id"),
    ],
};

/// What they look like counted.
const TOP: View = View {
    plural: "denials",
    name: "last_request_id",
    columns: &[
        ("count", "count"),
        ("who", "who"),
        ("permission", "permission"),
        ("route", "route"),
        ("reason", "reason"),
        ("decision", "decision"),
        ("first", "first_at"),
        ("last", "last_at"),
    ],
};

/// Refusals: what was refused, to whom, and why
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List refusals, newest first
    #[command(before_help = "Examples:
  portcullis denials list --account ci --since 1h
  portcullis denials list --reason permission_missing --limit 200
  portcullis explain 019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70     what one of them was about")]
    List(Which),
    /// Print refusals as they come, until Ctrl-C
    #[command(before_help = "Examples:
  portcullis denials tail
  portcullis denials tail --shadow -o jsonl")]
    Tail(Which),
    /// Count refusals by account (strangers: by source and user agent), permission and route
    #[command(before_help = "Examples:
  portcullis denials top
  portcullis denials top --shadow          who would break if shadow mode ended now")]
    Top(Which),
}

/// Which refusals.
#[derive(Args, Clone, Debug)]
pub(super) struct Which {
    /// Only those of this account
    #[arg(long)]
    account: Option<AccountName>,
    /// Only those whose route has this text in its name
    #[arg(long, value_name = "TEXT")]
    route: Option<String>,
    /// Only those for this reason, such as `permission_missing`
    #[arg(long, value_parser = reason)]
    reason: Option<String>,
    /// Only those since then: a span such as `1h`, or a time
    #[arg(long, value_name = "SPAN|TIME", value_parser = since)]
    since: Option<Since>,
    /// Only those that were not enforced: who would break
    #[arg(long)]
    shadow: bool,
    /// At most so many [default: 50]
    #[arg(long)]
    limit: Option<usize>,
}

fn reason(text: &str) -> Result<String, String> {
    if Reason::from_code(text).is_some() {
        return Ok(text.to_owned());
    }
    let codes = Reason::ALL.iter().map(|reason| reason.code());
    Err(format!("that is no reason{}", nearest(text, codes)))
}

impl Which {
    fn filter(&self, context: &Context<'_>) -> Filter {
        Filter {
            account: self.account.clone(),
            route: self.route.clone(),
            reason: self.reason.clone(),
            since: self.since.map(|since| since.moment(context.output.now())),
            shadow: self.shadow,
            limit: self.limit,
        }
    }
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::List(which) => {
            let filter = which.filter(context);
            let answer = context.ask(Operation::DenialsList { filter })?;
            print(answer, &VIEW, context)
        }
        Command::Top(which) => {
            let filter = which.filter(context);
            let answer = context.ask(Operation::DenialsTop { filter })?;
            print(answer, &TOP, context)
        }
        Command::Tail(which) => tail(&which, context),
    }
}

fn print(answer: Value, view: &View, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let answer = match context.output.format() {
        Format::Table => drawn(answer),
        Format::Json | Format::Sarif | Format::Yaml | Format::Jsonl | Format::Name => answer,
    };
    context.output.answer(&answer, view)?;
    Ok(Exit::Ok)
}

/// Asks again and again what is new. Ends with Ctrl-C, as the system ends it, or with the server.
fn tail(which: &Which, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let mut filter = which.filter(context);
    filter.limit = Some(which.limit.unwrap_or(FOLLOW_MAX));
    let mut after = None;
    loop {
        let Some(client) = Client::find(&settings)? else {
            return Err(Failure::server(match after {
                None => "no server is running: start it with `portcullis serve`",
                Some(_) => "the server has ended",
            }));
        };
        let filter = filter.clone();
        let news = client.call(&Operation::DenialsFollow { after, filter })?;
        after = news.get("next").and_then(Value::as_u64);
        let denials = news.get("denials").and_then(Value::as_array);
        for denial in denials.into_iter().flatten() {
            match context.output.format() {
                Format::Table => context.output.data(line(denial) + "\n")?,
                Format::Json | Format::Sarif | Format::Yaml | Format::Jsonl => {
                    context.output.data(format_args!("{denial}\n"))?;
                }
                Format::Name => context.output.answer(denial, &VIEW)?,
            }
        }
        context.output.flush()?;
        if context.output.is_closed() {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(ASK_INTERVAL);
    }
}

fn text<'v>(denial: &'v Value, field: &str) -> &'v str {
    denial
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Who asked: an account, or where a stranger came from and what he calls himself.
fn who(denial: &Value) -> String {
    let agent = text(denial, "user_agent");
    match (text(denial, "account"), text(denial, "source")) {
        ("", source) if agent.is_empty() => source.to_owned(),
        ("", source) => format!("{source} {agent}"),
        (account, _) => account.to_owned(),
    }
}

/// What was asked for, with the place if that was the point.
fn request(denial: &Value) -> String {
    let cut = if denial.get("path_cut").is_some() {
        "…"
    } else {
        ""
    };
    format!("{} {}{cut}", text(denial, "method"), text(denial, "path"))
}

/// The answer with what a reader of a table looks for.
fn drawn(answer: Value) -> Value {
    let Value::Array(denials) = answer else {
        return answer;
    };
    let draw = |mut denial: Value| {
        let (who, request) = (who(&denial), request(&denial));
        if let Some(denial) = denial.as_object_mut() {
            denial.insert("who".into(), who.into());
            denial.insert("request".into(), request.into());
        }
        denial
    };
    denials.into_iter().map(draw).collect()
}

/// One refusal on one line.
fn line(denial: &Value) -> String {
    let missing = denial.get("missing").and_then(Value::as_array);
    let missing: Vec<_> = missing
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let parts = [
        text(denial, "at").to_owned(),
        text(denial, "decision").to_owned(),
        text(denial, "reason").to_owned(),
        who(denial),
        request(denial),
        missing.join(","),
        text(denial, "request_id").to_owned(),
    ];
    let parts = parts.iter().filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.map(|part| super::table::printable(part)).collect();
    parts.join("  ")
}
