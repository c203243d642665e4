//! What `check` found, and how it is told to people and to programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::super::output::{BAD, Format, GOOD, ODD, styled};
use super::super::table::printable;
use super::super::{Context, Failure};
use super::VIEW;
use super::coverage::{Coverage, Percent};
use crate::directory::Directory;
use crate::policy::overlap::Relation;
use crate::policy::proof::Finding;
use crate::policy::{Expectation, Policy};
use crate::review::against::Comparison;
use crate::review::{self, Trials};
use crate::words::{Fault, Faults, Level, Permission, Place, Rule};

/// Most findings of one rule that people are shown at once; the others are in `-o json`, and under `--all`.
pub(super) const SHOWN_OF_A_RULE_MAX: usize = 20;

/// Widest place that the sentences on a terminal are lined up behind, in characters.
const PLACE_WIDTH_MAX: usize = 48;

/// What leads the eye nowhere.
const FAINT: Style = AnsiColor::BrightBlack.on_default();

/// What was found. Its shape is described in the README.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) valid: bool,
    pub(super) faults: Vec<Line>,
    pub(super) warnings: Vec<Line>,
    pub(super) notes: Vec<Line>,
    pub(super) failed_tests: Vec<Line>,
    /// How many more there are of a rule.
    pub(super) left_out: BTreeMap<&'static str, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) counts: Option<BTreeMap<&'static str, usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) coverage: Option<Coverage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) against: Option<Comparison>,
}

/// A sentence about a place in a file.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    #[serde(flatten)]
    pub(super) spot: Spot,
    pub(super) rule: Rule,
    pub(super) level: Level,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) related: Vec<Aside>,
}

/// What else a sentence is about.
#[derive(Debug, Serialize)]
pub(super) struct Aside {
    #[serde(flatten)]
    pub(super) spot: Spot,
    pub(super) message: String,
}

/// A place in a file, counted from 1; 0 is the whole file.
#[derive(Debug, Serialize)]
pub(super) struct Spot {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    #[serde(skip)]
    shown: String,
}

impl From<&Place> for Spot {
    fn from(place: &Place) -> Self {
        Self {
            file: place.file.display().to_string(),
            line: place.line,
            column: place.column,
            shown: printable(&place.to_string()),
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Line {
    pub(super) fn at(place: &Place, rule: Rule, message: String) -> Self {
        Self {
            spot: place.into(),
            rule,
            level: rule.level(),
            message,
            related: Vec::new(),
        }
    }
}

impl From<&Fault> for Line {
    fn from(fault: &Fault) -> Self {
        Self::at(&fault.place, fault.rule, fault.message.clone())
    }
}

impl From<&Finding> for Line {
    fn from(finding: &Finding) -> Self {
        let related = finding.related.iter().map(|it| Aside {
            spot: (&it.place).into(),
            message: it.message.clone(),
        });
        Self {
            level: finding.level,
            related: related.collect(),
            ..Self::at(&finding.place, finding.rule, finding.message.clone())
        }
    }
}

/// What was expected, what happened instead, and what would make it hold.
impl From<&review::Failure<'_>> for Line {
    fn from(failure: &review::Failure<'_>) -> Self {
        let (test, found) = (failure.test, &failure.explanation);
        let expected = match test.expect {
            Expectation::Allow => "allow",
            Expectation::Deny(reason) => reason.code(),
        };
        let who = match &test.account {
            Some(account) => format!("`{account}`"),
            None => "nobody in particular".to_owned(),
        };
        let mut message = format!(
            "the test {} {} as {who} fails: expected {expected}, got {}: {}",
            test.method,
            test.target,
            found.reason.unwrap_or("allow"),
            found.sentence,
        );
        if let Some(wanted) = &test.missing {
            let list = |names: &[Permission]| {
                let names: Vec<_> = names.iter().map(Permission::as_str).collect();
                names.join(", ")
            };
            let (wanted, missing) = (list(wanted), list(&failure.missing));
            message += &format!("; expected to miss {wanted}, missing is {missing}");
        }
        let remedies: Vec<_> = found
            .remedies
            .iter()
            .map(crate::explain::Remedy::text)
            .collect();
        let remedies = remedies.join(", or ");
        if test.expect == Expectation::Allow && !remedies.is_empty() {
            message += &format!("; this would allow it: {remedies}");
        }
        Self::at(&test.place, Rule::TestFailed, message)
    }
}

impl Report {
    /// Of files that cannot stand.
    pub(super) fn of_faults(faults: &Faults) -> Self {
        Self {
            faults: faults.iter().map(Line::from).collect(),
            ..Self::default()
        }
    }

    /// Of a policy that holds.
    pub(super) fn of(policy: &Policy) -> Self {
        let directory = Directory::of_files(policy).directory;
        let trials = Trials::run(policy, |name| {
            directory.account_named(name.as_str()).cloned()
        });
        let of_level = |level| {
            let findings = policy.findings.iter().filter(move |it| it.level == level);
            findings.map(Line::from).collect()
        };
        let left_out = policy.findings.left_out();
        Self {
            warnings: of_level(Level::Warning),
            notes: of_level(Level::Note),
            failed_tests: trials.failures.iter().map(Line::from).collect(),
            left_out: left_out.map(|(rule, count)| (rule.code(), count)).collect(),
            counts: Some(counts(policy)),
            coverage: Some(Coverage::of(policy, &trials)),
            ..Self::default()
        }
    }

    /// Adds what is wrong with files besides.
    pub(super) fn add(&mut self, faults: Option<Faults>) {
        let faults = faults.unwrap_or_default();
        self.faults.extend(faults.iter().map(Line::from));
        let place = |line: &Line| (line.spot.file.clone(), line.spot.line, line.spot.column);
        self.faults.sort_by_key(place);
    }

    /// The same with what tests exercise of the routes, or without; less than `least` is an error.
    pub(super) fn covered(mut self, wanted: bool, least: Option<Percent>) -> Self {
        let coverage = self.coverage.take().filter(|_| wanted || least.is_some());
        if let (Some(coverage), Some(least)) = (&coverage, least) {
            self.faults.extend(coverage.short_of(least));
        }
        self.coverage = coverage;
        self
    }

    /// The same with what differs from another version, and what is wrong with that.
    pub(super) fn compared(mut self, comparison: Comparison, fault: Option<Line>) -> Self {
        self.faults.extend(fault);
        self.against = Some(comparison);
        self
    }

    /// Valid if nothing in it weighs as much as `level`.
    pub(super) fn judge(&mut self, level: Level) {
        let valid = self.lines().all(|line| line.level < level);
        self.valid = valid;
    }

    /// Everything, what weighs least first: the last line on a terminal is the one that is read.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        let lighter = self.notes.iter().chain(&self.warnings);
        lighter.chain(&self.faults).chain(&self.failed_tests)
    }

    /// Prints it; of a rule that is no error so many findings at most.
    pub(super) fn print(&self, most: usize, context: &mut Context<'_>) -> Result<(), Failure> {
        let output = &mut *context.output;
        if output.format() != Format::Table {
            let report = serde_json::to_value(self).map_err(Failure::server)?;
            return output.answer(&report, &VIEW);
        }
        let width = if std::io::stderr().is_terminal() {
            let widths = self.lines().map(|line| line.spot.shown.chars().count());
            widths.max().unwrap_or_default().min(PLACE_WIDTH_MAX)
        } else {
            0
        };
        let mut shown: BTreeMap<(Rule, Level), usize> = BTreeMap::new();
        for line in self.lines() {
            let count = shown.entry((line.rule, line.level)).or_default();
            *count += 1;
            if line.level == Level::Error || *count <= most {
                output.complain(told(line, width))?;
            }
        }
        for ((rule, level), count) in shown {
            let more = if level == Level::Error {
                0
            } else {
                count.saturating_sub(most)
            };
            let rule_code = rule.code();
            if more > 0 {
                output.complain(format_args!(
                    "and {more} more of `{rule_code}`: `check --all` shows them"
                ))?;
            }
            let left_out = self.left_out.get(rule_code).copied().unwrap_or_default();
            if left_out > 0 && level == rule.level() {
                output.complain(format_args!(
                    "and {left_out} more of `{rule_code}` that are counted only: mend some of these first"
                ))?;
            }
        }
        if let Some(coverage) = self.coverage.as_ref().filter(|_| !output.is_quiet()) {
            output.data(coverage)?;
        }
        if let Some(comparison) = &self.against {
            super::against::print(comparison, output)?;
        }
        self.end(context)
    }

    fn end(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let output = &mut *context.output;
        if output.is_quiet() {
            return Ok(());
        }
        if self.valid {
            output.data(format_args!("{} {}\n", styled(GOOD, "ok:"), self.summary()))
        } else {
            let summary = self.summary();
            output.complain(format_args!("{} {summary}", styled(BAD, "not valid:")))
        }
    }

    fn summary(&self) -> String {
        let found = [
            (self.faults.len(), "faults"),
            (self.failed_tests.len(), "failed tests"),
            (self.warnings.len(), "warnings"),
            (self.notes.len(), "notes"),
        ];
        let found = found.into_iter().filter(|(count, what)| {
            *count > 0 || (!self.valid && matches!(*what, "faults" | "failed tests"))
        });
        let found = found.map(|(number, what)| count(number, what));
        let counts = self.counts.iter().flatten().filter(|_| self.valid);
        let counts = counts.map(|(what, number)| count(*number, what));
        counts.chain(found).collect::<Vec<_>>().join(", ")
    }
}

fn counts(policy: &Policy) -> BTreeMap<&'static str, usize> {
    let crossing = policy.overlaps.iter();
    let crossing = crossing.filter(|overlap| overlap.relation == Relation::Crossing);
    [
        ("routes", policy.routes.len()),
        ("permissions", policy.permissions.len()),
        ("roles", policy.roles.len()),
        ("accounts", policy.accounts.len()),
        ("tests", policy.tests.len()),
        ("overlaps", policy.overlaps.len()),
        ("crossing overlaps", crossing.count()),
    ]
    .into_iter()
    .collect()
}

fn count(count: usize, what: &str) -> String {
    let one = what.strip_suffix('s').unwrap_or(what);
    format!("{count} {}", if count == 1 { one } else { what })
}

/// `file:line:column: warning: sentence [rule]`, and a line for each place it is about besides. The
/// rule of a fault without one of its own says nothing that the sentence does not.
fn told(line: &Line, width: usize) -> String {
    let level = match line.level {
        Level::Error => styled(BAD, line.level),
        Level::Warning => styled(ODD, line.level),
        Level::Note => styled(Style::new().bold(), line.level),
    };
    let rule = styled(FAINT, format_args!("[{}]", line.rule.code()));
    let place = format!("{}:", line.spot.shown);
    let message = printable(&line.message);
    let mut text = format!(
        "{place:<width$} {level}: {message} {rule}",
        width = width + 1
    );
    // A note says enough by itself.
    let related = line.related.iter().filter(|_| line.level > Level::Note);
    for aside in related {
        let place = format!("{}:", aside.spot.shown);
        let message = printable(&aside.message);
        let _ = write!(text, "\n  {} {message}", styled(FAINT, place));
    }
    text
}
