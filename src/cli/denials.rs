//! `portcullis denials`: refusals that happened, one by one, as they come, or counted.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::arguments::{Since, since};
use super::output::Format;
use super::table::View;
use super::transport::Operation;
use super::{Context, Exit, Failure};
use crate::denials::Filter;
use crate::reason::Reason;
use crate::words::{AccountName, nearest};

/// Refusals that are listed when nothing is said.
const LIMIT_DEFAULT: usize = 50;
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
        ("missing", "lacks"),
        ("request id", "request_id"),
    ],
};

/// What requests look like that were let through and failed.
const FAILED: View = View {
    plural: "failed requests",
    name: "request_id",
    columns: &[
        ("at", "at"),
        ("reason", "reason"),
        ("who", "who"),
        ("request", "request"),
        ("upstream", "upstream"),
        ("address", "upstream_address"),
        ("cause", "cause"),
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
        ("route or path", "route"),
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
  portcullis denials list --failed             let through, and their upstream did not answer
  portcullis explain 019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70     what one of them was about")]
    List(Listed),
    /// Print refusals as they come, until Ctrl-C
    #[command(before_help = "Examples:
  portcullis denials tail
  portcullis denials tail --shadow -o jsonl")]
    Tail(Listed),
    /// Count refusals by account (strangers: by source and user agent), permission and route
    #[command(before_help = "Examples:
  portcullis denials top
  portcullis denials top --shadow          who would break if shadow mode ended now")]
    Top(Which),
}

/// Which refusals, or which failures instead.
#[derive(Args, Clone, Debug)]
pub(super) struct Listed {
    #[command(flatten)]
    which: Which,
    /// Those that were let through and failed behind the decision, instead of refusals. The latest
    /// of them are kept, in memory
    #[arg(long, conflicts_with = "shadow")]
    failed: bool,
}

/// Which refusals.
#[derive(Args, Clone, Debug)]
pub(super) struct Which {
    /// Only those of this account
    #[arg(long)]
    account: Option<AccountName>,
    /// Only those whose route has this text in its name; without a route, their path
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

impl Listed {
    fn filter(&self, context: &Context<'_>) -> Filter {
        Filter {
            failed: self.failed,
            ..self.which.filter(context)
        }
    }
}

impl Which {
    fn filter(&self, context: &Context<'_>) -> Filter {
        Filter {
            account: self.account.clone(),
            route: self.route.clone(),
            reason: self.reason.clone(),
            since: self.since.map(|since| since.moment(context.output.now())),
            shadow: self.shadow,
            failed: false,
            limit: Some(self.limit.unwrap_or(LIMIT_DEFAULT)),
        }
    }
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::List(listed) => {
            let filter = listed.filter(context);
            let view = if filter.failed { &FAILED } else { &VIEW };
            let answer = context.ask(Operation::DenialsList { filter })?;
            print(answer, view, context)
        }
        Command::Top(which) => {
            let filter = which.filter(context);
            let answer = context.ask(Operation::DenialsTop { filter })?;
            print(answer, &TOP, context)
        }
        Command::Tail(listed) => tail(&listed, context),
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
fn tail(listed: &Listed, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let reach = context.reach()?;
    let mut filter = listed.filter(context);
    filter.limit = Some(listed.which.limit.unwrap_or(FOLLOW_MAX));
    let mut after = None;
    loop {
        let filter = filter.clone();
        let Some(news) = reach.ask_running(&Operation::DenialsFollow { after, filter })? else {
            return Err(Failure::server(match after {
                None => "no server is running: start it with `portcullis serve`",
                Some(_) => "the server has ended",
            }));
        };
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
        reach.rest();
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

/// What was missing: permissions; where they were held and did not count, the place; of what was let
/// through, what went wrong behind.
fn lacks(denial: &Value) -> String {
    let missing = denial.get("missing").and_then(Value::as_array);
    let missing = missing.into_iter().flatten().filter_map(Value::as_str);
    let missing: Vec<_> = missing.collect();
    if !missing.is_empty() {
        return missing.join(", ");
    }
    if text(denial, "reason") != Reason::OutsideBoundary.code() {
        return text(denial, "cause").to_owned();
    }
    let place = denial.get("boundary").and_then(Value::as_object);
    let place = place.into_iter().flatten().map(|(dimension, values)| {
        let values = values.as_array().into_iter().flatten();
        let values: Vec<_> = values.filter_map(Value::as_str).collect();
        match values.as_slice() {
            [] => format!("no {dimension}"),
            values => format!("{dimension} {}", values.join(", ")),
        }
    });
    let place = place.collect::<Vec<_>>().join("; ");
    match place.as_str() {
        "" => "a grant without a boundary".to_owned(),
        place => place.to_owned(),
    }
}

/// The answer with what a reader of a table looks for.
fn drawn(answer: Value) -> Value {
    let Value::Array(denials) = answer else {
        return answer;
    };
    let draw = |mut denial: Value| {
        let (who, request, lacks) = (who(&denial), request(&denial), lacks(&denial));
        if let Some(denial) = denial.as_object_mut() {
            denial.insert("lacks".into(), lacks.into());
            // Counted by how the path begins, where no route leads.
            if let (None, Some(path)) = (denial.get("route"), denial.get("path").cloned()) {
                denial.insert("route".into(), path);
            }
            denial.insert("who".into(), who.into());
            denial.insert("request".into(), request.into());
        }
        denial
    };
    denials.into_iter().map(draw).collect()
}

/// One refusal on one line.
fn line(denial: &Value) -> String {
    let parts = [
        text(denial, "at").to_owned(),
        text(denial, "decision").to_owned(),
        text(denial, "reason").to_owned(),
        who(denial),
        request(denial),
        lacks(denial),
        text(denial, "request_id").to_owned(),
    ];
    let parts = parts.iter().filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.map(|part| super::table::printable(part)).collect();
    parts.join("  ")
}
