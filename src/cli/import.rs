//! `portcullis routes import`: from the description of an API to a policy file.
//!
//! The policy goes to stdout or into a file; everything else is talk.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::arguments::method;
use super::output::{Format, ODD, styled};
use super::table::{View, printable};
use super::{Context, Exit, Failure};
use crate::admin;
use crate::import::foreign;
use crate::import::openapi::{self, Options, Progress};
use crate::import::{self, Draft, Notes, Plan, Way};
use crate::words::{DimensionName, Method, UpstreamName};

/// Most notes that are printed; `--notes` prints them all.
const NOTES_SHOWN: usize = 20;

/// What a summary looks like.
const VIEW: View = View {
    plural: "imports",
    name: "operations",
    columns: &[],
};

/// What to import, and how
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis routes import api.json > policies/api.yaml
  portcullis routes import api.yaml --write policies/api.yaml --within tenant=org_id
  portcullis routes import api.json --permission-from path --server https://api.example.com/v2
  portcullis routes import --from oathkeeper rules.json --write policies/api.yaml --strict")]
pub(super) struct Import {
    /// Descriptions of one API: OpenAPI 2.0, 3.0 or 3.1, JSON or YAML; or what `--from` names
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Policy file to write; stdout if left out
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Replace what stands in the file
    #[arg(long, requires = "write")]
    force: bool,
    /// Print every note, not the first twenty
    #[arg(long)]
    notes: bool,
    /// Exit with 1 if anything could not be carried over
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    reading: Reading,
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

/// How a description is read.
#[derive(Args, Clone, Debug)]
pub(super) struct Reading {
    /// What is imported
    #[arg(long, value_enum, default_value_t = Whose::Openapi)]
    from: Whose,
    /// Upstream the routes lead to
    #[arg(long, value_name = "NAME", default_value = "api")]
    upstream: UpstreamName,
    /// What permissions are made from where the description names none
    #[arg(long, value_enum, default_value_t = Source::Tag)]
    permission_from: Source,
    /// Methods that only read
    #[arg(
        long,
        value_name = "METHOD",
        value_delimiter = ',',
        default_value = "GET,HEAD"
    )]
    #[arg(value_parser = method)]
    read_methods: Vec<Method>,
    /// Bind a dimension to a parameter of paths, wherever it stands
    #[arg(long, value_name = "DIMENSION=PARAMETER", value_delimiter = ',')]
    #[arg(value_parser = pair)]
    within: Vec<(String, String)>,
    /// Parameter that may hold several segments of a path
    #[arg(long, value_name = "PARAMETER", value_delimiter = ',')]
    multi_segment: Vec<String>,
    /// Server that is meant, where several are named: its number or a URL
    #[arg(long, value_name = "NUMBER|URL")]
    server: Option<String>,
    /// Value of a variable in a server's URL
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    server_variable: Vec<(String, String)>,
}

/// What a permission's resource is made from.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Source {
    /// The first tag; the path of an operation without one
    Tag,
    /// The last part of the path that is not a parameter
    Path,
    /// The operation's id up to its first `/`, `.` or `:`
    OperationId,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected `name=value`")?;
    if name.is_empty() {
        return Err("expected `name=value`".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

impl Reading {
    fn options(&self) -> Result<Options, Failure> {
        let dimension = |(name, parameter): &(String, String)| {
            let name: DimensionName = name.parse().map_err(Failure::usage)?;
            Ok::<_, Failure>((name, parameter.clone()))
        };
        Ok(Options {
            permission_from: match self.permission_from {
                Source::Tag => openapi::PermissionFrom::Tag,
                Source::Path => openapi::PermissionFrom::Path,
                Source::OperationId => openapi::PermissionFrom::OperationId,
            },
            read_methods: self.read_methods.iter().copied().collect(),
            multi_segment: self.multi_segment.clone(),
            within: self
                .within
                .iter()
                .map(dimension)
                .collect::<Result<_, _>>()?,
            server: self.server.clone(),
            server_variables: self.server_variable.clone(),
        })
    }

    /// Reads descriptions, and plans the policy file they become.
    pub(super) fn plan(&self, files: &[PathBuf]) -> Result<(Plan, Notes), Failure> {
        let options = self.options()?;
        let mut draft = Draft::default();
        for file in files {
            let name: Arc<Path> = Arc::from(file.as_path());
            let text = read(file)?;
            let mut bar = Bar::new();
            let mut progress = |progress: Progress| bar.show(progress);
            let found = match self.from.foreign() {
                Some(format) => foreign::read(format, (&name, &text), &mut draft),
                None => openapi::read((&name, &text), &options, &mut draft, &mut progress),
            };
            bar.clear();
            found.map_err(Failure::invalid)?;
        }
        let mut dimensions: Vec<_> = options
            .within
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        dimensions.sort();
        dimensions.dedup();
        let describe = |name: DimensionName| {
            let description = format!("What {name} a caller is bound to");
            (name, description)
        };
        let way = Way {
            upstream: self.upstream.clone(),
            dimensions: dimensions.into_iter().map(describe).collect(),
            own_endpoints: admin::own_endpoints(),
        };
        let (plan, notes) = Plan::of(draft, way);
        if plan.routes.is_empty() {
            let notes: Vec<_> = notes
                .iter()
                .take(NOTES_SHOWN)
                .map(ToString::to_string)
                .collect();
            let notes = notes.join("\n");
            return Err(Failure::invalid(format_args!(
                "there is no operation to import\n{notes}"
            )));
        }
        Ok((plan, notes))
    }
}

/// The text of a description.
fn read(file: &Path) -> Result<String, Failure> {
    use std::io::Read;
    let cannot = |error: std::io::Error| {
        Failure::invalid(format_args!("cannot read `{}`: {error}", file.display()))
    };
    let opened = std::fs::File::open(file).map_err(cannot)?;
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to know.
    let most = u64::try_from(openapi::DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX);
    opened
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::invalid(format_args!(
            "`{}` is not UTF-8 from byte {at} on",
            file.display()
        ))
    })
}

/// Imports, and says what was imported.
pub(super) fn run(arguments: &Import, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let (plan, notes) = arguments.reading.plan(&arguments.files)?;
    let text = import::write(&plan);
    match &arguments.write {
        None => context.output.data(&text)?,
        Some(file) => {
            put(file, &text, arguments.force)?;
            context
                .output
                .remark(format_args!("wrote `{}`", file.display()))?;
        }
    }
    tell(&plan, &notes, arguments.notes, context)?;
    if arguments.write.is_some() && context.output.format() != Format::Table {
        context.output.answer(&counted(&plan, &notes), &VIEW)?;
    }
    if arguments.strict && notes.count() > 0 {
        return Err(Failure::invalid(format_args!(
            "{} things could not be carried over as they are, see the notes",
            notes.count()
        )));
    }
    Ok(Exit::Ok)
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
        output.complain(format_args!(
            "{} routes to review: the description lets everybody in there; `check` refuses `review_public` until a person has written what is meant",
            plan.to_review(),
        ))?;
    }
    Ok(())
}

/// A bar on a terminal, for whoever waits longer than a second.
struct Bar {
    began: Instant,
    bar: Option<indicatif::ProgressBar>,
    on_terminal: bool,
}

impl Bar {
    const AFTER: Duration = Duration::from_secs(1);

    fn new() -> Self {
        Self {
            began: Instant::now(),
            bar: None,
            on_terminal: std::io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, progress: Progress) {
        if !self.on_terminal || (self.bar.is_none() && self.began.elapsed() < Self::AFTER) {
            return;
        }
        let length = u64::try_from(progress.of).unwrap_or(u64::MAX);
        let bar = self
            .bar
            .get_or_insert_with(|| indicatif::ProgressBar::new(length));
        bar.set_position(u64::try_from(progress.done).unwrap_or(u64::MAX));
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
