//! `portcullis check`: proves settings and policy, and runs the policy's own tests.
//!
//! Everything is reported at once and in the form compilers use, `file:line:column: sentence`, so
//! that editors and pipelines find the place without help of ours; `-o json` and `-o sarif` say the
//! same for programs.

mod against;
mod coverage;
mod report;
mod sarif;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::output::Format;
use super::table::{View, printable};
use super::{Context, Exit, Failure};
use crate::admin;
use crate::app;
use crate::policy::{self, Policy};
use crate::settings::{Settings, Tokens};
use crate::words::{Faults, Level};
use coverage::Percent;
use report::{Report, SHOWN_OF_A_RULE_MAX};

const VIEW: View = View {
    plural: "reports",
    name: "valid",
    columns: &[],
};

/// What to prove.
#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
#[command(before_help = "Examples:
  portcullis check                       the settings, and the policy folder they name
  portcullis check policies/             a policy folder alone
  portcullis check --fail-on warning     for a pipeline: warnings end it too
  portcullis check --coverage            which routes the policy's tests exercise
  portcullis check --against main/       whose verdicts change, for a review
  portcullis check -o sarif > check.sarif")]
pub(super) struct Check {
    /// Policy folder, or a folder with a portcullis.yaml; what the settings name if left out
    folder: Option<PathBuf>,
    /// The least that makes it exit with 1
    #[arg(long, value_enum, default_value_t, value_name = "error|warning|note")]
    #[arg(hide_possible_values = true)]
    fail_on: FailOn,
    /// Show every warning and note, not the first twenty of a rule
    #[arg(long)]
    all: bool,
    /// Say which routes no test exercises
    #[arg(long)]
    coverage: bool,
    /// Exit with 1 if tests exercise a smaller part of the routes than this
    #[arg(long, value_name = "PERCENT")]
    fail_under: Option<Percent>,
    /// Say whose verdicts change compared with this policy folder; exit with 1 if any widens
    #[arg(long, value_name = "FOLDER")]
    against: Option<PathBuf>,
    /// Do not look at the files that the settings name, such as certificates, where there are none
    #[arg(long)]
    skip_files: bool,
    /// Let verdicts widen
    #[arg(long, requires = "against")]
    allow_widening: bool,
}

/// From which level on a finding fails the check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// What does not hold, and tests that fail
    #[default]
    Error,
    /// What works, and hardly as it was meant, too
    Warning,
    /// Everything there is to say
    Note,
}

impl FailOn {
    fn level(self) -> Level {
        match self {
            Self::Error => Level::Error,
            Self::Warning => Level::Warning,
            Self::Note => Level::Note,
        }
    }
}

/// Prints everything that was found, every test that failed and every verdict that changed.
pub(super) fn run(check: &Check, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let folder = check.folder.as_deref();
    let settings = settings_in(folder, context)?;
    let files = match &settings {
        Some(Ok(settings)) if !check.skip_files => app::files_usable(settings),
        Some(_) | None => Ok(()),
    };
    let mut report = match loaded(settings, folder) {
        Ok((policy, settings)) => {
            let report = Report::of(&policy).covered(check.coverage, check.fail_under);
            match &check.against {
                Some(folder) => {
                    let new = (&policy, settings.as_ref());
                    let comparison = against::with(folder, new, context)?;
                    let widens = against::fault(&comparison, &policy, folder);
                    let widens = widens.filter(|_| !check.allow_widening);
                    report.compared(comparison, widens)
                }
                None => report,
            }
        }
        Err(faults) => Report::of_faults(&faults),
    };
    report.add(files.err());
    report.judge(check.fail_on.level());
    if context.output.format() == Format::Sarif {
        let folder = std::env::current_dir().unwrap_or_default();
        let log = sarif::log(&report, &folder);
        context.output.data(format_args!("{log:#}\n"))?;
    } else {
        let most = if check.all {
            usize::MAX
        } else {
            SHOWN_OF_A_RULE_MAX
        };
        report.print(most, context)?;
    }
    Ok(if report.valid { Exit::Ok } else { Exit::No })
}

/// The policy in `folder`, or of the settings if none is named; or everything that is wrong with its
/// files. A folder with a portcullis.yaml is held against that.
pub(super) fn policy_in(
    folder: Option<&Path>,
    context: &Context<'_>,
) -> Result<Result<Policy, Faults>, Failure> {
    let settings = settings_in(folder, context)?;
    Ok(loaded(settings, folder).map(|(policy, _)| policy))
}

type Loaded = Result<(Policy, Option<Settings>), Faults>;

fn loaded(settings: Option<Result<Settings, Faults>>, folder: Option<&Path>) -> Loaded {
    match (settings, folder) {
        (Some(settings), _) => settings.and_then(|settings| {
            let policy = app::policy_in_force(&settings)?;
            Ok((policy, Some(settings)))
        }),
        (None, Some(folder)) => compiled(folder, None).map(|policy| (policy, None)),
        // Not reached: without a folder the settings are asked for.
        (None, None) => Err(Faults::default()),
    }
}

/// The settings in `folder`, if there are any; those of the command line if no folder is named.
fn settings_in(
    folder: Option<&Path>,
    context: &Context<'_>,
) -> Result<Option<Result<Settings, Faults>>, Failure> {
    let file = match folder.map(|folder| folder.join("portcullis.yaml")) {
        None => context.settings_file()?,
        Some(file) if file.is_file() => file,
        Some(_) => return Ok(None),
    };
    Ok(Some(Settings::load(&file)))
}

/// The policy in `folder`, held against the settings if there are any.
fn compiled(folder: &Path, settings: Option<&Settings>) -> Result<Policy, Faults> {
    let alone = || policy::compile::Context {
        upstreams: None,
        own_endpoints: admin::own_endpoints(&Tokens::default()),
        files_only: false,
    };
    let context = settings.map_or_else(alone, admin::policy_context);
    policy::compile::compile(&policy::folder::read(folder)?, &context)
}
