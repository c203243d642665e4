//! `portcullis routes import`: from the description of an API to a policy file.
//!
//! The policy goes to stdout or into a file; everything else is talk.

mod kept;
mod reading;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::output::{Format, ODD, styled};
use super::table::{View, printable};
use super::{Context, Exit, Failure};
use crate::import::foreign;
use crate::import::{self, Notes, Plan};
use crate::words::UpstreamName;
pub(super) use kept::with as kept;
pub(super) use reading::Reading;
use reading::read;

/// Most notes that are printed; `--notes` prints them all.
const NOTES_SHOWN: usize = 20;

/// What a summary looks like.
const VIEW: View = View {
    plural: "imports",
    name: "operations",
    columns: &[],
};

/// What changes look like.
const CHANGES: View = View {
    plural: "changes",
    name: "entry",
    columns: &[],
};

/// What to import, and how
#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
#[command(before_help = "Examples:
  portcullis routes import api.json > policies/api.yaml
  portcullis routes import api.yaml --write policies/api.yaml --within tenant=org_id
  portcullis routes import --from nginx site.conf --write policies/api.yaml --strict
  portcullis routes import api.json --merge policies/api.yaml           a newer description
  portcullis routes import api.json --merge policies/api.yaml --check   is there anything new?")]
#[command(
    after_help = "With `--write FILE` and `--merge FILE`, FILE.imported keeps what was imported. It is how \
the next merge
tells what you edited from what the description changed, and by which options you imported it: keep it
beside FILE, and leave it alone."
)]
pub(super) struct Import {
    /// Descriptions of one API: OpenAPI 2.0, 3.0 or 3.1, JSON or YAML; or what `--from` names
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Exit with 1 if anything could not be carried over
    #[arg(long)]
    strict: bool,
    /// Policy file to write; stdout if left out
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Replace what stands in the file
    #[arg(long, requires = "write")]
    force: bool,
    /// Policy file to bring up to date; what you edited in it stays
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    merge: Option<PathBuf>,
    /// Write nothing; exit 1 if the description has changed since it was imported
    #[arg(long, requires = "merge")]
    check: bool,
    /// Print every note, not the first twenty
    #[arg(long)]
    notes: bool,
    /// Upstream the routes lead to
    #[arg(long, value_name = "NAME", default_value = "api")]
    upstream: UpstreamName,
    #[command(flatten)]
    how: How,
}

/// How it is read: what a merge has to know again.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct How {
    /// What is imported [default: openapi]
    #[arg(long, value_enum)]
    from: Option<Whose>,
    #[command(flatten)]
    reading: Reading,
}

impl How {
    /// A description by OpenAPI.
    pub(super) fn openapi(reading: Reading) -> Self {
        let from = None;
        Self { from, reading }
    }

    fn plan(&self, files: &[PathBuf], upstream: &UpstreamName) -> Result<(Plan, Notes), Failure> {
        let foreign = self.from.and_then(Whose::foreign);
        self.reading.plan(files, upstream, foreign)
    }
}

/// Imports, and says what was imported.
pub(super) fn run(arguments: &Import, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if let Some(file) = &arguments.merge {
        return merge(arguments, file, context);
    }
    let (plan, notes) = arguments.how.plan(&arguments.files, &arguments.upstream)?;
    let text = import::write(&plan);
    tell(&plan, &notes, arguments.notes, context)?;
    let Some(file) = &arguments.write else {
        context.output.data(&text)?;
        return complete(arguments, &notes);
    };
    put(file, &text, arguments.force)?;
    put(&imported(file), &kept::with(&arguments.how, &text), true)?;
    context
        .output
        .remark(format_args!("wrote `{}`", file.display()))?;
    if context.output.format() != Format::Table {
        context.output.answer(&counted(&plan, &notes), &VIEW)?;
    }
    complete(arguments, &notes)
}

/// Under `--strict` an import with notes has failed, though it is done as far as it can be.
fn complete(arguments: &Import, notes: &Notes) -> Result<Exit, Failure> {
    if arguments.strict && notes.count() > 0 {
        return Err(Failure::invalid(format_args!(
            "{} things could not be carried over as they are, see the notes",
            notes.count()
        )));
    }
    Ok(Exit::Ok)
}

/// What is imported.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whose {
    /// Descriptions by OpenAPI
    Openapi,
    /// Access rules of Ory Oathkeeper, JSON or YAML
    Oathkeeper,
    /// kube-rbac-proxy: its configuration, or a manifest with its flags
    KubeRbacProxy,
    /// nginx: locations with `auth_request` and `proxy_pass`
    Nginx,
}

impl Whose {
    /// The format, unless it is OpenAPI, which is read by a reader of its own.
    fn foreign(self) -> Option<foreign::Format> {
        match self {
            Self::Openapi => None,
            Self::Oathkeeper => Some(foreign::Format::Oathkeeper),
            Self::KubeRbacProxy => Some(foreign::Format::KubeRbacProxy),
            Self::Nginx => Some(foreign::Format::Nginx),
        }
    }
}

/// Where it is kept what was imported: not a name that a policy folder reads.
pub(super) fn imported(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".imported");
    name.into()
}

/// Brings a policy file up to date, or says whether it is.
fn merge(arguments: &Import, file: &Path, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let ours = read(file)?;
    let beside = imported(file);
    let base = if beside.exists() {
        Some(read(&beside)?)
    } else {
        None
    };
    if base.is_none() {
        context.output.remark(format_args!(
            "there is no `{}`, so everything in `{}` counts as yours and stays",
            beside.display(),
            file.display()
        ))?;
    }
    let how = match &base {
        Some(text) => as_before(&arguments.how, (&beside, text), context)?,
        None => arguments.how.clone(),
    };
    let (plan, _) = how.plan(&arguments.files, &arguments.upstream)?;
    let theirs = import::write(&plan);
    let (file_name, base_name) = (Arc::from(file), Arc::from(beside.as_path()));
    let base = base.as_deref().map(|text| (&base_name, text));
    let merged = import::merge(base, (&file_name, &ours), &theirs)?;
    print(&merged.changes, context)?;
    if arguments.check {
        return Ok(if merged.changes.is_empty() {
            Exit::Ok
        } else {
            Exit::No
        });
    }
    if merged.text != ours {
        put(file, &merged.text, true)?;
        context
            .output
            .remark(format_args!("wrote `{}`", file.display()))?;
    }
    put(&beside, &kept::with(&how, &theirs), true)?;
    Ok(Exit::Ok)
}

/// `how`, with the options it leaves out as they were at the last import; says which these are.
fn as_before(how: &How, kept: (&Path, &str), context: &mut Context<'_>) -> Result<How, Failure> {
    let completed = kept::completed(how, kept)?;
    for said in completed.said {
        context.output.remark(printable(&said))?;
    }
    for said in completed.differs {
        let warning = styled(ODD, "warning:");
        let said = printable(&said);
        context.output.complain(format_args!("{warning} {said}"))?;
    }
    Ok(completed.how)
}

fn print(changes: &[import::Change], context: &mut Context<'_>) -> Result<(), Failure> {
    if context.output.format() == Format::Table {
        if changes.is_empty() {
            return context.output.remark("nothing new");
        }
        for change in changes {
            context
                .output
                .data(format_args!("{}\n", printable(&change.to_string())))?;
        }
        return Ok(());
    }
    let row = |change: &import::Change| {
        json!({
            "change": change.kind.word(),
            "section": change.section,
            "entry": change.entry,
            "said": change.said,
        })
    };
    let rows: Vec<_> = changes.iter().map(row).collect();
    context.output.answer(&rows.into(), &CHANGES)
}

/// Writes a file whole or not at all.
pub(super) fn put(file: &Path, text: &str, replace: bool) -> Result<(), Failure> {
    if !replace && file.symlink_metadata().is_ok() {
        return Err(Failure::new(
            Exit::Conflict,
            format_args!(
                "nothing done: `{}` is there already; `--force` replaces it",
                file.display()
            ),
        ));
    }
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // Hidden, so that a gateway that reads the folder meanwhile does not take it for a policy.
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        let mut opened = std::fs::File::create(&beside)?;
        opened.write_all(text.as_bytes())?;
        opened.sync_all()?;
        std::fs::rename(&beside, file)
    });
    written.map_err(|error| {
        drop(std::fs::remove_file(&beside));
        Failure::server(format_args!("cannot write `{}`: {error}", file.display()))
    })
}

fn counted(plan: &Plan, notes: &Notes) -> serde_json::Value {
    let overlaps = plan.overlaps();
    json!({
        "operations": plan.operations,
        "routes": plan.routes.len(),
        "permissions": plan.permissions.len(),
        "roles": plan.roles.len(),
        "to_review": plan.to_review(),
        "overlaps": overlaps.pairs,
        "incomparable": overlaps.incomparable,
        "notes": notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Says what was imported, and what a person should look at.
pub(super) fn tell(
    plan: &Plan,
    notes: &Notes,
    all: bool,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let output = &mut *context.output;
    if output.is_quiet() {
        return Ok(());
    }
    let shown = if all { usize::MAX } else { NOTES_SHOWN };
    for note in notes.iter().take(shown) {
        let (place, message) = (note.place.to_string(), &note.message);
        let note = styled(ODD, "note:");
        output.complain(format_args!(
            "{}: {note} {}",
            printable(&place),
            printable(message)
        ))?;
    }
    if notes.count() > shown {
        let more = notes.count() - shown;
        output.complain(format_args!(
            "and {more} notes more: `--notes` prints them all"
        ))?;
    }
    let overlaps = plan.overlaps();
    output.complain(format_args!(
        "{} operations: {} routes, {} permissions, {} roles",
        plan.operations,
        plan.routes.len(),
        plan.permissions.len(),
        plan.roles.len(),
    ))?;
    if overlaps.pairs > 0 {
        output.complain(format_args!(
            "{} pairs of routes overlap; in {} neither is more specific, so a request that matches both has to satisfy both",
            overlaps.pairs, overlaps.incomparable,
        ))?;
    }
    if plan.to_review() > 0 {
        let routes = match plan.to_review() {
            1 => "1 route".to_owned(),
            more => format!("{more} routes"),
        };
        output.complain(format_args!(
            "{routes} to review: the description lets everybody in there; `check` refuses `review_public` until a person has written what is meant",
        ))?;
    }
    Ok(())
}
