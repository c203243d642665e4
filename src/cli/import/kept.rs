//! The options of an import, kept in the first line of what is kept of it.
//!
//! A merge that read the new description by other options would find that everything has changed. So
//! the options stand beside the policy, in a comment that no reader of policies looks at, and whoever
//! merges need not remember them.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Parser, ValueEnum};

use super::How;
use super::reading::{READ_METHODS, Source};
use super::{Failure, Whose};

/// What the line begins with; a list of arguments as JSON follows.
const MARK: &str = "# Options: ";

/// How to read, as a command line of its own.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Alone {
    #[command(flatten)]
    how: How,
}

/// Options by their names, each with its values.
type Options = BTreeMap<&'static str, Vec<String>>;

/// What `how` says; what it leaves out is not in it.
fn given(how: &How) -> Options {
    let reading = &how.reading;
    let word = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        let value = value().map(|it| it.get_name().to_owned());
        value.into_iter().collect::<Vec<_>>()
    };
    let pairs = |pairs: &[(String, String)]| -> Vec<String> {
        let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect()
    };
    let options = [
        (
            "--from",
            word(&|| how.from.as_ref().and_then(ValueEnum::to_possible_value)),
        ),
        (
            "--permission-from",
            word(&|| {
                let from = reading.permission_from.as_ref();
                from.and_then(ValueEnum::to_possible_value)
            }),
        ),
        (
            "--read-methods",
            reading
                .read_methods
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
        ("--within", pairs(&reading.within)),
        ("--multi-segment", reading.multi_segment.clone()),
        ("--server", reading.server.iter().cloned().collect()),
        ("--server-variable", pairs(&reading.server_variable)),
    ];
    let said = options.into_iter().filter(|(_, values)| !values.is_empty());
    said.collect()
}

/// The same with what holds where nothing is said, so that a later release may have other defaults.
fn whole(how: &How) -> Options {
    let how = How {
        from: Some(how.from.unwrap_or(Whose::Openapi)),
        reading: super::Reading {
            permission_from: Some(how.reading.permission_from.unwrap_or(Source::Tag)),
            read_methods: if how.reading.read_methods.is_empty() {
                READ_METHODS.to_vec()
            } else {
                how.reading.read_methods.clone()
            },
            ..how.reading.clone()
        },
    };
    given(&how)
}

fn arguments(options: &Options) -> Vec<String> {
    let one = |(name, values): (&&str, &Vec<String>)| -> Vec<String> {
        let values = values.iter().map(|value| format!("{name}={value}"));
        values.collect()
    };
    options.iter().flat_map(one).collect()
}

/// `text`, which was imported, under the line that keeps how.
pub(in crate::cli) fn with(how: &How, text: &str) -> String {
    let arguments = serde_json::Value::from(arguments(&whole(how)));
    format!("{MARK}{arguments}\n{text}")
}

/// How `text`, which `file` holds, was imported; nothing if that was not kept.
fn of(file: &Path, text: &str) -> Result<Option<How>, Failure> {
    let Some(line) = text.lines().next().and_then(|line| line.strip_prefix(MARK)) else {
        return Ok(None);
    };
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::invalid(format_args!(
            "{}:1: the options of the last import cannot be read ({error}): remove the line, and give them",
            file.display()
        ))
    };
    let arguments: Vec<String> = serde_json::from_str(line).map_err(|error| cannot(&error))?;
    let alone = Alone::try_parse_from(arguments).map_err(|error| {
        let error = error.render().to_string();
        cannot(&error.lines().next().unwrap_or_default())
    })?;
    Ok(Some(alone.how))
}

/// How to read for a merge.
pub(super) struct Completed {
    pub(super) how: How,
    /// What there is to say about it, one sentence each.
    pub(super) said: Vec<String>,
    /// What of it differs from the last time, and how it was then.
    pub(super) differs: Vec<String>,
}

/// `how`, with the options it leaves out as they were for `text`, which `file` holds.
///
/// # Errors
///
/// Options in the file that nobody can read.
pub(super) fn completed(how: &How, (file, text): (&Path, &str)) -> Result<Completed, Failure> {
    let Some(kept) = of(file, text)? else {
        let said = format!(
            "`{}` does not say by which options it was imported: give those of then; they are kept from now on",
            file.display()
        );
        return Ok(Completed {
            how: how.clone(),
            said: vec![said],
            differs: Vec::new(),
        });
    };
    let (now, then) = (given(how), whole(&kept));
    let told = |options: Option<&Vec<String>>| {
        options.map_or_else(
            || "nothing".to_owned(),
            |values| format!("`{}`", values.join(",")),
        )
    };
    let differs = now
        .iter()
        .filter(|(name, values)| then.get(*name) != Some(*values));
    let differs = differs.map(|(name, values)| {
        format!(
            "`{name}` is {} now and was {} at the last import: what changes by that is no change of the description",
            told(Some(values)),
            told(then.get(name))
        )
    });
    let differs = differs.collect();
    let left: Options = then
        .into_iter()
        .filter(|(name, _)| !now.contains_key(name))
        .collect();
    let plain = whole(&How::default());
    let unusual: Options = left
        .into_iter()
        .filter(|(name, it)| plain.get(name) != Some(it))
        .collect();
    let said = match arguments(&unusual).join(" ") {
        none if none.is_empty() => Vec::new(),
        options => vec![format!("as at the last import: {options}")],
    };
    let how = How {
        from: how.from.or(kept.from),
        reading: how.reading.clone().or(kept.reading),
    };
    Ok(Completed { how, said, differs })
}
