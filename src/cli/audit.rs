//! `portcullis audit`: who changed what. Listed, followed, exported, and proven to be whole.

mod anchors;
mod cursor;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::arguments::{Since, since};
use super::output::Format;
use super::table::{View, printable};
use super::transport::Operation;
use super::{Context, Exit, Failure};
use crate::audit::{Anchor, Filter, PAGE_MAX};
use crate::words::{AccountName, nearest};

/// The kinds of events there are; behind the point stands what was done.
pub(super) const KINDS: [&str; 10] = [
    "account",
    "audit",
    "denial",
    "gateway",
    "group",
    "key",
    "policy",
    "role",
    "signing_key",
    "token",
];
/// Records that are listed when nothing is said.
const LIMIT_DEFAULT: usize = 50;

/// What records look like.
const VIEW: View = View {
    plural: "records",
    name: "event.sequence",
    columns: &[
        ("number", "number"),
        ("at", "at"),
        ("actor", "actor"),
        ("event", "event"),
        ("object", "object"),
        ("outcome", "outcome"),
    ],
};

/// What it looks like whether the trail is whole.
const VERDICT: View = View {
    plural: "records",
    name: "whole",
    columns: &[],
};

/// Who changed what, and who looked at it
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List records, newest first
    #[command(before_help = "Examples:
  portcullis audit list --account ci --since 7d
  portcullis audit list --event key --actor alice
  portcullis audit list --event account.disable -o json")]
    List(List),
    /// Print records as they come, until Ctrl-C
    #[command(before_help = "Examples:
  portcullis audit tail
  portcullis audit tail --event key -o jsonl")]
    Tail(Which),
    /// Print all records, oldest first, one JSON object a line: for a SIEM
    ///
    /// With `--cursor FILE` the next export goes on where this one ended; what it could not hand on
    /// comes again, so nothing is lost and a record may come twice: `event.sequence` tells them apart.
    #[command(before_help = "Examples:
  portcullis audit export --cursor /var/lib/siem/portcullis.cursor >> audit.jsonl
  portcullis audit export --cursor cursor --follow | vector --config siem.yaml
  portcullis audit export --after 1200")]
    Export(Export),
    /// Prove that no record was changed, deleted, swapped or cut off
    ///
    /// A store cannot show that it was put back whole to an older state. An anchor that is kept
    /// elsewhere does.
    #[command(before_help = "Examples:
  portcullis audit verify
  portcullis audit verify --anchor anchors.txt")]
    Verify(Verify),
    /// Print the end of the trail, for `verify --anchor`; keep it where the gateway cannot write
    #[command(before_help = "Examples:
  portcullis audit anchor | ssh vault 'cat >> anchors.txt'")]
    Anchor,
}

/// Which records.
#[derive(Args, Clone, Debug)]
pub(super) struct Which {
    /// Only those that concern this account
    #[arg(long)]
    account: Option<AccountName>,
    /// Only those by this user, user id or account, or by the `gateway`
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only this event, such as `key.create`, or all of a kind, such as `key`
    #[arg(long)]
    event: Option<String>,
}

/// Which records, and which page of them.
#[derive(Args, Clone, Debug)]
pub(super) struct List {
    #[command(flatten)]
    which: Which,
    /// Only those since then: a span such as `7d`, or a time
    #[arg(long, value_name = "SPAN|TIME", value_parser = since)]
    since: Option<Since>,
    /// Only those before then: a span such as `1d`, or a time
    #[arg(long, value_name = "SPAN|TIME", value_parser = since)]
    until: Option<Since>,
    /// Only those with a lower number: the next page
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// At most so many [default: 50]
    #[arg(long)]
    limit: Option<usize>,
}

/// Where to begin, and when to end.
#[derive(Args, Clone, Debug)]
pub(super) struct Export {
    #[command(flatten)]
    which: Which,
    /// Only those with a higher number than this
    #[arg(long, value_name = "NUMBER", conflicts_with = "cursor")]
    after: Option<u64>,
    /// A file that says where to go on, and is told how far it went
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
    /// Go on with what comes, until Ctrl-C
    #[arg(long)]
    follow: bool,
}

/// What to prove.
#[derive(Args, Clone, Debug)]
pub(super) struct Verify {
    /// A file with lines of `audit anchor`, which the trail must still hold
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// Only records with a higher number than this
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
}

impl Which {
    fn is_everything(&self) -> bool {
        self.account.is_none() && self.actor.is_none() && self.event.is_none()
    }

    fn filter(&self) -> Filter {
        Filter {
            account: self.account.as_ref().map(ToString::to_string),
            actor: self.actor.clone(),
            event: self.event.clone(),
            limit: Some(PAGE_MAX),
            ..Filter::default()
        }
    }
}

/// Runs one of them.
pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::List(wanted) => list(&wanted, context),
        Command::Tail(which) => tail(&which, context),
        Command::Export(wanted) => export(&wanted, context),
        Command::Verify(wanted) => verify(&wanted, context),
        Command::Anchor => anchor(context),
    }
}

fn list(wanted: &List, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let now = context.output.now();
    let mut filter = Filter {
        since: wanted.since.map(|since| since.moment(now)),
        until: wanted.until.map(|until| until.moment(now)),
        before: wanted.before,
        limit: Some(wanted.limit.unwrap_or(LIMIT_DEFAULT)),
        ..wanted.which.filter()
    };
    let most = filter.limit();
    let mut records: Vec<Value> = Vec::new();
    // What is rare is looked for a part of the trail at a time.
    let next = loop {
        filter.limit = Some(most.saturating_sub(records.len()));
        let filter_now = filter.clone();
        let mut answer = context.ask(Operation::AuditList { filter: filter_now })?;
        if let Some(Value::Array(found)) = answer.get_mut("records").map(Value::take) {
            records.extend(found);
        }
        let next = answer.get("next").and_then(Value::as_u64);
        if next.is_none() || records.len() >= most {
            break next;
        }
        filter.before = next;
    };
    if context.output.format() == Format::Table {
        records
            .iter_mut()
            .for_each(|record| *record = drawn(record));
    }
    let event = wanted.which.event.as_ref().filter(|_| records.is_empty());
    context.output.answer(&records.into(), &VIEW)?;
    event.map_or(Ok(()), |event| unknown(event, context))?;
    if let Some(next) = next {
        let said = format_args!("older ones: add `--before {next}`");
        context.output.remark(said)?;
    }
    Ok(Exit::Ok)
}

/// Says that there is no such event, where nothing was found and that is why.
fn unknown(event: &str, context: &mut Context<'_>) -> Result<(), Failure> {
    let kind = event.split('.').next().unwrap_or(event);
    if KINDS.contains(&kind) {
        return Ok(());
    }
    let near = nearest(kind, KINDS);
    context
        .output
        .remark(format_args!("no kind of event is called `{kind}`{near}"))
}

fn tail(which: &Which, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let reach = context.reach()?;
    let session = reach.session()?;
    let mut after = None;
    loop {
        let filter = which.filter();
        let news = session.ask(Operation::AuditFollow {
            after,
            exported: false,
            filter,
        })?;
        after = news.get("next").and_then(Value::as_u64);
        let records = news.get("records").and_then(Value::as_array);
        for record in records.into_iter().flatten() {
            match context.output.format() {
                Format::Table => context.output.data(line(record) + "\n")?,
                Format::Json | Format::Sarif | Format::Yaml | Format::Jsonl => {
                    context.output.data(format_args!("{record}\n"))?;
                }
                Format::Name => context.output.answer(record, &VIEW)?,
            }
        }
        context.output.flush()?;
        if context.output.is_closed() {
            return Ok(Exit::Ok);
        }
        reach.rest();
    }
}

fn export(wanted: &Export, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let reach = context.reach()?;
    let kept = wanted.cursor.as_deref();
    let mut after = match kept {
        Some(file) => cursor::read(file)?,
        None => wanted.after.unwrap_or(0),
    };
    let session = reach.session()?;
    loop {
        let operation = Operation::AuditFollow {
            after: Some(after),
            exported: kept.is_some() && wanted.which.is_everything(),
            filter: wanted.which.filter(),
        };
        let page = session.ask(operation)?;
        let records = page.get("records").and_then(Value::as_array);
        for record in records.into_iter().flatten() {
            context.output.data(format_args!("{record}\n"))?;
        }
        context.output.flush()?;
        if context.output.is_closed() {
            return Ok(Exit::Ok);
        }
        let next = page.get("next").and_then(Value::as_u64).unwrap_or(after);
        // Only what was handed on is behind the cursor.
        if let Some(file) = kept.filter(|_| next != after) {
            cursor::keep(file, next)?;
        }
        after = next;
        if page.get("more") != Some(&Value::Bool(true)) {
            if !wanted.follow {
                return Ok(Exit::Ok);
            }
            reach.rest();
        }
    }
}

fn verify(wanted: &Verify, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut anchors = match &wanted.anchor {
        Some(file) => anchors::read(file)?,
        None => Vec::new(),
    };
    let reach = context.reach()?;
    let session = reach.session()?;
    let (mut after, mut records) = (wanted.after, 0);
    let mut seams = Vec::new();
    loop {
        let operation = Operation::AuditVerify {
            after,
            anchors: std::mem::take(&mut anchors),
        };
        let page = session.ask(operation)?;
        records += page.get("records").and_then(Value::as_u64).unwrap_or(0);
        after = page.get("through").and_then(Value::as_u64);
        let more = page.get("seams").and_then(Value::as_array);
        for seam in more.into_iter().flatten() {
            let message = seam.get("message").and_then(Value::as_str);
            let record = seam.get("record").unwrap_or(&Value::Null);
            let said = format_args!("record {record}: {}", message.unwrap_or_default());
            context.output.remark(said)?;
            seams.push(seam.clone());
        }
        let fault = page.get("fault").filter(|fault| !fault.is_null());
        if let Some(fault) = fault {
            let answer = json!({
                "whole": false,
                "record": fault.get("record"),
                "fault": fault.get("message"),
                "seams": seams,
            });
            context.output.answer(&answer, &VERDICT)?;
            return Ok(Exit::No);
        }
        if page.get("done") != Some(&Value::Bool(false)) {
            let answer =
                json!({ "whole": true, "records": records, "through": after, "seams": seams });
            context.output.answer(&answer, &VERDICT)?;
            return Ok(Exit::Ok);
        }
    }
}

fn anchor(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let answer = context.ask(Operation::AuditAnchor {})?;
    match context.output.format() {
        Format::Table | Format::Name => {
            let anchor: Anchor = serde_json::from_value(answer)
                .map_err(|error| Failure::server(format_args!("no anchor came: {error}")))?;
            context.output.data(format_args!("{anchor}\n"))?;
        }
        Format::Json | Format::Sarif | Format::Yaml | Format::Jsonl => {
            context.output.answer(&answer, &VERDICT)?;
        }
    }
    Ok(Exit::Ok)
}

fn text<'v>(record: &'v Value, field: &str) -> &'v str {
    record
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The first of these fields that says anything.
fn first<'v>(record: &'v Value, fields: &[&str]) -> &'v str {
    let said = fields.iter().map(|field| text(record, field));
    said.into_iter()
        .find(|said| !said.is_empty())
        .unwrap_or_default()
}

fn actor(record: &Value) -> &str {
    let names = ["user.name", "user.id", "portcullis.actor.account.name"];
    match first(record, &names) {
        "" => text(record, "portcullis.actor.kind"),
        name => name,
    }
}

/// What it is about: `account ci`, `key pck_… of ci`; and what was to become of it, as far as whoever asked
/// said: `account ci, role reader, tenant acme`.
fn object(record: &Value) -> String {
    let kind = text(record, "portcullis.object.kind");
    let name = first(record, &["portcullis.object.name", "portcullis.object.id"]);
    let account = text(record, "portcullis.account.name");
    let of = match account {
        "" => String::new(),
        account if account == name => String::new(),
        account => format!("of {account}"),
    };
    let parts = [kind, name, &of];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let asked = text(record, "portcullis.asked").replace('`', "");
    let said = asked.split_once(", ").map(|(_, said)| said);
    let parts = [Some(parts.join(" ")), said.map(str::to_owned)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn event(record: &Value) -> &str {
    let event = text(record, "event.name");
    event.strip_prefix("audit.").unwrap_or(event)
}

fn outcome(record: &Value) -> &str {
    match first(record, &["error.type", "event.outcome"]) {
        "success" => "done",
        other => other,
    }
}

/// A record as a reader of a table looks for it.
fn drawn(record: &Value) -> Value {
    json!({
        "number": record.get("event.sequence"),
        "at": text(record, "timestamp"),
        "actor": actor(record),
        "event": event(record),
        "object": object(record),
        "outcome": outcome(record),
    })
}

/// One record on one line.
fn line(record: &Value) -> String {
    let number = record.get("event.sequence").map(Value::to_string);
    let parts = [
        number.unwrap_or_default(),
        text(record, "timestamp").to_owned(),
        actor(record).to_owned(),
        event(record).to_owned(),
        object(record),
        outcome(record).to_owned(),
        text(record, "error.message").to_owned(),
    ];
    let parts = parts.iter().filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.map(|part| printable(part)).collect();
    parts.join("  ")
}
