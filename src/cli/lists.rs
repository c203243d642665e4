//! Lists in part, and lists that are looked at again and again.
//!
//! On a terminal `--watch` draws the table anew when something in it changes. In a pipe there is no
//! screen, and what reads it wants to know what changed: each thing is a line when it is first seen and
//! whenever it is different, with the moment, and it is said that it has gone. Ctrl-C ends it as the
//! system ends a program, without a word.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::output::{Format, Output, items};
use super::table::{self, View, printable};
use super::transport::Operation;
use super::yaml;
use super::{Context, Exit, Failure};
use crate::clock::Clock;
use crate::words::UnixTime;

/// How long what is watched is left alone between two questions, at least.
const PAUSE: Duration = Duration::from_secs(1);
/// And how many times as long as the answer took: a long list does not keep a server busy.
const PAUSES_PER_ANSWER: u32 = 10;

/// Whether an answer is shown once.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Watch {
    /// Show it again whenever it changes, until Ctrl-C; in a pipe, a line for each thing that changes
    #[arg(long)]
    pub(super) watch: bool,
}

/// Prints the part of a list that `operation` asks for, at most `limit` entries, and says if there are
/// more: a list that ends at its limit looks like a whole one.
///
/// # Errors
///
/// What the service says.
pub(super) fn page(
    operation: impl FnOnce(Option<usize>) -> Operation,
    limit: Option<usize>,
    view: &View,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    let mut answer = context.ask(operation(limit.map(|limit| limit.saturating_add(1))))?;
    let mut last = None;
    if let (Value::Array(entries), Some(limit)) = (&mut answer, limit)
        && entries.len() > limit
    {
        entries.truncate(limit);
        last = entries.last().map(|entry| table::name_of(entry, view));
    }
    context.output.answer(&answer, view)?;
    if let Some(last) = last {
        let said = format_args!("there are more: add `--after {last}`");
        context.output.remark(said)?;
    }
    Ok(Exit::Ok)
}

/// Shows what `operation` asks for again and again. Only a server that runs is asked: a store that were
/// opened here could be opened by no server meanwhile.
///
/// # Errors
///
/// What the service says; [`Exit::Server`] where no server runs, or none does any more.
pub(super) fn watch(
    operation: impl Fn(UnixTime) -> Operation,
    view: &View,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    let reach = context.reach()?;
    let mut shown = Shown::default();
    loop {
        let asked = Instant::now();
        let now = Clock::System.now();
        let Some(answer) = reach.ask_running(&operation(now))? else {
            return Err(Failure::server(match shown.begun {
                false => "no server is running: start it with `portcullis serve`",
                true => "the server has ended",
            }));
        };
        let pause = PAUSE.max(asked.elapsed() * PAUSES_PER_ANSWER);
        shown.show(&answer, view, context.output, now)?;
        context.output.flush()?;
        if context.output.is_closed() {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(pause);
    }
}

/// What was shown last.
#[derive(Default)]
struct Shown {
    begun: bool,
    /// What the terminal shows.
    screen: String,
    /// What was printed, by its name.
    things: BTreeMap<String, Value>,
}

impl Shown {
    fn show(
        &mut self,
        answer: &Value,
        view: &View,
        output: &mut Output,
        now: UnixTime,
    ) -> Result<(), Failure> {
        let rows = output.renew(now);
        let first = !std::mem::replace(&mut self.begun, true);
        match (output.format(), rows) {
            (Format::Table, Some(rows)) => self.redraw(answer, view, output, rows),
            _ => self.print(answer, view, output, first),
        }
    }

    /// Draws the table over the one that is there, if it is another; no longer than the screen.
    fn redraw(
        &mut self,
        answer: &Value,
        view: &View,
        output: &mut Output,
        rows: usize,
    ) -> Result<(), Failure> {
        let drawn = output.drawn(answer, view).text;
        let screen = match drawn.is_empty() {
            true => format!("no {}\n", view.plural),
            false => cut(&drawn, rows),
        };
        if screen == self.screen {
            return Ok(());
        }
        output.clear()?;
        output.data(&screen)?;
        self.screen = screen;
        Ok(())
    }

    /// Prints what is new, what is different, and what has gone.
    fn print(
        &mut self,
        answer: &Value,
        view: &View,
        output: &mut Output,
        first: bool,
    ) -> Result<(), Failure> {
        let mut things = BTreeMap::new();
        for thing in items(answer) {
            // Of one thing there is one, whatever it is called.
            let name = match answer.is_array() {
                true => table::name_of(thing, view),
                false => String::new(),
            };
            let before = self.things.get(&name);
            if before != Some(thing) {
                let text = changed((&name, thing), before, view, output);
                output.data(text)?;
            }
            things.insert(name, thing.clone());
        }
        let gone = self
            .things
            .keys()
            .filter(|name| !things.contains_key(*name));
        for name in gone {
            output.data(gone_from(name, view, output))?;
        }
        if first && things.is_empty() {
            output.remark(format_args!("no {}", view.plural))?;
        }
        self.things = things;
        Ok(())
    }
}

/// The first lines of a table, with a word on what is below them.
fn cut(drawn: &str, rows: usize) -> String {
    let lines: Vec<_> = drawn.lines().collect();
    // The cursor stands on a line of its own.
    let room = rows.saturating_sub(1).max(2);
    if lines.len() <= room {
        return drawn.to_owned();
    }
    let kept = room - 1;
    let shown = lines.iter().take(kept);
    let shown: String = shown.map(|line| format!("{line}\n")).collect();
    format!("{shown}… and {} more lines\n", lines.len() - kept)
}

/// A line for a thing that is new or different.
fn changed(
    (name, thing): (&str, &Value),
    before: Option<&Value>,
    view: &View,
    output: &Output,
) -> String {
    match output.format() {
        Format::Json | Format::Jsonl | Format::Sarif => format!("{thing}\n"),
        Format::Yaml => yaml::to_string(&json!([thing])),
        Format::Name => table::name_of(thing, view) + "\n",
        Format::Table => {
            let said = differences(thing, before, view);
            match said.is_empty() {
                // Something that no column shows.
                true => String::new(),
                false => line(&[&output.now().to_string(), &printable(name), &said]),
            }
        }
    }
}

/// What a thing says, or what it says now and did not before: `state expired, expires …`.
fn differences(thing: &Value, before: Option<&Value>, view: &View) -> String {
    let columns = view.columns.iter().map(|(title, field)| (*title, *field));
    let columns: Vec<(&str, &str)> = match (view.columns, thing.as_object()) {
        ([], Some(fields)) => fields
            .keys()
            .map(|key| (key.as_str(), key.as_str()))
            .collect(),
        _ => columns.filter(|(_, field)| *field != view.name).collect(),
    };
    let of = |value: &Value, field: &str| value.get(field).cloned().unwrap_or_default();
    let differs = |field| before.is_none_or(|before| of(before, field) != of(thing, field));
    let told = columns.iter().filter(|(_, field)| differs(field));
    let told = told.map(|(title, field)| {
        let value = table::told(field, &of(thing, field));
        format!("{} {value}", title.replace('_', " "))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// A line for a thing that is not there any more.
fn gone_from(name: &str, view: &View, output: &Output) -> String {
    let told = json!({ view.name: name, "gone": true });
    match output.format() {
        Format::Json | Format::Jsonl | Format::Sarif => format!("{told}\n"),
        Format::Yaml => yaml::to_string(&json!([told])),
        Format::Name => String::new(),
        Format::Table => line(&[&output.now().to_string(), &printable(name), "gone"]),
    }
}

fn line(parts: &[&str]) -> String {
    let parts = parts.iter().filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.copied().collect();
    parts.join("  ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::keys::VIEW;
    use super::super::output::Talk;
    use super::super::output::tests::on_paper;
    use super::*;

    /// What is printed for one answer after the other.
    fn printed(format: Format, view: &View, answers: &[Value]) -> String {
        let (data, _, mut output) = on_paper(format, Talk::Normal);
        let mut shown = Shown::default();
        let now = output.now();
        for answer in answers {
            shown.show(answer, view, &mut output, now).unwrap();
        }
        output.flush().unwrap();
        data.text()
    }

    fn key(id: &str, state: &str, used: Option<&str>) -> Value {
        json!({ "id": id, "account": "ci", "state": state, "expires_at": null, "last_used_at": used,
            "last_used_from": null, "created_at": "2026-11-21T11:00:00.000Z", "only": null, "description": "" })
    }

    fn days() -> [Value; 4] {
        let used = Some("2026-11-21T11:59:59.000Z");
        [
            json!([key("pck_1", "active", None), key("pck_2", "active", None)]),
            json!([key("pck_1", "active", None), key("pck_2", "active", None)]),
            json!([key("pck_1", "active", used), key("pck_2", "active", None)]),
            json!([key("pck_1", "expired", used), key("pck_3", "active", None)]),
        ]
    }

    #[test]
    fn in_a_pipe_what_changed_is_a_line() {
        insta::assert_snapshot!(printed(Format::Table, &VIEW, &days()), @r"
        2026-11-21T12:00:00.000Z  pck_1  account ci, state active, expires never, last used never, from -, created 2026-11-21T11:00:00.000Z, only -, description -
        2026-11-21T12:00:00.000Z  pck_2  account ci, state active, expires never, last used never, from -, created 2026-11-21T11:00:00.000Z, only -, description -
        2026-11-21T12:00:00.000Z  pck_1  last used 2026-11-21T11:59:59.000Z
        2026-11-21T12:00:00.000Z  pck_1  state expired
        2026-11-21T12:00:00.000Z  pck_3  account ci, state active, expires never, last used never, from -, created 2026-11-21T11:00:00.000Z, only -, description -
        2026-11-21T12:00:00.000Z  pck_2  gone
        ");
        let names = printed(Format::Name, &VIEW, &days());
        assert_eq!(names, "pck_1\npck_2\npck_1\npck_1\npck_3\n");
        for format in [Format::Json, Format::Jsonl] {
            let lines = printed(format, &VIEW, &days());
            let lines: Vec<Value> = lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(lines.len(), 6, "{lines:?}");
            assert_eq!(lines[2]["last_used_at"], "2026-11-21T11:59:59.000Z");
            assert_eq!(lines[5], json!({ "id": "pck_2", "gone": true }));
        }
        let yaml = printed(Format::Yaml, &VIEW, &days());
        let read: Vec<Value> = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read.len(), 6, "{yaml}");
    }

    #[test]
    fn of_one_thing_the_fields_that_changed_are_a_line() {
        let view = &super::super::server::VIEW;
        let status =
            |accounts| json!({ "instance": "in_1", "running": true, "accounts": accounts });
        let days = [status(1), status(1), status(2)];
        insta::assert_snapshot!(printed(Format::Table, view, &days), @r"
        2026-11-21T12:00:00.000Z  instance in_1, running yes, accounts 1
        2026-11-21T12:00:00.000Z  accounts 2
        ");
    }

    #[test]
    fn a_table_that_is_longer_than_its_screen_is_cut_and_says_so() {
        let table = "ID\na\nb\nc\n";
        assert_eq!(cut(table, 5), table);
        assert_eq!(cut(table, 4), "ID\na\n… and 2 more lines\n");
        assert_eq!(cut(table, 0), "ID\n… and 3 more lines\n");
    }
}
