//! `portcullis check`: proves settings and policy, and runs the policy's own tests.
//!
//! Everything is reported at once and in the form compilers use, `file:line:column: sentence`, so
//! that editors and pipelines find the place without help of ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::output::{BAD, Format, GOOD, ODD, styled};
use super::table::{View, printable};
use super::{Context, Exit, Failure};
use crate::admin;
use crate::directory::Directory;
use crate::explain;
use crate::policy::{self, Expectation, Policy};
use crate::settings::Settings;
use crate::words::{Fault, Faults, Place};

const VIEW: View = View {
    plural: "reports",
    name: "valid",
    columns: &[],
};

/// What to prove.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis check                  the settings, and the policy folder they name
  portcullis check policies/        a policy folder alone
  portcullis check -o json          the same for an editor")]
pub(super) struct Check {
    /// Policy folder, or a folder with a portcullis.yaml; what the settings name if left out
    folder: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    valid: bool,
    faults: Vec<Line>,
    warnings: Vec<Line>,
    failed_tests: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<BTreeMap<&'static str, usize>>,
}

/// A sentence about a place in a file.
#[derive(Debug, Serialize)]
struct Line {
    file: String,
    line: usize,
    column: usize,
    message: String,
    #[serde(skip)]
    place: String,
}

impl Line {
    fn at(place: &Place, message: String) -> Self {
        Self {
            file: place.file.display().to_string(),
            line: place.line,
            column: place.column,
            message,
            place: place.to_string(),
        }
    }
}

impl From<&Fault> for Line {
    fn from(fault: &Fault) -> Self {
        Self::at(&fault.place, fault.message.clone())
    }
}

/// What was expected, what happened instead, and what would make it hold.
impl From<&explain::Failure<'_>> for Line {
    fn from(failure: &explain::Failure<'_>) -> Self {
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
            "{} {} as {who}: expected {expected}, got {}: {}",
            test.method,
            test.target,
            found.reason.unwrap_or("allow"),
            found.sentence,
        );
        let remedies = found.remedies.join(", or ");
        if test.expect == Expectation::Allow && !remedies.is_empty() {
            message += &format!("; this would allow it: {remedies}");
        }
        Self::at(&test.place, message)
    }
}

/// Prints every fault, every warning and every test that failed.
pub(super) fn run(check: &Check, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let report = match load(check.folder.as_deref(), context)? {
        Ok(policy) => Report::of(&policy),
        Err(faults) => Report {
            faults: faults.iter().map(Line::from).collect(),
            ..Report::default()
        },
    };
    report.print(context)?;
    Ok(if report.valid { Exit::Ok } else { Exit::No })
}

/// The policy that is to be checked, or everything that is wrong with the files.
fn load(folder: Option<&Path>, context: &Context<'_>) -> Result<Result<Policy, Faults>, Failure> {
    let settings = match folder.map(|folder| (folder, folder.join("portcullis.yaml"))) {
        None => context.settings_file()?,
        Some((_, settings)) if settings.is_file() => settings,
        Some((folder, _)) => return Ok(compile(folder, None)),
    };
    Ok(Settings::load(&settings).and_then(|settings| compile(&settings.policies, Some(&settings))))
}

/// The policy in `folder`, held against the settings if there are any.
fn compile(folder: &Path, settings: Option<&Settings>) -> Result<Policy, Faults> {
    let alone = || policy::compile::Context {
        upstreams: None,
        own_endpoints: admin::own_endpoints(),
    };
    let context = settings.map_or_else(alone, admin::policy_context);
    policy::compile::compile(&policy::folder::read(folder)?, &context)
}

impl Report {
    fn of(policy: &Policy) -> Self {
        let directory = Directory::of_files(policy).directory;
        let failed = explain::run_tests(policy, |name| {
            directory.account_named(name.as_str()).cloned()
        });
        let failed_tests: Vec<_> = failed.iter().map(Line::from).collect();
        let counts = [
            ("routes", policy.routes.len()),
            ("permissions", policy.permissions.len()),
            ("roles", policy.roles.len()),
            ("accounts", policy.accounts.len()),
            ("tests", policy.tests.len()),
        ];
        Self {
            valid: failed_tests.is_empty(),
            faults: Vec::new(),
            warnings: policy.warnings.iter().map(Line::from).collect(),
            failed_tests,
            counts: Some(counts.into_iter().collect()),
        }
    }

    fn print(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let output = &mut *context.output;
        if output.format() != Format::Table {
            let report = serde_json::to_value(self).map_err(Failure::server)?;
            return output.answer(&report, &VIEW);
        }
        for (kind, lines) in [
            (styled(ODD, "warning: "), &self.warnings),
            (String::new(), &self.faults),
            (styled(BAD, "test failed: "), &self.failed_tests),
        ] {
            for line in lines {
                let (place, message) = (printable(&line.place), printable(&line.message));
                output.complain(format_args!("{place}: {kind}{message}"))?;
            }
        }
        if output.is_quiet() {
            return Ok(());
        }
        if self.valid {
            output.data(format_args!("{} {}\n", styled(GOOD, "ok:"), self.summary()))
        } else {
            output.complain(format_args!(
                "{} {}",
                styled(BAD, "not valid:"),
                self.summary()
            ))
        }
    }

    fn summary(&self) -> String {
        let count = |count: usize, one: &str| {
            let one = if count == 1 {
                one.strip_suffix('s').unwrap_or(one)
            } else {
                one
            };
            format!("{count} {one}")
        };
        if let (true, Some(counts)) = (self.valid, &self.counts) {
            let counts: Vec<_> = counts
                .iter()
                .map(|(what, number)| count(*number, what))
                .collect();
            return counts.join(", ");
        }
        format!(
            "{}, {}",
            count(self.faults.len(), "faults"),
            count(self.failed_tests.len(), "failed tests"),
        )
    }
}
